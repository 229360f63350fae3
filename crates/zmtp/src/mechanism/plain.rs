//! PLAIN (RFC 24): the client tells a name and a password, the server lets it in or does not.
//!
//! Nothing is encrypted. INITIATE and READY carry the properties that NULL has in its READY.

use super::{Asking, Done, May, Next, Running, expect, put, refusal};
use crate::command::split_brief;
use crate::secret::Secret;
use crate::{Command, Credentials, HandshakeError, Metadata};

/// Appends HELLO with the client's name and password, of which neither exceeds 255 octets.
pub(super) fn hello(username: &[u8], password: &Secret, out: &mut Vec<u8>) {
    let mut data = Vec::with_capacity(2 + username.len() + password.expose().len());
    for text in [username, password.expose()] {
        data.push(text.len() as u8);
        data.extend_from_slice(text);
    }
    let data = Secret::from(data);
    put("HELLO", data.expose(), out);
}

/// How libzmq's PLAIN server begins ERROR. Its source has the length and the name in one string, of
/// which C takes the first letter for a digit of the length. (Its client takes nothing else for an
/// ERROR; what this side sends is the RFC's all the same.)
const LIBZMQ_ERROR: &[u8] = b"\x5eRROR";

/// The data of the command `name` from the server, unless it refuses the client.
fn from_server<'a>(body: &'a [u8], name: &str) -> Result<&'a [u8], HandshakeError> {
    match body.strip_prefix(LIBZMQ_ERROR) {
        Some(data) => Err(refusal(data)),
        None => expect(body, name, May::Refuse),
    }
}

/// The client's HELLO is on its way, WELCOME is due.
#[derive(Debug)]
pub(crate) struct AwaitWelcome {
    pub(super) ready: Metadata,
}

impl AwaitWelcome {
    pub(super) fn command(self, body: &[u8], out: &mut Vec<u8>) -> Result<Next, HandshakeError> {
        if !from_server(body, "WELCOME")?.is_empty() {
            return Err(HandshakeError::Malformed { command: "WELCOME" });
        }
        let mut properties = Vec::new();
        self.ready.encode(&mut properties);
        put("INITIATE", &properties, out);
        Ok(Next::Await(Running::PlainClientReady(AwaitReady)))
    }
}

/// The client's INITIATE is on its way, READY is due.
#[derive(Debug)]
pub(crate) struct AwaitReady;

impl AwaitReady {
    pub(super) fn command(self, body: &[u8]) -> Result<Next, HandshakeError> {
        let data = from_server(body, "READY")?;
        Ok(Next::Done(Done {
            metadata: Metadata::parse(data)?,
            last: Vec::new(),
            cipher: None,
        }))
    }
}

/// The server waits for HELLO.
#[derive(Debug)]
pub(crate) struct AwaitHello {
    pub(super) ready: Metadata,
}

impl AwaitHello {
    pub(super) fn command(self, body: &[u8]) -> Result<Next, HandshakeError> {
        let data = expect(body, "HELLO", May::NotRefuse)?;
        let (username, password) =
            login(data).ok_or(HandshakeError::Malformed { command: "HELLO" })?;
        let credentials = Credentials::Plain {
            username: username.to_vec(),
            password: Secret::from(password.to_vec()),
        };
        let unjudged = Unjudged { ready: self.ready };
        Ok(Next::Ask(credentials, Asking::Plain(unjudged)))
    }
}

/// The name and the password that fill `data`.
fn login(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (username, data) = split_brief(data)?;
    let (password, data) = split_brief(data)?;
    data.is_empty().then_some((username, password))
}

/// The client's name and password are with the authenticator.
#[derive(Debug)]
pub(crate) struct Unjudged {
    ready: Metadata,
}

impl Unjudged {
    pub(super) fn allowed(self, out: &mut Vec<u8>) -> Next {
        put("WELCOME", &[], out);
        Next::Await(Running::PlainServerInitiate(AwaitInitiate {
            ready: self.ready,
        }))
    }
}

/// The client is welcome, INITIATE is due.
#[derive(Debug)]
pub(crate) struct AwaitInitiate {
    ready: Metadata,
}

impl AwaitInitiate {
    pub(super) fn command(self, body: &[u8]) -> Result<Next, HandshakeError> {
        let metadata = Metadata::parse(expect(body, "INITIATE", May::NotRefuse)?)?;
        let mut last = Vec::new();
        Command::Ready(self.ready).encode_framed(&mut last);
        Ok(Next::Done(Done {
            metadata,
            last,
            cipher: None,
        }))
    }
}
