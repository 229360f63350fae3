//! A worker process: PULLs lines, PUSHes counts, stops on the kill signal.
//!
//! It also stops when its standard input closes, which means that the main process is gone, however
//! that happened.

use std::io;
use std::time::Duration;

use xebec::{
    Context, Interest, Message, Options, PollError, PollItem, Pull, Push, RecvError, SendErrorKind,
    Sub, poll,
};

use super::words::Words;
use crate::args::DemoWorker;

/// Lines that are counted before the counts are sent even though more lines wait.
const BATCH: u64 = 4096;

/// Works until told to stop.
pub(in crate::commands) fn run(args: DemoWorker) -> anyhow::Result<()> {
    let context = Context::new();
    let lines = Pull::new(&context)?;
    lines.connect(&args.ventilator)?;
    // The sink kills only when it has all counts, so nothing can be lost by leaving at once.
    let sink = Push::with_options(&context, Options::new().linger(Some(Duration::ZERO)))?;
    sink.connect(&args.sink)?;
    let control = Sub::new(&context)?;
    control.subscribe("")?;
    control.connect(&args.control)?;

    let worker = Worker {
        lines,
        sink,
        control,
        number: args.number.to_be_bytes(),
    };
    worker.report(worker.number.into())?;
    while worker.wait(Interest::READ)? == Woken::Traffic {
        worker.count()?;
    }
    Ok(())
}

/// Why a wait ended.
#[derive(PartialEq)]
enum Woken {
    Traffic,
    /// The kill signal came, or the main process is gone.
    Stopped,
}

struct Worker {
    lines: Pull,
    sink: Push,
    control: Sub,
    number: [u8; 2],
}

impl Worker {
    /// Waits for lines (`READ`), or for room at the sink (`WRITE`), or for the end.
    fn wait(&self, interest: Interest) -> anyhow::Result<Woken> {
        let traffic = match interest {
            Interest::READ => self.lines.as_socket(),
            _ => self.sink.as_socket(),
        };
        let stdin = io::stdin();
        let mut items = [
            PollItem::socket(traffic, interest),
            PollItem::socket(&self.control, Interest::READ),
            PollItem::fd(&stdin, Interest::READ),
        ];
        match poll(&mut items, None) {
            Ok(_) | Err(PollError::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        match items[1..].iter().any(PollItem::is_readable) {
            true => Ok(Woken::Stopped),
            false => Ok(Woken::Traffic),
        }
    }

    /// Sends to the sink; gives up if there is nobody left to send for.
    fn report(&self, mut message: Message) -> anyhow::Result<()> {
        loop {
            match self.sink.try_send(message) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == SendErrorKind::WouldBlock => message = error.message,
                Err(error) => return Err(error.into()),
            }
            if self.wait(Interest::WRITE)? == Woken::Stopped {
                return Ok(());
            }
        }
    }

    /// Counts the lines that wait and tells the sink.
    fn count(&self) -> anyhow::Result<()> {
        let mut words = Words::default();
        let (mut lines, mut bytes) = (0u64, 0u64);
        while lines < BATCH {
            match self.lines.try_recv() {
                Ok(line) => {
                    words.count(line.body());
                    lines += 1;
                    bytes += line.size() as u64;
                }
                Err(RecvError::WouldBlock) => break,
                Err(error) => return Err(error.into()),
            }
        }
        if lines == 0 {
            return Ok(());
        }
        let mut counts = Vec::new();
        words.drain_into(&mut counts);
        let mut message = Message::from(self.number);
        message.push_back(lines.to_be_bytes());
        message.push_back(bytes.to_be_bytes());
        message.push_back(counts);
        self.report(message)
    }
}
