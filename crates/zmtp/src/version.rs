//! Protocol versions and what each of them can do.
//!
//! A [`Version`] here is the outcome of a negotiation, not what a peer claims: two peers talk the
//! lower of their two versions. Everything that depends on the version is asked of it by name, so
//! that no comparison with a number is scattered over the callers.

use core::fmt;

use crate::Framing;

/// A version of the protocol, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// ZMTP 1.0 (RFC 13): libzmq 2.x; no greeting, only an identity frame.
    V1_0,
    /// ZMTP 2.0 (RFC 15): libzmq 3.x; a greeting that tells the socket type.
    V2_0,
    /// ZMTP 3.0 (RFC 23): libzmq 4.0 and 4.1; mechanisms, commands and metadata.
    V3_0,
    /// ZMTP 3.1 (RFC 37): libzmq 4.2 and later; heartbeats, subscriptions as commands.
    V3_1,
}

impl Version {
    /// All versions, lowest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V2_0, Self::V3_0, Self::V3_1];

    /// How frames are laid out in this version.
    #[inline]
    pub const fn framing(self) -> Framing {
        match self {
            Self::V1_0 => Framing::V1,
            Self::V2_0 | Self::V3_0 | Self::V3_1 => Framing::V2,
        }
    }

    /// Whether command frames may appear in the traffic. In 2.0, which shares its framing with 3.x,
    /// the command flag is a reserved bit: a frame that carries it is a violation.
    #[inline]
    pub const fn has_commands(self) -> bool {
        matches!(self, Self::V3_0 | Self::V3_1)
    }

    /// Whether subscriptions are sent as SUBSCRIBE and CANCEL commands rather than as messages.
    /// PING, PONG, JOIN and LEAVE exist from the same version on.
    #[inline]
    pub const fn has_subscribe_command(self) -> bool {
        matches!(self, Self::V3_1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0 => "1.0",
            Self::V2_0 => "2.0",
            Self::V3_0 => "3.0",
            Self::V3_1 => "3.1",
        })
    }
}
