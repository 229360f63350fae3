//! The text whose words are counted: a file, or what this machine has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// How much text is enough when nobody named a file.
const ENOUGH: usize = 4 << 20;

/// The most that is taken from one file, so that no single one sets the tone.
const LARGEST: u64 = 2 << 20;

/// Where text is usually found, prose first; `*` stands for any one name.
const PLACES: &[(&str, &[&str])] = &[
    ("/usr/share/perl/*/pod", &["pod"]),
    ("/usr/share/common-licenses", &[]),
    ("/usr/share/doc", &["txt", "md", "rst"]),
    ("/usr/share/perl", &["pod", "pm", "pl"]),
    ("/usr/lib/python3", &["py", "txt"]),
    ("/usr/lib/python3.*", &["py"]),
    ("/usr/share/dict", &[]),
    ("$CARGO_HOME/registry/src", &["md", "rs"]),
    ("$HOME/.cargo/registry/src", &["md", "rs"]),
    ("$CARGO_MANIFEST_DIR", &["md", "rs"]),
];

/// This program's own text, for a machine that has none.
const OWN: &str = concat!(
    include_str!("mod.rs"),
    include_str!("text.rs"),
    include_str!("../../args.rs")
);

/// A text and where it comes from.
pub(super) struct Text {
    pub(super) body: Vec<u8>,
    pub(super) origin: String,
}

impl Text {
    /// The text of `file`.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let body = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Text {
            body,
            origin: file.display().to_string(),
        })
    }

    /// Some megabytes from the usual places, or this program's own text over and over.
    pub(super) fn find() -> Self {
        Text::from_places(PLACES)
    }

    fn from_places(places: &[(&str, &[&str])]) -> Self {
        let mut body = Vec::new();
        let mut origins: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (pattern, endings) in places {
            for place in expand(pattern) {
                collect(&place, endings, 4, &mut |file| {
                    if let Ok(text) = fs::read(file)
                        && looks_like_text(&text)
                    {
                        body.extend_from_slice(&text);
                        body.push(b'\n');
                        *origins.entry(place.clone()).or_default() += 1;
                    }
                    body.len() < ENOUGH
                });
            }
            if body.len() >= ENOUGH {
                break;
            }
        }
        let origin = |(place, files): (&PathBuf, &usize)| match files {
            1 => format!("one file of {}", place.display()),
            files => format!("{files} files of {}", place.display()),
        };
        let mut origin: Vec<String> = origins.iter().map(origin).collect();
        if body.len() < ENOUGH {
            let times = (ENOUGH - body.len()).div_ceil(OWN.len());
            body.extend(OWN.as_bytes().repeat(times));
            origin.push(format!("this command's own source, {times} times"));
        }
        Text {
            body,
            origin: origin.join(", "),
        }
    }

    /// The lines, without their ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let body = self.body.strip_suffix(b"\n").unwrap_or(&self.body);
        let none = self.body.is_empty();
        let mut rest = (!none).then_some(body);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = memchr::memchr(b'\n', text);
            rest = end.map(|end| &text[end + 1..]);
            Some(&text[..end.unwrap_or(text.len())])
        })
    }
}

/// The directories that `pattern` stands for, in order. A `*` does not stand for links, which would
/// have texts read twice.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        found = match (name.strip_prefix('$'), name.split_once('*')) {
            (Some(variable), _) => std::env::var_os(variable)
                .map(PathBuf::from)
                .into_iter()
                .collect(),
            (_, Some((head, tail))) => found
                .iter()
                .flat_map(|dir| entries(dir))
                .filter(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.len() >= head.len() + tail.len()
                        && name.starts_with(head)
                        && name.ends_with(tail)
                        && !path.is_symlink()
                })
                .collect(),
            _ => found.into_iter().map(|dir| dir.join(name)).collect(),
        };
    }
    found.retain(|path| path.is_dir());
    found
}

/// What is in a directory, in order; nothing if it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

/// Gives `take` the files below `dir` that end with one of `endings` (any, if there are none)
/// until it returns false. Links are not followed. Returns whether to go on.
fn collect(
    dir: &Path,
    endings: &[&str],
    depth: usize,
    take: &mut dyn FnMut(&Path) -> bool,
) -> bool {
    for path in entries(dir) {
        let Ok(about) = path.symlink_metadata() else {
            continue;
        };
        if about.is_dir() {
            if depth > 0 && !collect(&path, endings, depth - 1, take) {
                return false;
            }
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let wanted = endings.is_empty() || endings.contains(&&*ending);
        if about.is_file() && about.len() <= LARGEST && wanted && !take(&path) {
            return false;
        }
    }
    true
}

fn looks_like_text(body: &[u8]) -> bool {
    !body.is_empty() && !body[..body.len().min(4096)].contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let text = Text {
            body: text.into(),
            origin: String::new(),
        };
        text.lines()
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn lines_end_with_newlines() {
        assert_eq!(lines("a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(lines("a\nb"), ["a", "b"]);
        assert_eq!(lines("\n"), [""]);
        assert_eq!(lines(""), [""; 0]);
    }

    #[test]
    fn a_machine_without_texts_has_at_least_this_one() {
        let text = Text::from_places(&[("/nowhere/*/at/all", &[])]);
        assert!(text.body.len() >= ENOUGH);
        assert!(text.origin.contains("own source"));
    }

    #[test]
    fn a_text_is_found() {
        let text = Text::find();
        assert!(text.body.len() >= ENOUGH);
        assert!(!text.origin.is_empty());
    }
}
