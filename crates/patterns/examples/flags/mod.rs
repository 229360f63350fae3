//! The arguments of the Freelance and Binary Star examples: `--name value` pairs, switches and the rest.

use std::str::FromStr;
use std::time::Duration;

/// The arguments that are left.
pub(crate) struct Flags(Vec<String>);

#[allow(dead_code, reason = "each example uses some of them")]
impl Flags {
    pub(crate) fn new() -> Self {
        Flags(std::env::args().skip(1).collect())
    }

    /// Whether this switch is there.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|arg| arg == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// The value behind this name.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|arg| arg == name)?;
        self.0.remove(at);
        let value = (at < self.0.len()).then(|| self.0.remove(at));
        let parsed = value.as_deref().and_then(|text| text.parse().ok());
        Some(parsed.unwrap_or_else(|| {
            eprintln!("{name} needs a value, not {value:?}");
            std::process::exit(2);
        }))
    }

    /// Milliseconds behind this name.
    pub(crate) fn ms(&mut self, name: &str) -> Option<Duration> {
        self.value(name).map(Duration::from_millis)
    }

    /// What is left.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0
    }
}
