//! Replays the fuzz corpus of the C interface through the body of its fuzz target, which is shared with
//! `fuzz/`.
//!
//! The hand-made part of the corpus is the table below; `replay` says how it is written.

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::Seed;

// `pub` there is for the fuzz crate.
#[allow(unreachable_pub)]
#[path = "../../../fuzz/src/calls.rs"]
mod calls;

const PAIR: u8 = 0;
const PUB: u8 = 1;
const SUB: u8 = 2;
const DEALER: u8 = 5;
const ROUTER: u8 = 6;
const PULL: u8 = 7;
const PUSH: u8 = 8;
const XPUB: u8 = 9;
const STREAM: u8 = 11;
const SERVER: u8 = 12;
const DISH: u8 = 15;
const RADIO: u8 = 14;

// Calls, as `calls` numbers them.
const SET: u8 = 0;
const GET: u8 = 1;
const CTX_SET_EXT: u8 = 2;
const CTX_GET_EXT: u8 = 3;
const CTX_SET: u8 = 4;
const MESSAGE: u8 = 5;
const DRAFT: u8 = 6;
const WIRE: u8 = 7;
/// The number is in what follows.
const WIDE: u8 = 0x40;
const NULL: u8 = 0x80;

/// A call with what it is given.
fn call(call: u8, number: u8, given: &[u8]) -> Vec<u8> {
    let len = u8::try_from(given.len()).unwrap();
    [&[call, number, len], given].concat()
}

/// A call with an int.
fn int(what: u8, number: u8, value: i32) -> Vec<u8> {
    call(what, number, &value.to_ne_bytes())
}

/// A call that asks for an option, with room for so many bytes, and what stands there for them.
fn ask(what: u8, number: u8, room: u8) -> Vec<u8> {
    call(what, number, &vec![0; room.into()])
}

fn seeds() -> Vec<(&'static str, u8, Vec<Vec<u8>>)> {
    vec![
        ("nothing", PAIR, vec![]),
        ("no-such-type", 0xff, vec![int(SET, 17, 0), ask(GET, 17, 4)]),
        (
            "ints",
            PUSH,
            vec![
                int(SET, 17, 100),
                ask(GET, 17, 4),
                ask(GET, 17, 8),
                ask(GET, 17, 3),
                ask(GET, 17, 0),
                int(SET, 17, -2),
                call(SET, 17, b"abc"),
                int(SET, 24, 1),
                int(SET, 27, i32::MAX),
                int(SET, 255, 0),
            ],
        ),
        (
            "long-ints",
            PULL,
            vec![
                call(SET, 22, &i64::MAX.to_ne_bytes()),
                call(SET, 22, &(-2i64).to_ne_bytes()),
                call(SET, 4, &1u64.to_ne_bytes()),
                call(SET, 4, &u64::MAX.to_ne_bytes()),
                ask(GET, 22, 8),
                ask(GET, 4, 8),
            ],
        ),
        (
            "texts",
            ROUTER,
            vec![
                call(SET, 5, b"router"),
                call(SET, 5, b"\0no"),
                ask(GET, 5, 255),
                ask(GET, 5, 3),
                call(SET, 92, b"a-name-that-is-too-long"),
                call(SET, 68, b"proxy.example:1080"),
                call(SET | NULL, 68, b""),
                call(SET, 95, b"X-Region:eu"),
                call(SET, 38, b"10.0.0.0/33"),
                ask(GET, 32, 255),
            ],
        ),
        (
            "null",
            DEALER,
            vec![
                call(SET | NULL, 5, b"dealer"),
                call(SET | NULL, 17, b"1234"),
                ask(GET | NULL, 17, 4),
                call(CTX_SET_EXT | NULL, 9, b"name"),
                call(CTX_SET_EXT | NULL, 9, b""),
                ask(CTX_GET_EXT | NULL, 9, 4),
                call(MESSAGE | NULL, 1, b"body"),
                call(DRAFT | NULL, 0, b"id"),
            ],
        ),
        (
            "unknown",
            PAIR,
            vec![
                int(SET, 0, 0),
                call(SET | WIDE, 0, &[0xff; 8]),
                call(GET | WIDE, 0, &[0x7f; 4]),
                call(CTX_SET_EXT | WIDE, 0, &[0xff; 8]),
                call(MESSAGE | WIDE, 0, &[0xff; 8]),
                call(SET | WIDE, 0, b"cut"),
            ],
        ),
        (
            "read-only",
            STREAM,
            [13, 14, 15, 16, 32, 43, 81, 116]
                .into_iter()
                .flat_map(|number| [ask(GET, number, 4), int(SET, number, 1)])
                .collect(),
        ),
        (
            "subscriptions",
            SUB,
            vec![
                call(SET, 6, b"topic"),
                call(SET, 7, b"topic"),
                call(SET, 7, b"topic"),
                call(SET, 6, &[b't'; 255]),
                ask(GET, 116, 4),
                call(SET | NULL, 6, b"null"),
            ],
        ),
        (
            "keys",
            PULL,
            vec![
                call(SET, 49, &[7; 32]),
                call(SET, 49, &[7; 31]),
                call(SET, 50, b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"),
                call(SET, 50, b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf~"),
                ask(GET, 50, 41),
                ask(GET, 50, 40),
                ask(GET, 50, 32),
                int(SET, 47, 1),
                call(SET, 45, b"admin"),
                ask(GET, 43, 4),
            ],
        ),
        (
            "late",
            DEALER,
            vec![
                call(WIRE, 0, b"self"),
                call(WIRE, 0, b""),
                int(SET, 23, 1),
                int(SET, 54, 1),
                call(SET, 110, b"hello"),
                call(SET, 4, &1u64.to_ne_bytes()),
            ],
        ),
        (
            "hello-to-nobody",
            DEALER,
            vec![call(SET, 110, b"hello"), call(WIRE, 0, b"")],
        ),
        (
            "welcome",
            XPUB,
            vec![
                call(SET, 72, b"welcome"),
                int(SET, 71, 1),
                int(SET, 98, 1),
                call(SET, 6, b"t"),
                call(WIRE, 0, b"self"),
            ],
        ),
        ("conflate", PUB, vec![int(SET, 54, 1), int(SET, 74, -1)]),
        (
            "descriptor",
            PULL,
            vec![
                int(SET, 89, 0),
                ask(GET, 89, 4),
                int(SET, 89, -1),
                int(SET, 89, 9999),
            ],
        ),
        (
            "threads",
            PUSH,
            vec![
                int(CTX_SET, 1, i32::MAX),
                int(CTX_SET_EXT, 2, 1),
                call(CTX_SET_EXT, 9, b"name"),
                int(CTX_SET_EXT, 7, 0),
                int(CTX_SET_EXT, 7, 1024),
                int(CTX_SET_EXT, 8, 1),
                int(CTX_SET_EXT, 8, 0),
                ask(GET, 17, 4),
                int(CTX_SET, 1, 2),
                ask(CTX_GET_EXT, 9, 17),
                ask(CTX_GET_EXT, 9, 2),
                ask(CTX_GET_EXT, 6, 4),
            ],
        ),
        (
            "no-such-processor",
            PUSH,
            vec![int(CTX_SET_EXT, 7, 1023), ask(GET, 17, 4), ask(GET, 17, 4)],
        ),
        (
            "no-such-policy",
            PUSH,
            vec![int(CTX_SET, 4, 77), int(CTX_SET, 3, 98), ask(GET, 17, 4)],
        ),
        (
            "messages",
            PAIR,
            vec![
                call(MESSAGE, 1, b"short"),
                call(MESSAGE, 2, &[b'l'; 255]),
                call(MESSAGE, 3, b"zero\0byte"),
                call(MESSAGE, 0, b""),
            ],
        ),
        (
            "groups",
            DISH,
            vec![
                call(DRAFT, 1, b"group"),
                call(DRAFT, 1, &[b'g'; 255]),
                ask(GET, 116, 4),
            ],
        ),
        (
            "radio",
            RADIO,
            vec![int(SET, 69, 1), call(DRAFT, 1, b"group")],
        ),
        (
            "server",
            SERVER,
            vec![call(WIRE, 0, b"self"), call(DRAFT, 1, b"id")],
        ),
    ]
}

/// The same as files: the type of the socket, and the calls.
fn files() -> Vec<Seed> {
    let file = |(name, kind, calls): (_, u8, Vec<Vec<u8>>)| Seed {
        target: "calls",
        name,
        data: [&[kind], &*calls.concat()].concat(),
    };
    seeds().into_iter().map(file).collect()
}

#[test]
fn calls() {
    replay::replay(&files(), "calls", calls::calls);
}

#[test]
fn the_files_are_the_seeds() {
    replay::check(&files());
}
