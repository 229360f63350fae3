//! Two `xebec broker` processes as a pair, and what becomes of calls when one of them is killed, stands
//! still or comes back. How long each recovery took is printed.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Scratch, Xebec, run, start};
use rustix::process::Signal;

const ANY: &str = "tcp://127.0.0.1:*";

/// The directory of the settings of both and of the two ends of their link.
struct Setup(Scratch);

impl Setup {
    fn new(name: &str, more: &str) -> Self {
        let text = format!("[default]\nheartbeat = '200ms'\n[ha]\nheartbeat = '300ms'\n{more}");
        let folder = Scratch::folder(name);
        std::fs::write(folder.file("pair.toml"), text).unwrap();
        Setup(folder)
    }

    fn link(&self, which: usize) -> String {
        format!("ipc://{}", self.0.file(&which.to_string()))
    }

    /// Starts one of the two, bound to an endpoint.
    fn broker(&self, role: &str, at: &str) -> (Xebec, String) {
        let own = usize::from(role == "--backup");
        let (own, peer) = (self.link(own), self.link(1 - own));
        let settings = &self.0.file("pair.toml");
        let mut broker = start(&[
            "broker",
            settings,
            role,
            "--bind",
            at,
            "--ha-own",
            &own,
            "--ha-peer",
            &peer,
        ]);
        let at = broker.bound();
        (broker, at)
    }

    /// Starts both; the primary serves.
    fn pair(&self) -> [(Xebec, String); 2] {
        let mut primary = self.broker("--primary", ANY);
        let mut backup = self.broker("--backup", ANY);
        primary.0.says("event=serves");
        backup.0.says("to=Passive");
        [primary, backup]
    }
}

fn worker(brokers: [&str; 2]) -> Xebec {
    let [a, b] = brokers;
    let exec = "tr a-z A-Z";
    start(&[
        "worker",
        "upper",
        "-b",
        a,
        "-b",
        b,
        "--exec",
        exec,
        "--heartbeat",
        "200ms",
    ])
}

/// Calls one after the other, each by a process of its own, until it is dropped.
struct Calls {
    done: Receiver<Instant>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Calls {
    fn new(brokers: [&str; 2]) -> Self {
        let [a, b] = brokers.map(str::to_owned);
        let (sender, done) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let calls = move || {
            while !stopped.load(Ordering::Relaxed) {
                let call = [
                    "call",
                    "upper",
                    "hello",
                    "-b",
                    &a,
                    "-b",
                    &b,
                    "--timeout",
                    "1s",
                    "--attempts",
                    "40",
                ];
                assert_eq!(run(&call, "").ok(), ["HELLO"]);
                let _ = sender.send(Instant::now());
            }
        };
        Calls {
            done,
            stop,
            thread: Some(thread::spawn(calls)),
        }
    }

    /// Waits for so many more.
    fn go_on(&self, count: usize) {
        let limit = Duration::from_secs(60);
        for _ in 0..count {
            self.done.recv_timeout(limit).expect("calls go on");
        }
    }

    /// How long after this moment the first call after it was done: how long nobody was served.
    fn recovered(&self, what: &str, from: Instant) {
        let limit = Duration::from_secs(60);
        loop {
            let done = self.done.recv_timeout(limit).expect("calls go on");
            if done > from {
                // The one that was all but done at that moment may count; the next certainly does.
                let next = self.done.recv_timeout(limit).expect("calls go on");
                println!("{what}: served again after {:?}", next - from);
                return;
            }
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let outcome = self.thread.take().unwrap().join();
        assert!(outcome.is_ok() || thread::panicking(), "a call failed");
    }
}

fn status(at: &str) -> String {
    run(&["broker", "status", "--broker", at], "")
        .ok()
        .join("\n")
}

#[test]
fn calls_go_on_when_the_primary_is_killed() {
    let setup = Setup::new("pair-killed", "");
    let [(mut primary, at), (mut backup, other)] = setup.pair();
    let _worker = worker([&at, &other]);
    primary.says("event=worker-ready");
    let calls = Calls::new([&at, &other]);
    calls.go_on(5);
    let killed = Instant::now();
    primary.signal(Signal::KILL);
    primary.wait();
    calls.recovered("kill -9 of the primary", killed);
    backup.says("text=\"I: failover successful, ready active\"");
    backup.says("event=worker-ready");

    // It comes back and stands by: it has no worker, and gives nothing out.
    let (mut primary, at) = setup.broker("--primary", &at);
    primary.says("to=Passive");
    calls.go_on(5);
    let text = status(&at);
    assert!(
        text.contains(" standing_by=true ") && text.contains(" workers=0 "),
        "{text}"
    );
    assert!(!text.contains("dispatched="), "{text}");
    assert!(status(&other).contains(" standing_by=false "));

    // The operator gives back, and later ends the primary in good order.
    let given_back = Instant::now();
    backup.signal(Signal::USR2);
    primary.says("event=serves");
    calls.recovered("SIGUSR2 to the backup", given_back);
    primary.says("event=worker-ready");
    let ended = Instant::now();
    primary.signal(Signal::TERM);
    assert_eq!(primary.wait().status, Some(143));
    calls.recovered("SIGTERM to the primary", ended);
    calls.go_on(2);
}

#[test]
fn calls_go_on_when_the_primary_stands_still_and_it_finds_so() {
    let setup = Setup::new("pair-stopped", "");
    let [(mut primary, at), (mut backup, other)] = setup.pair();
    let _worker = worker([&at, &other]);
    primary.says("event=worker-ready");
    let calls = Calls::new([&at, &other]);
    calls.go_on(5);
    let stopped = Instant::now();
    primary.signal(Signal::STOP);
    calls.recovered("SIGSTOP of the primary", stopped);
    backup.says("event=worker-ready");
    primary.signal(Signal::CONT);
    primary.says("event=stands-by");
    primary.says("to=Passive");
    calls.go_on(5);
    let [text, serving] = [&at, &other].map(|at| status(at));
    assert!(
        text.contains(" standing_by=true ") && text.contains(" workers=0 "),
        "{text}"
    );
    assert!(serving.contains(" standing_by=false "), "{serving}");
}

#[test]
fn the_backup_gives_back_by_itself_where_that_is_asked_for() {
    let setup = Setup::new("pair-back", "fail-back = '500ms'\n");
    let [(primary, at), (mut backup, other)] = setup.pair();
    primary.signal(Signal::KILL);
    primary.wait();
    let _worker = worker([&at, &other]);
    let calls = Calls::new([&at, &other]);
    calls.go_on(1);
    backup.says("event=serves");
    let (mut primary, _) = setup.broker("--primary", &at);
    backup.says("text=\"I: handing over to peer (passive)\"");
    primary.says("event=serves");
    calls.go_on(5);
}

#[test]
fn two_of_the_same_role_end() {
    let setup = Setup::new("pair-same", "");
    let (a, b) = (setup.link(0), setup.link(1));
    let one = |own: &str, peer: &str| {
        start(&[
            "broker",
            "--primary",
            "--bind",
            ANY,
            "--ha-own",
            own,
            "--ha-peer",
            peer,
        ])
    };
    let both = [one(&a, &b), one(&b, &a)];
    for ended in both.map(Xebec::wait) {
        let said = ended.failed(1);
        assert!(said.contains("both are primary"), "{said}");
        assert!(said.contains("the other with --backup"), "{said}");
    }
    let said = run(&["broker", "--ha-peer", "tcp://localhost:1"], "").failed(1);
    assert!(said.contains("--primary or --backup"), "{said}");
}
