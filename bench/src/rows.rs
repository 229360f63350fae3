//! What is measured: one row, one line.
//!
//! The counts are such that libzmq takes about a second for a run on two cores.

/// One workload with its sizes.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it is called in the tables.
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    pub(crate) transport: Transport,
    /// Bytes in a message.
    pub(crate) size: usize,
    /// Messages, round trips or connections in one run of libzmq.
    pub(crate) count: usize,
    /// Xebec's spin budget is none, and the raw limit blocks.
    pub(crate) no_spin: bool,
    /// Both ends keep to one core.
    pub(crate) one_core: bool,
    /// As many threads as there are cores are busy with something else.
    pub(crate) company: bool,
    /// Encrypted and authenticated by CURVE.
    pub(crate) curve: bool,
    pub(crate) table: Table,
}

/// Which table a row is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Table {
    Main,
    /// How the cost grows with the number of connections or subscriptions.
    Growth {
        of: usize,
    },
}

/// What the ends do; see the functions of `work`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// PUSH to PULL, one way, over so many connections of the same two sockets.
    Stream { connections: usize },
    /// REQ to REP and back, one at a time.
    RoundTrip,
    /// XPUB to so many SUBs.
    Publish { subscribers: usize },
    /// So many DEALERs to ROUTER and back, each with so many requests under way.
    Window { dealers: usize, outstanding: usize },
    /// So many REQs through a proxy to so many REPs.
    Proxy { clients: usize, workers: usize },
    /// Connections that are made, used once, left alone, and then used once a second.
    Connections,
    /// REQ to REP and back, with something new for each call.
    Calls { keep: Keep },
    /// An XPUB with so many subscriptions of one SUB sends what matches none.
    Subscriptions { topics: usize },
}

/// What calls have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keep {
    /// Each has a new socket.
    Nothing,
    /// Each has a new connection of the same socket.
    Socket,
}

/// Over what the ends talk.
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
    /// Whether a run may have any count: it is the same work for longer.
    pub(crate) fn stretches(&self) -> bool {
        self.work != Work::Connections
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
    Row {
        name,
        title,
        work,
        transport,
        size,
        count,
        no_spin: false,
        one_core: false,
        company: false,
        curve: false,
        table: Table::Main,
    }
}

const fn no_spin(row: Row) -> Row {
    let no_spin = true;
    Row { no_spin, ..row }
}

const fn one_core(row: Row) -> Row {
    let one_core = true;
    Row { one_core, ..row }
}

const fn company(row: Row) -> Row {
    let company = true;
    Row { company, ..row }
}

const fn curve(row: Row) -> Row {
    let curve = true;
    Row { curve, ..row }
}

const fn grown(of: usize, row: Row) -> Row {
    let table = Table::Growth { of };
    Row { table, ..row }
}

use Transport::{Inproc, Ipc, Tcp};
use Work::{Calls, Connections, Proxy, Publish, RoundTrip, Stream, Subscriptions, Window};

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;

const PUSH: Work = Stream { connections: 1 };

#[rustfmt::skip]
pub(crate) static ROWS: &[Row] = &[
    row(("push-tcp-16", "PUSH→PULL tcp, 16 B"), PUSH, Tcp, 16, 8_000_000),
    row(("push-tcp-64", "PUSH→PULL tcp, 64 B"), PUSH, Tcp, 64, 5_000_000),
    row(("push-tcp-256", "PUSH→PULL tcp, 256 B"), PUSH, Tcp, 256, 2_500_000),
    row(("push-tcp-1K", "PUSH→PULL tcp, 1 KiB"), PUSH, Tcp, KB, 1_000_000),
    row(("push-tcp-8K", "PUSH→PULL tcp, 8 KiB"), PUSH, Tcp, 8 * KB, 200_000),
    row(("push-tcp-64K", "PUSH→PULL tcp, 64 KiB"), PUSH, Tcp, 64 * KB, 40_000),
    row(("push-tcp-1M", "PUSH→PULL tcp, 1 MiB"), PUSH, Tcp, MB, 5_000),
    row(("push-ipc-64", "PUSH→PULL ipc, 64 B"), PUSH, Ipc, 64, 5_000_000),
    row(("push-inproc-64", "PUSH→PULL inproc, 64 B"), PUSH, Inproc, 64, 8_000_000),
    row(("push-inproc-1K", "PUSH→PULL inproc, 1 KiB"), PUSH, Inproc, KB, 4_000_000),
    row(("req-tcp", "REQ→REP tcp, 1 B"), RoundTrip, Tcp, 1, 12_000),
    row(("req-ipc", "REQ→REP ipc, 1 B"), RoundTrip, Ipc, 1, 12_000),
    row(("req-inproc", "REQ→REP inproc, 1 B"), RoundTrip, Inproc, 1, 12_000),
    no_spin(row(("req-tcp-spin0", "REQ→REP tcp, 1 B, no spin"), RoundTrip, Tcp, 1, 12_000)),
    one_core(row(("req-tcp-core", "REQ→REP tcp, 1 B, on one core"), RoundTrip, Tcp, 1, 20_000)),
    one_core(no_spin(row(("req-tcp-core-spin0", "REQ→REP tcp, 1 B, on one core, no spin"), RoundTrip, Tcp, 1, 20_000))),
    company(row(("req-tcp-busy", "REQ→REP tcp, 1 B, all cores busy"), RoundTrip, Tcp, 1, 2_000)),
    company(no_spin(row(("req-tcp-busy-spin0", "REQ→REP tcp, 1 B, all cores busy, no spin"), RoundTrip, Tcp, 1, 2_000))),
    row(("pub-tcp-8", "XPUB→8 SUB tcp, 64 B, delivered"), Publish { subscribers: 8 }, Tcp, 64, 500_000),
    row(("pub-tcp-64", "XPUB→64 SUB tcp, 64 B, delivered"), Publish { subscribers: 64 }, Tcp, 64, 80_000),
    row(("pub-tcp-64-1K", "XPUB→64 SUB tcp, 1 KiB, delivered"), Publish { subscribers: 64 }, Tcp, KB, 25_000),
    row(("dealer-tcp-1", "DEALER→ROUTER tcp, 64 B, 16 under way"), Window { dealers: 1, outstanding: 16 }, Tcp, 64, 200_000),
    row(("dealer-tcp-64", "64 DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 64, outstanding: 16 }, Tcp, 64, 800_000),
    row(("proxy-tcp", "16 REQs→proxy→4 REPs tcp, 64 B"), Proxy { clients: 16, workers: 4 }, Tcp, 64, 30_000),
    row(("connections-tcp", "10,000 connections tcp"), Connections, Tcp, 16, 10_000),
    curve(row(("curve-tcp-64", "PUSH→PULL tcp under CURVE, 64 B"), PUSH, Tcp, 64, 1_200_000)),
    curve(row(("curve-tcp-8K", "PUSH→PULL tcp under CURVE, 8 KiB"), PUSH, Tcp, 8 * KB, 70_000)),
    row(("calls-socket", "REQ→REP tcp, 1 B, a new socket for each call"), Calls { keep: Keep::Nothing }, Tcp, 1, 1_000),
    row(("calls-connection", "REQ→REP tcp, 1 B, a new connection for each call"), Calls { keep: Keep::Socket }, Tcp, 1, 1_000),
    row(("subscriptions-10", "XPUB with 10 subscriptions"), Subscriptions { topics: 10 }, Tcp, 64, 5_000_000),
    row(("subscriptions-1M", "XPUB with 1,000,000 subscriptions"), Subscriptions { topics: 1_000_000 }, Tcp, 64, 2_000_000),
    grown(1, row(("grow-push-1", "PUSH→PULL tcp, 64 B"), PUSH, Tcp, 64, 5_000_000)),
    grown(10, row(("grow-push-10", "PUSH→PULL tcp, 64 B"), Stream { connections: 10 }, Tcp, 64, 3_000_000)),
    grown(100, row(("grow-push-100", "PUSH→PULL tcp, 64 B"), Stream { connections: 100 }, Tcp, 64, 1_000_000)),
    grown(1_000, row(("grow-push-1000", "PUSH→PULL tcp, 64 B"), Stream { connections: 1_000 }, Tcp, 64, 1_000_000)),
    grown(10_000, row(("grow-push-10000", "PUSH→PULL tcp, 64 B"), Stream { connections: 10_000 }, Tcp, 64, 1_000_000)),
    grown(1, row(("grow-pub-1", "XPUB→SUBs tcp, 64 B, delivered"), Publish { subscribers: 1 }, Tcp, 64, 4_000_000)),
    grown(10, row(("grow-pub-10", "XPUB→SUBs tcp, 64 B, delivered"), Publish { subscribers: 10 }, Tcp, 64, 400_000)),
    grown(100, row(("grow-pub-100", "XPUB→SUBs tcp, 64 B, delivered"), Publish { subscribers: 100 }, Tcp, 64, 40_000)),
    grown(1_000, row(("grow-pub-1000", "XPUB→SUBs tcp, 64 B, delivered"), Publish { subscribers: 1_000 }, Tcp, 64, 3_000)),
    grown(10_000, row(("grow-pub-10000", "XPUB→SUBs tcp, 64 B, delivered"), Publish { subscribers: 10_000 }, Tcp, 64, 200)),
    grown(1, row(("grow-dealer-1", "DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 1, outstanding: 16 }, Tcp, 64, 200_000)),
    grown(10, row(("grow-dealer-10", "DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 10, outstanding: 16 }, Tcp, 64, 500_000)),
    grown(100, row(("grow-dealer-100", "DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 100, outstanding: 16 }, Tcp, 64, 800_000)),
    grown(1_000, row(("grow-dealer-1000", "DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 1_000, outstanding: 16 }, Tcp, 64, 500_000)),
    grown(10_000, row(("grow-dealer-10000", "DEALERs→ROUTER tcp, 64 B, 16 under way each"), Window { dealers: 10_000, outstanding: 16 }, Tcp, 64, 500_000)),
    grown(1, row(("grow-connections-1", "connections tcp"), Connections, Tcp, 16, 1)),
    grown(10, row(("grow-connections-10", "connections tcp"), Connections, Tcp, 16, 10)),
    grown(100, row(("grow-connections-100", "connections tcp"), Connections, Tcp, 16, 100)),
    grown(1_000, row(("grow-connections-1000", "connections tcp"), Connections, Tcp, 16, 1_000)),
    grown(10_000, row(("grow-connections-10000", "connections tcp"), Connections, Tcp, 16, 10_000)),
    grown(1, row(("grow-subscriptions-1", "subscriptions of an XPUB"), Subscriptions { topics: 1 }, Tcp, 64, 5_000_000)),
    grown(10, row(("grow-subscriptions-10", "subscriptions of an XPUB"), Subscriptions { topics: 10 }, Tcp, 64, 5_000_000)),
    grown(100, row(("grow-subscriptions-100", "subscriptions of an XPUB"), Subscriptions { topics: 100 }, Tcp, 64, 4_000_000)),
    grown(1_000, row(("grow-subscriptions-1000", "subscriptions of an XPUB"), Subscriptions { topics: 1_000 }, Tcp, 64, 3_000_000)),
    grown(10_000, row(("grow-subscriptions-10000", "subscriptions of an XPUB"), Subscriptions { topics: 10_000 }, Tcp, 64, 3_000_000)),
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
