//! C programs that say what they see (`tests/c`) say the same with libzmq and with ours, whichever
//! header they were compiled with. Those of the draft interface, which Debian's libzmq lacks, say
//! what is written down beside them.

#[macro_use]
mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use common::{BOTH, Libzmq, c_tools_or_skip, here, output, text};

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            says_the_same(stringify!($name));
        })*
    };
}

macro_rules! draft_programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            says_what_is_written(stringify!($name));
        })*
    };
}

for_each_program!(programs);

for_each_draft_program!(draft_programs);

fn says_the_same(name: &str) {
    let Some(()) = c_tools_or_skip() else { return };
    let mut first = None;
    for header in BOTH {
        let program = header.program(name);
        for library in BOTH {
            let said = said(&program, library);
            match &first {
                None => first = Some(said),
                Some(first) => {
                    let what = format!("{name}, {header:?} header, on {library:?}");
                    assert_same(&what, first, &said);
                }
            }
        }
    }
}

fn says_what_is_written(name: &str) {
    let Some(()) = c_tools_or_skip() else { return };
    let written = here().join("tests/c").join(name).with_extension("expected");
    let written = fs::read_to_string(written).expect("it lies beside the program");
    let said = said(&Libzmq::Ours.program(name), Libzmq::Ours);
    assert_same(name, &written, &said);
}

fn said(program: &Path, library: Libzmq) -> String {
    let mut command = Command::new(program);
    library.under(&mut command);
    let output = output(&mut command);
    let mut said = text(&output.stdout);
    if !output.status.success() {
        // 14: its alarm.
        let signal = output
            .status
            .signal()
            .map_or("", |n| if n == 14 { "it hung; " } else { "" });
        let complaint = text(&output.stderr);
        said += &format!("ended badly: {signal}{}\n{complaint}", output.status);
    }
    said
}

/// Shows the lines that only one of them has, each with its number.
#[track_caller]
fn assert_same(what: &str, expected: &str, found: &str) {
    if expected == found {
        return;
    }
    let expected: Vec<&str> = expected.lines().collect();
    let found: Vec<&str> = found.lines().collect();
    // How many lines the rests of the two have in common, from each pair of lines on.
    let mut common = vec![vec![0_u32; found.len() + 1]; expected.len() + 1];
    for e in (0..expected.len()).rev() {
        for f in (0..found.len()).rev() {
            common[e][f] = if expected[e] == found[f] {
                common[e + 1][f + 1] + 1
            } else {
                common[e + 1][f].max(common[e][f + 1])
            };
        }
    }
    let mut differences = String::new();
    let (mut e, mut f) = (0, 0);
    while e < expected.len() || f < found.len() {
        if e < expected.len() && f < found.len() && expected[e] == found[f] {
            (e, f) = (e + 1, f + 1);
        } else if f == found.len() || e < expected.len() && common[e + 1][f] >= common[e][f + 1] {
            e += 1;
            differences += &format!("  line {e}, expected: {}\n", expected[e - 1]);
        } else {
            f += 1;
            differences += &format!("  line {f}, found:    {}\n", found[f - 1]);
        }
    }
    panic!("{what}:\n{differences}");
}
