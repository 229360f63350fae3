//! One node of a trie, in half a line of the processor's cache.
//!
//! A lookup in a large trie waits for memory, so all that a step needs is here: the node's label,
//! and the first bytes of its children's, which are neighbours elsewhere. The two share sixteen
//! bytes: the label is at their beginning, the children's bytes at their end, the first child's
//! last. A label for which there is no room, and the ranks of more than twelve children, are in
//! [`Aside`], and here is where.

use super::arena::Arena;
use super::runs::Size;

/// No place.
pub(super) const NONE: u32 = u32::MAX;
const SHARED: usize = 16;
const WORD: usize = 8;
/// The bytes of a place.
const PLACE: usize = size_of::<u32>();
/// With more children, their bytes are in a table.
const FEW: usize = SHARED - PLACE;

/// A node: what is above it, below it and in it.
// So aligned, it is within one line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Node {
    pub(super) parent: u32,
    /// Where the run of its children begins.
    pub(super) children: u32,
    /// The key that ends here, if one does.
    pub(super) key: u32,
    len: u16,
    size: Size,
    label_len: u8,
    shared: [u8; SHARED],
}

/// What is too large for the nodes.
#[derive(Debug)]
pub(super) struct Aside {
    labels: Arena<Box<[u8]>>,
    tables: Arena<Table>,
}

/// The rank of a child by its byte; any for a byte that has no child.
#[derive(Debug, Clone, Copy)]
struct Table([u8; 256]);

impl Node {
    /// How many children there are.
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// The size of the run of its children.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The places of the children, in no order.
    pub(super) fn places(&self) -> std::ops::Range<u32> {
        self.children..self.children + u32::from(self.len)
    }

    /// The place of the only child whose label can begin with `byte`. Whether it does, the label
    /// tells.
    #[inline]
    pub(super) fn candidate(&self, byte: u8, aside: &Aside) -> Option<u32> {
        let rank = if self.is_wide() {
            aside.tables[self.table()].0[usize::from(byte)].into()
        } else {
            self.rank(byte)
        };
        (rank < self.len.into()).then(|| self.children + rank)
    }

    /// Compares a word at once: which of its bytes it is, no branch has to guess.
    #[inline]
    fn rank(&self, byte: u8) -> u32 {
        const ONES: u64 = u64::from_ne_bytes([0x01; WORD]);
        const LOW: u64 = u64::from_ne_bytes([0x7f; WORD]);
        let (words, _) = self.shared.as_chunks();
        let zeros = |word: [u8; WORD]| {
            let differs = u64::from_le_bytes(word) ^ (ONES * u64::from(byte));
            // The highest bit of each byte that is the one sought.
            !(((differs & LOW) + LOW) | differs | LOW)
        };
        // One of the label comes after all of the children's.
        let zeros = u128::from(zeros(words[1])) << 64 | u128::from(zeros(words[0]));
        zeros.leading_zeros() / 8
    }

    /// The bytes from the parent to here; empty only in the root.
    #[inline]
    pub(super) fn label<'a>(&'a self, aside: &'a Aside) -> &'a [u8] {
        let len = usize::from(self.label_len);
        if len <= self.room() {
            &self.shared[..len]
        } else {
            &aside.labels[self.outside()]
        }
    }

    /// The length of the label, if `topic`, which is not empty, begins with it.
    #[inline]
    pub(super) fn matches(&self, topic: &[u8], aside: &Aside) -> Option<usize> {
        let begins = match self.label_len {
            // Most of them.
            1 => self.shared[0] == topic[0],
            _ => topic.starts_with(self.label(aside)),
        };
        begins.then_some(self.label_len.into())
    }

    /// Changes the label, which has at most 255 bytes.
    pub(super) fn set_label(&mut self, label: &[u8], aside: &mut Aside) {
        if usize::from(self.label_len) > self.room() {
            aside.labels.remove(self.outside());
        }
        self.label_len = u8::try_from(label.len()).expect("a short label");
        if label.len() <= self.room() {
            self.shared[..label.len()].copy_from_slice(label);
        } else {
            let place = aside.labels.insert(label.into());
            self.shared[..PLACE].copy_from_slice(&place.to_le_bytes());
        }
    }

    /// Enters the next child.
    pub(super) fn push(&mut self, byte: u8, aside: &mut Aside) {
        debug_assert!(self.len() < self.size.room());
        self.len += 1;
        self.set_rank(byte, self.len() - 1, aside);
    }

    /// Strikes out the last child.
    pub(super) fn pop(&mut self) {
        self.len -= 1;
    }

    /// Enters a child in place of the one of that rank.
    pub(super) fn set_rank(&mut self, byte: u8, rank: usize, aside: &mut Aside) {
        if self.is_wide() {
            aside.tables[self.table()].0[usize::from(byte)] = rank as u8;
        } else {
            self.shared[SHARED - 1 - rank] = byte;
        }
    }

    /// Has children from now on in a run of this size, none of which is entered yet.
    pub(super) fn reshape(&mut self, size: Size, children: u32, aside: &mut Aside) {
        let label = self.label(aside).to_vec();
        self.set_label(&[], aside);
        if self.is_wide() {
            aside.tables.remove(self.table());
        }
        (self.size, self.children, self.len) = (size, children, 0);
        if self.is_wide() {
            let table = aside.tables.insert(Table::default());
            self.shared[FEW..].copy_from_slice(&table.to_le_bytes());
        }
        self.set_label(&label, aside);
    }

    fn is_wide(&self) -> bool {
        self.size.room() > FEW
    }

    /// For how long a label there is room.
    fn room(&self) -> usize {
        match self.size.room() {
            many if many > FEW => FEW,
            few => SHARED - few,
        }
    }

    /// Where the label is for which there is no room.
    fn outside(&self) -> u32 {
        u32::from_le_bytes(*self.shared.first_chunk().expect("long enough"))
    }

    fn table(&self) -> u32 {
        u32::from_le_bytes(*self.shared.last_chunk().expect("long enough"))
    }
}

impl Default for Node {
    fn default() -> Self {
        Node {
            parent: NONE,
            children: 0,
            key: NONE,
            len: 0,
            size: Size::default(),
            label_len: 0,
            shared: [0; SHARED],
        }
    }
}

impl Aside {
    pub(super) const fn new() -> Self {
        Aside {
            labels: Arena::new(),
            tables: Arena::new(),
        }
    }

    /// Heap held.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let labels = self.labels.iter().map(|label| label.len());
        self.labels.heap_bytes() + labels.sum::<usize>() + self.tables.heap_bytes()
    }
}

impl Default for Table {
    fn default() -> Self {
        Table([0; 256])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte in, then out, at every length of a label: each shape in both directions.
    #[test]
    fn children_are_found_by_their_bytes_whatever_the_label() {
        for len in [0, 1, 3, 4, 5, 8, 12, 13, 15, 16, 17, 255] {
            let label: Vec<u8> = (0..len).collect();
            let mut aside = Aside::new();
            let mut node = Node::default();
            node.set_label(&label, &mut aside);
            let mut bytes = Vec::new();
            let order = || (0u32..256).map(|i| (i * 167 % 256) as u8);
            for byte in order() {
                if bytes.len() == node.size.room() {
                    reshape(&mut node, Size::of(bytes.len() + 1), &bytes, &mut aside);
                }
                node.push(byte, &mut aside);
                bytes.push(byte);
                same(&node, &label, &bytes, &aside);
            }
            for byte in order() {
                let rank = bytes.iter().position(|&b| b == byte).unwrap();
                bytes.swap_remove(rank);
                if let Some(&last) = bytes.get(rank) {
                    node.set_rank(last, rank, &mut aside);
                }
                node.pop();
                same(&node, &label, &bytes, &aside);
                let size = node.size.shrunk(bytes.len());
                reshape(&mut node, size, &bytes, &mut aside);
                same(&node, &label, &bytes, &aside);
            }
            node.set_label(&[], &mut aside);
            assert!(aside.labels.iter().all(|label| label.is_empty()));
        }
    }

    fn reshape(node: &mut Node, size: Size, bytes: &[u8], aside: &mut Aside) {
        node.reshape(size, 1000, aside);
        bytes.iter().for_each(|&byte| node.push(byte, aside));
    }

    fn same(node: &Node, label: &[u8], bytes: &[u8], aside: &Aside) {
        assert_eq!(node.label(aside), label);
        assert_eq!(
            (node.len(), node.places().len()),
            (bytes.len(), bytes.len())
        );
        for byte in 0..=255 {
            let rank = bytes.iter().position(|&b| b == byte);
            match (node.candidate(byte, aside), rank) {
                (found, Some(rank)) => assert_eq!(found, Some(1000 + rank as u32)),
                // A table does not tell; the child does.
                (Some(_), None) => assert!(node.is_wide()),
                (None, None) => {}
            }
        }
    }

    #[test]
    fn nodes_are_small() {
        assert_eq!(size_of::<Node>(), 32);
    }
}
