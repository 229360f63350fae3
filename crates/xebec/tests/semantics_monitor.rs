//! The monitor: which events a connection's life brings, in which order, and what they tell.

mod support;

use std::time::Duration;

use support::*;
use xebec::EventKind::{self, *};
use xebec::SocketType::{Dealer, Pub, Pull, Push, Router};
use xebec::{Context, Event, Monitor};

/// The next events, which must be of these kinds.
#[track_caller]
fn expect<const N: usize>(monitor: &Monitor, kinds: [EventKind; N]) -> [Event; N] {
    kinds.map(|kind| {
        let event = monitor
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|| panic!("no event, but {kind:?} should come"));
        assert_eq!(event.kind, kind, "{event}");
        event
    })
}

#[test]
fn both_sides_tell_the_life_of_a_connection_in_order() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        let router = socket(&context, Router);
        let theirs = router.monitor();
        let endpoint = router.bind(&fresh(transport)).unwrap();
        let [listening] = expect(&theirs, [Listening]);
        assert_eq!(
            (&listening.endpoint, &listening.peer, &listening.cause),
            (&endpoint, &None, &None)
        );

        let dealer = socket_with(
            &context,
            Dealer,
            options()
                .routing_id("PEER2")
                .reconnect_ivl(Duration::from_millis(5)),
        );
        let ours = dealer.monitor();
        dealer.connect(&endpoint).unwrap();
        let [delayed, connected, shaken] =
            expect(&ours, [ConnectDelayed, Connected, HandshakeSucceeded]);
        assert_eq!(
            [&delayed.endpoint, &connected.endpoint, &shaken.endpoint],
            [&endpoint; 3]
        );
        assert!(connected.peer.is_some());

        let [accepted, shaken] = expect(&theirs, [Accepted, HandshakeSucceeded]);
        assert_eq!([&accepted.endpoint, &shaken.endpoint], [&endpoint; 2]);
        assert!(
            accepted.peer.is_some() && accepted.peer == shaken.peer,
            "the same peer in both"
        );
        assert_eq!(accepted.routing_id, None, "it is not known yet");
        assert_eq!(shaken.routing_id.as_deref(), Some(&b"PEER2"[..]));

        // The listening side goes away.
        drop(router);
        let [lost, retried] = expect(&ours, [Disconnected, ConnectRetried]);
        assert!(lost.cause.unwrap().contains("closed the connection"));
        assert_eq!(lost.peer, connected.peer);
        assert!(retried.cause.unwrap().contains("trying again"));
        let closing: Vec<EventKind> = std::iter::from_fn(|| theirs.recv_timeout(PATIENCE))
            .map(|event| event.kind)
            .collect();
        assert_eq!(
            closing,
            [Closed, Closed, MonitorStopped],
            "the listener, the connection, the end"
        );
        assert!(theirs.recv().is_none());

        // Nobody is there: each attempt is told, with its cause.
        let failed = await_event(&ours, ConnectRetried);
        assert_eq!(failed.endpoint, endpoint);
        let cause = failed.cause.unwrap();
        assert!(
            cause.contains("efused") || cause.contains("No such file"),
            "{cause}"
        );
        drop(dealer);
    }
}

/// As libzmq tells it: what was tried and closed, then when it is tried again.
#[test]
fn each_attempt_that_fails_is_told_as_closed_and_retried() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        let gone = socket(&context, Pull);
        let endpoint = gone.bind(&fresh(transport)).unwrap();
        drop(gone);
        let pause = Duration::from_millis(4);
        let push = socket_with(&context, Push, options().reconnect_ivl(pause));
        let monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        for _ in 0..3 {
            let told = match transport {
                "tcp" => expect(&monitor, [ConnectDelayed, Closed, ConnectRetried]).to_vec(),
                // The system says at once that nobody is there.
                _ => expect(&monitor, [Closed, ConnectRetried]).to_vec(),
            };
            let [.., closed, retried] = &told[..] else {
                unreachable!()
            };
            if told.len() == 3 {
                let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error() as u64;
                assert_eq!(told[0].value, in_progress);
            }
            for event in &told {
                assert_eq!(event.endpoint, endpoint);
                assert_eq!((&event.peer, &event.local), (&None, &None), "{event}");
            }
            let cause = closed.cause.as_deref().unwrap();
            assert!(
                cause.contains("efused") || cause.contains("No such file"),
                "{cause}"
            );
            // The pause and up to a quarter of it.
            assert!((4..=5).contains(&retried.value), "{}", retried.value);
        }
        drop(push);
        // None follows, and that is said.
        let once = socket_with(&context, Push, options().reconnect_ivl(None));
        let monitor = once.monitor();
        once.connect(&endpoint).unwrap();
        if transport == "tcp" {
            expect(&monitor, [ConnectDelayed]);
        }
        expect(&monitor, [Closed, Closed]);
        drop(once);
        expect(&monitor, [MonitorStopped]);
    }
}

/// The descriptor where there is one, and the address of this side where this side connected.
#[test]
fn events_tell_the_descriptor_and_the_address_of_this_side() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        let pull = socket(&context, Pull);
        let theirs = pull.monitor();
        let endpoint = pull.bind(&fresh(transport)).unwrap();
        let push = socket(&context, Push);
        let ours = push.monitor();
        push.connect(&endpoint).unwrap();
        let [listening, accepted, shaken] =
            expect(&theirs, [Listening, Accepted, HandshakeSucceeded]);
        let [_, connected, shaken_too] =
            expect(&ours, [ConnectDelayed, Connected, HandshakeSucceeded]);
        let numbers = [&listening, &accepted, &connected].map(|event| {
            let name = std::fs::read_link(format!("/proc/self/fd/{}", event.value));
            let name = name.unwrap_or_else(|error| panic!("{event}: {error}"));
            assert!(name.to_string_lossy().starts_with("socket:"), "{event}");
            event.value
        });
        assert!(
            numbers[0] != numbers[1] && numbers[1] != numbers[2] && numbers[0] != numbers[2],
            "{numbers:?}"
        );
        assert_eq!((shaken.value, shaken_too.value), (0, 0));
        // The two sides say the same of their ends.
        assert_eq!((&listening.local, &accepted.local), (&None, &None));
        assert_eq!(connected.local, shaken_too.local);
        assert_eq!(connected.peer.as_ref(), Some(&endpoint));
        assert_eq!(connected.local, accepted.peer);
        drop(push);
        let [closed, _] = expect(&ours, [Closed, MonitorStopped]);
        assert_eq!((closed.value, closed.local), (numbers[2], connected.local));
        assert_eq!((closed.endpoint, closed.peer), (endpoint, connected.peer));
        let [lost] = expect(&theirs, [Disconnected]);
        assert_eq!((lost.value, lost.local), (numbers[1], None));
        drop(pull);
        let [closed] = expect(&theirs, [Closed]);
        assert_eq!(closed.value, numbers[0]);
    }
}

#[test]
fn the_connecting_side_leaves() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        let router = socket(&context, Router);
        let theirs = router.monitor();
        let endpoint = router.bind(&fresh(transport)).unwrap();
        let dealer = socket_with(&context, Dealer, options().routing_id("PEER2"));
        let ours = dealer.monitor();
        dealer.connect(&endpoint).unwrap();
        let [.., shaken] = expect(&theirs, [Listening, Accepted, HandshakeSucceeded]);
        expect(&ours, [ConnectDelayed, Connected, HandshakeSucceeded]);
        dealer.disconnect(&endpoint).unwrap();
        expect(&ours, [Closed]);
        let [lost] = expect(&theirs, [Disconnected]);
        assert_eq!(
            (lost.peer, lost.routing_id.as_deref()),
            (shaken.peer, Some(&b"PEER2"[..])),
            "who it was"
        );
        assert!(lost.cause.is_some());
        drop(dealer);
        expect(&ours, [MonitorStopped]);

        router.unbind(&endpoint).unwrap();
        let [closed] = expect(&theirs, [Closed]);
        assert_eq!(closed.endpoint, endpoint);
    }
}

#[test]
fn a_failure_to_bind_is_told_with_its_cause() {
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        let first = socket(&context, Pull);
        let endpoint = first.bind(&fresh(transport)).unwrap();
        let second = socket(&context, Pull);
        let monitor = second.monitor();
        let error = second.bind(&endpoint).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
        let [failed] = expect(&monitor, [BindFailed]);
        assert_eq!(failed.endpoint, endpoint);
        assert!(failed.cause.unwrap().contains("in use"));
        assert!(monitor.try_recv().is_none());
        // The socket is none the worse for it.
        second.bind(&fresh(transport)).unwrap();
        expect(&monitor, [Listening]);
    }
}

#[test]
fn a_handshake_that_fails_is_told_with_its_cause() {
    let context = Context::new();
    let pull = socket_with(
        &context,
        Pull,
        options().handshake_ivl(Duration::from_millis(50)),
    );
    let monitor = pull.monitor();
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    expect(&monitor, [Listening]);
    type Act = fn(&mut Raw);
    let cases: [(Act, EventKind, &str); 6] = [
        (
            |peer| peer.write(&[&hello("PUSH", b"")[..12], b"NOSUCH", &[0; 46]].concat()),
            HandshakeFailedProtocol,
            "NOSUCH",
        ),
        (
            |peer| peer.write(&hello("SUB", b"")),
            HandshakeFailedProtocol,
            "SUB",
        ),
        (
            |peer| peer.write(&hello("NONSENSE", b"")),
            HandshakeFailedProtocol,
            "NONSENSE",
        ),
        (
            |peer| {
                peer.write(&[&hello("PUSH", b"")[..64], &frame(0, b"a message too soon")].concat())
            },
            HandshakeFailedProtocol,
            "",
        ),
        (
            |peer| peer.0.shutdown(std::net::Shutdown::Both).unwrap(),
            HandshakeFailedNoDetail,
            "closed the connection",
        ),
        (
            |peer| peer.write(&hello("PUSH", b"")[..20]),
            HandshakeFailedNoDetail,
            "HANDSHAKE_IVL",
        ),
    ];
    for (act, kind, word) in cases {
        let mut peer = Raw::connect(&endpoint);
        act(&mut peer);
        let [accepted, failed, _] = expect(&monitor, [Accepted, kind, Disconnected]);
        assert_eq!(accepted.peer, failed.peer);
        let cause = failed.cause.unwrap();
        assert!(cause.contains(word) && !cause.is_empty(), "{cause}");
        peer.await_end();
    }
    assert!(pull.stats().peers.is_empty());
}

#[test]
fn inproc_peers_are_told_of_as_well() {
    let context = Context::new();
    let router = socket(&context, Router);
    let theirs = router.monitor();
    let endpoint = router.bind(&fresh("inproc")).unwrap();
    expect(&theirs, [Listening]);
    let dealer = socket_with(&context, Dealer, options().routing_id("PEER2"));
    let ours = dealer.monitor();
    dealer.connect(&endpoint).unwrap();
    let [shaken] = expect(&theirs, [HandshakeSucceeded]);
    assert_eq!(
        (shaken.endpoint, shaken.routing_id.as_deref()),
        (endpoint.clone(), Some(&b"PEER2"[..]))
    );
    expect(&ours, [HandshakeSucceeded]);
    drop(dealer);
    expect(&ours, [Closed, MonitorStopped]);
    await_peers(&router, 0);
    // It is noticed when the socket is next used.
    assert!(!router.is_readable());
    let [lost] = expect(&theirs, [Disconnected]);
    assert_eq!(lost.routing_id.as_deref(), Some(&b"PEER2"[..]));
}

#[test]
fn a_lost_connection_comes_back_and_is_counted() {
    let context = Context::new();
    let listener = RawListener::new();
    let push = socket_with(
        &context,
        Push,
        options().reconnect_ivl(Duration::from_millis(5)),
    );
    let monitor = push.monitor();
    push.connect(&listener.endpoint()).unwrap();
    for round in 0..5 {
        let peer = listener.accept_as("PULL");
        expect(&monitor, [ConnectDelayed, Connected, HandshakeSucceeded]);
        assert_eq!(push.stats().reconnects, round);
        drop(peer);
        let [lost, _] = expect(&monitor, [Disconnected, ConnectRetried]);
        assert_eq!(lost.endpoint, listener.endpoint());
    }
}

#[test]
fn every_monitor_of_a_socket_is_told() {
    let context = Context::new();
    let publisher = socket(&context, Pub);
    let monitors = [(); 3].map(|()| publisher.monitor());
    publisher.bind(&fresh("tcp")).unwrap();
    let late = publisher.monitor();
    publisher.bind(&fresh("tcp")).unwrap();
    for monitor in &monitors {
        expect(monitor, [Listening, Listening]);
    }
    expect(&late, [Listening]);
    drop(publisher);
    for monitor in monitors.iter().chain([&late]) {
        expect(monitor, [Closed, Closed, MonitorStopped]);
        assert_eq!(monitor.missed(), 0);
    }
}

#[test]
fn a_monitor_that_is_not_read_loses_the_oldest_and_says_how_many() {
    let context = Context::new();
    let pull = socket(&context, Pull);
    let monitor = pull.monitor();
    let first = pull.bind(&fresh("inproc")).unwrap();
    for _ in 0..10_000 {
        let push = socket(&context, Push);
        push.connect(&first).unwrap();
        drop(push);
    }
    assert!(pull.try_recv().is_err());
    let missed = monitor.missed();
    assert!(missed > 0);
    let kept = std::iter::from_fn(|| monitor.try_recv()).count() as u64;
    assert_eq!(
        kept + missed,
        1 + 20_000,
        "listening, and two for each peer"
    );
}

#[test]
fn events_speak_in_one_line() {
    let context = Context::new();
    let dealer = socket(&context, Dealer);
    let monitor = dealer.monitor();
    let endpoint = dealer.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect(&endpoint).shake("DEALER", b"PEER2");
    peer.send(&[b"x"]);
    let [listening, accepted, shaken] = expect(&monitor, [Listening, Accepted, HandshakeSucceeded]);
    let address = format!("tcp://{}", peer.0.local_addr().unwrap());
    assert_eq!(listening.to_string(), format!("Listening {endpoint}"));
    assert_eq!(
        accepted.to_string(),
        format!("Accepted {endpoint} peer {address}")
    );
    assert_eq!(
        shaken.to_string(),
        format!("HandshakeSucceeded {endpoint} peer {address} id [005] PEER2")
    );
    drop(peer);
    let [lost] = expect(&monitor, [Disconnected]);
    assert_eq!(
        lost.to_string(),
        format!(
            "Disconnected {endpoint} peer {address} id [005] PEER2: the peer closed the connection"
        )
    );
}

#[test]
fn a_message_tells_whose_it_is() {
    let context = Context::new();
    let pull = socket(&context, Pull);
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    let peers: Vec<Raw> = (0..3)
        .map(|_| {
            let mut peer = Raw::connect_as(&endpoint, "PUSH");
            let address = format!("tcp://{}", peer.0.local_addr().unwrap());
            peer.send(&[address.as_bytes()]);
            peer
        })
        .collect();
    for _ in 0..3 {
        let got = recv(&pull);
        let info = pull.peer(got.connection().unwrap()).unwrap();
        assert_eq!(
            (info.address.as_str(), info.endpoint.as_str()),
            (&*got.to_string_lossy(), endpoint.as_str())
        );
        assert_eq!(info.socket_type, Some(Push));
    }
    let stats = pull.stats();
    assert_eq!(
        stats
            .peers
            .iter()
            .map(|peer| peer.messages_in)
            .collect::<Vec<_>>(),
        [1, 1, 1]
    );
    assert_eq!(
        stats.bytes_in,
        stats.peers.iter().map(|peer| peer.bytes_in).sum::<u64>()
    );
    drop(peers);
    await_peers(&pull, 0);
    assert_eq!(
        pull.stats().messages_in,
        3,
        "what peers brought that are gone is counted still"
    );
}
