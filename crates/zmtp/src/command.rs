//! Commands: what ZMTP 3.x peers tell each other beside messages.
//!
//! A command is a single frame whose body is a name with its length in front, then data. The
//! commands of RFC 23 and RFC 37 are variants of [`Command`]; those of mechanisms, and any that a
//! later protocol brings, come out as [`Command::Other`].
//!
//! Apart from READY, whose properties are copied, a command borrows from the frame it came in.

use core::fmt;

use crate::{Framing, Metadata, MetadataError};

/// The longest context of a PING or PONG, in octets (RFC 37, "Connection Heartbeating").
pub const MAX_PING_CONTEXT: usize = 16;

/// The longest name of a group, in octets (RFC 37, "The Radio-Dish Pattern").
pub const MAX_GROUP: usize = 255;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Ends the handshake with the sender's properties.
    Ready(Metadata),
    /// Ends the handshake: the sender refuses the connection.
    Error {
        /// A text for the log of up to 255 octets; a ZAP status code if authentication failed.
        reason: &'a [u8],
    },
    /// Asks for messages that start with this topic.
    Subscribe(&'a [u8]),
    /// Takes one subscription of this topic back.
    Cancel(&'a [u8]),
    /// Asks for a PONG.
    Ping {
        /// After so many tenths of a second without traffic the receiver may take the sender for
        /// dead; zero gives no hint.
        ttl_deciseconds: u16,
        /// Octets for the PONG to repeat, at most [`MAX_PING_CONTEXT`].
        context: &'a [u8],
    },
    /// Answers a PING.
    Pong {
        /// The context of the PING.
        context: &'a [u8],
    },
    /// Asks a RADIO for the messages of a group.
    Join(&'a [u8]),
    /// Takes JOIN back.
    Leave(&'a [u8]),
    /// A command this crate gives no meaning to.
    Other {
        /// 1 to 255 letters.
        name: &'a [u8],
        /// The rest of the body.
        data: &'a [u8],
    },
}

/// A command that no peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The body ends within its name, or within a field of its data.
    Truncated,
    /// The name is empty or has characters other than letters.
    InvalidName,
    /// The context of a PONG exceeds [`MAX_PING_CONTEXT`].
    ContextTooLong(usize),
    /// The group exceeds [`MAX_GROUP`].
    GroupTooLong(usize),
    /// The properties in READY are malformed.
    Metadata(MetadataError),
}

impl<'a> Command<'a> {
    /// Reads a command from the body of its frame.
    ///
    /// # Errors
    /// The body does not follow the grammar of its command.
    pub fn parse(body: &'a [u8]) -> Result<Self, CommandError> {
        let (name, data) = split_name(body)?;
        Ok(match name {
            b"SUBSCRIBE" => Self::Subscribe(data),
            b"CANCEL" => Self::Cancel(data),
            b"PING" => {
                let (ttl, context) = data.split_first_chunk().ok_or(CommandError::Truncated)?;
                Self::Ping {
                    ttl_deciseconds: u16::from_be_bytes(*ttl),
                    // RFC 37 limits it; libzmq, which sends what the application likes, answers with as
                    // much of it as the limit allows.
                    context: cut(context, MAX_PING_CONTEXT),
                }
            }
            b"PONG" => Self::Pong {
                context: checked_context(data)?,
            },
            b"READY" => Self::Ready(Metadata::parse(data)?),
            b"ERROR" => Self::Error {
                reason: split_reason(data)?,
            },
            b"JOIN" => Self::Join(checked_group(data)?),
            b"LEAVE" => Self::Leave(checked_group(data)?),
            _ if name.iter().all(u8::is_ascii_alphabetic) => Self::Other { name, data },
            _ => return Err(CommandError::InvalidName),
        })
    }

    /// The name on the wire, such as `b"READY"`.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Ready(_) => b"READY",
            Self::Error { .. } => b"ERROR",
            Self::Subscribe(_) => b"SUBSCRIBE",
            Self::Cancel(_) => b"CANCEL",
            Self::Ping { .. } => b"PING",
            Self::Pong { .. } => b"PONG",
            Self::Join(_) => b"JOIN",
            Self::Leave(_) => b"LEAVE",
            Self::Other { name, .. } => cut(name, 255),
        }
    }

    /// Appends the command's body, without a frame header, to `out`.
    ///
    /// A reason, context or name beyond its limit is cut to it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = self.name();
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        match self {
            Self::Ready(metadata) => metadata.encode(out),
            Self::Error { reason } => {
                let reason = cut(reason, 255);
                out.push(reason.len() as u8);
                out.extend_from_slice(reason);
            }
            Self::Ping {
                ttl_deciseconds,
                context,
            } => {
                out.extend_from_slice(&ttl_deciseconds.to_be_bytes());
                out.extend_from_slice(cut(context, MAX_PING_CONTEXT));
            }
            Self::Pong { context } => out.extend_from_slice(cut(context, MAX_PING_CONTEXT)),
            Self::Subscribe(data) | Self::Cancel(data) | Self::Join(data) | Self::Leave(data) => {
                out.extend_from_slice(data);
            }
            Self::Other { data, .. } => out.extend_from_slice(data),
        }
    }

    /// Appends the whole command frame, header and body, to `out`.
    pub fn encode_framed(&self, out: &mut Vec<u8>) {
        Framing::V2.encode(false, true, self.encoded_len(), out);
        self.encode(out);
    }

    /// How many octets [`Command::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        let data = match self {
            Self::Ready(metadata) => metadata.encoded_len(),
            Self::Error { reason } => 1 + cut(reason, 255).len(),
            Self::Ping { context, .. } => 2 + cut(context, MAX_PING_CONTEXT).len(),
            Self::Pong { context } => cut(context, MAX_PING_CONTEXT).len(),
            Self::Subscribe(data) | Self::Cancel(data) | Self::Join(data) | Self::Leave(data) => {
                data.len()
            }
            Self::Other { data, .. } => data.len(),
        };
        1 + self.name().len() + data
    }
}

/// A command body's name and data. Mechanisms whose READY is encrypted need this without the rest.
pub(crate) fn split_name(body: &[u8]) -> Result<(&[u8], &[u8]), CommandError> {
    let (&len, rest) = body.split_first().ok_or(CommandError::Truncated)?;
    if len == 0 {
        return Err(CommandError::InvalidName);
    }
    rest.split_at_checked(usize::from(len))
        .ok_or(CommandError::Truncated)
}

/// The reason in the data of ERROR. What follows it is ignored, as libzmq does.
pub(crate) fn split_reason(data: &[u8]) -> Result<&[u8], CommandError> {
    let (reason, _) = split_brief(data).ok_or(CommandError::Truncated)?;
    Ok(reason)
}

/// A text with its length in one octet in front, and what follows it.
pub(crate) fn split_brief(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(len))
}

fn checked_context(context: &[u8]) -> Result<&[u8], CommandError> {
    match context.len() {
        0..=MAX_PING_CONTEXT => Ok(context),
        len => Err(CommandError::ContextTooLong(len)),
    }
}

fn checked_group(group: &[u8]) -> Result<&[u8], CommandError> {
    match group.len() {
        0..=MAX_GROUP => Ok(group),
        len => Err(CommandError::GroupTooLong(len)),
    }
}

fn cut(octets: &[u8], limit: usize) -> &[u8] {
    &octets[..octets.len().min(limit)]
}

impl From<MetadataError> for CommandError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a command ends before its last field does"),
            Self::InvalidName => f.write_str("a command's name is not 1 to 255 letters"),
            Self::ContextTooLong(len) => {
                write!(
                    f,
                    "a heartbeat context of {len} octets exceeds the limit of {MAX_PING_CONTEXT}"
                )
            }
            Self::GroupTooLong(len) => {
                write!(
                    f,
                    "a group name of {len} octets exceeds the limit of {MAX_GROUP}"
                )
            }
            Self::Metadata(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommandError {}
