//! Debian's libzmq through its C API: `zmq_send` and `zmq_recv` on the caller's own buffers,
//! every option and context setting as the library has it.

use std::time::Instant;

use bytes::Bytes;
use xebec_peers::libzmq::{self as zmq, Library};

use crate::library::{self, Context, Kind, Setting, Socket};

/// Longer than any routing id.
const LONGEST_ID: usize = 256;

pub(crate) struct Libzmq;

impl library::Library for Libzmq {
    fn name(&self) -> &'static str {
        "libzmq"
    }

    fn about(&self) -> String {
        let version = Library::load().map(Library::version);
        let version = version.map_or_else(|why| why, |(a, b, c)| format!("{a}.{b}.{c}"));
        format!("{version}, Debian's libzmq5: zmq_send and zmq_recv, one I/O thread")
    }

    fn missing(&self) -> Option<String> {
        Library::load().err()
    }

    fn context(&self) -> Box<dyn Context> {
        let library = Library::load().expect("libzmq is there");
        Box::new(Shared(library.context()))
    }
}

struct Shared(zmq::Context);

impl Context for Shared {
    fn socket(&self, kind: Kind) -> Box<dyn Socket> {
        let number = match kind {
            Kind::Push => zmq::PUSH,
            Kind::Pull => zmq::PULL,
            Kind::Req => zmq::REQ,
            Kind::Rep => zmq::REP,
            Kind::Xpub => zmq::XPUB,
            Kind::Sub => zmq::SUB,
            Kind::Dealer => zmq::DEALER,
            Kind::Router => zmq::ROUTER,
        };
        Box::new(Plain {
            kind,
            socket: self.0.plain_socket(number).expect("a socket"),
            buffer: Vec::new(),
        })
    }
}

struct Plain {
    kind: Kind,
    socket: zmq::Socket,
    /// Where messages are received.
    buffer: Vec<u8>,
}

/// Receives one frame into `buffer` and checks its size.
#[inline]
fn take(socket: &zmq::Socket, buffer: &mut [u8]) {
    let size = socket.recv_frame(buffer, 0).expect("received");
    assert_eq!(size, buffer.len(), "a message of another size");
}

impl Socket for Plain {
    fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Backlog(length) => self.socket.set_int(zmq::BACKLOG, length as i32),
            Setting::NoDrop => self.socket.set_int(zmq::XPUB_NODROP, 1),
            Setting::Verbose => self.socket.set_int(zmq::XPUB_VERBOSE, 1),
            Setting::Everything => self.socket.subscribe(""),
        }
        .expect("an option that libzmq has");
    }

    fn bind(&mut self, endpoint: &str) -> String {
        self.socket.bind(endpoint).expect("bound")
    }

    fn connect(&mut self, endpoint: &str) {
        self.socket.connect(endpoint).expect("connected");
    }

    fn send_many(&mut self, body: &Bytes, count: usize) {
        self.socket.send_many(body, count).expect("sent");
    }

    fn recv_many(&mut self, size: usize, count: usize) {
        self.buffer.resize(size, 0);
        for _ in 0..count {
            take(&self.socket, &mut self.buffer);
        }
    }

    fn round_trips(&mut self, body: &Bytes, count: usize, times: &mut Vec<u64>) {
        self.buffer.resize(body.len(), 0);
        for _ in 0..count {
            let start = Instant::now();
            self.socket.send_frame(body, 0).expect("sent");
            take(&self.socket, &mut self.buffer);
            times.push(start.elapsed().as_nanos() as u64);
        }
    }

    fn echo(&mut self, size: usize, count: usize) {
        self.buffer.resize(size, 0);
        let mut id = [0; LONGEST_ID];
        for _ in 0..count {
            if self.kind == Kind::Router {
                let length = self.socket.recv_frame(&mut id, 0).expect("received");
                take(&self.socket, &mut self.buffer);
                let id = &id[..length];
                self.socket.send_frame(id, zmq::SNDMORE).expect("sent");
            } else {
                take(&self.socket, &mut self.buffer);
            }
            self.socket.send_frame(&self.buffer, 0).expect("sent");
        }
    }

    fn exchange(&mut self, body: &Bytes, count: usize) {
        self.buffer.resize(body.len(), 0);
        for _ in 0..count {
            take(&self.socket, &mut self.buffer);
            self.socket.send_frame(body, 0).expect("sent");
        }
    }
}
