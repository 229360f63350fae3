//! A queue through the entries of a slab: in at either end, out of the middle, all in constant time.

use std::marker::PhantomData;

use slab::Slab;

/// Where an entry stands in a [`List`]. An entry has one of these for each list that it can be in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    prev: Option<usize>,
    next: Option<usize>,
    listed: bool,
}

impl Links {
    /// The entry behind this one.
    pub(super) fn next(&self) -> Option<usize> {
        self.next
    }

    /// Whether the entry is in the list.
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }
}

/// Chooses the links of an entry that a list goes by.
pub(super) trait Through<T> {
    fn links(entry: &mut T) -> &mut Links;
}

/// The entries in their order.
#[derive(Debug)]
pub(super) struct List<L> {
    head: Option<usize>,
    tail: Option<usize>,
    len: usize,
    through: PhantomData<L>,
}

impl<L> Default for List<L> {
    fn default() -> Self {
        List {
            head: None,
            tail: None,
            len: 0,
            through: PhantomData,
        }
    }
}

impl<L> List<L> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn front(&self) -> Option<usize> {
        self.head
    }

    pub(super) fn push_back<T>(&mut self, slab: &mut Slab<T>, index: usize)
    where
        L: Through<T>,
    {
        *L::links(&mut slab[index]) = Links {
            prev: self.tail,
            next: None,
            listed: true,
        };
        match self.tail.replace(index) {
            Some(tail) => L::links(&mut slab[tail]).next = Some(index),
            None => self.head = Some(index),
        }
        self.len += 1;
    }

    pub(super) fn push_front<T>(&mut self, slab: &mut Slab<T>, index: usize)
    where
        L: Through<T>,
    {
        *L::links(&mut slab[index]) = Links {
            prev: None,
            next: self.head,
            listed: true,
        };
        match self.head.replace(index) {
            Some(head) => L::links(&mut slab[head]).prev = Some(index),
            None => self.tail = Some(index),
        }
        self.len += 1;
    }

    pub(super) fn pop_front<T>(&mut self, slab: &mut Slab<T>) -> Option<usize>
    where
        L: Through<T>,
    {
        let head = self.head?;
        self.remove(slab, head);
        Some(head)
    }

    /// Takes an entry out, if it is in.
    pub(super) fn remove<T>(&mut self, slab: &mut Slab<T>, index: usize)
    where
        L: Through<T>,
    {
        let links = std::mem::take(L::links(&mut slab[index]));
        if !links.listed {
            return;
        }
        match links.prev {
            Some(prev) => L::links(&mut slab[prev]).next = links.next,
            None => self.head = links.next,
        }
        match links.next {
            Some(next) => L::links(&mut slab[next]).prev = links.prev,
            None => self.tail = links.prev,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Only;

    impl Through<Links> for Only {
        fn links(entry: &mut Links) -> &mut Links {
            entry
        }
    }

    #[test]
    fn order_is_kept_whoever_leaves() {
        let mut slab = Slab::new();
        let [a, b, c, d] = std::array::from_fn(|_| slab.insert(Links::default()));
        let mut list = List::<Only>::default();
        list.push_back(&mut slab, b);
        list.push_back(&mut slab, c);
        list.push_front(&mut slab, a);
        list.push_back(&mut slab, d);
        list.remove(&mut slab, b);
        list.remove(&mut slab, b);
        assert_eq!((list.len(), list.front()), (3, Some(a)));
        list.remove(&mut slab, d);
        list.push_front(&mut slab, d);
        let order: Vec<_> = std::iter::from_fn(|| list.pop_front(&mut slab)).collect();
        assert_eq!(order, [d, a, c]);
        assert_eq!((list.len(), list.front()), (0, None));
        list.push_back(&mut slab, b);
        assert_eq!(list.pop_front(&mut slab), Some(b));
    }
}
