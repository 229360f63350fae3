//! Security mechanisms: what happens between the greeting and the traffic.
//!
//! Each mechanism is a chain of state structs. A struct is what the mechanism waits for, and is
//! consumed by the command that it waited for. NULL has one link: READY is sent at once, and the
//! peer's READY ends it.
//!
//! A mechanism with several links returns its next state from [`Running::command`]. One that also
//! transforms the traffic (CURVE) returns the transformation next to the metadata, for
//! [`Peer`](crate::Peer) to carry to the connection. Neither kind may be combined with a ZMTP 1.0 or
//! 2.0 peer, which knows no security: see [`Mechanism::allows_old_peers`].

use crate::command::{split_name, split_reason};
use crate::{Command, HandshakeError, Metadata};

/// Octets of the mechanism's name in the greeting, padded with zeros (RFC 23).
pub(crate) const NAME_LEN: usize = 20;

/// The security that a socket demands of all its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// No authentication, no encryption (RFC 23, "The NULL Security Mechanism").
    #[default]
    Null,
}

impl Mechanism {
    /// The name in the greeting.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
        }
    }

    pub(crate) fn padded_name(&self) -> [u8; NAME_LEN] {
        let mut padded = [0; NAME_LEN];
        padded[..self.name().len()].copy_from_slice(self.name().as_bytes());
        padded
    }

    /// Whether the greeting tells the role that the socket was given. NULL has no roles, and its
    /// as-server field must be zero.
    pub(crate) const fn has_roles(&self) -> bool {
        match self {
            Self::Null => false,
        }
    }

    /// Whether peers older than 3.0 are acceptable. Anything but NULL must refuse them, or it could
    /// be talked out of its security (RFC 23, "Detecting ZMTP 1.0 and 2.0 Peers").
    pub(crate) const fn allows_old_peers(&self) -> bool {
        match self {
            Self::Null => true,
        }
    }

    /// Starts the mechanism: its first command, if this side speaks first, goes to `out`.
    pub(crate) fn start(&self, ready: Metadata, out: &mut Vec<u8>) -> Running {
        match self {
            Self::Null => {
                Command::Ready(ready).encode_framed(out);
                Running::Null(AwaitReady)
            }
        }
    }
}

/// A mechanism under way.
#[derive(Debug)]
pub(crate) enum Running {
    Null(AwaitReady),
}

impl Running {
    /// Takes the peer's next command and ends with the properties in it.
    pub(crate) fn command(self, body: &[u8]) -> Result<Metadata, HandshakeError> {
        match self {
            Self::Null(state) => state.command(body),
        }
    }
}

/// NULL: our READY is on its way, the peer's is due.
#[derive(Debug)]
pub(crate) struct AwaitReady;

impl AwaitReady {
    fn command(self, body: &[u8]) -> Result<Metadata, HandshakeError> {
        match split_name(body)? {
            (b"READY", data) => Ok(Metadata::parse(data)?),
            (b"ERROR", data) => Err(HandshakeError::PeerError {
                reason: printable(split_reason(data)?),
            }),
            (name, _) => Err(HandshakeError::UnexpectedCommand {
                name: printable(name),
            }),
        }
    }
}

/// Text from a peer, made safe for logs and terminals.
pub(crate) fn printable(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}
