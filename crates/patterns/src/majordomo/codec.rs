//! The frames of the Majordomo protocol, both versions: MDP 0.1 (RFC 7) and MDP 0.2 (RFC 18).
//!
//! | command | 0.1 | 0.2 |
//! |---|---|---|
//! | client REQUEST | `""` `MDPC01` service body… | `MDPC02` 01 service body… |
//! | client PARTIAL | none | `MDPC02` 02 service body… |
//! | client REPLY or FINAL | `""` `MDPC01` service body… | `MDPC02` 03 service body… |
//! | worker READY | `""` `MDPW01` 01 service | `MDPW02` 01 service |
//! | worker REQUEST | `""` `MDPW01` 02 address `""` body… | `MDPW02` 02 address `""` body… |
//! | worker PARTIAL | none | `MDPW02` 03 address `""` body… |
//! | worker REPLY or FINAL | `""` `MDPW01` 03 address `""` body… | `MDPW02` 04 address `""` body… |
//! | worker HEARTBEAT | `""` `MDPW01` 04 | `MDPW02` 05 |
//! | worker DISCONNECT | `""` `MDPW01` 05 | `MDPW02` 06 |
//!
//! A body is one frame or more. A service name is 1 to [`SERVICE_NAME`] bytes of UTF-8 without control
//! characters. Whatever else comes is an [`Invalid`].
//!
//! The Python package majortomo speaks 0.2 in a way of its own: with an empty frame in front of every
//! command, which RFC 18 took away, with the workers' numbers for the clients' commands (02, 03, 04),
//! and without the service in what clients are sent. Both ways are read, and a peer is answered in
//! its own.

use std::fmt;

use xebec::{Frame, Message};

/// The longest name of a service, in bytes.
pub const SERVICE_NAME: usize = 255;

const CLIENT_01: &[u8] = b"MDPC01";
const CLIENT_02: &[u8] = b"MDPC02";
const WORKER_01: &[u8] = b"MDPW01";
const WORKER_02: &[u8] = b"MDPW02";

/// Which version of the protocol a peer speaks, and how it frames it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// MDP 0.1, RFC 7.
    Mdp01,
    /// MDP 0.2, RFC 18.
    #[default]
    Mdp02,
    /// MDP 0.2 as majortomo has it, see [the module](self).
    Majortomo,
}

impl Dialect {
    /// Whether a request may be answered in several parts.
    pub fn has_partials(self) -> bool {
        self != Dialect::Mdp01
    }

    /// The numbers of a client's REQUEST, PARTIAL and FINAL.
    fn numbers(self) -> [u8; 3] {
        match self {
            Dialect::Majortomo => [2, 3, 4],
            _ => [1, 2, 3],
        }
    }

    fn is_delimited(self) -> bool {
        self != Dialect::Mdp02
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Mdp01 => "0.1",
            Dialect::Mdp02 | Dialect::Majortomo => "0.2",
        })
    }
}

/// What a broker receives, behind the sender's routing id.
#[derive(Clone, Debug, PartialEq)]
pub enum ToBroker {
    /// A client's REQUEST.
    Request {
        /// The service that it asks for.
        service: Frame,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// A command of a worker.
    Worker(FromWorker),
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// It offers a service.
    Ready {
        /// The name of the service.
        service: Frame,
    },
    /// One part of a reply, with more to come. Not in MDP 0.1.
    Partial {
        /// The address that came with the request.
        address: Frame,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// The reply, or its last part.
    Final {
        /// The address that came with the request.
        address: Frame,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// It is alive.
    Heartbeat,
    /// It leaves.
    Disconnect,
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// Something to do.
    Request {
        /// What must come back with the reply, untouched.
        address: Frame,
        /// One frame or more.
        body: Vec<Frame>,
    },
    /// The broker is alive.
    Heartbeat,
    /// The broker knows it no more: it is to begin anew.
    Disconnect,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct ToClient {
    /// Whether no more parts follow. Always so in MDP 0.1.
    pub last: bool,
    /// The service that was asked; empty where [majortomo](Dialect::Majortomo) leaves it out.
    pub service: Frame,
    /// One frame or more.
    pub body: Vec<Frame>,
}

/// Why a message is none of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// It begins with none of the headers, or with one that the receiver is not for.
    Protocol,
    /// The header is followed by an unknown command, or by none.
    Command,
    /// Frames are missing.
    Short,
    /// There are frames behind a command that has none.
    Long,
    /// The service name is empty, too long, not UTF-8, or has control characters.
    Service,
    /// The address of a request is not followed by an empty frame, or is empty itself.
    Envelope,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invalid::Protocol => "not a Majordomo message",
            Invalid::Command => "an unknown command",
            Invalid::Short => "frames are missing",
            Invalid::Long => "frames too many",
            Invalid::Service => "not a service name",
            Invalid::Envelope => "not an address and an empty frame",
        })
    }
}

impl std::error::Error for Invalid {}

/// Whether it can name a service.
pub fn is_service_name(name: &[u8]) -> bool {
    (1..=SERVICE_NAME).contains(&name.len())
        && std::str::from_utf8(name).is_ok_and(|name| !name.chars().any(char::is_control))
}

/// Takes frames from the front.
struct Reader(std::vec::IntoIter<Frame>);

impl Reader {
    fn next(&mut self) -> Result<Frame, Invalid> {
        self.0.next().ok_or(Invalid::Short)
    }

    /// The header, with whether an empty frame stood in front.
    fn header(&mut self) -> Result<(Frame, bool), Invalid> {
        let first = self.0.next().ok_or(Invalid::Protocol)?;
        if !first.is_empty() {
            return Ok((first, false));
        }
        Ok((self.0.next().ok_or(Invalid::Protocol)?, true))
    }

    fn command(&mut self) -> Result<u8, Invalid> {
        match self.0.next().as_deref() {
            Some([command]) => Ok(*command),
            _ => Err(Invalid::Command),
        }
    }

    fn service(&mut self) -> Result<Frame, Invalid> {
        let name = self.next()?;
        is_service_name(&name)
            .then_some(name)
            .ok_or(Invalid::Service)
    }

    fn address(&mut self) -> Result<Frame, Invalid> {
        let (address, delimiter) = (self.next()?, self.next()?);
        if address.is_empty() || !delimiter.is_empty() {
            return Err(Invalid::Envelope);
        }
        Ok(address)
    }

    fn body(self) -> Result<Vec<Frame>, Invalid> {
        match self.0.len() {
            0 => Err(Invalid::Short),
            _ => Ok(self.0.collect()),
        }
    }

    fn end(mut self) -> Result<(), Invalid> {
        self.0.next().map_or(Ok(()), |_| Err(Invalid::Long))
    }
}

/// The dialect of a header with or without an empty frame in front.
fn dialect(header: &[u8], delimited: bool, old: &[u8], new: &[u8]) -> Result<Dialect, Invalid> {
    match delimited {
        true if header == old => Ok(Dialect::Mdp01),
        true if header == new => Ok(Dialect::Majortomo),
        false if header == new => Ok(Dialect::Mdp02),
        _ => Err(Invalid::Protocol),
    }
}

/// Whether the frames behind the routing id claim to be a worker's.
pub(super) fn is_workers(message: &Message) -> bool {
    let header = message.frame(header_at(message));
    header.is_some_and(|header| *header == WORKER_01 || *header == WORKER_02)
}

/// What a message to a worker, with the routing id in front, tells it; `None` for one to a client.
pub(super) fn told(message: &Message) -> Option<ToWorker> {
    let frames = message.frames().skip(1).cloned().collect();
    ToWorker::parse(frames).ok().map(|(_, told)| told)
}

/// The service that is asked for, if the frames behind the routing id claim to be a client's request.
pub(super) fn asked_service(message: &Message) -> Option<&Frame> {
    let at = header_at(message);
    match message.frame(at)? {
        header if *header == CLIENT_01 => message.frame(at + 1),
        header if *header == CLIENT_02 => message.frame(at + 2),
        _ => None,
    }
}

/// Where the header is, behind a routing id and perhaps an empty frame.
fn header_at(message: &Message) -> usize {
    1 + usize::from(message.frame(1).is_some_and(|frame| frame.is_empty()))
}

impl ToBroker {
    /// Reads what a broker received, without the sender's routing id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(frames: Vec<Frame>) -> Result<(Dialect, ToBroker), Invalid> {
        let mut reader = Reader(frames.into_iter());
        let (header, delimited) = reader.header()?;
        if let Ok(dialect) = dialect(&header, delimited, CLIENT_01, CLIENT_02) {
            if dialect.has_partials() && reader.command()? != dialect.numbers()[0] {
                return Err(Invalid::Command);
            }
            let service = reader.service()?;
            let body = reader.body()?;
            return Ok((dialect, ToBroker::Request { service, body }));
        }
        let dialect = dialect(&header, delimited, WORKER_01, WORKER_02)?;
        let command = reader.command()?;
        let command = match (command, dialect.has_partials()) {
            (1, _) => {
                let service = reader.service()?;
                reader.end()?;
                FromWorker::Ready { service }
            }
            (3, true) => FromWorker::Partial {
                address: reader.address()?,
                body: reader.body()?,
            },
            (3, false) | (4, true) => FromWorker::Final {
                address: reader.address()?,
                body: reader.body()?,
            },
            (4, false) | (5, true) => {
                reader.end()?;
                FromWorker::Heartbeat
            }
            (5, false) | (6, true) => {
                reader.end()?;
                FromWorker::Disconnect
            }
            _ => return Err(Invalid::Command),
        };
        Ok((dialect, ToBroker::Worker(command)))
    }

    /// The frames as a DEALER sends them. A PARTIAL in MDP 0.1, which has none, is sent as a REPLY.
    pub fn frames(self, dialect: Dialect) -> Message {
        match self {
            ToBroker::Request { service, body } => {
                let mut message = begin(None, dialect, CLIENT_01, CLIENT_02, None);
                if dialect.has_partials() {
                    message.push_back([dialect.numbers()[0]]);
                }
                message.push_back(service);
                append(message, body)
            }
            ToBroker::Worker(command) => command.frames(dialect),
        }
    }
}

impl FromWorker {
    fn frames(self, dialect: Dialect) -> Message {
        let number = match (&self, dialect.has_partials()) {
            (FromWorker::Ready { .. }, _) => 1,
            (FromWorker::Partial { .. }, _) | (FromWorker::Final { .. }, false) => 3,
            (FromWorker::Final { .. }, true) | (FromWorker::Heartbeat, false) => 4,
            (FromWorker::Heartbeat, true) | (FromWorker::Disconnect, false) => 5,
            (FromWorker::Disconnect, true) => 6,
        };
        let mut message = begin(None, dialect, WORKER_01, WORKER_02, Some(number));
        match self {
            FromWorker::Ready { service } => {
                message.push_back(service);
                message
            }
            FromWorker::Partial { address, body } | FromWorker::Final { address, body } => {
                message.push_back(address);
                message.push_back("");
                append(message, body)
            }
            FromWorker::Heartbeat | FromWorker::Disconnect => message,
        }
    }
}

impl ToWorker {
    /// Reads what a worker's DEALER received.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: Message) -> Result<(Dialect, ToWorker), Invalid> {
        let mut reader = Reader(message.into_iter());
        let (header, delimited) = reader.header()?;
        let dialect = dialect(&header, delimited, WORKER_01, WORKER_02)?;
        let command = match (reader.command()?, dialect.has_partials()) {
            (2, _) => ToWorker::Request {
                address: reader.address()?,
                body: reader.body()?,
            },
            (4, false) | (5, true) => {
                reader.end()?;
                ToWorker::Heartbeat
            }
            (5, false) | (6, true) => {
                reader.end()?;
                ToWorker::Disconnect
            }
            _ => return Err(Invalid::Command),
        };
        Ok((dialect, command))
    }

    /// The frames as a ROUTER sends them, to the worker of this routing id.
    pub fn frames(self, to: Frame, dialect: Dialect) -> Message {
        let number = match (&self, dialect.has_partials()) {
            (ToWorker::Request { .. }, _) => 2,
            (ToWorker::Heartbeat, false) => 4,
            (ToWorker::Heartbeat, true) | (ToWorker::Disconnect, false) => 5,
            (ToWorker::Disconnect, true) => 6,
        };
        let mut message = begin(Some(to), dialect, WORKER_01, WORKER_02, Some(number));
        if let ToWorker::Request { address, body } = self {
            message.push_back(address);
            message.push_back("");
            message = append(message, body);
        }
        message
    }
}

impl ToClient {
    /// Reads what a client's DEALER received.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: Message) -> Result<(Dialect, ToClient), Invalid> {
        let mut reader = Reader(message.into_iter());
        let (header, delimited) = reader.header()?;
        let dialect = dialect(&header, delimited, CLIENT_01, CLIENT_02)?;
        let last = match dialect.has_partials() {
            false => true,
            true => {
                let [_, partial, last] = dialect.numbers();
                match reader.command()? {
                    command if command == last => true,
                    command if command == partial => false,
                    _ => return Err(Invalid::Command),
                }
            }
        };
        let service = match dialect {
            Dialect::Majortomo => Frame::new(),
            _ => reader.service()?,
        };
        let body = reader.body()?;
        Ok((
            dialect,
            ToClient {
                last,
                service,
                body,
            },
        ))
    }

    /// The frames as a ROUTER sends them, to the client of this routing id.
    pub fn frames(self, to: Frame, dialect: Dialect) -> Message {
        let mut message = begin(Some(to), dialect, CLIENT_01, CLIENT_02, None);
        if dialect.has_partials() {
            message.push_back([dialect.numbers()[if self.last { 2 } else { 1 }]]);
        }
        if dialect != Dialect::Majortomo {
            message.push_back(self.service);
        }
        append(message, self.body)
    }
}

fn begin(
    to: Option<Frame>,
    dialect: Dialect,
    old: &'static [u8],
    new: &'static [u8],
    command: Option<u8>,
) -> Message {
    let header = Frame::copy_from_slice(if dialect.has_partials() { new } else { old });
    let delimiter = dialect.is_delimited().then(Frame::new);
    let command = command.map(|command| Frame::from([command]));
    to.into_iter()
        .chain(delimiter)
        .chain([header])
        .chain(command)
        .collect()
}

fn append(mut message: Message, body: Vec<Frame>) -> Message {
    for frame in body {
        message.push_back(frame);
    }
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIALECTS: [Dialect; 3] = [Dialect::Mdp01, Dialect::Mdp02, Dialect::Majortomo];

    fn message(frames: &[&str]) -> Message {
        frames.iter().copied().collect()
    }

    fn request(service: &str) -> ToBroker {
        ToBroker::Request {
            service: service.into(),
            body: vec!["x".into()],
        }
    }

    fn frames(frames: &[&str]) -> Vec<Frame> {
        frames.iter().map(|frame| Frame::from(*frame)).collect()
    }

    #[test]
    fn frames_are_those_of_the_rfcs() {
        let (old, new) = (Dialect::Mdp01, Dialect::Mdp02);
        let reply = || FromWorker::Final {
            address: "a".into(),
            body: frames(&["b", "c"]),
        };
        for (dialect, command, expected) in [
            (old, request("echo"), &["", "MDPC01", "echo", "x"][..]),
            (new, request("echo"), &["MDPC02", "\x01", "echo", "x"]),
            (
                Dialect::Majortomo,
                request("echo"),
                &["", "MDPC02", "\x02", "echo", "x"],
            ),
            (
                old,
                ToBroker::Worker(FromWorker::Ready {
                    service: "echo".into(),
                }),
                &["", "MDPW01", "\x01", "echo"],
            ),
            (
                old,
                ToBroker::Worker(reply()),
                &["", "MDPW01", "\x03", "a", "", "b", "c"],
            ),
            (
                new,
                ToBroker::Worker(reply()),
                &["MDPW02", "\x04", "a", "", "b", "c"],
            ),
            (
                old,
                ToBroker::Worker(FromWorker::Heartbeat),
                &["", "MDPW01", "\x04"],
            ),
            (
                new,
                ToBroker::Worker(FromWorker::Disconnect),
                &["MDPW02", "\x06"],
            ),
        ] {
            assert_eq!(command.clone().frames(dialect), message(expected));
            let parsed = ToBroker::parse(frames(expected));
            assert_eq!(parsed, Ok((dialect, command)));
        }
        let to_client = ToClient {
            last: true,
            service: "echo".into(),
            body: frames(&["y"]),
        };
        let sent = to_client.clone().frames("id".into(), new);
        assert_eq!(sent, message(&["id", "MDPC02", "\x03", "echo", "y"]));
        let sent = to_client.clone().frames("id".into(), Dialect::Majortomo);
        assert_eq!(sent, message(&["id", "", "MDPC02", "\x04", "y"]));
        let sent = to_client.frames("id".into(), old);
        assert_eq!(sent, message(&["id", "", "MDPC01", "echo", "y"]));
        let sent = ToWorker::Request {
            address: "a".into(),
            body: frames(&["b"]),
        };
        let sent = sent.frames("id".into(), Dialect::Majortomo);
        assert_eq!(sent, message(&["id", "", "MDPW02", "\x02", "a", "", "b"]));
    }

    #[test]
    fn what_is_not_the_protocol_is_told_apart() {
        for (bad, why) in [
            (&[""][..], Invalid::Protocol),
            (&["MDPC01", "echo", "x"], Invalid::Protocol),
            (&["", "MDPC03", "echo", "x"], Invalid::Protocol),
            (&["MDPC02"], Invalid::Command),
            (&["MDPC02", "\x02", "echo", "x"], Invalid::Command),
            (&["MDPC02", "", "echo", "x"], Invalid::Command),
            (&["MDPC02", "\x01", "echo"], Invalid::Short),
            (&["", "MDPC01", "", "x"], Invalid::Service),
            (&["", "MDPC01", "a\nb", "x"], Invalid::Service),
            (&["MDPW02", "\x01"], Invalid::Short),
            (&["MDPW02", "\x01", "echo", "x"], Invalid::Long),
            (&["MDPW02", "\x02", "a", "", "x"], Invalid::Command),
            (&["MDPW02", "\x05", "x"], Invalid::Long),
            (&["", "MDPW01", "\x06"], Invalid::Command),
            (&["", "MDPW01", "\x03", "a", "b", "c"], Invalid::Envelope),
            (&["", "MDPW01", "\x03", "", "", "c"], Invalid::Envelope),
            (&["", "MDPW01", "\x03", "a", ""], Invalid::Short),
        ] {
            assert_eq!(ToBroker::parse(frames(bad)), Err(why), "{bad:?}");
        }
        let long = "s".repeat(SERVICE_NAME + 1);
        assert_eq!(
            ToBroker::parse(frames(&["", "MDPC01", &long, "x"])),
            Err(Invalid::Service)
        );
    }

    /// Frames near the protocol, so that more than headers is reached.
    fn near() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let frame = prop_oneof![
            Just(Vec::new()),
            Just(CLIENT_01.to_vec()),
            Just(CLIENT_02.to_vec()),
            Just(WORKER_01.to_vec()),
            Just(WORKER_02.to_vec()),
            (0u8..8).prop_map(|n| vec![n]),
            Just(b"echo".to_vec()),
            prop::collection::vec(any::<u8>(), 0..300),
        ];
        prop::collection::vec(frame, 0..8)
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_as_it_was(raw in near()) {
            let frames: Vec<Frame> = raw.iter().map(Frame::from).collect();
            if let Ok((dialect, command)) = ToBroker::parse(frames.clone()) {
                prop_assert_eq!(command.frames(dialect).into_frames(), frames.clone());
            }
            let message: Message = frames.clone().into_iter().collect();
            let addressed = || [Frame::from("id")].into_iter().chain(frames.clone()).collect::<Message>();
            if let Ok((dialect, command)) = ToWorker::parse(message.clone()) {
                prop_assert_eq!(command.frames("id".into(), dialect), addressed());
            }
            if let Ok((dialect, command)) = ToClient::parse(message) {
                prop_assert_eq!(command.frames("id".into(), dialect), addressed());
            }
        }

        #[test]
        fn whatever_is_written_is_read(
            service in "[a-z.]{1,40}",
            body in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..5),
            last: bool,
        ) {
            let body: Vec<Frame> = body.iter().map(Frame::from).collect();
            for dialect in DIALECTS {
                let request = ToBroker::Request { service: service.clone().into(), body: body.clone() };
                let frames = request.clone().frames(dialect).into_frames();
                prop_assert_eq!(ToBroker::parse(frames), Ok((dialect, request)));
                let last = last || !dialect.has_partials();
                let named = if dialect == Dialect::Majortomo { "" } else { &service };
                let reply = ToClient { last, service: named.into(), body: body.clone() };
                let mut message = reply.clone().frames("id".into(), dialect);
                message.pop_front();
                prop_assert_eq!(ToClient::parse(message), Ok((dialect, reply)));
                let task = ToWorker::Request { address: "a".into(), body: body.clone() };
                let mut message = task.clone().frames("id".into(), dialect);
                message.pop_front();
                prop_assert_eq!(ToWorker::parse(message), Ok((dialect, task)));
            }
        }
    }
}
