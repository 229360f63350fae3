//! The options of sockets: all that is said of them stands in Xebec's table; here are the few that tell
//! or do something and have no value.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::atomic::Ordering;

use xebec::{Options, Value};

use crate::call::{bytes, status};
use crate::errno::Errno;
use crate::poll::{POLLIN, POLLOUT};
use crate::socket::{Handle, socket};

/// Options that are not values (`zmq.h`).
const ROUTING_ID: c_int = 5;
const RCVMORE: c_int = 13;
const FD: c_int = 14;
const EVENTS: c_int = 15;
const TYPE: c_int = 16;
const LAST_ENDPOINT: c_int = 32;
const MECHANISM: c_int = 43;
const SOCKS_PROXY: c_int = 68;
const THREAD_SAFE: c_int = 81;
const USE_FD: c_int = 89;
const METADATA: c_int = 95;
const TOPICS_COUNT: c_int = 116;

/// Sets an option of a socket.
///
/// # Safety
/// The crate's contract; `value` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_setsockopt(
    this: *mut c_void,
    option: c_int,
    value: *const c_void,
    len: usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        let empty = value.is_null();
        // SAFETY: passed on to the caller.
        let value = match unsafe { bytes(value, len) } {
            // Null stands for no value, whatever length is told with it.
            Err(_) if empty => &[],
            value => value?,
        };
        match option {
            USE_FD => use_fd(this, value),
            // Nothing empties this list, and only null takes this proxy away.
            METADATA if value.is_empty() => Err(Errno::EINVAL),
            SOCKS_PROXY if value.is_empty() && !empty => Err(Errno::EINVAL),
            _ => Ok(this.socket.set_c(option, value)?),
        }
    })
}

/// Tells an option of a socket, into a buffer of `*len` bytes; `*len` is its length then.
///
/// # Safety
/// The crate's contract; `value` has room for `*len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_getsockopt(
    this: *mut c_void,
    option: c_int,
    value: *mut c_void,
    len: *mut usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        if value.is_null() || len.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        let room = unsafe { *len };
        let number = match option {
            RCVMORE => this.more().into(),
            FD if this.is_thread_safe() => return Err(Errno::EINVAL),
            FD => this.socket.event_fd()?.as_fd().as_raw_fd(),
            EVENTS => {
                let (readable, writable) = this.readiness();
                let bit = |on: bool, bit: i16| if on { bit } else { 0 };
                (bit(readable, POLLIN) | bit(writable, POLLOUT)).into()
            }
            TYPE => this.socket.kind().number().into(),
            MECHANISM => this.socket.options().mechanism().number(),
            THREAD_SAFE => this.is_thread_safe().into(),
            USE_FD => this.use_fd.load(Ordering::Relaxed),
            TOPICS_COUNT => {
                let topics = this.socket.topics().filter(|_| !this.is_thread_safe());
                let topics = topics.ok_or(Errno::EINVAL)?;
                c_int::try_from(topics).unwrap_or(c_int::MAX)
            }
            LAST_ENDPOINT | ROUTING_ID => {
                let told = match option {
                    LAST_ENDPOINT => this.socket.last_endpoint().unwrap_or_default().into(),
                    _ => this.socket.option(option)?,
                };
                let bytes = Options::spec(option)?.tell_c(&told, room)?;
                // SAFETY: passed on to the caller.
                return unsafe { put(&bytes, value, len) };
            }
            _ => {
                let bytes = this.socket.tell_c(option, room)?;
                // SAFETY: passed on to the caller.
                return unsafe { put(&bytes, value, len) };
            }
        };
        let bytes = Options::spec(option)?.tell_c(&Value::Int(number.into()), room)?;
        // SAFETY: passed on to the caller.
        unsafe { put(&bytes, value, len) }
    })
}

/// A socket that the program has made listen, by its number.
fn use_fd(this: &Handle, value: &[u8]) -> Result<(), Errno> {
    use std::os::fd::BorrowedFd;
    let number = value.try_into().map_err(|_| Errno::EINVAL)?;
    let number = c_int::from_ne_bytes(number);
    if number < 0 {
        this.use_fd.store(-1, Ordering::Relaxed);
        return Ok(this.socket.set_option(USE_FD, Value::Int(-1))?);
    }
    // SAFETY: fcntl takes any number, and says if it is no descriptor.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: it was open a moment ago, and the program gives it to this call.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let fd = fd.try_clone_to_owned()?;
    this.socket.configure(|options| {
        options.use_fd = fd.into();
        Ok::<_, xebec::OptionError>(())
    })?;
    this.use_fd.store(number, Ordering::Relaxed);
    Ok(())
}

/// Puts bytes into the program's buffer, and zeros behind them.
///
/// # Safety
/// `value` has room for `*len` bytes.
pub(crate) unsafe fn put(bytes: &[u8], value: *mut c_void, len: *mut usize) -> Result<(), Errno> {
    // SAFETY: passed on to the caller.
    unsafe {
        if *len < bytes.len() {
            return Err(Errno::EINVAL);
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), bytes.len());
        ptr::write_bytes(value.cast::<u8>().add(bytes.len()), 0, *len - bytes.len());
        *len = bytes.len();
    }
    Ok(())
}
