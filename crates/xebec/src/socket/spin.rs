//! How long a waiting call spins before it sleeps.
//!
//! Waking a sleeping thread costs some 45 µs on the machine this was measured on; a message that
//! is about to arrive is had for a few µs by looking again. But a spin that comes to nothing only
//! burns the processor, and where both peers share a core it keeps the other from running. So a
//! socket remembers: each spin in vain makes it skip more of the next ones, one that paid undoes half
//! of that. So it goes on where more than a third pay, and soon comes back to it; where one in ten does,
//! by luck, on a machine whose cores all have other work, it takes next to nothing from that work. Waits that
//! last much longer than a spin do not bring it back: it would not have helped. (Twenty threads on two cores
//! spent a 30th of the processors on trying.)

use std::time::Duration;

/// The most waits that are passed over before a spin is tried again.
const MOST_SKIPPED: u32 = 64;

/// A sleep of more budgets than this is longer than a spin and the time that it takes to wake up.
const LONG: u32 = 2;

/// Spins in vain that are forgiven before any are skipped.
const FORGIVEN: u32 = 3;

/// What is remembered of spins in vain: as many as skip the most.
const REMEMBERED: u32 = FORGIVEN + MOST_SKIPPED.ilog2();

/// A socket's memory of its spins.
#[derive(Debug)]
pub(super) struct Spin {
    enabled: bool,
    in_vain: u32,
    skip: u32,
    spinning: bool,
    /// The wait that is under way counts among those to skip.
    skipping: bool,
}

impl Spin {
    /// `cpus`: how many there are; with one, spinning never helps.
    pub(super) fn new(cpus: usize) -> Self {
        Spin {
            enabled: cpus > 1,
            in_vain: 0,
            skip: 0,
            spinning: false,
            skipping: false,
        }
    }

    /// How long the wait that begins now may spin, at most `budget`.
    pub(super) fn budget(&mut self, budget: Duration) -> Duration {
        self.spinning = self.enabled && self.skip == 0 && !budget.is_zero();
        self.skipping = self.skip > 0;
        if self.spinning {
            return budget;
        }
        self.skip = self.skip.saturating_sub(1);
        Duration::ZERO
    }

    /// Whether a spin has begun of which it is not known how it ends.
    pub(super) fn is_under_way(&self) -> bool {
        self.spinning
    }

    /// The wait that is over took so long asleep.
    pub(super) fn slept(&mut self, time: Duration, budget: Duration) {
        if std::mem::take(&mut self.skipping) && time > LONG * budget {
            self.skip += 1;
        }
    }

    /// The spin ended with what was waited for.
    pub(super) fn succeeded(&mut self) {
        if std::mem::take(&mut self.spinning) {
            self.in_vain /= 2;
        }
    }

    /// The wait goes on asleep.
    pub(super) fn gave_up(&mut self) {
        if std::mem::take(&mut self.spinning) {
            self.in_vain = REMEMBERED.min(self.in_vain + 1);
            if self.in_vain > FORGIVEN {
                self.skip = 1 << (self.in_vain - FORGIVEN);
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

    #[test]
    fn long_waits_do_not_bring_a_spin_back() {
        let mut spin = Spin::new(2);
        let mut spins = |sleep: Duration| {
            let mut spun = 0;
            for _ in 0..10_000 {
                spun += u32::from(!spin.budget(BUDGET).is_zero());
                spin.gave_up();
                spin.slept(sleep, BUDGET);
            }
            spun
        };
        assert_eq!(spins(3 * BUDGET), FORGIVEN + 1);
        assert!(spins(BUDGET) > 100);
    }

    /// How often it spins in so many waits, where one spin in `every` pays.
    fn spins_where_one_pays(every: usize, waits: usize) -> usize {
        let (mut spin, mut spun) = (Spin::new(2), 0);
        for _ in 0..waits {
            if spin.budget(BUDGET).is_zero() {
                continue;
            }
            spun += 1;
            match spun % every {
                0 => spin.succeeded(),
                _ => spin.gave_up(),
            }
        }
        spun
    }

    #[test]
    fn where_few_spins_pay_there_are_few() {
        assert_eq!(spins_where_one_pays(2, 10_000), 10_000);
        assert_eq!(spins_where_one_pays(3, 10_000), 10_000);
        let few = spins_where_one_pays(10, 10_000);
        assert!(few < 10_000 / 20, "{few}");
    }
}
