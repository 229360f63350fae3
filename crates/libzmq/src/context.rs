//! Contexts: made, set, shut down, ended.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use xebec::{Context, ContextOptions};

use crate::call::{bytes, call, status};
use crate::errno::Errno;
use crate::handle::{self, object};

/// A context, as C programs hold it.
struct Holder(Context);
object!(Holder, b"ctxt");

fn new() -> Context {
    Context::builder().on_thread_start(prepare_thread).build()
}

/// What a background thread does first: it leaves all signals to the program's own threads, and takes
/// the scheduling that the program wants.
fn prepare_thread(options: &ContextOptions) -> io::Result<()> {
    // SAFETY: the set is ours and is filled before it is used; both calls are about this thread alone.
    let failed = unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, ptr::null_mut())
    };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    let Some(policy) = options.thread_sched_policy else {
        return Ok(());
    };
    let policy = c_int::try_from(policy).unwrap_or(c_int::MAX);
    let realtime = matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR);
    let priority = options.thread_priority.filter(|_| realtime).unwrap_or(0);
    let parameters = libc::sched_param {
        sched_priority: c_int::try_from(priority).unwrap_or(c_int::MAX),
    };
    // SAFETY: 0 stands for this thread; the parameters are ours.
    match unsafe { libc::sched_setscheduler(0, policy, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A context that was not ended.
///
/// # Safety
/// The crate's contract.
pub(crate) unsafe fn context<'a>(handle: *mut c_void) -> Result<&'a Context, Errno> {
    // SAFETY: passed on to the caller.
    let holder = unsafe { handle::get::<Holder>(handle) };
    Ok(&holder.ok_or(Errno::EFAULT)?.0)
}

/// Makes a context.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_ctx_new() -> *mut c_void {
    call(ptr::null_mut(), || Ok(handle::give(Holder(new()))))
}

/// Ends a context: every call on its sockets fails with ETERM, and this one waits until the program has
/// closed them and what they had to send has left, as their LINGER allows.
///
/// # Safety
/// The crate's contract; the context is not used when this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_term(this: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        unsafe { context(this)? }.term();
        // SAFETY: as above.
        unsafe { handle::take::<Holder>(this) }
            .map(drop)
            .ok_or(Errno::EFAULT)
    })
}

/// Makes every call on the context's sockets fail with ETERM, and does not wait.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_shutdown(this: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        unsafe { context(this)? }.shutdown();
        Ok(())
    })
}

/// Sets an option of a context that is a number.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_set(this: *mut c_void, option: c_int, value: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_ctx_set_ext(this, option, (&raw const value).cast(), size_of::<c_int>()) }
}

/// An option of a context that is a number.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_get(this: *mut c_void, option: c_int) -> c_int {
    call(-1, || {
        let mut value: c_int = 0;
        let mut len = size_of::<c_int>();
        // SAFETY: passed on to the caller; there is room for an int.
        match unsafe { zmq_ctx_get_ext(this, option, (&raw mut value).cast(), &mut len) } {
            0 => Ok(value),
            _ => Err(Errno(crate::errno::current())),
        }
    })
}

/// Sets an option of a context.
///
/// # Safety
/// The crate's contract; `value` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_set_ext(
    this: *mut c_void,
    option: c_int,
    value: *const c_void,
    len: usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (context, value) = unsafe { (context(this)?, bytes(value, len)?) };
        Ok(context.set_c(option, value)?)
    })
}

/// An option of a context, into a buffer of `*len` bytes; `*len` is its length then.
///
/// # Safety
/// The crate's contract; `value` has room for `*len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_get_ext(
    this: *mut c_void,
    option: c_int,
    value: *mut c_void,
    len: *mut usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let context = unsafe { context(this)? };
        if value.is_null() || len.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        unsafe { crate::options::put(&context.tell_c(option, *len)?, value, len) }
    })
}

/// Makes a context with so many I/O threads (deprecated); null and EINVAL for fewer than none.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_init(io_threads: c_int) -> *mut c_void {
    /// `ZMQ_IO_THREADS`.
    const IO_THREADS: c_int = 1;
    call(ptr::null_mut(), || {
        if io_threads < 0 {
            return Err(Errno::EINVAL);
        }
        let context = new();
        context.configure(|options| options.set(IO_THREADS, io_threads))?;
        Ok(handle::give(Holder(context)))
    })
}

/// The former name of [`zmq_ctx_term`].
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_term(this: *mut c_void) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_ctx_term(this) }
}

/// Another former name of [`zmq_ctx_term`].
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ctx_destroy(this: *mut c_void) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_ctx_term(this) }
}
