//! ZAP (RFC 27): the frames of its examples, and every way a message can be wrong.

use bytes::Bytes;
use zmtp::zap::{Reply, ReplyError, Request, RequestError, Status};
use zmtp::{Credentials, Metadata, MetadataError, ProtocolError, PublicKey, Verdict};

fn request(credentials: Credentials) -> Request<'static> {
    Request {
        request_id: b"0001",
        domain: b"test",
        address: b"192.168.55.1",
        routing_id: b"BOB",
        credentials,
    }
}

fn reply() -> Reply {
    Reply {
        status: Status::Success,
        text: "OK".into(),
        user_id: "joe".into(),
        metadata: Metadata::new(),
    }
}

const KEY: &[u8; 32] = b"\x00\x01 a public key of 32 octets  \xff\x7f";

#[test]
fn requests_as_in_the_examples() {
    let plain = Credentials::Plain {
        username: b"admin".into(),
        password: "secret".into(),
    };
    let curve = Credentials::Curve {
        public_key: PublicKey(*KEY),
    };
    let cases: [(Credentials, &[&[u8]]); 3] = [
        (Credentials::Null, &[b"NULL"]),
        (plain, &[b"PLAIN", b"admin", b"secret"]),
        (curve, &[b"CURVE", KEY]),
    ];
    for (credentials, last) in cases {
        let first: [&[u8]; 6] = [b"", b"1.0", b"0001", b"test", b"192.168.55.1", b"BOB"];
        let expected = [&first, last].concat();
        let frames = request(credentials.clone()).encode();
        assert_eq!(frames, expected);
        assert_eq!(Request::parse(&frames[1..]), Ok(request(credentials)));
    }
}

macro_rules! requests {
    ($($name:ident: [$($frame:literal),*] => $error:ident;)*) => {
        $(#[test]
        fn $name() {
            let frames: &[&[u8]] = &[$($frame),*];
            let error = Request::parse(frames).unwrap_err();
            assert_eq!(error, RequestError::$error);
            assert!(!error.to_string().is_empty());
        })*
    };
}

requests! {
    request_empty: [] => TooShort;
    request_without_mechanism: [b"1.0", b"1", b"", b"", b""] => TooShort;
    request_version: [b"1.1", b"1", b"", b"", b"", b"NULL"] => BadVersion;
    request_mechanism: [b"1.0", b"1", b"", b"", b"", b"GSSAPI", b"x"] => UnknownMechanism;
    request_null_with_credentials: [b"1.0", b"1", b"", b"", b"", b"NULL", b""] => BadCredentials;
    request_plain_without_password: [b"1.0", b"1", b"", b"", b"", b"PLAIN", b"a"] => BadCredentials;
    request_plain_with_more: [b"1.0", b"1", b"", b"", b"", b"PLAIN", b"a", b"b", b"c"] => BadCredentials;
    request_curve_without_key: [b"1.0", b"1", b"", b"", b"", b"CURVE"] => BadCredentials;
    request_curve_short_key: [b"1.0", b"1", b"", b"", b"", b"CURVE", b"short"] => BadCredentials;
}

#[test]
fn replies_come_back_as_they_were_sent() {
    let mut metadata = Metadata::new();
    metadata.insert("X-Group", "staff").unwrap();
    for (status, code, verdict) in [
        (Status::Success, "200", Verdict::Allow),
        (Status::TemporaryError, "300", Verdict::Deny { status: 300 }),
        (
            Status::AuthenticationFailure,
            "400",
            Verdict::Deny { status: 400 },
        ),
        (Status::InternalError, "500", Verdict::Deny { status: 500 }),
    ] {
        let reply = Reply {
            status,
            metadata: metadata.clone(),
            ..reply()
        };
        let mut frames = vec![Bytes::new()];
        frames.extend(reply.encode(b"0001"));
        let expected: [&[u8]; 7] = [
            b"",
            b"1.0",
            b"0001",
            code.as_bytes(),
            b"OK",
            b"joe",
            b"\x07X-Group\0\0\0\x05staff",
        ];
        assert_eq!(frames, expected);
        assert_eq!(Reply::parse(&frames, b"0001"), Ok(reply));
        assert_eq!(status.verdict(), verdict);
    }
}

macro_rules! replies {
    ($($name:ident: [$($frame:literal),*] => $error:expr, $number:ident = $value:literal;)*) => {
        $(#[test]
        fn $name() {
            let frames: &[&[u8]] = &[$($frame),*];
            let error = Reply::parse(frames, b"1").unwrap_err();
            assert_eq!(error, $error);
            assert_eq!(error.protocol_error(), ProtocolError::$number);
            assert_eq!(ProtocolError::$number.number(), $value);
            assert!(!error.to_string().is_empty());
        })*
    };
}

replies! {
    reply_empty: [] => ReplyError::FrameCount(0), ZapMalformedReply = 0x2000_0001;
    reply_without_metadata: [b"", b"1.0", b"1", b"200", b"", b""] => ReplyError::FrameCount(6), ZapMalformedReply = 0x2000_0001;
    reply_with_more: [b"", b"1.0", b"1", b"200", b"", b"", b"", b""] => ReplyError::FrameCount(8), ZapMalformedReply = 0x2000_0001;
    reply_delimiter: [b"x", b"1.0", b"1", b"200", b"", b"", b""] => ReplyError::BadDelimiter, ZapUnspecified = 0x2000_0000;
    reply_version: [b"", b"1.1", b"1", b"200", b"", b"", b""] => ReplyError::BadVersion, ZapBadVersion = 0x2000_0003;
    reply_request_id: [b"", b"1.0", b"2", b"200", b"", b"", b""] => ReplyError::BadRequestId, ZapBadRequestId = 0x2000_0002;
    reply_status_unknown: [b"", b"1.0", b"1", b"600", b"", b"", b""] => ReplyError::BadStatusCode, ZapInvalidStatusCode = 0x2000_0004;
    reply_status_odd: [b"", b"1.0", b"1", b"201", b"", b"", b""] => ReplyError::BadStatusCode, ZapInvalidStatusCode = 0x2000_0004;
    reply_status_long: [b"", b"1.0", b"1", b"2000", b"", b"", b""] => ReplyError::BadStatusCode, ZapInvalidStatusCode = 0x2000_0004;
    reply_status_empty: [b"", b"1.0", b"1", b"", b"", b"", b""] => ReplyError::BadStatusCode, ZapInvalidStatusCode = 0x2000_0004;
    reply_metadata: [b"", b"1.0", b"1", b"200", b"", b"", b"x"] => ReplyError::BadMetadata(MetadataError::Truncated), ZapInvalidMetadata = 0x2000_0005;
    reply_first_error_counts: [b"", b"1.1", b"2", b"", b"", b"", b"x"] => ReplyError::BadVersion, ZapBadVersion = 0x2000_0003;
}
