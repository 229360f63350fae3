//! Who is subscribed to what: the book of PUB and XPUB.
//!
//! Each topic knows its peers and each peer the topics it has, by their ids in the trie. So a message
//! finds its receivers by its topic alone, and a peer that goes away costs only what it had subscribed to.

use std::collections::{HashMap, HashSet};

use super::arena::Arena;
use super::trie::{KeyId, PrefixMap};

/// The peers of each topic.
#[derive(Debug)]
pub(crate) struct Subscribers {
    topics: PrefixMap<Peers>,
    /// The peers of topics with more than one, sorted.
    many: Arena<Vec<u32>>,
    /// Invariant: a peer's set holds a topic exactly if that topic's value holds the peer; no set
    /// is empty.
    of_peer: HashMap<u32, HashSet<KeyId>>,
}

/// What became of a cancelled subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsubscribed {
    /// The peer had no such subscription.
    NotFound,
    /// Other peers still have it.
    Remaining,
    /// It was the topic's last.
    Last,
}

/// A set of peers, never empty. Most topics have one subscriber, which needs no allocation.
#[derive(Debug, Clone, Copy)]
enum Peers {
    One(u32),
    /// In [`Subscribers::many`]: two or more.
    Many(u32),
}

impl Subscribers {
    /// No subscriptions.
    pub(crate) fn new() -> Self {
        Subscribers {
            topics: PrefixMap::new(),
            many: Arena::new(),
            of_peer: HashMap::new(),
        }
    }

    /// How many different topics have a subscriber.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Subscribes `peer` to `topic`: whether the topic had no subscriber at all before. A second
    /// subscription of the same peer to the same topic changes nothing.
    pub(crate) fn subscribe(&mut self, topic: &[u8], peer: usize) -> bool {
        let peer = short(peer);
        let (id, first) = self.topics.id_or_insert_with(topic, || Peers::One(peer));
        let peers = self.topics.at_mut(id);
        let peers = peers.expect("a subscribed topic has a set of peers");
        match *peers {
            Peers::One(other) if other == peer => {}
            Peers::One(other) => {
                let both = vec![other.min(peer), other.max(peer)];
                *peers = Peers::Many(self.many.insert(both));
            }
            Peers::Many(place) => {
                let peers = &mut self.many[place];
                if let Err(at) = peers.binary_search(&peer) {
                    peers.insert(at, peer);
                }
            }
        }
        self.of_peer.entry(peer).or_default().insert(id);
        first
    }

    /// Cancels the subscription of `peer` to `topic`.
    pub(crate) fn unsubscribe(&mut self, topic: &[u8], peer: usize) -> Unsubscribed {
        let peer = short(peer);
        let Some(id) = self.topics.find(topic) else {
            return Unsubscribed::NotFound;
        };
        let Some(ids) = self.of_peer.get_mut(&peer) else {
            return Unsubscribed::NotFound;
        };
        if !ids.remove(&id) {
            return Unsubscribed::NotFound;
        }
        if ids.is_empty() {
            self.of_peer.remove(&peer);
        }
        if self.take_from(id, peer) {
            self.topics.remove_at(id);
            Unsubscribed::Last
        } else {
            Unsubscribed::Remaining
        }
    }

    /// Calls `visit` for the peers of every topic that matches a message of this topic; for the same
    /// peer more than once if more than one of its topics does.
    pub(crate) fn for_each_match(&self, topic: &[u8], mut visit: impl FnMut(usize)) {
        self.topics.for_each_prefix_of(topic, |peers| match peers {
            Peers::One(peer) => visit(*peer as usize),
            Peers::Many(place) => {
                let peers = self.many[*place].iter();
                peers.for_each(|&peer| visit(peer as usize));
            }
        });
    }

    /// Cancels everything that `peer` is subscribed to, in a time that depends on that alone. Calls
    /// `last` for each topic that has no subscriber left.
    pub(crate) fn remove_peer(&mut self, peer: usize, mut last: impl FnMut(&[u8])) {
        let peer = short(peer);
        for id in self.of_peer.remove(&peer).unwrap_or_default() {
            if self.take_from(id, peer) {
                last(&self.topics.key_at(id));
                self.topics.remove_at(id);
            }
        }
    }

    /// Calls `visit` for each topic that `peer` is subscribed to.
    pub(crate) fn for_each_of(&self, peer: usize, mut visit: impl FnMut(&[u8])) {
        for &id in self.of_peer.get(&short(peer)).into_iter().flatten() {
            visit(&self.topics.key_at(id));
        }
    }

    /// Takes a peer out of the set of a topic: whether it is the only one, which is left for the
    /// caller to remove together with the topic.
    fn take_from(&mut self, id: KeyId, peer: u32) -> bool {
        let slot = self.topics.at_mut(id);
        let slot = slot.expect("a subscribed topic has a set of peers");
        let Peers::Many(place) = *slot else {
            return true;
        };
        let peers = &mut self.many[place];
        if let Ok(at) = peers.binary_search(&peer) {
            peers.remove(at);
        }
        if let [one] = peers[..] {
            *slot = Peers::One(one);
            self.many.remove(place);
        }
        false
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        // A swiss table takes the entry and one byte for each bucket, 7 of 8 of which it fills.
        let buckets = |capacity: usize| (capacity * 8 / 7).next_power_of_two();
        let sets = self.of_peer.values();
        let many = self.many.iter().map(|peers| 4 * peers.capacity());
        self.topics.heap_bytes()
            + self.many.heap_bytes()
            + many.sum::<usize>()
            + buckets(self.of_peer.capacity()) * (1 + size_of::<(u32, HashSet<KeyId>)>())
            + sets.map(|set| buckets(set.capacity()) * 5).sum::<usize>()
    }
}

/// Peers are small numbers given out by the socket; four bytes keep the sets small.
fn short(peer: usize) -> u32 {
    u32::try_from(peer).expect("fewer than 2^32 pipes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Debug, Clone)]
    enum Step {
        Subscribe(Vec<u8>, usize),
        Unsubscribe(Vec<u8>, usize),
        Leave(usize),
        Publish(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let topic = || prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..5);
        prop_oneof![
            6 => (topic(), 0..5usize).prop_map(|(t, p)| Step::Subscribe(t, p)),
            3 => (topic(), 0..5usize).prop_map(|(t, p)| Step::Unsubscribe(t, p)),
            1 => (0..5usize).prop_map(Step::Leave),
            2 => topic().prop_map(Step::Publish),
        ]
    }

    fn matched(book: &Subscribers, topic: &[u8]) -> BTreeSet<usize> {
        let mut peers = BTreeSet::new();
        book.for_each_match(topic, |peer| {
            peers.insert(peer);
        });
        peers
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..200)) {
            let mut book = Subscribers::new();
            let mut model: BTreeMap<Vec<u8>, BTreeSet<usize>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Subscribe(topic, peer) => {
                        let first = !model.contains_key(&topic);
                        prop_assert_eq!(book.subscribe(&topic, peer), first);
                        model.entry(topic).or_default().insert(peer);
                    }
                    Step::Unsubscribe(topic, peer) => {
                        let found = model.get_mut(&topic).is_some_and(|peers| peers.remove(&peer));
                        let last = found && model[&topic].is_empty();
                        let expected = match (found, last) {
                            (false, _) => Unsubscribed::NotFound,
                            (true, false) => Unsubscribed::Remaining,
                            (true, true) => Unsubscribed::Last,
                        };
                        model.retain(|_, peers| !peers.is_empty());
                        prop_assert_eq!(book.unsubscribe(&topic, peer), expected);
                    }
                    Step::Leave(peer) => {
                        let mut gone = BTreeSet::new();
                        book.remove_peer(peer, |topic| {
                            gone.insert(topic.to_vec());
                        });
                        let before: BTreeSet<_> = model.keys().cloned().collect();
                        model.values_mut().for_each(|peers| {
                            peers.remove(&peer);
                        });
                        model.retain(|_, peers| !peers.is_empty());
                        let expected = before.into_iter().filter(|t| !model.contains_key(t));
                        prop_assert_eq!(gone, expected.collect::<BTreeSet<_>>());
                    }
                    Step::Publish(topic) => {
                        let expected = model.iter().filter(|(t, _)| topic.starts_with(t));
                        let expected = expected.flat_map(|(_, peers)| peers.iter().copied());
                        prop_assert_eq!(matched(&book, &topic), expected.collect());
                    }
                }
                prop_assert_eq!(book.len(), model.len());
            }
        }
    }

    #[test]
    fn subscribing_twice_counts_once() {
        let mut book = Subscribers::new();
        assert!(book.subscribe(b"a", 1));
        assert!(!book.subscribe(b"a", 1));
        assert!(!book.subscribe(b"a", 2));
        assert_eq!(book.unsubscribe(b"a", 1), Unsubscribed::Remaining);
        assert_eq!(book.unsubscribe(b"a", 1), Unsubscribed::NotFound);
        assert_eq!(book.unsubscribe(b"a", 2), Unsubscribed::Last);
        assert_eq!(book.len(), 0);
        assert!(book.of_peer.is_empty());
    }

    #[test]
    fn a_million_topics_fit_and_leave_with_their_peer() {
        let mut book = Subscribers::new();
        for i in 0..1_000_000 {
            assert!(book.subscribe(format!("topic.{i:06}").as_bytes(), 7));
        }
        let bytes = book.heap_bytes();
        assert!(bytes < 75_000_000, "{bytes}");
        assert_eq!(matched(&book, b"topic.999999"), BTreeSet::from([7]));
        book.subscribe(b"topic.5", 8);
        let mut gone = 0;
        book.remove_peer(7, |_| gone += 1);
        assert_eq!((gone, book.len()), (1_000_000, 1));
        book.remove_peer(8, |topic| assert_eq!(topic, b"topic.5"));
        assert!(
            book.heap_bytes() < 1000,
            "an empty book holds next to nothing"
        );
    }

    #[test]
    fn many_peers_of_one_topic_come_and_go() {
        let mut book = Subscribers::new();
        for peer in (0..2000).rev() {
            assert_eq!(book.subscribe(b"all", peer), peer == 1999);
        }
        assert_eq!(matched(&book, b"all of it").len(), 2000);
        for peer in 0..2000 {
            let mut gone = 0;
            book.remove_peer(peer, |_| gone += 1);
            assert_eq!(gone, usize::from(peer == 1999));
        }
        assert_eq!(book.len(), 0);
    }
}
