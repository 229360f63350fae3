//! `poll` over sockets, descriptors and timers, and the proxy, which is a poll that passes
//! messages on.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use socket2::SockRef;
use support::*;
use xebec::SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
use xebec::{
    Context, Interest, Message, PollItem, Proxy, ProxyError, ProxyStats, Socket, SocketType, poll,
};

const READ: Interest = Interest::READ;
const WRITE: Interest = Interest::WRITE;

// ---- poll ----

/// A connection of two ends over the loopback network.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[test]
fn a_poll_tells_urgent_data_from_other() {
    let (one, other) = tcp_pair();
    let look = |interest| {
        let mut items = [PollItem::fd(&one, interest)];
        let found = poll(&mut items, Some(SHORT)).unwrap();
        let [item] = items;
        (found, item.is_readable(), item.has_priority())
    };
    let both = READ | Interest::PRIORITY;
    assert_eq!(look(both), (0, false, false));
    rustix::net::send(&other, b"!", SendFlags::OOB).unwrap();
    assert_eq!(
        poll(
            &mut [PollItem::fd(&one, Interest::PRIORITY)],
            Some(PATIENCE)
        ),
        Ok(1)
    );
    assert_eq!(look(both), (1, false, true));
    assert_eq!(look(READ), (0, false, false), "it was not asked for");
    (&other).write_all(b"x").unwrap();
    assert_eq!(poll(&mut [PollItem::fd(&one, READ)], Some(PATIENCE)), Ok(1));
    assert_eq!(look(both), (1, true, true));
    // A socket never has any.
    let context = Context::new();
    let pull = socket(&context, Pull);
    let mut items = [PollItem::socket(&pull, Interest::PRIORITY)];
    assert_eq!(poll(&mut items, Some(SHORT)), Ok(0));
    assert!(!items[0].has_priority());
}

#[test]
fn a_poll_tells_of_a_descriptor_that_failed_whatever_was_asked_for() {
    let failed = |fd: &dyn AsFd, interest| {
        let fd = fd.as_fd();
        let mut items = [PollItem::fd(&fd, interest)];
        assert_eq!(poll(&mut items, Some(PATIENCE)), Ok(1), "{interest:?}");
        let [item] = items;
        (item.has_failed(), item.is_readable(), item.is_writable())
    };
    // The other end is gone.
    let (one, other) = UnixStream::pair().unwrap();
    assert_eq!(failed(&one, WRITE), (false, false, true));
    drop(other);
    assert_eq!(failed(&one, Interest::NONE), (true, false, false));
    assert_eq!(failed(&one, READ), (true, true, false));
    assert_eq!(failed(&one, WRITE), (true, false, true));
    // An error waits to be told: the connection was reset.
    let (one, other) = tcp_pair();
    SockRef::from(&other)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(other);
    assert_eq!(failed(&one, Interest::NONE), (true, false, false));
    assert_eq!(failed(&one, READ | WRITE), (true, true, true));
    // An error alone, with no end of anything: nobody reads from the pipe any more.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(failed(&writer, Interest::NONE), (true, false, false));
    assert_eq!(failed(&writer, WRITE), (true, false, true));
    // A sound one beside it is not said to have failed.
    let (sound, _other) = UnixStream::pair().unwrap();
    let mut items = [PollItem::fd(&one, READ), PollItem::fd(&sound, READ)];
    assert_eq!(poll(&mut items, Some(PATIENCE)), Ok(1));
    assert!(items[0].has_failed() && !items[1].has_failed() && !items[1].is_readable());
}

#[test]
fn a_poll_wakes_for_a_message() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = Arc::new(socket(&context, Pull));
        let quiet = Arc::new(socket(&context, Pull));
        quiet.bind(&fresh(transport)).unwrap();
        let push = socket(&context, Push);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&*pull, 1);
        for _ in 0..20 {
            let polling = Working::start({
                let (pull, quiet) = (pull.clone(), quiet.clone());
                move || {
                    let mut items = [
                        PollItem::socket(&*quiet, READ),
                        PollItem::socket(&*pull, READ),
                    ];
                    let found = poll(&mut items, None).unwrap();
                    (
                        found,
                        items[0].is_readable(),
                        items[1].is_readable(),
                        items[1].is_writable(),
                    )
                }
            });
            polling.await_asleep();
            send(&push, "x");
            assert_eq!(polling.join(), (1, false, true, false), "{transport}");
            assert_eq!(
                poll(&mut [PollItem::socket(&*pull, READ)], None),
                Ok(1),
                "it is still there"
            );
            recv(&*pull);
            assert_eq!(
                poll(&mut [PollItem::socket(&*pull, READ)], Some(Duration::ZERO)),
                Ok(0)
            );
        }
    }
}

#[test]
fn a_poll_wakes_for_room() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket_with(&context, Pull, options().rcvhwm(1).rcvbuf(16 * 1024));
        let push = Arc::new(socket_with(
            &context,
            Push,
            options().sndhwm(1).sndbuf(16 * 1024),
        ));
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        assert_eq!(poll(&mut [PollItem::socket(&*push, WRITE)], None), Ok(1));
        let accepted = fill(&push, &vec![7; 256 * 1024].into());
        let polling = Working::start({
            let push = push.clone();
            move || {
                let mut items = [PollItem::socket(&*push, READ | WRITE)];
                let found = poll(&mut items, None).unwrap();
                (found, items[0].is_readable(), items[0].is_writable())
            }
        });
        polling.await_asleep();
        (0..accepted).for_each(|_| drop(recv(&pull)));
        assert_eq!(polling.join(), (1, false, true), "{transport}");
        push.try_send("there is room").unwrap();
    }
}

#[test]
fn a_poll_wakes_for_a_peer_to_send_to() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let push = Arc::new(socket(&context, Push));
        let endpoint = push.bind(&fresh(transport)).unwrap();
        let polling = Working::start({
            let push = push.clone();
            move || poll(&mut [PollItem::socket(&*push, WRITE)], Some(PATIENCE))
        });
        polling.await_asleep();
        let pull = socket(&context, Pull);
        pull.connect(&endpoint).unwrap();
        assert_eq!(polling.join(), Ok(1), "{transport}");
        push.try_send("x").unwrap();
        recv(&pull);
    }
}

#[test]
fn a_poll_wakes_for_a_descriptor() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = Arc::new(socket(&context, Pull));
        pull.bind(&fresh(transport)).unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        for _ in 0..10 {
            let polling = Working::start({
                let (pull, far) = (pull.clone(), far.try_clone().unwrap());
                move || {
                    let mut items = [PollItem::socket(&*pull, READ), PollItem::fd(&far, READ)];
                    let found = poll(&mut items, None).unwrap();
                    (found, items[0].is_readable(), items[1].is_readable())
                }
            });
            polling.await_asleep();
            near.write_all(b"x").unwrap();
            assert_eq!(polling.join(), (1, false, true));
            far.read_exact(&mut [0]).unwrap();
        }
        // It is writable, and readable once the other end is gone.
        let mut items = [PollItem::fd(&far, READ | WRITE)];
        assert_eq!(poll(&mut items, None), Ok(1));
        assert!(!items[0].is_readable() && items[0].is_writable());
        drop(near);
        assert_eq!(poll(&mut [PollItem::fd(&far, READ)], None), Ok(1));
    }
}

#[test]
fn a_poll_ends_when_a_timer_is_due() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pull = socket(&context, Pull);
        pull.bind(&fresh(transport)).unwrap();
        let start = Instant::now();
        let (soon, later) = (
            start + Duration::from_millis(30),
            start + Duration::from_secs(3600),
        );
        let mut items = [
            PollItem::timer(later),
            PollItem::socket(&pull, READ),
            PollItem::timer(soon),
        ];
        assert_eq!(poll(&mut items, None), Ok(1));
        assert!(Instant::now() >= soon);
        assert!(
            !items[0].is_due()
                && !items[1].is_readable()
                && items[2].is_due()
                && !items[2].is_readable()
        );
        // A shorter timeout comes first.
        let mut items = [PollItem::timer(later)];
        let start = Instant::now();
        assert_eq!(poll(&mut items, Some(Duration::from_millis(20))), Ok(0));
        assert!(start.elapsed() >= Duration::from_millis(20) && !items[0].is_due());
        // One whose moment has passed is due at once.
        assert_eq!(
            poll(
                &mut [PollItem::timer(start), PollItem::socket(&pull, READ)],
                None
            ),
            Ok(1)
        );
    }
}

#[test]
fn a_poll_tells_all_that_is_ready() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pulls = [(); 3].map(|()| socket(&context, Pull));
        let push = socket(&context, Push);
        for pull in &pulls {
            push.connect(&pull.bind(&fresh(transport)).unwrap())
                .unwrap();
        }
        await_peers(&push, 3);
        (0..2).for_each(|_| send(&push, "x"));
        pulls[..2]
            .iter()
            .for_each(|pull| eventually("it has arrived", || pull.is_readable()));
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"x").unwrap();
        let mut items = [
            PollItem::socket(&pulls[0], READ),
            PollItem::socket(&pulls[1], READ),
            PollItem::socket(&pulls[2], READ),
            PollItem::socket(&push, WRITE),
            PollItem::fd(&near, READ),
            PollItem::timer(Instant::now()),
            // The same again, for something else.
            PollItem::socket(&pulls[0], WRITE),
        ];
        assert_eq!(poll(&mut items, None), Ok(5), "{transport}");
        assert_eq!(
            [0, 1, 2, 4].map(|i| items[i].is_readable()),
            [true, true, false, true]
        );
        assert!(items[3].is_writable() && items[5].is_due() && !items[6].is_writable());
    }
}

#[test]
fn a_poll_of_nothing_waits_for_its_time() {
    let start = Instant::now();
    assert_eq!(poll(&mut [], Some(Duration::from_millis(20))), Ok(0));
    assert!(start.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_poll_that_waits_uses_no_processor() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let dealer = socket(&context, Dealer);
        let pull = socket(&context, Pull);
        let endpoint = pull.bind(&fresh(transport)).unwrap();
        dealer.bind(&fresh(transport)).unwrap();
        let push = socket(&context, Push);
        push.connect(&endpoint).unwrap();
        send(&push, "x");
        recv(&pull);
        let used = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let before = used();
        let mut items = [
            PollItem::socket(&pull, READ),
            PollItem::socket(&dealer, READ | WRITE),
        ];
        assert_eq!(poll(&mut items, Some(Duration::from_millis(200))), Ok(0));
        let polled = used() - before;
        assert!(
            polled < Duration::from_millis(50),
            "{transport}: {polled:?} of 200 ms"
        );
        let before = used();
        recv_nothing(&dealer);
        assert_eq!(
            pull.recv_timeout(Duration::from_millis(200)),
            Err(xebec::RecvError::WouldBlock)
        );
        let waited = used() - before;
        assert!(
            waited < Duration::from_millis(50),
            "{transport}: {waited:?} of 200 ms"
        );
    }
}

#[test]
fn a_poll_serves_many_sockets_in_one_thread() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pulls: Vec<Socket> = (0..20).map(|_| socket(&context, Pull)).collect();
        let endpoints: Vec<String> = pulls
            .iter()
            .map(|pull| pull.bind(&fresh(transport)).unwrap())
            .collect();
        let sending = Working::start({
            let context = context.clone();
            move || {
                let pushes: Vec<Socket> = endpoints
                    .iter()
                    .map(|endpoint| {
                        let push = socket_with(&context, Push, xebec::Options::new());
                        push.connect(endpoint).unwrap();
                        push
                    })
                    .collect();
                for n in 0..2000u32 {
                    send(&pushes[(n * 7 % 20) as usize], n.to_be_bytes());
                }
                pushes
            }
        });
        let mut left = 2000;
        while left > 0 {
            let mut items: Vec<PollItem<'_>> = pulls
                .iter()
                .map(|pull| PollItem::socket(pull, READ))
                .collect();
            assert_ne!(
                poll(&mut items, Some(PATIENCE)),
                Ok(0),
                "{transport}: {left} left"
            );
            for (item, pull) in items.iter().zip(&pulls) {
                if item.is_readable() {
                    pull.try_recv().expect("what is readable can be received");
                    left -= 1;
                }
            }
        }
        drop(sending.join());
    }
}

// ---- proxy ----

/// A proxy that runs on its own thread between bound sockets, with a control socket.
struct Device {
    front: String,
    back: String,
    control: Socket,
    capture: Socket,
    running: Working<(Result<ProxyStats, ProxyError>, Socket, Socket)>,
}

impl Device {
    fn start(context: &Context, transport: &str, front: SocketType, back: SocketType) -> Self {
        let (front, back) = (socket(context, front), socket(context, back));
        let endpoints = [&front, &back].map(|side| side.bind(&fresh(transport)).unwrap());
        let (control, steered) = (socket(context, Pair), socket(context, Pair));
        control
            .connect(&steered.bind(&fresh("inproc")).unwrap())
            .unwrap();
        let (capture, tap) = (
            socket_with(context, Pull, options().rcvhwm(0)),
            socket(context, Push),
        );
        tap.connect(&capture.bind(&fresh("inproc")).unwrap())
            .unwrap();
        let running = Working::start(move || {
            let result = Proxy::new(&front, &back)
                .capture(&tap)
                .control(&steered)
                .run();
            (result, front, back)
        });
        let [front, back] = endpoints;
        Device {
            front,
            back,
            control,
            capture,
            running,
        }
    }

    /// Messages and bytes: in and out of the front, in and out of the back.
    fn statistics(&self) -> [u64; 8] {
        send(&self.control, "STATISTICS");
        let answer = recv(&self.control);
        assert_eq!(answer.len(), 8);
        std::array::from_fn(|i| u64::from_ne_bytes(answer[i].as_bytes().try_into().unwrap()))
    }

    fn terminate(self) -> (ProxyStats, Socket, Socket) {
        send(&self.control, "TERMINATE");
        let (result, front, back) = self.running.join();
        (result.unwrap(), front, back)
    }
}

#[test]
fn a_queue_passes_requests_and_replies() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let device = Device::start(&context, transport, Router, Dealer);
        let reps: Vec<_> = (0..2)
            .map(|_| {
                let rep = socket(&context, Rep);
                rep.connect(&device.back).unwrap();
                Working::start(move || {
                    while let Ok(mut request) = rep.recv() {
                        request.push_back("answered");
                        send(&rep, request);
                    }
                })
            })
            .collect();
        let reqs = [(); 2].map(|()| {
            let req = socket(&context, Req);
            req.connect(&device.front).unwrap();
            req
        });
        for n in 0..50u32 {
            for req in &reqs {
                send(req, message([&n.to_be_bytes(), b"", b"part"]));
            }
            for req in &reqs {
                assert_eq!(
                    recv(req),
                    message([&n.to_be_bytes(), b"", b"part", b"answered"]),
                    "{transport}"
                );
            }
        }
        // Each request has two more frames inside, and the capture has all of both directions.
        let [in_front, in_bytes, out_front, out_bytes, in_back, ..] = device.statistics();
        assert_eq!([in_front, out_front, in_back], [100; 3]);
        assert_eq!((in_bytes, out_bytes), (100 * (5 + 8), 100 * (8 + 8)));
        let captured: Vec<Message> = (0..200).map(|_| recv(&device.capture)).collect();
        assert_eq!(
            captured.iter().filter(|message| message.len() == 5).count(),
            100,
            "[id][\"\"][n][\"\"][part]"
        );
        assert_eq!(
            captured.iter().filter(|message| message.len() == 6).count(),
            100
        );
        recv_nothing(&device.capture);
        let (stats, ..) = device.terminate();
        assert_eq!((stats.front_in, stats.back_in), (100, 100));
        context.shutdown();
        reps.into_iter().for_each(Working::join);
    }
}

#[test]
fn a_forwarder_passes_subscriptions_up_and_messages_down() {
    for transport in TRANSPORTS {
        for (front, back) in [(Xsub, Xpub), (Xpub, Xsub)] {
            let context = Context::new();
            let device = Device::start(&context, transport, front, back);
            let (up, down) = if front == Xsub {
                (&device.front, &device.back)
            } else {
                (&device.back, &device.front)
            };
            let publishers = [(); 2].map(|()| {
                let publisher = socket(&context, Pub);
                publisher.connect(up).unwrap();
                publisher
            });
            let subs = ["a", "b"].map(|topic| {
                let sub = socket(&context, Sub);
                sub.subscribe(topic).unwrap();
                sub.connect(down).unwrap();
                sub
            });
            for publisher in &publishers {
                eventually("the subscriptions have come up", || {
                    publisher.topics() == Some(2)
                });
                send(publisher, message([b"a", b"", b"one"]));
                send(publisher, message([b"b", b"two"]));
                send(publisher, "c: nobody wants it, and the proxy never sees it");
                assert_eq!(recv_text(&subs[0]), ["a", "", "one"], "{transport}");
                assert_eq!(recv_text(&subs[1]), ["b", "two"]);
            }
            subs[0].unsubscribe("a").unwrap();
            eventually("so has the cancellation", || {
                publishers[0].topics() == Some(1)
            });
            let (stats, ..) = device.terminate();
            let (downwards, upwards) = if front == Xsub {
                (stats.front_in, stats.back_in)
            } else {
                (stats.back_in, stats.front_in)
            };
            assert_eq!((downwards, upwards), (4, 3));
        }
    }
}

#[test]
fn a_streamer_passes_work_on() {
    for transport in TRANSPORTS {
        for (front, back) in [(Pull, Push), (Push, Pull)] {
            let context = Context::new();
            let device = Device::start(&context, transport, front, back);
            let (up, down) = if front == Pull {
                (&device.front, &device.back)
            } else {
                (&device.back, &device.front)
            };
            let pull = socket(&context, Pull);
            pull.connect(down).unwrap();
            let push = socket_with(&context, Push, xebec::Options::new());
            push.connect(up).unwrap();
            let sending = Working::start(move || {
                (0..5000u32).for_each(|n| send(&push, message([&n.to_be_bytes(), b"", &[7; 100]])));
                push
            });
            for n in 0..5000u32 {
                assert_eq!(
                    recv(&pull),
                    message([&n.to_be_bytes(), b"", &[7; 100]]),
                    "{transport}"
                );
            }
            drop(sending.join());
            device.terminate();
        }
    }
}

#[test]
fn a_proxy_can_be_paused_and_resumed() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let device = Device::start(&context, transport, Pull, Push);
        let pull = socket(&context, Pull);
        pull.connect(&device.back).unwrap();
        let push = socket(&context, Push);
        push.connect(&device.front).unwrap();
        send(&push, "before");
        assert_eq!(recv_text(&pull), ["before"]);
        send(&device.control, "PAUSE");
        // The answer shows that it has obeyed.
        assert_eq!(device.statistics()[0], 1);
        send(&push, "held");
        recv_nothing(&pull);
        assert_eq!(device.statistics()[0], 1);
        send(&device.control, "no such command");
        recv_nothing(&pull);
        send(&device.control, "RESUME");
        assert_eq!(recv_text(&pull), ["held"]);
        let [
            in_front,
            in_bytes,
            out_front,
            _,
            in_back,
            _,
            out_back,
            out_bytes,
        ] = device.statistics();
        assert_eq!(
            [in_front, in_bytes, out_front, in_back, out_back, out_bytes],
            [2, 10, 0, 0, 2, 10]
        );
        send(&device.control, "PAUSE");
        let (stats, ..) = device.terminate();
        assert_eq!(
            (stats.front_in, stats.front_in_bytes),
            (2, 10),
            "it can be ended while paused"
        );
    }
}

#[test]
fn a_proxy_leaves_what_it_cannot_pass_on() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let device = Device::start(&context, transport, Pull, Push);
        let push = socket(&context, Push);
        push.connect(&device.front).unwrap();
        (0..5u8).for_each(|n| send(&push, [n]));
        // Nobody is at the back: the messages wait at the front.
        assert_eq!(device.statistics()[0], 0);
        eventually("they have had the time to be taken", || {
            push.stats().queued_out == 0 || transport == "inproc"
        });
        let (stats, front, _back) = device.terminate();
        assert_eq!(stats, ProxyStats::default());
        for n in 0..5u8 {
            assert_eq!(recv(&front).body(), &[n], "{transport}");
        }
    }
}

#[test]
fn a_proxy_goes_on_when_there_is_room_again() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let device = Device::start(&context, transport, Pull, Push);
        let push = socket_with(&context, Push, xebec::Options::new());
        push.connect(&device.front).unwrap();
        (0..100u8).for_each(|n| send(&push, [n]));
        device.statistics();
        let pull = socket(&context, Pull);
        pull.connect(&device.back).unwrap();
        for n in 0..100u8 {
            assert_eq!(recv(&pull).body(), &[n], "{transport}");
        }
        device.terminate();
    }
}

#[test]
fn a_proxy_answers_a_rep_for_every_command() {
    let context = Context::new();
    let (front, back, control) = (
        socket(&context, Router),
        socket(&context, Dealer),
        socket(&context, Rep),
    );
    let req = socket(&context, Req);
    req.connect(&control.bind(&fresh("inproc")).unwrap())
        .unwrap();
    let running = Working::start(move || Proxy::new(&front, &back).control(&control).run());
    for command in ["PAUSE", "RESUME", "what?", "TERMINATE"] {
        send(&req, command);
        assert_eq!(recv_text(&req), [""], "{command}");
    }
    assert_eq!(running.join(), Ok(ProxyStats::default()));
}

/// One socket on both sides: what it receives it sends. Clients are answered with their own words, and a
/// capture has them once.
#[test]
fn a_proxy_of_one_socket_with_itself_is_an_echo() {
    for (kind, client) in [(Rep, Req), (Router, Req), (Router, Dealer)] {
        let context = Context::new();
        let echo = socket(&context, kind);
        let endpoint = echo.bind(&fresh("tcp")).unwrap();
        let clients = [(); 2].map(|()| {
            let client = socket(&context, client);
            client.connect(&endpoint).unwrap();
            client
        });
        let pair = |here, there| {
            let (here, there) = (socket(&context, here), socket(&context, there));
            here.connect(&there.bind(&fresh("inproc")).unwrap())
                .unwrap();
            (here, there)
        };
        let ((capture, captured), (control, steer)) = (pair(Push, Pull), pair(Pair, Pair));
        let running = Working::start(move || {
            let proxy = Proxy::new(&echo, &echo);
            proxy.capture(&capture).control(&control).run()
        });
        for round in 0..20 {
            let word = |n| format!("{n} in {round}");
            for (n, client) in clients.iter().enumerate() {
                send(client, word(n));
            }
            for (n, client) in clients.iter().enumerate() {
                assert_eq!(recv_text(client), [word(n)], "{kind}");
            }
        }
        send(&steer, "TERMINATE");
        let stats = running.join().unwrap();
        assert_eq!((stats.front_in, stats.back_in), (40, 0), "{kind}");
        let copies = std::iter::from_fn(|| captured.try_recv().ok()).count();
        assert_eq!(copies, 40, "{kind}");
    }
}

#[test]
fn a_capture_that_is_stuck_does_not_hold_the_proxy_up() {
    let context = Context::new();
    let (front, back, tap) = (
        socket(&context, Pull),
        socket(&context, Push),
        socket(&context, Push),
    );
    tap.bind(&fresh("inproc")).unwrap();
    let (push, pull) = (socket(&context, Push), socket(&context, Pull));
    push.connect(&front.bind(&fresh("tcp")).unwrap()).unwrap();
    pull.connect(&back.bind(&fresh("tcp")).unwrap()).unwrap();
    let running = Working::start(move || xebec::proxy(&front, &back, Some(&tap)));
    for n in 0..100u8 {
        send(&push, [n]);
        assert_eq!(recv(&pull).body(), &[n]);
    }
    context.shutdown();
    assert_eq!(
        running.join(),
        Err(ProxyError::Terminated),
        "it runs until the context ends"
    );
}

/// As `zmq_proxy` has it: the capture has every message before it is passed on.
#[test]
fn a_capture_that_is_waited_for_holds_the_proxy_up() {
    let context = Context::new();
    let (front, back) = (socket(&context, Pull), socket(&context, Push));
    let tap = socket(&context, Push);
    let tapped = tap.bind(&fresh("inproc")).unwrap();
    let (push, pull) = (socket(&context, Push), socket(&context, Pull));
    push.connect(&front.bind(&fresh("tcp")).unwrap()).unwrap();
    pull.connect(&back.bind(&fresh("tcp")).unwrap()).unwrap();
    await_peers(&back, 1);
    let running = Working::start(move || {
        let proxy = Proxy::new(&front, &back).capture(&tap);
        proxy.wait_for_capture().run()
    });
    (0..100u8).for_each(|n| send(&push, [n]));
    // Nobody is at the capture.
    recv_nothing(&pull);
    let captured = socket(&context, Pull);
    captured.connect(&tapped).unwrap();
    for n in 0..100u8 {
        assert_eq!(recv(&captured).body(), &[n]);
        assert_eq!(recv(&pull).body(), &[n]);
    }
    context.shutdown();
    assert_eq!(running.join(), Err(ProxyError::Terminated));
}

#[test]
fn sockets_that_make_no_device_are_refused() {
    let context = Context::new();
    for (front, back) in [
        (Pull, Pull),
        (Push, Sub),
        (Pub, Push),
        (Router, Xpub),
        (Pull, Dealer),
    ] {
        let (front, back) = (socket(&context, front), socket(&context, back));
        let refused = Proxy::new(&front, &back).run().unwrap_err();
        assert_eq!(refused, ProxyError::Mismatched(front.kind(), back.kind()));
        assert!(refused.to_string().contains("make no device"));
    }
}
