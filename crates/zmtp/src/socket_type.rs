//! The socket types and which of them may talk to each other.
//!
//! One row per type holds its number (shared by the C interface and the ZMTP 2.0 greeting), the
//! name that READY carries, and its legal peers (RFC 37, "The Socket-Type Property"). Types after
//! STREAM are drafts in libzmq. STREAM speaks raw bytes, not ZMTP, and so has no peer.

use core::fmt;

macro_rules! socket_types {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, [$($peer:ident),*];)*) => {
        /// A socket type. Its number is that of the C interface and of the ZMTP 2.0 greeting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum SocketType {
            $($(#[$doc])* $variant = $number,)*
        }

        impl SocketType {
            /// All socket types, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire and in the documentation, such as `"REQ"`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The types that a socket of this type may talk to.
            pub const fn peers(self) -> &'static [Self] {
                match self {
                    $(Self::$variant => &[$(Self::$peer),*],)*
                }
            }
        }
    };
}

socket_types! {
    /// One peer, both ways (RFC 31).
    Pair = 0, "PAIR", [Pair];
    /// Sends to all subscribers (RFC 29).
    Pub = 1, "PUB", [Sub, Xsub];
    /// Receives what it subscribed to (RFC 29).
    Sub = 2, "SUB", [Pub, Xpub];
    /// Sends a request, then receives its reply (RFC 28).
    Req = 3, "REQ", [Rep, Router];
    /// Receives a request, then sends its reply (RFC 28).
    Rep = 4, "REP", [Req, Dealer];
    /// Load-balances requests, fair-queues replies (RFC 28).
    Dealer = 5, "DEALER", [Rep, Dealer, Router];
    /// Addresses each of its peers by routing id (RFC 28).
    Router = 6, "ROUTER", [Req, Dealer, Router];
    /// Receives the work that PUSH sends (RFC 30).
    Pull = 7, "PULL", [Push];
    /// Spreads work over its peers (RFC 30).
    Push = 8, "PUSH", [Pull];
    /// A PUB that sees the subscriptions (RFC 29).
    Xpub = 9, "XPUB", [Sub, Xsub];
    /// A SUB whose subscriptions are messages (RFC 29).
    Xsub = 10, "XSUB", [Pub, Xpub];
    /// Raw TCP, outside the protocol.
    Stream = 11, "STREAM", [];
    /// Addresses its clients by routing number (RFC 41).
    Server = 12, "SERVER", [Client];
    /// Talks to servers (RFC 41).
    Client = 13, "CLIENT", [Server];
    /// Sends to groups (RFC 48).
    Radio = 14, "RADIO", [Dish];
    /// Receives from the groups that it joined (RFC 48).
    Dish = 15, "DISH", [Radio];
    /// Receives what SCATTER sends (RFC 49).
    Gather = 16, "GATHER", [Scatter];
    /// Spreads messages over its peers (RFC 49).
    Scatter = 17, "SCATTER", [Gather];
    /// Datagrams over udp.
    Dgram = 18, "DGRAM", [Dgram];
    /// Addresses other peers by routing number (RFC 51).
    Peer = 19, "PEER", [Peer];
    /// One peer, both ways, usable from several threads (RFC 52).
    Channel = 20, "CHANNEL", [Channel];
}

impl SocketType {
    /// The type that READY names so, or `None`. Names on the wire are upper case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name().as_bytes() == name)
    }

    /// The type that a user means: in any case, and with `XREQ` and `XREP`, the names that DEALER
    /// and ROUTER had in libzmq 2.
    pub fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("XREQ") {
            return Some(Self::Dealer);
        }
        if name.eq_ignore_ascii_case("XREP") {
            return Some(Self::Router);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The number in the C interface and in the ZMTP 2.0 greeting.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether a socket of this type may talk to a peer of type `peer`. The relation is symmetric.
    pub fn accepts(self, peer: Self) -> bool {
        self.peers().contains(&peer)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
