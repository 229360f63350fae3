//! Lazy Pirate: a client that asks again (the Guide, chapter 4, "Client-Side Reliability").
//!
//! A request is sent and waited for; after a timeout it is sent again, to the next server of a list if
//! there are several, and after some attempts it is given up. Each request comes to exactly one end:
//! [`Output::Reply`] or [`Output::Failed`].
//!
//! Two [forms](Form) speak to the same servers, REP sockets or a queue in front of workers:
//! * [`Form::Req`], the Guide's: one request at a time over a REQ, which is closed and opened anew for
//!   each further attempt, so that a late reply finds nobody.
//! * [`Form::Dealer`]: many requests at a time. Each carries its number in the envelope,
//!   `[number, 8 bytes][""][body…]`, which every REP and every queue hands back; a late reply is
//!   still a reply, and a second one is dropped.
//!
//! A server may execute a request twice: the first reply may have been lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use xebec::{Message, Options, SocketType};

use crate::backoff::Backoff;
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

/// How a client behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers, 1 to 256. The first is asked first; who is asked stays so until an attempt fails.
    pub servers: Vec<String>,
    /// Over which socket.
    pub form: Form,
    /// How long an attempt waits for its reply, unless its connection is lost and comes back. 2.5 s.
    pub timeout: Duration,
    /// How often a request is sent in all before it is given up, one or more. 3.
    pub attempts: u32,
    /// The pause before each further attempt. None.
    pub backoff: Backoff,
    /// How long a request may be worked on while the server's connection stays up and its pings (of
    /// ZMTP) are answered; it is not sent again meanwhile. `None`: no longer than the timeout. Behind
    /// a queue it is the queue that answers the pings.
    pub patience: Option<Duration>,
    /// Requests that may wait for their turn; more fail at once. 1000.
    pub backlog: usize,
    /// Requests that may be under way at a time, in the form of [`Form::Dealer`]. 100.
    pub window: usize,
    /// Whether a reply, the second, is one to the request, the first. What is not is told as
    /// [`Output::Malformed`] and otherwise ignored. Takes all.
    pub accept: fn(&Message, &Message) -> bool,
    /// Options of the sockets, such as those of security.
    pub options: Options,
}

/// Which socket a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A REQ for one request at a time.
    Req,
    /// A DEALER for each server, for many requests at a time.
    Dealer,
}

impl Config {
    /// The Guide's client of one server or several.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        Config {
            servers: servers.into_iter().map(Into::into).collect(),
            form: Form::Req,
            timeout: Duration::from_millis(2500),
            attempts: 3,
            backoff: Backoff::NONE,
            patience: None,
            backlog: 1000,
            window: 100,
            accept: |_, _| true,
            options: Options::new(),
        }
    }
}

/// What the application asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A request. Its number is the application's own, and no other request that is under way has it.
    Request(u64, Message),
}

/// Why a request was given up, as its last attempt had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection to the server, and the reason.
    Unconnected(String),
    /// The connection was lost after the request was sent.
    Lost,
    /// The server was connected and did not reply in time.
    Silent,
    /// Too many requests wait: it was never sent.
    Refused,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unconnected(why) => write!(f, "cannot connect to the server: {why}"),
            Failure::Lost => f.write_str("the connection was lost before the reply came"),
            Failure::Silent => f.write_str("the server is connected and did not reply in time"),
            Failure::Refused => f.write_str("too many requests wait already"),
        }
    }
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The reply to the request of this number.
    Reply(u64, Message),
    /// The request of this number was given up.
    Failed(u64, Failure),
    /// An attempt failed, for this reason, and another follows.
    Retrying(u64, Failure),
    /// A connection to this server is opened; the first time, or again.
    Connecting {
        /// The server.
        server: String,
        /// Whether it is not the first of this client.
        again: bool,
    },
    /// The request of this number has had no reply for so long; the connection to its server is
    /// alive, and the client has [patience](Config::patience).
    Working(u64, Duration),
    /// This came instead of a reply to the request of this number.
    Malformed(u64, Message),
}

impl Output {
    /// What the Guide's client prints, if it prints something of this.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Output::Connecting { again: false, .. } => "I: connecting to server...",
            Output::Connecting { again: true, .. } => "I: reconnecting to server...",
            Output::Retrying(..) => "W: no response from server, retrying...",
            Output::Failed(..) => "E: server seems to be offline, abandoning",
            Output::Reply(_, reply) => {
                return Some(format!(
                    "I: server replied OK ({})",
                    reply.to_string_lossy()
                ));
            }
            Output::Malformed(_, reply) => {
                let text = reply.to_string_lossy();
                return Some(format!("E: malformed reply from server: {text}"));
            }
            Output::Working(..) => return None,
        };
        Some(line.to_owned())
    }
}

/// What a client has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were answered.
    pub replies: u64,
    /// Requests that were given up.
    pub failures: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Replies to requests that had come to their end.
    pub late: u64,
    /// Messages that were no replies.
    pub malformed: u64,
}

struct Request {
    id: u64,
    body: Message,
    /// How often it was sent, or would have been had there been a connection.
    attempts: u32,
    /// When its timer is due: that of the attempt, or of the pause before the next.
    timer: Time,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Until the timer.
    Pausing,
    Trying {
        since: Time,
        server: usize,
        /// Whether it was handed to the connection that there is.
        sent: bool,
        /// Whether it was handed to one that was lost.
        lost: bool,
    },
}

/// The sockets of one server, in the form of REQ of all.
#[derive(Default)]
struct Line {
    open: bool,
    up: bool,
    cause: Option<String>,
}

/// A Lazy Pirate client.
pub struct Client {
    config: Config,
    rng: Rng,
    /// The server to ask.
    current: usize,
    /// By port.
    lines: Vec<Line>,
    connected_before: bool,
    backlog: VecDeque<(u64, Message)>,
    /// By the number in the envelope.
    requests: BTreeMap<u64, Request>,
    timers: BTreeSet<(Time, u64)>,
    next: u64,
    stopping: bool,
    counters: Counters,
}

impl Client {
    /// A client; the seed is for the jitter of its pauses.
    ///
    /// # Panics
    /// If there is no server, or more than 256, or no attempt, or no time for one.
    pub fn new(mut config: Config, seed: u64) -> Self {
        let servers = config.servers.len();
        assert!(
            (1..=256).contains(&servers),
            "a client has 1 to 256 servers"
        );
        assert!(config.attempts > 0, "a request is sent at least once");
        assert!(!config.timeout.is_zero(), "an attempt takes some time");
        if config.form == Form::Req {
            config.window = 1;
        }
        if config.patience.is_some() && config.options.heartbeat_ivl.is_none() {
            config.options = config.options.heartbeat_ivl(config.timeout / 2);
        }
        let lines = match config.form {
            Form::Req => 1,
            Form::Dealer => servers,
        };
        Client {
            config,
            rng: Rng::with_seed(seed),
            current: 0,
            lines: (0..lines).map(|_| Line::default()).collect(),
            connected_before: false,
            backlog: VecDeque::new(),
            requests: BTreeMap::new(),
            timers: BTreeSet::new(),
            next: 0,
            stopping: false,
            counters: Counters::default(),
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Requests that have not come to their end.
    pub fn pending(&self) -> usize {
        self.backlog.len() + self.requests.len()
    }

    /// The port to a server.
    fn port(&self, server: usize) -> usize {
        match self.config.form {
            Form::Req => 0,
            Form::Dealer => server,
        }
    }

    /// Opens the port of the server to ask.
    fn open(&mut self, actions: &mut Actions<Output>) {
        let server = &self.config.servers[self.current];
        let port = self.port(self.current);
        // What a closing leaves unsent is asked again elsewhere.
        let options = self.config.options.clone().linger(Duration::ZERO);
        let spec = match self.config.form {
            Form::Req => Spec::new(SocketType::Req).options(options),
            // Nothing is queued for a server that is away: it would come to it out of date.
            Form::Dealer => Spec::new(SocketType::Dealer).options(options.immediate(true)),
        };
        actions.deliver(Output::Connecting {
            server: server.clone(),
            again: std::mem::replace(&mut self.connected_before, true),
        });
        actions.open(Port(port as u8), spec.connect(server).watch());
        self.lines[port] = Line {
            open: true,
            ..Line::default()
        };
    }

    /// Takes requests into work as far as the window allows.
    fn fill(&mut self, now: Time, actions: &mut Actions<Output>) {
        while self.requests.len() < self.config.window {
            let Some((id, body)) = self.backlog.pop_front() else {
                break;
            };
            self.next += 1;
            let request = Request {
                id,
                body,
                attempts: 0,
                timer: now,
                state: State::Pausing,
            };
            self.timers.insert((now, self.next));
            self.requests.insert(self.next, request);
            self.attempt(self.next, now, actions);
        }
        if self.stopping && self.requests.is_empty() {
            actions.end();
        }
    }

    fn set_timer(&mut self, number: u64, at: Time) {
        if let Some(request) = self.requests.get_mut(&number) {
            self.timers.remove(&(request.timer, number));
            request.timer = at;
            self.timers.insert((at, number));
        }
    }

    /// Sends a request, for the first time or again.
    fn attempt(&mut self, number: u64, now: Time, actions: &mut Actions<Output>) {
        let (server, port) = (self.current, self.port(self.current));
        let req = self.config.form == Form::Req;
        let Some(request) = self.requests.get_mut(&number) else {
            return;
        };
        let again = request.attempts > 0;
        request.attempts += 1;
        // A REQ that waits for its reply takes nothing else, so it is replaced.
        if !self.lines[port].open || req && again {
            self.open(actions);
        }
        let sent = req || self.lines[port].up;
        let request = self.requests.get_mut(&number).expect("it is there");
        request.state = State::Trying {
            since: now,
            server,
            sent,
            lost: false,
        };
        if sent {
            let message = enveloped(self.config.form, number, &request.body);
            actions.send(Port(port as u8), message);
        }
        self.counters.retries += u64::from(again);
        self.set_timer(number, now + self.config.timeout);
    }

    /// A request's timer is due.
    fn expire(&mut self, number: u64, now: Time, actions: &mut Actions<Output>) {
        let Some(request) = self.requests.get(&number) else {
            return;
        };
        let State::Trying {
            since,
            server,
            sent,
            lost,
        } = request.state
        else {
            return self.attempt(number, now, actions);
        };
        let line = &self.lines[self.port(server)];
        let (id, attempts, waited) = (request.id, request.attempts, now.since(since));
        let alive = line.up && sent && !lost;
        if alive && self.config.patience.is_some_and(|most| waited < most) {
            actions.deliver(Output::Working(id, waited));
            return self.set_timer(number, now + self.config.timeout);
        }
        let failure = match &line.cause {
            _ if alive => Failure::Silent,
            _ if lost => Failure::Lost,
            cause => Failure::Unconnected(cause.clone().unwrap_or_else(|| "no answer".to_owned())),
        };
        // Whoever else waits for that server has moved on already, or does when its own time is over.
        if server == self.current {
            self.current = (self.current + 1) % self.config.servers.len();
        }
        if attempts < self.config.attempts {
            actions.deliver(Output::Retrying(id, failure));
            let pause = self.config.backoff.pause(attempts - 1, &mut self.rng);
            if pause.is_zero() {
                return self.attempt(number, now, actions);
            }
            let request = self.requests.get_mut(&number).expect("it is there");
            request.state = State::Pausing;
            return self.set_timer(number, now + pause);
        }
        self.counters.failures += 1;
        self.finish(number);
        actions.deliver(Output::Failed(id, failure));
        if self.config.form == Form::Req {
            // It still waits for the reply to what was given up.
            actions.close(Port(0));
            self.lines[0] = Line::default();
        }
        self.fill(now, actions);
    }

    fn finish(&mut self, number: u64) -> Option<Request> {
        let request = self.requests.remove(&number)?;
        self.timers.remove(&(request.timer, number));
        Some(request)
    }

    fn received(&mut self, mut message: Message, now: Time, actions: &mut Actions<Output>) {
        let number = match self.config.form {
            // It hands over only what answers its latest request.
            Form::Req => self.requests.keys().next().copied(),
            Form::Dealer => match message.pop_envelope().as_deref() {
                Some([number]) => number.as_bytes().try_into().map(u64::from_be_bytes).ok(),
                _ => None,
            },
        };
        let Some(number) = number else {
            self.counters.malformed += 1;
            return;
        };
        let Some(request) = self.requests.get(&number) else {
            self.counters.late += 1;
            return;
        };
        let id = request.id;
        if !(self.config.accept)(&request.body, &message) {
            self.counters.malformed += 1;
            return actions.deliver(Output::Malformed(id, message));
        }
        self.finish(number);
        self.counters.replies += 1;
        actions.deliver(Output::Reply(id, message));
        self.fill(now, actions);
    }

    fn linked(&mut self, port: Port, link: Link, now: Time, actions: &mut Actions<Output>) {
        let form = self.config.form;
        let index = usize::from(port.0);
        let line = &mut self.lines[index];
        line.up = link == Link::Up;
        if let Link::Refused(why) = link {
            line.cause = Some(why);
            return;
        }
        line.cause = None;
        let up = line.up;
        let mut again = None;
        for (number, request) in &mut self.requests {
            let State::Trying {
                server, sent, lost, ..
            } = &mut request.state
            else {
                continue;
            };
            if form == Form::Dealer && *server != index {
                continue;
            }
            match up {
                false => (*lost, *sent) = (*sent, form == Form::Req),
                // What was under way on the connection before is lost with it.
                true if *lost && form == Form::Req => again = Some(*number),
                true if !*sent => {
                    (*lost, *sent) = (false, true);
                    actions.send(port, enveloped(form, *number, &request.body));
                }
                true => {}
            }
        }
        // The server is back, and this REQ waits for a reply that will not come.
        if let Some(number) = again {
            self.expire(number, now, actions);
        }
    }
}

impl Machine for Client {
    type Command = Command;
    type Output = Output;

    fn handle(&mut self, event: Event<Command>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => self.open(actions),
            Event::Command(Command::Request(id, body)) => {
                if self.stopping || self.backlog.len() >= self.config.backlog {
                    self.counters.failures += 1;
                    return actions.deliver(Output::Failed(id, Failure::Refused));
                }
                self.backlog.push_back((id, body));
                self.fill(now, actions);
            }
            Event::Message { port, message } => {
                // The message may come before it is told that there is a connection.
                self.lines[usize::from(port.0)].up = true;
                self.received(message, now, actions);
            }
            Event::Link { port, link, .. } => self.linked(port, link, now, actions),
            Event::Unsent { message, .. } => {
                let number = message
                    .first()
                    .as_bytes()
                    .try_into()
                    .map(u64::from_be_bytes);
                let request = number.ok().and_then(|n| self.requests.get_mut(&n));
                if let Some(State::Trying { sent, .. }) = request.map(|r| &mut r.state) {
                    // The connection is gone, which is about to be told.
                    *sent = false;
                }
            }
            Event::Due => {
                while let Some((at, number)) = self.timers.first().copied()
                    && at <= now
                {
                    self.expire(number, now, actions);
                }
            }
            Event::Stop => {
                self.stopping = true;
                self.fill(now, actions);
            }
        }
    }

    fn due(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}

fn enveloped(form: Form, number: u64, body: &Message) -> Message {
    let mut message = body.clone();
    if form == Form::Dealer {
        message.push_front("");
        message.push_front(number.to_be_bytes());
    }
    message
}
