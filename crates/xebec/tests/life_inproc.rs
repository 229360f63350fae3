//! The inproc transport: either side first, across threads, with queues that wait for the bind,
//! and ends that leave nothing behind.

#[path = "support/life.rs"]
mod life;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use life::*;
use xebec::{
    AddressErrorKind, Context, Dealer, EndpointErrorKind, EventKind, Options, Pair, Pub, Pull,
    Push, Req, Router, SendErrorKind, Stream,
};

fn push(context: &Context) -> Push {
    Push::with_options(context, quick()).unwrap()
}

#[test]
fn the_bound_side_first() {
    let context = Context::new();
    let (server, client) = (Pair::new(&context).unwrap(), Pair::new(&context).unwrap());
    assert_eq!(server.bind("inproc://there").unwrap(), "inproc://there");
    client.connect("inproc://there").unwrap();
    assert_eq!(
        (
            server.last_endpoint().as_deref(),
            client.last_endpoint().as_deref()
        ),
        (Some("inproc://there"), Some("inproc://there"))
    );
    client.send("ping").unwrap();
    assert_eq!(text(&server), "ping");
    server.send("pong").unwrap();
    assert_eq!(text(&client), "pong");
}

#[test]
fn the_connecting_side_first_queues_until_the_bind() {
    let context = Context::new();
    let early = push(&context);
    early.connect("inproc://later").unwrap();
    (0..100).for_each(|i| early.send(i.to_string()).unwrap());
    let second = push(&context);
    second.connect("inproc://later").unwrap();
    second.send("of the second").unwrap();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://later").unwrap();
    let mut got: Vec<String> = (0..101).map(|_| text(&pull)).collect();
    let other = got
        .iter()
        .position(|body| body == "of the second")
        .expect("both are heard");
    got.remove(other);
    assert!(
        got.iter()
            .enumerate()
            .all(|(i, body)| *body == i.to_string()),
        "in order: {got:?}"
    );
    assert_nothing(&pull);
    early.send("and on").unwrap();
    assert_eq!(text(&pull), "and on");
}

/// The queue that waits for a bind is as long as SNDHWM allows; a sender that sleeps at its end
/// goes on when another thread binds.
#[test]
fn a_sender_that_waits_for_room_goes_on_with_the_bind() {
    let context = Context::new();
    let early = Push::with_options(&context, quick().sndhwm(3)).unwrap();
    early.connect("inproc://room").unwrap();
    (0..3).for_each(|i| early.try_send(i.to_string()).unwrap());
    assert_eq!(
        early.try_send("full").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    let (about_to, waits) = std::sync::mpsc::channel();
    let sender = thread::spawn(move || {
        about_to.send(()).unwrap();
        early.send_timeout("3", SOON).map_err(|error| error.kind)
    });
    waits.recv().unwrap();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://room").unwrap();
    (0..4).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    assert_eq!(sender.join().unwrap(), Ok(()));
}

#[test]
fn a_receiver_that_sleeps_is_woken_by_another_thread() {
    for connect_first in [true, false] {
        let context = Context::new();
        let pull = Pull::new(&context).unwrap();
        if !connect_first {
            pull.bind("inproc://threads").unwrap();
        }
        let other = context.clone();
        let sender = thread::spawn(move || {
            let push = push(&other);
            if connect_first {
                push.bind("inproc://threads").unwrap();
            } else {
                push.connect("inproc://threads").unwrap();
            }
            (0..1000).for_each(|i| push.send_timeout(i.to_string(), SOON).unwrap());
            // The socket lives until all is taken: an inproc pipe ends with its socket.
            push
        });
        if connect_first {
            pull.connect("inproc://threads").unwrap();
        }
        (0..1000).for_each(|i| assert_eq!(text(&pull), i.to_string()));
        sender.join().unwrap();
    }
}

/// Threads that bind and connect the same names at the same time, in no agreed order.
#[test]
fn sides_that_come_at_the_same_time_always_meet() {
    let context = Context::new();
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let connecting = thread::spawn({
        let (context, barrier) = (context.clone(), barrier.clone());
        move || {
            for i in 0..500 {
                let push = push(&context);
                barrier.wait();
                push.connect(&format!("inproc://race-{i}")).unwrap();
                push.send_timeout(i.to_string(), SOON).unwrap();
                barrier.wait();
            }
        }
    });
    for i in 0..500 {
        let pull = Pull::new(&context).unwrap();
        barrier.wait();
        pull.bind(&format!("inproc://race-{i}")).unwrap();
        assert_eq!(text(&pull), i.to_string());
        barrier.wait();
    }
    connecting.join().unwrap();
}

/// Eight threads send through a socket each, one receives: nothing is lost, order is kept.
#[test]
fn many_threads_to_one() {
    const EACH: usize = 5_000;
    let context = Context::new();
    let pull = Pull::with_options(&context, Options::new().rcvhwm(50)).unwrap();
    pull.bind("inproc://many").unwrap();
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let context = context.clone();
            thread::spawn(move || {
                let push = Push::with_options(&context, quick().sndhwm(50)).unwrap();
                push.connect("inproc://many").unwrap();
                (0..EACH).for_each(|i| push.send_timeout(format!("{sender} {i}"), SOON).unwrap());
                push
            })
        })
        .collect();
    let mut next = [0; 8];
    for _ in 0..8 * EACH {
        let body = text(&pull);
        let (sender, i) = body.split_once(' ').unwrap();
        let next = &mut next[sender.parse::<usize>().unwrap()];
        assert_eq!(i.parse::<usize>().unwrap(), *next);
        *next += 1;
    }
    assert_nothing(&pull);
    senders
        .into_iter()
        .for_each(|sender| drop(sender.join().unwrap()));
}

#[test]
fn a_name_is_bound_once_and_free_after_unbind_or_close() {
    let context = Context::new();
    let (first, second) = (Pull::new(&context).unwrap(), Pull::new(&context).unwrap());
    first.bind("inproc://one").unwrap();
    for socket in [&first, &second] {
        let error = socket.bind("inproc://one").unwrap_err();
        assert!(matches!(error.kind, AddressErrorKind::InUse), "{error:?}");
    }
    first.unbind("inproc://one").unwrap();
    let error = first.unbind("inproc://one").unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::NotFound),
        "{error:?}"
    );
    second.bind("inproc://one").unwrap();
    drop(second);
    first.bind("inproc://one").unwrap();
    let error = first.bind("inproc://").unwrap_err();
    assert!(
        matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::NoAddress)
    );
    let error = first
        .bind(&format!("inproc://{}", "n".repeat(257)))
        .unwrap_err();
    assert!(
        matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::NameTooLong)
    );
}

#[test]
fn contexts_do_not_see_each_other() {
    let (ours, theirs) = (Context::new(), Context::new());
    let (pull, other) = (Pull::new(&ours).unwrap(), Pull::new(&theirs).unwrap());
    pull.bind("inproc://private").unwrap();
    other.bind("inproc://private").unwrap();
    let push = push(&theirs);
    push.connect("inproc://private").unwrap();
    push.send("theirs").unwrap();
    assert_eq!(text(&other), "theirs");
    assert_nothing(&pull);
}

#[test]
fn unbinding_keeps_those_who_are_in_and_the_next_wait() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://door").unwrap();
    let inside = push(&context);
    inside.connect("inproc://door").unwrap();
    pull.unbind("inproc://door").unwrap();
    inside.send("from inside").unwrap();
    assert_eq!(text(&pull), "from inside");
    let outside = push(&context);
    outside.connect("inproc://door").unwrap();
    outside.send("from outside").unwrap();
    assert_nothing(&pull);
    let next = Pull::new(&context).unwrap();
    next.bind("inproc://door").unwrap();
    assert_eq!(text(&next), "from outside");
}

/// Connects to a name that nobody is bound to, sends two messages, and closes.
fn closed_early(context: &Context, linger: Option<Duration>) {
    let early = Push::with_options(context, Options::new().linger(linger)).unwrap();
    early.connect("inproc://early").unwrap();
    early.send("one").unwrap();
    early
        .send(["two", "frames"].into_iter().collect::<xebec::Message>())
        .unwrap();
}

/// Ends whatever lingers in the context, so that a test that fails does not wait for it.
struct Ending(Context);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

fn bound_late(context: &Context) -> Pull {
    let pull = Pull::new(context).unwrap();
    pull.bind("inproc://early").unwrap();
    pull
}

#[test]
fn who_closes_before_the_bind_lingers_for_it() {
    for linger in [None, Some(SOON)] {
        let context = Context::new();
        let _ending = Ending(context.clone());
        closed_early(&context, linger);
        assert_eq!(context.sockets(), 1, "it lingers");
        let pull = bound_late(&context);
        assert_eq!(text(&pull), "one");
        let second = message(&pull);
        assert_eq!(
            (second.len(), second.body().as_bytes()),
            (2, &b"frames"[..])
        );
        assert_nothing(&pull);
        until("it is gone", || context.sockets() == 1);
        // It was all of it, and the next to be bound gets nothing again.
        drop(pull);
        assert_nothing(&bound_late(&context));
    }
}

#[test]
fn without_linger_or_after_it_a_late_bind_gets_nothing() {
    for linger in [Duration::ZERO, Duration::from_millis(10)] {
        let context = Context::new();
        let _ending = Ending(context.clone());
        closed_early(&context, Some(linger));
        until("it is gone", || context.sockets() == 0);
        let pull = bound_late(&context);
        assert_nothing(&pull);
        assert_eq!(pull.stats().connections, 0);
    }
}

#[test]
fn termination_does_not_wait_for_names_that_nobody_binds() {
    for close_first in [true, false] {
        let context = Context::new();
        if close_first {
            closed_early(&context, None);
            soon("the end", move || context.term());
        } else {
            let early = Push::with_options(&context, Options::new()).unwrap();
            early.connect("inproc://early").unwrap();
            early.send("to nobody").unwrap();
            context.shutdown();
            drop(early);
            soon("the end", move || context.term());
        }
    }
}

#[test]
fn disconnecting_before_the_bind_leaves_nothing() {
    let context = Context::new();
    let push = push(&context);
    push.connect("inproc://never").unwrap();
    push.send("dropped").unwrap();
    push.disconnect("inproc://never").unwrap();
    let error = push.disconnect("inproc://never").unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::NotFound),
        "{error:?}"
    );
    assert_eq!(
        push.try_send("nowhere").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://never").unwrap();
    assert_nothing(&pull);
    assert_eq!(pull.stats().connections, 0);
    push.connect("inproc://never").unwrap();
    push.send("again").unwrap();
    assert_eq!(text(&pull), "again");
}

#[test]
fn disconnecting_ends_the_pipe_on_both_sides() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let monitor = pull.monitor();
    pull.bind("inproc://both").unwrap();
    let push = push(&context);
    push.connect("inproc://both").unwrap();
    event(&monitor, EventKind::HandshakeSucceeded);
    push.send("before").unwrap();
    push.disconnect("inproc://both").unwrap();
    assert_eq!(
        push.try_send("after").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    // What the other side had been given is still its to take.
    assert_eq!(text(&pull), "before");
    assert_nothing(&pull);
    assert_eq!(
        event(&monitor, EventKind::Disconnected).endpoint,
        "inproc://both"
    );
    assert_eq!(pull.stats().peers.len(), 0);
}

#[test]
fn what_was_sent_before_the_sender_closed_is_received() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://last-words").unwrap();
    let push = push(&context);
    push.connect("inproc://last-words").unwrap();
    (0..1000).for_each(|i| push.send(i.to_string()).unwrap());
    drop(push);
    (0..1000).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    assert_nothing(&pull);
    assert_eq!(pull.stats().peers.len(), 0);
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://gone").unwrap();
    let push = push(&context);
    let monitor = push.monitor();
    push.connect("inproc://gone").unwrap();
    push.send("received never").unwrap();
    drop(pull);
    until("the send to nobody is refused", || {
        push.try_send("nobody")
            .is_err_and(|error| error.kind == SendErrorKind::WouldBlock)
    });
    event(&monitor, EventKind::Disconnected);
    // Inproc connections do not come back by themselves; another connect is needed.
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://gone").unwrap();
    push.connect("inproc://gone").unwrap();
    push.send("here").unwrap();
    assert_eq!(text(&pull), "here");
}

#[test]
fn a_socket_may_talk_to_itself() {
    let context = Context::new();
    for connect_first in [true, false] {
        let dealer = Dealer::with_options(&context, quick()).unwrap();
        let name = format!("inproc://self-{connect_first}");
        let (one, two): (&dyn Fn(), &dyn Fn()) = (&|| dealer.connect(&name).unwrap(), &|| {
            drop(dealer.bind(&name).unwrap())
        });
        for step in if connect_first {
            [one, two]
        } else {
            [two, one]
        } {
            step();
        }
        dealer.send("a").unwrap();
        dealer.send("b").unwrap();
        // Each goes to the other of the two ends, which are received from in turn.
        let mut got = [text(&dealer), text(&dealer)];
        got.sort();
        assert_eq!(got, ["a", "b"]);
    }
}

#[test]
fn types_that_do_not_talk_are_told() {
    let context = Context::new();
    let publisher = Pub::new(&context).unwrap();
    publisher.bind("inproc://mismatch").unwrap();
    let error = Req::new(&context)
        .unwrap()
        .connect("inproc://mismatch")
        .unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::Incompatible(_)),
        "{error:?}"
    );
    let stream = Stream::new(&context).unwrap();
    for error in [
        stream.connect("inproc://mismatch").unwrap_err(),
        stream.bind("inproc://raw").unwrap_err(),
    ] {
        assert!(
            matches!(error.kind, AddressErrorKind::Incompatible(_)),
            "{error:?}"
        );
    }
}

/// Who connected before anybody was bound finds out when the wrong one binds.
#[test]
fn types_that_do_not_talk_are_told_whoever_comes_first() {
    let context = Context::new();
    let early = push(&context);
    let monitor = early.monitor();
    early.connect("inproc://mismatch").unwrap();
    let wrong = Push::new(&context).unwrap();
    wrong.bind("inproc://mismatch").unwrap();
    let failed = event(&monitor, EventKind::HandshakeFailedProtocol);
    assert!(failed.cause.is_some_and(|cause| cause.contains("PUSH")));
    assert_eq!(wrong.stats().peers.len(), 0);
    assert_eq!(
        wrong.try_send("to another PUSH").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
}

#[test]
fn routing_ids_and_replies() {
    for connect_first in [true, false] {
        let context = Context::new();
        let router = Router::new(&context).unwrap();
        let dealer = Dealer::with_options(&context, quick().routing_id("me")).unwrap();
        if connect_first {
            dealer.connect("inproc://router").unwrap();
            dealer.send("question").unwrap();
            router.bind("inproc://router").unwrap();
        } else {
            router.bind("inproc://router").unwrap();
            dealer.connect("inproc://router").unwrap();
            dealer.send("question").unwrap();
        }
        let request = message(&router);
        assert_eq!(
            (request.first().to_string_lossy(), request.to_string_lossy()),
            ("me".into(), "question".into())
        );
        router
            .send(["me", "answer"].into_iter().collect::<xebec::Message>())
            .unwrap();
        assert_eq!(text(&dealer), "answer");
    }
}
