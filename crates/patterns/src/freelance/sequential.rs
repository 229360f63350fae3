//! Model one: a REQ asks one server after the other, as a Lazy Pirate does.
//!
//! A socket serves until a server is silent; then it is closed, so that a late reply finds nobody. What
//! the Guide's client lacks: it stays with the server that answered last, so that a dead one costs its
//! timeout once and not with each request.

use std::collections::VecDeque;
use std::time::Duration;

use xebec::{Message, Options, SocketType};

use super::{Command, Counters, Failure, Output, check_servers};
use crate::machine::{Actions, Event, Machine, Port, Spec, Time};

const PORT: Port = Port(0);

/// How a client behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers, 1 to 256, in the order in which they are asked.
    pub servers: Vec<String>,
    /// How long a server is waited for. 1 s.
    pub timeout: Duration,
    /// How often a request is sent before it fails; `None`: until it is answered. 3 with one server,
    /// with several once to each.
    pub attempts: Option<u32>,
    /// The pause before the next server is asked. None.
    pub settle: Duration,
    /// Whether to stay with the server that answered, over one connection, or to begin each request
    /// at the first with a new one. It stays.
    pub stay: bool,
    /// Requests that may wait for their turn. 1000.
    pub backlog: usize,
    /// Options of the sockets, such as those of security.
    pub options: Options,
}

impl Config {
    /// The Guide's client of these servers.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        let servers: Vec<String> = servers.into_iter().map(Into::into).collect();
        Config {
            attempts: Some(match servers.len() {
                0 | 1 => 3,
                several => several as u32,
            }),
            servers,
            timeout: Duration::from_secs(1),
            settle: Duration::ZERO,
            stay: true,
            backlog: 1000,
            options: Options::new(),
        }
    }
}

struct Work {
    request: u64,
    body: Message,
    attempts: u32,
    until: Time,
    /// It waits for the reply, or else for the next attempt.
    sent: bool,
}

/// A client of model one.
pub struct Sequential {
    config: Config,
    current: usize,
    open: bool,
    work: Option<Work>,
    backlog: VecDeque<(u64, Message)>,
    counters: Counters,
}

impl Sequential {
    /// A client.
    ///
    /// # Panics
    /// If there is no server, or more than 256, or no attempt, or no time for one.
    pub fn new(config: Config) -> Self {
        check_servers(config.servers.len());
        assert!(
            config.attempts != Some(0),
            "a request is sent at least once"
        );
        assert!(!config.timeout.is_zero(), "an attempt takes some time");
        Sequential {
            config,
            current: 0,
            open: false,
            work: None,
            backlog: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn begin(&mut self, now: Time, actions: &mut Actions<Output>) {
        if self.work.is_none()
            && let Some((request, body)) = self.backlog.pop_front()
        {
            self.work = Some(Work {
                request,
                body,
                attempts: 0,
                until: now,
                sent: false,
            });
            self.attempt(now, actions);
        }
    }

    fn attempt(&mut self, now: Time, actions: &mut Actions<Output>) {
        self.connect(actions);
        let Some(work) = &mut self.work else { return };
        self.counters.resends += u64::from(work.attempts > 0);
        work.attempts += 1;
        work.until = now + self.config.timeout;
        work.sent = true;
        actions.send(PORT, work.body.clone());
    }

    fn connect(&mut self, actions: &mut Actions<Output>) {
        if !std::mem::replace(&mut self.open, true) {
            let server = &self.config.servers[self.current];
            actions.deliver(Output::Connecting(server.clone()));
            // What the end leaves unsent nobody waits for.
            let options = self.config.options.clone().linger(Duration::ZERO);
            let spec = Spec::new(SocketType::Req).options(options);
            actions.open(PORT, spec.connect(server));
        }
    }

    fn close(&mut self, next: usize, actions: &mut Actions<Output>) {
        actions.close(PORT);
        self.open = false;
        self.current = next;
    }

    fn fail(&mut self, why: Failure, actions: &mut Actions<Output>) {
        if let Some(Work { request, .. }) = self.work.take() {
            self.counters.failures += 1;
            actions.deliver(Output::Failed { request, why });
        }
    }

    fn due_now(&mut self, now: Time, actions: &mut Actions<Output>) {
        let Some(work) = self.work.as_mut().filter(|work| work.until <= now) else {
            return;
        };
        if !work.sent {
            return self.attempt(now, actions);
        }
        let (request, server) = (work.request, self.config.servers[self.current].clone());
        let last = self
            .config
            .attempts
            .is_some_and(|most| work.attempts >= most);
        work.sent = false;
        work.until = now + self.config.settle;
        actions.deliver(Output::Silent { request, server });
        let next = (self.current + 1) % self.config.servers.len();
        self.close(if last && !self.config.stay { 0 } else { next }, actions);
        if last {
            self.fail(Failure::Silent, actions);
            self.begin(now, actions);
        } else if self.config.settle.is_zero() {
            self.attempt(now, actions);
        }
    }
}

impl Machine for Sequential {
    type Command = Command;
    type Output = Output;

    fn handle(&mut self, event: Event<Command>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start if self.config.stay => self.connect(actions),
            Event::Command(Command::Request(request, _))
                if self.backlog.len() >= self.config.backlog =>
            {
                self.counters.failures += 1;
                let why = Failure::Refused;
                actions.deliver(Output::Failed { request, why });
            }
            Event::Command(Command::Request(request, body)) => {
                self.backlog.push_back((request, body));
                self.begin(now, actions);
            }
            Event::Message { message, .. } => match self.work.take() {
                Some(work) if work.sent => {
                    self.counters.replies += 1;
                    actions.deliver(Output::Reply {
                        request: work.request,
                        server: self.config.servers[self.current].clone(),
                        body: message,
                    });
                    if !self.config.stay {
                        self.close(0, actions);
                    }
                    self.begin(now, actions);
                }
                idle => {
                    self.counters.late += 1;
                    self.work = idle;
                }
            },
            Event::Due => self.due_now(now, actions),
            Event::Stop => {
                self.fail(Failure::Stopped, actions);
                for (request, _) in std::mem::take(&mut self.backlog) {
                    self.counters.failures += 1;
                    let why = Failure::Stopped;
                    actions.deliver(Output::Failed { request, why });
                }
                actions.end();
            }
            // A REQ that could not send waits for nothing: its time runs out.
            Event::Start | Event::Unsent { .. } | Event::Link { .. } => {}
        }
    }

    fn due(&self) -> Option<Time> {
        Some(self.work.as_ref()?.until)
    }
}
