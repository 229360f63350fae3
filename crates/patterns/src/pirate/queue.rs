//! The queue of both pirates.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use xebec::{Bytes, Frame, Message, Options, SocketType};

use super::{GONE, HEARTBEAT, INTERVAL, LIVENESS, READY};
use crate::machine::{Actions, Event, Machine, Port, Spec, Time};

const FRONT: Port = Port(0);
const BACK: Port = Port(1);

/// How a queue behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where clients connect: `tcp://*:5555`.
    pub frontend: String,
    /// Where workers connect: `tcp://*:5556`.
    pub backend: String,
    /// How often workers with heartbeats are sent one. 1 s.
    pub interval: Duration,
    /// After how many silent intervals such a worker is gone. 3.
    pub liveness: u32,
    /// To how many workers a request is given in all, one after another, when they go while they have
    /// it. With 1, as in the Guide, it is lost, and the client asks again. More is for work that may
    /// be done twice.
    pub attempts: u32,
    /// How long a worker may have a request; one that has it for longer is stuck, though it sends
    /// heartbeats. `None`, as in the Guide: for as long as it likes.
    pub request_time: Option<Duration>,
    /// What becomes of the request of a worker that is stuck.
    pub stuck: Stuck,
    /// Workers that the queue has at most; others are not heard. 10,000.
    pub workers: usize,
    /// Options of both sockets, such as those of security. By default MAXMSGSIZE is 256 MiB.
    pub options: Options,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            frontend: "tcp://*:5555".to_owned(),
            backend: "tcp://*:5556".to_owned(),
            interval: INTERVAL,
            liveness: LIVENESS,
            attempts: 1,
            request_time: None,
            stuck: Stuck::default(),
            workers: 10_000,
            options: Options::new().maxmsgsize(256 << 20),
        }
    }
}

/// What becomes of the request of a worker that is stuck. Either way it is told, and the worker is not
/// given another before it has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stuck {
    /// It is taken from it: given to another, or lost, as [`Config::attempts`] says. A reply that comes
    /// all the same is passed on if nobody else has it.
    #[default]
    TakeBack,
    /// The worker keeps it.
    Report,
}

/// Why a worker is taken for gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was silent for too long.
    Silent,
    /// Its connection is gone.
    Disconnected,
    /// It announced itself anew while it had a request.
    Restarted,
}

/// What the application of a queue is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A worker has come.
    Joined(Bytes),
    /// A worker has gone.
    Left(Bytes, Gone),
    /// A worker has had a request for [too long](Config::request_time).
    Stuck(Bytes),
    /// A request was lost with its worker: it was the last of the [attempts](Config::attempts).
    Lost(Message),
    /// A worker, the first frame, sent what is neither READY, nor a heartbeat, nor a reply.
    Invalid(Message),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: &Bytes| Frame::from(id.clone());
        match self {
            Output::Joined(worker) => write!(f, "I: worker {:?} has come", id(worker)),
            Output::Left(worker, Gone::Silent) => {
                write!(f, "W: worker {:?} is silent, deleted", id(worker))
            }
            Output::Left(worker, Gone::Disconnected) => {
                write!(f, "I: worker {:?} has gone", id(worker))
            }
            Output::Left(worker, Gone::Restarted) => {
                write!(f, "W: worker {:?} has lost its request", id(worker))
            }
            Output::Stuck(worker) => write!(f, "W: worker {:?} is stuck", id(worker)),
            Output::Lost(_) => f.write_str("W: a request was lost with its worker"),
            Output::Invalid(_) => f.write_str("E: invalid message from worker"),
        }
    }
}

/// What a queue has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were given to a worker, each time.
    pub requests: u64,
    /// Replies that were sent to clients.
    pub replies: u64,
    /// Replies that were dropped: their request was another worker's by then, or of another queue.
    pub late: u64,
    /// Requests that a worker had for too long.
    pub stuck: u64,
    /// Requests that were given to another worker because theirs had gone or was stuck.
    pub reassigned: u64,
    /// Requests that were lost with their worker.
    pub lost: u64,
    /// Workers that were silent for too long.
    pub expired: u64,
    /// Messages that were none of the protocol, of workers or clients.
    pub invalid: u64,
    /// Messages of workers beyond the limit.
    pub refused: u64,
}

struct Worker {
    /// A REQ: its own delimiter goes before everything, and it has no heartbeats.
    is_simple: bool,
    /// When it is gone unless it is heard.
    expiry: Option<Time>,
    /// When it is stuck with what it has.
    deadline: Option<Time>,
    state: State,
}

enum State {
    /// Its place among the idle.
    Idle(u64),
    /// It has this request, after so many others had it.
    Busy(Message, u32),
    /// It was silent for too long with this request, or stuck, and it is lost; or with one that another has
    /// by now (`None`). It is not given another before it has answered that one.
    Owing(Option<Message>),
}

/// The queue of Simple and Paranoid Pirate.
pub struct Queue {
    config: Config,
    workers: HashMap<Bytes, Worker>,
    /// The idle ones, from that which has been idle for the longest time.
    idle: BTreeMap<u64, Bytes>,
    turn: u64,
    expiries: BTreeSet<(Time, Bytes)>,
    deadlines: BTreeSet<(Time, Bytes)>,
    /// Requests whose worker has gone, and how many have had them. As each came off a worker, there are
    /// no more of them than workers.
    orphans: VecDeque<(Message, u32)>,
    beat: Option<Time>,
    listening: bool,
    counters: Counters,
}

impl Queue {
    /// A queue.
    ///
    /// # Panics
    /// If the interval of its heartbeats, or the liveness, is zero.
    pub fn new(config: Config) -> Self {
        assert!(
            !config.interval.is_zero() && config.liveness > 0,
            "heartbeats take some time"
        );
        Queue {
            config,
            workers: HashMap::new(),
            idle: BTreeMap::new(),
            turn: 0,
            expiries: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            orphans: VecDeque::new(),
            beat: None,
            listening: true,
            counters: Counters::default(),
        }
    }

    /// The port of the clients.
    pub const FRONTEND: Port = FRONT;
    /// The port of the workers.
    pub const BACKEND: Port = BACK;

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Workers that it knows, and how many of them are idle.
    pub fn workers(&self) -> (usize, usize) {
        (self.workers.len(), self.idle.len())
    }

    fn open(&self, actions: &mut Actions<Output>) {
        let mut options = self.config.options.clone().linger(Duration::from_secs(1));
        // A connection that is dead without a word ends, too, and with it what is known of its worker.
        let life = self.config.interval.saturating_mul(self.config.liveness);
        options.heartbeat_ivl.get_or_insert(life);
        let front = Spec::new(SocketType::Router).options(options.clone());
        actions.open(FRONT, front.bind(&self.config.frontend));
        // A worker that cannot be reached is known at once. One that comes back under its name is
        // not kept out by its former connection.
        let options = options
            .router_mandatory(true)
            .router_handover(true)
            .disconnect_msg(GONE);
        let back = Spec::new(SocketType::Router).options(options);
        actions.open(BACK, back.bind(&self.config.backend));
    }

    /// Any message of a worker: `[worker]…`.
    fn worker_said(&mut self, mut message: Message, now: Time, actions: &mut Actions<Output>) {
        let Some(id) = message.pop_front() else {
            return;
        };
        let id = id.into_bytes();
        let is_simple = message.first().is_empty() && message.len() > 1;
        if is_simple {
            message.pop_front();
        }
        let control = (message.len() == 1).then(|| message.first().as_bytes());
        match control {
            Some(GONE) => self.remove(&id, Gone::Disconnected, actions),
            Some(READY) => {
                if matches!(self.state(&id), Some(State::Busy(..) | State::Owing(_))) {
                    self.remove(&id, Gone::Restarted, actions);
                }
                self.heard(&id, is_simple, now, actions);
            }
            // Of an unknown worker it means that this queue is new.
            Some(HEARTBEAT) => self.heard(&id, is_simple, now, actions),
            None if has_envelope(&message) => {
                self.heard(&id, is_simple, now, actions);
                // Only who has the request answers it: another may have had it before, and its client,
                // a REQ, would take the second reply for that to its next request.
                let wanted = match self.state(&id) {
                    Some(State::Busy(request, _) | State::Owing(Some(request))) => {
                        same_envelope(request, &message)
                    }
                    _ => false,
                };
                if wanted || matches!(self.state(&id), Some(State::Owing(None))) {
                    self.set_idle(&id);
                }
                if wanted {
                    self.counters.replies += 1;
                    actions.send(FRONT, message);
                } else {
                    self.counters.late += 1;
                }
            }
            _ => {
                self.counters.invalid += 1;
                message.push_front(id);
                actions.deliver(Output::Invalid(message));
            }
        }
        self.dispatch(now, actions);
    }

    fn state(&self, id: &Bytes) -> Option<&State> {
        Some(&self.workers.get(id)?.state)
    }

    /// A worker is alive; one that was not known is idle.
    fn heard(&mut self, id: &Bytes, is_simple: bool, now: Time, actions: &mut Actions<Output>) {
        let life = self.config.interval.saturating_mul(self.config.liveness);
        let expiry = (!is_simple).then(|| now + life);
        if let Some(worker) = self.workers.get_mut(id) {
            if let Some(before) = std::mem::replace(&mut worker.expiry, expiry) {
                self.expiries.remove(&(before, id.clone()));
            }
            worker.is_simple = is_simple;
        } else if self.workers.len() < self.config.workers {
            let worker = Worker {
                is_simple,
                expiry,
                deadline: None,
                state: State::Idle(0),
            };
            self.workers.insert(id.clone(), worker);
            self.set_idle(id);
            actions.deliver(Output::Joined(id.clone()));
        } else {
            self.counters.refused += 1;
            return;
        }
        if let Some(expiry) = expiry {
            self.expiries.insert((expiry, id.clone()));
            self.beat.get_or_insert(now + self.config.interval);
        }
    }

    fn set_idle(&mut self, id: &Bytes) {
        self.clear_deadline(id);
        if let Some(worker) = self.workers.get_mut(id) {
            self.turn += 1;
            worker.state = State::Idle(self.turn);
            self.idle.insert(self.turn, id.clone());
        }
    }

    fn clear_deadline(&mut self, id: &Bytes) {
        let worker = self.workers.get_mut(id);
        if let Some(at) = worker.and_then(|worker| worker.deadline.take()) {
            self.deadlines.remove(&(at, id.clone()));
        }
    }

    /// A worker has had its request for too long.
    fn stuck(&mut self, id: &Bytes, actions: &mut Actions<Output>) {
        self.clear_deadline(id);
        self.counters.stuck += 1;
        actions.deliver(Output::Stuck(id.clone()));
        let Some(worker) = self.workers.get_mut(id) else {
            return;
        };
        if let State::Busy(request, had) = &worker.state
            && self.config.stuck == Stuck::TakeBack
        {
            let (request, had) = (request.clone(), *had);
            let lost = had >= self.config.attempts;
            worker.state = State::Owing(lost.then(|| request.clone()));
            self.take_back(request, had, actions);
        }
    }

    /// Gives what a worker had to another, or tells that it is lost.
    fn take_back(&mut self, request: Message, had: u32, actions: &mut Actions<Output>) {
        if had < self.config.attempts {
            self.counters.reassigned += 1;
            self.orphans.push_back((request, had));
        } else {
            self.counters.lost += 1;
            actions.deliver(Output::Lost(request));
        }
    }

    /// A worker has gone; what it had goes to another, or is lost.
    fn remove(&mut self, id: &Bytes, why: Gone, actions: &mut Actions<Output>) {
        self.clear_deadline(id);
        let Some(worker) = self.workers.remove(id) else {
            return;
        };
        if let Some(expiry) = worker.expiry {
            self.expiries.remove(&(expiry, id.clone()));
        }
        self.counters.expired += u64::from(why == Gone::Silent);
        actions.deliver(Output::Left(id.clone(), why));
        match worker.state {
            State::Idle(turn) => drop(self.idle.remove(&turn)),
            State::Owing(_) => {}
            State::Busy(request, had) => {
                if why == Gone::Silent {
                    let lost = had >= self.config.attempts;
                    let state = State::Owing(lost.then(|| request.clone()));
                    let worker = Worker {
                        is_simple: worker.is_simple,
                        expiry: None,
                        deadline: None,
                        state,
                    };
                    self.workers.insert(id.clone(), worker);
                }
                self.take_back(request, had, actions);
            }
        }
    }

    fn give(&mut self, request: Message, had: u32, now: Time, actions: &mut Actions<Output>) {
        let Some((_, id)) = self.idle.pop_first() else {
            return self.orphans.push_back((request, had));
        };
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let mut message = request.clone();
        worker.state = State::Busy(request, had + 1);
        worker.deadline = self.config.request_time.map(|time| now + time);
        let deadline = worker.deadline.map(|at| (at, id.clone()));
        self.deadlines.extend(deadline);
        if worker.is_simple {
            message.push_front("");
        }
        message.push_front(id);
        self.counters.requests += 1;
        actions.send(BACK, message);
    }

    /// Gives the orphans to whoever is idle, and opens the frontend if there are idle ones left.
    fn dispatch(&mut self, now: Time, actions: &mut Actions<Output>) {
        while !self.idle.is_empty()
            && let Some((request, had)) = self.orphans.pop_front()
        {
            self.give(request, had, now, actions);
        }
        let listen = !self.idle.is_empty();
        if listen != self.listening {
            self.listening = listen;
            actions.listen(FRONT, listen);
        }
    }

    /// The worker that a message was for is not there: it never had it.
    fn unsent(&mut self, message: &Message, now: Time, actions: &mut Actions<Output>) {
        let id = message.first().clone().into_bytes();
        if let Some(State::Busy(_, had)) = self.workers.get_mut(&id).map(|w| &mut w.state)
            && message.len() > 2
        {
            *had = had.saturating_sub(1);
        }
        self.remove(&id, Gone::Disconnected, actions);
        self.dispatch(now, actions);
    }

    fn tick(&mut self, now: Time, actions: &mut Actions<Output>) {
        while let Some((at, id)) = self.expiries.first()
            && *at <= now
        {
            let id = id.clone();
            self.remove(&id, Gone::Silent, actions);
        }
        while let Some((at, id)) = self.deadlines.first()
            && *at <= now
        {
            let id = id.clone();
            self.stuck(&id, actions);
        }
        if self.beat.is_some_and(|at| at <= now) {
            for (_, id) in &self.expiries {
                actions.send(BACK, [&id[..], HEARTBEAT].into_iter().collect::<Message>());
            }
            let more = !self.expiries.is_empty();
            self.beat = more.then(|| now + self.config.interval);
        }
        self.dispatch(now, actions);
    }
}

impl Machine for Queue {
    type Command = std::convert::Infallible;
    type Output = Output;

    fn handle(&mut self, event: Event<Self::Command>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => {
                self.open(actions);
                self.dispatch(now, actions);
            }
            // No worker could answer it, and the one that had it would never be idle again.
            Event::Message { port, message } if port == FRONT && !has_envelope(&message) => {
                self.counters.invalid += 1;
            }
            Event::Message { port, message } if port == FRONT => {
                self.give(message, 0, now, actions);
                self.dispatch(now, actions);
            }
            Event::Message { message, .. } => self.worker_said(message, now, actions),
            Event::Unsent { port, message, .. } if port == BACK => {
                self.unsent(&message, now, actions)
            }
            Event::Unsent { .. } | Event::Link { .. } => {}
            Event::Due => self.tick(now, actions),
            Event::Command(never) => match never {},
            Event::Stop => actions.end(),
        }
    }

    fn due(&self) -> Option<Time> {
        let timers = [self.expiries.first(), self.deadlines.first()];
        let timers = timers.into_iter().flatten().map(|(at, _)| *at);
        timers.chain(self.beat).min()
    }
}

/// Whether it is `[address…][""][body…]`.
fn has_envelope(message: &Message) -> bool {
    let empty = message.frames().position(Frame::is_empty);
    empty.is_some_and(|at| at > 0 && at + 1 < message.len())
}

/// Whether two messages have the same address: their frames up to the empty one.
fn same_envelope(a: &Message, b: &Message) -> bool {
    fn address(message: &Message) -> impl Iterator<Item = &Frame> {
        message.frames().take_while(|frame| !frame.is_empty())
    }
    address(a).eq(address(b))
}
