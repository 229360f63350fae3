//! ZAP beside libzmq: the same handler says the same to a server of each library, with clients of
//! each, and both do the same and tell it by the same numbers.

mod support;

use std::time::Duration;

use support::security::{self, ZAP};
use support::*;
use xebec::EventKind::{self, *};
use xebec::SocketType::{Pull, Push, Rep};
use xebec::{Context, KeyPair, Message, Socket};
use xebec_peers::libzmq::{self, Library};

const ZAP_DOMAIN: i32 = 55;
const ZAP_ENFORCE_DOMAIN: i32 = 93;
const PLAIN_SERVER: i32 = 44;
const PLAIN_USERNAME: i32 = 45;
const PLAIN_PASSWORD: i32 = 46;
const CURVE_SERVER: i32 = 47;
const CURVE_PUBLICKEY: i32 = 48;
const CURVE_SECRETKEY: i32 = 49;
const CURVE_SERVERKEY: i32 = 50;

type Frames = Vec<Vec<u8>>;

/// An event of a handshake: its number in the C interface and its value.
type Outcome = (u32, u64);

const OUTCOMES: [EventKind; 4] = [
    HandshakeSucceeded,
    HandshakeFailedNoDetail,
    HandshakeFailedProtocol,
    HandshakeFailedAuth,
];

/// The mechanism of a server, and of the clients that it may let in.
#[derive(Clone, Copy, Debug)]
enum Security<'a> {
    Null,
    Plain,
    Curve(&'a KeyPair),
}

/// What a server is like.
#[derive(Clone, Copy)]
struct Setting<'a> {
    security: Security<'a>,
    enforce: bool,
    handler: bool,
}

const ASKING: Setting<'static> = Setting {
    security: Security::Null,
    enforce: false,
    handler: true,
};

/// A client of ours that has said hello.
fn our_client(endpoint: &str, security: Security<'_>, client: &KeyPair) -> Socket {
    let options = options().reconnect_ivl(Duration::from_secs(60));
    let options = match security {
        Security::Null => options,
        Security::Plain => options.plain_username("ann").plain_password("secret"),
        Security::Curve(server) => options
            .curve_serverkey(server.public)
            .curve_publickey(client.public)
            .curve_secretkey(client.secret.clone()),
    };
    let client = socket_with(&Context::new(), Push, options);
    client.connect(endpoint).unwrap();
    send(&client, "hello");
    client
}

/// Where one side of a test stands: libzmq or Xebec.
trait Implementation {
    fn server(&self, endpoint: &str, setting: Setting<'_>) -> Box<dyn Server>;
}

/// A PULL with a domain, and its context's handler.
trait Server {
    fn endpoint(&self) -> String;
    /// The request that the handler gets, which it answers so.
    fn judge(&self, reply: &Frames) -> Frames;
    fn outcome(&self) -> Outcome;
    fn hear(&self) -> Option<Frames>;

    fn is_ours(&self) -> bool {
        false
    }
}

struct Zmq(&'static Library);

struct ZmqServer {
    pull: libzmq::Socket,
    rep: Option<libzmq::Socket>,
    monitor: libzmq::Monitor,
}

impl Implementation for Zmq {
    fn server(&self, endpoint: &str, setting: Setting<'_>) -> Box<dyn Server> {
        let context = self.0.context();
        let rep = setting.handler.then(|| {
            let rep = context.socket(libzmq::REP).unwrap();
            rep.bind(ZAP).unwrap();
            rep
        });
        let pull = context.socket(libzmq::PULL).unwrap();
        pull.set_bytes(ZAP_DOMAIN, b"test").unwrap();
        pull.set_int(ZAP_ENFORCE_DOMAIN, setting.enforce.into())
            .unwrap();
        match setting.security {
            Security::Null => {}
            Security::Plain => pull.set_int(PLAIN_SERVER, 1).unwrap(),
            Security::Curve(keys) => {
                pull.set_int(CURVE_SERVER, 1).unwrap();
                pull.set_bytes(CURVE_SECRETKEY, keys.secret.expose())
                    .unwrap();
            }
        }
        pull.set_bytes(libzmq::ROUTING_ID, b"server").unwrap();
        let monitor = pull.monitor().unwrap();
        pull.bind(endpoint).unwrap();
        Box::new(ZmqServer { pull, rep, monitor })
    }
}

impl Server for ZmqServer {
    fn endpoint(&self) -> String {
        self.pull.last_endpoint().unwrap()
    }

    fn judge(&self, reply: &Frames) -> Frames {
        let rep = self.rep.as_ref().expect("a handler");
        let request = rep.recv().expect("a request");
        rep.send(reply, 0).expect("a reply");
        request
    }

    fn outcome(&self) -> Outcome {
        libzmq_outcome(&self.monitor)
    }

    fn hear(&self) -> Option<Frames> {
        let mut got = None;
        eventually("a message", || {
            got = self.pull.try_recv().ok();
            got.is_some()
        });
        got
    }
}

struct Ours;

struct OurServer {
    pull: Socket,
    rep: Option<Socket>,
    monitor: xebec::Monitor,
}

impl Implementation for Ours {
    fn server(&self, endpoint: &str, setting: Setting<'_>) -> Box<dyn Server> {
        let context = Context::new();
        let rep = setting.handler.then(|| {
            let rep = socket(&context, Rep);
            rep.bind(ZAP).unwrap();
            rep
        });
        let options = options()
            .zap_domain("test")
            .zap_enforce_domain(setting.enforce);
        let options = match setting.security {
            Security::Null => options,
            Security::Plain => options.plain_server(true),
            Security::Curve(keys) => options
                .curve_server(true)
                .curve_secretkey(keys.secret.clone()),
        };
        let pull = socket_with(&context, Pull, options.routing_id("server"));
        let monitor = pull.monitor();
        pull.bind(endpoint).unwrap();
        Box::new(OurServer { pull, rep, monitor })
    }
}

impl Server for OurServer {
    fn endpoint(&self) -> String {
        self.pull.last_endpoint().unwrap()
    }

    fn judge(&self, reply: &Frames) -> Frames {
        let rep = self.rep.as_ref().expect("a handler");
        let request = recv(rep);
        send(rep, reply.iter().map(Vec::as_slice).collect::<Message>());
        request.frames().map(|frame| frame.to_vec()).collect()
    }

    fn outcome(&self) -> Outcome {
        our_outcome(&self.monitor)
    }

    fn hear(&self) -> Option<Frames> {
        let got = self.pull.recv_timeout(PATIENCE).ok()?;
        Some(got.frames().map(|frame| frame.to_vec()).collect())
    }

    fn is_ours(&self) -> bool {
        true
    }
}

fn libzmq_outcome(monitor: &libzmq::Monitor) -> Outcome {
    loop {
        let event = monitor.recv().expect("an event");
        if OUTCOMES
            .iter()
            .any(|kind| kind.number() == u32::from(event.number))
        {
            return (event.number.into(), event.value.into());
        }
    }
}

fn our_outcome(monitor: &xebec::Monitor) -> Outcome {
    let event = security::outcome(monitor);
    (event.kind.number(), event.value)
}

fn reply(frames: &[&[u8]]) -> Frames {
    frames.iter().map(|frame| frame.to_vec()).collect()
}

/// Replies of every kind.
fn replies() -> Vec<Frames> {
    let good: [&[u8]; 6] = [
        b"1.0",
        b"1",
        b"200",
        b"OK",
        b"joe",
        b"\x05Hello\0\0\0\x05World",
    ];
    let with = |at: usize, frame: &'static [u8]| {
        let mut frames = good;
        frames[at] = frame;
        reply(&frames)
    };
    vec![
        reply(&good),
        with(0, b""),
        with(0, b"1.1"),
        with(1, b"2"),
        with(1, b""),
        with(2, b"300"),
        with(2, b"400"),
        with(2, b"500"),
        with(2, b"600"),
        with(2, b"201"),
        with(2, b"20"),
        with(2, b"2000"),
        with(2, b""),
        with(3, b""),
        with(4, b""),
        with(5, b""),
        with(5, b"\x05Hello\0\0\0\x06World"),
        with(5, b"\x05Hel"),
        with(5, b"\x01"),
        reply(&good[..5]),
        reply(&good[..1]),
        reply(&[&good[..], &[b""]].concat()),
    ]
}

#[test]
fn both_ask_the_same_and_do_the_same_with_each_reply() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let (keys, client) = (KeyPair::generate(), KeyPair::generate());
    for security in [Security::Null, Security::Plain, Security::Curve(&keys)] {
        for reply in replies() {
            let [theirs, ours] = [&Zmq(zmq) as &dyn Implementation, &Ours].map(|library| {
                let setting = Setting { security, ..ASKING };
                let server = library.server("tcp://127.0.0.1:*", setting);
                let _client = our_client(&server.endpoint(), security, &client);
                let request = server.judge(&reply);
                let outcome = server.outcome();
                if outcome.0 == HandshakeSucceeded.number() {
                    assert_eq!(server.hear(), Some(vec![b"hello".to_vec()]));
                }
                (request, outcome)
            });
            assert_eq!(ours, theirs, "{reply:?}");
        }
    }
}

#[test]
fn clients_of_both_are_told_the_same_by_servers_of_both() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let (keys, client) = (KeyPair::generate(), KeyPair::generate());
    for security in [Security::Null, Security::Plain, Security::Curve(&keys)] {
        for (status, outcome) in [
            ("200", (HandshakeSucceeded.number(), 0)),
            ("400", (HandshakeFailedAuth.number(), 400)),
            ("500", (HandshakeFailedAuth.number(), 500)),
        ] {
            let reply = reply(&[b"1.0", b"1", status.as_bytes(), b"text", b"", b""]);
            for library in [&Zmq(zmq) as &dyn Implementation, &Ours] {
                let setting = Setting { security, ..ASKING };
                let server = library.server("tcp://127.0.0.1:*", setting);
                let ours = our_client(&server.endpoint(), security, &client);
                let monitor = ours.monitor();
                server.judge(&reply);
                assert_eq!(our_outcome(&monitor), outcome, "{security:?}");

                let theirs = zmq.context().socket(libzmq::PUSH).unwrap();
                let set = |option, value: &[u8]| theirs.set_bytes(option, value).unwrap();
                match security {
                    Security::Null => {}
                    Security::Plain => {
                        set(PLAIN_USERNAME, b"ann");
                        set(PLAIN_PASSWORD, b"secret");
                    }
                    Security::Curve(server) => {
                        set(CURVE_SERVERKEY, &server.public.0);
                        set(CURVE_PUBLICKEY, &client.public.0);
                        set(CURVE_SECRETKEY, client.secret.expose());
                    }
                }
                let monitor = theirs.monitor().unwrap();
                theirs.connect(&server.endpoint()).unwrap();
                server.judge(&reply);
                // libzmq's PLAIN knows ERROR only as its own servers spell it, without an E.
                let misspelt = matches!(security, Security::Plain) && status != "200";
                let outcome = match misspelt && server.is_ours() {
                    true => (HandshakeFailedProtocol.number(), 0x1000_0001),
                    false => outcome,
                };
                assert_eq!(libzmq_outcome(&monitor), outcome, "{security:?}");
            }
        }
    }
}

#[test]
fn over_ipc_both_tell_the_handler_the_process() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let good = &replies()[0];
    let [theirs, ours] = [&Zmq(zmq) as &dyn Implementation, &Ours].map(|library| {
        let server = library.server("ipc://*", ASKING);
        let _client = our_client(&server.endpoint(), Security::Null, &KeyPair::generate());
        let request = server.judge(good);
        assert_eq!(server.hear(), Some(vec![b"hello".to_vec()]));
        request
    });
    assert_eq!(ours, theirs);
}

#[test]
fn without_a_handler_both_let_in_or_turn_away() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let (keys, client) = (KeyPair::generate(), KeyPair::generate());
    let (let_in, turned_away) = (
        (HandshakeSucceeded.number(), 0),
        (HandshakeFailedNoDetail.number(), 14),
    );
    for library in [&Zmq(zmq) as &dyn Implementation, &Ours] {
        for (security, enforce, outcome) in [
            (Security::Null, false, let_in),
            (Security::Null, true, turned_away),
            (Security::Plain, false, turned_away),
            (Security::Plain, true, turned_away),
            (Security::Curve(&keys), false, let_in),
            (Security::Curve(&keys), true, turned_away),
        ] {
            let setting = Setting {
                security,
                enforce,
                handler: false,
            };
            let server = library.server("tcp://127.0.0.1:*", setting);
            let _client = our_client(&server.endpoint(), security, &client);
            assert_eq!(server.outcome(), outcome);
            if outcome == let_in {
                assert_eq!(server.hear(), Some(vec![b"hello".to_vec()]));
            }
        }
    }
}
