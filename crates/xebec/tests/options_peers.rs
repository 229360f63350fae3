//! Who may connect, and to which socket: TCP_ACCEPT_FILTER, IPC_FILTER_UID, _GID and _PID, USE_FD.

mod support;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

use rustix::process::{Gid, Uid};
use support::*;
use xebec::{
    AddressErrorKind, AddressFilter, Context, Event, EventKind, ListeningFd, Options, Socket,
    SocketType::{Dealer, Pair, Pull, Push},
};

/// The socket under test greets whom it accepts; to others the connection ends.
#[track_caller]
fn is_greeted(mut stream: impl Read) -> bool {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(n) => n == 1,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            false
        }
    }
}

fn tcp(endpoint: &str) -> TcpStream {
    let stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A PULL that is bound with these options.
fn bound(context: &Context, options: Options, endpoint: &str) -> (Socket, String) {
    let pull = socket_with(context, Pull, options);
    let endpoint = pull.bind(endpoint).unwrap();
    (pull, endpoint)
}

fn filters<const N: usize>(texts: [&str; N]) -> Vec<AddressFilter> {
    texts.map(|text| text.parse().unwrap()).into()
}

// ---- TCP_ACCEPT_FILTER ----

#[test]
fn filter_lets_in_the_addresses_it_lists() {
    for (listed, accepted) in [
        (filters([]), true),
        (filters(["127.0.0.0/8"]), true),
        (filters(["127.0.0.1"]), true),
        (filters(["10.0.0.0/8", "127.0.0.1/32"]), true),
        (filters(["127.0.0.2"]), false),
        (filters(["10.0.0.0/8", "::1"]), false),
    ] {
        let context = Context::new();
        let with = options().tcp_accept_filter(listed.clone());
        let (pull, endpoint) = bound(&context, with, "tcp://127.0.0.1:*");
        let monitor = pull.monitor();
        assert_eq!(is_greeted(tcp(&endpoint)), accepted, "{listed:?}");
        if accepted {
            await_event(&monitor, EventKind::Accepted);
        } else {
            let Event { cause, peer, .. } = await_event(&monitor, EventKind::AcceptFailed);
            assert!(cause.unwrap().contains("TCP_ACCEPT_FILTER"));
            assert!(peer.unwrap().starts_with("tcp://127.0.0.1:"));
        }
    }
}

#[test]
fn filter_takes_ipv4_as_such_on_a_socket_that_serves_both() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("this machine has no IPv6");
    }
    let context = Context::new();
    for (listed, v4, v6) in [
        ("127.0.0.0/8", true, false),
        ("::1", false, true),
        ("::/0", false, true),
    ] {
        let with = options().ipv6(true).tcp_accept_filter(filters([listed]));
        let (_pull, endpoint) = bound(&context, with, "tcp://[::]:*");
        let (_, port) = endpoint.rsplit_once(':').unwrap();
        for (host, accepted) in [("127.0.0.1", v4), ("[::1]", v6)] {
            let greeted = is_greeted(tcp(&format!("tcp://{host}:{port}")));
            assert_eq!(greeted, accepted, "{listed} {host}");
        }
    }
}

/// It concerns what is bound afterwards, tcp alone, and can be emptied.
#[test]
fn filter_is_set_by_text_for_the_next_bind() {
    let context = Context::new();
    let (pull, before) = bound(&context, options(), "tcp://127.0.0.1:*");
    pull.set("tcp_accept_filter", "10.0.0.0/8").unwrap();
    let filtered = pull.bind("tcp://127.0.0.1:*").unwrap();
    let ipc = pull.bind("ipc://*").unwrap();
    pull.set("tcp_accept_filter", "").unwrap();
    let after = pull.bind("tcp://127.0.0.1:*").unwrap();
    assert!(is_greeted(tcp(&before)));
    assert!(!is_greeted(tcp(&filtered)));
    assert!(is_greeted(tcp(&after)));
    let path = ipc.strip_prefix("ipc://").unwrap();
    assert!(is_greeted(UnixStream::connect(path).unwrap()));
}

/// The next one in is served as if the refused one had never come.
#[test]
fn filter_refuses_one_and_serves_the_next() {
    let context = Context::new();
    let with = options().tcp_accept_filter(filters(["127.0.0.1"]));
    let (pull, endpoint) = bound(&context, with, "tcp://*:*");
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    let push = |source: &str| {
        let push = socket_with(&context, Push, Options::new());
        let to = format!("tcp://{source}:0;127.0.0.1:{port}");
        push.connect(&to).unwrap();
        send(&push, source);
        push
    };
    let refused = push("127.0.0.2");
    let monitor = refused.monitor();
    await_event(&monitor, EventKind::HandshakeFailedNoDetail);
    let _welcome = push("127.0.0.1");
    assert_eq!(recv_text(&pull), ["127.0.0.1"]);
    recv_nothing(&pull);
    refused.set("linger", "0").unwrap();
}

// ---- IPC_FILTER_UID, IPC_FILTER_GID, IPC_FILTER_PID ----

/// Connects to an abstract name.
fn unix(endpoint: &str) -> UnixStream {
    let name = endpoint.strip_prefix("ipc://@").unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let stream = UnixStream::connect_addr(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn abstract_name(of: &str) -> String {
    format!("ipc://@xebec-options-{of}-{}", std::process::id())
}

/// This process, another user, group and process.
fn ids() -> (u32, u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    (uid.as_raw(), gid.as_raw(), std::process::id())
}

#[test]
fn ipc_filters_let_in_whom_any_of_them_lists() {
    let (uid, gid, pid) = ids();
    let other = 3_999_999;
    let with = options;
    for (number, (with, accepted)) in [
        (with(), true),
        (with().ipc_filter_uid([other, uid]), true),
        (with().ipc_filter_gid([gid, other]), true),
        (with().ipc_filter_pid([pid]), true),
        (with().ipc_filter_uid([other]).ipc_filter_pid([pid]), true),
        (with().ipc_filter_uid([other]).ipc_filter_gid([gid]), true),
        (with().ipc_filter_uid([other]), false),
        (with().ipc_filter_gid([other]), false),
        (with().ipc_filter_pid([other]), false),
        (
            with()
                .ipc_filter_uid([other])
                .ipc_filter_gid([other])
                .ipc_filter_pid([other]),
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let context = Context::new();
        let name = abstract_name(&format!("filter-{number}"));
        let (pull, endpoint) = bound(&context, with, &name);
        let monitor = pull.monitor();
        assert_eq!(is_greeted(unix(&endpoint)), accepted, "case {number}");
        match accepted {
            true => await_event(&monitor, EventKind::Accepted),
            false => await_event(&monitor, EventKind::AcceptFailed),
        };
    }
}

#[test]
fn ipc_filters_concern_what_is_bound_afterwards_and_ipc_alone() {
    let context = Context::new();
    let (pull, before) = bound(&context, options(), &abstract_name("before"));
    pull.set("ipc_filter_uid", "3999999").unwrap();
    let filtered = pull.bind(&abstract_name("filtered")).unwrap();
    let tcp_endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    pull.set("ipc_filter_uid", "").unwrap();
    let after = pull.bind(&abstract_name("after")).unwrap();
    assert!(is_greeted(unix(&before)));
    assert!(!is_greeted(unix(&filtered)));
    assert!(is_greeted(unix(&after)));
    assert!(is_greeted(tcp(&tcp_endpoint)));
}

/// The system tells the credentials of the thread that connected.
#[test]
fn ipc_filters_know_other_users_and_groups() {
    if !rustix::process::geteuid().is_root() {
        return println!("only root can be somebody else");
    }
    let context = Context::new();
    let (me, _, _) = ids();
    let (uid, gid) = (4_000_001, 4_000_002);
    let with = options;
    let stranger = |endpoint: String| {
        let work = Working::start(move || {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(Gid::from_raw(gid)).unwrap();
            rustix::thread::set_thread_uid(Uid::from_raw(uid)).unwrap();
            is_greeted(unix(&endpoint))
        });
        work.join()
    };
    for (number, (with, accepted)) in [
        (with(), true),
        (with().ipc_filter_uid([uid]), true),
        (with().ipc_filter_gid([gid]), true),
        (with().ipc_filter_uid([me]), false),
        (with().ipc_filter_gid([uid]), false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = abstract_name(&format!("stranger-{number}"));
        let (_pull, endpoint) = bound(&context, with, &name);
        assert_eq!(stranger(endpoint), accepted, "case {number}");
    }
}

/// A process is in more groups than its own. Another one is needed, for what /proc tells is of the
/// process: it is this test again, started with other groups.
#[test]
fn ipc_filters_know_all_groups_of_a_process() {
    const ENDPOINT: &str = "XEBEC_TEST_ENDPOINT";
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        return assert!(is_greeted(unix(&endpoint)), "not a member");
    }
    if !rustix::process::geteuid().is_root() {
        return println!("only root can give a process other groups");
    }
    let context = Context::new();
    let name = abstract_name("groups");
    let with = options().ipc_filter_gid([4_000_003]);
    let (_pull, endpoint) = bound(&context, with, &name);
    for (groups, accepted) in [
        ("4000003", true),
        ("4000001,4000003,4000005", true),
        ("4000001", false),
        ("400000,3", false),
    ] {
        let mut child = Command::new("setpriv");
        child.args(["--groups", groups]);
        child.arg(std::env::current_exe().unwrap());
        child.args(["--exact", "ipc_filters_know_all_groups_of_a_process"]);
        let child = child.env(ENDPOINT, &endpoint).output().unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() == accepted, "{groups}: {said}");
        assert!(
            accepted || said.contains("not a member"),
            "{groups}: {said}"
        );
    }
}

// ---- USE_FD ----

/// A message goes from a new socket to one that is bound here.
#[track_caller]
fn assert_serves(context: &Context, pull: &Socket, endpoint: &str) {
    let push = socket(context, Push);
    push.connect(endpoint).unwrap();
    send(&push, endpoint);
    assert_eq!(recv_text(pull), [endpoint]);
}

#[test]
fn use_fd_serves_at_a_socket_made_elsewhere() {
    let context = Context::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let expected = format!("tcp://{}", listener.local_addr().unwrap());
    let with = options().use_fd(listener);
    let (pull, endpoint) = bound(&context, with, "tcp://127.0.0.1:*");
    assert_eq!(
        (&endpoint, pull.last_endpoint()),
        (&expected, Some(expected.clone()))
    );
    assert_serves(&context, &pull, &endpoint);

    let address = SocketAddr::from_abstract_name(format!("use-fd-{}", std::process::id())).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let (pull, endpoint) = bound(&context, options().use_fd(listener), "ipc://*");
    assert_eq!(endpoint, format!("ipc://@use-fd-{}", std::process::id()));
    assert_serves(&context, &pull, &endpoint);
}

/// The file of an ipc socket belongs to who made it.
#[test]
fn use_fd_leaves_the_socket_file_alone() {
    let context = Context::new();
    let path = std::env::temp_dir().join(format!("xebec-use-fd-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let (pull, endpoint) = bound(&context, options().use_fd(listener), "ipc://*");
    assert_eq!(endpoint, format!("ipc://{}", path.display()));
    assert_serves(&context, &pull, &endpoint);
    pull.unbind(&endpoint).unwrap();
    assert!(path.exists());
    std::fs::remove_file(path).unwrap();
}

/// The next bind takes it, inproc ones aside; those after make their own sockets. It is closed when
/// it is unbound, whatever happened meanwhile.
#[test]
fn use_fd_is_used_up_by_one_bind() {
    let context = Context::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let given = format!("tcp://{}", listener.local_addr().unwrap());
    let pair = socket_with(&context, Pair, options());
    pair.configure(|options| {
        options.use_fd = listener.into();
        Ok::<_, xebec::OptionError>(())
    })
    .unwrap();
    pair.bind(&fresh("inproc")).unwrap();
    let elsewhere = RawListener::new();
    pair.connect(&elsewhere.endpoint()).unwrap();
    assert!(pair.options().use_fd.is_some());
    assert_eq!(pair.bind("tcp://127.0.0.1:*").unwrap(), given);
    assert!(!pair.options().use_fd.is_some());
    assert_ne!(pair.bind("tcp://127.0.0.1:*").unwrap(), given);
    pair.unbind(&given).unwrap();
    let error = TcpStream::connect(given.strip_prefix("tcp://").unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn use_fd_must_listen_at_such_an_endpoint() {
    let context = Context::new();
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let (connected, _other) = UnixStream::pair().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let cases: [(&str, std::os::fd::OwnedFd); 6] = [
        ("tcp://127.0.0.1:*", silent.into()),
        ("ipc://*", connected.into()),
        ("tcp://127.0.0.1:*", udp.into()),
        ("tcp://127.0.0.1:*", file.into()),
        ("ipc://*", TcpListener::bind("127.0.0.1:0").unwrap().into()),
        (
            "tcp://127.0.0.1:*",
            UnixListener::bind_addr(
                &SocketAddr::from_abstract_name(format!("wrong-{}", std::process::id())).unwrap(),
            )
            .unwrap()
            .into(),
        ),
    ];
    for (number, (endpoint, fd)) in cases.into_iter().enumerate() {
        let pull = socket_with(&context, Pull, options().use_fd(fd));
        let error = pull.bind(endpoint).unwrap_err();
        assert!(
            matches!(error.kind, AddressErrorKind::System(_)),
            "case {number}: {error}"
        );
        pull.bind(endpoint).unwrap();
    }
}

/// A number from elsewhere may be anybody's descriptor.
#[test]
fn use_fd_takes_no_number() {
    let context = Context::new();
    let dealer = socket_with(&context, Dealer, options());
    assert!(dealer.set("use_fd", "0").is_err());
    assert!(dealer.set_option(89, 0.into()).is_err());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    dealer
        .configure(|options| {
            options.use_fd = ListeningFd::from(listener);
            options.set("use_fd", -1)
        })
        .unwrap();
    assert!(!dealer.options().use_fd.is_some());
}
