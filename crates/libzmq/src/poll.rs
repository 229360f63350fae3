//! Waiting for sockets and descriptors: `zmq_poll`, `zmq_ppoll`, and pollers that keep their items.

use std::ffi::{c_int, c_long, c_short, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use xebec::{EventFd, Interest, PollItem};

use crate::call::{call, status};
use crate::errno::{self, Errno};
use crate::handle::{self, object};
use crate::socket::{Handle, socket};

pub(crate) const POLLIN: c_short = 1;
pub(crate) const POLLOUT: c_short = 2;
pub(crate) const POLLERR: c_short = 4;
pub(crate) const POLLPRI: c_short = 8;

/// No descriptor.
const RETIRED: c_int = -1;

/// What to wait for, and what came of it (`zmq_pollitem_t`).
#[allow(non_camel_case_types, reason = "the name that C has for it")]
#[repr(C)]
pub struct zmq_pollitem_t {
    socket: *mut c_void,
    fd: c_int,
    events: c_short,
    revents: c_short,
}

/// What a poller found (`zmq_poller_event_t`).
#[allow(non_camel_case_types, reason = "the name that C has for it")]
#[repr(C)]
pub struct zmq_poller_event_t {
    socket: *mut c_void,
    fd: c_int,
    user_data: *mut c_void,
    events: c_short,
}

/// Something to wait for.
enum Source<'a> {
    Socket(&'a Handle),
    Fd(BorrowedFd<'a>),
}

impl<'a> Source<'a> {
    /// # Safety
    /// The crate's contract; `fd` stays open.
    unsafe fn new(handle: *mut c_void, fd: c_int) -> Result<Self, Errno> {
        match handle.is_null() {
            // SAFETY: passed on to the caller.
            false => Ok(Source::Socket(unsafe { socket(handle)? })),
            true if fd == RETIRED => Err(Errno::EBADF),
            // SAFETY: passed on to the caller; -1 is dealt with.
            true => Ok(Source::Fd(unsafe { BorrowedFd::borrow_raw(fd) })),
        }
    }

    fn item(&'a self, events: c_short) -> PollItem<'a> {
        let mut interest = Interest::NONE;
        for (bit, what) in [(POLLIN, Interest::READ), (POLLOUT, Interest::WRITE)] {
            if events & bit != 0 {
                interest = interest | what;
            }
        }
        match self {
            Source::Socket(handle) => PollItem::socket(&handle.socket, interest),
            Source::Fd(fd) if events & POLLPRI != 0 => {
                PollItem::fd(fd, interest | Interest::PRIORITY)
            }
            Source::Fd(fd) => PollItem::fd(fd, interest),
        }
    }
}

/// What an item found, in C's bits.
fn found(item: &PollItem<'_>) -> c_short {
    item.bits().into()
}

/// What of it is known without asking: frames of a message that is under way.
fn known((source, events): &(Source<'_>, c_short)) -> c_short {
    let Source::Socket(handle) = source else {
        return 0;
    };
    let (receiving, sending) = handle.under_way();
    let bit = |on: bool, bit: c_short| if on { events & bit } else { 0 };
    bit(receiving, POLLIN) | bit(sending, POLLOUT)
}

/// A timeout in milliseconds, where less than none is infinite.
fn patience(timeout: c_long) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// Waits for items as `zmq_poll` has them; each is told what it found.
fn wait(sources: &[(Source<'_>, c_short)], timeout: c_long) -> Result<Vec<c_short>, Errno> {
    let mut items: Vec<PollItem<'_>> = sources
        .iter()
        .map(|(source, events)| source.item(*events))
        .collect();
    let known: Vec<c_short> = sources.iter().map(known).collect();
    let timeout = match known.iter().any(|known| *known != 0) {
        true => 0,
        false => timeout,
    };
    xebec::poll(&mut items, patience(timeout))?;
    let found = items.iter().map(found).zip(known);
    Ok(found.map(|(found, known)| found | known).collect())
}

/// The items of a `zmq_poll`.
///
/// # Safety
/// `items` points to `count` items that nobody else uses meanwhile.
unsafe fn sources<'a>(
    items: *mut zmq_pollitem_t,
    count: c_int,
) -> Result<(&'a mut [zmq_pollitem_t], Vec<(Source<'a>, c_short)>), Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let items: &mut [zmq_pollitem_t] = match count {
        0 => &mut [],
        _ if items.is_null() => return Err(Errno::EFAULT),
        // SAFETY: passed on to the caller.
        _ => unsafe { std::slice::from_raw_parts_mut(items, count) },
    };
    let mut sources = Vec::with_capacity(items.len());
    for item in &mut *items {
        item.revents = 0;
        // SAFETY: passed on to the caller.
        sources.push((unsafe { Source::new(item.socket, item.fd)? }, item.events));
    }
    Ok((items, sources))
}

/// Notes what was found and returns at how many items.
fn note(items: &mut [zmq_pollitem_t], found: Vec<c_short>) -> c_int {
    let mut count = 0;
    for (item, found) in items.iter_mut().zip(found) {
        item.revents = found;
        count += c_int::from(found != 0);
    }
    count
}

/// Waits until one of the items is ready or so many milliseconds have passed (without end if negative).
/// Returns how many are.
///
/// # Safety
/// The crate's contract; `items` points to `count` items.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poll(
    items: *mut zmq_pollitem_t,
    count: c_int,
    timeout: c_long,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let (items, sources) = unsafe { sources(items, count)? };
        let found = wait(&sources, timeout)?;
        Ok(note(items, found))
    })
}

/// As [`zmq_poll`], with another set of blocked signals while it sleeps (draft).
///
/// It sleeps on the sockets' event descriptors: only there can the system exchange the set of signals and
/// begin to sleep in one step.
///
/// # Safety
/// The crate's contract; `items` points to `count` items, `signals` is null or points to a set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_ppoll(
    items: *mut zmq_pollitem_t,
    count: c_int,
    timeout: c_long,
    signals: *const libc::sigset_t,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let (items, sources) = unsafe { sources(items, count)? };
        let mut watched: Vec<EventFd> = Vec::new();
        for (source, _) in &sources {
            if let Source::Socket(handle) = source {
                watched.push(handle.socket.event_fd()?);
            }
        }
        let mut watches = watched.iter();
        let mut fds: Vec<libc::pollfd> = Vec::new();
        for (source, events) in &sources {
            let (fd, events) = match source {
                Source::Socket(_) => {
                    let watch = watches.next().ok_or(Errno::EFAULT)?;
                    (
                        watch.as_fd().as_raw_fd(),
                        if *events != 0 { libc::POLLIN } else { 0 },
                    )
                }
                Source::Fd(fd) => (fd.as_raw_fd(), system(*events)),
            };
            fds.push(libc::pollfd {
                fd,
                events,
                revents: 0,
            });
        }
        let deadline = patience(timeout).and_then(|time| Instant::now().checked_add(time));
        loop {
            let found = wait(&sources, 0)?;
            let ready = note(items, found);
            let now = Instant::now();
            if ready > 0 || deadline.is_some_and(|at| at <= now) {
                return Ok(ready);
            }
            let rest = deadline.map(|at| at - now).map(|rest| libc::timespec {
                tv_sec: rest.as_secs() as libc::time_t,
                tv_nsec: rest.subsec_nanos().into(),
            });
            let rest = rest.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: the vector is ours; the rest is null or passed on to the caller.
            let slept =
                unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, rest, signals) };
            if slept < 0 && errno::current() == libc::EINTR {
                return Err(Errno::EINTR);
            }
        }
    })
}

/// What the system's poll calls what C programs wait for.
fn system(events: c_short) -> c_short {
    let bits = [
        (POLLIN, libc::POLLIN),
        (POLLOUT, libc::POLLOUT),
        (POLLPRI, libc::POLLPRI),
    ];
    let wanted = bits.iter().filter(|(bit, _)| events & bit != 0);
    wanted.fold(0, |all, (_, system)| all | system)
}

// ---- pollers ----

/// What a poller waits for.
struct Entry {
    socket: *mut c_void,
    fd: c_int,
    user_data: *mut c_void,
    events: c_short,
    /// What the poller's descriptor watches, if it has one and this is a socket.
    event_fd: Option<EventFd>,
}

/// A set of things to wait for.
struct Poller(Mutex<Items>);
object!(Poller, b"poll");

#[derive(Default)]
struct Items {
    entries: Vec<Entry>,
    /// Watches all of them, from when the program has asked for its number.
    watch: Option<OwnedFd>,
}

// SAFETY: what the entries point to is the program's, which uses a poller and its sockets from one
// thread at a time.
unsafe impl Send for Poller {}
// SAFETY: as above.
unsafe impl Sync for Poller {}

/// # Safety
/// The crate's contract.
unsafe fn poller<'a>(this: *mut c_void) -> Result<&'a Poller, Errno> {
    // SAFETY: passed on to the caller.
    unsafe { handle::get::<Poller>(this) }.ok_or(Errno::EFAULT)
}

fn check_events(events: c_short) -> Result<(), Errno> {
    match events & !(POLLIN | POLLOUT | POLLERR | POLLPRI) {
        0 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

impl Poller {
    fn add(&self, mut entry: Entry) -> Result<(), Errno> {
        let mut items = self.0.lock();
        if items.find(entry.socket, entry.fd).is_ok() {
            return Err(Errno::EINVAL);
        }
        if let Some(watch) = &items.watch {
            entry.watch_by(watch)?;
        }
        items.entries.push(entry);
        Ok(())
    }

    fn change(&self, socket: *mut c_void, fd: c_int, events: c_short) -> Result<(), Errno> {
        let mut items = self.0.lock();
        let at = items.find(socket, fd)?;
        items.entries[at].events = events;
        if let Some(watch) = &items.watch {
            items.entries[at].tell(watch, libc::EPOLL_CTL_MOD)?;
        }
        Ok(())
    }

    fn remove(&self, socket: *mut c_void, fd: c_int) -> Result<(), Errno> {
        let mut items = self.0.lock();
        let at = items.find(socket, fd)?;
        let entry = items.entries.remove(at);
        if let Some(watch) = &items.watch {
            // A descriptor that was closed meanwhile is not watched any more.
            let _ = entry.tell(watch, libc::EPOLL_CTL_DEL);
        }
        Ok(())
    }
}

impl Items {
    fn find(&self, socket: *mut c_void, fd: c_int) -> Result<usize, Errno> {
        let mut entries = self.entries.iter();
        let at = entries.position(|entry| entry.is(socket, fd));
        at.ok_or(Errno::EINVAL)
    }

    /// The descriptor that watches all of them.
    fn watch(&mut self) -> Result<c_int, Errno> {
        if let Some(watch) = &self.watch {
            return Ok(watch.as_raw_fd());
        }
        // SAFETY: the call has no pointers; what it returns is ours, or -1.
        let watch = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if watch < 0 {
            return Err(Errno(errno::current()));
        }
        // SAFETY: it is a new descriptor, and nobody else's.
        let watch = unsafe { OwnedFd::from_raw_fd(watch) };
        for entry in &mut self.entries {
            entry.watch_by(&watch)?;
        }
        let number = watch.as_raw_fd();
        self.watch = Some(watch);
        Ok(number)
    }
}

impl Entry {
    fn is(&self, socket: *mut c_void, fd: c_int) -> bool {
        self.socket == socket && (!socket.is_null() || self.fd == fd)
    }

    fn watch_by(&mut self, watch: &OwnedFd) -> Result<(), Errno> {
        if !self.socket.is_null() {
            // SAFETY: the program removes sockets before it closes them.
            self.event_fd = Some(unsafe { socket(self.socket)? }.socket.event_fd()?);
        }
        self.tell(watch, libc::EPOLL_CTL_ADD)
    }

    /// Tells the descriptor `watch` what to watch this for, or not any more.
    fn tell(&self, watch: &OwnedFd, what: c_int) -> Result<(), Errno> {
        let (fd, events) = match &self.event_fd {
            Some(event_fd) if self.events != 0 => (event_fd.as_fd().as_raw_fd(), libc::POLLIN),
            Some(event_fd) => (event_fd.as_fd().as_raw_fd(), 0),
            None => (self.fd, system(self.events)),
        };
        let mut event = libc::epoll_event {
            // The bits are those of poll.
            events: events as u32,
            u64: 0,
        };
        // SAFETY: the event is ours; a number that is no descriptor is an error.
        match unsafe { libc::epoll_ctl(watch.as_raw_fd(), what, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(Errno(errno::current())),
        }
    }
}

/// Makes an empty poller.
#[unsafe(no_mangle)]
pub extern "C" fn zmq_poller_new() -> *mut c_void {
    call(ptr::null_mut(), || {
        Ok(handle::give(Poller(Mutex::default())))
    })
}

/// Ends a poller and sets the pointer to null.
///
/// # Safety
/// `this` points to a pointer that obeys the crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_destroy(this: *mut *mut c_void) -> c_int {
    status(|| {
        if this.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: passed on to the caller.
        unsafe {
            handle::take::<Poller>(*this).ok_or(Errno::EFAULT)?;
            *this = ptr::null_mut();
        }
        Ok(())
    })
}

/// How many things a poller waits for.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_size(this: *mut c_void) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let poller = unsafe { poller(this)? };
        Ok(crate::call::length(poller.0.lock().entries.len()))
    })
}

/// Adds a socket; EINVAL if it is there already.
///
/// # Safety
/// The crate's contract; the socket is removed before it is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_add(
    this: *mut c_void,
    handle: *mut c_void,
    user_data: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        // SAFETY: as above.
        unsafe { socket(handle)? };
        check_events(events)?;
        this.add(Entry {
            socket: handle,
            fd: RETIRED,
            user_data,
            events,
            event_fd: None,
        })
    })
}

/// Changes what to wait for at a socket.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_modify(
    this: *mut c_void,
    handle: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        // SAFETY: as above.
        unsafe { socket(handle)? };
        check_events(events)?;
        this.change(handle, RETIRED, events)
    })
}

/// Removes a socket.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_remove(this: *mut c_void, handle: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        // SAFETY: as above.
        unsafe { socket(handle)? };
        this.remove(handle, RETIRED)
    })
}

fn check_fd(fd: c_int) -> Result<(), Errno> {
    match fd {
        RETIRED => Err(Errno::EBADF),
        _ => Ok(()),
    }
}

/// Adds a descriptor; EINVAL if it is there already.
///
/// # Safety
/// The crate's contract; the descriptor stays open until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_add_fd(
    this: *mut c_void,
    fd: c_int,
    user_data: *mut c_void,
    events: c_short,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        check_fd(fd)?;
        check_events(events)?;
        this.add(Entry {
            socket: ptr::null_mut(),
            fd,
            user_data,
            events,
            event_fd: None,
        })
    })
}

/// Changes what to wait for at a descriptor.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_modify_fd(
    this: *mut c_void,
    fd: c_int,
    events: c_short,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        check_fd(fd)?;
        check_events(events)?;
        this.change(ptr::null_mut(), fd, events)
    })
}

/// Removes a descriptor.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_remove_fd(this: *mut c_void, fd: c_int) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        check_fd(fd)?;
        this.remove(ptr::null_mut(), fd)
    })
}

/// Waits until something is ready and tells of one; EAGAIN if nothing was in time.
///
/// # Safety
/// The crate's contract; `event` points to room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_wait(
    this: *mut c_void,
    event: *mut zmq_poller_event_t,
    timeout: c_long,
) -> c_int {
    // SAFETY: passed on to the caller.
    let found = unsafe { zmq_poller_wait_all(this, event, 1, timeout) };
    if found >= 0 {
        return 0;
    }
    if !event.is_null() {
        // SAFETY: passed on to the caller.
        unsafe {
            event.write(zmq_poller_event_t {
                socket: ptr::null_mut(),
                fd: RETIRED,
                user_data: ptr::null_mut(),
                events: 0,
            });
        }
    }
    -1
}

/// Waits until something is ready and tells of up to `count`; returns of how many. EAGAIN if nothing was
/// in time, EFAULT if there is nothing to wait for and no end to it.
///
/// # Safety
/// The crate's contract; `events` points to room for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_wait_all(
    this: *mut c_void,
    events: *mut zmq_poller_event_t,
    count: c_int,
    timeout: c_long,
) -> c_int {
    call(-1, || {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        if events.is_null() {
            return Err(Errno::EFAULT);
        }
        let room = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
        let items = this.0.lock();
        let entries = &items.entries;
        if timeout < 0 && entries.iter().all(|entry| entry.events == 0) {
            return Err(Errno::EFAULT);
        }
        let mut sources = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            // SAFETY: the program removes sockets and descriptors before it closes them.
            let source = unsafe { Source::new(entry.socket, entry.fd)? };
            sources.push((source, entry.events));
        }
        let found = wait(&sources, timeout)?;
        let mut told = 0;
        let ready = entries.iter().zip(found).filter(|(_, found)| *found != 0);
        for (entry, found) in ready.take(room) {
            // SAFETY: there is room for so many.
            unsafe {
                events.add(told).write(zmq_poller_event_t {
                    socket: entry.socket,
                    fd: entry.fd,
                    user_data: entry.user_data,
                    events: found,
                });
            }
            told += 1;
        }
        match told {
            0 => Err(Errno::EAGAIN),
            _ => Ok(crate::call::length(told)),
        }
    })
}

/// A descriptor that is readable when something may have happened to what the poller waits for: ask the
/// poller, which makes it wait for the next change. EINVAL if the poller has no thread-safe socket.
///
/// # Safety
/// The crate's contract; `fd` points to room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_poller_fd(this: *mut c_void, fd: *mut c_int) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { poller(this)? };
        if fd.is_null() {
            return Err(Errno::EFAULT);
        }
        let mut items = this.0.lock();
        let mut sockets = items.entries.iter().filter(|entry| !entry.socket.is_null());
        // SAFETY: the program removes sockets before it closes them.
        let safe =
            sockets.any(|entry| unsafe { socket(entry.socket) }.is_ok_and(Handle::is_thread_safe));
        if !safe {
            return Err(Errno::EINVAL);
        }
        // SAFETY: passed on to the caller.
        unsafe { *fd = items.watch()? };
        Ok(())
    })
}
