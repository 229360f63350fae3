//! The fuzz target for what a log of Titanic reads from its file when it is opened. Beyond "does not
//! panic": what is told to be there can be read or is told to be damaged, the log can be used, and
//! opening it again finds the same and nothing more to complain of.

use std::time::UNIX_EPOCH;

use xebec_patterns::titanic::{
    Answers, Bounds, Durability, Id, Log, LogOptions, SimulatedDisk, State, Store, StoreError,
};

const SIZE: usize = 128 << 10;
const RING: usize = 8192;
const SALT: [u8; 16] = *b"sixteen of salt!";

/// The first octet chooses what the rest is: a file from its first byte on, the ring behind a sound head,
/// or a script from which a head and records with sound checksums are made.
pub fn titanic(data: &[u8]) {
    let [kind, data @ ..] = data else { return };
    let mut file = vec![0; SIZE];
    match kind % 3 {
        0 => {
            let len = data.len().min(SIZE);
            file[..len].copy_from_slice(&data[..len]);
        }
        1 => {
            head(&mut file, 0, 0, 1, 0, false);
            let len = data.len().min(SIZE - RING);
            file[RING..RING + len].copy_from_slice(&data[..len]);
        }
        _ => script(&mut file, data),
    }
    open(file);
}

fn open(file: Vec<u8>) {
    let options = LogOptions {
        size: SIZE as u64,
        durability: Durability::Each,
        answers: Bounds::default(),
    };
    let Ok((log, recovery)) = Log::on(SimulatedDisk::with(file, 1), options) else {
        return;
    };
    assert!(recovery.scanned <= SIZE as u64 && recovery.torn <= SIZE as u64);
    let before = log.list();
    assert_eq!(log.usage().pending, recovery.pending);
    for listed in &before {
        let read = match listed.state {
            State::Pending { .. } => log.request(listed.id),
            State::Replied => log.fetch(listed.id),
            State::Damaged | State::Abandoned => Err(StoreError::Damaged),
        };
        assert!(matches!(read, Ok(_) | Err(StoreError::Damaged)), "{read:?}");
    }
    log.answered(b"client", 1, UNIX_EPOCH).ok();
    let (again, recovery) =
        Log::on(log.with_disk(SimulatedDisk::restart), options).expect("it was opened before");
    assert_eq!(recovery.damages, [], "told twice");
    assert_eq!(again.list(), before);
    let id = Id([0xEE; 16]);
    match again.submit(id, &[], UNIX_EPOCH) {
        Ok(mark) => again.sync(mark).expect("the disk works"),
        Err(StoreError::Full { .. } | StoreError::Exists) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Both copies of the head page.
fn head(file: &mut [u8], tail: u64, durable: u64, epoch: u32, since: u64, closed: bool) {
    for generation in 0..2 {
        let page = &mut file[generation * 4096..][..512];
        page[..8].copy_from_slice(b"XEBECTSP");
        page[8..12].copy_from_slice(&1u32.to_le_bytes());
        page[16..32].copy_from_slice(&SALT);
        let numbers = [
            (SIZE - RING) as u64,
            generation as u64,
            tail,
            durable,
            since,
        ];
        for (slot, number) in page[32..72].chunks_exact_mut(8).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        page[72..76].copy_from_slice(&epoch.to_le_bytes());
        page[76] = closed.into();
        let sum = crc32fast::hash(&page[16..]);
        page[12..16].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A head from eight octets, then records from twelve octets each.
fn script(file: &mut [u8], data: &[u8]) {
    let Some((first, data)) = data.split_first_chunk::<8>() else {
        return;
    };
    let unit = |byte: u8| u64::from(byte) * 64;
    let lap = unit(first[0]) * 40;
    let tail = lap + unit(first[1]);
    let durable = tail + unit(first[2]);
    let (since, epoch) = (tail + unit(first[3]), u32::from(first[4]));
    head(
        file,
        tail,
        durable,
        epoch,
        since.min(durable),
        first[5] & 1 == 1,
    );
    let mut position = tail;
    for (record, chunk) in data.chunks_exact(12).enumerate() {
        let [
            kind,
            attempts,
            small,
            large,
            skip,
            epoch,
            known,
            id,
            flags,
            at,
            fill,
            far,
        ] = chunk
        else {
            return;
        };
        let length = usize::from(*small) | usize::from(large & 0x3F) << 8;
        let mut body = vec![*fill; length];
        if flags & 8 == 0 {
            // Frames, or the key of an answer, that may be sound.
            for (at, byte) in body.iter_mut().enumerate() {
                *byte = [*small, 0, 0, 0][at % 4].wrapping_sub(4 * u8::from(at == 0));
            }
        }
        let mut header = [0; 64];
        header[..4].copy_from_slice(&0x5EBE_C10Cu32.to_le_bytes());
        header[8..12].copy_from_slice(&salted(&body).to_le_bytes());
        header[12..16].copy_from_slice(&(length as u32).to_le_bytes());
        header[16] = kind & 7;
        header[18] = *attempts;
        // One that is still to come would count later.
        header[20] = (*epoch).min(first[4]);
        header[24..32].copy_from_slice(&(position + unit(*far & 1)).to_le_bytes());
        header[32..40].copy_from_slice(&(tail + unit(*known)).to_le_bytes());
        header[40] = *id & 7;
        header[56] = *at;
        if flags & 4 != 0 {
            // Lengths that lie.
            header[12..16].fill(*fill);
        }
        let sum = salted(&header[8..]);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        if flags & 1 != 0 {
            header[40 + record % 16] ^= 1;
        }
        if flags & 2 != 0 && !body.is_empty() {
            body[0] ^= 1;
        }
        let ring = SIZE - RING;
        for (at, byte) in header.iter().chain(&body).enumerate() {
            file[RING + (position as usize + at) % ring] = *byte;
        }
        position += (64 + length as u64).next_multiple_of(64) + unit(*skip & 7);
    }
}

fn salted(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&SALT);
    hasher.update(bytes);
    hasher.finalize()
}
