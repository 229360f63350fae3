//! How connections are made, lost and made again: back-off, jitter, when to stop, time limits of
//! connecting, queueing for peers that are not there, and the handshake's time limit.

#[path = "support/life.rs"]
mod life;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use life::*;
use rustix::event::PollFlags;
use xebec::{
    AddressErrorKind, Context, Dealer, EventKind, Monitor, Pull, Push, ReconnectStop, Router,
    SendErrorKind, Sub, Xpub,
};

/// The pause that a ConnectRetried event announces.
fn pause(monitor: &Monitor) -> Duration {
    let cause = event(monitor, EventKind::ConnectRetried)
        .cause
        .expect("a cause");
    let pause = cause
        .rsplit_once(" in ")
        .and_then(|(_, rest)| rest.strip_suffix(" ms"))
        .expect("a pause");
    ms(pause.parse().expect("a number"))
}

// ---- coming back ----

#[test]
fn a_client_comes_back_to_a_server_that_restarts() {
    for kind in ["tcp", "ipc"] {
        let context = Context::new();
        let dealer = Dealer::with_options(&context, quick()).unwrap();
        let monitor = dealer.monitor();
        let mut endpoint = if kind == "tcp" {
            ANY.to_owned()
        } else {
            "ipc://@xebec-restart".to_owned()
        };
        for round in 0..4 {
            let router = Router::with_options(&context, quick()).unwrap();
            endpoint = router.bind(&endpoint).unwrap();
            if round == 0 {
                dealer.connect(&endpoint).unwrap();
            }
            event(&monitor, EventKind::HandshakeSucceeded);
            dealer.send(round.to_string()).unwrap();
            assert_eq!(text(&router), round.to_string());
            drop(router);
            event(&monitor, EventKind::Disconnected);
            event(&monitor, EventKind::ConnectRetried);
        }
        assert_eq!(dealer.stats().reconnects, 3);
    }
}

/// What was accepted while the server was away arrives when it is back, in order, once.
#[test]
fn what_is_sent_meanwhile_waits() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let monitor = push.monitor();
    let first = Pull::new(&context).unwrap();
    let endpoint = first.bind(ANY).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("first").unwrap();
    assert_eq!(text(&first), "first");
    drop(first);
    event(&monitor, EventKind::Disconnected);
    (0..500).for_each(|i| push.send_timeout(i.to_string(), SOON).unwrap());
    let second = Pull::new(&context).unwrap();
    second.bind(&endpoint).unwrap();
    (0..500).for_each(|i| assert_eq!(text(&second), i.to_string()));
    assert_nothing(&second);
}

#[test]
fn subscriptions_are_told_again_to_a_publisher_that_restarts() {
    let context = Context::new();
    let sub = Sub::with_options(&context, quick()).unwrap();
    let topics: Vec<String> = (0..2_000).map(|i| format!("topic {i:04}")).collect();
    topics
        .iter()
        .for_each(|topic| sub.subscribe(topic).unwrap());
    let mut endpoint = ANY.to_owned();
    for round in 0..2 {
        let xpub = Xpub::with_options(&context, quick().rcvhwm(0)).unwrap();
        endpoint = xpub.bind(&endpoint).unwrap();
        if round == 0 {
            sub.connect(&endpoint).unwrap();
        }
        let mut told: Vec<String> = topics.iter().map(|_| text(&xpub)[1..].to_owned()).collect();
        told.sort();
        assert_eq!(told, topics);
        xpub.send("topic 1999 again").unwrap();
        assert_eq!(text(&sub), "topic 1999 again");
    }
}

/// A listening peer is killed in the middle of a message: the next connection begins afresh.
#[test]
fn half_a_message_is_forgotten() {
    let context = Context::new();
    let pull = Pull::with_options(&context, quick()).unwrap();
    let (listener, endpoint) = raw_listener();
    pull.connect(&endpoint).unwrap();
    let mut raw = Raw::accept(&listener).shake("PUSH");
    raw.send(b"\x01\x05part1");
    raw.send(b"\x00\x64not all of it");
    drop(raw);
    let mut raw = Raw::accept(&listener).shake("PUSH");
    raw.send(b"\x00\x05whole");
    let got = message(&pull);
    assert_eq!((got.len(), got.to_string_lossy()), (1, "whole".into()));
}

// ---- how long it waits ----

#[test]
fn the_pause_doubles_up_to_its_maximum() {
    let context = Context::new();
    let push = Push::with_options(
        &context,
        quick()
            .linger(ms(0))
            .reconnect_ivl(ms(20))
            .reconnect_ivl_max(ms(160)),
    )
    .unwrap();
    let monitor = push.monitor();
    let (began, mut announced) = (Instant::now(), Duration::ZERO);
    push.connect(&nobody()).unwrap();
    for expected in [20, 40, 80, 160, 160, 160].map(ms) {
        let pause = pause(&monitor);
        assert!(
            (expected..=expected * 5 / 4).contains(&pause),
            "{pause:?} for {expected:?}"
        );
        assert!(
            began.elapsed() >= announced,
            "{:?} where {announced:?} had been announced",
            began.elapsed()
        );
        announced += pause;
    }
}

#[test]
fn the_pause_is_constant_without_a_maximum_or_with_a_smaller_one() {
    for most in [None, Some(ms(1))] {
        let context = Context::new();
        let push = Push::with_options(
            &context,
            quick()
                .linger(ms(0))
                .reconnect_ivl(ms(8))
                .reconnect_ivl_max(most),
        )
        .unwrap();
        let monitor = push.monitor();
        push.connect(&nobody()).unwrap();
        for _ in 0..8 {
            let pause = pause(&monitor);
            assert!((ms(8)..=ms(10)).contains(&pause), "{pause:?}");
        }
    }
}

#[test]
fn a_connection_that_was_made_resets_the_pause() {
    let context = Context::new();
    let push = Push::with_options(
        &context,
        quick()
            .linger(ms(0))
            .reconnect_ivl(ms(10))
            .reconnect_ivl_max(ms(10_000)),
    )
    .unwrap();
    let monitor = push.monitor();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    assert!((0..10).any(|_| pause(&monitor) >= ms(40)));
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    event(&monitor, EventKind::HandshakeSucceeded);
    drop(pull);
    let pause = pause(&monitor);
    assert!(pause <= ms(13), "{pause:?}");
}

#[test]
fn pauses_are_scattered() {
    let context = Context::new();
    let options = || quick().linger(ms(0)).reconnect_ivl(ms(1000));
    let pushes: Vec<_> = (0..16)
        .map(|_| Push::with_options(&context, options()).unwrap())
        .collect();
    let mut pauses: Vec<Duration> = pushes
        .iter()
        .map(|push| {
            let monitor = push.monitor();
            push.connect(&nobody()).unwrap();
            pause(&monitor)
        })
        .collect();
    assert!(
        pauses
            .iter()
            .all(|pause| (ms(1000)..=ms(1250)).contains(pause)),
        "{pauses:?}"
    );
    pauses.sort();
    pauses.dedup();
    assert!(
        pauses.len() > 4,
        "sixteen clients come back at only {} times",
        pauses.len()
    );
}

#[test]
fn without_an_interval_there_is_one_attempt() {
    let context = Context::new();
    let push = Push::with_options(&context, quick().reconnect_ivl(None)).unwrap();
    let monitor = push.monitor();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    assert!(
        event(&monitor, EventKind::Closed)
            .cause
            .unwrap()
            .contains("refused")
    );
    // Nobody will ever take a message there.
    assert_eq!(
        push.try_send("lost").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    let pull = Pull::new(&context).unwrap();
    let endpoint = pull.bind(&endpoint).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("a new connect").unwrap();
    assert_eq!(text(&pull), "a new connect");
    drop(pull);
    event(&monitor, EventKind::Disconnected);
    event(&monitor, EventKind::Closed);
    assert_eq!(
        push.try_send("lost").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
}

// ---- when it stops ----

/// The greeting of a peer with a security mechanism that nobody knows.
fn stranger() -> [u8; 64] {
    let mut greeting = Raw::greeting();
    greeting[12..17].copy_from_slice(b"XYZZY");
    greeting
}

fn stopping(context: &Context, stop: ReconnectStop) -> (Push, Monitor) {
    let push = Push::with_options(context, quick().linger(2 * SOON).reconnect_stop(stop)).unwrap();
    let monitor = push.monitor();
    (push, monitor)
}

#[test]
fn stops_when_the_connection_is_refused() {
    let context = Context::new();
    let (push, monitor) = stopping(&context, ReconnectStop::CONN_REFUSED);
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    push.try_send("for nobody").ok();
    assert!(
        event(&monitor, EventKind::Closed)
            .cause
            .unwrap()
            .contains("refused")
    );
    assert_eq!(
        push.try_send("for nobody").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    assert_eq!(push.stats().peers.len(), 0);
    assert!(matches!(
        push.disconnect(&endpoint).unwrap_err().kind,
        AddressErrorKind::NotFound
    ));
    // LINGER is long, but nothing can ever leave: closing does not wait.
    soon("closing after the reconnection stopped", move || {
        drop((push, context))
    });
}

#[test]
fn a_refusal_after_a_loss_stops_too_and_other_losses_do_not() {
    let context = Context::new();
    let (push, monitor) = stopping(&context, ReconnectStop::CONN_REFUSED);
    let (listener, endpoint) = raw_listener();
    push.connect(&endpoint).unwrap();
    drop(Raw::accept(&listener).shake("PULL"));
    let raw = Raw::accept(&listener).shake("PULL");
    drop((listener, raw));
    assert!(
        event(&monitor, EventKind::Closed)
            .cause
            .unwrap()
            .contains("refused")
    );
    soon("closing", move || drop((push, context)));
}

#[test]
fn stops_when_the_handshake_fails() {
    // A peer with a mechanism of its own, one of the wrong type, one that hangs up, one that says
    // nothing.
    let peers: [(&str, fn(Raw)); 4] = [
        ("mechanism", |mut raw| {
            raw.send(&stranger());
            raw.until_closed();
        }),
        ("type", |mut raw| {
            raw.send(&Raw::greeting());
            raw.send(&Raw::ready("PUB"));
            raw.until_closed();
        }),
        ("hangs up", drop),
        ("silent", |mut raw| raw.until_closed()),
    ];
    for (name, peer) in peers {
        let context = Context::new();
        let options = quick()
            .linger(2 * SOON)
            .handshake_ivl(ms(100))
            .reconnect_stop(ReconnectStop::HANDSHAKE_FAILED);
        let push = Push::with_options(&context, options).unwrap();
        let monitor = push.monitor();
        let (listener, endpoint) = raw_listener();
        push.connect(&endpoint).unwrap();
        push.try_send("for nobody").ok();
        peer(Raw::accept(&listener));
        let failed = std::iter::from_fn(|| monitor.recv_timeout(SOON))
            .find(|event| event.kind.number() & 0x6800 != 0);
        assert!(failed.is_some_and(|event| event.cause.is_some()), "{name}");
        event(&monitor, EventKind::Closed);
        assert_eq!(
            push.try_send("for nobody").unwrap_err().kind,
            SendErrorKind::WouldBlock,
            "{name}"
        );
        soon("closing", move || drop((push, context)));
        assert!(
            !ready(&listener, PollFlags::IN, ms(50)),
            "{name}: it came again"
        );
    }
}

#[test]
fn handshakes_that_fail_are_tried_again_otherwise() {
    let context = Context::new();
    let (push, monitor) = stopping(
        &context,
        ReconnectStop::CONN_REFUSED | ReconnectStop::AFTER_DISCONNECT,
    );
    let (listener, endpoint) = raw_listener();
    push.connect(&endpoint).unwrap();
    push.send("at last").unwrap();
    for _ in 0..3 {
        let mut raw = Raw::accept(&listener);
        raw.send(&stranger());
        raw.until_closed();
        event(&monitor, EventKind::HandshakeFailedProtocol);
    }
    let mut raw = Raw::accept(&listener).shake("PULL");
    assert_eq!(raw.next().unwrap().body, b"at last");
}

/// What still waited when the application disconnected is given up at the first failure; while
/// it is connected, losses are repaired as ever.
#[test]
fn stops_after_a_disconnect_by_the_application() {
    let context = Context::new();
    let (push, monitor) = stopping(&context, ReconnectStop::AFTER_DISCONNECT);
    let (listener, endpoint) = raw_listener();
    push.connect(&endpoint).unwrap();
    drop(Raw::accept(&listener).shake("PULL"));
    event(&monitor, EventKind::Disconnected);
    let raw = Raw::accept(&listener).shake("PULL");
    drop((listener, raw));
    event(&monitor, EventKind::ConnectRetried);
    push.send("given up").unwrap();
    push.disconnect(&endpoint).unwrap();
    event(&monitor, EventKind::Closed);
    assert_eq!(push.stats().peers.len(), 0);
    soon("closing", move || drop((push, context)));
}

#[test]
fn a_disconnect_goes_on_trying_otherwise() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let monitor = push.monitor();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    push.send("kept").unwrap();
    event(&monitor, EventKind::ConnectRetried);
    push.disconnect(&endpoint).unwrap();
    event(&monitor, EventKind::ConnectRetried);
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    assert_eq!(text(&pull), "kept");
}

// ---- limits of time ----

/// A listening socket that answers nobody: its queue is full. Returns what keeps it so.
fn never_answers() -> (TcpListener, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(
            &"127.0.0.1:0"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        )
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address);
        let answered = ready(&client, PollFlags::OUT, ms(100));
        waiting.push(client);
        assert!(waiting.len() < 10, "the queue never fills");
        if !answered {
            return (listener.into(), waiting);
        }
    }
}

#[test]
fn an_attempt_ends_after_connect_timeout() {
    let context = Context::new();
    let (listener, _full) = never_answers();
    let push =
        Push::with_options(&context, quick().linger(ms(0)).connect_timeout(ms(150))).unwrap();
    let monitor = push.monitor();
    let began = Instant::now();
    push.connect(&format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    let retried = event(&monitor, EventKind::ConnectRetried);
    assert!(retried.cause.unwrap().contains("CONNECT_TIMEOUT"));
    assert!(began.elapsed() >= ms(150));
    event(&monitor, EventKind::ConnectRetried);
    assert!(began.elapsed() >= ms(300));
    // An attempt that goes on does not delay the end.
    soon("closing", move || drop((push, context)));
}

#[test]
fn an_attempt_that_is_answered_in_time_is_not_cut_off() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, quick().connect_timeout(ms(50))).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let mut raw = Raw::accept(&listener).shake("PULL");
    event(&monitor, EventKind::HandshakeSucceeded);
    // Well after the limit.
    assert!(raw.is_quiet_for(ms(150)));
    push.send("still here").unwrap();
    assert_eq!(raw.next().unwrap().body, b"still here");
}

#[test]
fn a_peer_that_says_nothing_is_dropped_after_handshake_ivl() {
    let context = Context::new();
    let options = || quick().handshake_ivl(ms(150));
    // As the side that accepts, with more or less of a handshake, and as the one that connects.
    let greeting = Raw::greeting();
    for said in [
        &[][..],
        &greeting[..1],
        &greeting[..10],
        &greeting[..11],
        &greeting[..63],
        &greeting[..],
    ] {
        let pull = Pull::with_options(&context, options()).unwrap();
        let monitor = pull.monitor();
        let endpoint = pull.bind(ANY).unwrap();
        let began = Instant::now();
        let mut raw = Raw::connect(&endpoint);
        raw.send(said);
        raw.until_closed();
        assert!(began.elapsed() >= ms(150), "{:?}", began.elapsed());
        let failed = event(&monitor, EventKind::HandshakeFailedNoDetail);
        assert!(failed.cause.unwrap().contains("HANDSHAKE_IVL"));
        assert_eq!(
            failed.peer,
            Some(format!("tcp://{}", raw.0.local_addr().unwrap()))
        );
    }
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, options()).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    Raw::accept(&listener).until_closed();
    event(&monitor, EventKind::HandshakeFailedNoDetail);
    Raw::accept(&listener).shake("PULL");
    event(&monitor, EventKind::HandshakeSucceeded);
}

/// The limit of one connection's handshake is not that of the next.
#[test]
fn each_handshake_has_its_own_time() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, quick().handshake_ivl(ms(600))).unwrap();
    push.connect(&endpoint).unwrap();
    let began = Instant::now();
    let raw = Raw::accept(&listener);
    assert!(raw.is_quiet_for(ms(0)) || raw.0.peek(&mut [0]).is_ok());
    // Lost in the middle of its time; the next is still at it when that time would be over.
    std::thread::sleep(ms(300));
    drop(raw);
    let mut raw = Raw::accept(&listener);
    raw.read_exact(10);
    let rest = ms(700).saturating_sub(began.elapsed());
    assert!(
        raw.is_quiet_for(rest),
        "closed by the time limit of the connection before"
    );
}

// ---- IMMEDIATE ----

#[test]
fn immediate_queues_for_nobody() {
    let context = Context::new();
    let push = Push::with_options(&context, quick().immediate(true)).unwrap();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    assert_eq!(
        push.try_send("nobody").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    assert!(!push.as_socket().is_writable());
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    push.send_timeout("connected", SOON).unwrap();
    assert_eq!(text(&pull), "connected");
    drop(pull);
    until("the loss is noticed", || {
        push.try_send("nobody")
            .is_err_and(|error| error.kind == SendErrorKind::WouldBlock)
    });
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    push.send_timeout("again", SOON).unwrap();
    // What went to the first before the loss was noticed is lost or comes first.
    assert!((0..3).any(|_| text(&pull) == "again"));
}

#[test]
fn immediate_sends_all_to_those_who_are_there() {
    for (immediate, arrive) in [(true, 20), (false, 10)] {
        let context = Context::new();
        let push =
            Push::with_options(&context, quick().linger(ms(0)).immediate(immediate)).unwrap();
        let monitor = push.monitor();
        let pull = Pull::new(&context).unwrap();
        push.connect(&nobody()).unwrap();
        push.connect(&pull.bind(ANY).unwrap()).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
        (0..20).for_each(|i| push.send_timeout(i.to_string(), SOON).unwrap());
        (0..arrive).for_each(|_| drop(text(&pull)));
        assert_nothing(&pull);
        assert_eq!(push.stats().queued_out, 20 - arrive);
    }
}

/// A peer that is lost takes no more messages even while something from it waits to be received.
#[test]
fn immediate_with_something_left_to_receive() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let dealer = Dealer::with_options(&context, quick().linger(ms(0)).immediate(true)).unwrap();
    let monitor = dealer.monitor();
    dealer.connect(&endpoint).unwrap();
    let mut raw = Raw::accept(&listener).shake("ROUTER");
    raw.send(b"\x00\x05first\x00\x06second");
    drop((raw, listener));
    event(&monitor, EventKind::Disconnected);
    assert_eq!(
        dealer.try_send("nobody").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    assert_eq!([text(&dealer), text(&dealer)], ["first", "second"]);
    assert_eq!(
        dealer.try_send("nobody").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    // And it is still connecting.
    event(&monitor, EventKind::ConnectRetried);
    let router = Router::new(&context).unwrap();
    router.bind(&endpoint).unwrap();
    dealer.send_timeout("somebody", SOON).unwrap();
    assert_eq!(text(&router), "somebody");
}
