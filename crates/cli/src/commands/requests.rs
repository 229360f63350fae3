//! `req` and `rep`: request and reply, strictly in turn.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use xebec::{Message, SocketType};

use super::exchange;
use super::open::{self, Opened};
use crate::args::{Duplex, Limits, Replier};
use crate::codec::{Codec, Format};
use crate::console::{Talk, say};
use crate::failure::Stop;
use crate::input::{Input, Next};
use crate::output::Printer;

/// `req`: each input is a request, each reply is printed.
pub(super) fn req(args: Duplex) -> anyhow::Result<()> {
    let input = exchange::input(&args.input, &args.format, SocketType::Req)?;
    let printer = exchange::printer(&args.format, SocketType::Req)?;
    let opened = Opened::new(SocketType::Req, &args.endpoints, &args.socket, &[])?;
    let outcome = ask(
        &opened,
        input,
        printer,
        &args.limits,
        exchange::pause(&args.input),
    );
    opened.close(outcome)
}

fn ask(
    opened: &Opened,
    mut input: Input,
    mut printer: Printer,
    limits: &Limits,
    pause: Duration,
) -> anyhow::Result<()> {
    let mut due = Instant::now();
    let mut done = 0;
    while limits.count.is_none_or(|count| done < count) {
        let request = match input.next()? {
            Next::Message(message) => message,
            Next::End => break,
            Next::Wait => {
                if open::wait(None, input.fd(), None)? {
                    input.fill()?;
                }
                continue;
            }
        };
        while Instant::now() < due {
            open::wait(None, None, Some(due))?;
        }
        due = Instant::now() + pause;
        done += 1;
        opened.send(request, limits.timeout)?;
        let reply = opened.recv(limits.timeout)?.ok_or_else(|| {
            Stop::Timeout(format!(
                "no reply to request {done} within {:?}: is a REP or ROUTER running at {}, and answering?",
                limits.timeout.unwrap_or_default(),
                opened.whereabouts
            ))
        })?;
        printer.print(&reply)?;
        printer.flush()?;
    }
    Ok(())
}

/// How `rep` finds its replies.
enum Answer {
    Echo,
    Fixed(Message),
    Command(Filter),
}

/// `rep`: answers requests.
pub(super) fn rep(args: Replier) -> anyhow::Result<()> {
    let receiver = &args.receiver;
    let codec = exchange::reply_codec(&receiver.format)?;
    let answer = match (&args.exec, &args.reply) {
        (Some(command), _) => Answer::Command(Filter {
            command: command.clone(),
            codec,
        }),
        (_, Some(reply)) => {
            let wrong = |why| Stop::Usage(format!("--reply {reply}: {why}"));
            Answer::Fixed(codec.decode(reply.as_bytes()).map_err(wrong)?)
        }
        _ => Answer::Echo,
    };
    let printer = exchange::printer(&receiver.format, SocketType::Rep)?;
    let opened = Opened::new(SocketType::Rep, &receiver.endpoints, &receiver.socket, &[])?;
    let outcome = reply(&opened, &answer, printer, &receiver.limits);
    opened.close(outcome)
}

fn reply(
    opened: &Opened,
    answer: &Answer,
    mut printer: Printer,
    limits: &Limits,
) -> anyhow::Result<()> {
    let mut done = 0;
    while limits.count.is_none_or(|count| done < count) {
        let Some(request) = opened.recv(limits.timeout)? else {
            let silence = format!(
                "no request within {:?}, after {done}",
                limits.timeout.unwrap_or_default()
            );
            return Err(Stop::Timeout(silence).into());
        };
        done += 1;
        if opened.talk != Talk::Quiet {
            printer.print(&request)?;
            printer.flush()?;
        }
        let reply = match answer {
            Answer::Echo => request,
            Answer::Fixed(reply) => reply.clone(),
            Answer::Command(filter) => filter.answer(&request)?,
        };
        opened.send(reply, None)?;
    }
    Ok(())
}

/// A shell command that turns requests into replies.
pub(super) struct Filter {
    pub(super) command: String,
    pub(super) codec: Codec,
}

/// Ends the command and what it started, however the wait for it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Some(group)) = (self.0.try_wait(), Pid::from_raw(self.0.id() as i32)) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

impl Filter {
    /// Runs the command over one request. An empty reply, and a word on standard error, if it fails.
    pub(super) fn answer(&self, request: &Message) -> anyhow::Result<Message> {
        let mut frames = Vec::new();
        for (i, frame) in request.frames().enumerate() {
            if i > 0 {
                frames.extend_from_slice(&self.codec.join);
            }
            frames.extend_from_slice(frame);
        }
        // A group of its own, so that Ctrl-C on the terminal stops it through us and not before us.
        let child = Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start a shell (sh) for --exec")?;
        let mut running = Running(child);
        let stdin = running.0.stdin.take();
        // On its own thread, for requests and replies that are larger than a pipe.
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&frames)));
        let output = read_to_end(&mut running.0)?;
        let status = running.0.wait()?;
        if !status.success() {
            say(format_args!(
                "`{}` failed ({status}); the reply is empty",
                self.command
            ));
            return Ok(Message::new());
        }
        Ok(self.reply(output))
    }

    fn reply(&self, mut output: Vec<u8>) -> Message {
        if self.codec.format != Format::Raw && output.last() == Some(&b'\n') {
            output.pop();
        }
        // Output is bytes, whatever the format of what is printed here: only frames are split.
        let plain = Codec {
            format: Format::Raw,
            ..self.codec.clone()
        };
        plain.decode(&output).unwrap_or_else(|_| output.into())
    }
}

/// What the child writes until it closes its output; a signal ends the wait.
fn read_to_end(child: &mut Child) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let Some(stdout) = child.stdout.take() else {
        return Ok(out);
    };
    loop {
        if !open::wait(None, Some(stdout.as_fd()), None)? {
            continue;
        }
        let len = out.len();
        out.resize(len + 64 * 1024, 0);
        let read = rustix::io::read(&stdout, &mut out[len..])?;
        out.truncate(len + read);
        if read == 0 {
            return Ok(out);
        }
    }
}
