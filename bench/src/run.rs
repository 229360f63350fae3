//! Runs: the libraries of a row in turn, each with processes of its own.
//!
//! The first round is a trial of each with a small count. It tells who cannot do the row at all,
//! and with which count a run of the library takes the time that it should.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::child;
use crate::library::{Library, Role};
use crate::measurement::{Figures, speed};
use crate::rows::{Row, Table, Transport, Work};

/// What was measured of a row.
pub(crate) struct Result {
    pub(crate) row: &'static Row,
    /// One for each library.
    pub(crate) cells: Vec<Cell>,
}

/// A library's runs of a row.
pub(crate) struct Cell {
    pub(crate) library: &'static dyn Library,
    pub(crate) runs: Vec<Figures>,
    /// Why there are no more.
    pub(crate) why_not: Option<String>,
    count: usize,
}

impl Cell {
    pub(crate) fn of(library: &'static dyn Library, runs: Vec<Figures>) -> Self {
        Cell {
            library,
            runs,
            why_not: None,
            count: 0,
        }
    }
}

impl Result {
    pub(crate) fn cell(&self, library: &dyn Library) -> Option<&Cell> {
        let same = |cell: &&Cell| cell.library.name() == library.name();
        self.cells.iter().find(same)
    }

    /// What should have been measured and was not.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let ours = |cell: &&Cell| matches!(cell.library.role(), Role::Reference | Role::Xebec);
        let told = |cell: &Cell| {
            let why = cell.why_not.as_ref()?;
            Some(format!("{}, {}: {why}", self.row.name, cell.library.name()))
        };
        self.cells.iter().filter(ours).filter_map(told)
    }
}

/// How thorough the runs are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) quick: bool,
}

impl Effort {
    /// How often each library does each row.
    pub(crate) const fn times(self) -> usize {
        if self.quick { 3 } else { 5 }
    }

    /// The seconds that a run should take.
    pub(crate) const fn seconds(self) -> f64 {
        if self.quick { 0.2 } else { 1.0 }
    }
}

pub(crate) fn all(
    rows: &[&'static Row],
    libraries: &[&'static dyn Library],
    effort: Effort,
) -> Vec<Result> {
    let measured = |row: &&'static Row| interleaved(row, libraries, effort);
    rows.iter().map(measured).collect()
}

/// A B C A B C …
fn interleaved(row: &'static Row, libraries: &[&'static dyn Library], effort: Effort) -> Result {
    let _company = row.company.then(Company::start);
    let there = |library: &&&'static dyn Library| row.table == Table::Main || library.grows();
    let cell = |&library: &&'static dyn Library| Cell {
        why_not: library.unable(row).map(str::to_owned),
        count: row.count,
        ..Cell::of(library, Vec::new())
    };
    let mut cells: Vec<Cell> = libraries.iter().filter(there).map(cell).collect();
    for round in 0..=effort.times() {
        for cell in cells.iter_mut().filter(|cell| cell.why_not.is_none()) {
            let trial = round == 0;
            if trial && !row.stretches() {
                continue;
            }
            if trial {
                cell.count = (row.count / 20).max(1);
            }
            match once(row, cell.library, cell.count) {
                Ok(figures) if trial => {
                    cell.count = stretched(cell.count, &figures, effort.seconds());
                }
                Ok(figures) => cell.runs.push(figures),
                Err(why) => cell.why_not = Some(why),
            }
        }
    }
    let result = Result { row, cells };
    progress(&result);
    result
}

/// The count with which a run takes so many seconds, by one that took some time.
fn stretched(count: usize, trial: &Figures, seconds: f64) -> usize {
    let factor = seconds / trial.number("seconds");
    let factor = if factor.is_finite() { factor } else { 20.0 };
    // A trial is short, and may have been unlucky.
    ((count as f64 * factor.clamp(0.2, 300.0)) as usize).max(1)
}

/// Tells at once what came out, for whoever waits.
fn progress(result: &Result) {
    let metric = &speed(result.row.work)[0];
    print!("{:<20}", result.row.name);
    for Cell { library, runs, .. } in &result.cells {
        let Some(spread) = metric.of(runs) else {
            continue;
        };
        let (size, unit) = metric.unit.scale(spread.median);
        print!("  {} {:.2}{unit}", library.name(), spread.median / size);
    }
    println!();
    for cell in &result.cells {
        if let Some(why) = &cell.why_not {
            println!("{:<20}  {}: {why}", "", cell.library.name());
        }
    }
}

/// One run.
fn once(row: &Row, library: &dyn Library, count: usize) -> std::result::Result<Figures, String> {
    let start = |end: &str| End::start(&child::arguments(row, library, count, end));
    if row.transport == Transport::Inproc {
        return start("both")?.report();
    }
    let mut binding = start("bind")?;
    let endpoints = binding.line("endpoint")?;
    let _files = endpoints.split(' ').map(Leftover).collect::<Vec<_>>();
    let mut ends = vec![binding];
    if let (Work::Proxy { .. }, Some((clients, _))) = (row.work, endpoints.split_once(' ')) {
        // The workers know themselves by the second of two endpoints.
        ends.push(start(&endpoints)?);
        ends.push(start(clients)?);
    } else {
        ends.push(start(&endpoints)?);
    }
    loop {
        let said = ends.iter_mut().map(End::next);
        let said: Vec<_> = said.collect::<std::result::Result<_, _>>()?;
        let figures: Vec<&Figures> = said.iter().flatten().collect();
        match figures.len() {
            0 => ends.iter_mut().for_each(End::go_on),
            all if all == ends.len() => {
                let mut sum = Figures::default();
                figures.iter().for_each(|figures| sum.merge(figures));
                return Ok(sum);
            }
            _ => return Err("the ends do not agree on when they are done".to_owned()),
        }
    }
}

/// An endpoint whose file goes with it: not every library removes its own.
struct Leftover<'a>(&'a str);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0.strip_prefix("ipc:///") {
            let _ = fs::remove_file(format!("/{file}"));
        }
    }
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

    /// The rest of the next line that begins with one of these words, and which it is.
    fn any_line(&mut self, words: &[&str]) -> std::result::Result<(usize, String), String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.lines.read_line(&mut line);
            if !read.is_ok_and(|length| length > 0) {
                let status = self.child.wait();
                let status = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                return Err(format!("a child ended ({status}) without a word"));
            }
            if let Some(why) = line.strip_prefix("failed") {
                return Err(why.trim().to_owned());
            }
            for (index, word) in words.iter().enumerate() {
                if let Some(rest) = line.strip_prefix(word) {
                    return Ok((index, rest.trim().to_owned()));
                }
            }
        }
    }

    fn line(&mut self, word: &str) -> std::result::Result<String, String> {
        self.any_line(&[word]).map(|(_, rest)| rest)
    }

    /// Its figures, or nothing when it waits for the others.
    fn next(&mut self) -> std::result::Result<Option<Figures>, String> {
        match self.any_line(&["meet", "report"])? {
            (0, _) => Ok(None),
            (_, figures) => figures.parse().map(Some),
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
        // After its report it ends by itself; before, its run has failed somewhere.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Threads that keep every core busy as long as this lives.
struct Company(Arc<AtomicBool>);

impl Company {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let over = over.clone();
            thread::spawn(move || while !over.load(Ordering::Relaxed) {});
        }
        Company(over)
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
