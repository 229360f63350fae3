//! Every option as the C interface has it, compared with libzmq: what is accepted on which type of
//! socket, and what is told into buffers of which size.
//!
//! libzmq is a build without the draft interface; Xebec has those options too. What else differs
//! stands in [`DIFFERS`], with the reason.

use std::collections::BTreeSet;

use xebec::{
    Context, Form, OPTIONS, OptionSpec, Options, Role, Socket,
    SocketType::{self, *},
    Value,
};
use xebec_peers::libzmq;

const TYPES: [SocketType; 12] = [
    Pair, Pub, Sub, Req, Rep, Dealer, Router, Pull, Push, Xpub, Xsub, Stream,
];

/// Options of libzmq's draft interface, which a stable build refuses.
const DRAFT: &[i32] = &[97, 101, 102, 110, 111, 112, 113, 114, 115, 116];

/// Where the two differ: the option, the value as it is called in [`ints`] or [`others`], and the
/// answer of libzmq.
const DIFFERS: &[(&str, &str, bool)] = &[
    // A byte is all that a packet has room for.
    ("TOS", "500", true),
    // Flags that mean nothing.
    ("RECONNECT_STOP", "-1", true),
    ("RECONNECT_STOP", "500", true),
    // A number alone does not say who owns the descriptor: `Options::use_fd` takes one.
    ("USE_FD", "0", true),
    ("USE_FD", "1", true),
    ("USE_FD", "2", true),
    ("USE_FD", "500", true),
    // Taken as 0 there, for it is divided first.
    ("HEARTBEAT_TTL", "-1", true),
    // Texts that are no host with or without a port: every attempt to connect would fail.
    ("SOCKS_PROXY", "filter", true),
    ("SOCKS_PROXY", "property", true),
    ("SOCKS_PROXY", "longer text", true),
    ("SOCKS_PROXY", "empty", false),
    // No limit is -1.
    ("MAXMSGSIZE", "long -5", true),
    // An empty value empties a list or a text; in libzmq only NULL does.
    ("TCP_ACCEPT_FILTER", "empty", false),
    ("IPC_FILTER_UID", "empty", false),
    ("IPC_FILTER_GID", "empty", false),
    ("IPC_FILTER_PID", "empty", false),
    ("BINDTODEVICE", "empty", false),
    ("METADATA", "empty", false),
    ("PLAIN_USERNAME", "empty", false),
    ("PLAIN_PASSWORD", "empty", false),
    ("ZAP_DOMAIN", "empty", false),
    // The longest id that the protocol has.
    ("CONNECT_ROUTING_ID", "longer text", true),
];

/// Values of the size of an `int`, for the options that are one.
fn ints() -> impl Iterator<Item = (String, Vec<u8>)> {
    [-1, 0, 1, 2, 500]
        .map(|n: i32| (n.to_string(), n.to_ne_bytes().to_vec()))
        .into_iter()
}

fn others() -> impl Iterator<Item = (String, Vec<u8>)> {
    [
        ("long 1", 1i64.to_ne_bytes().to_vec()),
        ("long -5", (-5i64).to_ne_bytes().to_vec()),
        ("text", b"abcde".to_vec()),
        ("terminated", b"abcde\0".to_vec()),
        ("zero first", b"\0\x01abc".to_vec()),
        ("empty", b"".to_vec()),
        ("filter", b"10.0.0.0/8".to_vec()),
        ("property", b"X-a:bcd".to_vec()),
        ("long text", vec![b'x'; 200]),
        ("longer text", vec![b'x'; 256]),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into_iter()
}

/// A text that libzmq takes for what it is not: a zero byte in its middle.
fn is_garbage(row: &OptionSpec, bytes: &[u8]) -> bool {
    let middle = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    matches!(row.form, Form::Text) && (middle.contains(&0) || str::from_utf8(bytes).is_err())
}

/// What both have.
fn rows() -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(|row| {
        let refused = matches!(row.rules.role, Role::Refused(_));
        row.number < 1000 && !DRAFT.contains(&row.number) && !refused
    })
}

fn theirs(context: &libzmq::Context, kind: SocketType) -> libzmq::Socket {
    let number = TYPES.iter().position(|&known| known == kind).unwrap();
    context.plain_socket(number as i32).unwrap()
}

fn ours(context: &Context, kind: SocketType) -> Socket {
    Socket::with_options(context, kind, Options::for_c(kind)).unwrap()
}

#[test]
fn each_type_takes_what_it_takes_in_libzmq() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let (their_context, context) = (zmq.context(), Context::new());
    let mut differing = BTreeSet::new();
    for row in rows() {
        for kind in TYPES {
            if row.rules.role == Role::Action && kind == Xsub {
                // It subscribes by message there, and by either here.
                continue;
            }
            let (their, our) = (theirs(&their_context, kind), ours(&context, kind));
            for (name, bytes) in ints().chain(others()).filter(|(_, b)| !is_garbage(row, b)) {
                let expected = their.set_bytes(row.number, &bytes).is_ok();
                if our.set_c(row.number, &bytes).is_ok() != expected {
                    differing.insert((row.name(), name, expected));
                }
            }
            // What was set is for this test alone.
            their.set_no_linger().unwrap();
            our.set("linger", "0").unwrap();
        }
    }
    let named = DIFFERS.iter();
    let named: BTreeSet<_> = named
        .map(|&(row, value, is)| (row, value.to_owned(), is))
        .collect();
    let both = (named.difference(&differing), differing.difference(&named));
    let (missing, new) = (both.0.collect::<Vec<_>>(), both.1.collect::<Vec<_>>());
    assert!(
        missing.is_empty() && new.is_empty(),
        "missing: {missing:?}, new: {new:?}"
    );
}

/// The bytes of a value, into buffers of the sizes of an `int`, of a long, and larger.
#[test]
fn each_type_tells_what_it_tells_in_libzmq() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let (their_context, context) = (zmq.context(), Context::new());
    for row in rows() {
        for kind in TYPES {
            let (their, our) = (theirs(&their_context, kind), ours(&context, kind));
            let told = |room: usize| match row.rules.role {
                Role::Value => our.tell_c(row.number, room),
                _ if row.form == Form::Text => row.tell_c(&Value::Text(String::new()), room),
                _ => row.tell_c(&Value::Int(7), room),
            };
            let context = format!("{kind} {}", row.c_name);
            let int = their.int(row.number).map(|n| n.to_ne_bytes().to_vec());
            let long = their.long(row.number).map(|n| n.to_ne_bytes().to_vec());
            let many = their.bytes(row.number);
            for (room, theirs) in [(4, int), (8, long), (1024, many)] {
                let told = told(room);
                assert_eq!(
                    told.is_ok(),
                    theirs.is_ok(),
                    "{context} into {room}: {told:?}"
                );
                if let (Ok(told), Ok(mut theirs), Role::Value) = (told, theirs, row.rules.role) {
                    theirs.truncate(told.len());
                    assert_eq!(told, theirs, "{context} into {room}");
                }
            }
            their.set_no_linger().unwrap();
        }
    }
}

#[test]
fn what_is_refused_for_want_of_a_transport_is_refused_by_libzmq_too() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let context = zmq.context();
    let socket = theirs(&context, Pub);
    let prefixes = ["NORM_", "VMCI_", "WSS_"];
    let without = |row: &&OptionSpec| prefixes.iter().any(|p| row.name().starts_with(p));
    assert_eq!(OPTIONS.iter().filter(without).count(), 17);
    for row in OPTIONS.iter().filter(without) {
        for (name, bytes) in ints().chain(others()) {
            assert!(
                socket.set_bytes(row.number, &bytes).is_err(),
                "{} = {name}",
                row.c_name
            );
        }
        assert!(socket.bytes(row.number).is_err() && socket.int(row.number).is_err());
    }
}

/// One context each, all values in turn: a processor is there to be removed once it was added.
#[test]
fn contexts_take_what_they_take_in_libzmq() {
    let Some(zmq) = xebec_peers::libzmq_or_skip() else {
        return;
    };
    let their = zmq.context();
    let our = Context::builder().on_thread_start(|_| Ok(())).build();
    for number in (-1..=12).chain([42, 70, 71]) {
        for value in [-1, 0, 1, 2, 500, i32::MAX] {
            if number == 7 && value == i32::MAX {
                // No system has as many processors; libzmq would take it and fail later.
                continue;
            }
            let expected = their.set(number, value).is_ok();
            let taken = our.set_c(number, &value.to_ne_bytes());
            assert_eq!(taken.is_ok(), expected, "{number} = {value}: {taken:?}");
        }
    }
}
