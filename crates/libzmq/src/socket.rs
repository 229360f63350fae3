//! Sockets: made, bound, connected, closed; messages sent and received frame by frame.
//!
//! The Rust library sends and receives whole messages; C has their frames one by one. Frames that are
//! sent with ZMQ_SNDMORE are collected here and leave with the last one, all or none; whether there is
//! room for the message is asked with the first, as libzmq does. Of a received message the first frame
//! is given at once, the others wait here.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;
use std::vec;
use std::{mem, ptr};

use parking_lot::Mutex;
use xebec::{
    AddressErrorKind, Context, Frame, GroupError, Message, Options, PeerInfo, Socket, SocketType,
};

use crate::call::{bytes, call, length, status, text};
use crate::context::context;
use crate::errno::Errno;
use crate::handle::{self, object};
use crate::message::{Content, content, zmq_msg_t};

/// `ZMQ_DONTWAIT` and `ZMQ_SNDMORE`.
const DONTWAIT: c_int = 1;
const SNDMORE: c_int = 2;

/// A socket, as C programs hold it.
pub(crate) struct Handle {
    pub(crate) socket: Socket,
    /// For the sockets of its monitors.
    pub(crate) context: Context,
    /// The number that was given with ZMQ_USE_FD, which may be another than that of our copy.
    pub(crate) use_fd: AtomicI32,
    /// Frames are waiting in `parts`. Like the lock, these are never contended: a socket is used by one
    /// thread at a time. They keep messages of one frame off the lock.
    sending: AtomicBool,
    receiving: AtomicBool,
    parts: Mutex<Parts>,
}
object!(Handle, b"sock");

/// Messages that are under way, frame by frame.
#[derive(Default)]
struct Parts {
    /// The first frames of a message that is being sent.
    outgoing: Option<Message>,
    /// The rest of a message that is being received, and whom it is from.
    incoming: vec::IntoIter<Frame>,
    peer: Option<Arc<PeerInfo>>,
}

/// An open socket.
///
/// # Safety
/// The crate's contract.
pub(crate) unsafe fn socket<'a>(handle: *mut c_void) -> Result<&'a Handle, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { handle::get::<Handle>(handle) }.ok_or(Errno::ENOTSOCK)
}

impl Handle {
    pub(crate) fn new(socket: Socket, context: Context) -> Handle {
        Handle {
            socket,
            context,
            use_fd: AtomicI32::new(-1),
            sending: AtomicBool::new(false),
            receiving: AtomicBool::new(false),
            parts: Mutex::default(),
        }
    }

    /// Whether the type is one that several threads may use at once (ZMQ_THREAD_SAFE): those with
    /// messages of one frame, where no call continues another one's.
    pub(crate) fn is_thread_safe(&self) -> bool {
        use SocketType::*;
        matches!(
            self.socket.kind(),
            Client | Server | Radio | Dish | Gather | Scatter | Peer | Channel
        )
    }

    /// Fails if the context was terminated.
    pub(crate) fn alive(&self) -> Result<(), Errno> {
        match self.socket.is_terminated() {
            true => Err(Errno::ETERM),
            false => Ok(()),
        }
    }

    /// Whether frames of the message that is being received are left (ZMQ_RCVMORE).
    pub(crate) fn more(&self) -> bool {
        self.receiving.load(Ordering::Relaxed)
    }

    /// Whether a frame can be received, and sent, at once (ZMQ_EVENTS).
    pub(crate) fn readiness(&self) -> (bool, bool) {
        let (readable, writable) = self.socket.readiness();
        let (receiving, sending) = self.under_way();
        (readable || receiving, writable || sending)
    }

    /// What of it the socket itself does not know: the rest of messages that are under way.
    pub(crate) fn under_way(&self) -> (bool, bool) {
        (self.more(), self.sending.load(Ordering::Relaxed))
    }

    /// Sends a frame, with its address if that is not a frame of its own. If that fails it is still there.
    fn send(&self, frame: &mut Message, flags: c_int) -> Result<(), Errno> {
        let timeout = timeout(flags);
        let sending = self.sending.load(Ordering::Relaxed);
        // A STREAM's messages are of two frames, whatever the flag says.
        let ends = sending && self.socket.kind() == SocketType::Stream;
        if flags & SNDMORE != 0 && !ends {
            return self.collect(frame, timeout);
        }
        if sending {
            return self.finish(frame, timeout);
        }
        if self.socket.kind() == SocketType::Stream {
            // The id of a peer and nothing for it.
            return self.alive();
        }
        Ok(self.socket.send_from(frame, timeout)?)
    }

    /// Sends the last frame of a message together with those before.
    fn finish(&self, frame: &mut Message, timeout: Option<Duration>) -> Result<(), Errno> {
        let mut message = self.parts.lock().outgoing.take().unwrap_or_default();
        message.push_back(mem::take(frame).split_first().0);
        if let Err(kind) = self.socket.send_from(&mut message, timeout) {
            *frame = message.pop_back().unwrap_or_default().into();
            self.parts.lock().outgoing = Some(message);
            return Err(kind.into());
        }
        self.sending.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps a frame for the message that it belongs to.
    fn collect(&self, frame: &mut Message, timeout: Option<Duration>) -> Result<(), Errno> {
        if !self.sending.load(Ordering::Relaxed) {
            self.socket.admit(frame.first(), timeout)?;
            self.parts.lock().outgoing = Some(mem::take(frame));
            self.sending.store(true, Ordering::Relaxed);
            return Ok(());
        }
        self.alive()?;
        if let Some(message) = &mut self.parts.lock().outgoing {
            message.push_back(mem::take(frame).split_first().0);
        }
        Ok(())
    }

    /// Receives a frame into `frame`: whether more of its message follow, and whom it is from if that is
    /// `asked` for.
    fn recv(
        &self,
        frame: &mut Message,
        flags: c_int,
        asked: bool,
    ) -> Result<(bool, Option<Arc<PeerInfo>>), Errno> {
        if self.more() {
            let mut parts = self.parts.lock();
            if let Some(next) = parts.incoming.next() {
                let more = parts.incoming.len() > 0;
                self.receiving.store(more, Ordering::Relaxed);
                *frame = next.into();
                return Ok((more, parts.peer.clone()));
            }
        }
        let mut peer = None;
        let timeout = timeout(flags);
        // Who it is costs as much as the lock, as it is shared.
        self.socket
            .recv_regarding(frame, timeout, |message, known| {
                peer = (asked || message.len() > 1).then(|| known.clone());
            })?;
        if frame.len() == 1 {
            return Ok((false, peer));
        }
        let (first, rest) = mem::take(frame).split_first();
        *frame = first.into();
        let mut parts = self.parts.lock();
        parts.incoming = rest.into_iter();
        parts.peer = peer.clone();
        self.receiving.store(true, Ordering::Relaxed);
        Ok((true, peer))
    }

    fn send_content(&self, content: &mut Content, flags: c_int) -> Result<c_int, Errno> {
        let len = content.bytes().len();
        let mut frame = content.take();
        self.send(&mut frame, flags).inspect_err(|_| {
            content.put(frame, false, None);
        })?;
        Ok(length(len))
    }

    fn send_bytes(&self, mut frame: Message, flags: c_int) -> Result<c_int, Errno> {
        let len = frame.size();
        self.send(&mut frame, flags)?;
        Ok(length(len))
    }
}

/// How long to wait: as the socket's option tells, or not at all.
fn timeout(flags: c_int) -> Option<Duration> {
    (flags & DONTWAIT != 0).then_some(Duration::ZERO)
}

/// Whether an endpoint leaves the port or the path to the system.
fn is_wildcard(endpoint: &str) -> bool {
    match endpoint.split_once("://") {
        Some(("tcp", address)) => address.ends_with(":*") || address.ends_with(":0"),
        Some((_, address)) => address == "*",
        None => false,
    }
}

// ---- life ----

/// Makes a socket; null with EINVAL for a type that there is not, EMFILE if the context has as many as it
/// may have, ETERM if it is terminated.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket(handle: *mut c_void, kind: c_int) -> *mut c_void {
    call(ptr::null_mut(), || {
        // SAFETY: passed on to the caller.
        let context = unsafe { context(handle)? };
        let kind = u8::try_from(kind).ok().and_then(SocketType::from_number);
        let kind = kind.ok_or(Errno::EINVAL)?;
        let socket = context.socket_with(kind, Options::for_c(kind))?;
        Ok(handle::give(Handle::new(socket, context.clone())))
    })
}

/// Closes a socket; what it has accepted leaves in the background as LINGER allows.
///
/// # Safety
/// The crate's contract; no other call on the socket is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_close(this: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let socket = unsafe { handle::take::<Handle>(this) };
        socket.map(drop).ok_or(Errno::ENOTSOCK)
    })
}

/// Accepts connections at an endpoint.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_bind(this: *mut c_void, endpoint: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (this, endpoint) = unsafe { (socket(this)?, text(endpoint)?) };
        Ok(this.socket.bind(endpoint).map(drop)?)
    })
}

/// Connects to an endpoint, now or as soon as somebody listens there.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_connect(this: *mut c_void, endpoint: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (this, endpoint) = unsafe { (socket(this)?, text(endpoint)?) };
        Ok(this.socket.connect(endpoint)?)
    })
}

/// Undoes a bind, or a connect: the two functions for it are the same in libzmq.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_unbind(this: *mut c_void, endpoint: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (this, endpoint) = unsafe { (socket(this)?, text(endpoint)?) };
        this.alive()?;
        if is_wildcard(endpoint) {
            // It is bound to what that turned out to be.
            return Err(Errno::ENOENT);
        }
        match this.socket.unbind(endpoint) {
            Err(error) if matches!(error.kind, AddressErrorKind::NotFound) => {
                Ok(this.socket.disconnect(endpoint)?)
            }
            done => Ok(done?),
        }
    })
}

/// Undoes a connect, or a bind.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_disconnect(this: *mut c_void, endpoint: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_unbind(this, endpoint) }
}

// ---- messages ----

/// Sends a message's frame and leaves an empty one; if that fails, the frame stays. Returns its length.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_send(
    message: *mut zmq_msg_t,
    this: *mut c_void,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        // SAFETY: passed on to the caller.
        this.send_content(unsafe { content(message)? }, flags)
    })
}

/// Receives a frame into a message, whose own body is given up. Returns its length.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_msg_recv(
    message: *mut zmq_msg_t,
    this: *mut c_void,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        // SAFETY: passed on to the caller.
        let content = unsafe { content(message)? };
        let mut frame = Message::new();
        let (more, peer) = this.recv(&mut frame, flags, true)?;
        let len = frame.size();
        content.put(frame, more, peer);
        Ok(length(len))
    })
}

/// The former name and order of [`zmq_msg_send`].
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_sendmsg(
    this: *mut c_void,
    message: *mut zmq_msg_t,
    flags: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_msg_send(message, this, flags) }
}

/// The former name and order of [`zmq_msg_recv`].
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recvmsg(
    this: *mut c_void,
    message: *mut zmq_msg_t,
    flags: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { zmq_msg_recv(message, this, flags) }
}

/// Sends a copy of a buffer as a frame. Returns its length.
///
/// # Safety
/// The crate's contract; `buffer` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_send(
    this: *mut c_void,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let (this, body) = unsafe { (socket(this)?, bytes(buffer, len)?) };
        this.send_bytes(Message::from(body), flags)
    })
}

/// Sends a buffer that outlives everything, without a copy. Returns its length.
///
/// # Safety
/// The crate's contract; `buffer` points to `len` bytes that stay as they are for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_send_const(
    this: *mut c_void,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let (this, body) = unsafe { (socket(this)?, bytes(buffer, len)?) };
        this.send_bytes(Frame::from_static(body).into(), flags)
    })
}

/// Receives a frame into a buffer; what does not fit is cut off. Returns the length of the whole.
///
/// # Safety
/// The crate's contract; `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recv(
    this: *mut c_void,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        if buffer.is_null() && len > 0 {
            return Err(Errno::EFAULT);
        }
        let mut frame = Message::new();
        this.recv(&mut frame, flags, false)?;
        let frame = frame.first();
        let fits = frame.len().min(len);
        if fits > 0 {
            // SAFETY: passed on to the caller; a frame is never in a program's buffer.
            unsafe { ptr::copy_nonoverlapping(frame.as_ptr(), buffer.cast(), fits) };
        }
        Ok(length(frame.len()))
    })
}

/// Sends the buffers of a vector as frames; with ZMQ_SNDMORE as those of one message. Returns the length
/// of the last.
///
/// # Safety
/// The crate's contract; `vector` points to `count` elements with their buffers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_sendiov(
    this: *mut c_void,
    vector: *mut libc::iovec,
    count: usize,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        if count == 0 || vector.is_null() {
            return Err(Errno::EINVAL);
        }
        let mut sent = 0;
        for i in 0..count {
            // SAFETY: passed on to the caller.
            let body = unsafe {
                let element = &*vector.add(i);
                bytes(element.iov_base, element.iov_len)?
            };
            let last = i + 1 == count;
            let flags = if last { flags & !SNDMORE } else { flags };
            sent = this.send_bytes(Message::from(body), flags)?;
        }
        Ok(sent)
    })
}

/// Receives up to `*count` frames of a message, each into a buffer from `malloc` that the program frees.
/// Returns how many, in `*count` too, even after a failure.
///
/// # Safety
/// The crate's contract; `vector` has room for `*count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_recviov(
    this: *mut c_void,
    vector: *mut libc::iovec,
    count: *mut usize,
    flags: c_int,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        if count.is_null() || vector.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: passed on to the caller.
        let (room, count) = unsafe { (*count, &mut *count) };
        if room == 0 {
            return Err(Errno::EINVAL);
        }
        *count = 0;
        let mut more = true;
        while more && *count < room {
            let mut frame = Message::new();
            let (follows, _) = this.recv(&mut frame, flags, false)?;
            let frame = frame.first();
            // SAFETY: malloc takes any size; the copy fits what it gave; there is room for one more
            // element.
            unsafe {
                let data = libc::malloc(frame.len().max(1));
                if data.is_null() {
                    return Err(Errno::ENOMEM);
                }
                ptr::copy_nonoverlapping(frame.as_ptr(), data.cast(), frame.len());
                vector.add(*count).write(libc::iovec {
                    iov_base: data,
                    iov_len: frame.len(),
                });
            }
            *count += 1;
            more = follows;
        }
        Ok(length(*count))
    })
}

// ---- draft calls ----

fn change_group(
    this: &Handle,
    group: &str,
    change: impl Fn(&Socket, &str) -> Result<(), GroupError>,
) -> Result<(), Errno> {
    this.alive()?;
    Ok(change(&this.socket, group)?)
}

/// Joins a group, once: for DISH sockets (draft).
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_join(this: *mut c_void, group: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (this, group) = unsafe { (socket(this)?, text(group)?) };
        change_group(this, group, |socket, group| socket.join(group))
    })
}

/// Leaves a group: for DISH sockets (draft).
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_leave(this: *mut c_void, group: *const c_char) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let (this, group) = unsafe { (socket(this)?, text(group)?) };
        change_group(this, group, |socket, group| socket.leave(group))
    })
}

/// Connects a PEER socket (draft) and returns the routing id of the peer; 0 after a failure: ENOTSUP for
/// other types, EFAULT with ZMQ_IMMEDIATE.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_connect_peer(this: *mut c_void, endpoint: *const c_char) -> u32 {
    call(0, || {
        // SAFETY: passed on to the caller.
        let (this, endpoint) = unsafe { (socket(this)?, text(endpoint)?) };
        if this.socket.kind() != SocketType::Peer {
            return Err(Errno::ENOTSUP);
        }
        if this.socket.options().immediate {
            return Err(Errno::EFAULT);
        }
        Ok(this.socket.connect_peer(endpoint)?)
    })
}

/// Disconnects one peer of a SERVER or PEER socket (draft): EHOSTUNREACH if there is no such peer,
/// ENOTSUP for other types.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_disconnect_peer(this: *mut c_void, routing_id: u32) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        if !matches!(this.socket.kind(), SocketType::Server | SocketType::Peer) {
            return Err(Errno::ENOTSUP);
        }
        match this.socket.disconnect_peer(routing_id) {
            true => Ok(()),
            false => Err(Errno::EHOSTUNREACH),
        }
    })
}

/// The state of a ROUTER's peer (draft): ZMQ_POLLIN and ZMQ_POLLOUT; EHOSTUNREACH if there is no such
/// peer, ENOTSUP for other types.
///
/// # Safety
/// The crate's contract; `routing_id` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_get_peer_state(
    this: *mut c_void,
    routing_id: *const c_void,
    len: usize,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let (this, id) = unsafe { (socket(this)?, bytes(routing_id, len)?) };
        if this.socket.kind() != SocketType::Router {
            return Err(Errno::ENOTSUP);
        }
        let writable = this.socket.has_room_for(id).ok_or(Errno::EHOSTUNREACH)?;
        Ok(match writable {
            true => c_int::from(crate::poll::POLLOUT),
            false => 0,
        })
    })
}
