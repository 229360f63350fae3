//! The broker, event by event.

use std::time::Duration;

use super::*;
use crate::machine::Action;
use crate::majordomo::HEARTBEAT;
use crate::majordomo::codec::{FromWorker, ToClient, ToWorker};

const OLD: Dialect = Dialect::Mdp01;
const NEW: Dialect = Dialect::Mdp02;

struct Rig {
    broker: Broker,
    now: Time,
    notes: Vec<Note>,
    ended: bool,
}

/// What a peer was sent: its routing id, and the frames as text.
type Sent = (String, Vec<String>);

fn text(frame: &Frame) -> String {
    frame.to_string_lossy().into_owned()
}

fn config() -> BrokerConfig {
    BrokerConfig::new("tcp://*:5555")
}

impl Rig {
    fn new(config: BrokerConfig) -> Self {
        let mut rig = Rig {
            broker: Broker::new(config),
            now: Time::ZERO,
            notes: Vec::new(),
            ended: false,
        };
        assert!(rig.event(Event::Start).is_empty());
        rig
    }

    fn event(&mut self, event: Event<Command>) -> Vec<Sent> {
        self.does(|broker, now, actions| broker.handle(event, now, actions))
    }

    fn does(&mut self, act: impl FnOnce(&mut Broker, Time, &mut Actions<Note>)) -> Vec<Sent> {
        let mut actions = Actions::new();
        act(&mut self.broker, self.now, &mut actions);
        let mut sent = Vec::new();
        for action in actions.drain() {
            match action {
                Action::Send(_, message) => {
                    let mut frames = message.frames().map(text);
                    sent.push((frames.next().unwrap(), frames.collect()));
                }
                Action::Deliver(note) => self.notes.push(note),
                Action::End => self.ended = true,
                _ => {}
            }
        }
        sent
    }

    fn from(&mut self, id: &str, frames: Message) -> Vec<Sent> {
        let mut message = frames;
        message.push_front(id);
        self.event(Event::Message {
            port: FRONT,
            message,
        })
    }

    fn asks(&mut self, id: &str, dialect: Dialect, service: &str, body: &str) -> Vec<Sent> {
        let (service, body) = (service.into(), vec![body.into()]);
        self.from(id, ToBroker::Request { service, body }.frames(dialect))
    }

    fn says(&mut self, id: &str, dialect: Dialect, command: FromWorker) -> Vec<Sent> {
        self.from(id, ToBroker::Worker(command).frames(dialect))
    }

    fn ready(&mut self, id: &str, dialect: Dialect, service: &str) -> Vec<Sent> {
        let service = service.into();
        self.says(id, dialect, FromWorker::Ready { service })
    }

    fn reply(&mut self, id: &str, dialect: Dialect, number: u64, body: &str) -> Vec<Sent> {
        let (address, body) = (number.to_be_bytes().into(), vec![body.into()]);
        self.says(id, dialect, FromWorker::Final { address, body })
    }

    fn gone(&mut self, id: &str) -> Vec<Sent> {
        self.from(id, Message::from(GONE))
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, span: Duration) -> Vec<Sent> {
        let until = self.now + span;
        let mut sent = Vec::new();
        while let Some(at) = self.broker.due().filter(|at| *at <= until) {
            self.now = at;
            sent.extend(self.event(Event::Due));
            assert!(self.broker.due().is_none_or(|due| due > at));
        }
        self.now = until;
        sent
    }
}

/// Who was sent the bodies, and the last frame of each.
fn bodies(sent: &[Sent]) -> Vec<(&str, &str)> {
    sent.iter()
        .map(|(id, frames)| (id.as_str(), frames.last().unwrap().as_str()))
        .collect()
}

/// Who was refused, and the code.
fn refusals(sent: &[Sent]) -> Vec<(&str, &str)> {
    let refused = sent
        .iter()
        .filter(|(_, frames)| frames.contains(&"mmi.error".to_owned()));
    refused
        .map(|(id, frames)| (id.as_str(), frames[frames.len() - 2].as_str()))
        .collect()
}

fn disconnects(sent: &[Sent]) -> Vec<&str> {
    let disconnect = [vec!["", "MDPW01", "\x05"], vec!["MDPW02", "\x06"]];
    let sent = sent
        .iter()
        .filter(|(_, frames)| disconnect.iter().any(|d| d == frames));
    sent.map(|(id, _)| id.as_str()).collect()
}

#[test]
fn workers_take_turns_and_both_versions_meet() {
    let mut rig = Rig::new(config());
    assert!(rig.asks("c", OLD, "echo", "early").is_empty());
    let sent = rig.ready("w1", NEW, "echo");
    assert_eq!(sent[0].0, "w1");
    assert_eq!(sent[0].1[..2], ["MDPW02", "\x02"]);
    assert_eq!(sent[0].1[3..], ["", "early"]);
    rig.ready("w2", OLD, "echo");
    rig.ready("w3", NEW, "echo");
    let sent = rig.reply("w1", NEW, 1, "late");
    assert_eq!(
        sent,
        [(
            "c".into(),
            ["", "MDPC01", "echo", "late"].map(String::from).into()
        )]
    );
    let order: Vec<String> = (0..3)
        .map(|_| rig.asks("d", NEW, "echo", "x").remove(0).0)
        .collect();
    assert_eq!(order, ["w2", "w3", "w1"], "the one that waited longest");
    assert!(rig.asks("d", NEW, "echo", "waits").is_empty());
    let sent = rig.reply("w3", NEW, 3, "y");
    assert_eq!(bodies(&sent), [("d", "y"), ("w3", "waits")]);
    assert_eq!(sent[0].1[..3], ["MDPC02", "\x03", "echo"]);
    let address = 5u64.to_be_bytes();
    let part = || FromWorker::Partial {
        address: address.into(),
        body: vec!["p".into()],
    };
    assert_eq!(bodies(&rig.says("w3", NEW, part())), [("d", "p")]);
    assert_eq!(bodies(&rig.reply("w3", NEW, 5, "q")), [("d", "q")]);
}

#[test]
fn clients_take_turns_whoever_floods() {
    let mut rig = Rig::new(config());
    for n in 0..5 {
        rig.asks("flood", NEW, "echo", &format!("f{n}"));
    }
    rig.asks("a", NEW, "echo", "a0");
    rig.asks("b", OLD, "echo", "b0");
    rig.asks("a", NEW, "echo", "a1");
    let mut order = vec![rig.ready("w", NEW, "echo")[0].1.last().unwrap().clone()];
    let mut number = 1;
    while order.len() < 7 {
        let sent = rig.reply("w", NEW, number, "done");
        order.push(sent.last().unwrap().1.last().unwrap().clone());
        number = [0, 6, 7, 2, 8, 3, 4][order.len() - 1];
    }
    assert_eq!(order, ["f0", "a0", "b0", "f1", "a1", "f2", "f3"]);
    // What a worker lost comes before all others.
    rig.asks("c", NEW, "echo", "c0");
    rig.gone("w");
    assert_eq!(bodies(&rig.ready("v", NEW, "echo")), [("v", "f3")]);
    assert_eq!(rig.broker.digest(rig.now).each[0].queued, 2);
}

#[test]
fn parts_are_one_reply_for_who_knows_no_parts() {
    let mut rig = Rig::new(config());
    rig.ready("w", NEW, "echo");
    rig.asks("c", OLD, "echo", "x");
    let address: Frame = 1u64.to_be_bytes().into();
    for part in ["1", "2"] {
        let body = vec![part.into()];
        let address = address.clone();
        assert!(
            rig.says("w", NEW, FromWorker::Partial { address, body })
                .is_empty()
        );
    }
    let sent = rig.reply("w", NEW, 1, "3");
    assert_eq!(sent[0].1, ["", "MDPC01", "echo", "1", "2", "3"]);
    let mut config = config();
    config.reply_bytes = 1000;
    let mut rig = Rig::new(config);
    rig.ready("w", NEW, "echo");
    rig.asks("c", OLD, "echo", "x");
    let body = vec!["x".repeat(1000).into()];
    let sent = rig.says("w", NEW, FromWorker::Partial { address, body });
    assert_eq!(disconnects(&sent), ["w"]);
    assert_eq!(refusals(&sent), [("c", "502")]);
}

#[test]
fn a_lost_workers_request_goes_to_another_until_it_has_failed() {
    let mut rig = Rig::new(config());
    for id in ["w1", "w2", "w3", "w4"] {
        rig.ready(id, NEW, "echo");
    }
    assert_eq!(bodies(&rig.asks("c", NEW, "echo", "x")), [("w1", "x")]);
    rig.asks("c", NEW, "echo", "y");
    assert_eq!(bodies(&rig.gone("w1")), [("w3", "x")]);
    let sent = rig.says("w3", NEW, FromWorker::Disconnect);
    assert_eq!(
        bodies(&sent),
        [("w4", "x")],
        "leaving while busy is no better"
    );
    assert_eq!(refusals(&rig.gone("w4")), [("c", "502")]);
    let counters = *rig.broker.counters();
    assert_eq!(
        (counters.retries, counters.failed, counters.workers_lost),
        (2, 1, 2)
    );
    assert_eq!(disconnects(&rig.reply("w4", NEW, 1, "z")), ["w4"]);
    assert_eq!(rig.broker.counters().late_replies, 1);
    assert_eq!(bodies(&rig.reply("w2", NEW, 2, "y")), [("c", "y")]);
    assert_eq!(rig.broker.digest(rig.now).held, 0);
}

#[test]
fn after_a_part_of_a_reply_there_is_no_other() {
    let mut rig = Rig::new(config());
    rig.ready("w1", NEW, "echo");
    rig.ready("w2", NEW, "echo");
    rig.asks("c", NEW, "echo", "x");
    let (address, body) = (1u64.to_be_bytes().into(), vec!["p".into()]);
    rig.says("w1", NEW, FromWorker::Partial { address, body });
    assert_eq!(refusals(&rig.gone("w1")), [("c", "502")]);
}

#[test]
fn a_request_that_cannot_be_sent_goes_to_another() {
    let mut rig = Rig::new(config());
    let ids = ["w1", "w2", "w3", "w4", "w5"];
    for id in ids {
        rig.ready(id, OLD, "echo");
    }
    rig.asks("c", NEW, "echo", "x");
    let task = ToWorker::Request {
        address: 1u64.to_be_bytes().into(),
        body: vec!["x".into()],
    };
    let why = xebec::SendErrorKind::Unroutable;
    // None of them has had it, so that none of them counts as a try.
    for pair in ids.windows(2) {
        let message = task.clone().frames(pair[0].into(), OLD);
        let sent = rig.event(Event::Unsent {
            port: FRONT,
            message,
            why,
        });
        assert_eq!(bodies(&sent), [(pair[1], "x")]);
    }
    rig.ready("w6", OLD, "echo");
    // A heartbeat that cannot be sent is the end of a worker that has had it.
    let message = ToWorker::Heartbeat.frames("w5".into(), OLD);
    rig.event(Event::Unsent {
        port: FRONT,
        message,
        why,
    });
    assert!(refusals(&rig.gone("w6")).is_empty());
    rig.ready("w7", OLD, "echo");
    assert_eq!(refusals(&rig.gone("w7")), [("c", "502")]);
    rig.ready("w2", OLD, "echo");
    let reply = ToClient {
        last: true,
        service: "echo".into(),
        body: vec!["y".into()],
    };
    let message = reply.frames("w2".into(), OLD);
    rig.event(Event::Unsent {
        port: FRONT,
        message,
        why,
    });
    assert_eq!(rig.broker.counters().undeliverable, 1);
    assert_eq!(
        rig.broker.digest(rig.now).workers,
        1,
        "that was the client of this name"
    );
}

#[test]
fn what_a_full_queue_refuses_is_counted_and_loses_no_worker() {
    let mut rig = Rig::new(config());
    rig.ready("w", NEW, "echo");
    let reply = ToClient {
        last: true,
        service: "echo".into(),
        body: vec!["y".into()],
    };
    let mut unsent = |message| {
        rig.event(Event::Unsent {
            port: FRONT,
            message,
            why: xebec::SendErrorKind::WouldBlock,
        });
        rig.broker.digest(rig.now)
    };
    // A large request may be on its way to it.
    let digest = unsent(ToWorker::Heartbeat.frames("w".into(), NEW));
    assert_eq!(digest.workers, 1);
    unsent(reply.clone().frames("c".into(), NEW));
    let counters = unsent(reply.frames("c".into(), NEW)).counters;
    assert_eq!((counters.unread, counters.undeliverable), (2, 0));
    let told = |note: &&Note| matches!(note, Note::Unread { .. });
    assert_eq!(rig.notes.iter().filter(told).count(), 1, "one a second");
}

#[test]
fn only_titanic_offers_titanics_services_where_it_is_inside() {
    let mut open = Rig::new(config());
    assert!(disconnects(&open.ready("w", NEW, "titanic.request")).is_empty());
    let mut config = config();
    config.bind_titanic = vec!["inproc://titanic".to_owned()];
    let mut rig = Rig::new(config);
    for service in [
        "titanic.request",
        "titanic.reply",
        "titanic.close",
        "titanic.",
    ] {
        assert_eq!(disconnects(&rig.ready("w", NEW, service)), ["w"]);
    }
    assert_eq!(rig.broker.counters().workers_refused, 4);
    let service = "titanic.request".into();
    let mut message = ToBroker::Worker(FromWorker::Ready { service }).frames(NEW);
    message.push_front("t");
    let port = INSIDE;
    assert!(rig.event(Event::Message { port, message }).is_empty());
    assert_eq!(rig.broker.counters().workers_ready, 1);
}

#[test]
fn a_silent_worker_is_given_up_even_while_busy() {
    let mut rig = Rig::new(config());
    rig.ready("w1", NEW, "echo");
    rig.ready("w2", NEW, "echo");
    rig.asks("c", NEW, "echo", "x");
    for _ in 0..5 {
        // Any data counts: w2 sends none but heartbeats, w1 parts of its reply.
        let (address, body) = (1u64.to_be_bytes().into(), vec!["p".into()]);
        rig.says("w1", NEW, FromWorker::Partial { address, body });
        rig.says("w2", NEW, FromWorker::Heartbeat);
        rig.pass(HEARTBEAT);
        assert_eq!(rig.broker.digest(rig.now).workers, 2);
    }
    rig.asks("d", NEW, "echo", "y");
    rig.ready("w3", OLD, "echo");
    rig.pass(HEARTBEAT * 2 - Duration::from_millis(1));
    rig.says("w3", OLD, FromWorker::Heartbeat);
    let sent = rig.pass(Duration::from_millis(1));
    assert_eq!(
        refusals(&sent),
        [("c", "502")],
        "its client has parts already"
    );
    assert!(bodies(&sent).contains(&("w3", "y")));
    assert_eq!(rig.broker.counters().workers_expired, 2);
}

#[test]
fn workers_that_are_silent_together_use_up_no_tries() {
    let mut rig = Rig::new(config());
    for n in 0..6 {
        rig.ready(&format!("w{n}"), NEW, "echo");
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(bodies(&rig.asks("c", NEW, "echo", "x")), [("w0", "x")]);
    // All were in one process, which stands still. The first is given up, the others are about to be.
    let sent = rig.pass(HEARTBEAT * 3 - Duration::from_millis(6));
    assert!(!bodies(&sent).iter().any(|(_, body)| *body == "x"));
    assert!(refusals(&rig.pass(Duration::from_millis(3))).is_empty());
    assert_eq!(rig.broker.counters().workers_expired, 4);
    assert_eq!(rig.broker.digest(rig.now).each[0].idle, 0);
    assert_eq!(
        bodies(&rig.says("w5", NEW, FromWorker::Heartbeat)),
        [("w5", "x")]
    );
    assert_eq!(bodies(&rig.reply("w5", NEW, 1, "y")), [("c", "y")]);
    rig.pass(Duration::from_millis(2));
    let digest = rig.broker.digest(rig.now);
    assert_eq!((digest.workers, digest.each[0].idle), (1, 1));
}

#[test]
fn an_endless_loop_with_heartbeats_is_ended() {
    let mut config = config();
    config.policy.reply_time = Some(Duration::from_secs(10));
    let mut rig = Rig::new(config);
    rig.ready("w", NEW, "echo");
    rig.asks("c", NEW, "echo", "x");
    for _ in 0..4 {
        rig.says("w", NEW, FromWorker::Heartbeat);
        assert!(disconnects(&rig.pass(Duration::from_millis(2499))).is_empty());
    }
    rig.says("w", NEW, FromWorker::Heartbeat);
    let sent = rig.pass(Duration::from_secs(1));
    assert_eq!(disconnects(&sent), ["w"]);
    assert_eq!(rig.broker.counters().workers_overdue, 1);
}

#[test]
fn each_worker_is_met_at_its_pace() {
    let mut rig = Rig::new(config());
    rig.ready("slow", NEW, "echo");
    rig.ready("fast", NEW, "echo");
    let mut beats = 0;
    for n in 1..=600 {
        rig.says("fast", NEW, FromWorker::Heartbeat);
        if n % 60 == 0 {
            rig.says("slow", NEW, FromWorker::Heartbeat);
        }
        let sent = rig.pass(Duration::from_millis(100));
        beats += sent.iter().filter(|(id, _)| id == "fast").count();
    }
    assert!(beats > 400, "{beats}");
    // Of six seconds' pace, three intervals are eighteen seconds, not 7.5.
    rig.pass(Duration::from_secs(14));
    let digest = rig.broker.digest(rig.now);
    assert_eq!(digest.workers, 1, "only the slow one");
}

#[test]
fn queues_are_bounded_and_refusals_told() {
    let mut config = config();
    config.client_limit = Limit::new(2, 1000);
    config.policy.limit = Limit::new(3, 1000);
    config.limit = Limit::new(4, 1000);
    let mut rig = Rig::new(config.clone());
    for (client, service, refused) in [
        ("a", "s", false),
        ("a", "s", false),
        ("a", "t", true),
        ("b", "s", false),
        ("b", "s", true),
        ("b", "t", false),
        ("c", "u", true),
    ] {
        let sent = rig.asks(client, OLD, service, "x");
        assert_eq!(
            refusals(&sent),
            if refused {
                vec![(client, "503")]
            } else {
                vec![]
            }
        );
    }
    assert_eq!(rig.broker.counters().refused_full, 3);
    let notes = rig
        .notes
        .iter()
        .filter(|n| matches!(n, Note::Refused { .. }));
    assert_eq!(notes.count(), 1, "one of a kind a second");
    let mut rig = Rig::new(config.clone());
    assert_eq!(
        refusals(&rig.asks("a", NEW, "s", &"x".repeat(1001))),
        [("a", "503")]
    );
    config.refusals = false;
    let mut rig = Rig::new(config);
    assert!(rig.asks("a", NEW, "s", &"x".repeat(1001)).is_empty());
    assert_eq!(rig.broker.counters().silent_refusals, 1);
}

#[test]
fn requests_and_services_expire() {
    let mut rig = Rig::new(config());
    rig.asks("a", OLD, "nobody", "x");
    rig.pass(Duration::from_secs(30));
    rig.asks("b", NEW, "nobody", "y");
    assert_eq!(refusals(&rig.pass(Duration::from_secs(30))), [("a", "504")]);
    assert_eq!(refusals(&rig.pass(Duration::from_secs(30))), [("b", "504")]);
    rig.pass(Duration::from_secs(61));
    let digest = rig.broker.digest(rig.now);
    assert_eq!((digest.services, digest.clients, digest.held), (0, 0, 0));
    assert_eq!(rig.broker.due(), None, "nothing is left to do");
}

#[test]
fn waiting_requests_of_a_client_that_has_gone_are_dropped() {
    let mut rig = Rig::new(config());
    rig.asks("a", OLD, "s", "x");
    rig.asks("a", OLD, "t", "x");
    rig.asks("b", OLD, "s", "y");
    rig.gone("a");
    assert_eq!(rig.broker.counters().abandoned, 2);
    assert_eq!(bodies(&rig.ready("w", NEW, "s")), [("w", "y")]);
    rig.gone("b");
    assert_eq!(rig.broker.digest(rig.now).held, 1, "it is at work");
}

#[test]
fn the_management_interface() {
    let mut rig = Rig::new(config());
    assert_eq!(disconnects(&rig.ready("w", OLD, "mmi.service")), ["w"]);
    rig.ready("w", OLD, "echo");
    rig.asks("c", OLD, "other", "x");
    for (service, body, reply) in [
        ("mmi.service", "echo", vec!["200"]),
        ("mmi.service", "other", vec!["404"]),
        ("mmi.service", "unknown", vec!["404"]),
        ("mmi.what", "x", vec!["501"]),
        ("mmi.", "x", vec!["501"]),
        ("mmi.services", "", vec!["200", "echo"]),
        ("mmi.workers", "", vec!["200", "echo 77 0.1 idle"]),
        (
            "mmi.queues",
            "",
            vec![
                "200",
                "echo workers=1 idle=1 queued=0 bytes=0",
                "other workers=0 idle=0 queued=1 bytes=1",
            ],
        ),
    ] {
        let sent = rig.asks("c", NEW, service, body);
        assert_eq!(sent[0].1[..3], ["MDPC02", "\x03", service]);
        assert_eq!(sent[0].1[3..], reply, "{service} {body}");
    }
    let sent = rig.asks("c", OLD, "mmi.status", "");
    assert!(sent[0].1[4].contains("service other workers=0 idle=0 queued=1"));
    assert!(sent[0].1[4].contains("workers_refused=1"));
}

#[test]
fn unexpected_commands_are_answered_by_disconnect() {
    let mut rig = Rig::new(config());
    assert_eq!(
        disconnects(&rig.says("x", OLD, FromWorker::Heartbeat)),
        ["x"]
    );
    assert_eq!(disconnects(&rig.reply("x", NEW, 1, "?")), ["x"]);
    assert!(rig.says("x", NEW, FromWorker::Disconnect).is_empty());
    let mut bad = |what: &dyn Fn(&mut Rig) -> Vec<Sent>| {
        rig.ready("w", NEW, "echo");
        rig.asks("c", NEW, "echo", "x");
        let sent = what(&mut rig);
        assert_eq!(disconnects(&sent), ["w"]);
        assert_eq!(bodies(&rig.ready("v", NEW, "echo")), [("v", "x")]);
        rig.gone("c");
        rig.gone("v");
    };
    bad(&|rig| rig.ready("w", NEW, "echo"));
    bad(&|rig| rig.reply("w", NEW, 99, "not that one"));
    bad(&|rig| rig.says("w", OLD, FromWorker::Heartbeat));
    bad(&|rig| rig.from("w", ["MDPW02", "\x09"].into_iter().collect()));
    assert!(rig.from("z", Message::from("garbage")).is_empty());
    assert_eq!(rig.broker.counters().invalid, 2);
}

fn stamped(number: u64, body: &str) -> Message {
    let key = Key {
        client: [7; 16],
        number,
    };
    let (service, body) = ("echo".into(), vec![key.stamp(), body.into()]);
    ToBroker::Request { service, body }.frames(NEW)
}

#[test]
fn a_stamped_request_is_executed_once() {
    let mut rig = Rig::new(config());
    rig.ready("w", OLD, "echo");
    let sent = rig.from("a", stamped(1, "x"));
    assert_eq!(sent[0].1[4..], ["", "x"], "the worker sees no stamp");
    assert!(rig.from("b", stamped(1, "x")).is_empty(), "it is at work");
    let sent = rig.reply("w", OLD, 1, "y");
    assert_eq!(bodies(&sent), [("b", "y")], "where it was asked for last");
    assert_eq!(sent[0].1.len(), 5, "with a stamp");
    let sent = rig.from("c", stamped(1, "x"));
    assert_eq!(bodies(&sent), [("c", "y")]);
    let counters = rig.broker.counters();
    assert_eq!(
        (
            counters.dispatched,
            counters.joined,
            counters.answered_again
        ),
        (1, 1, 1)
    );
    assert_eq!(bodies(&rig.from("c", stamped(2, "x"))), [("w", "x")]);
}

#[test]
fn parts_of_a_stamped_reply_come_when_it_is_whole_and_come_again() {
    let mut rig = Rig::new(config());
    rig.ready("w", NEW, "echo");
    rig.from("a", stamped(1, "x"));
    let address: Frame = 1u64.to_be_bytes().into();
    let part = FromWorker::Partial {
        address,
        body: vec!["p".into()],
    };
    // Another worker may execute it again, and no part of both replies is mixed.
    rig.ready("w2", NEW, "echo");
    assert!(rig.says("w", NEW, part).is_empty());
    assert_eq!(bodies(&rig.gone("w")), [("w2", "x")]);
    let (address, body) = (1u64.to_be_bytes().into(), vec!["q".into()]);
    let part = FromWorker::Partial { address, body };
    assert!(rig.says("w2", NEW, part).is_empty());
    assert!(rig.from("b", stamped(1, "x")).is_empty());
    let sent = rig.reply("w2", NEW, 1, "r");
    assert_eq!(bodies(&sent), [("b", "q"), ("b", "r")]);
    let sent = rig.from("c", stamped(1, "x"));
    assert_eq!(bodies(&sent), [("c", "q"), ("c", "r")]);
}

#[test]
fn a_durable_reply_waits_and_is_not_lost_by_a_drain() {
    use crate::majordomo::DurableReplies;
    use crate::titanic::{Bounds, MemoryAnswers};
    let replies = DurableReplies::new(std::sync::Arc::new(MemoryAnswers::new(Bounds::default())));
    let mut rig = Rig::new(config());
    rig.broker = Broker::with_replies(config(), replies);
    rig.ready("w", NEW, "echo");
    rig.from("a", stamped(1, "x"));
    assert!(rig.reply("w", NEW, 1, "y").is_empty(), "it is not durable");
    let Some(&Note::Sync(mark)) = rig.notes.last() else {
        panic!("{:?}", rig.notes);
    };
    // Its worker is free, whoever asks again waits as well, and a drain waits for it.
    assert_eq!(bodies(&rig.from("b", stamped(2, "z"))), [("w", "z")]);
    assert!(rig.from("c", stamped(1, "x")).is_empty());
    assert!(rig.reply("w", NEW, 2, "zz").is_empty());
    rig.gone("w");
    assert_eq!(bodies(&rig.event(Event::Stop)), []);
    assert!(!rig.ended);
    let synced = Event::Command(Command::Synced(mark, Ok(())));
    let sent = rig.event(synced);
    assert_eq!(bodies(&sent), [("c", "y"), ("b", "zz")]);
    assert_eq!(sent[0].1.len(), 5, "with a stamp");
    assert!(rig.ended);
    assert_eq!(rig.broker.counters().joined, 1);
    assert_eq!(rig.broker.counters().not_kept, 0);
}

#[test]
fn a_durable_reply_is_not_lost_by_standing_by() {
    use crate::binary_star::Voter as _;
    use crate::majordomo::DurableReplies;
    use crate::titanic::{Bounds, MemoryAnswers};
    let replies = DurableReplies::new(std::sync::Arc::new(MemoryAnswers::new(Bounds::default())));
    let mut rig = Rig::new(config());
    rig.broker = Broker::with_replies(config(), replies);
    rig.does(|broker, now, actions| broker.set_active(true, now, actions));
    rig.ready("w", NEW, "echo");
    rig.from("a", stamped(1, "x"));
    rig.from("b", stamped(2, "z"));
    assert_eq!(bodies(&rig.reply("w", NEW, 1, "y")), [("w", "z")]);
    let Some(&Note::Sync(mark)) = rig.notes.last() else {
        panic!("{:?}", rig.notes);
    };
    let sent = rig.does(|broker, now, actions| broker.set_active(false, now, actions));
    assert_eq!(refusals(&sent).len(), 1, "{sent:?}");
    assert_eq!(disconnects(&sent), ["w"]);
    let synced = Event::Command(Command::Synced(mark, Ok(())));
    assert_eq!(bodies(&rig.event(synced)), [("a", "y")]);
}

#[test]
fn it_drains() {
    let mut rig = Rig::new(config());
    for id in ["w1", "w2"] {
        rig.ready(id, NEW, "echo");
    }
    rig.asks("a", NEW, "echo", "x");
    rig.asks("b", NEW, "other", "y");
    let sent = rig.event(Event::Stop);
    assert_eq!(refusals(&sent), [("b", "503")]);
    assert_eq!(disconnects(&sent), ["w2"]);
    assert_eq!(refusals(&rig.asks("c", NEW, "echo", "z")), [("c", "503")]);
    assert_eq!(disconnects(&rig.ready("w3", NEW, "echo")), ["w3"]);
    assert!(!rig.ended);
    let sent = rig.reply("w1", NEW, 1, "done");
    assert_eq!(bodies(&sent)[0], ("a", "done"));
    assert_eq!(disconnects(&sent), ["w1"]);
    assert!(rig.ended);
    let mut rig = Rig::new(config());
    rig.ready("w", NEW, "echo");
    rig.asks("a", NEW, "echo", "x");
    rig.event(Event::Stop);
    for _ in 0..29 {
        rig.says("w", NEW, FromWorker::Heartbeat);
        rig.pass(Duration::from_secs(1));
    }
    assert!(!rig.ended);
    rig.says("w", NEW, FromWorker::Heartbeat);
    rig.pass(Duration::from_secs(1));
    assert!(rig.ended, "it does not wait for ever");
}

#[test]
fn ten_thousand_idle_workers_cost_their_heartbeats() {
    let mut rig = Rig::new(config());
    for n in 0..10_000u32 {
        rig.ready(&format!("w{n}"), NEW, &format!("s{}", n % 1000));
        rig.now = rig.now + Duration::from_micros(250);
    }
    // All of them are due within an interval, each by itself.
    let mut events = 0;
    let mut sent = 0;
    let until = Time::ZERO + HEARTBEAT * 2;
    while let Some(at) = rig.broker.due().filter(|at| *at < until) {
        rig.now = at;
        let now = rig.event(Event::Due).len();
        assert!(now <= 1, "{now} at once");
        sent += now;
        events += 1;
    }
    assert_eq!((events, sent), (10_000, 10_000));
}
