//! How costs grow with the number of connections or subscriptions: a table and its chart.

use std::fmt::Write;

use crate::chart::Series;
use crate::document::with_unit;
use crate::measurement::{Metric, growth};
use crate::rows::Table;
use crate::run::Result;

/// The same workload at every size, by one library.
struct Line<'a> {
    title: &'a str,
    metric: &'static Metric,
    library: &'static str,
    /// The size, and what was seen there.
    seen: Vec<(usize, Option<f64>)>,
}

fn collected<'a>(results: &[&'a Result]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for result in results {
        let Table::Growth { of } = result.row.table else {
            continue;
        };
        for metric in growth(result.row.work) {
            for cell in &result.cells {
                let (title, library) = (result.row.title, cell.library.name());
                let same = |line: &&mut Line<'_>| {
                    let name = line.metric.suffix == metric.suffix;
                    line.title == title && line.library == library && name
                };
                let seen = metric.of(&cell.runs).map(|spread| spread.median);
                match lines.iter_mut().find(same) {
                    Some(line) => line.seen.push((of, seen)),
                    None => lines.push(Line {
                        title,
                        metric,
                        library,
                        seen: vec![(of, seen)],
                    }),
                }
            }
        }
    }
    // All libraries of a number together.
    lines.sort_by_key(|line| (line.title.as_ptr(), line.metric.suffix));
    lines
}

fn sizes(lines: &[Line<'_>]) -> Vec<usize> {
    let sizes = lines.iter().flat_map(|line| &line.seen);
    let mut sizes: Vec<usize> = sizes.map(|(size, _)| *size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

impl Line<'_> {
    fn at(&self, size: usize) -> Option<f64> {
        let at = self.seen.iter().find(|(there, _)| *there == size);
        at.and_then(|(_, seen)| *seen)
    }
}

/// A line for each number and library, a column for each size, or nothing.
pub(crate) fn table(results: &[&Result]) -> String {
    let lines = collected(results);
    let sizes = sizes(&lines);
    if sizes.is_empty() {
        return String::new();
    }
    let mut text = "\n| Connections, or subscriptions | |".to_owned();
    sizes.iter().for_each(|size| {
        let _ = write!(text, " {size} |");
    });
    let _ = writeln!(text, "\n|---|---|{}", "--:|".repeat(sizes.len()));
    for line in &lines {
        let _ = write!(
            text,
            "| {}{} | {} |",
            line.title, line.metric.suffix, line.library
        );
        for &size in &sizes {
            let Some(seen) = line.at(size) else {
                text += " – |";
                continue;
            };
            let _ = write!(text, " {} |", with_unit(line.metric.unit, seen));
        }
        text += "\n";
    }
    text
}

/// What the lines of the chart are: the processor time of messages, by workload and library.
pub(crate) fn chart(results: &[&Result]) -> Option<(Vec<usize>, Vec<Series>)> {
    let lines = collected(results);
    let sizes = sizes(&lines);
    let first = growth(results.first()?.row.work).first()?;
    let alike = lines
        .iter()
        .filter(|line| line.metric.suffix == first.suffix);
    let series: Vec<Series> = alike
        .map(|line| Series {
            name: format!(
                "{} {}",
                line.library,
                line.title.split(' ').next().unwrap_or("")
            ),
            values: sizes
                .iter()
                .map(|size| Some(line.at(*size)? * 1e6))
                .collect(),
        })
        .collect();
    (!series.is_empty()).then_some((sizes, series))
}
