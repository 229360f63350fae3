//! The memory of large bodies: those that are read into an allocation of their own, and copies as large.
//!
//! What was let go of is used again, newest first, for it is in the cache. An allocator may return it to the system
//! instead and have it anew, page by page: glibc's does so beyond 128 KiB at the end of its heap, so that of
//! two processes that received 64 KiB alike one had 120 k/s and the other 25, as the heap happened to lie.
//!
//! As the memory of [shorter bodies](crate::body) it belongs to no context, and how much is kept is bounded.

use std::collections::{TryReserveError, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

/// The longest memory that is kept.
pub(crate) const LONGEST: usize = 1 << 20;

/// The most bytes that nobody has.
const DEPOT: usize = 4 * LONGEST;

/// What nobody has. Nobody waits for it: who finds it in use does without (as does a process that was
/// forked while a thread, which it does not have, used it).
static LEFT: Mutex<Left> = Mutex::new(Left::new());

/// Memory that was let go of, the oldest first.
struct Left {
    memory: VecDeque<Vec<u8>>,
    /// Invariant: the lengths of `memory`.
    bytes: usize,
}

impl Left {
    const fn new() -> Self {
        Left {
            memory: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The newest that has room for `len` bytes, and for no more than twice as many.
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |memory: &Vec<u8>| (len..=2 * len).contains(&memory.len());
        let place = self.memory.iter().rposition(fits)?;
        let memory = self.memory.remove(place)?;
        self.bytes -= memory.len();
        Some(memory)
    }

    /// Keeps it, and of the oldest as much less as has to be: these are to be freed, which can take long.
    fn keep(&mut self, memory: Vec<u8>) -> Vec<Vec<u8>> {
        self.bytes += memory.len();
        self.memory.push_back(memory);
        let mut old = 0;
        while self.bytes > DEPOT {
            self.bytes -= self.memory[old].len();
            old += 1;
        }
        self.memory.drain(..old).collect()
    }
}

/// At least `len` bytes of anything, which nobody had.
pub(crate) fn kept(len: usize) -> Option<Vec<u8>> {
    match len {
        ..=LONGEST => LEFT.try_lock()?.take(len),
        _ => None,
    }
}

/// New memory of `len` bytes.
pub(crate) fn fresh(len: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(len)?;
    memory.resize(len, 0);
    Ok(memory)
}

/// The first `len` bytes of `memory`, which is kept once nobody has them any more.
pub(crate) fn shared(mut memory: Vec<u8>, len: usize) -> Bytes {
    if memory.len() <= LONGEST {
        return Bytes::from_owner(Large { memory, len });
    }
    memory.truncate(len);
    memory.into()
}

/// A copy of `body`.
pub(crate) fn copy(body: &[u8]) -> Bytes {
    let len = body.len();
    match len {
        ..=LONGEST => {
            let mut memory = kept(len).unwrap_or_else(|| vec![0; len]);
            memory[..len].copy_from_slice(body);
            shared(memory, len)
        }
        _ => Bytes::copy_from_slice(body),
    }
}

struct Large {
    memory: Vec<u8>,
    len: usize,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if let Some(mut left) = LEFT.try_lock() {
            let old = left.keep(memory);
            drop(left);
            drop(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(len: usize) -> Vec<u8> {
        vec![0; len]
    }

    #[test]
    fn the_newest_that_fits_is_taken() {
        let mut left = Left::new();
        let [first, second, small] = [room(1000), room(1000), room(999)];
        let at = [first.as_ptr(), second.as_ptr()];
        for memory in [first, second, small] {
            assert!(left.keep(memory).is_empty());
        }
        let mut take = |len| left.take(len).map(|memory| memory.as_ptr());
        assert_eq!(take(1001), None, "none has room");
        assert_eq!(take(499), None, "much more than that");
        assert_eq!(take(1000), Some(at[1]));
        assert_eq!(take(1000), Some(at[0]));
        assert_eq!(take(1000), None);
        assert_eq!(left.bytes, 999);
    }

    #[test]
    fn no_more_is_kept_than_said_and_the_oldest_goes() {
        let mut left = Left::new();
        for _ in 0..4 {
            assert!(left.keep(room(LONGEST)).is_empty());
        }
        let gone = left.keep(room(LONGEST + 1));
        assert_eq!(gone.iter().map(Vec::len).sum::<usize>(), 2 * LONGEST);
        assert_eq!(left.bytes, 3 * LONGEST + 1);
        assert_eq!(left.keep(room(LONGEST / 2)).len(), 0);
        assert_eq!(left.keep(room(LONGEST / 2)).len(), 1);
    }

    #[test]
    fn what_the_last_lets_go_of_is_kept_and_nothing_before() {
        let is_kept = |at| LEFT.lock().memory.iter().any(|kept| kept.as_ptr() == at);
        // Another test may be looking at what is kept, so that this one does without.
        let kept = (0..1000).any(|_| {
            let body = copy(&[7; 70_000]);
            let (clone, at) = (body.slice(1..), body.as_ptr());
            drop(body);
            assert!(!is_kept(at));
            assert_eq!(clone, [7; 69_999][..]);
            drop(clone);
            is_kept(at)
        });
        assert!(kept);
        let long = copy(&vec![7; LONGEST + 1]);
        let at = long.as_ptr();
        drop(long);
        assert!(!is_kept(at));
    }

    #[test]
    fn a_body_is_as_long_as_said() {
        assert_eq!(shared(vec![7; 100], 60), [7; 60][..]);
        assert_eq!(shared(vec![7; LONGEST + 2], LONGEST + 1).len(), LONGEST + 1);
        assert_eq!(copy(&[]).len(), 0);
    }

    #[test]
    fn fresh_memory_is_zero_or_an_error() {
        assert_eq!(fresh(70_000), Ok(vec![0; 70_000]));
        fresh(usize::MAX).unwrap_err();
    }
}
