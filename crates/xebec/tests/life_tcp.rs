//! The tcp transport, as sockets see it: every form of endpoint, any start order, unbind,
//! disconnect, LAST_ENDPOINT, and the options that the kernel's sockets get.

#[path = "support/life.rs"]
mod life;

use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::time::Instant;

use life::*;
use rustix::event::PollFlags;
use rustix::net::{SocketAddrAny, sockopt};
use xebec::{
    AddressErrorKind, Context, Dealer, EndpointErrorKind, EventKind, Options, Pair, Pull, Push,
    SendErrorKind,
};

fn has_ipv6() -> bool {
    let there = TcpListener::bind("[::1]:0").is_ok();
    if !there {
        println!("skipped: this machine has no ::1");
    }
    there
}

fn port(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').expect("a port").1
}

/// Binds to `bound`, connects to `connected` (where `PORT` is the port that the bind got) and
/// sends a message each way. Returns the endpoint as bound.
fn round(bound: &str, connected: &str, ipv6: bool) -> String {
    let context = Context::builder().ipv6(ipv6).build();
    let (server, client) = (
        Pair::with_options(&context, quick()).unwrap(),
        Pair::with_options(&context, quick()).unwrap(),
    );
    let actual = server.bind(bound).unwrap();
    assert_eq!(server.last_endpoint().as_ref(), Some(&actual));
    let connected = connected.replace("PORT", port(&actual));
    client.connect(&connected).unwrap();
    assert_eq!(client.last_endpoint(), Some(connected));
    client.send("ping").unwrap();
    assert_eq!(text(&server), "ping");
    server.send("pong").unwrap();
    assert_eq!(text(&client), "pong");
    actual
}

macro_rules! rounds {
    ($($name:ident: $bound:literal => $actual:literal from $connected:literal, ipv6 $ipv6:literal;)*) => {$(
        #[test]
        fn $name() {
            if $ipv6 && !has_ipv6() {
                return;
            }
            let actual = round($bound, $connected, $ipv6);
            assert!(actual.starts_with($actual), "{actual}");
            assert!(port(&actual).parse::<u16>().unwrap() > 0);
        }
    )*};
}

rounds! {
    a_star_is_a_free_port: "tcp://127.0.0.1:*" => "tcp://127.0.0.1:" from "tcp://127.0.0.1:PORT", ipv6 false;
    zero_is_a_free_port: "tcp://127.0.0.1:0" => "tcp://127.0.0.1:" from "tcp://127.0.0.1:PORT", ipv6 false;
    all_interfaces: "tcp://*:*" => "tcp://0.0.0.0:" from "tcp://127.0.0.1:PORT", ipv6 false;
    another_loopback_address: "tcp://127.0.0.7:*" => "tcp://127.0.0.7:" from "tcp://127.0.0.7:PORT", ipv6 false;
    an_interface: "tcp://lo:*" => "tcp://127.0.0.1:" from "tcp://127.0.0.1:PORT", ipv6 false;
    a_host_name: "tcp://localhost:*" => "tcp://127.0.0.1:" from "tcp://localhost:PORT", ipv6 false;
    ipv6: "tcp://[::1]:*" => "tcp://[::1]:" from "tcp://[::1]:PORT", ipv6 true;
    ipv6_with_a_zone: "tcp://[::1]:*" => "tcp://[::1]:" from "tcp://[::1%lo]:PORT", ipv6 true;
    ipv6_interface: "tcp://lo:*" => "tcp://[::1]:" from "tcp://[::1]:PORT", ipv6 true;
    ipv6_all_interfaces: "tcp://*:*" => "tcp://[::]:" from "tcp://[::1]:PORT", ipv6 true;
    ipv6_all_interfaces_take_ipv4: "tcp://*:*" => "tcp://[::]:" from "tcp://127.0.0.1:PORT", ipv6 true;
    ipv4_with_ipv6_on: "tcp://127.0.0.1:*" => "tcp://127.0.0.1:" from "tcp://127.0.0.1:PORT", ipv6 true;
    from_a_source_address: "tcp://127.0.0.1:*" => "tcp://127.0.0.1:" from "tcp://127.0.0.1:*;127.0.0.1:PORT", ipv6 false;
    from_a_source_interface: "tcp://127.0.0.1:*" => "tcp://127.0.0.1:" from "tcp://lo:*;127.0.0.1:PORT", ipv6 false;
    from_an_ipv6_source: "tcp://[::1]:*" => "tcp://[::1]:" from "tcp://[::1]:*;[::1]:PORT", ipv6 true;
}

#[test]
fn a_connection_leaves_from_its_source() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let port = free_port();
    for (source, ip, from) in [
        ("127.0.0.2:*".to_owned(), "127.0.0.2", None),
        (format!("127.0.0.3:{port}"), "127.0.0.3", Some(port)),
    ] {
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(&endpoint.replace("tcp://", &format!("tcp://{source};")))
            .unwrap();
        assert!(ready(&listener, PollFlags::IN, SOON));
        let peer = listener.accept().unwrap().1;
        assert_eq!(peer.ip().to_string(), ip);
        assert!(from.is_none_or(|port| peer.port() == port), "{peer}");
    }
}

/// Whether this process is the one that [`with_names`] made for the test.
fn has_own_names() -> bool {
    std::env::var("XEBEC_LIFE_NAMES").is_ok()
}

/// Runs a test of this binary again, with a hosts file and a name server of its own: in a mount
/// namespace, where the two files are covered.
fn with_names(test: &str, hosts: &str, resolv: &str) {
    let file = |name: &str, content: &str| {
        let path = std::env::temp_dir().join(format!("xebec-{test}-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    };
    let files = [file("hosts", hosts), file("resolv.conf", resolv)];
    let script = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/resolv.conf || exit 77; shift 2; exec \"$@\"";
    let me = std::env::current_exe().unwrap();
    let run = |flags: &[&str]| {
        let mut child = std::process::Command::new("unshare");
        child.args(flags).args(["sh", "-c", script, "sh"]);
        child
            .args(&files)
            .arg(&me)
            .args(["--exact", test, "--nocapture"]);
        let output = child.env("XEBEC_LIFE_NAMES", "1").output().ok()?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused = errors.contains("unshare:") || output.status.code() == Some(77);
        (!refused).then_some((output, errors))
    };
    let outcome = run(&["-m"]).or_else(|| run(&["-r", "-m"]));
    files
        .iter()
        .for_each(|file| std::fs::remove_file(file).unwrap());
    match outcome {
        Some((output, errors)) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}\n{errors}");
            assert!(said.contains("1 passed"), "{said}\n{errors}");
            let skipped = said.lines().filter(|line| line.contains("skipped:"));
            skipped.for_each(|line| println!("{line}"));
        }
        None => println!("skipped: no mount namespace may be made here"),
    }
}

/// The first of a name's addresses refuse, the last takes the connection. (Where no namespace
/// can be had, the test beside the dialer has to do.)
#[test]
fn every_address_of_a_name_is_tried() {
    if !has_own_names() {
        let hosts =
            "127.0.0.1 localhost\n127.0.0.3 many.test\n127.0.0.4 many.test\n127.0.0.5 many.test\n";
        return with_names("every_address_of_a_name_is_tried", hosts, "");
    }
    let context = Context::new();
    let (pull, push) = (
        Pull::new(&context).unwrap(),
        Push::with_options(&context, quick()).unwrap(),
    );
    let endpoint = pull.bind("tcp://127.0.0.5:*").unwrap();
    assert_eq!(("many.test", 1).to_socket_addrs().unwrap().count(), 3);
    let monitor = push.monitor();
    push.connect(&format!("tcp://many.test:{}", port(&endpoint)))
        .unwrap();
    push.send("found").unwrap();
    assert_eq!(text(&pull), "found");
    assert!(
        !happened(&monitor).contains(&EventKind::ConnectRetried),
        "all addresses belong to one attempt"
    );
}

/// A name server that does not answer keeps nobody waiting but the connection that needs it.
#[test]
fn a_slow_name_server_delays_nobody_else() {
    if !has_own_names() {
        let resolv = "nameserver 127.0.0.53\noptions timeout:15 attempts:1\n";
        return with_names(
            "a_slow_name_server_delays_nobody_else",
            "127.0.0.1 localhost\n",
            resolv,
        );
    }
    let Ok(_silent) = std::net::UdpSocket::bind("127.0.0.53:53") else {
        return println!("skipped: the name server's port cannot be had");
    };
    let began = Instant::now();
    let context = Context::new();
    let (pull, push) = (
        Pull::new(&context).unwrap(),
        Push::with_options(&context, quick()).unwrap(),
    );
    let monitor = push.monitor();
    (0..5).for_each(|i| push.connect(&format!("tcp://slow-{i}.test:5555")).unwrap());
    push.connect(&pull.bind(ANY).unwrap()).unwrap();
    event(&monitor, EventKind::HandshakeSucceeded);
    // In turn over six peers: one in six goes to the one that is there.
    (0..60).for_each(|i| push.send(i.to_string()).unwrap());
    (0..10).for_each(|_| drop(text(&pull)));
    let so_far = happened(&monitor);
    assert!(
        !so_far.contains(&EventKind::ConnectRetried),
        "the look-ups are still waiting: {so_far:?}"
    );
    push.set("linger", "0").unwrap();
    drop((push, pull));
    context.term();
    assert!(began.elapsed() < ms(5_000), "{:?}", began.elapsed());
}

#[test]
fn a_name_that_nobody_knows_is_looked_up_again() {
    if !has_own_names() {
        // Without a name server the answer comes at once.
        let test = "a_name_that_nobody_knows_is_looked_up_again";
        return with_names(test, "127.0.0.1 localhost\n", "nameserver 127.0.0.54\n");
    }
    let context = Context::new();
    let push = Push::with_options(&context, quick().linger(ms(0))).unwrap();
    let monitor = push.monitor();
    push.connect("tcp://no-such-host.invalid:5555").unwrap();
    for _ in 0..2 {
        let retried = event(&monitor, EventKind::ConnectRetried);
        assert!(retried.cause.unwrap().contains("no-such-host.invalid"));
    }
    push.disconnect("tcp://no-such-host.invalid:5555").unwrap();
}

#[test]
fn an_address_in_use_says_so_until_it_is_unbound() {
    let context = Context::new();
    let (first, second) = (Pull::new(&context).unwrap(), Pull::new(&context).unwrap());
    let endpoint = first.bind(ANY).unwrap();
    let monitor = second.monitor();
    let error = second.bind(&endpoint).unwrap_err();
    assert!(matches!(error.kind, AddressErrorKind::InUse), "{error:?}");
    assert!(
        error.to_string().contains(&endpoint) && error.to_string().contains("in use"),
        "{error}"
    );
    assert_eq!(event(&monitor, EventKind::BindFailed).endpoint, endpoint);
    first.unbind(&endpoint).unwrap();
    assert_eq!(second.bind(&endpoint).unwrap(), endpoint);
    drop(first);
    let (push, endpoint) = (
        Push::with_options(&context, quick()).unwrap(),
        second.last_endpoint().unwrap(),
    );
    push.connect(&endpoint).unwrap();
    push.send("now here").unwrap();
    assert_eq!(text(&second), "now here");
}

#[test]
fn an_address_of_another_machine_cannot_be_bound() {
    let context = Context::new();
    let error = Pull::new(&context)
        .unwrap()
        .bind("tcp://198.51.100.1:*")
        .unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::NotAvailable),
        "{error:?}"
    );
    let error = Pull::new(&context)
        .unwrap()
        .bind("tcp://[::1]:*")
        .unwrap_err();
    assert!(error.to_string().contains("ipv6"), "{error}");
}

#[test]
fn endpoints_that_cannot_be_are_refused_at_once() {
    let context = Context::new();
    let (push, pull) = (
        Push::with_options(&context, quick()).unwrap(),
        Pull::new(&context).unwrap(),
    );
    for (endpoint, kind) in [
        ("127.0.0.1:5555", EndpointErrorKind::NoTransport),
        (
            "carrier-pigeon://127.0.0.1:5555",
            EndpointErrorKind::UnknownTransport,
        ),
        ("tcp://", EndpointErrorKind::NoAddress),
        ("tcp://localhost", EndpointErrorKind::NoPort),
        ("tcp://localhost:http", EndpointErrorKind::Port),
        ("tcp://localhost:65536", EndpointErrorKind::Port),
        ("tcp://300.0.0.1:5555", EndpointErrorKind::Ipv4),
    ] {
        for error in [
            push.connect(endpoint).unwrap_err(),
            pull.bind(endpoint).unwrap_err(),
        ] {
            assert!(
                matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == kind),
                "{endpoint}: {error:?}"
            );
            assert!(error.to_string().contains(endpoint), "{error}");
        }
    }
    for endpoint in ["tcp://*:5555", "tcp://127.0.0.1:*", "tcp://127.0.0.1:0"] {
        let error = push.connect(endpoint).unwrap_err();
        assert!(
            matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::ConnectToAny),
            "{endpoint}"
        );
    }
    let error = pull.bind("tcp://127.0.0.1:1;127.0.0.1:5555").unwrap_err();
    assert!(
        matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::BindWithSource)
    );
    assert_eq!((push.last_endpoint(), pull.last_endpoint()), (None, None));
}

#[test]
fn last_endpoint_is_the_latest_of_all() {
    let context = Context::new();
    let pair = Pair::with_options(&context, quick()).unwrap();
    assert_eq!(pair.last_endpoint(), None);
    let first = pair.bind(ANY).unwrap();
    let second = pair.bind("tcp://127.0.0.1:0").unwrap();
    assert_ne!(first, second);
    assert_eq!(pair.last_endpoint(), Some(second));
    pair.connect("tcp://localhost:9").unwrap();
    assert_eq!(pair.last_endpoint().as_deref(), Some("tcp://localhost:9"));
}

#[test]
fn one_socket_serves_all_that_it_is_bound_and_connected_to() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let endpoints = [
        pull.bind(ANY).unwrap(),
        pull.bind("ipc://*").unwrap(),
        pull.bind("inproc://third").unwrap(),
    ];
    let bound = Push::with_options(&context, quick()).unwrap();
    pull.connect(&bound.bind(ANY).unwrap()).unwrap();
    let pushes: Vec<Push> = endpoints
        .iter()
        .map(|endpoint| {
            let push = Push::with_options(&context, quick()).unwrap();
            push.connect(endpoint).unwrap();
            push
        })
        .collect();
    for (i, push) in pushes.iter().chain([&bound]).enumerate() {
        push.send(i.to_string()).unwrap();
    }
    let mut got: Vec<String> = (0..4).map(|_| text(&pull)).collect();
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3"]);
}

#[test]
fn the_side_that_connects_may_start_first() {
    for sender_connects in [true, false] {
        let context = Context::new();
        let (push, pull) = (
            Push::with_options(&context, quick()).unwrap(),
            Pull::with_options(&context, quick()).unwrap(),
        );
        let endpoint = nobody();
        let monitor = if sender_connects {
            push.monitor()
        } else {
            pull.monitor()
        };
        if sender_connects {
            push.connect(&endpoint).unwrap();
            (0..5).for_each(|i| push.send(i.to_string()).unwrap());
        } else {
            pull.connect(&endpoint).unwrap();
            assert_eq!(
                push.try_send("nobody there").unwrap_err().kind,
                SendErrorKind::WouldBlock
            );
        }
        // It has tried and failed at least once when the other side starts.
        event(&monitor, EventKind::ConnectRetried);
        if sender_connects {
            pull.bind(&endpoint).unwrap();
        } else {
            push.bind(&endpoint).unwrap();
            (0..5).for_each(|i| push.send_timeout(i.to_string(), SOON).unwrap());
        }
        (0..5).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    }
}

#[test]
fn unbinding_closes_what_came_by_it_and_lets_nobody_in() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let (gone, kept) = (pull.bind(ANY).unwrap(), pull.bind(ANY).unwrap());
    let push = |endpoint: &str| {
        let push = Push::with_options(&context, quick().linger(ms(0))).unwrap();
        let monitor = push.monitor();
        push.connect(endpoint).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
        (push, monitor)
    };
    let ((_cut, cut), (staying, quiet)) = (push(&gone), push(&kept));
    let monitor = pull.monitor();
    pull.unbind(&gone).unwrap();
    assert_eq!(event(&monitor, EventKind::Closed).endpoint, gone);
    event(&cut, EventKind::Disconnected);
    let refused = |_| {
        let cause = event(&cut, EventKind::ConnectRetried).cause.unwrap();
        cause.contains("refused")
    };
    assert!((0..10).any(refused));
    staying.send("still there").unwrap();
    assert_eq!(text(&pull), "still there");
    assert_eq!(happened(&quiet), []);
    for endpoint in [&gone, "tcp://127.0.0.1:1"] {
        let error = pull.unbind(endpoint).unwrap_err();
        assert!(
            matches!(error.kind, AddressErrorKind::NotFound),
            "{error:?}"
        );
    }
    // The one that was cut off comes back with the endpoint.
    pull.bind(&gone).unwrap();
    event(&cut, EventKind::HandshakeSucceeded);
}

#[test]
fn unbind_takes_the_endpoint_as_it_was_given() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let actual = pull.bind("tcp://lo:*").unwrap();
    pull.unbind("tcp://lo:*").unwrap();
    TcpListener::bind(address(&actual)).expect("free again");
}

#[test]
fn what_was_queued_before_a_disconnect_still_leaves() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    (0..20).for_each(|i| push.send(i.to_string()).unwrap());
    push.disconnect(&endpoint).unwrap();
    assert_eq!(
        push.try_send("too late").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    let error = push.disconnect(&endpoint).unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::NotFound),
        "{error:?}"
    );
    let pull = Pull::new(&context).unwrap();
    let monitor = pull.monitor();
    pull.bind(&endpoint).unwrap();
    (0..20).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    // Then it goes, and does not come back.
    event(&monitor, EventKind::Disconnected);
    assert_nothing(&pull);
}

#[test]
fn a_disconnect_without_linger_drops_what_was_queued() {
    let context = Context::new();
    let push = Push::with_options(&context, quick().linger(ms(0))).unwrap();
    let endpoint = nobody();
    push.connect(&endpoint).unwrap();
    (0..7).for_each(|i| push.send(i.to_string()).unwrap());
    push.disconnect(&endpoint).unwrap();
    assert_eq!(push.stats().dropped.linger, 7);
    // The same endpoint again is a new beginning.
    push.connect(&endpoint).unwrap();
    push.send("fresh").unwrap();
    let pull = Pull::new(&context).unwrap();
    pull.bind(&endpoint).unwrap();
    assert_eq!(text(&pull), "fresh");
}

/// A DEALER has one connection to an endpoint; the one that it lets go of does not count.
#[test]
fn what_lingers_does_not_stand_in_the_way_of_a_new_connect() {
    let context = Context::new();
    let dealer = Dealer::with_options(&context, quick()).unwrap();
    let endpoint = nobody();
    dealer.connect(&endpoint).unwrap();
    dealer.connect(&endpoint).unwrap();
    dealer.send("old").unwrap();
    dealer.disconnect(&endpoint).unwrap();
    dealer.connect(&endpoint).unwrap();
    dealer.try_send("new").unwrap();
    let other = Dealer::new(&context).unwrap();
    other.bind(&endpoint).unwrap();
    let mut got = [text(&other), text(&other)];
    got.sort();
    assert_eq!(got, ["new", "old"]);
    until("the old connection is gone", || {
        other.stats().connections == 1
    });
}

#[test]
fn a_disconnected_peer_gets_no_more_while_the_others_do() {
    let context = Context::new();
    let push = Push::with_options(&context, quick()).unwrap();
    let pulls = [Pull::new(&context).unwrap(), Pull::new(&context).unwrap()];
    let endpoints = pulls.each_ref().map(|pull| pull.bind(ANY).unwrap());
    let monitor = push.monitor();
    for endpoint in &endpoints {
        push.connect(endpoint).unwrap();
        event(&monitor, EventKind::HandshakeSucceeded);
    }
    let gone = pulls[0].monitor();
    push.disconnect(&endpoints[0]).unwrap();
    event(&gone, EventKind::Disconnected);
    (0..10).for_each(|i| push.send(i.to_string()).unwrap());
    (0..10).for_each(|i| assert_eq!(text(&pulls[1]), i.to_string()));
    assert_nothing(&pulls[0]);
}

// ---- the kernel's sockets ----

/// Every option that reaches the kernel's socket, away from its default.
fn tuned() -> Options {
    Options::new()
        .tos(0x28)
        .priority(5)
        .sndbuf(50_000)
        .rcvbuf(60_000)
        .tcp_keepalive(true)
        .tcp_keepalive_idle(std::time::Duration::from_secs(77))
        .tcp_keepalive_intvl(std::time::Duration::from_secs(7))
        .tcp_keepalive_cnt(3)
        .tcp_maxrt(ms(12_345))
}

fn assert_tuned(fd: &OwnedFd) {
    let socket = socket2::SockRef::from(fd);
    assert_eq!(sockopt::ip_tos(fd).unwrap(), 0x28);
    assert_eq!(socket.priority().unwrap(), 5);
    // Linux counts its own bookkeeping and says twice what was asked.
    assert_eq!(sockopt::socket_send_buffer_size(fd).unwrap(), 100_000);
    assert_eq!(sockopt::socket_recv_buffer_size(fd).unwrap(), 120_000);
    assert!(sockopt::socket_keepalive(fd).unwrap());
    assert_eq!(sockopt::tcp_keepidle(fd).unwrap().as_secs(), 77);
    assert_eq!(sockopt::tcp_keepintvl(fd).unwrap().as_secs(), 7);
    assert_eq!(sockopt::tcp_keepcnt(fd).unwrap(), 3);
    assert_eq!(sockopt::tcp_user_timeout(fd).unwrap(), 12_345);
    assert!(sockopt::tcp_nodelay(fd).unwrap());
}

/// This process's descriptor of the connection whose other end is `raw`.
fn other_end(raw: &Raw) -> OwnedFd {
    let address = SocketAddrAny::from(raw.0.local_addr().unwrap());
    duplicate(|fd| {
        rustix::net::getpeername(fd).is_ok_and(|peer| peer.is_some_and(|peer| peer == address))
    })
    .expect("our end of the connection")
}

#[test]
fn options_reach_the_sockets_that_are_connected_and_accepted() {
    let context = Context::new();
    let (listener, endpoint) = raw_listener();
    let push = Push::with_options(&context, tuned()).unwrap();
    push.connect(&endpoint).unwrap();
    assert_tuned(&other_end(&Raw::accept(&listener).shake("PULL")));
    let pull = Pull::with_options(&context, tuned()).unwrap();
    let raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
    assert_tuned(&other_end(&raw));
}

#[test]
fn options_are_left_as_the_system_has_them() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let raw = Raw::connect(&pull.bind(ANY).unwrap()).shake("PUSH");
    let fd = other_end(&raw);
    assert!(!sockopt::socket_keepalive(&fd).unwrap());
    assert_eq!(sockopt::ip_tos(&fd).unwrap(), 0);
    assert!(sockopt::tcp_nodelay(&fd).unwrap());
}
