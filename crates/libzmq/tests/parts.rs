//! Messages that are sent and received frame by frame, and what every function says to null.
//!
//! These call the functions from Rust; how C programs see them is in `programs.rs`.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::ptr::{null, null_mut};
use std::time::Duration;

use zmq::*;

const PAIR: c_int = 0;
const REQ: c_int = 3;
const REP: c_int = 4;
const ROUTER: c_int = 6;
const PULL: c_int = 7;
const PUSH: c_int = 8;
const STREAM: c_int = 11;

const DONTWAIT: c_int = 1;
const SNDMORE: c_int = 2;

const RCVMORE: c_int = 13;
const EVENTS: c_int = 15;
const LINGER: c_int = 17;
const RCVTIMEO: c_int = 27;
const SNDTIMEO: c_int = 28;
const LAST_ENDPOINT: c_int = 32;
const ROUTER_MANDATORY: c_int = 33;

const POLLIN: c_int = 1;
const POLLOUT: c_int = 2;

const EFSM: c_int = 156_384_763;

/// What a function returned, or what it left in `errno`.
fn outcome(returned: c_int) -> Result<c_int, c_int> {
    match returned {
        -1 => Err(zmq_errno()),
        value => Ok(value),
    }
}

struct Context(*mut c_void);

impl Context {
    fn new() -> Context {
        Context(zmq_ctx_new())
    }

    fn socket(&self, kind: c_int) -> Socket {
        // SAFETY: the context is open.
        let socket = Socket(unsafe { zmq_socket(self.0, kind) });
        socket.set(LINGER, 0);
        // What must come or go does so soon, or the test fails.
        socket.set(RCVTIMEO, 20_000);
        socket.set(SNDTIMEO, 20_000);
        socket
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        assert_eq!(unsafe { zmq_ctx_term(self.0) }, 0);
    }
}

struct Socket(*mut c_void);

impl Socket {
    fn set(&self, option: c_int, value: c_int) {
        // SAFETY: the socket is open and the value is an int.
        let set = unsafe { zmq_setsockopt(self.0, option, (&raw const value).cast(), 4) };
        assert_eq!(outcome(set), Ok(0));
    }

    fn number(&self, option: c_int) -> c_int {
        let (mut value, mut len) = (0 as c_int, 4);
        // SAFETY: the socket is open, and there is room for an int.
        let got = unsafe { zmq_getsockopt(self.0, option, (&raw mut value).cast(), &mut len) };
        assert_eq!(outcome(got), Ok(0));
        value
    }

    fn bind(&self, endpoint: &str) -> String {
        let endpoint = CString::new(endpoint).unwrap();
        let (mut text, mut len) = ([0u8; 256], 256);
        // SAFETY: the socket is open, and there is room for so many bytes.
        unsafe {
            assert_eq!(outcome(zmq_bind(self.0, endpoint.as_ptr())), Ok(0));
            let room = text.as_mut_ptr().cast();
            assert_eq!(zmq_getsockopt(self.0, LAST_ENDPOINT, room, &mut len), 0);
        }
        let text = CStr::from_bytes_until_nul(&text).unwrap();
        text.to_str().unwrap().to_owned()
    }

    fn connect(&self, endpoint: &str) {
        let endpoint = CString::new(endpoint).unwrap();
        // SAFETY: the socket is open.
        assert_eq!(unsafe { zmq_connect(self.0, endpoint.as_ptr()) }, 0);
    }

    fn send(&self, body: &[u8], flags: c_int) -> Result<c_int, c_int> {
        // SAFETY: the socket is open.
        outcome(unsafe { zmq_send(self.0, body.as_ptr().cast(), body.len(), flags) })
    }

    /// A frame, and whether more follow by word of the message and of the socket.
    fn recv(&self) -> (Vec<u8>, bool) {
        let mut message = Message::new(b"before");
        message.recv(self).unwrap();
        // SAFETY: the message is set up.
        let more = unsafe { zmq_msg_more(message.at()) } == 1;
        assert_eq!(self.number(RCVMORE), c_int::from(more));
        (message.body(), more)
    }

    fn message(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let (frame, more) = self.recv();
            frames.push(frame);
            if !more {
                return frames;
            }
        }
    }

    fn nothing(&self) {
        // SAFETY: the socket is open.
        let got = unsafe { zmq_recv(self.0, null_mut(), 0, DONTWAIT) };
        assert_eq!(outcome(got), Err(libc::EAGAIN));
    }

    fn close(self) {
        drop(self);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: the socket is open, and used no more.
        assert_eq!(unsafe { zmq_close(self.0) }, 0);
    }
}

struct Message(Box<MaybeUninit<zmq_msg_t>>);

impl Message {
    fn new(body: &[u8]) -> Message {
        let mut message = Message(Box::new(MaybeUninit::uninit()));
        // SAFETY: there is room for a message, and the body has so many bytes.
        let set_up = unsafe { zmq_msg_init_buffer(message.at(), body.as_ptr().cast(), body.len()) };
        assert_eq!(set_up, 0);
        message
    }

    fn at(&mut self) -> *mut zmq_msg_t {
        self.0.as_mut_ptr()
    }

    fn body(&mut self) -> Vec<u8> {
        let at = self.at();
        // SAFETY: the message is set up; its body has so many bytes.
        unsafe {
            std::slice::from_raw_parts(zmq_msg_data(at).cast::<u8>(), zmq_msg_size(at)).to_vec()
        }
    }

    fn send(&mut self, socket: &Socket, flags: c_int) -> Result<c_int, c_int> {
        // SAFETY: the message is set up, the socket open.
        outcome(unsafe { zmq_msg_send(self.at(), socket.0, flags) })
    }

    fn recv(&mut self, socket: &Socket) -> Result<c_int, c_int> {
        // SAFETY: the message is set up, the socket open.
        outcome(unsafe { zmq_msg_recv(self.at(), socket.0, 0) })
    }

    fn property(&mut self, name: &CStr) -> Option<String> {
        // SAFETY: the message is set up; the text lives as long as it.
        unsafe {
            let text = zmq_msg_gets(self.at(), name.as_ptr());
            (!text.is_null()).then(|| CStr::from_ptr(text).to_str().unwrap().to_owned())
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is set up.
        assert_eq!(unsafe { zmq_msg_close(self.at()) }, 0);
    }
}

/// Bodies that are kept inside a message, and outside.
const LENGTHS: [usize; 3] = [1, 40, 5_000];

#[test]
fn a_frame_that_is_refused_first_stays_in_its_message() {
    for len in LENGTHS {
        let context = Context::new();
        let push = context.socket(PUSH);
        let mut frame = Message::new(&vec![7; len]);
        for flags in [DONTWAIT | SNDMORE, DONTWAIT] {
            assert_eq!(frame.send(&push, flags), Err(libc::EAGAIN));
            assert_eq!(frame.body(), vec![7; len]);
        }
        // Nothing of it is left in the socket.
        let pull = context.socket(PULL);
        push.connect(&pull.bind("inproc://first"));
        assert_eq!(push.send(b"whole", 0), Ok(5));
        assert_eq!(pull.message(), [b"whole"]);
        assert_eq!(frame.send(&push, SNDMORE), Ok(len as c_int));
        assert_eq!(frame.body(), b"", "it was taken");
        assert_eq!(push.send(b"end", 0), Ok(3));
        assert_eq!(pull.message(), [vec![7; len], b"end".to_vec()]);
    }
}

/// The peer goes while a message for it is under way: the last frame and those before it stay, and go
/// to the next peer as one message.
#[test]
fn a_frame_that_is_refused_last_stays_and_those_before_it_too() {
    for len in LENGTHS {
        let context = Context::new();
        let (push, pull) = (context.socket(PUSH), context.socket(PULL));
        push.connect(&pull.bind("inproc://one"));
        assert_eq!(push.send(b"a", SNDMORE), Ok(1));
        assert_eq!(push.send(b"b", SNDMORE), Ok(1));
        pull.nothing();
        pull.close();
        let mut last = Message::new(&vec![9; len]);
        for _ in 0..2 {
            assert_eq!(last.send(&push, DONTWAIT), Err(libc::EAGAIN));
            assert_eq!(last.body(), vec![9; len]);
        }
        let pull = context.socket(PULL);
        push.connect(&pull.bind("inproc://two"));
        assert_eq!(last.send(&push, 0), Ok(len as c_int));
        assert_eq!(pull.message(), [b"a".to_vec(), b"b".to_vec(), vec![9; len]]);
        pull.nothing();
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_the_first_frame() {
    let context = Context::new();
    let router = context.socket(ROUTER);
    router.set(ROUTER_MANDATORY, 1);
    let mut nobody = Message::new(b"nobody");
    assert_eq!(
        nobody.send(&router, SNDMORE | DONTWAIT),
        Err(libc::EHOSTUNREACH)
    );
    assert_eq!(nobody.body(), b"nobody");

    let (rep, req) = (context.socket(REP), context.socket(REQ));
    req.connect(&rep.bind("inproc://turns"));
    assert_eq!(rep.send(b"unasked", SNDMORE | DONTWAIT), Err(EFSM));
    let mut room = Message::new(b"");
    assert_eq!(room.recv(&req), Err(EFSM));
    assert_eq!(req.send(b"a", SNDMORE), Ok(1));
    assert_eq!(room.recv(&req), Err(EFSM), "the question is not complete");
    assert_eq!(req.send(b"b", 0), Ok(1));
    assert_eq!(req.send(b"c", SNDMORE | DONTWAIT), Err(EFSM));
    assert_eq!(rep.recv(), (b"a".to_vec(), true));
    assert_eq!(rep.recv(), (b"b".to_vec(), false));
    assert_eq!(rep.send(b"answer", 0), Ok(6));
    assert_eq!(req.message(), [b"answer"]);
}

#[test]
fn events_count_the_frames_that_are_under_way() {
    let context = Context::new();
    let (a, b) = (context.socket(PAIR), context.socket(PAIR));
    a.connect(&b.bind("inproc://events"));
    assert_eq!((a.number(EVENTS), b.number(EVENTS)), (POLLOUT, POLLOUT));
    for frame in [b"x", b"y"] {
        a.send(frame, SNDMORE).unwrap();
        assert_eq!((a.number(EVENTS), b.number(EVENTS)), (POLLOUT, POLLOUT));
    }
    a.send(b"z", 0).unwrap();
    for (frame, more) in [(b"x", true), (b"y", true), (b"z", false)] {
        assert_eq!(b.number(EVENTS), POLLIN | POLLOUT);
        assert_eq!(b.recv(), (frame.to_vec(), more));
    }
    assert_eq!((b.number(EVENTS), b.number(RCVMORE)), (POLLOUT, 0));
    // The rest of a message can be given even if nobody is left to take it.
    a.send(b"x", SNDMORE).unwrap();
    b.close();
    assert_eq!(a.number(EVENTS), POLLOUT);
}

#[test]
fn a_stream_sends_and_receives_in_twos() {
    let context = Context::new();
    let stream = context.socket(STREAM);
    let endpoint = stream.bind("tcp://127.0.0.1:*");
    let mut client = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (id, more) = stream.recv();
    assert!(more && id.len() == 5);
    assert_eq!(stream.recv(), (vec![], false), "it has come");
    client.write_all(b"hello").unwrap();
    assert_eq!(stream.message(), [id.clone(), b"hello".to_vec()]);
    // The second frame is the last, whatever the flag says; one alone says nothing.
    for flags in [0, SNDMORE] {
        assert_eq!(stream.send(&id, 0), Ok(5));
        assert_eq!(stream.send(&id, SNDMORE), Ok(5));
        assert_eq!(stream.send(b"world", flags), Ok(5));
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"world");
    }
    assert_eq!(
        stream.send(b"nobody", SNDMORE | DONTWAIT),
        Err(libc::EHOSTUNREACH)
    );
}

#[test]
fn a_message_knows_its_peer_when_everything_is_gone() {
    for len in LENGTHS {
        let context = Context::new();
        let (push, pull) = (context.socket(PUSH), context.socket(PULL));
        push.connect(&pull.bind("tcp://127.0.0.1:*"));
        push.send(b"first", SNDMORE).unwrap();
        push.send(&vec![3; len], 0).unwrap();
        let (mut first, mut second) = (Message::new(b""), Message::new(b""));
        first.recv(&pull).unwrap();
        push.close();
        second.recv(&pull).unwrap();
        pull.close();
        drop(context);
        for message in [&mut first, &mut second] {
            assert_eq!(message.property(c"Socket-Type").as_deref(), Some("PUSH"));
            let address = message.property(c"Peer-Address");
            assert_eq!(address.as_deref(), Some("127.0.0.1"));
            assert_eq!(message.property(c"No-Such"), None);
            assert_eq!(zmq_errno(), libc::EINVAL);
        }
        assert_eq!(second.body(), vec![3; len]);
        // A copy knows it, a sent one does not.
        let mut copy = Message::new(b"");
        // SAFETY: both are set up.
        assert_eq!(unsafe { zmq_msg_copy(copy.at(), second.at()) }, 0);
        assert_eq!(copy.property(c"Socket-Type").as_deref(), Some("PUSH"));
    }
}

/// A number that no function leaves in `errno`.
const UNTOUCHED: c_int = 99_999;

/// One line a call: what it returns as a truth (did it fail?), and the number that it leaves.
macro_rules! nulls {
    ($($call:expr => $failed:expr, $errno:expr;)*) => {
        $({
            // SAFETY: the location is this thread's own.
            unsafe { *libc::__errno_location() = UNTOUCHED };
            // SAFETY: null is refused, by contract.
            let returned = unsafe { $call };
            #[allow(clippy::cmp_null, reason = "what a failure returns is a number for most functions")]
            let failed = returned == $failed;
            assert!(failed, "{} did not fail", stringify!($call));
            assert_eq!(zmq_errno(), $errno, "{}", stringify!($call));
        })*
    };
}

#[test]
fn null_is_refused_by_every_function() {
    use libc::{EFAULT, EINVAL, ENOTSOCK};
    let (none, text) = (null_mut::<c_void>(), null());
    let nothing = null_mut::<*mut c_void>();
    nulls! {
        zmq_ctx_term(none) => -1, EFAULT;
        zmq_term(none) => -1, EFAULT;
        zmq_ctx_destroy(none) => -1, EFAULT;
        zmq_ctx_shutdown(none) => -1, EFAULT;
        zmq_ctx_set(none, 1, 1) => -1, EFAULT;
        zmq_ctx_get(none, 1) => -1, EFAULT;
        zmq_ctx_set_ext(none, 1, null(), 0) => -1, EFAULT;
        zmq_ctx_get_ext(none, 1, none, null_mut()) => -1, EFAULT;
        zmq_socket(none, PULL) => null_mut(), EFAULT;
        zmq_close(none) => -1, ENOTSOCK;
        zmq_bind(none, text) => -1, ENOTSOCK;
        zmq_connect(none, text) => -1, ENOTSOCK;
        zmq_unbind(none, text) => -1, ENOTSOCK;
        zmq_disconnect(none, text) => -1, ENOTSOCK;
        zmq_setsockopt(none, LINGER, null(), 0) => -1, ENOTSOCK;
        zmq_getsockopt(none, LINGER, none, null_mut()) => -1, ENOTSOCK;
        zmq_send(none, null(), 0, 0) => -1, ENOTSOCK;
        zmq_send_const(none, null(), 0, 0) => -1, ENOTSOCK;
        zmq_recv(none, none, 0, 0) => -1, ENOTSOCK;
        zmq_msg_send(null_mut(), none, 0) => -1, ENOTSOCK;
        zmq_msg_recv(null_mut(), none, 0) => -1, ENOTSOCK;
        zmq_sendmsg(none, null_mut(), 0) => -1, ENOTSOCK;
        zmq_recvmsg(none, null_mut(), 0) => -1, ENOTSOCK;
        zmq_sendiov(none, null_mut(), 0, 0) => -1, ENOTSOCK;
        zmq_recviov(none, null_mut(), null_mut(), 0) => -1, ENOTSOCK;
        zmq_join(none, text) => -1, ENOTSOCK;
        zmq_leave(none, text) => -1, ENOTSOCK;
        zmq_connect_peer(none, text) => 0, ENOTSOCK;
        zmq_disconnect_peer(none, 0) => -1, ENOTSOCK;
        zmq_socket_get_peer_state(none, null(), 0) => -1, ENOTSOCK;
        zmq_socket_monitor(none, text, 0) => -1, ENOTSOCK;
        zmq_socket_monitor_versioned(none, text, 0, 1, PAIR) => -1, ENOTSOCK;
        zmq_socket_monitor_pipes_stats(none) => -1, ENOTSOCK;
        zmq_msg_init(null_mut()) => -1, EFAULT;
        zmq_msg_init_size(null_mut(), 9) => -1, EFAULT;
        zmq_msg_init_buffer(null_mut(), null(), 0) => -1, EFAULT;
        zmq_msg_init_data(null_mut(), none, 1, None, none) => -1, EFAULT;
        zmq_msg_close(null_mut()) => -1, EFAULT;
        zmq_msg_move(null_mut(), null_mut()) => -1, EFAULT;
        zmq_msg_copy(null_mut(), null_mut()) => -1, EFAULT;
        zmq_msg_data(null_mut()) => null_mut(), EFAULT;
        zmq_msg_size(null()) => 0, EFAULT;
        zmq_msg_more(null()) => -1, EFAULT;
        zmq_msg_get(null(), 1) => -1, EFAULT;
        zmq_msg_set(null_mut(), 1, 1) => -1, EINVAL;
        zmq_msg_gets(null(), text) => null(), EFAULT;
        zmq_msg_set_routing_id(null_mut(), 1) => -1, EFAULT;
        zmq_msg_routing_id(null_mut()) => 0, EFAULT;
        zmq_msg_set_group(null_mut(), text) => -1, EFAULT;
        zmq_msg_group(null_mut()) => null(), EFAULT;
        zmq_poll(null_mut(), 1, 0) => -1, EFAULT;
        zmq_ppoll(null_mut(), 1, 0, null()) => -1, EFAULT;
        zmq_poller_destroy(nothing) => -1, EFAULT;
        zmq_poller_size(none) => -1, EFAULT;
        zmq_poller_add(none, none, none, 1) => -1, EFAULT;
        zmq_poller_modify(none, none, 1) => -1, EFAULT;
        zmq_poller_remove(none, none) => -1, EFAULT;
        zmq_poller_add_fd(none, 0, none, 1) => -1, EFAULT;
        zmq_poller_modify_fd(none, 0, 1) => -1, EFAULT;
        zmq_poller_remove_fd(none, 0) => -1, EFAULT;
        zmq_poller_wait(none, null_mut(), 0) => -1, EFAULT;
        zmq_poller_wait_all(none, null_mut(), 0, 0) => -1, EFAULT;
        zmq_poller_fd(none, null_mut()) => -1, EFAULT;
        zmq_proxy(none, none, none) => -1, EFAULT;
        zmq_proxy_steerable(none, none, none, none) => -1, EFAULT;
        zmq_device(0, none, none) => -1, EFAULT;
        zmq_z85_encode(null_mut(), null(), 4) => null_mut(), EFAULT;
        zmq_z85_decode(null_mut(), text) => null_mut(), EINVAL;
        zmq_curve_keypair(null_mut(), null_mut()) => -1, EFAULT;
        zmq_curve_public(null_mut(), text) => -1, EFAULT;
        zmq_timers_destroy(nothing) => -1, EFAULT;
        zmq_timers_add(none, 1, None, none) => -1, EFAULT;
        zmq_timers_cancel(none, 1) => -1, EFAULT;
        zmq_timers_set_interval(none, 1, 1) => -1, EFAULT;
        zmq_timers_reset(none, 1) => -1, EFAULT;
        zmq_timers_timeout(none) => -1, EFAULT;
        zmq_timers_execute(none) => -1, EFAULT;
        zmq_threadstart(None, none) => null_mut(), EFAULT;
        zmq_atomic_counter_inc(none) => 0, EFAULT;
        zmq_atomic_counter_value(none) => 0, EFAULT;
    }
}

/// The functions whose other arguments are right.
#[test]
fn null_beside_a_right_argument_is_refused() {
    use libc::{EFAULT, EINVAL};
    let context = Context::new();
    let pull = context.socket(PULL);
    let mut message = Message::new(b"x");
    let (open, at) = (pull.0, message.at());
    nulls! {
        zmq_bind(open, null()) => -1, EINVAL;
        zmq_connect(open, null()) => -1, EINVAL;
        zmq_unbind(open, null()) => -1, EINVAL;
        zmq_getsockopt(open, LINGER, null_mut(), null_mut()) => -1, EFAULT;
        zmq_setsockopt(open, LINGER, null(), 4) => -1, EINVAL;
        zmq_ctx_set_ext(context.0, 1, null(), 4) => -1, EFAULT;
        zmq_ctx_get_ext(context.0, 1, null_mut(), null_mut()) => -1, EFAULT;
        zmq_send(open, null(), 1, 0) => -1, EFAULT;
        zmq_send_const(open, null(), 1, 0) => -1, EFAULT;
        zmq_recv(open, null_mut(), 1, 0) => -1, EFAULT;
        zmq_msg_send(null_mut(), open, 0) => -1, EFAULT;
        zmq_msg_recv(null_mut(), open, 0) => -1, EFAULT;
        zmq_sendiov(open, null_mut(), 1, 0) => -1, EINVAL;
        zmq_recviov(open, null_mut(), null_mut(), 0) => -1, EINVAL;
        zmq_msg_move(at, null_mut()) => -1, EFAULT;
        zmq_msg_copy(null_mut(), at) => -1, EFAULT;
        zmq_msg_gets(at, null()) => null(), EINVAL;
        zmq_proxy(open, null_mut(), null_mut()) => -1, EFAULT;
    }
    assert_eq!(message.body(), b"x");
}
