//! Error numbers: which of them each failure of the Rust library is, in one table, and their texts.
//!
//! The numbers are the system's where it has one of that name; four are ZeroMQ's own (`zmq.h`).

use std::ffi::{CStr, c_char, c_int};
use std::io;

use xebec::{
    AddressError, AddressErrorKind, EndpointErrorKind, GroupError, OptionError, PollError,
    ProxyError, RecvError, SendErrorKind, SocketError,
};

/// What a failed call leaves in `errno`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) c_int);

macro_rules! numbers {
    ($($name:ident = $value:expr;)*) => {
        impl Errno {
            $(pub(crate) const $name: Errno = Errno($value);)*
        }
    };
}

/// Where ZeroMQ's own numbers begin.
const OWN: c_int = 156_384_712;

numbers! {
    EADDRINUSE = libc::EADDRINUSE;
    EADDRNOTAVAIL = libc::EADDRNOTAVAIL;
    EAGAIN = libc::EAGAIN;
    EBADF = libc::EBADF;
    EFAULT = libc::EFAULT;
    EHOSTUNREACH = libc::EHOSTUNREACH;
    EINTR = libc::EINTR;
    EINVAL = libc::EINVAL;
    EMFILE = libc::EMFILE;
    ENAMETOOLONG = libc::ENAMETOOLONG;
    ENODEV = libc::ENODEV;
    ENOENT = libc::ENOENT;
    ENOMEM = libc::ENOMEM;
    ENOTSOCK = libc::ENOTSOCK;
    ENOTSUP = libc::ENOTSUP;
    EPROTONOSUPPORT = libc::EPROTONOSUPPORT;
    EFSM = OWN + 51;
    ENOCOMPATPROTO = OWN + 52;
    ETERM = OWN + 53;
    EMTHREAD = OWN + 54;
}

impl Errno {
    /// Puts it where C looks for it.
    pub(crate) fn set(self) {
        // SAFETY: the location is the calling thread's own and always valid.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// The calling thread's `errno`.
pub(crate) fn current() -> c_int {
    // SAFETY: as in `Errno::set`.
    unsafe { *libc::__errno_location() }
}

/// What a number means; for those that are the system's, as the system says it.
pub(crate) fn text(number: c_int) -> *const c_char {
    let own: Option<&CStr> = match Errno(number) {
        Errno::EFSM => Some(c"Operation cannot be accomplished in current state"),
        Errno::ENOCOMPATPROTO => Some(c"The protocol is not compatible with the socket type"),
        Errno::ETERM => Some(c"Context was terminated"),
        Errno::EMTHREAD => Some(c"No thread available"),
        Errno::EHOSTUNREACH => Some(c"Host unreachable"),
        _ => None,
    };
    match own {
        Some(text) => text.as_ptr(),
        // SAFETY: strerror takes any number; its text lives until the next call at least, which is
        // what `zmq_strerror` promises as well.
        None => unsafe { libc::strerror(number) },
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Errno(error.raw_os_error().unwrap_or(match error.kind() {
            io::ErrorKind::AddrInUse => libc::EADDRINUSE,
            io::ErrorKind::AddrNotAvailable => libc::EADDRNOTAVAIL,
            io::ErrorKind::NotFound => libc::ENOENT,
            io::ErrorKind::OutOfMemory => libc::ENOMEM,
            io::ErrorKind::PermissionDenied => libc::EACCES,
            // A family of addresses that the kernel does not have: TIPC.
            io::ErrorKind::Unsupported => libc::EAFNOSUPPORT,
            _ => libc::EINVAL,
        }))
    }
}

impl From<SendErrorKind> for Errno {
    fn from(kind: SendErrorKind) -> Self {
        match kind {
            SendErrorKind::WouldBlock => Errno::EAGAIN,
            SendErrorKind::Unroutable => Errno::EHOSTUNREACH,
            SendErrorKind::State => Errno::EFSM,
            SendErrorKind::Terminated => Errno::ETERM,
            SendErrorKind::Unsupported => Errno::ENOTSUP,
            SendErrorKind::Interrupted => Errno::EINTR,
            _ => Errno::EINVAL,
        }
    }
}

impl From<RecvError> for Errno {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::WouldBlock => Errno::EAGAIN,
            RecvError::State => Errno::EFSM,
            RecvError::Terminated => Errno::ETERM,
            RecvError::Unsupported => Errno::ENOTSUP,
            RecvError::Interrupted => Errno::EINTR,
            _ => Errno::EINVAL,
        }
    }
}

impl From<GroupError> for Errno {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::WrongSocket => Errno::ENOTSUP,
            _ => Errno::EINVAL,
        }
    }
}

impl From<SocketError> for Errno {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Terminated => Errno::ETERM,
            SocketError::TooMany(_) => Errno::EMFILE,
            SocketError::System(error) => error.into(),
            _ => Errno::EINVAL,
        }
    }
}

impl From<OptionError> for Errno {
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Terminated => Errno::ETERM,
            _ => Errno::EINVAL,
        }
    }
}

impl From<AddressError> for Errno {
    fn from(error: AddressError) -> Self {
        match error.kind {
            AddressErrorKind::Malformed(error) => match error.kind {
                EndpointErrorKind::UnknownTransport => Errno::EPROTONOSUPPORT,
                EndpointErrorKind::PathTooLong => Errno::ENAMETOOLONG,
                _ => Errno::EINVAL,
            },
            AddressErrorKind::InUse => Errno::EADDRINUSE,
            AddressErrorKind::NotAvailable => Errno::EADDRNOTAVAIL,
            AddressErrorKind::Resolve(_) => Errno::ENODEV,
            AddressErrorKind::NotFound => Errno::ENOENT,
            AddressErrorKind::Incompatible(_) => Errno::ENOCOMPATPROTO,
            AddressErrorKind::Terminated => Errno::ETERM,
            AddressErrorKind::System(error) => error.into(),
            _ => Errno::EINVAL,
        }
    }
}

impl From<PollError> for Errno {
    fn from(error: PollError) -> Self {
        match error {
            PollError::Terminated => Errno::ETERM,
            _ => Errno::EINTR,
        }
    }
}

impl From<ProxyError> for Errno {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::Terminated => Errno::ETERM,
            ProxyError::Interrupted => Errno::EINTR,
            _ => Errno::EINVAL,
        }
    }
}
