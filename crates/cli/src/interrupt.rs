//! Ctrl-C and SIGTERM: the first asks to stop, the second ends the process at once.
//!
//! A signal sets a flag, for loops that are busy, and makes a descriptor readable, for loops that
//! wait in `poll`; nothing else happens in the signal handler. So every loop of the command leaves
//! by its ordinary way and cleans up, and the exit status is 128 and the signal's number.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

use crate::failure::Stop;

struct Watch {
    /// Readable once a signal came; never read, so it stays so.
    readable: UnixStream,
    /// The signal that came last, or 0.
    signal: Arc<AtomicUsize>,
    /// Whether the next signal ends the process.
    impatient: Arc<AtomicBool>,
    /// What was registered, and for which signal.
    registered: Vec<(i32, SigId)>,
}

static WATCH: OnceLock<Watch> = OnceLock::new();

/// Takes over the signals. To be called once, before anything else is started.
pub(crate) fn install() -> anyhow::Result<()> {
    let (readable, written) = UnixStream::pair()?;
    written.set_nonblocking(true)?;
    let signal = Arc::new(AtomicUsize::new(0));
    let impatient = Arc::new(AtomicBool::new(false));
    let mut registered = Vec::new();
    for number in [SIGINT, SIGTERM, SIGHUP] {
        // The order counts: a signal must not find the flag that it is about to set itself.
        let ids = [
            flag::register_conditional_shutdown(number, 128 + number, impatient.clone())?,
            flag::register(number, impatient.clone())?,
            flag::register_usize(number, signal.clone(), number as usize)?,
            low_level::pipe::register(number, written.try_clone()?)?,
        ];
        registered.extend(ids.map(|id| (number, id)));
    }
    let watch = Watch {
        readable,
        signal,
        impatient,
        registered,
    };
    WATCH
        .set(watch)
        .map_err(|_| anyhow::anyhow!("signals are already taken over"))
}

fn watch() -> &'static Watch {
    WATCH.get().expect("main takes over the signals first")
}

/// A descriptor that becomes readable, and stays so, when a signal comes.
pub(crate) fn fd() -> BorrowedFd<'static> {
    watch().readable.as_fd()
}

/// From here on this signal is not asked to stop by: a command has another meaning for it. It never ends
/// the process by default again.
pub(crate) fn release(signal: i32) {
    for (_, id) in watch().registered.iter().filter(|(of, _)| *of == signal) {
        low_level::unregister(*id);
    }
}

/// Fails if a signal has come.
pub(crate) fn check() -> Result<(), Stop> {
    match watch().signal.load(Ordering::Relaxed) {
        0 => Ok(()),
        number => Err(Stop::Signal(number as i32)),
    }
}

/// Whether from here on the first signal ends the process: for stretches that nothing else can
/// end, and that leave nothing to clean up.
pub(crate) fn end_at_once(on: bool) {
    watch().impatient.store(on, Ordering::SeqCst);
}
