//! `broker`: a Majordomo broker, and the state of one that runs.
//!
//! What it does is the library's (`xebec_patterns::majordomo`); here are its settings, its signals and
//! its log: lines of `event=… key=value …` on standard error.

pub(super) mod config;
mod ha;
mod security;
mod titanic;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;
use xebec::{Context, Frame};
use xebec_patterns::DriverError;
use xebec_patterns::binary_star::Role;
use xebec_patterns::majordomo::broker::Command;
use xebec_patterns::majordomo::{Broker, DurableReplies, Note};
use xebec_patterns::titanic::ServerCommand;

use self::config::Settings;
use self::ha::{Running, Told};
use self::titanic::Aboard;
use super::call;
use crate::args::{self, BrokerCommand};
use crate::console::{Talk, say, word};
use crate::failure::Stop;
use crate::interrupt;

/// Runs the broker until a signal ends it, or does what else was asked.
pub(super) fn run(args: args::Broker) -> anyhow::Result<()> {
    if let Some(BrokerCommand::Status { at, timeout }) = args.about {
        return call::status(at, timeout);
    }
    if args.print_config {
        std::io::stdout().write_all(config::DEFAULT.as_bytes())?;
        return Ok(());
    }
    let flags = ha::Flags {
        role: match (args.primary, args.backup) {
            (true, _) => Some(Role::Primary),
            (_, true) => Some(Role::Backup),
            _ => None,
        },
        own: args.ha_own,
        peer: args.ha_peer,
    };
    let Settings {
        mut broker,
        replies,
        security,
        pair,
        titanic,
    } = config::load(args.config.as_deref(), flags, args.titanic)?;
    if !args.bind.is_empty() {
        broker.bind = args.bind;
    }
    let talk = Talk::from_flags(args.quiet, false);
    allow_connections();
    let context = Context::new();
    let authenticator = security.enforce(&context, talk)?;
    let aboard = titanic.map(|titanic| Aboard::open(titanic, &mut broker, talk));
    let aboard = aboard.transpose()?;
    let log = aboard.as_ref().and_then(Aboard::answers);
    let broker = match &log {
        Some(log) => Broker::with_replies(broker, DurableReplies::new(log.clone())),
        None => Broker::with_replies(broker, replies),
    };
    let handle = Running::start(&context, broker, pair, talk)?;
    let marks = log.map(|log| titanic::settle(log, &handle));
    let aboard = aboard.map(|aboard| aboard.start(&context, &handle, talk));
    let aboard = aboard.transpose()?;
    // Whoever else holds them would keep their stores open.
    let hears = handle.downgrade();
    let server = aboard.as_ref().map(Aboard::server).unwrap_or_default();
    on_signals(move |wish| {
        match (wish, server.upgrade()) {
            (Wish::Digest, Some(server)) => server.command(ServerCommand::Digest),
            (Wish::Drain, Some(server)) => server.stop(),
            _ => {}
        }
        match (wish, hears.upgrade()) {
            (Wish::Digest, Some(broker)) => broker.command(Command::Digest),
            (Wish::Drain, Some(broker)) => broker.stop(),
            (Wish::End, Some(broker)) => broker.command(Command::End),
            (_, None) => {}
        }
    })?;
    let mut fault = None;
    loop {
        match handle.recv() {
            Ok(Told::Note(Note::Digest(digest))) => {
                let mut text = digest.to_string();
                if let Some(stats) = authenticator.as_ref().map(|of| of.stats()) {
                    let (allowed, denied, failed) = (stats.allowed, stats.denied, stats.failed);
                    text +=
                        &format!("security allowed={allowed} denied={denied} failed={failed}\n");
                }
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            Ok(Told::Note(Note::Sync(mark))) => {
                // Without the thread the process is about to end.
                let _ = marks.as_ref().map(|marks| marks.send(mark));
            }
            Ok(Told::Note(note)) if aboard.is_some() && titanic::is_routine(&note) => {}
            Ok(Told::Note(note)) => talk.note(Line(&note)),
            Ok(Told::Turn(turn)) => talk.note(ha::Line(&turn)),
            Ok(Told::Stays) => talk.note(
                "event=stays text=\"cannot hand over: the other broker is not known to stand by\"",
            ),
            Ok(Told::Fault(why)) => {
                say(format_args!("event=fault text={:?}", why.to_string()));
                fault = Some(why);
            }
            Err(DriverError::Ended) => break,
            Err(error) => return Err(error.into()),
        }
    }
    drop((marks, handle));
    let outcome = aboard.map_or(Ok(()), Aboard::close);
    // The last commands to workers and refusals to clients leave within a second.
    drop(authenticator);
    context.term();
    outcome?;
    interrupt::check()?;
    match fault {
        Some(fault) => Err(ha::failed(fault)),
        None => Ok(()),
    }
}

/// Takes as many connections as this process may have: the limit is 1024 on most machines until somebody
/// asks for more.
fn allow_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    // If it may not be raised the old one holds.
    let _ = setrlimit(Resource::Nofile, all);
}

/// Does something each time that a signal comes.
fn on_signal(signal: i32, mut act: impl FnMut() + Send + 'static) -> anyhow::Result<()> {
    let (mut readable, written) = UnixStream::pair()?;
    pipe::register(signal, written)?;
    thread::spawn(move || {
        while readable.read_exact(&mut [0]).is_ok() {
            act();
        }
    });
    Ok(())
}

/// What a signal asks for.
#[derive(Clone, Copy)]
pub(super) enum Wish {
    /// SIGUSR1: to print the state.
    Digest,
    /// SIGTERM: to end when what is at hand is done.
    Drain,
    /// The others: to end.
    End,
}

/// Calls `tell` in a thread of its own when a signal comes; of those that end, only the first.
pub(super) fn on_signals(tell: impl Fn(Wish) + Send + 'static) -> anyhow::Result<()> {
    let (readable, written) = UnixStream::pair()?;
    readable.set_nonblocking(true)?;
    pipe::register(SIGUSR1, written)?;
    thread::spawn(move || follow_signals(tell, &readable));
    Ok(())
}

fn follow_signals(tell: impl Fn(Wish), usr1: &UnixStream) {
    let mut told = false;
    loop {
        let mut fds = vec![PollFd::new(usr1, PollFlags::IN)];
        let ends = interrupt::fd();
        if !told {
            fds.push(PollFd::new(&ends, PollFlags::IN));
        }
        // A failure is an interruption by the very signal.
        let _ = poll(&mut fds, None);
        let mut bytes = [0; 64];
        if rustix::io::read(usr1, &mut bytes).is_ok() {
            tell(Wish::Digest);
        }
        if !told && let Err(Stop::Signal(signal)) = interrupt::check() {
            told = true;
            tell(if signal == SIGTERM {
                Wish::Drain
            } else {
                Wish::End
            });
        }
    }
}

/// A note as a line of the log.
struct Line<'a>(&'a Note);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Note::ServiceAdded(service) => write!(f, "event=service-added service={service:?}"),
            Note::ServiceExpired(service) => write!(f, "event=service-expired service={service:?}"),
            Note::WorkerReady {
                worker,
                service,
                dialect,
            } => write!(
                f,
                "event=worker-ready service={service:?} worker={} mdp={dialect}",
                Hex(worker)
            ),
            Note::WorkerGone {
                worker,
                service,
                why,
                busy,
            } => {
                let why = word(why);
                let worker = Hex(worker);
                write!(
                    f,
                    "event=worker-gone service={service:?} worker={worker} why={why} busy={busy}"
                )
            }
            Note::Refused { service, refusal } => write!(
                f,
                "event=refused service={service:?} code={} text={:?}",
                refusal.code.as_str(),
                refusal.text
            ),
            Note::Invalid { peer, why } => {
                write!(
                    f,
                    "event=invalid peer={} why={:?}",
                    Hex(peer),
                    why.to_string()
                )
            }
            Note::Unread { client } => write!(f, "event=unread client={}", Hex(client)),
            Note::NotDurable(why) => write!(f, "event=not-durable why={why:?}"),
            Note::StandsBy(true) => f.write_str("event=stands-by"),
            Note::StandsBy(false) => f.write_str("event=serves"),
            Note::Draining { busy } => write!(f, "event=draining busy={busy}"),
            other => write!(f, "event=other note={other:?}"),
        }
    }
}

struct Hex<'a>(&'a Frame);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a machine has ended: a signal asked for it, or the error.
pub(super) fn ended(error: DriverError) -> anyhow::Error {
    interrupt::check().map_or_else(Into::into, |()| error.into())
}
