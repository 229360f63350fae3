//! The handshake: from a fresh connection to a known peer.
//!
//! [`Handshake`] is fed what arrives and says what to send. It detects the peer's version the way
//! RFC 23 ("Backwards Interoperability") and libzmq do it: the first ten octets we send are both
//! the signature of a modern greeting and the header, in ZMTP 1.0's long form, of a frame that
//! holds our routing id. A ZMTP 1.0 peer takes them for the latter, and we follow up with the
//! routing id. Any other peer answers with a signature, upon which we tell our revision, and go on
//! as its revision demands:
//!
//! ```text
//! peer's first octets                  we send                          peer's last part
//! not FF                               routing id                       routing id frame (v1)
//! FF ........ xx, bit 0 of xx clear    routing id                       routing id frame (v1)
//! FF ........ 7F, then 0               3, socket type, id frame (v1)    socket type, id frame (v1)
//! FF ........ 7F, then 1 or 2          3, socket type, id frame (v2)    socket type, id frame (v2)
//! FF ........ 7F, then 3 or more       3, 1, mechanism, ..., READY      minor, mechanism, ..., READY
//! ```
//!
//! Under NULL our READY follows our greeting at once, without a look at the peer's mechanism, which
//! saves a trip to and fro: it says nothing that any peer would not be told that asks for NULL, and one that
//! has another mechanism stops at the greeting. Where the peer's address is to be judged, READY waits for the
//! verdict.
//!
//! Each state knows how many octets it needs before it can take a step; they are collected in one
//! buffer that never exceeds [`MAX_HANDSHAKE_COMMAND`] and a header, and only grows with what has
//! arrived. No time limit is kept here but that of CURVE's cookie, by the clock of the caller
//! ([`Handshake::tell_time`]).
//!
//! Where the peer is to be authenticated the handshake stops with its [`Credentials`], takes no
//! octet more, and goes on with [`Handshake::verdict`].

use core::mem;
use std::time::Instant;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::cipher::Cipher;
use crate::mechanism::{Asking, Done, NAME_LEN, Next, Running, printable};
use crate::random::Random;
use crate::{
    Command, Credentials, Framing, HandshakeError, Header, Mechanism, Metadata, MetadataError,
    SocketType, Verdict, Version,
};

/// The largest command accepted during the handshake, in octets. It bounds what a peer that has not
/// proved anything yet can make us hold.
pub const MAX_HANDSHAKE_COMMAND: usize = 64 * 1024;

/// The longest routing id, in octets (RFC 23, "The Identity Property").
pub const MAX_ROUTING_ID: usize = 255;

const SIGNATURE_LEN: usize = 10;
const REVISION_AT: usize = 10;
const MINOR_AT: usize = 11;
const MECHANISM_AT: usize = 12;
const GREETING_LEN: usize = 64;

/// What this side tells the peer.
#[derive(Clone, Debug)]
pub struct Local {
    /// The type of the socket.
    pub socket_type: SocketType,
    /// The routing id for the peer to use, at most [`MAX_ROUTING_ID`] octets; empty for none. From
    /// ZMTP 3.0 on only REQ, DEALER and ROUTER tell it.
    pub routing_id: Bytes,
    /// More properties for ZMTP 3.x peers. Names of an application's own start with `X-`.
    pub properties: Vec<(String, Bytes)>,
    /// The security mechanism, which must be the peer's as well.
    pub mechanism: Mechanism,
    /// Whether the peer is to be judged by its credentials, or by its address alone where the
    /// mechanism is NULL, before it is let in: see [`Progress::credentials`]. A client of PLAIN or
    /// CURVE judges nobody, and a server of PLAIN always does. Peers older than ZMTP 3.0 are
    /// refused.
    pub authenticate: bool,
    /// The highest version to speak, normally [`Version::V3_1`]. A lower one makes this side behave
    /// as a peer of that version would.
    pub max_version: Version,
}

/// What is known of the peer once the handshake is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The version both sides speak from now on.
    pub version: Version,
    /// The peer's socket type, if it told. A ZMTP 1.0 peer cannot; see [`Peer::is_unversioned`].
    pub socket_type: Option<SocketType>,
    /// The routing id that the peer wants, possibly empty.
    pub routing_id: Bytes,
    /// The properties that the peer sent; none before ZMTP 3.0.
    pub metadata: Metadata,
}

impl Peer {
    /// Whether the peer is of the generation (libzmq 2.x) that has no greeting. Its SUB sockets
    /// filter for themselves and never send a subscription, so a PUB has to send them everything.
    pub fn is_unversioned(&self) -> bool {
        self.version == Version::V1_0 && self.socket_type.is_none()
    }
}

/// How far a call of [`Handshake::input`] got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many of the given octets were taken: all of them until the handshake is finished. What
    /// remains is traffic. While a verdict is due nothing is taken: what remains is to be given
    /// again.
    pub consumed: usize,
    /// The peer, when the handshake is finished. There may still be output to send.
    pub peer: Option<Peer>,
    /// What the peer shows to be let in, told once: the handshake stands still until
    /// [`Handshake::verdict`] is called.
    pub credentials: Option<Credentials>,
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    local: Local,
    state: State,
    /// What has arrived and no step has used up, perhaps a password. Invariant: at most the octets that
    /// `state` needs.
    pending: Zeroizing<Vec<u8>>,
    /// What is to be sent, perhaps a password.
    output: Zeroizing<Vec<u8>>,
    random: Random,
    /// The caller's time, if it has told.
    now: Option<Instant>,
    cipher: Option<Cipher>,
}

/// What the handshake waits for.
#[derive(Debug)]
enum State {
    /// The octet that tells whether a signature may follow.
    FirstOctet,
    /// The rest of ten octets: a signature, or the long header of a ZMTP 1.0 frame.
    Signature,
    /// The octet that tells the peer's major version.
    Revision,
    /// The octet that tells a ZMTP 2.0 peer's socket type.
    TypeOctet { version: Version },
    /// The frame with the routing id, from a peer older than 3.0.
    Identity {
        version: Version,
        socket_type: Option<SocketType>,
    },
    /// The rest of a ZMTP 3.x greeting. Our side of the mechanism may have begun.
    Greeting { begun: Option<Next> },
    /// A command of the mechanism.
    Mechanism { version: Version, running: Running },
    /// The verdict on the peer's credentials.
    Verdict { version: Version, asking: Asking },
    /// Nothing: finished or failed. The error is the answer to any further input.
    Over(HandshakeError),
}

enum Step {
    Next(State),
    Ask(State, Credentials),
    Finished(Peer),
}

impl Handshake {
    /// Starts a handshake; [`Handshake::output`] holds the first octets to send.
    ///
    /// If something in `local` is too long, or demands security of a version that has none, nothing
    /// is sent, and the first call of [`Handshake::input`] fails.
    pub fn new(local: Local) -> Self {
        Self::start(local, Random::System)
    }

    /// Like [`Handshake::new`], with the random octets that CURVE needs from `fill` instead of the
    /// system: for tests that are to take the same course each time.
    pub fn with_random(local: Local, fill: impl FnMut(&mut [u8]) + Send + 'static) -> Self {
        Self::start(local, Random::Given(Box::new(fill)))
    }

    fn start(local: Local, random: Random) -> Self {
        let mut output = Vec::with_capacity(GREETING_LEN);
        let state = if let Err(error) = local.check() {
            State::Over(error)
        } else if local.max_version == Version::V1_0 {
            put_identity(Framing::V1, &local, &mut output);
            State::Identity {
                version: Version::V1_0,
                socket_type: None,
            }
        } else {
            output.push(0xFF);
            output.extend_from_slice(&(local.routing_id.len() as u64 + 1).to_be_bytes());
            output.push(0x7F);
            State::FirstOctet
        };
        Self {
            local,
            state,
            pending: Zeroizing::default(),
            output: Zeroizing::new(output),
            random,
            now: None,
            cipher: None,
        }
    }

    /// The octets to send. The caller takes from the front what it has sent, and wipes it where a
    /// password is not to be left in memory.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Tells the time, which is to be done before each [`Handshake::input`] where a limit is to hold that
    /// the protocol sets: the server's cookie of CURVE is good for a minute (RFC 26). For who tells no time
    /// none passes.
    pub fn tell_time(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// What all traffic is to be sealed and opened with, once the handshake is finished under a
    /// mechanism that encrypts.
    pub fn take_cipher(&mut self) -> Option<Cipher> {
        self.cipher.take()
    }

    /// Takes octets that arrived, however they were split up on the way.
    ///
    /// # Errors
    /// The connection cannot be established and is to be closed, after an attempt to send what
    /// [`Handshake::output`] holds: it may be an ERROR command that tells the peer the reason.
    pub fn input(&mut self, bytes: &[u8]) -> Result<Progress, HandshakeError> {
        let result = self.advance(bytes);
        self.conclude(result)
    }

    /// Goes on after the peer's credentials were judged. Without credentials to judge, a peer may
    /// still be denied, and to allow it changes nothing.
    ///
    /// # Errors
    /// The peer is not let in; or it is, and an error follows as in [`Handshake::input`].
    pub fn verdict(&mut self, verdict: Verdict) -> Result<Progress, HandshakeError> {
        let result = match verdict {
            Verdict::Allow => self.allow(),
            Verdict::Deny { status } => {
                // A temporary failure is not to be told (RFC 26; libzmq does so for every
                // mechanism).
                if status != 300 && matches!(self.state, State::Verdict { .. }) {
                    self.put_error(&status.to_string());
                }
                Err(HandshakeError::Denied { status })
            }
            Verdict::Invalid(error) => Err(HandshakeError::Authenticator(error)),
            Verdict::Unavailable => Err(HandshakeError::NoAuthenticator),
        };
        self.conclude(result)
    }

    fn allow(&mut self) -> Result<Progress, HandshakeError> {
        let step = match mem::replace(&mut self.state, State::Over(HandshakeError::Over)) {
            State::Verdict { version, asking } => {
                let next = asking.allowed(&mut self.output);
                self.enter(version, next)?
            }
            other => Step::Next(other),
        };
        Ok(self.arrive(step, 0).unwrap_or_default())
    }

    fn conclude(
        &mut self,
        result: Result<Progress, HandshakeError>,
    ) -> Result<Progress, HandshakeError> {
        match &result {
            Ok(Progress { peer: Some(_), .. }) => self.state = State::Over(HandshakeError::Over),
            Ok(_) => {}
            Err(error) => self.state = State::Over(error.clone()),
        }
        result
    }

    /// Ends a step. The progress to report, if the caller has to know of it.
    fn arrive(&mut self, step: Step, consumed: usize) -> Option<Progress> {
        let (peer, credentials) = match step {
            Step::Next(state) => {
                self.state = state;
                return None;
            }
            Step::Ask(state, credentials) => {
                self.state = state;
                (None, Some(credentials))
            }
            Step::Finished(peer) => (Some(peer), None),
        };
        Some(Progress {
            consumed,
            peer,
            credentials,
        })
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Progress, HandshakeError> {
        let mut rest = bytes;
        loop {
            let missing = self.state.needs(&self.pending)? - self.pending.len();
            if missing > 0 {
                if rest.is_empty() || matches!(self.state, State::Verdict { .. }) {
                    return Ok(Progress {
                        consumed: bytes.len() - rest.len(),
                        ..Progress::default()
                    });
                }
                let (taken, left) = rest.split_at(missing.min(rest.len()));
                self.pending.extend_from_slice(taken);
                rest = left;
                continue;
            }
            let step = self.step()?;
            if let Some(progress) = self.arrive(step, bytes.len() - rest.len()) {
                return Ok(progress);
            }
        }
    }

    /// Leaves the current state, for which all that it needs is in `pending`.
    fn step(&mut self) -> Result<Step, HandshakeError> {
        let state = mem::replace(&mut self.state, State::Over(HandshakeError::Over));
        Ok(Step::Next(match state {
            State::FirstOctet if self.pending[0] == 0xFF => State::Signature,
            State::FirstOctet => self.greet_unversioned()?,
            State::Signature if self.pending[SIGNATURE_LEN - 1] & 1 == 0 => {
                self.greet_unversioned()?
            }
            State::Signature => {
                self.output.push(if self.local.max_version < Version::V3_0 {
                    1
                } else {
                    3
                });
                State::Revision
            }
            State::Revision => self.greet_versioned()?,
            State::TypeOctet { version } => self.type_octet(version)?,
            State::Identity {
                version,
                socket_type,
            } => return self.identity(version, socket_type),
            State::Greeting { begun } => return self.greeting(begun),
            State::Mechanism { version, running } => return self.command(version, running),
            State::Verdict { .. } => unreachable!("no octets are taken before the verdict"),
            State::Over(error) => return Err(error),
        }))
    }

    /// The peer speaks ZMTP 1.0: the header of our identity frame is sent, its body follows. What
    /// has arrived is the beginning of the peer's.
    fn greet_unversioned(&mut self) -> Result<State, HandshakeError> {
        self.allow_old_peer()?;
        self.output.extend_from_slice(&self.local.routing_id);
        Ok(State::Identity {
            version: Version::V1_0,
            socket_type: None,
        })
    }

    /// The peer's revision is known: sends what is left of our greeting.
    fn greet_versioned(&mut self) -> Result<State, HandshakeError> {
        let version = match self.pending[REVISION_AT] {
            0 => Version::V1_0,
            1 | 2 => Version::V2_0,
            _ => self.local.max_version,
        };
        if version >= Version::V3_0 {
            self.output
                .push(u8::from(self.local.max_version > Version::V3_0));
            self.output
                .extend_from_slice(&self.local.mechanism.padded_name());
            self.output.push(u8::from(self.local.mechanism.is_server()));
            self.output.extend_from_slice(&[0; 31]);
            let at_once = self.local.mechanism == Mechanism::Null && !self.local.authenticate;
            let begun = at_once.then(|| self.start_mechanism()).transpose()?;
            return Ok(State::Greeting { begun });
        }
        self.allow_old_peer()?;
        self.output.push(type_octet_of(self.local.socket_type));
        put_identity(version.framing(), &self.local, &mut self.output);
        Ok(State::TypeOctet { version })
    }

    fn allow_old_peer(&self) -> Result<(), HandshakeError> {
        if self.local.allows_old_peers() {
            Ok(())
        } else {
            Err(HandshakeError::OldPeer {
                local: self.local.mechanism.name(),
            })
        }
    }

    fn type_octet(&mut self, version: Version) -> Result<State, HandshakeError> {
        let octet = self.pending[REVISION_AT + 1];
        let peer =
            SocketType::from_number(octet).ok_or_else(|| HandshakeError::UnknownSocketType {
                peer: octet.to_string(),
            })?;
        self.check_socket_type(peer)?;
        self.pending.clear();
        Ok(State::Identity {
            version,
            socket_type: Some(peer),
        })
    }

    fn check_socket_type(&self, peer: SocketType) -> Result<(), HandshakeError> {
        let local = self.local.socket_type;
        if local.accepts(peer) {
            Ok(())
        } else {
            Err(HandshakeError::IncompatibleSocketType { local, peer })
        }
    }

    fn identity(
        &mut self,
        version: Version,
        socket_type: Option<SocketType>,
    ) -> Result<Step, HandshakeError> {
        let (header, body) = frame(version.framing(), &self.pending)?;
        // RFC 13 forbids a look at the flags of a ZMTP 1.0 identity: a newer peer's has odd ones.
        if version > Version::V1_0 && (header.more || header.command) {
            return Err(HandshakeError::MalformedIdentity);
        }
        let routing_id = Bytes::copy_from_slice(body);
        Ok(Step::Finished(Peer {
            version,
            socket_type,
            routing_id,
            metadata: Metadata::new(),
        }))
    }

    fn start_mechanism(&mut self) -> Result<Next, HandshakeError> {
        let ready = self.local.ready();
        let ready = ready.map_err(HandshakeError::LocalProperties)?;
        let (authenticate, random) = (self.local.authenticate, &mut self.random);
        let mechanism = &self.local.mechanism;
        mechanism.start(ready, authenticate, random, &mut self.output)
    }

    /// The 64 octets are complete: starts the mechanism, unless it has `begun`.
    fn greeting(&mut self, begun: Option<Next>) -> Result<Step, HandshakeError> {
        let name = &self.pending[MECHANISM_AT..MECHANISM_AT + NAME_LEN];
        if name != self.local.mechanism.padded_name() {
            let end = name
                .iter()
                .position(|&octet| octet == 0)
                .unwrap_or(NAME_LEN);
            return Err(HandshakeError::MechanismMismatch {
                local: self.local.mechanism.name(),
                peer: printable(&name[..end]),
            });
        }
        // The minor number means nothing to us above major version 3.
        let peer = match (self.pending[REVISION_AT], self.pending[MINOR_AT]) {
            (3, 0) => Version::V3_0,
            _ => Version::V3_1,
        };
        self.pending.clear();
        let version = peer.min(self.local.max_version);
        let next = match begun {
            Some(next) => next,
            None => self.start_mechanism()?,
        };
        self.enter(version, next)
    }

    fn command(&mut self, version: Version, running: Running) -> Result<Step, HandshakeError> {
        let (header, body) = frame(Framing::V2, &self.pending)?;
        if !header.command {
            return Err(HandshakeError::UnexpectedMessage);
        }
        let next = running.command(body, self.now, &mut self.random, &mut self.output)?;
        self.pending.clear();
        self.enter(version, next)
    }

    fn enter(&mut self, version: Version, next: Next) -> Result<Step, HandshakeError> {
        Ok(match next {
            Next::Await(running) => Step::Next(State::Mechanism { version, running }),
            Next::Ask(credentials, asking) => {
                Step::Ask(State::Verdict { version, asking }, credentials)
            }
            Next::Done(done) => Step::Finished(self.finish(version, done)?),
        })
    }

    fn finish(&mut self, version: Version, done: Done) -> Result<Peer, HandshakeError> {
        let Done {
            metadata,
            last,
            cipher,
        } = done;
        let socket_type = self.peer_type(&metadata).inspect_err(|error| {
            if self.local.mechanism.may_send_error() {
                self.put_error(&error.reason());
            }
        })?;
        let routing_id = metadata.get("Identity").cloned().unwrap_or_default();
        if routing_id.len() > MAX_ROUTING_ID {
            return Err(HandshakeError::RoutingIdTooLong {
                len: routing_id.len() as u64,
            });
        }
        self.output.extend_from_slice(&last);
        self.cipher = cipher;
        Ok(Peer {
            version,
            socket_type,
            routing_id,
            metadata,
        })
    }

    fn put_error(&mut self, reason: &str) {
        let reason = reason.as_bytes();
        Command::Error { reason }.encode_framed(&mut self.output);
    }

    /// The peer's socket type, checked. It is not obliged to tell one.
    fn peer_type(&self, metadata: &Metadata) -> Result<Option<SocketType>, HandshakeError> {
        let Some(name) = metadata.get("Socket-Type") else {
            return Ok(None);
        };
        let peer =
            SocketType::from_name(name).ok_or_else(|| HandshakeError::UnknownSocketType {
                peer: printable(name),
            })?;
        self.check_socket_type(peer)?;
        Ok(Some(peer))
    }
}

impl State {
    /// How many octets have to be pending for a step; more than are pending now, or as many.
    fn needs(&self, pending: &[u8]) -> Result<usize, HandshakeError> {
        match self {
            Self::FirstOctet => Ok(1),
            Self::Signature => Ok(SIGNATURE_LEN),
            Self::Revision => Ok(REVISION_AT + 1),
            Self::TypeOctet { .. } => Ok(REVISION_AT + 2),
            Self::Greeting { .. } => Ok(GREETING_LEN),
            Self::Identity { version, .. } => {
                frame_needs(version.framing(), pending, MAX_ROUTING_ID, |len| {
                    HandshakeError::RoutingIdTooLong { len }
                })
            }
            Self::Mechanism { .. } => {
                frame_needs(Framing::V2, pending, MAX_HANDSHAKE_COMMAND, |len| {
                    HandshakeError::CommandTooLong { len }
                })
            }
            // One more than will ever come: see `advance`.
            Self::Verdict { .. } => Ok(pending.len() + 1),
            Self::Over(error) => Err(error.clone()),
        }
    }
}

/// How many octets a frame needs in all, as far as `pending` tells: one more until it has a header.
fn frame_needs(
    framing: Framing,
    pending: &[u8],
    limit: usize,
    too_long: impl FnOnce(u64) -> HandshakeError,
) -> Result<usize, HandshakeError> {
    match framing.decode(pending)? {
        None => Ok(pending.len() + 1),
        Some(header) if header.body_len > limit as u64 => Err(too_long(header.body_len)),
        Some(header) => Ok(header.header_len + header.body_len as usize),
    }
}

/// The frame that fills `pending`, as [`frame_needs`] made sure.
fn frame(framing: Framing, pending: &[u8]) -> Result<(Header, &[u8]), HandshakeError> {
    let header = framing
        .decode(pending)?
        .expect("a step waits for the header");
    Ok((header, &pending[header.header_len..]))
}

fn put_identity(framing: Framing, local: &Local, out: &mut Vec<u8>) {
    framing.encode(false, false, local.routing_id.len(), out);
    out.extend_from_slice(&local.routing_id);
}

/// ZMTP 2.0 has no numbers for XPUB and XSUB, which are PUB and SUB to it (RFC 15).
fn type_octet_of(socket_type: SocketType) -> u8 {
    match socket_type {
        SocketType::Xpub => SocketType::Pub.number(),
        SocketType::Xsub => SocketType::Sub.number(),
        other => other.number(),
    }
}

impl Local {
    fn check(&self) -> Result<(), HandshakeError> {
        if self.routing_id.len() > MAX_ROUTING_ID {
            return Err(HandshakeError::RoutingIdTooLong {
                len: self.routing_id.len() as u64,
            });
        }
        if self.max_version < Version::V3_0 && !self.allows_old_peers() {
            return Err(HandshakeError::OldPeer {
                local: self.mechanism.name(),
            });
        }
        self.mechanism.check()
    }

    /// Nobody can be judged before ZMTP 3.0.
    fn allows_old_peers(&self) -> bool {
        self.mechanism.allows_old_peers() && !self.authenticate
    }

    /// The properties for READY, in libzmq's order.
    fn ready(&self) -> Result<Metadata, MetadataError> {
        let mut metadata = Metadata::new();
        metadata.insert("Socket-Type", self.socket_type.name())?;
        if matches!(
            self.socket_type,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        ) {
            metadata.insert("Identity", self.routing_id.clone())?;
        }
        for (name, value) in &self.properties {
            metadata.insert(name, value.clone())?;
        }
        Ok(metadata)
    }
}
