//! A Titanic on a disk that forgets, at a broker, with services and clients, under faults. A crash of Titanic
//! is a loss of power.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xebec::{Frame, Message};

use super::disked::{DiskLog, Disked, Drive};
use super::{
    Id, Listed, Mark, ServerCommand, ServerConfig, ServerMachine, State, Store, StoreError, Usage,
};
use crate::Backoff;
use crate::machine::Time;
use crate::majordomo::broker::Command;
use crate::majordomo::client::{ClientCommand, ClientOutput};
use crate::majordomo::worker::{WorkerCommand, WorkerOutput};
use crate::majordomo::{
    Broker, BrokerConfig, ClientConfig, ClientMachine, Dialect, WorkerConfig, WorkerMachine,
};
use crate::simulator::{AnyNode, Chaos, Desk, NodeId, Simulator, seeds};

const AT: &str = "tcp://broker:5555";
const CLIENTS: usize = 3;
/// What a client does at a time, and how often.
const JOBS: usize = 3;
const REQUESTS: u64 = 4;
/// When the faults are over, and when everything has come to its end.
const CALM: Duration = Duration::from_secs(12);
const END: Duration = Duration::from_secs(32);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What clients, services and the store know for certain.
#[derive(Default)]
struct Known {
    /// Answered with 200 and not asked to be closed.
    accepted: HashSet<Id>,
    /// Replies that clients have fetched: never another, and never lost until they ask to close it.
    fetched: HashMap<Id, String>,
    /// Closed, and answered with 200.
    closed: HashSet<Id>,
    /// The requests that have a body: several where a submission came twice.
    by_body: BTreeMap<String, Vec<Id>>,
    executions: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Known>>);

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }

    /// What a Titanic finds when it starts must be what clients were told.
    fn compare(&self, log: &DiskLog) {
        let mut known = self.known();
        for id in &known.accepted {
            let (state, fetched) = (log.state(*id), known.fetched.contains_key(id));
            let sound = match state {
                Some(State::Replied) => true,
                Some(State::Pending { .. }) => !fetched,
                _ => false,
            };
            assert!(sound, "{id} was accepted, fetched: {fetched}, is {state:?}");
        }
        for id in &known.closed {
            assert_eq!(log.state(*id), None, "{id} is back though it was closed");
        }
        // What was never durable will not be executed.
        let Known {
            by_body, fetched, ..
        } = &mut *known;
        for ids in by_body.values_mut() {
            ids.retain(|id| fetched.contains_key(id) || log.state(*id).is_some());
        }
    }
}

/// The log, and what goes into it.
struct Watched(Arc<DiskLog>, Shared);

impl Store for Watched {
    fn submit(&self, id: Id, request: &[Frame], at: SystemTime) -> Result<Mark, StoreError> {
        let mark = self.0.submit(id, request, at)?;
        let body = request[1].to_string_lossy().into_owned();
        let mut known = self.1.known();
        known.by_body.entry(body).or_default().push(id);
        Ok(mark)
    }

    fn dispatched(&self, id: Id) -> Result<Mark, StoreError> {
        let mark = self.0.dispatched(id)?;
        let known = self.1.known();
        let fetched = known.fetched.get(&id);
        assert!(fetched.is_none(), "{id} is sent though it has {fetched:?}");
        Ok(mark)
    }

    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError> {
        self.0.reply(id, reply)
    }
    fn abandon(&self, id: Id) -> Result<Mark, StoreError> {
        self.0.abandon(id)
    }
    fn close(&self, id: Id) -> Result<Mark, StoreError> {
        self.0.close(id)
    }
    fn state(&self, id: Id) -> Option<State> {
        self.0.state(id)
    }
    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.0.request(id)
    }
    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.0.fetch(id)
    }
    fn list(&self) -> Vec<Listed> {
        self.0.list()
    }
    fn usage(&self) -> Usage {
        self.0.usage()
    }
    fn sync(&self, mark: Mark) -> Result<(), StoreError> {
        self.0.sync(mark)
    }
    fn durable(&self) -> Mark {
        self.0.durable()
    }
}

/// How far a client is with one request.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit,
    Fetch(Id),
    Close(Id),
}

/// One thing that a client does after another; what it knows survives its crash.
struct Job {
    step: Step,
    done: u64,
    /// Of the body, which is never the same twice.
    number: u64,
    /// The question that is under way, and since when.
    asked: Option<(u64, Time)>,
}

/// The application of one client.
struct Desktop {
    client: usize,
    jobs: Vec<Job>,
    ticket: u64,
    parts: HashMap<u64, Vec<Frame>>,
    shared: Shared,
}

type Desktops = Arc<Mutex<Desktop>>;

impl Desktop {
    fn new(client: usize, shared: Shared) -> Self {
        let job = || Job {
            step: Step::Submit,
            done: 0,
            number: 0,
            asked: None,
        };
        Desktop {
            client,
            jobs: std::iter::repeat_with(job).take(JOBS).collect(),
            ticket: 0,
            parts: HashMap::new(),
            shared,
        }
    }

    /// What is to be asked now, where nothing is under way, or was before a crash.
    fn ask(&mut self, now: Time) -> Vec<ClientCommand> {
        let mut commands = Vec::new();
        for (index, job) in self.jobs.iter_mut().enumerate() {
            let waits = job.asked.is_some_and(|(_, at)| now.since(at) < ms(2500));
            if waits || job.done == REQUESTS {
                continue;
            }
            self.ticket += 1;
            job.asked = Some((self.ticket, now));
            let (service, body) = match job.step {
                Step::Submit => {
                    job.number += 1;
                    let mut body = format!("{}/{index}/{} ", self.client, job.number);
                    // Some are so large that the store is full from time to time.
                    let more = [0, 11_000, 11_000][(job.number + index as u64) as usize % 3];
                    body.extend(std::iter::repeat_n('.', more));
                    ("titanic.request", vec!["work".into(), body.into()])
                }
                Step::Fetch(id) => ("titanic.reply", vec![id.to_string().into()]),
                Step::Close(id) => {
                    self.shared.known().accepted.remove(&id);
                    ("titanic.close", vec![id.to_string().into()])
                }
            };
            commands.push(ClientCommand::Call {
                ticket: self.ticket,
                key: None,
                service: service.into(),
                body,
            });
        }
        commands
    }

    fn hear(&mut self, output: ClientOutput, again: bool) {
        let (ticket, frames) = match output {
            ClientOutput::Part { ticket, last, body } => {
                self.parts.entry(ticket).or_default().extend(body);
                if !last {
                    return;
                }
                (ticket, self.parts.remove(&ticket).unwrap())
            }
            ClientOutput::Failed { ticket, .. } => (ticket, Vec::new()),
        };
        let mut jobs = self.jobs.iter_mut();
        let asked = |job: &&mut Job| job.asked.is_some_and(|(asked, _)| asked == ticket);
        let Some(job) = jobs.find(asked) else { return };
        job.asked = None;
        let Some((status, rest)) = frames.split_first() else {
            return;
        };
        let status = status.to_string_lossy().into_owned();
        let mut known = self.shared.known();
        match (job.step, &status[..3]) {
            (Step::Submit, "200") => {
                let id = Id::parse(rest[0].as_bytes()).unwrap();
                known.accepted.insert(id);
                job.step = Step::Fetch(id);
            }
            // The store is full.
            (Step::Submit, "500") => {}
            (Step::Fetch(_), "300") => {}
            (Step::Fetch(id), "200") => {
                let reply = rest[0].to_string_lossy().into_owned();
                let (_, body) = reply.split_once(' ').unwrap();
                let ids = &known.by_body[body];
                assert!(ids.contains(&id), "{id} has the reply to {ids:?}");
                let first = known.fetched.entry(id).or_insert_with(|| reply.clone());
                assert!(*first == reply, "{id} has another reply than before");
                if !again {
                    job.step = Step::Close(id);
                }
            }
            (Step::Close(id), "200") => {
                known.closed.insert(id);
                job.step = Step::Submit;
                job.done += 1;
            }
            (step, _) => panic!("{step:?}: {status}"),
        }
    }
}

struct World {
    titanic: NodeId<Disked<ServerMachine>>,
    broker: AnyNode,
    workers: Vec<AnyNode>,
    clients: Vec<NodeId<ClientMachine>>,
    desktops: Vec<Desktops>,
    shared: Shared,
}

fn backoff() -> Backoff {
    Backoff {
        first: ms(20),
        longest: ms(500),
        jitter: 0.5,
    }
}

/// `strict`: nothing is executed whose reply a client has fetched, which holds as long as no worker that
/// was given up gets a request late. `stamped`: all clients number their requests, and not only the second.
fn world(sim: &mut Simulator, strict: bool, stamped: bool) -> World {
    let shared = Shared::default();
    let broker = sim.node("broker", |_| {
        let mut config = BrokerConfig::new(AT);
        config.policy.heartbeat = ms(500);
        config.policy.reply_time = Some(ms(3000));
        config.policy.queue_time = ms(5000);
        (Broker::new(config), |_: &mut Desk<'_, Command>, _| {})
    });
    let (theirs, drive) = (shared.clone(), Drive::new(sim.seed()));
    let titanic = sim.node("titanic", move |rng| {
        let log = drive.open();
        theirs.compare(&log);
        let store = Arc::new(Watched(log.clone(), theirs.clone()));
        let mut config = ServerConfig::new(AT);
        config.workers = 2;
        config.heartbeat = ms(500);
        config.titanic.timeout = ms(1500);
        config.titanic.calls = 4;
        config.titanic.retry = Backoff::constant(ms(300));
        config.titanic.epoch = UNIX_EPOCH;
        let mut ids = rng.fork();
        let ids = move || Id::from_random(ids.u128(..).to_be_bytes());
        let machine = ServerMachine::new(store, config, ids, rng.fork());
        let app = |_: &mut Desk<'_, ServerCommand>, _| {};
        (Disked::new(machine, log, rng.fork()), app)
    });
    let mut workers = Vec::new();
    for n in 0..2 {
        let shared = shared.clone();
        let worker = sim.node(&format!("worker {n}"), move |rng| {
            let mut config = WorkerConfig::new(AT, "work");
            config.dialect = [Dialect::Mdp01, Dialect::Mdp02][n];
            config.heartbeat = ms(500);
            config.reconnect = backoff();
            let shared = shared.clone();
            let app = move |desk: &mut Desk<'_, WorkerCommand>, output| {
                let WorkerOutput::Request(request) = output else {
                    return;
                };
                let body = request.body.to_string_lossy().into_owned();
                let mut known = shared.known();
                let ids = &known.by_body[&body];
                let may = ids.iter().any(|id| !known.fetched.contains_key(id));
                assert!(may || !strict, "{ids:?} are executed again: {body:.10}");
                known.executions += 1;
                let execution = format!("{} {body}", known.executions);
                let reply = WorkerCommand::Reply {
                    number: request.number(),
                    last: true,
                    body: Message::from(execution),
                };
                // Longer than what comes twice is on its way.
                let time = ms(desk.rng().u64(10..300));
                desk.command_after(time, reply);
            };
            (WorkerMachine::new(config, rng.fork()), app)
        });
        workers.push(worker.any());
    }
    let (mut clients, mut desktops) = (Vec::new(), Vec::new());
    for n in 0..CLIENTS {
        let desktop = Arc::new(Mutex::new(Desktop::new(n, shared.clone())));
        let theirs = desktop.clone();
        clients.push(sim.node(&format!("client {n}"), move |rng| {
            let mut config = ClientConfig::new(AT);
            config.once = stamped || n % 2 == 1;
            config.timeout = ms(1000);
            config.attempts = 1;
            config.reconnect = backoff();
            let desktop = theirs.clone();
            let app = move |desk: &mut Desk<'_, ClientCommand>, output| {
                let again = desk.rng().u8(0..3) == 0;
                desktop.lock().unwrap().hear(output, again);
            };
            let id = rng.u128(..).to_be_bytes();
            (ClientMachine::new(config, id, rng.fork()), app)
        }));
        desktops.push(desktop);
    }
    World {
        titanic,
        broker: broker.any(),
        workers,
        clients,
        desktops,
        shared,
    }
}

impl World {
    fn peers(&self) -> Vec<AnyNode> {
        let clients = self.clients.iter().map(|client| client.any());
        clients.chain(self.workers.iter().copied()).collect()
    }

    fn storm(&self, sim: &mut Simulator, chaos: &Chaos) {
        let calm = Time::ZERO + CALM;
        sim.chaos(chaos, calm);
        sim.at(calm, Simulator::calm);
        while sim.now() < Time::ZERO + END {
            let pause = ms(sim.rng().u64(50..250));
            sim.run_for(pause);
            for (client, desktop) in self.clients.iter().zip(&self.desktops) {
                let commands = match sim.is_running(*client) {
                    true => desktop.lock().unwrap().ask(sim.now()),
                    false => Vec::new(),
                };
                commands
                    .into_iter()
                    .for_each(|command| sim.command(*client, command));
            }
        }
        for (n, desktop) in self.desktops.iter().enumerate() {
            for job in &desktop.lock().unwrap().jobs {
                let (done, step) = (job.done, job.step);
                assert_eq!(done, REQUESTS, "seed {}, {n}: {step:?}", sim.seed());
            }
        }
        self.close_the_rest(sim);
    }

    /// What nobody knows the UUID of was executed as well; closed, it leaves nothing behind.
    fn close_the_rest(&self, sim: &mut Simulator) {
        let log = sim.machine(self.titanic).unwrap().log.clone();
        for (n, left) in log.list().into_iter().enumerate() {
            assert_eq!(left.state, State::Replied, "{left:?} came to no end");
            let ticket = 1_000_000 + n as u64;
            let close = ClientCommand::Call {
                ticket,
                key: None,
                service: "titanic.close".into(),
                body: vec![left.id.to_string().into()],
            };
            sim.command(self.clients[0], close);
            sim.run_for(ms(200));
        }
        sim.run_for(ms(500));
        let (usage, left) = (log.usage(), log.list());
        assert_eq!((usage.bytes, left), (0, Vec::new()), "nothing is left");
        let known = take(&mut *self.shared.known());
        assert_eq!(
            known.closed.len() as u64,
            (CLIENTS * JOBS) as u64 * REQUESTS
        );
    }
}

#[test]
fn without_faults_every_request_is_executed_once() {
    seeds(200, |sim| {
        let world = world(sim, true, false);
        let shared = world.shared.clone();
        sim.at(Time::ZERO + CALM, move |_| {
            let known = shared.known();
            let requests = known.by_body.values().flatten().count();
            assert_eq!(known.executions, requests as u64);
        });
        world.storm(sim, &Chaos::default());
    });
}

#[test]
fn after_any_crash_nothing_is_lost_or_executed_again() {
    seeds(1000, |sim| {
        // Without stamps nobody can tell that a reply came twice.
        let world = world(sim, true, true);
        sim.conditions().loss = 0.01;
        sim.conditions().duplication = 0.01;
        let titanic = [world.titanic.any(); 4];
        let others = world.peers().into_iter().chain([world.broker]);
        let chaos = Chaos {
            crash: others.chain(titanic).collect(),
            lasting: (ms(10), ms(1500)),
            every: (ms(100), ms(1000)),
            ..Chaos::default()
        };
        world.storm(sim, &chaos);
    });
}

#[test]
fn under_every_fault_nothing_is_lost_and_all_comes_to_its_end() {
    seeds(1000, |sim| {
        let world = world(sim, false, false);
        sim.conditions().delay = (Duration::ZERO, ms(50));
        sim.conditions().loss = 0.01;
        let (broker, titanic) = (world.broker, world.titanic.any());
        let peers = world.peers();
        let all = peers.iter().copied().chain([broker, titanic]);
        let ends = peers.iter().copied().chain([titanic; 2]);
        let chaos = Chaos {
            crash: all.clone().chain([titanic; 3]).collect(),
            pause: all.collect(),
            links: ends.map(|peer| (peer, broker)).collect(),
            lasting: (ms(10), ms(3000)),
            every: (ms(100), ms(1000)),
        };
        world.storm(sim, &chaos);
    });
}
