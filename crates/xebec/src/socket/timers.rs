//! The timers of a socket: one heap behind its lock, whose earliest entry the background thread
//! knows. What each is for is an [`Alarm`].

use super::core::{Core, Registered, State};
use super::dial::Stage;
use super::endings::{DRAIN, DRAIN_MOST};
use crate::conn::{Broken, Conn};
use crate::pipe::PipeId;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

/// Timers before others get the lock, and the thread's other sockets their turn. Thousands of connections whose
/// peer has gone are dialed anew at about the same time, and where free ports are rare each attempt takes the
/// system milliseconds: a socket of 10,000 could not be closed for half a minute.
const AT_ONCE: usize = 32;

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

impl Core {
    pub(super) fn set_timer(self: &Arc<Self>, st: &mut State, at: Instant, what: Alarm) {
        st.timers.push(Timer { at, what });
        self.schedule(st);
    }

    pub(super) fn schedule(self: &Arc<Self>, st: &mut State) {
        let Some(next) = st.timers.peek().map(|timer| timer.at) else {
            return;
        };
        if st.scheduled.is_none_or(|at| next < at) {
            st.scheduled = Some(next);
            if let Some(Registered { thread, token }) = &st.io {
                thread.schedule(*token, next);
            }
        }
    }

    /// Does what is due, for at most a turn; the thread is asked to come back for the rest.
    pub(super) fn run_timers(self: &Arc<Self>, st: &mut State, now: Instant) {
        // Nothing is asked for any more: the thread may have been asked for less than a timer.
        st.scheduled = None;
        for _ in 0..AT_ONCE {
            if st.timers.peek().is_none_or(|timer| timer.at > now) {
                break;
            }
            if let Some(timer) = st.timers.pop() {
                self.on_alarm(st, timer.what, now);
            }
        }
        self.schedule(st);
    }

    pub(super) fn on_alarm(self: &Arc<Self>, st: &mut State, what: Alarm, now: Instant) {
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
                    && let Stage::Connecting(connecting) = &dialer.stage
                {
                    let option = match st.pipes.pipe(dialer.pipe).options.connect_timeout {
                        Some(_) => "CONNECT_TIMEOUT",
                        None => "HANDSHAKE_IVL",
                    };
                    let whose = match connecting.is_proxied() {
                        true => " from the proxy",
                        false => "",
                    };
                    dialer.cause = format!("no answer{whose} within {option}");
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

    pub(super) fn on_pipe_alarm(
        self: &Arc<Self>,
        st: &mut State,
        what: Alarm,
        id: PipeId,
        now: Instant,
    ) {
        match what {
            Alarm::Handshake(..) => {
                if st.pipes.pipe(id).conn().is_some_and(Conn::in_handshake) {
                    self.handshake_overdue(st, id);
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
    pub(super) fn drained(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let generation = st.pipes.pipe(id).generation;
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id)
            && !conn.drain(pool)
            && (std::mem::take(&mut conn.heard) || conn.pinged)
            && !conn.ended_before(DRAIN_MOST)
        {
            return self.set_timer(st, Instant::now() + DRAIN, Alarm::Drained(id, generation));
        }
        self.tell_closed(st, id);
        self.remove(st, id);
    }

    pub(super) fn ping(self: &Arc<Self>, st: &mut State, id: PipeId, now: Instant) {
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

    pub(super) fn ping_timeout(self: &Arc<Self>, st: &mut State, id: PipeId, now: Instant) {
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
    pub(super) fn check_ttl(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        generation: u32,
        now: Instant,
    ) {
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

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use zmtp::SocketType;

    use super::*;
    use crate::Context;

    #[test]
    fn timers_come_in_turns_and_all_of_them() {
        let context = Context::new();
        let socket = context.socket(SocketType::Pull).unwrap();
        let core = socket.core();
        let mut st = core.lock();
        let now = Instant::now();
        for _ in 0..10 * AT_ONCE {
            core.set_timer(&mut st, now, Alarm::AcceptAgain(0));
        }
        core.run_timers(&mut st, now);
        assert_eq!(st.timers.len(), 9 * AT_ONCE);
        // The background thread does the rest.
        drop(st);
        while !core.lock().timers.is_empty() {
            assert!(now.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
    }
}
