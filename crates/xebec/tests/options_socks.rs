//! SOCKS_PROXY, SOCKS_USERNAME and SOCKS_PASSWORD: connections that a proxy makes (RFC 1928, RFC 1929).
//! The proxy is played by the test, byte by byte where that matters.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::*;
use xebec::{
    Context, EventKind, Monitor, OptionError, Options, ReconnectStop, Socket, SocketError,
    SocketType::{Dealer, Pull, Push, Stream},
};

/// A reply that has no address, as proxies give that have connected.
const CONNECTED: &[u8] = b"\x05\0\0\x01\0\0\0\0\0\0";

struct Proxy(RawListener);

impl Proxy {
    /// One for each socket that connects: attempts of a socket before may still be in its queue.
    fn new() -> Self {
        Proxy(RawListener::new())
    }

    fn address(&self) -> String {
        self.0.endpoint().trim_start_matches("tcp://").to_owned()
    }

    /// Options that go through it and do not wait long.
    fn options(&self) -> Options {
        options()
            .socks_proxy(self.address())
            .reconnect_ivl(Duration::from_millis(1))
    }

    /// The next connection, once the methods were offered, which must be these.
    fn accept(&self, methods: &[u8]) -> Raw {
        let mut asker = self.0.accept();
        expect(&mut asker, &[&[5, methods.len() as u8], methods].concat());
        asker
    }

    /// The next connection, up to its request: the bytes from the kind of address on.
    fn accept_request(&self) -> (Raw, Vec<u8>) {
        let mut asker = self.accept(&[0]);
        asker.write(&[5, 0]);
        let request = read_request(&mut asker);
        (asker, request)
    }
}

fn read(from: &mut Raw, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.0.read_exact(&mut bytes).expect("that many bytes");
    bytes
}

#[track_caller]
fn expect(from: &mut Raw, bytes: &[u8]) {
    assert_eq!(read(from, bytes.len()), bytes);
}

fn read_request(from: &mut Raw) -> Vec<u8> {
    expect(from, b"\x05\x01\0");
    let mut request = read(from, 2);
    let rest = match request[0] {
        1 => 3 + 2,
        4 => 15 + 2,
        _ => usize::from(request[1]) + 2,
    };
    request.extend(read(from, rest));
    request
}

/// A socket that connects there.
fn connected(context: &Context, options: Options, endpoint: &str) -> (Socket, Monitor) {
    let push = socket_with(context, Push, options);
    let monitor = push.monitor();
    push.connect(endpoint).unwrap();
    (push, monitor)
}

/// Why the next attempt failed.
#[track_caller]
fn failure(monitor: &Monitor) -> String {
    await_event(monitor, EventKind::ConnectRetried)
        .cause
        .unwrap()
}

/// Between two connections, until both have ended.
fn relay(one: TcpStream, other: TcpStream) -> Working<()> {
    Working::start(move || {
        let copy = |mut from: &TcpStream, mut to: &TcpStream| {
            // Either side may be gone already.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| copy(&one, &other));
            copy(&other, &one);
        });
    })
}

#[test]
fn a_proxy_connects_and_both_sides_talk() {
    let context = Context::new();
    let router = socket(&context, xebec::SocketType::Router);
    let endpoint = router.bind("tcp://127.0.0.1:*").unwrap();
    let proxy = Proxy::new();
    let dealer = socket_with(&context, Dealer, proxy.options().routing_id("D"));
    let monitor = dealer.monitor();
    dealer.connect(&endpoint).unwrap();
    send(&dealer, "queued");
    let (mut asker, request) = proxy.accept_request();
    let port: u16 = endpoint.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(
        request,
        [&[1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat()
    );
    let behind = TcpStream::connect(("127.0.0.1", port)).unwrap();
    asker.write(CONNECTED);
    asker.0.set_read_timeout(None).unwrap();
    let relay = relay(asker.0, behind);
    let event = await_event(&monitor, EventKind::Connected);
    assert_eq!(event.endpoint, endpoint);
    assert_eq!(event.peer, Some(format!("tcp://{}", proxy.address())));
    assert_eq!(recv_text(&router), ["D", "queued"]);
    let large = vec![b'x'; 1 << 20];
    send(&router, message([b"D", &large]));
    assert_eq!(*recv(&dealer).body(), large[..]);
    drop(dealer);
    relay.join();
}

/// Addresses go as they are and names unresolved, whatever this machine could make of them.
#[test]
fn the_proxy_is_told_where_to() {
    let context = Context::new();
    let loopback = b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x15\xb3";
    let mapped = b"\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\x15\xb3";
    for (endpoint, expected) in [
        ("tcp://10.1.2.3:5555", &b"\x01\x0a\x01\x02\x03\x15\xb3"[..]),
        ("tcp://[::1]:5555", loopback),
        ("tcp://[::1%lo]:5555", loopback),
        ("tcp://[::ffff:1.2.3.4]:5555", mapped),
        ("tcp://localhost:5555", b"\x03\x09localhost\x15\xb3"),
        ("tcp://no.such.invalid:80", b"\x03\x0fno.such.invalid\0\x50"),
    ] {
        let proxy = Proxy::new();
        let (_push, _) = connected(&context, proxy.options(), endpoint);
        assert_eq!(proxy.accept_request().1, expected, "{endpoint}");
    }
}

/// What the peer says may come in one packet with the end of the reply, and all may come in pieces.
#[test]
fn nothing_of_the_peer_is_taken_for_the_proxys() {
    let context = Context::new();
    let named = [b"\x05\0\0\x03\xff", &[b'n'; 257][..]].concat();
    for reply in [CONNECTED, b"\x05\0\0\x04................\0\x50", &named] {
        for piece in [1, 7, usize::MAX] {
            let proxy = Proxy::new();
            let (push, _) = connected(&context, proxy.options(), "tcp://a.b:1");
            send(&push, "hi");
            let (mut asker, _) = proxy.accept_request();
            let all = [reply, &hello("PULL", b"")].concat();
            for bytes in all.chunks(piece.min(all.len())) {
                asker.write(bytes);
            }
            read(&mut asker, 64);
            let (_, ready) = asker.read_frame();
            assert!(ready.starts_with(b"\x05READY"));
            assert_eq!(asker.recv(), [b"hi"]);
        }
    }
}

#[test]
fn a_proxy_that_asks_is_told_who() {
    let context = Context::new();
    for (user, password) in [
        ("me", "secret"),
        ("me", ""),
        (&"u".repeat(255), &"p".repeat(255)),
    ] {
        let proxy = Proxy::new();
        let with = proxy
            .options()
            .socks_username(user)
            .socks_password(password);
        let (push, _) = connected(&context, with, "tcp://a:1");
        let mut asker = proxy.accept(&[2]);
        asker.write(&[5, 2]);
        let (u, p) = (user.len() as u8, password.len() as u8);
        let login = [&[1, u][..], user.as_bytes(), &[p], password.as_bytes()].concat();
        expect(&mut asker, &login);
        asker.write(&[1, 0]);
        assert_eq!(read_request(&mut asker), b"\x03\x01a\0\x01");
        asker.write(CONNECTED);
        let mut peer = asker.shake("PULL", b"");
        send(&push, "hi");
        assert_eq!(peer.recv(), [b"hi"]);
    }
    // A password alone is nobody's.
    let proxy = Proxy::new();
    let with = proxy.options().socks_password("secret");
    let (_push, _) = connected(&context, with, "tcp://a:1");
    proxy.accept(&[0]);
}

/// Whatever is wrong, the attempt ends with the reason, and the next one comes.
#[test]
fn each_bad_answer_is_told_and_tried_again() {
    let context = Context::new();
    let reply = |code: u8| vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
    let choices: &[(&str, &[u8], &str)] = &[
        ("", b"\x05\xff", "set SOCKS_USERNAME"),
        ("", b"\x05\x02", "method 0x02"),
        (
            "",
            b"HTTP/1.1 400 Bad Request\r\n",
            "does not speak SOCKS 5",
        ),
        ("", b"\0\x5b\0\0\0\0\0\0", "does not speak SOCKS 5"),
        ("", b"\x05", "hung up"),
        ("", b"", "hung up"),
        ("me", b"\x05\xff", "leave SOCKS_USERNAME empty"),
        ("me", b"\x05\0", "method 0x00"),
        ("me", b"\x05\x02\x01\x01", "rejects SOCKS_USERNAME"),
        ("me", b"\x05\x02\x05\0", "does not speak SOCKS 5"),
        ("me", b"\x05\x02\x01", "hung up"),
    ];
    let replies = [
        (reply(1), "failed"),
        (reply(2), "rules"),
        (reply(3), "network unreachable"),
        (reply(4), "host unreachable"),
        (reply(5), "connection refused"),
        (reply(6), "TTL"),
        (reply(7), "does not know how"),
        (reply(8), "such addresses"),
        (reply(9), "0x09"),
        (b"\x05\x02".to_vec(), "rules"),
        (b"\x05\0\x01\x01\0\0\0\0\0\0".to_vec(), "reserved byte"),
        (b"\x05\0\0\x02\0\0\0\0\0\0".to_vec(), "address type"),
        (b"\x05\0\0\x03\xffshort".to_vec(), "hung up"),
        (Vec::new(), "hung up"),
    ];
    for &(user, answer, expected) in choices {
        let proxy = Proxy::new();
        let with = proxy.options().socks_username(user);
        let (_push, monitor) = connected(&context, with, "tcp://a:1");
        for _ in 0..2 {
            let mut asker = proxy.0.accept();
            read(&mut asker, 3);
            asker.write(answer);
            if !user.is_empty() && answer.starts_with(b"\x05\x02") {
                // The login: unread, it would have the system reset the connection.
                read(&mut asker, 5);
            }
            drop(asker);
            let cause = failure(&monitor);
            assert!(cause.contains(expected), "{answer:?}: {cause}");
        }
    }
    for (answer, expected) in replies {
        let proxy = Proxy::new();
        let (push, monitor) = connected(&context, proxy.options(), "tcp://a:1");
        send(&push, "hi");
        let (mut asker, _) = proxy.accept_request();
        asker.write(&answer);
        drop(asker);
        let cause = failure(&monitor);
        assert!(cause.contains(expected), "{answer:?}: {cause}");
        let (mut asker, _) = proxy.accept_request();
        asker.write(CONNECTED);
        assert_eq!(asker.shake("PULL", b"").recv(), [b"hi"], "{answer:?}");
    }
}

#[test]
fn a_proxy_that_says_nothing_is_left() {
    let context = Context::new();
    let soon = Duration::from_millis(300);
    let limits: [(fn(Options, Duration) -> Options, &str); 2] = [
        (
            |options, limit| options.connect_timeout(limit),
            "no answer from the proxy within CONNECT_TIMEOUT",
        ),
        (
            |options, limit| options.handshake_ivl(limit),
            "no answer from the proxy within HANDSHAKE_IVL",
        ),
    ];
    for (limited, expected) in limits {
        let proxy = Proxy::new();
        let with = limited(proxy.options(), soon);
        let (_push, monitor) = connected(&context, with, "tcp://a:1");
        let mut silent = proxy.accept(&[0]);
        assert!(failure(&monitor).contains(expected));
        silent.await_end();
        // One that stops later is left as well.
        let (mut slow, _) = proxy.accept_request();
        slow.write(&CONNECTED[..9]);
        assert!(failure(&monitor).contains(expected));
        slow.await_end();
    }
}

#[test]
fn a_proxy_that_is_not_there_is_tried_again() {
    let context = Context::new();
    let proxy = Proxy::new();
    let (with, address) = (proxy.options(), proxy.address());
    drop(proxy);
    let (push, monitor) = connected(&context, with.clone(), "tcp://a:1");
    assert!(failure(&monitor).contains("refused"));
    drop(push);
    let nameless = options().socks_proxy("no.such.host.invalid:1080");
    let (_push, monitor) = connected(&context, nameless, "tcp://127.0.0.1:1");
    assert!(failure(&monitor).contains("no.such.host.invalid"));
    let stop = with.reconnect_stop(ReconnectStop::CONN_REFUSED);
    let (_push, monitor) = connected(&context, stop, "tcp://a:1");
    await_event(&monitor, EventKind::Closed);
    assert!(address.starts_with("127.0.0.1:"));
}

/// A lost connection is made again by the proxy, and its host name is looked up as any other's.
#[test]
fn connections_come_back_through_the_proxy() {
    let context = Context::new();
    let proxy = Proxy::new();
    let port = proxy.address().rsplit_once(':').unwrap().1.to_owned();
    let with = proxy.options().socks_proxy(format!("localhost:{port}"));
    let (push, _) = connected(&context, with, "tcp://a:1");
    for text in ["one", "two"] {
        let (mut asker, _) = proxy.accept_request();
        asker.write(CONNECTED);
        let mut peer = asker.shake("PULL", b"");
        send(&push, text);
        assert_eq!(peer.recv(), [text.as_bytes()]);
    }
}

/// Only tcp, only to connect, and for what is connected afterwards; a raw stream too.
#[test]
fn the_proxy_is_for_connecting_over_tcp() {
    let context = Context::new();
    let proxy = Proxy::new();
    for transport in ["ipc", "inproc"] {
        let pull = socket_with(&context, Pull, proxy.options());
        let endpoint = pull.bind(&fresh(transport)).unwrap();
        let (push, _) = connected(&context, proxy.options(), &endpoint);
        send(&push, transport);
        assert_eq!(recv_text(&pull), [transport]);
    }
    let pull = socket_with(&context, Pull, proxy.options());
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    let (push, _) = connected(&context, options(), &endpoint);
    send(&push, "direct");
    assert_eq!(recv_text(&pull), ["direct"]);
    push.set("socks_proxy", &proxy.address()).unwrap();
    send(&push, "still");
    assert_eq!(recv_text(&pull), ["still"]);

    let stream = socket_with(&context, Stream, proxy.options());
    stream.connect("tcp://a:80").unwrap();
    let (mut asker, _) = proxy.accept_request();
    asker.write(CONNECTED);
    asker.0.write_all(b"raw").unwrap();
    let notice = recv(&stream);
    assert_eq!(notice.body().len(), 0);
    assert_eq!(*recv(&stream).body(), *b"raw");
}

#[test]
fn a_proxy_is_a_host_and_a_port() {
    let context = Context::new();
    let push = socket(&context, Push);
    let good = [
        "proxy:1080",
        "10.0.0.1:1",
        "[::1]:1080",
        "eth0:0;proxy:1080",
        // At port 1080.
        "proxy",
    ];
    for text in good {
        push.set("socks_proxy", text).unwrap();
        assert_eq!(push.options().socks_proxy.as_str(), text);
        assert_eq!(
            push.tell_c(68, 255).unwrap(),
            [text.as_bytes(), b"\0"].concat()
        );
    }
    let before = push.options();
    for text in [
        "proxy:",
        ":1080",
        "*:1080",
        "proxy:*",
        "tcp://proxy:1080",
        "a b:1",
    ] {
        let error = push.set("socks_proxy", text).unwrap_err();
        assert!(matches!(error, OptionError::Invalid { .. }), "{error}");
        let made = Socket::with_options(&context, Push, Options::new().socks_proxy(text));
        assert!(matches!(made, Err(SocketError::Option(_))), "{text}");
    }
    for (name, text) in [("socks_username", "u"), ("socks_password", "p")] {
        assert!(push.set(name, &text.repeat(256)).is_err());
    }
    assert_eq!(push.options(), before);
    push.set_c(68, b"").unwrap();
    assert!(!push.options().socks_proxy.is_some());
    assert_eq!(push.tell_c(68, 1).unwrap(), b"\0");
}
