//! The inproc transport: a pair of queues between two sockets of one context.
//!
//! There are no descriptors here and no I/O thread. Each direction is a ring that the sending
//! socket fills (under its own lock, so there is one producer at a time) and the receiving socket
//! empties (likewise one consumer). A ring that is full is followed by a larger one, which the
//! consumer finds behind the last message of the first.
//!
//! What is dear here is not the work but the cache lines that move from one processor to the
//! other: one that a message waits for costs 60 ns and more. So what one side writes stands apart
//! from what the other writes, and while the consumer is busy the producer *holds back* up to
//! [`BATCH`] messages, to hand them over in one go. The [`Ear`] tells it when not to. Holding back
//! is never noticed: a consumer that runs out of messages [announces](End::announce) it, and if it
//! then sees that something is held back, it has the producer's socket
//! [hand it over](Inbox::hand_over).
//!
//! The high-water mark of a direction is the sender's plus the receiver's, exactly: a message
//! counts until the receiving application has taken it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::{Frame, Message};
use crate::sync::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Consumer, Mutex, Ordering, Producer, RingBuffer,
    fence,
};
use crate::sys;

/// The most messages that are held back. Pushed into the ring one by one they cost 75 to 110 ns
/// each, in fours of 16 some 60, in portions of 64 or 128 from 30 to 45.
const BATCH: usize = if cfg!(xebec_model) { 2 } else { 64 };

/// Emptied batches that are kept to be filled again.
const SPARE: usize = if cfg!(xebec_model) { 2 } else { 16 };

/// So many messages before a place in a batch is written to, the processor is told. The consumer's has the
/// cache lines, for it has read what was there before; and every locked instruction, such as the two of the
/// socket's lock for each message, waits until this one has got what it writes. Where the two processors are
/// far apart that was most of the time: 64 bytes 9.0 M/s without, 23.4 with (medians of three). Where they
/// are near it makes no difference.
const AHEAD: usize = 8;

/// The places of a new pipe's ring, and of the largest. Each ring is twice as large as the one
/// before: with the high-water marks as they come (1000 and 1000), the ninth is never full.
const FIRST: usize = if cfg!(xebec_model) { 2 } else { 8 };
const LARGEST: usize = 4096;

/// Looks in vain, 10 ns each, before a listener sees whether the producer has sent anything meanwhile, and
/// again. If not, it asks for what is held back. From one that is busy it would take the socket's lock, and
/// the cache lines of all that is held back: 1 KiB 15.9 M/s, and 17.1 without (medians of three, twice).
const UNHURRIED: u32 = if cfg!(xebec_model) { 1 } else { 16 };

/// Looks in vain before a listener has messages handed over one by one. Longer than a batch takes to be sent, on any
/// machine: a receiver that is a little faster than its sender looks in vain for most of that, and then the
/// sender pays a fence for each of the next messages, which makes it slower still. (64 bytes: with 16 looks 20.7
/// M/s, with 256 23.7; on a slow machine, whose two processors are far apart, with 1024 looks 10.6, with 4096 or
/// more 15.6; medians of seven.)
const PATIENT: u32 = if cfg!(xebec_model) { 2 } else { 4096 };

/// So many messages in a row that each came before that many looks are a stream.
const STREAM: u32 = if cfg!(xebec_model) { 1 } else { 8 };

/// Where one socket keeps note of which of its inproc pipes have news, and how it is woken.
pub(crate) trait Inbox: Send + Sync {
    /// The pipe `token` has something to look at: messages, room, or its end.
    fn tell(&self, token: u64);

    /// The other end of the pipe `token` has run out of messages: what is held back is to be
    /// [handed over](End::hand_over), under the socket's lock. Unless it may `wait` for the lock this
    /// does nothing while the socket is in use.
    fn hand_over(&self, token: u64, wait: bool);
}

/// What the producer should do with a message, as the consumer has it. Written by the consumer;
/// only [`AWAY`] is changed by the producer, to [`BUSY`], when it tells.
type Ear = AtomicU8;

/// The consumer has something to do, and will look: messages may be held back.
const BUSY: u8 = 0;
/// It is looking at the ring: messages are to be put there, but it need not be told.
const KEEN: u8 = 1;
/// It does not look: it is to be told of the next message.
const AWAY: u8 = 2;

/// In [`Direction::taken`]: the producer was refused for want of room and wants to be told when there
/// is some. Set by the producer, cleared by the consumer when it tells.
const REFUSED: u64 = 1;
/// In the same word: one message.
const TAKEN: u64 = 2;

/// A value with cache lines to itself, two of them: processors fetch lines in pairs.
#[repr(align(128))]
struct Apart<T>(T);

/// One direction, but for its ring.
struct Direction {
    /// Written by the consumer, and read by the producer for each message.
    ear: Apart<Ear>,
    /// Messages are held back. Written by the producer.
    holding: Apart<AtomicBool>,
    /// Messages accepted, and not replaced. Written by the producer for each.
    sent: Apart<AtomicU64>,
    /// Messages that the consumer's application has taken, in units of [`TAKEN`], and whether the
    /// producer was [`REFUSED`]. Written by the consumer for each. Both are in one word so that one of
    /// the two sides always sees the other: who was refused sees all that was taken before, and who takes
    /// the next message sees that somebody was.
    taken: Apart<AtomicU64>,
    /// One of the two ends is gone.
    closed: AtomicBool,
    /// In place of the ring where only the latest message is kept (CONFLATE).
    newest: Option<Mutex<VecDeque<Message>>>,
    /// The high-water marks of both sides, each written by its own; `usize::MAX` for no limit.
    sndhwm: AtomicUsize,
    rcvhwm: AtomicUsize,
}

impl Direction {
    fn new(conflate: bool, sndhwm: usize) -> Arc<Self> {
        Arc::new(Direction {
            ear: Apart(AtomicU8::new(AWAY)),
            holding: Apart(AtomicBool::new(false)),
            sent: Apart(AtomicU64::new(0)),
            taken: Apart(AtomicU64::new(0)),
            closed: AtomicBool::new(false),
            newest: conflate.then(|| Mutex::new(VecDeque::new())),
            sndhwm: AtomicUsize::new(sndhwm),
            rcvhwm: AtomicUsize::new(0),
        })
    }

    /// The most messages that may be under way.
    #[inline]
    fn hwm(&self) -> usize {
        let sndhwm = self.sndhwm.load(Ordering::Relaxed);
        sndhwm.saturating_add(self.rcvhwm.load(Ordering::Relaxed))
    }
}

/// What was held back, the oldest first. In cells, as an `Option` of one has nothing to look at before it is
/// moved, which is then done in one piece.
type Batch<T> = Vec<Cell<T>>;

/// What is in a ring.
enum Parcel {
    Message(Message),
    /// Those that were held back, at least one: they go from one side to the other as they stand.
    Messages(Batch<Message>),
    /// The same where each is its only frame.
    Frames(Batch<Frame>),
    /// The last of a ring that was full: what follows is in this one.
    Next(Box<Consumer<Parcel>>),
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

    /// Has the other socket hand over what it holds back for this one. Called without any
    /// socket's lock, if it may `wait`.
    pub(crate) fn hand_over(&self, wait: bool) {
        self.inbox.hand_over(self.token, wait);
    }
}

/// What the last look before a pause brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// There is a message.
    Found,
    /// There is none. The next one will be told of.
    Nothing,
    /// The producer may hold some back: it is to be asked for them, once this socket's lock is free.
    Withheld,
}

/// What passes from one socket to the other as `T`, and as it came back.
struct Lane<T> {
    /// Accepted and held back.
    held: Batch<T>,
    /// Out of the ring, and not taken.
    fetched: VecDeque<Cell<T>>,
    /// Batches that the consumer has emptied, for the producer to fill: who frees what another thread
    /// has allocated makes both wait. One way is from the consumer here, the other to the producer.
    spare_out: Producer<Batch<T>>,
    spare_in: Consumer<Batch<T>>,
}

impl<T> Lane<T> {
    /// Those of both ends.
    fn pair() -> (Self, Self) {
        let (forth_emptied, forth_spare) = RingBuffer::new(SPARE);
        let (back_emptied, back_spare) = RingBuffer::new(SPARE);
        let lane = |spare_out, spare_in| Lane {
            held: Vec::new(),
            fetched: VecDeque::new(),
            spare_out,
            spare_in,
        };
        (
            lane(forth_emptied, back_spare),
            lane(back_emptied, forth_spare),
        )
    }

    /// Holds one more back. How many these are.
    #[inline(always)]
    fn hold(&mut self, one: T) -> usize {
        self.held.push(Cell::new(one));
        self.prepare(AHEAD);
        self.held.len()
    }

    /// The place so many behind the last that is held back will be written to, if there is one.
    #[inline(always)]
    fn prepare(&self, ahead: usize) {
        let place = self.held.len() + ahead;
        if place < self.held.capacity() {
            sys::will_write(self.held.as_ptr().wrapping_add(place));
        }
    }

    /// What is held back, if anything is; a batch that was emptied takes its place.
    fn release(&mut self) -> Option<Batch<T>> {
        if self.held.is_empty() {
            return None;
        }
        let spare = self.spare_in.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut self.held, spare);
        (0..AHEAD).for_each(|ahead| self.prepare(ahead));
        Some(batch)
    }

    /// Has a batch to be taken from, where there is none.
    fn receive(&mut self, batch: Batch<T>) {
        let mut spare = std::mem::replace(&mut self.fetched, batch.into());
        if spare.capacity() > 0 {
            // Filled from the first place on.
            spare.clear();
            let _ = self.spare_out.push(spare.into());
        }
    }
}

/// One socket's end of an inproc pipe. On cache lines of its own, as all is that one of two threads writes for each
/// message: the other end was allocated next to it, and with one line in common 64 bytes were 10.7 M/s where
/// they are 15.3 without.
#[repr(align(128))]
pub(crate) struct End {
    out: Arc<Direction>,
    inn: Arc<Direction>,
    far: Far,
    ring_out: Producer<Parcel>,
    /// The size of that ring.
    places: usize,
    ring_in: Consumer<Parcel>,
    /// Messages that are bare, a frame and nothing else, pass without the rest: two thirds of the memory, which
    /// is what passes from one processor to the other. Only one of the two lanes holds any back.
    frames: Lane<Frame>,
    messages: Lane<Message>,
    /// Messages put into `out` so far.
    sent: u64,
    /// The last value of `out.taken` that was looked at.
    taken_seen: u64,
    /// Messages taken from `inn` so far.
    taken: u64,
    /// The last value of `inn.sent` that was looked at.
    sent_seen: u64,
    /// Looks in vain since the last message.
    looked: u32,
    /// Messages in a row that came without many looks.
    swift: u32,
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
    let (forth_out, forth_in) = RingBuffer::new(FIRST);
    let (back_out, back_in) = RingBuffer::new(FIRST);
    let (frames, messages) = (Lane::pair(), Lane::pair());
    let lanes = ((frames.0, messages.0), (frames.1, messages.1));
    let end = |out: &Arc<Direction>,
               inn: &Arc<Direction>,
               far,
               (ring_out, ring_in),
               (frames, messages)| End {
        out: out.clone(),
        inn: inn.clone(),
        far,
        ring_out,
        places: FIRST,
        ring_in,
        frames,
        messages,
        sent: 0,
        taken_seen: 0,
        taken: 0,
        sent_seen: 0,
        looked: 0,
        swift: 0,
        replaced: 0,
        owed: false,
        by_halves: false,
    };
    (
        end(&forth, &back, there, (forth_out, back_in), lanes.0),
        end(&back, &forth, here, (back_out, forth_in), lanes.1),
    )
}

impl End {
    /// The messages sent and not yet taken at the other end.
    pub(crate) fn under_way(&mut self) -> usize {
        self.taken_seen = self.out.taken.0.load(Ordering::Acquire) / TAKEN;
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
    #[inline(always)]
    pub(crate) fn has_room(&mut self) -> bool {
        ((self.sent - self.taken_seen) as usize) < self.out.hwm() || self.finds_room()
    }

    #[inline(never)]
    fn finds_room(&mut self) -> bool {
        if self.under_way() < self.out.hwm() {
            return true;
        }
        self.hand_over();
        // Pairs with `take` and `set_marks`, which change the same word: what they did before is seen
        // below, and who comes later sees this.
        self.out.taken.0.fetch_or(REFUSED, Ordering::AcqRel);
        self.under_way() < self.out.hwm()
    }

    /// Changes this side's part of both limits. A producer that waits for room looks again.
    pub(crate) fn set_marks(&self, sndhwm: usize, rcvhwm: usize) {
        self.out.sndhwm.store(sndhwm, Ordering::Relaxed);
        self.inn.rcvhwm.store(rcvhwm, Ordering::Relaxed);
        self.tell_refused();
    }

    /// Tells the producer to look for room again, if it was refused.
    fn tell_refused(&self) {
        // Pairs with `has_room`.
        if self.inn.taken.0.fetch_and(!REFUSED, Ordering::AcqRel) & REFUSED != 0 {
            self.far.tell();
        }
    }

    /// Whether the other end is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.out.closed.load(Ordering::Acquire)
    }

    /// Who is at the other end.
    pub(crate) fn far(&self) -> &Far {
        &self.far
    }

    // ---- the producer ----

    /// Sends a message. Nothing is to be expected of what is left of it.
    #[inline]
    pub(crate) fn push(&mut self, message: &mut Message) {
        self.sent += 1;
        if self.out.newest.is_some() {
            return self.replace(message);
        }
        self.out.sent.0.store(self.sent, Ordering::Relaxed);
        // What the library has to say is not held back: who consumes it as it comes may not come
        // by again to ask for more.
        let ear = self.out.ear.0.load(Ordering::Relaxed);
        if ear == BUSY && message.is_data() && self.has_company() {
            return self.hold_back(message);
        }
        self.put_held();
        self.put(Parcel::Message(std::mem::take(message)));
        self.heed();
    }

    #[inline(always)]
    fn hold_back(&mut self, message: &mut Message) {
        let held = if message.is_bare() && self.messages.held.is_empty() {
            self.frames.hold(message.take_first())
        } else {
            if !self.frames.held.is_empty() {
                self.put_held();
            }
            self.messages.hold(std::mem::take(message))
        };
        match held {
            1 => self.hold(),
            BATCH.. => self.hand_over(),
            _ => {}
        }
    }

    fn is_holding(&self) -> bool {
        !self.frames.held.is_empty() || !self.messages.held.is_empty()
    }

    /// Whether a message that is held back is not alone: others are, or the consumer has some to take. One
    /// that is alone, as requests are, would be asked for at once: a round trip of one thread took 6009
    /// instructions that way and takes 4274; streams are as fast (11.4 and 11.7 M/s, medians of four).
    #[inline]
    fn has_company(&self) -> bool {
        let before = self.sent - 1;
        self.is_holding() || self.out.taken.0.load(Ordering::Relaxed) / TAKEN < before
    }

    /// The first message is held back, unless the consumer has meanwhile run out of others.
    #[inline]
    fn hold(&mut self) {
        self.out.holding.0.store(true, Ordering::Relaxed);
        // Pairs with the fence in `announce`: either the consumer sees that something is held
        // back, or this load sees that it waits.
        fence(Ordering::SeqCst);
        if self.out.ear.0.load(Ordering::Relaxed) != BUSY {
            self.hand_over();
        }
    }

    /// Hands over what is held back, and tells the consumer if it is to be told.
    pub(crate) fn hand_over(&mut self) {
        if self.is_holding() {
            self.put_held();
            self.heed();
        }
    }

    fn put_held(&mut self) {
        let frames = self.frames.release().map(Parcel::Frames);
        let held = frames.or_else(|| self.messages.release().map(Parcel::Messages));
        if let Some(held) = held {
            self.put(held);
            // After the messages: who sees that nothing is held back sees them in the ring.
            self.out.holding.0.store(false, Ordering::Release);
        }
    }

    /// The last place of a ring is for the next ring.
    #[inline]
    fn put(&mut self, parcel: Parcel) {
        if self.ring_out.cached_slots() < 2 && self.ring_out.slots() < 2 {
            return self.put_in_larger_ring(parcel);
        }
        let put = self.ring_out.push(parcel);
        debug_assert!(put.is_ok(), "there was room");
    }

    /// Goes on with a larger ring, which the consumer gets to see when something is in it: a ring
    /// that is not empty has a message.
    #[cold]
    fn put_in_larger_ring(&mut self, parcel: Parcel) {
        self.places = (2 * self.places).min(LARGEST);
        let (ring_out, ring_in) = RingBuffer::new(self.places);
        let mut full = std::mem::replace(&mut self.ring_out, ring_out);
        self.put(parcel);
        let put = full.push(Parcel::Next(Box::new(ring_in)));
        debug_assert!(put.is_ok(), "there was room for it");
    }

    /// CONFLATE: the message replaces those that wait; subscriptions stay.
    fn replace(&mut self, message: &mut Message) {
        let mut newest = self.out.newest.as_ref().expect("CONFLATE").lock();
        if message.is_data() {
            let before = newest.len();
            newest.retain(|waiting| !waiting.is_data());
            let gone = (before - newest.len()) as u64;
            self.sent -= gone;
            self.replaced += gone;
        }
        newest.push_back(std::mem::take(message));
        drop(newest);
        self.out.sent.0.store(self.sent, Ordering::Relaxed);
        self.heed();
    }

    /// Something was put where the consumer finds it: tells it so if it does not look.
    #[inline]
    fn heed(&mut self) {
        // Pairs with the fence in `announce`: either this load sees that the consumer wants to be
        // told, or its last look sees what was put.
        fence(Ordering::SeqCst);
        let ear = &self.out.ear.0;
        let relaxed = Ordering::Relaxed;
        // Only that is changed: another user of the consumer's socket may be listening by now.
        if ear.load(relaxed) == AWAY && ear.compare_exchange(AWAY, BUSY, relaxed, relaxed).is_ok() {
            self.far.tell();
        }
    }

    // ---- the consumer ----

    /// The next message. Where there is none, [announce](Self::announce) before any pause.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let mut slot = Message::new();
        self.pop_into(&mut slot).then_some(slot)
    }

    /// The same into `slot`. False if there is none.
    #[inline(always)]
    pub(crate) fn pop_into(&mut self, slot: &mut Message) -> bool {
        // Before there is anything to be moved there, and that in one place: so it is moved once.
        slot.shed();
        loop {
            if let Some(frame) = self.frames.fetched.pop_front() {
                slot.put_bare(frame.into_inner());
                break;
            }
            if let Some(message) = self.messages.fetched.pop_front() {
                slot.put(message.into_inner());
                break;
            }
            if !self.fetch() {
                return false;
            }
        }
        self.taken += 1;
        // Pairs with `has_room`.
        let before = self.inn.taken.0.fetch_add(TAKEN, Ordering::AcqRel);
        if before & REFUSED != 0 {
            // A producer that is woken for every single message would cost a thread switch
            // each; it is told when half the room is free, or at this socket's next pause.
            self.owed = true;
            if self.waiting() <= self.inn.hwm() / 2 {
                self.tell_room();
            }
        }
        true
    }

    /// Fetches the next messages, where none is fetched. False if there is none.
    #[inline(never)]
    fn fetch(&mut self) -> bool {
        if let Some(newest) = &self.inn.newest {
            let newest = newest.lock().pop_front().map(Cell::new);
            self.messages.fetched.extend(newest);
            return !self.messages.fetched.is_empty();
        }
        loop {
            match self.ring_in.pop() {
                Err(_) => return false,
                Ok(Parcel::Message(message)) => {
                    self.messages.fetched.push_back(Cell::new(message));
                    return true;
                }
                Ok(Parcel::Messages(batch)) => {
                    self.messages.receive(batch);
                    return true;
                }
                Ok(Parcel::Frames(batch)) => {
                    self.frames.receive(batch);
                    return true;
                }
                Ok(Parcel::Next(ring)) => self.ring_in = *ring,
            }
        }
    }

    /// Whether there is a message to be taken now.
    #[inline]
    pub(crate) fn has_message(&mut self) -> bool {
        match &self.inn.newest {
            None => {
                !self.frames.fetched.is_empty()
                    || !self.messages.fetched.is_empty()
                    || !self.ring_in.is_empty()
            }
            Some(newest) => !newest.lock().is_empty(),
        }
    }

    /// Has the producer tell of its next message, and looks a last time.
    pub(crate) fn announce(&mut self) -> Look {
        if self.has_message() {
            return Look::Found;
        }
        self.looked = 0;
        self.swift = 0;
        self.hear(AWAY)
    }

    /// Changes the ear and looks.
    fn hear(&mut self, ear: u8) -> Look {
        self.inn.ear.0.store(ear, Ordering::Relaxed);
        // Pairs with the fences in `hold` and `heed`.
        fence(Ordering::SeqCst);
        // Before the look: if nothing is held back now, what was is in the ring.
        let holding = self.inn.holding.0.load(Ordering::Acquire);
        match self.has_message() {
            true => Look::Found,
            false if holding => Look::Withheld,
            false => Look::Nothing,
        }
    }

    /// One of many looks in quick succession, for who has found nothing and waits awake: after a
    /// while messages are no longer held back. `false` says nothing of what is; an
    /// [announcement](Self::announce) must follow.
    pub(crate) fn listen(&mut self) -> bool {
        if self.has_message() {
            self.heard();
            return true;
        }
        self.looked += 1;
        if self.looked == PATIENT && self.inn.ear.0.load(Ordering::Relaxed) != KEEN {
            return self.hear(KEEN) == Look::Found;
        }
        if self.looked.is_multiple_of(UNHURRIED) {
            let sent = self.inn.sent.0.load(Ordering::Relaxed);
            if std::mem::replace(&mut self.sent_seen, sent) == sent {
                self.ask();
            }
        }
        false
    }

    /// Asks for what is held back, unless the producer's socket is in use. Whether it was worth asking.
    pub(crate) fn ask(&self) -> bool {
        let holding = self.inn.holding.0.load(Ordering::Relaxed);
        if holding {
            self.far.hand_over(false);
        }
        holding
    }

    /// A listener has heard something. Where messages come one after the other, the producer may
    /// hold back again; where they come one at a time, as requests do, it need not try.
    fn heard(&mut self) {
        let swift = std::mem::take(&mut self.looked) < PATIENT;
        self.swift = if swift { self.swift + 1 } else { 0 };
        if self.swift >= STREAM && self.inn.ear.0.load(Ordering::Relaxed) == KEEN {
            self.swift = 0;
            self.inn.ear.0.store(BUSY, Ordering::Relaxed);
        }
    }

    /// Messages that were sent to this end and have not been taken.
    pub(crate) fn waiting(&self) -> usize {
        let sent = self.inn.sent.0.load(Ordering::Relaxed);
        sent.saturating_sub(self.taken) as usize
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
        if std::mem::take(&mut self.owed) {
            self.tell_refused();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.put_held();
        self.inn.closed.store(true, Ordering::Release);
        self.out.closed.store(true, Ordering::Release);
        self.far.tell();
    }
}

#[cfg(all(test, not(xebec_model)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// How often it was told, and how often asked.
    #[derive(Default)]
    struct Told(AtomicUsize, AtomicUsize);
    impl Inbox for Told {
        fn tell(&self, _: u64) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        fn hand_over(&self, _: u64, _: bool) {
            self.1.fetch_add(1, Ordering::SeqCst);
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
            here.push(&mut [i].into());
        }
        assert!(!here.has_room());
        assert_eq!(
            told_there.0.load(Ordering::SeqCst),
            1,
            "told once for a run of messages"
        );
        assert_eq!(there.pop().unwrap().body(), &[0]);
        assert!(here.has_room());
        assert_eq!(there.pop().unwrap().body(), &[1]);
        assert_eq!(
            told_here.0.load(Ordering::SeqCst),
            1,
            "told that there is room"
        );
        assert!(there.pop().is_some() && there.pop().is_none());
        assert_eq!(there.announce(), Look::Nothing);
        here.push(&mut "again".into());
        assert_eq!(told_there.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn room_by_halves_comes_when_half_is_taken() {
        let (mut here, mut there, _, told_here) = ends(4, 1);
        here.give_room_by_halves();
        for i in 0..4u8 {
            assert!(here.has_room());
            here.push(&mut [i].into());
        }
        assert!(!here.has_room());
        there.pop();
        assert!(!here.has_room(), "a quarter is free");
        there.pop();
        assert!(here.has_room(), "half is free");
        here.push(&mut "more".into());
        assert!(here.has_room(), "up to the mark");
        assert!(told_here.0.load(Ordering::SeqCst) > 0);
    }

    #[test]
    fn what_is_held_back_is_had_for_the_asking() {
        let (mut here, mut there, _, told_there) = ends(usize::MAX, 0);
        for i in 0..3u8 {
            here.push(&mut [i].into());
        }
        assert_eq!(there.waiting(), 3);
        assert_eq!(there.pop().unwrap().body(), &[0]);
        assert!(there.pop().is_none(), "the others are held back");
        assert_eq!(there.announce(), Look::Withheld);
        here.hand_over();
        assert_eq!(told_there.0.load(Ordering::SeqCst), 2);
        assert_eq!(there.announce(), Look::Found);
        assert_eq!(there.pop().unwrap().body(), &[1]);
        assert_eq!(there.pop().unwrap().body(), &[2]);
        assert_eq!(there.announce(), Look::Nothing);
    }

    #[test]
    fn a_listener_asks_who_has_paused_and_not_who_sends() {
        let (mut here, mut there, told_here, _) = ends(usize::MAX, 0);
        here.push(&mut "first".into());
        here.push(&mut "held back".into());
        assert!(there.pop().is_some());
        for _ in 0..3 {
            here.push(&mut "held back".into());
            (0..UNHURRIED).for_each(|_| assert!(!there.listen()));
        }
        assert_eq!(told_here.1.load(Ordering::SeqCst), 0, "it still sends");
        (0..UNHURRIED).for_each(|_| assert!(!there.listen()));
        assert_eq!(told_here.1.load(Ordering::SeqCst), 1, "it sends no more");
    }

    #[test]
    fn emptied_batches_come_back_to_be_filled_again() {
        let (mut here, mut there, ..) = ends(usize::MAX, 0);
        let mut batch = |there: &mut End| {
            for _ in 0..=BATCH {
                here.push(&mut "one of many".into());
            }
            here.hand_over();
            let before = here.frames.spare_in.slots();
            while there.pop().is_some() {}
            (before, here.frames.spare_in.slots())
        };
        assert_eq!(batch(&mut there).0, 0);
        let (_, emptied) = batch(&mut there);
        assert!(emptied > 0, "nothing came back");
        assert!(batch(&mut there).0 < emptied, "it was not taken");
    }

    #[test]
    fn what_was_in_the_place_of_a_message_is_freed() {
        let (mut here, mut there, ..) = ends(9, 9);
        let body = bytes::Bytes::from(vec![0; 100]);
        let mut two = Message::from("first");
        two.push_back(body.clone());
        for mut slot in [Message::from(body.clone()), two] {
            here.push(&mut "new".into());
            assert!(there.pop_into(&mut slot));
            assert_eq!(slot.body(), "new");
            assert_eq!(slot.len(), 1);
        }
        assert!(body.is_unique());
    }

    #[test]
    fn any_number_of_messages_arrives_in_order_from_ring_to_ring() {
        let (mut here, mut there, ..) = ends(usize::MAX, 0);
        let (mut next, mut expected) = (0u32, 0u32);
        for run in [1, 7, 8, 9, 63, 64, 65, 5000, 3, 12_000] {
            for _ in 0..run {
                here.push(&mut next.to_be_bytes().into());
                next += 1;
            }
            here.hand_over();
            assert_eq!(there.waiting(), run as usize);
            while let Some(message) = there.pop() {
                assert_eq!(message.body(), &expected.to_be_bytes());
                expected += 1;
            }
            assert_eq!((expected, there.waiting()), (next, 0));
            there.announce();
        }
    }

    #[test]
    fn messages_of_all_kinds_keep_their_order_and_what_they_have() {
        let (mut here, mut there, ..) = ends(usize::MAX, 0);
        let message = |number: u32| {
            let mut message = Message::from(number.to_be_bytes());
            match number % 7 {
                2 | 3 => message.push_back("another frame"),
                5 => message.set_routing_id(number),
                6 => message = message.with_group("a group"),
                _ => {}
            }
            message
        };
        const MESSAGES: u32 = 10 * BATCH as u32;
        (0..MESSAGES).for_each(|number| here.push(&mut message(number)));
        here.hand_over();
        for number in 0..MESSAGES {
            let (sent, came) = (message(number), there.pop().unwrap());
            assert_eq!(came, sent);
            assert_eq!(came.routing_id(), sent.routing_id());
            assert_eq!(came.group(), sent.group());
        }
        assert!(there.pop().is_none());
    }

    #[test]
    fn what_was_sent_before_the_end_can_still_be_taken() {
        let (mut here, mut there, ..) = ends(9, 9);
        here.push(&mut "last words".into());
        drop(here);
        assert!(!there.is_open());
        assert_eq!(there.pop().unwrap().body(), "last words");
    }
}
