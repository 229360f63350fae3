//! Two of our own handshakes against each other: all pairs of versions, of socket types, and of
//! telling lengths of routing ids.

use std::collections::HashSet;

use zmtp::{Command, Framing, Handshake, HandshakeError, Local, Peer, SocketType, Version};

use crate::{at_most, local};

type Outcome = Result<Peer, HandshakeError>;

/// Carries `piece` octets at a time between two handshakes until both are over, and returns how they
/// ended, each with what the other side sent after that.
fn meet(a: Local, b: Local, piece: usize) -> [(Outcome, Vec<u8>); 2] {
    let mut sides = [Handshake::new(a), Handshake::new(b)];
    let mut outcomes: [Option<Outcome>; 2] = [None, None];
    let mut left_over = [Vec::new(), Vec::new()];
    loop {
        let mut idle = true;
        for from in 0..2 {
            let to = 1 - from;
            let output = sides[from].output();
            let len = piece.min(output.len());
            let input: Vec<u8> = output.drain(..len).collect();
            if input.is_empty() {
                continue;
            }
            idle = false;
            if outcomes[to].is_some() {
                left_over[to].extend_from_slice(&input);
                continue;
            }
            match sides[to].input(&input) {
                Ok(progress) => {
                    left_over[to].extend_from_slice(&input[progress.consumed..]);
                    outcomes[to] = progress.peer.map(Ok);
                }
                Err(error) => outcomes[to] = Some(Err(error)),
            }
        }
        if idle {
            let [a, b] = outcomes.map(|outcome| outcome.expect("neither side waits for ever"));
            let [to_a, to_b] = left_over;
            return [(a, to_a), (b, to_b)];
        }
    }
}

#[test]
fn all_version_pairs_settle_on_the_lower() {
    for a in Version::ALL {
        for b in Version::ALL {
            for piece in [1, 3, 1000] {
                let left = at_most(a, local(SocketType::Dealer, b"left"));
                let right = at_most(b, local(SocketType::Router, b"right"));
                let [(left, to_left), (right, to_right)] = meet(left, right, piece);
                let (left, right) = (left.unwrap(), right.unwrap());
                let lower = a.min(b);
                assert_eq!((left.version, right.version), (lower, lower), "{a} and {b}");
                assert_eq!(left.routing_id, "right", "{a} and {b}");
                assert_eq!(right.routing_id, "left", "{a} and {b}");
                let told = |kind| (lower > Version::V1_0).then_some(kind);
                assert_eq!(left.socket_type, told(SocketType::Router), "{a} and {b}");
                assert_eq!(right.socket_type, told(SocketType::Dealer), "{a} and {b}");
                assert!(to_left.is_empty() && to_right.is_empty(), "{a} and {b}");
            }
        }
    }
}

#[test]
fn routing_ids_of_all_telling_lengths_arrive() {
    for a in Version::ALL {
        for b in Version::ALL {
            for len in [0, 1, 126, 127, 252, 253, 254, 255] {
                let id = vec![b'i'; len];
                let left = at_most(a, local(SocketType::Dealer, &id));
                let right = at_most(b, local(SocketType::Router, b""));
                let [_, (right, _)] = meet(left, right, 1000);
                assert_eq!(right.unwrap().routing_id, id, "{len} octets, {a} to {b}");
            }
        }
    }
}

#[test]
fn legal_socket_types_meet_in_all_versions_and_others_in_none() {
    for version in [Version::V2_0, Version::V3_0, Version::V3_1] {
        for &a in SocketType::ALL {
            for &b in SocketType::ALL {
                let [left, right] = meet(
                    at_most(version, local(a, b"")),
                    at_most(version, local(b, b"")),
                    1,
                );
                if a.accepts(b) {
                    assert_eq!(left.0.unwrap().socket_type, Some(as_told(version, b)));
                    assert_eq!(right.0.unwrap().socket_type, Some(as_told(version, a)));
                } else {
                    refused(left, version, a, b);
                    refused(right, version, b, a);
                }
            }
        }
    }
}

/// ZMTP 2.0 knows XPUB and XSUB as PUB and SUB.
fn as_told(version: Version, kind: SocketType) -> SocketType {
    match kind {
        SocketType::Xpub if version == Version::V2_0 => SocketType::Pub,
        SocketType::Xsub if version == Version::V2_0 => SocketType::Sub,
        other => other,
    }
}

/// `local` refused `peer`, and heard of the peer's own refusal if the version can tell it. (Octet by
/// octet: what arrives together with the READY that is refused is not looked at.)
fn refused(
    (outcome, rest): (Outcome, Vec<u8>),
    version: Version,
    local: SocketType,
    peer: SocketType,
) {
    let told = as_told(version, peer);
    assert_eq!(
        outcome,
        Err(HandshakeError::IncompatibleSocketType { local, peer: told })
    );
    if version >= Version::V3_0 {
        let header = Framing::V2.decode(&rest).unwrap().unwrap();
        let reason = format!("{peer}-cannot-talk-to-{local}");
        assert!(header.command);
        let expected = Command::Error {
            reason: reason.as_bytes(),
        };
        assert_eq!(Command::parse(&rest[header.header_len..]), Ok(expected));
    }
}

/// The reasons stay within the RFC's grammar, which has no spaces.
#[test]
fn reasons_are_visible_characters() {
    let mut reasons = HashSet::new();
    for &a in SocketType::ALL {
        for &b in SocketType::ALL.iter().filter(|&&b| !a.accepts(b)) {
            let [_, (_, rest)] = meet(local(a, b""), local(b, b""), 1);
            let Ok(Command::Error { reason }) = Command::parse(&rest[2..]) else {
                panic!("no ERROR from {a} to {b}");
            };
            assert!(reason.iter().all(u8::is_ascii_graphic));
            reasons.insert(reason.to_vec());
        }
    }
    assert!(reasons.len() > 400);
}
