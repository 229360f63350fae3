//! Traffic under CURVE (RFC 26, "The MESSAGE Command").
//!
//! Every frame of the traffic, be it part of a message or a command such as PING, travels as the body
//! of a frame that is neither a command nor followed by more:
//!
//! ```text
//! 7 "MESSAGE"  short nonce: 8 octets  tag: 16  sealed: flags: 1, body
//! ```
//!
//! The flags inside say what the frame is. Those of the frame outside could be anybody's, and mean
//! nothing. Flag 1 (more) is the RFC's, flag 2 (command) is libzmq's.

use core::fmt;

use crate::nacl::{Nonce, SharedKey, TAG};
use crate::{Framing, ProtocolError};

/// How much longer a sealed body is than the body itself; where the body begins in it.
pub const MESSAGE_OVERHEAD: usize = FLAGS_AT + 1;

const NAME: &[u8; 8] = b"\x07MESSAGE";
const NONCE_AT: usize = NAME.len();
const BOX_AT: usize = NONCE_AT + 8;
const FLAGS_AT: usize = BOX_AT + TAG;

const MORE: u8 = 0x01;
const COMMAND: u8 = 0x02;

/// What the short nonces of traffic from the client and from the server follow.
pub(crate) const FROM_CLIENT: &[u8; 16] = b"CurveZMQMESSAGEC";
pub(crate) const FROM_SERVER: &[u8; 16] = b"CurveZMQMESSAGES";

/// The keys and counters of a connection under CURVE.
#[derive(Debug)]
pub struct Cipher {
    key: SharedKey,
    sending: Direction,
    receiving: Direction,
}

/// Frames in one direction.
#[derive(Debug)]
pub(crate) struct Direction {
    pub(crate) prefix: &'static [u8; 16],
    /// The last short nonce in it, which the next has to exceed.
    pub(crate) last: u64,
}

/// What a sealed frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Another frame of the same message follows.
    pub more: bool,
    /// It carries a command.
    pub command: bool,
}

/// Traffic that no peer with the right key sends: the connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CipherError {
    /// The frame does not hold a MESSAGE.
    Unexpected,
    /// MESSAGE is too short, or has reserved flags set.
    Malformed,
    /// The nonce does not exceed the one before it: the frame is replayed, or out of order.
    Sequence,
    /// The box cannot be opened: it was forged or damaged.
    Cryptographic,
}

impl Cipher {
    pub(crate) fn new(key: SharedKey, sending: Direction, receiving: Direction) -> Self {
        Self {
            key,
            sending,
            receiving,
        }
    }

    /// Appends the whole frame, header and sealed `body`, to `out`. The body is copied once.
    pub fn seal(&mut self, more: bool, command: bool, body: &[u8], out: &mut Vec<u8>) {
        Framing::V2.encode(false, false, MESSAGE_OVERHEAD + body.len(), out);
        let start = out.len();
        let (short, nonce) = self.sending.next();
        out.extend_from_slice(NAME);
        out.extend_from_slice(&short);
        out.extend_from_slice(&[0; TAG]);
        out.push(if more { MORE } else { 0 } | if command { COMMAND } else { 0 });
        out.extend_from_slice(body);
        self.key.seal(&nonce, &mut out[start + BOX_AT..]);
    }

    /// Opens the body of a frame in place: what was sealed is in it from [`MESSAGE_OVERHEAD`] on.
    ///
    /// # Errors
    /// The peer did not send this, or not now.
    pub fn open(&mut self, body: &mut [u8]) -> Result<Opened, CipherError> {
        if !body.starts_with(NAME) {
            return Err(CipherError::Unexpected);
        }
        if body.len() < MESSAGE_OVERHEAD {
            return Err(CipherError::Malformed);
        }
        let (head, boxed) = body.split_at_mut(BOX_AT);
        let short = head[NONCE_AT..].try_into().expect("eight octets");
        let nonce = self.receiving.accept(short).ok_or(CipherError::Sequence)?;
        let opened = self.key.open(&nonce, boxed);
        let flags = opened.ok_or(CipherError::Cryptographic)?[0];
        if flags & !(MORE | COMMAND) != 0 || flags == MORE | COMMAND {
            return Err(CipherError::Malformed);
        }
        Ok(Opened {
            more: flags & MORE != 0,
            command: flags & COMMAND != 0,
        })
    }
}

impl Direction {
    /// The next short nonce, and the whole.
    pub(crate) fn next(&mut self) -> ([u8; 8], Nonce) {
        self.last = self.last.checked_add(1).expect("2^64 frames take ages");
        let short = self.last.to_be_bytes();
        (short, long(self.prefix, &short))
    }

    /// The whole nonce for a short one from the peer, unless it comes too late.
    pub(crate) fn accept(&mut self, short: [u8; 8]) -> Option<Nonce> {
        let number = u64::from_be_bytes(short);
        if number <= self.last {
            return None;
        }
        self.last = number;
        Some(long(self.prefix, &short))
    }
}

/// A nonce of its two parts.
pub(crate) fn long<const A: usize, const B: usize>(prefix: &[u8; A], rest: &[u8; B]) -> Nonce {
    let mut nonce = [0; 24];
    nonce[..A].copy_from_slice(prefix);
    nonce[A..].copy_from_slice(rest);
    nonce
}

impl CipherError {
    /// What libzmq's monitor calls it.
    pub const fn protocol_error(self) -> ProtocolError {
        match self {
            Self::Unexpected => ProtocolError::ZmtpUnexpectedCommand,
            Self::Malformed => ProtocolError::ZmtpMalformedCommandMessage,
            Self::Sequence => ProtocolError::ZmtpInvalidSequence,
            Self::Cryptographic => ProtocolError::ZmtpCryptographic,
        }
    }
}

impl fmt::Display for CipherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unexpected => "a frame that is not encrypted",
            Self::Malformed => "a malformed MESSAGE command",
            Self::Sequence => "an encrypted frame that is out of order or was sent before",
            Self::Cryptographic => "an encrypted frame that was forged or damaged",
        })
    }
}

impl std::error::Error for CipherError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> [Cipher; 2] {
        let side = |sending, receiving| {
            let direction = |prefix| Direction { prefix, last: 2 };
            let key = SharedKey::own([7; 32]);
            Cipher::new(key, direction(sending), direction(receiving))
        };
        [
            side(FROM_CLIENT, FROM_SERVER),
            side(FROM_SERVER, FROM_CLIENT),
        ]
    }

    /// The body of a sealed frame with any flags.
    fn sealed(flags: u8, nonce: u64) -> Vec<u8> {
        let mut body = [&NAME[..], &nonce.to_be_bytes(), &[0; TAG], &[flags], b"x"].concat();
        let nonce = long(FROM_CLIENT, &nonce.to_be_bytes());
        SharedKey::own([7; 32]).seal(&nonce, &mut body[BOX_AT..]);
        body
    }

    #[test]
    fn flags() {
        for flags in 0..=u8::MAX {
            let [_, mut server] = pair();
            let opened = server.open(&mut sealed(flags, 3));
            let (more, command) = (flags == MORE, flags == COMMAND);
            match flags {
                0..=2 => assert_eq!(opened, Ok(Opened { more, command })),
                _ => assert_eq!(opened, Err(CipherError::Malformed)),
            }
        }
    }

    #[test]
    fn nonces_only_grow() {
        let [_, mut server] = pair();
        for (nonce, fine) in [
            (2, false),
            (3, true),
            (3, false),
            (10, true),
            (9, false),
            (u64::MAX, true),
            (0, false),
        ] {
            let opened = server.open(&mut sealed(0, nonce));
            assert_eq!(opened.is_ok(), fine, "{nonce}");
            assert!(fine || opened == Err(CipherError::Sequence));
        }
    }

    #[test]
    fn a_side_does_not_take_its_own_frames() {
        let [mut client, _] = pair();
        assert_eq!(
            client.open(&mut sealed(0, 3)),
            Err(CipherError::Cryptographic)
        );
    }
}
