//! A driver in a thread of its own, and what the rest of the program holds of it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Driver, DriverError};
use crate::machine::{Event, Machine};

/// Outputs that may wait before the thread leaves messages in the sockets, whose high-water marks
/// then push back.
const WAITING: usize = 1000;

/// Wakes a driver that waits in `xebec::poll`: a pair of descriptors, because a waker may be woken
/// under the lock of the very socket that it waits for.
pub(super) struct Bell {
    inner: UnixStream,
    outer: UnixStream,
    /// Whether a byte is on its way: set by whoever rings, cleared by the driver after it took the
    /// byte and before it looks at what it was rung for.
    rung: AtomicBool,
}

impl Bell {
    /// # Panics
    /// If the process has no descriptors left.
    pub(super) fn new() -> Arc<Self> {
        let pair = UnixStream::pair().and_then(|(inner, outer)| {
            inner.set_nonblocking(true)?;
            outer.set_nonblocking(true)?;
            Ok((inner, outer))
        });
        let (inner, outer) = pair.expect("a pair of descriptors to wake the driver");
        let rung = AtomicBool::new(false);
        Arc::new(Bell { inner, outer, rung })
    }

    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // It cannot be full: there is one byte at most.
            let _ = (&self.outer).write(&[1]);
        }
    }

    pub(super) fn still(&self) {
        if self.rung.load(Ordering::SeqCst) {
            let _ = (&self.inner).read(&mut [0; 8]);
            self.rung.store(false, Ordering::SeqCst);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// What the thread and the holders of its handle share.
struct Shared<M: Machine> {
    state: Mutex<State<M>>,
    /// There is an output, or the thread has ended.
    news: Condvar,
    bell: Arc<Bell>,
}

struct State<M: Machine> {
    commands: VecDeque<M::Command>,
    outputs: VecDeque<M::Output>,
    waker: Option<Waker>,
    stop: bool,
    /// Nobody holds the handle any more.
    abandoned: bool,
    /// The thread has ended; the error is told once.
    ended: Option<Option<DriverError>>,
}

/// A machine that runs in a thread of its own; from [`Driver::spawn`]. It may be used from several
/// threads and tasks; each output goes to one of those that receive.
///
/// Dropping it ends the machine: it is told to stop, and its ports close, lingering in the background
/// as their options say. [`join`](Self::join) waits for an orderly end.
pub struct Handle<M: Machine> {
    shared: Arc<Shared<M>>,
    thread: Option<JoinHandle<M>>,
}

impl<M> Driver<M>
where
    M: Machine + Send + 'static,
    M::Command: Send,
    M::Output: Send,
{
    /// Gives the machine a thread of its own.
    ///
    /// # Panics
    /// If the system has no thread for it.
    pub fn spawn(mut self) -> Handle<M> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                commands: VecDeque::new(),
                outputs: VecDeque::new(),
                waker: None,
                stop: false,
                abandoned: false,
                ended: None,
            }),
            news: Condvar::new(),
            bell: self.bell(),
        });
        let theirs = Farewell(shared.clone());
        let body = move || {
            let shared = &theirs.0;
            let error = shared.run(&mut self).err();
            self.end();
            let mut state = shared.state.lock();
            state.outputs.append(&mut self.outputs);
            state.ended = Some(error);
            drop(state);
            self.into_machine()
        };
        let thread = thread::Builder::new()
            .name("xebec-pattern".to_owned())
            .spawn(body)
            .expect("a thread for the machine");
        Handle {
            shared,
            thread: Some(thread),
        }
    }
}

/// Tells those who wait that the thread has ended, even by a panic of the machine.
struct Farewell<M: Machine>(Arc<Shared<M>>);

impl<M: Machine> Drop for Farewell<M> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended.get_or_insert(None);
        self.0.tell(&mut state);
    }
}

impl<M: Machine> Shared<M> {
    fn run(&self, driver: &mut Driver<M>) -> Result<(), DriverError> {
        let mut stopped = false;
        loop {
            let mut state = self.state.lock();
            let commands = std::mem::take(&mut state.commands);
            let (stop, abandoned) = (state.stop && !stopped, state.abandoned);
            let full = state.outputs.len() >= WAITING;
            drop(state);
            for command in commands {
                driver.feed(Event::Command(command))?;
            }
            if stop {
                stopped = true;
                driver.stop()?;
            }
            let any = if full {
                driver.sweep_due()?
            } else {
                driver.sweep()?
            };
            if !driver.outputs.is_empty() {
                let mut state = self.state.lock();
                state.outputs.append(&mut driver.outputs);
                self.tell(&mut state);
            }
            if driver.ended || abandoned {
                return Ok(());
            }
            if !any {
                match driver.wait(None, !full) {
                    // Signals are for the application's own threads.
                    Err(DriverError::Interrupted) => {}
                    waited => waited?,
                }
            }
        }
    }

    fn tell(&self, state: &mut State<M>) {
        self.news.notify_all();
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl<M: Machine> Handle<M> {
    /// Asks the machine for something. After its end nothing comes of it.
    pub fn command(&self, command: M::Command) {
        self.shared.state.lock().commands.push_back(command);
        self.shared.bell.ring();
    }

    /// Tells the machine to end; [`DriverError::Ended`] tells when it has.
    pub fn stop(&self) {
        self.shared.state.lock().stop = true;
        self.shared.bell.ring();
    }

    /// Waits for the next output.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv(&self) -> Result<M::Output, DriverError> {
        let output = self.recv_until(None)?;
        output.ok_or(DriverError::Ended)
    }

    /// Waits for the next output for at most `timeout`.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<M::Output>, DriverError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next output, if there is one.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn try_recv(&self) -> Result<Option<M::Output>, DriverError> {
        let mut state = self.shared.state.lock();
        self.next(&mut state).transpose()
    }

    /// Waits for the next output in an async task, whatever its executor. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub async fn recv_async(&self) -> Result<M::Output, DriverError> {
        poll_fn(|cx| {
            let mut state = self.shared.state.lock();
            let next = self.next(&mut state);
            if next.is_none() {
                // Another task that waits is woken, so that it waits again: there is one place.
                let before = state.waker.replace(cx.waker().clone());
                if let Some(before) = before.filter(|before| !before.will_wake(cx.waker())) {
                    before.wake();
                }
            }
            next.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Tells the machine to end, waits until it has, and returns it; outputs that nobody received
    /// are dropped.
    ///
    /// # Panics
    /// If the machine panicked.
    pub fn join(mut self) -> M {
        self.stop();
        while self.recv().is_ok() {}
        let thread = self.thread.take().expect("it is joined once");
        thread.join().expect("the machine panicked")
    }

    fn recv_until(&self, until: Option<Instant>) -> Result<Option<M::Output>, DriverError> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(next) = self.next(&mut state) {
                return next.map(Some);
            }
            match until {
                None => self.shared.news.wait(&mut state),
                Some(until) => {
                    if self.shared.news.wait_until(&mut state, until).timed_out() {
                        return self.next(&mut state).transpose();
                    }
                }
            }
        }
    }

    fn next(&self, state: &mut State<M>) -> Option<Result<M::Output, DriverError>> {
        if let Some(output) = state.outputs.pop_front() {
            if state.outputs.len() == WAITING - 1 {
                self.shared.bell.ring();
            }
            return Some(Ok(output));
        }
        let ended = state.ended.as_mut()?;
        Some(Err(ended.take().unwrap_or(DriverError::Ended)))
    }
}

impl<M: Machine> Drop for Handle<M> {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        let mut state = self.shared.state.lock();
        state.stop = true;
        state.abandoned = true;
        drop(state);
        self.shared.bell.ring();
        // A panic of the machine was printed by its thread.
        let _ = thread.join();
    }
}

impl<M: Machine> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        write!(f, "Handle({} outputs wait)", state.outputs.len())
    }
}
