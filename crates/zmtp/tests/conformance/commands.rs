//! Commands and subscriptions.

use proptest::prelude::*;
use zmtp::{Command, CommandError, Metadata, MetadataError, Subscription, Version};

fn ready(properties: &[(&str, &'static str)]) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in properties {
        metadata.insert(name, *value).unwrap();
    }
    metadata
}

macro_rules! both_ways {
    ($($name:ident: $body:expr => $command:expr;)*) => {
        $(#[test]
        fn $name() {
            let body: &[u8] = &$body[..];
            let command = $command;
            assert_eq!(Command::parse(body), Ok(command.clone()));
            let mut out = Vec::new();
            command.encode(&mut out);
            assert_eq!(out, body);
            assert_eq!(command.encoded_len(), body.len());
            assert_eq!(body[1..=command.name().len()], *command.name());
            let mut framed = Vec::new();
            command.encode_framed(&mut framed);
            assert_eq!(framed, [&[4, body.len() as u8], body].concat());
            crate::protocol::commands(body);
        })*
    };
}

both_ways! {
    ready_empty: b"\x05READY" => Command::Ready(Metadata::new());
    ready_rep: b"\x05READY\x0bSocket-Type\0\0\0\x03REP" => Command::Ready(ready(&[("Socket-Type", "REP")]));
    error: b"\x05ERROR\x03400" => Command::Error { reason: b"400" };
    error_empty: b"\x05ERROR\0" => Command::Error { reason: b"" };
    subscribe: b"\x09SUBSCRIBEtopic" => Command::Subscribe(b"topic");
    subscribe_all: b"\x09SUBSCRIBE" => Command::Subscribe(b"");
    cancel: b"\x06CANCELtopic" => Command::Cancel(b"topic");
    ping: b"\x04PING\x01\x02ctx" => Command::Ping { ttl_deciseconds: 0x102, context: b"ctx" };
    ping_bare: b"\x04PING\0\0" => Command::Ping { ttl_deciseconds: 0, context: b"" };
    ping_longest: b"\x04PING\xff\xff0123456789abcdef" => Command::Ping { ttl_deciseconds: 0xffff, context: b"0123456789abcdef" };
    pong: b"\x04PONGctx" => Command::Pong { context: b"ctx" };
    pong_bare: b"\x04PONG" => Command::Pong { context: b"" };
    join: b"\x04JOINgroup" => Command::Join(b"group");
    leave: b"\x05LEAVEgroup" => Command::Leave(b"group");
    other: b"\x05HELLO\x01\0" => Command::Other { name: b"HELLO", data: b"\x01\0" };
    names_are_exact: b"\x04ping\0\0" => Command::Other { name: b"ping", data: b"\0\0" };
}

macro_rules! refused {
    ($($name:ident: $body:expr => $error:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(Command::parse(&$body[..]), Err($error));
        })*
    };
}

refused! {
    nothing: b"" => CommandError::Truncated;
    name_empty: b"\0" => CommandError::InvalidName;
    name_truncated: b"\x09SUBSCRIB" => CommandError::Truncated;
    name_with_digit: b"\x05PING2" => CommandError::InvalidName;
    name_with_nul: b"\x05PING\0" => CommandError::InvalidName;
    ping_without_ttl: b"\x04PING\0" => CommandError::Truncated;
    pong_context_too_long: b"\x04PONG0123456789abcdefg" => CommandError::ContextTooLong(17);
    error_without_reason: b"\x05ERROR" => CommandError::Truncated;
    error_truncated: b"\x05ERROR\x0440" => CommandError::Truncated;
    ready_truncated: b"\x05READY\x01a\0\0" => CommandError::Metadata(MetadataError::Truncated);
    join_too_long: [&b"\x04JOIN"[..], &[b'g'; 256]].concat() => CommandError::GroupTooLong(256);
    leave_too_long: [&b"\x05LEAVE"[..], &[b'g'; 256]].concat() => CommandError::GroupTooLong(256);
}

#[test]
fn octets_after_the_reason_are_ignored() {
    assert_eq!(
        Command::parse(b"\x05ERROR\x03400..."),
        Ok(Command::Error { reason: b"400" })
    );
}

#[test]
fn a_long_command_has_the_long_header() {
    for (len, header) in [(245, &b"\x04\xff"[..]), (246, b"\x06\0\0\0\0\0\0\x01\0")] {
        let topic = vec![b't'; len];
        let mut out = Vec::new();
        Command::Subscribe(&topic).encode_framed(&mut out);
        assert_eq!(out, [header, b"\x09SUBSCRIBE", &topic].concat());
    }
}

#[test]
fn fields_beyond_their_limits_are_cut() {
    let long = [b'x'; 300];
    for (command, len) in [
        (Command::Error { reason: &long }, 6 + 1 + 255),
        (
            Command::Ping {
                ttl_deciseconds: 0,
                context: &long,
            },
            5 + 2 + 16,
        ),
        (Command::Pong { context: &long }, 5 + 16),
        (
            Command::Other {
                name: &long,
                data: b"",
            },
            1 + 255,
        ),
    ] {
        let mut out = Vec::new();
        command.encode(&mut out);
        assert_eq!((out.len(), command.encoded_len()), (len, len));
        assert!(Command::parse(&out).is_ok());
    }
}

macro_rules! subscriptions {
    ($($name:ident: $kind:ident($topic:expr), $version:ident => $frame:expr;)*) => {
        $(#[test]
        fn $name() {
            let mut out = Vec::new();
            Subscription::$kind(&$topic[..]).encode(Version::$version, &mut out);
            assert_eq!(out, $frame[..]);
        })*
    };
}

subscriptions! {
    subscribe_1_0: Subscribe(b"ab"), V1_0 => b"\x04\0\x01ab";
    subscribe_2_0: Subscribe(b"ab"), V2_0 => b"\0\x03\x01ab";
    subscribe_3_0: Subscribe(b"ab"), V3_0 => b"\0\x03\x01ab";
    subscribe_3_1: Subscribe(b"ab"), V3_1 => b"\x04\x0c\x09SUBSCRIBEab";
    cancel_1_0: Cancel(b"ab"), V1_0 => b"\x04\0\0ab";
    cancel_2_0: Cancel(b"ab"), V2_0 => b"\0\x03\0ab";
    cancel_3_0: Cancel(b"ab"), V3_0 => b"\0\x03\0ab";
    cancel_3_1: Cancel(b"ab"), V3_1 => b"\x04\x09\x06CANCELab";
    all_1_0: Subscribe(b""), V1_0 => b"\x02\0\x01";
    all_3_0: Subscribe(b""), V3_0 => b"\0\x01\x01";
    all_3_1: Subscribe(b""), V3_1 => b"\x04\x0a\x09SUBSCRIBE";
    long_1_0: Subscribe([b't'; 253]), V1_0 => [&b"\xff\0\0\0\0\0\0\0\xff\0\x01"[..], &[b't'; 253]].concat();
    long_3_0: Subscribe([b't'; 255]), V3_0 => [&b"\x02\0\0\0\0\0\0\x01\0\x01"[..], &[b't'; 255]].concat();
}

#[test]
fn message_form() {
    assert_eq!(
        Subscription::parse_message(b"\x01ab"),
        Some(Subscription::Subscribe(b"ab"))
    );
    assert_eq!(
        Subscription::parse_message(b"\0ab"),
        Some(Subscription::Cancel(b"ab"))
    );
    assert_eq!(
        Subscription::parse_message(b"\x01"),
        Some(Subscription::Subscribe(b""))
    );
    assert_eq!(Subscription::parse_message(b"\x02ab"), None);
    assert_eq!(Subscription::parse_message(b""), None);
    assert_eq!(Subscription::Cancel(b"ab").topic(), b"ab");
}

const NAMES: [&[u8]; 9] = [
    b"READY",
    b"ERROR",
    b"SUBSCRIBE",
    b"CANCEL",
    b"PING",
    b"PONG",
    b"JOIN",
    b"LEAVE",
    b"HELLO",
];

proptest! {
    #[test]
    fn any_octets(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        crate::protocol::commands(&data);
    }

    #[test]
    fn any_data(name in 0..NAMES.len(), data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let name = NAMES[name];
        crate::protocol::commands(&[&[name.len() as u8], name, &data].concat());
    }

    #[test]
    fn any_topic(first in 0..3_u8, topic in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::protocol::commands(&[&[first], &topic[..]].concat());
    }
}

/// libzmq sends the context that the application likes, and answers with as much as the limit allows.
#[test]
fn a_ping_beyond_the_limit_is_cut() {
    let body = b"\x04PING\0\x000123456789abcdefg";
    let command = Command::Ping {
        ttl_deciseconds: 0,
        context: b"0123456789abcdef",
    };
    assert_eq!(Command::parse(body), Ok(command));
    crate::protocol::commands(body);
}
