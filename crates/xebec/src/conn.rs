//! A stream connection: transport, protocol state and byte buffers of one peer.
//!
//! Whoever holds the socket's lock drives it: a calling thread, the background thread or a task.
//! It reads and decodes on demand, and encodes straight into the outgoing buffer. It knows
//! nothing of socket types: it turns bytes into [`Message`]s and back, answers pings, and says
//! when and why it broke.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::io::Errno;
use zeroize::Zeroizing;
use zmtp::{
    Cipher, Command, Credentials, Framing, Handshake, HandshakeError, Header, Local,
    MESSAGE_OVERHEAD, Opened, Peer, Progress, SocketType, Subscription, Verdict, Version,
};

use crate::buffer::{Incoming, LARGE, Outgoing, Pool};
use crate::large;
use crate::message::{Frame, Kind, Message};
use crate::transport::Stream;

/// How much of a body that a peer announces is allocated before it has sent that much.
const TRUST: usize = 64 << 10;

/// Frames in one message. A peer that never ends a message must not fill the memory.
const MAX_FRAMES: usize = 1 << 20;

/// Behind a body of this size the next read looks for no more than a header, and what is as small: in a
/// whole batch it would find most of another such body, which would be copied once more.
const HUGE: usize = 4 * LARGE;
const GLIMPSE: usize = 512;

/// The longest header of a frame.
const HEADER: usize = 9;

/// Reads of one connection before others get their turn, however much it sends.
const READS_AT_ONCE: usize = 16;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The peer closed it.
    Closed,
    /// The transport failed.
    Io(io::Error),
    /// The peer did not keep to the protocol.
    Protocol(String),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// The peer did not answer in time.
    Silent(&'static str),
    /// This side ended it; a peer that it connects to is tried again.
    Refused(&'static str),
    /// This side ended it for good.
    Dismissed(&'static str),
    /// The ZAP handler could not tell whether to let the peer in; it may come back.
    Later,
}

impl Broken {
    /// The errno that libzmq tells for it, where it tells nothing more precise.
    pub(crate) fn errno(&self) -> u64 {
        let errno = match self {
            Broken::Closed => Errno::PIPE.raw_os_error(),
            Broken::Io(error) => error.raw_os_error().unwrap_or(0),
            Broken::Silent(_) => Errno::TIMEDOUT.raw_os_error(),
            Broken::Handshake(HandshakeError::NoAuthenticator) => Errno::FAULT.raw_os_error(),
            Broken::Protocol(_) | Broken::Handshake(_) => Errno::PROTO.raw_os_error(),
            Broken::Refused(_) | Broken::Dismissed(_) | Broken::Later => {
                Errno::CONNABORTED.raw_os_error()
            }
        };
        errno.unsigned_abs().into()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Closed => f.write_str("the peer closed the connection"),
            Broken::Io(error) => write!(f, "{error}"),
            Broken::Protocol(what) => write!(f, "the peer broke the protocol: {what}"),
            Broken::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Broken::Silent(what) => f.write_str(what),
            Broken::Refused(why) | Broken::Dismissed(why) => f.write_str(why),
            Broken::Later => f.write_str(
                "the ZAP handler cannot judge the peer for the time being (300): it may try again",
            ),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Io(error)
    }
}

/// How far a handshake has come.
#[derive(Debug)]
pub(crate) enum Shaken {
    /// Something from the peer, or a verdict, is due.
    Waits,
    /// The peer is to be judged, and the [verdict](Conn::verdict) told, before it goes on.
    Asks(Credentials),
    /// It is done.
    Done(Peer),
}

enum Phase {
    Handshake(Box<Handshake>),
    Traffic,
    /// Traffic of which every frame is encrypted (CURVE).
    Sealed(Box<Cipher>),
    /// No protocol: what arrives is a message, what is sent leaves as it is (STREAM).
    Raw,
}

/// A body under way that is longer than the buffer.
struct LargeBody {
    /// What there is of it, and room for more.
    memory: Vec<u8>,
    there: usize,
    len: usize,
    more: bool,
    command: bool,
}

/// One connection.
pub(crate) struct Conn {
    stream: Stream,
    phase: Phase,
    version: Version,
    framing: Framing,
    incoming: Incoming,
    outgoing: Outgoing,
    /// There may be something to read; cleared when the kernel said that there is not.
    pub(crate) readable: bool,
    /// The kernel has room; cleared when it said that it has not.
    pub(crate) writable: bool,
    /// The kernel said that the end follows what there is to read: it will not say so again.
    pub(crate) hung: bool,
    /// Something was received since this was last cleared (by the heartbeat).
    pub(crate) heard: bool,
    /// When the first ping was sent since something was heard. Written by the heartbeat.
    pub(crate) asked: Option<Instant>,
    /// The peer pings, now and then.
    pub(crate) pinged: bool,
    /// The peer asks to be given up after this much silence (the TTL of its pings).
    pub(crate) peer_ttl: Option<Duration>,
    /// The same as `heard`, for the peer's TTL.
    pub(crate) heard_since_ttl: bool,
    /// A timer watches the peer's TTL.
    pub(crate) ttl_watched: bool,
    /// A pong waits to be written.
    pub(crate) owes_reply: bool,
    /// The peer is a DISH: nobody else has groups to join.
    from_dish: bool,
    /// When the writing side was shut down.
    ended: Option<Instant>,
    max_body: u64,
    partial: Option<Message>,
    body: Option<Box<LargeBody>>,
    /// The last that was read is a [`HUGE`] body.
    after_huge: bool,
}

impl Conn {
    pub(crate) fn zmtp(stream: Stream, local: Local, max_body: u64) -> Self {
        let handshake = Box::new(Handshake::new(local));
        Conn::new(stream, Phase::Handshake(handshake), max_body)
    }

    pub(crate) fn raw(stream: Stream) -> Self {
        Conn::new(stream, Phase::Raw, u64::MAX)
    }

    fn new(stream: Stream, phase: Phase, max_body: u64) -> Self {
        Conn {
            stream,
            phase,
            version: Version::V3_1,
            framing: Framing::V2,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            // The set reports what is there already.
            readable: false,
            writable: true,
            hung: false,
            heard: false,
            asked: None,
            pinged: false,
            peer_ttl: None,
            heard_since_ttl: false,
            ttl_watched: false,
            ended: None,
            owes_reply: false,
            from_dish: false,
            max_body,
            partial: None,
            body: None,
            after_huge: false,
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.phase, Phase::Raw)
    }

    pub(crate) fn in_handshake(&self) -> bool {
        matches!(self.phase, Phase::Handshake(_))
    }

    /// Bytes encoded and not yet handed to the kernel.
    #[inline]
    pub(crate) fn unwritten(&self) -> usize {
        self.outgoing.len()
    }

    /// Messages encoded and not yet wholly handed to the kernel.
    #[inline]
    pub(crate) fn unwritten_messages(&self) -> usize {
        self.outgoing.messages()
    }

    /// Takes the handshake as far as it goes. Once it is done, its last word is still to be flushed.
    pub(crate) fn shake(&mut self, pool: &mut Pool) -> Result<Shaken, Broken> {
        loop {
            // Before this side speaks: what the peer has said already may be answered by the same write.
            let more = self.readable && self.fill(pool)?;
            let Phase::Handshake(handshake) = &mut self.phase else {
                return Ok(Shaken::Waits);
            };
            handshake.tell_time(Instant::now());
            let progress = handshake.input(self.incoming.bytes());
            // It may have been a password.
            let consumed = progress.as_ref().map(|progress| progress.consumed);
            self.incoming.wipe(consumed.unwrap_or(usize::MAX));
            if let Some(shaken) = self.progressed(progress, pool)? {
                return Ok(shaken);
            }
            if !more {
                self.incoming.rest(pool);
                return Ok(Shaken::Waits);
            }
        }
    }

    /// Goes on with the handshake of a peer that was judged.
    pub(crate) fn verdict(&mut self, verdict: Verdict, pool: &mut Pool) -> Result<Shaken, Broken> {
        let Phase::Handshake(handshake) = &mut self.phase else {
            return Ok(Shaken::Waits);
        };
        let progress = handshake.verdict(verdict);
        match self.progressed(progress, pool)? {
            Some(shaken) => Ok(shaken),
            None => self.shake(pool),
        }
    }

    /// Sends what a step of the handshake says, and takes in what it found.
    fn progressed(
        &mut self,
        progress: Result<Progress, HandshakeError>,
        pool: &mut Pool,
    ) -> Result<Option<Shaken>, Broken> {
        let Phase::Handshake(handshake) = &mut self.phase else {
            return Ok(None);
        };
        let output = std::mem::take(handshake.output());
        let cipher = handshake.take_cipher();
        if !output.is_empty() {
            // As a chunk of its own, which is wiped when it is written: it may hold a password.
            let output = Zeroizing::new(output);
            self.outgoing.append_shared(pool, Bytes::from_owner(output));
        }
        // The last word leaves together with what is sent next.
        let over = progress
            .as_ref()
            .is_ok_and(|progress| progress.peer.is_some());
        if self.unwritten() > 0 && !over {
            // An error is to reach the peer as well, if it can.
            let flushed = self.flush(pool, false);
            if progress.is_ok() {
                flushed?;
            }
        }
        let progress = progress.map_err(Broken::Handshake)?;
        self.incoming.consume(progress.consumed);
        let shaken = if let Some(peer) = progress.peer {
            self.version = peer.version;
            self.framing = peer.version.framing();
            self.from_dish = peer.socket_type == Some(SocketType::Dish);
            self.phase = match cipher {
                None => Phase::Traffic,
                Some(cipher) => {
                    // MAXMSGSIZE is about what is in it.
                    self.max_body = self.max_body.saturating_add(MESSAGE_OVERHEAD as u64);
                    Phase::Sealed(Box::new(cipher))
                }
            };
            Shaken::Done(peer)
        } else if let Some(credentials) = progress.credentials {
            Shaken::Asks(credentials)
        } else {
            return Ok(None);
        };
        self.incoming.rest(pool);
        Ok(Some(shaken))
    }

    /// Puts the next message into `slot`, reading as long as there is something to read and for at most
    /// a turn: false with `readable` still set means that there may be more. Nothing is to be
    /// expected of `slot` unless there was a message.
    #[inline]
    pub(crate) fn next(&mut self, pool: &mut Pool, slot: &mut Message) -> Result<bool, Broken> {
        let mut reads = 0;
        loop {
            if self.decode_plain(slot) || self.decode(pool, slot)? {
                if !self.readable && self.incoming.len() == 0 {
                    // It may be long until somebody asks again: ten thousand peers that said one
                    // thing each must not hold ten thousand buffers.
                    self.incoming.rest(pool);
                }
                return Ok(true);
            }
            if !self.readable || self.in_handshake() {
                self.incoming.rest(pool);
                return Ok(false);
            }
            if reads == READS_AT_ONCE {
                // Others are to be served as well; `readable` still stands.
                return Ok(false);
            }
            reads += 1;
            match self.fill(pool) {
                Ok(true) if !self.readable => self.incoming.make_do(pool),
                Ok(true) => {}
                Ok(false) => self.readable = false,
                Err(why) => {
                    self.incoming.rest(pool);
                    return Err(why);
                }
            }
        }
    }

    /// Reads once. False if there was nothing.
    fn fill(&mut self, pool: &mut Pool) -> Result<bool, Broken> {
        let result = match &mut self.body {
            Some(body) => {
                if body.there == body.memory.len() {
                    let longer = body.len.min(body.there + body.there.max(TRUST));
                    body.memory.reserve_exact(longer - body.there);
                    body.memory.resize(longer, 0);
                }
                let end = body.len.min(body.memory.len());
                let result = self.stream.read(&mut body.memory[body.there..end]);
                if let Ok(n) = result {
                    body.there += n;
                }
                result
            }
            None => {
                let room = self.incoming.room(pool);
                let size = match self.after_huge {
                    true => room.len().min(GLIMPSE),
                    false => room.len(),
                };
                let result = self.stream.read(&mut room[..size]);
                if let Ok(n) = result {
                    self.incoming.filled(n);
                    self.after_huge = false;
                    // A short read emptied the kernel's buffer: the next arrival is a new edge.
                    // Zero is the end of the stream and is dealt with below.
                    self.readable = n == size || n == 0 || self.hung;
                }
                result
            }
        };
        match result {
            Ok(0) => Err(Broken::Closed),
            Ok(_) => {
                self.heard = true;
                self.heard_since_ttl = true;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Decodes a message of one frame that is wholly there and not encrypted, if that comes next, as nearly
    /// always: [`next`](Self::next) takes 111 instructions then, and took 150 where all kinds were decoded together.
    #[inline(always)]
    fn decode_plain(&mut self, slot: &mut Message) -> bool {
        if matches!(self.phase, Phase::Traffic)
            && self.body.is_none()
            && self.partial.is_none()
            && let Ok(Some(Header {
                more: false,
                command: false,
                body_len,
                header_len,
            })) = self.framing.decode(self.incoming.bytes())
            && body_len <= self.max_body
            && header_len as u64 + body_len <= self.incoming.len() as u64
        {
            let body_len = body_len as usize;
            slot.refill(self.incoming.memory(header_len), body_len);
            self.incoming.consume(header_len + body_len);
            return true;
        }
        false
    }

    /// Decodes one message of any kind from what was read.
    #[inline(never)]
    fn decode(&mut self, pool: &mut Pool, slot: &mut Message) -> Result<bool, Broken> {
        match self.phase {
            Phase::Traffic | Phase::Sealed(_) => {}
            Phase::Raw => return Ok(self.decode_raw(slot)),
            Phase::Handshake(_) => return Ok(false),
        }
        loop {
            if self.body.is_some() {
                let Some((frame, more, command)) = self.finish_large()? else {
                    return Ok(false);
                };
                if let Some(message) = self.frame(frame, more, command, pool)? {
                    *slot = message;
                    return Ok(true);
                }
                continue;
            }
            let bytes = self.incoming.bytes();
            // Taken apart at once: a header that is kept in memory was a tenth of the receiver's time, as
            // its two flags are written one by one and read together.
            let Header {
                mut more,
                mut command,
                body_len,
                header_len,
            } = match self.framing.decode(bytes) {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(false),
                Err(error) => return Err(Broken::Protocol(error.to_string())),
            };
            if body_len > self.max_body {
                return Err(Broken::Protocol(format!(
                    "a frame of {body_len} bytes, where MAXMSGSIZE allows {}",
                    self.max_body
                )));
            }
            let whole = header_len as u64 + body_len;
            if whole > bytes.len() as u64 {
                if body_len as usize >= LARGE {
                    self.begin_large(header_len, body_len, more, command)?;
                    continue;
                }
                return Ok(false);
            }
            let mut start = header_len;
            if let Phase::Sealed(cipher) = &mut self.phase {
                let body = &mut self.incoming.bytes_mut()[start..whole as usize];
                Opened { more, command } = open(cipher, body)?;
                start += MESSAGE_OVERHEAD;
            }
            let whole = whole as usize;
            let body = &self.incoming.bytes()[start..whole];
            if command {
                let owned = body.to_vec();
                self.incoming.consume(whole);
                if let Some(message) = self.command(&owned, pool)? {
                    *slot = message;
                    return Ok(true);
                }
                continue;
            }
            let frame = Frame::received(body);
            self.incoming.consume(whole);
            if let Some(message) = self.frame(frame, more, false, pool)? {
                *slot = message;
                return Ok(true);
            }
        }
    }

    fn decode_raw(&mut self, slot: &mut Message) -> bool {
        let bytes = self.incoming.bytes();
        if bytes.is_empty() {
            return false;
        }
        slot.refill(bytes, bytes.len());
        self.incoming.consume(self.incoming.len());
        true
    }

    /// Starts a body that does not fit the buffer, with what is there of it.
    fn begin_large(
        &mut self,
        header_len: usize,
        body_len: u64,
        more: bool,
        command: bool,
    ) -> Result<(), Broken> {
        let len = usize::try_from(body_len)
            .map_err(|_| Broken::Protocol(format!("a frame of {body_len} bytes")))?;
        let beginning = &self.incoming.bytes()[header_len..];
        let there = beginning.len();
        let mut memory = match large::kept(len) {
            Some(memory) => memory,
            None => large::fresh(len.min(TRUST.max(there)))
                .map_err(|_| Broken::Refused("no memory for the message"))?,
        };
        memory[..there].copy_from_slice(beginning);
        self.incoming.consume(header_len + there);
        self.body = Some(Box::new(LargeBody {
            memory,
            there,
            len,
            more,
            command,
        }));
        Ok(())
    }

    /// The large body under way, once it is whole; an encrypted one is opened where it is.
    fn finish_large(&mut self) -> Result<Option<(Frame, bool, bool)>, Broken> {
        let Some(mut body) = self.body.take_if(|body| body.there == body.len) else {
            return Ok(None);
        };
        self.after_huge = body.len >= HUGE;
        let Phase::Sealed(cipher) = &mut self.phase else {
            let frame = Frame::from(large::shared(body.memory, body.len));
            return Ok(Some((frame, body.more, body.command)));
        };
        let Opened { more, command } = open(cipher, &mut body.memory[..body.len])?;
        let opened = large::shared(body.memory, body.len).slice(MESSAGE_OVERHEAD..);
        Ok(Some((Frame::from(opened), more, command)))
    }

    /// Adds a frame to the message under way; the message, once it is whole.
    fn frame(
        &mut self,
        frame: Frame,
        more: bool,
        command: bool,
        pool: &mut Pool,
    ) -> Result<Option<Message>, Broken> {
        if command {
            return self.command(&frame, pool);
        }
        match &mut self.partial {
            Some(message) => {
                if message.len() >= MAX_FRAMES {
                    return Err(Broken::Protocol(format!(
                        "a message of more than {MAX_FRAMES} frames"
                    )));
                }
                message.push_back(frame);
            }
            None => self.partial = Some(Message::single(frame)),
        }
        Ok(if more { None } else { self.partial.take() })
    }

    fn command(&mut self, body: &[u8], pool: &mut Pool) -> Result<Option<Message>, Broken> {
        let command = Command::parse(body).map_err(|error| Broken::Protocol(error.to_string()))?;
        match command {
            Command::Ping {
                ttl_deciseconds,
                context,
            } => {
                self.pinged = true;
                self.peer_ttl = (ttl_deciseconds > 0)
                    .then(|| Duration::from_millis(u64::from(ttl_deciseconds) * 100));
                // Pongs are not queued without bound for a peer that pings and does not read.
                if self.unwritten() < 2 * crate::buffer::BATCH {
                    let pong = Command::Pong { context };
                    self.put(pool, |out| pong.encode_framed(out));
                    self.owes_reply = true;
                }
                Ok(None)
            }
            Command::Subscribe(topic) => Ok(Some(Message::of_kind(Kind::Subscribe, topic))),
            Command::Cancel(topic) => Ok(Some(Message::of_kind(Kind::Cancel, topic))),
            Command::Join(group) if self.from_dish => Ok(Some(Message::of_kind(Kind::Join, group))),
            Command::Leave(group) if self.from_dish => {
                Ok(Some(Message::of_kind(Kind::Leave, group)))
            }
            Command::Error { reason } => Err(Broken::Protocol(format!(
                "it reports: {}",
                String::from_utf8_lossy(reason)
            ))),
            _ => Ok(None),
        }
    }

    /// Whether a message is encoded as soon as it is sent, where so many bytes are a batch and so many messages may
    /// wait: the kernel had room, and there is some of ours.
    #[inline]
    pub(crate) fn encodes_at_once(&self, batch: usize, mark: usize) -> bool {
        self.writable
            && self.unwritten() < batch
            && self.unwritten_messages() < mark
            && !self.in_handshake()
    }

    /// Encodes a message into the outgoing buffer.
    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, pool: &mut Pool) {
        if !matches!(self.phase, Phase::Traffic) || !message.is_data() {
            return self.encode_special(message, pool);
        }
        match message.only() {
            Some(frame) => self.encode_frame(frame, false, pool),
            None => self.encode_frames(message, pool),
        }
        self.outgoing.end_message();
    }

    #[inline(never)]
    fn encode_frames(&mut self, message: &Message, pool: &mut Pool) {
        let last = message.len() - 1;
        for (i, frame) in message.frames().enumerate() {
            self.encode_frame(frame, i < last, pool);
        }
    }

    #[inline]
    fn encode_frame(&mut self, frame: &Frame, more: bool, pool: &mut Pool) {
        let framing = self.framing;
        match frame.shared() {
            Some(body) if body.len() >= LARGE => {
                self.outgoing
                    .append(pool, |out| framing.encode(more, false, body.len(), out));
                self.outgoing.append_shared(pool, body.clone());
            }
            _ => self.outgoing.append(pool, |out| {
                framing.encode(more, false, frame.len(), out);
                frame.append_to(out);
            }),
        }
    }

    /// The same for a message that goes to many peers, of which most take the same bytes; it has less than
    /// [`LARGE`] of them.
    #[inline]
    pub(crate) fn encode_common(&mut self, message: &Message, pool: &mut Pool) {
        // One that is slow would have to copy it later.
        let alike = self.framing == Framing::V2 && matches!(self.phase, Phase::Traffic);
        if !alike || !self.writable || !message.is_data() {
            return self.encode(message, pool);
        }
        pool.common.encode(|out| {
            let last = message.len() - 1;
            for (i, frame) in message.frames().enumerate() {
                Framing::V2.encode(i < last, false, frame.len(), out);
                frame.append_to(out);
            }
        });
        self.outgoing.append_common(pool);
    }

    /// Has a copy of its own of what it was to send of the [common](crate::buffer::Common) bytes.
    pub(crate) fn keep_common(&mut self, pool: &mut Pool) {
        self.outgoing.keep_common(pool);
    }

    fn encode_special(&mut self, message: &Message, pool: &mut Pool) {
        let version = self.version;
        match (message.kind, &mut self.phase) {
            (Kind::Data | Kind::Grouped, Phase::Sealed(cipher)) => {
                let last = message.len() - 1;
                for (i, frame) in message.frames().enumerate() {
                    let more = i < last;
                    let len = HEADER + MESSAGE_OVERHEAD + frame.len();
                    if len < LARGE {
                        self.outgoing
                            .append(pool, |out| cipher.seal(more, false, frame, out));
                        continue;
                    }
                    // It is copied to be encrypted, and never again.
                    let mut sealed = Vec::with_capacity(len);
                    cipher.seal(more, false, frame, &mut sealed);
                    self.outgoing.append_shared(pool, sealed.into());
                }
            }
            (Kind::Data | Kind::Grouped, _) => {
                message.frames().for_each(|frame| match frame.shared() {
                    Some(body) if body.len() >= LARGE => {
                        self.outgoing.append_shared(pool, body.clone())
                    }
                    _ => self
                        .outgoing
                        .append(pool, |out| out.extend_from_slice(frame)),
                })
            }
            (Kind::Subscribe, _) => self.put(pool, |out| {
                Subscription::Subscribe(message.first()).encode(version, out)
            }),
            (Kind::Cancel, _) => self.put(pool, |out| {
                Subscription::Cancel(message.first()).encode(version, out)
            }),
            // A peer of an older protocol knows no groups and no commands.
            (Kind::Join | Kind::Leave, _) if !version.has_commands() => {}
            (Kind::Join, _) => self.put(pool, |out| {
                Command::Join(message.first()).encode_framed(out)
            }),
            (Kind::Leave, _) => self.put(pool, |out| {
                Command::Leave(message.first()).encode_framed(out)
            }),
        }
        if self.unwritten() > 0 {
            self.outgoing.end_message();
        }
    }

    /// Appends one whole frame, which `encode` writes, encrypted if the traffic is.
    fn put(&mut self, pool: &mut Pool, encode: impl FnOnce(&mut Vec<u8>)) {
        let Phase::Sealed(cipher) = &mut self.phase else {
            return self.outgoing.append(pool, encode);
        };
        let mut frame = Vec::new();
        encode(&mut frame);
        if let Ok(Some(header)) = self.framing.decode(&frame) {
            let body = &frame[header.header_len..];
            let seal = |out: &mut _| cipher.seal(header.more, header.command, body, out);
            self.outgoing.append(pool, seal);
        }
    }

    /// Sends a ping that asks to be answered with `context`.
    pub(crate) fn ping(&mut self, ttl: Duration, pool: &mut Pool) {
        let ping = Command::Ping {
            ttl_deciseconds: (ttl.as_millis() / 100).min(u16::MAX.into()) as u16,
            context: b"",
        };
        // A peer that does not read is not written to without bound.
        if self.unwritten() < crate::buffer::BATCH {
            self.put(pool, |out| ping.encode_framed(out));
        }
    }

    /// Writes what is encoded, as far as the kernel takes it; where more follows, in whole segments, as a tiny one
    /// costs as much. (64 KiB over loopback, where the end of every other message was a segment: 155 thousand a
    /// second, 93 to 126 without this.)
    #[inline]
    pub(crate) fn flush(&mut self, pool: &mut Pool, more: bool) -> Result<(), Broken> {
        if self.outgoing.len() == 0 || !self.writable {
            return Ok(());
        }
        self.owes_reply = false;
        let rest = if more { self.beyond_segments() } else { 0 };
        let stream = &self.stream;
        let written = self
            .outgoing
            .write(pool, rest, |slices| stream.writev(slices));
        self.outgoing.keep_common(pool);
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the last whole segment of the bytes to be written leaves; nothing if there is none.
    fn beyond_segments(&self) -> usize {
        // Asked for each time, as segments grow with the peer's window.
        let (segment, len) = (self.stream.segment(), self.outgoing.len());
        if len < segment { 0 } else { len % segment }
    }

    /// Reads and throws away what the peer sent, so that closing does not reset the connection
    /// under data that the peer has not read. True when the peer has closed its side.
    pub(crate) fn drain(&mut self, pool: &mut Pool) -> bool {
        self.body = None;
        // Others are to be served as well, however much this peer sends.
        for _ in 0..READS_AT_ONCE {
            self.incoming = Incoming::default();
            match self.fill(pool) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
            if !self.readable {
                return false;
            }
        }
        false
    }

    /// Whether the writing side was shut down longer ago than this.
    pub(crate) fn ended_before(&self, time: Duration) -> bool {
        self.ended.is_some_and(|at| at.elapsed() > time)
    }

    /// Shuts the writing side down; false if it was already.
    pub(crate) fn end_output(&mut self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.ended = Some(Instant::now());
        self.heard = false;
        self.stream.shutdown_write();
        true
    }

    /// Bytes received that are no whole message yet.
    pub(crate) fn has_bytes(&self) -> bool {
        self.incoming.len() > 0
    }
}

/// Opens the body of an encrypted frame where it is.
fn open(cipher: &mut Cipher, body: &mut [u8]) -> Result<Opened, Broken> {
    let opened = cipher.open(body);
    opened.map_err(|error| Broken::Protocol(error.to_string()))
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Conn({}, ZMTP {})",
            self.stream.peer_address(),
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use zmtp::{Mechanism, Secret, SocketType};

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::transport::{Listener, StreamOptions, tcp};

    const PASSWORD: &[u8] = b"a word that nobody is to find";

    fn local(mechanism: Mechanism) -> Local {
        Local {
            socket_type: SocketType::Dealer,
            routing_id: Bytes::new(),
            properties: Vec::new(),
            mechanism,
            authenticate: true,
            max_version: Version::V3_1,
        }
    }

    /// The two ends of a connection: of who made it and of who accepted it.
    fn streams() -> [Stream; 2] {
        let options = StreamOptions::default();
        let any = Endpoint::parse("tcp://127.0.0.1:*").unwrap();
        let listener = Listener::bind(&any, &options).unwrap();
        let address = listener.local_endpoint().strip_prefix("tcp://").unwrap();
        let mut connecting = tcp::start_connect(address.parse().unwrap(), None, &options).unwrap();
        let until = |made: &mut dyn FnMut() -> Option<Stream>| loop {
            if let Some(stream) = made() {
                break stream;
            }
            std::thread::yield_now();
        };
        let client = until(&mut || connecting.finish().unwrap());
        let server = until(&mut || listener.accept().unwrap().map(|(stream, _)| stream));
        [client, server]
    }

    /// A PLAIN client and its server, before the first octet.
    fn ends() -> [Conn; 2] {
        let [client, server] = streams();
        let shows = Mechanism::PlainClient {
            username: b"ann".to_vec(),
            password: Secret::from(PASSWORD),
        };
        [(client, shows), (server, Mechanism::PlainServer)]
            .map(|(stream, mechanism)| Conn::zmtp(stream, local(mechanism), u64::MAX))
    }

    #[test]
    fn whole_segments_are_written_while_more_follows() {
        let [stream, _peer] = streams();
        let (mut conn, mut pool) = (Conn::raw(stream), Pool::default());
        // What is left of so much more than a segment. Segments may grow meanwhile, with the peer's window.
        let mut left = |beyond: isize, more| loop {
            let segment = conn.stream().segment();
            let body = vec![7; segment.saturating_add_signed(beyond)];
            conn.encode(&Message::from(body), &mut pool);
            conn.flush(&mut pool, more).unwrap();
            let left = conn.unwritten();
            conn.flush(&mut pool, false).unwrap();
            assert_eq!(conn.unwritten(), 0);
            if conn.stream().segment() == segment {
                break left;
            }
        };
        assert_eq!(left(100, true), 100);
        assert_eq!(left(100, false), 0);
        assert_eq!(left(-100, true), 0, "there is no whole one");
    }

    #[test]
    fn no_buffer_keeps_a_password() {
        let (mut ends, mut pools) = (ends(), [Pool::default(), Pool::default()]);
        let shown = loop {
            let [client, server] = &mut ends;
            (client.readable, server.readable) = (true, true);
            client.shake(&mut pools[0]).unwrap();
            if let Shaken::Asks(credentials) = server.shake(&mut pools[1]).unwrap() {
                break credentials;
            }
            std::thread::yield_now();
        };
        let Credentials::Plain { password, .. } = shown else {
            panic!("{shown:?}")
        };
        assert_eq!(password.expose(), PASSWORD);
        assert_eq!(pools.map(|pool| pool.lent(PASSWORD)), [false; 2]);
        assert_eq!(ends.map(|conn| conn.unwritten()), [0; 2]);
    }
}
