//! What the tests of the sockets' behaviour share: bounded waits, sockets of any type, and a peer
//! that speaks ZMTP byte by byte.
//!
//! Every wait here has a bound, so that a message or a wake-up that never comes fails the test
//! instead of hanging it. Nothing here sleeps in order to let something else happen: it waits for
//! an event, or looks again until a condition holds.
#![allow(dead_code, reason = "each test file uses its own part of this")]

mod raw;
pub(crate) mod security;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "not every test file has such a peer")]
pub(crate) use raw::{Raw, RawListener, frame, frames, hello};
use xebec::{
    Context, Event, EventKind, Message, Monitor, Options, RecvError, SendError, SendErrorKind,
    Socket, SocketType,
};

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test watches for what must not happen.
pub(crate) const SHORT: Duration = Duration::from_millis(30);

/// The transports, as endpoints to bind to.
pub(crate) const TRANSPORTS: [&str; 3] = ["tcp", "ipc", "inproc"];

/// An endpoint of this transport that nobody has.
pub(crate) fn fresh(transport: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    match transport {
        "tcp" => "tcp://127.0.0.1:*".into(),
        "ipc" => "ipc://*".into(),
        _ => format!("inproc://fresh-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Options that leave nothing behind: what is not sent at the end of a test is of no interest.
pub(crate) fn options() -> Options {
    Options::new().linger(Duration::ZERO)
}

/// A socket of this type with [`options`].
pub(crate) fn socket(context: &Context, kind: SocketType) -> Socket {
    socket_with(context, kind, options())
}

/// A socket with these options.
pub(crate) fn socket_with(context: &Context, kind: SocketType, options: Options) -> Socket {
    Socket::with_options(context, kind, options).expect("a socket can be made")
}

/// A message of these frames.
pub(crate) fn message<const N: usize>(frames: [&[u8]; N]) -> Message {
    frames.into_iter().collect()
}

/// The frames of a message as text.
pub(crate) fn text(message: &Message) -> Vec<String> {
    message
        .frames()
        .map(|frame| frame.to_string_lossy().into_owned())
        .collect()
}

/// The next message, which must come.
#[track_caller]
pub(crate) fn recv(socket: &(impl AsRef<Socket> + ?Sized)) -> Message {
    let socket = socket.as_ref();
    socket
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{socket:?} received nothing: {error:?}"))
}

/// The next message as text, which must come.
#[track_caller]
pub(crate) fn recv_text(socket: &(impl AsRef<Socket> + ?Sized)) -> Vec<String> {
    text(&recv(socket))
}

/// Nothing comes for a while.
#[track_caller]
pub(crate) fn recv_nothing(socket: &(impl AsRef<Socket> + ?Sized)) {
    let got = socket.as_ref().recv_timeout(SHORT);
    assert_eq!(got, Err(RecvError::WouldBlock));
}

/// Sends a message, which must be accepted.
#[track_caller]
pub(crate) fn send(socket: &(impl AsRef<Socket> + ?Sized), message: impl Into<Message>) {
    let socket = socket.as_ref();
    socket
        .send_timeout(message, PATIENCE)
        .unwrap_or_else(|error| panic!("{socket:?} accepts nothing: {error}"));
}

/// Looks again until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// Waits for an event of this kind, passing over others.
#[track_caller]
pub(crate) fn await_event(monitor: &Monitor, kind: EventKind) -> Event {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Some(event) = monitor.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if event.kind == kind {
            return event;
        }
        seen.push(event.to_string());
    }
    panic!("no event {kind:?}; there were {seen:#?}");
}

/// Waits until a socket has this many connected peers.
#[track_caller]
pub(crate) fn await_peers(socket: &(impl AsRef<Socket> + ?Sized), peers: u64) {
    let socket = socket.as_ref();
    eventually(&format!("{socket:?} has {peers} peers"), || {
        socket.stats().connections == peers
    });
}

/// Runs `work` on a thread of its own, which must end in time.
pub(crate) struct Working<T> {
    handle: JoinHandle<()>,
    result: mpsc::Receiver<T>,
    tid: i32,
}

impl<T: Send + 'static> Working<T> {
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, result) = mpsc::channel();
        let (tell_tid, tid) = mpsc::channel();
        let handle = thread::spawn(move || {
            let _ = tell_tid.send(rustix::thread::gettid().as_raw_pid());
            let _ = tell.send(work());
        });
        let tid = tid.recv().expect("the thread has started");
        Working {
            handle,
            result,
            tid,
        }
    }

    /// Waits until the thread sleeps in the kernel: it is blocked in the call under test, since
    /// that is all it does.
    #[track_caller]
    pub(crate) fn await_asleep(&self) {
        let stat = format!("/proc/self/task/{}/stat", self.tid);
        eventually("the thread sleeps", || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('S'))
        });
    }

    /// Whether it has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.handle.is_finished()
    }

    /// What the work came to.
    #[track_caller]
    pub(crate) fn join(self) -> T {
        match self.result.recv_timeout(PATIENCE) {
            Ok(result) => {
                // The result is there: the thread is about to end.
                self.handle.join().expect("the thread ended well");
                result
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("the thread is still at work after {PATIENCE:?}")
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => match self.handle.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("a thread that ends well has told its result"),
            },
        }
    }
}

/// Sends until nothing more is accepted, not even a little later. Returns how many were.
pub(crate) fn fill(socket: &Socket, message: &Message) -> usize {
    let mut accepted = 0;
    loop {
        let sent = socket
            .try_send(message.clone())
            .or_else(|_| socket.send_timeout(message.clone(), Duration::from_millis(250)));
        match sent {
            Ok(()) => accepted += 1,
            Err(SendError {
                kind: SendErrorKind::WouldBlock,
                ..
            }) => return accepted,
            Err(error) => panic!("{socket:?}: {error:?}"),
        }
        assert!(
            accepted < 2_000_000,
            "{socket:?} takes messages without end"
        );
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest of executors, with a bound.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the future is pending after {PATIENCE:?}");
        thread::park_timeout(left);
    }
}

/// Polls once.
pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
}
