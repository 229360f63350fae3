//! Connections on a socket: what it is bound to, who is accepted, and the handshake.
//!
//! An accepting side has a [`Listening`] and a pipe for each accepted connection, known to the
//! pattern once the handshake is done. The connecting side is in `dial`, how it all ends in
//! `endings`, inproc in `inproc`. All of this runs under the socket's lock, on whichever thread is
//! there.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use zmtp::{Local, Metadata, Peer, SocketType, Version};

use super::core::{Core, State, Token};
use super::dial::Stage;
use super::timers::Alarm;
use super::zap;
use crate::admission::{HalfOpen, Slot};
use crate::conn::Conn;
use crate::endpoint::Endpoint;
use crate::error::{AddressError, AddressErrorKind};
use crate::monitor::{Event, EventKind};
use crate::options::{ListeningFd, Options, Security};
use crate::pipe::{Link, PeerInfo, Pipe, PipeId};
use crate::transport::{self, Kind, ListenError, Stream, StreamOptions};

/// How soon accepting is tried again after descriptors ran out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// An endpoint that the socket is bound to.
pub(super) struct Listening {
    listener: transport::Listener,
    /// As the caller gave it and as it turned out.
    given: String,
    actual: String,
    /// The socket's options as they were when it was bound here.
    options: Arc<Options>,
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
                st.monitors.tell(|| {
                    Event::new(EventKind::BindFailed, text)
                        .cause(&error)
                        .value(error.errno())
                });
                return Err(fail(listen_error(error)));
            }
        };
        let actual = listener.local_endpoint().to_owned();
        let mut st = self.lock();
        st.last_endpoint = Some(listener.last_endpoint());
        st.wired = true;
        let number = transport::number(&listener);
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
            .tell(|| Event::new(EventKind::Listening, &actual).value(number));
        self.rouse(&st);
        Ok(actual)
    }

    pub(super) fn check_transport(
        &self,
        endpoint: &Endpoint,
        text: &str,
    ) -> Result<(), AddressError> {
        if self.kind == SocketType::Stream && !matches!(endpoint, Endpoint::Tcp(_)) {
            let why = AddressErrorKind::Incompatible(
                "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
            );
            return Err(AddressError::new(text, why));
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
        let found = st.listeners.iter().find(|(_, l)| {
            let last = || l.listener.last_endpoint();
            l.given == text || l.actual == text || l.actual == canonical || last() == canonical
        });
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
        for id in pipes {
            // What nobody was bound to take is gone with the wish for it.
            st.pipes.pipe_mut(id).awaits = false;
            self.leave(st, id, st.options.linger);
        }
        self.settle(st);
        Ok(())
    }

    // ---- accepting ----

    pub(super) fn accept(self: &Arc<Self>, st: &mut State, index: usize) {
        loop {
            let Some(listening) = st.listeners.get(index) else {
                return;
            };
            let endpoint = listening.actual.clone();
            match listening.listener.accept() {
                Ok(Some((stream, peer))) => self.accepted(st, index, &endpoint, stream, peer),
                Ok(None) => return,
                Err(error) => {
                    let remedy = match transport::is_exhausted(&error) {
                        true => {
                            "; peers wait until there is room again: raise the limit on open files (ulimit -n)"
                        }
                        false => "",
                    };
                    st.monitors.tell(|| {
                        let failed = Event::new(EventKind::AcceptFailed, &endpoint);
                        let errno = error.raw_os_error().unwrap_or(0);
                        failed
                            .cause(format!("{error}{remedy}"))
                            .value(errno.unsigned_abs().into())
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

    pub(super) fn accepted(
        self: &Arc<Self>,
        st: &mut State,
        index: usize,
        endpoint: &str,
        stream: Stream,
        address: String,
    ) {
        let options = st.listeners[index].options.clone();
        let slot = match refusal(&options, &stream) {
            None => half_open_slot(&st.half_open, &options, &stream),
            Some(why) => Err(why),
        };
        let slot = match slot {
            Ok(slot) => slot,
            Err(why) => {
                return st.monitors.tell(|| {
                    Event::new(EventKind::AcceptFailed, endpoint)
                        .peer(&address)
                        .cause(why)
                });
            }
        };
        st.monitors.tell(|| {
            Event::new(EventKind::Accepted, endpoint)
                .peer(&address)
                .value(transport::number(&stream))
        });
        let mut pipe = Pipe::new(options);
        pipe.listener = Some(index);
        pipe.info = Arc::new(PeerInfo {
            endpoint: endpoint.to_owned(),
            address,
            ..PeerInfo::default()
        });
        if slot.is_some() {
            pipe.admission().slot = slot;
        }
        let id = st.pipes.insert(pipe);
        self.begin(st, id, stream);
    }

    /// A stream to a peer stands: the handshake begins.
    pub(super) fn begin(self: &Arc<Self>, st: &mut State, id: PipeId, stream: Stream) {
        let generation = st.pipes.renew(id);
        if let Err(error) = self
            .set
            .add_edge(&stream, Token::Pipe(id, generation).encode())
        {
            return st.pipes.fail(id, error.into());
        }
        self.rouse(st);
        let options = st.pipes.pipe(id).options.clone();
        let raw = self.kind == SocketType::Stream || options.router_raw;
        let mut conn = if raw {
            Conn::raw(stream)
        } else {
            let limit = options.maxmsgsize.unwrap_or(usize::MAX);
            let limit = limit.min(self.ctx.max_message_size());
            Conn::zmtp(stream, local(self.kind, &options), limit as u64)
        };
        let pipe = st.pipes.pipe_mut(id);
        // Both sides speak at once: the peer may have done so, and its first words are answered together
        // with ours then.
        conn.readable = !raw;
        pipe.link = Link::Wire(Box::new(conn));
        if raw {
            return self.established(st, id, None);
        }
        if let Some(limit) = options.handshake_ivl {
            self.set_timer(st, Instant::now() + limit, Alarm::Handshake(id, generation));
        }
        self.shake(st, id);
    }

    pub(super) fn shake(self: &Arc<Self>, st: &mut State, id: PipeId) {
        if self.waits_for_verdict(st, id) {
            return;
        }
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id) {
            let result = conn.shake(pool);
            self.shaken(st, id, result);
        }
    }

    /// The handshake is done: the pipe carries messages.
    pub(super) fn established(self: &Arc<Self>, st: &mut State, id: PipeId, peer: Option<Peer>) {
        let pipe = st.pipes.pipe_mut(id);
        let address = match pipe.conn() {
            Some(conn) if pipe.dialer.is_some() => conn.stream().peer_address(),
            _ => pipe.info.address.clone(),
        };
        let endpoint = pipe.info.endpoint.clone();
        let descriptor = pipe.raw_fd();
        let host = pipe.conn().map(|conn| conn.stream().peer_host());
        let host = host.unwrap_or_default();
        let grant = pipe.admission.take().and_then(|admission| admission.grant);
        let (user_id, granted) = match grant {
            Some(grant) => (Some(grant.user_id), grant.metadata),
            None => (None, Metadata::new()),
        };
        pipe.info = Arc::new(match peer {
            Some(peer) => PeerInfo {
                endpoint,
                address,
                silent_subscriber: peer.is_unversioned(),
                socket_type: peer.socket_type,
                routing_id: peer.routing_id,
                metadata: peer.metadata,
                version: Some(peer.version),
                descriptor,
                host,
                user_id,
                granted,
                ..PeerInfo::default()
            },
            None => PeerInfo {
                endpoint,
                address,
                descriptor,
                host,
                ..PeerInfo::default()
            },
        });
        let (info, dialer) = (pipe.info.clone(), pipe.dialer);
        st.monitors.tell(|| Event {
            routing_id: Some(info.routing_id.clone()),
            ..Event::new(EventKind::HandshakeSucceeded, &info.endpoint)
                .peer(&info.address)
                .local(st.pipes.pipe(id).local_address())
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
        if st.pipes.has_failed(id) {
            // It was not let join, and is to learn that from a peer that it knows.
            st.pipes.flush(id);
            return;
        }
        st.pattern.connected(&mut st.pipes, id);
        st.pipes.flush(id);
        st.pattern.writable(id);
        if st.consumes {
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

    pub(super) fn attach(self: &Arc<Self>, st: &mut State, id: PipeId) {
        st.pipes.pipe_mut(id).attached = true;
        st.pattern.attach(&mut st.pipes, id);
    }
}

fn canonical(text: &str) -> Result<String, AddressError> {
    match Endpoint::parse(text) {
        Ok(endpoint) => Ok(endpoint.to_string()),
        Err(error) => Err(AddressError::new(text, AddressErrorKind::Malformed(error))),
    }
}

pub(super) fn listen_error(error: ListenError) -> AddressErrorKind {
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
    pub(super) fn new_pipe(&mut self) -> Pipe {
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
    pub(super) fn snapshot(&self) -> Arc<Options> {
        if !self.options.use_fd.is_some() {
            return self.options.clone();
        }
        // The listening socket is for one bind alone: whoever else had it would keep it open.
        let options = Options::clone(&self.options);
        Arc::new(options.use_fd(ListeningFd::NONE))
    }

    pub(super) fn take_fd(&mut self) -> Option<Arc<OwnedFd>> {
        match self.options.use_fd.is_some() {
            true => Arc::make_mut(&mut self.options).use_fd.take(),
            false => None,
        }
    }

    pub(super) fn close_listener(&mut self, index: usize) {
        let listening = self.listeners.remove(index);
        let number = transport::number(&listening.listener);
        let closed = listening.listener.close();
        self.monitors.tell(|| match closed {
            Ok(()) => Event::new(EventKind::Closed, &listening.actual).value(number),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                Event::new(EventKind::CloseFailed, &listening.actual)
                    .cause(error)
                    .value(errno.unsigned_abs().into())
            }
        });
    }
}

/// What this side tells a peer in the handshake.
fn local(kind: SocketType, options: &Options) -> Local {
    let mechanism = options.zmtp_mechanism();
    let properties = options.metadata.iter().map(|property| {
        let value = Bytes::copy_from_slice(property.value().as_bytes());
        (property.name().to_owned(), value)
    });
    Local {
        socket_type: kind,
        routing_id: options.routing_id.clone(),
        properties: properties.collect(),
        authenticate: zap::concerns(&mechanism, options),
        mechanism,
        max_version: Version::V3_1,
    }
}

/// Why a connection is not accepted, if one of the accept filters is against it.
fn refusal(options: &Options, stream: &Stream) -> Option<&'static str> {
    if stream.kind() == Kind::Tcp {
        let filters = &options.tcp_accept_filter;
        let listed = |address| filters.iter().any(|filter| filter.contains(address));
        let accepted = filters.is_empty() || stream.peer_ip().is_some_and(listed);
        return (!accepted).then_some("TCP_ACCEPT_FILTER does not list the peer's address");
    }
    if stream.kind() != Kind::Ipc {
        return None;
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

/// A place for a connection in its handshake, where the number of those is bounded: with listeners
/// that authenticate strangers, over tcp.
fn half_open_slot(
    half_open: &HalfOpen,
    options: &Options,
    stream: &Stream,
) -> Result<Option<Slot>, &'static str> {
    if options.mechanism() == Security::Null {
        return Ok(None);
    }
    match stream.peer_ip().map(|address| half_open.enter(address)) {
        Some(None) => Err(
            "too many connections from the peer's address are in their handshake (256): it may try again",
        ),
        slot => Ok(slot.flatten()),
    }
}

pub(super) fn stream_options(options: &Options) -> StreamOptions {
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
