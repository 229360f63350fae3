//! The project's chores: `cargo xtask test` runs every check there is, the others one each.
//!
//! A chore is a row of [`CHORES`] and a function of [`checks`], [`peers`], [`install`],
//! [`instructions`], [`pyzmq`], [`bench`] or [`lines`]; the help and the dispatch derive from the table. `test` is
//! the list [`EVERYTHING`] of chores in order, each under a heading and with the time that it
//! took. What a chore could not do, but was allowed to leave out, it returns as notes, and the
//! summary repeats them.
//!
//! Only std and the crate of the interop peers are used here, so that the first build is short.

mod bench;
mod checks;
mod install;
mod instructions;
mod lines;
mod peers;
mod pyzmq;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a chore left out and why, one sentence each; or why it failed.
type Outcome = Result<Vec<String>, String>;

struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&Request) -> Outcome,
}

const fn chore(name: &'static str, about: &'static str, run: fn(&Request) -> Outcome) -> Chore {
    Chore { name, about, run }
}

const CHORES: &[Chore] = &[
    chore(
        "peers",
        "install what the tests talk to and the C tools that they need",
        peers::install,
    ),
    chore(
        "fmt",
        "check the format (`cargo fmt --all` mends it)",
        checks::format,
    ),
    chore(
        "clippy",
        "lint everything, warnings are errors",
        checks::clippy,
    ),
    chore(
        "doc",
        "build the documentation, warnings are errors",
        checks::documentation,
    ),
    chore(
        "suite",
        "every test of the workspace: unit, property, interop, command line, doc",
        checks::suite,
    ),
    chore(
        "unit",
        "only the tests inside the crates, the quick ones",
        checks::unit,
    ),
    chore(
        "interop",
        "only the tests against libzmq and pyzmq",
        checks::interop,
    ),
    chore(
        "model",
        "model-check the wait, wake and hand-over primitives",
        checks::model,
    ),
    chore(
        "docs",
        "write the pages that are made from the sources: docs/options.md",
        checks::pages,
    ),
    chore(
        "install",
        "build the C library and stage it below --prefix DIR",
        install::install,
    ),
    chore(
        "instructions",
        "count the instructions of the hot paths, and compare with what is committed",
        instructions::compare,
    ),
    chore(
        "pyzmq",
        "run pyzmq's own tests on libzmq and on ours, and compare",
        pyzmq::compare,
    ),
    chore(
        "lines",
        "count the lines of code of each crate",
        lines::print,
    ),
    chore(
        "bench",
        "measure beside the peers; takes the rest of the line (--help tells)",
        bench::run,
    ),
];

/// What `test` does, in this order: what says most in the shortest time comes first.
const EVERYTHING: &[&str] = &[
    "peers",
    "fmt",
    "clippy",
    "doc",
    "suite",
    "model",
    "instructions",
    "pyzmq",
    "lines",
];

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    chores: Vec<String>,
    /// Goes on after a chore that failed.
    keep_going: bool,
    /// Takes only the interop peers that are there.
    no_install: bool,
    /// Where `install` puts the C library.
    prefix: Option<PathBuf>,
    /// What follows `--`, for the test runner, or `bench`, for the benchmarks.
    rest: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let wants_help = |argument: &String| ["help", "--help", "-h"].contains(&argument.as_str());
    let ours = arguments.iter().take_while(|a| *a != "--" && *a != "bench");
    if arguments.is_empty() || ours.into_iter().any(wants_help) {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    match parse(arguments) {
        Ok(request) => run(&request),
        Err(complaint) => {
            eprintln!("{complaint}\n\n{}", help());
            ExitCode::from(2)
        }
    }
}

fn help() -> String {
    let mut text = String::from(
        "Usage: cargo xtask CHORE… [--keep-going] [--no-install] [--prefix DIR] [-- ARGS]\n\n",
    );
    text += "  test         everything: ";
    text += &EVERYTHING.join(", ");
    text += "\n";
    for Chore { name, about, .. } in CHORES {
        text += &format!("  {name:<12} {about}\n");
    }
    text += "
  --keep-going   go on after a chore that failed
  --no-install   leave the machine as it is: what needs a missing peer is skipped
  --prefix DIR   where `install` puts include/ and lib/
  -- ARGS        for the test runner, as in `cargo xtask interop -- --exact NAME`

With CI=true in the environment nothing may be skipped: a missing peer is a failure.
";
    text
}

fn parse(arguments: Vec<String>) -> Result<Request, String> {
    let mut request = Request::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--" => request.rest = arguments.by_ref().collect(),
            "bench" => {
                request.chores.push(argument);
                request.rest = arguments.by_ref().collect();
            }
            "--keep-going" => request.keep_going = true,
            "--no-install" => request.no_install = true,
            "--prefix" => {
                let prefix = arguments.next();
                request.prefix = Some(prefix.ok_or("--prefix needs a directory")?.into());
            }
            "test" => request
                .chores
                .extend(EVERYTHING.iter().map(ToString::to_string)),
            name if CHORES.iter().any(|chore| chore.name == name) => request.chores.push(argument),
            _ => return Err(format!("cargo xtask knows no `{argument}`")),
        }
    }
    if request.chores.is_empty() {
        return Err("cargo xtask needs a chore".to_owned());
    }
    Ok(request)
}

/// Runs the chores one after another, and tells how it went.
fn run(request: &Request) -> ExitCode {
    let mut finished: Vec<(&str, Duration, Outcome)> = Vec::new();
    for name in &request.chores {
        let chore = CHORES.iter().find(|chore| chore.name == name);
        let chore = chore.expect("parse lets only known names through");
        println!("\n=== {name}: {}", chore.about);
        let start = Instant::now();
        let outcome = (chore.run)(request);
        let taken = start.elapsed();
        match &outcome {
            Ok(_) => println!("=== {name}: done in {:.1} s", taken.as_secs_f64()),
            Err(why) => println!(
                "=== {name}: FAILED after {:.1} s: {why}",
                taken.as_secs_f64()
            ),
        }
        let failed = outcome.is_err();
        finished.push((chore.name, taken, outcome));
        if failed && !request.keep_going {
            break;
        }
    }
    summarise(request, &finished);
    if finished.iter().all(|(_, _, outcome)| outcome.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn summarise(request: &Request, finished: &[(&str, Duration, Outcome)]) {
    println!("\n=== summary");
    for (name, taken, outcome) in finished {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{name:<12} {:>7.1} s  {word}", taken.as_secs_f64());
        match outcome {
            Ok(notes) => notes.iter().for_each(|note| println!("{:24}{note}", "")),
            Err(why) => println!("{:24}{why}", ""),
        }
    }
    for name in &request.chores[finished.len()..] {
        println!("{name:<12} {:>9}  not run", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(String::from).collect())
    }

    #[test]
    fn test_stands_for_everything() {
        let request = parsed("test --keep-going").unwrap();
        assert_eq!(request.chores, EVERYTHING);
        assert!(request.keep_going && !request.no_install);
    }

    #[test]
    fn every_name_in_everything_is_a_chore() {
        assert!(
            EVERYTHING
                .iter()
                .all(|name| CHORES.iter().any(|chore| chore.name == *name))
        );
    }

    #[test]
    fn what_follows_the_dashes_is_for_the_test_runner() {
        let request = parsed("unit --no-install -- --exact test").unwrap();
        assert_eq!(request.chores, ["unit"]);
        assert_eq!(request.rest, ["--exact", "test"]);
        assert!(request.no_install);
    }

    #[test]
    fn what_follows_bench_is_for_the_benchmarks() {
        let request = parsed("lines bench --quick push-tcp").unwrap();
        assert_eq!(request.chores, ["lines", "bench"]);
        assert_eq!(request.rest, ["--quick", "push-tcp"]);
    }

    #[test]
    fn the_prefix_is_a_directory() {
        let request = parsed("install --prefix /opt/zmq").unwrap();
        assert_eq!(request.prefix, Some(PathBuf::from("/opt/zmq")));
        assert_eq!(
            parsed("install --prefix").unwrap_err(),
            "--prefix needs a directory"
        );
    }

    #[test]
    fn an_unknown_word_is_refused() {
        assert_eq!(parsed("tset").unwrap_err(), "cargo xtask knows no `tset`");
        assert!(parsed("--keep-going").is_err());
    }
}
