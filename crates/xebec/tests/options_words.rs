//! What a socket says of itself, to its peers or to its application: HELLO_MSG, DISCONNECT_MSG,
//! HICCUP_MSG, ROUTER_NOTIFY, and the raw bytes of ROUTER_RAW.

mod support;

use std::time::Duration;

use support::*;
use xebec::{
    Context, EventKind, Interest, Options, PollItem, RouterNotify, SendErrorKind, Socket,
    SocketType,
    SocketType::{Dealer, Req, Router},
    poll,
};

/// A socket with a routing id that leaves nothing behind.
fn named(context: &Context, kind: SocketType, id: &'static str) -> Socket {
    socket_with(context, kind, options().routing_id(id))
}

/// A bound ROUTER with these options, and its endpoint.
fn router(context: &Context, options: Options, transport: &str) -> (Socket, String) {
    let router = socket_with(context, Router, options);
    let endpoint = router.bind(&fresh(transport)).unwrap();
    (router, endpoint)
}

// ---- HELLO_MSG ----

#[test]
fn hello_goes_to_each_peer_that_connects() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (_router, endpoint) = router(&context, options().hello_msg("H"), transport);
        for _ in 0..2 {
            let dealer = socket(&context, Dealer);
            dealer.connect(&endpoint).unwrap();
            assert_eq!(recv_text(&dealer), ["H"], "{transport}");
        }
    }
}

#[test]
fn hello_goes_before_what_was_queued() {
    for transport in TRANSPORTS {
        let context = Context::new();
        // A name that is known before anybody is bound to it.
        let endpoint = match transport {
            "tcp" => {
                let (_reserved, endpoint) = router(&context, options(), "tcp");
                endpoint
            }
            "ipc" => format!("ipc://@xebec-hello-{}", std::process::id()),
            _ => fresh(transport),
        };
        let quick = options().reconnect_ivl(Duration::from_millis(1));
        let dealer = socket_with(&context, Dealer, quick.hello_msg("H").routing_id("X"));
        dealer.connect(&endpoint).unwrap();
        send(&dealer, "queued");
        let router = socket(&context, Router);
        let mut bound = Err(());
        eventually("the port is free again", || {
            bound = router.bind(&endpoint).map_err(drop);
            bound.is_ok()
        });
        assert_eq!(recv_text(&router), ["X", "H"], "{transport}");
        assert_eq!(recv_text(&router), ["X", "queued"], "{transport}");
    }
}

#[test]
fn hello_and_the_probe_go_on_every_connection_in_this_order() {
    let context = Context::new();
    let listener = RawListener::new();
    let quick = options().reconnect_ivl(Duration::from_millis(1));
    let dealer = socket_with(&context, Dealer, quick.hello_msg("H").probe_router(true));
    dealer.connect(&listener.endpoint()).unwrap();
    for _ in 0..3 {
        let mut peer = listener.accept_as("ROUTER");
        assert_eq!(peer.recv(), [b"H"]);
        assert_eq!(peer.recv(), [b""]);
        peer.reset();
    }
}

#[test]
fn hello_can_be_changed_and_taken_back() {
    let context = Context::new();
    let (router, endpoint) = router(&context, options().hello_msg("one"), "inproc");
    for hello in ["one", "two", ""] {
        router.set("hello_msg", hello).unwrap();
        let dealer = socket(&context, Dealer);
        dealer.connect(&endpoint).unwrap();
        match hello {
            "" => recv_nothing(&dealer),
            hello => assert_eq!(recv_text(&dealer), [hello]),
        }
    }
}

// ---- DISCONNECT_MSG ----

#[test]
fn disconnect_comes_from_each_peer_that_goes_after_all_it_said() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let with = options().disconnect_msg("D").router_mandatory(true);
        let (router, endpoint) = router(&context, with, transport);
        let closes = socket_with(&context, Dealer, Options::new().routing_id("C"));
        let disconnects = socket_with(&context, Dealer, Options::new().routing_id("D"));
        for (peer, id) in [(closes, "C"), (disconnects, "D")] {
            peer.connect(&endpoint).unwrap();
            send(&peer, "1");
            send(&peer, "2");
            // What an inproc peer has not been asked for before it goes is not lost either.
            match id {
                "C" => peer.close(),
                _ => {
                    peer.disconnect(&endpoint).unwrap();
                    peer.close();
                }
            }
            for word in ["1", "2", "D"] {
                assert_eq!(recv_text(&router), [id, word], "{transport}");
            }
            let back = router.try_send(message([id.as_bytes(), b"?"]));
            assert_eq!(back.unwrap_err().kind, SendErrorKind::Unroutable);
        }
        recv_nothing(&router);
    }
}

/// Whoever looks before receiving sees that there is something.
#[test]
fn disconnect_makes_the_socket_readable() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let (router, endpoint) = router(&context, options().disconnect_msg("D"), transport);
        let peer = named(&context, Dealer, "X");
        peer.connect(&endpoint).unwrap();
        await_peers(&router, 1);
        assert!(!router.is_readable(), "{transport}");
        drop(peer);
        let items = &mut [PollItem::socket(&router, Interest::READ)];
        assert_eq!(poll(items, Some(PATIENCE)).unwrap(), 1, "{transport}");
        assert_eq!(recv_text(&router), ["X", "D"], "{transport}");
        assert!(!router.is_readable(), "{transport}");
    }
}

#[test]
fn disconnect_comes_from_a_peer_that_falls_silent() {
    let context = Context::new();
    let with = options()
        .disconnect_msg("D")
        .heartbeat_ivl(Duration::from_millis(20));
    let (router, endpoint) = router(&context, with, "tcp");
    let _silent = Raw::connect(&endpoint).shake("DEALER", b"X");
    assert_eq!(recv_text(&router), ["X", "D"]);
}

#[test]
fn disconnect_is_not_told_of_those_who_never_were_peers_nor_of_those_let_go() {
    let context = Context::new();
    let (router, endpoint) = router(&context, options().disconnect_msg("D"), "tcp");
    let monitor = router.monitor();
    drop(Raw::connect(&endpoint));
    await_event(&monitor, EventKind::HandshakeFailedNoDetail);
    let dealer = named(&context, Dealer, "X");
    dealer.connect(&endpoint).unwrap();
    send(&dealer, "hi");
    assert_eq!(recv_text(&router), ["X", "hi"]);
    router.unbind(&endpoint).unwrap();
    await_peers(&router, 0);
    recv_nothing(&router);
}

#[test]
fn disconnect_is_not_told_of_peers_that_this_side_connected_to() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let dealer = named(&context, Dealer, "X");
        let endpoint = dealer.bind(&fresh(transport)).unwrap();
        let router = socket_with(&context, Router, options().disconnect_msg("D"));
        router.connect(&endpoint).unwrap();
        send(&dealer, "hi");
        assert_eq!(recv_text(&router), ["X", "hi"]);
        drop(dealer);
        await_peers(&router, 0);
        recv_nothing(&router);
    }
}

// ---- HICCUP_MSG ----

#[test]
fn hiccup_comes_whenever_a_connection_is_lost_after_all_it_brought() {
    let context = Context::new();
    let listener = RawListener::new();
    let quick = options().reconnect_ivl(Duration::from_millis(1));
    let dealer = socket_with(&context, Dealer, quick.hiccup_msg("hic"));
    dealer.connect(&listener.endpoint()).unwrap();
    for _ in 0..3 {
        let mut peer = listener.accept_as("ROUTER");
        peer.send(&[b"1"]);
        peer.send(&[b"2"]);
        peer.write(&frame(1, b"the first half of a message"));
        drop(peer);
        for word in ["1", "2", "hic"] {
            assert_eq!(recv_text(&dealer), [word]);
        }
    }
}

#[test]
fn hiccup_comes_over_ipc_and_when_the_server_closes() {
    let context = Context::new();
    let server = socket(&context, Router);
    let endpoint = server.bind("ipc://*").unwrap();
    let dealer = socket_with(&context, Dealer, options().hiccup_msg("hic"));
    dealer.connect(&endpoint).unwrap();
    await_peers(&dealer, 1);
    server.close();
    assert_eq!(recv_text(&dealer), ["hic"]);
}

#[test]
fn hiccup_is_not_told_by_the_side_that_is_bound_nor_before_a_handshake_nor_over_inproc() {
    let context = Context::new();
    let bound = socket_with(&context, Dealer, options().hiccup_msg("hic"));
    let endpoint = bound.bind(&fresh("tcp")).unwrap();
    drop(Raw::connect_as(&endpoint, "DEALER"));
    let listener = RawListener::new();
    let quick = options().reconnect_ivl(Duration::from_millis(1));
    let refused = socket_with(&context, Dealer, quick.hiccup_msg("hic"));
    refused.connect(&listener.endpoint()).unwrap();
    drop(listener.accept());
    drop(listener.accept());
    let inproc = socket_with(&context, Dealer, options().hiccup_msg("hic"));
    let (server, endpoint) = router(&context, options(), "inproc");
    inproc.connect(&endpoint).unwrap();
    drop(server);
    await_peers(&inproc, 0);
    for dealer in [bound, refused, inproc] {
        recv_nothing(&dealer);
    }
}

/// A hiccup that waits does not make the lost connection look alive.
#[test]
fn hiccup_goes_with_immediate() {
    let context = Context::new();
    let listener = RawListener::new();
    let with = options()
        .hiccup_msg("hic")
        .immediate(true)
        .reconnect_ivl(Duration::from_secs(1000));
    let dealer = socket_with(&context, Dealer, with);
    dealer.connect(&listener.endpoint()).unwrap();
    drop(listener.accept_as("ROUTER"));
    await_peers(&dealer, 0);
    let refused = dealer.try_send("to nobody").unwrap_err();
    assert_eq!(refused.kind, SendErrorKind::WouldBlock);
    assert_eq!(recv_text(&dealer), ["hic"]);
}

// ---- ROUTER_NOTIFY ----

const BOTH: [(&str, bool, bool); 4] = [
    ("0", false, false),
    ("connect", true, false),
    ("disconnect", false, true),
    ("connect,disconnect", true, true),
];

#[test]
fn notices_stand_before_and_after_what_a_peer_says() {
    for transport in ["tcp", "ipc"] {
        for (notify, connect, disconnect) in BOTH {
            let context = Context::new();
            let (router, endpoint) = router(&context, options(), transport);
            router.set("router_notify", notify).unwrap();
            let dealer = socket_with(&context, Dealer, Options::new().routing_id("X"));
            dealer.connect(&endpoint).unwrap();
            send(&dealer, "Hello");
            dealer.close();
            let mut expected = vec![["X", ""], ["X", "Hello"], ["X", ""]];
            if !disconnect {
                expected.pop();
            }
            if !connect {
                expected.remove(0);
            }
            for words in expected {
                assert_eq!(recv_text(&router), words, "{transport} {notify}");
            }
            recv_nothing(&router);
        }
    }
}

/// The disconnect message follows the notice.
#[test]
fn notices_and_the_disconnect_message_go_together() {
    let context = Context::new();
    let with = options()
        .disconnect_msg("D")
        .router_notify(RouterNotify::CONNECT | RouterNotify::DISCONNECT);
    let (router, endpoint) = router(&context, with, "tcp");
    let peer = Raw::connect(&endpoint).shake("DEALER", b"X");
    assert_eq!(recv_text(&router), ["X", ""]);
    drop(peer);
    assert_eq!(recv_text(&router), ["X", ""]);
    assert_eq!(recv_text(&router), ["X", "D"]);
    recv_nothing(&router);
}

#[test]
fn notices_bear_generated_ids_too_and_come_again_with_every_connection_made() {
    let context = Context::new();
    let listener = RawListener::new();
    let with = options()
        .router_notify(RouterNotify::CONNECT | RouterNotify::DISCONNECT)
        .reconnect_ivl(Duration::from_millis(1));
    let router = socket_with(&context, Router, with);
    router.connect(&listener.endpoint()).unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let peer = listener.accept_as("DEALER");
        let came = recv(&router);
        assert_eq!(
            (came.len(), came.first().len(), came.body().len()),
            (2, 5, 0)
        );
        drop(peer);
        assert_eq!(recv(&router), came);
        ids.push(came);
    }
    assert_eq!(
        ids[0], ids[1],
        "a peer that this side connects to keeps its name"
    );
}

#[test]
fn notices_are_not_for_strangers_nor_for_inproc_nor_in_the_middle_of_a_message() {
    let context = Context::new();
    let with = options().router_notify(RouterNotify::CONNECT | RouterNotify::DISCONNECT);
    let (router, endpoint) = router(&context, with, "tcp");
    let monitor = router.monitor();
    drop(Raw::connect(&endpoint));
    await_event(&monitor, EventKind::HandshakeFailedNoDetail);
    let inproc = router.bind(&fresh("inproc")).unwrap();
    let neighbour = named(&context, Dealer, "N");
    neighbour.connect(&inproc).unwrap();
    send(&neighbour, "hi");
    assert_eq!(recv_text(&router), ["N", "hi"]);
    drop(neighbour);
    recv_nothing(&router);
    let mut peer = Raw::connect(&endpoint).shake("DEALER", b"X");
    peer.write(&frame(1, b"half"));
    drop(peer);
    assert_eq!(recv_text(&router), ["X", ""]);
    assert_eq!(recv_text(&router), ["X", ""]);
}

/// A peer that will not come back has gone like any other.
#[test]
fn notices_and_hiccups_come_without_reconnection_too() {
    let context = Context::new();
    for transport in ["tcp", "ipc"] {
        let server = socket(&context, Router);
        let endpoint = server.bind(&fresh(transport)).unwrap();
        let with = || options().reconnect_ivl(None);
        let notified = with().router_notify(RouterNotify::DISCONNECT);
        let router = socket_with(&context, Router, notified);
        let dealer = socket_with(&context, Dealer, with().hiccup_msg("hic"));
        for socket in [&router, &dealer] {
            socket.connect(&endpoint).unwrap();
            await_peers(socket, 1);
        }
        drop(server);
        assert_eq!(*recv(&router).body(), *b"", "{transport}");
        assert_eq!(recv_text(&dealer), ["hic"], "{transport}");
    }
}

/// The name goes on, with another connection: nobody has gone.
#[test]
fn notices_do_not_tell_of_a_peer_whose_name_was_taken_over() {
    let context = Context::new();
    let with = options()
        .router_handover(true)
        .disconnect_msg("D")
        .router_notify(RouterNotify::DISCONNECT);
    let (router, endpoint) = router(&context, with, "tcp");
    let mut old = Raw::connect(&endpoint).shake("DEALER", b"X");
    await_peers(&router, 1);
    let mut new = Raw::connect(&endpoint).shake("DEALER", b"X");
    old.await_end();
    send(&router, message([b"X", b"for the new one"]));
    assert_eq!(new.recv(), [b"for the new one"]);
    recv_nothing(&router);
    drop(new);
    assert_eq!(recv_text(&router), ["X", ""]);
    assert_eq!(recv_text(&router), ["X", "D"]);
}

// ---- ROUTER_RAW ----

#[test]
fn raw_router_talks_to_programs_without_the_protocol() {
    let context = Context::new();
    let with = options().router_raw(true).router_mandatory(true);
    let (router, endpoint) = router(&context, with, "tcp");
    let mut client = Raw::connect(&endpoint);
    client.write(b"GET /\r\n");
    let request = recv(&router);
    let id = request.first().clone();
    assert_eq!(
        (request.len(), id.len(), id[0]),
        (2, 5, 0),
        "no notice first"
    );
    assert_eq!(*request.body(), *b"GET /\r\n");
    let answer: xebec::Message = [&id[..], b"200 ", b"OK"].into_iter().collect();
    send(&router, answer);
    send(&router, message([&id, b"\r\n"]));
    // An empty message ends the connection, behind what was sent.
    send(&router, message([&id, b""]));
    assert_eq!(client.read_to_end(), b"200 OK\r\n");
    let gone = router.try_send(message([&id, b"?"])).unwrap_err();
    assert_eq!(gone.kind, SendErrorKind::Unroutable);
    recv_nothing(&router);
}

#[test]
fn raw_router_connects_and_has_notices_if_it_asks_for_them() {
    let context = Context::new();
    let listener = RawListener::new();
    let with = options()
        .router_raw(true)
        .connect_routing_id("server")
        .router_notify(RouterNotify::CONNECT | RouterNotify::DISCONNECT);
    let router = socket_with(&context, Router, with);
    router.connect(&listener.endpoint()).unwrap();
    let mut server = listener.accept();
    assert_eq!(recv_text(&router), ["server", ""]);
    send(&router, message([b"server", b"hi"]));
    let mut hi = [0; 2];
    std::io::Read::read_exact(&mut server.0, &mut hi).unwrap();
    server.write(b"ho");
    assert_eq!(
        (&hi, recv_text(&router)),
        (b"hi", vec!["server".to_owned(), "ho".into()])
    );
    drop(server);
    assert_eq!(recv_text(&router), ["server", ""]);
}

/// It is the endpoint that is raw: what was bound before goes on speaking the protocol.
#[test]
fn raw_router_can_serve_both_kinds() {
    let context = Context::new();
    let (router, spoken) = router(&context, options(), "tcp");
    router.set("router_raw", "true").unwrap();
    let raw = router.bind(&fresh("tcp")).unwrap();
    router.set("router_raw", "false").unwrap();
    let req = named(&context, Req, "req");
    req.connect(&spoken).unwrap();
    send(&req, "framed");
    assert_eq!(recv_text(&router), ["req", "", "framed"]);
    // An empty body is a message like others to such a peer.
    send(&router, message([b"req", b"", b""]));
    assert_eq!(recv_text(&req), [""]);
    let mut client = Raw::connect(&raw);
    client.write(b"bare");
    assert_eq!(recv_text(&router)[1], "bare");
}
