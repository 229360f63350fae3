//! A program that measures starts itself again, as each of the processes that take part.

use std::cell::RefCell;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// A process that is killed when this is dropped.
pub(crate) struct Child {
    pub(crate) child: std::process::Child,
    lines: RefCell<Box<dyn Iterator<Item = String>>>,
}

impl Child {
    /// This program with other arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env::current_exe().expect("a program has a path"));
        command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self::of(child, lines.map_while(Result::ok))
    }

    /// Any process, and what it says.
    pub(crate) fn of(
        child: std::process::Child,
        lines: impl Iterator<Item = String> + 'static,
    ) -> Self {
        let lines = RefCell::new(Box::new(lines) as _);
        Child { child, lines }
    }

    fn line(&self) -> String {
        let line = self.lines.borrow_mut().next();
        line.expect("the end says something before it ends")
    }

    /// The words of its next line.
    pub(crate) fn words<const N: usize>(&self) -> [String; N] {
        let words: Vec<String> = self.line().split_whitespace().map(str::to_owned).collect();
        words.try_into().expect("so many words")
    }

    pub(crate) fn numbers<const N: usize>(&self) -> [f64; N] {
        self.words().map(|word| word.parse().expect("a number"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
