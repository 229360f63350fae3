//! SUB and XSUB (RFC 29): receive what matches a subscription.
//!
//! Subscriptions are told to every publisher when they are made and again whenever a connection
//! comes up, however many there are: they are not subject to the high-water mark.

use super::Pattern;
use super::policy::FairQueue;
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Kind, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};
use crate::topics::Refcounts;

/// The subscriber's side.
pub(crate) struct Subscriber {
    inn: FairQueue,
    topics: Refcounts,
    ready: Option<Message>,
    /// XSUB: the application sends subscriptions, and other messages, as messages.
    extended: bool,
    invert: bool,
    verbose_unsubscribe: bool,
    only_first: bool,
}

impl Subscriber {
    pub(crate) fn new(extended: bool) -> Self {
        Subscriber {
            inn: FairQueue::default(),
            topics: Refcounts::new(),
            ready: None,
            extended,
            invert: false,
            verbose_unsubscribe: false,
            only_first: false,
        }
    }

    fn tell_all(&self, pipes: &mut Pipes, message: &Message) {
        for id in self.inn.0.iter() {
            // One that is not connected is told everything when it is.
            if pipes.pipe(id).is_up() {
                pipes.put(id, message.clone());
            }
        }
    }

    /// ONLY_FIRST_SUBSCRIBE: sends a message of which the first frame may be a subscription. It
    /// stays in one piece, so that the other side knows as well which frame is the first.
    fn send_mixed(&mut self, pipes: &mut Pipes, message: &mut Message) {
        let [on @ (0 | 1), topic @ ..] = message.first().as_bytes() else {
            return self.send_own(pipes, message);
        };
        if self.note(topic, *on == 1) {
            return self.tell_all(pipes, message);
        }
        message.pop_front();
        self.send_own(pipes, message);
    }

    /// Counts a subscription or cancellation. True if publishers are to be told.
    fn note(&mut self, topic: &[u8], on: bool) -> bool {
        if on {
            // Repeated subscriptions are told as well: an XPUB may ask to see them all.
            self.topics.add(topic);
            return true;
        }
        self.topics.remove(topic).unwrap_or(false) || self.verbose_unsubscribe
    }

    /// Sends a message that is no subscription to all publishers.
    fn send_own(&self, pipes: &mut Pipes, message: &Message) {
        if self.inn.0.iter().next().is_none() {
            pipes.counters.dropped.unroutable += 1;
        }
        pipes.begin_copies();
        for id in self.inn.0.iter() {
            if !pipes.try_copy(id, message) {
                pipes.counters.dropped.high_water_mark += 1;
            }
        }
    }

    fn fetch(&mut self, pipes: &mut Pipes, slot: &mut Message) -> bool {
        if let Some(ready) = self.ready.take() {
            *slot = ready;
            return true;
        }
        while self.inn.recv(pipes, slot).is_some() {
            // Filtering again matters when a subscription ended while messages were under way. An
            // XSUB takes what it gets: with XPUB_MANUAL, that is not what it asked for.
            if self.extended || self.topics.matches(slot.first()) != self.invert {
                return true;
            }
            pipes.counters.dropped.unwanted += 1;
        }
        false
    }
}

impl Pattern for Subscriber {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.topics
            .for_each(|topic| pipes.put(id, Message::of_kind(Kind::Subscribe, topic)));
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, _: &mut Pipes, _: &Frame) -> Result<(), SendErrorKind> {
        match self.extended {
            true => Ok(()),
            false => Err(SendErrorKind::Unsupported),
        }
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        if !self.extended {
            return Err(SendErrorKind::Unsupported);
        }
        if self.only_first && message.len() > 1 {
            self.send_mixed(pipes, message);
            return Ok(());
        }
        let mut own = Vec::new();
        for frame in std::mem::take(message).into_frames() {
            match frame.as_bytes() {
                [on @ (0 | 1), topic @ ..] => {
                    self.subscribe(pipes, topic, *on == 1);
                }
                _ => own.push(frame),
            }
        }
        if !own.is_empty() {
            self.send_own(pipes, &own.into_iter().collect());
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        Ok(self.fetch(pipes, slot))
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        self.extended
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let mut slot = Message::new();
        self.ready = self.fetch(pipes, &mut slot).then_some(slot);
        self.ready.is_some()
    }

    fn subscribe(&mut self, pipes: &mut Pipes, topic: &[u8], on: bool) -> bool {
        if self.note(topic, on) {
            let kind = if on { Kind::Subscribe } else { Kind::Cancel };
            self.tell_all(pipes, &Message::of_kind(kind, topic));
        }
        true
    }

    fn topics(&self) -> Option<usize> {
        Some(self.topics.len())
    }

    fn configure(&mut self, options: &Options) {
        self.invert = options.invert_matching;
        self.verbose_unsubscribe = options.xsub_verbose_unsubscribe;
        self.only_first = options.only_first_subscribe;
    }
}
