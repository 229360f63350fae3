//! STREAM: raw TCP for programs that speak another protocol (libzmq's `zmq_socket`, "Native
//! pattern").
//!
//! The application receives `[id][bytes]`, with empty bytes when a peer connects and when it
//! leaves (STREAM_NOTIFY), and sends `[id][bytes]`; sending `[id][""]` closes the connection.

use std::collections::VecDeque;

use super::Pattern;
use super::policy::FairQueue;
use super::router::RoutingTable;
use crate::conn::Broken;
use crate::error::{RecvError, SendError};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// Raw connections by id.
pub(crate) struct StreamPattern {
    inn: FairQueue,
    table: RoutingTable,
    ready: Option<(PipeId, Message)>,
    notices: VecDeque<Message>,
    notify: bool,
}

impl StreamPattern {
    pub(crate) fn new() -> Self {
        StreamPattern {
            inn: FairQueue::default(),
            table: RoutingTable::new(),
            ready: None,
            notices: VecDeque::new(),
            notify: true,
        }
    }

    fn notice(&mut self, id: PipeId) {
        if self.notify
            && let Some(name) = self.table.id(id)
        {
            let notice = [Frame::from(name.clone()), Frame::new()];
            self.notices.push_back(notice.into_iter().collect());
        }
    }

    fn fetch(&mut self, pipes: &mut Pipes) -> Option<(PipeId, Message)> {
        if self.ready.is_some() {
            return self.ready.take();
        }
        self.inn.recv(pipes)
    }
}

impl Pattern for StreamPattern {
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId) {
        let name = pipes.pipe(id).assigned_id.clone();
        let name = name.unwrap_or_else(|| self.table.generate());
        if self.table.pipe(&name).is_some() {
            return pipes.fail(
                id,
                Broken::Refused("another peer has the routing id given by CONNECT_ROUTING_ID"),
            );
        }
        self.table.insert(name, id);
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        self.ready.take_if(|(from, _)| *from == id);
        self.notice(id);
        self.table.remove(id);
    }

    fn connected(&mut self, _: &mut Pipes, id: PipeId) {
        self.notice(id);
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        if pipes.pipe(id).dialer.is_some() {
            self.notice(id);
        } else {
            self.table.unroute(id);
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn send(&mut self, pipes: &mut Pipes, mut message: Message) -> Result<(), SendError> {
        if message.len() != 2 {
            return Err(SendError::invalid(
                message,
                "a STREAM message is two frames: the peer's id and bytes",
            ));
        }
        let Some(pipe) = self.table.pipe(message.first()) else {
            return Err(SendError::unroutable(message));
        };
        if message.body().is_empty() {
            pipes.flush(pipe);
            pipes.fail(pipe, Broken::Dismissed("closed by the application"));
            return Ok(());
        }
        if !pipes.can_send(pipe) {
            return Err(SendError::would_block(message));
        }
        message.pop_front();
        pipes.send(pipe, message);
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, RecvError> {
        if let Some(notice) = self.notices.pop_front() {
            return Ok(Some(notice));
        }
        let received = self.fetch(pipes);
        Ok(received.and_then(|(from, mut message)| {
            message.push_front(Frame::from(self.table.id(from)?.clone()));
            Some(message)
        }))
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        if self.notices.is_empty() {
            self.ready = self.fetch(pipes);
        }
        !self.notices.is_empty() || self.ready.is_some()
    }

    fn configure(&mut self, options: &Options) {
        self.notify = options.stream_notify;
    }
}
