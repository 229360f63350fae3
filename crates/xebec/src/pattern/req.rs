//! REQ (RFC 28): one request, one reply, in turn.
//!
//! On the wire a request is `[""][body…]`, or `[id]["" ][body…]` with REQ_CORRELATE. The
//! application sees the body only.

use std::hash::{BuildHasher, RandomState};

use super::Pattern;
use super::dealer::Dealer;
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// A client that waits for each reply.
pub(crate) struct Req {
    dealer: Dealer,
    turn: Turn,
    /// A reply that was taken from its pipe to see whether it is one.
    ready: Option<Message>,
    request_id: u32,
    relaxed: bool,
    correlate: bool,
}

enum Turn {
    Send,
    /// The pipe that the request went to; `None` when that is gone for good.
    Recv(Option<PipeId>),
}

impl Req {
    pub(crate) fn new() -> Self {
        Req {
            dealer: Dealer::default(),
            turn: Turn::Send,
            ready: None,
            request_id: RandomState::new().hash_one(0u8) as u32,
            relaxed: false,
            correlate: false,
        }
    }

    /// Strips the number off a reply; false if it answers another request.
    fn answers(&self, reply: &mut Message) -> bool {
        !self.correlate
            || *reply.first() == self.request_id.to_be_bytes() && reply.pop_front().is_some()
    }

    /// Puts the reply into `slot`, if it is there.
    fn fetch(&mut self, pipes: &mut Pipes, asked: Option<PipeId>, slot: &mut Message) -> bool {
        if let Some(ready) = self.ready.take() {
            *slot = ready;
            return true;
        }
        while let Some(from) = self.dealer.inn.recv(pipes, slot) {
            if asked != Some(from) || !self.answers(slot) {
                pipes.counters.dropped.unwanted += 1;
            } else if slot.first().is_empty() && slot.pop_front().is_some() {
                return true;
            } else {
                pipes.counters.dropped.malformed += 1;
            }
        }
        false
    }
}

impl Pattern for Req {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.dealer.attach(pipes, id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Turn::Recv(asked) = &mut self.turn {
            asked.take_if(|asked| *asked == id);
        }
        self.dealer.detach(pipes, id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.dealer.connected(pipes, id);
    }

    fn readable(&mut self, id: PipeId) {
        self.dealer.readable(id);
    }

    fn writable(&mut self, id: PipeId) {
        self.dealer.writable(id);
    }

    fn admits(&mut self, pipes: &mut Pipes, first: &Frame) -> Result<(), SendErrorKind> {
        if matches!(self.turn, Turn::Recv(_)) && !self.relaxed {
            return Err(SendErrorKind::State);
        }
        self.dealer.admits(pipes, first)
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        if matches!(self.turn, Turn::Recv(_)) && !self.relaxed {
            return Err(SendErrorKind::State);
        }
        let Some(id) = self.dealer.out.next(pipes) else {
            return Err(SendErrorKind::WouldBlock);
        };
        // Replies to earlier requests are stale from here on.
        pipes.counters.dropped.unwanted += u64::from(self.ready.take().is_some());
        let mut stale = Message::new();
        while self.dealer.inn.recv(pipes, &mut stale).is_some() {
            pipes.counters.dropped.unwanted += 1;
        }
        message.push_front(Frame::new());
        if self.correlate {
            self.request_id = self.request_id.wrapping_add(1);
            message.push_front(self.request_id.to_be_bytes());
        }
        pipes.send(id, message);
        self.dealer.out.0.advance();
        self.turn = Turn::Recv(Some(id));
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        let Turn::Recv(asked) = self.turn else {
            return Err(RecvError::State);
        };
        let found = self.fetch(pipes, asked, slot);
        if found {
            self.turn = Turn::Send;
        }
        Ok(found)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        (matches!(self.turn, Turn::Send) || self.relaxed) && self.dealer.can_send(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let Turn::Recv(asked) = self.turn else {
            return false;
        };
        let mut slot = Message::new();
        self.ready = self.fetch(pipes, asked, &mut slot).then_some(slot);
        self.ready.is_some()
    }

    fn configure(&mut self, options: &Options) {
        self.dealer.configure(options);
        self.relaxed = options.req_relaxed;
        self.correlate = options.req_correlate;
    }
}
