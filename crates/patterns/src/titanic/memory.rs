//! The store without a file: bounded, and lost with the process.

use std::collections::HashMap;
use std::time::SystemTime;

use parking_lot::Mutex;
use xebec::Frame;

use super::record::frames_len;
use super::{Id, Listed, Mark, State, Store, StoreError, Usage};

/// How much a [`MemoryStore`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// So many requests that are not closed.
    pub count: usize,
    /// So many bytes of requests; replies may exceed it by a fifth, so that what was executed is not
    /// lost when requests are refused already.
    pub bytes: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        MemoryLimits {
            count: 1_000_000,
            bytes: 256 << 20,
        }
    }
}

/// Requests and replies in memory. Everything is as durable as it will be at once.
#[derive(Debug)]
pub struct MemoryStore {
    limits: MemoryLimits,
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    entries: HashMap<Id, Entry>,
    bytes: u64,
    number: u64,
    refused: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: SystemTime,
    state: State,
    /// The request, or its reply.
    frames: Vec<Frame>,
    bytes: u64,
}

/// What an entry weighs besides the bodies of its frames.
const OVERHEAD: u64 = 128;

fn weight(frames: &[Frame]) -> u64 {
    OVERHEAD + frames_len(frames) as u64
}

impl MemoryStore {
    /// Nothing yet.
    pub fn new(limits: MemoryLimits) -> Self {
        MemoryStore {
            limits,
            contents: Mutex::default(),
        }
    }
}

impl Contents {
    fn room(&mut self, bytes: u64, limit: u64) -> Result<(), StoreError> {
        let free = limit.saturating_sub(self.bytes);
        if bytes <= free {
            return Ok(());
        }
        if bytes > limit {
            return Err(StoreError::TooLarge { bytes, limit });
        }
        self.refused += 1;
        Err(StoreError::Full { bytes, free })
    }
}

impl Store for MemoryStore {
    fn submit(&self, id: Id, request: &[Frame], at: SystemTime) -> Result<Mark, StoreError> {
        let bytes = weight(request);
        let mut contents = self.contents.lock();
        if contents.entries.contains_key(&id) {
            return Err(StoreError::Exists);
        }
        contents.room(bytes, self.limits.bytes)?;
        if contents.entries.len() >= self.limits.count {
            contents.refused += 1;
            return Err(StoreError::Full { bytes, free: 0 });
        }
        contents.number += 1;
        contents.bytes += bytes;
        let entry = Entry {
            number: contents.number,
            at,
            state: State::Pending { attempts: 0 },
            frames: request.to_vec(),
            bytes,
        };
        contents.entries.insert(id, entry);
        Ok(Mark(0))
    }

    fn dispatched(&self, id: Id) -> Result<Mark, StoreError> {
        match self
            .contents
            .lock()
            .entries
            .get_mut(&id)
            .map(|entry| &mut entry.state)
        {
            Some(State::Pending { attempts }) => {
                *attempts = attempts.saturating_add(1);
                Ok(Mark(0))
            }
            _ => Err(StoreError::Unknown),
        }
    }

    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError> {
        let mut contents = self.contents.lock();
        let entry = contents.entries.get(&id).ok_or(StoreError::Unknown)?;
        if entry.state == State::Replied {
            return Ok(Mark(0));
        }
        let (old, new) = (entry.bytes, weight(reply));
        contents.bytes -= old;
        let limit = self.limits.bytes.saturating_add(self.limits.bytes / 5);
        if let Err(error) = contents.room(new, limit) {
            contents.bytes += old;
            return Err(error);
        }
        contents.bytes += new;
        let entry = contents.entries.get_mut(&id).expect("it was there");
        entry.state = State::Replied;
        entry.frames = reply.to_vec();
        entry.bytes = new;
        Ok(Mark(0))
    }

    fn abandon(&self, id: Id) -> Result<Mark, StoreError> {
        let mut contents = self.contents.lock();
        match contents.entries.get_mut(&id) {
            Some(entry) if matches!(entry.state, State::Pending { .. }) => {
                entry.state = State::Abandoned;
                entry.frames = Vec::new();
                let bytes = std::mem::replace(&mut entry.bytes, OVERHEAD);
                contents.bytes -= bytes - OVERHEAD;
                Ok(Mark(0))
            }
            _ => Err(StoreError::Unknown),
        }
    }

    fn close(&self, id: Id) -> Result<Mark, StoreError> {
        let mut contents = self.contents.lock();
        if let Some(entry) = contents.entries.remove(&id) {
            contents.bytes -= entry.bytes;
        }
        Ok(Mark(0))
    }

    fn state(&self, id: Id) -> Option<State> {
        self.contents
            .lock()
            .entries
            .get(&id)
            .map(|entry| entry.state)
    }

    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        match self.contents.lock().entries.get(&id) {
            Some(entry) if matches!(entry.state, State::Pending { .. }) => Ok(entry.frames.clone()),
            _ => Err(StoreError::Unknown),
        }
    }

    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        match self.contents.lock().entries.get(&id) {
            Some(entry) if entry.state == State::Replied => Ok(entry.frames.clone()),
            _ => Err(StoreError::Unknown),
        }
    }

    fn list(&self) -> Vec<Listed> {
        let contents = self.contents.lock();
        let mut all: Vec<_> = contents.entries.iter().collect();
        all.sort_by_key(|(_, entry)| entry.number);
        let listed = |(id, entry): (&Id, &Entry)| Listed {
            id: *id,
            state: entry.state,
            bytes: entry.bytes,
            at: entry.at,
        };
        all.into_iter().map(listed).collect()
    }

    fn usage(&self) -> Usage {
        let contents = self.contents.lock();
        let count = |state: fn(State) -> bool| {
            let entries = contents.entries.values();
            entries.filter(|entry| state(entry.state)).count()
        };
        Usage {
            pending: count(|state| matches!(state, State::Pending { .. })),
            replied: count(|state| state == State::Replied),
            damaged: count(|state| state == State::Abandoned),
            bytes: contents.bytes,
            capacity: self.limits.bytes,
            refused: contents.refused,
        }
    }

    fn sync(&self, _mark: Mark) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> Mark {
        Mark(0)
    }
}
