//! One socket, several threads: sockets are `Send` and `Sync`, every call may be made from any
//! thread at any time, and whoever waits is woken by what it waits for.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::*;
use xebec::SocketType::{Dealer, Pair, Pull, Push, Router};
use xebec::{Context, Interest, Message, PollItem, RecvError, SendErrorKind, Socket};

fn shared(socket: Socket) -> Arc<Socket> {
    Arc::new(socket)
}

/// A thread blocked in a receive.
fn receiving(socket: &Arc<Socket>) -> Working<Result<Message, RecvError>> {
    let socket = socket.clone();
    let thread = Working::start(move || socket.recv());
    thread.await_asleep();
    thread
}

/// A thread blocked in a send.
fn sending(socket: &Arc<Socket>, message: Message) -> Working<Result<(), xebec::SendError>> {
    let socket = socket.clone();
    let thread = Working::start(move || socket.send(message));
    thread.await_asleep();
    thread
}

#[test]
fn everything_may_cross_threads() {
    fn send_sync<T: Send + Sync>() {}
    fn send<T: Send>() {}
    send_sync::<Context>();
    send_sync::<Socket>();
    send_sync::<(
        xebec::Pair,
        xebec::Pub,
        xebec::Sub,
        xebec::Req,
        xebec::Rep,
        xebec::Dealer,
    )>();
    send_sync::<(
        xebec::Router,
        xebec::Pull,
        xebec::Push,
        xebec::Xpub,
        xebec::Xsub,
        xebec::Stream,
    )>();
    send_sync::<(Message, xebec::Frame, xebec::Monitor, xebec::Stats)>();
    send::<(
        xebec::RecvFuture<'_>,
        xebec::SendFuture<'_>,
        xebec::Incoming<'_>,
        xebec::Outgoing<'_>,
    )>();
}

#[test]
fn two_threads_that_wait_are_both_served() {
    for transport in TRANSPORTS {
        for at_once in [false, true] {
            let context = Context::new();
            let pull = shared(socket(&context, Pull));
            let push = socket(&context, Push);
            push.connect(&pull.bind(&fresh(transport)).unwrap())
                .unwrap();
            await_peers(&*pull, 1);
            for _ in 0..20 {
                let waiting = [(); 2].map(|()| receiving(&pull));
                send(&push, "a");
                if !at_once {
                    eventually("the first is served", || {
                        waiting.iter().any(Working::is_done)
                    });
                }
                send(&push, "b");
                let mut got =
                    waiting.map(|thread| thread.join().unwrap().to_string_lossy().into_owned());
                got.sort();
                assert_eq!(got, ["a", "b"], "{transport}");
            }
        }
    }
}

#[test]
fn eight_threads_that_wait_are_served_by_one_burst() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = shared(socket(&context, Pull));
        let push = socket(&context, Push);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&*pull, 1);
        for _ in 0..10 {
            let waiting = [(); 8].map(|()| receiving(&pull));
            (0..8u8).for_each(|n| send(&push, [n]));
            let mut got = waiting.map(|thread| thread.join().unwrap().body()[0]);
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2, 3, 4, 5, 6, 7], "{transport}");
        }
    }
}

#[test]
fn threads_that_receive_share_what_comes() {
    for transport in TRANSPORTS {
        const MESSAGES: u64 = 30_000;
        let context = Context::new();
        let pull = shared(socket(&context, Pull));
        let push = socket_with(&context, Push, xebec::Options::new());
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let threads = [(); 3].map(|()| {
            let pull = pull.clone();
            Working::start(move || {
                let mut got = Vec::new();
                loop {
                    let message = recv(&*pull);
                    if message.len() == 2 {
                        return got;
                    }
                    let n = u64::from_be_bytes(message.body().as_bytes().try_into().unwrap());
                    assert!(
                        got.last().is_none_or(|&last| n > last),
                        "each sees a part of the order"
                    );
                    got.push(n);
                }
            })
        });
        for n in 0..MESSAGES {
            send(&push, n.to_be_bytes());
        }
        (0..3).for_each(|_| send(&push, message([b"the", b"end"])));
        let mut all: Vec<u64> = threads.into_iter().flat_map(Working::join).collect();
        all.sort_unstable();
        assert_eq!(
            all,
            (0..MESSAGES).collect::<Vec<_>>(),
            "{transport}: each message once"
        );
    }
}

#[test]
fn threads_that_send_do_not_mix_their_frames() {
    for transport in TRANSPORTS {
        const MESSAGES: u32 = 5_000;
        let context = Context::new();
        let pull = socket(&context, Pull);
        let push = shared(socket_with(&context, Push, xebec::Options::new()));
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let threads: Vec<_> = (0..4u8)
            .map(|who| {
                let push = push.clone();
                Working::start(move || {
                    for n in 0..MESSAGES {
                        send(
                            &*push,
                            message([
                                &[who],
                                &n.to_be_bytes(),
                                &vec![who; n as usize % 500],
                                &[who],
                            ]),
                        );
                    }
                })
            })
            .collect();
        let mut next = [0u32; 4];
        for _ in 0..4 * MESSAGES {
            let got = recv(&pull);
            let who = got[0][0];
            let n = u32::from_be_bytes(got[1].as_bytes().try_into().unwrap());
            assert_eq!(n, next[who as usize], "each thread's messages are in order");
            assert!(got.len() == 4 && got[2].iter().chain(got[3].iter()).all(|&byte| byte == who));
            next[who as usize] += 1;
        }
        threads.into_iter().for_each(Working::join);
    }
}

#[test]
fn one_sends_while_another_waits_to_receive() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let echo = socket(&context, Router);
        let endpoint = echo.bind(&fresh(transport)).unwrap();
        let echoing = Working::start(move || {
            for _ in 0..2000 {
                send(&echo, recv(&echo));
            }
            echo
        });
        let dealer = shared(socket(&context, Dealer));
        dealer.connect(&endpoint).unwrap();
        let receiver = Working::start({
            let dealer = dealer.clone();
            move || {
                for n in 0..2000u32 {
                    assert_eq!(recv(&*dealer).body(), &n.to_be_bytes());
                }
            }
        });
        for n in 0..2000u32 {
            send(&*dealer, n.to_be_bytes());
            if n % 100 == 0 {
                // Lets the receiver fall asleep.
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        receiver.join();
        drop(echoing.join());
    }
}

/// A sender and a receiver are blocked on one socket. Something arrives, and it is the receiver
/// that must notice; room appears, and it is the sender.
#[test]
fn a_blocked_sender_does_not_take_the_receivers_wake_up_or_give_its_own_away() {
    for transport in TRANSPORTS {
        for kind in [Dealer, Pair] {
            let context = Context::new();
            let far = socket_with(
                &context,
                kind,
                options().rcvhwm(1).sndhwm(0).rcvbuf(16 * 1024),
            );
            let near = shared(socket_with(
                &context,
                kind,
                options().sndhwm(1).rcvhwm(0).sndbuf(16 * 1024),
            ));
            near.connect(&far.bind(&fresh(transport)).unwrap()).unwrap();
            await_peers(&far, 1);
            let body = Message::from(vec![7; 64 * 1024]);
            fill(&near, &body);
            for round in 0..4u8 {
                let senders = [(); 2].map(|()| sending(&near, body.clone()));
                let receivers = [(); 2].map(|()| receiving(&near));
                send(&far, [round]);
                send(&far, [round]);
                for receiver in receivers {
                    assert_eq!(receiver.join().unwrap().body(), &[round], "{transport}");
                }
                assert!(senders.iter().all(|sender| !sender.is_done()));
                // And now the other way round: a receiver waits while there is room.
                let receiver = receiving(&near);
                eventually("the senders are told that there is room", || {
                    let _ = far.recv_timeout(Duration::from_millis(5));
                    senders.iter().all(Working::is_done)
                });
                senders
                    .into_iter()
                    .for_each(|sender| sender.join().unwrap());
                assert!(!receiver.is_done());
                send(&far, "done");
                receiver.join().unwrap();
                fill(&near, &body);
            }
        }
    }
}

#[test]
fn a_poll_and_a_receive_may_wait_for_the_same_socket() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = shared(socket(&context, Pull));
        let push = socket(&context, Push);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&*pull, 1);
        for _ in 0..20 {
            let polling = Working::start({
                let pull = pull.clone();
                move || {
                    let mut items = [PollItem::socket(&*pull, Interest::READ)];
                    xebec::poll(&mut items, Some(PATIENCE)).unwrap()
                }
            });
            polling.await_asleep();
            let receiver = receiving(&pull);
            send(&push, "a");
            send(&push, "b");
            receiver.join().unwrap();
            assert_eq!(polling.join(), 1, "{transport}");
            recv(&*pull);
        }
    }
}

#[test]
fn a_socket_may_move_between_threads() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let mut pull = socket(&context, Pull);
        let mut push = socket(&context, Push);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        for n in 0..50u8 {
            push = Working::start(move || {
                send(&push, [n]);
                push
            })
            .join();
            pull = Working::start(move || {
                assert_eq!(recv(&pull).body(), &[n]);
                pull
            })
            .join();
        }
    }
}

#[test]
fn terminating_the_context_wakes_all_who_wait() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = shared(socket(&context, Pull));
        let push = shared(socket(&context, Push));
        pull.bind(&fresh(transport)).unwrap();
        push.bind(&fresh(transport)).unwrap();
        let receivers = [(); 3].map(|()| receiving(&pull));
        let senders = [(); 3].map(|()| sending(&push, "x".into()));
        let polling = Working::start({
            let pull = pull.clone();
            move || xebec::poll(&mut [PollItem::socket(&*pull, Interest::READ)], None)
        });
        let tasks = Working::start({
            let pull = pull.clone();
            move || block_on(pull.recv_async())
        });
        polling.await_asleep();
        tasks.await_asleep();
        context.shutdown();
        for receiver in receivers {
            assert_eq!(receiver.join(), Err(RecvError::Terminated));
        }
        for sender in senders {
            assert_eq!(sender.join().unwrap_err().kind, SendErrorKind::Terminated);
        }
        assert_eq!(polling.join(), Err(xebec::PollError::Terminated));
        assert_eq!(tasks.join(), Err(RecvError::Terminated));
    }
}

#[test]
fn many_threads_pass_messages_back_and_forth_without_end() {
    for transport in TRANSPORTS {
        // Small marks, so that everybody is blocked and woken all the time.
        let context = Context::new();
        let a = shared(socket_with(&context, Dealer, options().sndhwm(2).rcvhwm(2)));
        let b = shared(socket_with(&context, Dealer, options().sndhwm(2).rcvhwm(2)));
        b.connect(&a.bind(&fresh(transport)).unwrap()).unwrap();
        const EACH: u64 = 2_000;
        let total = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for (from, to) in [(&a, &b), (&b, &a)] {
            for sender in 0..3u64 {
                let (from, sum) = (from.clone(), total.clone());
                threads.push(Working::start(move || {
                    for n in 0..EACH {
                        send(&*from, (sender * EACH + n).to_be_bytes());
                        sum.fetch_add(sender * EACH + n, Ordering::Relaxed);
                    }
                }));
                let (to, sum) = (to.clone(), total.clone());
                threads.push(Working::start(move || {
                    for _ in 0..EACH {
                        let got =
                            u64::from_be_bytes(recv(&*to).body().as_bytes().try_into().unwrap());
                        sum.fetch_sub(got, Ordering::Relaxed);
                    }
                }));
            }
        }
        threads.into_iter().for_each(Working::join);
        assert_eq!(
            total.load(Ordering::Relaxed),
            0,
            "{transport}: all that was sent was received, once"
        );
    }
}
