//! The C programs of `tests/c` under the thread sanitizer, on our library: no two threads touch the same
//! memory, one of them to write, without something that orders them.
//!
//! The programs and the library are compiled for it; the C compiler and rustc share the sanitizer of LLVM,
//! and the runtime is the one that comes with the Rust toolchain. valgrind's helgrind and drd know of
//! pthread's locks only, and take every hand-over by an atomic for a race. `races.supp` has what the
//! sanitizer gets wrong.

#[macro_use]
mod common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::{c_tools_or_skip, cc, here, include, name_library, output, run, source, text};
use xebec_peers::present_or_skip;

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            races_nowhere(stringify!($name), &[]);
        })*
    };
}

for_each_program!(programs);
for_each_draft_program!(programs);

#[test]
fn a_race_inside_the_library_is_found() {
    let Some(output) = under_sanitizer("racing", &[]) else {
        return;
    };
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(FOUND), "{complaint}");
    assert!(
        complaint.contains("data race") && complaint.contains("zmq_recv"),
        "{complaint}"
    );
}

#[test]
fn what_a_message_orders_is_no_race() {
    races_nowhere("racing", &["wait"]);
}

/// What the sanitizer exits with if it found something; no program does.
const FOUND: i32 = 99;

fn races_nowhere(name: &str, arguments: &[&str]) {
    let Some(output) = under_sanitizer(name, arguments) else {
        return;
    };
    let said = text(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    assert!(
        output.status.success(),
        "{name}: {}, its last word: {last:?}\n{}",
        output.status,
        text(&output.stderr)
    );
}

/// Runs a program and the library, both compiled for the sanitizer.
#[track_caller]
fn under_sanitizer(name: &str, arguments: &[&str]) -> Option<Output> {
    c_tools_or_skip()?;
    let runtime = runtime_or_skip()?;
    let library = library();
    let mut compile = cc();
    compile.args(["-std=gnu11", "-g", "-pthread", "-fsanitize=thread", "-c"]);
    compile.arg("-I").arg(include()).arg(source(name));
    let program = folder().join(format!("{name}-{}", arguments.join("-")));
    let object = program.with_extension("o");
    run(compile.arg("-o").arg(&object));
    // The compiler would link its own runtime, which may be older than the one that rustc compiles for.
    let mut link = cc();
    link.args(["-pthread", "-rdynamic", "-o"]).arg(&program);
    link.arg(object).arg("-Wl,--whole-archive").arg(runtime);
    link.arg("-Wl,--no-whole-archive").arg("-L").arg(library);
    run(link.args(["-lzmq", "-ldl", "-lm", "-lrt"]));

    let mut command = Command::new(program);
    command.args(arguments).env_remove("LD_PRELOAD");
    command.env("LD_LIBRARY_PATH", library);
    let excuses = here().join("tests/races.supp");
    let options = format!("exitcode={FOUND}:suppressions={}", excuses.display());
    command.env("TSAN_OPTIONS", options);
    Some(output(&mut command))
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("races");
        fs::create_dir_all(&folder).expect("the target directory can be written");
        folder
    })
}

/// The folder of the library, which is built once for all tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let host = host();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(here())
            .args(["build", "--quiet", "--lib"]);
        cargo
            .args(["--target", &host, "--target-dir"])
            .arg(folder());
        // The sanitizer is for nightly compilers as far as the command line goes; every toolchain has it.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        // The standard library is not compiled for it: see `races.supp`.
        let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";
        run(cargo.env("RUSTFLAGS", flags));
        let built = folder().join(host).join("debug/libzmq.so");
        name_library(&built, &folder().join("lib"))
    })
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The platform that this is, as rustc names it.
fn host() -> String {
    let told = text(&run(rustc().arg("-vV")).stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc says so").to_owned()
}

/// The sanitizer's runtime in the Rust toolchain.
#[track_caller]
fn runtime_or_skip() -> Option<PathBuf> {
    let told = run(rustc().args(["--print", "target-libdir"]));
    let place = PathBuf::from(text(&told.stdout).trim());
    let files = fs::read_dir(&place).into_iter().flatten().flatten();
    let mut paths = files.map(|file| file.path());
    // Its name begins with that of the channel.
    let runtime = paths.find(|path| path.to_string_lossy().ends_with("_rt.tsan.a"));
    let why = format!(
        "this Rust toolchain has no thread sanitizer in {}",
        place.display()
    );
    present_or_skip(runtime.ok_or(why))
}
