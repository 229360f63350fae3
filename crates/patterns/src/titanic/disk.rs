//! The few calls that a log makes on its file, so that tests can put a disk that forgets in its place.
//!
//! What a log counts on: a `write_at` may reach the disk at any time before the next `sync` returns,
//! in any order, wholly, in part or not at all; after it, it is there. Bytes that are not written to
//! do not change when their neighbours in a sector are (drives call it power-safe overwrite).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file of fixed size.
pub trait Disk: Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer with what stands from `offset` on.
    ///
    /// # Errors
    /// The system's, or the end comes first.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all bytes from `offset` on.
    ///
    /// # Errors
    /// The system's; part of it may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written survives a loss of power.
    ///
    /// # Errors
    /// The system's; nobody can tell what survives then.
    fn sync(&self) -> io::Result<()>;
}

/// A file of its own, which nobody else can open in this way while this is in use.
#[derive(Debug)]
pub struct FileDisk(File);

impl FileDisk {
    /// Opens a file.
    ///
    /// # Errors
    /// The system's: `NotFound` if there is none, `ResourceBusy` if somebody has it open.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        lock(&file)?;
        Ok(FileDisk(file))
    }

    /// Creates a file of `size` bytes, all of them zero and allocated, lets `prepare` write to it,
    /// and only then gives it its name: a crash on the way leaves no half-made file under it.
    ///
    /// # Errors
    /// The system's: `AlreadyExists` if there is one.
    pub fn create(
        path: &Path,
        size: u64,
        prepare: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let making = path.with_file_name(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&making)?;
        lock(&file)?;
        // Whoever was here before renamed the file that this would have been.
        if path.try_exists()? {
            std::fs::remove_file(&making)?;
            return Err(ErrorKind::AlreadyExists.into());
        }
        // Zeros that are written, not only allocated: a sync then has no metadata to write.
        file.set_len(0)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < size {
            let piece = zeros.len().min((size - at) as usize);
            file.write_all_at(&zeros[..piece], at)?;
            at += piece as u64;
        }
        let disk = FileDisk(file);
        prepare(&disk)?;
        disk.0.sync_all()?;
        std::fs::rename(&making, path)?;
        File::open(parent(path))?.sync_all()?;
        Ok(disk)
    }
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process has it open, or another part of this one",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Disk for FileDisk {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl<D: Disk + ?Sized> Disk for std::sync::Arc<D> {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }
}
