//! Replays the fuzz corpora through the bodies of the fuzz targets, which are shared with `fuzz/`.
//!
//! The hand-made part of each corpus is the table [`seeds`] below; a test keeps the files equal to
//! it. After a change of the table run this with `XEBEC_WRITE_SEEDS=1` to write them. Files that are
//! in the folders besides (a fuzzer's finds) are replayed like the others.

use std::fs;
use std::path::PathBuf;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/titanic.rs"]
mod titanic;

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
    let seeds = seeds::seeds();
    let least = seeds.iter().filter(|seed| seed.target == target).count();
    assert!(least > 0 && count >= least, "{count} files for {target}");
}

#[test]
fn titanic() {
    replay("titanic", titanic::titanic);
}

/// What no fuzzer is needed for: many scripts at random.
#[test]
fn titanic_at_random() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let mut data = vec![0; rng.usize(..400)];
        rng.fill(&mut data);
        // Numbers that fit together are small.
        let mask = [0xFF, 0x0F, 0x03][rng.usize(..3)];
        data.iter_mut().for_each(|byte| *byte &= mask);
        if let Some(kind) = data.first_mut() {
            *kind = if rng.u8(..8) == 0 { 1 } else { 2 };
        }
        println!("{data:?}");
        titanic::titanic(&data);
    }
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
