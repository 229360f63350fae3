//! How connections come and go: listeners, dialers, handshakes, heartbeats, reconnection, linger.
//!
//! A connecting side has a [`Dialer`], which outlives its connections, and a pipe, which does
//! too: messages queue in it while the connection is down. An accepting side has a [`Listening`]
//! and a pipe for each accepted connection, known to the pattern once the handshake is done.
//! All of this runs under the socket's lock, on whichever thread is there.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use zmtp::{HandshakeError, Local, Mechanism, Peer, SocketType, Version};

use super::core::{Core, Phase, State, Token};
use crate::channel::{self, Far};
use crate::conn::{Broken, Conn};
use crate::endpoint::Endpoint;
use crate::error::{AddressError, AddressErrorKind};
use crate::monitor::{Event, EventKind};
use crate::options::{ListeningFd, Options, ReconnectStop};
use crate::pipe::{Link, PeerInfo, Pipe, PipeId};
use crate::transport::resolve::{ResolveError, ResolveJob, resolve_now};
use crate::transport::{self, Connecting, Kind, ListenError, Stream, StreamOptions};

/// How soon accepting is tried again after descriptors ran out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a connection that has sent its last waits for the peer to close its side; as long as
/// LINGER allows if the peer goes on sending or has ever pinged. What arrives after the close
/// resets the connection, under all that the peer has not read.
const DRAIN: Duration = Duration::from_millis(300);

/// An endpoint that the socket is bound to.
pub(super) struct Listening {
    listener: transport::Listener,
    /// As the caller gave it and as it turned out.
    given: String,
    actual: String,
    /// The socket's options as they were when it was bound here.
    options: Arc<Options>,
}

/// An endpoint that the socket connects to, again and again.
pub(super) struct Dialer {
    endpoint: Endpoint,
    text: String,
    pub(super) pipe: PipeId,
    generation: u32,
    stage: Stage,
    /// Addresses that the current attempt has still to try.
    addresses: std::vec::IntoIter<std::net::SocketAddr>,
    /// The last wait between attempts.
    backoff: Option<Duration>,
    /// It was connected before.
    was_up: bool,
    /// Why the latest try failed.
    cause: String,
}

enum Stage {
    /// Between attempts, or for good if reconnection is off.
    Idle,
    Resolving,
    Connecting(Connecting),
    Up,
}

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alarm {
    Redial(usize, u32),
    ConnectTimeout(usize, u32),
    Handshake(PipeId, u32),
    Ping(PipeId, u32),
    PingTimeout(PipeId, u32),
    PeerTtl(PipeId, u32),
    AcceptAgain(usize),
    Linger(PipeId, u32),
    Drained(PipeId, u32),
}

/// A timer of the socket; the earliest is the greatest, for the heap.
#[derive(PartialEq, Eq)]
pub(super) struct Timer {
    at: Instant,
    what: Alarm,
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Types for which a second connection to the same endpoint is not made (`zmq_connect`).
fn connects_once(kind: SocketType) -> bool {
    matches!(
        kind,
        SocketType::Dealer | SocketType::Sub | SocketType::Pub | SocketType::Req
    )
}

impl Core {
    // ---- bind and connect ----

    pub(crate) fn bind(self: &Arc<Self>, text: &str) -> Result<String, AddressError> {
        let fail = |kind| AddressError::new(text, kind);
        if self.is_terminated() {
            return Err(fail(AddressErrorKind::Terminated));
        }
        let endpoint =
            Endpoint::parse(text).map_err(|error| fail(AddressErrorKind::Malformed(error)))?;
        if let Endpoint::Inproc(name) = &endpoint {
            return self.bind_inproc(name, text);
        }
        self.check_transport(&endpoint, text)?;
        let (options, use_fd) = {
            let mut st = self.lock();
            (st.snapshot(), st.take_fd())
        };
        let stream_options = StreamOptions {
            use_fd,
            ..stream_options(&options)
        };
        let listener = match transport::Listener::bind(&endpoint, &stream_options) {
            Ok(listener) => listener,
            Err(error) => {
                let st = self.lock();
                st.monitors
                    .tell(|| Event::new(EventKind::BindFailed, text).cause(&error));
                return Err(fail(listen_error(error)));
            }
        };
        let actual = listener.local_endpoint().to_owned();
        let mut st = self.lock();
        st.last_endpoint = Some(actual.clone());
        st.wired = true;
        let entry = st.listeners.vacant_entry();
        let index = entry.key();
        let watched = self
            .set
            .add_edge(&listener, Token::Listener(index).encode());
        watched.map_err(|error| fail(AddressErrorKind::System(error)))?;
        entry.insert(Listening {
            listener,
            given: text.to_owned(),
            actual: actual.clone(),
            options,
        });
        st.monitors
            .tell(|| Event::new(EventKind::Listening, &actual));
        Ok(actual)
    }

    fn check_transport(&self, endpoint: &Endpoint, text: &str) -> Result<(), AddressError> {
        if self.kind == SocketType::Stream && !matches!(endpoint, Endpoint::Tcp(_)) {
            let why = AddressErrorKind::Incompatible(
                "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
            );
            return Err(AddressError::new(text, why));
        }
        Ok(())
    }

    pub(crate) fn connect(self: &Arc<Self>, text: &str) -> Result<(), AddressError> {
        let fail = |kind| AddressError::new(text, kind);
        if self.is_terminated() {
            return Err(fail(AddressErrorKind::Terminated));
        }
        let endpoint =
            Endpoint::parse(text).map_err(|error| fail(AddressErrorKind::Malformed(error)))?;
        endpoint
            .check_connect()
            .map_err(|error| fail(AddressErrorKind::Malformed(error)))?;
        if let Endpoint::Inproc(name) = &endpoint {
            return self.connect_inproc(name, text);
        }
        self.check_transport(&endpoint, text)?;
        let mut guard = self.lock();
        let st = &mut *guard;
        st.last_endpoint = Some(endpoint.to_string());
        let canonical = endpoint.to_string();
        if connects_once(self.kind)
            && st.dialers.iter().any(|(_, dialer)| {
                dialer.endpoint.to_string() == canonical && !st.pipes.pipe(dialer.pipe).ending
            })
        {
            return Ok(());
        }
        let mut pipe = st.new_pipe();
        pipe.info = Arc::new(PeerInfo {
            endpoint: canonical.clone(),
            address: canonical,
            ..PeerInfo::default()
        });
        let immediate = st.options.immediate;
        let pipe = st.pipes.insert(pipe);
        st.generation += 1;
        let generation = st.generation;
        st.wired = true;
        let dialer = st.dialers.insert(Dialer {
            endpoint,
            text: text.to_owned(),
            pipe,
            generation,
            stage: Stage::Idle,
            addresses: Vec::new().into_iter(),
            backoff: None,
            was_up: false,
            cause: String::new(),
        });
        st.pipes.pipe_mut(pipe).dialer = Some(dialer);
        if !immediate {
            self.attach(st, pipe);
            // The pattern may refuse it at once (a PAIR that has its peer).
            self.settle(st);
        }
        if st.pipes.contains(pipe) {
            self.dial(st, dialer);
        }
        self.settle(st);
        // A sender that waits for a peer may have one now.
        let awaited = self.signal.is_awaited();
        drop(guard);
        if awaited {
            self.signal.raise();
        }
        Ok(())
    }

    pub(crate) fn unbind(self: &Arc<Self>, text: &str) -> Result<(), AddressError> {
        let canonical = canonical(text)?;
        if let Some(name) = canonical.strip_prefix("inproc://") {
            return self.unbind_inproc(name, text);
        }
        let mut guard = self.lock();
        let st = &mut *guard;
        let found = st
            .listeners
            .iter()
            .find(|(_, l)| l.given == text || l.actual == text || l.actual == canonical);
        let Some(index) = found.map(|(index, _)| index) else {
            return Err(AddressError::new(text, AddressErrorKind::NotFound));
        };
        st.close_listener(index);
        for id in st.pipes.ids() {
            if st.pipes.contains(id) && st.pipes.pipe(id).listener == Some(index) {
                self.leave(st, id, st.options.linger);
            }
        }
        self.settle(st);
        Ok(())
    }

    pub(crate) fn disconnect(self: &Arc<Self>, text: &str) -> Result<(), AddressError> {
        let canonical = canonical(text)?;
        let mut guard = self.lock();
        let st = &mut *guard;
        let dialed = st
            .dialers
            .iter()
            .filter(|(_, d)| d.text == text || d.endpoint.to_string() == canonical);
        let mut pipes: Vec<PipeId> = dialed.map(|(_, d)| d.pipe).collect();
        if canonical.starts_with("inproc://") {
            let ours = st.pipes.iter().filter(|(_, pipe)| {
                pipe.info.endpoint == canonical && pipe.listener.is_none() && pipe.dialer.is_none()
            });
            pipes.extend(ours.map(|(id, _)| id));
        }
        pipes.retain(|&id| !st.pipes.pipe(id).ending);
        if pipes.is_empty() {
            return Err(AddressError::new(text, AddressErrorKind::NotFound));
        }
        pipes.into_iter().for_each(|id| self.leave(st, id, st.options.linger));
        self.settle(st);
        Ok(())
    }

    // ---- inproc ----

    fn bind_inproc(self: &Arc<Self>, name: &str, text: &str) -> Result<String, AddressError> {
        let fail = |kind| Err(AddressError::new(text, kind));
        if self.kind == SocketType::Stream {
            return fail(AddressErrorKind::Incompatible(
                "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
            ));
        }
        let mut registry = self.ctx.inproc.lock();
        if registry
            .bound
            .get(name)
            .is_some_and(|bound| bound.strong_count() > 0)
        {
            return fail(AddressErrorKind::InUse);
        }
        registry.bound.insert(name.to_owned(), Arc::downgrade(self));
        {
            let mut st = self.lock_for_link();
            st.inproc_names.push(name.to_owned());
            st.last_endpoint = Some(text.to_owned());
            st.monitors.tell(|| Event::new(EventKind::Listening, text));
        }
        for (waiting, token) in registry.waiting.remove(name).unwrap_or_default() {
            if let Some(waiting) = waiting.upgrade() {
                link(&waiting, token, self, text);
            }
        }
        Ok(text.to_owned())
    }

    fn connect_inproc(self: &Arc<Self>, name: &str, text: &str) -> Result<(), AddressError> {
        if self.kind == SocketType::Stream {
            return Err(AddressError::new(
                text,
                AddressErrorKind::Incompatible(
                    "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
                ),
            ));
        }
        let mut registry = self.ctx.inproc.lock();
        let bound = registry.bound.get(name).and_then(Weak::upgrade);
        if let Some(bound) = &bound
            && !self.kind.accepts(bound.kind)
        {
            let why = AddressErrorKind::Incompatible(
                "the socket bound there is of a type that this one does not talk to",
            );
            return Err(AddressError::new(text, why));
        }
        let token = {
            let mut guard = self.lock_for_link();
            let st = &mut *guard;
            st.last_endpoint = Some(text.to_owned());
            let mut pipe = st.new_pipe();
            pipe.info = Arc::new(PeerInfo {
                endpoint: text.to_owned(),
                address: text.to_owned(),
                ..PeerInfo::default()
            });
            let id = st.pipes.insert(pipe);
            // The pattern may refuse the pipe (a second peer of a PAIR); settled by `link` or by
            // the next call.
            st.pipes.pipe_mut(id).attached = true;
            st.pattern.attach(&mut st.pipes, id);
            Token::Pipe(id, st.pipes.pipe(id).generation).encode()
        };
        match bound {
            Some(bound) => link(self, token, &bound, text),
            None => registry
                .waiting
                .entry(name.to_owned())
                .or_default()
                .push((Arc::downgrade(self), token)),
        }
        drop(registry);
        let mut st = self.lock();
        self.settle(&mut st);
        Ok(())
    }

    fn unbind_inproc(self: &Arc<Self>, name: &str, text: &str) -> Result<(), AddressError> {
        let mut registry = self.ctx.inproc.lock();
        let mut guard = self.lock_for_link();
        let st = &mut *guard;
        let Some(at) = st.inproc_names.iter().position(|bound| bound == name) else {
            return Err(AddressError::new(text, AddressErrorKind::NotFound));
        };
        st.inproc_names.swap_remove(at);
        registry.bound.remove(name);
        Ok(())
    }

    /// A pipe's inproc peer is there.
    fn introduce(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        other: &Core,
        routing_id: Bytes,
        endpoint: &str,
    ) {
        st.pipes.pipe_mut(id).info = Arc::new(PeerInfo {
            endpoint: endpoint.to_owned(),
            address: endpoint.to_owned(),
            socket_type: Some(other.kind),
            routing_id,
            ..PeerInfo::default()
        });
        st.monitors
            .tell(|| Event::new(EventKind::HandshakeSucceeded, endpoint).peer(endpoint));
        if !st.pipes.pipe(id).attached {
            self.attach(st, id);
        }
        st.pattern.connected(&mut st.pipes, id);
        st.pipes.send_queued(id);
        st.pattern.readable(id);
        st.pattern.writable(id);
        self.signal.raise();
    }

    // ---- accepting ----

    pub(super) fn accept(self: &Arc<Self>, st: &mut State, index: usize) {
        loop {
            let Some(listening) = st.listeners.get(index) else {
                return;
            };
            let endpoint = listening.actual.clone();
            match listening.listener.accept() {
                Ok(Some(stream)) => self.accepted(st, index, &endpoint, stream),
                Ok(None) => return,
                Err(error) => {
                    let remedy = match transport::is_exhausted(&error) {
                        true => "; peers wait until there is room again: raise the limit on open files (ulimit -n)",
                        false => "",
                    };
                    st.monitors.tell(|| {
                        let failed = Event::new(EventKind::AcceptFailed, &endpoint);
                        failed.cause(format!("{error}{remedy}"))
                    });
                    // Those who wait stay in the backlog.
                    return self.set_timer(
                        st,
                        Instant::now() + ACCEPT_AGAIN,
                        Alarm::AcceptAgain(index),
                    );
                }
            }
        }
    }

    fn accepted(self: &Arc<Self>, st: &mut State, index: usize, endpoint: &str, stream: Stream) {
        let address = stream.peer_address();
        let options = st.listeners[index].options.clone();
        if let Some(why) = refusal(&options, &stream) {
            return st.monitors.tell(|| {
                Event::new(EventKind::AcceptFailed, endpoint)
                    .peer(&address)
                    .cause(why)
            });
        }
        st.monitors
            .tell(|| Event::new(EventKind::Accepted, endpoint).peer(&address));
        let mut pipe = Pipe::new(options);
        pipe.listener = Some(index);
        pipe.info = Arc::new(PeerInfo {
            endpoint: endpoint.to_owned(),
            address,
            ..PeerInfo::default()
        });
        let id = st.pipes.insert(pipe);
        self.begin(st, id, stream);
    }

    /// A stream to a peer stands: the handshake begins.
    fn begin(self: &Arc<Self>, st: &mut State, id: PipeId, stream: Stream) {
        let generation = st.pipes.renew(id);
        if let Err(error) = self
            .set
            .add_edge(&stream, Token::Pipe(id, generation).encode())
        {
            return st.pipes.fail(id, error.into());
        }
        let options = st.pipes.pipe(id).options.clone();
        let raw = self.kind == SocketType::Stream || options.router_raw;
        let conn = if raw {
            Conn::raw(stream)
        } else {
            let limit = options.maxmsgsize.unwrap_or(usize::MAX);
            let limit = limit.min(self.ctx.max_message_size());
            Conn::zmtp(stream, local(self.kind, &options), limit as u64)
        };
        st.pipes.pipe_mut(id).link = Link::Wire(Box::new(conn));
        if raw {
            return self.established(st, id, None);
        }
        if let Some(limit) = options.handshake_ivl {
            self.set_timer(st, Instant::now() + limit, Alarm::Handshake(id, generation));
        }
        self.shake(st, id);
    }

    pub(super) fn shake(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let Some((conn, pool)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        match conn.shake(pool) {
            Ok(Some(peer)) => self.established(st, id, Some(peer)),
            Ok(None) => {}
            Err(why) => st.pipes.fail(id, why),
        }
    }

    /// The handshake is done: the pipe carries messages.
    fn established(self: &Arc<Self>, st: &mut State, id: PipeId, peer: Option<Peer>) {
        let pipe = st.pipes.pipe_mut(id);
        let address = pipe
            .conn()
            .map(|conn| conn.stream().peer_address())
            .unwrap_or_default();
        let endpoint = pipe.info.endpoint.clone();
        pipe.info = Arc::new(match peer {
            Some(peer) => PeerInfo {
                endpoint,
                address,
                silent_subscriber: peer.is_unversioned(),
                socket_type: peer.socket_type,
                routing_id: peer.routing_id,
                metadata: peer.metadata,
                version: Some(peer.version),
            },
            None => PeerInfo {
                endpoint,
                address,
                ..PeerInfo::default()
            },
        });
        let (info, dialer) = (pipe.info.clone(), pipe.dialer);
        st.monitors.tell(|| Event {
            routing_id: Some(info.routing_id.clone()),
            ..Event::new(EventKind::HandshakeSucceeded, &info.endpoint).peer(&info.address)
        });
        if let Some(dialer) = dialer.and_then(|index| st.dialers.get_mut(index)) {
            dialer.stage = Stage::Up;
            dialer.backoff = None;
            st.pipes.counters.reconnects += u64::from(dialer.was_up);
            dialer.was_up = true;
        }
        if st.pipes.pipe(id).ending {
            // The application has let go of it meanwhile: only what it queued is to leave.
            st.pipes.flush(id);
            return self.reap(st, id);
        }
        if !st.pipes.pipe(id).attached {
            self.attach(st, id);
        }
        st.pattern.connected(&mut st.pipes, id);
        st.pipes.flush(id);
        st.pattern.writable(id);
        if st.pattern.consumes() {
            st.consume(id);
        } else {
            st.pipes.mark_unread(id);
            st.pattern.readable(id);
        }
        if let Some(every) = st.pipes.pipe(id).options.heartbeat_ivl
            && st
                .pipes
                .pipe(id)
                .conn()
                .is_some_and(|conn| conn.version().has_commands() && !conn.is_raw())
        {
            let generation = st.pipes.pipe(id).generation;
            self.set_timer(st, Instant::now() + every, Alarm::Ping(id, generation));
        }
        if self.signal.is_awaited() {
            self.signal.raise();
        }
    }

    fn attach(self: &Arc<Self>, st: &mut State, id: PipeId) {
        st.pipes.pipe_mut(id).attached = true;
        st.pattern.attach(&mut st.pipes, id);
    }

    // ---- dialing ----

    /// Begins an attempt to connect: finds the addresses.
    fn dial(self: &Arc<Self>, st: &mut State, index: usize) {
        let dialer = &mut st.dialers[index];
        let ipv6 = st.pipes.pipe(dialer.pipe).options.ipv6;
        let Endpoint::Tcp(tcp) = &dialer.endpoint else {
            return self.dial_next(st, index);
        };
        if let Some(found) = resolve_now(tcp, false, ipv6) {
            return self.resolved(st, index, found);
        }
        dialer.stage = Stage::Resolving;
        let (me, generation) = (Arc::downgrade(self), dialer.generation);
        let job = ResolveJob {
            endpoint: tcp.clone(),
            passive: false,
            ipv6,
        };
        let done = Box::new(move |found| {
            let Some(me) = me.upgrade() else { return };
            let mut st = me.lock();
            if st.dialers.get(index).is_some_and(|dialer| {
                dialer.generation == generation && matches!(dialer.stage, Stage::Resolving)
            }) {
                me.resolved(&mut st, index, found);
                me.settle(&mut st);
            }
        });
        if let Err(error) = self.ctx.resolver.submit(job, done) {
            self.resolved(st, index, Err(error));
        }
    }

    fn resolved(
        self: &Arc<Self>,
        st: &mut State,
        index: usize,
        found: Result<Vec<std::net::SocketAddr>, ResolveError>,
    ) {
        match found {
            Ok(addresses) => {
                st.dialers[index].addresses = addresses.into_iter();
                self.dial_next(st, index);
            }
            Err(error) => {
                st.dialers[index].cause = error.to_string();
                self.dial_later(st, index);
            }
        }
    }

    /// Tries the next address, or gives this attempt up.
    fn dial_next(self: &Arc<Self>, st: &mut State, index: usize) {
        let dialer = &mut st.dialers[index];
        let options = stream_options(&st.pipes.pipe(dialer.pipe).options);
        let again = matches!(dialer.stage, Stage::Connecting(_));
        let started = match &dialer.endpoint {
            Endpoint::Tcp(tcp) => dialer.addresses.next().map(|address| {
                transport::tcp::start_connect(address, tcp.source.as_ref(), &options)
            }),
            Endpoint::Ipc(ipc) => (!again).then(|| transport::ipc::start_connect(ipc, &options)),
            Endpoint::Inproc(_) => None,
        };
        match started {
            None => self.dial_later(st, index),
            Some(Err(error)) => {
                dialer.cause = error.to_string();
                if matches!(dialer.endpoint, Endpoint::Tcp(_)) {
                    self.dial_next(st, index)
                } else {
                    self.dial_later(st, index)
                }
            }
            Some(Ok(connecting)) => self.dialing(st, index, connecting),
        }
    }

    fn dialing(self: &Arc<Self>, st: &mut State, index: usize, connecting: Connecting) {
        st.generation += 1;
        let generation = st.generation;
        let dialer = &mut st.dialers[index];
        dialer.generation = generation;
        let watched = self
            .set
            .add_edge(&connecting, Token::Dialer(index, generation).encode());
        dialer.stage = Stage::Connecting(connecting);
        if let Err(error) = watched {
            dialer.cause = error.to_string();
            return self.dial_later(st, index);
        }
        let (text, pipe) = (dialer.endpoint.to_string(), dialer.pipe);
        st.monitors
            .tell(|| Event::new(EventKind::ConnectDelayed, &text));
        if let Some(limit) = st.pipes.pipe(pipe).options.connect_timeout {
            self.set_timer(
                st,
                Instant::now() + limit,
                Alarm::ConnectTimeout(index, generation),
            );
        }
        // It may have been decided at once (ipc always is).
        self.dialed(st, index, generation);
    }

    /// The descriptor of an attempt has news.
    pub(super) fn dialed(self: &Arc<Self>, st: &mut State, index: usize, generation: u32) {
        let Some(dialer) = st
            .dialers
            .get_mut(index)
            .filter(|dialer| dialer.generation == generation)
        else {
            return;
        };
        let Stage::Connecting(connecting) = &mut dialer.stage else {
            return;
        };
        match connecting.finish() {
            Ok(None) => {}
            Ok(Some(stream)) => {
                self.set.remove(&stream);
                dialer.stage = Stage::Up;
                let (pipe, text) = (dialer.pipe, dialer.endpoint.to_string());
                st.monitors
                    .tell(|| Event::new(EventKind::Connected, &text).peer(stream.peer_address()));
                self.begin(st, pipe, stream);
            }
            Err(error) => {
                dialer.cause = error.to_string();
                self.dial_next(st, index);
            }
        }
    }

    /// An attempt failed or a connection was lost: the next attempt follows after a pause.
    fn dial_later(self: &Arc<Self>, st: &mut State, index: usize) {
        st.generation += 1;
        let generation = st.generation;
        let dialer = &mut st.dialers[index];
        let options = &st.pipes.pipe(dialer.pipe).options;
        let (first, most) = (options.reconnect_ivl, options.reconnect_ivl_max);
        let stop = options.reconnect_stop;
        dialer.stage = Stage::Idle;
        dialer.generation = generation;
        let (text, cause) = (
            dialer.endpoint.to_string(),
            std::mem::take(&mut dialer.cause),
        );
        let refused = cause.contains("refused") && stop.contains(ReconnectStop::CONN_REFUSED);
        let pipe = st.pipes.pipe(dialer.pipe);
        let leaving = pipe.ending && !pipe.has_output();
        // Once the socket is closed it is for LINGER to say how long to try.
        let disconnected = pipe.ending && st.phase == Phase::Open;
        let unwanted = disconnected && stop.contains(ReconnectStop::AFTER_DISCONNECT);
        let Some(first) = first.filter(|_| !refused && !leaving && !unwanted) else {
            let pipe = dialer.pipe;
            st.monitors
                .tell(|| Event::new(EventKind::Closed, &text).cause(&cause));
            return self.give_up(st, pipe);
        };
        // With a maximum the pause doubles up to it; the jitter keeps a thousand clients of a
        // restarted server from coming all at once.
        let pause = match (dialer.backoff, most) {
            (Some(last), Some(most)) if most > first => (last * 2).min(most),
            _ => first,
        };
        dialer.backoff = Some(pause);
        let jitter = RandomState::new().hash_one(generation) % (pause.as_micros() as u64 / 4 + 1);
        let pause = pause + Duration::from_micros(jitter);
        st.monitors.tell(|| {
            Event::new(EventKind::ConnectRetried, &text)
                .cause(format!("{cause}; trying again in {} ms", pause.as_millis()))
        });
        self.set_timer(st, Instant::now() + pause, Alarm::Redial(index, generation));
    }

    // ---- endings ----

    /// A pipe's connection broke, or this side refused it.
    pub(super) fn pipe_failed(self: &Arc<Self>, st: &mut State, id: PipeId, why: Broken) {
        if !st.pipes.contains(id) {
            return;
        }
        let pipe = st.pipes.pipe(id);
        let (info, dialer, ending) = (pipe.info.clone(), pipe.dialer, pipe.ending);
        let shaking = pipe.conn().is_some_and(Conn::in_handshake);
        let inproc = matches!(pipe.link, Link::Inproc(_));
        let kind = match &why {
            Broken::Handshake(error) if error.is_authentication() => EventKind::HandshakeFailedAuth,
            Broken::Handshake(_) | Broken::Protocol(_) if shaking => {
                EventKind::HandshakeFailedProtocol
            }
            _ if shaking => EventKind::HandshakeFailedNoDetail,
            Broken::Refused(_) | Broken::Dismissed(_) => EventKind::Closed,
            _ => EventKind::Disconnected,
        };
        let cause = match &why {
            // libzmq refuses without a word, often before it has told its own type.
            Broken::Closed if shaking => hung_up(self.kind),
            why => why.to_string(),
        };
        st.monitors.tell(|| Event {
            routing_id: Some(info.routing_id.clone()),
            ..Event::new(kind, &info.endpoint)
                .peer(&info.address)
                .cause(cause)
        });
        if !shaking && !ending && pipe.attached {
            st.pipes.pull_rest(id, matches!(why, Broken::Io(_)));
        }
        let pipe = st.pipes.pipe_mut(id);
        let lost = pipe.conn().map_or(0, Conn::unwritten_messages) as u64;
        pipe.link = Link::Down;
        st.pipes.counters.dropped.peer_gone += lost;
        st.pipes.mend(id);
        if st.pipes.pipe(id).attached && !shaking {
            st.pattern.disconnected(&mut st.pipes, id);
        }
        if self.signal.is_awaited() {
            self.signal.raise();
        }
        match dialer {
            Some(index) if !inproc => self.lost_dialed(st, id, index, &why, shaking),
            _ if ending => self.remove(st, id),
            _ => self.give_up(st, id),
        }
    }

    /// The peer of a pipe will not come back: what was to be sent is lost, what was received
    /// stays until it is taken.
    fn give_up(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let pipe = st.pipes.pipe_mut(id);
        pipe.ending = true;
        st.pipes.counters.dropped.peer_gone += st.pipes.pipe_mut(id).clear_output() as u64;
        if st.pipes.pipe(id).queued_in() == 0 || !st.pipes.pipe(id).attached {
            self.remove(st, id);
        } else {
            st.pattern.readable(id);
        }
    }

    fn lost_dialed(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        index: usize,
        why: &Broken,
        shaking: bool,
    ) {
        let options = st.pipes.pipe(id).options.clone();
        let done = st.pipes.pipe(id).ending && !st.pipes.pipe(id).has_output();
        if done || matches!(why, Broken::Dismissed(_)) {
            return self.remove(st, id);
        }
        // A peer that hangs up or stays silent is no ZeroMQ peer either.
        if shaking && options.reconnect_stop.contains(ReconnectStop::HANDSHAKE_FAILED) {
            let text = st.dialers[index].endpoint.to_string();
            st.monitors
                .tell(|| Event::new(EventKind::Closed, &text).cause(why));
            return self.give_up(st, id);
        }
        if options.immediate && st.pipes.pipe(id).attached && st.pipes.pipe(id).queued_in() == 0 {
            st.pattern.detach(&mut st.pipes, id);
            st.pipes.pipe_mut(id).attached = false;
        }
        st.dialers[index].cause = why.to_string();
        self.dial_later(st, index);
    }

    /// A pipe is gone: nothing is left to send or to take.
    pub(super) fn remove(self: &Arc<Self>, st: &mut State, id: PipeId) {
        if st.pipes.pipe(id).attached {
            st.pattern.detach(&mut st.pipes, id);
        }
        let mut pipe = st.pipes.remove(id);
        st.pipes.counters.dropped.peer_gone += pipe.clear_output() as u64;
        if let Some(index) = pipe.dialer {
            st.dialers.try_remove(index);
        }
    }

    /// The application lets go of a pipe (disconnect, unbind, close): what it accepted may leave
    /// for as long as `linger` allows; nothing more is received.
    pub(super) fn leave(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        linger: Option<Duration>,
    ) {
        let pipe = st.pipes.pipe_mut(id);
        if pipe.ending && !pipe.attached && !pipe.has_output() {
            return;
        }
        pipe.ending = true;
        if std::mem::take(&mut pipe.attached) {
            st.pattern.disconnected(&mut st.pipes, id);
            st.pattern.detach(&mut st.pipes, id);
        }
        st.pipes.flush(id);
        let pipe = st.pipes.pipe(id);
        let accepted_unready = pipe.dialer.is_none() && !pipe.is_up();
        if linger == Some(Duration::ZERO)
            || accepted_unready
            || matches!(pipe.link, Link::Inproc(_))
        {
            st.pipes.counters.dropped.linger += st.pipes.pipe(id).queued_out() as u64;
            let info = st.pipes.pipe(id).info.clone();
            st.monitors
                .tell(|| Event::new(EventKind::Closed, &info.endpoint).peer(&info.address));
            st.pipes.pipe_mut(id).clear_output();
            return self.remove(st, id);
        }
        let birth = pipe.birth;
        if let Some(at) = linger.and_then(|linger| Instant::now().checked_add(linger)) {
            self.set_timer(st, at, Alarm::Linger(id, birth));
        }
        self.reap(st, id);
    }

    /// Lets a leaving pipe go as far as it can.
    pub(super) fn reap(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let pipe = st.pipes.pipe(id);
        if pipe.has_output() {
            return;
        }
        let generation = pipe.generation;
        let talked = pipe.traffic.messages_out > 0;
        let info = pipe.info.clone();
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id)
            && talked
            && !conn.in_handshake()
            && !conn.drain(pool)
        {
            if conn.end_output() {
                self.set_timer(st, Instant::now() + DRAIN, Alarm::Drained(id, generation));
            }
            return;
        }
        st.monitors
            .tell(|| Event::new(EventKind::Closed, &info.endpoint).peer(&info.address));
        self.remove(st, id);
    }

    /// The application closed the socket.
    pub(crate) fn close(self: &Arc<Self>) {
        self.leave_inproc();
        let mut guard = self.lock();
        let st = &mut *guard;
        if st.phase != Phase::Open {
            return;
        }
        st.phase = Phase::Closing;
        for index in st
            .listeners
            .iter()
            .map(|(index, _)| index)
            .collect::<Vec<_>>()
        {
            st.close_listener(index);
        }
        for id in st.pipes.ids() {
            if st.pipes.contains(id) {
                self.leave(st, id, st.options.linger);
            }
        }
        // Nobody will drive the rest but the background thread.
        if st.lease.give_up() {
            self.arm(true);
        }
        self.settle(st);
    }

    /// Takes the socket's names out of the inproc registry.
    fn leave_inproc(self: &Arc<Self>) {
        let mut registry = self.ctx.inproc.lock();
        let mut st = self.lock_for_link();
        for name in std::mem::take(&mut st.inproc_names) {
            registry.bound.remove(&name);
        }
        let me = Arc::downgrade(self);
        registry.waiting.retain(|_, waiting| {
            waiting.retain(|(waiting, _)| !waiting.ptr_eq(&me));
            !waiting.is_empty()
        });
    }

    pub(super) fn finish_closing(self: &Arc<Self>, st: &mut State) {
        if st.pipes.len() > 0 {
            return;
        }
        st.phase = Phase::Closed;
        st.monitors.stop();
        if let Some(&token) = self.token.get() {
            self.io.deregister(token, self.set.as_fd());
        }
        self.ctx.forget(self.id);
    }

    // ---- timers ----

    pub(super) fn set_timer(self: &Arc<Self>, st: &mut State, at: Instant, what: Alarm) {
        st.timers.push(Timer { at, what });
        self.schedule(st);
    }

    fn schedule(self: &Arc<Self>, st: &mut State) {
        let Some(next) = st.timers.peek().map(|timer| timer.at) else {
            return;
        };
        if st.scheduled.is_none_or(|at| next < at) {
            st.scheduled = Some(next);
            if let Some(&token) = self.token.get() {
                self.io.schedule(token, next);
            }
        }
    }

    pub(super) fn run_timers(self: &Arc<Self>, st: &mut State, now: Instant) {
        st.scheduled.take_if(|at| *at <= now);
        while st.timers.peek().is_some_and(|timer| timer.at <= now) {
            if let Some(timer) = st.timers.pop() {
                self.on_alarm(st, timer.what, now);
            }
        }
        self.schedule(st);
    }

    fn on_alarm(self: &Arc<Self>, st: &mut State, what: Alarm, now: Instant) {
        match what {
            Alarm::AcceptAgain(index) => self.accept(st, index),
            Alarm::Redial(index, generation) => {
                if st
                    .dialers
                    .get(index)
                    .is_some_and(|dialer| dialer.generation == generation)
                {
                    self.dial(st, index);
                }
            }
            Alarm::ConnectTimeout(index, generation) => {
                if let Some(dialer) = st.dialers.get_mut(index)
                    && dialer.generation == generation
                    && matches!(dialer.stage, Stage::Connecting(_))
                {
                    dialer.cause = "no answer within CONNECT_TIMEOUT".into();
                    self.dial_next(st, index);
                }
            }
            Alarm::Handshake(id, generation)
            | Alarm::Ping(id, generation)
            | Alarm::PingTimeout(id, generation)
            | Alarm::PeerTtl(id, generation)
            | Alarm::Drained(id, generation) => {
                if st.pipes.contains(id) && st.pipes.pipe(id).generation == generation {
                    self.on_pipe_alarm(st, what, id, now);
                }
            }
            // A connection may come back while its last messages linger.
            Alarm::Linger(id, birth) => {
                if st.pipes.contains(id) && st.pipes.pipe(id).birth == birth {
                    self.on_pipe_alarm(st, what, id, now);
                }
            }
        }
    }

    fn on_pipe_alarm(self: &Arc<Self>, st: &mut State, what: Alarm, id: PipeId, now: Instant) {
        match what {
            Alarm::Handshake(..) => {
                if st.pipes.pipe(id).conn().is_some_and(Conn::in_handshake) {
                    st.pipes.fail(
                        id,
                        Broken::Silent(
                            "the peer did not finish the handshake within HANDSHAKE_IVL",
                        ),
                    );
                }
            }
            Alarm::Ping(..) => self.ping(st, id, now),
            Alarm::PingTimeout(..) => self.ping_timeout(st, id, now),
            Alarm::PeerTtl(_, generation) => self.check_ttl(st, id, generation, now),
            Alarm::Linger(..) => {
                st.pipes.counters.dropped.linger += st.pipes.pipe(id).queued_out() as u64;
                st.pipes.pipe_mut(id).clear_output();
                self.remove(st, id);
            }
            _ => self.drained(st, id),
        }
    }

    /// A connection that has sent its last has waited for the peer to close its side.
    fn drained(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let pipe = st.pipes.pipe(id);
        let (generation, info) = (pipe.generation, pipe.info.clone());
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id)
            && !conn.drain(pool)
            && (std::mem::take(&mut conn.heard) || conn.pinged)
        {
            return self.set_timer(st, Instant::now() + DRAIN, Alarm::Drained(id, generation));
        }
        st.monitors
            .tell(|| Event::new(EventKind::Closed, &info.endpoint).peer(&info.address));
        self.remove(st, id);
    }

    fn ping(self: &Arc<Self>, st: &mut State, id: PipeId, now: Instant) {
        let options = &st.pipes.pipe(id).options;
        let (Some(every), ttl) = (options.heartbeat_ivl, options.heartbeat_ttl) else {
            return;
        };
        let timeout = options.heartbeat_timeout.unwrap_or(every);
        let generation = st.pipes.pipe(id).generation;
        let Some((conn, pool)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        if conn.in_handshake() {
            return;
        }
        // One that waits already goes on waiting: a new ping does not give the peer more time.
        let waits = conn.asked.is_some() && !conn.heard;
        conn.heard = false;
        conn.ping(ttl.unwrap_or_default(), pool);
        if !waits {
            conn.asked = Some(now);
        }
        st.pipes.flush(id);
        if !waits && !timeout.is_zero() {
            self.set_timer(st, now + timeout, Alarm::PingTimeout(id, generation));
        }
        self.set_timer(st, now + every, Alarm::Ping(id, generation));
    }

    fn ping_timeout(self: &Arc<Self>, st: &mut State, id: PipeId, now: Instant) {
        let options = &st.pipes.pipe(id).options;
        let Some(timeout) = options.heartbeat_timeout.or(options.heartbeat_ivl) else {
            return;
        };
        let listening = st.pipes.wants_input(id);
        let Some((conn, _)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        let unanswered = !conn.heard && conn.asked.is_some_and(|asked| asked + timeout <= now);
        if !unanswered {
            return;
        }
        if !listening {
            // A peer that cannot be heard because RCVHWM keeps us from reading is not dead.
            conn.asked = None;
            return;
        }
        st.pipes.fail(
            id,
            Broken::Silent("the peer did not answer a ping within HEARTBEAT_TIMEOUT"),
        );
    }

    /// The peer asked, in a ping, to be given up after some silence.
    fn check_ttl(self: &Arc<Self>, st: &mut State, id: PipeId, generation: u32, now: Instant) {
        let listening = st.pipes.wants_input(id);
        let Some((conn, _)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        let Some(ttl) = conn.peer_ttl else {
            conn.ttl_watched = false;
            return;
        };
        if conn.heard_since_ttl || !listening {
            conn.heard_since_ttl = false;
            return self.set_timer(st, now + ttl, Alarm::PeerTtl(id, generation));
        }
        st.pipes.fail(
            id,
            Broken::Silent("the peer has been silent for longer than the TTL of its pings"),
        );
    }

    /// Starts to watch the TTL of peers that have just asked for it.
    pub(super) fn watch_ttl(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let generation = st.pipes.pipe(id).generation;
        let Some((conn, _)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        if let Some(ttl) = conn.peer_ttl
            && !std::mem::replace(&mut conn.ttl_watched, true)
        {
            self.set_timer(st, Instant::now() + ttl, Alarm::PeerTtl(id, generation));
        }
    }
}

/// Joins the waiting pipe `token` of `a` to a new pipe of `b`. The caller holds the registry.
fn link(a: &Arc<Core>, token: u64, b: &Arc<Core>, endpoint: &str) {
    let Token::Pipe(a_id, generation) = Token::decode(token) else {
        return;
    };
    let mut a_guard = a.lock_for_link();
    let mut b_guard = (!Arc::ptr_eq(a, b)).then(|| b.lock_for_link());
    if !a_guard.pipes.contains(a_id) || a_guard.pipes.pipe(a_id).generation != generation {
        return;
    }
    if !a.kind.accepts(b.kind) {
        let refuse = |st: &State, local, peer| {
            let why = HandshakeError::IncompatibleSocketType { local, peer };
            let event = || Event::new(EventKind::HandshakeFailedProtocol, endpoint).peer(endpoint);
            st.monitors.tell(|| event().cause(why));
        };
        refuse(&a_guard, a.kind, b.kind);
        b_guard.iter().for_each(|st| refuse(st, b.kind, a.kind));
        return a.remove(&mut a_guard, a_id);
    }
    // A socket may be connected to itself: then there is one state for both ends.
    macro_rules! b_state {
        () => {
            match &mut b_guard {
                Some(guard) => &mut **guard,
                None => &mut *a_guard,
            }
        };
    }
    let bo = b_state!().snapshot();
    let mut pipe = Pipe::new(bo.clone());
    pipe.listener = Some(usize::MAX);
    let b_id = b_state!().pipes.insert(pipe);
    let b_token = Token::Pipe(b_id, b_state!().pipes.pipe(b_id).generation).encode();
    let far = |core: &Arc<Core>, token| Far {
        inbox: core.clone(),
        token,
    };
    let ao = a_guard.pipes.pipe(a_id).options.clone();
    let conflate = ao.conflate || bo.conflate;
    let (a_end, b_end) = channel::pair(far(a, token), far(b, b_token), 0, 0, conflate);
    a_guard.pipes.pipe_mut(a_id).join(a_end);
    b_state!().pipes.pipe_mut(b_id).join(b_end);
    b.introduce(b_state!(), b_id, a, ao.routing_id.clone(), endpoint);
    a.introduce(&mut a_guard, a_id, b, bo.routing_id.clone(), endpoint);
}

/// What it may mean that a peer closed the connection during the handshake.
fn hung_up(kind: SocketType) -> String {
    let peers: Vec<&str> = kind.peers().iter().map(|peer| peer.name()).collect();
    format!(
        "the peer closed the connection during the handshake: \
         it may refuse a {kind} socket, which talks to {}, or not be a ZeroMQ socket",
        peers.join(" and "),
    )
}

fn canonical(text: &str) -> Result<String, AddressError> {
    match Endpoint::parse(text) {
        Ok(endpoint) => Ok(endpoint.to_string()),
        Err(error) => Err(AddressError::new(text, AddressErrorKind::Malformed(error))),
    }
}

fn listen_error(error: ListenError) -> AddressErrorKind {
    match error {
        ListenError::Endpoint(error) => AddressErrorKind::Malformed(error),
        ListenError::Resolve(error) => AddressErrorKind::Resolve(error),
        other => match other.io_kind() {
            std::io::ErrorKind::AddrInUse if !matches!(other, ListenError::NotASocket(_)) => {
                AddressErrorKind::InUse
            }
            std::io::ErrorKind::AddrNotAvailable => AddressErrorKind::NotAvailable,
            kind => AddressErrorKind::System(std::io::Error::new(kind, other.to_string())),
        },
    }
}

impl State {
    /// A pipe for what is connected now.
    fn new_pipe(&mut self) -> Pipe {
        let assigned = match self.options.connect_routing_id.is_empty() {
            true => None,
            false => Some(std::mem::take(
                &mut Arc::make_mut(&mut self.options).connect_routing_id,
            )),
        };
        let mut pipe = Pipe::new(self.snapshot());
        pipe.assigned_id = assigned;
        pipe
    }

    /// The options as they are, for what is bound or connected now and keeps them.
    fn snapshot(&self) -> Arc<Options> {
        if !self.options.use_fd.is_some() {
            return self.options.clone();
        }
        // The listening socket is for one bind alone: whoever else had it would keep it open.
        let options = Options::clone(&self.options);
        Arc::new(options.use_fd(ListeningFd::NONE))
    }

    fn take_fd(&mut self) -> Option<Arc<OwnedFd>> {
        match self.options.use_fd.is_some() {
            true => Arc::make_mut(&mut self.options).use_fd.take(),
            false => None,
        }
    }

    pub(super) fn close_listener(&mut self, index: usize) {
        let listening = self.listeners.remove(index);
        let closed = listening.listener.close();
        self.monitors.tell(|| match closed {
            Ok(()) => Event::new(EventKind::Closed, &listening.actual),
            Err(error) => Event::new(EventKind::CloseFailed, &listening.actual).cause(error),
        });
    }
}

/// What this side tells a peer in the handshake.
fn local(kind: SocketType, options: &Options) -> Local {
    let properties = options.metadata.iter().map(|property| {
        let value = Bytes::copy_from_slice(property.value().as_bytes());
        (property.name().to_owned(), value)
    });
    Local {
        socket_type: kind,
        routing_id: options.routing_id.clone(),
        properties: properties.collect(),
        mechanism: Mechanism::Null,
        as_server: false,
        max_version: Version::V3_1,
    }
}

/// Why a connection is not accepted, if one of the accept filters is against it.
fn refusal(options: &Options, stream: &Stream) -> Option<&'static str> {
    if stream.kind() == Kind::Tcp {
        let (filters, address) = (&options.tcp_accept_filter, stream.peer_ip());
        let listed = |address| filters.iter().any(|filter| filter.contains(address));
        let accepted = filters.is_empty() || address.is_some_and(listed);
        return (!accepted).then_some("TCP_ACCEPT_FILTER does not list the peer's address");
    }
    let (users, groups) = (&options.ipc_filter_uid, &options.ipc_filter_gid);
    let processes = &options.ipc_filter_pid;
    if users.is_empty() && groups.is_empty() && processes.is_empty() {
        return None;
    }
    let Ok(peer) = stream.peer_credentials() else {
        return Some("the system does not tell whose process the peer is, and IPC_FILTER asks");
    };
    let accepted = users.contains(&peer.uid.as_raw())
        || processes.contains(&peer.pid.as_raw_nonzero().get().cast_unsigned())
        || groups.contains(&peer.gid.as_raw())
        || !groups.is_empty() && stream.peer_groups().iter().any(|g| groups.contains(g));
    (!accepted).then_some("no IPC_FILTER lists the peer's user, group or process")
}

fn stream_options(options: &Options) -> StreamOptions {
    let o = options;
    StreamOptions {
        sndbuf: o.sndbuf,
        rcvbuf: o.rcvbuf,
        tos: o.tos,
        priority: (o.priority > 0).then_some(o.priority),
        keepalive: o.tcp_keepalive,
        keepalive_idle: o.tcp_keepalive_idle,
        keepalive_intvl: o.tcp_keepalive_intvl,
        keepalive_cnt: o.tcp_keepalive_cnt,
        max_retransmit: o.tcp_maxrt,
        ipv6: o.ipv6,
        backlog: o.backlog,
        bind_to_device: (!o.bindtodevice.is_empty()).then(|| o.bindtodevice.clone()),
        busy_poll: o
            .busy_poll
            .map(|time| time.as_micros().min(u128::from(u32::MAX)) as u32),
        use_fd: None,
    }
}
