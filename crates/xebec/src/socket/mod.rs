//! Sockets, as an application sees them.
//!
//! [`Socket`] has every operation; the types in [`typed`] have those that make sense for them.
//! All are thin: what they do is done by the engine in `core` and `links`.

mod beside;
mod core;
mod deferred;
mod dial;
mod endings;
mod foreign;
mod futures;
mod inproc;
mod links;
mod spin;
mod timers;
pub(crate) mod typed;
mod zap;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zmtp::SocketType;

use self::core::State;
pub(crate) use self::core::{Core, Patience};
pub use self::foreign::EventFd;
pub use self::futures::{Incoming, Outgoing, RecvFuture, SendFuture};
use crate::context::{Context, Handle};
use crate::error::{AddressError, AddressErrorKind, GroupError, RecvError, SendError, SocketError};
use crate::message::{ConnectionId, Message};
use crate::monitor::Monitor;
use crate::options::{OptionError, OptionSpec, Options, Value};
use crate::pipe::PeerInfo;
use crate::stats::{PeerStats, Stats};

/// A socket of any type. It may be used from several threads at once; each message goes to one
/// of those that receive.
///
/// Dropping it closes it: it stops receiving at once, and what it has accepted for sending
/// leaves in the background for as long as LINGER allows.
pub struct Socket {
    core: Arc<Core>,
    handle: Arc<Handle>,
}

impl Socket {
    /// Makes a socket of the given type.
    ///
    /// # Errors
    /// See [`Context::socket`].
    pub fn new(context: &Context, kind: SocketType) -> Result<Self, SocketError> {
        context.socket(kind)
    }

    /// Makes a socket with the given options.
    ///
    /// # Errors
    /// See [`Context::socket`].
    pub fn with_options(
        context: &Context,
        kind: SocketType,
        options: Options,
    ) -> Result<Self, SocketError> {
        context.socket_with(kind, options)
    }

    pub(crate) fn from_core(core: Arc<Core>, handle: Arc<Handle>) -> Self {
        Socket { core, handle }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The socket's type.
    pub fn kind(&self) -> SocketType {
        self.core.kind
    }

    // ---- endpoints ----

    /// Accepts connections at an endpoint (`zmq_bind`): `tcp://127.0.0.1:5555`, `tcp://*:*`,
    /// `tcp://eth0:5555`, `ipc:///tmp/feed`, `ipc://@name`, `ipc://*`, `inproc://name`,
    /// `tipc://{5555,0,100}`. Returns the endpoint as it turned out, with the real port or path.
    ///
    /// # Errors
    /// Tells what is wrong with the endpoint or who has it. A host name that has to be looked up
    /// may block.
    pub fn bind(&self, endpoint: &str) -> Result<String, AddressError> {
        self.core.bind(endpoint)
    }

    /// Connects to an endpoint (`zmq_connect`), now or as soon as somebody listens there, and
    /// again whenever the connection is lost. Returns at once; messages queue meanwhile.
    ///
    /// # Errors
    /// Tells what is wrong with the endpoint. That nobody listens there is no error.
    pub fn connect(&self, endpoint: &str) -> Result<(), AddressError> {
        self.core.connect(endpoint).map(drop)
    }

    /// Connects a PEER socket (RFC 51) and returns the number that the new peer has here: the
    /// [`routing_id`](Message::routing_id) of what is sent to it and comes from it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); and for sockets of other types, and with IMMEDIATE, with which
    /// there is no peer before it is connected.
    pub fn connect_peer(&self, endpoint: &str) -> Result<u32, AddressError> {
        let fail = |why| AddressError::new(endpoint, AddressErrorKind::Incompatible(why));
        if self.kind() != SocketType::Peer {
            return Err(fail("only PEER sockets have connect_peer; use connect"));
        }
        if self.core.lock().options.immediate {
            return Err(fail(
                "connect_peer cannot tell the number of a peer that is there only once it is \
                 connected: take IMMEDIATE off",
            ));
        }
        let number = self.core.connect(endpoint)?;
        number.ok_or_else(|| fail("the socket has no number for this peer"))
    }

    /// Lets go of the peer of a SERVER or PEER socket that has this number: what it was sent may still
    /// leave, nothing more comes from it. False if there is no such peer.
    pub fn disconnect_peer(&self, routing_id: u32) -> bool {
        self.core.expel(routing_id)
    }

    /// Stops accepting at an endpoint and closes the connections that came by it (`zmq_unbind`).
    ///
    /// # Errors
    /// When the socket is not bound there.
    pub fn unbind(&self, endpoint: &str) -> Result<(), AddressError> {
        self.core.unbind(endpoint)
    }

    /// Closes the connection to an endpoint and does not come back (`zmq_disconnect`). Received
    /// messages that were not taken are discarded; accepted ones leave as LINGER allows.
    ///
    /// # Errors
    /// When the socket is not connected there.
    pub fn disconnect(&self, endpoint: &str) -> Result<(), AddressError> {
        self.core.disconnect(endpoint)
    }

    /// The endpoint last bound or connected (LAST_ENDPOINT), with the real port or path; where a tipc
    /// service was bound, the port identity of the listener.
    pub fn last_endpoint(&self) -> Option<String> {
        self.core.lock().last_endpoint.clone()
    }

    // ---- messages ----

    /// Sends a message; waits while no peer can take it, for as long as SNDTIMEO allows (without
    /// limit unless set). What happens at the high-water mark is a matter of the socket type.
    ///
    /// # Errors
    /// The message comes back with the reason.
    #[inline]
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send(message, Patience::Option)
    }

    /// Sends a message if that is possible at once.
    ///
    /// # Errors
    /// The message comes back with the reason.
    #[inline]
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send(message, Patience::None)
    }

    /// Sends a message; waits for at most `timeout`.
    ///
    /// # Errors
    /// The message comes back with the reason.
    #[inline]
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.core.send(message, Patience::For(timeout))
    }

    /// Sends a message from an async task, whatever its executor. Dropping the future before it
    /// is done sends nothing.
    #[inline]
    pub fn send_async(&self, message: impl Into<Message>) -> SendFuture<'_> {
        SendFuture::new(&self.core, message.into())
    }

    /// Receives a message; waits for as long as RCVTIMEO allows (without limit unless set).
    ///
    /// # Errors
    /// See [`RecvError`].
    #[inline]
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.core.recv(Patience::Option)
    }

    /// Receives a message in the place of the one in `message`; waits as [`recv`](Self::recv) does. Who
    /// receives many small messages is spared the making of each, and its way to where it is wanted.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use xebec::{Context, Message, SocketType};
    /// # let context = Context::new();
    /// # let (push, pull) = (context.socket(SocketType::Push)?, context.socket(SocketType::Pull)?);
    /// # push.connect(&pull.bind("inproc://numbers")?)?;
    /// # for n in 0..100u8 { push.send([n])? }
    /// let mut message = Message::new();
    /// let mut sum = 0;
    /// for _ in 0..100 {
    ///     pull.recv_into(&mut message)?;
    ///     sum += u64::from(message.body()[0]);
    /// }
    /// assert_eq!(sum, 4950);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`RecvError`]; then what is in `message` is not to be relied on.
    #[inline]
    pub fn recv_into(&self, message: &mut Message) -> Result<(), RecvError> {
        self.core.recv_into(Patience::Option, message)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// See [`RecvError`].
    #[inline]
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.core.recv(Patience::None)
    }

    /// Receives a message; waits for at most `timeout`.
    ///
    /// # Errors
    /// See [`RecvError`].
    #[inline]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.core.recv(Patience::For(timeout))
    }

    /// Receives a message in an async task, whatever its executor. Dropping the future loses no
    /// message.
    #[inline]
    pub fn recv_async(&self) -> RecvFuture<'_> {
        RecvFuture::new(&self.core)
    }

    /// The messages to come, as a stream.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.core)
    }

    /// Where messages go, as a sink.
    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing::new(&self.core)
    }

    /// Whether a message can be received at once (ZMQ_POLLIN).
    pub fn is_readable(&self) -> bool {
        self.core.readiness().0
    }

    /// Whether a message can be sent at once (ZMQ_POLLOUT).
    pub fn is_writable(&self) -> bool {
        self.core.readiness().1
    }

    // ---- groups and subscriptions ----

    /// Asks for messages of a group (RFC 48), which has this name exactly. For DISH.
    ///
    /// # Errors
    /// See [`GroupError`]: a group is joined once.
    pub fn join(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
        self.core.join(group.as_ref(), true)
    }

    /// Asks for a group's messages no longer.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub fn leave(&self, group: impl AsRef<[u8]>) -> Result<(), GroupError> {
        self.core.join(group.as_ref(), false)
    }

    /// Asks for messages whose first frame begins with `prefix`; the empty prefix asks for all.
    /// Subscriptions count: each is ended by its own [`unsubscribe`](Self::unsubscribe). For SUB
    /// and XSUB, and for an XPUB with XPUB_MANUAL.
    ///
    /// # Errors
    /// When the socket type has no subscriptions.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), OptionError> {
        self.core.subscribe(prefix.as_ref(), true)
    }

    /// Ends one subscription to `prefix`.
    ///
    /// # Errors
    /// When the socket type has no subscriptions.
    pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), OptionError> {
        self.core.subscribe(prefix.as_ref(), false)
    }

    /// The number of distinct subscriptions known to the socket (TOPICS_COUNT), for the types
    /// that have them; for RADIO and DISH that of groups.
    pub fn topics(&self) -> Option<usize> {
        self.core.topics()
    }

    // ---- options ----

    /// A copy of the socket's options.
    pub fn options(&self) -> Options {
        self.core.told(&self.core.lock())
    }

    /// Changes options. What is bound or connected already keeps those that take effect at the next
    /// bind or connect; see [`Effect`](crate::Effect).
    ///
    /// # Errors
    /// Whatever `change` returns, or that the socket's type does not have one of the options; then
    /// nothing is changed.
    pub fn configure<E: From<OptionError>>(
        &self,
        change: impl FnOnce(&mut Options) -> Result<(), E>,
    ) -> Result<(), E> {
        self.core.configure(change)
    }

    /// Sets an option by its name, such as `"rcvhwm"` or `"ZMQ_RCVHWM"`, from text.
    ///
    /// # Errors
    /// Names the option and what it takes.
    pub fn set(&self, name: &str, value: &str) -> Result<(), OptionError> {
        self.set_row(Options::spec(name)?, value.into())
    }

    /// Sets an option by its number in the C API.
    ///
    /// # Errors
    /// Names the option and what it takes.
    pub fn set_option(&self, number: i32, value: Value) -> Result<(), OptionError> {
        self.set_row(Options::spec(number)?, value)
    }

    /// Sets an option from what `zmq_setsockopt` gets, an empty slice for NULL: exactly as libzmq
    /// takes it if the socket was made with [`Options::for_c`].
    ///
    /// # Errors
    /// EINVAL with the reason, or ETERM ([`OptionError::Terminated`]).
    pub fn set_c(&self, number: i32, bytes: &[u8]) -> Result<(), OptionError> {
        self.check_alive()?;
        let row = Options::spec(number)?;
        match row.name() {
            "SUBSCRIBE" => return self.subscribe(bytes),
            "UNSUBSCRIBE" => return self.unsubscribe(bytes),
            _ => row.settable()?,
        }
        if row.in_c(self.kind()).is_none() {
            row.permit(self.kind())?;
        }
        let value = row.from_c(bytes)?;
        self.core.configure(|options| row.set(options, &value))
    }

    /// What `zmq_getsockopt` tells of an option that has a value, in a buffer of `room` bytes; see
    /// [`OptionSpec::tell_c`], which also serves those of [`Role::ReadOnly`](crate::Role).
    ///
    /// # Errors
    /// EINVAL with the reason, or ETERM ([`OptionError::Terminated`]).
    pub fn tell_c(&self, number: i32, room: usize) -> Result<Vec<u8>, OptionError> {
        self.check_alive()?;
        let row = Options::spec(number)?;
        row.tell_c(&row.value(&self.options())?, room)
    }

    fn check_alive(&self) -> Result<(), OptionError> {
        match self.core.is_terminated() {
            true => Err(OptionError::Terminated),
            false => Ok(()),
        }
    }

    fn set_row(&self, row: &OptionSpec, value: Value) -> Result<(), OptionError> {
        // Here even the default is refused if the socket's type does not have the option.
        row.settable()?;
        row.permit(self.kind())?;
        self.core.configure(|options| row.set(options, &value))
    }

    // ---- observation ----

    /// The events of the socket's connections from now on.
    pub fn monitor(&self) -> Monitor {
        let st = self.core.lock();
        let monitor = st.monitors.open();
        if self.core.is_terminated() {
            // No event follows.
            st.monitors.stop();
        }
        monitor
    }

    /// The socket's counters.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// What is known of the peer that a message came from, while it is connected and for some time
    /// after: of peers that sent messages and have gone, the latest 256 are remembered.
    pub fn peer(&self, connection: ConnectionId) -> Option<Arc<PeerInfo>> {
        self.core.lock().pipes.peer(connection).cloned()
    }

    /// Closes the socket, as dropping it does.
    pub fn close(self) {}
}

impl Core {
    /// The options as the application sees them.
    fn told(&self, st: &State) -> Options {
        let mut options = Options::clone(&st.options);
        if let Some(kept) = &st.kept {
            options.put_kept(self.kind, kept);
        }
        options
    }

    fn subscribe(self: &Arc<Self>, prefix: &[u8], on: bool) -> Result<(), OptionError> {
        let mut guard = self.lock();
        let st = &mut *guard;
        let known = st.pattern.subscribe(&mut st.pipes, prefix, on);
        st.pipes.flush_dirty();
        self.settle(st);
        if known {
            return Ok(());
        }
        Err(OptionError::WrongSocket {
            name: "ZMQ_SUBSCRIBE",
            socket: self.kind,
            sockets: &[SocketType::Sub, SocketType::Xsub, SocketType::Xpub],
        })
    }

    fn join(self: &Arc<Self>, group: &[u8], on: bool) -> Result<(), GroupError> {
        let mut guard = self.lock();
        let st = &mut *guard;
        let outcome = st.pattern.join(&mut st.pipes, group, on);
        st.pipes.flush_dirty();
        self.settle(st);
        outcome
    }

    fn expel(self: &Arc<Self>, number: u32) -> bool {
        let mut guard = self.lock();
        let st = &mut *guard;
        let found = st.pattern.expel(&mut st.pipes, number);
        self.settle(st);
        // A sender that waits for room there waits for nothing.
        if self.signal.is_awaited() {
            self.signal.raise();
        }
        found
    }

    fn topics(self: &Arc<Self>) -> Option<usize> {
        let mut st = self.lock();
        self.harvest(&mut st);
        self.settle(&mut st);
        st.pattern.topics()
    }

    fn configure<E: From<OptionError>>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Options) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut guard = self.lock();
        let st = &mut *guard;
        let mut options = self.told(st);
        change(&mut options)?;
        options.check_for(self.kind)?;
        if st.wired {
            options.check_late(&st.options)?;
        }
        let kept = options.take_kept(self.kind);
        let marks = |options: &Options| (options.sndhwm, options.sndhwm_bytes, options.rcvhwm);
        let marked = marks(&options) != marks(&st.options);
        if options.affinity != st.options.affinity {
            self.move_to_thread(st, options.affinity)
                .map_err(|error| match error {
                    SocketError::Option(error) => error,
                    error => OptionError::System {
                        name: "ZMQ_AFFINITY",
                        cause: error.to_string(),
                    },
                })?;
        }
        (st.options, st.kept) = (Arc::new(options), kept);
        st.pattern.configure(&st.options);
        st.pipes.configure(&st.options);
        if marked {
            self.look_again(st);
        }
        Ok(())
    }

    /// There may be room where there was none: whoever waits for it tries again.
    fn look_again(self: &Arc<Self>, st: &mut State) {
        for id in st.pipes.ids() {
            if st.pipes.pipe(id).attached {
                st.pattern.writable(id);
                if !st.consumes && st.pipes.pull(id) {
                    st.pattern.readable(id);
                }
            }
        }
        self.settle(st);
        if self.signal.is_awaited() {
            self.signal.raise();
        }
    }

    fn stats(self: &Arc<Self>) -> Stats {
        let st = self.lock();
        let peers: Vec<PeerStats> = st
            .pipes
            .iter()
            .map(|(id, pipe)| PeerStats {
                connection: st.pipes.connection_id(id),
                address: pipe.info.address.clone(),
                connected: pipe.is_up(),
                messages_in: pipe.traffic.messages_in,
                messages_out: pipe.traffic.messages_out,
                bytes_in: pipe.traffic.bytes_in,
                bytes_out: pipe.traffic.bytes_out,
                queued_in: pipe.queued_in() as u64,
                queued_out: pipe.queued_out() as u64,
            })
            .collect();
        let counters = &st.pipes.counters;
        let mut total = counters.past;
        st.pipes.iter().for_each(|(_, pipe)| total += pipe.traffic);
        Stats {
            messages_in: total.messages_in,
            messages_out: total.messages_out,
            bytes_in: total.bytes_in,
            bytes_out: total.bytes_out,
            dropped: counters.dropped,
            queued_in: peers.iter().map(|peer| peer.queued_in).sum(),
            queued_out: peers.iter().map(|peer| peer.queued_out).sum(),
            connections: peers.iter().filter(|peer| peer.connected).count() as u64,
            reconnects: counters.reconnects,
            peers,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.core.ctx.is_own() {
            self.core.close();
        }
        // `handle` goes last: if it is the context's last, its drop waits for what lingers.
        let _ = &self.handle;
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.last_endpoint().unwrap_or_default();
        write!(f, "{} socket {endpoint}", self.kind().name())
    }
}

impl AsRef<Socket> for Socket {
    fn as_ref(&self) -> &Socket {
        self
    }
}
