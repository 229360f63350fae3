//! Replays the fuzz corpora through the bodies of the fuzz targets, which are shared with `fuzz/`.
//!
//! The hand-made part of each corpus is the table in `corpus/seeds.rs`; `replay` says how it is written.

#[macro_use]
#[path = "../../../fuzz/replay.rs"]
mod replay;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/titanic.rs"]
mod titanic;

#[path = "corpus/seeds.rs"]
mod seeds;

fn replay(target: &str, body: fn(&[u8])) {
    replay::replay(&seeds::seeds(), target, body);
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
    replay::check(&seeds::seeds());
}
