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

    /// Odd ones pass as messages.
    pub(crate) fn is_bare(&self) -> bool {
        self.0.is_multiple_of(2)
    }

    pub(crate) fn take_first(&mut self) -> Frame {
        Frame(self.0)
    }

    pub(crate) fn put_bare(&mut self, frame: Frame) {
        self.0 = frame.0;
    }

    pub(crate) fn put(&mut self, message: Message) {
        *self = message;
    }
}

/// The double of the only frame of a message.
pub(crate) struct Frame(u32);
