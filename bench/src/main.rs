//! Measures Xebec side by side with its peers, in one run, and writes docs/performance.md.
//!
//! ```text
//! xebec-bench [--quick] [--only LIBRARIES] [--list] [ROWS…]
//! ```
//!
//! A [row](rows::Row) is a workload with its sizes; a [library](library::Library) is a way to do
//! it. Every row is done by each of its libraries in turn, A B C A B C …, several times over, so
//! that a slow minute of the machine hits all of them. Each run is made by processes of its own:
//! this program, started again as a child (see [`child`]) for either end, or for both over
//! inproc.
//!
//! What one end does is in [`work`], what the libraries do for it in [`columns`], what becomes of
//! the numbers in [`measurement`], [`targets`], [`growth`], [`chart`] and [`document`].

mod chart;
mod child;
mod columns;
mod document;
mod growth;
mod library;
mod machine;
mod measurement;
mod rows;
mod run;
mod targets;
mod work;

use std::path::Path;
use std::process::ExitCode;

use library::Library;
use rows::{ROWS, Row};

const USAGE: &str = "\
Usage: cargo xtask bench [--quick] [--only LIBRARIES] [--list] [ROWS…]

  ROWS              names of rows or parts of them, as in `push-tcp req`; all, unless given
  --quick           three runs of a fifth of a second, where the full measurement has five of a second
  --only LIBRARIES  some columns of the tables, as in `--only libzmq,Xebec,raw`
  --list            name the rows and the libraries and end

The tables are printed, and when every row was measured in full, and none failed, they are written
into docs/performance.md, too.
";

/// Where the tables go.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// What was asked for on the command line.
#[derive(Default)]
struct Request {
    quick: bool,
    list: bool,
    help: bool,
    /// Names of libraries; all, unless given.
    only: Option<Vec<&'static dyn Library>>,
    /// Parts of names of rows.
    words: Vec<String>,
}

fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Request, String> {
    let mut request = Request::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => request.quick = true,
            "--list" => request.list = true,
            "--only" => {
                let names = arguments.next().unwrap_or_default();
                let named = |name| {
                    let found = library::named(name);
                    found.ok_or_else(|| format!("no library is called {name}: --list names them"))
                };
                request.only = Some(names.split(',').map(named).collect::<Result<_, _>>()?);
            }
            "--help" | "-h" => request.help = true,
            option if option.starts_with('-') => return Err(format!("there is no {option}")),
            word if ROWS.iter().any(|row| means(word, row)) => request.words.push(argument),
            word => return Err(format!("no row is called {word}: --list names them")),
        }
    }
    Ok(request)
}

/// A whole name means that row alone, a part of names all that have it.
fn means(word: &str, row: &Row) -> bool {
    match Row::named(word) {
        Some(named) => named.name == row.name,
        None => row.name.contains(word),
    }
}

fn chosen(words: &[String]) -> Vec<&'static Row> {
    let wanted = |row: &&Row| words.is_empty() || words.iter().any(|word| means(word, row));
    ROWS.iter().filter(wanted).collect()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments
        .next_if(|argument| argument == child::WORD)
        .is_some()
    {
        child::main(&arguments.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let request = match parse(arguments) {
        Ok(request) => request,
        Err(complaint) => {
            eprint!("{complaint}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let rows = chosen(&request.words);
    if request.help {
        print!("{USAGE}");
    } else if request.list {
        rows.iter()
            .for_each(|row| println!("{:<24} {}", row.name, row.title));
        println!();
        library::ALL
            .iter()
            .for_each(|library| println!("{:<24} {}", library.name(), library.about()));
    } else if let Err(failure) = measure(&request, &rows) {
        eprintln!("{failure}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(request: &Request, rows: &[&'static Row]) -> Result<(), String> {
    let libraries = request.only.as_deref().unwrap_or(library::ALL);
    if let Some(missing) = libraries.iter().find_map(|library| library.missing()) {
        return Err(missing);
    }
    let effort = run::Effort {
        quick: request.quick,
    };
    let conditions = machine::Conditions::now(effort, libraries);
    println!("{conditions}");
    let results = run::all(rows, libraries, effort);
    println!("{}", document::tables(&results, libraries));
    let failures: Vec<_> = results.iter().flat_map(run::Result::failures).collect();
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    if !request.quick && request.words.is_empty() && request.only.is_none() {
        document::write(Path::new(DOCUMENT), &conditions, &results, libraries)
            .map_err(|why| format!("{DOCUMENT}: {why}"))?;
        println!("written to docs/performance.md");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn words_choose_rows_by_parts_of_their_names() {
        let request = parsed("--quick push-tcp-64 inproc").ok().unwrap();
        assert!(request.quick && !request.list);
        let names: Vec<_> = chosen(&request.words).iter().map(|row| row.name).collect();
        assert_eq!(
            names,
            [
                "push-tcp-64",
                "push-inproc-64",
                "push-inproc-1K",
                "req-inproc"
            ]
        );
        assert_eq!(chosen(&[]).len(), ROWS.len());
    }

    #[test]
    fn libraries_are_chosen_by_their_names() {
        let only = |line| parsed(line).map(|request| request.only.unwrap());
        let names = |libraries: Vec<&dyn Library>| -> Vec<_> {
            libraries.iter().map(|library| library.name()).collect()
        };
        assert_eq!(
            names(only("--only Xebec,raw").ok().unwrap()),
            ["Xebec", "raw"]
        );
        assert!(only("--only zmq").err().unwrap().contains("zmq"));
        assert!(only("--only").is_err());
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parsed("--fast").err().unwrap().contains("--fast"));
        assert!(parsed("push-tpc").err().unwrap().contains("push-tpc"));
    }
}
