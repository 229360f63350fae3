//! What a broker tells whoever runs it, and what it can be asked.

use std::fmt;

use xebec::Frame;

use super::super::codec::{Dialect, Invalid};
use super::super::stamp::Refusal;
use super::Digest;
use crate::titanic::Mark;

/// What a broker can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Its state, as [`Note::Digest`].
    Digest,
    /// To end at once, whatever is at hand.
    End,
    /// What came of a [`Note::Sync`]: whether everything up to its mark is durable, or why not.
    Synced(Mark, Result<(), String>),
}

/// What a broker tells whoever runs it. Of refusals, invalid messages and unread replies, of which there may
/// be a flood, one of a kind is told per second; all are counted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// A service got its first worker or request.
    ServiceAdded(String),
    /// A service without workers went away.
    ServiceExpired(String),
    /// A worker registered.
    WorkerReady {
        /// Its routing id.
        worker: Frame,
        /// Its service.
        service: String,
        /// The version that it speaks.
        dialect: Dialect,
    },
    /// A worker is gone.
    WorkerGone {
        /// Its routing id.
        worker: Frame,
        /// Its service.
        service: String,
        /// How.
        why: Gone,
        /// Whether it was at work.
        busy: bool,
    },
    /// A request got no reply.
    Refused {
        /// The service that was asked.
        service: String,
        /// What the client was told, if it was told.
        refusal: Refusal,
    },
    /// A message was not of the protocol.
    Invalid {
        /// Who sent it.
        peer: Frame,
        /// What is wrong.
        why: Invalid,
    },
    /// A reply was dropped, because too much waits for a client that does not read.
    Unread {
        /// Its routing id.
        client: Frame,
    },
    /// The broker takes no more requests and ends when these are done.
    Draining {
        /// How many workers are at work.
        busy: usize,
    },
    /// Replies wait to be durable: call [`Answers::settle`](crate::titanic::Answers::settle) with this mark, in
    /// another thread, and tell what came of it. Only with [`DurableReplies`](super::super::DurableReplies).
    Sync(Mark),
    /// Replies cannot be made durable any more: they are sent, and may be executed again.
    NotDurable(String),
    /// It is one of a pair and serves from now on, or stands by.
    StandsBy(bool),
    /// What was asked for.
    Digest(Box<Digest>),
}

/// How a worker and its broker have parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It said so.
    Left,
    /// Its connection was lost.
    Lost,
    /// It was silent for too long.
    Expired,
    /// It took too long for a request.
    Overdue,
    /// It was sent away, because of what it sent or because the broker ends.
    SentAway,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gone::Left => "left",
            Gone::Lost => "lost",
            Gone::Expired => "expired",
            Gone::Overdue => "overdue",
            Gone::SentAway => "sent away",
        })
    }
}
