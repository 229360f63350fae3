//! Measures Xebec side by side with its peers.
//!
//! The program is in `bench/`, a workspace of its own, and is built as users build theirs. What
//! stands behind `bench` on the command line is for it alone.

use crate::checks::{cargo, succeed};
use crate::{Outcome, Request};

pub(crate) fn run(request: &Request) -> Outcome {
    let program = [
        "run",
        "--release",
        "--quiet",
        "--manifest-path",
        "bench/Cargo.toml",
    ];
    succeed(cargo().args(program).arg("--").args(&request.rest))
}
