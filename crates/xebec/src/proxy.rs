//! The proxy: joins two sockets into a device (`zmq_proxy`, the Guide's chapter 2).
//!
//! Messages that arrive at one side leave at the other, whole, frame for frame. Three pairs make
//! the classic devices: ROUTER and DEALER a queue, XSUB and XPUB a forwarder, PULL and PUSH a
//! streamer. A capture socket, if given, gets a copy of everything; a control socket steers.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use zmtp::SocketType;

use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::poll::{Interest, PollError, PollItem, poll};
use crate::socket::{Core, Socket};

/// Messages moved in one direction before the other gets its turn.
const TURN: usize = 256;

/// A round that moved more than this has not kept anybody waiting for its own sake: what it spends on each message
/// is little. (Where a proxy of two threads' stream of 64 bytes, too, let others run, it passed on 6.9 million a
/// second instead of 10.1.)
const CONVERSATION: u64 = 32;

/// How long a side that is full is left alone before it is tried again: only a bound; the poll
/// wakes as soon as there is room.
const RETRY: Duration = Duration::from_secs(1);

/// Why a proxy stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The context was terminated (ETERM).
    Terminated,
    /// A signal interrupted it (EINTR).
    Interrupted,
    /// The two sockets do not make a device.
    Mismatched(SocketType, SocketType),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Terminated => f.write_str("the context was terminated"),
            ProxyError::Interrupted => f.write_str("a signal interrupted the proxy"),
            ProxyError::Mismatched(front, back) => write!(
                f,
                "{} and {} make no device: join ROUTER and DEALER, XSUB and XPUB, PULL and PUSH, or two that both send and receive",
                front.name(),
                back.name()
            ),
        }
    }
}

impl std::error::Error for ProxyError {}

/// What has passed through a proxy, by socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Messages received at the front.
    pub front_in: u64,
    /// Bytes received at the front.
    pub front_in_bytes: u64,
    /// Messages received at the back.
    pub back_in: u64,
    /// Bytes received at the back.
    pub back_in_bytes: u64,
}

/// A device in the making.
///
/// ```no_run
/// # use xebec::{Context, Dealer, Proxy, Router};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let (front, back) = (Router::new(&context)?, Dealer::new(&context)?);
/// front.bind("tcp://*:5559")?;
/// back.bind("tcp://*:5560")?;
/// Proxy::new(&front, &back).run()?;
/// # Ok(()) }
/// ```
#[must_use = "a proxy does nothing until it runs"]
pub struct Proxy<'a> {
    front: &'a Socket,
    back: &'a Socket,
    capture: Option<&'a Socket>,
    control: Option<&'a Socket>,
    any_types: bool,
    waits_for_capture: bool,
    stats: ProxyStats,
}

/// One direction.
#[derive(Default)]
struct Lane {
    /// The side that it leads to has no room.
    full: bool,
    /// A message for which there was room and is none any more: another thread was faster, or
    /// it is a ROUTER with ROUTER_MANDATORY, where it depends on the address.
    held: Option<Message>,
}

/// Whether a proxy of requests and replies that is never done lets others have its processor, between two rounds.
///
/// Where clients, workers and proxy share the processors, whom it has woken waits until the proxy has nothing to
/// do, or the system finds that it had its share. (16 REQs through a proxy to 4 REPs on two processors, p99: 531
/// µs, and 453 with this; medians of nine, in turns.) Where something else never waits, that takes the
/// processor for milliseconds (8 thousand messages a second instead of 29), so it is not tried often there.
#[derive(Default)]
struct Courtesy {
    /// How much of late took long: two to the power of this are the rounds without.
    regret: u32,
    skip: u32,
}

impl Courtesy {
    /// Nobody who answers requests needs so long; the least that the system gives who never waits is longer.
    const LONG: Duration = Duration::from_millis(1);
    /// One that took long in five is too much.
    const REGRET: u32 = 4;
    const MOST_REGRET: u32 = 12;

    fn is_due(&mut self) -> bool {
        let due = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        due
    }

    fn took(&mut self, time: Duration) {
        if time < Self::LONG {
            self.regret = self.regret.saturating_sub(1);
            return;
        }
        self.regret = Self::MOST_REGRET.min(self.regret + Self::REGRET);
        self.skip = 1 << self.regret;
    }
}

enum Flow {
    Run,
    Pause,
    Stop,
}

impl<'a> Proxy<'a> {
    /// A proxy between two sockets, typed or not.
    pub fn new(
        front: &'a (impl AsRef<Socket> + ?Sized),
        back: &'a (impl AsRef<Socket> + ?Sized),
    ) -> Self {
        Proxy {
            front: front.as_ref(),
            back: back.as_ref(),
            capture: None,
            control: None,
            any_types: false,
            waits_for_capture: false,
            stats: ProxyStats::default(),
        }
    }

    /// Sends a copy of every message, in both directions, to `socket`: a PUB, PUSH, PAIR or
    /// DEALER. A capture that cannot keep up misses messages; it does not hold up the device, but
    /// for [`wait_for_capture`](Self::wait_for_capture).
    pub fn capture(mut self, socket: &'a (impl AsRef<Socket> + ?Sized)) -> Self {
        self.capture = Some(socket.as_ref());
        self
    }

    /// Takes commands from `socket`: PAUSE, RESUME, TERMINATE, STATISTICS
    /// (`zmq_proxy_steerable`). STATISTICS is answered by eight frames of 8 bytes, native order:
    /// messages and bytes in, then out, of the front, then of the back. A REP is answered for
    /// the other commands too, by an empty message.
    pub fn control(mut self, socket: &'a (impl AsRef<Socket> + ?Sized)) -> Self {
        self.control = Some(socket.as_ref());
        self
    }

    /// Joins any two sockets, as `zmq_proxy` does: what one cannot receive or the other not send does
    /// not pass.
    pub fn of_any_types(mut self) -> Self {
        self.any_types = true;
        self
    }

    /// Has no message missed by the capture, as `zmq_proxy` does: one that is full or has no peer holds
    /// the device up.
    pub fn wait_for_capture(mut self) -> Self {
        self.waits_for_capture = true;
        self
    }

    /// Runs until the context is terminated or the control socket says TERMINATE; then returns
    /// what has passed.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn run(mut self) -> Result<ProxyStats, ProxyError> {
        if !self.any_types && !fits(self.front.kind(), self.back.kind()) {
            return Err(ProxyError::Mismatched(self.front.kind(), self.back.kind()));
        }
        // One socket on both sides: what it receives it sends.
        let single = std::ptr::eq(self.front, self.back);
        let mut flow = Flow::Run;
        let (mut to_back, mut to_front) = (Lane::default(), Lane::default());
        let mut courtesy = Courtesy::default();
        loop {
            self.wait(&flow, &to_back, &to_front, single)?;
            if let Some(control) = self.control
                && let Some(command) = receive(control)?
            {
                flow = self.obey(control, &command, flow)?;
            }
            match flow {
                Flow::Stop => return Ok(self.stats),
                Flow::Pause => continue,
                Flow::Run => {}
            }
            let (requests, bytes) = self.forward(self.front, self.back, &mut to_back, single)?;
            self.stats.front_in += requests;
            self.stats.front_in_bytes += bytes;
            if single {
                continue;
            }
            let (replies, bytes) = self.forward(self.back, self.front, &mut to_front, false)?;
            self.stats.back_in += replies;
            self.stats.back_in_bytes += bytes;
            let converses = requests > 0 && replies > 0 && requests + replies <= CONVERSATION;
            if converses && courtesy.is_due() {
                self.let_others_run(&mut courtesy);
            }
        }
    }

    /// What was passed on leaves first.
    fn let_others_run(&self, courtesy: &mut Courtesy) {
        Core::flush_deferred(self.front.core().ctx.process());
        let begun = Instant::now();
        thread::yield_now();
        courtesy.took(begun.elapsed());
    }

    /// Waits for something to do: input on a side whose other side has room.
    fn wait(
        &self,
        flow: &Flow,
        to_back: &Lane,
        to_front: &Lane,
        single: bool,
    ) -> Result<(), ProxyError> {
        let (back_full, front_full) = (to_back.full, to_front.full);
        let mut items = Vec::with_capacity(3);
        items.extend(
            self.control
                .map(|control| PollItem::socket(control, Interest::READ)),
        );
        if matches!(flow, Flow::Run) {
            // A side is read only while the other has room, and asked for room if it had none.
            let interest = |other_full: bool, full: bool| match (other_full, full) {
                (false, false) => Some(Interest::READ),
                (false, true) => Some(Interest::READ | Interest::WRITE),
                (true, true) => Some(Interest::WRITE),
                (true, false) => None,
            };
            items.extend(
                interest(back_full, front_full)
                    .map(|interest| PollItem::socket(self.front, interest)),
            );
            let back = interest(front_full, back_full).filter(|_| !single);
            items.extend(back.map(|interest| PollItem::socket(self.back, interest)));
        }
        let held = to_back.held.is_some() || to_front.held.is_some();
        let timeout = held.then_some(RETRY);
        match poll(&mut items, timeout) {
            Ok(_) => Ok(()),
            Err(PollError::Terminated) => Err(ProxyError::Terminated),
            Err(PollError::Interrupted) => Err(ProxyError::Interrupted),
        }
    }

    /// Moves up to a turn's worth of messages. Returns how many, and their bytes. A socket that
    /// answers itself may have room only when it has received.
    fn forward(
        &self,
        from: &Socket,
        to: &Socket,
        lane: &mut Lane,
        single: bool,
    ) -> Result<(u64, u64), ProxyError> {
        let (mut messages, mut bytes) = (0, 0);
        lane.full = false;
        for _ in 0..TURN {
            let message = match lane.held.take() {
                Some(message) => message,
                None => {
                    // What cannot be passed on is not taken: it would be lost with the proxy.
                    lane.full = !single && !to.core().has_room();
                    if lane.full {
                        break;
                    }
                    let Some(message) = receive(from)? else { break };
                    messages += 1;
                    bytes += message.size() as u64;
                    if let Some(capture) = self.capture {
                        let copy = message.clone();
                        // A capture that is full or gone misses this one, and its own counters tell.
                        let _ = match self.waits_for_capture {
                            true => capture.send(copy),
                            false => capture.try_send(copy),
                        };
                    }
                    message
                }
            };
            match to.try_send(message) {
                Ok(()) => {}
                Err(refused) if refused.kind == SendErrorKind::WouldBlock => {
                    lane.held = Some(refused.message);
                    lane.full = true;
                    break;
                }
                Err(refused) if refused.kind == SendErrorKind::Terminated => {
                    return Err(ProxyError::Terminated);
                }
                // Unroutable, or not for this socket: nobody is left who could take it.
                Err(_) => {}
            }
        }
        Ok((messages, bytes))
    }

    fn obey(&self, control: &Socket, command: &Message, flow: Flow) -> Result<Flow, ProxyError> {
        let (flow, answer) = match command.body().as_bytes() {
            b"PAUSE" => (Flow::Pause, None),
            b"RESUME" => (Flow::Run, None),
            b"TERMINATE" => (Flow::Stop, None),
            b"STATISTICS" => (flow, Some(self.statistics())),
            // Unknown commands change nothing.
            _ => (flow, None),
        };
        let answer = answer.or_else(|| (control.kind() == SocketType::Rep).then(Message::new));
        if let Some(answer) = answer {
            // Whoever asked may be gone by now.
            let _ = control.try_send(answer);
        }
        Ok(flow)
    }

    fn statistics(&self) -> Message {
        let (front, back) = (self.front.stats(), self.back.stats());
        [
            self.stats.front_in,
            self.stats.front_in_bytes,
            front.messages_out,
            front.bytes_out,
            self.stats.back_in,
            self.stats.back_in_bytes,
            back.messages_out,
            back.bytes_out,
        ]
        .into_iter()
        .map(u64::to_ne_bytes)
        .collect()
    }
}

/// Runs a proxy until the context is terminated; see [`Proxy`].
///
/// # Errors
/// See [`ProxyError`].
pub fn proxy(front: &Socket, back: &Socket, capture: Option<&Socket>) -> Result<(), ProxyError> {
    let mut proxy = Proxy::new(front, back);
    proxy.capture = capture;
    proxy.run().map(drop)
}

/// The next message, if there is one; sides that only send never have one.
fn receive(from: &Socket) -> Result<Option<Message>, ProxyError> {
    match from.try_recv() {
        Ok(message) => Ok(Some(message)),
        Err(RecvError::Terminated) => Err(ProxyError::Terminated),
        Err(_) => Ok(None),
    }
}

/// Whether a message that one side receives can be sent by the other.
fn fits(front: SocketType, back: SocketType) -> bool {
    use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
    let two_way = |kind| matches!(kind, Dealer | Router | Pair | Req | Rep);
    let feeds = |from, to| matches!((from, to), (Xsub | Sub, Xpub | Pub) | (Pull, Push));
    two_way(front) && two_way(back) || feeds(front, back) || feeds(back, front)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often others get the processor in so many rounds, if that takes so long each time.
    fn times(courtesy: &mut Courtesy, rounds: usize, takes: impl Fn(usize) -> Duration) -> usize {
        let mut times = 0;
        for _ in 0..rounds {
            if courtesy.is_due() {
                courtesy.took(takes(times));
                times += 1;
            }
        }
        times
    }

    #[test]
    fn others_get_the_processor_unless_they_keep_it() {
        let (soon, late) = (Courtesy::LONG / 2, Courtesy::LONG * 3);
        let mut courtesy = Courtesy::default();
        assert_eq!(times(&mut courtesy, 1_000, |_| soon), 1_000);
        let few = times(&mut courtesy, 100_000, |_| late);
        assert!((3..30).contains(&few), "{few}");
        // They have gone.
        times(&mut courtesy, 5_000, |_| soon);
        assert_eq!(times(&mut courtesy, 1_000, |_| soon), 1_000);
        let one_in = |n: usize| move |time: usize| if time.is_multiple_of(n) { late } else { soon };
        let few = times(&mut courtesy, 1_000_000, one_in(4));
        assert!(few < 10_000, "{few}");
        let many = times(&mut courtesy, 1_000_000, one_in(50));
        assert!(many > 500_000, "{many}");
    }
}
