//! `xebec titanic` killed at random points under load: what it answered with 200 is never lost, and what has
//! a stored reply is never executed again.
//!
//! `XEBEC_KILLS=1000` says how often (25 otherwise), `XEBEC_SEED` repeats the moments.

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use common::{Scratch, Xebec, number, start};
use rustix::process::Signal;
use xebec::{Context, Message};
use xebec_patterns::Driver;
use xebec_patterns::majordomo::broker::FRONT;
use xebec_patterns::majordomo::{
    Broker, BrokerConfig, Client, ClientConfig, MemoryReplies, Worker, WorkerConfig,
};

const CLIENTS: usize = 6;

/// What the clients and the worker know for certain.
#[derive(Default)]
struct Known {
    /// Answered with 200 and not asked to be closed: UUID and body.
    accepted: HashMap<String, String>,
    /// Whether to close was answered is not known (yet).
    closing: HashSet<String>,
    closed: HashSet<String>,
    /// Bodies of requests whose reply is stored.
    replied: HashSet<String>,
    executions: u64,
    accepted_in_all: u64,
    wrong: Vec<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Known>>, Arc<AtomicBool>);

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }

    fn goes_on(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }
}

/// The status of an answer, and what stands behind it.
fn asked(client: &Client, service: &str, body: impl Into<Message>) -> Option<(String, Message)> {
    let (status, rest) = client.call(service, body).ok()?.split_first();
    let status = status.to_string_lossy().into_owned();
    Some((status, rest.into_iter().collect()))
}

/// Submits, fetches and closes as long as it goes on.
fn load(client: &Client, number: usize, shared: &Shared) {
    let mut mine: Vec<(String, String)> = Vec::new();
    let mut rng = fastrand::Rng::with_seed(number as u64);
    for n in 0.. {
        if !shared.goes_on() {
            return;
        }
        // One body is never given twice, so that whatever is stored of it has one UUID.
        let body = format!("{number}/{n}");
        let request: Message = ["work", &body].into_iter().collect();
        if let Some((status, rest)) = asked(client, "titanic.request", request)
            && status == "200"
        {
            let id = rest.to_string_lossy().into_owned();
            let mut known = shared.known();
            known.accepted_in_all += 1;
            known.accepted.insert(id.clone(), body.clone());
            drop(known);
            mine.push((id, body));
        }
        while mine.len() > 20 {
            let (id, body) = mine.swap_remove(rng.usize(..mine.len()));
            let Some((status, reply)) = asked(client, "titanic.reply", &*id) else {
                mine.push((id, body));
                break;
            };
            match &*status {
                "200" => {
                    let mut known = shared.known();
                    if reply.to_string_lossy() != format!("did {body}") {
                        known.wrong.push(format!("{id} {body}: {reply:?}"));
                    }
                    known.replied.insert(body);
                    known.accepted.remove(&id);
                    known.closing.insert(id.clone());
                    drop(known);
                    // What is not answered is asked again later, as a client would.
                    while shared.goes_on() {
                        if asked(client, "titanic.close", &*id).is_some_and(|(s, _)| s == "200") {
                            let mut known = shared.known();
                            known.closing.remove(&id);
                            known.closed.insert(id);
                            break;
                        }
                    }
                }
                "300" => {
                    mine.push((id, body));
                    break;
                }
                other => shared.known().wrong.push(format!("{id} {body}: {other}")),
            }
        }
    }
}

/// Executes, and looks whether it may.
fn work(worker: &Worker, shared: &Shared) {
    while shared.goes_on() {
        let a_while = Duration::from_millis(100);
        if let Ok(Some(request)) = worker.recv_timeout(a_while) {
            let body = request.body.to_string_lossy().into_owned();
            let mut known = shared.known();
            known.executions += 1;
            if known.replied.contains(&body) {
                known.wrong.push(format!("{body} is executed again"));
            }
            drop(known);
            worker.reply(request, format!("did {body}"));
        }
    }
}

/// The number behind a name in a line of the log.
fn value(line: &str, name: &str) -> u64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix(name));
    word.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn titanic(at: &str, log: &Scratch) -> (Xebec, String) {
    let mut titanic = start(&[
        "titanic",
        log.path(),
        "--broker",
        at,
        "--size",
        "8M",
        "--list",
    ]);
    let opened = titanic.says("event=titanic-open");
    titanic.says("event=titanic-stamps known=true");
    (titanic, opened)
}

/// What Titanic has after a crash must be what clients were told.
fn compare(client: &Client, before: &Known, shared: &Shared) {
    let (status, rows) = loop {
        // The broker may still have taken the dead one for alive.
        if let Some(answer) = asked(client, "titanic.list", "") {
            break answer;
        }
    };
    assert_eq!(status, "200");
    let rows: Vec<String> = rows
        .into_iter()
        .map(|row| row.to_string_lossy().into_owned())
        .collect();
    let states: HashMap<&str, &str> = rows
        .iter()
        .filter_map(|row| row.split_once(' '))
        .map(|(id, rest)| (id, rest.split(' ').next().unwrap_or_default()))
        .collect();
    let mut known = shared.known();
    for (id, body) in &before.accepted {
        match states.get(&**id) {
            Some(&"pending") => {}
            Some(&"replied") => {
                known.replied.insert(body.clone());
            }
            // It may have been closed since.
            None if !known.accepted.contains_key(id) => {}
            other => known.wrong.push(format!("{id} {body} is lost: {other:?}")),
        }
    }
    for id in &before.closed {
        if states.contains_key(&**id) {
            known
                .wrong
                .push(format!("{id} is back though it was closed"));
        }
    }
}

#[test]
fn nothing_that_was_accepted_is_lost_by_kills() {
    let kills = number("XEBEC_KILLS").unwrap_or(25);
    let seed = number("XEBEC_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("XEBEC_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let context = Context::new();
    let mut config = BrokerConfig::new("tcp://127.0.0.1:*");
    // A body that is in doubt stays so, and the broker does not make up for what Titanic forgets.
    config.policy.retries = 0;
    let broker = Broker::with_replies(config, MemoryReplies::new(0, 0, Duration::ZERO));
    let broker = Driver::new(&context, broker).unwrap();
    let at = broker.bound(FRONT)[0].clone();
    let broker = Arc::new(broker.spawn());
    let notes = broker.clone();
    // A broker whose notes nobody takes stands still after a while.
    thread::spawn(move || while notes.recv().is_ok() {});
    let worker = || Worker::new(&context, WorkerConfig::new(&at, "work")).unwrap();
    let workers = [worker(), worker(), worker()];
    let mut config = ClientConfig::new(&at);
    (config.attempts, config.timeout) = (1, Duration::from_secs(30));
    let client = Client::new(&context, config).unwrap();
    let log = Scratch::nothing("kills.log");
    let shared = Shared::default();
    thread::scope(|scope| {
        let client = &client;
        let ends = Ends(&shared);
        for worker in &workers {
            let shared = shared.clone();
            scope.spawn(move || work(worker, &shared));
        }
        for n in 0..CLIENTS {
            let shared = shared.clone();
            scope.spawn(move || load(client, n, &shared));
        }
        let mut longest = 0;
        let begin = Instant::now();
        let (mut running, _) = titanic(&at, &log);
        for kill in 0..kills {
            // The point is the moment at which so many more requests were accepted, and a bit.
            let until = shared.known().accepted_in_all + rng.u64(0..60);
            let patience = Instant::now() + Duration::from_secs(60);
            while shared.known().accepted_in_all < until && shared.known().wrong.is_empty() {
                assert!(Instant::now() < patience, "no request is accepted any more");
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(rng.u64(0..5000)));
            running.signal(Signal::KILL);
            drop(running);
            let before = {
                let known = shared.known();
                Known {
                    accepted: known.accepted.clone(),
                    closed: known.closed.clone(),
                    ..Known::default()
                }
            };
            let (next, opened) = titanic(&at, &log);
            running = next;
            longest = longest.max(value(&opened, "ms="));
            assert_eq!(value(&opened, "damages="), 0, "{opened}");
            compare(client, &before, &shared);
            let wrong = shared.known().wrong.clone();
            assert!(
                wrong.is_empty(),
                "after {kill} kills, seed {seed}: {wrong:#?}"
            );
        }
        // And what is still pending is executed.
        let patience = Instant::now() + Duration::from_secs(60);
        drop(ends);
        let left: Vec<String> = shared.known().accepted.keys().cloned().collect();
        let again = Shared::default();
        for worker in &workers {
            let again = again.clone();
            scope.spawn(move || work(worker, &again));
        }
        let _ends = Ends(&again);
        for id in &left {
            while asked(client, "titanic.reply", &**id).is_none_or(|(status, _)| status != "200") {
                assert!(Instant::now() < patience, "{id} gets no reply");
                thread::yield_now();
            }
        }
        broker.stop();
        let known = shared.known();
        assert!(known.wrong.is_empty(), "seed {seed}: {:#?}", known.wrong);
        println!(
            "{kills} kills in {:.1?}: {} accepted, {} executed, {} closed; longest start {longest} ms",
            begin.elapsed(),
            known.accepted_in_all,
            known.executions,
            known.closed.len(),
        );
    });
}

/// Ends the threads, even when the test fails.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.1.store(true, Ordering::Relaxed);
    }
}
