//! Keys of CURVE (RFC 26): pairs of 32 octets each, written in Z85 as 40 characters.

use core::fmt;
use core::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::nacl;
use crate::random::Random;
use crate::z85::{self, Z85Error};

/// Octets of a key.
pub const KEY_LEN: usize = 32;

/// Characters of a key in Z85.
pub const KEY_TEXT_LEN: usize = 40;

/// A public key. It prints as Z85, and is read from Z85.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; KEY_LEN]);

/// A secret key: wiped when dropped, never printed, compared in constant time. The default, all zeros,
/// is a key that everybody has.
#[derive(Clone, Default)]
pub struct SecretKey(Zeroizing<[u8; KEY_LEN]>);

/// A public key and the secret key that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The half to give away.
    pub public: PublicKey,
    /// The half to keep.
    pub secret: SecretKey,
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It does not have 40 characters, but so many octets.
    Length(usize),
    /// It is not Z85.
    Text(Z85Error),
}

impl PublicKey {
    /// The key in Z85.
    pub fn to_z85(&self) -> String {
        z85::encode(&self.0).expect("32 is a multiple of 4")
    }
}

impl SecretKey {
    /// The key's octets.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The key in Z85, wiped when dropped.
    pub fn to_z85(&self) -> Zeroizing<String> {
        Zeroizing::new(z85::encode(&*self.0).expect("32 is a multiple of 4"))
    }
}

impl KeyPair {
    /// A new pair, from the system's random numbers.
    ///
    /// # Panics
    /// The system has none to give.
    pub fn generate() -> Self {
        Self::random(&mut Random::System)
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        let mut secret = SecretKey(Zeroizing::default());
        random.fill(&mut *secret.0);
        Self::from(secret)
    }
}

impl From<SecretKey> for KeyPair {
    /// Computes the public half, which takes some ten microseconds.
    fn from(secret: SecretKey) -> Self {
        Self {
            public: nacl::public_of(&secret),
            secret,
        }
    }
}

impl From<[u8; KEY_LEN]> for SecretKey {
    fn from(octets: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(*parse(text)?))
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(parse(text)?))
    }
}

fn parse(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    if text.len() != KEY_TEXT_LEN {
        return Err(KeyError::Length(text.len()));
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    z85::decode_to(text.as_bytes(), &mut *key).map_err(KeyError::Text)?;
    Ok(key)
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_z85())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(
                f,
                "a key has {KEY_TEXT_LEN} characters of Z85, and this text {len}"
            ),
            Self::Text(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyError {}
