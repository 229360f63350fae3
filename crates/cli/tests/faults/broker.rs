//! Clients, `xebec broker` and workers.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use xebec_patterns::Backoff;
use xebec_patterns::majordomo::{ClientConfig, ClientMachine};

use crate::common::{Scratch, Xebec, run, start};
use crate::load::{LIMIT, Load};
use crate::relay::Relay;

/// A worker that is silent for 750 ms is given up, one that works for a second, too.
const SETTINGS: &str = "
[default]
heartbeat = '250ms'
retries = 10
[service.loop]
reply-time = '500ms'
retries = 1
[service.full]
messages = 10
";

/// A broker, which comes back where it was.
pub(crate) struct Broker {
    pub(crate) process: Xebec,
    pub(crate) at: String,
    settings: Scratch,
}

impl Broker {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, "")
    }

    /// The same with more settings.
    pub(crate) fn start_with(name: &str, settings: &str) -> Self {
        let text = format!("{SETTINGS}{settings}");
        let settings = Scratch::new(&format!("{name}.toml"), text.as_bytes());
        let mut process = start(&["broker", settings.path(), "--bind", "tcp://127.0.0.1:*"]);
        let at = process.bound();
        Broker {
            process,
            at,
            settings,
        }
    }

    fn kill_and_restart(&mut self) {
        self.process.kill();
        self.process = start(&["broker", self.settings.path(), "--bind", &self.at]);
        self.process.bound();
    }

    /// A worker, once it is registered.
    pub(crate) fn worker(&mut self, args: &[&str]) -> Xebec {
        let worker = worker(&self.at, args);
        self.process.says("event=worker-ready");
        worker
    }

    pub(crate) fn status(&self) -> String {
        run(&["broker", "status", "--broker", &self.at], "")
            .ok()
            .join("\n")
    }

    /// Waits until the broker's digest has this in it, while others are served.
    pub(crate) fn tells(&self, text: &str, load: &Load) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if status.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no `{text}` in: {status}");
            load.answered(1);
        }
    }
}

pub(crate) fn worker(at: &str, args: &[&str]) -> Xebec {
    let common = ["worker", "--heartbeat", "250ms", "--broker", at];
    start(&[&common, args].concat())
}

pub(crate) fn call(at: &str, args: &[&str]) -> Xebec {
    start(&[&["call", "--timeout", "50s", "--broker", at], args].concat())
}

/// A client whose requests are sent again for half a minute.
pub(crate) fn client(at: &str) -> ClientMachine {
    let mut config = ClientConfig::new(at);
    config.timeout = Duration::from_secs(1);
    config.attempts = 30;
    config.reconnect = Backoff {
        first: Duration::from_millis(10),
        longest: Duration::from_millis(500),
        jitter: 0.5,
    };
    ClientMachine::new(config, [7; 16], fastrand::Rng::with_seed(7))
}

/// Some are served after it, and those that it hit have had time to come to their end.
const AFTER: u64 = 100;

#[test]
fn a_worker_is_killed_stands_still_and_comes_back() {
    for (signal, name) in [(Signal::KILL, "KILL"), (Signal::STOP, "STOP")] {
        let mut broker = Broker::start(&format!("worker-{name}"));
        let [first, _second] = [(); 2].map(|()| broker.worker(&["echo"]));
        let load = Load::start(client(&broker.at), 4);
        first.signal(signal);
        let gone = broker.process.says("event=worker-gone");
        load.answered(AFTER);
        if signal == Signal::KILL {
            assert!(gone.contains("why=lost"), "{gone}");
            let _third = broker.worker(&["echo"]);
            load.answered(AFTER);
        } else {
            assert!(gone.contains("why=expired"), "{gone}");
            first.signal(Signal::CONT);
            broker.process.says("event=worker-ready");
            load.answered(AFTER);
        }
        load.end_without_loss(&format!("broker, worker, {name}"));
    }
}

#[test]
fn the_broker_is_killed_and_started_again() {
    let mut broker = Broker::start("broker-killed");
    let _workers = [(); 2].map(|()| broker.worker(&["echo"]));
    let load = Load::start(client(&broker.at), 4);
    broker.kill_and_restart();
    // Both register anew, without being told.
    broker.process.says("event=worker-ready");
    broker.process.says("event=worker-ready");
    load.answered(AFTER);
    load.end_without_loss("broker, broker, KILL and restart");
}

#[test]
fn the_broker_stands_still() {
    let mut broker = Broker::start("broker-stopped");
    let mut worker = broker.worker(&["echo"]);
    let load = Load::start(client(&broker.at), 4);
    worker.says("event=up");
    broker.process.signal(Signal::STOP);
    worker.says("event=down");
    broker.process.signal(Signal::CONT);
    worker.says("event=up");
    load.answered(AFTER);
    load.end_without_loss("broker, broker, STOP and CONT");
}

/// The first of two worker commands that takes this name hangs, with its worker, until a file is there.
fn waits_for(file: &Scratch) -> String {
    let path = file.path();
    format!(
        "echo busy >&2; while [ -s {path} ] && [ -d /proc/$PPID ]; do sleep 0.02; done; echo done"
    )
}

#[test]
fn a_client_is_killed_and_stands_still() {
    let busy = Scratch::new("client.busy", b"yes");
    let mut broker = Broker::start("client");
    let _echo = broker.worker(&["echo"]);
    let mut job = broker.worker(&["job", "--exec", &waits_for(&busy)]);
    let load = Load::start(client(&broker.at), 4);
    // One is at work, and its client stands still; one waits, and its client is killed.
    let stopped = call(&broker.at, &["job", "one"]);
    job.says("busy");
    stopped.signal(Signal::STOP);
    let killed = call(&broker.at, &["job", "two"]);
    broker.tells("queued=1 ", &load);
    killed.signal(Signal::KILL);
    // Nobody waits for it any more.
    broker.tells("abandoned=1", &load);
    std::fs::write(&busy.0, "").unwrap();
    load.answered(AFTER);
    load.end_without_loss("broker, another client, KILL and STOP");
    stopped.signal(Signal::CONT);
    assert_eq!(stopped.wait().ok(), ["done"], "its reply has waited for it");
}

#[test]
fn the_network_is_cut_and_mended() {
    for (silent, who) in [
        (true, "worker"),
        (true, "client"),
        (false, "worker"),
        (false, "client"),
    ] {
        let mut broker = Broker::start(&format!("cut-{who}-{silent}"));
        let relay = Relay::to(&broker.at);
        let link = relay.endpoint();
        let (to_worker, to_client) = match who {
            "worker" => (link, broker.at.clone()),
            _ => (broker.at.clone(), link),
        };
        let mut worker = worker(&to_worker, &["echo"]);
        broker.process.says("event=worker-ready");
        worker.says("event=up");
        let load = Load::start(client(&to_client), 4);
        match (silent, who) {
            (false, _) => relay.reset(),
            (_, "worker") => {
                relay.cut();
                broker.process.says("why=expired");
                worker.says("event=down");
                relay.mend();
            }
            _ => {
                relay.cut();
                // For longer than the client waits before it asks again.
                let other = Load::start(client(&broker.at), 4);
                other.goes_on(Duration::from_millis(1500));
                other.end_without_loss("broker, beside a client that is cut off");
                relay.mend();
            }
        }
        load.answered(AFTER);
        let what = if silent {
            "cut without a word"
        } else {
            "connections lost"
        };
        load.end_without_loss(&format!("broker, network of a {who}, {what}"));
    }
}

#[test]
fn a_slow_link_slows_nobody_else() {
    let mut broker = Broker::start("slow");
    let _workers = [(); 2].map(|()| broker.worker(&["echo"]));
    let relay = Relay::to(&broker.at);
    relay.slow(Duration::from_millis(20));
    let mut config = ClientConfig::new(relay.endpoint());
    config.timeout = Duration::from_secs(30);
    let slow = ClientMachine::new(config, [8; 16], fastrand::Rng::with_seed(8));
    let slow = Load::start(slow, 1);
    let fast = Load::start(client(&broker.at), 4);
    slow.answered(20);
    let (fast, slow) = (
        fast.end("broker, beside a slow link"),
        slow.end("broker, the slow link (20 ms for each piece)"),
    );
    assert_eq!(fast.failures() + slow.failures(), 0);
    assert!(fast.replied > slow.replied * 2, "{fast}, slow: {slow}");
}

#[test]
fn an_endless_loop_is_ended_and_told() {
    let mut broker = Broker::start("loop");
    let _echo = broker.worker(&["echo"]);
    let forever = "while [ -d /proc/$PPID ]; do :; done";
    let _looping = [(); 2].map(|()| broker.worker(&["loop", "--exec", forever]));
    let load = Load::start(client(&broker.at), 4);
    let said = call(&broker.at, &["loop", "x"]).wait().failed(1);
    assert!(said.contains("502 the worker is gone (overdue)"), "{said}");
    load.answered(AFTER);
    load.end_without_loss("broker, endless loop in two workers of another service");
    assert!(broker.status().contains("workers_overdue=2"));
}

#[test]
fn overload_is_refused_in_words() {
    let busy = Scratch::new("full.busy", b"yes");
    let mut broker = Broker::start("full");
    let _echo = broker.worker(&["echo"]);
    let mut job = broker.worker(&["full", "--exec", &waits_for(&busy)]);
    let load = Load::start(client(&broker.at), 4);
    let calls: Vec<_> = (0..15).map(|_| call(&broker.at, &["full", "x"])).collect();
    job.says("busy");
    // One is at work, nine wait, five are refused at once.
    broker.tells("refused_full=5", &load);
    std::fs::write(&busy.0, "").unwrap();
    let ends: Vec<_> = calls.into_iter().map(Xebec::wait).collect();
    let (done, refused): (Vec<_>, Vec<_>) = ends.into_iter().partition(|e| e.status == Some(0));
    assert_eq!((done.len(), refused.len()), (10, 5));
    for end in refused {
        let said = end.failed(1);
        assert!(
            said.contains("503 too many requests wait for this service"),
            "{said}"
        );
    }
    load.answered(AFTER);
    load.end_without_loss("broker, overload and overflow of another service");
}
