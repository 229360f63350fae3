//! What the log is measured against, behind the same trait: redb, and a file per message as the Guide has it.
//! Both have an index in memory and share their syncs as the log does: whoever comes first commits for all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex, MutexGuard};
use redb::{Database, ReadableDatabase, TableDefinition};
use xebec::Frame;
use xebec_patterns::titanic::{
    Durability, Id, Listed, Log, LogOptions, Mark, State, Store, StoreError, Usage,
};

pub(crate) const NAMES: [&str; 3] = ["log", "redb", "files"];

/// A new store of this name in an empty folder.
pub(crate) fn open(name: &str, folder: &Path, durability: Durability) -> Arc<dyn Store> {
    match name {
        "log" => {
            let options = LogOptions {
                durability,
                ..LogOptions::default()
            };
            Arc::new(Log::open(&folder.join("titanic.log"), options).unwrap().0)
        }
        "redb" => Arc::new(Batched::new(durability, Redb::new(folder, durability))),
        _ => Arc::new(Batched::new(durability, Files::new(folder, durability))),
    }
}

/// A request or its reply, or that neither is needed any more.
type Change = (Id, Option<Vec<u8>>);

/// Where bytes are kept under UUIDs.
trait Place: Send + Sync {
    /// Returns when all of them are durable, as far as the policy asks for it.
    fn commit(&self, changes: Vec<Change>);
    fn read(&self, id: Id) -> io::Result<Vec<u8>>;
}

struct Batched<P> {
    place: P,
    interval: Duration,
    state: Mutex<Pending>,
    committed: Condvar,
}

#[derive(Default)]
struct Pending {
    index: HashMap<Id, State>,
    changes: Vec<Change>,
    appended: u64,
    durable: u64,
    busy: bool,
    since: Option<Instant>,
}

impl Pending {
    fn append(&mut self, id: Id, bytes: Option<Vec<u8>>) -> Mark {
        self.changes.push((id, bytes));
        self.appended += 1;
        self.since.get_or_insert_with(Instant::now);
        Mark(self.appended)
    }

    fn expect(&mut self, id: Id, wanted: fn(State) -> bool) -> Result<&mut State, StoreError> {
        let state = self.index.get_mut(&id).filter(|state| wanted(**state));
        state.ok_or(StoreError::Unknown)
    }
}

fn is_pending(state: State) -> bool {
    matches!(state, State::Pending { .. })
}

impl<P: Place> Batched<P> {
    fn new(durability: Durability, place: P) -> Self {
        Batched {
            place,
            interval: match durability {
                Durability::Every(interval) => interval,
                _ => Duration::ZERO,
            },
            state: Mutex::default(),
            committed: Condvar::new(),
        }
    }

    fn read(&self, id: Id, wanted: fn(State) -> bool) -> Result<Vec<Frame>, StoreError> {
        self.state.lock().expect(id, wanted)?;
        // Titanic reads what is durable, and so committed.
        let bytes = Frame::from(self.place.read(id)?);
        let (mut frames, mut at) = (vec![], 0);
        while let Some(length) = bytes.get(at..at + 4) {
            let end = at + 4 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
            frames.push(Frame::copy_from_slice(&bytes[at + 4..end]));
            at = end;
        }
        Ok(frames)
    }
}

/// Each frame behind its length.
fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 4).sum());
    for frame in frames {
        bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        bytes.extend_from_slice(frame);
    }
    bytes
}

impl<P: Place> Store for Batched<P> {
    fn submit(&self, id: Id, request: &[Frame], _at: SystemTime) -> Result<Mark, StoreError> {
        let mut pending = self.state.lock();
        pending.index.insert(id, State::Pending { attempts: 0 });
        Ok(pending.append(id, Some(encode(request))))
    }

    fn dispatched(&self, id: Id) -> Result<Mark, StoreError> {
        let mut pending = self.state.lock();
        if let State::Pending { attempts } = pending.expect(id, is_pending)? {
            *attempts += 1;
        }
        Ok(Mark(pending.appended))
    }

    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError> {
        let mut pending = self.state.lock();
        *pending.expect(id, is_pending)? = State::Replied;
        Ok(pending.append(id, Some(encode(reply))))
    }

    fn abandon(&self, id: Id) -> Result<Mark, StoreError> {
        let mut pending = self.state.lock();
        *pending.expect(id, is_pending)? = State::Abandoned;
        Ok(pending.append(id, None))
    }

    fn close(&self, id: Id) -> Result<Mark, StoreError> {
        let mut pending = self.state.lock();
        Ok(match pending.index.remove(&id) {
            Some(_) => pending.append(id, None),
            None => Mark(pending.appended),
        })
    }

    fn state(&self, id: Id) -> Option<State> {
        self.state.lock().index.get(&id).copied()
    }

    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.read(id, is_pending)
    }

    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.read(id, |state| state == State::Replied)
    }

    fn list(&self) -> Vec<Listed> {
        let listed = |(id, state): (&Id, &State)| Listed {
            id: *id,
            state: *state,
            bytes: 0,
            at: SystemTime::UNIX_EPOCH,
        };
        self.state.lock().index.iter().map(listed).collect()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn sync(&self, mark: Mark) -> Result<(), StoreError> {
        let mut pending = self.state.lock();
        while pending.durable < mark.0 {
            let due = pending.since.unwrap_or_else(Instant::now) + self.interval;
            if pending.busy {
                self.committed.wait(&mut pending);
            } else if Instant::now() < due {
                self.committed.wait_until(&mut pending, due);
            } else {
                pending.busy = true;
                let changes = std::mem::take(&mut pending.changes);
                let appended = pending.appended;
                pending.since = None;
                MutexGuard::unlocked(&mut pending, || self.place.commit(changes));
                pending.busy = false;
                pending.durable = appended;
                self.committed.notify_all();
            }
        }
        Ok(())
    }

    fn durable(&self) -> Mark {
        Mark(self.state.lock().durable)
    }
}

const TABLE: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("requests");

struct Redb {
    database: Database,
    durability: Durability,
}

impl Redb {
    fn new(folder: &Path, durability: Durability) -> Self {
        Redb {
            database: Database::create(folder.join("requests.redb")).unwrap(),
            durability,
        }
    }
}

impl Place for Redb {
    fn commit(&self, changes: Vec<Change>) {
        let mut transaction = self.database.begin_write().unwrap();
        if self.durability == Durability::Off {
            transaction.set_durability(redb::Durability::None).unwrap();
        }
        let mut table = transaction.open_table(TABLE).unwrap();
        for (id, bytes) in changes {
            match bytes {
                Some(bytes) => table.insert(id.0, &bytes[..]).unwrap(),
                None => table.remove(id.0).unwrap(),
            };
        }
        drop(table);
        transaction.commit().unwrap();
    }

    fn read(&self, id: Id) -> io::Result<Vec<u8>> {
        let transaction = self.database.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        let found = table.get(id.0).unwrap();
        Ok(found.ok_or(io::ErrorKind::NotFound)?.value().to_vec())
    }
}

struct Files {
    folder: PathBuf,
    directory: File,
    durability: Durability,
}

impl Files {
    fn new(folder: &Path, durability: Durability) -> Self {
        Files {
            folder: folder.to_owned(),
            directory: File::open(folder).unwrap(),
            durability,
        }
    }

    fn path(&self, id: Id) -> PathBuf {
        self.folder.join(format!("{id}.req"))
    }
}

impl Place for Files {
    fn commit(&self, changes: Vec<Change>) {
        for (id, bytes) in changes {
            let path = self.path(id);
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => {
                    fs::remove_file(path).unwrap();
                    continue;
                }
            }
            if self.durability != Durability::Off {
                File::open(&path).unwrap().sync_data().unwrap();
            }
        }
        if self.durability != Durability::Off {
            self.directory.sync_all().unwrap();
        }
    }

    fn read(&self, id: Id) -> io::Result<Vec<u8>> {
        fs::read(self.path(id))
    }
}
