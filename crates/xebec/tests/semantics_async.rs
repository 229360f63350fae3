//! The async face: any executor, streams and sinks, races between futures, and cancellation,
//! which never loses a message.

mod support;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use support::*;
use xebec::SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub};
use xebec::{Context, Message, RecvError, SendErrorKind, Socket};

/// A PUSH and the PULL that it is connected to.
fn pipeline(context: &Context, transport: &str) -> (Socket, Socket) {
    let pull = socket(context, Pull);
    let push = socket_with(context, Push, xebec::Options::new());
    push.connect(&pull.bind(&fresh(transport)).unwrap())
        .unwrap();
    (push, pull)
}

fn number(message: &Message) -> u64 {
    u64::from_be_bytes(message.body().as_bytes().try_into().expect("eight bytes"))
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Within the patience of the tests, on tokio.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it ends in time")
}

// ---- executors ----

/// What runs on each executor: requests, replies and a pipeline between tasks.
async fn conversation(context: Context, transport: &'static str) {
    let rep = socket(&context, Rep);
    let req = socket(&context, Req);
    req.connect(&rep.bind(&fresh(transport)).unwrap()).unwrap();
    for n in 0..200u64 {
        req.send_async(n.to_be_bytes()).await.unwrap();
        let asked = rep.recv_async().await.unwrap();
        rep.send_async((number(&asked) * 2).to_be_bytes())
            .await
            .unwrap();
        assert_eq!(number(&req.recv_async().await.unwrap()), n * 2);
    }
    assert_eq!(req.recv_async().await, Err(RecvError::State));
    assert_eq!(
        rep.send_async("unasked").await.unwrap_err().kind,
        SendErrorKind::State
    );
}

#[test]
fn tokio_runs_sockets() {
    let runtime = tokio();
    runtime.block_on(async {
        for transport in TRANSPORTS {
            let task = tokio::spawn(conversation(Context::new(), transport));
            in_time(task).await.unwrap();
        }
    });
}

#[test]
fn tokio_on_one_thread_runs_sockets() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        for transport in TRANSPORTS {
            in_time(conversation(Context::new(), transport)).await;
        }
    });
}

#[test]
fn smol_runs_sockets() {
    smol::block_on(async {
        for transport in TRANSPORTS {
            smol::spawn(conversation(Context::new(), transport)).await;
        }
    });
}

#[test]
fn the_smallest_executor_runs_sockets() {
    for transport in TRANSPORTS {
        block_on(conversation(Context::new(), transport));
    }
}

#[test]
fn tasks_on_different_threads_pass_messages() {
    const MESSAGES: u64 = 20_000;
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        runtime.block_on(async {
            let sending = tokio::spawn(async move {
                for n in 0..MESSAGES {
                    push.send_async(n.to_be_bytes()).await.unwrap();
                }
                push
            });
            for n in 0..MESSAGES {
                assert_eq!(
                    number(&in_time(pull.recv_async()).await.unwrap()),
                    n,
                    "{transport}"
                );
            }
            drop(in_time(sending).await.unwrap());
        });
    }
}

#[test]
fn a_task_and_a_thread_pass_messages() {
    const MESSAGES: u64 = 20_000;
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        let sending = Working::start(move || {
            for n in 0..MESSAGES {
                send(&push, n.to_be_bytes());
                if n % 997 == 0 {
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
            push
        });
        runtime.block_on(async {
            for n in 0..MESSAGES {
                assert_eq!(number(&in_time(pull.recv_async()).await.unwrap()), n);
            }
        });
        drop(sending.join());
    }
}

#[test]
fn a_socket_serves_tasks_and_threads_at_once() {
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        let pull = Arc::new(pull);
        for _ in 0..20 {
            let thread = Working::start({
                let pull = pull.clone();
                move || recv(&*pull)
            });
            let task = runtime.spawn({
                let pull = pull.clone();
                async move { pull.recv_async().await.unwrap() }
            });
            thread.await_asleep();
            send(&push, "a");
            send(&push, "b");
            let mut got = [thread.join(), runtime.block_on(in_time(task)).unwrap()]
                .map(|got| got.to_string_lossy().into_owned());
            got.sort();
            assert_eq!(got, ["a", "b"], "{transport}");
        }
    }
}

#[test]
fn many_tasks_wait_on_one_socket() {
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        let pull = Arc::new(pull);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    let pull = pull.clone();
                    tokio::spawn(async move { number(&pull.recv_async().await.unwrap()) })
                })
                .collect();
            for n in 0..50u64 {
                push.send_async(n.to_be_bytes()).await.unwrap();
            }
            let mut got = Vec::new();
            for task in tasks {
                got.push(in_time(task).await.unwrap());
            }
            got.sort_unstable();
            assert_eq!(got, (0..50).collect::<Vec<_>>(), "{transport}");
        });
    }
}

// ---- waiting for room ----

#[test]
fn a_send_waits_for_room_and_goes_on() {
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket_with(&context, Pull, options().rcvhwm(2));
        let push = socket_with(&context, Push, options().sndhwm(2));
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&push, 1);
        let body = Message::from(vec![7; 256 * 1024]);
        let accepted = fill(&push, &body);
        runtime.block_on(async {
            let sending = tokio::spawn(async move {
                push.send_async("last").await.unwrap();
                push
            });
            for _ in 0..accepted {
                assert_eq!(
                    in_time(pull.recv_async()).await.unwrap().body().len(),
                    256 * 1024
                );
            }
            let push = in_time(sending).await.unwrap();
            assert_eq!(in_time(pull.recv_async()).await.unwrap().body(), "last");
            drop(push);
        });
    }
}

#[test]
fn a_send_that_is_dropped_sends_nothing() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket(&context, Pull);
        let push = socket(&context, Push);
        let endpoint = push.bind(&fresh(transport)).unwrap();
        for _ in 0..100 {
            assert!(poll_once(push.send_async("never")).is_pending());
        }
        pull.connect(&endpoint).unwrap();
        block_on(push.send_async("sent")).unwrap();
        assert_eq!(recv_text(&pull), ["sent"]);
        recv_nothing(&pull);
        assert_eq!(push.stats().messages_out, 1);
    }
}

// ---- cancellation ----

/// Receives with futures that are dropped at random, before and after they were polled, and woken
/// or not; every message comes nevertheless, once and in order.
#[test]
fn ten_thousand_dropped_receives_lose_nothing() {
    const DROPS: u64 = 10_000;
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        let sending = Working::start(move || {
            for n in 0..DROPS {
                send(&push, n.to_be_bytes());
                if n % 64 == 0 {
                    std::thread::yield_now();
                }
            }
            send(&push, "end");
            push
        });
        let mut dice = 1u64;
        let (mut next, mut dropped) = (0, 0);
        loop {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let got = match (dice >> 33) % 4 {
                // Never polled.
                0 => {
                    drop(pull.recv_async());
                    dropped += 1;
                    continue;
                }
                // Polled once or twice, and dropped if it was not ready.
                polls @ (1 | 2) => {
                    let mut future = pin!(pull.recv_async());
                    let mut cx = TaskContext::from_waker(Waker::noop());
                    let ready = (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
                        Poll::Ready(got) => Some(got.unwrap()),
                        Poll::Pending => None,
                    });
                    let Some(got) = ready else {
                        dropped += 1;
                        continue;
                    };
                    got
                }
                // Left in the middle of its wait, if that is long.
                _ => {
                    let raced = block_on(first(pull.recv_async(), ready_after(3)));
                    let Some(got) = raced else {
                        dropped += 1;
                        continue;
                    };
                    got.unwrap()
                }
            };
            if got.body() == "end" {
                break;
            }
            assert_eq!(number(&got), next, "{transport}");
            next += 1;
        }
        assert_eq!(next, DROPS);
        // As many again while nothing comes, each of which leaves its waker behind.
        while dropped < DROPS {
            assert!(poll_once(pull.recv_async()).is_pending());
            dropped += 1;
        }
        let push = sending.join();
        send(&push, "after");
        assert_eq!(block_on(pull.recv_async()).unwrap().body(), "after");
    }
}

/// Whichever is first; the other is dropped.
async fn first<T>(left: impl Future<Output = T>, right: impl Future<Output = ()>) -> Option<T> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| match left.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => right.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Ready at the n-th poll; asks to be polled again until then.
async fn ready_after(n: u32) {
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        if polls >= n {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[test]
fn timeouts_lose_nothing() {
    const MESSAGES: u64 = 3_000;
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        runtime.block_on(async {
            let sending = tokio::spawn(async move {
                for n in 0..MESSAGES {
                    push.send_async(n.to_be_bytes()).await.unwrap();
                    if n % 50 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                push
            });
            let mut next = 0;
            in_time(async {
                while next < MESSAGES {
                    // Most are cut short by the clock.
                    if let Ok(got) =
                        tokio::time::timeout(Duration::from_micros(100), pull.recv_async()).await
                    {
                        assert_eq!(number(&got.unwrap()), next);
                        next += 1;
                    }
                }
            })
            .await;
            drop(in_time(sending).await.unwrap());
        });
    }
}

#[test]
fn select_takes_from_whichever_socket_has_something() {
    const MESSAGES: u64 = 5_000;
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push_a, pull_a) = pipeline(&context, transport);
        let (push_b, pull_b) = pipeline(&context, transport);
        runtime.block_on(async {
            let senders = [push_a, push_b].map(|push| {
                tokio::spawn(async move {
                    for n in 0..MESSAGES {
                        push.send_async(n.to_be_bytes()).await.unwrap();
                        if n % 100 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    push
                })
            });
            let mut next = [0, 0];
            in_time(async {
                while next != [MESSAGES; 2] {
                    let (which, got) = tokio::select! {
                        got = pull_a.recv_async() => (0, got),
                        got = pull_b.recv_async() => (1, got),
                    };
                    assert_eq!(number(&got.unwrap()), next[which], "{transport}");
                    next[which] += 1;
                }
            })
            .await;
            for sender in senders {
                drop(in_time(sender).await.unwrap());
            }
        });
    }
}

#[test]
fn aborted_tasks_lose_nothing() {
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        let (push, pull) = pipeline(&context, transport);
        let pull = Arc::new(pull);
        let received = Arc::new(std::sync::Mutex::new(Vec::new()));
        runtime.block_on(async {
            let mut sent = 0u64;
            for round in 0..300 {
                let tasks: Vec<_> = (0..3)
                    .map(|_| {
                        let (pull, received) = (pull.clone(), received.clone());
                        tokio::spawn(async move {
                            loop {
                                // No await between the two: an abort cannot come in between.
                                let got = pull.recv_async().await.unwrap();
                                received.lock().unwrap().push(number(&got));
                            }
                        })
                    })
                    .collect();
                for _ in 0..round % 7 {
                    push.send_async(sent.to_be_bytes()).await.unwrap();
                    sent += 1;
                }
                if round % 2 == 0 {
                    tokio::task::yield_now().await;
                }
                for task in tasks {
                    task.abort();
                    assert!(in_time(task).await.unwrap_err().is_cancelled());
                }
            }
            loop {
                let got = received.lock().unwrap().len() as u64;
                if got == sent {
                    break;
                }
                let got = in_time(pull.recv_async()).await.unwrap();
                received.lock().unwrap().push(number(&got));
            }
            let mut all = received.lock().unwrap().clone();
            all.sort_unstable();
            assert_eq!(all, (0..sent).collect::<Vec<_>>(), "{transport}");
        });
    }
}

// ---- streams and sinks ----

/// The next item of a stream.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// Gives a sink one item, as `feed` does.
async fn feed<T, S: Sink<T> + Unpin>(sink: &mut S, item: T) -> Result<(), S::Error> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await?;
    Pin::new(sink).start_send(item)
}

#[test]
fn a_stream_of_messages_flows_from_a_sink() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket_with(&context, Pull, options().rcvhwm(3));
        let push = socket_with(&context, Push, xebec::Options::new().sndhwm(3));
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        let sending = Working::start(move || {
            block_on(async {
                let mut sink = push.outgoing();
                for n in 0..2_000u64 {
                    feed(&mut sink, Message::from(n.to_be_bytes()))
                        .await
                        .unwrap();
                }
                poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx))
                    .await
                    .unwrap();
                assert_eq!(
                    push.stats().messages_out,
                    2_000,
                    "what is flushed is with the socket"
                );
                poll_fn(|cx| Pin::new(&mut sink).poll_close(cx))
                    .await
                    .unwrap();
            });
            push
        });
        block_on(async {
            let mut stream = pull.incoming();
            for n in 0..2_000u64 {
                assert_eq!(number(&next(&mut stream).await.unwrap().unwrap()), n);
            }
        });
        drop(sending.join());
    }
}

#[test]
fn a_sink_is_not_ready_while_there_is_no_room() {
    let context = Context::new();
    let push = socket(&context, Push);
    push.bind(&fresh("tcp")).unwrap();
    let mut sink = push.outgoing();
    let mut cx = TaskContext::from_waker(Waker::noop());
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
    Pin::new(&mut sink).start_send("held".into()).unwrap();
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_pending());
    assert!(Pin::new(&mut sink).poll_flush(&mut cx).is_pending());
    let pull = socket(&context, Pull);
    pull.connect(&push.last_endpoint().unwrap()).unwrap();
    block_on(poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx))).unwrap();
    assert_eq!(recv_text(&pull), ["held"]);
}

#[test]
fn a_stream_ends_with_its_context() {
    let context = Context::new();
    let pull = Arc::new(socket(&context, Pull));
    pull.bind(&fresh("tcp")).unwrap();
    let waiting = Working::start({
        let pull = pull.clone();
        move || block_on(async { next(&mut pull.incoming()).await })
    });
    waiting.await_asleep();
    context.shutdown();
    assert!(waiting.join().is_none());
    assert_eq!(block_on(pull.recv_async()), Err(RecvError::Terminated));
    let push = xebec::Push::new(&context);
    assert!(push.is_err());
}

// ---- other patterns and the monitor ----

#[test]
fn publishing_and_routing_work_in_tasks() {
    let runtime = tokio();
    for transport in TRANSPORTS {
        let context = Context::new();
        runtime.block_on(in_time(async {
            let publisher = socket(&context, Pub);
            let sub = socket(&context, Sub);
            sub.subscribe("a").unwrap();
            sub.connect(&publisher.bind(&fresh(transport)).unwrap())
                .unwrap();
            while publisher.topics() != Some(1) {
                tokio::task::yield_now().await;
            }
            publisher.send_async("b").await.unwrap();
            publisher.send_async("a").await.unwrap();
            assert_eq!(sub.recv_async().await.unwrap().body(), "a");

            let router = socket(&context, Router);
            let dealer = socket(&context, Dealer);
            dealer
                .connect(&router.bind(&fresh(transport)).unwrap())
                .unwrap();
            dealer.send_async("hi").await.unwrap();
            let mut got = router.recv_async().await.unwrap();
            got.push_back("there");
            router.send_async(got).await.unwrap();
            assert_eq!(text(&dealer.recv_async().await.unwrap()), ["hi", "there"]);

            let (a, b) = (socket(&context, Pair), socket(&context, Pair));
            a.connect(&b.bind(&fresh(transport)).unwrap()).unwrap();
            let (sent, got) = tokio::join!(a.send_async("x"), b.recv_async());
            sent.unwrap();
            assert_eq!(got.unwrap().body(), "x");
        }));
    }
}

#[test]
fn a_monitor_tells_tasks() {
    let runtime = tokio();
    let context = Context::new();
    let pull = socket(&context, Pull);
    let monitor = pull.monitor();
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    runtime.block_on(in_time(async {
        assert_eq!(
            monitor.recv_async().await.unwrap().kind,
            xebec::EventKind::Listening
        );
        let push = socket(&context, Push);
        let (accepted, ()) = tokio::join!(monitor.recv_async(), async {
            push.connect(&endpoint).unwrap()
        });
        assert_eq!(accepted.unwrap().kind, xebec::EventKind::Accepted);
        assert_eq!(
            monitor.recv_async().await.unwrap().kind,
            xebec::EventKind::HandshakeSucceeded
        );
        drop(pull);
        while monitor.recv_async().await.is_some() {}
    }));
}
