//! A log on a disk that loses power at every kind of moment: what was said to be durable is there afterwards,
//! and nothing else is.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use xebec::Frame;
use xebec_patterns::titanic::{
    Answers, Bounds, Durability, Id, Log, LogOptions, SimulatedDisk, State, Store, StoreError,
    format,
};

const SIZE: u64 = 128 << 10;

/// What a request can be found as.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Absent,
    Pending(Vec<u8>, u16),
    Replied(Vec<u8>),
}

/// What is known of a request: how it was found or acknowledged last, and what became of it since.
#[derive(Debug)]
struct Known {
    durable: Seen,
    since: Vec<Seen>,
}

impl Known {
    fn now(&self) -> &Seen {
        self.since.last().unwrap_or(&self.durable)
    }
}

#[derive(Default)]
struct Model {
    requests: BTreeMap<Id, Known>,
    /// Answers, and whether they are durable.
    answers: BTreeMap<u64, (Vec<u8>, bool)>,
}

fn options(durability: Durability) -> LogOptions {
    LogOptions {
        size: SIZE,
        durability,
        answers: Bounds::default(),
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn body(rng: &mut Rng) -> Vec<u8> {
    let longest = [10, 100, 1000, 6000][rng.usize(..4)];
    let mut body = vec![0; rng.usize(..longest)];
    rng.fill(&mut body);
    body
}

fn frames(body: &[u8]) -> Vec<Frame> {
    // The split is part of what must come back; it follows from the body.
    let at = body.len() / 3;
    vec![
        Frame::from("service"),
        Frame::copy_from_slice(&body[..at]),
        Frame::copy_from_slice(&body[at..]),
    ]
}

fn joined(frames: &[Frame]) -> Vec<u8> {
    assert_eq!(frames[0].as_bytes(), b"service");
    let body: Vec<u8> = frames[1..]
        .iter()
        .flat_map(|frame| frame.as_bytes().to_vec())
        .collect();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[1].len(), body.len() / 3);
    body
}

fn seen(log: &impl Store, id: Id) -> Seen {
    match log.state(id) {
        None => Seen::Absent,
        Some(State::Pending { attempts }) => {
            Seen::Pending(joined(&log.request(id).unwrap()), attempts)
        }
        Some(State::Replied) => Seen::Replied(joined(&log.fetch(id).unwrap())),
        Some(state) => panic!("{id} is {state:?}"),
    }
}

impl Model {
    /// One change of the log, or an attempt that the power cut short.
    fn step(&mut self, log: &Log<SimulatedDisk>, rng: &mut Rng) -> Result<(), StoreError> {
        let known: Vec<Id> = self
            .requests
            .iter()
            .filter(|(_, known)| *known.now() != Seen::Absent)
            .map(|(id, _)| *id)
            .collect();
        let kind = rng.u8(..20);
        if known.is_empty() || kind < 7 {
            let id = Id::from_random(std::array::from_fn(|_| rng.u8(..)));
            let body = body(rng);
            let result = log.submit(id, &frames(&body), now());
            if !matches!(result, Err(StoreError::Full { .. })) {
                let known = Known {
                    durable: Seen::Absent,
                    since: vec![Seen::Pending(body, 0)],
                };
                self.requests.insert(id, known);
            }
            return result.map(drop);
        }
        let id = known[rng.usize(..known.len())];
        let known = self.requests.get_mut(&id).unwrap();
        let before = known.now().clone();
        let result = match (kind, before) {
            (7..9, Seen::Pending(body, attempts)) => {
                known.since.push(Seen::Pending(body, attempts + 1));
                log.dispatched(id)
            }
            (9..13, Seen::Pending(..)) => {
                let body = body(rng);
                let result = log.reply(id, &frames(&body));
                if !matches!(result, Err(StoreError::Full { .. })) {
                    known.since.push(Seen::Replied(body));
                }
                result
            }
            (13..16, _) => {
                known.since.push(Seen::Absent);
                log.close(id)
            }
            (16, _) => {
                let (number, body) = (rng.u64(..30), vec![rng.u8(..); rng.usize(..60)]);
                let first = self.answers.entry(number).or_insert((body.clone(), false));
                let result = log.keep(b"client", number, &[Frame::from(body.clone())], now());
                if matches!(result, Err(StoreError::Full { .. })) && !first.1 && first.0 == body {
                    self.answers.remove(&number);
                }
                result
            }
            (17.., _) => return self.sync(log),
            _ => return Ok(()),
        };
        result.map(drop)
    }

    fn sync(&mut self, log: &Log<SimulatedDisk>) -> Result<(), StoreError> {
        let mark = log.close(Id([0; 16]))?;
        log.sync(mark)?;
        self.acknowledge();
        Ok(())
    }

    fn acknowledge(&mut self) {
        for known in self.requests.values_mut() {
            known.durable = known.now().clone();
            known.since.clear();
        }
        self.answers
            .values_mut()
            .for_each(|(_, durable)| *durable = true);
    }

    /// Compares what a recovery found with what it may find. What it found is durable now.
    fn check(&mut self, log: &Log<SimulatedDisk>) {
        for listed in log.list() {
            assert!(
                self.requests.contains_key(&listed.id),
                "{} is nobody's",
                listed.id
            );
            assert_eq!(listed.at, now());
        }
        for (id, known) in &mut self.requests {
            let found = seen(log, *id);
            let possible = found == known.durable || known.since.contains(&found);
            assert!(possible, "{id} is {found:?} and should be {known:?}");
            known.durable = found;
            known.since.clear();
        }
        self.answers.retain(|number, (body, durable)| {
            let answer = log.answered(b"client", *number, now()).unwrap();
            match answer {
                Some(frames) => assert_eq!(frames[0].as_bytes(), &body[..]),
                None => assert!(!*durable, "answer {number} is lost"),
            }
            *durable = true;
            log.answered(b"client", *number, now()).unwrap().is_some()
        });
    }
}

/// What happened in all lives together: a test that never met something did not test it.
#[derive(Default)]
struct Met {
    moved: u64,
    torn: u64,
    full: u64,
    laps: u64,
}

/// Several lives of a log, each ended by a loss of power.
fn lives(seed: u64, durability: Durability, met: &mut Met) {
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut disk = SimulatedDisk::new(SIZE, rng.u64(..));
    format(&disk).unwrap();
    let mut model = Model::default();
    for _ in 0..4 {
        // Sometimes while it is being opened.
        let during = rng.u8(..8) == 0;
        if during {
            disk.fail_after(rng.u64(..4));
        }
        let disk_again = match Log::on(disk, options(durability)) {
            Ok((log, recovery)) => {
                assert_eq!(recovery.damages, [], "{recovery:?}");
                met.torn += u64::from(recovery.torn > 0);
                model.check(&log);
                log.with_disk(|disk| disk.fail_after(rng.u64(..200)));
                let mut full = 0;
                loop {
                    match model.step(&log, &mut rng) {
                        Ok(()) => {}
                        Err(StoreError::Full { .. }) => full += 1,
                        Err(StoreError::Io(_) | StoreError::Failed(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                    // A full log may have nothing to write, and nobody in the model cleans up.
                    if full > 100 {
                        break;
                    }
                }
                met.full += full;
                met.moved += log.work().moved;
                met.laps += u64::from(log.durable().0 > SIZE);
                log.with_disk(SimulatedDisk::restart)
            }
            Err(error) => {
                assert!(during, "{error}");
                return;
            }
        };
        disk = disk_again;
    }
    let (log, recovery) = Log::on(disk, options(durability)).unwrap();
    assert_eq!(recovery.damages, []);
    model.check(&log);
    // It works as any other.
    let id = Id::from_random([7; 16]);
    for known in log.list() {
        log.close(known.id).unwrap();
    }
    let mark = log.submit(id, &frames(&[1; 1000]), now()).unwrap();
    log.sync(mark).unwrap();
    assert_eq!(log.list().len(), 1);
}

#[test]
fn what_was_acknowledged_survives_every_loss_of_power() {
    let mut met = Met::default();
    for seed in 0..2000 {
        lives(seed, Durability::Each, &mut met);
    }
    assert!(met.moved > 0 && met.torn > 0 && met.full > 0 && met.laps > 0);
}

/// Without syncs a loss of power may take anything but the log's structure, and invents nothing. The end
/// of the process takes nothing.
#[test]
fn without_syncs_the_end_of_the_process_loses_nothing() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let mut disk = SimulatedDisk::new(SIZE, seed);
        format(&disk).unwrap();
        let mut model = Model::default();
        for _ in 0..3 {
            let (log, recovery) = Log::on(disk, options(Durability::Off)).unwrap();
            assert_eq!((recovery.torn, &recovery.damages[..]), (0, &[][..]));
            model.check(&log);
            for _ in 0..rng.usize(..300) {
                match model.step(&log, &mut rng) {
                    Ok(()) | Err(StoreError::Full { .. }) => model.acknowledge(),
                    Err(error) => panic!("{error}"),
                }
            }
            // All that was written is in the system's memory.
            disk = SimulatedDisk::with(log.with_disk(SimulatedDisk::contents), seed);
            let lost = log.with_disk(SimulatedDisk::restart);
            let (log, _) = Log::on(lost, options(Durability::Off)).unwrap();
            for listed in log.list() {
                assert!(model.requests.contains_key(&listed.id));
            }
        }
    }
}
