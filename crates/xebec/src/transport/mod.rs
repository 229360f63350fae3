//! Streams of bytes between peers: TCP, Unix-domain and TIPC sockets, listening, connecting, connected.
//!
//! What lives here sees bytes and descriptors, never socket types or messages. Nothing blocks, but
//! for [`Listener::bind`] to a host name, which asks the name server; every descriptor is
//! non-blocking and closed on exec. Who waits for readiness, and when to try again, is decided
//! elsewhere; each type lends its descriptor through `AsFd`.
//!
//! * [`Listener`]: bound to an endpoint, accepts [`Stream`]s.
//! * `start_connect` of `tcp`, `ipc` and `tipc`: one attempt at one address, as [`Connecting`].
//! * [`socks`]: what is said to a proxy that connects for us, without I/O.
//! * [`resolve`]: from host names and interfaces to addresses; [`interface`] serves it.

pub(crate) mod interface;
pub(crate) mod ipc;
pub(crate) mod resolve;
pub(crate) mod socks;
pub(crate) mod tcp;
pub(crate) mod tipc;

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny,
    SocketAddrUnix, SocketFlags, SocketType, UCred, sockopt,
};

use socket2::SockRef;

use crate::endpoint::{Endpoint, EndpointError};
use resolve::ResolveError;
use socks::{Socks, Step};

/// The options of a socket that concern its streams. Those that are `None`, and a `tos` of 0,
/// are left as the system has them.
#[derive(Clone, Debug)]
pub(crate) struct StreamOptions {
    /// SO_SNDBUF and SO_RCVBUF, in bytes.
    pub(crate) sndbuf: Option<usize>,
    pub(crate) rcvbuf: Option<usize>,
    /// IP_TOS, and IPV6_TCLASS.
    pub(crate) tos: u8,
    /// SO_PRIORITY.
    pub(crate) priority: Option<u32>,
    pub(crate) keepalive: Option<bool>,
    pub(crate) keepalive_idle: Option<Duration>,
    pub(crate) keepalive_intvl: Option<Duration>,
    pub(crate) keepalive_cnt: Option<u32>,
    /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged (option TCP_MAXRT).
    pub(crate) max_retransmit: Option<Duration>,
    /// Whether IPv6 is used at all; IPv4 always is.
    pub(crate) ipv6: bool,
    /// Connections that wait to be accepted; the system caps it.
    pub(crate) backlog: u32,
    /// SO_BINDTODEVICE.
    pub(crate) bind_to_device: Option<String>,
    /// SO_BUSY_POLL, in microseconds.
    pub(crate) busy_poll: Option<u32>,
    /// A listening socket made by the application, used in place of one made from the endpoint.
    pub(crate) use_fd: Option<Arc<OwnedFd>>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            sndbuf: None,
            rcvbuf: None,
            tos: 0,
            priority: None,
            keepalive: None,
            keepalive_idle: None,
            keepalive_intvl: None,
            keepalive_cnt: None,
            max_retransmit: None,
            ipv6: false,
            backlog: 100,
            bind_to_device: None,
            busy_poll: None,
            use_fd: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Ipc,
    Tipc,
}

impl Kind {
    /// Whether a peer reads all that was written even if the stream ends while it still sends. TIPC
    /// delivers that, and cannot be shut down by halves; others may drop it.
    pub(crate) fn ends_gently(self) -> bool {
        self == Kind::Tipc
    }

    /// What stands for an end of a connection that is gone.
    fn nowhere(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp://*:*",
            Kind::Ipc => "ipc://*",
            Kind::Tipc => "tipc://<*>",
        }
    }
}

/// The number of a descriptor, for events.
pub(crate) fn number(fd: &impl AsFd) -> u64 {
    fd.as_fd().as_raw_fd().unsigned_abs().into()
}

/// The most buffers that one system call takes (UIO_MAXIOV).
const MAX_BUFFERS: usize = 1024;

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Shared with who sleeps on it.
    fd: Arc<OwnedFd>,
    kind: Kind,
}

impl Stream {
    /// The descriptor, to sleep on it.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Reads what is there; 0 is the end of the stream, `WouldBlock` means nothing yet.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // 0.15 µs of a round trip on one core less than two `read`s (medians of five, in turns, in C).
        retry(|| Ok(rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty())?.0))
    }

    #[cfg(test)]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL))
    }

    /// Writes the first of `buffers`, up to the 1,024 that the system takes, in one call. A peer
    /// that is gone is an error, never a signal.
    pub(crate) fn writev(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [one] = buffers {
            // Takes the system less time: 0.13 µs less of the 1.4 that a short write and its read take over
            // a Unix socket (medians of seven, in turns).
            return retry(|| rustix::net::send(&self.fd, one, SendFlags::NOSIGNAL));
        }
        let buffers = &buffers[..buffers.len().min(MAX_BUFFERS)];
        retry(|| {
            let mut control = SendAncillaryBuffer::default();
            rustix::net::sendmsg(&self.fd, buffers, &mut control, SendFlags::NOSIGNAL)
        })
    }

    /// Who is at the other end: `tcp://1.2.3.4:5678`, `ipc:///path`, the process that connected
    /// to our socket file, as `ipc://[pid 1234]`, or a port identity, `tipc://<1.1.1:1234>`.
    pub(crate) fn peer_address(&self) -> String {
        let named = rustix::net::getpeername(&self.fd).ok().flatten();
        match (named.and_then(|address| address_text(&address)), self.kind) {
            (Some(text), _) => text,
            (None, Kind::Ipc) => match self.peer_credentials() {
                Ok(peer) => format!("ipc://[pid {}]", peer.pid),
                Err(_) => Kind::Ipc.nowhere().to_owned(),
            },
            (None, kind) => kind.nowhere().to_owned(),
        }
    }

    /// Our end, in the same form.
    pub(crate) fn local_address(&self) -> String {
        let named = rustix::net::getsockname(&self.fd).ok();
        named
            .and_then(|address| address_text(&address))
            .unwrap_or_else(|| match self.kind {
                Kind::Ipc => format!("ipc://[pid {}]", rustix::process::getpid()),
                kind => kind.nowhere().to_owned(),
            })
    }

    /// The peer's IP address; `None` for ipc and tipc.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        let address = rustix::net::getpeername(&self.fd).ok().flatten()?;
        SocketAddr::try_from(address)
            .ok()
            .map(|address| address.ip().to_canonical())
    }

    /// Where the peer is, without a port, as ZAP and `zmq_msg_gets` tell it: an IP address, or for
    /// ipc what libzmq makes of the process; nothing for tipc, as there.
    pub(crate) fn peer_host(&self) -> String {
        match (self.peer_ip(), self.kind) {
            (Some(address), _) => address.to_string(),
            (None, Kind::Tcp | Kind::Tipc) => String::new(),
            (None, Kind::Ipc) => match self.peer_credentials() {
                Ok(peer) => format!("localhost:{}:{}:{}", peer.uid, peer.gid, peer.pid),
                Err(_) => "localhost".to_owned(),
            },
        }
    }

    /// The process, user and group at the other end of an ipc stream, as they were when it
    /// connected or listened.
    pub(crate) fn peer_credentials(&self) -> io::Result<UCred> {
        Ok(sockopt::socket_peercred(&self.fd)?)
    }

    /// The supplementary groups of the process at the other end of an ipc stream; none if that
    /// process is gone, is another by now, or is hidden.
    ///
    /// The system keeps them with the connection but tells them only to C (SO_PEERGROUPS); what
    /// the process has now is in /proc.
    pub(crate) fn peer_groups(&self) -> Vec<u32> {
        let Ok(peer) = self.peer_credentials() else {
            return Vec::new();
        };
        let path = format!("/proc/{}/status", peer.pid);
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.unwrap_or_default().split_ascii_whitespace();
            words.filter_map(|word| word.parse().ok()).collect()
        };
        // Real, effective, saved and file system's: a process that has changed any of them is not
        // what connected.
        let users: Vec<u32> = numbers("Uid:");
        match users.len() == 4 && users.iter().all(|&user| user == peer.uid.as_raw()) {
            true => numbers("Groups:"),
            false => Vec::new(),
        }
    }

    /// What kind of stream it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// How many bytes the system sends at once: of TCP a segment, 1 where there is no such thing.
    pub(crate) fn segment(&self) -> usize {
        let segment = match self.kind {
            Kind::Tcp => SockRef::from(&self.fd).tcp_mss().unwrap_or(1),
            Kind::Ipc | Kind::Tipc => 1,
        };
        segment.max(1) as usize
    }

    /// Says that nothing more will be written; the peer reads the end after what was.
    pub(crate) fn shutdown_write(&self) {
        // Fails only if the stream has ended already.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    #[cfg(test)]
    /// Ends the stream in both directions; the descriptor stays until the drop.
    pub(crate) fn shutdown(&self) {
        // Fails only if the stream has ended already.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// An attempt to connect that is under way. Without a proxy it is decided once its descriptor is
/// writable; with one, every readiness of the descriptor is a reason to go on.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// Not a stream yet; `None` once it has been given away as one.
    stream: Option<Stream>,
    /// The proxy that is to connect further, and what is still to be said to it.
    proxy: Option<(Socks, Vec<u8>)>,
}

impl Connecting {
    fn new(fd: OwnedFd, kind: Kind) -> Self {
        Connecting {
            stream: Some(Stream {
                fd: Arc::new(fd),
                kind,
            }),
            proxy: None,
        }
    }

    /// The address is a proxy's, which is to be talked to like this.
    pub(crate) fn through(mut self, proxy: Option<(Socks, Vec<u8>)>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Whether a proxy is to connect.
    pub(crate) fn is_proxied(&self) -> bool {
        self.proxy.is_some()
    }

    /// The stream, once there is one; `None` while the attempt is in progress. After the stream
    /// has been given, there is no descriptor left to ask for.
    pub(crate) fn finish(&mut self) -> io::Result<Option<Stream>> {
        let Stream { fd, kind } = self.stream.as_ref().ok_or(Errno::NOTCONN)?;
        sockopt::socket_error(fd)??;
        let peer = match rustix::net::getpeername(fd) {
            Err(Errno::NOTCONN) => return Ok(None),
            other => other?,
        };
        // A TCP socket that dials a free port of its own machine may be given that very port and
        // meet itself. Nobody listens there.
        if *kind == Kind::Tcp && peer == Some(rustix::net::getsockname(fd)?) {
            return Err(Errno::CONNREFUSED.into());
        }
        match self.talk() {
            Ok(true) => Ok(self.stream.take()),
            Ok(false) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Talks to the proxy, if there is one, for as long as there is something to say or hear. True
    /// once it has connected.
    fn talk(&mut self) -> io::Result<bool> {
        let (Some(stream), Some((socks, say))) = (&self.stream, &mut self.proxy) else {
            return Ok(true);
        };
        loop {
            while !say.is_empty() {
                let written = stream.writev(&[IoSlice::new(say)])?;
                say.drain(..written);
            }
            // Nothing more is read than the proxy says: the rest is the peer's.
            let mut room = [0; socks::LONGEST];
            let got = stream.read(&mut room[..socks.wants()])?;
            if got == 0 {
                return Err(io::Error::other("the proxy hung up without an answer"));
            }
            match socks.take(&room[..got]).map_err(io::Error::other)? {
                Step::More => {}
                Step::Say(more) => *say = more,
                Step::Done => return Ok(true),
            }
        }
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream
            .as_ref()
            .expect("the stream is not taken out yet")
            .as_fd()
    }
}

/// A socket that listens at an endpoint.
///
/// Dropping it closes it and removes its socket file, if it made one.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Before `fd`, so that the file goes first: a file without a listener refuses connections.
    file: Option<ipc::SocketFile>,
    fd: OwnedFd,
    kind: Kind,
    endpoint: String,
    /// The one option that Linux does not hand down from a listener to what it accepts.
    priority: Option<u32>,
}

impl Listener {
    /// Binds and listens. A host name that is no interface is looked up, which may block.
    pub(crate) fn bind(endpoint: &Endpoint, options: &StreamOptions) -> Result<Self, ListenError> {
        endpoint.check_bind().map_err(ListenError::Endpoint)?;
        match endpoint {
            Endpoint::Tcp(_) | Endpoint::Ipc(_) | Endpoint::Tipc(_) if options.use_fd.is_some() => {
                Self::adopt(endpoint, options)
            }
            Endpoint::Tcp(tcp) => {
                let (fd, endpoint) = tcp::listen(tcp, options)?;
                Ok(Self::new(fd, Kind::Tcp, endpoint, options))
            }
            Endpoint::Ipc(ipc) => {
                let (fd, file, endpoint) = ipc::listen(ipc, options)?;
                Ok(Listener {
                    file,
                    ..Self::new(fd, Kind::Ipc, endpoint, options)
                })
            }
            Endpoint::Tipc(tipc) => {
                let (fd, endpoint) = tipc::listen(tipc, options).map_err(ListenError::Tipc)?;
                Ok(Self::new(fd, Kind::Tipc, endpoint, options))
            }
            // There is nothing to listen on: peers meet inside the context.
            Endpoint::Inproc(_) => Err(ListenError::Tcp(io::ErrorKind::Unsupported.into())),
        }
    }

    fn new(fd: OwnedFd, kind: Kind, endpoint: String, options: &StreamOptions) -> Self {
        let priority = options.priority.filter(|_| kind == Kind::Tcp);
        Listener {
            file: None,
            fd,
            kind,
            endpoint,
            priority,
        }
    }

    /// Takes the application's own listening socket; the socket file, if any, is its own as well.
    fn adopt(endpoint: &Endpoint, options: &StreamOptions) -> Result<Self, ListenError> {
        let kind = match endpoint {
            Endpoint::Ipc(_) => Kind::Ipc,
            Endpoint::Tipc(_) => Kind::Tipc,
            _ => Kind::Tcp,
        };
        let adopt = || {
            let fd = options.use_fd.as_ref().ok_or(Errno::BADF)?.try_clone()?;
            let found = match sockopt::socket_domain(&fd)? {
                AddressFamily::UNIX => Kind::Ipc,
                AddressFamily::TIPC => Kind::Tipc,
                _ => Kind::Tcp,
            };
            if !sockopt::socket_acceptconn(&fd)? || found != kind {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "USE_FD holds no socket that listens at such an endpoint",
                ));
            }
            rustix::io::ioctl_fionbio(&fd, true)?;
            match kind {
                Kind::Tcp => tcp::tune(&fd, options)?,
                Kind::Ipc | Kind::Tipc => tune(&fd, options)?,
            }
            let text = address_text(&rustix::net::getsockname(&fd)?);
            let endpoint = text.unwrap_or_else(|| endpoint.to_string());
            Ok(Self::new(fd, kind, endpoint, options))
        };
        adopt().map_err(|error| match kind {
            Kind::Tcp => ListenError::Tcp(error),
            Kind::Ipc => ListenError::Ipc(error),
            Kind::Tipc => ListenError::Tipc(error),
        })
    }

    /// The next connection; `None` when none waits.
    ///
    /// Connections that died while they waited are passed over. When descriptors or memory have
    /// run out ([`is_exhausted`]), the connection stays where it is and can be accepted later.
    ///
    /// The address of the peer comes with it: a connection that was reset meanwhile has forgotten
    /// it.
    pub(crate) fn accept(&self) -> io::Result<Option<(Stream, String)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            match rustix::net::acceptfrom_with(&self.fd, flags) {
                Ok((fd, peer)) => {
                    if let Some(priority) = self.priority {
                        SockRef::from(&fd).set_priority(priority)?;
                    }
                    if let Some(Ok(peer)) = peer.clone().map(SocketAddr::try_from) {
                        tcp::unpace(&fd, peer);
                    }
                    let stream = Stream {
                        fd: Arc::new(fd),
                        kind: self.kind,
                    };
                    let peer = peer.and_then(|peer| address_text(&peer));
                    let peer = peer.unwrap_or_else(|| stream.peer_address());
                    return Ok(Some((stream, peer)));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) if is_of_one_connection(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The endpoint that peers of this machine can connect to, with the real port or path; for tipc
    /// the service, which may be a range.
    pub(crate) fn local_endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same, but for tipc the port identity, as LAST_ENDPOINT tells it.
    pub(crate) fn last_endpoint(&self) -> String {
        let named = || address_text(&rustix::net::getsockname(&self.fd).ok()?);
        match self.kind {
            Kind::Tipc => named().unwrap_or_else(|| self.endpoint.clone()),
            Kind::Tcp | Kind::Ipc => self.endpoint.clone(),
        }
    }

    /// Closes, and tells if the socket file could not be removed.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), ipc::SocketFile::remove)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why an endpoint could not be listened on. The text gives cause and remedy, not the endpoint.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// The endpoint is not one to bind.
    Endpoint(EndpointError),
    /// The host or interface has no address here.
    Resolve(ResolveError),
    /// A file that is no socket is where the socket file should be; it was left alone.
    NotASocket(PathBuf),
    /// The system refused a TCP endpoint.
    Tcp(io::Error),
    /// The system refused an ipc endpoint.
    Ipc(io::Error),
    /// The system refused a TIPC endpoint.
    Tipc(io::Error),
}

impl ListenError {
    /// What the system said, or would have said.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Endpoint(_) => io::ErrorKind::InvalidInput,
            Self::Resolve(_) => io::ErrorKind::AddrNotAvailable,
            Self::NotASocket(_) => io::ErrorKind::AddrInUse,
            Self::Tipc(error) if tipc::is_missing(error) => io::ErrorKind::Unsupported,
            Self::Tcp(error) | Self::Ipc(error) | Self::Tipc(error) => error.kind(),
        }
    }

    /// The number of that, for events.
    pub(crate) fn errno(&self) -> u64 {
        let errno = match self {
            Self::Endpoint(_) => Errno::INVAL.raw_os_error(),
            Self::Resolve(_) => Errno::NODEV.raw_os_error(),
            Self::NotASocket(_) => Errno::ADDRINUSE.raw_os_error(),
            Self::Tcp(error) | Self::Ipc(error) | Self::Tipc(error) => {
                error.raw_os_error().unwrap_or(0)
            }
        };
        errno.unsigned_abs().into()
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, PermissionDenied};
        f.write_str(match self {
            Self::Endpoint(error) => return error.fmt(f),
            Self::Resolve(error) => return error.fmt(f),
            Self::NotASocket(path) => {
                let path = path.display();
                return write!(f, "{path} is no socket: remove it or choose another path");
            }
            Self::Tcp(error) => match error.kind() {
                AddrInUse => "the address is in use: stop who listens there or take another port",
                AddrNotAvailable => "this machine has no such address: bind one that it has, or *",
                PermissionDenied => {
                    "this needs a privilege: take a port from 1024 on, and leave \
                     BINDTODEVICE, BUSY_POLL and a PRIORITY above 6 alone"
                }
                _ => return write!(f, "{error}: check the address and the socket's options"),
            },
            Self::Ipc(error) => match error.kind() {
                AddrInUse => "the address is in use: stop who listens there or take another path",
                NotFound => "the directory does not exist: make it first",
                PermissionDenied => "the directory may not be written to: choose another",
                _ => return write!(f, "{error}: check the path and the socket's options"),
            },
            Self::Tipc(error) if tipc::is_missing(error) => tipc::MISSING,
            Self::Tipc(error) => {
                return write!(f, "{error}: check the address and the socket's options");
            }
        })
    }
}

impl std::error::Error for ListenError {}

/// Whether this error means that descriptors or memory have run out: worth a retry later.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Whether an error of accept(2) belongs to the connection, not to the listener. Linux also
/// passes on errors that wait on the new socket, as its manual page says.
fn is_of_one_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::INTR
            | Errno::PROTO
            | Errno::TIMEDOUT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
    )
}

fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// Applies the options that every kind of stream has.
fn tune(fd: &OwnedFd, options: &StreamOptions) -> io::Result<()> {
    if let Some(size) = options.sndbuf {
        sockopt::set_socket_send_buffer_size(fd, size)?;
    }
    if let Some(size) = options.rcvbuf {
        sockopt::set_socket_recv_buffer_size(fd, size)?;
    }
    Ok(())
}

fn listen_at(fd: &OwnedFd, options: &StreamOptions) -> Result<(), Errno> {
    rustix::net::listen(fd, i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

/// The canonical text of an address; `None` for a socket without one.
fn address_text(address: &SocketAddrAny) -> Option<String> {
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Some(tcp::address_text(address));
    }
    if address.address_family() == AddressFamily::TIPC {
        return tipc::address_text(address);
    }
    ipc::address_text(&SocketAddrUnix::try_from(address.clone()).ok()?)
}

/// Repeats a system call that a signal interrupted.
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn wait(fd: impl AsFd, flags: PollFlags) {
        let limit = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        let n = poll(&mut [PollFd::new(&fd, flags)], Some(&limit)).expect("poll");
        assert_eq!(n, 1, "nothing happened for ten seconds");
    }

    pub(super) fn accept(listener: &Listener) -> Stream {
        wait(listener, PollFlags::IN);
        listener.accept().expect("accept").expect("a connection").0
    }

    pub(super) fn finish(mut connecting: Connecting) -> io::Result<Stream> {
        wait(&connecting, PollFlags::OUT);
        connecting
            .finish()
            .map(|stream| stream.expect("the attempt is decided"))
    }

    pub(super) fn bind(endpoint: &str, options: &StreamOptions) -> Result<Listener, ListenError> {
        Listener::bind(&Endpoint::parse(endpoint).expect(endpoint), options)
    }

    pub(super) fn connect(endpoint: &str, options: &StreamOptions) -> io::Result<Stream> {
        match Endpoint::parse(endpoint).expect(endpoint) {
            Endpoint::Tcp(tcp) => {
                let addresses = resolve::resolve(&tcp, false, options.ipv6).expect(endpoint);
                finish(tcp::start_connect(
                    addresses[0],
                    tcp.source.as_ref(),
                    options,
                )?)
            }
            Endpoint::Ipc(path) => finish(ipc::start_connect(&path, options)?),
            Endpoint::Tipc(tipc) => finish(tipc::start_connect(&tipc, options)?),
            Endpoint::Inproc(_) => unreachable!("no stream"),
        }
    }

    /// Sends both ways, by each of the calls, and ends the stream.
    pub(super) fn exchange(one: &Stream, other: &Stream) {
        let mut small = [0; 3];
        assert_eq!(
            one.read(&mut small).expect_err("nothing yet").kind(),
            io::ErrorKind::WouldBlock
        );
        let sent = other.writev(&[IoSlice::new(b"he"), IoSlice::new(b""), IoSlice::new(b"llo")]);
        assert_eq!(sent.expect("room"), 5);
        wait(one, PollFlags::IN);
        let mut rest = [0; 8];
        assert_eq!(one.read(&mut rest).expect("five bytes"), 5);
        assert_eq!(&rest[..5], b"hello");

        assert_eq!(one.write(b"back").expect("room"), 4);
        wait(other, PollFlags::IN);
        assert_eq!(other.read(&mut rest).expect("four bytes"), 4);
        assert_eq!(&rest[..4], b"back");

        let many = vec![IoSlice::new(b"x"); MAX_BUFFERS + 1];
        assert_eq!(one.writev(&many).expect("room"), MAX_BUFFERS);
        one.shutdown();
        let mut all = vec![0; 2 * MAX_BUFFERS];
        wait(other, PollFlags::IN);
        assert_eq!(other.read(&mut all).expect("the rest"), MAX_BUFFERS);
        wait(other, PollFlags::IN);
        assert_eq!(other.read(&mut all).expect("the end"), 0);
    }

    /// Listens, connects, looks at both ends and exchanges bytes; returns the bound endpoint.
    pub(super) fn round(endpoint: &str, options: &StreamOptions) -> (Listener, Stream, Stream) {
        let listener = bind(endpoint, options).expect(endpoint);
        assert!(listener.accept().expect("accept").is_none());
        let client = connect(listener.local_endpoint(), options).expect(endpoint);
        let server = accept(&listener);
        for stream in [&client, &server] {
            let flags = rustix::io::fcntl_getfd(stream).expect("flags");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        (listener, client, server)
    }

    #[test]
    fn exhaustion_is_told_from_other_errors() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_exhausted(&errno.into()));
        }
        assert!(!is_exhausted(&Errno::INVAL.into()));
        assert!(!is_exhausted(&io::ErrorKind::Other.into()));
    }

    #[test]
    fn a_dead_peer_is_an_error_and_no_signal() {
        let (_listener, client, server) = round("ipc://*", &StreamOptions::default());
        drop(server);
        let error = client
            .writev(&[IoSlice::new(b"x")])
            .expect_err("the peer is gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = client.write(b"x").expect_err("the peer is gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_application_may_bring_its_listening_socket() {
        for (endpoint, first) in [
            ("tcp://127.0.0.1:*", "tcp://127.0.0.1:"),
            ("ipc://*", "ipc:///"),
        ] {
            let made = bind(endpoint, &StreamOptions::default()).expect(endpoint);
            let fd = made.as_fd().try_clone_to_owned().expect("a descriptor");
            let options = StreamOptions {
                use_fd: Some(Arc::new(fd)),
                ..Default::default()
            };
            let (adopted, client, server) = round(endpoint, &options);
            assert_eq!(adopted.local_endpoint(), made.local_endpoint());
            assert!(adopted.local_endpoint().starts_with(first));
            exchange(&client, &server);
            adopted.close().expect("leaves the file alone");
            made.close().expect("removes the file");
        }
    }

    #[test]
    fn inproc_and_sources_cannot_be_listened_on() {
        let error = bind("inproc://x", &StreamOptions::default()).expect_err("no stream");
        assert_eq!(error.io_kind(), io::ErrorKind::Unsupported);
        let error = bind("tcp://*:0;127.0.0.1:5555", &StreamOptions::default());
        assert!(matches!(error, Err(ListenError::Endpoint(_))));
    }
}
