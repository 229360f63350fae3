//! Runs the `xebec` binary: its lines as they come, its signals, its end. Nothing here sleeps: every
//! wait is for a line or for an exit, with a limit that only a failure reaches.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running `xebec`, killed if the test ends first.
pub(crate) struct Xebec {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    said: Vec<String>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

/// The program, not yet started.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xebec"));
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts `xebec` with these arguments.
pub(crate) fn start(args: &[&str]) -> Xebec {
    spawn(command(args))
}

/// Starts a program whose standard streams are pipes.
pub(crate) fn spawn(mut command: Command) -> Xebec {
    let mut child = command.spawn().expect("the binary starts");
    Xebec {
        stdin: child.stdin.take(),
        stdout: lines(child.stdout.take().unwrap()),
        stderr: lines(child.stderr.take().unwrap()),
        child,
        said: Vec::new(),
    }
}

/// Runs `xebec` to its end with this standard input.
pub(crate) fn run(args: &[&str], input: &str) -> Ended {
    let mut xebec = start(args);
    xebec.type_in(input);
    xebec.end_input();
    xebec.wait()
}

pub(crate) fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { return };
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    receiver
}

impl Xebec {
    /// Writes to its standard input.
    pub(crate) fn type_in(&mut self, text: &str) {
        // It may have gone already, which its exit status will tell.
        let _ = self
            .stdin
            .as_mut()
            .expect("open")
            .write_all(text.as_bytes());
    }

    /// Closes its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        match self.stdout.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(why) => panic!(
                "no line of output ({why}); on stderr: {:?}",
                self.stderr.try_iter().collect::<Vec<_>>()
            ),
        }
    }

    /// The next lines of its output.
    pub(crate) fn lines<const N: usize>(&self) -> [String; N] {
        std::array::from_fn(|_| self.line())
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn says(&mut self, text: &str) -> String {
        loop {
            match self.stderr.recv_timeout(LIMIT) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(why) => panic!("never said `{text}` ({why}), but: {:?}", self.said),
            }
        }
    }

    /// The endpoint that it was bound to.
    pub(crate) fn bound(&mut self) -> String {
        let line = self.says("bound to ");
        line.rsplit(' ').next().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and the end that it leads to.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ctrl-C, and the exit status that it leads to.
    pub(crate) fn interrupted(self) -> Ended {
        self.interrupt();
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        let collect = |from: &Receiver<String>, into: &mut Vec<String>| {
            let deadline = Instant::now() + LIMIT;
            loop {
                match from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(line) => into.push(line),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => panic!("does not end; so far: {into:?}"),
                }
            }
        };
        let mut stdout = Vec::new();
        collect(&self.stdout, &mut stdout);
        let mut stderr = std::mem::take(&mut self.said);
        collect(&self.stderr, &mut stderr);
        let status = self.child.wait().expect("it ran").code();
        Ended {
            status,
            stdout,
            stderr,
        }
    }

    /// The processes that it has started, once there are `count` of them.
    pub(crate) fn children(&self, count: usize) -> Vec<Pid> {
        let pid = self.child.id();
        let deadline = Instant::now() + LIMIT;
        loop {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
                .unwrap_or_default();
            let pids = children
                .split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            let children: Vec<Pid> = pids.collect();
            if children.len() == count {
                return children;
            }
            assert!(
                Instant::now() < deadline,
                "{} children instead of {count}",
                children.len()
            );
            thread::yield_now();
        }
    }
}

/// Waits until a process that is not this one's child is gone (or waits for its parent to see it).
pub(crate) fn wait_until_gone(process: Pid) {
    let deadline = Instant::now() + LIMIT;
    let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(
            Instant::now() < deadline,
            "process {process:?} is left behind"
        );
        thread::yield_now();
    }
}

impl Drop for Xebec {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ended {
    /// Its output, after it ended with status 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Vec<String> {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout
    }

    /// All that was said on standard error, after it ended with `status`.
    #[track_caller]
    pub(crate) fn failed(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        self.stderr.join("\n")
    }
}

/// A number that whoever runs the tests has set.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap())
}

/// A file that goes away with the test.
pub(crate) struct Scratch(pub(crate) std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str, body: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("xebec-test-{}-{name}", std::process::id()));
        // A process of this number may have been killed before.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::write(&path, body).unwrap();
        Scratch(path)
    }

    /// A place where there is nothing yet.
    pub(crate) fn nothing(name: &str) -> Self {
        let scratch = Scratch::new(name, b"");
        std::fs::remove_file(&scratch.0).unwrap();
        scratch
    }

    /// A directory for the files of one test.
    pub(crate) fn folder(name: &str) -> Self {
        let scratch = Scratch::nothing(name);
        std::fs::create_dir(&scratch.0).unwrap();
        scratch
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// A file in the directory.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
