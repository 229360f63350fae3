//! Durable requests per second: the log of Titanic, redb, and one file per message as the Guide has it, in turn
//! in the same run and with the same policy of syncing; then the time to open the log after a crash.
//!
//! `cargo run --release -p xebec-patterns --example titanic_log_bench [FOLDER] [SECONDS] [RUNS] [rates|opening]`
//!
//! Each appender stores a request of 1 KiB, waits until it is durable, and closes it; the closing becomes
//! durable with the next request. Appenders of redb and of files share their syncs as those of the
//! log do: whoever comes first commits for all who wait.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

use parking_lot::{Condvar, Mutex};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use xebec::Frame;
use xebec_patterns::titanic::{Durability, Id, Log, LogOptions, Store};

const BODY: usize = 1024;

/// Something that stores requests.
trait Engine: Sync {
    /// Returns when the request is durable. `done` is one that is not needed any more.
    fn store(&self, id: Id, body: &[u8], done: Option<Id>);
}

struct OurLog(Log);

impl Engine for OurLog {
    fn store(&self, id: Id, body: &[u8], done: Option<Id>) {
        if let Some(done) = done {
            self.0.close(done).unwrap();
        }
        let request = [Frame::from("echo"), Frame::copy_from_slice(body)];
        let mark = self.0.submit(id, &request, SystemTime::now()).unwrap();
        self.0.sync(mark).unwrap();
    }
}

type Item = (Id, Vec<u8>, Option<Id>);

/// Lets those who wait share one commit.
struct Grouped<F> {
    queue: Mutex<Queue>,
    committed: Condvar,
    interval: Duration,
    commit: F,
}

#[derive(Default)]
struct Queue {
    items: Vec<Item>,
    appended: u64,
    done: u64,
    busy: bool,
    since: Option<Instant>,
}

impl<F: Fn(Vec<Item>) + Sync> Engine for Grouped<F> {
    fn store(&self, id: Id, body: &[u8], done: Option<Id>) {
        let mut queue = self.queue.lock();
        queue.items.push((id, body.to_vec(), done));
        queue.appended += 1;
        let mine = queue.appended;
        let due = *queue.since.get_or_insert_with(Instant::now) + self.interval;
        while queue.done < mine {
            if queue.busy {
                self.committed.wait(&mut queue);
            } else if Instant::now() < due {
                self.committed.wait_until(&mut queue, due);
            } else {
                queue.busy = true;
                let (items, appended) = (std::mem::take(&mut queue.items), queue.appended);
                queue.since = None;
                parking_lot::MutexGuard::unlocked(&mut queue, || (self.commit)(items));
                queue.busy = false;
                queue.done = appended;
                self.committed.notify_all();
            }
        }
    }
}

const TABLE: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("requests");

fn redb(folder: &Path, durability: Durability) -> impl Engine {
    let database = Database::create(folder.join("requests.redb")).unwrap();
    grouped(durability, move |items| {
        let mut transaction = database.begin_write().unwrap();
        if durability == Durability::Off {
            transaction.set_durability(redb::Durability::None).unwrap();
        }
        {
            let mut table = transaction.open_table(TABLE).unwrap();
            for (id, body, done) in items {
                if let Some(done) = done {
                    table.remove(done.0).unwrap();
                }
                table.insert(id.0, &body[..]).unwrap();
            }
        }
        transaction.commit().unwrap();
        debug_assert!(
            database
                .begin_read()
                .unwrap()
                .open_table(TABLE)
                .unwrap()
                .len()
                .unwrap()
                > 0
        );
    })
}

fn files(folder: &Path, durability: Durability) -> impl Engine {
    let folder: PathBuf = folder.to_owned();
    let directory = File::open(&folder).unwrap();
    grouped(durability, move |items| {
        for (id, body, done) in items {
            if let Some(done) = done {
                fs::remove_file(folder.join(format!("{done}.req"))).unwrap();
            }
            let path = folder.join(format!("{id}.req"));
            fs::write(&path, body).unwrap();
            if durability != Durability::Off {
                File::open(&path).unwrap().sync_data().unwrap();
            }
        }
        if durability != Durability::Off {
            directory.sync_all().unwrap();
        }
    })
}

fn grouped<F: Fn(Vec<Item>) + Sync>(durability: Durability, commit: F) -> Grouped<F> {
    Grouped {
        queue: Mutex::default(),
        committed: Condvar::new(),
        interval: match durability {
            Durability::Every(interval) => interval,
            _ => Duration::ZERO,
        },
        commit,
    }
}

/// Requests per second.
fn rate(engine: &impl Engine, appenders: u64, time: Duration) -> f64 {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..appenders {
            scope.spawn(|| {
                let body = vec![b'x'; BODY];
                let mut last = None;
                while !stop.load(Ordering::Relaxed) {
                    let id = Id::random().unwrap();
                    engine.store(id, &body, last.replace(id));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    count.into_inner() as f64 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn options(size: u64, durability: Durability) -> LogOptions {
    LogOptions {
        size,
        durability,
        ..LogOptions::default()
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    let seconds = arguments
        .next()
        .map_or(1.0, |text| text.parse().expect("seconds"));
    let runs = arguments
        .next()
        .map_or(3, |text| text.parse().expect("a number of runs"));
    let part = arguments.next();
    if part.as_deref() != Some("opening") {
        rates(&folder, Duration::from_secs_f64(seconds), runs);
    }
    if part.as_deref() != Some("rates") {
        opening(&folder, runs);
    }
}

fn rates(folder: &Path, time: Duration, runs: usize) {
    let seconds = time.as_secs_f64();
    println!("durable requests of {BODY} B per second, medians of {runs} runs of {seconds} s");
    println!("| sync | appenders | log | redb | file per message | log : redb | log : files |");
    println!("|---|---|---|---|---|---|---|");
    let every = Durability::Every(Duration::from_millis(10));
    for (durability, appenders) in [
        (Durability::Each, 1),
        (Durability::Each, 16),
        (Durability::Each, 64),
        (every, 64),
        (Durability::Off, 1),
        (Durability::Off, 16),
    ] {
        let mut results = [vec![], vec![], vec![]];
        for _ in 0..runs {
            let place = tempfile::tempdir_in(folder).unwrap();
            let options = options(64 << 20, durability);
            let log = Log::open(&place.path().join("titanic.log"), options)
                .unwrap()
                .0;
            results[0].push(rate(&OurLog(log), appenders, time));
            results[1].push(rate(&redb(place.path(), durability), appenders, time));
            let sub = place.path().join("files");
            fs::create_dir(&sub).unwrap();
            results[2].push(rate(&files(&sub, durability), appenders, time));
        }
        let [log, redb, files] = results.map(median);
        let (by_redb, by_files) = (log / redb, log / files);
        println!(
            "| {durability:?} | {appenders} | {log:.0} | {redb:.0} | {files:.0} | {by_redb:.1} | {by_files:.1} |"
        );
    }
}

fn opening(folder: &Path, runs: usize) {
    println!("\nopening the log after a crash, its pages in the system's cache, medians of {runs}");
    println!("| file | requests | in use | read | time |");
    println!("|---|---|---|---|---|");
    for (size, share) in [(16u64, 1), (64, 1), (256, 1), (1024, 1), (1024, 64)] {
        let place = tempfile::tempdir_in(folder).unwrap();
        let path = place.path().join("titanic.log");
        let options = options(size << 20, Durability::Off);
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
