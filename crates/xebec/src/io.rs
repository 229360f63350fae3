//! The background threads: they look after every socket whose application is away.
//!
//! A thread waits for the descriptor sets of its sockets that are armed (see `lease`), for the
//! sockets' timers, and ticks for those that are leased or have output waiting; less often while
//! whoever has the leases leaves it nothing to do. It never holds its own lock while it works on a
//! socket; a socket may take that lock while it holds its own. Lock order: socket, then thread.

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

/// How often a leased socket is looked at: long enough to cost little, short enough that an application
/// that turns to other work is not missed. Output that was too new for one tick leaves with the next, a
/// millisecond after it was sent at the latest, unless others are at the socket then (`PASSED_TICKS`).
const TICK: Duration = Duration::from_micros(900);

/// While those who hold the leases come by and leave nothing to be done, it is twice as long to each tick, up to so
/// many times as long: a tick takes the processor from a thread that spins. (Round trips over tcp, p50 12 µs: a p99
/// of 57 µs with every tick and of 38 with one in eight, medians of five, where waking up takes 50.)
const REST: u8 = 8;

/// The token of the thread's own wake-up.
const WAKE: u64 = u64::MAX;

/// What a background thread looks after.
pub(crate) trait Serviced: Send + Sync {
    /// The socket's descriptor set has events.
    fn service(self: Arc<Self>);
    /// A timer that was asked for has come.
    fn on_timer(self: Arc<Self>, now: Instant);
    /// The tick, which comes after so many times its usual distance from the last one.
    fn tick(self: Arc<Self>, ticks: u8) -> Next;
}

/// When a socket is to be ticked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Not before it asks for it.
    Never,
    /// With the next tick.
    Soon,
    /// A few ticks may be passed over, unless somebody asks for one.
    Late,
}

impl Next {
    pub(crate) fn soon_if(again: bool) -> Self {
        if again { Next::Soon } else { Next::Never }
    }
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
    /// How many times [`TICK`] it is from the last tick to the next.
    ticks: u8,
    /// A tick was asked for since the last one.
    hurry: bool,
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
                ticks: 1,
                hurry: false,
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
        state.hurry = true;
        if state.next_tick.is_none() || state.ticks > 1 {
            state.ticks = 1;
            let at = Instant::now() + FLUSH;
            if state.next_tick.is_none_or(|next| at < next) {
                state.next_tick = Some(at);
                self.wake_before(&mut state, at);
            }
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
        let (due, ticks, mut hurry) = {
            let mut state = self.state.lock();
            match state.next_tick {
                Some(at) if at <= Instant::now() => {}
                _ => return,
            }
            let ticking = std::mem::take(&mut state.ticking);
            let due: Vec<_> = ticking
                .into_iter()
                .filter_map(|token| Some((token, state.sockets.get(token)?.socket.clone())))
                .collect();
            (due, state.ticks, std::mem::take(&mut state.hurry))
        };
        let mut again = Vec::new();
        for (token, socket) in due {
            let next = socket.tick(ticks);
            hurry |= next == Next::Soon;
            if next != Next::Never {
                again.push(token);
            }
        }
        let mut state = self.state.lock();
        for token in again {
            if !state.ticking.contains(&token) {
                state.ticking.push(token);
            }
        }
        hurry |= std::mem::take(&mut state.hurry);
        state.ticks = if hurry { 1 } else { REST.min(2 * ticks) };
        let wait = TICK * u32::from(state.ticks);
        state.next_tick = (!state.ticking.is_empty()).then(|| Instant::now() + wait);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    struct Nobody;

    impl Serviced for Nobody {
        fn service(self: Arc<Self>) {}
        fn on_timer(self: Arc<Self>, _now: Instant) {}
        fn tick(self: Arc<Self>, _ticks: u8) -> Next {
            Next::Never
        }
    }

    /// A thread that looks after `socket`, whose set and token these are.
    fn looking_after(socket: Arc<dyn Serviced>) -> (Arc<IoThread>, JoinHandle<()>, EventSet, u64) {
        let (thread, handle) = IoThread::start("test".to_owned(), || Ok(())).expect("a thread");
        let set = EventSet::new().expect("a set");
        let token = thread.register(socket, set.as_fd()).expect("its place");
        (thread, handle, set, token)
    }

    /// A socket for each of many requests left as many timers, and the thread woke up for each.
    #[test]
    fn the_earliest_time_counts_and_goes_with_its_socket() {
        let (thread, handle, set, token) = looking_after(Arc::new(Nobody));
        let hour = |hours: u64| Instant::now() + Duration::from_secs(3600 * hours);
        let earliest = hour(2);
        for at in [hour(3), earliest, hour(4)] {
            thread.schedule(token, at);
        }
        assert_eq!(thread.state.lock().deadline(), Some(earliest));
        assert_eq!(thread.state.lock().timers.len(), 1);
        thread.deregister(token, set.as_fd());
        assert_eq!(thread.state.lock().deadline(), None);
        thread.stop();
        handle.join().expect("it ends");
    }

    /// Says after how many ticks each tick came, and needs none soon; the first after a rest asks for one itself.
    struct Patient(mpsc::Sender<u8>, Mutex<Option<(Arc<IoThread>, u64)>>);

    impl Serviced for Patient {
        fn service(self: Arc<Self>) {}
        fn on_timer(self: Arc<Self>, _now: Instant) {}
        fn tick(self: Arc<Self>, ticks: u8) -> Next {
            let _ = self.0.send(ticks);
            if ticks == REST
                && let Some((thread, token)) = self.1.lock().take()
            {
                thread.start_tick(token);
            }
            Next::Late
        }
    }

    #[test]
    fn ticks_are_passed_over_until_somebody_asks_for_one() {
        let (tell, told) = mpsc::channel();
        let patient = Arc::new(Patient(tell, Mutex::new(None)));
        let (thread, handle, set, token) = looking_after(patient.clone());
        *patient.1.lock() = Some((thread.clone(), token));
        thread.start_tick(token);
        let next = || told.recv_timeout(Duration::from_secs(10)).expect("a tick");
        let asked_for = [1, 1, 2, 4, 8];
        assert_eq!([(); 5].map(|()| next()), asked_for);
        let asked_for_inside = [1, 2, 4, 8, 8];
        assert_eq!([(); 5].map(|()| next()), asked_for_inside);
        let is_far = || {
            let tick = thread.state.lock().next_tick.expect("it ticks");
            tick > Instant::now() + TICK
        };
        while !is_far() {
            std::thread::yield_now();
        }
        thread.start_tick(token);
        assert!(!is_far());
        thread.deregister(token, set.as_fd());
        thread.stop();
        handle.join().expect("it ends");
    }
}
