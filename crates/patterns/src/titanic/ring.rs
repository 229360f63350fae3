//! The ring of a log: where the next record goes, and writing and reading records. Whoever calls holds
//! the log's lock; what must wait for the disk is in `log`.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use xebec::{Bytes, Frame};

use super::answers::Key;
use super::index::{Index, Owner, Place};
use super::record::{Head, Header, Kind, RING, UNIT, checksum, frames_len, put_frames};
use super::recovery::read_ring;
use super::{Disk, Id, State, StoreError};

/// What the lock protects: everything but the disk.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) index: Index,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Up to where everything is durable.
    pub(super) durable: u64,
    /// Before which nothing is needed, now and after a crash.
    pub(super) free: u64,
    /// The head as it was written last.
    pub(super) head: Head,
    /// The tail that the head on the disk is sure to tell: what is before it can be overwritten.
    pub(super) tail: u64,
    /// Somebody is syncing, without the lock.
    pub(super) syncing: bool,
    /// When the first change came that is not durable yet.
    pub(super) waiting_since: Option<Instant>,
    pub(super) failed: Option<Arc<io::Error>>,
    pub(super) refused: u64,
    pub(super) syncs: u64,
    pub(super) written: u64,
    pub(super) moved: u64,
    /// Kept for its allocation.
    buffer: Vec<u8>,
}

/// How far behind what it knows of recovery looks for durable records.
pub(super) fn look_ahead(ring: u64) -> u64 {
    (ring / 4).min(64 << 20) / UNIT * UNIT
}

/// The largest record.
pub(super) fn largest(ring: u64) -> u64 {
    look_ahead(ring) / 2 / UNIT * UNIT
}

/// Marks a place as empty. It may be longer than the length of one record can tell.
pub(super) fn plug(
    disk: &impl Disk,
    head: &Head,
    mut from: u64,
    to: u64,
    epoch: u32,
) -> io::Result<()> {
    while from < to {
        let bytes = (to - from).min(1 << 31);
        let header = Header {
            kind: Kind::Void,
            attempts: 0,
            length: (bytes - UNIT) as u32,
            sum: 0,
            epoch,
            position: from,
            durable: 0,
            id: Id([0; 16]),
            at: 0,
        };
        disk.write_at(&header.encode(&head.salt), RING + from % head.ring)?;
        from += bytes;
    }
    Ok(())
}

/// The header and the body of a record, if it is the one that stands at this place.
pub(super) fn verified(record: Bytes, head: &Head, place: Place) -> Option<(Header, Bytes)> {
    let header = Header::decode(&record, &head.salt)?;
    let body = record.slice(UNIT as usize..);
    let sound = header.position == place.position
        && header.length == place.length
        && header.sum == checksum(&head.salt, &body);
    sound.then_some((header, body))
}

/// How full the ring may get by what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    Requests,
    Replies,
    Always,
}

impl Share {
    pub(super) fn of(self, ring: u64) -> u64 {
        match self {
            Share::Requests => ring / 8 * 5,
            Share::Replies => ring / 8 * 6,
            Share::Always => ring,
        }
    }
}

/// A record that is to be written.
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) id: Id,
    pub(super) at: u64,
    pub(super) attempts: u16,
    pub(super) frames: &'a [Frame],
    pub(super) key: Option<Arc<Key>>,
}

impl<'a> Record<'a> {
    pub(super) fn new(kind: Kind, id: Id, at: u64, frames: &'a [Frame]) -> Self {
        Record {
            kind,
            id,
            at,
            attempts: 0,
            frames,
            key: None,
        }
    }

    pub(super) fn bodiless(kind: Kind, id: Id, at: u64) -> Self {
        Record::new(kind, id, at, &[])
    }

    pub(super) fn body_len(&self) -> usize {
        let key = self.key.as_ref().map_or(0, |key| key.client.len() + 9);
        key + frames_len(self.frames)
    }
}

impl Ring {
    /// A ring as a scan found it, all of it durable.
    pub(super) fn new(head: Head, index: Index, end: u64) -> Self {
        let mut ring = Ring {
            index,
            end,
            durable: end,
            free: head.tail,
            tail: head.tail,
            head,
            syncing: false,
            waiting_since: None,
            failed: None,
            refused: 0,
            syncs: 0,
            written: 0,
            moved: 0,
            buffer: Vec::new(),
        };
        ring.free = ring.needed();
        ring
    }

    /// Before which nothing is needed.
    pub(super) fn needed(&mut self) -> u64 {
        self.index
            .oldest()
            .map_or(self.end, |(position, _)| position)
    }

    /// Writes the head as it is certain now.
    pub(super) fn write_head(&mut self, disk: &impl Disk, closed: bool) -> io::Result<()> {
        let head = Head {
            generation: self.head.generation + 1,
            tail: self.free,
            durable: self.durable,
            closed,
            ..self.head
        };
        disk.write_at(&head.encode(), head.offset())?;
        self.head = head;
        Ok(())
    }

    pub(super) fn write(&mut self, disk: &impl Disk, record: &Record<'_>) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(UNIT as usize, 0);
        if let Some(key) = &record.key {
            buffer.push(key.client.len() as u8);
            buffer.extend(&key.client);
            buffer.extend(key.number.to_le_bytes());
        }
        put_frames(&mut buffer, record.frames);
        let header = Header {
            kind: record.kind,
            attempts: record.attempts,
            length: (buffer.len() - UNIT as usize) as u32,
            sum: 0,
            epoch: 0,
            position: 0,
            durable: 0,
            id: record.id,
            at: record.at,
        };
        let result = self.put(disk, header, &mut buffer, record.key.clone());
        // A rare large record does not keep its memory.
        buffer.shrink_to(1 << 20);
        self.buffer = buffer;
        result
    }

    /// Writes a record whose body stands in the buffer behind room for its header.
    fn put(
        &mut self,
        disk: &impl Disk,
        mut header: Header,
        buffer: &mut Vec<u8>,
        key: Option<Arc<Key>>,
    ) -> io::Result<()> {
        let (space, body) = buffer.split_at_mut(UNIT as usize);
        header.sum = checksum(&self.head.salt, body);
        header.epoch = self.head.epoch;
        header.position = self.end;
        header.durable = self.durable;
        space.copy_from_slice(&header.encode(&self.head.salt));
        buffer.resize(header.size() as usize, 0);
        let at = self.end % self.head.ring;
        let first = buffer.len().min((self.head.ring - at) as usize);
        disk.write_at(&buffer[..first], RING + at)?;
        if first < buffer.len() {
            disk.write_at(&buffer[first..], RING)?;
        }
        self.end += header.size();
        self.written += header.size();
        self.waiting_since.get_or_insert_with(Instant::now);
        self.index.apply(&header, key);
        Ok(())
    }

    /// Writes the oldest needed records again in front, as many as is worth a sync and as there is
    /// room for.
    pub(super) fn relocate(&mut self, disk: &impl Disk) -> Result<(), StoreError> {
        let worthwhile = self.tail + self.head.ring / 16;
        while let Some((position, owner)) = self.index.oldest()
            && position < worthwhile
        {
            let place = self.index.place(&owner).expect("it is needed");
            if self.end + place.size() > self.tail + self.head.ring {
                break;
            }
            self.moved += place.size();
            match owner {
                Owner::Request(id) => self.relocate_request(disk, id, place)?,
                Owner::Answer(key) => self.relocate_answer(disk, key, place)?,
            }
        }
        Ok(())
    }

    fn relocate_request(&mut self, disk: &impl Disk, id: Id, place: Place) -> io::Result<()> {
        let entry = self.index.entries[&id];
        let record = self.read(disk, place)?;
        let Some((mut header, _)) = verified(record.clone(), &self.head, place) else {
            // It went bad since it was written.
            return self.write(disk, &Record::bodiless(Kind::Damaged, id, entry.at));
        };
        if let State::Pending { attempts } = entry.state {
            header.attempts = attempts;
        }
        self.put(disk, header, &mut record.into(), None)
    }

    fn relocate_answer(&mut self, disk: &impl Disk, key: Arc<Key>, place: Place) -> io::Result<()> {
        let record = self.read(disk, place)?;
        match verified(record.clone(), &self.head, place) {
            Some((header, _)) => self.put(disk, header, &mut record.into(), Some(key)),
            None => {
                self.index.forget_answer(&key);
                Ok(())
            }
        }
    }

    pub(super) fn read(&self, disk: &impl Disk, place: Place) -> io::Result<Bytes> {
        let mut record = vec![0; UNIT as usize + place.length as usize];
        read_ring(
            disk,
            self.head.ring,
            place.position,
            &mut record,
            |disk, buffer, at| disk.read_at(buffer, at),
        )?;
        Ok(record.into())
    }

    pub(super) fn entry_place(
        &self,
        id: Id,
        state: impl Fn(State) -> bool,
    ) -> Result<Place, StoreError> {
        match self.index.entries.get(&id) {
            Some(entry) if state(entry.state) => Ok(entry.place),
            Some(entry) if entry.state == State::Damaged => Err(StoreError::Damaged),
            _ => Err(StoreError::Unknown),
        }
    }
}
