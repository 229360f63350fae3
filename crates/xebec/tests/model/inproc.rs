//! Models of an inproc pipe: a producer and a consumer, each with a socket of its own.
//!
//! The sockets are reduced to what a pipe needs of them: a place where its news are noted, and a
//! thread that looks at the pipe until there is nothing and then waits for news.

use std::sync::Arc;

use loom::thread;

use crate::channel::{End, Far, Inbox, pair};
use crate::message::Message;
use crate::sync::{Watched, weakened};
use crate::{check, must_fail};

/// A socket's inbox.
struct News(Watched<bool>);

impl News {
    fn new() -> Arc<Self> {
        Arc::new(News(Watched::new(false)))
    }

    fn wait(&self) {
        self.0.wait(|news| std::mem::take(news).then_some(()));
    }
}

impl Inbox for News {
    fn tell(&self, _: u64) {
        self.0.change(|news| *news = true);
    }
}

/// One end and the inbox of the socket that holds it.
struct Side {
    end: End,
    news: Arc<News>,
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
    let (here, there) = (News::new(), News::new());
    let far = |news: &Arc<News>| Far {
        inbox: news.clone(),
        token: 0,
    };
    let (producer, consumer) = pair(far(&here), far(&there), hwm, hwm, conflate);
    let side = |end, news| Side { end, news };
    (side(producer, here), side(consumer, there))
}

/// How a consumer deviates from the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It waits for news when what it took is used up, without finding the queue empty.
    TrustsItsBatch,
    /// It waits for news while it owes a word about room.
    PausesInDebt,
}

impl Side {
    /// Sends, waiting for room. False if the other end is gone.
    fn send(&mut self, message: Message) -> bool {
        while self.end.is_open() {
            if self.end.has_room() {
                self.end.push(message);
                return true;
            }
            self.news.wait();
        }
        false
    }

    /// Receives, waiting for a message. `None` once the other end is gone.
    fn recv(&mut self, flaw: Flaw) -> Option<Message> {
        loop {
            if let Some(message) = self.end.pop() {
                return Some(message);
            }
            if !self.end.is_open() {
                // What was pushed before the end closed comes first.
                return self.end.pop();
            }
            self.pause(flaw);
            self.news.wait();
        }
    }

    fn pause(&mut self, flaw: Flaw) {
        if self.end.owes() && flaw != Flaw::PausesInDebt {
            self.end.tell_room();
        }
    }

    /// Receives all there is until the other end is gone.
    fn recv_all(&mut self, flaw: Flaw) -> Vec<u32> {
        let mut got = Vec::new();
        while let Some(message) = self.recv(flaw) {
            got.push(message.0);
            if flaw == Flaw::TrustsItsBatch && self.end.waiting() == 0 {
                self.news.wait();
            }
        }
        got
    }
}

fn stream(messages: u32, hwm: usize, flaw: Flaw) {
    let (mut producer, mut consumer) = pipe(hwm);
    let sender = thread::spawn(move || {
        for i in 0..messages {
            assert!(producer.send(Message(i)));
        }
        producer
    });
    let receiver = thread::spawn(move || consumer.recv_all(flaw));
    drop(sender.join().unwrap());
    let got = receiver.join().unwrap();
    assert_eq!(got, (0..messages).collect::<Vec<_>>());
}

#[test]
fn every_message_arrives_in_order_and_both_ends_end() {
    check(3, || stream(3, 1, Flaw::None));
}

#[test]
fn a_batch_of_two_arrives_as_well() {
    check(3, || stream(4, 2, Flaw::None));
}

#[test]
fn without_the_fences_a_refused_producer_is_forgotten() {
    must_fail(
        "inproc::without_the_fences_a_refused_producer_is_forgotten",
        "deadlock",
        || weakened(|| check(3, || stream(3, 1, Flaw::None))),
    );
}

#[test]
fn a_consumer_that_trusts_its_batch_is_not_told_again() {
    must_fail(
        "inproc::a_consumer_that_trusts_its_batch_is_not_told_again",
        "deadlock",
        || check(2, || stream(3, 2, Flaw::TrustsItsBatch)),
    );
}

/// The consumer takes one message of three, and then only waits: the producer gets its fourth
/// message in.
fn one_place(flaw: Flaw) {
    let (mut producer, mut consumer) = pipe(3);
    let sender = thread::spawn(move || {
        for i in 0..4 {
            assert!(producer.send(Message(i)));
        }
        producer
    });
    let receiver = thread::spawn(move || {
        assert_eq!(consumer.recv(flaw), Some(Message(0)));
        consumer.pause(flaw);
        consumer
    });
    // Both ends stay until both threads are done.
    let ends = (sender.join().unwrap(), receiver.join().unwrap());
    assert_eq!(ends.1.end.waiting(), 3);
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
        let (mut producer, mut consumer) = pipe(2);
        let sender = thread::spawn(move || {
            let mut accepted = 0;
            for i in 0..4 {
                if producer.end.has_room() {
                    producer.end.push(Message(i));
                    accepted += 1;
                }
            }
            (producer, accepted)
        });
        let receiver = thread::spawn(move || {
            let taken = usize::from(consumer.end.pop().is_some());
            (consumer, taken)
        });
        let (mut producer, accepted) = sender.join().unwrap();
        let (consumer, taken) = receiver.join().unwrap();
        assert!((2..=2 + taken).contains(&accepted));
        assert_eq!(consumer.end.waiting(), accepted - taken);
        assert_eq!(producer.end.under_way(), accepted - taken);
        for i in accepted..2 + taken {
            assert!(producer.end.has_room());
            producer.end.push(Message(i as u32));
        }
        assert!(!producer.end.has_room());
    });
}

#[test]
fn an_end_that_goes_is_noticed_by_who_waits_for_room() {
    check(3, || {
        let (mut producer, consumer) = pipe(1);
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
        let (mut producer, mut consumer) = pipe(1);
        let receiver = thread::spawn(move || consumer.recv_all(Flaw::None));
        assert!(producer.send(Message(7)));
        drop(producer);
        assert_eq!(receiver.join().unwrap(), [7]);
    });
}

/// A higher mark is set while the producer waits for room that no consumer makes.
#[test]
fn a_producer_that_waits_hears_of_a_higher_mark() {
    check(3, || {
        let (mut producer, consumer) = pipe(1);
        let sender = thread::spawn(move || {
            assert!(producer.send(Message(0)) && producer.send(Message(1)));
            producer
        });
        consumer.end.set_marks(1, 1);
        let producer = sender.join().unwrap();
        assert_eq!(consumer.end.waiting(), 2);
        drop((producer, consumer));
    });
}

/// With CONFLATE the last message taken is the last that was sent, and the counts stay right.
#[test]
fn the_latest_message_is_never_the_one_that_gives_way() {
    check(3, || {
        let (mut producer, mut consumer) = conflating_pipe();
        let sender = thread::spawn(move || {
            (0..3).for_each(|i| producer.end.push(Message(i)));
            producer
        });
        let receiver = thread::spawn(move || {
            let got: Vec<_> = (0..2).filter_map(|_| consumer.end.pop()).collect();
            (got, consumer)
        });
        let mut producer = sender.join().unwrap();
        let (mut got, mut consumer) = receiver.join().unwrap();
        got.extend(consumer.end.pop());
        let got: Vec<_> = got.iter().map(|message| message.0).collect();
        assert!(got.is_sorted() && got.last() == Some(&2), "{got:?}");
        let gone = producer.end.take_replaced() + consumer.end.take_replaced();
        assert_eq!(got.len() as u64 + gone, 3);
        assert_eq!(producer.end.under_way(), 0);
    });
}
