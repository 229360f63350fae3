//! A node on the wire, around the machine that serves.

use xebec::{Message, Options, SocketType};

use super::star::{Config, Fault, Role, Split, Star, State, Turn};
use crate::machine::{Action, Actions, Event, Machine, Port, Spec, Time};

/// Where the node publishes.
const OWN: Port = Port(255);
/// Where it hears of the peer.
const PEER: Port = Port(254);

/// A machine that a [`Node`] lets serve or not. It opens its ports at the start, active or not; ports
/// 254 and 255 are the node's.
pub trait Voter: Machine {
    /// Whether a message is a client's request: a vote for this node, and dropped while it may not serve.
    fn is_request(&self, port: Port, message: &Message) -> bool;

    /// Whether a message that it sends answers a client: dropped unless the node may serve at that
    /// moment.
    fn is_reply(&self, port: Port, message: &Message) -> bool {
        let _ = (port, message);
        false
    }

    /// A request came while the node may not serve. By default it is dropped, as the Guide has it.
    fn turn_away(
        &mut self,
        port: Port,
        message: Message,
        now: Time,
        actions: &mut Actions<Self::Output>,
    ) {
        let _ = (port, message, now, actions);
    }

    /// Told before it starts that the node is not active; then, that it has become so, or is so no
    /// longer.
    fn set_active(&mut self, active: bool, now: Time, actions: &mut Actions<Self::Output>) {
        let _ = (active, now, actions);
    }
}

/// No machine at all, for an application that asks [`Command::Ask`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

/// There are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {}

impl Machine for Nobody {
    type Command = Nothing;
    type Output = Nothing;

    fn handle(&mut self, event: Event<Nothing>, _: Time, actions: &mut Actions<Nothing>) {
        if event == Event::Stop {
            actions.end();
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

impl Voter for Nobody {
    fn is_request(&self, _: Port, _: &Message) -> bool {
        false
    }
}

/// How the two nodes reach each other.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Where this node publishes its state.
    pub own: String,
    /// Where the peer does.
    pub peer: String,
    /// Options of the socket at which this node publishes, such as those of security.
    pub own_options: Options,
    /// Options of the socket that is connected to the peer's.
    pub peer_options: Options,
}

impl Wiring {
    /// Without options.
    pub fn new(own: impl Into<String>, peer: impl Into<String>) -> Self {
        Wiring {
            own: own.into(),
            peer: peer.into(),
            own_options: Options::new(),
            peer_options: Options::new(),
        }
    }

    /// As the Guide's programs have it on one machine: the primary at port 5003, the backup at 5004.
    pub fn local(role: Role) -> Self {
        match role {
            Role::Primary => Wiring::new("tcp://*:5003", "tcp://localhost:5004"),
            Role::Backup => Wiring::new("tcp://*:5004", "tcp://localhost:5003"),
        }
    }
}

/// What the application asks of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Command<C> {
    /// Something of the machine inside.
    Inner(C),
    /// A client asks the application: may it be served? Answered by [`Output::May`].
    Ask(u64),
    /// Let the peer serve, if this node is active, as soon as the peer is known to stand by. Answered by
    /// [`Output::Stays`] if it is not for two heartbeats.
    HandOver,
    /// Start anew after a [`Fault`], with [`Split::Refuse`].
    Restart,
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<O> {
    /// Something of the machine inside.
    Inner(O),
    /// The answer to [`Command::Ask`] of this number.
    May(u64, bool),
    /// The node's state has changed.
    Turn(Turn),
    /// The node was to [hand over](Command::HandOver), and nothing is known of a peer that stands by.
    Stays,
    /// The node refuses to serve from now on, and ends after a heartbeat with [`Split::End`].
    Fault(Fault),
}

/// One of the two nodes, with the machine that serves.
pub struct Node<M: Machine> {
    config: Config,
    wiring: Wiring,
    inner: M,
    star: Option<Star>,
    active: bool,
    fault: Option<Fault>,
    /// When it ends after a fault: the peer shall hear of its state once more.
    ends_at: Option<Time>,
    /// It is to hand over, until this time.
    hands_over: Option<Time>,
    actions: Actions<M::Output>,
    /// Requests and replies that were dropped because the node may not serve.
    refused: u64,
}

impl<M: Voter> Node<M> {
    /// A node around a machine.
    pub fn new(config: Config, wiring: Wiring, inner: M) -> Self {
        Node {
            config,
            wiring,
            inner,
            star: None,
            active: false,
            fault: None,
            ends_at: None,
            hands_over: None,
            actions: Actions::new(),
            refused: 0,
        }
    }

    /// Its state; that of a node that has not started is `None`.
    pub fn state(&self) -> Option<State> {
        Some(self.star.as_ref()?.state())
    }

    /// Why it refuses to serve, if it does.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether it may answer clients at this moment.
    pub fn serves(&self, now: Time) -> bool {
        self.star.as_ref().is_some_and(|star| star.serves(now))
    }

    /// Requests and replies that were dropped because the node may not serve.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The machine inside.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    fn start(&mut self, now: Time, actions: &mut Actions<Output<M::Output>>) {
        let options = self.wiring.own_options.clone();
        let spec = Spec::new(SocketType::Pub).options(options.linger(self.config.heartbeat));
        actions.open(OWN, spec.bind(&self.wiring.own));
        let options = self.wiring.peer_options.clone();
        let spec = Spec::new(SocketType::Sub).options(options).subscribe("");
        actions.open(PEER, spec.connect(&self.wiring.peer));
        self.star = Some(Star::new(self.config.clone(), now));
    }

    fn inside(
        &mut self,
        event: Event<M::Command>,
        now: Time,
        actions: &mut Actions<Output<M::Output>>,
    ) {
        self.inner.handle(event, now, &mut self.actions);
        self.pass(now, actions);
    }

    /// Passes on what the machine inside does.
    fn pass(&mut self, now: Time, actions: &mut Actions<Output<M::Output>>) {
        let serves = self.serves(now);
        for action in self.actions.drain() {
            match &action {
                Action::Send(port, message) if !serves && self.inner.is_reply(*port, message) => {
                    self.refused += 1;
                    continue;
                }
                Action::End => {
                    // A peer that stands by need not wait until this node has been silent for long enough.
                    if let Some(star) = &mut self.star
                        && star.hand_over(now)
                        && let Some(state) = star.publish(now)
                    {
                        actions.send(OWN, state.to_wire());
                    }
                }
                _ => {}
            }
            let action = action.nested(0);
            let action = action.unwrap_or_else(|output| Action::Deliver(Output::Inner(output)));
            actions.push(action);
        }
    }

    /// Publishes and tells what has become of the star.
    fn settle(&mut self, now: Time, actions: &mut Actions<Output<M::Output>>) {
        let Some(star) = &mut self.star else { return };
        if let Some(until) = self.hands_over {
            let done = star.hand_over(now) || star.state() != State::Active;
            if !done && until <= now {
                actions.deliver(Output::Stays);
            }
            if done || until <= now {
                self.hands_over = None;
            }
        }
        if let Some(state) = star.publish(now) {
            actions.send(OWN, state.to_wire());
        }
        while let Some(turn) = star.turn() {
            actions.deliver(Output::Turn(turn));
        }
        let fault = star.fault();
        let active = star.state() == State::Active && fault.is_none();
        if active != self.active {
            self.active = active;
            self.inner.set_active(active, now, &mut self.actions);
            self.pass(now, actions);
        }
        if let Some(fault) = fault.filter(|fault| self.fault != Some(*fault)) {
            actions.deliver(Output::Fault(fault));
            if self.config.split == Split::End {
                self.ends_at = Some(now + self.config.heartbeat);
            }
        }
        self.fault = fault;
    }

    fn ask(&mut self, now: Time, actions: &mut Actions<Output<M::Output>>) -> bool {
        let may = self.star.as_mut().is_some_and(|star| star.request(now));
        self.refused += u64::from(!may);
        self.settle(now, actions);
        may
    }
}

impl<M: Voter> Machine for Node<M> {
    type Command = Command<M::Command>;
    type Output = Output<M::Output>;

    fn handle(
        &mut self,
        event: Event<Self::Command>,
        now: Time,
        actions: &mut Actions<Self::Output>,
    ) {
        match event {
            Event::Start => {
                self.start(now, actions);
                self.inner.set_active(false, now, &mut self.actions);
                self.inside(Event::Start, now, actions);
            }
            Event::Message { port, message } if port == PEER => {
                let state = State::from_wire(message.body());
                if let (Some(star), Some(state)) = (&mut self.star, state) {
                    star.peer(state, now);
                }
            }
            Event::Message { port, message } => {
                if !self.inner.is_request(port, &message) {
                    // What it knows may be out of date, if it stood still.
                    if let Some(star) = &mut self.star {
                        star.wake(now);
                    }
                    self.settle(now, actions);
                    self.inside(Event::Message { port, message }, now, actions);
                } else if self.ask(now, actions) {
                    self.inside(Event::Message { port, message }, now, actions);
                } else {
                    let inner = &mut self.actions;
                    self.inner.turn_away(port, message, now, inner);
                    self.pass(now, actions);
                }
            }
            Event::Unsent { port, .. } if port == OWN || port == PEER => {}
            Event::Unsent { port, message, why } => {
                self.inside(Event::Unsent { port, message, why }, now, actions);
            }
            Event::Link { port, .. } if port == OWN || port == PEER => {}
            Event::Link {
                port,
                endpoint,
                link,
            } => {
                let event = Event::Link {
                    port,
                    endpoint,
                    link,
                };
                self.inside(event, now, actions);
            }
            Event::Due => {
                if let Some(star) = &mut self.star {
                    star.tick(now);
                }
                self.settle(now, actions);
                if self.ends_at.is_some_and(|at| at <= now) {
                    if let Some(star) = &self.star {
                        actions.send(OWN, star.state().to_wire());
                    }
                    return actions.end();
                }
                if self.inner.due().is_some_and(|at| at <= now) {
                    self.inside(Event::Due, now, actions);
                }
            }
            Event::Command(Command::Inner(command)) => {
                self.inside(Event::Command(command), now, actions);
            }
            Event::Command(Command::Ask(number)) => {
                let may = self.ask(now, actions);
                actions.deliver(Output::May(number, may));
            }
            Event::Command(Command::HandOver) => {
                self.hands_over = Some(now + 2 * self.config.heartbeat);
            }
            Event::Command(Command::Restart) => {
                if let Some(star) = &mut self.star {
                    star.restart(now);
                }
            }
            Event::Stop => self.inside(Event::Stop, now, actions),
        }
        self.settle(now, actions);
    }

    fn due(&self) -> Option<Time> {
        let star = self.star.as_ref().and_then(Star::due);
        star.into_iter()
            .chain(self.ends_at)
            .chain(self.hands_over)
            .chain(self.inner.due())
            .min()
    }
}
