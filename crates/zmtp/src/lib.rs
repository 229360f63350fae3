//! The ZeroMQ Message Transport Protocol, from version 1.0 to 3.1, without I/O.
//!
//! Bytes go in; bytes, frames and decisions come out. Nothing here opens a socket, reads a clock or
//! starts a thread, so every rule of the protocol can be tested from a table.
//!
//! A connection passes through two stages:
//!
//! 1. [`Handshake`] exchanges greetings with the peer, settles on a [`Version`], runs the security
//!    [`Mechanism`] and ends with a [`Peer`]: who is at the other end and how to talk to it.
//! 2. Traffic is a sequence of frames in the [`Framing`] of that version. A frame carries a piece of
//!    a message, or (from version 3.0 on) a [`Command`]. Subscriptions travel as messages or as
//!    commands, which [`Subscription`] hides. Under CURVE each frame is sealed by a [`Cipher`].
//!
//! The specifications are RFC 13 (ZMTP 1.0), RFC 15 (2.0), RFC 23 (3.0) and RFC 37 (3.1); for
//! security RFC 24 (PLAIN), RFC 25 and RFC 26 (CURVE), RFC 27 (ZAP) and RFC 32 (Z85). Where they are
//! silent the behaviour is that of libzmq, which most peers run.
//!
//! Every length that a peer announces is compared with a limit before memory is set aside for it.
#![forbid(unsafe_code)]

mod cipher;
mod command;
mod credentials;
mod frame;
mod handshake;
mod handshake_error;
mod key;
mod mechanism;
mod metadata;
mod nacl;
mod protocol_error;
mod random;
mod secret;
mod socket_type;
mod subscription;
mod version;
pub mod z85;
pub mod zap;

pub use cipher::{Cipher, CipherError, MESSAGE_OVERHEAD, Opened};
pub use command::{Command, CommandError, MAX_GROUP, MAX_PING_CONTEXT};
pub use credentials::{Credentials, Verdict};
pub use frame::{FrameError, Framing, Header, MAX_BODY};
pub use handshake::{Handshake, Local, MAX_HANDSHAKE_COMMAND, MAX_ROUTING_ID, Peer, Progress};
pub use handshake_error::HandshakeError;
pub use key::{KEY_LEN, KEY_TEXT_LEN, KeyError, KeyPair, PublicKey, SecretKey};
pub use mechanism::{MAX_PLAIN, Mechanism};
pub use metadata::{MAX_METADATA, MAX_PROPERTIES, Metadata, MetadataError};
pub use protocol_error::ProtocolError;
pub use secret::Secret;
pub use socket_type::SocketType;
pub use subscription::Subscription;
pub use version::Version;
