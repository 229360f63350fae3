//! The processes that take part.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, iter};

use super::child::Child;

/// What all threads of a process have used.
pub(crate) fn processor_time(of: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", of.child.id()));
    let stat = stat.expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name").1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|text| text.parse::<u64>().expect("ticks")).sum();
    // A tick is a hundredth of a second on every machine.
    Duration::from_millis(ticks * 10)
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
    (Child::of(child, iter::empty()), at)
}
