//! The connecting side: resolve, try each address, come back after a pause.
//!
//! A [`Dialer`] outlives its connections, and so does its pipe: messages queue in it while the
//! connection is down. With SOCKS_PROXY the addresses are the proxy's, and a connection is made when
//! the proxy says so.

use super::core::{Core, Phase, State, Token};
use super::links::{listen_error, stream_options};
use super::timers::Alarm;
use crate::conn::Broken;
use crate::endpoint::{Endpoint, Host, TcpEndpoint};
use crate::error::{AddressError, AddressErrorKind};
use crate::monitor::{Event, EventKind, Monitors};
use crate::options::{Options, ReconnectStop};
use crate::pipe::{PeerInfo, PipeId};
use crate::transport::resolve::{ResolveError, ResolveJob, resolve_now};
use crate::transport::socks::{Destination, Socks};
use crate::transport::{self, Connecting, ListenError};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zmtp::SocketType;

/// What an attempt that is under way says in C: EINPROGRESS.
const IN_PROGRESS: u64 = rustix::io::Errno::INPROGRESS.raw_os_error().unsigned_abs() as u64;

/// An endpoint that the socket connects to, again and again.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) text: String,
    pub(super) pipe: PipeId,
    pub(super) generation: u32,
    pub(super) stage: Stage,
    /// Addresses that the current attempt has still to try.
    pub(super) addresses: std::vec::IntoIter<std::net::SocketAddr>,
    /// The last wait between attempts.
    pub(super) backoff: Option<Duration>,
    /// It was connected before.
    pub(super) was_up: bool,
    /// Why the latest try failed.
    pub(super) cause: String,
}

pub(super) enum Stage {
    /// Between attempts, or for good if reconnection is off.
    Idle,
    Resolving,
    Connecting(Connecting),
    Up,
}

/// Tells that an attempt at one address failed, and its descriptor is closed.
fn tell_failed(monitors: &Monitors, dialer: &Dialer) {
    let endpoint = || dialer.endpoint.to_string();
    monitors.tell(|| Event::new(EventKind::Closed, &endpoint()).cause(&dialer.cause));
}

/// Types for which a second connection to the same endpoint is not made (`zmq_connect`).
pub(super) fn connects_once(kind: SocketType) -> bool {
    matches!(
        kind,
        SocketType::Dealer | SocketType::Sub | SocketType::Pub | SocketType::Req
    )
}

impl Core {
    /// Connects. Returns the number that the peer has here, if the socket's type numbers its peers.
    pub(crate) fn connect(self: &Arc<Self>, text: &str) -> Result<Option<u32>, AddressError> {
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
        if let Endpoint::Tipc(_) = endpoint
            && let Err(error) = transport::tipc::check()
            && transport::tipc::is_missing(&error)
        {
            return Err(fail(listen_error(ListenError::Tipc(error))));
        }
        let mut guard = self.lock();
        let st = &mut *guard;
        st.last_endpoint = Some(endpoint.to_string());
        let canonical = endpoint.to_string();
        if connects_once(self.kind)
            && st.dialers.iter().any(|(_, dialer)| {
                dialer.endpoint.to_string() == canonical && !st.pipes.pipe(dialer.pipe).ending
            })
        {
            return Ok(None);
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
            self.dial_here(st, dialer);
        }
        let number = st.pattern.number(pipe);
        self.settle(st);
        // A sender that waits for a peer may have one now.
        let awaited = self.signal.is_awaited();
        drop(guard);
        if awaited {
            self.signal.raise();
        }
        Ok(number)
    }

    /// The first attempt, by who asked for it. A new connection is reported writable: that is not to wake
    /// the background thread, which would get in the way of the caller's next call. (With a new socket for
    /// each request the two fought for the lock in every handshake.)
    fn dial_here(self: &Arc<Self>, st: &mut State, index: usize) {
        if st.lease.take() {
            self.arm(st, false);
        }
        self.dial(st, index);
        self.harvest(st);
        self.let_go(st);
    }

    /// Begins an attempt to connect: finds the addresses.
    pub(super) fn dial(self: &Arc<Self>, st: &mut State, index: usize) {
        let dialer = &mut st.dialers[index];
        let options = &st.pipes.pipe(dialer.pipe).options;
        let ipv6 = options.ipv6;
        let Endpoint::Tcp(tcp) = &dialer.endpoint else {
            return self.dial_next(st, index);
        };
        let proxy = options.socks_proxy.endpoint();
        let tcp = proxy.as_ref().unwrap_or(tcp);
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

    pub(super) fn resolved(
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
    pub(super) fn dial_next(self: &Arc<Self>, st: &mut State, index: usize) {
        let dialer = &mut st.dialers[index];
        let all = &st.pipes.pipe(dialer.pipe).options;
        let options = stream_options(all);
        let again = matches!(dialer.stage, Stage::Connecting(_));
        let started = match &dialer.endpoint {
            Endpoint::Tcp(tcp) => dialer.addresses.next().map(|address| {
                let started =
                    transport::tcp::start_connect(address, tcp.source.as_ref(), &options)?;
                Ok(started.through(ask_proxy(all, tcp)))
            }),
            Endpoint::Ipc(ipc) => (!again).then(|| transport::ipc::start_connect(ipc, &options)),
            Endpoint::Tipc(tipc) => {
                (!again).then(|| transport::tipc::start_connect(tipc, &options))
            }
            Endpoint::Inproc(_) => None,
        };
        match started {
            None => self.dial_later(st, index),
            Some(Err(error)) => {
                dialer.cause = error.to_string();
                tell_failed(&st.monitors, dialer);
                if matches!(dialer.endpoint, Endpoint::Tcp(_)) {
                    self.dial_next(st, index)
                } else {
                    self.dial_later(st, index)
                }
            }
            Some(Ok(connecting)) => self.dialing(st, index, connecting),
        }
    }

    pub(super) fn dialing(self: &Arc<Self>, st: &mut State, index: usize, connecting: Connecting) {
        st.generation += 1;
        let generation = st.generation;
        let dialer = &mut st.dialers[index];
        dialer.generation = generation;
        let proxied = connecting.is_proxied();
        dialer.stage = Stage::Connecting(connecting);
        let (text, pipe) = (dialer.endpoint.to_string(), dialer.pipe);
        st.monitors
            .tell(|| Event::new(EventKind::ConnectDelayed, &text).value(IN_PROGRESS));
        // It may have been decided at once: ipc always is, and tcp within the machine.
        self.dialed(st, index, generation, false);
        let Some(dialer) = st.dialers.get_mut(index) else {
            return;
        };
        if dialer.generation != generation {
            return;
        }
        let Stage::Connecting(connecting) = &dialer.stage else {
            return;
        };
        let token = Token::Dialer(index, generation).encode();
        if let Err(error) = self.set.add_edge(connecting, token) {
            dialer.cause = error.to_string();
            return self.dial_later(st, index);
        }
        self.rouse(st);
        let options = &st.pipes.pipe(pipe).options;
        // The system limits the time to connect, and nobody that of a proxy that says nothing.
        let proxy_limit = options.handshake_ivl.filter(|_| proxied);
        if let Some(limit) = options.connect_timeout.or(proxy_limit) {
            self.set_timer(
                st,
                Instant::now() + limit,
                Alarm::ConnectTimeout(index, generation),
            );
        }
    }

    /// The descriptor of an attempt has news, or is new and not `watched` yet.
    pub(super) fn dialed(
        self: &Arc<Self>,
        st: &mut State,
        index: usize,
        generation: u32,
        watched: bool,
    ) {
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
                if watched {
                    self.set.remove(&stream);
                }
                dialer.stage = Stage::Up;
                dialer.addresses = Vec::new().into_iter();
                let (pipe, text) = (dialer.pipe, dialer.endpoint.to_string());
                st.monitors.tell(|| {
                    Event::new(EventKind::Connected, &text)
                        .peer(stream.peer_address())
                        .local(Some(stream.local_address()))
                        .value(transport::number(&stream))
                });
                self.begin(st, pipe, stream);
            }
            Err(error) => {
                dialer.cause = error.to_string();
                tell_failed(&st.monitors, dialer);
                self.dial_next(st, index);
            }
        }
    }

    /// An attempt failed or a connection was lost: the next attempt follows after a pause.
    pub(super) fn dial_later(self: &Arc<Self>, st: &mut State, index: usize) {
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
                .value(pause.as_millis() as u64)
        });
        self.set_timer(st, Instant::now() + pause, Alarm::Redial(index, generation));
    }

    pub(super) fn lost_dialed(
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
        // Nor does a peer that was judged, or has judged this side, get another verdict for asking
        // again; libzmq does not try either. A temporary failure (300) is no verdict.
        if let Broken::Handshake(error) = why
            && matches!(error.status(), Some(400 | 500))
        {
            let text = st.dialers[index].endpoint.to_string();
            st.monitors
                .tell(|| Event::new(EventKind::Closed, &text).cause(why));
            return self.give_up(st, id);
        }
        // A peer that hangs up or stays silent is no ZeroMQ peer either.
        if shaking
            && options
                .reconnect_stop
                .contains(ReconnectStop::HANDSHAKE_FAILED)
        {
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
}

/// What to say to the proxy, if there is one, so that it connects to `tcp`.
fn ask_proxy(options: &Options, tcp: &TcpEndpoint) -> Option<(Socks, Vec<u8>)> {
    if !options.socks_proxy.is_some() {
        return None;
    }
    let destination = match &tcp.host {
        Host::V4(address) => Destination::V4(*address),
        // The zone is for this machine, not for the proxy.
        Host::V6(address, _) => Destination::V6(*address),
        host => Destination::Name(host.to_string()),
    };
    let login = (
        options.socks_username.as_str(),
        options.socks_password.as_str(),
    );
    let login = Some(login).filter(|(user, _)| !user.is_empty());
    Some(Socks::new(&destination, tcp.port.number(), login))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::{Context, Pull, Push};

    /// An address where nobody listens.
    fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound")
    }

    /// With a lease it would come a tick or two late, at each end: the first message took 2.5 ms.
    #[test]
    fn a_sender_leaves_the_handshake_to_the_background_thread_at_once() {
        let context = Context::new();
        let options = Options::new().linger(Duration::ZERO);
        let push = Push::with_options(&context, options).expect("a socket");
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        push.connect(&format!("tcp://{address}")).expect("connect");
        let _peer = silent.accept().expect("connected");
        push.send("first").expect("it queues");
        let core = push.as_socket().core();
        assert!(core.lock().lease.is_armed());
    }

    /// Names with several addresses are rare on a machine that tests run on: what the resolver
    /// would say is put in.
    #[test]
    fn every_address_is_tried_before_an_attempt_has_failed() {
        let context = Context::new();
        let pull = Pull::new(&context).expect("a socket");
        let bound = pull.bind("tcp://127.0.0.1:*").expect("bind");
        let listening: SocketAddr = bound.trim_start_matches("tcp://").parse().expect("bound");
        let options = Options::new().linger(Duration::ZERO);
        // The one attempt at the endpoint itself fails.
        let options = options.reconnect_ivl(Duration::from_secs(600));
        let push = Push::with_options(&context, options).expect("a socket");
        let monitor = push.monitor();
        push.connect(&format!("tcp://{}", nobody()))
            .expect("connect");
        push.send("found").expect("it queues");
        let next = || {
            monitor
                .recv_timeout(Duration::from_secs(20))
                .expect("an event")
        };
        while next().kind != EventKind::ConnectRetried {}
        let core = push.as_socket().core();
        let mut st = core.lock();
        let (index, _) = st.dialers.iter().next().expect("the dialer");
        core.resolved(&mut st, index, Ok(vec![nobody(), nobody(), listening]));
        drop(st);
        let got = pull
            .recv_timeout(Duration::from_secs(20))
            .expect("a message");
        assert_eq!(got.to_string_lossy(), "found");
        let kinds: Vec<EventKind> =
            std::iter::from_fn(|| monitor.try_recv().map(|event| event.kind)).collect();
        assert!(!kinds.contains(&EventKind::ConnectRetried), "{kinds:?}");
        assert_eq!(
            kinds
                .iter()
                .filter(|&&kind| kind == EventKind::ConnectDelayed)
                .count(),
            3
        );
    }
}
