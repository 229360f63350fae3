//! Binary Star: a pair of servers of which one serves and the other stands by (the Guide, chapter 4).
//!
//! * [`Star`] is the state machine of one of the two, without any wire: told what the peer says and
//!   that a client asks, it says whether to serve.
//! * [`Node`] gives it the Guide's wire, one PUB for its own state and one SUB for the peer's, around any
//!   other machine that is a [`Voter`], or around [`Nobody`] for an application that only asks "may I
//!   serve?".
//! * [`client`] is a client that fails over between the two.
//!
//! # The wire
//! A node publishes its state every heartbeat, as one frame of one ASCII digit: `1` primary and `2`
//! backup, both waiting to learn of the other, `3` active, `4` passive. A node publishes a state that
//! is new at once, too. It works with the Guide's `bstarsrv`.
//!
//! # What is guaranteed
//! A passive node becomes active when a client asks and the peer has been silent for
//! [two heartbeats](Config::liveness) and a tenth, or when the peer says that it waits and nothing else for a
//! tenth. An active one serves only while it has published its state within two heartbeats. A node that
//! stood still, stopped or swapped out, finds so before it answers anything or takes over, and reads
//! first what its peer said meanwhile. So **two nodes never serve at the same moment as long as
//! every state that is published arrives, within a twentieth of a heartbeat** (50 ms), whatever crashes,
//! restarts or stands still.
//!
//! What breaks it is what the Guide warns of: the two cannot reach each other for two heartbeats while
//! clients reach both. Then both serve, until they hear each other again: each that does
//! [refuses to serve](Config::split) from then on. Give the pair a link of its own. The clocks of the two
//! need not agree but must run, also while a virtual machine is suspended.
//!
//! # What the Guide's programs do otherwise
//! The Guide's takes what it reads for what is: a passive node that stood still while its peer was
//! restarted and took over would serve beside it. Its first server answers clients before it has heard of its peer; here a primary without a peer
//! serves only after it has heard nothing for as long as a passive node would wait. Recovery is
//! the operator's, as in the Guide, unless [fail-back](Config::fail_back) is asked for.

mod node;
mod star;

use std::time::Duration;

pub use self::node::{Command, Nobody, Node, Output, Voter, Wiring};
pub use self::star::{Cause, Config, Fault, Role, Split, Star, State, Turn};
use crate::freelance::{Sequential, SequentialConfig};

/// How the Guide's client of a Binary Star behaves: it asks one server for a second, waits two seconds
/// for the pair to settle, asks the other, and so on until there is a reply.
pub fn client_config(primary: impl Into<String>, backup: impl Into<String>) -> SequentialConfig {
    let mut config = SequentialConfig::new([primary.into(), backup.into()]);
    config.attempts = None;
    config.settle = Duration::from_secs(2);
    config
}

/// A client of a Binary Star as the Guide's.
pub fn client(primary: impl Into<String>, backup: impl Into<String>) -> Sequential {
    Sequential::new(client_config(primary, backup))
}

#[cfg(test)]
mod tests;
