//! The background threads: they look after every socket whose application is away.
//!
//! A thread waits for the descriptor sets of its sockets that are armed (see `lease`), for the
//! sockets' timers, and ticks for those that are leased or have output waiting. It never holds
//! its own lock while it works on a socket; a socket may take that lock while it holds its own.
//! Lock order: socket, then thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// How often a leased socket is looked at. The design's measurements used a millisecond: long
/// enough to cost nothing, short enough that an application that turns to other work is not
/// missed.
const TICK: Duration = Duration::from_millis(1);

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
    sockets: Slab<Arc<dyn Serviced>>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    ticking: Vec<usize>,
    /// When the thread will look at timers and ticks next, if it sleeps. Written by the thread
    /// before it sleeps; a socket that needs it earlier sets the wake-up.
    asleep_until: Option<Option<Instant>>,
    next_tick: Option<Instant>,
    stop: bool,
}

impl State {
    fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
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
                timers: BinaryHeap::new(),
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
        let token = self.state.lock().sockets.insert(socket) as u64;
        self.set.add_level(set, token).inspect_err(|_| {
            self.state.lock().sockets.remove(token as usize);
        })?;
        Ok(token)
    }

    pub(crate) fn deregister(&self, token: u64, set: BorrowedFd<'_>) {
        self.set.remove(set);
        let mut state = self.state.lock();
        state.ticking.retain(|&ticking| ticking as u64 != token);
        let socket = state.sockets.try_remove(token as usize);
        drop(state);
        drop(socket);
    }

    pub(crate) fn arm(&self, token: u64, set: BorrowedFd<'_>, on: bool) {
        // The descriptor is in the set for as long as the socket lives.
        let _ = self.set.arm(set, token, on);
    }

    pub(crate) fn schedule(&self, token: u64, at: Instant) {
        let mut state = self.state.lock();
        state.timers.push(Reverse((at, token as usize)));
        self.wake_before(&mut state, at);
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
        self.state.lock().sockets.get(token).cloned()
    }

    fn run_timers(&self) {
        let now = Instant::now();
        loop {
            let due = {
                let mut state = self.state.lock();
                match state.timers.peek() {
                    Some(Reverse((at, _))) if *at <= now => state.timers.pop(),
                    _ => return,
                }
            };
            if let Some(Reverse((_, token))) = due
                && let Some(socket) = self.socket(token)
            {
                socket.on_timer(now);
            }
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
                .filter_map(|token| Some((token, state.sockets.get(token)?.clone())))
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
