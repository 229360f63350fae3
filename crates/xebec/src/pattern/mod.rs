//! The messaging patterns: one file for each socket type (or pair of mirrored types) over a few small
//! policies; the types that are others for messages of one frame share `single`.
//!
//! A pattern sees pipes and messages. It never sees a descriptor, a byte on the wire or a
//! thread: whatever it is asked happens under its socket's lock, and it answers at once.

mod dealer;
mod dish;
mod pair;
mod pipeline;
mod policy;
mod publish;
mod radio;
mod rep;
mod req;
mod router;
mod server;
mod single;
mod stream;
mod subscribe;

use bytes::Bytes;
use zmtp::SocketType;

use self::single::Single;
use crate::error::{GroupError, RecvError, SendErrorKind};
use crate::message::{Frame, Message};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// What a socket type does with its pipes.
pub(crate) trait Pattern: Send {
    /// A pipe joins: it can take messages, though perhaps only into its queue.
    fn attach(&mut self, pipes: &mut Pipes, id: PipeId);

    /// A pipe leaves for good; everything received from it has been taken.
    fn detach(&mut self, pipes: &mut Pipes, id: PipeId);

    /// An attached pipe has a peer at its other end, for the first time or again.
    fn connected(&mut self, _pipes: &mut Pipes, _id: PipeId) {}

    /// An attached pipe lost its peer. Unless it is detached too, it waits for it to come back.
    fn disconnected(&mut self, _pipes: &mut Pipes, _id: PipeId) {}

    /// The pipe may have something to receive.
    fn readable(&mut self, id: PipeId);

    /// The pipe may take messages again.
    fn writable(&mut self, id: PipeId);

    /// Sends a message, of which nothing is to be expected afterwards, or says why not and leaves
    /// it as it was. By reference, here and in [`recv`](Self::recv): a message is 112 bytes, and was moved
    /// half a dozen times on its way (a receive of 64 bytes took 95 ns that way, and 48 this way).
    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind>;

    /// Whether a message that begins with `first` would be taken at once: for who has its frames one
    /// by one.
    fn admits(&mut self, pipes: &mut Pipes, _first: &Frame) -> Result<(), SendErrorKind> {
        match self.can_send(pipes) {
            true => Ok(()),
            false => Err(SendErrorKind::WouldBlock),
        }
    }

    /// Whether a message to the peer with this routing id would be taken at once; `None` if there is no
    /// such peer, or the type does not know peers by name.
    fn has_room_for(&mut self, _pipes: &mut Pipes, _routing_id: &[u8]) -> Option<bool> {
        None
    }

    /// The routing id of the peer that joined last, for a type that tells it as its own ROUTING_ID.
    fn latest_id(&self) -> Option<Bytes> {
        None
    }

    /// The number of a pipe's peer, for a type that numbers them.
    fn number(&self, _id: PipeId) -> Option<u32> {
        None
    }

    /// Lets go of the peer with this number. False if there is none.
    fn expel(&mut self, _pipes: &mut Pipes, _number: u32) -> bool {
        false
    }

    /// The application wants messages of this group, or no longer.
    fn join(&mut self, _: &mut Pipes, _group: &[u8], _on: bool) -> Result<(), GroupError> {
        Err(GroupError::WrongSocket)
    }

    /// Puts the next message for the application into `slot`. False if there is none; then nothing
    /// is to be expected of what is there.
    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError>;

    /// Whether a send would be accepted at once.
    fn can_send(&mut self, pipes: &mut Pipes) -> bool;

    /// Whether a receive would deliver at once.
    fn can_recv(&mut self, pipes: &mut Pipes) -> bool;

    /// Whether messages are to be handed to [`inbound`](Self::inbound) as they arrive, whatever
    /// the application is doing.
    fn consumes(&self) -> bool {
        false
    }

    /// A message arrived, for patterns that [consume](Self::consumes).
    fn inbound(&mut self, _pipes: &mut Pipes, _id: PipeId, _message: &mut Message) {}

    /// The application asks for (or no longer for) messages with this prefix. False if the type
    /// has no subscriptions.
    fn subscribe(&mut self, _pipes: &mut Pipes, _topic: &[u8], _on: bool) -> bool {
        false
    }

    /// Subscriptions, or groups, known to this socket.
    fn topics(&self) -> Option<usize> {
        None
    }

    /// An option changed.
    fn configure(&mut self, _options: &Options) {}
}

/// The pattern of a socket type; `None` for the types that are still to come.
pub(crate) fn of(kind: SocketType, options: &Options) -> Option<Box<dyn Pattern>> {
    let mut pattern: Box<dyn Pattern> = match kind {
        SocketType::Pair => Box::new(pair::Pair::default()),
        SocketType::Pub => Box::new(publish::Publisher::new(false)),
        SocketType::Xpub => Box::new(publish::Publisher::new(true)),
        SocketType::Sub => Box::new(subscribe::Subscriber::new(false)),
        SocketType::Xsub => Box::new(subscribe::Subscriber::new(true)),
        SocketType::Req => Box::new(req::Req::new()),
        SocketType::Rep => Box::new(rep::Rep::default()),
        SocketType::Dealer => Box::new(dealer::Dealer::default()),
        SocketType::Router => Box::new(router::Router::new()),
        SocketType::Pull => Box::new(pipeline::Pull::default()),
        SocketType::Push => Box::new(pipeline::Push::default()),
        SocketType::Stream => Box::new(stream::StreamPattern::new()),
        SocketType::Client => Box::new(Single::new(dealer::Dealer::default())),
        SocketType::Server | SocketType::Peer => Box::new(Single::new(server::Server::new())),
        SocketType::Scatter => Box::new(Single::new(pipeline::Push::default())),
        SocketType::Gather => Box::new(Single::new(pipeline::Pull::default())),
        SocketType::Channel => Box::new(Single::new(pair::Pair::default())),
        SocketType::Radio => Box::new(radio::Radio::default()),
        SocketType::Dish => Box::new(dish::Dish::default()),
        SocketType::Dgram => return None,
    };
    pattern.configure(options);
    Some(pattern)
}

/// What an option gives to say; empty stands for nothing.
fn word(option: &Bytes) -> Option<Message> {
    (!option.is_empty()).then(|| Frame::from(option.clone()).into())
}
