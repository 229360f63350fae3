//! Installs what the interop tests talk to: libzmq from Debian, pyzmq from PyPI.
//!
//! What is there is left alone. libzmq, and Python's venv module where it is missing, come by
//! apt-get, which needs root or a sudo that asks nothing; pyzmq goes into a virtual environment
//! below the target directory, which needs nobody's leave. Each step says what it does. What may
//! not or cannot be installed is a note, and its tests are skipped; under `CI=true` it is a
//! failure.

use std::process::{Command, Stdio};

use xebec_peers::libzmq::Library;
use xebec_peers::nothing_may_be_skipped;
use xebec_peers::python::Python;

use crate::checks::shown;
use crate::{Outcome, Request};

pub(crate) fn install(request: &Request) -> Outcome {
    let outcomes = [("libzmq", libzmq(request)), ("pyzmq", pyzmq(request))];
    let mut missing = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(version) => println!("{name}: {version}"),
            Err(why) => missing.push(format!("{name} is missing: {why}")),
        }
    }
    if missing.is_empty() {
        return Ok(missing);
    }
    let missing = missing.join("; ");
    if nothing_may_be_skipped() {
        return Err(format!("CI=true, nothing may be skipped, but {missing}"));
    }
    let note = format!("the tests that need them are skipped: {missing}");
    println!("{note}");
    Ok(vec![note])
}

fn libzmq(request: &Request) -> Result<String, String> {
    let library = match Library::load() {
        Err(why) if request.no_install => return Err(why),
        Err(_) => {
            apt_get(&["libzmq5"])?;
            Library::load()?
        }
        Ok(library) => library,
    };
    let (major, minor, patch) = library.version();
    Ok(format!("{major}.{minor}.{patch}"))
}

fn pyzmq(request: &Request) -> Result<String, String> {
    if let Some(python) = Python::find() {
        return Ok(python.version().to_owned());
    }
    if request.no_install {
        return Err("it is not there, and --no-install was given".to_owned());
    }
    if !runs(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        apt_get(&["python3", "python3-venv"])?;
    }
    println!("installing pyzmq into a virtual environment below the target directory");
    Python::install().map(|python| python.version().to_owned())
}

/// Installs Debian packages, where this user may.
fn apt_get(packages: &[&str]) -> Result<(), String> {
    if !runs(Command::new("apt-get").arg("--version")) {
        let packages = packages.join(" and ");
        return Err(format!(
            "there is no apt-get: install Debian's {packages}, or its like, by hand"
        ));
    }
    let root = Command::new("id").arg("-u").output();
    let prefix: &[&str] = if root.is_ok_and(|output| output.stdout == b"0\n") {
        &[]
    } else if runs(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        let packages = packages.join(" ");
        return Err(format!("this needs root: `apt-get install {packages}`"));
    };
    // A stale list of packages fails the install, a list that cannot be had need not.
    let _ = apt_get_as(prefix, &["update", "-qq"]);
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    apt_get_as(prefix, &[&install, packages].concat())
}

fn apt_get_as(prefix: &[&str], arguments: &[&str]) -> Result<(), String> {
    let words = [
        prefix,
        &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
        arguments,
    ]
    .concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    println!("{}", shown(&command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", shown(&command))),
        Err(error) => Err(format!("{}: {error}", shown(&command))),
    }
}

/// Whether the command can be started and succeeds, without a word.
fn runs(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
