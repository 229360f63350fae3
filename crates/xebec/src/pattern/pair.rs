//! PAIR (RFC 31): exactly one peer, both ways.

use std::collections::VecDeque;

use super::Pattern;
use crate::conn::Broken;
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::pipe::{PipeId, Pipes};

/// A socket with a single peer; a second one is refused while the first is there.
#[derive(Default)]
pub(crate) struct Pair {
    peer: Option<PipeId>,
    /// Peers that have left and whose last words are not all received.
    past: VecDeque<PipeId>,
}

impl Pair {
    /// Those to receive from, first to last.
    fn sources(&self) -> impl Iterator<Item = PipeId> {
        self.past.iter().copied().chain(self.peer)
    }
}

impl Pattern for Pair {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(left) = self.peer.take_if(|peer| pipes.has_left(*peer)) {
            self.past.push_back(left);
        }
        match self.peer {
            None => self.peer = Some(id),
            Some(_) => pipes.refuse(
                id,
                Broken::Dismissed("a socket of this type has one peer, and has it already"),
            ),
        }
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.peer.take_if(|peer| *peer == id);
        self.past.retain(|past| *past != id);
    }

    fn readable(&mut self, _: PipeId) {}

    fn writable(&mut self, _: PipeId) {}

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        match self.peer.is_some_and(|peer| pipes.try_send(peer, message)) {
            true => Ok(()),
            false => Err(SendErrorKind::WouldBlock),
        }
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        Ok(self.sources().any(|source| pipes.recv(source, slot)))
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.peer.is_some_and(|peer| pipes.can_send(peer))
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.sources().any(|source| pipes.has_message(source))
    }
}
