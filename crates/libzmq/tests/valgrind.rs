//! The C programs of `tests/c` under valgrind, on our library: no access out of bounds, no use after
//! the free, and no memory that nothing points to any more at the end.

#[macro_use]
mod common;

use std::process::{Command, Output};

use common::{Libzmq, c_tools_or_skip, output, text};
use xebec_peers::present_or_skip;

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            is_clean(stringify!($name));
        })*
    };
}

for_each_program!(programs);
for_each_draft_program!(programs);

#[test]
fn a_leak_is_found() {
    let Some(output) = under_valgrind("leaking") else {
        return;
    };
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FOUND), "{complaint}");
    assert!(
        complaint.contains("12,345 bytes in 1 blocks are definitely lost"),
        "{complaint}"
    );
}

/// What valgrind exits with if it found something; no program does.
const FOUND: i32 = 99;

fn is_clean(name: &str) {
    let Some(output) = under_valgrind(name) else {
        return;
    };
    let complaint = text(&output.stderr);
    let said = text(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    assert!(
        output.status.success(),
        "{name}: {}, its last word: {last:?}\n{complaint}",
        output.status
    );
}

#[track_caller]
fn under_valgrind(name: &str) -> Option<Output> {
    c_tools_or_skip()?;
    valgrind_or_skip()?;
    let program = Libzmq::Ours.program(name);
    let mut valgrind = Command::new("valgrind");
    Libzmq::Ours.under(&mut valgrind);
    valgrind.args([
        "--quiet",
        "--fair-sched=try",
        "--child-silent-after-fork=yes",
    ]);
    valgrind.arg(format!("--error-exitcode={FOUND}"));
    valgrind.args([
        "--leak-check=full",
        "--errors-for-leak-kinds=definite,indirect",
    ]);
    valgrind.args(["--show-leak-kinds=definite,indirect"]);
    Some(output(valgrind.arg(program)))
}

#[track_caller]
fn valgrind_or_skip() -> Option<()> {
    let version = Command::new("valgrind").arg("--version").output();
    let there = version.is_ok_and(|output| output.status.success());
    let why = "there is no valgrind (`cargo xtask peers` installs it)";
    present_or_skip(there.then_some(()).ok_or_else(|| why.to_owned()))
}
