//! The process that does one run of one end, or of both ends over inproc.
//!
//! It talks to its parent in lines: on stdout `endpoint …` once it is bound, `arrived` where the
//! workload has such a point, and at last `report` with its figures; on stdin it is told, by any
//! line or the end, to go on.

use std::io::{self, Write};
use std::process;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::library::{self, Library};
use crate::measurement::{Figures, Usage};
use crate::rows::Row;
use crate::work;

/// The first argument of a child.
pub(crate) const WORD: &str = "child";

/// A run that takes this long will not end.
const PATIENCE: Duration = Duration::from_secs(120);

/// The pipes to the parent.
pub(crate) struct Link;

impl Link {
    /// Tells where this end is bound.
    pub(crate) fn bound(&self, endpoint: &str) {
        self.say(&format!("endpoint {endpoint}"));
    }

    pub(crate) fn say(&self, line: &str) {
        let mut out = io::stdout().lock();
        // A parent that is gone needs no report.
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            process::exit(1);
        }
    }

    /// Waits to be told to go on.
    pub(crate) fn wait(&self) {
        let _ = io::stdin().read_line(&mut String::new());
    }
}

/// The arguments of a child, after its word.
pub(crate) fn arguments(row: &Row, library: &dyn Library, count: usize, end: &str) -> [String; 4] {
    [row.name, library.name(), &count.to_string(), end].map(str::to_owned)
}

/// What is given: row, library, count, and the end: `bind`, `both`, or the endpoint to connect to.
pub(crate) fn main(arguments: &[String]) {
    let [row, library, count, end] = arguments else {
        panic!("a child has four arguments")
    };
    let row = Row::named(row).expect("a row");
    let library = library::named(library).expect("a library");
    let count = count.parse().expect("a count");
    watch();
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If it may not be raised, the row that needs it tells.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let before = Usage::now();
    let mut figures = run(row, library, count, end);
    let usage = Usage::since(&before);
    figures.add("cpu", usage.cpu);
    figures.add("switches", usage.switches);
    Link.say(&format!("report {figures}"));
}

/// Returns once everything sent has left, so that its cost is counted.
fn run(row: &Row, library: &dyn Library, count: usize, end: &str) -> Figures {
    let context = &*library.context();
    match end {
        "bind" => work::bind(row, count, context, &Link),
        "both" => thread::scope(|scope| {
            let endpoint = row.transport.endpoint();
            let other = scope.spawn(|| work::connect(row, count, context, endpoint, &Link));
            let mut figures = work::bind(row, count, context, &Link);
            figures.merge(&other.join().expect("the other end ended well"));
            figures
        }),
        endpoint => work::connect(row, count, context, endpoint, &Link),
    }
}

/// Ends this process when it takes too long.
fn watch() {
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        eprintln!("no end after {} s", PATIENCE.as_secs());
        process::exit(1);
    });
}
