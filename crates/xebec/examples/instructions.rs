//! The hot paths in small and fixed amounts, for a tool that counts instructions.
//!
//! ```text
//! instructions WORKLOAD
//! ```
//!
//! What is to be counted happens inside [`measured`], by the main thread, [`ROUNDS`] × [`BURST`]
//! times; what it needs is done outside. `cargo xtask instructions` runs this under callgrind and
//! compares the counts with those that are committed. It is a program for that, and no example of
//! good style: one thread has both ends.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use xebec::{Context, Message, Options, Socket, SocketType};

/// Messages of 64 bytes in a burst: less than the high-water mark, and than any buffer.
const BURST: usize = 100;

const ROUNDS: usize = 100;

const BODY: [u8; 64] = [b'x'; 64];

type Outcome = Result<(), Box<dyn Error>>;

/// The function that is counted.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> Outcome) -> Outcome {
    work()
}

/// What was counted so far is a round, for the tool.
#[inline(never)]
fn round_is_over() {
    std::hint::black_box(());
}

/// Two connected sockets; both sleep at once where they must wait.
fn pair(types: [SocketType; 2], endpoint: &str) -> Result<(Socket, Socket), Box<dyn Error>> {
    let context = Context::new();
    let mut options = Options::new();
    options.set_text("spin", "off")?;
    let [to, from] = types.map(|kind| context.socket_with(kind, options.clone()));
    let (to, from) = (to?, from?);
    to.connect(&from.bind(endpoint)?)?;
    Ok((to, from))
}

fn send(socket: &Socket, count: usize) -> Outcome {
    for _ in 0..count {
        socket.send(&BODY[..])?;
    }
    Ok(())
}

fn recv(socket: &Socket, count: usize) -> Outcome {
    for _ in 0..count {
        let message: Message = socket.recv()?;
        assert_eq!(message.body().len(), BODY.len());
    }
    Ok(())
}

fn stream(endpoint: &str, sends: bool, receives: bool) -> Outcome {
    let (push, pull) = pair([SocketType::Push, SocketType::Pull], endpoint)?;
    send(&push, 1)?;
    recv(&pull, 1)?;
    for _ in 0..ROUNDS {
        // One more goes ahead: when it is here, all are.
        match sends {
            true => measured(&mut || send(&push, BURST))?,
            false => send(&push, BURST)?,
        }
        send(&push, 1)?;
        recv(&pull, 1)?;
        match receives {
            true => measured(&mut || recv(&pull, BURST))?,
            false => recv(&pull, BURST)?,
        }
        round_is_over();
    }
    Ok(())
}

fn round_trips(endpoint: &str) -> Outcome {
    let (req, rep) = pair([SocketType::Req, SocketType::Rep], endpoint)?;
    let round_trip = || -> Outcome {
        req.send(&BODY[..])?;
        rep.send(rep.recv()?)?;
        req.recv()?;
        Ok(())
    };
    round_trip()?;
    for _ in 0..ROUNDS {
        measured(&mut || (0..BURST).try_for_each(|_| round_trip()))?;
        round_is_over();
    }
    Ok(())
}

fn run(workload: &str) -> Outcome {
    const TCP: &str = "tcp://127.0.0.1:*";
    const INPROC: &str = "inproc://instructions";
    match workload {
        "tcp-send" => stream(TCP, true, false),
        "tcp-recv" => stream(TCP, false, true),
        "inproc" => stream(INPROC, true, true),
        "tcp-req" => round_trips(TCP),
        "inproc-req" => round_trips(INPROC),
        _ => Err(format!("there is no workload {workload}").into()),
    }
}

fn main() -> ExitCode {
    let workload = env::args().nth(1).unwrap_or_default();
    match run(&workload) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
