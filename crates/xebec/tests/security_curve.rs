//! Traffic under CURVE from a peer that is made of bytes: what it may not send ends its connection,
//! and nothing of it is delivered.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::security::*;
use support::*;
use xebec::SocketType::{self, Pull, Sub, Xpub};
use xebec::{Context, EventKind, KeyPair, Monitor, Options, Socket};
use zmtp::{Cipher, Framing, Handshake, Local, Mechanism, Version};

/// A client that has shaken hands.
struct Peer {
    stream: TcpStream,
    cipher: Cipher,
}

impl Peer {
    fn join(endpoint: &str, kind: SocketType, server: &KeyPair, version: Version) -> Self {
        let mut handshake = Handshake::new(Local {
            socket_type: kind,
            routing_id: Default::default(),
            properties: Vec::new(),
            mechanism: Mechanism::CurveClient {
                server_key: server.public,
                keys: KeyPair::generate(),
            },
            authenticate: false,
            max_version: version,
        });
        let mut stream = TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        loop {
            stream.write_all(handshake.output()).unwrap();
            handshake.output().clear();
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            if handshake.input(&octet).unwrap().peer.is_some() {
                let cipher = handshake.take_cipher().unwrap();
                return Peer { stream, cipher };
            }
        }
    }

    fn sealed(&mut self, command: bool, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.cipher.seal(false, command, body, &mut frame);
        frame
    }

    fn say(&mut self, body: &[u8]) {
        let frame = self.sealed(false, body);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame: whether it is a command, and its body.
    fn hear(&mut self) -> (bool, Vec<u8>) {
        let mut frame = Vec::new();
        let header = loop {
            if let Some(header) = Framing::V2.decode(&frame).unwrap() {
                break header;
            }
            let mut octet = [0];
            self.stream.read_exact(&mut octet).unwrap();
            frame.extend_from_slice(&octet);
        };
        assert!(!header.command && !header.more, "in the clear: {header:?}");
        let mut body = vec![0; header.body_len as usize];
        self.stream.read_exact(&mut body).unwrap();
        let opened = self.cipher.open(&mut body).unwrap();
        (opened.command, body.split_off(zmtp::MESSAGE_OVERHEAD))
    }
}

fn server(kind: SocketType, options: Options) -> (Socket, String, KeyPair, Monitor) {
    let keys = KeyPair::generate();
    let options = options
        .curve_server(true)
        .curve_secretkey(keys.secret.clone());
    let (socket, endpoint, monitor) = bound(&Context::new(), kind, options);
    (socket, endpoint, keys, monitor)
}

/// What the peer sends after a message ends the connection for this reason.
#[track_caller]
fn ends(why: &str, options: Options, send: impl FnOnce(&mut Peer) -> Vec<u8>) {
    let (pull, endpoint, keys, monitor) = server(Pull, options);
    let mut peer = Peer::join(&endpoint, SocketType::Push, &keys, Version::V3_1);
    peer.say(b"fine");
    assert_eq!(recv_text(&pull), ["fine"]);
    let frame = send(&mut peer);
    peer.stream.write_all(&frame).unwrap();
    let event = await_event(&monitor, EventKind::Disconnected);
    let cause = event.cause.unwrap();
    assert!(cause.contains(why), "{cause}");
    recv_nothing(&pull);
}

#[test]
fn a_frame_in_the_clear() {
    ends("not encrypted", options(), |_| b"\0\x05hello".to_vec());
}

#[test]
fn a_command_in_the_clear() {
    ends("not encrypted", options(), |_| {
        b"\x04\x07\x04PING\0\0".to_vec()
    });
}

#[test]
fn a_frame_sent_twice() {
    ends("sent before", options(), |peer| {
        let empty = peer.sealed(true, b"\x07UNKNOWN");
        [&empty[..], &empty].concat()
    });
}

#[test]
fn a_changed_frame() {
    ends("forged", options(), |peer| {
        let mut frame = peer.sealed(false, b"hello");
        *frame.last_mut().unwrap() ^= 1;
        frame
    });
}

/// One that is read into memory of its own.
#[test]
fn a_changed_large_frame() {
    ends("forged", options(), |peer| {
        let mut frame = peer.sealed(false, &[7; 300_000]);
        frame[150_000] ^= 1;
        frame
    });
}

#[test]
fn a_short_message_command() {
    ends("malformed MESSAGE", options(), |_| {
        [&b"\0\x20\x07MESSAGE"[..], &[9; 24]].concat()
    });
}

/// MAXMSGSIZE is about what is in the frame.
#[test]
fn a_frame_that_is_too_long() {
    for size in [100, 100_000] {
        let (pull, endpoint, keys, _) = server(Pull, options().maxmsgsize(size));
        let mut peer = Peer::join(&endpoint, SocketType::Push, &keys, Version::V3_1);
        peer.say(&vec![b'x'; size]);
        assert_eq!(recv(&pull).frames().next().unwrap().len(), size);
        ends("MAXMSGSIZE", options().maxmsgsize(size), |peer| {
            peer.sealed(false, &vec![b'x'; size + 1])
        });
    }
}

/// Subscriptions are commands from ZMTP 3.1 on and messages before; both are encrypted.
#[test]
fn subscriptions_of_both_versions() {
    for (version, said) in [
        (Version::V3_1, (true, &b"\x09SUBSCRIBEtopic"[..])),
        (Version::V3_0, (false, b"\x01topic")),
    ] {
        let (sub, endpoint, keys, _) = server(Sub, options());
        sub.subscribe("topic").unwrap();
        let mut peer = Peer::join(&endpoint, SocketType::Pub, &keys, version);
        let (command, body) = peer.hear();
        assert_eq!((command, &body[..]), said);
        peer.say(b"topic is heard");
        assert_eq!(recv_text(&sub), ["topic is heard"]);

        let (xpub, endpoint, keys, _) = server(Xpub, options());
        let mut peer = Peer::join(&endpoint, SocketType::Sub, &keys, version);
        let (command, body) = said;
        let frame = peer.sealed(command, body);
        peer.stream.write_all(&frame).unwrap();
        assert_eq!(recv_text(&xpub), ["\u{1}topic"]);
        send(&xpub, "topic is told");
        assert_eq!(peer.hear(), (false, b"topic is told".to_vec()));
    }
}

/// A ping is answered under the same cover.
#[test]
fn pings_and_pongs() {
    let (_pull, endpoint, keys, _) = server(Pull, options());
    let mut peer = Peer::join(&endpoint, SocketType::Push, &keys, Version::V3_1);
    let ping = peer.sealed(true, b"\x04PING\0\0context");
    peer.stream.write_all(&ping).unwrap();
    assert_eq!(peer.hear(), (true, b"\x04PONGcontext".to_vec()));
}
