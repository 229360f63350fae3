//! What is in a log, in memory: where the record of each request, reply and answer stands, and which
//! of the records are still needed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::answers::{Bounds, Key, Recent};
use super::record::{ABANDONED, Header, Kind, size};
use super::{Id, State};

/// A request that is not closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Of the record that is needed: the request, or its reply.
    pub(super) place: Place,
    pub(super) at: u64,
}

/// A record that is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: u64,
    /// Of the body.
    pub(super) length: u32,
}

impl Place {
    pub(super) fn size(self) -> u64 {
        size(self.length as usize)
    }
}

/// Whose a record is.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    Request(Id),
    Answer(Arc<Key>),
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) entries: HashMap<Id, Entry>,
    pub(super) answers: Recent<Place>,
    /// The records that were needed when they were written, oldest first. Invariant: each that is
    /// still needed is among them.
    written: VecDeque<(u64, Owner)>,
    /// The bytes of those that are needed.
    pub(super) live: u64,
}

impl Index {
    pub(super) fn new(bounds: Bounds) -> Self {
        Index {
            entries: HashMap::new(),
            answers: Recent::new(bounds),
            written: VecDeque::new(),
            live: 0,
        }
    }

    /// Takes a record in that was written, or read. `key` is that of an answer.
    pub(super) fn apply(&mut self, header: &Header, key: Option<Arc<Key>>) {
        let place = Place {
            position: header.position,
            length: header.length,
        };
        let state = match header.kind {
            Kind::Request => State::Pending {
                attempts: header.attempts,
            },
            Kind::Reply => State::Replied,
            Kind::Damaged if header.attempts == ABANDONED => State::Abandoned,
            Kind::Damaged => State::Damaged,
            Kind::Dispatched => {
                if let Some(entry) = self.entries.get_mut(&header.id)
                    && let State::Pending { attempts } = &mut entry.state
                {
                    *attempts = header.attempts;
                }
                return;
            }
            Kind::Closed => {
                if let Some(entry) = self.entries.remove(&header.id) {
                    self.live -= entry.place.size();
                }
                return;
            }
            Kind::Answer => {
                let Some(key) = key else { return };
                self.written
                    .push_back((header.position, Owner::Answer(key.clone())));
                self.live += place.size();
                if let Some(old) = self.answers.value_mut(&key) {
                    self.live -= old.size();
                    *old = place;
                    return;
                }
                let live = &mut self.live;
                let gone = |place: Place| *live -= place.size();
                self.answers
                    .insert(key, place, place.size(), header.at, gone);
                return;
            }
            Kind::Void => return,
        };
        self.written
            .push_back((header.position, Owner::Request(header.id)));
        self.live += place.size();
        let entry = Entry {
            state,
            place,
            at: header.at,
        };
        if let Some(old) = self.entries.insert(header.id, entry) {
            self.live -= old.place.size();
        }
    }

    /// Forgets the answers that are too old by now.
    pub(super) fn forget_old_answers(&mut self, now: u64) {
        let live = &mut self.live;
        self.answers
            .trim(now, &mut |place: Place| *live -= place.size());
    }

    /// Forgets an answer.
    pub(super) fn forget_answer(&mut self, key: &Key) {
        if let Some(place) = self.answers.remove(key) {
            self.live -= place.size();
        }
    }

    /// The oldest record that is needed.
    pub(super) fn oldest(&mut self) -> Option<(u64, Owner)> {
        while let Some((position, owner)) = self.written.front() {
            if self
                .place(owner)
                .is_some_and(|place| place.position == *position)
            {
                return Some((*position, owner.clone()));
            }
            self.written.pop_front();
        }
        None
    }

    /// Where the needed record of an owner is.
    pub(super) fn place(&self, owner: &Owner) -> Option<Place> {
        match owner {
            Owner::Request(id) => self.entries.get(id).map(|entry| entry.place),
            Owner::Answer(key) => self.answers.value(key).copied(),
        }
    }
}
