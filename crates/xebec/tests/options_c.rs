//! The options as programs in C set and ask for them: by number and bytes, after the socket is made.
//! What libzmq takes and tells is compared in `interop_options`; here is what comes of it.

mod support;

use std::time::Duration;

use support::*;
use xebec::{
    Context, OPTIONS, OptionError, Options, Role, Socket,
    SocketType::{self, Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub},
    Told,
};

fn for_c(context: &Context, kind: SocketType) -> Socket {
    Socket::with_options(context, kind, Options::for_c(kind)).unwrap()
}

fn int(socket: &Socket, number: i32) -> i32 {
    i32::from_ne_bytes(socket.tell_c(number, 4).unwrap().try_into().unwrap())
}

fn set_int(socket: &Socket, number: i32, value: i32) {
    socket.set_c(number, &value.to_ne_bytes()).unwrap();
}

/// Nothing that is under way takes so long; if it did, the test would still hold.
const QUIET: Duration = Duration::from_millis(200);

const ROUTING_ID: i32 = 5;
const SNDBUF: i32 = 11;
const RCVBUF: i32 = 12;
const LINGER: i32 = 17;
const SNDHWM: i32 = 23;
const RCVHWM: i32 = 24;
const ROUTER_MANDATORY: i32 = 33;
const ROUTER_RAW: i32 = 41;
const CONFLATE: i32 = 54;
const CONNECT_ROUTING_ID: i32 = 61;
const XPUB_MANUAL: i32 = 71;

/// One in 256 random ids begins with a zero byte. Rust programs are told that it is reserved.
#[test]
fn routing_ids_may_begin_with_zero() {
    let context = Context::new();
    let (router, dealer) = (for_c(&context, Router), for_c(&context, Dealer));
    dealer.set_c(ROUTING_ID, b"\0\x07id").unwrap();
    assert_eq!(dealer.tell_c(ROUTING_ID, 255).unwrap(), b"\0\x07id");
    dealer
        .connect(&router.bind(&fresh("tcp")).unwrap())
        .unwrap();
    send(&dealer, "hi");
    let got = recv(&router);
    assert_eq!(
        (&**got.first(), &**got.body()),
        (&b"\0\x07id"[..], &b"hi"[..])
    );
    send(&router, message([b"\0\x07id", b"ho"]));
    assert_eq!(recv_text(&dealer), ["ho"]);

    router.set_c(CONNECT_ROUTING_ID, b"\0you").unwrap();
    let other = for_c(&context, Dealer);
    router.connect(&other.bind(&fresh("tcp")).unwrap()).unwrap();
    send(&router, message([b"\0you", b"known"]));
    assert_eq!(recv_text(&other), ["known"]);
    for bad in [&b""[..], &[7; 256]] {
        assert!(dealer.set_c(ROUTING_ID, bad).is_err());
    }
    assert!(socket(&context, Dealer).set_c(ROUTING_ID, b"\0id").is_err());
}

/// What libzmq takes on a type that does nothing with it is kept, told, and does nothing here too.
#[test]
fn what_a_type_does_not_have_is_kept_without_effect() {
    let context = Context::new();
    let rep = for_c(&context, Rep);
    for number in [ROUTER_RAW, ROUTER_MANDATORY, CONFLATE] {
        set_int(&rep, number, 1);
    }
    rep.set_c(CONNECT_ROUTING_ID, b"nobody").unwrap();
    assert_eq!(int(&rep, CONFLATE), 1);
    let told = rep.options();
    assert!(told.router_raw && told.conflate && told.connect_routing_id == "nobody");
    let req = for_c(&context, Req);
    req.connect(&rep.bind(&fresh("tcp")).unwrap()).unwrap();
    for text in ["one", "two"] {
        send(&req, text);
        assert_eq!(recv_text(&rep), [text]);
        send(&rep, text);
        assert_eq!(recv_text(&req), [text]);
    }
    // It can be taken back, and what else is set leaves it.
    set_int(&rep, LINGER, 7);
    assert!(rep.options().router_raw);
    set_int(&rep, CONFLATE, 0);
    assert_eq!((int(&rep, CONFLATE), int(&rep, LINGER)), (0, 7));

    let (publisher, sub) = (for_c(&context, Pub), for_c(&context, Sub));
    set_int(&publisher, XPUB_MANUAL, 1);
    sub.set_c(6, b"").unwrap();
    sub.connect(&publisher.bind(&fresh("inproc")).unwrap())
        .unwrap();
    eventually("the subscription is known", || {
        publisher.topics() == Some(1)
    });
    send(&publisher, "news");
    assert_eq!(recv_text(&sub), ["news"]);

    let error = socket(&context, Rep).set("conflate", "true").unwrap_err();
    assert!(matches!(error, OptionError::WrongSocket { .. }), "{error}");
    let error = for_c(&context, Push).set_c(ROUTER_RAW, &1i32.to_ne_bytes());
    assert!(matches!(error, Err(OptionError::WrongSocket { .. })));
}

#[test]
fn subscriptions_are_options() {
    let context = Context::new();
    let (publisher, sub) = (for_c(&context, Xpub), for_c(&context, Sub));
    sub.connect(&publisher.bind(&fresh("inproc")).unwrap())
        .unwrap();
    sub.set_c(6, b"a").unwrap();
    assert_eq!(*recv(&publisher).body(), *b"\x01a");
    sub.set_c(7, b"a").unwrap();
    assert_eq!(*recv(&publisher).body(), *b"\0a");
    assert!(for_c(&context, Pair).set_c(6, b"").is_err());
    assert_eq!(int(&sub, LINGER), 0, "as libzmq's subscribers");
    assert!(matches!(sub.tell_c(6, 255), Err(OptionError::Action(_))));
}

#[test]
fn nothing_is_set_or_told_once_the_context_is_terminated() {
    let context = Context::new();
    let pair = for_c(&context, Pair);
    context.shutdown();
    let set = pair.set_c(LINGER, &0i32.to_ne_bytes());
    assert_eq!(set, Err(OptionError::Terminated));
    assert_eq!(pair.tell_c(LINGER, 4), Err(OptionError::Terminated));
    assert_eq!(pair.set("linger", "0"), Ok(()), "Rust has no such rule");
}

/// Issue trackers and programs in C set them, and no harm comes of it.
#[test]
fn options_of_transports_to_come_are_kept_and_told() {
    let context = Context::new();
    let pull = for_c(&context, Pull);
    for (number, default, bad) in [
        (8, 100, Some(0)),
        (9, 10_000, Some(-1)),
        (25, 1, Some(0)),
        (84, 1500, Some(0)),
        (96, 1, None),
        (94, 0, None),
    ] {
        assert_eq!(int(&pull, number), default, "{number}");
        if let Some(bad) = bad {
            set_int(&pull, number, 77);
            let before = pull.options();
            assert!(pull.set_c(number, &i32::to_ne_bytes(bad)).is_err());
            assert_eq!((int(&pull, number), pull.options()), (77, before));
        } else {
            set_int(&pull, number, 1 - default);
            assert_eq!(int(&pull, number), 1 - default);
            set_int(&pull, number, -7);
            assert_eq!(int(&pull, number), 1);
        }
    }
}

/// `zmq_getsockopt` refuses these, whatever the buffer; numbers want one of their own size, and
/// texts one that is large enough.
#[test]
fn what_can_be_asked_for_is_in_the_table() {
    let context = Context::new();
    let never = OPTIONS
        .iter()
        .filter(|row| row.rules.role == Role::Value && row.rules.told == Told::Never);
    let names: Vec<_> = never.clone().map(|row| row.name()).collect();
    for name in [
        "ROUTER_MANDATORY",
        "PROBE_ROUTER",
        "XPUB_WELCOME_MSG",
        "METADATA",
        "IPC_FILTER_UID",
        "CONNECT_ROUTING_ID",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    for row in never {
        let kind = row.rules.sockets.first().copied().unwrap_or(Pair);
        let told = for_c(&context, kind).tell_c(row.number, 4);
        assert_eq!(told, Err(OptionError::Untold(row.c_name)));
    }
    let pair = for_c(&context, Pair);
    assert_eq!(pair.tell_c(LINGER, 4).unwrap(), (-1i32).to_ne_bytes());
    let error = pair.tell_c(LINGER, 8).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"a buffer of 8 bytes\" is not valid for ZMQ_LINGER: 4 bytes"
    );
    pair.set_c(92, b"lo").unwrap();
    assert_eq!(pair.tell_c(92, 3).unwrap(), b"lo\0");
    assert!(pair.tell_c(92, 2).is_err());
}

/// libzmq's sender hears of what has left in steps of half the mark, and its programs count on it.
#[test]
fn a_blocked_sender_gets_room_by_halves_of_the_mark() {
    const MARK: i32 = 8;
    for rcvhwm in 5..9 {
        let context = Context::new();
        let (push, pull) = (for_c(&context, Push), for_c(&context, Pull));
        for (socket, number, value) in [
            (&push, SNDHWM, MARK),
            (&push, SNDBUF, 4096),
            (&pull, RCVHWM, rcvhwm),
            (&pull, RCVBUF, 4096),
            (&push, LINGER, 0),
        ] {
            set_int(socket, number, value);
        }
        pull.connect(&push.bind(&fresh("tcp")).unwrap()).unwrap();
        // Too large for the kernel to hold more than one of them. The first waits for the peer.
        let body = vec![0; 500_000];
        send(&push, body.clone());
        let mut sent = 1;
        while push.send_timeout(body.clone(), QUIET).is_ok() {
            sent += 1;
        }
        assert_eq!(sent % (MARK / 2), 0, "{sent} with a mark of {rcvhwm} there");
    }
}
