//! What a library must offer to be measured.
//!
//! Sockets are told to do things in bulk: the loop over messages is the library's own, written
//! as its users would write it, and costs no dynamic call per message. Whatever goes wrong
//! panics: it ends the child, and the row says so.
//!
//! A message of up to [`COPIED`] bytes is sent from a slice, as most programs do; a larger one
//! from a shared buffer where the library has such a thing. Every receiver checks every size.

use bytes::Bytes;

use crate::{asynchronous, libzmq, native};

/// The longest body that is copied from the caller's slice.
pub(crate) const COPIED: usize = 8 << 10;

/// Everything that is measured; the first is what the others are compared with.
pub(crate) const ALL: &[&dyn Library] = &[&libzmq::Libzmq, &native::Native, &asynchronous::Tokio];

/// A library with its recommended settings.
pub(crate) trait Library: Sync {
    /// The name: on the command line of a child, and at the head of a column.
    fn name(&self) -> &'static str;

    /// Its version, and how it is used.
    fn about(&self) -> String;

    /// Why it cannot be measured here.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Whether it is measured in rows that do not ask for it.
    fn in_every_row(&self) -> bool {
        true
    }

    fn context(&self) -> Box<dyn Context>;
}

/// The library of this name.
pub(crate) fn named(name: &str) -> Option<&'static dyn Library> {
    ALL.iter().copied().find(|library| library.name() == name)
}

/// What the sockets of a process share. Dropping it waits until everything that was sent is gone.
pub(crate) trait Context: Send + Sync {
    fn socket(&self, kind: Kind) -> Box<dyn Socket>;
}

/// The socket types that the workloads use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Push,
    Pull,
    Req,
    Rep,
    Xpub,
    Sub,
    Dealer,
    Router,
}

/// Options that a workload sets; everything else is left as the library has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    /// BACKLOG: so many connections may wait to be accepted.
    Backlog(u32),
    /// XPUB_NODROP: wait for subscribers that are at their high-water mark.
    NoDrop,
    /// XPUB_VERBOSE: tell of every subscription, also where another subscriber has the same.
    Verbose,
    /// SUBSCRIBE with the empty prefix.
    Everything,
}

/// A socket.
pub(crate) trait Socket: Send {
    fn set(&mut self, setting: Setting);

    /// Binds, and returns the real endpoint.
    fn bind(&mut self, endpoint: &str) -> String;

    fn connect(&mut self, endpoint: &str);

    /// Sends `count` messages of one frame.
    fn send_many(&mut self, body: &Bytes, count: usize);

    /// Receives `count` messages of one frame of `size` bytes.
    fn recv_many(&mut self, size: usize, count: usize);

    /// REQ: so many requests with their replies, one at a time; the nanoseconds of each go into
    /// `times`.
    fn round_trips(&mut self, body: &Bytes, count: usize, times: &mut Vec<u64>);

    /// REP and ROUTER: sends each of `count` messages back to where it came from.
    fn echo(&mut self, size: usize, count: usize);

    /// DEALER: `count` requests and replies, `window` of them under way.
    fn keep_under_way(&mut self, body: &Bytes, window: usize, count: usize) {
        self.send_many(body, window);
        self.exchange(body, count - window);
        self.recv_many(body.len(), window);
    }

    /// DEALER: takes a reply and sends the next request, `count` times.
    fn exchange(&mut self, body: &Bytes, count: usize);
}
