//! Frame headers: the two layouts that ZMTP has had.
//!
//! Version 1 puts the length before the flags and counts the flags octet in it; versions 2 and 3
//! put the flags first. The header alone is handled here: a body is whatever the header says
//! follows it, and the caller, who knows the message size limit and owns the buffers, deals with
//! that.
//!
//! These two functions run once per frame in both directions, so they touch each octet once, do not
//! allocate (except for the growth of `out`) and return plain values.

use core::fmt;

/// The longest body a frame may announce: 2^63 - 1 octets (RFC 23, "Framing").
pub const MAX_BODY: u64 = i64::MAX as u64;

const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;

/// How a frame's header is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// ZMTP 1.0: length, flags; the length includes the flags octet.
    V1,
    /// ZMTP 2.0 and 3.x: flags, length.
    V2,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Another frame of the same message follows.
    pub more: bool,
    /// The frame carries a command. Only legal where [`Version::has_commands`] holds, which the
    /// caller checks: the layout is shared with ZMTP 2.0.
    ///
    /// [`Version::has_commands`]: crate::Version::has_commands
    pub command: bool,
    /// Octets of body that follow; at most [`MAX_BODY`]. Compare it with a limit before allocating.
    pub body_len: u64,
    /// Octets that the header itself took: 2, 9 or 10.
    pub header_len: usize,
}

/// A frame header that no peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Reserved bits are set in this flags octet.
    ReservedFlags(u8),
    /// A command must be a single frame, but says that more frames follow.
    CommandWithMore,
    /// The length exceeds 2^63 - 1.
    LengthOverflow(u64),
    /// A ZMTP 1.0 length is zero although it counts the flags octet.
    ZeroLength,
}

impl Framing {
    /// Reads the header at the start of `input`; `None` when it is not all there yet.
    ///
    /// # Errors
    /// The header breaks the rules of the framing; the connection cannot be used any more.
    #[inline]
    pub fn decode(self, input: &[u8]) -> Result<Option<Header>, FrameError> {
        match self {
            Self::V2 => decode_v2(input),
            Self::V1 => decode_v1(input),
        }
    }

    /// Appends to `out` the header of a frame whose body has `body_len` octets. `command` has no
    /// meaning, and is ignored, in [`Framing::V1`].
    #[inline]
    pub fn encode(self, more: bool, command: bool, body_len: usize, out: &mut Vec<u8>) {
        match self {
            Self::V2 => encode_v2(more, command, body_len, out),
            Self::V1 => encode_v1(more, body_len, out),
        }
    }
}

#[inline]
fn decode_v2(input: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some((&flags, rest)) = input.split_first() else {
        return Ok(None);
    };
    if flags > COMMAND | LONG || flags & (COMMAND | MORE) == COMMAND | MORE {
        return Err(flag_error(flags));
    }
    let (body_len, header_len) = if flags & LONG == 0 {
        let Some(&len) = rest.first() else {
            return Ok(None);
        };
        (u64::from(len), 2)
    } else {
        let Some(len) = rest.first_chunk() else {
            return Ok(None);
        };
        (long_length(*len)?, 9)
    };
    Ok(Some(Header {
        more: flags & MORE != 0,
        command: flags & COMMAND != 0,
        body_len,
        header_len,
    }))
}

#[inline]
fn decode_v1(input: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some((&first, rest)) = input.split_first() else {
        return Ok(None);
    };
    let (len, header_len) = if first < u8::MAX {
        (u64::from(first), 2)
    } else {
        let Some(len) = rest.first_chunk() else {
            return Ok(None);
        };
        (long_length(*len)?, 10)
    };
    let Some(body_len) = len.checked_sub(1) else {
        return Err(FrameError::ZeroLength);
    };
    let Some(&flags) = input.get(header_len - 1) else {
        return Ok(None);
    };
    // The other bits are reserved but not to be checked: a newer peer's signature, read as the
    // header of its identity, has them set.
    Ok(Some(Header {
        more: flags & MORE != 0,
        command: false,
        body_len,
        header_len,
    }))
}

#[inline]
fn long_length(octets: [u8; 8]) -> Result<u64, FrameError> {
    let len = u64::from_be_bytes(octets);
    if len > MAX_BODY {
        Err(FrameError::LengthOverflow(len))
    } else {
        Ok(len)
    }
}

#[cold]
fn flag_error(flags: u8) -> FrameError {
    if flags > MORE | LONG | COMMAND {
        FrameError::ReservedFlags(flags)
    } else {
        FrameError::CommandWithMore
    }
}

#[inline]
fn encode_v2(more: bool, command: bool, body_len: usize, out: &mut Vec<u8>) {
    let flags = (u8::from(more) * MORE) | (u8::from(command) * COMMAND);
    if let Ok(short) = u8::try_from(body_len) {
        out.extend_from_slice(&[flags, short]);
    } else {
        let mut header = [flags | LONG; 9];
        header[1..].copy_from_slice(&(body_len as u64).to_be_bytes());
        out.extend_from_slice(&header);
    }
}

#[inline]
fn encode_v1(more: bool, body_len: usize, out: &mut Vec<u8>) {
    let flags = u8::from(more) * MORE;
    let len = body_len as u64 + 1;
    if len < u64::from(u8::MAX) {
        out.extend_from_slice(&[len as u8, flags]);
    } else {
        let mut header = [flags; 10];
        header[0] = u8::MAX;
        header[1..9].copy_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&header);
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedFlags(flags) => {
                write!(f, "reserved bits are set in the frame flags {flags:#04x}")
            }
            Self::CommandWithMore => f.write_str("a command frame says that more frames follow"),
            Self::LengthOverflow(len) => {
                write!(f, "a frame of {len} octets exceeds the protocol's limit")
            }
            Self::ZeroLength => f.write_str("a ZMTP 1.0 frame has the illegal length zero"),
        }
    }
}

impl std::error::Error for FrameError {}
