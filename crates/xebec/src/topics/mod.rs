//! Subscriptions: which topics are subscribed to, and by whom (RFC 29).
//!
//! A subscription is a byte string, and a message matches it when its first frame begins with that
//! string; the empty one matches everything. Two books are kept over one prefix map:
//!
//! * [`Refcounts`], on the side of SUB and XSUB: how often each topic was subscribed to, so that only
//!   the first subscription and the last cancellation go upstream, and so that a message that
//!   nobody asked for can be told.
//! * [`Subscribers`], on the side of PUB and XPUB: the peers of each topic, so that a message is
//!   fanned out in a time that depends on its topic's length and on who gets it, never on how many
//!   topics there are; and the topics of each peer, so that its departure costs only what it had.
//!
//! Both hold a million topics in well under 100 MB, give memory back when topics go, and are safe
//! against hostile ones: see `trie`.
//! Sockets, pipes and messages do not belong here: a peer is a number.

mod arena;
mod node;
mod runs;
mod subscribers;
mod trie;

pub(crate) use subscribers::{Subscribers, Unsubscribed};
pub(crate) use trie::PrefixMap;

/// How often each topic is subscribed to.
#[derive(Debug)]
pub(crate) struct Refcounts {
    counts: PrefixMap<u32>,
}

impl Refcounts {
    /// No subscriptions.
    pub(crate) fn new() -> Self {
        Refcounts {
            counts: PrefixMap::new(),
        }
    }

    /// Adds one subscription to `topic`: whether it is its first.
    pub(crate) fn add(&mut self, topic: &[u8]) -> bool {
        let count = self.counts.entry_or_insert_with(topic, || 0);
        *count = count.saturating_add(1);
        *count == 1
    }

    /// Takes one subscription to `topic` back: whether it was the last, or `None` if there is none.
    pub(crate) fn remove(&mut self, topic: &[u8]) -> Option<bool> {
        let count = self.counts.get_mut(topic)?;
        *count -= 1;
        let last = *count == 0;
        if last {
            self.counts.remove(topic);
        }
        Some(last)
    }

    /// Whether any subscription matches a message of this topic.
    pub(crate) fn matches(&self, topic: &[u8]) -> bool {
        self.counts.is_prefixed(topic)
    }

    /// Calls `visit` once for each topic, in order: what a new publisher must be told.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8])) {
        self.counts.for_each(|topic, _| visit(topic));
    }

    /// How many different topics are subscribed to.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_and_the_last_count() {
        let mut topics = Refcounts::new();
        assert!(topics.add(b"a"));
        assert!(!topics.add(b"a"));
        assert!(topics.add(b""));
        assert_eq!(topics.len(), 2);
        assert_eq!(topics.remove(b"b"), None);
        assert_eq!(topics.remove(b"a"), Some(false));
        assert_eq!(topics.remove(b"a"), Some(true));
        assert_eq!(topics.remove(b"a"), None);
        assert!(topics.matches(b"") && topics.matches(b"zzz"));
        assert_eq!(topics.remove(b""), Some(true));
        assert!(!topics.matches(b"") && topics.len() == 0);
    }

    #[test]
    fn a_topic_matches_what_begins_with_it() {
        let mut topics = Refcounts::new();
        for topic in ["weather.de", "weather.de.berlin", "traffic"] {
            topics.add(topic.as_bytes());
        }
        for (topic, expected) in [
            ("weather.de", true),
            ("weather.de.hamburg", true),
            ("weather.d", false),
            ("weather.fr", false),
            ("traffic", true),
            ("Traffic", false),
            ("", false),
        ] {
            assert_eq!(topics.matches(topic.as_bytes()), expected, "{topic}");
        }
        let mut all = Vec::new();
        topics.for_each(|topic| all.push(topic.to_vec()));
        let sorted: [&[u8]; 3] = [b"traffic", b"weather.de", b"weather.de.berlin"];
        assert_eq!(all, sorted);
    }

    #[test]
    fn a_million_topics_fit() {
        let mut topics = Refcounts::new();
        for i in 0..1_000_000 {
            assert!(topics.add(format!("topic.{i:06}").as_bytes()));
        }
        let bytes = topics.counts.heap_bytes();
        assert!(bytes < 60_000_000, "{bytes}");
        assert!(topics.matches(b"topic.123456 and more"));
        assert!(!topics.matches(b"topic.12345"));
    }
}
