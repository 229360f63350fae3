//! A machine and its application in the simulation, with their types erased.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use fastrand::Rng;
use xebec::{Message, SendErrorKind};

use crate::machine::{Action, Actions, Connect, Event, Link, Machine, Port, Spec, Time};

/// Names a node of a simulation, and the type of its machine.
pub struct NodeId<M> {
    pub(super) index: usize,
    machine: PhantomData<fn(M)>,
}

impl<M> NodeId<M> {
    pub(super) fn new(index: usize) -> Self {
        NodeId {
            index,
            machine: PhantomData,
        }
    }

    /// The node without the type of its machine.
    pub fn any(self) -> AnyNode {
        AnyNode(self.index)
    }
}

impl<M> Clone for NodeId<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for NodeId<M> {}

impl<M> From<NodeId<M>> for AnyNode {
    fn from(id: NodeId<M>) -> Self {
        id.any()
    }
}

/// Names a node of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnyNode(pub(super) usize);

/// Where the application of a node stands while it is told an output.
pub struct Desk<'a, C> {
    now: Time,
    rng: &'a mut Rng,
    commands: &'a mut Vec<(Duration, C)>,
}

impl<C> Desk<'_, C> {
    /// The present moment.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Chance, from the seed.
    pub fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// Gives a command to the machine of this node, at once.
    pub fn command(&mut self, command: C) {
        self.command_after(Duration::ZERO, command);
    }

    /// Gives a command to the machine of this node after some time, such as the answer that took so
    /// long to find. It is lost if the node crashes before.
    pub fn command_after(&mut self, time: Duration, command: C) {
        self.commands.push((time, command));
    }
}

/// The application of a node: told every output.
pub type App<M> = Box<dyn FnMut(&mut Desk<'_, <M as Machine>::Command>, <M as Machine>::Output)>;

/// An event without the type of the command.
pub(super) enum Told {
    Start,
    Message(Port, Message),
    Unsent(Port, Message, SendErrorKind),
    Link(Port, String, Link),
    Due,
    Command(Box<dyn Any>),
    Stop,
}

/// An action without the type of the output.
pub(super) enum Done {
    Open(Port, Box<Spec>),
    Close(Port),
    Connect(Port, Connect),
    Disconnect(Port, String),
    Listen(Port, bool),
    Send(Port, Message),
    Command(Duration, Box<dyn Any>),
    End,
}

/// A node whatever its machine.
pub(super) trait Actor {
    /// A new machine, as after a crash.
    fn renew(&mut self, rng: &mut Rng);
    /// The machine and its application are gone.
    fn forget(&mut self);
    fn handle(
        &mut self,
        event: Told,
        now: Time,
        rng: &mut Rng,
        done: &mut Vec<Done>,
        trace: Option<&str>,
    );
    fn due(&self) -> Option<Time>;
    fn machine(&self) -> Option<&dyn Any>;
}

pub(super) struct Node<M: Machine, Make> {
    make: Make,
    alive: Option<(M, App<M>)>,
    actions: Actions<M::Output>,
}

impl<M, Make> Node<M, Make>
where
    M: Machine,
    Make: FnMut(&mut Rng) -> (M, App<M>),
{
    pub(super) fn new(make: Make) -> Self {
        Node {
            make,
            alive: None,
            actions: Actions::new(),
        }
    }
}

impl<M, Make> Actor for Node<M, Make>
where
    M: Machine + 'static,
    M::Command: Debug + 'static,
    M::Output: Debug,
    Make: FnMut(&mut Rng) -> (M, App<M>),
{
    fn renew(&mut self, rng: &mut Rng) {
        self.alive = Some((self.make)(rng));
    }

    fn forget(&mut self) {
        self.alive = None;
    }

    fn handle(
        &mut self,
        event: Told,
        now: Time,
        rng: &mut Rng,
        done: &mut Vec<Done>,
        trace: Option<&str>,
    ) {
        let Some((machine, app)) = &mut self.alive else {
            return;
        };
        let event = match event {
            Told::Start => Event::Start,
            Told::Message(port, message) => Event::Message { port, message },
            Told::Unsent(port, message, why) => Event::Unsent { port, message, why },
            Told::Link(port, endpoint, link) => Event::Link {
                port,
                endpoint,
                link,
            },
            Told::Due => Event::Due,
            Told::Command(command) => Event::Command(
                *command
                    .downcast()
                    .expect("a command of this machine's type"),
            ),
            Told::Stop => Event::Stop,
        };
        if let Some(name) = trace {
            eprintln!("{now} {name} < {event:?}");
        }
        machine.handle(event, now, &mut self.actions);
        let mut commands = Vec::new();
        for action in self.actions.drain() {
            if let Some(name) = trace {
                match &action {
                    // Most of it is options.
                    Action::Open(port, _) => eprintln!("{now} {name} > Open({})", port.0),
                    action => eprintln!("{now} {name} > {action:?}"),
                }
            }
            done.push(match action {
                Action::Open(port, spec) => Done::Open(port, spec),
                Action::Close(port) => Done::Close(port),
                Action::Connect(port, to) => Done::Connect(port, to),
                Action::Disconnect(port, endpoint) => Done::Disconnect(port, endpoint),
                Action::Listen(port, on) => Done::Listen(port, on),
                Action::Send(port, message) => Done::Send(port, message),
                Action::End => Done::End,
                Action::Deliver(output) => {
                    let commands = &mut commands;
                    app(&mut Desk { now, rng, commands }, output);
                    continue;
                }
            });
        }
        let commands = commands.into_iter();
        done.extend(commands.map(|(after, command)| Done::Command(after, Box::new(command))));
    }

    fn due(&self) -> Option<Time> {
        self.alive.as_ref()?.0.due()
    }

    fn machine(&self) -> Option<&dyn Any> {
        Some(&self.alive.as_ref()?.0)
    }
}
