//! The broker: queues the requests of each service, gives them to the worker that has waited longest,
//! and notices who is gone.
//!
//! A request is answered, refused or reported as failed; nothing else becomes of it, unless its client
//! goes away or sends no stamp and `refusals` is off. A worker that dies while it is at work, by a
//! lost connection, by silence or by taking too long, loses its request to another; one that has missed a
//! heartbeat is given none until it is heard.
//!
//! The clients of a service take turns, one request each, whoever sent more.
//!
//! Nothing here is searched: peers and services are found by hash, queues and idle workers are lists
//! through slabs, and each worker and each service has at most one timer, which is moved only when it
//! comes due or must come earlier. So a message costs the same however many others there are.
//!
//! What lives here: what becomes of each request, and of time. `workers` has what workers say and are given,
//! `state` the peers, queues and timers, `settle` the replies that must be durable before they are sent.

mod answer;
mod config;
mod digest;
mod mmi;
mod note;
mod pair;
mod settle;
mod state;
mod unsent;
mod workers;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use slab::Slab;
use xebec::{Frame, Message, Options, SocketType};

use self::answer::Answer;
pub use self::config::{BrokerConfig, Limit, Policy};
pub use self::digest::{Counters, Digest, ServiceDigest};
pub use self::mmi::{ROWS, is_reserved};
pub use self::note::{Command, Gone, Note};
use self::state::{Client, Held, Line, Peer, Request, Service, State, Timers, Worker};
use super::LINGER;
use super::codec::{Dialect, ToBroker};
use super::replies::{MemoryReplies, Replies};
use super::stamp::{Key, Refusal, RefusalCode};
use crate::machine::{Actions, Event, Machine, Port, Spec, Time};
use crate::titanic::Mark;

/// Where clients come, and workers may.
pub const FRONT: Port = Port(0);
/// Where only workers come, if the broker has it.
pub const BACK: Port = Port(1);

/// Where a Titanic of this process comes, if the broker has it.
pub const INSIDE: Port = Port(2);

/// What the ROUTER says of a peer whose connection is lost.
const GONE: &[u8] = b"\0gone";
/// What is said to clients when the broker drains.
const ENDS: &str = "the broker is about to end";

/// A Majordomo broker.
pub struct Broker {
    config: BrokerConfig,
    workers: Slab<Worker>,
    by_peer: HashMap<Peer, usize>,
    services: Slab<Service>,
    by_name: HashMap<Frame, usize>,
    requests: Slab<Request>,
    clients: HashMap<Peer, Client>,
    lines: Slab<Line>,
    /// By service and client.
    by_line: HashMap<(usize, Peer), usize>,
    /// The stamped requests that are at hand.
    by_key: HashMap<Key, usize>,
    held: Held,
    replies: Box<dyn Replies>,
    /// Requests whose replies are not durable yet, in the order of their marks.
    settling: VecDeque<(Mark, usize)>,
    syncing: bool,
    timers: Timers,
    counters: Counters,
    /// The number of the next request: what workers see as its address.
    number: u64,
    busy: usize,
    draining: bool,
    /// Whether it is one of a pair, see [`crate::binary_star`], and whether it stands by there.
    paired: bool,
    standing_by: bool,
    /// When a refusal, an invalid message and an unread reply were last told.
    noted: [Option<Time>; 3],
}

impl Broker {
    /// A broker that keeps replies to stamped requests in memory.
    pub fn new(config: BrokerConfig) -> Self {
        Self::with_replies(config, MemoryReplies::default())
    }

    /// A broker that keeps them in a place of the caller's.
    pub fn with_replies(config: BrokerConfig, replies: impl Replies + 'static) -> Self {
        Broker {
            config,
            workers: Slab::new(),
            by_peer: HashMap::new(),
            services: Slab::new(),
            by_name: HashMap::new(),
            requests: Slab::new(),
            clients: HashMap::new(),
            lines: Slab::new(),
            by_line: HashMap::new(),
            by_key: HashMap::new(),
            held: Held::default(),
            replies: Box::new(replies),
            settling: VecDeque::new(),
            syncing: false,
            timers: Timers::default(),
            counters: Counters::default(),
            number: 0,
            busy: 0,
            draining: false,
            paired: false,
            standing_by: false,
            noted: [None; 3],
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many requests it holds, waiting or at work, and how many bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.held.messages, self.held.bytes)
    }

    /// How many workers and requests it has.
    pub fn at_hand(&self) -> (usize, usize) {
        (self.workers.len(), self.requests.len())
    }

    /// Its state.
    pub fn digest(&self, now: Time) -> Digest {
        let (kept, kept_bytes) = self.replies.held();
        let mut each: Vec<_> = self.services.iter().map(|(_, s)| s.digest()).collect();
        each.sort_by(|a, b| a.name.cmp(&b.name));
        each.truncate(1000);
        Digest {
            uptime: now.elapsed(),
            draining: self.draining,
            standing_by: self.standing_by,
            services: self.services.len(),
            workers: self.workers.len(),
            clients: self.clients.len(),
            held: self.held.messages,
            held_bytes: self.held.bytes,
            kept,
            kept_bytes,
            counters: self.counters,
            each,
        }
    }

    fn socket(&self, bind: &[String]) -> Spec {
        let options: Options = self.config.options.clone();
        let options = options
            .router_mandatory(true)
            .disconnect_msg(GONE)
            .linger(LINGER);
        let spec = Spec::new(SocketType::Router).options(options);
        bind.iter().fold(spec, |spec, at| spec.bind(at.as_str()))
    }

    fn message(&mut self, port: Port, message: Message, now: Time, actions: &mut Actions<Note>) {
        let (id, frames) = message.split_first();
        let peer = Peer(port, id);
        if let [only] = &frames[..]
            && *only == GONE
        {
            return self.connection_lost(&peer, now, actions);
        }
        match ToBroker::parse(frames) {
            Ok((dialect, ToBroker::Request { service, body })) => {
                self.request(peer, dialect, service, body, now, actions);
            }
            Ok((dialect, ToBroker::Worker(command))) => {
                self.worker(peer, dialect, command, now, actions);
            }
            Err(why) => {
                self.counters.invalid += 1;
                if let Some(&worker) = self.by_peer.get(&peer) {
                    self.send_away(worker, now, actions);
                }
                if self.may_note(1, now) {
                    let peer = peer.1;
                    actions.deliver(Note::Invalid { peer, why });
                }
            }
        }
    }

    /// Whether a note of a kind of which there may be a flood may be made now.
    fn may_note(&mut self, kind: usize, now: Time) -> bool {
        let second = std::time::Duration::from_secs(1);
        let may = self.noted[kind].is_none_or(|at| now.since(at) >= second);
        if may {
            self.noted[kind] = Some(now);
        }
        may
    }

    fn connection_lost(&mut self, peer: &Peer, now: Time, actions: &mut Actions<Note>) {
        if let Some(&worker) = self.by_peer.get(peer) {
            self.counters.workers_lost += 1;
            self.lose(worker, Gone::Lost, now, actions);
        }
        // What is stamped its client will ask for again, from another address.
        let mut next = self.clients.get(peer).and_then(|client| client.all.front());
        while let Some(index) = next {
            let request = &self.requests[index];
            next = request.client_next();
            if request.worker.is_none() && request.key.is_none() {
                self.counters.abandoned += 1;
                self.forget(index, now);
            }
        }
    }

    // ---- clients ----

    fn request(
        &mut self,
        peer: Peer,
        dialect: Dialect,
        name: Frame,
        mut body: Vec<Frame>,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        self.counters.requests += 1;
        let key = Key::take(&mut body);
        if is_reserved(&name) && (!self.standing_by || mmi::is_status(&name)) {
            let body = self.mmi(&name, &body, now);
            let to = Answer {
                peer: &peer,
                dialect,
                service: &name,
                key,
            };
            to.part(0, true, body, actions);
            self.counters.replies += 1;
            return;
        }
        if let Some(key) = key
            && !self.standing_by
            && self.asked_again(key, &peer, dialect, &name, now, actions)
        {
            return;
        }
        let bytes = body.iter().map(Frame::len).sum();
        let refusal = if self.standing_by {
            self.counters.refused_standby += 1;
            Some((RefusalCode::StandBy, pair::STANDS_BY.to_owned()))
        } else if let Some(what) = self.no_room(&peer, &name, bytes) {
            self.counters.refused_full += 1;
            let text = format!("too many requests wait {what}");
            Some((RefusalCode::Busy, text))
        } else if self.draining {
            self.counters.refused_draining += 1;
            Some((self.ending(), ENDS.to_owned()))
        } else {
            None
        };
        if let Some((code, text)) = refusal {
            let to = Answer {
                peer: &peer,
                dialect,
                service: &name,
                key,
            };
            return self.refuse(&to, Refusal { code, text }, now, actions);
        }
        let service = self.service(name, now, actions);
        self.number += 1;
        let queue_time = self.services[service].policy.queue_time;
        let request = Request::new(
            self.number,
            peer,
            dialect,
            service,
            body,
            key,
            now + queue_time,
        );
        self.admit(request);
        self.dispatch(service, now, actions);
        self.watch_queue(service, now);
    }

    /// Answers a stamped request that has been here before, or lets it wait for its reply.
    fn asked_again(
        &mut self,
        key: Key,
        peer: &Peer,
        dialect: Dialect,
        name: &Frame,
        now: Time,
        actions: &mut Actions<Note>,
    ) -> bool {
        // First those at hand: a reply that is not durable yet is not to be sent.
        let Some(&index) = self.by_key.get(&key) else {
            let Some(parts) = self.replies.find(&key, now) else {
                return false;
            };
            self.counters.answered_again += 1;
            let to = Answer {
                peer,
                dialect,
                service: name,
                key: Some(key),
            };
            to.all(parts, actions);
            return true;
        };
        self.counters.joined += 1;
        self.readdress(index, peer.clone(), dialect);
        true
    }

    fn refuse(
        &mut self,
        to: &Answer<'_>,
        refusal: Refusal,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        if self.config.refusals || to.key.is_some() {
            to.part(0, true, refusal.body(), actions);
        } else {
            self.counters.silent_refusals += 1;
        }
        if refusal.code != RefusalCode::StandBy && self.may_note(0, now) {
            let service = to.service.to_string_lossy().into_owned();
            actions.deliver(Note::Refused { service, refusal });
        }
    }

    /// Reports to the client that there will be no reply, and forgets the request.
    fn fail(
        &mut self,
        index: usize,
        code: RefusalCode,
        text: &str,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        let request = &self.requests[index];
        let name = self.services[request.service].name.clone();
        let peer = request.client.clone();
        let (dialect, key) = (request.dialect, request.key);
        self.forget(index, now);
        let text = text.to_owned();
        let to = Answer {
            peer: &peer,
            dialect,
            service: &name,
            key,
        };
        self.refuse(&to, Refusal { code, text }, now, actions);
    }

    // ---- time ----

    fn due_service(&mut self, index: usize, now: Time, actions: &mut Actions<Note>) {
        while let Some(request) = self.services[index].waiting.front() {
            if self.requests[request].expires > now {
                break;
            }
            self.counters.expired_requests += 1;
            let text = "no worker took the request in time";
            self.fail(request, RefusalCode::Expired, text, now, actions);
        }
        if self.has_expired(index, now) {
            self.counters.expired_services += 1;
            let service = self.remove_service(index);
            let name = service.name.to_string_lossy().into_owned();
            actions.deliver(Note::ServiceExpired(name));
        } else {
            self.watch_queue(index, now);
        }
    }

    fn drain(&mut self, now: Time, actions: &mut Actions<Note>) {
        if self.draining {
            return actions.end();
        }
        self.draining = true;
        actions.deliver(Note::Draining { busy: self.busy });
        let waiting: Vec<usize> = self
            .requests
            .iter()
            .filter(|(_, r)| r.worker.is_none() && !r.settling)
            .map(|(index, _)| index)
            .collect();
        for index in waiting {
            self.counters.refused_draining += 1;
            self.fail(index, self.ending(), ENDS, now, actions);
        }
        let idle: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, w)| w.busy.is_none())
            .map(|(index, _)| index)
            .collect();
        for index in idle {
            self.send_away(index, now, actions);
        }
        self.timers.set_end(now + self.config.drain_time);
    }
}

impl Machine for Broker {
    type Command = Command;
    type Output = Note;

    fn handle(&mut self, event: Event<Command>, now: Time, actions: &mut Actions<Note>) {
        match event {
            Event::Start => {
                actions.open(FRONT, self.socket(&self.config.bind));
                if !self.config.bind_workers.is_empty() {
                    actions.open(BACK, self.socket(&self.config.bind_workers));
                }
                if !self.config.bind_titanic.is_empty() {
                    actions.open(INSIDE, self.socket(&self.config.bind_titanic));
                }
            }
            Event::Message { port, message } => self.message(port, message, now, actions),
            Event::Unsent { port, message, why } => self.unsent(port, message, &why, now, actions),
            Event::Due => {
                while let Some(state) = self.timers.pop(now) {
                    match state {
                        State::Worker(index) => {
                            self.workers[index].timer = None;
                            self.due_worker(index, now, actions);
                        }
                        State::Service(index) => {
                            self.services[index].timer = None;
                            self.due_service(index, now, actions);
                        }
                        State::End => return actions.end(),
                    }
                }
            }
            Event::Command(Command::Digest) => {
                actions.deliver(Note::Digest(Box::new(self.digest(now))));
            }
            Event::Command(Command::End) => return actions.end(),
            Event::Command(Command::Synced(mark, result)) => {
                self.synced(mark, result, now, actions);
            }
            Event::Stop => self.drain(now, actions),
            Event::Link { .. } => {}
        }
        if self.draining && self.workers.is_empty() && self.settling.is_empty() {
            actions.end();
        }
    }

    fn due(&self) -> Option<Time> {
        self.timers.next()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Broker({} services, {} workers, {} requests)",
            self.services.len(),
            self.workers.len(),
            self.requests.len()
        )
    }
}

#[cfg(test)]
mod tests;
