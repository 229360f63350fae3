//! CURVE: who meets whom, every split of the octets, every octet changed, and the traffic after it.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use zmtp::{
    Cipher, CipherError, Credentials, Framing, Handshake, HandshakeError, KeyError, KeyPair, Local,
    MESSAGE_OVERHEAD, Mechanism, Opened, ProtocolError, PublicKey, SecretKey, SocketType, Verdict,
    Version, z85,
};

use crate::security::{
    ALLOW, DENY, End, PIECES, Side, carry, fails, judging, meet, plain_client, plain_server, told,
};
use crate::{at_most, local};

/// The pairs of libzmq's manual (zmq_curve).
const SERVER: [&str; 2] = [
    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
    "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
];
const CLIENT: [&str; 2] = [
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
];

fn keys([public, secret]: [&str; 2]) -> KeyPair {
    let keys = KeyPair::from(secret.parse::<SecretKey>().unwrap());
    assert_eq!(keys.public.to_string(), public);
    keys
}

fn client() -> Local {
    Local {
        mechanism: Mechanism::CurveClient {
            server_key: keys(SERVER).public,
            keys: keys(CLIENT),
        },
        ..local(SocketType::Dealer, b"client")
    }
}

fn server() -> Local {
    Local {
        mechanism: Mechanism::CurveServer { keys: keys(SERVER) },
        ..local(SocketType::Router, b"server")
    }
}

/// A handshake that takes the same course each time.
fn fixed(local: Local, verdict: Verdict, seed: u8) -> Side {
    let mut next = seed;
    let fill = move |octets: &mut [u8]| {
        for octet in octets {
            next = next.wrapping_mul(5).wrapping_add(1);
            *octet = next;
        }
    };
    Side::with(Handshake::with_random(local, fill), verdict)
}

fn both_fixed() -> [End; 2] {
    let sides = [fixed(client(), DENY, 1), fixed(judging(server()), ALLOW, 2)];
    carry(sides, 10_000)
}

/// A handshake in which INITIATE comes so long after HELLO, by the server's clock; what the server makes
/// of it.
fn after(age: Option<Duration>) -> Result<bool, HandshakeError> {
    let start = Instant::now();
    let (mut client, mut server) = (Handshake::new(client()), Handshake::new(server()));
    for _ in 0..8 {
        let octets = std::mem::take(client.output());
        let initiate = octets.windows(9).any(|name| name == b"\x08INITIATE");
        if let Some(age) = age {
            server.tell_time(if initiate { start + age } else { start });
        }
        if server.input(&octets)?.peer.is_some() {
            return Ok(initiate);
        }
        let octets = std::mem::take(server.output());
        client.input(&octets)?;
    }
    panic!("the handshake has no end")
}

#[test]
fn a_cookie_is_good_for_a_minute() {
    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);
    for age in [Duration::ZERO, MINUTE - MOMENT, MINUTE] {
        assert_eq!(after(Some(age)), Ok(true), "{age:?}");
    }
    for age in [MINUTE + MOMENT, MINUTE * 60 * 24] {
        assert_eq!(
            after(Some(age)),
            Err(HandshakeError::StaleCookie),
            "{age:?}"
        );
    }
    let error = HandshakeError::StaleCookie;
    assert_eq!(
        error.protocol_error(),
        Some(ProtocolError::ZmtpCryptographic)
    );
    assert!(error.to_string().contains("minute"), "{error}");
    // For who tells no time none passes.
    assert_eq!(after(None), Ok(true));
}

#[test]
fn lets_in() {
    for piece in PIECES {
        for version in [Version::V3_0, Version::V3_1] {
            let client = at_most(version, client());
            let [client, server] = meet((client, DENY), (server(), DENY), piece);
            assert_eq!(client.peer().routing_id, "server");
            assert_eq!(server.peer().routing_id, "client");
            assert_eq!(client.peer().version, version);
            assert_eq!((client.sent[32], server.sent[32]), (0, 1));
            assert!(client.rest.is_empty() && server.rest.is_empty());
            assert!(client.asked.is_empty() && server.asked.is_empty());
            assert!(client.cipher.is_some() && server.cipher.is_some());
        }
    }
}

#[test]
fn the_clients_key_is_judged() {
    for piece in PIECES {
        let [client, server] = meet((client(), DENY), (judging(server()), ALLOW), piece);
        let public_key = keys(CLIENT).public;
        assert_eq!(server.asked, [Credentials::Curve { public_key }]);
        assert!(client.asked.is_empty());
        assert_eq!(client.peer().routing_id, "server");
        assert_eq!(server.peer().routing_id, "client");
    }
}

#[test]
fn denies() {
    for (status, reason) in [(400, Some(&b"400"[..])), (500, Some(b"500")), (300, None)] {
        let verdict = Verdict::Deny { status };
        let [client, server] = meet((client(), ALLOW), (judging(server()), verdict), 50);
        assert_eq!(server.error(), &HandshakeError::Denied { status });
        assert!(client.cipher.is_none() && server.cipher.is_none());
        match reason {
            Some(reason) => {
                assert_eq!(told(&server.sent), Some(reason));
                assert_eq!(client.error().status(), Some(status));
            }
            None => assert!(client.outcome.is_none()),
        }
    }
}

/// Nothing depends on how the octets are cut up on their way.
#[test]
fn every_split() {
    let [client_end, server_end] = both_fixed();
    let sides = [
        (client(), DENY, 1, &client_end, &server_end),
        (judging(server()), ALLOW, 2, &server_end, &client_end),
    ];
    for (local, verdict, seed, own, other) in sides {
        for at in 0..=other.sent.len() {
            let mut side = fixed(local.clone(), verdict.clone(), seed);
            side.input(&other.sent[..at]);
            side.input(&other.sent[at..]);
            assert_eq!(*side.handshake.output(), own.sent, "split at {at}");
            let end = side.end();
            assert_eq!(end.outcome, own.outcome, "split at {at}");
            assert_eq!(end.asked, own.asked, "split at {at}");
        }
    }
}

/// Whatever octet after the greeting is changed, nobody is let in. (Not the highest bit, which means
/// nothing in a public key: RFC 7748, section 5.)
#[test]
fn every_octet_counts() {
    let [client_end, server_end] = both_fixed();
    for bit in [0x01, 0x40] {
        for at in 64..client_end.sent.len() {
            let mut octets = client_end.sent.clone();
            octets[at] ^= bit;
            let mut side = fixed(judging(server()), ALLOW, 2);
            side.input(&octets);
            assert!(!matches!(side.end.outcome, Some(Ok(_))), "octet {at}");
            assert!(side.end.asked.is_empty(), "octet {at}");
        }
        for at in 64..server_end.sent.len() {
            let mut octets = server_end.sent.clone();
            octets[at] ^= bit;
            let mut side = fixed(client(), DENY, 1);
            side.input(&octets);
            assert!(!matches!(side.end.outcome, Some(Ok(_))), "octet {at}");
        }
    }
}

/// What a client once sent opens no second connection.
#[test]
fn a_replay_gets_a_welcome_and_no_further() {
    let [recorded, _] = both_fixed();
    let mut side = fixed(judging(server()), ALLOW, 3);
    side.input(&recorded.sent);
    let error = HandshakeError::Cryptographic {
        command: "INITIATE",
    };
    assert_eq!(side.end.error(), &error);
    assert!(side.end.asked.is_empty());
    let header = Framing::V2.decode(&side.handshake.output()[64..]).unwrap();
    assert_eq!(header.unwrap().body_len, 168);
}

#[test]
fn wrong_keys() {
    let other = KeyPair::generate();
    let with = |server_key, keys| Local {
        mechanism: Mechanism::CurveClient { server_key, keys },
        ..client()
    };
    // The client believes in another server.
    let [a, b] = meet(
        (with(other.public, keys(CLIENT)), ALLOW),
        (server(), ALLOW),
        64,
    );
    let error = HandshakeError::Cryptographic { command: "HELLO" };
    assert_eq!(b.error(), &error);
    assert_eq!(
        error.protocol_error(),
        Some(ProtocolError::ZmtpCryptographic)
    );
    assert!(a.outcome.is_none());
    // The halves of its pair do not belong together: it claims a key that is not its own.
    for public in [other.public, PublicKey::default()] {
        let pair = KeyPair {
            public,
            secret: keys(CLIENT).secret,
        };
        let claims = with(keys(SERVER).public, pair);
        let [a, b] = meet((claims, ALLOW), (judging(server()), ALLOW), 64);
        let error = HandshakeError::Cryptographic {
            command: "INITIATE",
        };
        assert_eq!(b.error(), &error);
        assert!(b.asked.is_empty() && a.outcome.is_none());
    }
    // No key at all.
    let [a, b] = meet(
        (with(PublicKey::default(), keys(CLIENT)), ALLOW),
        (server(), ALLOW),
        64,
    );
    assert_eq!(a.error(), &HandshakeError::UnusableKey);
    assert_eq!((a.sent.len(), b.outcome), (64, None));
    // A server whose key was never set is everybody's.
    let unset = Local {
        mechanism: Mechanism::CurveServer {
            keys: KeyPair::from(SecretKey::default()),
        },
        ..server()
    };
    let mut unset = Handshake::new(unset);
    assert!(unset.output().is_empty());
    assert_eq!(unset.input(b"\xff"), Err(HandshakeError::UnusableKey));
    // The server has another secret than it lets on.
    let liar = Local {
        mechanism: Mechanism::CurveServer { keys: other },
        ..server()
    };
    let [_, b] = meet((client(), ALLOW), (liar, ALLOW), 64);
    assert_eq!(
        b.error(),
        &HandshakeError::Cryptographic { command: "HELLO" }
    );
}

#[test]
fn other_mechanisms_do_not_meet_curve() {
    let null = local(SocketType::Dealer, b"");
    for (curve, other, name) in [
        (server(), null.clone(), "NULL"),
        (server(), plain_client("a", "b"), "PLAIN"),
        (client(), null, "NULL"),
        (client(), plain_server(), "PLAIN"),
    ] {
        let ends = meet((curve, ALLOW), (other, ALLOW), 64);
        for (end, local, peer) in [(&ends[0], "CURVE", name), (&ends[1], name, "CURVE")] {
            let peer = peer.into();
            assert_eq!(
                end.error(),
                &HandshakeError::MechanismMismatch { local, peer }
            );
        }
    }
}

#[test]
fn old_peers_are_refused() {
    for version in [Version::V1_0, Version::V2_0] {
        for curve in [client(), server()] {
            let old = at_most(version, local(SocketType::Dealer, b""));
            let [_, b] = meet((old, ALLOW), (curve, ALLOW), 9);
            assert_eq!(b.error(), &HandshakeError::OldPeer { local: "CURVE" });
        }
    }
}

#[test]
fn both_roles_are_needed() {
    for end in meet((client(), ALLOW), (client(), ALLOW), 64) {
        assert_eq!(
            end.error(),
            &HandshakeError::UnexpectedCommand {
                name: "HELLO".into()
            }
        );
    }
    for end in meet((server(), ALLOW), (server(), ALLOW), 64) {
        assert_eq!(end.outcome, None);
    }
}

/// A command of so many octets, its name included.
fn command(name: &str, len: usize) -> Vec<u8> {
    let mut body = vec![name.len() as u8];
    body.extend_from_slice(name.as_bytes());
    body.resize(len.max(body.len()), 0);
    body
}

macro_rules! malformed {
    ($($name:ident: $local:expr, $command:literal, $len:expr => $error:ident;)*) => {
        $(#[test]
        fn $name() {
            let error = fails($local, &[&command($command, $len)]);
            assert_eq!(error.protocol_error(), Some(ProtocolError::$error), "{error:?}");
            assert!(!error.to_string().is_empty());
        })*
    };
}

malformed! {
    hello_empty: server(), "HELLO", 6 => ZmtpMalformedCommandHello;
    hello_short: server(), "HELLO", 199 => ZmtpMalformedCommandHello;
    hello_long: server(), "HELLO", 201 => ZmtpMalformedCommandHello;
    hello_version: server(), "HELLO", 200 => ZmtpMalformedCommandHello;
    server_initiate_first: server(), "INITIATE", 257 => ZmtpUnexpectedCommand;
    server_error: server(), "ERROR", 7 => ZmtpUnexpectedCommand;
    server_message: server(), "MESSAGE", 33 => ZmtpUnexpectedCommand;
    welcome_short: client(), "WELCOME", 167 => ZmtpMalformedCommandWelcome;
    welcome_long: client(), "WELCOME", 169 => ZmtpMalformedCommandWelcome;
    welcome_forged: client(), "WELCOME", 168 => ZmtpCryptographic;
    client_ready_first: client(), "READY", 30 => ZmtpUnexpectedCommand;
    client_error_empty: client(), "ERROR", 6 => ZmtpMalformedCommandError;
}

/// The error of the side that gets another command in place of the second one.
fn fails_second(own: (Local, u8), other: &End, body: &[u8]) -> HandshakeError {
    let first = Framing::V2.decode(&other.sent[64..]).unwrap().unwrap();
    let second_at = 64 + first.header_len + first.body_len as usize;
    let mut octets = other.sent[..second_at].to_vec();
    Framing::V2.encode(false, true, body.len(), &mut octets);
    octets.extend_from_slice(body);
    let mut side = fixed(own.0, ALLOW, own.1);
    side.input(&octets);
    side.end.error().clone()
}

#[test]
fn the_second_command() {
    let [client_end, server_end] = both_fixed();
    let cases = [
        ("INITIATE", 256, ProtocolError::ZmtpMalformedCommandInitiate),
        ("INITIATE", 257, ProtocolError::ZmtpCryptographic),
        ("HELLO", 200, ProtocolError::ZmtpUnexpectedCommand),
        ("ERROR", 7, ProtocolError::ZmtpUnexpectedCommand),
    ];
    for (name, len, error) in cases {
        let body = command(name, len);
        let got = fails_second((judging(server()), 2), &client_end, &body);
        assert_eq!(got.protocol_error(), Some(error), "{name} {len}: {got}");
    }
    let cases = [
        ("READY", 29, ProtocolError::ZmtpMalformedCommandReady),
        ("READY", 6, ProtocolError::ZmtpMalformedCommandReady),
        ("READY", 30, ProtocolError::ZmtpCryptographic),
        ("WELCOME", 168, ProtocolError::ZmtpUnexpectedCommand),
    ];
    for (name, len, error) in cases {
        let got = fails_second((client(), 1), &server_end, &command(name, len));
        assert_eq!(got.protocol_error(), Some(error), "{name} {len}: {got}");
    }
    let refused = fails_second((client(), 1), &server_end, b"\x05ERROR\x03400");
    assert_eq!(refused.status(), Some(400));
}

#[test]
fn debug_shows_no_secret() {
    let [end, _] = both_fixed();
    let text = format!(
        "{:?} {:?} {:?}",
        client(),
        Handshake::new(client()),
        end.cipher
    );
    assert!(text.contains(CLIENT[0]) && text.contains("SecretKey(..)"));
    let secret = keys(CLIENT).secret;
    let octets = format!("{:?}", &secret.expose()[..4]);
    assert!(!text.contains(CLIENT[1]) && !text.contains(octets.trim_matches(['[', ']'])));
}

// ---- traffic ----

fn ciphers() -> [Cipher; 2] {
    both_fixed().map(|end| end.cipher.unwrap())
}

/// The body of the frame that fills `frame`, which tells nothing by its flags.
fn body(frame: &[u8]) -> Vec<u8> {
    let header = Framing::V2.decode(frame).unwrap().unwrap();
    assert!(!header.more && !header.command);
    assert_eq!(frame.len(), header.header_len + header.body_len as usize);
    frame[header.header_len..].to_vec()
}

fn sealed(cipher: &mut Cipher, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    cipher.seal(false, false, data, &mut frame);
    body(&frame)
}

#[test]
fn traffic_both_ways() {
    let [mut client, mut server] = ciphers();
    for len in [0, 1, 64, 221, 222, 223, 1000, 70_000] {
        let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
        for (more, command) in [(false, false), (true, false), (false, true)] {
            arrives(&mut client, &mut server, more, command, &data);
            arrives(&mut server, &mut client, more, command, &data);
        }
    }
}

fn arrives(from: &mut Cipher, to: &mut Cipher, more: bool, command: bool, data: &[u8]) {
    let mut frames = b"before".to_vec();
    from.seal(more, command, data, &mut frames);
    assert_eq!(&frames[..6], b"before");
    let mut body = body(&frames[6..]);
    assert_eq!(body.len(), MESSAGE_OVERHEAD + data.len());
    let shows = |body: &[u8]| data.len() >= 64 && body.windows(32).any(|part| part == &data[..32]);
    assert!(!shows(&body));
    assert_eq!(to.open(&mut body), Ok(Opened { more, command }));
    assert_eq!(body[MESSAGE_OVERHEAD..], *data);
}

#[test]
fn a_frame_counts_once() {
    let [mut client, mut server] = ciphers();
    let first = sealed(&mut client, b"first");
    let second = sealed(&mut client, b"second");
    assert!(server.open(&mut second.clone()).is_ok());
    for replayed in [first, second] {
        let error = server.open(&mut replayed.clone()).unwrap_err();
        assert_eq!(error, CipherError::Sequence);
        assert_eq!(error.protocol_error(), ProtocolError::ZmtpInvalidSequence);
    }
    assert!(server.open(&mut sealed(&mut client, b"third")).is_ok());
}

#[test]
fn every_octet_of_a_frame_counts() {
    let [mut client, _] = ciphers();
    let frame = sealed(&mut client, b"hello");
    for at in 0..frame.len() {
        let [_, mut server] = ciphers();
        let mut forged = frame.clone();
        forged[at] ^= 1;
        let error = match at {
            0..8 => CipherError::Unexpected,
            _ => CipherError::Cryptographic,
        };
        // The nonce is 3: with its last bit changed it is INITIATE's.
        let error = if at == 15 {
            CipherError::Sequence
        } else {
            error
        };
        assert_eq!(server.open(&mut forged), Err(error), "octet {at}");
    }
    for len in 0..frame.len() {
        let [_, mut server] = ciphers();
        let error = match len {
            0..8 => CipherError::Unexpected,
            8..MESSAGE_OVERHEAD => CipherError::Malformed,
            _ => CipherError::Cryptographic,
        };
        assert_eq!(
            server.open(&mut frame[..len].to_vec()),
            Err(error),
            "{len} octets"
        );
    }
}

proptest! {
    #[test]
    fn any_frames_arrive(frames in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..20)) {
        let [mut client, mut server] = ciphers();
        for (more, data) in frames {
            let mut frame = Vec::new();
            server.seal(more, !more, &data, &mut frame);
            let mut body = body(&frame);
            prop_assert_eq!(client.open(&mut body), Ok(Opened { more, command: !more }));
            prop_assert_eq!(&body[MESSAGE_OVERHEAD..], &data[..]);
        }
    }

    /// Z85 there and back, and no panic on any text.
    #[test]
    fn z85_round_trip(words in proptest::collection::vec(any::<[u8; 4]>(), 0..20), text in any::<String>()) {
        let data = words.concat();
        let encoded = z85::encode(&data).unwrap();
        prop_assert_eq!(encoded.len(), data.len() / 4 * 5);
        prop_assert_eq!(z85::decode(&encoded), Ok(data));
        if let Ok(data) = z85::decode(&text) {
            prop_assert_eq!(z85::encode(&data).unwrap(), text);
        }
    }
}

// ---- Z85 and keys ----

#[test]
fn z85_as_in_the_rfc() {
    let data = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];
    assert_eq!(z85::encode(&data).unwrap(), "HelloWorld");
    assert_eq!(z85::decode("HelloWorld").unwrap(), data);
}

macro_rules! not_z85 {
    ($($text:literal => $error:ident($at:literal);)*) => {
        #[test]
        fn what_is_not_z85() {
            $(assert_eq!(z85::decode($text), Err(z85::Z85Error::$error($at)), "{}", $text);)*
            assert_eq!(z85::encode(&[0; 5]), Err(z85::Z85Error::Length(5)));
        }
    };
}

not_z85! {
    "HelloWorl" => Length(9);
    "Hello World" => Length(11);
    "He_lo" => Character(2);
    "HelloWor\"d" => Character(8);
    "Hell\u{e9}" => Length(6);
    "Hel\u{e9}" => Character(3);
    "%nSc1" => Overflow(0);
    "Hello#####" => Overflow(5);
}

#[test]
fn the_largest_word() {
    assert_eq!(z85::encode(&[0xFF; 4]).unwrap(), "%nSc0");
    assert_eq!(z85::decode("%nSc0").unwrap(), [0xFF; 4]);
}

#[test]
fn keys_from_text() {
    let short = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI".parse::<PublicKey>();
    assert_eq!(short, Err(KeyError::Length(39)));
    let odd = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI~".parse::<SecretKey>();
    assert_eq!(odd, Err(KeyError::Text(z85::Z85Error::Character(39))));
    let (a, b) = (KeyPair::generate(), KeyPair::generate());
    assert!(a != b && a.public != b.public);
    assert_eq!(KeyPair::from(a.secret.clone()), a);
    assert_eq!(a.secret.to_z85().parse::<SecretKey>(), Ok(a.secret));
}
