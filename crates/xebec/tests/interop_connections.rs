//! How connections between Xebec and libzmq come, are kept, are refused, and come back.

mod interop;

use std::time::{Duration, Instant};

use interop::{
    End, Place, SOON, assert_same, expect_event, ipc, options, ours, ours_with, parts, tcp, theirs,
    until,
};
use xebec::{Context, EventKind, Monitor, SocketType};
use xebec_peers::libzmq::{self, HEARTBEAT_IVL, HEARTBEAT_TIMEOUT, HEARTBEAT_TTL};
use xebec_peers::libzmq_or_skip;

// ---- identities ----

/// Each side sees the identity that the other has set, in its messages and in its events.
macro_rules! identities {
    ($($name:ident: $kind:ident, $id:expr;)*) => {
        mod identity_of_libzmq_at_xebec {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let Some(zmq) = libzmq_or_skip() else { return };
                    let (context, their_context) = (Context::new(), zmq.context());
                    let router = ours(&context, SocketType::Router);
                    let monitor = router.monitor();
                    let peer = theirs(&their_context, SocketType::$kind);
                    named(&router, &peer, &$id);
                    let event = expect_event(&monitor, EventKind::HandshakeSucceeded);
                    assert_eq!(event.routing_id.unwrap(), $id[..]);
                }
            )*
        }

        mod identity_of_xebec_at_libzmq {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let Some(zmq) = libzmq_or_skip() else { return };
                    let (context, their_context) = (Context::new(), zmq.context());
                    let router = theirs(&their_context, SocketType::Router);
                    let peer = ours(&context, SocketType::$kind);
                    named(&router, &peer, &$id);
                }
            )*
        }
    };
}

identities! {
    req: Req, *b"PEER2";
    dealer: Dealer, *b"PEER2";
    one_octet: Dealer, *b"x";
    any_octets: Dealer, [1, 0, 255, 13, 10, 0];
    the_longest: Dealer, [b'i'; 255];
}

fn named(router: &dyn End, peer: &dyn End, id: &[u8]) {
    peer.identify(id);
    peer.connect(&router.bind(&tcp()));
    peer.say(&parts(&["Hello"]));
    let request = router.hear();
    assert_same(&request[..1], &[id.to_vec()]);
    let mut reply = request.clone();
    *reply.last_mut().unwrap() = b"World".to_vec();
    router.say(&reply);
    assert_same(&peer.hear(), &parts(&["World"]));
}

/// Without an identity each ROUTER makes one up: a zero octet and four more.
#[test]
fn generated_identities_have_five_octets_on_both_sides() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let (our_router, their_router) = (
        ours(&context, SocketType::Router),
        theirs(&their_context, SocketType::Router),
    );
    let ends: [(&dyn End, &dyn End); 2] = [
        (&our_router, &theirs(&their_context, SocketType::Dealer)),
        (&their_router, &ours(&context, SocketType::Dealer)),
    ];
    for (router, dealer) in ends {
        dealer.connect(&router.bind(&tcp()));
        dealer.say(&parts(&["Hello"]));
        let request = router.hear();
        assert_eq!((request[0].len(), request[0][0]), (5, 0), "{request:?}");
    }
}

/// PROBE_ROUTER: an empty message as soon as there is a connection, from each type that has it.
macro_rules! probes {
    ($($name:ident: $kind:ident;)*) => {$(
        #[test]
        fn $name() {
            let Some(zmq) = libzmq_or_skip() else { return };
            let (context, their_context) = (Context::new(), zmq.context());
            let (router, peer) = (
                ours(&context, SocketType::Router),
                theirs(&their_context, SocketType::$kind),
            );
            probed(&router, &peer);
            let (router, peer) = (
                theirs(&their_context, SocketType::Router),
                ours(&context, SocketType::$kind),
            );
            probed(&router, &peer);
        }
    )*};
}

probes! {
    probe_of_req: Req;
    probe_of_dealer: Dealer;
    probe_of_router: Router;
}

fn probed(router: &dyn End, peer: &dyn End) {
    peer.identify(b"PEER");
    peer.probe();
    peer.connect(&router.bind(&tcp()));
    assert_same(&router.hear_while_serving(peer), &parts(&["PEER", ""]));
}

// ---- heartbeats ----

const BEAT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(1);

/// Idle connections live for much longer than their heartbeats would let them without pongs,
/// whichever side beats.
#[test]
fn heartbeats_keep_idle_connections() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let cases = [(true, false), (false, true), (true, true)];
    let connections: Vec<_> = cases
        .into_iter()
        .flat_map(|case| [(case, tcp()), (case, ipc())])
        .map(|((we_beat, they_beat), place)| {
            let mut options = options();
            if we_beat {
                options = options
                    .heartbeat_ivl(BEAT)
                    .heartbeat_timeout(PATIENCE)
                    .heartbeat_ttl(PATIENCE);
            }
            let ours = ours_with(&context, SocketType::Dealer, options);
            let theirs = theirs(&their_context, SocketType::Dealer);
            if they_beat {
                theirs.set_int(HEARTBEAT_IVL, 50).unwrap();
                theirs.set_int(HEARTBEAT_TIMEOUT, 1000).unwrap();
                theirs.set_int(HEARTBEAT_TTL, 1000).unwrap();
            }
            let monitor = ours.monitor();
            theirs.connect(&ours.bind(&place).unwrap()).unwrap();
            expect_event(&monitor, EventKind::HandshakeSucceeded);
            (ours, theirs, monitor)
        })
        .collect();
    // Nothing is to happen, so there is nothing else to wait for.
    let end = Instant::now() + 5 * PATIENCE / 2;
    for (ours, theirs, monitor) in &connections {
        let event = monitor.recv_timeout(end.saturating_duration_since(Instant::now()));
        assert_eq!(event, None);
        ours.send("still there").unwrap();
        assert_same(&theirs.hear(), &parts(&["still there"]));
    }
}

// ---- types that do not go together ----

/// For each type of ours, all of libzmq's that it may not talk to, whoever connects.
macro_rules! refusals {
    ($($name:ident: $kind:ident;)*) => {$(
        #[test]
        fn $name() {
            refuse_all(SocketType::$kind);
        }
    )*};
}

refusals! {
    pair_refuses: Pair;
    pub_refuses: Pub;
    sub_refuses: Sub;
    req_refuses: Req;
    rep_refuses: Rep;
    dealer_refuses: Dealer;
    router_refuses: Router;
    pull_refuses: Pull;
    push_refuses: Push;
    xpub_refuses: Xpub;
    xsub_refuses: Xsub;
}

fn refuse_all(kind: SocketType) {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let strangers = SocketType::ALL
        .iter()
        .filter(|other| other.number() < 11 && !kind.accepts(**other));
    for &stranger in strangers {
        let socket = ours(&context, kind);
        let monitor = socket.monitor();
        let peer = theirs(&their_context, stranger);
        peer.connect(&socket.bind(&tcp()).unwrap()).unwrap();
        expect_refusal(&monitor, kind, stranger);
        peer.disconnect(&peer.last_endpoint().unwrap()).unwrap();
        assert_eq!(socket.stats().connections, 0);

        let socket = ours(&context, kind);
        let monitor = socket.monitor();
        socket.connect(&peer.bind(&tcp()).unwrap()).unwrap();
        expect_refusal(&monitor, kind, stranger);
        assert_eq!(socket.stats().connections, 0);
    }
}

/// libzmq hangs up when it has read our type, mostly before it has told its own. Either way the
/// event names our type and those that would do.
fn expect_refusal(monitor: &Monitor, kind: SocketType, stranger: SocketType) {
    let event = until("a refusal", || {
        let event = monitor.recv_timeout(SOON).expect("an event");
        assert_ne!(event.kind, EventKind::HandshakeSucceeded, "{event}");
        event.cause.is_some().then_some(event)
    });
    let cause = event.cause.unwrap();
    match event.kind {
        EventKind::HandshakeFailedProtocol => {
            let exact = format!("is a {stranger} socket, which a {kind} socket cannot talk to");
            assert!(cause.contains(&exact), "{cause}");
        }
        EventKind::HandshakeFailedNoDetail => {
            assert!(
                cause.contains(&format!("refuse a {kind} socket")),
                "{cause}"
            );
        }
        other => panic!("{other:?}: {cause}"),
    }
    for friend in kind.peers() {
        assert!(cause.contains(friend.name()), "{cause}");
    }
}

// ---- coming and going ----

/// Xebec connects before libzmq binds, over both transports.
#[test]
fn we_may_be_there_first() {
    let Some(zmq) = libzmq_or_skip() else { return };
    for place in [tcp as fn() -> Place, ipc] {
        let (context, their_context) = (Context::new(), zmq.context());
        let endpoint = free_endpoint(zmq, place);
        let push = ours(&context, SocketType::Push);
        let monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        push.send("queued before there was a peer").unwrap();
        expect_event(&monitor, EventKind::ConnectRetried);
        let pull = theirs(&their_context, SocketType::Pull);
        pull.bind(&endpoint).unwrap();
        let queued = parts(&["queued before there was a peer"]);
        assert_same(&pull.hear(), &queued);
    }
}

#[test]
fn libzmq_may_be_there_first() {
    let Some(zmq) = libzmq_or_skip() else { return };
    for place in [tcp as fn() -> Place, ipc] {
        let (context, their_context) = (Context::new(), zmq.context());
        let endpoint = free_endpoint(zmq, place);
        let push = theirs(&their_context, SocketType::Push);
        let monitor = push.monitor().unwrap();
        push.connect(&endpoint).unwrap();
        push.say(&parts(&["queued before there was a peer"]));
        monitor.wait_for(libzmq::EVENT_CONNECT_RETRIED).unwrap();
        let pull = ours(&context, SocketType::Pull);
        pull.bind(&endpoint).unwrap();
        let queued = parts(&["queued before there was a peer"]);
        assert_same(&pull.hear(), &queued);
    }
}

/// An endpoint at which nobody listens any more.
fn free_endpoint(zmq: &'static libzmq::Library, place: fn() -> Place) -> Place {
    let pair = theirs(&zmq.context(), SocketType::Pair);
    Place(End::bind(&pair, &place()))
}

/// A libzmq server goes away and another comes to the same place; Xebec's client finds it.
macro_rules! comes_back {
    ($($name:ident: $ours:ident, $theirs:ident, $place:expr;)*) => {$(
        #[test]
        fn $name() {
            let Some(zmq) = libzmq_or_skip() else { return };
            let context = Context::new();
            let client = ours(&context, SocketType::$ours);
            let monitor = client.monitor();
            let endpoint = free_endpoint(zmq, $place);
            client.connect(&endpoint).unwrap();
            for round in 0..3u8 {
                // A context of its own, which is gone with its server, and with it the listener.
                let their_context = zmq.context();
                let server = theirs(&their_context, SocketType::$theirs);
                End::bind(&server, &endpoint);
                expect_event(&monitor, EventKind::HandshakeSucceeded);
                client.send([round]).unwrap();
                let request = server.hear();
                assert_same(&request[request.len() - 1..], &[vec![round]]);
                End::say(&server, &request);
                assert_same(&client.hear(), &[vec![round]]);
                drop(server);
                drop(their_context);
                expect_event(&monitor, EventKind::Disconnected);
            }
            assert_eq!(client.stats().reconnects, 2);
        }
    )*};
}

comes_back! {
    rep_comes_back_over_tcp: Req, Rep, tcp;
    rep_comes_back_over_ipc: Req, Rep, ipc;
    router_comes_back_over_tcp: Dealer, Router, tcp;
    router_comes_back_over_ipc: Dealer, Router, ipc;
    pair_comes_back_over_tcp: Pair, Pair, tcp;
}

/// A Xebec server goes away and another comes to the same place; libzmq's client finds it.
#[test]
fn libzmq_comes_back_to_us() {
    let Some(zmq) = libzmq_or_skip() else { return };
    for place in [tcp as fn() -> Place, ipc] {
        let their_context = zmq.context();
        let client = theirs(&their_context, SocketType::Req);
        let endpoint = free_endpoint(zmq, place);
        client.connect(&endpoint).unwrap();
        for round in 0..3u8 {
            let context = Context::new();
            let server = ours(&context, SocketType::Rep);
            server.bind(&endpoint).unwrap();
            client.say(&[vec![round]]);
            assert_same(&server.hear(), &[vec![round]]);
            server.send("done").unwrap();
            assert_same(&client.hear(), &parts(&["done"]));
        }
    }
}

/// An ipc name that is not a file, on either side.
#[test]
fn abstract_ipc_names_are_shared() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    for bound_by_us in [true, false] {
        let (ours, theirs) = (
            ours(&context, SocketType::Pair),
            theirs(&their_context, SocketType::Pair),
        );
        let ends: [&dyn End; 2] = [&ours, &theirs];
        let (bound, connected) = match bound_by_us {
            true => (ends[0], ends[1]),
            false => (ends[1], ends[0]),
        };
        let name = format!("ipc://@xebec-{}-{bound_by_us}", std::process::id());
        connected.connect(&bound.bind(&name));
        connected.say(&parts(&["Hello"]));
        assert_same(&bound.hear(), &parts(&["Hello"]));
    }
}

/// RFC 31: a PAIR has one peer; a second one is turned away and the first is not disturbed.
#[test]
fn a_second_pair_is_turned_away() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let pair = ours(&context, SocketType::Pair);
    let monitor = pair.monitor();
    let endpoint = pair.bind(&tcp()).unwrap();
    let first = theirs(&their_context, SocketType::Pair);
    first.connect(&endpoint).unwrap();
    first.say(&parts(&["first"]));
    assert_same(&pair.hear(), &parts(&["first"]));
    let second = theirs(&their_context, SocketType::Pair);
    second.connect(&endpoint).unwrap();
    let event = until("a refusal", || {
        monitor
            .recv_timeout(SOON)
            .filter(|event| event.cause.is_some())
    });
    assert!(
        event.cause.as_ref().unwrap().contains("one peer"),
        "{event}"
    );
    pair.send("still").unwrap();
    assert_same(&first.hear(), &parts(&["still"]));
}
