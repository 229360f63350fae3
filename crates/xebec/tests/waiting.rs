//! Who waits is woken, and what nobody waits for is looked after: the rules that `tests/model.rs`
//! checks in every interleaving, seen through the sockets.
//!
//! Each test is named after what went wrong while one of the rules was broken. Those that need
//! two threads to meet at a bad moment try many times.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{
    PATIENCE, SHORT, Working, await_event, await_peers, block_on, eventually, fill, message,
    options, recv, recv_nothing, recv_text, send, socket, socket_with,
};
use xebec::{Context, EventKind, Interest, PollItem, SocketType, poll};

/// Meetings of two threads per test.
const ROUNDS: usize = 3_000;

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
fn a_receiver_slept_on_while_a_sender_beside_it_was_woken() {
    let context = Context::new();
    let options = || options().sndhwm(1).rcvhwm(1);
    let here = Arc::new(socket_with(&context, SocketType::Pair, options()));
    let there = socket_with(&context, SocketType::Pair, options());
    here.bind("inproc://here").unwrap();
    there.connect("inproc://here").unwrap();
    fill(&here, &message([b"room for no more"]));
    let sender = {
        let here = here.clone();
        Working::start(move || here.send("one more"))
    };
    sender.await_asleep();
    let (tell, told) = std::sync::mpsc::channel();
    let receiver = {
        let here = here.clone();
        Working::start(move || {
            for _ in 0..ROUNDS {
                recv(&here);
                tell.send(()).unwrap();
            }
        })
    };
    for _ in 0..ROUNDS {
        send(&there, "for the receiver");
        told.recv_timeout(PATIENCE).expect("the receiver was woken");
    }
    receiver.join();
    recv(&there);
    sender.join().unwrap();
}

#[test]
fn two_who_sent_at_each_other_waited_for_each_other() {
    const MESSAGES: usize = 60;
    let body = vec![7u8; 1 << 20];
    let context = Context::new();
    let dealer = || socket_with(&context, SocketType::Dealer, options().sndhwm(1));
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
fn a_poll_slept_on_what_was_read_behind_its_back() {
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let push = socket(&context, SocketType::Push);
    push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    let feeder = Working::start(move || {
        // Now and then a pause in which the background thread takes over.
        (0..ROUNDS).for_each(|round| {
            send(&push, "x");
            spin(Duration::from_micros(round as u64 % 64));
        });
        push
    });
    let mut received = 0;
    while received < ROUNDS {
        let mut items = [PollItem::socket(&pull, Interest::READ)];
        let ready = poll(&mut items, Some(PATIENCE)).unwrap();
        assert_eq!(ready, 1, "after {received} messages");
        while pull.try_recv().is_ok() {
            received += 1;
        }
    }
    feeder.join();
}

#[test]
fn a_poll_slept_on_an_inproc_message_that_a_passer_by_took_in() {
    let context = Context::new();
    let pull = Arc::new(socket(&context, SocketType::Pull));
    let push = socket(&context, SocketType::Push);
    pull.bind("inproc://passer-by").unwrap();
    push.connect("inproc://passer-by").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let poller = {
        let pull = pull.clone();
        Working::start(move || {
            for _ in 0..ROUNDS {
                let mut items = [PollItem::socket(&*pull, Interest::READ)];
                assert_eq!(poll(&mut items, Some(PATIENCE)).unwrap(), 1);
                pull.try_recv().unwrap();
                tell.send(()).unwrap();
            }
        })
    };
    for _ in 0..ROUNDS {
        push.send("x").unwrap();
        // Takes the lock, and with it the news.
        pull.stats();
        told.recv_timeout(PATIENCE).expect("the poller was woken");
    }
    poller.join();
}

#[test]
fn a_task_slept_on_what_was_read_behind_its_back() {
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let push = socket(&context, SocketType::Push);
    push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    let feeder = Working::start(move || {
        (0..ROUNDS).for_each(|round| {
            send(&push, "x");
            spin(Duration::from_micros(round as u64 % 64));
        });
        push
    });
    for _ in 0..ROUNDS {
        block_on(pull.recv_async()).unwrap();
    }
    feeder.join();
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
fn what_came_with_a_message_was_not_read_while_the_application_was_away() {
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let push = socket(&context, SocketType::Push);
    push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    send(&push, "first");
    recv(&pull);
    // The receiver sleeps for longer than it keeps the lease, then takes one message of many.
    let receiver = Working::start(move || {
        recv(&pull);
        pull
    });
    receiver.await_asleep();
    spin(Duration::from_millis(3));
    (0..100).for_each(|_| send(&push, "batch"));
    let pull = receiver.join();
    eventually("all is read", || pull.stats().queued_in == 99);
}

/// Passes time without giving the processor away.
fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}
