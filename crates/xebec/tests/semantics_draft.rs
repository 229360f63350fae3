//! The types for messages of one frame: CLIENT and SERVER (RFC 41), RADIO and DISH (RFC 48), SCATTER and
//! GATHER (RFC 49), PEER (RFC 51), CHANNEL (RFC 52). Whom a message reaches, what it bears, what is on the
//! wire. When they block or drop is in `semantics_table.rs`.

mod support;

use std::sync::Arc;

use support::*;
use xebec::{
    AddressErrorKind, Channel, Client, Context, Dish, EventKind, Gather, GroupError, Message, Peer,
    Radio, RecvError, Scatter, SendErrorKind, Server, SocketType,
};

/// `[name]` as JOIN or LEAVE, command and group, in a frame.
fn command(name: &str, group: &[u8]) -> (u8, Vec<u8>) {
    let mut body = vec![name.len() as u8];
    body.extend(name.as_bytes());
    body.extend(group);
    (4, body)
}

#[track_caller]
fn write_command(peer: &mut Raw, name: &str, group: &[u8]) {
    let (flags, body) = command(name, group);
    peer.write(&frame(flags, &body));
}

/// Waits until a RADIO knows of so many groups.
#[track_caller]
fn await_groups(radio: &Radio, groups: usize) {
    eventually("the radio knows the groups", || {
        radio.as_socket().topics() == Some(groups)
    });
}

// ---- CLIENT and SERVER ----

#[test]
fn a_server_answers_each_client_by_its_number() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let server = Server::with_options(&context, options()).unwrap();
        let endpoint = server.bind(&fresh(transport)).unwrap();
        let clients: Vec<Client> = (0..3)
            .map(|_| {
                let client = Client::with_options(&context, options()).unwrap();
                client.connect(&endpoint).unwrap();
                client
            })
            .collect();
        for (n, client) in clients.iter().enumerate() {
            send(client, format!("{n}"));
        }
        let mut numbers = Vec::new();
        for _ in 0..3 {
            let request = recv(&server);
            let number = request.routing_id().expect("it has a number");
            numbers.push(number);
            let answer = format!("{} heard", request.to_string_lossy());
            server
                .send(Message::from(answer).with_routing_id(number))
                .unwrap();
            // What is received goes back as it is.
            server.send(request).unwrap();
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 3, "each has its own");
        for (n, client) in clients.iter().enumerate() {
            let answer = recv(client);
            assert_eq!(
                answer.to_string_lossy(),
                format!("{n} heard"),
                "{transport}"
            );
            assert_eq!(answer.routing_id(), None, "a client numbers nobody");
            assert_eq!(recv_text(client), [n.to_string()]);
        }
    }
}

#[test]
fn a_client_sends_to_its_servers_in_turn() {
    let context = Context::new();
    let client = Client::with_options(&context, options()).unwrap();
    let servers = [0; 2].map(|_| {
        let server = Server::with_options(&context, options()).unwrap();
        client
            .connect(&server.bind(&fresh("tcp")).unwrap())
            .unwrap();
        server
    });
    await_peers(&client, 2);
    for n in 0..4u8 {
        client.send([n]).unwrap();
    }
    let got = servers.map(|server| [recv(&server), recv(&server)].map(|got| got.body()[0] % 2));
    assert_eq!(got[0][0], got[0][1]);
    assert_ne!(got[0], got[1]);
}

#[test]
fn a_message_of_several_frames_is_refused_and_comes_back() {
    use SocketType::*;
    let context = Context::new();
    for kind in [Client, Server, Scatter, Channel, Peer, Radio] {
        let socket = socket(&context, kind);
        let refused = socket.send(message([b"a", b"b"])).unwrap_err();
        assert!(matches!(refused.kind, SendErrorKind::Invalid(_)), "{kind}");
        assert!(refused.to_string().contains("one frame"), "{refused}");
        assert_eq!(refused.message, message([b"a", b"b"]));
    }
}

#[test]
fn a_message_of_several_frames_from_a_peer_is_thrown_away_whole() {
    use SocketType::*;
    for (kind, peer) in [
        (Server, "CLIENT"),
        (Client, "SERVER"),
        (Gather, "SCATTER"),
        (Channel, "CHANNEL"),
        (Peer, "PEER"),
    ] {
        let context = Context::new();
        let socket = socket(&context, kind);
        let mut peer = Raw::connect_as(&socket.bind(&fresh("tcp")).unwrap(), peer);
        peer.send(&[b"one", b"two", b"three"]);
        eventually("it is thrown away", || {
            assert!(
                !socket.is_readable(),
                "{kind}: only a whole message is one to receive"
            );
            socket.stats().dropped.malformed == 1
        });
        assert_eq!(socket.try_recv(), Err(RecvError::WouldBlock));
        peer.send(&[b"four", b"five"]);
        peer.send(&[b"six"]);
        assert_eq!(recv_text(&socket), ["six"], "{kind}");
        assert_eq!(socket.stats().dropped.malformed, 2);
    }
}

#[test]
fn a_server_cannot_send_to_who_is_gone() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let server = Server::with_options(&context, options()).unwrap();
        let client = Client::with_options(&context, options()).unwrap();
        client
            .connect(&server.bind(&fresh(transport)).unwrap())
            .unwrap();
        send(&client, "first");
        let known = recv(&server).routing_id().unwrap();
        send(&client, "last words");
        drop(client);
        await_peers(&server, 0);
        let message = Message::from("late").with_routing_id(known);
        let refused = server.send(message).unwrap_err();
        assert_eq!(refused.kind, SendErrorKind::Unroutable, "{transport}");
        assert_eq!(refused.message.routing_id(), Some(known), "as it was given");
        if transport == "inproc" {
            // Over the others the end may come before the words are read.
            assert_eq!(recv(&server).routing_id(), Some(known));
        }
    }
}

#[test]
fn a_server_disconnects_a_client() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let server = Server::with_options(&context, options()).unwrap();
        let client = Client::with_options(&context, options()).unwrap();
        client
            .connect(&server.bind(&fresh(transport)).unwrap())
            .unwrap();
        let monitor = client.monitor();
        send(&client, "hello");
        let number = recv(&server).routing_id().unwrap();
        send(&client, "unread");
        assert!(server.disconnect_peer(number));
        assert!(!server.disconnect_peer(number), "it is gone");
        assert!(!server.disconnect_peer(0));
        let late = Message::from("late").with_routing_id(number);
        assert_eq!(
            server.send(late).unwrap_err().kind,
            SendErrorKind::Unroutable
        );
        if transport == "inproc" {
            await_peers(&client, 0);
            continue;
        }
        await_event(&monitor, EventKind::Disconnected);
        // It comes back, as a new peer.
        send(&client, "again");
        let again = std::iter::repeat_with(|| recv(&server)).find(|got| got.body() == "again");
        assert_ne!(again.unwrap().routing_id(), Some(number));
    }
}

#[test]
fn hello_disconnect_and_hiccup_messages() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let server =
            Server::with_options(&context, options().hello_msg("W").disconnect_msg("D")).unwrap();
        let client =
            Client::with_options(&context, options().hello_msg("H").hiccup_msg("I")).unwrap();
        client
            .connect(&server.bind(&fresh(transport)).unwrap())
            .unwrap();
        let hello = recv(&server);
        assert_eq!(hello, "H".into());
        assert_eq!(recv_text(&client), ["W"]);
        client.close();
        let farewell = recv(&server);
        assert_eq!(farewell, "D".into());
        assert_eq!(
            farewell.routing_id(),
            hello.routing_id(),
            "it tells who has gone"
        );

        let client = Client::with_options(&context, options().hiccup_msg("I")).unwrap();
        let peer = Server::with_options(&context, options().hello_msg("W")).unwrap();
        client
            .connect(&peer.bind(&fresh(transport)).unwrap())
            .unwrap();
        assert_eq!(recv_text(&client), ["W"]);
        peer.close();
        match transport {
            "inproc" => recv_nothing(&client),
            _ => assert_eq!(recv_text(&client), ["I"], "{transport}"),
        }
    }
}

// ---- SCATTER and GATHER, CHANNEL ----

#[test]
fn scatter_spreads_and_gather_collects() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let scatter = Scatter::with_options(&context, options()).unwrap();
        let endpoint = scatter.bind(&fresh(transport)).unwrap();
        let gathers = [0; 2].map(|_| {
            let gather = Gather::with_options(&context, options()).unwrap();
            gather.connect(&endpoint).unwrap();
            gather
        });
        await_peers(&scatter, 2);
        for n in 0..6u8 {
            scatter.send([n]).unwrap();
        }
        for gather in &gathers {
            let got = [0; 3].map(|_| recv(gather).body()[0]);
            assert_eq!([got[1] - got[0], got[2] - got[1]], [2, 2], "{transport}");
        }
    }
}

#[test]
fn a_channel_has_one_peer() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let channel = Channel::with_options(&context, options()).unwrap();
        let monitor = channel.monitor();
        let endpoint = channel.bind(&fresh(transport)).unwrap();
        let first = Channel::with_options(&context, options()).unwrap();
        first.connect(&endpoint).unwrap();
        send(&first, "there");
        assert_eq!(recv_text(&channel), ["there"]);
        send(&channel, "back");
        assert_eq!(recv_text(&first), ["back"]);
        let second = Channel::with_options(&context, options()).unwrap();
        second.connect(&endpoint).unwrap();
        // Over inproc, where no thread but the application's looks after a socket, a call finds out.
        assert_eq!(channel.try_recv(), Err(RecvError::WouldBlock));
        let refused = await_event(&monitor, EventKind::Closed);
        assert!(refused.to_string().contains("one peer"), "{refused}");
        send(&channel, "still the first");
        assert_eq!(recv_text(&first), ["still the first"]);
    }
}

// ---- PEER ----

#[test]
fn peers_talk_by_number_both_ways() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let bound = Peer::with_options(&context, options()).unwrap();
        let endpoint = bound.bind(&fresh(transport)).unwrap();
        let connected = Peer::with_options(&context, options()).unwrap();
        let number = connected.connect_peer(&endpoint).unwrap();
        assert_ne!(number, 0);
        // It can be sent to at once, before the connection is there.
        connected
            .send(Message::from("there").with_routing_id(number))
            .unwrap();
        let got = recv(&bound);
        assert_eq!(got.body(), "there");
        bound.send(got).unwrap();
        assert_eq!(recv(&connected).routing_id(), Some(number), "{transport}");
        assert_ne!(
            connected.connect_peer(&endpoint).unwrap(),
            number,
            "another peer"
        );
        assert!(connected.disconnect_peer(number));
        let late = Message::from("late").with_routing_id(number);
        assert_eq!(
            connected.send(late).unwrap_err().kind,
            SendErrorKind::Unroutable
        );
    }
}

#[test]
fn connect_peer_says_when_it_cannot_tell_a_number() {
    let context = Context::new();
    for options in [options().immediate(true), options()] {
        let kind = match options.immediate {
            true => SocketType::Peer,
            false => SocketType::Server,
        };
        let socket = socket_with(&context, kind, options);
        for transport in ["tcp://127.0.0.1:1", "inproc://nobody"] {
            let error = socket.connect_peer(transport).unwrap_err();
            assert!(
                matches!(error.kind, AddressErrorKind::Incompatible(_)),
                "{error}"
            );
            assert_eq!(socket.last_endpoint(), None, "nothing was connected");
        }
    }
}

#[test]
fn a_peer_keeps_its_number_over_a_reconnect() {
    let context = Context::new();
    let listener = RawListener::new();
    let peer = Peer::with_options(&context, options().hiccup_msg("hiccup")).unwrap();
    let number = peer.connect_peer(&listener.endpoint()).unwrap();
    let mut first = listener.accept_as("PEER");
    first.send(&[b"one"]);
    assert_eq!(recv(&peer).routing_id(), Some(number));
    drop(first);
    let hiccup = recv(&peer);
    assert_eq!(
        (hiccup.body().as_bytes(), hiccup.routing_id()),
        (&b"hiccup"[..], Some(number))
    );
    let mut second = listener.accept_as("PEER");
    second.send(&[b"two"]);
    let got = recv(&peer);
    assert_eq!(
        (got.body().as_bytes(), got.routing_id()),
        (&b"two"[..], Some(number))
    );
    peer.send(got).unwrap();
    assert_eq!(second.recv(), [b"two"]);
}

// ---- RADIO and DISH ----

#[test]
fn a_dish_receives_the_groups_that_it_has_joined_and_no_others() {
    for transport in TRANSPORTS {
        for dish_binds in [false, true] {
            let context = Context::new();
            let radio = Radio::with_options(&context, options()).unwrap();
            let dish = Dish::with_options(&context, options()).unwrap();
            // One group before the connection, one after it.
            dish.join("Movies").unwrap();
            match dish_binds {
                true => radio
                    .connect(&dish.bind(&fresh(transport)).unwrap())
                    .unwrap(),
                false => dish
                    .connect(&radio.bind(&fresh(transport)).unwrap())
                    .unwrap(),
            }
            await_groups(&radio, 1);
            dish.join("TV").unwrap();
            await_groups(&radio, 2);
            let say = |group: &str, body: &str| {
                radio.send(Message::from(body).with_group(group)).unwrap();
            };
            // The group is compared whole, with regard to case.
            for group in ["Movie", "Movies!", "movies", ""] {
                say(group, "no");
            }
            radio.send("without a group").unwrap();
            assert_eq!(radio.stats().dropped.no_subscriber, 5);
            say("Movies", "Godfather");
            say("TV", "Friends");
            for (group, body) in [("Movies", "Godfather"), ("TV", "Friends")] {
                let got = recv(&dish);
                assert_eq!(got, body.into());
                assert_eq!(got.group().unwrap(), group, "{transport}");
            }
            dish.leave("TV").unwrap();
            await_groups(&radio, 1);
            say("TV", "Friends");
            say("Movies", "Alien");
            assert_eq!(recv_text(&dish), ["Alien"]);
            // The group without a name is one as well.
            dish.join("").unwrap();
            await_groups(&radio, 2);
            radio.send("without a group").unwrap();
            assert_eq!(recv(&dish).group().unwrap(), "");
            drop(dish);
            await_groups(&radio, 0);
        }
    }
}

#[test]
fn every_dish_of_a_group_gets_its_messages() {
    let context = Context::new();
    let radio = Radio::with_options(&context, options()).unwrap();
    let dishes: Vec<Dish> = TRANSPORTS
        .iter()
        .map(|transport| {
            let dish = Dish::with_options(&context, options()).unwrap();
            dish.join("all").unwrap();
            dish.connect(&radio.bind(&fresh(transport)).unwrap())
                .unwrap();
            dish
        })
        .collect();
    let body = vec![7u8; 100_000];
    let message = Message::from(body.clone()).with_group("all");
    eventually("all have joined", || {
        let before = radio.stats().messages_out;
        radio.send(message.clone()).unwrap();
        radio.stats().messages_out - before == 3
    });
    for dish in &dishes {
        let got = recv(dish);
        assert_eq!(
            (got.body(), got.group().unwrap().as_bytes()),
            (&body.clone().into(), &b"all"[..])
        );
    }
}

#[test]
fn a_group_is_joined_once_and_left_once() {
    let context = Context::new();
    let dish = Dish::with_options(&context, options()).unwrap();
    assert_eq!(dish.leave("a"), Err(GroupError::NotJoined));
    assert_eq!(dish.join("a"), Ok(()));
    assert_eq!(dish.join("a"), Err(GroupError::Joined));
    assert_eq!(dish.leave("a"), Ok(()));
    assert_eq!(dish.leave("a"), Err(GroupError::NotJoined));
    let longest = "x".repeat(255);
    assert_eq!(dish.join(&longest), Ok(()));
    assert_eq!(dish.join(longest.clone() + "x"), Err(GroupError::Invalid));
    assert_eq!(dish.join(b"with\0zero"), Err(GroupError::Invalid));
    let radio = Radio::with_options(&context, options()).unwrap();
    assert_eq!(radio.as_socket().join("a"), Err(GroupError::WrongSocket));
    for group in ["x".repeat(256), "with\0zero".into()] {
        let refused = radio
            .send(Message::from("body").with_group(&group))
            .unwrap_err();
        assert!(matches!(refused.kind, SendErrorKind::Invalid(_)));
        assert_eq!(refused.message.group().unwrap(), &group, "as it was given");
    }
}

#[test]
fn a_radio_on_the_wire() {
    let context = Context::new();
    let radio = Radio::with_options(&context, options()).unwrap();
    let mut dish = Raw::connect_as(&radio.bind(&fresh("tcp")).unwrap(), "DISH");
    write_command(&mut dish, "JOIN", b"news");
    await_groups(&radio, 1);
    radio
        .send(Message::from("body").with_group("news"))
        .unwrap();
    assert_eq!(dish.read_frame(), (1, b"news".to_vec()));
    assert_eq!(dish.read_frame(), (0, b"body".to_vec()));
    // Joined twice, it is left twice; and what else a DISH says is thrown away.
    write_command(&mut dish, "JOIN", b"news");
    write_command(&mut dish, "LEAVE", b"news");
    write_command(&mut dish, "LEAVE", b"never joined");
    dish.send(&[b"\x01news"]);
    eventually("it is read", || radio.stats().dropped.unwanted == 1);
    radio.send(Message::from("").with_group("news")).unwrap();
    assert_eq!(dish.recv(), [&b"news"[..], b""]);
    write_command(&mut dish, "LEAVE", b"news");
    await_groups(&radio, 0);
}

#[test]
fn a_dish_on_the_wire() {
    let context = Context::new();
    let listener = RawListener::new();
    let dish = Dish::with_options(&context, options()).unwrap();
    dish.join("one").unwrap();
    dish.connect(&listener.endpoint()).unwrap();
    let mut radio = listener.accept_as("RADIO");
    assert_eq!(radio.read_frame(), command("JOIN", b"one"));
    dish.join("two").unwrap();
    assert_eq!(radio.read_frame(), command("JOIN", b"two"));
    dish.leave("one").unwrap();
    assert_eq!(radio.read_frame(), command("LEAVE", b"one"));
    // A group that was left, messages of the wrong shape, a name that no group has.
    radio.send(&[b"one", b"body"]);
    radio.send(&[b"two"]);
    radio.send(&[b"two", b"body", b"more"]);
    radio.send(&[&[b'x'; 256], b"body"]);
    radio.send(&[b"two", b"right"]);
    let got = recv(&dish);
    assert_eq!((got.len(), got.to_string_lossy().as_ref()), (1, "right"));
    assert_eq!(got.group().unwrap(), "two");
    let dropped = dish.stats().dropped;
    assert_eq!((dropped.unwanted, dropped.malformed), (1, 3));
    // After a reconnect all groups are told again.
    drop(radio);
    let mut radio = listener.accept_as("RADIO");
    assert_eq!(radio.read_frame(), command("JOIN", b"two"));
}

#[test]
fn groups_and_numbers_mean_nothing_to_other_types() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let push = socket(&context, SocketType::Push);
        let pull = socket(&context, SocketType::Pull);
        push.connect(&pull.bind(&fresh(transport)).unwrap())
            .unwrap();
        push.send(message([b"a", b"b"]).with_group("group").with_routing_id(7))
            .unwrap();
        let got = recv(&pull);
        assert_eq!(text(&got), ["a", "b"], "{transport}");
        assert_eq!(got.routing_id(), None);
    }
    // A JOIN from who is no DISH is no message.
    let context = Context::new();
    let pull = socket(&context, SocketType::Pull);
    let mut peer = Raw::connect_as(&pull.bind(&fresh("tcp")).unwrap(), "PUSH");
    write_command(&mut peer, "JOIN", b"group");
    peer.send(&[b"after"]);
    assert_eq!(recv_text(&pull), ["after"]);
}

// ---- every form of the calls, and threads ----

#[test]
fn typed_sockets_send_and_receive_in_every_form() {
    for transport in TRANSPORTS {
        let context = Context::new();
        let server = Server::with_options(&context, options()).unwrap();
        let client = Client::with_options(&context, options()).unwrap();
        client
            .connect(&server.bind(&fresh(transport)).unwrap())
            .unwrap();
        block_on(client.send_async("async")).unwrap();
        let got = block_on(server.recv_async()).unwrap();
        block_on(server.send_async(got)).unwrap();
        assert_eq!(block_on(client.recv_async()).unwrap(), "async".into());
        client.send_timeout("timed", PATIENCE).unwrap();
        server.send_timeout(recv(&server), PATIENCE).unwrap();
        assert_eq!(client.recv_timeout(PATIENCE).unwrap(), "timed".into());
        client.try_send("try").unwrap();
        eventually("it arrives", || server.as_socket().is_readable());
        server.try_send(server.try_recv().unwrap()).unwrap();
        eventually("it comes back", || client.as_socket().is_readable());
        assert_eq!(client.try_recv().unwrap(), "try".into());

        let radio = Radio::with_options(&context, options()).unwrap();
        let dish = Dish::with_options(&context, options()).unwrap();
        dish.join("g").unwrap();
        dish.connect(&radio.bind(&fresh(transport)).unwrap())
            .unwrap();
        await_groups(&radio, 1);
        block_on(radio.send_async(Message::from("async").with_group("g"))).unwrap();
        assert_eq!(block_on(dish.recv_async()).unwrap().group().unwrap(), "g");
    }
}

#[test]
fn a_client_is_used_by_several_threads() {
    let context = Context::new();
    let server = Server::with_options(&context, options()).unwrap();
    let client = Arc::new(Client::with_options(&context, options()).unwrap());
    client
        .connect(&server.bind(&fresh("tcp")).unwrap())
        .unwrap();
    let senders = [0u8, 1].map(|n| {
        let client = client.clone();
        Working::start(move || {
            (0..5000u32).for_each(|i| send(&*client, [&[n][..], &i.to_be_bytes()].concat()))
        })
    });
    let mut next = [0u32; 2];
    for _ in 0..10_000 {
        let got = recv(&server);
        let (from, i) = (usize::from(got.body()[0]), &got.body()[1..]);
        assert_eq!(i, next[from].to_be_bytes(), "in the order of its sender");
        next[from] += 1;
    }
    senders.into_iter().for_each(Working::join);
}
