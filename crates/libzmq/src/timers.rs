//! Timers that a program runs itself (`zmq_timers`): a list of intervals with functions to call.

use std::ffi::{c_int, c_long, c_void};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::call::{call, status};
use crate::errno::Errno;
use crate::handle::{self, object};

/// What a timer calls (`zmq_timer_fn`).
#[allow(non_camel_case_types, reason = "the name that C has for it")]
pub type zmq_timer_fn = unsafe extern "C" fn(id: c_int, argument: *mut c_void);

struct Timer {
    id: c_int,
    interval: Duration,
    due: Instant,
    function: zmq_timer_fn,
    argument: *mut c_void,
}

#[derive(Default)]
struct List {
    timers: Vec<Timer>,
    last: c_int,
}

/// A set of timers.
struct Timers(Mutex<List>);
object!(Timers, b"tmrs");

// SAFETY: the arguments are the program's and are only handed back to its functions, on the thread that
// executes the timers.
unsafe impl Send for Timers {}
// SAFETY: as above.
unsafe impl Sync for Timers {}

impl Timers {
    fn change(&self, id: c_int, change: impl FnOnce(&mut Timer)) -> Result<(), Errno> {
        let mut list = self.0.lock();
        let timer = list.timers.iter_mut().find(|timer| timer.id == id);
        timer.map(change).ok_or(Errno::EINVAL)
    }
}

/// When an interval that begins now is over; for intervals that are none, never.
fn after(interval: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(interval)
        .unwrap_or(now + Duration::from_secs(1 << 30))
}

fn millis(interval: usize) -> Duration {
    Duration::from_millis(interval as u64)
}

/// # Safety
/// The crate's contract.
unsafe fn timers<'a>(timers: *mut c_void) -> Result<&'a Timers, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { handle::get::<Timers>(timers) }.ok_or(Errno::EFAULT)
}

/// Makes an empty set of timers.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_timers_new() -> *mut c_void {
    call(std::ptr::null_mut(), || {
        Ok(handle::give(Timers(Mutex::default())))
    })
}

/// Ends a set of timers and sets the pointer to null.
///
/// # Safety
/// `timers` points to a pointer that obeys the crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_destroy(timers: *mut *mut c_void) -> c_int {
    status(|| {
        if timers.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        unsafe {
            handle::take::<Timers>(*timers).ok_or(Errno::EFAULT)?;
            *timers = std::ptr::null_mut();
        }
        Ok(())
    })
}

/// Adds a timer that calls `function` every `interval` milliseconds; returns its id.
///
/// # Safety
/// The crate's contract; `function` may be called with `argument` by `zmq_timers_execute`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_add(
    set: *mut c_void,
    interval: usize,
    function: Option<zmq_timer_fn>,
    argument: *mut c_void,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let set = unsafe { timers(set)? };
        let function = function.ok_or(Errno::EFAULT)?;
        let mut list = set.0.lock();
        list.last += 1;
        let (id, interval) = (list.last, millis(interval));
        list.timers.push(Timer {
            id,
            interval,
            due: after(interval),
            function,
            argument,
        });
        Ok(id)
    })
}

/// Removes a timer.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_cancel(set: *mut c_void, id: c_int) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let mut list = unsafe { timers(set)? }.0.lock();
        let at = list.timers.iter().position(|timer| timer.id == id);
        list.timers.swap_remove(at.ok_or(Errno::EINVAL)?);
        Ok(())
    })
}

/// Changes a timer's interval, which begins anew.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_set_interval(
    set: *mut c_void,
    id: c_int,
    interval: usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        unsafe { timers(set)? }.change(id, |timer| {
            timer.interval = millis(interval);
            timer.due = after(timer.interval);
        })
    })
}

/// Begins a timer's interval anew.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_reset(set: *mut c_void, id: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    status(|| unsafe { timers(set)? }.change(id, |timer| timer.due = after(timer.interval)))
}

/// The milliseconds to the next timer, rounded up; -1 if there is none.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_timeout(set: *mut c_void) -> c_long {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let list = unsafe { timers(set)? }.0.lock();
        let Some(next) = list.timers.iter().map(|timer| timer.due).min() else {
            return Ok(-1);
        };
        let rest = next.saturating_duration_since(Instant::now());
        Ok(rest.as_nanos().div_ceil(1_000_000) as c_long)
    })
}

/// Calls the functions of all timers that are due; each is due again after its interval.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_timers_execute(set: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let set = unsafe { timers(set)? };
        let now = Instant::now();
        let mut due: Vec<(Instant, c_int)> = {
            let list = set.0.lock();
            let due = list.timers.iter().filter(|timer| timer.due <= now);
            due.map(|timer| (timer.due, timer.id)).collect()
        };
        due.sort_unstable();
        for (_, id) in due {
            // A function may have cancelled one that comes after it. It may change the set: the lock
            // is not held while it runs.
            let mut called = None;
            let known = set.change(id, |timer| {
                timer.due = after(timer.interval);
                called = Some((timer.function, timer.argument));
            });
            if let (Ok(()), Some((function, argument))) = (known, called) {
                // SAFETY: the program gave it for this.
                unsafe { function(id, argument) };
            }
        }
        Ok(())
    })
}
