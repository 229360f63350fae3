//! Event loops of other libraries: they watch [`Socket::event_fd`] with poll(2), and ask the socket
//! only when it is readable.

mod support;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use support::*;
use xebec::SocketType::{Dealer, Pull, Push, Rep, Req};
use xebec::{Context, EventFd, RecvError, SendErrorKind, Socket};

/// Waits until the descriptor is readable; false if it is not within `time`.
fn readable(fd: &EventFd, time: Duration) -> bool {
    let time = Timespec {
        tv_sec: time.as_secs().try_into().unwrap(),
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&time)).unwrap() > 0
}

/// Waits for the descriptor, which must become readable.
#[track_caller]
fn await_readable(fd: &EventFd) {
    assert!(readable(fd, PATIENCE), "the event loop stalls");
}

/// Takes all that the socket has; it says when that is all.
fn take_all(socket: &Socket, mut each: impl FnMut(String)) {
    while socket.is_readable() {
        match socket.try_recv() {
            Ok(message) => each(message.to_string_lossy().into_owned()),
            Err(RecvError::WouldBlock) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until the socket has nothing to tell for a while.
#[track_caller]
fn await_quiet(socket: &Socket, fd: &EventFd) {
    let deadline = Instant::now() + PATIENCE;
    while readable(fd, SHORT) {
        assert!(Instant::now() < deadline, "the descriptor never rests");
        socket.is_readable();
    }
}

fn pushing(context: &Context, transport: &str) -> (Socket, Socket) {
    let (pull, push) = (socket(context, Pull), socket(context, Push));
    push.connect(&pull.bind(&fresh(transport)).unwrap())
        .unwrap();
    (pull, push)
}

/// Moments that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A pause of a length that `chance` decides: none, a moment, or long enough for everybody to sleep.
fn pause(chance: &mut Chance) {
    let until = match chance.next() % 64 {
        0..56 => return,
        56..63 => Duration::from_micros(chance.next() % 150),
        _ => Duration::from_millis(2),
    };
    let since = Instant::now();
    while since.elapsed() < until {
        thread::yield_now();
    }
}

#[test]
fn an_event_loop_gets_every_message_and_does_not_spin() {
    const MESSAGES: u64 = 5_000;
    for transport in TRANSPORTS {
        for seed in 1..4 {
            let context = Context::new();
            let (pull, push) = pushing(&context, transport);
            let fd = pull.event_fd().unwrap();
            let sender = Working::start(move || {
                let mut chance = Chance(seed);
                for i in 0..MESSAGES {
                    send(&push, i.to_string());
                    pause(&mut chance);
                }
                push
            });
            let (mut next, mut wakes) = (0, 0);
            while next < MESSAGES {
                await_readable(&fd);
                wakes += 1;
                take_all(&pull, |body| {
                    assert_eq!(body, next.to_string(), "{transport}");
                    next += 1;
                });
            }
            drop(sender.join());
            await_quiet(&pull, &fd);
            // Each message can wake the loop when it is sent, when it has arrived and when the tick
            // finds it; a loop that spun would be woken without end.
            assert!(wakes < 4 * MESSAGES, "{transport}: {wakes} wake-ups");
        }
    }
}

#[test]
fn a_descriptor_without_news_rests() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = pushing(&context, transport);
        let fd = pull.event_fd().unwrap();
        await_peers(&pull, 1);
        await_quiet(&pull, &fd);
        assert!(!readable(&fd, SHORT), "{transport}");
        send(&push, "news");
        await_readable(&fd);
        // Until the loop asks it stays so, however often it is polled.
        assert!(readable(&fd, Duration::ZERO));
        take_all(&pull, |body| assert_eq!(body, "news"));
        await_quiet(&pull, &fd);
    }
}

/// A program that asks for the descriptor late need not know what came before.
#[test]
fn what_came_before_the_descriptor_makes_it_readable() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = pushing(&context, transport);
        send(&push, "early");
        eventually("it has come", || pull.is_readable());
        let fd = pull.event_fd().unwrap();
        await_readable(&fd);
        take_all(&pull, |body| assert_eq!(body, "early"));
    }
}

#[test]
fn a_socket_has_one_descriptor() {
    use std::os::fd::{AsFd, AsRawFd};
    let context = Context::new();
    let pull = socket(&context, Pull);
    let number = || pull.event_fd().unwrap().as_fd().as_raw_fd();
    assert_eq!(number(), number());
}

#[test]
fn a_terminated_context_makes_it_readable() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = pushing(&context, transport);
        let fd = pull.event_fd().unwrap();
        await_peers(&pull, 1);
        await_quiet(&pull, &fd);
        let watching = Working::start(move || {
            await_readable(&fd);
            fd
        });
        watching.await_asleep();
        context.shutdown();
        watching.join();
        assert!(pull.is_terminated());
        assert_eq!(pull.try_recv(), Err(RecvError::Terminated));
        drop(push);
    }
}

#[test]
fn room_at_the_mark_makes_it_readable() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = (
            socket_with(&context, Pull, options().rcvhwm(5).rcvbuf(4096)),
            socket_with(&context, Push, options().sndhwm(5).sndbuf(4096)),
        );
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let fd = push.event_fd().unwrap();
        await_peers(&push, 1);
        let body = vec![7; 50_000];
        for _ in 0..5 {
            let filled = fill(&push, &body.clone().into());
            // Rested: what follows is told because of the room.
            while readable(&fd, SHORT) && !push.is_writable() {}
            if push.is_writable() {
                continue;
            }
            assert!(recv_some(&pull, filled.max(1)) > 0);
            loop {
                await_readable(&fd);
                if push.is_writable() {
                    break;
                }
            }
            push.try_send(body.clone()).unwrap();
        }
    }
}

/// Takes so many messages, as far as they have come.
fn recv_some(pull: &Socket, count: usize) -> usize {
    (0..count)
        .take_while(|_| pull.recv_timeout(Duration::from_millis(200)).is_ok())
        .count()
}

/// A loop that sends as much as there is room for and waits for the descriptor when there is none.
#[test]
fn an_event_loop_that_sends_does_not_stall() {
    const MESSAGES: usize = 3_000;
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = (
            socket_with(&context, Pull, options().rcvhwm(10)),
            socket_with(&context, Push, options().sndhwm(10)),
        );
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let receiver = Working::start(move || {
            let mut chance = Chance(7);
            for i in 0..MESSAGES {
                assert_eq!(recv(&pull).size(), 2_000 + i % 2);
                pause(&mut chance);
            }
            pull
        });
        let fd = push.event_fd().unwrap();
        let mut sent = 0;
        while sent < MESSAGES {
            while sent < MESSAGES && push.is_writable() {
                match push.try_send(vec![0; 2_000 + sent % 2]) {
                    Ok(()) => sent += 1,
                    Err(error) => assert_eq!(error.kind, SendErrorKind::WouldBlock),
                }
            }
            if sent < MESSAGES {
                await_readable(&fd);
            }
        }
        receiver.join();
    }
}

/// Both directions of one socket, whose sends change what can be received.
#[test]
fn a_server_in_an_event_loop_answers_every_request() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let rep = socket(&context, Rep);
        let endpoint = rep.bind(&fresh(transport)).unwrap();
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (context, endpoint) = (context.clone(), endpoint.clone());
                Working::start(move || {
                    let req = socket(&context, Req);
                    req.connect(&endpoint).unwrap();
                    for i in 0..300 {
                        let question = format!("{client} {i}");
                        send(&req, question.as_str());
                        assert_eq!(recv_text(&req), [question]);
                    }
                })
            })
            .collect();
        let fd = rep.event_fd().unwrap();
        let mut served = 0;
        while served < 900 {
            while rep.is_readable() {
                let request = rep.try_recv().unwrap();
                rep.try_send(request).unwrap();
                served += 1;
            }
            if served < 900 {
                await_readable(&fd);
            }
        }
        clients.into_iter().for_each(Working::join);
    }
}

/// Calls that wait and calls that do not, on a socket that is watched: whoever takes a message takes
/// the news of no other.
#[test]
fn it_mixes_with_calls_that_wait() {
    const MESSAGES: usize = 3_000;
    for transport in TRANSPORTS {
        let context = Context::new();
        let (pull, push) = pushing(&context, transport);
        let fd = pull.event_fd().unwrap();
        let sender = Working::start(move || {
            let mut chance = Chance(11);
            for i in 0..MESSAGES {
                send(&push, i.to_string());
                pause(&mut chance);
            }
            push
        });
        let mut chance = Chance(13);
        let mut next = 0;
        let mut expect = |body: String| {
            assert_eq!(body, next.to_string(), "{transport}");
            next += 1;
            next
        };
        loop {
            let got = match chance.next() % 3 {
                0 => expect(recv(&pull).to_string_lossy().into_owned()),
                1 => match pull.try_recv() {
                    Ok(message) => expect(message.to_string_lossy().into_owned()),
                    Err(_) => continue,
                },
                _ => {
                    // After each receive the loop asks before it waits.
                    let mut last = 0;
                    while last == 0 {
                        take_all(&pull, |body| last = expect(body));
                        if last == 0 {
                            await_readable(&fd);
                        }
                    }
                    last
                }
            };
            if got == MESSAGES {
                break;
            }
        }
        drop(sender.join());
    }
}

/// A thread that sleeps in a receive and a loop that watches the same socket: the loop is told
/// of the message whoever takes it.
#[test]
fn a_sleeper_and_a_watcher_are_both_told() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let dealer = Arc::new(socket(&context, Dealer));
        let peer = socket(&context, Dealer);
        peer.connect(&dealer.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&*dealer, 1);
        let fd = dealer.event_fd().unwrap();
        for _ in 0..20 {
            let sleeper = Working::start({
                let dealer = dealer.clone();
                move || recv_text(&*dealer)
            });
            sleeper.await_asleep();
            dealer.is_writable();
            send(&peer, "one");
            assert_eq!(sleeper.join(), ["one"]);
            send(&peer, "two");
            await_readable(&fd);
            let mut got = Vec::new();
            while got.is_empty() {
                take_all(&dealer, |body| got.push(body));
                if got.is_empty() {
                    await_readable(&fd);
                }
            }
            assert_eq!(got, ["two"]);
        }
    }
}
