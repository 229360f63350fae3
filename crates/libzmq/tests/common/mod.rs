//! The two libraries, Debian's libzmq and ours, and C programs that are compiled for them.
//!
//! Ours is the one that cargo built with the tests: it lies beside their executables.

// Each test file uses its own part.
#![allow(dead_code)]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use xebec_peers::present_or_skip;

/// The C programs of `tests/c` that are right, all that both libraries run, handed to a macro that makes a test
/// of each.
#[allow(unused_macros)]
macro_rules! for_each_program {
    ($each:ident) => {
        $each! {
            defaults
            descriptor
            early
            errors
            free_once
            monitor
            multipart
            polling
            proxy
            request_reply
            security
            shutdown
            subscriptions
            timers
            tools
            vectors
        }
    };
}

/// The same for those of the draft interface, which Debian's libzmq lacks.
#[allow(unused_macros)]
macro_rules! for_each_draft_program {
    ($each:ident) => {
        $each! {
            draft_poller
            draft_sockets
            draft_words
        }
    };
}

/// A library and the header of its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Libzmq {
    Debian,
    Ours,
}

pub(crate) const BOTH: [Libzmq; 2] = [Libzmq::Debian, Libzmq::Ours];

impl Libzmq {
    /// The shared library itself.
    pub(crate) fn file(self) -> PathBuf {
        match self {
            Libzmq::Debian => {
                let found = run(cc().arg("-print-file-name=libzmq.so.5"));
                PathBuf::from(text(&found.stdout).trim())
            }
            Libzmq::Ours => our_folder().join("libzmq.so.5"),
        }
    }

    /// A compiler that finds the header, and the library when it links.
    pub(crate) fn cc(self) -> Command {
        let mut cc = cc();
        if self == Libzmq::Ours {
            cc.arg("-I").arg(include()).arg("-L").arg(our_folder());
        }
        cc
    }

    /// The text of the header.
    pub(crate) fn header(self) -> String {
        let place = match self {
            Libzmq::Ours => include().join("zmq.h"),
            Libzmq::Debian => {
                let mut cc = self.cc();
                let told = feed(cc.args(["-E", "-x", "c", "-"]), "#include <zmq.h>");
                let told = text(&told.stdout);
                // A line marker: `# 1 "/usr/include/zmq.h" 1`.
                let mut names = told.lines().filter_map(|line| line.split('"').nth(1));
                let name = names.find(|name| name.ends_with("/zmq.h"));
                PathBuf::from(name.expect("the preprocessor says where it was"))
            }
        };
        fs::read_to_string(place).expect("the header can be read")
    }

    /// Compiles the program of this name in `tests/c`.
    pub(crate) fn program(self, name: &str) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{self:?}"));
        fs::create_dir_all(&folder).expect("the target directory can be written");
        // Tests that run at the same time may want the same program.
        let part = folder.join(format!("{name}.{}", unique()));
        let mut cc = self.cc();
        cc.args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g",
            "-pthread",
        ]);
        cc.arg("-o").arg(&part).arg(source(name)).arg("-lzmq");
        let output = output(&mut cc);
        assert!(output.status.success(), "{cc:?}:\n{}", text(&output.stderr));
        let program = folder.join(name);
        fs::rename(&part, &program).expect("within one folder");
        program
    }

    /// Makes the command run with this library, whichever its program was linked to.
    pub(crate) fn under(self, command: &mut Command) {
        command
            .env_remove("LD_PRELOAD")
            .env_remove("LD_LIBRARY_PATH");
        if self == Libzmq::Ours {
            command.env("LD_LIBRARY_PATH", our_folder());
        }
    }
}

/// A C compiler with libzmq's header and library, or a word why the test is skipped.
#[track_caller]
pub(crate) fn c_tools_or_skip() -> Option<()> {
    let probe = "#include <zmq.h>\nint main(void) { zmq_version(0, 0, 0); return 0; }";
    let mut cc = cc();
    cc.args(["-x", "c", "-", "-o", "/dev/null", "-lzmq"]);
    let found = match try_feed(&mut cc, probe) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(text(&output.stderr)),
        Err(error) => Err(error.to_string()),
    };
    let remedy = "`cc` cannot build against libzmq (`cargo xtask peers` installs what it takes)";
    present_or_skip(found.map_err(|why| format!("{remedy}: {why}")))
}

pub(crate) fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The source of a C program.
pub(crate) fn source(name: &str) -> PathBuf {
    here().join("tests/c").join(name).with_extension("c")
}

pub(crate) fn include() -> PathBuf {
    here().join("include")
}

pub(crate) fn cc() -> Command {
    Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// A folder in which our library has the names that linkers and programs look for.
fn our_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its executable");
        let built = test.parent().expect("it is in a folder").join("libzmq.so");
        assert!(built.is_file(), "cargo built no {}", built.display());
        name_library(
            &built,
            &PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lib"),
        )
    })
}

/// Gives a library the names that linkers and programs look for, in `folder`.
pub(crate) fn name_library(built: &Path, folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("the target directory can be written");
    for name in ["libzmq.so", "libzmq.so.5"] {
        let part = folder.join(format!("{name}.{}", unique()));
        symlink(built, &part).expect("a link can be made");
        fs::rename(&part, folder.join(name)).expect("within one folder");
    }
    folder.to_owned()
}

/// Differs between processes and between threads, not in time.
fn unique() -> String {
    let thread = std::thread::current().id();
    format!("{}.{thread:?}", std::process::id())
}

/// Runs to the end, with success.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = output(command);
    let said = [text(&output.stdout), text(&output.stderr)].concat();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}",
        output.status
    );
    output
}

#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that reads `input`.
#[track_caller]
pub(crate) fn feed(command: &mut Command, input: &str) -> Output {
    try_feed(command, input).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn try_feed(command: &mut Command, input: &str) -> io::Result<Output> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    // Compilers read all before they write.
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    child.wait_with_output()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
