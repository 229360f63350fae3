//! Models of the `Signal`: raisers, sleepers and tasks around one socket.
//!
//! The socket is a lock and what its owner has taken in so far; the news lie in an inbox with a
//! lock of its own, as those of inproc pipes do.

use std::sync::Arc;
use std::task::Waker;

use loom::thread;

use crate::signal::Signal;
use crate::sync::{Mutex, Watched, weakened};
use crate::sys::Wake;
use crate::{check, must_fail};

/// What a raiser leaves, and what sleepers wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    Message,
    Room,
}

struct Socket {
    signal: Signal<Arc<Wake>>,
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
}

impl Socket {
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

fn spawn(socket: &Arc<Socket>, body: impl FnOnce(&Socket) + 'static) -> thread::JoinHandle<()> {
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
