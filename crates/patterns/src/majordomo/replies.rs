//! What stamped requests were answered, so that one that comes again is not executed again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use xebec::Frame;

use super::stamp::Key;
use crate::machine::Time;
use crate::titanic::{Answers, Mark};

/// The parts of a reply, each of one frame or more.
pub type Parts = Vec<Vec<Frame>>;

/// A place to keep replies. The broker keeps one here before it sends any part of it.
pub trait Replies: Send {
    /// The reply to a request, unless it is not kept, or no more.
    fn find(&mut self, key: &Key, now: Time) -> Option<Parts>;

    /// Keeps a reply. Of two under one key the first stays.
    fn keep(&mut self, key: &Key, parts: &Parts, now: Time) -> Kept;

    /// How many are kept, and their bytes.
    fn held(&self) -> (usize, usize);
}

/// What became of a reply that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Yes,
    /// It is once everything up to this mark is durable, before which it is not sent.
    Once(Mark),
    /// It cannot be.
    No,
}

/// Replies in memory, within bounds: what exceeds them is forgotten, oldest first.
#[derive(Debug)]
pub struct MemoryReplies {
    count: usize,
    bytes: usize,
    age: Duration,
    kept: HashMap<Key, Parts>,
    /// In the order in which they came.
    order: VecDeque<(Key, Time, usize)>,
    size: usize,
}

impl Default for MemoryReplies {
    /// 100,000 replies of 64 MiB together, for ten minutes.
    fn default() -> Self {
        MemoryReplies::new(100_000, 64 << 20, Duration::from_secs(600))
    }
}

impl MemoryReplies {
    /// So many replies at most, of so many bytes together, each for so long: longer than clients go
    /// on trying.
    pub fn new(count: usize, bytes: usize, age: Duration) -> Self {
        MemoryReplies {
            count,
            bytes,
            age,
            kept: HashMap::new(),
            order: VecDeque::new(),
            size: 0,
        }
    }

    fn forget(&mut self, now: Time) {
        while let Some((key, at, size)) = self.order.front() {
            let old = now.since(*at) > self.age;
            if !old && self.order.len() <= self.count && self.size <= self.bytes {
                break;
            }
            self.kept.remove(key);
            self.size -= size;
            self.order.pop_front();
        }
    }
}

/// What a reply costs in memory, about.
fn cost(parts: &Parts) -> usize {
    let frames = parts.iter().flatten();
    frames
        .map(|frame| frame.len() + size_of::<Frame>())
        .sum::<usize>()
        + size_of::<Key>() * 2
}

impl Replies for MemoryReplies {
    fn find(&mut self, key: &Key, now: Time) -> Option<Parts> {
        self.forget(now);
        self.kept.get(key).cloned()
    }

    fn keep(&mut self, key: &Key, parts: &Parts, now: Time) -> Kept {
        self.forget(now);
        let size = cost(parts);
        if size > self.bytes || self.count == 0 {
            return Kept::No;
        }
        if !self.kept.contains_key(key) {
            self.kept.insert(*key, parts.clone());
            self.order.push_back((*key, now, size));
            self.size += size;
            self.forget(now);
        }
        Kept::Yes
    }

    fn held(&self) -> (usize, usize) {
        (self.order.len(), self.size)
    }
}

/// Replies among the answers of a [`Log`](crate::titanic::Log), which outlive the broker.
pub struct DurableReplies {
    answers: Arc<dyn Answers>,
    /// What the clock on the wall says at [`Time::ZERO`].
    epoch: SystemTime,
}

impl DurableReplies {
    /// For a broker that starts now.
    pub fn new(answers: Arc<dyn Answers>) -> Self {
        DurableReplies {
            answers,
            epoch: SystemTime::now(),
        }
    }
}

impl Replies for DurableReplies {
    fn find(&mut self, key: &Key, now: Time) -> Option<Parts> {
        let at = self.epoch + now.elapsed();
        let kept = self.answers.answered(&key.client, key.number, at);
        // What cannot be read any more was told when the log was opened.
        unpack(kept.ok()??)
    }

    fn keep(&mut self, key: &Key, parts: &Parts, now: Time) -> Kept {
        let at = self.epoch + now.elapsed();
        let kept = self.answers.keep(&key.client, key.number, &pack(parts), at);
        kept.map_or(Kept::No, Kept::Once)
    }

    fn held(&self) -> (usize, usize) {
        let (count, bytes) = self.answers.held();
        (count, usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

/// One frame that says how many frames each part has, in four bytes each, and then all frames.
fn pack(parts: &Parts) -> Vec<Frame> {
    let lengths = parts
        .iter()
        .flat_map(|part| (part.len() as u32).to_le_bytes());
    let lengths = Frame::from(lengths.collect::<Vec<u8>>());
    let frames = parts.iter().flatten().cloned();
    [lengths].into_iter().chain(frames).collect()
}

fn unpack(frames: Vec<Frame>) -> Option<Parts> {
    let mut frames = frames.into_iter();
    let lengths = frames.next()?;
    let (lengths, _) = lengths.as_chunks::<4>();
    let part = |length: &[u8; 4]| {
        let length = u32::from_le_bytes(*length) as usize;
        frames.by_ref().take(length).collect()
    };
    let parts: Parts = lengths.iter().map(part).collect();
    (!parts.is_empty() && frames.next().is_none()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::titanic::{Bounds, MemoryAnswers};

    #[test]
    fn replies_in_a_log_keep_their_parts() {
        let answers = Arc::new(MemoryAnswers::new(Bounds::default()));
        let mut replies = DurableReplies::new(answers);
        let key = Key {
            client: [1; 16],
            number: 7,
        };
        let parts = vec![vec!["a".into(), "b".into()], vec![Frame::from("")]];
        assert_eq!(replies.find(&key, Time::ZERO), None);
        assert!(matches!(
            replies.keep(&key, &parts, Time::ZERO),
            Kept::Once(_)
        ));
        assert_eq!(replies.find(&key, Time::ZERO), Some(parts));
        assert_eq!(replies.held().0, 1);
    }

    #[test]
    fn what_exceeds_the_bounds_is_forgotten_oldest_first() {
        let key = |number| Key {
            client: [0; 16],
            number,
        };
        let parts = |text: &str| vec![vec![Frame::from(text)]];
        let at = |s| Time::after_start(Duration::from_secs(s));
        let mut replies = MemoryReplies::new(2, 2000, Duration::from_secs(10));
        assert_eq!(replies.keep(&key(1), &parts("a"), at(0)), Kept::Yes);
        assert_eq!(replies.keep(&key(1), &parts("b"), at(0)), Kept::Yes);
        assert_eq!(replies.find(&key(1), at(0)), Some(parts("a")));
        assert_eq!(replies.keep(&key(2), &parts("c"), at(5)), Kept::Yes);
        assert_eq!(replies.keep(&key(3), &parts("d"), at(6)), Kept::Yes);
        assert_eq!(replies.find(&key(1), at(6)), None);
        assert_eq!(replies.find(&key(2), at(6)), Some(parts("c")));
        assert_eq!(
            replies.keep(&key(4), &parts(&"x".repeat(3000)), at(6)),
            Kept::No
        );
        assert_eq!(
            replies.keep(&key(5), &parts(&"x".repeat(1850)), at(6)),
            Kept::Yes
        );
        assert_eq!(replies.held().0, 1);
        assert_eq!(replies.find(&key(5), at(17)), None);
        assert_eq!(replies.held(), (0, 0));
    }
}
