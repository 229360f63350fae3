//! The policies that patterns are made of: round-robin out, fair-queue in, fan-out.
//!
//! The first two walk a [`Ring`]: the pipes of a socket, those worth asking in front. A pipe that has
//! nothing (or no room) leaves the front until the socket hears otherwise, so a socket with ten
//! thousand quiet peers serves its one busy peer at no extra cost.

use crate::error::SendErrorKind;
use crate::message::Message;
use crate::pipe::{PipeId, Pipes};

const ABSENT: u32 = u32::MAX;

/// Pipes in turn, the active ones in front. On cache lines of its own: `current` is written for each message, and
/// the next one in memory may be another thread's.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Ring {
    items: Vec<PipeId>,
    /// Where each pipe stands in `items`; indexed by pipe.
    place: Vec<u32>,
    /// `items[..active]` are worth asking.
    active: usize,
    current: usize,
}

impl Ring {
    pub(crate) fn insert(&mut self, id: PipeId) {
        if self.contains(id) {
            return self.activate(id);
        }
        if self.place.len() <= id {
            self.place.resize(id + 1, ABSENT);
        }
        self.place[id] = self.items.len() as u32;
        self.items.push(id);
        self.activate(id);
    }

    pub(crate) fn contains(&self, id: PipeId) -> bool {
        self.place.get(id).is_some_and(|&place| place != ABSENT)
    }

    pub(crate) fn remove(&mut self, id: PipeId) {
        if !self.contains(id) {
            return;
        }
        self.deactivate(id);
        let place = self.place[id] as usize;
        self.swap(place, self.items.len() - 1);
        self.items.pop();
        self.place[id] = ABSENT;
    }

    pub(crate) fn activate(&mut self, id: PipeId) {
        if self.contains(id) && self.place[id] as usize >= self.active {
            self.swap(self.place[id] as usize, self.active);
            self.active += 1;
        }
    }

    pub(crate) fn deactivate(&mut self, id: PipeId) {
        let place = self.place[id] as usize;
        if place >= self.active {
            return;
        }
        self.active -= 1;
        self.swap(place, self.active);
        if self.current >= self.active {
            self.current = 0;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.items.swap(a, b);
        self.place[self.items[a]] = a as u32;
        self.place[self.items[b]] = b as u32;
    }

    /// The pipe whose turn it is.
    #[inline]
    pub(crate) fn current(&self) -> Option<PipeId> {
        (self.active > 0).then(|| self.items[self.current])
    }

    /// The next pipe's turn.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.current += 1;
        if self.current >= self.active {
            self.current = 0;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = PipeId> {
        self.items.iter().copied()
    }
}

/// Receives from all peers in turn (RFC 28, 30: "fair-queuing").
#[derive(Default)]
pub(crate) struct FairQueue(pub(crate) Ring);

impl FairQueue {
    #[inline(always)]
    pub(crate) fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Option<PipeId> {
        while let Some(id) = self.0.current() {
            if pipes.recv(id, slot) {
                self.0.advance();
                return Some(id);
            }
            self.0.deactivate(id);
        }
        None
    }

    pub(crate) fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        while let Some(id) = self.0.current() {
            if pipes.has_message(id) {
                return true;
            }
            self.0.deactivate(id);
        }
        false
    }
}

/// Sends to one peer after the other, passing over those that are full (RFC 28, 30:
/// "round-robin").
#[derive(Default)]
pub(crate) struct LoadBalance(pub(crate) Ring);

impl LoadBalance {
    /// The pipe that takes the next message.
    #[inline]
    pub(crate) fn next(&mut self, pipes: &mut Pipes) -> Option<PipeId> {
        while let Some(id) = self.0.current() {
            if pipes.can_send(id) {
                return Some(id);
            }
            self.0.deactivate(id);
        }
        None
    }

    /// Sends, or leaves the message if no peer takes it.
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        pipes: &mut Pipes,
        message: &mut Message,
    ) -> Result<PipeId, SendErrorKind> {
        while let Some(id) = self.0.current() {
            if pipes.try_send(id, message) {
                self.0.advance();
                return Ok(id);
            }
            self.0.deactivate(id);
        }
        Err(SendErrorKind::WouldBlock)
    }
}

/// XPUB_NODROP: fails if any queue is full. What waits there for company is not written to make
/// room: the call that is refused does that, so the sender learns of a full queue exactly at the
/// mark, as libzmq's users expect, and its next try finds what room the kernel has.
pub(crate) fn nodrop_room(pipes: &mut Pipes, peers: &[PipeId]) -> Result<(), SendErrorKind> {
    match peers.iter().all(|&id| pipes.has_room(id)) {
        true => Ok(()),
        false => Err(SendErrorKind::WouldBlock),
    }
}

/// Sends to all of these peers; one that is full misses it (RFC 29, 48).
#[inline]
pub(crate) fn fan_out(pipes: &mut Pipes, peers: &[PipeId], message: &mut Message) {
    pipes.begin_copies();
    for &id in peers {
        let room = match peers.len() {
            1 => pipes.try_send(id, message),
            _ => pipes.try_copy(id, message),
        };
        if !room {
            pipes.counters.dropped.high_water_mark += 1;
        }
    }
    if peers.is_empty() {
        pipes.counters.dropped.no_subscriber += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turns(ring: &mut Ring, n: usize) -> Vec<PipeId> {
        let mut seen = Vec::new();
        for _ in 0..n {
            seen.extend(ring.current());
            ring.advance();
        }
        seen
    }

    #[test]
    fn active_pipes_take_turns() {
        let mut ring = Ring::default();
        [3, 1, 7].into_iter().for_each(|id| ring.insert(id));
        assert_eq!(turns(&mut ring, 6), [3, 1, 7, 3, 1, 7]);
        ring.deactivate(1);
        let mut two = turns(&mut ring, 2);
        two.sort_unstable();
        assert_eq!(two, [3, 7]);
        ring.remove(3);
        ring.remove(7);
        assert_eq!(ring.current(), None);
        ring.activate(1);
        assert_eq!(ring.current(), Some(1));
    }

    proptest! {
        #[test]
        fn keeps_its_places_straight(steps in proptest::collection::vec((0u8..4, 0usize..12), 0..200)) {
            let mut ring = Ring::default();
            let (mut present, mut active) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
            for (what, id) in steps {
                match what {
                    0 => { ring.insert(id); present.insert(id); active.insert(id); }
                    1 => { ring.remove(id); present.remove(&id); active.remove(&id); }
                    2 => { ring.activate(id); if present.contains(&id) { active.insert(id); } }
                    _ => if present.contains(&id) { ring.deactivate(id); active.remove(&id); }
                }
                let mut seen: Vec<_> = ring.iter().collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, present.iter().copied().collect::<Vec<_>>());
                let once: std::collections::BTreeSet<_> = turns(&mut ring, active.len()).into_iter().collect();
                prop_assert_eq!(&once, &active);
            }
        }
    }
}
