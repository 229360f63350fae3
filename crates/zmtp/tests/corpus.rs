//! Replays the fuzz corpora through the bodies of the fuzz targets, which are shared with `fuzz/`.
//!
//! The hand-made part of each corpus is the table [`seeds`] below; a test keeps the files equal to
//! it. After a change of the table run this with `XEBEC_WRITE_SEEDS=1` to write them. Files that are
//! in the folders besides (a fuzzer's finds) are replayed like the others.

use std::fs;
use std::path::PathBuf;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/protocol.rs"]
mod protocol;

#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/security.rs"]
mod security;

#[path = "corpus/seeds.rs"]
mod seeds;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

fn replay(target: &str, body: fn(&[u8])) {
    let mut count = 0;
    for entry in fs::read_dir(folder(target)).expect("the corpus is part of the checkout") {
        let path = entry.unwrap().path();
        // Shown only if the body panics, to name the file.
        println!("{}", path.display());
        body(&fs::read(&path).unwrap());
        count += 1;
    }
    let least = seeds::seeds()
        .iter()
        .filter(|seed| seed.target == target)
        .count();
    assert!(least > 0 && count >= least, "{count} files for {target}");
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
    let write = std::env::var_os("XEBEC_WRITE_SEEDS").is_some();
    for seed in seeds::seeds() {
        let path = folder(seed.target).join(seed.name);
        if write {
            fs::create_dir_all(folder(seed.target)).unwrap();
            fs::write(&path, &seed.data).unwrap();
        }
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(data, seed.data, "{}", path.display());
    }
}
