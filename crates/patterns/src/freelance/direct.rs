//! Model three, RFC 10: the client knows its servers, pings them, and asks the best one that answers.
//!
//! There is one ROUTER for each server, so that a connection that is given up takes with it what was
//! queued for the server. A server is asked from its first answer on until its connection is lost or
//! it is silent for [`ttl`](Config::ttl). Among those that are up the best is one that is not overdue with
//! a reply; then one of the lowest [`priority`](Known::priority); then the one whose answers take the
//! least time, multiplied by the requests that wait there.
//!
//! A request without a reply in time goes to another server, to one after the other, until its own
//! time is over. It goes to the same server only after that one's connection was lost. The control
//! frame is the number of the request, 8 bytes; the first reply counts, whoever gives it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use xebec::{Bytes, Message, Options, SocketType};

use super::{Command, Counters, Failure, Output, check_servers};
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

/// A server as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it is.
    pub endpoint: String,
    /// Servers of a higher number are asked only if none of a lower one is up.
    pub priority: u8,
}

/// How a client behaves. The defaults are the Guide's where it has them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers, 1 to 256.
    pub servers: Vec<Known>,
    /// How long a server may be silent before it is pinged. 2 s.
    pub ping_interval: Duration,
    /// How long it may be silent before it is down. 6 s.
    pub ttl: Duration,
    /// How long one server is waited for before another is asked. 1 s.
    pub patience: Duration,
    /// How long a request is tried in all. 3 s.
    pub timeout: Duration,
    /// Requests that may be under way; more fail at once. 1000.
    pub window: usize,
    /// Options of the sockets, such as those of security.
    pub options: Options,
}

impl Config {
    /// A client of these servers, all of the same priority.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        let known = |endpoint: S| Known {
            endpoint: endpoint.into(),
            priority: 0,
        };
        Config {
            servers: servers.into_iter().map(known).collect(),
            ping_interval: Duration::from_secs(2),
            ttl: Duration::from_secs(6),
            patience: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            window: 1000,
            options: Options::new(),
        }
    }
}

/// What is known of a server.
#[derive(Clone)]
struct Server {
    up: bool,
    linked: bool,
    /// It owes a reply for longer than the patience and has said nothing since.
    overdue: bool,
    /// When it was last heard, or its connection begun.
    heard: Time,
    /// When it was last pinged; `None` once it has answered.
    pinged: Option<Time>,
    /// When to ping it next.
    ping_at: Time,
    /// How long its answers take, smoothed.
    round_trip: Duration,
    /// The requests that wait for it.
    waiting: u32,
}

struct Pending {
    request: u64,
    body: Message,
    expires: Time,
    /// Who was asked last, and when, unless the connection was lost since.
    asked: Option<(usize, Time)>,
    /// Who was asked since the last round began.
    tried: BTreeSet<usize>,
    times: u32,
}

/// A client of model three.
pub struct Direct {
    config: Config,
    /// By port.
    servers: Vec<Server>,
    /// By the number in the control frame; they expire in this order.
    pending: BTreeMap<u64, Pending>,
    /// When the patience with whom ends, in this order; for a request that was asked at that moment.
    overdue: VecDeque<(Time, u64, Time)>,
    /// Requests that nobody is there to be asked for.
    idle: BTreeSet<u64>,
    next: u64,
    counters: Counters,
}

impl Direct {
    /// A client.
    ///
    /// # Panics
    /// If there is no server, or more than 256, or a time is zero.
    pub fn new(config: Config) -> Self {
        check_servers(config.servers.len());
        let times = [config.ping_interval, config.ttl, config.patience];
        assert!(times.iter().all(|time| !time.is_zero()), "a time is zero");
        let server = Server {
            up: false,
            linked: false,
            overdue: false,
            heard: Time::ZERO,
            pinged: None,
            ping_at: Time::ZERO,
            round_trip: Duration::ZERO,
            waiting: 0,
        };
        Direct {
            servers: vec![server; config.servers.len()],
            config,
            pending: BTreeMap::new(),
            overdue: VecDeque::new(),
            idle: BTreeSet::new(),
            next: 0,
            counters: Counters::default(),
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether a server is up, and how long its answers take, by its place in the configuration.
    pub fn standing(&self, server: usize) -> Option<(bool, Duration)> {
        let server = self.servers.get(server)?;
        Some((server.up, server.round_trip))
    }

    fn name(&self, server: usize) -> String {
        self.config.servers[server].endpoint.clone()
    }

    // ---- servers ----

    /// Connects, or connects anew: what was queued for the server is dropped. It is pinged as soon as
    /// there is a connection.
    fn connect(&mut self, index: usize, now: Time, actions: &mut Actions<Output>) {
        let endpoint = self.name(index);
        let options = self.config.options.clone();
        let options = options.linger(Duration::ZERO).router_mandatory(true);
        let spec = Spec::new(SocketType::Router).options(options);
        let id = Bytes::from(endpoint.clone());
        actions.open(Port(index as u8), spec.connect_as(endpoint, id).watch());
        let server = &mut self.servers[index];
        server.linked = false;
        server.heard = now;
    }

    fn ping(&mut self, index: usize, now: Time, actions: &mut Actions<Output>) {
        let ping = [self.name(index), "PING".to_owned()];
        actions.send(Port(index as u8), ping.into_iter().collect::<Message>());
        let server = &mut self.servers[index];
        server.pinged = Some(now);
        server.ping_at = now + self.config.ping_interval;
    }

    /// Something came from a server, so long after it was asked for.
    fn heard(&mut self, index: usize, took: Option<Duration>, now: Time) {
        let interval = self.config.ping_interval;
        let server = &mut self.servers[index];
        server.heard = now;
        server.ping_at = now + interval;
        server.overdue = false;
        if let Some(took) = took {
            // One eighth, as TCP has it.
            server.round_trip = match server.round_trip.is_zero() {
                true => took,
                false => (server.round_trip * 7 + took) / 8,
            };
        }
    }

    fn rise(&mut self, index: usize, now: Time, actions: &mut Actions<Output>) {
        if std::mem::replace(&mut self.servers[index].up, true) {
            return;
        }
        actions.deliver(Output::Up(self.name(index)));
        for number in std::mem::take(&mut self.idle) {
            self.dispatch(number, now, actions);
        }
    }

    /// A server is not to be asked any more: its requests go to others.
    fn fall(&mut self, index: usize, now: Time, actions: &mut Actions<Output>) {
        let server = &mut self.servers[index];
        if std::mem::take(&mut server.up) {
            actions.deliver(Output::Down(self.name(index)));
        }
        self.servers[index].overdue = false;
        self.servers[index].waiting = 0;
        let mut orphans = Vec::new();
        for (number, pending) in &mut self.pending {
            // The connection is another one: it may be asked again.
            pending.tried.remove(&index);
            if pending.asked.is_some_and(|(server, _)| server == index) {
                pending.asked = None;
                orphans.push(*number);
            }
        }
        for number in orphans {
            self.dispatch(number, now, actions);
        }
    }

    /// The best server for a request.
    fn choose(&self, pending: &Pending) -> Option<usize> {
        let best = |wanted: &dyn Fn(usize) -> bool| {
            let up = (0..self.servers.len()).filter(|index| self.servers[*index].up);
            up.filter(|index| wanted(*index)).min_by_key(|index| {
                let server = &self.servers[*index];
                let load = server.round_trip * (server.waiting + 1);
                (server.overdue, self.config.servers[*index].priority, load)
            })
        };
        let last = pending.asked.map(|(server, _)| server);
        best(&|index| !pending.tried.contains(&index))
            .or_else(|| best(&|i| Some(i) != last))
            .filter(|index| Some(*index) != last)
    }

    // ---- requests ----

    fn request(&mut self, request: u64, body: Message, now: Time, actions: &mut Actions<Output>) {
        if self.pending.len() >= self.config.window {
            return self.fail(request, Failure::Refused, actions);
        }
        self.next += 1;
        let pending = Pending {
            request,
            body,
            expires: now + self.config.timeout,
            asked: None,
            tried: BTreeSet::new(),
            times: 0,
        };
        self.pending.insert(self.next, pending);
        self.dispatch(self.next, now, actions);
    }

    /// Asks the best server, or leaves the request until there is one.
    fn dispatch(&mut self, number: u64, now: Time, actions: &mut Actions<Output>) {
        let Some(pending) = self.pending.get(&number) else {
            return;
        };
        let Some(index) = self.choose(pending) else {
            self.idle.insert(number);
            return;
        };
        let endpoint = self.name(index);
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        if !pending.tried.insert(index) {
            // All were asked: the next round.
            pending.tried.clear();
            pending.tried.insert(index);
        }
        if let Some((before, _)) = pending.asked.replace((index, now)) {
            let before = &mut self.servers[before];
            before.waiting = before.waiting.saturating_sub(1);
        }
        self.servers[index].waiting += 1;
        self.counters.resends += u64::from(pending.times > 0);
        pending.times += 1;
        let mut message = pending.body.clone();
        message.push_front(number.to_be_bytes().to_vec());
        message.push_front(endpoint);
        self.overdue
            .push_back((now + self.config.patience, number, now));
        actions.send(Port(index as u8), message);
    }

    fn message(
        &mut self,
        index: usize,
        mut message: Message,
        now: Time,
        actions: &mut Actions<Output>,
    ) {
        message.pop_front();
        if message.len() == 1 {
            if *message.body() != *"PONG" {
                self.counters.malformed += 1;
                return;
            }
            let took = self.servers[index].pinged.take().map(|at| now.since(at));
            self.heard(index, took, now);
            return self.rise(index, now, actions);
        }
        let control = message.pop_front();
        let number = control.and_then(|frame| <[u8; 8]>::try_from(&frame[..]).ok());
        let Some(number) = number.map(u64::from_be_bytes) else {
            self.counters.malformed += 1;
            return;
        };
        let done = self.pending.remove(&number);
        let asked = done.as_ref().and_then(|pending| pending.asked);
        let took = asked.filter(|(server, _)| *server == index);
        self.heard(index, took.map(|(_, at)| now.since(at)), now);
        match done {
            Some(pending) => {
                self.release(number, &pending);
                self.counters.replies += 1;
                actions.deliver(Output::Reply {
                    request: pending.request,
                    server: self.name(index),
                    body: message,
                });
            }
            None => self.counters.late += 1,
        }
        self.rise(index, now, actions);
    }

    /// Forgets where a request that has ended stood.
    fn release(&mut self, number: u64, pending: &Pending) {
        self.idle.remove(&number);
        let over = |entry: &(Time, u64, Time)| !self.pending.contains_key(&entry.1);
        while self.overdue.front().is_some_and(over) {
            self.overdue.pop_front();
        }
        if let Some((server, _)) = pending.asked {
            let server = &mut self.servers[server];
            server.waiting = server.waiting.saturating_sub(1);
        }
    }

    fn fail(&mut self, request: u64, why: Failure, actions: &mut Actions<Output>) {
        self.counters.failures += 1;
        actions.deliver(Output::Failed { request, why });
    }

    // ---- time ----

    fn tick(&mut self, now: Time, actions: &mut Actions<Output>) {
        while let Some(first) = self.pending.first_entry()
            && first.get().expires <= now
        {
            let (number, pending) = first.remove_entry();
            self.release(number, &pending);
            let why = match pending.times {
                0 => Failure::Unconnected,
                _ => Failure::Silent,
            };
            self.fail(pending.request, why, actions);
        }
        while let Some((_, number, since)) = self.overdue.pop_front_if(|(at, ..)| *at <= now) {
            let asked = self.pending.get(&number).and_then(|pending| pending.asked);
            let Some((index, _)) = asked.filter(|(_, at)| *at == since) else {
                continue;
            };
            let server = &mut self.servers[index];
            server.overdue |= server.heard <= since;
            actions.deliver(Output::Silent {
                request: self.pending[&number].request,
                server: self.name(index),
            });
            self.dispatch(number, now, actions);
        }
        for index in 0..self.servers.len() {
            let server = &self.servers[index];
            if server.heard + self.config.ttl <= now {
                self.connect(index, now, actions);
                self.fall(index, now, actions);
            } else if server.linked && server.ping_at <= now {
                self.ping(index, now, actions);
            }
        }
    }
}

impl Machine for Direct {
    type Command = Command;
    type Output = Output;

    fn handle(&mut self, event: Event<Command>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => {
                for index in 0..self.servers.len() {
                    actions.deliver(Output::Connecting(self.name(index)));
                    self.connect(index, now, actions);
                }
            }
            Event::Command(Command::Request(request, body)) => {
                self.request(request, body, now, actions);
            }
            Event::Message { port, message } => {
                self.message(port.0.into(), message, now, actions);
            }
            Event::Link { port, link, .. } => {
                let index = usize::from(port.0);
                match link {
                    Link::Up => {
                        self.servers[index].linked = true;
                        self.ping(index, now, actions);
                    }
                    Link::Down => {
                        self.servers[index].linked = false;
                        self.fall(index, now, actions);
                    }
                    Link::Refused(_) => {}
                }
            }
            // A request that could not be sent: its server is full or away. Its time with it runs out.
            Event::Unsent { .. } => {}
            Event::Due => self.tick(now, actions),
            Event::Stop => {
                for pending in std::mem::take(&mut self.pending).into_values() {
                    self.fail(pending.request, Failure::Stopped, actions);
                }
                actions.end();
            }
        }
    }

    fn due(&self) -> Option<Time> {
        let servers = self.servers.iter();
        let servers = servers.map(|server| {
            let expiry = server.heard + self.config.ttl;
            match server.linked {
                true => expiry.min(server.ping_at),
                false => expiry,
            }
        });
        let expiry = self.pending.values().next().map(|pending| pending.expires);
        let overdue = self.overdue.front().map(|(at, ..)| *at);
        servers.chain(expiry).chain(overdue).min()
    }
}
