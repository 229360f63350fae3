//! The one option that is no value but a thing: a socket that somebody else made listen.
//!
//! Service managers open the listening sockets of the programs they start (systemd calls it socket
//! activation). Rust code hands such a socket over as what owns it, so that a number that means
//! another descriptor, or none, cannot come here; a program that has only the number makes an
//! [`OwnedFd`] of it, which is where its promise belongs.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::table::Rules;
use super::value::{Fault, Field, Value};

/// A listening socket for the next bind (`ZMQ_USE_FD`), or none. Copies are the same socket, which
/// is closed when nobody has it any more.
///
/// ```
/// # use xebec::{Context, Options, Pull, Push};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let context = Context::new();
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let pull = Pull::with_options(&context, Options::new().use_fd(listener))?;
/// let endpoint = pull.bind("tcp://127.0.0.1:*")?; // the listener's port
/// # let push = Push::new(&context)?;
/// # push.connect(&endpoint)?;
/// # push.send("Hello")?;
/// # assert_eq!(pull.recv()?.to_string_lossy(), "Hello");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ListeningFd(Option<Arc<OwnedFd>>);

impl ListeningFd {
    /// No socket: each bind makes its own.
    pub const NONE: Self = ListeningFd(None);

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Gives it away.
    pub(crate) fn take(&mut self) -> Option<Arc<OwnedFd>> {
        self.0.take()
    }

    /// The number in the C interface, where -1 is none.
    fn number(&self) -> i64 {
        self.0.as_ref().map_or(-1, |fd| fd.as_raw_fd().into())
    }
}

/// The same socket, or both none.
impl PartialEq for ListeningFd {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl From<Arc<OwnedFd>> for ListeningFd {
    fn from(fd: Arc<OwnedFd>) -> Self {
        ListeningFd(Some(fd))
    }
}

impl From<OwnedFd> for ListeningFd {
    fn from(fd: OwnedFd) -> Self {
        Arc::new(fd).into()
    }
}

impl From<TcpListener> for ListeningFd {
    fn from(listener: TcpListener) -> Self {
        OwnedFd::from(listener).into()
    }
}

impl From<UnixListener> for ListeningFd {
    fn from(listener: UnixListener) -> Self {
        OwnedFd::from(listener).into()
    }
}

/// A number can take the socket away or name the one that is there; it cannot bring another.
impl Field for ListeningFd {
    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let number = match value {
            Value::Int(number) => *number,
            Value::Text(text) => match rules.none_of(text) {
                Some(none) => none,
                None => text.parse().map_err(|_| Fault::Invalid)?,
            },
            _ => return Err(Fault::WrongType),
        };
        match number {
            -1 => *self = ListeningFd::NONE,
            number if number == self.number() => {}
            _ => return Err(Fault::Invalid),
        }
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Int(self.number())
    }
}
