//! What the pirates' programs have in common: their arguments and their simulated faults.
#![allow(dead_code, reason = "each program takes what it needs")]

use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

/// `PROGRAM [ENDPOINT…] [--scale FACTOR] [--seed NUMBER] [--script FAULTS]`.
pub(crate) struct Arguments {
    endpoints: Vec<String>,
    /// All times are multiplied by it.
    scale: f64,
    seed: u64,
    script: Vec<char>,
}

impl Arguments {
    /// Ends the program if they are not right.
    pub(crate) fn read() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|why| {
            eprintln!(
                "{why}\nUsage: [ENDPOINT…] [--scale FACTOR] [--seed NUMBER] [--script FAULTS]\n\
                 --script says what happens to each request: n normal, o overload, c crash"
            );
            std::process::exit(2)
        })
    }

    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Arguments {
            endpoints: Vec::new(),
            scale: 1.0,
            seed: fastrand::u64(..),
            script: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--scale" => arguments.scale = value(&word, words.next())?,
                "--seed" => arguments.seed = value(&word, words.next())?,
                "--script" => {
                    arguments.script = value::<String>(&word, words.next())?.chars().collect()
                }
                _ if word.starts_with('-') => return Err(format!("there is no {word}")),
                _ => arguments.endpoints.push(word),
            }
        }
        if !(arguments.scale > 0.0 && arguments.scale <= 1000.0) {
            return Err("the scale is more than 0 and at most 1000".to_owned());
        }
        if let Some(other) = arguments.script.iter().find(|c| !"noc".contains(**c)) {
            return Err(format!("a script has no {other}"));
        }
        Ok(arguments)
    }

    /// The endpoint at a place, or else the Guide's.
    pub(crate) fn endpoint(&self, index: usize, default: &str) -> String {
        let given = self.endpoints.get(index);
        given.cloned().unwrap_or_else(|| default.to_owned())
    }

    /// All endpoints, or else the Guide's.
    pub(crate) fn endpoints(&self, default: &str) -> Vec<String> {
        match self.endpoints.is_empty() {
            true => vec![default.to_owned()],
            false => self.endpoints.clone(),
        }
    }

    pub(crate) fn time(&self, time: Duration) -> Duration {
        time.mul_f64(self.scale)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Faults one in so many, after three requests without; or as the script has them.
    pub(crate) fn faults(&self, one_in: u32) -> Faults {
        Faults {
            rng: Rng::with_seed(self.seed),
            script: self.script.clone(),
            one_in,
            cycles: 0,
        }
    }
}

fn value<T: FromStr>(name: &str, word: Option<String>) -> Result<T, String> {
    let word = word.ok_or_else(|| format!("{name} needs a value"))?;
    word.parse().map_err(|_| format!("{name} cannot be {word}"))
}

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Normal,
    Overload,
    Crash,
}

/// What happens to each request.
pub(crate) struct Faults {
    rng: Rng,
    script: Vec<char>,
    one_in: u32,
    cycles: usize,
}

impl Faults {
    pub(crate) fn next(&mut self) -> Fate {
        self.cycles += 1;
        if !self.script.is_empty() {
            return match self.script.get(self.cycles - 1) {
                Some('o') => Fate::Overload,
                Some('c') => Fate::Crash,
                _ => Fate::Normal,
            };
        }
        let struck = |rng: &mut Rng| rng.u32(0..self.one_in) == 0;
        if self.cycles <= 3 {
            Fate::Normal
        } else if struck(&mut self.rng) {
            Fate::Crash
        } else if struck(&mut self.rng) {
            Fate::Overload
        } else {
            Fate::Normal
        }
    }
}
