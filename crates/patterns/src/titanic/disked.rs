//! For simulations: a machine beside its log on a disk that forgets what was not synced.
//!
//! A sync takes some time, in which the machine goes on and may crash. A crash is a loss of power, which
//! tears what was being written.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

use super::{
    Bounds, Durability, Log, LogOptions, Mark, ServerCommand, ServerMachine, ServerNote,
    SimulatedDisk, Store as _, StoreError, format,
};
use crate::machine::{Action, Actions, Event, Machine, Time};
use crate::majordomo::Broker;
use crate::majordomo::broker::{Command, Note};

/// Small, so that it is full from time to time.
const SIZE: u64 = 128 << 10;

pub(crate) type DiskLog = Log<Arc<SimulatedDisk>>;

/// The disk of one node, which outlives the node.
#[derive(Clone)]
pub(crate) struct Drive(Arc<Mutex<Arc<SimulatedDisk>>>);

impl Drive {
    /// With an empty log.
    pub(crate) fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(SIZE, seed);
        format(&disk).unwrap();
        Drive(Arc::new(Mutex::new(Arc::new(disk))))
    }

    /// Opens the log as the next life of the node finds it.
    pub(crate) fn open(&self) -> Arc<DiskLog> {
        let mut disk = self.0.lock().unwrap();
        *disk = Arc::new(disk.restart());
        let options = LogOptions {
            size: SIZE,
            durability: Durability::Each,
            answers: Bounds::default(),
        };
        let (log, found) = Log::on(disk.clone(), options).unwrap();
        assert!(found.damages.is_empty(), "{found:?}");
        Arc::new(log)
    }
}

/// A machine that has others make its store durable.
pub(crate) trait Syncs: Machine {
    /// Up to where, if that is what an output asks for.
    fn wants(output: &Self::Output) -> Option<Mark>;
    /// Tells it what came of it.
    fn synced(mark: Mark, result: Result<(), StoreError>) -> Self::Command;
}

impl Syncs for Broker {
    fn wants(output: &Note) -> Option<Mark> {
        match output {
            Note::Sync(mark) => Some(*mark),
            _ => None,
        }
    }

    fn synced(mark: Mark, result: Result<(), StoreError>) -> Command {
        Command::Synced(mark, result.map_err(|why| why.to_string()))
    }
}

impl Syncs for ServerMachine {
    fn wants(output: &ServerNote) -> Option<Mark> {
        match output {
            ServerNote::Sync(mark) => Some(*mark),
            _ => None,
        }
    }

    fn synced(_: Mark, result: Result<(), StoreError>) -> ServerCommand {
        ServerCommand::Synced(result)
    }
}

/// A machine and what the thread for its disk does.
pub(crate) struct Disked<M: Machine> {
    pub(crate) machine: M,
    pub(crate) log: Arc<DiskLog>,
    rng: Rng,
    syncing: Option<(Time, Mark)>,
    inner: Actions<M::Output>,
}

impl<M: Syncs> Disked<M> {
    pub(crate) fn new(machine: M, log: Arc<DiskLog>, rng: Rng) -> Self {
        Disked {
            machine,
            log,
            rng,
            syncing: None,
            inner: Actions::new(),
        }
    }

    fn pass(&mut self, event: Event<M::Command>, now: Time, actions: &mut Actions<M::Output>) {
        self.machine.handle(event, now, &mut self.inner);
        for action in self.inner.drain() {
            match action {
                Action::Deliver(output) => match M::wants(&output) {
                    Some(mark) => {
                        assert!(self.syncing.is_none(), "one at a time");
                        let takes = Duration::from_micros(self.rng.u64(1..40_000));
                        self.syncing = Some((now + takes, mark));
                    }
                    None => actions.deliver(output),
                },
                action => actions.push(action),
            }
        }
    }
}

impl<M: Syncs> Machine for Disked<M> {
    type Command = M::Command;
    type Output = M::Output;

    fn handle(&mut self, event: Event<M::Command>, now: Time, actions: &mut Actions<M::Output>) {
        if !matches!(event, Event::Due) {
            return self.pass(event, now, actions);
        }
        if let Some((_, mark)) = self.syncing.take_if(|(at, _)| *at <= now) {
            let result = self.log.sync(mark);
            self.pass(Event::Command(M::synced(mark, result)), now, actions);
        }
        if self.machine.due().is_some_and(|at| at <= now) {
            self.pass(Event::Due, now, actions);
        }
    }

    fn due(&self) -> Option<Time> {
        let syncing = self.syncing.map(|(at, _)| at);
        syncing.into_iter().chain(self.machine.due()).min()
    }
}
