//! Asking a ZAP handler (RFC 27): who is asked about, what each answer does to the connection, and
//! which event with which number tells of it. The handler here is a REP or ROUTER socket that the
//! test itself answers with; the mechanism is NULL with a domain.

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use support::security::*;
use support::*;
use xebec::EventKind::{self, *};
use xebec::SocketType::{Dealer, Pub, Pull, Push, Rep, Req, Router, Sub};
use xebec::{Context, Message, Monitor, Options, Socket};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A handler whose answers the test gives.
fn handler(context: &Context) -> Socket {
    let handler = socket(context, Rep);
    handler.bind(ZAP).expect("the endpoint is free");
    handler
}

fn guarded() -> Options {
    options().zap_domain("test").routing_id("server")
}

/// A server that asks, its endpoint and its events.
fn server(context: &Context, options: Options) -> (Socket, String, Monitor) {
    bound(context, Pull, options)
}

fn client(endpoint: &str) -> (Socket, Monitor) {
    comer(endpoint, Push, options())
}

/// A reply with this status.
fn reply(status: &str) -> Message {
    message([b"1.0", b"1", status.as_bytes(), b"because", b"", b""])
}

#[test]
fn the_handler_is_told_what_the_rfc_says() {
    let context = Context::new();
    let (handler, (_server, endpoint, _)) = (handler(&context), server(&context, guarded()));
    let _client = client(&endpoint);
    let request = recv_text(&handler);
    assert_eq!(request, ["1.0", "1", "test", "127.0.0.1", "server", "NULL"]);
}

#[test]
fn over_ipc_the_handler_is_told_the_process() {
    let context = Context::new();
    let handler = handler(&context);
    let server = socket_with(&context, Pull, guarded());
    let endpoint = server.bind("ipc://*").unwrap();
    let _client = client(&endpoint);
    let request = recv_text(&handler);
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let process = format!("localhost:{uid}:{gid}:{}", std::process::id());
    assert_eq!(request[3], process);
    send(&handler, reply("200"));
    let got = recv(&server);
    let peer = server.peer(got.connection().unwrap()).unwrap();
    assert_eq!(peer.property("Peer-Address"), Some(process.as_bytes()));
}

#[test]
fn what_the_handler_says_of_a_peer_is_known_of_its_messages() {
    let context = Context::new();
    let (handler, (server, endpoint, monitor)) = (handler(&context), server(&context, guarded()));
    let client = client(&endpoint);
    recv(&handler);
    let metadata = b"\x05Hello\0\0\0\x05World\x0bSocket-Type\0\0\0\x04FAKE";
    send(
        &handler,
        message([b"1.0", b"1", b"200", b"OK", b"joe", metadata]),
    );
    let got = recv(&server);
    expect(&monitor, HandshakeSucceeded, 0);
    let connection = got.connection().expect("it was received");
    let assert_known = |when: &str| {
        let peer = server
            .peer(connection)
            .unwrap_or_else(|| panic!("{when}: not known"));
        for (name, value) in [
            ("User-Id", Some("joe")),
            ("Hello", Some("World")),
            // The handler's word counts more than the peer's.
            ("Socket-Type", Some("FAKE")),
            ("Peer-Address", Some("127.0.0.1")),
            ("No such", None),
        ] {
            let found = peer.property(name).map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), value, "{when}: {name}");
        }
        assert_eq!(peer.user_id.as_deref(), Some(&b"joe"[..]));
        assert_eq!(peer.socket_type, Some(Push), "what it really is");
    };
    assert_known("connected");
    drop(client);
    await_event(&monitor, Disconnected);
    await_peers(&server, 0);
    assert_known("gone");
}

#[test]
fn without_a_handler_asked_there_is_no_user() {
    let context = Context::new();
    let (server, endpoint, _) = server(&context, options());
    let dealer = socket_with(&context, Push, options().routing_id("me"));
    dealer.connect(&endpoint).unwrap();
    send(&dealer, "hello");
    let got = recv(&server);
    let peer = server.peer(got.connection().unwrap()).unwrap();
    assert_eq!(peer.property("User-Id"), None);
    assert_eq!(peer.property("Socket-Type"), Some(&b"PUSH"[..]));
    assert_eq!(peer.property("Peer-Address"), Some(&b"127.0.0.1"[..]));
}

#[test]
fn the_routing_id_has_its_present_and_its_former_name() {
    let context = Context::new();
    let router = socket(&context, Router);
    let endpoint = router.bind("tcp://127.0.0.1:*").unwrap();
    let dealer = socket_with(&context, Dealer, options().routing_id("me"));
    dealer.connect(&endpoint).unwrap();
    send(&dealer, "hello");
    let got = recv(&router);
    let peer = router.peer(got.connection().unwrap()).unwrap();
    for name in ["Routing-Id", "Identity"] {
        assert_eq!(peer.property(name), Some(&b"me"[..]), "{name}");
    }
}

/// One answer and what it does.
struct Refusal {
    reply: Message,
    kind: EventKind,
    value: u64,
    /// The client's event, and whether it is told and so gives up.
    told: Option<u64>,
}

fn refused(case: Refusal) {
    let context = Context::new();
    let (handler, (server, endpoint, monitor)) = (handler(&context), server(&context, guarded()));
    let (client, clients) = client(&endpoint);
    recv(&handler);
    let reason = case
        .reply
        .frame(3)
        .map(|text| text.to_string_lossy().into_owned());
    send(&handler, case.reply);
    let event = expect(&monitor, case.kind, case.value);
    assert!(event.peer.is_some(), "{event}");
    if let (Some(reason), HandshakeFailedAuth) = (reason, event.kind) {
        assert!(event.cause.unwrap().contains(&reason), "says why");
    }
    match case.told {
        Some(status) => {
            expect(&clients, HandshakeFailedAuth, status);
            await_event(&clients, Closed);
            assert_eq!(client.stats().dropped.peer_gone, 1, "it does not try again");
            recv_nothing(&handler);
        }
        None => {
            // It is sent away without a word, and is asked about again when it comes back.
            sent_away(&clients);
            recv(&handler);
        }
    }
    assert_eq!(server.stats().messages_in, 0);
    assert_eq!(server.stats().connections, 0);
}

macro_rules! refusals {
    ($($name:ident: [$($frame:expr),*] => $kind:ident $value:literal $(, told $told:literal)?;)*) => {$(
        #[test]
        fn $name() {
            let frames: &[&[u8]] = &[$($frame),*];
            refused(Refusal {
                reply: frames.iter().copied().collect(),
                kind: $kind,
                value: $value,
                told: None $(.or(Some($told)))?,
            });
        }
    )*};
}

refusals! {
    an_authentication_failure: [b"1.0", b"1", b"400", b"not one of us", b"", b""] => HandshakeFailedAuth 400, told 400;
    an_internal_error: [b"1.0", b"1", b"500", b"no", b"", b""] => HandshakeFailedAuth 500, told 500;
    a_wrong_version: [b"1.1", b"1", b"200", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0003;
    a_wrong_request_id: [b"1.0", b"2", b"200", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0002;
    an_unknown_status_code: [b"1.0", b"1", b"201", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0004;
    an_empty_status_code: [b"1.0", b"1", b"", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0004;
    a_status_code_that_is_a_word: [b"1.0", b"1", b"invalid_status", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0004;
    too_many_frames: [b"1.0", b"1", b"200", b"OK", b"", b"", b""] => HandshakeFailedProtocol 0x2000_0001;
    too_few_frames: [b"1.0", b"1", b"200", b"OK", b""] => HandshakeFailedProtocol 0x2000_0001;
    a_reply_of_one_frame: [b"200"] => HandshakeFailedProtocol 0x2000_0001;
    malformed_metadata: [b"1.0", b"1", b"200", b"OK", b"", b"\x05Hello\0\0\0\x09World"] => HandshakeFailedProtocol 0x2000_0005;
    malformed_metadata_of_a_refusal: [b"1.0", b"1", b"400", b"OK", b"", b"\x01"] => HandshakeFailedProtocol 0x2000_0005;
}

#[test]
fn a_temporary_failure_keeps_the_peer_waiting_and_it_may_try_again() {
    let context = Context::new();
    let (handler, (server, endpoint, monitor)) = (handler(&context), server(&context, guarded()));
    let (_client, clients) = client(&endpoint);
    recv(&handler);
    send(&handler, reply("300"));
    let event = expect(&monitor, HandshakeFailedAuth, 300);
    assert!(event.to_string().contains("may try again"), "{event}");
    // It is told nothing and kept for a while; it does not come back at once.
    assert!(handler.recv_timeout(ms(300)).is_err());
    await_event(&monitor, Disconnected);
    sent_away(&clients);
    recv(&handler);
    send(&handler, reply("200"));
    assert_eq!(recv_text(&server), ["let me in"]);
    expect(&monitor, HandshakeSucceeded, 0);
    expect(&clients, HandshakeSucceeded, 0);
}

#[test]
fn without_a_handler_peers_are_let_in_unless_the_domain_is_enforced() {
    let context = Context::new();
    let (open, endpoint, _) = server(&context, guarded());
    let _client = client(&endpoint);
    assert_eq!(recv_text(&open), ["let me in"]);

    let (_strict, endpoint, monitor) = server(&context, guarded().zap_enforce_domain(true));
    let _client = client(&endpoint);
    let event = expect(&monitor, HandshakeFailedNoDetail, EFAULT);
    assert!(event.to_string().contains(ZAP), "names the remedy: {event}");
}

#[test]
fn without_a_domain_nobody_is_asked() {
    let context = Context::new();
    let handler = handler(&context);
    let (server, endpoint, _) = server(&context, options().zap_enforce_domain(true));
    let _client = client(&endpoint);
    assert_eq!(recv_text(&server), ["let me in"]);
    recv_nothing(&handler);
}

#[test]
fn a_handler_that_comes_late_is_asked_about_those_who_come_back() {
    let context = Context::new();
    let (server, endpoint, monitor) = server(&context, guarded().zap_enforce_domain(true));
    let _client = client(&endpoint);
    expect(&monitor, HandshakeFailedNoDetail, EFAULT);
    let handler = handler(&context);
    recv(&handler);
    send(&handler, reply("200"));
    assert_eq!(recv_text(&server), ["let me in"]);
}

#[test]
fn a_socket_of_another_type_is_no_handler_and_lets_nobody_in() {
    let context = Context::new();
    let wrong = socket(&context, Pull);
    wrong.bind(ZAP).unwrap();
    let (_server, endpoint, monitor) = server(&context, guarded());
    let _client = client(&endpoint);
    expect(&monitor, HandshakeFailedNoDetail, EFAULT);
}

#[test]
fn a_handler_that_dies_leaves_the_peer_waiting() {
    let context = Context::new();
    let dying = handler(&context);
    let (server, endpoint, monitor) = server(&context, guarded().handshake_ivl(ms(200)));
    let (client, _clients) = client(&endpoint);
    recv(&dying);
    drop(dying);
    let event = expect(&monitor, HandshakeFailedNoDetail, ETIMEDOUT);
    assert!(event.to_string().contains("handler went away"), "{event}");
    assert_eq!(server.stats().messages_in, 0);
    drop(client);
}

#[test]
fn a_handler_that_takes_no_request_lets_nobody_in() {
    let context = Context::new();
    let _idle = handler(&context);
    let (_server, endpoint, monitor) = server(&context, guarded().handshake_ivl(ms(200)));
    let _client = client(&endpoint);
    let event = expect(&monitor, HandshakeFailedNoDetail, ETIMEDOUT);
    assert!(event.to_string().contains("no verdict"), "{event}");
}

#[test]
fn a_peer_that_leaves_while_the_handler_thinks_is_forgotten() {
    let context = Context::new();
    let (handler, (server, endpoint, monitor)) = (handler(&context), server(&context, guarded()));
    let mut raw = Raw::connect(&endpoint);
    raw.write(&hello("PUSH", b""));
    recv(&handler);
    raw.0.shutdown(Shutdown::Both).unwrap();
    drop(raw);
    let event = outcome(&monitor);
    assert_eq!(event.kind, HandshakeFailedNoDetail, "{event}");
    send(&handler, reply("200"));
    // The next is judged on its own.
    let _client = client(&endpoint);
    recv(&handler);
    assert_eq!(server.stats().connections, 0);
    send(&handler, reply("200"));
    assert_eq!(recv_text(&server), ["let me in"]);
}

#[test]
fn nothing_is_said_and_nothing_is_taken_before_the_verdict() {
    let context = Context::new();
    let (handler, (server, endpoint, _)) = (handler(&context), server(&context, guarded()));
    let mut raw = Raw::connect(&endpoint);
    // A peer that does not wait for READY.
    raw.write(&hello("PUSH", b""));
    raw.write(&frames(&[b"early"]));
    recv(&handler);
    recv_nothing(&server);
    let mut theirs = [0; 64];
    std::io::Read::read_exact(&mut raw.0, &mut theirs).unwrap();
    raw.0.set_read_timeout(Some(SHORT)).unwrap();
    let more = std::io::Read::read(&mut raw.0, &mut theirs);
    assert!(more.is_err(), "a READY before the verdict: {more:?}");
    send(&handler, reply("200"));
    assert_eq!(recv_text(&server), ["early"]);
}

#[test]
fn a_router_is_a_handler_and_may_answer_in_another_order() {
    let context = Context::new();
    let handler = socket(&context, Router);
    handler.bind(ZAP).unwrap();
    let (server, endpoint, monitor) = server(&context, guarded());
    let _first = client(&endpoint);
    let one = recv(&handler);
    let _second = client(&endpoint);
    let two = recv(&handler);
    assert_ne!(one.first(), two.first());
    for (request, status) in [(&two, "200"), (&one, "400")] {
        let mut reply = reply(status);
        reply.push_front("");
        reply.push_front(request.first().clone());
        send(&handler, reply);
        match status {
            "200" => expect(&monitor, HandshakeSucceeded, 0),
            _ => expect(&monitor, HandshakeFailedAuth, 400),
        };
    }
    assert_eq!(recv_text(&server), ["let me in"]);
    recv_nothing(&server);
}

#[test]
fn a_reply_with_a_delimiter_that_is_not_empty_is_malformed() {
    let context = Context::new();
    let handler = socket(&context, Router);
    handler.bind(ZAP).unwrap();
    let (_server, endpoint, monitor) = server(&context, guarded());
    let _client = client(&endpoint);
    let request = recv(&handler);
    let mut answer = reply("200");
    answer.push_front("delimiter");
    answer.push_front(request.first().clone());
    send(&handler, answer);
    expect(&monitor, HandshakeFailedProtocol, 0x2000_0000);
}

#[test]
fn the_connecting_side_asks_as_well_when_it_has_a_domain() {
    let context = Context::new();
    let handler = handler(&context);
    let pull = socket(&context, Pull);
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    let push = socket_with(&context, Push, options().zap_domain("clients"));
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    send(&push, "hello");
    assert_eq!(recv_text(&handler)[2], "clients");
    recv_nothing(&pull);
    send(&handler, reply("200"));
    assert_eq!(recv_text(&pull), ["hello"]);

    let push = socket_with(&context, Push, options().zap_domain("clients"));
    let denied = push.monitor();
    push.connect(&endpoint).unwrap();
    recv(&handler);
    send(&handler, reply("400"));
    expect(&denied, HandshakeFailedAuth, 400);
    await_event(&denied, Closed);
    drop(monitor);
}

#[test]
fn a_handler_may_guard_itself() {
    let context = Context::new();
    let rep = socket_with(&context, Rep, options().zap_domain("self"));
    rep.bind(ZAP).unwrap();
    let endpoint = rep.bind("tcp://127.0.0.1:*").unwrap();
    let req = socket(&Context::new(), Req);
    req.connect(&endpoint).unwrap();
    send(&req, "question");
    assert_eq!(recv_text(&rep)[2], "self");
    send(&rep, reply("200"));
    assert_eq!(recv_text(&rep), ["question"]);
    send(&rep, "answer");
    assert_eq!(recv_text(&req), ["answer"]);
}

#[test]
fn many_handshakes_are_judged_each_on_its_own() {
    let context = Context::new();
    let (handler, (server, endpoint, _)) = (handler(&context), server(&context, guarded()));
    let clients: Vec<_> = (0..50).map(|_| client(&endpoint)).collect();
    let answers = clients.len();
    for n in 0..answers {
        recv(&handler);
        send(&handler, reply(if n % 2 == 0 { "200" } else { "400" }));
    }
    for _ in 0..answers / 2 {
        assert_eq!(recv_text(&server), ["let me in"]);
    }
    await_peers(&server, (answers / 2) as u64);
    recv_nothing(&server);
}

#[test]
fn a_publisher_sends_nothing_to_subscribers_that_were_not_let_in() {
    let context = Context::new();
    let handler = handler(&context);
    let publisher = socket_with(&context, Pub, guarded());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap();
    let monitor = publisher.monitor();
    let outside = Context::new();
    let (denied, allowed) = (socket(&outside, Sub), socket(&outside, Sub));
    for (subscriber, status) in [(&denied, "400"), (&allowed, "200")] {
        subscriber.subscribe("").unwrap();
        subscriber.connect(&endpoint).unwrap();
        recv(&handler);
        send(&handler, reply(status));
        outcome(&monitor);
    }
    eventually("the subscription has come", || {
        publisher.try_send("news").unwrap();
        allowed.try_recv().is_ok()
    });
    recv_nothing(&denied);
}

#[test]
fn peers_of_versions_without_security_are_refused() {
    let context = Context::new();
    let handler = handler(&context);
    let (_server, endpoint, monitor) = server(&context, guarded());
    for hello in [
        // ZMTP 2.0: signature, revision, PUSH, an empty identity.
        &b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08\0\0"[..],
        // ZMTP 1.0: an empty identity.
        b"\x01\0",
    ] {
        let mut raw = Raw::connect(&endpoint);
        raw.write(hello);
        let event = outcome(&monitor);
        assert_eq!(event.kind, HandshakeFailedProtocol, "{event}");
    }
    recv_nothing(&handler);
}

#[test]
fn a_socket_may_close_while_the_handler_thinks() {
    let context = Context::new();
    let handler = handler(&context);
    let (server, endpoint, _) = server(&context, guarded());
    let client = client(&endpoint);
    recv(&handler);
    drop(server);
    send(&handler, reply("200"));
    drop((client, handler));
    Working::start(move || context.term()).join();
}

#[test]
fn the_background_thread_takes_the_verdict_in_while_the_application_is_away() {
    let context = Context::new();
    let handler = handler(&context);
    let (server, endpoint, monitor) = server(&context, guarded());
    let _client = client(&endpoint);
    recv(&handler);
    send(&handler, reply("200"));
    // Nobody calls the server meanwhile: the monitor has a lock of its own.
    expect(&monitor, HandshakeSucceeded, 0);
    assert_eq!(recv_text(&server), ["let me in"]);
}

#[test]
fn handlers_come_and_go_while_peers_connect_and_in_the_end_all_are_let_in() {
    let context = Context::new();
    let options = guarded().zap_enforce_domain(true).handshake_ivl(ms(100));
    let (server, endpoint, monitor) = server(&context, options);
    let clients: Vec<_> = (0..30).map(|_| client(&endpoint)).collect();
    for round in 0..30 {
        let handler = handler(&context);
        // Some leave requests behind them, taken or not.
        for _ in 0..round % 3 {
            if handler.recv_timeout(ms(50)).is_ok() && round % 2 == 0 {
                send(&handler, reply("300"));
            }
        }
    }
    let handler = handler(&context);
    let mut served = 0;
    eventually("all are let in", || {
        if handler.try_recv().is_ok() {
            send(&handler, reply("200"));
        }
        served += u32::from(server.try_recv().is_ok());
        served == 30
    });
    assert_eq!(server.stats().connections, 30);
    drop((clients, monitor));
}

#[test]
fn a_handler_with_ten_thousand_questions_before_it_is_asked_no_more() {
    let context = Context::new();
    let idle = handler(&context);
    let questions = idle.monitor();
    let server = socket_with(&context, Pull, guarded());
    let monitor = server.monitor();
    let endpoint = server.bind("ipc://*").unwrap();
    let path = endpoint.strip_prefix("ipc://").unwrap();
    // Nothing says that a domain is enforced: there is a handler, and it is not asked.
    let stranger = || {
        let mut stranger = UnixStream::connect(path).unwrap();
        stranger.write_all(&hello("PUSH", b"")).unwrap();
        stranger
    };
    for _ in 0..10_000 {
        let stranger = stranger();
        await_event(&questions, HandshakeSucceeded);
        // It leaves, and its question stays.
        stranger.shutdown(Shutdown::Both).unwrap();
        expect(&monitor, HandshakeFailedNoDetail, EPIPE);
    }
    let _one_more = stranger();
    expect(&monitor, HandshakeFailedNoDetail, EFAULT);
    // It takes them up after all: those who come now are judged.
    for _ in 0..10_000 {
        recv(&idle);
        send(&idle, reply("400"));
    }
    let push = socket(&Context::new(), Push);
    push.connect(&endpoint).unwrap();
    send(&push, "let me in");
    recv(&idle);
    send(&idle, reply("200"));
    assert_eq!(recv_text(&server), ["let me in"]);
}

/// Random numbers, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A reply that is good but for one thing or more, or good for nothing.
fn arbitrary(random: &mut Random) -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = match random.below(4) {
        0 => (0..1 + random.below(9)).map(|_| random.bytes(12)).collect(),
        _ => reply("200")
            .into_frames()
            .iter()
            .map(|f| f.to_vec())
            .collect(),
    };
    for _ in 0..1 + random.below(3) {
        let at = random.below(frames.len());
        match random.below(6) {
            0 => frames.insert(at, random.bytes(4)),
            1 if frames.len() > 1 => drop(frames.remove(at)),
            2 => frames[at] = random.bytes(300),
            3 => frames[at].push(random.next() as u8),
            4 if !frames[at].is_empty() => {
                let byte = random.below(frames[at].len());
                frames[at][byte] ^= 1 << random.below(8);
            }
            _ => {
                let with = random.below(frames.len());
                frames.swap(at, with);
            }
        }
    }
    frames
}

/// Whether a reply lets the peer in, said once more and differently from the code under test.
fn is_good(frames: &[Vec<u8>]) -> bool {
    let metadata = |mut rest: &[u8]| {
        while let [len, more @ ..] = rest {
            let len = usize::from(*len);
            let name = more.get(..len);
            let size = more.get(len..len + 4);
            let (Some(name), Some(size)) = (name, size) else {
                return false;
            };
            let size = u32::from_be_bytes(size.try_into().unwrap()) as usize;
            let printable = name.iter().all(|c| c.is_ascii_graphic() || *c == b' ');
            match more.get(len + 4 + size..) {
                Some(left) if !name.is_empty() && printable => rest = left,
                _ => return false,
            }
        }
        true
    };
    frames.len() == 6
        && frames[0] == b"1.0"
        && frames[1] == b"1"
        && frames[2] == b"200"
        && metadata(&frames[5])
}

#[test]
fn no_reply_lets_a_peer_in_but_a_good_one() {
    let context = Context::new();
    let handler = handler(&context);
    let (server, endpoint, monitor) = server(&context, guarded());
    let mut random = Random(0x5eed_0027);
    let mut good = 0;
    for round in 0..400 {
        let mut raw = Raw::connect(&endpoint);
        raw.write(&hello("PUSH", b""));
        recv(&handler);
        let frames = arbitrary(&mut random);
        send(
            &handler,
            frames.iter().map(Vec::as_slice).collect::<Message>(),
        );
        let event = outcome(&monitor);
        let let_in = event.kind == HandshakeSucceeded;
        assert_eq!(
            let_in,
            is_good(&frames),
            "round {round}: {event}; {frames:?}"
        );
        good += u32::from(let_in);
    }
    assert!(
        (5..200).contains(&good),
        "{good} of 400 were good: tests nothing"
    );
    eventually("all have gone", || server.stats().connections == 0);
}
