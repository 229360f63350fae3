//! When options take effect, and those that are seen in bytes, queues and threads: IN_BATCH_SIZE,
//! OUT_BATCH_SIZE, BUSY_POLL, AFFINITY, and the marks of connections that are there already.

#[path = "support/life.rs"]
mod life;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use support::*;
use xebec::{
    AddressFilter, Context, Message, OptionError, Options, Property, SendErrorKind, Socket,
    SocketError,
    SocketType::{self, Dealer, Pair, Pull, Push, Req, Router, Stream},
};

/// Changes fields of a socket's options.
#[track_caller]
fn change(socket: &Socket, change: impl FnOnce(&mut Options)) {
    let changed = socket.configure(|options| {
        change(options);
        Ok::<_, OptionError>(())
    });
    changed.expect("the socket has these options");
}

// ---- IN_BATCH_SIZE and OUT_BATCH_SIZE ----

/// Every length around which buffers behave differently, in one message and one by one.
fn all_lengths(from: &Socket, to: &Socket) {
    let lengths = [
        0, 1, 7, 63, 64, 255, 256, 8191, 8192, 8193, 16_384, 65_536, 200_000, 3,
    ];
    let body = |length: usize| vec![length as u8; length];
    for length in lengths {
        send(from, body(length));
    }
    send(from, lengths.map(body).into_iter().collect::<Message>());
    for length in lengths {
        assert_eq!(*recv(to).body(), *body(length));
    }
    let all = recv(to);
    assert!(
        all.frames()
            .map(|frame| frame.to_vec())
            .eq(lengths.map(body))
    );
}

#[test]
fn batches_of_any_size_carry_everything() {
    for transport in ["tcp", "ipc"] {
        for size in [1, 7, 100, 8192, 16 << 20] {
            let context = Context::new();
            let with = options().in_batch_size(size).out_batch_size(size);
            let pull = socket_with(&context, Pull, with.clone());
            let push = socket_with(&context, Push, with);
            push.connect(&pull.bind(&fresh(transport)).unwrap())
                .unwrap();
            all_lengths(&push, &pull);
        }
    }
}

/// The bytes of a raw connection arrive as they were read.
#[test]
fn in_batch_is_the_most_that_is_read_at_once() {
    let context = Context::new();
    let stream = socket_with(&context, Stream, options().stream_notify(false));
    let endpoint = stream.bind("tcp://127.0.0.1:*").unwrap();
    let mut client = Raw::connect(&endpoint);
    // Also while the connection is up.
    for size in [10, 1000, 3, 100_000] {
        change(&stream, |options| options.in_batch_size = size);
        client.write(&[1; 5000]);
        let (mut largest, mut all) = (0, 0);
        while all < 5000 {
            let length = recv(&stream).body().len();
            (largest, all) = (largest.max(length), all + length);
        }
        assert_eq!(all, 5000);
        assert!(
            largest <= size,
            "{largest} bytes at once with IN_BATCH_SIZE {size}"
        );
        assert!(largest > 3 || size == 3, "the size never grows again");
    }
}

/// A batch of one byte is full with the first message: nothing waits for company.
#[test]
fn out_batch_is_what_is_collected_before_it_is_written() {
    let context = Context::new();
    let pull = socket(&context, Pull);
    let push = socket_with(&context, Push, options().out_batch_size(1));
    push.connect(&pull.bind(&fresh("tcp")).unwrap()).unwrap();
    await_peers(&push, 1);
    for _ in 0..3000 {
        for _ in 0..3 {
            send(&push, "x");
        }
        assert_eq!(push.stats().queued_out, 0);
        (0..3).for_each(|_| drop(recv(&pull)));
    }
}

// ---- BUSY_POLL ----

#[test]
fn busy_poll_reaches_the_sockets_that_are_connected_and_accepted() {
    let context = Context::new();
    let with = || options().busy_poll(Duration::from_micros(55));
    let pull = socket_with(&context, Pull, with());
    let endpoint = match pull.bind("tcp://127.0.0.1:*") {
        Err(error) if !rustix::process::geteuid().is_root() => {
            return println!("{error}");
        }
        bound => bound.unwrap(),
    };
    let accepted = Raw::connect_as(&endpoint, "PUSH");
    let listener = RawListener::new();
    let push = socket_with(&context, Push, with());
    push.connect(&listener.endpoint()).unwrap();
    let connected = listener.accept_as("PULL");
    for raw in [accepted, connected] {
        let address = rustix::net::SocketAddrAny::from(raw.0.local_addr().unwrap());
        let ours = life::duplicate(|fd| {
            rustix::net::getpeername(fd).is_ok_and(|peer| peer.as_ref() == Some(&address))
        });
        let ours = ours.expect("our end of the connection");
        assert_eq!(socket2::SockRef::from(&ours).busy_poll().unwrap(), 55);
    }
}

// ---- for what is bound or connected afterwards ----

#[test]
fn what_is_bound_keeps_its_options() {
    let context = Context::new();
    let pull = socket(&context, Pull);
    let any = pull.bind("tcp://127.0.0.1:*").unwrap();
    pull.set("maxmsgsize", "10").unwrap();
    let short = pull.bind("tcp://127.0.0.1:*").unwrap();
    pull.set("maxmsgsize", "unlimited").unwrap();
    let mut accepted = Raw::connect_as(&any, "PUSH");
    accepted.send(&[b"more than ten bytes"]);
    assert_eq!(recv_text(&pull), ["more than ten bytes"]);
    let mut refused = Raw::connect_as(&short, "PUSH");
    refused.send(&[b"more than ten bytes"]);
    refused.await_end();
}

#[test]
fn what_is_connected_keeps_its_options() {
    let context = Context::new();
    let listener = RawListener::new();
    let with = options()
        .reconnect_ivl(Duration::from_millis(1))
        .routing_id("first")
        .metadata([Property::new("X-Run", "1").unwrap()]);
    let dealer = socket_with(&context, Dealer, with);
    dealer.connect(&listener.endpoint()).unwrap();
    let says = |raw: Raw| {
        let mut raw = raw;
        raw.write(&hello("ROUTER", b""));
        let mut greeting = [0; 64];
        std::io::Read::read_exact(&mut raw.0, &mut greeting).unwrap();
        let ready = String::from_utf8_lossy(&raw.read_frame().1).into_owned();
        (ready, raw)
    };
    let (first, lost) = says(listener.accept());
    assert!(
        first.contains("first") && first.contains("X-Run"),
        "{first}"
    );
    change(&dealer, |options| {
        options.routing_id = "second".into();
        options.metadata.clear();
        options.reconnect_ivl = None;
    });
    drop(lost);
    assert_eq!(says(listener.accept()).0, first, "and it did come back");
    let another = RawListener::new();
    dealer.connect(&another.endpoint()).unwrap();
    let (second, _peer) = says(another.accept());
    assert!(
        second.contains("second") && !second.contains("X-Run"),
        "{second}"
    );
}

/// Inproc peers see what was set when the connection was asked for, though it came about later.
#[test]
fn what_waits_for_an_inproc_name_keeps_its_options() {
    let context = Context::new();
    let dealer = socket_with(&context, Dealer, options().routing_id("first"));
    let endpoint = fresh("inproc");
    dealer.connect(&endpoint).unwrap();
    dealer.set("routing_id", "second").unwrap();
    let router = socket(&context, Router);
    router.bind(&endpoint).unwrap();
    send(&dealer, "hi");
    assert_eq!(recv_text(&router), ["first", "hi"]);
}

/// It is used up by the connect, however it was given.
#[test]
fn connect_routing_id_is_for_one_connect() {
    let context = Context::new();
    for way in ["made", "set"] {
        let router = match way {
            "made" => socket_with(&context, Router, options().connect_routing_id("one")),
            _ => {
                let router = socket(&context, Router);
                router.set("connect_routing_id", "one").unwrap();
                router
            }
        };
        assert_eq!(router.options().connect_routing_id, "one");
        let peers = [socket(&context, Dealer), socket(&context, Dealer)];
        for peer in &peers {
            router.connect(&peer.bind(&fresh("tcp")).unwrap()).unwrap();
        }
        assert_eq!(router.options().connect_routing_id, "");
        send(&router, message([b"one", b"hi"]));
        assert_eq!(recv_text(&peers[0]), ["hi"], "{way}");
        await_peers(&router, 2);
    }
}

// ---- at once ----

/// The marks are the connection's, also when it has been there before.
#[test]
fn marks_change_for_connections_that_are_there() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let endpoint = match transport {
            "inproc" => fresh("inproc"),
            "ipc" => format!("ipc://@xebec-marks-{}", std::process::id()),
            _ => life::nobody(),
        };
        let push = socket_with(&context, Push, options().sndhwm(3));
        push.connect(&endpoint).unwrap();
        assert_eq!(fill(&push, &"x".into()), 3, "{transport}");
        push.set("sndhwm", "5").unwrap();
        assert_eq!(fill(&push, &"x".into()), 2, "{transport}");
        push.set("sndhwm", "4").unwrap();
        assert_eq!(fill(&push, &"x".into()), 0, "{transport}");
        push.set("sndhwm", "unlimited").unwrap();
        for _ in 0..2000 {
            push.try_send("x").unwrap();
        }
    }
}

/// Inproc, the mark is the sum of both sides', whichever of them changes, and in each direction.
#[test]
fn marks_of_both_sides_change_over_inproc() {
    let context = Context::new();
    let with = |snd, rcv| options().sndhwm(snd).rcvhwm(rcv);
    let one = socket_with(&context, Pair, with(1, 10));
    let other = socket_with(&context, Pair, with(20, 2));
    one.connect(&other.bind(&fresh("inproc")).unwrap()).unwrap();
    assert_eq!(fill(&one, &"x".into()), 3);
    assert_eq!(fill(&other, &"x".into()), 30);
    other.set("rcvhwm", "4").unwrap();
    assert_eq!(fill(&one, &"x".into()), 2);
    one.set("sndhwm", "2").unwrap();
    assert_eq!(fill(&one, &"x".into()), 1);
    one.set("rcvhwm", "11").unwrap();
    assert_eq!(fill(&other, &"x".into()), 1);
    one.set("sndhwm", "0").unwrap();
    for _ in 0..2000 {
        one.try_send("x").unwrap();
    }
}

/// Who waits for room is told, on either side.
#[test]
fn a_higher_mark_wakes_who_waits_for_it() {
    for transport in ["tcp", "inproc", "inproc, theirs"] {
        let context = Context::new();
        let (pull, push) = (
            socket_with(&context, Pull, options().rcvhwm(1)),
            std::sync::Arc::new(socket_with(&context, Push, options().sndhwm(1))),
        );
        let endpoint = match transport {
            "tcp" => life::nobody(),
            _ => pull.bind(&fresh("inproc")).unwrap(),
        };
        push.connect(&endpoint).unwrap();
        fill(&push, &"x".into());
        let waits = push.clone();
        let waits = Working::start(move || waits.send_timeout("y", PATIENCE));
        waits.await_asleep();
        match transport {
            "inproc, theirs" => pull.set("rcvhwm", "2").unwrap(),
            _ => push.set("sndhwm", "2").unwrap(),
        }
        assert_eq!(waits.join(), Ok(()), "{transport}");
        assert_eq!(fill(&push, &"x".into()), 0, "{transport}");
    }
}

/// What waits in the kernel comes in as far as the new mark allows.
#[test]
fn a_higher_mark_lets_more_in() {
    let context = Context::new();
    let pull = socket_with(&context, Pull, options().rcvhwm(2));
    let mut peer = Raw::connect_as(&pull.bind("tcp://127.0.0.1:*").unwrap(), "PUSH");
    for _ in 0..9 {
        peer.send(&[b"x"]);
    }
    eventually("two are there", || pull.stats().queued_in == 2);
    pull.set("rcvhwm", "7").unwrap();
    eventually("seven are there", || pull.stats().queued_in == 7);
    pull.set("rcvhwm", "1").unwrap();
    (0..9).for_each(|_| drop(recv(&pull)));
    recv_nothing(&pull);
}

#[test]
fn waiting_times_change_for_the_next_call() {
    let context = Context::new();
    let pair = socket_with(&context, Pair, options());
    for name in ["rcvtimeo", "sndtimeo"] {
        pair.set(name, "0").unwrap();
    }
    assert_eq!(pair.recv().unwrap_err(), xebec::RecvError::WouldBlock);
    assert_eq!(pair.send("x").unwrap_err().kind, SendErrorKind::WouldBlock);
    pair.set("rcvtimeo", "30ms").unwrap();
    let before = std::time::Instant::now();
    assert!(pair.recv().is_err());
    assert!(before.elapsed() >= Duration::from_millis(30));
}

// ---- AFFINITY, until the first bind or connect ----

/// How many other sets each set of descriptors (epoll) of this process watches, where any: an I/O
/// thread's set watches those of its sockets.
fn watched_sets() -> Vec<usize> {
    let mut is_set = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(Result::ok)
    {
        let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let link = fs::read_link(entry.path()).unwrap_or_default();
        is_set.insert(number, link.to_string_lossy().contains("eventpoll"));
    }
    let watches = |number: &i32| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let targets = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
        let targets = targets.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        targets
            .filter(|target: &i32| is_set.get(target) == Some(&true))
            .count()
    };
    let sets = is_set.iter().filter(|(_, is_set)| **is_set);
    let mut counts: Vec<usize> = sets.map(|(number, _)| watches(number)).collect();
    counts.retain(|&count| count > 0);
    counts.sort_unstable();
    counts
}

#[test]
fn affinity_chooses_the_threads() {
    life::in_child("affinity_chooses_the_threads", || {
        for (affinities, expected) in [
            (&[1, 1, 1, 1, 2, 1][..], &[1, 5][..]),
            (&[2, 2], &[2]),
            (&[0, 0, 0, 0], &[2, 2]),
            (&[3, 3, 3, 3], &[2, 2]),
            (&[1, 1, u64::MAX], &[1, 2]),
        ] {
            let context = Context::builder().io_threads(2).build();
            let make = |&affinity: &u64| socket_with(&context, Pull, options().affinity(affinity));
            let sockets: Vec<Socket> = affinities.iter().map(make).collect();
            assert_eq!(watched_sets(), expected, "{affinities:?}");
            drop(sockets);
            context.term();
        }
    });
}

#[test]
fn affinity_that_leaves_no_thread_is_refused() {
    let context = Context::builder().io_threads(2).build();
    let with = options().affinity(0b1100);
    let error = Socket::with_options(&context, Pull, with).unwrap_err();
    assert!(
        matches!(error, SocketError::Option(OptionError::Invalid { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("ZMQ_AFFINITY"), "{error}");
}

/// Programs in C make the socket first and set its options then.
#[test]
fn affinity_can_be_changed_until_the_first_bind() {
    life::in_child("affinity_can_be_changed_until_the_first_bind", || {
        let context = Context::builder().io_threads(2).build();
        let (pull, push) = (socket(&context, Pull), socket(&context, Push));
        // A caller that waits has the lease meanwhile.
        recv_nothing(&pull);
        for (affinity, expected) in [("1", &[2][..]), ("2", &[1, 1]), ("1", &[2]), ("2", &[1, 1])] {
            pull.set("affinity", affinity).unwrap();
            push.set("affinity", "1").unwrap();
            assert_eq!(watched_sets(), expected, "{affinity}");
        }
        let error = pull.set("affinity", "4").unwrap_err();
        assert!(matches!(error, OptionError::Invalid { .. }), "{error}");
        assert_eq!(pull.options().affinity, 2);
        push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
            .unwrap();
        let error = pull.set("affinity", "1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "ZMQ_AFFINITY can be changed no more: \
             set it before the socket's first bind or connect"
        );
        pull.set("affinity", "2").unwrap();
        // Nobody waits: the thread that it moved to takes the message in.
        send(&push, "there");
        eventually("the message is there", || pull.stats().queued_in == 1);
        assert_eq!(recv_text(&pull), ["there"]);
    });
}

/// Nothing is changed when anything is refused.
#[test]
fn a_change_is_whole_or_not_at_all() {
    let context = Context::new();
    let req = socket(&context, Req);
    let before = req.options();
    let filter: AddressFilter = "10.0.0.0/8".parse().unwrap();
    let changes: [fn(&mut Options); 3] = [
        |options| options.router_mandatory = true,
        |options| options.routing_id = "\0x".into(),
        |options| options.linger = Some(Duration::MAX),
    ];
    for change in changes {
        let error: OptionError = req
            .configure(|options| {
                options.tcp_accept_filter.push(filter);
                change(options);
                Ok(())
            })
            .unwrap_err();
        assert!(!error.to_string().is_empty());
        assert_eq!(req.options(), before);
    }
    let kind: SocketType = req.kind();
    assert_eq!(kind, Req);
}
