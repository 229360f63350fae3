//! A disk for tests that forgets what was not synced, and fails when it is told to.

use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;
use parking_lot::Mutex;

use super::Disk;

/// What a drive writes wholly or, if it is interrupted, in part.
const SECTOR: usize = 512;

/// A disk in memory that loses power after so many calls.
///
/// Until it is synced each sector may have on it any of the versions that were written, or a beginning of
/// one and the rest of the one before. When the power fails, in the middle of a call as a rule, chance (of a
/// seed) decides for each sector; from then on every call fails. [`SimulatedDisk::restart`] is
/// the disk that a recovery finds.
#[derive(Debug)]
pub struct SimulatedDisk(Mutex<Platter>);

#[derive(Debug)]
struct Platter {
    durable: Vec<u8>,
    /// The versions of each sector since the last sync, oldest first.
    written: BTreeMap<usize, Vec<[u8; SECTOR]>>,
    rng: Rng,
    /// Calls that change something, until the power fails.
    calls: Option<u64>,
    off: bool,
    syncs: u64,
}

impl SimulatedDisk {
    /// A disk of zeros, of a size in bytes that is rounded up to whole sectors.
    pub fn new(size: u64, seed: u64) -> Self {
        Self::with(vec![0; (size as usize).next_multiple_of(SECTOR)], seed)
    }

    /// A disk with these contents.
    pub fn with(mut contents: Vec<u8>, seed: u64) -> Self {
        contents.resize(contents.len().next_multiple_of(SECTOR), 0);
        SimulatedDisk(Mutex::new(Platter {
            durable: contents,
            written: BTreeMap::new(),
            rng: Rng::with_seed(seed),
            calls: None,
            off: false,
            syncs: 0,
        }))
    }

    /// Lets the power fail in the middle of the write or sync that comes after so many others.
    pub fn fail_after(&self, calls: u64) {
        self.0.lock().calls = Some(calls);
    }

    /// Whether the power has failed.
    pub fn has_failed(&self) -> bool {
        self.0.lock().off
    }

    /// How many syncs have succeeded.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Lets the power fail now, if it has not, and returns what is on the disk when it comes back.
    pub fn restart(&self) -> SimulatedDisk {
        let mut platter = self.0.lock();
        platter.lose();
        let seed = platter.rng.u64(..);
        Self::with(platter.durable.clone(), seed)
    }

    /// What is on the disk, as those who use it see it.
    pub fn contents(&self) -> Vec<u8> {
        let platter = self.0.lock();
        let mut contents = vec![0; platter.durable.len()];
        platter.read(&mut contents, 0);
        contents
    }
}

impl Platter {
    fn lose(&mut self) {
        self.off = true;
        for (sector, versions) in std::mem::take(&mut self.written) {
            let at = sector * SECTOR;
            let kept = self.rng.usize(..=versions.len());
            if let Some(version) = kept.checked_sub(1) {
                self.durable[at..at + SECTOR].copy_from_slice(&versions[version]);
            }
            if let Some(next) = versions.get(kept)
                && self.rng.u8(..4) == 0
            {
                let torn = self.rng.usize(..SECTOR);
                self.durable[at..at + torn].copy_from_slice(&next[..torn]);
            }
        }
    }

    /// Counts a call; tells whether the power fails in it.
    fn fails(&mut self) -> bool {
        match &mut self.calls {
            Some(0) => true,
            Some(calls) => {
                *calls -= 1;
                false
            }
            None => false,
        }
    }

    fn read(&self, buffer: &mut [u8], offset: usize) {
        buffer.copy_from_slice(&self.durable[offset..offset + buffer.len()]);
        let sectors = offset / SECTOR..(offset + buffer.len()).div_ceil(SECTOR);
        for (sector, versions) in self.written.range(sectors) {
            let (start, newest) = (sector * SECTOR, versions.last().expect("never empty"));
            let from = start.max(offset);
            let to = (start + SECTOR).min(offset + buffer.len());
            buffer[from - offset..to - offset].copy_from_slice(&newest[from - start..to - start]);
        }
    }

    fn write(&mut self, mut bytes: &[u8], mut offset: usize) {
        while !bytes.is_empty() {
            let (sector, at) = (offset / SECTOR, offset % SECTOR);
            let len = bytes.len().min(SECTOR - at);
            let mut version = [0; SECTOR];
            self.read(&mut version, sector * SECTOR);
            version[at..at + len].copy_from_slice(&bytes[..len]);
            self.written.entry(sector).or_default().push(version);
            (bytes, offset) = (&bytes[len..], offset + len);
        }
    }
}

fn failure() -> io::Error {
    io::Error::other("the power has failed")
}

impl Disk for SimulatedDisk {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().durable.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let platter = self.0.lock();
        if platter.off {
            return Err(failure());
        }
        if offset + buffer.len() as u64 > platter.durable.len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        platter.read(buffer, offset as usize);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut platter = self.0.lock();
        assert!(
            offset + bytes.len() as u64 <= platter.durable.len() as u64,
            "a log stays within its file"
        );
        if platter.off {
            return Err(failure());
        }
        platter.write(bytes, offset as usize);
        if platter.fails() {
            platter.lose();
            return Err(failure());
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.0.lock();
        if platter.off {
            return Err(failure());
        }
        if platter.fails() {
            platter.lose();
            return Err(failure());
        }
        platter.syncs += 1;
        for (sector, versions) in std::mem::take(&mut platter.written) {
            let newest = versions.last().expect("never empty");
            platter.durable[sector * SECTOR..][..SECTOR].copy_from_slice(newest);
        }
        Ok(())
    }
}
