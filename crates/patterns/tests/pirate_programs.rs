//! The seeds' programs as processes: their console lines to the letter, and what becomes of them when
//! one is killed or stands still.
//!
//! Times are a fraction of the Guide's; what a test waits for is a line, never a time.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// More than any line takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the examples are; `cargo test --test pirate_programs` alone would not build them.
fn examples() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("the test has a path");
        let profile = test.ancestors().nth(2).expect("it is in PROFILE/deps");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "xebec-patterns", "--examples"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().expect("cargo runs").success());
        profile.join("examples")
    })
}

/// A program, which ends with its test.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(name: &str, arguments: &str) -> Self {
        let mut command = Command::new(examples().join(name));
        command.args(arguments.split_whitespace());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example runs");
        let output = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Program { child, lines }
    }

    /// The next line; `None` if the program has ended.
    fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(_) => panic!("no line in time"),
        }
    }

    /// Waits for a line.
    fn until(&self, wanted: &str) {
        let mut seen = Vec::new();
        while let Some(line) = self.line() {
            if line == wanted {
                return;
            }
            seen.push(line);
        }
        panic!("{wanted:?} is not in {seen:#?}");
    }

    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it still runs");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An endpoint at a port that is free now.
fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("tcp://{}", listener.local_addr().expect("it is bound"))
}

fn transcript(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

const ABANDONED: &str = "
    W: no response from server, retrying...
    I: reconnecting to server...
    W: no response from server, retrying...
    I: reconnecting to server...
    E: server seems to be offline, abandoning
";

fn client_lines(answered: u32) -> Vec<String> {
    let mut text = "I: connecting to server...\n".to_owned();
    (1..=answered).for_each(|n| text += &format!("I: server replied OK ({n})\n"));
    transcript(&(text + ABANDONED))
}

#[test]
fn lazy_pirate_as_in_the_seed() {
    let at = endpoint();
    let server = Program::start("lpserver", &format!("{at} --scale 0.3 --script nnnoc"));
    let client = Program::start("lpclient", &format!("{at} --scale 0.3"));
    assert_eq!(client.rest(), client_lines(3));
    assert_eq!(
        server.rest(),
        transcript(
            "I: normal request (1)
            I: normal request (2)
            I: normal request (3)
            I: simulating CPU overload
            I: normal request (4)
            I: simulating a crash"
        )
    );
}

#[test]
fn simple_pirate_as_in_the_seed() {
    let (front, back) = (endpoint(), endpoint());
    let _queue = Program::start("spqueue", &format!("{front} {back}"));
    let worker = Program::start("spworker", &format!("{back} --scale 0.3 --script nnnooc"));
    let ready = worker.line().expect("a line");
    let name = ready
        .strip_prefix("I: (")
        .and_then(|rest| rest.split(')').next())
        .expect("a name");
    let client = Program::start("lpclient", &format!("{front} --scale 0.3"));
    assert_eq!(client.rest(), client_lines(3));
    let mut lines = vec![ready.clone()];
    lines.extend(worker.rest());
    let expected = transcript(
        "worker ready
        normal reply
        normal reply
        normal reply
        simulating CPU overload
        normal reply
        simulating CPU overload
        normal reply
        simulating a crash",
    );
    let expected: Vec<_> = expected
        .iter()
        .map(|text| format!("I: ({name}) {text}"))
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(name.len(), 9);
}

#[test]
fn paranoid_pirate_as_in_the_seed() {
    let (front, back) = (endpoint(), endpoint());
    let _queue = Program::start("ppqueue", &format!("{front} {back} --scale 0.3"));
    let worker = Program::start("ppworker", &format!("{back} --scale 0.3 --script nnnnnc"));
    assert_eq!(worker.line().as_deref(), Some("I: worker ready"));
    for _ in 0..9 {
        assert_eq!(worker.line().as_deref(), Some("I: worker heartbeat"));
    }
    let client = Program::start("lpclient", &format!("{front} --scale 0.3"));
    assert_eq!(client.rest(), client_lines(5));
    // How many heartbeats fall between two replies is a matter of when the client starts.
    let mut lines = worker.rest();
    assert!(
        lines
            .iter()
            .filter(|line| *line == "I: worker heartbeat")
            .count()
            >= 3,
        "{lines:?}"
    );
    lines.retain(|line| line != "I: worker heartbeat");
    assert_eq!(
        lines,
        transcript(
            "I: normal reply
            I: normal reply
            I: normal reply
            I: normal reply
            I: normal reply
            I: simulating a crash"
        )
    );
}

/// With a queue, a worker and a client that asks on and on: what has happened is over when the client
/// is answered again.
fn pirates(kind: &str, disturb: impl FnOnce(&str, &str, &mut Program, &mut Program)) {
    let (front, back) = (endpoint(), endpoint());
    let queue_line = format!("{front} {back} --scale 0.1");
    let worker_line = format!("{back} --scale 0.1 --script n");
    let mut queue = Program::start(&format!("{kind}queue"), &queue_line);
    let mut worker = Program::start(&format!("{kind}worker"), &worker_line);
    // The worker's second takes 100 ms, the client's patience lasts three times 10 s.
    let client = Program::start("lpclient", &format!("{front} --scale 4"));
    client.until("I: server replied OK (3)");
    disturb(&queue_line, &worker_line, &mut queue, &mut worker);
    // Two more, as one may have been on its way.
    let answered = |line: &String| line.starts_with("I: server replied OK");
    let mut more = std::iter::from_fn(|| client.line()).filter(answered);
    assert!(
        more.next().is_some() && more.next().is_some(),
        "it is not abandoned"
    );
}

#[test]
fn a_killed_worker_is_replaced() {
    for kind in ["sp", "pp"] {
        pirates(kind, |_, line, _, worker| {
            worker.signal(Signal::KILL);
            *worker = Program::start(&format!("{kind}worker"), line);
        });
    }
}

#[test]
fn a_killed_queue_gets_its_workers_back() {
    for kind in ["sp", "pp"] {
        pirates(kind, |line, _, queue, _| {
            queue.signal(Signal::KILL);
            let _ = queue.child.wait();
            *queue = Program::start(&format!("{kind}queue"), line);
        });
    }
}

#[test]
fn a_worker_that_stands_still_is_passed_over() {
    pirates("pp", |_, line, _, worker| {
        worker.signal(Signal::STOP);
        let other = Program::start("ppworker", line);
        let stopped = std::mem::replace(worker, other);
        worker.until("I: normal reply");
        drop(stopped);
    });
}

#[test]
fn a_queue_that_stood_still_goes_on() {
    pirates("pp", |_, _, queue, worker| {
        queue.signal(Signal::STOP);
        worker.until("W: heartbeat failure, can't reach queue");
        queue.signal(Signal::CONT);
    });
}
