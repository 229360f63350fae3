//! Peers that do not keep to the protocol, by mistake or by intent: no input makes a socket
//! panic, keep others waiting or grow without bound, and every connection that ends for it ends
//! with an event that says why.

#[path = "support/life.rs"]
mod life;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use life::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xebec::{Context, Event, EventKind, Monitor, Pub, Pull, Push, Router, Socket, SocketType, Sub};

/// Random numbers, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Panics of any thread of this process, counted.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, before) = (panics.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    panics
}

/// A well-behaved peer is served.
fn assert_serves(pull: &Pull) {
    let mut raw = Raw::connect(&pull.last_endpoint().unwrap()).shake("PUSH");
    raw.send(b"\x00\x0bI behave OK");
    let deadline = Instant::now() + SOON;
    // What others have sent may come in between: some garbage is a message of ZMTP 1.0.
    while message(pull).body() != b"I behave OK".as_slice() {
        assert!(Instant::now() < deadline);
    }
}

fn is_end(event: &Event) -> bool {
    use EventKind::*;
    matches!(
        event.kind,
        HandshakeFailedNoDetail
            | HandshakeFailedProtocol
            | HandshakeFailedAuth
            | Disconnected
            | Closed
    )
}

/// The end of the connection whose peer is `raw`: an event with a cause.
fn end_of(raw: &Raw, monitor: &Monitor) -> Event {
    let address = format!("tcp://{}", raw.0.local_addr().unwrap());
    let deadline = Instant::now() + SOON;
    while let Some(event) = monitor.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if is_end(&event) && event.peer.as_ref() == Some(&address) {
            assert!(
                event.cause.as_ref().is_some_and(|cause| !cause.is_empty()),
                "{event}"
            );
            return event;
        }
    }
    panic!("the connection of {address} did not end");
}

// ---- one peer, one fault ----

fn greeting_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut greeting = Raw::greeting().to_vec();
    greeting[at..at + bytes.len()].copy_from_slice(bytes);
    greeting
}

fn greeted(rest: &[u8]) -> Vec<u8> {
    [&Raw::greeting()[..], rest].concat()
}

/// After a handshake as a PUSH.
fn shaken(rest: &[u8]) -> Vec<u8> {
    greeted(&[&Raw::ready("PUSH"), rest].concat())
}

macro_rules! faults {
    ($($name:ident: $bytes:expr => $kind:ident, $cause:literal;)*) => {$(
        #[test]
        fn $name() {
            let context = Context::new();
            let pull = Pull::with_options(&context, quick().handshake_ivl(ms(10_000))).unwrap();
            let monitor = pull.monitor();
            let mut raw = Raw::connect(&pull.bind(ANY).unwrap());
            let said: Vec<u8> = $bytes;
            raw.send(&said);
            let end = end_of(&raw, &monitor);
            assert_eq!(end.kind, EventKind::$kind, "{end}");
            let cause = end.cause.unwrap().to_lowercase();
            assert!(cause.contains(&$cause.to_lowercase()), "{cause}");
            raw.until_closed();
            assert_nothing(&pull);
            assert_serves(&pull);
        }
    )*};
}

faults! {
    another_mechanism: greeting_with(12, b"PLAIN") => HandshakeFailedProtocol, "PLAIN";
    a_mechanism_that_nobody_knows: greeting_with(12, b"A\0B\xFFunprintable") => HandshakeFailedProtocol, "mechanism";
    a_message_instead_of_ready: greeted(b"\x00\x05hello") => HandshakeFailedProtocol, "before the handshake";
    a_strange_command_instead_of_ready: greeted(&Raw::command("WHATEVER", b"")) => HandshakeFailedProtocol, "WHATEVER";
    a_ready_of_nine_exabytes: greeted(b"\x06\x7f\xff\xff\xff\xff\xff\xff\xff") => HandshakeFailedProtocol, "limit";
    a_ready_beyond_all_lengths: greeted(b"\x06\xff\xff\xff\xff\xff\xff\xff\xff") => HandshakeFailedProtocol, "does not speak ZMTP";
    a_ready_with_reserved_flags: greeted(b"\xf8\x05hello") => HandshakeFailedProtocol, "ZMTP";
    a_property_longer_than_its_command: greeted(&Raw::command("READY", b"\x0bSocket-Type\xff\xff\xff\xffPUSH")) => HandshakeFailedProtocol, "malformed";
    a_property_without_a_name: greeted(&Raw::command("READY", b"\x00\x00\x00\x00\x01x")) => HandshakeFailedProtocol, "malformed";
    a_command_without_a_name: greeted(b"\x04\x00") => HandshakeFailedProtocol, "malformed";
    a_command_name_beyond_its_end: greeted(b"\x04\x03\xffab") => HandshakeFailedProtocol, "malformed";
    a_type_that_does_not_fit: greeted(&Raw::ready("SUB")) => HandshakeFailedProtocol, "SUB";
    a_type_that_nobody_knows: greeted(&Raw::ready("SHOUT")) => HandshakeFailedProtocol, "SHOUT";
    an_old_type_that_nobody_knows: b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\xee".to_vec() => HandshakeFailedProtocol, "238";
    an_old_identity_that_is_too_long: b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\x02\0\0\0\0\0\x01\0\0".to_vec() => HandshakeFailedProtocol, "routing id";
    an_oldest_identity_that_is_too_long: b"\xff\x7f\0\0\0\0\0\0\0\0\x01".to_vec() => HandshakeFailedProtocol, "routing id";
    an_error_instead_of_ready: greeted(&Raw::command("ERROR", b"\x03no!")) => HandshakeFailedProtocol, "no!";
    reserved_flags: shaken(b"\x40\x03abc") => Disconnected, "protocol";
    a_command_that_is_continued: shaken(b"\x05\x06\x05HELLO") => Disconnected, "protocol";
    a_frame_beyond_all_lengths: shaken(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff") => Disconnected, "protocol";
    a_frame_of_nine_exabytes: shaken(b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff") => Disconnected, "MAXMSGSIZE";
    a_command_of_nine_exabytes: shaken(b"\x06\x7f\xff\xff\xff\xff\xff\xff\xff") => Disconnected, "protocol";
    a_nameless_command: shaken(b"\x04\x00") => Disconnected, "protocol";
    a_truncated_ping: shaken(&Raw::command("PING", b"\x00")) => Disconnected, "protocol";
    a_pong_with_a_novel: shaken(&Raw::command("PONG", &[b'x'; 200])) => Disconnected, "protocol";
    a_late_error: shaken(&Raw::command("ERROR", b"\x06change")) => Disconnected, "change";
}

/// Peers that go in the middle of something, politely or by a reset.
#[test]
fn peers_that_go_in_the_middle() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let monitor = pull.monitor();
    let endpoint = pull.bind(ANY).unwrap();
    let whole = shaken(b"\x01\x03abc\x02\0\0\0\0\0\x0f\x42\x40not all of a megabyte");
    for reset in [false, true] {
        for said in [
            0,
            1,
            9,
            10,
            11,
            63,
            64,
            65,
            70,
            whole.len() - 35,
            whole.len() - 30,
            whole.len() - 1,
            whole.len(),
        ] {
            let mut raw = Raw::connect(&endpoint);
            raw.send(&whole[..said]);
            if reset {
                socket2::SockRef::from(&raw.0)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            let copy = Raw(raw.0.try_clone().unwrap());
            let address = format!("tcp://{}", copy.0.local_addr().unwrap());
            drop((raw, copy));
            let end = loop {
                let event = monitor
                    .recv_timeout(SOON)
                    .expect("the end of the connection");
                if is_end(&event) && event.peer.as_ref() == Some(&address) {
                    break event;
                }
            };
            assert!(end.cause.is_some_and(|cause| !cause.is_empty()));
        }
    }
    assert_nothing(&pull);
    assert_eq!(pull.stats().peers.len(), 0);
    assert_serves(&pull);
}

/// A valid peer whose bytes come one by one is a valid peer.
#[test]
fn one_byte_at_a_time() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let mut raw = Raw::connect(&pull.bind(ANY).unwrap());
    for byte in shaken(b"\x01\x02ab\x02\0\0\0\0\0\0\0\x03cde") {
        raw.send(&[byte]);
    }
    let got = message(&pull);
    assert_eq!(
        got.frames()
            .map(|frame| frame.to_string_lossy().into_owned())
            .collect::<Vec<_>>(),
        ["ab", "cde"]
    );
}

/// A message that never ends is not collected for ever.
#[test]
fn a_message_without_end() {
    in_child("a_message_without_end", || {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        let monitor = pull.monitor();
        let mut raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
        let before = resident_kib();
        let writer = thread::spawn(move || {
            let frames = b"\x01\x01x".repeat(10_000);
            while raw.0.write_all(&frames).is_ok() {}
            raw
        });
        let lost = event(&monitor, EventKind::Disconnected);
        assert!(lost.cause.unwrap().contains("frames"));
        writer.join().unwrap();
        println!(
            "measured: {} KiB after a message of a million frames",
            resident_kib().saturating_sub(before)
        );
        assert_serves(&pull);
    });
}

// ---- many peers ----

/// Noise of all kinds from a few hundred peers, some of which stay while others hang up.
#[test]
fn random_bytes() {
    in_child("random_bytes", || {
        let panics = count_panics();
        let context = Context::new();
        let pull = Pull::with_options(&context, quick().handshake_ivl(ms(300))).unwrap();
        let monitor = pull.monitor();
        let endpoint = pull.bind(ANY).unwrap();
        let mut random = Random(20_260_101);
        let mut raws = Vec::new();
        for i in 0..600 {
            let mut raw = Raw::connect(&endpoint);
            let valid = shaken(b"\x01\x03abc");
            let count = random.below(2_000);
            let mut noise = random.bytes(count);
            match i % 4 {
                // Nothing but noise.
                0 => {}
                // A valid beginning.
                1 => {
                    let kept = random.below(valid.len() + 1);
                    noise.splice(..0, valid[..kept].iter().copied());
                }
                // A valid handshake with some octets changed.
                2 => {
                    noise = valid;
                    for _ in 0..=random.below(4) {
                        let at = random.below(noise.len());
                        noise[at] = random.next() as u8;
                    }
                }
                // A signature, then noise.
                _ => noise
                    .splice(..0, Raw::greeting()[..10].iter().copied())
                    .for_each(drop),
            }
            // It may have been cut off already.
            let _ = raw.0.write_all(&noise);
            if i % 3 > 0 {
                raws.push(raw);
            }
            if i % 100 == 0 {
                assert_serves(&pull);
            }
        }
        assert_serves(&pull);
        // All that is left of them goes, too: each connection ends with a reason.
        drop(raws);
        let mut ends = HashMap::new();
        let mut accepted = 0;
        until("all connections have ended", || {
            // Garbage that was taken for messages has to be received before it is over.
            while pull.try_recv().is_ok() {}
            while let Some(event) = monitor.try_recv() {
                accepted += usize::from(event.kind == EventKind::Accepted);
                if is_end(&event) {
                    let peer = event.peer.clone().expect("a peer");
                    assert!(
                        event.cause.as_ref().is_some_and(|cause| !cause.is_empty()),
                        "{event}"
                    );
                    ends.insert(peer, event);
                }
            }
            pull.stats().peers.is_empty()
        });
        assert_eq!(accepted, 600 + 7);
        assert_eq!(ends.len(), accepted);
        assert_eq!(monitor.missed(), 0);
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    });
}

/// The same for every type of socket, behind a valid handshake: frames that are well formed and
/// make no sense.
#[test]
fn nonsense_to_every_type() {
    in_child("nonsense_to_every_type", || {
        let panics = count_panics();
        use SocketType as Type;
        let types = [
            Type::Pair,
            Type::Pub,
            Type::Sub,
            Type::Req,
            Type::Rep,
            Type::Dealer,
            Type::Router,
            Type::Pull,
            Type::Push,
            Type::Xpub,
            Type::Xsub,
            Type::Stream,
        ];
        let context = Context::new();
        let mut random = Random(1);
        for kind in types {
            let socket =
                Socket::with_options(&context, kind, quick().linger(ms(0)).rcvhwm(10)).unwrap();
            let endpoint = socket.bind(ANY).unwrap();
            let monitor = socket.monitor();
            let peer = kind.peers().first().map_or("", |peer| peer.name());
            for round in 0..40 {
                let mut raw = Raw::connect(&endpoint);
                if kind != Type::Stream {
                    raw = raw.shake(peer);
                }
                let mut frames = Vec::new();
                for _ in 0..random.below(60) {
                    // More, long and command flags as they come; bodies that may be commands,
                    // subscriptions, envelopes or nothing.
                    let len = random.below(12);
                    let body = match random.below(6) {
                        0 => Vec::new(),
                        1 => vec![random.below(3) as u8; len],
                        2 => [&[4][..], b"PING", &random.bytes(len)].concat(),
                        3 => [&[9][..], b"SUBSCRIBE", &random.bytes(len)].concat(),
                        4 => [&[6][..], b"CANCEL", &random.bytes(len)].concat(),
                        _ => random.bytes(len),
                    };
                    let flags = [0, 0, 1, 1, 4, 4, 2, 3, 6][random.below(9)];
                    frames.push(flags);
                    if flags & 2 != 0 {
                        frames.extend([0; 7]);
                    }
                    frames.push(body.len() as u8);
                    frames.extend(body);
                }
                // It may have been cut off already.
                let _ = raw.0.write_all(&frames);
                // The application takes part.
                let mut id = None;
                for _ in 0..random.below(20) {
                    match socket.recv_timeout(ms(1)) {
                        Ok(message) => id = Some(message.first().clone()),
                        Err(_) => break,
                    }
                }
                let reply = id
                    .into_iter()
                    .chain([xebec::Frame::from("reply")])
                    .collect::<xebec::Message>();
                let _ = socket.try_send(reply);
                if round % 2 == 0 {
                    raw.0.shutdown(std::net::Shutdown::Write).unwrap();
                }
            }
            assert_eq!(panics.load(Ordering::SeqCst), 0, "{kind}");
            // PAIR has one peer at a time; the others still let somebody in.
            if kind != Type::Pair && kind != Type::Stream {
                happened(&monitor);
                Raw::connect(&endpoint).shake(peer);
                event(&monitor, EventKind::HandshakeSucceeded);
            }
            soon("closing", move || drop(socket));
        }
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    });
}

/// A thousand peers that hold what they can: half a greeting, half a READY, a body that never
/// comes, half a message. Memory stays bounded and others are served.
#[test]
fn a_thousand_peers_that_hold_the_line() {
    in_child("a_thousand_peers_that_hold_the_line", || {
        let panics = count_panics();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )
        .unwrap();
        let count = 1_000.min(limit.maximum.unwrap_or(u64::MAX) as usize / 2 - 50);
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        let endpoint = pull.bind(ANY).unwrap();
        assert_serves(&pull);
        let before = resident_kib();
        let mut half_ready = greeted(b"\x06\x00\x00\x00\x00\x00\x00\xff\xff\x05READY");
        half_ready.extend([0; 1000]);
        let mut body = shaken(b"\x02\x00\x00\x00\x00\x7f\xff\xff\xf0");
        body.extend([1; 3000]);
        let small = shaken(b"\x00\xffbody");
        let messages = [
            &b"\xff"[..],
            &Raw::greeting()[..30],
            &half_ready,
            &body,
            &small,
        ];
        let raws: Vec<Raw> = (0..count)
            .map(|i| {
                let mut raw = Raw::connect(&endpoint);
                raw.send(messages[i % messages.len()]);
                raw
            })
            .collect();
        until("all are in", || pull.stats().peers.len() >= count);
        let began = Instant::now();
        assert_serves(&pull);
        println!("measured: another peer served in {:?}", began.elapsed());
        let grown = resident_kib().saturating_sub(before);
        println!("measured: {grown} KiB for {count} peers that hold the line");
        assert!(grown < 20 * count, "{grown} KiB for {count} peers");
        drop(raws);
        until("all are gone", || pull.stats().peers.is_empty());
        assert_eq!(panics.load(Ordering::SeqCst), 0);
        assert_serves(&pull);
    });
}

/// A message that is announced takes memory only as it comes.
#[test]
fn an_announcement_is_not_trusted() {
    in_child("an_announcement_is_not_trusted", || {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        let mut raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
        assert_serves(&pull);
        let before = (resident_kib(), virtual_kib());
        raw.send(b"\x02\x00\x00\x00\x00\x7f\xff\xff\xf0");
        raw.send(&[1; 3 << 20]);
        assert_serves(&pull);
        let resident = resident_kib().saturating_sub(before.0);
        let asked_for = virtual_kib().saturating_sub(before.1);
        println!("measured: {resident} KiB, {asked_for} KiB asked for, for 3 MiB of 2 GiB");
        assert!(resident < 16 * 1024, "{resident} KiB");
        // The allocator takes address space for its own purposes, but not by the gigabyte.
        assert!(asked_for < 256 * 1024, "{asked_for} KiB");
    });
}

// ---- floods ----

/// One peer that sends without end what its type may send at any time must not keep the socket
/// to itself: the application's calls and the other peers are served meanwhile.
fn flooded(socket: &Socket, peer: &str, flood: &[u8], mut serve: impl FnMut()) {
    let mut raw = Raw::connect(&socket.last_endpoint().unwrap()).shake(peer);
    let stop = Arc::new(AtomicBool::new(false));
    let flood = flood.repeat((64 << 10) / flood.len());
    let flooding = thread::spawn({
        let stop = stop.clone();
        move || {
            raw.0.set_nonblocking(true).unwrap();
            let mut sent = 0;
            while !stop.load(Ordering::SeqCst) {
                match raw.0.write(&flood[sent % flood.len()..]) {
                    Ok(n) => sent += n,
                    // It is not read as fast as it could be.
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        ready(&raw.0, rustix::event::PollFlags::OUT, ms(10));
                    }
                    Err(error) => panic!("the flood ended: {error}"),
                }
            }
            sent
        }
    });
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut rounds = 0;
    while began.elapsed() < ms(700) || rounds < 10 {
        let round = Instant::now();
        serve();
        slowest = slowest.max(round.elapsed());
        rounds += 1;
        if slowest > SOON / 4 {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let sent = flooding.join().unwrap();
    println!(
        "measured: {rounds} rounds, {slowest:?} at most, while a {peer} sent {} MiB",
        sent >> 20
    );
    assert!(
        slowest < ms(3_000),
        "{slowest:?} while a {peer} sent {} MiB",
        sent >> 20
    );
}

#[test]
fn a_flood_of_subscriptions() {
    let (context, others) = (Context::new(), Context::new());
    let publisher = Pub::new(&context).unwrap();
    let sub = Sub::with_options(&others, quick()).unwrap();
    sub.subscribe("news").unwrap();
    let monitor = publisher.monitor();
    sub.connect(&publisher.bind(ANY).unwrap()).unwrap();
    event(&monitor, EventKind::HandshakeSucceeded);
    until("the subscription is there", || {
        publisher.as_socket().topics() == Some(1)
    });
    flooded(
        publisher.as_socket(),
        "SUB",
        b"\x00\x02\x01a\x00\x02\x00a",
        || {
            publisher.send("news").unwrap();
            assert_eq!(text(&sub), "news");
        },
    );
}

#[test]
fn a_flood_of_messages_that_nobody_wants() {
    let (context, others) = (Context::new(), Context::new());
    let push = Push::with_options(&context, quick().immediate(true).linger(ms(0))).unwrap();
    let pull = Pull::new(&others).unwrap();
    push.connect(&pull.bind(ANY).unwrap()).unwrap();
    push.bind(ANY).unwrap();
    // The flooding PULL does not read: its share fills its pipe, then all goes to the other.
    flooded(push.as_socket(), "PULL", b"\x00\x0anot wanted", || {
        // Turns are not strict while one pipe fills and empties: a few may go to the same peer.
        let arrived = (0..100).any(|_| {
            push.send_timeout("news", SOON).unwrap();
            pull.recv_timeout(ms(100)).is_ok()
        });
        assert!(arrived, "the other peer is served");
    });
}

#[test]
fn a_flood_of_messages_to_a_slow_application() {
    let (context, others) = (Context::new(), Context::new());
    let router = Router::new(&context).unwrap();
    let push = xebec::Dealer::with_options(&others, quick()).unwrap();
    push.connect(&router.bind(ANY).unwrap()).unwrap();
    flooded(router.as_socket(), "DEALER", b"\x00\x05flood", || {
        push.send("news").unwrap();
        // In turn: one of the flood for one of the others.
        assert!((0..100_000).any(|_| text(&router) == "news"));
    });
}

/// CONFLATE and a receive queue without limit both look for the end of what has arrived.
#[test]
fn a_flood_of_messages_without_a_high_water_mark() {
    for options in [quick().rcvhwm(0), quick().conflate(true)] {
        let context = Context::new();
        let pull = Pull::with_options(&context, options).unwrap();
        pull.bind(ANY).unwrap();
        flooded(pull.as_socket(), "PUSH", b"\x00\x05flood", || {
            assert_eq!(text(&pull), "flood")
        });
    }
}

#[test]
fn a_flood_of_pings() {
    let (context, others) = (Context::new(), Context::new());
    let pull = Pull::new(&context).unwrap();
    let push = Push::with_options(&others, quick()).unwrap();
    push.connect(&pull.bind(ANY).unwrap()).unwrap();
    flooded(
        pull.as_socket(),
        "PUSH",
        &Raw::command("PING", b"\x00\x00context"),
        || {
            push.send("news").unwrap();
            assert_eq!(text(&pull), "news");
        },
    );
}
