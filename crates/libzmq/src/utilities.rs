//! Small things that the C library offers beside sockets: version, error texts, capabilities, atomic
//! counters, stopwatches, threads.

use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::call::{call, text};
use crate::errno::{self, Errno};

/// The version of `zmq.h` that this library answers for.
const VERSION: [c_int; 3] = [4, 3, 6];

/// What `zmq_has` says yes to: transports and mechanisms beyond tcp, inproc and NULL.
const CAPABILITIES: &[&str] = &[
    "ipc",
    "tipc",
    "curve",
    #[cfg(feature = "draft")]
    "draft",
];

/// What a thread runs (`zmq_thread_fn`).
#[allow(non_camel_case_types, reason = "the name that C has for it")]
pub type zmq_thread_fn = unsafe extern "C" fn(argument: *mut c_void);

/// The version: major, minor and patch.
///
/// # Safety
/// The pointers are null or point to an int each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int) {
    for (place, number) in [major, minor, patch].into_iter().zip(VERSION) {
        if !place.is_null() {
            // SAFETY: passed on to the caller.
            unsafe { *place = number };
        }
    }
}

/// The calling thread's `errno`.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_errno() -> c_int {
    errno::current()
}

/// What an error number means.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_strerror(number: c_int) -> *const c_char {
    errno::text(number)
}

/// Whether the library has a capability, such as `"ipc"` or `"curve"`.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_has(capability: *const c_char) -> c_int {
    call(0, || {
        // SAFETY: passed on to the caller.
        let capability = unsafe { text(capability)? };
        Ok(CAPABILITIES.contains(&capability).into())
    })
}

// ---- atomic counters ----

/// # Safety
/// `counter` is from `zmq_atomic_counter_new` and not destroyed.
unsafe fn counter<'a>(counter: *mut c_void) -> Result<&'a AtomicI32, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { counter.cast::<AtomicI32>().as_ref() }.ok_or(Errno::EFAULT)
}

/// Makes a counter, at zero.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_atomic_counter_new() -> *mut c_void {
    Box::into_raw(Box::new(AtomicI32::new(0))).cast()
}

/// Sets a counter.
///
/// # Safety
/// `this` is from `zmq_atomic_counter_new` and not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_set(this: *mut c_void, value: c_int) {
    call((), || {
        // SAFETY: passed on to the caller.
        unsafe { counter(this)? }.store(value, Ordering::SeqCst);
        Ok(())
    });
}

/// Adds one; returns what the counter was before.
///
/// # Safety
/// `this` is from `zmq_atomic_counter_new` and not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_inc(this: *mut c_void) -> c_int {
    call(0, || {
        // SAFETY: passed on to the caller.
        Ok(unsafe { counter(this)? }.fetch_add(1, Ordering::SeqCst))
    })
}

/// Takes one away; returns 0 when the counter is at zero then, and 1 otherwise.
///
/// # Safety
/// `this` is from `zmq_atomic_counter_new` and not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_dec(this: *mut c_void) -> c_int {
    call(0, || {
        // SAFETY: passed on to the caller.
        let before = unsafe { counter(this)? }.fetch_sub(1, Ordering::SeqCst);
        Ok((before != 1).into())
    })
}

/// What the counter is.
///
/// # Safety
/// `this` is from `zmq_atomic_counter_new` and not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_value(this: *mut c_void) -> c_int {
    call(0, || {
        // SAFETY: passed on to the caller.
        Ok(unsafe { counter(this)? }.load(Ordering::SeqCst))
    })
}

/// Ends a counter and sets the pointer to null.
///
/// # Safety
/// `this` points to a pointer that is null or from `zmq_atomic_counter_new` and not destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_atomic_counter_destroy(this: *mut *mut c_void) {
    if this.is_null() {
        return;
    }
    // SAFETY: passed on to the caller.
    unsafe {
        let counter = std::mem::replace(&mut *this, ptr::null_mut());
        if !counter.is_null() {
            drop(Box::from_raw(counter.cast::<AtomicI32>()));
        }
    }
}

// ---- stopwatches ----

/// Starts a stopwatch.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_stopwatch_start() -> *mut c_void {
    Box::into_raw(Box::new(Instant::now())).cast()
}

/// The microseconds since it was started.
///
/// # Safety
/// `watch` is from `zmq_stopwatch_start` and not stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_stopwatch_intermediate(watch: *mut c_void) -> c_ulong {
    // SAFETY: passed on to the caller.
    let started = unsafe { watch.cast::<Instant>().as_ref() };
    started.map_or(0, |started| started.elapsed().as_micros() as c_ulong)
}

/// The microseconds since it was started; ends it.
///
/// # Safety
/// `watch` is from `zmq_stopwatch_start` and not stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_stopwatch_stop(watch: *mut c_void) -> c_ulong {
    // SAFETY: passed on to the caller.
    unsafe {
        let elapsed = zmq_stopwatch_intermediate(watch);
        if !watch.is_null() {
            drop(Box::from_raw(watch.cast::<Instant>()));
        }
        elapsed
    }
}

/// Sleeps for so many seconds.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_sleep(seconds: c_int) {
    std::thread::sleep(Duration::from_secs(seconds.max(0).unsigned_abs().into()));
}

// ---- threads ----

/// A pointer that goes to the thread that it was given for.
struct Argument(*mut c_void);

// SAFETY: `zmq_threadstart` takes it for the new thread.
unsafe impl Send for Argument {}

/// Starts a thread that runs `function`; null if the system has none left.
///
/// # Safety
/// `function` may run with `argument` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_threadstart(
    function: Option<zmq_thread_fn>,
    argument: *mut c_void,
) -> *mut c_void {
    call(ptr::null_mut(), || {
        let function = function.ok_or(Errno::EFAULT)?;
        let argument = Argument(argument);
        let run = move || {
            // The whole of it moves, not the pointer in it.
            let argument = argument;
            // SAFETY: passed on to the caller.
            unsafe { function(argument.0) };
        };
        let thread = std::thread::Builder::new().spawn(run)?;
        Ok(Box::into_raw(Box::new(thread)).cast())
    })
}

/// Waits for a thread to end.
///
/// # Safety
/// `thread` is null or from `zmq_threadstart` and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_threadclose(thread: *mut c_void) {
    if thread.is_null() {
        return;
    }
    // SAFETY: passed on to the caller.
    let thread = unsafe { Box::from_raw(thread.cast::<JoinHandle<()>>()) };
    // C functions do not panic.
    let _ = thread.join();
}
