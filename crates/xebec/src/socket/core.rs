//! The engine of a socket: one lock, one set of descriptors, whoever is there does the I/O.
//!
//! [`Core`] is shared by the application's handle, the background thread and (through
//! [`Inbox`]) the sockets at the other end of its inproc pipes. [`State`] is everything behind
//! the lock. A call locks, asks the pattern, and if the pattern has nothing it reads what the
//! descriptors have, spins for a moment, and sleeps on the descriptors themselves: no message
//! passes from one thread to another on its way.
//!
//! What lives elsewhere: how connections come and go (`links`), what a message does (`pattern`),
//! who looks after the descriptors when (`lease`).

use std::collections::BinaryHeap;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use zmtp::SocketType;

use super::dial::Dialer;
use super::links::Listening;
use super::spin::Spin;
use super::timers::Timer;
use crate::admission::HalfOpen;
use crate::channel::Inbox;
use crate::context::Shared;
use crate::error::{RecvError, SendError, SendErrorKind, SocketError};
use crate::io::{IoThread, Next, Serviced};
use crate::lease::{Lease, Tick};
use crate::message::{Frame, Message};
use crate::monitor::Monitors;
use crate::options::Options;
use crate::pattern::{self, Pattern};
use crate::pipe::{AT_ONCE, Happened, PipeId, Pipes, SILENCE};
use crate::signal::{Signal, Sleep};
use crate::sys::{self, EventSet, Events, Ready, Waited, Wake};

/// How many messages queue behind a full kernel before the sender looks for room: a look costs
/// as much as a few messages.
const LOOK_FOR_ROOM: u32 = 16;

/// Who spins on the only connection of a socket that also listens asks the whole set at every so many looks, so
/// that a peer that comes is let in. A reply that follows at once is there before: two of the five system
/// calls of a server's round trip were such questions.
const LOOK_AT_SET: u32 = 16;

/// After so many ticks in a row that found the lock taken, the next waits for it. Whoever has it looks after the
/// socket, and a thread that waits for a lock is handed it now and then: then all that the socket has to do
/// waits until that thread gets a processor. (16 REQs through a proxy, p99: 498 µs, and 558 where every tick waited;
/// 68 and 64 thousand a second.)
const PASSED_TICKS: u8 = 3;

/// The longest that a task spins, in one poll, whatever the option says: the other tasks of its thread wait
/// meanwhile, and runtimes expect a poll to return within some tens of microseconds. It took the round trip
/// of two tasks over tcp from 89 to between 7 and 13 µs (p50, `req-tcp` of the benchmark); p99 is 69 to 86 µs
/// with it, and was 125 to 142 with 20 µs.
const TASK_SPIN: Duration = Duration::from_micros(50);

/// What a token in a socket's set, or its inbox, stands for: the upper two bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Pipe(PipeId, u32),
    Listener(usize),
    Dialer(usize, u32),
    /// What the ZAP handler was asked about this connection.
    Inquiry(PipeId, u32),
}

impl Token {
    pub(super) fn encode(self) -> u64 {
        let pack = |kind: u64, generation: u32, index: usize| {
            kind << 62 | u64::from(generation & 0x3fff_ffff) << 32 | index as u64
        };
        match self {
            Token::Inquiry(id, generation) => pack(0, generation, id),
            Token::Pipe(id, generation) => pack(1, generation, id),
            Token::Listener(index) => pack(2, 0, index),
            Token::Dialer(index, generation) => pack(3, generation, index),
        }
    }

    pub(super) fn decode(token: u64) -> Self {
        let (generation, index) = (
            (token >> 32) as u32 & 0x3fff_ffff,
            (token & 0xffff_ffff) as usize,
        );
        match token >> 62 {
            0 => Token::Inquiry(index, generation),
            1 => Token::Pipe(index, generation),
            2 => Token::Listener(index),
            _ => Token::Dialer(index, generation),
        }
    }
}

/// A socket, as all who serve it see it. On cache lines of its own: the next one in memory may be another thread's.
#[repr(align(128))]
pub(crate) struct Core {
    pub(crate) ctx: Arc<Shared>,
    pub(crate) kind: SocketType,
    pub(crate) signal: Signal<Arc<Wake>>,
    pub(super) set: EventSet,
    state: Mutex<State>,
    /// Inproc pipes with news. Other sockets push; this one takes, under its own lock.
    inbox: Mutex<Vec<u64>>,
    /// Written under the lock; read without it by `is_terminated`.
    terminated: AtomicBool,
    /// Ticks in a row that found the lock taken; the background thread's own.
    passed: AtomicU8,
    pub(crate) id: u64,
}

/// How far the life of a socket has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// The application let go of it; output may still have to leave.
    Closing,
    Closed,
}

/// A socket's place with the background thread that looks after it.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) thread: Arc<IoThread>,
    pub(super) token: u64,
}

impl Registered {
    /// Has the thread call [`on_timer`](Serviced::on_timer) at once.
    pub(super) fn wake(&self) {
        self.thread.schedule(self.token, Instant::now());
    }
}

/// Everything behind a socket's lock.
pub(crate) struct State {
    pub(crate) options: Arc<Options>,
    /// What the C interface left here of options that this type does not have.
    pub(super) kept: Option<Box<Options>>,
    pub(super) pattern: Box<dyn Pattern>,
    /// The pattern [consumes](Pattern::consumes) what arrives.
    pub(super) consumes: bool,
    pub(crate) pipes: Pipes,
    pub(super) listeners: Slab<Listening>,
    pub(super) dialers: Slab<Dialer>,
    pub(super) inproc_names: Vec<String>,
    pub(super) lease: Lease,
    /// The background thread that looks after the socket, from its making to its end.
    pub(super) io: Option<Registered>,
    pub(super) timers: BinaryHeap<Timer>,
    /// The earliest time that the background thread was asked for.
    pub(super) scheduled: Option<Instant>,
    pub(crate) monitors: Monitors,
    pub(super) phase: Phase,
    pub(crate) last_endpoint: Option<String>,
    /// Connections whose peers the ZAP handler is to be asked about, by their tokens.
    pub(super) inquiries: Vec<u64>,
    pub(super) half_open: HalfOpen,

    pub(super) generation: u32,
    events: Events,
    spin: Spin,
    /// Sends that met a full kernel, to look for room at every few of them.
    backlogged: u32,
    /// When a sender last looked at what its peers have to say.
    looked: Instant,
    /// The socket has used a transport with descriptors. One that has only inproc peers is
    /// spared the system calls.
    pub(super) wired: bool,
    /// A connection had more to read than its turn allows; the background thread goes on with it.
    more: bool,
    /// Somebody has asked the set since the last tick.
    pub(super) harvested: bool,
    /// The set may report what was read without asking it.
    pub(super) probed: bool,
    /// What an event loop outside watches (ZMQ_FD), if the application has asked for it. From then on
    /// the background thread looks after the set whenever no call is under way.
    pub(super) watch: Option<Arc<Wake>>,
}

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience<'a> {
    /// As SNDTIMEO or RCVTIMEO tells.
    Option,
    /// Not at all.
    None,
    /// Not at all, but this task is to be woken when it is worth another try.
    Task(&'a Waker),
    /// For this long.
    For(Duration),
}

/// One call's progress from trying to sleeping.
struct Attempt<'a> {
    deadline: Option<Option<Instant>>,
    patience: Patience<'a>,
    default: Option<Duration>,
    spin_until: Option<Instant>,
    slept: Option<Instant>,
    tried: bool,
    /// It waits for what arrives, not for room.
    receives: bool,
    /// Its last look was at the only connection.
    probed: bool,
    /// How often it has looked while it spins.
    looks: u32,
}

impl<'a> Attempt<'a> {
    fn to_send(patience: Patience<'a>, default: Option<Duration>) -> Self {
        Attempt {
            receives: false,
            ..Attempt::to_recv(patience, default)
        }
    }

    fn to_recv(patience: Patience<'a>, default: Option<Duration>) -> Self {
        Attempt {
            deadline: None,
            patience,
            default,
            spin_until: None,
            slept: None,
            tried: false,
            receives: true,
            probed: false,
            looks: 0,
        }
    }

    /// Whether it may go on looking, however much there is to look at.
    fn has_time(&mut self) -> bool {
        self.may_wait() && self.deadline().is_none_or(|at| Instant::now() < at)
    }

    /// Something came. If that is not all that it waits for, more follows soon, most likely: a handshake is
    /// a conversation. So it may spin anew.
    fn came(&mut self, spin: &mut Spin) {
        let until = self.spin_until.take();
        if spin.is_under_way() && until.is_some_and(|until| Instant::now() < until) {
            spin.succeeded();
        }
    }

    fn may_wait(&self) -> bool {
        match self.patience {
            Patience::None | Patience::Task(_) => false,
            Patience::For(time) => !time.is_zero(),
            Patience::Option => self.default != Some(Duration::ZERO),
        }
    }

    /// When to give up; fixed at the first question.
    fn deadline(&mut self) -> Option<Instant> {
        let time = match self.patience {
            Patience::None | Patience::Task(_) => Some(Duration::ZERO),
            Patience::For(time) => Some(time),
            Patience::Option => self.default,
        };
        *self
            .deadline
            .get_or_insert_with(|| time.and_then(|time| Instant::now().checked_add(time)))
    }
}

impl Core {
    pub(crate) fn new(
        ctx: &Arc<Shared>,
        id: u64,
        kind: SocketType,
        mut options: Options,
    ) -> Result<Arc<Self>, SocketError> {
        options.check_for(kind).map_err(SocketError::Option)?;
        let kept = options.take_kept(kind);
        let pattern = pattern::of(kind, &options).ok_or(SocketError::Unsupported(kind))?;
        let mut pipes = Pipes::new();
        pipes.configure(&options);
        let affinity = options.affinity;
        let set = EventSet::new().map_err(SocketError::System)?;
        let core = Arc::new(Core {
            ctx: ctx.clone(),
            kind,
            signal: Signal::new(),
            set,
            state: Mutex::new(State {
                options: Arc::new(options),
                kept,
                consumes: pattern.consumes(),
                pattern,
                pipes,
                listeners: Slab::new(),
                dialers: Slab::new(),
                inproc_names: Vec::new(),
                lease: Lease::new(),
                io: None,
                timers: BinaryHeap::new(),
                scheduled: None,
                monitors: Monitors::default(),
                phase: Phase::Open,
                last_endpoint: None,
                inquiries: Vec::new(),
                half_open: HalfOpen::default(),

                generation: 0,
                events: Events::default(),
                spin: Spin::new(ctx.cpus()),
                backlogged: 0,
                looked: Instant::now(),
                wired: false,
                more: false,
                harvested: false,
                probed: false,
                watch: None,
            }),
            inbox: Mutex::new(Vec::new()),
            terminated: AtomicBool::new(false),
            passed: AtomicU8::new(0),
            id,
        });
        core.move_to_thread(&mut core.state.lock(), affinity)?;
        Ok(core)
    }

    /// Has a background thread that AFFINITY allows look after the socket.
    pub(super) fn move_to_thread(
        self: &Arc<Self>,
        st: &mut State,
        affinity: u64,
    ) -> Result<(), SocketError> {
        let thread = self.ctx.io_thread(affinity)?;
        if st
            .io
            .as_ref()
            .is_some_and(|io| Arc::ptr_eq(&io.thread, &thread))
        {
            return Ok(());
        }
        let token = thread
            .register(self.clone(), self.set.as_fd())
            .map_err(SocketError::System)?;
        self.leave_thread(st);
        st.io = Some(Registered { thread, token });
        st.scheduled = None;
        self.schedule(st);
        if !st.lease.is_armed() {
            // Leased, and the tick watched it from the thread before.
            self.arm(st, false);
            st.start_tick();
        }
        Ok(())
    }

    /// Nobody looks after the socket any more.
    pub(super) fn leave_thread(&self, st: &mut State) {
        if let Some(Registered { thread, token }) = st.io.take() {
            thread.deregister(token, self.set.as_fd());
        }
    }

    /// The lock, with the news of inproc pipes taken in.
    #[inline]
    pub(crate) fn lock(self: &Arc<Self>) -> MutexGuard<'_, State> {
        self.with_news(self.state.lock())
    }

    #[inline]
    fn with_news<'a>(self: &Arc<Self>, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if self.signal.absorb() {
            self.take_in_news(&mut st);
        }
        st
    }

    /// The lock for a tick. `None` if it is taken and that is no reason to wait.
    fn lock_for_tick(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        let passed = self.passed.load(Ordering::Relaxed);
        let st = match passed {
            PASSED_TICKS => Some(self.state.lock()),
            _ => self.state.try_lock(),
        };
        let passed = if st.is_some() { 0 } else { passed + 1 };
        self.passed.store(passed, Ordering::Relaxed);
        st.map(|st| self.with_news(st))
    }

    /// The lock as it is, for linking two sockets. Lock order: the context's inproc registry,
    /// then any number of sockets; nobody takes the registry while holding a socket.
    pub(crate) fn lock_for_link(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    #[inline(never)]
    fn take_in_news(self: &Arc<Self>, st: &mut State) {
        let news = std::mem::take(&mut *self.inbox.lock());
        for token in news {
            if let Some(id) = st.inquirer(token) {
                self.answered(st, id);
                continue;
            }
            let Token::Pipe(id, generation) = Token::decode(token) else {
                continue;
            };
            if !st.pipes.contains(id) || st.pipes.pipe(id).generation != generation {
                continue;
            }
            if st.consumes {
                st.consume(id);
            } else {
                st.pattern.readable(id);
                // Finds out, too, when the other end has closed.
                st.pipes.has_message(id);
            }
            if st.pipes.contains(id) {
                st.pattern.writable(id);
            }
        }
        self.settle(st);
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Acquire)
    }

    /// The context is being terminated: every call of this socket ends.
    pub(crate) fn terminate(self: &Arc<Self>) {
        self.forsake_inproc();
        {
            let st = self.lock();
            self.terminated.store(true, Ordering::Release);
            st.monitors.stop();
        }
        self.signal.raise();
    }

    // ---- send and receive ----

    /// Part of its caller for the same reason as [`recv`](Self::recv).
    #[inline]
    pub(crate) fn send(
        self: &Arc<Self>,
        message: impl Into<Message>,
        patience: Patience<'_>,
    ) -> Result<(), SendError> {
        // What drops any message takes 23 instructions, which is for the few that leave anything to drop.
        let mut message = ManuallyDrop::new(message.into());
        match self.send_from(&mut message, patience) {
            Ok(()) => {
                message.shed();
                Ok(())
            }
            Err(kind) => Err(SendError::new(kind, ManuallyDrop::into_inner(message))),
        }
    }

    /// Sends a message from where it is; if that fails it is still there.
    pub(super) fn send_from(
        self: &Arc<Self>,
        message: &mut Message,
        patience: Patience<'_>,
    ) -> Result<(), SendErrorKind> {
        self.send_by(patience, |pattern, pipes| pattern.send(pipes, message))
    }

    /// Waits until a message that begins with `first` would be taken, as a [`send`](Self::send) of it
    /// does, and sends nothing: for who has the frames of a message one by one.
    pub(crate) fn admit(
        self: &Arc<Self>,
        first: &Frame,
        patience: Patience<'_>,
    ) -> Result<(), SendErrorKind> {
        self.send_by(patience, |pattern, pipes| pattern.admits(pipes, first))
    }

    fn send_by(
        self: &Arc<Self>,
        patience: Patience<'_>,
        mut attempt_it: impl FnMut(&mut dyn Pattern, &mut Pipes) -> Result<(), SendErrorKind>,
    ) -> Result<(), SendErrorKind> {
        let mut st = self.lock();
        self.look_before_send(&mut st);
        let mut attempt = None;
        let error = loop {
            if self.is_terminated() {
                break SendErrorKind::Terminated;
            }
            let st_mut = &mut *st;
            match attempt_it(&mut *st_mut.pattern, &mut st_mut.pipes) {
                Ok(()) => {
                    let deferred = self.after_send(st_mut);
                    if let Some(attempt) = attempt {
                        self.done_waiting(st_mut, &attempt, true);
                        let awaited = self.signal.is_awaited();
                        if awaited && st_mut.pattern.can_send(&mut st_mut.pipes) {
                            self.signal.raise();
                        }
                    }
                    self.part(st);
                    if deferred {
                        self.defer();
                    }
                    return Ok(());
                }
                Err(SendErrorKind::WouldBlock) => {
                    let attempt = attempt
                        .get_or_insert_with(|| Attempt::to_send(patience, st.options.sndtimeo));
                    let (next, end) = self.wait(st, attempt);
                    st = next;
                    if let Some(end) = end {
                        break match end {
                            Waited::Interrupted => SendErrorKind::Interrupted,
                            _ => SendErrorKind::WouldBlock,
                        };
                    }
                }
                Err(refused) => {
                    self.settle(st_mut);
                    break refused;
                }
            }
        };
        if let Some(attempt) = attempt {
            self.done_waiting(&mut st, &attempt, false);
        }
        self.part(st);
        Err(error)
    }

    /// A publisher learns of its subscribers from the background thread, which may be late: a
    /// subscription that is there already counts for what is sent now. In a burst, where a look would
    /// cost as much as the message, the next pause is soon enough.
    #[inline]
    fn look_before_send(self: &Arc<Self>, st: &mut State) {
        if !st.wired || !st.consumes || st.pipes.is_deferring() {
            return;
        }
        let now = Instant::now();
        if now.duration_since(st.looked) > SILENCE {
            st.looked = now;
            self.harvest(st);
        }
    }

    /// Part of its caller, so that the message is where that wants it when it has come: whoever moves
    /// bytes that were just copied as one waits for the processor, which was a tenth of the time.
    #[inline]
    pub(crate) fn recv(self: &Arc<Self>, patience: Patience<'_>) -> Result<Message, RecvError> {
        let mut received = Ok(Message::new());
        if let Ok(slot) = &mut received
            && let Err(error) = self.recv_into(patience, slot)
        {
            received = Err(error);
        }
        received
    }

    /// Receives a message in the place of the one in `slot`.
    #[inline(never)]
    pub(crate) fn recv_into(
        self: &Arc<Self>,
        patience: Patience<'_>,
        slot: &mut Message,
    ) -> Result<(), RecvError> {
        self.recv_by(patience, slot, |_, _| {})
    }

    /// Receives into `slot`, and has `regard` look at the message while its pipe is surely there.
    pub(super) fn recv_by(
        self: &Arc<Self>,
        patience: Patience<'_>,
        slot: &mut Message,
        mut regard: impl FnMut(&Pipes, &Message),
    ) -> Result<(), RecvError> {
        let mut st = self.lock();
        let mut attempt = None;
        let error = loop {
            if self.is_terminated() {
                break RecvError::Terminated;
            }
            let st_mut = &mut *st;
            let received = st_mut.pattern.recv(&mut st_mut.pipes, slot);
            if received == Ok(true) {
                regard(&st_mut.pipes, slot);
            }
            let happened = !st_mut.pipes.happened.is_empty();
            if happened {
                self.settle(st_mut);
            }
            match received {
                Ok(true) => {
                    self.after_recv(st_mut, attempt.as_ref());
                    self.part(st);
                    return Ok(());
                }
                // A peer that has just gone may have left a word.
                Ok(false) if happened => continue,
                Ok(false) => {}
                Err(error) => break error,
            }
            let attempt =
                attempt.get_or_insert_with(|| Attempt::to_recv(patience, st.options.rcvtimeo));
            let (next, end) = self.wait(st, attempt);
            st = next;
            match end {
                None => {}
                Some(Waited::Interrupted) => break RecvError::Interrupted,
                Some(_) => break RecvError::WouldBlock,
            }
        };
        if let Some(attempt) = attempt {
            self.done_waiting(&mut st, &attempt, false);
        }
        // A sender that waits may have heard a message that was to wake nobody but this receiver.
        self.pass_on(&mut st);
        self.part(st);
        Err(error)
    }

    /// Polls a send: `Ready` with the outcome, or the message stays in `slot`.
    #[inline]
    pub(crate) fn poll_send(
        self: &Arc<Self>,
        cx: &mut TaskContext<'_>,
        slot: &mut Option<Message>,
    ) -> Poll<Result<(), SendError>> {
        let Some(message) = slot else {
            return Poll::Ready(Ok(()));
        };
        match self.send_from(message, Patience::Task(cx.waker())) {
            Ok(()) => {
                *slot = None;
                Poll::Ready(Ok(()))
            }
            Err(SendErrorKind::WouldBlock) => Poll::Pending,
            Err(kind) => {
                let message = slot.take().unwrap_or_default();
                Poll::Ready(Err(SendError::new(kind, message)))
            }
        }
    }

    #[inline]
    pub(crate) fn poll_recv(
        self: &Arc<Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Message, RecvError>> {
        match self.recv(Patience::Task(cx.waker())) {
            Err(RecvError::WouldBlock) => Poll::Pending,
            outcome => Poll::Ready(outcome),
        }
    }

    /// A call is over.
    #[inline(always)]
    fn part(self: &Arc<Self>, mut st: MutexGuard<'_, State>) {
        // As long as nobody waits, whoever comes next deals with a pipe that was found empty.
        if st.pipes.is_dry() && self.signal.is_awaited() && st.announce() {
            self.signal.raise();
        }
        if !st.pipes.withheld.is_empty() {
            self.ask_for_withheld(st);
        }
    }

    /// Has inproc peers hand over what they hold back. Their locks are taken, so not with this one.
    #[cold]
    fn ask_for_withheld(self: &Arc<Self>, mut st: MutexGuard<'_, State>) {
        let withheld = std::mem::take(&mut st.pipes.withheld);
        drop(st);
        withheld.iter().for_each(|far| far.hand_over(true));
    }

    /// Before a pause of any kind: the inproc pipes that were found empty are told so. `Err` if
    /// the caller should look again.
    fn before_pause<'a>(
        self: &'a Arc<Self>,
        mut st: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, MutexGuard<'a, State>> {
        if st.announce() {
            return Err(st);
        }
        if st.pipes.withheld.is_empty() {
            return Ok(st);
        }
        self.ask_for_withheld(st);
        Err(self.lock())
    }

    /// What a receive does once it has its message.
    #[inline]
    fn after_recv(self: &Arc<Self>, st: &mut State, attempt: Option<&Attempt<'_>>) {
        if st.pipes.is_dry() {
            // Somebody else's messages are not to keep it from being looked at again.
            st.announce();
        }
        match attempt {
            Some(attempt) => self.done_waiting(st, attempt, true),
            None if st.pipes.unread_len() > 0 => self.come_again(st),
            None => {}
        }
        if st.pipes.after_recv() {
            st.start_tick();
        }
        self.pass_on(st);
    }

    /// A receiver leaves: a message that is there is for whoever else waits.
    #[inline]
    fn pass_on(&self, st: &mut State) {
        if self.signal.is_awaited() && st.can_recv() {
            self.signal.raise();
        }
    }

    /// Output that a send left behind leaves now or in company. True if it has just begun to wait for that.
    #[inline]
    fn after_send(self: &Arc<Self>, st: &mut State) -> bool {
        let deferred = st.pipes.after_send();
        if deferred {
            st.start_tick();
        }
        if std::mem::take(&mut st.pipes.backlog) {
            self.push_on(st);
        }
        if !st.pipes.happened.is_empty() {
            self.settle(st);
        }
        deferred
    }

    /// The sender is faster than the kernel. It takes the lease, so that the background thread
    /// is not woken for every bit of room (two threads writing in turn, and waiting for the lock
    /// in turn, halved the throughput of 8-KiB messages), and looks for room itself now and then.
    #[cold]
    fn push_on(self: &Arc<Self>, st: &mut State) {
        self.come_again(st);
        st.backlogged = st.backlogged.wrapping_add(1);
        if st.backlogged.is_multiple_of(LOOK_FOR_ROOM) {
            self.harvest(st);
        }
    }

    // ---- waiting ----

    /// One step from "nothing there" towards sleep. `Some` tells why waiting is over; `None`
    /// means: look again.
    fn wait<'a>(
        self: &'a Arc<Self>,
        mut st: MutexGuard<'a, State>,
        attempt: &mut Attempt<'_>,
    ) -> (MutexGuard<'a, State>, Option<Waited>) {
        if st.watch.is_some() {
            self.signal.rearm();
        }
        let writes = st.pipes.is_dirty();
        st.pipes.flush_dirty();
        if attempt.receives {
            st.pipes.company_waits();
        }
        let probed = std::mem::take(&mut attempt.probed);
        // What it is about to look at tells the most, or even as much as the set.
        let probes = attempt.receives && attempt.may_wait() && st.has_only();
        let direct = probes && st.alone().is_some();
        let came = !probed && !probes && self.harvest(&mut st);
        if came || !st.pipes.happened.is_empty() {
            self.settle(&mut st);
            attempt.came(&mut st.spin);
            // There may be news without end: whoever else wants the lock gets it now.
            MutexGuard::bump(&mut st);
            if !std::mem::replace(&mut attempt.tried, true) || attempt.has_time() {
                return (st, None);
            }
            if let Patience::Task(waker) = attempt.patience {
                // There may be more to do, but other tasks want to run as well.
                waker.wake_by_ref();
            }
            return (st, Some(Waited::TimedOut));
        }
        let task = match attempt.patience {
            Patience::Task(waker) => Some(waker),
            _ if !attempt.may_wait() => {
                return match self.before_pause(st) {
                    Ok(st) => (st, Some(Waited::TimedOut)),
                    Err(st) => (st, None),
                };
            }
            _ => None,
        };
        if writes {
            // It may have been all that took the room that a sender waits for: the kernel tells nothing of
            // what it took at once.
            return (st, None);
        }
        let deadline = attempt.deadline();
        let now = Instant::now();
        if task.is_none() && deadline.is_some_and(|at| at <= now) {
            if probes && !probed {
                attempt.probed = st.probe();
                return (st, None);
            }
            if probed && !direct && !std::mem::replace(&mut attempt.tried, true) {
                self.harvest(&mut st);
                return (st, None);
            }
            return (st, Some(Waited::TimedOut));
        }
        // Before the spin: the peer that is waited for may be waiting for just that.
        if attempt.spin_until.is_none() && self.has_deferred_elsewhere() {
            drop(st);
            Self::flush_deferred(self.ctx.process());
            // Taking the lock again took in news, perhaps.
            return (self.lock(), None);
        }
        let budget = match task {
            Some(_) => st.options.spin.min(TASK_SPIN),
            None => st.options.spin,
        };
        let until = *attempt
            .spin_until
            .get_or_insert_with(|| now + st.spin.budget(budget));
        let spins = now < until;
        if (spins || task.is_none()) && st.lease.take() {
            self.arm(&st, false);
        }
        if spins {
            if let Some(id) = st.pipes.listen(|| self.signal.is_pending()) {
                st.pattern.readable(id);
                return (st, None);
            }
            attempt.looks += 1;
            if probes && !direct && attempt.looks.is_multiple_of(LOOK_AT_SET) {
                self.harvest(&mut st);
            }
            attempt.probed = attempt.receives && st.probe();
            drop(st);
            std::hint::spin_loop();
            return (self.lock(), None);
        }
        // What was read by probing is reported still.
        if !direct && (probed || probes) && self.harvest(&mut st) {
            MutexGuard::bump(&mut st);
            return (st, None);
        }
        if let Some(waker) = task {
            st.spin.gave_up();
            return match self.before_pause(st) {
                Ok(st) => self.park(st, waker),
                Err(st) => (st, None),
            };
        }
        st.spin.gave_up();
        st = match self.before_pause(st) {
            Ok(st) => st,
            Err(st) => return (st, None),
        };
        if self.read_ahead(&mut st) {
            MutexGuard::bump(&mut st);
            return (st, None);
        }
        attempt.slept = Some(now);
        let alone = if direct { st.alone().cloned() } else { None };
        let fd = alone.as_ref().map_or(self.set.as_fd(), |fd| fd.as_fd());
        let Some(wake) = sys::own_wake(self.ctx.process()) else {
            drop(st);
            sys::poll_readable([fd], Some(sys::nap()));
            let mut st = self.lock();
            attempt.probed = alone.is_some() && st.probe();
            return (st, None);
        };
        st.lease.enter();
        st.pipes.beside += usize::from(alone.is_some());
        let sleep = self.signal.sleep(wake.clone());
        drop(st);
        let waited = match &sleep {
            Some(_) => sys::poll_readable([fd, wake.as_fd()], deadline),
            None => Waited::Ready,
        };
        drop(sleep);
        let mut st = self.lock();
        st.lease.leave();
        st.pipes.beside -= usize::from(alone.is_some());
        match waited {
            Waited::Ready => {
                attempt.probed = alone.is_some() && st.probe();
                if attempt.probed || self.harvest(&mut st) {
                    attempt.came(&mut st.spin);
                }
                self.settle(&mut st);
                (st, None)
            }
            end => (st, Some(end)),
        }
    }

    /// Leaves a task's waker. `None` as in [`wait`](Self::wait): it should look again at once.
    ///
    /// All in one hold of the lock since the last look: who changes something later finds the
    /// waker there.
    fn park<'a>(
        self: &'a Arc<Self>,
        mut st: MutexGuard<'a, State>,
        waker: &Waker,
    ) -> (MutexGuard<'a, State>, Option<Waited>) {
        if self.read_ahead(&mut st) {
            return (st, None);
        }
        if !self.signal.register(waker) {
            drop(st);
            return (self.lock(), None);
        }
        if st.lease.give_up() {
            self.arm(&st, true);
        }
        (st, Some(Waited::TimedOut))
    }

    /// Before a sleep: takes in what was reported readable and not read by this caller (one that
    /// waits for room reads nothing), for it will not be reported again. True if that brought
    /// anything to look at.
    fn read_ahead(self: &Arc<Self>, st: &mut State) -> bool {
        // Most have been read empty by now.
        st.pipes.prune_unread();
        if st.pipes.unread_len() == 0 || !self.drive_ahead(st) {
            return false;
        }
        if self.signal.is_awaited() {
            self.signal.raise();
        }
        true
    }

    /// A call that looked more than once is over, with success or not.
    fn done_waiting(self: &Arc<Self>, st: &mut State, attempt: &Attempt<'_>, success: bool) {
        if success && attempt.spin_until.is_some() && attempt.slept.is_none() {
            st.spin.succeeded();
        }
        let slept = attempt.slept.map_or(Duration::ZERO, |at| at.elapsed());
        st.spin.slept(slept, st.options.spin);
        if slept > Duration::from_millis(1) {
            st.lease.missed();
        } else if success && st.lease.is_expected() {
            return self.come_again(st);
        }
        self.let_go(st);
    }

    /// The caller does not know when it will be back. Who looks after the set then is told of
    /// what arrives, but not of what was reported before and is still to be read.
    pub(super) fn let_go(self: &Arc<Self>, st: &mut State) {
        if st.probed {
            // The set still reports what was read without it, and would have the background thread look.
            self.harvest(st);
            self.drive_ahead(st);
        }
        st.pipes.prune_unread();
        if st.watch.is_some() {
            if st.pipes.unread_len() > 0 {
                // The tick goes on reading, and raises the alarm.
                st.more = true;
                st.start_tick();
            }
            if st.lease.give_up() {
                self.arm(st, true);
            }
        } else if st.pipes.unread_len() > 0 {
            self.come_again(st);
        } else if st.lease.give_back() {
            self.arm(st, true);
        }
    }

    /// The caller will be back in a moment: it keeps the lease, and the tick watches it.
    fn come_again(self: &Arc<Self>, st: &mut State) {
        if st.watch.is_some() {
            return self.let_go(st);
        }
        if st.lease.take() {
            self.arm(st, false);
        }
        if st.lease.keep() {
            st.start_tick();
        }
    }

    pub(super) fn arm(&self, st: &State, on: bool) {
        if let Some(Registered { thread, token }) = &st.io {
            thread.arm(*token, self.set.as_fd(), on);
        }
    }

    /// The descriptor to sleep on, for `poll`.
    pub(crate) fn set_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// The descriptor that is readable when the socket's state may have changed since
    /// [`readiness`](Self::readiness) was last asked for.
    pub(crate) fn watch(self: &Arc<Self>) -> std::io::Result<Arc<Wake>> {
        let mut st = self.lock();
        if let Some(wake) = &st.watch {
            return Ok(wake.clone());
        }
        let wake = Arc::new(Wake::new()?);
        self.signal.watch(wake.clone());
        st.watch = Some(wake.clone());
        self.let_go(&mut st);
        Ok(wake)
    }

    /// Whether a send would go through now, as far as is known without asking the kernel.
    pub(crate) fn has_room(self: &Arc<Self>) -> bool {
        let mut guard = self.lock();
        let st = &mut *guard;
        let room = st.pattern.can_send(&mut st.pipes);
        self.settle(st);
        room
    }

    /// Whether a receive and a send would go through now, doing the I/O that it takes to know.
    pub(crate) fn readiness(self: &Arc<Self>) -> (bool, bool) {
        let mut guard = self.lock();
        if guard.watch.is_some() {
            self.signal.rearm();
        }
        guard.pipes.flush_dirty();
        self.harvest(&mut guard);
        self.settle(&mut guard);
        let (mut guard, ready) = loop {
            let st = &mut *guard;
            let ready = (st.can_recv(), st.pattern.can_send(&mut st.pipes));
            // A peer that has just gone may have left a word.
            if !st.pipes.happened.is_empty() {
                self.settle(st);
                continue;
            }
            guard = match self.before_pause(guard) {
                Err(guard) if !ready.0 => guard,
                Ok(guard) | Err(guard) => break (guard, ready),
            };
        };
        if guard.pipes.unread_len() > 0 {
            self.let_go(&mut guard);
        }
        ready
    }

    /// A `poll` call is about to sleep on the set and on its `wake`. `None` if it should look
    /// again at once; it [leaves](Self::leave_poll) in either case.
    pub(crate) fn enter_poll(
        self: &Arc<Self>,
        interest: (bool, bool),
        wake: Option<&Arc<Wake>>,
    ) -> Option<Sleep<'_, Arc<Wake>>> {
        let mut guard = self.lock();
        let st = &mut *guard;
        if st.lease.take() {
            self.arm(st, false);
        }
        st.lease.enter();
        // Since the caller's last look the lock was free: whoever took something in meanwhile
        // found nobody to tell.
        let came = self.read_ahead(st);
        let ready = interest.0 && st.can_recv() || interest.1 && st.pattern.can_send(&mut st.pipes);
        let terminated = self.is_terminated();
        let news = st.announce() || !st.pipes.withheld.is_empty();
        if came || ready || terminated || news || !st.pipes.happened.is_empty() {
            return None;
        }
        self.signal.sleep(wake?.clone())
    }

    /// A `poll` call is back.
    pub(crate) fn leave_poll(self: &Arc<Self>, soon: bool) {
        let mut st = self.lock();
        st.lease.leave();
        if soon {
            self.come_again(&mut st);
        } else {
            self.let_go(&mut st);
        }
    }

    // ---- driving ----

    /// Takes in what the descriptors report. True if there was anything.
    pub(super) fn harvest(self: &Arc<Self>, st: &mut State) -> bool {
        if !st.wired {
            return false;
        }
        st.harvested = true;
        st.probed = false;
        let mut events = std::mem::take(&mut st.events);
        let mut any = false;
        loop {
            self.set.wait(&mut events, Some(Duration::ZERO));
            for ready in events.iter() {
                any = true;
                self.on_ready(st, Token::decode(ready.token), ready);
            }
            // Batch by batch: ten thousand connections that end together hold a buffer each
            // until they are dealt with.
            self.settle(st);
            if !events.is_full() {
                break;
            }
        }
        st.events = events;
        if any && self.signal.is_awaited() {
            self.signal.raise();
        }
        any
    }

    fn on_ready(self: &Arc<Self>, st: &mut State, token: Token, ready: Ready) {
        match token {
            Token::Listener(index) => self.accept(st, index),
            Token::Dialer(index, generation) => self.dialed(st, index, generation, true),
            // No descriptor has such a token.
            Token::Inquiry(..) => {}
            Token::Pipe(id, generation) => {
                if st.pipes.contains(id) && st.pipes.pipe(id).generation == generation {
                    self.on_pipe_ready(st, id, ready);
                }
            }
        }
    }

    fn on_pipe_ready(self: &Arc<Self>, st: &mut State, id: PipeId, ready: Ready) {
        let Some((conn, _)) = st.pipes.conn_and_pool(id) else {
            return;
        };
        conn.readable |= ready.readable;
        conn.writable |= ready.writable;
        conn.hung |= ready.hung;
        if conn.in_handshake() {
            return self.shake(st, id);
        }
        if st.pipes.pipe(id).ending {
            st.pipes.flush(id);
            return self.reap(st, id);
        }
        if ready.writable && st.pipes.pipe(id).has_output() {
            st.pipes.flush(id);
        }
        if ready.writable {
            st.pattern.writable(id);
        }
        if ready.readable {
            if st.consumes {
                st.consume(id);
            } else {
                st.pipes.mark_unread(id);
                st.pattern.readable(id);
            }
        }
    }

    /// Receives ahead of the application on all pipes reported readable. True if anything came.
    fn drive_ahead(self: &Arc<Self>, st: &mut State) -> bool {
        let mut came = false;
        let mut full = Vec::new();
        st.more = false;
        for _ in 0..st.pipes.unread_len() {
            let Some(id) = st.pipes.take_unread() else {
                break;
            };
            if st.pipes.pipe(id).ending {
                continue;
            }
            if st.consumes {
                st.consume(id);
                came = true;
            } else if st.pipes.pull(id) {
                came = true;
                st.pattern.readable(id);
            }
            if st.pipes.is_unread(id) {
                st.more = true;
            } else if st.pipes.contains(id) && !st.pipes.wants_input(id) {
                full.push(id);
            }
        }
        // These have more in the kernel than they may hold: whoever takes from them reads on.
        full.into_iter().for_each(|id| st.pipes.mark_unread(id));
        st.pipes.flush_dirty();
        // A peer that has just gone may have left a word.
        came |= !st.pipes.happened.is_empty();
        self.settle(st);
        if st.more {
            st.start_tick();
        }
        came || st.more
    }

    /// Deals with the pipes that failed, and with the end of the socket once it is closing.
    pub(super) fn settle(self: &Arc<Self>, st: &mut State) {
        while let Some((id, what)) = st.pipes.happened.pop() {
            match what {
                Happened::Failed(why) => self.pipe_failed(st, id, why),
                Happened::Drained => self.remove(st, id),
                Happened::Left => self.leave(st, id, None),
                Happened::Pinged => self.watch_ttl(st, id),
                Happened::Blocked => self.signal.raise(),
            }
        }
        if st.phase == Phase::Closing {
            self.finish_closing(st);
        }
    }
}

impl State {
    /// The background thread's tick is wanted.
    fn start_tick(&self) {
        if let Some(Registered { thread, token }) = &self.io {
            thread.start_tick(*token);
        }
    }

    fn can_recv(&mut self) -> bool {
        self.pattern.can_recv(&mut self.pipes)
    }

    /// Hands what a pipe brings to a pattern that takes it as it comes; for at most a turn: if
    /// that was not all, the pipe stays unread, and the background thread goes on with it. Who is here may have
    /// come for no more than a look.
    pub(super) fn consume(&mut self, id: PipeId) {
        let mut turn = 0;
        let mut message = Message::new();
        loop {
            if !self.pipes.recv_each(id, &mut message) {
                match self.pipes.announce(id) {
                    true => continue,
                    false => return,
                }
            }
            self.pattern.inbound(&mut self.pipes, id, &mut message);
            if !self.pipes.contains(id) {
                return;
            }
            turn += 1;
            if turn >= AT_ONCE && self.pipes.pipe(id).conn().is_some() {
                self.pipes.mark_unread(id);
                self.more = true;
                return self.start_tick();
            }
        }
    }

    /// Has the inproc peers whose pipes were found empty tell of what comes next. True if
    /// something has come.
    #[inline(never)]
    fn announce(&mut self) -> bool {
        let mut found = false;
        self.pipes.announce_all(|id| {
            self.pattern.readable(id);
            found = true;
        });
        found
    }
}

impl Inbox for Core {
    fn tell(&self, token: u64) {
        self.inbox.lock().push(token);
        self.signal.raise();
    }

    fn hand_over(&self, token: u64, wait: bool) {
        let st = match wait {
            true => Some(self.state.lock()),
            false => self.state.try_lock(),
        };
        if let (Some(mut st), Token::Pipe(id, generation)) = (st, Token::decode(token)) {
            st.pipes.hand_over(id, generation);
        }
    }
}

impl Serviced for Core {
    fn service(self: Arc<Self>) {
        let mut st = self.lock();
        if st.phase == Phase::Closed {
            return;
        }
        let mut changed = self.harvest(&mut st);
        changed |= self.drive_ahead(&mut st);
        // Who waits for the lock reads on itself; else it would not get it until all is read. (1 MiB to a task:
        // 10.3 thousand a second instead of 3 to 8.)
        MutexGuard::unlock_fair(st);
        if changed && self.signal.is_awaited() {
            self.signal.raise();
        }
    }

    fn on_timer(self: Arc<Self>, now: Instant) {
        self.bring_inquiries();
        let mut st = self.lock();
        if st.phase == Phase::Closed {
            return;
        }
        self.run_timers(&mut st, now);
        st.pipes.flush_dirty();
        self.settle(&mut st);
        drop(st);
        if self.signal.is_awaited() {
            self.signal.raise();
        }
    }

    fn tick(self: Arc<Self>, ticks: u8) -> Next {
        let Some(mut st) = self.lock_for_tick() else {
            // Whoever has it looks after the socket. If it has left anything to be done since a tick with which
            // all was well, it has asked for this one.
            return match ticks {
                1 => Next::Soon,
                _ => Next::Late,
            };
        };
        if st.phase == Phase::Closed {
            return Next::Never;
        }
        st.pipes.flush_in_time();
        self.settle(&mut st);
        st.pipes.prune_unread();
        match st.lease.tick(ticks) {
            Tick::Again { visited } => {
                // A caller that always finds something never looks for more: without this, peers
                // that fell silent once would not be heard beside one that floods. One that has looked
                // needs none of this: it would only find the lock taken.
                let looked = st.harvested || !st.wired;
                if !looked {
                    self.harvest(&mut st);
                }
                st.harvested = false;
                if st.more {
                    self.drive_ahead(&mut st);
                }
                match visited && looked && !st.more && !st.pipes.is_dirty() {
                    true => Next::Late,
                    false => Next::Soon,
                }
            }
            Tick::Rest | Tick::Done if !st.more => Next::soon_if(st.pipes.is_dirty()),
            tick => {
                if tick == Tick::TakeBack {
                    self.arm(&st, true);
                }
                let came = self.drive_ahead(&mut st);
                let next = Next::soon_if(st.more || st.pipes.is_dirty());
                drop(st);
                if came && self.signal.is_awaited() {
                    self.signal.raise();
                }
                next
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::Context;

    /// What a SUB with so many topics says first: greeting, READY, subscriptions.
    fn subscriber(topics: usize) -> Vec<u8> {
        let mut words = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL".to_vec();
        words.resize(64, 0);
        words.extend(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
        for topic in 0..topics {
            words.extend(format!("\0\x06\x01{topic:05}").bytes());
        }
        words
    }

    #[test]
    fn a_tick_passes_by_a_socket_that_is_in_use_but_not_forever() {
        let context = Context::new();
        let socket = context.socket(SocketType::Pull).unwrap();
        let held = socket.core().lock_for_link();
        let tick = || socket.core().clone().tick(1) != Next::Never;
        assert!((0..PASSED_TICKS).all(|_| tick()), "it is to come again");
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| tell.send(tick()));
            let early = told.recv_timeout(Duration::from_millis(50));
            drop(held);
            assert!(early.is_err(), "the next tick waits");
            assert_eq!(told.recv(), Ok(false), "it is not leased");
        });
        // It has had the lock.
        let _held = socket.core().lock_for_link();
        assert!(tick());
    }

    #[test]
    fn ticks_are_passed_over_while_the_caller_looks_after_everything() {
        let context = Context::new();
        let socket = context.socket(SocketType::Pull).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let tick = |ticks| socket.core().clone().tick(ticks);
        let comes = || {
            let mut st = socket.core().lock();
            let _ = st.lease.take();
        };
        let looks = || socket.core().lock().harvested = true;
        comes();
        looks();
        assert_eq!(tick(1), Next::Late);
        looks();
        assert_eq!(tick(1), Next::Soon, "it has not come since");
        comes();
        assert_eq!(tick(2), Next::Soon, "it has not looked");
        comes();
        looks();
        let held = socket.core().lock_for_link();
        assert_eq!(tick(1), Next::Soon, "it is there, but was not before");
        assert_eq!(tick(2), Next::Late, "it was there before");
        drop(held);
        assert_eq!(tick(8), Next::Late);
    }

    #[test]
    fn what_is_left_of_a_message_that_was_sent_is_freed() {
        for endpoint in ["tcp://127.0.0.1:*", "inproc://left"] {
            let context = Context::new();
            let from = context.socket(SocketType::Pull).unwrap();
            let to = context.socket(SocketType::Push).unwrap();
            to.connect(&from.bind(endpoint).unwrap()).unwrap();
            let body = bytes::Bytes::from(vec![7; 100]);
            let mut two = Message::from("first");
            two.push_back(body.clone());
            for message in [Message::from(body.clone()), two] {
                to.send(message).unwrap();
                assert_eq!(from.recv().unwrap().body(), &[7; 100]);
            }
            assert!(body.is_unique(), "{endpoint}");
        }
    }

    /// Whoever looks at the descriptors takes a connection's turn of what there is. The rest was nobody's where
    /// that was a look before a send, or at the number of topics.
    #[test]
    fn subscriptions_beyond_a_turn_arrive_whoever_looked() {
        const TOPICS: usize = 5 * AT_ONCE;
        let context = Context::new();
        let at = |bound: String| TcpStream::connect(bound.trim_start_matches("tcp://")).unwrap();
        let other = context.socket(SocketType::Pull).unwrap();
        let publisher = context.socket(SocketType::Pub).unwrap();
        let door = other.bind("tcp://127.0.0.1:*").unwrap();
        let bound = publisher.bind("tcp://127.0.0.1:*").unwrap();
        // The background thread has to wait for the other socket's lock.
        let held = other.core().lock_for_link();
        let _knocking = at(door);
        let mut peer = at(bound);
        peer.write_all(&subscriber(TOPICS)).unwrap();
        let begun = Instant::now();
        let known = |topics| {
            while publisher.topics() < Some(topics) {
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "{:?}",
                    publisher.topics()
                );
            }
        };
        known(AT_ONCE);
        drop(held);
        known(TOPICS);
    }
}
