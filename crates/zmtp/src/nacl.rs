//! The cryptography that CURVE is made of: X25519, XSalsa20 and Poly1305, as NaCl combines them.
//!
//! Everything that knows the crate that does the work is in this file. It is `dryoc`: pure Rust,
//! constant time, with vector code chosen at run time. Measured on one core of a Xeon with AVX-512,
//! `crypto_box` 0.9 (which has no vector code for Salsa20) beside it:
//!
//! ```text
//!                      dryoc 2.0            crypto_box 0.9
//! seal, 64 octets        269 ns                1530 ns
//! open, 64 octets        340 ns                1420 ns
//! seal, 8 KiB           2190 ns (3.7 GB/s)    14800 ns
//! open, 8 KiB           2390 ns               14600 ns
//! agree on a key          25 µs                  38 µs (x25519-dalek 3)
//! public from secret       9 µs                  12 µs (x25519-dalek 3)
//! ```

use core::fmt;

use dryoc::classic::crypto_box::{
    crypto_box_beforenm, crypto_box_detached_afternm_inplace,
    crypto_box_open_detached_afternm_inplace,
};
use dryoc::classic::crypto_core::crypto_scalarmult_base;
use zeroize::Zeroizing;

use crate::key::{PublicKey, SecretKey};

/// How much longer a box is than what is in it.
pub(crate) const TAG: usize = 16;

/// A number used once.
pub(crate) type Nonce = [u8; 24];

/// A key that two sides share: boxes are sealed and opened with it. Wiped when dropped.
pub(crate) struct SharedKey(Zeroizing<[u8; 32]>);

impl SharedKey {
    /// The key that the owner of `secret` shares with the owner of `public` (NaCl's `beforenm`);
    /// `None` if `public` is one of the few that agree on the same with everybody.
    pub(crate) fn agree(public: &PublicKey, secret: &SecretKey) -> Option<Self> {
        let key = crypto_box_beforenm(&public.0, secret.expose()).ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// A key that nobody else has, of 32 random octets.
    pub(crate) fn own(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Seals the end of `out`, from `start` on, in place: there [`TAG`] octets of any value precede
    /// what is to be sealed.
    pub(crate) fn seal(&self, nonce: &Nonce, out: &mut [u8]) {
        let (tag, data) = out
            .split_first_chunk_mut()
            .expect("there is room for the tag");
        crypto_box_detached_afternm_inplace(data, tag, nonce, &self.0);
    }

    /// Opens a box in place; what was in it, or `None` if nobody with this key sealed it so.
    pub(crate) fn open<'a>(&self, nonce: &Nonce, boxed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (tag, data) = boxed.split_first_chunk_mut::<TAG>()?;
        crypto_box_open_detached_afternm_inplace(data, tag, nonce, &self.0).ok()?;
        Some(data)
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// The public half of a key pair.
pub(crate) fn public_of(secret: &SecretKey) -> PublicKey {
    let mut public = [0; 32];
    crypto_scalarmult_base(&mut public, secret.expose());
    PublicKey(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect()
    }

    fn array<const N: usize>(hex: &str) -> [u8; N] {
        octets(hex).try_into().unwrap()
    }

    const ALICE: [&str; 2] = [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ];
    const BOB: [&str; 2] = [
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ];
    const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    const MESSAGE: &str = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705";
    const BOXED: &str = "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5";

    /// The keys of RFC 7748, section 6.1, and the box of NaCl's own tests.
    #[test]
    fn nacls_own_example() {
        let secrets = [ALICE, BOB].map(|[secret, _]| SecretKey::from(array(secret)));
        let publics = [ALICE, BOB].map(|[_, public]| PublicKey(array(public)));
        for (secret, public) in secrets.iter().zip(&publics) {
            assert_eq!(public_of(secret), *public);
        }
        let (message, boxed, nonce) = (octets(MESSAGE), octets(BOXED), array(NONCE));
        let alice = SharedKey::agree(&publics[1], &secrets[0]).unwrap();
        let bob = SharedKey::agree(&publics[0], &secrets[1]).unwrap();
        let mut out = [&[0; TAG][..], &message].concat();
        alice.seal(&nonce, &mut out);
        assert_eq!(out, boxed);
        assert_eq!(bob.open(&nonce, &mut out).unwrap(), message);
        for at in 0..boxed.len() {
            let mut forged = boxed.clone();
            forged[at] ^= 0x10;
            assert!(bob.open(&nonce, &mut forged).is_none(), "octet {at}");
        }
        assert!(bob.open(&nonce, &mut boxed[..TAG - 1].to_vec()).is_none());
    }

    #[test]
    fn keys_that_agree_with_everybody_are_refused() {
        let secret = SecretKey::from(array(ALICE[0]));
        let mut one = PublicKey::default();
        assert!(SharedKey::agree(&one, &secret).is_none());
        one.0[0] = 1;
        assert!(SharedKey::agree(&one, &secret).is_none());
    }
}
