//! Why a handshake fails, precisely enough for an event, a log line and a remedy.
//!
//! Most variants blame the peer. [`HandshakeError::LocalProperties`],
//! [`HandshakeError::CredentialsTooLong`], and a [`HandshakeError::RoutingIdTooLong`] that the first
//! input meets, blame the caller; [`HandshakeError::Authenticator`] and
//! [`HandshakeError::NoAuthenticator`] the one who was to judge the peer.

use core::fmt;

use crate::{
    CommandError, FrameError, MAX_HANDSHAKE_COMMAND, MAX_PLAIN, MAX_ROUTING_ID, MetadataError,
    ProtocolError, SocketType, zap,
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
    /// The peer speaks a version of ZMTP that knows no security.
    OldPeer {
        /// The mechanism that this side demands.
        local: &'static str,
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
    /// The peer was judged, and is not let in.
    Denied {
        /// The status code of ZAP: 300, 400 or 500.
        status: u16,
    },
    /// The authenticator's reply makes no sense.
    Authenticator(zap::ReplyError),
    /// There is no authenticator to judge the peer.
    NoAuthenticator,
    /// A frame header breaks the rules.
    MalformedFrame(FrameError),
    /// A command breaks the rules.
    MalformedCommand(CommandError),
    /// A command of the mechanism, or ERROR, is too short, too long, or not what its RFC says.
    Malformed {
        /// Its name.
        command: &'static str,
    },
    /// A box in a command cannot be opened: the two sides do not have the keys that each takes the
    /// other to have, or the command was forged.
    Cryptographic {
        /// The command's name.
        command: &'static str,
    },
    /// INITIATE came more than a minute after WELCOME, whose cookie it brings back.
    StaleCookie,
    /// INITIATE's nonce does not exceed HELLO's.
    InvalidSequence,
    /// The vouch in INITIATE is for another connection or another server.
    KeyExchange,
    /// The server key given to this client is of the few that agree with everybody on the same secret,
    /// or this server's secret key was never set.
    UnusableKey,
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
    /// Our user name or password exceeds [`MAX_PLAIN`].
    CredentialsTooLong {
        /// Its length in octets.
        len: usize,
    },
    /// The handshake had finished before; further input belongs to the traffic.
    Over,
}

impl HandshakeError {
    /// The status code of ZAP (RFC 27), if authentication failed: 300 for the time being, 400 for
    /// good, 500 for a failure of the authenticator. It is this side's verdict on the peer or, in
    /// an ERROR command, the peer's on this side.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Denied { status } => Some(*status),
            Self::PeerError { reason } => match reason.as_str() {
                "300" => Some(300),
                "400" => Some(400),
                "500" => Some(500),
                _ => None,
            },
            _ => None,
        }
    }

    /// What libzmq's monitor calls it; `None` where it gives no number: after a [`status`], and
    /// where this side is to blame.
    ///
    /// [`status`]: HandshakeError::status
    pub fn protocol_error(&self) -> Option<ProtocolError> {
        use ProtocolError as E;
        Some(match self {
            Self::MechanismMismatch { .. } | Self::OldPeer { .. } => E::ZmtpMechanismMismatch,
            Self::IncompatibleSocketType { .. }
            | Self::UnknownSocketType { .. }
            | Self::RoutingIdTooLong { .. }
            | Self::MalformedCommand(CommandError::Metadata(_)) => E::ZmtpInvalidMetadata,
            Self::MalformedFrame(_) | Self::MalformedIdentity => E::ZmtpUnspecified,
            Self::MalformedCommand(_) | Self::CommandTooLong { .. } => {
                E::ZmtpMalformedCommandUnspecified
            }
            Self::Malformed { command } => match *command {
                "HELLO" => E::ZmtpMalformedCommandHello,
                "WELCOME" => E::ZmtpMalformedCommandWelcome,
                "INITIATE" => E::ZmtpMalformedCommandInitiate,
                "READY" => E::ZmtpMalformedCommandReady,
                "ERROR" => E::ZmtpMalformedCommandError,
                _ => E::ZmtpMalformedCommandUnspecified,
            },
            Self::Cryptographic { .. } | Self::StaleCookie | Self::UnusableKey => {
                E::ZmtpCryptographic
            }
            Self::InvalidSequence => E::ZmtpInvalidSequence,
            Self::KeyExchange => E::ZmtpKeyExchange,
            Self::UnexpectedMessage | Self::UnexpectedCommand { .. } => E::ZmtpUnexpectedCommand,
            Self::Authenticator(error) => error.protocol_error(),
            Self::PeerError { .. }
            | Self::Denied { .. }
            | Self::NoAuthenticator
            | Self::LocalProperties(_)
            | Self::CredentialsTooLong { .. }
            | Self::Over => return None,
        })
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
            Self::OldPeer { local } => write!(
                f,
                "the peer's version of ZMTP has no security, and this socket demands {local} or an authenticator's consent"
            ),
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
            Self::PeerError { reason } => {
                write!(f, "the peer refused the connection: {reason}")?;
                write_status(f, self.status())
            }
            Self::Denied { status } => {
                write!(f, "the peer was not let in: {status}")?;
                write_status(f, Some(*status))
            }
            Self::Authenticator(error) => write!(f, "the peer was not let in: {error}"),
            Self::NoAuthenticator => write!(
                f,
                "the peer was not let in: nothing is bound to {}, where it was to be judged",
                zap::ENDPOINT
            ),
            Self::MalformedFrame(error) => write!(f, "the peer does not speak ZMTP: {error}"),
            Self::MalformedCommand(error) => {
                write!(f, "the peer sent a malformed command: {error}")
            }
            Self::Malformed { command } => write!(f, "the peer sent a malformed {command} command"),
            Self::Cryptographic { command } => write!(
                f,
                "the {command} command cannot be decrypted: check the keys of both sides"
            ),
            Self::StaleCookie => f.write_str(
                "the peer took more than a minute to answer WELCOME: its cookie is no good any more",
            ),
            Self::InvalidSequence => f.write_str("the peer used a nonce twice, or out of order"),
            Self::KeyExchange => f.write_str("the peer vouches for other keys than these"),
            Self::UnusableKey => f.write_str(
                "a key of this socket encrypts nothing: a CURVE client needs CURVE_SERVERKEY, a server CURVE_SECRETKEY",
            ),
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
            Self::CredentialsTooLong { len } => write!(
                f,
                "a user name or password of {len} octets exceeds the limit of {MAX_PLAIN}"
            ),
            Self::Over => f.write_str("the handshake was over already"),
        }
    }
}

/// What a status code of ZAP means.
fn write_status(f: &mut fmt::Formatter<'_>, status: Option<u16>) -> fmt::Result {
    f.write_str(match status {
        Some(300) => " (temporary failure of authentication)",
        Some(400) => " (authentication failed: check the credentials)",
        Some(500) => " (the authenticator failed)",
        _ => "",
    })
}

/// The remedy for incompatible types.
fn write_peers(f: &mut fmt::Formatter<'_>, local: SocketType) -> fmt::Result {
    for (i, peer) in local.peers().iter().enumerate() {
        write!(f, "{}{peer}", if i == 0 { " (it needs " } else { " or " })?;
    }
    f.write_str(if local.peers().is_empty() { "" } else { ")" })
}

impl std::error::Error for HandshakeError {}
