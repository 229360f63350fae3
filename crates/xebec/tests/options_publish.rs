//! XPUB_MANUAL_LAST_VALUE: a cache of last values tells a new subscriber alone what the others know
//! already.

mod support;

use support::*;
use xebec::{Context, Options, SendErrorKind, Socket, SocketType::Xpub, SocketType::Xsub};

fn xpub(context: &Context, options: Options) -> (Socket, String) {
    let xpub = socket_with(context, Xpub, options.xpub_manual_last_value(true));
    let endpoint = xpub.bind(&fresh("inproc")).unwrap();
    (xpub, endpoint)
}

fn xsub(context: &Context, endpoint: &str) -> Socket {
    let xsub = socket(context, Xsub);
    xsub.connect(endpoint).unwrap();
    xsub
}

/// The subscriber asks for something and the publisher's application hears of it.
#[track_caller]
fn asks(xsub: &Socket, xpub: &Socket, on: u8, topic: &str) {
    let word = [&[on], topic.as_bytes()].concat();
    send(xsub, word.clone());
    assert_eq!(*recv(xpub).body(), *word);
}

#[test]
fn last_value_goes_to_the_new_subscriber_alone() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let cache = socket_with(&context, Xpub, options().xpub_manual_last_value(true));
        let endpoint = cache.bind(&fresh(transport)).unwrap();
        let mut subscribers = Vec::new();
        for n in 0..3 {
            let new = xsub(&context, &endpoint);
            asks(&new, &cache, 1, "topic");
            cache.subscribe("topic").unwrap();
            send(&cache, format!("topic: cached for {n}"));
            assert_eq!(recv_text(&new), [format!("topic: cached for {n}")]);
            subscribers.push(new);
            // What follows is for all.
            send(&cache, format!("topic: news {n}"));
            for subscriber in &subscribers {
                assert_eq!(
                    recv_text(subscriber),
                    [format!("topic: news {n}")],
                    "{transport}"
                );
            }
        }
    }
}

#[test]
fn last_value_is_dropped_if_the_new_subscriber_does_not_want_it() {
    let context = Context::new();
    let (cache, endpoint) = xpub(&context, options());
    let (old, new) = (xsub(&context, &endpoint), xsub(&context, &endpoint));
    for (xsub, topic) in [(&old, "old"), (&new, "new")] {
        asks(xsub, &cache, 1, topic);
        cache.subscribe(topic).unwrap();
    }
    // Only the later subscription counts: the first message is for nobody.
    send(&cache, "old: 1");
    send(&cache, "old: 2");
    send(&cache, "new: 3");
    assert_eq!(recv_text(&old), ["old: 2"]);
    assert_eq!(recv_text(&new), ["new: 3"]);
}

/// The application decides which topics a subscription stands for, as with XPUB_MANUAL.
#[test]
fn last_value_is_manual_as_well() {
    let context = Context::new();
    let (cache, endpoint) = xpub(&context, options());
    let xsub = xsub(&context, &endpoint);
    asks(&xsub, &cache, 1, "A");
    cache.subscribe("XA").unwrap();
    asks(&xsub, &cache, 1, "B");
    cache.subscribe("XB").unwrap();
    asks(&xsub, &cache, 0, "A");
    cache.unsubscribe("XA").unwrap();
    for topic in ["A", "B", "XA", "XB"] {
        send(&cache, topic);
    }
    assert_eq!(recv_text(&xsub), ["XB"]);
    recv_nothing(&xsub);
    drop(xsub);
    assert_eq!(recv_text(&cache), ["\0B"]);
    assert_eq!(cache.topics(), Some(0));
}

/// A cancellation brings nobody new: the next message is for all.
#[test]
fn last_value_does_not_follow_a_cancellation() {
    let context = Context::new();
    let (cache, endpoint) = xpub(&context, options());
    let (stays, leaves) = (xsub(&context, &endpoint), xsub(&context, &endpoint));
    for xsub in [&leaves, &stays] {
        asks(xsub, &cache, 1, "a");
        cache.subscribe("a").unwrap();
        send(&cache, "a");
        recv(xsub);
    }
    asks(&leaves, &cache, 0, "a");
    cache.unsubscribe("a").unwrap();
    send(&cache, "a2");
    assert_eq!(recv_text(&stays), ["a2"]);
    recv_nothing(&leaves);
}

#[test]
fn last_value_for_a_subscriber_that_has_gone_is_for_all() {
    let context = Context::new();
    let (cache, endpoint) = xpub(&context, options());
    let stays = xsub(&context, &endpoint);
    for subscriber in [stays.as_ref(), &xsub(&context, &endpoint)] {
        asks(subscriber, &cache, 1, "a");
        cache.subscribe("a").unwrap();
    }
    await_peers(&cache, 1);
    assert_eq!(cache.topics(), Some(1));
    send(&cache, "a");
    assert_eq!(recv_text(&stays), ["a"]);
}

/// A send that is refused has not been the first message yet.
#[test]
fn last_value_waits_with_nodrop() {
    let context = Context::new();
    let (cache, endpoint) = xpub(&context, options().xpub_nodrop(true).sndhwm(1));
    let one = || {
        let xsub = socket_with(&context, Xsub, options().rcvhwm(1));
        xsub.connect(&endpoint).unwrap();
        asks(&xsub, &cache, 1, "a");
        cache.subscribe("a").unwrap();
        xsub
    };
    let (old, new) = (one(), one());
    // The mark of an inproc pipe is the sum of both sides'.
    for n in 1..=2 {
        send(&cache, format!("a{n}"));
        cache.set("xpub_nodrop", "true").unwrap();
        asks(&new, &cache, 1, "a");
        cache.subscribe("a").unwrap();
    }
    let refused = cache.try_send("a3").unwrap_err();
    assert_eq!(refused.kind, SendErrorKind::WouldBlock);
    assert_eq!(recv_text(&new), ["a1"]);
    send(&cache, "a3");
    assert_eq!(recv_text(&new), ["a2"]);
    assert_eq!(recv_text(&new), ["a3"]);
    recv_nothing(&old);
    send(&cache, "a4");
    assert_eq!(recv_text(&old), ["a4"]);
}

#[test]
fn last_value_is_switched_off_with_or_without_manual() {
    for (name, still_manual) in [("xpub_manual_last_value", false), ("xpub_manual", false)] {
        let context = Context::new();
        let (xpub, endpoint) = xpub(&context, options());
        assert!(xpub.options().xpub_manual);
        xpub.set(name, "false").unwrap();
        assert_eq!(xpub.options().xpub_manual, still_manual);
        let all = [xsub(&context, &endpoint), xsub(&context, &endpoint)];
        for xsub in &all {
            send(xsub, "\u{1}a");
        }
        eventually("both have subscribed", || xpub.stats().connections == 2);
        assert_eq!(recv_text(&xpub), ["\u{1}a"]);
        assert!(xpub.subscribe("b").is_err(), "{name}");
        send(&all[1], "known");
        assert_eq!(recv_text(&xpub), ["known"]);
        send(&xpub, "a");
        for xsub in &all {
            assert_eq!(recv_text(xsub), ["a"], "{name}");
        }
    }
}

/// It is the option that does it, not the manual mode.
#[test]
fn last_value_is_more_than_manual() {
    let context = Context::new();
    let (xpub, endpoint) = xpub(&context, options());
    xpub.set("xpub_manual_last_value", "false").unwrap();
    xpub.set("xpub_manual", "true").unwrap();
    let all = [xsub(&context, &endpoint), xsub(&context, &endpoint)];
    for xsub in &all {
        asks(xsub, &xpub, 1, "a");
        xpub.subscribe("a").unwrap();
    }
    send(&xpub, "a");
    for xsub in &all {
        assert_eq!(recv_text(xsub), ["a"]);
    }
}
