//! The fault matrix, with real processes: each is killed, stands still and is cut off, under load.
//!
//! Every test ends with an account of all requests: each came to exactly one end, a reply or a failure
//! that says why, and what was lost and how long nobody was served is printed (`-- --nocapture`).
//! docs/faults.md is the table of it.

#[path = "faults/broker.rs"]
mod broker;
mod common;
#[path = "faults/harm.rs"]
mod harm;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/namespace.rs"]
mod namespace;
#[path = "faults/pirates.rs"]
mod pirates;
#[path = "../../patterns/tests/programs/mod.rs"]
mod programs;
#[path = "faults/relay.rs"]
mod relay;
#[path = "faults/servers.rs"]
mod servers;
