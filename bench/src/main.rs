//! Measures Xebec side by side with its peers, in one run, and writes docs/performance.md.
//!
//! ```text
//! xebec-bench [--quick] [--list] [--document FILE] [ROWS…]
//! ```
//!
//! A [row](rows::Row) is a workload with its sizes; a [library](library::Library) is a way to do
//! it. Every row is done by each of its libraries in turn, A B C A B C …, several times over, so
//! that a slow minute of the machine hits all of them. Each run is made by processes of its own:
//! this program, started again as a child (see [`child`]) for either end, or for both over
//! inproc.
//!
//! What one end does is in [`work`], what the libraries do for it in [`libzmq`], [`native`] and
//! [`asynchronous`], what becomes of the numbers in [`measurement`] and [`document`].

mod asynchronous;
mod child;
mod document;
mod library;
mod libzmq;
mod machine;
mod measurement;
mod native;
mod rows;
mod run;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use rows::{ROWS, Row};

const USAGE: &str = "\
Usage: cargo xtask bench [--quick] [--list] [--document FILE] [ROWS…]

  ROWS             names of rows or parts of them, as in `push-tcp req`; all, unless given
  --quick          three runs of a fifth of the messages, where the full measurement has five
  --list           name the rows and end
  --document FILE  write the tables into this document, between its markers

`cargo xtask bench` gives docs/performance.md for FILE where every row is measured in full.
";

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    quick: bool,
    list: bool,
    help: bool,
    document: Option<PathBuf>,
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
            "--help" | "-h" => request.help = true,
            "--document" => {
                let file = arguments.next().ok_or("--document needs a FILE")?;
                request.document = Some(file.into());
            }
            option if option.starts_with('-') => return Err(format!("there is no {option}")),
            word if ROWS.iter().any(|row| row.name.contains(word)) => request.words.push(argument),
            word => return Err(format!("no row is called {word}: --list names them")),
        }
    }
    Ok(request)
}

fn chosen(words: &[String]) -> Vec<&'static Row> {
    let wanted = |row: &&Row| words.is_empty() || words.iter().any(|word| row.name.contains(word));
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
            .for_each(|row| println!("{:<16} {}", row.name, row.title));
    } else if let Err(failure) = measure(&request, &rows) {
        eprintln!("{failure}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(request: &Request, rows: &[&'static Row]) -> Result<(), String> {
    let missing = library::ALL.iter().filter_map(|library| library.missing());
    if let Some(missing) = missing.into_iter().next() {
        return Err(missing);
    }
    let conditions = machine::Conditions::now(request.quick);
    println!("{conditions}");
    let results = run::all(rows, request.quick);
    println!("{}", document::tables(&results));
    if let Some(file) = &request.document {
        document::write(file, &conditions, &results)
            .map_err(|why| format!("{}: {why}", file.display()))?;
        println!("written to {}", file.display());
    }
    let failures: Vec<_> = results.iter().flat_map(run::Result::failures).collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn words_choose_rows_by_parts_of_their_names() {
        let request = parsed("--quick push-tcp-64 req-ipc").unwrap();
        assert!(request.quick && !request.list);
        let names: Vec<_> = chosen(&request.words).iter().map(|row| row.name).collect();
        assert_eq!(names, ["push-tcp-64", "push-tcp-64K", "req-ipc"]);
        assert_eq!(chosen(&[]).len(), ROWS.len());
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parsed("--fast").unwrap_err().contains("--fast"));
        assert!(parsed("push-tpc").unwrap_err().contains("push-tpc"));
        assert!(parsed("--document").is_err());
    }
}
