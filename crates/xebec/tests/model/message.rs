//! A message is a number here.

/// The double of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message(pub(crate) u32);

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl Message {
    /// What stands in a slot before a message is put there.
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    /// A number keeps nothing.
    pub(crate) fn shed(&mut self) {}

    /// A number is no subscription.
    pub(crate) fn is_data(&self) -> bool {
        true
    }
}
