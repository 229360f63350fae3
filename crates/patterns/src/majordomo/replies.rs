//! What stamped requests were answered, so that one that comes again is not executed again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use xebec::Frame;

use super::stamp::Key;
use crate::machine::Time;

/// The parts of a reply, each of one frame or more.
pub type Parts = Vec<Vec<Frame>>;

/// A place to keep replies. The broker keeps one here before it sends its last part.
pub trait Replies: Send {
    /// The reply to a request, unless it is not kept, or no more.
    fn find(&mut self, key: &Key, now: Time) -> Option<Parts>;

    /// Keeps a reply; false if it cannot be kept. Of two under one key the first stays.
    fn keep(&mut self, key: &Key, parts: &Parts, now: Time) -> bool;

    /// How many are kept, and their bytes.
    fn held(&self) -> (usize, usize);
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

    fn keep(&mut self, key: &Key, parts: &Parts, now: Time) -> bool {
        self.forget(now);
        let size = cost(parts);
        if size > self.bytes || self.count == 0 {
            return false;
        }
        if !self.kept.contains_key(key) {
            self.kept.insert(*key, parts.clone());
            self.order.push_back((*key, now, size));
            self.size += size;
            self.forget(now);
        }
        true
    }

    fn held(&self) -> (usize, usize) {
        (self.order.len(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_bounds_is_forgotten_oldest_first() {
        let key = |number| Key {
            client: [0; 16],
            number,
        };
        let parts = |text: &str| vec![vec![Frame::from(text)]];
        let at = |s| Time::after_start(Duration::from_secs(s));
        let mut replies = MemoryReplies::new(2, 2000, Duration::from_secs(10));
        assert!(replies.keep(&key(1), &parts("a"), at(0)));
        assert!(replies.keep(&key(1), &parts("b"), at(0)));
        assert_eq!(replies.find(&key(1), at(0)), Some(parts("a")));
        assert!(replies.keep(&key(2), &parts("c"), at(5)));
        assert!(replies.keep(&key(3), &parts("d"), at(6)));
        assert_eq!(replies.find(&key(1), at(6)), None);
        assert_eq!(replies.find(&key(2), at(6)), Some(parts("c")));
        assert!(!replies.keep(&key(4), &parts(&"x".repeat(3000)), at(6)));
        assert!(replies.keep(&key(5), &parts(&"x".repeat(1850)), at(6)));
        assert_eq!(replies.held().0, 1);
        assert_eq!(replies.find(&key(5), at(17)), None);
        assert_eq!(replies.held(), (0, 0));
    }
}
