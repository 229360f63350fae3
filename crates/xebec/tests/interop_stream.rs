//! STREAM: raw TCP with programs that know nothing of ZeroMQ, and with libzmq's STREAM.
//!
//! `[id][""]` tells of a connection that comes or goes, `[id][bytes]` is what it brings, in pieces
//! of any size; `[id][""]` sent closes it (libzmq's manual, `zmq_socket`, "Native pattern").

mod interop;

use interop::wire::{Role, Wire, listen};
use interop::{End, assert_same, body, expect_event, options, ours, ours_with, parts, tcp, theirs};
use xebec::{Context, EventKind, Message, SendErrorKind, Socket, SocketType};
use xebec_peers::libzmq_or_skip;

/// The connection that has come: its id.
#[track_caller]
fn newcomer(stream: &dyn End) -> Vec<u8> {
    let mut notice = stream.hear();
    assert_eq!((notice.len(), notice[0].len()), (2, 5), "{notice:?}");
    assert_eq!((notice[0][0], &notice[1][..]), (0, &b""[..]));
    notice.swap_remove(0)
}

/// What a connection brings, until it is so long.
#[track_caller]
fn read(stream: &dyn End, id: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let message = stream.hear();
        assert_eq!((message.len(), &message[0][..]), (2, id));
        assert!(
            !message[1].is_empty(),
            "closed after {} octets",
            bytes.len()
        );
        bytes.extend(&message[1]);
    }
    bytes
}

/// A conversation of octets, whoever connects.
macro_rules! raw {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;

            #[test]
            fn xebec_binds() {
                super::$test(Role::Connects);
            }

            #[test]
            fn xebec_connects() {
                super::$test(Role::Listens);
            }
        }
    )*};
}

raw! {
    talk
    megabytes
    we_hang_up
    the_peer_hangs_up
}

fn joined(role: Role) -> (Socket, Wire, Vec<u8>) {
    let stream = ours(&Context::new(), SocketType::Stream);
    let wire = Wire::join(&stream, role);
    let id = newcomer(&stream);
    (stream, wire, id)
}

fn talk(role: Role) {
    let (stream, mut wire, id) = joined(role);
    wire.send(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(read(&stream, &id, 18), b"GET / HTTP/1.0\r\n\r\n");
    stream.say(&parts(&[&id[..], b"HTTP/1.0 200 OK\r\n"]));
    stream.say(&parts(&[&id[..], b"\r\nHello, World!"]));
    wire.expect(b"HTTP/1.0 200 OK\r\n\r\nHello, World!");
    wire.send(&[0]);
    assert_eq!(read(&stream, &id, 1), [0]);
}

fn megabytes(role: Role) {
    let (stream, mut wire, id) = joined(role);
    let bytes = body(3_000_000);
    wire.send(&bytes);
    assert!(read(&stream, &id, bytes.len()) == bytes);
    stream.say(&[id.clone(), bytes.clone()]);
    stream.say(&[id, b"end".to_vec()]);
    wire.expect(&bytes);
    wire.expect(b"end");
}

fn we_hang_up(role: Role) {
    let (stream, mut wire, id) = joined(role);
    stream.say(&parts(&[&id[..], b"bye"]));
    stream.say(&parts(&[&id[..], b""]));
    assert_eq!(wire.expect_end(), b"bye");
}

fn the_peer_hangs_up(role: Role) {
    let (stream, mut wire, id) = joined(role);
    wire.send(b"bye");
    drop(wire);
    assert_eq!(read(&stream, &id, 3), b"bye");
    assert_same(&stream.hear(), &parts(&[&id[..], b""]));
    if role == Role::Connects {
        let late: Message = [&id[..], b"too late"].into_iter().collect();
        let refused = stream.try_send(late);
        assert_eq!(refused.unwrap_err().kind, SendErrorKind::Unroutable);
    }
}

/// Each connection has an id of its own, and what is sent to one goes to no other.
#[test]
fn several_connections_are_told_apart() {
    let stream = ours(&Context::new(), SocketType::Stream);
    let endpoint = stream.bind(&tcp()).unwrap();
    let mut clients: Vec<(Wire, Vec<u8>)> = (0..5u8)
        .map(|_| (Wire::connect(&endpoint), newcomer(&stream)))
        .collect();
    for (n, (_, id)) in clients.iter().enumerate() {
        stream.say(&[id.clone(), vec![n as u8; 10]]);
    }
    for (n, (wire, id)) in clients.iter_mut().enumerate() {
        wire.expect(&[n as u8; 10]);
        wire.send(id);
        assert_eq!(read(&stream, id, 5), *id);
    }
}

/// STREAM_NOTIFY=0: nothing is told of coming and going.
#[test]
fn without_notices() {
    let options = options().stream_notify(false);
    let stream = ours_with(&Context::new(), SocketType::Stream, options);
    let monitor = stream.monitor();
    let mut wire = Wire::join(&stream, Role::Connects);
    wire.send(b"Hello");
    let message = stream.hear();
    assert_eq!(read_on(&stream, message, 5), b"Hello");
    drop(wire);
    expect_event(&monitor, EventKind::Disconnected);
    let mut next = Wire::connect(&stream.last_endpoint().unwrap());
    next.send(b"World");
    let message = stream.hear();
    assert_eq!(read_on(&stream, message, 5), b"World");
}

/// `len` octets of which the message brings the first.
fn read_on(stream: &Socket, message: Vec<Vec<u8>>, len: usize) -> Vec<u8> {
    let mut bytes = message[1].clone();
    if bytes.len() < len {
        bytes.extend(read(stream, &message[0], len - bytes.len()));
    }
    bytes
}

/// CONNECT_ROUTING_ID names a connection before it is made.
#[test]
fn a_connection_may_be_given_a_name() {
    let stream = ours(&Context::new(), SocketType::Stream);
    let (listener, endpoint) = listen();
    stream.set("connect-routing-id", "web").unwrap();
    stream.connect(&endpoint).unwrap();
    let mut wire = Wire::accept(&listener);
    assert_same(&stream.hear(), &parts(&["web", ""]));
    stream.say(&parts(&["web", "Hello"]));
    wire.expect(b"Hello");
}

/// Xebec's STREAM and libzmq's, either side bound.
#[test]
fn streams_of_both_sides_talk() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    for we_bind in [true, false] {
        let ours = ours(&context, SocketType::Stream);
        let theirs = theirs(&their_context, SocketType::Stream);
        let ends: [&dyn End; 2] = [&ours, &theirs];
        let (bound, connected) = match we_bind {
            true => (ends[0], ends[1]),
            false => (ends[1], ends[0]),
        };
        connected.connect(&bound.bind(&tcp()));
        let ids = [newcomer(ends[0]), newcomer(ends[1])];
        let bytes = body(1_000_000);
        for (from, to) in [(0, 1), (1, 0)] {
            ends[from].say(&[ids[from].clone(), bytes.clone()]);
            assert!(read(ends[to], &ids[to], bytes.len()) == bytes);
        }
        ends[0].say(&[ids[0].clone(), Vec::new()]);
        assert_same(&ends[1].hear(), &[ids[1].clone(), Vec::new()]);
    }
}
