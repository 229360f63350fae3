//! Monitors: the events of a socket, as messages of another over inproc (`zmq_socket_monitor`).
//!
//! | version | frames |
//! |---|---|
//! | 1 | event (16 bits) and value (32 bits) together; endpoint |
//! | 2 | event (64 bits); number of values (64 bits); each value (64 bits); local endpoint; remote endpoint |

use std::ffi::{c_char, c_int, c_void};

use xebec::{Event, EventKind, Message, Options, Socket, SocketType};

use crate::call::{status, text};
use crate::errno::Errno;
use crate::socket::{Handle, socket};

/// The events of version 1.
const FIRST_VERSION: u64 = 0xffff;

/// Has the events of a socket sent by a PAIR socket that is bound to `endpoint`, an inproc one; null
/// ends it.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor(
    this: *mut c_void,
    endpoint: *const c_char,
    events: c_int,
) -> c_int {
    let pair = SocketType::Pair.number().into();
    // The sign of an int says nothing about events.
    let events = events.cast_unsigned().into();
    // SAFETY: passed on to the caller.
    unsafe { zmq_socket_monitor_versioned(this, endpoint, events, 1, pair) }
}

/// As [`zmq_socket_monitor`], with 64 events, the format of the messages, and the type of the socket that
/// sends them: PAIR, PUB or PUSH (draft).
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor_versioned(
    this: *mut c_void,
    endpoint: *const c_char,
    events: u64,
    version: c_int,
    kind: c_int,
) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        if version == 1 && events > FIRST_VERSION {
            return Err(Errno::EINVAL);
        }
        if endpoint.is_null() {
            this.socket.observe(None);
            return Ok(());
        }
        // SAFETY: passed on to the caller.
        let endpoint = unsafe { text(endpoint)? };
        begin(this, endpoint, events, version, kind)
    })
}

/// Has the numbers of messages in the queues of the socket's connections told to its monitor
/// (ZMQ_EVENT_PIPES_STATS, draft); EINVAL if it has no monitor, EAGAIN if it has no connections.
///
/// # Safety
/// The crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zmq_socket_monitor_pipes_stats(this: *mut c_void) -> c_int {
    status(|| {
        // SAFETY: passed on to the caller.
        let this = unsafe { socket(this)? };
        this.alive()?;
        match this.socket.tell_queues() {
            None => Err(Errno::EINVAL),
            Some(0) => Err(Errno::EAGAIN),
            Some(_) => Ok(()),
        }
    })
}

fn begin(
    this: &Handle,
    endpoint: &str,
    events: u64,
    version: c_int,
    kind: c_int,
) -> Result<(), Errno> {
    let (transport, name) = endpoint.split_once("://").ok_or(Errno::EINVAL)?;
    if transport != "inproc" {
        return Err(Errno::EPROTONOSUPPORT);
    }
    if name.is_empty() || !matches!(version, 1 | 2) {
        return Err(Errno::EINVAL);
    }
    let kind = u8::try_from(kind).ok().and_then(SocketType::from_number);
    let kind =
        kind.filter(|kind| matches!(kind, SocketType::Pair | SocketType::Pub | SocketType::Push));
    // One that is there already ends first, and its name is free again.
    this.socket.observe(None);
    // It is to hold up neither the end of the context nor the socket that it tells of.
    let options = Options::new().linger(std::time::Duration::ZERO);
    let speaker = this
        .context
        .socket_with(kind.ok_or(Errno::EINVAL)?, options)?;
    speaker.bind(endpoint)?;
    this.socket.observe(Some(Box::new(move |event| {
        tell(&speaker, event, events, version)
    })));
    Ok(())
}

/// Sends an event, if it is asked for. False after the last.
fn tell(speaker: &Socket, event: &Event, events: u64, version: c_int) -> bool {
    let number = u64::from(event.kind.number());
    // libzmq says nothing of connections that this side ends, only of listeners and attempts.
    let unsaid = event.kind == EventKind::Closed && event.peer.is_some();
    if number & events != 0 && !unsaid {
        let message = match version {
            1 => first_version(event),
            _ => second_version(event),
        };
        // A listener that is not there, or not fast enough, misses it.
        let _ = speaker.try_send(message);
    }
    event.kind != EventKind::MonitorStopped
}

fn first_version(event: &Event) -> Message {
    let mut head = [0; 6];
    let (number, value) = head.split_at_mut(2);
    number.copy_from_slice(&(event.kind.number() as u16).to_ne_bytes());
    value.copy_from_slice(&(event.value as u32).to_ne_bytes());
    let mut message = Message::from(head);
    message.push_back(event.endpoint.as_str());
    message
}

fn second_version(event: &Event) -> Message {
    let mut message = Message::from(u64::from(event.kind.number()).to_ne_bytes());
    message.push_back((event.values().len() as u64).to_ne_bytes());
    for value in event.values() {
        message.push_back(value.to_ne_bytes());
    }
    let (local, remote) = event.ends();
    message.push_back(local);
    message.push_back(remote);
    message
}
