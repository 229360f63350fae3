//! The async face of a socket: futures, a stream and a sink that run on any executor.
//!
//! A future's poll is a caller like any other: it reads and writes itself. Only when nothing is
//! there, and nothing comes while it looks again for some microseconds, does it leave its waker and hand
//! the descriptors to the background thread. A message is
//! taken in the very poll that returns it, so dropping a future never loses one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use super::core::Core;
use crate::error::{RecvError, SendError};
use crate::message::Message;

/// A message on its way; from [`Socket::send_async`](crate::Socket::send_async).
#[must_use = "a future does nothing unless polled"]
#[derive(Debug)]
pub struct SendFuture<'a> {
    core: &'a Arc<Core>,
    message: Option<Message>,
}

impl<'a> SendFuture<'a> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core>, message: Message) -> Self {
        SendFuture {
            core,
            message: Some(message),
        }
    }
}

impl Future for SendFuture<'_> {
    type Output = Result<(), SendError>;
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let core = self.core;
        core.poll_send(cx, &mut self.message)
    }
}

/// A message to come; from [`Socket::recv_async`](crate::Socket::recv_async).
#[must_use = "a future does nothing unless polled"]
#[derive(Debug)]
pub struct RecvFuture<'a> {
    core: &'a Arc<Core>,
}

impl<'a> RecvFuture<'a> {
    pub(super) fn new(core: &'a Arc<Core>) -> Self {
        RecvFuture { core }
    }
}

impl Future for RecvFuture<'_> {
    type Output = Result<Message, RecvError>;
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.core.poll_recv(cx)
    }
}

/// The messages to come; from [`Socket::incoming`](crate::Socket::incoming). Ends when the
/// context is terminated.
#[derive(Debug)]
pub struct Incoming<'a> {
    core: &'a Arc<Core>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(core: &'a Arc<Core>) -> Self {
        Incoming { core }
    }
}

impl Stream for Incoming<'_> {
    type Item = Result<Message, RecvError>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.core.poll_recv(cx)) {
            Err(RecvError::Terminated) => None,
            outcome => Some(outcome),
        })
    }
}

/// Where messages go; from [`Socket::outgoing`](crate::Socket::outgoing). Holds at most one
/// message that no peer could take yet.
#[derive(Debug)]
pub struct Outgoing<'a> {
    core: &'a Arc<Core>,
    held: Option<Message>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(core: &'a Arc<Core>) -> Self {
        Outgoing { core, held: None }
    }
}

impl Sink<Message> for Outgoing<'_> {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let core = self.core;
        core.poll_send(cx, &mut self.held)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.held = Some(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_ready(cx)
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} socket {}", self.kind.name(), self.id)
    }
}
