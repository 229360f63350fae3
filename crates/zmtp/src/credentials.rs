//! What a peer shows to be let in, and the answer to it.
//!
//! A handshake that is to authenticate its peer stops with the peer's [`Credentials`] in
//! [`Progress`](crate::Progress), until [`Handshake::verdict`](crate::Handshake::verdict) tells it
//! the [`Verdict`]. Who finds the verdict, a ZAP handler for one ([`zap`](crate::zap)), is the
//! caller's affair.

use crate::key::PublicKey;
use crate::secret::Secret;
use crate::zap;

/// What a peer shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing: only its address can be judged.
    Null,
    /// A name and a password (RFC 24).
    Plain {
        /// At most 255 octets, of any kind.
        username: Vec<u8>,
        /// At most 255 octets, of any kind.
        password: Secret,
    },
    /// Its permanent public key, whose secret half it has proved to have (RFC 26).
    Curve {
        /// The key.
        public_key: PublicKey,
    },
}

impl Credentials {
    /// The name of the mechanism, as in ZAP.
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Plain { .. } => "PLAIN",
            Self::Curve { .. } => "CURVE",
        }
    }
}

/// Whether a peer is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is.
    Allow,
    /// It is not. The peer is told the status in an ERROR command, unless it is 300, a temporary
    /// failure, upon which the connection is closed without a word and the peer may try again
    /// (RFC 27, and libzmq).
    Deny {
        /// A status code of ZAP: 300, 400 or 500.
        status: u16,
    },
    /// It is not: the authenticator's reply makes no sense. The peer is told nothing.
    Invalid(zap::ReplyError),
    /// It is not: there is no authenticator to ask. The peer is told nothing.
    Unavailable,
}
