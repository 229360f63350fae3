//! Counts lines of code per crate, since small is a feature and growth should be seen.
//!
//! A line of code has something on it that is neither white space nor part of a comment. Tests are
//! counted apart: what stands below `tests/` or `benches/`, files called `tests.rs`, and items
//! under `#[cfg(test)]` or `#[cfg(all(test, …))]`. To tell these things the source is first
//! [`bleached`]: comments, strings and characters become blanks or placeholders, so that no brace
//! or quote inside them misleads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::checks::workspace;
use crate::{Outcome, Request};

/// What the core may grow to, all crates that are shipped together.
const AIM: usize = 30_000;

/// Crates that serve the project itself and are not shipped.
const OWN_USE: &[&str] = &["peers", "xtask"];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    files: usize,
    code: usize,
    tests: usize,
    comments: usize,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.files += other.files;
        self.code += other.code;
        self.tests += other.tests;
        self.comments += other.comments;
    }

    fn print(&self, name: &str) {
        let Count {
            files,
            code,
            tests,
            comments,
        } = self;
        println!("{name:<12} {files:>6} {code:>8} {tests:>8} {comments:>9}");
    }
}

pub(crate) fn print(_: &Request) -> Outcome {
    let crates = crates().map_err(|error| format!("the workspace cannot be read: {error}"))?;
    println!(
        "{:<12} {:>6} {:>8} {:>8} {:>9}",
        "crate", "files", "code", "tests", "comments"
    );
    let mut shipped = Count::default();
    for folder in crates {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let count = count_folder(&folder, false)
            .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
        count.print(&name);
        if !OWN_USE.contains(&&*name) {
            shipped.add(count);
        }
    }
    shipped.print("shipped");
    println!(
        "(the aim is below {AIM} lines of code shipped; {} are for our own use)",
        OWN_USE.join(" and ")
    );
    Ok(Vec::new())
}

fn crates() -> io::Result<Vec<PathBuf>> {
    let folders = fs::read_dir(workspace().join("crates"))?;
    let mut folders: Vec<PathBuf> = folders
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.push(workspace().join("xtask"));
    Ok(folders)
}

/// Counts a folder and all below it; `test` tells that all of it is test code.
fn count_folder(folder: &Path, test: bool) -> io::Result<Count> {
    let mut sum = Count::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" {
            sum.add(count_folder(
                &path,
                test || name == "tests" || name == "benches",
            )?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sum.add(count_source(
                &fs::read_to_string(&path)?,
                test || name == "tests.rs",
            ));
        }
    }
    Ok(sum)
}

fn count_source(source: &str, test: bool) -> Count {
    let bleached = bleached(source);
    let tests = test_items(&bleached);
    let mut count = Count {
        files: 1,
        ..Count::default()
    };
    let mut start = 0;
    for (original, line) in source.lines().zip(bleached.split('\n')) {
        let in_test = test || tests.iter().any(|&(from, to)| (from..to).contains(&start));
        if !line.trim().is_empty() {
            *(if in_test {
                &mut count.tests
            } else {
                &mut count.code
            }) += 1;
        } else if !original.trim().is_empty() {
            count.comments += 1;
        }
        start += line.len() + 1;
    }
    count
}

/// Where the items under `#[cfg(test)]` are, by bytes, each from the start of its first line.
fn test_items(bleached: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = ["#[cfg(test)]", "#[cfg(all(test,"]
        .iter()
        .filter_map(|attribute| bleached[from..].find(attribute))
        .min()
    {
        let at = from + found;
        let attribute_end = at + bleached[at..].find(']').map_or(0, |length| length + 1);
        let end = item_end(bleached, attribute_end);
        let line_start = bleached[..at].rfind('\n').map_or(0, |newline| newline + 1);
        items.push((line_start, end));
        from = end.max(at + 1);
    }
    items
}

/// Where the item that begins at `from` ends: its closing brace, or a semicolon outside of all.
fn item_end(bleached: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in bleached.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' if depth <= 1 => return offset + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    bleached.len()
}

/// The source with its comments blank and the content of its literals replaced by `x`, line for
/// line.
fn bleached(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, ink) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), ' ')
        } else if rest.starts_with("/*") {
            (block_comment(rest), ' ')
        } else if let Some(length) = literal(rest, &out) {
            (length, 'x')
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (covered, after) = rest.split_at(length);
        out.extend(covered.chars().map(|c| if c == '\n' { '\n' } else { ink }));
        rest = after;
    }
    out
}

/// The length of the block comment, which may hold others, at the start of `text`.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the string or character at the start of `text`, if one is there; `before` is
/// what came before it.
fn literal(text: &str, before: &str) -> Option<usize> {
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if text.starts_with('"') {
        return Some(quoted(text, '"'));
    }
    if text.starts_with('\'') {
        // A lifetime has no closing quote right after its first character.
        let mut chars = text.chars().skip(1);
        let (first, second) = (chars.next()?, chars.next()?);
        return (first == '\\' || second == '\'').then(|| quoted(text, '\''));
    }
    if in_word {
        return None;
    }
    let hashes = text.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let body = hashes.trim_start_matches('#');
    let closing = format!("\"{}", &hashes[..hashes.len() - body.len()]);
    let content = body.strip_prefix('"')?;
    let skipped = text.len() - content.len();
    let end = content
        .find(&closing)
        .map_or(content.len(), |at| at + closing.len());
    Some(skipped + end)
}

/// The length of what begins with a quote and ends with the next one that is not escaped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, test and comment lines.
    fn counted(source: &str) -> (usize, usize, usize) {
        let Count {
            code,
            tests,
            comments,
            ..
        } = count_source(source, false);
        (code, tests, comments)
    }

    macro_rules! counts {
        ($($name:ident: $source:expr => $expected:expr;)*) => {
            $(#[test] fn $name() { assert_eq!(counted($source), $expected); })*
        };
    }

    counts! {
        blank_lines_do_not_count: "a;\n\n  \nb;\n" => (2, 0, 0);
        comments_are_apart: "//! a\n/// b\nfn c() {} // d\n" => (1, 0, 2);
        block_comments_nest: "/* a /* b */\nc */ d();\n/* e */\n" => (1, 0, 2);
        a_slash_in_a_string_is_no_comment: "let a = \"// \\\" /*\";\nb();\n" => (2, 0, 0);
        a_string_of_many_lines_is_code: "let a = \"x\n// y\n\";\n" => (3, 0, 0);
        raw_strings_end_with_their_hashes: "let a = r#\"\" // \"#;\n// b\n" => (1, 0, 1);
        a_quote_character_opens_no_string: "let a = ['\"', '\\'', b'{'];\n// b\n" => (1, 0, 1);
        a_lifetime_is_no_character: "fn a<'a>(b: &'a str) {} // 'c'\n// d\n" => (1, 0, 1);
        a_test_module_counts_apart: "a();\n#[cfg(test)]\nmod t {\n  fn b() { }\n}\nc();\n" => (2, 4, 0);
        a_brace_in_a_string_closes_nothing: "#[cfg(test)]\nmod t {\n  \"}\";\n}\nc();\n" => (1, 4, 0);
        a_test_item_ends_at_its_semicolon: "#[cfg(all(test, unix))]\nuse a::{b, c};\nd();\n" => (1, 2, 0);
        a_test_module_in_a_file_of_its_own: "#[cfg(test)]\nmod tests;\nd();\n" => (1, 2, 0);
    }

    #[test]
    fn a_file_of_tests_is_all_tests() {
        assert_eq!(count_source("a();\n// b\n", true).tests, 1);
    }
}
