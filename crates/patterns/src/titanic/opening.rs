//! How a log is opened, and why it may not be.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::answers::Bounds;
use super::record::{RING, UNIT};

/// When what was written is made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At once for whoever waits; those who come meanwhile share the next sync.
    #[default]
    Each,
    /// So long after the first change that is not durable yet. Whoever waits for durability waits for
    /// that, so nothing that was promised is lost; it takes longer, and costs one sync for all.
    Every(Duration),
    /// Whenever the system likes. What was promised survives the end of the process but not that of
    /// the machine.
    Off,
}

/// How a log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The size of the file when it is created, in bytes. Opening one of another size is an error.
    pub size: u64,
    /// When changes are made durable.
    pub durability: Durability,
    /// How many answers to clients are kept; their bytes are at most a quarter of the ring.
    pub answers: Bounds,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            size: 256 << 20,
            durability: Durability::Each,
            answers: Bounds::default(),
        }
    }
}

/// Why a log was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Somebody has it open.
    InUse,
    /// It is not a log.
    Foreign,
    /// It was written by a version of this library that keeps logs otherwise.
    Version(u32),
    /// Both copies of its first page are damaged.
    Head,
    /// The file has `found` bytes and `wanted` were asked for. To change the size, have its requests
    /// closed and delete it.
    Size {
        /// What it has.
        found: u64,
        /// What was asked for.
        wanted: u64,
    },
    /// A log of this size is too small to be useful: at least 128 KiB are needed.
    TooSmall(u64),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse => f.write_str("somebody else has this log open"),
            OpenError::Foreign => f.write_str("this file is not a log of Titanic"),
            OpenError::Version(version) => write!(
                f,
                "this log has version {version} of the format and version 1 is what can be read here"
            ),
            OpenError::Head => f.write_str("both copies of the log's first page are damaged"),
            OpenError::Size { found, wanted } => write!(
                f,
                "the log has {found} bytes and {wanted} were asked for; to change its size close all its requests and delete it"
            ),
            OpenError::TooSmall(size) => write!(
                f,
                "a log of {size} bytes is too small: it takes at least {SMALLEST}"
            ),
            OpenError::Io(error) => write!(f, "the log cannot be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ResourceBusy => OpenError::InUse,
            _ => OpenError::Io(error),
        }
    }
}

/// The smallest file.
pub(super) const SMALLEST: u64 = 128 << 10;

/// The size of the ring in a file of this size.
pub(super) fn ring_size(file: u64) -> Result<u64, OpenError> {
    if file < SMALLEST {
        return Err(OpenError::TooSmall(file));
    }
    Ok((file - RING) / UNIT * UNIT)
}
