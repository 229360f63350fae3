//! Replays a corpus of the fuzz targets as a test: for the `corpus.rs` of each crate that has targets, which
//! includes this file.
//!
//! The hand-made part of each corpus is a table of [`Seed`]s; [`check`] keeps the files equal to it. After a
//! change of a table run the tests with `XEBEC_WRITE_SEEDS=1` to write them. Files that are in the folders
//! besides (a fuzzer's finds) are replayed like the others.

use std::fs;
use std::path::PathBuf;

/// A file of a corpus.
pub(crate) struct Seed {
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) data: Vec<u8>,
}

/// A table of seeds: one line a file.
#[allow(unused_macros, reason = "one crate makes its seeds of calls")]
macro_rules! seeds {
    ($($target:ident / $name:literal = $data:expr;)*) => {
        /// All of them.
        pub(crate) fn seeds() -> Vec<crate::replay::Seed> {
            vec![$(crate::replay::Seed {
                target: stringify!($target),
                name: $name,
                data: $data.to_vec(),
            }),*]
        }
    };
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

/// Runs the body of a target on every file of its corpus, of which the `seeds` are a part.
pub(crate) fn replay(seeds: &[Seed], target: &str, body: fn(&[u8])) {
    let mut count = 0;
    for entry in fs::read_dir(folder(target)).expect("the corpus is part of the checkout") {
        let path = entry.unwrap().path();
        // Shown only if the body panics, to name the file.
        println!("{}", path.display());
        body(&fs::read(&path).unwrap());
        count += 1;
    }
    let least = seeds.iter().filter(|seed| seed.target == target).count();
    assert!(least > 0 && count >= least, "{count} files for {target}");
}

/// The files are the seeds.
pub(crate) fn check(seeds: &[Seed]) {
    let write = std::env::var_os("XEBEC_WRITE_SEEDS").is_some();
    for seed in seeds {
        let path = folder(seed.target).join(seed.name);
        if write {
            fs::create_dir_all(folder(seed.target)).unwrap();
            fs::write(&path, &seed.data).unwrap();
        }
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(data, seed.data, "{}", path.display());
    }
}
