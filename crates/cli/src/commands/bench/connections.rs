//! `bench connections`: what idle connections cost the process that holds them.
//!
//! This process holds the accepted ends; a child process makes the connections, so that its memory
//! is not counted. Memory is the growth of the resident set, from a socket that is bound to a socket
//! with all connections established, divided by their number; what the kernel keeps for a connection
//! is not in it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use xebec::{Context, EventKind, Monitor, Pull, Push};

use super::processor_time;
use crate::args::BenchConnector;
use crate::commands::open;
use crate::interrupt;
use crate::quantity::{grouped, humane};

/// Descriptors that a process needs besides its connections.
const SPARE: u64 = 256;

/// How long the connections may take to come about, without any progress.
const PATIENCE: Duration = Duration::from_secs(20);

/// Holds `count` idle connections and tells what they cost.
pub(in crate::commands) fn run(count: u64, idle: Duration, json: bool) -> anyhow::Result<()> {
    if count == 0 || count > 28_000 {
        bail!(
            "--count goes from 1 to 28,000: there are no more ports on one address to connect from"
        );
    }
    raise_descriptor_limit(count + SPARE)?;
    let context = Context::new();
    let pull = Pull::new(&context)?;
    pull.set("backlog", "4096")?;
    let monitor = pull.monitor();
    let endpoint = pull.bind("tcp://127.0.0.1:*")?;
    let before = resident()?;
    let start = Instant::now();
    let child = Connector::start(&endpoint, count)?;
    wait_for(&monitor, count)?;
    let time = start.elapsed();
    let memory = resident()?.saturating_sub(before);
    let busy = processor_time();
    let until = Instant::now() + idle;
    while Instant::now() < until {
        open::wait(None, None, Some(until))?;
    }
    let busy = processor_time() - busy;
    let held = pull.stats().connections;
    drop(child);
    if held < count {
        bail!(
            "{} of {} connections were lost while idle",
            count - held,
            grouped(count)
        );
    }
    let each = memory as f64 / count as f64;
    let mut out = io::stdout();
    if json {
        let report = json!({
            "connections": count,
            "bytes_per_connection": each,
            "connect_seconds": time.as_secs_f64(),
            "idle_seconds": idle.as_secs_f64(),
            "idle_cpu_seconds": busy.as_secs_f64(),
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(
            out,
            "{} idle connections held by one PULL over tcp",
            grouped(count)
        )?;
        writeln!(
            out,
            "memory      {each:.0} bytes a connection ({:.1} MB in all)",
            memory as f64 / 1e6
        )?;
        writeln!(out, "established in {}", humane(time))?;
        writeln!(
            out,
            "processor   {} in {} of idleness",
            humane(busy),
            humane(idle)
        )?;
    }
    Ok(())
}

/// Waits until `count` handshakes are done.
fn wait_for(monitor: &Monitor, count: u64) -> anyhow::Result<()> {
    let mut done = 0;
    let mut progress = Instant::now();
    while done < count {
        interrupt::check()?;
        match monitor.recv_timeout(Duration::from_millis(100)) {
            Some(event) if event.kind == EventKind::HandshakeSucceeded => {
                done += 1;
                progress = Instant::now();
            }
            Some(event) if event.kind == EventKind::AcceptFailed => {
                bail!(
                    "a connection was refused: {}",
                    event.cause.unwrap_or_default()
                );
            }
            _ if progress.elapsed() > PATIENCE => {
                bail!(
                    "only {} of {} connections came about",
                    grouped(done),
                    grouped(count)
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// The child; it goes when this does.
struct Connector(Child);

impl Connector {
    fn start(endpoint: &str, count: u64) -> anyhow::Result<Self> {
        let program =
            std::env::current_exe().context("cannot find this program to start the other end")?;
        let child = Command::new(program)
            .args(["bench-connector", endpoint, &count.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start the other end")?;
        Ok(Connector(child))
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Fails only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes connections and keeps them until standard input closes.
pub(in crate::commands) fn connector(args: &BenchConnector) -> anyhow::Result<()> {
    raise_descriptor_limit(args.count + SPARE)?;
    let context = Context::new();
    let push = Push::new(&context)?;
    push.set("linger", "0")?;
    for _ in 0..args.count {
        push.connect(&args.endpoint)?;
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Lets this process have `wanted` descriptors, if it may.
fn raise_descriptor_limit(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum.map(|maximum| maximum.max(wanted)),
    };
    setrlimit(Resource::Nofile, raised).or_else(|_| {
        bail!(
            "{} open files are needed and the limit is {}: raise it (ulimit -Hn) or lower --count",
            grouped(wanted),
            grouped(limit.maximum.unwrap_or_default())
        )
    })
}

/// The bytes of this process that are in memory.
fn resident() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")
        .context("cannot tell how much memory this process uses")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kib| kib * 1024)
        .context("/proc/self/status does not tell VmRSS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told() {
        assert!(resident().unwrap() > 100_000);
    }

    #[test]
    fn a_low_limit_is_enough_for_little() {
        raise_descriptor_limit(3).unwrap();
    }
}
