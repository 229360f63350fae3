//! Monitoring: what happens to a socket's connections, as typed events.
//!
//! [`Socket::monitor`](crate::Socket::monitor) returns a [`Monitor`] that receives the events
//! from then on (`zmq_socket_monitor`). A socket may have any number of them. Events queue up to
//! a bound; a monitor that is not read loses the oldest and [counts](Monitor::missed) them.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

/// Events that a monitor holds before the oldest give way.
const CAPACITY: usize = 10_000;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A connection to a peer was made; the handshake follows.
    Connected,
    /// A connection attempt is under way.
    ConnectDelayed,
    /// A connection attempt failed; another follows after the reconnect interval.
    ConnectRetried,
    /// The socket listens at an endpoint.
    Listening,
    /// The socket could not be bound.
    BindFailed,
    /// A connection from a peer was accepted; the handshake follows.
    Accepted,
    /// A connection could not be accepted, for want of descriptors perhaps; it is tried again.
    AcceptFailed,
    /// A connection or listener was closed by this side.
    Closed,
    /// Closing failed.
    CloseFailed,
    /// An established connection was lost.
    Disconnected,
    /// The socket is closed; no event follows.
    MonitorStopped,
    /// The handshake failed, for a reason of the transport.
    HandshakeFailedNoDetail,
    /// The handshake is done: messages flow.
    HandshakeSucceeded,
    /// The peer does not speak the protocol, or not with this type of socket.
    HandshakeFailedProtocol,
    /// The peer was refused, or refused this side, by authentication.
    HandshakeFailedAuth,
    /// How many messages are in a connection's queues, told when the C API asks for it
    /// (`zmq_socket_monitor_pipes_stats`), in libzmq's way: those that have left count until half the
    /// high-water mark has. [`Socket::stats`](crate::Socket::stats) has the exact numbers.
    PipesStats,
}

impl EventKind {
    /// The number of the event in the C API (`zmq_socket_monitor`).
    pub const fn number(self) -> u32 {
        match self {
            EventKind::Connected => 1,
            EventKind::ConnectDelayed => 2,
            EventKind::ConnectRetried => 4,
            EventKind::Listening => 8,
            EventKind::BindFailed => 16,
            EventKind::Accepted => 32,
            EventKind::AcceptFailed => 64,
            EventKind::Closed => 128,
            EventKind::CloseFailed => 256,
            EventKind::Disconnected => 512,
            EventKind::MonitorStopped => 1024,
            EventKind::HandshakeFailedNoDetail => 0x800,
            EventKind::HandshakeSucceeded => 0x1000,
            EventKind::HandshakeFailedProtocol => 0x2000,
            EventKind::HandshakeFailedAuth => 0x4000,
            EventKind::PipesStats => 0x1_0000,
        }
    }
}

/// One event of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The local endpoint it happened to, as bound or connected.
    pub endpoint: String,
    /// The peer's address, once there is a connection.
    pub peer: Option<String>,
    /// The routing id that the peer chose, once the handshake told it.
    pub routing_id: Option<Bytes>,
    /// Why, for events that tell of a failure.
    pub cause: Option<String>,
    /// The number that goes with the event in the C API (`zmq_socket_monitor`): the descriptor of the
    /// connection or listener, for [`ConnectRetried`](EventKind::ConnectRetried) the milliseconds to
    /// the next attempt, for [`ConnectDelayed`](EventKind::ConnectDelayed) and what failed an errno. For
    /// [`HandshakeFailedNoDetail`](EventKind::HandshakeFailedNoDetail) an errno, for
    /// [`HandshakeFailedProtocol`](EventKind::HandshakeFailedProtocol) a `ZMQ_PROTOCOL_ERROR_*`, for
    /// [`HandshakeFailedAuth`](EventKind::HandshakeFailedAuth) the status of the ZAP reply (RFC 27).
    /// For [`PipesStats`](EventKind::PipesStats) the messages that wait to be sent. 0 where there is
    /// none.
    pub value: u64,
    /// For [`PipesStats`](EventKind::PipesStats) the messages that wait to be received.
    pub second: Option<u64>,
    /// This side's address, once there is a connection that this side made.
    pub local: Option<String>,
}

impl Event {
    pub(crate) fn new(kind: EventKind, endpoint: &str) -> Self {
        Event {
            kind,
            endpoint: endpoint.to_owned(),
            peer: None,
            routing_id: None,
            cause: None,
            value: 0,
            second: None,
            local: None,
        }
    }

    pub(crate) fn peer(mut self, address: impl Into<String>) -> Self {
        self.peer = Some(address.into());
        self
    }

    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The numbers that go with the event in the second version of the C API.
    #[doc(hidden)]
    pub fn values(&self) -> Vec<u64> {
        [self.value].into_iter().chain(self.second).collect()
    }

    /// The local and the remote end, as far as they are known.
    #[doc(hidden)]
    pub fn ends(&self) -> (&str, &str) {
        let peer = self.peer.as_deref().unwrap_or_default();
        match &self.local {
            Some(local) => (local, &self.endpoint),
            None => (&self.endpoint, peer),
        }
    }

    pub(crate) fn local(mut self, address: Option<String>) -> Self {
        self.local = address;
        self
    }

    pub(crate) fn value(mut self, value: u64) -> Self {
        self.value = value;
        self
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.endpoint)?;
        if let Some(peer) = &self.peer {
            write!(f, " peer {peer}")?;
        }
        if let Some(id) = self.routing_id.as_ref().filter(|id| !id.is_empty()) {
            write!(f, " id {:?}", crate::Frame::from(id.clone()))?;
        }
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    missed: u64,
    stopped: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Mailbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

/// Takes an event at once, under the socket's lock; false to be told no more.
pub(crate) type Sink = Box<dyn FnMut(&Event) -> bool + Send>;

/// The monitors of a socket, on the socket's side.
#[derive(Default)]
pub(crate) struct Monitors(Mutex<Listeners>);

/// Who is told.
#[derive(Default)]
struct Listeners {
    mailboxes: Vec<Weak<Mailbox>>,
    sink: Option<Sink>,
}

impl Listeners {
    fn tell(&mut self, event: &Event) {
        self.mailboxes.retain(|mailbox| {
            let mailbox = mailbox.upgrade();
            mailbox.is_some_and(|mailbox| mailbox.put(event.clone()))
        });
        self.sink.take_if(|sink| !sink(event));
    }
}

impl Monitors {
    pub(crate) fn open(&self) -> Monitor {
        let mailbox = Arc::new(Mailbox::default());
        self.0.lock().mailboxes.push(Arc::downgrade(&mailbox));
        Monitor(mailbox)
    }

    /// Has events handed to `sink`, if any, as they happen. One that was there before is told that it
    /// is stopped, and is returned.
    pub(crate) fn attach(&self, sink: Option<Sink>) -> Option<Sink> {
        let mut listeners = self.0.lock();
        if let Some(before) = &mut listeners.sink {
            before(&Event::new(EventKind::MonitorStopped, ""));
        }
        std::mem::replace(&mut listeners.sink, sink)
    }

    /// Whether there is a sink.
    pub(crate) fn is_observed(&self) -> bool {
        self.0.lock().sink.is_some()
    }

    /// Tells all monitors. The event is made only if there are any.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let mut listeners = self.0.lock();
        if listeners.sink.is_some() || !listeners.mailboxes.is_empty() {
            listeners.tell(&event());
        }
    }

    /// No event will follow.
    pub(crate) fn stop(&self) {
        self.tell(|| Event::new(EventKind::MonitorStopped, ""));
    }
}

impl Mailbox {
    /// Returns whether the monitor wants more.
    fn put(&self, event: Event) -> bool {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return false;
        }
        queue.stopped = event.kind == EventKind::MonitorStopped;
        if queue.events.len() == CAPACITY {
            queue.events.pop_front();
            queue.missed += 1;
        }
        queue.events.push_back(event);
        let (waker, more) = (queue.waker.take(), !queue.stopped);
        drop(queue);
        self.arrived.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
        more
    }
}

/// Receives the events of a socket from the moment it was made.
pub struct Monitor(Arc<Mailbox>);

impl Monitor {
    /// Waits for the next event; `None` after [`EventKind::MonitorStopped`] was received.
    pub fn recv(&self) -> Option<Event> {
        self.wait(None)
    }

    /// Waits for the next event for at most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Event> {
        self.wait(Instant::now().checked_add(timeout))
    }

    /// The next event, if one has happened.
    pub fn try_recv(&self) -> Option<Event> {
        self.0.queue.lock().events.pop_front()
    }

    /// The next event, for async tasks; `None` after [`EventKind::MonitorStopped`].
    pub async fn recv_async(&self) -> Option<Event> {
        poll_fn(|cx| {
            let mut queue = self.0.queue.lock();
            match queue.events.pop_front() {
                None if !queue.stopped => {
                    queue.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                event => Poll::Ready(event),
            }
        })
        .await
    }

    /// Events that were lost because they were not received in time.
    pub fn missed(&self) -> u64 {
        self.0.queue.lock().missed
    }

    fn wait(&self, deadline: Option<Instant>) -> Option<Event> {
        let mut queue = self.0.queue.lock();
        loop {
            if let Some(event) = queue.events.pop_front() {
                return Some(event);
            }
            if queue.stopped {
                return None;
            }
            match deadline {
                None => self.0.arrived.wait(&mut queue),
                Some(at) => {
                    if self.0.arrived.wait_until(&mut queue, at).timed_out() {
                        return queue.events.pop_front();
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Monitor({} events wait)",
            self.0.queue.lock().events.len()
        )
    }
}
