//! Waiting for several things at once: sockets, descriptors and timers (`zmq_poll`).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::signal::Sleep;
use crate::socket::{Core, Socket};
use crate::sys::{self, Waited, Wake};

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest(u8);

impl Interest {
    /// Something can be received or read.
    pub const READ: Interest = Interest(1);
    /// Something can be sent or written.
    pub const WRITE: Interest = Interest(2);
    /// A descriptor has urgent data (POLLPRI); sockets never do.
    pub const PRIORITY: Interest = Interest(8);
    /// Nothing but the failure of a descriptor, which is always told.
    pub const NONE: Interest = Interest(0);

    /// Whether all of `other` is part of this.
    pub const fn contains(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for Interest {
    type Output = Interest;
    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// A descriptor has failed or its other end is gone: found, not asked for.
const FAILED: u8 = 4;

enum Source<'a> {
    Socket(&'a Socket),
    Fd(BorrowedFd<'a>),
    Timer(Instant),
}

/// One thing to wait for, and what came of it.
pub struct PollItem<'a> {
    source: Source<'a>,
    interest: Interest,
    ready: u8,
}

impl<'a> PollItem<'a> {
    fn new(source: Source<'a>, interest: Interest) -> Self {
        PollItem {
            source,
            interest,
            ready: 0,
        }
    }

    /// Waits for a socket, typed or not.
    pub fn socket(socket: &'a (impl AsRef<Socket> + ?Sized), interest: Interest) -> Self {
        PollItem::new(Source::Socket(socket.as_ref()), interest)
    }

    /// Waits for a file descriptor: a pipe, a terminal, another library's socket.
    pub fn fd(fd: &'a (impl AsFd + ?Sized), interest: Interest) -> Self {
        PollItem::new(Source::Fd(fd.as_fd()), interest)
    }

    /// Waits until a moment has come.
    pub fn timer(at: Instant) -> Self {
        PollItem::new(Source::Timer(at), Interest::READ)
    }

    /// The last poll found something to receive or read here.
    ///
    /// So it says, too, of a descriptor that [has failed](Self::has_failed): reading tells how.
    pub fn is_readable(&self) -> bool {
        self.has(Interest::READ) && !matches!(self.source, Source::Timer(_))
    }

    /// The last poll found room to send or write here, or that writing would tell of a failure.
    pub fn is_writable(&self) -> bool {
        self.has(Interest::WRITE)
    }

    fn has(&self, what: Interest) -> bool {
        self.ready & what.0 != 0 || self.has_failed() && self.interest.contains(what)
    }

    /// The last poll found that this descriptor has failed, is none, or has lost its other end.
    pub fn has_failed(&self) -> bool {
        self.ready & FAILED != 0
    }

    /// The last poll found urgent data at this descriptor.
    pub fn has_priority(&self) -> bool {
        self.ready & Interest::PRIORITY.0 != 0
    }

    /// What the last poll found, bit by bit as `zmq_poll` has it: 1 to read, 2 to write, 4 failed, 8
    /// urgent.
    #[doc(hidden)]
    pub fn bits(&self) -> u8 {
        self.ready
    }

    /// The last poll found that this timer's moment had come.
    pub fn is_due(&self) -> bool {
        self.ready != 0 && matches!(self.source, Source::Timer(_))
    }

    /// Looks, without waiting, and notes what is ready.
    fn look(&mut self, now: Instant) -> bool {
        let (readable, writable) = match &self.source {
            Source::Socket(socket) => socket.core().readiness(),
            Source::Timer(at) => (*at <= now, false),
            // Descriptors are looked at by the wait itself.
            Source::Fd(_) => (false, false),
        };
        self.ready = self.interest.0 & (u8::from(readable) | u8::from(writable) << 1);
        self.ready != 0
    }

    fn core(&self) -> Option<&'a Arc<Core>> {
        match &self.source {
            Source::Socket(socket) => Some(socket.core()),
            _ => None,
        }
    }

    /// The socket, and whether it is to be readable and to be writable.
    fn core_and_interest(&self) -> Option<(&'a Arc<Core>, (bool, bool))> {
        let wants = |interest| self.interest.contains(interest);
        Some((
            self.core()?,
            (wants(Interest::READ), wants(Interest::WRITE)),
        ))
    }
}

/// Why a poll ended with nothing to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PollError {
    /// The context of one of the sockets was terminated (ETERM).
    Terminated,
    /// A signal interrupted the wait (EINTR).
    Interrupted,
}

impl std::fmt::Display for PollError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PollError::Terminated => "the context was terminated",
            PollError::Interrupted => "a signal interrupted the wait",
        })
    }
}

impl std::error::Error for PollError {}

/// Waits until one of `items` is ready or `timeout` has passed (`None`: without limit). Returns
/// how many are; the items tell which.
///
/// ```
/// use std::time::{Duration, Instant};
/// use xebec::{Context, Interest, PollItem, Pull, Push};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let (pull, push) = (Pull::new(&context)?, Push::new(&context)?);
/// push.connect(&pull.bind("tcp://127.0.0.1:*")?)?;
/// push.send("Hello")?;
/// let mut items = [
///     PollItem::socket(&pull, Interest::READ),
///     PollItem::timer(Instant::now() + Duration::from_secs(60)),
/// ];
/// assert_eq!(xebec::poll(&mut items, None)?, 1);
/// assert!(items[0].is_readable() && !items[1].is_due());
/// # Ok(()) }
/// ```
///
/// # Errors
/// See [`PollError`].
pub fn poll(items: &mut [PollItem<'_>], timeout: Option<Duration>) -> Result<usize, PollError> {
    let now = Instant::now();
    let mut deadline = timeout.and_then(|timeout| now.checked_add(timeout));
    for item in items.iter() {
        if let Source::Timer(at) = item.source {
            deadline = Some(deadline.map_or(at, |deadline| deadline.min(at)));
        }
    }
    let mut flushed = false;
    loop {
        let now = Instant::now();
        let mut ready = 0;
        for item in items.iter_mut() {
            if item.core().is_some_and(|core| core.is_terminated()) {
                return Err(PollError::Terminated);
            }
            ready += usize::from(item.look(now));
        }
        let over = ready > 0 || deadline.is_some_and(|at| at <= now);
        if !over && !std::mem::replace(&mut flushed, true) {
            let core = items.iter().find_map(PollItem::core);
            let process = core.map_or_else(rustix::process::getpid, |core| core.ctx.process());
            Core::flush_deferred(process);
            continue;
        }
        let waited = wait(items, if over { Some(now) } else { deadline });
        let fds = items
            .iter()
            .filter(|item| matches!(item.source, Source::Fd(_)) && item.ready != 0)
            .count();
        if over || fds > 0 {
            return Ok(ready + fds);
        }
        if waited == Waited::Interrupted {
            return Err(PollError::Interrupted);
        }
    }
}

/// Sleeps until a descriptor, or a socket's set of them, has something; notes which of the
/// caller's own descriptors do.
fn wait(items: &mut [PollItem<'_>], deadline: Option<Instant>) -> Waited {
    let since = Instant::now();
    let idle = deadline.is_some_and(|at| at <= since);
    let own = items
        .iter()
        .any(|item| matches!(item.source, Source::Fd(_)));
    if idle && !own {
        return Waited::TimedOut;
    }
    let cores: Vec<_> = if idle {
        Vec::new()
    } else {
        items
            .iter()
            .filter_map(PollItem::core_and_interest)
            .collect()
    };
    let wake = cores
        .first()
        .and_then(|(core, _)| sys::own_wake(core.ctx.process()));
    let sleeps: Vec<Option<Sleep<'_, Arc<Wake>>>> = cores
        .iter()
        .map(|(core, interest)| core.enter_poll(*interest, wake.as_ref()))
        .collect();
    let pending = sleeps.iter().any(Option::is_none);
    let sets = cores.iter().map(|(core, _)| core.set_fd());
    let mut fds: Vec<PollFd<'_>> = sets
        .chain(wake.iter().map(|wake| wake.as_fd()))
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let first = fds.len();
    for item in items.iter() {
        if let Source::Fd(fd) = item.source {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, item.interest.contains(Interest::READ));
            flags.set(PollFlags::OUT, item.interest.contains(Interest::WRITE));
            flags.set(PollFlags::PRI, item.interest.contains(Interest::PRIORITY));
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
    }
    let deadline = match pending {
        true if wake.is_none() => Some(sys::nap()),
        true => Some(since),
        false => deadline,
    };
    let waited = sys::poll(&mut fds, deadline);
    let bits = [
        (PollFlags::IN, Interest::READ.0),
        (PollFlags::OUT, Interest::WRITE.0),
        (PollFlags::PRI, Interest::PRIORITY.0),
        (PollFlags::HUP, FAILED),
        (PollFlags::ERR, FAILED),
        (PollFlags::NVAL, FAILED),
    ];
    let found = fds[first..].iter().map(PollFd::revents).map(|flags| {
        let found = bits.iter().filter(|(flag, _)| flags.contains(*flag));
        found.fold(0, |all, (_, bit)| all | bit)
    });
    let found: Vec<u8> = found.collect();
    drop(fds);
    drop(sleeps);
    let soon = since.elapsed() < Duration::from_millis(1);
    cores.iter().for_each(|(core, _)| core.leave_poll(soon));
    let own = items
        .iter_mut()
        .filter(|item| matches!(item.source, Source::Fd(_)));
    for (item, found) in own.zip(found) {
        item.ready = (item.interest.0 | FAILED) & found;
    }
    waited
}
