//! The double of a ring with one producer and one consumer.
//!
//! Each side knows the other's place as it was when it last looked, and looks again only when that
//! does not do: as in the original, this is all that orders one side's steps before the other's.
//! The places themselves are invisible to the model: between two looks only one side uses each.

use std::sync::{Arc, Mutex};

use crate::sync::{AtomicUsize, Ordering};

pub(crate) struct RingBuffer<T> {
    places: Vec<Mutex<Option<T>>>,
    /// Written by the consumer.
    head: AtomicUsize,
    /// Written by the producer.
    tail: AtomicUsize,
}

pub(crate) struct Producer<T> {
    ring: Arc<RingBuffer<T>>,
    head: std::cell::Cell<usize>,
    tail: usize,
}

pub(crate) struct Consumer<T> {
    ring: Arc<RingBuffer<T>>,
    head: usize,
    tail: usize,
}

/// There is no room, or nothing.
#[derive(Debug)]
pub(crate) struct Refused;

impl<T> RingBuffer<T> {
    #[allow(clippy::new_ret_no_self, reason = "as the original")]
    pub(crate) fn new(places: usize) -> (Producer<T>, Consumer<T>) {
        let ring = Arc::new(RingBuffer {
            places: (0..places).map(|_| Mutex::new(None)).collect(),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
        });
        let producer = Producer {
            ring: ring.clone(),
            head: 0.into(),
            tail: 0,
        };
        let consumer = Consumer {
            ring,
            head: 0,
            tail: 0,
        };
        (producer, consumer)
    }

    fn place(&self, at: usize) -> std::sync::MutexGuard<'_, Option<T>> {
        self.places[at % self.places.len()].lock().unwrap()
    }
}

impl<T> Producer<T> {
    pub(crate) fn cached_slots(&self) -> usize {
        self.ring.places.len() - (self.tail - self.head.get())
    }

    pub(crate) fn slots(&self) -> usize {
        self.head.set(self.ring.head.load(Ordering::Acquire));
        self.cached_slots()
    }

    pub(crate) fn push(&mut self, value: T) -> Result<(), Refused> {
        self.write_chunk_uninit(1)?
            .fill_from_iter(std::iter::once(value));
        Ok(())
    }

    pub(crate) fn write_chunk_uninit(&mut self, n: usize) -> Result<Chunk<'_, T>, Refused> {
        match self.cached_slots() < n && self.slots() < n {
            true => Err(Refused),
            false => Ok(Chunk(self, n)),
        }
    }
}

pub(crate) struct Chunk<'a, T>(&'a mut Producer<T>, usize);

impl<T> Chunk<'_, T> {
    pub(crate) fn fill_from_iter(self, values: impl IntoIterator<Item = T>) -> usize {
        let Chunk(producer, n) = self;
        let mut filled = 0;
        for value in values.into_iter().take(n) {
            let old = producer.ring.place(producer.tail + filled).replace(value);
            assert!(old.is_none(), "a place that is in use");
            filled += 1;
        }
        producer.tail += filled;
        producer.ring.tail.store(producer.tail, Ordering::Release);
        filled
    }
}

impl<T> Consumer<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.ring.tail.load(Ordering::Acquire)
    }

    pub(crate) fn pop(&mut self) -> Result<T, Refused> {
        if self.head == self.tail {
            self.tail = self.ring.tail.load(Ordering::Acquire);
            if self.head == self.tail {
                return Err(Refused);
            }
        }
        let value = self.ring.place(self.head).take();
        self.head += 1;
        self.ring.head.store(self.head, Ordering::Release);
        Ok(value.expect("a place that was filled"))
    }
}
