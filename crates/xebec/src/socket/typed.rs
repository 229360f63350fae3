//! Sockets by type: each has the methods that make sense for it, and no others.

use std::time::Duration;

use super::{Incoming, Outgoing, RecvFuture, SendFuture, Socket};
use crate::context::Context;
use crate::error::{AddressError, GroupError, RecvError, SendError, SocketError};
use crate::message::Message;
use crate::monitor::Monitor;
use crate::options::{OptionError, Options};
use crate::stats::Stats;
use zmtp::SocketType;

macro_rules! sends {
    () => {
        /// See [`Socket::send`].
        ///
        /// # Errors
        /// The message comes back with the reason.
        #[inline]
        pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
            self.0.send(message)
        }

        /// See [`Socket::try_send`].
        ///
        /// # Errors
        /// The message comes back with the reason.
        #[inline]
        pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
            self.0.try_send(message)
        }

        /// See [`Socket::send_timeout`].
        ///
        /// # Errors
        /// The message comes back with the reason.
        pub fn send_timeout(
            &self,
            message: impl Into<Message>,
            timeout: Duration,
        ) -> Result<(), SendError> {
            self.0.send_timeout(message, timeout)
        }

        /// See [`Socket::send_async`].
        pub fn send_async(&self, message: impl Into<Message>) -> SendFuture<'_> {
            self.0.send_async(message)
        }

        /// See [`Socket::outgoing`].
        pub fn outgoing(&self) -> Outgoing<'_> {
            self.0.outgoing()
        }
    };
}

macro_rules! receives {
    () => {
        /// See [`Socket::recv`].
        ///
        /// # Errors
        /// See [`RecvError`].
        #[inline]
        pub fn recv(&self) -> Result<Message, RecvError> {
            self.0.recv()
        }

        /// See [`Socket::recv_into`].
        ///
        /// # Errors
        /// See [`RecvError`].
        #[inline]
        pub fn recv_into(&self, message: &mut Message) -> Result<(), RecvError> {
            self.0.recv_into(message)
        }

        /// See [`Socket::try_recv`].
        ///
        /// # Errors
        /// See [`RecvError`].
        #[inline]
        pub fn try_recv(&self) -> Result<Message, RecvError> {
            self.0.try_recv()
        }

        /// See [`Socket::recv_timeout`].
        ///
        /// # Errors
        /// See [`RecvError`].
        pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
            self.0.recv_timeout(timeout)
        }

        /// See [`Socket::recv_async`].
        pub fn recv_async(&self) -> RecvFuture<'_> {
            self.0.recv_async()
        }

        /// See [`Socket::incoming`].
        pub fn incoming(&self) -> Incoming<'_> {
            self.0.incoming()
        }
    };
}

macro_rules! subscribes {
    () => {
        /// See [`Socket::subscribe`].
        ///
        /// # Errors
        /// For an XPUB without XPUB_MANUAL.
        pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), OptionError> {
            self.0.subscribe(prefix)
        }

        /// See [`Socket::unsubscribe`].
        ///
        /// # Errors
        /// For an XPUB without XPUB_MANUAL.
        pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), OptionError> {
            self.0.unsubscribe(prefix)
        }
    };
}

macro_rules! joins {
    () => {
        /// See [`Socket::join`].
        ///
        /// # Errors
        /// See [`GroupError`].
        pub fn join(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
            self.0.join(group)
        }

        /// See [`Socket::leave`].
        ///
        /// # Errors
        /// See [`GroupError`].
        pub fn leave(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
            self.0.leave(group)
        }
    };
}

macro_rules! expels {
    () => {
        /// See [`Socket::disconnect_peer`].
        pub fn disconnect_peer(&self, routing_id: u32) -> bool {
            self.0.disconnect_peer(routing_id)
        }
    };
}

macro_rules! connects_peers {
    () => {
        /// See [`Socket::connect_peer`].
        ///
        /// # Errors
        /// As [`connect`](Self::connect); and with IMMEDIATE.
        pub fn connect_peer(&self, endpoint: &str) -> Result<u32, AddressError> {
            self.0.connect_peer(endpoint)
        }
    };
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident: $($ability:ident)+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Socket);

        impl $name {
            /// Makes a socket with default options.
            ///
            /// # Errors
            /// See [`Context::socket`].
            pub fn new(context: &Context) -> Result<Self, SocketError> {
                context.socket(SocketType::$name).map($name)
            }

            /// Makes a socket with the given options.
            ///
            /// # Errors
            /// See [`Context::socket`].
            pub fn with_options(context: &Context, options: Options) -> Result<Self, SocketError> {
                context.socket_with(SocketType::$name, options).map($name)
            }

            $($ability!();)+

            /// See [`Socket::bind`].
            ///
            /// # Errors
            /// Tells what is wrong with the endpoint or who has it.
            pub fn bind(&self, endpoint: &str) -> Result<String, AddressError> {
                self.0.bind(endpoint)
            }

            /// See [`Socket::connect`].
            ///
            /// # Errors
            /// Tells what is wrong with the endpoint.
            pub fn connect(&self, endpoint: &str) -> Result<(), AddressError> {
                self.0.connect(endpoint)
            }

            /// See [`Socket::unbind`].
            ///
            /// # Errors
            /// When the socket is not bound there.
            pub fn unbind(&self, endpoint: &str) -> Result<(), AddressError> {
                self.0.unbind(endpoint)
            }

            /// See [`Socket::disconnect`].
            ///
            /// # Errors
            /// When the socket is not connected there.
            pub fn disconnect(&self, endpoint: &str) -> Result<(), AddressError> {
                self.0.disconnect(endpoint)
            }

            /// See [`Socket::last_endpoint`].
            pub fn last_endpoint(&self) -> Option<String> {
                self.0.last_endpoint()
            }

            /// See [`Socket::set`].
            ///
            /// # Errors
            /// Names the option and what it takes.
            pub fn set(&self, name: &str, value: &str) -> Result<(), OptionError> {
                self.0.set(name, value)
            }

            /// See [`Socket::options`].
            pub fn options(&self) -> Options {
                self.0.options()
            }

            /// See [`Socket::monitor`].
            pub fn monitor(&self) -> Monitor {
                self.0.monitor()
            }

            /// See [`Socket::stats`].
            pub fn stats(&self) -> Stats {
                self.0.stats()
            }

            /// The socket with all operations.
            pub fn as_socket(&self) -> &Socket {
                &self.0
            }

            /// Closes the socket, as dropping it does.
            pub fn close(self) {}
        }

        impl AsRef<Socket> for $name {
            fn as_ref(&self) -> &Socket {
                &self.0
            }
        }

        impl From<$name> for Socket {
            fn from(socket: $name) -> Socket {
                socket.0
            }
        }
    )*};
}

typed! {
    /// Exactly one peer, both ways (RFC 31). Peers: PAIR.
    Pair: sends receives;
    /// Publishes to all subscribers whose prefix matches (RFC 29). Peers: SUB, XSUB. Never
    /// blocks: a subscriber at its high-water mark misses messages.
    Pub: sends;
    /// Receives what it subscribed to, from all publishers in turn (RFC 29). Peers: PUB, XPUB.
    Sub: receives subscribes;
    /// Sends a request and receives its reply, in turn (RFC 28). Peers: REP, ROUTER.
    Req: sends receives;
    /// Receives a request and sends its reply, in turn (RFC 28). Peers: REQ, DEALER.
    Rep: sends receives;
    /// Sends to its peers in turn and receives from all, without waiting (RFC 28). Peers: REP,
    /// DEALER, ROUTER. To talk to a REP, put an empty frame first.
    Dealer: sends receives;
    /// Sends `[id][frames…]` to the peer of that id and receives the same (RFC 28). Peers: REQ,
    /// DEALER, ROUTER.
    Router: sends receives;
    /// Receives from all PUSH peers in turn (RFC 30).
    Pull: receives;
    /// Sends to its PULL peers in turn (RFC 30). Blocks while none has room.
    Push: sends;
    /// A PUB that receives subscriptions as messages: `1` or `0` and the prefix (RFC 29).
    Xpub: sends receives subscribes;
    /// A SUB that sends subscriptions as messages: `1` or `0` and the prefix (RFC 29).
    Xsub: sends receives subscribes;
    /// Raw TCP: `[id][bytes]` both ways.
    Stream: sends receives;
    /// Sends to its servers in turn and receives from all (RFC 41). Peers: SERVER. As all types from
    /// here on it is a draft in libzmq and carries messages of one frame only.
    Client: sends receives;
    /// Numbers its clients (RFC 41): a message bears the [`routing_id`](Message::routing_id) of the client
    /// that it came from or goes to. Peers: CLIENT. Never drops: it waits while that client's queue is
    /// full, and fails if there is no such client.
    Server: sends receives expels;
    /// Sends to groups (RFC 48): a message goes to those who joined its [`group`](Message::group). Peers:
    /// DISH. Never blocks: a receiver at its high-water mark misses messages.
    Radio: sends;
    /// Receives from the groups that it has joined (RFC 48). Peers: RADIO.
    Dish: receives joins;
    /// Receives from all SCATTER peers in turn (RFC 49).
    Gather: receives;
    /// Sends to its GATHER peers in turn (RFC 49). Blocks while none has room.
    Scatter: sends;
    /// As a [`Server`], among equals (RFC 51). Peers: PEER.
    Peer: sends receives expels connects_peers;
    /// Exactly one peer, both ways (RFC 52). Peers: CHANNEL.
    Channel: sends receives;
}
