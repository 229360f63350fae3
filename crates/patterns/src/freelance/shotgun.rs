//! Model two: every request goes to every server, and the first reply counts.
//!
//! The frames of a request are `["", number, body…]`, the number in decimal; a server hands it back,
//! `["", number, body…]`. There is one DEALER for each server, so that each gets a request once; what
//! the Guide's client lacks: nothing is queued for a server that is away, and one that comes back, or
//! comes late, is sent the requests that still wait.

use std::collections::BTreeMap;
use std::time::Duration;

use xebec::{Message, Options, SocketType};

use super::{Command, Counters, Failure, Output, check_servers};
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

/// How a client behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers, 1 to 256.
    pub servers: Vec<String>,
    /// How long a reply is waited for. 2.5 s.
    pub timeout: Duration,
    /// Requests that may wait for their reply. 1000.
    pub window: usize,
    /// Options of the sockets, such as those of security.
    pub options: Options,
}

impl Config {
    /// The Guide's client of these servers.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> Self {
        Config {
            servers: servers.into_iter().map(Into::into).collect(),
            timeout: Duration::from_millis(2500),
            window: 1000,
            options: Options::new(),
        }
    }
}

struct Pending {
    request: u64,
    body: Message,
    expires: Time,
    /// By server: whether its present connection was given the request.
    sent: Vec<bool>,
    /// How often it was sent in all.
    times: usize,
}

/// A client of model two.
pub struct Shotgun {
    config: Config,
    /// By server, which is also the port.
    up: Vec<bool>,
    /// By the number in the envelope; they expire in this order.
    pending: BTreeMap<u64, Pending>,
    next: u64,
    counters: Counters,
}

impl Shotgun {
    /// A client.
    ///
    /// # Panics
    /// If there is no server, or more than 256.
    pub fn new(config: Config) -> Self {
        check_servers(config.servers.len());
        Shotgun {
            up: vec![false; config.servers.len()],
            config,
            pending: BTreeMap::new(),
            next: 0,
            counters: Counters::default(),
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn open(&self, actions: &mut Actions<Output>) {
        for (index, server) in self.config.servers.iter().enumerate() {
            let options = self.config.options.clone();
            let options = options.linger(Duration::ZERO).immediate(true);
            let spec = Spec::new(SocketType::Dealer).options(options);
            actions.deliver(Output::Connecting(server.clone()));
            actions.open(Port(index as u8), spec.connect(server).watch());
        }
    }

    fn request(&mut self, request: u64, body: Message, now: Time, actions: &mut Actions<Output>) {
        if self.pending.len() >= self.config.window {
            return self.fail(request, Failure::Refused, actions);
        }
        self.next += 1;
        let pending = Pending {
            request,
            body,
            expires: now + self.config.timeout,
            sent: vec![false; self.up.len()],
            times: 0,
        };
        self.pending.insert(self.next, pending);
        for server in 0..self.up.len() {
            if self.up[server] {
                self.shoot(self.next, server, actions);
            }
        }
    }

    fn shoot(&mut self, number: u64, server: usize, actions: &mut Actions<Output>) {
        let Some(pending) = self.pending.get_mut(&number) else {
            return;
        };
        if !std::mem::replace(&mut pending.sent[server], true) {
            pending.times += 1;
            self.counters.resends += u64::from(pending.times > self.up.len());
            let mut message = pending.body.clone();
            message.push_front(number.to_string());
            message.push_front("");
            actions.send(Port(server as u8), message);
        }
    }

    fn link(&mut self, server: usize, link: Link, actions: &mut Actions<Output>) {
        let name = || self.config.servers[server].clone();
        match link {
            Link::Up => {
                self.up[server] = true;
                actions.deliver(Output::Up(name()));
                let waiting: Vec<u64> = self.pending.keys().copied().collect();
                for number in waiting {
                    self.shoot(number, server, actions);
                }
            }
            Link::Down if self.up[server] => {
                actions.deliver(Output::Down(name()));
                self.up[server] = false;
                let pending = self.pending.values_mut();
                pending.for_each(|pending| pending.sent[server] = false);
            }
            Link::Down | Link::Refused(_) => {}
        }
    }

    fn reply(&mut self, server: usize, mut message: Message, actions: &mut Actions<Output>) {
        let empty = message.pop_front().is_some_and(|frame| frame.is_empty());
        let number = message.pop_front().and_then(|frame| number(&frame));
        let Some(number) = number.filter(|_| empty) else {
            self.counters.malformed += 1;
            return;
        };
        match self.pending.remove(&number) {
            Some(Pending { request, .. }) => {
                self.counters.replies += 1;
                actions.deliver(Output::Reply {
                    request,
                    server: self.config.servers[server].clone(),
                    body: message,
                });
            }
            None => self.counters.late += 1,
        }
    }

    /// It was not sent after all: its server is away, which its link will tell, or full.
    fn unsent(&mut self, server: usize, message: &Message) {
        let number = message.frame(1).and_then(|frame| number(frame));
        let pending = number.and_then(|number| self.pending.get_mut(&number));
        if let Some(pending) = pending {
            pending.sent[server] = false;
            pending.times -= 1;
        }
    }

    fn expire(&mut self, now: Time, actions: &mut Actions<Output>) {
        while let Some(first) = self.pending.first_entry()
            && first.get().expires <= now
        {
            let pending = first.remove();
            let why = match pending.times {
                0 => Failure::Unconnected,
                _ => Failure::Silent,
            };
            self.fail(pending.request, why, actions);
        }
    }

    fn fail(&mut self, request: u64, why: Failure, actions: &mut Actions<Output>) {
        self.counters.failures += 1;
        actions.deliver(Output::Failed { request, why });
    }
}

fn number(frame: &[u8]) -> Option<u64> {
    std::str::from_utf8(frame).ok()?.parse().ok()
}

impl Machine for Shotgun {
    type Command = Command;
    type Output = Output;

    fn handle(&mut self, event: Event<Command>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => self.open(actions),
            Event::Command(Command::Request(request, body)) => {
                self.request(request, body, now, actions);
            }
            Event::Message { port, message } => self.reply(port.0.into(), message, actions),
            Event::Unsent { port, message, .. } => self.unsent(port.0.into(), &message),
            Event::Link { port, link, .. } => self.link(port.0.into(), link, actions),
            Event::Due => self.expire(now, actions),
            Event::Stop => {
                for pending in std::mem::take(&mut self.pending).into_values() {
                    self.fail(pending.request, Failure::Stopped, actions);
                }
                actions.end();
            }
        }
    }

    fn due(&self) -> Option<Time> {
        Some(self.pending.values().next()?.expires)
    }
}
