//! Reading a log when it is opened: every record that counts, in order, and a report of those that
//! should be there and cannot be read.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::answers::{Key, MAX_CLIENT};
use super::index::Index;
use super::record::{Head, Header, Kind, RING, UNIT, checksum, u64_at};
use super::{Disk, Id, State};

/// What was found when a log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Requests without a reply.
    pub pending: usize,
    /// Requests with one.
    pub replied: usize,
    /// Answers kept for clients.
    pub answers: usize,
    /// How many bytes were read to know.
    pub scanned: u64,
    /// Bytes of changes that a crash cut short: nobody was told that they are durable.
    pub torn: u64,
    /// What cannot be read any more though it was durable once. It is told once: the next time the
    /// log is opened, the places are known to be empty and the requests to be damaged.
    pub damages: Vec<Damage>,
}

/// A part of a log that cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What was there.
    pub lost: Lost,
}

/// What a damage destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing that is needed.
    Nothing,
    /// A request that had no reply. It is kept as damaged until it is closed, and is not executed.
    Request(Id),
    /// The reply to a request. It is kept as damaged until it is closed, and is not executed again.
    Reply(Id),
    /// An answer to a client, whose request would be executed again.
    Answer,
    /// Nobody can tell: perhaps requests, perhaps replies or the news that requests are closed. Those
    /// requests would be executed again.
    Unknown,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes at {} of the file are damaged: ",
            self.bytes, self.offset
        )?;
        match self.lost {
            Lost::Nothing => f.write_str("nothing that is needed was there"),
            Lost::Request(id) => write!(f, "request {id} is lost"),
            Lost::Reply(id) => write!(f, "the reply to request {id} is lost"),
            Lost::Answer => f.write_str("an answer to a client is lost"),
            Lost::Unknown => f.write_str(
                "requests may be lost, and others that had a reply or were closed may be executed again",
            ),
        }
    }
}

/// What the scan tells whoever opens the log.
pub(super) struct Found {
    pub(super) recovery: Recovery,
    /// Where the next record goes.
    pub(super) end: u64,
    /// The first place behind what was durable that a crash tore, if records follow.
    pub(super) cut: Option<u64>,
    /// Places in front of it that hold nothing, with the epoch of what stands before them.
    pub(super) holes: Vec<(u64, u64, u32)>,
    /// Requests that are lost, or their replies, with the time of their records.
    pub(super) damaged: Vec<(Id, u64)>,
}

/// A record whose body is not what its header says.
struct Suspect {
    header: Header,
}

/// Reads the log into the index, up to a position at most. `look_ahead` is how far behind a place that
/// cannot be read, or behind the head page's knowledge, durable records can be; `largest` is the
/// longest body.
pub(super) fn scan(
    disk: &impl Disk,
    head: &Head,
    last: u64,
    look_ahead: u64,
    largest: u64,
    index: &mut Index,
) -> io::Result<Found> {
    let mut window = Window::new(disk, head, last);
    let mut scan = Scan {
        head,
        largest,
        last,
        epoch: 0,
        durable: head.durable,
        suspects: HashMap::new(),
        answers: Vec::new(),
        superseded: Vec::new(),
    };
    let mut holes: Vec<(u64, u64, u32)> = Vec::new();
    let mut hole = None;
    let (mut position, mut end) = (head.tail, head.tail);
    // A log that was closed has nothing behind what the head page knows of.
    let ahead = if head.closed { 0 } else { look_ahead };
    while position + UNIT <= last {
        let limit = head.durable.max(end).saturating_add(ahead);
        if position >= limit && (hole.is_some() || head.closed) {
            break;
        }
        let Some(header) = scan.header(window.bytes(position, UNIT)?, position) else {
            hole.get_or_insert(position);
            position += UNIT;
            continue;
        };
        if let Some(from) = hole.take() {
            holes.push((from, position, scan.epoch));
        }
        scan.epoch = header.epoch;
        scan.durable = scan.durable.max(header.durable.min(position));
        if header.kind == Kind::Void {
            // Nothing is told of it again.
        } else {
            let body = window.bytes(position + UNIT, header.length.into())?;
            if checksum(&head.salt, body) == header.sum {
                scan.good(&header, body, index);
            } else {
                scan.suspect(header);
            }
        }
        position += header.size();
        end = position;
    }
    let scanned = position - head.tail;
    if end < scan.durable {
        // The last of what was durable cannot be read.
        holes.push((end, scan.durable, scan.epoch));
        end = scan.durable;
    }
    Ok(scan.judge(index, holes, end, scanned))
}

struct Scan<'a> {
    head: &'a Head,
    largest: u64,
    last: u64,
    /// Of the newest record so far.
    epoch: u32,
    /// Up to where everything was durable, as far as records tell.
    durable: u64,
    /// The last suspect of each request.
    suspects: HashMap<Id, Suspect>,
    /// Suspects that are answers.
    answers: Vec<Header>,
    /// Suspects that later records made unimportant.
    superseded: Vec<Header>,
}

impl Scan<'_> {
    /// The header at a position, if one of this lap and of a credible epoch is there.
    fn header(&self, bytes: &[u8], position: u64) -> Option<Header> {
        let header = Header::decode(bytes, &self.head.salt)?;
        let epochs = if position >= self.head.since {
            self.head.epoch..=self.head.epoch
        } else {
            self.epoch..=self.head.epoch
        };
        let bodiless = matches!(header.kind, Kind::Dispatched | Kind::Closed | Kind::Damaged);
        let fits = match header.kind {
            Kind::Void => true,
            _ if bodiless => header.length == 0,
            _ => u64::from(header.length) <= self.largest,
        };
        let credible = header.position == position
            && epochs.contains(&header.epoch)
            && fits
            && header.size() <= self.last - position;
        credible.then_some(header)
    }

    fn good(&mut self, header: &Header, body: &[u8], index: &mut Index) {
        if let Some(suspect) = self.suspects.remove(&header.id) {
            if header.kind == Kind::Dispatched {
                // It says nothing about what the suspect held.
                self.suspects.insert(header.id, suspect);
            } else {
                self.superseded.push(suspect.header);
            }
        }
        let key = match header.kind {
            Kind::Answer => match answer_key(body) {
                Some((key, _)) => Some(Arc::new(key)),
                None => return,
            },
            _ => None,
        };
        index.apply(header, key);
    }

    fn suspect(&mut self, header: Header) {
        if header.kind == Kind::Answer {
            self.answers.push(header);
        } else if let Some(older) = self.suspects.insert(header.id, Suspect { header }) {
            self.superseded.push(older.header);
        }
    }

    /// Tells what was torn, which was never durable, from what is damaged.
    fn judge(
        self,
        index: &mut Index,
        mut holes: Vec<(u64, u64, u32)>,
        end: u64,
        scanned: u64,
    ) -> Found {
        let mut recovery = Recovery {
            scanned,
            ..Recovery::default()
        };
        let offset = |position| RING + position % self.head.ring;
        for &(from, to, _) in &holes {
            // A hole may begin in what was durable and end behind it.
            let sound = to.min(self.durable).saturating_sub(from);
            recovery.torn += to - from - sound;
            if sound > 0 {
                recovery.damages.push(Damage {
                    offset: offset(from),
                    bytes: sound,
                    lost: Lost::Unknown,
                });
            }
        }
        let mut damaged = Vec::new();
        let suspects = self
            .suspects
            .into_values()
            .map(|suspect| (suspect.header, true));
        let others = self.superseded.into_iter().chain(self.answers);
        for (header, counts) in suspects.chain(others.map(|header| (header, false))) {
            let (position, bytes) = (header.position, header.size());
            holes.push((position, position + bytes, header.epoch));
            if position >= self.durable {
                recovery.torn += bytes;
                continue;
            }
            let state = index.entries.get(&header.id).map(|entry| entry.state);
            let lost = match header.kind {
                Kind::Answer => Lost::Answer,
                Kind::Request if counts && state.is_none() => Lost::Request(header.id),
                Kind::Reply if counts && state != Some(State::Replied) => Lost::Reply(header.id),
                _ => Lost::Nothing,
            };
            if matches!(lost, Lost::Request(_) | Lost::Reply(_)) {
                damaged.push((header.id, header.at));
            }
            recovery.damages.push(Damage {
                offset: offset(position),
                bytes,
                lost,
            });
        }
        let torn = holes
            .iter()
            .map(|(from, to, _)| (from.max(&self.durable), to));
        let cut = torn
            .filter(|(from, to)| from < to)
            .map(|(from, _)| *from)
            .min();
        recovery.damages.sort_by_key(|damage| damage.offset);
        index.answers.sort();
        Found {
            recovery,
            end,
            cut,
            holes,
            damaged,
        }
    }
}

/// Whom an answer is for, and where in the body of its record it begins.
pub(super) fn answer_key(body: &[u8]) -> Option<(Key, usize)> {
    let (&len, rest) = body.split_first()?;
    let len = usize::from(len);
    let number = rest.get(len..len + 8)?;
    Some((Key::new(&rest[..len], u64_at(number, 0)), len + 9))
}

const _: () = assert!(MAX_CLIENT == u8::MAX as usize);

/// How much is read at a time.
const CHUNK: u64 = 1 << 20;
/// The pieces in which an unreadable chunk is read, so that one bad sector does not hide a mebibyte.
const PIECE: usize = 4096;

/// A moving window on the ring.
struct Window<'a, D> {
    disk: &'a D,
    ring: u64,
    last: u64,
    from: u64,
    bytes: Vec<u8>,
}

impl<'a, D: Disk> Window<'a, D> {
    fn new(disk: &'a D, head: &Head, last: u64) -> Self {
        Window {
            disk,
            ring: head.ring,
            last,
            from: 0,
            bytes: Vec::new(),
        }
    }

    fn bytes(&mut self, position: u64, len: u64) -> io::Result<&[u8]> {
        let held = self.from..=self.from + self.bytes.len() as u64;
        if !(held.contains(&position) && held.contains(&(position + len))) {
            let len = len.max(CHUNK.min(self.last - position));
            self.bytes.resize(len as usize, 0);
            self.from = position;
            read_ring(self.disk, self.ring, position, &mut self.bytes, fill)?;
        }
        let at = (position - self.from) as usize;
        Ok(&self.bytes[at..at + len as usize])
    }
}

/// Fills the buffer; the pieces of it that the disk cannot read are zero, unless that is all of them.
fn fill<D: Disk>(disk: &D, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let Err(error) = disk.read_at(buffer, offset) else {
        return Ok(());
    };
    let mut read = 0;
    for (piece, at) in buffer.chunks_mut(PIECE).zip((offset..).step_by(PIECE)) {
        match disk.read_at(piece, at) {
            Ok(()) => read += 1,
            Err(_) => piece.fill(0),
        }
    }
    // A short file, or a disk that is gone, is no bad sector.
    if (read == 0 && buffer.len() > PIECE) || error.kind() == io::ErrorKind::UnexpectedEof {
        return Err(error);
    }
    Ok(())
}

/// Reads from the ring, around its end.
pub(super) fn read_ring<D: Disk>(
    disk: &D,
    ring: u64,
    position: u64,
    buffer: &mut [u8],
    read: impl Fn(&D, &mut [u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let at = position % ring;
    let (first, second) = buffer.split_at_mut(buffer.len().min((ring - at) as usize));
    read(disk, first, RING + at)?;
    if !second.is_empty() {
        read(disk, second, RING)?;
    }
    Ok(())
}
