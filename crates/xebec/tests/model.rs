//! Model checks of the wait, wake and hand-over primitives: every interleaving, within a bound
//! on preemptions, of a few threads that use them.
//!
//! Only built with `--cfg xebec_model` (`cargo xtask model`). The sources under test are compiled
//! into this crate, where `crate::sync` names loom's doubles of the standard primitives. Each
//! property has at least one counterpart that breaks a rule on purpose and must fail: a model
//! that cannot fail shows nothing.
//!
//! What a model checks it says by ending: who waits for ever is a deadlock, which loom reports.

#![cfg(xebec_model)]

// The sources, as they are.
#[allow(dead_code)]
#[path = "../src/channel.rs"]
mod channel;
#[allow(dead_code)]
#[path = "../src/lease.rs"]
mod lease;
#[allow(dead_code)]
#[path = "../src/signal.rs"]
mod signal;

// What they import.
#[path = "model/message.rs"]
mod message;
#[path = "model/ring.rs"]
mod ring;
#[path = "model/sync.rs"]
mod sync;
#[path = "model/sys.rs"]
mod sys;

// The models.
#[path = "model/handover.rs"]
mod handover;
#[path = "model/inproc.rs"]
mod inproc;
#[path = "model/shared.rs"]
mod shared;
#[path = "model/waking.rs"]
mod waking;

/// Runs a model that breaks a rule, the body of the test `name`, and sees it fail with a report
/// that contains `report`. In a process of its own: loom's panic unwinds through destructors that
/// need the model it has just given up, and that aborts.
fn must_fail(name: &str, report: &str, model: impl FnOnce()) {
    const CHILD: &str = "XEBEC_MODEL_MUST_FAIL";
    if std::env::var_os(CHILD).is_some() {
        return model();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success(), "the model did not notice");
    assert!(
        told.contains(report),
        "it failed for another reason:\n{told}"
    );
}

/// Checks `body` in every interleaving with at most `preemptions` involuntary switches.
fn check(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 20_000;
    model.check(body);
}
