//! SUB and XSUB (RFC 29): receive what matches a subscription.
//!
//! Subscriptions are told to every publisher when they are made and again whenever a connection
//! comes up, however many there are: they are not subject to the high-water mark.

use super::Pattern;
use super::policy::FairQueue;
use crate::error::{RecvError, SendError};
use crate::message::{Kind, Message};
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

    fn fetch(&mut self, pipes: &mut Pipes) -> Option<Message> {
        if self.ready.is_some() {
            return self.ready.take();
        }
        while let Some((_, message)) = self.inn.recv(pipes) {
            // An XSUB's application sees what any XSUB asked for; filtering again matters when a
            // subscription ended while messages were under way.
            if self.topics.matches(message.first()) != self.invert {
                return Some(message);
            }
            pipes.counters.dropped.unwanted += 1;
        }
        None
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

    fn send(&mut self, pipes: &mut Pipes, message: Message) -> Result<(), SendError> {
        if !self.extended {
            return Err(SendError::unsupported(message));
        }
        match message.first().as_bytes() {
            [1, topic @ ..] => drop(self.subscribe(pipes, topic, true)),
            [0, topic @ ..] => drop(self.subscribe(pipes, topic, false)),
            _ => {
                for id in self.inn.0.iter() {
                    if pipes.can_send(id) {
                        pipes.send_copy(id, &message);
                    } else {
                        pipes.counters.dropped.high_water_mark += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, RecvError> {
        Ok(self.fetch(pipes))
    }

    fn can_send(&mut self, _: &mut Pipes) -> bool {
        self.extended
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.ready = self.fetch(pipes);
        self.ready.is_some()
    }

    fn subscribe(&mut self, pipes: &mut Pipes, topic: &[u8], on: bool) -> bool {
        let (tell, kind) = if on {
            // Repeated subscriptions are told as well: an XPUB may ask to see them all.
            self.topics.add(topic);
            (true, Kind::Subscribe)
        } else {
            let last = self.topics.remove(topic).unwrap_or(false);
            (last || self.verbose_unsubscribe, Kind::Cancel)
        };
        if tell {
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
    }
}
