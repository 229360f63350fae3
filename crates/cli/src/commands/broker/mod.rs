//! `broker`: a Majordomo broker, and the state of one that runs.
//!
//! What it does is the library's (`xebec_patterns::majordomo`); here are its settings, its signals and
//! its log: lines of `event=… key=value …` on standard error.

mod config;

use std::io::Write as _;
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;
use xebec::{Context, Frame};
use xebec_patterns::majordomo::broker::{BACK, Command, FRONT};
use xebec_patterns::majordomo::{Broker, Note};
use xebec_patterns::{Driver, DriverError, Handle};

use super::call;
use crate::args::{self, BrokerCommand};
use crate::console::Talk;
use crate::failure::Stop;
use crate::interrupt;

/// Runs the broker until a signal ends it, or does what else was asked.
pub(super) fn run(args: args::Broker) -> anyhow::Result<()> {
    if let Some(BrokerCommand::Status { at, timeout }) = args.about {
        return call::status(&at, timeout);
    }
    if args.print_config {
        std::io::stdout().write_all(config::DEFAULT.as_bytes())?;
        return Ok(());
    }
    let (mut settings, replies) = config::load(args.config.as_deref())?;
    if !args.bind.is_empty() {
        settings.bind = args.bind;
    }
    let talk = Talk::from_flags(args.quiet, false);
    allow_connections();
    let context = Context::new();
    let driver = Driver::new(&context, Broker::with_replies(settings, replies))?;
    for port in [FRONT, BACK] {
        for at in driver.bound(port) {
            talk.note(format_args!("broker bound to {at}"));
        }
    }
    let handle = Arc::new(driver.spawn());
    let hears = handle.clone();
    let (readable, written) = std::os::unix::net::UnixStream::pair()?;
    readable.set_nonblocking(true)?;
    pipe::register(SIGUSR1, written)?;
    thread::spawn(move || follow_signals(&hears, &readable));
    loop {
        match handle.recv() {
            Ok(Note::Digest(digest)) => {
                let _ = std::io::stderr().write_all(digest.to_string().as_bytes());
            }
            Ok(note) => talk.note(Line(&note)),
            Err(DriverError::Ended) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // The last commands to workers and refusals to clients leave within a second.
    context.term();
    Ok(interrupt::check()?)
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

/// SIGUSR1 asks for the digest, SIGTERM drains, the others end.
fn follow_signals(handle: &Handle<Broker>, usr1: &std::os::unix::net::UnixStream) {
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
            handle.command(Command::Digest);
        }
        if !told && let Err(Stop::Signal(signal)) = interrupt::check() {
            told = true;
            if signal == SIGTERM {
                handle.stop();
            } else {
                handle.command(Command::End);
            }
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
                let why = why.to_string().replace(' ', "-");
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
