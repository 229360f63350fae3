//! Durable requests per second: the log of Titanic, redb, and one file per message as the Guide has it, in turn
//! in the same run and with the same policy of syncing; then the time to open the log after a crash.
//!
//! `cargo run --release -p xebec-patterns --example titanic_bench -- [broker] [log] [opening] [each] [10ms] [off]
//! [folder=/tmp] [seconds=1] [runs=5]`
//!
//! * `broker`: clients that submit a request of 1 KiB each by `titanic.request`, through a broker that has Titanic
//!   aboard, and submit the next when they have the 200. Broker and Titanic are one process, as in `xebec broker
//!   --titanic`, the clients another, over loopback. Nobody offers the service that is asked for, so the
//!   requests stay.
//! * `log`: the stores alone. Each thread stores a request of 1 KiB, waits until it is durable, and closes it;
//!   the closing becomes durable with the next request.
//! * `opening`: the time to open the log after a crash.
//!
//! Without a part all are measured, and without a policy all three.

#[path = "../common/child.rs"]
mod child;
mod stores;

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

use xebec::{Context, Frame, Message, Options, Req};
use xebec_patterns::Driver;
use xebec_patterns::majordomo::broker::FRONT;
use xebec_patterns::majordomo::{Broker, BrokerConfig};
use xebec_patterns::titanic::{
    Durability, Id, Log, LogOptions, Server, ServerConfig, ServerNote, Store,
};

use self::child::Child;

const BODY: usize = 1024;
const INSIDE: &str = "inproc://titanic";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["server", store, policy, folder] => return serve(store, policy, Path::new(folder)),
        ["clients", at, count, seconds] => return submit(at, count, seconds),
        _ => {}
    }
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let seconds = value("seconds=").map_or(1.0, |text| text.parse().expect("seconds"));
    let runs = value("runs=").map_or(5, |text| text.parse().expect("a number of runs"));
    let folder = value("folder=").map_or_else(env::temp_dir, PathBuf::from);
    // Those that are named, or all.
    let wanted = |names: [&'static str; 3]| -> Vec<&str> {
        let named = names.into_iter().filter(|name| words.contains(name));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            names.into()
        } else {
            named
        }
    };
    let policies = wanted(["each", "10ms", "off"]);
    for part in wanted(["broker", "log", "opening"]) {
        match part {
            "broker" => rates("clients", &policies, runs, |store, policy, count| {
                let place = tempfile::tempdir_in(&folder).unwrap();
                let place = place.path().to_str().expect("a name in UTF-8");
                let server = Child::start(&["server", store, policy, place]);
                let [at] = server.words();
                let (count, seconds) = (count.to_string(), seconds.to_string());
                let clients = Child::start(&["clients", &at, &count, &seconds]);
                let [rate] = clients.numbers();
                rate
            }),
            "log" => rates("threads", &policies, runs, |store, policy, count| {
                let place = tempfile::tempdir_in(&folder).unwrap();
                let store = stores::open(store, place.path(), durability(policy));
                rate(count, seconds, || {
                    let store = store.clone();
                    let mut last = None;
                    move || {
                        let id = Id::random().unwrap();
                        if let Some(done) = last.replace(id) {
                            store.close(done).unwrap();
                        }
                        let request = [Frame::from("echo"), Frame::from(vec![b'x'; BODY])];
                        let mark = store.submit(id, &request, SystemTime::now()).unwrap();
                        store.sync(mark).unwrap();
                    }
                })
            }),
            _ => opening(&folder, runs),
        }
    }
}

fn durability(policy: &str) -> Durability {
    match policy {
        "each" => Durability::Each,
        "10ms" => Durability::Every(Duration::from_millis(10)),
        _ => Durability::Off,
    }
}

/// A table of what `measure` says of a store, a policy, and so many at a time.
fn rates(who: &str, policies: &[&str], runs: usize, measure: impl Fn(&str, &str, usize) -> f64) {
    println!("\n| sync | {who} | log | redb | file per message | log : redb | log : files |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for policy in policies {
        for count in [1, 16, 64] {
            let mut results = stores::NAMES.map(|_| vec![]);
            for _ in 0..runs {
                for (store, results) in stores::NAMES.into_iter().zip(&mut results) {
                    results.push(measure(store, policy, count));
                }
            }
            results.iter_mut().for_each(|r| r.sort_by(f64::total_cmp));
            let middle = |of: usize| results[of][runs / 2];
            let cell = |of: usize| {
                let (least, most) = (results[of][0], results[of][runs - 1]);
                format!("{:.0} ({least:.0}–{most:.0})", middle(of))
            };
            println!(
                "| {policy} | {count} | {} | {} | {} | {:.1} | {:.1} |",
                cell(0),
                cell(1),
                cell(2),
                middle(0) / middle(1),
                middle(0) / middle(2)
            );
        }
    }
}

/// How often a second so many threads do something, each again and again. What `make` makes may be tied to its
/// thread's use.
fn rate<F: FnMut() + Send>(count: usize, seconds: f64, make: impl Fn() -> F) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let barrier = Barrier::new(count + 1);
    let elapsed = thread::scope(|scope| {
        for _ in 0..count {
            let mut step = make();
            let (stop, done, barrier) = (&stop, &done, &barrier);
            scope.spawn(move || {
                step();
                barrier.wait();
                while !stop.load(Ordering::Relaxed) {
                    step();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        barrier.wait();
        let began = Instant::now();
        thread::sleep(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        // What is done later does not count.
        let count = done.load(Ordering::Relaxed);
        (count, began.elapsed())
    });
    elapsed.0 as f64 / elapsed.1.as_secs_f64()
}

/// A broker with Titanic aboard, until it is killed.
fn serve(store: &str, policy: &str, folder: &Path) {
    let context = Context::new();
    let mut config = BrokerConfig::new("tcp://127.0.0.1:*");
    config.bind_titanic.push(INSIDE.to_owned());
    let broker = Driver::new(&context, Broker::new(config)).expect("bound");
    let at = broker.bound(FRONT)[0].clone();
    let broker = broker.spawn();
    thread::spawn(move || while broker.recv().is_ok() {});
    let store = stores::open(store, folder, durability(policy));
    let titanic = Server::new(&context, store, ServerConfig::new(INSIDE)).expect("connected");
    loop {
        match titanic.recv().expect("it runs") {
            ServerNote::Stamps(_) => println!("{at}"),
            ServerNote::Broken(why) | ServerNote::Refused(why) => panic!("{why}"),
            _ => {}
        }
    }
}

fn submit(at: &str, count: &str, seconds: &str) {
    let count = count.parse().expect("a number");
    let context = Context::new();
    let rate = rate(count, seconds.parse().expect("seconds"), || {
        // More threads than processors have nothing to gain by waiting awake.
        let options = match count {
            1 => Options::new(),
            _ => Options::new().spin(Duration::ZERO),
        };
        let options = options.linger(Duration::ZERO);
        let req = Req::with_options(&context, options).expect("a socket");
        req.connect(at).expect("connected");
        let head = ["MDPC01", "titanic.request", "nobody"].map(Frame::from);
        let body = Frame::from(vec![b'x'; BODY]);
        let request: Message = head.into_iter().chain([body]).collect();
        move || {
            req.send(request.clone()).expect("sent");
            let reply = req.recv().expect("a reply");
            assert_eq!(reply.frames().nth(2).expect("a status"), "200", "{reply:?}");
        }
    });
    println!("{rate}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn opening(folder: &Path, runs: usize) {
    println!("\nopening the log after a crash, its pages in the system's cache, medians of {runs}");
    println!("| file | requests | in use | read | time |");
    println!("|---|---|---|---|---|");
    for (size, share) in [(16u64, 1), (64, 1), (256, 1), (1024, 1), (1024, 64)] {
        let place = tempfile::tempdir_in(folder).unwrap();
        let path = place.path().join("titanic.log");
        let options = LogOptions {
            size: size << 20,
            durability: Durability::Off,
            ..LogOptions::default()
        };
        let log = Log::open(&path, options).unwrap().0;
        let request = [Frame::from("echo"), Frame::from(vec![b'x'; BODY])];
        let requests = (size << 20) / 2 / share / (BODY as u64 + 128);
        for _ in 0..requests {
            log.submit(Id::random().unwrap(), &request, SystemTime::now())
                .unwrap();
        }
        let bytes = log.usage().bytes;
        drop(log);
        let mut scanned = 0;
        let times = (0..runs).map(|_| {
            let start = Instant::now();
            let (_, recovery) = Log::open(&path, options).unwrap();
            assert_eq!(recovery.pending as u64, requests);
            scanned = recovery.scanned;
            start.elapsed().as_secs_f64() * 1000.0
        });
        let time = median(times.collect());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {size} MiB | {requests} | {:.0} MiB | {:.0} MiB | {time:.1} ms |",
            mib(bytes),
            mib(scanned)
        );
    }
}
