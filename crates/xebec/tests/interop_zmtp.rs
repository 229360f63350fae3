//! Xebec and peers made of bytes, of every version of the protocol from 1.0 to 3.1.
//!
//! [`interop::wire`] writes what libzmq 2.x, 3.2, 4.0 and 4.3 would write, and compares what Xebec
//! answers with what its RFC asks for, octet by octet. Each test of the table runs with every
//! version, the peer connecting and the peer listening.

mod interop;

use interop::wire::Dialect::{self, Unversioned, V1, V2, V3_0, V3_1};
use interop::wire::{Peer, Role, Wire};
use interop::{
    End, assert_same, behind, expect_event, options, ours, ours_with, parts, shapes, subscription,
    until,
};
use xebec::{Context, EventKind, Socket, SocketType};

/// A module for each test, with a test for each version and role.
macro_rules! in_all_versions {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;
            in_all_versions! { $test:
                unversioned_connects: Unversioned Connects;
                unversioned_listens: Unversioned Listens;
                v1_connects: V1 Connects;
                v1_listens: V1 Listens;
                v2_connects: V2 Connects;
                v2_listens: V2 Listens;
                v3_0_connects: V3_0 Connects;
                v3_0_listens: V3_0 Listens;
                v3_1_connects: V3_1 Connects;
                v3_1_listens: V3_1 Listens;
            }
        }
    )*};
    ($test:ident: $($name:ident: $dialect:ident $role:ident;)*) => {$(
        #[test]
        fn $name() {
            super::$test($dialect, Role::$role);
        }
    )*};
}

in_all_versions! {
    pair
    push
    pull
    req
    rep
    rep_keeps_the_stack
    dealer
    router
    router_names_the_nameless
    xpub
    publisher
    xsub
    subscriber
    octet_by_octet
    all_at_once
    a_torn_message
}

fn pair(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Pair);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Pair, b"");
    to_peer(&socket, &[], &mut peer, &[]);
    from_peer(&mut peer, &[], &socket, &[]);
}

fn push(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Push);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Pull, b"");
    to_peer(&socket, &[], &mut peer, &[]);
}

fn pull(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Pull);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Push, b"");
    from_peer(&mut peer, &[], &socket, &[]);
}

/// RFC 28: an empty frame before the data, which the application does not see.
fn req(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Req);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Rep, b"");
    for (request, reply) in shapes().iter().zip(shapes().iter().rev()) {
        socket.say(request);
        peer.expect(&behind(&[b""], request));
        peer.send(&behind(&[b""], reply));
        assert_same(&socket.hear(), reply);
    }
}

fn rep(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Rep);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Req, b"");
    for (request, reply) in shapes().iter().zip(shapes().iter().rev()) {
        peer.send(&behind(&[b""], request));
        assert_same(&socket.hear(), request);
        socket.say(reply);
        peer.expect(&behind(&[b""], reply));
    }
}

/// The Guide's rtpapa: `[address3][address2][address1][][data]` in, `[data]` to the application,
/// the same stack out. A message without an empty frame is no request.
fn rep_keeps_the_stack(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Rep);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Dealer, b"");
    peer.send(&["no", "delimiter"]);
    let stack = ["address3", "address2", "address1", ""];
    peer.send(&behind(&stack, &parts(&["data", "", "more"])));
    assert_same(&socket.hear(), &parts(&["data", "", "more"]));
    socket.say(&parts(&["reply"]));
    peer.expect(&behind(&stack, &parts(&["reply"])));
    assert_eq!(socket.stats().dropped.malformed, 1);
}

/// The peer reads our identity in the handshake.
fn dealer(dialect: Dialect, role: Role) {
    let options = options().routing_id("PEER2");
    let socket = ours_with(&Context::new(), SocketType::Dealer, options);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Router, b"");
    to_peer(&socket, &[], &mut peer, &[]);
    from_peer(&mut peer, &[], &socket, &[]);
}

fn router(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Router);
    let monitor = socket.monitor();
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Dealer, b"PEER2");
    from_peer(&mut peer, &[], &socket, &[b"PEER2"]);
    to_peer(&socket, &[b"PEER2"], &mut peer, &[]);
    let event = expect_event(&monitor, EventKind::HandshakeSucceeded);
    assert_eq!(event.routing_id.unwrap(), "PEER2");
}

/// RFC 28 and the Guide: a zero octet, which no peer may choose, and 32 bits.
fn router_names_the_nameless(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Router);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Req, b"");
    peer.send(&["", "Hello"]);
    let request = socket.hear();
    assert_eq!((request[0].len(), request[0][0]), (5, 0), "{request:?}");
    assert_same(&request[1..], &parts(&["", "Hello"]));
    socket.say(&behind(&[&request[0]], &parts(&["", "World"])));
    peer.expect(&["", "World"]);
}

/// A 1.0 subscriber filters for itself: it counts as one that has asked for everything.
fn xpub(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Xpub);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Xsub, b"");
    if dialect == Unversioned {
        assert_same(&socket.hear(), &[subscription(b"", true)]);
    } else {
        peer.subscribe(b"A");
        assert_same(&socket.hear(), &[subscription(b"A", true)]);
    }
    published(&socket, &mut peer);
    if dialect != Unversioned {
        peer.cancel(b"A");
        assert_same(&socket.hear(), &[subscription(b"A", false)]);
        peer.send(&["a word of its own", "to its publisher"]);
        let own = parts(&["a word of its own", "to its publisher"]);
        assert_same(&socket.hear(), &own);
    }
}

fn publisher(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Pub);
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Sub, b"");
    if dialect != Unversioned {
        peer.subscribe(b"A");
    }
    let knows = |n| {
        until("a subscription", || {
            (socket.topics() == Some(n)).then_some(())
        })
    };
    knows(1);
    published(&socket, &mut peer);
    if dialect != Unversioned {
        peer.subscribe(b"B");
        knows(2);
        peer.cancel(b"B");
        peer.cancel(b"A");
        knows(0);
    }
}

fn published(socket: &Socket, peer: &mut Peer) {
    socket.say(&parts(&["B", "not asked for"]));
    if peer.dialect == Unversioned {
        peer.expect(&["B", "not asked for"]);
    }
    socket.say(&parts(&["A"]));
    socket.say(&parts(&["Abc", "", "d"]));
    peer.expect(&["A"]);
    peer.expect(&["Abc", "", "d"]);
}

fn subscriber(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Sub);
    subscribed(
        &socket,
        &mut |topic, on| socket.subscription(topic, on),
        dialect,
        role,
    );
}

fn xsub(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Xsub);
    let mut peer = subscribed(
        &socket,
        &mut |topic, on| socket.say(&[subscription(topic, on)]),
        dialect,
        role,
    );
    socket.say(&parts(&["a word of its own", "to its publisher"]));
    peer.expect(&["a word of its own", "to its publisher"]);
}

/// What was asked for before the connection, and what is asked for after. The application of a SUB
/// sees nothing else; an XSUB, which may stand in for many, passes on all that comes.
fn subscribed(
    socket: &Socket,
    ask: &mut dyn FnMut(&[u8], bool),
    dialect: Dialect,
    role: Role,
) -> Peer {
    ask(b"A", true);
    let mut peer = Peer::join(socket, role, dialect, SocketType::Pub, b"");
    peer.expect_subscription(true, b"A");
    ask(b"B", true);
    peer.expect_subscription(true, b"B");
    ask(b"B", false);
    peer.expect_subscription(false, b"B");
    for topic in ["A", "B", "", "Abc"] {
        peer.send(&[topic, "news"]);
        if topic.starts_with('A') || socket.kind() == SocketType::Xsub {
            assert_same(&socket.hear(), &parts(&[topic, "news"]));
        }
    }
    peer
}

/// However the octets are split up on the way.
fn octet_by_octet(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Pull);
    let mut wire = Wire::join(&socket, role);
    wire.drip(&dialect.opening(SocketType::Push, b"slow"));
    wire.drip(&dialect.message(&["one", "", "three"]));
    assert_same(&socket.hear(), &parts(&["one", "", "three"]));
    wire.expect(&dialect.answer(SocketType::Pull, b""));
}

/// The peer does not wait for an answer.
fn all_at_once(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Rep);
    let mut wire = Wire::join(&socket, role);
    let mut octets = dialect.opening(SocketType::Req, b"quick");
    octets.extend(dialect.message(&["", "Hello"]));
    octets.extend(dialect.message(&["", "Hello again"]));
    wire.send(&octets);
    assert_same(&socket.hear(), &parts(&["Hello"]));
    socket.say(&parts(&["World"]));
    assert_same(&socket.hear(), &parts(&["Hello again"]));
    wire.expect(&dialect.answer(SocketType::Rep, b""));
    wire.expect(&dialect.message(&["", "World"]));
}

/// RFC 23: all the frames of a message or none. The peer dies within its second frame.
fn a_torn_message(dialect: Dialect, role: Role) {
    let socket = ours(&Context::new(), SocketType::Pull);
    let monitor = socket.monitor();
    let mut peer = Peer::join(&socket, role, dialect, SocketType::Push, b"");
    peer.send(&["whole"]);
    let torn = dialect.message(&["torn", "message"]);
    peer.wire.send(&torn[..torn.len() - 2]);
    drop(peer);
    expect_event(&monitor, EventKind::Disconnected);
    let mut next = Peer::join(&socket, role, dialect, SocketType::Push, b"");
    next.send(&["next"]);
    assert_same(&socket.hear(), &parts(&["whole"]));
    assert_same(&socket.hear(), &parts(&["next"]));
}

/// All shapes from Xebec to the peer. The frames beside each are what it has in front of them.
fn to_peer(socket: &Socket, sent: &[&[u8]], peer: &mut Peer, received: &[&[u8]]) {
    for shape in shapes() {
        socket.say(&behind(sent, shape));
    }
    for shape in shapes() {
        peer.expect(&behind(received, shape));
    }
}

fn from_peer(peer: &mut Peer, sent: &[&[u8]], socket: &Socket, received: &[&[u8]]) {
    for shape in shapes() {
        peer.send(&behind(sent, shape));
        assert_same(&socket.hear(), &behind(received, shape));
    }
}
