//! Counters: what a socket has carried, what it dropped and why.

use crate::message::{ConnectionId, Message};

/// Messages that a socket dropped, by reason. Nothing is dropped without being counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drops {
    /// A ROUTER (or a REP whose requester is gone) had no such peer, or an XSUB no publisher.
    pub unroutable: u64,
    /// A publisher's or ROUTER's pipe to a slow peer was at its high-water mark.
    pub high_water_mark: u64,
    /// Published while no subscriber matched.
    pub no_subscriber: u64,
    /// Received and not wanted: no subscription matched, or a reply to no request.
    pub unwanted: u64,
    /// Replaced by a newer one (CONFLATE).
    pub conflated: u64,
    /// Received without the envelope that the pattern asks for.
    pub malformed: u64,
    /// Accepted for a peer that went away before they could be sent.
    pub peer_gone: u64,
    /// Unsent when LINGER ran out.
    pub linger: u64,
}

/// Messages and bytes that passed through a pipe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Traffic {
    #[inline(always)]
    pub(crate) fn sent(&mut self, message: &Message) {
        self.messages_out += 1;
        self.bytes_out += message.size() as u64;
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

/// What the socket counts besides the traffic of the pipes it has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// The traffic of pipes that are gone.
    pub(crate) past: Traffic,
    pub(crate) dropped: Drops,
    pub(crate) reconnects: u64,
}

/// A socket's counters at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Messages handed to the application's side of the pattern.
    pub messages_in: u64,
    /// Messages accepted for a peer; a publisher counts one for each subscriber.
    pub messages_out: u64,
    /// Bytes in the bodies of `messages_in`.
    pub bytes_in: u64,
    /// Bytes in the bodies of `messages_out`.
    pub bytes_out: u64,
    /// Messages dropped, by reason.
    pub dropped: Drops,
    /// Messages received and not yet taken by the application.
    pub queued_in: u64,
    /// Messages accepted and not yet handed to the kernel.
    pub queued_out: u64,
    /// Peers connected at this moment.
    pub connections: u64,
    /// Connections that were lost and came back.
    pub reconnects: u64,
    /// The same for each peer.
    pub peers: Vec<PeerStats>,
}

/// The counters of one peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStats {
    /// The connection; a key for [`Socket::peer`](crate::Socket::peer).
    pub connection: ConnectionId,
    /// The peer's address.
    pub address: String,
    /// Whether it is connected at this moment.
    pub connected: bool,
    /// Messages received from it.
    pub messages_in: u64,
    /// Messages accepted for it.
    pub messages_out: u64,
    /// Bytes received from it.
    pub bytes_in: u64,
    /// Bytes accepted for it.
    pub bytes_out: u64,
    /// Messages from it that wait for the application.
    pub queued_in: u64,
    /// Messages for it that wait for the kernel.
    pub queued_out: u64,
}
