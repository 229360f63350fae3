//! Who waits is woken, and what nobody waits for is looked after: the rules that `tests/model.rs`
//! checks in every interleaving, seen through the sockets.
//!
//! Each test is named after what went wrong while one of the rules was broken. Those that need
//! two threads to meet at a bad moment try many times.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{
    PATIENCE, Raw, RawListener, SHORT, Working, await_event, await_peers, block_on, eventually,
    fill, frames, message, options, recv, recv_nothing, recv_text, send, socket, socket_with,
};
use xebec::{Context, EventKind, Interest, PollItem, Socket, SocketType, poll};

/// Meetings of two threads per test.
const ROUNDS: usize = 10_000;

#[test]
fn a_receive_whose_time_was_up_left_the_socket_to_nobody() {
    let (context, other) = (Context::new(), Context::new());
    let server = socket(&context, SocketType::Rep);
    let endpoint = server.bind("tcp://127.0.0.1:*").unwrap();
    recv_nothing(&server);
    let client = socket(&other, SocketType::Req);
    let monitor = client.monitor();
    client.connect(&endpoint).unwrap();
    await_event(&monitor, EventKind::HandshakeSucceeded);
}

#[test]
fn a_send_whose_time_was_up_left_the_socket_to_nobody() {
    let (context, other) = (Context::new(), Context::new());
    let push = socket(&context, SocketType::Push);
    let endpoint = push.bind("tcp://127.0.0.1:*").unwrap();
    assert!(push.send_timeout("nobody is there", SHORT).is_err());
    let pull = socket(&other, SocketType::Pull);
    let monitor = pull.monitor();
    pull.connect(&endpoint).unwrap();
    await_event(&monitor, EventKind::HandshakeSucceeded);
}

#[test]
fn two_who_sent_at_each_other_waited_for_each_other() {
    const MESSAGES: usize = 60;
    let body = vec![7u8; 1 << 20];
    let context = Context::new();
    // What is accepted and not with the kernel yet leaves after the end of its socket.
    let options = || options().sndhwm(1).linger(None);
    let dealer = || socket_with(&context, SocketType::Dealer, options());
    let (here, there) = (dealer(), dealer());
    there
        .connect(&here.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    await_peers(&here, 1);
    let both: Vec<_> = [here, there]
        .into_iter()
        .map(|socket| {
            // More than the kernel holds, but not more than RCVHWM: all can be sent before
            // anything is received.
            let body = body.clone();
            Working::start(move || {
                for _ in 0..MESSAGES {
                    send(&socket, body.as_slice());
                }
                for _ in 0..MESSAGES {
                    assert_eq!(recv(&socket).body().len(), 1 << 20);
                }
            })
        })
        .collect();
    both.into_iter().for_each(Working::join);
}

#[test]
fn a_receiver_slept_on_an_answer_that_came_while_it_wrote_elsewhere() {
    let context = Context::new();
    let (work, done) = (
        socket(&context, SocketType::Push),
        socket(&context, SocketType::Pull),
    );
    done.bind("inproc://done").unwrap();
    let endpoint = work.bind("tcp://127.0.0.1:*").unwrap();
    let worker = {
        let context = context.clone();
        Working::start(move || {
            let work = socket(&context, SocketType::Pull);
            let done = socket(&context, SocketType::Push);
            done.connect("inproc://done").unwrap();
            work.connect(&endpoint).unwrap();
            for _ in 0..ROUNDS {
                // The first of a pair has an answer, the second waits for company.
                assert_eq!(recv_text(&work), ["first"]);
                send(&done, "done");
                assert_eq!(recv_text(&work), ["second"]);
            }
        })
    };
    for _ in 0..ROUNDS {
        send(&work, "first");
        send(&work, "second");
        recv(&done);
    }
    worker.join();
}

#[test]
fn a_receiver_slept_on_while_senders_beside_it_were_woken() {
    let context = Context::new();
    let options = || options().sndhwm(1).rcvhwm(1);
    let here = Arc::new(socket_with(&context, SocketType::Pair, options()));
    let there = socket_with(&context, SocketType::Pair, options());
    here.bind("inproc://here").unwrap();
    there.connect("inproc://here").unwrap();
    fill(&here, &message([b"room for no more"]));
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let here = here.clone();
            let sender = Working::start(move || here.send("one more"));
            sender.await_asleep();
            sender
        })
        .collect();
    let turns = Turns::new();
    let receiver = {
        let (here, turns) = (here.clone(), turns.clone());
        Working::start(move || {
            for round in 1..=ROUNDS {
                recv(&here);
                turns.done(round);
            }
        })
    };
    for round in 1..=ROUNDS {
        send(&there, "for the receiver");
        turns.await_done(round);
    }
    receiver.join();
    senders.iter().for_each(|_| drop(recv(&there)));
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_poll_slept_on_an_inproc_message_that_came_after_its_look() {
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let push = socket(&context, SocketType::Push);
    pull.bind("inproc://looked").unwrap();
    push.connect("inproc://looked").unwrap();
    meet(push, move || {
        let mut items = [PollItem::socket(&pull, Interest::READ)];
        assert_eq!(poll(&mut items, Some(PATIENCE)).unwrap(), 1);
        pull.try_recv().unwrap();
    });
}

#[test]
fn a_task_slept_on_what_was_read_after_its_look() {
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let push = socket(&context, SocketType::Push);
    push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    meet(push, move || drop(block_on(pull.recv_async()).unwrap()));
}

#[test]
fn what_came_with_a_message_was_not_read_while_the_application_was_away() {
    for listens in [true, false] {
        let context = Context::new();
        let pull = socket(&context, SocketType::Pull);
        let mut raw = if listens {
            Raw::connect_as(&pull.bind("tcp://127.0.0.1:*").unwrap(), "PUSH")
        } else {
            let listener = RawListener::new();
            pull.connect(&listener.endpoint()).unwrap();
            listener.accept_as("PUSH")
        };
        await_peers(&pull, 1);
        // The receiver sleeps for so long that it does not keep the lease when it is woken.
        let receiver = Working::start(move || {
            recv(&pull);
            pull
        });
        receiver.await_asleep();
        spin(Duration::from_millis(5));
        raw.write(&frames(&[b"one of many"]).repeat(100));
        let pull = receiver.join();
        eventually("all is read", || pull.stats().queued_in == 99);
    }
}

/// Has `receive` take many messages, each sent a little later after the last than the one before
/// it, so that one comes at a bad moment.
fn meet(push: Socket, receive: impl Fn() + Send + 'static) {
    let turns = Turns::new();
    let receiver = {
        let turns = turns.clone();
        Working::start(move || {
            for round in 1..=ROUNDS {
                receive();
                turns.done(round);
            }
        })
    };
    for round in 1..=ROUNDS {
        send(&push, "x");
        turns.await_done(round);
        spin(Duration::from_nanos(round as u64 * 13 % 60_000));
    }
    receiver.join();
}

/// How far one thread has come, for another that waits for it without sleeping.
struct Turns(AtomicUsize);

impl Turns {
    fn new() -> Arc<Self> {
        Arc::new(Turns(AtomicUsize::new(0)))
    }

    fn done(&self, round: usize) {
        self.0.store(round, Ordering::Release);
    }

    #[track_caller]
    fn await_done(&self, round: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.0.load(Ordering::Acquire) < round {
            assert!(
                Instant::now() < deadline,
                "nobody was woken in round {round}"
            );
            std::thread::yield_now();
        }
    }
}

/// Passes time without giving the processor away.
fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}
