//! Keys for CURVE, as text and as bytes (RFC 26, RFC 32).

pub(crate) struct Nothing;
