//! `bench lat`: round trips between REQ and REP, one at a time; `bench rpc`: between DEALER and
//! ROUTER, many under way.
//!
//! Each round trip is timed at the requester. The first tenth (a thousand at most) warms things up
//! and is left out of the percentiles. A reply belongs to the oldest request: the other end
//! answers in order.

use std::collections::VecDeque;
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
use crate::args::{BenchEnds, Latency, Rpc, Transport};
use crate::console::say;
use crate::quantity::{grouped, humane};

/// A benchmark of round trips.
struct Exchange<'a> {
    /// The command.
    what: &'static str,
    asks: SocketType,
    answers: SocketType,
    /// Requests under way.
    window: u64,
    count: u64,
    ends: &'a BenchEnds,
}

/// Runs one end or both, one request at a time.
pub(in crate::commands) fn run(args: Latency) -> anyhow::Result<()> {
    Exchange {
        what: "lat",
        asks: SocketType::Req,
        answers: SocketType::Rep,
        window: 1,
        count: args.count,
        ends: &args.bench,
    }
    .run()
}

/// Runs one end or both, many requests at a time.
pub(in crate::commands) fn run_many(args: Rpc) -> anyhow::Result<()> {
    if args.window == 0 {
        bail!("nothing may be under way: raise --window");
    }
    Exchange {
        what: "rpc",
        asks: SocketType::Dealer,
        answers: SocketType::Router,
        window: args.window,
        count: args.count,
        ends: &args.bench,
    }
    .run()
}

impl Exchange<'_> {
    fn run(&self) -> anyhow::Result<()> {
        if self.count == 0 {
            bail!("nothing to measure: raise --count");
        }
        let report = match (&self.ends.server, &self.ends.client) {
            (_, Some(endpoint)) => self.ask(&context(), endpoint)?,
            (Some(endpoint), _) => {
                let context = context();
                let (socket, actual) = self.bound(&context, endpoint)?;
                let count = grouped(self.count);
                say(format_args!("answering {count} requests at {actual}"));
                self.answer(&socket)?
            }
            _ => self.both()?,
        };
        if self.ends.json {
            Ok(writeln!(io::stdout(), "{report}")?)
        } else {
            self.print(&report)
        }
    }

    fn bound(&self, context: &Context, endpoint: &str) -> anyhow::Result<(Socket, String)> {
        let socket = socket(context, self.answers, self.ends)?;
        let actual = socket.bind(endpoint)?;
        Ok((socket, actual))
    }

    fn both(&self) -> anyhow::Result<Value> {
        let context = context();
        let (socket, actual) = self.bound(&context, endpoint(self.ends.transport))?;
        if self.ends.transport == Transport::Inproc {
            return thread::scope(|scope| {
                let server = scope.spawn(|| self.answer(&socket));
                let report = self.ask(&context, &actual);
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
        let client = Client::start_with(self.what, &actual, |command| {
            command.args(["--size", &self.ends.size.to_string()]);
            command.args(["--count", &self.count.to_string()]);
            if self.window > 1 {
                command.args(["--window", &self.window.to_string()]);
            }
            for assignment in &self.ends.set {
                command.args(["--set", assignment]);
            }
        })?;
        let mine = self.answer(&socket)?;
        // Only the client knows when the last reply has arrived: the socket stays open until then.
        let mut report = client.report()?;
        report["cpu_seconds"] = (seconds(&report, "cpu_seconds") + seconds(&mine, "cpu_seconds"))
            .as_secs_f64()
            .into();
        Ok(report)
    }

    /// The binding end: echoes.
    fn answer(&self, socket: &Socket) -> anyhow::Result<Value> {
        let before = processor_time();
        for _ in 0..self.count {
            let request = recv(socket)?;
            send(socket, request)?;
        }
        let cpu = processor_time() - before;
        Ok(json!({ "count": self.count, "cpu_seconds": cpu.as_secs_f64() }))
    }

    /// The connecting end: asks, and takes the time.
    fn ask(&self, context: &Context, endpoint: &str) -> anyhow::Result<Value> {
        let before = processor_time();
        let (size, count) = (self.ends.size, self.count);
        let socket = socket(context, self.asks, self.ends)?;
        socket.connect(endpoint)?;
        let body = Frame::from(vec![b'x'; size]);
        let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let warm_up = (count / 10).min(1000);
        let mut start = Instant::now();
        let mut under_way = VecDeque::new();
        let mut sent = 0;
        for n in 0..count {
            if n == warm_up {
                start = Instant::now();
            }
            while sent < count && sent < n + self.window {
                under_way.push_back(Instant::now());
                send(&socket, body.clone())?;
                sent += 1;
            }
            let reply = recv(&socket)?;
            let asked = under_way.pop_front().unwrap_or(start);
            if n >= warm_up {
                times.saturating_record(asked.elapsed().as_nanos() as u64);
            }
            if reply.size() != size {
                bail!("a reply has {} bytes, not {size}", reply.size());
            }
        }
        let time = start.elapsed();
        let cpu = processor_time() - before;
        let micros = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
        let histogram: Vec<_> = times
            .iter_quantiles(1)
            .map(|step| {
                let within = step.quantile_iterated_to();
                json!([within, step.value_iterated_to() as f64 / 1e3])
            })
            .collect();
        Ok(json!({
            "size": size,
            "count": count,
            "window": self.window,
            "seconds": time.as_secs_f64(),
            "round_trips_per_second": (count - warm_up) as f64 / time.as_secs_f64().max(1e-9),
            "mean_us": times.mean() / 1e3,
            "min_us": times.min() as f64 / 1e3,
            "p50_us": micros(0.5),
            "p99_us": micros(0.99),
            "p999_us": micros(0.999),
            "max_us": times.max() as f64 / 1e3,
            "histogram_us": histogram,
            "cpu_seconds": cpu.as_secs_f64(),
        }))
    }

    fn print(&self, report: &Value) -> anyhow::Result<()> {
        let mut out = io::stdout();
        let ends = self.ends;
        writeln!(
            out,
            "{} to {} and back {}, {} round trips of {}, {} at a time",
            self.asks,
            self.answers,
            whereabouts(ends),
            grouped(self.count),
            size_text(ends.size),
            self.window
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
            histogram(&mut out, report)?;
        }
        let cpu = seconds(report, "cpu_seconds").as_secs_f64();
        let whose = match (&ends.server, &ends.client) {
            (None, None) => "both ends",
            _ => "this end",
        };
        // A round trip is two messages.
        let per_million = Duration::from_secs_f64(cpu * 1e6 / (2.0 * self.count as f64));
        writeln!(
            out,
            "processor   {} a million messages ({whose}; a round trip is two)",
            humane(per_million)
        )?;
        Ok(())
    }
}

/// How many of the round trips took how long: a line for each halving of the rest.
fn histogram(out: &mut impl io::Write, report: &Value) -> io::Result<()> {
    let steps = report["histogram_us"].as_array().map_or(&[][..], |a| a);
    let mut last = None;
    for step in steps {
        let (Some(within), Some(micros)) = (step[0].as_f64(), step[1].as_f64()) else {
            continue;
        };
        let time = humane(Duration::from_secs_f64(micros / 1e6));
        if last.as_ref() != Some(&time) {
            writeln!(out, "            {:>9.5} % within {time}", within * 100.0)?;
        }
        last = Some(time);
    }
    Ok(())
}
