//! What a role of a pattern is: a state machine that is told what happened and says what to do.
//!
//! A [`Machine`] has no socket, no clock, no thread and no file. It gets an [`Event`] and the [`Time`],
//! changes its state, and appends [`Action`]s. Its ports are numbers of its own choice; what stands
//! behind a port is a [`Spec`], which it opens itself. So one machine runs over sockets (the
//! [driver](crate::driver)) and, unchanged, in a network that delays, loses and breaks (the
//! [simulator](crate::simulator)).
//!
//! What a machine may count on, of either of them:
//! * [`Event::Start`] comes first, once; nothing comes after [`Action::End`].
//! * Actions are carried out in their order, before the next event.
//! * [`Machine::due`] is asked after every event. When the moment that it named has come, or some time
//!   later, it is told [`Event::Due`]; time never runs backwards.
//! * A message comes as its socket type delivers it: at a ROUTER with the sender's routing id in front,
//!   at a REQ without the envelope.
//! * What cannot be sent at once comes back as [`Event::Unsent`], if the socket type tells.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use xebec::{Bytes, Message, Options, SendErrorKind, SocketType};

/// A moment: how long after the start of the driver or of the simulation. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The start.
    pub const ZERO: Time = Time(Duration::ZERO);

    /// The moment so long after the start.
    pub const fn after_start(elapsed: Duration) -> Self {
        Time(elapsed)
    }

    /// How long after the start.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Later by so much; the end of time if it would be beyond.
impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(span))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// The number that a machine gives to one of its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u8);

/// A socket as a machine wants it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spec {
    /// Its type.
    pub kind: SocketType,
    /// Its options. LINGER counts when the machine ends; a port that is closed or opened anew drops
    /// at once what it has not sent.
    pub options: Options,
    /// Where it binds.
    pub bind: Vec<String>,
    /// Where it connects.
    pub connect: Vec<Connect>,
    /// What a SUB subscribes to.
    pub subscribe: Vec<Bytes>,
    /// Whether the machine wants [`Event::Link`].
    pub watch: bool,
}

/// Where a socket connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The endpoint.
    pub endpoint: String,
    /// The routing id under which a ROUTER knows who listens there (CONNECT_ROUTING_ID): it can be
    /// sent to before it is connected.
    pub routing_id: Option<Bytes>,
}

impl Spec {
    /// A socket of a type, bound and connected nowhere, that lingers for one second at the end.
    pub fn new(kind: SocketType) -> Self {
        Spec {
            kind,
            options: Options::new().linger(Duration::from_secs(1)),
            bind: Vec::new(),
            connect: Vec::new(),
            subscribe: Vec::new(),
            watch: false,
        }
    }

    /// With these options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Bound to an endpoint, too.
    #[must_use]
    pub fn bind(mut self, endpoint: impl Into<String>) -> Self {
        self.bind.push(endpoint.into());
        self
    }

    /// Connected to an endpoint, too.
    #[must_use]
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.connect.push(Connect {
            endpoint: endpoint.into(),
            routing_id: None,
        });
        self
    }

    /// Connected to an endpoint, too, and whoever listens there has this routing id. For ROUTER.
    #[must_use]
    pub fn connect_as(mut self, endpoint: impl Into<String>, routing_id: impl Into<Bytes>) -> Self {
        self.connect.push(Connect {
            endpoint: endpoint.into(),
            routing_id: Some(routing_id.into()),
        });
        self
    }

    /// Subscribed to a prefix, too. For SUB.
    #[must_use]
    pub fn subscribe(mut self, prefix: impl Into<Bytes>) -> Self {
        self.subscribe.push(prefix.into());
        self
    }

    /// Tells the machine what becomes of the connections.
    #[must_use]
    pub fn watch(mut self) -> Self {
        self.watch = true;
        self
    }
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The handshake is done: messages flow.
    Up,
    /// An established connection was lost; a connecting socket tries again.
    Down,
    /// There is no connection, with the reason; a connecting socket tries again.
    Refused(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<C> {
    /// The machine runs from now on.
    Start,
    /// A message was received.
    Message {
        /// Where.
        port: Port,
        /// As the socket delivers it.
        message: Message,
    },
    /// A message could not be sent at once, and is not sent.
    Unsent {
        /// Where.
        port: Port,
        /// As it was given.
        message: Message,
        /// Why: a ROUTER with ROUTER_MANDATORY knows of no such peer, a DEALER has none or a full
        /// one, it is not a REQ's turn.
        why: SendErrorKind,
    },
    /// Something became of a connection of a port that is [watched](Spec::watch). A message may
    /// arrive before the `Up` of its connection is told.
    Link {
        /// Where.
        port: Port,
        /// The endpoint that the port is connected or bound to.
        endpoint: String,
        /// What.
        link: Link,
    },
    /// The moment that [`Machine::due`] named has come.
    Due,
    /// The application asks for something.
    Command(C),
    /// The application wants the machine to end. It answers with [`Action::End`], at once or when what
    /// it must still do is done.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<O> {
    /// Open a port; one that is open is closed first, as by [`Action::Close`].
    Open(Port, Box<Spec>),
    /// Close a port and drop what it has not sent. Nothing more comes from it.
    Close(Port),
    /// Connect an open port to one more endpoint.
    Connect(Port, Connect),
    /// Take a connection of a port back.
    Disconnect(Port, String),
    /// Receive from a port, or leave what comes in its queue until the peers' high-water marks push
    /// back. An opened port is received from.
    Listen(Port, bool),
    /// Send, as [`xebec::Socket::try_send`] does.
    Send(Port, Message),
    /// Tell the application.
    Deliver(O),
    /// The machine has ended. Its ports are closed and linger as their options say.
    End,
}

impl<O> Action<O> {
    /// The same for a machine that has another inside it, whose port 0 is `first` outside; or, as the
    /// error, what the inner one delivers. [`Action::End`] is the inner one's own end.
    ///
    /// # Errors
    /// What is delivered.
    pub fn nested<P>(self, first: u8) -> Result<Action<P>, O> {
        let outer = |port: Port| Port(first + port.0);
        Ok(match self {
            Action::Open(port, spec) => Action::Open(outer(port), spec),
            Action::Close(port) => Action::Close(outer(port)),
            Action::Connect(port, to) => Action::Connect(outer(port), to),
            Action::Disconnect(port, at) => Action::Disconnect(outer(port), at),
            Action::Listen(port, on) => Action::Listen(outer(port), on),
            Action::Send(port, message) => Action::Send(outer(port), message),
            Action::Deliver(output) => return Err(output),
            Action::End => Action::End,
        })
    }
}

/// The actions of one event, in order. Whoever runs a machine keeps one of these and empties it after
/// each event, so that no event costs an allocation.
#[derive(Debug)]
pub struct Actions<O>(Vec<Action<O>>);

impl<O> Default for Actions<O> {
    fn default() -> Self {
        Actions(Vec::new())
    }
}

impl<O> Actions<O> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends any action.
    pub fn push(&mut self, action: Action<O>) {
        self.0.push(action);
    }

    /// Opens a port.
    pub fn open(&mut self, port: Port, spec: Spec) {
        self.push(Action::Open(port, Box::new(spec)));
    }

    /// Closes a port.
    pub fn close(&mut self, port: Port) {
        self.push(Action::Close(port));
    }

    /// Receives from a port, or not for now.
    pub fn listen(&mut self, port: Port, on: bool) {
        self.push(Action::Listen(port, on));
    }

    /// Sends a message.
    pub fn send(&mut self, port: Port, message: impl Into<Message>) {
        self.push(Action::Send(port, message.into()));
    }

    /// Tells the application.
    pub fn deliver(&mut self, output: O) {
        self.push(Action::Deliver(output));
    }

    /// The machine has ended.
    pub fn end(&mut self) {
        self.push(Action::End);
    }

    /// Takes all of them out.
    pub fn drain(&mut self) -> impl Iterator<Item = Action<O>> + '_ {
        self.0.drain(..)
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = &Action<O>> {
        self.0.iter()
    }
}

/// A role of a pattern.
pub trait Machine {
    /// What the application asks for.
    type Command;
    /// What the application is told.
    type Output;

    /// Takes one event in and appends what is to be done about it.
    fn handle(
        &mut self,
        event: Event<Self::Command>,
        now: Time,
        actions: &mut Actions<Self::Output>,
    );

    /// When to tell [`Event::Due`]; `None` for never. After a `Due` it must be later than the `now` that
    /// came with it.
    fn due(&self) -> Option<Time>;
}
