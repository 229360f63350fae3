//! The checks that are runs of cargo: format, lints, documents, tests and model checks.
//!
//! Cargo's own output goes to the terminal as it is, and names every test that ran. No check stops
//! at the first failing test, so that one run tells all of them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, Request};

/// The interop tests are the integration tests of this name, in any crate.
const INTEROP: &str = "interop*";

/// The model checks: the `--cfg` they are built with, their package and their test targets.
const MODEL: (&str, &str, &str) = ("xebec_model", "xebec", "model*");

pub(crate) fn format(_: &Request) -> Outcome {
    succeed(cargo().args(["fmt", "--all", "--check"]))
}

pub(crate) fn clippy(_: &Request) -> Outcome {
    let lint = ["clippy", "--workspace", "--all-targets", "--quiet"];
    succeed(cargo().args(lint).args(["--", "-D", "warnings"]))
}

pub(crate) fn documentation(_: &Request) -> Outcome {
    let mut cargo = cargo();
    // The binaries have no readers of their documentation, and `xebec` is also a library's name.
    cargo.args(["doc", "--workspace", "--lib", "--no-deps", "--quiet"]);
    succeed(cargo.env("RUSTDOCFLAGS", added_to("RUSTDOCFLAGS", "-D warnings")))
}

/// The test that compares a page with its source writes it first if it is asked to.
pub(crate) fn pages(_: &Request) -> Outcome {
    let mut cargo = cargo();
    cargo.args(["test", "--quiet", "-p", "xebec", "--test", "*_reference"]);
    succeed(cargo.env("XEBEC_WRITE_DOCS", "1"))
}

pub(crate) fn suite(request: &Request) -> Outcome {
    test(request, &["--workspace"])
}

pub(crate) fn unit(request: &Request) -> Outcome {
    test(request, &["--workspace", "--lib", "--bins"])
}

pub(crate) fn interop(request: &Request) -> Outcome {
    test(request, &["--workspace", "--test", INTEROP])
}

/// Builds apart from the rest: the flag reaches every dependency, and would rebuild them all each
/// time that the two kinds of run alternate.
pub(crate) fn model(request: &Request) -> Outcome {
    let (cfg, package, target) = MODEL;
    let mut cargo = test_command(request, &["--release", "-p", package, "--test", target]);
    cargo.env("RUSTFLAGS", added_to("RUSTFLAGS", &format!("--cfg {cfg}")));
    // The models want speed, but not the last bit of it.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    succeed(cargo.env("CARGO_TARGET_DIR", target_directory().join("model")))
}

fn test(request: &Request, what: &[&str]) -> Outcome {
    succeed(&mut test_command(request, what))
}

fn test_command(request: &Request, what: &[&str]) -> Command {
    let mut cargo = cargo();
    cargo.args(["test", "--no-fail-fast"]).args(what);
    if request.no_install {
        cargo.env("XEBEC_PEERS", "present");
    }
    cargo.arg("--").args(&request.rest);
    cargo
}

/// The cargo that runs this program, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

pub(crate) fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of it").to_owned()
}

pub(crate) fn target_directory() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace().join(target)
}

/// The flags of an environment variable, with one more.
fn added_to(variable: &str, flag: &str) -> String {
    match env::var(variable) {
        Ok(flags) if !flags.is_empty() => format!("{flags} {flag}"),
        _ => flag.to_owned(),
    }
}

pub(crate) fn succeed(command: &mut Command) -> Outcome {
    match command.status() {
        Ok(status) if status.success() => Ok(Vec::new()),
        Ok(status) => Err(format!("{}: {status}", shown(command))),
        Err(error) => Err(format!("{}: {error}", shown(command))),
    }
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
