//! `watch`: what happens to a socket, live.
//!
//! On a terminal the last line shows the counters and is refreshed in place; elsewhere each line
//! stays, and the counters get one only when they have changed.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use xebec::{Context, Monitor, RecvError, Socket, SocketType, Stats};

use super::open::{self, Opened};
use super::proxy::{dropped, totals};
use crate::args::Watch;
use crate::console::describe;
use crate::interrupt;
use crate::quantity::grouped;

/// Shows events and counters until a signal comes or `--for` is over.
pub(super) fn run(args: Watch) -> anyhow::Result<()> {
    let mut opened = Opened::unplaced(args.kind, &args.socket, &[])?;
    if matches!(args.kind, SocketType::Sub | SocketType::Xsub) {
        opened.socket.subscribe("")?;
    }
    let monitor = opened.socket.monitor();
    opened.place(&args.endpoints)?;
    shut_down_on_signal(opened.context.clone());
    let outcome = thread::scope(|scope| {
        if args.kind != SocketType::Rep {
            scope.spawn(|| drain(&opened.socket));
        }
        let outcome = show(&opened.socket, &monitor, &args);
        opened.context.shutdown();
        outcome
    });
    let totals = writeln!(io::stdout(), "{}", totals(&opened.socket.stats()));
    opened.close(outcome.and_then(|()| {
        totals?;
        Ok(interrupt::check()?)
    }))
}

/// Ends every call on the context's sockets when a signal comes.
pub(super) fn shut_down_on_signal(context: Context) {
    thread::spawn(move || {
        while open::wait(None, None, None).is_ok() {}
        context.shutdown();
    });
}

/// Throws away what arrives, until the context ends.
fn drain(socket: &Socket) {
    while matches!(socket.recv(), Ok(_) | Err(RecvError::Interrupted)) {}
}

fn show(socket: &Socket, monitor: &Monitor, args: &Watch) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let live = out.is_terminal();
    let start = Instant::now();
    let mut last = (start, Stats::default());
    let mut shown = String::new();
    loop {
        let elapsed = start.elapsed();
        let Some(left) = args.duration.unwrap_or(Duration::MAX).checked_sub(elapsed) else {
            break;
        };
        let pause = (last.0 + args.every)
            .saturating_duration_since(Instant::now())
            .min(left);
        if let Some(event) = monitor.recv_timeout(pause) {
            let clear = if live { "\r\x1b[K" } else { "" };
            writeln!(
                out,
                "{clear}{:>9.3}s  {}",
                start.elapsed().as_secs_f64(),
                describe(&event)
            )?;
            shown.clear();
        }
        if interrupt::check().is_err() {
            break;
        }
        if last.0.elapsed() >= args.every {
            let now = (Instant::now(), socket.stats());
            let line = counters(&now.1, &last.1, now.0 - last.0);
            if live {
                write!(out, "\r\x1b[K{line}")?;
                out.flush()?;
            } else if line != shown {
                writeln!(out, "{:>9.3}s  {line}", start.elapsed().as_secs_f64())?;
                shown = line;
            }
            last = now;
        }
    }
    if live {
        writeln!(out)?;
    }
    Ok(())
}

/// The counters, with the rates since `before`.
fn counters(now: &Stats, before: &Stats, time: Duration) -> String {
    let rate = |now: u64, before: u64| {
        (now.saturating_sub(before) as f64 / time.as_secs_f64().max(1e-9)).round() as u64
    };
    format!(
        "peers {}  in {} ({}/s, {} B/s)  out {} ({}/s)  queued {} in {} out  dropped {}  reconnects {}",
        now.connections,
        grouped(now.messages_in),
        grouped(rate(now.messages_in, before.messages_in)),
        grouped(rate(now.bytes_in, before.bytes_in)),
        grouped(now.messages_out),
        grouped(rate(now.messages_out, before.messages_out)),
        grouped(now.queued_in),
        grouped(now.queued_out),
        grouped(dropped(now)),
        grouped(now.reconnects),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_rates() {
        let before = Stats::default();
        let mut now = Stats::default();
        now.messages_in = 3000;
        now.bytes_in = 6000;
        let line = counters(&now, &before, Duration::from_secs(2));
        assert!(line.contains("in 3,000 (1,500/s, 3,000 B/s)"), "{line}");
    }
}
