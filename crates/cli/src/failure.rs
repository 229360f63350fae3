//! How `xebec` ends: the exit statuses, and the few errors that have one of their own.
//!
//! Everything else is an [`anyhow::Error`] and ends with status 1. A standard output that nobody
//! reads any more (`xebec sub … | head -1`) is not a failure.

use std::fmt;
use std::io::{self, Write as _};

use crate::console;

/// The reasons to stop that have their own exit status.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A signal asked for it: the signal's number.
    Signal(i32),
    /// `--timeout` ran out while waiting for this.
    Timeout(String),
    /// The question was answered instead (`--set help`): this goes to standard output.
    Answer(String),
    /// The command line asks for something that cannot be, in a way that clap cannot see.
    Usage(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Signal(number) => write!(f, "stopped by signal {number}"),
            Stop::Timeout(what) | Stop::Answer(what) | Stop::Usage(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Stop {}

/// Tells `error` on standard error, if there is something to tell, and returns the exit status.
pub(crate) fn report(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_broken_pipe) {
        return 0;
    }
    let status = match error.downcast_ref() {
        Some(Stop::Signal(number)) => return 128 + *number as u8,
        Some(Stop::Answer(text)) => {
            // A reader that has gone does not want it.
            let _ = io::stdout().write_all(text.as_bytes());
            return 0;
        }
        Some(Stop::Timeout(_)) => 124,
        Some(Stop::Usage(_)) => 2,
        None => 1,
    };
    console::say(format_args!("{error:#}"));
    status
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_end_has_its_status() {
        for (error, status) in [
            (anyhow::Error::new(Stop::Signal(2)), 130),
            (Stop::Signal(15).into(), 143),
            (Stop::Timeout("nothing came".into()).into(), 124),
            (Stop::Usage("neither fish nor flesh".into()).into(), 2),
            (anyhow::anyhow!("failed"), 1),
            (
                anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)),
                0,
            ),
        ] {
            assert_eq!(report(&error), status);
        }
        let wrapped = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(report(&wrapped.unwrap_err()), 0);
    }
}
