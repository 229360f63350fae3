//! A peer made by hand: a TCP connection on which a test writes and reads single bytes.
//!
//! It can do what no socket of the library does: stop in the middle of a frame, keep silent in
//! the handshake, send an empty routing id or a reply that nobody asked for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One frame as ZMTP 2.0 and 3.x write it.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 9);
    if let Ok(short) = u8::try_from(body.len()) {
        out.extend([flags, short]);
    } else {
        out.push(flags | 2);
        out.extend((body.len() as u64).to_be_bytes());
    }
    out.extend(body);
    out
}

/// A message: all frames but the last say that more follow.
pub(crate) fn frames(bodies: &[&[u8]]) -> Vec<u8> {
    let last = bodies.len() - 1;
    bodies
        .iter()
        .enumerate()
        .flat_map(|(i, body)| frame(u8::from(i < last), body))
        .collect()
}

/// The 64 bytes that a ZMTP 3.1 peer with the NULL mechanism says first.
pub(crate) fn greeting() -> Vec<u8> {
    let mut out = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    out.extend(b"NULL");
    out.resize(64, 0);
    out
}

/// The READY command of a peer of this type and routing id.
pub(crate) fn ready(socket_type: &str, routing_id: &[u8]) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in [
        ("Socket-Type", socket_type.as_bytes()),
        ("Identity", routing_id),
    ] {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(value);
    }
    frame(4, &body)
}

/// All that a peer says in the handshake.
pub(crate) fn hello(socket_type: &str, routing_id: &[u8]) -> Vec<u8> {
    [greeting(), ready(socket_type, routing_id)].concat()
}

/// A TCP listener whose peers are [`Raw`].
pub(crate) struct RawListener(TcpListener);

impl RawListener {
    pub(crate) fn new() -> Self {
        RawListener(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Its address, to connect to.
    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.0.local_addr().expect("it is bound"))
    }

    /// The next connection, before any byte.
    #[track_caller]
    pub(crate) fn accept(&self) -> Raw {
        self.0
            .set_nonblocking(true)
            .expect("a listener can be non-blocking");
        let mut got = None;
        super::eventually("somebody connects", || {
            match self.0.accept() {
                Ok((stream, _)) => got = Some(stream),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            got.is_some()
        });
        Raw::new(got.expect("somebody has connected"))
    }

    /// The next connection, after the handshake.
    #[track_caller]
    pub(crate) fn accept_as(&self, socket_type: &str) -> Raw {
        self.accept().shake(socket_type, b"")
    }
}

/// One end of a TCP connection.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a stream can block");
        stream
            .set_nodelay(true)
            .expect("a stream can have no delay");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("reads can have a bound");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("writes can have a bound");
        Raw(stream)
    }

    /// Connects, and says nothing.
    #[track_caller]
    pub(crate) fn connect(endpoint: &str) -> Self {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        Raw::new(TcpStream::connect(address).expect("somebody listens"))
    }

    /// Connects and shakes hands as a socket of this type.
    #[track_caller]
    pub(crate) fn connect_as(endpoint: &str, socket_type: &str) -> Self {
        Raw::connect(endpoint).shake(socket_type, b"")
    }

    /// The handshake, both sides of it.
    #[track_caller]
    pub(crate) fn shake(mut self, socket_type: &str, routing_id: &[u8]) -> Self {
        self.write(&hello(socket_type, routing_id));
        let mut theirs = [0; 64];
        self.0
            .read_exact(&mut theirs)
            .expect("the greeting of the socket under test");
        let (flags, body) = self.read_frame();
        assert!(
            flags & 4 != 0 && body.starts_with(b"\x05READY"),
            "not READY: {flags} {body:?}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0
            .write_all(bytes)
            .expect("the socket under test reads");
    }

    /// Sends a whole message.
    #[track_caller]
    pub(crate) fn send(&mut self, bodies: &[&[u8]]) {
        self.write(&frames(bodies));
    }

    /// The next frame: its flags and its body.
    #[track_caller]
    pub(crate) fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        let mut len = u64::from(head[1]);
        if head[0] & 2 != 0 {
            let mut long = [0; 8];
            long[0] = head[1];
            self.0.read_exact(&mut long[1..]).expect("a long length");
            len = u64::from_be_bytes(long);
        }
        let mut body = vec![0; len as usize];
        self.0.read_exact(&mut body).expect("a body");
        (head[0], body)
    }

    /// The next message, passing over commands.
    #[track_caller]
    pub(crate) fn recv(&mut self) -> Vec<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let (flags, body) = self.read_frame();
            if flags & 4 != 0 {
                assert!(
                    message.is_empty(),
                    "a command between the frames of a message"
                );
                continue;
            }
            message.push(body);
            if flags & 1 == 0 {
                return message;
            }
        }
    }

    /// Writes until the other side takes no more, not even a little later. Returns how many bytes
    /// it took.
    pub(crate) fn flood(&mut self, bytes: &[u8]) -> usize {
        self.0
            .set_write_timeout(Some(Duration::from_millis(200)))
            .expect("writes can have a bound");
        let mut written = 0;
        loop {
            let at = written % bytes.len();
            match self.0.write(&bytes[at..]) {
                Ok(n) => written += n,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.0
            .set_write_timeout(Some(PATIENCE))
            .expect("writes can have a bound");
        written
    }

    /// Everything up to the end of the stream.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => all,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => all,
            Err(error) => panic!(
                "the connection stays open: {error} after {} bytes",
                all.len()
            ),
        }
    }

    /// The other side closes the connection, whatever it says before.
    #[track_caller]
    pub(crate) fn await_end(&mut self) {
        self.read_to_end();
    }

    /// Nothing arrives for a while.
    #[track_caller]
    pub(crate) fn read_nothing(&mut self) {
        self.0
            .set_read_timeout(Some(super::SHORT))
            .expect("reads can have a bound");
        let mut byte = [0];
        let got: io::Result<usize> = self.0.read(&mut byte);
        assert!(
            matches!(&got, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "{got:?} {byte:?}"
        );
        self.0
            .set_read_timeout(Some(PATIENCE))
            .expect("reads can have a bound");
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let none = Some(Duration::ZERO);
        socket2::SockRef::from(&self.0)
            .set_linger(none)
            .expect("a stream can be reset");
    }
}
