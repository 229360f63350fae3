//! What the tests of authentication share: a server that asks, a client that wants to be let in, and
//! how its handshake ends.

use std::time::Duration;

use xebec::EventKind::{self, *};
use xebec::{Context, Event, KeyPair, Monitor, Options, Socket, SocketType};

use super::{PATIENCE, options, socket_with};

/// Where the handler of a context is asked (RFC 27).
pub(crate) const ZAP: &str = "inproc://zeromq.zap.01";

/// Errnos, as monitors tell them.
pub(crate) const EPIPE: u64 = 32;
pub(crate) const ECONNRESET: u64 = 104;
pub(crate) const EFAULT: u64 = 14;
pub(crate) const ETIMEDOUT: u64 = 110;

/// A socket that is bound to a port, its endpoint and its events from then on.
pub(crate) fn bound(
    context: &Context,
    kind: SocketType,
    options: Options,
) -> (Socket, String, Monitor) {
    let server = socket_with(context, kind, options);
    let endpoint = server.bind("tcp://127.0.0.1:*").expect("bind");
    let monitor = server.monitor();
    (server, endpoint, monitor)
}

/// A client in a context of its own, where nobody is asked, that sends "let me in"; and its events.
pub(crate) fn comer(endpoint: &str, kind: SocketType, options: Options) -> (Socket, Monitor) {
    let options = options.reconnect_ivl(Duration::from_millis(10));
    let client = socket_with(&Context::new(), kind, options);
    let monitor = client.monitor();
    client.connect(endpoint).expect("connect");
    // A comer that has been judged by now and not let in accepts nothing any more. One that is let in shows
    // it by what its server receives.
    let _ = client.try_send("let me in");
    (client, monitor)
}

/// The options of a CURVE server and of a client that knows its key.
pub(crate) fn curve_of(server: &KeyPair, client: &KeyPair) -> (Options, Options) {
    let serving = options()
        .curve_server(true)
        .curve_secretkey(server.secret.clone());
    let connecting = options()
        .curve_serverkey(server.public)
        .curve_publickey(client.public)
        .curve_secretkey(client.secret.clone());
    (serving, connecting)
}

/// The next event about the end of a handshake.
#[track_caller]
pub(crate) fn outcome(monitor: &Monitor) -> Event {
    loop {
        let event = monitor.recv_timeout(PATIENCE).expect("an event");
        if matches!(
            event.kind,
            HandshakeSucceeded
                | HandshakeFailedNoDetail
                | HandshakeFailedProtocol
                | HandshakeFailedAuth
        ) {
            return event;
        }
    }
}

/// The next handshake ends so.
#[track_caller]
pub(crate) fn expect(monitor: &Monitor, kind: EventKind, value: u64) -> Event {
    let event = outcome(monitor);
    assert_eq!((event.kind, event.value), (kind, value), "{event}");
    event
}

/// The connection ended without a word; its last bytes may have crossed the end.
#[track_caller]
pub(crate) fn sent_away(monitor: &Monitor) {
    let event = outcome(monitor);
    let ended = [EPIPE, ECONNRESET].contains(&event.value);
    assert!(event.kind == HandshakeFailedNoDetail && ended, "{event}");
}
