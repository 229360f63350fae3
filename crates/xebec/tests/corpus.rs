//! Replays the fuzz corpora through the bodies of the fuzz targets, which are shared with `fuzz/`.
//!
//! The hand-made part of each corpus is the table in `corpus/seeds.rs`; `replay` says how it is written.

#[macro_use]
#[path = "../../../fuzz/replay.rs"]
mod replay;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/endpoint.rs"]
mod endpoint;

#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/socks.rs"]
mod socks;

#[path = "corpus/seeds.rs"]
mod seeds;

fn replay(target: &str, body: fn(&[u8])) {
    replay::replay(&seeds::seeds(), target, body);
}

#[test]
fn endpoint() {
    replay("endpoint", endpoint::endpoint);
}

#[test]
fn options() {
    replay("options", endpoint::options);
}

#[test]
fn contexts() {
    replay("contexts", endpoint::contexts);
}

#[test]
fn socks() {
    replay("socks", socks::socks);
}

#[test]
fn the_files_are_the_seeds() {
    replay::check(&seeds::seeds());
}
