//! Metadata, and arbitrary handshakes, which are mostly about metadata once the greeting is over.

use bytes::Bytes;
use proptest::prelude::*;
use zmtp::{MAX_METADATA, MAX_PROPERTIES, Metadata, MetadataError};

macro_rules! parse {
    ($($name:ident: $input:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            let input: &[u8] = &$input[..];
            let found = Metadata::parse(input);
            let expected: Result<&[(&str, &[u8])], MetadataError> = $expected;
            let listed = found.as_ref().map(|found| found.iter().map(|(n, v)| (n, &v[..])).collect());
            assert_eq!(listed, expected.map(<[_]>::to_vec).as_ref().map(Vec::clone));
            crate::protocol::metadata(input);
        })*
    };
}

parse! {
    nothing: b"" => Ok(&[]);
    one: b"\x01a\0\0\0\x01x" => Ok(&[("a", b"x")]);
    empty_value: b"\x01a\0\0\0\0" => Ok(&[("a", b"")]);
    order_is_kept: b"\x01b\0\0\0\0\x01a\0\0\0\0" => Ok(&[("b", b""), ("a", b"")]);
    duplicates_are_kept: b"\x01a\0\0\0\x011\x01A\0\0\0\x012" => Ok(&[("a", b"1"), ("A", b"2")]);
    any_printable_name: b"\x03X ~\0\0\0\0" => Ok(&[("X ~", b"")]);
    name_empty: b"\0\0\0\0\0" => Err(MetadataError::InvalidName);
    name_with_control: b"\x02X\n\0\0\0\0" => Err(MetadataError::InvalidName);
    name_not_ascii: b"\x02\xc3\xa9\0\0\0\0" => Err(MetadataError::InvalidName);
    name_truncated: b"\x02a" => Err(MetadataError::Truncated);
    length_missing: b"\x01a" => Err(MetadataError::Truncated);
    length_truncated: b"\x01a\0\0\0" => Err(MetadataError::Truncated);
    value_truncated: b"\x01a\0\0\0\x02x" => Err(MetadataError::Truncated);
    value_huge: b"\x01a\xff\xff\xff\xff" => Err(MetadataError::Truncated);
    trailing_octet: b"\x01a\0\0\0\0\x01" => Err(MetadataError::Truncated);
    too_many: b"\x01a\0\0\0\0".repeat(MAX_PROPERTIES + 1) => Err(MetadataError::TooMany);
    too_large: [0; MAX_METADATA + 1] => Err(MetadataError::TooLarge);
}

#[test]
fn limits_are_inclusive() {
    let many = b"\x01a\0\0\0\0".repeat(MAX_PROPERTIES);
    assert_eq!(Metadata::parse(&many).unwrap().len(), MAX_PROPERTIES);
    let large = [&b"\x01a\0\0\xff\xfa"[..], &[0; MAX_METADATA - 6]].concat();
    assert_eq!(large.len(), MAX_METADATA);
    assert_eq!(Metadata::parse(&large).unwrap().encoded_len(), MAX_METADATA);
}

#[test]
fn names_compare_without_case_and_the_first_wins() {
    let metadata = Metadata::parse(b"\x01a\0\0\0\x011\x01A\0\0\0\x012").unwrap();
    assert_eq!(metadata.get("A").unwrap(), "1");
    assert_eq!(metadata.get("b"), None);
}

#[test]
fn insert_replaces_or_appends() {
    let mut metadata = Metadata::new();
    assert!(metadata.is_empty());
    metadata.insert("X-One", "1").unwrap();
    metadata.insert("X-Two", "2").unwrap();
    metadata.insert("x-one", "3").unwrap();
    let listed: Vec<_> = metadata
        .iter()
        .map(|(name, value)| (name, &value[..]))
        .collect();
    assert_eq!(listed, [("X-One", &b"3"[..]), ("X-Two", b"2")]);
}

macro_rules! insert_refused {
    ($($name:ident: $property:expr, $len:expr => $error:ident;)*) => {
        $(#[test]
        fn $name() {
            let mut metadata = Metadata::new();
            metadata.insert("X-Kept", "kept").unwrap();
            let before = metadata.clone();
            let value = Bytes::from(vec![0; $len]);
            assert_eq!(metadata.insert($property, value), Err(MetadataError::$error));
            assert_eq!(metadata, before);
        })*
    };
}

insert_refused! {
    insert_empty_name: "", 0 => InvalidName;
    insert_long_name: &"x".repeat(256), 0 => InvalidName;
    insert_name_with_space: "X Y", 0 => InvalidName;
    insert_name_not_ascii: "X-\u{e9}", 0 => InvalidName;
    insert_too_large: "X-Large", MAX_METADATA => TooLarge;
    insert_too_large_in_place: "X-Kept", MAX_METADATA => TooLarge;
}

#[test]
fn insert_stops_at_the_limit() {
    let mut metadata = Metadata::new();
    for i in 0..MAX_PROPERTIES {
        metadata.insert(&format!("X-{i}"), "").unwrap();
    }
    assert_eq!(metadata.insert("X-More", ""), Err(MetadataError::TooMany));
    assert_eq!(metadata.insert("X-0", "replaced"), Ok(()));
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let signature = &b"\xff\0\0\0\0\0\0\0\x01\x7f"[..];
    let null = [&b"\x03\x01NULL"[..], &[0; 48]].concat();
    let ready = &b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\x03abc"[..];
    let starts = vec![
        vec![],
        signature.to_vec(),
        [signature, b"\0"].concat(),
        [signature, b"\x01\x06"].concat(),
        [signature, &null].concat(),
        [signature, &null, ready].concat(),
        b"\x04\0abc".to_vec(),
    ];
    (
        proptest::sample::select(starts),
        proptest::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn round_trip(properties in proptest::collection::vec(("[A-Za-z0-9._+-]{1,20}", any::<Vec<u8>>()), 0..20)) {
        let mut metadata = Metadata::new();
        for (name, value) in properties {
            metadata.insert(&name, value).unwrap();
        }
        let mut encoded = Vec::new();
        metadata.encode(&mut encoded);
        prop_assert_eq!(Metadata::parse(&encoded), Ok(metadata));
        crate::protocol::metadata(&encoded);
    }

    #[test]
    fn any_octets(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        crate::protocol::metadata(&data);
    }

    /// Small lengths and letters, so that properties follow one another.
    #[test]
    fn likely_octets(data in proptest::collection::vec(prop_oneof![0..3_u8, Just(b'a')], 0..64)) {
        crate::protocol::metadata(&data);
    }

    #[test]
    fn any_handshake(kind: u8, version: u8, stream in stream()) {
        crate::protocol::greeting(&[&[kind, version], &stream[..]].concat());
    }

    /// A legal handshake with some octets changed.
    #[test]
    fn damaged_handshake(
        kind: u8,
        version: u8,
        mut stream in stream(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, octet) in damage {
            if !stream.is_empty() {
                let at = at.index(stream.len());
                stream[at] = octet;
            }
        }
        crate::protocol::greeting(&[&[kind, version], &stream[..]].concat());
    }
}
