//! CURVE (RFC 25, RFC 26): both sides prove that they have their permanent secret keys (c and s),
//! and agree on a key for this connection alone, from pairs made for it (C', c' and S', s').
//!
//! ```text
//! HELLO     version, padding, C', nonce, Box[64 zeros](C'->S)
//! WELCOME   nonce, Box[S', cookie](S->C')             cookie = nonce, SecretBox[C', s'](K)
//! INITIATE  cookie, nonce, Box[C, vouch, properties](C'->S')    vouch = nonce, Box[C', S](C->S')
//! READY     nonce, Box[properties](S'->C')
//! ```
//!
//! Between WELCOME and INITIATE the server remembers K, which opens this cookie alone and for a minute,
//! and forgets it with whatever comes next, or with the connection: the time limit for the handshake is
//! the caller's. HELLO is longer than WELCOME, so nobody gains by sending it in another's name.
//!
//! Every field is checked, also those that libzmq passes over: the padding, the zeros, the order of
//! HELLO's and INITIATE's nonces, and the S in the vouch.

use core::fmt;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Asking, Done, May, Next, Running, expect, put};
use crate::cipher::{Cipher, Direction, FROM_CLIENT, FROM_SERVER, long};
use crate::key::{KEY_LEN, KeyPair, PublicKey, SecretKey};
use crate::nacl::{SharedKey, TAG};
use crate::random::Random;
use crate::{Credentials, HandshakeError, Metadata};

const VERSION: [u8; 2] = [1, 0];
const PADDING: usize = 72;
const ZEROS: usize = 64;
const SHORT: usize = 8;
const LONG: usize = 16;
const COOKIE: usize = LONG + TAG + 2 * KEY_LEN;
/// For how long a cookie is good (RFC 26, "The WELCOME Command").
const COOKIE_LIFE: Duration = Duration::from_secs(60);
const VOUCH: usize = LONG + TAG + 2 * KEY_LEN;

const HELLO: &[u8; 16] = b"CurveZMQHELLO---";
const WELCOME: &[u8; 8] = b"WELCOME-";
const COOKIE_NONCE: &[u8; 8] = b"COOKIE--";
const INITIATE: &[u8; 16] = b"CurveZMQINITIATE";
const VOUCH_NONCE: &[u8; 8] = b"VOUCH---";
const READY: &[u8; 16] = b"CurveZMQREADY---";

/// The short nonces of the client's HELLO and INITIATE and of the server's READY: libzmq's.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

/// Appends the box of `parts` to `out`.
fn seal(key: &SharedKey, nonce: &[u8; 24], parts: &[&[u8]], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; TAG]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    key.seal(nonce, &mut out[start..]);
}

/// What is in a box, wiped when dropped.
fn open(
    key: &SharedKey,
    nonce: &[u8; 24],
    boxed: &[u8],
    command: &'static str,
) -> Result<Zeroizing<Vec<u8>>, HandshakeError> {
    let mut boxed = Zeroizing::new(boxed.to_vec());
    key.open(nonce, &mut boxed)
        .ok_or(HandshakeError::Cryptographic { command })?;
    // Nobody needs the tag any more; what follows it is short.
    boxed.drain(..TAG);
    Ok(boxed)
}

fn agree(
    public: &PublicKey,
    secret: &SecretKey,
    command: &'static str,
) -> Result<SharedKey, HandshakeError> {
    SharedKey::agree(public, secret).ok_or(HandshakeError::Cryptographic { command })
}

fn encoded(metadata: &Metadata) -> Vec<u8> {
    let mut octets = Vec::with_capacity(metadata.encoded_len());
    metadata.encode(&mut octets);
    octets
}

/// Splits a field off the front; what is missing makes the command malformed.
fn take<'a, const N: usize>(
    data: &mut &'a [u8],
    command: &'static str,
) -> Result<&'a [u8; N], HandshakeError> {
    let (field, rest) = data
        .split_first_chunk()
        .ok_or(HandshakeError::Malformed { command })?;
    *data = rest;
    Ok(field)
}

// ---- client ----

/// The client's HELLO is on its way, WELCOME is due.
#[derive(Debug)]
pub(crate) struct AwaitWelcome {
    ready: Metadata,
    keys: KeyPair,
    server_key: PublicKey,
    transient: KeyPair,
    /// Of C' and S.
    hello_key: SharedKey,
}

impl AwaitWelcome {
    pub(super) fn hello(
        ready: Metadata,
        keys: KeyPair,
        server_key: PublicKey,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<Self, HandshakeError> {
        let transient = KeyPair::random(random);
        let hello_key =
            SharedKey::agree(&server_key, &transient.secret).ok_or(HandshakeError::UnusableKey)?;
        let short = FIRST.to_be_bytes();
        let mut data = Vec::with_capacity(194);
        data.extend_from_slice(&VERSION);
        data.extend_from_slice(&[0; PADDING]);
        data.extend_from_slice(&transient.public.0);
        data.extend_from_slice(&short);
        seal(&hello_key, &long(HELLO, &short), &[&[0; ZEROS]], &mut data);
        put("HELLO", &data, out);
        Ok(Self {
            ready,
            keys,
            server_key,
            transient,
            hello_key,
        })
    }

    pub(super) fn command(
        self,
        body: &[u8],
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<Next, HandshakeError> {
        let mut data = expect(body, "WELCOME", May::Refuse)?;
        if data.len() != LONG + TAG + KEY_LEN + COOKIE {
            return Err(HandshakeError::Malformed { command: "WELCOME" });
        }
        let nonce = take::<LONG>(&mut data, "WELCOME")?;
        let opened = open(&self.hello_key, &long(WELCOME, nonce), data, "WELCOME")?;
        let mut opened = &opened[..];
        let server = PublicKey(*take(&mut opened, "WELCOME")?);
        let cookie: &[u8; COOKIE] = take(&mut opened, "WELCOME")?;

        let key = agree(&server, &self.transient.secret, "WELCOME")?;
        let vouch_key = agree(&server, &self.keys.secret, "WELCOME")?;
        let vouch_nonce: [u8; LONG] = random.octets();
        let mut vouch = vouch_nonce.to_vec();
        let vouched = [&self.transient.public.0[..], &self.server_key.0];
        let nonce = long(VOUCH_NONCE, &vouch_nonce);
        seal(&vouch_key, &nonce, &vouched, &mut vouch);

        let short = SECOND.to_be_bytes();
        let mut initiate = cookie.to_vec();
        initiate.extend_from_slice(&short);
        let properties = encoded(&self.ready);
        let sealed = [&self.keys.public.0[..], &vouch, &properties];
        seal(&key, &long(INITIATE, &short), &sealed, &mut initiate);
        put("INITIATE", &initiate, out);
        Ok(Next::Await(Running::CurveClientReady(AwaitReady { key })))
    }
}

/// The client's INITIATE is on its way, READY is due.
#[derive(Debug)]
pub(crate) struct AwaitReady {
    /// Of C' and S'.
    key: SharedKey,
}

impl AwaitReady {
    pub(super) fn command(self, body: &[u8]) -> Result<Next, HandshakeError> {
        let mut data = expect(body, "READY", May::Refuse)?;
        let short = take::<SHORT>(&mut data, "READY")?;
        if data.len() < TAG {
            return Err(HandshakeError::Malformed { command: "READY" });
        }
        let opened = open(&self.key, &long(READY, short), data, "READY")?;
        let metadata = Metadata::parse(&opened)?;
        let sending = Direction {
            prefix: FROM_CLIENT,
            last: SECOND,
        };
        let receiving = Direction {
            prefix: FROM_SERVER,
            last: u64::from_be_bytes(*short),
        };
        Ok(Next::Done(Done {
            metadata,
            last: Vec::new(),
            cipher: Some(Cipher::new(self.key, sending, receiving)),
        }))
    }
}

// ---- server ----

/// The server waits for HELLO.
#[derive(Debug)]
pub(crate) struct AwaitHello {
    pub(super) ready: Metadata,
    pub(super) keys: KeyPair,
    pub(super) authenticate: bool,
}

impl AwaitHello {
    pub(super) fn command(
        self,
        body: &[u8],
        now: Option<Instant>,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<Next, HandshakeError> {
        const MALFORMED: HandshakeError = HandshakeError::Malformed { command: "HELLO" };
        let mut data = expect(body, "HELLO", May::NotRefuse)?;
        let version: &[u8; 2] = take(&mut data, "HELLO")?;
        let padding: &[u8; PADDING] = take(&mut data, "HELLO")?;
        let client = PublicKey(*take(&mut data, "HELLO")?);
        let short: &[u8; SHORT] = take(&mut data, "HELLO")?;
        if *version != VERSION || *padding != [0; PADDING] || data.len() != TAG + ZEROS {
            return Err(MALFORMED);
        }
        let hello_key = agree(&client, &self.keys.secret, "HELLO")?;
        let zeros = open(&hello_key, &long(HELLO, short), data, "HELLO")?;
        if zeros[..] != [0; ZEROS] {
            return Err(MALFORMED);
        }

        let transient = KeyPair::random(random);
        let cookie_key = SharedKey::own(random.octets());
        let cookie_nonce: [u8; LONG] = random.octets();
        let mut cookie = cookie_nonce.to_vec();
        let remembered = [&client.0[..], transient.secret.expose()];
        let nonce = long(COOKIE_NONCE, &cookie_nonce);
        // Room for all of it first: no copy of s' is left behind when the vector grows.
        cookie.reserve_exact(COOKIE);
        seal(&cookie_key, &nonce, &remembered, &mut cookie);

        let welcome_nonce: [u8; LONG] = random.octets();
        let mut welcome = welcome_nonce.to_vec();
        let nonce = long(WELCOME, &welcome_nonce);
        let sealed = [&transient.public.0[..], &cookie];
        seal(&hello_key, &nonce, &sealed, &mut welcome);
        put("WELCOME", &welcome, out);
        Ok(Next::Await(Running::CurveServerInitiate(AwaitInitiate {
            ready: self.ready,
            keys: self.keys,
            authenticate: self.authenticate,
            cookie_key,
            made: now,
            hello_nonce: u64::from_be_bytes(*short),
        })))
    }
}

/// The server has forgotten s', which comes back in INITIATE with the cookie.
#[derive(Debug)]
pub(crate) struct AwaitInitiate {
    ready: Metadata,
    keys: KeyPair,
    authenticate: bool,
    cookie_key: SharedKey,
    /// When the cookie was, by the caller's clock.
    made: Option<Instant>,
    hello_nonce: u64,
}

impl AwaitInitiate {
    pub(super) fn command(self, body: &[u8], now: Option<Instant>) -> Result<Next, HandshakeError> {
        let mut data = expect(body, "INITIATE", May::NotRefuse)?;
        let age = now
            .zip(self.made)
            .map(|(now, made)| now.duration_since(made));
        if age.is_some_and(|age| age > COOKIE_LIFE) {
            return Err(HandshakeError::StaleCookie);
        }
        if data.len() < COOKIE + SHORT + TAG + KEY_LEN + VOUCH {
            return Err(HandshakeError::Malformed {
                command: "INITIATE",
            });
        }
        let cookie_nonce: &[u8; LONG] = take(&mut data, "INITIATE")?;
        let cookie: &[u8; COOKIE - LONG] = take(&mut data, "INITIATE")?;
        let short: &[u8; SHORT] = take(&mut data, "INITIATE")?;
        let nonce = long(COOKIE_NONCE, cookie_nonce);
        let cookie = open(&self.cookie_key, &nonce, cookie, "INITIATE")?;
        let mut cookie = &cookie[..];
        let client_transient = PublicKey(*take(&mut cookie, "INITIATE")?);
        let transient = SecretKey::from(*take::<KEY_LEN>(&mut cookie, "INITIATE")?);

        let mut receiving = Direction {
            prefix: INITIATE,
            last: self.hello_nonce,
        };
        let nonce = receiving
            .accept(*short)
            .ok_or(HandshakeError::InvalidSequence)?;
        let key = agree(&client_transient, &transient, "INITIATE")?;
        let opened = open(&key, &nonce, data, "INITIATE")?;
        let mut opened = &opened[..];
        let client = PublicKey(*take(&mut opened, "INITIATE")?);
        let vouch_nonce: &[u8; LONG] = take(&mut opened, "INITIATE")?;
        let vouch: &[u8; VOUCH - LONG] = take(&mut opened, "INITIATE")?;

        let vouch_key = agree(&client, &transient, "INITIATE")?;
        let vouch = open(
            &vouch_key,
            &long(VOUCH_NONCE, vouch_nonce),
            vouch,
            "INITIATE",
        )?;
        let expected = [client_transient.0, self.keys.public.0].concat();
        if !bool::from(vouch.ct_eq(&expected)) {
            return Err(HandshakeError::KeyExchange);
        }
        let accepted = Unjudged {
            metadata: Metadata::parse(opened)?,
            ready: self.ready,
            key,
            received: receiving.last,
        };
        Ok(if self.authenticate {
            let credentials = Credentials::Curve { public_key: client };
            Next::Ask(credentials, Asking::Curve(accepted))
        } else {
            accepted.allowed()
        })
    }
}

/// The client has its secret key; whether it may come in is for others to say.
pub(crate) struct Unjudged {
    metadata: Metadata,
    ready: Metadata,
    key: SharedKey,
    received: u64,
}

impl Unjudged {
    pub(super) fn allowed(self) -> Next {
        let mut sending = Direction {
            prefix: READY,
            last: 0,
        };
        let (short, nonce) = sending.next();
        let mut ready = short.to_vec();
        seal(&self.key, &nonce, &[&encoded(&self.ready)], &mut ready);
        let mut last = Vec::new();
        put("READY", &ready, &mut last);
        sending.prefix = FROM_SERVER;
        let receiving = Direction {
            prefix: FROM_CLIENT,
            last: self.received,
        };
        Next::Done(Done {
            metadata: self.metadata,
            last,
            cipher: Some(Cipher::new(self.key, sending, receiving)),
        })
    }
}

impl fmt::Debug for Unjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unjudged")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Framing;

    /// A client with its HELLO, and the server that waits for it.
    fn sides() -> (AwaitWelcome, Vec<u8>, AwaitHello) {
        let keys = KeyPair::generate();
        let (server_key, mut hello) = (keys.public, Vec::new());
        let client = AwaitWelcome::hello(
            Metadata::new(),
            KeyPair::generate(),
            server_key,
            &mut Random::System,
            &mut hello,
        );
        let server = AwaitHello {
            ready: Metadata::new(),
            keys,
            authenticate: false,
        };
        (client.unwrap(), body(&hello), server)
    }

    fn body(frame: &[u8]) -> Vec<u8> {
        let header = Framing::V2.decode(frame).unwrap().unwrap();
        frame[header.header_len..].to_vec()
    }

    /// The server's answer to HELLO, and its next state.
    fn welcome(
        server: AwaitHello,
        hello: &[u8],
    ) -> Result<(AwaitInitiate, Vec<u8>), HandshakeError> {
        let mut out = Vec::new();
        match server.command(hello, None, &mut Random::System, &mut out)? {
            Next::Await(Running::CurveServerInitiate(state)) => Ok((state, body(&out))),
            _ => panic!("INITIATE is due"),
        }
    }

    fn initiate(client: AwaitWelcome, welcome: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        client
            .command(welcome, &mut Random::System, &mut out)
            .map(|_| ())
            .unwrap();
        body(&out)
    }

    #[test]
    fn nobody_gains_by_a_hello_in_anothers_name() {
        let (client, hello, server) = sides();
        let (server, welcome) = welcome(server, &hello).unwrap();
        assert_eq!((hello.len(), welcome.len()), (200, 168));
        let initiate = initiate(client, &welcome);
        assert_eq!(initiate.len(), 257);
        assert!(server.command(&initiate, None).is_ok());
    }

    #[test]
    fn hello_holds_zeros() {
        let (client, mut hello, server) = sides();
        let boxed = hello.len() - TAG - ZEROS;
        hello[boxed + TAG..].fill(0);
        hello[boxed + TAG + 9] = 1;
        let nonce = long(HELLO, &FIRST.to_be_bytes());
        client.hello_key.seal(&nonce, &mut hello[boxed..]);
        let error = welcome(server, &hello).map(|_| ()).unwrap_err();
        assert_eq!(error, HandshakeError::Malformed { command: "HELLO" });
    }

    #[test]
    fn a_vouch_for_another_server() {
        let (mut client, hello, server) = sides();
        let (server, welcome) = welcome(server, &hello).unwrap();
        client.server_key = KeyPair::generate().public;
        let error = server
            .command(&initiate(client, &welcome), None)
            .map(|_| ());
        assert_eq!(error, Err(HandshakeError::KeyExchange));
    }

    #[test]
    fn a_vouch_for_another_connection() {
        let (mut client, hello, server) = sides();
        let (server, welcome) = welcome(server, &hello).unwrap();
        client.transient.public = KeyPair::generate().public;
        let error = server
            .command(&initiate(client, &welcome), None)
            .map(|_| ());
        assert_eq!(error, Err(HandshakeError::KeyExchange));
    }

    #[test]
    fn initiate_comes_after_hello() {
        let (client, hello, server) = sides();
        let (mut server, welcome) = welcome(server, &hello).unwrap();
        server.hello_nonce = SECOND;
        let error = server
            .command(&initiate(client, &welcome), None)
            .map(|_| ());
        assert_eq!(error, Err(HandshakeError::InvalidSequence));
    }

    /// The cookie of one connection opens no other.
    #[test]
    fn a_cookie_of_another_connection() {
        let (client, hello, server) = sides();
        let again = AwaitHello {
            ready: Metadata::new(),
            keys: server.keys.clone(),
            authenticate: false,
        };
        let (_, first) = welcome(server, &hello).unwrap();
        let (second, _) = welcome(again, &hello).unwrap();
        let error = second.command(&initiate(client, &first), None).map(|_| ());
        assert_eq!(
            error,
            Err(HandshakeError::Cryptographic {
                command: "INITIATE"
            })
        );
    }
}
