//! Runs: the libraries of a row in turn, each with processes of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::child;
use crate::library::{self, Library};
use crate::measurement::{Figures, speed};
use crate::rows::{Row, Transport, Work};

/// What was measured of a row.
pub(crate) struct Result {
    pub(crate) row: &'static Row,
    /// One for each library that does this row.
    pub(crate) cells: Vec<Cell>,
}

/// A library's runs of a row.
pub(crate) struct Cell {
    pub(crate) library: &'static dyn Library,
    pub(crate) runs: Vec<Figures>,
    failures: Vec<String>,
}

impl Result {
    pub(crate) fn cell(&self, library: &dyn Library) -> Option<&Cell> {
        let same = |cell: &&Cell| cell.library.name() == library.name();
        self.cells.iter().find(same)
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let name = self.row.name;
        self.cells.iter().flat_map(
            move |Cell {
                      library, failures, ..
                  }| {
                let told = move |why: &String| format!("{name}, {}: {why}", library.name());
                failures.iter().map(told)
            },
        )
    }
}

/// How often each library does each row.
pub(crate) const fn times(quick: bool) -> usize {
    if quick { 3 } else { 5 }
}

pub(crate) fn all(rows: &[&'static Row], quick: bool) -> Vec<Result> {
    rows.iter().map(|row| interleaved(row, quick)).collect()
}

/// A B C A B C …
fn interleaved(row: &'static Row, quick: bool) -> Result {
    let libraries = library::ALL.iter().copied();
    let libraries = libraries.filter(|library| library.in_every_row() || row.on_tokio);
    let cell = |library| Cell {
        library,
        runs: Vec::new(),
        failures: Vec::new(),
    };
    let mut cells: Vec<Cell> = libraries.map(cell).collect();
    for _ in 0..times(quick) {
        for cell in &mut cells {
            match once(row, cell.library, row.count(quick)) {
                Ok(figures) => cell.runs.push(figures),
                Err(why) => cell.failures.push(why),
            }
        }
    }
    let result = Result { row, cells };
    progress(&result);
    result
}

/// Tells at once what came out, for whoever waits.
fn progress(result: &Result) {
    let metric = &speed(result.row.work)[0];
    print!("{:<16}", result.row.name);
    for Cell { library, runs, .. } in &result.cells {
        let middle = metric.of(runs).map_or(f64::NAN, |spread| spread.median);
        let (size, unit) = metric.unit.scale(middle);
        print!("  {} {:.2}{unit}", library.name(), middle / size);
    }
    println!();
    result.failures().for_each(|why| println!("  {why}"));
}

/// One run.
fn once(row: &Row, library: &dyn Library, count: usize) -> std::result::Result<Figures, String> {
    let start = |end: &str| End::start(&child::arguments(row, library, count, end));
    if row.transport == Transport::Inproc {
        return start("both")?.report();
    }
    let mut binding = start("bind")?;
    let endpoint = binding.line("endpoint")?;
    let mut connecting = start(&endpoint)?;
    if row.work == Work::Idle {
        binding.line("arrived")?;
        connecting.go_on();
    }
    let mut figures = connecting.report()?;
    binding.go_on();
    figures.merge(&binding.report()?);
    Ok(figures)
}

/// A child.
struct End {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl End {
    fn start(arguments: &[String]) -> std::result::Result<Self, String> {
        let started = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg(child::WORD)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        });
        let mut child = started.map_err(|error| format!("no child: {error}"))?;
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Ok(End { child, lines })
    }

    /// The rest of the next line that begins with this word.
    fn line(&mut self, word: &str) -> std::result::Result<String, String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.lines.read_line(&mut line);
            if !read.is_ok_and(|length| length > 0) {
                let status = self
                    .child
                    .wait()
                    .map_or_else(|error| error.to_string(), |s| s.to_string());
                return Err(format!("a child ended ({status}) and had said no `{word}`"));
            }
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    fn go_on(&mut self) {
        if let Some(pipe) = &mut self.child.stdin {
            // A child that is gone is told of by its missing report.
            let _ = pipe.write_all(b"go on\n");
        }
    }

    fn report(&mut self) -> std::result::Result<Figures, String> {
        self.line("report")?.parse()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // After its report it ends by itself; before, its run has failed at the other end.
        drop(self.child.stdin.take());
        if self.lines.fill_buf().is_ok_and(|rest| !rest.is_empty()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
