//! CLIENT (RFC 41), SCATTER and GATHER (RFC 49), CHANNEL (RFC 52): DEALER, PUSH, PULL and PAIR for
//! messages of one frame; and the same rule for SERVER and PEER.
//!
//! A message of several frames is refused where it would be sent, and thrown away if a peer sends one.

use super::Pattern;
use crate::error::{RecvError, SendError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// Why a message of several frames is refused.
pub(super) const ONE_FRAME: &str = "sockets of this type send messages of one frame only";

/// A pattern for messages of one frame.
pub(crate) struct Single<P> {
    inner: P,
    /// What [`can_recv`](Pattern::can_recv) found: only a message that was taken is known to be whole.
    ready: Option<Message>,
}

impl<P: Pattern> Single<P> {
    pub(crate) fn new(inner: P) -> Self {
        Single { inner, ready: None }
    }

    #[inline]
    fn fetch(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, RecvError> {
        if self.ready.is_some() {
            return Ok(self.ready.take());
        }
        while let Some(message) = self.inner.recv(pipes)? {
            if message.len() == 1 {
                return Ok(Some(message));
            }
            pipes.counters.dropped.malformed += 1;
        }
        Ok(None)
    }
}

impl<P: Pattern> Pattern for Single<P> {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.inner.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.inner.detach(pipes, id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.inner.connected(pipes, id);
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.inner.disconnected(pipes, id);
    }

    fn readable(&mut self, id: PipeId) {
        self.inner.readable(id);
    }

    fn writable(&mut self, id: PipeId) {
        self.inner.writable(id);
    }

    /// Who has a message frame by frame has more than one.
    fn admits(&mut self, pipes: &mut Pipes, first: &Frame) -> Result<(), SendErrorKind> {
        match self.inner.admits(pipes, first) {
            Err(SendErrorKind::Unsupported) => Err(SendErrorKind::Unsupported),
            _ => Err(SendErrorKind::Invalid(ONE_FRAME)),
        }
    }

    #[inline]
    fn send(&mut self, pipes: &mut Pipes, message: Message) -> Result<(), SendError> {
        match message.len() {
            1 => self.inner.send(pipes, message),
            _ => Err(SendError::invalid(message, ONE_FRAME)),
        }
    }

    #[inline]
    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, RecvError> {
        self.fetch(pipes)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.inner.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.ready = self.fetch(pipes).ok().flatten();
        self.ready.is_some()
    }

    fn consumes(&self) -> bool {
        self.inner.consumes()
    }

    fn inbound(&mut self, pipes: &mut Pipes, id: PipeId, message: Message) {
        self.inner.inbound(pipes, id, message);
    }

    fn number(&self, id: PipeId) -> Option<u32> {
        self.inner.number(id)
    }

    fn expel(&mut self, pipes: &mut Pipes, number: u32) -> bool {
        self.inner.expel(pipes, number)
    }

    fn configure(&mut self, options: &Options) {
        self.inner.configure(options);
    }
}
