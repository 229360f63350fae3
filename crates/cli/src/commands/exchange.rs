//! Lines in, lines out: the loop of every command but `req` and `rep`.
//!
//! One thread sends what its input has, prints what arrives, and waits for whichever comes first:
//! the socket, the input, the next moment that `--rate` allows, `--timeout` or a signal. A command
//! that only sends or only receives is the same loop with one half left out.

use std::time::{Duration, Instant};

use anyhow::bail;
use xebec::{Frame, Interest, Message, RecvError, SendErrorKind, SocketType};

use super::open::{self, Opened};
use crate::args::{Dish, FormatFlags, Input as InputFlags, Limits, Receiver, Sender, TwoWay};
use crate::codec::{Codec, Format, Label, unescape};
use crate::console::say;
use crate::failure::Stop;
use crate::input::{Input, Next};
use crate::interrupt;
use crate::output::Printer;
use crate::quantity::grouped;

/// How many messages go one way before the other way has its turn.
const TURN: usize = 256;

/// `push` and `scatter`.
pub(super) fn send_only(kind: SocketType, args: Sender) -> anyhow::Result<()> {
    let input = input(&args.input, &args.format, kind)?;
    let opened = Opened::new(kind, &args.endpoints, &args.socket, &[])?;
    let outcome = Exchange::new(&opened, &args.limits)
        .sending(input, pause(&args.input))
        .run();
    opened.close(outcome)
}

/// `pull`, `gather` and `sub`.
pub(super) fn receive_only(
    kind: SocketType,
    args: Receiver,
    prefixes: &[String],
) -> anyhow::Result<()> {
    let printer = printer(&args.format, kind)?;
    let mut opened = Opened::unplaced(kind, &args.socket, &[])?;
    subscribe(&opened, prefixes)?;
    opened.place(&args.endpoints)?;
    let outcome = Exchange::new(&opened, &args.limits).printing(printer).run();
    opened.close(outcome)
}

/// `dealer`, `router`, `pair`, `xpub`, `xsub`, `stream`, `client`, `server`, `peer` and `channel`.
pub(super) fn two_way(kind: SocketType, args: TwoWay, prefixes: &[String]) -> anyhow::Result<()> {
    let TwoWay {
        duplex,
        send_only,
        recv_only,
    } = args;
    let input = input(&duplex.input, &duplex.format, kind)?;
    let printer = printer(&duplex.format, kind)?;
    let presets: &[_] = match kind {
        SocketType::Router => &[("router_mandatory", "1")],
        _ => &[],
    };
    let mut opened = Opened::unplaced(kind, &duplex.socket, presets)?;
    subscribe(&opened, prefixes)?;
    opened.place(&duplex.endpoints)?;
    let mut exchange = Exchange::new(&opened, &duplex.limits);
    if !recv_only {
        exchange = exchange.sending(input, pause(&duplex.input));
    }
    exchange = if send_only {
        exchange.discarding()
    } else {
        exchange.printing(printer)
    };
    let outcome = exchange.run();
    opened.close(outcome)
}

/// `dish`.
pub(super) fn listen(args: Dish) -> anyhow::Result<()> {
    let Dish { receiver, join } = args;
    let printer = printer(&receiver.format, SocketType::Dish)?;
    let mut opened = Opened::unplaced(SocketType::Dish, &receiver.socket, &[])?;
    for group in &join {
        let joined = opened.socket.join(group);
        joined.map_err(|why| Stop::Usage(format!("--join {group}: {why}")))?;
    }
    opened.place(&receiver.endpoints)?;
    let outcome = Exchange::new(&opened, &receiver.limits)
        .printing(printer)
        .run();
    opened.close(outcome)
}

/// Subscribes a SUB or XSUB: to everything, unless told otherwise.
fn subscribe(opened: &Opened, prefixes: &[String]) -> anyhow::Result<()> {
    if !matches!(opened.socket.kind(), SocketType::Sub | SocketType::Xsub) {
        return Ok(());
    }
    if prefixes.is_empty() {
        opened
            .talk
            .hint("subscribed to everything (--subscribe PREFIX narrows it)");
        opened.socket.subscribe("")?;
    }
    for prefix in prefixes {
        opened.socket.subscribe(prefix)?;
    }
    Ok(())
}

/// The pause between messages that `--rate` or `--interval` asks for.
pub(super) fn pause(flags: &InputFlags) -> Duration {
    flags.rate.or(flags.interval).unwrap_or_default()
}

/// The codec for one direction; `format` overrides the flags'.
fn codec(flags: &FormatFlags, format: Format, kind: SocketType) -> Result<Codec, Stop> {
    let text = |name, text: &Option<String>| {
        text.as_ref()
            .map(|text| {
                unescape(text.as_bytes())
                    .map_err(|why| Stop::Usage(format!("{name} {text}: {why}")))
            })
            .transpose()
    };
    let delimiter = text("--delimiter", &flags.delimiter)?;
    if delimiter.as_ref().is_some_and(Vec::is_empty) {
        return Err(Stop::Usage(
            "--delimiter must not be empty: leave it out to read one frame a line".into(),
        ));
    }
    if flags.terminator.is_some() && flags.chosen() != Format::Raw {
        return Err(Stop::Usage(
            "--terminator goes with --raw: other formats are lines".into(),
        ));
    }
    let addressed = matches!(kind, SocketType::Router | SocketType::Stream);
    let label = match kind {
        SocketType::Server | SocketType::Peer => Label::Number,
        SocketType::Radio | SocketType::Dish => Label::Group,
        _ => Label::None,
    };
    let divided = addressed || label != Label::None;
    Ok(Codec {
        format,
        split: delimiter
            .clone()
            .or_else(|| divided.then(|| b"\t".to_vec())),
        label,
        join: delimiter.unwrap_or_else(|| b"\t".to_vec()),
        escape: flags.escape,
        addressed,
        subscriptions: kind == SocketType::Xpub,
    })
}

fn terminator(flags: &FormatFlags, format: Format) -> Vec<u8> {
    match (format, &flags.terminator) {
        (Format::Raw, None) => vec![0],
        // Was read before, by `codec`.
        (Format::Raw, Some(text)) => unescape(text.as_bytes()).unwrap_or_default(),
        _ => vec![b'\n'],
    }
}

/// The input of a command, checked before anything is opened.
pub(super) fn input(
    flags: &InputFlags,
    format: &FormatFlags,
    kind: SocketType,
) -> Result<Input, Stop> {
    let chosen = flags.input_format.unwrap_or(format.chosen());
    Input::new(
        flags,
        codec(format, chosen, kind)?,
        terminator(format, chosen),
    )
}

/// The input of a RADIO, whose group may be given.
pub(super) fn labelled_input(
    flags: &InputFlags,
    format: &FormatFlags,
    kind: SocketType,
    label: Label,
) -> Result<Input, Stop> {
    let chosen = flags.input_format.unwrap_or(format.chosen());
    let mut codec = codec(format, chosen, kind)?;
    if let Label::Always(_) = label {
        // A line is a message, unless a delimiter is asked for.
        codec.split = codec.split.filter(|_| format.delimiter.is_some());
    }
    codec.label = label;
    Input::new(flags, codec, terminator(format, chosen))
}

/// The output of a command.
pub(super) fn printer(flags: &FormatFlags, kind: SocketType) -> anyhow::Result<Printer> {
    if let Some(text) = &flags.terminator {
        unescape(text.as_bytes())
            .map_err(|why| Stop::Usage(format!("--terminator {text}: {why}")))?;
    }
    let codec = codec(flags, flags.chosen(), kind)?;
    Ok(Printer::new(codec, terminator(flags, flags.chosen()))?)
}

/// The codec that a command's answers are read with (`rep --reply`).
pub(super) fn reply_codec(flags: &FormatFlags) -> Result<Codec, Stop> {
    codec(flags, flags.chosen(), SocketType::Rep)
}

/// What becomes of messages that arrive.
enum Arrivals {
    /// The socket does not receive.
    None,
    Printed(Printer),
    /// They are taken off the queue and forgotten.
    Discarded,
}

/// The loop and its state.
pub(super) struct Exchange<'a> {
    opened: &'a Opened,
    limits: &'a Limits,
    input: Option<Input>,
    arrivals: Arrivals,
    /// Read from the input and not taken by the socket yet.
    pending: Option<Message>,
    /// The pause between two messages, and the moment when the next may go.
    pause: Duration,
    due: Instant,
    sent: u64,
    received: u64,
    unroutable: u64,
    /// When a message last went or came.
    progress: Instant,
    /// Who was heard from last, for lines with an empty address.
    last_peer: Option<Frame>,
    last_number: Option<u32>,
    /// Whether the input has nothing complete, so that its descriptor is to be waited for.
    starved: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(opened: &'a Opened, limits: &'a Limits) -> Self {
        let now = Instant::now();
        Exchange {
            opened,
            limits,
            input: None,
            arrivals: Arrivals::None,
            pending: None,
            pause: Duration::ZERO,
            due: now,
            sent: 0,
            received: 0,
            unroutable: 0,
            progress: now,
            last_peer: None,
            last_number: opened.number,
            starved: false,
        }
    }

    pub(super) fn sending(mut self, input: Input, pause: Duration) -> Self {
        self.input = Some(input);
        self.pause = pause;
        self
    }

    pub(super) fn printing(mut self, printer: Printer) -> Self {
        self.arrivals = Arrivals::Printed(printer);
        self
    }

    pub(super) fn discarding(mut self) -> Self {
        self.arrivals = Arrivals::Discarded;
        self
    }

    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let outcome = self.turns();
        if let Arrivals::Printed(printer) = &mut self.arrivals {
            printer.flush()?;
        }
        outcome?;
        if self.unroutable > 0 {
            bail!("{} messages had no such peer", grouped(self.unroutable));
        }
        Ok(())
    }

    fn turns(&mut self) -> anyhow::Result<()> {
        loop {
            interrupt::check()?;
            let busy = self.send_some()? | self.receive_some()?;
            if self.is_done() {
                return Ok(());
            }
            if !busy {
                self.wait()?;
            }
        }
    }

    fn prints(&self) -> bool {
        matches!(self.arrivals, Arrivals::Printed(_))
    }

    fn is_done(&self) -> bool {
        let counted = if self.prints() {
            self.received
        } else {
            self.sent
        };
        self.limits.count.is_some_and(|count| counted >= count)
            || (!self.prints() && self.input.is_none() && self.pending.is_none())
    }

    /// Sends until the socket or the input has had enough, or for one turn. Whether anything was sent.
    fn send_some(&mut self) -> anyhow::Result<bool> {
        let before = self.sent + self.unroutable;
        for _ in 0..TURN {
            if self.is_done() || !self.take_next()? {
                break;
            }
            if !self.pause.is_zero() && Instant::now() < self.due {
                break;
            }
            let Some(message) = self.pending.take() else {
                break;
            };
            match self.opened.socket.try_send(message) {
                Ok(()) => self.count_sent(),
                Err(error) => match error.kind {
                    SendErrorKind::WouldBlock => {
                        self.pending = Some(error.message);
                        break;
                    }
                    SendErrorKind::Unroutable => {
                        self.unroutable += 1;
                        let peer = match error.message.routing_id() {
                            Some(number) => number.to_string(),
                            None if self.is_numbered() => "to answer".to_owned(),
                            None => format!("{:?}", error.message.first()),
                        };
                        say(format_args!(
                            "no peer {peer} is connected; the message is dropped"
                        ));
                    }
                    _ => bail!(error),
                },
            }
        }
        Ok(self.sent + self.unroutable > before)
    }

    fn count_sent(&mut self) {
        self.sent += 1;
        if !self.pause.is_zero() || self.limits.timeout.is_some() {
            let now = Instant::now();
            // Keeps the mean rate after a short delay, and does not make up for a long one.
            self.due = (self.due + self.pause).max(now - self.pause);
            self.progress = now;
        }
    }

    /// Sees to it that a message is pending, unless the input has none now.
    fn take_next(&mut self) -> anyhow::Result<bool> {
        let Some(input) = self.input.as_mut().filter(|_| self.pending.is_none()) else {
            return Ok(self.pending.is_some());
        };
        self.starved = false;
        match input.next()? {
            Next::Message(message) => self.pending = Some(self.addressed(message)),
            Next::Wait => self.starved = true,
            Next::End => self.input = None,
        }
        Ok(self.pending.is_some())
    }

    /// Puts the address of who was heard from last in place of an empty one.
    fn addressed(&self, mut message: Message) -> Message {
        let kind = self.opened.socket.kind();
        if let (true, None, Some(number)) =
            (self.is_numbered(), message.routing_id(), self.last_number)
        {
            return message.with_routing_id(number);
        }
        if let (SocketType::Router | SocketType::Stream, Some(peer), true) = (
            kind,
            &self.last_peer,
            message.first().is_empty() && message.len() > 1,
        ) {
            message.pop_front();
            message.push_front(peer.clone());
        }
        message
    }

    /// Whether peers are addressed by numbers.
    fn is_numbered(&self) -> bool {
        let kind = self.opened.socket.kind();
        matches!(kind, SocketType::Server | SocketType::Peer)
    }

    /// Takes what has arrived, for one turn. Whether anything had.
    fn receive_some(&mut self) -> anyhow::Result<bool> {
        if let Arrivals::None = self.arrivals {
            return Ok(false);
        }
        let before = self.received;
        for _ in 0..TURN {
            if self.is_done() {
                break;
            }
            let message = match self.opened.socket.try_recv() {
                Ok(message) => message,
                Err(RecvError::WouldBlock) => break,
                Err(error) => bail!(error),
            };
            self.received += 1;
            if let Arrivals::Printed(printer) = &mut self.arrivals {
                printer.print(&message)?;
            }
            if message.len() > 1 {
                self.last_peer = Some(message.first().clone());
            }
            self.last_number = message.routing_id().or(self.last_number);
        }
        if self.received > before && self.limits.timeout.is_some() {
            self.progress = Instant::now();
        }
        Ok(self.received > before)
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> anyhow::Result<()> {
        if let Arrivals::Printed(printer) = &mut self.arrivals {
            printer.flush()?;
        }
        let now = Instant::now();
        let paced = self.pending.is_some() && now < self.due;
        let blocked = self.pending.is_some() && !paced;
        let deadline = self
            .limits
            .timeout
            .filter(|_| blocked || self.prints())
            .map(|t| self.progress + t);
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Err(self.out_of_time(blocked).into());
        }
        let until = [deadline, paced.then_some(self.due)]
            .into_iter()
            .flatten()
            .min();
        if blocked
            && matches!(
                self.opened.socket.kind(),
                SocketType::Router | SocketType::Stream | SocketType::Server | SocketType::Peer
            )
        {
            return self.wait_for_room();
        }
        let receives = !matches!(self.arrivals, Arrivals::None);
        let socket = &self.opened.socket;
        let socket = match (receives, blocked) {
            (true, true) => Some((socket, Interest::READ | Interest::WRITE)),
            (true, false) => Some((socket, Interest::READ)),
            (false, true) => Some((socket, Interest::WRITE)),
            (false, false) => None,
        };
        let fd = self
            .input
            .as_ref()
            .filter(|_| self.starved)
            .and_then(Input::fd);
        if open::wait(socket, fd, until)?
            && let Some(input) = &mut self.input
        {
            input.fill()?;
        }
        Ok(())
    }

    /// A ROUTER, like others that address their peers, is always writable, since it cannot know to whom: only a send can wait for one
    /// peer's room.
    fn wait_for_room(&mut self) -> anyhow::Result<()> {
        const BRIEFLY: Duration = Duration::from_millis(20);
        let Some(message) = self.pending.take() else {
            return Ok(());
        };
        match self.opened.socket.send_timeout(message, BRIEFLY) {
            Ok(()) => self.count_sent(),
            // An unroutable message is told by the next turn.
            Err(error) if matches!(error.kind, SendErrorKind::Terminated) => bail!(error),
            Err(error) => self.pending = Some(error.message),
        }
        Ok(())
    }

    fn out_of_time(&self, blocked: bool) -> Stop {
        if blocked && !self.prints() {
            return self.opened.nobody_took_it(self.limits.timeout);
        }
        let timeout = self.limits.timeout.unwrap_or_default();
        Stop::Timeout(format!(
            "nothing arrived within {timeout:?}, after {} messages",
            grouped(self.received)
        ))
    }
}
