//! Executed once, in effect, under everything at once: clients that ask again after a short time, workers and
//! the broker killed with `kill -9`, and replies kept in Titanic's log.
//!
//! What is shown: every request is answered; its reply is the same however often it is asked for, through
//! whichever broker; and once a client has seen it, the request is never executed again. What no store
//! can know is whether a worker had executed a request that it, or its broker, did not live to see
//! answered. Those are executed again: at most one for each kill of a worker, and one at each worker for each kill
//! of the broker. They are counted and printed (`-- --nocapture`).
//!
//! `XEBEC_KILLS=1000` says how often (40 otherwise), `XEBEC_SEED` repeats the moments.

mod common;

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, Scratch, Xebec, number, spawn, start};
use fastrand::Rng;
use xebec::{Context, Message};
use xebec_patterns::majordomo::client::{ClientCommand, ClientOutput};
use xebec_patterns::majordomo::stamp::Key;
use xebec_patterns::majordomo::{ClientConfig, ClientMachine, Worker, WorkerConfig};
use xebec_patterns::{Backoff, Driver, Handle};

const CLIENTS: u8 = 4;
const WORKERS: usize = 3;
/// Requests of one client at a time: more than there are workers.
const AT_ONCE: usize = 4;

/// A process is only seen to be gone by its connection: however slow the machine is, none is given up.
const SETTINGS: &str = "
[once]
durable = true
[titanic]
size = '32M'
[default]
heartbeat = '20s'
retries = 1000000
";

/// What the process of a worker is told: where the broker is, and its file.
const WORKER: &str = "XEBEC_STORM_WORKER";

fn backoff() -> Backoff {
    Backoff {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(100),
        jitter: 0.5,
    }
}

/// No test, but a worker in a process of its own: the storm starts this program again for it.
#[test]
fn worker_process() {
    let Ok(told) = std::env::var(WORKER) else {
        return;
    };
    // Nobody types anything; this ends with the test that it belongs to.
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let (at, file) = told.split_once(' ').unwrap();
    let mut config = WorkerConfig::new(at, "work");
    config.heartbeat = Duration::from_secs(20);
    config.reconnect = backoff();
    let worker = Worker::new(&Context::new(), config).unwrap();
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    let (mut rng, process) = (Rng::new(), std::process::id());
    for n in 0.. {
        let request = worker.recv().unwrap();
        let body = request.body.to_string_lossy().into_owned();
        // Two executions of one request have different replies.
        let execution = format!("{body} {process}.{n}");
        file.write_all(format!("{execution}\n").as_bytes()).unwrap();
        // Some work takes longer than clients wait, and than a broker takes to come back.
        let longest = [2, 20, 300][rng.choice([0, 0, 0, 0, 1, 1, 1, 2]).unwrap()];
        thread::sleep(Duration::from_millis(rng.u64(0..longest)));
        if rng.u8(..4) == 0 {
            worker.partial(&request, &*execution);
        }
        worker.reply(request, &*execution);
    }
}

/// The executions of one worker, whichever process it was: a line each, written when it begins.
struct Executions(Scratch);

impl Executions {
    fn len(&self) -> u64 {
        std::fs::metadata(&self.0.0).unwrap().len()
    }

    /// All of them, with where each begins in the file.
    fn all(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(&self.0.0).unwrap();
        let mut at = 0;
        let line = |line: &str| {
            let begins = at;
            at += line.len() as u64;
            (begins, line.trim_end().to_owned())
        };
        text.split_inclusive('\n').map(line).collect()
    }
}

/// The first reply that a client saw, and how long the files of the workers were then.
struct Seen {
    reply: String,
    files: [u64; WORKERS],
}

struct Storm {
    at: String,
    files: [Executions; WORKERS],
    seen: Mutex<HashMap<(u8, u64), Seen>>,
    replies: AtomicU64,
    asked_again: AtomicU64,
    wrong: Mutex<Vec<String>>,
    ends: AtomicBool,
}

impl Storm {
    fn seen(&self) -> MutexGuard<'_, HashMap<(u8, u64), Seen>> {
        self.seen.lock().unwrap()
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// A client has a reply.
    fn replied(&self, of: (u8, u64), parts: &[String]) {
        let reply = &parts[parts.len() - 1];
        let body = body(of);
        if parts.iter().any(|part| part != reply) || reply.split(' ').next() != Some(&body) {
            self.wrong(format!("{body} is answered with {parts:?}"));
        }
        let files = std::array::from_fn(|n| self.files[n].len());
        let mut seen = self.seen();
        let first = seen.entry(of).or_insert_with(|| Seen {
            reply: reply.clone(),
            files,
        });
        if first.reply != *reply {
            let before = &first.reply;
            self.wrong(format!("{body} was answered with {before}, now {reply}"));
        }
        drop(seen);
        self.replies.fetch_add(1, Ordering::Relaxed);
    }
}

fn body((client, number): (u8, u64)) -> String {
    format!("{client}/{number}")
}

/// A client of one number, in one or more lives.
struct Asker<'a> {
    storm: &'a Storm,
    context: Context,
    client: u8,
    handle: Handle<ClientMachine>,
    rng: Rng,
    ticket: u64,
    /// What is asked now: the number of the message and the parts that have come, by ticket.
    flight: HashMap<u64, (u64, Vec<String>)>,
    next: u64,
}

impl<'a> Asker<'a> {
    fn new(storm: &'a Storm, context: &Context, client: u8, seed: u64) -> Self {
        Asker {
            storm,
            context: context.clone(),
            client,
            handle: connect(context, &storm.at),
            rng: Rng::with_seed(seed),
            ticket: 0,
            flight: HashMap::new(),
            next: 0,
        }
    }

    fn ask(&mut self, number: u64) {
        self.ticket += 1;
        self.flight.insert(self.ticket, (number, Vec::new()));
        let key = Key {
            client: [self.client; 16],
            number,
        };
        self.handle.command(ClientCommand::Call {
            ticket: self.ticket,
            key: Some(key),
            service: "work".into(),
            body: vec![body((self.client, number)).into()],
        });
    }

    /// As if its process had been killed: it asks again for what it does not know, on another connection.
    fn begin_anew(&mut self) {
        self.handle = connect(&self.context, &self.storm.at);
        for (_, (number, _)) in std::mem::take(&mut self.flight) {
            self.ask(number);
        }
    }

    /// Waits for what comes next; at the latest until the limit.
    fn hear(&mut self) {
        let (ticket, last, text) = match self.handle.recv_timeout(LIMIT).unwrap() {
            Some(ClientOutput::Part { ticket, last, body }) => {
                let body: Message = body.into_iter().collect();
                (ticket, last, body.to_string_lossy().into_owned())
            }
            Some(ClientOutput::Failed { ticket, error }) => {
                let number = self.flight.remove(&ticket).map(|(number, _)| number);
                let client = self.client;
                return self.storm.wrong(format!("{client}/{number:?}: {error}"));
            }
            None => return self.storm.wrong(format!("no reply: {:?}", self.flight)),
        };
        let (_, parts) = self.flight.get_mut(&ticket).unwrap();
        parts.push(text);
        if last {
            let (number, parts) = self.flight.remove(&ticket).unwrap();
            self.storm.replied((self.client, number), &parts);
        }
    }

    /// Waits until nothing is under way, or something is wrong.
    fn hear_the_rest(&mut self) {
        while !self.flight.is_empty() && self.storm.wrong.lock().unwrap().is_empty() {
            self.hear();
        }
    }

    /// Asks as long as the storm lasts, for new things and for old ones, and until all is answered.
    fn run(mut self) {
        while !self.storm.ends.load(Ordering::Relaxed) {
            while self.flight.len() < AT_ONCE {
                let old = self.rng.u64(0..=self.next);
                let again = self.rng.u8(..3) == 0
                    && self.storm.seen().contains_key(&(self.client, old))
                    && self.flight.values().all(|(number, _)| *number != old);
                if again {
                    self.storm.asked_again.fetch_add(1, Ordering::Relaxed);
                    self.ask(old);
                } else {
                    self.ask(self.next);
                    self.next += 1;
                }
            }
            self.hear();
            if self.rng.u8(..100) == 0 {
                self.begin_anew();
            }
        }
        self.hear_the_rest();
    }

    /// Asks once more for all that it ever asked for.
    fn ask_all_again(mut self) {
        let all = self.storm.seen();
        let mine = all.keys().filter(|(client, _)| *client == self.client);
        let mine: Vec<u64> = mine.map(|(_, number)| *number).collect();
        drop(all);
        for number in mine {
            self.ask(number);
            while self.flight.len() > 50 {
                self.hear();
            }
        }
        self.hear_the_rest();
    }
}

fn connect(context: &Context, at: &str) -> Handle<ClientMachine> {
    let mut config = ClientConfig::new(at).once();
    config.timeout = Duration::from_millis(100);
    config.attempts = u32::MAX;
    config.reconnect = backoff();
    let machine = ClientMachine::new(config, [0; 16], Rng::new());
    Driver::new(context, machine).unwrap().spawn()
}

fn worker(at: &str, file: &Executions) -> Xebec {
    let program: PathBuf = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command
        .args(["--exact", "worker_process", "--nocapture"])
        .env(WORKER, format!("{at} {}", file.0.path()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(command)
}

fn broker(settings: &Scratch, log: &Scratch, at: &str) -> Xebec {
    let log = ["--titanic", log.path()];
    start(&[&["broker", settings.path(), "--bind", at][..], &log].concat())
}

#[test]
fn what_was_answered_is_never_executed_again_in_a_storm() {
    let kills = number("XEBEC_KILLS").unwrap_or(40);
    let seed = number("XEBEC_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("XEBEC_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let settings = Scratch::new("storm.toml", SETTINGS.as_bytes());
    let log = Scratch::nothing("storm.log");
    let mut running = broker(&settings, &log, "tcp://127.0.0.1:*");
    let at = running.bound();
    let file = |n| Executions(Scratch::new(&format!("storm.worker-{n}"), b""));
    let storm = Storm {
        at: at.clone(),
        files: std::array::from_fn(file),
        seen: Mutex::default(),
        replies: AtomicU64::new(0),
        asked_again: AtomicU64::new(0),
        wrong: Mutex::default(),
        ends: AtomicBool::new(false),
    };
    let storm = &storm;
    let mut workers: [Xebec; WORKERS] = std::array::from_fn(|n| worker(&at, &storm.files[n]));
    let context = Context::new();
    let check = |when: &str| {
        let wrong = storm.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "{when}, seed {seed}: {wrong:#?}");
    };
    let begin = Instant::now();
    let (mut of_broker, mut of_workers) = (0, 0);
    thread::scope(|scope| {
        let ends = Ends(storm);
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let asker = Asker::new(storm, &context, client, rng.u64(..));
            clients.push(scope.spawn(move || asker.run()));
        }
        while of_broker + of_workers < kills {
            // The point is the moment at which so many more replies were seen, and a bit.
            let until = storm.replies.load(Ordering::Relaxed) + rng.u64(0..40);
            let patience = Instant::now() + LIMIT;
            while storm.replies.load(Ordering::Relaxed) < until {
                assert!(Instant::now() < patience, "no request is answered any more");
                check("under the storm");
                thread::sleep(Duration::from_micros(200));
            }
            thread::sleep(Duration::from_micros(rng.u64(0..5000)));
            if rng.u8(..5) < 2 {
                let n = rng.usize(..WORKERS);
                workers[n].kill();
                workers[n] = worker(&at, &storm.files[n]);
                of_workers += 1;
            } else {
                running.kill();
                running = broker(&settings, &log, &at);
                of_broker += 1;
                // Now and then it does not even get to the end of opening its log.
                if rng.u8(..4) > 0 {
                    let seen = storm.seen().len() as u64;
                    let opened = running.says("event=titanic-open");
                    let kept = value(&opened, "answers=");
                    assert!(kept >= seen, "{seen} were seen, seed {seed}: {opened}");
                    assert!(opened.contains("damages=0 "), "{opened}");
                    running.bound();
                }
            }
        }
        drop(ends);
        for client in clients {
            client.join().unwrap();
        }
        check("when all was answered");
        // Whoever is still at work is at work in vain: what he would answer has been answered.
        for (process, file) in workers.iter_mut().zip(&storm.files) {
            process.kill();
            *process = worker(&at, file);
        }
        for client in 0..CLIENTS {
            let asker = Asker::new(storm, &context, client, rng.u64(..));
            scope.spawn(move || asker.ask_all_again());
        }
    });
    check("when all was asked again");
    account(storm, seed, of_broker, of_workers, begin.elapsed());
}

/// Looks at what was executed, and says how often.
fn account(storm: &Storm, seed: u64, of_broker: u64, of_workers: u64, took: Duration) {
    let seen = storm.seen();
    let by_body: HashMap<String, &Seen> = seen.iter().map(|(of, seen)| (body(*of), seen)).collect();
    let mut executions = HashSet::new();
    for (n, file) in storm.files.iter().enumerate() {
        for (at, line) in file.all() {
            let body = line.split(' ').next().unwrap();
            let seen = by_body.get(body);
            let seen = seen.unwrap_or_else(|| panic!("{line} was never answered, seed {seed}"));
            assert!(
                at < seen.files[n],
                "{line} was executed after {} was seen, seed {seed}",
                seen.reply
            );
            executions.insert(line);
        }
    }
    for seen in seen.values() {
        let reply = &seen.reply;
        assert!(executions.contains(reply), "nobody executed {reply}");
    }
    let (requests, executed) = (seen.len() as u64, executions.len() as u64);
    let again = executed - requests;
    println!(
        "{of_broker} kills of the broker and {of_workers} of workers in {took:.1?}: {requests} requests, asked again {} \
         times when they were answered, executed {executed} times, {again} of them again",
        storm.asked_again.load(Ordering::Relaxed)
    );
    let most = of_broker * WORKERS as u64 + of_workers;
    assert!(again <= most, "{again} more executions, seed {seed}");
}

/// The number behind a name in a line of the log.
fn value(line: &str, name: &str) -> u64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix(name));
    word.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Ends the clients, even when the test fails.
struct Ends<'a>(&'a Storm);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}
