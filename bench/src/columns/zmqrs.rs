//! zmq.rs, the crate `zeromq`, on tokio's multi-threaded runtime, every option as it comes.

use std::thread;

use bytes::Bytes;
use tokio::runtime::Runtime;
use zeromq::{Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage};

use crate::child::Task;
use crate::library::{COPIED, Kind, Library, Peer, Role, Setting, Socket};
use crate::measurement::Figures;
use crate::rows::{Keep, Row, Transport, Work};

pub(crate) struct ZmqRs;

impl Library for ZmqRs {
    fn name(&self) -> &'static str {
        "zeromq"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn about(&self) -> String {
        let version = super::version("zeromq");
        format!("zeromq {version} (zmq.rs): tasks of tokio's multi-threaded runtime")
    }

    fn unable(&self, row: &Row) -> Option<&'static str> {
        let reconnects = Work::Calls { keep: Keep::Socket };
        match row.transport {
            Transport::Inproc => Some("has no inproc"),
            _ if row.curve => Some("has no CURVE"),
            _ if row.work == reconnects => Some("has no disconnect"),
            _ => None,
        }
    }

    fn run(&self, task: Task) -> Figures {
        let runtime = Runtime::new().expect("a runtime");
        super::in_tasks!(runtime, Shared, task)
    }
}

#[derive(Clone)]
struct Shared;

/// One enum over the socket types, each of which is a type of its own there.
macro_rules! kinds {
    ($($kind:ident $type:ident),*; sends: $($sender:ident)*; receives: $($receiver:ident)*) => {
        enum Any {
            $($kind(zeromq::$type),)*
        }

        impl Any {
            fn new(kind: Kind) -> Self {
                match kind {
                    $(Kind::$kind => Any::$kind(zeromq::$type::new()),)*
                }
            }

            async fn bind(&mut self, endpoint: &str) -> zeromq::Endpoint {
                let bound = match self {
                    $(Any::$kind(socket) => socket.bind(endpoint).await,)*
                };
                bound.expect("bound")
            }

            async fn connect(&mut self, endpoint: &str) {
                let connected = match self {
                    $(Any::$kind(socket) => socket.connect(endpoint).await,)*
                };
                connected.expect("connected");
            }

            async fn close(self) {
                match self {
                    $(Any::$kind(socket) => socket.close().await,)*
                };
            }

            #[inline]
            async fn give(&mut self, message: ZmqMessage) {
                let sent = match self {
                    $(Any::$sender(socket) => socket.send(message).await,)*
                    _ => unreachable!("a type that sends nothing"),
                };
                sent.expect("sent");
            }

            #[inline]
            async fn take(&mut self) -> ZmqMessage {
                let received = match self {
                    $(Any::$receiver(socket) => socket.recv().await,)*
                    _ => unreachable!("a type that receives nothing"),
                };
                received.expect("received")
            }
        }
    };
}

kinds! {
    Push PushSocket, Pull PullSocket, Req ReqSocket, Rep RepSocket, Xpub XPubSocket, Sub SubSocket,
    Dealer DealerSocket, Router RouterSocket;
    sends: Push Req Rep Xpub Dealer Router;
    receives: Pull Req Rep Xpub Sub Dealer Router
}

impl Peer for Shared {
    type Socket = Any;

    /// None of the settings exists: an XPUB waits for its subscribers and tells of all of them.
    fn socket(&self, kind: Kind, _: &[Setting]) -> Any {
        Any::new(kind)
    }

    super::starts_tasks!();

    fn proxy(&self, front: Any, back: Any) {
        let (Any::Router(front), Any::Dealer(back)) = (front, back) else {
            unreachable!("the row asks for these")
        };
        // Its future is not `Send`.
        let runtime = tokio::runtime::Handle::current();
        thread::spawn(move || runtime.block_on(zeromq::proxy(front, back, None)));
    }
}

#[inline]
fn check(message: &ZmqMessage, size: usize) {
    let last = message.get(message.len() - 1).map(Bytes::len);
    assert_eq!(last, Some(size), "a message of another size");
}

impl Socket for Any {
    async fn bind(&mut self, endpoint: &str) -> String {
        let endpoint = match endpoint {
            "ipc://*" => super::free_ipc(),
            endpoint => endpoint.replace(":*", ":0"),
        };
        Any::bind(self, &endpoint).await.to_string()
    }

    async fn connect(&mut self, endpoint: &str) {
        Any::connect(self, endpoint).await;
    }

    async fn disconnect(&mut self, _: &str) {
        unreachable!("left out")
    }

    async fn subscribe(&mut self, prefix: &[u8]) {
        let Any::Sub(sub) = self else {
            unreachable!("only a SUB subscribes")
        };
        let prefix = std::str::from_utf8(prefix).expect("text");
        sub.subscribe(prefix).await.expect("subscribed");
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        let body = if body.len() <= COPIED {
            Bytes::copy_from_slice(body)
        } else {
            body.clone()
        };
        self.give(body.into()).await;
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        check(&self.take().await, size);
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        let message = self.take().await;
        check(&message, size);
        self.give(message).await;
    }

    async fn close(self) {
        Any::close(self).await;
    }
}
