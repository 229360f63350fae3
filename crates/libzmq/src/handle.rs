//! What C programs hold as `void *`: objects with a tag in front.
//!
//! The memory of a handle is never given back to the system: a closed handle waits, its tag gone, to
//! be used for the next object of its kind, the one that has waited longest first. So a program that
//! uses a socket after closing it, or passes a context for a socket, is told so and not crashed.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// The tag of a handle whose object is gone.
const GONE: u32 = 0;

/// An object behind its tag.
#[repr(C)]
struct Slot<T> {
    /// `T::TAG` while `value` is there. Written by `give` (after the value) and `take` (before it goes);
    /// read by `get`.
    tag: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// A kind of object that is handed out.
pub(crate) trait Object: Sized + 'static {
    /// Tells it from other kinds; not [`GONE`].
    const TAG: u32;
    /// The closed handles of this kind.
    fn spare() -> &'static Spare<Self>;
}

/// Handles to be used again.
pub(crate) struct Spare<T>(Mutex<VecDeque<usize>>, PhantomData<fn() -> T>);

impl<T> Spare<T> {
    pub(crate) const fn new() -> Self {
        Spare(Mutex::new(VecDeque::new()), PhantomData)
    }
}

/// Hands an object out.
pub(crate) fn give<T: Object>(object: T) -> *mut c_void {
    let spare = T::spare().0.lock().pop_front();
    let slot: &'static Slot<T> = match spare {
        // SAFETY: only addresses of leaked slots of this type are put there, once each, by `take`.
        Some(address) => unsafe { &*(address as *const Slot<T>) },
        None => Box::leak(Box::new(Slot {
            tag: AtomicU32::new(GONE),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        })),
    };
    // SAFETY: without its tag nobody reads the slot, and it was in the queue once: it is ours alone.
    unsafe { (*slot.value.get()).write(object) };
    slot.tag.store(T::TAG, Ordering::Release);
    std::ptr::from_ref(slot).cast_mut().cast()
}

/// The object behind a handle; `None` for null, for a closed handle and for one of another kind.
///
/// # Safety
/// The pointer obeys the crate's contract, and the object is not taken while the reference is used.
pub(crate) unsafe fn get<'a, T: Object>(handle: *mut c_void) -> Option<&'a T> {
    if handle.is_null() || !handle.cast::<Slot<T>>().is_aligned() {
        return None;
    }
    // SAFETY: every object that a program has from this library begins with a tag of four bytes.
    let tag = unsafe { &*handle.cast::<AtomicU32>() };
    if tag.load(Ordering::Acquire) != T::TAG {
        return None;
    }
    // SAFETY: the tag says that this is a slot of this kind with its object in place.
    Some(unsafe { (*(*handle.cast::<Slot<T>>()).value.get()).assume_init_ref() })
}

/// Takes an object back from its handle.
///
/// # Safety
/// As [`get`]; nobody uses the object any more.
pub(crate) unsafe fn take<T: Object>(handle: *mut c_void) -> Option<T> {
    // SAFETY: passed on to the caller.
    unsafe { get::<T>(handle)? };
    // SAFETY: it is a slot of this kind, and slots are for ever.
    let slot = unsafe { &*handle.cast::<Slot<T>>() };
    // Of two that take it at once, one gets it.
    slot.tag
        .compare_exchange(T::TAG, GONE, Ordering::AcqRel, Ordering::Relaxed)
        .ok()?;
    // SAFETY: the tag was there, so was the object; the exchange made it ours alone.
    let object = unsafe { (*slot.value.get()).assume_init_read() };
    T::spare().0.lock().push_back(handle as usize);
    Some(object)
}

/// Makes a type one that is handed out.
macro_rules! object {
    ($type:ty, $tag:expr) => {
        impl $crate::handle::Object for $type {
            const TAG: u32 = u32::from_ne_bytes(*$tag);
            fn spare() -> &'static $crate::handle::Spare<Self> {
                static SPARE: $crate::handle::Spare<$type> = $crate::handle::Spare::new();
                &SPARE
            }
        }
    };
}
pub(crate) use object;

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u32);
    object!(Thing, b"thng");
    struct Other;
    object!(Other, b"othr");

    #[test]
    fn a_handle_is_known_by_its_tag_until_it_is_closed() {
        let (thing, other) = (give(Thing(7)), give(Other));
        // SAFETY: the handles are from `give`, or null.
        unsafe {
            assert_eq!(get::<Thing>(thing).map(|thing| thing.0), Some(7));
            assert!(get::<Thing>(other).is_none());
            assert!(get::<Thing>(std::ptr::null_mut()).is_none());
            assert_eq!(take::<Thing>(thing).map(|thing| thing.0), Some(7));
            assert!(get::<Thing>(thing).is_none() && take::<Thing>(thing).is_none());
            let again = give(Thing(8));
            assert_eq!(again, thing, "the handle is used again");
            assert!(take::<Thing>(again).is_some() && take::<Other>(other).is_some());
        }
    }
}
