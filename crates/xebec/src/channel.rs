//! The inproc transport: a pair of queues between two sockets of one context.
//!
//! There are no descriptors here and no I/O thread. Each direction is a queue that the sending
//! socket fills (under its own lock, so there is one producer at a time) and the receiving socket
//! empties (likewise one consumer). The consumer takes the whole queue in one step and then
//! serves itself from that batch, so the two meet at the queue's mutex once per batch.
//!
//! The high-water mark of a direction is the sender's plus the receiver's, exactly: a message
//! counts until the receiving application has taken it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::Message;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence};

/// Where one socket keeps note of which of its inproc pipes have news, and how it is woken.
pub(crate) trait Inbox: Send + Sync {
    /// The pipe `token` has something to look at: messages, room, or its end.
    fn tell(&self, token: u64);
}

/// One direction.
struct Direction {
    queue: Mutex<VecDeque<Message>>,
    /// Messages that the consumer's application has taken. Written by the consumer.
    taken: AtomicU64,
    /// The consumer knows that there is something. Set by the producer after it filled the
    /// queue; cleared by the consumer before it looks into the queue a last time.
    told: AtomicBool,
    /// The producer was refused for want of room and wants to be told when there is some. Set by
    /// the producer, cleared by the consumer when it tells.
    refused: AtomicBool,
    /// One of the two ends is gone.
    closed: AtomicBool,
    /// Only the latest message is kept (CONFLATE).
    conflate: bool,
    /// The high-water marks of both sides, each written by its own; `usize::MAX` for no limit.
    sndhwm: AtomicUsize,
    rcvhwm: AtomicUsize,
}

impl Direction {
    fn new(conflate: bool, sndhwm: usize) -> Arc<Self> {
        Arc::new(Direction {
            conflate,
            sndhwm: AtomicUsize::new(sndhwm),
            rcvhwm: AtomicUsize::new(0),
            queue: Mutex::new(VecDeque::new()),
            taken: AtomicU64::new(0),
            told: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// The most messages that may be under way.
    #[inline]
    fn hwm(&self) -> usize {
        let sndhwm = self.sndhwm.load(Ordering::Relaxed);
        sndhwm.saturating_add(self.rcvhwm.load(Ordering::Relaxed))
    }
}

/// The other socket, as this end sees it.
#[derive(Clone)]
pub(crate) struct Far {
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) token: u64,
}

impl Far {
    fn tell(&self) {
        self.inbox.tell(self.token);
    }
}

/// One socket's end of an inproc pipe.
pub(crate) struct End {
    out: Arc<Direction>,
    inn: Arc<Direction>,
    far: Far,
    /// What was taken out of `inn` in one step and not yet handed to the application.
    batch: VecDeque<Message>,
    /// Messages put into `out` so far.
    sent: u64,
    /// The last value of `out.taken` that was looked at.
    taken_seen: u64,

    /// Messages that were replaced by newer ones (CONFLATE), until somebody counts them.
    replaced: u64,
    /// The producer waits and is to be told no later than this socket's next pause.
    owed: bool,
    /// What is taken out of `out` counts in portions of half the high-water mark.
    by_halves: bool,
}

/// Two ends of a new pipe. `here` and `there` name the sockets that hold them; `out_hwm` is the
/// limit from here to there, `in_hwm` the other way round, until [marks](End::set_marks) are set.
pub(crate) fn pair(
    here: Far,
    there: Far,
    out_hwm: usize,
    in_hwm: usize,
    conflate: bool,
) -> (End, End) {
    let (forth, back) = (
        Direction::new(conflate, out_hwm),
        Direction::new(conflate, in_hwm),
    );
    let end = |out: &Arc<Direction>, inn: &Arc<Direction>, far| End {
        out: out.clone(),
        inn: inn.clone(),
        far,
        batch: VecDeque::new(),
        sent: 0,
        taken_seen: 0,
        replaced: 0,
        owed: false,
        by_halves: false,
    };
    (end(&forth, &back, there), end(&back, &forth, here))
}

impl End {
    /// The messages sent and not yet taken at the other end.
    pub(crate) fn under_way(&mut self) -> usize {
        self.taken_seen = self.out.taken.load(Ordering::Acquire);
        if self.by_halves {
            self.taken_seen -= self.taken_seen % self.out.hwm().div_ceil(2).max(1) as u64;
        }
        (self.sent - self.taken_seen) as usize
    }

    /// Has room at this end come in halves of the high-water mark, as libzmq has it: some of its
    /// programs rely on a single message that is taken making no room.
    pub(crate) fn give_room_by_halves(&mut self) {
        self.by_halves = true;
    }

    /// Whether another message may be sent; if not, this end will be told when it may.
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        let hwm = self.out.hwm();
        if ((self.sent - self.taken_seen) as usize) < hwm || self.under_way() < hwm {
            return true;
        }
        self.out.refused.store(true, Ordering::SeqCst);
        // Pairs with the fence in `pop`, or that in `set_marks`: either this load sees what was
        // taken and the new mark, or the consumer sees `refused`.
        fence(Ordering::SeqCst);
        self.under_way() < self.out.hwm()
    }

    /// Changes this side's part of both limits. A producer that waits for room looks again.
    pub(crate) fn set_marks(&self, sndhwm: usize, rcvhwm: usize) {
        self.out.sndhwm.store(sndhwm, Ordering::Relaxed);
        self.inn.rcvhwm.store(rcvhwm, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.inn.refused.swap(false, Ordering::SeqCst) {
            self.far.tell();
        }
    }

    /// Whether the other end is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.out.closed.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn push(&mut self, message: Message) {
        let mut queue = self.out.queue.lock();
        if self.out.conflate && message.is_data() {
            let gone = give_way(&mut queue);
            self.sent -= gone;
            self.replaced += gone;
        }
        queue.push_back(message);
        drop(queue);
        self.sent += 1;
        // The queue's mutex orders this load against the consumer's last look (see `pop`).
        if !self.out.told.load(Ordering::Relaxed) {
            self.out.told.store(true, Ordering::Relaxed);
            self.far.tell();
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Message> {
        if self.batch.is_empty() && !self.take_batch() {
            return None;
        }
        if self.inn.conflate {
            self.take_newer();
        }
        let message = self.batch.pop_front();
        let taken = self.inn.taken.load(Ordering::Relaxed) + 1;
        self.inn.taken.store(taken, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.inn.refused.load(Ordering::Relaxed) {
            // A producer that is woken for every single message would cost a thread switch
            // each; it is told when half the room is free, or at this socket's next pause.
            self.owed = true;
            if self.batch.len() <= self.inn.hwm() / 2 {
                self.tell_room();
            }
        }
        message
    }

    /// Whether a message waits, without taking it.
    pub(crate) fn has_message(&mut self) -> bool {
        !self.batch.is_empty() || self.take_batch()
    }

    /// Messages that wait at this end.
    pub(crate) fn waiting(&self) -> usize {
        self.batch.len() + self.inn.queue.lock().len()
    }

    fn take_batch(&mut self) -> bool {
        std::mem::swap(&mut self.batch, &mut *self.inn.queue.lock());
        if !self.batch.is_empty() {
            return true;
        }
        self.inn.told.store(false, Ordering::Relaxed);
        // A producer that fills the queue after this look sees `told` cleared, by the mutex.
        std::mem::swap(&mut self.batch, &mut *self.inn.queue.lock());
        !self.batch.is_empty()
    }

    /// CONFLATE: what has come since the batch was taken replaces what is left of it.
    fn take_newer(&mut self) {
        let mut queue = self.inn.queue.lock();
        if queue.iter().any(Message::is_data) {
            let gone = give_way(&mut self.batch);
            let taken = self.inn.taken.load(Ordering::Relaxed) + gone;
            self.inn.taken.store(taken, Ordering::Release);
            self.replaced += gone;
        }
        self.batch.append(&mut queue);
    }

    /// How many messages were replaced by newer ones since this was last asked.
    pub(crate) fn take_replaced(&mut self) -> u64 {
        std::mem::take(&mut self.replaced)
    }

    /// Whether a producer waits for a word about room.
    pub(crate) fn owes(&self) -> bool {
        self.owed
    }

    /// Tells the producer that there is room again, if it waits for that.
    pub(crate) fn tell_room(&mut self) {
        if std::mem::take(&mut self.owed) && self.inn.refused.swap(false, Ordering::SeqCst) {
            self.far.tell();
        }
    }
}

/// Makes the messages of a queue give way to a newer one; subscriptions stay. Returns how many did.
fn give_way(queue: &mut VecDeque<Message>) -> u64 {
    let before = queue.len();
    queue.retain(|waiting| !waiting.is_data());
    (before - queue.len()) as u64
}

impl Drop for End {
    fn drop(&mut self) {
        self.inn.closed.store(true, Ordering::Release);
        self.out.closed.store(true, Ordering::Release);
        self.far.tell();
    }
}

#[cfg(all(test, not(xebec_model)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Told(AtomicUsize);
    impl Inbox for Told {
        fn tell(&self, _: u64) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn ends(out: usize, inn: usize) -> (End, End, Arc<Told>, Arc<Told>) {
        let (a, b) = (Arc::new(Told::default()), Arc::new(Told::default()));
        let far = |told: &Arc<Told>| Far {
            inbox: told.clone(),
            token: 0,
        };
        let (here, there) = pair(far(&a), far(&b), out, inn, false);
        (here, there, a, b)
    }

    #[test]
    fn takes_exactly_the_high_water_mark_and_tells_when_there_is_room() {
        let (mut here, mut there, told_here, told_there) = ends(3, 1);
        for i in 0..3u8 {
            assert!(here.has_room());
            here.push([i].into());
        }
        assert!(!here.has_room());
        assert_eq!(
            told_there.0.load(Ordering::SeqCst),
            1,
            "told once for a run of messages"
        );
        assert_eq!(there.pop().unwrap().body(), &[0]);
        assert!(here.has_room());
        there.pop();
        assert_eq!(
            told_here.0.load(Ordering::SeqCst),
            1,
            "told that there is room"
        );
        assert!(there.pop().is_some() && there.pop().is_none());
        here.push("again".into());
        assert_eq!(told_there.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn room_by_halves_comes_when_half_is_taken() {
        let (mut here, mut there, _, told_here) = ends(4, 1);
        here.give_room_by_halves();
        for i in 0..4u8 {
            assert!(here.has_room());
            here.push([i].into());
        }
        assert!(!here.has_room());
        there.pop();
        assert!(!here.has_room(), "a quarter is free");
        there.pop();
        assert!(here.has_room(), "half is free");
        here.push("more".into());
        assert!(here.has_room(), "up to the mark");
        assert!(told_here.0.load(Ordering::SeqCst) > 0);
    }

    #[test]
    fn what_was_sent_before_the_end_can_still_be_taken() {
        let (mut here, mut there, ..) = ends(9, 9);
        here.push("last words".into());
        drop(here);
        assert!(!there.is_open());
        assert_eq!(there.pop().unwrap().body(), "last words");
    }
}
