//! PAIR (RFC 31), which has one peer, and STREAM, which speaks to peers that know no ZeroMQ.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use support::*;
use xebec::SocketType::{Pair, Stream};
use xebec::{Context, EventKind, Message, RecvError, Socket};

// ---- PAIR ----

#[test]
fn a_pair_talks_both_ways_in_order() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (a, b) = (socket(&context, Pair), socket(&context, Pair));
        b.connect(&a.bind(&fresh(transport)).unwrap()).unwrap();
        for n in 0..100u32 {
            send(&a, message([b"a", &n.to_be_bytes()]));
            send(&b, message([b"b", &n.to_be_bytes()]));
        }
        for n in 0..100u32 {
            assert_eq!(recv(&a), message([b"b", &n.to_be_bytes()]));
            assert_eq!(recv(&b), message([b"a", &n.to_be_bytes()]));
        }
    }
}

#[test]
fn a_message_is_received_in_the_place_of_another() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (a, b) = (socket(&context, Pair), socket(&context, Pair));
        b.connect(&a.bind(&fresh(transport)).unwrap()).unwrap();
        let long = vec![7; 20_000];
        let sent = [
            message([&b"three"[..], b"", b"frames"]),
            Message::from("one"),
            Message::from(&long),
            Message::from(&long[..300]),
            Message::from(""),
            message([&long[..], b"two"]),
            Message::from(&long[..64]),
            Message::from(&long[..65]),
        ];
        let mut place = Message::from("what was there");
        for _ in 0..2 {
            sent.iter().for_each(|message| send(&b, message.clone()));
            for message in &sent {
                a.recv_into(&mut place).unwrap();
                assert_eq!(&place, message, "{transport}");
            }
        }
        a.set("rcvtimeo", "0").unwrap();
        assert_eq!(a.recv_into(&mut place), Err(RecvError::WouldBlock));
    }
}

#[test]
fn a_pair_refuses_a_second_peer_while_it_has_one() {
    let context = Context::new();
    let pair = socket(&context, Pair);
    let monitor = pair.monitor();
    let endpoint = pair.bind(&fresh("tcp")).unwrap();
    let mut first = Raw::connect_as(&endpoint, "PAIR");
    await_peers(&pair, 1);
    for _ in 0..3 {
        let mut second = Raw::connect(&endpoint);
        second.write(&[hello("PAIR", b""), frames(&[b"not heard"])].concat());
        let event = await_event(&monitor, EventKind::Closed);
        assert!(event.cause.unwrap().contains("one peer"), "it says why");
        second.await_end();
    }
    assert_eq!(
        pair.stats().peers.len(),
        1,
        "nothing is kept of those refused"
    );
    recv_nothing(&pair);
    first.send(&[b"first"]);
    assert_eq!(recv_text(&pair), ["first"]);
    send(&pair, "to the first");
    assert_eq!(first.recv(), [b"to the first"]);
}

#[test]
fn a_pair_takes_a_new_peer_when_the_first_has_left() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pair = socket(&context, Pair);
        let endpoint = pair.bind(&fresh(transport)).unwrap();
        for round in 0..3u8 {
            let peer = socket(&context, Pair);
            peer.connect(&endpoint).unwrap();
            send(&peer, [round]);
            assert_eq!(recv(&pair).body(), &[round]);
            send(&pair, [round]);
            assert_eq!(recv(&peer).body(), &[round]);
            if round == 1 {
                // Unread words of the one that leaves come first, and do not bar the next.
                send(&peer, "last words");
            }
            drop(peer);
            await_peers(&pair, 0);
            if round == 1 {
                assert_eq!(recv_text(&pair), ["last words"]);
            }
        }
    }
}

#[test]
fn a_pair_that_was_refused_gets_its_turn() {
    let context = Context::new();
    let pair = socket(&context, Pair);
    let endpoint = pair.bind(&fresh("tcp")).unwrap();
    let first = socket(&context, Pair);
    first.connect(&endpoint).unwrap();
    send(&first, "first");
    assert_eq!(recv_text(&pair), ["first"]);
    let second = socket_with(
        &context,
        Pair,
        options().reconnect_ivl(Duration::from_millis(5)),
    );
    let monitor = second.monitor();
    second.connect(&endpoint).unwrap();
    await_event(&monitor, EventKind::Disconnected);
    drop(first);
    eventually("the second is let in", || {
        let _ = second.try_send("second");
        pair.recv_timeout(Duration::from_millis(1)).is_ok()
    });
}

#[test]
fn a_pair_refuses_a_second_peer_over_inproc() {
    let context = Context::new();
    let pair = socket(&context, Pair);
    let endpoint = pair.bind(&fresh("inproc")).unwrap();
    let peers = [(); 3].map(|()| socket(&context, Pair));
    peers
        .iter()
        .for_each(|peer| peer.connect(&endpoint).unwrap());
    send(&pair, "x");
    assert_eq!(recv_text(&peers[0]), ["x"]);
    for refused in &peers[1..] {
        await_peers(refused, 0);
        assert!(!refused.is_writable());
        recv_nothing(refused);
    }
    assert_eq!(pair.stats().peers.len(), 1);
}

#[test]
fn a_pair_connects_to_one_peer_only() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let pair = socket(&context, Pair);
        let monitor = pair.monitor();
        let bound = [(); 2].map(|()| socket(&context, Pair));
        for bound in &bound {
            pair.connect(&bound.bind(&fresh(transport)).unwrap())
                .unwrap();
        }
        let event = await_event(&monitor, EventKind::Closed);
        assert!(event.cause.unwrap().contains("one peer"));
        for n in 0..5u8 {
            send(&pair, [n]);
            assert_eq!(recv(&bound[0]).body(), &[n]);
        }
        await_peers(&bound[1], 0);
        assert_eq!(pair.stats().peers.len(), 1, "{transport}");
    }
}

// ---- STREAM ----

/// A STREAM that is bound, a plain TCP client of it, and the client's id.
fn streaming(context: &Context) -> (Socket, Raw, Vec<u8>) {
    let stream = socket(context, Stream);
    let client = Raw::connect(&stream.bind(&fresh("tcp")).unwrap());
    let notice = recv(&stream);
    assert_eq!(
        (notice.len(), notice[0].len(), notice[0][0], notice[1].len()),
        (2, 5, 0, 0)
    );
    let id = notice[0].to_vec();
    (stream, client, id)
}

/// The bytes from one peer until there are this many.
#[track_caller]
fn gather(stream: &Socket, id: &[u8], len: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < len {
        let message = recv(stream);
        assert_eq!((message.len(), &message[0][..]), (2, id));
        assert!(
            !message[1].is_empty(),
            "the peer has left after {} bytes",
            got.len()
        );
        got.extend_from_slice(&message[1]);
    }
    got
}

#[test]
fn a_stream_gives_notice_of_peers_that_come_and_go() {
    let context = Context::new();
    let (stream, mut client, id) = streaming(&context);
    client.write(b"hello");
    assert_eq!(gather(&stream, &id, 5), b"hello");
    send(&stream, message([&id, b"world"]));
    let mut world = [0; 5];
    client.0.read_exact(&mut world).unwrap();
    assert_eq!(&world, b"world", "nothing but these bytes");
    client.write(b"bye");
    drop(client);
    assert_eq!(
        gather(&stream, &id, 3),
        b"bye",
        "the last bytes come before the notice"
    );
    assert_eq!(recv(&stream), message([&id, b""]));
    assert!(stream.stats().peers.is_empty());
    let error = stream.try_send(message([&id, b"x"])).unwrap_err();
    assert_eq!(error.kind, xebec::SendErrorKind::Unroutable);
}

#[test]
fn a_stream_without_notices_gives_none() {
    let context = Context::new();
    let stream = socket_with(&context, Stream, options().stream_notify(false));
    let mut client = Raw::connect(&stream.bind(&fresh("tcp")).unwrap());
    client.write(b"hello");
    let got = recv(&stream);
    assert_eq!(got[1], "hello");
    drop(client);
    await_peers(&stream, 0);
    recv_nothing(&stream);
}

#[test]
fn an_empty_message_closes_a_stream_connection_after_what_was_sent_before() {
    let context = Context::new();
    let (stream, mut client, id) = streaming(&context);
    let monitor = stream.monitor();
    // Much more than the kernel takes at once.
    let body = vec![7u8; 20_000_000];
    send(&stream, message([&id, &body]));
    send(&stream, message([&id, b""]));
    let error = stream.try_send(message([&id, b"x"])).unwrap_err();
    assert_eq!(
        error.kind,
        xebec::SendErrorKind::Unroutable,
        "the peer is forgotten at once"
    );
    assert_eq!(client.read_to_end().len(), body.len());
    client.0.shutdown(Shutdown::Both).ok();
    await_event(&monitor, EventKind::Closed);
    eventually("nothing is left of it", || stream.stats().peers.is_empty());
    recv_nothing(&stream);
}

#[test]
fn a_stream_connects_too() {
    let context = Context::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = socket_with(
        &context,
        Stream,
        options().reconnect_ivl(Duration::from_secs(600)),
    );
    stream.set("connect-routing-id", "server").unwrap();
    stream
        .connect(&format!("tcp://{}", server.local_addr().unwrap()))
        .unwrap();
    let (mut connection, _) = server.accept().unwrap();
    assert_eq!(recv(&stream), message([b"server", b""]));
    send(&stream, message([b"server", b"question"]));
    let mut got = [0; 8];
    connection.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"question");
    connection.write_all(b"answer").unwrap();
    assert_eq!(gather(&stream, b"server", 6), b"answer");
    // The application is away when the last bytes and the end arrive.
    connection.write_all(b"bye").unwrap();
    drop(connection);
    await_peers(&stream, 0);
    assert_eq!(
        gather(&stream, b"server", 3),
        b"bye",
        "the last bytes come before the notice"
    );
    assert_eq!(recv(&stream), message([b"server", b""]));
}

#[test]
fn a_stream_carries_many_bytes_both_ways_unchanged() {
    let context = Context::new();
    let (stream, mut client, id) = streaming(&context);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let writing = Working::start({
        let bytes = bytes.clone();
        move || {
            bytes.chunks(9973).for_each(|chunk| client.write(chunk));
            client
        }
    });
    assert!(gather(&stream, &id, bytes.len()) == bytes);
    let mut client = writing.join();
    let reading = Working::start(move || {
        let mut got = vec![0; 3_000_000];
        client.0.read_exact(&mut got).unwrap();
        (got, client)
    });
    for chunk in bytes.chunks(7919) {
        send(&stream, message([&id, chunk]));
    }
    assert!(reading.join().0 == bytes);
}

#[test]
fn a_stream_tells_its_peers_apart() {
    let context = Context::new();
    let stream = socket(&context, Stream);
    let endpoint = stream.bind(&fresh("tcp")).unwrap();
    let mut clients: Vec<(Raw, Vec<u8>)> = (0..10)
        .map(|_| {
            let client = Raw::connect(&endpoint);
            (client, recv(&stream)[0].to_vec())
        })
        .collect();
    for (n, (_, id)) in clients.iter().enumerate() {
        send(&stream, message([id, &[n as u8]]));
    }
    for (n, (client, id)) in clients.iter_mut().enumerate() {
        let mut got = [99];
        client.0.read_exact(&mut got).unwrap();
        assert_eq!(got, [n as u8]);
        client.write(&[n as u8]);
        assert_eq!(gather(&stream, id, 1), [n as u8]);
    }
}

#[test]
fn a_stream_message_is_an_id_and_bytes() {
    let context = Context::new();
    let (stream, _client, id) = streaming(&context);
    for wrong in [Message::from("alone"), message([&id, b"a", b"b"])] {
        let error = stream.send(wrong.clone()).unwrap_err();
        assert!(matches!(error.kind, xebec::SendErrorKind::Invalid(_)));
        assert_eq!(error.message, wrong);
    }
    for transport in ["ipc", "inproc"] {
        let error = stream.bind(&fresh(transport)).unwrap_err();
        assert!(error.to_string().contains("tcp://"), "{error}");
    }
}

#[test]
fn a_stream_sends_what_is_a_ready_made_page_and_closes() {
    // The use that STREAM was made for.
    let context = Context::new();
    let stream = socket(&context, Stream);
    let endpoint = stream.bind(&fresh("tcp")).unwrap();
    for _ in 0..20 {
        let mut browser = Raw::connect(&endpoint);
        browser.write(b"GET / HTTP/1.0\r\n\r\n");
        let id = recv(&stream)[0].to_vec();
        gather(&stream, &id, 18);
        let page = b"HTTP/1.0 200 OK\r\n\r\nHello, World!";
        send(&stream, message([&id, page]));
        send(&stream, message([&id, b""]));
        assert_eq!(browser.read_to_end(), page);
    }
}
