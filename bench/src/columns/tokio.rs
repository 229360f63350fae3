//! Xebec's futures on tokio: one task at either end, on the multi-threaded runtime as it comes.

use bytes::Bytes;
use tokio::runtime::Runtime;
use xebec::Message;

use super::native;
use crate::child::Task;
use crate::library::{COPIED, Kind, Library, Peer, Role, Setting, Socket};
use crate::measurement::Figures;

pub(crate) struct Tokio;

impl Library for Tokio {
    fn name(&self) -> &'static str {
        "Xebec-tokio"
    }

    fn role(&self) -> Role {
        Role::Xebec
    }

    fn about(&self) -> String {
        "Xebec's send_async and recv_async in tasks of tokio's multi-threaded runtime".to_owned()
    }

    fn run(&self, task: Task) -> Figures {
        let runtime = Runtime::new().expect("a runtime");
        super::in_tasks!(runtime, Shared(xebec::Context::new()), task)
    }
}

#[derive(Clone)]
struct Shared(xebec::Context);

impl Peer for Shared {
    type Socket = Async;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> Async {
        Async(native::socket(&self.0, kind, settings))
    }

    super::starts_tasks!();

    fn proxy(&self, front: Async, back: Async) {
        native::proxy(front.0, back.0);
    }
}

struct Async(xebec::Socket);

impl Async {
    #[inline]
    async fn take(&self, size: usize) -> Message {
        let message = self.0.recv_async().await.expect("received");
        assert_eq!(message.body().len(), size, "a message of another size");
        message
    }
}

impl Socket for Async {
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
            self.0.send_async(&body[..]).await.expect("sent");
        } else {
            self.0.send_async(body.clone()).await.expect("sent");
        }
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        self.take(size).await;
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        let message = self.take(size).await;
        self.0.send_async(message).await.expect("sent");
    }

    async fn close(self) {}
}
