//! Support of the interop tests: both implementations behind one trait, and peers made of bytes.
//!
//! [`End`] is what a test does with a socket, whoever made it: a test that is written over two
//! `&dyn End` runs with Xebec at either end. [`wire`] holds peers that speak ZMTP 1.0 to 3.1 by
//! hand, octet by octet, independently of the crate under test. Nothing here waits for longer
//! than [`SOON`], so that a bug fails a test instead of hanging it.

// Each test file is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub(crate) mod wire;

use std::ops::Deref;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use xebec::{Context, Event, EventKind, Message, Monitor, Options, Socket, SocketType};
use xebec_peers::libzmq;

/// Longer than anything takes that works.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A message, frame by frame.
pub(crate) type Parts = Vec<Vec<u8>>;

/// One end of a connection.
pub(crate) trait End {
    fn kind(&self) -> SocketType;
    /// Binds, and returns the endpoint that it became.
    fn bind(&self, endpoint: &str) -> String;
    fn connect(&self, endpoint: &str);
    fn disconnect(&self, endpoint: &str);
    fn say(&self, parts: &[Vec<u8>]);
    fn hear_within(&self, time: Duration) -> Option<Parts>;
    /// Has the socket do what it has to do.
    fn serve(&self);
    /// Sets ROUTING_ID.
    fn identify(&self, id: &[u8]);
    /// Sets PROBE_ROUTER.
    fn probe(&self);
    /// Subscribes or unsubscribes a SUB.
    fn set_subscription(&self, topic: &[u8], on: bool);

    #[track_caller]
    fn hear(&self) -> Parts {
        match self.hear_within(SOON) {
            Some(parts) => parts,
            None => panic!("{} received nothing", self.kind()),
        }
    }

    /// Receives what `other` sends of itself when it finds a new peer. libzmq finds it only when
    /// its application calls.
    #[track_caller]
    fn hear_while_serving(&self, other: &dyn End) -> Parts {
        until("a message", || {
            other.serve();
            self.hear_within(Duration::from_millis(5))
        })
    }

    /// Subscribes or unsubscribes in the way that the type has for it.
    fn subscription(&self, topic: &[u8], on: bool) {
        match self.kind() {
            SocketType::Xsub => self.say(&[subscription(topic, on)]),
            _ => self.set_subscription(topic, on),
        }
    }

    fn subscribe(&self, topic: &[u8]) {
        self.subscription(topic, true);
    }

    fn unsubscribe(&self, topic: &[u8]) {
        self.subscription(topic, false);
    }
}

impl End for Socket {
    fn kind(&self) -> SocketType {
        Socket::kind(self)
    }

    #[track_caller]
    fn bind(&self, endpoint: &str) -> String {
        Socket::bind(self, endpoint).unwrap()
    }

    #[track_caller]
    fn connect(&self, endpoint: &str) {
        Socket::connect(self, endpoint).unwrap();
    }

    #[track_caller]
    fn disconnect(&self, endpoint: &str) {
        Socket::disconnect(self, endpoint).unwrap();
    }

    #[track_caller]
    fn say(&self, parts: &[Vec<u8>]) {
        let message: Message = parts.iter().collect();
        self.send_timeout(message, SOON).unwrap();
    }

    fn hear_within(&self, time: Duration) -> Option<Parts> {
        let message = self.recv_timeout(time).ok()?;
        Some(parts_of(&message))
    }

    fn serve(&self) {}

    #[track_caller]
    fn identify(&self, id: &[u8]) {
        self.set_option(libzmq::ROUTING_ID, id.into()).unwrap();
    }

    #[track_caller]
    fn probe(&self) {
        self.set("probe-router", "true").unwrap();
    }

    #[track_caller]
    fn set_subscription(&self, topic: &[u8], on: bool) {
        let change = if on {
            Socket::subscribe
        } else {
            Socket::unsubscribe
        };
        change(self, topic).unwrap();
    }
}

impl End for libzmq::Socket {
    fn kind(&self) -> SocketType {
        let number = self.int(libzmq::TYPE).unwrap();
        SocketType::from_number(number as u8).unwrap()
    }

    #[track_caller]
    fn bind(&self, endpoint: &str) -> String {
        self.bind(endpoint).unwrap()
    }

    #[track_caller]
    fn connect(&self, endpoint: &str) {
        self.connect(endpoint).unwrap();
    }

    #[track_caller]
    fn disconnect(&self, endpoint: &str) {
        self.disconnect(endpoint).unwrap();
    }

    #[track_caller]
    fn say(&self, parts: &[Vec<u8>]) {
        self.send(parts, 0).unwrap();
    }

    fn hear_within(&self, time: Duration) -> Option<Parts> {
        let time = i32::try_from(time.as_millis()).unwrap();
        self.set_int(libzmq::RCVTIMEO, time).unwrap();
        self.recv().ok()
    }

    #[track_caller]
    fn serve(&self) {
        self.int(libzmq::EVENTS).unwrap();
    }

    #[track_caller]
    fn identify(&self, id: &[u8]) {
        self.set_bytes(libzmq::ROUTING_ID, id).unwrap();
    }

    #[track_caller]
    fn probe(&self) {
        self.set_int(libzmq::PROBE_ROUTER, 1).unwrap();
    }

    #[track_caller]
    fn set_subscription(&self, topic: &[u8], on: bool) {
        let option = if on {
            libzmq::SUBSCRIBE
        } else {
            libzmq::UNSUBSCRIBE
        };
        self.set_bytes(option, topic).unwrap();
    }
}

/// Options for tests: closing lingers for a second at most.
pub(crate) fn options() -> Options {
    Options::new().linger(Duration::from_secs(1))
}

/// A socket of Xebec.
#[track_caller]
pub(crate) fn ours(context: &Context, kind: SocketType) -> Socket {
    ours_with(context, kind, options())
}

/// A socket of Xebec, with the linger of a test.
#[track_caller]
pub(crate) fn ours_with(context: &Context, kind: SocketType, options: Options) -> Socket {
    let options = options.linger(Duration::from_secs(1));
    Socket::with_options(context, kind, options).unwrap()
}

/// A socket of libzmq. Closing it throws away what it has not sent.
#[track_caller]
pub(crate) fn theirs(context: &libzmq::Context, kind: SocketType) -> libzmq::Socket {
    let socket = context.socket(kind.number().into()).unwrap();
    socket.set_no_linger().unwrap();
    socket
}

/// The frames of a message.
pub(crate) fn parts_of(message: &Message) -> Parts {
    message
        .frames()
        .map(|frame| frame.as_bytes().to_vec())
        .collect()
}

/// An endpoint, as text. libzmq leaves the socket files of ipc behind: they go with it.
pub(crate) struct Place(pub(crate) String);

impl Deref for Place {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = self.strip_prefix("ipc://") {
            // Xebec has removed its own.
            let _ = fs::remove_file(path);
        }
    }
}

/// Where to bind: a port for the system to choose.
pub(crate) fn tcp() -> Place {
    Place("tcp://127.0.0.1:*".to_owned())
}

/// Where to bind: a socket file that nobody has used before.
pub(crate) fn ipc() -> Place {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("xebec-interop-{}-{number}", process::id());
    Place(format!("ipc://{}", env::temp_dir().join(name).display()))
}

/// A message from byte strings.
pub(crate) fn parts<P: AsRef<[u8]>>(frames: &[P]) -> Parts {
    frames.iter().map(|frame| frame.as_ref().to_vec()).collect()
}

/// A message with these frames in front.
pub(crate) fn behind<P: AsRef<[u8]>>(front: &[P], rest: &[Vec<u8>]) -> Parts {
    let mut message = parts(front);
    message.extend_from_slice(rest);
    message
}

/// What XPUB receives and XSUB sends.
pub(crate) fn subscription(topic: &[u8], on: bool) -> Vec<u8> {
    [&[u8::from(on)], topic].concat()
}

/// A body of this length that shows if its octets move.
pub(crate) fn body(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251 + len) as u8).collect()
}

/// Messages of every shape: the sizes at which headers and buffers change, alone and in company,
/// and empty frames at every place.
pub(crate) fn shapes() -> &'static [Parts] {
    static SHAPES: LazyLock<Vec<Parts>> = LazyLock::new(|| {
        let sizes = [
            0, 1, 2, 61, 62, 63, 254, 255, 256, 8191, 8192, 65535, 65536, 1_000_000,
        ];
        let mut shapes: Vec<Parts> = sizes.iter().map(|&size| vec![body(size)]).collect();
        shapes.push(parts(&["one", "two", "three"]));
        shapes.push(parts(&["", "behind an empty frame"]));
        shapes.push(parts(&["before an empty frame", ""]));
        shapes.push(parts(&["", "", ""]));
        shapes.push(vec![body(1_000_000), body(0), body(255), body(256)]);
        shapes.push((0..100).map(body).collect());
        shapes.push(vec![body(65536); 4]);
        shapes
    });
    &SHAPES
}

/// `==` for messages that says where they differ, and not all that is in them.
#[track_caller]
pub(crate) fn assert_same(got: &[Vec<u8>], expected: &[Vec<u8>]) {
    if got != expected {
        panic!("got {}, expected {}", sketch(got), sketch(expected));
    }
}

fn sketch(message: &[Vec<u8>]) -> String {
    let frame = |frame: &Vec<u8>| {
        let start = &frame[..frame.len().min(20)];
        format!("[{:03}] {}", frame.len(), start.escape_ascii())
    };
    let frames: Vec<String> = message.iter().take(8).map(frame).collect();
    format!("{} frames {frames:?}", message.len())
}

/// Repeats `attempt` until it gives something: for what neither side tells when it has happened.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::yield_now();
    }
    panic!("{what} did not happen");
}

/// Waits for an event; those before it are dropped.
#[track_caller]
pub(crate) fn expect_event(monitor: &Monitor, kind: EventKind) -> Event {
    let mut seen = Vec::new();
    let deadline = Instant::now() + SOON;
    while let Some(event) = monitor.recv_timeout(deadline - Instant::now()) {
        if event.kind == kind {
            return event;
        }
        seen.push(event.to_string());
    }
    panic!("no {kind:?}, only {seen:#?}");
}
