//! What a client is sent, in its dialect and with its stamp.

use xebec::Frame;

use super::super::codec::{Dialect, ToClient};
use super::super::replies::Parts;
use super::super::stamp::Key;
use super::Note;
use super::state::Peer;
use crate::machine::Actions;

/// To whom an answer goes, and how.
pub(super) struct Answer<'a> {
    pub(super) peer: &'a Peer,
    pub(super) dialect: Dialect,
    pub(super) service: &'a Frame,
    pub(super) key: Option<Key>,
}

impl Answer<'_> {
    pub(super) fn part(
        &self,
        part: u32,
        last: bool,
        mut body: Vec<Frame>,
        actions: &mut Actions<Note>,
    ) {
        if let Some(key) = self.key {
            body.insert(0, key.stamp_part(part));
        }
        let service = self.service.clone();
        let message = ToClient {
            last,
            service,
            body,
        }
        .frames(self.peer.1.clone(), self.dialect);
        actions.send(self.peer.0, message);
    }

    /// The whole reply: all its frames at once for who knows no parts.
    pub(super) fn all(&self, parts: Parts, actions: &mut Actions<Note>) {
        if self.dialect.has_partials() {
            let last = parts.len().saturating_sub(1);
            for (part, body) in parts.into_iter().enumerate() {
                self.part(part as u32, part == last, body, actions);
            }
        } else {
            self.part(0, true, parts.into_iter().flatten().collect(), actions);
        }
    }
}
