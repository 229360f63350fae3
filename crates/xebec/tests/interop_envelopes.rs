//! The envelopes of the Guide's chapter 3, frame by frame, with libzmq in the other roles.
//!
//! Each conversation is held twice: once with Xebec in the middle and libzmq around it, once the
//! other way round.

mod interop;

use std::time::Duration;

use interop::{
    End, Parts, assert_same, behind, body, expect_event, options, ours, ours_with, parts, tcp,
    theirs, until,
};
use xebec::{Context, EventKind, Message, SendErrorKind, Socket, SocketType};
use xebec_peers::libzmq;
use xebec_peers::libzmq_or_skip;

/// Makes sockets of one implementation.
type Maker<'a> = &'a dyn Fn(SocketType) -> Box<dyn End>;

/// A test over two makers, run with Xebec as the first and as the second.
macro_rules! both_ways {
    ($($test:ident)*) => {$(
        mod $test {
            use super::*;

            #[test]
            fn xebec_in_the_middle() {
                with_makers(|ours, theirs| super::$test(ours, theirs));
            }

            #[test]
            fn libzmq_in_the_middle() {
                with_makers(|ours, theirs| super::$test(theirs, ours));
            }
        }
    )*};
}

both_ways! {
    identity
    router_to_req
    router_to_dealer
    router_to_rep
    dealer_to_rep
    load_balancing_broker
    many_hops
}

fn with_makers(test: impl FnOnce(Maker<'_>, Maker<'_>)) {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    test(&|kind| Box::new(ours(&context, kind)), &|kind| {
        Box::new(theirs(&their_context, kind))
    });
}

/// The Guide's `identity`: what a ROUTER sees of a REQ without an identity and of one with.
fn identity(middle: Maker<'_>, around: Maker<'_>) {
    let router = middle(SocketType::Router);
    let endpoint = router.bind(&tcp());
    let anonymous = around(SocketType::Req);
    anonymous.connect(&endpoint);
    anonymous.say(&parts(&["ROUTER uses a generated 5 byte identity"]));
    let first = dump(&router.hear());
    let identified = around(SocketType::Req);
    identified.identify(b"PEER2");
    identified.connect(&endpoint);
    identified.say(&parts(&["ROUTER socket uses REQ's socket identity"]));
    let second = dump(&router.hear());

    assert!(first[1].starts_with("[005] 00") && first[1].len() == 16);
    assert_eq!(first[0], "-".repeat(40));
    assert_eq!(
        first[2..],
        ["[000] ", "[039] ROUTER uses a generated 5 byte identity"]
    );
    let expected = [
        "----------------------------------------",
        "[005] PEER2",
        "[000] ",
        "[040] ROUTER socket uses REQ's socket identity",
    ];
    assert_eq!(second, expected);
}

/// The Guide's `s_dump`.
fn dump(message: &Parts) -> Vec<String> {
    let message: Message = message.iter().collect();
    let frames = message.frames().map(|frame| format!("{frame:?}"));
    std::iter::once("-".repeat(40)).chain(frames).collect()
}

const WORKERS: usize = 5;

/// `rtreq`: whichever worker asks is answered; the delimiter is ROUTER's to see and to send.
fn router_to_req(middle: Maker<'_>, around: Maker<'_>) {
    let boss = middle(SocketType::Router);
    let endpoint = boss.bind(&tcp());
    let workers: Vec<_> = (0..WORKERS).map(|_| around(SocketType::Req)).collect();
    for worker in &workers {
        worker.connect(&endpoint);
        worker.say(&parts(&["Hi Boss"]));
    }
    let mut known = Vec::new();
    for round in 0..3 {
        for _ in 0..WORKERS {
            let request = boss.hear();
            assert_same(&request[1..], &parts(&["", "Hi Boss"]));
            if round == 0 {
                known.push(request[0].clone());
            }
            assert!(known.contains(&request[0]));
            let order = if round < 2 { "Work harder" } else { "Fired!" };
            boss.say(&behind(&[&request[0]], &parts(&["", order])));
        }
        for worker in &workers {
            let order = worker.hear();
            if round < 2 {
                assert_same(&order, &parts(&["Work harder"]));
                worker.say(&parts(&["Hi Boss"]));
            } else {
                assert_same(&order, &parts(&["Fired!"]));
            }
        }
    }
    known.sort();
    known.dedup();
    assert_eq!(known.len(), WORKERS);
}

/// `rtdealer`: a DEALER puts the delimiter in by hand, or leaves it out.
fn router_to_dealer(middle: Maker<'_>, around: Maker<'_>) {
    let boss = middle(SocketType::Router);
    let worker = around(SocketType::Dealer);
    worker.identify(b"A");
    worker.connect(&boss.bind(&tcp()));
    worker.say(&parts(&["", "Hi Boss"]));
    assert_same(&boss.hear(), &parts(&["A", "", "Hi Boss"]));
    boss.say(&parts(&["A", "", "Work harder"]));
    boss.say(&parts(&["nobody", "", "goes nowhere without a word"]));
    boss.say(&parts(&["A", "This is the workload"]));
    assert_same(&worker.hear(), &parts(&["", "Work harder"]));
    assert_same(&worker.hear(), &parts(&["This is the workload"]));
}

/// `rtpapa`: a DEALER stands for the ROUTER that a REP may not have; the whole stack comes back.
fn router_to_rep(middle: Maker<'_>, around: Maker<'_>) {
    let papa = middle(SocketType::Rep);
    let front = around(SocketType::Dealer);
    front.connect(&papa.bind(&tcp()));
    let stack = ["address 3", "address 2", "address 1", ""];
    front.say(&parts(&["no delimiter, no request"]));
    front.say(&behind(&stack, &parts(&["This is the workload"])));
    assert_same(&papa.hear(), &parts(&["This is the workload"]));
    papa.say(&parts(&["This is", "", "the reply"]));
    let reply = parts(&["This is", "", "the reply"]);
    assert_same(&front.hear(), &behind(&stack, &reply));
}

/// A DEALER talks to many REPs without waiting: one request to each in turn, as often as it likes.
fn dealer_to_rep(middle: Maker<'_>, around: Maker<'_>) {
    let dealer = middle(SocketType::Dealer);
    let servers: Vec<_> = (0..WORKERS).map(|_| around(SocketType::Rep)).collect();
    for server in &servers {
        dealer.connect(&server.bind(&tcp()));
    }
    for n in 0..3 * WORKERS {
        dealer.say(&parts(&["", &n.to_string()]));
    }
    let mut shares = Vec::new();
    for server in &servers {
        let mut share = Vec::new();
        for _ in 0..3 {
            let request = server.hear();
            let n: usize = String::from_utf8_lossy(&request[0]).parse().unwrap();
            share.push(n);
            server.say(&request);
        }
        // In turn: each gets every fifth.
        assert!(share.is_sorted() && share.iter().all(|n| n % WORKERS == share[0]));
        shares.extend(share);
    }
    shares.sort_unstable();
    assert!(shares.into_iter().eq(0..3 * WORKERS));
    let mut replies: Vec<Parts> = (0..3 * WORKERS).map(|_| dealer.hear()).collect();
    replies.sort();
    replies.dedup();
    assert_eq!(replies.len(), 3 * WORKERS);
    assert!(replies.iter().all(|reply| reply[0].is_empty()));
}

/// `lbbroker`, each frame on each of its six ways.
fn load_balancing_broker(middle: Maker<'_>, around: Maker<'_>) {
    let (front, back) = (middle(SocketType::Router), middle(SocketType::Router));
    let (client, worker) = (around(SocketType::Req), around(SocketType::Req));
    client.identify(b"CLIENT");
    worker.identify(b"WORKER");
    client.connect(&front.bind(&tcp()));
    worker.connect(&back.bind(&tcp()));

    worker.say(&parts(&["READY"]));
    assert_same(&back.hear(), &parts(&["WORKER", "", "READY"]));
    for _ in 0..3 {
        client.say(&parts(&["HELLO"]));
        assert_same(&front.hear(), &parts(&["CLIENT", "", "HELLO"]));
        back.say(&parts(&["WORKER", "", "CLIENT", "", "HELLO"]));
        assert_same(&worker.hear(), &parts(&["CLIENT", "", "HELLO"]));
        worker.say(&parts(&["CLIENT", "", "OK"]));
        assert_same(&back.hear(), &parts(&["WORKER", "", "CLIENT", "", "OK"]));
        front.say(&parts(&["CLIENT", "", "OK"]));
        assert_same(&client.hear(), &parts(&["OK"]));
    }
}

/// A chain of brokers, each a ROUTER and a DEALER, of both implementations by turns: as many
/// addresses are put on the stack on the way there as there are hops, and taken off on the way
/// back.
fn many_hops(middle: Maker<'_>, around: Maker<'_>) {
    const HOPS: usize = 7;
    let makers = [middle, around];
    let hops: Vec<_> = (0..HOPS)
        .map(|n| {
            let make = makers[n % 2];
            let (front, back) = (make(SocketType::Router), make(SocketType::Dealer));
            back.identify(format!("hop {n}").as_bytes());
            (front, back)
        })
        .collect();
    let (client, server, rep) = (
        around(SocketType::Req),
        middle(SocketType::Router),
        middle(SocketType::Rep),
    );
    client.identify(b"client");
    client.connect(&hops[0].0.bind(&tcp()));
    for n in 1..HOPS {
        hops[n - 1].1.connect(&hops[n].0.bind(&tcp()));
    }
    let last = &hops[HOPS - 1].1;

    // To a ROUTER that shows the stack, then to a REP that hides it.
    let ends: [&dyn End; 2] = [&*server, &*rep];
    for end in ends {
        let endpoint = end.bind(&tcp());
        last.connect(&endpoint);
        client.say(&parts(&["Hello", "", "World"]));
        for (front, back) in &hops {
            back.say(&front.hear());
        }
        let request = end.hear();
        let mut names: Vec<String> = (0..HOPS).rev().map(|n| format!("hop {n}")).collect();
        names.extend(["client".to_owned(), String::new()]);
        let mut stack = parts(&names);
        if end.kind() == SocketType::Rep {
            stack.clear();
        }
        assert_same(&request, &behind(&stack, &parts(&["Hello", "", "World"])));
        end.say(&behind(&stack, &parts(&["Fine", "", "thanks"])));
        for (front, back) in hops.iter().rev() {
            front.say(&back.hear());
        }
        assert_same(&client.hear(), &parts(&["Fine", "", "thanks"]));
        last.disconnect(&endpoint);
    }
}

// ---- messages that cannot be delivered ----

fn to(peer: &str, body: &[u8]) -> Message {
    [peer.as_bytes(), body].into_iter().collect()
}

/// Dropped without a word, and counted.
#[test]
fn an_unroutable_message_is_dropped() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let router = ours(&context, SocketType::Router);
    let peer = theirs(&their_context, SocketType::Dealer);
    peer.identify(b"PEER");
    peer.connect(&router.bind(&tcp()).unwrap()).unwrap();
    peer.say(&parts(&["Hello"]));
    router.hear();
    router.try_send(to("nobody", b"lost")).unwrap();
    router.try_send(to("PEER", b"found")).unwrap();
    assert_same(&peer.hear(), &parts(&["found"]));
    let stats = router.stats();
    assert_eq!((stats.dropped.unroutable, stats.messages_out), (1, 1));
}

/// ROUTER_MANDATORY: refused, before the peer is there and after it has gone.
#[test]
fn a_mandatory_message_is_refused() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let options = options().router_mandatory(true);
    let router = ours_with(&context, SocketType::Router, options);
    let monitor = router.monitor();
    let refused = || {
        let error = router.send(to("PEER", b"work")).unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Unroutable);
        assert_eq!(error.message, to("PEER", b"work"));
    };
    refused();
    let peer = theirs(&their_context, SocketType::Dealer);
    peer.identify(b"PEER");
    peer.connect(&router.bind(&tcp()).unwrap()).unwrap();
    expect_event(&monitor, EventKind::HandshakeSucceeded);
    router.send(to("PEER", b"work")).unwrap();
    assert_same(&peer.hear(), &parts(&["work"]));
    drop(peer);
    expect_event(&monitor, EventKind::Disconnected);
    refused();
    assert_eq!(router.stats().dropped.unroutable, 0);
}

const LARGE: usize = 100_000;

/// A ROUTER whose peer has stopped receiving, after a first exchange.
fn with_a_full_peer(mandatory: bool, test: impl FnOnce(&Socket, &libzmq::Socket)) {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let options = options().router_mandatory(mandatory).sndhwm(3);
    let router = ours_with(&context, SocketType::Router, options);
    let peer = theirs(&their_context, SocketType::Dealer);
    peer.identify(b"PEER");
    peer.set_int(libzmq::RCVHWM, 1).unwrap();
    peer.connect(&router.bind(&tcp()).unwrap()).unwrap();
    peer.say(&parts(&["Hello"]));
    router.hear();
    test(&router, &peer);
}

/// Numbered, and too large for the kernel to take many.
fn load(n: usize) -> Message {
    let mut load = body(LARGE);
    load[..8].copy_from_slice(&n.to_be_bytes());
    to("PEER", &load)
}

fn number(load: &Parts) -> usize {
    assert_eq!((load.len(), load[0].len()), (1, LARGE));
    usize::from_be_bytes(load[0][..8].try_into().unwrap())
}

/// ROUTER_MANDATORY with a full pipe: EAGAIN or a wait; nothing is lost.
#[test]
fn a_full_pipe_makes_a_mandatory_router_wait() {
    with_a_full_peer(true, |router, peer| {
        let mut accepted = 0;
        let refused = until("a full pipe", || {
            let result = router.send_timeout(load(accepted), Duration::from_millis(20));
            accepted += usize::from(result.is_ok());
            result.err()
        });
        assert_eq!(refused.kind, SendErrorKind::WouldBlock);
        assert_eq!(refused.message, load(accepted));
        assert_eq!(router.stats().queued_out, 3);
        for n in 0..accepted {
            assert_eq!(number(&peer.hear()), n);
        }
        router.send(load(accepted)).unwrap();
        assert_eq!(number(&peer.hear()), accepted);
        let dropped = router.stats().dropped;
        assert_eq!((dropped.high_water_mark, dropped.unroutable), (0, 0));
    });
}

/// The default with a full pipe: what does not fit is dropped and counted, the rest arrives in
/// order.
#[test]
fn a_full_pipe_makes_a_router_drop() {
    with_a_full_peer(false, |router, peer| {
        let mut sent = 0;
        until("a drop", || {
            router.send(load(sent)).unwrap();
            sent += 1;
            (router.stats().dropped.high_water_mark >= 5).then_some(())
        });
        let accepted = sent - router.stats().dropped.high_water_mark as usize;
        let arrived: Vec<usize> = (0..accepted).map(|_| number(&peer.hear())).collect();
        assert!(arrived.is_sorted_by(|a, b| a < b), "{arrived:?}");
        router.send(load(sent)).unwrap();
        assert_eq!(number(&peer.hear()), sent);
    });
}
