//! Keys for CURVE (RFC 26), and Z85, the text that they are written in (RFC 32).

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use zmtp::{KEY_TEXT_LEN, KeyPair, SecretKey, z85};

use crate::call::{bytes, call, status};
use crate::errno::Errno;

/// Writes a text and the zero byte behind it.
///
/// # Safety
/// `place` has room for it.
unsafe fn write(place: *mut c_char, text: &str) {
    // SAFETY: passed on to the caller.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr().cast(), place, text.len());
        *place.add(text.len()) = 0;
    }
}

/// Encodes `size` bytes, a multiple of four, as a text that is a quarter longer, in `text`; null and EINVAL
/// for another size.
///
/// # Safety
/// `text` has room for the text and a zero byte, `data` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_z85_encode(
    place: *mut c_char,
    data: *const u8,
    size: usize,
) -> *mut c_char {
    call(ptr::null_mut(), || {
        if !size.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: passed on to the caller.
        let data = unsafe { bytes(data.cast(), size)? };
        let encoded = z85::encode(data).map_err(|_| Errno::EINVAL)?;
        if place.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        unsafe { write(place, &encoded) };
        Ok(place)
    })
}

/// Decodes a text, whose length is a multiple of five, into `place`; null and EINVAL for one that is no
/// Z85.
///
/// # Safety
/// `place` has room for four bytes for each five of the text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_z85_decode(place: *mut u8, text: *const c_char) -> *mut u8 {
    call(ptr::null_mut(), || {
        if text.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: passed on to the caller.
        let text = unsafe { CStr::from_ptr(text) };
        let data = z85::decode(text.to_bytes()).map_err(|_| Errno::EINVAL)?;
        if data.is_empty() || place.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: passed on to the caller.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
        Ok(place)
    })
}

/// Makes a pair of keys for CURVE, as texts of 40 characters and a zero byte.
///
/// # Safety
/// Both places have room for 41 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_curve_keypair(public: *mut c_char, secret: *mut c_char) -> c_int {
    status(|| {
        if public.is_null() || secret.is_null() {
            return Err(Errno::EFAULT);
        }
        let pair = KeyPair::generate();
        // SAFETY: passed on to the caller.
        unsafe {
            write(public, &pair.public.to_z85());
            write(secret, &pair.secret.to_z85());
        }
        Ok(())
    })
}

/// The public key that belongs to a secret one, both as texts; EINVAL if that is none.
///
/// # Safety
/// `public` has room for 41 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_curve_public(public: *mut c_char, secret: *const c_char) -> c_int {
    status(|| {
        if public.is_null() || secret.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        let secret = unsafe { CStr::from_ptr(secret) };
        let secret = secret.to_str().map_err(|_| Errno::EINVAL)?;
        if secret.len() != KEY_TEXT_LEN {
            return Err(Errno::EINVAL);
        }
        let secret: SecretKey = secret.parse().map_err(|_| Errno::EINVAL)?;
        // SAFETY: passed on to the caller.
        unsafe { write(public, &KeyPair::from(secret).public.to_z85()) };
        Ok(())
    })
}
