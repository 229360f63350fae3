//! Unix-domain sockets: files, Linux's abstract names, and the care of the files.
//!
//! A socket file outlives the process that made it if that process was killed. Such a stale file
//! (a socket where nobody answers) is replaced by a bind; one where somebody answers is an address
//! in use; anything that is not a socket is never touched. The file of a listener goes with it,
//! unless another process has put its own in its place meanwhile. Permissions follow the umask.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, Metadata};
use std::hash::BuildHasher;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};
use rustix::process::Pid;

use super::{Connecting, Kind, ListenError, StreamOptions, listen_at, open, tune};
use crate::endpoint::{Endpoint, EndpointError, EndpointErrorKind, IpcEndpoint, MAX_PATH};

/// Listens at `endpoint`; gives the descriptor, the file to remove later and the real endpoint.
pub(super) fn listen(
    endpoint: &IpcEndpoint,
    options: &StreamOptions,
) -> Result<(OwnedFd, Option<SocketFile>, String), ListenError> {
    match endpoint {
        IpcEndpoint::Abstract(name) => {
            let fd = listen_abstract(name, options).map_err(ListenError::Ipc)?;
            Ok((fd, None, endpoint.to_string()))
        }
        IpcEndpoint::Path(path) => {
            let (fd, file) = listen_path(path, None, options)?;
            Ok((fd, Some(file), endpoint.to_string()))
        }
        IpcEndpoint::Wildcard => {
            let directory = fresh_directory()?;
            let path = directory.join(WILDCARD_NAME);
            let (fd, file) =
                listen_path(&path, Some(directory.clone()), options).inspect_err(|_| {
                    // Whatever went wrong is the error to report.
                    let _ = fs::remove_dir(&directory);
                })?;
            Ok((fd, Some(file), IpcEndpoint::Path(path).to_string()))
        }
    }
}

/// Starts to connect. A Unix-domain socket connects at once or not at all; an attempt that finds
/// the listener's backlog full is refused, for there is nothing to wait on.
pub(crate) fn start_connect(
    endpoint: &IpcEndpoint,
    options: &StreamOptions,
) -> io::Result<Connecting> {
    let address = match endpoint {
        IpcEndpoint::Path(path) => SocketAddrUnix::new(path)?,
        IpcEndpoint::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?,
        IpcEndpoint::Wildcard => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let fd = open(AddressFamily::UNIX)?;
    tune(&fd, options)?;
    match rustix::net::connect(&fd, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connecting::new(fd, Kind::Ipc)),
        Err(Errno::AGAIN) => Err(Errno::CONNREFUSED.into()),
        Err(error) => Err(error.into()),
    }
}

/// The canonical text; `None` for a socket without a name.
pub(super) fn address_text(address: &SocketAddrUnix) -> Option<String> {
    // An empty abstract name is how a socket without a name may look.
    if address.is_unnamed() || address.abstract_name() == Some(b"") {
        return None;
    }
    let endpoint = if let Some(name) = address.abstract_name() {
        IpcEndpoint::Abstract(name.to_vec())
    } else {
        let path = address.path_bytes()?;
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        IpcEndpoint::Path(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    };
    Some(endpoint.to_string())
}

fn listen_abstract(name: &[u8], options: &StreamOptions) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let fd = open(AddressFamily::UNIX)?;
    tune(&fd, options)?;
    rustix::net::bind(&fd, &address)?;
    listen_at(&fd, options)?;
    Ok(fd)
}

fn listen_path(
    path: &Path,
    directory: Option<PathBuf>,
    options: &StreamOptions,
) -> Result<(OwnedFd, SocketFile), ListenError> {
    let fail = |error: Errno| ListenError::Ipc(error.into());
    let address = SocketAddrUnix::new(path).map_err(fail)?;
    let fd = open(AddressFamily::UNIX).map_err(fail)?;
    tune(&fd, options).map_err(ListenError::Ipc)?;
    match rustix::net::bind(&fd, &address) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, &address)?;
            // Still in use if somebody else was quicker.
            rustix::net::bind(&fd, &address).map_err(fail)?;
        }
        other => other.map_err(fail)?,
    }
    let file = SocketFile::new(path, directory).map_err(ListenError::Ipc)?;
    listen_at(&fd, options).map_err(fail)?;
    Ok((fd, file))
}

/// Removes the socket file at `path` if nobody listens there.
///
/// A process that has bound but not yet begun to listen, a matter of microseconds, cannot be told
/// from one that is gone; the later of two that start in the same instant may then win the path.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), ListenError> {
    let Some(before) = metadata(path).map_err(ListenError::Ipc)? else {
        return Ok(());
    };
    if !before.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let probe = open(AddressFamily::UNIX).map_err(|error| ListenError::Ipc(error.into()))?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        // A full backlog, a datagram socket, a file we may not connect to: all in use.
        _ => return Err(ListenError::Ipc(Errno::ADDRINUSE.into())),
    }
    // Two processes may have found the same stale file: the slower one must not remove what the
    // quicker one has put there since.
    match metadata(path).map_err(ListenError::Ipc)? {
        Some(now) if identity(&now) == identity(&before) => {
            fs::remove_file(path).map_err(ListenError::Ipc)
        }
        _ => Ok(()),
    }
}

/// What is at `path`, without following a symbolic link; `None` if nothing is.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// The name of the socket file in the directory of a wildcard endpoint.
const WILDCARD_NAME: &str = "socket";

/// A new directory below `$TMPDIR` that only this user can enter.
fn fresh_directory() -> Result<PathBuf, ListenError> {
    let parent = std::env::temp_dir();
    loop {
        // The standard library seeds each of these from the system's randomness.
        let number = RandomState::new().hash_one(0);
        let directory = parent.join(format!("xebec-{number:016x}"));
        let path = directory.join(WILDCARD_NAME);
        if path.as_os_str().len() > MAX_PATH {
            let endpoint = Endpoint::Ipc(IpcEndpoint::Path(path)).to_string();
            let kind = EndpointErrorKind::PathTooLong;
            return Err(ListenError::Endpoint(EndpointError { endpoint, kind }));
        }
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(ListenError::Ipc(error)),
        }
    }
}

/// The file of a listener, removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// Absolute, for the process may change its directory.
    path: PathBuf,
    /// The directory made for it, if it was.
    directory: Option<PathBuf>,
    /// Device and inode, to know it from another listener's.
    identity: (u64, u64),
    /// The process that made it: a forked child has no business with it.
    owner: Pid,
    removed: bool,
}

impl SocketFile {
    fn new(path: &Path, directory: Option<PathBuf>) -> io::Result<Self> {
        Ok(SocketFile {
            path: std::path::absolute(path)?,
            directory,
            identity: identity(&fs::symlink_metadata(path)?),
            owner: rustix::process::getpid(),
            removed: false,
        })
    }

    /// Removes the file, unless it is no longer ours.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.unlink()
    }

    fn unlink(&mut self) -> io::Result<()> {
        if self.removed || self.owner != rustix::process::getpid() {
            return Ok(());
        }
        self.removed = true;
        match metadata(&self.path)? {
            Some(now) if identity(&now) == self.identity => fs::remove_file(&self.path)?,
            _ => {}
        }
        self.directory.as_ref().map_or(Ok(()), fs::remove_dir)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nobody is left to tell; `Listener::close` tells.
        let _ = self.unlink();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listener;
    use super::super::tests::{accept, bind, connect, exchange, round};
    use super::*;
    use std::os::unix::net::UnixListener;

    fn options() -> StreamOptions {
        StreamOptions::default()
    }

    /// A directory of its own for one test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            Scratch(fresh_directory().expect("a directory"))
        }

        fn endpoint(&self, name: &str) -> String {
            format!("ipc://{}/{name}", self.0.display())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_path() {
        let scratch = Scratch::new();
        let endpoint = scratch.endpoint("a");
        let (listener, client, server) = round(&endpoint, &options());
        assert_eq!(listener.local_endpoint(), endpoint);
        assert_eq!(client.peer_address(), endpoint);
        assert_eq!(server.local_address(), endpoint);
        let pid = rustix::process::getpid();
        assert_eq!(server.peer_address(), format!("ipc://[pid {pid}]"));
        assert_eq!(server.peer_ip(), None);
        let peer = server.peer_credentials().expect("credentials");
        assert_eq!((peer.pid, peer.uid), (pid, rustix::process::getuid()));
        exchange(&client, &server);
        listener.close().expect("close");
        assert!(!scratch.0.join("a").exists());
        let error = connect(&endpoint, &options()).expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_abstract_name() {
        let number = RandomState::new().hash_one(1);
        let endpoint = format!("ipc://@xebec test {number:x}");
        let (listener, client, server) = round(&endpoint, &options());
        assert_eq!(listener.local_endpoint(), endpoint);
        assert_eq!(client.peer_address(), endpoint);
        exchange(&client, &server);
        let error = bind(&endpoint, &options()).expect_err("taken");
        assert_eq!(error.io_kind(), io::ErrorKind::AddrInUse);
        drop((listener, client, server));
        bind(&endpoint, &options()).expect("free again");
    }

    #[test]
    fn a_wildcard_is_fresh_and_leaves_nothing() {
        let (listener, client, server) = round("ipc://*", &options());
        let second = bind("ipc://*", &options()).expect("bind");
        assert_ne!(listener.local_endpoint(), second.local_endpoint());
        let path = PathBuf::from(listener.local_endpoint().trim_start_matches("ipc://"));
        let directory = path.parent().expect("a directory");
        assert!(directory.starts_with(std::env::temp_dir()));
        let mode = fs::metadata(directory).expect("the directory").mode();
        assert_eq!(mode & 0o777, 0o700);
        exchange(&client, &server);
        drop(listener);
        assert!(!directory.exists());
    }

    #[test]
    fn a_stale_file_is_replaced() {
        let scratch = Scratch::new();
        drop(UnixListener::bind(scratch.0.join("stale")).expect("bind"));
        assert!(scratch.0.join("stale").exists());
        let (_listener, client, server) = round(&scratch.endpoint("stale"), &options());
        exchange(&client, &server);
    }

    #[test]
    fn a_live_file_is_in_use() {
        let scratch = Scratch::new();
        let endpoint = scratch.endpoint("live");
        let listener = bind(&endpoint, &options()).expect("bind");
        let error = bind(&endpoint, &options()).expect_err("taken");
        assert_eq!(error.io_kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another path"), "{error}");
        // The probe was one connection, which ended at once.
        let probe = accept(&listener);
        assert_eq!(probe.read(&mut [0]).expect("the end"), 0);
        connect(&endpoint, &options()).expect("still there");
    }

    #[test]
    fn what_is_no_socket_is_kept() {
        let scratch = Scratch::new();
        fs::write(scratch.0.join("file"), "precious").expect("write");
        fs::create_dir(scratch.0.join("directory")).expect("mkdir");
        std::os::unix::fs::symlink("nowhere", scratch.0.join("link")).expect("symlink");
        for name in ["file", "directory", "link"] {
            let error = bind(&scratch.endpoint(name), &options()).expect_err(name);
            assert!(
                matches!(error, ListenError::NotASocket(_)),
                "{name}: {error}"
            );
            assert!(fs::symlink_metadata(scratch.0.join(name)).is_ok(), "{name}");
        }
        assert_eq!(fs::read(scratch.0.join("file")).expect("read"), b"precious");
    }

    #[test]
    fn a_missing_directory_is_told() {
        let scratch = Scratch::new();
        let error = bind(&scratch.endpoint("none/x"), &options()).expect_err("no directory");
        assert_eq!(error.io_kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("directory"), "{error}");
    }

    #[test]
    fn the_file_of_another_listener_is_kept() {
        let scratch = Scratch::new();
        let path = scratch.0.join("x");
        let listener = bind(&scratch.endpoint("x"), &options()).expect("bind");
        fs::rename(&path, scratch.0.join("elsewhere")).expect("rename");
        let other = bind(&scratch.endpoint("x"), &options()).expect("bind");
        listener.close().expect("close");
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_gone_already_is_no_failure() {
        let scratch = Scratch::new();
        let listener = bind(&scratch.endpoint("x"), &options()).expect("bind");
        fs::remove_file(scratch.0.join("x")).expect("remove");
        listener.close().expect("close");
    }

    #[test]
    fn a_relative_path_stays_relative_in_its_endpoint() {
        // The directory of the process is shared by all tests: go there by a detour.
        let scratch = Scratch::new();
        let up: PathBuf = std::env::current_dir()
            .expect("cwd")
            .components()
            .skip(1)
            .map(|_| "..")
            .collect();
        let path = up
            .join(scratch.0.strip_prefix("/").expect("absolute"))
            .join("x");
        let endpoint = format!("ipc://{}", path.display());
        let (listener, client, server) = round(&endpoint, &options());
        assert_eq!(listener.local_endpoint(), endpoint);
        exchange(&client, &server);
        drop(listener);
        assert!(!scratch.0.join("x").exists());
    }

    #[test]
    fn the_longest_path() {
        let scratch = Scratch::new();
        let room = MAX_PATH - scratch.0.as_os_str().len() - 1;
        let (_listener, client, server) = round(&scratch.endpoint(&"x".repeat(room)), &options());
        exchange(&client, &server);
    }

    #[test]
    fn a_full_backlog_refuses() {
        let options = StreamOptions {
            backlog: 0,
            ..Default::default()
        };
        let listener: Listener = bind("ipc://*", &options).expect("bind");
        let endpoint = listener.local_endpoint();
        let _queued = connect(endpoint, &options).expect("the only place");
        let error = connect(endpoint, &options).expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
