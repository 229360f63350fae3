//! `demo`: the Guide's parallel pipeline with a kill signal, counting the words of a real text.
//!
//! ```text
//!            lines                       counts
//! ventilator ──────► PULL worker 1 PUSH ───────► PULL
//!    PUSH    ──────► PULL worker 2 PUSH ───────► sink
//!            ──────► PULL worker n PUSH ───────► PUB ─── kill signal to all workers (SUB)
//! ```
//!
//! Ventilator and sink are two threads of this process, the workers are processes of their own
//! ([`worker`]); everything between them goes over tcp. Nobody sleeps to let others get ready: a
//! worker is ready when it has said so, the ventilator has shaken hands with it and it has
//! subscribed to the kill signal. The publisher is an XPUB, that is, a PUB which can see the latter.
//!
//! A worker's standard output is a pipe that it never writes to: when it closes, the worker is gone.
//! Its standard input is a pipe that we never write to: when we are gone, the worker sees it close.

mod text;
mod words;
pub(super) mod worker;

use std::fmt;
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use xebec::{
    Context, EventKind, Interest, Message, Monitor, PollError, PollItem, Pull, Push, RecvError,
    SendErrorKind, Xpub, poll,
};

use self::text::Text;
use self::words::Words;
use crate::args::Demo;
use crate::console::say;
use crate::interrupt;
use crate::quantity::{grouped, humane};

/// Where the sockets are bound.
const ANYWHERE: &str = "tcp://127.0.0.1:*";

/// How long workers may take to be ready, and to leave.
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts the words of a text in parallel and compares with a single-threaded count.
pub(super) fn run(args: Demo) -> anyhow::Result<()> {
    interrupt::end_at_once(true);
    let text = match &args.file {
        Some(file) => Text::read(file)?,
        None => Text::find(),
    };
    let lines = text.lines().count() as u64;
    let mut out = io::stdout();
    writeln!(
        out,
        "text      {} lines, {:.1} MB: {}",
        grouped(lines),
        megabytes(text.body.len() as u64),
        text.origin
    )?;
    let workers = args.workers.unwrap_or_else(|| {
        let processors = thread::available_parallelism().map_or(2, |n| n.get());
        processors.clamp(2, 256) as u16
    });

    // Once there are workers, a signal must not end this process before them.
    interrupt::end_at_once(false);
    let mut pipeline = Pipeline::new(workers)?;
    pipeline.wait_until_ready()?;
    let outcome = pipeline.count(&text, lines)?;
    pipeline.finish()?;
    interrupt::end_at_once(true);

    let start = Instant::now();
    let mut alone = Words::default();
    alone.count(&text.body);
    let alone_time = start.elapsed();
    summarise(&outcome, workers, lines)?;
    writeln!(
        out,
        "alone     a single-threaded count takes {}",
        humane(alone_time)
    )?;
    if alone != outcome.words {
        bail!("the pipeline's counts and the single-threaded counts differ");
    }
    writeln!(out, "result    equal")?;
    Ok(())
}

/// What came out of the pipeline.
struct Outcome {
    words: Words,
    time: Duration,
    bytes: u64,
    /// Lines counted by each worker.
    shares: Vec<u64>,
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn summarise(outcome: &Outcome, workers: u16, lines: u64) -> io::Result<()> {
    let mut out = io::stdout();
    let seconds = outcome.time.as_secs_f64().max(1e-9);
    writeln!(
        out,
        "pipeline  {} lines through {workers} worker processes in {}: {} messages/s, {:.1} MB/s",
        grouped(lines),
        humane(outcome.time),
        grouped((lines as f64 / seconds) as u64),
        megabytes(outcome.bytes) / seconds
    )?;
    let share = |(n, share): (usize, &u64)| {
        format!(
            "{}: {:.1} %",
            n + 1,
            100.0 * *share as f64 / lines.max(1) as f64
        )
    };
    let shares: Vec<String> = outcome.shares.iter().enumerate().map(share).collect();
    writeln!(out, "workers   {}", shares.join("  "))?;
    writeln!(
        out,
        "words     {}, of which {} different; the commonest:",
        grouped(outcome.words.total()),
        grouped(outcome.words.different() as u64)
    )?;
    for (word, count) in outcome.words.commonest(10) {
        writeln!(
            out,
            "          {:>12}  {}",
            grouped(count),
            String::from_utf8_lossy(word)
        )?;
    }
    Ok(())
}

/// The worker processes; those that are left when this goes are killed.
struct Workers(Vec<Child>);

impl Workers {
    fn start(count: u16, ventilator: &str, sink: &str, control: &str) -> anyhow::Result<Self> {
        let program =
            std::env::current_exe().context("cannot find this program to start workers")?;
        let mut workers = Workers(Vec::new());
        for number in 0..count {
            let child = Command::new(&program)
                .args([
                    "demo-worker",
                    &number.to_string(),
                    ventilator,
                    sink,
                    control,
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start worker {}", number + 1))?;
            workers.0.push(child);
        }
        Ok(workers)
    }

    /// Items that become readable when a worker ends.
    fn ends(&self) -> impl Iterator<Item = PollItem<'_>> {
        self.0
            .iter()
            .filter_map(|child| child.stdout.as_ref())
            .map(|stdout| PollItem::fd(stdout, Interest::READ))
    }

    /// The end of worker `n`, which has closed its output, as an error.
    fn obituary(&mut self, n: usize) -> anyhow::Error {
        match self.0[n].wait() {
            Ok(status) => anyhow::anyhow!(
                "worker {} (process {}) died in the middle of its work ({status}); start the demo again",
                n + 1,
                self.0[n].id()
            ),
            Err(error) => error.into(),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Fails only for those that are gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What woke the sink.
enum Woken {
    /// Something arrived at the sink or at the control socket, or nothing did in time.
    Traffic,
    /// This worker closed its output.
    Ended(usize),
}

/// The sockets of this process, and the workers.
struct Pipeline {
    ventilator: Push,
    shaken: Monitor,
    sink: Pull,
    control: Xpub,
    workers: Workers,
    // Last, so that the sockets are closed before it waits for them.
    context: Context,
}

impl Pipeline {
    fn new(count: u16) -> anyhow::Result<Self> {
        let context = Context::new();
        let ventilator = Push::new(&context)?;
        let shaken = ventilator.monitor();
        let sink = Pull::new(&context)?;
        let control = Xpub::new(&context)?;
        // Otherwise only the first of several equal subscriptions is told.
        control.set("xpub_verbose", "1")?;
        ventilator.set("linger", "0")?;
        let workers = Workers::start(
            count,
            &ventilator.bind(ANYWHERE)?,
            &sink.bind(ANYWHERE)?,
            &control.bind(ANYWHERE)?,
        )?;
        Ok(Pipeline {
            ventilator,
            shaken,
            sink,
            control,
            workers,
            context,
        })
    }

    /// Sleeps until something arrives or a worker ends, for `patience` at most.
    fn wait(&self, patience: Duration) -> anyhow::Result<Woken> {
        let signal = interrupt::fd();
        let mut items = vec![
            PollItem::fd(&signal, Interest::READ),
            PollItem::socket(&self.sink, Interest::READ),
            PollItem::socket(&self.control, Interest::READ),
        ];
        let own = items.len();
        items.extend(self.workers.ends());
        match poll(&mut items, Some(patience)) {
            Ok(_) | Err(PollError::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        interrupt::check()?;
        Ok(match items[own..].iter().position(PollItem::is_readable) {
            Some(n) => Woken::Ended(n),
            None => Woken::Traffic,
        })
    }

    /// Waits until every worker has said that it is there, has shaken hands with the ventilator and
    /// has subscribed to the kill signal.
    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let wanted = self.workers.0.len();
        let (mut ready, mut shaken, mut subscribed) = (0, 0, 0);
        let deadline = Instant::now() + PATIENCE;
        while ready.min(shaken).min(subscribed) < wanted {
            if Instant::now() > deadline {
                bail!(
                    "of {wanted} workers only {} were ready after {PATIENCE:?}",
                    ready.min(shaken).min(subscribed)
                );
            }
            // Handshakes are told by a monitor, which cannot be polled together with sockets; they
            // are over, or nearly so, once the same worker's other sockets have been heard from.
            let patience = match ready.min(subscribed) == wanted {
                true => Duration::from_millis(1),
                false => PATIENCE,
            };
            if let Woken::Ended(n) = self.wait(patience)? {
                return Err(self.workers.obituary(n));
            }
            while self.sink.try_recv().is_ok() {
                ready += 1;
            }
            while self.control.try_recv().is_ok() {
                subscribed += 1;
            }
            while let Some(event) = self.shaken.try_recv() {
                shaken += usize::from(event.kind == EventKind::HandshakeSucceeded);
            }
        }
        Ok(())
    }

    /// Sends all lines and gathers all counts.
    fn count(&mut self, text: &Text, lines: u64) -> anyhow::Result<Outcome> {
        let mut progress = Progress::new(lines);
        let start = Instant::now();
        let mut outcome = Outcome {
            words: Words::default(),
            time: Duration::ZERO,
            bytes: 0,
            shares: vec![0; self.workers.0.len()],
        };
        let ventilator = &self.ventilator;
        let gathered = thread::scope(|scope| {
            let sending = scope.spawn(|| ventilate(ventilator, text));
            let gathered = self.gather(lines, &mut outcome, &mut progress);
            if gathered.is_err() {
                // Ends the ventilator's wait for workers that will not come.
                self.context.shutdown();
            }
            let sent = sending
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the ventilator panicked")));
            gathered.and_then(|ended| sent.map(|()| ended))
        });
        progress.clear();
        outcome.time = start.elapsed();
        match gathered? {
            Some(n) => Err(self.workers.obituary(n)),
            None => Ok(outcome),
        }
    }

    /// Gathers counts until all lines are counted; or returns the number of a worker that ended.
    fn gather(
        &self,
        lines: u64,
        outcome: &mut Outcome,
        progress: &mut Progress,
    ) -> anyhow::Result<Option<usize>> {
        let mut counted = 0;
        while counted < lines {
            match self.sink.try_recv() {
                Ok(message) => {
                    counted +=
                        take(&message, outcome).context("a worker's report cannot be read")?
                }
                Err(RecvError::WouldBlock) => {
                    if let Woken::Ended(n) = self.wait(Duration::from_millis(200))? {
                        self.context.shutdown();
                        return Ok(Some(n));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            progress.show(counted);
        }
        Ok(None)
    }

    /// Publishes the kill signal and waits until all workers are gone.
    fn finish(mut self) -> anyhow::Result<()> {
        self.control.send("KILL")?;
        let deadline = Instant::now() + PATIENCE;
        while !self.workers.0.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Woken::Ended(n) = self.wait(left)? {
                let status = self.workers.0.swap_remove(n).wait()?;
                if !status.success() {
                    bail!("worker {} failed after its work was done ({status})", n + 1);
                }
            } else if left.is_zero() {
                say(format_args!(
                    "{} workers did not obey the kill signal; they are ended by force",
                    self.workers.0.len()
                ));
                break;
            }
        }
        Ok(())
    }
}

/// The ventilator: one message a line.
fn ventilate(ventilator: &Push, text: &Text) -> anyhow::Result<()> {
    for line in text.lines() {
        let mut line = Message::from(line);
        loop {
            match ventilator.send(line) {
                Ok(()) => break,
                Err(error) => match error.kind {
                    SendErrorKind::Interrupted => line = error.message,
                    // The sink has seen why.
                    SendErrorKind::Terminated => return Ok(()),
                    _ => bail!(error),
                },
            }
        }
    }
    Ok(())
}

/// Takes one worker's report in; the number of lines that it is about.
fn take(message: &Message, outcome: &mut Outcome) -> Option<u64> {
    let number = |frame: usize| {
        Some(u64::from_be_bytes(
            message.frame(frame)?.as_bytes().try_into().ok()?,
        ))
    };
    let worker = u16::from_be_bytes(message.first().as_bytes().try_into().ok()?);
    let lines = number(1)?;
    outcome.bytes += number(2)?;
    *outcome.shares.get_mut(usize::from(worker))? += lines;
    outcome.words.merge(message.frame(3)?)?;
    Some(lines)
}

/// How far the sink has come: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: u64,
    /// When the next line is due, where there is no bar.
    due: Instant,
}

impl Progress {
    const PERIOD: Duration = Duration::from_secs(2);

    fn new(lines: u64) -> Self {
        let style =
            "counting  {wide_bar} {percent:>3} %  {human_pos} lines  {rate} lines/s  {eta} left";
        let bar = ProgressBar::new(lines);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.with_key(
                "rate",
                |state: &ProgressState, out: &mut dyn fmt::Write| {
                    // Only a broken terminal refuses it.
                    let _ = out.write_str(&grouped(state.per_sec() as u64));
                },
            ));
        }
        Progress {
            bar,
            lines,
            due: Instant::now() + Progress::PERIOD,
        }
    }

    fn show(&mut self, counted: u64) {
        self.bar.set_position(counted);
        if self.bar.is_hidden() && Instant::now() >= self.due {
            self.due += Progress::PERIOD;
            say(format_args!(
                "counted {} of {} lines",
                grouped(counted),
                grouped(self.lines)
            ));
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// For tests of the parts that need no processes.
#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn reports_are_checked() {
        let mut outcome = Outcome {
            words: Words::default(),
            time: Duration::ZERO,
            bytes: 0,
            shares: vec![0; 2],
        };
        let report = |worker: u16, counts: &[u8]| {
            let mut message = Message::from(worker.to_be_bytes());
            message.push_back(3u64.to_be_bytes());
            message.push_back(30u64.to_be_bytes());
            message.push_back(counts);
            message
        };
        assert_eq!(take(&report(1, b""), &mut outcome), Some(3));
        assert_eq!((outcome.shares.clone(), outcome.bytes), (vec![0, 3], 30));
        assert_eq!(take(&report(2, b""), &mut outcome), None, "no such worker");
        assert_eq!(take(&report(0, b"junk"), &mut outcome), None);
        assert_eq!(take(&Message::from(0u16.to_be_bytes()), &mut outcome), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Text::read(Path::new("/nowhere/text")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/text"));
    }
}
