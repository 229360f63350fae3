//! Titanic inside the broker's process: at the broker by way of an inproc endpoint, and otherwise as
//! `xebec titanic` has it.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::thread;

use xebec::Context;
use xebec_patterns::majordomo::broker::Command;
use xebec_patterns::majordomo::{BrokerConfig, Note};
use xebec_patterns::titanic::{Answers, Log, Mark, Server, ServerCommand, is_titanics};

use super::super::titanic::{Running, Settings, Stored};
use super::ha;
use crate::console::Talk;

/// Where it meets the broker.
const INSIDE: &str = "inproc://xebec.titanic";

/// Its store, and itself once it runs.
pub(super) struct Aboard {
    settings: Settings,
    store: Stored,
    running: Option<Running>,
}

impl Aboard {
    /// Opens the store, before the broker lets anybody in.
    pub(super) fn open(
        mut settings: Settings,
        broker: &mut BrokerConfig,
        talk: Talk,
    ) -> anyhow::Result<Self> {
        broker.bind_titanic = vec![INSIDE.to_owned()];
        settings.server.endpoints = vec![INSIDE.to_owned()];
        settings.server.drain_time = broker.drain_time;
        Ok(Aboard {
            store: Stored::open(&settings, talk)?,
            settings,
            running: None,
        })
    }

    /// Starts it. If its store fails the broker ends as well: somebody has to look.
    pub(super) fn start(
        mut self,
        context: &Context,
        broker: &ha::Running,
        talk: Talk,
    ) -> anyhow::Result<Self> {
        let broker = broker.downgrade();
        let broken = move || {
            if let Some(broker) = broker.upgrade() {
                broker.stop();
            }
        };
        let settings = self.settings.clone();
        self.running = Some(Running::start(
            context,
            &self.store,
            settings,
            talk,
            broken,
        )?);
        Ok(self)
    }

    /// Where the broker keeps its replies, if it shall in the log.
    pub(super) fn answers(&self) -> Option<Arc<Log>> {
        self.store.log().filter(|_| self.settings.answers)
    }

    pub(super) fn server(&self) -> Weak<Server> {
        let running = self.running.as_ref();
        running.map_or(Weak::new(), |running| Arc::downgrade(&running.server))
    }

    /// Ends it, after the broker.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let outcome = self.running.map_or(Ok(()), |running| {
            running.server.command(ServerCommand::End);
            running.wait()
        });
        self.store.close()?;
        outcome
    }
}

/// A thread that makes the broker's replies durable. It ends when no more marks can come.
pub(super) fn settle(log: Arc<Log>, broker: &ha::Running) -> Sender<Mark> {
    let (marks, asked) = mpsc::channel();
    let broker = broker.downgrade();
    thread::spawn(move || {
        for mark in asked {
            let result = log.settle(mark).map_err(|why| why.to_string());
            let Some(broker) = broker.upgrade() else {
                return;
            };
            broker.command(Command::Synced(mark, result));
        }
    });
    marks
}

/// Whether a note only says what is always so: its workers come and go with it.
pub(super) fn is_routine(note: &Note) -> bool {
    let (Note::ServiceAdded(service)
    | Note::WorkerReady { service, .. }
    | Note::WorkerGone { service, .. }) = note
    else {
        return false;
    };
    is_titanics(service.as_bytes())
}
