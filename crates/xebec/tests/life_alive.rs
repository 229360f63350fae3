//! How a connection is kept alive and what it may carry: heartbeats in both directions, and
//! MAXMSGSIZE. The peers are raw, so that they can be silent.

#[path = "support/life.rs"]
mod life;

use std::time::{Duration, Instant};

use life::*;
use xebec::{Context, Dealer, EventKind, Options, Pub, Pull, Push, Router, Sub};

/// A listening socket with these options and a raw peer of the given type.
fn pull_and_peer(context: &Context, options: Options) -> (Pull, xebec::Monitor, Raw) {
    let pull = Pull::with_options(context, options).unwrap();
    let monitor = pull.monitor();
    let raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
    event(&monitor, EventKind::HandshakeSucceeded);
    (pull, monitor, raw)
}

fn ping(ttl: u16, context: &[u8]) -> Vec<u8> {
    Raw::command("PING", &[&ttl.to_be_bytes(), context].concat())
}

fn pong(ping: &Framed) -> Vec<u8> {
    Raw::command("PONG", &ping.data()[2..])
}

// ---- our pings ----

#[test]
fn a_peer_that_answers_pings_stays() {
    let context = Context::new();
    let options = quick()
        .heartbeat_ivl(ms(40))
        .heartbeat_timeout(ms(3_000))
        .heartbeat_ttl(ms(500));
    let began = Instant::now();
    let (_pull, monitor, mut raw) = pull_and_peer(&context, options);
    for _ in 0..15 {
        let ping = raw.next_command("PING");
        assert_eq!(
            ping.data()[..2],
            5u16.to_be_bytes(),
            "the TTL in tenths of a second"
        );
        let answer = pong(&ping);
        raw.send(&answer);
    }
    assert!(
        began.elapsed() >= ms(15 * 40),
        "pings come no sooner than HEARTBEAT_IVL"
    );
    assert_eq!(happened(&monitor), []);
}

#[test]
fn a_peer_that_falls_silent_is_dropped() {
    let context = Context::new();
    let options = || quick().heartbeat_ivl(ms(50)).heartbeat_timeout(ms(400));
    let (_pull, monitor, mut raw) = pull_and_peer(&context, options());
    let mut silent = Instant::now();
    for _ in 0..12 {
        let answer = pong(&raw.next_command("PING"));
        silent = Instant::now();
        raw.send(&answer);
    }
    raw.until_closed();
    assert!(silent.elapsed() >= ms(400), "{:?}", silent.elapsed());
    let lost = event(&monitor, EventKind::Disconnected);
    assert!(lost.cause.unwrap().contains("HEARTBEAT_TIMEOUT"));
    // A side that connects does the same, and connects again.
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, options()).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    Raw::accept(&listener).shake("PULL").until_closed();
    event(&monitor, EventKind::Disconnected);
    Raw::accept(&listener).shake("PULL");
}

#[test]
fn the_timeout_is_the_interval_unless_set() {
    let context = Context::new();
    let began = Instant::now();
    let (_pull, monitor, mut raw) = pull_and_peer(&context, quick().heartbeat_ivl(ms(100)));
    raw.until_closed();
    assert!(
        (ms(200)..ms(3_000)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    event(&monitor, EventKind::Disconnected);
}

#[test]
fn a_timeout_of_zero_waits_without_end() {
    let context = Context::new();
    let options = quick()
        .heartbeat_ivl(ms(20))
        .heartbeat_timeout(Duration::ZERO);
    let (_pull, monitor, mut raw) = pull_and_peer(&context, options);
    (0..10).for_each(|_| drop(raw.next_command("PING")));
    assert_eq!(happened(&monitor), []);
}

#[test]
fn whatever_is_heard_counts_as_an_answer() {
    let context = Context::new();
    let options = quick().heartbeat_ivl(ms(40)).heartbeat_timeout(ms(400));
    let (pull, monitor, mut raw) = pull_and_peer(&context, options);
    for _ in 0..15 {
        raw.next_command("PING");
        raw.send(b"\x00\x04data");
    }
    assert_eq!(happened(&monitor), []);
    (0..15).for_each(|_| assert_eq!(text(&pull), "data"));
}

#[test]
fn nothing_is_sent_unless_asked_for() {
    let context = Context::new();
    let (_pull, monitor, raw) = pull_and_peer(&context, quick());
    assert!(raw.is_quiet_for(ms(150)));
    assert_eq!(happened(&monitor), []);
}

/// Each connection is pinged at its own pace, however often it was lost before.
#[test]
fn pings_do_not_multiply_with_reconnects() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(
        &context,
        quick()
            .reconnect_ivl(ms(1))
            .heartbeat_ivl(ms(300))
            .heartbeat_timeout(ms(5_000)),
    )
    .unwrap();
    push.connect(&endpoint).unwrap();
    (0..8).for_each(|_| drop(Raw::accept(&listener).shake("PULL")));
    let raw = Raw::accept(&listener);
    let began = Instant::now();
    let mut raw = raw.shake("PULL");
    (0..3).for_each(|_| drop(raw.next_command("PING")));
    assert!(
        began.elapsed() >= ms(900),
        "three pings in {:?}",
        began.elapsed()
    );
}

// ---- the peer's pings ----

/// No thread of the application is in a call of the library when the ping comes.
#[test]
fn a_ping_is_answered_while_the_application_is_away() {
    let context = Context::new();
    let (_pull, _, mut raw) = pull_and_peer(&context, quick());
    for i in 0..20u8 {
        raw.send(&ping(0, &[b'c', i]));
        assert_eq!(raw.next_command("PONG").data(), [b'c', i]);
    }
    raw.send(&ping(0, b"sixteen octets !"));
    assert_eq!(raw.next_command("PONG").data(), b"sixteen octets !");
    raw.send(&ping(0, b""));
    assert_eq!(raw.next_command("PONG").data(), b"");
}

/// Whatever the application did last with the socket, the background thread takes over.
#[test]
fn a_ping_is_answered_after_every_kind_of_call() {
    type Call = fn(&Dealer);
    let calls: [(&str, Call); 9] = [
        ("recv_timeout in vain", |dealer| {
            assert!(dealer.recv_timeout(ms(5)).is_err())
        }),
        ("recv_timeout of nothing", |dealer| {
            assert!(dealer.recv_timeout(ms(0)).is_err())
        }),
        ("try_recv in vain", |dealer| {
            assert!(dealer.try_recv().is_err())
        }),
        ("send", |dealer| dealer.send("something").unwrap()),
        ("sends in a row", |dealer| {
            (0..50).for_each(|_| dealer.send("something").unwrap())
        }),
        ("poll in vain", |dealer| {
            let mut items = [xebec::PollItem::socket(dealer, xebec::Interest::READ)];
            assert_eq!(xebec::poll(&mut items, Some(ms(5))).unwrap(), 0);
        }),
        ("poll for nothing", |dealer| {
            let mut items = [xebec::PollItem::socket(dealer, xebec::Interest::READ)];
            assert_eq!(xebec::poll(&mut items, Some(ms(0))).unwrap(), 0);
        }),
        ("is_readable", |dealer| {
            assert!(!dealer.as_socket().is_readable())
        }),
        ("stats and options", |dealer| {
            dealer.stats();
            dealer.options();
        }),
    ];
    for (what, call) in calls {
        let context = Context::new();
        let dealer = Dealer::with_options(&context, quick()).unwrap();
        let monitor = dealer.monitor();
        let mut raw = Raw::connect(&dealer.bind(ANY).unwrap()).shake("DEALER");
        event(&monitor, EventKind::HandshakeSucceeded);
        for _ in 0..3 {
            call(&dealer);
            raw.send(&ping(0, what.as_bytes().split_at(what.len().min(16)).0));
            raw.next_command("PONG");
        }
        // New peers are let in as well.
        call(&dealer);
        Raw::connect(&dealer.last_endpoint().unwrap()).shake("ROUTER");
    }
}

/// The same between a receive that succeeded and the next.
#[test]
fn a_ping_is_answered_while_the_application_works_on_a_message() {
    let context = Context::new();
    for patience in [ms(0), SOON] {
        let (pull, _, mut raw) = pull_and_peer(&context, quick());
        for i in 0..10 {
            raw.send(b"\x00\x04work");
            if patience.is_zero() {
                until("the message is there", || pull.try_recv().is_ok());
            } else {
                text(&pull);
            }
            raw.send(&ping(0, &[i]));
            assert_eq!(raw.next_command("PONG").data(), [i]);
        }
    }
}

/// Types that only send answer as well.
#[test]
fn every_type_answers() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let publisher = Pub::new(&context).unwrap();
    let sub = Sub::new(&context).unwrap();
    let router = Router::new(&context).unwrap();
    for (endpoint, peer) in [
        (push.bind(ANY).unwrap(), "PULL"),
        (publisher.bind(ANY).unwrap(), "SUB"),
        (sub.bind(ANY).unwrap(), "PUB"),
        (router.bind(ANY).unwrap(), "DEALER"),
    ] {
        let mut raw = Raw::connect(&endpoint).shake(peer);
        raw.send(&ping(0, b"context"));
        assert_eq!(raw.next_command("PONG").data(), b"context", "to a {peer}");
    }
}

#[test]
fn a_peer_is_given_up_after_its_own_ttl() {
    let context = Context::new();
    let (_pull, monitor, mut raw) = pull_and_peer(&context, quick());
    // As long as it is heard it stays.
    let mut silent = Instant::now();
    for _ in 0..10 {
        silent = Instant::now();
        raw.send(&ping(6, b""));
        raw.next_command("PONG");
        assert!(raw.is_quiet_for(ms(100)));
    }
    raw.until_closed();
    assert!(
        (ms(600)..ms(5_000)).contains(&silent.elapsed()),
        "{:?}",
        silent.elapsed()
    );
    assert!(
        event(&monitor, EventKind::Disconnected)
            .cause
            .unwrap()
            .contains("TTL")
    );
}

/// A peer that pings and does not read gets no more answers than a bound allows.
#[test]
fn answers_do_not_pile_up() {
    in_child("answers_do_not_pile_up", || {
        use std::io::Write;
        let context = Context::new();
        let (pull, _, mut raw) = pull_and_peer(&context, quick().sndbuf(8 * 1024));
        raw.0.set_nonblocking(true).unwrap();
        let before = resident_kib();
        let pings = ping(0, b"sixteen octets !").repeat(1000);
        let (mut sent, began) = (0, Instant::now());
        while sent < 64 << 20 {
            match raw.0.write(&pings[sent % pings.len()..]) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    assert!(
                        ready(&raw.0, rustix::event::PollFlags::OUT, SOON),
                        "it is not read any more"
                    );
                }
            }
        }
        let grown = resident_kib().saturating_sub(before);
        println!(
            "measured: {grown} KiB after {} MiB of pings in {:?}",
            sent >> 20,
            began.elapsed()
        );
        assert!(grown < 8 * 1024, "{grown} KiB");
        // Others are served.
        let mut other = Raw::connect(&pull.last_endpoint().unwrap()).shake("PUSH");
        other.send(b"\x00\x05other");
        assert_eq!(text(&pull), "other");
    });
}

// ---- MAXMSGSIZE ----

#[test]
fn a_frame_above_the_limit_ends_the_connection_before_its_body_comes() {
    let context = Context::new();
    for (limit, header) in [
        (100usize, &b"\x00\x65"[..]),
        (100, b"\x02\x00\x00\x00\x00\x00\x00\x00\x65"),
        (100, b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff"),
        (1 << 20, b"\x02\x00\x00\x00\x00\x00\x10\x00\x01"),
        (0, b"\x00\x01"),
    ] {
        let (pull, monitor, mut raw) = pull_and_peer(&context, quick().maxmsgsize(limit));
        raw.send(header);
        raw.until_closed();
        let lost = event(&monitor, EventKind::Disconnected);
        assert!(lost.cause.unwrap().contains("MAXMSGSIZE"), "{limit}");
        assert_nothing(&pull);
    }
}

#[test]
fn a_frame_at_the_limit_passes() {
    let context = Context::new();
    for limit in [0usize, 1, 100, 255, 256, 70_000] {
        let (pull, _, mut raw) = pull_and_peer(&context, quick().maxmsgsize(limit));
        raw.send(&Raw::frame(&vec![7; limit]));
        assert_eq!(message(&pull).size(), limit);
    }
}

#[test]
fn the_limit_holds_for_those_connected_to_and_for_the_whole_context() {
    let context = Context::builder().max_message_size(1000).build();
    let (listener, endpoint) = raw_listener();
    let pull = Pull::with_options(&context, quick()).unwrap();
    let monitor = pull.monitor();
    pull.connect(&endpoint).unwrap();
    let mut raw = Raw::accept(&listener).shake("PUSH");
    raw.send(&Raw::frame(&[1; 1000]));
    assert_eq!(message(&pull).size(), 1000);
    raw.send(&Raw::frame(&[1; 1001])[..9]);
    raw.until_closed();
    assert!(
        event(&monitor, EventKind::Disconnected)
            .cause
            .unwrap()
            .contains("1001 bytes")
    );
    // And it connects again.
    Raw::accept(&listener).shake("PUSH").send(b"\x00\x05again");
    assert_eq!(text(&pull), "again");
}
