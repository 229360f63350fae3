//! PUSH and PULL (RFC 30): a pipeline that balances load on its way down and never drops.

use super::Pattern;
use super::policy::{FairQueue, LoadBalance};
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::pipe::{PipeId, Pipes};

/// Sends to its peers in turn; blocks while none has room.
#[derive(Default)]
pub(crate) struct Push {
    out: LoadBalance,
}

impl Pattern for Push {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.out.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.out.0.remove(id);
    }

    fn readable(&mut self, _: PipeId) {}

    fn writable(&mut self, id: PipeId) {
        self.out.0.activate(id);
    }

    #[inline]
    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        self.out.send(pipes, message).map(drop)
    }

    fn recv(&mut self, _: &mut Pipes, _: &mut Message) -> Result<bool, RecvError> {
        Err(RecvError::Unsupported)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.out.next(pipes).is_some()
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        false
    }

    /// A PULL has nothing to say; what arrives anyway is thrown away as it comes.
    fn consumes(&self) -> bool {
        true
    }

    fn inbound(&mut self, pipes: &mut Pipes, _: PipeId, _: &mut Message) {
        pipes.counters.dropped.unwanted += 1;
    }
}

/// Receives from its peers in turn.
#[derive(Default)]
pub(crate) struct Pull {
    inn: FairQueue,
}

impl Pattern for Pull {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, _: &mut Pipes, _: &Frame) -> Result<(), SendErrorKind> {
        Err(SendErrorKind::Unsupported)
    }

    fn send(&mut self, _: &mut Pipes, _: &mut Message) -> Result<(), SendErrorKind> {
        Err(SendErrorKind::Unsupported)
    }

    #[inline]
    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        Ok(self.inn.recv(pipes, slot).is_some())
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        false
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inn.can_recv(pipes)
    }
}
