//! SERVER (RFC 41) and PEER (RFC 51): address each peer by a number.
//!
//! The number is this side's own, of the connection, and never zero. It comes with each message, and a
//! message is sent to the peer whose number it bears. In contrast to a ROUTER, neither type ever drops.

use super::policy::FairQueue;
use super::router::RoutingTable;
use super::{Pattern, word};
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::options::Options;
use crate::pipe::{Happened, PipeId, Pipes};

/// A socket that numbers its peers.
pub(crate) struct Server {
    inn: FairQueue,
    table: RoutingTable<u32>,
    /// HELLO_MSG, DISCONNECT_MSG and, for a PEER, HICCUP_MSG.
    hello: Option<Message>,
    farewell: Option<Message>,
    hiccup: Option<Message>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Server {
            inn: FairQueue::default(),
            table: RoutingTable::new(),
            hello: None,
            farewell: None,
            hiccup: None,
        }
    }
}

impl Pattern for Server {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        let number = self.table.generate();
        self.table.insert(number, id);
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        self.table.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(hello) = &self.hello {
            pipes.greet(id, hello);
        }
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        let pipe = pipes.pipe(id);
        // A peer that this side connects to is expected back under its number; another is gone.
        let word = match (pipe.dialer, pipe.listener) {
            (Some(_), _) => &self.hiccup,
            (None, Some(_)) => &self.farewell,
            (None, None) => &None,
        };
        if pipe.dialer.is_none() {
            self.table.unroute(id);
        }
        if let Some(word) = word {
            pipes.tell(id, word.clone());
            self.inn.0.activate(id);
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        let number = message.routing_id();
        let pipe = number.and_then(|number| self.table.pipe(number));
        // One that has gone may have left words, and keeps its number until they are taken.
        let Some(pipe) = pipe.filter(|&pipe| !pipes.has_left(pipe)) else {
            return Err(SendErrorKind::Unroutable);
        };
        if !pipes.can_send(pipe) {
            return Err(SendErrorKind::WouldBlock);
        }
        message.set_routing_id(0);
        pipes.send(pipe, message);
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        let Some(from) = self.inn.recv(pipes, slot) else {
            return Ok(false);
        };
        // Only pipes with a number are in the fair queue.
        if let Some(&number) = self.table.id(from) {
            slot.set_routing_id(number);
        }
        Ok(true)
    }

    /// Whether a send goes through depends on whom it is for.
    fn can_send(&mut self, _: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inn.can_recv(pipes)
    }

    fn number(&self, id: PipeId) -> Option<u32> {
        self.table.id(id).copied()
    }

    fn expel(&mut self, pipes: &mut Pipes, number: u32) -> bool {
        let Some(pipe) = self.table.pipe(number) else {
            return false;
        };
        // The application knows: it is told nothing, and nothing more from that peer.
        self.table.remove(pipe);
        self.inn.0.remove(pipe);
        pipes.happened.push((pipe, Happened::Left));
        true
    }

    fn configure(&mut self, options: &Options) {
        self.hello = word(&options.hello_msg);
        self.farewell = word(&options.disconnect_msg);
        self.hiccup = word(&options.hiccup_msg);
    }
}
