//! The peers that Xebec is tested and measured against: the C library and its Python binding.
//!
//! Neither is a dependency of anything that is shipped. [`libzmq`] loads Debian's `libzmq5` when a
//! test or a benchmark asks for it; [`python`] runs scripts with pyzmq, which lives in a virtual
//! environment below the target directory. `cargo xtask peers` installs both.
//!
//! A test begins with [`libzmq_or_skip`] or [`python_or_skip`]:
//!
//! ```
//! fn speaks_to_libzmq() {
//!     let Some(libzmq) = xebec_peers::libzmq_or_skip() else { return };
//!     let push = libzmq.context().socket(xebec_peers::libzmq::PUSH).unwrap();
//!     push.bind("tcp://127.0.0.1:*").unwrap();
//! }
//! ```
//!
//! Where a peer is missing the test prints one line that says so and passes. With `CI=true`
//! nothing may be skipped, and the same test fails.

pub mod libzmq;
pub mod python;

use std::env;
use std::io::Write;
use std::panic::Location;
use std::thread;

use libzmq::Library;
use python::Python;

/// Debian's libzmq, or `None` where this machine has none and may do without it.
///
/// # Panics
/// If libzmq is missing and `CI=true`.
#[track_caller]
pub fn libzmq_or_skip() -> Option<&'static Library> {
    present_or_skip(Library::load())
}

/// A Python with pyzmq, or `None` where this machine has none and may do without it.
///
/// # Panics
/// If pyzmq is missing and `CI=true`.
#[track_caller]
pub fn python_or_skip() -> Option<&'static Python> {
    present_or_skip(Python::load())
}

/// Whether nothing may be skipped here: `CI=true`.
pub fn nothing_may_be_skipped() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// What a test needs, or `None` where this machine has none and may do without it; then the reason
/// is told.
///
/// # Panics
/// If it is missing and `CI=true`.
#[track_caller]
pub fn present_or_skip<T>(needed: Result<T, String>) -> Option<T> {
    let reason = match needed {
        Ok(needed) => return Some(needed),
        Err(reason) => reason,
    };
    assert!(
        !nothing_may_be_skipped(),
        "CI=true, nothing may be skipped, but {reason}"
    );
    let current = thread::current();
    let test = match current.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => Location::caller().to_string(),
    };
    // Not `eprintln!`: the test runner would swallow the line of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {test} because {reason}");
    None
}
