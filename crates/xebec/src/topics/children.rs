//! The children of one trie node: from the first byte of a child's label to its place in the arena.
//!
//! Three shapes by width, so that a lookup is short in narrow nodes and constant in wide ones: up to
//! two children sit inside the node itself, up to sixteen in one small sorted block, more in a table
//! with an entry for each byte. The shapes shrink again with some slack, so that a node at a
//! boundary does not change shape at every call. A child is an index, never a pointer: dropping a
//! trie frees a flat list whatever its depth.

/// No node: fills the empty entries of a table.
const NONE: u32 = u32::MAX;
/// How many children fit inside the node itself.
const INSIDE: usize = 2;
/// How many children fit into the sorted block.
const FEW: usize = 16;
/// A table this narrow becomes a block again.
const FEW_AGAIN: usize = 12;

/// The children of one node.
#[derive(Debug)]
pub(super) enum Children {
    /// Up to [`INSIDE`].
    Inside(Sorted<INSIDE>),
    /// Up to [`FEW`].
    Few(Box<Sorted<FEW>>),
    /// Any number.
    Table(Box<Table>),
}

/// At most `N` children, ordered by byte.
#[derive(Debug)]
pub(super) struct Sorted<const N: usize> {
    len: u8,
    bytes: [u8; N],
    nodes: [u32; N],
}

/// One entry for each byte.
#[derive(Debug)]
pub(super) struct Table {
    len: u16,
    nodes: [u32; 256],
}

impl Children {
    /// No children.
    pub(super) fn new() -> Self {
        Children::Inside(Sorted::new())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Children::Inside(sorted) => sorted.len.into(),
            Children::Few(sorted) => sorted.len.into(),
            Children::Table(table) => table.len.into(),
        }
    }

    /// The child whose label begins with `byte`.
    pub(super) fn find(&self, byte: u8) -> Option<u32> {
        match self {
            Children::Inside(sorted) => sorted.find(byte),
            Children::Few(sorted) => sorted.find(byte),
            Children::Table(table) => Some(table.nodes[usize::from(byte)]).filter(|&n| n != NONE),
        }
    }

    /// The only child, when there is exactly one.
    pub(super) fn only(&self) -> Option<u32> {
        self.iter().next().filter(|_| self.len() == 1)
    }

    /// All of them, ordered by byte.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let nodes: &[u32] = match self {
            Children::Inside(sorted) => sorted.nodes(),
            Children::Few(sorted) => sorted.nodes(),
            Children::Table(table) => &table.nodes,
        };
        nodes.iter().copied().filter(|&node| node != NONE)
    }

    /// Makes `node` the child for `byte`, in place of another one if there is any.
    pub(super) fn set(&mut self, byte: u8, node: u32) {
        let fits = match self {
            Children::Inside(sorted) => sorted.set(byte, node),
            Children::Few(sorted) => sorted.set(byte, node),
            Children::Table(table) => table.set(byte, node),
        };
        if !fits {
            self.widen();
            self.set(byte, node);
        }
    }

    fn widen(&mut self) {
        *self = match self {
            Children::Inside(sorted) => Children::Few(Box::new(sorted.resized())),
            Children::Few(sorted) => Children::Table(Box::new(Table::from(&**sorted))),
            Children::Table(_) => return,
        };
    }

    /// Removes the child for `byte`.
    pub(super) fn remove(&mut self, byte: u8) {
        match self {
            Children::Inside(sorted) => sorted.remove(byte),
            Children::Few(sorted) => {
                sorted.remove(byte);
                if usize::from(sorted.len) <= INSIDE {
                    *self = Children::Inside(sorted.resized());
                }
            }
            Children::Table(table) => {
                table.remove(byte);
                if usize::from(table.len) <= FEW_AGAIN {
                    *self = Children::Few(Box::new(table.narrowed()));
                }
            }
        }
    }

    /// Heap held beside the node itself.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Children::Inside(_) => 0,
            Children::Few(sorted) => size_of_val(&**sorted),
            Children::Table(table) => size_of_val(&**table),
        }
    }
}

impl<const N: usize> Sorted<N> {
    fn new() -> Self {
        Sorted {
            len: 0,
            bytes: [0; N],
            nodes: [NONE; N],
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn nodes(&self) -> &[u32] {
        &self.nodes[..usize::from(self.len)]
    }

    fn find(&self, byte: u8) -> Option<u32> {
        let at = self.bytes().iter().position(|&b| b == byte)?;
        Some(self.nodes[at])
    }

    /// False when there is no room.
    fn set(&mut self, byte: u8, node: u32) -> bool {
        let len = usize::from(self.len);
        let at = self.bytes().partition_point(|&b| b < byte);
        if at < len && self.bytes[at] == byte {
            self.nodes[at] = node;
            return true;
        }
        if len == N {
            return false;
        }
        self.bytes.copy_within(at..len, at + 1);
        self.nodes.copy_within(at..len, at + 1);
        self.bytes[at] = byte;
        self.nodes[at] = node;
        self.len += 1;
        true
    }

    fn remove(&mut self, byte: u8) {
        let len = usize::from(self.len);
        let Some(at) = self.bytes().iter().position(|&b| b == byte) else {
            return;
        };
        self.bytes.copy_within(at + 1..len, at);
        self.nodes.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// The same children with room for `M` of them, which must be enough.
    fn resized<const M: usize>(&self) -> Sorted<M> {
        let mut other = Sorted::new();
        let len = usize::from(self.len);
        other.bytes[..len].copy_from_slice(self.bytes());
        other.nodes[..len].copy_from_slice(self.nodes());
        other.len = self.len;
        other
    }
}

impl Table {
    /// Always true: there is room for every byte.
    fn set(&mut self, byte: u8, node: u32) -> bool {
        let entry = &mut self.nodes[usize::from(byte)];
        self.len += u16::from(*entry == NONE);
        *entry = node;
        true
    }

    fn remove(&mut self, byte: u8) {
        let entry = &mut self.nodes[usize::from(byte)];
        self.len -= u16::from(*entry != NONE);
        *entry = NONE;
    }

    /// The same children as a block; there must be few enough.
    fn narrowed(&self) -> Sorted<FEW> {
        let mut sorted = Sorted::new();
        for (byte, &node) in (0u8..=255).zip(&self.nodes) {
            if node != NONE {
                let fits = sorted.set(byte, node);
                debug_assert!(fits, "a table narrows only when a block is enough");
            }
        }
        sorted
    }
}

impl<const N: usize> From<&Sorted<N>> for Table {
    fn from(sorted: &Sorted<N>) -> Self {
        let mut table = Table {
            len: 0,
            nodes: [NONE; 256],
        };
        for (&byte, &node) in sorted.bytes().iter().zip(sorted.nodes()) {
            table.set(byte, node);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every byte in, then out, in an order that mixes ends and middle: each shape in both directions.
    #[test]
    fn behaves_as_an_ordered_map_at_every_width() {
        let mut children = Children::new();
        let mut model = BTreeMap::new();
        let order = || (0u32..256).map(|i| (i * 167 % 256) as u8);
        for byte in order() {
            children.set(byte, 7);
            children.set(byte, u32::from(byte) + 1000);
            model.insert(byte, u32::from(byte) + 1000);
            same(&children, &model);
        }
        assert!(matches!(children, Children::Table(_)));
        for byte in order() {
            children.remove(byte);
            children.remove(byte);
            model.remove(&byte);
            same(&children, &model);
        }
        assert!(matches!(children, Children::Inside(_)));
    }

    fn same(children: &Children, model: &BTreeMap<u8, u32>) {
        assert_eq!(children.len(), model.len());
        assert!(children.iter().eq(model.values().copied()));
        assert!((0..=255).all(|byte| children.find(byte) == model.get(&byte).copied()));
        let only = model.values().next().filter(|_| model.len() == 1);
        assert_eq!(children.only(), only.copied());
    }

    #[test]
    fn is_two_words_wide() {
        assert_eq!(size_of::<Children>(), 16);
    }
}
