//! Pipes: one to each peer, with its two queues and their high-water marks.
//!
//! This is where transport, protocol and pattern meet. A pattern sees peers and messages: it
//! asks whether a pipe [can take](Pipes::can_send) a message, [sends](Pipes::send),
//! [receives](Pipes::recv). Whether the other end is a stream connection, a connection that is
//! still to come up, or another socket of the same context is decided here.
//!
//! Outbound, a message counts against SNDHWM from its acceptance until its last byte is with the
//! kernel (or, inproc, until the peer's application has taken it). Inbound, it counts against
//! RCVHWM from its decoding until the application has taken it. Both counts are exact.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;
use zmtp::{Metadata, SocketType, Version};

use crate::admission::Admission;
use crate::buffer::{LARGE, Pool};
use crate::channel::{End, Far, Look};
use crate::company::{Company, Leave};
use crate::conn::{Broken, Conn};
use crate::message::{ConnectionId, Message};
use crate::options::Options;
use crate::stats::{Counters, Traffic};

/// Names a pipe of a socket; reused after the pipe is gone.
pub(crate) type PipeId = usize;

/// A write follows a pause of this length, for each peer that is written to, at once; sooner, it waits
/// for company. Writing 64 bytes on loopback takes 4 µs, so a sender that is faster than this gains by
/// batching and one that is slower would only lose time. For each peer: a publisher whose message goes
/// to 64 subscribers has just spent 64 times 4 µs on the one before, and would never get to batch.
pub(crate) const SILENCE: Duration = Duration::from_micros(10);

/// Writing to more peers than this takes long enough to be timed, and the next time comes no sooner than as
/// long again: a sender that writes for at most half of its time has more to write to each. A PUSH to
/// 10,000 peers, whose every tick (a millisecond) wrote a message to each of 250, went from 64 to 1,010 k/s.
const CROWD: usize = 32;

/// Messages taken from one connection before others get their turn, however fast it sends.
pub(crate) const AT_ONCE: usize = 1000;

/// Bytes received ahead of the application in one turn, so that what is read goes into memory that was just let go
/// of. Messages of 1 MiB (`push-tcp-1M`): 10.0 to 10.4 thousand a second, without it 2.3 to 10.8.
const AHEAD: usize = 1 << 20;

/// Inproc pipes that a waiting caller listens to at the same time; the others tell it.
const LISTENED_TO: usize = 4;

/// Looks at each of them in a hold of the socket's lock: a µs.
const LOOKS: usize = 64;

/// Peers that are gone and still known. Enough for the messages that an application has in hand
/// when a server with many peers loses them; each is a few hundred bytes.
const REMEMBERED: usize = 256;

/// What is known of the peer of a connection.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The local endpoint that the connection belongs to, as bound or connected.
    pub endpoint: String,
    /// The peer's address, such as `tcp://192.0.2.1:53211`; for inproc the endpoint.
    pub address: String,
    /// The peer's socket type, if it told.
    pub socket_type: Option<SocketType>,
    /// The routing id that the peer chose; empty if it did not.
    pub routing_id: Bytes,
    /// The metadata of the handshake (RFC 37): what the peer says of itself.
    pub metadata: Metadata,
    /// The peer's address without a port, as the ZAP handler (RFC 27) and `zmq_msg_gets` are told
    /// it: `192.0.2.1`, or `localhost:UID:GID:PID` for ipc; empty for inproc.
    pub host: String,
    /// Who the peer is, as the ZAP handler says; `None` if no handler was asked.
    pub user_id: Option<Bytes>,
    /// More about the peer, from the ZAP handler.
    pub granted: Metadata,
    /// The protocol version that the connection speaks; `None` for inproc and raw streams.
    pub version: Option<Version>,
    /// The number of the connection's descriptor, for what is received by it; none for inproc.
    pub(crate) descriptor: Option<RawFd>,
    /// What a foreign interface has made of all this, once for the connection.
    pub(crate) rendering: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// The peer is of the generation (ZMTP 1.0) whose SUB sockets filter for themselves and never
    /// say what they want.
    pub(crate) silent_subscriber: bool,
}

impl PeerInfo {
    /// The number of the descriptor that the peer's messages come by, as long as it is connected
    /// (ZMQ_SRCFD); none for inproc.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.descriptor
    }

    /// What `make` made of it the first time that it was asked for.
    #[doc(hidden)]
    pub fn rendered<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let rendering = self.rendering.get_or_init(|| Arc::new(make()));
        let rendering = rendering.clone().downcast();
        rendering.expect("one interface renders it, in one type")
    }

    /// A property of the peer by its name in `zmq_msg_gets`: `Peer-Address`, `User-Id`,
    /// `Socket-Type`, `Routing-Id` (or `Identity`), an application's own `X-...`, or one from the
    /// ZAP handler. What the handler says comes before what the peer says.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        match name {
            "Peer-Address" => (!self.host.is_empty()).then_some(self.host.as_bytes()),
            "User-Id" if self.user_id.is_some() => self.user_id.as_deref(),
            _ => {
                let name = match name {
                    "Routing-Id" => "Identity",
                    name => name,
                };
                let known = self.granted.get(name).or_else(|| self.metadata.get(name));
                known.map(|value| &value[..])
            }
        }
    }
}

/// What a pipe leads to.
pub(crate) enum Link {
    /// Nothing yet, or nothing at the moment: messages queue.
    Down,
    /// A stream connection.
    Wire(Box<Conn>),
    /// Another socket of this context.
    Inproc(Box<End>),
}

/// One pipe. On cache lines of its own: its traffic is written for each message, and what is next to it may be
/// another thread's.
#[repr(align(64))]
pub(crate) struct Pipe {
    pub(crate) link: Link,
    /// Accepted from the application and not yet encoded.
    outq: VecDeque<Message>,
    /// Invariant: the bytes of the messages in `outq`.
    outq_bytes: usize,
    /// Decoded and not yet taken by the application.
    inq: VecDeque<Message>,
    sndhwm: usize,
    sndhwm_bytes: usize,
    rcvhwm: usize,
    conflate: bool,
    /// It is connected over inproc to a name that nobody is bound to yet: its output lingers, as that of
    /// a connection that is still to come up does.
    pub(crate) awaits: bool,
    /// The pattern knows this pipe.
    pub(crate) attached: bool,
    /// The connection is lost for good; the pipe lives until what was received is taken.
    pub(crate) ending: bool,
    /// The dialer that brings the connection up, if this side connects.
    pub(crate) dialer: Option<usize>,
    /// The listener that accepted it, if the other side connected.
    pub(crate) listener: Option<usize>,
    /// Invariant: true exactly while the pipe is in `Pipes::dirty`.
    dirty: bool,
    /// Invariant: true exactly while the pipe is in `Pipes::unread`.
    unread: bool,
    /// Invariant: the pipe's place in `Pipes::dry`, if it is there.
    dry: Option<usize>,
    /// A failure was noted and is about to be dealt with.
    failed: bool,
    pub(crate) traffic: Traffic,
    /// Tells this pipe from others with the same id before and after it.
    pub(crate) birth: u32,
    /// Tells its connections apart; as `birth` until the second.
    pub(crate) generation: u32,
    pub(crate) info: Arc<PeerInfo>,
    /// For the time of a handshake with a peer that is to be judged, or counted.
    pub(crate) admission: Option<Box<Admission>>,
    /// A routing id given to the peer by this side (CONNECT_ROUTING_ID).
    pub(crate) assigned_id: Option<Bytes>,
    /// The socket's options as they were when it was bound or connected here.
    pub(crate) options: Arc<Options>,
}

impl Pipe {
    pub(crate) fn new(options: Arc<Options>) -> Self {
        Pipe {
            link: Link::Down,
            outq: VecDeque::new(),
            outq_bytes: 0,
            inq: VecDeque::new(),
            sndhwm: mark(options.sndhwm),
            sndhwm_bytes: mark(options.sndhwm_bytes),
            rcvhwm: mark(options.rcvhwm),
            conflate: options.conflate,
            awaits: false,
            attached: false,
            ending: false,
            dialer: None,
            listener: None,
            dirty: false,
            unread: false,
            dry: None,
            failed: false,
            traffic: Traffic::default(),
            birth: 0,
            generation: 0,
            info: Arc::default(),
            admission: None,
            assigned_id: None,
            options,
        }
    }

    fn set_marks(&mut self, options: &Options) {
        (self.sndhwm, self.rcvhwm) = (mark(options.sndhwm), mark(options.rcvhwm));
        self.sndhwm_bytes = mark(options.sndhwm_bytes);
        if let Link::Inproc(end) = &self.link {
            end.set_marks(self.sndhwm, self.rcvhwm);
        }
    }

    /// The pipe leads to another socket of this context from now on.
    pub(crate) fn join(&mut self, end: End) {
        end.set_marks(self.sndhwm, self.rcvhwm);
        self.awaits = false;
        self.link = Link::Inproc(Box::new(end));
    }

    pub(crate) fn admission(&mut self) -> &mut Admission {
        self.admission.get_or_insert_default()
    }

    /// Why the connection ends, with the ZAP handler's reason if it gave one.
    pub(crate) fn reason_given(&self, why: &Broken) -> String {
        match self.admission.as_ref().and_then(|a| a.reason.as_ref()) {
            Some(reason) => format!("{why}; the ZAP handler says: {reason}"),
            None => why.to_string(),
        }
    }

    pub(crate) fn conn(&self) -> Option<&Conn> {
        match &self.link {
            Link::Wire(conn) => Some(conn),
            _ => None,
        }
    }

    /// Its descriptor, for what is received by it.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        self.conn().map(|conn| conn.stream().as_fd().as_raw_fd())
    }

    /// The same, for events; 0 if it has none.
    pub(crate) fn descriptor(&self) -> u64 {
        self.raw_fd().map_or(0, |fd| fd.unsigned_abs().into())
    }

    /// This side's address of a connection that this side made, for events.
    pub(crate) fn local_address(&self) -> Option<String> {
        let conn = self.conn().filter(|_| self.dialer.is_some());
        conn.map(|conn| conn.stream().local_address())
    }

    /// Messages accepted and not yet handed on.
    pub(crate) fn queued_out(&self) -> usize {
        self.outq.len() + self.conn().map_or(0, Conn::unwritten_messages)
    }

    /// Whether anything accepted, of any kind, has still to leave.
    pub(crate) fn has_output(&self) -> bool {
        !self.outq.is_empty() || self.conn().is_some_and(|conn| conn.unwritten() > 0)
    }

    /// Messages received and not yet taken.
    pub(crate) fn queued_in(&self) -> usize {
        match &self.link {
            Link::Inproc(end) => end.waiting(),
            _ => self.inq.len(),
        }
    }

    /// It is of use, and keeps each message.
    #[inline]
    fn is_plain(&self) -> bool {
        !(self.ending || self.failed || self.conflate)
    }

    /// Whether another message may queue for a connection. In C, where the kernel takes no more, room
    /// comes in halves of the mark, as over inproc: libzmq's programs count on it.
    fn is_below_mark(&self) -> bool {
        let queued = self.queued_out();
        let halves = self.conn().is_some_and(|conn| !conn.writable) && self.options.are_for_c();
        let bytes = self.outq_bytes + self.conn().map_or(0, Conn::unwritten);
        queued < self.sndhwm
            && bytes < self.sndhwm_bytes
            && (!halves
                || by_halves(queued, self.traffic.messages_out, self.sndhwm) < self.sndhwm as u64)
    }

    /// Messages accepted and not yet handed on, and messages received and not yet taken, as the C
    /// interface tells them: what has left a queue counts in steps of half the high-water mark.
    pub(crate) fn queued_by_halves(&mut self) -> (u64, u64) {
        let traffic = self.traffic;
        let out = match &mut self.link {
            Link::Inproc(end) => end.under_way() as u64,
            _ => by_halves(self.queued_out(), traffic.messages_out, self.sndhwm),
        };
        let queued_in = self.queued_in();
        let all_in = traffic.messages_in + queued_in as u64;
        (out, by_halves(queued_in, all_in, self.rcvhwm))
    }

    /// It leads to a socket of this context, or did.
    pub(crate) fn is_inproc(&self) -> bool {
        self.dialer.is_none() && self.listener.is_none_or(|index| index == usize::MAX)
    }

    /// The peer can be reached at this moment.
    pub(crate) fn is_up(&self) -> bool {
        match &self.link {
            Link::Down => false,
            Link::Wire(conn) => !conn.in_handshake(),
            Link::Inproc(end) => end.is_open(),
        }
    }

    /// The application is about to have a message that came by this pipe.
    #[inline(always)]
    fn received(&mut self, id: PipeId, message: &mut Message) {
        self.traffic.messages_in += 1;
        self.traffic.bytes_in += message.size() as u64;
        message.origin = Some(self.connection_id(id));
        // Over inproc a message arrives as it was sent; an address is the receiver's to give.
        message.set_routing_id(0);
    }

    #[inline]
    fn connection_id(&self, id: PipeId) -> ConnectionId {
        let bits = u64::from(self.generation) << 32 | id as u64;
        ConnectionId(NonZeroU64::new(bits).expect("generations begin at one"))
    }

    /// Forgets what was accepted and not sent. Returns how many messages that were.
    pub(crate) fn clear_output(&mut self) -> usize {
        self.outq_bytes = 0;
        std::mem::take(&mut self.outq).len()
    }
}

/// A high-water mark, where 0 stands for no limit.
fn mark(hwm: usize) -> usize {
    if hwm == 0 { usize::MAX } else { hwm }
}

/// How many messages a queue has where whoever takes them says so once for every half of the
/// high-water mark, as in libzmq: `queued` of `all` that ever came are left.
fn by_halves(queued: usize, all: u64, mark: usize) -> u64 {
    let queued = queued as u64;
    match mark {
        // Nobody would say so, ever.
        usize::MAX => queued,
        _ => queued + all.saturating_sub(queued) % mark.div_ceil(2) as u64,
    }
}

/// What happened to a pipe while a pattern was using it.
#[derive(Debug)]
pub(crate) enum Happened {
    /// The connection ended.
    Failed(Broken),
    /// The application has let go of the peer: what it was sent may still leave.
    Left,
    /// The connection ended before; now all that it brought is taken.
    Drained,
    /// The peer's ping asks to have its silence watched.
    Pinged,
    /// The kernel takes no more, and somebody sleeps who would not learn when it does again.
    Blocked,
}

/// All pipes of a socket.
pub(crate) struct Pipes {
    slab: Slab<Pipe>,
    pub(crate) pool: Pool,
    /// Pipes with output that was not offered to the kernel, or a word owed to the peer.
    dirty: Vec<PipeId>,
    /// Pipes that the kernel reported readable and that are not read empty.
    unread: VecDeque<PipeId>,
    /// Inproc pipes that were found empty and have not been told so: to be
    /// [announced](Self::announce) before anybody pauses.
    dry: Vec<PipeId>,
    /// Inproc peers that may hold messages back, to be asked for them without the socket's lock.
    pub(crate) withheld: Vec<Far>,
    /// What happened to pipes and waits for the socket to deal with it.
    pub(crate) happened: Vec<(PipeId, Happened)>,
    pub(crate) counters: Counters,
    /// Whether output waits for company; then the background thread knows.
    company: Company,
    /// A message had to queue behind a kernel that is full; cleared by the socket.
    pub(crate) backlog: bool,
    /// A word is owed to a peer and the background thread knows.
    owing: bool,
    /// Callers that sleep on a connection and not on the set.
    pub(crate) beside: usize,
    generation: u32,
    /// Peers that sent messages and are gone, the oldest first: the application may still have a
    /// message of theirs.
    past: VecDeque<(ConnectionId, Arc<PeerInfo>)>,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        Pipes {
            slab: Slab::new(),
            pool: Pool::default(),
            dirty: Vec::new(),
            unread: VecDeque::new(),
            dry: Vec::new(),
            withheld: Vec::new(),
            happened: Vec::new(),
            counters: Counters::default(),
            company: Company::new(),
            owing: false,
            beside: 0,
            backlog: false,
            generation: 0,
            past: VecDeque::new(),
        }
    }

    pub(crate) fn insert(&mut self, mut pipe: Pipe) -> PipeId {
        pipe.birth = self.next_generation();
        pipe.generation = pipe.birth;
        self.slab.insert(pipe)
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation % 0x3fff_ffff + 1;
        self.generation
    }

    /// A new connection begins on a pipe: what refers to the one before is void.
    pub(crate) fn renew(&mut self, id: PipeId) -> u32 {
        self.remember(id);
        let generation = self.next_generation();
        self.slab[id].generation = generation;
        generation
    }

    /// Keeps what is known of a peer that sent something and will soon be gone.
    fn remember(&mut self, id: PipeId) {
        let pipe = &self.slab[id];
        if pipe.traffic.messages_in == 0 {
            return;
        }
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past
            .push_back((pipe.connection_id(id), pipe.info.clone()));
    }

    pub(crate) fn remove(&mut self, id: PipeId) -> Pipe {
        self.dirty.retain(|&dirty| dirty != id);
        self.unread.retain(|&unread| unread != id);
        self.undry(id);
        self.happened.retain(|(pipe, _)| *pipe != id);
        self.remember(id);
        let pipe = self.slab.remove(id);
        self.counters.past += pipe.traffic;
        pipe
    }

    pub(crate) fn contains(&self, id: PipeId) -> bool {
        self.slab.contains(id)
    }

    #[inline]
    pub(crate) fn pipe(&self, id: PipeId) -> &Pipe {
        &self.slab[id]
    }

    #[inline]
    pub(crate) fn pipe_mut(&mut self, id: PipeId) -> &mut Pipe {
        &mut self.slab[id]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PipeId, &Pipe)> {
        self.slab.iter()
    }

    /// Some pipe; the only one, if there is one.
    pub(crate) fn only(&self) -> Option<PipeId> {
        self.slab.iter().next().map(|(id, _)| id)
    }

    pub(crate) fn ids(&self) -> Vec<PipeId> {
        self.slab.iter().map(|(id, _)| id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The connection and the pool that lends it buffers.
    pub(crate) fn conn_and_pool(&mut self, id: PipeId) -> Option<(&mut Conn, &mut Pool)> {
        match &mut self.slab.get_mut(id)?.link {
            Link::Wire(conn) => Some((conn, &mut self.pool)),
            _ => None,
        }
    }

    /// Notes that a pipe failed; the socket deals with it at the end of its current step.
    pub(crate) fn fail(&mut self, id: PipeId, why: Broken) {
        if !std::mem::replace(&mut self.slab[id].failed, true) {
            self.happened.push((id, Happened::Failed(why)));
        }
    }

    /// Takes the options that concern all pipes, those that are there already.
    pub(crate) fn configure(&mut self, options: &Options) {
        self.pool
            .resize(options.in_batch_size, options.out_batch_size);
        for (_, pipe) in &mut self.slab {
            pipe.set_marks(options);
        }
    }

    /// The pattern does not let a pipe join: what it has brought is of no interest.
    pub(crate) fn refuse(&mut self, id: PipeId, why: Broken) {
        self.slab[id].attached = false;
        self.fail(id, why);
    }

    /// Whether a failure was noted that is still to be dealt with.
    pub(crate) fn has_failed(&self, id: PipeId) -> bool {
        self.slab[id].failed
    }

    pub(crate) fn mend(&mut self, id: PipeId) {
        self.slab[id].failed = false;
    }

    /// Whether the peer has gone for good; what it sent may still wait.
    pub(crate) fn has_left(&self, id: PipeId) -> bool {
        let pipe = &self.slab[id];
        pipe.ending || matches!(&pipe.link, Link::Inproc(end) if !end.is_open())
    }

    /// Puts a word of the pattern's own among what is received, where it is now.
    pub(crate) fn interject(&mut self, id: PipeId, word: Message) {
        self.slab[id].inq.push_back(word);
    }

    #[inline(never)]
    fn mark_dirty(&mut self, id: PipeId) {
        if !std::mem::replace(&mut self.slab[id].dirty, true) {
            self.dirty.push(id);
        }
    }

    // ---- outbound ----

    /// Whether the pipe takes another message without passing its high-water mark.
    #[inline]
    pub(crate) fn can_send(&mut self, id: PipeId) -> bool {
        let pipe = &mut self.slab[id];
        if pipe.ending || pipe.failed {
            return false;
        }
        if pipe.conflate {
            return !(pipe.options.immediate && matches!(pipe.link, Link::Down));
        }
        match &mut pipe.link {
            // With IMMEDIATE nothing queues while there is no connection.
            Link::Down => !pipe.options.immediate && pipe.is_below_mark(),
            Link::Inproc(end) => end.is_open() && end.has_room(),
            Link::Wire(conn) => {
                // What a connection that takes more has not written is less than a batch.
                if conn.writable
                    && pipe.outq.len() + conn.unwritten_messages() < pipe.sndhwm
                    && pipe.outq_bytes < pipe.sndhwm_bytes
                {
                    return true;
                }
                if !conn.writable || conn.in_handshake() {
                    return pipe.is_below_mark();
                }
                // Full, but only because output waited for company.
                self.flush(id);
                self.slab[id].is_below_mark()
            }
        }
    }

    /// Whether the queue is below its high-water mark as it is, with all that waits for company.
    pub(crate) fn has_room(&mut self, id: PipeId) -> bool {
        let pipe = &self.slab[id];
        match pipe.link {
            Link::Wire(_) if pipe.is_plain() => pipe.is_below_mark(),
            _ => self.can_send(id),
        }
    }

    /// Sends a message down a pipe if that [can take it](Self::can_send). If so nothing is to be expected
    /// of what is left of it.
    #[inline(always)]
    pub(crate) fn try_send(&mut self, id: PipeId, message: &mut Message) -> bool {
        let pipe = &mut self.slab[id];
        let batch = self.pool.out_batch;
        // What nearly every call meets, with one look at the pipe.
        if pipe.is_plain() {
            match &mut pipe.link {
                Link::Inproc(end) => {
                    let room = end.is_open() && end.has_room();
                    if room {
                        pipe.traffic.sent(message);
                        end.push(message);
                        self.counters.dropped.conflated += end.take_replaced();
                    }
                    return room;
                }
                Link::Wire(conn)
                    if conn.encodes_at_once(batch, pipe.sndhwm) && pipe.outq.is_empty() =>
                {
                    pipe.traffic.sent(message);
                    conn.encode(message, &mut self.pool);
                    if !pipe.dirty || conn.unwritten() >= batch {
                        self.encoded(id);
                    }
                    return true;
                }
                _ => {}
            }
        }
        let room = self.can_send(id);
        if room {
            self.send(id, message);
        }
        room
    }

    /// Sends a message down a pipe that [can take it](Self::can_send). Nothing is to be expected of what
    /// is left of it.
    #[inline]
    pub(crate) fn send(&mut self, id: PipeId, message: &mut Message) {
        self.slab[id].traffic.sent(message);
        self.carry(id, message);
    }

    /// A message is to go to many: [copies](Self::try_copy) of it follow.
    #[inline]
    pub(crate) fn begin_copies(&mut self) {
        if self.pool.common.len() >= 2 * self.pool.out_batch {
            self.keep_common();
        }
        self.pool.common.begin();
    }

    /// Each peer has its own copy of what was common to many, of which there is too much: they are not in
    /// step.
    #[cold]
    fn keep_common(&mut self) {
        for &id in &self.dirty {
            if let Link::Wire(conn) = &mut self.slab[id].link {
                conn.keep_common(&mut self.pool);
            }
        }
        self.pool.common.clear();
    }

    /// Sends a copy of a message that goes to many down a pipe if that [can take it](Self::can_send).
    #[inline]
    pub(crate) fn try_copy(&mut self, id: PipeId, message: &Message) -> bool {
        let pipe = &mut self.slab[id];
        let batch = self.pool.out_batch;
        if pipe.is_plain()
            && let Link::Wire(conn) = &mut pipe.link
            && conn.encodes_at_once(batch, pipe.sndhwm)
            && pipe.outq.is_empty()
        {
            pipe.traffic.sent(message);
            match message.size() < LARGE {
                true => conn.encode_common(message, &mut self.pool),
                false => conn.encode(message, &mut self.pool),
            }
            if !pipe.dirty || conn.unwritten() >= batch {
                self.encoded(id);
            }
            return true;
        }
        let room = self.can_send(id);
        if room {
            self.send(id, &mut message.clone());
        }
        room
    }

    /// Says what goes first on a connection that has just come up, before all that was queued.
    pub(crate) fn greet(&mut self, id: PipeId, message: &Message) {
        match &mut self.slab[id].link {
            Link::Wire(conn) => {
                conn.encode(message, &mut self.pool);
                self.encoded(id);
            }
            Link::Inproc(end) => end.push(&mut message.clone()),
            Link::Down => {}
        }
    }

    /// Has the library say something to the application, behind what the peer has said: for
    /// pipes that came up or have just lost their connection, when all of that is in `inq`.
    pub(crate) fn tell(&mut self, id: PipeId, message: Message) {
        self.slab[id].inq.push_back(message);
    }

    /// Sends what the library itself has to say (a subscription, a probe, a welcome): it does
    /// not count and is not subject to the high-water mark.
    pub(crate) fn put(&mut self, id: PipeId, mut message: Message) {
        self.carry(id, &mut message);
    }

    #[inline]
    fn carry(&mut self, id: PipeId, message: &mut Message) {
        let pipe = &mut self.slab[id];
        match &mut pipe.link {
            Link::Wire(conn)
                if pipe.outq.is_empty()
                    && conn.unwritten()
                        < if pipe.conflate {
                            1
                        } else {
                            self.pool.out_batch
                        }
                    && !conn.in_handshake() =>
            {
                conn.encode(message, &mut self.pool);
                self.encoded(id);
            }
            Link::Inproc(end) => {
                end.push(message);
                self.counters.dropped.conflated += end.take_replaced();
            }
            _ => {
                if pipe.conflate && message.is_data() {
                    let before = pipe.outq.len();
                    pipe.outq.retain(|waiting| !waiting.is_data());
                    pipe.outq_bytes = pipe.outq.iter().map(Message::size).sum();
                    self.counters.dropped.conflated += (before - pipe.outq.len()) as u64;
                }
                // Nothing but its peer's answer ends a handshake: who is to write for it must not be
                // told to wait for this caller.
                self.backlog |= matches!(&pipe.link, Link::Wire(conn) if !conn.in_handshake());
                pipe.outq_bytes += message.size();
                pipe.outq.push_back(std::mem::take(message));
            }
        }
    }

    #[inline]
    fn encoded(&mut self, id: PipeId) {
        let (pipe, batch) = (&self.slab[id], self.pool.out_batch);
        if pipe.conn().is_some_and(|conn| conn.unwritten() >= batch) {
            // In a burst its end waits as a small message does.
            self.write(id, self.company.is_awaited());
        } else if !pipe.dirty {
            self.mark_dirty(id);
        }
    }

    /// Writes what a pipe has to write, encoding what is queued. Returns whether any message
    /// left its queue.
    pub(crate) fn flush(&mut self, id: PipeId) -> bool {
        self.write(id, false)
    }

    /// The same where more follows, perhaps: the end is left to be written with that.
    fn write(&mut self, id: PipeId, more: bool) -> bool {
        let pipe = &mut self.slab[id];
        let before = pipe.queued_out();
        let Link::Wire(conn) = &mut pipe.link else {
            if let Link::Inproc(end) = &mut pipe.link {
                end.tell_room();
            }
            return false;
        };
        if conn.in_handshake() {
            return false;
        }
        let mut result = Ok(());
        loop {
            let limit = if pipe.conflate {
                1
            } else {
                self.pool.out_batch
            };
            while conn.unwritten() < limit
                && let Some(message) = pipe.outq.pop_front()
            {
                pipe.outq_bytes -= message.size();
                conn.encode(&message, &mut self.pool);
            }
            if conn.unwritten() == 0 || !conn.writable || result.is_err() {
                break;
            }
            let more = more || !pipe.outq.is_empty();
            if more && conn.unwritten() < limit {
                self.mark_dirty(id);
                break;
            }
            result = conn.flush(&mut self.pool, more);
            if !conn.writable && self.beside > 0 {
                self.happened.push((id, Happened::Blocked));
            }
        }
        if let Err(why) = result {
            self.fail(id, why);
        }
        let pipe = &mut self.slab[id];
        if pipe.outq.is_empty() {
            let keep = if pipe.has_output() { 64 } else { 0 };
            pipe.outq.shrink_to(keep);
        }
        pipe.queued_out() < before
    }

    /// Hands over what is held back for an inproc peer that has run out of messages.
    pub(crate) fn hand_over(&mut self, id: PipeId, generation: u32) {
        if let Some(pipe) = self.slab.get_mut(id)
            && pipe.generation == generation
            && let Link::Inproc(end) = &mut pipe.link
        {
            end.hand_over();
        }
    }

    /// Hands on what queued up before an inproc peer was there.
    pub(crate) fn send_queued(&mut self, id: PipeId) {
        let pipe = &mut self.slab[id];
        if let Link::Inproc(end) = &mut pipe.link {
            let queued = pipe.outq.drain(..);
            queued.for_each(|mut message| end.push(&mut message));
            pipe.outq_bytes = 0;
        }
    }

    /// Decides, at the end of a send, whether output leaves now or waits for company. True if
    /// the background thread is to be asked to see to it.
    #[inline]
    pub(crate) fn after_send(&mut self) -> bool {
        if self.dirty.is_empty() || self.company.has_come() {
            return false;
        }
        self.see_off()
    }

    /// The decision itself, apart: most messages follow others.
    #[inline(never)]
    fn see_off(&mut self) -> bool {
        let peers = u32::try_from(self.dirty.len()).unwrap_or(u32::MAX);
        let silence = SILENCE.saturating_mul(peers);
        let leave = self.company.sent(Instant::now(), silence);
        if leave == Leave::AtOnce {
            self.flush_dirty();
        }
        leave == Leave::Later
    }

    /// Whether, at the end of a receive, a word is owed to a peer (a pong, or that there is room
    /// again) that the background thread does not know of. It must: the application may stay away.
    #[inline]
    pub(crate) fn after_recv(&mut self) -> bool {
        !self.dirty.is_empty()
            && !self.company.is_awaited()
            && !std::mem::replace(&mut self.owing, true)
    }

    /// Writes everything that waits for company.
    pub(crate) fn flush_dirty(&mut self) {
        self.company.over();
        self.owing = false;
        if self.dirty.is_empty() {
            return;
        }
        let crowd = (self.dirty.len() > CROWD).then(Instant::now);
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.slab[id].dirty = false;
            self.flush(id);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
        self.pool.common.clear();
        let now = Instant::now();
        let took = crowd.map_or(Duration::ZERO, |began| now - began);
        self.company.left(now, took);
    }

    /// The same at a tick, unless the last time was so long that the next has to wait.
    pub(crate) fn flush_in_time(&mut self) {
        if self.company.is_time(Instant::now()) {
            self.flush_dirty();
        }
    }

    /// Whether anything waits for company.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The caller waits for a message.
    #[inline]
    pub(crate) fn company_waits(&mut self) {
        self.company.waits();
    }

    pub(crate) fn is_deferring(&self) -> bool {
        self.company.is_awaited()
    }

    // ---- inbound ----

    /// Puts the next message of a pipe into `slot`, read from the transport if need be. False if there is
    /// none; then nothing is to be expected of what is there.
    #[inline]
    pub(crate) fn recv(&mut self, id: PipeId, slot: &mut Message) -> bool {
        let newest = self.slab[id].conflate;
        self.receive(id, newest, slot)
    }

    /// The same for patterns that take in what comes as it comes: CONFLATE is not for them.
    #[inline]
    pub(crate) fn recv_each(&mut self, id: PipeId, slot: &mut Message) -> bool {
        self.receive(id, false, slot)
    }

    #[inline(always)]
    fn receive(&mut self, id: PipeId, newest: bool, slot: &mut Message) -> bool {
        let pipe = &mut self.slab[id];
        // What nearly every call meets: nothing was received ahead, the next message is decoded from what
        // was read, or is in the queue.
        let plain = pipe.inq.is_empty() && !newest && !pipe.failed;
        let found = match &mut pipe.link {
            Link::Inproc(end) if plain && !pipe.ending => {
                if end.pop_into(slot) {
                    let owes = end.owes();
                    pipe.received(id, slot);
                    if owes {
                        self.mark_dirty(id);
                    }
                    return true;
                }
                self.recv_queued(id, newest, slot)
            }
            Link::Wire(conn) if plain => match conn.next(&mut self.pool, slot) {
                Ok(true) if !conn.owes_reply => {
                    pipe.received(id, slot);
                    return true;
                }
                outcome => self.outcome(id, outcome),
            },
            _ => self.recv_queued(id, newest, slot),
        };
        if found {
            self.slab[id].received(id, slot);
        }
        found
    }

    #[inline(never)]
    fn recv_queued(&mut self, id: PipeId, newest: bool, slot: &mut Message) -> bool {
        if !self.take_next(id, slot) {
            return false;
        }
        if newest {
            self.take_newer(id, slot);
        }
        let pipe = &self.slab[id];
        if pipe.ending && pipe.inq.is_empty() {
            self.happened.push((id, Happened::Drained));
        }
        true
    }

    /// CONFLATE: the newest of what is there replaces the message in `slot`.
    fn take_newer(&mut self, id: PipeId, slot: &mut Message) {
        let mut newer = Message::new();
        let mut turn = 0;
        while turn < AT_ONCE && self.take_next(id, &mut newer) {
            std::mem::swap(slot, &mut newer);
            self.counters.dropped.conflated += 1;
            turn += 1;
        }
    }

    /// What was received ahead, or else what is next on the link.
    fn take_next(&mut self, id: PipeId, slot: &mut Message) -> bool {
        match self.slab[id].inq.pop_front() {
            Some(message) => {
                *slot = message;
                true
            }
            None => self.next(id, slot),
        }
    }

    /// Deals with what a connection's `next` brought besides a message.
    #[cold]
    fn outcome(&mut self, id: PipeId, outcome: Result<bool, Broken>) -> bool {
        if let Some(conn) = self.slab[id].conn()
            && conn.owes_reply
        {
            if conn.peer_ttl.is_some() && !conn.ttl_watched {
                self.happened.push((id, Happened::Pinged));
            }
            self.mark_dirty(id);
        }
        let found = outcome.unwrap_or_else(|why| {
            self.fail(id, why);
            false
        });
        if !found && self.may_be_read(id) {
            self.mark_unread(id);
        }
        found
    }

    fn may_be_read(&self, id: PipeId) -> bool {
        let pipe = &self.slab[id];
        !pipe.failed && pipe.conn().is_some_and(|conn| conn.readable)
    }

    fn next(&mut self, id: PipeId, slot: &mut Message) -> bool {
        let several = self.slab.len() > 1;
        let pipe = &mut self.slab[id];
        if pipe.failed {
            return false;
        }
        match &mut pipe.link {
            Link::Down => false,
            Link::Wire(conn) => {
                let outcome = conn.next(&mut self.pool, slot);
                self.outcome(id, outcome)
            }
            Link::Inproc(end) => {
                let mut found = end.pop_into(slot);
                if !found && several && end.ask() {
                    // Turns are taken among what was sent, not among what was handed over.
                    found = end.pop_into(slot);
                }
                self.counters.dropped.conflated += end.take_replaced();
                if !found {
                    return self.last_words(id, slot);
                }
                if end.owes() {
                    self.mark_dirty(id);
                }
                found
            }
        }
    }

    /// An inproc pipe was found empty.
    fn last_words(&mut self, id: PipeId, slot: &mut Message) -> bool {
        let Link::Inproc(end) = &mut self.slab[id].link else {
            return false;
        };
        if end.is_open() {
            self.mark_dry(id);
            return false;
        }
        // What was pushed before the end closed comes first.
        let found = end.pop_into(slot);
        if !found {
            self.fail(id, Broken::Closed);
        }
        found
    }

    fn mark_dry(&mut self, id: PipeId) {
        let place = self.dry.len();
        if self.slab[id].dry.is_none() {
            self.slab[id].dry = Some(place);
            self.dry.push(id);
        }
    }

    fn undry(&mut self, id: PipeId) {
        if let Some(place) = self.slab[id].dry.take() {
            self.dry.swap_remove(place);
            if let Some(&moved) = self.dry.get(place) {
                self.slab[moved].dry = Some(place);
            }
        }
    }

    /// Whether inproc pipes were found empty and do not know it yet.
    #[inline]
    pub(crate) fn is_dry(&self) -> bool {
        !self.dry.is_empty()
    }

    /// [Announces](Self::announce) all of them, and names those that have a message by now.
    pub(crate) fn announce_all(&mut self, mut found: impl FnMut(PipeId)) {
        while let Some(&id) = self.dry.last() {
            if self.announce(id) {
                found(id);
            }
        }
    }

    /// Has an inproc peer tell of its next message. True if there is one by now.
    pub(crate) fn announce(&mut self, id: PipeId) -> bool {
        self.undry(id);
        let Link::Inproc(end) = &mut self.slab[id].link else {
            return false;
        };
        let look = end.announce();
        if look == Look::Withheld {
            self.withheld.push(end.far().clone());
        }
        look == Look::Found
    }

    /// Looks at the inproc pipes that were found empty, for about a µs or until there is other
    /// news. The one that has a message.
    pub(crate) fn listen(&mut self, news: impl Fn() -> bool) -> Option<PipeId> {
        if self.dry.is_empty() {
            return None;
        }
        for _ in 0..LOOKS {
            for at in 0..self.dry.len().min(LISTENED_TO) {
                let id = self.dry[at];
                if let Link::Inproc(end) = &mut self.slab[id].link
                    && end.listen()
                {
                    self.undry(id);
                    return Some(id);
                }
            }
            if news() {
                break;
            }
            std::hint::spin_loop();
        }
        // Those that it has no time for.
        while self.dry.len() > LISTENED_TO {
            let id = self.dry[LISTENED_TO];
            if self.announce(id) {
                return Some(id);
            }
        }
        None
    }

    /// Whether a message waits, decoding one ahead if need be.
    pub(crate) fn has_message(&mut self, id: PipeId) -> bool {
        let pipe = &mut self.slab[id];
        if !pipe.inq.is_empty() {
            return true;
        }
        if let Link::Inproc(end) = &mut pipe.link {
            if end.has_message() {
                return true;
            }
            let open = end.is_open();
            let found = self.announce(id);
            if !open && !found {
                self.fail(id, Broken::Closed);
            }
            return found;
        }
        let mut message = Message::new();
        let found = self.next(id, &mut message);
        if found {
            self.slab[id].inq.push_back(message);
        }
        found
    }

    /// Receives ahead of the application, up to the high-water mark and for at most a turn; if
    /// that was not all, the pipe stays [unread](Self::is_unread). True if there is something
    /// that was not there before.
    pub(crate) fn pull(&mut self, id: PipeId) -> bool {
        let before = self.slab[id].inq.len();
        if matches!(self.slab[id].link, Link::Inproc(_)) {
            return self.has_message(id);
        }
        let (mut turn, mut bytes) = (0, 0);
        while self.wants_input(id) {
            if turn == AT_ONCE || bytes >= AHEAD {
                self.mark_unread(id);
                break;
            }
            turn += 1;
            let mut message = Message::new();
            if !self.next(id, &mut message) {
                break;
            }
            bytes += message.size();
            let pipe = &mut self.slab[id];
            if pipe.conflate {
                self.counters.dropped.conflated += pipe.inq.len() as u64;
                pipe.inq.clear();
            }
            pipe.inq.push_back(message);
        }
        self.slab[id].inq.len() > before || (self.slab[id].conflate && before > 0)
    }

    /// Keeps what a connection that just ended has still delivered: at most a buffer's worth,
    /// whatever the high-water mark, and, if it was writing that failed, what the kernel holds.
    pub(crate) fn pull_rest(&mut self, id: PipeId, read_on: bool) {
        let Some((conn, pool)) = self.conn_and_pool(id) else {
            return;
        };
        conn.readable = read_on;
        let mut rest = Vec::new();
        let mut message = Message::new();
        while let Ok(true) = conn.next(pool, &mut message) {
            rest.push(std::mem::take(&mut message));
        }
        self.slab[id].inq.extend(rest);
    }

    /// Notes that the kernel reported a pipe readable.
    pub(crate) fn mark_unread(&mut self, id: PipeId) {
        if !std::mem::replace(&mut self.slab[id].unread, true) {
            self.unread.push_back(id);
            self.pool.share_among(self.unread.len());
        }
    }

    /// Whether a pipe may not be read empty yet.
    pub(crate) fn is_unread(&self, id: PipeId) -> bool {
        self.slab.get(id).is_some_and(|pipe| pipe.unread)
    }

    /// A pipe that was reported readable and may not be read empty yet.
    pub(crate) fn take_unread(&mut self) -> Option<PipeId> {
        let id = self.unread.pop_front()?;
        self.pool.share_among(self.unread.len());
        self.slab[id].unread = false;
        Some(id)
    }

    /// Forgets the pipes that have been read empty meanwhile.
    pub(crate) fn prune_unread(&mut self) {
        let slab = &mut self.slab;
        self.unread.retain(|&id| {
            let keep = slab[id]
                .conn()
                .is_some_and(|conn| conn.readable || conn.has_bytes());
            slab[id].unread = keep;
            keep
        });
    }

    pub(crate) fn unread_len(&self) -> usize {
        self.unread.len()
    }

    /// Has room for more received messages.
    pub(crate) fn wants_input(&self, id: PipeId) -> bool {
        self.slab[id].inq.len() < self.slab[id].rcvhwm
    }

    pub(crate) fn connection_id(&self, id: PipeId) -> ConnectionId {
        self.slab[id].connection_id(id)
    }

    /// What is known of the peer of a connection, if it is still the same or went not long ago.
    pub(crate) fn peer(&self, connection: ConnectionId) -> Option<&Arc<PeerInfo>> {
        let pipe = self.slab.get((connection.0.get() & 0xffff_ffff) as usize);
        let same = |pipe: &&Pipe| u64::from(pipe.generation) == connection.0.get() >> 32;
        match pipe.filter(same) {
            Some(pipe) => Some(&pipe.info),
            None => {
                let mut past = self.past.iter().rev();
                past.find(|(known, _)| *known == connection)
                    .map(|(_, info)| info)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::by_halves;

    #[test]
    fn what_has_left_counts_until_half_the_mark_has() {
        // Queued, ever accepted, the mark; what libzmq says.
        for (queued, all, mark, told) in [
            (0, 0, 500, 0),
            (3, 3, 500, 3),
            (0, 249, 500, 249),
            (0, 250, 500, 0),
            (464, 1000, 500, 500),
            (499, 1000, 500, 500),
            (500, 1000, 500, 500),
            (0, 1000, 500, 0),
            (0, 1, 1, 0),
            (1, 4, 3, 2),
            (7, 1000, usize::MAX, 7),
        ] {
            assert_eq!(
                by_halves(queued, all, mark),
                told,
                "{queued} of {all}, {mark}"
            );
        }
    }
}
