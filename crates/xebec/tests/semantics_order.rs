//! Order, fairness and wholeness: what one peer sends arrives in order and in one piece, whoever
//! drives the connection and however the peer ends, and no peer is served at another's cost.

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use support::*;
use xebec::SocketType::{Dealer, Pair, Pub, Pull, Push, Router, Sub};
use xebec::{Context, Drops, EventKind, Message, Socket, SocketType};

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Stops for a while, so that the background thread takes the socket over.
fn pause(dice: &mut Dice) {
    match dice.roll(4) {
        0 => std::thread::yield_now(),
        1 => std::thread::sleep(Duration::from_micros(dice.roll(300))),
        // Longer than two ticks: the lease is taken back.
        _ => std::thread::sleep(Duration::from_micros(2000 + dice.roll(3000))),
    }
}

// ---- order ----

/// Large bodies come into memory that was another's, which was longer or shorter.
#[test]
fn bodies_of_every_length_arrive_as_they_were_sent() {
    let context = Context::new();
    for batch in [64 << 10, 4 << 20] {
        let pull = socket_with(&context, Pull, options().in_batch_size(batch));
        let push = socket(&context, Push);
        push.connect(&pull.bind(&fresh("tcp")).unwrap()).unwrap();
        let lengths = [
            60_000, 40_000, 33_000, 70_000, 9_000, 1_048_576, 600_000, 2_500_000, 1_300_000, 8_192,
        ];
        let lengths = lengths.into_iter().cycle().take(40).zip(1u8..);
        let sender = Working::start({
            let lengths = lengths.clone();
            move || {
                for (len, n) in lengths {
                    push.send(message([&vec![n; len], &[n; 3][..]])).unwrap();
                }
                push
            }
        });
        for (len, n) in lengths {
            let message = recv(&pull);
            assert_eq!((message.len(), message[0].len()), (2, len));
            assert!(message[0].iter().all(|&byte| byte == n), "{n}");
            assert_eq!(message[1], [n; 3]);
        }
        sender.join();
    }
}

/// A million messages from three senders to one receiver, all of which pause at random; the
/// receiver changes between the forms of the call.
fn nothing_is_lost_or_reordered(transport: &str, total: u64) {
    const SENDERS: u64 = 3;
    let context = Context::new();
    let pull = socket(&context, Pull);
    let endpoint = pull.bind(&fresh(transport)).unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let push = socket_with(&context, Push, xebec::Options::new());
            push.connect(&endpoint).unwrap();
            Working::start(move || {
                let mut dice = Dice(sender + 1);
                for n in 0..total / SENDERS {
                    let head = [sender.to_be_bytes(), n.to_be_bytes()].concat();
                    if n % 1000 == 0 {
                        // One in a thousand is in several frames, of which one is large.
                        push.send(message([&head, &[], &[n as u8; 10_000]]))
                            .unwrap();
                    } else {
                        push.send(head).unwrap();
                    }
                    if dice.roll(10_000) == 0 {
                        pause(&mut dice);
                    }
                }
                push.stats()
            })
        })
        .collect();

    let mut dice = Dice(99);
    let mut next = [0; SENDERS as usize];
    for received in 0..total / SENDERS * SENDERS {
        let got = match dice.roll(100) {
            0..90 => pull.recv_timeout(PATIENCE).unwrap(),
            90..95 => block_on(pull.recv_async()).unwrap(),
            95..98 => loop {
                if let Ok(got) = pull.try_recv() {
                    break got;
                }
                std::thread::yield_now();
            },
            _ => {
                assert!(pull.is_readable() || received > 0);
                recv(&pull)
            }
        };
        let (sender, n) = got.first().split_at(8);
        let sender = u64::from_be_bytes(sender.try_into().unwrap()) as usize;
        assert_eq!(
            u64::from_be_bytes(n.try_into().unwrap()),
            next[sender],
            "from {sender}"
        );
        if next[sender].is_multiple_of(1000) {
            assert_eq!((got.len(), got[1].len(), got[2].len()), (3, 0, 10_000));
        }
        next[sender] += 1;
        if dice.roll(10_000) == 0 {
            pause(&mut dice);
        }
    }
    for sender in senders {
        let stats = sender.join();
        assert_eq!(
            (stats.messages_out, stats.dropped),
            (total / SENDERS, Drops::default())
        );
    }
    let stats = pull.stats();
    assert_eq!(stats.messages_in, total / SENDERS * SENDERS);
    assert_eq!((stats.queued_in, stats.dropped), (0, Drops::default()));
}

#[test]
fn a_million_messages_in_order_over_tcp() {
    nothing_is_lost_or_reordered("tcp", 1_000_000);
}

#[test]
fn messages_in_order_over_ipc() {
    nothing_is_lost_or_reordered("ipc", 200_000);
}

#[test]
fn messages_in_order_over_inproc() {
    nothing_is_lost_or_reordered("inproc", 400_000);
}

#[test]
fn both_directions_keep_their_order_at_once() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (a, b) = (socket(&context, Pair), socket(&context, Pair));
        b.connect(&a.bind(&fresh(transport)).unwrap()).unwrap();
        // Each sends and receives on one thread, as it comes; neither may block for good.
        let talk = |socket: Socket, seed: u64| {
            Working::start(move || {
                const MESSAGES: u64 = 30_000;
                let mut dice = Dice(seed);
                let (mut sent, mut received) = (0u64, 0u64);
                while sent < MESSAGES || received < MESSAGES {
                    for _ in 0..dice.roll(100) {
                        if sent < MESSAGES && socket.try_send(sent.to_be_bytes()).is_ok() {
                            sent += 1;
                        }
                    }
                    for _ in 0..dice.roll(100) {
                        if received < MESSAGES
                            && let Ok(got) =
                                socket.recv_timeout(Duration::from_millis(dice.roll(2)))
                        {
                            assert_eq!(got.body(), &received.to_be_bytes());
                            received += 1;
                        }
                    }
                    if dice.roll(1000) == 0 {
                        pause(&mut dice);
                    }
                }
                socket
            })
        };
        let (a, b) = (talk(a, 1), talk(b, 2));
        let (a, b) = (a.join(), b.join());
        drop((a, b));
    }
}

#[test]
fn messages_of_every_size_arrive_as_they_were() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket(&context, Pull);
        let push = socket_with(&context, Push, xebec::Options::new());
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let edges = [
            1,
            62,
            63,
            254,
            255,
            256,
            4096,
            8 * 1024,
            32 * 1024,
            64 * 1024,
            1 << 20,
        ];
        let mut sizes: Vec<usize> = edges.iter().flat_map(|&edge| edge - 1..=edge + 1).collect();
        sizes.push(20_000_000);
        let pattern: Vec<u8> = (0..=252).collect();
        let body = move |len: usize| {
            let mut body = pattern.repeat(len / pattern.len() + 1);
            body.truncate(len);
            body
        };
        let sending = Working::start({
            let (sizes, body) = (sizes.clone(), body.clone());
            move || {
                for &size in &sizes {
                    push.send(body(size)).unwrap();
                    // And between small frames.
                    push.send(message([b"before", &body(size), b"after"]))
                        .unwrap();
                }
                push
            }
        });
        for &size in &sizes {
            let expected = body(size);
            assert!(recv(&pull).body() == &expected, "{size} over {transport}");
            let got = recv(&pull);
            assert_eq!(
                (got.len(), &got[0][..], &got[2][..]),
                (3, &b"before"[..], &b"after"[..])
            );
            assert!(got[1] == expected, "{size} over {transport}");
        }
        drop(sending.join());
    }
}

#[test]
fn a_message_of_many_frames_arrives_whole() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket(&context, Pull);
        let push = socket_with(&context, Push, xebec::Options::new());
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let many: Message = (0..20_000u32).map(u32::to_be_bytes).collect();
        send(&push, many.clone());
        assert!(recv(&pull) == many);
    }
}

// ---- wholeness ----

/// Where a raw peer stops: after this many bytes of a message of three frames.
fn dying_peer(kind: SocketType, stop_at: impl Fn(usize) -> Option<usize>, reset: bool) {
    let context = Context::new();
    let socket = socket(&context, kind);
    if kind == Sub {
        socket.subscribe("").unwrap();
    }
    let monitor = socket.monitor();
    let endpoint = socket.bind(&fresh("tcp")).unwrap();
    let peer_type = match kind {
        Router => "DEALER",
        Pull => "PUSH",
        Sub => "PUB",
        _ => "PAIR",
    };
    let large = vec![9; 100_000];
    let wire = frames(&[b"first", &large, b"last"]);
    let mut round = 0;
    while let Some(stop) = stop_at(round) {
        let mut peer = Raw::connect_as(&endpoint, peer_type);
        peer.send(&[b"whole", b"one"]);
        peer.write(&wire[..stop.min(wire.len() - 1)]);
        if reset {
            // What is whole must be received first: a reset takes back what was not read.
            assert_eq!(recv_text(&socket).last().unwrap(), "one");
            peer.reset();
        } else {
            drop(peer);
        }
        let event = await_event(&monitor, EventKind::Disconnected);
        assert!(event.cause.is_some());
        if !reset {
            let got = recv_text(&socket);
            assert_eq!(got[got.len() - 2..], ["whole", "one"]);
        }
        let stats = socket.stats();
        assert_eq!(
            stats.queued_in, 0,
            "nothing of the broken message, stopped at {stop}"
        );
        round += 1;
    }
    // Nor is anything of it left for the next peer.
    let mut next = Raw::connect_as(&endpoint, peer_type);
    next.send(&[b"next"]);
    assert_eq!(recv_text(&socket).last().unwrap(), "next");
    assert_eq!(socket.stats().messages_in, round as u64 + 1);
    assert_eq!(socket.stats().peers.len(), 1);
}

#[test]
fn a_peer_that_dies_within_a_message_leaves_nothing() {
    // In the first header, in the first body, between frames, in the header and in the body of a
    // large frame, before the last frame, in it.
    let stops = [
        1, 2, 4, 7, 8, 12, 16, 17, 5000, 66_000, 100_015, 100_016, 100_017, 100_018, 100_020,
    ];
    for kind in [Pull, Router, Sub, Pair] {
        for reset in [false, true] {
            dying_peer(kind, |round| stops.get(round).copied(), reset);
        }
    }
}

#[test]
fn a_receiver_that_dies_within_a_message_gets_the_rest_of_none_later() {
    let context = Context::new();
    let listener = RawListener::new();
    let push = socket_with(
        &context,
        Push,
        options()
            .sndbuf(16 * 1024)
            .reconnect_ivl(Duration::from_millis(5)),
    );
    push.connect(&listener.endpoint()).unwrap();
    let mut first = listener.accept_as("PULL");
    let large = vec![9; 20_000_000];
    send(&push, message([b"first", &large, b"last"]));
    send(&push, message([b"second", b"whole"]));
    let (flags, body) = first.read_frame();
    assert_eq!((flags, &body[..]), (1, &b"first"[..]));
    drop(first);
    let mut second = listener.accept_as("PULL");
    await_peers(&push, 1);
    send(&push, message([b"third", b"whole"]));
    // What was not yet encoded may come; of the message that was cut nothing does.
    let mut got: VecDeque<Vec<Vec<u8>>> = VecDeque::from([second.recv()]);
    while got.back().unwrap()[0] != b"third" {
        got.push_back(second.recv());
    }
    for message in got {
        assert_eq!((message.len(), &message[1][..]), (2, &b"whole"[..]));
    }
    assert!(
        push.stats().dropped.peer_gone >= 1,
        "the message that was cut is counted"
    );
}

#[test]
fn what_arrived_before_a_write_failed_is_received() {
    let context = Context::new();
    // The application is away: most of what arrives stays in the kernel.
    let dealer = socket_with(&context, Dealer, options().rcvhwm(1).rcvbuf(2_000_000));
    let endpoint = dealer.bind(&fresh("tcp")).unwrap();
    let monitor = dealer.monitor();
    for _ in 0..20 {
        let mut peer = Raw::connect_as(&endpoint, "DEALER");
        await_event(&monitor, EventKind::HandshakeSucceeded);
        for n in 0..30u8 {
            peer.send(&[&[n; 10_000]]);
        }
        drop(peer);
        // The peer is gone; writing to it fails sooner or later.
        eventually("a write fails", || {
            let _ = dealer.try_send("to nobody");
            dealer.stats().connections == 0
        });
        let got: Vec<u8> = std::iter::from_fn(|| dealer.recv_timeout(SHORT).ok())
            .map(|got| got.body()[0])
            .collect();
        assert_eq!(got, (0..30).collect::<Vec<_>>());
    }
}

// ---- limits ----

#[test]
fn maxmsgsize_ends_a_connection_with_an_event() {
    for kind in [Pull, Router] {
        let context = Context::new();
        let socket = socket_with(&context, kind, options().maxmsgsize(1000));
        let monitor = socket.monitor();
        let endpoint = socket.bind(&fresh("tcp")).unwrap();
        let peer_type = if kind == Pull { "PUSH" } else { "DEALER" };
        let mut good = Raw::connect_as(&endpoint, peer_type);
        for wire in [
            frame(0, &[7; 1001]),
            frame(0, &[7; 100_000])[..9].to_vec(),
            [&[2][..], &(i64::MAX as u64).to_be_bytes()].concat(),
        ] {
            let mut peer = Raw::connect_as(&endpoint, peer_type);
            peer.send(&[&[7; 1000]]);
            assert_eq!(recv(&socket).body().len(), 1000, "as many are allowed");
            peer.write(&wire);
            let event = await_event(&monitor, EventKind::Disconnected);
            let cause = event.cause.unwrap();
            assert!(
                cause.contains("MAXMSGSIZE") && cause.contains("1000"),
                "{cause}"
            );
            peer.await_end();
        }
        good.send(&[b"not concerned"]);
        assert_eq!(recv_text(&socket).last().unwrap(), "not concerned");
    }
}

#[test]
fn a_peer_that_breaks_the_protocol_is_disconnected_alone() {
    let context = Context::new();
    let pull = socket(&context, Pull);
    let monitor = pull.monitor();
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    let mut good = Raw::connect_as(&endpoint, "PUSH");
    for wire in [
        &[0x80, 0][..],
        &[5, 0],
        &[4, 1, 9],
        &[2, 0xff, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut peer = Raw::connect_as(&endpoint, "PUSH");
        peer.send(&[b"good so far"]);
        peer.write(wire);
        assert_eq!(recv_text(&pull), ["good so far"]);
        let cause = await_event(&monitor, EventKind::Disconnected)
            .cause
            .unwrap();
        assert!(cause.contains("broke the protocol"), "{cause}");
        peer.await_end();
    }
    good.send(&[b"not concerned"]);
    assert_eq!(recv_text(&pull), ["not concerned"]);
}

// ---- fairness ----

#[test]
fn round_robin_is_exact() {
    for transport in TRANSPORTS {
        for (from, to) in [(Push, Pull), (Dealer, Dealer)] {
            let context = Context::new();
            let sender = socket(&context, from);
            let receivers = [(); 3].map(|()| socket(&context, to));
            for receiver in &receivers {
                sender
                    .connect(&receiver.bind(&fresh(transport)).unwrap())
                    .unwrap();
            }
            await_peers(&sender, 3);
            for n in 0..300u32 {
                send(&sender, n.to_be_bytes());
            }
            for n in 0..300u32 {
                assert_eq!(
                    recv(&receivers[n as usize % 3]).body(),
                    &n.to_be_bytes(),
                    "{transport}"
                );
            }
        }
    }
}

#[test]
fn a_receiver_takes_from_flooding_peers_in_turn() {
    for transport in TRANSPORTS {
        for (from, to) in [(Push, Pull), (Dealer, Router)] {
            let context = Context::new();
            let receiver = socket_with(&context, to, options().rcvhwm(100));
            let endpoint = receiver.bind(&fresh(transport)).unwrap();
            let senders: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let sender = socket_with(&context, from, options().sndhwm(100));
                    sender.connect(&endpoint).unwrap();
                    (0..100).for_each(|_| send(&sender, name));
                    sender
                })
                .into();
            let waiting = 3 * 100;
            eventually("all have arrived", || receiver.stats().queued_in == waiting);
            let order: Vec<String> = (0..300)
                .map(|_| recv(&receiver).body().to_string_lossy().into_owned())
                .collect();
            for turn in order.chunks(3) {
                let mut turn = turn.to_vec();
                turn.sort();
                assert_eq!(turn, ["a", "b", "c"], "{transport}");
            }
            drop(senders);
        }
    }
}

#[test]
fn a_quiet_peer_is_heard_beside_a_flooding_one() {
    let context = Context::new();
    let pull = socket_with(&context, Pull, options().rcvbuf(1 << 20));
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    let quiet = socket(&context, Push);
    quiet.connect(&endpoint).unwrap();
    // Many small messages at a time: the kernel always has more of them than the receiver takes.
    let mut flood = Raw::connect_as(&endpoint, "PUSH");
    await_peers(&pull, 2);
    let flooding = Working::start(move || {
        let wire = frame(0, b"flood").repeat(20_000);
        while std::io::Write::write_all(&mut flood.0, &wire).is_ok() {}
    });
    // The receiver never has to wait, and so never sleeps.
    for _ in 0..100_000 {
        recv(&pull);
    }
    for round in 0..20 {
        quiet.send("quiet").unwrap();
        let since = Instant::now();
        let mut others = 0;
        while recv(&pull).body() != "quiet" {
            others += 1;
            assert!(
                since.elapsed() < Duration::from_secs(2),
                "round {round}: not heard among {others} others"
            );
        }
    }
    drop(pull);
    flooding.join();
}

#[test]
fn a_peer_that_was_full_gets_its_turns_again() {
    let context = Context::new();
    let push = socket_with(&context, Push, options().sndhwm(10));
    let listeners = [(); 2].map(|()| RawListener::new());
    let mut peers = Vec::new();
    for listener in &listeners {
        push.connect(&listener.endpoint()).unwrap();
        peers.push(listener.accept_as("PULL"));
    }
    await_peers(&push, 2);
    let mut slow = peers.pop().unwrap();
    let mut fast = peers.pop().unwrap();
    let reading = Working::start(move || fast.read_to_end().len());
    // The slow one does not read: all go to the other once it is full.
    let body = Message::from(vec![7; 32 * 1024]);
    for _ in 0..2000 {
        send(&push, body.clone());
    }
    let passed_over = push
        .stats()
        .peers
        .iter()
        .map(|peer| peer.messages_out)
        .min()
        .unwrap();
    assert!(passed_over < 1000, "{passed_over}");
    // It reads again: it is soon given messages again, though the sender never had to wait.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let draining = Working::start(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            slow.0
                .set_read_timeout(Some(Duration::from_millis(10)))
                .unwrap();
            let _ = std::io::Read::read(&mut slow.0, &mut [0; 65536]);
        }
    });
    eventually("the slow one gets messages again", || {
        (0..10).for_each(|_| send(&push, body.clone()));
        push.stats()
            .peers
            .iter()
            .all(|peer| peer.messages_out > passed_over + 10)
    });
    drop(push);
    assert!(reading.join() > 1000 * 32 * 1024);
    drop(stop);
    draining.join();
}

#[test]
fn a_publisher_gives_a_subscriber_what_another_misses() {
    let context = Context::new();
    let publisher = socket_with(&context, Pub, options().sndhwm(10).sndbuf(16 * 1024));
    let endpoint = publisher.bind(&fresh("tcp")).unwrap();
    let mut slow = Raw::connect_as(&endpoint, "SUB");
    slow.write(&frame(0, b"\x01"));
    let fast = socket_with(&context, Sub, options().rcvhwm(0));
    fast.subscribe("n").unwrap();
    fast.connect(&endpoint).unwrap();
    eventually("both have subscribed", || publisher.topics() == Some(2));
    let body = vec![7; 16 * 1024];
    for n in 0..3000u32 {
        send(&publisher, message([b"n", &n.to_be_bytes(), &body]));
        assert_eq!(recv(&fast)[1], n.to_be_bytes());
    }
    assert!(publisher.stats().dropped.high_water_mark > 0);
}
