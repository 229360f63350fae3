//! The primitives that `signal` and `channel` are made of.
//!
//! They are named in one place so that `tests/model.rs` can compile those two files against
//! model-checked doubles of the same names. A mutex is `parking_lot`'s, without poisoning; a
//! ring has one producer and one consumer.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

pub(crate) use parking_lot::Mutex;
pub(crate) use rtrb::{Consumer, Producer, RingBuffer};
