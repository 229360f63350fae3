//! Runs of neighbouring values: the children of one trie node.
//!
//! All are in one piece and refer to each other by number, so that a number is an address but for
//! one addition. It grows by a quarter, at the price of a copy, so that a large one has little to
//! spare. A run has one of a few sizes; one that is given back is used again for another of its
//! size. What is in use can be moved together, once much is not.

use std::ops::{Index, IndexMut};

/// What a run has room for: the largest is one entry for each byte.
const ROOMS: [u16; 17] = [
    // Ten, for the digits.
    0, 1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256,
];

/// The size of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Size(u8);

/// Values in runs.
#[derive(Debug)]
pub(super) struct Runs<T> {
    values: Vec<T>,
    /// Where runs were that are to be used again, by size.
    free: [Vec<u32>; ROOMS.len()],
    /// How many values are in those.
    spare: usize,
}

/// With fewer values it does not matter how many are spare.
const LITTLE: usize = 1024;

impl Size {
    /// The smallest with room for so many.
    pub(super) fn of(len: usize) -> Size {
        let size = ROOMS.partition_point(|&room| usize::from(room) < len);
        Size(u8::try_from(size).expect("few sizes"))
    }

    pub(super) fn room(self) -> usize {
        ROOMS[usize::from(self.0)].into()
    }

    /// The size to which a run of this one is to shrink when so many are left in it. With the slack,
    /// one at a boundary does not change at every call.
    pub(super) fn shrunk(self, len: usize) -> Size {
        if len * 3 <= self.room() {
            Size::of(len + len / 2)
        } else {
            self
        }
    }
}

impl<T: Default> Runs<T> {
    pub(super) const fn new() -> Self {
        Runs {
            values: Vec::new(),
            free: [const { Vec::new() }; ROOMS.len()],
            spare: 0,
        }
    }

    /// None yet, with room for what is in use in others.
    pub(super) fn for_all_of(others: &Runs<T>) -> Self {
        let mut runs = Runs::new();
        runs.values.reserve_exact(others.len() - others.spare);
        runs
    }

    /// How many values there are in all, the spare ones too.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether most are spare.
    pub(super) fn is_sparse(&self) -> bool {
        self.len() > LITTLE && self.spare > self.len() / 2
    }

    /// A run of default values: where it begins.
    pub(super) fn take(&mut self, size: Size) -> u32 {
        if size.room() == 0 {
            return 0;
        }
        if let Some(start) = self.free[usize::from(size.0)].pop() {
            self.spare -= size.room();
            return start;
        }
        let start = self.values.len();
        let end = start + size.room();
        if end > self.values.capacity() {
            self.values.reserve_exact(size.room().max(start / 4));
        }
        self.values.resize_with(end, T::default);
        u32::try_from(start).expect("fewer than 2^32 values")
    }

    /// Gives a run back, the values of which are default again.
    pub(super) fn give_back(&mut self, start: u32, size: Size) {
        if size.room() > 0 {
            self.free[usize::from(size.0)].push(start);
            self.spare += size.room();
        }
    }

    /// Heap held, without what the values hold.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let free = self.free.iter().map(Vec::capacity).sum::<usize>();
        self.values.capacity() * size_of::<T>() + free * size_of::<u32>()
    }
}

impl<T> Index<u32> for Runs<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: u32) -> &T {
        &self.values[place as usize]
    }
}

impl<T> IndexMut<u32> for Runs<T> {
    #[inline]
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.values[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_kept_and_used_again() {
        let mut runs = Runs::new();
        let sizes = || (0..=256).map(Size::of);
        let starts: Vec<u32> = sizes().map(|size| runs.take(size)).collect();
        let all = || starts.iter().copied().zip(sizes());
        for (start, size) in all() {
            let places = start..start + size.room() as u32;
            places.for_each(|place| {
                assert_eq!(runs[place], 0, "runs overlap");
                runs[place] = place + 1;
            });
        }
        let total = runs.values.len();
        for (start, size) in all() {
            let places = start..start + size.room() as u32;
            places.for_each(|place| runs[place] = 0);
            runs.give_back(start, size);
        }
        assert!(runs.is_sparse());
        assert_eq!(runs.spare, total);
        for size in sizes() {
            runs.take(size);
        }
        assert!(!runs.is_sparse());
        assert_eq!((runs.spare, runs.len()), (0, total));
    }

    #[test]
    fn sizes_have_room_and_slack() {
        for len in 0..=256 {
            let size = Size::of(len);
            assert!(size.room() >= len && size.room() <= len + len / 2 + 1);
            for left in (0..=len).rev() {
                let smaller = size.shrunk(left);
                assert!(smaller.room() >= left && smaller <= size);
                assert!(smaller == size || smaller.room() * 2 <= size.room() + 2);
            }
        }
        assert_eq!(Size::of(5).shrunk(0), Size::default());
    }
}
