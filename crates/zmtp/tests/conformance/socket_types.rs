//! Names, numbers and legal pairs of socket types, written down a second time.

use zmtp::SocketType::{self, *};

/// RFC 23's matrix, extended by RFC 37's list; DGRAM as in libzmq.
const LEGAL: &[(SocketType, SocketType)] = &[
    (Req, Rep),
    (Req, Router),
    (Rep, Req),
    (Rep, Dealer),
    (Dealer, Rep),
    (Dealer, Dealer),
    (Dealer, Router),
    (Router, Req),
    (Router, Dealer),
    (Router, Router),
    (Pub, Sub),
    (Pub, Xsub),
    (Xpub, Sub),
    (Xpub, Xsub),
    (Sub, Pub),
    (Sub, Xpub),
    (Xsub, Pub),
    (Xsub, Xpub),
    (Push, Pull),
    (Pull, Push),
    (Pair, Pair),
    (Client, Server),
    (Server, Client),
    (Radio, Dish),
    (Dish, Radio),
    (Scatter, Gather),
    (Gather, Scatter),
    (Dgram, Dgram),
    (Peer, Peer),
    (Channel, Channel),
];

#[test]
fn legal_pairs() {
    for &a in SocketType::ALL {
        for &b in SocketType::ALL {
            assert_eq!(a.accepts(b), LEGAL.contains(&(a, b)), "{a} and {b}");
            assert_eq!(a.accepts(b), b.accepts(a), "{a} and {b}");
        }
    }
}

macro_rules! names {
    ($($kind:ident = $number:literal, $name:literal;)*) => {
        #[test]
        fn names_and_numbers() {
            $(
                assert_eq!($kind.number(), $number);
                assert_eq!($kind.name(), $name);
                assert_eq!($kind.to_string(), $name);
                assert_eq!(SocketType::from_number($number), Some($kind));
                assert_eq!(SocketType::from_name($name.as_bytes()), Some($kind));
                assert_eq!(SocketType::from_name($name.to_lowercase().as_bytes()), None);
                assert_eq!(SocketType::parse($name), Some($kind));
                assert_eq!(SocketType::parse(&$name.to_lowercase()), Some($kind));
            )*
            assert_eq!(SocketType::ALL, [$($kind),*]);
        }
    };
}

names! {
    Pair = 0, "PAIR";
    Pub = 1, "PUB";
    Sub = 2, "SUB";
    Req = 3, "REQ";
    Rep = 4, "REP";
    Dealer = 5, "DEALER";
    Router = 6, "ROUTER";
    Pull = 7, "PULL";
    Push = 8, "PUSH";
    Xpub = 9, "XPUB";
    Xsub = 10, "XSUB";
    Stream = 11, "STREAM";
    Server = 12, "SERVER";
    Client = 13, "CLIENT";
    Radio = 14, "RADIO";
    Dish = 15, "DISH";
    Gather = 16, "GATHER";
    Scatter = 17, "SCATTER";
    Dgram = 18, "DGRAM";
    Peer = 19, "PEER";
    Channel = 20, "CHANNEL";
}

#[test]
fn old_names_are_for_users_only() {
    assert_eq!(SocketType::parse("XREQ"), Some(Dealer));
    assert_eq!(SocketType::parse("xrep"), Some(Router));
    assert_eq!(SocketType::from_name(b"XREQ"), None);
    assert_eq!(SocketType::parse("REQ "), None);
    assert_eq!(SocketType::from_number(21), None);
}
