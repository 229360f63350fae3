//! The wake-up of one socket: how a thread that changed something tells those who wait.
//!
//! A socket's own lock protects everything about it, but the other end of an inproc pipe must
//! not take that lock to say "there is something for you". It raises the socket's [`Signal`]
//! instead. The protocol is Dekker's: a raiser sets `pending` and then looks for somebody who
//! waits; who is about to wait announces itself and then looks at `pending`. At least one of
//! the two sees the other, so no wake-up is lost.
//!
//! Two rules come with it. Whoever waits must announce itself in the same hold of the socket's
//! lock as its last look, so that nobody can take the news in between and find nobody to tell.
//! And all sleepers of a socket share one alarm, which stays set until each of those that it was
//! set for has left its sleep: one that is quick, and goes back to sleep because the news was
//! not for it, must not turn it off for the others.
//!
//! `tests/model.rs` checks every interleaving.

use std::task::Waker;

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence};

/// What a sleeper sleeps on: an event descriptor, or in the model a double of it.
pub(crate) trait Alarm {
    /// Wakes all who sleep on it, and keeps others from falling asleep, until it is cleared.
    fn set(&self);
    fn clear(&self);
}

impl Alarm for crate::sys::Wake {
    fn set(&self) {
        crate::sys::Wake::set(self);
    }

    fn clear(&self) {
        crate::sys::Wake::clear(self);
    }
}

/// One socket's wake-up.
pub(crate) struct Signal<A> {
    /// Something happened that the socket's owner has not looked at. Set by raisers, cleared by
    /// whoever next holds the socket's lock, before it looks.
    pending: AtomicBool,
    /// How many wait, threads and tasks. Written under the lock of `waiting`; read without it to
    /// know whether that lock is worth taking.
    awaited: AtomicUsize,
    waiting: Mutex<Waiting>,
    alarm: A,
}

/// Those who wait.
#[derive(Default)]
struct Waiting {
    /// Threads that sleep on the alarm, or are about to, or have just been woken by it.
    sleepers: usize,
    /// Invariant: the alarm is set exactly while this is not zero. How many of the sleepers
    /// announced themselves before it was last set, and have not left since.
    called: usize,
    /// How often the alarm was set: tells a sleeper whether it is among the `called`.
    calls: u64,
    tasks: Vec<Waker>,
}

impl<A: Alarm> Signal<A> {
    pub(crate) fn new(alarm: A) -> Self {
        Signal {
            pending: AtomicBool::new(false),
            awaited: AtomicUsize::new(0),
            waiting: Mutex::new(Waiting::default()),
            alarm,
        }
    }

    /// Tells whoever waits, now or a moment later, to look again.
    #[inline]
    pub(crate) fn raise(&self) {
        self.pending.store(true, Ordering::Release);
        // Pairs with the fence in `nothing_pending`: this store is ordered before the load
        // below, as the announcement there is before the look at `pending`.
        fence(Ordering::SeqCst);
        if self.is_awaited() {
            self.call();
        }
    }

    /// Whether anybody waits. Whoever holds the socket's lock, or has just let go of it, knows
    /// from this whether a change that it made there has to be told.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed) > 0
    }

    /// Wakes all who wait.
    #[cold]
    fn call(&self) {
        let mut waiting = self.waiting.lock();
        if waiting.called < waiting.sleepers {
            waiting.called = waiting.sleepers;
            waiting.calls += 1;
            self.alarm.set();
        }
        let tasks = std::mem::take(&mut waiting.tasks);
        self.note(&waiting);
        drop(waiting);
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Takes note of what was raised. Called with the socket's lock held, before looking.
    #[inline]
    pub(crate) fn absorb(&self) -> bool {
        // The plain load keeps the common case free of a locked instruction; a raise that it
        // misses is seen by the next look, or by who goes to sleep.
        self.pending.load(Ordering::Acquire) && self.pending.swap(false, Ordering::AcqRel)
    }

    /// Announces a sleeper, unless something is pending. Called with the socket's lock held,
    /// after a look that found nothing.
    pub(crate) fn sleep(&self) -> Option<Sleep<'_, A>> {
        let mut waiting = self.waiting.lock();
        waiting.sleepers += 1;
        self.note(&waiting);
        let sleep = Sleep {
            signal: self,
            calls: waiting.calls,
        };
        drop(waiting);
        self.nothing_pending().then_some(sleep)
    }

    /// Has a task woken by the next raise. `false` if something is pending: the task should
    /// look again at once. Called like [`sleep`](Self::sleep).
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.tasks.iter().any(|known| known.will_wake(waker)) {
            waiting.tasks.push(waker.clone());
        }
        self.note(&waiting);
        drop(waiting);
        self.nothing_pending()
    }

    fn note(&self, waiting: &Waiting) {
        let count = waiting.sleepers + waiting.tasks.len();
        self.awaited.store(count, Ordering::Relaxed);
    }

    fn nothing_pending(&self) -> bool {
        // Pairs with the fence in `raise`.
        fence(Ordering::SeqCst);
        !self.pending.load(Ordering::Relaxed)
    }
}

/// A sleeper's announcement; withdrawn when dropped.
pub(crate) struct Sleep<'a, A: Alarm> {
    signal: &'a Signal<A>,
    /// The alarm's count when it was announced.
    calls: u64,
}

impl<A: Alarm> Drop for Sleep<'_, A> {
    fn drop(&mut self) {
        let mut waiting = self.signal.waiting.lock();
        waiting.sleepers -= 1;
        if self.calls < waiting.calls && waiting.called > 0 {
            waiting.called -= 1;
            if waiting.called == 0 {
                self.signal.alarm.clear();
            }
        }
        self.signal.note(&waiting);
    }
}
