//! ROUTER (RFC 28): addresses each peer by its routing id.
//!
//! The application receives `[id][frames…]` and sends `[id][frames…]`. A peer's id is the one it
//! chose (ROUTING_ID), the one this side gave it (CONNECT_ROUTING_ID), or five bytes that begin
//! with zero.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use bytes::Bytes;

use super::policy::FairQueue;
use super::{Pattern, word};
use crate::conn::{Broken, Conn};
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::options::{Options, RouterNotify};
use crate::pipe::{PipeId, Pipes};

/// Routing ids in both directions.
pub(super) struct RoutingTable<Id = Bytes> {
    pipes: HashMap<Id, PipeId>,
    /// Indexed by pipe: every message that is received is given its peer's id.
    ids: Vec<Option<Id>>,
    next: u32,
}

impl<Id: Hash + Eq + Clone> RoutingTable<Id> {
    pub(super) fn new() -> Self {
        RoutingTable {
            pipes: HashMap::new(),
            ids: Vec::new(),
            next: RandomState::new().hash_one(0u8) as u32,
        }
    }

    pub(super) fn insert(&mut self, id: Id, pipe: PipeId) {
        self.remove(pipe);
        self.pipes.insert(id.clone(), pipe);
        if self.ids.len() <= pipe {
            self.ids.resize(pipe + 1, None);
        }
        self.ids[pipe] = Some(id);
    }

    pub(super) fn remove(&mut self, pipe: PipeId) -> Option<Id> {
        self.unroute(pipe);
        self.ids.get_mut(pipe)?.take()
    }

    /// Nothing can be sent to the pipe any more; what it sent still bears its name.
    pub(super) fn unroute(&mut self, pipe: PipeId) {
        if let Some(Some(id)) = self.ids.get(pipe)
            && self.pipes.get(id) == Some(&pipe)
        {
            self.pipes.remove(id);
        }
    }

    #[inline]
    pub(super) fn id(&self, pipe: PipeId) -> Option<&Id> {
        self.ids.get(pipe)?.as_ref()
    }

    /// An id that no peer has, made of the next number.
    fn next_free(&mut self, make: impl Fn(u32) -> Option<Id>) -> Id {
        loop {
            self.next = self.next.wrapping_add(1);
            if let Some(id) = make(self.next)
                && !self.pipes.contains_key(&id)
            {
                return id;
            }
        }
    }
}

impl RoutingTable {
    /// An id that no peer has: a zero byte, which no peer may choose, and 32 bits.
    pub(super) fn generate(&mut self) -> Bytes {
        self.next_free(|next| {
            let n = next.to_be_bytes();
            Some(Bytes::copy_from_slice(&[0, n[0], n[1], n[2], n[3]]))
        })
    }

    /// Puts the id of the peer that a message came from in front of it.
    pub(super) fn label(&self, from: PipeId, message: &mut Message) {
        if let Some(id) = self.id(from) {
            message.push_front(Frame::sharing(id));
        }
    }

    #[inline]
    pub(super) fn pipe(&self, id: &[u8]) -> Option<PipeId> {
        self.pipes.get(id).copied()
    }
}

impl RoutingTable<u32> {
    /// A number that no peer has; not zero (RFC 41).
    pub(super) fn generate(&mut self) -> u32 {
        self.next_free(|next| (next != 0).then_some(next))
    }

    #[inline]
    pub(super) fn pipe(&self, id: u32) -> Option<PipeId> {
        self.pipes.get(&id).copied()
    }
}

/// A socket that knows its peers by name.
pub(crate) struct Router {
    inn: FairQueue,
    table: RoutingTable,
    mandatory: bool,
    handover: bool,
    probe: bool,
    notify: RouterNotify,
    /// HELLO_MSG and DISCONNECT_MSG.
    hello: Option<Message>,
    farewell: Option<Message>,
}

impl Router {
    pub(crate) fn new() -> Self {
        Router {
            inn: FairQueue::default(),
            table: RoutingTable::new(),
            mandatory: false,
            handover: false,
            probe: false,
            notify: RouterNotify::NONE,
            hello: None,
            farewell: None,
        }
    }

    /// Gives a pipe its id. False if another peer has that id.
    fn identify(&mut self, pipes: &mut Pipes, pipe: PipeId, id: Bytes) -> bool {
        match self.table.pipe(&id) {
            Some(same) if same == pipe => return true,
            Some(other) if self.handover => {
                self.table.unroute(other);
                pipes.fail(
                    other,
                    Broken::Refused("another peer took over its routing id (ROUTER_HANDOVER)"),
                );
            }
            Some(_) => return false,
            None => {}
        }
        self.table.insert(id, pipe);
        true
    }
}

impl Pattern for Router {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(assigned) = pipes.pipe(id).assigned_id.clone()
            && !self.identify(pipes, id, assigned)
        {
            return pipes.refuse(
                id,
                Broken::Dismissed("another peer has the routing id given by CONNECT_ROUTING_ID"),
            );
        }
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        self.table.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        let chosen = pipes.pipe(id).info.routing_id.clone();
        let known = self.table.id(id).is_some();
        if !(known && (chosen.is_empty() || pipes.pipe(id).assigned_id.is_some())) {
            let name = if chosen.is_empty() {
                self.table.generate()
            } else {
                chosen
            };
            if !self.identify(pipes, id, name) {
                self.inn.0.remove(id);
                self.table.remove(id);
                return pipes.refuse(
                    id,
                    Broken::Refused(
                        "another peer has its routing id; ROUTER_HANDOVER would let it take over",
                    ),
                );
            }
        }
        self.inn.0.insert(id);
        if let Some(hello) = &self.hello {
            pipes.greet(id, hello);
        }
        if self.probe {
            pipes.greet(id, &Message::new());
        }
        if self.notify.contains(RouterNotify::CONNECT) && !pipes.pipe(id).is_inproc() {
            pipes.tell(id, Message::new());
        }
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        // A peer whose name another one took over has not gone, as far as that name is concerned.
        let known = self.table.id(id).and_then(|name| self.table.pipe(name)) == Some(id);
        if known && self.notify.contains(RouterNotify::DISCONNECT) && !pipes.pipe(id).is_inproc() {
            pipes.tell(id, Message::new());
            self.inn.0.activate(id);
        }
        // A peer that this side connects to is expected back under its name; another is gone.
        if pipes.pipe(id).dialer.is_some() {
            return;
        }
        if known && pipes.pipe(id).listener.is_some() {
            let farewell = self.farewell.clone();
            farewell.into_iter().for_each(|word| pipes.tell(id, word));
        }
        self.table.unroute(id);
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, pipes: &mut Pipes, first: &Frame) -> Result<(), SendErrorKind> {
        match self.table.pipe(first) {
            _ if !self.mandatory => Ok(()),
            None => Err(SendErrorKind::Unroutable),
            Some(pipe) if pipes.can_send(pipe) => Ok(()),
            // What it said last waits to be taken; it hears nothing any more.
            Some(pipe) if pipes.has_left(pipe) => Err(SendErrorKind::Unroutable),
            Some(_) => Err(SendErrorKind::WouldBlock),
        }
    }

    fn has_room_for(&mut self, pipes: &mut Pipes, routing_id: &[u8]) -> Option<bool> {
        self.table.pipe(routing_id).map(|pipe| pipes.can_send(pipe))
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        if message.len() < 2 {
            // Nothing but an address: there is nothing to send.
            return match self.table.pipe(message.first()) {
                None if self.mandatory => Err(SendErrorKind::Unroutable),
                _ => Ok(()),
            };
        }
        let Some(pipe) = self.table.pipe(message.first()) else {
            if self.mandatory {
                return Err(SendErrorKind::Unroutable);
            }
            pipes.counters.dropped.unroutable += 1;
            return Ok(());
        };
        if message.body().is_empty() && pipes.pipe(pipe).conn().is_some_and(Conn::is_raw) {
            pipes.flush(pipe);
            pipes.fail(pipe, Broken::Refused("closed by the application"));
            return Ok(());
        }
        if !pipes.can_send(pipe) {
            let gone = pipes.has_left(pipe);
            if self.mandatory {
                return Err(match gone {
                    true => SendErrorKind::Unroutable,
                    false => SendErrorKind::WouldBlock,
                });
            }
            match gone {
                true => pipes.counters.dropped.unroutable += 1,
                false => pipes.counters.dropped.high_water_mark += 1,
            }
            return Ok(());
        }
        message.pop_front();
        pipes.send(pipe, message);
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        let Some(from) = self.inn.recv(pipes, slot) else {
            return Ok(false);
        };
        // Only pipes with an id are in the fair queue.
        self.table.label(from, slot);
        Ok(true)
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inn.can_recv(pipes)
    }

    fn configure(&mut self, options: &Options) {
        self.mandatory = options.router_mandatory;
        self.handover = options.router_handover;
        self.probe = options.probe_router;
        self.notify = options.router_notify;
        self.hello = word(&options.hello_msg);
        self.farewell = word(&options.disconnect_msg);
    }
}
