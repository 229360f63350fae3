//! Authentication and PLAIN: who is asked what and when, what the peer is told, what is refused.

use proptest::prelude::*;
use zmtp::{
    Cipher, Command, Credentials, Framing, Handshake, HandshakeError, Local, Mechanism, Peer,
    Progress, ProtocolError, Secret, SocketType, Verdict, Version, zap,
};

use crate::{at_most, local};

pub(crate) const ALLOW: Verdict = Verdict::Allow;
pub(crate) const DENY: Verdict = Verdict::Deny { status: 400 };

pub(crate) fn plain_client(username: &str, password: &str) -> Local {
    Local {
        mechanism: Mechanism::PlainClient {
            username: username.into(),
            password: password.into(),
        },
        ..local(SocketType::Dealer, b"client")
    }
}

pub(crate) fn plain_server() -> Local {
    Local {
        mechanism: Mechanism::PlainServer,
        ..local(SocketType::Router, b"server")
    }
}

pub(crate) fn judging(local: Local) -> Local {
    Local {
        authenticate: true,
        ..local
    }
}

/// How one side ended.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` if it still waits.
    pub(crate) outcome: Option<Result<Peer, HandshakeError>>,
    /// What it was asked to judge.
    pub(crate) asked: Vec<Credentials>,
    /// The octets it sent.
    pub(crate) sent: Vec<u8>,
    /// The octets that came after the end.
    pub(crate) rest: Vec<u8>,
    /// What the traffic is sealed with.
    pub(crate) cipher: Option<Cipher>,
}

impl End {
    pub(crate) fn peer(&self) -> &Peer {
        match &self.outcome {
            Some(Ok(peer)) => peer,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn error(&self) -> &HandshakeError {
        match &self.outcome {
            Some(Err(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// One side, its verdict on the other, and what has arrived and was not taken.
pub(crate) struct Side {
    pub(crate) handshake: Handshake,
    verdict: Verdict,
    inbox: Vec<u8>,
    pub(crate) end: End,
}

impl Side {
    pub(crate) fn new(local: Local, verdict: Verdict) -> Self {
        Self::with(Handshake::new(local), verdict)
    }

    pub(crate) fn with(handshake: Handshake, verdict: Verdict) -> Self {
        Self {
            handshake,
            verdict,
            inbox: Vec::new(),
            end: End {
                outcome: None,
                asked: Vec::new(),
                sent: Vec::new(),
                rest: Vec::new(),
                cipher: None,
            },
        }
    }

    fn take(&mut self, result: Result<Progress, HandshakeError>) {
        match result {
            Ok(progress) => {
                self.inbox.drain(..progress.consumed);
                self.end.outcome = progress.peer.map(Ok);
                if let Some(credentials) = progress.credentials {
                    self.end.asked.push(credentials);
                    // It stands still, and asks once.
                    let again = self.handshake.input(&self.inbox);
                    assert_eq!(again, Ok(Progress::default()));
                    let result = self.handshake.verdict(self.verdict.clone());
                    self.take(result);
                }
            }
            Err(error) => self.end.outcome = Some(Err(error)),
        }
    }

    pub(crate) fn input(&mut self, octets: &[u8]) {
        self.inbox.extend_from_slice(octets);
        while self.end.outcome.is_none() && !self.inbox.is_empty() {
            let result = self.handshake.input(&self.inbox);
            self.take(result);
        }
    }
}

impl Side {
    pub(crate) fn end(mut self) -> End {
        End {
            rest: self.inbox,
            cipher: self.handshake.take_cipher(),
            ..self.end
        }
    }
}

/// Carries `piece` octets at a time to and fro until nothing moves.
pub(crate) fn meet(a: (Local, Verdict), b: (Local, Verdict), piece: usize) -> [End; 2] {
    carry([Side::new(a.0, a.1), Side::new(b.0, b.1)], piece)
}

pub(crate) fn carry(mut sides: [Side; 2], piece: usize) -> [End; 2] {
    loop {
        let mut idle = true;
        for from in 0..2 {
            let output = sides[from].handshake.output();
            let len = piece.min(output.len());
            let octets: Vec<u8> = output.drain(..len).collect();
            if !octets.is_empty() {
                idle = false;
                sides[from].end.sent.extend_from_slice(&octets);
                sides[1 - from].input(&octets);
            }
        }
        if idle {
            return sides.map(Side::end);
        }
    }
}

pub(crate) const PIECES: [usize; 4] = [1, 3, 64, 10_000];

fn plain(username: &str, password: &str) -> Credentials {
    Credentials::Plain {
        username: username.into(),
        password: password.into(),
    }
}

/// The reason in the ERROR command at the end of `sent`.
pub(crate) fn told(sent: &[u8]) -> Option<&[u8]> {
    let header = Framing::V2.decode(&sent[64..]).unwrap()?;
    let mut at = 64;
    let mut last = None;
    let mut header = Some(header);
    while let Some(h) = header {
        at += h.header_len;
        last = Some(&sent[at..at + h.body_len as usize]);
        at += h.body_len as usize;
        header = Framing::V2.decode(&sent[at..]).unwrap();
    }
    match Command::parse(last?).unwrap() {
        Command::Error { reason } => Some(&sent[at - reason.len()..at]),
        _ => None,
    }
}

// ---- NULL ----

#[test]
fn null_asks_once_on_each_side_that_is_to_judge() {
    for piece in PIECES {
        for (left, right) in [(true, false), (false, true), (true, true)] {
            let side = |authenticate, kind, id: &[u8]| Local {
                authenticate,
                ..local(kind, id)
            };
            let [a, b] = meet(
                (side(left, SocketType::Dealer, b"a"), ALLOW),
                (side(right, SocketType::Router, b"b"), ALLOW),
                piece,
            );
            assert_eq!(
                (&a.peer().routing_id[..], &b.peer().routing_id[..]),
                (&b"b"[..], &b"a"[..])
            );
            assert_eq!(a.asked, vec![Credentials::Null; left.into()]);
            assert_eq!(b.asked, vec![Credentials::Null; right.into()]);
            assert!(a.rest.is_empty() && b.rest.is_empty());
        }
    }
}

/// The peer is told 400 and 500 instead of READY, and nothing in the other cases.
#[test]
fn null_denies() {
    let cases: [(Verdict, HandshakeError, Option<&[u8]>); 5] = [
        (DENY, HandshakeError::Denied { status: 400 }, Some(b"400")),
        (
            Verdict::Deny { status: 500 },
            HandshakeError::Denied { status: 500 },
            Some(b"500"),
        ),
        (
            Verdict::Deny { status: 300 },
            HandshakeError::Denied { status: 300 },
            None,
        ),
        (Verdict::Unavailable, HandshakeError::NoAuthenticator, None),
        (
            Verdict::Invalid(zap::ReplyError::BadVersion),
            HandshakeError::Authenticator(zap::ReplyError::BadVersion),
            None,
        ),
    ];
    for piece in PIECES {
        for (verdict, error, reason) in cases.clone() {
            let judge = judging(local(SocketType::Rep, b""));
            let [a, b] = meet(
                (local(SocketType::Req, b""), ALLOW),
                (judge, verdict),
                piece,
            );
            assert_eq!(b.error(), &error);
            assert_eq!(b.sent.len() > 64, reason.is_some(), "{error:?}");
            match reason {
                Some(reason) => {
                    assert_eq!(told(&b.sent), Some(reason));
                    assert_eq!(a.error().status(), error.status());
                    assert_eq!(a.error().protocol_error(), None);
                }
                None => assert_eq!(a.outcome, None),
            }
        }
    }
}

#[test]
fn old_peers_cannot_be_judged() {
    for version in [Version::V1_0, Version::V2_0] {
        for judge in [judging(local(SocketType::Rep, b"")), plain_server()] {
            let old = at_most(version, local(SocketType::Dealer, b"old"));
            let [_, b] = meet((old, ALLOW), (judge.clone(), ALLOW), 7);
            let mechanism = judge.mechanism.name();
            assert_eq!(b.error(), &HandshakeError::OldPeer { local: mechanism });
            assert!(b.asked.is_empty());

            let mut own = Handshake::new(at_most(version, judge));
            assert!(own.output().is_empty(), "nothing is sent");
            let expected = HandshakeError::OldPeer { local: mechanism };
            assert_eq!(own.input(b"\xff"), Err(expected));
        }
    }
}

#[test]
fn a_verdict_that_nobody_waits_for() {
    let mut handshake = Handshake::new(local(SocketType::Rep, b""));
    assert_eq!(handshake.verdict(ALLOW), Ok(Progress::default()));
    handshake.input(b"\xff").unwrap();
    let denied = Err(HandshakeError::Denied { status: 400 });
    assert_eq!(handshake.verdict(DENY), denied);
    assert_eq!(handshake.input(b"x"), denied);
    assert_eq!(handshake.output().len(), 10, "no ERROR inside a greeting");
}

// ---- PLAIN ----

#[test]
fn plain_lets_in() {
    for piece in PIECES {
        for (name, password) in [
            ("admin", "secret"),
            ("", ""),
            (&*"n".repeat(255), &*"p".repeat(255)),
        ] {
            for version in [Version::V3_0, Version::V3_1] {
                let [client, server] = meet(
                    (at_most(version, plain_client(name, password)), DENY),
                    (plain_server(), ALLOW),
                    piece,
                );
                assert_eq!(server.asked, [plain(name, password)]);
                assert_eq!(client.asked, []);
                assert_eq!(client.peer().routing_id, "server");
                assert_eq!(server.peer().routing_id, "client");
                assert_eq!(client.peer().version, version);
                assert!(client.rest.is_empty() && server.rest.is_empty());
            }
        }
    }
}

#[test]
fn plain_tells_the_role_in_the_greeting() {
    let [client, server] = meet((plain_client("a", "b"), ALLOW), (plain_server(), ALLOW), 9);
    assert_eq!((client.sent[32], server.sent[32]), (0, 1));
    assert_eq!(client.sent[12..32], *b"PLAIN\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn plain_denies() {
    for (status, reason) in [(400, Some(&b"400"[..])), (500, Some(b"500")), (300, None)] {
        let verdict = Verdict::Deny { status };
        let [client, server] = meet(
            (plain_client("a", "b"), ALLOW),
            (plain_server(), verdict),
            5,
        );
        assert_eq!(server.error(), &HandshakeError::Denied { status });
        match reason {
            Some(reason) => {
                assert_eq!(told(&server.sent), Some(reason));
                assert_eq!(client.error().status(), Some(status));
            }
            None => assert_eq!((server.sent.len(), client.outcome), (64, None)),
        }
    }
}

/// Two clients wait for one another's WELCOME and find HELLO; two servers wait for ever, which is
/// for the caller's clock.
#[test]
fn plain_needs_both_roles() {
    let ends = meet(
        (plain_client("a", "b"), ALLOW),
        (plain_client("c", "d"), ALLOW),
        64,
    );
    for end in ends {
        assert_eq!(
            end.error(),
            &HandshakeError::UnexpectedCommand {
                name: "HELLO".into()
            }
        );
    }
    for end in meet((plain_server(), ALLOW), (plain_server(), ALLOW), 64) {
        assert_eq!(end.outcome, None);
    }
}

#[test]
fn plain_and_null_do_not_meet() {
    let [a, b] = meet(
        (plain_client("a", "b"), ALLOW),
        (local(SocketType::Router, b""), ALLOW),
        64,
    );
    for (end, local, peer) in [(a, "PLAIN", "NULL"), (b, "NULL", "PLAIN")] {
        let peer = peer.into();
        assert_eq!(
            end.error(),
            &HandshakeError::MechanismMismatch { local, peer }
        );
        let number = end.error().protocol_error().unwrap().number();
        assert_eq!(number, 0x1100_0002);
    }
}

#[test]
fn plain_credentials_have_a_limit() {
    for (name, password) in [
        ("n".repeat(256), String::new()),
        (String::new(), "p".repeat(256)),
    ] {
        let mut handshake = Handshake::new(plain_client(&name, &password));
        assert!(handshake.output().is_empty());
        let error = HandshakeError::CredentialsTooLong { len: 256 };
        assert_eq!(handshake.input(b"\xff"), Err(error));
    }
}

/// Only the side that lets others in says why it does not.
#[test]
fn a_plain_client_that_dislikes_the_server_says_nothing() {
    let server = Local {
        socket_type: SocketType::Pull,
        ..plain_server()
    };
    let client = Local {
        socket_type: SocketType::Req,
        ..plain_client("a", "b")
    };
    let [client, server] = meet((client, ALLOW), (server, ALLOW), 64);
    assert_eq!(told(&server.sent), Some(&b"PULL-cannot-talk-to-REQ"[..]));
    assert_eq!(
        client.error(),
        &HandshakeError::PeerError {
            reason: "PULL-cannot-talk-to-REQ".into()
        }
    );
    assert!(told(&client.sent).is_none());
}

/// Nothing depends on how the octets are cut up on their way.
#[test]
fn every_split() {
    let null = |kind, id: &[u8]| judging(local(kind, id));
    let pairs = [
        [plain_client("admin", "secret"), plain_server()],
        [null(SocketType::Req, b"a"), null(SocketType::Rep, b"b")],
    ];
    for pair in pairs {
        for server in [ALLOW, DENY] {
            let sides = pair.clone().map(|local| (local, server.clone()));
            let ends = meet(sides[0].clone(), sides[1].clone(), 10_000);
            for (own, (local, verdict)) in sides.into_iter().enumerate() {
                let (own, other) = (&ends[own], &ends[1 - own]);
                for at in 0..=other.sent.len() {
                    let mut side = Side::new(local.clone(), verdict.clone());
                    side.input(&other.sent[..at]);
                    side.input(&other.sent[at..]);
                    assert_eq!(*side.handshake.output(), own.sent, "split at {at}");
                    assert_eq!(side.end.outcome, own.outcome, "split at {at}");
                    assert_eq!(side.end.asked, own.asked, "split at {at}");
                }
            }
        }
    }
}

// ---- malformed commands ----

const GREETING: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01PLAIN\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The error after the greeting and these command bodies, whole and octet by octet.
pub(crate) fn fails(local: Local, commands: &[&[u8]]) -> HandshakeError {
    let mut octets = GREETING.to_vec();
    octets[12..17].copy_from_slice(local.mechanism.name().as_bytes());
    for body in commands {
        Framing::V2.encode(false, true, body.len(), &mut octets);
        octets.extend_from_slice(body);
    }
    let errors = [1, 10_000].map(|piece| {
        let mut side = Side::new(local.clone(), ALLOW);
        octets.chunks(piece).for_each(|octets| side.input(octets));
        side.end.error().clone()
    });
    assert_eq!(errors[0], errors[1]);
    errors[0].clone()
}

macro_rules! malformed {
    ($($name:ident: $local:expr, [$($command:expr),*] => $error:ident;)*) => {
        $(#[test]
        fn $name() {
            let error = fails($local, &[$(&$command[..]),*]);
            assert_eq!(error.protocol_error(), Some(ProtocolError::$error), "{error:?}");
            assert!(!error.to_string().is_empty());
        })*
    };
}

malformed! {
    server_no_name: plain_server(), [b""] => ZmtpMalformedCommandUnspecified;
    server_empty_name: plain_server(), [b"\0HELLO\x01a\x01b"] => ZmtpMalformedCommandUnspecified;
    server_name_truncated: plain_server(), [b"\x05HELL"] => ZmtpMalformedCommandUnspecified;
    server_other_command: plain_server(), [b"\x05HELLX\x01a\x01b"] => ZmtpUnexpectedCommand;
    server_initiate_first: plain_server(), [b"\x08INITIATE"] => ZmtpUnexpectedCommand;
    server_error: plain_server(), [b"\x05ERROR\x03400"] => ZmtpUnexpectedCommand;
    hello_without_username: plain_server(), [b"\x05HELLO"] => ZmtpMalformedCommandHello;
    hello_username_truncated: plain_server(), [b"\x05HELLO\x02a"] => ZmtpMalformedCommandHello;
    hello_without_password: plain_server(), [b"\x05HELLO\x01a"] => ZmtpMalformedCommandHello;
    hello_password_truncated: plain_server(), [b"\x05HELLO\x01a\x02b"] => ZmtpMalformedCommandHello;
    hello_with_more: plain_server(), [b"\x05HELLO\x01a\x01bc"] => ZmtpMalformedCommandHello;
    hello_twice: plain_server(), [b"\x05HELLO\x01a\x01b", b"\x05HELLO\x01a\x01b"] => ZmtpUnexpectedCommand;
    initiate_metadata: plain_server(), [b"\x05HELLO\x01a\x01b", b"\x08INITIATE\x05ab"] => ZmtpInvalidMetadata;
    initiate_type: plain_server(), [b"\x05HELLO\x01a\x01b", b"\x08INITIATE\x0bSocket-Type\0\0\0\x03PUB"] => ZmtpInvalidMetadata;
    client_other_command: plain_client("a", "b"), [b"\x05HELLO\x01a\x01b"] => ZmtpUnexpectedCommand;
    client_ready_first: plain_client("a", "b"), [b"\x05READY"] => ZmtpUnexpectedCommand;
    welcome_with_more: plain_client("a", "b"), [b"\x07WELCOME\0"] => ZmtpMalformedCommandWelcome;
    welcome_twice: plain_client("a", "b"), [b"\x07WELCOME", b"\x07WELCOME"] => ZmtpUnexpectedCommand;
    ready_metadata: plain_client("a", "b"), [b"\x07WELCOME", b"\x05READY\x05ab"] => ZmtpInvalidMetadata;
    error_truncated: plain_client("a", "b"), [b"\x05ERROR\x03"] => ZmtpMalformedCommandError;
    error_of_libzmq_truncated: plain_client("a", "b"), [b"\x5eRROR\x04400"] => ZmtpMalformedCommandError;
    error_empty: plain_client("a", "b"), [b"\x05ERROR"] => ZmtpMalformedCommandError;
}

#[test]
fn an_error_command_may_come_at_each_step() {
    for commands in [
        &[&b"\x05ERROR\x03400"[..]][..],
        // As libzmq misspells it.
        &[b"\x5eRROR\x03400"],
        &[b"\x07WELCOME", b"\x05ERROR\x03400"],
    ] {
        assert_eq!(fails(plain_client("a", "b"), commands).status(), Some(400));
    }
}

#[test]
fn debug_shows_no_password() {
    let client = plain_client("name", "tell-nobody");
    let secret = Secret::from("tell-nobody");
    let asked = plain("name", "tell-nobody");
    let text = format!(
        "{client:?} {secret:?} {asked:?} {:?}",
        Handshake::new(client.clone())
    );
    assert!(text.contains("110, 97, 109, 101"), "{text}");
    assert!(!text.contains("tell"), "{text}");
    assert!(!text.contains("116, 101, 108, 108"), "{text}");
    assert_ne!(secret, Secret::from("tell-nobodz"));
}

// ---- any octets ----

/// Octets as they come in commands: names, lengths, and anything.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 9] = [
        b"\x04\x10\x05HELLO",
        b"\x04\x08\x07WELCOME",
        b"\x04\x09\x08INITIATE",
        b"\x04\x06\x05READY",
        b"\x04\x0a\x05ERROR\x03400",
        b"\x0bSocket-Type\0\0\0\x03REP",
        b"\x031.0\x011",
        b"\0",
        b"\0\0\0\0\x07MESSAGE",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(<[u8]>::to_vec);
    let octets = proptest::collection::vec(any::<u8>(), 0..8);
    proptest::collection::vec(prop_oneof![word, octets], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn likely_octets(how in any::<u8>(), octets in likely()) {
        let data = [&[how][..], &octets].concat();
        crate::security_fuzz::plain(&data);
        crate::security_fuzz::curve(&data);
        crate::security_fuzz::zap(&octets);
    }
}
