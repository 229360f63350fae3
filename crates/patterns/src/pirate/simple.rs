//! The worker of Simple Pirate: a REQ that asks for work.
//!
//! It sends `[0x01]` and gets `[client…][""][body…]`, answers with the same envelope, and gets the
//! next. When its connection was lost it announces itself again on the new one, unless it has a request:
//! then the reply does that. It has no heartbeats of its own; those of ZMTP tell it that the queue is
//! gone where TCP does not.

use std::time::Duration;

use xebec::{Bytes, Frame, Message, Options, SocketType};

use super::{Answer, INTERVAL, Job, LIVENESS, READY};
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

const PORT: Port = Port(0);

/// How a worker behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where the queue is: `tcp://localhost:5556`.
    pub queue: String,
    /// The worker's routing id.
    pub identity: Bytes,
    /// Options of the socket, such as those of security. Pings each second, answered within three.
    pub options: Options,
}

impl Config {
    /// The Guide's worker, under this name.
    pub fn new(identity: impl Into<Bytes>) -> Self {
        Config {
            queue: "tcp://localhost:5556".to_owned(),
            identity: identity.into(),
            options: Options::new()
                .heartbeat_ivl(INTERVAL)
                .heartbeat_timeout(INTERVAL * LIVENESS),
        }
    }
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The worker announces itself.
    Ready,
    /// A request; the machine wants [`Answer::Reply`].
    Request(Message),
    /// What came is no request.
    Invalid(Message),
}

/// A worker of Simple Pirate.
pub struct Worker {
    config: Config,
    /// The way back to the client whose request it has.
    envelope: Option<Vec<Frame>>,
    /// The port is open and has had no connection yet.
    is_new: bool,
}

impl Worker {
    /// A worker.
    pub fn new(config: Config) -> Self {
        Worker {
            config,
            envelope: None,
            is_new: true,
        }
    }

    fn announce(&mut self, actions: &mut Actions<Output>) {
        let options = self.config.options.clone().linger(Duration::from_secs(1));
        let options = options.routing_id(self.config.identity.clone());
        let spec = Spec::new(SocketType::Req).options(options).watch();
        actions.open(PORT, spec.connect(&self.config.queue));
        actions.send(PORT, READY);
        actions.deliver(Output::Ready);
        self.is_new = true;
    }
}

impl Machine for Worker {
    type Command = Answer;
    type Output = Output;

    fn handle(&mut self, event: Event<Answer>, _: Time, actions: &mut Actions<Output>) {
        match event {
            Event::Start => self.announce(actions),
            Event::Message { message, .. } => match Job::read(message) {
                Ok(job) => {
                    self.envelope = Some(job.envelope);
                    actions.deliver(Output::Request(job.body));
                }
                Err(message) => {
                    actions.deliver(Output::Invalid(message));
                    // It is the REQ's turn again.
                    self.announce(actions);
                }
            },
            Event::Command(Answer::Reply(body)) => {
                if let Some(envelope) = self.envelope.take() {
                    actions.send(PORT, Job { envelope, body }.into_message());
                }
            }
            Event::Link { link: Link::Up, .. } => {
                if !std::mem::replace(&mut self.is_new, false) && self.envelope.is_none() {
                    self.announce(actions);
                }
            }
            // A REQ has but one peer, and a pipe to it even while it is away.
            Event::Link { .. } | Event::Unsent { .. } | Event::Due => {}
            Event::Stop => actions.end(),
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}
