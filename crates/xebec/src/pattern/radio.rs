//! RADIO (RFC 48): sends to the DISH sockets that have joined a message's group.
//!
//! The group is compared whole. On its way a message has two frames, the group and the body, and each
//! DISH says which groups it wants with the commands JOIN and LEAVE. A DISH whose pipe is full misses the
//! message, unless XPUB_NODROP makes the sender wait.

use std::collections::{BTreeMap, HashMap};

use zmtp::MAX_GROUP;

use super::Pattern;
use super::policy::{Ring, fan_out, nodrop_room};
use super::single::ONE_FRAME;
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Kind, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// The sender's side.
#[derive(Default)]
pub(crate) struct Radio {
    peers: Ring,
    /// Who has joined which group, and how often: a JOIN is undone by a LEAVE.
    groups: HashMap<Box<[u8]>, BTreeMap<PipeId, u32>>,
    matching: Vec<PipeId>,
    nodrop: bool,
}

impl Radio {
    fn join(&mut self, id: PipeId, group: &[u8]) {
        match self.groups.get_mut(group) {
            Some(members) => *members.entry(id).or_default() += 1,
            None => drop(self.groups.insert(group.into(), [(id, 1)].into())),
        }
    }

    fn leave(&mut self, id: PipeId, group: &[u8]) {
        let Some(members) = self.groups.get_mut(group) else {
            return;
        };
        if let Some(times) = members.get_mut(&id) {
            *times -= 1;
            if *times == 0 {
                members.remove(&id);
            }
        }
        if members.is_empty() {
            self.groups.remove(group);
        }
    }
}

/// Whether a group may have this name (RFC 48, "Group").
pub(super) fn is_group(name: &[u8]) -> bool {
    name.len() <= MAX_GROUP && !name.contains(&0)
}

impl Pattern for Radio {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.peers.insert(id);
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.disconnected(pipes, id);
        self.peers.remove(id);
    }

    fn disconnected(&mut self, _: &mut Pipes, id: PipeId) {
        self.groups.retain(|_, members| {
            members.remove(&id);
            !members.is_empty()
        });
    }

    fn readable(&mut self, _: PipeId) {}

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, _: &mut Pipes, _: &Frame) -> Result<(), SendErrorKind> {
        Err(SendErrorKind::Invalid(ONE_FRAME))
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        if message.len() > 1 {
            return Err(SendErrorKind::Invalid(ONE_FRAME));
        }
        // A message without a group is for those who joined the group without a name.
        let group = message.take_group().unwrap_or_default();
        if !is_group(&group) {
            let why = "the name of a group is up to 255 bytes, none of them zero";
            message.set_group(group);
            return Err(SendErrorKind::Invalid(why));
        }
        self.matching.clear();
        if let Some(members) = self.groups.get(group.as_bytes()) {
            self.matching.extend(members.keys());
        }
        if self.nodrop
            && let Err(kind) = nodrop_room(pipes, &self.matching)
        {
            message.set_group(group);
            return Err(kind);
        }
        message.push_front(group);
        fan_out(pipes, &self.matching, message);
        Ok(())
    }

    fn recv(&mut self, _: &mut Pipes, _: &mut Message) -> Result<bool, RecvError> {
        Err(RecvError::Unsupported)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        !self.nodrop || self.peers.iter().all(|id| pipes.can_send(id))
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        false
    }

    fn consumes(&self) -> bool {
        true
    }

    fn inbound(&mut self, pipes: &mut Pipes, id: PipeId, message: &mut Message) {
        match message.kind {
            Kind::Join => self.join(id, message.first()),
            Kind::Leave => self.leave(id, message.first()),
            _ => pipes.counters.dropped.unwanted += 1,
        }
    }

    fn topics(&self) -> Option<usize> {
        Some(self.groups.len())
    }

    fn configure(&mut self, options: &Options) {
        self.nodrop = options.xpub_nodrop;
    }
}
