//! What Titanic needs of a place to keep requests and replies.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use xebec::Frame;

use super::Id;

/// A place to keep requests and their replies until they are closed.
///
/// Changes take effect at once for this process and become durable later: each returns a [`Mark`],
/// and [`Store::sync`] returns when everything up to a mark survives whatever the store survives.
/// Nothing may be promised to a client before. Callers on many threads share the cost of one sync.
pub trait Store: Send + Sync {
    /// Keeps a request: its first frame is the service, the others are the body.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::TooLarge`], [`StoreError::Exists`] or a failure of the disk.
    fn submit(&self, id: Id, request: &[Frame], at: SystemTime) -> Result<Mark, StoreError>;

    /// Notes that a request is on its way to its service, one more time.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no reply is awaited, or a failure of the disk.
    fn dispatched(&self, id: Id) -> Result<Mark, StoreError>;

    /// Keeps the reply in place of the request. A reply that is there already stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is no such request, or it was closed; [`StoreError::Full`],
    /// [`StoreError::TooLarge`] or a failure of the disk.
    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError>;

    /// Keeps, in place of a request without a reply, that there will be none.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no reply is awaited, or a failure of the disk.
    fn abandon(&self, id: Id) -> Result<Mark, StoreError>;

    /// Forgets a request and its reply and frees their space. One that is not known is closed already.
    /// A full store takes this.
    ///
    /// # Errors
    /// A failure of the disk.
    fn close(&self, id: Id) -> Result<Mark, StoreError>;

    /// What is known of a request.
    fn state(&self, id: Id) -> Option<State>;

    /// The frames of a request that awaits its reply, as they were submitted.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if no reply is awaited; [`StoreError::Damaged`] or a failure of the disk.
    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError>;

    /// The frames of a reply.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none (yet); [`StoreError::Damaged`] or a failure of the disk.
    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError>;

    /// All requests that are not closed, oldest first.
    fn list(&self) -> Vec<Listed>;

    /// How full it is.
    fn usage(&self) -> Usage;

    /// Returns when everything up to `mark` is durable.
    ///
    /// # Errors
    /// The disk failed: from now on the store takes no changes, since nobody can tell what of the
    /// earlier ones is on the disk.
    fn sync(&self, mark: Mark) -> Result<(), StoreError>;

    /// Up to where everything is durable.
    fn durable(&self) -> Mark;
}

/// A place in the sequence of a store's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no reply yet and was sent to its service so many times.
    Pending {
        /// How often [`Store::dispatched`] was told, up to 65,535.
        attempts: u16,
    },
    /// Its reply is kept.
    Replied,
    /// It, or its reply, was kept once and cannot be read any more.
    Damaged,
    /// It has no reply and will have none: [`Store::abandon`].
    Abandoned,
}

/// A request in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: Id,
    /// How far it is.
    pub state: State,
    /// The bytes that it, or its reply, takes up.
    pub bytes: u64,
    /// When it was submitted, to the millisecond.
    pub at: SystemTime,
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests without a reply.
    pub pending: usize,
    /// Requests with one.
    pub replied: usize,
    /// Requests of which something cannot be read any more, or that were abandoned.
    pub damaged: usize,
    /// The bytes that all of them, and the stored answers, take up.
    pub bytes: u64,
    /// The bytes at which new requests are refused.
    pub capacity: u64,
    /// How often [`StoreError::Full`] was the answer, since it was opened.
    pub refused: u64,
}

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room until requests are closed.
    Full {
        /// What it would take.
        bytes: u64,
        /// What there is.
        free: u64,
    },
    /// It would never fit.
    TooLarge {
        /// What it would take.
        bytes: u64,
        /// What is allowed for one.
        limit: u64,
    },
    /// A request of that name is there already.
    Exists,
    /// There is none of that name, or not what was asked for.
    Unknown,
    /// It was kept once and cannot be read any more: its checksum is wrong.
    Damaged,
    /// The system refused to read or write; nothing else is affected.
    Io(Arc<io::Error>),
    /// The system could not make earlier changes durable: the store takes no more changes. Open it
    /// again to see what was kept.
    Failed(Arc<io::Error>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full { bytes, free } => write!(
                f,
                "the store is full: {bytes} bytes are needed and {free} are free; close requests that are done with"
            ),
            StoreError::TooLarge { bytes, limit } => write!(
                f,
                "{bytes} bytes are more than the {limit} that one message may take up in this store"
            ),
            StoreError::Exists => f.write_str("a request with this UUID exists already"),
            StoreError::Unknown => f.write_str("there is no such request, or it has been closed"),
            StoreError::Damaged => {
                f.write_str("it was stored once, but what is on the disk has been damaged since")
            }
            StoreError::Io(error) => write!(f, "the disk could not be read or written: {error}"),
            StoreError::Failed(error) => write!(
                f,
                "the store takes no changes since the disk failed to keep earlier ones: {error}; open it again to see what was kept"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        StoreError::Io(Arc::new(error))
    }
}
