//! A library with libzmq's C interface: Debian's, and Xebec's own. `zmq_send` and `zmq_recv` on
//! the caller's own buffers, every option and context setting as the library has it.

use std::env;
use std::process;
use std::sync::OnceLock;
use std::thread;

use bytes::Bytes;
use xebec_peers::libzmq::{self as zmq, Library};

use crate::child::Task;
use crate::library::{self, Job, Kind, Peer, Role, Setting, Socket, keys};
use crate::measurement::Figures;

/// Longer than any routing id.
const LONGEST_ID: usize = 256;

/// The number of XEBEC_SPIN, an option that only Xebec has.
const SPIN: i32 = 0x5845_0001;

/// `ZMQ_MAX_SOCKETS`, whose default is less than the largest rows need.
const MAX_SOCKETS: i32 = 2;

/// The environment variable that says where Xebec's C library is.
const OURS: &str = "XEBEC_BENCH_LIBZMQ";

pub(crate) struct Libzmq {
    name: &'static str,
    role: Role,
}

impl Libzmq {
    pub(crate) const DEBIAN: Libzmq = Libzmq {
        name: "libzmq",
        role: Role::Reference,
    };
    pub(crate) const OURS: Libzmq = Libzmq {
        name: "Xebec-C",
        role: Role::Xebec,
    };

    fn load(&self) -> Result<&'static Library, String> {
        static LOADED: OnceLock<&Library> = OnceLock::new();
        if self.role == Role::Reference {
            return Library::load();
        }
        if let Some(library) = LOADED.get() {
            return Ok(library);
        }
        let file = env::var(OURS).map_err(|_| {
            format!("{OURS} does not say where Xebec's C library is: use `cargo xtask bench`")
        })?;
        let library = Library::load_from(&file)?;
        Ok(LOADED.get_or_init(|| library))
    }
}

impl library::Library for Libzmq {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn about(&self) -> String {
        let version = self.load().map(Library::version);
        let version = version.map_or_else(|why| why, |(a, b, c)| format!("{a}.{b}.{c}"));
        match self.role {
            Role::Reference => {
                format!("{version}, Debian's libzmq5: zmq_send and zmq_recv, one I/O thread")
            }
            _ => "the same C calls with Xebec's libzmq.so.5 instead of Debian's".to_owned(),
        }
    }

    fn missing(&self) -> Option<String> {
        self.load().err()
    }

    fn grows(&self) -> bool {
        self.role == Role::Reference
    }

    fn run(&self, task: Task) -> Figures {
        let context = self.load().expect("it was there a moment ago").context();
        context.set(MAX_SOCKETS, 20_000).expect("room for sockets");
        library::in_threads(Shared(context), task)
    }
}

#[derive(Clone)]
struct Shared(zmq::Context);

impl Peer for Shared {
    type Socket = Plain;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> Plain {
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
        let socket = self.0.plain_socket(number).expect("a socket");
        for setting in settings {
            set(&socket, *setting).expect("an option that libzmq has");
        }
        Plain {
            kind,
            socket,
            buffer: Vec::new(),
        }
    }

    fn start(socket: Plain, job: Job) {
        library::start_thread(socket, job);
    }

    fn proxy(&self, front: Plain, back: Plain) {
        thread::spawn(move || {
            let error = front.socket.proxy(&back.socket);
            eprintln!("the proxy has ended: {error}");
            process::exit(1);
        });
    }
}

fn set(socket: &zmq::Socket, setting: Setting) -> Result<(), zmq::Error> {
    let key = |option, key: &str| socket.set_bytes(option, key.as_bytes());
    match setting {
        Setting::Backlog(length) => socket.set_int(zmq::BACKLOG, length as i32),
        Setting::NoDrop => socket.set_int(zmq::XPUB_NODROP, 1),
        Setting::Verbose => socket.set_int(zmq::XPUB_VERBOSE, 1),
        Setting::Unbounded => {
            socket.set_int(zmq::SNDHWM, 0)?;
            socket.set_int(zmq::RCVHWM, 0)
        }
        Setting::NoSpin => match socket.set_int(SPIN, 0) {
            // Debian's does not spin, and has no such option.
            Err(error) if error.errno == zmq::EINVAL => Ok(()),
            outcome => outcome,
        },
        Setting::CurveServer => {
            socket.set_int(zmq::CURVE_SERVER, 1)?;
            key(zmq::CURVE_SECRETKEY, keys::SERVER.secret)
        }
        Setting::CurveClient => {
            key(zmq::CURVE_SERVERKEY, keys::SERVER.public)?;
            key(zmq::CURVE_PUBLICKEY, keys::CLIENT.public)?;
            key(zmq::CURVE_SECRETKEY, keys::CLIENT.secret)
        }
    }
}

struct Plain {
    kind: Kind,
    socket: zmq::Socket,
    /// Where messages are received.
    buffer: Vec<u8>,
}

impl Socket for Plain {
    async fn bind(&mut self, endpoint: &str) -> String {
        self.socket.bind(endpoint).expect("bound")
    }

    async fn connect(&mut self, endpoint: &str) {
        self.socket.connect(endpoint).expect("connected");
    }

    async fn disconnect(&mut self, endpoint: &str) {
        self.socket.disconnect(endpoint).expect("disconnected");
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        self.socket.subscribe(prefix).expect("subscribed");
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        self.socket.send_frame(body, 0).expect("sent");
    }

    /// Into the buffer, whose size is checked.
    #[inline]
    async fn recv(&mut self, size: usize) {
        self.buffer.resize(size, 0);
        let received = self.socket.recv_frame(&mut self.buffer, 0);
        let received = received.expect("received");
        assert_eq!(received, size, "a message of another size");
    }

    async fn echo(&mut self, size: usize) {
        if self.kind == Kind::Router {
            let mut id = [0; LONGEST_ID];
            let length = self.socket.recv_frame(&mut id, 0).expect("received");
            self.recv(size).await;
            let id = &id[..length];
            self.socket.send_frame(id, zmq::SNDMORE).expect("sent");
        } else {
            self.recv(size).await;
        }
        self.socket.send_frame(&self.buffer, 0).expect("sent");
    }

    async fn close(self) {}
}
