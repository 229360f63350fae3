//! Fuzz targets for the security mechanisms of the protocol crate. Nobody is let in who does not
//! show what it takes, whatever arrives and however it is cut up.

use bytes::Bytes;
use zmtp::{
    Cipher, Credentials, Framing, Handshake, HandshakeError, KeyPair, Local, MAX_PLAIN,
    MESSAGE_OVERHEAD, Mechanism, Peer, Progress, SecretKey, SocketType, Verdict, Version, zap,
};

const GREETING: usize = 64;

fn local(mechanism: Mechanism, authenticate: bool) -> Local {
    Local {
        socket_type: SocketType::Dealer,
        routing_id: Bytes::from_static(b"id"),
        properties: vec![("X-Seed".into(), Bytes::from_static(b"1"))],
        mechanism,
        authenticate,
        max_version: Version::V3_1,
    }
}

/// One side that takes the same course each time.
struct Side {
    handshake: Handshake,
    verdict: Verdict,
    asked: Option<Credentials>,
    outcome: Option<Result<Peer, HandshakeError>>,
}

impl Side {
    fn new(local: Local, verdict: Verdict, seed: u8) -> Self {
        let mut next = seed;
        let fill = move |octets: &mut [u8]| {
            for octet in octets {
                next = next.wrapping_mul(5).wrapping_add(1);
                *octet = next;
            }
        };
        Self {
            handshake: Handshake::with_random(local, fill),
            verdict,
            asked: None,
            outcome: None,
        }
    }

    /// Takes what arrives, in pieces; what is left over is traffic.
    fn input(&mut self, octets: &[u8], piece: usize) {
        let mut inbox = Vec::new();
        for octets in octets.chunks(piece) {
            inbox.extend_from_slice(octets);
            while self.outcome.is_none() && !inbox.is_empty() {
                let result = self.handshake.input(&inbox);
                self.take(result, &mut inbox);
            }
        }
    }

    fn take(&mut self, result: Result<Progress, HandshakeError>, inbox: &mut Vec<u8>) {
        match result {
            Ok(progress) => {
                inbox.drain(..progress.consumed);
                self.outcome = progress.peer.map(Ok);
                if let Some(credentials) = progress.credentials {
                    assert!(self.asked.is_none(), "asked twice");
                    self.asked = Some(credentials);
                    let result = self.handshake.verdict(self.verdict.clone());
                    self.take(result, inbox);
                }
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let told = error.status().is_some() || error.protocol_error().is_some();
                let refused = matches!(error, HandshakeError::PeerError { .. });
                assert!(told || refused, "{error:?}");
                self.outcome = Some(Err(error));
            }
        }
    }

    fn peer(&self) -> Option<&Peer> {
        self.outcome
            .as_ref()
            .and_then(|outcome| outcome.as_ref().ok())
    }
}

/// Whether it comes to the same in other pieces; what it comes to.
fn run(local: &Local, verdict: &Verdict, seed: u8, octets: &[u8]) -> Side {
    let sides = [1, 7, octets.len().max(1)].map(|piece| {
        let mut side = Side::new(local.clone(), verdict.clone(), seed);
        side.input(octets, piece);
        side
    });
    let sent = sides.map(|mut side| (std::mem::take(side.handshake.output()), side));
    let [(a, first), (b, second), (c, third)] = sent;
    assert!(a == b && b == c, "what is sent depends on the pieces");
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(second.outcome, third.outcome);
    assert_eq!((&first.asked, &second.asked), (&second.asked, &third.asked));
    third
}

fn greeting(mechanism: &str) -> Vec<u8> {
    let mut greeting = vec![0; GREETING];
    greeting[..12].copy_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01");
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    greeting
}

/// PLAIN. Bit 0 of the first octet makes our side the client, bit 1 denies the peer; what follows is
/// what the peer sends after its greeting.
pub fn plain(data: &[u8]) {
    let Some((&how, commands)) = data.split_first() else {
        return;
    };
    let mechanism = match how & 1 {
        0 => Mechanism::PlainServer,
        _ => Mechanism::PlainClient {
            username: b"name".to_vec(),
            password: "secret".into(),
        },
    };
    let verdict = match how & 2 {
        0 => Verdict::Allow,
        _ => Verdict::Deny { status: 400 },
    };
    let octets = [&greeting("PLAIN"), commands].concat();
    let side = run(&local(mechanism, false), &verdict, 1, &octets);
    match &side.asked {
        Some(Credentials::Plain { username, password }) => {
            assert!(username.len() <= MAX_PLAIN && password.expose().len() <= MAX_PLAIN);
        }
        Some(other) => panic!("{other:?}"),
        None => assert!(how & 1 == 1 || side.peer().is_none(), "nobody was asked"),
    }
    if side.asked.is_some() && verdict != Verdict::Allow {
        let denied = Some(Err(HandshakeError::Denied { status: 400 }));
        assert_eq!(side.outcome, denied);
    }
}

fn keys(secret: u8) -> KeyPair {
    KeyPair::from(SecretKey::from([secret; 32]))
}

fn curve_side(client: bool) -> (Local, u8) {
    let mechanism = match client {
        true => Mechanism::CurveClient {
            server_key: keys(2).public,
            keys: keys(1),
        },
        false => Mechanism::CurveServer { keys: keys(2) },
    };
    (local(mechanism, !client), u8::from(client))
}

/// What an honest client and an honest server send each other, in this order.
pub fn honest_curve() -> [Vec<u8>; 2] {
    let mut sides = [true, false].map(|client| {
        let (local, seed) = curve_side(client);
        Side::new(local, Verdict::Allow, seed)
    });
    let mut sent = [Vec::new(), Vec::new()];
    loop {
        let mut idle = true;
        for from in 0..2 {
            let octets = std::mem::take(sides[from].handshake.output());
            idle &= octets.is_empty();
            // The other side's whole greeting first: nothing is left over here.
            sides[1 - from].input(&octets, octets.len().max(1));
            sent[from].extend_from_slice(&octets);
        }
        if idle {
            assert!(sides.iter().all(|side| side.peer().is_some()));
            return sent;
        }
    }
}

/// CURVE. Bit 0 of the first octet makes our side the client. If bit 1 is set, what follows is what
/// the peer sends after its greeting. If not, the peer is honest, and three octets each say where its
/// octets are changed on their way and how; what then follows four zeros is the body of a frame.
pub fn curve(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else {
        return;
    };
    let client = how & 1 == 1;
    let (local, seed) = curve_side(client);
    if how & 2 == 2 {
        let octets = [&greeting("CURVE"), data].concat();
        let side = run(&local, &Verdict::Allow, seed, &octets);
        assert!(side.peer().is_none(), "without knowing a secret");
        assert!(side.asked.is_none());
        return;
    }
    let [from_client, from_server] = honest_curve();
    let mut octets = if client { from_server } else { from_client };
    let honest = octets.clone();
    let end = data.windows(4).position(|zeros| zeros == [0; 4]);
    let (changes, body) = data.split_at(end.unwrap_or(data.len()));
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        let len = octets.len();
        // The highest bit of a public key means nothing (RFC 7748).
        octets[GREETING + at % (len - GREETING)] ^= change[2] & 0x7f;
    }
    let mut side = run(&local, &Verdict::Allow, seed, &octets);
    assert_eq!(side.peer().is_some(), octets == honest);
    if let Some(mut cipher) = side.handshake.take_cipher() {
        traffic(&mut cipher, body.get(4..).unwrap_or_default());
    }
}

/// A frame that nobody sealed.
fn traffic(cipher: &mut Cipher, body: &[u8]) {
    let mut forged = body.to_vec();
    let error = cipher.open(&mut forged).unwrap_err();
    assert!(!error.to_string().is_empty());
    let mut frame = Vec::new();
    cipher.seal(true, false, body, &mut frame);
    let header = Framing::V2.decode(&frame).unwrap().unwrap();
    assert_eq!(header.body_len as usize, MESSAGE_OVERHEAD + body.len());
    // Our own frames are not the peer's.
    assert!(cipher.open(&mut frame[header.header_len..]).is_err());
}

/// ZAP: frames, each with its length in front, as a request and as a reply.
pub fn zap(mut data: &[u8]) {
    let mut frames = Vec::new();
    while let Some((&len, rest)) = data.split_first() {
        let len = usize::from(len).min(rest.len());
        frames.push(&rest[..len]);
        data = &rest[len..];
    }
    match zap::Request::parse(&frames) {
        Ok(request) => assert_eq!(request.encode()[1..], frames),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match zap::Reply::parse(&frames, b"1") {
        Ok(reply) => {
            assert_eq!(reply.encode(b"1"), frames[1..]);
            let allowed = reply.status == zap::Status::Success;
            assert_eq!(reply.status.verdict() == Verdict::Allow, allowed);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(error.protocol_error().number() >> 28, 2);
        }
    }
}
