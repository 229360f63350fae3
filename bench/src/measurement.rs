//! Numbers of one run, and what many runs of them say.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::rows::Work;

/// The named numbers of a run. What both ends report under one name is added up.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// So many messages in that time.
    pub(crate) fn timed(messages: usize, time: Duration) -> Self {
        let mut figures = Figures::default();
        figures.add("messages", messages as f64);
        figures.add("seconds", time.as_secs_f64());
        figures
    }

    /// The distribution of the nanoseconds of round trips.
    pub(crate) fn round_trips(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let rank = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize] as f64;
        let sum: u64 = times.iter().sum();
        let mut figures = Figures::timed(times.len(), Duration::from_nanos(sum));
        figures.add("p50", rank(0.5) / 1e9);
        figures.add("p99", rank(0.99) / 1e9);
        figures
    }

    pub(crate) fn add(&mut self, name: &str, number: f64) {
        *self.0.entry(name.to_owned()).or_default() += number;
    }

    pub(crate) fn scale(&mut self, name: &str, factor: f64) {
        self.0
            .entry(name.to_owned())
            .and_modify(|number| *number *= factor);
    }

    pub(crate) fn merge(&mut self, other: &Figures) {
        other
            .0
            .iter()
            .for_each(|(name, number)| self.add(name, *number));
    }

    /// Together with those of the other end in the same process, which has used the same.
    pub(crate) fn and_here(mut self, mut other: Figures) -> Self {
        for used in ["cpu", "switches"] {
            if self.0.contains_key(used) {
                other.0.remove(used);
            }
        }
        self.merge(&other);
        self
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, number)| write!(f, "{name}={number} "))
    }
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let figure = |word: &str| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let figures: Option<_> = text.split_whitespace().map(figure).collect();
        figures
            .map(Figures)
            .ok_or_else(|| format!("no report: {text}"))
    }
}

/// The part of a run that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    start: Instant,
    usage: Usage,
}

impl Phase {
    pub(crate) fn begin() -> Self {
        Phase {
            usage: Usage::now(),
            start: Instant::now(),
        }
    }

    /// So many messages since it began.
    pub(crate) fn end(&self, messages: usize) -> Figures {
        let mut figures = Figures::timed(messages, self.start.elapsed());
        figures.merge(&self.usage());
        figures
    }

    /// What this process has used since it began.
    pub(crate) fn usage(&self) -> Figures {
        let now = Usage::now();
        let mut figures = Figures::default();
        figures.add("cpu", now.cpu - self.usage.cpu);
        figures.add("switches", now.switches - self.usage.switches);
        figures
    }

    /// Processor seconds that this process has used since it began.
    pub(crate) fn cpu(&self) -> f64 {
        self.usage().number("cpu")
    }
}

/// What a process has used of the machine.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// Processor time in seconds.
    cpu: f64,
    /// Context switches, voluntary and not.
    switches: f64,
}

impl Usage {
    fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own");
        let time = [usage.user_time(), usage.system_time()];
        let seconds = time.map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6);
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Usage {
            cpu: seconds.iter().sum(),
            switches: switches as f64,
        }
    }
}

/// How a number is shown, and whether more of it is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Seconds,
    Bytes,
    /// A plain number: of seconds a million, of switches a thousand.
    Plain,
}

impl Unit {
    /// How many times better `ours` is than `theirs`.
    pub(crate) fn advantage(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Unit::PerSecond => ours / theirs,
            Unit::Seconds | Unit::Bytes | Unit::Plain => theirs / ours,
        }
    }

    /// The divisor and the name of the unit in which numbers like this one are read best.
    pub(crate) fn scale(self, number: f64) -> (f64, &'static str) {
        let steps: &[(f64, &str)] = match self {
            Unit::PerSecond => &[(1e6, " M/s"), (1e3, " k/s"), (1.0, "/s")],
            Unit::Seconds => &[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")],
            Unit::Bytes => &[(1e6, " MB"), (1e3, " kB"), (1.0, " B")],
            Unit::Plain => &[(1.0, "")],
        };
        let fits = steps.iter().find(|(size, _)| number >= *size);
        *fits.unwrap_or(&steps[steps.len() - 1])
    }
}

/// One number that is told of a workload.
pub(crate) struct Metric {
    /// Which number of the workload it is, if there are several.
    pub(crate) suffix: &'static str,
    pub(crate) unit: Unit,
    value: fn(&Figures) -> f64,
}

impl Metric {
    /// Its value in each run.
    pub(crate) fn of(&self, runs: &[Figures]) -> Option<Spread> {
        Spread::of(runs.iter().map(self.value).collect())
    }
}

/// What the speed of a workload is.
pub(crate) fn speed(work: Work) -> &'static [Metric] {
    const RATE: Metric = Metric {
        suffix: "",
        unit: Unit::PerSecond,
        value: |figures| figures.number("messages") / figures.number("seconds"),
    };
    const P99: Metric = Metric {
        suffix: ": p99",
        unit: Unit::Seconds,
        value: |figures| figures.number("p99"),
    };
    match work {
        Work::Stream { .. } | Work::Publish { .. } | Work::Window { .. } | Work::Calls { .. } => {
            &[RATE]
        }
        Work::RoundTrip => &[
            Metric {
                suffix: ": p50",
                unit: Unit::Seconds,
                value: |figures| figures.number("p50"),
            },
            P99,
        ],
        Work::Proxy { .. } => &[RATE, P99],
        Work::Connections => &[
            Metric {
                suffix: ": all connected and used",
                unit: Unit::Seconds,
                value: |figures| figures.number("seconds"),
            },
            Metric {
                suffix: ": memory each, accepting end",
                unit: Unit::Bytes,
                value: |figures| figures.number("accepting_bytes"),
            },
            Metric {
                suffix: ": memory each, connecting end",
                unit: Unit::Bytes,
                value: |figures| figures.number("connecting_bytes"),
            },
            Metric {
                suffix: ": processor seconds per idle second",
                unit: Unit::Plain,
                value: |figures| figures.number("idle_cpu"),
            },
            Metric {
                suffix: ": processor seconds for a message on each",
                unit: Unit::Plain,
                value: |figures| figures.number("busy_cpu"),
            },
        ],
        Work::Subscriptions { .. } => &[
            Metric {
                suffix: ": memory",
                unit: Unit::Bytes,
                value: |figures| figures.number("subscription_bytes"),
            },
            Metric {
                suffix: ": a match",
                unit: Unit::Seconds,
                value: |figures| figures.number("seconds") / figures.number("messages"),
            },
        ],
    }
}

/// What is told of a workload as its connections or subscriptions grow in number.
pub(crate) fn growth(work: Work) -> &'static [Metric] {
    match work {
        Work::Connections => &[
            Metric {
                suffix: ": to connect, each",
                unit: Unit::Seconds,
                value: |figures| figures.number("seconds") / figures.number("connections"),
            },
            Metric {
                suffix: ": memory each, both ends",
                unit: Unit::Bytes,
                value: |figures| {
                    figures.number("accepting_bytes") + figures.number("connecting_bytes")
                },
            },
            Metric {
                suffix: ": processor time of a message on each, each",
                unit: Unit::Seconds,
                value: |figures| figures.number("busy_cpu") / figures.number("connections"),
            },
        ],
        Work::Subscriptions { .. } => &[
            Metric {
                suffix: ": memory each",
                unit: Unit::Bytes,
                value: |figures| figures.number("subscription_bytes") / figures.number("topics"),
            },
            Metric {
                suffix: ": a match",
                unit: Unit::Seconds,
                value: |figures| figures.number("seconds") / figures.number("messages"),
            },
        ],
        _ => &[Metric {
            suffix: ": processor time of a message",
            unit: Unit::Seconds,
            value: |figures| figures.number("cpu") / figures.number("messages"),
        }],
    }
}

/// What a million messages or round trips cost both ends.
pub(crate) const COST: [Metric; 2] = [
    Metric {
        suffix: "",
        unit: Unit::Plain,
        value: |figures| figures.number("cpu") / figures.number("messages") * 1e6,
    },
    Metric {
        suffix: "",
        unit: Unit::Plain,
        value: |figures| figures.number("switches") / figures.number("messages") * 1e3,
    },
];

/// Median, minimum and maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_unstable_by(f64::total_cmp);
        let median = |n: usize| (numbers[(n - 1) / 2] + numbers[n / 2]) / 2.0;
        Some(Spread {
            least: *numbers.first()?,
            most: *numbers.last()?,
            median: median(numbers.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_travel_as_text_and_add_up() {
        let mut figures = Figures::timed(7, Duration::from_millis(1500));
        figures.add("cpu", 0.25);
        let mut both: Figures = figures.to_string().parse().unwrap();
        assert_eq!(both, figures);
        let mut other = Figures::default();
        other.add("cpu", 0.5);
        both.merge(&other);
        assert_eq!(both.number("cpu"), 0.75);
        assert!("thread panicked".parse::<Figures>().is_err());
    }

    #[test]
    fn the_middle_of_many_runs() {
        let spread = |numbers: &[f64]| Spread::of(numbers.to_vec());
        let (median, least, most) = (2.0, 1.0, 9.0);
        assert_eq!(
            spread(&[9.0, 1.0, 2.0]),
            Some(Spread {
                median,
                least,
                most
            })
        );
        assert_eq!(spread(&[4.0, 2.0]).unwrap().median, 3.0);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn ranks_of_round_trips() {
        let figures = Figures::round_trips((1..=101).rev().collect());
        assert_eq!(figures.number("p50"), 51e-9);
        assert_eq!(figures.number("p99"), 100e-9);
    }

    #[test]
    fn an_advantage_is_always_above_one() {
        assert_eq!(Unit::PerSecond.advantage(4.0, 2.0), 2.0);
        assert_eq!(Unit::Seconds.advantage(2.0, 4.0), 2.0);
        assert_eq!(Unit::Seconds.scale(7.8e-6), (1e-6, " µs"));
        assert_eq!(Unit::PerSecond.scale(7_800.0), (1e3, " k/s"));
    }
}
