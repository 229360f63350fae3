//! Freelance: clients that know several servers and no broker (RFC 10; the Guide, chapter 4).
//!
//! Three models, from the simplest to the most able:
//! * [`Sequential`], model one: a REQ asks one server after the other. Also the client of a
//!   [Binary Star](crate::binary_star).
//! * [`Shotgun`], model two: every request goes to every server, and the first reply counts.
//! * [`Direct`], model three, RFC 10: a ROUTER asks the best of the servers that answer its pings, and
//!   another one if no reply comes in time.
//!
//! They take the same [`Command`] and tell the same [`Output`], and a [`Caller`] gives any of them
//! blocking and async calls. Each request comes to exactly one end, [`Output::Reply`] or
//! [`Output::Failed`], in bounded time. A server may execute a request that another has executed, or
//! that failed: its reply may have been lost.
//!
//! [`Server`] is the other side of each model.

mod caller;
mod direct;
mod sequential;
mod server;
mod shotgun;

use std::fmt;

use xebec::Message;

pub use self::caller::{CallError, Caller, Reply};
pub use self::direct::{Config as DirectConfig, Direct, Known};
pub use self::sequential::{Config as SequentialConfig, Sequential};
pub use self::server::{Command as ServerCommand, Model, Request, Route, Server};
pub use self::shotgun::{Config as ShotgunConfig, Shotgun};

/// What the application asks of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A request. Its number is the application's own, and no other request that is under way has it.
    Request(u64, Message),
}

/// What a client tells its application.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The reply to a request.
    Reply {
        /// The number of the request.
        request: u64,
        /// Who replied.
        server: String,
        /// The reply without any envelope.
        body: Message,
    },
    /// A request was given up.
    Failed {
        /// The number of the request.
        request: u64,
        /// Why.
        why: Failure,
    },
    /// A server did not reply in time; another is asked, unless the request fails.
    Silent {
        /// The number of the request.
        request: u64,
        /// The server.
        server: String,
    },
    /// A connection to this server is opened.
    Connecting(String),
    /// This server can be asked from now on.
    Up(String),
    /// This server cannot be asked any more: its connection was lost, or it answers no pings.
    Down(String),
}

/// Why a request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was sent, and nobody replied in time.
    Silent,
    /// No server could be reached all the time.
    Unconnected,
    /// Too many requests wait already: it was never sent.
    Refused,
    /// The client was stopped.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Silent => "no server replied in time",
            Failure::Unconnected => "no server could be reached in time",
            Failure::Refused => "too many requests wait already",
            Failure::Stopped => "the client was stopped",
        })
    }
}

impl std::error::Error for Failure {}

/// What a client has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were answered.
    pub replies: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Requests that were sent to one more server, or again.
    pub resends: u64,
    /// Replies to requests that had come to their end, dropped.
    pub late: u64,
    /// Messages that were no replies, dropped.
    pub malformed: u64,
}

/// # Panics
/// If there are none, or more than there are ports.
fn check_servers(count: usize) {
    assert!((1..=256).contains(&count), "a client has 1 to 256 servers");
}

#[cfg(test)]
pub(crate) mod ledger;
#[cfg(test)]
mod tests;
