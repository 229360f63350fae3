//! Counts the instructions of the hot paths, and compares them with what is committed.
//!
//! The workloads are in `crates/xebec/examples/instructions.rs`; callgrind counts what the main
//! thread executes inside one function of it, round by round. Unlike times the counts hardly depend on the
//! machine. A path that has become dearer by more than [`SLACK`] fails; one that has become as
//! much cheaper is told, so that its number is lowered here.

use std::fs;
use std::process::Command;

use xebec_peers::nothing_may_be_skipped;

use crate::checks::{cargo, shown, succeed, target_directory};
use crate::{Outcome, Request, peers};

/// What one message or round trip costs.
struct Path {
    /// The workload's name.
    name: &'static str,
    about: &'static str,
    /// Instructions as they were last seen.
    committed: u64,
}

const PATHS: &[Path] = &[
    Path {
        name: "tcp-send",
        about: "a message of 64 bytes into the buffer of a tcp connection",
        committed: 340,
    },
    Path {
        name: "tcp-recv",
        about: "a message of 64 bytes out of the buffer of a tcp connection",
        committed: 378,
    },
    Path {
        name: "inproc",
        about: "a message of 64 bytes over inproc, sent and received",
        committed: 615,
    },
    Path {
        name: "tcp-req",
        about: "a round trip over tcp, both ends",
        committed: 9_030,
    },
    Path {
        name: "inproc-req",
        about: "a round trip over inproc, both ends",
        committed: 3_526,
    },
];

/// Messages or round trips of a round: BURST of the example.
const TIMES: u64 = 100;

/// In percent: compilers and C libraries differ by less, and whoever changes a path sees more.
const SLACK: u64 = 15;

/// So often a path is counted that seems to have become dearer.
const TRIES: usize = 5;

pub(crate) fn compare(request: &Request) -> Outcome {
    if let Err(why) = peers::valgrind(request) {
        if nothing_may_be_skipped() {
            return Err(format!("CI=true, nothing may be skipped, but {why}"));
        }
        return Ok(vec![format!("no instructions were counted: {why}")]);
    }
    let build = ["build", "--release", "--quiet", "--package", "xebec"];
    succeed(cargo().args(build).args(["--example", "instructions"]))?;
    println!("{:<12} {:>9} {:>9} {:>7}", "", "committed", "now", "");
    let mut dearer = Vec::new();
    let mut notes = Vec::new();
    for path in PATHS {
        let now = count_patiently(path)?;
        let percent = now as f64 * 100.0 / path.committed as f64 - 100.0;
        println!(
            "{:<12} {:>9} {now:>9} {percent:>+6.1}%  {}",
            path.name, path.committed, path.about
        );
        match verdict(path.committed, now) {
            Verdict::Same => {}
            Verdict::Dearer => dearer.push(path.name),
            Verdict::Cheaper => notes.push(format!(
                "{} costs {now} instructions, no more {}: lower its number",
                path.name, path.committed
            )),
        }
    }
    if dearer.is_empty() {
        return Ok(notes);
    }
    Err(format!(
        "more than {SLACK} % dearer than committed in xtask/src/instructions.rs: {}",
        dearer.join(", ")
    ))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Dearer,
    Cheaper,
}

fn verdict(committed: u64, now: u64) -> Verdict {
    match now * 100 {
        now if now > committed * (100 + SLACK) => Verdict::Dearer,
        now if now < committed * (100 - SLACK) => Verdict::Cheaper,
        _ => Verdict::Same,
    }
}

/// Counts again what seems dearer: for minutes a machine may be so slow that no round is as it should be.
fn count_patiently(path: &Path) -> Result<u64, String> {
    let mut now = count(path.name)?;
    for _ in 1..TRIES {
        if verdict(path.committed, now) != Verdict::Dearer {
            break;
        }
        now = now.min(count(path.name)?);
    }
    Ok(now)
}

/// Instructions of one message or round trip.
fn count(workload: &str) -> Result<u64, String> {
    let found = target_directory().join(format!("instructions.{workload}"));
    // Callgrind keeps what is there, under another name.
    let _ = fs::remove_file(&found);
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--combine-dumps=yes"]);
    valgrind.arg(format!("--callgrind-out-file={}", found.display()));
    valgrind.arg("--toggle-collect=*instructions::measured*");
    valgrind.arg("--dump-after=*instructions::round_is_over*");
    valgrind.arg(target_directory().join("release/examples/instructions"));
    valgrind.arg(workload);
    let output = valgrind
        .output()
        .map_err(|error| format!("{}: {error}", shown(&valgrind)))?;
    let dumps = fs::read_to_string(&found);
    let dumps = dumps.map_err(|error| format!("{}: {error}", found.display()))?;
    match least(&dumps) {
        Some(all) if output.status.success() => Ok(all / TIMES),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{}: {}: {said}", shown(&valgrind), output.status))
        }
    }
}

/// What the cheapest round took, of a hundred that callgrind has dumped. Where the machine is slow, callgrind is
/// so slow that output which waits for company leaves without: a round of tcp-send takes 414 instructions
/// for a message then, or up to 1358, and which it is depends on the clock.
fn least(dumps: &str) -> Option<u64> {
    let totals = dumps
        .lines()
        .filter_map(|line| line.strip_prefix("totals:"));
    let rounds = totals.filter_map(|total| total.trim().parse().ok());
    // What follows the last round is dumped as well, and is nothing.
    rounds.filter(|&all| all > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_percent_are_allowed() {
        assert_eq!(verdict(100, 115), Verdict::Same);
        assert_eq!(verdict(100, 116), Verdict::Dearer);
        assert_eq!(verdict(100, 85), Verdict::Same);
        assert_eq!(verdict(100, 84), Verdict::Cheaper);
    }

    #[test]
    fn the_cheapest_round_counts() {
        let dumps = "summary: 7\ntotals: 31415\nsummary: 8\ntotals: 2718\ntotals: 0\n";
        assert_eq!(least(dumps), Some(2718));
        assert_eq!(least("totals: 0\n"), None);
    }
}
