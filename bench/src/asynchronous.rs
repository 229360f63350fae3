//! Xebec's futures on tokio: one task at either end, on the multi-threaded runtime as it comes.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Runtime;
use xebec::Message;

use crate::library::{COPIED, Context, Kind, Library, Setting, Socket};
use crate::native;

pub(crate) struct Tokio;

impl Library for Tokio {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn about(&self) -> String {
        "Xebec's send_async and recv_async in a task of tokio's multi-threaded runtime".to_owned()
    }

    fn in_every_row(&self) -> bool {
        false
    }

    fn context(&self) -> Box<dyn Context> {
        Box::new(Shared {
            context: xebec::Context::new(),
            runtime: Arc::new(Runtime::new().expect("a runtime")),
        })
    }
}

struct Shared {
    context: xebec::Context,
    runtime: Arc<Runtime>,
}

impl Context for Shared {
    fn socket(&self, kind: Kind) -> Box<dyn Socket> {
        Box::new(Async {
            socket: Arc::new(native::socket(&self.context, kind)),
            runtime: self.runtime.clone(),
        })
    }
}

struct Async {
    socket: Arc<xebec::Socket>,
    runtime: Arc<Runtime>,
}

impl Async {
    /// Runs a task to its end. It is spawned, and not run by `block_on` itself, because that is
    /// where a program's tasks live: on a worker.
    fn run<F, T>(&self, work: impl FnOnce(Arc<xebec::Socket>) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let task = self.runtime.spawn(work(self.socket.clone()));
        self.runtime.block_on(task).expect("the task ended well")
    }
}

#[inline]
async fn take(socket: &xebec::Socket, size: usize) -> Message {
    let message = socket.recv_async().await.expect("received");
    assert_eq!(message.body().len(), size, "a message of another size");
    message
}

#[inline]
async fn give(socket: &xebec::Socket, body: &Bytes) {
    if body.len() <= COPIED {
        socket.send_async(&body[..]).await.expect("sent");
    } else {
        socket.send_async(body.clone()).await.expect("sent");
    }
}

impl Socket for Async {
    fn set(&mut self, setting: Setting) {
        native::set(&self.socket, setting);
    }

    fn bind(&mut self, endpoint: &str) -> String {
        self.socket.bind(endpoint).expect("bound")
    }

    fn connect(&mut self, endpoint: &str) {
        self.socket.connect(endpoint).expect("connected");
    }

    fn send_many(&mut self, body: &Bytes, count: usize) {
        let body = body.clone();
        self.run(|socket| async move {
            for _ in 0..count {
                give(&socket, &body).await;
            }
        });
    }

    fn recv_many(&mut self, size: usize, count: usize) {
        self.run(|socket| async move {
            for _ in 0..count {
                take(&socket, size).await;
            }
        });
    }

    fn round_trips(&mut self, body: &Bytes, count: usize, times: &mut Vec<u64>) {
        let body = body.clone();
        times.extend(self.run(|socket| async move {
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let start = Instant::now();
                give(&socket, &body).await;
                take(&socket, body.len()).await;
                times.push(start.elapsed().as_nanos() as u64);
            }
            times
        }));
    }

    fn echo(&mut self, size: usize, count: usize) {
        self.run(|socket| async move {
            for _ in 0..count {
                let message = take(&socket, size).await;
                socket.send_async(message).await.expect("sent");
            }
        });
    }

    fn exchange(&mut self, body: &Bytes, count: usize) {
        let body = body.clone();
        self.run(|socket| async move {
            for _ in 0..count {
                take(&socket, body.len()).await;
                give(&socket, &body).await;
            }
        });
    }
}
