//! `bench calls`: how many calls a second a client makes of a REP, by the way it goes about it.
//!
//! A new socket for each call is what many first programs do, and a new connection for each is
//! little better; what is kept is what counts. Each way is measured for the same time, one after
//! another, by one client but where there are many. The server answers in one thread, here in the
//! process that starts the client as a child, or on another machine.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use xebec::{Context, Frame, Socket, SocketType};

use super::{Client, context, recv, send, size_text};
use crate::args::Calls;
use crate::console::say;
use crate::interrupt;
use crate::quantity::{grouped, humane};

/// Where the server is when both ends are run here.
const HERE: &str = "tcp://127.0.0.1:*";

type Times = Histogram<u64>;

/// Runs one end or both.
pub(in crate::commands) fn run(args: Calls) -> anyhow::Result<()> {
    if args.clients == 0 || args.time.is_zero() {
        bail!("nothing to measure: raise --clients and --time");
    }
    let report = match (&args.server, &args.client) {
        (_, Some(endpoint)) => call(&args, endpoint)?,
        (Some(endpoint), _) => {
            let context = context();
            let rep = context.socket(SocketType::Rep)?;
            say(format_args!("answering calls at {}", rep.bind(endpoint)?));
            return answer(&rep);
        }
        _ => both(&args)?,
    };
    if args.json {
        Ok(writeln!(io::stdout(), "{report}")?)
    } else {
        print(&args, &report)
    }
}

fn both(args: &Calls) -> anyhow::Result<Value> {
    let context = context();
    let rep = context.socket(SocketType::Rep)?;
    let endpoint = rep.bind(HERE)?;
    let client = Client::start_with("calls", &endpoint, |command| {
        let time = format!("{}ms", args.time.as_millis().max(1));
        command.args(["--size", &args.size.to_string(), "--time", &time]);
        command.args(["--clients", &args.clients.to_string()]);
    })?;
    thread::scope(|scope| {
        scope.spawn(|| answer(&rep));
        let report = client.report();
        // Ends the server's wait.
        context.shutdown();
        report
    })
}

/// Answers until its context ends.
fn answer(rep: &Socket) -> anyhow::Result<()> {
    loop {
        let request = recv(rep)?;
        send(rep, request)?;
    }
}

/// One call by a connected socket.
fn once(req: &Socket, body: &Frame) -> anyhow::Result<()> {
    send(req, body.clone())?;
    let reply = recv(req)?;
    if reply.size() != body.len() {
        bail!("a reply has {} bytes, not {}", reply.size(), body.len());
    }
    Ok(())
}

/// Calls for so long.
fn repeat(time: Duration, mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Times> {
    let mut times = Times::new_with_bounds(1, 60_000_000_000, 3)?;
    let start = Instant::now();
    while start.elapsed() < time {
        interrupt::check()?;
        let asked = Instant::now();
        call()?;
        times.saturating_record(asked.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

/// The calling end: every way in turn.
fn call(args: &Calls, endpoint: &str) -> anyhow::Result<Value> {
    let context = context();
    let body = Frame::from(vec![b'x'; args.size]);
    let connected = |endpoint: &str| -> anyhow::Result<Socket> {
        let req = context.socket(SocketType::Req)?;
        req.connect(endpoint)?;
        Ok(req)
    };
    let mut ways = Vec::new();
    let mut way = |name: &str, times: &Times| ways.push(told(name, args.time, times));

    let times = repeat(args.time, || once(&connected(endpoint)?, &body))?;
    way("a new socket for each call", &times);

    let req = context.socket(SocketType::Req)?;
    let times = repeat(args.time, || {
        req.connect(endpoint)?;
        once(&req, &body)?;
        Ok(req.disconnect(endpoint)?)
    })?;
    way("a new connection for each call", &times);

    let req = connected(endpoint)?;
    once(&req, &body)?;
    way(
        "a connection that is kept",
        &repeat(args.time, || once(&req, &body))?,
    );

    let times = many(args, || connected(endpoint), &body)?;
    let name = format!("{} clients at once, connections kept", args.clients);
    way(&name, &times);

    let (front, back) = (
        context.socket(SocketType::Router)?,
        context.socket(SocketType::Dealer)?,
    );
    back.connect(endpoint)?;
    let through = front.bind(HERE)?;
    let times = beside(
        &context,
        || _ = xebec::proxy(&front, &back, None),
        || {
            let req = connected(&through)?;
            repeat(args.time, || once(&req, &body))
        },
    )?;
    way("the same through a proxy on this machine", &times);

    let rest = self::context();
    let rep = rest.socket(SocketType::Rep)?;
    let inproc = rep.bind("inproc://calls")?;
    let times = beside(
        &rest,
        || _ = answer(&rep),
        || {
            let req = rest.socket(SocketType::Req)?;
            req.connect(&inproc)?;
            repeat(args.time, || once(&req, &body))
        },
    )?;
    way("between two threads, over inproc", &times);
    Ok(json!({ "size": args.size, "seconds": args.time.as_secs_f64(), "ways": ways }))
}

/// Works while a server runs in a thread, which ends with its context.
fn beside(
    context: &Context,
    server: impl FnOnce() + Send,
    work: impl FnOnce() -> anyhow::Result<Times>,
) -> anyhow::Result<Times> {
    thread::scope(|scope| {
        scope.spawn(server);
        let times = work();
        context.shutdown();
        times
    })
}

/// All clients at once, each in a thread; their times together.
fn many(
    args: &Calls,
    connected: impl Fn() -> anyhow::Result<Socket> + Sync,
    body: &Frame,
) -> anyhow::Result<Times> {
    thread::scope(|scope| {
        let client = || {
            let req = connected()?;
            once(&req, body)?;
            repeat(args.time, || once(&req, body))
        };
        let clients: Vec<_> = (0..args.clients).map(|_| scope.spawn(client)).collect();
        let mut all = Times::new_with_bounds(1, 60_000_000_000, 3)?;
        for client in clients {
            let times = client
                .join()
                .unwrap_or_else(|_| bail!("a client panicked"))?;
            all.add(times)?;
        }
        Ok(all)
    })
}

fn told(name: &str, time: Duration, times: &Times) -> Value {
    let micros = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
    json!({
        "way": name,
        "calls_per_second": times.len() as f64 / time.as_secs_f64(),
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
        "p999_us": micros(0.999),
    })
}

fn print(args: &Calls, report: &Value) -> anyhow::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "calls of {} from REQ to REP", size_text(args.size))?;
    writeln!(
        out,
        "{:<42} {:>9}  {:>9}  {:>9}",
        "", "calls/s", "p50", "p99"
    )?;
    for way in report["ways"].as_array().map_or(&[][..], |ways| ways) {
        let time = |name: &str| {
            humane(Duration::from_secs_f64(
                way[name].as_f64().unwrap_or_default() / 1e6,
            ))
        };
        writeln!(
            out,
            "{:<42} {:>9}  {:>9}  {:>9}",
            way["way"].as_str().unwrap_or_default(),
            grouped(way["calls_per_second"].as_f64().unwrap_or_default() as u64),
            time("p50_us"),
            time("p99_us")
        )?;
    }
    Ok(())
}
