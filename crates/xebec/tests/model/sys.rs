//! The double of the descriptor that sleepers are woken by.

use crate::sync::Watched;

/// A flag that stays set until it is cleared, like an event descriptor that is polled.
pub(crate) struct Wake(Watched<bool>);

impl Wake {
    pub(crate) fn new() -> Self {
        Wake(Watched::new(false))
    }

    pub(crate) fn set(&self) {
        self.0.change(|set| *set = true);
    }

    pub(crate) fn clear(&self) {
        self.0.change(|set| *set = false);
    }

    /// Sleeps until it is set. Who is woken looks again, like poll(2), and sleeps on if it has
    /// been cleared meanwhile.
    pub(crate) fn sleep(&self) {
        self.0.wait(|set| set.then_some(()));
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.with(|set| *set)
    }
}

/// The model has no caches.
pub(crate) fn will_write<T>(_: *const T) {}
