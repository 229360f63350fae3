//! omq: its blocking sockets and its async ones, on an I/O thread of their own (`Context::new`).
//!
//! Every option as it comes, with two exceptions: linger, which is none by default and would throw
//! away what has just been sent; and a REQ and a REP spin before they block, as its documents
//! advise for latency.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{
    CurveKeypair, CurvePublicKey, CurveSecretKey, Endpoint, Message, Options, SocketType, blocking,
};
use tokio::runtime::Runtime;

use crate::child::Task;
use crate::library::{self, COPIED, Job, Kind, Library, Peer, Role, Setting, Socket, keys};
use crate::measurement::Figures;

/// As long as Xebec does by itself. Only its blocking sockets do so.
const SPIN: Duration = Duration::from_micros(50);

pub(crate) struct Blocking;

impl Library for Blocking {
    fn name(&self) -> &'static str {
        "omq"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn about(&self) -> String {
        format!(
            "omq-tokio {}: its blocking sockets, one I/O thread; REQ and REP spin for 50 µs",
            super::version("omq-tokio")
        )
    }

    fn grows(&self) -> bool {
        true
    }

    fn run(&self, task: Task) -> Figures {
        library::in_threads(Threads(omq_tokio::Context::new()), task)
    }
}

pub(crate) struct Tokio;

impl Library for Tokio {
    fn name(&self) -> &'static str {
        "omq-tokio"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn about(&self) -> String {
        format!(
            "omq-tokio {}: its async sockets in tasks of tokio's multi-threaded runtime, one I/O thread",
            super::version("omq-tokio")
        )
    }

    fn run(&self, task: Task) -> Figures {
        let runtime = Runtime::new().expect("a runtime");
        super::in_tasks!(runtime, Tasks(omq_tokio::Context::new()), task)
    }
}

fn kind(kind: Kind) -> SocketType {
    match kind {
        Kind::Push => SocketType::Push,
        Kind::Pull => SocketType::Pull,
        Kind::Req => SocketType::Req,
        Kind::Rep => SocketType::Rep,
        Kind::Xpub => SocketType::XPub,
        Kind::Sub => SocketType::Sub,
        Kind::Dealer => SocketType::Dealer,
        Kind::Router => SocketType::Router,
    }
}

fn options(of: Kind, settings: &[Setting]) -> Options {
    let mut options = Options::default().linger_forever();
    if matches!(of, Kind::Req | Kind::Rep) && !settings.contains(&Setting::NoSpin) {
        options = options.recv_spin(SPIN);
    }
    for setting in settings {
        options = match setting {
            // It has no backlog, and tells of every subscription.
            Setting::Backlog(_) | Setting::NoSpin | Setting::Verbose => options,
            Setting::NoDrop => {
                options.xpub_nodrop = true;
                options
            }
            Setting::Unbounded => options.send_hwm(0).recv_hwm(0),
            Setting::CurveServer => options.curve_server(pair(&keys::SERVER)),
            Setting::CurveClient => {
                let server = CurvePublicKey::from_z85(keys::SERVER.public);
                options.curve_client(pair(&keys::CLIENT), server.expect("a key"))
            }
        };
    }
    options
}

fn pair(pair: &keys::Pair) -> CurveKeypair {
    CurveKeypair {
        public: CurvePublicKey::from_z85(pair.public).expect("a key"),
        secret: CurveSecretKey::from_z85(pair.secret).expect("a key"),
    }
}

/// It has no wildcards.
fn place(endpoint: &str) -> Endpoint {
    let free = format!("ipc://@xebec-bench-{}", std::process::id());
    let endpoint = match endpoint {
        "ipc://*" => &free,
        endpoint => &endpoint.replace(":*", ":0"),
    };
    Endpoint::from_str(endpoint).expect("an endpoint")
}

fn message(body: &Bytes) -> Message {
    if body.len() <= COPIED {
        Message::from_slice(body)
    } else {
        Message::single(body.clone())
    }
}

#[inline]
fn check(message: &Message, size: usize) {
    let last = message.len() - 1;
    let length = message.part_slice(last).map(<[u8]>::len);
    assert_eq!(length, Some(size), "a message of another size");
}

#[derive(Clone)]
struct Threads(omq_tokio::Context);

impl Peer for Threads {
    type Socket = blocking::Socket;

    fn socket(&self, of: Kind, settings: &[Setting]) -> blocking::Socket {
        self.0.blocking_socket(kind(of), options(of, settings))
    }

    fn start(socket: blocking::Socket, job: Job) {
        library::start_thread(socket, job);
    }

    fn proxy(&self, front: blocking::Socket, back: blocking::Socket) {
        let proxy = omq_tokio::proxy::proxy(front.into_async(), back.into_async(), None);
        self.0.handle().spawn(proxy);
    }
}

impl Socket for blocking::Socket {
    async fn bind(&mut self, endpoint: &str) -> String {
        let bound = blocking::Socket::bind(self, place(endpoint));
        bound.expect("bound").to_string()
    }

    async fn connect(&mut self, endpoint: &str) {
        blocking::Socket::connect(self, place(endpoint)).expect("connected");
    }

    async fn disconnect(&mut self, endpoint: &str) {
        blocking::Socket::disconnect(self, place(endpoint)).expect("disconnected");
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        let prefix = Bytes::copy_from_slice(prefix);
        blocking::Socket::subscribe(self, prefix).expect("subscribed");
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        blocking::Socket::send(self, message(body)).expect("sent");
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        check(&blocking::Socket::recv(self).expect("received"), size);
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        let message = blocking::Socket::recv(self).expect("received");
        check(&message, size);
        blocking::Socket::send(self, message).expect("sent");
    }

    async fn close(self) {
        blocking::Socket::close(self).expect("closed");
    }
}

#[derive(Clone)]
struct Tasks(omq_tokio::Context);

impl Peer for Tasks {
    type Socket = omq_tokio::Socket;

    fn socket(&self, of: Kind, settings: &[Setting]) -> omq_tokio::Socket {
        self.0.socket(kind(of), options(of, settings))
    }

    super::starts_tasks!();

    fn proxy(&self, front: omq_tokio::Socket, back: omq_tokio::Socket) {
        self.0
            .handle()
            .spawn(omq_tokio::proxy::proxy(front, back, None));
    }
}

impl Socket for omq_tokio::Socket {
    async fn bind(&mut self, endpoint: &str) -> String {
        let bound = omq_tokio::Socket::bind(self, place(endpoint)).await;
        bound.expect("bound").to_string()
    }

    async fn connect(&mut self, endpoint: &str) {
        let connected = omq_tokio::Socket::connect(self, place(endpoint)).await;
        connected.expect("connected");
    }

    async fn disconnect(&mut self, endpoint: &str) {
        let gone = omq_tokio::Socket::disconnect(self, place(endpoint)).await;
        gone.expect("disconnected");
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        let prefix = Bytes::copy_from_slice(prefix);
        let subscribed = omq_tokio::Socket::subscribe(self, prefix).await;
        subscribed.expect("subscribed");
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        let sent = omq_tokio::Socket::send(self, message(body)).await;
        sent.expect("sent");
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        let message = omq_tokio::Socket::recv(self).await;
        check(&message.expect("received"), size);
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        let message = omq_tokio::Socket::recv(self).await.expect("received");
        check(&message, size);
        let sent = omq_tokio::Socket::send(self, message).await;
        sent.expect("sent");
    }

    async fn close(self) {
        omq_tokio::Socket::close(self).await.expect("closed");
    }
}
