//! Subscriptions between Xebec and libzmq: counted, told again, and kept over a reconnection.

mod interop;

use std::collections::HashSet;

use interop::{
    End, assert_same, expect_event, options, ours, ours_with, parts, subscription, tcp, theirs,
};
use xebec::{Context, EventKind, Options, SocketType};
use xebec_peers::libzmq::{self, XPUB_MANUAL, XPUB_VERBOSE, XPUB_VERBOSER, XPUB_WELCOME_MSG};
use xebec_peers::libzmq_or_skip;

/// What an XPUB of either side, with these options, is told while two subscribers of the other
/// come and go: `+A` is a subscription to A, `-A` its end.
macro_rules! xpub_hears {
    ($($name:ident: $options:expr, $their_options:expr, $script:expr, $expected:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn at_xebec() {
                let Some(zmq) = libzmq_or_skip() else { return };
                let (context, their_context) = (Context::new(), zmq.context());
                let xpub = ours_with(&context, SocketType::Xpub, $options(options()));
                let subscribers = [SocketType::Sub, SocketType::Xsub]
                    .map(|kind| theirs(&their_context, kind));
                let [first, second] = &subscribers;
                heard(&xpub, [first, second], $script, $expected);
            }

            #[test]
            fn at_libzmq() {
                let Some(zmq) = libzmq_or_skip() else { return };
                let (context, their_context) = (Context::new(), zmq.context());
                let xpub = theirs(&their_context, SocketType::Xpub);
                for option in $their_options {
                    xpub.set_int(option, 1).unwrap();
                }
                let subscribers = [SocketType::Sub, SocketType::Xsub]
                    .map(|kind| ours(&context, kind));
                let [first, second] = &subscribers;
                heard(&xpub, [first, second], $script, $expected);
            }
        }
    )*};
}

xpub_hears! {
    by_default: |o| o, [], "0+A 0+A 1+A 1+B 0-A 1-A 0-A 1-B", "+A +B -A -B";
    verbose: |o: Options| o.xpub_verbose(true), [XPUB_VERBOSE],
        "0+A 0+A 1+A 1+B 0-A 1-A 0-A 1-B", "+A +A +A +B -A -B";
    verboser: |o: Options| o.xpub_verboser(true), [XPUB_VERBOSER],
        "0+A 0+A 1+A 1+B 0-A 1-A 0-A 1-B", "+A +A +A +B -A -A -B";
}

/// Carries the script out, one step after the other, and ends it with a subscription to Z.
fn heard(xpub: &dyn End, subscribers: [&dyn End; 2], script: &str, expected: &str) {
    let endpoint = xpub.bind(&tcp());
    for (i, subscriber) in subscribers.into_iter().enumerate() {
        subscriber.connect(&endpoint);
        // The step that shows that it is connected.
        let hello = format!("hello {i}");
        subscriber.subscribe(hello.as_bytes());
        let told = xpub.hear_while_serving(subscriber);
        assert_same(&told, &[subscription(hello.as_bytes(), true)]);
    }
    let mut told = Vec::new();
    for (n, step) in script.split(' ').enumerate() {
        let (who, what) = step.split_at(1);
        let subscriber = subscribers[who.parse::<usize>().unwrap()];
        subscriber.subscription(&what.as_bytes()[1..], what.starts_with('+'));
        // Subscriptions keep their order: this one is known after the step.
        let mark = format!("Z{n}");
        subscriber.subscribe(mark.as_bytes());
        loop {
            let [news] = &xpub.hear()[..] else {
                panic!("one frame")
            };
            let topic = String::from_utf8_lossy(&news[1..]).into_owned();
            if topic == mark {
                break;
            }
            told.push(format!("{}{topic}", if news[0] == 1 { '+' } else { '-' }));
        }
    }
    assert_eq!(told.join(" "), expected);
}

/// More than libzmq's own subscribers keep: 3,000 subscriptions, each told again to whoever comes
/// to the same place, with those made and ended while nobody was there.
#[test]
fn three_thousand_subscriptions_survive_a_reconnection() {
    const COUNT: usize = 3000;
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = Context::new();
    for kind in [SocketType::Sub, SocketType::Xsub] {
        let subscriber = ours(&context, kind);
        let monitor = subscriber.monitor();
        let mut wanted: HashSet<Vec<u8>> = HashSet::new();
        let mut endpoint = tcp().to_string();
        for round in 0..3 {
            let new = (0..COUNT / 3).map(|n| format!("topic {round} {n}").into_bytes());
            for topic in new {
                subscriber.subscribe(&topic).unwrap();
                wanted.insert(topic);
            }
            if round == 2 {
                assert!(wanted.remove(&b"topic 0 7"[..]));
                subscriber.unsubscribe("topic 0 7").unwrap();
            }
            let their_context = zmq.context();
            let xpub = theirs(&their_context, SocketType::Xpub);
            xpub.set_int(libzmq::RCVHWM, 0).unwrap();
            let actual = xpub.bind(&endpoint).unwrap();
            if round == 0 {
                endpoint = actual;
                subscriber.connect(&endpoint).unwrap();
            }
            let told: HashSet<Vec<u8>> = wanted.iter().map(|_| xpub.hear().remove(0)).collect();
            let expected = wanted.iter().map(|topic| subscription(topic, true));
            assert!(told == expected.collect(), "round {round}");
            let last = format!("topic {round} 1");
            xpub.say(&parts(&["topic 0 7", "not wanted at the end"]));
            xpub.say(&parts(&["topic", "not wanted"]));
            xpub.say(&parts(&[&last, "news"]));
            if round < 2 {
                let early = parts(&["topic 0 7", "not wanted at the end"]);
                assert_same(&subscriber.hear(), &early);
            }
            assert_same(&subscriber.hear(), &parts(&[&last, "news"]));
            drop(xpub);
            drop(their_context);
            expect_event(&monitor, EventKind::Disconnected);
        }
        assert_eq!(subscriber.stats().dropped.unwanted, 0);
    }
}

/// The other way: libzmq's subscriber comes back to an XPUB of Xebec.
#[test]
fn an_xpub_forgets_who_left_and_learns_who_comes() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let their_context = zmq.context();
    let subscriber = theirs(&their_context, SocketType::Sub);
    let mut endpoint = tcp().to_string();
    for topic in ["A", "B", "C"] {
        subscriber.subscribe(topic).unwrap();
    }
    for round in 0..3 {
        let context = Context::new();
        let xpub = ours(&context, SocketType::Xpub);
        endpoint = xpub.bind(&endpoint).unwrap();
        if round == 0 {
            subscriber.connect(&endpoint).unwrap();
        }
        let mut told: Vec<_> = (0..3)
            .flat_map(|_| xpub.hear_while_serving(&subscriber))
            .collect();
        told.sort();
        assert_eq!(told, ["\u{1}A", "\u{1}B", "\u{1}C"].map(str::as_bytes));
        xpub.send("B news").unwrap();
        assert_same(&subscriber.hear(), &parts(&["B news"]));
    }

    // One that leaves takes its subscriptions along.
    let context = Context::new();
    let xpub = ours(&context, SocketType::Xpub);
    let leaver = theirs(&their_context, SocketType::Sub);
    leaver.subscribe("L").unwrap();
    leaver.connect(&xpub.bind(&tcp()).unwrap()).unwrap();
    assert_same(&xpub.hear(), &[subscription(b"L", true)]);
    drop(leaver);
    assert_same(&xpub.hear(), &[subscription(b"L", false)]);
}

/// XPUB_WELCOME_MSG reaches a subscriber that has asked for its topic.
#[test]
fn welcome_messages_go_both_ways() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let our_xpub = ours_with(
        &context,
        SocketType::Xpub,
        options().xpub_welcome_msg("welcome"),
    );
    let their_xpub = theirs(&their_context, SocketType::Xpub);
    their_xpub.set_bytes(XPUB_WELCOME_MSG, b"welcome").unwrap();
    let ends: [(&dyn End, &dyn End); 2] = [
        (&our_xpub, &theirs(&their_context, SocketType::Sub)),
        (&their_xpub, &ours(&context, SocketType::Sub)),
    ];
    for (xpub, subscriber) in ends {
        subscriber.subscribe(b"welcome");
        subscriber.connect(&xpub.bind(&tcp()));
        assert_same(&subscriber.hear_while_serving(xpub), &parts(&["welcome"]));
    }
}

/// XPUB_MANUAL: what is asked for is one thing, what is given another.
#[test]
fn manual_subscriptions_work_on_both_sides() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let our_xpub = ours_with(&context, SocketType::Xpub, options().xpub_manual(true));
    let their_xpub = theirs(&their_context, SocketType::Xpub);
    their_xpub.set_int(XPUB_MANUAL, 1).unwrap();
    let ends: [(&dyn End, &dyn End); 2] = [
        (&our_xpub, &theirs(&their_context, SocketType::Xsub)),
        (&their_xpub, &ours(&context, SocketType::Xsub)),
    ];
    for (xpub, subscriber) in ends {
        subscriber.connect(&xpub.bind(&tcp()));
        subscriber.subscribe(b"A");
        subscriber.subscribe(b"XA");
        let asked = xpub.hear_while_serving(subscriber);
        assert_same(&asked, &[subscription(b"A", true)]);
        xpub.set_subscription(b"XA", true);
        xpub.say(&parts(&["A", "asked for, not given"]));
        xpub.say(&parts(&["XA", "given"]));
        assert_same(&subscriber.hear(), &parts(&["XA", "given"]));
    }
}

/// A proxy of XSUB and XPUB made by either side passes subscriptions up and messages down, to and
/// from either side.
#[test]
fn subscriptions_go_up_through_a_forwarder() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let our_forwarder = (
        ours(&context, SocketType::Xsub),
        ours(&context, SocketType::Xpub),
    );
    let their_forwarder = (
        theirs(&their_context, SocketType::Xsub),
        theirs(&their_context, SocketType::Xpub),
    );
    let cases: [(&dyn End, &dyn End, &dyn End, &dyn End); 2] = [
        (
            &theirs(&their_context, SocketType::Xpub),
            &our_forwarder.0,
            &our_forwarder.1,
            &theirs(&their_context, SocketType::Sub),
        ),
        (
            &ours(&context, SocketType::Xpub),
            &their_forwarder.0,
            &their_forwarder.1,
            &ours(&context, SocketType::Sub),
        ),
    ];
    for (publisher, upper, lower, subscriber) in cases {
        upper.connect(&publisher.bind(&tcp()));
        subscriber.connect(&lower.bind(&tcp()));
        subscriber.subscribe(b"A");
        upper.say(&lower.hear_while_serving(subscriber));
        let news = publisher.hear_while_serving(upper);
        assert_same(&news, &[subscription(b"A", true)]);
        publisher.say(&parts(&["B", "not asked for"]));
        publisher.say(&parts(&["A", "", "news"]));
        lower.say(&upper.hear());
        assert_same(&subscriber.hear(), &parts(&["A", "", "news"]));
    }
}
