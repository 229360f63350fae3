//! Errors: one small type for each operation, saying whose fault it is and what to do.

use std::fmt;
use std::io;

use crate::message::Message;
use crate::options::OptionError;

/// A message that was not sent, and why. The message comes back to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// Why it was not sent.
    pub kind: SendErrorKind,
    /// The message as it was given.
    pub message: Message,
}

/// Why a message was not sent (`zmq_msg_send`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// No peer can take it now, or could within the time allowed (EAGAIN).
    WouldBlock,
    /// The peer it is addressed to is not connected (EHOSTUNREACH).
    Unroutable,
    /// It is not the socket's turn to send: a REQ waits for its reply, a REP has no request (EFSM).
    State,
    /// The context was terminated (ETERM).
    Terminated,
    /// This socket type does not send (ENOTSUP).
    Unsupported,
    /// A signal interrupted the wait (EINTR).
    Interrupted,
    /// The message is not one that this socket type sends (EINVAL).
    Invalid(&'static str),
}

impl SendError {
    pub(crate) fn new(kind: SendErrorKind, message: Message) -> Self {
        SendError { kind, message }
    }
}

impl fmt::Display for SendErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendErrorKind::WouldBlock => "no peer could take the message in time: none is connected, or all are at their high-water mark",
            SendErrorKind::Unroutable => "no peer with that routing id is connected",
            SendErrorKind::State => "it is not this socket's turn to send: a REQ must receive its reply first, a REP a request",
            SendErrorKind::Terminated => "the context was terminated",
            SendErrorKind::Unsupported => "sockets of this type do not send",
            SendErrorKind::Interrupted => "a signal interrupted the wait",
            SendErrorKind::Invalid(why) => why,
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for SendError {}

/// Why nothing was received (`zmq_msg_recv`).
// As wide as a word: a result that holds a message or this is then moved in whole words, which a receiver
// of 64 bytes spent a twelfth of its time for.
#[repr(u64)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing has arrived, or did within the time allowed (EAGAIN).
    WouldBlock,
    /// It is not the socket's turn to receive: a REQ has sent no request, a REP owes a reply (EFSM).
    State,
    /// The context was terminated (ETERM).
    Terminated,
    /// This socket type does not receive (ENOTSUP).
    Unsupported,
    /// A signal interrupted the wait (EINTR).
    Interrupted,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::WouldBlock => "no message arrived in time",
            RecvError::State => "it is not this socket's turn to receive: a REQ must send a request first, a REP its reply",
            RecvError::Terminated => "the context was terminated",
            RecvError::Unsupported => "sockets of this type do not receive",
            RecvError::Interrupted => "a signal interrupted the wait",
        })
    }
}

impl std::error::Error for RecvError {}

/// Why a socket could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocketError {
    /// The context was terminated (ETERM).
    Terminated,
    /// The context has as many sockets as MAX_SOCKETS allows (EMFILE).
    TooMany(usize),
    /// The operating system has no descriptors or threads left.
    System(io::Error),
    /// The type is not one that this version has.
    Unsupported(zmtp::SocketType),
    /// An option, of the socket or of its context, is not valid or not for this type (EINVAL).
    Option(OptionError),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketError::Terminated => f.write_str("the context was terminated"),
            SocketError::TooMany(max) => write!(
                f,
                "the context already has {max} sockets; raise max_sockets or close some"
            ),
            SocketError::System(error) => write!(
                f,
                "the system refuses a socket: {error}; the limit on open files may be too low (ulimit -n)"
            ),
            SocketError::Unsupported(kind) => {
                write!(f, "sockets of type {} are not supported yet", kind.name())
            }
            SocketError::Option(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SocketError {}

/// Why binding, connecting or their undoing failed.
#[derive(Debug)]
pub struct AddressError {
    /// The endpoint as it was given.
    pub endpoint: String,
    /// What is wrong with it.
    pub kind: AddressErrorKind,
}

/// What is wrong with an endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddressErrorKind {
    /// It cannot be read (EINVAL), or names a transport that there is not (EPROTONOSUPPORT); the
    /// text says what is wrong and what would be right.
    Malformed(crate::endpoint::EndpointError),
    /// Somebody else is bound to it (EADDRINUSE).
    InUse,
    /// It is not an address of this machine (EADDRNOTAVAIL).
    NotAvailable,
    /// A host or interface name could not be resolved.
    Resolve(crate::transport::resolve::ResolveError),
    /// There is no such binding or connection to undo (ENOENT).
    NotFound,
    /// The socket does not go with the transport, the peer or the call (ENOCOMPATPROTO).
    Incompatible(&'static str),
    /// The context was terminated (ETERM).
    Terminated,
    /// The operating system refused.
    System(io::Error),
}

impl AddressError {
    pub(crate) fn new(endpoint: &str, kind: AddressErrorKind) -> Self {
        AddressError {
            endpoint: endpoint.to_owned(),
            kind,
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = &self.endpoint;
        match &self.kind {
            AddressErrorKind::Malformed(why) => why.fmt(f),
            AddressErrorKind::InUse => write!(
                f,
                "the address {endpoint} is in use: another program or socket is bound to it; stop it or choose another (port * takes a free one)"
            ),
            AddressErrorKind::NotAvailable => write!(
                f,
                "{endpoint} is not an address of this machine; bind to tcp://*:PORT for all interfaces"
            ),
            AddressErrorKind::Resolve(why) => write!(f, "cannot resolve {endpoint}: {why}"),
            AddressErrorKind::NotFound => {
                write!(f, "the socket is neither bound nor connected to {endpoint}")
            }
            AddressErrorKind::Incompatible(why) => write!(f, "{endpoint}: {why}"),
            AddressErrorKind::Terminated => f.write_str("the context was terminated"),
            AddressErrorKind::System(error) => write!(f, "{endpoint}: {error}"),
        }
    }
}

impl std::error::Error for AddressError {}

/// Why a group was not joined or left (`zmq_join`, `zmq_leave`; RFC 48).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// Only a DISH joins groups (ENOTSUP).
    WrongSocket,
    /// No group has such a name: it is of up to 255 bytes, none of them zero (EINVAL).
    Invalid,
    /// The socket has joined the group already (EINVAL).
    Joined,
    /// The socket has not joined the group (EINVAL).
    NotJoined,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GroupError::WrongSocket => {
                "sockets of this type have no groups; only a DISH joins them"
            }
            GroupError::Invalid => "the name of a group is up to 255 bytes, none of them zero",
            GroupError::Joined => "the socket has joined this group already",
            GroupError::NotJoined => "the socket has not joined this group",
        })
    }
}

impl std::error::Error for GroupError {}
