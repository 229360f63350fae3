//! Whole networks of clients, workers and a broker, under faults.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xebec::{Frame, Message, SocketType};

use super::broker::Command;
use super::client::{ClientCommand, ClientOutput};
use super::replies::Parts;
use super::stamp::Key;
use super::worker::{WorkerCommand, WorkerOutput};
use super::*;
use crate::backoff::Backoff;
use crate::machine::{Actions, Event, Machine, Port, Spec, Time};
use crate::simulator::{Chaos, Desk, NodeId, Simulator, seeds};

const AT: &str = "tcp://broker:5555";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Replies that outlive the broker, as on a disk, and that tell when one is kept twice.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<KeptState>>);

#[derive(Default)]
struct KeptState {
    replies: HashMap<Key, Parts>,
    bodies: Vec<Vec<u8>>,
}

impl Replies for Kept {
    fn find(&mut self, key: &Key, _: Time) -> Option<Parts> {
        self.0.lock().unwrap().replies.get(key).cloned()
    }

    fn keep(&mut self, key: &Key, parts: &Parts, _: Time) -> super::Kept {
        let mut state = self.0.lock().unwrap();
        let body = parts.last().and_then(|part| part.last()).unwrap().to_vec();
        state.bodies.push(body);
        let before = state.replies.insert(*key, parts.clone());
        assert!(before.is_none(), "{key:?} was executed with a reply kept");
        super::Kept::Yes
    }

    fn held(&self) -> (usize, usize) {
        (self.0.lock().unwrap().replies.len(), 0)
    }
}

impl Kept {
    fn has(&self, body: &[u8]) -> bool {
        self.0
            .lock()
            .unwrap()
            .bodies
            .iter()
            .any(|kept| kept == body)
    }
}

/// Sends whatever it likes.
struct Vandal(fastrand::Rng, Time);

impl Machine for Vandal {
    type Command = ();
    type Output = ();

    fn handle(&mut self, event: Event<()>, now: Time, actions: &mut Actions<()>) {
        match event {
            Event::Start => {
                actions.open(Port(0), Spec::new(SocketType::Dealer).connect(AT));
                self.1 = now + ms(100);
            }
            Event::Due => {
                self.1 = now + ms(self.0.u64(1..500));
                let frames = (0..self.0.usize(1..7))
                    .map(|_| self.frame())
                    .collect::<Vec<_>>();
                actions.send(Port(0), frames.into_iter().collect::<Message>());
            }
            Event::Stop => actions.end(),
            _ => {}
        }
    }

    fn due(&self) -> Option<Time> {
        Some(self.1)
    }
}

impl Vandal {
    fn frame(&mut self) -> Frame {
        let known = [
            "",
            "MDPC01",
            "MDPC02",
            "MDPW01",
            "MDPW02",
            "echo",
            "mmi.status",
            "\0gone",
        ];
        match self.0.u8(0..3) {
            0 => Frame::from([self.0.u8(0..8)]),
            1 => Frame::from(
                (0..self.0.usize(0..100))
                    .map(|_| self.0.u8(..))
                    .collect::<Vec<_>>(),
            ),
            _ => known[self.0.usize(..known.len())].into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Reply(Vec<Frame>),
    Failed(CallError),
}

type Outcomes = Rc<RefCell<BTreeMap<(usize, u64), Vec<Outcome>>>>;

struct World {
    broker: NodeId<Broker>,
    workers: Vec<NodeId<WorkerMachine>>,
    clients: Vec<NodeId<ClientMachine>>,
    outcomes: Outcomes,
    kept: Kept,
}

const CALLS: u64 = 25;

fn broker_config() -> BrokerConfig {
    let mut config = BrokerConfig::new(AT);
    config.policy.heartbeat = ms(500);
    config.policy.queue_time = ms(4000);
    config.policy.reply_time = Some(ms(3000));
    config.client_limit = Limit::new(10, 10_000);
    config.policy.limit = Limit::new(15, 10_000);
    config.limit = Limit::new(20, 20_000);
    config.service_time = ms(5000);
    config
}

/// `strict`: no worker executes what has a reply kept, which holds as long as none that was given up
/// goes on unnoticed.
fn world(sim: &mut Simulator, strict: bool) -> World {
    let kept = Kept::default();
    let outcomes = Outcomes::default();
    let replies = kept.clone();
    let broker = sim.node("broker", move |_| {
        let app = |_: &mut Desk<'_, Command>, _| {};
        (Broker::with_replies(broker_config(), replies.clone()), app)
    });
    let backoff = Backoff {
        first: ms(20),
        longest: ms(1000),
        jitter: 0.5,
    };
    let mut workers = Vec::new();
    for n in 0..3 {
        let (backoff, kept) = (backoff.clone(), kept.clone());
        workers.push(sim.node(&format!("worker {n}"), move |rng| {
            let mut config = WorkerConfig::new(AT, "echo");
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02, Dialect::Majortomo][n];
            config.heartbeat = ms(500);
            config.reconnect = backoff.clone();
            let kept = kept.clone();
            let app = move |desk: &mut Desk<'_, WorkerCommand>, output| {
                let WorkerOutput::Request(request) = output else {
                    return;
                };
                let body = request.body.body().clone();
                assert!(
                    !strict || !kept.has(&body),
                    "{body:?} is executed with a reply kept"
                );
                let reply = |last, frame: Frame| WorkerCommand::Reply {
                    number: request.number(),
                    last,
                    body: frame.into(),
                };
                let mut time = ms(desk.rng().u64(0..300));
                if desk.rng().u8(0..4) == 0 {
                    desk.command_after(time, reply(false, "part".into()));
                    time += ms(desk.rng().u64(0..300));
                }
                desk.command_after(time, reply(true, body));
            };
            (WorkerMachine::new(config, rng.fork()), app)
        }));
    }
    let mut clients = Vec::new();
    for n in 0..4 {
        let (backoff, outcomes) = (backoff.clone(), outcomes.clone());
        let client = sim.node(&format!("client {n}"), move |rng| {
            let mut config = ClientConfig::new(AT);
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02][n % 2];
            config.once = n >= 2;
            config.timeout = ms(2000);
            config.reconnect = backoff.clone();
            let mut id = [0; 16];
            rng.fill(&mut id);
            let outcomes = outcomes.clone();
            let mut parts: HashMap<u64, Vec<Frame>> = HashMap::new();
            let app = move |_: &mut Desk<'_, ClientCommand>, output| {
                let (ticket, outcome) = match output {
                    ClientOutput::Part { ticket, last, body } => {
                        parts.entry(ticket).or_default().extend(body);
                        if !last {
                            return;
                        }
                        (ticket, Outcome::Reply(parts.remove(&ticket).unwrap()))
                    }
                    ClientOutput::Failed { ticket, error } => (ticket, Outcome::Failed(error)),
                };
                outcomes
                    .borrow_mut()
                    .entry((n, ticket))
                    .or_default()
                    .push(outcome);
            };
            (ClientMachine::new(config, id, rng.fork()), app)
        });
        for ticket in 0..CALLS {
            let at = Time::ZERO + ms(sim.rng().u64(0..20_000));
            sim.at(at, move |sim| {
                let (service, body) = ("echo".into(), vec![name(n, ticket)]);
                sim.command(
                    client,
                    ClientCommand::Call {
                        ticket,
                        key: None,
                        service,
                        body,
                    },
                );
            });
        }
        clients.push(client);
    }
    sim.invariant(move |sim| {
        let Some(broker) = sim.machine(broker) else {
            return Ok(());
        };
        let (messages, bytes) = broker.held();
        let bounded = messages <= 20 && bytes <= 20_000;
        bounded
            .then_some(())
            .ok_or_else(|| broker.digest(sim.now()).to_string())
    });
    World {
        broker,
        workers,
        clients,
        outcomes,
        kept,
    }
}

fn name(client: usize, ticket: u64) -> Frame {
    format!("{client}/{ticket}").into()
}

impl World {
    /// Every request has had one outcome, and every reply is the right one; returns how many there are.
    fn check(&self, sim: &Simulator) -> usize {
        let outcomes = self.outcomes.borrow();
        let mut replies = 0;
        for client in 0..self.clients.len() {
            for ticket in 0..CALLS {
                let had = outcomes
                    .get(&(client, ticket))
                    .map_or(&[][..], Vec::as_slice);
                let [outcome] = had else {
                    panic!("seed {}: {client}/{ticket}: {had:?}", sim.seed());
                };
                if let Outcome::Reply(frames) = outcome {
                    assert_eq!(*frames.last().unwrap(), name(client, ticket));
                    replies += 1;
                }
            }
        }
        replies
    }
}

#[test]
fn without_faults_every_request_is_answered_and_executed_once() {
    seeds(1000, |sim| {
        let world = world(sim, true);
        sim.run_for(Duration::from_secs(60));
        assert_eq!(world.check(sim), 4 * CALLS as usize);
        assert_eq!(world.kept.held().0, 2 * CALLS as usize);
    });
}

#[test]
fn whatever_crashes_every_request_has_an_outcome_and_none_is_executed_again() {
    seeds(2000, |sim| {
        let world = world(sim, true);
        let mut chaos = Chaos {
            crash: world.workers.iter().map(|w| w.any()).collect(),
            lasting: (ms(10), ms(3000)),
            every: (ms(200), ms(3000)),
            ..Chaos::default()
        };
        chaos.crash.push(world.broker.any());
        sim.chaos(&chaos, Time::ZERO + Duration::from_secs(25));
        sim.at(Time::ZERO + Duration::from_secs(25), Simulator::calm);
        sim.run_for(Duration::from_secs(80));
        world.check(sim);
    });
}

#[test]
fn under_every_fault_every_request_has_an_outcome() {
    seeds(2000, |sim| {
        sim.conditions().delay = (Duration::ZERO, ms(100));
        let world = world(sim, false);
        let vandal = sim.node("vandal", |rng| {
            (
                Vandal(rng.fork(), Time::ZERO),
                |_: &mut Desk<'_, ()>, ()| {},
            )
        });
        let broker = world.broker.any();
        let workers = world.workers.iter().map(|w| w.any());
        let clients = world.clients.iter().map(|c| c.any());
        let peers: Vec<_> = workers.clone().chain(clients.clone()).collect();
        let chaos = Chaos {
            crash: workers.chain([broker, vandal.any()]).collect(),
            pause: peers.iter().copied().chain([broker]).collect(),
            links: peers.iter().map(|peer| (*peer, broker)).collect(),
            lasting: (ms(10), ms(5000)),
            every: (ms(200), ms(3000)),
        };
        sim.conditions().loss = 0.02;
        // What it asks for last is not to be at hand in the end.
        sim.at(Time::ZERO + Duration::from_secs(30), move |sim| {
            sim.stop(vandal);
        });
        sim.chaos(&chaos, Time::ZERO + Duration::from_secs(25));
        sim.at(Time::ZERO + Duration::from_secs(25), Simulator::calm);
        sim.run_for(Duration::from_secs(100));
        world.check(sim);
        let broker = sim.machine(world.broker).unwrap();
        let digest = broker.digest(sim.now());
        assert_eq!(digest.held, 0, "nothing is left: {digest}");
    });
}

#[test]
fn a_cancelled_call_says_nothing_and_confuses_nobody() {
    seeds(1000, |sim| {
        let world = world(sim, true);
        for n in 0..4 {
            let client = world.clients[n];
            for ticket in 0..CALLS {
                let at = Time::ZERO + ms(sim.rng().u64(0..20_000));
                if ticket % 5 == 0 {
                    sim.at(at, move |sim| {
                        sim.command(client, ClientCommand::Cancel(ticket))
                    });
                }
            }
        }
        sim.run_for(Duration::from_secs(60));
        for ((client, ticket), outcome) in world.outcomes.borrow().iter() {
            let [Outcome::Reply(frames)] = &outcome[..] else {
                panic!("{client}/{ticket}: {outcome:?}");
            };
            assert_eq!(*frames.last().unwrap(), name(*client, *ticket));
        }
        assert!(world.outcomes.borrow().len() >= 80);
    });
}

/// One client keeps hundreds of requests waiting. Another, that asks now and then, waits for one of them
/// at each worker and no more.
#[test]
fn a_client_that_floods_makes_nobody_wait_but_itself() {
    seeds(500, |sim| {
        sim.node("broker", |_| {
            let app = |_: &mut Desk<'_, Command>, _| {};
            (Broker::new(BrokerConfig::new(AT)), app)
        });
        for n in 0..2 {
            sim.node(&format!("worker {n}"), |rng| {
                let app = |desk: &mut Desk<'_, WorkerCommand>, output| {
                    if let WorkerOutput::Request(request) = output {
                        let (number, body) = (request.number(), request.body.clone());
                        let (last, time) = (true, ms(desk.rng().u64(40..60)));
                        desk.command_after(time, WorkerCommand::Reply { number, last, body });
                    }
                };
                let config = WorkerConfig::new(AT, "echo");
                (WorkerMachine::new(config, rng.fork()), app)
            });
        }
        let replies = Rc::new(RefCell::new([0, 0]));
        let mut clients = Vec::new();
        for n in 0..2 {
            let replies = replies.clone();
            clients.push(sim.node(["flood", "polite"][n], move |rng| {
                let replies = replies.clone();
                let app = move |_: &mut Desk<'_, ClientCommand>, output| match output {
                    ClientOutput::Part { .. } => replies.borrow_mut()[n] += 1,
                    ClientOutput::Failed { error, .. } => panic!("{error}"),
                };
                let mut config = ClientConfig::new(AT).once();
                config.timeout = Duration::from_secs(100);
                (ClientMachine::new(config, [n as u8; 16], rng.fork()), app)
            }));
        }
        let ask = |sim: &mut Simulator, n: usize, ticket| {
            let (service, body) = ("echo".into(), vec![name(n, ticket)]);
            let call = ClientCommand::Call {
                ticket,
                service,
                body,
                key: None,
            };
            sim.command(clients[n], call);
        };
        sim.run_for(ms(500));
        (0..400).for_each(|ticket| ask(sim, 0, ticket));
        for ticket in 0..20 {
            let pause = ms(sim.rng().u64(0..100));
            sim.run_for(pause);
            ask(sim, 1, ticket);
            let (replies, until) = (replies.clone(), sim.now() + ms(150));
            let done = move |_: &Simulator| replies.borrow()[1] > ticket;
            assert!(sim.run_until(until, done), "seed {}", sim.seed());
        }
        assert!(replies.borrow()[0] > 20, "the other is served as well");
    });
}

#[test]
fn a_client_is_told_that_the_broker_knows_no_stamps() {
    seeds(10, |sim| {
        /// A broker of the Guide's kind: it echoes the body, stamp and all.
        struct Plain;
        impl Machine for Plain {
            type Command = ();
            type Output = ();
            fn handle(&mut self, event: Event<()>, _: Time, actions: &mut Actions<()>) {
                match event {
                    Event::Start => actions.open(Port(0), Spec::new(SocketType::Router).bind(AT)),
                    Event::Message { port, message } => {
                        let (id, frames) = message.split_first();
                        let parsed = codec::ToBroker::parse(frames).unwrap();
                        let (dialect, codec::ToBroker::Request { service, body }) = parsed else {
                            panic!("not a request");
                        };
                        let last = true;
                        let reply = codec::ToClient {
                            last,
                            service,
                            body,
                        };
                        actions.send(port, reply.frames(id, dialect));
                    }
                    _ => {}
                }
            }
            fn due(&self) -> Option<Time> {
                None
            }
        }
        sim.node("plain", |_| (Plain, |_: &mut Desk<'_, ()>, ()| {}));
        let heard = Rc::new(RefCell::new(Vec::new()));
        let theirs = heard.clone();
        let client = sim.node("client", move |rng| {
            let heard = theirs.clone();
            let app =
                move |_: &mut Desk<'_, ClientCommand>, output| heard.borrow_mut().push(output);
            (
                ClientMachine::new(ClientConfig::new(AT).once(), [1; 16], rng.fork()),
                app,
            )
        });
        let (ticket, service, body) = (1, "echo".into(), vec!["x".into()]);
        sim.command(
            client,
            ClientCommand::Call {
                ticket,
                key: None,
                service,
                body,
            },
        );
        sim.run_for(Duration::from_secs(10));
        let error = CallError::NoStamps;
        assert_eq!(*heard.borrow(), [ClientOutput::Failed { ticket, error }]);
    });
}
