//! The broker as one of a pair: [`Node<Broker>`](crate::binary_star::Node) makes it serve or stand by.
//!
//! A request of a client is a vote. While the broker stands by, requests are refused with
//! [`RefusalCode::StandBy`], so that a client of ours asks the other broker at once, and workers are
//! sent away, so that they register there. Only `mmi.status` is answered, and is no vote: an operator
//! may look at both.
//!
//! What one of the two has at hand does not go over to the other. Its clients ask again, so a request
//! may be executed twice across a fail-over; kept replies are each broker's own.

use xebec::Message;

use super::super::codec::{self, ToClient};
use super::super::stamp::{Key, Refusal, RefusalCode};
use super::{Broker, Note, mmi};
use crate::binary_star::Voter;
use crate::machine::{Actions, Port, Time};

/// What is said to clients of a broker that stands by.
pub(super) const STANDS_BY: &str = "this broker stands by for the other of its pair";

impl Broker {
    /// How a request is refused that the broker does not take because it is about to end.
    pub(super) fn ending(&self) -> RefusalCode {
        match self.paired {
            true => RefusalCode::StandBy,
            false => RefusalCode::Busy,
        }
    }
}

impl Voter for Broker {
    fn is_request(&self, _: Port, message: &Message) -> bool {
        codec::asked_service(message).is_some_and(|service| !mmi::is_status(service))
    }

    fn is_reply(&self, _: Port, message: &Message) -> bool {
        if codec::is_workers(message) {
            return false;
        }
        let mut message = message.clone();
        message.pop_front();
        let Ok((_, mut reply)) = ToClient::parse(message) else {
            return true;
        };
        Key::take_part(&mut reply.body);
        let refusal = Refusal::read(&reply.body);
        let refused = refusal.is_some_and(|refusal| refusal.code == RefusalCode::StandBy);
        !refused && !mmi::is_status(&reply.service)
    }

    fn turn_away(&mut self, port: Port, message: Message, now: Time, actions: &mut Actions<Note>) {
        self.message(port, message, now, actions);
    }

    fn set_active(&mut self, active: bool, now: Time, actions: &mut Actions<Note>) {
        let is_start = !std::mem::replace(&mut self.paired, true);
        self.standing_by = !active;
        if is_start {
            return;
        }
        actions.deliver(Note::StandsBy(!active));
        if active {
            return;
        }
        let workers: Vec<usize> = self.workers.iter().map(|(index, _)| index).collect();
        for worker in &workers {
            self.release(*worker);
        }
        // What has its reply gets it when that is durable.
        let requests = self.requests.iter().filter(|(_, r)| !r.settling);
        let requests: Vec<usize> = requests.map(|(index, _)| index).collect();
        for request in requests {
            self.counters.refused_standby += 1;
            self.fail(request, RefusalCode::StandBy, STANDS_BY, now, actions);
        }
        for worker in workers {
            self.send_away(worker, now, actions);
        }
    }
}
