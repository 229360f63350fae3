//! CLIENT (RFC 41), SCATTER and GATHER (RFC 49), CHANNEL (RFC 52): DEALER, PUSH, PULL and PAIR for
//! messages of one frame; and the same rule for SERVER and PEER.
//!
//! A message of several frames is refused where it would be sent, and thrown away if a peer sends one.

use super::Pattern;
use crate::error::{RecvError, SendErrorKind};
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
    fn fetch(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        if let Some(ready) = self.ready.take() {
            *slot = ready;
            return Ok(true);
        }
        while self.inner.recv(pipes, slot)? {
            if slot.len() == 1 {
                return Ok(true);
            }
            pipes.counters.dropped.malformed += 1;
        }
        Ok(false)
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
    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        match message.len() {
            1 => self.inner.send(pipes, message),
            _ => Err(SendErrorKind::Invalid(ONE_FRAME)),
        }
    }

    #[inline]
    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        self.fetch(pipes, slot)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.inner.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let mut slot = Message::new();
        let found = self.fetch(pipes, &mut slot) == Ok(true);
        self.ready = found.then_some(slot);
        self.ready.is_some()
    }

    fn consumes(&self) -> bool {
        self.inner.consumes()
    }

    fn inbound(&mut self, pipes: &mut Pipes, id: PipeId, message: &mut Message) {
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
