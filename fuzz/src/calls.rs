//! The fuzz target for the C interface: a program of calls that set and tell options of a context, a
//! socket and messages, with numbers, bytes and lengths of its own. Beyond "does not panic": a call
//! that fails changes nothing and says EINVAL, or what else is the caller's fault; no byte outside a
//! buffer is written; and whatever was set, the socket closes and the context ends.
//!
//! The first octet is the type of the socket. Each call has three octets, and what they say follows:
//!
//! | octet | says |
//! |---|---|
//! | call | low four bits: which of them; 0x40: the number is four octets of what follows; 0x80: the pointer is null |
//! | number | of the option or property; 255 is that of Xebec's own option |
//! | length | of the bytes that are given, or the room for those that are asked for |

use std::ffi::{CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use zmq::*;

const EFAULT: c_int = 14;
const EINVAL: c_int = 22;
const ENOTSOCK: c_int = 88;
const ENOTSUP: c_int = 95;
const EHOSTUNREACH: c_int = 113;

const IO_THREADS: c_int = 1;
const SPIN: c_int = 0x5845_0001;

/// More would only take the machine's threads.
const MOST_THREADS: c_int = 8;

/// Room for whatever an option tells.
const ROOM: usize = 512;

/// What lies behind a buffer, and in it before a call.
const UNTOUCHED: u8 = 0xa5;

/// A program of calls, and how it ends.
pub fn calls(data: &[u8]) {
    let Some((&kind, mut rest)) = data.split_first() else {
        return;
    };
    let mut program = Program {
        context: zmq_ctx_new(),
        kind: c_int::from(kind.cast_signed()),
        socket: None,
    };
    while let Some((call, number, given)) = next(&mut rest) {
        program.call(call, number, given);
    }
    program.end();
}

/// A call, the number that goes with it, and what it is given.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u8, c_int, Given<'a>)> {
    let [call, number, len, more @ ..] = *rest else {
        return None;
    };
    let mut number = match number {
        255 => SPIN,
        number => c_int::from(*number),
    };
    let (mut bytes, after) = more.split_at(more.len().min(usize::from(*len)));
    *rest = after;
    if call & 0x40 != 0 {
        let (four, others) = bytes.split_first_chunk()?;
        (number, bytes) = (c_int::from_ne_bytes(*four), others);
    }
    let given = Given {
        bytes,
        null: call & 0x80 != 0,
        room: usize::from(*len),
    };
    Some((call & 15, number, given))
}

struct Given<'a> {
    bytes: &'a [u8],
    null: bool,
    room: usize,
}

impl Given<'_> {
    fn pointer(&self) -> *const c_void {
        match self.null {
            true => ptr::null(),
            false => self.bytes.as_ptr().cast(),
        }
    }

    /// A text for C, up to its first zero byte.
    fn text(&self) -> CString {
        let text = self.bytes.split(|&octet| octet == 0).next();
        CString::new(text.unwrap_or_default()).unwrap()
    }
}

struct Program {
    context: *mut c_void,
    kind: c_int,
    /// Made when a call needs it; null if it could not be.
    socket: Option<*mut c_void>,
}

impl Program {
    fn call(&mut self, call: u8, number: c_int, given: Given<'_>) {
        // SAFETY: the context is open, pointers are null or point to as many bytes as is said, and
        // texts end with a zero byte.
        unsafe {
            match call {
                0 => self.set(number, given),
                1 => drop(self.told(number, given.room, given.null)),
                2 => self.set_of_context(number, given),
                3 => drop(self.told_of_context(number, given.room, given.null)),
                4 => {
                    let before = zmq_ctx_get(self.context, number);
                    let value = given.bytes.first_chunk().copied().unwrap_or_default();
                    let set = zmq_ctx_set(self.context, number, c_int::from_ne_bytes(value));
                    if !done(set, &[EINVAL]) {
                        assert_eq!(zmq_ctx_get(self.context, number), before);
                    }
                    self.few_threads();
                }
                5 => messages(number, &given),
                6 => {
                    if let Some(socket) = self.socket() {
                        draft_calls(socket, number, &given);
                    }
                }
                7 => {
                    if let Some(socket) = self.socket() {
                        // To itself, or to nobody: what is set from now on is set late.
                        let to = [c"inproc://a", c"inproc://b"];
                        assert_ne!(failure(zmq_bind(socket, to[0].as_ptr())), Some(EFAULT));
                        let to = to[usize::from(given.room == 0)];
                        assert_ne!(failure(zmq_connect(socket, to.as_ptr())), Some(EFAULT));
                    }
                }
                _ => {}
            }
        }
    }

    /// The socket, which is of a type that there is.
    fn socket(&mut self) -> Option<*mut c_void> {
        let Program { context, kind, .. } = *self;
        let socket = *self.socket.get_or_insert_with(|| {
            // SAFETY: the context is open.
            let socket = unsafe { zmq_socket(context, kind) };
            // Threads as the options of the context want them may be impossible.
            assert!(!socket.is_null() || zmq_errno() != EFAULT);
            socket
        });
        (!socket.is_null()).then_some(socket)
    }

    fn set(&mut self, number: c_int, given: Given<'_>) {
        let Some(socket) = self.socket() else { return };
        let before = self.told(number, ROOM, false);
        // SAFETY: the socket is open; there are so many bytes, or null.
        let set = unsafe { zmq_setsockopt(socket, number, given.pointer(), given.bytes.len()) };
        if !done(set, &[EINVAL]) {
            assert_eq!(self.told(number, ROOM, false), before, "{number} changed");
        }
    }

    fn told(&mut self, number: c_int, room: usize, null: bool) -> Option<Vec<u8>> {
        let socket = self.socket()?;
        into_buffer(room, null, |value, len| {
            // SAFETY: the socket is open; there is so much room, or null.
            unsafe { zmq_getsockopt(socket, number, value, len) }
        })
    }

    fn set_of_context(&mut self, number: c_int, given: Given<'_>) {
        let before = self.told_of_context(number, ROOM, false);
        let (value, len) = (given.pointer(), given.bytes.len());
        // SAFETY: the context is open; there are so many bytes, or null.
        let set = unsafe { zmq_ctx_set_ext(self.context, number, value, len) };
        let faults: &[c_int] = match given.null && len > 0 {
            true => &[EFAULT],
            false => &[EINVAL],
        };
        if !done(set, faults) {
            assert_eq!(self.told_of_context(number, ROOM, false), before);
        }
        self.few_threads();
    }

    fn told_of_context(&self, number: c_int, room: usize, null: bool) -> Option<Vec<u8>> {
        into_buffer(room, null, |value, len| {
            // SAFETY: the context is open; there is so much room, or null.
            unsafe { zmq_ctx_get_ext(self.context, number, value, len) }
        })
    }

    fn few_threads(&self) {
        // SAFETY: the context is open.
        unsafe {
            if self.socket.is_none() && zmq_ctx_get(self.context, IO_THREADS) > MOST_THREADS {
                assert_eq!(zmq_ctx_set(self.context, IO_THREADS, MOST_THREADS), 0);
            }
        }
    }

    fn end(self) {
        // SAFETY: the socket and the context are open; closed handles are refused by contract.
        unsafe {
            if let Some(socket) = self.socket.filter(|socket| !socket.is_null()) {
                assert_eq!(zmq_close(socket), 0);
                assert_eq!(failure(zmq_close(socket)), Some(ENOTSOCK));
            }
            assert_eq!(zmq_ctx_term(self.context), 0);
            assert_eq!(failure(zmq_ctx_term(self.context)), Some(EFAULT));
        }
    }
}

/// What a call writes into a buffer of `room` bytes.
fn into_buffer(
    room: usize,
    null: bool,
    call: impl FnOnce(*mut c_void, *mut usize) -> c_int,
) -> Option<Vec<u8>> {
    let mut buffer = vec![UNTOUCHED; room + 16];
    let mut len = room;
    let told = match null {
        true => call(ptr::null_mut(), &mut len),
        false => call(buffer.as_mut_ptr().cast(), &mut len),
    };
    let told = done(told, if null { &[EFAULT] } else { &[EINVAL] });
    assert!(len <= room && (told || len == room), "{len} of {room}");
    let (inside, behind) = buffer.split_at(room);
    assert!(behind.iter().all(|&octet| octet == UNTOUCHED));
    let rest = if told { 0 } else { UNTOUCHED };
    let unused = &inside[if told { len } else { 0 }..];
    assert!(unused.iter().all(|&octet| octet == rest));
    told.then(|| inside[..len].to_vec())
}

/// # Safety
/// The socket is open.
unsafe fn draft_calls(socket: *mut c_void, number: c_int, given: &Given<'_>) {
    let text = given.text();
    let faults = [EINVAL, ENOTSUP, EHOSTUNREACH];
    // SAFETY: passed on to the caller; there are so many bytes, and the text ends with a zero byte.
    unsafe {
        done(zmq_join(socket, text.as_ptr()), &faults);
        done(zmq_leave(socket, text.as_ptr()), &faults);
        done(zmq_disconnect_peer(socket, number.cast_unsigned()), &faults);
        let id: &[u8] = if given.null { &[] } else { given.bytes };
        let state = zmq_socket_get_peer_state(socket, id.as_ptr().cast(), id.len());
        assert!(state >= 0 || faults.contains(&zmq_errno()));
    }
}

/// What is told of a message and set in it.
fn messages(number: c_int, given: &Given<'_>) {
    let (mut first, mut second) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let (message, other): (*mut zmq_msg_t, *mut zmq_msg_t) =
        (first.as_mut_ptr(), second.as_mut_ptr());
    let (bytes, text) = (given.bytes, given.text());
    // SAFETY: there is room for two messages, which are set up before they are used; there are so
    // many bytes, or null; the text ends with a zero byte.
    unsafe {
        if !done(
            zmq_msg_init_buffer(message, given.pointer(), bytes.len()),
            &[EFAULT],
        ) {
            assert!(given.null && !bytes.is_empty());
            return;
        }
        assert_eq!(failure(zmq_msg_set(message, number, 1)), Some(EINVAL));
        let set = zmq_msg_set_routing_id(message, number.cast_unsigned());
        assert_eq!(done(set, &[EINVAL]), number != 0);
        assert_eq!(zmq_msg_set_group(message, text.as_ptr()), 0);
        assert_eq!(zmq_msg_init(other), 0);
        assert_eq!(zmq_msg_copy(other, message), 0);
        assert_eq!(zmq_msg_move(message, other), 0);
        let told = zmq_msg_get(message, number);
        assert!(told >= 0 || zmq_errno() == EINVAL);
        // What is known of a peer; it is from none.
        assert!(zmq_msg_gets(message, text.as_ptr()).is_null() && zmq_errno() == EINVAL);
        assert_eq!(zmq_msg_routing_id(message), number.cast_unsigned());
        let group = std::ffi::CStr::from_ptr(zmq_msg_group(message)).to_bytes();
        assert_eq!(group, &text.as_bytes()[..text.as_bytes().len().min(255)]);
        let data = zmq_msg_data(message).cast::<u8>();
        let body = std::slice::from_raw_parts(data, zmq_msg_size(message));
        assert_eq!(body, if given.null { &[] } else { bytes });
        for message in [message, other] {
            assert_eq!(zmq_msg_close(message), 0);
            assert_eq!(failure(zmq_msg_close(message)), Some(EFAULT));
        }
    }
}

/// The number that a failed call left.
fn failure(returned: c_int) -> Option<c_int> {
    (returned == -1).then(|| zmq_errno())
}

/// Whether a call did what it was asked for; if not, it was for one of these reasons.
#[track_caller]
fn done(returned: c_int, faults: &[c_int]) -> bool {
    match failure(returned) {
        None => assert_eq!(returned, 0),
        Some(number) => assert!(faults.contains(&number), "errno {number}"),
    }
    returned == 0
}
