//! Clients that do harm, or mean to: garbage, floods, and replies that nobody reads. Others are served
//! meanwhile, and memory is bounded.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use fastrand::Rng;
use xebec::{Context, Frame, Message, Options, Socket, SocketType};
use xebec_patterns::lazy::{Client, Config};

use crate::broker::{Broker, client};
use crate::common::Xebec;
use crate::load::Load;
use crate::programs::{Program, endpoint};

/// The greeting of ZMTP 3.0 and the READY of a DEALER.
fn shaken() -> Vec<u8> {
    let mut bytes = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL".to_vec();
    bytes.resize(64, 0);
    bytes.extend_from_slice(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER");
    bytes
}

/// What is no ZMTP, or no longer any after the handshake.
fn garbage(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut noise = |length| (0..length).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    let mut all = vec![
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc".to_vec(),
        noise(10),
        noise(100_000),
        shaken()[..40].to_vec(),
    ];
    let after = [
        noise(1000),
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x02\0\0\x01\0\0\0\0\0".to_vec(),
        b"\x04\xff".to_vec(),
    ];
    all.extend(after.map(|rest| [shaken(), rest].concat()));
    all
}

/// Says all this to an endpoint, each on a connection of its own, and waits for the end of those that the
/// other side ends.
fn say_garbage(at: &str, rng: &mut Rng) {
    let address = at.strip_prefix("tcp://").unwrap();
    for bytes in garbage(rng) {
        let mut stream = TcpStream::connect(address).unwrap();
        // It may be ended in the middle.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn dealer(context: &Context, at: &str) -> Socket {
    let options = Options::new().linger(Duration::ZERO);
    let dealer = Socket::with_options(context, SocketType::Dealer, options).unwrap();
    dealer.connect(at).unwrap();
    dealer
}

/// Messages that are nearly of the protocol.
fn nearly(rng: &mut Rng) -> Message {
    const PIECES: [&[u8]; 14] = [
        b"",
        b"MDPC01",
        b"MDPC02",
        b"MDPW01",
        b"MDPW02",
        b"\x01",
        b"\x02",
        b"\x03",
        b"\x04",
        b"\x05",
        b"\x06",
        b"echo",
        b"mmi.service",
        b"\xff\xfe",
    ];
    let pieces = (0..rng.usize(1..7)).map(|_| Frame::copy_from_slice(rng.choice(PIECES).unwrap()));
    pieces.collect()
}

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The most that it ever had in memory.
fn assert_is_small(broker: &Xebec, what: &str) {
    let most = resident(broker.id());
    println!("broker, {what}: {} MiB at most", most >> 20);
    assert!(most < 256 << 20, "{what}: {most} bytes");
}

#[test]
fn garbage_harms_nobody_else() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut broker = Broker::start("garbage");
    let _worker = broker.worker(&["echo"]);
    let load = Load::start(client(&broker.at), 4);
    say_garbage(&broker.at, &mut rng);
    let context = Context::new();
    for _ in 0..20 {
        // Some of them register as workers of echo, get its requests, and go.
        let dealer = dealer(&context, &broker.at);
        (0..50).for_each(|_| dealer.send(nearly(&mut rng)).unwrap());
        load.answered(1);
    }
    // What those who are gone have sent may not have left; this one stays.
    let dealer = dealer(&context, &broker.at);
    dealer.send("garbage").unwrap();
    broker.tells(" invalid=", &load);
    load.answered(100);
    load.end_without_loss("broker, garbage of all kinds");
    assert_is_small(&broker.process, "garbage of all kinds");
}

#[test]
fn huge_frames_end_their_connection() {
    let mut broker = Broker::start("huge");
    let _worker = broker.worker(&["echo"]);
    let load = Load::start(client(&broker.at), 4);
    // A gigabyte is announced, and as much of it sent as is taken.
    let mut stream = TcpStream::connect(broker.at.strip_prefix("tcp://").unwrap()).unwrap();
    stream.write_all(&shaken()).unwrap();
    stream.write_all(b"\x02\0\0\0\0\x40\0\0\0").unwrap();
    let piece = vec![0; 1 << 20];
    let taken = (0..1024).take_while(|_| stream.write_all(&piece).is_ok());
    assert!(taken.count() < 1024, "all of it was taken");
    load.answered(100);
    load.end_without_loss("broker, a frame of a gigabyte");
    assert_is_small(&broker.process, "a frame of a gigabyte");
}

#[test]
fn a_flood_is_refused_and_others_are_served() {
    let mut broker = Broker::start("flood");
    let _workers = [(); 2].map(|()| broker.worker(&["echo"]));
    let load = Load::start(client(&broker.at), 4);
    let context = Context::new();
    let flood = dealer(&context, &broker.at);
    let body = Frame::from(vec![0; 10_000]);
    let request: Message = [
        Frame::from("MDPC02"),
        Frame::from(vec![1]),
        "echo".into(),
        body,
    ]
    .into_iter()
    .collect();
    let (mut sent, mut answers) = (0, 0);
    // It reads its replies, and asks for more than anybody could answer.
    while sent < 50_000 {
        if flood.try_send(request.clone()).is_ok() {
            sent += 1;
        }
        answers += u64::from(flood.try_recv().is_ok());
    }
    while answers < sent {
        answers += u64::from(flood.recv_timeout(Duration::from_secs(60)).is_ok());
    }
    load.answered(100);
    let others = load.end("broker, beside a flood of one client");
    assert_eq!(others.failures(), 0);
    // It had its turns, though thousands waited before it: in one queue it had a hundred by now.
    assert!(others.replied > 1000, "{others}");
    println!("the flood: {sent} sent, {answers} answered, replies and refusals");
    assert_is_small(&broker.process, "a flood of one client");
}

/// It asks, and never reads: small replies, and few that are large.
#[test]
fn a_client_that_does_not_read_is_cut_short() {
    cut_short("deaf", "unread-replies = 1000", 5000, 10_000);
}

#[test]
fn a_client_that_does_not_read_large_replies_is_cut_short() {
    cut_short("deaf-large", "unread-bytes = '4M'", 60, 1_000_000);
}

fn cut_short(name: &str, limit: &str, requests: usize, size: u32) {
    let mut broker = Broker::start_with(name, &format!("\n[limits]\n{limit}\n"));
    let _worker = broker.worker(&["echo"]);
    let load = Load::start(client(&broker.at), 4);
    let mut stream = TcpStream::connect(broker.at.strip_prefix("tcp://").unwrap()).unwrap();
    stream.write_all(&shaken()).unwrap();
    let mut request = b"\x01\x06MDPC02\x01\x01\x01\x01\x04echo\x02\0\0\0\0".to_vec();
    request.extend(size.to_be_bytes());
    request.resize(request.len() + size as usize, b'x');
    for _ in 0..requests {
        stream.write_all(&request).unwrap();
    }
    // All were answered; what exceeds the limit and the kernel's buffers was dropped.
    broker.tells(" unread=", &load);
    load.answered(100);
    load.end_without_loss("broker, beside a client that does not read");
    assert_is_small(&broker.process, "a client that does not read");
}

#[test]
fn garbage_and_deaf_clients_of_a_queue_harm_nobody_else() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let (front, back) = (endpoint(), endpoint());
    let _queue = Program::start("ppqueue", [&*front, &back, "--scale", "0.1"]);
    let workers = [(); 2].map(|()| {
        let worker = Program::start("ppworker", [&*back, "--scale", "0.1", "--script", "n"]);
        worker.until("I: worker ready");
        worker
    });
    let mut config = Config::new([&*front]);
    config.attempts = 20;
    config.timeout = Duration::from_secs(2);
    let load = Load::start(Client::new(config, 7), 1);
    say_garbage(&front, &mut rng);
    say_garbage(&back, &mut rng);
    load.answered(5);
    // A DEALER that sends no envelope, and one whose requests are right and whose replies nobody reads.
    let context = Context::new();
    let wrong = dealer(&context, &front);
    for _ in 0..100 {
        wrong.send(nearly(&mut rng)).unwrap();
    }
    let deaf = dealer(&context, &front);
    for _ in 0..20 {
        deaf.send(["", "x"].into_iter().collect::<Message>())
            .unwrap();
    }
    load.answered(30);
    load.end_without_loss("ppqueue, garbage and a client that does not read");
    drop(workers);
}
