//! Sockets as the command opens, uses and closes them.
//!
//! [`place`] is the endpoint rule of `--help`. [`Opened`] sends and receives so that a signal ends
//! every wait, with the time allowed by `--timeout`, and closes as `--linger` says.

use std::os::fd::BorrowedFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use xebec::{
    Context, Interest, Message, Options, PollError, PollItem, RecvError, SendErrorKind, Socket,
    SocketType, Value, poll,
};

use super::options;
use crate::args::{Endpoints, SocketFlags};
use crate::codec::unhex;
use crate::console::{self, Talk};
use crate::failure::Stop;
use crate::interrupt;
use crate::quantity::{Patience, grouped};

/// What to do with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Bind(String),
    Connect(String),
}

/// Applies the endpoint rule: `@` binds, `>` connects, a wildcard host or port can only be bound,
/// anything else is connected.
pub(super) fn place(argument: &str) -> Place {
    if let Some(endpoint) = argument.strip_prefix('@') {
        return Place::Bind(endpoint.into());
    }
    if let Some(endpoint) = argument.strip_prefix('>') {
        return Place::Connect(endpoint.trim_start().into());
    }
    let (transport, address) = argument.split_once("://").unwrap_or(("", argument));
    let wildcard = match transport {
        "ipc" => address == "*",
        "tipc" => address == "<*>",
        "inproc" => false,
        _ => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            // `tcp://source;destination` is how to connect from a chosen address.
            !address.contains(';')
                && (matches!(host, "*" | "0.0.0.0" | "[::]" | "::") || matches!(port, "*" | "0"))
        }
    };
    if wildcard {
        Place::Bind(argument.into())
    } else {
        Place::Connect(argument.into())
    }
}

/// All endpoints of a command line, those to bind first.
fn places(endpoints: &Endpoints) -> Vec<Place> {
    let mut all: Vec<Place> = endpoints.bind.iter().cloned().map(Place::Bind).collect();
    all.extend(endpoints.any.iter().map(|argument| place(argument)));
    all.extend(endpoints.connect.iter().cloned().map(Place::Connect));
    all.sort_by_key(|place| matches!(place, Place::Connect(_)));
    all
}

/// A socket in its own context.
pub(super) struct Opened {
    pub(super) context: Context,
    pub(super) socket: Socket,
    pub(super) talk: Talk,
    /// The endpoints in words, for messages.
    pub(super) whereabouts: String,
    /// The number of the peer that a PEER connected to last.
    pub(super) number: Option<u32>,
}

impl Opened {
    /// Opens a socket with its options set, not yet bound or connected.
    pub(super) fn unplaced(
        kind: SocketType,
        flags: &SocketFlags,
        presets: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        if flags.set.iter().any(|name| name == "help") {
            return Err(Stop::Answer(options::help(kind)).into());
        }
        let context = Context::new();
        let talk = Talk::from_flags(flags.quiet, flags.verbose);
        let socket = configured(&context, kind, flags, presets)?;
        if talk == Talk::Verbose {
            console::follow(socket.monitor());
        }
        Ok(Opened {
            context,
            socket,
            talk,
            whereabouts: String::new(),
            number: None,
        })
    }

    /// Opens a socket and binds and connects it.
    pub(super) fn new(
        kind: SocketType,
        endpoints: &Endpoints,
        flags: &SocketFlags,
        presets: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut opened = Opened::unplaced(kind, flags, presets)?;
        opened.place(endpoints)?;
        Ok(opened)
    }

    /// Binds and connects.
    pub(super) fn place(&mut self, endpoints: &Endpoints) -> anyhow::Result<()> {
        let mut names = Vec::new();
        let places = places(endpoints);
        if places.is_empty() {
            let kind = self.socket.kind();
            return Err(Stop::Usage(format!(
                "a {kind} needs an endpoint, such as tcp://localhost:5555"
            ))
            .into());
        }
        for place in places {
            if let (SocketType::Peer, Place::Connect(endpoint)) = (self.socket.kind(), &place) {
                let number = self.socket.connect_peer(endpoint)?;
                self.number = Some(number);
                self.talk
                    .note(format_args!("peer {number} is at {endpoint}"));
                names.push(endpoint.clone());
                continue;
            }
            names.push(settle(&self.socket, &place, self.talk)?);
        }
        self.whereabouts = names.join(", ");
        Ok(())
    }

    /// Waits for a peer to take `message`.
    pub(super) fn send(
        &self,
        mut message: Message,
        timeout: Option<Duration>,
    ) -> anyhow::Result<()> {
        let deadline = timeout.map(|t| Instant::now() + t);
        loop {
            interrupt::check()?;
            match self.socket.try_send(message) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == SendErrorKind::WouldBlock => message = error.message,
                Err(error) => bail!(error),
            }
            if is_past(deadline) {
                return Err(self.nobody_took_it(timeout).into());
            }
            wait(Some((&self.socket, Interest::WRITE)), None, deadline)?;
        }
    }

    /// Waits for a message; `None` if `timeout` runs out first.
    pub(super) fn recv(&self, timeout: Option<Duration>) -> anyhow::Result<Option<Message>> {
        let deadline = timeout.map(|t| Instant::now() + t);
        loop {
            interrupt::check()?;
            match self.socket.try_recv() {
                Ok(message) => return Ok(Some(message)),
                Err(RecvError::WouldBlock) if is_past(deadline) => return Ok(None),
                Err(RecvError::WouldBlock) => {
                    _ = wait(Some((&self.socket, Interest::READ)), None, deadline)?
                }
                Err(error) => bail!(error),
            }
        }
    }

    /// The end of a wait for a peer that takes messages.
    pub(super) fn nobody_took_it(&self, timeout: Option<Duration>) -> Stop {
        Stop::Timeout(format!(
            "no peer took the message within {:?}: is a peer running at {}?",
            timeout.unwrap_or_default(),
            self.whereabouts
        ))
    }

    /// Closes: what is queued is sent for as long as `--linger` says, unless `outcome` is a signal.
    pub(super) fn close<T>(self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let interrupted =
            matches!(&outcome, Err(e) if matches!(e.downcast_ref(), Some(Stop::Signal(_))));
        if interrupted {
            // Cannot fail in a way that matters: the context may be gone already.
            let _ = self.socket.set("linger", "0");
        }
        let queued = self.socket.stats().queued_out;
        interrupt::end_at_once(true);
        let (ended, waiting) = mpsc::channel::<()>();
        let talk = self.talk;
        thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout)
            {
                talk.note(format_args!(
                    "waiting for peers to take the last messages ({} were queued); Ctrl-C drops them",
                    grouped(queued)
                ));
            }
        });
        drop(self.socket);
        self.context.term();
        drop(ended);
        outcome
    }
}

/// A socket with the options of the command line. `presets` are options that the command wants
/// unless the user says otherwise.
pub(super) fn configured(
    context: &Context,
    kind: SocketType,
    flags: &SocketFlags,
    presets: &[(&str, &str)],
) -> anyhow::Result<Socket> {
    let mut options = Options::new();
    for (name, value) in presets {
        options.set_text(name, value)?;
    }
    if let Some(Patience(linger)) = flags.linger {
        options.set("linger", Value::Duration(linger))?;
    }
    if let Some(identity) = &flags.identity {
        options.set("routing_id", Value::Bytes(routing_id(identity)?.into()))?;
    }
    for assignment in &flags.set {
        options::assign(&mut options, kind, assignment)?;
    }
    Ok(context.socket_with(kind, options)?)
}

/// A routing id as text, or as 0x and hexadecimal digits.
fn routing_id(text: &str) -> Result<Vec<u8>, Stop> {
    match text.strip_prefix("0x") {
        Some(digits) => {
            unhex(digits.as_bytes()).map_err(|why| Stop::Usage(format!("--identity {text}: {why}")))
        }
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// Binds or connects, and says so where it is worth saying; the actual endpoint.
pub(super) fn settle(socket: &Socket, place: &Place, talk: Talk) -> anyhow::Result<String> {
    match place {
        Place::Bind(endpoint) => {
            let actual = socket.bind(endpoint)?;
            talk.note(format_args!("bound to {actual}"));
            Ok(actual)
        }
        Place::Connect(endpoint) => {
            socket.connect(endpoint)?;
            talk.hint(format_args!(
                "connecting to {endpoint} (@{endpoint} would bind)"
            ));
            Ok(endpoint.clone())
        }
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Waits until the socket is ready, the descriptor is readable, the time has come or a signal
/// comes, which is an error. Returns whether the descriptor is readable.
pub(super) fn wait(
    socket: Option<(&Socket, Interest)>,
    fd: Option<BorrowedFd<'_>>,
    until: Option<Instant>,
) -> anyhow::Result<bool> {
    let signal = interrupt::fd();
    let mut items = vec![PollItem::fd(&signal, Interest::READ)];
    let file = fd.as_ref().map(|fd| {
        items.push(PollItem::fd(fd, Interest::READ));
        items.len() - 1
    });
    if let Some((socket, interest)) = socket {
        items.push(PollItem::socket(socket, interest));
    }
    let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
    match poll(&mut items, timeout) {
        Ok(_) | Err(PollError::Interrupted) => {}
        Err(error) => return Err(error).context("waiting failed"),
    }
    interrupt::check()?;
    Ok(file.is_some_and(|file| items[file].is_readable()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_rule() {
        let bound = [
            "tcp://*:5555",
            "tcp://0.0.0.0:5555",
            "tcp://[::]:5555",
            "tcp://127.0.0.1:*",
            "tcp://127.0.0.1:0",
            "ipc://*",
            "tipc://<*>",
        ];
        for endpoint in bound {
            assert_eq!(place(endpoint), Place::Bind(endpoint.into()));
        }
        let connected = [
            "tcp://localhost:5555",
            "tcp://[::1]:5555",
            "tcp://192.168.1.17:*;192.168.1.1:5555",
            "tcp://*:0;192.168.1.1:5555",
            "ipc:///tmp/a",
            "ipc://@abstract",
            "inproc://a",
            "tipc://{5555,50}",
            "nonsense",
        ];
        for endpoint in connected {
            assert_eq!(place(endpoint), Place::Connect(endpoint.into()));
        }
        assert_eq!(place("@ipc:///tmp/a"), Place::Bind("ipc:///tmp/a".into()));
        assert_eq!(place("> tcp://*:1"), Place::Connect("tcp://*:1".into()));
    }

    #[test]
    fn binding_comes_first() {
        let endpoints = Endpoints {
            any: vec!["tcp://a:1".into(), "@tcp://b:2".into()],
            bind: vec!["tcp://c:3".into()],
            connect: vec!["tcp://*:4".into()],
        };
        let expected = [
            Place::Bind("tcp://c:3".into()),
            Place::Bind("tcp://b:2".into()),
            Place::Connect("tcp://a:1".into()),
            Place::Connect("tcp://*:4".into()),
        ];
        assert_eq!(places(&endpoints), expected);
    }
}
