//! `zmq_msg_t`: 64 bytes that hold a frame in one of four ways.
//!
//! | kind | body | may be shared |
//! |---|---|---|
//! | inline | up to 40 bytes, in the message itself | no: copies are copies |
//! | owned | a buffer for the program to fill (`zmq_msg_init_size`) | becomes shared when it is copied |
//! | shared | a counted buffer: received, or the program's own with its free function | yes |
//! | constant | the program's own, which outlives the message | yes |
//!
//! Sending turns a message into a [`Frame`] and leaves an empty one; no kind but inline and short ones
//! is copied on the way. This file is the only one that knows the layout.

use std::alloc::{Layout, alloc_zeroed};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use xebec::{Frame, Message, PeerInfo};

use crate::call::{bytes, call, status, text};
use crate::errno::Errno;

/// The longest body that is kept inside a message.
const INLINE: usize = 40;

/// The longest group name (RFC 48).
const MAX_GROUP: usize = 255;

/// `ZMQ_MORE`, `ZMQ_SRCFD` and `ZMQ_SHARED` of `zmq_msg_get`.
const MORE: c_int = 1;
const SRCFD: c_int = 2;
const SHARED: c_int = 3;

/// What frees a program's own buffer (`zmq_free_fn`).
#[allow(non_camel_case_types, reason = "the name that C has for it")]
pub type zmq_free_fn = unsafe extern "C" fn(data: *mut c_void, hint: *mut c_void);

/// A message, as C programs see it: opaque.
#[allow(non_camel_case_types, reason = "the name that C has for it")]
#[repr(C, align(8))]
pub struct zmq_msg_t([MaybeUninit<u8>; 64]);

const _: () = assert!(size_of::<Content>() == size_of::<zmq_msg_t>());
const _: () = assert!(align_of::<Content>() == align_of::<zmq_msg_t>());

/// How the body is held. The numbers are unlikely in memory that was never set up, so that such a
/// message is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Kind(u8);

impl Kind {
    const CLOSED: Kind = Kind(0);
    const INLINE: Kind = Kind(0xb1);
    const OWNED: Kind = Kind(0xb2);
    const SHARED: Kind = Kind(0xb3);
    const CONSTANT: Kind = Kind(0xb4);
}

#[derive(Clone, Copy)]
struct Constant {
    data: *const u8,
    len: usize,
}

#[repr(C)]
union Body {
    inline: [u8; INLINE],
    owned: ManuallyDrop<Vec<u8>>,
    shared: ManuallyDrop<Bytes>,
    constant: Constant,
}

/// What a `zmq_msg_t` holds. Invariant: `kind` says which field of `body` is there.
#[repr(C)]
pub(crate) struct Content {
    body: Body,
    /// The peer that it was received from.
    peer: Option<Arc<PeerInfo>>,
    group: Option<Box<CString>>,
    routing_id: u32,
    kind: Kind,
    /// The length of an inline body.
    len: u8,
    more: bool,
    /// It was copied, or is a copy.
    copied: bool,
}

impl Content {
    const EMPTY: Content = Content::of(
        Kind::INLINE,
        Body {
            inline: [0; INLINE],
        },
        0,
    );

    /// `kind` says which field of `body` is there; `len` is for inline ones.
    const fn of(kind: Kind, body: Body, len: u8) -> Content {
        Content {
            body,
            peer: None,
            group: None,
            routing_id: 0,
            kind,
            len,
            more: false,
            copied: false,
        }
    }

    fn inline(body: &[u8]) -> Content {
        let mut inline = [0; INLINE];
        inline[..body.len()].copy_from_slice(body);
        Content::of(Kind::INLINE, Body { inline }, body.len() as u8)
    }

    fn shared(body: Bytes) -> Content {
        let shared = ManuallyDrop::new(body);
        Content::of(Kind::SHARED, Body { shared }, 0)
    }

    fn owned(body: Vec<u8>) -> Content {
        let owned = ManuallyDrop::new(body);
        Content::of(Kind::OWNED, Body { owned }, 0)
    }

    /// A message of `len` zero bytes for the program to fill.
    fn with_size(len: usize) -> Result<Content, Errno> {
        if len <= INLINE {
            return Ok(Content::inline(&[0; INLINE][..len]));
        }
        let layout = Layout::array::<u8>(len).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: the length is not zero.
        let data = unsafe { alloc_zeroed(layout) };
        if data.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: allocated here as `Vec` allocates, and all of it is set.
        Ok(Content::owned(unsafe {
            Vec::from_raw_parts(data, len, len)
        }))
    }

    /// The body as it is now.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `kind` says which field is there; a constant outlives the message by contract.
        unsafe {
            match self.kind {
                Kind::INLINE => &self.body.inline[..usize::from(self.len)],
                Kind::OWNED => &self.body.owned,
                Kind::SHARED => &self.body.shared,
                Kind::CONSTANT if self.body.constant.len > 0 => {
                    let Constant { data, len } = self.body.constant;
                    std::slice::from_raw_parts(data, len)
                }
                _ => &[],
            }
        }
    }

    /// Where the body is. C has no word for memory that may only be read: a shared body must not be
    /// written to, which is the program's to know.
    fn data(&mut self) -> *mut u8 {
        // SAFETY: `kind` says which field is there.
        unsafe {
            match self.kind {
                Kind::INLINE => (&raw mut self.body.inline).cast(),
                Kind::OWNED => (*self.body.owned).as_mut_ptr(),
                _ => self.bytes().as_ptr().cast_mut(),
            }
        }
    }

    /// The body as a frame to send; the message is empty from then on.
    fn take_frame(&mut self) -> Frame {
        let mut taken = std::mem::replace(self, Content::EMPTY);
        let kind = std::mem::replace(&mut taken.kind, Kind::CLOSED);
        // SAFETY: `kind` says which field is there, and `taken` does not drop it any more.
        unsafe {
            match kind {
                Kind::INLINE => {
                    Frame::copy_from_slice(&taken.body.inline[..usize::from(taken.len)])
                }
                Kind::OWNED => Frame::from(ManuallyDrop::take(&mut taken.body.owned)),
                Kind::SHARED => Frame::from(ManuallyDrop::take(&mut taken.body.shared)),
                _ => {
                    let Constant { data, len } = taken.body.constant;
                    match len {
                        0 => Frame::new(),
                        _ => Frame::from_static(std::slice::from_raw_parts(data, len)),
                    }
                }
            }
        }
    }

    /// The body as a message to send, with its address if it has one; this one is empty from then on.
    pub(crate) fn take(&mut self) -> Message {
        let (routing_id, group) = (self.routing_id, self.group.take());
        let message = Message::from(self.take_frame()).with_routing_id(routing_id);
        match group {
            None => message,
            Some(group) => message.with_group(group.as_bytes()),
        }
    }

    /// Puts in what [`take`](Self::take) took, or a received frame with its address.
    pub(crate) fn put(&mut self, message: Message, more: bool, peer: Option<Arc<PeerInfo>>) {
        let routing_id = message.routing_id().unwrap_or(0);
        let group = message.group().map(|group| {
            let end = group.iter().position(|&byte| byte == 0);
            Box::new(CString::new(&group[..end.unwrap_or(group.len())]).unwrap_or_default())
        });
        let (frame, _) = message.split_first();
        self.put_frame(frame, more, peer);
        (self.routing_id, self.group) = (routing_id, group);
    }

    fn put_frame(&mut self, frame: Frame, more: bool, peer: Option<Arc<PeerInfo>>) {
        *self = match frame.len() {
            0..=INLINE => Content::inline(&frame),
            _ => Content::shared(frame.into_bytes()),
        };
        self.more = more;
        self.peer = peer;
    }

    /// Another message with the same body.
    fn copy(&mut self) -> Content {
        if self.kind == Kind::OWNED {
            // SAFETY: `kind` says that the field is there; it is replaced at once.
            let body = unsafe { ManuallyDrop::take(&mut self.body.owned) };
            // The bytes stay where they are.
            self.body.shared = ManuallyDrop::new(body.into());
            self.kind = Kind::SHARED;
        }
        self.copied = self.kind != Kind::INLINE;
        // SAFETY: `kind` says which field is there.
        let body = unsafe {
            match self.kind {
                Kind::INLINE => Body {
                    inline: self.body.inline,
                },
                Kind::SHARED => Body {
                    shared: self.body.shared.clone(),
                },
                _ => Body {
                    constant: self.body.constant,
                },
            }
        };
        let mut copy = Content::of(self.kind, body, self.len);
        copy.peer = self.peer.clone();
        copy.group = self.group.clone();
        copy.routing_id = self.routing_id;
        (copy.more, copy.copied) = (self.more, self.copied);
        copy
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // SAFETY: `kind` says which field is there, and nothing uses it after this.
        unsafe {
            match self.kind {
                Kind::OWNED => ManuallyDrop::drop(&mut self.body.owned),
                Kind::SHARED => ManuallyDrop::drop(&mut self.body.shared),
                _ => {}
            }
        }
        self.kind = Kind::CLOSED;
    }
}

/// A message that was set up and not closed.
///
/// # Safety
/// `message` obeys the crate's contract, and nobody else uses it meanwhile.
pub(crate) unsafe fn content<'a>(message: *mut zmq_msg_t) -> Result<&'a mut Content, Errno> {
    if message.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: only the byte that tells the kind is read before it is known to be right; all bit
    // patterns are valid for it.
    let kind = unsafe { (&raw const (*message.cast::<Content>()).kind).read() };
    match kind {
        Kind::INLINE | Kind::OWNED | Kind::SHARED | Kind::CONSTANT => {
            // SAFETY: the kind says that the message was set up here.
            Ok(unsafe { &mut *message.cast::<Content>() })
        }
        _ => Err(Errno::EFAULT),
    }
}

/// Sets a message up, over whatever was there.
///
/// # Safety
/// `message` is null or points to room for one.
unsafe fn init(message: *mut zmq_msg_t, content: Content) -> Result<(), Errno> {
    if message.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: there is room; what was there is not a message, or one that the program forgets.
    unsafe { message.cast::<Content>().write(content) };
    Ok(())
}

/// A program's buffer with its free function, which is called when the last of those who share it is
/// done, from whatever thread that is.
struct Lent {
    data: *mut c_void,
    len: usize,
    free: zmq_free_fn,
    hint: *mut c_void,
}

// SAFETY: `zmq_msg_init_data` gives the buffer to the library, to read and free from any thread.
unsafe impl Send for Lent {}
// SAFETY: as above; it is only read.
unsafe impl Sync for Lent {}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        match self.len {
            0 => &[],
            // SAFETY: the program gave so many bytes, until `free` is called.
            len => unsafe { std::slice::from_raw_parts(self.data.cast(), len) },
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: the program gave the function for this, and it is called this once.
        unsafe { (self.free)(self.data, self.hint) };
    }
}

/// Sets up an empty message.
///
/// # Safety
/// `message` points to room for one that holds none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init(message: *mut zmq_msg_t) -> c_int {
    // SAFETY: passed on to the caller.
    status(|| unsafe { init(message, Content::EMPTY) })
}

/// Sets up a message with room for `size` bytes, all zero; ENOMEM if there is no memory for them.
///
/// # Safety
/// `message` points to room for one that holds none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_size(message: *mut zmq_msg_t, size: usize) -> c_int {
    // SAFETY: passed on to the caller.
    status(|| unsafe { init(message, Content::with_size(size)?) })
}

/// Sets up a message with a copy of a buffer; ENOMEM if there is no memory for it.
///
/// # Safety
/// `message` points to room for one that holds none, `buffer` to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_buffer(
    message: *mut zmq_msg_t,
    buffer: *const c_void,
    size: usize,
) -> c_int {
    status(|| {
        let mut content = Content::with_size(size)?;
        // SAFETY: passed on to the caller; the new message has room for `size` bytes.
        unsafe {
            let body = bytes(buffer, size)?;
            ptr::copy_nonoverlapping(body.as_ptr(), content.data(), size);
            init(message, content)
        }
    })
}

/// Sets up a message over a buffer of the program's own. `free`, if given, is called once when nobody
/// needs it any more, from whatever thread; without it the buffer must outlive everything.
///
/// # Safety
/// `message` points to room for one that holds none, `data` to `size` bytes that stay as they are until
/// `free` is called, which may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_init_data(
    message: *mut zmq_msg_t,
    data: *mut c_void,
    size: usize,
    free: Option<zmq_free_fn>,
    hint: *mut c_void,
) -> c_int {
    status(|| {
        if data.is_null() && size > 0 {
            return Err(Errno::EFAULT);
        }
        let content = match free {
            Some(free) => Content::shared(Bytes::from_owner(Lent {
                data,
                len: size,
                free,
                hint,
            })),
            None => {
                let constant = Constant {
                    data: data.cast_const().cast(),
                    len: size,
                };
                Content::of(Kind::CONSTANT, Body { constant }, 0)
            }
        };
        // SAFETY: passed on to the caller.
        unsafe { init(message, content) }
    })
}

/// Gives up a message's body; EFAULT if it was closed before or never set up.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_close(message: *mut zmq_msg_t) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller; a dropped content is marked closed.
        unsafe { ptr::drop_in_place(content(message)?) };
        Ok(())
    })
}

/// Moves the body of `source` to `target`, whose own is given up; `source` is empty then.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_move(target: *mut zmq_msg_t, source: *mut zmq_msg_t) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller; the two borrows end before the next begins.
        unsafe {
            content(target)?;
            let moved = std::mem::replace(content(source)?, Content::EMPTY);
            *content(target)? = moved;
        }
        Ok(())
    })
}

/// Makes `target`, whose own body is given up, a message with the body of `source`; a long one is
/// shared, not copied.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_copy(target: *mut zmq_msg_t, source: *mut zmq_msg_t) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller; the two borrows end before the next begins.
        unsafe {
            content(target)?;
            let copy = content(source)?.copy();
            *content(target)? = copy;
        }
        Ok(())
    })
}

/// Where the body is; it stays there until the message is changed, sent or closed.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_data(message: *mut zmq_msg_t) -> *mut c_void {
    call(ptr::null_mut(), || {
        // SAFETY: passed on to the caller.
        Ok(unsafe { content(message)? }.data().cast())
    })
}

/// The length of the body in bytes.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_size(message: *const zmq_msg_t) -> usize {
    call(0, || {
        // SAFETY: passed on to the caller; it is only read.
        Ok(unsafe { content(message.cast_mut())? }.bytes().len())
    })
}

/// Whether another frame of the same message follows a received one.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_more(message: *const zmq_msg_t) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_msg_get(message, MORE) }
}

/// A property of a message that is a number: `ZMQ_MORE`, `ZMQ_SHARED`, `ZMQ_SRCFD`; EINVAL for others.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_get(message: *const zmq_msg_t, property: c_int) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller; it is only read.
        let content = unsafe { content(message.cast_mut())? };
        match property {
            MORE => Ok(content.more.into()),
            SHARED => Ok((content.copied || content.kind == Kind::CONSTANT).into()),
            SRCFD => {
                let peer = content.peer.as_ref().ok_or(Errno::EINVAL)?;
                peer.descriptor().ok_or(Errno::EINVAL)
            }
            _ => Err(Errno::EINVAL),
        }
    })
}

/// No property can be set (EINVAL).
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set(_: *mut zmq_msg_t, _: c_int, _: c_int) -> c_int {
    status(|| Err(Errno::EINVAL))
}

/// A property of a received message that is a text, such as `Socket-Type`, `Routing-Id`,
/// `Peer-Address`, `User-Id` or what the peer tells in METADATA; null and EINVAL if it has none of this
/// name. The text lives as long as the message.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_gets(
    message: *const zmq_msg_t,
    property: *const c_char,
) -> *const c_char {
    call(ptr::null(), || {
        // SAFETY: passed on to the caller; the message is only read.
        let (content, property) = unsafe { (content(message.cast_mut())?, text(property)?) };
        let peer = content.peer.as_ref().ok_or(Errno::EINVAL)?;
        let value = peer.property(property).ok_or(Errno::EINVAL)?;
        let texts: Arc<Texts> = peer.rendered(Texts::default);
        let mut texts = texts.lock();
        let text = texts.entry(property.to_owned()).or_insert_with(|| {
            // A value with a zero byte ends there, as all texts in C do.
            let end = value.iter().position(|&byte| byte == 0);
            CString::new(&value[..end.unwrap_or(value.len())]).unwrap_or_default()
        });
        // It lives, where it is, as long as what is known of the peer, which the message holds.
        Ok(text.as_ptr())
    })
}

/// Properties of a peer that were asked for, as texts for C.
type Texts = Mutex<HashMap<String, CString>>;

/// Addresses a message to a peer of a SERVER or PEER socket (draft); EINVAL for 0.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set_routing_id(message: *mut zmq_msg_t, id: u32) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let content = unsafe { content(message)? };
        if id == 0 {
            return Err(Errno::EINVAL);
        }
        content.routing_id = id;
        Ok(())
    })
}

/// The peer that a message of a SERVER or PEER socket came from or goes to (draft); 0 for none.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_routing_id(message: *mut zmq_msg_t) -> u32 {
    // SAFETY: passed on to the caller.
    call(0, || Ok(unsafe { content(message)? }.routing_id))
}

/// The group that a message goes to from a RADIO socket (draft); a name that is too long is cut.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_set_group(message: *mut zmq_msg_t, group: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let content = unsafe { content(message)? };
        if group.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: as above.
        let group = unsafe { CStr::from_ptr(group) }.to_bytes();
        let group = CString::new(&group[..group.len().min(MAX_GROUP)]);
        content.group = Some(Box::new(group.map_err(|_| Errno::EINVAL)?));
        Ok(())
    })
}

/// The group that a message came from or goes to (draft); an empty text for none.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_group(message: *mut zmq_msg_t) -> *const c_char {
    call(ptr::null(), || {
        // SAFETY: passed on to the caller.
        let group: Option<&CStr> = unsafe { content(message)? }
            .group
            .as_ref()
            .map(|group| group.as_c_str());
        Ok(group.unwrap_or(c"").as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn room() -> zmq_msg_t {
        zmq_msg_t([MaybeUninit::new(0xff); 64])
    }

    unsafe extern "C" fn count(_: *mut c_void, hint: *mut c_void) {
        // SAFETY: the tests give a counter.
        unsafe { &*hint.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn a_message_that_was_not_set_up_or_is_closed_is_refused() {
        let mut message = room();
        // SAFETY: the message is this test's own.
        unsafe {
            assert_eq!(zmq_msg_close(&mut message), -1);
            assert_eq!(crate::errno::current(), libc::EFAULT);
            assert_eq!(zmq_msg_init(&mut message), 0);
            assert_eq!(zmq_msg_close(&mut message), 0);
            assert_eq!(zmq_msg_close(&mut message), -1);
            assert_eq!(zmq_msg_close(ptr::null_mut()), -1);
        }
    }

    #[test]
    fn a_body_is_the_same_in_every_kind_and_after_every_move() {
        for len in [0, 1, INLINE, INLINE + 1, 70, 71, 100_000] {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let (mut a, mut b, mut c) = (room(), room(), room());
            // SAFETY: the messages are this test's own.
            unsafe {
                assert_eq!(zmq_msg_init_buffer(&mut a, body.as_ptr().cast(), len), 0);
                let at = zmq_msg_data(&mut a);
                zmq_msg_init(&mut b);
                zmq_msg_init(&mut c);
                assert_eq!(zmq_msg_copy(&mut b, &mut a), 0);
                let shared = c_int::from(len > INLINE);
                assert_eq!(zmq_msg_get(&a, SHARED), shared);
                assert_eq!(zmq_msg_get(&b, SHARED), shared);
                if len > INLINE {
                    assert_eq!(zmq_msg_data(&mut b), at, "not copied");
                }
                assert_eq!(zmq_msg_move(&mut c, &mut a), 0);
                assert_eq!((zmq_msg_size(&a), zmq_msg_size(&c)), (0, len));
                assert_eq!(content(&mut b).unwrap().take_frame(), body);
                assert_eq!(content(&mut c).unwrap().bytes(), body);
                for message in [&mut a, &mut b, &mut c] {
                    assert_eq!(zmq_msg_close(message), 0);
                }
            }
        }
    }

    #[test]
    fn a_lent_buffer_is_freed_exactly_once() {
        for len in [3usize, 3000] {
            let freed = AtomicUsize::new(0);
            let hint = (&raw const freed).cast_mut().cast();
            let body = vec![7u8; len];
            let (mut a, mut b) = (room(), room());
            // SAFETY: the messages are this test's own, the buffer outlives them.
            unsafe {
                let data = body.as_ptr().cast_mut().cast();
                zmq_msg_init_data(&mut a, data, len, Some(count), hint);
                assert_eq!(zmq_msg_data(&mut a), data);
                zmq_msg_init(&mut b);
                zmq_msg_copy(&mut b, &mut a);
                zmq_msg_close(&mut a);
                assert_eq!(freed.load(Ordering::SeqCst), 0);
                drop(content(&mut b).unwrap().take_frame());
                assert_eq!(freed.load(Ordering::SeqCst), 1);
                zmq_msg_close(&mut b);
            }
            assert_eq!(freed.load(Ordering::SeqCst), 1);
        }
    }
}
