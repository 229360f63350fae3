//! Runs the examples as processes and reads what they print.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// More than any line takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A free endpoint of this machine.
pub(crate) fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    format!("tcp://127.0.0.1:{port}")
}

/// Where the examples are, built as they stand in the sources.
fn examples() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "xebec-patterns",
            "--examples",
        ]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success());
        let test = std::env::current_exe().expect("the path of this test");
        let profile = test.ancestors().nth(2).expect("the profile's directory");
        profile.join("examples")
    })
}

/// An example that runs. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Program {
    pub(crate) fn start<S: AsRef<str>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(examples().join(name));
        command.args(arguments.into_iter().map(|arg| arg.as_ref().to_owned()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let out = child.stdout.take().expect("its output is a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let name = name.to_owned();
        Program { child, lines, name }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        let line = self.lines.recv_timeout(LIMIT);
        line.unwrap_or_else(|why| panic!("{} prints nothing more: {why}", self.name))
    }

    /// The next lines are these.
    pub(crate) fn expect<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) {
        for expected in lines {
            assert_eq!(self.line(), expected.as_ref(), "{}", self.name);
        }
    }

    /// Reads on until this line; returns those before it.
    pub(crate) fn until(&self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.line() {
                found if found == line => return before,
                other => before.push(other),
            }
            assert!(before.len() < 10_000, "{} never says {line}", self.name);
        }
    }

    /// What is printed up to the end, which comes by itself, and whether the end is a good one.
    pub(crate) fn rest(mut self) -> (Vec<String>, bool) {
        let mut rest = Vec::new();
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not end; so far: {rest:?}", self.name)
                }
            }
        }
        let good = self.child.wait().expect("it ends").success();
        (rest, good)
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
