//! Authenticators of Xebec and of pyzmq: clients of each are let in by the other, and certificate
//! files of pyzmq are read here.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use support::security;
use support::*;
use xebec::EventKind::{self, *};
use xebec::SocketType::{Pull, Push};
use xebec::{Authenticator, Context, KeyPair, Monitor, Options, Policy, PublicKey};

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("xebec-pyzmq-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The outcome of a client's handshake.
fn attempt(endpoint: &str, options: Options) -> (EventKind, u64) {
    let options = options.reconnect_ivl(Duration::from_secs(60));
    let push = socket_with(&Context::new(), Push, options.linger(PATIENCE));
    let monitor = push.monitor();
    push.connect(endpoint).expect("connect");
    let outcome = outcome(&monitor);
    if outcome.0 == HandshakeSucceeded {
        send(&push, "hello");
    }
    outcome
}

fn outcome(monitor: &Monitor) -> (EventKind, u64) {
    let event = security::outcome(monitor);
    (event.kind, event.value)
}

const LET_IN: (EventKind, u64) = (HandshakeSucceeded, 0);
const DENIED: (EventKind, u64) = (HandshakeFailedAuth, 400);

#[test]
fn the_authenticator_of_pyzmq_lets_in_whom_it_knows() {
    let Some(python) = xebec_peers::python_or_skip() else {
        return;
    };
    let directory = Directory::new("theirs");
    let known = KeyPair::generate();
    fs::write(
        directory.0.join("client.key"),
        format!("metadata\ncurve\n    public-key = \"{}\"\n", known.public),
    )
    .expect("a file");
    let mut peer = python.spawn(
        r#"
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
auth = ThreadAuthenticator(context)
auth.start()
auth.configure_plain(domain="cars", passwords={"ann": "secret"})
auth.configure_curve(domain="cars", location=args[0])
plain = context.socket(zmq.PULL)
plain.plain_server = True
plain.zap_domain = b"cars"
plain.bind("tcp://127.0.0.1:*")
say(plain.last_endpoint.decode())
public, secret = zmq.curve_keypair()
curve = context.socket(zmq.PULL)
curve.curve_server = True
curve.curve_secretkey = secret
curve.zap_domain = b"cars"
curve.bind("tcp://127.0.0.1:*")
say(curve.last_endpoint.decode())
say(public.decode())
for socket in plain, curve:
    frame = socket.recv(copy=False)
    say(frame["User-Id"] + " " + bytes(frame).decode())
auth.stop()
"#,
        &[directory.path()],
    );
    let plain = peer.expect_line(PATIENCE);
    let curve = peer.expect_line(PATIENCE);
    let server: PublicKey = peer.expect_line(PATIENCE).parse().expect("a key");

    let ann = |password: &str| options().plain_username("ann").plain_password(password);
    assert_eq!(attempt(&plain, ann("wrong")), DENIED);
    assert_eq!(attempt(&plain, ann("secret")), LET_IN);
    assert_eq!(peer.expect_line(PATIENCE), "ann hello");

    let with = |keys: &KeyPair| {
        options()
            .curve_serverkey(server)
            .curve_publickey(keys.public)
            .curve_secretkey(keys.secret.clone())
    };
    assert_eq!(attempt(&curve, with(&KeyPair::generate())), DENIED);
    assert_eq!(attempt(&curve, with(&known)), LET_IN);
    assert_eq!(
        peer.expect_line(PATIENCE),
        format!("{} hello", known.public)
    );
    peer.finish(PATIENCE);
}

#[test]
fn the_certificates_of_pyzmq_are_those_of_a_policy() {
    let Some(python) = xebec_peers::python_or_skip() else {
        return;
    };
    let directory = Directory::new("ours");
    let server = KeyPair::generate();
    let context = Context::new();
    let mut peer = python.spawn(
        r#"
import zmq.auth
from zmq.utils.monitor import recv_monitor_message
zmq.auth.create_certificates(args[0], "client", {"name": "a client"})
public, secret = zmq.auth.load_certificate(args[0] + "/client.key_secret")
say(public.decode())
endpoint = hear()
for keys in zmq.curve_keypair(), (public, secret):
    socket = context.socket(zmq.PUSH)
    socket.linger = 0
    socket.curve_serverkey = args[1].encode()
    socket.curve_publickey, socket.curve_secretkey = keys
    monitor = socket.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(endpoint)
    event = recv_monitor_message(monitor)
    say("%d %d" % (event["event"], event["value"]))
    if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        socket.send(b"hello")
        socket.linger = -1
"#,
        &[directory.path(), &server.public.to_string()],
    );
    let key = peer.expect_line(PATIENCE);
    let policy = Policy::new().client_keys_in("cars", &directory.0);
    let authenticator = Authenticator::start(&context, policy).expect("files of pyzmq");
    let options = options().zap_domain("cars").curve_server(true);
    let pull = socket_with(&context, Pull, options.curve_secretkey(server.secret));
    peer.say(&pull.bind("tcp://127.0.0.1:*").expect("bind"));
    let denied = format!("{} 400", HandshakeFailedAuth.number());
    assert_eq!(peer.expect_line(PATIENCE), denied);
    let let_in = format!("{} 0", HandshakeSucceeded.number());
    assert_eq!(peer.expect_line(PATIENCE), let_in);
    let got = recv(&pull);
    assert_eq!(got.body(), "hello");
    let client = pull
        .peer(got.connection().expect("received"))
        .expect("known");
    assert_eq!(client.user_id.as_deref(), Some(key.as_bytes()));
    let stats = authenticator.stats();
    assert_eq!((stats.allowed, stats.denied), (1, 1));
    peer.finish(PATIENCE);
}
