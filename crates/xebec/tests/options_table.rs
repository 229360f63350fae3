//! Every row of the tables of options: what sockets refuse, what they keep, and where each is seen
//! at work.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::*;
use xebec::{
    AddressErrorKind, Context, ContextOptions, EventKind, OPTIONS, OptionError, OptionSpec,
    Options, Role, SendErrorKind, Socket, SocketError,
    SocketType::{self, *},
    Value,
};

const TYPES: [SocketType; 12] = [
    Pair, Pub, Sub, Req, Rep, Dealer, Router, Pull, Push, Xpub, Xsub, Stream,
];

/// A value other than the default for each option that has one, and the test that shows it at work:
/// in one of the files of [`TESTS`].
const SHOWN: &[(&str, &str, &str)] = &[
    ("SNDHWM", "7", "marks_change_for_connections_that_are_there"),
    ("RCVHWM", "7", "a_higher_mark_lets_more_in"),
    ("SNDTIMEO", "20", "waiting_times_change_for_the_next_call"),
    ("RCVTIMEO", "20", "waiting_times_change_for_the_next_call"),
    ("LINGER", "20", "a_finite_linger_ends"),
    (
        "MAXMSGSIZE",
        "1000",
        "a_frame_above_the_limit_ends_the_connection_before_its_body_comes",
    ),
    ("CONFLATE", "true", "conflate_keeps_the_newest_message_only"),
    ("IMMEDIATE", "true", "immediate_queues_for_nobody"),
    (
        "ROUTING_ID",
        "me",
        "router_calls_peers_by_the_ids_they_chose",
    ),
    (
        "CONNECT_ROUTING_ID",
        "you",
        "connect_routing_id_is_for_one_connect",
    ),
    (
        "REQ_RELAXED",
        "true",
        "relaxed_req_asks_again_and_the_connection_comes_back",
    ),
    (
        "REQ_CORRELATE",
        "true",
        "correlate_drops_late_replies_of_earlier_requests",
    ),
    (
        "ROUTER_MANDATORY",
        "true",
        "router_with_mandatory_blocks_at_sndhwm",
    ),
    (
        "ROUTER_HANDOVER",
        "true",
        "router_with_handover_gives_the_id_to_the_newer_peer",
    ),
    (
        "ROUTER_RAW",
        "true",
        "raw_router_talks_to_programs_without_the_protocol",
    ),
    (
        "ROUTER_NOTIFY",
        "connect",
        "notices_stand_before_and_after_what_a_peer_says",
    ),
    (
        "PROBE_ROUTER",
        "true",
        "probe_introduces_a_socket_to_a_router",
    ),
    (
        "STREAM_NOTIFY",
        "false",
        "a_stream_without_notices_gives_none",
    ),
    (
        "INVERT_MATCHING",
        "true",
        "inverted_matching_sends_what_does_not_match",
    ),
    (
        "XPUB_VERBOSE",
        "true",
        "verbose_xpub_is_told_of_every_subscription",
    ),
    (
        "XPUB_VERBOSER",
        "true",
        "verboser_xpub_is_told_of_every_cancellation_too",
    ),
    ("XPUB_MANUAL", "true", "manual_xpub_follows_its_application"),
    (
        "XPUB_MANUAL_LAST_VALUE",
        "true",
        "last_value_goes_to_the_new_subscriber_alone",
    ),
    (
        "XPUB_NODROP",
        "true",
        "publishers_with_nodrop_block_at_sndhwm",
    ),
    ("XPUB_WELCOME_MSG", "hi", "a_new_subscriber_is_welcomed"),
    (
        "ONLY_FIRST_SUBSCRIBE",
        "true",
        "only_the_first_frame_subscribes_if_so_set",
    ),
    (
        "XSUB_VERBOSE_UNSUBSCRIBE",
        "true",
        "an_xsub_passes_every_cancellation_on_if_so_set",
    ),
    (
        "RECONNECT_IVL",
        "20",
        "the_pause_is_constant_without_a_maximum_or_with_a_smaller_one",
    ),
    (
        "RECONNECT_IVL_MAX",
        "200",
        "the_pause_doubles_up_to_its_maximum",
    ),
    (
        "RECONNECT_STOP",
        "conn_refused",
        "stops_when_the_connection_is_refused",
    ),
    (
        "CONNECT_TIMEOUT",
        "200",
        "an_attempt_ends_after_connect_timeout",
    ),
    (
        "HANDSHAKE_IVL",
        "200",
        "a_peer_that_says_nothing_is_dropped_after_handshake_ivl",
    ),
    ("HEARTBEAT_IVL", "200", "a_peer_that_answers_pings_stays"),
    (
        "HEARTBEAT_TIMEOUT",
        "200",
        "a_peer_that_falls_silent_is_dropped",
    ),
    (
        "HEARTBEAT_TTL",
        "200",
        "pings_go_out_and_pongs_keep_the_connection",
    ),
    ("METADATA", "X-a:b", "what_is_connected_keeps_its_options"),
    ("HELLO_MSG", "hi", "hello_goes_to_each_peer_that_connects"),
    (
        "DISCONNECT_MSG",
        "bye",
        "disconnect_comes_from_each_peer_that_goes_after_all_it_said",
    ),
    (
        "HICCUP_MSG",
        "hic",
        "hiccup_comes_whenever_a_connection_is_lost_after_all_it_brought",
    ),
    ("IPV6", "true", "ipv6_can_be_off_and_on"),
    (
        "SOCKS_PROXY",
        "localhost:1080",
        "a_proxy_connects_and_both_sides_talk",
    ),
    ("SOCKS_USERNAME", "me", "a_proxy_that_asks_is_told_who"),
    ("SOCKS_PASSWORD", "secret", "a_proxy_that_asks_is_told_who"),
    ("BACKLOG", "7", "backlog_connections_may_wait"),
    ("BINDTODEVICE", "lo", "bindtodevice_leaves_by_that_device"),
    (
        "SNDBUF",
        "5000",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "RCVBUF",
        "5000",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TOS",
        "16",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "PRIORITY",
        "3",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TCP_KEEPALIVE",
        "true",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TCP_KEEPALIVE_CNT",
        "3",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TCP_KEEPALIVE_IDLE",
        "3",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TCP_KEEPALIVE_INTVL",
        "3",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "TCP_MAXRT",
        "300",
        "options_reach_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "BUSY_POLL",
        "30",
        "busy_poll_reaches_the_sockets_that_are_connected_and_accepted",
    ),
    (
        "IN_BATCH_SIZE",
        "1000",
        "in_batch_is_the_most_that_is_read_at_once",
    ),
    (
        "OUT_BATCH_SIZE",
        "1000",
        "out_batch_is_what_is_collected_before_it_is_written",
    ),
    (
        "TCP_ACCEPT_FILTER",
        "10.0.0.0/8",
        "filter_lets_in_the_addresses_it_lists",
    ),
    (
        "IPC_FILTER_UID",
        "7",
        "ipc_filters_let_in_whom_any_of_them_lists",
    ),
    (
        "IPC_FILTER_GID",
        "7",
        "ipc_filters_let_in_whom_any_of_them_lists",
    ),
    (
        "IPC_FILTER_PID",
        "7",
        "ipc_filters_let_in_whom_any_of_them_lists",
    ),
    (
        "RATE",
        "7",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    (
        "RECOVERY_IVL",
        "7",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    (
        "MULTICAST_HOPS",
        "7",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    (
        "MULTICAST_MAXTPDU",
        "7",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    (
        "MULTICAST_LOOP",
        "false",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    (
        "LOOPBACK_FASTPATH",
        "true",
        "options_of_transports_to_come_are_kept_and_told",
    ),
    ("AFFINITY", "1", "affinity_chooses_the_threads"),
    ("ZAP_DOMAIN", "d", "the_handler_is_told_what_the_rfc_says"),
    (
        "ZAP_ENFORCE_DOMAIN",
        "true",
        "without_a_handler_peers_are_let_in_unless_the_domain_is_enforced",
    ),
    ("PLAIN_SERVER", "true", "plain_judged_by_ours"),
    ("PLAIN_USERNAME", "admin", "plain_judged_by_theirs"),
    ("PLAIN_PASSWORD", "secret", "plain_judged_by_theirs"),
    ("CURVE_SERVER", "true", "curve_messages"),
    ("CURVE_PUBLICKEY", A_KEY, "curve_judged_by_theirs"),
    ("CURVE_SECRETKEY", A_KEY, "curve_messages"),
    ("CURVE_SERVERKEY", A_KEY, "curve_wrong_server_key"),
    ("SPIN", "20", "spin_computes_instead_of_sleeping"),
    (
        "SNDHWM_BYTES",
        "1000",
        "a_queue_is_full_of_bytes_and_empties",
    ),
    ("IPV4ONLY", "false", "ipv6_can_be_off_and_on"),
];

const A_KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

/// The one option that is no text.
const USE_FD: (&str, &str) = ("USE_FD", "use_fd_serves_at_a_socket_made_elsewhere");

const TESTS: [&str; 16] = [
    include_str!("options_table.rs"),
    include_str!("options_c.rs"),
    include_str!("options_effect.rs"),
    include_str!("options_socks.rs"),
    include_str!("options_peers.rs"),
    include_str!("options_publish.rs"),
    include_str!("options_words.rs"),
    include_str!("interop_security.rs"),
    include_str!("interop_zmtp3.rs"),
    include_str!("life_alive.rs"),
    concat!(include_str!("life_end.rs"), include_str!("life_ipc.rs")),
    concat!(
        include_str!("life_reconnect.rs"),
        include_str!("life_tcp.rs")
    ),
    concat!(
        include_str!("semantics_pair.rs"),
        include_str!("semantics_request.rs")
    ),
    include_str!("security_zap.rs"),
    include_str!("semantics_publish.rs"),
    include_str!("semantics_table.rs"),
];

fn rows() -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(|row| row.rules.role == Role::Value)
}

#[test]
fn every_option_is_shown_at_work() {
    let shown = SHOWN.iter().map(|&(name, _, test)| (name, test));
    let names: BTreeSet<_> = shown
        .clone()
        .chain([USE_FD])
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, rows().map(OptionSpec::name).collect());
    for (name, test) in shown.chain([USE_FD]) {
        let title = format!("fn {test}(");
        assert!(
            TESTS.iter().any(|file| file.contains(&title)),
            "{name}: no test {test}"
        );
    }
}

/// The type of socket that has the option, and whether it is the error of one that has not.
fn is_for_others(error: &OptionError, socket: SocketType) -> bool {
    matches!(error, OptionError::WrongSocket { socket: named, .. } if *named == socket)
}

/// With each option, each type of socket either takes it, by every way, and says so when asked, or
/// refuses it, by every way, and goes on as before.
#[test]
fn every_type_takes_what_it_has_and_refuses_the_rest() {
    let context = Context::new();
    for kind in TYPES {
        for &(name, text, _) in SHOWN {
            let row = Options::spec(name).unwrap();
            let mut options = options();
            options.set_text(name, text).unwrap();
            assert_ne!(
                row.value(&options),
                row.value(&support::options()),
                "{name}"
            );
            let made = Socket::with_options(&context, kind, options.clone());
            let later = socket(&context, kind);
            let value = row.value(&options).unwrap();
            let mut ways: Vec<Result<(), OptionError>> = vec![
                later.set(row.c_name, text),
                later.set_option(row.number, value.clone()),
                later.configure(|options| options.set(name, value.clone())),
            ];
            if row.concerns(kind) {
                assert_eq!(made.unwrap().options(), options, "{kind} {name}");
                assert!(ways.iter().all(Result::is_ok), "{kind} {name}: {ways:?}");
                assert_eq!(later.options(), options, "{kind} {name}");
                continue;
            }
            let Err(SocketError::Option(error)) = made else {
                panic!("{kind} takes {name}");
            };
            ways.push(Err(error));
            for way in ways {
                let error = way.expect_err(name);
                assert!(is_for_others(&error, kind), "{kind} {name}: {error}");
            }
            assert_eq!(later.options(), support::options(), "{kind} {name}");
            // Named, it is refused even at its default.
            let default = row.value(&Options::new()).unwrap();
            let error = later.set_option(row.number, default).expect_err(name);
            assert!(is_for_others(&error, kind), "{kind} {name}: {error}");
        }
    }
}

#[test]
fn every_row_without_a_value_is_refused_by_every_type() {
    let context = Context::new();
    let others: Vec<_> = OPTIONS
        .iter()
        .filter(|row| row.rules.role != Role::Value)
        .collect();
    assert_eq!(others.len() + rows().count(), OPTIONS.len());
    for kind in TYPES {
        let socket = socket(&context, kind);
        for row in &others {
            let expected = row.settable();
            assert!(expected.is_err());
            assert_eq!(socket.set(row.c_name, "1"), expected, "{kind}");
            assert_eq!(
                socket.set_option(row.number, Value::Int(1)),
                expected,
                "{kind}"
            );
            let bytes = Value::Bytes(vec![0; 32].into());
            assert_eq!(socket.set_option(row.number, bytes), expected, "{kind}");
        }
        for number in [0, 1, 10, 26, 125, -1] {
            let unknown = socket.set_option(number, Value::Int(1));
            assert!(
                matches!(unknown, Err(OptionError::Unknown(_))),
                "{kind} {number}"
            );
        }
    }
}

/// What the builder takes and no socket can honour.
#[test]
fn values_out_of_range_make_no_socket() {
    let context = Context::new();
    let with = Options::new;
    for options in [
        with().rcvhwm(usize::MAX),
        with().linger(Duration::MAX),
        with().routing_id([7; 256].to_vec()),
        with().routing_id("\0mine"),
        with().bindtodevice("a name of sixteen"),
        with().in_batch_size(0),
        with().out_batch_size(1 << 30),
        with().backlog(u32::MAX),
        with().busy_poll(Duration::MAX),
    ] {
        let error = Socket::with_options(&context, Dealer, options.clone()).unwrap_err();
        assert!(
            matches!(error, SocketError::Option(OptionError::Invalid { .. })),
            "{error}"
        );
        let dealer = socket(&context, Dealer);
        let before = dealer.options();
        let error = dealer.configure(|mine| {
            *mine = options;
            Ok::<_, OptionError>(())
        });
        assert!(matches!(error, Err(OptionError::Invalid { .. })));
        assert_eq!(dealer.options(), before);
    }
    assert_eq!(context.sockets(), 0, "nothing was half made");
}

// ---- contexts ----

#[test]
fn a_context_refuses_options_out_of_range() {
    let with = ContextOptions::new;
    for options in [
        with().max_sockets(0),
        with().max_sockets(usize::MAX),
        with().io_threads(usize::MAX),
        with().max_message_size(usize::MAX),
    ] {
        let error = Context::with_options(options.clone()).unwrap_err();
        assert!(matches!(error, OptionError::Invalid { .. }), "{error}");
    }
    let context = Context::builder().max_sockets(0).build();
    let error = context.socket(Pair).unwrap_err();
    let expected = "\"0\" is not valid for ZMQ_MAX_SOCKETS: 1 or more";
    assert_eq!(error.to_string(), expected);
}

/// IO_THREADS is seen in `affinity_chooses_the_threads` too, MAX_MSGSZ in
/// `the_limit_holds_for_those_connected_to_and_for_the_whole_context`, the rest in `options_context`.
#[test]
fn a_context_honours_its_options() {
    let mut options = ContextOptions::new();
    for (name, value) in [
        ("io_threads", 2),
        ("max_sockets", 2),
        ("max_msgsz", 10),
        ("ipv6", 1),
    ] {
        options.set(name, value).unwrap();
    }
    let context = Context::with_options(options).unwrap();
    let (pull, push) = (socket(&context, Pull), socket(&context, Push));
    let error = context.socket(Pair).unwrap_err();
    assert!(matches!(error, SocketError::TooMany(2)), "{error}");
    assert!(pull.options().ipv6 && push.options().ipv6);
    let monitor = pull.monitor();
    push.connect(&pull.bind("tcp://127.0.0.1:*").unwrap())
        .unwrap();
    send(&push, "ten bytes.");
    assert_eq!(recv_text(&pull), ["ten bytes."]);
    send(&push, "eleven byte");
    let why = await_event(&monitor, EventKind::Disconnected).cause;
    assert!(why.unwrap().contains("11 bytes"));
    drop(push);
    socket_with(&context, Push, support::options().affinity(0b10));
}

// ---- those that are shown nowhere else ----

#[test]
fn ipv6_can_be_off_and_on() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return println!("this machine has no IPv6");
    }
    let context = Context::new();
    let pull = socket(&context, Pull);
    let error = pull.bind("tcp://[::1]:*").unwrap_err();
    assert!(
        matches!(error.kind, AddressErrorKind::Resolve(_)),
        "{error}"
    );
    for (name, value) in [("ipv6", "true"), ("ipv4only", "false")] {
        pull.set("ipv6", "false").unwrap();
        pull.set(name, value).unwrap();
        let endpoint = pull.bind("tcp://[::1]:*").unwrap();
        let push = socket_with(&context, Push, options().ipv6(true));
        push.connect(&endpoint).unwrap();
        send(&push, name);
        assert_eq!(recv_text(&pull), [name]);
    }
    pull.set("ipv4only", "true").unwrap();
    assert!(!pull.options().ipv6);
}

#[test]
fn bindtodevice_leaves_by_that_device() {
    let context = Context::new();
    let with = || options().bindtodevice("lo");
    let pull = socket_with(&context, Pull, with());
    let push = socket_with(&context, Push, with());
    let endpoint = match pull.bind("tcp://127.0.0.1:*") {
        Err(error) if !rustix::process::geteuid().is_root() => {
            return println!("this needs a privilege: {error}");
        }
        bound => bound.unwrap(),
    };
    push.connect(&endpoint).unwrap();
    send(&push, "by lo");
    assert_eq!(recv_text(&pull), ["by lo"]);
    let nowhere = options().bindtodevice("nonesuch0");
    let pull = socket_with(&context, Pull, nowhere.clone());
    let error = pull.bind("tcp://127.0.0.1:*").unwrap_err();
    assert!(matches!(error.kind, AddressErrorKind::System(_)), "{error}");
    let push = socket_with(&context, Push, nowhere);
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let why = await_event(&monitor, EventKind::ConnectRetried)
        .cause
        .unwrap();
    assert!(why.contains("No such device"), "{why}");
}

#[test]
fn a_queue_is_full_of_bytes_and_empties() {
    let context = Context::new();
    let endpoint = format!("ipc://@xebec-bytes-{}", std::process::id());
    let push = socket_with(&context, Push, options().sndhwm_bytes(1000));
    push.connect(&endpoint).unwrap();
    let send = || push.try_send(vec![0; 600]).map_err(|refused| refused.kind);
    assert_eq!(
        [send(), send(), send()],
        [Ok(()), Ok(()), Err(SendErrorKind::WouldBlock)]
    );
    push.set("sndhwm_bytes", "1300").unwrap();
    assert_eq!([send(), send()], [Ok(()), Err(SendErrorKind::WouldBlock)]);
    let pull = socket_with(&context, Pull, options());
    pull.bind(&endpoint).unwrap();
    (0..3).for_each(|_| assert_eq!(pull.recv().unwrap().size(), 600));
    push.send(vec![0; 2000]).unwrap();
    assert_eq!(pull.recv().unwrap().size(), 2000);
}

/// What this thread has computed.
fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn spin_computes_instead_of_sleeping() {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
        return println!("on one processor nobody spins");
    }
    let context = Context::new();
    let pair = socket_with(&context, Pair, options().spin(Duration::from_secs(1)));
    pair.bind(&fresh("tcp")).unwrap();
    let waits = || {
        let before = computed();
        assert!(pair.recv_timeout(Duration::from_millis(200)).is_err());
        computed() - before
    };
    let long = waits();
    pair.set("spin", "off").unwrap();
    let short = waits();
    assert!(long > Duration::from_millis(20), "{long:?}");
    assert!(short < Duration::from_millis(10), "{short:?}");
}
