//! How long a waiting call spins before it sleeps.
//!
//! Waking a sleeping thread costs some 45 µs on the machine this was measured on; a message that
//! is about to arrive is had for a few µs by looking again. But a spin that comes to nothing only
//! burns the processor, and where both peers share a core it keeps the other from running. So a
//! socket remembers: each spin in vain makes it skip more of the next ones, a spin that paid
//! makes it spin every time again.

use std::time::Duration;

/// The most waits that are passed over before a spin is tried again.
const MOST_SKIPPED: u32 = 64;

/// Spins in vain that are forgiven before any are skipped.
const FORGIVEN: u32 = 3;

/// A socket's memory of its spins.
#[derive(Debug)]
pub(super) struct Spin {
    enabled: bool,
    in_vain: u32,
    skip: u32,
    spinning: bool,
}

impl Spin {
    /// `cpus`: how many there are; with one, spinning never helps.
    pub(super) fn new(cpus: usize) -> Self {
        Spin {
            enabled: cpus > 1,
            in_vain: 0,
            skip: 0,
            spinning: false,
        }
    }

    /// How long the wait that begins now may spin, at most `budget`.
    pub(super) fn budget(&mut self, budget: Duration) -> Duration {
        self.spinning = self.enabled && self.skip == 0 && !budget.is_zero();
        if self.spinning {
            return budget;
        }
        self.skip = self.skip.saturating_sub(1);
        Duration::ZERO
    }

    /// The spin ended with what was waited for.
    pub(super) fn succeeded(&mut self) {
        self.in_vain = 0;
    }

    /// The wait goes on asleep.
    pub(super) fn gave_up(&mut self) {
        if std::mem::take(&mut self.spinning) {
            self.in_vain += 1;
            if self.in_vain > FORGIVEN {
                self.skip = (1 << (self.in_vain - FORGIVEN).min(16)).min(MOST_SKIPPED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_micros(50);

    fn spins(spin: &mut Spin, waits: usize) -> usize {
        let mut spun = 0;
        for _ in 0..waits {
            spun += usize::from(!spin.budget(BUDGET).is_zero());
            spin.gave_up();
        }
        spun
    }

    #[test]
    fn spins_in_vain_become_rare_and_one_that_pays_brings_them_back() {
        let mut spin = Spin::new(2);
        let many = spins(&mut spin, 10_000);
        assert!((10_000 / 66..10_000 / 50).contains(&many), "{many}");
        while spin.budget(BUDGET).is_zero() {}
        spin.succeeded();
        assert!(!spin.budget(BUDGET).is_zero());
        assert_eq!(Spin::new(1).budget(BUDGET), Duration::ZERO);
    }
}
