//! The servers of the three models.
//!
//! Each is a ROUTER, so that many requests can be worked on at a time and answered in any order; the
//! clients cannot tell it from the Guide's REP. The machine keeps nothing of a request: where its
//! reply goes is in the [`Route`] that the application holds.

use xebec::{Bytes, Frame, Message, Options, SocketType};

use crate::binary_star::Voter;
use crate::machine::{Actions, Event, Machine, Port, Spec, Time};

/// The port that is bound.
const PORT: Port = Port(0);

/// How requests look to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// `[body…]` behind the envelope of REQ or DEALER.
    One,
    /// `["", number, body…]`, where the client's number, whatever it is, is handed back.
    Two,
    /// RFC 10: `[control, body…]`, where the client's control frame is handed back, and `["PING"]`,
    /// which is answered `["PONG"]`. The server's routing id is the endpoint under which its clients
    /// know it.
    Three(Bytes),
}

/// Where a reply goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(Vec<Frame>);

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Where its reply goes.
    pub route: Route,
    /// What was asked.
    pub body: Message,
}

/// What the application asks of a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The reply to a request.
    Reply(Route, Message),
}

/// A server of any of the models.
pub struct Server {
    model: Model,
    endpoint: String,
    options: Options,
    malformed: u64,
}

impl Server {
    /// The port that it is bound to, for [`Driver::bound`](crate::Driver::bound).
    pub const PORT: Port = PORT;

    /// A server that binds to an endpoint.
    pub fn new(model: Model, endpoint: impl Into<String>) -> Self {
        Server {
            model,
            endpoint: endpoint.into(),
            options: Options::new(),
            malformed: 0,
        }
    }

    /// With these options of its socket, such as those of security.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Messages that were no requests, dropped.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    fn open(&self, actions: &mut Actions<Request>) {
        let mut options = self.options.clone();
        if let Model::Three(identity) = &self.model {
            options = options.routing_id(identity.clone());
        }
        let spec = Spec::new(SocketType::Router).options(options);
        actions.open(PORT, spec.bind(&self.endpoint));
    }

    /// The request in a message, with the frames that stand before its reply.
    fn parse(&self, mut message: Message) -> Option<Request> {
        let mut route = match self.model {
            Model::Three(_) => vec![message.pop_front()?],
            Model::One | Model::Two => {
                let mut envelope = message.pop_envelope()?;
                envelope.push(Frame::default());
                envelope
            }
        };
        if self.model != Model::One {
            route.push(message.pop_front()?);
        }
        let (route, body) = (Route(route), message);
        Some(Request { route, body })
    }

    fn ping(&self, message: &Message) -> bool {
        matches!(self.model, Model::Three(_)) && message.len() == 2 && *message.body() == *"PING"
    }
}

impl Machine for Server {
    type Command = Command;
    type Output = Request;

    fn handle(&mut self, event: Event<Command>, _: Time, actions: &mut Actions<Request>) {
        match event {
            Event::Start => self.open(actions),
            Event::Message { mut message, .. } if self.ping(&message) => {
                message.pop_back();
                message.push_back("PONG");
                actions.send(PORT, message);
            }
            Event::Message { message, .. } => match self.parse(message) {
                Some(request) => actions.deliver(request),
                None => self.malformed += 1,
            },
            Event::Command(Command::Reply(Route(mut frames), body)) => {
                frames.extend(body.into_frames());
                actions.send(PORT, frames.into_iter().collect::<Message>());
            }
            Event::Stop => actions.end(),
            Event::Unsent { .. } | Event::Link { .. } | Event::Due => {}
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

/// In a Binary Star every message of a client is a vote, also a ping: so a passive server is silent to
/// clients of RFC 10, and they find the active one by themselves.
impl Voter for Server {
    fn is_request(&self, _: Port, _: &Message) -> bool {
        true
    }

    fn is_reply(&self, _: Port, _: &Message) -> bool {
        true
    }
}
