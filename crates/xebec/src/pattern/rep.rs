//! REP (RFC 28): receives a request, answers it, in turn.
//!
//! The envelope, everything up to and including the first empty frame, is kept and put before
//! the reply, however many addresses it stacks up.

use super::Pattern;
use super::policy::FairQueue;
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::pipe::{PipeId, Pipes};

/// A server that answers each request before it takes the next.
#[derive(Default)]
pub(crate) struct Rep {
    inn: FairQueue,
    turn: Turn,
    /// A request that was taken from its pipe to see whether it is one.
    ready: Option<Request>,
}

/// The requester, if it is still there, its envelope without the empty frame, and the body.
type Request = (Option<PipeId>, Vec<Frame>, Message);

#[derive(Default)]
enum Turn {
    #[default]
    Recv,
    /// The requester, if it is still there, and its envelope without the empty frame.
    Send(Option<PipeId>, Vec<Frame>),
}

impl Rep {
    fn fetch(&mut self, pipes: &mut Pipes) -> Option<Request> {
        if self.ready.is_some() {
            return self.ready.take();
        }
        let mut request = Message::new();
        while let Some(from) = self.inn.recv(pipes, &mut request) {
            let origin = request.origin;
            if let Some(envelope) = request.pop_envelope() {
                request.origin = origin;
                return Some((Some(from), envelope, request));
            }
            pipes.counters.dropped.malformed += 1;
        }
        None
    }
}

impl Pattern for Rep {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        if let Some((requester, ..)) = &mut self.ready {
            requester.take_if(|requester| *requester == id);
        }
        if let Turn::Send(requester, _) = &mut self.turn {
            requester.take_if(|requester| *requester == id);
        }
    }

    fn disconnected(&mut self, _: &mut Pipes, id: PipeId) {
        // The next peer on this pipe did not ask.
        if let Turn::Send(requester, _) = &mut self.turn {
            requester.take_if(|requester| *requester == id);
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, _: &mut Pipes, _: &Frame) -> Result<(), SendErrorKind> {
        match self.turn {
            Turn::Send(..) => Ok(()),
            Turn::Recv => Err(SendErrorKind::State),
        }
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        let Turn::Send(requester, envelope) = std::mem::take(&mut self.turn) else {
            return Err(SendErrorKind::State);
        };
        // RFC 28: REP shall not block; a reply that cannot go is dropped.
        match requester {
            None => pipes.counters.dropped.unroutable += 1,
            Some(id) if !pipes.can_send(id) => pipes.counters.dropped.high_water_mark += 1,
            Some(id) => {
                message.push_front(Frame::new());
                envelope
                    .into_iter()
                    .rev()
                    .for_each(|address| message.push_front(address));
                pipes.send(id, message);
            }
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        if matches!(self.turn, Turn::Send(..)) {
            return Err(RecvError::State);
        }
        let Some((from, envelope, request)) = self.fetch(pipes) else {
            return Ok(false);
        };
        self.turn = Turn::Send(from, envelope);
        *slot = request;
        Ok(true)
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        matches!(self.turn, Turn::Send(..))
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        if matches!(self.turn, Turn::Send(..)) {
            return false;
        }
        self.ready = self.fetch(pipes);
        self.ready.is_some()
    }
}
