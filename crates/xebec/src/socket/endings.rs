//! How connections and sockets end: lost, refused, let go of, lingering, closed.

use super::core::{Core, Phase, State};
use super::timers::Alarm;
use crate::conn::{Broken, Conn};
use crate::monitor::{Event, EventKind};
use crate::pipe::{Link, PipeId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zmtp::{HandshakeError, ProtocolError, SocketType};

/// How long a connection that has sent its last waits for the peer to close its side; it waits
/// longer, as LINGER allows, if the peer goes on sending or has ever pinged. What arrives after
/// the close resets the connection, under all that the peer has not read.
pub(super) const DRAIN: Duration = Duration::from_millis(300);

/// The longest such wait: a peer that never closes its side does not hold the context for ever.
pub(super) const DRAIN_MOST: Duration = Duration::from_secs(10);

impl Core {
    /// A pipe's connection broke, or this side refused it.
    pub(super) fn pipe_failed(self: &Arc<Self>, st: &mut State, id: PipeId, why: Broken) {
        if !st.pipes.contains(id) {
            return;
        }
        let pipe = st.pipes.pipe(id);
        let (info, dialer, ending) = (pipe.info.clone(), pipe.dialer, pipe.ending);
        let shaking = pipe.conn().is_some_and(Conn::in_handshake);
        let inproc = matches!(pipe.link, Link::Inproc(_));
        let (kind, value) = match &why {
            // That was told when it turned out.
            Broken::Later => (EventKind::Disconnected, pipe.descriptor()),
            _ if shaking => failed_handshake(&why),
            Broken::Refused(_) | Broken::Dismissed(_) => (EventKind::Closed, pipe.descriptor()),
            _ => (EventKind::Disconnected, pipe.descriptor()),
        };
        let cause = match &why {
            // libzmq refuses without a word, often before it has told its own type.
            Broken::Closed if shaking => hung_up(self.kind),
            why => pipe.reason_given(why),
        };
        st.monitors.tell(|| Event {
            routing_id: Some(info.routing_id.clone()),
            ..Event::new(kind, &info.endpoint)
                .peer(&info.address)
                .local(pipe.local_address())
                .cause(cause)
                .value(value)
        });
        if shaking && kind != EventKind::Disconnected {
            st.monitors.tell(|| {
                Event::new(EventKind::Disconnected, &info.endpoint)
                    .peer(&info.address)
                    .local(pipe.local_address())
                    .cause("the handshake failed")
                    .value(pipe.descriptor())
            });
        }
        if !shaking && !ending && pipe.attached {
            st.pipes.pull_rest(id, matches!(why, Broken::Io(_)));
        }
        if shaking
            && !matches!(why, Broken::Closed | Broken::Io(_))
            && let Some((conn, pool)) = st.pipes.conn_and_pool(id)
        {
            // What it said and was not read would reset the connection under an ERROR command.
            conn.drain(pool);
        }
        let pipe = st.pipes.pipe_mut(id);
        let lost = pipe.conn().map_or(0, Conn::unwritten_messages) as u64;
        pipe.link = Link::Down;
        pipe.admission = None;
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
    pub(super) fn give_up(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let pipe = st.pipes.pipe_mut(id);
        pipe.ending = true;
        st.pipes.counters.dropped.peer_gone += st.pipes.pipe_mut(id).clear_output() as u64;
        if st.pipes.pipe(id).queued_in() == 0 || !st.pipes.pipe(id).attached {
            self.remove(st, id);
        } else {
            st.pattern.readable(id);
        }
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
    pub(super) fn leave(self: &Arc<Self>, st: &mut State, id: PipeId, linger: Option<Duration>) {
        let pipe = st.pipes.pipe_mut(id);
        if pipe.ending && !pipe.attached && !pipe.has_output() {
            return;
        }
        pipe.ending = true;
        self.rouse(st);
        let pipe = st.pipes.pipe_mut(id);
        if std::mem::take(&mut pipe.attached) {
            st.pattern.disconnected(&mut st.pipes, id);
            st.pattern.detach(&mut st.pipes, id);
        }
        st.pipes.flush(id);
        let pipe = st.pipes.pipe(id);
        let lingers = pipe.awaits && pipe.has_output();
        let accepted_unready = pipe.dialer.is_none() && !pipe.is_up() && !lingers;
        if linger == Some(Duration::ZERO)
            || accepted_unready
            || matches!(pipe.link, Link::Inproc(_))
        {
            st.pipes.counters.dropped.linger += st.pipes.pipe(id).queued_out() as u64;
            self.tell_closed(st, id);
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
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id)
            && talked
            && !conn.in_handshake()
            && !conn.stream().kind().ends_gently()
            && !conn.drain(pool)
        {
            if conn.end_output() {
                self.set_timer(st, Instant::now() + DRAIN, Alarm::Drained(id, generation));
            }
            return;
        }
        self.tell_closed(st, id);
        self.remove(st, id);
    }

    /// Tells that this side closes a connection.
    pub(super) fn tell_closed(&self, st: &State, id: PipeId) {
        let pipe = st.pipes.pipe(id);
        st.monitors.tell(|| Event {
            // One that was not connected has no peer.
            peer: pipe.is_up().then(|| pipe.info.address.clone()),
            ..Event::new(EventKind::Closed, &pipe.info.endpoint)
                .local(pipe.local_address())
                .value(pipe.descriptor())
        });
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
            self.arm(st, true);
        }
        self.settle(st);
    }

    pub(super) fn finish_closing(self: &Arc<Self>, st: &mut State) {
        if st.pipes.len() > 0 {
            return;
        }
        st.phase = Phase::Closed;
        st.monitors.stop();
        self.leave_thread(st);
        self.ctx.forget(self.id);
    }
}

/// The event of a handshake that failed, and its number in the C interface.
fn failed_handshake(why: &Broken) -> (EventKind, u64) {
    let protocol = |error: ProtocolError| {
        let number = error.number().into();
        (EventKind::HandshakeFailedProtocol, number)
    };
    match why {
        Broken::Handshake(error) => match (error.status(), error.protocol_error()) {
            (Some(status), _) => (EventKind::HandshakeFailedAuth, status.into()),
            (None, Some(error)) => protocol(error),
            (None, None) if *error == HandshakeError::NoAuthenticator => {
                (EventKind::HandshakeFailedNoDetail, why.errno())
            }
            (None, None) => protocol(ProtocolError::ZmtpUnspecified),
        },
        Broken::Protocol(_) => protocol(ProtocolError::ZmtpUnspecified),
        _ => (EventKind::HandshakeFailedNoDetail, why.errno()),
    }
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
