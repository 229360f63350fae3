//! ZMTP octet by octet: what goes over the wire in full, heartbeats, and peers that are refused.
//!
//! The octets in these tests are written out, not made, where a reader may want to hold them
//! beside the RFC. The table of all versions and socket types is in `interop_zmtp.rs`.

mod interop;

use std::time::Duration;

use interop::wire::Dialect::{self, Unversioned, V1, V2, V3_0, V3_1};
use interop::wire::{Peer, Role, Wire, command, frame_v2, greeting_v3, listen, ready};
use interop::{
    End, SOON, assert_same, expect_event, options, ours, ours_with, parts, subscription,
};
use xebec::{Context, EventKind, Property, SocketType};

// ---- what goes over the wire ----

const SIGNATURE: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F";

/// Row 2 of the checklist: `[""]["Hello"]`, to a peer of each version.
macro_rules! hello_of_a_req {
    ($($name:ident: $dialect:ident, $($octets:expr),+;)*) => {$(
        #[test]
        fn $name() {
            let socket = ours(&Context::new(), SocketType::Req);
            let mut wire = Wire::join(&socket, Role::Listens);
            wire.send(&Dialect::$dialect.opening(SocketType::Rep, b""));
            socket.send("Hello").unwrap();
            wire.expect(&[$(&$octets[..]),+].concat());
        }
    )*};
}

hello_of_a_req! {
    hello_to_zmtp_1_0_without_greeting: Unversioned, SIGNATURE, b"\x01\x01\x06\0Hello";
    hello_to_zmtp_1_0: V1, SIGNATURE, b"\x03\x03", b"\x01\0", b"\x01\x01\x06\0Hello";
    hello_to_zmtp_2_0: V2, SIGNATURE, b"\x03\x03", b"\0\0", b"\x01\0\0\x05Hello";
    hello_to_zmtp_3_0: V3_0, SIGNATURE, b"\x03\x01", MECHANISM_AND_FILLER, READY_OF_REQ,
        b"\x01\0\0\x05Hello";
    hello_to_zmtp_3_1: V3_1, SIGNATURE, b"\x03\x01", MECHANISM_AND_FILLER, READY_OF_REQ,
        b"\x01\0\0\x05Hello";
}

const MECHANISM_AND_FILLER: [u8; 52] = {
    let mut octets = [0; 52];
    (octets[0], octets[1], octets[2], octets[3]) = (b'N', b'U', b'L', b'L');
    octets
};

const READY_OF_REQ: &[u8] = b"\x04\x26\x05READY\x0BSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0";

/// READY, as each type sends it.
macro_rules! ready {
    ($($name:ident: $kind:ident to $peer:ident, $octets:literal;)*) => {$(
        #[test]
        fn $name() {
            let socket = ours(&Context::new(), SocketType::$kind);
            let mut wire = Wire::join(&socket, Role::Connects);
            wire.send(&Dialect::V3_1.opening(SocketType::$peer, b""));
            wire.read(64);
            wire.expect($octets);
        }
    )*};
}

ready! {
    ready_of_pair: Pair to Pair, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PAIR";
    ready_of_pub: Pub to Sub, b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03PUB";
    ready_of_sub: Sub to Pub, b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03SUB";
    ready_of_rep: Rep to Req, b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03REP";
    ready_of_dealer: Dealer to Rep, b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
    ready_of_router: Router to Req, b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";
    ready_of_pull: Pull to Push, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PULL";
    ready_of_push: Push to Pull, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PUSH";
    ready_of_xpub: Xpub to Xsub, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XPUB";
    ready_of_xsub: Xsub to Xpub, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XSUB";
}

/// The properties of the application come last, and those of the peer can be read.
#[test]
fn properties_go_both_ways() {
    let region = Property::new("X-Region", "eu").unwrap();
    let socket = ours_with(
        &Context::new(),
        SocketType::Pull,
        options().metadata(vec![region]),
    );
    let mut wire = Wire::join(&socket, Role::Connects);
    let mut properties = b"\x0BSocket-Type\0\0\0\x04PUSH".to_vec();
    properties.extend(b"\x06X-Zone\0\0\0\x02b7");
    wire.send(&greeting_v3(0, 1));
    wire.send(&command("READY", &properties));
    wire.send(&Dialect::V3_1.message(&["work"]));
    wire.read(64);
    wire.expect(b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x04PULL\x08X-Region\0\0\0\x02eu");
    let message = socket.recv_timeout(SOON).unwrap();
    let peer = socket.peer(message.connection().unwrap()).unwrap();
    assert_eq!(peer.metadata.get("X-Zone").unwrap(), "b7");
    assert_eq!(peer.socket_type, Some(SocketType::Push));
    assert_eq!(peer.version, Some(xebec::Version::V3_1));
}

/// A subscription to a peer of each version, and its end.
macro_rules! subscriptions {
    ($($name:ident: $dialect:ident, $on:literal, $off:literal;)*) => {$(
        #[test]
        fn $name() {
            let socket = ours(&Context::new(), SocketType::Sub);
            socket.subscribe("News").unwrap();
            let mut peer = Peer::join(
                &socket, Role::Listens, Dialect::$dialect, SocketType::Pub, b"",
            );
            peer.wire.expect($on);
            socket.unsubscribe("News").unwrap();
            peer.wire.expect($off);
        }
    )*};
}

subscriptions! {
    subscription_to_zmtp_1_0_without_greeting: Unversioned, b"\x06\0\x01News", b"\x06\0\0News";
    subscription_to_zmtp_1_0: V1, b"\x06\0\x01News", b"\x06\0\0News";
    subscription_to_zmtp_2_0: V2, b"\0\x05\x01News", b"\0\x05\0News";
    subscription_to_zmtp_3_0: V3_0, b"\0\x05\x01News", b"\0\x05\0News";
    subscription_to_zmtp_3_1: V3_1, b"\x04\x0E\x09SUBSCRIBENews", b"\x04\x0B\x06CANCELNews";
}

/// A publisher takes both forms from any peer that can send them.
#[test]
fn a_peer_of_3_1_may_subscribe_by_message() {
    let socket = ours(&Context::new(), SocketType::Xpub);
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Sub, b"");
    peer.wire.send(b"\0\x05\x01News");
    assert_same(&socket.hear(), &[subscription(b"News", true)]);
    socket.send("Newsflash").unwrap();
    peer.wire.expect(b"\0\x09Newsflash");
    peer.wire.send(b"\x04\x0B\x06CANCELNews");
    assert_same(&socket.hear(), &[subscription(b"News", false)]);
}

/// A short frame may have a long header.
#[test]
fn long_headers_of_short_frames_are_read() {
    for (dialect, octets) in [
        (Unversioned, &b"\xFF\0\0\0\0\0\0\0\x06\0Hello"[..]),
        (V1, b"\xFF\0\0\0\0\0\0\0\x06\0Hello"),
        (V2, b"\x02\0\0\0\0\0\0\0\x05Hello"),
        (V3_1, b"\x02\0\0\0\0\0\0\0\x05Hello"),
    ] {
        let socket = ours(&Context::new(), SocketType::Pull);
        let mut peer = Peer::join(&socket, Role::Connects, dialect, SocketType::Push, b"");
        peer.wire.send(octets);
        assert_same(&socket.hear(), &parts(&["Hello"]));
    }
}

/// RFC 23: a peer with a higher number is talked to in our version.
#[test]
fn a_peer_from_the_future_is_a_peer_of_3_1() {
    let socket = ours(&Context::new(), SocketType::Sub);
    socket.subscribe("News").unwrap();
    let mut wire = Wire::join(&socket, Role::Connects);
    let mut greeting = greeting_v3(0, 7);
    greeting[10] = 4;
    wire.send(&greeting);
    wire.send(&ready(SocketType::Pub, b""));
    wire.expect(&V3_1.answer(SocketType::Sub, b""));
    wire.expect(b"\x04\x0E\x09SUBSCRIBENews");
}

/// An identity of 255 octets is the longest there is.
#[test]
fn the_longest_identity() {
    let id = [b'x'; 255];
    for dialect in [Unversioned, V1, V2, V3_0, V3_1] {
        let socket = ours_with(
            &Context::new(),
            SocketType::Router,
            options().routing_id(id.to_vec()),
        );
        let mut peer = Peer::join(&socket, Role::Connects, dialect, SocketType::Dealer, &id);
        peer.send(&["Hello"]);
        assert_same(&socket.hear(), &parts(&[&id[..], b"Hello"]));
    }
}

// ---- heartbeats ----

const BEAT: Duration = Duration::from_millis(50);

#[test]
fn pings_go_out_and_pongs_keep_the_connection() {
    let options = options()
        .heartbeat_ivl(BEAT)
        .heartbeat_timeout(SOON)
        .heartbeat_ttl(Duration::from_secs(3));
    let socket = ours_with(&Context::new(), SocketType::Dealer, options);
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Dealer, b"");
    for _ in 0..3 {
        peer.wire.expect(b"\x04\x07\x04PING\0\x1E");
        peer.wire.send(b"\x04\x05\x04PONG");
    }
    peer.send(&["alive"]);
    assert_same(&socket.hear(), &parts(&["alive"]));
}

#[test]
fn a_ping_is_answered_with_its_context() {
    let socket = ours(&Context::new(), SocketType::Dealer);
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Dealer, b"");
    peer.wire.send(b"\x04\x07\x04PING\0\0");
    peer.wire.expect(b"\x04\x05\x04PONG");
    peer.wire.send(b"\x04\x17\x04PING\0\0sixteen octets !");
    peer.wire.expect(b"\x04\x15\x04PONGsixteen octets !");
    // Between the frames of a message, too.
    peer.wire
        .send(b"\x01\x03one\x04\x0A\x04PING\0\0abc\0\x03two");
    peer.wire.expect(b"\x04\x08\x04PONGabc");
    assert_same(&socket.hear(), &parts(&["one", "two"]));
}

#[test]
fn a_silent_peer_is_given_up() {
    let options = options().heartbeat_ivl(BEAT);
    let socket = ours_with(&Context::new(), SocketType::Dealer, options);
    let monitor = socket.monitor();
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Dealer, b"");
    let event = expect_event(&monitor, EventKind::Disconnected);
    assert!(event.cause.unwrap().contains("HEARTBEAT_TIMEOUT"));
    assert!(peer.wire.expect_end().starts_with(b"\x04\x07\x04PING\0\0"));
}

/// The TTL of a ping is how long its sender may be silent.
#[test]
fn a_peer_is_given_up_after_its_own_ttl() {
    let socket = ours(&Context::new(), SocketType::Pull);
    let monitor = socket.monitor();
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Push, b"");
    peer.wire.send(b"\x04\x07\x04PING\0\x01");
    peer.wire.expect(b"\x04\x05\x04PONG");
    let event = expect_event(&monitor, EventKind::Disconnected);
    assert!(event.cause.unwrap().contains("TTL"));
    assert!(peer.wire.expect_end().is_empty());
}

/// Older peers have no heartbeat and are not given one.
#[test]
fn a_peer_of_2_0_is_not_pinged() {
    let options = options().heartbeat_ivl(Duration::from_millis(1));
    let socket = ours_with(&Context::new(), SocketType::Pair, options);
    for dialect in [Unversioned, V1, V2] {
        let monitor = socket.monitor();
        let mut peer = Peer::join(&socket, Role::Connects, dialect, SocketType::Pair, b"");
        for word in ["one", "two", "three"] {
            peer.send(&[word]);
            assert_same(&socket.hear(), &parts(&[word]));
            socket.send(word).unwrap();
            peer.expect(&[word]);
        }
        assert!(!peer.wire.says_something_within(BEAT));
        drop(peer);
        expect_event(&monitor, EventKind::Disconnected);
    }
}

// ---- peers that are refused ----

/// The pairs that may not be, by the names in READY and by the numbers in ZMTP 2.0. The cause
/// names both types and those that would do.
#[test]
fn incompatible_types_are_refused_by_name_and_by_number() {
    for dialect in [V2, V3_0, V3_1] {
        for role in [Role::Connects, Role::Listens] {
            let socket = ours(&Context::new(), SocketType::Req);
            let monitor = socket.monitor();
            let mut wire = Wire::join(&socket, role);
            wire.send(&dialect.opening(SocketType::Dealer, b""));
            let event = expect_event(&monitor, EventKind::HandshakeFailedProtocol);
            let cause = event.cause.unwrap();
            for word in ["REQ", "DEALER", "REP", "ROUTER"] {
                assert!(cause.contains(word), "{cause}");
            }
            assert!(event.peer.unwrap().starts_with("tcp://127.0.0.1:"));
            let rest = wire.expect_end();
            if dialect > V2 {
                let error = command("ERROR", b"\x19REQ-cannot-talk-to-DEALER");
                assert!(rest.ends_with(&error), "{}", rest.escape_ascii());
            }
        }
    }
}

/// What a peer may not send, and what the event says of it.
macro_rules! refused {
    ($($name:ident: $octets:expr, $kind:ident, $cause:literal;)*) => {$(
        #[test]
        fn $name() {
            let socket = ours(&Context::new(), SocketType::Pull);
            let monitor = socket.monitor();
            let mut wire = Wire::join(&socket, Role::Connects);
            wire.send(&$octets);
            let event = expect_event(&monitor, EventKind::$kind);
            let cause = event.cause.unwrap();
            assert!(cause.contains($cause), "{cause}");
            wire.expect_end();
            // The socket is none the worse.
            let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Push, b"");
            peer.send(&["work"]);
            assert_same(&socket.hear(), &parts(&["work"]));
        }
    )*};
}

refused! {
    another_mechanism: with_mechanism("PLAIN"), HandshakeFailedProtocol, "PLAIN";
    an_unknown_type: with_ready(b"\x0BSocket-Type\0\0\0\x04PUSS"), HandshakeFailedProtocol, "PUSS";
    a_message_before_ready: [greeting_v3(0, 1), frame_v2(0, b"hi")].concat(),
        HandshakeFailedProtocol, "before the handshake";
    a_torn_property: with_ready(b"\x0BSocket-Type\0\0\0\x44PUSH"), HandshakeFailedProtocol,
        "malformed";
    an_error_of_the_peer: [greeting_v3(0, 1), command("ERROR", b"\x05no-go")].concat(),
        HandshakeFailedProtocol, "no-go";
    an_error_of_zap: [greeting_v3(0, 1), command("ERROR", b"\x03400")].concat(),
        HandshakeFailedAuth, "400";
    an_endless_ready: [greeting_v3(0, 1), b"\x06\0\0\0\x7F\0\0\0\0".to_vec()].concat(),
        HandshakeFailedProtocol, "exceeds the limit";
    an_unknown_flag: with_traffic(b"\x40\0"), Disconnected, "protocol";
    a_command_with_more: with_traffic(b"\x05\0"), Disconnected, "protocol";
    a_command_without_a_name: with_traffic(b"\x04\0"), Disconnected, "protocol";
    a_length_beyond_63_bits: with_traffic(b"\x02\xFF\0\0\0\0\0\0\0"), Disconnected, "protocol";
    an_empty_1_0_frame: [V1.opening(SocketType::Push, b""), vec![0]].concat(), Disconnected,
        "protocol";
}

fn with_mechanism(name: &str) -> Vec<u8> {
    let mut greeting = greeting_v3(0, 1);
    greeting[12..32].fill(0);
    greeting[12..12 + name.len()].copy_from_slice(name.as_bytes());
    greeting
}

fn with_ready(properties: &[u8]) -> Vec<u8> {
    [greeting_v3(0, 1), command("READY", properties)].concat()
}

fn with_traffic(octets: &[u8]) -> Vec<u8> {
    [&V3_1.opening(SocketType::Push, b""), octets].concat()
}

/// A command that nobody knows is passed over (RFC 23).
#[test]
fn unknown_commands_are_passed_over() {
    let socket = ours(&Context::new(), SocketType::Pull);
    let mut peer = Peer::join(&socket, Role::Connects, V3_1, SocketType::Push, b"");
    peer.wire.send(&command("WHATEVER", b"of a later version"));
    peer.send(&["work"]);
    assert_same(&socket.hear(), &parts(&["work"]));
}

/// Nothing above MAXMSGSIZE is taken in, whatever the version.
#[test]
fn maxmsgsize_ends_the_connection() {
    for dialect in [Unversioned, V1, V2, V3_0, V3_1] {
        let socket = ours_with(
            &Context::new(),
            SocketType::Pull,
            options().maxmsgsize(1000),
        );
        let monitor = socket.monitor();
        let mut peer = Peer::join(&socket, Role::Connects, dialect, SocketType::Push, b"");
        peer.send(&[[1; 1000]]);
        peer.wire.send(&dialect.message(&[[1; 1001]])[..20]);
        let event = expect_event(&monitor, EventKind::Disconnected);
        assert!(event.cause.unwrap().contains("MAXMSGSIZE"));
        assert_same(&socket.hear(), &[vec![1; 1000]]);
    }
}

/// One that connects and says nothing is sent away after HANDSHAKE_IVL; one that connects anew
/// is tried again by the connecting side.
#[test]
fn a_peer_without_a_word_is_sent_away() {
    let options = options().handshake_ivl(Duration::from_secs(1));
    let socket = ours_with(&Context::new(), SocketType::Pull, options);
    let monitor = socket.monitor();
    let (listener, endpoint) = listen();
    socket.connect(&endpoint).unwrap();
    let mut wire = Wire::accept(&listener);
    let event = expect_event(&monitor, EventKind::HandshakeFailedNoDetail);
    assert!(event.cause.unwrap().contains("HANDSHAKE_IVL"));
    assert_eq!(wire.expect_end(), SIGNATURE);
    let mut again = Wire::accept(&listener);
    again.send(&V3_1.opening(SocketType::Push, b""));
    again.send(&V3_1.message(&["work"]));
    assert_same(&socket.hear(), &parts(&["work"]));
}
