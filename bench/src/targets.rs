//! What each row is to reach, as a ratio to something of the same run or as a number, and whether it does.

use crate::document::{digits, with_unit};
use crate::library::Role;
use crate::measurement::{COST, Metric, Unit, speed};
use crate::run::{Cell, Result};

/// A number of a row that is to be so much better than another.
struct Target {
    row: &'static str,
    number: Number,
    /// Whose number.
    library: &'static str,
    than: Than,
    /// At least so many times better; below one, no more than so much worse.
    times: f64,
    /// Or this number, which was seen together with the ratio on another machine: libzmq's is not the same on
    /// every one.
    or: Option<f64>,
}

/// Which number of a row.
#[derive(Clone, Copy)]
enum Number {
    Speed(usize),
    /// Processor seconds for a million messages.
    Cpu,
}

/// What it is compared with.
#[derive(Clone, Copy)]
enum Than {
    Libzmq,
    /// The raw limit.
    Raw,
    /// The same library in another row.
    Row(&'static str),
    /// Another number of the same row and library.
    Other(Number),
    /// A plain number, in the unit of the metric.
    Fixed(f64),
}

const fn target(
    row: &'static str,
    number: Number,
    library: &'static str,
    than: Than,
    times: f64,
) -> Target {
    Target {
        row,
        number,
        library,
        than,
        times,
        or: None,
    }
}

/// The target, or this number.
const fn or(number: f64, target: Target) -> Target {
    let or = Some(number);
    Target { or, ..target }
}

use Number::{Cpu, Speed};
use Than::{Fixed, Libzmq, Other, Raw, Row};

const XEBEC: &str = "Xebec";
const C: &str = "Xebec-C";
const TOKIO: &str = "Xebec-tokio";

#[rustfmt::skip]
static TARGETS: &[Target] = &[
    target("push-tcp-16", Speed(0), XEBEC, Libzmq, 3.0),
    target("push-tcp-64", Speed(0), XEBEC, Libzmq, 4.0),
    target("push-tcp-256", Speed(0), XEBEC, Libzmq, 4.0),
    target("push-tcp-1K", Speed(0), XEBEC, Libzmq, 5.0),
    target("push-tcp-8K", Speed(0), XEBEC, Libzmq, 5.5),
    target("push-tcp-64K", Speed(0), XEBEC, Libzmq, 3.2),
    target("push-tcp-1M", Speed(0), XEBEC, Libzmq, 1.4),
    or(20e6, target("push-ipc-64", Speed(0), XEBEC, Libzmq, 4.0)),
    or(30e6, target("push-inproc-64", Speed(0), XEBEC, Libzmq, 3.4)),
    or(15e6, target("push-inproc-1K", Speed(0), XEBEC, Libzmq, 3.8)),
    target("push-tcp-64", Speed(0), C, Libzmq, 2.5),
    target("push-tcp-64", Speed(0), TOKIO, Libzmq, 2.5),
    target("push-tcp-64", Cpu, XEBEC, Libzmq, 3.25),
    target("push-tcp-8K", Cpu, XEBEC, Libzmq, 4.7),
    or(9e-6, target("req-tcp", Speed(0), XEBEC, Libzmq, 8.2)),
    target("req-tcp", Speed(1), XEBEC, Other(Speed(0)), 0.5),
    or(4.5e-6, target("req-ipc", Speed(0), XEBEC, Libzmq, 15.3)),
    target("req-ipc", Speed(1), XEBEC, Other(Speed(0)), 0.5),
    or(0.6e-6, target("req-inproc", Speed(0), XEBEC, Libzmq, 80.0)),
    target("req-inproc", Speed(1), XEBEC, Other(Speed(0)), 0.5),
    or(10e-6, target("req-tcp", Speed(0), C, Libzmq, 7.4)),
    or(12e-6, target("req-tcp", Speed(0), TOKIO, Libzmq, 6.2)),
    target("req-tcp-spin0", Speed(0), XEBEC, Raw, 1.0 / 1.1),
    target("req-tcp-core", Speed(0), XEBEC, Row("req-tcp-core-spin0"), 1.0 / 1.2),
    target("req-tcp-busy", Speed(0), XEBEC, Row("req-tcp-busy-spin0"), 1.0 / 1.2),
    or(20e6, target("pub-tcp-64", Speed(0), XEBEC, Libzmq, 4.2)),
    or(2.9e6, target("pub-tcp-64-1K", Speed(0), XEBEC, Libzmq, 1.9)),
    or(2e6, target("dealer-tcp-64", Speed(0), XEBEC, Libzmq, 2.1)),
    or(62e3, target("proxy-tcp", Speed(0), XEBEC, Libzmq, 1.77)),
    or(480e-6, target("proxy-tcp", Speed(1), XEBEC, Libzmq, 1.43)),
    or(0.55, target("connections-tcp", Speed(0), XEBEC, Libzmq, 1.3)),
    or(3e3, target("connections-tcp", Speed(1), XEBEC, Libzmq, 9.0)),
    or(3e3, target("connections-tcp", Speed(2), XEBEC, Libzmq, 9.0)),
    or(0.2, target("connections-tcp", Speed(4), XEBEC, Libzmq, 1.45)),
    or(2.5e6, target("curve-tcp-64", Speed(0), XEBEC, Libzmq, 2.0)),
    or(250e3, target("curve-tcp-8K", Speed(0), XEBEC, Libzmq, 3.6)),
    target("calls-socket", Speed(0), XEBEC, Fixed(3_000.0), 1.0),
    target("calls-connection", Speed(0), XEBEC, Fixed(3_000.0), 1.0),
    target("subscriptions-1M", Speed(0), XEBEC, Fixed(100e6), 1.0),
    target("subscriptions-1M", Speed(1), XEBEC, Row("subscriptions-10"), 1.0 / 3.0),
];

/// A line for each target whose row was measured, or nothing.
pub(crate) fn table(results: &[Result]) -> String {
    let lines: Vec<_> = TARGETS.iter().filter_map(|t| t.line(results)).collect();
    if lines.is_empty() {
        return String::new();
    }
    let head = "\n| Target | at least | seen | reached | the best of the others | ahead |\n\
                |---|--:|--:|---|---|---|\n";
    format!("{head}{}", lines.concat())
}

impl Target {
    fn line(&self, results: &[Result]) -> Option<String> {
        let find = |name: &str| results.iter().find(|result| result.row.name == name);
        let result = find(self.row)?;
        let metric = self.number.metric(result);
        let ours = median(metric, by_name(result, self.library)?)?;
        let (than, about) = match self.than {
            Than::Libzmq => {
                let theirs = by_role(result, Role::Reference)?;
                (median(metric, theirs)?, "libzmq".to_owned())
            }
            Than::Raw => {
                let theirs = by_role(result, Role::Limit)?;
                (median(metric, theirs)?, "the raw limit".to_owned())
            }
            Than::Row(name) => {
                let other = find(name)?;
                let cell = by_name(other, self.library)?;
                (median(metric, cell)?, other.row.title.to_owned())
            }
            Than::Other(number) => {
                let other = number.metric(result);
                let cell = by_name(result, self.library)?;
                let name = other.suffix.trim_start_matches([':', ' ']);
                (median(other, cell)?, format!("its {name}"))
            }
            Than::Fixed(number) => (number, with_unit(metric.unit, number)),
        };
        let seen = metric.unit.advantage(ours, than);
        let about = match metric.unit {
            _ if self.times == 1.0 => about,
            // A bound from above reads better the other way round.
            _ if self.times < 1.0 => format!("1/{} of {about}", digits(1.0 / self.times)),
            _ => format!("{} × {about}", digits(self.times)),
        };
        let or = self.or.map(|number| with_unit(metric.unit, number));
        let or = or.map_or(String::new(), |number| format!(" or {number}"));
        let has_reached = |number| metric.unit.advantage(ours, number) >= 1.0;
        let reached = match seen >= self.times {
            true => "yes",
            false if self.or.is_some_and(has_reached) => "the number",
            false => "**no**",
        };
        let (best, ahead) = self.best(result, metric, ours);
        Some(format!(
            "| {}{}{}, {} | {about}{or} | {} | {reached} | {best} | {ahead} |\n",
            result.row.title,
            metric.suffix,
            if matches!(self.number, Cpu) {
                ": processor time"
            } else {
                ""
            },
            self.library,
            digits(seen),
        ))
    }

    /// The best of the other libraries, and whether we are ahead of it.
    fn best(&self, result: &Result, metric: &Metric, ours: f64) -> (String, &'static str) {
        let others = result.cells.iter().filter(|cell| {
            let role = cell.library.role();
            matches!(role, Role::Peer | Role::Reference)
        });
        let numbers = others.filter_map(|cell| Some((cell, median(metric, cell)?)));
        let best = numbers.reduce(|best, other| {
            if metric.unit.advantage(other.1, best.1) > 1.0 {
                other
            } else {
                best
            }
        });
        let Some((cell, theirs)) = best else {
            return (String::new(), "");
        };
        let ahead = match metric.unit.advantage(ours, theirs) > 1.0 {
            true => "yes",
            false => "**no**",
        };
        let name = cell.library.name();
        (format!("{name}, {}", with_unit(metric.unit, theirs)), ahead)
    }
}

impl Number {
    fn metric(self, result: &Result) -> &'static Metric {
        match self {
            Speed(which) => &speed(result.row.work)[which],
            Cpu => &COST[0],
        }
    }
}

fn by_name<'a>(result: &'a Result, name: &str) -> Option<&'a Cell> {
    let mut cells = result.cells.iter();
    cells.find(|cell| cell.library.name() == name)
}

fn by_role(result: &Result, role: Role) -> Option<&Cell> {
    result.cells.iter().find(|cell| cell.library.role() == role)
}

fn median(metric: &Metric, cell: &Cell) -> Option<f64> {
    let median = metric.of(&cell.runs)?.median;
    // Of what is too small to be seen there is no ratio.
    (median > 0.0 || metric.unit == Unit::PerSecond).then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::rows;

    #[test]
    fn targets_are_about_rows_and_libraries_that_exist() {
        for target in TARGETS {
            let row = rows::Row::named(target.row).expect(target.row);
            if let Speed(which) = target.number {
                assert!(which < speed(row.work).len(), "{}", target.row);
            }
            if let Row(other) = target.than {
                assert!(rows::Row::named(other).is_some(), "{other}");
            }
            assert!(library::named(target.library).is_some());
        }
    }

    #[test]
    fn a_ratio_decides_or_a_number() {
        let row = rows::Row::named("push-tcp-64").unwrap();
        let cell = |name: &str, rate: f64| {
            let figures = format!("messages={rate} seconds=1 cpu=1").parse().unwrap();
            Cell::of(library::named(name).unwrap(), vec![figures])
        };
        let line = |ours| {
            let cells = vec![cell("libzmq", 1e6), cell("Xebec", ours)];
            let lines = table(&[Result { row, cells }]);
            let line = lines.lines().nth(3).unwrap().to_owned();
            assert!(
                line.starts_with("| PUSH→PULL tcp, 64 B, Xebec | 4.00 × libzmq |"),
                "{line}"
            );
            line
        };
        assert!(line(4.5e6).contains("| 4.50 | yes | libzmq, 1.00 M/s | yes |"));
        assert!(line(3.5e6).contains("| 3.50 | **no** | libzmq, 1.00 M/s | yes |"));
        let number = or(3e6, target("push-tcp-64", Speed(0), XEBEC, Libzmq, 4.0));
        let with_number = |ours| {
            let cells = vec![cell("libzmq", 1e6), cell("Xebec", ours)];
            number.line(&[Result { row, cells }]).unwrap()
        };
        assert!(with_number(3.5e6).contains("4.00 × libzmq or 3.00 M/s | 3.50 | the number |"));
        assert!(with_number(4.5e6).contains("| 4.50 | yes |"));
        assert!(with_number(2.5e6).contains("| 2.50 | **no** |"));
        assert!(line(0.5e6).contains("| **no** | libzmq, 1.00 M/s | **no** |"));
    }
}
