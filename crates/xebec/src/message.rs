//! Frames and messages.
//!
//! A [`Frame`] is one body of bytes: 72 bytes by value, so that small bodies live inside it and
//! cost no allocation; larger ones are shared, as a [`Body`] or [`Bytes`], and are never copied by a
//! clone, a fan-out or a move between threads. A [`Message`] is one or more frames that travel together
//! or not at all (RFC 23, "a message is one or more frames").
//!
//! What does not live here: how frames look on the wire (crate `xebec-zmtp`) and how they are
//! queued (`pipe`).

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Deref, Index};

use bytes::Bytes;

use crate::body::Body;
use crate::buffer::LARGE;
use crate::large;

/// The longest body that is kept inside a [`Frame`] itself. A frame of 72 bytes rather than 64
/// keeps the very common 64-byte body inline: over inproc, where the receiver frees what the
/// sender allocated, that is three times as fast (20 M/s instead of 7). Whole [`portions`].
const INLINE: usize = 64;

/// A short body, copied in the portions in which the compiler moves it on: the processor waits when bytes
/// are loaded soon after they were stored as part of something else, which was an eighth of the time that
/// a sender of 64 bytes took.
#[inline]
fn portions(body: &[u8]) -> [u8; INLINE] {
    let mut data = [0; INLINE];
    let (portions, rest) = body.as_chunks::<16>();
    for (i, place) in data.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        match portions.get(i) {
            Some(portion) => *place = *portion,
            None => {
                place[..rest.len()].copy_from_slice(rest);
                break;
            }
        }
    }
    data
}

/// One frame of a message: an opaque body of zero or more bytes.
///
/// Cloning is cheap: a small body is copied, a larger one is shared.
#[derive(Clone)]
pub struct Frame(Content);

#[derive(Clone)]
enum Content {
    Inline {
        len: u8,
        data: [u8; INLINE],
    },
    /// The application's copy of less than [`LARGE`] bytes.
    Copied(Body),
    Shared(Bytes),
}

const _: () = assert!(size_of::<Frame>() == 72);

impl Frame {
    /// An empty frame, such as the delimiter of a request envelope (RFC 28).
    pub const fn new() -> Self {
        Frame::short([0; INLINE], 0)
    }

    const fn short(data: [u8; INLINE], len: usize) -> Self {
        Frame(Content::Inline {
            data,
            len: len as u8,
        })
    }

    /// A frame with a copy of `body`.
    #[inline]
    pub fn copy_from_slice(body: &[u8]) -> Self {
        if body.len() <= INLINE {
            Frame::short(portions(body), body.len())
        } else {
            Frame::longer(body)
        }
    }

    /// The same for a body that does not fit in; apart, so that what does stays short.
    #[inline(never)]
    fn longer(body: &[u8]) -> Self {
        match body.len() < LARGE {
            true => Frame(Content::Copied(Body::copy(body))),
            false => Frame(Content::Shared(large::copy(body))),
        }
    }

    /// A frame with a copy of what a peer sent.
    #[inline]
    pub(crate) fn received(body: &[u8]) -> Self {
        match body.len() <= INLINE {
            true => Frame::copy_from_slice(body),
            false => Frame(Content::Shared(Bytes::copy_from_slice(body))),
        }
    }

    /// Becomes a frame with a copy of what a peer sent, where it is: the first `body_len` of these bytes. A short
    /// body comes with what is behind it, which nobody can see: a copy of a length that is known needs no call.
    #[inline(always)]
    fn refill(&mut self, bytes: &[u8], body_len: usize) {
        match (&mut self.0, bytes.first_chunk()) {
            (Content::Inline { len, data }, Some(whole)) if body_len <= INLINE => {
                *data = *whole;
                *len = body_len as u8;
            }
            _ => self.replace(&bytes[..body_len]),
        }
    }

    /// The same where one of the two bodies does not fit in, or too few bytes are there.
    #[inline(never)]
    fn replace(&mut self, body: &[u8]) {
        *self = Frame::received(body);
    }

    /// A frame over static bytes, which are never copied.
    pub const fn from_static(body: &'static [u8]) -> Self {
        Frame(Content::Shared(Bytes::from_static(body)))
    }

    /// A frame over these bytes, which are copied only if they are few: two counts less of who shares
    /// them than a clone that becomes a frame.
    #[inline]
    pub(crate) fn sharing(body: &Bytes) -> Self {
        if body.len() <= INLINE {
            Frame::copy_from_slice(body)
        } else {
            Frame(Content::Shared(body.clone()))
        }
    }

    /// The length of the body in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Content::Inline { len, .. } => *len as usize,
            Content::Copied(body) => body.len(),
            Content::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether the body has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Content::Inline { len, data } => &data[..*len as usize],
            Content::Copied(body) => body.as_ref(),
            Content::Shared(bytes) => bytes,
        }
    }

    /// The body as shared bytes: no copy for a large body, one small copy for an inline one.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Content::Inline { len, data } => Bytes::copy_from_slice(&data[..len as usize]),
            Content::Copied(body) => Bytes::from_owner(body),
            Content::Shared(bytes) => bytes,
        }
    }

    /// The body as text, with U+FFFD in place of what is not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// Appends the body to `out`: a short one in the portions in which it was stored (see [`portions`]).
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Content::Inline { len, data } => {
                let end = out.len() + usize::from(*len);
                out.extend_from_slice(data);
                out.truncate(end);
            }
            _ => out.extend_from_slice(self),
        }
    }

    /// The shared bytes of a body that is neither kept inline nor a copy of a few KiB.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Inline { .. } | Content::Copied(_) => None,
            Content::Shared(bytes) => Some(bytes),
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Frame::new()
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Frame {
    fn eq(&self, other: &T) -> bool {
        self.as_bytes() == other.as_ref()
    }
}

impl Eq for Frame {}

impl std::hash::Hash for Frame {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// Prints as the Guide's `s_dump` does: the length in three digits, then the text, or
/// hexadecimal digits when a byte is not printable ASCII.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:03}] ", self.len())?;
        if self.iter().all(|b| (0x20..0x7f).contains(b)) {
            f.write_str(&self.to_string_lossy())
        } else {
            self.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
        }
    }
}

impl From<Bytes> for Frame {
    fn from(body: Bytes) -> Self {
        if body.len() <= INLINE {
            Frame::copy_from_slice(&body)
        } else {
            Frame(Content::Shared(body))
        }
    }
}

impl From<Vec<u8>> for Frame {
    fn from(body: Vec<u8>) -> Self {
        if body.len() <= INLINE {
            Frame::copy_from_slice(&body)
        } else {
            Frame(Content::Shared(body.into()))
        }
    }
}

impl From<String> for Frame {
    fn from(body: String) -> Self {
        body.into_bytes().into()
    }
}

macro_rules! frame_from_slices {
    ($($(#[$generic:meta])? [$($param:tt)*] $type:ty),* $(,)?) => {$(
        impl<$($param)*> From<$type> for Frame {
            fn from(body: $type) -> Self {
                Frame::copy_from_slice(AsRef::<[u8]>::as_ref(&*body))
            }
        }
    )*};
}
frame_from_slices!([] & [u8], [] & str, [] & String, [] & Vec<u8>, [const N: usize] & [u8; N], [] Cow<'_, str>);

impl<const N: usize> From<[u8; N]> for Frame {
    fn from(body: [u8; N]) -> Self {
        Frame::copy_from_slice(&body)
    }
}

/// What a message is to the pattern that carries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    /// An application's message.
    #[default]
    Data,
    /// The same with a group, which is the first of `rest` and no frame of the message.
    Grouped,
    /// A subscription on its way to a publisher; the first frame is the prefix.
    Subscribe,
    /// The end of a subscription; the first frame is the prefix.
    Cancel,
    /// A DISH joins a group; the first frame is its name.
    Join,
    /// A DISH leaves a group; the first frame is its name.
    Leave,
}

/// Names one connection of one socket, for as long as the connection lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId(pub(crate) NonZeroU64);

/// One or more frames that are sent and received together or not at all.
///
/// Anything that can become a frame can become a message of one frame:
///
/// ```
/// use xebec::Message;
/// let mut request = Message::from("Hello");
/// request.push_front("");          // the delimiter that a DEALER adds by hand
/// assert_eq!(request.len(), 2);
/// assert_eq!(request.body(), "Hello");
/// ```
#[derive(Clone)]
pub struct Message {
    first: Frame,
    /// The frames after the first; empty (and so without an allocation) for most messages. In front
    /// of them is the group, if `kind` says so: it has its place here so that messages without one,
    /// which are nearly all, are no larger for it.
    rest: Vec<Frame>,
    pub(crate) kind: Kind,
    /// 0 for none.
    routing_id: u32,
    pub(crate) origin: Option<ConnectionId>,
}

const _: () = assert!(size_of::<Message>() == 112);

impl Message {
    /// A message of one empty frame.
    pub const fn new() -> Self {
        Message {
            first: Frame::new(),
            rest: Vec::new(),
            kind: Kind::Data,
            routing_id: 0,
            origin: None,
        }
    }

    #[inline]
    pub(crate) fn single(frame: Frame) -> Self {
        Message {
            first: frame,
            rest: Vec::new(),
            kind: Kind::Data,
            routing_id: 0,
            origin: None,
        }
    }

    /// Becomes a message of one frame with a copy of the first `body_len` of these bytes, where it is.
    #[inline(always)]
    pub(crate) fn refill(&mut self, bytes: &[u8], body_len: usize) {
        self.first.refill(bytes, body_len);
        if !self.rest.is_empty() {
            self.rest.clear();
        }
        self.kind = Kind::Data;
        self.routing_id = 0;
        self.origin = None;
    }

    /// Keeps nothing that would have to be freed. What is there otherwise is not to be expected.
    #[inline(always)]
    pub(crate) fn shed(&mut self) {
        if !matches!(self.first.0, Content::Inline { .. }) || self.rest.capacity() > 0 {
            self.free();
        }
    }

    #[inline(never)]
    fn free(&mut self) {
        self.first = Frame::new();
        self.rest = Vec::new();
    }

    /// Whether there is nothing to it but one frame: no more of them, no address, no group.
    #[inline(always)]
    pub(crate) fn is_bare(&self) -> bool {
        self.rest.is_empty() && self.kind == Kind::Data && self.routing_id == 0
    }

    /// Its first frame, which leaves an empty one.
    #[inline(always)]
    pub(crate) fn take_first(&mut self) -> Frame {
        std::mem::take(&mut self.first)
    }

    /// Becomes a message of this frame and nothing else, where what was there before is [shed](Self::shed).
    #[inline(always)]
    pub(crate) fn put_bare(&mut self, frame: Frame) {
        std::mem::forget(std::mem::replace(&mut self.first, frame));
        self.kind = Kind::Data;
        self.routing_id = 0;
        self.origin = None;
    }

    /// Becomes `message`, in the same case.
    #[inline(always)]
    pub(crate) fn put(&mut self, message: Message) {
        std::mem::forget(std::mem::replace(self, message));
    }

    pub(crate) fn of_kind(kind: Kind, topic: &[u8]) -> Self {
        Message {
            kind,
            ..Message::single(Frame::copy_from_slice(topic))
        }
    }

    /// The number of frames: one or more.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        1 + self.rest().len()
    }

    /// How many of `rest` are no frames of the message.
    #[inline]
    fn hidden(&self) -> usize {
        usize::from(self.kind == Kind::Grouped)
    }

    /// The frames after the first.
    #[inline]
    fn rest(&self) -> &[Frame] {
        &self.rest[self.hidden()..]
    }

    /// The frame at `index`, counted from the front.
    #[inline]
    pub fn frame(&self, index: usize) -> Option<&Frame> {
        match index {
            0 => Some(&self.first),
            _ => self.rest().get(index - 1),
        }
    }

    /// The frames, first to last.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> + ExactSizeIterator {
        Frames {
            message: self,
            next: 0,
            end: self.len(),
        }
    }

    /// The frame of a message that has no other.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Frame> {
        self.rest.is_empty().then_some(&self.first)
    }

    /// The first frame: the address for a ROUTER, the topic for a publisher.
    #[inline]
    pub fn first(&self) -> &Frame {
        &self.first
    }

    /// The last frame: the body behind any envelope.
    #[inline]
    pub fn body(&self) -> &Frame {
        match self.rest.is_empty() {
            true => &self.first,
            false => self.rest().last().unwrap_or(&self.first),
        }
    }

    /// The bytes in all frames together.
    #[inline]
    pub fn size(&self) -> usize {
        let rest = match self.rest.is_empty() {
            true => 0,
            false => self.size_of_rest(),
        };
        self.first.len() + rest
    }

    #[inline(never)]
    fn size_of_rest(&self) -> usize {
        self.rest().iter().map(Frame::len).sum()
    }

    /// Adds a frame behind the last.
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        self.rest.push(frame.into());
    }

    /// Adds a frame before the first, as a ROUTER does with the sender's routing id.
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        let old = std::mem::replace(&mut self.first, frame.into());
        self.rest.insert(self.hidden(), old);
    }

    /// Whether it is an application's message: not a subscription.
    #[inline]
    pub(crate) fn is_data(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Grouped)
    }

    /// The peer that a message goes to or came from, for SERVER (RFC 41) and PEER (RFC 51) sockets,
    /// which number their peers; `None` if it has no such number. A received message goes back to its
    /// sender as it is.
    #[inline]
    pub fn routing_id(&self) -> Option<u32> {
        (self.routing_id != 0).then_some(self.routing_id)
    }

    /// Addresses the message to a peer of a SERVER or PEER socket. 0 takes the address away, as no
    /// peer has that number. Sockets of other types ignore it.
    #[must_use]
    #[inline]
    pub fn with_routing_id(mut self, routing_id: u32) -> Self {
        self.set_routing_id(routing_id);
        self
    }

    /// 0 for none.
    #[inline]
    pub(crate) fn set_routing_id(&mut self, routing_id: u32) {
        self.routing_id = routing_id;
    }

    /// The group that a message goes to or came from, for RADIO and DISH sockets (RFC 48).
    #[inline]
    pub fn group(&self) -> Option<&Frame> {
        match self.kind {
            Kind::Grouped => self.rest.first(),
            _ => None,
        }
    }

    /// Addresses the message to a group of a RADIO socket, whose name is of up to 255 bytes. Sockets of
    /// other types ignore it.
    ///
    /// ```
    /// use xebec::Message;
    /// let message = Message::from("Godfather").with_group("Movies");
    /// assert_eq!(message.group().unwrap(), "Movies");
    /// assert_eq!(message.len(), 1);    // the group is no frame
    /// ```
    #[must_use]
    pub fn with_group(mut self, group: impl Into<Frame>) -> Self {
        self.set_group(group.into());
        self
    }

    pub(crate) fn set_group(&mut self, group: Frame) {
        match self.kind {
            Kind::Grouped => self.rest[0] = group,
            _ => {
                self.rest.insert(0, group);
                self.kind = Kind::Grouped;
            }
        }
    }

    /// Takes the group away and returns it.
    pub(crate) fn take_group(&mut self) -> Option<Frame> {
        if self.kind != Kind::Grouped {
            return None;
        }
        self.kind = Kind::Data;
        Some(self.rest.remove(0))
    }

    /// Takes the first frame off, unless it is the only one.
    pub fn pop_front(&mut self) -> Option<Frame> {
        if self.rest().is_empty() {
            return None;
        }
        let next = self.rest.remove(self.hidden());
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes the last frame off, unless it is the only one; then it leaves an empty one.
    pub fn pop_back(&mut self) -> Option<Frame> {
        match self.rest().is_empty() {
            true if self.first.is_empty() => None,
            true => Some(std::mem::take(&mut self.first)),
            false => self.rest.pop(),
        }
    }

    /// The first frame, and those after it.
    pub fn split_first(mut self) -> (Frame, Vec<Frame>) {
        self.take_group();
        (self.first, self.rest)
    }

    /// Takes off everything up to and including the first empty frame and returns what stood
    /// before it: the stack of return addresses of a request (RFC 28). `None`, and no change,
    /// if no empty frame is followed by another frame.
    pub fn pop_envelope(&mut self) -> Option<Vec<Frame>> {
        let empty = self.frames().position(Frame::is_empty)?;
        if empty + 1 == self.len() {
            return None;
        }
        if empty == 0 {
            // A peer's own request or reply, mostly.
            self.pop_front();
            return Some(Vec::new());
        }
        let mut frames = std::mem::take(self).into_frames();
        let body = frames.split_off(empty + 1);
        frames.truncate(empty);
        *self = body.into_iter().collect();
        Some(frames)
    }

    /// The frames by value.
    pub fn into_frames(self) -> Vec<Frame> {
        let (first, mut frames) = self.split_first();
        frames.insert(0, first);
        frames
    }

    /// The [`body`](Self::body) as text, with U+FFFD in place of what is not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        self.body().to_string_lossy()
    }

    /// The connection that a received message came by: a key for
    /// [`Socket::peer`](crate::Socket::peer). `None` for a message that was not received.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.origin
    }
}

impl Default for Message {
    fn default() -> Self {
        Message::new()
    }
}

/// Messages are equal if their frames are, whomever they are for and from.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.first == other.first && self.rest() == other.rest()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

impl<T: Into<Frame>> From<T> for Message {
    fn from(body: T) -> Self {
        Message::single(body.into())
    }
}

impl<T: Into<Frame>> FromIterator<T> for Message {
    /// A message of the given frames, or of one empty frame if there are none.
    fn from_iter<I: IntoIterator<Item = T>>(frames: I) -> Self {
        let mut frames = frames.into_iter().map(Into::into);
        Message {
            first: frames.next().unwrap_or_default(),
            rest: frames.collect(),
            ..Message::new()
        }
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = std::vec::IntoIter<Frame>;
    fn into_iter(self) -> Self::IntoIter {
        self.into_frames().into_iter()
    }
}

impl Index<usize> for Message {
    type Output = Frame;
    /// # Panics
    /// If there is no frame at `index`.
    fn index(&self, index: usize) -> &Frame {
        self.frame(index).expect("frame index out of range")
    }
}

struct Frames<'a> {
    message: &'a Message,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a Frame;
    fn next(&mut self) -> Option<&'a Frame> {
        (self.next < self.end).then(|| {
            self.next += 1;
            &self.message[self.next - 1]
        })
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Frames<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        (self.next < self.end).then(|| {
            self.end -= 1;
            &self.message[self.end]
        })
    }
}

impl ExactSizeIterator for Frames<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_bytes_on_both_sides_of_the_inline_limit() {
        for len in [0, 1, INLINE, INLINE + 1, 300, LARGE - 1, LARGE, 70_000] {
            let body: Vec<u8> = (0..len).map(|i| i as u8).collect();
            for frame in [
                Frame::copy_from_slice(&body),
                Frame::received(&body),
                Frame::from(body.clone()),
                Bytes::from(body.clone()).into(),
            ] {
                assert_eq!(frame.as_bytes(), body, "{len}");
                assert_eq!(frame.len(), len);
                assert_eq!(frame.clone().into_bytes(), body);
            }
        }
    }

    #[test]
    fn only_what_the_application_copies_has_memory_that_is_handed_on() {
        let body = [7; 300];
        assert!(matches!(Frame::from(&body).0, Content::Copied(_)));
        assert!(matches!(Frame::received(&body).0, Content::Shared(_)));
        let mut message = Message::from(&body);
        message.refill(&body, body.len());
        assert!(matches!(message.first.0, Content::Shared(_)));
    }

    /// Whatever was there before and however much is behind it, nothing but the body is to be seen.
    #[test]
    fn a_message_becomes_what_was_received_where_it_is() {
        let lens = [0, 1, 16, INLINE - 1, INLINE, INLINE + 1, 300];
        let bytes: Vec<u8> = (1..=u8::MAX).cycle().take(1000).collect();
        for before in lens {
            for len in lens {
                for behind in [0, 1, INLINE, 300] {
                    let mut message = Message::from(&bytes[..before]).with_group("group");
                    message.push_back("more");
                    message.refill(&bytes[..len + behind], len);
                    assert_eq!(message, Message::from(&bytes[..len]), "{before} {behind}");
                    let mut out = b"ahead".to_vec();
                    message.first().append_to(&mut out);
                    out.push(0);
                    assert_eq!(out, [b"ahead", &bytes[..len], &[0]].concat());
                }
            }
        }
    }

    #[test]
    fn frames_go_on_and_off_at_both_ends() {
        let mut message = Message::from("body");
        message.push_front("");
        message.push_front("id");
        message.push_back("tail");
        assert_eq!(message, ["id", "", "body", "tail"].into_iter().collect());
        assert_eq!(message.frames().next_back().unwrap(), "tail");
        assert_eq!(message.pop_front().unwrap(), "id");
        assert_eq!(message.size(), 8);
        assert_eq!(message.into_frames().len(), 3);
        assert!(Message::from("alone").pop_front().is_none());
    }

    #[test]
    fn a_group_is_no_frame() {
        let mut message: Message = ["a", "b"].into_iter().collect();
        message = message
            .with_group("first")
            .with_group("group")
            .with_routing_id(7);
        message.push_front("front");
        message.push_back("back");
        assert_eq!(message, ["front", "a", "b", "back"].into_iter().collect());
        assert_eq!((message.len(), message.size()), (4, 11));
        assert_eq!((message.body(), &message[1]), (&"back".into(), &"a".into()));
        assert_eq!(message.pop_front().unwrap(), "front");
        assert_eq!(message.pop_back().unwrap(), "back");
        assert_eq!(message.clone().into_frames(), ["a", "b"]);
        assert_eq!(message.pop_back().unwrap(), "b");
        assert!(message.pop_front().is_none());
        assert_eq!(message.group().unwrap(), "group");
        assert_eq!(message.routing_id(), Some(7));
        assert_eq!(message.take_group().unwrap(), "group");
        assert!(message.group().is_none() && message.is_data());
        assert_eq!(message.with_routing_id(0).routing_id(), None);
    }

    #[test]
    fn an_envelope_ends_at_the_first_empty_frame() {
        let mut message: Message = ["a", "b", "", "x", "", "y"].into_iter().collect();
        assert_eq!(message.pop_envelope().unwrap(), ["a", "b"]);
        assert_eq!(message, ["x", "", "y"].into_iter().collect());
        let mut alone: Message = ["", "x", ""].into_iter().collect();
        assert!(alone.pop_envelope().unwrap().is_empty());
        assert_eq!(alone, ["x", ""].into_iter().collect());
        for bad in [vec!["a", "b"], vec!["a", ""], vec![""]] {
            let mut message: Message = bad.clone().into_iter().collect();
            assert!(message.pop_envelope().is_none());
            assert_eq!(message, bad.into_iter().collect(), "unchanged");
        }
    }

    #[test]
    fn dumps_as_the_guide_does() {
        assert_eq!(format!("{:?}", Frame::from("Hello")), "[005] Hello");
        assert_eq!(format!("{:?}", Frame::from([0u8, 0x6b])), "[002] 006B");
        assert_eq!(format!("{:?}", Frame::new()), "[000] ");
    }
}
