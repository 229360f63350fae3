//! The peers themselves: what every other interop test stands on.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use xebec_peers::libzmq::{
    self, DEALER, DONTWAIT, EADDRINUSE, EAGAIN, EFSM, EINVAL, ETERM, EVENT_DISCONNECTED,
    EVENT_HANDSHAKE_SUCCEEDED, MAXMSGSIZE, PUB, PULL, PUSH, RCVHWM, REP, REQ, ROUTER, ROUTING_ID,
    SNDHWM, SUB, TYPE,
};
use xebec_peers::python::PythonPeer;
use xebec_peers::{libzmq_or_skip, python_or_skip};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn libzmq_has_a_version() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let (major, minor, _) = zmq.version();
    assert!((major, minor) >= (4, 3), "{:?}", zmq.version());
}

#[test]
fn libzmq_speaks_to_itself_over_tcp() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let pull = context.socket(PULL).unwrap();
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    assert!(endpoint.starts_with("tcp://127.0.0.1:"), "{endpoint}");
    assert!(!endpoint.ends_with('*') && !endpoint.ends_with('\0'));
    let push = context.socket(PUSH).unwrap();
    push.connect(&endpoint).unwrap();

    push.send(&["one", "", "three"], 0).unwrap();
    assert_eq!(pull.recv().unwrap(), [&b"one"[..], b"", b"three"]);
    let large = vec![7; 100_000];
    push.send(&[&large], 0).unwrap();
    assert_eq!(pull.recv().unwrap(), [large]);
}

#[test]
fn a_routing_id_names_the_peer() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let router = context.socket(ROUTER).unwrap();
    let endpoint = router.bind("tcp://127.0.0.1:*").unwrap();
    let dealer = context.socket(DEALER).unwrap();
    dealer.set_bytes(ROUTING_ID, b"PEER2").unwrap();
    assert_eq!(dealer.bytes(ROUTING_ID).unwrap(), b"PEER2");
    dealer.connect(&endpoint).unwrap();
    dealer.send(&["hello"], 0).unwrap();
    assert_eq!(router.recv().unwrap(), [&b"PEER2"[..], b"hello"]);
    router.send(&["PEER2", "world"], 0).unwrap();
    assert_eq!(dealer.recv().unwrap(), [b"world"]);
}

#[test]
fn many_messages_go_through_one_buffer() {
    const COUNT: usize = 10_000;
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let pull = context.socket(PULL).unwrap();
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    let receiver = std::thread::spawn(move || pull.recv_many(&mut [0; 64], COUNT));
    let push = context.socket(PUSH).unwrap();
    push.connect(&endpoint).unwrap();
    push.send_many(&[b'x'; 64], COUNT).unwrap();
    assert_eq!(receiver.join().unwrap().unwrap(), 64 * COUNT);
}

#[test]
fn a_frame_longer_than_the_buffer_is_cut_and_tells_its_size() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let pull = context.socket(PULL).unwrap();
    let endpoint = pull.bind("inproc://cut").unwrap();
    let push = context.socket(PUSH).unwrap();
    push.connect(&endpoint).unwrap();
    push.send_frame(b"123456789", 0).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(pull.recv_frame(&mut buffer, 0).unwrap(), 9);
    assert_eq!(&buffer, b"1234");
}

#[test]
fn errors_tell_the_call_the_place_and_the_cause() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let Err(error) = context.socket(99) else {
        panic!("there is no type 99")
    };
    assert_eq!((error.call, error.errno), ("zmq_socket", EINVAL));

    let first = context.socket(REP).unwrap();
    let endpoint = first.bind("tcp://127.0.0.1:*").unwrap();
    let error = context.socket(REP).unwrap().bind(&endpoint).unwrap_err();
    assert_eq!(error.errno, EADDRINUSE);
    let text = format!("zmq_bind {endpoint}: Address already in use (errno 98)");
    assert_eq!(error.to_string(), text);

    assert_eq!(first.send(&["x"], 0).unwrap_err().errno, EFSM);
    assert_eq!(first.try_recv().unwrap_err().errno, EAGAIN);
    let push = context.socket(PUSH).unwrap();
    assert_eq!(push.send(&["x"], DONTWAIT).unwrap_err().errno, EAGAIN);
    assert_eq!(push.set_int(9999, 1).unwrap_err().errno, EINVAL);
}

#[test]
fn options_come_back() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let socket = zmq.context().socket(SUB).unwrap();
    assert_eq!(socket.int(TYPE).unwrap(), SUB);
    socket.set_int(RCVHWM, 7).unwrap();
    assert_eq!(socket.int(RCVHWM).unwrap(), 7);
    assert_eq!(socket.long(MAXMSGSIZE).unwrap(), -1);
    let plain = zmq.context().plain_socket(PUSH).unwrap();
    assert_eq!(plain.int(libzmq::LINGER).unwrap(), -1);
    assert_eq!(plain.int(SNDHWM).unwrap(), 1000);
}

#[test]
fn a_monitor_sees_a_connection_come_and_go() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let publisher = context.socket(PUB).unwrap();
    let monitor = publisher.monitor().unwrap();
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap();
    let subscriber = context.socket(SUB).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&endpoint).unwrap();
    monitor.wait_for(EVENT_HANDSHAKE_SUCCEEDED).unwrap();
    drop(subscriber);
    monitor.wait_for(EVENT_DISCONNECTED).unwrap();
}

#[test]
fn a_shutdown_ends_a_blocked_call() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let context = zmq.context();
    let socket = context.plain_socket(PULL).unwrap();
    let blocked = std::thread::spawn(move || socket.recv());
    context.shutdown();
    assert_eq!(blocked.join().unwrap().unwrap_err().errno, ETERM);
}

#[test]
fn pyzmq_speaks_to_libzmq() {
    let Some(zmq) = libzmq_or_skip() else { return };
    let Some(python) = python_or_skip() else {
        return;
    };
    let mut server = python.spawn(
        r#"
socket = context.socket(zmq.REP)
socket.bind("tcp://127.0.0.1:*")
say(socket.last_endpoint.decode())
request = socket.recv_multipart()
socket.send_multipart([part.upper() for part in request] + [args[0].encode()])
"#,
        &["done"],
    );
    let client = zmq.context().socket(REQ).unwrap();
    client.connect(&server.expect_line(SOON)).unwrap();
    client.send(&["hello", "there"], 0).unwrap();
    let reply = client.recv().unwrap();
    assert_eq!(reply, [&b"HELLO"[..], b"THERE", b"done"]);
    assert!(server.finish(SOON).is_empty());
}

#[test]
fn a_python_peer_hears_and_says_lines() {
    let Some(python) = python_or_skip() else {
        return;
    };
    assert!(python.version().starts_with("pyzmq "));
    let script = "
line = hear()
while line:
    say(line[::-1])
    line = hear()
say('bye')";
    let mut peer = python.spawn::<&str>(script, &[]);
    peer.say("abc");
    assert_eq!(peer.expect_line(SOON), "cba");
    peer.say("xyz");
    assert_eq!(peer.finish(SOON), ["zyx", "bye"]);
}

#[test]
fn a_python_peer_that_fails_shows_its_traceback() {
    let Some(python) = python_or_skip() else {
        return;
    };
    let mut peer = python.spawn::<&str>("say(1)\nraise SystemError('oh')", &[]);
    assert_eq!(peer.expect_line(SOON), "1");
    let failure = panic::catch_unwind(AssertUnwindSafe(|| peer.expect_line(SOON)));
    let message = *failure.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("line 2, in <module>"), "{message}");
    assert!(message.contains("SystemError: oh"), "{message}");
}

#[test]
fn a_python_peer_is_killed_on_drop() {
    let Some(python) = python_or_skip() else {
        return;
    };
    let mut peer: PythonPeer = python.spawn::<&str>("say('here')\nhear()", &[]);
    peer.expect_line(SOON);
    let process = format!("/proc/{}", peer.id());
    assert!(std::path::Path::new(&process).exists());
    drop(peer);
    assert!(!std::path::Path::new(&process).exists());
}
