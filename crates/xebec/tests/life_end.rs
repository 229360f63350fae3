//! How sockets and contexts end: LINGER in all its forms, messages sent in the last moment, and
//! termination, which ends every call that waits.

#[path = "support/life.rs"]
mod life;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use life::*;
use xebec::{
    AddressErrorKind, Context, Dealer, EventKind, Interest, Message, Options, PollError, PollItem,
    Pub, Pull, Push, RecvError, Rep, Req, Router, SendErrorKind, SocketError, Sub, Xpub, Xsub,
    poll,
};

/// Runs `body` on a thread; tells when it is over.
fn background<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, over) = channel();
    thread::spawn(move || {
        // Nobody listens any more if the test has failed.
        let _ = done.send(body());
    });
    over
}

fn assert_waits<T>(over: &Receiver<T>) {
    assert!(
        matches!(over.recv_timeout(ms(100)), Err(RecvTimeoutError::Timeout)),
        "it should still wait"
    );
}

// ---- LINGER ----

#[test]
fn without_linger_nothing_waits_and_nothing_arrives() {
    let context = Context::new();
    let endpoint = nobody();
    let push = Push::with_options(&context, quick().linger(ms(0))).unwrap();
    push.connect(&endpoint).unwrap();
    (0..100).for_each(|i| push.send(i.to_string()).unwrap());
    soon("the end of a context without linger", move || {
        drop((push, context))
    });
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let monitor = pull.monitor();
    pull.bind(&endpoint).unwrap();
    let push = Push::new(&context).unwrap();
    push.connect(&endpoint).unwrap();
    push.send("of another").unwrap();
    assert_eq!(text(&pull), "of another");
    assert_eq!(
        happened(&monitor)
            .iter()
            .filter(|&&kind| kind == EventKind::Accepted)
            .count(),
        1
    );
}

/// The receiver starts after the sender's socket is closed and while its context waits.
#[test]
fn with_linger_a_late_receiver_gets_everything() {
    for linger in [None, Some(SOON)] {
        for kind in ["tcp", "ipc"] {
            let endpoint = if kind == "tcp" {
                nobody()
            } else {
                format!(
                    "ipc://@xebec-late-{}-{}",
                    std::process::id(),
                    linger.is_none()
                )
            };
            let context = Context::new();
            let push = Push::with_options(
                &context,
                Options::new().reconnect_ivl(ms(10)).linger(linger),
            )
            .unwrap();
            push.connect(&endpoint).unwrap();
            (0..1000).for_each(|i| push.send(i.to_string()).unwrap());
            let began = Instant::now();
            drop(push);
            assert!(began.elapsed() < ms(1000), "closing a socket does not wait");
            let ended = background(move || context.term());
            assert_waits(&ended);
            let context = Context::new();
            let pull = Pull::new(&context).unwrap();
            pull.bind(&endpoint).unwrap();
            (0..1000).for_each(|i| assert_eq!(text(&pull), i.to_string()));
            ended
                .recv_timeout(SOON / 2)
                .expect("the context ends when all is sent");
        }
    }
}

#[test]
fn a_finite_linger_ends() {
    let context = Context::new();
    let push = Push::with_options(&context, quick().linger(ms(300))).unwrap();
    push.connect(&nobody()).unwrap();
    push.send("never received").unwrap();
    let began = Instant::now();
    drop(push);
    assert_eq!(context.sockets(), 1, "it lingers");
    soon("the end of a context with a linger of 300 ms", move || {
        drop(context)
    });
    assert!(
        (ms(290)..ms(3_000)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

/// It ends as well for a peer that is there and does not read.
#[test]
fn a_finite_linger_ends_for_a_peer_that_reads_nothing() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, quick().linger(ms(300))).unwrap();
    push.connect(&endpoint).unwrap();
    let _raw = Raw::accept(&listener).shake("PULL");
    while push.send_timeout(vec![0u8; 1 << 20], ms(50)).is_ok() {}
    let began = Instant::now();
    drop(push);
    soon("the end of a context with a linger of 300 ms", move || {
        context.term()
    });
    assert!(
        (ms(290)..ms(3_000)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn linger_may_be_changed_until_the_close() {
    let context = Context::new();
    let push = Push::with_options(&context, Options::new()).unwrap();
    push.connect(&nobody()).unwrap();
    push.send("not worth waiting for").unwrap();
    push.set("linger", "0").unwrap();
    soon("the end of a context", move || drop((push, context)));
}

#[test]
fn only_sockets_with_something_to_send_linger() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let sockets: [xebec::Socket; 5] = [
        Push::new(&context).unwrap().into(),
        Pull::new(&context).unwrap().into(),
        Req::new(&context).unwrap().into(),
        Sub::new(&context).unwrap().into(),
        Xsub::new(&context).unwrap().into(),
    ];
    for socket in &sockets {
        socket.connect(&nobody()).unwrap();
        socket.connect(&endpoint).unwrap();
        socket.bind(ANY).unwrap();
    }
    // Connections that are still in their handshake, too.
    let raws: Vec<Raw> = sockets.iter().map(|_| Raw::accept(&listener)).collect();
    soon("the end of sockets that have sent nothing", move || {
        drop((sockets, context))
    });
    drop(raws);
}

// ---- the last moment ----

/// Sends `count` messages of `size` bytes, closes at once, and has a slow receiver get them all.
fn last_moment(bound: &str, count: usize, size: usize, receiver: Options, sender_binds: bool) {
    let receiving = Context::new();
    let pull = Pull::with_options(&receiving, receiver).unwrap();
    let sending = Context::new();
    let push = Push::with_options(&sending, Options::new().sndhwm(0).linger(2 * SOON)).unwrap();
    let monitor = push.monitor();
    if sender_binds {
        pull.connect(&push.bind(bound).unwrap()).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
    } else {
        push.connect(&pull.bind(bound).unwrap()).unwrap();
    }
    let body = vec![0x5Au8; size];
    for i in 0..count {
        let mut body = body.clone();
        body[..8].copy_from_slice(&(i as u64).to_be_bytes());
        push.send(body).unwrap();
    }
    let ended = background(move || drop((push, sending)));
    // The receiver is slow, as one that writes each message to a disk.
    let pause = ms(2_000) / count as u32;
    for i in 0..count {
        let got = message(&pull);
        assert_eq!(
            (got.size(), got.body()[..8].to_vec()),
            (size, (i as u64).to_be_bytes().to_vec()),
            "message {i}"
        );
        thread::sleep(pause);
    }
    assert_nothing(&pull);
    ended.recv_timeout(SOON).expect("the sender's context ends");
}

macro_rules! last_moments {
    ($($name:ident: $bound:expr, $count:literal x $size:expr, $receiver:expr, sender_binds $binds:literal;)*) => {$(
        #[test]
        fn $name() {
            last_moment($bound, $count, $size, $receiver, $binds);
        }
    )*};
}

last_moments! {
    ten_thousand_small_ones_over_tcp: ANY, 10_000 x 1024, quick(), sender_binds false;
    ten_thousand_small_ones_over_tcp_bound: ANY, 10_000 x 1024, quick(), sender_binds true;
    ten_thousand_small_ones_over_ipc: "ipc://*", 10_000 x 1024, quick(), sender_binds false;
    fifty_large_ones_over_tcp: ANY, 50 x 1 << 20, quick(), sender_binds false;
    fifty_large_ones_over_tcp_bound: ANY, 50 x 1 << 20, quick(), sender_binds true;
    fifty_large_ones_over_ipc: "ipc://*", 50 x 1 << 20, quick(), sender_binds false;
    fifty_large_ones_to_a_receiver_that_holds_one: ANY, 50 x 1 << 20, quick().rcvhwm(1), sender_binds false;
}

/// The sender is gone while its last messages are still with its kernel. The receiver pings: that
/// must not reset the connection under them.
#[test]
fn a_receiver_that_pings_gets_everything_from_a_sender_that_has_closed() {
    let receiving = Context::new();
    let options = quick()
        .rcvhwm(1)
        .rcvbuf(1 << 20)
        .heartbeat_ivl(ms(20))
        .heartbeat_timeout(ms(0));
    let pull = Pull::with_options(&receiving, options).unwrap();
    let sending = Context::new();
    let push = Push::with_options(
        &sending,
        Options::new().sndhwm(0).sndbuf(1 << 20).linger(2 * SOON),
    )
    .unwrap();
    push.connect(&pull.bind(ANY).unwrap()).unwrap();
    let count = 20;
    for i in 0..count {
        push.send(vec![i; 1 << 20]).unwrap();
    }
    let ended = background(move || drop((push, sending)));
    let mut closed = false;
    for i in 0..count {
        assert_eq!(
            message(&pull).body().as_bytes(),
            vec![i; 1 << 20],
            "message {i}"
        );
        if i > 10 && !closed {
            // Reads no more than it must for the sender to hand its last bytes to its kernel.
            closed = ended.recv_timeout(ms(400)).is_ok();
            if closed {
                // Computes, while the background thread pings.
                thread::sleep(ms(300));
            }
        }
    }
    assert!(closed, "the sender was to be gone before all was read");
}

/// A peer that pings and never closes its side holds the context for a while, not for ever.
#[test]
fn a_peer_that_never_closes_does_not_hold_the_context() {
    let context = Context::new();
    let push = Push::new(&context).unwrap();
    let mut raw = Raw::connect(&push.bind(ANY).unwrap()).shake("PULL");
    push.send_timeout("last", SOON).unwrap();
    assert_eq!(raw.next().unwrap().body, b"last");
    let ended = background(move || drop((push, context)));
    let ping = Raw::command("PING", b"\x00\x00");
    let deadline = Instant::now() + SOON;
    // Until the connection is reset.
    while std::io::Write::write_all(&mut raw.0, &ping).is_ok() {
        assert!(Instant::now() < deadline);
        thread::sleep(ms(20));
    }
    ended.recv_timeout(ms(1_000)).expect("it has given up");
}

#[test]
fn the_last_moment_over_inproc() {
    let context = Context::new();
    let pull = Pull::with_options(&context, Options::new().rcvhwm(0)).unwrap();
    pull.bind("inproc://last").unwrap();
    let push = Push::with_options(&context, Options::new().sndhwm(0)).unwrap();
    push.connect("inproc://last").unwrap();
    (0..10_000).for_each(|i| push.send(i.to_string()).unwrap());
    drop(push);
    (0..10_000).for_each(|i| assert_eq!(text(&pull), i.to_string()));
}

/// Every type that sends, a message each, closed at once.
#[test]
fn every_type_sends_its_last_message() {
    let receiving = Context::new();
    let (rep, router, sub, pull) = (
        Rep::new(&receiving).unwrap(),
        Router::new(&receiving).unwrap(),
        Sub::new(&receiving).unwrap(),
        Pull::new(&receiving).unwrap(),
    );
    sub.subscribe("").unwrap();
    for _ in 0..20 {
        let sending = Context::new();
        let (req, dealer, publisher, push) = (
            Req::with_options(&sending, quick()).unwrap(),
            Dealer::with_options(&sending, quick()).unwrap(),
            Xpub::new(&sending).unwrap(),
            Push::with_options(&sending, quick()).unwrap(),
        );
        req.connect(&rep.bind(ANY).unwrap()).unwrap();
        dealer.connect(&router.bind(ANY).unwrap()).unwrap();
        push.bind(ANY).unwrap();
        publisher.bind(ANY).unwrap();
        pull.connect(&push.last_endpoint().unwrap()).unwrap();
        sub.connect(&publisher.last_endpoint().unwrap()).unwrap();
        assert_eq!(
            publisher.recv_timeout(SOON).unwrap().to_string_lossy(),
            "\u{1}"
        );
        req.send("request").unwrap();
        dealer.send("dealt").unwrap();
        publisher.send("published").unwrap();
        push.send_timeout("pushed", SOON).unwrap();
        soon("the end of the senders", move || {
            drop((req, dealer, publisher, push, sending))
        });
        assert_eq!(
            [text(&rep), text(&router), text(&sub), text(&pull)],
            ["request", "dealt", "published", "pushed"]
        );
        // The requester is gone: the reply goes nowhere, and the next request is heard.
        rep.send("reply").unwrap();
    }
}

/// A process that sends and ends.
#[test]
fn the_last_message_of_a_process_arrives() {
    const SENDER: &str = "XEBEC_LIFE_SENDER";
    if let Ok(endpoint) = std::env::var(SENDER) {
        let context = Context::new();
        let push = Push::with_options(&context, quick().sndhwm(0)).unwrap();
        push.connect(&endpoint).unwrap();
        (0..10_000).for_each(|i: u32| push.send(format!("{i:01000}")).unwrap());
        drop((push, context));
        std::process::exit(0);
    }
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "the_last_message_of_a_process_arrives"])
        .env(SENDER, pull.bind(ANY).unwrap());
    let mut child = child.spawn().unwrap();
    (0..10_000).for_each(|i: u32| assert_eq!(text(&pull).parse(), Ok(i)));
    assert!(child.wait().unwrap().success());
}

// ---- termination ----

/// The simplest of executors.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Each call waits on a socket of its own when the context is terminated, and ends with an error
/// that says so.
#[test]
fn termination_ends_every_call_that_waits() {
    type Call = fn(&Context) -> String;
    fn bound_pull(context: &Context, endpoint: &str) -> Pull {
        let pull = Pull::new(context).unwrap();
        pull.bind(endpoint).unwrap();
        pull
    }
    let calls: [(&str, Call); 14] = [
        ("recv", |context| {
            bound_pull(context, ANY).recv().unwrap_err().to_string()
        }),
        ("recv of a socket without a peer", |context| {
            Dealer::new(context)
                .unwrap()
                .recv()
                .unwrap_err()
                .to_string()
        }),
        ("recv_timeout", |context| {
            bound_pull(context, ANY)
                .recv_timeout(2 * SOON)
                .unwrap_err()
                .to_string()
        }),
        ("recv over inproc", |context| {
            let pull = bound_pull(context, "inproc://waiting");
            let push = Push::new(context).unwrap();
            push.connect("inproc://waiting").unwrap();
            pull.recv().unwrap_err().to_string()
        }),
        ("recv with a connected peer", |context| {
            let pull = bound_pull(context, ANY);
            let push = Push::new(context).unwrap();
            push.connect(&pull.last_endpoint().unwrap()).unwrap();
            push.send("one").unwrap();
            assert_eq!(text(&pull), "one");
            pull.recv().unwrap_err().to_string()
        }),
        ("send", |context| {
            Push::new(context)
                .unwrap()
                .send("nobody")
                .unwrap_err()
                .to_string()
        }),
        ("send_timeout", |context| {
            Push::new(context)
                .unwrap()
                .send_timeout("nobody", 2 * SOON)
                .unwrap_err()
                .to_string()
        }),
        ("send to a full peer", |context| {
            let push = Push::with_options(context, quick().linger(ms(0)).sndhwm(3)).unwrap();
            push.connect(&nobody()).unwrap();
            loop {
                if let Err(error) = push.send("full") {
                    return error.to_string();
                }
            }
        }),
        ("reply of a REQ", |context| {
            let req = Req::with_options(context, quick().linger(ms(0))).unwrap();
            req.connect(&nobody()).unwrap();
            req.send("question").unwrap();
            req.recv().unwrap_err().to_string()
        }),
        ("poll", |context| {
            let (pull, push) = (bound_pull(context, ANY), Push::new(context).unwrap());
            let mut items = [
                PollItem::socket(&pull, Interest::READ),
                PollItem::socket(&push, Interest::WRITE),
            ];
            poll(&mut items, None).unwrap_err().to_string()
        }),
        ("async recv", |context| {
            block_on(bound_pull(context, ANY).recv_async())
                .unwrap_err()
                .to_string()
        }),
        ("async send", |context| {
            block_on(Push::new(context).unwrap().send_async("nobody"))
                .unwrap_err()
                .to_string()
        }),
        ("monitor", |context| {
            let pull = bound_pull(context, ANY);
            let monitor = pull.monitor();
            assert_eq!(monitor.recv().unwrap().kind, EventKind::MonitorStopped);
            assert_eq!((monitor.recv(), monitor.try_recv()), (None, None));
            pull.recv().unwrap_err().to_string()
        }),
        ("async monitor", |context| {
            let pull = bound_pull(context, ANY);
            let monitor = pull.monitor();
            assert_eq!(
                block_on(monitor.recv_async()).unwrap().kind,
                EventKind::MonitorStopped
            );
            assert_eq!(block_on(monitor.recv_async()), None);
            pull.recv().unwrap_err().to_string()
        }),
    ];
    let context = Context::new();
    let started = Arc::new(Barrier::new(calls.len() + 1));
    let ends: Vec<_> = calls
        .into_iter()
        .map(|(name, call)| {
            let (context, started) = (context.clone(), started.clone());
            let end = background(move || {
                started.wait();
                call(&context)
            });
            (name, end)
        })
        .collect();
    started.wait();
    // All sockets are there; most calls wait by now. Those that do not must find out as well.
    until("the sockets are made", || context.sockets() >= 17);
    thread::sleep(ms(50));
    let terminated = background({
        let context = context.clone();
        move || context.term()
    });
    for (name, end) in ends {
        let error = end
            .recv_timeout(SOON)
            .unwrap_or_else(|_| panic!("{name} goes on"));
        assert_eq!(error, "the context was terminated", "{name}");
    }
    terminated
        .recv_timeout(SOON)
        .expect("all sockets are closed: it ends");
}

/// Many threads that wait on the same socket are all told.
#[test]
fn termination_ends_all_calls_on_one_socket() {
    for round in 0..20 {
        let context = Context::new();
        let dealer = Arc::new(Dealer::new(&context).unwrap());
        dealer.bind(ANY).unwrap();
        let started = Arc::new(Barrier::new(13));
        let ends: Vec<_> = (0..12)
            .map(|i| {
                let (dealer, started) = (dealer.clone(), started.clone());
                background(move || {
                    started.wait();
                    match i % 4 {
                        0 => dealer.recv().unwrap_err() == RecvError::Terminated,
                        1 => dealer.send("nobody").unwrap_err().kind == SendErrorKind::Terminated,
                        2 => block_on(dealer.recv_async()).unwrap_err() == RecvError::Terminated,
                        _ => {
                            poll(&mut [PollItem::socket(&*dealer, Interest::READ)], None)
                                == Err(PollError::Terminated)
                        }
                    }
                })
            })
            .collect();
        started.wait();
        if round % 2 == 0 {
            thread::sleep(ms(5));
        }
        context.shutdown();
        for (i, end) in ends.into_iter().enumerate() {
            assert_eq!(
                end.recv_timeout(SOON),
                Ok(true),
                "thread {i} of round {round}"
            );
        }
    }
}

/// As many messages as threads that wait on one socket: each gets one.
#[test]
fn every_waiting_thread_is_served() {
    for endpoint in [ANY, "inproc://served"] {
        let context = Context::new();
        let pull = Arc::new(Pull::new(&context).unwrap());
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(&pull.bind(endpoint).unwrap()).unwrap();
        for _ in 0..50 {
            let ends: Vec<_> = (0..8)
                .map(|_| {
                    let pull = pull.clone();
                    background(move || pull.recv_timeout(SOON).map(|_| ()))
                })
                .collect();
            (0..8).for_each(|_| push.send("one").unwrap());
            for end in ends {
                assert_eq!(end.recv_timeout(2 * SOON), Ok(Ok(())));
            }
        }
    }
}

#[test]
fn after_a_shutdown_everything_is_refused() {
    let context = Context::new();
    let dealer = Dealer::new(&context).unwrap();
    let publisher = Pub::new(&context).unwrap();
    dealer.bind(ANY).unwrap();
    context.shutdown();
    context.shutdown();
    let error = Push::new(&context).unwrap_err();
    assert!(matches!(error, SocketError::Terminated), "{error:?}");
    assert_eq!(error.to_string(), "the context was terminated");
    for error in [
        dealer.bind(ANY).unwrap_err(),
        dealer.connect(&nobody()).unwrap_err(),
    ] {
        assert!(
            matches!(error.kind, AddressErrorKind::Terminated),
            "{error:?}"
        );
    }
    let refused = dealer.send("back to me").unwrap_err();
    assert_eq!(
        (refused.kind, refused.message),
        (SendErrorKind::Terminated, Message::from("back to me"))
    );
    assert_eq!(
        publisher.send("to nobody").unwrap_err().kind,
        SendErrorKind::Terminated
    );
    assert_eq!(dealer.recv(), Err(RecvError::Terminated));
    assert_eq!(dealer.try_recv(), Err(RecvError::Terminated));
    assert_eq!(block_on(dealer.recv_async()), Err(RecvError::Terminated));
    let mut items = [PollItem::socket(&dealer, Interest::READ)];
    assert_eq!(poll(&mut items, Some(ms(0))), Err(PollError::Terminated));
    // A monitor that is opened now has nothing to wait for.
    let monitor = dealer.monitor();
    assert!(
        monitor
            .recv_timeout(SOON)
            .is_none_or(|event| event.kind == EventKind::MonitorStopped)
    );
    assert_eq!(
        soon("a monitor after the shutdown", move || monitor.recv()),
        None
    );
}

#[test]
fn term_waits_for_the_sockets() {
    let context = Context::new();
    let sockets = [Pull::new(&context).unwrap(), Pull::new(&context).unwrap()];
    let ends: Vec<_> = (0..3)
        .map(|_| {
            let context = context.clone();
            background(move || context.term())
        })
        .collect();
    until("the termination has begun", || {
        sockets[0].try_recv() == Err(RecvError::Terminated)
    });
    let [first, second] = sockets;
    drop(first);
    ends.iter().for_each(assert_waits);
    drop(second);
    ends.iter()
        .for_each(|end| end.recv_timeout(SOON).expect("all sockets are closed"));
    soon("a second term", move || context.term());
}

/// Termination does not cut LINGER short.
#[test]
fn what_was_sent_before_a_termination_arrives() {
    let context = Context::new();
    let endpoint = nobody();
    let push = Push::with_options(&context, quick()).unwrap();
    push.connect(&endpoint).unwrap();
    (0..100).for_each(|i| push.send(i.to_string()).unwrap());
    context.shutdown();
    drop(push);
    let ended = background(move || context.term());
    assert_waits(&ended);
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    (0..100).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    ended.recv_timeout(SOON / 2).expect("all is sent");
}

#[test]
fn termination_ends_a_proxy() {
    let context = Context::new();
    let end = background({
        let context = context.clone();
        move || {
            let (front, back) = (
                Router::new(&context).unwrap(),
                Dealer::new(&context).unwrap(),
            );
            front.bind(ANY).unwrap();
            back.bind(ANY).unwrap();
            xebec::proxy(front.as_socket(), back.as_socket(), None)
                .map_err(|error| error.to_string())
        }
    });
    until("the sockets are made", || context.sockets() == 2);
    soon("the end of the context", move || context.term());
    let _ = end.recv_timeout(SOON).expect("the proxy ends");
}

thread_local! {
    static RUNNING: Cell<Option<Running>> = const { Cell::new(None) };
}

/// A thread that runs, until its own variables are gone.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A program may unload the library then. The fuzzer of the C interface saw threads that were still on
/// their way out, because they were the last to know a socket.
#[test]
fn no_io_thread_outlives_its_context() {
    for _ in 0..300 {
        let running = Arc::new(AtomicUsize::new(0));
        let count = running.clone();
        let context = Context::builder()
            .on_thread_start(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                RUNNING.set(Some(Running(count.clone())));
                Ok(())
            })
            .build();
        let pull = Pull::with_options(&context, quick()).unwrap();
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
            .unwrap();
        drop((push, pull));
        context.term();
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }
}

/// Nor the failure to start.
#[test]
fn no_io_thread_outlives_the_call_that_could_not_start_it() {
    for _ in 0..300 {
        let running = Arc::new(AtomicUsize::new(0));
        let count = running.clone();
        let context = Context::builder()
            .io_threads(3)
            .on_thread_start(move |_| {
                let before = count.fetch_add(1, Ordering::SeqCst);
                RUNNING.set(Some(Running(count.clone())));
                match before {
                    2 => Err(std::io::Error::other("no more")),
                    _ => Ok(()),
                }
            })
            .build();
        Pull::new(&context).unwrap_err();
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }
}
