//! Clients and one server, and clients, queue and workers: the first two topologies of the pirates.

use std::time::Duration;

use xebec::{Context, Options};
use xebec_patterns::lazy::{Client, Command, Config, Failure, Form, Output};
use xebec_patterns::{Backoff, Driver};

use crate::load::{LIMIT, Load};
use crate::programs::{Program, endpoint};
use crate::relay::Relay;

/// Attempts of half a second for half a minute.
fn config(at: &str) -> Config {
    let mut config = Config::new([at]);
    config.timeout = Duration::from_millis(500);
    config.attempts = 60;
    config.backoff = Backoff {
        first: Duration::from_millis(10),
        longest: Duration::from_millis(200),
        jitter: 0.5,
    };
    config.options = Options::new().reconnect_ivl(Duration::from_millis(20));
    config
}

fn client(at: &str) -> Client {
    Client::new(config(at), 7)
}

/// Its work takes 10 ms instead of a second.
fn server(at: &str) -> Program {
    Program::start("lpserver", [at, "--scale", "0.01", "--script", "n"])
}

/// Another client gives up after two attempts.
fn is_unanswered(at: &str) {
    let mut short = config(at);
    short.attempts = 2;
    let outcome = Load::ask_once(Client::new(short, 8));
    assert!(outcome.is_err(), "it was answered");
}

// ---- clients and one server ----

#[test]
fn the_server_is_killed_and_stands_still() {
    // Over a DEALER what was asked twice is answered twice, and the second is nobody's reply.
    for (form, at_once) in [(Form::Req, 1), (Form::Dealer, 4)] {
        let at = endpoint();
        let load = || {
            let mut config = config(&at);
            config.form = form;
            Load::start(Client::new(config, 7), at_once)
        };
        let first = server(&at);
        let before = load();
        drop(first);
        let second = server(&at);
        before.answered(20);
        before.end_without_loss(&format!("one server, {form:?}, KILL and restart"));
        let before = load();
        second.signal("-STOP");
        is_unanswered(&at);
        second.signal("-CONT");
        before.answered(20);
        before.end_without_loss(&format!("one server, {form:?}, STOP and CONT"));
    }
}

#[test]
fn another_client_is_killed() {
    let at = endpoint();
    let _server = server(&at);
    let load = Load::start(client(&at), 1);
    let other = Program::start("lpclient", [&at]);
    other.until("I: server replied OK (3)");
    drop(other);
    load.answered(20);
    load.end_without_loss("one server, another client, KILL");
}

#[test]
fn the_link_to_the_server_is_cut_and_slow() {
    let at = endpoint();
    let _server = server(&at);
    let relay = Relay::to(&at);
    let load = Load::start(client(&relay.endpoint()), 1);
    relay.cut();
    let direct = Load::start(client(&at), 1);
    direct.end_without_loss("one server, beside a client that is cut off");
    relay.mend();
    load.answered(20);
    relay.reset();
    load.answered(20);
    relay.slow(Duration::from_millis(50));
    load.answered(10);
    load.end_without_loss("one server, network cut, connection lost, slow link");
}

#[test]
fn the_server_is_overloaded_and_crashes_by_itself() {
    let at = endpoint();
    // Two requests take seconds instead of milliseconds, then it crashes.
    let first = Program::start("lpserver", [&*at, "--scale", "0.5", "--script", "nnooc"]);
    let mut patient = config(&at);
    patient.timeout = LIMIT * 10;
    let mut driver = Driver::new(&Context::new(), Client::new(patient, 7)).expect("a client");
    let reply = |driver: &mut Driver<Client>, number| {
        driver
            .command(Command::Request(number, "x".into()))
            .expect("it runs");
        loop {
            match driver.recv().expect("it runs") {
                Output::Reply(n, _) => return assert_eq!(n, number),
                Output::Failed(_, why) => panic!("{why}"),
                _ => {}
            }
        }
    };
    (1..=4).for_each(|number| reply(&mut driver, number));
    driver
        .command(Command::Request(5, "x".into()))
        .expect("it runs");
    first.until("I: simulating a crash");
    // It asks again as soon as there is a connection again, and does not wait for the timeout.
    let _second = server(&at);
    let mut lost = 0;
    loop {
        match driver.recv_timeout(LIMIT).expect("it runs") {
            Some(Output::Reply(5, _)) => break,
            Some(Output::Retrying(5, Failure::Lost)) => lost += 1,
            Some(Output::Connecting { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lost, 1);
}

/// Row 107: no connection, no reply in time, and a long call that is still at work.
#[test]
fn timeouts_are_told_apart() {
    let at = endpoint();
    let mut short = config(&at);
    short.attempts = 2;
    let nobody = Load::ask_once(Client::new(short.clone(), 7)).unwrap_err();
    assert!(
        nobody.starts_with("cannot connect to the server: "),
        "{nobody}"
    );
    // Its work takes a second.
    let _server = Program::start("lpserver", [&*at, "--script", "n"]);
    let mut patient = short.clone();
    patient.patience = Some(Duration::from_secs(30));
    patient.timeout = Duration::from_millis(200);
    let mut driver = Driver::new(&Context::new(), Client::new(patient, 7)).expect("a client");
    driver
        .command(Command::Request(1, "x".into()))
        .expect("it runs");
    let mut working = 0;
    loop {
        match driver.recv_timeout(LIMIT).expect("it runs") {
            Some(Output::Working(1, _)) => working += 1,
            Some(Output::Reply(1, _)) => break,
            Some(Output::Connecting { .. } | Output::Retrying(_, Failure::Unconnected(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(working > 0, "it was told that the call is still at work");
    // The same server, without patience.
    let silent = Load::ask_once(Client::new(short, 8));
    assert_eq!(silent, Err(Failure::Silent.to_string()));
}

// ---- clients, queue and workers ----

struct Queue {
    kind: &'static str,
    front: String,
    back: String,
    process: Option<Program>,
}

impl Queue {
    fn start(kind: &'static str) -> Self {
        let mut queue = Queue {
            kind,
            front: endpoint(),
            back: endpoint(),
            process: None,
        };
        queue.restart();
        queue
    }

    /// Kills it, if it runs, and starts it where it was.
    fn restart(&mut self) {
        self.process = None;
        let arguments = [&*self.front, &*self.back, "--scale", "0.1"];
        self.process = Some(Program::start(&format!("{}queue", self.kind), arguments));
    }

    fn process(&self) -> &Program {
        self.process.as_ref().expect("it runs")
    }

    /// Work that takes 100 ms.
    fn worker(&self) -> Program {
        self.worker_at(&self.back, "0.1")
    }

    fn worker_at(&self, at: &str, scale: &str) -> Program {
        let arguments = [at, "--scale", scale, "--script", "n"];
        let worker = Program::start(&format!("{}worker", self.kind), arguments);
        while !worker.line().ends_with("worker ready") {}
        worker
    }
}

const AFTER: u64 = 5;

#[test]
fn a_worker_of_a_queue_is_killed_and_stands_still() {
    for kind in ["sp", "pp"] {
        for signal in ["-KILL", "-STOP"] {
            let queue = Queue::start(kind);
            let workers = [queue.worker(), queue.worker()];
            let load = Load::start(client(&queue.front), 1);
            workers[0].signal(signal);
            load.answered(AFTER);
            if signal == "-STOP" {
                workers[0].signal("-CONT");
                load.answered(AFTER);
            }
            load.end_without_loss(&format!("{kind}queue, worker, {signal}"));
        }
    }
}

#[test]
fn a_queue_is_killed_and_stands_still() {
    for kind in ["sp", "pp"] {
        let mut queue = Queue::start(kind);
        let _workers = [queue.worker(), queue.worker()];
        let load = Load::start(client(&queue.front), 1);
        queue.restart();
        load.answered(AFTER);
        load.end_without_loss(&format!("{kind}queue, queue, KILL and restart"));
        let load = Load::start(client(&queue.front), 1);
        queue.process().signal("-STOP");
        is_unanswered(&queue.front);
        queue.process().signal("-CONT");
        load.answered(AFTER);
        load.end_without_loss(&format!("{kind}queue, queue, STOP and CONT"));
    }
}

/// It has the first request that it gets for longer than anybody waits, and says nothing.
#[test]
fn a_worker_of_a_queue_loops_for_ever() {
    for kind in ["sp", "pp"] {
        let queue = Queue::start(kind);
        let _looping = queue.worker_at(&queue.back, "1000");
        let _good = queue.worker();
        let load = Load::start(client(&queue.front), 1);
        load.answered(AFTER);
        load.end_without_loss(&format!("{kind}queue, worker in an endless loop"));
    }
}

#[test]
fn the_links_of_a_queue_are_cut() {
    let queue = Queue::start("pp");
    let [to_queue, from_queue] = [Relay::to(&queue.front), Relay::to(&queue.back)];
    let remote = queue.worker_at(&from_queue.endpoint(), "0.1");
    let load = Load::start(client(&to_queue.endpoint()), 1);
    from_queue.cut();
    remote.until("W: heartbeat failure, can't reach queue");
    let _local = queue.worker();
    load.answered(AFTER);
    from_queue.mend();
    remote.until("I: normal reply");
    load.end_without_loss("ppqueue, network of a worker, cut without a word");
    let load = Load::start(client(&to_queue.endpoint()), 1);
    to_queue.cut();
    let direct = Load::start(client(&queue.front), 1);
    direct.end_without_loss("ppqueue, beside a client that is cut off");
    to_queue.mend();
    load.answered(AFTER);
    load.end_without_loss("ppqueue, network of a client, cut without a word");
}

/// A queue holds nothing itself: where all workers are busy, requests wait at their clients, which
/// refuse what is too much.
#[test]
fn overload_waits_at_the_client_which_refuses() {
    let queue = Queue::start("pp");
    let _worker = queue.worker();
    let mut config = config(&queue.front);
    config.form = Form::Dealer;
    config.timeout = Duration::from_secs(30);
    (config.window, config.backlog) = (2, 3);
    let mut driver = Driver::new(&Context::new(), Client::new(config, 7)).expect("a client");
    for number in 1..=20 {
        driver
            .command(Command::Request(number, "x".into()))
            .expect("it runs");
    }
    let (mut replied, mut refused) = (0, 0);
    while replied + refused < 20 {
        match driver.recv_timeout(LIMIT).expect("it runs") {
            Some(Output::Reply(..)) => replied += 1,
            Some(Output::Failed(_, why)) => {
                assert_eq!(why, Failure::Refused);
                refused += 1;
            }
            Some(_) => {}
            None => panic!("requests without an end: {replied} replied, {refused} refused"),
        }
    }
    println!("ppqueue, 20 requests at once: {replied} replied, {refused} refused");
    assert_eq!((replied, refused), (5, 15));
}
