//! `bench lat`: round trips between REQ and REP, one at a time.
//!
//! Each round trip is timed at the requester. The first tenth (a thousand at most) warms things up
//! and is left out of the percentiles.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use xebec::{Context, Frame, Socket, SocketType};

use super::{
    Client, context, endpoint, processor_time, recv, seconds, send, size_text, socket, whereabouts,
};
use crate::args::{BenchEnds, Latency, Transport};
use crate::console::say;
use crate::quantity::{grouped, humane};

/// Runs one end or both.
pub(in crate::commands) fn run(args: Latency) -> anyhow::Result<()> {
    if args.count == 0 {
        bail!("nothing to measure: raise --count");
    }
    let ends = &args.bench;
    let report = match (&ends.server, &ends.client) {
        (_, Some(endpoint)) => ask(&context(), ends, endpoint, args.count)?,
        (Some(endpoint), _) => {
            let context = context();
            let (rep, actual) = bound(&context, ends, endpoint)?;
            say(format_args!(
                "answering {} requests at {actual}",
                grouped(args.count)
            ));
            answer(&rep, args.count)?
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
    let rep = socket(context, SocketType::Rep, ends)?;
    let actual = rep.bind(endpoint)?;
    Ok((rep, actual))
}

fn both(args: &Latency) -> anyhow::Result<Value> {
    let context = context();
    let ends = &args.bench;
    let (rep, actual) = bound(&context, ends, endpoint(ends.transport))?;
    if ends.transport == Transport::Inproc {
        return thread::scope(|scope| {
            let server = scope.spawn(|| answer(&rep, args.count));
            let report = ask(&context, ends, &actual, args.count);
            if report.is_err() {
                // Ends the server's wait.
                context.shutdown();
            }
            let answered = server
                .join()
                .unwrap_or_else(|_| bail!("the server panicked"));
            report.and_then(|report| answered.map(|_| report))
        });
    }
    let client = Client::start("lat", &actual, ends, args.count)?;
    let mine = answer(&rep, args.count)?;
    // Only the client knows when the last reply has arrived: the socket stays open until then.
    let mut report = client.report()?;
    report["cpu_seconds"] = (seconds(&report, "cpu_seconds") + seconds(&mine, "cpu_seconds"))
        .as_secs_f64()
        .into();
    Ok(report)
}

/// The binding end: echoes.
fn answer(rep: &Socket, count: u64) -> anyhow::Result<Value> {
    let before = processor_time();
    for _ in 0..count {
        let request = recv(rep)?;
        send(rep, request)?;
    }
    Ok(json!({ "count": count, "cpu_seconds": (processor_time() - before).as_secs_f64() }))
}

/// The connecting end: asks, and times the answers.
fn ask(context: &Context, ends: &BenchEnds, endpoint: &str, count: u64) -> anyhow::Result<Value> {
    let before = processor_time();
    let req = socket(context, SocketType::Req, ends)?;
    req.connect(endpoint)?;
    let body = Frame::from(vec![b'x'; ends.size]);
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    let warm_up = (count / 10).min(1000);
    let mut start = Instant::now();
    for n in 0..count {
        if n == warm_up {
            start = Instant::now();
        }
        let asked = Instant::now();
        send(&req, body.clone())?;
        let reply = recv(&req)?;
        if n >= warm_up {
            times.saturating_record(asked.elapsed().as_nanos() as u64);
        }
        if reply.size() != ends.size {
            bail!("a reply has {} bytes, not {}", reply.size(), ends.size);
        }
    }
    let time = start.elapsed();
    let cpu = processor_time() - before;
    let micros = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok(json!({
        "size": ends.size,
        "count": count,
        "seconds": time.as_secs_f64(),
        "round_trips_per_second": (count - warm_up) as f64 / time.as_secs_f64().max(1e-9),
        "mean_us": times.mean() / 1e3,
        "min_us": times.min() as f64 / 1e3,
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
        "p999_us": micros(0.999),
        "max_us": times.max() as f64 / 1e3,
        "cpu_seconds": cpu.as_secs_f64(),
    }))
}

fn print(args: &Latency, report: &Value) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let ends = &args.bench;
    writeln!(
        out,
        "REQ to REP and back {}, {} round trips of {}",
        whereabouts(ends),
        grouped(args.count),
        size_text(ends.size)
    )?;
    let micros = |name: &str| {
        humane(Duration::from_secs_f64(
            report[name].as_f64().unwrap_or_default() / 1e6,
        ))
    };
    if let Some(rate) = report["round_trips_per_second"].as_f64() {
        writeln!(
            out,
            "round trip  p50 {}, p99 {}, p99.9 {}, mean {}, from {} to {}",
            micros("p50_us"),
            micros("p99_us"),
            micros("p999_us"),
            micros("mean_us"),
            micros("min_us"),
            micros("max_us")
        )?;
        writeln!(out, "rate        {} round trips/s", grouped(rate as u64))?;
    }
    let cpu = seconds(report, "cpu_seconds").as_secs_f64();
    let whose = match (&ends.server, &ends.client) {
        (None, None) => "both ends",
        _ => "this end",
    };
    // A round trip is two messages.
    let per_million = Duration::from_secs_f64(cpu * 1e6 / (2.0 * args.count as f64));
    writeln!(
        out,
        "processor   {} a million messages ({whose}; a round trip is two)",
        humane(per_million)
    )?;
    Ok(())
}
