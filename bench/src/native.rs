//! Xebec's blocking calls, every option as it comes.

use std::time::Instant;

use bytes::Bytes;
use xebec::SocketType;

use crate::library::{COPIED, Context, Kind, Library, Setting, Socket};

pub(crate) struct Native;

impl Library for Native {
    fn name(&self) -> &'static str {
        "Xebec"
    }

    fn about(&self) -> String {
        "this source tree: send and recv, one background thread".to_owned()
    }

    fn context(&self) -> Box<dyn Context> {
        Box::new(Shared(xebec::Context::new()))
    }
}

struct Shared(xebec::Context);

impl Context for Shared {
    fn socket(&self, kind: Kind) -> Box<dyn Socket> {
        Box::new(Blocking(socket(&self.0, kind)))
    }
}

/// A socket of this type, with the options it has by itself.
pub(crate) fn socket(context: &xebec::Context, kind: Kind) -> xebec::Socket {
    let kind = match kind {
        Kind::Push => SocketType::Push,
        Kind::Pull => SocketType::Pull,
        Kind::Req => SocketType::Req,
        Kind::Rep => SocketType::Rep,
        Kind::Xpub => SocketType::Xpub,
        Kind::Sub => SocketType::Sub,
        Kind::Dealer => SocketType::Dealer,
        Kind::Router => SocketType::Router,
    };
    context.socket(kind).expect("a socket")
}

pub(crate) fn set(socket: &xebec::Socket, setting: Setting) {
    match setting {
        Setting::Backlog(length) => socket.set("backlog", &length.to_string()),
        Setting::NoDrop => socket.set("xpub_nodrop", "1"),
        Setting::Verbose => socket.set("xpub_verbose", "1"),
        Setting::Everything => socket.subscribe(""),
    }
    .expect("an option that Xebec has");
}

struct Blocking(xebec::Socket);

impl Blocking {
    #[inline]
    fn take(&self, size: usize) -> xebec::Message {
        let message = self.0.recv().expect("received");
        assert_eq!(message.body().len(), size, "a message of another size");
        message
    }

    #[inline]
    fn give(&self, body: &Bytes) {
        if body.len() <= COPIED {
            self.0.send(&body[..]).expect("sent");
        } else {
            self.0.send(body.clone()).expect("sent");
        }
    }
}

impl Socket for Blocking {
    fn set(&mut self, setting: Setting) {
        set(&self.0, setting);
    }

    fn bind(&mut self, endpoint: &str) -> String {
        self.0.bind(endpoint).expect("bound")
    }

    fn connect(&mut self, endpoint: &str) {
        self.0.connect(endpoint).expect("connected");
    }

    fn send_many(&mut self, body: &Bytes, count: usize) {
        (0..count).for_each(|_| self.give(body));
    }

    fn recv_many(&mut self, size: usize, count: usize) {
        (0..count).for_each(|_| drop(self.take(size)));
    }

    fn round_trips(&mut self, body: &Bytes, count: usize, times: &mut Vec<u64>) {
        for _ in 0..count {
            let start = Instant::now();
            self.give(body);
            self.take(body.len());
            times.push(start.elapsed().as_nanos() as u64);
        }
    }

    fn echo(&mut self, size: usize, count: usize) {
        for _ in 0..count {
            let message = self.take(size);
            self.0.send(message).expect("sent");
        }
    }

    fn exchange(&mut self, body: &Bytes, count: usize) {
        for _ in 0..count {
            self.take(body.len());
            self.give(body);
        }
    }
}
