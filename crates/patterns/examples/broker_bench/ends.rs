//! The ends: the proxy, workers, clients, and a crowd of either.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use xebec::{Context, Frame, Message, Options, Socket, SocketType};
use xebec_peers::libzmq;

use super::SIZE;

const NAMES: [&str; 5] = ["proxy", "workers", "clients", "swarm", "load"];

pub(crate) fn is_one(word: &str) -> bool {
    NAMES.contains(&word)
}

pub(crate) fn run(name: &str, arguments: &[String]) {
    let number = |index: usize| arguments[index].parse::<usize>().expect("a number");
    match name {
        "proxy" => proxy(),
        "workers" => {
            // Where the machine is full, who waits awake takes the time of others.
            let spin = match arguments.get(2) {
                Some(_) => Options::new().spin(Duration::ZERO),
                None => Options::new(),
            };
            workers(&arguments[0], &arguments[1], &spin);
        }
        "clients" => {
            let seconds = Duration::from_secs_f64(arguments[3].parse().expect("seconds"));
            clients(&arguments[0], &arguments[1], number(2), seconds);
        }
        "swarm" => swarm(&arguments[0], number(1), number(2), number(3) as u64),
        _ => load(
            &arguments[0],
            number(1),
            number(2),
            number(3),
            number(4) as u64,
        ),
    }
}

fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

/// A socket with nothing to wait for when it is closed.
fn socket(context: &Context, kind: SocketType, options: Options) -> Socket {
    Socket::with_options(context, kind, options.linger(Duration::ZERO)).expect("a socket")
}

/// libzmq's, in C.
fn proxy() {
    let context = libzmq::Library::load()
        .expect("libzmq5 is installed")
        .context();
    let bound = |kind| {
        let socket = context.plain_socket(kind).expect("a socket");
        let at = socket.bind("tcp://127.0.0.1:*").expect("bound");
        (socket, at)
    };
    let (front, front_at) = bound(libzmq::ROUTER);
    let (back, back_at) = bound(libzmq::DEALER);
    say(format_args!("{front_at} {back_at}"));
    let error = front.proxy(&back);
    eprintln!("the proxy has ended: {error}");
}

/// Four that send back what they are sent.
fn workers(kind: &str, at: &str, options: &Options) {
    let context = Context::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            let context = context.clone();
            scope.spawn(move || match kind {
                "rep" => echo(&context, at, options.clone()),
                _ => serve(&context, at, options.clone()),
            });
        }
    });
}

fn echo(context: &Context, at: &str, options: Options) {
    let rep = socket(context, SocketType::Rep, options);
    rep.connect(at).expect("connected");
    loop {
        let request = rep.recv().expect("a request");
        rep.send(request).expect("sent");
    }
}

fn command(number: u8, rest: impl IntoIterator<Item = Frame>) -> Message {
    let head = [
        Frame::from_static(b"MDPW02"),
        Frame::copy_from_slice(&[number]),
    ];
    head.into_iter().chain(rest).collect()
}

/// A worker of RFC 18 for `echo`: `[MDPW02][2][address][""][body]` goes back as a 4.
fn serve(context: &Context, at: &str, options: Options) {
    let dealer = socket(context, SocketType::Dealer, options);
    dealer.connect(at).expect("connected");
    dealer.send(command(1, ["echo".into()])).expect("sent");
    loop {
        let message = dealer.recv().expect("a command");
        let mut frames = message.into_frames();
        let reply = match frames[1].as_bytes() {
            [2] => command(4, frames.drain(2..)),
            [5] => command(5, []),
            _ => panic!("sent away by the broker"),
        };
        dealer.send(reply).expect("sent");
    }
}

fn request(kind: &str) -> Message {
    let body = Frame::copy_from_slice(&[b'x'; SIZE]);
    match kind {
        "rep" => [body].into_iter().collect(),
        _ => [Frame::from_static(b"MDPC01"), "echo".into(), body]
            .into_iter()
            .collect(),
    }
}

fn percentile(sorted: &[u64], of: f64) -> f64 {
    let index = (sorted.len() as f64 * of) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .map_or(0.0, |nanos| *nanos as f64 / 1e3)
}

/// So many that ask, each when it has its reply, in a thread of its own.
fn clients(kind: &str, at: &str, count: usize, time: Duration) {
    let context = Context::new();
    let barrier = Arc::new(Barrier::new(count));
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (context, barrier) = (context.clone(), barrier.clone());
            let (at, request) = (at.to_owned(), request(kind));
            let options = match count {
                1 => Options::new(),
                // More threads than processors have nothing to gain by waiting awake.
                _ => Options::new().spin(Duration::ZERO),
            };
            thread::spawn(move || {
                let req = socket(&context, SocketType::Req, options);
                req.connect(&at).expect("connected");
                let round = || {
                    let began = Instant::now();
                    req.send(request.clone()).expect("sent");
                    let reply = req.recv().expect("a reply");
                    assert_eq!(
                        reply.frames().last().map(Frame::len),
                        Some(SIZE),
                        "{reply:?}"
                    );
                    began.elapsed().as_nanos() as u64
                };
                for _ in 0..100 {
                    round();
                }
                barrier.wait();
                let began = Instant::now();
                let mut times = vec![];
                while began.elapsed() < time {
                    times.push(round());
                }
                times
            })
        })
        .collect();
    let mut times: Vec<u64> = threads
        .into_iter()
        .flat_map(|t| t.join().expect("a client"))
        .collect();
    times.sort_unstable();
    let rate = times.len() as f64 / time.as_secs_f64();
    say(format_args!(
        "{rate} {} {}",
        percentile(&times, 0.5),
        percentile(&times, 0.99)
    ));
}

/// Connects so many times. A DEALER has one connection to an endpoint, as in libzmq; with a source address of
/// its own each is another.
fn connect_many(dealer: &Socket, at: &str, count: usize) {
    let target = at.strip_prefix("tcp://").expect("tcp");
    for n in 0..count {
        let source = format!("127.1.{}.{}", n / 250 + 1, n % 250 + 1);
        dealer
            .connect(&format!("tcp://{source}:0;{target}"))
            .expect("connected");
    }
}

/// Workers that are never given anything: connections of a few DEALERs, each of which sends to its connections
/// in turn, so that each has one READY and as many heartbeats as the others.
fn swarm(at: &str, count: usize, services: usize, heartbeat: u64) {
    const DEALERS: usize = 10;
    let context = Context::new();
    let each = count / DEALERS;
    let dealers: Vec<_> = (0..DEALERS)
        .map(|_| {
            let dealer = socket(&context, SocketType::Dealer, Options::new());
            connect_many(&dealer, at, each);
            dealer
        })
        .collect();
    for (index, dealer) in dealers.iter().enumerate() {
        for n in 0..each {
            let service = format!("service-{}", (index * each + n) % services);
            dealer.send(command(1, [service.into()])).expect("sent");
        }
    }
    let asks = socket(&context, SocketType::Req, Options::new());
    asks.connect(at).expect("connected");
    let status: Message = ["MDPC01", "mmi.status", ""].into_iter().collect();
    asks.send(status.clone()).expect("sent");
    let mut told = false;
    // A hundredth of them at a time.
    let portion = Duration::from_millis(heartbeat / 100);
    loop {
        let began = Instant::now();
        for dealer in &dealers {
            (0..each / 100).for_each(|_| dealer.send(command(5, [])).expect("sent"));
            while let Ok(message) = dealer.try_recv() {
                assert_eq!(message[1], [5], "nothing but heartbeats");
            }
        }
        if !told && let Ok(reply) = asks.try_recv() {
            let reply = reply.body().to_string_lossy().into_owned();
            if reply.contains(&format!(" workers={count} ")) {
                say(format_args!("{count}"));
                told = true;
            } else {
                asks.send(status.clone()).expect("sent");
            }
        }
        thread::sleep(portion.saturating_sub(began.elapsed()));
    }
}

/// So many clients, as connections of two DEALERs, that ask so often a second with so many bytes, whether
/// they are answered or not. A round trip counts from when it was due.
fn load(at: &str, clients: usize, rate: usize, size: usize, seconds: u64) {
    const DEALERS: usize = 2;
    let at = at.to_owned();
    let threads: Vec<_> = (0..DEALERS)
        .map(|_| {
            let at = at.clone();
            thread::spawn(move || {
                let context = Context::new();
                let dealer = socket(
                    &context,
                    SocketType::Dealer,
                    Options::new().spin(Duration::ZERO),
                );
                connect_many(&dealer, &at, clients / DEALERS);
                ask_on_time(&dealer, clients / DEALERS, rate, size, seconds)
            })
        })
        .collect();
    let (mut sent, mut refused, mut times) = (0, 0, vec![]);
    for thread in threads {
        let (one, two, three) = thread.join().expect("a client");
        (sent, refused) = (sent + one, refused + two);
        times.extend(three);
    }
    times.sort_unstable();
    let [p50, p99, longest] = [0.5, 0.99, 1.0].map(|of| percentile(&times, of));
    say(format_args!(
        "{sent} {} {refused} {p50} {p99} {longest}",
        times.len()
    ));
}

fn ask_on_time(
    dealer: &Socket,
    clients: usize,
    rate: usize,
    size: usize,
    seconds: u64,
) -> (u64, u64, Vec<u64>) {
    let ask = |due: Duration| {
        let mut body = vec![0; size];
        body[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        let head = [
            Frame::from_static(b"MDPC02"),
            Frame::from_static(&[1]),
            "echo".into(),
        ];
        let request: Message = head.into_iter().chain([body.into()]).collect();
        dealer.send(request).expect("sent");
    };
    // One of each, before the clock runs: then all are connected.
    (0..clients).for_each(|_| ask(Duration::ZERO));
    (0..clients).for_each(|_| drop(dealer.recv().expect("a reply")));
    let step = Duration::from_secs_f64(1.0 / (clients * rate) as f64);
    let total = (clients * rate) as u64 * seconds;
    let began = Instant::now();
    let (mut sent, mut refused) = (0u64, 0);
    let mut times = vec![];
    let end = Duration::from_secs(seconds + 5);
    while times.len() as u64 + refused < total && began.elapsed() < end {
        let due = step.mul_f64(sent as f64);
        if sent < total && due <= began.elapsed() {
            ask(due);
            sent += 1;
            continue;
        }
        let wait = if sent < total {
            due.saturating_sub(began.elapsed())
        } else {
            Duration::from_millis(100)
        };
        // Those that fall due meanwhile are sent together.
        let Ok(reply) = dealer.recv_timeout(wait.max(Duration::from_millis(1))) else {
            continue;
        };
        match reply.frames().last() {
            Some(body) if reply.len() == 4 && body.len() == size => {
                let due = u64::from_be_bytes(body[..8].try_into().expect("eight bytes"));
                times.push((began.elapsed().as_nanos() as u64).saturating_sub(due));
            }
            _ => refused += 1,
        }
    }
    (sent, refused, times)
}
