//! Replies that are sent, at once or when they are durable.

use xebec::Frame;

use super::{Broker, Note};
use crate::machine::{Actions, Time};
use crate::titanic::Mark;

impl Broker {
    /// Sends the end of a reply, or all of it where the parts were collected, and forgets the request.
    pub(super) fn answer(
        &mut self,
        index: usize,
        last: Option<Vec<Frame>>,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        let parts = std::mem::take(&mut self.requests[index].parts);
        let request = &self.requests[index];
        let to = request.answer(&self.services[request.service].name);
        match last {
            Some(body) if parts.is_empty() => to.part(0, true, body, actions),
            _ => to.all(parts, actions),
        }
        self.counters.replies += 1;
        self.forget(index, now);
    }

    /// Has a reply wait until everything up to a mark is durable.
    pub(super) fn settle(&mut self, index: usize, mark: Mark, actions: &mut Actions<Note>) {
        self.requests[index].settling = true;
        self.settling.push_back((mark, index));
        self.sync(actions);
    }

    /// Asks for what waits to be made durable, one time at a time.
    fn sync(&mut self, actions: &mut Actions<Note>) {
        if let Some((mark, _)) = self.settling.back()
            && !self.syncing
        {
            self.syncing = true;
            actions.deliver(Note::Sync(*mark));
        }
    }

    pub(super) fn synced(
        &mut self,
        mark: Mark,
        result: Result<(), String>,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        self.syncing = false;
        let durable = result.is_ok();
        if let Err(why) = result {
            actions.deliver(Note::NotDurable(why));
        }
        // What was executed is worth more than the promise that it will not be again.
        while let Some((_, index)) = self.settling.pop_front_if(|(at, _)| *at <= mark) {
            self.counters.not_kept += u64::from(!durable);
            self.answer(index, None, now, actions);
        }
        self.sync(actions);
    }
}
