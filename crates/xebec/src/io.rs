//! The background threads: they look after every socket whose application is away.
//!
//! A thread waits for the descriptor sets of its sockets that are armed (see `lease`), for the
//! sockets' timers, and ticks for those that are leased or have output waiting. It never holds
//! its own lock while it works on a socket; a socket may take that lock while it holds its own.
//! Lock order: socket, then thread.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;

use crate::company::FLUSH;
use crate::sys::{EventSet, Events, Wake};

/// How often a leased socket is looked at: long enough to cost nothing, short enough that an application
/// that turns to other work is not missed. Output that was too new for one tick leaves with the next, a
/// millisecond after it was sent at the latest, unless others are at the socket then (`PASSED_TICKS`).
const TICK: Duration = Duration::from_micros(900);

/// The token of the thread's own wake-up.
const WAKE: u64 = u64::MAX;

/// What a background thread looks after.
pub(crate) trait Serviced: Send + Sync {
    /// The socket's descriptor set has events.
    fn service(self: Arc<Self>);
    /// A timer that was asked for has come.
    fn on_timer(self: Arc<Self>, now: Instant);
    /// The tick. False to be ticked no more.
    fn tick(self: Arc<Self>) -> bool;
}

/// A background thread, as its sockets see it.
pub(crate) struct IoThread {
    set: EventSet,
    wake: Wake,
    state: Mutex<State>,
}

struct State {
    sockets: Slab<Entry>,
    /// When sockets want to be called, by their tokens. Invariant: an element for each `Entry::due`.
    timers: BTreeSet<(Instant, usize)>,
    ticking: Vec<usize>,
    /// When the thread will look at timers and ticks next, if it sleeps. Written by the thread
    /// before it sleeps; a socket that needs it earlier sets the wake-up.
    asleep_until: Option<Option<Instant>>,
    next_tick: Option<Instant>,
    stop: bool,
}

struct Entry {
    socket: Arc<dyn Serviced>,
    due: Option<Instant>,
}

impl State {
    fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        match (timer, self.next_tick) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl IoThread {
    /// Starts a thread that serves once `set_up`, which it runs, has succeeded.
    pub(crate) fn start(
        name: String,
        set_up: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<(Arc<IoThread>, JoinHandle<()>)> {
        let thread = Arc::new(IoThread {
            set: EventSet::new()?,
            wake: Wake::new()?,
            state: Mutex::new(State {
                sockets: Slab::new(),
                timers: BTreeSet::new(),
                ticking: Vec::new(),
                asleep_until: None,
                next_tick: None,
                stop: false,
            }),
        });
        thread.set.add_level(&thread.wake, WAKE)?;
        let background = thread.clone();
        let (tell, told) = mpsc::channel();
        let handle = std::thread::Builder::new().name(name).spawn(move || {
            let done = set_up();
            let serve = done.is_ok();
            // Somebody waits for it, below.
            let _ = tell.send(done);
            if serve {
                background.run();
            }
        })?;
        // It hangs up without a word only if a hook panicked, which was reported then.
        let done = told
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the hook of the I/O thread panicked")));
        match done {
            Ok(()) => Ok((thread, handle)),
            Err(error) => {
                // It ends at once; that it panicked has been reported.
                let _ = handle.join();
                Err(error)
            }
        }
    }

    /// Looks after `socket` from now on; its set is armed. Returns its token.
    pub(crate) fn register(
        &self,
        socket: Arc<dyn Serviced>,
        set: BorrowedFd<'_>,
    ) -> io::Result<u64> {
        let entry = Entry { socket, due: None };
        let token = self.state.lock().sockets.insert(entry) as u64;
        self.set.add_level(set, token).inspect_err(|_| {
            self.state.lock().sockets.remove(token as usize);
        })?;
        Ok(token)
    }

    pub(crate) fn deregister(&self, token: u64, set: BorrowedFd<'_>) {
        self.set.remove(set);
        let mut state = self.state.lock();
        state.ticking.retain(|&ticking| ticking as u64 != token);
        let entry = state.sockets.try_remove(token as usize);
        if let Some(at) = entry.as_ref().and_then(|entry| entry.due) {
            state.timers.remove(&(at, token as usize));
        }
        drop(state);
        drop(entry);
    }

    pub(crate) fn arm(&self, token: u64, set: BorrowedFd<'_>, on: bool) {
        // The descriptor is in the set for as long as the socket lives.
        let _ = self.set.arm(set, token, on);
    }

    /// Has the socket's timers looked at then, if not before: each time it is asked for anew.
    pub(crate) fn schedule(&self, token: u64, at: Instant) {
        let mut guard = self.state.lock();
        let (state, token) = (&mut *guard, token as usize);
        let Some(entry) = state.sockets.get_mut(token) else {
            return;
        };
        if let Some(before) = entry.due {
            if before <= at {
                return;
            }
            state.timers.remove(&(before, token));
        }
        entry.due = Some(at);
        state.timers.insert((at, token));
        self.wake_before(state, at);
    }

    /// Ticks for a socket that was leased or has output waiting.
    pub(crate) fn start_tick(&self, token: u64) {
        let mut state = self.state.lock();
        let token = token as usize;
        if !state.ticking.contains(&token) {
            state.ticking.push(token);
        }
        if state.next_tick.is_none() {
            let at = Instant::now() + FLUSH;
            state.next_tick = Some(at);
            self.wake_before(&mut state, at);
        }
    }

    fn wake_before(&self, state: &mut State, at: Instant) {
        if let Some(until) = state.asleep_until
            && until.is_none_or(|until| at < until)
        {
            state.asleep_until = None;
            self.wake.set();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.set();
    }

    fn run(&self) {
        let mut events = Events::default();
        loop {
            let timeout = {
                let mut state = self.state.lock();
                if state.stop {
                    return;
                }
                let deadline = state.deadline();
                state.asleep_until = Some(deadline);
                deadline.map(|at| at.saturating_duration_since(Instant::now()))
            };
            self.set.wait(&mut events, timeout);
            self.state.lock().asleep_until = None;
            for ready in events.iter() {
                if ready.token == WAKE {
                    self.wake.clear();
                } else if let Some(socket) = self.socket(ready.token as usize) {
                    socket.service();
                }
            }
            self.run_timers();
            self.run_ticks();
        }
    }

    fn socket(&self, token: usize) -> Option<Arc<dyn Serviced>> {
        let state = self.state.lock();
        state.sockets.get(token).map(|entry| entry.socket.clone())
    }

    /// One turn of each socket whose time has come; who asks again at once waits for the others.
    fn run_timers(&self) {
        let now = Instant::now();
        let mut due = Vec::new();
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            while let Some(&(at, token)) = state.timers.first()
                && at <= now
            {
                state.timers.pop_first();
                if let Some(entry) = state.sockets.get_mut(token) {
                    entry.due = None;
                    due.push(entry.socket.clone());
                }
            }
        }
        for socket in due {
            socket.on_timer(now);
        }
    }

    fn run_ticks(&self) {
        let due: Vec<(usize, Arc<dyn Serviced>)> = {
            let mut state = self.state.lock();
            match state.next_tick {
                Some(at) if at <= Instant::now() => {}
                _ => return,
            }
            let ticking = std::mem::take(&mut state.ticking);
            ticking
                .into_iter()
                .filter_map(|token| Some((token, state.sockets.get(token)?.socket.clone())))
                .collect()
        };
        let mut again = Vec::new();
        for (token, socket) in due {
            if socket.tick() {
                again.push(token);
            }
        }
        let mut state = self.state.lock();
        for token in again {
            if !state.ticking.contains(&token) {
                state.ticking.push(token);
            }
        }
        state.next_tick = (!state.ticking.is_empty()).then(|| Instant::now() + TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Serviced for Nobody {
        fn service(self: Arc<Self>) {}
        fn on_timer(self: Arc<Self>, _now: Instant) {}
        fn tick(self: Arc<Self>) -> bool {
            false
        }
    }

    /// A socket for each of many requests left as many timers, and the thread woke up for each.
    #[test]
    fn the_earliest_time_counts_and_goes_with_its_socket() {
        let (thread, handle) = IoThread::start("test".to_owned(), || Ok(())).expect("a thread");
        let set = EventSet::new().expect("a set");
        let set = std::os::fd::AsFd::as_fd(&set);
        let token = thread.register(Arc::new(Nobody), set).expect("its place");
        let hour = |hours: u64| Instant::now() + Duration::from_secs(3600 * hours);
        let earliest = hour(2);
        for at in [hour(3), earliest, hour(4)] {
            thread.schedule(token, at);
        }
        assert_eq!(thread.state.lock().deadline(), Some(earliest));
        assert_eq!(thread.state.lock().timers.len(), 1);
        thread.deregister(token, set);
        assert_eq!(thread.state.lock().deadline(), None);
        thread.stop();
        handle.join().expect("it ends");
    }
}
