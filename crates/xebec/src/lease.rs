//! Who looks after a socket's data: the calling thread or the background thread.
//!
//! Every socket has one set of descriptors. While that set is *armed*, the background thread is
//! woken by it and does the I/O. A caller that keeps coming takes a *lease*: the set is disarmed
//! and the background thread is not woken for packets that the caller is about to read itself.
//! While leases are out, the background thread ticks; a lease whose holder neither sleeps in a
//! call nor came by for a few ticks is taken back.
//!
//! This is the pure decision; the socket carries it out under its lock. `tests/model.rs` checks
//! that no packet is left with nobody looking.

/// Ticks that a lease outlives its holder's last visit. A thread that serves 64 sockets in turn comes back to each
/// after one tick or two, where the machine is slow, and would find that the background thread has read what is
/// there (64 DEALERs: 865 thousand a second with one tick, 891 with four; 64 SUBs: 10.5 and 11.0 M/s).
const PATIENCE: u8 = 4;

/// After so many calls in a row a caller is expected to come again.
const EXPECTED: u8 = 3;

/// The state of one socket's lease, kept under the socket's lock.
#[derive(Debug)]
pub(crate) struct Lease {
    armed: bool,
    /// Callers that sleep on the set right now: they are woken by it themselves.
    inside: usize,
    /// The ticks that a caller may still let pass before it comes by again.
    patience: u8,
    /// Whether the background thread ticks for this socket.
    ticking: bool,
    /// Calls in a row, as far as they matter.
    calls: u8,
}

/// What the background thread is to do after a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tick {
    /// The lease stands: tick again.
    Again {
        /// Its holder has been here since the last tick.
        visited: bool,
    },
    /// A caller sleeps inside: it needs no tick until it leaves.
    Rest,
    /// The caller stopped coming: arm the set and drive what is left.
    TakeBack,
    /// Nothing is leased.
    Done,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Lease {
            armed: true,
            inside: 0,
            patience: 0,
            ticking: false,
            calls: 0,
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }

    /// A caller came to do the I/O itself. True if the set is to be disarmed now.
    #[must_use]
    pub(crate) fn take(&mut self) -> bool {
        self.patience = PATIENCE;
        std::mem::take(&mut self.armed)
    }

    /// A caller is about to sleep on the set, having taken the lease.
    pub(crate) fn enter(&mut self) {
        debug_assert!(!self.armed);
        self.inside += 1;
    }

    /// A caller woke up.
    pub(crate) fn leave(&mut self) {
        self.inside -= 1;
        self.patience = PATIENCE;
    }

    /// A caller is done with its call, after a short wait. Whether it is expected to be back soon.
    #[must_use]
    pub(crate) fn is_expected(&mut self) -> bool {
        self.calls = EXPECTED.min(self.calls + 1);
        self.calls == EXPECTED
    }

    /// It came back after a long time, or not at all.
    pub(crate) fn missed(&mut self) {
        self.calls = 0;
    }

    /// A caller is done with its call and expects to be back soon. True if the background thread
    /// must be asked to tick.
    #[must_use]
    pub(crate) fn keep(&mut self) -> bool {
        !self.armed && !std::mem::replace(&mut self.ticking, true)
    }

    /// A caller is done with its call and does not know when it will be back. True if the set is
    /// to be armed now.
    #[must_use]
    pub(crate) fn give_back(&mut self) -> bool {
        if self.inside > 0 || self.armed || self.ticking {
            return false;
        }
        self.armed = true;
        true
    }

    /// A task goes to sleep until it is woken: the background thread must look, now.
    #[must_use]
    pub(crate) fn give_up(&mut self) -> bool {
        self.inside == 0 && !std::mem::replace(&mut self.armed, true)
    }

    #[cfg(test)]
    pub(crate) fn is_ticking(&self) -> bool {
        self.ticking
    }

    /// The background thread's tick, after the time of so many.
    #[must_use]
    pub(crate) fn tick(&mut self, ticks: u8) -> Tick {
        let before = self.patience;
        let visited = before == PATIENCE;
        // Its holder may have been here only just now.
        let passed = if visited { 1 } else { ticks };
        self.patience = before.saturating_sub(passed);
        let tick = match () {
            () if self.armed => Tick::Done,
            () if before > 0 => Tick::Again { visited },
            () if self.inside > 0 => Tick::Rest,
            () => Tick::TakeBack,
        };
        if tick == Tick::TakeBack {
            self.armed = true;
            self.missed();
        }
        self.ticking = matches!(tick, Tick::Again { .. });
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks until the lease's holder is missed.
    fn lose_patience(lease: &mut Lease) {
        for nth in 0..PATIENCE {
            let visited = nth == 0;
            assert_eq!(lease.tick(1), Tick::Again { visited });
        }
    }

    #[test]
    fn a_caller_that_stops_coming_loses_the_lease_after_a_few_ticks() {
        let mut lease = Lease::new();
        assert!(lease.take());
        assert!(lease.keep(), "the first lease starts the tick");
        assert_eq!(lease.tick(1), Tick::Again { visited: true });
        assert!(!lease.take());
        assert!(!lease.keep(), "it ticks already");
        lose_patience(&mut lease);
        assert_eq!(lease.tick(1), Tick::TakeBack);
        assert!(lease.is_armed() && !lease.is_ticking());
    }

    #[test]
    fn a_tick_that_comes_after_the_time_of_many_counts_as_many() {
        let mut lease = Lease::new();
        assert!(lease.take() && lease.keep());
        assert_eq!(lease.tick(PATIENCE), Tick::Again { visited: true });
        assert_eq!(lease.tick(PATIENCE), Tick::Again { visited: false });
        assert_eq!(lease.tick(1), Tick::TakeBack);
    }

    #[test]
    fn a_caller_is_expected_once_it_has_come_a_few_times() {
        let mut lease = Lease::new();
        let mut expected = |lost: fn(&mut Lease)| {
            lost(&mut lease);
            [(); 4].map(|()| lease.is_expected())
        };
        let from_the_third_call = [false, false, true, true];
        assert_eq!(expected(|_| {}), from_the_third_call);
        assert_eq!(expected(|_| {}), [true; 4]);
        assert_eq!(expected(Lease::missed), from_the_third_call);
        let taken_back = |lease: &mut Lease| {
            assert!(lease.take() && lease.keep());
            lose_patience(lease);
            assert_eq!(lease.tick(1), Tick::TakeBack);
        };
        assert_eq!(expected(taken_back), from_the_third_call);
    }

    #[test]
    fn a_sleeper_needs_no_tick_and_is_not_robbed() {
        let mut lease = Lease::new();
        assert!(lease.take());
        lease.enter();
        assert!(lease.keep());
        lose_patience(&mut lease);
        assert_eq!(lease.tick(1), Tick::Rest);
        assert!(!lease.give_up(), "somebody sleeps inside");
        lease.leave();
        assert!(lease.give_back());
    }
}
