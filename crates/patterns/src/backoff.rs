//! How long to wait before trying again: longer each time, and never quite the same.

use std::time::Duration;

use fastrand::Rng;

/// The pauses between attempts: the first, doubled each time up to the longest, each shortened by a
/// random part so that those who failed together do not come back together.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How much of a pause is left to chance, from 0 to 1: with 0.25 it lasts 75 to 100 %.
    pub jitter: f64,
}

impl Backoff {
    /// No pause at all, as the Guide's client has it.
    pub const NONE: Backoff = Backoff::constant(Duration::ZERO);

    /// The same pause each time.
    pub const fn constant(pause: Duration) -> Self {
        Backoff {
            first: pause,
            longest: pause,
            jitter: 0.0,
        }
    }

    /// The pause after so many failures in a row, the first of which is number 0.
    pub fn pause(&self, failures: u32, rng: &mut Rng) -> Duration {
        let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        let pause = self.first.saturating_mul(factor).min(self.longest);
        let jitter = if self.jitter > 0.0 {
            self.jitter.min(1.0) * rng.f64()
        } else {
            0.0
        };
        pause.mul_f64(1.0 - jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary() {
        let ms = Duration::from_millis;
        let mut rng = Rng::with_seed(1);
        let mut plain = Backoff {
            first: ms(1000),
            longest: ms(32_000),
            jitter: 0.0,
        };
        let pauses: Vec<_> = (0..7).map(|n| plain.pause(n, &mut rng).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 32]);
        assert_eq!(plain.pause(u32::MAX, &mut rng), ms(32_000));
        plain.jitter = 0.5;
        let pauses: Vec<_> = (0..100).map(|_| plain.pause(0, &mut rng)).collect();
        assert!(pauses.iter().all(|p| (ms(500)..=ms(1000)).contains(p)));
        assert!(pauses.iter().any(|p| *p < ms(750)) && pauses.iter().any(|p| *p > ms(750)));
    }
}
