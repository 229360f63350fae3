//! Whole networks of machines under faults, from a seed, in virtual time.
//!
//! A [`Simulator`] has nodes, each a [`Machine`] with its application, and a network between them that
//! behaves as ZeroMQ's sockets do. One seed decides everything that is left to chance, so that a failing
//! run can be had again. Time passes from event to event: minutes take milliseconds.
//!
//! ```
//! # use std::time::Duration;
//! # use xebec_patterns::simulator::{self, Simulator};
//! simulator::seeds(100, |sim| {
//!     // sim.node("client", …), sim.node("server", …), sim.chaos(…)
//!     sim.run_for(Duration::from_secs(60));
//! });
//! ```
//!
//! A seed that fails is printed, and `XEBEC_SEED=17 cargo test NAME` runs it alone; with
//! `XEBEC_TRACE=1` as well every event and action is printed. `XEBEC_SEEDS=100000` runs so many of them.
//!
//! What lives here: nodes, time, faults, invariants. How sockets behave is in `net`.

mod chaos;
mod net;
mod node;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fastrand::Rng;

pub use self::chaos::Chaos;
pub use self::net::Conditions;
use self::net::{Net, News, Pending};
use self::node::{Actor, Done, Node, Told};
pub use self::node::{AnyNode, App, Desk, NodeId};
use crate::machine::{Machine, Time};

/// How late a timer may be, at most.
const LATENESS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Running,
    Crashed,
    /// The machine said [`Action::End`](crate::Action::End).
    Ended,
}

struct Slot {
    name: String,
    actor: Box<dyn Actor>,
    condition: Condition,
    /// Grows with each restart; what was meant for an earlier life is dropped.
    life: u32,
    /// The moment for which a wake-up is on its way.
    wake: Option<Time>,
    /// What happened while it stood still.
    backlog: VecDeque<Told>,
}

enum Item {
    /// In a box: entries are moved about in the queue.
    Net(Box<Pending>),
    Wake(usize, u32),
    Command(usize, u32, Box<dyn Any>),
    Script(Box<dyn FnOnce(&mut Simulator)>),
}

type Invariant = Box<dyn FnMut(&Simulator) -> Result<(), String>>;

/// A simulated network of machines.
pub struct Simulator {
    seed: u64,
    now: Time,
    rng: Rng,
    net: Net,
    slots: Vec<Slot>,
    queue: BTreeMap<(Time, u64), Item>,
    sequence: u64,
    steps: u64,
    invariants: Vec<Invariant>,
    trace: bool,
}

/// Runs `test` with a simulator for each of the seeds 0 to `count`, or with the one in `XEBEC_SEED`.
///
/// # Panics
/// As soon as a seed fails; it is printed.
pub fn seeds(count: u64, test: impl Fn(&mut Simulator)) {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("XEBEC_SEED") {
        return test(&mut Simulator::new(seed));
    }
    for seed in 0..number("XEBEC_SEEDS").unwrap_or(count) {
        let mut simulator = Simulator::new(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&mut simulator))) {
            eprintln!(
                "seed {seed} failed at {}; to run it alone: XEBEC_SEED={seed} XEBEC_TRACE=1 cargo test …",
                simulator.now
            );
            resume_unwind(panic);
        }
    }
}

impl Simulator {
    /// An empty network.
    pub fn new(seed: u64) -> Self {
        Simulator {
            seed,
            now: Time::ZERO,
            rng: Rng::with_seed(seed),
            net: Net::new(),
            slots: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            steps: 0,
            invariants: Vec::new(),
            trace: env::var_os("XEBEC_TRACE").is_some(),
        }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present moment.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Chance, from the seed.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// How many events have happened.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many messages were dropped on their way, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.net.dropped
    }

    /// What the network is like from now on.
    pub fn conditions(&mut self) -> &mut Conditions {
        &mut self.net.conditions
    }

    /// Adds a node and starts it. `make` is called now and after each restart: what it returns is lost
    /// in a crash, what it has captured is what survives one.
    pub fn node<M, A>(
        &mut self,
        name: &str,
        mut make: impl FnMut(&mut Rng) -> (M, A) + 'static,
    ) -> NodeId<M>
    where
        M: Machine + 'static,
        M::Command: Debug + 'static,
        M::Output: Debug,
        A: FnMut(&mut Desk<'_, M::Command>, M::Output) + 'static,
    {
        let index = self.slots.len();
        let make = move |rng: &mut Rng| {
            let (machine, app) = make(rng);
            (machine, Box::new(app) as App<M>)
        };
        self.slots.push(Slot {
            name: name.to_owned(),
            actor: Box::new(Node::new(make)),
            condition: Condition::Crashed,
            life: 0,
            wake: None,
            backlog: VecDeque::new(),
        });
        self.restart(AnyNode(index));
        NodeId::new(index)
    }

    /// The machine of a node, unless it has crashed.
    pub fn machine<M: Machine + 'static>(&self, node: NodeId<M>) -> Option<&M> {
        let machine = self.slots[node.index].actor.machine()?;
        machine.downcast_ref()
    }

    /// Gives a command to a machine. One that has crashed does not get it.
    pub fn command<M: Machine>(&mut self, node: NodeId<M>, command: M::Command)
    where
        M::Command: 'static,
    {
        self.tell(node.index, Told::Command(Box::new(command)));
        self.settle();
    }

    /// Tells a machine to end.
    pub fn stop(&mut self, node: impl Into<AnyNode>) {
        self.tell(node.into().0, Told::Stop);
        self.settle();
    }

    /// Whether a machine has ended of itself.
    pub fn has_ended(&self, node: impl Into<AnyNode>) -> bool {
        self.slots[node.into().0].condition == Condition::Ended
    }

    /// Whether a node runs: has neither crashed nor ended.
    pub fn is_running(&self, node: impl Into<AnyNode>) -> bool {
        self.slots[node.into().0].condition == Condition::Running
    }

    /// Checks something after every event; an error fails the run.
    pub fn invariant(&mut self, check: impl FnMut(&Simulator) -> Result<(), String> + 'static) {
        self.invariants.push(Box::new(check));
    }

    /// Does something at a moment to come.
    pub fn at(&mut self, time: Time, script: impl FnOnce(&mut Simulator) + 'static) {
        self.schedule(time.max(self.now), Item::Script(Box::new(script)));
    }

    // ---- faults ----

    /// Kills a node: its machine is gone, its connections close.
    pub fn crash(&mut self, node: impl Into<AnyNode>) {
        let index = node.into().0;
        self.note(index, "crashes");
        let slot = &mut self.slots[index];
        if slot.condition != Condition::Running {
            return;
        }
        slot.condition = Condition::Crashed;
        slot.life += 1;
        slot.wake = None;
        slot.backlog.clear();
        slot.actor.forget();
        self.net.resume(index);
        self.net.close_all(index, self.now, &mut self.rng);
        self.settle();
    }

    /// Starts a node that has crashed or ended, with a new machine.
    pub fn restart(&mut self, node: impl Into<AnyNode>) {
        let index = node.into().0;
        self.note(index, "starts");
        let slot = &mut self.slots[index];
        if slot.condition == Condition::Running {
            return;
        }
        slot.condition = Condition::Running;
        slot.life += 1;
        slot.wake = None;
        slot.actor.renew(&mut self.rng);
        self.tell(index, Told::Start);
        self.settle();
    }

    /// Makes a node stand still, as SIGSTOP does: what is sent to it waits.
    pub fn pause(&mut self, node: impl Into<AnyNode>) {
        let index = node.into().0;
        self.note(index, "stands still");
        if self.slots[index].condition == Condition::Running {
            self.net.pause(index, self.now);
        }
        self.settle();
    }

    /// Lets a node that stands still go on.
    pub fn resume(&mut self, node: impl Into<AnyNode>) {
        let index = node.into().0;
        if !self.net.is_paused(index) {
            return;
        }
        self.note(index, "goes on");
        self.net.resume(index);
        let life = self.slots[index].life;
        for told in std::mem::take(&mut self.slots[index].backlog) {
            if self.slots[index].life == life {
                self.tell(index, told);
            }
        }
        for socket in self.net.sockets_of(index) {
            self.net.offer(socket);
        }
        self.settle();
        // Last: it first hears what had come in time.
        self.wake(index);
        self.settle();
    }

    /// Lets nothing pass between two nodes, until it is healed. What is sent meanwhile waits, as TCP
    /// has it; ends with heartbeats of ZMTP notice.
    pub fn cut(&mut self, a: impl Into<AnyNode>, b: impl Into<AnyNode>) {
        let (a, b) = (a.into().0, b.into().0);
        self.note(a, "is cut off from");
        self.note(b, "(the other)");
        self.net.cut(a, b, self.now);
        self.settle();
    }

    /// Lets messages pass between two nodes again.
    pub fn heal(&mut self, a: impl Into<AnyNode>, b: impl Into<AnyNode>) {
        let (a, b) = (a.into().0, b.into().0);
        self.note(a, "is joined again with");
        self.note(b, "(the other)");
        self.net.heal(a, b, self.now, &mut self.rng);
        self.settle();
    }

    /// Breaks the connections between two nodes; what is on its way is lost.
    pub fn reset(&mut self, a: impl Into<AnyNode>, b: impl Into<AnyNode>) {
        let (a, b) = (a.into().0, b.into().0);
        self.note(a, "loses its connections to");
        self.note(b, "(the other)");
        self.net.reset(a, b, self.now, &mut self.rng);
        self.settle();
    }

    /// Ends every fault: cuts heal, who stands still goes on, who has crashed starts, and the network
    /// loses and duplicates nothing any more.
    pub fn calm(&mut self) {
        self.net.conditions.loss = 0.0;
        self.net.conditions.duplication = 0.0;
        self.net.heal_all(self.now, &mut self.rng);
        for index in 0..self.slots.len() {
            self.resume(AnyNode(index));
            if self.slots[index].condition == Condition::Crashed {
                self.restart(AnyNode(index));
            }
        }
    }

    // ---- time ----

    /// Runs for so long.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        self.run_while(until, |_| true);
    }

    /// Runs until `done` says so, at most until the moment. True if it said so.
    pub fn run_until(&mut self, until: Time, mut done: impl FnMut(&Simulator) -> bool) -> bool {
        !self.run_while(until, |sim| !done(sim))
    }

    fn run_while(&mut self, until: Time, mut on: impl FnMut(&Simulator) -> bool) -> bool {
        while on(self) {
            let next = self.queue.first_key_value();
            if next.is_none_or(|((at, _), _)| *at > until) {
                self.now = until;
                return true;
            }
            self.step();
        }
        false
    }

    fn step(&mut self) {
        let Some(((at, _), item)) = self.queue.pop_first() else {
            return;
        };
        self.now = at;
        self.steps += 1;
        match item {
            Item::Net(pending) => self.net.happen(*pending, at, &mut self.rng),
            Item::Wake(index, life) => {
                let slot = &mut self.slots[index];
                // One that an earlier one has replaced would be scheduled again and again beside it.
                if slot.life == life && slot.wake == Some(at) {
                    slot.wake = None;
                    self.wake(index);
                }
            }
            Item::Command(index, life, command) => {
                if self.slots[index].life == life {
                    self.tell(index, Told::Command(command));
                }
            }
            Item::Script(script) => script(self),
        }
        self.settle();
        let mut invariants = std::mem::take(&mut self.invariants);
        for check in &mut invariants {
            if let Err(why) = check(self) {
                panic!("seed {}, at {}: {why}", self.seed, self.now);
            }
        }
        self.invariants = invariants;
    }

    /// Tells a machine that its moment has come, if it has.
    fn wake(&mut self, index: usize) {
        let slot = &self.slots[index];
        if slot.condition != Condition::Running || self.net.is_paused(index) {
            return;
        }
        if slot.actor.due().is_some_and(|at| at <= self.now) {
            self.tell(index, Told::Due);
            let due = self.slots[index].actor.due();
            assert!(
                self.slots[index].condition != Condition::Running
                    || due.is_none_or(|at| at > self.now),
                "{}: after Due at {} it is due again at {due:?}",
                self.slots[index].name,
                self.now
            );
        } else {
            self.set_wake(index);
        }
    }

    fn set_wake(&mut self, index: usize) {
        let now = self.now;
        let slot = &mut self.slots[index];
        let due = slot.actor.due();
        if let Some(at) = due
            && slot.condition == Condition::Running
            && slot.wake.is_none_or(|wake| at < wake)
        {
            let late = Duration::from_nanos(self.rng.u64(0..=LATENESS.as_nanos() as u64));
            let at = at.max(now) + late;
            slot.wake = Some(at);
            let life = slot.life;
            self.schedule(at, Item::Wake(index, life));
        }
    }

    fn schedule(&mut self, at: Time, item: Item) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), item);
    }

    /// Brings what the network has for the nodes, until there is no more.
    fn settle(&mut self) {
        loop {
            for (at, pending) in std::mem::take(&mut self.net.pending) {
                self.schedule(at, Item::Net(Box::new(pending)));
            }
            match self.net.news.pop_front() {
                Some(News::Ready(socket)) => {
                    let owner = self.net.whose(socket);
                    if let Some((index, port)) = owner
                        && let Some(message) = self.net.take(socket)
                    {
                        self.tell(index, Told::Message(port, message));
                        self.net.offer(socket);
                    }
                }
                Some(News::Link(socket, endpoint, link)) => {
                    if let Some((index, port)) = self.net.whose(socket) {
                        self.tell(index, Told::Link(port, endpoint, link));
                    }
                }
                None => return,
            }
        }
    }

    fn tell(&mut self, index: usize, told: Told) {
        let mut next = Some(told);
        let mut unsent = VecDeque::new();
        let mut done = Vec::new();
        while let Some(told) = next {
            let slot = &mut self.slots[index];
            if slot.condition != Condition::Running {
                return;
            }
            if self.net.is_paused(index) {
                slot.backlog.push_back(told);
                return;
            }
            let name = self.trace.then_some(slot.name.as_str());
            slot.actor
                .handle(told, self.now, &mut self.rng, &mut done, name);
            for action in done.drain(..) {
                if self.slots[index].condition == Condition::Running {
                    unsent.extend(self.perform(index, action));
                }
            }
            next = unsent.pop_front();
        }
        self.set_wake(index);
    }

    fn perform(&mut self, index: usize, action: Done) -> Option<Told> {
        let (net, now, rng) = (&mut self.net, self.now, &mut self.rng);
        match action {
            Done::Open(port, spec) => net.open(index, port, *spec, now, rng),
            Done::Close(port) => net.close(index, port, now, rng),
            Done::Connect(port, to) => net.connect(index, port, to, now, rng),
            Done::Disconnect(port, endpoint) => net.disconnect(index, port, &endpoint, now, rng),
            Done::Listen(port, on) => {
                net.listen(index, port, on);
                if let Some(socket) = net.socket(index, port) {
                    net.offer(socket);
                }
            }
            Done::Send(port, message) => {
                let (message, why) = net.send(index, port, message, now, rng).err()?;
                return Some(Told::Unsent(port, message, why));
            }
            Done::Command(after, command) => {
                let life = self.slots[index].life;
                self.schedule(now + after, Item::Command(index, life, command));
            }
            Done::End => {
                self.slots[index].condition = Condition::Ended;
                self.net.close_all(index, self.now, &mut self.rng);
            }
        }
        None
    }

    fn note(&self, index: usize, what: &str) {
        if self.trace {
            eprintln!("{} {} {what}", self.now, self.slots[index].name);
        }
    }
}

#[cfg(test)]
mod tests;
