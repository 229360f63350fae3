//! Messages to standard output.
//!
//! Records are gathered in a buffer that leaves when it is large, or when the caller is about to
//! wait ([`Printer::flush`]): a fast stream costs few system calls and a slow one is seen at once.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use xebec::Message;

use crate::codec::Codec;

/// How much is gathered before it is written without being asked.
const ENOUGH: usize = 64 * 1024;

/// Prints messages in one format.
pub(crate) struct Printer {
    codec: Codec,
    terminator: Vec<u8>,
    gathered: Vec<u8>,
    out: File,
}

impl Printer {
    /// Prints to standard output.
    pub(crate) fn new(codec: Codec, terminator: Vec<u8>) -> io::Result<Self> {
        Ok(Printer {
            codec,
            terminator,
            gathered: Vec::new(),
            out: io::stdout().as_fd().try_clone_to_owned()?.into(),
        })
    }

    /// Prints one message.
    pub(crate) fn print(&mut self, message: &Message) -> io::Result<()> {
        self.codec.encode(message, &mut self.gathered);
        self.gathered.extend_from_slice(&self.terminator);
        if self.gathered.len() >= ENOUGH {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what has been gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let outcome = self.out.write_all(&self.gathered);
        self.gathered.clear();
        outcome
    }
}
