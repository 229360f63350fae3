//! ZeroMQ sockets in pure Rust.
//!
//! A socket carries messages to any number of peers, over TCP, Unix-domain sockets or inside the
//! process, in one of a few [patterns](#patterns); it connects before its peers exist and
//! reconnects when they come back. This crate speaks ZMTP 1.0 to 3.1, so its peers may be
//! written in any language that has a ZeroMQ library.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use xebec::{Context, Rep, Req};
//! let context = Context::new();
//! let server = Rep::new(&context)?;
//! let endpoint = server.bind("tcp://127.0.0.1:*")?;
//! let client = Req::new(&context)?;
//! client.connect(&endpoint)?;
//! client.send("Hello")?;
//! println!("Received {}", server.recv()?.to_string_lossy());
//! server.send("World")?;
//! println!("Received {}", client.recv()?.to_string_lossy());
//! # Ok(()) }
//! ```
//!
//! # Patterns
//! * [`Req`] and [`Rep`], [`Dealer`] and [`Router`]: requests and replies (RFC 28).
//! * [`Pub`] and [`Sub`], [`Xpub`] and [`Xsub`]: publish to all who subscribed (RFC 29).
//! * [`Push`] and [`Pull`]: a pipeline (RFC 30).
//! * [`Pair`]: exactly two (RFC 31). [`Stream`]: raw TCP.
//! * For messages of one frame, drafts in libzmq: [`Client`] and [`Server`] (RFC 41), [`Radio`] and
//!   [`Dish`] (RFC 48), [`Scatter`] and [`Gather`] (RFC 49), [`Peer`] (RFC 51), [`Channel`] (RFC 52).
//!
//! # Blocking, non-blocking, async
//! Every operation has three forms over one engine: `recv` waits, `try_recv` does not,
//! `recv_async` is a future for any executor. Where many small messages come, `recv_into` has them take one place
//! after the other, which is the fastest. Sockets are `Send` and `Sync`. [`poll`] waits for
//! several sockets, descriptors and timers; [`proxy`](proxy()) joins two sockets into a device.
//!
//! # What is not there yet
//! The GSSAPI mechanism, DGRAM sockets, and transports other than tcp, ipc, inproc and tipc. Options that belong to them are refused, never ignored, but for those of
//! multicast, which are kept for the transports to come.

// Two places in `sys` are allowed it.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod admission;
mod auth;
mod body;
mod buffer;
mod channel;
mod company;
mod conn;
mod context;
mod endpoint;
mod error;
mod io;
mod large;
mod lease;
mod message;
mod monitor;
mod options;
mod pattern;
mod pipe;
mod poll;
mod proxy;
mod signal;
mod socket;
mod stats;
mod sync;
mod sys;
mod topics;
mod transport;

pub use auth::{AuthError, AuthStats, Authenticator, Decision, Policy, PolicyError};
pub use bytes::Bytes;
pub use context::{Context, ContextBuilder};
pub use endpoint::{
    Endpoint, EndpointError, EndpointErrorKind, Host, IpcEndpoint, Port, TcpEndpoint, TipcEndpoint,
    TipcNode, Zone,
};
pub use error::{
    AddressError, AddressErrorKind, GroupError, RecvError, SendError, SendErrorKind, SocketError,
};
pub use message::{ConnectionId, Frame, Message};
pub use monitor::{Event, EventKind, Monitor};
pub use options::{
    AddressFilter, BadAddressFilter, BadProperty, CONTEXT_OPTIONS, ContextOptions, Effect, Form,
    ListeningFd, OPTIONS, OptionError, OptionKey, OptionSpec, Options, Property, ProxyAddress,
    ReconnectStop, Role, RouterNotify, Rules, Security, Told, Unit, Valid, Value,
    reference as options_reference,
};
pub use pipe::PeerInfo;
pub use poll::{Interest, PollError, PollItem, poll};
pub use proxy::{Proxy, ProxyError, ProxyStats, proxy};
pub use socket::typed::{
    Channel, Client, Dealer, Dish, Gather, Pair, Peer, Pub, Pull, Push, Radio, Rep, Req, Router,
    Scatter, Server, Stream, Sub, Xpub, Xsub,
};
pub use socket::{EventFd, Incoming, Outgoing, RecvFuture, SendFuture, Socket};
pub use stats::{Drops, PeerStats, Stats};
pub use transport::resolve::ResolveError;
pub use zmtp::zap::Request as ZapRequest;
pub use zmtp::{
    Credentials, KeyError, KeyPair, Metadata, MetadataError, PublicKey, Secret, SecretKey,
    SocketType, Version, z85,
};

/// The README's programs, compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
