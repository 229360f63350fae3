//! The broker's peers, services, queues and timers, and how they hang together.
//!
//! Clients take turns at each service: the requests of one wait in a line of their own, and the lines are
//! served one request each in turn. So a client that floods a service makes nobody wait but itself.
//! Who is a client is told by its connection.
//!
//! Invariants: a request is in its client's list, and waiting, in its line, or at a worker whose `busy`
//! names it, or among those whose reply is not durable yet (`settling`). A line has requests. A worker that
//! is not busy is in its service's list of idle ones, or was found [silent](Worker::is_doubted) when a
//! request was to be given to it, and is back there when it is heard. A client is in the table while it has
//! requests. What is in a `timer` field is in [`Timers`] at that moment.

use std::collections::BTreeSet;
use std::time::Duration;

use xebec::Frame;

use super::super::codec::{Dialect, FromWorker};
use super::super::list::{Links, List, Through};
use super::super::replies::Parts;
use super::super::stamp::Key;
use super::{Answer, Broker, Limit, Note, Policy, ServiceDigest};
use crate::machine::{Actions, Port, Time};

/// The slowest pace of heartbeats that a worker is granted.
const SLOWEST: Duration = Duration::from_secs(60);
/// The fastest pace at which a worker is sent heartbeats.
const FASTEST: Duration = Duration::from_millis(10);

/// A port and the routing id of a peer there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(pub(super) Port, pub(super) Frame);

/// How much is held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    fn has_room(&self, bytes: usize, limit: Limit) -> bool {
        self.messages < limit.messages && self.bytes.saturating_add(bytes) <= limit.bytes
    }
}

/// What has a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Worker(usize),
    Service(usize),
    /// The end of a drain.
    End,
}

#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Time, State)>);

impl Timers {
    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self, now: Time) -> Option<State> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, state)| state)
    }

    pub(super) fn set_end(&mut self, at: Time) {
        self.0.insert((at, State::End));
    }

    /// Makes it come due at the moment or before.
    fn set(&mut self, timer: &mut Option<Time>, at: Time, state: State) {
        match *timer {
            Some(before) if before <= at => return,
            before => self.clear(before, state),
        }
        *timer = Some(at);
        self.0.insert((at, state));
    }

    fn clear(&mut self, timer: Option<Time>, state: State) {
        if let Some(at) = timer {
            self.0.remove(&(at, state));
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) peer: Peer,
    pub(super) dialect: Dialect,
    pub(super) service: usize,
    /// The request that it is at work on.
    pub(super) busy: Option<usize>,
    /// When it is given up, unless it is heard before.
    pub(super) expires: Time,
    /// From when on it is given no request, unless it is heard before: a heartbeat was missed.
    doubted: Time,
    /// When it is sent a heartbeat, unless it is sent something else before.
    pub(super) beat: Time,
    /// When it is given up though it is heard.
    pub(super) deadline: Option<Time>,
    pub(super) timer: Option<Time>,
    links: Links,
    /// What the service expects of it.
    heartbeat: Duration,
    /// How often it is found to send heartbeats.
    pace: Duration,
    /// When its latest heartbeat came, if nothing else came since.
    beaten: Option<Time>,
}

impl Worker {
    /// How often it is sent heartbeats: as often as it sends them, if that is more often than it should.
    pub(super) fn interval(&self) -> Duration {
        self.pace.clamp(FASTEST, self.heartbeat.max(FASTEST))
    }

    /// Takes note that it is alive.
    pub(super) fn heard(&mut self, command: &FromWorker, liveness: u32, now: Time) {
        let before = self.beaten.take();
        if matches!(command, FromWorker::Heartbeat) {
            if let Some(before) = before {
                // An average over the last few, so that two that come together change little.
                self.pace = (self.pace * 3 + now.since(before)) / 4;
            }
            self.beaten = Some(now);
        }
        let pace = self.pace.clamp(self.heartbeat, SLOWEST.max(self.heartbeat));
        (self.doubted, self.expires) = limits(now, pace, liveness);
    }

    /// Whether it does nothing and is in no list of those that do nothing.
    pub(super) fn is_aside(&self) -> bool {
        self.busy.is_none() && !self.links.is_listed()
    }

    /// Whether it has missed a heartbeat. Workers that stand still together, as those of one process do,
    /// would otherwise have a request one after the other, until it has been tried too often.
    pub(super) fn is_doubted(&self, now: Time) -> bool {
        self.doubted <= now
    }

    fn next(&self) -> Time {
        let deadline = self.deadline.unwrap_or(self.expires);
        self.expires.min(self.beat).min(deadline)
    }
}

/// From when on a worker that is silent is doubted, and when it is given up.
fn limits(now: Time, pace: Duration, liveness: u32) -> (Time, Time) {
    (now + pace * 3 / 2, now + pace * liveness)
}

#[derive(Debug)]
pub(super) struct Idle;

impl Through<Worker> for Idle {
    fn links(worker: &mut Worker) -> &mut Links {
        &mut worker.links
    }
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: Frame,
    pub(super) policy: Policy,
    pub(super) workers: usize,
    pub(super) idle: List<Idle>,
    /// The lines of those who wait, in the order of their turns.
    turns: List<Turn>,
    /// All requests that wait, in the order in which they expire.
    pub(super) waiting: List<Waiting>,
    pub(super) held: Held,
    /// Since when it has no worker.
    empty_since: Time,
    pub(super) timer: Option<Time>,
}

impl Service {
    pub(super) fn digest(&self) -> ServiceDigest {
        ServiceDigest {
            name: self.name.to_string_lossy().into_owned(),
            workers: self.workers,
            idle: self.idle.len(),
            queued: self.waiting.len(),
            bytes: self.held.bytes,
        }
    }
}

#[derive(Debug)]
pub(super) struct Request {
    number: u64,
    pub(super) client: Peer,
    pub(super) dialect: Dialect,
    pub(super) service: usize,
    pub(super) body: Vec<Frame>,
    bytes: usize,
    pub(super) key: Option<Key>,
    pub(super) expires: Time,
    pub(super) worker: Option<usize>,
    /// How many workers have had it.
    pub(super) tries: u32,
    /// The parts of the reply so far, if they are [collected](Request::is_collected).
    pub(super) parts: Parts,
    pub(super) parts_bytes: usize,
    /// Whether a part of the reply was sent to the client.
    pub(super) begun: bool,
    /// Its reply is there, and is sent when it is durable.
    pub(super) settling: bool,
    /// Where it waits.
    line: Option<usize>,
    queue: Links,
    waiting: Links,
    mine: Links,
}

impl Request {
    pub(super) fn new(
        number: u64,
        client: Peer,
        dialect: Dialect,
        service: usize,
        body: Vec<Frame>,
        key: Option<Key>,
        expires: Time,
    ) -> Self {
        Request {
            number,
            client,
            dialect,
            service,
            bytes: body.iter().map(Frame::len).sum(),
            body,
            key,
            expires,
            worker: None,
            tries: 0,
            parts: Parts::new(),
            parts_bytes: 0,
            begun: false,
            settling: false,
            line: None,
            queue: Links::default(),
            waiting: Links::default(),
            mine: Links::default(),
        }
    }

    /// What the worker sees as the address of the client and gives back: the number of the request,
    /// so that a reply to another one is told apart.
    pub(super) fn address(&self) -> [u8; 8] {
        self.number.to_be_bytes()
    }

    /// Whether its reply is sent when all of it is there. Nothing of a stamped one is sent before it is
    /// kept: the rest could come from another execution, at the next worker or the next broker.
    pub(super) fn is_collected(&self) -> bool {
        self.key.is_some() || !self.dialect.has_partials()
    }

    pub(super) fn client_next(&self) -> Option<usize> {
        self.mine.next()
    }

    pub(super) fn answer<'a>(&'a self, service: &'a Frame) -> Answer<'a> {
        Answer {
            peer: &self.client,
            dialect: self.dialect,
            service,
            key: self.key,
        }
    }
}

#[derive(Debug)]
pub(super) struct Queued;

impl Through<Request> for Queued {
    fn links(request: &mut Request) -> &mut Links {
        &mut request.queue
    }
}

#[derive(Debug)]
pub(super) struct Waiting;

impl Through<Request> for Waiting {
    fn links(request: &mut Request) -> &mut Links {
        &mut request.waiting
    }
}

/// The requests of one client that wait at one service.
#[derive(Debug)]
pub(super) struct Line {
    key: (usize, Peer),
    queue: List<Queued>,
    turn: Links,
}

#[derive(Debug)]
pub(super) struct Turn;

impl Through<Line> for Turn {
    fn links(line: &mut Line) -> &mut Links {
        &mut line.turn
    }
}

#[derive(Debug)]
pub(super) struct Mine;

impl Through<Request> for Mine {
    fn links(request: &mut Request) -> &mut Links {
        &mut request.mine
    }
}

/// A client that has requests here.
#[derive(Debug, Default)]
pub(super) struct Client {
    held: Held,
    pub(super) all: List<Mine>,
}

impl Broker {
    /// What there is no room in for one more request, if there is such a thing.
    pub(super) fn no_room(
        &self,
        peer: &Peer,
        service: &Frame,
        bytes: usize,
    ) -> Option<&'static str> {
        if !self.held.has_room(bytes, self.config.limit) {
            return Some("at this broker");
        }
        let client = self
            .clients
            .get(peer)
            .map_or(Held::default(), |client| client.held);
        if !client.has_room(bytes, self.config.client_limit) {
            return Some("for this client");
        }
        let (held, limit) = match self.by_name.get(service) {
            Some(&index) => (self.services[index].held, self.services[index].policy.limit),
            None if self.services.len() >= self.config.services => return Some("for services"),
            None => (Held::default(), self.policy(service).limit),
        };
        (!held.has_room(bytes, limit)).then_some("for this service")
    }

    fn policy(&self, service: &Frame) -> Policy {
        let named = self.config.policies.get(&*service.to_string_lossy());
        *named.unwrap_or(&self.config.policy)
    }

    /// The service of a name, made if it is new.
    pub(super) fn service(&mut self, name: Frame, now: Time, actions: &mut Actions<Note>) -> usize {
        if let Some(&index) = self.by_name.get(&name) {
            return index;
        }
        actions.deliver(Note::ServiceAdded(name.to_string_lossy().into_owned()));
        let index = self.services.insert(Service {
            name: name.clone(),
            policy: self.policy(&name),
            workers: 0,
            idle: List::default(),
            turns: List::default(),
            waiting: List::default(),
            held: Held::default(),
            empty_since: now,
            timer: None,
        });
        self.by_name.insert(name, index);
        index
    }

    pub(super) fn has_expired(&self, index: usize, now: Time) -> bool {
        let service = &self.services[index];
        service.workers == 0
            && service.held.messages == 0
            && now.since(service.empty_since) >= self.config.service_time
    }

    pub(super) fn remove_service(&mut self, index: usize) -> Service {
        let service = self.services.remove(index);
        self.timers.clear(service.timer, State::Service(index));
        self.by_name.remove(&service.name);
        service
    }

    /// Sets the service's timer for its first request to expire, or for itself.
    pub(super) fn watch_queue(&mut self, index: usize, now: Time) {
        let service = &mut self.services[index];
        let at = match service.waiting.front() {
            Some(first) => self.requests[first].expires,
            None if service.workers == 0 => service.empty_since + self.config.service_time,
            None => return,
        };
        // With requests at hand but none in the queue it is looked at again a little later.
        let at = at.max(now + FASTEST);
        self.timers
            .set(&mut service.timer, at, State::Service(index));
    }

    // ---- requests ----

    /// Puts a request into its line, and the line into its place: at the end, or before all others.
    fn line_up(&mut self, index: usize, first: bool) {
        let request = &self.requests[index];
        let key = (request.service, request.client.clone());
        let turns = &mut self.services[request.service].turns;
        let known = self.by_line.get(&key).copied();
        let line = known.unwrap_or_else(|| {
            let line = self.lines.insert(Line {
                key: key.clone(),
                queue: List::default(),
                turn: Links::default(),
            });
            self.by_line.insert(key, line);
            turns.push_back(&mut self.lines, line);
            line
        });
        self.requests[index].line = Some(line);
        if first {
            turns.remove(&mut self.lines, line);
            turns.push_front(&mut self.lines, line);
            self.lines[line].queue.push_front(&mut self.requests, index);
        } else {
            self.lines[line].queue.push_back(&mut self.requests, index);
        }
    }

    /// Takes a request out of its line, if it is in one. The next turn is another's.
    fn leave_line(&mut self, index: usize) {
        let Some(at) = self.requests[index].line.take() else {
            return;
        };
        let turns = &mut self.services[self.requests[index].service].turns;
        turns.remove(&mut self.lines, at);
        let line = &mut self.lines[at];
        line.queue.remove(&mut self.requests, index);
        if line.queue.front().is_some() {
            turns.push_back(&mut self.lines, at);
        } else {
            let line = self.lines.remove(at);
            self.by_line.remove(&line.key);
        }
    }

    /// Takes a request in, at the end of its line.
    pub(super) fn admit(&mut self, request: Request) {
        let (service, bytes, key) = (request.service, request.bytes, request.key);
        let peer = request.client.clone();
        let index = self.requests.insert(request);
        if let Some(key) = key {
            self.by_key.insert(key, index);
        }
        self.held.add(bytes);
        let client = self.clients.entry(peer).or_default();
        client.held.add(bytes);
        client.all.push_back(&mut self.requests, index);
        let service = &mut self.services[service];
        service.held.add(bytes);
        service.waiting.push_back(&mut self.requests, index);
        self.line_up(index, false);
    }

    /// Puts a request that a worker had back, before all others.
    pub(super) fn requeue(&mut self, index: usize, now: Time) {
        let service = &mut self.services[self.requests[index].service];
        self.requests[index].expires = now + service.policy.queue_time;
        service.waiting.push_back(&mut self.requests, index);
        self.line_up(index, true);
    }

    /// Forgets a request, which no worker is at work on.
    pub(super) fn forget(&mut self, index: usize, now: Time) {
        let service = self.requests[index].service;
        let waiting = &mut self.services[service].waiting;
        waiting.remove(&mut self.requests, index);
        self.leave_line(index);
        self.part_from_client(index);
        let request = self.requests.remove(index);
        if let Some(key) = request.key {
            self.by_key.remove(&key);
        }
        self.held.take(request.bytes);
        self.services[service].held.take(request.bytes);
        self.watch_queue(service, now);
    }

    fn part_from_client(&mut self, index: usize) {
        let (peer, bytes) = (
            self.requests[index].client.clone(),
            self.requests[index].bytes,
        );
        let client = self.clients.get_mut(&peer).expect("it has this request");
        client.all.remove(&mut self.requests, index);
        client.held.take(bytes);
        if client.held.messages == 0 {
            self.clients.remove(&peer);
        }
    }

    /// The client of a request has another address now.
    pub(super) fn readdress(&mut self, index: usize, peer: Peer, dialect: Dialect) {
        let waits = self.requests[index].line.is_some();
        self.leave_line(index);
        self.part_from_client(index);
        let request = &mut self.requests[index];
        request.client = peer.clone();
        request.dialect = dialect;
        let bytes = request.bytes;
        let client = self.clients.entry(peer).or_default();
        client.held.add(bytes);
        client.all.push_back(&mut self.requests, index);
        if waits {
            self.line_up(index, false);
        }
    }

    // ---- workers ----

    pub(super) fn register(&mut self, peer: Peer, dialect: Dialect, service: usize, now: Time) {
        let heartbeat = self.services[service].policy.heartbeat;
        let (doubted, expires) = limits(now, heartbeat, self.config.liveness);
        let index = self.workers.insert(Worker {
            peer: peer.clone(),
            dialect,
            service,
            busy: None,
            expires,
            doubted,
            beat: now + heartbeat,
            deadline: None,
            timer: None,
            links: Links::default(),
            heartbeat,
            pace: heartbeat,
            beaten: Some(now),
        });
        self.by_peer.insert(peer, index);
        self.services[service].workers += 1;
        self.idle(index);
        self.watch_worker(index);
    }

    /// Forgets a worker, which is at work on nothing.
    pub(super) fn unregister(&mut self, index: usize, now: Time) -> Worker {
        let service = &mut self.services[self.workers[index].service];
        service.idle.remove(&mut self.workers, index);
        service.workers -= 1;
        service.empty_since = now;
        let worker = self.workers.remove(index);
        self.timers.clear(worker.timer, State::Worker(index));
        self.by_peer.remove(&worker.peer);
        worker
    }

    pub(super) fn watch_worker(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let at = worker.next();
        self.timers.set(&mut worker.timer, at, State::Worker(index));
    }

    pub(super) fn idle(&mut self, index: usize) {
        let service = &mut self.services[self.workers[index].service];
        service.idle.push_back(&mut self.workers, index);
    }

    /// Takes the worker whose turn it is out of its list, until it is heard.
    pub(super) fn doubt(&mut self, index: usize) {
        let service = &mut self.services[self.workers[index].service];
        service.idle.remove(&mut self.workers, index);
    }

    /// The worker that has waited longest, and the first request of the client whose turn it is, still in
    /// their lists.
    pub(super) fn next_pair(&self, service: usize) -> Option<(usize, usize)> {
        let service = &self.services[service];
        let (worker, line) = (service.idle.front()?, service.turns.front()?);
        Some((worker, self.lines[line].queue.front()?))
    }

    /// Makes a worker busy with a request; both leave their lists.
    pub(super) fn assign(&mut self, worker: usize, request: usize, now: Time) {
        let service = &mut self.services[self.workers[worker].service];
        service.idle.pop_front(&mut self.workers);
        service.waiting.remove(&mut self.requests, request);
        let reply_time = service.policy.reply_time;
        self.leave_line(request);
        self.busy += 1;
        self.workers[worker].busy = Some(request);
        self.workers[worker].deadline = reply_time.map(|time| now + time);
        let request = &mut self.requests[request];
        request.worker = Some(worker);
        request.tries = request.tries.saturating_add(1);
        if reply_time.is_some() {
            self.watch_worker(worker);
        }
    }

    /// Takes a worker's request from it.
    pub(super) fn release(&mut self, worker: usize) -> Option<usize> {
        let worker = &mut self.workers[worker];
        worker.deadline = None;
        let request = worker.busy.take()?;
        self.busy -= 1;
        self.requests[request].worker = None;
        Some(request)
    }
}
