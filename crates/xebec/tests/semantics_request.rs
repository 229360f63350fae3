//! Requests and replies (RFC 28): REQ, REP, DEALER and ROUTER, their envelopes, turns and names.

mod support;

use std::time::Duration;

use support::*;
use xebec::SocketType::{Dealer, Rep, Req, Router};
use xebec::{Context, EventKind, Message, RecvError, SendErrorKind, Socket};

/// A bound socket and one that is connected to it, for each transport.
fn each_transport(test: impl Fn(&Context, &str)) {
    for transport in TRANSPORTS {
        test(&Context::new(), transport);
    }
}

#[track_caller]
fn refused(result: Result<(), xebec::SendError>, kind: SendErrorKind) {
    assert_eq!(result.expect_err("the message is refused").kind, kind);
}

// ---- turns ----

#[test]
fn req_and_rep_keep_their_turns() {
    each_transport(|context, transport| {
        let rep = socket(context, Rep);
        let endpoint = rep.bind(&fresh(transport)).unwrap();
        let req = socket(context, Req);
        req.connect(&endpoint).unwrap();

        assert_eq!(req.recv(), Err(RecvError::State), "no request was sent");
        refused(rep.send("unasked"), SendErrorKind::State);
        assert!(!req.is_readable() && !rep.is_writable());

        send(&req, "one");
        assert!(!req.is_writable());
        for refusal in [
            req.send("two"),
            req.try_send("two"),
            req.send_timeout("two", PATIENCE),
            block_on(req.send_async("two")),
        ] {
            let refusal = refusal.expect_err("the reply has not come");
            assert_eq!(
                (refusal.kind, text(&refusal.message)),
                (SendErrorKind::State, vec!["two".to_owned()])
            );
        }

        assert_eq!(recv_text(&rep), ["one"]);
        assert!(!rep.is_readable() && rep.is_writable());
        for refusal in [
            rep.recv(),
            rep.try_recv(),
            rep.recv_timeout(PATIENCE),
            block_on(rep.recv_async()),
        ] {
            assert_eq!(refusal, Err(RecvError::State));
        }
        send(&rep, "answer");
        refused(rep.send("twice"), SendErrorKind::State);

        assert_eq!(recv_text(&req), ["answer"]);
        assert_eq!(
            req.recv(),
            Err(RecvError::State),
            "one reply for one request"
        );
        send(&req, "two");
        assert_eq!(recv_text(&rep), ["two"]);
    });
}

#[test]
fn a_multipart_request_comes_and_goes_whole() {
    each_transport(|context, transport| {
        let rep = socket(context, Rep);
        let req = socket(context, Req);
        req.connect(&rep.bind(&fresh(transport)).unwrap()).unwrap();
        send(&req, message([b"a", b"", b"c", b""]));
        assert_eq!(
            recv_text(&rep),
            ["a", "", "c", ""],
            "an empty frame in the body stays there"
        );
        send(&rep, message([b"", b"x"]));
        assert_eq!(recv_text(&req), ["", "x"]);
    });
}

#[test]
fn req_asks_its_peers_in_turn() {
    each_transport(|context, transport| {
        let reps = [(); 3].map(|()| socket(context, Rep));
        let req = socket(context, Req);
        for rep in &reps {
            req.connect(&rep.bind(&fresh(transport)).unwrap()).unwrap();
        }
        for round in 0..4 {
            for rep in &reps {
                send(&req, format!("{round}"));
                assert_eq!(recv_text(rep), [format!("{round}")]);
                send(rep, "answer");
                recv(&req);
            }
        }
    });
}

#[test]
fn rep_serves_its_peers_in_turn_and_answers_the_one_that_asked() {
    each_transport(|context, transport| {
        let rep = socket(context, Rep);
        let endpoint = rep.bind(&fresh(transport)).unwrap();
        let reqs: Vec<Socket> = (0..5).map(|_| socket(context, Req)).collect();
        for (n, req) in reqs.iter().enumerate() {
            req.connect(&endpoint).unwrap();
            send(req, format!("{n}"));
        }
        for _ in 0..5 {
            let asked = recv(&rep);
            send(&rep, format!("to {}", asked.to_string_lossy()));
        }
        for (n, req) in reqs.iter().enumerate() {
            assert_eq!(recv_text(req), [format!("to {n}")]);
        }
    });
}

// ---- envelopes ----

#[test]
fn req_puts_one_delimiter_on_the_wire_and_takes_it_off() {
    let context = Context::new();
    let req = socket(&context, Req);
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    send(&req, "Hello");
    assert_eq!(peer.recv(), [&b""[..], b"Hello"]);
    peer.send(&[b"", b"World"]);
    assert_eq!(recv_text(&req), ["World"]);
}

#[test]
fn req_drops_replies_without_a_delimiter() {
    let context = Context::new();
    let req = socket(&context, Req);
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    send(&req, "Hello");
    peer.recv();
    peer.send(&[b"no delimiter"]);
    peer.send(&[b""]);
    peer.send(&[b"x", b"", b"late"]);
    peer.send(&[b"", b"good"]);
    assert_eq!(recv_text(&req), ["good"]);
    assert_eq!(req.stats().dropped.malformed, 3);
}

#[test]
fn rep_keeps_the_whole_stack_of_addresses() {
    let context = Context::new();
    let rep = socket(&context, Rep);
    let endpoint = rep.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "DEALER");
    for depth in [0usize, 1, 2, 7, 100] {
        let addresses: Vec<Vec<u8>> = (0..depth)
            .map(|n| format!("address {n}").into_bytes())
            .collect();
        let envelope = || addresses.iter().map(Vec::as_slice);
        let request: Vec<&[u8]> = envelope()
            .chain([&b""[..], b"data", b"", b"more"])
            .collect();
        peer.send(&request);
        assert_eq!(recv_text(&rep), ["data", "", "more"]);
        send(&rep, "answer");
        let reply: Vec<&[u8]> = envelope().chain([&b""[..], b"answer"]).collect();
        assert_eq!(peer.recv(), reply);
    }
}

#[test]
fn rep_drops_what_has_no_envelope() {
    let context = Context::new();
    let rep = socket(&context, Rep);
    let endpoint = rep.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "DEALER");
    peer.send(&[b"data alone"]);
    peer.send(&[b"address", b"data"]);
    peer.send(&[b""]);
    peer.send(&[b"", b"good"]);
    assert_eq!(recv_text(&rep), ["good"]);
    assert_eq!(rep.stats().dropped.malformed, 3);
}

#[test]
fn routers_and_dealers_push_and_pop_one_name_a_hop() {
    each_transport(|context, transport| {
        // REQ - ROUTER|DEALER - ROUTER|DEALER - ROUTER|DEALER - REP, joined by hand.
        let rep = socket(context, Rep);
        let mut next = rep.bind(&fresh(transport)).unwrap();
        let mut hops = Vec::new();
        for _ in 0..3 {
            let (front, back) = (socket(context, Router), socket(context, Dealer));
            back.connect(&next).unwrap();
            next = front.bind(&fresh(transport)).unwrap();
            hops.push((front, back));
        }
        hops.reverse();
        let req = socket_with(context, Req, options().routing_id("client"));
        req.connect(&next).unwrap();
        send(&req, "question");
        for (n, (front, back)) in hops.iter().enumerate() {
            let passing = recv(front);
            assert_eq!(passing.len(), n + 3, "one more name at each hop");
            assert_eq!(passing[n], "client");
            send(back, passing);
        }
        assert_eq!(recv_text(&rep), ["question"]);
        send(&rep, "answer");
        for (n, (front, back)) in hops.iter().enumerate().rev() {
            let passing = recv(back);
            assert_eq!(passing.len(), n + 3);
            send(front, passing);
        }
        assert_eq!(recv_text(&req), ["answer"]);
    });
}

#[test]
fn dealer_talks_to_rep_with_a_delimiter_made_by_hand() {
    each_transport(|context, transport| {
        let rep = socket(context, Rep);
        let dealer = socket(context, Dealer);
        dealer
            .connect(&rep.bind(&fresh(transport)).unwrap())
            .unwrap();
        for n in 0..3u8 {
            send(&dealer, message([b"", &[n]]));
        }
        send(&dealer, "without: dropped");
        for n in 0..3u8 {
            assert_eq!(recv(&rep).body(), &[n]);
            send(&rep, [n, n]);
        }
        for n in 0..3u8 {
            assert_eq!(recv(&dealer), message([b"", &[n, n]]));
        }
        recv_nothing(&rep);
        assert_eq!(rep.stats().dropped.malformed, 1);
    });
}

// ---- replies that nobody waits for ----

#[test]
fn req_takes_replies_from_the_peer_it_asked_only() {
    let context = Context::new();
    let req = socket(&context, Req);
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peers = [(); 2].map(|()| Raw::connect_as(&endpoint, "ROUTER"));
    await_peers(&req, 2);
    send(&req, "Hello");
    // Which of the two came first, and so is asked, is the kernel's choice.
    peers[0].0.set_nonblocking(true).unwrap();
    let mut first = [0; 1];
    let mut asked = 1;
    eventually("one of them is asked", || {
        if peers[0].0.peek(&mut first).is_ok() {
            asked = 0;
            return true;
        }
        peers[1].0.set_nonblocking(true).unwrap();
        peers[1].0.peek(&mut first).is_ok()
    });
    peers
        .iter()
        .for_each(|peer| peer.0.set_nonblocking(false).unwrap());
    peers[asked].recv();
    peers[1 - asked].send(&[b"", b"not asked"]);
    eventually("it has arrived", || req.stats().queued_in == 1);
    recv_nothing(&req);
    peers[asked].send(&[b"", b"asked"]);
    assert_eq!(recv_text(&req), ["asked"]);
    assert_eq!(req.stats().dropped.unwanted, 1);
}

#[test]
fn req_whose_peer_is_gone_takes_no_reply_from_another() {
    let context = Context::new();
    let req = socket(&context, Req);
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut asked = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    send(&req, "Hello");
    asked.recv();
    drop(asked);
    await_peers(&req, 0);
    let mut other = Raw::connect_as(&endpoint, "ROUTER");
    other.send(&[b"", b"not asked"]);
    eventually("it has arrived", || req.stats().queued_in == 1);
    recv_nothing(&req);
    refused(req.try_send("again"), SendErrorKind::State);
    assert_eq!(req.stats().dropped.unwanted, 1);

    // RELAXED lets it ask again.
    req.set("req-relaxed", "1").unwrap();
    send(&req, "again");
    assert_eq!(other.recv(), [&b""[..], b"again"]);
    other.send(&[b"", b"answer"]);
    assert_eq!(recv_text(&req), ["answer"]);
}

#[test]
fn a_reply_that_came_before_the_peer_died_is_received() {
    let context = Context::new();
    let req = socket(&context, Req);
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    send(&req, "Hello");
    peer.recv();
    peer.send(&[b"", b"last words"]);
    drop(peer);
    await_peers(&req, 0);
    assert!(req.is_readable());
    assert_eq!(recv_text(&req), ["last words"]);
}

#[test]
fn relaxed_req_asks_again_and_the_connection_comes_back() {
    let context = Context::new();
    let listener = RawListener::new();
    let req = socket_with(
        &context,
        Req,
        options()
            .req_relaxed(true)
            .req_correlate(true)
            .reconnect_ivl(Duration::from_millis(1)),
    );
    req.connect(&listener.endpoint()).unwrap();
    let mut first = listener.accept_as("REP");
    send(&req, "one");
    assert_eq!(first.recv()[2], b"one");
    drop(first);
    let mut second = listener.accept_as("REP");
    await_peers(&req, 1);
    assert_eq!(
        req.try_recv(),
        Err(RecvError::WouldBlock),
        "the request died with its connection"
    );
    send(&req, "two");
    let asked = second.recv();
    second.send(&[&asked[0], b"", b"answer"]);
    assert_eq!(recv_text(&req), ["answer"]);
    assert_eq!(req.stats().reconnects, 1);
}

#[test]
fn correlate_drops_late_replies_of_earlier_requests() {
    let context = Context::new();
    let req = socket_with(
        &context,
        Req,
        options().req_relaxed(true).req_correlate(true),
    );
    let endpoint = req.bind(&fresh("tcp")).unwrap();
    let mut peer = Raw::connect_as(&endpoint, "ROUTER");
    await_peers(&req, 1);
    let mut ids = Vec::new();
    for n in 0..3u8 {
        send(&req, [n]);
        let [id, empty, body] = &peer.recv()[..] else {
            panic!("three frames")
        };
        assert_eq!((id.len(), empty.len(), &body[..]), (4, 0, &[n][..]));
        assert!(!ids.contains(id), "each request has its own number");
        ids.push(id.clone());
    }
    peer.send(&[&ids[0], b"", b"late"]);
    peer.send(&[&ids[1], b"", b"late too"]);
    peer.send(&[b"", b"no number"]);
    peer.send(&[&ids[2], b"", b"in time"]);
    assert_eq!(recv_text(&req), ["in time"]);
    let dropped = req.stats().dropped;
    assert_eq!(dropped.unwanted, 3, "{dropped:?}");
}

#[test]
fn relaxed_req_throws_away_what_was_there_before_the_request() {
    each_transport(|context, transport| {
        let router = socket(context, Router);
        let req = socket_with(context, Req, options().req_relaxed(true));
        req.connect(&router.bind(&fresh(transport)).unwrap())
            .unwrap();
        send(&req, "one");
        let asked = recv(&router);
        send(&router, message([&asked[0], b"", b"late"]));
        eventually("the late reply is there", || req.is_readable());
        send(&req, "two");
        let asked = recv(&router);
        assert_eq!(asked.body(), "two");
        recv_nothing(&req);
        send(&router, message([&asked[0], b"", b"in time"]));
        assert_eq!(recv_text(&req), ["in time"]);
        assert_eq!(req.stats().dropped.unwanted, 1);
    });
}

#[test]
fn correlated_requests_pass_through_rep() {
    each_transport(|context, transport| {
        let rep = socket(context, Rep);
        let req = socket_with(context, Req, options().req_correlate(true));
        req.connect(&rep.bind(&fresh(transport)).unwrap()).unwrap();
        for n in 0..3u8 {
            send(&req, [n]);
            assert_eq!(recv(&rep).body(), &[n]);
            send(&rep, [n, n]);
            assert_eq!(recv(&req), Message::from([n, n]));
        }
    });
}

// ---- routing ids ----

#[test]
fn router_makes_ids_of_five_bytes_that_differ() {
    each_transport(|context, transport| {
        let router = socket(context, Router);
        let endpoint = router.bind(&fresh(transport)).unwrap();
        let dealers: Vec<Socket> = (0..20).map(|_| socket(context, Dealer)).collect();
        let mut ids = std::collections::HashMap::new();
        for (n, dealer) in dealers.iter().enumerate() {
            dealer.connect(&endpoint).unwrap();
            send(dealer, [n as u8]);
            let got = recv(&router);
            assert_eq!((got.len(), got[0].len(), got[0][0]), (2, 5, 0));
            assert_eq!(ids.insert(got[0].to_vec(), n), None);
        }
        for (id, n) in &ids {
            send(&router, message([id, format!("for {n}").as_bytes()]));
        }
        for (n, dealer) in dealers.iter().enumerate() {
            assert_eq!(recv_text(dealer), [format!("for {n}")]);
        }
    });
}

#[test]
fn router_calls_peers_by_the_ids_they_chose() {
    each_transport(|context, transport| {
        for kind in [Req, Dealer, Router] {
            let router = socket_with(context, Router, options().routing_id("server"));
            let peer = socket_with(context, kind, options().routing_id("PEER2"));
            peer.connect(&router.bind(&fresh(transport)).unwrap())
                .unwrap();
            if kind == Router {
                // It has to know whom to send to: the name comes with the handshake.
                await_peers(&peer, 1);
                send(&peer, message([b"server", b"hi"]));
            } else {
                send(&peer, "hi");
            }
            let got = recv(&router);
            assert_eq!((&got[0][..], &got.body()[..]), (&b"PEER2"[..], &b"hi"[..]));
        }
    });
}

#[test]
fn either_side_of_a_router_may_bind() {
    each_transport(|context, transport| {
        let dealer = socket_with(context, Dealer, options().routing_id("worker"));
        let router = socket(context, Router);
        router
            .connect(&dealer.bind(&fresh(transport)).unwrap())
            .unwrap();
        router.set("router-mandatory", "1").unwrap();
        // The name is known once the handshake is done.
        await_peers(&router, 1);
        send(&router, message([b"worker", b"job"]));
        assert_eq!(recv_text(&dealer), ["job"]);
        send(&dealer, "done");
        assert_eq!(recv_text(&router), ["worker", "done"]);
    });
}

#[test]
fn router_forgets_a_peer_that_left() {
    each_transport(|context, transport| {
        let router = socket_with(context, Router, options().router_mandatory(true));
        let endpoint = router.bind(&fresh(transport)).unwrap();
        for round in 0..3u8 {
            let dealer = socket_with(context, Dealer, options().routing_id("same"));
            dealer.connect(&endpoint).unwrap();
            send(&dealer, [round]);
            assert_eq!(recv(&router).body(), &[round]);
            send(&router, message([b"same", &[round]]));
            assert_eq!(recv(&dealer).body(), &[round]);
            drop(dealer);
            await_peers(&router, 0);
            refused(
                router.try_send(message([b"same", b"x"])),
                SendErrorKind::Unroutable,
            );
        }
    });
}

/// What a peer sent before it left is received, also when the application looks first whether
/// there is something.
#[test]
fn last_words_survive_a_look() {
    each_transport(|context, transport| {
        for kind in [Router, Dealer, Rep] {
            let socket = socket(context, kind);
            let endpoint = socket.bind(&fresh(transport)).unwrap();
            let leaving = socket_with(context, Dealer, xebec::Options::new().routing_id("gone"));
            leaving.connect(&endpoint).unwrap();
            send(&leaving, message([b"", b"last words"]));
            drop(leaving);
            eventually("the peer has come and gone", || {
                let stats = socket.stats();
                stats.queued_in == 1 && stats.connections == 0
            });
            for _ in 0..3 {
                assert!(socket.is_readable(), "{kind:?} over {transport}");
            }
            let got = recv_text(&socket);
            assert_eq!(got.last().unwrap(), "last words");
            if kind == Router {
                assert_eq!(got[0], "gone");
            }
            if kind == Rep {
                send(&socket, "too late");
            }
            assert!(!socket.is_readable());
            assert!(
                socket.stats().peers.is_empty(),
                "nothing is left of the peer"
            );
        }
    });
}

#[test]
fn router_refuses_a_second_peer_of_the_same_id() {
    let context = Context::new();
    let router = socket(&context, Router);
    let monitor = router.monitor();
    let endpoint = router.bind(&fresh("tcp")).unwrap();
    let mut first = Raw::connect(&endpoint).shake("DEALER", b"same");
    first.send(&[b"first"]);
    assert_eq!(recv_text(&router), ["same", "first"]);
    for _ in 0..3 {
        let mut second = Raw::connect(&endpoint).shake("DEALER", b"same");
        let refused = await_event(&monitor, EventKind::Closed);
        assert!(refused.cause.unwrap().contains("routing id"));
        assert_eq!(refused.routing_id.unwrap(), &b"same"[..]);
        second.await_end();
    }
    // Nor is one heard that sends in the same breath, or anything kept of it.
    for _ in 0..3 {
        let mut hasty = Raw::connect(&endpoint);
        let mut bytes = support::hello("DEALER", b"same");
        bytes.extend(frames(&[b"not heard"]));
        hasty.write(&bytes);
        await_event(&monitor, EventKind::Closed);
        hasty.await_end();
    }
    recv_nothing(&router);
    assert_eq!(
        router.stats().peers.len(),
        1,
        "nothing is kept of those refused"
    );
    send(&router, message([b"same", b"still there"]));
    assert_eq!(first.recv(), [b"still there"]);
}

#[test]
fn router_with_handover_gives_the_id_to_the_newer_peer() {
    let context = Context::new();
    let router = socket_with(&context, Router, options().router_handover(true));
    let monitor = router.monitor();
    let endpoint = router.bind(&fresh("tcp")).unwrap();
    let mut first = Raw::connect(&endpoint).shake("DEALER", b"same");
    first.send(&[b"first"]);
    assert_eq!(recv_text(&router), ["same", "first"]);
    first.send(&[b"unread"]);
    eventually("it has arrived", || router.stats().queued_in == 1);
    let mut second = Raw::connect(&endpoint).shake("DEALER", b"same");
    first.await_end();
    assert!(
        await_event(&monitor, EventKind::Closed)
            .cause
            .unwrap()
            .contains("took over")
    );
    assert_eq!(
        recv_text(&router),
        ["same", "unread"],
        "what the older had sent"
    );
    send(&router, message([b"same", b"to the newer"]));
    assert_eq!(second.recv(), [b"to the newer"]);
    second.send(&[b"second"]);
    assert_eq!(recv_text(&router), ["same", "second"]);
    assert_eq!(router.stats().peers.len(), 1);
}

#[test]
fn handover_works_over_inproc() {
    let context = Context::new();
    for handover in [false, true] {
        let router = socket_with(
            &context,
            Router,
            options().router_handover(handover).router_mandatory(true),
        );
        let endpoint = router.bind(&fresh("inproc")).unwrap();
        let dealers = [(); 2].map(|()| socket_with(&context, Dealer, options().routing_id("same")));
        dealers
            .iter()
            .for_each(|dealer| dealer.connect(&endpoint).unwrap());
        send(&router, message([b"same", b"x"]));
        assert_eq!(recv_text(&dealers[usize::from(handover)]), ["x"]);
        recv_nothing(&dealers[usize::from(!handover)]);
        await_peers(&dealers[usize::from(!handover)], 0);
    }
}

#[test]
fn connect_routing_id_names_a_peer_before_it_is_there() {
    each_transport(|context, transport| {
        let router = socket_with(context, Router, options().router_mandatory(true));
        let dealers = [(); 2].map(|()| socket_with(context, Dealer, options().routing_id("own")));
        for (dealer, name) in dealers.iter().zip(["a", "b"]) {
            let endpoint = dealer.bind(&fresh(transport)).unwrap();
            router.set("connect-routing-id", name).unwrap();
            router.connect(&endpoint).unwrap();
            // At once: the queue is there before the connection.
            router
                .try_send(message([name.as_bytes(), b"early"]))
                .unwrap();
        }
        for (dealer, name) in dealers.iter().zip(["a", "b"]) {
            assert_eq!(recv_text(dealer), ["early"]);
            send(dealer, "hi");
            assert_eq!(
                recv_text(&router),
                [name, "hi"],
                "the given name, not the peer's own"
            );
        }
        // It is used up: the next peer has its own.
        let third = socket_with(context, Dealer, options().routing_id("own"));
        router
            .connect(&third.bind(&fresh(transport)).unwrap())
            .unwrap();
        send(&third, "hi");
        assert_eq!(recv_text(&router), ["own", "hi"]);
    });
}

#[test]
fn a_routing_id_is_not_given_twice() {
    each_transport(|context, transport| {
        let router = socket(context, Router);
        let monitor = router.monitor();
        let dealers = [(); 2].map(|()| socket(context, Dealer));
        for dealer in &dealers {
            router.set("connect-routing-id", "name").unwrap();
            router
                .connect(&dealer.bind(&fresh(transport)).unwrap())
                .unwrap();
        }
        let refused = await_event(&monitor, EventKind::Closed);
        assert!(refused.cause.unwrap().contains("CONNECT_ROUTING_ID"));
        assert_eq!(router.stats().peers.len(), 1);
        send(&router, message([b"name", b"x"]));
        assert_eq!(recv_text(&dealers[0]), ["x"]);
        send(&dealers[0], "y");
        assert_eq!(recv_text(&router), ["name", "y"]);
        recv_nothing(&dealers[1]);
        assert_eq!(dealers[1].stats().connections, 0);
    });
}

#[test]
fn probe_introduces_a_socket_to_a_router() {
    each_transport(|context, transport| {
        for kind in [Req, Dealer, Router] {
            let router = socket(context, Router);
            let endpoint = router.bind(&fresh(transport)).unwrap();
            let prober = socket_with(
                context,
                kind,
                options().probe_router(true).routing_id("probe"),
            );
            prober.connect(&endpoint).unwrap();
            assert_eq!(
                recv_text(&router),
                ["probe", ""],
                "{kind:?} over {transport}"
            );
            recv_nothing(&router);
        }
        let router = socket_with(context, Router, options().probe_router(true));
        let dealer = socket(context, Dealer);
        dealer
            .connect(&router.bind(&fresh(transport)).unwrap())
            .unwrap();
        assert_eq!(
            recv_text(&dealer),
            [""],
            "a ROUTER that is connected to introduces itself as well"
        );
    });
}

#[test]
fn routers_reach_each_other() {
    each_transport(|context, transport| {
        let server = socket_with(context, Router, options().routing_id("server"));
        let client = socket_with(context, Router, options().router_mandatory(true));
        let endpoint = server.bind(&fresh(transport)).unwrap();
        client.set("connect-routing-id", &endpoint).unwrap();
        client.connect(&endpoint).unwrap();
        send(&client, message([endpoint.as_bytes(), b"PING"]));
        let got = recv(&server);
        assert_eq!((got[0].len(), &got.body()[..]), (5, &b"PING"[..]));
        send(&server, message([&got[0], b"PONG"]));
        assert_eq!(recv_text(&client), [&endpoint, "PONG"]);
    });
}

#[test]
fn a_message_of_an_address_alone_sends_nothing() {
    each_transport(|context, transport| {
        let router = socket_with(context, Router, options().router_mandatory(true));
        let dealer = socket_with(context, Dealer, options().routing_id("peer"));
        dealer
            .connect(&router.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_peers(&router, 1);
        send(&router, "peer");
        recv_nothing(&dealer);
        send(&router, message([b"peer", b""]));
        assert_eq!(recv_text(&dealer), [""]);
    });
}

#[test]
fn types_that_do_not_fit_are_refused_in_words() {
    let context = Context::new();
    use xebec::SocketType::{Pub, Pull, Push, Sub};
    for (bound, connecting) in [
        (Req, Req),
        (Req, Dealer),
        (Rep, Rep),
        (Rep, Router),
        (Pub, Pull),
        (Push, Sub),
    ] {
        for transport in ["tcp", "ipc"] {
            let bound = socket(&context, bound);
            let monitor = bound.monitor();
            let endpoint = bound.bind(&fresh(transport)).unwrap();
            let connecting = socket(&context, connecting);
            let theirs = connecting.monitor();
            connecting.connect(&endpoint).unwrap();
            for monitor in [&monitor, &theirs] {
                let refused = await_event(monitor, EventKind::HandshakeFailedProtocol);
                let cause = refused.cause.unwrap();
                assert!(
                    cause.contains(bound.kind().name()) && cause.contains(connecting.kind().name()),
                    "{cause}"
                );
            }
            assert_eq!(bound.stats().connections, 0);
        }
        let socket = socket(&context, bound);
        let endpoint = socket.bind(&fresh("inproc")).unwrap();
        let refused = support::socket(&context, connecting)
            .connect(&endpoint)
            .unwrap_err();
        assert!(
            refused.to_string().contains("does not talk to"),
            "{refused}"
        );
    }
}

/// Its last words wait, it does not: a send to it that waited for room would wait for ever.
#[test]
fn a_mandatory_router_did_not_wait_for_who_had_gone() {
    let context = Context::new();
    let router = socket_with(&context, Router, options().router_mandatory(true));
    let endpoint = router.bind(&fresh("inproc")).unwrap();
    let dealer = socket_with(&context, Dealer, options().routing_id("PEER2"));
    dealer.connect(&endpoint).unwrap();
    send(&dealer, "last words");
    drop(dealer);
    let late: Message = ["PEER2", "late"].into_iter().collect();
    refused(
        router.send_timeout(late, PATIENCE),
        SendErrorKind::Unroutable,
    );
    assert_eq!(recv_text(&router), ["PEER2", "last words"]);
}
