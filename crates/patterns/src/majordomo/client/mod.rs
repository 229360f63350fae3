//! The client: asks services by name, many at a time, and does not lose a request.
//!
//! Majordomo's replies do not say which request they answer. So without [`once`](ClientConfig::once) each
//! request at work has a socket of its own, one of [`lanes`](ClientConfig::lanes), which is opened anew
//! if no reply comes in time: a late reply cannot be taken for another's. With it, requests carry
//! [stamps](super::stamp), all share one socket, and one that is sent again is executed once; it needs
//! a broker of ours.
//!
//! A request that gets no reply in time, or whose connection is lost, is sent again, to the next
//! endpoint if there are several; after so many attempts it has failed.

mod face;
mod machine;

use std::fmt;
use std::time::Duration;

use xebec::{Frame, Options};

pub use self::face::{Client, Stream};
pub use self::machine::ClientMachine;
use super::codec::Dialect;
use super::stamp::{Key, Refusal};
use crate::backoff::Backoff;

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The brokers, one at a time: such as the two of a pair. One that cannot be reached, or stands by,
    /// is left for the next, after a pause that grows with each round of all of them.
    pub endpoints: Vec<String>,
    /// The version of the protocol; by default 0.2.
    pub dialect: Dialect,
    /// Whether requests carry stamps, so that each is executed once, in effect. The parts of a reply then
    /// come when all of it is there: give [`timeout`](Self::timeout) and attempts the time for that. By default not.
    pub once: bool,
    /// How long to wait for a reply, or its next part, before the request is sent again. By default
    /// 2.5 s.
    pub timeout: Duration,
    /// How often a request is sent at most. By default 3 times.
    pub attempts: u32,
    /// How long a connection may take where there is another broker to try; twice as long in each round
    /// of all of them, and never longer than the timeout. By default 500 ms.
    pub connect: Duration,
    /// The pauses before a socket is opened anew: by default 10 ms to 5 s, half of it left to chance.
    pub reconnect: Backoff,
    /// How many requests are at work at the same time without stamps. By default 16, at most 255.
    pub lanes: u8,
    /// How many are with stamps. By default 500.
    pub in_flight: usize,
    /// How many wait for their turn before more are refused. By default 10,000.
    pub waiting: usize,
    /// Options of its sockets. LINGER is a second, whatever they say.
    pub options: Options,
}

impl ClientConfig {
    /// The defaults, for a broker.
    pub fn new(endpoint: impl Into<String>) -> Self {
        ClientConfig {
            endpoints: vec![endpoint.into()],
            dialect: Dialect::default(),
            once: false,
            timeout: Duration::from_millis(2500),
            attempts: 3,
            connect: Duration::from_millis(500),
            reconnect: Backoff {
                first: Duration::from_millis(10),
                longest: Duration::from_secs(5),
                jitter: 0.5,
            },
            lanes: 16,
            in_flight: 500,
            waiting: 10_000,
            options: Options::new(),
        }
    }

    /// With stamps.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// What a client machine is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientCommand {
    /// A request.
    Call {
        /// Which names it from now on: never the same twice.
        ticket: u64,
        /// With [stamps](ClientConfig::once), the stamp, if it is to be another than the client's id and
        /// the ticket. No two at a time may have the same.
        key: Option<Key>,
        /// The service.
        service: Frame,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// Nobody waits for the reply any more. It may be executed all the same.
    Cancel(u64),
}

/// What a client machine tells.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// A part of a reply.
    Part {
        /// Of which request.
        ticket: u64,
        /// Whether it is the last.
        last: bool,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// There will be no more.
    Failed {
        /// Of which request.
        ticket: u64,
        /// Why.
        error: CallError,
    },
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// None came in time, however often it was asked; or none any more after a part of it.
    NoReply,
    /// There was no broker to ask in the end, for this reason: it cannot be reached, does not let
    /// this client in, or stands by.
    Unconnected(String),
    /// The broker refused, or reported that the worker failed.
    Refused(Refusal),
    /// Too many requests wait in this client.
    Full,
    /// The broker does not know about stamps. It may have executed the request.
    NoStamps,
    /// The service's name is none.
    Name,
    /// The client has ended.
    Ended,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoReply => f.write_str("no reply in time"),
            CallError::Unconnected(why) => write!(f, "no broker to ask: {why}"),
            CallError::Refused(refusal) => write!(f, "refused: {refusal}"),
            CallError::Full => f.write_str("too many requests wait in this client"),
            CallError::NoStamps => {
                f.write_str("the broker does not know client ids and message numbers")
            }
            CallError::Name => f.write_str("not the name of a service"),
            CallError::Ended => f.write_str("the client has ended"),
        }
    }
}

impl std::error::Error for CallError {}
