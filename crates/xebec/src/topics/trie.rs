//! A map from byte strings to values that answers one question fast: which keys are prefixes of
//! this topic?
//!
//! A path-compressed trie (radix tree). Its nodes live in one arena and refer to each other by
//! index: nothing here recurses, so that neither a topic of a megabyte nor a chain of a million
//! nested topics can exhaust a stack, also when the map is dropped.
//!
//! * A lookup in a large map waits for memory, so a node with its label takes half a line of the
//!   processor's cache, and a list of children seldom more than one line (see `children`).
//! * A label is at most [`LONGEST_LABEL`] bytes; a longer stretch is a chain of nodes. This bounds
//!   what a split or a merge copies, whoever chooses the topics.
//! * A node that holds a value keeps its [`NodeId`] until that value is removed, whatever is split
//!   or merged around it. [`Subscribers`](super::Subscribers) relies on it.
//!
//! What the values mean does not belong here.

use std::fmt;

use super::arena::Arena;
use super::children::{Children, Families};

/// A node's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(u32);

const ROOT: NodeId = NodeId(0);
const LONGEST_LABEL: usize = 255;
/// With this much inside, a node takes 32 bytes and most labels need no allocation.
const LABEL_INSIDE: usize = 10;

/// A map from byte strings to `V`, ordered, with queries by prefix.
pub(crate) struct PrefixMap<V> {
    /// Invariant: the root comes first.
    nodes: Arena<Node<V>>,
    families: Families,
    /// The labels that are too long for their nodes.
    labels: Arena<Box<[u8]>>,
    len: usize,
}

/// Invariant: a node other than the root has a value or a child; one without value has more than
/// one child, or its label and its child's are too long for one label.
// So aligned, it is within one line.
#[repr(align(32))]
struct Node<V> {
    /// The bytes from the parent to here; empty only in the root.
    label: Label,
    children: Children,
    value: Option<V>,
    parent: NodeId,
}

#[derive(Clone, Copy)]
enum Label {
    Inside {
        len: u8,
        bytes: [u8; LABEL_INSIDE],
    },
    /// In [`PrefixMap::labels`].
    Outside(u32),
}

impl<V> PrefixMap<V> {
    /// An empty map.
    pub(crate) fn new() -> Self {
        let mut nodes = Arena::new();
        nodes.insert(Node::default());
        PrefixMap {
            nodes,
            families: Families::new(),
            labels: Arena::new(),
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
        self.node(self.find(key)?).value.as_ref()
    }

    /// The value of exactly this key, to change it.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let id = self.find(key)?;
        self.node_mut(id).value.as_mut()
    }

    /// The value of this key, which is first made by `make` if the key is new.
    pub(crate) fn entry_or_insert_with(&mut self, key: &[u8], make: impl FnOnce() -> V) -> &mut V {
        let id = self.node_for(key);
        let value = self.slot(id);
        value.get_or_insert_with(make)
    }

    /// Removes the key; its value, if there was one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let id = self.find(key)?;
        self.remove_at(id)
    }

    /// Calls `visit` for every key that is a prefix of `topic`, shortest first, the empty key and
    /// `topic` itself included. The time depends on the topic's length, not on the number of keys.
    pub(crate) fn for_each_prefix_of(&self, topic: &[u8], mut visit: impl FnMut(&V)) {
        for (id, _) in self.path(topic) {
            if let Some(value) = &self.node(id).value {
                visit(value);
            }
        }
    }

    /// Whether any key is a prefix of `topic`.
    pub(crate) fn is_prefixed(&self, topic: &[u8]) -> bool {
        let ends = |id| self.node(id).value.is_some();
        // Most subscribers that want everything say so, and the path looks a step ahead.
        ends(ROOT) || self.path(topic).any(|(id, _)| ends(id))
    }

    /// Calls `visit` for every key and its value, in the order of the keys.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8], &V)) {
        let mut key = Vec::new();
        // What is still to be visited, with the length of the parent's key.
        let mut ahead = vec![(ROOT, 0)];
        while let Some((id, parent_len)) = ahead.pop() {
            let node = self.node(id);
            key.truncate(parent_len);
            key.extend_from_slice(self.label(id));
            if let Some(value) = &node.value {
                visit(&key, value);
            }
            let children = self.families.iter(&node.children).rev();
            ahead.extend(children.map(|child| (NodeId(child), key.len())));
        }
    }
}

/// Access by node, for what is built on top.
impl<V> PrefixMap<V> {
    /// The node of this key, made if there is none. Its value must be filled before anything else
    /// is done to the map, through [`PrefixMap::slot`].
    pub(super) fn node_for(&mut self, key: &[u8]) -> NodeId {
        let (mut id, mut rest) = (ROOT, key);
        while let Some(&byte) = rest.first() {
            let taken;
            (id, taken) = match self.child(id, byte) {
                None => self.append(id, &rest[..rest.len().min(LONGEST_LABEL)]),
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
        id
    }

    /// The place for the value of a node without one, or its value. Counts a new key.
    pub(super) fn slot(&mut self, id: NodeId) -> &mut Option<V> {
        self.len += usize::from(self.node(id).value.is_none());
        &mut self.node_mut(id).value
    }

    /// The node of exactly this key, if it exists. It need not hold a value.
    pub(super) fn find(&self, key: &[u8]) -> Option<NodeId> {
        let (id, taken) = self.path(key).last()?;
        (taken == key.len()).then_some(id)
    }

    /// The value at a node.
    pub(super) fn at_mut(&mut self, id: NodeId) -> Option<&mut V> {
        self.node_mut(id).value.as_mut()
    }

    /// The key of a node.
    pub(super) fn key_at(&self, mut id: NodeId) -> Vec<u8> {
        let mut reversed = Vec::new();
        while id != ROOT {
            reversed.extend(self.label(id).iter().rev());
            id = self.node(id).parent;
        }
        reversed.reverse();
        reversed
    }

    /// Removes the value at a node, and the nodes that are of no use without it.
    pub(super) fn remove_at(&mut self, id: NodeId) -> Option<V> {
        let value = self.node_mut(id).value.take()?;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        } else {
            self.prune(id);
        }
        Some(value)
    }

    /// The nodes whose keys are prefixes of `topic`, with or without a value, from the root on,
    /// each with the length of its key.
    fn path<'a>(&'a self, topic: &'a [u8]) -> impl Iterator<Item = (NodeId, usize)> + 'a {
        std::iter::successors(Some((ROOT, 0)), move |&(id, taken)| {
            let rest = &topic[taken..];
            let child = self.child(id, *rest.first()?)?;
            let label = self.label(child);
            // Its first byte is the one by which it was found, and often the only one.
            (label.len() == 1 || rest.starts_with(label)).then(|| (child, taken + label.len()))
        })
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let labels = self.labels.iter().map(|label| label.len());
        self.nodes.heap_bytes()
            + self.families.heap_bytes()
            + self.labels.heap_bytes()
            + labels.sum::<usize>()
    }
}

/// The shape of the tree.
impl<V> PrefixMap<V> {
    fn node(&self, id: NodeId) -> &Node<V> {
        &self.nodes[id.0]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<V> {
        &mut self.nodes[id.0]
    }

    fn label(&self, id: NodeId) -> &[u8] {
        match &self.node(id).label {
            Label::Inside { len, bytes } => &bytes[..usize::from(*len)],
            Label::Outside(place) => &self.labels[*place],
        }
    }

    fn set_label(&mut self, id: NodeId, label: &[u8]) {
        debug_assert!(label.len() <= LONGEST_LABEL);
        if let Label::Outside(place) = self.node(id).label {
            self.labels.remove(place);
        }
        self.node_mut(id).label = if label.len() > LABEL_INSIDE {
            Label::Outside(self.labels.insert(label.into()))
        } else {
            let mut bytes = [0; LABEL_INSIDE];
            bytes[..label.len()].copy_from_slice(label);
            let len = label.len() as u8;
            Label::Inside { len, bytes }
        };
    }

    fn child(&self, id: NodeId, byte: u8) -> Option<NodeId> {
        let children = self.node(id).children;
        self.families.find(children, byte).map(NodeId)
    }

    fn only_child(&self, id: NodeId) -> Option<NodeId> {
        self.families.only(self.node(id).children).map(NodeId)
    }

    fn set_child(&mut self, parent: NodeId, byte: u8, child: NodeId) {
        let children = &mut self.nodes[parent.0].children;
        self.families.set(children, byte, child.0);
    }

    /// A new leaf below `parent`, and the length of its label.
    fn append(&mut self, parent: NodeId, label: &[u8]) -> (NodeId, usize) {
        let id = NodeId(self.nodes.insert(Node::default()));
        self.node_mut(id).parent = parent;
        self.set_label(id, label);
        self.set_child(parent, label[0], id);
        (id, label.len())
    }

    /// Puts a new node above `lower`, which takes the first `at` bytes of its label.
    fn split(&mut self, lower: NodeId, at: usize) -> NodeId {
        let parent = self.node(lower).parent;
        let label = self.label(lower).to_vec();
        let (upper, _) = self.append(parent, &label[..at]);
        self.set_child(upper, label[at], lower);
        self.set_label(lower, &label[at..]);
        self.node_mut(lower).parent = upper;
        // What was too long for one label with all of it may not be with a part of it.
        for id in [parent, lower] {
            if id != ROOT && self.node(id).value.is_none() {
                self.merge(id);
            }
        }
        upper
    }

    /// Removes `id` and then its ancestors while they are of no use.
    fn prune(&mut self, mut id: NodeId) {
        while id != ROOT && self.node(id).value.is_none() {
            let Node {
                parent, children, ..
            } = *self.node(id);
            if children != Children::None {
                return self.merge(id);
            }
            let first = self.label(id)[0];
            let siblings = &mut self.nodes[parent.0].children;
            self.families.remove(siblings, first);
            self.release(id);
            id = parent;
        }
    }

    /// Joins `upper`, without value, to its child, if it has only one and the label of both is not
    /// too long. The child stays, since it may be known by its id.
    fn merge(&mut self, upper: NodeId) {
        let parent = self.node(upper).parent;
        let Some(lower) = self.only_child(upper) else {
            return;
        };
        let label = [self.label(upper), self.label(lower)].concat();
        if label.len() > LONGEST_LABEL {
            return;
        }
        self.set_child(parent, label[0], lower);
        self.set_label(lower, &label);
        self.node_mut(lower).parent = parent;
        self.release(upper);
    }

    /// Frees the place of a node that is in no other's list any more.
    fn release(&mut self, id: NodeId) {
        self.set_label(id, &[]);
        let mut node = self.nodes.remove(id.0);
        self.families.clear(&mut node.children);
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

impl<V> Default for Node<V> {
    fn default() -> Self {
        Node {
            label: Label::Inside {
                len: 0,
                bytes: [0; LABEL_INSIDE],
            },
            children: Children::None,
            value: None,
            parent: ROOT,
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

    fn agree(map: &PrefixMap<u32>, model: &Model) {
        let mut all = Vec::new();
        map.for_each(|key, value| all.push((key.to_vec(), *value)));
        assert!(all.iter().map(|(k, v)| (k, v)).eq(model.iter()));
        assert_eq!(map.len(), model.len());
        well_formed(map);
    }

    /// The invariant of [`Node`], and the parents.
    fn well_formed(map: &PrefixMap<u32>) {
        let mut ahead = vec![ROOT];
        while let Some(id) = ahead.pop() {
            let node = map.node(id);
            if id != ROOT && node.value.is_none() {
                let fits = |child| {
                    let below = map.label(child).len();
                    map.label(id).len() + below <= LONGEST_LABEL
                };
                assert!(node.children != Children::None, "a useless leaf");
                assert!(!map.only_child(id).is_some_and(fits), "an unmerged pair");
            }
            for child in map.families.iter(&node.children).map(NodeId) {
                assert_eq!(map.node(child).parent, id);
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
                        prop_assert!(map.path(&topic).count() <= topic.len() + 1);
                    }
                }
                agree(&map, &model);
            }
            for key in model.keys() {
                map.remove(key);
            }
            prop_assert_eq!((map.len(), map.nodes.iter().count()), (0, 1));
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

    /// The deepest tree there is: each key is the one before and one byte more.
    #[test]
    fn nested_topics_need_no_stack() {
        let long = vec![b'x'; 100_000];
        let mut map = PrefixMap::new();
        let mut id = ROOT;
        for end in 1..=long.len() {
            // By hand, since asking for the key from the root would take quadratic time.
            id = map.append(id, &long[end - 1..end]).0;
            *map.slot(id) = Some(());
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
            let longest = map.path(&long).map(|(id, _)| map.label(id).len());
            assert!(longest.max() <= Some(LONGEST_LABEL));
        }
        assert_eq!(map.len(), 1);
        assert!(
            map.path(&long).count() < 100,
            "what was split is merged again"
        );
    }

    #[test]
    fn nodes_are_small() {
        assert_eq!(size_of::<Node<u32>>(), 32);
    }
}
