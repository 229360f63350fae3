//! A message is a number here.

/// The double of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message(pub(crate) u32);
