//! The authenticator: who it lets in by its policy, that the policy can change while it runs, and
//! that nobody is let in when it fails or is gone.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use support::security::*;
use support::*;
use xebec::EventKind::*;
use xebec::SocketType::{Pull, Push, Rep};
use xebec::{AuthError, Authenticator, Context, Decision, Metadata, Monitor, Policy, Socket};

/// A policy under which this machine's clients of NULL are let in.
fn local() -> Policy {
    Policy::new().allow_address("127.0.0.0/8".parse().expect("a filter"))
}

/// A policy under which they are not.
fn elsewhere() -> Policy {
    Policy::new().allow_address("192.0.2.0/24".parse().expect("a filter"))
}

/// A server that asks, its endpoint and its events.
fn server(context: &Context) -> (Socket, String, Monitor) {
    bound(context, Pull, options().zap_domain("cars"))
}

fn client(endpoint: &str) -> Socket {
    comer(endpoint, Push, options()).0
}

#[test]
fn addresses_are_let_in_or_not_and_counted() {
    let context = Context::new();
    let authenticator = Authenticator::start(&context, local()).unwrap();
    let (server, endpoint, monitor) = server(&context);
    let _client = client(&endpoint);
    assert_eq!(recv_text(&server), ["let me in"]);
    expect(&monitor, HandshakeSucceeded, 0);

    authenticator.replace(elsewhere()).unwrap();
    let _denied = client(&endpoint);
    expect(&monitor, HandshakeFailedAuth, 400);
    recv_nothing(&server);

    let stats = authenticator.stats();
    assert_eq!((stats.allowed, stats.denied), (1, 1));
    assert_eq!((stats.postponed, stats.failed), (0, 0));
    assert_eq!(server.stats().connections, 1, "who was let in stays");
}

#[test]
fn a_policy_is_replaced_while_peers_come() {
    let context = Context::new();
    let authenticator = Authenticator::start(&context, elsewhere()).unwrap();
    let (server, endpoint, monitor) = server(&context);
    for round in 0..10 {
        let let_in = round % 2 == 0;
        let policy = if let_in { local() } else { elsewhere() };
        authenticator.replace(policy).unwrap();
        let _client = client(&endpoint);
        if let_in {
            expect(&monitor, HandshakeSucceeded, 0);
            assert_eq!(recv_text(&server), ["let me in"]);
        } else {
            expect(&monitor, HandshakeFailedAuth, 400);
        }
    }
    let stats = authenticator.stats();
    assert_eq!((stats.allowed, stats.denied), (5, 5));
}

#[test]
fn a_callback_decides_and_says_who_it_is() {
    let context = Context::new();
    let policy = Policy::new().judge(|request| {
        assert_eq!(request.domain, b"cars");
        assert_eq!(request.address, b"127.0.0.1");
        let mut metadata = Metadata::new();
        metadata.insert("X-Role", "driver").expect("a legal name");
        Decision::Allow {
            user_id: "joe".into(),
            metadata,
        }
    });
    let _authenticator = Authenticator::start(&context, policy).unwrap();
    let (server, endpoint, _) = server(&context);
    let _client = client(&endpoint);
    let got = recv(&server);
    let peer = server.peer(got.connection().unwrap()).unwrap();
    assert_eq!(peer.user_id.as_deref(), Some(&b"joe"[..]));
    assert_eq!(peer.property("X-Role"), Some(&b"driver"[..]));
    assert_eq!(
        peer.granted.get("X-Role").map(|role| &role[..]),
        Some(&b"driver"[..])
    );
}

#[test]
fn a_callback_may_ask_for_time() {
    let context = Context::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let asks = asked.clone();
    let policy = Policy::new().judge(move |_| match asks.fetch_add(1, Ordering::SeqCst) {
        0 => Decision::later("the database is starting"),
        _ => Decision::allow("joe"),
    });
    let authenticator = Authenticator::start(&context, policy).unwrap();
    let (server, endpoint, monitor) = server(&context);
    let _client = client(&endpoint);
    expect(&monitor, HandshakeFailedAuth, 300);
    assert_eq!(recv_text(&server), ["let me in"]);
    let stats = authenticator.stats();
    assert_eq!((stats.postponed, stats.allowed), (1, 1));
}

#[test]
fn every_decision_is_reported() {
    let context = Context::new();
    let (tell, told) = mpsc::channel();
    let policy = elsewhere().report(move |request, decision| {
        let address = String::from_utf8_lossy(request.address).into_owned();
        tell.send((address, decision.clone()))
            .expect("the test listens");
    });
    let _authenticator = Authenticator::start(&context, policy).unwrap();
    let (_server, endpoint, _) = server(&context);
    let _client = client(&endpoint);
    let (address, decision) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(address, "127.0.0.1");
    assert!(matches!(decision, Decision::Deny { ref reason } if reason.contains("address")));
}

#[test]
fn a_callback_that_panics_has_denied_and_the_next_is_judged() {
    let context = Context::new();
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = broken.clone();
    let policy = Policy::new().judge(move |_| {
        assert!(
            !breaks.load(Ordering::SeqCst),
            "this panic is part of the test"
        );
        Decision::allow("joe")
    });
    let authenticator = Authenticator::start(&context, policy).unwrap();
    let (server, endpoint, monitor) = server(&context);
    let _denied = client(&endpoint);
    expect(&monitor, HandshakeFailedAuth, 500);
    assert_eq!(authenticator.stats().failed, 1);
    broken.store(false, Ordering::SeqCst);
    let _allowed = client(&endpoint);
    assert_eq!(recv_text(&server), ["let me in"]);
}

#[test]
fn nobody_is_let_in_when_it_is_gone_and_another_may_come() {
    let context = Context::new();
    let authenticator = Authenticator::start(&context, local()).unwrap();
    let (server, endpoint, monitor) = server(&context);
    let _client = client(&endpoint);
    assert_eq!(recv_text(&server), ["let me in"]);
    expect(&monitor, HandshakeSucceeded, 0);
    authenticator.close();
    // ZAP_ENFORCE_DOMAIN is not set, and still:
    let late = client(&endpoint);
    expect(&monitor, HandshakeFailedNoDetail, EFAULT);
    assert_eq!(server.stats().messages_in, 1);
    let again = Authenticator::start(&context, local()).unwrap();
    assert_eq!(recv_text(&server), ["let me in"]);
    assert_eq!(again.stats().allowed, 1);
    drop(late);
}

#[test]
fn it_ends_while_it_judges_and_that_peer_is_not_let_in() {
    let context = Context::new();
    let (tell, asked) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let policy = Policy::new().judge(move |_| {
        let _ = tell.send(());
        let _ = may_go_on.lock().unwrap().recv_timeout(PATIENCE);
        Decision::allow("too late")
    });
    let authenticator = Authenticator::start(&context, policy).unwrap();
    let server = socket_with(
        &context,
        Pull,
        options()
            .zap_domain("cars")
            .handshake_ivl(Duration::from_millis(200)),
    );
    let endpoint = server.bind("tcp://127.0.0.1:*").unwrap();
    let monitor = server.monitor();
    let _client = client(&endpoint);
    asked.recv_timeout(PATIENCE).unwrap();
    let closing = Working::start(move || drop(authenticator));
    closing.await_asleep();
    go_on.send(()).unwrap();
    closing.join();
    assert_eq!(outcome(&monitor).kind, HandshakeFailedNoDetail);
    assert_eq!(server.stats().messages_in, 0);
}

#[test]
fn there_is_one_handler_in_a_context() {
    let context = Context::new();
    let first = Authenticator::start(&context, local()).unwrap();
    let second = Authenticator::start(&context, local());
    assert!(matches!(second, Err(AuthError::Address(_))), "{second:?}");
    drop(first);
    Authenticator::start(&context, local()).unwrap();
}

#[test]
fn contexts_are_guarded_each_on_its_own() {
    let (guarded, free) = (Context::new(), Context::new());
    let _authenticator = Authenticator::start(&guarded, elsewhere()).unwrap();
    let (server, endpoint, _) = server(&free);
    let _client = client(&endpoint);
    assert_eq!(recv_text(&server), ["let me in"]);
}

#[test]
fn terminating_the_context_ends_it() {
    let context = Context::new();
    let authenticator = Authenticator::start(&context, local()).unwrap();
    let terminated = context.clone();
    Working::start(move || terminated.term()).join();
    assert_eq!(authenticator.stats().allowed, 0);
    drop(authenticator);
}

#[test]
fn a_question_that_makes_no_sense_is_answered_so() {
    let context = Context::new();
    let authenticator = Authenticator::start(&context, local()).unwrap();
    let req = socket(&context, xebec::SocketType::Req);
    req.connect("inproc://zeromq.zap.01").unwrap();
    for (question, id) in [
        (message([b"1.0", b"7", b"", b"", b"", b"KERBEROS"]), "7"),
        (message([b"9.9", b"8", b"", b"", b"", b"NULL"]), "8"),
        (message([b"hello"]), ""),
    ] {
        send(&req, question);
        let answer = recv_text(&req);
        assert_eq!(answer[..3], ["1.0", id, "500"], "{answer:?}");
    }
    assert_eq!(authenticator.stats().failed, 3);
}

#[test]
fn a_handler_of_the_application_keeps_it_out() {
    let context = Context::new();
    let rep = socket(&context, Rep);
    rep.bind("inproc://zeromq.zap.01").unwrap();
    assert!(Authenticator::start(&context, local()).is_err());
}
