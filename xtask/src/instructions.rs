//! Counts the instructions of the hot paths, and compares them with what is committed.
//!
//! The workloads are in `crates/xebec/examples/instructions.rs`; callgrind counts what the main
//! thread executes inside one function of it. Unlike times the counts hardly depend on the
//! machine. A path that has become dearer by more than [`SLACK`] fails; one that has become as
//! much cheaper is told, so that its number is lowered here.

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
        committed: 450,
    },
    Path {
        name: "tcp-recv",
        about: "a message of 64 bytes out of the buffer of a tcp connection",
        committed: 390,
    },
    Path {
        name: "inproc",
        about: "a message of 64 bytes over inproc, sent and received",
        committed: 615,
    },
    Path {
        name: "tcp-req",
        about: "a round trip over tcp, both ends",
        committed: 8_740,
    },
    Path {
        name: "inproc-req",
        about: "a round trip over inproc, both ends",
        committed: 3_480,
    },
];

/// How often each workload does what is counted: ROUNDS × BURST of the example.
const TIMES: u64 = 10_000;

/// So often a path is counted that seems to have become dearer, for the least of them. Where the machine is
/// slow, callgrind is so slow that output which waits for company leaves without: a message into the buffer of
/// a connection took 448, 605 and 1245 instructions in three runs of one program.
const TRIES: usize = 5;

/// In percent: compilers and C libraries differ by less, and whoever changes a path sees more.
const SLACK: u64 = 15;

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
        let mut now = count(path.name)?;
        for _ in 1..TRIES {
            if verdict(path.committed, now) != Verdict::Dearer {
                break;
            }
            now = now.min(count(path.name)?);
        }
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

/// Instructions of one message or round trip.
fn count(workload: &str) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg("--toggle-collect=*instructions::measured*");
    valgrind.arg(target_directory().join("release/examples/instructions"));
    valgrind.arg(workload);
    let output = valgrind
        .output()
        .map_err(|error| format!("{}: {error}", shown(&valgrind)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match collected(&said) {
        Some(all) if output.status.success() && all > 0 => Ok(all / TIMES),
        _ => Err(format!("{}: {}: {said}", shown(&valgrind), output.status)),
    }
}

/// The sum that callgrind tells at its end.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
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
    fn the_sum_is_the_last_thing_told() {
        let said = "==7== Events    : Ir\n==7== Collected : 31415\n==7== \n==7== I refs: 31415\n";
        assert_eq!(collected(said), Some(31_415));
        assert_eq!(collected("valgrind: no such program"), None);
    }
}
