//! Loom's doubles under the names of `src/sync.rs`.
//!
//! [`weakened`] runs a model without its sequentially consistent fences, and [`torn`] one whose words
//! are changed in two steps, to show that they are needed. Loom treats a sequentially consistent load or store as acquire and release, so only
//! fences can order a store before a later load in these models.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

pub(crate) use crate::ring::{Consumer, Producer, RingBuffer};

/// A mutex without poisoning.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// A value behind a lock, and those who wait for it to change.
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: loom::sync::Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Watched {
            value: Mutex::new(value),
            changed: loom::sync::Condvar::new(),
        }
    }

    /// Looks, without waiting.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.value.lock())
    }

    /// Changes the value and wakes all who wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.value.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `done` has a result.
    pub(crate) fn wait<R>(&self, mut done: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut value = self.value.lock();
        loop {
            if let Some(result) = done(&mut value) {
                return result;
            }
            value = match self.changed.wait(value) {
                Ok(value) => value,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }
}

/// A word that is changed in one step.
pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(loom::sync::atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.change(|old| old + value, |word| word.fetch_add(value, order))
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.change(|old| old | value, |word| word.fetch_or(value, order))
    }

    pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        self.change(|old| old & value, |word| word.fetch_and(value, order))
    }

    fn change(
        &self,
        new: impl Fn(u64) -> u64,
        whole: impl Fn(&loom::sync::atomic::AtomicU64) -> u64,
    ) -> u64 {
        if WHOLE.get() {
            return whole(&self.0);
        }
        let old = self.load(Ordering::Acquire);
        self.store(new(old), Ordering::Release);
        old
    }
}

thread_local! {
    static FENCES: Cell<bool> = const { Cell::new(true) };
    static WHOLE: Cell<bool> = const { Cell::new(true) };
}

pub(crate) fn fence(order: Ordering) {
    if FENCES.get() {
        loom::sync::atomic::fence(order);
    }
}

/// Runs a model in which fences do nothing. All threads of a model run on the caller's.
pub(crate) fn weakened(model: impl FnOnce()) {
    without(&FENCES, model);
}

/// Runs a model in which a word is changed by a load and a store.
pub(crate) fn torn(model: impl FnOnce()) {
    without(&WHOLE, model);
}

fn without(what: &'static std::thread::LocalKey<Cell<bool>>, model: impl FnOnce()) {
    struct Restore(&'static std::thread::LocalKey<Cell<bool>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let _restore = Restore(what);
    what.set(false);
    model();
}
