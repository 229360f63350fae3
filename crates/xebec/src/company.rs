//! When output leaves: at once, or together with what follows.
//!
//! A write costs as much as dozens of small messages, so a message that others follow waits for them; one
//! that comes after a pause is not to wait for anything. Which of the two it is shows only afterwards. Where
//! writing takes long, because it is to many, the next time waits for as long as the last took. What
//! waits leaves when the caller waits for something itself, when there is enough of it, or at the
//! background thread's next tick.
//!
//! This is the pure decision; `pipe` carries it out, under its socket's lock.

use std::time::{Duration, Instant};

/// After so many messages in a row that left at once, and that others followed so soon that they could
/// have left together, the next waits: it begins another burst, most likely. (A DEALER that answers 16
/// requests in a row writes once then, and no longer twice.)
const BURSTS: u8 = 4;

/// After so many messages in a row that were each followed by a wait for one from a peer, the next leaves at
/// once, however soon it comes: a request, or its reply. (With every wait for a pause, 64 DEALERs with 16 requests
/// under way each took 1.28 s for what takes 0.77.)
const LONE: u8 = 32;

/// How soon output that waits for company leaves if nobody else writes it first.
pub(crate) const FLUSH: Duration = Duration::from_micros(100);

/// What is to be done about the output of a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leave {
    AtOnce,
    /// It begins to wait for company: somebody has to see that it does not wait for long.
    Later,
    /// It waits with what waits already.
    Together,
}

/// One socket's memory of its sends.
#[derive(Debug)]
pub(crate) struct Company {
    /// When output last left, or began to wait.
    since: Instant,
    /// How long it took, if that is worth regard.
    took: Duration,
    /// Output waits.
    awaited: bool,
    /// What waits has company.
    came: bool,
    /// The last message left at once, and none has followed.
    alone: bool,
    /// The caller has waited for something since it sent the last one.
    waited: bool,
    /// Waits in a row with no more than one message between them.
    lone: u8,
    /// Bursts in a row.
    bursts: u8,
}

impl Company {
    pub(crate) fn new() -> Self {
        Company {
            since: Instant::now(),
            took: Duration::ZERO,
            awaited: false,
            came: true,
            alone: false,
            waited: false,
            lone: 0,
            bursts: 0,
        }
    }

    /// Whether output waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Whether output waits that has company already: then there is nothing to decide.
    #[inline]
    pub(crate) fn has_come(&self) -> bool {
        self.awaited && self.came
    }

    /// Something was sent, and company [has not come](Self::has_come). Whether it follows something else
    /// is a matter of `silence`.
    pub(crate) fn sent(&mut self, now: Instant, silence: Duration) -> Leave {
        if !std::mem::take(&mut self.waited) {
            self.lone = 0;
        }
        let soon = now.saturating_duration_since(self.since) <= silence.max(self.took);
        self.came = soon && self.lone < LONE;
        if self.awaited {
            // No burst, if it took so long: what was to have company has waited for nothing.
            return match self.came {
                true => Leave::Together,
                false => Leave::AtOnce,
            };
        }
        if std::mem::take(&mut self.alone) {
            self.bursts = match self.came {
                true => BURSTS.min(self.bursts + 1),
                false => 0,
            };
        }
        if !self.came && self.bursts < BURSTS {
            self.alone = true;
            return Leave::AtOnce;
        }
        self.awaited = true;
        self.since = now;
        Leave::Later
    }

    /// Nothing waits any more.
    pub(crate) fn over(&mut self) {
        if std::mem::take(&mut self.awaited) && !self.came {
            self.bursts = 0;
        }
    }

    /// The caller waits for a message.
    pub(crate) fn waits(&mut self) {
        if !std::mem::replace(&mut self.waited, true) {
            self.lone = LONE.min(self.lone + 1);
        }
    }

    /// Output has just left, which took so long.
    pub(crate) fn left(&mut self, now: Instant, took: Duration) {
        self.since = now;
        self.took = took;
    }

    /// Whether a tick may write what waits: what began to only a moment ago is whoever's who sends it, and
    /// writing is for half of the time at most.
    pub(crate) fn is_time(&self, now: Instant) -> bool {
        let least = if self.awaited { FLUSH } else { Duration::ZERO };
        now.saturating_duration_since(self.since) >= least.max(self.took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_micros(10);

    struct Sender {
        company: Company,
        now: Instant,
    }

    impl Sender {
        fn new() -> Self {
            let company = Company::new();
            let now = company.since;
            Sender { company, now }
        }

        /// Sends after so many µs.
        fn send(&mut self, after: u64) -> Leave {
            self.now += Duration::from_micros(after);
            if self.company.has_come() {
                return Leave::Together;
            }
            let leave = self.company.sent(self.now, SILENCE);
            if leave == Leave::AtOnce {
                self.flush();
            }
            leave
        }

        fn flush(&mut self) {
            self.company.over();
            self.company.left(self.now, Duration::ZERO);
        }

        /// A burst of three after a pause, which then leaves.
        fn burst(&mut self) -> [Leave; 3] {
            let burst = [100, 1, 1].map(|after| self.send(after));
            self.flush();
            burst
        }
    }

    #[test]
    fn what_comes_after_a_pause_leaves_at_once_and_the_rest_of_a_burst_together() {
        let mut sender = Sender::new();
        for _ in 0..usize::from(BURSTS) {
            assert_eq!(
                sender.burst(),
                [Leave::AtOnce, Leave::Later, Leave::Together]
            );
        }
        // By now it is known that others follow.
        for _ in 0..3 {
            assert_eq!(
                sender.burst(),
                [Leave::Later, Leave::Together, Leave::Together]
            );
        }
    }

    #[test]
    fn who_sends_one_at_a_time_never_waits() {
        let mut sender = Sender::new();
        for _ in 0..100 {
            assert_eq!(sender.send(11), Leave::AtOnce);
        }
    }

    #[test]
    fn who_waits_after_each_message_sends_the_next_at_once() {
        let mut sender = Sender::new();
        let mut send_and_wait = |messages: usize| {
            let left = (0..messages).map(|_| sender.send(5)).collect::<Vec<_>>();
            sender.flush();
            // A wait looks more than once.
            (0..3).for_each(|_| sender.company.waits());
            left
        };
        for _ in 0..LONE {
            assert_eq!(send_and_wait(1), [Leave::Later]);
        }
        assert_eq!(send_and_wait(1), [Leave::AtOnce]);
        // Until others follow.
        assert_eq!(send_and_wait(2), [Leave::AtOnce, Leave::Later]);
        assert_eq!(send_and_wait(2), [Leave::Later, Leave::Together]);
        assert_eq!(send_and_wait(1), [Leave::Later]);
    }

    #[test]
    fn a_burst_that_does_not_come_is_forgotten() {
        for left in [true, false] {
            let mut sender = Sender::new();
            for _ in 0..BURSTS {
                sender.burst();
            }
            assert_eq!(sender.send(100), Leave::Later);
            if left {
                // It left alone.
                sender.flush();
            }
            // Both leave, if the first still waits.
            assert_eq!(sender.send(50), Leave::AtOnce, "{left}");
            assert_eq!(sender.send(50), Leave::AtOnce, "{left}");
        }
    }

    #[test]
    fn where_writing_takes_long_the_next_time_waits_as_long() {
        let mut sender = Sender::new();
        assert_eq!(sender.send(100), Leave::AtOnce);
        let took = Duration::from_micros(40_000);
        sender.company.left(sender.now, took);
        assert_eq!(sender.send(39_000), Leave::Later);
        assert!(!sender.company.is_time(sender.now));
        assert!(sender.company.is_time(sender.now + took));
        sender.flush();
        assert!(sender.company.is_time(sender.now));
        assert_eq!(sender.send(100), Leave::AtOnce);
    }

    #[test]
    fn a_tick_leaves_what_was_sent_a_moment_ago() {
        let mut sender = Sender::new();
        assert_eq!(sender.send(1), Leave::Later);
        assert!(!sender.company.is_time(sender.now));
        assert_eq!(sender.send(1), Leave::Together);
        assert!(sender.company.is_time(sender.now + FLUSH));
        sender.flush();
        // What is owed besides is not kept.
        assert!(sender.company.is_time(sender.now));
    }

    #[test]
    fn who_never_pauses_never_writes_for_one_message() {
        let mut sender = Sender::new();
        assert_eq!(sender.send(0), Leave::Later);
        for _ in 0..100 {
            assert_eq!(sender.send(9), Leave::Together);
        }
    }
}
