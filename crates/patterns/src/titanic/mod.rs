//! Titanic (RFC 9): requests that outlive the client, the service and the machine between them.
//!
//! | role | what it decides | over Majordomo | over sockets |
//! |---|---|---|---|
//! | Titanic | [`Titanic`] | [`ServerMachine`] | [`Server`] |
//! | client | [`TitanicClient`] | | [`Client`] |
//!
//! What is kept stands behind two small traits: a [`Store`] of requests and their replies, and
//! [`Answers`] given to clients that may ask again. Each has two engines: memory
//! ([`MemoryStore`], [`MemoryAnswers`]), bounded and lost with the process, and a [`Log`], which is both: one
//! preallocated file used as a ring, with its index in memory. Below the log stands a [`Disk`], in place
//! of which tests put one that forgets ([`SimulatedDisk`]).

mod answers;
mod client;
mod digest;
mod disk;
#[cfg(test)]
pub(crate) mod disked;
mod face;
mod id;
mod index;
mod log;
mod memory;
mod opening;
mod record;
mod recovery;
mod ring;
mod server;
mod service;
mod simulated;
#[cfg(test)]
mod simulated_server;
mod store;

pub use answers::{Answers, Bounds, MemoryAnswers};
pub use client::{Answered, Ask, ClientOptions, Failure, TitanicClient, Wanted};
pub use digest::{ServerCounters, ServerDigest};
pub use disk::{Disk, FileDisk};
pub use face::{Client, ClientError, Server, Submitted};
pub use id::{Id, IdError};
pub use log::{Log, Work, format};
pub use memory::{MemoryLimits, MemoryStore};
pub use opening::{Durability, LogOptions, OpenError};
pub use recovery::{Damage, Lost, Recovery};
pub use server::{
    LIST, ROWS, STATUS, ServerCommand, ServerConfig, ServerMachine, ServerNote, is_titanics,
};
pub use service::{Outcome, Service, Tell, Ticket, Titanic, TitanicOptions, Told};
pub use simulated::SimulatedDisk;
pub use store::{Listed, Mark, State, Store, StoreError, Usage};
