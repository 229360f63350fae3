//! The three models in the simulator, under every fault; and what a client decides, step by step.

use std::time::Duration;

use xebec::{Bytes, Message};

use super::ledger::{End, Ledger, client, ms, server};
use super::*;
use crate::machine::{Machine, Time};
use crate::simulator::{AnyNode, Chaos, Simulator, seeds};

const SERVERS: [&str; 3] = ["tcp://a:1", "tcp://b:1", "tcp://c:1"];
const PRIORITY_SERVERS: [&str; 2] = ["tcp://near:1", "tcp://far:1"];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Time {
    Time::ZERO + secs(seconds)
}

trait Kind: Machine<Command = Command, Output = Output> + 'static {
    fn make() -> Self;
    fn model(server: &'static str) -> Model;
    /// The longest that a request takes, with as many waiting before it as there are.
    const LONGEST: Duration;
    const AT_ONCE: usize;
    /// Whether its wire tells one reply that comes twice from the next.
    const TELLS_DUPLICATES: bool = true;
}

impl Kind for Sequential {
    fn make() -> Self {
        Sequential::new(SequentialConfig::new(SERVERS))
    }
    fn model(_: &'static str) -> Model {
        Model::One
    }
    // Two wait in turn, and each asks three servers.
    const LONGEST: Duration = secs_const(7);
    const AT_ONCE: usize = 2;
    const TELLS_DUPLICATES: bool = false;
}

impl Kind for Shotgun {
    fn make() -> Self {
        Shotgun::new(ShotgunConfig::new(SERVERS))
    }
    fn model(_: &'static str) -> Model {
        Model::Two
    }
    const LONGEST: Duration = secs_const(3);
    const AT_ONCE: usize = 3;
}

impl Kind for Direct {
    fn make() -> Self {
        let mut config = DirectConfig::new(SERVERS);
        // Time for each of the others to fail twice.
        config.timeout = secs(5);
        Direct::new(config)
    }
    fn model(server: &'static str) -> Model {
        Model::Three(Bytes::from_static(server.as_bytes()))
    }
    const LONGEST: Duration = secs_const(6);
    const AT_ONCE: usize = 3;
}

const fn secs_const(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Servers and two clients; faults strike `victims` of the servers, and all clients if told so.
fn network<K: Kind>(
    sim: &mut Simulator,
    victims: usize,
    clients_too: bool,
) -> (Ledger, Vec<AnyNode>) {
    let ledger = Ledger::default();
    let servers = SERVERS.map(|at| server(sim, at, K::model(at), 300).any());
    let clients = ["x", "y"].map(|name| client(sim, name, &ledger, K::AT_ONCE, K::make).any());
    let victims = &servers[..victims];
    let struck = if clients_too { &clients[..] } else { &[] };
    let links = victims
        .iter()
        .flat_map(|server| clients.iter().map(|client| (*server, *client)));
    let chaos = Chaos {
        crash: [victims, struck].concat(),
        pause: [victims, struck].concat(),
        links: links.collect(),
        ..Chaos::default()
    };
    sim.chaos(&chaos, at(30));
    (ledger, clients.to_vec())
}

/// While one server is never struck, every request is answered.
fn one_server_is_enough<K: Kind>() {
    seeds(1000, |sim| {
        let (ledger, _) = network::<K>(sim, 2, false);
        let checked = ledger.clone();
        sim.invariant(move |sim| checked.check(sim.now(), K::LONGEST));
        sim.run_for(secs(35));
        let ends = ledger.ends_since(Time::ZERO);
        let failed = ends.iter().find(|(_, end)| !matches!(end, End::Reply(_)));
        assert_eq!(failed, None, "all are answered");
        assert!(ends.len() > 50, "{} answered", ends.len());
    });
}

/// Whatever happens, each request ends once, in bounded time, and in calm weather it is answered.
fn each_request_ends_once<K: Kind>() {
    seeds(1000, |sim| {
        if sim.rng().bool() {
            sim.conditions().loss = 0.05;
            sim.conditions().duplication = if K::TELLS_DUPLICATES { 0.1 } else { 0.0 };
        }
        // A client that stands still for ten seconds ends nothing in that time.
        let strikes_clients = sim.rng().bool();
        let longest = K::LONGEST + if strikes_clients { secs(30) } else { ms(0) };
        let (ledger, _) = network::<K>(sim, 3, strikes_clients);
        let checked = ledger.clone();
        sim.invariant(move |sim| checked.check(sim.now(), longest));
        sim.run_for(secs(30));
        sim.calm();
        sim.run_for(secs(15));
        let calm = sim.now();
        sim.run_for(secs(10));
        let ends = ledger.ends_since(calm);
        assert!(ends.len() > 20, "{} ended in the calm", ends.len());
        assert!(ends.iter().all(|(_, end)| matches!(end, End::Reply(_))));
    });
}

#[test]
fn model_one_is_answered_while_one_server_is_up() {
    one_server_is_enough::<Sequential>();
}

#[test]
fn model_two_is_answered_while_one_server_is_up() {
    one_server_is_enough::<Shotgun>();
}

#[test]
fn model_three_is_answered_while_one_server_is_up() {
    one_server_is_enough::<Direct>();
}

#[test]
fn each_request_of_model_one_ends_once() {
    each_request_ends_once::<Sequential>();
}

#[test]
fn each_request_of_model_two_ends_once() {
    each_request_ends_once::<Shotgun>();
}

#[test]
fn each_request_of_model_three_ends_once() {
    each_request_ends_once::<Direct>();
}

#[test]
fn without_a_server_each_request_fails_in_its_time() {
    fn alone<K: Kind>(expected: Failure) {
        let mut sim = Simulator::new(1);
        let ledger = Ledger::default();
        client(&mut sim, "x", &ledger, 1, K::make);
        sim.invariant({
            let ledger = ledger.clone();
            move |sim| ledger.check(sim.now(), K::LONGEST)
        });
        sim.run_for(secs(20));
        let ends = ledger.ends_since(Time::ZERO);
        assert!(ends.len() > 2);
        assert!(ends.iter().all(|(_, end)| *end == End::Failed(expected)));
    }
    // A REQ cannot tell the difference.
    alone::<Sequential>(Failure::Silent);
    alone::<Shotgun>(Failure::Unconnected);
    alone::<Direct>(Failure::Unconnected);
}

/// Where a client with two servers, the first of higher priority, finds its answers: before, during
/// and after the first is away.
#[test]
fn the_preferred_server_is_asked_while_it_is_up() {
    seeds(1000, |sim| {
        let ledger = Ledger::default();
        let [near, _] = PRIORITY_SERVERS.map(|at| server(sim, at, Direct::model(at), 50));
        client(sim, "x", &ledger, 3, || {
            let mut config = DirectConfig::new(PRIORITY_SERVERS);
            config.servers[1].priority = 1;
            Direct::new(config)
        });
        sim.run_for(secs(10));
        sim.crash(near);
        sim.run_for(secs(10));
        sim.restart(near);
        sim.run_for(secs(10));
        let ends = ledger.ends_since(Time::ZERO);
        let by = |server: usize, from: u64, to: u64| {
            let within = ends.iter().filter(|(t, _)| (at(from)..at(to)).contains(t));
            let name = PRIORITY_SERVERS[server].to_owned();
            within
                .filter(|(_, end)| *end == End::Reply(name.clone()))
                .count()
        };
        assert!(by(0, 1, 10) > 20 && by(1, 1, 10) == 0);
        assert!(by(1, 11, 20) > 20 && by(0, 11, 20) == 0);
        assert!(by(0, 21, 30) > 20 && by(1, 21, 30) == 0);
        assert!(ends.iter().all(|(_, end)| matches!(end, End::Reply(_))));
    });
}

/// The fastest of equals is asked most.
#[test]
fn the_faster_server_is_asked_more() {
    seeds(500, |sim| {
        let ledger = Ledger::default();
        server(
            sim,
            PRIORITY_SERVERS[0],
            Direct::model(PRIORITY_SERVERS[0]),
            800,
        );
        server(
            sim,
            PRIORITY_SERVERS[1],
            Direct::model(PRIORITY_SERVERS[1]),
            10,
        );
        client(sim, "x", &ledger, 1, || {
            Direct::new(DirectConfig::new(PRIORITY_SERVERS))
        });
        sim.run_for(secs(60));
        let ends = ledger.ends_since(Time::ZERO);
        let fast = End::Reply(PRIORITY_SERVERS[1].to_owned());
        let share = ends.iter().filter(|(_, end)| *end == fast).count();
        assert!(share * 10 > ends.len() * 8, "{share} of {}", ends.len());
    });
}

#[test]
fn a_full_window_refuses_and_a_stop_ends_every_request() {
    let mut sim = Simulator::new(1);
    let ledger = Ledger::default();
    let node = client(&mut sim, "x", &ledger, 3, || {
        let mut config = DirectConfig::new(SERVERS);
        config.window = 2;
        Direct::new(config)
    });
    sim.run_for(ms(1));
    let refused = End::Failed(Failure::Refused);
    assert!(
        ledger
            .ends_since(Time::ZERO)
            .iter()
            .any(|(_, end)| *end == refused)
    );
    sim.stop(node);
    assert!(sim.has_ended(node));
    let stopped = End::Failed(Failure::Stopped);
    let ends = ledger.ends_since(Time::ZERO);
    assert_eq!(ends.iter().filter(|(_, end)| *end == stopped).count(), 2);
}

#[test]
fn what_is_no_reply_is_counted_and_dropped() {
    let mut actions = crate::Actions::new();
    let mut client = Direct::make();
    client.handle(crate::Event::Start, Time::ZERO, &mut actions);
    let port = crate::Port(0);
    let junk: [&[&str]; 4] = [
        &["id", "PING"],
        &["id", "short", "x"],
        &["id"],
        &["id", "", ""],
    ];
    for frames in junk {
        let message: Message = frames.iter().copied().collect();
        client.handle(
            crate::Event::Message { port, message },
            Time::ZERO,
            &mut actions,
        );
    }
    assert_eq!(client.counters().malformed, 4);
    let mut client = Shotgun::make();
    let junk: [&[&str]; 5] = [
        &["", "one", "x"],
        &["", "1"],
        &["1", "1", "x"],
        &["x"],
        &["", "1", "x"],
    ];
    for frames in junk {
        let message: Message = frames.iter().copied().collect();
        client.handle(
            crate::Event::Message { port, message },
            Time::ZERO,
            &mut actions,
        );
    }
    let counters = client.counters();
    assert_eq!((counters.malformed, counters.late), (4, 1));
}
