//! `proxy`: one of the three devices between two sockets.

use std::thread;

use xebec::{Context, Message, Proxy, ProxyError, Socket, SocketType, Stats};

use super::open::{self, Place};
use crate::args::{self, Device};
use crate::console::{self, Talk};
use crate::interrupt;
use crate::quantity::grouped;

/// The sockets in front and behind.
fn sockets(device: Device) -> (SocketType, SocketType) {
    match device {
        Device::Queue => (SocketType::Router, SocketType::Dealer),
        Device::Forwarder => (SocketType::Xsub, SocketType::Xpub),
        Device::Streamer => (SocketType::Pull, SocketType::Push),
    }
}

/// A device's endpoint is bound, unless it is said to be connected.
fn place(endpoint: &str, connect: bool) -> Place {
    match endpoint.strip_prefix('>') {
        Some(endpoint) => Place::Connect(endpoint.trim_start().into()),
        None if connect => Place::Connect(endpoint.into()),
        None => Place::Bind(endpoint.trim_start_matches('@').into()),
    }
}

/// Runs the device until a signal comes.
pub(super) fn run(args: args::Proxy) -> anyhow::Result<()> {
    let context = Context::new();
    let talk = Talk::from_flags(args.socket.quiet, args.socket.verbose);
    let (front_kind, back_kind) = sockets(args.device);
    let open = |kind, place: &Place| -> anyhow::Result<(Socket, String)> {
        let socket = open::configured(&context, kind, &args.socket, &[("linger", "1s")])?;
        if talk == Talk::Verbose {
            console::follow(socket.monitor());
        }
        let actual = open::settle(&socket, place, Talk::Quiet)?;
        Ok((socket, actual))
    };
    let (front, front_at) = open(front_kind, &place(&args.front, args.connect_front))?;
    let (back, back_at) = open(back_kind, &place(&args.back, args.connect_back))?;
    let capture = args
        .capture
        .as_deref()
        .map(|endpoint| open(SocketType::Pub, &place(endpoint, false)))
        .transpose()?;
    talk.note(format_args!(
        "{}: {front_kind} at {front_at} in front, {back_kind} at {back_at} behind{}; Ctrl-C stops it",
        format!("{:?}", args.device).to_lowercase(),
        capture.as_ref().map(|(_, at)| format!(", copies at {at}")).unwrap_or_default(),
    ));

    let control = terminated_by_a_signal(&context)?;
    loop {
        let mut proxy = Proxy::new(&front, &back).control(&control);
        if let Some((capture, _)) = &capture {
            proxy = proxy.capture(capture);
        }
        match proxy.run() {
            // Somebody else's signal, such as the one after a pause by Ctrl-Z.
            Err(ProxyError::Interrupted) if interrupt::check().is_ok() => {}
            Ok(_) | Err(ProxyError::Interrupted) => break,
            Err(error) => return Err(error.into()),
        }
    }
    talk.note(format_args!("front: {}", totals(&front.stats())));
    talk.note(format_args!("back: {}", totals(&back.stats())));
    interrupt::end_at_once(true);
    drop((front, back, capture, control));
    context.term();
    Ok(interrupt::check()?)
}

/// A control socket that says TERMINATE when a signal comes.
fn terminated_by_a_signal(context: &Context) -> anyhow::Result<Socket> {
    const CONTROL: &str = "inproc://proxy-control";
    let control = context.socket(SocketType::Pair)?;
    let steering = context.socket(SocketType::Pair)?;
    control.bind(CONTROL)?;
    steering.connect(CONTROL)?;
    thread::spawn(move || {
        while open::wait(None, None, None).is_ok() {}
        // If the proxy has ended by itself there is nobody left to tell.
        let _ = steering.send(Message::from("TERMINATE"));
    });
    Ok(control)
}

/// What a socket carried, in words.
pub(super) fn totals(stats: &Stats) -> String {
    let dropped = dropped(stats);
    let mut text = format!(
        "{} messages ({} bytes) in, {} ({} bytes) out",
        grouped(stats.messages_in),
        grouped(stats.bytes_in),
        grouped(stats.messages_out),
        grouped(stats.bytes_out),
    );
    if dropped > 0 {
        text += &format!(", {} dropped", grouped(dropped));
    }
    text
}

/// All that was dropped, for whatever reason.
pub(super) fn dropped(stats: &Stats) -> u64 {
    let drops = &stats.dropped;
    drops.unroutable
        + drops.high_water_mark
        + drops.no_subscriber
        + drops.unwanted
        + drops.malformed
        + drops.peer_gone
        + drops.linger
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_bind_unless_told_to_connect() {
        assert_eq!(
            place("tcp://localhost:1", false),
            Place::Bind("tcp://localhost:1".into())
        );
        assert_eq!(place("@tcp://*:1", false), Place::Bind("tcp://*:1".into()));
        assert_eq!(
            place(">tcp://a:1", false),
            Place::Connect("tcp://a:1".into())
        );
        assert_eq!(place("tcp://a:1", true), Place::Connect("tcp://a:1".into()));
    }
}
