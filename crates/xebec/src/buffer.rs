//! The byte buffers of a stream connection.
//!
//! An idle connection holds no buffer: both kinds are lent from the socket's [`Pool`] while
//! there is something in them. Small frames are copied into an outgoing buffer, so that many
//! leave in one system call; large bodies are referred to and leave by the same vectored write.
//! What goes to many peers is encoded once, for all of them: see [`Common`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;
use zeroize::Zeroize;

/// The size of one read, unless IN_BATCH_SIZE says otherwise. Measured on loopback: 64-byte messages reach
/// 32 M/s with 64 KiB; larger batches gain under a tenth and cost cache.
pub(crate) const BATCH: usize = 64 * 1024;

/// What is collected for one write, unless OUT_BATCH_SIZE says otherwise: two segments of loopback (65,483 bytes
/// each) and a little more, which is the beginning of the next. With 64 KiB, which is one, messages of 64 bytes were a
/// twentieth faster (27.8 M/s), of 1 KiB an eighth slower (5.9) and of 64 KiB a third (95 k/s).
pub(crate) const WRITE_BATCH: usize = 128 * 1024;

/// Bodies from this size are written from where they are and read into an allocation of their own.
pub(crate) const LARGE: usize = 8 * 1024;

/// Buffers of each kind kept for reuse; more are freed. A publisher with 64 subscribers has as many in
/// use at once: with 8 of them it asked the system for memory (`brk`) at every second write.
const SPARE: usize = 64;

/// What a new outgoing buffer has room for: with ten thousand peers it is to hold a message or two, and
/// one that takes a whole batch grows to that size once. (One message to each of 10,000 peers leaves the
/// process with so much for each: 2.19 kB in all with 512 bytes here, 1.90 with 128, medians of
/// three, row `connections-tcp` of the benchmark.)
const FIRST_WRITES: usize = 128;

/// The shortest buffer to read into, however little is read at once: twice what a frame that is not
/// large can take, header included, so that its rest always has room.
const SHORTEST: usize = 4 * LARGE;

/// What a partly received frame may keep of a lent buffer before it gets a small one of its own.
const SMALL_REST: usize = 4 * 1024;

/// A tail up to this size is copied when a large body follows it.
const SMALL_TAIL: usize = 1024;

/// What is left of a tail is moved to its beginning up to this size, so that the buffer is filled again: the
/// end of a message that was copied.
const SMALL_END: usize = 2 * LARGE;

/// Slices handed to one vectored write.
const SLICES: usize = 64;

/// The buffers of one socket that are not in use.
pub(crate) struct Pool {
    reads: Vec<Vec<u8>>,
    writes: Vec<Vec<u8>>,
    /// More connections have something to be read than there are buffers to spare.
    scarce: bool,
    /// IN_BATCH_SIZE: the most bytes of one read.
    in_batch: usize,
    /// OUT_BATCH_SIZE: the bytes that are collected before they are written.
    pub(crate) out_batch: usize,
    pub(crate) common: Common,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            reads: Vec::new(),
            writes: Vec::new(),
            scarce: false,
            in_batch: BATCH,
            out_batch: WRITE_BATCH,
            common: Common::default(),
        }
    }
}

impl Pool {
    /// Buffers of other sizes that are lent out are freed when they come back.
    pub(crate) fn resize(&mut self, in_batch: usize, out_batch: usize) {
        (self.in_batch, self.out_batch) = (in_batch, out_batch);
        let (longest, length) = (self.write_capacity(), self.read_length());
        self.reads.retain(|buffer| buffer.len() == length);
        self.writes.retain(|buffer| buffer.capacity() <= longest);
    }

    /// So many connections have something to be read.
    pub(crate) fn share_among(&mut self, readers: usize) {
        self.scarce = readers > SPARE;
    }

    fn read_length(&self) -> usize {
        self.in_batch.max(SHORTEST)
    }

    /// The most that a batch grows to, by doubling.
    fn write_capacity(&self) -> usize {
        2 * (self.out_batch + LARGE)
    }

    fn read_buffer(&mut self) -> Vec<u8> {
        let length = self.read_length();
        self.reads.pop().unwrap_or_else(|| vec![0; length])
    }

    fn write_buffer(&mut self) -> Vec<u8> {
        self.writes
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(FIRST_WRITES))
    }

    fn give_read(&mut self, buffer: Vec<u8>) {
        if buffer.len() == self.read_length() && self.reads.len() < SPARE {
            self.reads.push(buffer);
        }
    }

    /// Whether these bytes are in a buffer that came back; in one to write, which shows none, they may be.
    #[cfg(test)]
    pub(crate) fn lent(&self, bytes: &[u8]) -> bool {
        let found = |buffer: &Vec<u8>| buffer.windows(bytes.len()).any(|found| found == bytes);
        self.reads.iter().any(found) || !self.writes.iter().all(|buffer| buffer.capacity() == 0)
    }

    fn give_write(&mut self, mut buffer: Vec<u8>) {
        let fits = 0 < buffer.capacity() && buffer.capacity() <= self.write_capacity();
        if fits && self.writes.len() < SPARE {
            buffer.clear();
            self.writes.push(buffer);
        }
    }
}

/// Bytes received and not yet decoded.
#[derive(Default)]
pub(crate) struct Incoming {
    /// Lent from the pool, or our own and no longer than `SMALL_REST`, or nothing.
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl Incoming {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// The same, for a frame to be decrypted where it is.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    /// The memory from the byte at `at` on, with what is behind the last.
    #[inline]
    pub(crate) fn memory(&self, at: usize) -> &[u8] {
        &self.data[self.start + at..]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        self.start += n;
        debug_assert!(self.start <= self.end);
    }

    /// Zeroes the first `n` bytes, or all that there are, which stay until they are consumed.
    pub(crate) fn wipe(&mut self, n: usize) {
        let n = n.min(self.len());
        self.data[self.start..self.start + n].zeroize();
    }

    /// Where the next read goes: free room behind the bytes, no more of it than a batch.
    pub(crate) fn room(&mut self, pool: &mut Pool) -> &mut [u8] {
        if self.data.len() <= SMALL_REST {
            let mut lent = pool.read_buffer();
            lent[..self.len()].copy_from_slice(self.bytes());
            (self.start, self.end) = (0, self.len());
            self.data = lent;
        } else if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > self.data.len() / 2 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        let batch = pool.in_batch.min(self.data.len() - self.end);
        &mut self.data[self.end..self.end + batch]
    }

    pub(crate) fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// After a read that emptied the kernel's buffer: where lent buffers are scarce, little is kept in one of
    /// its own. Of 10,000 connections each held 64 KiB for a message of 64 bytes, and a page fault came with every other.
    #[inline]
    pub(crate) fn make_do(&mut self, pool: &mut Pool) {
        if pool.scarce {
            self.rest(pool);
        }
    }

    /// Returns the lent buffer if (nearly) nothing is in it.
    pub(crate) fn rest(&mut self, pool: &mut Pool) {
        if self.data.len() <= SMALL_REST || self.len() > SMALL_REST {
            return;
        }
        let rest = self.bytes().to_vec();
        (self.start, self.end) = (0, rest.len());
        pool.give_read(std::mem::replace(&mut self.data, rest));
    }
}

/// Messages that go to many peers, encoded once for all of them: what each has of it is a range. It is
/// cheaper than a copy for each, and what 64 peers are written is in the cache, where 64 buffers are not.
///
/// A range is held until it is written, or until the peer has to have a copy after all: because the kernel
/// takes no more, because something else follows, or because there is too much in here.
#[derive(Default)]
pub(crate) struct Common {
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<usize>,
    /// How many peers have a range.
    holders: usize,
    /// The message that is being sent is in here already.
    encoded: bool,
}

impl Common {
    /// Another message goes to many.
    pub(crate) fn begin(&mut self) {
        if self.holders == 0 {
            self.clear();
        }
        self.encoded = false;
    }

    /// Nobody has a range any more.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.holders = 0;
    }

    /// Encodes the message, unless that is done.
    #[inline]
    pub(crate) fn encode(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::replace(&mut self.encoded, true) {
            encode(&mut self.bytes);
            self.ends.push(self.bytes.len());
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Bytes encoded and not yet handed to the kernel, with the places where messages end.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Full or referred-to chunks, to be written first.
    chunks: VecDeque<Bytes>,
    /// The buffer being filled; lent from the pool while not empty.
    tail: Vec<u8>,
    /// What follows the tail: a range of what is [common](Common), and of its ends.
    common: Range<usize>,
    common_ends: Range<usize>,
    /// Bytes of the first chunk (or of the tail, if there is no chunk) that are written already.
    written: usize,
    /// Unwritten bytes in all.
    len: usize,
    /// Positions in the stream: how far it is encoded and where each unwritten message ends.
    position: u64,
    ends: VecDeque<u64>,
}

impl Outgoing {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Messages of which at least one byte is unwritten.
    #[inline]
    pub(crate) fn messages(&self) -> usize {
        self.ends.len() + self.common_ends.len()
    }

    /// Appends what `encode` writes.
    #[inline]
    pub(crate) fn append(&mut self, pool: &mut Pool, encode: impl FnOnce(&mut Vec<u8>)) {
        if !self.common.is_empty() {
            self.keep_common(pool);
        }
        if self.tail.capacity() == 0 {
            self.tail = pool.write_buffer();
        }
        let before = self.tail.len();
        encode(&mut self.tail);
        let added = self.tail.len() - before;
        self.len += added;
        self.position += added as u64;
    }

    /// Appends a body without copying it.
    pub(crate) fn append_shared(&mut self, pool: &mut Pool, body: Bytes) {
        self.keep_common(pool);
        self.seal();
        self.len += body.len();
        self.position += body.len() as u64;
        self.chunks.push_back(body);
    }

    /// A message ends here.
    #[inline]
    pub(crate) fn end_message(&mut self) {
        self.ends.push_back(self.position);
    }

    /// Appends the last of the [common](Common) messages without copying it.
    #[inline]
    pub(crate) fn append_common(&mut self, pool: &mut Pool) {
        let Common { bytes, ends, .. } = &pool.common;
        let (end, message) = (bytes.len(), ends.len() - 1);
        let start = message.checked_sub(1).map_or(0, |before| ends[before]);
        if self.common.end != start || self.common.is_empty() {
            self.keep_common(pool);
            (self.common, self.common_ends) = (start..start, message..message);
            pool.common.holders += 1;
        }
        (self.common.end, self.common_ends.end) = (end, message + 1);
        self.len += end - start;
        self.position += (end - start) as u64;
    }

    /// Copies what it has of the [common](Common) bytes.
    pub(crate) fn keep_common(&mut self, pool: &mut Pool) {
        if self.common.is_empty() {
            return;
        }
        if self.tail.capacity() == 0 {
            self.tail = pool.write_buffer();
        }
        let Common { bytes, ends, .. } = &pool.common;
        self.tail.extend_from_slice(&bytes[self.common.clone()]);
        // In here they are counted from the end, which is the same place in both.
        let ends = &ends[self.common_ends.clone()];
        let ends = ends
            .iter()
            .map(|end| self.position - (self.common.end - end) as u64);
        self.ends.extend(ends);
        self.let_go_of_common(pool);
    }

    fn let_go_of_common(&mut self, pool: &mut Pool) {
        if !self.common.is_empty() {
            (self.common, self.common_ends) = (0..0, 0..0);
            pool.common.holders -= 1;
        }
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        if self.tail.len() <= SMALL_TAIL {
            // Mostly the header of a large body: not worth the buffer that it stands in.
            self.chunks.push_back(Bytes::copy_from_slice(&self.tail));
            return self.tail.clear();
        }
        self.chunks.push_back(std::mem::take(&mut self.tail).into());
    }

    /// Writes everything but the last `rest` bytes, or as much of it as `write` takes: then the error is
    /// `WouldBlock`.
    pub(crate) fn write(
        &mut self,
        pool: &mut Pool,
        rest: usize,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        while self.len > rest {
            let (common, due) = (&pool.common.bytes[self.common.clone()], self.len - rest);
            // Mostly there is a tail and nothing else: to lay out many slices took a tenth of a µs.
            let (taken, offered) = match self.chunks.is_empty() {
                true => self.offer::<2>(common, due, &mut write)?,
                false => self.offer::<SLICES>(common, due, &mut write)?,
            };
            self.wrote(pool, taken);
            if taken < offered {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        Ok(())
    }

    /// Offers the first `due` bytes to `write`, or as many of them as so many slices hold. How many it took, of how
    /// many.
    fn offer<const AT_MOST: usize>(
        &self,
        common: &[u8],
        due: usize,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<(usize, usize)> {
        let mut slices = [IoSlice::new(&[]); AT_MOST];
        let (mut n, mut offered, mut skip) = (0, 0, self.written);
        let chunks = self.chunks.iter().map(Bytes::as_ref);
        let all = chunks.chain([self.tail.as_slice(), common]);
        for chunk in all.filter(|chunk| !chunk.is_empty()).take(AT_MOST) {
            let chunk = &chunk[skip..];
            slices[n] = IoSlice::new(&chunk[..chunk.len().min(due - offered)]);
            offered += slices[n].len();
            (n, skip) = (n + 1, 0);
            if offered == due {
                break;
            }
        }
        Ok((write(&slices[..n])?, offered))
    }

    /// Takes note that `taken` bytes left.
    fn wrote(&mut self, pool: &mut Pool, taken: usize) {
        self.len -= taken;
        self.written += taken;
        while let Some(front) = self.chunks.front()
            && self.written >= front.len()
        {
            self.written -= front.len();
            self.chunks.pop_front();
        }
        if self.len == 0 {
            self.written = 0;
            pool.give_write(std::mem::take(&mut self.tail));
            self.ends.clear();
            // It is used by large bodies, and by each connection for its handshake.
            self.chunks = VecDeque::new();
            return self.let_go_of_common(pool);
        }
        let position = self.position - self.len as u64;
        while self.ends.front().is_some_and(|&end| end <= position) {
            self.ends.pop_front();
        }
        if !self.chunks.is_empty() {
            return;
        }
        if self.written >= self.tail.len() {
            // Some of what is common has left.
            self.common.start += self.written - self.tail.len();
            let left = |&message: &usize| pool.common.ends[message] <= self.common.start;
            self.common_ends.start += self.common_ends.clone().take_while(left).count();
            self.written = 0;
            self.tail.clear();
        }
        // The tail is partly written. What is left becomes its beginning, or a chunk, so that what is appended
        // later does not make it grow.
        if self.tail.len() - self.written <= SMALL_END {
            self.tail.drain(..std::mem::take(&mut self.written));
        } else {
            self.seal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_idle_buffer_is_lent_back() {
        let (mut pool, mut incoming) = (Pool::default(), Incoming::default());
        incoming.room(&mut pool)[..3].copy_from_slice(b"abc");
        incoming.filled(3);
        incoming.consume(1);
        incoming.rest(&mut pool);
        assert_eq!(
            (incoming.bytes(), incoming.data.len(), pool.reads.len()),
            (&b"bc"[..], 2, 1)
        );
        assert!(incoming.room(&mut pool).len() >= BATCH / 2);
        assert_eq!((incoming.bytes(), pool.reads.len()), (&b"bc"[..], 0));
    }

    #[test]
    fn little_is_kept_apart_where_buffers_are_scarce() {
        let mut pool = Pool::default();
        for (readers, lent) in [(SPARE, true), (SPARE + 1, false)] {
            pool.share_among(readers);
            let mut incoming = Incoming::default();
            incoming.room(&mut pool)[..3].copy_from_slice(b"abc");
            incoming.filled(3);
            incoming.make_do(&mut pool);
            assert_eq!(incoming.bytes(), b"abc");
            assert_eq!(incoming.data.len() > SMALL_REST, lent, "{readers}");
        }
        assert_eq!(pool.reads.len(), 1);
    }

    #[test]
    fn what_is_wiped_is_zero_wherever_the_buffer_goes() {
        let (mut pool, mut incoming) = (Pool::default(), Incoming::default());
        for (n, left) in [(6, &b"rest"[..]), (usize::MAX, &b"\0\0\0\0"[..])] {
            incoming.room(&mut pool)[..10].copy_from_slice(b"secretrest");
            incoming.filled(10);
            incoming.wipe(n);
            incoming.consume(6);
            assert_eq!(incoming.bytes(), left);
            incoming.consume(4);
            incoming.rest(&mut pool);
            let lent_back = pool.reads.last().unwrap();
            assert!(!lent_back.windows(6).any(|bytes| bytes == b"secret"));
        }
    }

    /// Writes all but `rest` bytes to `got`, which takes at most `budget`.
    fn write(
        outgoing: &mut Outgoing,
        pool: &mut Pool,
        got: &mut Vec<u8>,
        (mut budget, rest): (usize, usize),
    ) {
        let (len, taken) = (outgoing.len(), budget);
        let _ = outgoing.write(pool, rest, |slices| {
            let before = got.len();
            for slice in slices {
                let n = slice.len().min(budget);
                got.extend_from_slice(&slice[..n]);
                budget -= n;
            }
            Ok(got.len() - before)
        });
        assert_eq!(len - outgoing.len(), len.saturating_sub(rest).min(taken));
    }

    proptest! {
        /// Whatever the sizes and however short the writes: the bytes arrive in order, none that are to be left
        /// are written, and a message counts as gone exactly when its last byte is.
        #[test]
        fn every_byte_leaves_in_order(bodies in proptest::collection::vec((1usize..20_000, any::<bool>()), 1..40), steps in proptest::collection::vec((1usize..30_000, 0usize..20_000), 1..50)) {
            let (mut pool, mut outgoing) = (Pool::default(), Outgoing::default());
            let (mut expected, mut ends, mut got) = (Vec::new(), Vec::new(), Vec::new());
            let mut steps = steps.into_iter().cycle();
            for (i, (len, shared)) in bodies.into_iter().enumerate() {
                let body = vec![i as u8; len];
                expected.extend_from_slice(&body);
                if shared { outgoing.append_shared(&mut pool, body.into()) } else { outgoing.append(&mut pool, |out| out.extend_from_slice(&body)) }
                outgoing.end_message();
                ends.push(expected.len());
                write(&mut outgoing, &mut pool, &mut got, steps.next().unwrap());
                prop_assert_eq!(outgoing.messages(), ends.iter().filter(|&&end| end > got.len()).count());
                prop_assert_eq!(outgoing.len(), expected.len() - got.len());
            }
            outgoing.write(&mut pool, 0, |slices| { slices.iter().for_each(|s| got.extend_from_slice(s)); Ok(slices.iter().map(|s| s.len()).sum()) }).unwrap();
            prop_assert!(got == expected);
        }
    }

    /// One of the peers of the next test, and what was and is to be seen of it.
    #[derive(Default)]
    struct Peer {
        outgoing: Outgoing,
        expected: Vec<u8>,
        ends: Vec<usize>,
        got: Vec<u8>,
    }

    impl Peer {
        fn expect(&mut self, body: &[u8]) {
            self.expected.extend_from_slice(body);
            self.ends.push(self.expected.len());
        }

        /// Writes at most so much, and leaves a rest; then nothing of what is common is left.
        fn write(&mut self, pool: &mut Pool, budget: usize, rest: usize) {
            write(&mut self.outgoing, pool, &mut self.got, (budget, rest));
            self.outgoing.keep_common(pool);
        }
    }

    proptest! {
        /// Some messages go to some of three peers and are encoded once, others are a peer's own; whoever
        /// writes when: each gets its bytes in order, and counts its messages exactly.
        #[test]
        fn what_is_common_arrives_as_if_it_were_each_ones_own(steps in proptest::collection::vec((0u8..8, any::<u8>(), 1usize..3_000), 1..200)) {
            let (mut pool, mut peers) = (Pool::default(), [(); 3].map(|()| Peer::default()));
            for (i, (to, what, len)) in steps.into_iter().enumerate() {
                let body = vec![i as u8; len];
                let chosen = peers.iter_mut().enumerate().filter(|(n, _)| to & 1 << n != 0);
                match what % 8 {
                    0..=3 => pool.common.begin(),
                    // A limit, as a publisher has it.
                    4 => {
                        peers.iter_mut().for_each(|peer| peer.outgoing.keep_common(&mut pool));
                        prop_assert_eq!(pool.common.holders, 0);
                        pool.common.clear();
                        continue;
                    }
                    _ => {}
                }
                for (_, peer) in chosen {
                    match what % 8 {
                        0..=3 => {
                            pool.common.encode(|out| out.extend_from_slice(&body));
                            peer.outgoing.append_common(&mut pool);
                        }
                        5 => {
                            peer.outgoing.append(&mut pool, |out| out.extend_from_slice(&body));
                            peer.outgoing.end_message();
                        }
                        6 => {
                            peer.outgoing.append_shared(&mut pool, body.clone().into());
                            peer.outgoing.end_message();
                        }
                        _ => {
                            peer.write(&mut pool, len, usize::from(what) * 8);
                            continue;
                        }
                    }
                    peer.expect(&body);
                }
                for peer in &peers {
                    let unwritten = peer.ends.iter().filter(|&&end| end > peer.got.len()).count();
                    prop_assert_eq!(peer.outgoing.messages(), unwritten);
                    prop_assert_eq!(peer.outgoing.len(), peer.expected.len() - peer.got.len());
                }
                let holders = peers.iter().filter(|peer| !peer.outgoing.common.is_empty()).count();
                prop_assert_eq!(pool.common.holders, holders);
            }
            for mut peer in peers {
                peer.write(&mut pool, usize::MAX, 0);
                prop_assert!(peer.got == peer.expected);
            }
            prop_assert_eq!(pool.common.holders, 0);
        }
    }
}
