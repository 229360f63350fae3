//! Simple Pirate and Paranoid Pirate: a queue between clients and workers (the Guide, chapter 4;
//! RFC 6).
//!
//! Clients, [lazy ones](crate::lazy) or any REQ, connect to the queue's frontend, workers to its
//! backend. The [`Queue`] gives each request to the worker that has been idle for the longest time, and
//! takes no request from its clients while no worker is idle. It serves both kinds of worker at once:
//! * [`simple::Worker`] is a REQ: `READY` is `[0x01]`, a request `[client][""][body…]`, its reply the
//!   same. The REQ's own delimiter goes before each.
//! * [`paranoid::Worker`] is a DEALER and sends the same frames without that delimiter, and a
//!   heartbeat, `[0x02]`, at an interval; so does the queue. Whoever hears nothing for some
//!   intervals takes the other for gone.
//!
//! The frames are those of the Guide's programs and of RFC 6. What is mended:
//! * A queue that was restarted gets its workers back: a worker announces itself on every new connection.
//! * A worker whose connection is gone, or who is silent, is not given work, whatever its place in the
//!   list; a busy one is missed as well, and its request may be [given to another](Config::attempts).
//! * A worker that has a request [for too long](Config::request_time) is noticed, though it sends heartbeats.
//! * No heartbeat is sent to a peer that is known to be away, so that none comes late in a flood.
//! * Whatever is received counts as a heartbeat; a worker's heartbeats go on while it works, and do
//!   not make it idle.

pub mod paranoid;
mod queue;
pub mod simple;

use std::time::Duration;

use xebec::{Frame, Message};

pub use self::queue::{Config, Counters, Gone, Output, Queue, Stuck};

/// The one frame with which a worker announces itself.
pub const READY: &[u8] = &[1];
/// The one frame of a heartbeat.
pub const HEARTBEAT: &[u8] = &[2];
/// What a queue's socket delivers when a worker's connection is gone (DISCONNECT_MSG).
const GONE: &[u8] = &[0];

/// How often a heartbeat is sent: the Guide's second.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// After how many silent intervals a peer is gone: the Guide's three.
pub const LIVENESS: u32 = 3;

/// What the application of a worker tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The reply to the request that was delivered last.
    Reply(Message),
}

/// A request that a worker has, or its reply: the body, and the way back to the client.
#[derive(Debug)]
struct Job {
    envelope: Vec<Frame>,
    body: Message,
}

impl Job {
    /// Reads `[address…][""][body…]`; gives a message back that is none.
    fn read(mut message: Message) -> Result<Self, Message> {
        match message.pop_envelope() {
            Some(envelope) if !envelope.is_empty() => Ok(Job {
                envelope,
                body: message,
            }),
            Some(_) => {
                message.push_front("");
                Err(message)
            }
            None => Err(message),
        }
    }

    fn into_message(self) -> Message {
        let mut message = self.body;
        message.push_front("");
        for frame in self.envelope.into_iter().rev() {
            message.push_front(frame);
        }
        message
    }
}
