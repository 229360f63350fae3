//! Measures Xebec side by side with its peers.
//!
//! The program is in `bench/`, a workspace of its own, and is built as users build theirs. What
//! stands behind `bench` on the command line is for it alone. It measures Xebec's C library, too,
//! which is built here and staged below the target directory.

use crate::checks::{cargo, succeed, target_directory};
use crate::{Outcome, Request, install};

pub(crate) fn run(request: &Request) -> Outcome {
    let program = [
        "run",
        "--release",
        "--quiet",
        "--manifest-path",
        "bench/Cargo.toml",
    ];
    let staged = target_directory().join("bench");
    install::stage(&staged)?;
    let mut bench = cargo();
    bench.env("XEBEC_BENCH_LIBZMQ", staged.join("lib/libzmq.so.5"));
    succeed(bench.args(program).arg("--").args(&request.rest))
}
