//! The log: requests, replies and answers in one file of fixed size.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, MutexGuard};
use xebec::Frame;

use super::answers::{Answers, Key, millis, weight};
use super::index::{Entry, Index, Place};
use super::opening::{Durability, LogOptions, OpenError, ring_size};
use super::record::{ABANDONED, Head, HeadError, Kind, RING, UNIT, size, take_frames};
use super::recovery::{Recovery, answer_key, scan};
use super::ring::{Record, Ring, Share, largest, look_ahead, plug, verified};
use super::{Disk, FileDisk, Id, Listed, Mark, State, Store, StoreError, Usage};

/// Requests, replies and answers in one preallocated file that is used as a ring.
///
/// # What is promised
/// After [`Store::sync`] returned for a mark, everything up to it is found again when the log is
/// opened after any crash: of the process, or (unless [`Durability::Off`]) of the machine. What was
/// not synced is found wholly or not at all. Waiting callers share one `fdatasync`.
///
/// # The file, version 1
/// Numbers are little-endian. The first two pages of 4 KiB hold two copies of the **head**, written in
/// turn, of which the newer sound one counts (the length of each field in parentheses): `XEBECTSP` (8),
/// version (4), CRC-32 of what follows up to byte 512 (4), salt (16), size of the ring (8), generation
/// (8), tail (8), durable (8), since (8), epoch (4), closed (1).
///
/// The rest is the **ring**. Positions count through all laps: a position modulo the size of the ring
/// is a place in it. A **record** begins at a multiple of 64 and is a header of 64 bytes, a body, and
/// zeros up to the next multiple: `5EBEC10C` (4), CRC-32 of salt and header from byte 8 on (4), CRC-32
/// of salt and body (4), length of the body (4), kind (1), zero (1), attempts (2), epoch (4), position
/// (8), durable (8), UUID (16), milliseconds since 1970 (8). The body of a request (kind 1) or a reply
/// (3) is its frames, each behind its length (4); that of an answer (5) is the client's id behind its
/// length (1), the number of its message (8), and frames. Dispatched (2), closed (4) and damaged (7,
/// or abandoned if its attempts are 1) have none. A void (6) stands for `length` bytes that could not be read.
///
/// # Why it can be read after a crash
/// * A record counts only at its own position, in an epoch (one opening of the log) that fits there,
///   with sound checksums: nothing of an earlier lap, of a crash before the last or of a client's
///   making is taken for one.
/// * Reading goes from the head's tail to the last record that counts. Behind a place that cannot be
///   read it goes on at the next record, as far as durable records can be: the head is written
///   again often enough for that to be a quarter of the ring or 64 MiB, whichever is less. So the time to
///   open a log grows with what is in use of it, not with the file.
/// * A place is used again when nothing at it is needed, when that is durable, and when the head on the
///   disk says so.
///
/// # Room
/// A request is not needed once its reply is there, nor is either once it is closed. A needed record
/// that is in the way of the ring is moved: written again in front. To keep that cheap, requests
/// are refused when what is needed fills 5/8 of the ring, and replies at 6/8; closing is always possible. One
/// record takes at most an eighth of the ring, or 32 MiB.
#[derive(Debug)]
pub struct Log<D = FileDisk> {
    disk: D,
    durability: Durability,
    state: Mutex<Ring>,
    /// A sync ended.
    synced: Condvar,
}

impl Log<FileDisk> {
    /// Opens the log at a path, or creates it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: LogOptions) -> Result<(Self, Recovery), OpenError> {
        ring_size(options.size)?;
        let disk = match FileDisk::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                FileDisk::create(path, options.size, format)?
            }
            other => other?,
        };
        Self::on(disk, options)
    }
}

/// Makes a disk of zeros an empty log.
///
/// # Errors
/// The disk's, or the system has no random numbers.
pub fn format(disk: &impl Disk) -> io::Result<()> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let mut head = Head {
        salt,
        ring: disk.size()?.saturating_sub(RING) / UNIT * UNIT,
        generation: 0,
        tail: 0,
        durable: 0,
        epoch: 0,
        since: 0,
        closed: true,
    };
    for generation in 0..2 {
        head.generation = generation;
        disk.write_at(&head.encode(), head.offset())?;
    }
    disk.sync()
}

impl<D: Disk> Log<D> {
    /// Opens the log on a disk that was [formatted](format()), and tells what was found.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn on(disk: D, options: LogOptions) -> Result<(Self, Recovery), OpenError> {
        let (found, wanted) = (disk.size()?, options.size);
        if found < RING {
            return Err(OpenError::Foreign);
        }
        let mut copies = [[0; Head::LEN]; 2];
        // A copy that cannot be read is damaged.
        let _ = disk.read_at(&mut copies[0], 0);
        let _ = disk.read_at(&mut copies[1], Head::SECOND);
        let head = Head::newest(&copies[0], &copies[1]).map_err(|error| match error {
            HeadError::Foreign => OpenError::Foreign,
            HeadError::Version(version) => OpenError::Version(version),
            HeadError::Damaged => OpenError::Head,
        })?;
        if found != wanted {
            return Err(OpenError::Size { found, wanted });
        }
        if head.ring != ring_size(found)? || head.epoch == u32::MAX {
            return Err(OpenError::Head);
        }
        let mut bounds = options.answers;
        bounds.bytes = bounds.bytes.min(head.ring / 4);
        let (ahead, largest) = (look_ahead(head.ring), largest(head.ring));
        let read = |last| {
            let mut index = Index::new(bounds);
            let found = scan(&disk, &head, last, ahead, largest, &mut index)?;
            io::Result::Ok((Ring::new(head, index, found.end), found))
        };
        let (mut ring, mut found) = read(head.tail + head.ring)?;
        // Room to move one record is always left; what a crash tore must not use it up. Records behind
        // such a place were never durable.
        if let Some(cut) = found.cut
            && ring.end + largest > ring.free + head.ring
        {
            (ring, found) = read(cut)?;
        }
        for &(from, to, epoch) in &found.holes {
            plug(&disk, &head, from, to, epoch)?;
        }
        // What was read may have been on its way to the disk only.
        disk.sync()?;
        ring.head.epoch += 1;
        ring.head.since = found.end;
        // Both copies: if one goes bad, the other must know this epoch.
        for _ in 0..2 {
            ring.write_head(&disk, false)?;
            disk.sync()?;
        }
        ring.tail = ring.head.tail;
        let log = Log {
            disk,
            durability: options.durability,
            state: Mutex::new(ring),
            synced: Condvar::new(),
        };
        log.remember(&found.damaged)?;
        let usage = log.usage();
        let recovery = Recovery {
            pending: usage.pending,
            replied: usage.replied,
            answers: log.state.lock().index.answers.len(),
            ..found.recovery
        };
        Ok((log, recovery))
    }

    /// Keeps what is damaged as such, so that the next opening knows of it as well.
    fn remember(&self, damaged: &[(Id, u64)]) -> Result<(), OpenError> {
        let failure = |error| match error {
            StoreError::Io(error) | StoreError::Failed(error) => {
                io::Error::new(error.kind(), error)
            }
            // There is room, since a mark is smaller than what was damaged, unless the ring was overfull.
            error => io::Error::new(ErrorKind::StorageFull, error),
        };
        for &(id, at) in damaged {
            let mark = |_: &mut Ring| Ok(Some(Record::bodiless(Kind::Damaged, id, at)));
            self.change(Share::Always, mark).map_err(failure)?;
        }
        let mut ring = self.state.lock();
        let all = ring.end;
        self.flush(&mut ring, all).map_err(failure)?;
        Ok(())
    }

    /// Shows the disk, for tests.
    #[doc(hidden)]
    pub fn with_disk<R>(&self, look: impl FnOnce(&D) -> R) -> R {
        look(&self.disk)
    }

    /// How much work the disk had, since the log was opened.
    pub fn work(&self) -> Work {
        let ring = self.state.lock();
        Work {
            syncs: ring.syncs,
            written: ring.written,
            moved: ring.moved,
        }
    }

    /// Ends the use of the log: the next opening need not look for records behind the last. A log
    /// that is dropped instead is opened as after a crash.
    ///
    /// # Errors
    /// The disk's.
    pub fn end(self) -> Result<(), StoreError> {
        let mut ring = self.state.lock();
        let all = ring.end;
        self.flush(&mut ring, all)?;
        ring.write_head(&self.disk, true)?;
        self.disk.sync()?;
        Ok(())
    }

    /// Writes the record that `make` asks for, if any, and takes it into the index. `make` is asked
    /// again when the lock had to be let go to make room.
    fn change<'r>(
        &self,
        share: Share,
        make: impl Fn(&mut Ring) -> Result<Option<Record<'r>>, StoreError>,
    ) -> Result<Mark, StoreError> {
        let mut ring = self.state.lock();
        loop {
            if let Some(error) = &ring.failed {
                return Err(StoreError::Failed(error.clone()));
            }
            // Without a record there may still be an earlier one to wait for.
            let Some(record) = make(&mut ring)? else {
                return Ok(Mark(ring.end));
            };
            if self.has_room(&mut ring, size(record.body_len()), share)? {
                ring.write(&self.disk, &record)?;
                return Ok(Mark(ring.end));
            }
        }
    }

    /// Whether so many bytes can be written now. If not something was done about it, without the lock.
    fn has_room(
        &self,
        ring: &mut MutexGuard<'_, Ring>,
        bytes: u64,
        share: Share,
    ) -> Result<bool, StoreError> {
        let size = ring.head.ring;
        let limit = largest(size);
        if bytes > limit {
            return Err(StoreError::TooLarge { bytes, limit });
        }
        let free = share.of(size).saturating_sub(ring.index.live);
        if bytes > free {
            ring.refused += 1;
            return Err(StoreError::Full { bytes, free });
        }
        // The reserve is for moving records: one of the largest always fits.
        if ring.end + bytes + limit > ring.tail + size {
            let before = ring.tail;
            self.reclaim(ring)?;
            if ring.tail == before {
                ring.refused += 1;
                return Err(StoreError::Full { bytes, free: 0 });
            }
            return Ok(false);
        }
        // What is not durable stays below half of what recovery looks ahead.
        if ring.end + bytes - ring.durable > look_ahead(size) / 2 {
            let all = ring.end;
            self.flush(ring, all)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Moves needed records out of the way, as far as there is room for it, and lets the disk know
    /// that what is behind is free.
    fn reclaim(&self, ring: &mut MutexGuard<'_, Ring>) -> Result<(), StoreError> {
        ring.relocate(&self.disk)?;
        // One sync for the changes due to which nothing is needed there, one for the head.
        let all = ring.end;
        self.flush(ring, all)?;
        while ring.syncing {
            self.synced.wait(ring);
        }
        ring.write_head(&self.disk, false)?;
        let result = self.disk.sync();
        self.note(ring, result)?;
        ring.tail = ring.head.tail;
        Ok(())
    }

    /// Makes everything up to a position durable now, whatever the policy.
    fn flush(&self, ring: &mut MutexGuard<'_, Ring>, to: u64) -> Result<(), StoreError> {
        let to = to.min(ring.end);
        loop {
            if ring.durable >= to {
                return Ok(());
            }
            if let Some(error) = &ring.failed {
                return Err(StoreError::Failed(error.clone()));
            }
            if ring.syncing {
                self.synced.wait(ring);
                continue;
            }
            ring.syncing = true;
            let result = self.flush_now(ring);
            ring.syncing = false;
            self.synced.notify_all();
            result?;
        }
    }

    fn flush_now(&self, ring: &mut MutexGuard<'_, Ring>) -> Result<(), StoreError> {
        let (end, free) = (ring.end, ring.needed());
        // Often enough for recovery to know where to stop, and for appends to find room.
        let renewed = end - ring.head.durable > look_ahead(ring.head.ring) / 2
            || ring.free - ring.head.tail > ring.head.ring / 16;
        if renewed {
            ring.write_head(&self.disk, false)?;
        }
        let tail = ring.head.tail;
        ring.waiting_since = None;
        // The head is worth a sync in any case: without it the whole log could not be read.
        if renewed || self.durability != Durability::Off {
            let result = MutexGuard::unlocked(ring, || self.disk.sync());
            self.note(ring, result)?;
        }
        ring.durable = end;
        ring.free = free;
        ring.tail = tail;
        Ok(())
    }

    fn note(&self, ring: &mut Ring, result: io::Result<()>) -> Result<(), StoreError> {
        ring.syncs += 1;
        result.map_err(|error| {
            let error = Arc::new(error);
            ring.failed = Some(error.clone());
            StoreError::Failed(error)
        })
    }

    /// The frames of a record.
    fn frames(
        &self,
        ring: MutexGuard<'_, Ring>,
        place: Place,
        kind: Kind,
    ) -> Result<Vec<Frame>, StoreError> {
        let (record, head) = (ring.read(&self.disk, place)?, ring.head);
        drop(ring);
        let (header, body) = verified(record, &head, place).ok_or(StoreError::Damaged)?;
        let from = match kind {
            Kind::Answer => answer_key(&body).ok_or(StoreError::Damaged)?.1,
            _ => 0,
        };
        if header.kind != kind {
            return Err(StoreError::Damaged);
        }
        take_frames(body.slice(from..)).ok_or(StoreError::Damaged)
    }
}

/// What a log had its disk do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// So many syncs.
    pub syncs: u64,
    /// So many bytes of records written.
    pub written: u64,
    /// How many of these bytes were needed records that were in the way and were written again.
    pub moved: u64,
}

impl<D: Disk> Store for Log<D> {
    fn submit(&self, id: Id, request: &[Frame], at: SystemTime) -> Result<Mark, StoreError> {
        self.change(Share::Requests, |ring| match ring.index.entries.get(&id) {
            Some(_) => Err(StoreError::Exists),
            None => Ok(Some(Record::new(Kind::Request, id, millis(at), request))),
        })
    }

    fn dispatched(&self, id: Id) -> Result<Mark, StoreError> {
        self.change(Share::Always, |ring| {
            match ring.index.entries.get(&id).map(|entry| entry.state) {
                Some(State::Pending { attempts }) => Ok(Some(Record {
                    attempts: attempts.saturating_add(1),
                    ..Record::bodiless(Kind::Dispatched, id, 0)
                })),
                _ => Err(StoreError::Unknown),
            }
        })
    }

    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError> {
        self.change(Share::Replies, |ring| match ring.index.entries.get(&id) {
            None => Err(StoreError::Unknown),
            Some(entry) if entry.state == State::Replied => Ok(None),
            Some(entry) => Ok(Some(Record::new(Kind::Reply, id, entry.at, reply))),
        })
    }

    fn abandon(&self, id: Id) -> Result<Mark, StoreError> {
        self.change(Share::Always, |ring| match ring.index.entries.get(&id) {
            Some(entry) if matches!(entry.state, State::Pending { .. }) => Ok(Some(Record {
                attempts: ABANDONED,
                ..Record::bodiless(Kind::Damaged, id, entry.at)
            })),
            _ => Err(StoreError::Unknown),
        })
    }

    fn close(&self, id: Id) -> Result<Mark, StoreError> {
        self.change(Share::Always, |ring| {
            let known = ring.index.entries.contains_key(&id);
            Ok(known.then(|| Record::bodiless(Kind::Closed, id, 0)))
        })
    }

    fn state(&self, id: Id) -> Option<State> {
        let ring = self.state.lock();
        ring.index.entries.get(&id).map(|entry| entry.state)
    }

    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        let ring = self.state.lock();
        let place = ring.entry_place(id, |state| matches!(state, State::Pending { .. }))?;
        self.frames(ring, place, Kind::Request)
    }

    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        let ring = self.state.lock();
        let place = ring.entry_place(id, |state| state == State::Replied)?;
        self.frames(ring, place, Kind::Reply)
    }

    fn list(&self) -> Vec<Listed> {
        let ring = self.state.lock();
        let mut all: Vec<_> = ring.index.entries.iter().map(|(id, e)| (*id, *e)).collect();
        drop(ring);
        all.sort_by_key(|(_, entry)| (entry.at, entry.place.position));
        let listed = |(id, entry): (Id, Entry)| Listed {
            id,
            state: entry.state,
            bytes: entry.place.size(),
            at: UNIX_EPOCH
                .checked_add(Duration::from_millis(entry.at))
                .unwrap_or(UNIX_EPOCH),
        };
        all.into_iter().map(listed).collect()
    }

    fn usage(&self) -> Usage {
        let ring = self.state.lock();
        let mut usage = Usage {
            bytes: ring.index.live,
            capacity: Share::Requests.of(ring.head.ring),
            refused: ring.refused,
            ..Usage::default()
        };
        for entry in ring.index.entries.values() {
            match entry.state {
                State::Pending { .. } => usage.pending += 1,
                State::Replied => usage.replied += 1,
                State::Damaged | State::Abandoned => usage.damaged += 1,
            }
        }
        usage
    }

    fn sync(&self, mark: Mark) -> Result<(), StoreError> {
        let mut ring = self.state.lock();
        if let Durability::Every(interval) = self.durability {
            while ring.durable < mark.0.min(ring.end) && ring.failed.is_none() {
                let due = ring.waiting_since.unwrap_or_else(Instant::now) + interval;
                if ring.syncing {
                    self.synced.wait(&mut ring);
                } else if self.synced.wait_until(&mut ring, due).timed_out() {
                    break;
                }
            }
        }
        self.flush(&mut ring, mark.0)
    }

    fn durable(&self) -> Mark {
        Mark(self.state.lock().durable)
    }
}

impl<D: Disk> Answers for Log<D> {
    fn answered(
        &self,
        client: &[u8],
        number: u64,
        now: SystemTime,
    ) -> Result<Option<Vec<Frame>>, StoreError> {
        let ring = self.state.lock();
        let place = ring
            .index
            .answers
            .get(&Key::new(client, number), millis(now))
            .copied();
        match place {
            None => Ok(None),
            Some(place) => self.frames(ring, place, Kind::Answer).map(Some),
        }
    }

    fn keep(
        &self,
        client: &[u8],
        number: u64,
        answer: &[Frame],
        now: SystemTime,
    ) -> Result<Mark, StoreError> {
        weight(client, answer)?;
        let key = Arc::new(Key::new(client, number));
        let now = millis(now);
        self.change(Share::Replies, |ring| {
            let record = Record {
                key: Some(key.clone()),
                ..Record::new(Kind::Answer, Id([0; 16]), now, answer)
            };
            ring.index.answers.takes(size(record.body_len()))?;
            ring.index.forget_old_answers(now);
            let known = ring.index.answers.value(&key).is_some();
            Ok((!known).then_some(record))
        })
    }

    fn settle(&self, mark: Mark) -> Result<(), StoreError> {
        Store::sync(self, mark)
    }

    fn held(&self) -> (usize, u64) {
        self.state.lock().index.answers.held()
    }
}
