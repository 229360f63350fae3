//! The hand-made part of the fuzz corpora: one line a file.

use zmtp::SocketType;

const SIGNATURE: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f";
const NULL: &[u8] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const REP_READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP";

seeds! {
    greeting / "v3.1-req-rep" = v3(SocketType::Req, 1, NULL, REP_READY);
    greeting / "v3.0-req-rep" = v3(SocketType::Req, 0, NULL, REP_READY);
    greeting / "v3.1-then-traffic" = v3(SocketType::Req, 1, NULL, &[REP_READY, b"\x01\0\0\x05hello"].concat());
    greeting / "v3.1-long-ready" = v3(SocketType::Req, 1, NULL, b"\x06\0\0\0\0\0\0\0\x19\x05READY\x0bSocket-Type\0\0\0\x03REP");
    greeting / "v3.1-identity" = v3(SocketType::Router, 1, NULL, b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08identity\0\0\0\x03abc");
    greeting / "v3.1-no-socket-type" = v3(SocketType::Req, 1, NULL, b"\x04\x06\x05READY");
    greeting / "v3.1-incompatible" = v3(SocketType::Pub, 1, NULL, REP_READY);
    greeting / "v3.1-unknown-type" = v3(SocketType::Req, 1, NULL, b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03FOO");
    greeting / "v3.1-error" = v3(SocketType::Req, 1, NULL, b"\x04\x0a\x05ERROR\x03400");
    greeting / "v3.1-error-truncated" = v3(SocketType::Req, 1, NULL, b"\x04\x08\x05ERROR\x034");
    greeting / "v3.1-hello" = v3(SocketType::Req, 1, NULL, b"\x04\x06\x05HELLO");
    greeting / "v3.1-message-too-early" = v3(SocketType::Req, 1, NULL, b"\0\x05hello");
    greeting / "v3.1-command-with-more" = v3(SocketType::Req, 1, NULL, b"\x05\x06\x05READY");
    greeting / "v3.1-command-too-long" = v3(SocketType::Req, 1, NULL, b"\x06\0\0\0\0\0\x01\0\x01");
    greeting / "v3.1-length-overflow" = v3(SocketType::Req, 1, NULL, b"\x06\xff\xff\xff\xff\xff\xff\xff\xff");
    greeting / "v3.1-curve" = v3(SocketType::Req, 1, b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"");
    greeting / "v4.0-major" = [&[3, 3][..], SIGNATURE, &[4, 0], NULL, &[0; 32], REP_READY].concat();
    greeting / "v2.0-rep" = old(SocketType::Req, b"\x01\x04\0\0");
    greeting / "v2.0-rep-identity" = old(SocketType::Dealer, b"\x01\x04\0\x03abc\0\x05hello");
    greeting / "v2.0-long-identity" = old(SocketType::Dealer, b"\x01\x04\x02\0\0\0\0\0\0\0\x03abc");
    greeting / "v2.0-identity-with-more" = old(SocketType::Dealer, b"\x01\x04\x01\x03abc");
    greeting / "v2.0-identity-too-long" = old(SocketType::Dealer, b"\x01\x04\x02\0\0\0\0\0\0\x01\0");
    greeting / "v2.0-incompatible" = old(SocketType::Pub, b"\x01\x04\0\0");
    greeting / "v2.0-unknown-type" = old(SocketType::Req, b"\x01\xff\0\0");
    greeting / "v2.0-revision-2" = old(SocketType::Req, b"\x02\x04\0\0");
    greeting / "v1.0-revision-0" = old(SocketType::Req, b"\0\x04\x01\0");
    greeting / "v1.0-anonymous" = b"\x03\x0f\x01\0\x06\0hello";
    greeting / "v1.0-identity" = b"\x03\x0f\x04\0abc";
    greeting / "v1.0-identity-long-form" = b"\x03\x0f\xff\0\0\0\0\0\0\0\x04\0abc";
    greeting / "v1.0-zero-length" = b"\x03\x0f\0\0";
    greeting / "v1.0-zero-length-long-form" = b"\x03\x0f\xff\0\0\0\0\0\0\0\0\0";
    greeting / "v1.0-identity-too-long" = b"\x03\x0f\xff\0\0\0\0\0\x01\0\0\0";
    greeting / "as-v1.0-modern-peer" = [b"\x03\x0c", SIGNATURE, b"\x04\0pqr"].concat();
    greeting / "as-v2.0-modern-peer" = [b"\x03\x0d", SIGNATURE, b"\x03\x04\0\0"].concat();
    greeting / "as-v3.0-modern-peer" = [b"\x03\x0e", SIGNATURE, b"\x03\x01", NULL, &[0; 32], REP_READY].concat();
    greeting / "http" = b"\x03\x03GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    greeting / "tls" = b"\x03\x03\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    greeting / "nothing" = b"\x03\x03";

    framing / "v2-short" = b"\0\x05hello\x01\0\0\x01x";
    framing / "v2-long" = b"\x02\0\0\0\0\0\0\0\x05hello\x03\0\0\0\0\0\0\0\0";
    framing / "v2-command" = b"\x04\x06\x05READY\x06\0\0\0\0\0\0\0\x06\x05READY";
    framing / "v2-reserved" = b"\x08\0";
    framing / "v2-all-bits" = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    framing / "v2-command-with-more" = b"\x05\0";
    framing / "v2-largest" = b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff";
    framing / "v2-overflow" = b"\x02\x80\0\0\0\0\0\0\0";
    framing / "v1-short" = b"\x06\0hello\x01\x01\x02\0x";
    framing / "v1-long" = b"\xff\0\0\0\0\0\0\0\x06\0hello";
    framing / "v1-zero" = b"\0\0";
    framing / "v1-zero-long" = b"\xff\0\0\0\0\0\0\0\0\0";
    framing / "v1-largest" = b"\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0";
    framing / "v1-overflow" = b"\xff\x80\0\0\0\0\0\0\0\0";
    framing / "truncated" = b"\x02\0\0\0";
    framing / "nothing" = b"";

    commands / "ready" = REP_READY[2..];
    commands / "ready-empty" = b"\x05READY";
    commands / "ready-truncated" = b"\x05READY\x0bSocket-Type\0\0\0\x03RE";
    commands / "error" = b"\x05ERROR\x03400";
    commands / "error-empty" = b"\x05ERROR\0";
    commands / "error-truncated" = b"\x05ERROR\x04400";
    commands / "error-trailing" = b"\x05ERROR\x03400!";
    commands / "error-no-reason" = b"\x05ERROR";
    commands / "subscribe" = b"\x09SUBSCRIBEtopic";
    commands / "subscribe-all" = b"\x09SUBSCRIBE";
    commands / "cancel" = b"\x06CANCELtopic";
    commands / "ping" = b"\x04PING\0\x0acontext";
    commands / "ping-truncated" = b"\x04PING\0";
    commands / "ping-longest-context" = b"\x04PING\xff\xff0123456789abcdef";
    commands / "ping-context-too-long" = b"\x04PING\0\x000123456789abcdefg";
    commands / "pong" = b"\x04PONGcontext";
    commands / "pong-context-too-long" = b"\x04PONG0123456789abcdefg";
    commands / "join" = b"\x04JOINgroup";
    commands / "leave" = b"\x05LEAVEgroup";
    commands / "join-too-long" = [b"\x04JOIN".as_slice(), &[b'g'; 256]].concat();
    commands / "other" = b"\x05HELLO\0\x01\x02";
    commands / "name-empty" = b"\0data";
    commands / "name-truncated" = b"\x09SUBSCRIB";
    commands / "name-not-letters" = b"\x04PI\0G";
    commands / "message-subscribe" = b"\x01topic";
    commands / "message-cancel" = b"\0topic";
    commands / "message-long-topic" = [b"\x01".as_slice(), &[b't'; 300]].concat();
    commands / "nothing" = b"";

    metadata / "socket-type" = REP_READY[8..];
    metadata / "libzmq-dealer" = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
    metadata / "application" = b"\x07X-Hello\0\0\0\x05World";
    metadata / "duplicate" = b"\x01a\0\0\0\x011\x01A\0\0\0\x012";
    metadata / "name-empty" = b"\0\0\0\0\0";
    metadata / "name-with-space" = b"\x03X a\0\0\0\0";
    metadata / "name-with-control" = b"\x02X\x07\0\0\0\0";
    metadata / "name-not-ascii" = b"\x02\xc3\xa9\0\0\0\0";
    metadata / "name-truncated" = b"\x0bSocket";
    metadata / "length-truncated" = b"\x01a\0\0\0";
    metadata / "value-truncated" = b"\x01a\0\0\0\x02x";
    metadata / "value-huge" = b"\x01a\xff\xff\xff\xffx";
    metadata / "trailing-octet" = b"\x01a\0\0\0\0\x01";
    metadata / "as-many-as-allowed" = b"\x01a\0\0\0\0".repeat(zmtp::MAX_PROPERTIES);
    metadata / "too-many" = b"\x01a\0\0\0\0".repeat(zmtp::MAX_PROPERTIES + 1);
    metadata / "nothing" = b"";
    plain / "server-hello-initiate" = [b"\0", HELLO, b"\x04\x1f\x08INITIATE\x0bSocket-Type\0\0\0\x06DEALER"].concat();
    plain / "server-denies" = [b"\x02", HELLO].concat();
    plain / "server-hello-long-form" = b"\0\x06\0\0\0\0\0\0\0\x0a\x05HELLO\x01a\x01b";
    plain / "server-hello-empty" = b"\0\x04\x08\x05HELLO\0\0";
    plain / "server-hello-truncated" = b"\0\x04\x08\x05HELLO\x01a";
    plain / "server-hello-with-more" = b"\0\x04\x0b\x05HELLO\x01a\x01bc";
    plain / "server-hello-twice" = [b"\0", HELLO, HELLO].concat();
    plain / "server-initiate-first" = b"\0\x04\x09\x08INITIATE";
    plain / "server-bad-metadata" = [b"\0", HELLO, b"\x04\x0b\x08INITIATE\x05a"].concat();
    plain / "server-error" = b"\0\x04\x0a\x05ERROR\x03400";
    plain / "client-welcome-ready" = b"\x01\x04\x08\x07WELCOME\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
    plain / "client-welcome-with-more" = b"\x01\x04\x09\x07WELCOME\0";
    plain / "client-ready-first" = b"\x01\x04\x06\x05READY";
    plain / "client-error" = b"\x01\x04\x0a\x05ERROR\x03400";
    plain / "client-error-of-libzmq" = b"\x01\x04\x09^RROR\x03400";
    plain / "client-error-truncated" = b"\x01\x04\x07\x05ERROR\x03";
    plain / "message-too-early" = b"\0\0\x05hello";
    curve / "server-honest" = b"\0";
    curve / "client-honest" = b"\x01";
    curve / "server-honest-then-forged" = [b"\0\0\0\0\0", &forged_message(40)[..]].concat();
    curve / "client-honest-then-short" = [b"\x01\0\0\0\0", &forged_message(16)[..]].concat();
    curve / "server-changed-hello" = b"\0\0\x80\x01";
    curve / "server-changed-initiate" = b"\0\x01\x10\x01";
    curve / "client-changed-welcome" = b"\x01\0\x20\x01";
    curve / "client-changed-ready" = b"\x01\0\xc0\x01";
    curve / "changed-and-back" = b"\0\0\x10\x01\0\x10\x01";
    curve / "server-hello-of-zeros" = raw_command(2, b"HELLO", 200);
    curve / "server-hello-short" = raw_command(2, b"HELLO", 199);
    curve / "server-hello-with-version" = b"\x02\x04\xc8\x05HELLO\x01\0".iter().copied().chain([0; 192]).collect::<Vec<_>>();
    curve / "server-initiate-first" = raw_command(2, b"INITIATE", 300);
    curve / "server-error" = b"\x02\x04\x0a\x05ERROR\x03400";
    curve / "client-welcome-of-zeros" = raw_command(3, b"WELCOME", 168);
    curve / "client-ready-first" = raw_command(3, b"READY", 30);
    curve / "client-error" = b"\x03\x04\x0a\x05ERROR\x03400";
    zap / "request-null" = b"\x031.0\x011\x04test\x09127.0.0.1\0\x04NULL";
    zap / "request-plain" = b"\x031.0\x011\0\0\0\x05PLAIN\x05admin\x06secret";
    zap / "request-curve" = b"\x031.0\x011\0\0\0\x05CURVE\x2001234567890123456789012345678901";
    zap / "request-curve-short-key" = b"\x031.0\x011\0\0\0\x05CURVE\x04abcd";
    zap / "request-unknown-mechanism" = b"\x031.0\x011\0\0\0\x06GSSAPI\x01x";
    zap / "request-too-short" = b"\x031.0\x011";
    zap / "reply" = b"\0\x031.0\x011\x03200\x02OK\x03joe\0";
    zap / "reply-metadata" = b"\0\x031.0\x011\x03200\0\0\x09\x01a\0\0\0\x03xyz";
    zap / "reply-denied" = b"\0\x031.0\x011\x03400\x02no\0\0";
    zap / "reply-bad-status" = b"\0\x031.0\x011\x03201\0\0\0";
    zap / "reply-bad-metadata" = b"\0\x031.0\x011\x03200\0\0\x01x";
    zap / "reply-bad-version" = b"\0\x031.1\x011\x03200\0\0\0";
    zap / "reply-bad-id" = b"\0\x031.0\x012\x03200\0\0\0";
    zap / "reply-bad-delimiter" = b"\x01x\x031.0\x011\x03200\0\0\0";
    zap / "nothing" = b"";
}

/// PLAIN's HELLO, frame and all.
const HELLO: &[u8] = b"\x04\x12\x05HELLO\x05admin\x05magic";

/// A command of CURVE that is all zeros, for our side in the role of `how`.
fn raw_command(how: u8, name: &[u8], len: usize) -> Vec<u8> {
    let mut data = vec![how, 6];
    data.extend_from_slice(&(len as u64).to_be_bytes());
    data.push(name.len() as u8);
    data.extend_from_slice(name);
    data.resize(10 + len, 0);
    data
}

/// A MESSAGE that nobody sealed.
fn forged_message(len: usize) -> Vec<u8> {
    let mut body = b"\x07MESSAGE".to_vec();
    body.resize(len, b'x');
    body
}

/// For our socket of type `local`: a ZMTP 3.x peer's greeting, then `rest`.
fn v3(local: SocketType, minor: u8, mechanism: &[u8], rest: &[u8]) -> Vec<u8> {
    [
        &[local.number(), 3],
        SIGNATURE,
        &[3, minor],
        mechanism,
        &[0; 32],
        rest,
    ]
    .concat()
}

/// For our socket of type `local` with a routing id: an older peer's signature, then `rest`.
fn old(local: SocketType, rest: &[u8]) -> Vec<u8> {
    [&[local.number(), 3 << 2 | 3], SIGNATURE, rest].concat()
}
