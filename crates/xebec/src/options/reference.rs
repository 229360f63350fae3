//! The reference page of all options, written from the table.

use std::fmt::Write;

use super::table::{CONTEXT_OPTIONS, Effect, OPTIONS, OptionSpec, Options, Role, Told};
use super::value::{Form, Value};
use super::{ContextOptions, names};

impl<O: 'static> OptionSpec<O> {
    /// A value as the text that [`Options::set_text`] reads; members of a list with commas between.
    pub fn text(&self, value: &Value) -> String {
        let number = |code: i64| match self.rules.none {
            Some((word, none)) if none == code => word.to_owned(),
            _ if self.form == Form::UInt64 => code.cast_unsigned().to_string(),
            _ => code.to_string(),
        };
        match value {
            Value::Bool(value) => value.to_string(),
            Value::Int(code) => number(*code),
            Value::Duration(None) => self.rules.none.map_or("", |(word, _)| word).to_owned(),
            Value::Duration(Some(time)) => match self.rules.unit.count(*time) {
                count if self.rules.unit.time(count) == Some(*time) => number(count),
                _ => format!("{}us", time.as_micros()),
            },
            Value::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Value::Text(text) => text.clone(),
            Value::List(items) => items.join(","),
        }
    }

    /// Which values are valid, in words.
    pub fn valid_text(&self) -> String {
        let valid = self.rules.valid;
        let range = match (valid.min, valid.max) {
            _ if self.rust_type == "bool" => "`true` or `false`".to_owned(),
            _ if self.rust_type == "ListeningFd" => "a listening socket, from code".to_owned(),
            _ if matches!(self.form, Form::Ids) => "a number".to_owned(),
            _ if !self.rules.example.is_empty() => format!("such as `{}`", self.rules.example),
            (i64::MIN, i64::MAX) => "any number".to_owned(),
            (-1, 1) => "`true` or `false`".to_owned(),
            (min, max) => {
                // The number that stands for none is told by its word.
                let none = self.rules.none.is_some_and(|(_, none)| none == min);
                let min = min + i64::from(none);
                match max {
                    max if max >= i32::MAX.into() => format!("{min} or more"),
                    max => format!("{min} to {max}"),
                }
            }
        };
        let leading = match valid.zero_first {
            true => "",
            false => ", the first not zero",
        };
        let unit = match self.rules.unit.name() {
            "" => String::new(),
            unit => format!(" {unit}"),
        };
        match self.rules.none {
            Some((word, _)) => format!("{range}{unit}{leading}, or `{word}`"),
            None => format!("{range}{unit}{leading}"),
        }
    }

    fn row(&self, out: &mut String, default: &O) {
        let name = format!("`{}`", self.flag());
        let default = match self.text(&(self.read)(default)) {
            text if text.is_empty() => "none".to_owned(),
            text => format!("`{text}`"),
        };
        let _ = write!(
            out,
            "| {name} | {} {} | `{}` | {default} | {} | {} |",
            self.c_name,
            self.number_text(),
            self.rust_type,
            self.valid_text(),
            self.doc,
        );
    }

    /// The column that says when it takes effect: for what comes next, or until what comes first.
    fn when(&self, out: &mut String, next: &str, first: &str) {
        let _ = match self.rules.effect {
            Effect::Now => write!(out, " at once |"),
            Effect::Next => write!(out, " {next} |"),
            Effect::Early => write!(out, " until {first} |"),
        };
    }

    fn number_text(&self) -> String {
        match self.number {
            number if number > 0xffff => format!("{number:#x}"),
            number => number.to_string(),
        }
    }
}

const INTRODUCTION: &str = "\
# Options

Each option is set by name in three places: `Options::new().rcvhwm(10)` in Rust, `--set rcvhwm=10` on
the command line, and `zmq_setsockopt` with the constant in C. Times are numbers in the unit shown, or
have their own unit (`250ms`, `2s`). What takes effect at the next bind or connect leaves what is
already bound or connected as it is. An option that is not honoured, or that sockets of the type do
not have, is refused (EINVAL), never ignored. There are two exceptions: the few that are there for
transports still to come, which say so, and in C those that libzmq takes on a type of socket where they
do nothing, such as CONFLATE on a REP.

This page is generated from the table in `crates/xebec/src/options/table.rs`.
";

/// The reference page of all options, in Markdown.
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    let (values, others): (Vec<_>, Vec<_>) = OPTIONS.iter().partition(|row| row.has_field);
    out.push_str(
        "\n## Sockets\n\n\
         | option | C constant | Rust type | default | valid | meaning | takes effect | sockets |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in &values {
        row.row(&mut out, &Options::default());
        row.when(
            &mut out,
            "next bind or connect",
            "the first bind or connect",
        );
        let sockets = match row.rules.sockets {
            [] => "all".to_owned(),
            sockets => names(sockets),
        };
        let _ = writeln!(out, " {sockets} |");
    }

    out.push_str(
        "\n## Contexts\n\n\
         | option | C constant | Rust type | default | valid | meaning | takes effect |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let (values, constants): (Vec<_>, Vec<_>) =
        CONTEXT_OPTIONS.iter().partition(|row| row.has_field);
    for row in values {
        row.row(&mut out, &ContextOptions::default());
        row.when(
            &mut out,
            "next socket or connection",
            "the first socket is made",
        );
        out.push('\n');
    }
    section(&mut out, "Told by the context", &constants, |row| {
        Some(row.doc)
    });
    let untold = OPTIONS
        .iter()
        .filter(|row| row.rules.role == Role::Value && row.rules.told == Told::Never);
    let untold: Vec<_> = untold.map(|row| row.name()).collect();
    let _ = write!(
        out,
        "\n## Not told in C\n\n`zmq_getsockopt` refuses these, as in libzmq:\n\n{}.\n",
        untold
            .chunks(5)
            .map(|names| names.join(", "))
            .collect::<Vec<_>>()
            .join(",\n"),
    );
    section(&mut out, "Told by the socket", &others, |row| {
        (row.rules.role == Role::ReadOnly).then_some(row.doc)
    });
    section(&mut out, "Done by the socket", &others, |row| {
        (row.rules.role == Role::Action).then_some(row.doc)
    });
    section(&mut out, "Refused", &others, |row| match row.rules.role {
        Role::Refused(reason) => Some(reason),
        _ => None,
    });
    out
}

fn section<O: 'static>(
    out: &mut String,
    title: &str,
    rows: &[&OptionSpec<O>],
    says: impl Fn(&OptionSpec<O>) -> Option<&'static str>,
) {
    let _ = write!(out, "\n## {title}\n\n| C constant | |\n|---|---|\n");
    for row in rows {
        if let Some(text) = says(row) {
            let _ = writeln!(out, "| {} {} | {text} |", row.c_name, row.number);
        }
    }
}
