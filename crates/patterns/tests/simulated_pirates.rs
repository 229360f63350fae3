//! Simple and Paranoid Pirate in the simulator: clients, a queue and workers, with every fault.

mod support;

use std::time::Duration;

use support::{Fate, Ledger, Log, Tapped, client, ms, secs};
use xebec_patterns::lazy;
use xebec_patterns::pirate::{self, Answer, Queue, paranoid, simple};
use xebec_patterns::simulator::{self, AnyNode, Chaos, Desk, NodeId, Simulator};
use xebec_patterns::{Machine, Time};

const FRONT: &str = "tcp://*:5555";

fn queue(sim: &mut Simulator, config: &pirate::Config) -> NodeId<Queue> {
    let config = config.clone();
    sim.node("queue", move |_| {
        (Queue::new(config.clone()), |_: &mut Desk<'_, _>, _| {})
    })
}

/// Works on a request for some time; the reply has a number of its own.
fn work(
    desk: &mut Desk<'_, Answer>,
    served: &mut u32,
    request: &xebec::Message,
    time: std::ops::Range<u64>,
) {
    *served += 1;
    let reply = format!("{}/{served}", request.to_string_lossy());
    let time = ms(desk.rng().u64(time));
    desk.command_after(time, Answer::Reply(reply.into()));
}

fn simple_worker(sim: &mut Simulator, name: &'static str) -> AnyNode {
    let mut config = simple::Config::new(name);
    config.queue = pirate::Config::default().backend;
    let node = sim.node(name, move |_| {
        let mut served = 0;
        let app = move |desk: &mut Desk<'_, Answer>, output| {
            if let simple::Output::Request(request) = output {
                work(desk, &mut served, &request, 0..800);
            }
        };
        (simple::Worker::new(config.clone()), app)
    });
    node.any()
}

fn paranoid_worker(
    sim: &mut Simulator,
    name: &str,
    time: std::ops::Range<u64>,
) -> (NodeId<Tapped<paranoid::Worker>>, Log) {
    let mut config = paranoid::Config::default();
    config.queue = pirate::Config::default().backend;
    let log = Log::default();
    let theirs = log.clone();
    let node = sim.node(name, move |rng| {
        let (mut served, time) = (0, time.clone());
        let app = move |desk: &mut Desk<'_, Answer>, output| {
            if let paranoid::Output::Request(request) = output {
                work(desk, &mut served, &request, time.clone());
            }
        };
        let inner = paranoid::Worker::new(config.clone(), rng.u64(..));
        let log = theirs.clone();
        (Tapped { inner, log }, app)
    });
    (node, log)
}

fn lazy_config(form: lazy::Form) -> lazy::Config {
    let mut config = lazy::Config::new([FRONT]);
    config.form = form;
    config
}

/// Two clients, a queue and three workers through two minutes of faults; then all is well again.
fn under_chaos(sim: &mut Simulator, is_paranoid: bool) {
    let ledger = Ledger::default();
    let mut config = pirate::Config::default();
    config.attempts = sim.rng().u32(1..=3);
    let queue = queue(sim, &config);
    let names = ["w1", "w2", "w3"];
    let workers: Vec<AnyNode> = match is_paranoid {
        true => names.map(|name| paranoid_worker(sim, name, 0..800).0.any()),
        false => names.map(|name| simple_worker(sim, name)),
    }
    .into();
    let x = client(sim, "x", lazy_config(lazy::Form::Req), &ledger, 1).any();
    let y = client(sim, "y", lazy_config(lazy::Form::Dealer), &ledger, 3).any();
    let all: Vec<AnyNode> = [vec![queue.any(), x, y], workers].concat();
    let until = Time::ZERO + secs(120);
    let links = all[1..].iter().map(|node| (queue.any(), *node));
    let chaos = Chaos {
        crash: all.clone(),
        pause: all.clone(),
        links: links.collect(),
        ..Chaos::default()
    };
    sim.chaos(&chaos, until);
    let checked = ledger.clone();
    sim.invariant(move |_| checked.check());
    sim.run_for(secs(120));
    sim.calm();
    // The longest pause of a worker is 32 s.
    let healed = until + secs(40);
    sim.run_until(healed, |_| false);
    assert_eq!(ledger.open_before(until), [""; 0], "answered or failed");
    let (known, _) = sim.machine(queue).expect("it runs").workers();
    assert!(known >= 3, "the queue has its workers back: {known}");
    sim.run_for(secs(20));
    let mut late = ledger.unanswered_since(healed);
    late.retain(|(_, fate)| matches!(fate, Fate::Failed(_)));
    assert!(late.is_empty(), "in calm weather all is answered: {late:?}");
    let (answered, failed) = ledger.score();
    assert!(answered > 30, "{answered} answered, {failed} failed");
}

#[test]
fn simple_pirate_answers_or_reports_and_heals() {
    simulator::seeds(2000, |sim| under_chaos(sim, false));
}

#[test]
fn paranoid_pirate_answers_or_reports_and_heals() {
    simulator::seeds(2000, |sim| under_chaos(sim, true));
}

#[test]
fn a_restarted_queue_gets_its_workers_back_at_once() {
    simulator::seeds(500, |sim| {
        let queue = queue(sim, &pirate::Config::default());
        simple_worker(sim, "simple");
        paranoid_worker(sim, "paranoid", 0..1);
        sim.run_for(secs(10));
        for _ in 0..3 {
            sim.crash(queue);
            sim.run_for(ms(500));
            sim.restart(queue);
            sim.run_for(ms(500));
            assert_eq!(sim.machine(queue).unwrap().workers(), (2, 2));
        }
    });
}

#[test]
fn heartbeats_do_not_come_late_in_a_flood() {
    simulator::seeds(500, |sim| {
        let queue = queue(sim, &pirate::Config::default());
        let (worker, log) = paranoid_worker(sim, "worker", 0..1);
        sim.run_for(secs(5));
        let flood = |log: &Log| {
            let log = log.borrow();
            let times: Vec<Time> = log.iter().map(|(at, _)| *at).collect();
            let most = times.iter().map(|at| {
                let near = times
                    .iter()
                    .filter(|t| **t >= *at && t.since(*at) < ms(500));
                near.count()
            });
            most.max().unwrap_or(0)
        };
        assert_eq!(flood(&log), 1, "one a second");
        sim.pause(worker);
        sim.run_for(secs(600));
        sim.resume(worker);
        sim.run_for(secs(40));
        assert!(
            flood(&log) <= 1 + pirate::LIVENESS as usize,
            "{}",
            flood(&log)
        );
        log.borrow_mut().clear();
        sim.cut(worker, queue);
        sim.run_for(secs(600));
        sim.heal(worker, queue);
        sim.run_for(secs(40));
        assert!(
            flood(&log) <= 1 + pirate::LIVENESS as usize,
            "{}",
            flood(&log)
        );
        assert_eq!(sim.machine(queue).unwrap().workers(), (1, 1));
    });
}

#[test]
fn a_worker_that_works_for_long_is_alive_and_gets_no_second_request() {
    simulator::seeds(500, |sim| {
        let ledger = Ledger::default();
        let queue = queue(sim, &pirate::Config::default());
        let (worker, _) = paranoid_worker(sim, "worker", 20_000..20_001);
        let mut config = lazy_config(lazy::Form::Dealer);
        config.timeout = secs(60);
        client(sim, "client", config, &ledger, 2);
        sim.run_for(secs(19));
        let counters = sim.machine(worker).unwrap().inner.counters();
        assert_eq!((counters.requests, counters.failures), (1, 0));
        assert_eq!(sim.machine(queue).unwrap().counters().requests, 1);
        assert_eq!(sim.machine(queue).unwrap().workers(), (1, 0));
        sim.run_for(secs(30));
        assert_eq!(ledger.score(), (2, 0));
    });
}

#[test]
fn what_a_dead_worker_had_is_lost_or_given_to_another() {
    for (attempts, score) in [(1, (0, 1)), (2, (1, 0))] {
        simulator::seeds(200, |sim| {
            let ledger = Ledger::default();
            let mut config = pirate::Config::default();
            config.attempts = attempts;
            let queue = queue(sim, &config);
            let (a, log_a) = paranoid_worker(sim, "a", 5000..5001);
            let (b, _) = paranoid_worker(sim, "b", 5000..5001);
            let mut config = lazy_config(lazy::Form::Req);
            (config.timeout, config.attempts) = (secs(30), 1);
            sim.run_for(secs(1));
            client(sim, "client", config, &ledger, 1);
            sim.run_for(secs(2));
            let has = log_a.borrow().iter().any(|(_, m)| m.len() > 1);
            let (busy, node) = if has { (a, "a") } else { (b, "b") };
            // In two ways: its connection closes, or it says nothing any more.
            if sim.seed() % 2 == 0 {
                sim.crash(busy);
            } else {
                sim.pause(busy);
            }
            sim.run_for(Duration::from_millis(27_900));
            let counters = sim.machine(queue).unwrap().counters();
            assert_eq!(counters.lost + counters.reassigned, 1, "{node}");
            sim.run_for(secs(1));
            let (answered, failed) = ledger.score();
            assert!(
                answered >= score.0 && failed >= score.1,
                "{answered} {failed}"
            );
        });
    }
}

#[test]
fn a_worker_that_is_stuck_is_told_and_loses_its_request_as_configured() {
    for (stuck, attempts, score) in [
        (pirate::Stuck::TakeBack, 2, (1, 0)),
        (pirate::Stuck::TakeBack, 1, (0, 1)),
        (pirate::Stuck::Report, 2, (0, 1)),
    ] {
        simulator::seeds(500, |sim| {
            let ledger = Ledger::default();
            let mut config = pirate::Config::default();
            config.attempts = attempts;
            config.request_time = Some(secs(3));
            config.stuck = stuck;
            let queue = queue(sim, &config);
            // It sends heartbeats all the while.
            let (worker, _) = paranoid_worker(sim, "stuck", 20_000..20_001);
            let mut lazy = lazy_config(lazy::Form::Req);
            (lazy.timeout, lazy.attempts) = (secs(10), 1);
            sim.run_for(secs(1));
            client(sim, "client", lazy, &ledger, 1);
            sim.run_for(secs(2));
            paranoid_worker(sim, "other", 0..500);
            sim.run_for(secs(9));
            let counters = sim.machine(queue).unwrap().counters();
            assert_eq!(counters.stuck, 1);
            let taken = u64::from(stuck == pirate::Stuck::TakeBack);
            assert_eq!(counters.lost + counters.reassigned, taken);
            let (answered, failed) = ledger.score();
            assert!(
                answered >= score.0 && failed >= score.1,
                "{answered} {failed}"
            );
            // Until it has answered it is given nothing else; then it takes part again.
            assert_eq!(sim.machine(worker).unwrap().inner.counters().requests, 1);
            sim.run_for(secs(40));
            assert!(sim.machine(worker).unwrap().inner.counters().requests > 1);
        });
    }
}

#[test]
fn purging_finds_every_expired_worker_wherever_it_stands() {
    simulator::seeds(200, |sim| {
        let queue = queue(sim, &pirate::Config::default());
        let names = ["a", "b", "c", "d"];
        let workers = names.map(|name| paranoid_worker(sim, name, 0..1).0);
        sim.run_for(secs(5));
        // The first in the list lives, those behind it do not.
        sim.pause(workers[1]);
        sim.pause(workers[3]);
        sim.run_for(secs(5));
        assert_eq!(sim.machine(queue).unwrap().workers(), (2, 2));
    });
}

#[test]
fn strangers_are_told_apart_and_more_workers_than_allowed_are_not_heard() {
    let mut config = pirate::Config::default();
    config.workers = 1;
    let mut queue = Queue::new(config);
    let mut actions = xebec_patterns::Actions::new();
    let mut say = |frames: &[&[u8]]| {
        let message = frames.iter().copied().collect();
        let port = Queue::BACKEND;
        let event = xebec_patterns::Event::Message { port, message };
        queue.handle(event, Time::ZERO, &mut actions);
        (
            queue.workers().0,
            queue.counters().invalid,
            queue.counters().refused,
        )
    };
    assert_eq!(say(&[b"A", b"\x07"]), (0, 1, 0));
    assert_eq!(say(&[b"A", b"x", b"y"]), (0, 2, 0));
    assert_eq!(say(&[b"A", b"client", b""]), (0, 3, 0));
    assert_eq!(say(&[b"A", b"\x01"]), (1, 3, 0));
    assert_eq!(say(&[b"B", b"\x01"]), (1, 3, 1));
    assert_eq!(say(&[b"A", b"\x00"]), (0, 3, 1));
    let joined = |action: &xebec_patterns::Action<pirate::Output>| matches!(action, xebec_patterns::Action::Deliver(pirate::Output::Joined(id)) if id[..] == *b"A");
    assert_eq!(actions.iter().filter(|a| joined(a)).count(), 1);
}

#[test]
fn a_request_without_an_envelope_takes_no_worker() {
    let mut queue = Queue::new(pirate::Config::default());
    let mut say = |port, frames: &[&[u8]]| {
        let message = frames.iter().copied().collect();
        let event = xebec_patterns::Event::Message { port, message };
        queue.handle(event, Time::ZERO, &mut xebec_patterns::Actions::new());
        (queue.workers(), queue.counters().invalid)
    };
    say(Queue::BACKEND, &[b"A", b"\x01"]);
    let wrong: [&[&[u8]]; 3] = [&[b"c", b"x"], &[b"c"], &[b"c", b""]];
    for wrong in wrong {
        assert_eq!(say(Queue::FRONTEND, wrong).0, (1, 1), "{wrong:?}");
    }
    assert_eq!(say(Queue::FRONTEND, &[b"c", b"", b"x"]), ((1, 0), 3));
}
