//! Models of the hand-over: who looks after a socket's descriptors, and who is woken by what.
//!
//! [`Kernel`] is the operating system as one socket with one connection sees it: a set of
//! descriptors that reports an edge once, alarms that stay on, the background thread's interest
//! in the set. [`Socket`] follows `socket/core.rs` function by function, around the very `Lease`
//! and `Signal` that it uses; what a pipe, a pattern and a clock do is reduced to counting.
//!
//! After each model the applications are gone and the background thread is let run until it has
//! nothing to do: whatever has arrived must then have been read, or nobody would ever look.

use std::sync::Arc;
// The background thread's own, so no steps of a model.
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use loom::thread::{self, JoinHandle};

use crate::lease::{Lease, Tick};
use crate::signal::{Alarm, Signal, Sleep};
use crate::sync::{Mutex, MutexGuard, Watched};
use crate::{check, must_fail};

/// Threads of the application in one model, at most.
const CALLERS: usize = 2;

#[derive(Default)]
struct Kernel {
    /// Messages received by the system and not read by the socket.
    arrived: usize,
    /// Messages that the system will take.
    room: usize,
    /// The set has a report of arrivals, of room, that nobody has collected.
    readable: bool,
    writable: bool,
    /// The background thread is woken by the set.
    armed: bool,
    /// The background thread ticks for the socket.
    ticking: bool,
    /// Each caller's alarm.
    alarms: [bool; CALLERS],
    /// Each caller's time is up.
    expired: [bool; CALLERS],
    /// The background thread ends when it has nothing to do.
    stop: bool,
}

impl Kernel {
    fn has_report(&self) -> bool {
        self.readable || self.writable
    }
}

type Os = Arc<Watched<Kernel>>;

/// A caller's own alarm.
#[derive(Clone)]
struct Bell(Os, usize);

impl Alarm for Bell {
    fn set(&self) {
        self.0.change(|kernel| kernel.alarms[self.1] = true);
    }

    fn clear(&self) {
        self.0.change(|kernel| kernel.alarms[self.1] = false);
    }
}

/// What a caller wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Message,
    Room,
}

#[derive(Clone, Copy)]
enum Patience<'a> {
    None,
    Task(&'a Waker),
    /// Until its time is up.
    Some,
}

/// The rules that a socket may break.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// A call that ends without success leaves its lease as it is.
    KeepsTheLease,
    /// A lease is given back though something reported is not read.
    GivesBackUnread,
    /// A sleeper does not read what it was not waiting for.
    SleepsOnUnread,
    /// A task parks though the set has just reported something.
    ParksOnReports,
    /// A task registers after it has let go of the lock.
    RegistersLate,
    /// A poll announces itself without another look.
    AnnouncesBlindly,
    /// A caller that let go of the lock sleeps without another look.
    SleepsUnlooked,
    /// A tick ends the lease without arming the set.
    ForgetsToArm,
    /// A drive that leaves something does not ask for a tick.
    ForgetsTheRest,
    /// A tick that finds the lock taken is the last.
    PassesForGood,
}

struct State {
    lease: Lease,
    /// The connection may have something to read.
    readable: bool,
    /// It was reported and may not be read empty.
    unread: bool,
    /// Messages read and not decoded.
    bytes: usize,
    /// Messages decoded and not taken.
    queue: usize,
    taken: usize,
    /// The last drive left something: it reads a bounded number of messages at a time.
    more: bool,
    /// Somebody has asked the set since the last tick.
    harvested: bool,
}

struct Socket {
    os: Os,
    signal: Signal<Bell>,
    state: Mutex<State>,
    /// Messages of an inproc peer.
    inbox: Mutex<usize>,
    flaw: Flaw,
    /// Callers expect to be back soon.
    busy: bool,
    /// The last tick found the lock taken; the next waits for it, as the fourth in a row does.
    passed: AtomicBool,
}

#[derive(PartialEq, Eq)]
enum Waited {
    Ready,
    TimedOut,
}

struct Attempt<'a> {
    patience: Patience<'a>,
    who: usize,
    tried: bool,
    slept: bool,
    /// Looks to be made before sleeping.
    spins: usize,
    /// Other sockets of this thread have output that waits for company.
    deferred: bool,
}

impl<'a> Attempt<'a> {
    fn new(patience: Patience<'a>, who: usize) -> Self {
        Attempt {
            patience,
            who,
            tried: false,
            slept: false,
            spins: 0,
            deferred: false,
        }
    }

    fn may_wait(&self) -> bool {
        matches!(self.patience, Patience::Some)
    }
}

type Guard<'a> = MutexGuard<'a, State>;

impl Socket {
    fn new(flaw: Flaw, busy: bool) -> Arc<Self> {
        let kernel = Kernel {
            armed: true,
            ..Kernel::default()
        };
        Arc::new(Socket {
            os: Arc::new(Watched::new(kernel)),
            signal: Signal::new(),
            state: Mutex::new(State {
                lease: Lease::new(),
                readable: false,
                unread: false,
                bytes: 0,
                queue: 0,
                taken: 0,
                more: false,
                harvested: false,
            }),
            inbox: Mutex::new(0),
            flaw,
            busy,
            passed: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> Guard<'_> {
        self.with_news(self.state.lock())
    }

    fn with_news<'a>(&self, mut st: Guard<'a>) -> Guard<'a> {
        if self.signal.absorb() {
            st.queue += std::mem::take(&mut *self.inbox.lock());
        }
        st
    }

    fn lock_for_tick(&self) -> Option<Guard<'_>> {
        let st = match self.passed.load(Ordering::Relaxed) {
            true => Some(self.state.lock()),
            false => self.state.try_lock(),
        };
        self.passed.store(st.is_none(), Ordering::Relaxed);
        st.map(|st| self.with_news(st))
    }

    /// An inproc peer has a message.
    fn tell(&self) {
        *self.inbox.lock() += 1;
        self.signal.raise();
    }

    // ---- send and receive ----

    /// A send or a receive. True if it succeeded.
    fn call(&self, want: Want, mut attempt: Attempt<'_>) -> bool {
        let mut st = self.lock();
        let mut waited = false;
        loop {
            if self.attempt(&mut st, want) {
                self.after_success(&mut st, want, waited.then_some(&attempt));
                return true;
            }
            waited = true;
            let (next, end) = self.wait(st, &mut attempt);
            st = next;
            if end.is_some() {
                break;
            }
        }
        if self.flaw != Flaw::KeepsTheLease {
            self.done_waiting(&mut st, &attempt, false);
        }
        false
    }

    /// What the pattern does.
    fn attempt(&self, st: &mut State, want: Want) -> bool {
        match want {
            Want::Message if self.has_message(st) => {
                st.queue -= 1;
                st.taken += 1;
                true
            }
            Want::Message => false,
            Want::Room => self.os.change(|kernel| match kernel.room {
                0 => false,
                _ => {
                    kernel.room -= 1;
                    true
                }
            }),
        }
    }

    /// Decodes one message ahead.
    fn has_message(&self, st: &mut State) -> bool {
        if st.queue > 0 {
            return true;
        }
        if st.bytes == 0 && st.readable {
            st.bytes = self.read();
            st.readable = false;
        }
        if st.bytes > 0 {
            st.bytes -= 1;
            st.queue += 1;
        }
        st.queue > 0
    }

    fn read(&self) -> usize {
        self.os.change(|kernel| std::mem::take(&mut kernel.arrived))
    }

    fn after_success(&self, st: &mut State, want: Want, attempt: Option<&Attempt<'_>>) {
        match attempt {
            Some(attempt) => self.done_waiting(st, attempt, true),
            None if st.unread => self.come_again(st),
            None => {}
        }
        if self.signal.is_awaited() {
            let more = match want {
                Want::Message => self.has_message(st),
                Want::Room => self.os.with(|kernel| kernel.room > 0),
            };
            if more {
                self.signal.raise();
            }
        }
    }

    // ---- waiting ----

    fn wait<'a>(
        &'a self,
        mut st: Guard<'a>,
        attempt: &mut Attempt<'_>,
    ) -> (Guard<'a>, Option<Waited>) {
        if self.harvest(&mut st) {
            if !std::mem::replace(&mut attempt.tried, true) || attempt.may_wait() {
                return (st, None);
            }
            if let Patience::Task(waker) = attempt.patience {
                if self.flaw == Flaw::ParksOnReports {
                    return self.park(st, waker);
                }
                waker.wake_by_ref();
            }
            return (st, Some(Waited::TimedOut));
        }
        if let Patience::Task(waker) = attempt.patience {
            return self.park(st, waker);
        }
        if !attempt.may_wait() {
            return (st, Some(Waited::TimedOut));
        }
        if st.lease.take() {
            self.arm(false);
        }
        if attempt.spins > 0 {
            attempt.spins -= 1;
            // As `probe`.
            st.readable = true;
            drop(st);
            return (self.lock(), None);
        }
        if std::mem::take(&mut attempt.deferred) {
            drop(st);
            if self.flaw != Flaw::SleepsUnlooked {
                return (self.lock(), None);
            }
            st = self.lock();
        }
        if self.read_ahead(&mut st) {
            return (st, None);
        }
        attempt.slept = true;
        st.lease.enter();
        let sleep = self.signal.sleep(Bell(self.os.clone(), attempt.who));
        drop(st);
        let waited = match &sleep {
            Some(_) => self.poll_readable(attempt.who),
            None => Waited::Ready,
        };
        drop(sleep);
        let mut st = self.lock();
        st.lease.leave();
        if waited == Waited::TimedOut {
            return (st, Some(waited));
        }
        self.harvest(&mut st);
        (st, None)
    }

    /// Sleeps on the set, the alarm and the clock.
    fn poll_readable(&self, who: usize) -> Waited {
        self.os.wait(|kernel| match () {
            () if kernel.has_report() || kernel.alarms[who] => Some(Waited::Ready),
            () if kernel.expired[who] => Some(Waited::TimedOut),
            () => None,
        })
    }

    fn park<'a>(&'a self, mut st: Guard<'a>, waker: &Waker) -> (Guard<'a>, Option<Waited>) {
        if self.read_ahead(&mut st) {
            return (st, None);
        }
        if self.flaw == Flaw::RegistersLate {
            drop(st);
            let registered = self.signal.register(waker);
            st = self.lock();
            if !registered {
                return (st, None);
            }
        } else if !self.signal.register(waker) {
            drop(st);
            return (self.lock(), None);
        }
        if st.lease.give_up() {
            self.arm(true);
        }
        (st, Some(Waited::TimedOut))
    }

    fn read_ahead(&self, st: &mut State) -> bool {
        if !st.unread || self.flaw == Flaw::SleepsOnUnread || !self.drive_ahead(st) {
            return false;
        }
        if self.signal.is_awaited() {
            self.signal.raise();
        }
        true
    }

    fn done_waiting(&self, st: &mut State, attempt: &Attempt<'_>, success: bool) {
        let long = attempt.slept && !self.busy;
        if long {
            st.lease.missed();
        } else if success && st.lease.is_expected() {
            return self.come_again(st);
        }
        self.let_go(st);
    }

    fn let_go(&self, st: &mut State) {
        self.prune_unread(st);
        if st.unread && self.flaw != Flaw::GivesBackUnread {
            self.come_again(st);
        } else if st.lease.give_back() {
            self.arm(true);
        }
    }

    fn come_again(&self, st: &mut State) {
        if st.lease.take() {
            self.arm(false);
        }
        if st.lease.keep() {
            self.start_tick();
        }
    }

    fn start_tick(&self) {
        self.os.change(|kernel| kernel.ticking = true);
    }

    fn arm(&self, on: bool) {
        self.os.change(|kernel| kernel.armed = on);
    }

    fn readiness(&self, want: Want) -> bool {
        let mut st = self.lock();
        self.harvest(&mut st);
        let ready = self.is_ready(&mut st, want);
        if st.unread {
            self.let_go(&mut st);
        }
        ready
    }

    fn is_ready(&self, st: &mut State, want: Want) -> bool {
        match want {
            Want::Message => self.has_message(st),
            Want::Room => self.os.with(|kernel| kernel.room > 0),
        }
    }

    fn enter_poll(&self, want: Want, who: usize) -> Option<Sleep<'_, Bell>> {
        let mut st = self.lock();
        if st.lease.take() {
            self.arm(false);
        }
        st.lease.enter();
        let bell = Bell(self.os.clone(), who);
        if self.flaw == Flaw::AnnouncesBlindly {
            drop(st);
            return self.signal.sleep(bell);
        }
        let came = self.read_ahead(&mut st);
        if came || self.is_ready(&mut st, want) {
            return None;
        }
        self.signal.sleep(bell)
    }

    fn leave_poll(&self) {
        let mut st = self.lock();
        st.lease.leave();
        if self.busy {
            self.come_again(&mut st);
        } else {
            self.let_go(&mut st);
        }
    }

    /// Waits until a receive or a send would go through.
    fn poll(&self, want: Want, who: usize) {
        while !self.readiness(want) {
            let sleep = self.enter_poll(want, who);
            if sleep.is_some() {
                self.poll_readable(who);
            }
            drop(sleep);
            self.leave_poll();
        }
    }

    // ---- driving ----

    fn harvest(&self, st: &mut State) -> bool {
        st.harvested = true;
        let (readable, writable) = self.os.change(|kernel| {
            let report = (kernel.readable, kernel.writable);
            (kernel.readable, kernel.writable) = (false, false);
            report
        });
        st.readable |= readable;
        st.unread |= readable;
        let any = readable || writable;
        if any && self.signal.is_awaited() {
            self.signal.raise();
        }
        any
    }

    /// Reads ahead, one message at a time.
    fn drive_ahead(&self, st: &mut State) -> bool {
        st.more = false;
        if !std::mem::take(&mut st.unread) {
            return false;
        }
        if std::mem::take(&mut st.readable) {
            st.bytes += self.read();
        }
        let came = st.bytes > 0;
        if came {
            st.bytes -= 1;
            st.queue += 1;
        }
        if st.bytes > 0 {
            st.unread = true;
            st.more = true;
            if self.flaw != Flaw::ForgetsTheRest {
                self.start_tick();
            }
        }
        came || st.more
    }

    fn prune_unread(&self, st: &mut State) {
        st.unread &= st.readable || st.bytes > 0;
    }

    // ---- the background thread ----

    fn service(&self) {
        let mut st = self.lock();
        let mut changed = self.harvest(&mut st);
        changed |= self.drive_ahead(&mut st);
        drop(st);
        if changed && self.signal.is_awaited() {
            self.signal.raise();
        }
    }

    fn tick(&self) -> bool {
        let Some(mut st) = self.lock_for_tick() else {
            return self.flaw != Flaw::PassesForGood;
        };
        self.prune_unread(&mut st);
        match st.lease.tick(1) {
            Tick::Again { .. } => {
                if !st.harvested {
                    self.harvest(&mut st);
                }
                st.harvested = false;
                if st.more {
                    self.drive_ahead(&mut st);
                }
                true
            }
            Tick::Rest | Tick::Done if !st.more => false,
            tick => {
                if tick == Tick::TakeBack && self.flaw != Flaw::ForgetsToArm {
                    self.arm(true);
                }
                let came = self.drive_ahead(&mut st);
                let again = st.more;
                drop(st);
                if came && self.signal.is_awaited() {
                    self.signal.raise();
                }
                again
            }
        }
    }

    fn run(&self) {
        enum Due {
            Service,
            Tick,
            Stop,
        }
        loop {
            let due = self.os.wait(|kernel| match () {
                () if kernel.armed && kernel.has_report() => Some(Due::Service),
                () if std::mem::take(&mut kernel.ticking) => Some(Due::Tick),
                () if kernel.stop => Some(Due::Stop),
                () => None,
            });
            match due {
                Due::Service => self.service(),
                Due::Tick => {
                    if self.tick() {
                        self.start_tick();
                    }
                }
                Due::Stop => return,
            }
        }
    }

    // ---- the world ----

    fn deliver(&self, messages: usize) {
        self.os.change(|kernel| {
            kernel.arrived += messages;
            kernel.readable = true;
        });
    }

    fn make_room(&self) {
        self.os.change(|kernel| {
            kernel.room += 1;
            kernel.writable = true;
        });
    }

    /// Waits, as a peer does that the socket is to read from before it goes on.
    fn wait_until_read(&self) {
        self.os.wait(|kernel| (kernel.arrived == 0).then_some(()));
    }

    fn expire(&self, who: usize) {
        self.os.change(|kernel| kernel.expired[who] = true);
    }
}

/// A caller that waits for ever, or until its time is up.
fn waiting(who: usize) -> Attempt<'static> {
    Attempt::new(Patience::Some, who)
}

/// A caller that does not wait.
fn trying() -> Attempt<'static> {
    Attempt::new(Patience::None, 0)
}

/// A socket with its background thread.
struct World {
    socket: Arc<Socket>,
    background: JoinHandle<()>,
}

impl World {
    /// Callers that expect to be back soon have been here before.
    fn new(flaw: Flaw, busy: bool) -> Self {
        let world = Self::of_newcomers(flaw, busy);
        while busy && !world.socket.state.lock().lease.is_expected() {}
        world
    }

    fn of_newcomers(flaw: Flaw, busy: bool) -> Self {
        let socket = Socket::new(flaw, busy);
        let background = {
            let socket = socket.clone();
            thread::spawn(move || socket.run())
        };
        World { socket, background }
    }

    fn spawn(&self, body: impl FnOnce(&Socket) + 'static) -> JoinHandle<()> {
        let socket = self.socket.clone();
        thread::spawn(move || body(&socket))
    }

    /// All callers have left. Lets the background thread do what it finds to do, and looks
    /// whether anything is left of the `sent` messages that nobody would look at.
    fn end(self, sent: usize) {
        self.socket.os.change(|kernel| kernel.stop = true);
        self.background.join().unwrap();
        let st = self.socket.state.lock();
        assert!(st.lease.is_armed(), "nobody looks after the set");
        assert!(
            self.socket.os.with(|kernel| kernel.armed),
            "nobody looks after the set"
        );
        let unread = self.socket.os.with(|kernel| kernel.arrived) + st.bytes;
        let inbox = *self.socket.inbox.lock();
        assert_eq!(unread, 0, "messages were left unread");
        assert_eq!(st.taken + st.queue + inbox, sent);
        let kernel = self.socket.os.with(|kernel| kernel.alarms);
        assert_eq!(kernel, [false; CALLERS], "an alarm rings on");
    }
}

/// A task that is polled when it was woken.
fn block_on(socket: &Socket, want: Want) {
    struct Unparked(Watched<bool>);
    impl std::task::Wake for Unparked {
        fn wake(self: Arc<Self>) {
            self.0.change(|woken| *woken = true);
        }
    }
    let task = Arc::new(Unparked(Watched::new(false)));
    let waker = Waker::from(task.clone());
    while !socket.call(want, Attempt::new(Patience::Task(&waker), 0)) {
        task.0.wait(|woken| std::mem::take(woken).then_some(()));
    }
}

/// One test for the rule, and one for each way to break it.
macro_rules! models {
    ($($model:ident($preemptions:literal) $holds:ident { $($fails:ident = $flaw:ident: $report:literal)* })*) => {$(
        #[test]
        fn $holds() {
            check($preemptions, || $model(Flaw::None));
        }
        $(
            #[test]
            fn $fails() {
                must_fail(concat!("handover::", stringify!($fails)), $report, || {
                    check($preemptions, || $model(Flaw::$flaw));
                });
            }
        )*
    )*};
}

models! {
    receiver(3) a_waiting_receiver_gets_all_and_leaves_nothing {
        a_caller_that_leaves_a_batch_half_read_comes_again = GivesBackUnread: "left unread"
    }
    busy_receiver(3) a_busy_receiver_is_missed_when_it_stays_away {
        a_tick_that_takes_a_lease_back_arms_the_set = ForgetsToArm: "nobody looks"
        a_tick_that_finds_the_lock_taken_comes_again = PassesForGood: "nobody looks"
    }
    newcomer(3) a_busy_receiver_that_is_new_leaves_the_rest_to_the_background_thread {
        a_newcomer_that_leaves_a_batch_half_read_comes_again = GivesBackUnread: "left unread"
    }
    nobody(3) the_background_thread_reads_all_while_nobody_is_there {
        a_drive_that_leaves_something_is_followed_by_a_tick = ForgetsTheRest: "left unread"
    }
    timeout(3) a_receiver_whose_time_is_up_hands_the_set_back {
        a_receiver_that_gives_up_gives_back = KeepsTheLease: "nobody looks"
    }
    attempts(3) attempts_leave_nothing_behind {
        a_failed_attempt_leaves_its_lease_in_order = KeepsTheLease: "left unread"
    }
    sender(2) a_sender_that_waits_reads_on {
        a_sender_reads_before_it_sleeps = SleepsOnUnread: "deadlock"
    }
    both(2) a_sender_and_a_receiver_wait_side_by_side {}
    two_receivers(2) two_receivers_share {}
    task(3) a_task_is_woken_by_the_background_thread {
        a_task_registers_under_the_lock = RegistersLate: "deadlock"
    }
    sending_task(3) a_task_that_sends_is_woken_by_room {}
    reports(3) a_task_that_is_told_much_is_polled_again {
        a_task_looks_at_what_was_reported = ParksOnReports: "deadlock"
    }
    task_and_thread(2) a_thread_hands_over_to_a_task {}
    poll(3) a_poll_sees_what_was_read_behind_its_back {
        a_poll_looks_again_when_it_has_the_set = AnnouncesBlindly: "deadlock"
    }
    poll_inproc(3) a_poll_sees_what_a_tick_took_in {
        a_poll_looks_again_under_the_lock = AnnouncesBlindly: "deadlock"
    }
    deferred(3) a_caller_that_let_go_of_the_lock_looks_again {
        a_caller_that_let_go_of_the_lock_must_look = SleepsUnlooked: "deadlock"
    }
    spinner(3) a_spinning_receiver_needs_no_report {}
}

fn receiver(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(0))));
    world.socket.deliver(2);
    caller.join().unwrap();
    world.end(2);
}

fn busy_receiver(flaw: Flaw) {
    let world = World::new(flaw, true);
    let caller = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(0))));
    world.socket.deliver(1);
    world.socket.deliver(1);
    caller.join().unwrap();
    world.end(2);
}

fn newcomer(flaw: Flaw) {
    let world = World::of_newcomers(flaw, true);
    let caller = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(0))));
    world.socket.deliver(1);
    world.socket.deliver(1);
    caller.join().unwrap();
    world.end(2);
}

fn nobody(flaw: Flaw) {
    let world = World::new(flaw, false);
    world.socket.deliver(2);
    world.socket.deliver(1);
    world.end(3);
}

fn timeout(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| {
        socket.call(Want::Message, waiting(0));
    });
    world.socket.expire(0);
    world.socket.deliver(1);
    caller.join().unwrap();
    world.end(1);
}

fn attempts(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| {
        socket.call(Want::Message, trying());
    });
    world.socket.make_room();
    world.socket.deliver(1);
    caller.join().unwrap();
    world.end(1);
}

/// The peer makes room only after it has been read from.
fn sender(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| assert!(socket.call(Want::Room, waiting(0))));
    world.socket.deliver(1);
    world.socket.wait_until_read();
    world.socket.make_room();
    caller.join().unwrap();
    world.end(1);
}

/// Room comes only after the message has been received.
fn both(flaw: Flaw) {
    let world = World::new(flaw, false);
    let sender = world.spawn(|socket| assert!(socket.call(Want::Room, waiting(0))));
    let receiver = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(1))));
    world.socket.deliver(1);
    receiver.join().unwrap();
    world.socket.make_room();
    sender.join().unwrap();
    world.end(1);
}

fn two_receivers(flaw: Flaw) {
    let world = World::new(flaw, false);
    let one = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(0))));
    let other = world.spawn(|socket| assert!(socket.call(Want::Message, waiting(1))));
    world.socket.deliver(2);
    one.join().unwrap();
    other.join().unwrap();
    world.end(2);
}

fn task(flaw: Flaw) {
    let world = World::new(flaw, false);
    let task = world.spawn(|socket| block_on(socket, Want::Message));
    world.socket.deliver(1);
    task.join().unwrap();
    world.end(1);
}

fn sending_task(flaw: Flaw) {
    let world = World::new(flaw, false);
    let task = world.spawn(|socket| block_on(socket, Want::Room));
    world.socket.deliver(1);
    world.socket.wait_until_read();
    world.socket.make_room();
    task.join().unwrap();
    world.end(1);
}

fn reports(flaw: Flaw) {
    let world = World::new(flaw, false);
    let task = world.spawn(|socket| block_on(socket, Want::Room));
    world.socket.deliver(1);
    world.socket.make_room();
    task.join().unwrap();
    world.end(1);
}

/// A thread that waits for a message beside a task leaves when its time is up.
fn task_and_thread(flaw: Flaw) {
    let world = World::new(flaw, false);
    let task = world.spawn(|socket| block_on(socket, Want::Message));
    let thread = world.spawn(|socket| {
        if socket.call(Want::Message, waiting(1)) {
            socket.tell();
        }
    });
    world.socket.expire(1);
    world.socket.deliver(1);
    task.join().unwrap();
    thread.join().unwrap();
    let sent = world.socket.state.lock().taken;
    world.end(sent);
}

fn poll(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| {
        socket.poll(Want::Message, 0);
        assert!(socket.call(Want::Message, trying()));
    });
    world.socket.deliver(1);
    caller.join().unwrap();
    world.end(1);
}

/// A busy poller of an inproc message: ticks are under way.
fn poll_inproc(flaw: Flaw) {
    let world = World::new(flaw, true);
    let caller = world.spawn(|socket| {
        assert!(!socket.readiness(Want::Room));
        socket.come_again(&mut socket.lock());
        socket.poll(Want::Message, 0);
    });
    world.socket.tell();
    caller.join().unwrap();
    world.end(1);
}

/// A caller that writes its other sockets' output before it sleeps.
fn deferred(flaw: Flaw) {
    let world = World::new(flaw, false);
    let caller = world.spawn(|socket| {
        let attempt = Attempt {
            deferred: true,
            ..waiting(0)
        };
        assert!(socket.call(Want::Message, attempt));
    });
    world.socket.tell();
    caller.join().unwrap();
    world.end(1);
}

fn spinner(flaw: Flaw) {
    let world = World::new(flaw, true);
    let caller = world.spawn(|socket| {
        let attempt = Attempt {
            spins: 1,
            ..waiting(0)
        };
        assert!(socket.call(Want::Message, attempt));
    });
    world.socket.deliver(2);
    caller.join().unwrap();
    world.end(2);
}
