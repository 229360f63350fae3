//! The services of RFC 9 as a machine: `titanic.request`, `titanic.reply` and `titanic.close`.
//!
//! It does not know how frames travel. Whoever runs it brings what clients ask as [`Told::Asked`], carries
//! out [`Tell::Call`]s to the services and brings back what came of them, and makes the store durable when
//! [`Tell::Sync`] asks for it (in a thread of its own, so that nobody waits for the disk).
//!
//! What it promises:
//! * "200" in answer to `titanic.request` and `titanic.close` means durable, and so does a reply that
//!   `titanic.reply` hands out: it will be the same after a crash.
//! * A request is executed until it has a reply, at least once; never again once its reply is durable.
//! * Each service has a queue of its own. One that is slow or away delays no other.
//! * What the store refuses is answered with 500 and the reason. A reply for which there is no room is
//!   held, and its place at the service with it, until requests are closed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use xebec::Frame;

use super::{Id, Mark, State, Store, StoreError};
use crate::{Actions, Backoff, Event, Machine, Time};

/// Names what a client asked, for whoever runs the machine; an answer carries it back.
pub type Ticket = u64;

/// One of the three services of RFC 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `titanic.request`: keep a request. Frames: service, body…; answer: status, UUID.
    Request,
    /// `titanic.reply`: the reply to a request. Frame: UUID; answer: status, body….
    Reply,
    /// `titanic.close`: forget a request. Frame: UUID; answer: status.
    Close,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 3] = [Service::Request, Service::Reply, Service::Close];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Request => "titanic.request",
            Service::Reply => "titanic.reply",
            Service::Close => "titanic.close",
        }
    }

    /// The one of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|service| service.name().as_bytes() == name)
    }
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// A client asks a service.
    Asked {
        /// What the answer is to carry.
        ticket: Ticket,
        /// Which of the three.
        service: Service,
        /// The frames of the request behind the name of the service.
        frames: Vec<Frame>,
    },
    /// A call came to an end.
    Called {
        /// Which request was executed, or not.
        id: Id,
        /// What came of it.
        outcome: Outcome,
    },
    /// Workers of a service are there (again): what waits for it need not wait any longer.
    Available(Frame),
    /// All services may be there (again), because the way to them is.
    Reachable,
    /// What came of a [`Tell::Sync`].
    Synced(Result<(), StoreError>),
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The service replied.
    Reply(Vec<Frame>),
    /// The service did not get it: nobody offers it now.
    Unavailable,
    /// It is not known whether the service executed it; no reply came.
    NoReply,
    /// A reply came that is too large to be kept.
    TooLarge,
}

/// What the machine tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    /// Answer a client.
    Answer {
        /// As it was [asked](Told::Asked).
        ticket: Ticket,
        /// Status and what belongs to it.
        frames: Vec<Frame>,
    },
    /// Send a request to its service.
    Call {
        /// Which.
        id: Id,
        /// Where to.
        service: Frame,
        /// Its body.
        body: Vec<Frame>,
    },
    /// Call [`Store::sync`] with this mark, elsewhere, and tell what came of it. There is only one
    /// such call at a time.
    Sync(Mark),
    /// The store takes no changes any more: nothing but opening it again helps.
    Broken(String),
}

/// How Titanic deals with services.
#[derive(Clone, Debug)]
pub struct TitanicOptions {
    /// Calls to one service at a time.
    pub calls: usize,
    /// Calls to all of them at a time. One service has at most as many of these as are free, so that
    /// however many are slow there is room for another.
    pub calls_in_all: usize,
    /// How long a call may take before the request is sent again.
    pub timeout: Duration,
    /// The pauses after a service was not there or did not reply.
    pub retry: Backoff,
    /// After how many calls without a reply a request is given up: its status is 500 from then on. 0: never.
    /// Calls that the service did not get do not count, nor do those before a restart.
    pub attempts: u16,
    /// Clients that may wait for durability at a time; more are answered with 500.
    pub waiting: usize,
    /// What the clock on the wall says at [`Time::ZERO`].
    pub epoch: SystemTime,
}

impl Default for TitanicOptions {
    fn default() -> Self {
        TitanicOptions {
            calls: 16,
            calls_in_all: 1000,
            timeout: Duration::from_secs(60),
            retry: Backoff::constant(Duration::from_secs(1)),
            attempts: 0,
            waiting: 10_000,
            epoch: SystemTime::UNIX_EPOCH,
        }
    }
}

/// The machine.
pub struct Titanic<S: ?Sized> {
    store: Arc<S>,
    options: TitanicOptions,
    ids: Box<dyn FnMut() -> Id + Send>,
    rng: Rng,
    /// What waits for a mark to be durable, in the order of the marks.
    waiting: VecDeque<(Mark, Waiting)>,
    syncing: bool,
    broken: bool,
    queues: HashMap<Arc<[u8]>, Queue>,
    /// Where each request is that waits for its turn.
    places: HashMap<Id, (Arc<[u8]>, u64)>,
    calls: HashMap<Id, Call>,
    /// How many calls for a request brought no reply.
    fruitless: HashMap<Id, u16>,
    /// Replies that are not durable yet.
    unsettled: HashSet<Id>,
    /// Replies for which there is no room.
    held: VecDeque<(Id, Vec<Frame>)>,
    held_until: Option<Time>,
    timers: BTreeSet<(Time, Timer)>,
    /// Queues from which something may be sent.
    ready: BTreeSet<Arc<[u8]>>,
    /// Queues from which something may be sent when there are fewer calls in all.
    crowded: BTreeSet<Arc<[u8]>>,
    next: u64,
}

enum Waiting {
    Accepted(Ticket, Id, Arc<[u8]>),
    Closed(Ticket),
    Replied(Id),
}

#[derive(Default)]
struct Queue {
    /// In the order in which they were accepted.
    requests: BTreeMap<u64, Id>,
    calls: usize,
    failures: u32,
    paused: Option<Time>,
}

struct Call {
    service: Arc<[u8]>,
    number: u64,
    deadline: Time,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Call(Id),
    Queue(Arc<[u8]>),
}

/// How often a reply is offered to the store for which there was no room.
const HELD: Duration = Duration::from_secs(1);

type Tells = Actions<Tell>;

impl<S: Store + ?Sized> Titanic<S> {
    /// A machine on a store. Requests that are in it already are executed once the machine starts.
    /// `ids` makes the UUIDs, which nobody should be able to guess: see [`Id::random`].
    pub fn new(
        store: Arc<S>,
        options: TitanicOptions,
        ids: impl FnMut() -> Id + Send + 'static,
        seed: u64,
    ) -> Self {
        Titanic {
            store,
            options,
            ids: Box::new(ids),
            rng: Rng::with_seed(seed),
            waiting: VecDeque::new(),
            syncing: false,
            broken: false,
            queues: HashMap::new(),
            places: HashMap::new(),
            calls: HashMap::new(),
            fruitless: HashMap::new(),
            unsettled: HashSet::new(),
            held: VecDeque::new(),
            held_until: None,
            timers: BTreeSet::new(),
            ready: BTreeSet::new(),
            crowded: BTreeSet::new(),
            next: 0,
        }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How many requests wait for their turn, and how many calls are under way.
    pub fn load(&self) -> (usize, usize) {
        (self.places.len(), self.calls.len())
    }

    /// Changes [`TitanicOptions::calls_in_all`], for the calls to come.
    pub fn limit_calls(&mut self, in_all: usize) {
        self.options.calls_in_all = in_all;
    }

    // ---- what clients ask ----

    fn asked(
        &mut self,
        ticket: Ticket,
        service: Service,
        frames: &[Frame],
        now: Time,
        tells: &mut Tells,
    ) {
        let answer = match service {
            Service::Request => self.request(ticket, frames, now),
            Service::Reply => Some(self.reply(frames)),
            Service::Close => self.close(ticket, frames, now, tells),
        };
        if let Some(frames) = answer {
            tells.deliver(Tell::Answer { ticket, frames });
        }
    }

    fn request(&mut self, ticket: Ticket, frames: &[Frame], now: Time) -> Option<Vec<Frame>> {
        let [service, _body, ..] = frames else {
            return Some(error("a request has two frames at least: service and body"));
        };
        if let Err(why) = check_name(service.as_bytes()) {
            return Some(error(why));
        }
        if self.waiting.len() >= self.options.waiting {
            return Some(error(
                "too many requests wait to be stored; try again later",
            ));
        }
        let id = (self.ids)();
        let at = self.options.epoch + now.elapsed();
        match self.store.submit(id, frames, at) {
            Ok(mark) => {
                let service = self.name(service.as_bytes());
                self.wait(mark, Waiting::Accepted(ticket, id, service));
                None
            }
            Err(why) => Some(error(why)),
        }
    }

    fn reply(&self, frames: &[Frame]) -> Vec<Frame> {
        let id = match parse(frames) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        match self.store.state(id) {
            None => vec![Frame::from("400")],
            Some(State::Pending { .. }) => vec![Frame::from("300")],
            Some(State::Replied) if self.unsettled.contains(&id) => vec![Frame::from("300")],
            Some(State::Replied) => match self.store.fetch(id) {
                Ok(reply) => [vec![Frame::from("200")], reply].concat(),
                Err(why) => error(why),
            },
            Some(State::Damaged) => error(StoreError::Damaged),
            Some(State::Abandoned) => {
                error("it was tried often enough and has no reply that can be kept")
            }
        }
    }

    fn close(
        &mut self,
        ticket: Ticket,
        frames: &[Frame],
        now: Time,
        tells: &mut Tells,
    ) -> Option<Vec<Frame>> {
        let id = match parse(frames) {
            Ok(id) => id,
            Err(answer) => return Some(answer),
        };
        if self.waiting.len() >= self.options.waiting {
            return Some(error("too many clients wait; try again later"));
        }
        match self.store.close(id) {
            Ok(mark) => {
                self.wait(mark, Waiting::Closed(ticket));
                self.forget(id);
                self.held_replies(now, tells);
                None
            }
            Err(why) => Some(error(why)),
        }
    }

    /// What was closed does not wait for its turn any more. If it is being executed the call goes on.
    fn forget(&mut self, id: Id) {
        self.fruitless.remove(&id);
        if let Some((service, number)) = self.places.remove(&id) {
            let queue = self.queues.get_mut(&service).expect("it is in a queue");
            queue.requests.remove(&number);
            self.tidy(&service);
        }
    }

    // ---- durability ----

    fn wait(&mut self, mark: Mark, waiting: Waiting) {
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last <= mark));
        self.waiting.push_back((mark, waiting));
    }

    /// Tells what is durable, and asks for a sync if somebody waits for one.
    fn settle_up(&mut self, tells: &mut Tells) {
        let mark = self.store.durable();
        while let Some((_, waiting)) = self.waiting.pop_front_if(|(needs, _)| *needs <= mark) {
            match waiting {
                Waiting::Accepted(ticket, id, service) => {
                    let frames = vec![Frame::from("200"), Frame::from(id.to_string())];
                    tells.deliver(Tell::Answer { ticket, frames });
                    self.next += 1;
                    self.enqueue(id, service, self.next);
                }
                Waiting::Closed(ticket) => tells.deliver(Tell::Answer {
                    ticket,
                    frames: vec![Frame::from("200")],
                }),
                Waiting::Replied(id) => {
                    self.unsettled.remove(&id);
                }
            }
        }
        if let Some((mark, _)) = self.waiting.back()
            && !self.syncing
            && !self.broken
        {
            self.syncing = true;
            tells.deliver(Tell::Sync(*mark));
        }
    }

    /// Nobody can tell what was kept: nobody is told that it was.
    fn fail(&mut self, why: &StoreError, tells: &mut Tells) {
        self.syncing = false;
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            if let Waiting::Accepted(ticket, ..) | Waiting::Closed(ticket) = waiting {
                let frames = error(why);
                tells.deliver(Tell::Answer { ticket, frames });
            }
        }
        if !std::mem::replace(&mut self.broken, true) {
            tells.deliver(Tell::Broken(why.to_string()));
        }
    }

    // ---- services ----

    fn name(&self, service: &[u8]) -> Arc<[u8]> {
        match self.queues.get_key_value(service) {
            Some((name, _)) => name.clone(),
            None => service.into(),
        }
    }

    fn enqueue(&mut self, id: Id, service: Arc<[u8]>, number: u64) {
        // It may have been closed before it was durable.
        if !matches!(self.store.state(id), Some(State::Pending { .. })) {
            return self.tidy(&service);
        }
        self.places.insert(id, (service.clone(), number));
        self.ready.insert(service.clone());
        self.queues
            .entry(service)
            .or_default()
            .requests
            .insert(number, id);
    }

    /// Forgets a queue that nothing waits in.
    fn tidy(&mut self, service: &Arc<[u8]>) {
        if let Some(queue) = self.queues.get(service)
            && queue.requests.is_empty()
            && queue.calls == 0
        {
            if let Some(until) = queue.paused {
                self.timers.remove(&(until, Timer::Queue(service.clone())));
            }
            self.queues.remove(service);
        }
    }

    fn dispatch_all(&mut self, now: Time, tells: &mut Tells) {
        while let Some(service) = self.ready.pop_first() {
            self.dispatch(&service, now, tells);
        }
    }

    fn dispatch(&mut self, service: &Arc<[u8]>, now: Time, tells: &mut Tells) {
        while !self.broken
            && let Some(queue) = self.queues.get_mut(service)
            && queue.paused.is_none()
            && queue.calls < self.options.calls
            && !queue.requests.is_empty()
        {
            if queue.calls >= self.options.calls_in_all.saturating_sub(self.calls.len()) {
                self.crowded.insert(service.clone());
                return;
            }
            let (number, id) = queue.requests.pop_first().expect("it is not empty");
            self.places.remove(&id);
            let request = self.store.request(id).and_then(|frames| {
                self.store.dispatched(id)?;
                Ok(frames)
            });
            match request {
                Ok(mut frames) if !frames.is_empty() => {
                    let name = frames.remove(0);
                    let deadline = now + self.options.timeout.max(Duration::from_millis(1));
                    self.timers.insert((deadline, Timer::Call(id)));
                    queue.calls += 1;
                    let call = Call {
                        service: service.clone(),
                        number,
                        deadline,
                    };
                    self.calls.insert(id, call);
                    tells.deliver(Tell::Call {
                        id,
                        service: name,
                        body: frames,
                    });
                }
                // It went bad, or the disk is failing: it is not executed; what is asked of it tells why.
                _ => self.tidy(service),
            }
        }
    }

    fn called(&mut self, id: Id, outcome: Outcome, now: Time, tells: &mut Tells) {
        match outcome {
            // A reply counts whenever it comes, even to an earlier attempt.
            Outcome::Reply(frames) => {
                let call = self.calls.get(&id).map(|call| &call.service);
                let place = || self.places.get(&id).map(|(service, _)| service);
                if let Some(service) = call.or_else(place).cloned() {
                    self.resume(&service);
                }
                self.keep(id, frames, now, tells);
            }
            Outcome::Unavailable => self.failed(id, false, now),
            Outcome::NoReply => self.failed(id, true, now),
            Outcome::TooLarge => {
                let call = self.end_call(id);
                self.give_up(id);
                if let Some(call) = call {
                    self.tidy(&call.service);
                }
            }
        }
    }

    fn keep(&mut self, id: Id, frames: Vec<Frame>, now: Time, tells: &mut Tells) {
        let result = self.store.reply(id, &frames);
        if let Err(StoreError::Full { .. }) = result {
            // Its timer goes and its place at the service stays: no more is executed than can be kept.
            if let Some(call) = self.calls.get(&id) {
                self.timers.remove(&(call.deadline, Timer::Call(id)));
                if self.held.iter().all(|(other, _)| *other != id) {
                    self.held.push_back((id, frames));
                    self.held_until.get_or_insert(now + HELD);
                }
            }
            return;
        }
        self.forget(id);
        if let Some(call) = self.end_call(id) {
            self.tidy(&call.service);
        }
        match result {
            Ok(mark) => self.settle(id, mark),
            Err(StoreError::TooLarge { .. }) => self.give_up(id),
            // It was closed meanwhile.
            Err(StoreError::Unknown) => {}
            Err(why) => self.fail(&why, tells),
        }
    }

    fn give_up(&mut self, id: Id) {
        if let Ok(mark) = self.store.abandon(id) {
            self.settle(id, mark);
        }
    }

    fn settle(&mut self, id: Id, mark: Mark) {
        self.unsettled.insert(id);
        self.wait(mark, Waiting::Replied(id));
    }

    /// Tries again to keep the replies for which there was no room.
    fn held_replies(&mut self, now: Time, tells: &mut Tells) {
        for (id, frames) in std::mem::take(&mut self.held) {
            self.keep(id, frames, now, tells);
        }
    }

    fn failed(&mut self, id: Id, counts: bool, now: Time) {
        let Some(call) = self.end_call(id) else {
            return;
        };
        if !matches!(self.store.state(id), Some(State::Pending { .. })) {
            self.fruitless.remove(&id);
            return self.tidy(&call.service);
        }
        if counts && self.options.attempts > 0 {
            let count = self.fruitless.entry(id).or_default();
            *count = count.saturating_add(1);
            if *count >= self.options.attempts {
                self.give_up(id);
                self.fruitless.remove(&id);
                return self.tidy(&call.service);
            }
        }
        self.enqueue(id, call.service.clone(), call.number);
        let queue = self.queues.get_mut(&call.service).expect("it is in it");
        if queue.paused.is_none() {
            let until = now + self.options.retry.pause(queue.failures, &mut self.rng);
            queue.failures = queue.failures.saturating_add(1);
            queue.paused = Some(until);
            self.timers.insert((until, Timer::Queue(call.service)));
        }
    }

    /// Frees the place of a call at its service, whose queue stays for what comes next.
    fn end_call(&mut self, id: Id) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.timers.remove(&(call.deadline, Timer::Call(id)));
        self.held.retain(|(other, _)| *other != id);
        let queue = self.queues.get_mut(&call.service).expect("it has a call");
        queue.calls -= 1;
        self.ready.insert(call.service.clone());
        self.ready.append(&mut self.crowded);
        Some(call)
    }

    /// A service is there.
    fn resume(&mut self, service: &Arc<[u8]>) {
        if let Some(queue) = self.queues.get_mut(service) {
            queue.failures = 0;
            self.ready.insert(service.clone());
            if let Some(until) = queue.paused.take() {
                self.timers.remove(&(until, Timer::Queue(service.clone())));
            }
        }
    }

    fn start(&mut self) {
        for listed in self.store.list() {
            if !matches!(listed.state, State::Pending { .. }) {
                continue;
            }
            match self.store.request(listed.id) {
                Ok(frames) if !frames.is_empty() => {
                    self.next += 1;
                    let service = self.name(frames[0].as_bytes());
                    self.enqueue(listed.id, service, self.next);
                }
                // It says so when it is asked for.
                _ => {}
            }
        }
    }

    fn elapsed(&mut self, now: Time, tells: &mut Tells) {
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
            self.held_replies(now, tells);
        }
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            match self.timers.pop_first() {
                Some((_, Timer::Call(id))) => self.failed(id, true, now),
                Some((_, Timer::Queue(service))) => {
                    if let Some(queue) = self.queues.get_mut(&service) {
                        queue.paused = None;
                        self.ready.insert(service);
                    }
                }
                None => {}
            }
        }
    }
}

impl<S: Store + ?Sized> Machine for Titanic<S> {
    type Command = Told;
    type Output = Tell;

    fn handle(&mut self, event: Event<Told>, now: Time, tells: &mut Tells) {
        match event {
            Event::Start => self.start(),
            Event::Command(Told::Asked {
                ticket,
                service,
                frames,
            }) => self.asked(ticket, service, &frames, now, tells),
            Event::Command(Told::Called { id, outcome }) => self.called(id, outcome, now, tells),
            Event::Command(Told::Available(service)) => self.resume(&service.as_bytes().into()),
            Event::Command(Told::Reachable) => {
                for service in self.queues.keys().cloned().collect::<Vec<_>>() {
                    self.resume(&service);
                }
            }
            Event::Command(Told::Synced(result)) => {
                self.syncing = false;
                if let Err(why) = result {
                    self.fail(&why, tells);
                }
            }
            Event::Due => self.elapsed(now, tells),
            // What is under way is sent again by the next machine on this store.
            Event::Stop => return tells.end(),
            Event::Message { .. } | Event::Unsent { .. } | Event::Link { .. } => {}
        }
        self.settle_up(tells);
        self.dispatch_all(now, tells);
    }

    fn due(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.held_until).min()
    }
}

/// A name that RFC 7 allows for a service, which is none of ours: a request to store a request would
/// only go in a circle.
fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match std::str::from_utf8(name) {
        Err(_) => Err("the name of a service is text"),
        Ok("") => Err("the name of a service is not empty"),
        Ok(name) if name.len() > 255 => Err("the name of a service has at most 255 bytes"),
        Ok(name) if name.contains(char::is_control) => {
            Err("the name of a service has no control characters")
        }
        Ok(name) if name.starts_with("titanic.") => {
            Err("a service of Titanic itself is called directly")
        }
        Ok(_) => Ok(()),
    }
}

/// The UUID in a request to `titanic.reply` or `titanic.close`.
fn parse(frames: &[Frame]) -> Result<Id, Vec<Frame>> {
    match frames {
        [frame] => Id::parse(frame.as_bytes()).map_err(|_| vec![Frame::from("400")]),
        _ => Err(vec![Frame::from("400")]),
    }
}

fn error(why: impl std::fmt::Display) -> Vec<Frame> {
    vec![Frame::from(format!("500 {why}"))]
}
