//! Every legal pair of stable socket types, Xebec at one end and libzmq at the other.
//!
//! A line of the table is a pair: the type of Xebec's socket, then libzmq's. Each is tried with
//! either side bound, over tcp and over ipc, in both directions as far as the types have two, with
//! all of [`interop::shapes`].

mod interop;

use std::time::Duration;

use interop::{
    End, Parts, Place, assert_same, behind, ipc, ours, parts, shapes, subscription, tcp, theirs,
    until,
};
use xebec::{Context, SocketType};
use xebec_peers::libzmq_or_skip;

macro_rules! pairs {
    ($($name:ident: $ours:ident $theirs:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn xebec_binds_tcp() {
                pair(SocketType::$ours, SocketType::$theirs, Binder::Xebec, tcp());
            }

            #[test]
            fn libzmq_binds_tcp() {
                pair(SocketType::$ours, SocketType::$theirs, Binder::Libzmq, tcp());
            }

            #[test]
            fn xebec_binds_ipc() {
                pair(SocketType::$ours, SocketType::$theirs, Binder::Xebec, ipc());
            }

            #[test]
            fn libzmq_binds_ipc() {
                pair(SocketType::$ours, SocketType::$theirs, Binder::Libzmq, ipc());
            }
        }
    )*

        /// The table above, and what RFC 37 allows.
        #[test]
        fn no_pair_is_missing() {
            let tried = [$((SocketType::$ours, SocketType::$theirs)),*];
            let stable = || SocketType::ALL.iter().filter(|kind| kind.number() < 11);
            for &a in stable() {
                for &b in stable() {
                    assert_eq!(tried.contains(&(a, b)), a.accepts(b), "{a} {b}");
                }
            }
        }
    };
}

pairs! {
    pair_pair: Pair Pair;
    pub_sub: Pub Sub;
    pub_xsub: Pub Xsub;
    xpub_sub: Xpub Sub;
    xpub_xsub: Xpub Xsub;
    sub_pub: Sub Pub;
    sub_xpub: Sub Xpub;
    xsub_pub: Xsub Pub;
    xsub_xpub: Xsub Xpub;
    req_rep: Req Rep;
    req_router: Req Router;
    rep_req: Rep Req;
    rep_dealer: Rep Dealer;
    dealer_rep: Dealer Rep;
    dealer_dealer: Dealer Dealer;
    dealer_router: Dealer Router;
    router_req: Router Req;
    router_dealer: Router Dealer;
    router_router: Router Router;
    push_pull: Push Pull;
    pull_push: Pull Push;
}

#[derive(Clone, Copy, PartialEq)]
enum Binder {
    Xebec,
    Libzmq,
}

fn pair(our_kind: SocketType, their_kind: SocketType, binder: Binder, place: Place) {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (context, their_context) = (Context::new(), zmq.context());
    let ours = ours(&context, our_kind);
    let theirs = theirs(&their_context, their_kind);
    let ends: [&dyn End; 2] = [&ours, &theirs];
    for (end, id) in ends.iter().zip([&b"ours"[..], b"theirs"]) {
        if end.kind() == SocketType::Router {
            end.identify(id);
        }
        if our_kind == SocketType::Router && their_kind == SocketType::Router {
            end.probe();
        }
        if matches!(end.kind(), SocketType::Req | SocketType::Dealer) {
            end.identify(id);
        }
    }
    let (bound, connected) = match binder {
        Binder::Xebec => (ends[0], ends[1]),
        Binder::Libzmq => (ends[1], ends[0]),
    };
    connected.connect(&bound.bind(&place));
    if !converse((ends[0], b"ours"), (ends[1], b"theirs"))
        && !converse((ends[1], b"theirs"), (ends[0], b"ours"))
    {
        panic!("{our_kind} and {their_kind} have nothing to say to each other");
    }
}

/// An end and its routing id.
type Named<'a> = (&'a dyn End, &'static [u8]);

/// What `a` and `b` say to each other; false if it is for the other way round.
fn converse((a, a_id): Named<'_>, (b, b_id): Named<'_>) -> bool {
    use SocketType::*;
    match (a.kind(), b.kind()) {
        (Push, Pull) => stream(a, &[], b, &[]),
        (Pair, Pair) | (Dealer, Dealer) => {
            stream(a, &[], b, &[]);
            stream(b, &[], a, &[]);
        }
        (Dealer, Router) => {
            stream(a, &[], b, &[a_id]);
            stream(b, &[a_id], a, &[]);
        }
        (Router, Router) => {
            assert_same(&a.hear_while_serving(b), &parts(&[b_id, b""]));
            assert_same(&b.hear_while_serving(a), &parts(&[a_id, b""]));
            stream(a, &[b_id], b, &[a_id]);
            stream(b, &[a_id], a, &[b_id]);
        }
        (Dealer, Rep) => take_turns(a, &[b""], b, &[]),
        (Req, Rep) => take_turns(a, &[], b, &[]),
        (Req, Router) => take_turns(a, &[], b, &[a_id, b""]),
        (Pub | Xpub, Sub | Xsub) => publish(a, b),
        _ => return false,
    }
    true
}

/// All shapes from `from` to `to`. The frames beside each end are what it has in front of them.
fn stream(from: &dyn End, sent: &[&[u8]], to: &dyn End, received: &[&[u8]]) {
    for shape in shapes() {
        from.say(&behind(sent, shape));
    }
    for shape in shapes() {
        assert_same(&to.hear(), &behind(received, shape));
    }
}

/// All shapes as requests and as replies, with what either end has in front of them.
fn take_turns(client: &dyn End, asked: &[&[u8]], server: &dyn End, served: &[&[u8]]) {
    for (request, reply) in shapes().iter().zip(shapes().iter().rev()) {
        client.say(&behind(asked, request));
        assert_same(&server.hear(), &behind(served, request));
        server.say(&behind(served, reply));
        assert_same(&client.hear(), &behind(asked, reply));
    }
}

fn publish(publisher: &dyn End, subscriber: &dyn End) {
    subscribe(publisher, subscriber, b"A");
    publisher.say(&parts(&["B", "not asked for"]));
    publisher.say(&parts(&["", "not asked for"]));
    publisher.say(&parts(&["A"]));
    publisher.say(&parts(&["B", "A"]));
    publisher.say(&parts(&["Abc", "", "longer than the prefix"]));
    let shapes: Vec<Parts> = shapes().iter().map(with_topic).collect();
    shapes.iter().for_each(|message| publisher.say(message));
    assert_same(&subscriber.hear(), &parts(&["A"]));
    assert_same(
        &subscriber.hear(),
        &parts(&["Abc", "", "longer than the prefix"]),
    );
    for message in &shapes {
        assert_same(&subscriber.hear(), message);
    }

    // A topic of any length and any octets.
    unsubscribe(publisher, subscriber, b"A");
    let long = interop::body(1000);
    subscribe(publisher, subscriber, &long);
    publisher.say(&parts(&["A", "not any more"]));
    publisher.say(&[long[..999].to_vec()]);
    publisher.say(&[long.clone(), b"long".to_vec()]);
    assert_same(&subscriber.hear(), &[long, b"long".to_vec()]);

    // All topics.
    subscribe(publisher, subscriber, b"");
    stream(publisher, &[], subscriber, &[]);
}

/// The shape with an A at the beginning of its first frame.
fn with_topic(shape: &Parts) -> Parts {
    let mut message = shape.clone();
    message[0].insert(0, b'A');
    message
}

/// Subscribes, and waits until the publisher knows.
fn subscribe(publisher: &dyn End, subscriber: &dyn End, topic: &[u8]) {
    subscriber.subscribe(topic);
    if publisher.kind() == SocketType::Xpub {
        let news = publisher.hear_while_serving(subscriber);
        return assert_same(&news, &[subscription(topic, true)]);
    }
    // A PUB does not tell.
    until("a subscription", || {
        publisher.say(&parts(&[topic, b"?"]));
        subscriber.hear_within(Duration::from_millis(5))
    });
    publisher.say(&parts(&[topic, b"."]));
    while subscriber.hear() != parts(&[topic, b"."]) {}
}

/// Unsubscribes. A PUB does not tell when it knows, but before a later subscription.
fn unsubscribe(publisher: &dyn End, subscriber: &dyn End, topic: &[u8]) {
    subscriber.unsubscribe(topic);
    if publisher.kind() == SocketType::Xpub {
        assert_same(&publisher.hear(), &[subscription(topic, false)]);
    }
}
