//! Executed once, in effect: clients that ask again, workers and a broker with its replies in a log, under
//! faults. A crash of the broker is a loss of power.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use xebec::Frame;

use super::broker::Command;
use super::client::{ClientCommand, ClientOutput};
use super::stamp::Key;
use super::worker::{WorkerCommand, WorkerOutput};
use super::*;
use crate::backoff::Backoff;
use crate::machine::Time;
use crate::simulator::{Chaos, Desk, NodeId, Simulator, seeds};
use crate::titanic::disked::{Disked, Drive};

const AT: &str = "tcp://broker:5555";
const CLIENTS: usize = 3;
const REQUESTS: u64 = 15;
/// When the faults are over, and when everything has been asked for once more.
const CALM: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(40);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What clients and workers know for certain.
#[derive(Default)]
struct Known {
    /// The first reply that a client saw: it names the execution.
    replies: BTreeMap<String, String>,
    executions: u64,
    answered: u64,
}

struct World {
    broker: NodeId<Disked<Broker>>,
    workers: Vec<NodeId<WorkerMachine>>,
    clients: Vec<NodeId<ClientMachine>>,
    known: Rc<RefCell<Known>>,
}

fn name(client: usize, number: u64) -> String {
    format!("{client}/{number}")
}

fn broker_config() -> BrokerConfig {
    let mut config = BrokerConfig::new(AT);
    config.policy.heartbeat = ms(500);
    config.policy.queue_time = Duration::from_secs(1000);
    // For a reply that the network has lost.
    config.policy.reply_time = Some(ms(3000));
    config.policy.retries = 1000;
    config
}

/// `strict`: nothing is executed that a client has seen the reply to, which holds as long as no worker
/// that was given up gets a request late.
fn world(sim: &mut Simulator, strict: bool) -> World {
    let known = Rc::new(RefCell::new(Known::default()));
    let backoff = Backoff {
        first: ms(20),
        longest: ms(500),
        jitter: 0.5,
    };
    let drive = Drive::new(sim.seed());
    let broker = sim.node("broker", move |rng| {
        let log = drive.open();
        let replies = DurableReplies::new(log.clone());
        let broker = Broker::with_replies(broker_config(), replies);
        let app = |_: &mut Desk<'_, Command>, _| {};
        (Disked::new(broker, log, rng.fork()), app)
    });
    let mut workers = Vec::new();
    for n in 0..3 {
        let (backoff, known) = (backoff.clone(), known.clone());
        workers.push(sim.node(&format!("worker {n}"), move |rng| {
            let mut config = WorkerConfig::new(AT, "work");
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02, Dialect::Majortomo][n];
            config.heartbeat = ms(500);
            config.reconnect = backoff.clone();
            let known = known.clone();
            let app = move |desk: &mut Desk<'_, WorkerCommand>, output| {
                let WorkerOutput::Request(request) = output else {
                    return;
                };
                let body = request.body.to_string_lossy().into_owned();
                let mut known = known.borrow_mut();
                let seen = known.replies.get(&body);
                assert!(
                    !strict || seen.is_none(),
                    "{body} is executed after {seen:?} was seen"
                );
                known.executions += 1;
                let execution = format!("{body} {}", known.executions);
                let reply = |last| WorkerCommand::Reply {
                    number: request.number(),
                    last,
                    body: execution.as_str().into(),
                };
                // Longer than what comes twice is on its way.
                let mut time = ms(desk.rng().u64(10..400));
                if desk.rng().u8(0..3) == 0 {
                    desk.command_after(time, reply(false));
                    time += ms(desk.rng().u64(0..300));
                }
                desk.command_after(time, reply(true));
            };
            (WorkerMachine::new(config, rng.fork()), app)
        }));
    }
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let (backoff, known) = (backoff.clone(), known.clone());
        clients.push(sim.node(&format!("client {n}"), move |rng| {
            let mut config = ClientConfig::new(AT).once();
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02][n % 2];
            config.timeout = ms(250);
            config.attempts = u32::MAX;
            config.reconnect = backoff.clone();
            let known = known.clone();
            let mut parts: HashMap<u64, Vec<Frame>> = HashMap::new();
            let app = move |desk: &mut Desk<'_, ClientCommand>, output| {
                let ClientOutput::Part { ticket, last, body } = output else {
                    panic!("{output:?}");
                };
                parts.entry(ticket).or_default().extend(body);
                if last {
                    let number = ticket % REQUESTS;
                    let reply = parts.remove(&ticket).unwrap();
                    check(&mut known.borrow_mut(), n, number, &reply);
                    // Sometimes it asks for the same again.
                    if desk.now().elapsed() < CALM && desk.rng().bool() {
                        let after = ms(desk.rng().u64(0..3000));
                        desk.command_after(after, call(n, ticket + REQUESTS));
                    }
                }
            };
            (ClientMachine::new(config, [0; 16], rng.fork()), app)
        }));
    }
    for (n, &client) in clients.iter().enumerate() {
        for number in 0..REQUESTS {
            let at = Time::ZERO + ms(sim.rng().u64(0..10_000));
            sim.at(at, move |sim| sim.command(client, call(n, number)));
            // Whatever became of it: who has crashed has forgotten that he asked.
            let at = Time::ZERO + CALM + ms(sim.rng().u64(10_000..12_000));
            let again = call(n, number + REQUESTS * 1000);
            sim.at(at, move |sim| sim.command(client, again));
        }
    }
    World {
        broker,
        workers,
        clients,
        known,
    }
}

/// Whatever the ticket, the stamp says which request it is.
fn call(client: usize, ticket: u64) -> ClientCommand {
    let number = ticket % REQUESTS;
    let key = Key {
        client: [client as u8; 16],
        number,
    };
    ClientCommand::Call {
        ticket,
        key: Some(key),
        service: "work".into(),
        body: vec![name(client, number).into()],
    }
}

/// All parts are of one execution, and of the same as ever.
fn check(known: &mut Known, client: usize, number: u64, reply: &[Frame]) {
    let body = name(client, number);
    let text = reply[0].to_string_lossy().into_owned();
    assert_eq!(text.split(' ').next(), Some(&*body));
    assert!(
        reply.iter().all(|part| *part == text),
        "{body}: {reply:?} is of several executions"
    );
    let first = known.replies.entry(body).or_insert_with(|| text.clone());
    assert_eq!(*first, text, "another reply than before");
    known.answered += 1;
}

impl World {
    fn storm(&self, sim: &mut Simulator, chaos: &Chaos) {
        let calm = Time::ZERO + CALM;
        sim.chaos(chaos, calm);
        sim.at(calm, Simulator::calm);
        sim.run_for(END);
        let known = self.known.borrow();
        assert_eq!(known.replies.len(), CLIENTS * REQUESTS as usize, "of all");
        for client in &self.clients {
            let calls = sim.machine(*client).map_or(0, ClientMachine::calls);
            assert_eq!(calls, 0, "seed {}: it is not answered", sim.seed());
        }
        let broker = &sim.machine(self.broker).unwrap().machine;
        let digest = broker.digest(sim.now());
        assert_eq!(digest.held, 0, "nothing is left: {digest}");
        assert_eq!(digest.counters.not_kept, 0);
    }
}

#[test]
fn without_faults_everything_is_executed_once() {
    seeds(300, |sim| {
        let world = world(sim, true);
        world.storm(sim, &Chaos::default());
        let known = world.known.borrow();
        assert_eq!(known.executions, known.replies.len() as u64);
        assert!(known.answered >= 2 * known.executions);
    });
}

#[test]
fn what_was_answered_is_not_executed_again_after_any_crash() {
    seeds(1500, |sim| {
        let world = world(sim, true);
        sim.conditions().loss = 0.02;
        sim.conditions().duplication = 0.02;
        let crash = world.workers.iter().map(|w| w.any());
        let crash = crash.chain(world.clients.iter().map(|c| c.any()));
        let broker = [world.broker.any(); 3];
        let chaos = Chaos {
            crash: crash.chain(broker).collect(),
            lasting: (ms(10), ms(1500)),
            every: (ms(100), ms(1000)),
            ..Chaos::default()
        };
        world.storm(sim, &chaos);
    });
}

#[test]
fn under_every_fault_a_reply_stays_what_it_was() {
    seeds(1500, |sim| {
        let world = world(sim, false);
        sim.conditions().delay = (Duration::ZERO, ms(50));
        sim.conditions().loss = 0.02;
        sim.conditions().duplication = 0.02;
        let broker = world.broker.any();
        let workers = world.workers.iter().map(|w| w.any());
        let clients = world.clients.iter().map(|c| c.any());
        let peers: Vec<_> = workers.clone().chain(clients).collect();
        let chaos = Chaos {
            crash: peers.iter().copied().chain([broker; 3]).collect(),
            pause: workers.chain([broker]).collect(),
            links: peers.iter().map(|peer| (*peer, broker)).collect(),
            lasting: (ms(10), ms(3000)),
            every: (ms(100), ms(1000)),
        };
        world.storm(sim, &chaos);
    });
}
