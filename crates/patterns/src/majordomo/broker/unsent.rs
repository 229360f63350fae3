//! What could not be sent: to a worker that is gone, or to a client that is gone or does not read.

use xebec::{Message, SendErrorKind};

use super::state::Peer;
use super::{Broker, Gone, Note};
use crate::machine::{Actions, Port, Time};
use crate::majordomo::codec::{self, ToWorker};

impl Broker {
    pub(super) fn unsent(
        &mut self,
        port: Port,
        message: Message,
        why: &SendErrorKind,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        let full = *why == SendErrorKind::WouldBlock;
        if let Some(told) = codec::told(&message) {
            // A worker that has a large request to read is told soon enough.
            let waits = full && told == ToWorker::Heartbeat;
            let peer = Peer(port, message.split_first().0);
            if let Some(&worker) = self.by_peer.get(&peer).filter(|_| !waits) {
                self.counters.workers_lost += 1;
                if matches!(told, ToWorker::Request { .. }) {
                    self.untry(worker);
                }
                self.lose(worker, Gone::Lost, now, actions);
            }
        } else if full {
            self.counters.unread += 1;
            if self.may_note(2, now) {
                let client = message.split_first().0;
                actions.deliver(Note::Unread { client });
            }
        } else {
            self.counters.undeliverable += 1;
        }
    }

    /// The request that a worker was to get never left: many workers may be gone at the same time, when a process
    /// with all of them is, and a request that has met each of them must not have failed by that.
    fn untry(&mut self, worker: usize) {
        if let Some(request) = self.workers[worker].busy {
            self.requests[request].tries -= 1;
        }
    }
}
