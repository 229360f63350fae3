//! Many values of one type that refer to each other by number.
//!
//! They are in one piece, so that a number is an address but for one addition: a lookup follows a
//! dozen of them. It grows by a quarter, at the price of a copy, so that a large one has little to
//! spare. Places are used again, but their memory is kept until the whole is dropped.

use std::ops::{Index, IndexMut};

/// Values and their places.
#[derive(Debug)]
pub(super) struct Arena<T> {
    values: Vec<T>,
    /// Places without a value, to be used again.
    free: Vec<u32>,
}

impl<T: Default> Arena<T> {
    pub(super) const fn new() -> Self {
        Arena {
            values: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Keeps a value: its place.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self[place] = value;
            return place;
        }
        let len = self.values.len();
        if len == self.values.capacity() {
            self.values.reserve_exact((len / 4).max(4));
        }
        self.values.push(value);
        u32::try_from(len).expect("fewer than 2^32 values")
    }

    /// Takes a value out; its place is given to another one.
    pub(super) fn remove(&mut self, place: u32) -> T {
        self.free.push(place);
        std::mem::take(&mut self[place])
    }

    /// Heap held, without what the values hold.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }

    /// All values, also those of free places, which are default.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }
}

impl<T> Index<u32> for Arena<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: u32) -> &T {
        &self.values[place as usize]
    }
}

impl<T> IndexMut<u32> for Arena<T> {
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.values[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_used_again() {
        let mut arena = Arena::new();
        let places: Vec<u32> = (0..1000).map(|n| arena.insert(n)).collect();
        assert!(places.iter().all(|&place| arena[place] == place));
        for &place in places.iter().step_by(3) {
            assert_eq!(arena.remove(place), place);
        }
        for _ in places.iter().step_by(3) {
            let place = arena.insert(7);
            assert!(place % 3 == 0 && arena[place] == 7);
        }
        assert_eq!(arena.iter().count(), places.len());
    }
}
