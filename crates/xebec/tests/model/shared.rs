//! Models of an inproc consumer that two threads share: one waits for a message, and another comes
//! by, listens and leaves. What a socket's core does about such pipes (`recv_by`, `part`, `before_pause`),
//! with the pipe and the signal as they are.

use std::sync::{Arc, Weak};

use loom::thread;

use crate::channel::{End, Far, Inbox, Look, pair};
use crate::message::Message;
use crate::signal::Signal;
use crate::sync::{Mutex, MutexGuard};
use crate::sys::Wake;
use crate::{check, must_fail};

/// A socket with one inproc pipe.
struct Socket {
    signal: Signal<Arc<Wake>>,
    state: Mutex<State>,
}

struct State {
    end: Option<End>,
    /// The pipe was found empty and does not know it yet.
    dry: bool,
}

/// How the second thread deviates from the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It leaves a pipe that it has found empty to those who wait already.
    PartsUnannounced,
    /// It does not tell those who wait that it has seen a message and leaves it there.
    KeepsItsFind,
}

impl Inbox for Socket {
    fn tell(&self, _: u64) {
        self.signal.raise();
    }

    fn hand_over(&self, _: u64, wait: bool) {
        let state = match wait {
            true => Some(self.state.lock()),
            false => self.state.try_lock(),
        };
        if let Some(mut state) = state {
            state.end.iter_mut().for_each(End::hand_over);
        }
    }
}

impl State {
    fn end(&mut self) -> &mut End {
        self.end.as_mut().expect("the end")
    }

    /// Announces the pipe if it is dry.
    fn announce(&mut self) -> Look {
        match std::mem::take(&mut self.dry) {
            true => self.end().announce(),
            false => Look::Nothing,
        }
    }
}

impl Socket {
    fn new() -> Arc<Self> {
        Arc::new(Socket {
            signal: Signal::new(),
            state: Mutex::new(State {
                end: None,
                dry: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        self.signal.absorb();
        state
    }

    fn send(&self, message: u32) {
        self.lock().end().push(&mut Message(message));
    }

    /// A look that takes what is there.
    fn pop(&self, state: &mut State) -> Option<Message> {
        let found = state.end().pop();
        state.dry |= found.is_none();
        if found.is_some() && self.signal.is_awaited() && state.end().has_message() {
            self.signal.raise();
        }
        found
    }

    /// Waits for a message.
    fn recv(&self) -> Message {
        let alarm = Arc::new(Wake::new());
        loop {
            let mut state = self.lock();
            if let Some(message) = self.pop(&mut state) {
                return message;
            }
            let look = state.announce();
            match look {
                Look::Found => continue,
                Look::Withheld => {
                    let far = state.end().far().clone();
                    drop(state);
                    far.hand_over(true);
                    continue;
                }
                Look::Nothing => {}
            }
            let sleep = self.signal.sleep(alarm.clone());
            drop(state);
            if sleep.is_some() {
                alarm.sleep();
            }
        }
    }

    /// Listens for a message, has no time left to take one, and leaves.
    fn come_by(&self, flaw: Flaw) {
        let mut state = self.lock();
        let mut found = (0..2).any(|_| state.end().listen());
        state.dry = !found;
        let mut withheld = None;
        if self.signal.is_awaited() && flaw != Flaw::PartsUnannounced {
            match state.announce() {
                Look::Found => found = true,
                Look::Withheld => withheld = Some(state.end().far().clone()),
                Look::Nothing => {}
            }
        }
        if found && self.signal.is_awaited() && flaw != Flaw::KeepsItsFind {
            self.signal.raise();
        }
        drop(state);
        withheld.iter().for_each(|far| far.hand_over(true));
    }
}

fn visited(flaw: Flaw, messages: u32) {
    let (producer, consumer) = (Socket::new(), Socket::new());
    let far = |socket: &Arc<Socket>| Far {
        inbox: socket.clone(),
        token: 0,
    };
    let (out, inn) = pair(far(&producer), far(&consumer), usize::MAX, 0, false);
    producer.state.lock().end = Some(out);
    consumer.state.lock().end = Some(inn);
    let waits = {
        let consumer = consumer.clone();
        thread::spawn(move || (0..messages).map(|_| consumer.recv().0).collect::<Vec<_>>())
    };
    let visits = {
        let consumer = consumer.clone();
        thread::spawn(move || consumer.come_by(flaw))
    };
    (0..messages).for_each(|message| producer.send(message));
    visits.join().unwrap();
    let got = waits.join().unwrap();
    assert_eq!(got, (0..messages).collect::<Vec<_>>());
    // Each end keeps the other's socket.
    for socket in [&producer, &consumer] {
        drop(socket.state.lock().end.take());
    }
    let socket: Weak<Socket> = Arc::downgrade(&consumer);
    drop(consumer);
    assert!(socket.upgrade().is_none());
}

#[test]
fn who_waits_gets_its_message_though_another_has_listened_and_left() {
    check(3, || visited(Flaw::None, 1));
    check(2, || visited(Flaw::None, 2));
}

#[test]
fn who_leaves_a_dry_pipe_unannounced_has_others_wait_for_ever() {
    must_fail(
        "shared::who_leaves_a_dry_pipe_unannounced_has_others_wait_for_ever",
        "deadlock",
        || check(3, || visited(Flaw::PartsUnannounced, 1)),
    );
}

#[test]
fn who_keeps_its_find_has_others_wait_for_ever() {
    must_fail(
        "shared::who_keeps_its_find_has_others_wait_for_ever",
        "deadlock",
        || check(3, || visited(Flaw::KeepsItsFind, 1)),
    );
}
