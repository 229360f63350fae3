//! Security mechanisms: what happens between the greeting and the traffic.
//!
//! Each mechanism is a chain of state structs, in a file of its own. A struct is what the mechanism
//! waits for, and is consumed by the command (or verdict) that it waited for. [`Running`] holds
//! whichever it is, [`Next`] is where a step leads:
//!
//! ```text
//! NULL          [verdict]  READY to and fro
//! PLAIN client  HELLO, WELCOME back, INITIATE, READY back
//! PLAIN server  HELLO in, verdict, WELCOME, INITIATE in, READY
//! CURVE client  HELLO, WELCOME back, INITIATE, READY back
//! CURVE server  HELLO in, WELCOME, INITIATE in, [verdict], READY
//! ```
//!
//! No mechanism but NULL may be combined with a ZMTP 1.0 or 2.0 peer, which knows no security: see
//! [`Mechanism::allows_old_peers`].

mod curve;
mod plain;

use std::time::Instant;

use crate::cipher::Cipher;
use crate::command::{split_name, split_reason};
use crate::key::{KeyPair, PublicKey, SecretKey};
use crate::random::Random;
use crate::secret::Secret;
use crate::{Command, Credentials, HandshakeError, Metadata};

/// Octets of the mechanism's name in the greeting, padded with zeros (RFC 23).
pub(crate) const NAME_LEN: usize = 20;

/// The longest user name or password of PLAIN, in octets (RFC 24).
pub const MAX_PLAIN: usize = 255;

/// The security that a socket demands of all its peers, and its own part in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// No encryption, and no authentication but perhaps by address (RFC 23, "The NULL Security
    /// Mechanism").
    #[default]
    Null,
    /// PLAIN (RFC 24): tells the server a name and a password, in the clear.
    PlainClient {
        /// At most [`MAX_PLAIN`] octets.
        username: Vec<u8>,
        /// At most [`MAX_PLAIN`] octets.
        password: Secret,
    },
    /// PLAIN (RFC 24): asks for the verdict on each client's name and password, whatever
    /// [`Local::authenticate`](crate::Local::authenticate) says, for without one it would let
    /// everybody in.
    PlainServer,
    /// CURVE (RFC 25, RFC 26): the traffic is encrypted, the server is known by its key, and learns
    /// the client's.
    CurveClient {
        /// The server's permanent public key.
        server_key: PublicKey,
        /// The client's permanent pair. A server refuses a client whose two halves do not belong
        /// together.
        keys: KeyPair,
    },
    /// CURVE (RFC 25, RFC 26): lets in every client that knows this server's public key, unless
    /// [`Local::authenticate`](crate::Local::authenticate) has each client's key judged.
    CurveServer {
        /// The server's permanent pair.
        keys: KeyPair,
    },
}

impl Mechanism {
    /// The name in the greeting.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::PlainClient { .. } | Self::PlainServer => "PLAIN",
            Self::CurveClient { .. } | Self::CurveServer { .. } => "CURVE",
        }
    }

    /// Whether this side is the server: the side that is asked to let the other in. NULL has none.
    pub const fn is_server(&self) -> bool {
        match self {
            Self::Null | Self::PlainClient { .. } | Self::CurveClient { .. } => false,
            Self::PlainServer | Self::CurveServer { .. } => true,
        }
    }

    pub(crate) fn padded_name(&self) -> [u8; NAME_LEN] {
        let mut padded = [0; NAME_LEN];
        padded[..self.name().len()].copy_from_slice(self.name().as_bytes());
        padded
    }

    /// Whether peers older than 3.0 are acceptable. Anything but NULL must refuse them, or it could
    /// be talked out of its security (RFC 23, "Detecting ZMTP 1.0 and 2.0 Peers").
    pub(crate) const fn allows_old_peers(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this side may tell the peer in an ERROR command why it refuses it. Clients of a
    /// mechanism with roles may not (RFC 26, "Overall Operation").
    pub(crate) const fn may_send_error(&self) -> bool {
        matches!(self, Self::Null) || self.is_server()
    }

    /// Whether the mechanism's secrets can be used at all.
    pub(crate) fn check(&self) -> Result<(), HandshakeError> {
        match self {
            Self::PlainClient { username, password } => {
                match username.len().max(password.expose().len()) {
                    0..=MAX_PLAIN => Ok(()),
                    len => Err(HandshakeError::CredentialsTooLong { len }),
                }
            }
            // Zeros are a key that was never set, and a secret that everybody has.
            Self::CurveServer { keys } if keys.secret == SecretKey::default() => {
                Err(HandshakeError::UnusableKey)
            }
            _ => Ok(()),
        }
    }

    /// Starts the mechanism: its first command, if this side speaks first, goes to `out`. The
    /// properties in `ready` are those to tell the peer.
    pub(crate) fn start(
        &self,
        ready: Metadata,
        authenticate: bool,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<Next, HandshakeError> {
        Ok(match self {
            Self::Null if authenticate => {
                Next::Ask(Credentials::Null, Asking::Null(null::Unjudged { ready }))
            }
            Self::Null => null::Unjudged { ready }.allowed(out),
            Self::PlainClient { username, password } => {
                plain::hello(username, password, out);
                Next::Await(Running::PlainClient(plain::AwaitWelcome { ready }))
            }
            Self::PlainServer => Next::Await(Running::PlainServer(plain::AwaitHello { ready })),
            Self::CurveClient { server_key, keys } => {
                let keys = keys.clone();
                let state = curve::AwaitWelcome::hello(ready, keys, *server_key, random, out)?;
                Next::Await(Running::CurveClient(Box::new(state)))
            }
            Self::CurveServer { keys } => Next::Await(Running::CurveServer(curve::AwaitHello {
                ready,
                keys: keys.clone(),
                authenticate,
            })),
        })
    }
}

/// Where a step of a mechanism leads.
#[derive(Debug)]
pub(crate) enum Next {
    /// The peer's next command is due.
    Await(Running),
    /// The peer's credentials are to be judged before anything else happens.
    Ask(Credentials, Asking),
    /// The mechanism is done.
    Done(Done),
}

/// The end of a mechanism.
#[derive(Debug)]
pub(crate) struct Done {
    /// The peer's properties.
    pub(crate) metadata: Metadata,
    /// The frame to send if these properties are acceptable: the server's READY.
    pub(crate) last: Vec<u8>,
    /// What seals the traffic, under CURVE.
    pub(crate) cipher: Option<Cipher>,
}

/// A mechanism that waits for a command.
#[derive(Debug)]
pub(crate) enum Running {
    Null(null::AwaitReady),
    PlainClient(plain::AwaitWelcome),
    PlainClientReady(plain::AwaitReady),
    PlainServer(plain::AwaitHello),
    PlainServerInitiate(plain::AwaitInitiate),
    CurveClient(Box<curve::AwaitWelcome>),
    CurveClientReady(curve::AwaitReady),
    CurveServer(curve::AwaitHello),
    CurveServerInitiate(curve::AwaitInitiate),
}

impl Running {
    /// Takes the peer's next command; the answer goes to `out`.
    pub(crate) fn command(
        self,
        body: &[u8],
        now: Option<Instant>,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<Next, HandshakeError> {
        match self {
            Self::Null(state) => state.command(body),
            Self::PlainClient(state) => state.command(body, out),
            Self::PlainClientReady(state) => state.command(body),
            Self::PlainServer(state) => state.command(body),
            Self::PlainServerInitiate(state) => state.command(body),
            Self::CurveClient(state) => state.command(body, random, out),
            Self::CurveClientReady(state) => state.command(body),
            Self::CurveServer(state) => state.command(body, now, random, out),
            Self::CurveServerInitiate(state) => state.command(body, now),
        }
    }
}

/// A mechanism that waits for a verdict.
#[derive(Debug)]
pub(crate) enum Asking {
    Null(null::Unjudged),
    Plain(plain::Unjudged),
    Curve(curve::Unjudged),
}

impl Asking {
    pub(crate) fn allowed(self, out: &mut Vec<u8>) -> Next {
        match self {
            Self::Null(state) => state.allowed(out),
            Self::Plain(state) => state.allowed(out),
            Self::Curve(state) => state.allowed(),
        }
    }
}

/// NULL: both sides send READY, at once or when the peer's address is found good.
pub(crate) mod null {
    use super::*;

    /// Our READY waits for the verdict.
    #[derive(Debug)]
    pub(crate) struct Unjudged {
        pub(super) ready: Metadata,
    }

    impl Unjudged {
        pub(super) fn allowed(self, out: &mut Vec<u8>) -> Next {
            Command::Ready(self.ready).encode_framed(out);
            Next::Await(Running::Null(AwaitReady))
        }
    }

    /// Our READY is on its way, the peer's is due.
    #[derive(Debug)]
    pub(crate) struct AwaitReady;

    impl AwaitReady {
        pub(super) fn command(self, body: &[u8]) -> Result<Next, HandshakeError> {
            let data = expect(body, "READY", May::Refuse)?;
            Ok(Next::Done(Done {
                metadata: Metadata::parse(data)?,
                last: Vec::new(),
                cipher: None,
            }))
        }
    }
}

/// Whether the peer may send ERROR instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    Refuse,
    NotRefuse,
}

/// The data of the command `name`, which is the one that is due.
fn expect<'a>(body: &'a [u8], name: &str, may: May) -> Result<&'a [u8], HandshakeError> {
    match split_name(body)? {
        (is, data) if is == name.as_bytes() => Ok(data),
        (b"ERROR", data) if may == May::Refuse => Err(refusal(data)),
        (other, _) => Err(HandshakeError::UnexpectedCommand {
            name: printable(other),
        }),
    }
}

/// What the data of ERROR say.
fn refusal(data: &[u8]) -> HandshakeError {
    match split_reason(data) {
        Ok(reason) => HandshakeError::PeerError {
            reason: printable(reason),
        },
        Err(_) => HandshakeError::Malformed { command: "ERROR" },
    }
}

/// Appends a command of a mechanism, frame and all.
fn put(name: &str, data: &[u8], out: &mut Vec<u8>) {
    let name = name.as_bytes();
    Command::Other { name, data }.encode_framed(out);
}

/// Text from a peer, made safe for logs and terminals.
pub(crate) fn printable(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}
