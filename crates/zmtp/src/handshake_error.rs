//! Why a handshake fails, precisely enough for an event, a log line and a remedy.
//!
//! Most variants blame the peer. [`HandshakeError::LocalProperties`], and a
//! [`HandshakeError::RoutingIdTooLong`] that the first input meets, blame the caller.

use core::fmt;

use crate::{
    CommandError, FrameError, MAX_HANDSHAKE_COMMAND, MAX_ROUTING_ID, MetadataError, SocketType,
};

/// Why a connection cannot be established.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The two sides demand different security mechanisms.
    MechanismMismatch {
        /// Ours.
        local: &'static str,
        /// The peer's.
        peer: String,
    },
    /// The two socket types do not talk to each other.
    IncompatibleSocketType {
        /// Ours.
        local: SocketType,
        /// The peer's.
        peer: SocketType,
    },
    /// The peer is of a socket type that does not exist.
    UnknownSocketType {
        /// Its name, or its number if the peer speaks ZMTP 2.0.
        peer: String,
    },
    /// The peer refuses the connection with an ERROR command.
    PeerError {
        /// Its reason, with unprintable characters escaped.
        reason: String,
    },
    /// A frame header breaks the rules.
    MalformedFrame(FrameError),
    /// A command breaks the rules.
    MalformedCommand(CommandError),
    /// A ZMTP 2.0 identity frame is flagged as a part of something larger, or as a command.
    MalformedIdentity,
    /// A message arrived where a command was due.
    UnexpectedMessage,
    /// A command arrived that the mechanism has no use for.
    UnexpectedCommand {
        /// Its name, with unprintable characters escaped.
        name: String,
    },
    /// A routing id, the peer's or ours, exceeds [`MAX_ROUTING_ID`].
    RoutingIdTooLong {
        /// Its length in octets.
        len: u64,
    },
    /// A command exceeds [`MAX_HANDSHAKE_COMMAND`].
    CommandTooLong {
        /// Its length in octets.
        len: u64,
    },
    /// The properties that we were to send are not legal.
    LocalProperties(MetadataError),
    /// The handshake had finished before; further input belongs to the traffic.
    Over,
}

impl HandshakeError {
    /// Whether the peer refused our credentials: a ZAP status code (RFC 27) is its reason. To try
    /// again with the same credentials would be useless.
    pub fn is_authentication(&self) -> bool {
        matches!(self, Self::PeerError { reason } if matches!(reason.as_str(), "300" | "400" | "500"))
    }

    /// The reason to give in an ERROR command. RFC 23 allows visible characters only: no spaces.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::IncompatibleSocketType { local, peer } => {
                format!("{local}-cannot-talk-to-{peer}")
            }
            Self::UnknownSocketType { .. } => "unknown-socket-type".into(),
            _ => "protocol-error".into(),
        }
    }
}

impl From<FrameError> for HandshakeError {
    fn from(error: FrameError) -> Self {
        Self::MalformedFrame(error)
    }
}

impl From<CommandError> for HandshakeError {
    fn from(error: CommandError) -> Self {
        Self::MalformedCommand(error)
    }
}

impl From<MetadataError> for HandshakeError {
    fn from(error: MetadataError) -> Self {
        Self::MalformedCommand(error.into())
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MechanismMismatch { local, peer } => {
                write!(
                    f,
                    "the peer uses the security mechanism {peer}, this socket {local}"
                )
            }
            Self::IncompatibleSocketType { local, peer } => {
                write!(
                    f,
                    "the peer is a {peer} socket, which a {local} socket cannot talk to"
                )?;
                write_peers(f, *local)
            }
            Self::UnknownSocketType { peer } => {
                write!(f, "the peer is of the unknown socket type {peer}")
            }
            Self::PeerError { reason } => write!(f, "the peer refused the connection: {reason}"),
            Self::MalformedFrame(error) => write!(f, "the peer does not speak ZMTP: {error}"),
            Self::MalformedCommand(error) => {
                write!(f, "the peer sent a malformed command: {error}")
            }
            Self::MalformedIdentity => f.write_str("the peer's identity frame has illegal flags"),
            Self::UnexpectedMessage => {
                f.write_str("the peer sent a message before the handshake was over")
            }
            Self::UnexpectedCommand { name } => {
                write!(f, "the peer sent the command {name} during the handshake")
            }
            Self::RoutingIdTooLong { len } => {
                write!(
                    f,
                    "a routing id of {len} octets exceeds the limit of {MAX_ROUTING_ID}"
                )
            }
            Self::CommandTooLong { len } => {
                write!(
                    f,
                    "a handshake command of {len} octets exceeds the limit of {MAX_HANDSHAKE_COMMAND}"
                )
            }
            Self::LocalProperties(error) => {
                write!(f, "this socket's properties cannot be sent: {error}")
            }
            Self::Over => f.write_str("the handshake was over already"),
        }
    }
}

/// The remedy for incompatible types.
fn write_peers(f: &mut fmt::Formatter<'_>, local: SocketType) -> fmt::Result {
    for (i, peer) in local.peers().iter().enumerate() {
        write!(f, "{}{peer}", if i == 0 { " (it needs " } else { " or " })?;
    }
    f.write_str(if local.peers().is_empty() { "" } else { ")" })
}

impl std::error::Error for HandshakeError {}
