//! What a foreign interface needs of a socket: event loops that watch a descriptor, and the C API,
//! which has the frames of a message one by one and monitors that are sockets.
//!
//! All of it is the engine of `core` from another side; nothing here does I/O of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::{Core, Patience, Socket};
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::monitor::{Event, EventKind, Sink};
use crate::options::{OptionError, OptionKey, Options, Value};
use crate::pipe::PeerInfo;
use crate::sys::Wake;

/// A descriptor for event loops (ZMQ_FD); see [`Socket::event_fd`].
#[derive(Clone)]
pub struct EventFd(Arc<Wake>);

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::fmt::Debug for EventFd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventFd({:?})", self.as_fd())
    }
}

impl Socket {
    /// A descriptor that polls readable when the socket's state may have changed (ZMQ_FD), for event
    /// loops of other libraries. Do not read from it: whenever it is readable, and after every send
    /// and receive, ask [`is_readable`](Self::is_readable) or [`is_writable`](Self::is_writable),
    /// which makes it wait for the next change. It tells of changes, not of states.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn event_fd(&self) -> std::io::Result<EventFd> {
        self.core.watch().map(EventFd)
    }

    /// Whether the socket's context was terminated or shut down: then every call fails.
    pub fn is_terminated(&self) -> bool {
        self.core.is_terminated()
    }

    /// Waits until a message whose first frame is `first` would be taken, and sends nothing; with
    /// `timeout` as SNDTIMEO tells if that is `None`.
    #[doc(hidden)]
    pub fn admit(&self, first: &Frame, timeout: Option<Duration>) -> Result<(), SendErrorKind> {
        self.core.admit(first, patience(timeout))
    }

    /// Sends a message from where it is; if that fails it is still there. With `timeout` as SNDTIMEO tells
    /// if that is `None`.
    #[doc(hidden)]
    pub fn send_from(
        &self,
        message: &mut Message,
        timeout: Option<Duration>,
    ) -> Result<(), SendErrorKind> {
        self.core.send_from(message, patience(timeout))
    }

    /// Receives into `message`, and has `regard` look at what is known of the peer, while that is surely
    /// known; with `timeout` as RCVTIMEO tells if that is `None`. It is called with the socket's lock held.
    #[doc(hidden)]
    pub fn recv_regarding(
        &self,
        message: &mut Message,
        timeout: Option<Duration>,
        mut regard: impl FnMut(&Message, &Arc<PeerInfo>),
    ) -> Result<(), RecvError> {
        let patience = patience(timeout);
        self.core.recv_by(patience, message, |pipes, message| {
            if let Some(known) = message.origin.and_then(|origin| pipes.peer(origin)) {
                regard(message, known);
            }
        })
    }

    /// Has events handed to `sink`, if any, as they happen, until it says no; ends the one before. It
    /// is called with the socket's lock held: it must not use this socket, nor one that is monitored.
    #[doc(hidden)]
    pub fn observe(&self, sink: Option<Sink>) {
        let before = self.core.lock().monitors.attach(sink);
        // What it holds may be a socket: it goes when no lock is held.
        drop(before);
    }

    /// Tells the sink how many messages wait in the queues of each connection
    /// (`zmq_socket_monitor_pipes_stats`), as libzmq counts them: one that has left counts until half
    /// the high-water mark has. [`stats`](Self::stats) is exact. `None` if there is no sink, else how
    /// many connections.
    #[doc(hidden)]
    pub fn tell_queues(&self) -> Option<usize> {
        let mut guard = self.core.lock();
        let st = &mut *guard;
        if !st.monitors.is_observed() {
            return None;
        }
        for id in st.pipes.ids() {
            let pipe = st.pipes.pipe_mut(id);
            let (queued_out, queued_in) = pipe.queued_by_halves();
            st.monitors.tell(|| Event {
                second: Some(queued_in),
                local: pipe.local_address(),
                ..Event::new(EventKind::PipesStats, &pipe.info.endpoint)
                    .peer(&pipe.info.address)
                    .value(queued_out)
            });
        }
        Some(st.pipes.len())
    }

    /// Whether a ROUTER could send to the peer with this routing id now; `None` if there is none.
    #[doc(hidden)]
    pub fn has_room_for(&self, routing_id: &[u8]) -> Option<bool> {
        let mut guard = self.core.lock();
        let st = &mut *guard;
        st.pattern.has_room_for(&mut st.pipes, routing_id)
    }

    /// The value of an option by its number in the C API, or by its name. A STREAM tells as its
    /// ROUTING_ID that of the peer that joined last: so libzmq's programs learn whom they connected to.
    ///
    /// # Errors
    /// When there is no such option, or it has no value.
    pub fn option<'a>(&self, key: impl Into<OptionKey<'a>>) -> Result<Value, OptionError> {
        let st = self.core.lock();
        let row = Options::spec(key)?;
        match st.pattern.latest_id() {
            Some(id) if row.name() == "ROUTING_ID" => Ok(Value::Bytes(id)),
            _ => row.value(&st.options),
        }
    }

    /// Whether a message can be received, and sent, at once (ZMQ_EVENTS). Who asks and finds nothing is
    /// about to sleep in a loop of its own: what this thread has sent leaves before.
    #[doc(hidden)]
    pub fn readiness(&self) -> (bool, bool) {
        match self.core.readiness() {
            (false, _) if Core::flush_deferred(self.core.ctx.process()) => self.core.readiness(),
            ready => ready,
        }
    }
}

fn patience(timeout: Option<Duration>) -> Patience<'static> {
    match timeout {
        None => Patience::Option,
        Some(Duration::ZERO) => Patience::None,
        Some(time) => Patience::For(time),
    }
}
