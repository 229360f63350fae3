//! `bench thr`: messages per second, one way, from PUSH to PULL.
//!
//! The clock runs from the first message received to the last, at the receiver.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};
use xebec::{Context, Frame, Socket, SocketType};

use super::{
    Client, context, endpoint, processor_time, recv, recv_into, seconds, size_text, socket,
    whereabouts,
};
use crate::args::{BenchEnds, Throughput, Transport};
use crate::console::say;
use crate::quantity::{grouped, humane};

/// Runs one end or both.
pub(in crate::commands) fn run(args: Throughput) -> anyhow::Result<()> {
    if args.count < 2 {
        bail!("a rate wants at least two messages: raise --count");
    }
    let ends = &args.bench;
    let report = match (&ends.server, &ends.client) {
        (_, Some(endpoint)) => send(&context(), ends, endpoint, args.count)?,
        (Some(endpoint), _) => {
            let context = context();
            let (pull, actual) = bound(&context, ends, endpoint)?;
            say(format_args!("waiting for messages at {actual}"));
            receive(&pull, &args)?
        }
        _ => both(&args)?,
    };
    if ends.json {
        Ok(writeln!(io::stdout(), "{report}")?)
    } else {
        print(&args, &report)
    }
}

fn bound(context: &Context, ends: &BenchEnds, endpoint: &str) -> anyhow::Result<(Socket, String)> {
    let pull = socket(context, SocketType::Pull, ends)?;
    let actual = pull.bind(endpoint)?;
    Ok((pull, actual))
}

fn both(args: &Throughput) -> anyhow::Result<Value> {
    let context = context();
    let ends = &args.bench;
    let (pull, actual) = bound(&context, ends, endpoint(ends.transport))?;
    if ends.transport == Transport::Inproc {
        return thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let outcome = send(&context, ends, &actual, args.count);
                if outcome.is_err() {
                    // Ends the receiver's wait.
                    context.shutdown();
                }
                outcome
            });
            let mut report = receive(&pull, args);
            let sent = sender
                .join()
                .unwrap_or_else(|_| bail!("the sender panicked"));
            if let (Err(_), Err(cause)) = (&report, sent) {
                report = Err(cause);
            }
            report
        });
    }
    let client = Client::start("thr", &actual, ends, args.count)?;
    let mut report = receive(&pull, args)?;
    let theirs = client.report()?;
    report["cpu_seconds"] = (seconds(&report, "cpu_seconds") + seconds(&theirs, "cpu_seconds"))
        .as_secs_f64()
        .into();
    Ok(report)
}

/// The connecting end.
fn send(context: &Context, ends: &BenchEnds, endpoint: &str, count: u64) -> anyhow::Result<Value> {
    let before = processor_time();
    let push = socket(context, SocketType::Push, ends)?;
    push.connect(endpoint)?;
    let body = Frame::from(vec![b'x'; ends.size]);
    for _ in 0..count {
        super::send(&push, body.clone())?;
    }
    drop(push);
    if ends.client.is_some() {
        context.term();
    }
    let cpu = processor_time() - before;
    Ok(json!({ "size": ends.size, "count": count, "cpu_seconds": cpu.as_secs_f64() }))
}

/// The binding end.
fn receive(pull: &Socket, args: &Throughput) -> anyhow::Result<Value> {
    let before = processor_time();
    let mut message = recv(pull)?;
    check(message.size(), args.bench.size)?;
    let start = Instant::now();
    for _ in 1..args.count {
        recv_into(pull, &mut message)?;
        check(message.size(), args.bench.size)?;
    }
    let time = start.elapsed().max(Duration::from_nanos(1)).as_secs_f64();
    let cpu = processor_time() - before;
    let rate = (args.count - 1) as f64 / time;
    Ok(json!({
        "size": args.bench.size,
        "count": args.count,
        "seconds": time,
        "messages_per_second": rate,
        "bytes_per_second": rate * args.bench.size as f64,
        "cpu_seconds": cpu.as_secs_f64(),
    }))
}

fn check(size: usize, expected: usize) -> anyhow::Result<()> {
    if size != expected {
        bail!("a message has {size} bytes, not {expected}: --size must agree at both ends");
    }
    Ok(())
}

fn print(args: &Throughput, report: &Value) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let ends = &args.bench;
    let cpu = seconds(report, "cpu_seconds");
    let per_million = Duration::from_secs_f64(cpu.as_secs_f64() * 1e6 / args.count as f64);
    writeln!(
        out,
        "PUSH to PULL {}, {} messages of {}",
        whereabouts(ends),
        grouped(args.count),
        size_text(ends.size)
    )?;
    if let Some(rate) = report["messages_per_second"].as_f64() {
        writeln!(
            out,
            "throughput  {} messages/s, {:.1} MB/s",
            grouped(rate as u64),
            rate * ends.size as f64 / 1e6
        )?;
        writeln!(out, "time        {}", humane(seconds(report, "seconds")))?;
    }
    let whose = match (&ends.server, &ends.client) {
        (None, None) => "both ends",
        _ => "this end",
    };
    writeln!(
        out,
        "processor   {} a million messages ({whose})",
        humane(per_million)
    )?;
    Ok(())
}
