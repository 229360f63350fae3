//! `xebec broker`, `call` and `worker` as processes, and what becomes of requests when one of them is
//! killed or stands still.

mod common;

use common::{Scratch, Xebec, run, start};
use rustix::process::Signal;

const ANY: &str = "tcp://127.0.0.1:*";

fn broker() -> (Xebec, String) {
    let mut broker = start(&["broker", "--bind", ANY]);
    let at = broker.bound();
    (broker, at)
}

/// A worker that the broker has registered.
fn worker(broker: &mut Xebec, at: &str, service: &str, exec: &str) -> Xebec {
    let worker = start(&["worker", service, "--broker", at, "--exec", exec]);
    broker.says("event=worker-ready");
    worker
}

/// A command that says that it is busy, for ever, the first time that it runs, and answers after that.
/// What it waits for is the end of the worker that started it.
fn hangs_once(scratch: &Scratch) -> String {
    format!(
        "if mkdir {0}.d 2>/dev/null; then echo busy >&2; tail --pid=$PPID -f /dev/null; else echo done; fi",
        scratch.path()
    )
}

struct Lock(Scratch);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(format!("{}.d", self.0.path()));
    }
}

fn lock(name: &str) -> Lock {
    Lock(Scratch::new(name, b""))
}

#[test]
fn a_command_is_a_service() {
    let (mut broker, at) = broker();
    let _worker = worker(&mut broker, &at, "upper", "tr a-z A-Z");
    assert_eq!(
        run(&["call", "upper", "hello", "--broker", &at], "").ok(),
        ["HELLO"]
    );
    assert_eq!(
        run(
            &["call", "upper", "--broker", &at, "--once"],
            "from a pipe\n"
        )
        .ok(),
        ["FROM A PIPE"]
    );
    let old = ["call", "upper", "hello", "--broker", &at, "--mdp", "0.1"];
    assert_eq!(run(&old, "").ok(), ["HELLO"]);
    let known = run(&["call", "mmi.service", "upper", "--broker", &at], "").ok();
    assert_eq!(known, ["200"]);
    let status = run(&["broker", "status", "--broker", &at], "").ok();
    assert!(status[0].starts_with("broker uptime="), "{status:?}");
    assert!(
        status[1].contains(" dispatched=3 ") && status[1].contains(" replies=4 "),
        "{status:?}"
    );
    assert_eq!(status[2], "service upper workers=1 idle=1 queued=0 bytes=0");
    broker.signal(Signal::USR1);
    broker.says("service upper workers=1");
    assert_eq!(broker.interrupted().status, Some(130));
}

#[test]
fn a_killed_workers_request_goes_to_another() {
    let lock = lock("killed");
    let (mut broker, at) = broker();
    let exec = hangs_once(&lock.0);
    let mut first = worker(&mut broker, &at, "job", &exec);
    let call = start(&["call", "job", "x", "--broker", &at, "--timeout", "50s"]);
    first.says("busy");
    let _second = worker(&mut broker, &at, "job", &exec);
    first.signal(Signal::KILL);
    assert!(
        broker
            .says("event=worker-gone")
            .contains("why=lost busy=true")
    );
    assert_eq!(call.wait().ok(), ["done"]);
}

#[test]
fn a_worker_that_stands_still_is_found_by_its_silence() {
    let lock = lock("stopped");
    let config = Scratch::new(
        "stopped.toml",
        b"bind = ['tcp://127.0.0.1:*']\n[default]\nheartbeat = '200ms'\n",
    );
    let mut broker = start(&["broker", config.path()]);
    let at = broker.bound();
    let exec = hangs_once(&lock.0);
    let args = [
        "worker",
        "job",
        "--broker",
        &at,
        "--exec",
        &exec,
        "--heartbeat",
        "200ms",
    ];
    let mut first = start(&args);
    broker.says("event=worker-ready");
    let call = start(&["call", "job", "x", "--broker", &at, "--timeout", "50s"]);
    first.says("busy");
    let _second = start(&args);
    broker.says("event=worker-ready");
    first.signal(Signal::STOP);
    assert!(
        broker
            .says("event=worker-gone")
            .contains("why=expired busy=true")
    );
    assert_eq!(call.wait().ok(), ["done"]);
    first.signal(Signal::CONT);
    // It learns that it was given up, and comes back.
    broker.says("event=worker-ready");
}

#[test]
fn a_request_that_kills_its_workers_is_reported() {
    let config = Scratch::new(
        "fails.toml",
        b"bind = ['tcp://127.0.0.1:*']\n[service.job]\nretries = 0\n",
    );
    let mut broker = start(&["broker", config.path()]);
    let at = broker.bound();
    let mut first = worker(
        &mut broker,
        &at,
        "job",
        "echo busy >&2; tail --pid=$PPID -f /dev/null",
    );
    let call = start(&["call", "job", "x", "--broker", &at, "--timeout", "50s"]);
    first.says("busy");
    first.signal(Signal::KILL);
    let said = call.wait().failed(1);
    assert!(said.contains("502 the worker is gone (lost)"), "{said}");
    assert!(broker.says("event=refused").contains("code=502"));
}

#[test]
fn a_broker_that_is_killed_and_started_again_has_its_workers_back() {
    let (mut first, at) = broker();
    let _worker = worker(&mut first, &at, "upper", "tr a-z A-Z");
    first.signal(Signal::KILL);
    first.wait();
    let call = start(&[
        "call",
        "upper",
        "hello",
        "--broker",
        &at,
        "--timeout",
        "20s",
    ]);
    let mut second = start(&["broker", "--bind", &at]);
    second.says("event=worker-ready");
    assert_eq!(call.wait().ok(), ["HELLO"]);
}

#[test]
fn on_sigterm_workers_end_what_they_are_at() {
    let lock = lock("drained");
    let (mut broker, at) = broker();
    let exec = format!(
        "echo busy >&2; until [ -e {}.d ]; do sleep 0.02; done; echo done",
        lock.0.path()
    );
    let mut worker = worker(&mut broker, &at, "job", &exec);
    let call = start(&["call", "job", "x", "--broker", &at, "--timeout", "50s"]);
    worker.says("busy");
    broker.signal(Signal::TERM);
    broker.says("event=draining busy=1");
    let refused = run(&["call", "job", "x", "--broker", &at], "").failed(1);
    assert!(
        refused.contains("503 the broker is about to end"),
        "{refused}"
    );
    std::fs::create_dir(format!("{}.d", lock.0.path())).unwrap();
    assert_eq!(call.wait().ok(), ["done"]);
    assert_eq!(broker.wait().status, Some(143));
}

#[test]
fn on_ctrl_c_it_ends_whatever_is_at_hand() {
    let lock = lock("interrupted");
    let (mut broker, at) = broker();
    let mut worker = worker(&mut broker, &at, "job", &hangs_once(&lock.0));
    let call = start(&["call", "job", "x", "--broker", &at, "--timeout", "50s"]);
    worker.says("busy");
    assert_eq!(broker.interrupted().status, Some(130));
    assert_eq!(call.interrupted().status, Some(130));
    assert_eq!(worker.interrupted().status, Some(130));
}

#[test]
fn mistakes_are_told() {
    let config = Scratch::new("wrong.toml", b"bnd = []\n");
    let said = run(&["broker", config.path()], "").failed(1);
    assert!(
        said.contains("wrong.toml") && said.contains("unknown field `bnd`"),
        "{said}"
    );
    let said = run(&["broker", "/nowhere.toml"], "").failed(1);
    assert!(said.contains("/nowhere.toml"), "{said}");
    let said = run(&["worker", "a\nb"], "").failed(2);
    assert!(said.contains("not the name of a service"), "{said}");
    let said = run(&["call", "", "x", "--broker", "tcp://127.0.0.1:1"], "").failed(1);
    assert!(said.contains("not the name of a service"), "{said}");
    let nobody = [
        "call",
        "x",
        "y",
        "--broker",
        "tcp://127.0.0.1:1",
        "--timeout",
        "20ms",
        "--attempts",
        "2",
    ];
    let said = run(&nobody, "").failed(124);
    assert!(
        said.contains("no reply in time from x at tcp://127.0.0.1:1"),
        "{said}"
    );
    let said = run(&["call", "x", "y", "--broker", "localhost:5555"], "").failed(2);
    assert!(said.contains("localhost:5555"), "{said}");
    let printed = run(&["broker", "--print-config"], "").ok().join("\n");
    let settings = Scratch::new("printed.toml", printed.as_bytes());
    let mut broker = start(&["broker", settings.path(), "--bind", ANY]);
    broker.bound();
}
