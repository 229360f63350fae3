//! Installs what the interop tests talk to: libzmq from Debian, pyzmq from PyPI; and what the tests
//! of the C library need besides: a C compiler, libzmq's header and valgrind, from Debian.
//!
//! What is there is left alone. What comes from Debian, Python's venv module among it, comes by
//! apt-get, which needs root or a sudo that asks nothing; pyzmq goes into a virtual environment
//! below the target directory, which needs nobody's leave. Each step says what it does. What may
//! not or cannot be installed is a note, and its tests are skipped; under `CI=true` it is a
//! failure.

use std::io::Write;
use std::process::{Command, Stdio};

use xebec_peers::libzmq::Library;
use xebec_peers::nothing_may_be_skipped;
use xebec_peers::python::Python;

use crate::checks::shown;
use crate::{Outcome, Request};

pub(crate) fn install(request: &Request) -> Outcome {
    let outcomes = [
        ("libzmq", libzmq(request)),
        ("pyzmq", pyzmq(request)),
        (
            "the C tools",
            headers(request).and_then(|()| valgrind(request)),
        ),
    ];
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

/// libzmq's header, and a compiler for it.
pub(crate) fn headers(request: &Request) -> Result<(), String> {
    const HEADER: &str = "#include <zmq.h>\nint main(void) { return ZMQ_VERSION_MAJOR - 4; }";
    let there = || {
        ["cc", "c++"].into_iter().all(|compiler| {
            let mut compiler = Command::new(compiler);
            compiler.args(["-fsyntax-only", "-x", "c", "-"]);
            quietly(&mut compiler, HEADER)
        })
    };
    if there() {
        return Ok(());
    }
    if request.no_install {
        return Err("there is no C compiler that finds zmq.h, and --no-install was given".into());
    }
    apt_get(&["gcc", "g++", "libc6-dev", "libzmq3-dev"])
}

pub(crate) fn valgrind(request: &Request) -> Result<String, String> {
    let version = || {
        let output = Command::new("valgrind").arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    if version().is_none() {
        if request.no_install {
            return Err("there is no valgrind, and --no-install was given".into());
        }
        apt_get(&["valgrind", "libc6-dbg"])?;
    }
    version().ok_or_else(|| "valgrind does not run".to_owned())
}

/// What it takes to make a virtual environment and build a module in it.
pub(crate) fn python_for_building() -> Result<(), String> {
    const CHECK: &str = "\
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_paths()['include'], 'Python.h')
sys.exit(not os.path.exists(header))";
    if runs(Command::new("python3").args(["-c", CHECK])) && runs(Command::new("c++").arg("-v")) {
        return Ok(());
    }
    apt_get(&["python3", "python3-venv", "python3-dev", "g++"])
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
    quietly(command, "")
}

/// The same for one that reads something.
fn quietly(command: &mut Command, input: &str) -> bool {
    let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null());
    let Ok(mut child) = quiet.stderr(Stdio::null()).spawn() else {
        return false;
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it judges without.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}
