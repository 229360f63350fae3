//! Measures Xebec side by side with its peers, in one run, and writes docs/performance.md.
//!
//! ```text
//! xebec-bench [--quick] [--list] [ROWS…]
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

use std::path::Path;
use std::process::ExitCode;

use rows::{ROWS, Row};

const USAGE: &str = "\
Usage: cargo xtask bench [--quick] [--list] [ROWS…]

  ROWS     names of rows or parts of them, as in `push-tcp req`; all, unless given
  --quick  three runs of a fifth of the messages, where the full measurement has five
  --list   name the rows and end

The tables are printed, and when every row was measured in full, and none failed, they are written
into docs/performance.md, too.
";

/// Where the tables go.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// What was asked for on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    quick: bool,
    list: bool,
    help: bool,
    /// Parts of names of rows.
    words: Vec<String>,
}

fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Request, String> {
    let mut request = Request::default();
    for argument in arguments {
        match argument.as_str() {
            "--quick" => request.quick = true,
            "--list" => request.list = true,
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
    let failures: Vec<_> = results.iter().flat_map(run::Result::failures).collect();
    if !failures.is_empty() {
        return Err(failures.join("\n"));
    }
    if !request.quick && request.words.is_empty() {
        document::write(Path::new(DOCUMENT), &conditions, &results)
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
        let request = parsed("--quick push-tcp-64 inproc").unwrap();
        assert!(request.quick && !request.list);
        let names: Vec<_> = chosen(&request.words).iter().map(|row| row.name).collect();
        assert_eq!(names, ["push-tcp-64", "push-inproc-64", "req-inproc"]);
        assert_eq!(chosen(&[]).len(), ROWS.len());
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(parsed("--fast").unwrap_err().contains("--fast"));
        assert!(parsed("push-tpc").unwrap_err().contains("push-tpc"));
    }
}
