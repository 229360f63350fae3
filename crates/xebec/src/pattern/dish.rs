//! DISH (RFC 48): receives from the groups that it has joined.
//!
//! Groups are told to every RADIO when they are joined and left, and all of them whenever a connection
//! comes up; like subscriptions, they are not subject to the high-water mark.

use std::collections::HashSet;

use super::Pattern;
use super::policy::FairQueue;
use super::radio::is_group;
use crate::error::{GroupError, RecvError, SendErrorKind};
use crate::message::{Frame, Kind, Message};
use crate::pipe::{PipeId, Pipes};

/// The receiver's side.
#[derive(Default)]
pub(crate) struct Dish {
    inn: FairQueue,
    groups: HashSet<Box<[u8]>>,
    ready: Option<Message>,
}

impl Dish {
    fn fetch(&mut self, pipes: &mut Pipes, slot: &mut Message) -> bool {
        if let Some(ready) = self.ready.take() {
            *slot = ready;
            return true;
        }
        while self.inn.recv(pipes, slot).is_some() {
            let well_formed = slot.len() == 2 && is_group(slot.first());
            let Some(group) = slot.pop_front().filter(|_| well_formed) else {
                pipes.counters.dropped.malformed += 1;
                continue;
            };
            // Looking again matters when a group was left while messages were under way.
            if self.groups.contains(group.as_bytes()) {
                slot.set_group(group);
                return true;
            }
            pipes.counters.dropped.unwanted += 1;
        }
        false
    }
}

impl Pattern for Dish {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        for group in &self.groups {
            pipes.put(id, Message::of_kind(Kind::Join, group));
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, _: &mut Pipes, _: &Frame) -> Result<(), SendErrorKind> {
        Err(SendErrorKind::Unsupported)
    }

    fn send(&mut self, _: &mut Pipes, _: &mut Message) -> Result<(), SendErrorKind> {
        Err(SendErrorKind::Unsupported)
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        Ok(self.fetch(pipes, slot))
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        false
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let mut slot = Message::new();
        self.ready = self.fetch(pipes, &mut slot).then_some(slot);
        self.ready.is_some()
    }

    fn join(&mut self, pipes: &mut Pipes, group: &[u8], on: bool) -> Result<(), GroupError> {
        if !is_group(group) {
            return Err(GroupError::Invalid);
        }
        let (changed, kind, error) = match on {
            true => {
                let joined = self.groups.insert(group.into());
                (joined, Kind::Join, GroupError::Joined)
            }
            false => (
                self.groups.remove(group),
                Kind::Leave,
                GroupError::NotJoined,
            ),
        };
        if !changed {
            return Err(error);
        }
        for id in self.inn.0.iter() {
            // One that is not connected is told everything when it is.
            if pipes.pipe(id).is_up() {
                pipes.put(id, Message::of_kind(kind, group));
            }
        }
        Ok(())
    }

    fn topics(&self) -> Option<usize> {
        Some(self.groups.len())
    }
}
