//! The limits: sockets of the kernel and a ring in memory, by hand. No frames, no queues, no
//! reconnection: bodies one after another, in batches where the work allows it.
//!
//! * One way: the sender copies bodies into a batch and writes it when it is full; the receiver
//!   reads a batch at once, and takes the bodies out of it by counting.
//! * There and back: a read that spins, or blocks where the row has no spin.
//! * Many connections: epoll.
//! * inproc: a ring of one producer and one consumer, which both spin.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::{env, fs, process, thread};

use bytes::Bytes;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{Backlog, listen};

use super::ring;
use crate::child::Task;
use crate::library::{self, Job, Kind, Library, Peer, Role, Setting, Socket};
use crate::measurement::Figures;
use crate::rows::{Row, Transport, Work};

/// Bytes of a batch. Twice as many are no faster, half as many a little slower.
const BATCH: usize = 128 << 10;

/// Bytes that are read at once where there are many connections.
const PIECE: usize = 64 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

pub(crate) struct Raw;

impl Library for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn role(&self) -> Role {
        Role::Limit
    }

    fn about(&self) -> String {
        format!(
            "no library: batches of {} KiB, reads that spin (no spin: block), epoll; inproc a ring",
            BATCH >> 10
        )
    }

    fn unable(&self, row: &Row) -> Option<&'static str> {
        match row.work {
            Work::Subscriptions { .. } => Some("has no subscriptions"),
            _ if row.curve => Some("has no cipher"),
            _ => None,
        }
    }

    fn run(&self, task: Task) -> Figures {
        let ring = (task.row.transport == Transport::Inproc).then(ring::pair);
        let shared = Shared {
            row: task.row,
            ring: Arc::new(Mutex::new(ring.into_iter().flatten().collect())),
        };
        library::in_threads(shared, task)
    }
}

#[derive(Clone)]
struct Shared {
    row: &'static Row,
    /// The ends of the ring that nobody has taken yet.
    ring: Arc<Mutex<Vec<ring::End>>>,
}

impl Peer for Shared {
    type Socket = Wires;

    fn socket(&self, kind: Kind, _: &[Setting]) -> Wires {
        let round_trip = self.row.work == Work::RoundTrip;
        Wires {
            kind,
            spins: round_trip && !self.row.no_spin && !self.row.one_core,
            ring: self.ring.lock().expect("no panic before").pop(),
            listener: None,
            expected: match self.row.work {
                Work::Stream { connections } => connections,
                Work::Publish { subscribers } => subscribers,
                Work::Window { dealers, .. } => dealers,
                Work::Connections => self.row.count,
                Work::Proxy { clients, workers } => match kind {
                    Kind::Router => clients,
                    Kind::Dealer => workers,
                    _ => 1,
                },
                Work::RoundTrip | Work::Calls { .. } | Work::Subscriptions { .. } => 1,
            },
            wires: Vec::new(),
            next: 0,
            epoll: None,
            out: Vec::new(),
            scratch: Vec::new(),
            here: 0,
        }
    }

    fn start(socket: Wires, job: Job) {
        library::start_thread(socket, job);
    }

    fn proxy(&self, front: Wires, back: Wires) {
        let size = self.row.size;
        thread::spawn(move || pass(front, back, size).expect("passed"));
    }
}

/// A connection.
trait Wire: Read + Write + AsFd + Send {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        TcpStream::set_nonblocking(self, nonblocking)
    }
}

impl Wire for UnixStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        UnixStream::set_nonblocking(self, nonblocking)
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Box<dyn Wire>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Listener::Unix(listener) => Box::new(listener.accept()?.0),
        })
    }
}

/// What stands for a socket: all its connections.
struct Wires {
    kind: Kind,
    spins: bool,
    ring: Option<ring::End>,
    listener: Option<Listener>,
    /// So many connections are accepted before anything is done.
    expected: usize,
    wires: Vec<Box<dyn Wire>>,
    /// Whose turn it is to send.
    next: usize,
    /// Over all connections, where there are many to read from.
    epoll: Option<Epoll>,
    /// The batch that is not full yet.
    out: Vec<u8>,
    scratch: Vec<u8>,
    /// Bytes that have been read and not been taken.
    here: usize,
}

impl Wires {
    /// Has every connection.
    fn admit(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        while self.wires.len() < self.expected {
            self.wires.push(listener.accept()?);
        }
        Ok(())
    }

    /// Writes the batch: a PUSH to the connection whose turn it is, an XPUB to all.
    fn write(&mut self) -> io::Result<()> {
        self.admit()?;
        if self.kind == Kind::Xpub {
            for wire in &mut self.wires {
                wire.write_all(&self.out)?;
            }
        } else {
            let next = self.next;
            self.next = (next + 1) % self.wires.len();
            self.wires[next].write_all(&self.out)?;
        }
        self.out.clear();
        Ok(())
    }

    /// Reads what there is, and waits for it if there is none. A connection that has ended is
    /// replaced by the next.
    fn fill(&mut self) -> io::Result<()> {
        self.admit()?;
        self.scratch.resize(BATCH, 0);
        if self.wires.len() > 1 {
            return self.fill_from_many();
        }
        let wire = &mut self.wires[0];
        loop {
            match wire.read(&mut self.scratch) {
                Ok(0) => {
                    self.wires.clear();
                    assert!(self.listener.is_some(), "the other end is gone");
                    return Ok(());
                }
                Ok(length) => {
                    self.here += length;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => return Err(error),
            }
        }
    }

    fn fill_from_many(&mut self) -> io::Result<()> {
        self.ready(|wire, scratch| wire.read(&mut scratch[..PIECE]))
            .map(|length| self.here += length)
    }

    /// Does something with every connection that has something to read; the sum of what it says.
    fn ready(
        &mut self,
        mut work: impl FnMut(&mut dyn Wire, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.admit()?;
        self.scratch.resize(BATCH, 0);
        if self.epoll.is_none() {
            self.epoll = Some(watch(&self.wires, 0)?);
        }
        let mut events = [EpollEvent::empty(); 256];
        let epoll = self.epoll.as_ref().expect("made above");
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        let mut sum = 0;
        for event in &events[..count] {
            let wire = &mut self.wires[event.data() as usize];
            sum += work(&mut **wire, &mut self.scratch)?;
        }
        Ok(sum)
    }
}

fn watch(wires: &[Box<dyn Wire>], from: usize) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    add(&epoll, wires, from)?;
    Ok(epoll)
}

fn add(epoll: &Epoll, wires: &[Box<dyn Wire>], from: usize) -> io::Result<()> {
    for (index, wire) in wires.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, (from + index) as u64);
        epoll.add(wire, event)?;
    }
    Ok(())
}

impl Socket for Wires {
    async fn bind(&mut self, endpoint: &str) -> String {
        if endpoint.starts_with("tcp") {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            let backlog = Backlog::new(BACKLOG).expect("a length");
            listen(&listener, backlog).expect("longer");
            let address = listener.local_addr().expect("an address");
            self.listener = Some(Listener::Tcp(listener));
            return format!("tcp://{address}");
        }
        if endpoint.starts_with("ipc") {
            let file = env::temp_dir().join(format!("xebec-bench-{}", process::id()));
            let _ = fs::remove_file(&file);
            let listener = UnixListener::bind(&file).expect("bound");
            self.listener = Some(Listener::Unix(listener));
            return format!("ipc://{}", file.display());
        }
        endpoint.to_owned()
    }

    async fn connect(&mut self, endpoint: &str) {
        let wire: Box<dyn Wire> = match endpoint.split_once("://").expect("an endpoint") {
            ("tcp", address) => {
                let stream = TcpStream::connect(address).expect("connected");
                stream.set_nodelay(true).expect("an option");
                Box::new(stream)
            }
            ("ipc", file) => {
                let stream = UnixStream::connect(file).expect("connected");
                // Whoever has connected needs the name no more.
                let _ = fs::remove_file(file);
                Box::new(stream)
            }
            _ => return,
        };
        self.wires.push(wire);
    }

    async fn disconnect(&mut self, _: &str) {
        self.wires.clear();
    }

    async fn subscribe(&mut self, _: &[u8]) {}

    async fn subscribed(&mut self, _: usize, _: usize) {}

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        if let Some(ring) = &mut self.ring {
            return ring.send(body);
        }
        self.out.extend_from_slice(body);
        // Many connections of a PUSH take turns message by message.
        if self.out.len() >= BATCH || self.kind == Kind::Push && self.wires.len() > 1 {
            self.write().expect("written");
        }
    }

    async fn flush(&mut self) {
        if !self.out.is_empty() {
            self.write().expect("written");
        }
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        if let Some(ring) = &mut self.ring {
            return ring.recv(size);
        }
        while self.here < size {
            if self.spins && self.here == 0 {
                self.admit().expect("accepted");
                self.wires[0].set_nonblocking(true).expect("an option");
            }
            self.fill().expect("read");
        }
        self.here -= size;
    }

    async fn echo(&mut self, size: usize) {
        self.recv(size).await;
        self.out.resize(size, b'x');
        match &mut self.ring {
            Some(ring) => ring.send_back(),
            None => self.flush().await,
        }
    }

    async fn echo_many(&mut self, size: usize, count: usize) {
        if self.kind != Kind::Router {
            for _ in 0..count {
                self.echo(size).await;
            }
            return;
        }
        let mut left = size * count;
        while left > 0 {
            let passed = self.ready(|wire, scratch| {
                let length = wire.read(&mut scratch[..PIECE])?;
                wire.write_all(&scratch[..length])?;
                Ok(length)
            });
            left -= passed.expect("passed");
        }
    }

    async fn close(self) {}
}

/// Passes bodies of this size from one of the front to one of the back, and back again. Those of
/// the front send one at a time, and those of the back answer in order.
fn pass(mut front: Wires, mut back: Wires, size: usize) -> io::Result<()> {
    front.admit()?;
    back.admit()?;
    let epoll = watch(&front.wires, 0)?;
    let clients = front.wires.len();
    add(&epoll, &back.wires, clients)?;
    let mut asked = vec![VecDeque::new(); back.wires.len()];
    let mut body = vec![0; size];
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            let from = event.data() as usize;
            if from >= clients {
                let worker = from - clients;
                back.wires[worker].read_exact(&mut body)?;
                let client = asked[worker].pop_front().expect("somebody has asked");
                let wire: &mut Box<dyn Wire> = &mut front.wires[client];
                wire.write_all(&body)?;
            } else if front.wires[from].read_exact(&mut body).is_ok() {
                // The one with the least to do.
                let worker = (0..asked.len()).min_by_key(|&worker| asked[worker].len());
                let worker = worker.expect("there are workers");
                asked[worker].push_back(from);
                back.wires[worker].write_all(&body)?;
            } else {
                epoll.delete(&front.wires[from])?;
            }
        }
    }
}
