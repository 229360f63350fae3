//! Majordomo: clients ask for a service by its name, workers offer one, a broker joins them (RFCs 7, 8
//! and 18).
//!
//! | role | machine | over sockets |
//! |---|---|---|
//! | broker | [`Broker`] | with a [`Driver`](crate::Driver) |
//! | worker | [`WorkerMachine`] | [`Worker`] |
//! | client | [`ClientMachine`] | [`Client`] |
//!
//! The broker speaks both versions of the protocol on one port ([`codec`]); what it adds to them is in
//! [`stamp`]: client ids and message numbers, by which a request that comes twice is executed once. It
//! is for our own clients, who opt in; plain peers do not notice.

pub mod broker;
pub mod client;
pub mod codec;
mod list;
pub mod replies;
pub mod stamp;
pub mod worker;

pub use broker::{Broker, BrokerConfig, Digest, Limit, Note, Policy};
pub use client::{CallError, Client, ClientConfig, ClientMachine, Stream};
pub use codec::Dialect;
pub use replies::{DurableReplies, Kept, MemoryReplies, Replies};
pub use worker::{Request, Worker, WorkerConfig, WorkerMachine};

/// Peers send heartbeats so often, as in the Guide.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_millis(2500);

/// Who is silent for so many intervals is given up, as in the Guide.
pub const LIVENESS: u32 = 3;

/// How long sockets linger: what has nobody to go to must not keep a process from ending.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulated_once;
#[cfg(test)]
mod simulated_pair;
