//! Devices (`zmq_proxy`).

use std::ffi::{c_int, c_void};

use xebec::Proxy;

use crate::call::status;
use crate::errno::Errno;
use crate::socket::socket;

/// Passes messages between two sockets, with a copy of each to `capture` if that is given, until the
/// context is terminated (ETERM).
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_proxy(
    front: *mut c_void,
    back: *mut c_void,
    capture: *mut c_void,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_proxy_steerable(front, back, capture, std::ptr::null_mut()) }
}

/// As [`zmq_proxy`], steered by a socket that receives PAUSE, RESUME, TERMINATE, and STATISTICS, which is
/// answered. Returns 0 after TERMINATE.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_proxy_steerable(
    front: *mut c_void,
    back: *mut c_void,
    capture: *mut c_void,
    control: *mut c_void,
) -> c_int {
    status(|| {
        if front.is_null() || back.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        let (front, back) = unsafe { (socket(front)?, socket(back)?) };
        let mut proxy = Proxy::new(&front.socket, &back.socket)
            .of_any_types()
            .wait_for_capture();
        if !capture.is_null() {
            // SAFETY: as above.
            proxy = proxy.capture(&unsafe { socket(capture)? }.socket);
        }
        if !control.is_null() {
            // SAFETY: as above.
            proxy = proxy.control(&unsafe { socket(control)? }.socket);
        }
        Ok(proxy.run().map(drop)?)
    })
}

/// The former name of [`zmq_proxy`]; the type of the device means nothing.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_device(_: c_int, front: *mut c_void, back: *mut c_void) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_proxy(front, back, std::ptr::null_mut()) }
}
