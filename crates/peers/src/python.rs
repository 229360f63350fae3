//! Scripts with pyzmq, run as child processes that talk in lines.
//!
//! pyzmq lives in a virtual environment of its own, `peers/venv` below the target directory.
//! [`Python::load`] finds it there, or makes it with `python3 -m venv` and pip; with
//! `XEBEC_PEERS=present` in the environment it only takes what is there.
//!
//! A script finds these names defined:
//!
//! | name | what |
//! |---|---|
//! | `zmq` | the module |
//! | `context` | a context whose sockets wait at most ten seconds and linger for one |
//! | `args` | the arguments given to [`Python::spawn`], strings |
//! | `say(x)` | writes `str(x)` as one line, which [`PythonPeer::expect_line`] returns |
//! | `hear()` | the next line of [`PythonPeer::say`], or `""` after [`PythonPeer::hang_up`] |
//!
//! At its end the context's sockets are closed. A peer is killed on drop, and leaves by itself if
//! the process that started it dies.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What pip is asked for: pyzmq, and implementations of Majordomo, of which majortomo needs six without saying so. `pyzmq-mdp` is built with an old
/// setuptools, because its `setup.py` asks for `use_2to3`, and without a build environment of its own.
const REQUIREMENTS: [&[&str]; 2] = [
    &[
        "pyzmq>=26,<28",
        "tornado",
        "majortomo==0.2.0",
        "six",
        "setuptools<58",
        "wheel",
    ],
    &["--no-build-isolation", "--no-deps", "pyzmq-mdp==0.2"],
];

/// What runs before the script, which is the first argument.
const PRELUDE: &str = r#"
import os, sys, threading, time, zmq

def stay_with(parent):
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)

threading.Thread(target=stay_with, args=(os.getppid(),), daemon=True).start()

def say(x):
    print(x, flush=True)

def hear():
    return sys.stdin.readline().rstrip("\n")

context = zmq.Context()
context.rcvtimeo = context.sndtimeo = 10000
context.linger = 1000
args = sys.argv[2:]
exec(compile(sys.argv[1], "<peer>", "exec"))
context.destroy()
"#;

/// A Python interpreter that has pyzmq.
pub struct Python {
    interpreter: PathBuf,
    version: String,
}

impl Python {
    /// The interpreter of the virtual environment, which is made if it may be; once per process.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn load() -> Result<&'static Python, String> {
        static LOADED: OnceLock<Result<Python, String>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| {
            if let Some(python) = Python::find() {
                return Ok(python);
            }
            if env::var("XEBEC_PEERS").is_ok_and(|value| value == "present") {
                let place = environment();
                return Err(format!(
                    "there is no pyzmq in {} and XEBEC_PEERS=present forbids to install it: run `cargo xtask peers`",
                    place.display()
                ));
            }
            Python::install()
        });
        loaded.as_ref().map_err(Clone::clone)
    }

    /// The interpreter of the virtual environment, if it is there and has pyzmq.
    pub fn find() -> Option<Python> {
        let interpreter = environment().join("bin/python");
        // pyzmq-mdp cannot be imported as it is: see `MDP` in the tests that use it.
        let script = "import zmq, majortomo, importlib.metadata as m; m.version('pyzmq-mdp'); \
            print('pyzmq', zmq.__version__, 'with libzmq', zmq.zmq_version())";
        let output = Command::new(&interpreter)
            .args(["-I", "-c", script])
            .output()
            .ok()?;
        output.status.success().then(|| Python {
            interpreter,
            version: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        })
    }

    /// Makes the virtual environment with pyzmq, anew where there is a broken one. Processes that
    /// do so at the same time wait for each other, and the first one's work is enough.
    ///
    /// # Errors
    /// The step that failed, and how to go on.
    pub fn install() -> Result<Python, String> {
        let place = environment();
        let parent = place.parent().expect("`peers` is above it");
        let lock = fs::create_dir_all(parent)
            .and_then(|()| File::create(parent.join("lock")))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| format!("{} cannot be written: {error}", parent.display()))?;
        if let Some(python) = Python::find() {
            return Ok(python);
        }
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&place),
            "install it with `apt-get install python3 python3-venv`",
        )?;
        for packages in REQUIREMENTS {
            run(
                Command::new(place.join("bin/python"))
                    .args(["-m", "pip", "install", "--quiet", "--retries", "2"])
                    .args(["--disable-pip-version-check", "--no-input"])
                    .args(packages),
                "pip must reach a package index",
            )?;
        }
        drop(lock);
        Python::find()
            .ok_or_else(|| format!("{REQUIREMENTS:?} were installed but cannot be imported"))
    }

    /// The versions of pyzmq and of the libzmq inside it, for people.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Starts a script; the module's doc tells what it finds.
    ///
    /// # Panics
    /// If no process can be started.
    pub fn spawn<A: AsRef<str>>(&self, script: &str, args: &[A]) -> PythonPeer {
        let mut child = Command::new(&self.interpreter)
            .args(["-I", "-u", "-c", PRELUDE, script])
            .args(args.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.interpreter.display()));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            // Stops early where nobody listens any more.
            lines.map(|line| sender.send(line)).all(|sent| sent.is_ok());
        });
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            // What came before an error is still worth showing.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        PythonPeer {
            child,
            stdin,
            lines,
            complaints: Some(complaints),
        }
    }
}

/// A running script. Killed on drop.
pub struct PythonPeer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Collects standard error; taken when the script is over.
    complaints: Option<JoinHandle<String>>,
}

impl PythonPeer {
    /// The next line that the script says.
    ///
    /// # Panics
    /// If none comes within `timeout`, or the script ends first; with what it wrote to its
    /// standard error.
    #[track_caller]
    pub fn expect_line(&mut self, timeout: Duration) -> String {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => self.fail("said nothing in time"),
            Err(RecvTimeoutError::Disconnected) => self.fail("ended without a word"),
        }
    }

    /// Says one line to the script.
    ///
    /// # Panics
    /// If the script is gone, or was told that this is the end.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not after hang_up");
        if writeln!(stdin, "{line}").is_err() {
            self.fail("does not listen");
        }
    }

    /// Says that nothing more will be said.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for the script's good end, and returns the lines not read yet.
    ///
    /// # Panics
    /// If `timeout` passes without a word, or the script fails.
    #[track_caller]
    pub fn finish(mut self, timeout: Duration) -> Vec<String> {
        self.hang_up();
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(timeout) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Timeout) => self.fail("did not end in time"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Its standard output is closed, so it is at its end.
        match self.child.wait() {
            Ok(status) if status.success() => rest,
            _ => self.fail("failed"),
        }
    }

    /// The process, to be looked at or sent signals.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    fn fail(&mut self, what: &str) -> ! {
        self.end();
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        let complaints = complaints.unwrap_or_default();
        panic!("the Python peer {what}; its standard error:\n{complaints}");
    }

    fn end(&mut self) {
        // Both fail only for a process that is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for PythonPeer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the virtual environment is, or will be.
fn environment() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    // Cargo takes a relative one from where it was started; here that is the workspace.
    workspace.join(target).join("peers/venv")
}

fn run(command: &mut Command, remedy: &str) -> Result<(), String> {
    let (ok, said) = match command.stdin(Stdio::null()).output() {
        Ok(output) => (
            output.status.success(),
            [output.stdout, output.stderr].concat(),
        ),
        Err(error) => (false, error.to_string().into_bytes()),
    };
    if ok {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    Err(format!("{command:?} failed ({remedy}):\n{}", said.trim()))
}
