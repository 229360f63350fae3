//! The tables and charts, and their places in the document and beside it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::chart::{self, Series};
use crate::growth;
use crate::library::Library;
use crate::machine::Conditions;
use crate::measurement::{COST, Metric, Spread, Unit, speed};
use crate::rows::{Table, Work};
use crate::run::{Cell, Result};
use crate::targets;

/// The columns of a table.
type Libraries<'a> = &'a [&'static dyn Library];

/// What is between these lines is the program's, everything else the author's.
const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// The folder of the charts, beside the document.
const CHARTS: &str = "charts";

/// Puts the tables between the markers of a document.
pub(crate) fn write(
    file: &Path,
    conditions: &Conditions,
    results: &[Result],
    libraries: Libraries<'_>,
) -> std::result::Result<(), String> {
    let old = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut new = format!("{conditions}\n\n");
    let folder = file.with_file_name(CHARTS);
    let put = fs::create_dir_all(&folder).and_then(|()| {
        charts(results, libraries)
            .into_iter()
            .try_for_each(|(name, title, svg)| {
                let _ = writeln!(new, "![{title}]({CHARTS}/{name})\n");
                fs::write(folder.join(name), svg)
            })
    });
    put.map_err(|error| format!("{}: {error}", folder.display()))?;
    new += &tables(results, libraries);
    fs::write(file, between(&old, &new)?).map_err(|error| error.to_string())
}

/// Name, title and text of each chart.
fn charts(
    results: &[Result],
    libraries: Libraries<'_>,
) -> Vec<(&'static str, &'static str, String)> {
    let mut charts = Vec::new();
    let main = results.iter().filter(|r| r.row.table == Table::Main);
    let main: Vec<&Result> = main.collect();
    let of = |unit: Unit| -> Vec<&Result> {
        let alike = main.iter().filter(|r| speed(r.row.work)[0].unit == unit);
        alike
            .filter(|r| r.row.work != Work::Connections)
            .copied()
            .collect()
    };
    let rates = of(Unit::PerSecond);
    let relative = |metric: &Metric, result: &Result, cell: &Cell| {
        let first = metric.of(&result.cell(libraries[0])?.runs)?.median;
        Some(metric.of(&cell.runs)?.median / first)
    };
    let median = |metric: &Metric, _: &Result, cell: &Cell| Some(metric.of(&cell.runs)?.median);
    let title = "Messages or calls a second, as multiples of libzmq";
    let svg = bars(
        title,
        " ×",
        &rates,
        libraries,
        |r| &speed(r.row.work)[0],
        relative,
    );
    charts.push(("rates.svg", title, svg));
    let title = "Round trips: median time in µs";
    let micros =
        |metric: &Metric, result: &Result, cell: &Cell| Some(median(metric, result, cell)? * 1e6);
    let trips = of(Unit::Seconds);
    let svg = bars(
        title,
        " µs",
        &trips,
        libraries,
        |r| &speed(r.row.work)[0],
        micros,
    );
    charts.push(("round-trips.svg", title, svg));
    let title = "Processor seconds for a million messages or calls, both ends";
    let svg = bars(title, " s", &rates, libraries, |_| &COST[0], median);
    charts.push(("cost.svg", title, svg));
    let grown: Vec<&Result> = results
        .iter()
        .filter(|r| r.row.table != Table::Main)
        .collect();
    if let Some((sizes, series)) = growth::chart(&grown) {
        let title = "Processor time of a message in µs, by the number of connections";
        charts.push((
            "growth.svg",
            title,
            chart::lines(title, " µs", &sizes, &series),
        ));
    }
    charts
}

/// A group of bars for each row.
fn bars(
    title: &str,
    unit: &str,
    results: &[&Result],
    libraries: Libraries<'_>,
    metric: impl Fn(&Result) -> &'static Metric,
    value: impl Fn(&Metric, &Result, &Cell) -> Option<f64>,
) -> String {
    let labels: Vec<String> = results.iter().map(|r| r.row.title.to_owned()).collect();
    let series = libraries.iter().map(|library| Series {
        name: library.name().to_owned(),
        values: results
            .iter()
            .map(|result| value(metric(result), result, result.cell(*library)?))
            .collect(),
    });
    chart::bars(title, unit, &labels, &series.collect::<Vec<_>>())
}

fn between(old: &str, new: &str) -> std::result::Result<String, String> {
    let parts = old.split_once(BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = parts.ok_or_else(|| format!("it needs the lines {BEGIN} and {END}"))?;
    Ok(format!("{head}{BEGIN}\n{}\n{END}{tail}", new.trim()))
}

/// The speed and the cost of each row.
pub(crate) fn tables(results: &[Result], libraries: Libraries<'_>) -> String {
    let main = |result: &&Result| result.row.table == Table::Main;
    let main: Vec<&Result> = results.iter().filter(main).collect();
    let per_message = |result: &&&Result| result.row.work != Work::Connections;
    let costly: Vec<&Result> = main.iter().filter(per_message).copied().collect();
    let mut text = String::new();
    if !main.is_empty() {
        text += &speeds(&main, libraries);
    }
    for (about, metric) in [
        (
            "Processor seconds for a million messages or round trips, both ends",
            &COST[0],
        ),
        (
            "Context switches for a thousand messages or round trips, both ends",
            &COST[1],
        ),
    ] {
        if !costly.is_empty() {
            text += &costs(about, metric, &costly, libraries);
        }
    }
    text += &targets::table(results);
    text += &growth::table(&results.iter().collect::<Vec<_>>());
    text += &left_out(results);
    text
}

fn speeds(results: &[&Result], libraries: Libraries<'_>) -> String {
    let mut text = head("Speed", libraries, |name, first| {
        let times = if first { "" } else { " × |" };
        format!(" {name} |{times}")
    });
    for result in results {
        for metric in speed(result.row.work) {
            let _ = write!(text, "| {}{} |", result.row.title, metric.suffix);
            let first = result.cell(libraries[0]);
            let first = first.and_then(|cell| metric.of(&cell.runs));
            for (i, library) in libraries.iter().enumerate() {
                let cell = result.cell(*library);
                let _ = write!(text, " {} |", number(metric, cell, first));
                if i > 0 {
                    let _ = write!(text, " {} |", times(metric, cell, first));
                }
            }
            text += "\n";
        }
    }
    text
}

fn costs(about: &str, metric: &Metric, results: &[&Result], libraries: Libraries<'_>) -> String {
    let mut text = format!(
        "\n{}",
        head(about, libraries, |name, _| format!(" {name} |"))
    );
    for result in results {
        let _ = write!(text, "| {} |", result.row.title);
        for library in libraries {
            let _ = write!(text, " {} |", number(metric, result.cell(*library), None));
        }
        text += "\n";
    }
    text
}

/// Who did not do what, and why; rows with the same reason together.
fn left_out(results: &[Result]) -> String {
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for result in results {
        for cell in &result.cells {
            if let Some(why) = &cell.why_not {
                let rows = reasons.entry((cell.library.name(), why)).or_default();
                rows.push(result.row.name);
            }
        }
    }
    let mut text = String::new();
    for ((library, why), rows) in reasons {
        let _ = write!(
            text,
            "\n* left out: {library} in {}: {why}",
            rows.join(", ")
        );
    }
    text
}

fn head(about: &str, libraries: Libraries<'_>, column: impl Fn(&str, bool) -> String) -> String {
    let mut head = format!("| {about} |");
    for (i, library) in libraries.iter().enumerate() {
        head += &column(Library::name(*library), i == 0);
    }
    let columns = head.matches('|').count() - 1;
    format!("{head}\n|---|{}\n", "--:|".repeat(columns - 1))
}

/// Median, minimum and maximum, in the unit that suits `like` or the median.
fn number(metric: &Metric, cell: Option<&Cell>, like: Option<Spread>) -> String {
    let Some(cell) = cell else {
        return String::new();
    };
    let Some(spread) = metric.of(&cell.runs) else {
        return "–".to_owned();
    };
    let like = if metric.unit == Unit::PerSecond {
        like.unwrap_or(spread)
    } else {
        spread
    };
    let (size, unit) = metric.unit.scale(like.median);
    let show = |number: f64| digits(number / size);
    let (median, least, most) = (show(spread.median), show(spread.least), show(spread.most));
    format!("{median}{unit} ({least}–{most})")
}

fn times(metric: &Metric, cell: Option<&Cell>, first: Option<Spread>) -> String {
    let ours = cell.and_then(|cell| metric.of(&cell.runs));
    let (Some(ours), Some(first)) = (ours, first) else {
        return String::new();
    };
    if metric.unit == Unit::Plain {
        return String::new();
    }
    let times = metric.unit.advantage(ours.median, first.median);
    if times.is_finite() {
        digits(times)
    } else {
        String::new()
    }
}

/// The number in the unit in which it is read best, and that.
pub(crate) fn with_unit(unit: Unit, number: f64) -> String {
    let (size, name) = unit.scale(number);
    format!("{}{name}", digits(number / size))
}

/// Three digits that count, no more.
pub(crate) fn digits(number: f64) -> String {
    let places = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::rows::ROWS;
    use crate::run::Effort;

    #[test]
    fn what_is_outside_the_markers_stays() {
        let old = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let expected = format!("before\n{BEGIN}\nnew\n{END}\nafter\n");
        assert_eq!(between(&old, "new\n").unwrap(), expected);
        assert_eq!(between(&expected, "new").unwrap(), expected);
        assert!(between("no markers", "new").is_err());
    }

    #[test]
    fn tables_and_charts_stand_beside_each_other() {
        let folder = std::env::temp_dir().join(format!("xebec-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("performance.md");
        fs::write(&file, format!("before\n{BEGIN}\n{END}\n")).unwrap();
        let made_up = "messages=2e6 seconds=1 cpu=2 switches=3 p50=4e-6 p99=5e-6 connections=10 \
                       topics=10 subscription_bytes=1e6 busy_cpu=1 accepting_bytes=1 connecting_bytes=1";
        let measured = |row| Result {
            row,
            cells: library::ALL
                .iter()
                .map(|library| Cell::of(*library, vec![made_up.parse().unwrap()]))
                .collect(),
        };
        let results: Vec<_> = ROWS.iter().map(measured).collect();
        let conditions = Conditions::now(Effort { quick: true }, library::ALL);
        write(&file, &conditions, &results, library::ALL).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        for row in ROWS {
            assert!(text.contains(row.title), "{}", row.title);
        }
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let (chart, _) = rest.split_once(')').unwrap();
            let svg = fs::read_to_string(folder.join(chart)).unwrap();
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>\n"),
                "{chart}"
            );
        }
        assert_eq!(text.matches(".svg)").count(), 4);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn three_digits() {
        let shown = [0.0, 0.0123, 4.567, 45.67, 456.7].map(digits);
        assert_eq!(shown, ["0.00", "0.012", "4.57", "45.7", "457"]);
    }
}
