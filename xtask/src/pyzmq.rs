//! Runs pyzmq's own tests on Debian's libzmq and on ours, and compares test by test.
//!
//! pyzmq is built from its source distribution, once against each library, so that our header and
//! our staged prefix are tried as well. Everything is in `peers/pyzmq` below the target directory:
//! a virtual environment with the tools, the sources, and a folder with the module for each
//! library. What follows `--` goes to pytest: `cargo xtask pyzmq -- -k monitor`.
//!
//! A test that hangs or dies takes its process along. What it had not come to yet runs in a next
//! process, so that no test is hidden by another.
//!
//! It fails if a test passes on libzmq and not on ours, or cannot be run on ours; [`EXCUSED`] has
//! the exceptions.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use xebec_peers::nothing_may_be_skipped;

use crate::checks::{shown, succeed, target_directory};
use crate::{Outcome, Request, install, peers};

const VERSION: &str = "27.3.0";

const TOOLS: &[&str] = &[
    "cmake>=3.15,<5",
    "cython>=3,<4",
    "ninja>=1.11,<2",
    "packaging",
    "pytest>=8,<10",
    "pytest-asyncio>=1,<2",
    "pytest-rerunfailures>=14",
    "pytest-timeout>=2.4,<3",
    "scikit-build-core>=0.10,<2",
    "setuptools",
    "tornado>=6.4,<7",
];

/// The variables that could lead to a libzmq or a pyzmq other than those that are meant.
const ELSEWHERE: &[&str] = &[
    "CMAKE_PREFIX_PATH",
    "C_INCLUDE_PATH",
    "CPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "PREFIX",
    "PYTHONPATH",
    "ZMQ_PREFIX",
];

/// Why pyzmq may leave out a test on ours that passes on Debian's: part of what it says itself.
const EXCUSED: &[&str] = &[
    // By the version number, although ours steers proxies as older versions do.
    "Steerable Proxies removed in libzmq 4.3.5",
];

/// How long one test may take; the longest takes ten seconds, and many give up by themselves after 60.
const TEST_SECONDS: &str = "75";
/// How long nothing at all may happen; more than a test, since pytest itself has an end.
const SILENCE: Duration = Duration::from_secs(120);

/// Tells on the standard error what became of each test, at once and in lines of its own, and
/// leaves out the tests that ran in an earlier process.
const PLUGIN: &str = r#"
import os

done = set(os.environ["XEBEC_DONE"].split("\n"))
# The duplicate is not among what pytest captures.
channel = os.dup(2)

def tell(*words):
    line = "\t".join(word.replace("\t", " ").replace("\n", " ") for word in words)
    os.write(channel, f"xebec\t{line}\n".encode())

def why(report):
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)

def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.nodeid not in done]

def pytest_collectreport(report):
    if report.failed:
        tell("failed", report.nodeid, why(report)[:300])

def pytest_runtest_logstart(nodeid):
    tell("start", nodeid, "")

def pytest_runtest_logreport(report):
    if report.outcome in ("failed", "skipped"):
        tell(report.outcome, report.nodeid, why(report)[:300])

def pytest_runtest_logfinish(nodeid):
    tell("end", nodeid, "")

def pytest_sessionfinish():
    tell("over", "", "")
"#;

/// Which libzmq a module has, and where that is.
const ASK: &str = "\
import os, zmq
maps = open('/proc/self/maps').read().split()
place = {os.path.realpath(word) for word in maps if '/libzmq.so' in word}
print('pyzmq', zmq.__version__, 'on libzmq', zmq.zmq_version(), *place)";

const LIBZMQ: &str = "libzmq";
const OURS: &str = "ours";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    Skipped(String),
    Failed(String),
    /// It took its process along, or had to be ended with it.
    Died,
}

/// What became of each test, by its name.
type Verdicts = BTreeMap<String, Verdict>;

/// Stands among the tests for what comes after them: a process with an open socket may hang there.
const LAST: &str = "the end of the process";

/// What one process has told.
#[derive(Debug, Default)]
struct Told {
    verdicts: Verdicts,
    /// The test that has begun and not ended.
    running: Option<String>,
    /// Whether all tests are through.
    over: bool,
}

pub(crate) fn compare(request: &Request) -> Outcome {
    let tools = match Tools::prepare(request) {
        Ok(tools) => tools,
        Err(why) if nothing_may_be_skipped() => return Err(why),
        Err(why) => return Ok(vec![format!("pyzmq's tests are skipped: {why}")]),
    };
    install::stage(&tools.prefix())?;
    let libzmq = tools.build(LIBZMQ, ("PYZMQ_NO_BUNDLE", "1".into()))?;
    let ours = tools.build(OURS, ("ZMQ_PREFIX", tools.prefix().into()))?;
    let libzmq = tools.test(LIBZMQ, &libzmq, &request.rest)?;
    let ours = tools.test(OURS, &ours, &request.rest)?;
    print_counts(&libzmq, &ours);
    let (lost, excused) = differences(&libzmq, &ours);
    lost.iter().for_each(|line| println!("{line}"));
    if !lost.is_empty() {
        let count = lost.len();
        return Err(format!("{count} tests pass on libzmq and not on ours"));
    }
    Ok(excused)
}

/// The virtual environment and the sources.
struct Tools {
    place: PathBuf,
}

impl Tools {
    fn prepare(request: &Request) -> Result<Tools, String> {
        let place = target_directory().join("peers/pyzmq");
        fs::create_dir_all(&place)
            .map_err(|error| format!("{} cannot be made: {error}", place.display()))?;
        peers::headers(request)?;
        let tools = Tools { place };
        if !tools.python().exists() {
            if request.no_install {
                return Err("there is nothing to build it with, and --no-install was given".into());
            }
            peers::python_for_building()?;
            let mut venv = Command::new("python3");
            succeed(venv.args(["-m", "venv"]).arg(tools.place.join("tools")))?;
        }
        // Takes no time and no network once all is there.
        succeed(tools.pip("install").args(TOOLS))?;
        if !tools.source().exists() {
            let mut download = tools.pip("download");
            download.args(["--no-deps", "--no-build-isolation", "--no-binary", "pyzmq"]);
            download.args(["--dest", ".", &format!("pyzmq=={VERSION}")]);
            succeed(&mut download)?;
            let archive = format!("pyzmq-{VERSION}.tar.gz");
            let mut unpack = tools.command(&tools.python());
            succeed(unpack.args(["-m", "tarfile", "-e", &archive, "."]))?;
        }
        Ok(tools)
    }

    fn python(&self) -> PathBuf {
        self.place.join("tools/bin/python")
    }

    /// Where our library is staged.
    fn prefix(&self) -> PathBuf {
        self.place.join("prefix")
    }

    fn source(&self) -> PathBuf {
        self.place.join(format!("pyzmq-{VERSION}"))
    }

    fn pip(&self, chore: &str) -> Command {
        let mut pip = self.command(&self.python());
        pip.args(["-m", "pip", chore, "--quiet"]);
        pip.args(["--disable-pip-version-check", "--no-input"]);
        pip
    }

    /// A command that finds the tools, and no other pyzmq or libzmq than it is told.
    fn command(&self, program: &Path) -> Command {
        let mut path = OsString::from(self.place.join("tools/bin"));
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        let mut command = Command::new(program);
        command.current_dir(&self.place).stdin(Stdio::null());
        command.env("PATH", path);
        for variable in ELSEWHERE {
            command.env_remove(variable);
        }
        command
    }

    /// Builds pyzmq against one library, into a folder that `PYTHONPATH` can name.
    fn build(&self, name: &str, setting: (&str, OsString)) -> Result<PathBuf, String> {
        let folder = self.place.join(name);
        let _ = fs::remove_dir_all(&folder);
        let mut install = self.pip("install");
        install.args([
            "--no-deps",
            "--no-build-isolation",
            "--no-cache-dir",
            "--target",
        ]);
        install.arg(&folder).arg(self.source());
        succeed(install.env(setting.0, setting.1))?;
        let mut ask = self.command(&self.python());
        ask.env("PYTHONPATH", &folder).args(["-c", ASK]);
        let told = ask
            .output()
            .map_err(|error| format!("{}: {error}", shown(&ask)))?;
        if !told.status.success() {
            let complaint = String::from_utf8_lossy(&told.stderr);
            return Err(format!("pyzmq for {name} cannot be imported:\n{complaint}"));
        }
        let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        println!("{name}: {told}");
        let is_ours = told.contains(&*self.prefix().to_string_lossy());
        if is_ours != (name == OURS) {
            return Err(format!("pyzmq for {name} has found another library"));
        }
        Ok(folder)
    }

    /// Runs the tests, in as many processes as it takes.
    fn test(&self, name: &str, module: &Path, rest: &[String]) -> Result<Verdicts, String> {
        let plugin = self.place.join("xebec_verdicts.py");
        fs::write(&plugin, PLUGIN)
            .map_err(|error| format!("{} cannot be written: {error}", plugin.display()))?;
        let log = self.place.join(format!("{name}.log"));
        let file = File::create(&log)
            .map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
        let mut verdicts = Verdicts::new();
        loop {
            let known = verdicts.len();
            let file = file.try_clone().map_err(|error| error.to_string())?;
            let told = self.test_process(module, rest, file, &verdicts)?;
            verdicts.extend(told.verdicts);
            if told.over {
                break;
            }
            if verdicts.len() == known {
                let log = log.display();
                return Err(format!(
                    "pytest does not get to any test on {name}; see {log}"
                ));
            }
        }
        let list = self.place.join(format!("{name}.txt"));
        let lines = verdicts
            .iter()
            .map(|(test, verdict)| format!("{verdict:?} {test}\n"));
        fs::write(&list, lines.collect::<String>())
            .map_err(|error| format!("{} cannot be written: {error}", list.display()))?;
        println!("{name}: the verdicts are in {}", list.display());
        Ok(verdicts)
    }

    /// One process, for the tests that have no verdict yet.
    fn test_process(
        &self,
        module: &Path,
        rest: &[String],
        log: File,
        known: &Verdicts,
    ) -> Result<Told, String> {
        let source = self.source();
        let done: Vec<&str> = known.keys().map(String::as_str).collect();
        let modules = env::join_paths([module, &self.place]).map_err(|error| error.to_string())?;
        let mut pytest = self.command(&self.python());
        pytest.args(["-m", "pytest", "-p", "xebec_verdicts"]);
        pytest.args(["-p", "no:cacheprovider", "--color=no"]);
        pytest.args(["--timeout", TEST_SECONDS, "--timeout-method", "thread"]);
        // Some wait a fixed time for a peer and fail on a busy machine, with either library.
        pytest.args(["--reruns", "2", "--reruns-delay", "1"]);
        pytest.arg("-c").arg(source.join("pytest.ini"));
        pytest.arg(source.join("tests")).args(rest);
        pytest.env("XEBEC_DONE", done.join("\n"));
        pytest.env("PYTHONPATH", modules);
        let mut child = pytest
            .stdout(log)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("pytest cannot be started: {error}"))?;
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = stderr.split(b'\n').map_while(Result::ok);
            lines.map(|line| sender.send(line)).all(|sent| sent.is_ok());
        });
        let mut told = Told::default();
        let ended = loop {
            match lines.recv_timeout(SILENCE) {
                Ok(line) => told.note(&String::from_utf8_lossy(&line)),
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        if !ended {
            // It fails only for a process that is over.
            let _ = child.kill();
        }
        child.wait().map_err(|error| error.to_string())?;
        if let Some(test) = told.running.take() {
            told.verdicts.insert(test, Verdict::Died);
        } else if told.over {
            let verdict = if ended {
                Verdict::Passed
            } else {
                Verdict::Died
            };
            told.verdicts.insert(LAST.to_owned(), verdict);
        }
        Ok(told)
    }
}

impl Told {
    /// Takes in one line of the plugin; others are pytest's own.
    fn note(&mut self, line: &str) {
        let mut words = line.splitn(4, '\t');
        if words.next() != Some("xebec") {
            return;
        }
        let (Some(what), Some(test)) = (words.next(), words.next()) else {
            return;
        };
        let test = test.to_owned();
        let why = words.next().unwrap_or_default().to_owned();
        match what {
            "start" => self.running = Some(test),
            "end" => {
                self.running = None;
                self.verdicts.entry(test).or_insert(Verdict::Passed);
            }
            "skipped" => {
                self.verdicts.entry(test).or_insert(Verdict::Skipped(why));
            }
            // A test that passed may still fail when it is taken down.
            "failed" => {
                self.verdicts.insert(test, Verdict::Failed(why));
            }
            "over" => self.over = true,
            _ => {}
        }
    }
}

fn print_counts(libzmq: &Verdicts, ours: &Verdicts) {
    println!("{:<10} {:>8} {:>8}", "", "libzmq", "ours");
    let kinds: [(&str, fn(&Verdict) -> bool); 4] = [
        ("passed", |verdict| *verdict == Verdict::Passed),
        ("failed", |verdict| matches!(verdict, Verdict::Failed(_))),
        ("died", |verdict| *verdict == Verdict::Died),
        ("skipped", |verdict| matches!(verdict, Verdict::Skipped(_))),
    ];
    for (name, is) in kinds {
        let count = |verdicts: &Verdicts| verdicts.values().filter(|v| is(v)).count();
        println!("{name:<10} {:>8} {:>8}", count(libzmq), count(ours));
    }
}

/// The tests that pass on libzmq and not on ours, a line each: those that count, and those excused.
fn differences(libzmq: &Verdicts, ours: &Verdicts) -> (Vec<String>, Vec<String>) {
    let (mut lost, mut excused) = (Vec::new(), Vec::new());
    for (test, verdict) in libzmq {
        if *verdict != Verdict::Passed {
            continue;
        }
        match ours.get(test) {
            Some(Verdict::Passed) => {}
            Some(Verdict::Skipped(why)) if EXCUSED.iter().any(|excuse| why.contains(excuse)) => {
                excused.push(format!("{test}: pyzmq leaves it out: {why}"));
            }
            Some(Verdict::Skipped(why)) => lost.push(format!("{test}: left out: {why}")),
            Some(Verdict::Failed(why)) => lost.push(format!("{test}: {why}")),
            Some(Verdict::Died) => lost.push(format!("{test}: it hangs, or its process dies")),
            None => lost.push(format!("{test}: it was not there")),
        }
    }
    (lost, excused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Told {
        let mut told = Told::default();
        lines.iter().for_each(|line| told.note(line));
        told
    }

    #[test]
    fn a_test_that_ends_without_a_complaint_has_passed() {
        let told = told(&["xebec\tstart\tt::a\t", "noise", "xebec\tend\tt::a\t"]);
        assert_eq!(told.verdicts["t::a"], Verdict::Passed);
        assert_eq!(told.running, None);
        assert!(!told.over);
    }

    #[test]
    fn a_failure_counts_whatever_else_is_told() {
        let told = told(&[
            "xebec\tstart\tt::a\t",
            "xebec\tskipped\tt::a\tsome of it",
            "xebec\tfailed\tt::a\tthe rest\twith a tab",
            "xebec\tend\tt::a\t",
            "xebec\tover\t\t",
        ]);
        let why = "the rest\twith a tab".to_owned();
        assert_eq!(told.verdicts["t::a"], Verdict::Failed(why));
        assert!(told.over);
    }

    #[test]
    fn a_test_without_an_end_is_still_running() {
        let told = told(&["xebec\tstart\tt::a\t"]);
        assert!(told.verdicts.is_empty());
        assert_eq!(told.running.as_deref(), Some("t::a"));
    }

    #[test]
    fn only_what_passes_on_libzmq_can_be_lost() {
        let verdicts = |list: &[(&str, Verdict)]| -> Verdicts {
            list.iter()
                .map(|(test, v)| ((*test).to_owned(), v.clone()))
                .collect()
        };
        let failed = Verdict::Failed("why".to_owned());
        let libzmq = verdicts(&[
            ("both", Verdict::Passed),
            ("died", Verdict::Passed),
            ("failed", Verdict::Passed),
            ("gone", Verdict::Passed),
            ("left out", Verdict::Passed),
            ("neither", failed.clone()),
            ("version", Verdict::Passed),
        ]);
        let ours = verdicts(&[
            ("both", Verdict::Passed),
            ("died", Verdict::Died),
            ("failed", failed.clone()),
            ("left out", Verdict::Skipped("no curve".to_owned())),
            ("more", failed.clone()),
            ("neither", failed),
            ("version", Verdict::Skipped(EXCUSED[0].to_owned())),
        ]);
        let (lost, excused) = differences(&libzmq, &ours);
        let names: Vec<&str> = lost
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(names, ["died", "failed", "gone", "left out"]);
        assert_eq!(excused.len(), 1);
    }
}
