//! The block/drop table: what each socket type does with a message that it cannot hand on.
//!
//! One test for each row and each of the three conditions: every peer at SNDHWM, no peer at all,
//! at RCVHWM. Whoever blocks does so in all forms of the call alike, gives the message back when
//! the time is up, and goes on as soon as there is room; whoever drops says so in the counters.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::*;
use xebec::SocketType::{
    Channel, Client, Dealer, Dish, Gather, Pair, Peer, Pub, Pull, Push, Radio, Rep, Req, Router,
    Scatter, Server, Stream, Sub, Xpub, Xsub,
};
use xebec::{
    Context, Drops, Message, Options, RecvError, SendError, SendErrorKind, Socket, SocketType,
};

// ---- what "blocks" means ----

/// All forms of the call refuse the message for want of room and give it back.
#[track_caller]
fn assert_blocks(socket: &Socket, message: &Message) {
    let before = socket.stats();
    let refused = |send: &dyn Fn(Message) -> Result<(), SendError>| {
        let since = Instant::now();
        let error = send(message.clone()).expect_err("there is no room");
        assert_eq!(error.kind, SendErrorKind::WouldBlock);
        assert_eq!(error.message, *message, "the message comes back");
        since.elapsed()
    };
    let wait = Duration::from_millis(20);
    refused(&|message| socket.try_send(message));
    let waited = refused(&|message| socket.send_timeout(message, wait));
    assert!(waited >= wait, "send_timeout gave up after {waited:?}");
    socket.set("sndtimeo", "20").unwrap();
    let waited = refused(&|message| socket.send(message));
    assert!(waited >= wait, "send gave up after {waited:?}");
    socket.set("sndtimeo", "0").unwrap();
    refused(&|message| socket.send(message));
    socket.set("sndtimeo", "infinite").unwrap();
    assert!(poll_once(socket.send_async(message.clone())).is_pending());
    let after = socket.stats();
    assert_eq!(
        (after.messages_out, after.dropped),
        (before.messages_out, before.dropped),
        "nothing was sent or dropped"
    );
}

/// A call that waits for room goes on when there is some: a blocked thread, and a task.
#[track_caller]
fn assert_released(socket: Arc<Socket>, message: &Message, make_room: impl FnOnce()) {
    let thread = Working::start({
        let (socket, message) = (socket.clone(), message.clone());
        move || socket.send(message)
    });
    let task = Working::start({
        let (socket, message) = (socket.clone(), message.clone());
        move || block_on(socket.send_async(message))
    });
    thread.await_asleep();
    task.await_asleep();
    assert!(!thread.is_done() && !task.is_done());
    make_room();
    assert_eq!(thread.join(), Ok(()), "the blocked thread");
    assert_eq!(task.join(), Ok(()), "the pending task");
}

/// A send is accepted in every form, at once, and this is what the counters say of it.
#[track_caller]
fn assert_drops(socket: &Socket, message: &Message, expected: impl Fn(Drops) -> u64) {
    let before = expected(socket.stats().dropped);
    let since = Instant::now();
    socket.try_send(message.clone()).unwrap();
    socket.send(message.clone()).unwrap();
    socket.send_timeout(message.clone(), PATIENCE).unwrap();
    assert_eq!(
        poll_once(socket.send_async(message.clone())),
        std::task::Poll::Ready(Ok(()))
    );
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "it does not block"
    );
    let after = socket.stats();
    assert_eq!(expected(after.dropped) - before, 4, "{after:?}");
}

/// A send fails for this reason in every form, at once.
#[track_caller]
fn assert_fails(socket: &Socket, message: &Message, kind: SendErrorKind) {
    for refusal in [
        socket.try_send(message.clone()),
        socket.send(message.clone()),
        socket.send_timeout(message.clone(), PATIENCE),
        block_on(socket.send_async(message.clone())),
    ] {
        let error = refusal.expect_err("it cannot be sent");
        assert_eq!((error.kind, error.message), (kind, message.clone()));
    }
}

// ---- every peer at SNDHWM ----

/// Everything that a row needs to know of a type that sends to its peers in turn.
fn options_of(kind: SocketType) -> Options {
    // A strict REQ has one request out at a time, and so never reaches a high-water mark.
    options().req_relaxed(kind == Req)
}

/// A type that a socket of this type can send to.
fn peer_of(kind: SocketType) -> SocketType {
    match kind {
        Req => Rep,
        Push => Pull,
        Pair => Pair,
        Dealer => Router,
        Router => Dealer,
        Pub | Xpub => Sub,
        Sub | Xsub => Pub,
        Rep => Req,
        Pull => Push,
        Client => Server,
        Server => Client,
        Scatter => Gather,
        Gather => Scatter,
        Radio => Dish,
        Dish => Radio,
        other => other,
    }
}

/// The body of 64 KiB fills the kernel's buffers quickly.
fn large() -> Message {
    Message::from(vec![7u8; 64 * 1024])
}

/// The queue of a connection that does not come up holds SNDHWM messages, in the kernel nothing.
fn blocks_while_connecting(kind: SocketType) {
    let context = Context::new();
    let silent = RawListener::new();
    let socket = Arc::new(socket_with(&context, kind, options_of(kind).sndhwm(5)));
    socket.connect(&silent.endpoint()).unwrap();
    let peer = silent.accept();
    let message = Message::from("x");
    for n in 0..5 {
        assert!(socket.is_writable(), "{n}");
        socket.try_send(message.clone()).unwrap();
    }
    assert!(!socket.is_writable());
    assert_eq!(socket.stats().queued_out, 5);
    assert_blocks(&socket, &message);
    assert_released(socket.clone(), &message, move || {
        // The handshake makes room, for the queue goes to the kernel.
        std::mem::forget(peer.shake(peer_of(kind).name(), b""));
    });
}

/// A connection whose peer has stopped reading: the kernel's buffers are full, and so is the queue.
fn blocks_while_peer_does_not_read(kind: SocketType) {
    let context = Context::new();
    let listener = RawListener::new();
    let socket = Arc::new(socket_with(
        &context,
        kind,
        options_of(kind).sndhwm(5).sndbuf(16 * 1024),
    ));
    socket.connect(&listener.endpoint()).unwrap();
    let mut peer = listener.accept_as(peer_of(kind).name());
    await_peers(&*socket, 1);
    fill(&socket, &large());
    assert_eq!(socket.stats().queued_out, 5);
    assert!(!socket.is_writable());
    assert_blocks(&socket, &large());
    assert_released(socket.clone(), &large(), move || {
        for _ in 0..4 {
            peer.recv();
        }
        std::mem::forget(peer);
    });
}

/// Over inproc the marks of both sides add up, and nothing else holds messages.
fn blocks_at_the_sum_over_inproc(kind: SocketType) {
    let context = Context::new();
    let peer = socket_with(&context, peer_of(kind), options().rcvhwm(3));
    let endpoint = peer.bind(&fresh("inproc")).unwrap();
    let socket = Arc::new(socket_with(&context, kind, options_of(kind).sndhwm(4)));
    socket.connect(&endpoint).unwrap();
    let message = Message::from("x");
    for n in 0..7 {
        assert_eq!(socket.try_send(message.clone()), Ok(()), "{n}");
    }
    assert_blocks(&socket, &message);
    assert_released(socket.clone(), &message, || {
        if kind == Req {
            // A REP answers before it takes the next; what it takes makes room all the same.
            for _ in 0..2 {
                recv(&peer);
                peer.send("answer").unwrap();
            }
        } else {
            recv(&peer);
            recv(&peer);
        }
    });
}

/// Two peers: the one with room takes what the full one cannot; none has room: blocked.
fn blocks_only_when_every_peer_is_full(kind: SocketType) {
    let context = Context::new();
    let peers = [2, 5].map(|rcvhwm| socket_with(&context, peer_of(kind), options().rcvhwm(rcvhwm)));
    let socket = Arc::new(socket_with(&context, kind, options_of(kind).sndhwm(1)));
    for peer in &peers {
        socket
            .connect(&peer.bind(&fresh("inproc")).unwrap())
            .unwrap();
    }
    let message = Message::from("x");
    for n in 0..9 {
        assert_eq!(socket.try_send(message.clone()), Ok(()), "{n}");
    }
    assert_blocks(&socket, &message);
    assert_eq!(peers.map(|peer| peer.stats().queued_in), [3, 6]);
}

macro_rules! blocking_rows {
    ($($row:ident: $kind:ident;)*) => {$(
        mod $row {
            use super::*;
            #[test]
            fn blocks_at_sndhwm_while_connecting() {
                blocks_while_connecting($kind);
            }
            #[test]
            fn blocks_at_sndhwm_while_its_peer_does_not_read() {
                blocks_while_peer_does_not_read($kind);
            }
            #[test]
            fn blocks_at_sndhwm_over_inproc() {
                blocks_at_the_sum_over_inproc($kind);
            }
            #[test]
            fn blocks_without_a_peer() {
                no_peer($kind);
            }
        }
    )*};
}

blocking_rows! {
    req: Req;
    dealer: Dealer;
    push: Push;
    pair: Pair;
    client: Client;
    scatter: Scatter;
    channel: Channel;
}

#[test]
fn high_water_marks_are_exact() {
    for (sndhwm, rcvhwm) in [(1, 1), (1, 7), (7, 1), (100, 23), (1000, 1000)] {
        // Inproc: the sum, whoever connects, and whether or not anybody is bound yet.
        for (early, binds) in [(false, Push), (false, Pull), (true, Pull)] {
            let context = Context::new();
            let push = socket_with(&context, Push, options().sndhwm(sndhwm));
            let pull = socket_with(&context, Pull, options().rcvhwm(rcvhwm));
            let endpoint = fresh("inproc");
            let mut accepted = 0;
            match (early, binds) {
                (true, _) => {
                    push.connect(&endpoint).unwrap();
                    while push.try_send("x").is_ok() {
                        accepted += 1;
                    }
                    assert_eq!(accepted, sndhwm, "before there is a peer");
                    pull.bind(&endpoint).unwrap();
                }
                (false, Push) => {
                    push.bind(&endpoint).unwrap();
                    pull.connect(&endpoint).unwrap();
                }
                (false, _) => {
                    pull.bind(&endpoint).unwrap();
                    push.connect(&endpoint).unwrap();
                }
            }
            while push.try_send("x").is_ok() {
                accepted += 1;
            }
            assert_eq!(accepted, sndhwm + rcvhwm);
            // One taken, one more accepted.
            for _ in 0..5 {
                recv(&pull);
                send(&push, "x");
                assert!(push.try_send("x").is_err());
            }
        }
        // Before the handshake: exactly SNDHWM.
        let context = Context::new();
        let silent = RawListener::new();
        let push = socket_with(&context, Push, options().sndhwm(sndhwm));
        push.connect(&silent.endpoint()).unwrap();
        let _peer = silent.accept();
        let accepted = std::iter::from_fn(|| push.try_send("x").ok()).count();
        assert_eq!((accepted, push.stats().queued_out), (sndhwm, sndhwm as u64));
        // Decoded while the application is away: exactly RCVHWM.
        let pull = socket_with(&context, Pull, options().rcvhwm(rcvhwm));
        let mut peer = Raw::connect_as(&pull.bind(&fresh("tcp")).unwrap(), "PUSH");
        peer.write(&frame(0, b"x").repeat(3000));
        eventually("all that may be is decoded", || {
            pull.stats().queued_in == rcvhwm as u64
        });
        drain(&pull, 3000, rcvhwm as u64);
    }
}

/// Receives this many messages, and never are more than `most` decoded ahead.
fn drain(pull: &Socket, messages: usize, most: u64) {
    for _ in 0..messages {
        recv(pull);
        assert!(pull.stats().queued_in <= most);
    }
    recv_nothing(pull);
}

#[test]
fn a_mark_of_zero_is_no_limit() {
    let context = Context::new();
    let silent = RawListener::new();
    let push = socket_with(&context, Push, options().sndhwm(0));
    push.connect(&silent.endpoint()).unwrap();
    for (sndhwm, rcvhwm) in [(0, 1), (1, 0), (0, 0)] {
        let push = socket_with(&context, Push, options().sndhwm(sndhwm));
        let pull = socket_with(&context, Pull, options().rcvhwm(rcvhwm));
        push.connect(&pull.bind(&fresh("inproc")).unwrap()).unwrap();
        (0..10_000).for_each(|_| push.try_send("x").unwrap());
        assert_eq!(pull.stats().queued_in, 10_000);
    }
    (0..10_000).for_each(|_| push.try_send("x").unwrap());
    assert_eq!(push.stats().queued_out, 10_000);
    let pull = socket_with(&context, Pull, options().rcvhwm(0));
    let mut peer = Raw::connect_as(&pull.bind(&fresh("tcp")).unwrap(), "PUSH");
    peer.write(&frame(0, b"x").repeat(10_000));
    eventually("all are decoded", || pull.stats().queued_in == 10_000);
}

#[test]
fn a_full_peer_is_passed_over() {
    for kind in [Req, Dealer, Push, Client, Scatter] {
        blocks_only_when_every_peer_is_full(kind);
    }
}

// ---- no peer ----

fn no_peer(kind: SocketType) {
    let context = Context::new();
    let message = Message::from("x");
    for transport in TRANSPORTS {
        // Bound, and nobody has come: there is no pipe.
        let bound = Arc::new(socket_with(&context, kind, options_of(kind)));
        let endpoint = bound.bind(&fresh(transport)).unwrap();
        assert!(!bound.is_writable());
        assert_blocks(&bound, &message);
        let peer = socket(&context, peer_of(kind));
        assert_released(bound, &message, || {
            peer.connect(&endpoint).unwrap();
        });

        // Connected, and nobody is there: the pipe exists, and queues up to SNDHWM; with
        // IMMEDIATE it does not.
        let absent = match transport {
            "tcp" => "tcp://127.0.0.1:1".to_owned(),
            "ipc" => format!(
                "ipc://{}/nobody-{}",
                std::env::temp_dir().display(),
                std::process::id()
            ),
            _ => fresh("inproc"),
        };
        let connected = socket_with(&context, kind, options_of(kind).sndhwm(3));
        connected.connect(&absent).unwrap();
        for _ in 0..3 {
            connected.try_send(message.clone()).unwrap();
        }
        assert_blocks(&connected, &message);

        let immediate = socket_with(&context, kind, options_of(kind).immediate(true));
        immediate.connect(&absent).unwrap();
        assert!(!immediate.is_writable(), "{transport}");
        assert_blocks(&immediate, &message);
    }
}

#[test]
fn with_immediate_a_connection_that_was_lost_takes_nothing() {
    for kind in [Req, Dealer, Push, Pair] {
        let context = Context::new();
        let listener = RawListener::new();
        let socket = socket_with(
            &context,
            kind,
            options_of(kind)
                .immediate(true)
                .reconnect_ivl(Duration::from_secs(600)),
        );
        socket.connect(&listener.endpoint()).unwrap();
        let mut peer = listener.accept_as(peer_of(kind).name());
        await_peers(&socket, 1);
        assert!(socket.is_writable());
        if kind != Push {
            // What was received and not yet taken keeps the pipe, but opens no door.
            peer.send(&[b"", b"unread"]);
        }
        drop(peer);
        await_peers(&socket, 0);
        assert_blocks(&socket, &Message::from("x"));
        if matches!(kind, Dealer | Pair) {
            assert_eq!(recv_text(&socket), ["", "unread"]);
            assert_blocks(&socket, &Message::from("x"));
        }
    }
}

// ---- those who drop ----

/// A ROUTER or STREAM with a raw peer that does not read, and the id of that peer.
fn addressed(context: &Context, kind: SocketType, options: Options) -> (Arc<Socket>, Raw, Vec<u8>) {
    let socket = Arc::new(socket_with(context, kind, options));
    let endpoint = socket.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect(&endpoint);
    if kind == Router {
        peer = peer.shake("DEALER", b"");
        peer.send(&[b"hello"]);
    }
    let id = recv(&*socket).first().to_vec();
    (socket, peer, id)
}

#[test]
fn router_drops_at_sndhwm_and_counts() {
    let context = Context::new();
    let (socket, _peer, id) = addressed(&context, Router, options().sndhwm(5).sndbuf(16 * 1024));
    let message: Message = [&id[..], &[7; 64 * 1024]].into_iter().collect();
    let mut sent = 0;
    // The background thread may still move a message into the kernel now and then; at some time
    // all is full for good.
    eventually("the peer's pipe is full", || {
        sent += 1;
        socket.try_send(message.clone()).unwrap();
        socket.stats().dropped.high_water_mark >= 20
    });
    let stats = socket.stats();
    assert_eq!(stats.queued_out, 5);
    assert_eq!(
        stats.messages_out + stats.dropped.high_water_mark,
        sent,
        "each message is accounted for"
    );
    assert_drops(&socket, &message, |dropped| dropped.high_water_mark);
}

#[test]
fn router_with_mandatory_blocks_at_sndhwm() {
    let context = Context::new();
    let (socket, mut peer, id) = addressed(
        &context,
        Router,
        options().sndhwm(5).sndbuf(16 * 1024).router_mandatory(true),
    );
    let message: Message = [&id[..], &[7; 64 * 1024]].into_iter().collect();
    fill(&socket, &message);
    assert_eq!(socket.stats().queued_out, 5);
    assert_blocks(&socket, &message);
    assert_released(socket.clone(), &message, move || {
        for _ in 0..4 {
            peer.recv();
        }
        std::mem::forget(peer);
    });
    assert_eq!(socket.stats().dropped, Drops::default());
}

#[test]
fn router_that_waits_for_a_full_peer_is_told_when_the_peer_leaves() {
    let context = Context::new();
    let (socket, peer, id) = addressed(
        &context,
        Router,
        options().sndhwm(2).sndbuf(16 * 1024).router_mandatory(true),
    );
    let message: Message = [&id[..], &[7; 64 * 1024]].into_iter().collect();
    fill(&socket, &message);
    let waiting = Working::start({
        let (socket, message) = (socket.clone(), message.clone());
        move || socket.send(message)
    });
    waiting.await_asleep();
    drop(peer);
    let refused = waiting.join().unwrap_err();
    assert_eq!(
        (refused.kind, refused.message),
        (SendErrorKind::Unroutable, message)
    );
}

#[test]
fn router_drops_for_peers_it_does_not_know() {
    let context = Context::new();
    let message = message([b"nobody", b"x"]);
    let router = socket(&context, Router);
    for transport in TRANSPORTS {
        router.bind(&fresh(transport)).unwrap();
        assert_drops(&router, &message, |dropped| dropped.unroutable);
    }
    router.set("router-mandatory", "1").unwrap();
    assert_fails(&router, &message, SendErrorKind::Unroutable);
    assert_eq!(
        router.stats().dropped.unroutable,
        12,
        "what comes back is not dropped"
    );
}

#[test]
fn stream_blocks_at_sndhwm() {
    let context = Context::new();
    let (socket, peer, id) = addressed(&context, Stream, options().sndhwm(5).sndbuf(16 * 1024));
    let message: Message = [&id[..], &[7; 64 * 1024]].into_iter().collect();
    let accepted = fill(&socket, &message);
    assert_eq!(socket.stats().queued_out, 5);
    assert_blocks(&socket, &message);
    assert_released(socket.clone(), &message, || {
        use std::io::Read;
        let mut room = vec![0; 4 * 64 * 1024];
        (&peer.0).read_exact(&mut room).unwrap();
        assert!(room.iter().all(|&byte| byte == 7));
    });
    let mut rest = vec![0; (accepted + 2 - 4) * 64 * 1024];
    std::io::Read::read_exact(&mut &peer.0, &mut rest).unwrap();
}

#[test]
fn stream_fails_for_peers_it_does_not_know() {
    let context = Context::new();
    let stream = socket(&context, Stream);
    stream.bind(&fresh("tcp")).unwrap();
    assert_fails(
        &stream,
        &message([b"nobody", b"x"]),
        SendErrorKind::Unroutable,
    );
}

/// A SERVER or PEER with a raw peer that does not read, and a message to it.
fn numbered(context: &Context, kind: SocketType) -> (Arc<Socket>, Raw, Message) {
    let socket = socket_with(context, kind, options().sndhwm(5).sndbuf(16 * 1024));
    let endpoint = socket.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, peer_of(kind).name());
    peer.send(&[b"hello"]);
    let number = recv(&socket).routing_id().unwrap();
    (Arc::new(socket), peer, large().with_routing_id(number))
}

#[test]
fn server_and_peer_block_at_sndhwm() {
    for kind in [Server, Peer] {
        let context = Context::new();
        let (socket, mut peer, message) = numbered(&context, kind);
        fill(&socket, &message);
        assert_eq!(socket.stats().queued_out, 5);
        assert_blocks(&socket, &message);
        assert_released(socket.clone(), &message, move || {
            for _ in 0..4 {
                peer.recv();
            }
            std::mem::forget(peer);
        });
        assert_eq!(socket.stats().dropped, Drops::default());
    }
}

#[test]
fn server_and_peer_that_wait_for_a_full_peer_are_told_when_it_leaves() {
    for kind in [Server, Peer] {
        for expelled in [false, true] {
            let context = Context::new();
            let (socket, peer, message) = numbered(&context, kind);
            fill(&socket, &message);
            let waiting = Working::start({
                let (socket, message) = (socket.clone(), message.clone());
                move || socket.send(message)
            });
            waiting.await_asleep();
            match expelled {
                true => assert!(socket.disconnect_peer(message.routing_id().unwrap())),
                false => drop(peer),
            }
            let refused = waiting.join().unwrap_err();
            assert_eq!(refused.kind, SendErrorKind::Unroutable, "{kind}");
            assert_eq!(refused.message.routing_id(), message.routing_id());
        }
    }
}

#[test]
fn server_and_peer_fail_for_peers_they_do_not_know() {
    let context = Context::new();
    for kind in [Server, Peer] {
        let socket = socket(&context, kind);
        socket.bind(&fresh("tcp")).unwrap();
        for message in [large(), large().with_routing_id(77)] {
            assert_fails(&socket, &message, SendErrorKind::Unroutable);
        }
    }
}

/// A RADIO with a raw DISH that does not read.
fn slow_dish(context: &Context, nodrop: bool) -> (Arc<Socket>, Raw, Message) {
    let marks = options().sndhwm(5).sndbuf(16 * 1024);
    let radio = socket_with(context, Radio, marks.xpub_nodrop(nodrop));
    let mut dish = Raw::connect_as(&radio.bind(&fresh("tcp")).unwrap(), "DISH");
    dish.write(&frame(4, b"\x04JOINgroup"));
    eventually("it has joined", || radio.topics() == Some(1));
    (Arc::new(radio), dish, large().with_group("group"))
}

#[test]
fn radio_drops_at_sndhwm_and_counts() {
    let context = Context::new();
    let (radio, _dish, message) = slow_dish(&context, false);
    let mut sent = 0;
    eventually("the dish's pipe is full", || {
        sent += 1;
        radio.try_send(message.clone()).unwrap();
        radio.stats().dropped.high_water_mark >= 20
    });
    let stats = radio.stats();
    assert_eq!(stats.queued_out, 5);
    assert_eq!(stats.messages_out + stats.dropped.high_water_mark, sent);
    assert_drops(&radio, &message, |dropped| dropped.high_water_mark);
}

#[test]
fn radio_with_nodrop_blocks_at_sndhwm() {
    let context = Context::new();
    let (radio, mut dish, message) = slow_dish(&context, true);
    fill(&radio, &message);
    assert!(!radio.is_writable());
    assert_blocks(&radio, &message);
    assert_released(radio.clone(), &message, move || {
        for _ in 0..4 {
            dish.recv();
        }
        std::mem::forget(dish);
    });
    assert_eq!(radio.stats().dropped, Drops::default());
}

#[test]
fn radio_drops_what_nobody_has_joined() {
    let context = Context::new();
    let radio = socket(&context, Radio);
    radio.bind(&fresh("tcp")).unwrap();
    radio.connect("tcp://127.0.0.1:1").unwrap();
    assert_drops(&radio, &large().with_group("group"), |dropped| {
        dropped.no_subscriber
    });
}

#[test]
fn rep_drops_a_reply_to_a_full_peer_and_does_not_block() {
    let context = Context::new();
    let rep = socket_with(&context, Rep, options().sndhwm(5).sndbuf(16 * 1024));
    let endpoint = rep.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "DEALER");
    let mut sent = 0;
    while rep.stats().dropped.high_water_mark < 20 {
        peer.send(&[b"", b"request"]);
        recv(&rep);
        let since = Instant::now();
        match sent % 4 {
            0 => rep.send(large()).unwrap(),
            1 => rep.try_send(large()).unwrap(),
            2 => rep.send_timeout(large(), PATIENCE).unwrap(),
            _ => assert_eq!(
                poll_once(rep.send_async(large())),
                std::task::Poll::Ready(Ok(()))
            ),
        }
        assert!(since.elapsed() < PATIENCE / 2, "it shall not block");
        sent += 1;
        assert!(sent < 10_000);
    }
    let stats = rep.stats();
    assert_eq!(stats.queued_out, 5);
    assert_eq!(stats.messages_out + stats.dropped.high_water_mark, sent);
}

#[test]
fn rep_drops_a_reply_to_a_peer_that_is_gone() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let rep = socket(&context, Rep);
        let endpoint = rep.bind(&fresh(transport)).unwrap();
        for n in 1..=4 {
            let peer = socket(&context, Dealer);
            peer.connect(&endpoint).unwrap();
            peer.send(message([b"", b"request"])).unwrap();
            assert_eq!(recv_text(&rep), ["request"]);
            drop(peer);
            await_peers(&rep, 0);
            match n {
                1 => rep.send("late").unwrap(),
                2 => rep.try_send("late").unwrap(),
                3 => rep.send_timeout("late", PATIENCE).unwrap(),
                _ => block_on(rep.send_async("late")).unwrap(),
            }
            assert_eq!(rep.stats().dropped.unroutable, n, "{transport}");
        }
    }
}

#[test]
fn publishers_drop_the_newest_for_a_full_subscriber_only() {
    for kind in [Pub, Xpub] {
        let context = Context::new();
        let publisher = socket_with(&context, kind, options().sndhwm(5).sndbuf(16 * 1024));
        let endpoint = publisher.bind(&fresh("tcp")).unwrap();
        let mut slow = Raw::connect_as(&endpoint, "SUB");
        slow.write(&frame(0, b"\x01"));
        let fast = socket_with(&context, Sub, options().rcvhwm(0));
        fast.subscribe("").unwrap();
        fast.connect(&endpoint).unwrap();
        await_topic_holders(&publisher, 2);
        let before = publisher.stats().messages_out;

        let mut sent = 0u32;
        while publisher.stats().dropped.high_water_mark < 20 {
            let body: Message = [&sent.to_be_bytes()[..], &[7; 64 * 1024]]
                .into_iter()
                .collect();
            publisher.send(body).unwrap();
            let got = std::iter::repeat_with(|| recv(&fast)).find(|got| got.body() != "probe");
            assert_eq!(
                got.unwrap().first(),
                &sent.to_be_bytes(),
                "the other subscriber misses nothing"
            );
            sent += 1;
        }
        let stats = publisher.stats();
        assert_eq!(
            stats.messages_out - before + stats.dropped.high_water_mark,
            2 * u64::from(sent)
        );
        assert_eq!(stats.queued_out, 5);
        // What the slow one gets is the oldest: those that were sent while there was room.
        let kept = sent - u32::try_from(stats.dropped.high_water_mark).unwrap();
        let mut last = None;
        for _ in 0..kept {
            let got = std::iter::repeat_with(|| slow.recv())
                .find(|got| got[0] != b"probe")
                .unwrap();
            let got = u32::from_be_bytes(got[0][..].try_into().unwrap());
            assert!(last.is_none_or(|last| got > last), "in order");
            last = Some(got);
        }
        slow.read_nothing();
    }
}

/// Waits until `n` subscribers have subscribed to everything.
fn await_topic_holders(publisher: &Socket, n: usize) {
    eventually("all have subscribed", || {
        let before = publisher.stats().messages_out;
        publisher.send("probe").unwrap();
        publisher.stats().messages_out - before == n as u64
    });
}

#[test]
fn publishers_with_nodrop_block_at_sndhwm() {
    for kind in [Pub, Xpub] {
        let context = Context::new();
        let publisher = Arc::new(socket_with(
            &context,
            kind,
            options().sndhwm(5).sndbuf(16 * 1024).xpub_nodrop(true),
        ));
        let endpoint = publisher.bind(&fresh("tcp")).unwrap();
        let mut slow = Raw::connect_as(&endpoint, "SUB");
        slow.write(&frame(0, b"\x01"));
        eventually("it has subscribed", || publisher.topics() == Some(1));
        fill(&publisher, &large());
        assert!(!publisher.is_writable());
        assert_blocks(&publisher, &large());
        assert_released(publisher.clone(), &large(), move || {
            for _ in 0..4 {
                slow.recv();
            }
            std::mem::forget(slow);
        });
        assert_eq!(publisher.stats().dropped, Drops::default());
    }
}

/// One more than the mark is refused, one less is not; and of several subscribers the fullest decides,
/// none getting what another one cannot take.
#[test]
fn publishers_with_nodrop_are_refused_exactly_at_the_mark() {
    for kind in [Pub, Xpub] {
        let context = Context::new();
        let marks = options().sndhwm(2).xpub_nodrop(true);
        let publisher = socket_with(&context, kind, marks);
        let endpoint = publisher.bind(&fresh("inproc")).unwrap();
        // The queue over inproc is as long as both marks.
        let subs = [("a", 3), ("", 5)].map(|(topic, mark)| {
            let sub = socket_with(&context, Sub, options().rcvhwm(mark));
            sub.subscribe(topic).unwrap();
            sub.connect(&endpoint).unwrap();
            sub
        });
        let try_send = |body: &str| publisher.try_send(body).map_err(|refused| refused.kind);
        for body in ["a0", "a1", "a2", "a3", "a4"] {
            assert!(publisher.is_writable(), "{kind}: {body}");
            assert_eq!(try_send(body), Ok(()), "{kind}: {body}");
        }
        for _ in 0..3 {
            assert!(!publisher.is_writable());
            assert_eq!(try_send("a"), Err(SendErrorKind::WouldBlock));
        }
        // Room for one is room for one.
        assert_eq!(recv(&subs[0]).body(), "a0");
        assert_eq!(try_send("a5"), Ok(()));
        assert_eq!(try_send("a"), Err(SendErrorKind::WouldBlock));
        // What the full one does not want the other gets.
        assert_eq!(try_send("b6"), Ok(()));
        assert_eq!(try_send("b"), Err(SendErrorKind::WouldBlock));
        let all = ["a0", "a1", "a2", "a3", "a4", "a5", "b6"];
        for (sub, all) in subs.iter().zip([&all[1..6], &all]) {
            all.iter()
                .for_each(|body| assert_eq!(recv(sub).body(), body));
            recv_nothing(sub);
        }
        assert_eq!(publisher.stats().dropped, Drops::default());
    }
}

/// A refused message is none that was dropped: without the option each of them is counted.
#[test]
fn nodrop_is_taken_back() {
    let context = Context::new();
    let marks = options().sndhwm(1).xpub_nodrop(true);
    let publisher = socket_with(&context, Xpub, marks);
    let sub = socket_with(&context, Sub, options().rcvhwm(1));
    sub.subscribe("").unwrap();
    sub.connect(&publisher.bind(&fresh("inproc")).unwrap())
        .unwrap();
    let fill = || (0..5).filter(|_| publisher.try_send("x").is_ok()).count();
    assert_eq!((fill(), publisher.stats().dropped.high_water_mark), (2, 0));
    publisher.set("xpub_nodrop", "no").unwrap();
    assert_eq!((fill(), publisher.stats().dropped.high_water_mark), (5, 5));
}

#[test]
fn publishers_drop_over_inproc_at_the_sum_of_both_marks() {
    for kind in [Pub, Xpub] {
        let context = Context::new();
        let publisher = socket_with(&context, kind, options().sndhwm(2));
        let endpoint = publisher.bind(&fresh("inproc")).unwrap();
        let sub = socket_with(&context, Sub, options().rcvhwm(3));
        sub.subscribe("").unwrap();
        sub.connect(&endpoint).unwrap();
        for n in 0..9u8 {
            publisher.send([n]).unwrap();
        }
        assert_eq!(publisher.stats().dropped.high_water_mark, 4);
        for n in 0..5u8 {
            assert_eq!(recv(&sub).body(), &[n]);
        }
        recv_nothing(&sub);
    }
}

#[test]
fn publishers_drop_what_nobody_wants() {
    let context = Context::new();
    for kind in [Pub, Xpub] {
        for transport in TRANSPORTS {
            let publisher = socket(&context, kind);
            let endpoint = publisher.bind(&fresh(transport)).unwrap();
            assert_drops(&publisher, &"news".into(), |dropped| dropped.no_subscriber);
            let sub = socket(&context, Sub);
            sub.subscribe("sports").unwrap();
            sub.connect(&endpoint).unwrap();
            eventually("it has subscribed", || publisher.topics() == Some(1));
            assert_drops(&publisher, &"news".into(), |dropped| dropped.no_subscriber);
        }
        // One that connects has no subscriber either, until it is told of one.
        let publisher = socket(&context, kind);
        publisher.connect("tcp://127.0.0.1:1").unwrap();
        assert_drops(&publisher, &"news".into(), |dropped| dropped.no_subscriber);
    }
}

#[test]
fn xsub_drops_its_own_messages_at_sndhwm() {
    let context = Context::new();
    let silent = RawListener::new();
    let xsub = socket_with(&context, Xsub, options().sndhwm(5));
    xsub.connect(&silent.endpoint()).unwrap();
    let message = Message::from("upstream");
    for _ in 0..5 {
        xsub.try_send(message.clone()).unwrap();
    }
    assert_eq!(xsub.stats().queued_out, 5);
    assert_drops(&xsub, &message, |dropped| dropped.high_water_mark);
    // A subscription is no message: it is never dropped.
    for topic in 0..100u8 {
        xsub.try_send([1, topic]).unwrap();
    }
    let mut peer = silent.accept_as("XPUB");
    let mut topics = Vec::new();
    let mut own = 0;
    while topics.len() < 100 || own < 5 {
        let (flags, body) = peer.read_frame();
        match body
            .strip_prefix(b"\x09SUBSCRIBE")
            .filter(|_| flags & 4 != 0)
        {
            Some(topic) => topics.push(topic[0]),
            None => own += u32::from(body == b"upstream"),
        }
    }
    topics.sort_unstable();
    assert_eq!(topics, (0..100).collect::<Vec<_>>());
}

#[test]
fn xsub_without_a_publisher_drops_its_own_messages_and_counts() {
    let context = Context::new();
    let xsub = socket(&context, Xsub);
    xsub.bind(&fresh("tcp")).unwrap();
    assert_drops(&xsub, &"upstream".into(), |dropped| dropped.unroutable);
}

#[test]
fn a_type_that_does_not_send_or_receive_says_so() {
    let context = Context::new();
    for kind in [Sub, Pull, Gather, Dish] {
        assert_fails(
            &socket(&context, kind),
            &"x".into(),
            SendErrorKind::Unsupported,
        );
    }
    for kind in [Pub, Push, Scatter, Radio] {
        let socket = socket(&context, kind);
        assert_eq!(socket.try_recv(), Err(RecvError::Unsupported));
        assert_eq!(socket.recv(), Err(RecvError::Unsupported));
        assert_eq!(socket.recv_timeout(PATIENCE), Err(RecvError::Unsupported));
        assert_eq!(block_on(socket.recv_async()), Err(RecvError::Unsupported));
    }
}

#[test]
fn receiving_nothing_is_the_same_in_every_form() {
    let context = Context::new();
    for kind in [
        Dealer, Router, Sub, Xsub, Xpub, Pull, Pair, Rep, Stream, Client, Server, Gather, Channel,
        Peer, Dish,
    ] {
        for transport in TRANSPORTS {
            if kind == Stream && transport != "tcp" {
                continue;
            }
            let socket = socket(&context, kind);
            socket.bind(&fresh(transport)).unwrap();
            assert!(!socket.is_readable());
            assert_eq!(socket.try_recv(), Err(RecvError::WouldBlock));
            let (wait, since) = (Duration::from_millis(10), Instant::now());
            assert_eq!(socket.recv_timeout(wait), Err(RecvError::WouldBlock));
            assert!(since.elapsed() >= wait);
            socket.set("rcvtimeo", "10").unwrap();
            assert_eq!(socket.recv(), Err(RecvError::WouldBlock));
            assert!(since.elapsed() >= 2 * wait);
            assert!(poll_once(socket.recv_async()).is_pending());
        }
    }
}

// ---- at RCVHWM ----

/// A raw peer floods while the application is away: exactly RCVHWM messages are decoded, the
/// peer's writes come to a stop, and nothing is lost when the application comes back.
fn pushes_back(kind: SocketType, envelope: &[&[u8]]) {
    const BODY: usize = 16 * 1024;
    let context = Context::new();
    let socket = socket_with(&context, kind, options().rcvhwm(5).rcvbuf(64 * 1024));
    if kind == Sub {
        socket.subscribe("").unwrap();
    } else if kind == Xsub {
        socket.send([1]).unwrap();
    } else if kind == Dish {
        socket.join("group").unwrap();
    }
    let endpoint = socket.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, peer_of(kind).name());
    let mut bodies: Vec<&[u8]> = envelope.to_vec();
    let body = [7; BODY];
    bodies.push(&body);
    let wire: Vec<u8> = bodies
        .iter()
        .enumerate()
        .flat_map(|(i, body)| frame(u8::from(i + 1 < bodies.len()), body))
        .collect();

    let taken = peer.flood(&wire);
    assert_eq!(
        socket.stats().queued_in,
        5,
        "decoded while the application is away"
    );
    let whole = taken / wire.len();
    // The rest of the message that was cut short by the last write.
    let rest = (wire.len() - taken % wire.len()) % wire.len();
    let finish = Working::start(move || {
        peer.write(&wire[wire.len() - rest..]);
        peer
    });
    let expected = whole + usize::from(rest > 0);
    for n in 0..expected {
        let got = recv(&socket);
        assert_eq!(got.body().len(), BODY, "{n}");
        if kind == Rep {
            socket.send("").unwrap();
        }
        assert!(socket.stats().queued_in <= 5);
    }
    let peer = finish.join();
    assert_eq!(socket.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(socket.stats().dropped, Drops::default());
    drop(peer);
}

macro_rules! pushing_back_rows {
    ($($name:ident: $kind:ident $envelope:expr;)*) => {$(
        #[test]
        fn $name() {
            pushes_back($kind, $envelope);
        }
    )*};
}

pushing_back_rows! {
    rep_pushes_back_at_rcvhwm: Rep &[b""];
    dealer_pushes_back_at_rcvhwm: Dealer &[];
    router_pushes_back_at_rcvhwm: Router &[];
    pull_pushes_back_at_rcvhwm: Pull &[];
    pair_pushes_back_at_rcvhwm: Pair &[];
    sub_pushes_back_at_rcvhwm: Sub &[];
    xsub_pushes_back_at_rcvhwm: Xsub &[];
    client_pushes_back_at_rcvhwm: Client &[];
    server_pushes_back_at_rcvhwm: Server &[];
    gather_pushes_back_at_rcvhwm: Gather &[];
    channel_pushes_back_at_rcvhwm: Channel &[];
    peer_pushes_back_at_rcvhwm: Peer &[];
    dish_pushes_back_at_rcvhwm: Dish &[b"group"];
}

#[test]
fn req_pushes_back_at_rcvhwm() {
    let context = Context::new();
    let req = socket_with(&context, Req, options().rcvhwm(5));
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    peer.flood(&frames(&[b"", &[7; 16 * 1024]]));
    assert_eq!(req.stats().queued_in, 5);
}

#[test]
fn stream_pushes_back_at_rcvhwm() {
    let context = Context::new();
    let stream = socket_with(&context, Stream, options().rcvhwm(2).rcvbuf(64 * 1024));
    let endpoint = stream.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect(&endpoint);
    let taken = peer.flood(&[7; 16 * 1024]);
    assert_eq!(stream.stats().queued_in, 2);
    assert!(
        recv(&stream).body().is_empty(),
        "the notice of the connection"
    );
    let mut got = 0;
    while got < taken {
        got += recv(&stream).body().len();
        assert!(stream.stats().queued_in <= 2);
    }
    assert_eq!(got, taken);
    recv_nothing(&stream);
}

#[test]
fn subscriptions_do_not_count_against_rcvhwm() {
    for kind in [Pub, Xpub] {
        let context = Context::new();
        let publisher = socket_with(&context, kind, options().rcvhwm(1));
        let endpoint = publisher.bind(&fresh("tcp")).unwrap();
        let mut peer = Raw::connect_as(&endpoint, "SUB");
        let mut wire = Vec::new();
        (0..10_000u32)
            .for_each(|topic| wire.extend(frame(0, &[&[1][..], &topic.to_be_bytes()].concat())));
        peer.write(&wire);
        eventually("all subscriptions are taken in", || {
            publisher.topics() == Some(10_000)
        });
    }
}

#[test]
fn a_subscriber_at_rcvhwm_makes_its_publisher_drop() {
    let context = Context::new();
    let publisher = socket_with(&context, Pub, options().sndhwm(5).sndbuf(16 * 1024));
    let endpoint = publisher.bind(&fresh("tcp")).unwrap();
    let sub = socket_with(&context, Sub, options().rcvhwm(5).rcvbuf(16 * 1024));
    sub.subscribe("n").unwrap();
    sub.connect(&endpoint).unwrap();
    eventually("it has subscribed", || publisher.topics() == Some(1));
    let mut sent = 0;
    while publisher.stats().dropped.high_water_mark < 20 {
        publisher.send(message([b"n", &[7; 64 * 1024]])).unwrap();
        sent += 1;
        assert!(sent < 100_000);
    }
    eventually("the subscriber has all that it may hold", || {
        sub.stats().queued_in == 5
    });
    let kept = sent - publisher.stats().dropped.high_water_mark;
    for _ in 0..kept {
        recv(&sub);
    }
    recv_nothing(&sub);
}

// ---- the same through the typed sockets ----

#[test]
fn typed_sockets_have_every_form_that_makes_sense() {
    use xebec::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
    let context = Context::new();
    macro_rules! passes {
        ($from:expr => $to:expr) => {{
            let (from, to) = ($from.unwrap(), $to.unwrap());
            from.connect(&to.bind(&fresh("tcp")).unwrap()).unwrap();
            from.send("send").unwrap();
            assert_eq!(to.recv().unwrap().body(), "send");
            (from, to)
        }};
    }
    macro_rules! all_forms {
        ($from:ident => $to:ident) => {
            $from.send_timeout("a", PATIENCE).unwrap();
            assert_eq!($to.recv_timeout(PATIENCE).unwrap().body(), "a");
            block_on($from.send_async("b")).unwrap();
            assert_eq!(block_on($to.recv_async()).unwrap().body(), "b");
            $from.try_send("c").unwrap();
            eventually("it arrives", || $to.as_socket().is_readable());
            assert_eq!($to.try_recv().unwrap().body(), "c");
        };
    }
    let (push, pull) = passes!(Push::new(&context) => Pull::new(&context));
    all_forms!(push => pull);
    let (dealer, other) = passes!(Dealer::new(&context) => Dealer::new(&context));
    all_forms!(dealer => other);
    all_forms!(other => dealer);
    let (a, b) = passes!(Pair::new(&context) => Pair::with_options(&context, options()));
    all_forms!(a => b);
    all_forms!(b => a);
    let (req, rep) = passes!(Req::new(&context) => Rep::new(&context));
    rep.send("reply").unwrap();
    assert_eq!(req.recv().unwrap().body(), "reply");
    let (dealer, router) = passes!(Dealer::new(&context) => Router::new(&context));
    dealer.send("x").unwrap();
    router.send(router.recv().unwrap()).unwrap();
    assert_eq!(dealer.recv().unwrap().body(), "x");
    let (publisher, sub) = (Pub::new(&context).unwrap(), Sub::new(&context).unwrap());
    sub.subscribe("").unwrap();
    sub.connect(&publisher.bind(&fresh("tcp")).unwrap())
        .unwrap();
    eventually("it has subscribed", || {
        publisher.as_socket().topics() == Some(1)
    });
    all_forms!(publisher => sub);
    let (xpub, xsub) = (Xpub::new(&context).unwrap(), Xsub::new(&context).unwrap());
    xsub.connect(&xpub.bind(&fresh("tcp")).unwrap()).unwrap();
    xsub.subscribe("").unwrap();
    assert_eq!(xpub.recv().unwrap().body(), &[1]);
    all_forms!(xpub => xsub);
}
