//! The services of RFC 9 and their asynchronous client: what each answer means, queues that do not
//! delay each other, a store that is full, and losses of power between any two steps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use xebec::Frame;
use xebec_patterns::titanic::{
    Answered, Ask, ClientOptions, Durability, Failure, Id, Log, LogOptions, Mark, MemoryLimits,
    MemoryStore, Outcome, Service, SimulatedDisk, State, Store, StoreError, Tell, Titanic,
    TitanicClient, TitanicOptions, Told, Wanted, format,
};
use xebec_patterns::{Action, Actions, Backoff, Event, Machine, Time};

/// UUIDs that are no secret.
fn ids() -> impl FnMut() -> Id + Send {
    let mut rng = Rng::with_seed(42);
    move || Id::from_random(std::array::from_fn(|_| rng.u8(..)))
}

fn frames(texts: &[&str]) -> Vec<Frame> {
    texts.iter().map(|text| Frame::from(*text)).collect()
}

fn texts(frames: &[Frame]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| frame.to_string_lossy().into_owned())
        .collect()
}

/// A Titanic whose every step is told by hand.
struct Hand<S> {
    titanic: Titanic<S>,
    now: Time,
    ticket: u64,
}

impl<S: Store> Hand<S> {
    fn new(store: Arc<S>, options: TitanicOptions) -> Self {
        let mut hand = Hand {
            titanic: Titanic::new(store, options, ids(), 1),
            now: Time::ZERO,
            ticket: 0,
        };
        assert!(
            !hand
                .tell(Event::Start)
                .iter()
                .any(|tell| matches!(tell, Tell::Answer { .. }))
        );
        hand
    }

    fn tell(&mut self, event: Event<Told>) -> Vec<Tell> {
        let mut actions = Actions::new();
        self.titanic.handle(event, self.now, &mut actions);
        let tell = |action| match action {
            Action::Deliver(tell) => tell,
            action => panic!("{action:?}"),
        };
        actions.drain().map(tell).collect()
    }

    fn ask(&mut self, service: Service, texts: &[&str]) -> Vec<Tell> {
        self.ticket += 1;
        let (ticket, frames) = (self.ticket, frames(texts));
        self.tell(Event::Command(Told::Asked {
            ticket,
            service,
            frames,
        }))
    }

    /// Asks and expects the answer at once.
    fn answer(&mut self, service: Service, texts: &[&str]) -> Vec<String> {
        let tells = self.ask(service, texts);
        let mut answers = tells.iter().filter_map(|tell| match tell {
            Tell::Answer { ticket, frames } if *ticket == self.ticket => Some(self::texts(frames)),
            _ => None,
        });
        answers.next().unwrap_or_else(|| panic!("{tells:?}"))
    }

    fn called(&mut self, id: Id, outcome: Outcome) -> Vec<Tell> {
        self.tell(Event::Command(Told::Called { id, outcome }))
    }

    /// Lets time pass until the machine is due.
    fn due(&mut self) -> Vec<Tell> {
        self.now = self
            .titanic
            .due()
            .expect("it waits for something")
            .max(self.now);
        self.tell(Event::Due)
    }
}

fn in_memory(bytes: u64) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryLimits { count: 1000, bytes }))
}

fn calls(tells: &[Tell]) -> Vec<Id> {
    let call = |tell: &Tell| match tell {
        Tell::Call { id, .. } => Some(*id),
        _ => None,
    };
    tells.iter().filter_map(call).collect()
}

#[test]
fn however_many_services_are_slow_there_is_room_for_another() {
    let options = TitanicOptions {
        calls: 4,
        calls_in_all: 4,
        ..TitanicOptions::default()
    };
    let mut hand = Hand::new(in_memory(1 << 20), options);
    let ask = |hand: &mut Hand<_>, service, count| -> Vec<Id> {
        let asked = (0..count).flat_map(|_| calls(&hand.ask(Service::Request, &[service, "x"])));
        asked.collect()
    };
    let slow = ask(&mut hand, "slow", 9);
    assert_eq!(slow.len(), 2, "no more than are free");
    assert_eq!(ask(&mut hand, "slower", 9).len(), 1);
    let fast = ask(&mut hand, "fast", 2);
    assert_eq!(fast.len(), 1);
    let next = calls(&hand.called(fast[0], Outcome::Reply(frames(&["y"]))));
    assert_eq!(next.len(), 1, "its second");
    let none = calls(&hand.called(slow[0], Outcome::Reply(frames(&["y"]))));
    assert!(none.is_empty(), "the last place is for another service");
    let slow = calls(&hand.called(next[0], Outcome::Unavailable));
    assert_eq!(slow.len(), 1, "now there are two");
    // Its pause is over when there is a way to the services again.
    let again = calls(&hand.tell(Event::Command(Told::Reachable)));
    assert_eq!(again, next);
}

#[test]
fn a_request_is_kept_executed_and_closed() {
    let mut hand = Hand::new(in_memory(1 << 20), TitanicOptions::default());
    let tells = hand.ask(Service::Request, &["echo", "hello", "world"]);
    let [
        Tell::Answer { frames: answer, .. },
        Tell::Call { id, service, body },
    ] = &tells[..]
    else {
        panic!("{tells:?}");
    };
    assert_eq!(texts(answer), ["200", &id.to_string()]);
    assert_eq!(
        (texts(std::slice::from_ref(service)), texts(body)),
        (vec!["echo".into()], vec!["hello".into(), "world".into()])
    );
    let uuid = id.to_string();
    assert_eq!(hand.answer(Service::Reply, &[&uuid]), ["300"]);
    hand.called(*id, Outcome::Reply(frames(&["hello", "back"])));
    for _ in 0..2 {
        assert_eq!(
            hand.answer(Service::Reply, &[&uuid.to_lowercase()]),
            ["200", "hello", "back"]
        );
    }
    assert_eq!(hand.answer(Service::Close, &[&uuid]), ["200"]);
    assert_eq!(hand.answer(Service::Reply, &[&uuid]), ["400"]);
    assert_eq!(
        hand.answer(Service::Close, &[&uuid]),
        ["200"],
        "closing is idempotent"
    );
    assert_eq!((hand.titanic.load(), hand.titanic.due()), ((0, 0), None));
}

#[test]
fn what_is_no_request_is_refused() {
    let mut hand = Hand::new(in_memory(1 << 20), TitanicOptions::default());
    let long = "x".repeat(256);
    for (texts, why) in [
        (&[][..], "two frames"),
        (&["echo"], "two frames"),
        (&["", "body"], "empty"),
        (&["a\nb", "body"], "control"),
        (&[&long, "body"], "255"),
        (&["titanic.request", "echo"], "directly"),
    ] {
        let answer = hand.answer(Service::Request, texts);
        assert!(
            answer[0].starts_with("500 ") && answer[0].contains(why),
            "{answer:?}"
        );
    }
    let unknown = "0".repeat(32);
    for texts in [
        &[][..],
        &["../../etc/passwd"],
        &["GG"],
        &[&unknown, &unknown],
        &[&unknown],
    ] {
        assert_eq!(hand.answer(Service::Reply, texts), ["400"], "{texts:?}");
        let closed = if texts == [&unknown] { "200" } else { "400" };
        assert_eq!(hand.answer(Service::Close, texts), [closed], "{texts:?}");
    }
}

/// RFC 9's "200" means stored, and a disk may take its time.
#[test]
fn nothing_is_promised_before_it_is_durable() {
    let disk = SimulatedDisk::new(1 << 20, 1);
    format(&disk).unwrap();
    let options = LogOptions {
        size: 1 << 20,
        ..LogOptions::default()
    };
    let log = Arc::new(Log::on(disk, options).unwrap().0);
    let mut hand = Hand::new(log.clone(), TitanicOptions::default());
    let tells = hand.ask(Service::Request, &["echo", "one"]);
    let [Tell::Sync(mark)] = tells[..] else {
        panic!("{tells:?}")
    };
    // One sync at a time; those who come meanwhile share the next.
    assert_eq!(hand.ask(Service::Request, &["echo", "two"]), []);
    assert_eq!(hand.ask(Service::Request, &["echo", "three"]), []);
    log.sync(mark).unwrap();
    let tells = hand.tell(Event::Command(Told::Synced(Ok(()))));
    // The disk synced the others, too.
    assert_eq!((tells.len(), calls(&tells).len()), (6, 3));
    let id = calls(&tells)[0];
    let tells = hand.called(id, Outcome::Reply(frames(&["reply"])));
    let [Tell::Sync(mark)] = tells[..] else {
        panic!("{tells:?}")
    };
    let uuid = id.to_string();
    assert_eq!(
        hand.answer(Service::Reply, &[&uuid]),
        ["300"],
        "it might be another one after a crash"
    );
    log.sync(mark).unwrap();
    hand.tell(Event::Command(Told::Synced(Ok(()))));
    assert_eq!(hand.answer(Service::Reply, &[&uuid]), ["200", "reply"]);
    let tells = hand.ask(Service::Close, &[&uuid]);
    let [Tell::Sync(mark)] = tells[..] else {
        panic!("{tells:?}")
    };
    // The disk fails: nobody is told that it worked.
    log.with_disk(|disk| disk.fail_after(0));
    let failure = log.sync(mark).unwrap_err();
    let tells = hand.tell(Event::Command(Told::Synced(Err(failure))));
    let [Tell::Answer { frames: answer, .. }, Tell::Broken(why)] = &tells[..] else {
        panic!("{tells:?}");
    };
    assert!(texts(answer)[0].starts_with("500 ") && why.contains("open it again"));
    assert!(hand.answer(Service::Request, &["echo", "four"])[0].starts_with("500 "));
}

#[test]
fn a_slow_service_delays_no_other() {
    let options = TitanicOptions {
        calls: 2,
        ..TitanicOptions::default()
    };
    let mut hand = Hand::new(in_memory(1 << 20), options);
    for _ in 0..10 {
        hand.ask(Service::Request, &["slow", "body"]);
    }
    assert_eq!(hand.titanic.load(), (8, 2));
    for _ in 0..100 {
        let tells = hand.ask(Service::Request, &["fast", "body"]);
        let id = calls(&tells)[0];
        hand.called(id, Outcome::Reply(frames(&["done"])));
        assert_eq!(hand.answer(Service::Reply, &[&id.to_string()])[0], "200");
    }
    assert_eq!(hand.titanic.load(), (8, 2));
}

#[test]
fn a_service_that_is_away_is_tried_again() {
    let options = TitanicOptions {
        calls: 1,
        attempts: 3,
        retry: Backoff::constant(Duration::from_secs(1)),
        ..TitanicOptions::default()
    };
    let mut hand = Hand::new(in_memory(1 << 20), options);
    let first = calls(&hand.ask(Service::Request, &["away", "1"]))[0];
    hand.ask(Service::Request, &["away", "2"]);
    for _ in 0..10 {
        assert_eq!(hand.called(first, Outcome::Unavailable), []);
        assert_eq!(hand.titanic.due(), Some(hand.now + Duration::from_secs(1)));
        assert_eq!(calls(&hand.due()), [first], "the order is kept");
    }
    // It is there now.
    hand.called(first, Outcome::Unavailable);
    let tells = hand.tell(Event::Command(Told::Available(Frame::from("away"))));
    assert_eq!(calls(&tells), [first]);
    // The reply comes after the time for it: it counts.
    hand.due();
    let tells = hand.called(first, Outcome::Reply(frames(&["late"])));
    assert_eq!(calls(&tells).len(), 1, "the second one's turn");
    assert_eq!(
        hand.answer(Service::Reply, &[&first.to_string()]),
        ["200", "late"]
    );
    // The second is never answered.
    let second = calls(&tells)[0];
    hand.called(second, Outcome::NoReply);
    for _ in 0..2 {
        assert_eq!(calls(&hand.due()), [second]);
        hand.called(second, Outcome::NoReply);
    }
    assert!(hand.answer(Service::Reply, &[&second.to_string()])[0].starts_with("500 it was tried"));
    assert_eq!((hand.titanic.load(), hand.titanic.due()), ((0, 0), None));
}

#[test]
fn a_full_store_says_so_and_holds_replies_until_there_is_room() {
    let mut hand = Hand::new(in_memory(2000), TitanicOptions::default());
    let body = "x".repeat(300);
    let mut accepted = Vec::new();
    let refused = loop {
        let tells = hand.ask(Service::Request, &["echo", &body]);
        match &tells[..] {
            [Tell::Answer { frames, .. }] => break texts(frames),
            tells => accepted.extend(calls(tells)),
        }
    };
    assert!(
        refused[0].starts_with("500 the store is full"),
        "{refused:?}"
    );
    let long = "y".repeat(1200);
    hand.called(accepted[0], Outcome::Reply(frames(&[&long])));
    let first = accepted[0].to_string();
    assert_eq!(hand.answer(Service::Reply, &[&first]), ["300"]);
    hand.due();
    assert_eq!(
        hand.answer(Service::Reply, &[&first]),
        ["300"],
        "still no room"
    );
    for id in &accepted[1..] {
        assert_eq!(hand.answer(Service::Close, &[&id.to_string()]), ["200"]);
    }
    assert_eq!(hand.answer(Service::Reply, &[&first]), ["200", &long]);
    // One that would never fit is given up, not executed for ever.
    let id = calls(&hand.ask(Service::Request, &["echo", "small"]))[0];
    hand.called(id, Outcome::Reply(frames(&[&"z".repeat(5000)])));
    assert!(hand.answer(Service::Reply, &[&id.to_string()])[0].starts_with("500 it was tried"));
}

#[test]
fn a_closed_request_does_not_wait_for_its_turn() {
    let options = TitanicOptions {
        calls: 1,
        ..TitanicOptions::default()
    };
    let mut hand = Hand::new(in_memory(1 << 20), options);
    let first = calls(&hand.ask(Service::Request, &["echo", "1"]))[0];
    let tells = hand.ask(Service::Request, &["echo", "2"]);
    let Tell::Answer { frames: answer, .. } = &tells[0] else {
        panic!("{tells:?}")
    };
    hand.answer(Service::Close, &[&texts(answer)[1]]);
    assert_eq!(hand.titanic.load(), (0, 1));
    hand.answer(Service::Close, &[&first.to_string()]);
    assert_eq!(
        hand.called(first, Outcome::Reply(frames(&["unwanted"]))),
        []
    );
    assert_eq!(hand.titanic.load(), (0, 0));
    assert_eq!(hand.titanic.store().list(), []);
}

/// Everything that can happen, in an order of chance, with clients, services and a disk.
struct World {
    rng: Rng,
    now: Time,
    log: Arc<Log<SimulatedDisk>>,
    titanic: Titanic<Log<SimulatedDisk>>,
    client: TitanicClient,
    /// Questions on their way, answers on their way, calls that services have, and a sync.
    asks: Vec<(u64, Service, Vec<Frame>)>,
    answers: Vec<(u64, Answered)>,
    calls: Vec<(Id, Frame, Vec<Frame>)>,
    sync: Option<Mark>,
    tickets: HashMap<u64, u64>,
    ticket: u64,
    seed: u64,
    /// What the client knows.
    submitted: HashMap<u64, Id>,
    replied: HashSet<Id>,
    closing: HashSet<u64>,
    closed: usize,
    executed: u64,
    crashes: u64,
}

const LOG: LogOptions = LogOptions {
    size: 128 << 10,
    durability: Durability::Each,
    answers: xebec_patterns::titanic::Bounds {
        count: 0,
        bytes: 0,
        age: Duration::ZERO,
    },
};

const REQUESTS: u64 = 12;

impl World {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(LOG.size, seed);
        format(&disk).unwrap();
        let log = Arc::new(Log::on(disk, LOG).unwrap().0);
        let options = ClientOptions {
            attempts: 1000,
            ..ClientOptions::default()
        };
        let mut world = World {
            rng: Rng::with_seed(seed),
            now: Time::ZERO,
            titanic: Self::machine(log.clone(), seed),
            log,
            client: TitanicClient::new(options, seed),
            asks: Vec::new(),
            answers: Vec::new(),
            calls: Vec::new(),
            sync: None,
            tickets: HashMap::new(),
            ticket: 0,
            seed,
            submitted: HashMap::new(),
            replied: HashSet::new(),
            closing: HashSet::new(),
            closed: 0,
            executed: 0,
            crashes: 0,
        };
        world.titanic(Event::Start);
        for tag in 0..REQUESTS {
            let service = Frame::from(["fast", "slow"][tag as usize % 2]);
            let body = vec![Frame::from(format!("body of {tag}"))];
            world.client(Event::Command(Wanted::Submit { tag, service, body }));
        }
        world
    }

    fn machine(log: Arc<Log<SimulatedDisk>>, seed: u64) -> Titanic<Log<SimulatedDisk>> {
        let mut rng = Rng::with_seed(seed);
        let ids = move || Id::from_random(std::array::from_fn(|_| rng.u8(..)));
        Titanic::new(log, TitanicOptions::default(), ids, seed)
    }

    fn titanic(&mut self, event: Event<Told>) {
        let mut actions = Actions::new();
        self.titanic.handle(event, self.now, &mut actions);
        for action in actions.drain() {
            match action {
                Action::Deliver(Tell::Answer { ticket, frames }) => {
                    let tag = self.tickets.remove(&ticket).expect("asked once");
                    self.answers.push((tag, Answered::Frames(frames)));
                }
                Action::Deliver(Tell::Call { id, service, body }) => {
                    assert!(!self.replied.contains(&id), "{id} is executed again");
                    assert!(matches!(self.log.state(id), Some(State::Pending { .. })));
                    self.calls.push((id, service, body));
                }
                Action::Deliver(Tell::Sync(mark)) => {
                    assert_eq!(self.sync.replace(mark), None);
                }
                action => panic!("{action:?}"),
            }
        }
    }

    fn client(&mut self, event: Event<Wanted>) {
        let mut actions = Actions::new();
        self.client.handle(event, self.now, &mut actions);
        for action in actions.drain() {
            match action {
                Action::Deliver(Ask::Service {
                    tag,
                    service,
                    frames,
                }) => self.asks.push((tag, service, frames)),
                Action::Deliver(Ask::Submitted { tag, id }) => {
                    assert_eq!(self.submitted.insert(tag, id), None);
                }
                Action::Deliver(Ask::Reply { tag, body }) => {
                    assert_eq!(texts(&body), [format!("reply to body of {tag}")]);
                    self.replied.insert(self.submitted[&tag]);
                    self.closing.insert(tag);
                }
                Action::Deliver(Ask::Closed { tag }) => {
                    let id = self.submitted[&tag];
                    assert_eq!(self.log.state(id), None);
                    self.closed += 1;
                }
                action => panic!("{action:?}"),
            }
        }
        for tag in self.closing.clone() {
            // The application is done with the reply at once.
            if self.closing.remove(&tag) {
                self.client(Event::Command(Wanted::Close { tag }));
            }
        }
    }

    fn take<T>(rng: &mut Rng, list: &mut Vec<T>) -> Option<T> {
        (!list.is_empty()).then(|| list.swap_remove(rng.usize(..list.len())))
    }

    /// One thing happens.
    fn step(&mut self) {
        match self.rng.u8(..12) {
            0..3 => {
                if let Some((tag, service, frames)) = Self::take(&mut self.rng, &mut self.asks) {
                    if self.rng.u8(..20) == 0 {
                        self.answers.push((tag, Answered::Nothing));
                        return;
                    }
                    self.ticket += 1;
                    let ticket = self.ticket;
                    self.tickets.insert(ticket, tag);
                    self.titanic(Event::Command(Told::Asked {
                        ticket,
                        service,
                        frames,
                    }));
                }
            }
            3..6 => {
                if let Some((tag, mut answer)) = Self::take(&mut self.rng, &mut self.answers) {
                    if self.rng.u8(..20) == 0 {
                        answer = Answered::Nothing;
                    }
                    self.client(Event::Command(Wanted::Answered { tag, answer }));
                }
            }
            6..8 => {
                if let Some((id, service, body)) = Self::take(&mut self.rng, &mut self.calls) {
                    if service.as_bytes() == b"slow" && self.rng.u8(..10) != 0 {
                        self.calls.push((id, service, body));
                        return;
                    }
                    let outcome = match self.rng.u8(..10) {
                        0 => Outcome::Unavailable,
                        1 => Outcome::NoReply,
                        _ => Outcome::Reply(vec![Frame::from(format!(
                            "reply to {}",
                            texts(&body)[0]
                        ))]),
                    };
                    self.executed += u64::from(outcome != Outcome::Unavailable);
                    self.titanic(Event::Command(Told::Called { id, outcome }));
                }
            }
            8..10 => {
                if let Some(mark) = self.sync.take() {
                    let result: Result<(), StoreError> = self.log.sync(mark);
                    self.titanic(Event::Command(Told::Synced(result)));
                }
            }
            _ => {
                let due = [self.titanic.due(), self.client.due()];
                if let Some(at) = due.into_iter().flatten().min() {
                    self.now = at.max(self.now);
                    if self.titanic.due().is_some_and(|at| at <= self.now) {
                        self.titanic(Event::Due);
                        assert!(self.titanic.due().is_none_or(|at| at > self.now));
                    }
                    if self.client.due().is_some_and(|at| at <= self.now) {
                        self.client(Event::Due);
                        assert!(self.client.due().is_none_or(|at| at > self.now));
                    }
                }
            }
        }
    }

    /// The power fails: the machine, what it was about to do and what was not synced are gone.
    fn crash(&mut self) {
        self.crashes += 1;
        let disk = self.log.with_disk(SimulatedDisk::restart);
        let (log, recovery) = Log::on(disk, LOG).unwrap();
        assert_eq!(recovery.damages, []);
        self.log = Arc::new(log);
        self.seed += 1_000_000;
        self.titanic = Self::machine(self.log.clone(), self.seed);
        self.calls.clear();
        self.sync = None;
        for (_, tag) in std::mem::take(&mut self.tickets) {
            self.answers.push((tag, Answered::Nothing));
        }
        for (tag, id) in &self.submitted {
            let closing = self.replied.contains(id);
            assert!(
                closing || self.log.state(*id).is_some(),
                "request {tag}, {id}, is lost"
            );
        }
        self.titanic(Event::Start);
    }

    fn is_done(&self) -> bool {
        self.closed as u64 == REQUESTS
    }
}

/// Runs a world to its end, with a loss of power after each of the steps that `crashes` picks.
fn run(seed: u64, mut crashes: impl FnMut(u64, &mut Rng) -> bool) -> World {
    println!("seed {seed}");
    let mut world = World::new(seed);
    let mut rng = Rng::with_seed(!seed);
    for step in 0..200_000 {
        if world.is_done() {
            return world;
        }
        world.step();
        if crashes(step, &mut rng) {
            world.crash();
        }
    }
    panic!(
        "after 200,000 steps {} of {REQUESTS} are closed",
        world.closed
    );
}

#[test]
fn without_faults_of_the_power_all_is_executed() {
    for seed in 0..50 {
        let world = run(seed, |_, _| false);
        assert!(world.executed >= REQUESTS);
    }
}

#[test]
fn a_loss_of_power_between_any_two_steps_loses_nothing() {
    for seed in 0..3 {
        for at in 0..400 {
            let world = run(seed, |step, _| step == at);
            assert_eq!(world.crashes, 1);
        }
    }
}

#[test]
fn many_losses_of_power_lose_nothing() {
    for seed in 0..1000 {
        run(seed, |step, rng| step < 3000 && rng.u8(..50) == 0);
    }
}

// ---- the client alone ----

fn asked(client: &mut TitanicClient, event: Event<Wanted>, now: Time) -> Vec<Ask> {
    let mut actions = Actions::new();
    client.handle(event, now, &mut actions);
    let ask = |action| match action {
        Action::Deliver(ask) => ask,
        action => panic!("{action:?}"),
    };
    actions.drain().map(ask).collect()
}

#[test]
fn the_client_asks_less_and_less_often() {
    let options = ClientOptions {
        poll: Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(800),
            jitter: 0.0,
        },
        attempts: 2,
        ..ClientOptions::default()
    };
    let mut client = TitanicClient::new(options, 1);
    let id = Id([7; 16]);
    let mut now = Time::ZERO;
    let answer = |texts: &[&str]| {
        Event::Command(Wanted::Answered {
            tag: 1,
            answer: Answered::Frames(frames(texts)),
        })
    };
    let asks = asked(
        &mut client,
        Event::Command(Wanted::Follow { tag: 1, id }),
        now,
    );
    assert!(matches!(
        asks[..],
        [Ask::Service {
            tag: 1,
            service: Service::Reply,
            ..
        }]
    ));
    let again = asked(
        &mut client,
        Event::Command(Wanted::Follow { tag: 1, id }),
        now,
    );
    assert_eq!(
        again,
        [Ask::Failed {
            tag: 1,
            why: Failure::Tag
        }]
    );
    for millis in [100, 200, 400, 800, 800] {
        assert_eq!(asked(&mut client, answer(&["300"]), now), []);
        assert_eq!(client.due(), Some(now + Duration::from_millis(millis)));
        now = client.due().unwrap();
        assert_eq!(asked(&mut client, Event::Due, now).len(), 1);
    }
    let asks = asked(&mut client, answer(&["200", "the", "reply"]), now);
    assert_eq!(
        asks,
        [Ask::Reply {
            tag: 1,
            body: frames(&["the", "reply"])
        }]
    );
    assert_eq!(client.due(), None);
    let asks = asked(&mut client, Event::Command(Wanted::Close { tag: 1 }), now);
    assert!(matches!(
        asks[..],
        [Ask::Service {
            service: Service::Close,
            ..
        }]
    ));
    assert_eq!(asked(&mut client, answer(&["500 not now"]), now), []);
    now = client.due().unwrap();
    asked(&mut client, Event::Due, now);
    let asks = asked(&mut client, answer(&["500 the disk is on fire"]), now);
    let why = Failure::Refused("the disk is on fire".into());
    assert_eq!(asks, [Ask::Failed { tag: 1, why }]);
    assert!(client.is_empty() && client.due().is_none());
    assert_eq!(
        asked(&mut client, answer(&["200"]), now),
        [],
        "a late answer"
    );
}

#[test]
fn the_client_tells_what_is_no_answer_of_titanic() {
    for (texts, why) in [
        (&["200"][..], Failure::Malformed),
        (&["200", "not a UUID"], Failure::Malformed),
        (&["300"], Failure::Malformed),
        (&["999"], Failure::Malformed),
        (&[], Failure::Malformed),
    ] {
        let mut client = TitanicClient::new(ClientOptions::default(), 1);
        let submit = Wanted::Submit {
            tag: 5,
            service: Frame::from("echo"),
            body: frames(&["x"]),
        };
        asked(&mut client, Event::Command(submit), Time::ZERO);
        let answer = Answered::Frames(frames(texts));
        let answered = Event::Command(Wanted::Answered { tag: 5, answer });
        let asks = asked(&mut client, answered, Time::ZERO);
        assert_eq!(asks, [Ask::Failed { tag: 5, why }], "{texts:?}");
    }
}
