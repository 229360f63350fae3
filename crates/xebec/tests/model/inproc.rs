//! Models of an inproc pipe: a producer and a consumer, each with a socket of its own.
//!
//! The sockets are reduced to what a pipe needs of them: a place where its news are noted, and a
//! thread that looks at the pipe until there is nothing and then waits for news.

use std::sync::Arc;

use loom::thread;

use crate::channel::{End, Far, Inbox, Look, pair};
use crate::message::Message;
use crate::sync::{Mutex, MutexGuard, Watched, torn, weakened};
use crate::{check, must_fail};

/// A socket: its inbox, and its lock with the one end that it has.
struct Socket {
    news: Watched<bool>,
    end: Mutex<Option<End>>,
}

impl Socket {
    fn new() -> Arc<Self> {
        Arc::new(Socket {
            news: Watched::new(false),
            end: Mutex::new(None),
        })
    }
}

impl Inbox for Socket {
    fn tell(&self, _: u64) {
        self.news.change(|news| *news = true);
    }

    fn hand_over(&self, _: u64, wait: bool) {
        let end = match wait {
            true => Some(self.end.lock()),
            false => self.end.try_lock(),
        };
        if let Some(mut end) = end {
            end.iter_mut().for_each(End::hand_over);
        }
    }
}

/// A socket in use. When it goes so does its end.
struct Side(Arc<Socket>);

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.0.end.lock().take());
    }
}

/// A pipe that takes `hwm` messages from the first side to the second.
fn pipe(hwm: usize) -> (Side, Side) {
    sides(hwm, false)
}

/// A pipe that keeps the latest message only.
fn conflating_pipe() -> (Side, Side) {
    sides(usize::MAX, true)
}

fn sides(hwm: usize, conflate: bool) -> (Side, Side) {
    let (here, there) = (Socket::new(), Socket::new());
    let far = |socket: &Arc<Socket>| Far {
        inbox: socket.clone(),
        token: 0,
    };
    let (producer, consumer) = pair(far(&here), far(&there), hwm, 0, conflate);
    *here.end.lock() = Some(producer);
    *there.end.lock() = Some(consumer);
    (Side(here), Side(there))
}

/// How a consumer deviates from the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It waits for news when it has found nothing, without having announced it.
    PausesUnannounced,
    /// It waits for news though something may be held back.
    AsksForNothing,
    /// It waits for news while it owes a word about room.
    PausesInDebt,
}

/// A socket's lock.
struct Locked<'a>(MutexGuard<'a, Option<End>>);

impl std::ops::Deref for Locked<'_> {
    type Target = End;
    fn deref(&self) -> &End {
        self.0.as_ref().expect("the end")
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut End {
        self.0.as_mut().expect("the end")
    }
}

impl Side {
    fn end(&self) -> Locked<'_> {
        Locked(self.0.end.lock())
    }

    fn wait(&self) {
        self.0.news.wait(|news| std::mem::take(news).then_some(()));
    }

    /// Sends, waiting for room. False if the other end is gone.
    fn send(&self, mut message: Message) -> bool {
        loop {
            let mut end = self.end();
            if !end.is_open() {
                return false;
            }
            if end.has_room() {
                end.push(&mut message);
                return true;
            }
            drop(end);
            self.wait();
        }
    }

    /// Receives, waiting for a message after so many looks. `None` once the other end is gone.
    fn recv(&self, looks: usize, flaw: Flaw) -> Option<Message> {
        loop {
            let mut end = self.end();
            if let Some(message) = end.pop() {
                return Some(message);
            }
            if !end.is_open() {
                // What was pushed before the end closed comes first.
                return end.pop();
            }
            if (0..looks).any(|_| end.listen()) {
                continue;
            }
            self.pause(end, flaw);
        }
    }

    /// Waits for news, unless a last look brings something.
    fn pause(&self, mut end: Locked<'_>, flaw: Flaw) {
        if end.owes() && flaw != Flaw::PausesInDebt {
            end.tell_room();
        }
        let look = match flaw {
            Flaw::PausesUnannounced => Look::Nothing,
            _ => end.announce(),
        };
        let far = end.far().clone();
        drop(end);
        match look {
            Look::Found => {}
            Look::Withheld if flaw != Flaw::AsksForNothing => far.hand_over(true),
            _ => self.wait(),
        }
    }

    /// Receives all there is until the other end is gone.
    fn recv_all(&self, looks: usize, flaw: Flaw) -> Vec<u32> {
        std::iter::from_fn(|| self.recv(looks, flaw))
            .map(|message| message.0)
            .collect()
    }
}

/// One side sends and then stays until the other has all of it.
fn stream(messages: u32, hwm: usize, looks: usize, flaw: Flaw) {
    let (producer, consumer) = pipe(hwm);
    let sender = thread::spawn(move || {
        for i in 0..messages {
            assert!(producer.send(Message(i)));
        }
        producer
    });
    let got: Vec<_> = (0..messages)
        .map(|_| consumer.recv(looks, flaw).expect("the sender is there").0)
        .collect();
    assert_eq!(got, (0..messages).collect::<Vec<_>>());
    drop(sender.join().unwrap());
    assert_eq!(consumer.recv_all(looks, flaw), [0; 0]);
}

#[test]
fn every_message_arrives_in_order_and_both_ends_end() {
    check(3, || stream(3, 1, 0, Flaw::None));
}

/// The second and the third are held back, if the consumer is busy with the first.
#[test]
fn what_is_held_back_arrives_as_well() {
    check(3, || stream(2, usize::MAX, 0, Flaw::None));
    check(2, || stream(4, usize::MAX, 0, Flaw::None));
}

#[test]
fn a_listener_hears_every_message() {
    check(2, || stream(3, usize::MAX, 2, Flaw::None));
    check(2, || stream(3, usize::MAX, 3, Flaw::None));
}

#[test]
fn without_the_fences_a_waiting_consumer_is_forgotten() {
    must_fail(
        "inproc::without_the_fences_a_waiting_consumer_is_forgotten",
        "deadlock",
        || weakened(|| check(3, || stream(3, 1, 0, Flaw::None))),
    );
}

#[test]
fn a_refused_producer_is_forgotten_where_room_and_refusal_are_told_in_two_steps() {
    must_fail(
        "inproc::a_refused_producer_is_forgotten_where_room_and_refusal_are_told_in_two_steps",
        "deadlock",
        || torn(|| check(3, || stream(3, 1, 0, Flaw::None))),
    );
}

#[test]
fn without_the_fences_what_is_held_back_is_overlooked() {
    must_fail(
        "inproc::without_the_fences_what_is_held_back_is_overlooked",
        "deadlock",
        || weakened(|| check(3, || stream(2, usize::MAX, 0, Flaw::None))),
    );
}

#[test]
fn a_consumer_that_pauses_unannounced_is_not_told_again() {
    must_fail(
        "inproc::a_consumer_that_pauses_unannounced_is_not_told_again",
        "deadlock",
        || check(2, || stream(3, usize::MAX, 0, Flaw::PausesUnannounced)),
    );
}

#[test]
fn a_consumer_that_does_not_ask_for_what_is_held_back_waits_for_ever() {
    must_fail(
        "inproc::a_consumer_that_does_not_ask_for_what_is_held_back_waits_for_ever",
        "deadlock",
        || check(2, || stream(2, usize::MAX, 0, Flaw::AsksForNothing)),
    );
}

/// The consumer takes one message of three, and then only waits: the producer gets its fourth
/// message in.
fn one_place(flaw: Flaw) {
    let (producer, consumer) = pipe(3);
    let sender = thread::spawn(move || {
        for i in 0..4 {
            assert!(producer.send(Message(i)));
        }
        producer
    });
    assert_eq!(consumer.recv(0, flaw), Some(Message(0)));
    let mut end = consumer.end();
    if end.owes() && flaw != Flaw::PausesInDebt {
        end.tell_room();
    }
    drop(end);
    // Both ends stay until both threads are done.
    let producer = sender.join().unwrap();
    assert_eq!(consumer.end().waiting(), 3);
    drop(producer);
}

#[test]
fn a_producer_is_told_of_a_single_place_when_the_consumer_pauses() {
    check(3, || one_place(Flaw::None));
}

#[test]
fn a_consumer_that_pauses_in_debt_leaves_the_producer_waiting() {
    must_fail(
        "inproc::a_consumer_that_pauses_in_debt_leaves_the_producer_waiting",
        "deadlock",
        || check(3, || one_place(Flaw::PausesInDebt)),
    );
}

#[test]
fn the_high_water_mark_is_exact_whoever_is_faster() {
    check(3, || {
        let (producer, consumer) = pipe(2);
        let sender = thread::spawn(move || {
            let mut accepted = 0;
            for i in 0..4 {
                let mut end = producer.end();
                if end.has_room() {
                    end.push(&mut Message(i));
                    accepted += 1;
                }
            }
            (producer, accepted)
        });
        let taken = usize::from(consumer.end().pop().is_some());
        let (producer, accepted) = sender.join().unwrap();
        assert!((2..=2 + taken).contains(&accepted));
        assert_eq!(consumer.end().waiting(), accepted - taken);
        let mut end = producer.end();
        assert_eq!(end.under_way(), accepted - taken);
        for i in accepted..2 + taken {
            assert!(end.has_room());
            end.push(&mut Message(i as u32));
        }
        assert!(!end.has_room());
    });
}

#[test]
fn an_end_that_goes_is_noticed_by_who_waits_for_room() {
    check(3, || {
        let (producer, consumer) = pipe(1);
        let sender = thread::spawn(move || {
            while producer.send(Message(0)) {}
            producer
        });
        drop(consumer);
        drop(sender.join().unwrap());
    });
}

#[test]
fn last_words_are_heard() {
    check(3, || {
        let (producer, consumer) = pipe(2);
        let receiver = thread::spawn(move || consumer.recv_all(0, Flaw::None));
        assert!(producer.send(Message(7)) && producer.send(Message(8)));
        drop(producer);
        assert_eq!(receiver.join().unwrap(), [7, 8]);
    });
}

/// A higher mark is set while the producer waits for room that no consumer makes.
#[test]
fn a_producer_that_waits_hears_of_a_higher_mark() {
    check(3, || {
        let (producer, consumer) = pipe(1);
        let sender = thread::spawn(move || {
            assert!(producer.send(Message(0)) && producer.send(Message(1)));
            producer
        });
        consumer.end().set_marks(1, 1);
        let producer = sender.join().unwrap();
        assert_eq!(consumer.end().waiting(), 2);
        drop((producer, consumer));
    });
}

/// With CONFLATE the last message taken is the last that was sent, and the counts stay right.
#[test]
fn the_latest_message_is_never_the_one_that_gives_way() {
    check(3, || {
        let (producer, consumer) = conflating_pipe();
        let sender = thread::spawn(move || {
            (0..3).for_each(|i| producer.end().push(&mut Message(i)));
            producer
        });
        let mut got: Vec<_> = (0..2).filter_map(|_| consumer.end().pop()).collect();
        let producer = sender.join().unwrap();
        got.extend(consumer.end().pop());
        let got: Vec<_> = got.iter().map(|message| message.0).collect();
        assert!(got.is_sorted() && got.last() == Some(&2), "{got:?}");
        let gone = producer.end().take_replaced();
        assert_eq!(got.len() as u64 + gone, 3);
        assert_eq!(producer.end().under_way(), 0);
    });
}
