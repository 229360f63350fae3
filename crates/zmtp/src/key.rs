//! Keys of CURVE (RFC 26).

/// A public key: 32 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);
