//! The bytes of a log: the two copies of its head page, and its records. The format is told in the
//! documentation of [`Log`](super::Log).

use crc32fast::Hasher;
use xebec::{Bytes, Frame};

use super::Id;

/// Records begin at multiples of this, and their headers are as long.
pub(super) const UNIT: u64 = 64;
/// Where the ring begins in the file.
pub(super) const RING: u64 = 2 * PAGE;
/// The distance of the two copies of the head page.
const PAGE: u64 = 4096;
/// The version of the format.
const VERSION: u32 = 1;
/// What a log begins with.
const MAGIC: &[u8; 8] = b"XEBECTSP";
/// What a record begins with.
const RECORD: u32 = 0x5EBE_C10C;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request: its service and its body.
    Request = 1,
    /// A request was sent to its service; `attempts` is how often so far.
    Dispatched = 2,
    /// The reply to a request, which is not needed any more.
    Reply = 3,
    /// A request and its reply are not needed any more.
    Closed = 4,
    /// What a client was answered: see `answers`.
    Answer = 5,
    /// Nothing: `length` bytes that could not be read.
    Void = 6,
    /// What was kept under this id could not be read, or it was [`ABANDONED`].
    Damaged = 7,
}

/// What a damaged record has for `attempts` if the request was given up instead.
pub(super) const ABANDONED: u16 = 1;

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Kind::Request,
            2 => Kind::Dispatched,
            3 => Kind::Reply,
            4 => Kind::Closed,
            5 => Kind::Answer,
            6 => Kind::Void,
            7 => Kind::Damaged,
            _ => return None,
        })
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) attempts: u16,
    /// The bytes of the body.
    pub(super) length: u32,
    /// The checksum of the body.
    pub(super) sum: u32,
    /// Which opening of the log wrote it.
    pub(super) epoch: u32,
    /// Where it is, counted through all laps.
    pub(super) position: u64,
    /// Up to where everything was durable when it was written.
    pub(super) durable: u64,
    pub(super) id: Id,
    /// Milliseconds since 1970.
    pub(super) at: u64,
}

impl Header {
    pub(super) fn encode(&self, salt: &[u8; 16]) -> [u8; UNIT as usize] {
        let mut out = [0; UNIT as usize];
        out[..4].copy_from_slice(&RECORD.to_le_bytes());
        out[8..12].copy_from_slice(&self.sum.to_le_bytes());
        out[12..16].copy_from_slice(&self.length.to_le_bytes());
        out[16] = self.kind as u8;
        out[18..20].copy_from_slice(&self.attempts.to_le_bytes());
        out[20..24].copy_from_slice(&self.epoch.to_le_bytes());
        out[24..32].copy_from_slice(&self.position.to_le_bytes());
        out[32..40].copy_from_slice(&self.durable.to_le_bytes());
        out[40..56].copy_from_slice(&self.id.0);
        out[56..64].copy_from_slice(&self.at.to_le_bytes());
        let sum = checksum(salt, &out[8..]);
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// The header in the first [`UNIT`] bytes, if they are one.
    pub(super) fn decode(bytes: &[u8], salt: &[u8; 16]) -> Option<Self> {
        if bytes[..4] != RECORD.to_le_bytes() || u32_at(bytes, 4) != checksum(salt, &bytes[8..64]) {
            return None;
        }
        Some(Header {
            kind: Kind::from_byte(bytes[16])?,
            attempts: u16::from_le_bytes([bytes[18], bytes[19]]),
            length: u32_at(bytes, 12),
            sum: u32_at(bytes, 8),
            epoch: u32_at(bytes, 20),
            position: u64_at(bytes, 24),
            durable: u64_at(bytes, 32),
            id: Id(bytes[40..56].try_into().expect("16 bytes")),
            at: u64_at(bytes, 56),
        })
    }

    /// How much of the ring the record takes up.
    pub(super) fn size(&self) -> u64 {
        size(self.length as usize)
    }
}

/// How much of the ring a record with such a body takes up.
pub(super) fn size(body: usize) -> u64 {
    (UNIT + body as u64).next_multiple_of(UNIT)
}

/// The head page: what must be known to find the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Mixed into all checksums: what a client sends cannot look like a record of this log.
    pub(super) salt: [u8; 16],
    /// The size of the ring.
    pub(super) ring: u64,
    /// How often the page was written; the parity tells which copy this is.
    pub(super) generation: u64,
    /// Where reading begins: nothing before it is needed.
    pub(super) tail: u64,
    /// Up to where everything was durable.
    pub(super) durable: u64,
    /// How often the log was opened.
    pub(super) epoch: u32,
    /// Where this epoch begins: later records belong to it, earlier ones do not.
    pub(super) since: u64,
    /// The log was closed, with nothing behind `durable`.
    pub(super) closed: bool,
}

/// Why a head page is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    Foreign,
    Version(u32),
    Damaged,
}

impl Head {
    pub(super) const LEN: usize = 512;

    /// Where in the file this generation stands.
    pub(super) fn offset(&self) -> u64 {
        self.generation % 2 * PAGE
    }

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.salt);
        for (slot, number) in out[32..72].chunks_exact_mut(8).zip([
            self.ring,
            self.generation,
            self.tail,
            self.durable,
            self.since,
        ]) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        out[72..76].copy_from_slice(&self.epoch.to_le_bytes());
        out[76] = self.closed.into();
        let sum = checksum(&[], &out[16..]);
        out[12..16].copy_from_slice(&sum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes[..8] != *MAGIC {
            return Err(HeadError::Foreign);
        }
        // Another version may keep its checksum elsewhere.
        if u32_at(bytes, 8) != VERSION {
            return Err(HeadError::Version(u32_at(bytes, 8)));
        }
        let head = Head {
            salt: bytes[16..32].try_into().expect("16 bytes"),
            ring: u64_at(bytes, 32),
            generation: u64_at(bytes, 40),
            tail: u64_at(bytes, 48),
            durable: u64_at(bytes, 56),
            since: u64_at(bytes, 64),
            epoch: u32_at(bytes, 72),
            closed: bytes[76] == 1,
        };
        // Positions stay far from the end of the numbers, so that sums of them do not overflow.
        let sound = u32_at(bytes, 12) == checksum(&[], &bytes[16..Self::LEN])
            && head.ring.is_multiple_of(UNIT)
            && head.tail.is_multiple_of(UNIT)
            && head.durable.is_multiple_of(UNIT)
            && head.tail <= head.durable
            && head.durable - head.tail <= head.ring
            && head.since <= head.durable
            && head.durable < 1 << 62
            && head.ring < 1 << 62;
        if sound {
            Ok(head)
        } else {
            Err(HeadError::Damaged)
        }
    }

    /// The newer of the two copies.
    pub(super) fn newest(first: &[u8], second: &[u8]) -> Result<Self, HeadError> {
        match (Head::decode(first), Head::decode(second)) {
            (Ok(a), Ok(b)) => Ok(if a.generation > b.generation { a } else { b }),
            (Ok(head), Err(_)) | (Err(_), Ok(head)) => Ok(head),
            (Err(HeadError::Foreign), Err(error)) | (Err(error), Err(_)) => Err(error),
        }
    }

    /// The other copy's place in the file.
    pub(super) const SECOND: u64 = PAGE;
}

/// The sum of a record's body.
pub(super) fn checksum(salt: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// Appends frames: each with its length in front.
pub(super) fn put_frames(out: &mut Vec<u8>, frames: &[Frame]) {
    for frame in frames {
        out.extend((frame.len() as u32).to_le_bytes());
        out.extend(frame.as_bytes());
    }
}

/// How long they will be.
pub(super) fn frames_len(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| 4 + frame.len()).sum()
}

/// Reads frames to the end of the bytes, which large frames go on using.
pub(super) fn take_frames(mut body: Bytes) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let len = u32::from_le_bytes(body.get(..4)?.try_into().ok()?) as usize;
        let end = len.checked_add(4).filter(|end| *end <= body.len())?;
        frames.push(Frame::from(body.slice(4..end)));
        body = body.slice(end..);
    }
    Some(frames)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: Kind::Reply,
        attempts: 7,
        length: 100,
        sum: 0x0102_0304,
        epoch: 3,
        position: 0x1234_5678_9ABC_DE00,
        durable: 640,
        id: Id([9; 16]),
        at: 1_700_000_000_000,
    };

    #[test]
    fn a_header_is_read_as_written_and_not_when_a_bit_is_wrong() {
        let salt = [5; 16];
        let bytes = HEADER.encode(&salt);
        assert_eq!(Header::decode(&bytes, &salt), Some(HEADER));
        assert_eq!(Header::decode(&bytes, &[6; 16]), None, "of another log");
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes, &salt), None, "bit {bit}");
        }
    }

    #[test]
    fn the_newer_sound_head_page_counts() {
        let head = |generation| Head {
            salt: [1; 16],
            ring: 1 << 16,
            generation,
            tail: 64,
            durable: 128,
            epoch: 2,
            since: 64,
            closed: true,
        };
        let (old, new) = (head(6).encode(), head(7).encode());
        assert_eq!(Head::newest(&old, &new), Ok(head(7)));
        assert_eq!(Head::newest(&new, &old), Ok(head(7)));
        let mut torn = new;
        torn[50] ^= 1;
        assert_eq!(Head::newest(&old, &torn), Ok(head(6)));
        assert_eq!(Head::newest(&torn, &torn), Err(HeadError::Damaged));
        assert_eq!(Head::newest(&[0; 512], &torn), Err(HeadError::Damaged));
        assert_eq!(Head::newest(&[0; 512], &[0; 512]), Err(HeadError::Foreign));
        let mut later = new;
        later[8] = 2;
        assert_eq!(Head::newest(&later, &later), Err(HeadError::Version(2)));
    }

    #[test]
    fn frames_are_read_as_written() {
        let frames = [Frame::new(), Frame::from("echo"), Frame::from(vec![1; 300])];
        let mut body = Vec::new();
        put_frames(&mut body, &frames);
        assert_eq!(body.len(), frames_len(&frames));
        let read = take_frames(body.clone().into()).unwrap();
        assert!(
            read.iter()
                .map(Frame::as_bytes)
                .eq(frames.iter().map(Frame::as_bytes))
        );
        body.pop();
        assert_eq!(take_frames(body.into()).map(|f| f.len()), None);
        assert_eq!(take_frames(vec![255; 4].into()).map(|f| f.len()), None);
    }
}
