//! The children of one trie node: from the first byte of a child's label to its place in the arena.
//!
//! Five shapes by width: an only child sits inside the node itself, up to six in half a line of the
//! processor's cache, up to twelve in a line, up to twenty-four in two, more in a table with an
//! entry for each byte. So a step down a large trie waits for memory once or twice, and it searches
//! without a branch that depends on the topic, which nobody could predict. The shapes shrink again
//! with some slack, so that a node at a boundary does not change shape at every call.
//!
//! A node holds where its children are, [`Children`]; the lists themselves are in [`Families`].

use super::arena::Arena;

/// No node: fills the empty entries of a table.
const NONE: u32 = u32::MAX;
/// Bytes of a word.
const WORD: usize = 8;

/// Where the children of one node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Children {
    #[default]
    None,
    One {
        byte: u8,
        node: u32,
    },
    HalfLine(u32),
    Line(u32),
    TwoLines(u32),
    Table(u32),
}

/// The children of all nodes of a trie that have more than one.
#[derive(Debug)]
pub(super) struct Families {
    half_lines: Arena<Sorted<6, 8>>,
    lines: Arena<Lines<12, 16>>,
    two_lines: Arena<Lines<24, 32>>,
    tables: Arena<Table>,
}

/// At most `N` children, ordered by byte.
// So aligned, six are within one line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Sorted<const N: usize, const W: usize> {
    /// The bytes, in words for [`Sorted::find`]; the last is how many there are.
    bytes: [u8; W],
    nodes: [u32; N],
}

/// The same from the beginning of a line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lines<const N: usize, const W: usize>(Sorted<N, W>);

/// One entry for each byte.
#[derive(Debug)]
struct Table {
    nodes: [u32; 256],
    len: u16,
}

impl Families {
    pub(super) const fn new() -> Self {
        Families {
            half_lines: Arena::new(),
            lines: Arena::new(),
            two_lines: Arena::new(),
            tables: Arena::new(),
        }
    }

    /// The child whose label begins with `byte`.
    #[inline]
    pub(super) fn find(&self, children: Children, byte: u8) -> Option<u32> {
        match children {
            Children::None => None,
            Children::One { byte: only, node } => (only == byte).then_some(node),
            Children::HalfLine(at) => self.half_lines[at].find(byte),
            Children::Line(at) => self.lines[at].0.find(byte),
            Children::TwoLines(at) => self.two_lines[at].0.find(byte),
            Children::Table(at) => {
                Some(self.tables[at].nodes[usize::from(byte)]).filter(|&node| node != NONE)
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self, children: Children) -> usize {
        match children {
            Children::Table(at) => self.tables[at].len.into(),
            _ => self.entries(&children).len(),
        }
    }

    /// The only child, when there is exactly one.
    pub(super) fn only(&self, children: Children) -> Option<u32> {
        let first = self.iter(&children).next();
        first.filter(|_| self.len(children) == 1)
    }

    /// All of them, ordered by byte.
    pub(super) fn iter<'a>(
        &'a self,
        children: &'a Children,
    ) -> impl DoubleEndedIterator<Item = u32> + 'a {
        let nodes = self.entries(children).iter().copied();
        nodes.filter(|&node| node != NONE)
    }

    /// Their nodes, and in a table what is no node as well.
    fn entries<'a>(&'a self, children: &'a Children) -> &'a [u32] {
        match children {
            Children::None => &[],
            Children::One { node, .. } => std::slice::from_ref(node),
            Children::HalfLine(at) => self.half_lines[*at].nodes(),
            Children::Line(at) => self.lines[*at].0.nodes(),
            Children::TwoLines(at) => self.two_lines[*at].0.nodes(),
            Children::Table(at) => &self.tables[*at].nodes,
        }
    }

    /// Makes `node` the child for `byte`, in place of another one if there is any.
    pub(super) fn set(&mut self, children: &mut Children, byte: u8, node: u32) {
        let fits = match *children {
            Children::One { byte: only, .. } if only != byte => false,
            Children::None | Children::One { .. } => {
                *children = Children::One { byte, node };
                true
            }
            Children::HalfLine(at) => self.half_lines[at].set(byte, node),
            Children::Line(at) => self.lines[at].0.set(byte, node),
            Children::TwoLines(at) => self.two_lines[at].0.set(byte, node),
            Children::Table(at) => self.tables[at].set(byte, node),
        };
        if !fits {
            self.reshape(children, self.len(*children) + 1);
            self.set(children, byte, node);
        }
    }

    /// Removes the child for `byte`.
    pub(super) fn remove(&mut self, children: &mut Children, byte: u8) {
        let enough = match *children {
            Children::None => return,
            Children::One { byte: only, .. } => {
                if only == byte {
                    *children = Children::None;
                }
                return;
            }
            Children::HalfLine(at) => {
                self.half_lines[at].remove(byte);
                1
            }
            Children::Line(at) => {
                self.lines[at].0.remove(byte);
                4
            }
            Children::TwoLines(at) => {
                self.two_lines[at].0.remove(byte);
                8
            }
            Children::Table(at) => {
                self.tables[at].remove(byte);
                16
            }
        };
        let len = self.len(*children);
        if len <= enough {
            self.reshape(children, len);
        }
    }

    /// Removes all of them.
    pub(super) fn clear(&mut self, children: &mut Children) {
        self.take(std::mem::take(children));
    }

    /// Moves the children into the smallest shape with room for so many.
    fn reshape(&mut self, children: &mut Children, room: usize) {
        let pairs = self.take(*children);
        *children = match room {
            ..2 => Children::None,
            2..=6 => Children::HalfLine(self.half_lines.insert(Sorted::default())),
            7..=12 => Children::Line(self.lines.insert(Lines::default())),
            13..=24 => Children::TwoLines(self.two_lines.insert(Lines::default())),
            _ => Children::Table(self.tables.insert(Table::default())),
        };
        for (byte, node) in pairs {
            self.set(children, byte, node);
        }
    }

    /// Frees the place of a list: what was in it.
    fn take(&mut self, children: Children) -> Vec<(u8, u32)> {
        match children {
            Children::None => Vec::new(),
            Children::One { byte, node } => vec![(byte, node)],
            Children::HalfLine(at) => self.half_lines.remove(at).pairs().collect(),
            Children::Line(at) => self.lines.remove(at).0.pairs().collect(),
            Children::TwoLines(at) => self.two_lines.remove(at).0.pairs().collect(),
            Children::Table(at) => self.tables.remove(at).pairs().collect(),
        }
    }

    /// Heap held.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.half_lines.heap_bytes()
            + self.lines.heap_bytes()
            + self.two_lines.heap_bytes()
            + self.tables.heap_bytes()
    }
}

impl<const N: usize, const W: usize> Default for Sorted<N, W> {
    fn default() -> Self {
        const { assert!(W > N && W.is_multiple_of(WORD)) };
        Sorted {
            bytes: [0; W],
            nodes: [NONE; N],
        }
    }
}

impl<const N: usize, const W: usize> Sorted<N, W> {
    fn len(&self) -> usize {
        self.bytes[W - 1].into()
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    fn nodes(&self) -> &[u32] {
        &self.nodes[..self.len()]
    }

    fn pairs(&self) -> impl Iterator<Item = (u8, u32)> {
        let nodes = self.nodes().iter().copied();
        self.bytes().iter().copied().zip(nodes)
    }

    /// Compares a word at once: which of its bytes it is, no branch has to guess.
    #[inline]
    fn find(&self, byte: u8) -> Option<u32> {
        const LOW: u64 = u64::from_ne_bytes([0x01; WORD]);
        const HIGH: u64 = u64::from_ne_bytes([0x80; WORD]);
        let sought = LOW * u64::from(byte);
        let mut at = W;
        for (n, word) in self.bytes.as_chunks().0.iter().enumerate().rev() {
            let differs = u64::from_le_bytes(*word) ^ sought;
            // Its lowest bit is of the first byte that is the one sought, if any is.
            let zeros = differs.wrapping_sub(LOW) & !differs & HIGH;
            let here = n * WORD + zeros.trailing_zeros() as usize / 8;
            at = std::hint::select_unpredictable(zeros != 0, here, at);
        }
        self.nodes().get(at).copied()
    }

    /// False when there is no room.
    fn set(&mut self, byte: u8, node: u32) -> bool {
        let len = self.len();
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
        self.bytes[W - 1] += 1;
        true
    }

    fn remove(&mut self, byte: u8) {
        let len = self.len();
        let Some(at) = self.bytes().iter().position(|&b| b == byte) else {
            return;
        };
        self.bytes.copy_within(at + 1..len, at);
        self.nodes.copy_within(at + 1..len, at);
        self.bytes[W - 1] -= 1;
    }
}

impl Default for Table {
    fn default() -> Self {
        Table {
            nodes: [NONE; 256],
            len: 0,
        }
    }
}

impl Table {
    fn pairs(&self) -> impl Iterator<Item = (u8, u32)> {
        let entries = (0u8..=255).zip(self.nodes);
        entries.filter(|&(_, node)| node != NONE)
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every byte in, then out, in an order that mixes ends and middle: each shape in both directions.
    #[test]
    fn behave_as_an_ordered_map_at_every_width() {
        let mut families = Families::new();
        let mut children = Children::default();
        let mut model = BTreeMap::new();
        let order = || (0u32..256).map(|i| (i * 167 % 256) as u8);
        for byte in order() {
            families.set(&mut children, byte, 7);
            families.set(&mut children, byte, u32::from(byte) + 1000);
            model.insert(byte, u32::from(byte) + 1000);
            same(&families, children, &model);
        }
        assert!(matches!(children, Children::Table(_)));
        for byte in order() {
            families.remove(&mut children, byte);
            families.remove(&mut children, byte);
            model.remove(&byte);
            same(&families, children, &model);
        }
        assert_eq!(children, Children::None);
    }

    fn same(families: &Families, children: Children, model: &BTreeMap<u8, u32>) {
        assert_eq!(families.len(children), model.len());
        assert!(families.iter(&children).eq(model.values().copied()));
        let find = |byte| families.find(children, byte);
        assert!((0..=255).all(|byte| find(byte) == model.get(&byte).copied()));
        let only = model.values().next().filter(|_| model.len() == 1);
        assert_eq!(families.only(children), only.copied());
    }

    #[test]
    fn lists_fill_lines() {
        let sizes = [
            size_of::<Sorted<6, 8>>(),
            size_of::<Lines<12, 16>>(),
            size_of::<Lines<24, 32>>(),
        ];
        assert_eq!(sizes, [32, 64, 128]);
    }
}
