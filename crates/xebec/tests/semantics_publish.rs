//! Publish and subscribe (RFC 29): who gets what, how often, and what publishers are told.

mod support;

use std::time::{Duration, Instant};

use support::*;
use xebec::SocketType::{Dealer, Pub, Pull, Push, Sub, Xpub, Xsub};
use xebec::{Context, EventKind, Options, Socket, SocketType};

/// A publisher and a subscriber that are connected and know of each other.
fn pair_of(
    context: &Context,
    transport: &str,
    publisher: (SocketType, Options),
    subscriber: (SocketType, Options),
) -> (Socket, Socket) {
    let publisher = socket_with(context, publisher.0, publisher.1);
    let subscriber = socket_with(context, subscriber.0, subscriber.1);
    subscriber
        .connect(&publisher.bind(&fresh(transport)).unwrap())
        .unwrap();
    await_peers(&publisher, 1);
    await_peers(&subscriber, 1);
    (publisher, subscriber)
}

/// Waits until the publisher knows this many topics.
#[track_caller]
fn await_topics(publisher: &Socket, topics: usize) {
    eventually(&format!("{topics} topics"), || {
        publisher.topics() == Some(topics)
    });
}

/// What a subscriber has got up to a message that says that this is all.
#[track_caller]
fn received(publisher: &Socket, subscriber: &Socket, end: &str) -> Vec<String> {
    send(publisher, end);
    let messages =
        std::iter::repeat_with(|| recv(subscriber).first().to_string_lossy().into_owned());
    messages.take_while(|message| message != end).collect()
}

/// What an XPUB's application is told, as `+topic` and `-topic`.
#[track_caller]
fn told(xpub: &Socket) -> String {
    let news = recv(xpub);
    let (on, topic) = news
        .first()
        .split_first()
        .expect("news begin with an octet");
    assert!(*on < 2 && news.len() == 1, "{news:?}");
    format!(
        "{}{}",
        if *on == 1 { '+' } else { '-' },
        String::from_utf8_lossy(topic)
    )
}

// ---- matching ----

#[test]
fn a_subscriber_gets_what_begins_with_its_prefixes_once() {
    for transport in TRANSPORTS {
        for (publisher, subscriber) in [(Pub, Sub), (Pub, Xsub), (Xpub, Sub), (Xpub, Xsub)] {
            let context = Context::new();
            let (publisher, subscriber) = pair_of(
                &context,
                transport,
                (publisher, options()),
                (subscriber, options()),
            );
            let topics = ["a", "ab", "abc", "x.", "end"];
            topics
                .iter()
                .for_each(|topic| subscriber.subscribe(topic).unwrap());
            await_topics(&publisher, topics.len());
            for topic in [
                "", "a", "ab", "abc", "abcd", "ac", "b", "ba", "x", "x.", "x.y", "X.", "aaaa",
            ] {
                send(&publisher, topic);
            }
            // Up to three prefixes match; each message comes once.
            let expected = ["a", "ab", "abc", "abcd", "ac", "x.", "x.y", "aaaa"];
            assert_eq!(
                received(&publisher, &subscriber, "end"),
                expected,
                "{transport}"
            );
        }
    }
}

#[test]
fn the_empty_prefix_matches_everything() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (publisher, subscriber) =
            pair_of(&context, transport, (Pub, options()), (Sub, options()));
        subscriber.subscribe("").unwrap();
        subscriber.subscribe("a").unwrap();
        await_topics(&publisher, 2);
        for topic in ["", "a", "zzz"] {
            send(&publisher, topic);
        }
        assert_eq!(received(&publisher, &subscriber, "end"), ["", "a", "zzz"]);
    }
}

#[test]
fn only_the_first_frame_is_matched() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (publisher, subscriber) =
            pair_of(&context, transport, (Pub, options()), (Sub, options()));
        subscriber.subscribe("A").unwrap();
        await_topics(&publisher, 1);
        send(&publisher, message([b"B", b"A"]));
        send(&publisher, message([b"A", b"We would like to see this"]));
        assert_eq!(recv_text(&subscriber), ["A", "We would like to see this"]);
        assert_eq!(
            publisher.stats().messages_out,
            1,
            "filtered at the publisher"
        );
    }
}

#[test]
fn nothing_is_received_without_a_subscription() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (publisher, subscriber) =
            pair_of(&context, transport, (Pub, options()), (Sub, options()));
        send(&publisher, "unheard");
        subscriber.subscribe("h").unwrap();
        await_topics(&publisher, 1);
        send(&publisher, "heard");
        assert_eq!(recv_text(&subscriber), ["heard"]);
    }
}

#[test]
fn every_subscriber_gets_its_own() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let publisher = socket(&context, Pub);
        let endpoint = publisher.bind(&fresh(transport)).unwrap();
        let subscribers: Vec<Socket> = (0..10)
            .map(|n| {
                let sub = socket(&context, Sub);
                sub.subscribe(format!("{n}")).unwrap();
                sub.subscribe("all").unwrap();
                sub.connect(&endpoint).unwrap();
                sub
            })
            .collect();
        await_topics(&publisher, 11);
        await_peers(&publisher, 10);
        eventually("all want everything", || {
            let before = publisher.stats().messages_out;
            send(&publisher, "all are here");
            publisher.stats().messages_out - before == 10
        });
        for n in 0..10 {
            send(&publisher, format!("{n}"));
        }
        send(&publisher, "all");
        for (n, sub) in subscribers.iter().enumerate() {
            let got: Vec<String> = std::iter::repeat_with(|| recv_text(sub).remove(0))
                .take_while(|got| got != "all")
                .collect();
            let own: Vec<&String> = got.iter().filter(|got| *got != "all are here").collect();
            assert_eq!(own, [&format!("{n}")]);
        }
    }
}

/// Peers that want the same and the like of it, that have large messages in between, and that have no room
/// at different times: what they have in common with others is theirs as if it were not.
#[test]
fn peers_that_are_out_of_step_get_all_that_is_theirs_in_order() {
    const MESSAGES: usize = 20_000;
    let topic = |i: usize| ["a", "ab", "b", "a"][i * 7 % 11 % 4];
    let size = |i: usize| match i % 97 {
        0 => 20_000,
        _ => i * 37 % 1_500,
    };
    for transport in TRANSPORTS {
        let context = Context::new();
        let options = Options::default().xpub_nodrop(true).xpub_verbose(true);
        let publisher = socket_with(&context, Xpub, options.sndhwm(300));
        let endpoint = publisher.bind(&fresh(transport)).unwrap();
        std::thread::scope(|scope| {
            for prefix in ["", "", "a", "a", "ab", "b", "b", "c"] {
                let sub = socket(&context, Sub);
                sub.subscribe(prefix).unwrap();
                sub.connect(&endpoint).unwrap();
                assert_eq!(told(&publisher), format!("+{prefix}"));
                scope.spawn(move || {
                    for i in (0..MESSAGES).filter(|&i| topic(i).starts_with(prefix)) {
                        let got = recv(&sub);
                        let expected = [topic(i), &i.to_string()];
                        assert!(got.frames().take(2).eq(expected), "{prefix}: {got:?}");
                        assert_eq!(got.body().len(), size(i), "{prefix}: {i}");
                    }
                });
            }
            for i in 0..MESSAGES {
                let number = i.to_string();
                let frames = [topic(i).as_bytes(), number.as_bytes(), &vec![7; size(i)]];
                send(&publisher, xebec::Message::from_iter(frames));
            }
        });
    }
}

/// Where nothing but its own messages, which wait for company, has taken the room: it writes them, and no
/// other end has to say so.
#[test]
fn a_publisher_that_waits_for_room_finds_what_it_makes_itself() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let mut options = Options::default().xpub_nodrop(true).xpub_verbose(true);
        options.set_text("spin", "off").unwrap();
        let publisher = socket_with(&context, Xpub, options.sndhwm(10));
        let sub = socket_with(&context, Sub, Options::default().rcvhwm(0));
        sub.subscribe("").unwrap();
        sub.connect(&publisher.bind(&fresh(transport)).unwrap())
            .unwrap();
        assert_eq!(told(&publisher), "+");
        (0..1000).for_each(|_| send(&publisher, "one of many"));
        (0..1000).for_each(|_| assert_eq!(recv(&sub).body(), "one of many"));
    }
}

#[test]
fn a_publisher_may_connect_and_a_subscriber_may_bind() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let sub = socket(&context, Sub);
        sub.subscribe("").unwrap();
        let endpoint = sub.bind(&fresh(transport)).unwrap();
        let publishers = [(); 3].map(|()| socket(&context, Pub));
        for (n, publisher) in publishers.iter().enumerate() {
            publisher.connect(&endpoint).unwrap();
            await_topics(publisher, 1);
            send(publisher, format!("{n}"));
            assert_eq!(recv_text(&sub), [format!("{n}")]);
        }
    }
}

#[test]
fn inverted_matching_sends_what_does_not_match() {
    for transport in TRANSPORTS {
        for kind in [Pub, Xpub] {
            let context = Context::new();
            let invert = || options().invert_matching(true);
            let (publisher, subscriber) =
                pair_of(&context, transport, (kind, invert()), (Sub, invert()));
            subscriber.subscribe("a").unwrap();
            subscriber.subscribe("b").unwrap();
            await_topics(&publisher, 2);
            for topic in ["a", "ab", "b", "c", "", "ca"] {
                send(&publisher, topic);
            }
            assert_eq!(received(&publisher, &subscriber, "end"), ["c", "", "ca"]);
            subscriber.unsubscribe("a").unwrap();
            await_topics(&publisher, 1);
            for topic in ["a", "b"] {
                send(&publisher, topic);
            }
            assert_eq!(received(&publisher, &subscriber, "end"), ["a"]);
        }
    }
}

// ---- counting subscriptions ----

#[test]
fn as_many_unsubscribes_as_subscribes_are_needed() {
    for transport in TRANSPORTS {
        for kind in [Sub, Xsub] {
            let context = Context::new();
            let (publisher, subscriber) =
                pair_of(&context, transport, (Pub, options()), (kind, options()));
            let change = |on: u8, topic: &str| match (kind, on) {
                (Xsub, _) => send(&subscriber, [&[on], topic.as_bytes()].concat()),
                (_, 1) => subscriber.subscribe(topic).unwrap(),
                _ => subscriber.unsubscribe(topic).unwrap(),
            };
            change(1, "e");
            for _ in 0..3 {
                change(1, "a");
            }
            change(0, "never had");
            await_topics(&publisher, 2);
            for left in (0..3).rev() {
                change(0, "a");
                if left == 0 {
                    await_topics(&publisher, 1);
                }
                send(&publisher, "a");
                let expected: &[&str] = if left > 0 { &["a"] } else { &[] };
                assert_eq!(
                    received(&publisher, &subscriber, "end"),
                    expected,
                    "{left} left over {transport}"
                );
            }
            assert_eq!(subscriber.topics(), Some(1));
        }
    }
}

#[test]
fn what_was_under_way_when_its_subscription_ended_is_not_received() {
    let context = Context::new();
    let (publisher, sub) = pair_of(&context, "tcp", (Pub, options()), (Sub, options()));
    sub.subscribe("a").unwrap();
    sub.subscribe("b").unwrap();
    await_topics(&publisher, 2);
    send(&publisher, "a");
    send(&publisher, "b");
    eventually("both have arrived", || sub.stats().queued_in == 2);
    sub.unsubscribe("a").unwrap();
    assert_eq!(recv_text(&sub), ["b"]);
    assert_eq!(sub.stats().dropped.unwanted, 1);
}

// ---- what an XPUB is told ----

/// Two subscribers subscribe, twice, and unsubscribe in turn, and leave; this is what the XPUB's
/// application is told.
fn news(options: Options, expected: [&str; 5]) {
    for transport in TRANSPORTS {
        let context = Context::new();
        let xpub = socket_with(&context, Xpub, options.clone().linger(Duration::ZERO));
        let endpoint = xpub.bind(&fresh(transport)).unwrap();
        let subs = [(); 2].map(|()| socket(&context, Sub));
        for sub in &subs {
            sub.connect(&endpoint).unwrap();
        }
        await_peers(&xpub, 2);
        // A topic that is told when the connection comes up is told once, however often it is subscribed to.
        subs.iter().for_each(|sub| await_peers(sub, 1));
        // Each step ends with a subscription of its own, so that it is known to be over.
        let mut mark = 0;
        let mut step = |sub: &Socket, change: &dyn Fn(&Socket)| -> String {
            change(sub);
            mark += 1;
            sub.subscribe(format!("#{mark}")).unwrap();
            let mut all = Vec::new();
            loop {
                let news = told(&xpub);
                if news == format!("+#{mark}") {
                    return all.join(" ");
                }
                all.push(news);
            }
        };
        let twice = |sub: &Socket| {
            sub.subscribe("a").unwrap();
            sub.subscribe("a").unwrap();
        };
        let neither = |sub: &Socket| {
            sub.unsubscribe("a").unwrap();
            sub.unsubscribe("a").unwrap();
        };
        let got = [
            step(&subs[0], &twice),
            step(&subs[1], &twice),
            step(&subs[0], &neither),
            step(&subs[1], &neither),
            step(&subs[1], &|sub| sub.unsubscribe("a").unwrap()),
        ];
        assert_eq!(got, expected, "{transport}");
    }
}

#[test]
fn xpub_is_told_of_first_and_last_subscriptions() {
    news(Options::new(), ["+a", "", "", "-a", ""]);
}

#[test]
fn verbose_xpub_is_told_of_every_subscription() {
    news(
        Options::new().xpub_verbose(true),
        ["+a +a", "+a +a", "", "-a", ""],
    );
}

#[test]
fn verboser_xpub_is_told_of_every_cancellation_too() {
    // A SUB itself counts, and tells the last of its own cancellations only.
    news(
        Options::new().xpub_verboser(true),
        ["+a +a", "+a +a", "-a", "-a", ""],
    );
}

/// What the XPUB's application is told when a subscriber of "shared" and "z-mine" leaves, and then
/// one of "shared" and "z-other".
fn farewells(options: Options, expected: [&[&str]; 2]) {
    for transport in TRANSPORTS {
        let context = Context::new();
        let xpub = socket_with(&context, Xpub, options.clone().linger(Duration::ZERO));
        let endpoint = xpub.bind(&fresh(transport)).unwrap();
        let subs = ["z-mine", "z-other"].map(|own| {
            let sub = socket(&context, Sub);
            sub.connect(&endpoint).unwrap();
            sub.subscribe("shared").unwrap();
            sub.subscribe(own).unwrap();
            while told(&xpub) != format!("+{own}") {}
            sub
        });
        for (sub, expected) in subs.into_iter().zip(expected) {
            drop(sub);
            let mut got: Vec<String> = expected.iter().map(|_| told(&xpub)).collect();
            got.sort();
            assert_eq!(got, expected, "{transport}");
            recv_nothing(&xpub);
        }
        assert_eq!(xpub.topics(), Some(0));
    }
}

#[test]
fn a_subscriber_that_leaves_takes_its_subscriptions_along() {
    let uncounted: [&[&str]; 2] = [&["-z-mine"], &["-shared", "-z-other"]];
    farewells(Options::new(), uncounted);
    farewells(Options::new().xpub_verbose(true), uncounted);
    // Here each is told, so that whoever counts them comes to nothing.
    let counted: [&[&str]; 2] = [&["-shared", "-z-mine"], &["-shared", "-z-other"]];
    farewells(Options::new().xpub_verboser(true), counted);
    farewells(Options::new().xpub_manual(true), counted);
}

#[test]
fn a_chain_of_counting_forwarders_forgets_what_nobody_wants() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let source = socket_with(&context, Xpub, options().xpub_verboser(true));
        let xsub = socket_with(&context, Xsub, options().xsub_verbose_unsubscribe(true));
        let xpub = socket_with(&context, Xpub, options().xpub_verboser(true));
        xsub.connect(&source.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&xsub, 1);
        let endpoint = xpub.bind(&fresh(transport)).unwrap();
        let forward = |n: usize| (0..n).for_each(|_| send(&xsub, recv(&xpub)));
        let subs = [(); 3].map(|()| {
            let sub = socket(&context, Sub);
            sub.subscribe("a").unwrap();
            sub.connect(&endpoint).unwrap();
            sub
        });
        forward(3);
        assert_eq!([(); 3].map(|()| told(&source)), ["+a"; 3], "{transport}");
        subs[0].unsubscribe("a").unwrap();
        drop(subs);
        forward(3);
        assert_eq!([(); 3].map(|()| told(&source)), ["-a"; 3], "{transport}");
        assert_eq!((xsub.topics(), source.topics()), (Some(0), Some(0)));
    }
}

#[test]
fn manual_xpub_follows_its_application() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let xpub = socket_with(&context, Xpub, options().xpub_manual(true));
        let endpoint = xpub.bind(&fresh(transport)).unwrap();
        let subs = [(); 2].map(|()| {
            let sub = socket(&context, Sub);
            sub.subscribe("").unwrap();
            sub.connect(&endpoint).unwrap();
            assert_eq!(told(&xpub), "+");
            sub
        });
        // What was asked for counts for nothing; the application gave neither anything yet.
        send(&xpub, "unheard");
        // The last to be told of is the second.
        xpub.subscribe("B").unwrap();
        for topic in ["A", "B", "C"] {
            send(&xpub, topic);
        }
        assert_eq!(recv_text(&subs[1]), ["B"]);
        recv_nothing(&subs[0]);
        // The first asks again, and is given something else.
        subs[0].subscribe("x").unwrap();
        assert_eq!(told(&xpub), "+x");
        xpub.subscribe("A").unwrap();
        send(&xpub, "A");
        assert_eq!(recv_text(&subs[0]), ["A"]);
        // It cancels; that too counts only if the application says so.
        subs[0].unsubscribe("x").unwrap();
        assert_eq!(told(&xpub), "-x");
        send(&xpub, "A2");
        assert_eq!(recv_text(&subs[0]), ["A2"]);
        xpub.unsubscribe("A").unwrap();
        send(&xpub, "A3");
        send(&xpub, "B3");
        assert_eq!(recv_text(&subs[1]), ["B3"]);
        recv_nothing(&subs[0]);
        assert!(
            socket(&context, Xpub).subscribe("x").is_err(),
            "only with XPUB_MANUAL"
        );
    }
}

#[test]
fn a_new_subscriber_is_welcomed() {
    for transport in TRANSPORTS {
        for kind in [Pub, Xpub] {
            let context = Context::new();
            let publisher = socket_with(&context, kind, options().xpub_welcome_msg("W hello"));
            let endpoint = publisher.bind(&fresh(transport)).unwrap();
            for _ in 0..2 {
                let sub = socket(&context, Sub);
                sub.subscribe("W").unwrap();
                sub.connect(&endpoint).unwrap();
                assert_eq!(recv_text(&sub), ["W hello"]);
                recv_nothing(&sub);
            }
            let other = socket(&context, Sub);
            other.subscribe("other").unwrap();
            other.connect(&endpoint).unwrap();
            await_peers(&other, 1);
            recv_nothing(&other);
        }
    }
}

// ---- messages upstream ----

#[test]
fn an_xsub_can_speak_to_its_xpub() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (xpub, xsub) = pair_of(&context, transport, (Xpub, options()), (Xsub, options()));
        send(&xsub, message([b"upstream", b"two"]));
        assert_eq!(recv_text(&xpub), ["upstream", "two"]);
        send(&xsub, "");
        assert_eq!(
            recv_text(&xpub),
            [""],
            "an empty message is no subscription"
        );
        let (publisher, xsub) = pair_of(&context, transport, (Pub, options()), (Xsub, options()));
        send(&xsub, "upstream");
        xsub.subscribe("a").unwrap();
        await_topics(&publisher, 1);
        assert_eq!(
            publisher.stats().dropped.unwanted,
            1,
            "a PUB does not listen"
        );
    }
}

#[test]
fn several_subscriptions_travel_in_one_message() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (xpub, xsub) = pair_of(&context, transport, (Xpub, options()), (Xsub, options()));
        send(&xsub, message([b"\x01a", b"\x01b", b"\x00a"]));
        assert_eq!([(); 3].map(|()| told(&xpub)), ["+a", "+b", "-a"]);
    }
}

#[test]
fn only_the_first_frame_subscribes_if_so_set() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let first = || options().only_first_subscribe(true);
        let (xpub, xsub) = pair_of(&context, transport, (Xpub, first()), (Xsub, first()));
        send(&xsub, message([b"\x01a", b"\x01b"]));
        assert_eq!(told(&xpub), "+a");
        assert_eq!(
            recv(&xpub),
            message([b"\x01b"]),
            "the rest is data, whatever it looks like"
        );
        assert_eq!(xpub.topics(), Some(1));
        send(&xsub, message([b"data", b"\x01c"]));
        assert_eq!(recv(&xpub), message([b"data", b"\x01c"]));
        assert_eq!((xpub.topics(), xsub.topics()), (Some(1), Some(1)));
    }
}

#[test]
fn any_frame_subscribes_otherwise() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (xpub, xsub) = pair_of(&context, transport, (Xpub, options()), (Xsub, options()));
        send(&xsub, message([b"data", b"\x01a", b"more", b"\x01b"]));
        assert_eq!([(); 2].map(|()| told(&xpub)), ["+a", "+b"]);
        assert_eq!(recv_text(&xpub), ["data", "more"]);
    }
}

#[test]
fn only_the_first_frame_of_a_raw_peer_subscribes_if_so_set() {
    for only_first in [false, true] {
        let context = Context::new();
        let xpub = socket_with(&context, Xpub, options().only_first_subscribe(only_first));
        let mut peer = Raw::connect_as(&xpub.bind(&fresh("tcp")).unwrap(), "XSUB");
        peer.send(&[b"\x01a", b"\x01b"]);
        assert_eq!(told(&xpub), "+a");
        if only_first {
            assert_eq!(recv(&xpub), message([b"\x01b"]));
        } else {
            assert_eq!(told(&xpub), "+b");
        }
    }
}

#[test]
fn an_xsub_passes_every_cancellation_on_if_so_set() {
    for verbose in [false, true] {
        let context = Context::new();
        let listener = RawListener::new();
        let xsub = socket_with(&context, Xsub, options().xsub_verbose_unsubscribe(verbose));
        xsub.connect(&listener.endpoint()).unwrap();
        let mut peer = listener.accept_as("XPUB");
        await_peers(&xsub, 1);
        for change in [b"\x01a", b"\x01a", b"\x00a", b"\x00a", b"\x00b", b"\x01e"] {
            send(&xsub, change);
        }
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "SUBSCRIBEe") {
            let (flags, body) = peer.read_frame();
            assert_eq!(flags & 4, 4, "a command");
            seen.push(String::from_utf8_lossy(&body[1..]).into_owned());
        }
        let expected: &[&str] = if verbose {
            &[
                "SUBSCRIBEa",
                "SUBSCRIBEa",
                "CANCELa",
                "CANCELa",
                "CANCELb",
                "SUBSCRIBEe",
            ]
        } else {
            &["SUBSCRIBEa", "SUBSCRIBEa", "CANCELa", "SUBSCRIBEe"]
        };
        assert_eq!(seen, expected);
    }
}

#[test]
fn subscriptions_in_the_form_of_older_peers_are_understood() {
    let context = Context::new();
    let xpub = socket(&context, Xpub);
    let mut peer = Raw::connect_as(&xpub.bind(&fresh("tcp")).unwrap(), "SUB");
    peer.send(&[b"\x01a"]);
    peer.write(&frame(4, b"\x09SUBSCRIBEb"));
    peer.send(&[b"\x00a"]);
    peer.write(&frame(4, b"\x06CANCELb"));
    assert_eq!([(); 4].map(|()| told(&xpub)), ["+a", "+b", "-a", "-b"]);
}

// ---- many subscriptions ----

#[test]
fn a_million_subscriptions_on_one_xpub() {
    const TOPICS: usize = 1_000_000;
    let context = Context::new();
    let xpub = socket(&context, Xpub);
    let endpoint = xpub.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "SUB");
    let since = Instant::now();
    let writing = Working::start(move || {
        let mut wire = Vec::new();
        for topic in 0..TOPICS {
            wire.extend(frame(0, format!("\x01topic.{topic:06}.").as_bytes()));
        }
        peer.write(&wire);
        peer
    });
    for topic in 0..TOPICS {
        let news = recv(&xpub);
        if topic % 9973 == 0 {
            assert_eq!(*news.body(), format!("\x01topic.{topic:06}."));
        }
    }
    let mut peer = writing.join();
    assert_eq!(xpub.topics(), Some(TOPICS));
    // Matching takes a time that depends on the topic's length alone.
    let sent = Instant::now();
    for n in 0..10_000 {
        send(&xpub, format!("topic.{:06}.x", n * 97 % TOPICS));
        send(&xpub, format!("topic.{n}/"));
    }
    assert!(
        sent.elapsed() < Duration::from_secs(5),
        "{:?} for 20,000 messages",
        sent.elapsed()
    );
    let stats = xpub.stats();
    assert_eq!(stats.messages_out + stats.dropped.high_water_mark, 10_000);
    assert_eq!(stats.dropped.no_subscriber, 10_000);
    assert_eq!(peer.recv(), [b"topic.000000.x"]);
    // And they all leave with their peer.
    drop(peer);
    await_topics(&xpub, 0);
    assert!(
        since.elapsed() < Duration::from_secs(60),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn five_thousand_subscriptions_survive_a_reconnect() {
    const TOPICS: usize = 5000;
    for transport in ["tcp", "ipc"] {
        let context = Context::new();
        // A high-water mark of one, which they do not count against.
        let sub = socket_with(
            &context,
            Sub,
            options()
                .sndhwm(1)
                .rcvhwm(1)
                .reconnect_ivl(Duration::from_millis(5)),
        );
        for topic in 0..TOPICS {
            sub.subscribe(format!("topic.{topic}/")).unwrap();
        }
        let monitor = sub.monitor();
        let mut endpoint = match transport {
            "tcp" => fresh("tcp"),
            _ => format!(
                "ipc://{}/xebec-{}-again",
                std::env::temp_dir().display(),
                std::process::id()
            ),
        };
        for round in 0..3u64 {
            let publisher = socket_with(&context, Pub, options().rcvhwm(1));
            endpoint = publisher.bind(&endpoint).unwrap();
            if round == 0 {
                sub.connect(&endpoint).unwrap();
            }
            await_topics(&publisher, TOPICS);
            send(&publisher, format!("topic.{}/{round}", TOPICS - 1));
            assert_eq!(recv_text(&sub), [format!("topic.{}/{round}", TOPICS - 1)]);
            assert_eq!(sub.stats().reconnects, round);
            drop(publisher);
            await_event(&monitor, EventKind::Disconnected);
        }
    }
}

#[test]
fn changes_made_while_disconnected_are_known_after_the_reconnect() {
    let context = Context::new();
    let sub = socket_with(
        &context,
        Sub,
        options().reconnect_ivl(Duration::from_millis(5)),
    );
    sub.subscribe("old").unwrap();
    sub.subscribe("kept").unwrap();
    let first = socket(&context, Xpub);
    let endpoint = first.bind(&fresh("tcp")).unwrap();
    sub.connect(&endpoint).unwrap();
    await_topics(&first, 2);
    drop(first);
    await_peers(&sub, 0);
    sub.unsubscribe("old").unwrap();
    sub.subscribe("new").unwrap();
    let second = socket(&context, Xpub);
    second.bind(&endpoint).unwrap();
    let mut news = [(); 2].map(|()| told(&second));
    news.sort();
    assert_eq!(news, ["+kept", "+new"]);
    recv_nothing(&second);
}

// ---- only the newest ----

#[test]
fn conflate_keeps_the_newest_message_only() {
    for transport in TRANSPORTS {
        for (from, to) in [(Push, Pull), (Pub, Sub), (Dealer, Dealer)] {
            // On the receiving side: whatever the sender's mark.
            let context = Context::new();
            let receiver = socket_with(&context, to, options().conflate(true).rcvhwm(1));
            let sender = socket_with(&context, from, options().sndhwm(1));
            if to == Sub {
                receiver.subscribe("").unwrap();
            }
            sender
                .connect(&receiver.bind(&fresh(transport)).unwrap())
                .unwrap();
            await_peers(&sender, 1);
            if from == Pub {
                await_topics(&sender, 1);
            }
            for n in 0..200u32 {
                send(&sender, n.to_be_bytes());
            }
            // A publisher drops what its mark of one does not hold: perhaps the newest.
            if transport == "inproc" {
                assert_eq!(recv(&receiver).body(), &199u32.to_be_bytes());
                recv_nothing(&receiver);
            } else if from != Pub {
                assert_newest(&receiver, 199);
            }
        }
    }
}

/// The newest message comes, and nothing after it.
#[track_caller]
fn assert_newest(receiver: &Socket, newest: u32) {
    let mut last = None;
    eventually("the newest message comes", || {
        if let Ok(got) = receiver.try_recv() {
            let got = u32::from_be_bytes(got.body().as_bytes().try_into().unwrap());
            assert!(last.is_none_or(|last| got > last), "in order");
            last = Some(got);
        }
        last == Some(newest)
    });
    recv_nothing(receiver);
}

#[test]
fn conflate_never_blocks_its_sender() {
    for transport in TRANSPORTS {
        for (from, to) in [(Push, Pull), (Dealer, Dealer), (Pub, Sub)] {
            let context = Context::new();
            let sender = socket_with(&context, from, options().conflate(true).sndhwm(1));
            let endpoint = match transport {
                "inproc" => fresh("inproc"),
                _ => "tcp://127.0.0.1:1".into(),
            };
            // Nobody is there yet: only the newest waits.
            sender.connect(&endpoint).unwrap();
            for n in 0..1000u32 {
                sender.try_send(n.to_be_bytes()).unwrap();
            }
            if from != Pub {
                assert_eq!(sender.stats().queued_out, 1);
            }
            if transport == "inproc" && from != Pub {
                let receiver = socket(&context, to);
                receiver.bind(&endpoint).unwrap();
                assert_newest(&receiver, 999);
                for n in 0..1000u32 {
                    sender.try_send(n.to_be_bytes()).unwrap();
                }
                assert_newest(&receiver, 999);
            }
        }
    }
}

#[test]
fn conflate_does_not_concern_subscriptions() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let publisher = socket_with(&context, Pub, options().conflate(true));
        let endpoint = publisher.bind(&fresh(transport)).unwrap();
        let sub = socket_with(&context, Sub, options().conflate(true));
        sub.connect(&endpoint).unwrap();
        for topic in ["a", "b", "c", "d"] {
            sub.subscribe(topic).unwrap();
        }
        await_topics(&publisher, 4);
        if transport == "tcp" {
            // The form in which they are ordinary messages.
            let mut peer = Raw::connect_as(&endpoint, "SUB");
            peer.write(
                &[
                    frames(&[b"\x01x"]),
                    frames(&[b"\x01y"]),
                    frames(&[b"\x01z"]),
                ]
                .concat(),
            );
            await_topics(&publisher, 7);
        }
        send(&publisher, "a1");
        send(&publisher, "b1");
        assert!((0..2).any(|_| recv_text(&sub) == ["b1"]));
    }
}

#[test]
fn conflate_over_inproc_holds_one_message_also_after_a_look() {
    let context = Context::new();
    let pull = socket_with(&context, Pull, options().conflate(true));
    let push = socket(&context, Push);
    push.connect(&pull.bind(&fresh("inproc")).unwrap()).unwrap();
    send(&push, "old");
    assert!(pull.is_readable());
    send(&push, "new");
    assert_eq!(recv_text(&pull), ["new"]);
    recv_nothing(&pull);
}

#[test]
fn conflate_counts_what_it_drops() {
    for transport in ["tcp", "inproc"] {
        let context = Context::new();
        let pull = socket_with(&context, Pull, options().conflate(true));
        let push = socket(&context, Push);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        for n in 0..100u32 {
            send(&push, n.to_be_bytes());
        }
        assert_newest(&pull, 99);
        let received = pull.stats().messages_in;
        eventually("each message is accounted for", || {
            received + pull.stats().dropped.conflated + push.stats().dropped.conflated == 100
        });
    }
    let context = Context::new();
    let push = socket_with(&context, Push, options().conflate(true));
    push.connect("tcp://127.0.0.1:1").unwrap();
    for n in 0..100u32 {
        push.try_send(n.to_be_bytes()).unwrap();
    }
    assert_eq!(
        (push.stats().queued_out, push.stats().dropped.conflated),
        (1, 99)
    );
}
