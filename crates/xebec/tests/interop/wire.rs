//! Peers made of bytes: ZMTP as its RFCs put it on the wire, written down a second time.
//!
//! [`Wire`] reads and writes octets and [`Peer`] speaks one [`Dialect`] over it: 13/ZMTP 1.0
//! without a greeting (libzmq 2.x) and with one (revision 0), 15/ZMTP 2.0 (libzmq 3.2), 23/ZMTP
//! 3.0 and 37/ZMTP 3.1. What Xebec sends is compared octet by octet. Nothing in this file is
//! shared with the protocol crate.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use xebec::{Socket, SocketType};

use super::{SOON, tcp};

/// A connection of octets.
pub(crate) struct Wire(TcpStream);

impl Wire {
    /// Connects to a `tcp://` endpoint.
    pub(crate) fn connect(endpoint: &str) -> Wire {
        let address = endpoint.strip_prefix("tcp://").unwrap();
        Wire::new(TcpStream::connect(address).unwrap())
    }

    /// A connection with a socket of Xebec.
    #[track_caller]
    pub(crate) fn join(socket: &Socket, role: Role) -> Wire {
        match role {
            Role::Connects => Wire::connect(&socket.bind(&tcp()).unwrap()),
            Role::Listens => {
                let (listener, endpoint) = listen();
                socket.connect(&endpoint).unwrap();
                Wire::accept(&listener)
            }
        }
    }

    /// Takes the next connection of a listener.
    #[track_caller]
    pub(crate) fn accept(listener: &TcpListener) -> Wire {
        let patience = SOON.try_into().unwrap();
        let mut waits = [PollFd::new(listener, PollFlags::IN)];
        assert_eq!(poll(&mut waits, Some(&patience)).unwrap(), 1, "nobody came");
        Wire::new(listener.accept().unwrap().0)
    }

    fn new(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Wire(stream)
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).unwrap();
    }

    /// Sends octet by octet, each in a segment of its own.
    pub(crate) fn drip(&mut self, octets: &[u8]) {
        octets.iter().for_each(|&octet| self.send(&[octet]));
    }

    /// The next `n` octets.
    #[track_caller]
    pub(crate) fn read(&mut self, n: usize) -> Vec<u8> {
        let mut octets = vec![0; n];
        let mut there = 0;
        while there < n {
            match self.0.read(&mut octets[there..]) {
                Ok(0) => panic!("closed after {}", octets[..there].escape_ascii()),
                Ok(more) => there += more,
                Err(error) => panic!("{error} after {}", octets[..there].escape_ascii()),
            }
        }
        octets
    }

    /// Exactly these octets come next.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        let mut octets = vec![0; expected.len()];
        let mut there = 0;
        while there < expected.len() {
            let more = self.0.read(&mut octets[there..]).unwrap_or(0);
            let new = there..there + more;
            there += more;
            if more == 0 || octets[new.clone()] != expected[new] {
                let (got, expected) = (around(&octets[..there]), around(expected));
                panic!("there came\n{got}\nand not\n{expected}");
            }
        }
    }

    /// The other side closes, or resets, whatever it sends before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it stays"),
            _ => rest,
        }
    }

    /// Whether anything comes in this time.
    pub(crate) fn says_something_within(&mut self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).unwrap();
        let said = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(SOON)).unwrap();
        said.is_ok()
    }

    /// Ends this direction; the other stays open.
    pub(crate) fn end_output(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A listener and its endpoint.
pub(crate) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

fn around(octets: &[u8]) -> String {
    match octets.len() {
        0..=300 => octets.escape_ascii().to_string(),
        len => format!("{}... ({len} octets)", octets[..300].escape_ascii()),
    }
}

/// A version of the protocol, as a peer speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dialect {
    /// 1.0, as libzmq 2.x: an identity frame and no greeting.
    Unversioned,
    /// 1.0 behind a greeting with revision 0.
    V1,
    /// 2.0, as libzmq 3.2: revision 1.
    V2,
    V3_0,
    V3_1,
}

pub(crate) use Dialect::*;

/// Who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The peer of bytes connects.
    Connects,
    /// Xebec connects.
    Listens,
}

/// A peer that has shaken hands.
pub(crate) struct Peer {
    pub(crate) wire: Wire,
    pub(crate) dialect: Dialect,
}

impl Dialect {
    /// A frame of this version.
    pub(crate) fn frame(self, more: bool, body: &[u8]) -> Vec<u8> {
        match self {
            Unversioned | V1 => frame_v1(more, body),
            _ => frame_v2(u8::from(more), body),
        }
    }

    /// A message of this version.
    pub(crate) fn message<P: AsRef<[u8]>>(self, parts: &[P]) -> Vec<u8> {
        let last = parts.len() - 1;
        let mut message = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            message.append(&mut self.frame(i < last, part.as_ref()));
        }
        message
    }

    /// A subscription of this version, or its end.
    pub(crate) fn subscription(self, on: bool, topic: &[u8]) -> Vec<u8> {
        match (self, on) {
            (V3_1, true) => command("SUBSCRIBE", topic),
            (V3_1, false) => command("CANCEL", topic),
            (_, on) => self.frame(false, &[&[u8::from(on)], topic].concat()),
        }
    }

    /// All that a peer of this version sends before its first message.
    pub(crate) fn opening(self, kind: SocketType, id: &[u8]) -> Vec<u8> {
        match self {
            Unversioned => self.frame(false, id),
            V1 | V2 => {
                let revision = u8::from(self == V2);
                let greeting = [&signature(id)[..], &[revision, kind.number()]].concat();
                [greeting, self.frame(false, id)].concat()
            }
            V3_0 => [greeting_v3(0, 0), ready(kind, id)].concat(),
            V3_1 => [greeting_v3(0, 1), ready(kind, id)].concat(),
        }
    }

    /// What Xebec sends to a peer of this version before its first message.
    pub(crate) fn answer(self, kind: SocketType, id: &[u8]) -> Vec<u8> {
        match self {
            Unversioned => [&signature(id), id].concat(),
            V1 | V2 => {
                // 15/ZMTP has no numbers for the types with an X.
                let number = match kind {
                    SocketType::Xpub => 1,
                    SocketType::Xsub => 2,
                    other => other.number(),
                };
                [&signature(id)[..], &[3, number], &self.frame(false, id)].concat()
            }
            V3_0 | V3_1 => {
                let mut greeting = greeting_v3(0, 1);
                greeting[..10].copy_from_slice(&signature(id));
                [greeting, ready(kind, id)].concat()
            }
        }
    }
}

/// What is a signature to newer peers, and to a 1.0 peer the header of an identity frame.
fn signature(id: &[u8]) -> [u8; 10] {
    let [high, low] = (id.len() as u16 + 1).to_be_bytes();
    [0xFF, 0, 0, 0, 0, 0, 0, high, low, 0x7F]
}

/// 13/ZMTP: the length counts the flags.
fn frame_v1(more: bool, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u64 + 1;
    let mut frame = Vec::new();
    if len < 255 {
        frame.push(len as u8);
    } else {
        frame.push(0xFF);
        frame.extend(len.to_be_bytes());
    }
    frame.push(more.into());
    frame.extend(body);
    frame
}

/// 15/ZMTP and later: flags, then one octet of length or eight.
pub(crate) fn frame_v2(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    if let Ok(len) = u8::try_from(body.len()) {
        frame.extend([flags, len]);
    } else {
        frame.push(flags | 2);
        frame.extend((body.len() as u64).to_be_bytes());
    }
    frame.extend(body);
    frame
}

/// A command frame of 23/ZMTP.
pub(crate) fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let body = [&[name.len() as u8], name.as_bytes(), data].concat();
    frame_v2(4, &body)
}

/// The 64 octets that begin a connection of 23/ZMTP; `padding` is its ninth.
pub(crate) fn greeting_v3(padding: u8, minor: u8) -> Vec<u8> {
    let mut greeting = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, padding, 0x7F, 3, minor];
    greeting.extend(b"NULL");
    greeting.resize(64, 0);
    greeting
}

/// READY of a socket without properties of its own.
pub(crate) fn ready(kind: SocketType, id: &[u8]) -> Vec<u8> {
    let mut properties = property("Socket-Type", kind.name().as_bytes());
    if matches!(
        kind,
        SocketType::Req | SocketType::Dealer | SocketType::Router
    ) {
        properties.extend(property("Identity", id));
    }
    command("READY", &properties)
}

fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let mut property = vec![name.len() as u8];
    property.extend(name.as_bytes());
    property.extend((value.len() as u32).to_be_bytes());
    property.extend(value);
    property
}

impl Peer {
    /// Joins a socket of Xebec as a peer of the type `kind`, and sees that the socket greets it
    /// as it should.
    #[track_caller]
    pub(crate) fn join(
        socket: &Socket,
        role: Role,
        dialect: Dialect,
        kind: SocketType,
        id: &[u8],
    ) -> Peer {
        let mut wire = Wire::join(socket, role);
        wire.send(&dialect.opening(kind, id));
        let their_id = socket.options().routing_id;
        wire.expect(&dialect.answer(socket.kind(), &their_id));
        Peer { wire, dialect }
    }

    pub(crate) fn send<P: AsRef<[u8]>>(&mut self, parts: &[P]) {
        self.wire.send(&self.dialect.message(parts));
    }

    /// Exactly this message comes next.
    #[track_caller]
    pub(crate) fn expect<P: AsRef<[u8]>>(&mut self, parts: &[P]) {
        self.wire.expect(&self.dialect.message(parts));
    }

    pub(crate) fn subscribe(&mut self, topic: &[u8]) {
        self.wire.send(&self.dialect.subscription(true, topic));
    }

    pub(crate) fn cancel(&mut self, topic: &[u8]) {
        self.wire.send(&self.dialect.subscription(false, topic));
    }

    #[track_caller]
    pub(crate) fn expect_subscription(&mut self, on: bool, topic: &[u8]) {
        self.wire.expect(&self.dialect.subscription(on, topic));
    }
}
