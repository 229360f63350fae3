//! What the tests of a connection's life share.
//!
//! [`Raw`] is a peer that speaks as much ZMTP as a test wants, byte by byte; [`event`] waits for
//! an event of a monitor; [`in_child`] runs a test's body in a process of its own, for what is
//! counted or limited by process; [`until`] waits for what no event tells. Every wait ends after
//! [`SOON`], so that a fault fails a test instead of hanging it.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use xebec::{Event, EventKind, Message, Monitor, Options, RecvError, Socket};

/// No wait of a test is longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The endpoint that most tests bind.
pub(crate) const ANY: &str = "tcp://127.0.0.1:*";

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Options of a socket that tries again quickly and whose end is not waited for in vain when a
/// test fails.
pub(crate) fn quick() -> Options {
    Options::new().reconnect_ivl(ms(10)).linger(SOON)
}

/// Receives a message that is to come soon, as text.
pub(crate) fn text(socket: &impl AsRef<Socket>) -> String {
    match socket.as_ref().recv_timeout(SOON) {
        Ok(message) => message.to_string_lossy().into_owned(),
        Err(error) => panic!("{:?} received nothing: {error}", socket.as_ref()),
    }
}

/// Receives a message that is to come soon.
pub(crate) fn message(socket: &impl AsRef<Socket>) -> Message {
    socket.as_ref().recv_timeout(SOON).expect("a message soon")
}

/// Nothing is there to receive.
pub(crate) fn assert_nothing(socket: &impl AsRef<Socket>) {
    assert_eq!(
        socket.as_ref().try_recv().map(|_| ()),
        Err(RecvError::WouldBlock)
    );
}

/// The next event of this kind; those before it are passed over.
pub(crate) fn event(monitor: &Monitor, kind: EventKind) -> Event {
    let mut seen = Vec::new();
    let deadline = Instant::now() + SOON;
    while let Some(event) = monitor.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if event.kind == kind {
            return event;
        }
        seen.push(event.to_string());
    }
    panic!("no {kind:?} came; only {seen:#?}");
}

/// The events that have happened so far.
pub(crate) fn happened(monitor: &Monitor) -> Vec<EventKind> {
    std::iter::from_fn(|| monitor.try_recv())
        .map(|event| event.kind)
        .collect()
}

/// Waits for something that no event tells.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(ms(1));
    }
}

/// Runs `body` on a thread and waits for its end, which is to come soon.
pub(crate) fn soon<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(body());
    });
    match outcome.recv_timeout(SOON) {
        Ok(outcome) => outcome,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("not done in time: {what}"),
        Err(_) => std::panic::resume_unwind(thread.join().expect_err("it sent nothing")),
    }
}

/// A TCP port of 127.0.0.1 where nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// An endpoint where nobody listens.
pub(crate) fn nobody() -> String {
    format!("tcp://127.0.0.1:{}", free_port())
}

pub(crate) fn address(endpoint: &str) -> SocketAddr {
    endpoint
        .strip_prefix("tcp://")
        .expect("tcp")
        .parse()
        .expect("an address")
}

/// Waits until a descriptor is readable (or writable); false if it is not within `time`.
pub(crate) fn ready(fd: impl AsFd, flags: PollFlags, time: Duration) -> bool {
    let time = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), flags)];
    rustix::event::poll(&mut fds, Some(&time)).expect("poll") > 0
}

/// A listening socket that raw peers are accepted from.
pub(crate) fn raw_listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("bound"));
    (listener, endpoint)
}

/// One frame of ZMTP 3.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) command: bool,
    pub(crate) body: Vec<u8>,
}

impl Framed {
    /// Whether it is the command of this name; PING, PONG, READY, …
    pub(crate) fn is(&self, name: &str) -> bool {
        self.command
            && self.body.get(1..=name.len()) == Some(name.as_bytes())
            && usize::from(self.body[0]) == name.len()
    }

    /// What follows the name of a command.
    pub(crate) fn data(&self) -> &[u8] {
        &self.body[1 + usize::from(self.body[0])..]
    }
}

/// A peer over a plain TCP stream.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(endpoint: &str) -> Raw {
        let stream = TcpStream::connect_timeout(&address(endpoint), SOON).expect("connect");
        Raw::new(stream)
    }

    pub(crate) fn accept(listener: &TcpListener) -> Raw {
        assert!(ready(listener, PollFlags::IN, SOON), "nobody connected");
        Raw::new(listener.accept().expect("accept").0)
    }

    fn new(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream.set_write_timeout(Some(SOON)).expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        Raw(stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("write");
    }

    /// The greeting of ZMTP 3.1 with the NULL mechanism.
    pub(crate) fn greeting() -> [u8; 64] {
        let mut greeting = [0; 64];
        greeting[0] = 0xFF;
        greeting[8] = 1;
        greeting[9] = 0x7F;
        greeting[10] = 3;
        greeting[11] = 1;
        greeting[12..16].copy_from_slice(b"NULL");
        greeting
    }

    /// A READY command, framed.
    pub(crate) fn ready(socket_type: &str) -> Vec<u8> {
        let mut data = b"\x0bSocket-Type".to_vec();
        data.extend((socket_type.len() as u32).to_be_bytes());
        data.extend(socket_type.as_bytes());
        Raw::command("READY", &data)
    }

    pub(crate) fn command(name: &str, data: &[u8]) -> Vec<u8> {
        let len = 1 + name.len() + data.len();
        let mut frame = vec![4, u8::try_from(len).expect("short"), name.len() as u8];
        frame.extend(name.as_bytes());
        frame.extend(data);
        frame
    }

    pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = vec![2];
        frame.extend((body.len() as u64).to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Exchanges greetings and READY as a socket of this type.
    pub(crate) fn shake(mut self, socket_type: &str) -> Raw {
        self.send(&Raw::greeting());
        self.read_exact(64);
        self.send(&Raw::ready(socket_type));
        let ready = self.next().expect("READY");
        assert!(ready.is("READY"), "{ready:?}");
        self
    }

    pub(crate) fn read_exact(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.0.read_exact(&mut bytes).expect("the peer's bytes");
        bytes
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Framed> {
        let mut flags = [0];
        match self.0.read(&mut flags) {
            Ok(1) => {}
            Ok(_) => return None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no frame: {error}"),
        }
        let len = match flags[0] & 2 {
            0 => u64::from(self.read_exact(1)[0]),
            _ => u64::from_be_bytes(self.read_exact(8).try_into().expect("eight")),
        };
        Some(Framed {
            command: flags[0] & 4 != 0,
            body: self.read_exact(len as usize),
        })
    }

    /// The next frame that is this command; others are passed over.
    pub(crate) fn next_command(&mut self, name: &str) -> Framed {
        loop {
            let frame = self
                .next()
                .unwrap_or_else(|| panic!("the stream ended before a {name}"));
            if frame.is(name) {
                return frame;
            }
        }
    }

    /// Reads until the other side has closed; panics if it does not soon.
    pub(crate) fn until_closed(&mut self) {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("not closed: {error}"),
            }
        }
    }

    /// The other side has not closed, and says nothing within `time`.
    pub(crate) fn is_quiet_for(&self, time: Duration) -> bool {
        !ready(&self.0, PollFlags::IN, time)
    }
}

// ---- the process ----

/// Descriptors that this process has open.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("/proc").count()
}

/// Memory of this process that is resident, in KiB.
pub(crate) fn resident_kib() -> usize {
    status_kib("VmRSS:")
}

/// Memory that this process has asked for, in KiB, whether it has touched it or not.
pub(crate) fn virtual_kib() -> usize {
    status_kib("VmSize:")
}

fn status_kib(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a line of that name");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

/// The time that all threads of this process have computed.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Our own duplicate of a descriptor of this process whose peer (or, without one, whose own
/// address) is `address`: to look at the options of a socket that a library holds.
pub(crate) fn duplicate(of: impl Fn(&OwnedFd) -> bool) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let me = pidfd_open(getpid(), PidfdFlags::empty()).expect("pidfd_open");
    let numbers = std::fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let numbers: Vec<i32> = numbers.filter(|&number| number != me.as_raw_fd()).collect();
    numbers
        .into_iter()
        .filter_map(|number| pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).ok())
        .find(of)
}

/// Whether this process is the child of [`in_child`] for the test.
fn is_child(test: &str) -> bool {
    std::env::var("XEBEC_LIFE_CHILD").is_ok_and(|name| name == test)
}

/// Runs `body` in a process of its own: this test binary again, for this test alone. What the
/// child writes is shown when it fails.
pub(crate) fn in_child(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        return body();
    }
    let me = std::env::current_exe().expect("this binary");
    let mut child = Command::new(me);
    child
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("XEBEC_LIFE_CHILD", test);
    let child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("a child");
    let pid = rustix::process::Pid::from_child(&child);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if stopped.recv_timeout(3 * SOON) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            // It is not waited for yet, so the number is still its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("its end");
    drop(stop);
    watchdog.join().expect("the watchdog");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "the child ended with {}:\n{out}\n{err}",
        output.status
    );
    assert!(
        out.contains("1 passed"),
        "the child ran no test:\n{out}\n{err}"
    );
    let measured = out.lines().filter_map(|line| line.split_once("measured:"));
    measured.for_each(|(_, what)| println!("measured:{what}"));
}
