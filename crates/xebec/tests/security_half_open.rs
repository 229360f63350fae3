//! How many strangers may be at the door: a listener that authenticates takes a bounded number of
//! connections of one address that have not finished their handshake.

mod support;

use std::io::Read;
use std::time::Duration;

use support::security::*;
use support::*;
use xebec::EventKind::*;
use xebec::SocketType::{Pull, Push};
use xebec::{Authenticator, Context, Monitor, Options, Policy, Socket};

/// As many as there may be.
const HALF_OPEN: usize = 256;

fn listen(context: &Context, options: Options) -> (Socket, String, Monitor) {
    bound(context, Pull, options)
}

/// This many connections that say nothing, all accepted.
fn strangers(count: usize, endpoint: &str, monitor: &Monitor) -> Vec<Raw> {
    let connect = |_| {
        let raw = Raw::connect(endpoint);
        await_event(monitor, Accepted);
        raw
    };
    (0..count).map(connect).collect()
}

fn client(endpoint: &str, password: &str) -> Socket {
    let options = options().plain_username("ann").plain_password(password);
    comer(endpoint, Push, options).0
}

#[test]
fn the_surplus_is_sent_away_and_may_come_back() {
    let context = Context::new();
    let policy = Policy::new().password("*", "ann", "secret");
    let _authenticator = Authenticator::start(&context, policy).unwrap();
    let (pull, endpoint, monitor) = listen(&context, options().plain_server(true));

    // Those who are let in, or turned away, are at the door no more.
    let let_in: Vec<Socket> = (0..5).map(|_| client(&endpoint, "secret")).collect();
    for _ in 0..5 {
        assert_eq!(recv_text(&pull), ["let me in"]);
    }
    let turned_away = client(&endpoint, "wrong");
    await_event(&monitor, HandshakeFailedAuth);

    let mut strangers = strangers(HALF_OPEN, &endpoint, &monitor);
    let mut surplus = Raw::connect(&endpoint);
    let event = await_event(&monitor, AcceptFailed);
    assert!(event.to_string().contains("in their handshake"), "{event}");
    assert_eq!(
        event.peer,
        Some(format!("tcp://{}", surplus.0.local_addr().unwrap()))
    );
    assert!(
        matches!(surplus.0.read(&mut [0; 100]), Ok(0) | Err(_)),
        "it is closed"
    );

    let patient = client(&endpoint, "secret");
    await_event(&monitor, AcceptFailed);
    drop(strangers.pop());
    assert_eq!(recv_text(&pull), ["let me in"], "there is room again");
    drop((let_in, turned_away, patient));
}

#[test]
fn without_authentication_there_is_no_bound() {
    let context = Context::new();
    let (pull, endpoint, monitor) = listen(&context, options());
    let strangers = strangers(HALF_OPEN + 10, &endpoint, &monitor);
    let push = socket(&context, Push);
    push.connect(&endpoint).unwrap();
    send(&push, "let me in");
    assert_eq!(recv_text(&pull), ["let me in"]);
    drop(strangers);
}

#[test]
fn those_who_never_finish_make_room_after_handshake_ivl() {
    let context = Context::new();
    let policy = Policy::new().password("*", "ann", "secret");
    let _authenticator = Authenticator::start(&context, policy).unwrap();
    let server = options()
        .plain_server(true)
        .handshake_ivl(Duration::from_millis(500));
    let (pull, endpoint, monitor) = listen(&context, server);
    let strangers = strangers(HALF_OPEN, &endpoint, &monitor);
    let _client = client(&endpoint, "secret");
    assert_eq!(recv_text(&pull), ["let me in"]);
    drop(strangers);
}
