//! Sockets and the process that they live in: forks, the descriptor limit, ten thousand comings
//! and goings without a leak, and what idle and busy applications may expect of the background.
//!
//! What is counted or limited by process runs in a process of its own.

#[path = "support/life.rs"]
mod life;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use life::*;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use xebec::{
    AddressErrorKind, Context, Dealer, EventKind, Pair, Pub, Pull, Push, Rep, Req, SocketError, Sub,
};

// ---- fork ----

/// Forks; the child runs `body` and ends, with status 0 if `body` returned. Returns that status.
fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: the child runs code of this process on a copy of the calling thread. Other threads
    // are gone from it, and what they had locked stays locked: `body` touches nothing that the
    // background threads of the parent's contexts use. The allocator is fit for this (glibc's
    // atfork handlers). It leaves by `_exit`, so nothing of the parent's is run or flushed twice.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: a system call without pointers; ends the child if it hangs.
        unsafe { libc::alarm(SOON.as_secs() as u32) };
        let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
        // SAFETY: a system call without pointers that does not return.
        unsafe { libc::_exit(i32::from(!fine)) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the status of our own child.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid);
    status
}

#[test]
fn a_forked_child_makes_its_own_context() {
    in_child("a_forked_child_makes_its_own_context", || {
        let context = Context::new();
        let (pull, push) = (
            Pull::new(&context).unwrap(),
            Push::with_options(&context, quick()).unwrap(),
        );
        push.connect(&pull.bind(ANY).unwrap()).unwrap();
        let mut sent = 0;
        for _ in 0..20 {
            // Some of these still wait for company when the process forks. They are the parent's
            // to write.
            for _ in 0..10 {
                push.send(sent.to_string()).unwrap();
                sent += 1;
            }
            let status = fork(|| {
                for endpoint in [ANY, "ipc://*", "inproc://child"] {
                    let context = Context::new();
                    let (rep, req) = (
                        Rep::new(&context).unwrap(),
                        Req::with_options(&context, quick()).unwrap(),
                    );
                    req.connect(&rep.bind(endpoint).unwrap()).unwrap();
                    for _ in 0..10 {
                        req.send("question").unwrap();
                        assert_eq!(text(&rep), "question");
                        rep.send("answer").unwrap();
                        assert_eq!(text(&req), "answer");
                    }
                    assert!(rep.recv_timeout(ms(1)).is_err());
                }
            });
            assert_eq!(status, 0, "the child's end");
        }
        (0..sent).for_each(|i| assert_eq!(text(&pull), i.to_string()));
        assert_nothing(&pull);
    });
}

/// A child that drops what it has inherited (it returned from a function, say) does the parent's
/// sockets no harm and does not hang.
#[test]
fn a_forked_child_may_drop_what_it_inherited() {
    in_child("a_forked_child_may_drop_what_it_inherited", || {
        let context = Context::new();
        let path = std::env::temp_dir().join(format!("xebec-fork-{}", std::process::id()));
        let pull = Pull::new(&context).unwrap();
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(&pull.bind(ANY).unwrap()).unwrap();
        let file = pull.bind(&format!("ipc://{}", path.display())).unwrap();
        push.send("before").unwrap();
        assert_eq!(text(&pull), "before");
        push.send("under way").unwrap();
        let mut sockets = Some((push, pull, context));
        let status = fork(|| drop(sockets.take()));
        assert_eq!(status, 0, "the child's end");
        let (push, pull, context) = sockets.take().expect("the parent's own");
        assert_eq!(text(&pull), "under way");
        push.send("after").unwrap();
        assert_eq!(text(&pull), "after");
        let other = Push::with_options(&context, quick()).unwrap();
        other.connect(&file).unwrap();
        other.send("through the file").unwrap();
        assert_eq!(text(&pull), "through the file");
        // A context that has no sockets left.
        drop((push, pull, other));
        let mut context = Some(context);
        assert_eq!(fork(|| drop(context.take())), 0, "the child's end");
    });
}

// ---- the descriptor limit ----

/// Sets the limit below what is open already: nothing more can be opened.
fn no_more_descriptors() -> Rlimit {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(3),
            ..limit
        },
    )
    .unwrap();
    limit
}

/// Sockets made in time, to be connected when no more can be made.
fn raw_sockets(count: usize) -> Vec<TcpStream> {
    let make = || {
        rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    };
    (0..count).map(|_| make().into()).collect()
}

#[test]
fn accepting_waits_for_descriptors() {
    in_child("accepting_waits_for_descriptors", || {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        let endpoint = pull.bind(ANY).unwrap();
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(&endpoint).unwrap();
        push.send("early").unwrap();
        assert_eq!(text(&pull), "early");
        let monitor = pull.monitor();
        let raws = raw_sockets(20);
        let limit = no_more_descriptors();
        for raw in &raws {
            rustix::net::connect(raw, &SocketAddrAny::from(address(&endpoint))).unwrap();
        }
        // It tries, again and again, and says so.
        for _ in 0..3 {
            let failed = event(&monitor, EventKind::AcceptFailed);
            assert_eq!(failed.endpoint, endpoint);
            assert!(failed.cause.unwrap().contains("open files"));
        }
        // Who is in goes on.
        push.send("meanwhile").unwrap();
        assert_eq!(text(&pull), "meanwhile");
        setrlimit(Resource::Nofile, limit).unwrap();
        for (i, raw) in raws.into_iter().enumerate() {
            raw.set_read_timeout(Some(SOON)).unwrap();
            let mut raw = Raw(raw).shake("PUSH");
            raw.send(&[0, 1, b'a' + i as u8]);
            assert_eq!(text(&pull).as_bytes(), [b'a' + i as u8]);
        }
    });
}

#[test]
fn connecting_waits_for_descriptors() {
    in_child("connecting_waits_for_descriptors", || {
        for endpoint in ["tcp://127.0.0.1:*", "tcp://localhost:*", "ipc://*"] {
            let context = Context::new();
            let pull = Pull::new(&context).unwrap();
            let mut bound = pull.bind(endpoint).unwrap();
            if endpoint.contains("localhost") {
                bound = bound.replace("127.0.0.1", "localhost");
            }
            let push = Push::with_options(&context, quick()).unwrap();
            let monitor = push.monitor();
            let limit = no_more_descriptors();
            push.connect(&bound).unwrap();
            push.send("queued").unwrap();
            for _ in 0..3 {
                assert!(event(&monitor, EventKind::ConnectRetried).cause.is_some());
            }
            setrlimit(Resource::Nofile, limit).unwrap();
            assert_eq!(text(&pull), "queued", "{endpoint}");
        }
    });
}

#[test]
fn what_needs_a_descriptor_at_once_says_that_there_is_none() {
    in_child(
        "what_needs_a_descriptor_at_once_says_that_there_is_none",
        || {
            let context = Context::new();
            let pull = Arc::new(Pull::new(&context).unwrap());
            let push = Push::with_options(&context, quick()).unwrap();
            let monitor = pull.monitor();
            push.connect(&pull.bind(ANY).unwrap()).unwrap();
            event(&monitor, EventKind::HandshakeSucceeded);
            let limit = no_more_descriptors();
            for bad in [
                Push::new(&context).unwrap_err(),
                Push::new(&Context::new()).unwrap_err(),
            ] {
                assert!(matches!(bad, SocketError::System(_)), "{bad:?}");
                assert!(bad.to_string().contains("ulimit"), "{bad}");
            }
            for endpoint in [ANY, "ipc://*", "ipc://@out-of-descriptors"] {
                let error = pull.bind(endpoint).unwrap_err();
                assert!(
                    matches!(error.kind, AddressErrorKind::System(_)),
                    "{error:?}"
                );
                assert!(error.to_string().contains("open files"), "{error}");
            }
            // A thread that has never waited before can wait all the same.
            let (waiting, elsewhere) = (AtomicUsize::new(0), &pull);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(text(&**elsewhere), "to a new thread");
                    });
                }
                until("the threads wait", || waiting.load(Ordering::SeqCst) == 3);
                (0..3).for_each(|_| push.send("to a new thread").unwrap());
            });
            setrlimit(Resource::Nofile, limit).unwrap();
            Push::new(&context).unwrap();
            pull.bind(ANY).unwrap();
        },
    );
}

// ---- ten thousand comings and goings ----

/// Runs `cycle` ten thousand times and looks that the process is as it was after the first few.
fn no_leak(cycles: usize, mut cycle: impl FnMut(usize), mut settled: impl FnMut() -> bool) {
    let warm = cycles / 10;
    (0..warm).for_each(&mut cycle);
    until("all is settled", &mut settled);
    let (descriptors_before, threads_before, before) = (descriptors(), threads(), resident_kib());
    (warm..cycles + warm).for_each(&mut cycle);
    until("all is settled", &mut settled);
    // The kernel takes a moment to forget a thread that was joined.
    until("no more descriptors and threads than before", || {
        descriptors() <= descriptors_before && threads() <= threads_before
    });
    let grown = resident_kib().saturating_sub(before);
    println!(
        "measured: {cycles} cycles, {grown} KiB more, {} descriptors, {} threads",
        descriptors(),
        threads()
    );
    assert!(grown < 6 * 1024, "{grown} KiB after {cycles} cycles");
}

#[test]
fn connecting_and_disconnecting_leaves_nothing() {
    in_child("connecting_and_disconnecting_leaves_nothing", || {
        for endpoint in [ANY, "ipc://*"] {
            let context = Context::new();
            let pull = Pull::new(&context).unwrap();
            let endpoint = pull.bind(endpoint).unwrap();
            let push = Push::with_options(&context, quick()).unwrap();
            let cycle = |i: usize| {
                push.connect(&endpoint).unwrap();
                push.send(i.to_string()).unwrap();
                assert_eq!(text(&pull), i.to_string());
                push.disconnect(&endpoint).unwrap();
            };
            no_leak(5_000, cycle, || {
                pull.stats().peers.is_empty() && push.stats().peers.is_empty()
            });
        }
    });
}

#[test]
fn peers_that_come_and_go_leave_nothing() {
    in_child("peers_that_come_and_go_leave_nothing", || {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        let endpoint = pull.bind(ANY).unwrap();
        // Every second one does not even shake hands.
        let cycle = |i: usize| {
            let raw = Raw::connect(&endpoint);
            if i.is_multiple_of(2) {
                raw.shake("PUSH");
            }
        };
        no_leak(10_000, cycle, || pull.stats().peers.is_empty());
    });
}

#[test]
fn sockets_that_come_and_go_leave_nothing() {
    in_child("sockets_that_come_and_go_leave_nothing", || {
        let context = Context::new();
        let publisher = Pub::new(&context).unwrap();
        let rep = Rep::new(&context).unwrap();
        let (published, replied) = (publisher.bind(ANY).unwrap(), rep.bind(ANY).unwrap());
        let sockets = context.sockets();
        let cycle = |i: usize| {
            let sub = Sub::new(&context).unwrap();
            sub.subscribe(i.to_string()).unwrap();
            sub.connect(&published).unwrap();
            let req = Req::with_options(&context, quick()).unwrap();
            req.connect(&replied).unwrap();
            req.send("question").unwrap();
            assert_eq!(text(&rep), "question");
            rep.send("answer").unwrap();
            assert_eq!(text(&req), "answer");
        };
        no_leak(3_000, cycle, || {
            context.sockets() == sockets
                && publisher.stats().peers.is_empty()
                && rep.stats().peers.is_empty()
        });
        assert_eq!(publisher.as_socket().topics(), Some(0));
    });
}

#[test]
fn inproc_peers_that_come_and_go_leave_nothing() {
    in_child("inproc_peers_that_come_and_go_leave_nothing", || {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        pull.bind("inproc://busy").unwrap();
        let push = Push::with_options(&context, quick()).unwrap();
        let cycle = |i: usize| {
            push.connect("inproc://busy").unwrap();
            push.send(i.to_string()).unwrap();
            assert_eq!(text(&pull), i.to_string());
            push.disconnect("inproc://busy").unwrap();
            // Also to a name that nobody ever binds.
            push.connect("inproc://nobody").unwrap();
            push.disconnect("inproc://nobody").unwrap();
            let short = Pair::new(&context).unwrap();
            short.bind(&format!("inproc://{i}")).unwrap();
            short.connect(&format!("inproc://other {i}")).unwrap();
        };
        no_leak(10_000, cycle, || {
            context.sockets() == 2 && pull.stats().peers.is_empty() && push.stats().peers.is_empty()
        });
    });
}

#[test]
fn contexts_that_come_and_go_leave_nothing() {
    in_child("contexts_that_come_and_go_leave_nothing", || {
        let cycle = |i: usize| {
            let context = Context::builder().io_threads(2).build();
            let (server, client) = (
                Dealer::with_options(&context, quick()).unwrap(),
                Dealer::with_options(&context, quick()).unwrap(),
            );
            client
                .connect(
                    &server
                        .bind(["inproc://here", ANY, "ipc://*"][i % 3])
                        .unwrap(),
                )
                .unwrap();
            client.send("ping").unwrap();
            assert_eq!(text(&server), "ping");
            if i.is_multiple_of(2) {
                drop((server, client));
                context.term();
            }
        };
        no_leak(1_000, cycle, || true);
    });
}

/// A thousand attempts at a port where nobody listens.
#[test]
fn attempts_in_vain_leave_nothing() {
    in_child("attempts_in_vain_leave_nothing", || {
        let context = Context::new();
        let push =
            Push::with_options(&context, quick().linger(ms(0)).reconnect_ivl(ms(1))).unwrap();
        let monitor = push.monitor();
        push.connect(&nobody()).unwrap();
        no_leak(
            1_000,
            |_| drop(event(&monitor, EventKind::ConnectRetried)),
            || true,
        );
    });
}

// ---- in the background ----

/// A thousand connections on which nothing happens cost no processor time, whatever the
/// application is doing with the socket.
#[test]
fn idle_connections_cost_no_processor_time() {
    in_child("idle_connections_cost_no_processor_time", || {
        const CONNECTIONS: usize = 1_000;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )
        .unwrap();
        let room = limit.maximum.unwrap_or(u64::MAX) / 2 - 50;
        let connections = CONNECTIONS.min(room as usize);
        let context = Context::new();
        let dealer = Arc::new(Dealer::with_options(&context, quick()).unwrap());
        let endpoint = dealer.bind(ANY).unwrap();
        let mut raws: Vec<Raw> = (0..connections)
            .map(|_| Raw::connect(&endpoint).shake("DEALER"))
            .collect();
        until("all are in", || {
            dealer.stats().connections == connections as u64
        });
        // Some traffic before the silence, so that whatever it starts has to stop again.
        for raw in raws.iter_mut().take(100) {
            raw.send(b"\x00\x05hello");
            text(&*dealer);
        }
        let measure = |what: &str| {
            // What is under way comes to rest.
            thread::sleep(ms(100));
            let (time, before) = (ms(1_500), cpu_time());
            thread::sleep(time);
            let used = cpu_time() - before;
            println!(
                "measured: {used:?} of CPU in {time:?}, {connections} idle connections, {what}"
            );
            assert!(used < time / 250, "{used:?} of CPU in {time:?}: {what}");
        };
        measure("the application away");
        let waiting = thread::spawn({
            let dealer = dealer.clone();
            move || text(&*dealer)
        });
        measure("the application waits in recv");
        raws[0].send(b"\x00\x05hello");
        assert_eq!(waiting.join().unwrap(), "hello");
        // A dialer to nobody at a slow pace, and heartbeats every other second.
        measure("the application away again");
    });
}

/// A computation that ends when somebody else says so: the application makes no call.
fn compute_until(over: &AtomicBool) -> bool {
    let deadline = Instant::now() + SOON;
    while !over.load(Ordering::SeqCst) {
        std::hint::black_box(Instant::now());
        if Instant::now() > deadline {
            return false;
        }
    }
    true
}

/// What was sent before a long computation arrives during the computation.
#[test]
fn messages_leave_while_the_application_computes() {
    for (endpoint, count, size) in [
        (ANY, 1, 10),
        (ANY, 2, 10),
        (ANY, 100, 10),
        ("ipc://*", 3, 10),
        (ANY, 20, 1 << 20),
        ("ipc://*", 20, 1 << 20),
        (ANY, 900, 5_000),
    ] {
        let (sending, receiving) = (Context::new(), Context::new());
        let pull = Pull::new(&receiving).unwrap();
        let push = Push::with_options(&sending, quick()).unwrap();
        let monitor = push.monitor();
        push.connect(&pull.bind(endpoint).unwrap()).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..count).for_each(|_| assert_eq!(message(&pull).size(), size));
                over.store(true, Ordering::SeqCst);
            });
            (0..count).for_each(|_| push.send(vec![1u8; size]).unwrap());
            assert!(
                compute_until(&over),
                "{count} messages of {size} bytes wait for the sender's next call"
            );
        });
    }
}

/// The same for so many peers that writing to all takes long: what waits for the next time leaves, too.
#[test]
fn messages_to_many_peers_leave_while_the_application_computes() {
    const PEERS: usize = 100;
    let (sending, receiving) = (Context::new(), Context::new());
    let push = Push::with_options(&sending, quick()).unwrap();
    let monitor = push.monitor();
    let pulls: Vec<_> = (0..PEERS)
        .map(|_| {
            let pull = Pull::new(&receiving).unwrap();
            push.connect(&pull.bind(ANY).unwrap()).unwrap();
            event(&monitor, EventKind::HandshakeSucceeded);
            pull
        })
        .collect();
    for rounds in [1, 2, 30] {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..rounds {
                    pulls.iter().for_each(|pull| assert_eq!(text(pull), "x"));
                }
                over.store(true, Ordering::SeqCst);
            });
            (0..rounds * PEERS).for_each(|_| push.send("x").unwrap());
            assert!(compute_until(&over), "{rounds} messages for each peer");
        });
    }
}

/// The same for the end of a large message in a burst, of which only whole segments are written at once.
#[test]
fn the_end_of_a_large_message_leaves_while_the_application_computes() {
    let (sending, receiving) = (Context::new(), Context::new());
    let push = Push::with_options(&sending, quick()).unwrap();
    let monitor = push.monitor();
    let pulls = [(); 2].map(|()| {
        let pull = Pull::new(&receiving).unwrap();
        push.connect(&pull.bind(ANY).unwrap()).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
        pull
    });
    for _ in 0..100 {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(message(&pulls[0]).size(), 1);
                assert_eq!(message(&pulls[1]).size(), 1);
                assert_eq!(message(&pulls[0]).size(), 300_000);
                assert_eq!(message(&pulls[1]).size(), 1);
                over.store(true, Ordering::SeqCst);
            });
            // The second waits for company, with its peer: what the other peer has to be sent is not noted yet.
            for size in [1, 1, 300_000, 1] {
                push.send(vec![1u8; size]).unwrap();
            }
            assert!(compute_until(&over));
        });
    }
}

/// The same for messages sent before there was a connection, and for a reply after a receive.
#[test]
fn queued_messages_and_replies_leave_while_the_application_computes() {
    let context = Context::new();
    let endpoint = nobody();
    let push = Push::with_options(&context, quick()).unwrap();
    push.connect(&endpoint).unwrap();
    (0..10).for_each(|i| push.send(i.to_string()).unwrap());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let pull = Pull::new(&context).unwrap();
            pull.bind(&endpoint).unwrap();
            (0..10).for_each(|i| assert_eq!(text(&pull), i.to_string()));
            over.store(true, Ordering::SeqCst);
        });
        assert!(compute_until(&over));
    });
    let rep = Rep::new(&context).unwrap();
    let endpoint = rep.bind(ANY).unwrap();
    for _ in 0..50 {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let req = Req::with_options(&context, quick()).unwrap();
                req.connect(&endpoint).unwrap();
                req.send("question").unwrap();
                assert_eq!(text(&req), "answer");
                over.store(true, Ordering::SeqCst);
            });
            assert_eq!(text(&rep), "question");
            rep.send("answer").unwrap();
            assert!(compute_until(&over), "the reply waits for the next call");
        });
    }
}

/// Up to RCVHWM messages are received while the application makes no call; not one more.
#[test]
fn messages_are_received_ahead_up_to_the_high_water_mark() {
    let context = Context::new();
    for calls_first in [false, true] {
        let pull = Pull::with_options(&context, quick().rcvhwm(100)).unwrap();
        let mut raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
        if calls_first {
            // The receiver was in the middle of a run of quick calls.
            for _ in 0..100 {
                raw.send(b"\x00\x05first");
                text(&pull);
            }
        }
        // In a single piece, and one by one.
        raw.send(&b"\x00\x01m".repeat(60));
        until("the first are there", || pull.stats().queued_in == 60);
        (0..140).for_each(|_| raw.send(b"\x00\x01m"));
        until("no more than RCVHWM are there", || {
            pull.stats().queued_in == 100
        });
        assert!(raw.is_quiet_for(ms(50)));
        assert_eq!(pull.stats().queued_in, 100);
        // The rest comes as room is made.
        (0..200).for_each(|_| assert_eq!(text(&pull), "m"));
        assert_nothing(&pull);
    }
}

/// A receiver that takes one message of a burst and computes does not keep the rest from coming.
#[test]
fn a_burst_is_received_ahead_after_its_first_message_was_taken() {
    let context = Context::new();
    // Three megabytes and more do not fit into the kernel's buffers everywhere: somebody has to read. The last
    // are several turns of a connection.
    for (size, messages, times) in [(10_000, 300, 20), (500_000, 40, 3)] {
        for _ in 0..times {
            let pull = Pull::new(&context).unwrap();
            let mut raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
            let burst = Raw::frame(&vec![7; size]).repeat(messages);
            let writer = thread::spawn(move || {
                raw.send(&burst);
                raw
            });
            assert_eq!(message(&pull).size(), size);
            until("all the others are there", || {
                pull.stats().queued_in == messages as u64 - 1
            });
            drop(writer.join().unwrap());
        }
    }
}

/// The time from a send to its arrival at an application that only polls now and then is not a
/// matter of chance: each of many lone messages leaves at once.
#[test]
fn a_lone_message_leaves_at_once() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let mut raw = Raw::connect(&push.bind(ANY).unwrap()).shake("PULL");
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        push.send_timeout("lone", SOON).unwrap();
        let began = Instant::now();
        assert_eq!(raw.next().unwrap().body, b"lone");
        slowest = slowest.max(began.elapsed());
    }
    println!("measured: {slowest:?} at most");
    assert!(slowest < ms(1_000), "{slowest:?}");
}
