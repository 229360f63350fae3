//! Octet-exact handshakes: what arrives, what is sent, what is concluded. Every case runs with the
//! input whole, split at every point into two, and octet by octet, and, where the handshake
//! succeeds, with traffic right behind it that must be left alone.

use bytes::Bytes;
use zmtp::SocketType::*;
use zmtp::Version::*;
use zmtp::{
    CommandError, FrameError, Handshake, HandshakeError, Local, MAX_HANDSHAKE_COMMAND,
    MetadataError, Peer, SocketType, Version,
};

use crate::security::judging;
use crate::{at_most, local};

const SIG: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f";
const NULL: &[u8] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const PLAIN: &[u8] = b"PLAIN\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const REST: &[u8] = &[0; 32];
const REP_READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP";
const REQ_READY: &[u8] = b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0";
const TRAFFIC: &[u8] = b"\0\x05hello";

/// What is compared of a [`Peer`]: version, socket type, routing id.
type Known = (Version, Option<SocketType>, &'static [u8]);
type Expected = Result<Option<Known>, HandshakeError>;

fn known(peer: &Peer) -> (Version, Option<SocketType>, &[u8]) {
    (peer.version, peer.socket_type, &peer.routing_id)
}

fn run(local: &Local, pieces: &[&[u8]]) -> (Result<Option<Peer>, HandshakeError>, usize, Vec<u8>) {
    let mut handshake = Handshake::new(local.clone());
    let mut consumed = 0;
    let mut result = Ok(None);
    for piece in pieces {
        match handshake.input(piece) {
            Ok(progress) => {
                consumed += progress.consumed;
                if progress.peer.is_some() {
                    result = Ok(progress.peer);
                    break;
                }
                assert_eq!(
                    progress.consumed,
                    piece.len(),
                    "input left while unfinished"
                );
            }
            Err(error) => {
                assert_eq!(
                    handshake.input(b"x"),
                    Err(error.clone()),
                    "an error is final"
                );
                result = Err(error);
                break;
            }
        }
    }
    (result, consumed, std::mem::take(handshake.output()))
}

fn check(local: Local, arrives: &[&[u8]], sent: &[&[u8]], expected: Expected) {
    let (arrives, sent) = (arrives.concat(), sent.concat());
    let with_traffic = [&arrives, TRAFFIC].concat();
    let finished = matches!(expected, Ok(Some(_)));
    let mut ways: Vec<Vec<&[u8]>> = (0..=arrives.len())
        .map(|at| vec![&arrives[..at], &arrives[at..]])
        .collect();
    if !arrives.is_empty() {
        ways.push(arrives.chunks(1).collect());
    }
    if finished {
        ways.push(vec![&with_traffic]);
        ways.push(with_traffic.chunks(1).collect());
        ways.push(with_traffic.chunks(9).collect());
    }
    for pieces in ways {
        let (result, consumed, output) = run(&local, &pieces);
        let lens: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        let result = result.as_ref().map(|peer| peer.as_ref().map(known));
        assert_eq!(
            result,
            expected.as_ref().map(|known| *known),
            "in pieces of {lens:?}"
        );
        assert_eq!(output, sent, "sent, given pieces of {lens:?}");
        if finished {
            assert_eq!(consumed, arrives.len(), "traffic consumed");
        }
    }
}

macro_rules! cases {
    ($($name:ident: $local:expr, [$($arrives:expr),*] => [$($sent:expr),*], $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            check($local, &[$(&$arrives[..]),*], &[$(&$sent[..]),*], $expected);
        })*
    };
}

fn type_of(socket_type: SocketType) -> Option<SocketType> {
    Some(socket_type)
}

cases! {
    // Before anything arrives: the signature, with the length of the routing id plus one.
    signature: local(Req, b""), [] => [SIG], Ok(None);
    signature_with_routing_id: local(Req, b"abc"), [] => [b"\xff\0\0\0\0\0\0\0\x04\x7f"], Ok(None);
    signature_with_longest_routing_id: local(Req, &[b'i'; 255]), [] => [b"\xff\0\0\0\0\0\0\x01\0\x7f"], Ok(None);
    as_1_0: at_most(V1_0, local(Req, b"")), [] => [b"\x01\0"], Ok(None);
    as_1_0_with_routing_id: at_most(V1_0, local(Req, b"abc")), [] => [b"\x04\0abc"], Ok(None);
    as_1_0_with_longest_short: at_most(V1_0, local(Req, &[b'i'; 253])), [] => [b"\xfe\0", [b'i'; 253]], Ok(None);
    as_1_0_with_shortest_long: at_most(V1_0, local(Req, &[b'i'; 254])), [] => [b"\xff\0\0\0\0\0\0\0\xff\0", [b'i'; 254]], Ok(None);
    as_2_0: at_most(V2_0, local(Req, b"abc")), [] => [b"\xff\0\0\0\0\0\0\0\x04\x7f"], Ok(None);

    // The signature arrives: the revision goes out, and nothing else.
    part_of_signature: local(Req, b""), [SIG[..9]] => [SIG], Ok(None);
    revision: local(Req, b""), [SIG] => [SIG, b"\x03"], Ok(None);
    revision_as_3_0: at_most(V3_0, local(Req, b"")), [SIG] => [SIG, b"\x03"], Ok(None);
    revision_as_2_0: at_most(V2_0, local(Req, b"")), [SIG] => [SIG, b"\x01"], Ok(None);
    padding_means_nothing: local(Req, b""), [b"\xff\x12\x34\x56\x78\x9a\xbc\xde\xf0\x7f"] => [SIG, b"\x03"], Ok(None);
    any_odd_tenth_octet: local(Req, b""), [b"\xff\0\0\0\0\0\0\0\x01\x01"] => [SIG, b"\x03"], Ok(None);

    // ZMTP 3.x, up to READY.
    v3_greeting: local(Req, b""), [SIG, b"\x03"] => [SIG, b"\x03\x01", NULL, REST, REQ_READY], Ok(None);
    v3_greeting_as_3_0: at_most(V3_0, local(Req, b"")), [SIG, b"\x03"] => [SIG, b"\x03\0", NULL, REST, REQ_READY], Ok(None);
    v3_no_ready_before_the_verdict: judging(local(Rep, b"")), [SIG, b"\x03\x01", NULL, REST[..31]] => [SIG, b"\x03\x01", NULL, REST], Ok(None);
    v3_part_of_greeting: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST[..31]] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(None);
    v3_ready_rep: local(Rep, b"abc"), [SIG, b"\x03\x01", NULL, REST] => [SIG[..8], b"\x04\x7f\x03\x01", NULL, REST, REP_READY], Ok(None);
    v3_ready_req: local(Req, b""), [SIG, b"\x03\x01", NULL, REST] => [SIG, b"\x03\x01", NULL, REST, REQ_READY], Ok(None);
    v3_ready_router: local(Router, b"R"), [SIG, b"\x03\x01", NULL, REST] => [SIG[..8], b"\x02\x7f\x03\x01", NULL, REST, b"\x04\x2a\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\x01R"], Ok(None);
    v3_ready_with_properties: with_property(local(Rep, b""), "X-Hello", b"World"), [SIG, b"\x03\x01", NULL, REST] => [SIG, b"\x03\x01", NULL, REST, b"\x04\x2a\x05READY\x0bSocket-Type\0\0\0\x03REP\x07X-Hello\0\0\0\x05World"], Ok(None);
    v3_ready_long_form: with_property(local(Rep, b""), "X", &[b'v'; 250]), [SIG, b"\x03\x01", NULL, REST] => [SIG, b"\x03\x01", NULL, REST, b"\x06\0\0\0\0\0\0\x01\x19\x05READY\x0bSocket-Type\0\0\0\x03REP\x01X\0\0\0\xfa", [b'v'; 250]], Ok(None);

    // ZMTP 3.x, complete.
    v3_1: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v3_0: local(Rep, b""), [SIG, b"\x03\0", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_0, type_of(Req), b"")));
    v3_higher_minor: local(Rep, b""), [SIG, b"\x03\x07", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v4_0: local(Rep, b""), [SIG, b"\x04\0", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v255: local(Rep, b""), [SIG, b"\xff\xff", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v3_1_as_3_0: at_most(V3_0, local(Rep, b"")), [SIG, b"\x03\x01", NULL, REST, REQ_READY] => [SIG, b"\x03\0", NULL, REST, REP_READY], Ok(Some((V3_0, type_of(Req), b"")));
    v3_server_and_filler_mean_nothing: local(Rep, b""), [SIG, b"\x03\x01", NULL, [1; 32], REQ_READY] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v3_identity: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x2c\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x03abc"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Dealer), b"abc")));
    v3_names_in_any_case: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x29\x05READY\x0bsocket-TYPE\0\0\0\x03REQ\x08iDENTITY\0\0\0\x03abc"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"abc")));
    v3_long_frame: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x06\0\0\0\0\0\0\0\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, type_of(Req), b"")));
    v3_socket_type_untold: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x06\x05READY"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Ok(Some((V3_1, None, b"")));

    // ZMTP 3.x, refused.
    v3_plain: local(Rep, b""), [SIG, b"\x03\x01", PLAIN, REST] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MechanismMismatch { local: "NULL", peer: "PLAIN".into() });
    v3_null_with_suffix: local(Rep, b""), [SIG, b"\x03\x01", b"NULL\0X\0\0\0\0\0\0\0\0\0\0\0\0\0\0", REST] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MechanismMismatch { local: "NULL", peer: "NULL".into() });
    v3_incompatible: local(Pub, b""), [SIG, b"\x03\x01", NULL, REST, REQ_READY] => [SIG, b"\x03\x01", NULL, REST, b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB", b"\x04\x1d\x05ERROR\x16PUB-cannot-talk-to-REQ"], Err(HandshakeError::IncompatibleSocketType { local: Pub, peer: Req });
    v3_unknown_type: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03req"] => [SIG, b"\x03\x01", NULL, REST, REP_READY, b"\x04\x1a\x05ERROR\x13unknown-socket-type"], Err(HandshakeError::UnknownSocketType { peer: "req".into() });
    v3_error: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x0c\x05ERROR\x05go\x1baw"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::PeerError { reason: "go\\x1baw".into() });
    v3_error_truncated: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x0c\x05ERROR\x06go aw"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::Malformed { command: "ERROR" });
    v3_other_command: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x06\x05HELLO"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::UnexpectedCommand { name: "HELLO".into() });
    v3_empty_command: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\0"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MalformedCommand(CommandError::Truncated));
    v3_message: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\0\x02hi"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::UnexpectedMessage);
    v3_reserved_flags: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x14"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MalformedFrame(FrameError::ReservedFlags(0x14)));
    v3_command_with_more: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x05"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MalformedFrame(FrameError::CommandWithMore));
    v3_bad_metadata: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x04\x09\x05READY\x02xy"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::MalformedCommand(CommandError::Metadata(MetadataError::Truncated)));
    v3_command_too_long: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x06\0\0\0\0\0\x01\0\x01"] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::CommandTooLong { len: MAX_HANDSHAKE_COMMAND as u64 + 1 });
    v3_identity_too_long: local(Rep, b""), [SIG, b"\x03\x01", NULL, REST, b"\x06\0\0\0\0\0\0\x01\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\x01\0", [b'i'; 256]] => [SIG, b"\x03\x01", NULL, REST, REP_READY], Err(HandshakeError::RoutingIdTooLong { len: 256 });

    // ZMTP 2.0: the peer tells revision 1. The socket type is an octet, the routing id a frame.
    v2_0_revision: local(Req, b""), [SIG, b"\x01"] => [SIG, b"\x03\x03\0\0"], Ok(None);
    v2_0: local(Req, b""), [SIG, b"\x01\x04\0\0"] => [SIG, b"\x03\x03\0\0"], Ok(Some((V2_0, type_of(Rep), b"")));
    v2_0_with_ids: local(Dealer, b"abc"), [SIG, b"\x01\x06\0\x03xyz"] => [SIG[..8], b"\x04\x7f\x03\x05\0\x03abc"], Ok(Some((V2_0, type_of(Router), b"xyz")));
    v2_0_id_in_long_form: local(Dealer, b""), [SIG, b"\x01\x06\x02\0\0\0\0\0\0\0\x03xyz"] => [SIG, b"\x03\x05\0\0"], Ok(Some((V2_0, type_of(Router), b"xyz")));
    v2_0_longest_id: local(Dealer, b""), [SIG, b"\x01\x06\0\xff", [b'i'; 255]] => [SIG, b"\x03\x05\0\0"], Ok(Some((V2_0, type_of(Router), &[b'i'; 255])));
    v2_0_revision_two: local(Req, b""), [SIG, b"\x02\x04\0\0"] => [SIG, b"\x03\x03\0\0"], Ok(Some((V2_0, type_of(Rep), b"")));
    v2_0_xpub_is_pub: local(Xpub, b""), [SIG, b"\x01\x02\0\0"] => [SIG, b"\x03\x01\0\0"], Ok(Some((V2_0, type_of(Sub), b"")));
    v2_0_xsub_is_sub: local(Xsub, b""), [SIG, b"\x01\x01\0\0"] => [SIG, b"\x03\x02\0\0"], Ok(Some((V2_0, type_of(Pub), b"")));
    v2_0_peer_says_xpub: local(Sub, b""), [SIG, b"\x01\x09\0\0"] => [SIG, b"\x03\x02\0\0"], Ok(Some((V2_0, type_of(Xpub), b"")));
    v2_0_as_2_0: at_most(V2_0, local(Req, b"")), [SIG, b"\x01\x04\0\0"] => [SIG, b"\x01\x03\0\0"], Ok(Some((V2_0, type_of(Rep), b"")));
    v2_0_as_2_0_modern_peer: at_most(V2_0, local(Req, b"")), [SIG, b"\x03\x04\0\0"] => [SIG, b"\x01\x03\0\0"], Ok(Some((V2_0, type_of(Rep), b"")));
    v2_0_incompatible: local(Req, b""), [SIG, b"\x01\x01"] => [SIG, b"\x03\x03\0\0"], Err(HandshakeError::IncompatibleSocketType { local: Req, peer: Pub });
    v2_0_unknown_type: local(Req, b""), [SIG, b"\x01\x15"] => [SIG, b"\x03\x03\0\0"], Err(HandshakeError::UnknownSocketType { peer: "21".into() });
    v2_0_id_too_long: local(Req, b""), [SIG, b"\x01\x04\x02\0\0\0\0\0\0\x01\0"] => [SIG, b"\x03\x03\0\0"], Err(HandshakeError::RoutingIdTooLong { len: 256 });
    v2_0_id_with_more: local(Req, b""), [SIG, b"\x01\x04\x01\0"] => [SIG, b"\x03\x03\0\0"], Err(HandshakeError::MalformedIdentity);
    v2_0_id_as_command: local(Req, b""), [SIG, b"\x01\x04\x04\0"] => [SIG, b"\x03\x03\0\0"], Err(HandshakeError::MalformedIdentity);

    // Revision 0: a greeting, but ZMTP 1.0's frames.
    v1_0_with_greeting: local(Req, b"abc"), [SIG, b"\0\x04\x01\0"] => [SIG[..8], b"\x04\x7f\x03\x03\x04\0abc"], Ok(Some((V1_0, type_of(Rep), b"")));
    v1_0_with_greeting_and_id: local(Req, b""), [SIG, b"\0\x04\x04\0xyz"] => [SIG, b"\x03\x03\x01\0"], Ok(Some((V1_0, type_of(Rep), b"xyz")));

    // ZMTP 1.0: no greeting. Our signature was the header of our identity frame.
    v1_0_first_octet: local(Req, b"abc"), [b"\x01"] => [SIG[..8], b"\x04\x7fabc"], Ok(None);
    v1_0_anonymous: local(Req, b""), [b"\x01\0"] => [SIG], Ok(Some((V1_0, None, b"")));
    v1_0_with_ids: local(Req, b"abc"), [b"\x04\0xyz"] => [SIG[..8], b"\x04\x7fabc"], Ok(Some((V1_0, None, b"xyz")));
    v1_0_id_flags_mean_nothing: local(Req, b""), [b"\x04\xffxyz"] => [SIG], Ok(Some((V1_0, None, b"xyz")));
    v1_0_id_in_long_form: local(Req, b"abc"), [b"\xff\0\0\0\0\0\0\0\x04\0xyz"] => [SIG[..8], b"\x04\x7fabc"], Ok(Some((V1_0, None, b"xyz")));
    v1_0_longest_id: local(Req, b""), [b"\xff\0\0\0\0\0\0\x01\0\0", [b'i'; 255]] => [SIG], Ok(Some((V1_0, None, &[b'i'; 255])));
    v1_0_id_too_long: local(Req, b""), [b"\xff\0\0\0\0\0\0\x01\x01\0"] => [SIG], Err(HandshakeError::RoutingIdTooLong { len: 256 });
    v1_0_as_1_0_modern_peer: at_most(V1_0, local(Req, b"abc")), [SIG[..8], b"\x04\x7fxyz"] => [b"\x04\0abc"], Ok(Some((V1_0, None, b"xyz")));
    v1_0_zero_length: local(Req, b""), [b"\0"] => [SIG], Err(HandshakeError::MalformedFrame(FrameError::ZeroLength));
    v1_0_zero_length_long_form: local(Req, b""), [b"\xff\0\0\0\0\0\0\0\0\0"] => [SIG], Err(HandshakeError::MalformedFrame(FrameError::ZeroLength));
    v1_0_length_overflow: local(Req, b""), [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"] => [SIG], Err(HandshakeError::MalformedFrame(FrameError::LengthOverflow(u64::MAX)));

    // The caller's own mistakes.
    local_id_too_long: local(Req, &[b'i'; 256]), [] => [], Err(HandshakeError::RoutingIdTooLong { len: 256 });
    local_property_name: with_property(local(Rep, b""), "X Hello", b""), [SIG, b"\x03\x01", NULL, REST] => [SIG, b"\x03\x01", NULL, REST], Err(HandshakeError::LocalProperties(MetadataError::InvalidName));
}

fn with_property(local: Local, name: &str, value: &[u8]) -> Local {
    Local {
        properties: vec![(name.into(), Bytes::copy_from_slice(value))],
        ..local
    }
}

/// The peer must see nothing that depends on what it has not sent yet: with the greetings of two
/// libzmq-like peers that wait for each other, this order is what avoids a deadlock.
#[test]
fn each_part_is_sent_as_soon_as_it_may_be() {
    let mut handshake = Handshake::new(local(Rep, b""));
    let mut sent = 0;
    let mut step = |input: &[u8]| {
        let peer = handshake.input(input).unwrap().peer;
        let new = handshake.output().len() - sent;
        sent += new;
        (new, peer.is_some())
    };
    assert_eq!(step(b""), (10, false));
    assert_eq!(step(&SIG[..9]), (0, false));
    assert_eq!(step(&SIG[9..]), (1, false));
    assert_eq!(step(b"\x03"), (53 + REP_READY.len(), false));
    assert_eq!(step(b"\x01"), (0, false));
    assert_eq!(step(NULL), (0, false));
    assert_eq!(step(REST), (0, false));
    assert_eq!(step(&REQ_READY[..5]), (0, false));
    assert_eq!(step(&REQ_READY[5..]), (0, true));
}

#[test]
fn output_may_be_drained_at_any_time() {
    let mut handshake = Handshake::new(local(Rep, b""));
    let mut sent = Vec::new();
    for octet in [SIG, b"\x03\x01", NULL, REST, REQ_READY].concat() {
        sent.append(handshake.output());
        handshake.input(&[octet]).unwrap();
    }
    sent.append(handshake.output());
    assert_eq!(sent, [SIG, b"\x03\x01", NULL, REST, REP_READY].concat());
}

#[test]
fn metadata_reaches_the_caller() {
    let ready = b"\x04\x2a\x05READY\x0bSocket-Type\0\0\0\x03REQ\x07X-Hello\0\0\0\x05World";
    let input = [SIG, b"\x03\x01", NULL, REST, ready].concat();
    let peer = Handshake::new(local(Rep, b""))
        .input(&input)
        .unwrap()
        .peer
        .unwrap();
    assert_eq!(peer.metadata.get("x-hello").unwrap(), "World");
    assert!(!peer.is_unversioned());
}

#[test]
fn only_a_peer_without_a_greeting_is_unversioned() {
    for (input, unversioned) in [
        (b"\x01\0".to_vec(), true),
        ([SIG, b"\0\x03\x01\0"].concat(), false),
    ] {
        let peer = Handshake::new(local(Router, b""))
            .input(&input)
            .unwrap()
            .peer
            .unwrap();
        assert_eq!((peer.version, peer.is_unversioned()), (V1_0, unversioned));
    }
}

#[test]
fn a_long_command_is_not_allocated_before_it_arrives() {
    let mut handshake = Handshake::new(local(Rep, b""));
    let header = b"\x06\0\0\0\0\0\x01\0\0";
    let greeting = [SIG, b"\x03\x01", NULL, REST, header].concat();
    assert_eq!(handshake.input(&greeting).unwrap().peer, None);
    // As long as allowed, but not a command once it is complete.
    assert_eq!(
        handshake
            .input(&[0; MAX_HANDSHAKE_COMMAND - 1])
            .unwrap()
            .peer,
        None
    );
    let error = handshake.input(&[0; 1]).unwrap_err();
    assert_eq!(
        error,
        HandshakeError::MalformedCommand(CommandError::InvalidName)
    );
}

macro_rules! statuses {
    ($($reason:literal => $expected:expr;)*) => {
        #[test]
        fn zap_status_codes_are_about_authentication() {
            $(assert_eq!(HandshakeError::PeerError { reason: $reason.into() }.status(), $expected, $reason);)*
            assert_eq!(HandshakeError::Denied { status: 500 }.status(), Some(500));
            assert_eq!(HandshakeError::UnexpectedMessage.status(), None);
        }
    };
}

statuses! {
    "300" => Some(300);
    "400" => Some(400);
    "500" => Some(500);
    "200" => None;
    "401" => None;
    "4000" => None;
    "" => None;
}

#[test]
fn a_refusal_tells_the_remedy() {
    let text = |local, peer| HandshakeError::IncompatibleSocketType { local, peer }.to_string();
    let expected =
        "the peer is a PUB socket, which a REQ socket cannot talk to (it needs REP or ROUTER)";
    assert_eq!(text(Req, Pub), expected);
    assert_eq!(
        text(Stream, Pub),
        "the peer is a PUB socket, which a STREAM socket cannot talk to"
    );
}
