//! What is measured: one row, one line.
//!
//! The counts are such that libzmq takes about a second for a run on two cores.

/// One workload with its sizes.
pub(crate) struct Row {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it is called in the tables.
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    pub(crate) transport: Transport,
    /// Bytes in a message.
    pub(crate) size: usize,
    /// Messages, round trips or connections in one run.
    pub(crate) count: usize,
    /// Measured on tokio, too.
    pub(crate) on_tokio: bool,
}

/// What the two ends do; see the functions of `work`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// PUSH to PULL, one way.
    Stream,
    /// REQ to REP and back, one at a time.
    RoundTrip,
    /// XPUB to so many SUBs.
    Publish { subscribers: usize },
    /// DEALER to ROUTER and back, with so many requests under way.
    Window { outstanding: usize },
    /// Connections that are made, used once, and then left alone.
    Idle,
}

/// Over what the two ends talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

impl Transport {
    /// Where the binding end binds.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp://127.0.0.1:*",
            Transport::Ipc => "ipc://*",
            Transport::Inproc => "inproc://bench",
        }
    }
}

impl Row {
    /// The count for a quick run or a full one.
    pub(crate) fn count(&self, quick: bool) -> usize {
        let part = if quick && self.work != Work::Idle {
            5
        } else {
            1
        };
        self.count / part
    }

    pub(crate) fn named(name: &str) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == name)
    }
}

const fn row(
    (name, title): (&'static str, &'static str),
    work: Work,
    transport: Transport,
    size: usize,
    count: usize,
) -> Row {
    let on_tokio = false;
    Row {
        name,
        title,
        work,
        transport,
        size,
        count,
        on_tokio,
    }
}

const fn and_tokio(row: Row) -> Row {
    let on_tokio = true;
    Row { on_tokio, ..row }
}

use Transport::{Inproc, Ipc, Tcp};
use Work::{Idle, Publish, RoundTrip, Stream, Window};

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;

#[rustfmt::skip]
pub(crate) static ROWS: &[Row] = &[
    row(("push-tcp-16", "PUSH→PULL tcp, 16 B"), Stream, Tcp, 16, 8_000_000),
    and_tokio(row(("push-tcp-64", "PUSH→PULL tcp, 64 B"), Stream, Tcp, 64, 5_000_000)),
    row(("push-tcp-256", "PUSH→PULL tcp, 256 B"), Stream, Tcp, 256, 2_500_000),
    row(("push-tcp-1K", "PUSH→PULL tcp, 1 KiB"), Stream, Tcp, KB, 1_000_000),
    and_tokio(row(("push-tcp-8K", "PUSH→PULL tcp, 8 KiB"), Stream, Tcp, 8 * KB, 200_000)),
    row(("push-tcp-64K", "PUSH→PULL tcp, 64 KiB"), Stream, Tcp, 64 * KB, 40_000),
    row(("push-tcp-1M", "PUSH→PULL tcp, 1 MiB"), Stream, Tcp, MB, 5_000),
    row(("push-ipc-64", "PUSH→PULL ipc, 64 B"), Stream, Ipc, 64, 5_000_000),
    row(("push-inproc-64", "PUSH→PULL inproc, 64 B"), Stream, Inproc, 64, 8_000_000),
    and_tokio(row(("req-tcp", "REQ→REP tcp, 1 B"), RoundTrip, Tcp, 1, 20_000)),
    row(("req-ipc", "REQ→REP ipc, 1 B"), RoundTrip, Ipc, 1, 20_000),
    row(("req-inproc", "REQ→REP inproc, 1 B"), RoundTrip, Inproc, 1, 20_000),
    row(("pub-tcp-8", "XPUB→8 SUB tcp, 64 B, delivered"), Publish { subscribers: 8 }, Tcp, 64, 500_000),
    row(("dealer-tcp-16", "DEALER→ROUTER tcp, 64 B, 16 under way"), Window { outstanding: 16 }, Tcp, 64, 300_000),
    row(("idle-tcp", "10,000 connections tcp"), Idle, Tcp, 16, 10_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_row() {
        for row in ROWS {
            assert!(
                std::ptr::eq(Row::named(row.name).unwrap(), row),
                "{}",
                row.name
            );
        }
    }
}
