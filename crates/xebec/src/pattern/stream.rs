//! STREAM: raw TCP for programs that speak another protocol (libzmq's `zmq_socket`, "Native
//! pattern").
//!
//! The application receives `[id][bytes]`, with empty bytes when a peer connects and when it
//! leaves (STREAM_NOTIFY), and sends `[id][bytes]`; sending `[id][""]` closes the connection.

use bytes::Bytes;

use super::Pattern;
use super::policy::FairQueue;
use super::router::RoutingTable;
use crate::conn::Broken;
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::pipe::{Happened, PipeId, Pipes};

/// Raw connections by id.
pub(crate) struct StreamPattern {
    inn: FairQueue,
    table: RoutingTable,
    /// The id of the peer that joined last.
    latest: Bytes,
    notify: bool,
}

impl StreamPattern {
    pub(crate) fn new() -> Self {
        StreamPattern {
            inn: FairQueue::default(),
            table: RoutingTable::new(),
            latest: Bytes::new(),
            notify: true,
        }
    }

    /// An empty frame, which no bytes from a peer ever are, tells that it came or went. It takes
    /// its place behind what the peer has sent before.
    fn notice(&mut self, pipes: &mut Pipes, id: PipeId) {
        if self.notify && self.table.id(id).is_some() {
            pipes.interject(id, Message::new());
            self.inn.0.activate(id);
        }
    }
}

impl Pattern for StreamPattern {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let name = pipes.pipe(id).assigned_id.clone();
        let name = name.unwrap_or_else(|| self.table.generate());
        if self.table.pipe(&name).is_some() {
            return pipes.refuse(
                id,
                Broken::Dismissed("another peer has the routing id given by CONNECT_ROUTING_ID"),
            );
        }
        self.latest = name.clone();
        self.table.insert(name, id);
        self.inn.0.insert(id);
    }

    fn latest_id(&self) -> Option<Bytes> {
        Some(self.latest.clone())
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        self.table.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.notice(pipes, id);
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.notice(pipes, id);
        if pipes.pipe(id).dialer.is_none() {
            self.table.unroute(id);
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, pipes: &mut Pipes, first: &Frame) -> Result<(), SendErrorKind> {
        match self.table.pipe(first) {
            None => Err(SendErrorKind::Unroutable),
            Some(pipe) if !pipes.can_send(pipe) => Err(SendErrorKind::WouldBlock),
            Some(_) => Ok(()),
        }
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        if message.len() != 2 {
            return Err(SendErrorKind::Invalid(
                "a STREAM message is two frames: the peer's id and bytes",
            ));
        }
        let Some(pipe) = self.table.pipe(message.first()) else {
            return Err(SendErrorKind::Unroutable);
        };
        if message.body().is_empty() {
            // The application knows: it gets no notice, and nothing more from that peer.
            self.table.remove(pipe);
            self.inn.0.remove(pipe);
            pipes.happened.push((pipe, Happened::Left));
            return Ok(());
        }
        if !pipes.can_send(pipe) {
            return Err(SendErrorKind::WouldBlock);
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
        self.notify = options.stream_notify;
    }
}
