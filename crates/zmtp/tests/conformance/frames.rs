//! Frame headers of both layouts.

use proptest::prelude::*;
use zmtp::{FrameError, Framing, Header, MAX_BODY, Version};

const fn header(more: bool, command: bool, body_len: u64, header_len: usize) -> Header {
    Header {
        more,
        command,
        body_len,
        header_len,
    }
}

macro_rules! decode {
    ($($name:ident: $framing:ident, $input:literal => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(Framing::$framing.decode($input), $expected);
        })*
    };
}

decode! {
    v2_nothing: V2, b"" => Ok(None);
    v2_flags_only: V2, b"\0" => Ok(None);
    v2_empty: V2, b"\0\0" => Ok(Some(header(false, false, 0, 2)));
    v2_short: V2, b"\0\x05hello" => Ok(Some(header(false, false, 5, 2)));
    v2_more: V2, b"\x01\xff" => Ok(Some(header(true, false, 255, 2)));
    v2_long_partial: V2, b"\x02\0\0\0\0\0\0\0" => Ok(None);
    v2_long: V2, b"\x02\0\0\0\0\0\0\x01\0" => Ok(Some(header(false, false, 256, 9)));
    v2_long_small: V2, b"\x03\0\0\0\0\0\0\0\0" => Ok(Some(header(true, false, 0, 9)));
    v2_longest: V2, b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff" => Ok(Some(header(false, false, MAX_BODY, 9)));
    v2_overflow: V2, b"\x02\x80\0\0\0\0\0\0\0" => Err(FrameError::LengthOverflow(1 << 63));
    v2_command: V2, b"\x04\x06" => Ok(Some(header(false, true, 6, 2)));
    v2_long_command: V2, b"\x06\0\0\0\0\0\0\x01\0" => Ok(Some(header(false, true, 256, 9)));
    v2_command_with_more: V2, b"\x05" => Err(FrameError::CommandWithMore);
    v2_long_command_with_more: V2, b"\x07" => Err(FrameError::CommandWithMore);
    v2_reserved: V2, b"\x08" => Err(FrameError::ReservedFlags(0x08));
    v2_all_bits: V2, b"\xff" => Err(FrameError::ReservedFlags(0xff));

    v1_nothing: V1, b"" => Ok(None);
    v1_length_only: V1, b"\x01" => Ok(None);
    v1_empty: V1, b"\x01\0" => Ok(Some(header(false, false, 0, 2)));
    v1_short: V1, b"\x06\0hello" => Ok(Some(header(false, false, 5, 2)));
    v1_more: V1, b"\xfe\x01" => Ok(Some(header(true, false, 253, 2)));
    v1_reserved_bits_mean_nothing: V1, b"\x01\xfe" => Ok(Some(header(false, false, 0, 2)));
    v1_long_partial_length: V1, b"\xff\0\0\0\0\0\0\0" => Ok(None);
    v1_long_without_flags: V1, b"\xff\0\0\0\0\0\0\0\xff" => Ok(None);
    v1_long: V1, b"\xff\0\0\0\0\0\0\0\xff\x01" => Ok(Some(header(true, false, 254, 10)));
    v1_long_small: V1, b"\xff\0\0\0\0\0\0\0\x01\0" => Ok(Some(header(false, false, 0, 10)));
    v1_zero: V1, b"\0" => Err(FrameError::ZeroLength);
    v1_long_zero: V1, b"\xff\0\0\0\0\0\0\0\0" => Err(FrameError::ZeroLength);
    v1_overflow: V1, b"\xff\x80\0\0\0\0\0\0\0" => Err(FrameError::LengthOverflow(1 << 63));
}

macro_rules! encode {
    ($($name:ident: $framing:ident, $more:literal, $command:literal, $len:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            let mut out = b"before".to_vec();
            Framing::$framing.encode($more, $command, $len, &mut out);
            assert_eq!(out, [&b"before"[..], $expected].concat());
        })*
    };
}

encode! {
    put_v2_empty: V2, false, false, 0 => b"\0\0";
    put_v2_longest_short: V2, true, false, 255 => b"\x01\xff";
    put_v2_shortest_long: V2, false, false, 256 => b"\x02\0\0\0\0\0\0\x01\0";
    put_v2_long_more: V2, true, false, 0x1234_5678 => b"\x03\0\0\0\0\x12\x34\x56\x78";
    put_v2_command: V2, false, true, 6 => b"\x04\x06";
    put_v2_long_command: V2, false, true, 256 => b"\x06\0\0\0\0\0\0\x01\0";
    put_v1_empty: V1, false, false, 0 => b"\x01\0";
    put_v1_longest_short: V1, true, false, 253 => b"\xfe\x01";
    put_v1_shortest_long: V1, false, false, 254 => b"\xff\0\0\0\0\0\0\0\xff\0";
    put_v1_long_more: V1, true, false, 0x1234_5677 => b"\xff\0\0\0\0\x12\x34\x56\x78\x01";
    put_v1_has_no_commands: V1, false, true, 0 => b"\x01\0";
}

#[test]
fn what_a_version_can_do() {
    for (version, framing, commands, subscribe, text) in [
        (Version::V1_0, Framing::V1, false, false, "1.0"),
        (Version::V2_0, Framing::V2, false, false, "2.0"),
        (Version::V3_0, Framing::V2, true, false, "3.0"),
        (Version::V3_1, Framing::V2, true, true, "3.1"),
    ] {
        assert_eq!(version.framing(), framing);
        assert_eq!(version.has_commands(), commands);
        assert_eq!(version.has_subscribe_command(), subscribe);
        assert_eq!(version.to_string(), text);
    }
    assert!(Version::ALL.is_sorted());
}

fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![0..600_u64, 0..=MAX_BODY - 1]
}

proptest! {
    #[test]
    fn round_trip(more: bool, command: bool, body_len in lengths(), v1: bool) {
        let framing = if v1 { Framing::V1 } else { Framing::V2 };
        let (more, command) = (more && !command, command && !v1);
        let mut out = Vec::new();
        framing.encode(more, command, body_len as usize, &mut out);
        let expected = header(more, command, body_len, out.len());
        prop_assert_eq!(framing.decode(&out), Ok(Some(expected)));
    }

    #[test]
    fn any_octets(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        crate::protocol::framing(&data);
    }

    /// Small flags and lengths, so that frames follow one another.
    #[test]
    fn likely_octets(data in proptest::collection::vec(0..9_u8, 0..64)) {
        crate::protocol::framing(&data);
    }
}
