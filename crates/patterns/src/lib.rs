//! The reliable patterns of the Guide (chapter 4) as a product.
//!
//! Each role of a pattern is a [state machine](machine) without sockets, clock, threads or files. The
//! [driver] runs one over [`xebec`] sockets, blocking or async; the [simulator] runs
//! whole networks of them under faults, from a seed.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod binary_star;
mod counters;
pub mod driver;
pub mod freelance;
pub mod lazy;
pub mod machine;
pub mod majordomo;
pub mod pirate;
pub mod simulator;
mod slots;
pub mod titanic;

pub use backoff::Backoff;
pub use driver::{Driver, DriverError, Handle};
pub use machine::{Action, Actions, Connect, Event, Link, Machine, Port, Spec, Time};

/// The programs of the pages, compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/patterns.md")]
#[doc = include_str!("../../../docs/tutorial.md")]
struct Page;
