//! Faults at random, from the seed.

use std::time::Duration;

use super::{AnyNode, Simulator};
use crate::machine::Time;

/// Which faults may happen, how often, and how long they last.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// The time from one fault to the next: from, to.
    pub every: (Duration, Duration),
    /// How long it lasts: from, to.
    pub lasting: (Duration, Duration),
    /// Who may crash, to start again afterwards.
    pub crash: Vec<AnyNode>,
    /// Who may stand still for the time.
    pub pause: Vec<AnyNode>,
    /// Between whom the network may be cut, or lose all connections.
    pub links: Vec<(AnyNode, AnyNode)>,
}

impl Default for Chaos {
    /// A fault each second to ten, for 10 ms to 10 s; nobody to strike.
    fn default() -> Self {
        Chaos {
            every: (Duration::from_secs(1), Duration::from_secs(10)),
            lasting: (Duration::from_millis(10), Duration::from_secs(10)),
            crash: Vec::new(),
            pause: Vec::new(),
            links: Vec::new(),
        }
    }
}

#[derive(Clone, Copy)]
enum Fault {
    Crash(AnyNode),
    Pause(AnyNode),
    Cut(AnyNode, AnyNode),
    Reset(AnyNode, AnyNode),
}

impl Simulator {
    /// Lets faults happen until a moment; all are over by then.
    pub fn chaos(&mut self, chaos: &Chaos, until: Time) {
        let crashes = chaos.crash.iter().map(|node| Fault::Crash(*node));
        let pauses = chaos.pause.iter().map(|node| Fault::Pause(*node));
        let links = chaos.links.iter();
        let links = links.flat_map(|(a, b)| [Fault::Cut(*a, *b), Fault::Reset(*a, *b)]);
        let faults: Vec<Fault> = crashes.chain(pauses).chain(links).collect();
        if faults.is_empty() {
            return;
        }
        let mut at = self.now();
        loop {
            at = at + self.between(chaos.every);
            if at >= until {
                return;
            }
            let fault = faults[self.rng().usize(..faults.len())];
            let end = (at + self.between(chaos.lasting)).min(until);
            self.at(at, move |sim| match fault {
                Fault::Crash(node) => sim.crash(node),
                Fault::Pause(node) => sim.pause(node),
                Fault::Cut(a, b) => sim.cut(a, b),
                Fault::Reset(a, b) => sim.reset(a, b),
            });
            self.at(end, move |sim| match fault {
                Fault::Crash(node) => sim.restart(node),
                Fault::Pause(node) => sim.resume(node),
                Fault::Cut(a, b) => sim.heal(a, b),
                Fault::Reset(..) => {}
            });
        }
    }

    fn between(&mut self, (from, to): (Duration, Duration)) -> Duration {
        let span = to.saturating_sub(from).as_nanos() as u64;
        from + Duration::from_nanos(self.rng().u64(0..=span))
    }
}
