//! Messages from the command line, standard input and files.
//!
//! [`Input::next`] never waits on standard input: it says [`Next::Wait`] when nothing complete has
//! been read, and the caller polls [`Input::fd`] together with its sockets and then calls
//! [`Input::fill`]. So one thread can type, receive and be interrupted.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use xebec::Message;

use crate::args;
use crate::codec::Codec;
use crate::failure::Stop;

/// What [`Input::next`] has.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// The next message.
    Message(Message),
    /// Nothing before more is read: wait for [`Input::fd`], then [`Input::fill`].
    Wait,
    /// Nothing any more.
    End,
}

/// Where a part of the messages comes from.
#[derive(Clone, Debug)]
enum Source {
    Text(String),
    Records(PathBuf),
    Whole(PathBuf),
}

/// A sequence of messages from several sources.
pub(crate) struct Input {
    codec: Codec,
    terminator: Vec<u8>,
    /// All sources, kept for `--repeat`.
    sources: Vec<Source>,
    left: VecDeque<Source>,
    reader: Option<Reader>,
    repeat: bool,
    /// Whether this round has yielded something; a round without anything is the last.
    fruitful: bool,
}

impl Input {
    /// The input that the flags ask for: `--text`, then `--file`, then `--each-file`, or else the
    /// records of standard input.
    pub(crate) fn new(
        flags: &args::Input,
        codec: Codec,
        terminator: Vec<u8>,
    ) -> Result<Self, Stop> {
        let mut sources: Vec<Source> = flags.text.iter().cloned().map(Source::Text).collect();
        sources.extend(flags.file.iter().cloned().map(Source::Records));
        sources.extend(flags.each_file.iter().cloned().map(Source::Whole));
        if sources.is_empty() {
            if flags.repeat {
                return Err(Stop::Usage(
                    "--repeat cannot start standard input over: give --text, --file or --each-file"
                        .into(),
                ));
            }
            sources.push(Source::Records("-".into()));
        }
        Ok(Input {
            codec,
            terminator,
            left: sources.iter().cloned().collect(),
            sources,
            reader: None,
            repeat: flags.repeat,
            fruitful: false,
        })
    }

    /// The next message, without waiting.
    pub(crate) fn next(&mut self) -> anyhow::Result<Next> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.record(&self.terminator) {
                    Record::Found(record) => {
                        let message = self.codec.decode(record);
                        self.fruitful = true;
                        return message
                            .map(Next::Message)
                            .map_err(|why| anyhow::anyhow!("{}: {why}", reader.place()));
                    }
                    Record::Incomplete => return Ok(Next::Wait),
                    Record::End => self.reader = None,
                }
            }
            match self.left.pop_front() {
                None if self.repeat && self.fruitful => {
                    self.left.extend(self.sources.iter().cloned());
                    self.fruitful = false;
                }
                None => return Ok(Next::End),
                Some(Source::Records(path)) => self.reader = Some(Reader::open(&path)?),
                Some(Source::Text(text)) => {
                    self.fruitful = true;
                    return match self.codec.decode(text.as_bytes()) {
                        Ok(message) => Ok(Next::Message(message)),
                        Err(why) => bail!("--text {text}: {why}"),
                    };
                }
                Some(Source::Whole(path)) => {
                    self.fruitful = true;
                    let body = fs::read(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    return match self.codec.whole(body) {
                        Ok(message) => Ok(Next::Message(message)),
                        Err(why) => bail!("--each-file {}: {why}", path.display()),
                    };
                }
            }
        }
    }

    /// The descriptor to wait for after [`Next::Wait`].
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.reader.as_ref().map(|reader| reader.file.as_fd())
    }

    /// Reads once from the descriptor, which should be readable.
    pub(crate) fn fill(&mut self) -> anyhow::Result<()> {
        match &mut self.reader {
            Some(reader) => reader
                .fill()
                .with_context(|| format!("cannot read {}", reader.name)),
            None => Ok(()),
        }
    }
}

/// What [`Reader::record`] has.
enum Record<'a> {
    Found(&'a [u8]),
    Incomplete,
    End,
}

/// Splits a file into records.
struct Reader {
    file: File,
    name: String,
    buffer: Vec<u8>,
    /// Where the next record begins in `buffer`.
    start: usize,
    /// How far `buffer` has been searched for the end of that record.
    searched: usize,
    ended: bool,
    records: u64,
}

impl Reader {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let (file, name) = if path == Path::new("-") {
            (
                io::stdin().as_fd().try_clone_to_owned()?.into(),
                "standard input".to_owned(),
            )
        } else {
            let name = path.display().to_string();
            (
                File::open(path).with_context(|| format!("cannot read {name}"))?,
                name,
            )
        };
        Ok(Reader {
            file,
            name,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            ended: false,
            records: 0,
        })
    }

    /// For messages about the record that was found last.
    fn place(&self) -> String {
        format!("{}, message {}", self.name, self.records)
    }

    fn fill(&mut self) -> io::Result<()> {
        const CHUNK: usize = 128 * 1024;
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + CHUNK, 0);
        let outcome = self.file.read(&mut self.buffer[len..]);
        self.buffer.truncate(len + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(read) => self.ended = read == 0,
            // Readable a moment ago: somebody else shares this descriptor, or a signal came.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The next record, without its terminator. The last one may lack the terminator; an empty
    /// terminator makes one record of everything.
    fn record(&mut self, terminator: &[u8]) -> Record<'_> {
        let found = if terminator.is_empty() {
            None
        } else {
            memchr::memmem::find(&self.buffer[self.searched..], terminator)
        };
        let (end, next) = match found {
            Some(at) => (self.searched + at, self.searched + at + terminator.len()),
            None if self.ended && self.start < self.buffer.len() => {
                (self.buffer.len(), self.buffer.len())
            }
            None if self.ended => return Record::End,
            None => {
                // A terminator may be cut in two by the end of what has been read.
                let half = terminator.len().saturating_sub(1);
                self.searched = self.buffer.len().saturating_sub(half).max(self.start);
                return Record::Incomplete;
            }
        };
        let start = std::mem::replace(&mut self.start, next);
        self.searched = next;
        self.records += 1;
        Record::Found(&self.buffer[start..end])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flags() -> args::Input {
        args::Input {
            text: vec![],
            file: vec![],
            each_file: vec![],
            input_format: None,
            repeat: false,
            rate: None,
            interval: None,
        }
    }

    /// A file that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, body: &[u8]) -> Self {
            let path =
                std::env::temp_dir().join(format!("xebec-input-{}-{name}", std::process::id()));
            fs::write(&path, body).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn all(input: &mut Input, limit: usize) -> Vec<String> {
        let mut out = Vec::new();
        while out.len() < limit {
            match input.next().unwrap() {
                Next::Message(message) => out.push(message.to_string_lossy().into_owned()),
                Next::Wait => input.fill().unwrap(),
                Next::End => break,
            }
        }
        out
    }

    #[test]
    fn texts_then_lines_then_files() {
        let lines = Scratch::new("lines", b"one\n\ntwo");
        let whole = Scratch::new("whole", b"a\nb\n");
        let flags = args::Input {
            text: vec!["first".into()],
            file: vec![lines.0.clone()],
            each_file: vec![whole.0.clone()],
            ..flags()
        };
        let mut input = Input::new(&flags, Codec::default(), b"\n".to_vec()).unwrap();
        assert_eq!(all(&mut input, 10), ["first", "one", "", "two", "a\nb\n"]);
    }

    #[test]
    fn repeat_starts_over_unless_there_is_nothing() {
        let flags = args::Input {
            text: vec!["a".into(), "b".into()],
            repeat: true,
            ..flags()
        };
        let mut input = Input::new(&flags, Codec::default(), b"\n".to_vec()).unwrap();
        assert_eq!(all(&mut input, 5), ["a", "b", "a", "b", "a"]);

        let empty = Scratch::new("empty", b"");
        let flags = args::Input {
            text: vec![],
            file: vec![empty.0.clone()],
            ..flags
        };
        let mut input = Input::new(&flags, Codec::default(), b"\n".to_vec()).unwrap();
        assert_eq!(all(&mut input, 5), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let flags = args::Input {
            file: vec!["/nowhere/at/all".into()],
            ..flags()
        };
        let mut input = Input::new(&flags, Codec::default(), b"\n".to_vec()).unwrap();
        let error = input.next().unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"));

        let lines = Scratch::new("json", b"[\"a\"]\nb\n");
        let codec = Codec {
            format: crate::codec::Format::Json,
            ..Codec::default()
        };
        let flags = args::Input {
            file: vec![lines.0.clone()],
            ..flags
        };
        let mut input = Input::new(&flags, codec, b"\n".to_vec()).unwrap();
        input.next().unwrap();
        input.fill().unwrap();
        input.next().unwrap();
        assert!(input.next().unwrap_err().to_string().contains("message 2"));
    }

    proptest! {
        #[test]
        fn records_do_not_depend_on_how_they_are_read(
            records in proptest::collection::vec("[ab]{0,5}", 0..8),
            terminator in "|;|;;|\n",
            cut in 1usize..9,
        ) {
            prop_assume!(!terminator.is_empty());
            let text: String = records.iter().map(|r| r.clone() + &terminator).collect();
            let mut reader = Reader {
                file: File::open("/dev/null").unwrap(),
                name: String::new(),
                buffer: Vec::new(),
                start: 0,
                searched: 0,
                ended: false,
                records: 0,
            };
            let mut found = Vec::new();
            let mut chunks = text.as_bytes().chunks(cut);
            loop {
                match reader.record(terminator.as_bytes()) {
                    Record::Found(record) => found.push(String::from_utf8(record.to_vec()).unwrap()),
                    Record::Incomplete => match chunks.next() {
                        Some(chunk) => reader.buffer.extend_from_slice(chunk),
                        None => reader.ended = true,
                    },
                    Record::End => break,
                }
            }
            prop_assert_eq!(found, records);
        }
    }
}
