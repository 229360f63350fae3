//! The few things asked of the operating system that are not transports: readiness sets and wake-ups.
//!
//! Everything goes through `rustix`. An [`EventSet`] is an epoll instance; sets nest, which is what
//! makes handing a whole socket over from one thread to another a single system call (see `lease`).
//!
//! The crate's only unsafe code is at the end: socket addresses of a family that `rustix` has no
//! type for, from and to the bytes of their C structure, and a hint to the processor.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll};
use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrStorage;
use rustix::process::Pid;

/// What happened to a descriptor of an [`EventSet`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer has ended its side, or the connection is broken: the end comes after what is
    /// left to read, without another report.
    pub(crate) hung: bool,
}

/// A set of descriptors to wait for.
pub(crate) struct EventSet {
    fd: OwnedFd,
}

impl EventSet {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(EventSet {
            fd: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Adds a descriptor, edge-triggered in both directions: it is reported when something
    /// arrives or room appears, and never needs to be changed again.
    pub(crate) fn add_edge(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        Ok(epoll::add(
            &self.fd,
            fd,
            epoll::EventData::new_u64(token),
            flags,
        )?)
    }

    /// Adds a descriptor that is reported for as long as it is readable.
    pub(crate) fn add_level(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.fd,
            fd,
            epoll::EventData::new_u64(token),
            epoll::EventFlags::IN,
        )?)
    }

    /// Turns the reports for a level-triggered descriptor on or off.
    pub(crate) fn arm(&self, fd: impl AsFd, token: u64, on: bool) -> io::Result<()> {
        let flags = if on {
            epoll::EventFlags::IN
        } else {
            epoll::EventFlags::empty()
        };
        Ok(epoll::modify(
            &self.fd,
            fd,
            epoll::EventData::new_u64(token),
            flags,
        )?)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) {
        // Fails only if the descriptor is not in the set, which is what is wanted.
        let _ = epoll::delete(&self.fd, fd);
    }

    /// Waits for events; an interruption by a signal counts as none.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> usize {
        events.0.clear();
        let timeout = timeout.map(timespec);
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; Events::MOST];
        let Ok((found, _)) = epoll::wait(&self.fd, &mut room, timeout.as_ref()) else {
            return 0;
        };
        let hung = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        events.0.extend(found.iter().map(|event| {
            let flags = event.flags;
            Ready {
                token: event.data.u64(),
                readable: flags.intersects(epoll::EventFlags::IN | hung),
                writable: flags.intersects(epoll::EventFlags::OUT | hung),
                hung: flags.intersects(hung),
            }
        }));
        if events.0.len() > 1 {
            // The kernel reports in an order of its own. By token, peers that connect one after the
            // other also come up in that order, as round-robin shows to those who look.
            events.0.sort_unstable_by_key(|ready| ready.token);
        }
        events.0.len()
    }
}

impl AsFd for EventSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The events of one wait.
#[derive(Default)]
pub(crate) struct Events(Vec<Ready>);

impl Events {
    /// Events taken from the kernel at a time.
    const MOST: usize = 64;

    pub(crate) fn iter(&self) -> impl Iterator<Item = Ready> {
        self.0.iter().copied()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == Self::MOST
    }
}

/// A descriptor that becomes readable when somebody says so.
pub(crate) struct Wake {
    fd: OwnedFd,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Wake {
            fd: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    pub(crate) fn set(&self) {
        // Fails only when the counter is full: then it is set already.
        let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        // Fails only when it was not set.
        let _ = rustix::io::read(&self.fd, &mut [0u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

thread_local! {
    static OWN: RefCell<Option<(Pid, Arc<Wake>)>> = const { RefCell::new(None) };
}

/// The wake-up that the calling thread sleeps on, whichever socket it waits for. `None` if the
/// system is out of descriptors: then the caller may [`nap`].
///
/// `process`: the one that made the socket, so the calling one. A process that was forked has its parent's
/// descriptors, and would take its wake-ups.
pub(crate) fn own_wake(process: Pid) -> Option<Arc<Wake>> {
    let known = OWN.try_with(|own| own.borrow().clone()).ok().flatten();
    if let Some((made_by, wake)) = known
        && made_by == process
    {
        return Some(wake);
    }
    let wake = Arc::new(Wake::new().ok()?);
    // A thread that is about to end has no place to keep it.
    let _ = OWN.try_with(|own| *own.borrow_mut() = Some((process, wake.clone())));
    Some(wake)
}

/// The end of a short sleep of a thread that nobody can wake.
pub(crate) fn nap() -> Instant {
    Instant::now() + Duration::from_millis(1)
}

/// How a wait on descriptors ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    Ready,
    TimedOut,
    Interrupted,
}

/// Waits until one of `fds` is ready or the deadline has passed.
pub(crate) fn poll(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Waited {
    let timeout = deadline.map(|at| timespec(at.saturating_duration_since(Instant::now())));
    match rustix::event::poll(fds, timeout.as_ref()) {
        Ok(0) => Waited::TimedOut,
        Ok(_) => Waited::Ready,
        Err(rustix::io::Errno::INTR) => Waited::Interrupted,
        // Out of memory in the kernel: the caller looks again.
        Err(_) => Waited::Ready,
    }
}

/// Waits until one of `fds` is readable or the deadline has passed.
pub(crate) fn poll_readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    deadline: Option<Instant>,
) -> Waited {
    let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll(&mut fds, deadline)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().min(1 << 40) as i64,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// A socket address of any family, from its C structure: in the first two bytes the family.
///
/// An address that makes no sense is the system's to refuse.
#[expect(unsafe_code, reason = "rustix reads foreign addresses by pointer only")]
pub(crate) fn foreign_address(bytes: &[u8; 16]) -> SocketAddrAny {
    let storage = bytes.as_ptr().cast::<SocketAddrStorage>();
    // SAFETY: all 16 bytes behind the pointer are initialized and borrowed for the call, which copies
    // just them, byte by byte, so that their alignment does not matter. 16 is more than the family's
    // two and less than the 128 of a `sockaddr_storage`, whose bytes may have any value.
    unsafe { SocketAddrAny::read(storage, bytes.len() as u32) }
}

/// The bytes of an address's C structure.
#[expect(unsafe_code, reason = "rustix shows foreign addresses by pointer only")]
pub(crate) fn address_bytes(address: &SocketAddrAny) -> &[u8] {
    let bytes = address.as_ptr().cast::<u8>();
    // SAFETY: the pointer is to storage inside `address`, which the result borrows, and its first
    // `addr_len` bytes are initialized, by the invariant of the type.
    unsafe { std::slice::from_raw_parts(bytes, address.addr_len() as usize) }
}

/// Tells the processor that a `T` will be written at `place`, so that it gets the cache lines for itself
/// meanwhile. Nothing else happens, whatever is there.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "no other way to say it")
)]
pub(crate) fn will_write<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of::<T>()).step_by(64) {
        let line = place.cast::<u8>().wrapping_add(line);
        // SAFETY: a hint reads and writes no memory, cannot fail for any address, and changes no
        // register; processors that do not know it pass over it.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_process_has_a_wake_up_of_its_own() {
        let parent = rustix::process::getpid();
        let wake = |process| own_wake(process).expect("descriptors");
        let first = wake(parent);
        assert!(Arc::ptr_eq(&first, &wake(parent)));
        let child = wake(Pid::INIT);
        assert!(!Arc::ptr_eq(&first, &child));
        assert!(Arc::ptr_eq(&child, &wake(Pid::INIT)));
    }
}
