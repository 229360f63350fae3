//! Random octets: the system's, or a caller's own.

use core::fmt;

/// Where random octets come from.
pub(crate) enum Random {
    System,
    Given(Box<dyn FnMut(&mut [u8]) + Send>),
}

impl Random {
    pub(crate) fn fill(&mut self, octets: &mut [u8]) {
        match self {
            // Linux always has some once it has started up, and without any there is no security.
            Self::System => getrandom::fill(octets).expect("the system has random numbers"),
            Self::Given(fill) => fill(octets),
        }
    }

    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill(&mut octets);
        octets
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
