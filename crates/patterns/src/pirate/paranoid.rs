//! The worker of Paranoid Pirate: a DEALER with heartbeats (RFC 6).
//!
//! On every connection it sends `[0x01]` first. Then requests come, `[client…][""][body…]`, and go back
//! as replies with the same envelope, and heartbeats, `[0x02]`, pass both ways, also while it works.
//! When it hears nothing for some intervals it closes its socket, waits, longer each time, and opens a
//! new one.
//!
//! Each connection is a conversation of its own. Nothing is sent while there is none, and the reply to a
//! request of an earlier one is dropped: the queue has given that request up.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use xebec::{Message, Options, SocketType};

use super::{Answer, HEARTBEAT, INTERVAL, Job, LIVENESS, READY};
use crate::backoff::Backoff;
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

const PORT: Port = Port(0);

/// How a worker behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the queue is: `tcp://localhost:5556`.
    pub queue: String,
    /// How often a heartbeat is sent. 1 s.
    pub interval: Duration,
    /// After how many silent intervals the queue is gone. 3.
    pub liveness: u32,
    /// The pauses before it connects again: 1 s, doubled up to 32 s.
    pub backoff: Backoff,
    /// Requests that may wait while it has one; more are dropped, and counted. 16.
    pub backlog: usize,
    /// Options of the socket, such as those of security.
    pub options: Options,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            queue: "tcp://localhost:5556".to_owned(),
            interval: INTERVAL,
            liveness: LIVENESS,
            backoff: Backoff {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(32),
                jitter: 0.0,
            },
            backlog: 16,
            options: Options::new(),
        }
    }
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The worker announces itself.
    Ready,
    /// A heartbeat was sent.
    Heartbeat,
    /// A request; the machine wants [`Answer::Reply`] before it delivers the next.
    Request(Message),
    /// The queue was silent for too long.
    Unreachable,
    /// It is tried again after this time.
    Reconnecting(Duration),
    /// What came is neither a request nor a heartbeat.
    Invalid(Message),
}

impl Output {
    /// What the Guide's worker prints, if it prints something of this.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Output::Ready => "I: worker ready",
            Output::Heartbeat => "I: worker heartbeat",
            Output::Unreachable => "W: heartbeat failure, can't reach queue",
            Output::Invalid(_) => "E: invalid message",
            Output::Reconnecting(pause) => {
                return Some(format!("W: reconnecting in {} msec...", pause.as_millis()));
            }
            Output::Request(_) => return None,
        };
        Some(line.to_owned())
    }
}

/// What a worker has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were delivered.
    pub requests: u64,
    /// Times that the queue was silent for too long.
    pub failures: u64,
    /// Requests that were dropped because too many waited.
    pub overflow: u64,
    /// Replies that were dropped, as their request came by a connection that is gone.
    pub void: u64,
    /// Messages that were none of the protocol.
    pub invalid: u64,
}

enum State {
    /// The port is open.
    Open {
        /// There is a connection.
        up: bool,
        /// When the next heartbeat is due, if there is.
        beat: Time,
        /// When the queue is gone unless it is heard.
        deadline: Time,
    },
    /// The port is closed until then.
    Pausing(Time),
}

/// A worker of Paranoid Pirate.
pub struct Worker {
    config: Config,
    rng: Rng,
    state: State,
    /// Failures since the queue was heard last.
    failures: u32,
    /// The request that the application has comes first.
    jobs: VecDeque<Job>,
    /// The first of them came by a connection that is gone: its reply is for nobody.
    is_void: bool,
    counters: Counters,
}

impl Worker {
    /// A worker; the seed is for the jitter of its pauses.
    ///
    /// # Panics
    /// If the interval of its heartbeats, or the liveness, is zero.
    pub fn new(config: Config, seed: u64) -> Self {
        assert!(
            !config.interval.is_zero() && config.liveness > 0,
            "heartbeats take some time"
        );
        Worker {
            config,
            rng: Rng::with_seed(seed),
            state: State::Pausing(Time::ZERO),
            failures: 0,
            jobs: VecDeque::new(),
            is_void: false,
            counters: Counters::default(),
        }
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn open(&mut self, now: Time, actions: &mut Actions<Output>) {
        let options = self.config.options.clone().immediate(true);
        let options = options.linger(Duration::from_secs(1));
        let spec = Spec::new(SocketType::Dealer).options(options).watch();
        actions.open(PORT, spec.connect(&self.config.queue));
        self.state = State::Open {
            up: false,
            beat: now + self.config.interval,
            deadline: now + self.life(),
        };
    }

    fn life(&self) -> Duration {
        self.config.interval.saturating_mul(self.config.liveness)
    }

    /// The queue was heard: any message tells that it is alive.
    fn heard(&mut self, now: Time) {
        self.failures = 0;
        let life = self.life();
        if let State::Open { deadline, .. } = &mut self.state {
            *deadline = now + life;
        }
    }

    fn received(&mut self, message: Message, now: Time, actions: &mut Actions<Output>) {
        self.heard(now);
        if message.len() == 1 && *message.first() == HEARTBEAT {
            return;
        }
        match Job::read(message) {
            Ok(_) if self.jobs.len() > self.config.backlog => self.counters.overflow += 1,
            Ok(job) => {
                self.jobs.push_back(job);
                if self.jobs.len() == 1 {
                    self.deliver(actions);
                }
            }
            Err(message) => {
                self.counters.invalid += 1;
                actions.deliver(Output::Invalid(message));
            }
        }
    }

    fn deliver(&mut self, actions: &mut Actions<Output>) {
        if let Some(job) = self.jobs.front() {
            self.counters.requests += 1;
            actions.deliver(Output::Request(job.body.clone()));
        }
    }

    fn linked(&mut self, link: &Link, now: Time, actions: &mut Actions<Output>) {
        let life = self.life();
        let State::Open { up, beat, deadline } = &mut self.state else {
            return;
        };
        let was = std::mem::replace(up, *link == Link::Up);
        if *up {
            *deadline = now + life;
            *beat = now + self.config.interval;
            // The first message of a conversation (RFC 6).
            actions.send(PORT, READY);
            actions.deliver(Output::Ready);
        } else if was {
            // What waits in the socket is void, too, so it is a new one.
            self.void();
            self.open(now, actions);
        }
    }

    /// The conversation is over. The queue has given its requests up, and to the next conversation the
    /// reply to one of them would look like that to another of the same client.
    fn void(&mut self) {
        self.jobs.truncate(1);
        self.is_void = !self.jobs.is_empty();
    }

    fn tick(&mut self, now: Time, actions: &mut Actions<Output>) {
        match &mut self.state {
            State::Pausing(until) if *until <= now => self.open(now, actions),
            State::Open { deadline, .. } if *deadline <= now => {
                let pause = self.config.backoff.pause(self.failures, &mut self.rng);
                self.failures = self.failures.saturating_add(1);
                self.counters.failures += 1;
                actions.deliver(Output::Unreachable);
                actions.deliver(Output::Reconnecting(pause));
                // Whatever is on its way is void.
                actions.close(PORT);
                self.void();
                self.state = State::Pausing(now + pause);
                if pause.is_zero() {
                    self.open(now, actions);
                }
            }
            State::Open { up, beat, .. } if *beat <= now => {
                *beat = now + self.config.interval;
                if *up {
                    actions.send(PORT, HEARTBEAT);
                    actions.deliver(Output::Heartbeat);
                }
            }
            _ => {}
        }
    }
}

impl Machine for Worker {
    type Command = Answer;
    type Output = Output;

    fn handle(&mut self, event: Event<Answer>, now: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => self.open(now, actions),
            Event::Message { message, .. } => self.received(message, now, actions),
            Event::Command(Answer::Reply(body)) => {
                let Some(Job { envelope, .. }) = self.jobs.pop_front() else {
                    return;
                };
                let reply = Job { envelope, body }.into_message();
                if std::mem::take(&mut self.is_void) {
                    self.counters.void += 1;
                } else {
                    actions.send(PORT, reply);
                }
                self.deliver(actions);
            }
            Event::Link { link, .. } => self.linked(&link, now, actions),
            // The connection has just been lost, which is about to be told.
            Event::Unsent { .. } => {}
            Event::Due => self.tick(now, actions),
            Event::Stop => actions.end(),
        }
    }

    fn due(&self) -> Option<Time> {
        Some(match self.state {
            State::Open { beat, deadline, .. } => beat.min(deadline),
            State::Pausing(until) => until,
        })
    }
}
