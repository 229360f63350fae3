//! The memory of bodies that the application has copied: too long for a frame, too short to be handed
//! on uncopied.
//!
//! Over inproc such a body is copied by one thread and let go of by another. Allocators make the two wait
//! for each other: glibc's took 300 ns for each kibibyte that two threads sent and received, and takes a
//! third of that in one. So each thread keeps some memory that it was done with, and leaves what it has
//! too much of for the threads that have too little. Who lets go of a body does not look at its memory,
//! which is in the cache of the thread that will use it again.
//!
//! This is memory and nothing else: it belongs to no context, and how much is kept is bounded. What the
//! engine itself reads and lets go of in one thread is not here: the allocator is as fast for that.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::buffer::LARGE;

/// The shortest piece of memory; each size is twice the one before, and the last is [`LARGE`].
const SHORTEST: usize = 128;
const SIZES: usize = (LARGE / SHORTEST).ilog2() as usize + 1;

/// The most bytes of one size that change hands at once. A thread keeps twice that.
const PORTION: usize = 32 * 1024;

/// The most bytes of one size that nobody has: what an inproc pipe holds of 1 KiB with the high-water
/// marks as they come, for a receiver may take all of it before the sender goes on.
const DEPOT: usize = 2 * 1024 * 1024;

/// Of each size, what is left for whoever needs it. Nobody waits for it: who finds it in use does without
/// (as does a process that was forked while a thread, which it does not have, used it).
static LEFT: [Mutex<Vec<Arc<[u8]>>>; SIZES] = [const { Mutex::new(Vec::new()) }; SIZES];

thread_local! {
    /// Of each size, what this thread keeps.
    static KEPT: RefCell<[Vec<Arc<[u8]>>; SIZES]> = const { RefCell::new([const { Vec::new() }; SIZES]) };
}

/// A body of less than [`LARGE`] bytes. A clone shares its memory.
pub(crate) struct Body {
    len: usize,
    /// There until the body goes.
    memory: Option<Arc<[u8]>>,
    /// It was cloned, or is a clone: others may have its memory. Set by whoever clones, read when it goes.
    cloned: AtomicBool,
}

impl Body {
    /// A copy of `bytes`, which are fewer than [`LARGE`].
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let size = size(bytes.len());
        let kept = KEPT.try_with(|kept| take(&mut kept.borrow_mut()[size], size));
        let mut memory = kept.ok().flatten().unwrap_or_else(|| fresh(size));
        match Arc::get_mut(&mut memory) {
            Some(memory) => memory[..bytes.len()].copy_from_slice(bytes),
            None => unreachable!("nobody else has what is kept"),
        }
        Body {
            len: bytes.len(),
            memory: Some(memory),
            cloned: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        self.cloned.store(true, Ordering::Relaxed);
        Body {
            len: self.len,
            memory: self.memory.clone(),
            cloned: AtomicBool::new(true),
        }
    }
}

impl AsRef<[u8]> for Body {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory[..self.len],
            None => &[],
        }
    }
}

impl Drop for Body {
    // Every frame may have one, and most have none: not where frames go.
    #[inline(never)]
    fn drop(&mut self) {
        let cloned = *self.cloned.get_mut();
        let last = |memory: &mut Arc<[u8]>| !cloned || Arc::get_mut(memory).is_some();
        if let Some(memory) = self.memory.take_if(last) {
            let size = size(self.len);
            let _ = KEPT.try_with(|kept| keep(&mut kept.borrow_mut()[size], size, memory));
        }
    }
}

/// Which size has room for so many bytes.
fn size(len: usize) -> usize {
    len.div_ceil(SHORTEST).next_power_of_two().ilog2() as usize
}

fn bytes(size: usize) -> usize {
    SHORTEST << size
}

#[cold]
fn fresh(size: usize) -> Arc<[u8]> {
    std::iter::repeat_n(0, bytes(size)).collect()
}

fn take(kept: &mut Vec<Arc<[u8]>>, size: usize) -> Option<Arc<[u8]>> {
    if kept.is_empty()
        && let Some(mut left) = LEFT[size].try_lock()
    {
        let rest = left.len().saturating_sub(PORTION / bytes(size));
        kept.extend(left.drain(rest..));
    }
    kept.pop()
}

fn keep(kept: &mut Vec<Arc<[u8]>>, size: usize, memory: Arc<[u8]>) {
    let portion = PORTION / bytes(size);
    if kept.len() == 2 * portion {
        let surplus = kept.drain(portion..);
        if let Some(mut left) = LEFT[size].try_lock() {
            let room = (DEPOT / bytes(size)).saturating_sub(left.len());
            left.extend(surplus.take(room));
        }
    }
    kept.push(memory);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn kept(size: usize) -> usize {
        KEPT.with_borrow(|kept| kept[size].len())
    }

    #[test]
    fn every_length_has_the_shortest_memory_that_has_room() {
        for (len, expected) in [(0, 128), (1, 128), (128, 128), (129, 256), (1024, 1024)] {
            assert_eq!(bytes(size(len)), expected, "{len}");
        }
        assert_eq!(bytes(size(LARGE - 1)), bytes(SIZES - 1));
    }

    #[test]
    fn memory_that_a_clone_has_is_not_used_again() {
        let size = size(3000);
        let body = Body::copy(&[1; 3000]);
        let (clone, before) = (body.clone(), kept(size));
        drop(body);
        assert_eq!(kept(size), before);
        let other = Body::copy(&[2; 3000]);
        assert_eq!(clone.as_ref(), [1; 3000]);
        let before = kept(size);
        drop(clone);
        assert_eq!(kept(size), before + 1);
        let third = Body::copy(&[3; 2500]);
        assert_eq!(kept(size), before);
        assert_eq!(
            (other.as_ref(), third.as_ref()),
            (&[2; 3000][..], &[3; 2500][..])
        );
    }

    #[test]
    fn what_one_thread_has_too_much_of_another_uses_and_no_more_is_kept_than_said() {
        let size = size(5000);
        let portion = PORTION / bytes(size);
        let bodies: Vec<_> = (0..2 * DEPOT / bytes(size))
            .map(|_| Body::copy(&[7; 5000]))
            .collect();
        let address = |body: &Body| body.as_ref().as_ptr() as usize;
        let addresses: HashSet<_> = bodies.iter().map(address).collect();
        // They go in a thread of their own, which stays until another has made new ones.
        let (gone, all_gone) = channel();
        let (done, all_done) = channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                drop(bodies);
                assert!((1..=2 * portion).contains(&kept(size)));
                assert!((1..=DEPOT / bytes(size)).contains(&LEFT[size].lock().len()));
                gone.send(()).unwrap();
                all_done.recv().unwrap_err();
            });
            scope.spawn(move || {
                all_gone.recv().unwrap();
                let again: Vec<_> = (0..portion).map(|_| Body::copy(&[8; 5000])).collect();
                assert!(again.iter().any(|body| addresses.contains(&address(body))));
                drop(done);
            });
        });
    }
}
