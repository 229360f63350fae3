//! The client's side of SOCKS 5 (RFC 1928): asks a proxy to connect to somewhere, with a user name and
//! a password if there are any (RFC 1929). Bytes in, bytes out: no socket, no clock.
//!
//! [`Socks::new`] gives the first words. Then, until a step is [`Step::Done`]: read no more than
//! [`Socks::wants`] bytes, for what follows belongs to the peer behind the proxy, hand them to
//! [`Socks::take`] in pieces of any size, and send what it says.
//!
//! Nothing of the crate is used here: the fuzz target compiles this file by itself.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

const SOCKS: u8 = 5;
/// The version of the sub-negotiation of RFC 1929.
const LOGIN: u8 = 1;

const WITHOUT_LOGIN: u8 = 0;
const WITH_LOGIN: u8 = 2;
const NO_METHOD: u8 = 0xff;

const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The longest answer: a reply with a name of 255 bytes.
pub(crate) const LONGEST: usize = 7 + 255;

/// Where the proxy is to connect to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// A name for the proxy to look up; 255 bytes of it count.
    Name(String),
}

/// A conversation with a proxy.
#[derive(Debug)]
pub(crate) struct Socks {
    stage: Stage,
    /// What there is of the answer that is awaited.
    answer: Vec<u8>,
}

/// Whose answer is awaited, and what is to be said after it.
#[derive(Debug)]
enum Stage {
    /// To the methods on offer.
    Method {
        login: Option<Vec<u8>>,
        request: Vec<u8>,
    },
    /// To the user name and password.
    Login {
        request: Vec<u8>,
    },
    /// To the request.
    Reply,
    Done,
}

/// What an answer, or a piece of it, comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More of it is to come.
    More,
    /// This is to be sent now.
    Say(Vec<u8>),
    /// The stream leads to the destination.
    Done,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocksError {
    /// Whatever listens there begins its answer with this byte.
    NotSocks(u8),
    /// It wants a user name and a password, and there are none.
    LoginWanted,
    /// It does not let a user name and a password say who we are.
    LoginUnwanted,
    /// It chose a method that was not on offer.
    NotOffered(u8),
    /// It does not know this user by this password.
    LoginRejected(u8),
    /// It did not connect, for this reason.
    Failed(u8),
    /// A byte of its reply that RFC 1928 does not allow.
    Malformed { what: &'static str, byte: u8 },
}

impl Socks {
    /// Begins a conversation, which ends with a connection to `port` of `destination`. Also gives
    /// what is to be sent first. Of the user name and of the password 255 bytes count.
    pub(crate) fn new(
        destination: &Destination,
        port: u16,
        login: Option<(&str, &str)>,
    ) -> (Socks, Vec<u8>) {
        let mut request = vec![SOCKS, CONNECT, 0];
        match destination {
            Destination::V4(address) => {
                request.push(IPV4);
                request.extend(address.octets());
            }
            Destination::V6(address) => {
                request.push(IPV6);
                request.extend(address.octets());
            }
            Destination::Name(name) => {
                request.push(NAME);
                push(&mut request, name);
            }
        }
        request.extend(port.to_be_bytes());
        let login = login.map(|(user, password)| {
            let mut login = vec![LOGIN];
            push(&mut login, user);
            push(&mut login, password);
            login
        });
        let method = match login {
            Some(_) => WITH_LOGIN,
            None => WITHOUT_LOGIN,
        };
        let socks = Socks {
            stage: Stage::Method { login, request },
            answer: Vec::with_capacity(LONGEST),
        };
        (socks, vec![SOCKS, 1, method])
    }

    /// How many bytes may be read now, at most [`LONGEST`]; none when the conversation is over.
    pub(crate) fn wants(&self) -> usize {
        let whole = match self.stage {
            Stage::Method { .. } | Stage::Login { .. } => 2,
            Stage::Reply => match self.answer[..] {
                [_, _, _, IPV4, _, ..] => 10,
                [_, _, _, IPV6, _, ..] => 22,
                [_, _, _, _, length, ..] => 7 + usize::from(length),
                // Enough to know the rest, and less than any reply has.
                _ => 5,
            },
            Stage::Done => 0,
        };
        whole.saturating_sub(self.answer.len())
    }

    /// Takes what the proxy said, of which no more than [`wants`](Self::wants) bytes are its own.
    /// After an error the conversation is over, and so is the connection.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Step, SocksError> {
        let own = bytes.len().min(self.wants());
        self.answer.extend_from_slice(&bytes[..own]);
        self.check()?;
        if self.wants() > 0 {
            return Ok(Step::More);
        }
        self.answer.clear();
        let (stage, step) = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Method {
                login: Some(login),
                request,
            } => (Stage::Login { request }, Step::Say(login)),
            Stage::Method {
                login: None,
                request,
            }
            | Stage::Login { request } => (Stage::Reply, Step::Say(request)),
            Stage::Reply | Stage::Done => (Stage::Done, Step::Done),
        };
        self.stage = stage;
        Ok(step)
    }

    /// Every byte is looked at as soon as it is there: who speaks another protocol may wait for us.
    fn check(&self) -> Result<(), SocksError> {
        let byte = |at: usize| self.answer.get(at).copied();
        let version = match self.stage {
            Stage::Login { .. } => LOGIN,
            _ => SOCKS,
        };
        match byte(0) {
            Some(other) if other != version => return Err(SocksError::NotSocks(other)),
            _ => {}
        }
        match (&self.stage, byte(1)) {
            (_, None) => return Ok(()),
            (Stage::Method { login: None, .. }, Some(WITHOUT_LOGIN))
            | (Stage::Method { login: Some(_), .. }, Some(WITH_LOGIN))
            | (Stage::Login { .. } | Stage::Reply, Some(0))
            | (Stage::Done, _) => {}
            (Stage::Method { login: None, .. }, Some(NO_METHOD)) => {
                return Err(SocksError::LoginWanted);
            }
            (Stage::Method { .. }, Some(NO_METHOD)) => return Err(SocksError::LoginUnwanted),
            (Stage::Method { .. }, Some(other)) => return Err(SocksError::NotOffered(other)),
            (Stage::Login { .. }, Some(status)) => return Err(SocksError::LoginRejected(status)),
            (Stage::Reply, Some(code)) => return Err(SocksError::Failed(code)),
        }
        let malformed = |what, byte| Err(SocksError::Malformed { what, byte });
        match byte(2) {
            None | Some(0) => {}
            Some(other) => return malformed("reserved byte", other),
        }
        match byte(3) {
            None | Some(IPV4 | NAME | IPV6) => Ok(()),
            Some(other) => malformed("address type", other),
        }
    }
}

/// A text behind its length.
fn push(out: &mut Vec<u8>, text: &str) {
    let length = text.len().min(u8::MAX.into());
    out.push(length as u8);
    out.extend(&text.as_bytes()[..length]);
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocksError::NotSocks(byte) => write!(
                f,
                "what listens at SOCKS_PROXY does not speak SOCKS 5: its answer begins with {byte:#04x}"
            ),
            SocksError::LoginWanted => f.write_str(
                "the proxy wants to know who asks: set SOCKS_USERNAME and SOCKS_PASSWORD",
            ),
            SocksError::LoginUnwanted => {
                f.write_str("the proxy takes no user name and password: leave SOCKS_USERNAME empty")
            }
            SocksError::NotOffered(method) => write!(
                f,
                "the proxy chose method {method:#04x}, which was not on offer"
            ),
            SocksError::LoginRejected(status) => write!(
                f,
                "the proxy rejects SOCKS_USERNAME and SOCKS_PASSWORD (status {status:#04x})"
            ),
            SocksError::Failed(code) => {
                f.write_str("the proxy did not connect: ")?;
                match code {
                    1 => f.write_str("it failed"),
                    2 => f.write_str("its rules do not allow it"),
                    3 => f.write_str("network unreachable"),
                    4 => f.write_str("host unreachable"),
                    5 => f.write_str("connection refused"),
                    6 => f.write_str("too many networks away (TTL expired)"),
                    7 => f.write_str("it does not know how"),
                    8 => f.write_str("it does not know such addresses"),
                    other => write!(f, "reply code {other:#04x}"),
                }
            }
            SocksError::Malformed { what, byte } => {
                write!(f, "the proxy's reply has the {what} {byte:#04x}")
            }
        }
    }
}

impl std::error::Error for SocksError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what the proxy says, in pieces, and gives what was said to it and how it ended.
    fn talk(
        destination: Destination,
        login: Option<(&str, &str)>,
        answers: &[u8],
        piece: usize,
    ) -> (Vec<u8>, usize, Result<Step, SocksError>) {
        let (mut socks, mut said) = Socks::new(&destination, 5555, login);
        let mut at = 0;
        loop {
            let end = (at + socks.wants().min(piece)).min(answers.len());
            let bytes = &answers[at..end];
            at = end;
            match socks.take(bytes) {
                Ok(Step::Say(more)) => said.extend(more),
                Ok(Step::More) if !bytes.is_empty() => {}
                ended => return (said, at, ended),
            }
        }
    }

    fn v4() -> Destination {
        Destination::V4(Ipv4Addr::new(10, 0, 0, 7))
    }

    #[test]
    fn asks_for_each_kind_of_destination() {
        let name = "x".repeat(300);
        for (destination, asked) in [
            (v4(), &b"\x01\x0a\0\0\x07"[..]),
            (
                Destination::V6(Ipv6Addr::LOCALHOST),
                b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
            ),
            (Destination::Name("a.b".into()), b"\x03\x03a.b"),
            (
                Destination::Name(name.clone()),
                &[&b"\x03\xff"[..], &name.as_bytes()[..255]].concat(),
            ),
        ] {
            let (said, _, _) = talk(destination, None, b"\x05\0", 9);
            let expected = [&b"\x05\x01\0\x05\x01\0"[..], asked, b"\x15\xb3"].concat();
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn the_bytes_behind_the_reply_are_not_touched() {
        let replies: [&[u8]; 4] = [
            b"\x05\0\0\x01\x01\x02\x03\x04\0\x50",
            b"\x05\0\0\x04................\0\x50",
            b"\x05\0\0\x03\x04host\0\x50",
            b"\x05\0\0\x03\0\0\x50",
        ];
        for reply in replies {
            for piece in [1, 3, LONGEST] {
                let answers = [b"\x05\0", reply, b"\xff\0\0\0\0"].concat();
                let (_, taken, ended) = talk(v4(), None, &answers, piece);
                assert_eq!((taken, ended), (2 + reply.len(), Ok(Step::Done)));
            }
        }
        let longest = [b"\x05\0\x05\0\0\x03\xff", &[b'x'; 257][..]].concat();
        let (_, taken, ended) = talk(v4(), None, &longest, LONGEST);
        assert_eq!((taken, ended), (2 + LONGEST, Ok(Step::Done)));
    }

    #[test]
    fn says_who_asks() {
        let reply = b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0";
        let (said, _, ended) = talk(v4(), Some(("user", "")), reply, 1);
        let expected = b"\x05\x01\x02\x01\x04user\0\x05\x01\0\x01\x0a\0\0\x07\x15\xb3";
        assert_eq!((&said[..], ended), (&expected[..], Ok(Step::Done)));
        let long = "p".repeat(256);
        let (said, _, _) = talk(v4(), Some(("u", &long)), b"\x05\x02", 2);
        assert_eq!(said[3..].len(), 1 + 2 + 1 + 255);
    }

    #[test]
    fn each_bad_answer_has_its_error() {
        use SocksError::*;
        let login = Some(("user", "password"));
        let reserved = Malformed {
            what: "reserved byte",
            byte: 1,
        };
        let kind = Malformed {
            what: "address type",
            byte: 2,
        };
        for (login, answers, expected) in [
            (None, &b"HTTP/1.1 400"[..], NotSocks(b'H')),
            (None, b"\x04", NotSocks(4)),
            (None, b"\0\x5a", NotSocks(0)),
            (None, b"\x05\xff", LoginWanted),
            (None, b"\x05\x02", NotOffered(2)),
            (None, b"\x05\x01", NotOffered(1)),
            (login, b"\x05\xff", LoginUnwanted),
            (login, b"\x05\0", NotOffered(0)),
            (login, b"\x05\x02\x01\x01", LoginRejected(1)),
            (login, b"\x05\x02\x05\0", NotSocks(5)),
            (login, b"\x05\x02\x01\0\x05\x02", Failed(2)),
            (None, b"\x05\0\x04", NotSocks(4)),
            (None, b"\x05\0\x05\x05", Failed(5)),
            (None, b"\x05\0\x05\xff", Failed(255)),
            (None, b"\x05\0\x05\0\x01", reserved),
            (None, b"\x05\0\x05\0\0\x02", kind),
        ] {
            for piece in [1, LONGEST] {
                let (_, taken, ended) = talk(v4(), login, answers, piece);
                assert_eq!(ended, Err(expected), "{answers:?}");
                assert!(taken <= answers.len());
            }
            let text = expected.to_string();
            assert!(text.contains("proxy") || text.contains("SOCKS"), "{text}");
        }
    }

    #[test]
    fn what_is_cut_short_is_waited_for() {
        let whole = b"\x05\x02\x01\0\x05\0\0\x03\x04host\0\x50";
        for length in 0..whole.len() {
            let (_, taken, ended) = talk(v4(), Some(("u", "p")), &whole[..length], 4);
            assert_eq!((taken, ended), (length, Ok(Step::More)));
        }
    }
}
