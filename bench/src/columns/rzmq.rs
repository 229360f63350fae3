//! rzmq, on tokio's multi-threaded runtime and its own defaults. TCP_CORK, which it has as an
//! option, makes it five times slower over loopback.

use std::time::Duration;

use bytes::Bytes;
use rzmq::Msg;
use rzmq::socket::options as opt;
use tokio::runtime::Runtime;

use crate::child::Task;
use crate::library::{COPIED, Kind, Library, Peer, Role, Setting, Socket, keys};
use crate::measurement::Figures;
use crate::rows::{Row, Work};

pub(crate) struct Rzmq;

impl Library for Rzmq {
    fn name(&self) -> &'static str {
        "rzmq"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn about(&self) -> String {
        let version = super::version("rzmq");
        format!("rzmq {version}: tasks of tokio's multi-threaded runtime; its publisher is a PUB")
    }

    fn unable(&self, row: &Row) -> Option<&'static str> {
        match row.work {
            Work::Proxy { .. } => Some("has no proxy"),
            Work::Connections => Some("connects a socket to an endpoint only once"),
            Work::Subscriptions { .. } => Some("has no XPUB, which tells of subscriptions"),
            _ => None,
        }
    }

    fn run(&self, task: Task) -> Figures {
        let runtime = Runtime::new().expect("a runtime");
        // A context wants a runtime around it.
        let context = runtime.block_on(async { rzmq::Context::new() });
        let context = context.expect("a context");
        let figures = super::in_tasks!(runtime, Shared(context.clone()), task);
        runtime.block_on(context.term()).expect("ended");
        figures
    }
}

#[derive(Clone)]
struct Shared(rzmq::Context);

impl Peer for Shared {
    type Socket = One;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> One {
        let socket = self.0.socket(match kind {
            Kind::Push => rzmq::SocketType::Push,
            Kind::Pull => rzmq::SocketType::Pull,
            Kind::Req => rzmq::SocketType::Req,
            Kind::Rep => rzmq::SocketType::Rep,
            Kind::Xpub => rzmq::SocketType::Pub,
            Kind::Sub => rzmq::SocketType::Sub,
            Kind::Dealer => rzmq::SocketType::Dealer,
            Kind::Router => rzmq::SocketType::Router,
        });
        One {
            kind,
            socket: socket.expect("a socket"),
            settings: settings.to_vec(),
        }
    }

    super::starts_tasks!();

    fn proxy(&self, _: One, _: One) {
        unreachable!("left out")
    }
}

struct One {
    kind: Kind,
    socket: rzmq::Socket,
    /// To be set, which needs an await.
    settings: Vec<Setting>,
}

impl One {
    async fn set_up(&mut self) {
        for setting in std::mem::take(&mut self.settings) {
            match setting {
                // It has no backlog, does not spin, and tells of no subscription.
                Setting::Backlog(_) | Setting::NoSpin | Setting::Verbose => {}
                Setting::NoDrop => self.set(opt::XPUB_NODROP, &1i32.to_ne_bytes()).await,
                Setting::Unbounded => {
                    self.set(opt::SNDHWM, &0i32.to_ne_bytes()).await;
                    self.set(opt::RCVHWM, &0i32.to_ne_bytes()).await;
                }
                Setting::CurveServer => {
                    self.set(opt::CURVE_SERVER, &1i32.to_ne_bytes()).await;
                    let secret = super::key(keys::SERVER.secret);
                    self.set(opt::CURVE_SECRET_KEY, &secret).await;
                }
                Setting::CurveClient => {
                    let server = super::key(keys::SERVER.public);
                    self.set(opt::CURVE_SERVER_KEY, &server).await;
                    let public = super::key(keys::CLIENT.public);
                    self.set(opt::CURVE_PUBLIC_KEY, &public).await;
                    let secret = super::key(keys::CLIENT.secret);
                    self.set(opt::CURVE_SECRET_KEY, &secret).await;
                }
            }
        }
    }

    async fn set(&self, option: i32, value: &[u8]) {
        let set = self.socket.set_option_raw(option, value).await;
        set.unwrap_or_else(|error| panic!("option {option}: {error}"));
    }

    #[inline]
    async fn take(&self, size: usize) -> Msg {
        let message = self.socket.recv().await.expect("received");
        assert_eq!(message.size(), size, "a message of another size");
        message
    }
}

impl Socket for One {
    async fn bind(&mut self, endpoint: &str) -> String {
        self.set_up().await;
        let endpoint = match endpoint {
            "ipc://*" => super::free_ipc(),
            endpoint => endpoint.replace(":*", ":0"),
        };
        self.socket.bind(&endpoint).await.expect("bound");
        if endpoint.starts_with("inproc") {
            return endpoint;
        }
        let bound = self.socket.get_option(opt::LAST_ENDPOINT).await;
        let bound = String::from_utf8(bound.expect("an endpoint")).expect("text");
        bound.trim_end_matches('\0').to_owned()
    }

    async fn connect(&mut self, endpoint: &str) {
        self.set_up().await;
        self.socket.connect(endpoint).await.expect("connected");
    }

    async fn disconnect(&mut self, endpoint: &str) {
        let gone = self.socket.disconnect(endpoint).await;
        gone.expect("disconnected");
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        self.set(opt::SUBSCRIBE, prefix).await;
    }

    /// A PUB does not tell.
    async fn subscribed(&mut self, _: usize, _: usize) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        let message = if body.len() <= COPIED {
            Msg::from_vec(body.to_vec())
        } else {
            Msg::from_bytes(body.clone())
        };
        self.socket.send(message).await.expect("sent");
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        self.take(size).await;
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        if self.kind == Kind::Router {
            let frames = self.socket.recv_multipart().await.expect("received");
            let last = frames.last().map(Msg::size);
            assert_eq!(last, Some(size), "a message of another size");
            self.socket.send_multipart(frames).await.expect("sent");
        } else {
            let message = self.take(size).await;
            self.socket.send(message).await.expect("sent");
        }
    }

    async fn close(self) {
        self.socket.close().await.expect("closed");
    }
}
