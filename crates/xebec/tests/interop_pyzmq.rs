//! Xebec and pyzmq, in a process of its own: what a Python program meets.
//!
//! pyzmq brings a libzmq of its own, newer than Debian's. Both sides make the same messages and
//! compare what they receive with what they would have sent; a Python peer that finds a
//! difference ends with a traceback, and the test shows it. A process can also be stopped and
//! killed, which a thread cannot: see the second half.

mod interop;

use std::time::{Duration, Instant};

use interop::{
    End, Parts, SOON, assert_same, behind, expect_event, options, ours, ours_with, parts,
    subscription, tcp, until,
};
use rustix::process::{Pid, Signal, kill_process};
use xebec::{Context, EventKind, Socket, SocketType};
use xebec_peers::python::PythonPeer;
use xebec_peers::python_or_skip;

/// What a script begins with: a socket of the type `args[0]` that connects to `args[1]`, or binds
/// and says where; and the messages that both sides know.
const SOCKET: &str = r#"
socket = context.socket(getattr(zmq, args[0]))
if args[0] in ("REQ", "DEALER", "ROUTER"):
    socket.routing_id = b"python"
if args[0] == "SUB":
    socket.subscribe(b"")
if args[1] == "bind":
    socket.bind("tcp://127.0.0.1:*")
    say(socket.last_endpoint.decode())
else:
    socket.connect(args[1])

messages = [[b"%d" % n, b"", b"x" * n] for n in range(300)]
messages += [[b""], [b"", b""], [b"y" * 1000000], [b"y" * 65536] * 3]

def receive(before=[]):
    for message in messages:
        got = socket.recv_multipart()
        assert got == before + message, (got[:5], before, message[:5])

def send(before=[]):
    for message in messages:
        socket.send_multipart(before + message)
"#;

/// The same messages.
fn messages() -> Vec<Parts> {
    let mut messages: Vec<Parts> = (0..300usize)
        .map(|n| vec![n.to_string().into_bytes(), Vec::new(), vec![b'x'; n]])
        .collect();
    messages.push(vec![Vec::new()]);
    messages.push(vec![Vec::new(); 2]);
    messages.push(vec![vec![b'y'; 1_000_000]]);
    messages.push(vec![vec![b'y'; 65536]; 3]);
    messages
}

fn send(socket: &Socket, before: &[&[u8]]) {
    for message in &messages() {
        socket.say(&behind(before, message));
    }
}

fn receive(socket: &Socket, before: &[&[u8]]) {
    for message in &messages() {
        assert_same(&socket.hear(), &behind(before, message));
    }
}

/// A line is a pair of types, Xebec's first, what the Python side does, and what Xebec does.
macro_rules! pairs {
    ($($name:ident: $ours:ident $theirs:literal, $script:literal, $does:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn xebec_binds() {
                pair(SocketType::$ours, $theirs, $script, true, $does);
            }

            #[test]
            fn pyzmq_binds() {
                pair(SocketType::$ours, $theirs, $script, false, $does);
            }
        }
    )*};
}

pairs! {
    push_to_pyzmq: Push "PULL", "receive()", |socket| send(socket, &[]);
    pull_from_pyzmq: Pull "PUSH", "send()", |socket| receive(socket, &[]);
    pub_to_pyzmq: Pub "SUB", "receive()", |socket| {
        until("a subscription", || (socket.topics() == Some(1)).then_some(()));
        send(socket, &[]);
    };
    xpub_to_pyzmq: Xpub "SUB", "receive()", |socket| {
        assert_same(&socket.hear(), &[subscription(b"", true)]);
        send(socket, &[]);
    };
    sub_from_pyzmq: Sub "XPUB", "assert socket.recv() == b'\\1'; send()", |socket| {
        socket.subscribe("").unwrap();
        receive(socket, &[]);
    };
    pair_with_pyzmq: Pair "PAIR", "send(); receive()", |socket| {
        receive(socket, &[]);
        send(socket, &[]);
    };
    dealer_with_pyzmq: Dealer "ROUTER", "receive([b'xebec']); send([b'xebec'])", |socket| {
        send(socket, &[]);
        receive(socket, &[]);
    };
    router_with_pyzmq: Router "DEALER", "send(); receive()", |socket| {
        receive(socket, &[b"python"]);
        send(socket, &[b"python"]);
    };
    req_to_pyzmq: Req "REP",
        "for _ in messages: socket.send_multipart(socket.recv_multipart()[::-1])",
        |socket| {
            for message in &messages() {
                socket.say(message);
                let reversed: Parts = message.iter().rev().cloned().collect();
                assert_same(&socket.hear(), &reversed);
            }
        };
    rep_to_pyzmq: Rep "REQ", r"
for message in messages:
    socket.send_multipart(message)
    assert socket.recv_multipart() == message[::-1]",
        |socket| {
            for _ in 0..messages().len() {
                let request = socket.hear();
                let reversed: Parts = request.into_iter().rev().collect();
                socket.say(&reversed);
            }
        };
}

fn pair(kind: SocketType, theirs: &str, script: &str, we_bind: bool, does: impl FnOnce(&Socket)) {
    let Some(python) = python_or_skip() else {
        return;
    };
    let context = Context::new();
    let socket = ours(&context, kind);
    if matches!(kind, SocketType::Req | SocketType::Dealer) {
        socket.identify(b"xebec");
    }
    let script = format!("{SOCKET}\n{script}");
    let place = match we_bind {
        true => socket.bind(&tcp()).unwrap(),
        false => "bind".to_owned(),
    };
    let mut peer = python.spawn(&script, &[theirs, &place]);
    if !we_bind {
        socket.connect(&peer.expect_line(SOON)).unwrap();
    }
    does(&socket);
    assert!(peer.finish(SOON).is_empty());
}

// ---- processes that stop and die ----

/// Echoes on a DEALER; args: connect where, heartbeat interval, TTL.
const ECHO: &str = r#"
socket = context.socket(zmq.DEALER)
socket.heartbeat_ivl, socket.heartbeat_ttl = int(args[1]), int(args[2])
socket.heartbeat_timeout = 60000
socket.reconnect_ivl = 10
socket.connect(args[0])
socket.rcvtimeo = -1
while True:
    socket.send_multipart(socket.recv_multipart())
"#;

#[track_caller]
fn echo(socket: &Socket, word: &str) {
    socket.say(&parts(&[word]));
    assert_same(&socket.hear(), &parts(&[word]));
}

fn signal(peer: &PythonPeer, signal: Signal) {
    kill_process(Pid::from_raw(peer.id() as i32).unwrap(), signal).unwrap();
}

/// A stopped process, which TCP takes for a living one, is found out: by our pings, or by the TTL
/// that its own pings asked for. It comes back when it goes on.
fn stopped(heartbeat: Option<Duration>, args: [&str; 2], cause: &str) {
    let Some(python) = python_or_skip() else {
        return;
    };
    let context = Context::new();
    let options = options().heartbeat_ivl(heartbeat);
    let socket = ours_with(&context, SocketType::Dealer, options);
    let monitor = socket.monitor();
    let endpoint = socket.bind(&tcp()).unwrap();
    let peer = python.spawn(ECHO, &[&endpoint, args[0], args[1]]);
    expect_event(&monitor, EventKind::HandshakeSucceeded);
    // For longer than some heartbeats: the TTL comes with the first.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(400) {
        echo(&socket, "before");
    }
    signal(&peer, Signal::STOP);
    let event = expect_event(&monitor, EventKind::Disconnected);
    let told = event.cause.unwrap();
    assert!(told.contains(cause), "{told}");
    signal(&peer, Signal::CONT);
    expect_event(&monitor, EventKind::HandshakeSucceeded);
    echo(&socket, "after");
}

#[test]
fn a_stopped_process_is_found_out_by_our_heartbeat() {
    let beat = Some(Duration::from_secs(1));
    stopped(beat, ["0", "0"], "HEARTBEAT_TIMEOUT");
}

#[test]
fn a_stopped_process_is_found_out_by_its_own_ttl() {
    stopped(None, ["50", "1000"], "TTL");
}

/// A killed server is replaced by another at its place: the client finds it, and what was asked
/// in between is answered by the new one.
#[test]
fn a_killed_process_is_replaced() {
    let Some(python) = python_or_skip() else {
        return;
    };
    const SERVER: &str = r#"
socket = context.socket(zmq.REP)
socket.bind(args[0])
say(socket.last_endpoint.decode())
while True:
    socket.send_multipart([args[1].encode()] + socket.recv_multipart())
"#;
    let context = Context::new();
    let options = options().req_relaxed(true).req_correlate(true);
    let client = ours_with(&context, SocketType::Req, options);
    let monitor = client.monitor();
    let mut first = python.spawn(SERVER, &[&*tcp(), "first"]);
    let endpoint = first.expect_line(SOON);
    client.connect(&endpoint).unwrap();
    client.say(&parts(&["Hello"]));
    assert_same(&client.hear(), &parts(&["first", "Hello"]));
    signal(&first, Signal::KILL);
    expect_event(&monitor, EventKind::Disconnected);
    client.say(&parts(&["anybody there?"]));
    let mut second = python.spawn(SERVER, &[&*endpoint, "second"]);
    second.expect_line(SOON);
    assert_same(&client.hear(), &parts(&["second", "anybody there?"]));
    assert_eq!(client.stats().reconnects, 1);
}
