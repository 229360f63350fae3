//! `titanic`: Titanic beside a Majordomo broker, and what can be asked of one that runs.
//!
//! What it does is the library's (`xebec_patterns::titanic`); here are its settings, its signals and
//! its log: lines of `event=… key=value …` on standard error. `xebec broker` runs the same.

pub(crate) mod ask;
pub(crate) mod settings;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Context as _;
use xebec::Context;
use xebec_patterns::DriverError;
use xebec_patterns::titanic::{Log, MemoryStore, Server, ServerCommand, ServerNote, Store};

use self::settings::Place;
pub(super) use self::settings::{Section, Settings};
use super::broker::Wish;
use super::{broker, call};
use crate::args;
use crate::console::Talk;
use crate::interrupt;

/// Runs Titanic until a signal ends it, or asks one that runs.
pub(super) fn run(args: args::Titanic) -> anyhow::Result<()> {
    if let Some(about) = args.about {
        return ask::run(about);
    }
    let mut settings = args.settings.read()?;
    settings.server.endpoints = call::endpoints(&args.settings.at)?;
    settings.server.options = call::socket_options(&args.settings.at)?;
    settings.server.dialect = call::dialect(args.settings.at.mdp);
    let talk = Talk::from_flags(args.settings.quiet, false);
    let context = Context::new();
    let store = Stored::open(&settings, talk)?;
    let titanic = Running::start(&context, &store, settings, talk, || ())?;
    let server = Arc::downgrade(&titanic.server);
    broker::on_signals(move |wish| match (server.upgrade(), wish) {
        (Some(server), Wish::Digest) => server.command(ServerCommand::Digest),
        (Some(server), Wish::Drain | Wish::End) => server.stop(),
        (None, _) => {}
    })?;
    let outcome = titanic.wait();
    store.close()?;
    // The last answers leave within a second.
    context.term();
    outcome?;
    Ok(interrupt::check()?)
}

/// An open store.
pub(super) enum Stored {
    Log(Arc<Log>),
    Memory(Arc<MemoryStore>),
}

impl Stored {
    /// Opens or makes it, and tells what was found.
    pub(super) fn open(settings: &Settings, talk: Talk) -> anyhow::Result<Self> {
        let (path, options) = match &settings.place {
            Place::Memory(limits) => {
                talk.note("event=titanic-memory what is stored is lost with this process");
                return Ok(Stored::Memory(Arc::new(MemoryStore::new(*limits))));
            }
            Place::Log(path, options) => (path, *options),
        };
        let begin = Instant::now();
        let (log, found) = Log::open(path, options)
            .with_context(|| format!("cannot open Titanic's log {}", path.display()))?;
        talk.note(format_args!(
            "event=titanic-open path={path:?} pending={} replied={} answers={} scanned={} torn={} damages={} ms={}",
            found.pending,
            found.replied,
            found.answers,
            found.scanned,
            found.torn,
            found.damages.len(),
            begin.elapsed().as_millis()
        ));
        for damage in &found.damages {
            crate::console::say(format_args!(
                "event=titanic-damage text={:?}",
                damage.to_string()
            ));
        }
        Ok(Stored::Log(Arc::new(log)))
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Stored::Log(log) => log.clone(),
            Stored::Memory(store) => store.clone(),
        }
    }

    /// The log, if it is one.
    pub(super) fn log(&self) -> Option<Arc<Log>> {
        match self {
            Stored::Log(log) => Some(log.clone()),
            Stored::Memory(_) => None,
        }
    }

    /// Ends the use of it, once nobody else has it.
    pub(super) fn close(self) -> anyhow::Result<()> {
        if let Stored::Log(log) = self
            && let Some(log) = Arc::into_inner(log)
        {
            log.end().context("cannot end the use of Titanic's log")?;
        }
        Ok(())
    }
}

/// A Titanic that runs, whose notes a thread tells.
pub(super) struct Running {
    pub(super) server: Arc<Server>,
    tells: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Starts it. `broken` is called when the store fails for good.
    pub(super) fn start(
        context: &Context,
        store: &Stored,
        settings: Settings,
        talk: Talk,
        broken: impl Fn() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let server = Server::new(context, store.store(), settings.server)?;
        let server = Arc::new(server);
        let heard = server.clone();
        let tells = thread::spawn(move || {
            let mut outcome = Ok(());
            loop {
                match heard.recv() {
                    Ok(ServerNote::Broken(why)) => {
                        outcome = Err(anyhow::anyhow!("{why}"));
                        crate::console::say(format_args!("event=titanic-broken why={why:?}"));
                        heard.stop();
                        broken();
                    }
                    Ok(note) => tell(&note, talk),
                    Err(DriverError::Ended | DriverError::Terminated) => return outcome,
                    Err(error) => return Err(error.into()),
                }
            }
        });
        Ok(Running { server, tells })
    }

    /// Waits for its end, which somebody has to ask for.
    pub(super) fn wait(self) -> anyhow::Result<()> {
        let outcome = self.tells.join();
        if let Some(server) = Arc::into_inner(self.server) {
            server.close();
        }
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Tells a note as a line of the log.
fn tell(note: &ServerNote, talk: Talk) {
    match note {
        ServerNote::Digest(digest) => eprint!("{digest}"),
        ServerNote::Up => talk.note("event=titanic-up"),
        ServerNote::Down => talk.note("event=titanic-down"),
        ServerNote::Stamps(known) => talk.note(format_args!("event=titanic-stamps known={known}")),
        ServerNote::Refused(why) => talk.note(format_args!("event=titanic-refused text={why:?}")),
        ServerNote::Draining { calls } => {
            talk.note(format_args!("event=titanic-draining calls={calls}"));
        }
        other => talk.note(format_args!("event=other note={other:?}")),
    }
}
