//! Replays the fuzz corpora through the bodies of the fuzz targets, which are shared with `fuzz/`.
//!
//! The hand-made part of each corpus is the table in `corpus/seeds.rs`; `replay` says how it is written.

#[macro_use]
#[path = "../../../fuzz/replay.rs"]
mod replay;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/protocol.rs"]
mod protocol;

#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/security.rs"]
mod security;

#[path = "corpus/seeds.rs"]
mod seeds;

fn replay(target: &str, body: fn(&[u8])) {
    replay::replay(&seeds::seeds(), target, body);
}

#[test]
fn greeting() {
    replay("greeting", protocol::greeting);
}

#[test]
fn framing() {
    replay("framing", protocol::framing);
}

#[test]
fn commands() {
    replay("commands", protocol::commands);
}

#[test]
fn metadata() {
    replay("metadata", protocol::metadata);
}

#[test]
fn plain() {
    replay("plain", security::plain);
}

#[test]
fn curve() {
    replay("curve", security::curve);
}

#[test]
fn zap() {
    replay("zap", security::zap);
}

#[test]
fn the_files_are_the_seeds() {
    replay::check(&seeds::seeds());
}
