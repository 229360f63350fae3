//! What the ends of a workload do, whatever the library.
//!
//! The receiving side binds, the other connects. The rate of a one-way workload is taken where
//! the messages arrive. Round trips are timed one by one, after some that are not. Processor time
//! and context switches are counted at either end while the work goes on that is timed: not the
//! making of connections, but everything until all that was sent has arrived.

use std::mem;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::child::Task;
use crate::library::{Job, Kind, Peer, Setting, Socket};
use crate::machine;
use crate::measurement::{Figures, Phase};
use crate::rows::{Keep, Row, Work};

/// Round trips before the clock runs: caches, buffers and the waiting settle.
const WARM_UP: usize = 1_000;

/// Messages that a process with many sockets takes from each in turn. Less than the high-water
/// mark, so that no subscriber that waits for its turn stops the publisher.
const TURN: usize = 100;

/// So many sockets stand for all, where there are more.
const SOCKETS: usize = 100;

/// How long idle connections are watched, and busy ones.
const WATCHED: Duration = Duration::from_secs(1);

/// Connections that carry a message a second get them in so many portions.
const PORTIONS: u32 = 100;

/// Room for every connection of a burst; the default would make most of them try again.
const BACKLOG: u32 = 4096;

/// The bytes of a topic.
const TOPIC: usize = 7;

/// What a workload sets at the end that binds, or at the other.
fn settings(row: &Row, binds: bool, more: &[Setting]) -> Vec<Setting> {
    let mut settings = more.to_vec();
    if row.no_spin {
        settings.push(Setting::NoSpin);
    }
    if row.curve {
        let (server, client) = (Setting::CurveServer, Setting::CurveClient);
        settings.push(if binds { server } else { client });
    }
    settings
}

async fn bound<P: Peer>(peer: &P, task: &Task, kind: Kind, more: &[Setting]) -> P::Socket {
    let mut socket = peer.socket(kind, &settings(task.row, true, more));
    let mut endpoints = Vec::new();
    for _ in 0..shares(task.row).1 {
        endpoints.push(socket.bind(task.row.transport.endpoint()).await);
    }
    P::meanwhile(|| task.link.bound(&endpoints.join(" ")));
    socket
}

/// How many SUBs or DEALERs there are, and how many connections each of them has. A process may not
/// have descriptors for ten thousand sockets, and some libraries connect a socket to an endpoint
/// only once: so each goes to so many endpoints of the other end.
fn shares(row: &Row) -> (usize, usize) {
    let all = match row.work {
        Work::Publish { subscribers } => subscribers,
        Work::Window { dealers, .. } => dealers,
        _ => 1,
    };
    let sockets = all.min(SOCKETS);
    (sockets, all / sockets)
}

fn unconnected<P: Peer>(peer: &P, row: &Row, kind: Kind, more: &[Setting]) -> P::Socket {
    peer.socket(kind, &settings(row, false, more))
}

/// The binding end.
pub(crate) async fn bind<P: Peer>(peer: P, task: Task) -> Figures {
    let (row, count) = (task.row, task.count);
    let meet = || P::meanwhile(|| task.link.meet());
    match row.work {
        Work::Stream { connections } => {
            let mut settings = vec![];
            if connections > 1 {
                settings.push(Setting::Backlog(BACKLOG));
            }
            let mut pull = bound(&peer, &task, Kind::Pull, &settings).await;
            pull.recv_many(row.size, connections).await;
            if connections > 1 {
                meet();
            }
            let phase = Phase::begin();
            pull.recv_many(row.size, count).await;
            let figures = phase.end(count);
            meet();
            pull.close().await;
            figures
        }
        Work::RoundTrip => {
            let mut rep = bound(&peer, &task, Kind::Rep, &[]).await;
            rep.echo_many(row.size, WARM_UP).await;
            let phase = Phase::begin();
            rep.echo_many(row.size, count).await;
            let figures = phase.usage();
            meet();
            rep.close().await;
            figures
        }
        Work::Publish { subscribers } => {
            let settings = [Setting::NoDrop, Setting::Verbose, Setting::Backlog(BACKLOG)];
            let mut publisher = bound(&peer, &task, Kind::Xpub, &settings).await;
            publisher.subscribed(subscribers, 0).await;
            let body = body(row);
            publisher.send_many(&body, 1).await;
            meet();
            let phase = Phase::begin();
            publisher.send_many(&body, count).await;
            meet();
            let figures = phase.usage();
            publisher.close().await;
            figures
        }
        Work::Window { dealers, .. } => {
            let settings = [Setting::Backlog(BACKLOG)];
            let mut router = bound(&peer, &task, Kind::Router, &settings).await;
            router.echo_many(row.size, dealers).await;
            meet();
            let phase = Phase::begin();
            router.echo_many(row.size, requests(row, count)).await;
            meet();
            let figures = phase.usage();
            router.close().await;
            figures
        }
        Work::Proxy { .. } => {
            let mut front = peer.socket(Kind::Router, &settings(row, true, &[]));
            let mut back = peer.socket(Kind::Dealer, &settings(row, true, &[]));
            let clients = front.bind(row.transport.endpoint()).await;
            let workers = back.bind(row.transport.endpoint()).await;
            let phase = Phase::begin();
            peer.proxy(front, back);
            P::meanwhile(|| task.link.bound(&format!("{clients} {workers}")));
            meet();
            phase.usage()
        }
        Work::Connections => {
            let settings = [Setting::Backlog(BACKLOG)];
            let mut pull = bound(&peer, &task, Kind::Pull, &settings).await;
            let before = machine::resident();
            pull.recv_many(row.size, count).await;
            meet();
            let mut figures = P::meanwhile(|| idle("accepting", before, count));
            meet();
            let phase = Phase::begin();
            pull.recv_many(row.size, count).await;
            figures.add("busy_cpu", phase.cpu());
            meet();
            pull.close().await;
            figures
        }
        Work::Calls { .. } => {
            let settings = [Setting::Backlog(BACKLOG)];
            let mut rep = bound(&peer, &task, Kind::Rep, &settings).await;
            rep.echo_many(row.size, 1).await;
            let phase = Phase::begin();
            rep.echo_many(row.size, count).await;
            let figures = phase.usage();
            meet();
            rep.close().await;
            figures
        }
        Work::Subscriptions { topics } => {
            let mut publisher = bound(&peer, &task, Kind::Xpub, &[Setting::Unbounded]).await;
            let before = machine::resident();
            publisher.subscribed(topics, TOPIC).await;
            let mut figures = Figures::default();
            figures.add("subscription_bytes", machine::resident() - before);
            figures.add("topics", topics as f64);
            let bodies = near_misses(row.size, topics);
            // Everything that a match touches is in the caches that it fits into.
            for body in &bodies {
                publisher.send(body).await;
            }
            let phase = Phase::begin();
            for body in bodies.iter().cycle().take(count) {
                publisher.send(body).await;
            }
            figures.merge(&phase.end(count));
            meet();
            publisher.close().await;
            figures
        }
    }
}

/// The connecting end.
pub(crate) async fn connect<P: Peer>(peer: P, task: Task) -> Figures {
    let (row, count) = (task.row, task.count);
    let meet = || P::meanwhile(|| task.link.meet());
    let endpoint = P::meanwhile(|| task.endpoint());
    let body = body(row);
    match row.work {
        Work::Stream { connections } => {
            let mut push = unconnected(&peer, row, Kind::Push, &[]);
            for _ in 0..connections {
                push.connect(endpoint).await;
            }
            push.send_many(&body, connections).await;
            if connections > 1 {
                meet();
            }
            let phase = Phase::begin();
            push.send_many(&body, count).await;
            meet();
            let figures = phase.usage();
            push.close().await;
            figures
        }
        Work::RoundTrip => {
            let mut req = unconnected(&peer, row, Kind::Req, &[]);
            req.connect(endpoint).await;
            round_trips(&mut req, &body, WARM_UP).await;
            let phase = Phase::begin();
            let times = round_trips(&mut req, &body, count).await;
            let mut figures = phase.usage();
            figures.merge(&Figures::round_trips(times));
            meet();
            req.close().await;
            figures
        }
        Work::Publish { subscribers } => {
            let (sockets, connections) = shares(row);
            let mut all = Vec::with_capacity(sockets);
            for _ in 0..sockets {
                let mut sub = unconnected(&peer, row, Kind::Sub, &[]);
                sub.subscribe(b"").await;
                for endpoint in endpoint.split(' ') {
                    sub.connect(endpoint).await;
                }
                all.push(sub);
            }
            in_turn(&mut all, row.size, connections).await;
            meet();
            let phase = Phase::begin();
            for done in (0..count).step_by(TURN) {
                let turn = TURN.min(count - done);
                in_turn(&mut all, row.size, turn * connections).await;
            }
            let figures = phase.end(count * subscribers);
            meet();
            close(all).await;
            figures
        }
        Work::Window {
            dealers,
            outstanding,
        } => {
            let (sockets, connections) = shares(row);
            let mut all = Vec::with_capacity(sockets);
            for _ in 0..sockets {
                let mut dealer = unconnected(&peer, row, Kind::Dealer, &[]);
                for endpoint in endpoint.split(' ') {
                    dealer.connect(endpoint).await;
                }
                dealer.send_many(&body, connections).await;
                all.push(dealer);
            }
            in_turn(&mut all, row.size, connections).await;
            meet();
            let phase = Phase::begin();
            let window = outstanding * connections;
            for dealer in &mut all {
                dealer.send_many(&body, window).await;
            }
            let requests = requests(row, count);
            for _ in 1..requests / (dealers * outstanding) {
                for dealer in &mut all {
                    for _ in 0..window {
                        dealer.recv(row.size).await;
                        dealer.send(&body).await;
                    }
                    dealer.flush().await;
                }
            }
            in_turn(&mut all, row.size, window).await;
            let figures = phase.end(requests);
            meet();
            close(all).await;
            figures
        }
        Work::Proxy { clients, workers } => match endpoint.split_once(' ') {
            Some((_, endpoint)) => {
                for _ in 0..workers {
                    let mut rep = unconnected(&peer, row, Kind::Rep, &[]);
                    rep.connect(endpoint).await;
                    P::start(rep, Job::Answer { size: row.size });
                }
                // They answer until the process ends, whatever else has ended before.
                mem::forget(peer.clone());
                let phase = Phase::begin();
                meet();
                phase.usage()
            }
            None => {
                let (times, taken) = channel();
                for _ in 0..clients {
                    let mut req = unconnected(&peer, row, Kind::Req, &[]);
                    req.connect(endpoint).await;
                    let ask = Job::Ask {
                        body: body.clone(),
                        warm_up: WARM_UP / clients,
                        count: (count / clients).max(1),
                        times: times.clone(),
                    };
                    P::start(req, ask);
                }
                drop(times);
                let phase = Phase::begin();
                let times = P::meanwhile(|| taken.iter().flatten().collect());
                let mut figures = phase.usage();
                figures.merge(&Figures::round_trips(times));
                // So many at a time.
                figures.scale("seconds", 1.0 / clients as f64);
                meet();
                figures
            }
        },
        Work::Connections => {
            let mut push = unconnected(&peer, row, Kind::Push, &[]);
            let before = machine::resident();
            let start = Instant::now();
            for _ in 0..count {
                push.connect(endpoint).await;
            }
            // PUSH gives each connection one.
            push.send_many(&body, count).await;
            meet();
            let taken = start.elapsed();
            let mut figures = P::meanwhile(|| idle("connecting", before, count));
            figures.add("seconds", taken.as_secs_f64());
            figures.add("connections", count as f64);
            meet();
            let (phase, start) = (Phase::begin(), Instant::now());
            let count = count as u32;
            for portion in 0..PORTIONS {
                P::meanwhile(|| sleep_until(start + WATCHED * portion / PORTIONS));
                let part = count * (portion + 1) / PORTIONS - count * portion / PORTIONS;
                push.send_many(&body, part as usize).await;
            }
            meet();
            figures.add("busy_cpu", phase.cpu());
            push.close().await;
            figures
        }
        Work::Calls { keep } => {
            // The first call finds everything cold.
            let mut first = unconnected(&peer, row, Kind::Req, &[]);
            first.connect(endpoint).await;
            round_trips(&mut first, &body, 1).await;
            first.close().await;
            let mut req = unconnected(&peer, row, Kind::Req, &[]);
            let phase = Phase::begin();
            for _ in 0..count {
                match keep {
                    Keep::Nothing => {
                        let mut req = unconnected(&peer, row, Kind::Req, &[]);
                        req.connect(endpoint).await;
                        round_trips(&mut req, &body, 1).await;
                        req.close().await;
                    }
                    Keep::Socket => {
                        req.connect(endpoint).await;
                        round_trips(&mut req, &body, 1).await;
                        req.disconnect(endpoint).await;
                    }
                }
            }
            let figures = phase.end(count);
            meet();
            req.close().await;
            figures
        }
        Work::Subscriptions { topics } => {
            let mut sub = unconnected(&peer, row, Kind::Sub, &[Setting::Unbounded]);
            sub.connect(endpoint).await;
            for number in 0..topics {
                sub.subscribe(format!("{number:06}!").as_bytes()).await;
            }
            meet();
            sub.close().await;
            Figures::default()
        }
    }
}

/// Takes so many messages from each.
async fn in_turn<S: Socket>(all: &mut [S], size: usize, count: usize) {
    for socket in all {
        socket.recv_many(size, count).await;
    }
}

async fn close<S: Socket>(all: Vec<S>) {
    for socket in all {
        socket.close().await;
    }
}

/// How many requests the dealers make: all of them the same number of whole windows.
fn requests(row: &Row, count: usize) -> usize {
    let Work::Window {
        dealers,
        outstanding,
    } = row.work
    else {
        unreachable!("only there")
    };
    let window = dealers * outstanding;
    count.div_ceil(window).max(2) * window
}

/// Bodies that go all the way down to a topic and match none, all over the topics.
fn near_misses(size: usize, topics: usize) -> Vec<Bytes> {
    const BODIES: usize = 4096;
    // Any odd number that is no power of ten scatters them.
    let numbers = (0..BODIES).map(|i| i * 7919 % topics);
    let bodies = numbers.map(|number| -> Bytes {
        let mut body = format!("{number:06}?").into_bytes();
        body.resize(size, b'x');
        body.into()
    });
    bodies.collect()
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn body(row: &Row) -> Bytes {
    vec![b'x'; row.size].into()
}

/// What the connections of a process cost that nobody uses: the memory of each, and the
/// processor time of all.
fn idle(end: &str, resident_before: f64, count: usize) -> Figures {
    let mut figures = Figures::default();
    // What the last messages have started ends first.
    thread::sleep(WATCHED / 2);
    let phase = Phase::begin();
    thread::sleep(WATCHED);
    figures.add("idle_cpu", phase.cpu() / WATCHED.as_secs_f64());
    let each = (machine::resident() - resident_before) / count as f64;
    figures.add(&format!("{end}_bytes"), each);
    figures
}

/// The nanoseconds of each of `count` requests with their replies, one at a time.
async fn round_trips<S: Socket>(req: &mut S, body: &Bytes, count: usize) -> Vec<u64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        req.send(body).await;
        req.flush().await;
        req.recv(body.len()).await;
        times.push(start.elapsed().as_nanos() as u64);
    }
    times
}

/// What [`Peer::start`] does.
pub(crate) async fn job<S: Socket>(mut socket: S, job: Job) {
    match job {
        Job::Answer { size } => loop {
            socket.echo(size).await;
        },
        Job::Ask {
            body,
            warm_up,
            count,
            times,
        } => {
            round_trips(&mut socket, &body, warm_up).await;
            let taken = round_trips(&mut socket, &body, count).await;
            // Whoever does not wait for it any more has failed, and told.
            let _ = times.send(taken);
            socket.close().await;
        }
    }
}
