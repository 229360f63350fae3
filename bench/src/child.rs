//! The process that does one run of one end, or of both ends over inproc.
//!
//! It talks to its parent in lines: on stdout `endpoint …` once it is bound, `meet` where it waits
//! for the other ends, and at last `report` with its figures, or `failed` and why; on stdin it is
//! told, by any line or the end, to go on. Both ends of an inproc run meet among themselves.

use std::io::{self, Write};
use std::panic;
use std::process;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::library::{self, Library};
use crate::measurement::Figures;
use crate::rows::Row;

/// The first argument of a child.
pub(crate) const WORD: &str = "child";

/// A run that takes this long will not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a child does.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) row: &'static Row,
    /// Messages, round trips or connections.
    pub(crate) count: usize,
    pub(crate) end: End,
    pub(crate) link: Link,
}

/// Which end of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Bind,
    /// Connects to this endpoint.
    Connect(String),
    /// Both, in one process.
    Both,
}

impl Task {
    /// The tasks of the two ends that are in this process.
    pub(crate) fn both(&self) -> (Task, Task) {
        let link = Link::Threads(Arc::new(Barrier::new(2)));
        let endpoint = self.row.transport.endpoint().to_owned();
        [End::Bind, End::Connect(endpoint)]
            .map(|end| Task {
                end,
                link: link.clone(),
                ..self.clone()
            })
            .into()
    }

    /// Where this end connects to, once the other end is bound.
    pub(crate) fn endpoint(&self) -> &str {
        if let Link::Threads(barrier) = &self.link {
            barrier.wait();
        }
        match &self.end {
            End::Connect(endpoint) => endpoint,
            end => panic!("{end:?} does not connect"),
        }
    }
}

/// How the ends wait for each other.
#[derive(Clone)]
pub(crate) enum Link {
    /// By way of the parent.
    Pipes,
    Threads(Arc<Barrier>),
}

impl Link {
    /// Tells where this end is bound.
    pub(crate) fn bound(&self, endpoint: &str) {
        match self {
            Link::Pipes => say(&format!("endpoint {endpoint}")),
            Link::Threads(barrier) => drop(barrier.wait()),
        }
    }

    /// Waits until every end is here.
    pub(crate) fn meet(&self) {
        match self {
            Link::Pipes => {
                say("meet");
                let _ = io::stdin().read_line(&mut String::new());
            }
            Link::Threads(barrier) => drop(barrier.wait()),
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A parent that is gone needs no report.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        process::exit(1);
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
    fail_by_panics();
    watch();
    let row = Row::named(row).expect("a row");
    let library = library::named(library).expect("a library");
    prepare(row);
    let figures: Figures = library.run(Task {
        row,
        count: count.parse().expect("a count"),
        end: match end.as_str() {
            "bind" => End::Bind,
            "both" => End::Both,
            endpoint => End::Connect(endpoint.to_owned()),
        },
        link: Link::Pipes,
    });
    say(&format!("report {figures}"));
    // Not every library can end what it has started.
    process::exit(0);
}

fn prepare(row: &Row) {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // If it may not be raised, the row that needs it tells.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    if row.one_core {
        let mut first = CpuSet::new();
        first.set(0).expect("there is a first core");
        // Threads that this one starts inherit it.
        sched_setaffinity(Pid::from_raw(0), &first).expect("a process may keep to one core");
    }
}

/// Any panic, in whatever thread, ends this process, and the parent is told the reason.
fn fail_by_panics() {
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        fail(text.unwrap_or("a panic"));
    }));
}

fn fail(why: &str) -> ! {
    say(&format!("failed {}", why.replace('\n', " ")));
    process::exit(1)
}

/// Ends this process when it takes too long.
fn watch() {
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        fail(&format!("no end after {} s", PATIENCE.as_secs()))
    });
}
