//! Two rings in memory, one for each direction, each of one producer and one consumer that spin.

use std::hint;

use bytes::Bytes;
use rtrb::{Consumer, Producer, RingBuffer};

/// Messages that a ring has room for: the sum of libzmq's two high-water marks.
const ROOM: usize = 2048;

/// The longest body that is copied into the ring.
const INLINE: usize = 64;

/// A message in a ring.
enum Slot {
    Inline(u8, [u8; INLINE]),
    Shared(Bytes),
}

impl Slot {
    #[inline]
    fn body(&self) -> &[u8] {
        match self {
            Slot::Inline(length, body) => &body[..usize::from(*length)],
            Slot::Shared(body) => body,
        }
    }
}

/// One end of both.
pub(super) struct End {
    to: Producer<Slot>,
    from: Consumer<Slot>,
    /// What was received last.
    last: Option<Slot>,
}

pub(super) fn pair() -> [End; 2] {
    let (there, here) = (RingBuffer::new(ROOM), RingBuffer::new(ROOM));
    let end = |(to, from)| End {
        to,
        from,
        last: None,
    };
    [end((there.0, here.1)), end((here.0, there.1))]
}

impl End {
    #[inline]
    pub(super) fn send(&mut self, body: &Bytes) {
        let slot = if body.len() <= INLINE {
            let mut inline = [0; INLINE];
            inline[..body.len()].copy_from_slice(body);
            Slot::Inline(body.len() as u8, inline)
        } else {
            Slot::Shared(body.clone())
        };
        self.push(slot);
    }

    #[inline]
    pub(super) fn recv(&mut self, size: usize) {
        let slot = loop {
            match self.from.pop() {
                Ok(slot) => break slot,
                Err(_) => hint::spin_loop(),
            }
        };
        assert_eq!(slot.body().len(), size, "a message of another size");
        self.last = Some(slot);
    }

    /// Sends what was received last.
    pub(super) fn send_back(&mut self) {
        let slot = self.last.take().expect("something was received");
        self.push(slot);
    }

    #[inline]
    fn push(&mut self, mut slot: Slot) {
        while let Err(rtrb::PushError::Full(back)) = self.to.push(slot) {
            slot = back;
            hint::spin_loop();
        }
    }
}
