//! Xebec's blocking calls, every option as it comes.

use std::process;
use std::thread;

use bytes::Bytes;
use xebec::{OptionError, SocketType};

use crate::child::Task;
use crate::library::{self, COPIED, Job, Kind, Library, Peer, Role, Setting, Socket, keys};
use crate::measurement::Figures;

pub(crate) struct Native;

impl Library for Native {
    fn name(&self) -> &'static str {
        "Xebec"
    }

    fn role(&self) -> Role {
        Role::Xebec
    }

    fn about(&self) -> String {
        "this source tree: send and recv_into, one background thread".to_owned()
    }

    fn grows(&self) -> bool {
        true
    }

    fn run(&self, task: Task) -> Figures {
        library::in_threads(Shared(xebec::Context::new()), task)
    }
}

#[derive(Clone)]
struct Shared(xebec::Context);

impl Peer for Shared {
    type Socket = Blocking;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> Blocking {
        Blocking(socket(&self.0, kind, settings), xebec::Message::new())
    }

    fn start(socket: Blocking, job: Job) {
        library::start_thread(socket, job);
    }

    fn proxy(&self, front: Blocking, back: Blocking) {
        proxy(front.0, back.0);
    }
}

/// A socket of this type, with the options it has by itself and these.
pub(super) fn socket(context: &xebec::Context, kind: Kind, settings: &[Setting]) -> xebec::Socket {
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
    let socket = context.socket(kind).expect("a socket");
    for setting in settings {
        set(&socket, *setting).expect("an option that Xebec has");
    }
    socket
}

fn set(socket: &xebec::Socket, setting: Setting) -> Result<(), OptionError> {
    match setting {
        Setting::Backlog(length) => socket.set("backlog", &length.to_string()),
        Setting::NoDrop => socket.set("xpub_nodrop", "1"),
        Setting::Verbose => socket.set("xpub_verbose", "1"),
        Setting::Unbounded => {
            socket.set("sndhwm", "0")?;
            socket.set("rcvhwm", "0")
        }
        Setting::NoSpin => socket.set("spin", "off"),
        Setting::CurveServer => {
            socket.set("curve_server", "1")?;
            socket.set("curve_secretkey", keys::SERVER.secret)
        }
        Setting::CurveClient => {
            socket.set("curve_serverkey", keys::SERVER.public)?;
            socket.set("curve_publickey", keys::CLIENT.public)?;
            socket.set("curve_secretkey", keys::CLIENT.secret)
        }
    }
}

/// In a thread of its own.
pub(super) fn proxy(front: xebec::Socket, back: xebec::Socket) {
    thread::spawn(move || {
        let outcome = xebec::proxy(&front, &back, None);
        eprintln!("the proxy has ended: {outcome:?}");
        process::exit(1);
    });
}

struct Blocking(xebec::Socket, xebec::Message);

impl Blocking {
    #[inline]
    fn take(&mut self, size: usize) {
        self.0.recv_into(&mut self.1).expect("received");
        assert_eq!(self.1.body().len(), size, "a message of another size");
    }
}

impl Socket for Blocking {
    async fn bind(&mut self, endpoint: &str) -> String {
        self.0.bind(endpoint).expect("bound")
    }

    async fn connect(&mut self, endpoint: &str) {
        self.0.connect(endpoint).expect("connected");
    }

    async fn disconnect(&mut self, endpoint: &str) {
        self.0.disconnect(endpoint).expect("disconnected");
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        self.0.subscribe(prefix).expect("subscribed");
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        if body.len() <= COPIED {
            self.0.send(&body[..]).expect("sent");
        } else {
            self.0.send(body.clone()).expect("sent");
        }
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        self.take(size);
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        self.take(size);
        self.0.send(std::mem::take(&mut self.1)).expect("sent");
    }

    async fn close(self) {}
}
