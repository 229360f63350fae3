//! The way into every function and out of it: panics, `errno`, and arguments that are texts or bytes.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::errno::Errno;

/// Runs the body of a function. A failure leaves its number in `errno` and returns `failed`.
#[inline]
pub(crate) fn call<T>(failed: T, body: impl FnOnce() -> Result<T, Errno>) -> T {
    // A panic has been reported by the hook; what it left half done is behind locks that do not
    // poison and is whole again at the next call, or the socket's own.
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(Errno::EFAULT));
    outcome.unwrap_or_else(|errno| {
        errno.set();
        failed
    })
}

/// The same for the many functions that return 0 or -1.
#[inline]
pub(crate) fn status(body: impl FnOnce() -> Result<(), Errno>) -> c_int {
    call(-1, || body().map(|()| 0))
}

/// A text argument.
///
/// # Safety
/// `text` is null or points to a text that ends with a zero byte and outlives the use.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Errno> {
    if text.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: passed on to the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Errno::EINVAL)
}

/// An argument of so many bytes; null stands for none.
///
/// # Safety
/// `data` is null or points to `len` bytes that outlive the use and do not change meanwhile.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::EFAULT),
        (false, _) if len <= isize::MAX as usize => {
            // SAFETY: passed on to the caller; no object is longer than isize::MAX.
            Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The length of a message as an `int`; what is longer than that can tell is told as the largest.
pub(crate) fn length(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_goes_no_further() {
        let failed = call(-7, || -> Result<c_int, Errno> { panic!("for the test") });
        assert_eq!((failed, crate::errno::current()), (-7, libc::EFAULT));
        assert_eq!(status(|| panic!("for the test")), -1);
        // What it interrupted is usable again.
        assert_eq!(status(|| Ok(())), 0);
    }

    #[test]
    fn a_failure_is_told_in_errno_and_a_success_leaves_it() {
        assert_eq!(status(|| Err(Errno::EFSM)), -1);
        assert_eq!(crate::errno::current(), Errno::EFSM.0);
        assert_eq!(
            (call(0, || Ok(5)), crate::errno::current()),
            (5, Errno::EFSM.0)
        );
    }
}
