//! Two brokers as a pair, with workers and clients that know both, under faults.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use xebec::Frame;

use super::client::{ClientCommand, ClientOutput};
use super::worker::{WorkerCommand, WorkerOutput};
use super::*;
use crate::binary_star::{self, Command, Config, Node, Output, Role, State, Wiring};
use crate::machine::{Actions, Event, Link, Machine, Port, Time};
use crate::simulator::{AnyNode, Chaos, Desk, NodeId, Simulator, seeds};

const FRONTS: [&str; 2] = ["tcp://primary:5555", "tcp://backup:5555"];
const STATES: [&str; 2] = ["tcp://primary:5003", "tcp://backup:5003"];
const CALLS: u64 = 20;

type Pair = [NodeId<Node<Broker>>; 2];
type Outcomes = Rc<RefCell<BTreeMap<(usize, u64), Vec<Result<Frame, CallError>>>>>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct World {
    pair: Pair,
    workers: Vec<AnyNode>,
    clients: Vec<NodeId<ClientMachine>>,
    outcomes: Outcomes,
    executed: Rc<RefCell<u64>>,
}

fn pair(sim: &mut Simulator, fail_back: Option<Duration>) -> Pair {
    [Role::Primary, Role::Backup].map(|role| {
        let own = role as usize;
        sim.node(STATES[own], move |_| {
            let mut broker = BrokerConfig::new(FRONTS[own]);
            broker.policy.heartbeat = ms(500);
            let mut config = Config::new(role);
            config.heartbeat = ms(500);
            config.fail_back = fail_back;
            let wiring = Wiring::new(STATES[own], STATES[1 - own]);
            let app = |_: &mut Desk<'_, Command<broker::Command>>, output| {
                if let Output::Fault(fault) = output {
                    panic!("{fault}");
                }
            };
            (Node::new(config, wiring, Broker::new(broker)), app)
        })
    })
}

fn world(sim: &mut Simulator, fail_back: Option<Duration>, seconds: u64) -> World {
    let pair = pair(sim, fail_back);
    let executed = Rc::new(RefCell::new(0));
    let mut workers = Vec::new();
    for n in 0..2 {
        let executed = executed.clone();
        let worker = sim.node(&format!("worker {n}"), move |rng| {
            let mut config = WorkerConfig::new("", "echo");
            config.endpoints = FRONTS.map(str::to_owned).to_vec();
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02][n];
            config.heartbeat = ms(500);
            config.reconnect.longest = ms(2000);
            let executed = executed.clone();
            let app = move |desk: &mut Desk<'_, WorkerCommand>, output| {
                let WorkerOutput::Request(request) = output else {
                    return;
                };
                *executed.borrow_mut() += 1;
                let (number, body) = (request.number(), request.body.clone());
                let last = true;
                let time = ms(desk.rng().u64(0..200));
                desk.command_after(time, WorkerCommand::Reply { number, last, body });
            };
            (WorkerMachine::new(config, rng.fork()), app)
        });
        workers.push(worker.any());
    }
    let outcomes = Outcomes::default();
    let mut clients = Vec::new();
    for n in 0..3 {
        let outcomes = outcomes.clone();
        let client = sim.node(&format!("client {n}"), move |rng| {
            let mut config = ClientConfig::new("");
            config.endpoints = FRONTS.map(str::to_owned).to_vec();
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02, Dialect::Majortomo][n];
            config.once = n == 1;
            config.timeout = ms(2000);
            config.attempts = 50;
            let outcomes = outcomes.clone();
            let app = move |_: &mut Desk<'_, ClientCommand>, output| {
                let (ticket, outcome) = match output {
                    ClientOutput::Part { ticket, body, .. } => (ticket, Ok(body[0].clone())),
                    ClientOutput::Failed { ticket, error } => (ticket, Err(error)),
                };
                let mut all = outcomes.borrow_mut();
                all.entry((n, ticket)).or_default().push(outcome);
            };
            (ClientMachine::new(config, [n as u8; 16], rng.fork()), app)
        });
        for ticket in 0..CALLS {
            let at = Time::ZERO + ms(sim.rng().u64(0..seconds * 1000));
            sim.at(at, move |sim| sim.command(client, call(n, ticket)));
        }
        clients.push(client);
    }
    sim.invariant(move |sim| {
        let now = sim.now();
        let serves = |id: &NodeId<Node<Broker>>| {
            let node = sim.machine(*id);
            sim.is_running(*id) && node.is_some_and(|node| node.serves(now))
        };
        if pair.iter().all(serves) {
            return Err("both serve".to_owned());
        }
        for node in pair.iter().filter_map(|id| sim.machine(*id)) {
            let at_hand = node.inner().at_hand();
            if node.state() != Some(State::Active) && at_hand != (0, 0) {
                return Err(format!(
                    "it stands by, and yet it has workers and requests: {at_hand:?}"
                ));
            }
        }
        Ok(())
    });
    World {
        pair,
        workers,
        clients,
        outcomes,
        executed,
    }
}

fn call(client: usize, ticket: u64) -> ClientCommand {
    ClientCommand::Call {
        ticket,
        service: "echo".into(),
        body: vec![name(client, ticket)],
        key: None,
    }
}

fn name(client: usize, ticket: u64) -> Frame {
    format!("{client}/{ticket}").into()
}

impl World {
    fn state(&self, sim: &Simulator, which: usize) -> Option<State> {
        sim.machine(self.pair[which])?.state()
    }

    /// Every call has had its own reply, once.
    fn check(&self, sim: &Simulator) {
        let outcomes = self.outcomes.borrow();
        for client in 0..self.clients.len() {
            for ticket in 0..CALLS {
                let had = outcomes.get(&(client, ticket));
                let had = had.map_or(&[][..], Vec::as_slice);
                assert_eq!(had, [Ok(name(client, ticket))], "seed {}", sim.seed());
            }
        }
    }

    /// Lets the pair and the worker find each other, and makes one call more.
    fn answered_in(&self, sim: &mut Simulator, ticket: u64, most: Duration) -> Duration {
        let start = sim.now();
        sim.command(self.clients[0], call(0, ticket));
        let outcomes = self.outcomes.clone();
        let done = move |_: &Simulator| outcomes.borrow().contains_key(&(0, ticket));
        assert!(sim.run_until(start + most, done), "no outcome");
        let outcome = self.outcomes.borrow_mut().remove(&(0, ticket)).unwrap();
        assert_eq!(outcome, [Ok(name(0, ticket))]);
        sim.now().since(start)
    }
}

/// Whatever crashes or stands still, one broker serves at a time, the other has neither workers nor
/// requests, and every call is answered.
#[test]
fn one_of_the_pair_serves_and_every_call_is_answered() {
    seeds(2000, |sim| {
        let fail_back = sim.rng().bool().then(|| ms(4000));
        let world = world(sim, fail_back, 25);
        let [primary, backup] = world.pair.map(NodeId::any);
        let clients = || world.clients.iter().map(|client| client.any());
        let peers = || world.workers.iter().copied().chain(clients());
        let chaos = Chaos {
            every: (ms(500), ms(4000)),
            lasting: (ms(10), ms(8000)),
            crash: [vec![primary, backup], world.workers.clone()].concat(),
            pause: [primary, backup].into_iter().chain(peers()).collect(),
            links: peers()
                .flat_map(|peer| [(primary, peer), (backup, peer)])
                .collect(),
        };
        let until = Time::ZERO + ms(25_000);
        sim.chaos(&chaos, until);
        sim.at(until, Simulator::calm);
        sim.run_for(ms(60_000));
        world.check(sim);
        assert!(*world.executed.borrow() >= 3 * CALLS);
    });
}

/// How a pair goes through the loss of its primary, step by step.
#[test]
fn calls_go_on_when_the_primary_dies_and_it_comes_back_passive() {
    let longest = RefCell::new([Duration::ZERO; 3]);
    let note = |which: usize, took: Duration| {
        let longest = &mut longest.borrow_mut()[which];
        *longest = took.max(*longest);
    };
    seeds(1000, |sim| {
        let world = world(sim, None, 1);
        sim.run_for(ms(10_000));
        world.check(sim);
        assert_eq!(world.state(sim, 0), Some(State::Active));
        let [primary, backup] = world.pair;
        if sim.rng().bool() {
            sim.crash(primary);
            note(0, world.answered_in(sim, 100, ms(10_000)));
            sim.restart(primary);
        } else {
            sim.pause(primary);
            note(1, world.answered_in(sim, 100, ms(10_000)));
            sim.resume(primary);
        }
        sim.run_for(ms(10_000));
        assert_eq!(world.state(sim, 0), Some(State::Passive));
        assert_eq!(world.state(sim, 1), Some(State::Active));
        world.answered_in(sim, 101, ms(2000));
        // The operator ends the backup in good order: the primary need not miss it first.
        sim.stop(backup);
        let at_once = sim.now() + ms(500);
        assert!(sim.run_until(at_once, |sim| world.state(sim, 0) == Some(State::Active)));
        note(2, world.answered_in(sim, 102, ms(10_000)));
        assert!(sim.has_ended(backup));
        assert_eq!(world.state(sim, 0), Some(State::Active));
    });
    let [killed, stopped, ended] = longest.into_inner();
    println!(
        "the longest that a call took: {killed:?} after the primary was killed, {stopped:?} after it \
         was stopped, {ended:?} after the backup was ended in good order"
    );
}

#[test]
fn a_request_that_goes_on_to_another_broker_has_its_full_time_there() {
    let mut config = ClientConfig::new("tcp://a:1");
    config.endpoints.push("tcp://b:1".to_owned());
    let (timeout, connect) = (config.timeout, config.connect);
    let mut client = ClientMachine::new(config, [1; 16], Rng::with_seed(1));
    let mut tell = |event, now| {
        client.handle(event, now, &mut Actions::new());
        client.due().expect("it waits")
    };
    let link = |link| Event::Link {
        port: Port(0),
        endpoint: "tcp://a:1".to_owned(),
        link,
    };
    tell(Event::Command(call(0, 1)), Time::ZERO);
    tell(link(Link::Up), Time::ZERO);
    tell(Event::Due, Time::ZERO + connect);
    let opens = tell(link(Link::Down), Time::ZERO + (timeout - ms(100)));
    assert!(opens < Time::ZERO + timeout);
    tell(Event::Due, opens);
    tell(link(Link::Up), opens);
    assert_eq!(tell(Event::Due, opens + connect), opens + timeout);
}

#[test]
fn a_client_of_one_broker_is_told_that_it_stands_by() {
    seeds(5, |sim| {
        let pair = pair(sim, None);
        let heard = Rc::new(RefCell::new(Vec::new()));
        let theirs = heard.clone();
        let client = sim.node("client", move |rng| {
            let heard = theirs.clone();
            let app =
                move |_: &mut Desk<'_, ClientCommand>, output| heard.borrow_mut().push(output);
            let config = ClientConfig::new(FRONTS[1]);
            (ClientMachine::new(config, [1; 16], rng.fork()), app)
        });
        sim.run_for(ms(3000));
        sim.command(client, call(0, 1));
        let (ticket, service, body) = (2, "mmi.status".into(), vec!["".into()]);
        let status = ClientCommand::Call {
            ticket,
            service,
            body,
            key: None,
        };
        sim.command(client, status);
        sim.run_for(ms(1000));
        let mut heard = heard.borrow_mut();
        heard.sort_by_key(|output| matches!(output, ClientOutput::Part { .. }));
        let [
            ClientOutput::Failed {
                error: CallError::Refused(refusal),
                ..
            },
            ClientOutput::Part { body, .. },
        ] = &heard[..]
        else {
            panic!("{heard:?}");
        };
        assert_eq!(refusal.code, stamp::RefusalCode::StandBy);
        assert!(body[1].to_string_lossy().contains("standing_by=true"));
        let node = sim.machine(pair[1]).unwrap();
        assert_eq!(node.state(), Some(binary_star::State::Passive));
        assert_eq!(node.inner().counters().refused_standby, 1);
    });
}
