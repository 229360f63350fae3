//! The machine, and under what conditions it measured.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;

use crate::library::Library;
use crate::run::Effort;

/// Everything that a reader must know to compare the numbers with others.
pub(crate) struct Conditions {
    effort: Effort,
    libraries: Vec<&'static dyn Library>,
    load: String,
}

impl Conditions {
    /// As they are now, before anything is measured.
    pub(crate) fn now(effort: Effort, libraries: &[&'static dyn Library]) -> Self {
        let load = read("/proc/loadavg");
        let load = load.split_whitespace().next().unwrap_or("unknown");
        Conditions {
            effort,
            libraries: libraries.to_vec(),
            load: load.to_owned(),
        }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = read("/proc/cpuinfo");
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let kernel = read("/proc/sys/kernel/osrelease");
        let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
        writeln!(
            f,
            "* machine: {cpus} × {model}; Linux {kernel}, TCP congestion control {congestion}"
        )?;
        writeln!(f, "* load average when it began: {}", self.load)?;
        writeln!(
            f,
            "* built by {}, release profile; commit {}",
            said("rustc", &["--version"]),
            commit()
        )?;
        for library in &self.libraries {
            writeln!(f, "* {}: {}", library.name(), library.about())?;
        }
        write!(
            f,
            "* {} interleaved runs of each, about {} s long: median (minimum–maximum)",
            self.effort.times(),
            self.effort.seconds()
        )
    }
}

/// Bytes of this process that are in memory.
pub(crate) fn resident() -> f64 {
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0)
}

fn read(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim().to_owned()
}

fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    said("git", &["-C", here, "describe", "--always", "--dirty"])
}

/// What a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let output = output.filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}
