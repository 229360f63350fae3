//! A map from byte strings to values that answers one question fast: which keys are prefixes of
//! this topic?
//!
//! A path-compressed trie (radix tree). Its nodes live in one arena and refer to each other by
//! number: nothing here recurses, so that neither a topic of a megabyte nor a chain of a million
//! nested topics can exhaust a stack, also when the map is dropped.
//!
//! * A lookup in a large map waits for memory, so a step looks at one line of the processor's cache:
//!   a node tells by itself which of its children is the next (see `node`), and where that is,
//!   since they are neighbours (see `runs`). So nodes move as their parent's other children come
//!   and go, each time at most 256 of them with 256 children each, and far fewer on average.
//! * What removed keys leave behind is cleared up once it is half of all nodes.
//! * A label is at most [`LONGEST_LABEL`] bytes; a longer stretch is a chain of nodes. This bounds
//!   what a split or a merge copies, whoever chooses the topics.
//! * A key keeps its [`KeyId`] until it is removed, wherever its node moves.
//!   [`Subscribers`](super::Subscribers) relies on it.
//!
//! What the values mean does not belong here.

use std::cmp::Reverse;
use std::fmt;
use std::mem;

use super::arena::Arena;
use super::node::{Aside, NONE, Node};
use super::runs::{Runs, Size};

/// A key, for as long as it is in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KeyId(u32);

const ROOT: u32 = 0;
const LONGEST_LABEL: usize = 255;

/// A map from byte strings to `V`, ordered, with queries by prefix.
///
/// Invariant: a node other than the root has a key or a child; one without key has more than one
/// child, or its label and its child's are too long for one label.
pub(crate) struct PrefixMap<V> {
    /// Invariant: the root comes first.
    nodes: Runs<Node>,
    aside: Aside,
    keys: Arena<Key<V>>,
    len: usize,
}

/// What belongs to a key, which stays while its node moves.
struct Key<V> {
    value: Option<V>,
    node: u32,
}

impl<V> PrefixMap<V> {
    /// An empty map.
    pub(crate) fn new() -> Self {
        let mut nodes = Runs::new();
        nodes.take(Size::of(1));
        PrefixMap {
            nodes,
            aside: Aside::new(),
            keys: Arena::new(),
            len: 0,
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The value of exactly this key.
    #[cfg(test)]
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.keys[self.find(key)?.0].value.as_ref()
    }

    /// The value of exactly this key, to change it.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let id = self.find(key)?;
        self.at_mut(id)
    }

    /// The value of this key, which is first made by `make` if the key is new.
    pub(crate) fn entry_or_insert_with(&mut self, key: &[u8], make: impl FnOnce() -> V) -> &mut V {
        let (id, _) = self.id_or_insert_with(key, make);
        self.at_mut(id).expect("a key has a value")
    }

    /// Removes the key; its value, if there was one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let id = self.find(key)?;
        self.remove_at(id)
    }

    /// Calls `visit` for every key that is a prefix of `topic`, shortest first, the empty key and
    /// `topic` itself included. The time depends on the topic's length, not on the number of keys.
    pub(crate) fn for_each_prefix_of(&self, topic: &[u8], mut visit: impl FnMut(&V)) {
        self.walk(topic, |node, _| {
            if node.key != NONE {
                self.keys[node.key].value.iter().for_each(&mut visit);
            }
            true
        });
    }

    /// Whether any key is a prefix of `topic`.
    pub(crate) fn is_prefixed(&self, topic: &[u8]) -> bool {
        let mut found = false;
        self.walk(topic, |node, _| {
            found = node.key != NONE;
            !found
        });
        found
    }

    /// Calls `visit` for every key and its value, in the order of the keys.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8], &V)) {
        let mut key = Vec::new();
        // What is still to be visited, with the length of the parent's key.
        let mut ahead = vec![(ROOT, 0)];
        while let Some((at, parent_len)) = ahead.pop() {
            let node = &self.nodes[at];
            key.truncate(parent_len);
            key.extend_from_slice(self.label(at));
            if node.key != NONE
                && let Some(value) = &self.keys[node.key].value
            {
                visit(&key, value);
            }
            let first = ahead.len();
            ahead.extend(node.places().map(|child| (child, key.len())));
            ahead[first..].sort_unstable_by_key(|&(child, _)| Reverse(self.label(child)[0]));
        }
    }
}

/// Access by id, for what is built on top.
impl<V> PrefixMap<V> {
    /// The id of this key, and whether it is new: then `make` makes its value.
    pub(super) fn id_or_insert_with(
        &mut self,
        key: &[u8],
        make: impl FnOnce() -> V,
    ) -> (KeyId, bool) {
        self.tidy();
        let at = self.place_for(key);
        let node = &mut self.nodes[at];
        let new = node.key == NONE;
        if new {
            node.key = self.keys.insert(Key {
                value: Some(make()),
                node: at,
            });
            self.len += 1;
        }
        (KeyId(node.key), new)
    }

    /// The id of exactly this key.
    pub(super) fn find(&self, key: &[u8]) -> Option<KeyId> {
        let mut found = NONE;
        self.walk(key, |node, rest| {
            if rest.is_empty() {
                found = node.key;
            }
            true
        });
        (found != NONE).then_some(KeyId(found))
    }

    /// The value of a key.
    pub(super) fn at_mut(&mut self, id: KeyId) -> Option<&mut V> {
        self.keys[id.0].value.as_mut()
    }

    /// The bytes of a key.
    pub(super) fn key_at(&self, id: KeyId) -> Vec<u8> {
        let mut at = self.keys[id.0].node;
        let mut reversed = Vec::new();
        while at != ROOT {
            reversed.extend(self.label(at).iter().rev());
            at = self.nodes[at].parent;
        }
        reversed.reverse();
        reversed
    }

    /// Removes a key, and the nodes that are of no use without it.
    pub(super) fn remove_at(&mut self, id: KeyId) -> Option<V> {
        let Key { value, node } = self.keys.remove(id.0);
        self.nodes[node].key = NONE;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        } else {
            self.prune(node);
            self.tidy();
        }
        value
    }

    /// Calls `visit` for the nodes that lead to prefixes of `topic`, from the root on, each with
    /// what is left of the topic, as long as it returns true.
    #[inline]
    fn walk(&self, topic: &[u8], mut visit: impl FnMut(&Node, &[u8]) -> bool) {
        let (mut node, mut rest) = (&self.nodes[ROOT], topic);
        while visit(node, rest) {
            let next = rest
                .first()
                .and_then(|&byte| node.candidate(byte, &self.aside));
            let Some(child) = next else { return };
            node = &self.nodes[child];
            let Some(len) = node.matches(rest, &self.aside) else {
                return;
            };
            rest = &rest[len..];
        }
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes() + self.aside.heap_bytes() + self.keys.heap_bytes()
    }
}

/// The shape of the tree.
impl<V> PrefixMap<V> {
    /// The node of this key, made if there is none. It must get a key before anything else is done
    /// to the map.
    fn place_for(&mut self, key: &[u8]) -> u32 {
        let (mut at, mut rest) = (ROOT, key);
        while let Some(&byte) = rest.first() {
            let taken;
            (at, taken) = match self.child(at, byte) {
                None => self.append(at, &rest[..rest.len().min(LONGEST_LABEL)]),
                Some(child) => {
                    let label = self.label(child);
                    match common_prefix(label, rest) {
                        all if all == label.len() => (child, all),
                        some => (self.split(child, some), some),
                    }
                }
            };
            rest = &rest[taken..];
        }
        at
    }

    fn label(&self, at: u32) -> &[u8] {
        self.nodes[at].label(&self.aside)
    }

    fn set_label(&mut self, at: u32, label: &[u8]) {
        debug_assert!(label.len() <= LONGEST_LABEL);
        self.nodes[at].set_label(label, &mut self.aside);
    }

    fn child(&self, at: u32, byte: u8) -> Option<u32> {
        let child = self.nodes[at].candidate(byte, &self.aside);
        child.filter(|&child| self.label(child)[0] == byte)
    }

    /// A new leaf below `parent`, and the length of its label.
    fn append(&mut self, parent: u32, label: &[u8]) -> (u32, usize) {
        let node = &self.nodes[parent];
        if node.len() == node.size().room() {
            self.resize(parent, Size::of(node.len() + 1));
        }
        let at = self.nodes[parent].places().end;
        self.nodes[at].parent = parent;
        self.set_label(at, label);
        self.nodes[parent].push(label[0], &mut self.aside);
        (at, label.len())
    }

    /// Puts a new node above one, which takes the first `len` bytes of its label, and its place:
    /// where it is in the end.
    fn split(&mut self, at: u32, len: usize) -> u32 {
        let parent = self.nodes[at].parent;
        let label = self.label(at).to_vec();
        let size = Size::of(1);
        let lower = self.nodes.take(size);
        self.shift(at, lower);
        self.nodes[lower].parent = at;
        self.set_label(lower, &label[len..]);
        let upper = &mut self.nodes[at];
        upper.parent = parent;
        upper.set_label(&label[..len], &mut self.aside);
        upper.reshape(size, lower, &mut self.aside);
        upper.push(label[len], &mut self.aside);
        // What was too long for one label with all of it may not be with a part of it.
        self.merge(lower);
        if self.merge(parent) { parent } else { at }
    }

    /// Removes a node and then its ancestors while they are of no use.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.nodes[at].key == NONE {
            if self.nodes[at].len() > 0 {
                self.merge(at);
                return;
            }
            self.set_label(at, &[]);
            let parent = mem::take(&mut self.nodes[at]).parent;
            let siblings = self.nodes[parent].places();
            // The last one fills the gap.
            let last = siblings.end - 1;
            if at != last {
                self.shift(last, at);
                let first = self.label(at)[0];
                let rank = (at - siblings.start) as usize;
                self.nodes[parent].set_rank(first, rank, &mut self.aside);
            }
            let node = &mut self.nodes[parent];
            node.pop();
            let size = node.size().shrunk(node.len());
            if size != node.size() {
                self.resize(parent, size);
            }
            at = parent;
        }
    }

    /// Joins a node to its child, which takes its place, if it has no key, only one child, and the
    /// label of both is not too long: whether it is so.
    fn merge(&mut self, at: u32) -> bool {
        let upper = self.nodes[at];
        if at == ROOT || upper.key != NONE || upper.len() != 1 {
            return false;
        }
        let lower = upper.children;
        let label = [self.label(at), self.label(lower)].concat();
        if label.len() > LONGEST_LABEL {
            return false;
        }
        self.set_label(at, &[]);
        self.nodes[at].reshape(Size::default(), 0, &mut self.aside);
        self.shift(lower, at);
        self.nodes.give_back(lower, upper.size());
        self.nodes[at].parent = upper.parent;
        self.set_label(at, &label);
        true
    }

    /// Moves the children of a node into a run of another size.
    fn resize(&mut self, parent: u32, size: Size) {
        let before = self.nodes[parent];
        let start = self.nodes.take(size);
        self.nodes[parent].reshape(size, start, &mut self.aside);
        for (from, to) in before.places().zip(start..) {
            self.shift(from, to);
            let first = self.label(to)[0];
            self.nodes[parent].push(first, &mut self.aside);
        }
        self.nodes.give_back(before.children, before.size());
    }

    /// Moves all nodes together, level by level, once most places are spare: so that what is held
    /// depends on the keys there are and not on those there were. In its turn every call before
    /// has paid for it.
    fn tidy(&mut self) {
        if !self.nodes.is_sparse() {
            return;
        }
        let mut nodes = Runs::for_all_of(&self.nodes);
        nodes.take(Size::of(1));
        nodes[ROOT] = self.nodes[ROOT];
        for at in ROOT.. {
            if at as usize == nodes.len() {
                break;
            }
            let Node { children, .. } = nodes[at];
            nodes[at].children = nodes.take(nodes[at].size());
            let moved = nodes[at].places();
            for (from, to) in (children..).zip(moved) {
                let mut node = self.nodes[from];
                node.parent = at;
                if node.key != NONE {
                    self.keys[node.key].node = to;
                }
                nodes[to] = node;
            }
        }
        self.nodes = nodes;
    }

    /// Moves a node, with which nothing is left behind; its parent does not learn of it.
    fn shift(&mut self, from: u32, to: u32) {
        let node = mem::take(&mut self.nodes[from]);
        for child in node.places() {
            self.nodes[child].parent = to;
        }
        if node.key != NONE {
            self.keys[node.key].node = to;
        }
        self.nodes[to] = node;
    }
}

impl<V: fmt::Debug> fmt::Debug for PrefixMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|key, value| {
            map.entry(&key.escape_ascii().to_string(), value);
        });
        map.finish()
    }
}

impl<V> Default for Key<V> {
    fn default() -> Self {
        Key {
            value: None,
            node: NONE,
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, u32>;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Vec<u8>, u32),
        Remove(Vec<u8>),
        Match(Vec<u8>),
    }

    /// Keys over few bytes share prefixes; some stretches are longer than a label.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => prop::collection::vec(prop::sample::select(vec![0u8, b'a', b'b', 255]), 0..4),
            2 => prop::collection::vec(any::<u8>(), 0..3),
            1 => (1usize..700).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (key(), any::<u32>()).prop_map(|(k, v)| Step::Insert(k, v)),
            2 => key().prop_map(Step::Remove),
            1 => key().prop_map(Step::Match),
        ]
    }

    fn prefixes(model: &Model, topic: &[u8]) -> Vec<u32> {
        let found = model.iter().filter(|(key, _)| topic.starts_with(key));
        found.map(|(_, value)| *value).collect()
    }

    /// The lengths of the labels on the way of a topic.
    fn path<V>(map: &PrefixMap<V>, topic: &[u8]) -> Vec<usize> {
        let mut path = Vec::new();
        map.walk(topic, |node, _| {
            path.push(node.label(&map.aside).len());
            true
        });
        path
    }

    fn agree(map: &PrefixMap<u32>, model: &Model) {
        let mut all = Vec::new();
        map.for_each(|key, value| all.push((key.to_vec(), *value)));
        assert!(all.iter().map(|(k, v)| (k, v)).eq(model.iter()));
        assert_eq!(map.len(), model.len());
        well_formed(map);
    }

    /// The invariant of [`PrefixMap`], and that all know each other.
    fn well_formed(map: &PrefixMap<u32>) {
        let mut ahead = vec![ROOT];
        while let Some(at) = ahead.pop() {
            let node = map.nodes[at];
            if node.key != NONE {
                assert_eq!(map.keys[node.key].node, at);
            } else if at != ROOT {
                let fits = |child| map.label(at).len() + map.label(child).len() <= LONGEST_LABEL;
                assert!(node.len() > 0, "a useless leaf");
                assert!(node.len() > 1 || !fits(node.children), "an unmerged pair");
            }
            for child in node.places() {
                assert_eq!(map.nodes[child].parent, at);
                assert_eq!(map.child(at, map.label(child)[0]), Some(child));
                ahead.push(child);
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(steps in prop::collection::vec(step(), 1..60)) {
            let (mut map, mut model) = (PrefixMap::new(), Model::new());
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        let expected = *model.entry(key.clone()).or_insert(value);
                        prop_assert_eq!(*map.entry_or_insert_with(&key, || value), expected);
                        let id = map.find(&key).unwrap();
                        prop_assert_eq!(map.key_at(id), key);
                    }
                    Step::Remove(key) => {
                        prop_assert_eq!(map.get(&key).copied(), model.get(&key).copied());
                        prop_assert_eq!(map.remove(&key), model.remove(&key));
                    }
                    Step::Match(topic) => {
                        let mut found = Vec::new();
                        map.for_each_prefix_of(&topic, |value| found.push(*value));
                        prop_assert_eq!(map.is_prefixed(&topic), !found.is_empty());
                        prop_assert_eq!(found, prefixes(&model, &topic));
                        prop_assert!(path(&map, &topic).len() <= topic.len() + 1);
                    }
                }
                agree(&map, &model);
            }
            for key in model.keys() {
                map.remove(key);
            }
            prop_assert!(map.len() == 0 && map.heap_bytes() < 100);
        }
    }

    #[test]
    fn a_megabyte_topic_costs_its_length() {
        let long = vec![b'x'; 1 << 20];
        let mut map = PrefixMap::new();
        map.entry_or_insert_with(&long, || 1);
        map.entry_or_insert_with(&long[..long.len() / 2], || 2);
        map.entry_or_insert_with(b"", || 3);
        let mut found = Vec::new();
        map.for_each_prefix_of(&long, |value| found.push(*value));
        assert_eq!(found, [3, 2, 1]);
        assert!(map.heap_bytes() < 3 << 20);
        assert_eq!(map.remove(&long), Some(1));
        assert!(map.heap_bytes() < 2 << 20, "labels are freed");
        map.entry_or_insert_with(&long, || 1);
        drop(map);
    }

    /// Nodes with every child there can be, which come and go in two orders.
    #[test]
    fn wide_trees_cost_what_is_in_them() {
        let keys = || (0..65_536u32).map(|n| (n * 40_503 % 65_536) as u16);
        let mut map = PrefixMap::new();
        for key in keys() {
            map.entry_or_insert_with(&[key.to_be_bytes().as_slice(), b"!"].concat(), || {
                key.into()
            });
        }
        let full = map.heap_bytes();
        assert!(full < 65_536 * 90, "{full}");
        let mut all = Vec::new();
        map.for_each(|_, &key| all.push(key));
        assert!(all.into_iter().eq(0..=65_535u32));
        for key in keys().filter(|key| key % 8 > 0).chain([0]) {
            let key = [key.to_be_bytes().as_slice(), b"!"].concat();
            assert!(map.remove(&key).is_some());
            map.entry_or_insert_with(&key, || 0);
            assert_eq!(map.remove(&key), Some(0));
        }
        assert!(map.heap_bytes() < full / 2, "{}", map.heap_bytes());
        well_formed(&map);
        for key in keys().filter(|&key| key > 0 && key % 8 == 0) {
            let topic = [key.to_be_bytes().as_slice(), b"!?"].concat();
            let mut found = Vec::new();
            map.for_each_prefix_of(&topic, |&key| found.push(key));
            assert_eq!(found, [u32::from(key)]);
        }
    }

    /// The deepest tree there is: each key is the one before and one byte more.
    #[test]
    fn nested_topics_need_no_stack() {
        let long = vec![b'x'; 100_000];
        let mut map = PrefixMap::new();
        let mut node = ROOT;
        for end in 1..=long.len() {
            // By hand, since asking for the key from the root would take quadratic time.
            node = map.append(node, &long[end - 1..end]).0;
            let value = Some(());
            map.nodes[node].key = map.keys.insert(Key { value, node });
            map.len += 1;
        }
        assert_eq!(map.len(), long.len());
        let small_stack = std::thread::Builder::new().stack_size(64 << 10);
        let thread = small_stack.spawn(move || {
            let mut found = 0;
            map.for_each_prefix_of(&long, |()| found += 1);
            assert_eq!(found, long.len());
            map.for_each(|_, ()| found -= 1);
            assert_eq!(found, 0);
            for end in [50_000, 100_000, 99_999] {
                assert_eq!(map.remove(&long[..end]), Some(()));
            }
            drop(map);
        });
        thread.unwrap().join().unwrap();
    }

    /// Splitting and joining a label copies at most [`LONGEST_LABEL`] bytes, since none is longer.
    #[test]
    fn no_label_is_longer_than_the_bound() {
        let long: Vec<u8> = (0..5000u32).map(|i| (i % 251) as u8).collect();
        let mut map = PrefixMap::new();
        for end in (100..5000).rev().step_by(70) {
            map.entry_or_insert_with(&long[..end], || ());
        }
        for end in (100..5000).rev().step_by(70).skip(1) {
            assert_eq!(map.remove(&long[..end]), Some(()));
            let longest = path(&map, &long).into_iter().max();
            assert!(longest <= Some(LONGEST_LABEL));
        }
        assert_eq!(map.len(), 1);
        assert!(
            path(&map, &long).len() < 100,
            "what was split is merged again"
        );
    }
}
