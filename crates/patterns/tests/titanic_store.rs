//! What both engines of a store do, and what the log does besides: it wraps around, makes room, shares
//! syncs, tells what is damaged and lets nobody else in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io, thread};

use fastrand::Rng;
use xebec::Frame;
use xebec_patterns::titanic::{
    Answers, Bounds, Disk, Durability, FileDisk, Id, Listed, Log, LogOptions, Lost, MemoryLimits,
    MemoryStore, OpenError, SimulatedDisk, State, Store, StoreError, format,
};

const SIZE: u64 = 1 << 20;

fn options() -> LogOptions {
    LogOptions {
        size: SIZE,
        ..LogOptions::default()
    }
}

fn fresh() -> SimulatedDisk {
    let disk = SimulatedDisk::new(SIZE, 1);
    format(&disk).unwrap();
    disk
}

fn log() -> Log<SimulatedDisk> {
    Log::on(fresh(), options()).unwrap().0
}

fn memory() -> MemoryStore {
    MemoryStore::new(MemoryLimits {
        count: 1000,
        bytes: SIZE,
    })
}

fn id(number: u64) -> Id {
    Id(((u128::from(number) << 64) | 0x4000_8000).to_be_bytes())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_234_567_890_123)
}

fn text(frames: &[Frame]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| frame.to_string_lossy().into_owned())
        .collect()
}

fn request(body: &str) -> [Frame; 3] {
    [Frame::from("echo"), Frame::new(), Frame::from(body)]
}

/// One line a case: the same body for each engine.
macro_rules! for_each_engine {
    ($($name:ident),*) => {
        mod in_memory { $(#[test] fn $name() { super::$name(super::memory()); })* }
        mod in_the_log { $(#[test] fn $name() { super::$name(super::log()); })* }
    };
}

for_each_engine!(
    what_is_abandoned_stays_so,
    a_request_lives_until_it_is_closed,
    a_full_store_recovers,
    the_oldest_is_listed_first
);

fn a_request_lives_until_it_is_closed(store: impl Store) {
    store.submit(id(1), &request("hello"), now()).unwrap();
    assert!(matches!(
        store.submit(id(1), &request("again"), now()),
        Err(StoreError::Exists)
    ));
    assert_eq!(store.state(id(1)), Some(State::Pending { attempts: 0 }));
    assert_eq!(text(&store.request(id(1)).unwrap()), ["echo", "", "hello"]);
    assert!(matches!(store.fetch(id(1)), Err(StoreError::Unknown)));
    store.dispatched(id(1)).unwrap();
    store.dispatched(id(1)).unwrap();
    assert_eq!(store.state(id(1)), Some(State::Pending { attempts: 2 }));
    store.reply(id(1), &[Frame::from("hi")]).unwrap();
    store.reply(id(1), &[Frame::from("late")]).unwrap();
    assert_eq!(store.state(id(1)), Some(State::Replied));
    assert_eq!(text(&store.fetch(id(1)).unwrap()), ["hi"]);
    assert!(matches!(store.request(id(1)), Err(StoreError::Unknown)));
    assert!(matches!(store.dispatched(id(1)), Err(StoreError::Unknown)));
    store.close(id(1)).unwrap();
    let mark = store.close(id(1)).unwrap();
    store.sync(mark).unwrap();
    assert!(store.durable() >= mark);
    assert_eq!(store.state(id(1)), None);
    assert!(
        matches!(store.reply(id(1), &[]), Err(StoreError::Unknown)),
        "a late reply"
    );
    assert!(matches!(store.fetch(id(2)), Err(StoreError::Unknown)));
    assert_eq!((store.usage().bytes, store.usage().pending), (0, 0));
}

fn what_is_abandoned_stays_so(store: impl Store) {
    store.submit(id(1), &request("in vain"), now()).unwrap();
    store.abandon(id(1)).unwrap();
    assert_eq!(store.state(id(1)), Some(State::Abandoned));
    assert!(matches!(store.request(id(1)), Err(StoreError::Unknown)));
    assert!(matches!(store.fetch(id(1)), Err(StoreError::Unknown)));
    assert!(matches!(store.abandon(id(1)), Err(StoreError::Unknown)));
    assert_eq!((store.usage().pending, store.usage().damaged), (0, 1));
    store.close(id(1)).unwrap();
    assert_eq!((store.usage().damaged, store.usage().bytes), (0, 0));
}

fn a_full_store_recovers(store: impl Store) {
    let body = "x".repeat(20_000);
    for round in 0..20 {
        let mut count = 0;
        let error = loop {
            match store.submit(id(round << 32 | count), &request(&body), now()) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("is full"), "{error}");
        let usage = store.usage();
        assert!(count >= 30 && usage.refused > 0 && usage.bytes + 20_200 > usage.capacity);
        // What was accepted can still be replied to, and all but a few closed.
        for number in 0..count {
            store
                .reply(id(round << 32 | number), &[Frame::from(body.as_str())])
                .unwrap();
        }
        for number in 0..count {
            store.close(id(round << 32 | number)).unwrap();
        }
        assert_eq!(store.usage().bytes, 0);
    }
    let huge = "x".repeat(2 << 20);
    let error = store.submit(id(1), &request(&huge), now()).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
}

fn the_oldest_is_listed_first(store: impl Store) {
    for number in [5, 3, 4] {
        let at = now() + Duration::from_millis(10 - number);
        store.submit(id(number), &request(""), at).unwrap();
    }
    store.reply(id(4), &[]).unwrap();
    let listed: Vec<_> = store
        .list()
        .into_iter()
        .map(|Listed { id, state, .. }| (id, state))
        .collect();
    let pending = State::Pending { attempts: 0 };
    // The clock went back after the first.
    let by_time = [(id(5), pending), (id(4), State::Replied), (id(3), pending)];
    let by_arrival = [(id(5), pending), (id(3), pending), (id(4), State::Replied)];
    assert!(listed == by_time || listed == by_arrival, "{listed:?}");
    assert_eq!(store.usage().pending, 2);
}

#[test]
fn a_request_that_nobody_closes_does_not_stop_the_ring() {
    let log = log();
    let body = "b".repeat(5000);
    log.submit(id(0), &request("old"), now()).unwrap();
    log.dispatched(id(0)).unwrap();
    log.submit(id(1), &request("answered"), now()).unwrap();
    log.reply(id(1), &[Frame::from("old reply")]).unwrap();
    for number in 2..2000 {
        log.submit(id(number), &request(&body), now()).unwrap();
        log.reply(id(number), &[Frame::from("done")]).unwrap();
        log.close(id(number)).unwrap();
    }
    let mark = log.close(id(9999)).unwrap();
    log.sync(mark).unwrap();
    let work = log.work();
    assert!(
        work.written > 9 * SIZE && work.moved < SIZE / 100,
        "{work:?}"
    );
    let check = |log: &Log<SimulatedDisk>| {
        assert_eq!(log.list().len(), 2);
        assert_eq!(text(&log.request(id(0)).unwrap()), ["echo", "", "old"]);
        assert_eq!(log.state(id(0)), Some(State::Pending { attempts: 1 }));
        assert_eq!(text(&log.fetch(id(1)).unwrap()), ["old reply"]);
    };
    check(&log);
    check(
        &Log::on(log.with_disk(SimulatedDisk::restart), options())
            .unwrap()
            .0,
    );
}

#[test]
fn what_is_abandoned_is_not_called_damaged_later() {
    let log = log();
    log.submit(id(1), &request("in vain"), now()).unwrap();
    let mark = log.abandon(id(1)).unwrap();
    log.sync(mark).unwrap();
    let log = Log::on(log.with_disk(SimulatedDisk::restart), options())
        .unwrap()
        .0;
    assert_eq!(log.state(id(1)), Some(State::Abandoned));
}

#[test]
fn answers_outlive_the_process_within_their_bounds() {
    let bounds = Bounds {
        count: 100,
        bytes: 1 << 20,
        age: Duration::from_secs(60),
    };
    let options = LogOptions {
        answers: bounds,
        ..options()
    };
    let log = Log::on(fresh(), options).unwrap().0;
    let body = "a".repeat(1000);
    for number in 0..5000 {
        let answer = [Frame::from(number.to_string()), Frame::from(body.as_str())];
        let mark = log.keep(b"client", number, &answer, now()).unwrap();
        log.keep(b"client", number, &[], now()).unwrap();
        log.settle(mark).unwrap();
    }
    let again = Log::on(log.with_disk(SimulatedDisk::restart), options).unwrap();
    assert_eq!(again.1.answers, 100);
    let log = again.0;
    for number in [4900, 4999] {
        let answer = log.answered(b"client", number, now()).unwrap().unwrap();
        assert_eq!(text(&answer), [number.to_string(), body.clone()]);
        let later = now() + Duration::from_secs(61);
        assert!(log.answered(b"client", number, later).unwrap().is_none());
    }
    assert!(log.answered(b"client", 4899, now()).unwrap().is_none());
    assert!(log.answered(b"another", 4999, now()).unwrap().is_none());
    assert!(matches!(
        log.keep(&[0; 256], 0, &[], now()),
        Err(StoreError::TooLarge { .. })
    ));
}

/// Each damage is told with what it cost, once, and costs nothing else.
#[test]
fn damage_is_reported_and_isolated() {
    let disk = Arc::new(fresh());
    let log = Log::on(disk.clone(), options()).unwrap().0;
    for number in 0..30 {
        let body = format!("request {number} {}", "r".repeat(300));
        log.submit(id(number), &request(&body), now()).unwrap();
    }
    for number in 0..10 {
        let body = format!("reply {number} {}", "p".repeat(300));
        log.reply(id(number), &[Frame::from(body)]).unwrap();
    }
    log.reply(id(15), &[Frame::from("reply 15")]).unwrap();
    log.end().unwrap();
    let mut contents = disk.contents();
    let place = |contents: &[u8], what: &str| {
        contents
            .windows(what.len())
            .position(|bytes| bytes == what.as_bytes())
            .unwrap()
    };
    // The body of a request, that of a reply, the header of a request, and a request that has its reply.
    for what in ["request 20 ", "reply 3 ", "request 15 "] {
        let at = place(&contents, what);
        contents[at] ^= 0x40;
    }
    let header = place(&contents, "request 25 ") / 64 * 64 - 64;
    contents[header + 30] ^= 1;

    let (log, recovery) = Log::on(SimulatedDisk::with(contents, 1), options()).unwrap();
    let lost: Vec<_> = recovery.damages.iter().map(|damage| damage.lost).collect();
    assert_eq!(
        lost,
        [
            Lost::Nothing,
            Lost::Request(id(20)),
            Lost::Unknown,
            Lost::Reply(id(3))
        ]
    );
    assert_eq!(
        (recovery.pending, recovery.replied, recovery.torn),
        (17, 10, 0)
    );
    assert!(
        recovery.damages[1]
            .to_string()
            .contains("request 0000000000000014")
    );
    let check = |log: &Log<SimulatedDisk>| {
        for number in 0..30 {
            let (state, id) = (log.state(id(number)), id(number));
            match number {
                25 => assert_eq!(state, None),
                3 | 20 => {
                    assert_eq!(state, Some(State::Damaged));
                    assert!(matches!(log.request(id), Err(StoreError::Damaged)));
                    assert!(matches!(log.fetch(id), Err(StoreError::Damaged)));
                }
                0..10 | 15 => assert!(
                    log.fetch(id).unwrap()[0]
                        .to_string_lossy()
                        .starts_with("reply")
                ),
                _ => assert_eq!(log.request(id).unwrap().len(), 3),
            }
        }
    };
    check(&log);
    let (log, recovery) = Log::on(log.with_disk(SimulatedDisk::restart), options()).unwrap();
    assert_eq!(recovery.damages, [], "they are told once");
    check(&log);
    log.close(id(3)).unwrap();
    log.close(id(20)).unwrap();
    assert_eq!(log.usage().damaged, 0);
}

/// Any damage whatever: nothing panics, what is told to be whole is.
#[test]
fn whatever_goes_bad_the_rest_is_kept() {
    for seed in 0..500 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let disk = Arc::new(fresh());
        let log = Log::on(disk.clone(), options()).unwrap().0;
        let body = |number: u64| format!("{number} {}", "x".repeat(number as usize * 37 % 700));
        for number in 0..100 {
            log.submit(id(number), &request(&body(number)), now())
                .unwrap();
        }
        let mark = log.close(id(0)).unwrap();
        log.sync(mark).unwrap();
        // Only what comes after something tells that it was durable.
        log.submit(id(100), &request("last"), now()).unwrap();
        drop(log);
        let mut contents = disk.contents();
        let used = 8192..8192 + mark.0 as usize;
        for _ in 0..rng.usize(1..4) {
            let (from, len) = (rng.usize(used.clone()), rng.usize(1..3000));
            let len = len.min(used.end - from);
            match rng.u8(..3) {
                0 => contents[from] ^= 1 << rng.u8(..8),
                1 => contents[from..from + len].fill(0),
                _ => rng.fill(&mut contents[from..from + len]),
            }
        }
        let (log, recovery) = Log::on(SimulatedDisk::with(contents, seed), options()).unwrap();
        let mut missing = 0;
        for number in 1..100 {
            match log.state(id(number)) {
                Some(State::Pending { .. }) => {
                    let frames = log.request(id(number)).unwrap();
                    assert_eq!(frames[2].as_bytes(), body(number).as_bytes());
                }
                Some(State::Damaged) => missing += 1,
                None => missing += 1,
                state => panic!("{state:?}"),
            }
        }
        assert!(missing < 40, "{missing}");
        assert!(missing == 0 || !recovery.damages.is_empty());
    }
}

/// The head page has two copies, and either is enough.
#[test]
fn a_bad_copy_of_the_head_costs_nothing() {
    for copy in [0, 4096] {
        for syncs in (0..200).step_by(7) {
            let disk = Arc::new(fresh());
            let log = Log::on(disk.clone(), options()).unwrap().0;
            for number in 0..=syncs {
                let body = "x".repeat(10_000);
                log.submit(id(number), &request(&body), now()).unwrap();
                let mark = log.close(id(number)).unwrap();
                log.sync(mark).unwrap();
            }
            let mark = log.submit(id(999), &request("kept"), now()).unwrap();
            log.sync(mark).unwrap();
            let mut contents = disk.contents();
            contents[copy + 20] ^= 1;
            let (log, _) = Log::on(SimulatedDisk::with(contents, 1), options()).unwrap();
            assert_eq!(text(&log.request(id(999)).unwrap()), ["echo", "", "kept"]);
            assert_eq!(log.list().len(), 1, "copy {copy}, {syncs} syncs");
        }
    }
}

/// What a client sends does not become a record, wherever reading goes on after damage.
#[test]
fn a_record_inside_a_body_is_not_one() {
    let disk = Arc::new(fresh());
    let log = Log::on(disk.clone(), options()).unwrap().0;
    log.submit(id(1), &request("inner"), now()).unwrap();
    let record = disk.contents()[8192..8192 + 128].to_vec();
    log.submit(
        id(2),
        &[Frame::copy_from_slice(&record), Frame::from(vec![0; 100])],
        now(),
    )
    .unwrap();
    log.end().unwrap();
    let mut contents = disk.contents();
    contents[8192] ^= 1;
    contents[8192 + 128] ^= 1;
    let (log, recovery) = Log::on(SimulatedDisk::with(contents, 1), options()).unwrap();
    assert_eq!(log.list(), []);
    assert_eq!(recovery.damages.len(), 1);
}

/// A disk that counts syncs and makes each of them wait for company.
struct Slow {
    disk: SimulatedDisk,
    syncs: AtomicU64,
}

impl Disk for Slow {
    fn size(&self) -> io::Result<u64> {
        self.disk.size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
        self.disk.sync()
    }
}

#[test]
fn those_who_wait_share_a_sync() {
    for durability in [
        Durability::Each,
        Durability::Every(Duration::from_millis(1)),
    ] {
        let slow = Slow {
            disk: fresh(),
            syncs: AtomicU64::new(0),
        };
        let log = Log::on(
            slow,
            LogOptions {
                durability,
                ..options()
            },
        )
        .unwrap()
        .0;
        log.with_disk(|slow| slow.syncs.store(0, Ordering::Relaxed));
        thread::scope(|scope| {
            for thread in 0..16 {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..20 {
                        let id = id(thread << 32 | number);
                        let mark = log.submit(id, &request("shared"), now()).unwrap();
                        log.sync(mark).unwrap();
                        assert!(log.durable() >= mark);
                    }
                });
            }
        });
        let syncs = log.with_disk(|slow| slow.syncs.load(Ordering::Relaxed));
        assert!(
            (20..=160).contains(&syncs),
            "{syncs} syncs for 320 changes, {durability:?}"
        );
        assert_eq!(log.list().len(), 320);
    }
}

#[test]
fn a_disk_that_failed_is_told_to_everybody() {
    let log = log();
    let mark = log.submit(id(1), &request("kept"), now()).unwrap();
    log.sync(mark).unwrap();
    let mark = log.submit(id(2), &request("perhaps"), now()).unwrap();
    log.with_disk(|disk| disk.fail_after(0));
    assert!(matches!(log.sync(mark), Err(StoreError::Failed(_))));
    let error = log.submit(id(3), &request("refused"), now()).unwrap_err();
    assert!(error.to_string().contains("takes no changes"), "{error}");
    assert!(matches!(log.close(id(1)), Err(StoreError::Failed(_))));
    assert!(matches!(log.sync(mark), Err(StoreError::Failed(_))));
}

#[test]
fn a_file_is_created_kept_and_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("titanic.log");
    let (log, recovery) = Log::open(&path, options()).unwrap();
    assert_eq!(recovery.scanned, 0);
    assert!(matches!(Log::open(&path, options()), Err(OpenError::InUse)));
    log.submit(id(1), &request("hello"), now()).unwrap();
    log.end().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), SIZE);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left of the making"
    );
    let (log, recovery) = Log::open(&path, options()).unwrap();
    assert_eq!(
        (recovery.pending, recovery.scanned),
        (1, 128),
        "not more than there is"
    );
    let Listed { at, bytes, .. } = log.list()[0];
    assert_eq!((at, bytes), (now(), 128));
    drop(log);

    let larger = LogOptions {
        size: SIZE + 64,
        ..options()
    };
    let error = Log::open(&path, larger).unwrap_err();
    assert!(
        matches!(error, OpenError::Size { found: SIZE, .. }),
        "{error}"
    );
    let small = LogOptions {
        size: 1000,
        ..options()
    };
    assert!(matches!(
        Log::open(&path, small),
        Err(OpenError::TooSmall(1000))
    ));

    let mut contents = fs::read(&path).unwrap();
    // The version, in both copies.
    (contents[8], contents[4096 + 8]) = (9, 9);
    fs::write(&path, &contents).unwrap();
    assert!(matches!(
        Log::open(&path, options()),
        Err(OpenError::Version(9))
    ));
    contents[..8192].fill(0);
    fs::write(&path, &contents).unwrap();
    assert!(matches!(
        Log::open(&path, options()),
        Err(OpenError::Foreign)
    ));
    fs::write(&path, b"short").unwrap();
    assert!(matches!(
        Log::open(&path, options()),
        Err(OpenError::Foreign)
    ));
    let nowhere = folder.path().join("missing").join("titanic.log");
    assert!(matches!(
        Log::open(&nowhere, options()),
        Err(OpenError::Io(_))
    ));
}

/// A crash while the file is made leaves something under another name, which the next attempt replaces.
#[test]
fn a_file_that_was_half_made_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("titanic.log");
    fs::write(folder.path().join("titanic.log.new"), vec![7; 3 << 20]).unwrap();
    let failed = FileDisk::create(&path, SIZE, |_| Err(io::Error::other("crash")));
    assert!(failed.is_err() && !path.exists());
    let (log, _) = Log::open(&path, options()).unwrap();
    assert_eq!(log.list(), []);
    let again = FileDisk::create(&path, SIZE, |_| Ok(())).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

/// Opening reads what is in use and what may follow it, not the file.
#[test]
fn opening_reads_what_is_in_use() {
    let size = 64 << 20;
    let options = LogOptions { size, ..options() };
    let disk = SimulatedDisk::new(size, 1);
    format(&disk).unwrap();
    let log = Log::on(disk, options).unwrap().0;
    for number in 0..10 {
        log.submit(id(number), &request("small"), now()).unwrap();
    }
    let mark = log.close(id(0)).unwrap();
    log.sync(mark).unwrap();
    let (_, recovery) = Log::on(log.with_disk(SimulatedDisk::restart), options).unwrap();
    assert!(
        recovery.scanned <= size / 4 + (1 << 20),
        "{} bytes",
        recovery.scanned
    );
}
