//! The wake-up of one socket: how a thread that changed something tells those who wait.
//!
//! A socket's own lock protects everything about it, but the other end of an inproc pipe must
//! not take that lock to say "there is something for you". It raises the socket's [`Signal`]
//! instead. The protocol is Dekker's: a raiser sets `pending` and then looks for somebody who
//! waits; who is about to wait announces itself and then looks at `pending`. At least one of
//! the two sees the other, so no wake-up is lost.
//!
//! Two rules come with it. Whoever waits announces itself in the same hold of the socket's lock
//! as its last look: otherwise somebody else could take the news in between and find nobody to
//! tell. And each sleeper has an alarm of its own: if they shared one, a quick sleeper that the
//! news were not for would turn it off before a slow one has heard it.
//!
//! `tests/model.rs` checks every interleaving.

use std::sync::Arc;
use std::task::Waker;

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence};

/// What one sleeper sleeps on: an event descriptor, or in the model a double of it.
pub(crate) trait Alarm {
    /// Wakes the sleeper, or keeps it from falling asleep.
    fn set(&self);
    fn clear(&self);
}

impl Alarm for Arc<crate::sys::Wake> {
    fn set(&self) {
        crate::sys::Wake::set(self);
    }

    fn clear(&self) {
        crate::sys::Wake::clear(self);
    }
}

/// The watcher's id among the sleepers'.
const WATCHER: u64 = u64::MAX;

/// One socket's wake-up.
pub(crate) struct Signal<A> {
    /// Something happened that the socket's owner has not looked at. Set by raisers, cleared by
    /// whoever next holds the socket's lock, before it looks.
    pending: AtomicBool,
    /// How many wait, threads and tasks. Written under the lock of `waiting`; read without it to
    /// know whether that lock is worth taking.
    awaited: AtomicUsize,
    waiting: Mutex<Waiting<A>>,
}

/// Those who wait.
struct Waiting<A> {
    sleepers: Vec<Sleeper<A>>,
    tasks: Vec<Waker>,
    /// Names the next sleeper.
    next: u64,
}

/// A thread that sleeps, or is about to, or has just been woken.
struct Sleeper<A> {
    id: u64,
    alarm: A,
    /// The alarm was set.
    called: bool,
}

impl<A: Alarm> Signal<A> {
    pub(crate) fn new() -> Self {
        Signal {
            pending: AtomicBool::new(false),
            awaited: AtomicUsize::new(0),
            waiting: Mutex::new(Waiting {
                sleepers: Vec::new(),
                tasks: Vec::new(),
                next: 0,
            }),
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
        for sleeper in &mut waiting.sleepers {
            // Under the lock: an alarm that is set after its owner has left would never be
            // cleared.
            if !std::mem::replace(&mut sleeper.called, true) {
                sleeper.alarm.set();
            }
        }
        let tasks = std::mem::take(&mut waiting.tasks);
        self.note(&waiting);
        drop(waiting);
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Whether something was raised that nobody has taken note of.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Takes note of what was raised. Called with the socket's lock held, before looking.
    #[inline]
    pub(crate) fn absorb(&self) -> bool {
        // The plain load keeps the common case free of a locked instruction; a raise that it
        // misses is seen by the next look, or by who goes to sleep.
        self.pending.load(Ordering::Acquire) && self.pending.swap(false, Ordering::AcqRel)
    }

    /// Announces a sleeper that has `alarm` to itself, unless something is pending. Called with
    /// the socket's lock held, after a look that found nothing.
    pub(crate) fn sleep(&self, alarm: A) -> Option<Sleep<'_, A>> {
        let mut waiting = self.waiting.lock();
        let id = waiting.next;
        waiting.next += 1;
        waiting.sleepers.push(Sleeper {
            id,
            alarm,
            called: false,
        });
        self.note(&waiting);
        drop(waiting);
        let sleep = Sleep { signal: self, id };
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

    /// Announces somebody who is always waiting: whoever watches `alarm` from outside, in an event
    /// loop of its own. Every raise sets the alarm until it is [rearmed](Self::rearm); it is set at
    /// first, for what came before has told nobody.
    pub(crate) fn watch(&self, alarm: A) {
        let mut waiting = self.waiting.lock();
        alarm.set();
        waiting.sleepers.push(Sleeper {
            id: WATCHER,
            alarm,
            called: true,
        });
        self.note(&waiting);
    }

    /// The watcher is about to look: its alarm is cleared, and set again if something is pending
    /// that this look may miss. Called with the socket's lock held, before looking.
    pub(crate) fn rearm(&self) {
        let mut waiting = self.waiting.lock();
        let watcher = waiting.sleepers.iter_mut().find(|one| one.id == WATCHER);
        let Some(watcher) = watcher.filter(|watcher| watcher.called) else {
            return;
        };
        watcher.alarm.clear();
        watcher.called = !self.nothing_pending();
        if watcher.called {
            watcher.alarm.set();
        }
    }

    fn note(&self, waiting: &Waiting<A>) {
        let count = waiting.sleepers.len() + waiting.tasks.len();
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
    id: u64,
}

impl<A: Alarm> Drop for Sleep<'_, A> {
    fn drop(&mut self) {
        let mut waiting = self.signal.waiting.lock();
        let mine = |sleeper: &Sleeper<A>| sleeper.id == self.id;
        if let Some(at) = waiting.sleepers.iter().position(mine) {
            let sleeper = waiting.sleepers.swap_remove(at);
            if sleeper.called {
                sleeper.alarm.clear();
            }
        }
        self.signal.note(&waiting);
    }
}
