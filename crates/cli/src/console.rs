//! What is said on standard error: notes, failures and what happens to connections.
//!
//! Standard output belongs to messages alone. Nothing here fails: if nobody listens on standard
//! error, there is nobody to tell so.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::thread;

use xebec::{Event, Monitor};

/// Says `xebec: …` on standard error, in one write: other processes may share it.
pub(crate) fn say(what: impl Display) {
    let _ = stderr().write_all(format!("xebec: {what}\n").as_bytes());
}

/// How the value of a `key=value` is said: in one word, for scripts that split lines at blanks.
pub(crate) fn word(value: impl Display) -> String {
    value.to_string().replace(' ', "-")
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Talk {
    /// Failures only.
    Quiet,
    /// Also what a user could not know otherwise.
    Normal,
    /// Also what happens to each connection.
    Verbose,
}

impl Talk {
    /// From `--quiet` and `--verbose`.
    pub(crate) fn from_flags(quiet: bool, verbose: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Talk::Quiet,
            (_, true) => Talk::Verbose,
            _ => Talk::Normal,
        }
    }

    /// Says something that a script can read too, unless `--quiet`.
    pub(crate) fn note(self, what: impl Display) {
        if self >= Talk::Normal {
            say(what);
        }
    }

    /// Says something that helps a person who is watching: on a terminal, or with `--verbose`.
    pub(crate) fn hint(self, what: impl Display) {
        if self == Talk::Verbose || (self == Talk::Normal && stderr().is_terminal()) {
            say(what);
        }
    }
}

/// Says each event of `monitor` until its socket closes.
pub(crate) fn follow(monitor: Monitor) {
    thread::spawn(move || {
        while let Some(event) = monitor.recv() {
            say(describe(&event));
        }
    });
}

/// An event in words: `accepted tcp://127.0.0.1:5555 from 127.0.0.1:40312`.
pub(crate) fn describe(event: &Event) -> String {
    let mut text = format!(
        "{:<20} {}",
        words(&format!("{:?}", event.kind)),
        event.endpoint
    );
    if let Some(peer) = &event.peer {
        text += &format!("  peer {peer}");
    }
    if let Some(id) = event.routing_id.as_ref().filter(|id| !id.is_empty()) {
        text += &format!("  id {}", id.escape_ascii());
    }
    if let Some(cause) = &event.cause {
        text += &format!("  ({cause})");
    }
    text
}

/// `HandshakeSucceeded` as `handshake succeeded`.
fn words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(
            words("HandshakeFailedNoDetail"),
            "handshake failed no detail"
        );
        assert_eq!(words("Accepted"), "accepted");
    }

    #[test]
    fn quiet_is_less_than_verbose() {
        assert!(Talk::from_flags(true, false) < Talk::from_flags(false, false));
        assert!(Talk::from_flags(false, false) < Talk::from_flags(false, true));
    }
}
