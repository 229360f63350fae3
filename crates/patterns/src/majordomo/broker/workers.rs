//! What workers say, what they are given, and what becomes of those that are gone.

use xebec::Frame;

use super::super::codec::{Dialect, FromWorker, ToWorker};
use super::super::replies::Kept;
use super::super::stamp::RefusalCode;
use super::state::Peer;
use super::{Broker, Gone, INSIDE, Note, is_reserved};
use crate::machine::{Actions, Time};
use crate::titanic::is_titanics;

impl Broker {
    /// A command of a worker, or of one that wants to be one.
    pub(super) fn worker(
        &mut self,
        peer: Peer,
        dialect: Dialect,
        command: FromWorker,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        let Some(&index) = self.by_peer.get(&peer) else {
            return self.stranger(peer, dialect, command, now, actions);
        };
        let worker = &mut self.workers[index];
        let fits = worker.dialect == dialect;
        worker.heard(&command, self.config.liveness, now);
        match command {
            FromWorker::Heartbeat if fits => {
                if worker.is_aside() {
                    let service = worker.service;
                    self.idle(index);
                    self.dispatch(service, now, actions);
                }
            }
            FromWorker::Disconnect => {
                self.counters.workers_left += 1;
                self.lose(index, Gone::Left, now, actions);
            }
            FromWorker::Partial { address, body } if fits && self.owes(index, &address) => {
                self.partial(index, body, now, actions);
            }
            FromWorker::Final { address, body } if fits && self.owes(index, &address) => {
                self.last(index, body, now, actions);
            }
            // A second READY, or a reply that nobody asked it for.
            _ => self.send_away(index, now, actions),
        }
    }

    /// A command of a worker that is not registered.
    fn stranger(
        &mut self,
        peer: Peer,
        dialect: Dialect,
        command: FromWorker,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        match command {
            FromWorker::Ready { service } if self.takes_worker(&peer, &service) => {
                self.counters.workers_ready += 1;
                let worker = peer.1.clone();
                let name = service.to_string_lossy().into_owned();
                let service = self.service(service, now, actions);
                self.register(peer, dialect, service, now);
                actions.deliver(Note::WorkerReady {
                    worker,
                    service: name,
                    dialect,
                });
                self.dispatch(service, now, actions);
            }
            FromWorker::Disconnect => {}
            command => {
                let replies = matches!(
                    command,
                    FromWorker::Partial { .. } | FromWorker::Final { .. }
                );
                self.counters.late_replies += u64::from(replies);
                self.counters.workers_refused += 1;
                actions.send(peer.0, ToWorker::Disconnect.frames(peer.1, dialect));
            }
        }
    }

    fn takes_worker(&self, peer: &Peer, service: &Frame) -> bool {
        let known = self.by_name.contains_key(service);
        // Whoever took Titanic's place would be told what clients want to be kept.
        let titanics = !self.config.bind_titanic.is_empty() && is_titanics(service);
        !is_reserved(service)
            && (!titanics || peer.0 == INSIDE)
            && !self.draining
            && !self.standing_by
            && self.workers.len() < self.config.workers
            && (known || self.services.len() < self.config.services)
    }

    /// Whether the worker is at work on the request of this address.
    fn owes(&self, worker: usize, address: &Frame) -> bool {
        let busy = self.workers[worker].busy;
        busy.is_some_and(|request| self.requests[request].address() == **address)
    }

    fn partial(&mut self, worker: usize, body: Vec<Frame>, now: Time, actions: &mut Actions<Note>) {
        let index = self.workers[worker].busy.expect("it owes a reply");
        if !self.collect(index, &body, worker, now, actions) {
            return;
        }
        let request = &mut self.requests[index];
        if request.is_collected() {
            return;
        }
        request.begun = true;
        self.counters.partials += 1;
        let request = &self.requests[index];
        let to = request.answer(&self.services[request.service].name);
        to.part(0, false, body, actions);
    }

    /// Keeps a part where the whole reply will be needed. False if it is too much: then the worker is
    /// sent away and its request has failed.
    fn collect(
        &mut self,
        index: usize,
        body: &[Frame],
        worker: usize,
        now: Time,
        actions: &mut Actions<Note>,
    ) -> bool {
        let request = &mut self.requests[index];
        if !request.is_collected() {
            return true;
        }
        request.parts.push(body.to_vec());
        request.parts_bytes += body
            .iter()
            .map(|f| f.len() + size_of::<Frame>())
            .sum::<usize>();
        if request.parts_bytes <= self.config.reply_bytes {
            return true;
        }
        request.tries = u32::MAX;
        self.send_away(worker, now, actions);
        false
    }

    fn last(&mut self, worker: usize, body: Vec<Frame>, now: Time, actions: &mut Actions<Note>) {
        let index = self.workers[worker].busy.expect("it owes a reply");
        if !self.collect(index, &body, worker, now, actions) {
            return;
        }
        let kept = self.requests[index].key.map_or(Kept::Yes, |key| {
            self.replies.keep(&key, &self.requests[index].parts, now)
        });
        self.release(worker);
        match kept {
            Kept::Once(mark) => self.settle(index, mark, actions),
            kept => {
                self.counters.not_kept += u64::from(kept == Kept::No);
                self.answer(index, Some(body), now, actions);
            }
        }
        if self.draining {
            self.send_away(worker, now, actions);
            return;
        }
        let service = self.workers[worker].service;
        self.idle(worker);
        self.dispatch(service, now, actions);
    }

    /// Gives waiting requests to waiting workers.
    pub(super) fn dispatch(&mut self, service: usize, now: Time, actions: &mut Actions<Note>) {
        while let Some((worker, request)) = self.next_pair(service) {
            if self.workers[worker].expires <= now {
                self.counters.workers_expired += 1;
                self.lose(worker, Gone::Expired, now, actions);
                continue;
            }
            if self.workers[worker].is_doubted(now) {
                self.doubt(worker);
                continue;
            }
            self.assign(worker, request, now);
            self.counters.dispatched += 1;
            let request = &self.requests[request];
            let address = Frame::copy_from_slice(&request.address());
            let body = request.body.clone();
            self.tell(worker, ToWorker::Request { address, body }, now, actions);
        }
    }

    pub(super) fn tell(
        &mut self,
        worker: usize,
        what: ToWorker,
        now: Time,
        actions: &mut Actions<Note>,
    ) {
        let worker = &mut self.workers[worker];
        worker.beat = now + worker.interval();
        let Peer(port, id) = worker.peer.clone();
        actions.send(port, what.frames(id, worker.dialect));
    }

    pub(super) fn send_away(&mut self, worker: usize, now: Time, actions: &mut Actions<Note>) {
        self.counters.workers_refused += u64::from(!self.draining);
        self.tell(worker, ToWorker::Disconnect, now, actions);
        self.lose(worker, Gone::SentAway, now, actions);
    }

    /// A worker is gone; its request is given to another, or has failed.
    pub(super) fn lose(&mut self, index: usize, why: Gone, now: Time, actions: &mut Actions<Note>) {
        let request = self.release(index);
        let worker = self.unregister(index, now);
        let (id, service) = (worker.peer.1, worker.service);
        let name = self.services[service].name.to_string_lossy().into_owned();
        let busy = request.is_some();
        actions.deliver(Note::WorkerGone {
            worker: id,
            service: name,
            why,
            busy,
        });
        if let Some(index) = request {
            let request = &mut self.requests[index];
            let may = request.tries <= self.services[service].policy.retries;
            // A client that has had a part of one reply cannot be given the rest of another.
            if may && !request.begun && !self.draining {
                request.parts.clear();
                request.parts_bytes = 0;
                self.counters.retries += 1;
                self.requeue(index, now);
            } else {
                self.counters.failed += 1;
                let text = format!("the worker is gone ({why})");
                self.fail(index, RefusalCode::Failed, &text, now, actions);
            }
            self.dispatch(service, now, actions);
        }
        self.watch_queue(service, now);
    }

    /// Its timer has come.
    pub(super) fn due_worker(&mut self, index: usize, now: Time, actions: &mut Actions<Note>) {
        let worker = &self.workers[index];
        if worker.expires <= now {
            self.counters.workers_expired += 1;
            return self.lose(index, Gone::Expired, now, actions);
        }
        if worker.deadline.is_some_and(|deadline| deadline <= now) {
            self.counters.workers_overdue += 1;
            self.tell(index, ToWorker::Disconnect, now, actions);
            return self.lose(index, Gone::Overdue, now, actions);
        }
        if worker.beat <= now {
            self.counters.heartbeats += 1;
            self.tell(index, ToWorker::Heartbeat, now, actions);
        }
        self.watch_worker(index);
    }
}
