//! Debian's libzmq5, loaded at run time, behind a small wrapper for tests and benchmarks.
//!
//! [`Library::load`] finds the library, [`Library::context`] and [`Context::socket`] make what its
//! manual calls by these names, and a [`Socket`] sends and receives multipart messages. Everything
//! is closed on drop: a socket when it goes, the context with the last of its sockets.
//!
//! A socket made by [`Context::socket`] cannot hang a test: its blocking calls give up after
//! [`PATIENCE`] with `EAGAIN`, and closing it waits at most a second for unsent messages.
//! [`Context::plain_socket`] leaves every default as the library has it, for benchmarks.
//!
//! For throughput, [`Socket::send_many`], [`Socket::recv_many`], [`Socket::send_frame`] and
//! [`Socket::recv_frame`] call `zmq_send` and `zmq_recv` on the caller's own buffer.
//!
//! A `Socket` is `Send`, so that it may move to another thread, and not `Sync`: libzmq's sockets
//! are for one thread at a time.

mod ffi;
mod numbers;

pub use numbers::*;

use std::cell::Cell;
use std::error::Error as _;
use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ffi::{Functions, Part};

/// How long a blocking call of a test's socket waits before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(10);

const FILE: &str = "libzmq.so.5";
/// Enough for every option that is not a number: the longest are endpoints and welcome messages.
const LONGEST_OPTION: usize = 1024;

/// The C library, loaded and complete.
pub struct Library {
    functions: Functions,
}

impl Library {
    /// Loads libzmq, once; a failure is not remembered.
    ///
    /// # Errors
    /// What is missing, and how to install it.
    pub fn load() -> Result<&'static Library, String> {
        static LOADED: OnceLock<Library> = OnceLock::new();
        if let Some(library) = LOADED.get() {
            return Ok(library);
        }
        let library = Library::open(FILE).map_err(|cause| {
            format!("libzmq cannot be loaded ({cause}): install it with `apt-get install libzmq5`")
        })?;
        Ok(LOADED.get_or_init(|| library))
    }

    /// Loads another library with the same functions from a file, once more with every call.
    ///
    /// # Errors
    /// What is missing.
    pub fn load_from(file: &str) -> Result<&'static Library, String> {
        Ok(Box::leak(Box::new(Library::open(file)?)))
    }

    fn open(file: &str) -> Result<Library, String> {
        let functions = Functions::open(file).map_err(|error| {
            let cause = error.source();
            cause.map_or_else(|| error.to_string(), ToString::to_string)
        })?;
        Ok(Library { functions })
    }

    /// The version of the library: major, minor, patch.
    pub fn version(&self) -> (i32, i32, i32) {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three valid places for an int each.
        unsafe { (self.functions.zmq_version)(&mut major, &mut minor, &mut patch) };
        (major, minor, patch)
    }

    /// A new context.
    ///
    /// # Panics
    /// If libzmq has no memory for it.
    pub fn context(&'static self) -> Context {
        // SAFETY: takes nothing.
        let raw = unsafe { (self.functions.zmq_ctx_new)() };
        assert!(!raw.is_null(), "{}", self.error("zmq_ctx_new", ""));
        Context(Arc::new(RawContext { library: self, raw }))
    }

    /// The error that the call before this one, on this thread, has left.
    fn error(&self, call: &'static str, about: &str) -> Error {
        // SAFETY: both functions take any value; the string is static.
        let (errno, text) = unsafe {
            let errno = (self.functions.zmq_errno)();
            let text = CStr::from_ptr((self.functions.zmq_strerror)(errno));
            (errno, text.to_string_lossy().into_owned())
        };
        Error {
            call,
            about: about.to_owned(),
            errno,
            text,
        }
    }

    fn check(&self, status: c_int, call: &'static str, about: &str) -> Result<usize, Error> {
        usize::try_from(status).map_err(|_| self.error(call, about))
    }
}

/// A call of libzmq that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The C function.
    pub call: &'static str,
    /// The endpoint or option that it was about, or nothing.
    pub about: String,
    /// The error number, as [`EAGAIN`].
    pub errno: i32,
    text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error {
            call,
            about,
            errno,
            text,
        } = self;
        let space = if about.is_empty() { "" } else { " " };
        write!(f, "{call}{space}{about}: {text} (errno {errno})")
    }
}

impl std::error::Error for Error {}

/// A context of libzmq. A clone is the same context; it is terminated with the last of its
/// clones and sockets.
#[derive(Clone)]
pub struct Context(Arc<RawContext>);

struct RawContext {
    library: &'static Library,
    raw: *mut c_void,
}

// SAFETY: libzmq's contexts are thread safe.
unsafe impl Send for RawContext {}
// SAFETY: as above.
unsafe impl Sync for RawContext {}

impl Context {
    /// A socket for tests, of the type given by its number as [`PUSH`]: it waits [`PATIENCE`]
    /// and lingers for a second.
    ///
    /// # Errors
    /// `EINVAL` for an unknown type, `EMFILE` for too many sockets, `ETERM` after a shutdown.
    pub fn socket(&self, kind: i32) -> Result<Socket, Error> {
        let socket = self.plain_socket(kind)?;
        let patience = i32::try_from(PATIENCE.as_millis()).expect("some seconds");
        socket.set_int(RCVTIMEO, patience)?;
        socket.set_int(SNDTIMEO, patience)?;
        socket.set_int(LINGER, 1000)?;
        Ok(socket)
    }

    /// A socket whose options are the library's own: it waits, and lingers, for ever.
    ///
    /// # Errors
    /// As [`Context::socket`].
    pub fn plain_socket(&self, kind: i32) -> Result<Socket, Error> {
        let library = self.0.library;
        // SAFETY: the context is alive as long as `self.0`.
        let raw = unsafe { (library.functions.zmq_socket)(self.0.raw, kind) };
        if raw.is_null() {
            return Err(library.error("zmq_socket", &format!("of type {kind}")));
        }
        Ok(Socket {
            raw,
            context: self.clone(),
            not_sync: PhantomData,
        })
    }

    /// Sets a context option by its number (`zmq_ctx_set`).
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or value.
    pub fn set(&self, option: i32, value: i32) -> Result<(), Error> {
        let library = self.0.library;
        // SAFETY: the context is alive as long as `self.0`.
        let status = unsafe { (library.functions.zmq_ctx_set)(self.0.raw, option, value) };
        library.check(status, "zmq_ctx_set", &format!("option {option}"))?;
        Ok(())
    }

    /// Ends every blocked call of the context's sockets with `ETERM`.
    pub fn shutdown(&self) {
        // SAFETY: the context is alive as long as `self.0`; the call may come from any thread.
        unsafe { (self.0.library.functions.zmq_ctx_shutdown)(self.0.raw) };
    }
}

impl Drop for RawContext {
    fn drop(&mut self) {
        // SAFETY: every socket held this context, so all are closed, and nobody else has it.
        while unsafe { (self.library.functions.zmq_ctx_term)(self.raw) } != 0
            && self.library.error("zmq_ctx_term", "").errno == EINTR
        {}
    }
}

/// A socket of libzmq, closed on drop.
pub struct Socket {
    raw: *mut c_void,
    context: Context,
    not_sync: PhantomData<Cell<()>>,
}

// SAFETY: libzmq lets a socket move between threads with a full fence, which every way of moving
// a value to another thread has.
unsafe impl Send for Socket {}

impl Socket {
    /// Binds, and returns the endpoint that it became (`tcp://127.0.0.1:*` gets a port).
    ///
    /// # Errors
    /// `EADDRINUSE`, `EINVAL` for a bad endpoint, and others of `zmq_bind`.
    pub fn bind(&self, endpoint: &str) -> Result<String, Error> {
        self.endpoint_call(self.functions().zmq_bind, "zmq_bind", endpoint)?;
        self.last_endpoint()
    }

    /// Connects, in the background.
    ///
    /// # Errors
    /// Those of `zmq_connect`, as `EINVAL` for a bad endpoint.
    pub fn connect(&self, endpoint: &str) -> Result<(), Error> {
        self.endpoint_call(self.functions().zmq_connect, "zmq_connect", endpoint)
    }

    /// Takes back a bind.
    ///
    /// # Errors
    /// `ENOENT` where the socket is not bound to this endpoint.
    pub fn unbind(&self, endpoint: &str) -> Result<(), Error> {
        self.endpoint_call(self.functions().zmq_unbind, "zmq_unbind", endpoint)
    }

    /// Takes back a connect.
    ///
    /// # Errors
    /// `ENOENT` where the socket is not connected to this endpoint.
    pub fn disconnect(&self, endpoint: &str) -> Result<(), Error> {
        self.endpoint_call(self.functions().zmq_disconnect, "zmq_disconnect", endpoint)
    }

    /// The last endpoint that the socket was bound or connected to.
    ///
    /// # Errors
    /// `ETERM`.
    pub fn last_endpoint(&self) -> Result<String, Error> {
        let mut bytes = self.bytes(LAST_ENDPOINT)?;
        bytes.pop();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sets an option whose value is an int.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or value.
    pub fn set_int(&self, option: i32, value: i32) -> Result<(), Error> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    /// Sets an option whose value is bytes; the 64-bit ones as `&value.to_ne_bytes()`.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option or value.
    pub fn set_bytes(&self, option: i32, value: &[u8]) -> Result<(), Error> {
        // SAFETY: the socket is open, and `value` is as long as told.
        let status = unsafe {
            (self.functions().zmq_setsockopt)(self.raw, option, value.as_ptr().cast(), value.len())
        };
        self.check(status, "zmq_setsockopt", &format!("option {option}"))?;
        Ok(())
    }

    /// Closing the socket throws unsent messages away.
    ///
    /// # Errors
    /// `ETERM`.
    pub fn set_no_linger(&self) -> Result<(), Error> {
        self.set_int(LINGER, 0)
    }

    /// Subscribes a SUB to what begins with `prefix`.
    ///
    /// # Errors
    /// `EINVAL` for another type.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), Error> {
        self.set_bytes(SUBSCRIBE, prefix.as_ref())
    }

    /// The value of an option that is an int.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option, or one that is not an int.
    pub fn int(&self, option: i32) -> Result<i32, Error> {
        let mut value = [0; 4];
        self.option(option, &mut value)?;
        Ok(i32::from_ne_bytes(value))
    }

    /// The value of an option that has 64 bits, as `MAXMSGSIZE`.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option, or one that has not 64 bits.
    pub fn long(&self, option: i32) -> Result<i64, Error> {
        let mut value = [0; 8];
        self.option(option, &mut value)?;
        Ok(i64::from_ne_bytes(value))
    }

    /// The value of an option that is bytes or text; a text ends with its NUL.
    ///
    /// # Errors
    /// `EINVAL` for an unknown option, or one that is a number.
    pub fn bytes(&self, option: i32) -> Result<Vec<u8>, Error> {
        let mut value = vec![0; LONGEST_OPTION];
        let length = self.option(option, &mut value)?;
        value.truncate(length);
        Ok(value)
    }

    /// Sends one message of these parts; `flags` is 0 or [`DONTWAIT`].
    ///
    /// # Errors
    /// `EAGAIN` at the high-water mark or without a peer, `EFSM`, `EHOSTUNREACH`, `ENOTSUP`,
    /// `ETERM`.
    pub fn send<P: AsRef<[u8]>>(&self, parts: &[P], flags: i32) -> Result<(), Error> {
        for (index, part) in parts.iter().enumerate() {
            let more = if index + 1 < parts.len() { SNDMORE } else { 0 };
            self.send_frame(part.as_ref(), flags | more)?;
        }
        Ok(())
    }

    /// Receives one message, all its parts, and waits for it as `RCVTIMEO` tells.
    ///
    /// # Errors
    /// `EAGAIN` when the time is up, `EFSM`, `ENOTSUP`, `ETERM`.
    pub fn recv(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.recv_parts(0)
    }

    /// Receives one message if there is one.
    ///
    /// # Errors
    /// `EAGAIN` when there is none, `EFSM`, `ENOTSUP`, `ETERM`.
    pub fn try_recv(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.recv_parts(DONTWAIT)
    }

    /// Sends one frame from the caller's buffer (`zmq_send`).
    ///
    /// # Errors
    /// As [`Socket::send`].
    #[inline]
    pub fn send_frame(&self, body: &[u8], flags: i32) -> Result<(), Error> {
        self.uninterrupted("zmq_send", || {
            // SAFETY: the socket is open, and `body` is as long as told.
            unsafe {
                (self.functions().zmq_send)(self.raw, body.as_ptr().cast(), body.len(), flags)
            }
        })?;
        Ok(())
    }

    /// Receives one frame into the caller's buffer (`zmq_recv`), and returns its size, which is
    /// more than the buffer's where the frame was cut.
    ///
    /// # Errors
    /// As [`Socket::recv`].
    #[inline]
    pub fn recv_frame(&self, buffer: &mut [u8], flags: i32) -> Result<usize, Error> {
        let (start, room) = (buffer.as_mut_ptr(), buffer.len());
        self.uninterrupted("zmq_recv", || {
            // SAFETY: the socket is open, and `buffer` has that much room.
            unsafe { (self.functions().zmq_recv)(self.raw, start.cast(), room, flags) }
        })
    }

    /// Sends the same one-frame message `count` times.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_many(&self, body: &[u8], count: usize) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.send_frame(body, 0))
    }

    /// Receives `count` one-frame messages into the same buffer, and returns the sum of their
    /// sizes.
    ///
    /// # Errors
    /// As [`Socket::recv`].
    pub fn recv_many(&self, buffer: &mut [u8], count: usize) -> Result<usize, Error> {
        (0..count).try_fold(0, |sum, _| Ok(sum + self.recv_frame(buffer, 0)?))
    }

    /// Passes messages between this socket and another until their context ends (`zmq_proxy`).
    ///
    /// # Errors
    /// `ETERM`, always.
    pub fn proxy(&self, other: &Socket) -> Error {
        // SAFETY: both sockets are open, and no third one captures.
        unsafe { (self.functions().zmq_proxy)(self.raw, other.raw, ptr::null_mut()) };
        self.context.0.library.error("zmq_proxy", "")
    }

    /// Watches the connections of this socket from now on.
    ///
    /// # Errors
    /// `ETERM`.
    pub fn monitor(&self) -> Result<Monitor, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let endpoint = format!("inproc://monitor-{number}");
        let place = text(&endpoint);
        // SAFETY: the socket is open, and `place` a C string.
        let status = unsafe {
            let monitor = self.functions().zmq_socket_monitor;
            monitor(self.raw, place.as_ptr(), EVENT_ALL.into())
        };
        self.check(status, "zmq_socket_monitor", &endpoint)?;
        let pair = self.context.socket(PAIR)?;
        pair.connect(&endpoint)?;
        Ok(Monitor { pair })
    }

    /// Reads an option into `value` and returns its length. libzmq wants the exact room for a
    /// number.
    fn option(&self, option: i32, value: &mut [u8]) -> Result<usize, Error> {
        let mut length = value.len();
        // SAFETY: the socket is open, and `value` has room for `length` bytes.
        let status = unsafe {
            let getsockopt = self.functions().zmq_getsockopt;
            getsockopt(self.raw, option, value.as_mut_ptr().cast(), &mut length)
        };
        self.check(status, "zmq_getsockopt", &format!("option {option}"))?;
        Ok(length)
    }

    fn recv_parts(&self, flags: i32) -> Result<Vec<Vec<u8>>, Error> {
        let mut parts = Vec::new();
        loop {
            let (body, more) = self.recv_part(flags)?;
            parts.push(body);
            if !more {
                return Ok(parts);
            }
        }
    }

    /// One part, of any size, and whether more follow.
    fn recv_part(&self, flags: i32) -> Result<(Vec<u8>, bool), Error> {
        let functions = self.functions();
        let mut part = Part([0; 64]);
        // SAFETY: `part` has the size and alignment of a zmq_msg_t.
        unsafe { (functions.zmq_msg_init)(&mut part) };
        let received = self.uninterrupted("zmq_msg_recv", || {
            // SAFETY: the socket is open, and `part` was initialised and stays where it is.
            unsafe { (functions.zmq_msg_recv)(&mut part, self.raw, flags) }
        });
        // SAFETY: `part` is initialised, empty where nothing came.
        let (start, size, more) = unsafe {
            (
                (functions.zmq_msg_data)(&mut part).cast::<u8>(),
                (functions.zmq_msg_size)(&part),
                (functions.zmq_msg_more)(&part) != 0,
            )
        };
        let mut body = Vec::with_capacity(size);
        // SAFETY: `start` has `size` bytes until the close, which comes last and once.
        unsafe {
            ptr::copy_nonoverlapping(start, body.as_mut_ptr(), size);
            body.set_len(size);
            (functions.zmq_msg_close)(&mut part);
        }
        received.map(|_| (body, more))
    }

    fn endpoint_call(
        &self,
        function: unsafe extern "C" fn(*mut c_void, *const std::ffi::c_char) -> c_int,
        call: &'static str,
        endpoint: &str,
    ) -> Result<(), Error> {
        let place = text(endpoint);
        // SAFETY: the socket is open, and `place` a C string.
        let status = unsafe { function(self.raw, place.as_ptr()) };
        self.check(status, call, endpoint)?;
        Ok(())
    }

    /// Repeats the call while a signal interrupts it.
    #[inline]
    fn uninterrupted(
        &self,
        call: &'static str,
        mut attempt: impl FnMut() -> c_int,
    ) -> Result<usize, Error> {
        loop {
            match self.check(attempt(), call, "") {
                Err(error) if error.errno == EINTR => {}
                result => return result,
            }
        }
    }

    #[inline]
    fn check(&self, status: c_int, call: &'static str, about: &str) -> Result<usize, Error> {
        self.context.0.library.check(status, call, about)
    }

    #[inline]
    fn functions(&self) -> &'static Functions {
        &self.context.0.library.functions
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: the socket is open, and closed only here.
        unsafe { (self.functions().zmq_close)(self.raw) };
    }
}

/// What happens to a socket's connections.
pub struct Monitor {
    pair: Socket,
}

/// One event of a [`Monitor`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which, as [`EVENT_HANDSHAKE_SUCCEEDED`].
    pub number: u16,
    /// A descriptor, an error number or an interval, as the event has it.
    pub value: u32,
    /// The endpoint it is about.
    pub endpoint: String,
}

impl Monitor {
    /// The next event, waited for as long as [`PATIENCE`].
    ///
    /// # Errors
    /// As [`Socket::recv`].
    ///
    /// # Panics
    /// If libzmq sends something else than an event.
    pub fn recv(&self) -> Result<Event, Error> {
        let parts = self.pair.recv()?;
        let [what, endpoint] = &parts[..] else {
            panic!("an event has two frames: {parts:?}")
        };
        let (number, value) = what.split_first_chunk().expect("two bytes");
        Ok(Event {
            number: u16::from_ne_bytes(*number),
            value: u32::from_ne_bytes(value.try_into().expect("four bytes")),
            endpoint: String::from_utf8_lossy(endpoint).into_owned(),
        })
    }

    /// The next event with this number; those before it are dropped.
    ///
    /// # Errors
    /// As [`Monitor::recv`].
    pub fn wait_for(&self, number: u16) -> Result<Event, Error> {
        loop {
            let event = self.recv()?;
            if event.number == number {
                return Ok(event);
            }
        }
    }
}

fn text(endpoint: &str) -> CString {
    CString::new(endpoint).expect("an endpoint without NUL")
}
