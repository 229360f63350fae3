//! Models of the `Signal`: raisers, sleepers, tasks and a watcher around one socket.
//!
//! The socket is a lock and what its owner has taken in so far; the news lie in an inbox with a
//! lock of its own, as those of inproc pipes do.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use loom::thread::{self, ThreadId};

use crate::signal::{Alarm, Signal};
use crate::sync::{Mutex, Watched, weakened};
use crate::sys::Wake;
use crate::{check, must_fail};

/// What a raiser leaves, and what sleepers wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    Message,
    Room,
}

struct Socket<A = Arc<Wake>> {
    signal: Signal<A>,
    inbox: Mutex<Vec<News>>,
    /// What has been taken out of the inbox and not been used.
    state: Mutex<Vec<News>>,
    /// The one alarm of a socket whose sleepers share it.
    shared: Arc<Wake>,
}

/// How a waiter deviates from the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It announces itself after it has let go of the socket's lock.
    AnnouncesLate,
    /// It sleeps on an alarm that others sleep on, too, and clears it when it wakes up.
    SharesItsAlarm,
    /// It takes the answer of a registration for granted.
    RegistersBlindly,
    /// It rearms after it has let go of the socket's lock.
    RearmsLate,
}

impl<A: Alarm> Socket<A> {
    fn new() -> Arc<Self> {
        Arc::new(Socket {
            signal: Signal::new(),
            inbox: Mutex::new(Vec::new()),
            state: Mutex::new(Vec::new()),
            shared: Arc::new(Wake::new()),
        })
    }

    fn tell(&self, news: News) {
        self.inbox.lock().push(news);
        self.signal.raise();
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Vec<News>> {
        let mut state = self.state.lock();
        if self.signal.absorb() {
            state.append(&mut self.inbox.lock());
        }
        state
    }

    /// An event loop watches `wake` from outside until it has seen `wanted` so many times.
    fn watch_for(&self, wake: &Wake, wanted: News, times: usize, flaw: Flaw) {
        let mut seen = 0;
        while seen < times {
            wake.sleep();
            let mut state = self.lock();
            let late = flaw == Flaw::RearmsLate;
            if !late {
                self.signal.rearm();
            }
            let before = state.len();
            state.retain(|news| *news != wanted);
            seen += before - state.len();
            drop(state);
            if late {
                self.signal.rearm();
            }
        }
    }
}

impl Socket {
    /// A thread waits for `wanted`.
    fn wait_for(&self, wanted: News, flaw: Flaw) {
        let alarm = match flaw {
            Flaw::SharesItsAlarm => self.shared.clone(),
            _ => Arc::new(Wake::new()),
        };
        loop {
            let mut state = self.lock();
            if let Some(at) = state.iter().position(|news| *news == wanted) {
                state.remove(at);
                return;
            }
            let late = flaw == Flaw::AnnouncesLate;
            let state = if late {
                drop(state);
                None
            } else {
                Some(state)
            };
            let sleep = self.signal.sleep(alarm.clone());
            drop(state);
            if sleep.is_some() {
                alarm.sleep();
            }
            drop(sleep);
            let alone = flaw != Flaw::SharesItsAlarm;
            assert!(!(alone && alarm.is_set()), "an alarm that rings on");
        }
    }

    /// A task waits for `wanted`.
    fn await_for(&self, wanted: News, flaw: Flaw) {
        let task = Arc::new(Unparked(Watched::new(false)));
        let waker = Waker::from(task.clone());
        loop {
            let mut state = self.lock();
            if let Some(at) = state.iter().position(|news| *news == wanted) {
                state.remove(at);
                return;
            }
            let parked = self.signal.register(&waker);
            drop(state);
            if parked || flaw == Flaw::RegistersBlindly {
                task.0.wait(|woken| std::mem::take(woken).then_some(()));
            }
        }
    }
}

/// An executor with one task.
struct Unparked(Watched<bool>);

impl std::task::Wake for Unparked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.change(|woken| *woken = true);
    }
}

fn spawn<A: Alarm + 'static>(
    socket: &Arc<Socket<A>>,
    body: impl FnOnce(&Socket<A>) + 'static,
) -> thread::JoinHandle<()> {
    let socket = socket.clone();
    thread::spawn(move || body(&socket))
}

fn one_sleeper(flaw: Flaw) {
    let socket = Socket::new();
    let sleeper = spawn(&socket, move |socket| {
        socket.wait_for(News::Message, flaw);
        socket.wait_for(News::Room, flaw);
    });
    let other = spawn(&socket, |socket| socket.tell(News::Room));
    socket.tell(News::Message);
    sleeper.join().unwrap();
    other.join().unwrap();
    assert!(!socket.signal.is_awaited());
}

#[test]
fn a_sleeper_hears_every_raiser() {
    check(3, || one_sleeper(Flaw::None));
}

#[test]
fn without_the_fences_a_raise_gets_lost() {
    must_fail(
        "waking::without_the_fences_a_raise_gets_lost",
        "deadlock",
        || weakened(|| check(3, || one_sleeper(Flaw::None))),
    );
}

/// Two wait for different things; what the first waits for comes only after the second has what
/// it waits for.
fn two_sleepers(flaw: Flaw) {
    let socket = Socket::new();
    let first = spawn(&socket, move |socket| socket.wait_for(News::Room, flaw));
    let second = spawn(&socket, move |socket| socket.wait_for(News::Message, flaw));
    socket.tell(News::Message);
    second.join().unwrap();
    socket.tell(News::Room);
    first.join().unwrap();
}

#[test]
fn news_that_are_not_for_the_first_to_wake_reach_the_second() {
    check(2, || two_sleepers(Flaw::None));
}

#[test]
fn sleepers_that_share_an_alarm_rob_each_other() {
    must_fail(
        "waking::sleepers_that_share_an_alarm_rob_each_other",
        "deadlock",
        || check(2, || two_sleepers(Flaw::SharesItsAlarm)),
    );
}

/// Somebody else takes the lock, and with it the news, while a thread is about to sleep.
fn a_passer_by(flaw: Flaw) {
    let socket = Socket::new();
    let sleeper = spawn(&socket, move |socket| socket.wait_for(News::Message, flaw));
    let passer_by = spawn(&socket, |socket| drop(socket.lock()));
    socket.tell(News::Message);
    sleeper.join().unwrap();
    passer_by.join().unwrap();
}

#[test]
fn who_takes_the_news_in_takes_them_from_nobody() {
    check(3, || a_passer_by(Flaw::None));
}

#[test]
fn who_announces_itself_after_its_last_look_may_sleep_on_news() {
    must_fail(
        "waking::who_announces_itself_after_its_last_look_may_sleep_on_news",
        "deadlock",
        || check(3, || a_passer_by(Flaw::AnnouncesLate)),
    );
}

fn two_tasks(flaw: Flaw) {
    let socket = Socket::new();
    let first = spawn(&socket, move |socket| socket.await_for(News::Room, flaw));
    let second = spawn(&socket, move |socket| socket.await_for(News::Message, flaw));
    socket.tell(News::Message);
    second.join().unwrap();
    socket.tell(News::Room);
    first.join().unwrap();
}

#[test]
fn a_task_is_woken_by_what_comes_after_its_last_look() {
    check(2, || two_tasks(Flaw::None));
}

#[test]
fn a_task_that_registers_blindly_sleeps_on_news() {
    must_fail(
        "waking::a_task_that_registers_blindly_sleeps_on_news",
        "deadlock",
        || check(2, || two_tasks(Flaw::RegistersBlindly)),
    );
}

#[test]
fn a_thread_and_a_task_are_both_woken() {
    check(2, || {
        let socket = Socket::new();
        let task = spawn(&socket, |socket| socket.await_for(News::Room, Flaw::None));
        let sleeper = spawn(&socket, |socket| socket.wait_for(News::Message, Flaw::None));
        socket.tell(News::Message);
        sleeper.join().unwrap();
        socket.tell(News::Room);
        task.join().unwrap();
    });
}

/// A watcher's alarm that its owner cannot set: as if rearming did not look for what is pending.
#[derive(Clone)]
struct Unpending {
    wake: Arc<Wake>,
    owner: Rc<Cell<Option<ThreadId>>>,
}

impl Alarm for Unpending {
    fn set(&self) {
        if self.owner.get() != Some(thread::current().id()) {
            self.wake.set();
        }
    }

    fn clear(&self) {
        self.owner.set(Some(thread::current().id()));
        self.wake.clear();
    }
}

/// Spawns a watcher that waits for a number of messages.
fn watch<A: Alarm + 'static>(
    socket: &Arc<Socket<A>>,
    wake: &Arc<Wake>,
    alarm: A,
    messages: usize,
    flaw: Flaw,
) -> thread::JoinHandle<()> {
    socket.signal.watch(alarm);
    let wake = wake.clone();
    spawn(socket, move |socket| {
        socket.watch_for(&wake, News::Message, messages, flaw);
    })
}

/// Two raisers, and somebody who only passes by and takes the news in.
fn one_watcher<A: Alarm + 'static>(alarm: impl FnOnce(Arc<Wake>) -> A, flaw: Flaw) {
    let socket = Socket::new();
    let wake = Arc::new(Wake::new());
    let watcher = watch(&socket, &wake, alarm(wake.clone()), 2, flaw);
    let other = spawn(&socket, |socket| socket.tell(News::Message));
    socket.tell(News::Message);
    drop(socket.lock());
    watcher.join().unwrap();
    other.join().unwrap();
}

#[test]
fn a_watcher_hears_every_raiser() {
    check(3, || one_watcher(|wake| wake, Flaw::None));
}

#[test]
fn a_watcher_that_does_not_look_for_what_is_pending_misses_a_raise() {
    let alarm = |wake| Unpending {
        wake,
        owner: Rc::default(),
    };
    must_fail(
        "waking::a_watcher_that_does_not_look_for_what_is_pending_misses_a_raise",
        "deadlock",
        || check(3, move || one_watcher(alarm, Flaw::None)),
    );
}

#[test]
fn a_watcher_that_rearms_after_its_look_misses_a_raise() {
    must_fail(
        "waking::a_watcher_that_rearms_after_its_look_misses_a_raise",
        "deadlock",
        || check(3, || one_watcher(|wake| wake, Flaw::RearmsLate)),
    );
}

/// The first look of a watcher is due from the start: what came before it has told nobody.
#[test]
fn a_watcher_that_comes_late_looks_at_once() {
    check(3, || {
        let socket = Socket::new();
        let other = spawn(&socket, |socket| socket.tell(News::Message));
        drop(socket.lock());
        let wake = Arc::new(Wake::new());
        let watcher = watch(&socket, &wake, wake.clone(), 1, Flaw::None);
        watcher.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_watcher_and_a_sleeper_are_both_told() {
    check(2, || {
        let socket = Socket::new();
        let wake = Arc::new(Wake::new());
        let watcher = watch(&socket, &wake, wake.clone(), 1, Flaw::None);
        let sleeper = spawn(&socket, |socket| socket.wait_for(News::Room, Flaw::None));
        socket.tell(News::Message);
        socket.tell(News::Room);
        watcher.join().unwrap();
        sleeper.join().unwrap();
    });
}

#[test]
fn a_watcher_and_a_task_are_both_told() {
    check(2, || {
        let socket = Socket::new();
        let wake = Arc::new(Wake::new());
        let watcher = watch(&socket, &wake, wake.clone(), 1, Flaw::None);
        let task = spawn(&socket, |socket| socket.await_for(News::Room, Flaw::None));
        socket.tell(News::Room);
        socket.tell(News::Message);
        watcher.join().unwrap();
        task.join().unwrap();
    });
}
