//! `--set`: socket options by name, from the library's table.

use std::borrow::Cow;
use std::fs;

use xebec::{Form, OPTIONS, OptionError, Options, PublicKey, SocketType};

use crate::failure::Stop;

/// Sets one option as `--set NAME=VALUE` says.
pub(super) fn assign(
    options: &mut Options,
    kind: SocketType,
    assignment: &str,
) -> Result<(), Stop> {
    let Some((name, value)) = assignment.split_once('=') else {
        return Err(Stop::Usage(format!(
            "--set wants NAME=VALUE, not `{assignment}`; `--set help` lists the names"
        )));
    };
    let (name, value) = (name.trim(), key_file(name.trim(), value.trim())?);
    let mut secret = false;
    let outcome = Options::spec(name).and_then(|row| {
        if ["SNDTIMEO", "RCVTIMEO"].contains(&row.name()) {
            let (name, reason) = (
                row.c_name,
                "every wait of this command ends as --timeout says",
            );
            return Err(OptionError::Unsupported { name, reason });
        }
        row.permit(kind)?;
        secret = row.rules.secret;
        options.set_text(name, &value)
    });
    // A secret is not for the log that standard error may go to.
    let assignment = if secret { name } else { assignment };
    outcome.map_err(|error| {
        let remedy = match error {
            OptionError::Unknown(_) => match nearest(name) {
                Some(near) => format!("; did you mean {near}?"),
                None => "; `--set help` lists the names".into(),
            },
            OptionError::Action(_) => "; of them, --subscribe can be given here".into(),
            _ => String::new(),
        };
        Stop::Usage(format!("--set {assignment}: {error}{remedy}"))
    })
}

/// The value, from a file if it is a key's `@FILE`. A key that begins with `@` itself is written with two: what
/// is one letter shorter than a key may be the name of a file as well, and is never taken for the other.
fn key_file<'a>(name: &str, value: &'a str) -> Result<Cow<'a, str>, Stop> {
    let is_key = Options::spec(name).is_ok_and(|row| row.form == Form::Key);
    let Some(file) = value.strip_prefix('@').filter(|_| is_key) else {
        return Ok(value.into());
    };
    if file.starts_with('@') {
        return Ok(file.into());
    }
    let text = fs::read_to_string(file).map_err(|error| {
        // It may be a secret.
        let (file, remedy) = match value.parse::<PublicKey>() {
            Ok(_) => ("...", "; a key that begins with @ is written with @@"),
            Err(_) => (file, ""),
        };
        Stop::Usage(format!("--set {name}=@{file}: {error}{remedy}"))
    })?;
    Ok(text.trim().to_owned().into())
}

/// The option that `name` is probably meant to be.
fn nearest(name: &str) -> Option<String> {
    let name = name.to_lowercase().replace('-', "_");
    let name = name.strip_prefix("zmq_").unwrap_or(&name);
    OPTIONS
        .iter()
        .filter(|row| row.settable().is_ok())
        .map(|row| row.name().to_lowercase())
        .map(|option| (distance(name, &option), option))
        .min()
        .filter(|(distance, option)| *distance <= option.len() / 3)
        .map(|(_, option)| option)
}

/// How many letters to insert, delete, replace or swap with their neighbour to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `--set help`: the options of this type of socket, their values and meanings.
pub(super) fn help(kind: SocketType) -> String {
    let defaults = Options::default();
    let mut out = format!("Options of {kind} sockets, for --set NAME=VALUE:\n\n");
    let shown = |name: &str| !name.ends_with("TIMEO");
    for row in OPTIONS
        .iter()
        .filter(|row| row.concerns(kind) && shown(row.name()))
    {
        let Ok(default) = row.value(&defaults) else {
            continue;
        };
        let default = match row.text(&default) {
            text if text.is_empty() => String::new(),
            text => format!(" (default {text})"),
        };
        let valid = row.valid_text().replace('`', "");
        out += &format!("  {} = {valid}{default}\n", row.name().to_lowercase());
        out += &format!("      {}\n", row.doc.trim().replace('\n', " "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("sndhwm", "sndhwm"), 0);
        assert_eq!(distance("sndhmw", "sndhwm"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn typos_get_a_suggestion() {
        let mut options = Options::default();
        let error = assign(&mut options, SocketType::Push, "sndhmw=10")
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean sndhwm"), "{error}");
        let error = assign(&mut options, SocketType::Push, "zzzzzz=10")
            .unwrap_err()
            .to_string();
        assert!(error.contains("--set help"), "{error}");
        assert!(assign(&mut options, SocketType::Push, "sndhwm").is_err());
        assert!(assign(&mut options, SocketType::Push, "sndhwm=lots").is_err());
        assert!(assign(&mut options, SocketType::Push, "router_mandatory=1").is_err());
        assert!(assign(&mut options, SocketType::Push, "sndhwm=10").is_ok());
        assert_eq!(options.sndhwm, Options::default().sndhwm(10).sndhwm);
    }

    #[test]
    fn help_lists_what_the_type_has() {
        let text = help(SocketType::Router);
        assert!(text.contains("router_mandatory = "), "{text}");
        assert!(!text.contains("xpub_"), "{text}");
        assert!(!text.contains("rcvtimeo"), "{text}");
    }
}
