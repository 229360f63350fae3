//! PUB and XPUB (RFC 29): fan out to the subscribers whose prefixes match.
//!
//! A message is matched by its first frame. A subscriber whose pipe is full misses it (it never
//! slows the others), unless XPUB_NODROP makes the publisher wait. Subscriptions are taken in as
//! they arrive, whatever the application is doing.

use std::collections::VecDeque;

use super::Pattern;
use super::policy::{Ring, fan_out, nodrop_room};
use crate::error::{RecvError, SendErrorKind};
use crate::message::{Frame, Kind, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};
use crate::topics::{Subscribers, Unsubscribed};

/// The publisher's side.
pub(crate) struct Publisher {
    peers: Ring,
    subscribers: Subscribers,
    /// XPUB_MANUAL: what peers asked for, which counts for nothing until the application says so.
    asked: Subscribers,
    /// What the application of an XPUB is to be told, with the peer that it comes from.
    news: VecDeque<(Option<PipeId>, Message)>,
    /// XPUB_MANUAL: the peer of the subscription that the application received last.
    last: Option<PipeId>,
    /// XPUB_MANUAL_LAST_VALUE: the peer that the application subscribed last, until a message that
    /// goes to nobody else has been sent.
    fresh: Option<PipeId>,
    /// Stamps the pipes that a message goes to, so that each gets it once however many of its
    /// prefixes match. Indexed by pipe.
    stamps: Vec<u64>,
    stamp: u64,
    matching: Vec<PipeId>,
    welcome: Option<Frame>,
    extended: bool,
    verbose: bool,
    verboser: bool,
    manual: bool,
    last_value: bool,
    nodrop: bool,
    invert: bool,
    only_first: bool,
}

impl Publisher {
    pub(crate) fn new(extended: bool) -> Self {
        Publisher {
            peers: Ring::default(),
            subscribers: Subscribers::new(),
            asked: Subscribers::new(),
            news: VecDeque::new(),
            last: None,
            fresh: None,
            stamps: Vec::new(),
            stamp: 0,
            matching: Vec::new(),
            welcome: None,
            extended,
            verbose: false,
            verboser: false,
            manual: false,
            last_value: false,
            nodrop: false,
            invert: false,
            only_first: false,
        }
    }

    /// Finds the pipes that a message with this topic goes to.
    fn find(&mut self, topic: &[u8]) {
        self.matching.clear();
        self.stamp += 1;
        let (stamps, stamp, matching) = (&mut self.stamps, self.stamp, &mut self.matching);
        let invert = self.invert;
        self.subscribers.for_each_match(topic, |id| {
            if stamps[id] != stamp {
                stamps[id] = stamp;
                if !invert {
                    matching.push(id);
                }
            }
        });
        if invert {
            matching.extend(self.peers.iter().filter(|&id| stamps[id] != stamp));
        }
        if let Some(fresh) = self.fresh {
            matching.retain(|&id| id == fresh);
        }
    }

    fn tell(&mut self, from: Option<PipeId>, on: bool, topic: &[u8]) {
        if self.extended {
            let mut body = Vec::with_capacity(1 + topic.len());
            body.push(on.into());
            body.extend_from_slice(topic);
            self.news.push_back((from, body.into()));
        }
    }

    fn subscription(&mut self, id: PipeId, topic: &[u8], on: bool) {
        if self.manual {
            if on {
                self.asked.subscribe(topic, id);
            } else {
                self.asked.unsubscribe(topic, id);
            }
            return self.tell(Some(id), on, topic);
        }
        let news = if on {
            self.subscribers.subscribe(topic, id) || self.verbose
        } else {
            match self.subscribers.unsubscribe(topic, id) {
                Unsubscribed::Last => true,
                // One that was not found is told too: whoever counts must count it, for a
                // peer's second subscription was told as well.
                Unsubscribed::Remaining | Unsubscribed::NotFound => self.verboser,
            }
        };
        if news {
            self.tell(Some(id), on, topic);
        }
    }

    /// Takes in one message from a subscriber: subscriptions, or an XSUB's own words.
    fn take_in(&mut self, id: PipeId, message: &mut Message, pipes: &mut Pipes) {
        match message.kind {
            Kind::Subscribe => return self.subscription(id, message.first(), true),
            Kind::Cancel => return self.subscription(id, message.first(), false),
            Kind::Data | Kind::Grouped => {}
            Kind::Join | Kind::Leave => return pipes.counters.dropped.unwanted += 1,
        }
        let mut own = Vec::new();
        for (i, frame) in std::mem::take(message)
            .into_frames()
            .into_iter()
            .enumerate()
        {
            match frame.as_bytes() {
                [on @ (0 | 1), topic @ ..] if i == 0 || !self.only_first => {
                    self.subscription(id, topic, *on == 1)
                }
                _ => own.push(frame),
            }
        }
        if own.is_empty() {
            return;
        }
        if self.extended {
            self.news.push_back((Some(id), own.into_iter().collect()));
        } else {
            pipes.counters.dropped.unwanted += 1;
        }
    }
}

impl Pattern for Publisher {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.peers.insert(id);
        if self.stamps.len() <= id {
            self.stamps.resize(id + 1, 0);
        }
    }

    fn detach(&mut self, pipes: &mut Pipes, id: PipeId) {
        self.disconnected(pipes, id);
        self.peers.remove(id);
        self.news.iter_mut().for_each(|(from, _)| {
            from.take_if(|from| *from == id);
        });
        self.last.take_if(|last| *last == id);
        self.fresh.take_if(|fresh| *fresh == id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        if pipes.pipe(id).info.silent_subscriber {
            // The application of an XPUB is to pass it on upstream.
            self.subscription(id, b"", true);
        }
        if let Some(welcome) = &self.welcome {
            pipes.put(id, welcome.clone().into());
        }
    }

    fn disconnected(&mut self, _: &mut Pipes, id: PipeId) {
        let mut gone = Vec::new();
        let each = |topic: &[u8]| gone.push(topic.to_vec());
        if self.manual {
            self.asked.for_each_of(id, each);
            self.asked.remove_peer(id, |_| {});
            self.subscribers.remove_peer(id, |_| {});
        } else if self.verboser {
            self.subscribers.for_each_of(id, each);
            self.subscribers.remove_peer(id, |_| {});
        } else {
            self.subscribers.remove_peer(id, each);
        }
        gone.iter().for_each(|topic| self.tell(None, false, topic));
    }

    fn readable(&mut self, _: PipeId) {}

    fn writable(&mut self, _: PipeId) {}

    fn admits(&mut self, pipes: &mut Pipes, first: &Frame) -> Result<(), SendErrorKind> {
        if self.nodrop {
            self.find(first);
            return nodrop_room(pipes, &self.matching);
        }
        Ok(())
    }

    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        self.find(message.first());
        if self.nodrop {
            nodrop_room(pipes, &self.matching)?;
        }
        self.fresh = None;
        fan_out(pipes, &self.matching, message);
        Ok(())
    }

    fn recv(&mut self, _: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        if !self.extended {
            return Err(RecvError::Unsupported);
        }
        let Some((from, message)) = self.news.pop_front() else {
            return Ok(false);
        };
        self.last = from;
        *slot = message;
        Ok(true)
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        !self.nodrop || self.peers.iter().all(|id| pipes.can_send(id))
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        !self.news.is_empty()
    }

    fn consumes(&self) -> bool {
        true
    }

    fn inbound(&mut self, pipes: &mut Pipes, id: PipeId, message: &mut Message) {
        self.take_in(id, message, pipes);
    }

    fn subscribe(&mut self, _: &mut Pipes, topic: &[u8], on: bool) -> bool {
        if !self.manual {
            return false;
        }
        match self.last {
            Some(id) if on => {
                self.subscribers.subscribe(topic, id);
                self.fresh = self.last_value.then_some(id);
            }
            Some(id) => drop(self.subscribers.unsubscribe(topic, id)),
            None => {}
        }
        true
    }

    fn topics(&self) -> Option<usize> {
        Some(self.subscribers.len())
    }

    fn configure(&mut self, options: &Options) {
        self.verbose = options.xpub_verbose || options.xpub_verboser;
        self.verboser = options.xpub_verboser;
        self.manual = options.xpub_manual && self.extended;
        self.last_value = options.xpub_manual_last_value && self.manual;
        self.nodrop = options.xpub_nodrop;
        self.invert = options.invert_matching;
        self.only_first = options.only_first_subscribe;
        self.welcome = (!options.xpub_welcome_msg.is_empty())
            .then(|| Frame::from(options.xpub_welcome_msg.clone()));
    }
}
