//! The processes that take part.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

/// A process that is killed when this is dropped.
pub(crate) struct Child {
    child: std::process::Child,
    lines: std::cell::RefCell<Box<dyn Iterator<Item = String>>>,
}

impl Child {
    /// This program, as one of the ends.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env::current_exe().expect("a program has a path"));
        command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Child {
            child,
            lines: std::cell::RefCell::new(Box::new(lines.map_while(Result::ok))),
        }
    }

    fn line(&self) -> String {
        let line = self.lines.borrow_mut().next();
        line.expect("the end says something before it ends")
    }

    /// The words of its next line.
    pub(crate) fn words<const N: usize>(&self) -> [String; N] {
        let words: Vec<String> = self.line().split_whitespace().map(str::to_owned).collect();
        words.try_into().expect("so many words")
    }

    pub(crate) fn numbers<const N: usize>(&self) -> [f64; N] {
        self.words().map(|word| word.parse().expect("a number"))
    }

    /// What all its threads have used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("it runs");
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|text| text.parse::<u64>().expect("ticks")).sum();
        // A tick is a hundredth of a second on every machine.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, which is beside the folder of the examples.
fn xebec() -> PathBuf {
    let me = env::current_exe().expect("a program has a path");
    let path = me.ancestors().nth(2).unwrap_or(Path::new("")).join("xebec");
    assert!(
        path.exists(),
        "{} is not there: cargo build --release -p xebec-cli",
        path.display()
    );
    path
}

/// `xebec broker`, and where it is.
pub(crate) fn broker(heartbeat: &str) -> (Child, String) {
    let name = format!("xebec-broker-bench-{}.toml", std::process::id());
    let settings = env::temp_dir().join(name);
    fs::write(&settings, format!("[default]\nheartbeat = '{heartbeat}'\n")).expect("written");
    let mut command = Command::new(xebec());
    command
        .arg("broker")
        .arg(&settings)
        .args(["--bind", "tcp://127.0.0.1:*"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let bound = lines.next().expect("a line").expect("a line");
    let at = bound.rsplit(' ').next().expect("an endpoint").to_owned();
    assert!(at.starts_with("tcp://"), "{bound}");
    let _ = fs::remove_file(settings);
    // Its log goes nowhere, but is read.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let lines = std::cell::RefCell::new(Box::new(std::iter::empty()) as _);
    (Child { child, lines }, at)
}
