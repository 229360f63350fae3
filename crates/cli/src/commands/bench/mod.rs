//! `bench`: what messages and connections cost.
//!
//! Both ends are run here unless `--server` or `--client` asks for one of them: over tcp and ipc
//! the connecting end is a child process (this program with `--client … --json`, whose one line of
//! output is read back), over inproc it is a thread. Processor time is that of all processes
//! concerned, start-up included, so short runs flatter nobody.

pub(super) mod calls;
pub(super) mod connections;
pub(super) mod latency;
pub(super) mod throughput;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use xebec::{Context, Message, Options, RecvError, SendErrorKind, Socket, SocketType};

use super::{options, watch};
use crate::args::{BenchEnds, Transport};
use crate::interrupt;

/// The processor time that this process has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Where the binding end is bound when both ends are run here.
fn endpoint(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp://127.0.0.1:*",
        Transport::Ipc => "ipc://*",
        Transport::Inproc => "inproc://bench",
    }
}

/// A context whose calls end when a signal comes.
fn context() -> Context {
    let context = Context::new();
    watch::shut_down_on_signal(context.clone());
    context
}

/// A socket with the options of the command line.
fn socket(context: &Context, kind: SocketType, ends: &BenchEnds) -> anyhow::Result<Socket> {
    let mut options = Options::new();
    for assignment in &ends.set {
        options::assign(&mut options, kind, assignment)?;
    }
    Ok(context.socket_with(kind, options)?)
}

/// The connecting end as a child process, killed if this goes before it is done.
struct Client(Child);

impl Client {
    fn start(what: &str, endpoint: &str, ends: &BenchEnds, count: u64) -> anyhow::Result<Self> {
        Self::start_with(what, endpoint, |command| {
            command.args(["--size", &ends.size.to_string()]);
            command.args(["--count", &count.to_string()]);
            for assignment in &ends.set {
                command.args(["--set", assignment]);
            }
        })
    }

    /// With whatever arguments the benchmark has.
    fn start_with(
        what: &str,
        endpoint: &str,
        arguments: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let program =
            std::env::current_exe().context("cannot find this program to start the other end")?;
        let mut command = Command::new(program);
        command.args(["bench", what, "--json", "--client", endpoint]);
        arguments(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the other end")?;
        Ok(Client(child))
    }

    /// What the child says about its run.
    fn report(mut self) -> anyhow::Result<Value> {
        let mut text = String::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)?;
        }
        let status = self.0.wait()?;
        interrupt::check()?;
        if !status.success() {
            bail!("the other end failed ({status})");
        }
        serde_json::from_str(&text).context("the other end's report cannot be read")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Fails only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends; a signal that asks to stop is told as such.
fn send(socket: &Socket, message: impl Into<Message>) -> anyhow::Result<()> {
    let mut message = message.into();
    loop {
        match socket.send(message) {
            Ok(()) => return Ok(()),
            Err(error) => {
                interrupt::check()?;
                if error.kind != SendErrorKind::Interrupted {
                    return Err(error.into());
                }
                message = error.message;
            }
        }
    }
}

/// Receives, in the same way.
fn recv(socket: &Socket) -> anyhow::Result<Message> {
    let mut message = Message::new();
    recv_into(socket, &mut message)?;
    Ok(message)
}

/// Receives in the place of another message, in the same way.
fn recv_into(socket: &Socket, message: &mut Message) -> anyhow::Result<()> {
    loop {
        match socket.recv_into(message) {
            Ok(()) => return Ok(()),
            Err(error) => {
                interrupt::check()?;
                if error != RecvError::Interrupted {
                    return Err(error.into());
                }
            }
        }
    }
}

/// A number of seconds in a report.
fn seconds(report: &Value, name: &str) -> Duration {
    Duration::try_from_secs_f64(report[name].as_f64().unwrap_or_default()).unwrap_or_default()
}

/// `8 KiB`, `64 B`.
fn size_text(size: usize) -> String {
    match size {
        0 => "0 B".into(),
        size if size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}

/// `over tcp`, or where the one end is.
fn whereabouts(ends: &BenchEnds) -> String {
    match (&ends.server, &ends.client) {
        (Some(endpoint), _) | (_, Some(endpoint)) => format!("at {endpoint}"),
        _ => format!("over {}", format!("{:?}", ends.transport).to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(size_text(64), "64 B");
        assert_eq!(size_text(8192), "8 KiB");
        assert_eq!(size_text(1 << 20), "1 MiB");
        assert_eq!(size_text(0), "0 B");
    }

    #[test]
    fn processor_time_passes() {
        let before = processor_time();
        let mut sum = 0u64;
        while processor_time() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(processor_time() > before);
    }
}
