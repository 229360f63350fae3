//! Subscriptions: what a SUB or XSUB tells a PUB or XPUB.
//!
//! ZMTP 3.1 has the commands SUBSCRIBE and CANCEL for them. In all earlier versions a subscription
//! is a message of one frame: an octet, 1 to subscribe and 0 to cancel, then the topic. A peer may
//! use the message form in any version (libzmq's XSUB users do), so a publisher understands both
//! whatever was negotiated: [`Subscription::parse_message`] for messages, [`Command::parse`] for
//! commands.

use crate::{Command, Version};

/// A wish for messages, or its withdrawal. Counted, not a set: two equal subscriptions need two
/// cancellations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription<'a> {
    /// Asks for messages that start with this topic; all start with the empty one.
    Subscribe(&'a [u8]),
    /// Takes one subscription of this topic back.
    Cancel(&'a [u8]),
}

impl<'a> Subscription<'a> {
    /// Reads the message form from a message's only frame; `None` if it is some other message.
    pub fn parse_message(body: &'a [u8]) -> Option<Self> {
        match body.split_first()? {
            (1, topic) => Some(Self::Subscribe(topic)),
            (0, topic) => Some(Self::Cancel(topic)),
            _ => None,
        }
    }

    /// Appends the whole frame, header and body, in the form that `version` has for it.
    pub fn encode(self, version: Version, out: &mut Vec<u8>) {
        if version.has_subscribe_command() {
            return Command::from(self).encode_framed(out);
        }
        let (first, topic) = match self {
            Self::Subscribe(topic) => (1, topic),
            Self::Cancel(topic) => (0, topic),
        };
        version.framing().encode(false, false, 1 + topic.len(), out);
        out.push(first);
        out.extend_from_slice(topic);
    }

    /// The topic.
    pub fn topic(self) -> &'a [u8] {
        match self {
            Self::Subscribe(topic) | Self::Cancel(topic) => topic,
        }
    }
}

impl<'a> From<Subscription<'a>> for Command<'a> {
    fn from(subscription: Subscription<'a>) -> Self {
        match subscription {
            Subscription::Subscribe(topic) => Self::Subscribe(topic),
            Subscription::Cancel(topic) => Self::Cancel(topic),
        }
    }
}
