//! The wake-up of one socket: how a thread that changed something tells those who wait.
//!
//! A socket's own lock protects everything about it, but the other end of an inproc pipe must
//! not take that lock to say "there is something for you". It raises the socket's [`Signal`]
//! instead: one flag, one count of sleepers, one slot for the wakers of async tasks. The
//! protocol is Dekker's: a raiser sets `pending` and then looks for sleepers; a sleeper
//! announces itself and then looks at `pending`. At least one of the two sees the other, so no
//! wake-up is lost. `tests/model.rs` checks every interleaving.

use std::task::Waker;

#[cfg(loom)]
use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What a sleeper sleeps on: an event descriptor, or in the model a double of it.
pub(crate) trait Alarm {
    fn set(&self);
}

impl Alarm for crate::sys::Wake {
    fn set(&self) {
        crate::sys::Wake::set(self);
    }
}

/// One socket's wake-up.
pub(crate) struct Signal<A> {
    /// Something happened that the socket's owner has not looked at. Set by raisers, cleared by
    /// whoever next holds the socket's lock, before it looks.
    pending: AtomicBool,
    /// Threads that sleep, or are about to, on the alarm. Changed by the sleepers themselves.
    sleepers: AtomicUsize,
    /// Whether `wakers` holds any. Written under its lock.
    tasks: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
    alarm: A,
}

impl<A: Alarm> Signal<A> {
    pub(crate) fn new(alarm: A) -> Self {
        Signal {
            pending: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            tasks: AtomicBool::new(false),
            wakers: Mutex::new(Vec::new()),
            alarm,
        }
    }

    pub(crate) fn alarm(&self) -> &A {
        &self.alarm
    }

    /// Tells whoever waits, now or a moment later, to look again.
    pub(crate) fn raise(&self) {
        // SeqCst here and in `sleep`/`register`: this store is ordered before the two loads
        // below, as theirs to `sleepers` and `tasks` are before their look at `pending`.
        self.pending.store(true, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.alarm.set();
        }
        if self.tasks.load(Ordering::SeqCst) {
            self.wake_tasks();
        }
    }

    /// Whether anybody sleeps or a task is registered.
    pub(crate) fn is_awaited(&self) -> bool {
        self.sleepers.load(Ordering::SeqCst) > 0 || self.tasks.load(Ordering::SeqCst)
    }

    /// Takes note of what was raised. Called with the socket's lock held, before looking.
    #[inline]
    pub(crate) fn absorb(&self) -> bool {
        // The plain load keeps the common case free of a locked instruction; a raise that it
        // misses is seen by the next look, or by `sleep`.
        self.pending.load(Ordering::Acquire) && self.pending.swap(false, Ordering::SeqCst)
    }

    /// Announces a sleeper, unless something is pending.
    pub(crate) fn sleep(&self) -> Option<Sleep<'_, A>> {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let sleep = Sleep(self);
        (!self.pending.load(Ordering::SeqCst)).then_some(sleep)
    }

    /// Registers a task to be woken by the next raise. `false` if something is pending: the task
    /// should look again at once.
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        let mut wakers = self.lock_wakers();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.tasks.store(true, Ordering::SeqCst);
        drop(wakers);
        !self.pending.load(Ordering::SeqCst)
    }

    fn wake_tasks(&self) {
        let woken = {
            let mut wakers = self.lock_wakers();
            self.tasks.store(false, Ordering::SeqCst);
            std::mem::take(&mut *wakers)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    #[cfg(not(loom))]
    fn lock_wakers(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.wakers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn lock_wakers(&self) -> loom::sync::MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap()
    }
}

/// A sleeper's announcement; withdrawn when dropped.
pub(crate) struct Sleep<'a, A>(&'a Signal<A>);

impl<A> Drop for Sleep<'_, A> {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}
