//! The protocol's rules as tables: one line a case, octets spelled out from the RFCs.
//!
//! `greetings`: what is sent and concluded for given octets of a peer. `pairs`: our own handshakes
//! against each other. The rest: one file per module of the crate, each with its round trips.

mod commands;
mod curve;
mod frames;
mod greetings;
mod metadata;
mod pairs;
mod security;
mod socket_types;
mod zap;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../../fuzz/src/protocol.rs"]
mod protocol;

#[allow(unreachable_pub)]
#[path = "../../../../fuzz/src/security.rs"]
mod security_fuzz;

use bytes::Bytes;
use zmtp::{Local, Mechanism, SocketType, Version};

/// A socket that speaks NULL and the newest version.
fn local(socket_type: SocketType, routing_id: &[u8]) -> Local {
    Local {
        socket_type,
        routing_id: Bytes::copy_from_slice(routing_id),
        properties: Vec::new(),
        mechanism: Mechanism::Null,
        authenticate: false,
        max_version: Version::V3_1,
    }
}

fn at_most(version: Version, local: Local) -> Local {
    Local {
        max_version: version,
        ..local
    }
}
