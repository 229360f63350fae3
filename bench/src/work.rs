//! What the two ends of a workload do, whatever the library.
//!
//! The receiving side binds, the other connects. The rate of a one-way workload is taken where
//! the messages arrive, from the first to the last. Round trips are timed one by one, after some
//! that are not.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::child::Link;
use crate::library::{Context, Kind, Setting, Socket};
use crate::machine;
use crate::measurement::{Figures, Usage};
use crate::rows::{Row, Work};

/// Round trips before the clock runs: caches, buffers and the waiting settle.
const WARM_UP: usize = 1_000;

/// Messages that a process with many subscribers takes from each in turn. Less than the
/// high-water mark, so that no subscriber that waits for its turn stops the publisher.
const TURN: usize = 100;

/// How long idle connections are watched.
const IDLE: Duration = Duration::from_secs(1);

/// Room for every connection of a burst; the default would make most of them try again.
const BACKLOG: u32 = 4096;

/// The binding end.
pub(crate) fn bind(row: &Row, count: usize, context: &dyn Context, link: &Link) -> Figures {
    let bound = |kind: Kind, settings: &[Setting]| -> Box<dyn Socket> {
        let mut socket = context.socket(kind);
        settings.iter().for_each(|&setting| socket.set(setting));
        link.bound(&socket.bind(row.transport.endpoint()));
        socket
    };
    match row.work {
        Work::Stream => {
            let mut pull = bound(Kind::Pull, &[]);
            pull.recv_many(row.size, 1);
            let start = Instant::now();
            pull.recv_many(row.size, count - 1);
            Figures::timed(count - 1, start.elapsed())
        }
        Work::RoundTrip => {
            bound(Kind::Rep, &[]).echo(row.size, WARM_UP + count);
            Figures::default()
        }
        Work::Publish { subscribers } => {
            let mut publisher = bound(Kind::Xpub, &[Setting::NoDrop, Setting::Verbose]);
            // The subscriptions: a one and no prefix.
            publisher.recv_many(1, subscribers);
            publisher.send_many(&body(row), count);
            Figures::default()
        }
        Work::Window { .. } => {
            bound(Kind::Router, &[]).echo(row.size, WARM_UP + count);
            Figures::default()
        }
        Work::Idle => {
            let mut pull = bound(Kind::Pull, &[Setting::Backlog(BACKLOG)]);
            let before = machine::resident();
            pull.recv_many(row.size, 1);
            pull.recv_many(row.size, count - 1);
            link.say("arrived");
            let figures = idle("accepting", before, count);
            // The connections stay until the other end has been watched, too.
            link.wait();
            figures
        }
    }
}

/// The connecting end.
pub(crate) fn connect(
    row: &Row,
    count: usize,
    context: &dyn Context,
    endpoint: &str,
    link: &Link,
) -> Figures {
    let connected = |kind: Kind, settings: &[Setting]| -> Box<dyn Socket> {
        let mut socket = context.socket(kind);
        settings.iter().for_each(|&setting| socket.set(setting));
        socket.connect(endpoint);
        socket
    };
    let body = body(row);
    match row.work {
        Work::Stream => {
            connected(Kind::Push, &[]).send_many(&body, count);
            Figures::default()
        }
        Work::RoundTrip => {
            let mut req = connected(Kind::Req, &[]);
            let mut times = Vec::with_capacity(WARM_UP + count);
            req.round_trips(&body, WARM_UP, &mut times);
            times.clear();
            req.round_trips(&body, count, &mut times);
            Figures::round_trips(times)
        }
        Work::Publish { subscribers } => {
            let subscribe = |_| connected(Kind::Sub, &[Setting::Everything]);
            let mut all: Vec<_> = (0..subscribers).map(subscribe).collect();
            all[0].recv_many(row.size, 1);
            let start = Instant::now();
            all[0].recv_many(row.size, TURN - 1);
            all[1..]
                .iter_mut()
                .for_each(|sub| sub.recv_many(row.size, TURN));
            for done in (TURN..count).step_by(TURN) {
                let turn = TURN.min(count - done);
                all.iter_mut().for_each(|sub| sub.recv_many(row.size, turn));
            }
            Figures::timed(count * subscribers - 1, start.elapsed())
        }
        Work::Window { outstanding } => {
            let mut dealer = connected(Kind::Dealer, &[]);
            dealer.keep_under_way(&body, outstanding, WARM_UP);
            let start = Instant::now();
            dealer.keep_under_way(&body, outstanding, count);
            Figures::timed(count, start.elapsed())
        }
        Work::Idle => {
            let mut push = context.socket(Kind::Push);
            let before = machine::resident();
            let start = Instant::now();
            (0..count).for_each(|_| push.connect(endpoint));
            // PUSH gives each connection one.
            push.send_many(&body, count);
            link.wait();
            let taken = start.elapsed();
            let mut figures = idle("connecting", before, count);
            figures.add("seconds", taken.as_secs_f64());
            figures
        }
    }
}

fn body(row: &Row) -> Bytes {
    vec![b'x'; row.size].into()
}

/// What the connections of a process cost that nobody uses: the memory of each, and the
/// processor time of all.
fn idle(end: &str, resident_before: f64, count: usize) -> Figures {
    let mut figures = Figures::default();
    // What the last messages have started ends first.
    thread::sleep(IDLE / 2);
    let before = Usage::now();
    thread::sleep(IDLE);
    figures.add("idle_cpu", Usage::since(&before).cpu / IDLE.as_secs_f64());
    let each = (machine::resident() - resident_before) / count as f64;
    figures.add(&format!("{end}_bytes"), each);
    figures
}
