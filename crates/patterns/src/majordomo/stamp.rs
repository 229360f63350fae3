//! Client ids and message numbers: how a request that comes twice is known to be the same.
//!
//! A client that opts in puts a frame in front of the body of each request. A broker of ours takes it
//! off, so that workers never see it, and puts one in front of the body of each part of the reply:
//!
//! | bytes | in a request | in a reply |
//! |---|---|---|
//! | 6 | EB `ONCE` 01 | EB `ONCE` 01 |
//! | 16 | the client's id, at random | the same |
//! | 8 | the number of the message, big-endian | the same |
//! | 4 | none | which part of the reply it is, from 0, big-endian |
//!
//! Other brokers take it for a part of the body; a client that gets a reply without a stamp knows
//! that and says so. The id is as hard to guess as a key of 128 bits, so nobody gets the replies of
//! another by asking.
//!
//! [`Refusal`] is here too: what a broker of ours answers in place of a reply.

use std::fmt;

use xebec::Frame;

const MAGIC: [u8; 6] = *b"\xEBONCE\x01";
const KEY: usize = MAGIC.len() + 16 + 8;

/// Which message of which client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The client's id.
    pub client: [u8; 16],
    /// The number that the client gave to the message.
    pub number: u64,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.client.iter().take(4);
        id.clone().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        write!(f, "…/{}", self.number)
    }
}

impl Key {
    /// The frame for a request.
    pub fn stamp(&self) -> Frame {
        let mut bytes = [0; KEY];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[6..22].copy_from_slice(&self.client);
        bytes[22..].copy_from_slice(&self.number.to_be_bytes());
        bytes.into()
    }

    /// The frame for a part of a reply.
    pub fn stamp_part(&self, part: u32) -> Frame {
        let mut bytes = [0; KEY + 4];
        bytes[..KEY].copy_from_slice(&self.stamp());
        bytes[KEY..].copy_from_slice(&part.to_be_bytes());
        bytes.into()
    }

    /// Takes the stamp off the body of a request, if there is one with a body behind it.
    pub fn take(body: &mut Vec<Frame>) -> Option<Key> {
        let first = body.first().filter(|_| body.len() > 1)?;
        let key = Key::read(first).filter(|_| first.len() == KEY)?;
        body.remove(0);
        Some(key)
    }

    /// Takes the stamp off a part of a reply, if there is one with a body behind it.
    pub fn take_part(body: &mut Vec<Frame>) -> Option<(Key, u32)> {
        let first = body.first().filter(|_| body.len() > 1)?;
        let key = Key::read(first)?;
        let part = u32::from_be_bytes(first[KEY..].try_into().ok()?);
        body.remove(0);
        Some((key, part))
    }

    fn read(frame: &[u8]) -> Option<Key> {
        let rest = frame.strip_prefix(&MAGIC)?;
        let (client, rest) = rest.split_first_chunk::<16>()?;
        let number = rest.first_chunk::<8>()?;
        Some(Key {
            client: *client,
            number: u64::from_be_bytes(*number),
        })
    }
}

const REFUSED: &[u8] = b"mmi.error";

/// What a broker answers instead of a reply. Majordomo has no command for it, so it is a reply (FINAL)
/// from the service that was asked, whose body is three frames: `mmi.error`, the code in three digits,
/// and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs.
    pub code: RefusalCode,
    /// Why, for people.
    pub text: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)*) => {
        /// Why a request gets no reply. The numbers are chosen after those of HTTP.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RefusalCode { $($(#[doc = $doc])+ $name,)* }

        impl RefusalCode {
            /// Its three digits.
            pub fn as_str(self) -> &'static str {
                match self { $(RefusalCode::$name => $number,)* }
            }

            fn read(digits: &[u8]) -> Option<Self> {
                [$(RefusalCode::$name),*].into_iter().find(|code| code.as_str().as_bytes() == digits)
            }
        }
    };
}

codes! {
    /// A worker had it and died or hung, and it may not be tried again.
    Failed = "502",
    /// Too much waits already, or the broker is about to end.
    Busy = "503",
    /// No worker took it in time.
    Expired = "504",
    /// The broker is one of a pair and stands by, or is about to end: the other is to be asked.
    StandBy = "505",
}

impl Refusal {
    /// The body of the reply.
    pub fn body(&self) -> Vec<Frame> {
        vec![
            Frame::copy_from_slice(REFUSED),
            self.code.as_str().into(),
            self.text.as_str().into(),
        ]
    }

    /// What the body of a reply says, if it is one of these.
    pub fn read(body: &[Frame]) -> Option<Refusal> {
        let [first, code, text] = body else {
            return None;
        };
        let code = RefusalCode::read(code).filter(|_| *first == REFUSED)?;
        let text = text.to_string_lossy().into_owned();
        Some(Refusal { code, text })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.as_str(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_off_as_they_were_put_on() {
        let key = Key {
            client: *b"0123456789abcdef",
            number: 7,
        };
        let mut body = vec![key.stamp(), "x".into()];
        assert_eq!(Key::take(&mut body), Some(key));
        assert_eq!(body, [Frame::from("x")]);
        assert_eq!(Key::take(&mut body), None);
        let mut body = vec![key.stamp_part(3), "x".into()];
        assert_eq!(Key::take(&mut body), None, "that is a reply's");
        assert_eq!(Key::take_part(&mut body), Some((key, 3)));
        let mut alone = vec![key.stamp()];
        assert_eq!(Key::take(&mut alone), None, "there is no body");
        let mut longer = vec![Frame::from([&*key.stamp(), b"1"].concat()), "x".into()];
        assert_eq!(Key::take(&mut longer), None);
        assert_eq!(longer.len(), 2);
    }

    #[test]
    fn refusals_are_told_from_replies() {
        let refusal = Refusal {
            code: RefusalCode::Busy,
            text: "full".to_owned(),
        };
        assert_eq!(Refusal::read(&refusal.body()), Some(refusal.clone()));
        for n in 0..3 {
            let mut other = refusal.body();
            other[n] = "other".into();
            assert_eq!(Refusal::read(&other).is_some(), n == 2);
        }
    }
}
