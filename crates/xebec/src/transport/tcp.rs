//! TCP: listening and connecting, and the options that only TCP has.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};
use socket2::SockRef;

use super::resolve::{resolve, resolve_source};
use super::{Connecting, Kind, ListenError, StreamOptions, listen_at, open};
use crate::endpoint::{Host, Port, TcpEndpoint};

/// Listens at the first address of `endpoint` that this machine has, and gives the endpoint that
/// came of it.
pub(super) fn listen(
    endpoint: &TcpEndpoint,
    options: &StreamOptions,
) -> Result<(OwnedFd, String), ListenError> {
    let addresses = resolve(endpoint, true, options.ipv6).map_err(ListenError::Resolve)?;
    let mut failure = io::Error::from(Errno::ADDRNOTAVAIL);
    for address in addresses {
        match listen_on(address, options) {
            Ok((fd, bound)) => return Ok((fd, address_text(bound))),
            Err(error) => failure = error,
        }
        // Only a machine without the address, or without IPv6, is a reason to try the next one:
        // to go on after any other error would listen somewhere else than asked.
        let errno = Errno::from_io_error(&failure);
        if !matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT)) {
            break;
        }
    }
    Err(ListenError::Tcp(failure))
}

fn listen_on(address: SocketAddr, options: &StreamOptions) -> io::Result<(OwnedFd, SocketAddr)> {
    let fd = open(family(address))?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        // `[::]` takes connections of both kinds, whatever the system's default is.
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    tune(&fd, options)?;
    rustix::net::bind(&fd, &address)?;
    listen_at(&fd, options)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&fd)?)?;
    Ok((fd, bound))
}

/// Starts to connect to one address, from `source` if that is given: an address, `*` or an
/// interface of this machine, and a port.
pub(crate) fn start_connect(
    address: SocketAddr,
    source: Option<&(Host, Port)>,
    options: &StreamOptions,
) -> io::Result<Connecting> {
    let fd = open(family(address))?;
    tune(&fd, options)?;
    unpace(&fd, address);
    if let Some(source) = source {
        let local = resolve_source(source, options.ipv6)
            .map_err(|error| io::Error::new(io::ErrorKind::AddrNotAvailable, error))?
            .into_iter()
            .find(|local| local.is_ipv4() == address.is_ipv4())
            .ok_or(Errno::ADDRNOTAVAIL)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        rustix::net::bind(&fd, &local)?;
    }
    match rustix::net::connect(&fd, &address) {
        // After a signal the attempt goes on in the background as well.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connecting::new(fd, Kind::Tcp)),
        Err(error) => Err(error.into()),
    }
}

/// What the kernel queues of a connection before it is on its way, in bytes (TCP_NOTSENT_LOWAT). Without a
/// limit that grows to megabytes, out of reach of SNDHWM: a sender whose mark is one message of 64 KiB
/// could have sixty under way. On loopback the limit made 8-KiB messages twice as fast as well (650 instead
/// of 250 thousand a second in one run), and 64-KiB ones by a third, as long as BBR paced them; [unpaced](unpace)
/// it makes no difference to the former, and the latter are still faster (113 instead of 96 thousand).
const NOT_SENT: u32 = 128 * 1024;

/// The congestion control of connections within the machine: one that does not pace, and that every Linux
/// has.
const UNPACED: &str = "reno";

/// Takes the pacing off a connection over loopback, where nothing can be congested. Where BBR is the
/// system's default it programs a timer for every segment; without it messages of 1 MiB are four times as
/// fast (10.5 instead of 2.5 thousand a second, medians of three) and of 64 KiB twice (113 instead of 54
/// thousand).
pub(super) fn unpace(fd: &OwnedFd, peer: SocketAddr) {
    if peer.ip().to_canonical().is_loopback() {
        // It stays as it was where a policy forbids the change.
        let _ = sockopt::set_tcp_congestion(fd, UNPACED);
    }
}

/// Applies the options of a TCP socket. Linux hands them down from a listener to the
/// connections it accepts, all but the priority, so accepting costs no further system calls, and
/// an option that the system refuses fails the bind instead of each connection.
pub(super) fn tune(fd: &OwnedFd, options: &StreamOptions) -> io::Result<()> {
    // What belongs together is written together: waiting for more would only delay it.
    sockopt::set_tcp_nodelay(fd, true)?;
    super::tune(fd, options)?;
    // Kernels that do not know it queue as they like.
    let _ = SockRef::from(fd).set_tcp_notsent_lowat(NOT_SENT);
    if let Some(on) = options.keepalive {
        sockopt::set_socket_keepalive(fd, on)?;
    }
    if let Some(idle) = options.keepalive_idle {
        sockopt::set_tcp_keepidle(fd, idle)?;
    }
    if let Some(interval) = options.keepalive_intvl {
        sockopt::set_tcp_keepintvl(fd, interval)?;
    }
    if let Some(count) = options.keepalive_cnt {
        sockopt::set_tcp_keepcnt(fd, count)?;
    }
    if let Some(limit) = options.max_retransmit {
        let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(fd, millis)?;
    }
    if options.tos != 0 {
        // A dual-stack socket has both; an IPv4 one refuses the second.
        sockopt::set_ip_tos(fd, options.tos)?;
        if sockopt::socket_domain(fd)? == AddressFamily::INET6 {
            sockopt::set_ipv6_tclass(fd, options.tos.into())?;
        }
    }
    let socket = SockRef::from(fd);
    if let Some(priority) = options.priority {
        socket.set_priority(priority)?;
    }
    if let Some(micros) = options.busy_poll {
        socket.set_busy_poll(micros)?;
    }
    if let Some(device) = &options.bind_to_device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    Ok(())
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// The canonical text. An IPv4 peer of a dual-stack socket is shown as what it is.
pub(super) fn address_text(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        ip if ip.is_ipv4() => format!("tcp://{ip}:{}", address.port()),
        // With the zone, which the address alone does not have.
        _ => format!("tcp://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accept, bind, connect, exchange, finish, round};
    use super::super::{Listener, Stream};
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    fn v6() -> Option<StreamOptions> {
        match TcpListener::bind("[::1]:0") {
            Ok(_) => Some(StreamOptions {
                ipv6: true,
                ..Default::default()
            }),
            Err(error) => {
                eprintln!("skipped: this machine has no ::1 ({error})");
                None
            }
        }
    }

    fn port(listener: &Listener) -> &str {
        listener
            .local_endpoint()
            .rsplit_once(':')
            .expect("a port")
            .1
    }

    #[test]
    fn listens_and_connects() {
        for (endpoint, bound) in [
            ("tcp://127.0.0.1:0", "tcp://127.0.0.1:"),
            ("tcp://127.0.0.1:*", "tcp://127.0.0.1:"),
            ("tcp://127.0.0.1:!", "tcp://127.0.0.1:"),
            ("tcp://*:*", "tcp://0.0.0.0:"),
            ("tcp://lo:*", "tcp://127.0.0.1:"),
            ("tcp://localhost:*", "tcp://127.0.0.1:"),
        ] {
            let (listener, client, server) = round(endpoint, &StreamOptions::default());
            assert!(listener.local_endpoint().starts_with(bound), "{endpoint}");
            assert_ne!(port(&listener), "0");
            assert_eq!(client.local_address(), server.peer_address());
            assert_eq!(client.peer_address(), server.local_address());
            assert_eq!(
                client.peer_address(),
                format!("tcp://127.0.0.1:{}", port(&listener))
            );
            assert_eq!(server.peer_ip(), Some(Ipv4Addr::LOCALHOST.into()));
            exchange(&client, &server);
        }
    }

    #[test]
    fn ipv6() {
        let Some(options) = v6() else { return };
        for (endpoint, bound) in [
            ("tcp://[::1]:*", "tcp://[::1]:"),
            ("tcp://[::1%lo]:*", "tcp://[::1"),
            ("tcp://*:*", "tcp://[::]:"),
            ("tcp://lo:*", "tcp://[::1]:"),
        ] {
            let (listener, client, server) = round(endpoint, &options);
            assert!(listener.local_endpoint().starts_with(bound), "{endpoint}");
            exchange(&client, &server);
        }
    }

    #[test]
    fn ipv4_peers_reach_a_dual_stack_listener() {
        let Some(options) = v6() else { return };
        let listener = bind("tcp://*:*", &options).expect("bind");
        let endpoint = format!("tcp://127.0.0.1:{}", port(&listener));
        let client = connect(&endpoint, &options).expect("connect");
        let server = accept(&listener);
        assert_eq!(server.peer_address(), client.local_address());
        assert_eq!(server.local_address(), endpoint);
        assert_eq!(server.peer_ip(), Some(Ipv4Addr::LOCALHOST.into()));
        exchange(&client, &server);
    }

    #[test]
    fn connections_within_the_machine_are_not_paced() {
        let (_, client, server) = round("tcp://127.0.0.1:*", &StreamOptions::default());
        for end in [&client, &server] {
            assert_eq!(sockopt::tcp_congestion(end).expect("told"), UNPACED);
        }
        let stranger = open(AddressFamily::INET).expect("a socket");
        let before = sockopt::tcp_congestion(&stranger).expect("told");
        unpace(
            &stranger,
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 1)),
        );
        assert_eq!(sockopt::tcp_congestion(&stranger).expect("told"), before);
    }

    #[test]
    fn ipv6_is_refused_while_the_option_is_off() {
        let error = bind("tcp://[::1]:*", &StreamOptions::default()).expect_err("IPv6");
        assert!(matches!(error, ListenError::Resolve(_)));
        assert!(error.to_string().contains("ipv6 option"), "{error}");
    }

    #[test]
    fn an_address_in_use_is_told() {
        let listener = bind("tcp://127.0.0.1:*", &StreamOptions::default()).expect("bind");
        let error = bind(listener.local_endpoint(), &StreamOptions::default());
        let error = error.expect_err("taken");
        assert_eq!(error.io_kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another port"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_cannot_be_bound() {
        // 203.0.113.0/24 is for documentation (RFC 5737).
        let error = bind("tcp://203.0.113.1:*", &StreamOptions::default()).expect_err("not ours");
        assert_eq!(error.io_kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn a_port_is_free_again_at_once() {
        let options = StreamOptions::default();
        let (listener, client, server) = round("tcp://127.0.0.5:*", &options);
        let endpoint = listener.local_endpoint().to_owned();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(server);
        drop((client, listener));
        bind(&endpoint, &options).expect("SO_REUSEADDR");
    }

    /// A port that nobody listens at, and that no other test is given meanwhile.
    fn closed_port() -> (OwnedFd, u16) {
        let fd = open(AddressFamily::INET).expect("a socket");
        sockopt::set_socket_reuseaddr(&fd, true).expect("option");
        rustix::net::bind(&fd, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("bind");
        let bound = rustix::net::getsockname(&fd).expect("bound");
        (fd, SocketAddr::try_from(bound).expect("an address").port())
    }

    #[test]
    fn a_closed_port_refuses() {
        let (_hold, port) = closed_port();
        let error = connect(
            &format!("tcp://127.0.0.1:{port}"),
            &StreamOptions::default(),
        );
        assert_eq!(
            error.expect_err("closed").kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[test]
    fn a_socket_that_meets_itself_is_refused() {
        // Bound to the port that it then connects to: the simultaneous open that reconnecting to
        // a port in the ephemeral range runs into by chance.
        let (_hold, port) = closed_port();
        let endpoint = format!("tcp://127.0.0.1:{port};127.0.0.1:{port}");
        let error = connect(&endpoint, &StreamOptions::default()).expect_err("itself");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn connects_from_a_source() {
        let options = StreamOptions::default();
        let listener = bind("tcp://127.0.0.1:*", &options).expect("bind");
        let spare = bind("tcp://127.0.0.3:*", &options).expect("bind");
        let free = port(&spare).to_owned();
        drop(spare);
        for (source, seen) in [
            ("127.0.0.2:*".to_owned(), "tcp://127.0.0.2:".to_owned()),
            ("lo:0".to_owned(), "tcp://127.0.0.1:".to_owned()),
            ("*:*".to_owned(), "tcp://127.0.0.1:".to_owned()),
            (
                format!("127.0.0.3:{free}"),
                format!("tcp://127.0.0.3:{free}"),
            ),
        ] {
            let endpoint = format!("tcp://{source};127.0.0.1:{}", port(&listener));
            let client = connect(&endpoint, &options).expect(&endpoint);
            let server = accept(&listener);
            assert!(server.peer_address().starts_with(&seen), "{endpoint}");
            exchange(&client, &server);
        }
        let endpoint = format!("tcp://nosuchinterface:*;127.0.0.1:{}", port(&listener));
        let error = connect(&endpoint, &options).expect_err("no such interface");
        assert!(error.to_string().contains("nosuchinterface"), "{error}");
    }

    #[test]
    fn options_reach_both_ends() {
        let options = StreamOptions {
            sndbuf: Some(20_000),
            rcvbuf: Some(30_000),
            tos: 0x28,
            priority: Some(3),
            keepalive: Some(true),
            keepalive_idle: Some(Duration::from_secs(11)),
            keepalive_intvl: Some(Duration::from_secs(12)),
            keepalive_cnt: Some(4),
            max_retransmit: Some(Duration::from_millis(5500)),
            ..Default::default()
        };
        let (_listener, client, server) = round("tcp://127.0.0.1:*", &options);
        for stream in [&client, &server] {
            check_options(stream);
        }
        let (_listener, client, server) = round("tcp://127.0.0.1:*", &StreamOptions::default());
        for stream in [&client, &server] {
            assert!(sockopt::tcp_nodelay(stream).expect("option"));
            assert!(!sockopt::socket_keepalive(stream).expect("option"));
        }
    }

    fn check_options(stream: &Stream) {
        assert!(sockopt::tcp_nodelay(stream).expect("option"));
        // Linux doubles these for its own bookkeeping.
        assert_eq!(
            sockopt::socket_send_buffer_size(stream).expect("option"),
            40_000
        );
        assert_eq!(
            sockopt::socket_recv_buffer_size(stream).expect("option"),
            60_000
        );
        assert_eq!(sockopt::ip_tos(stream).expect("option"), 0x28);
        assert_eq!(SockRef::from(stream).priority().expect("option"), 3);
        assert!(sockopt::socket_keepalive(stream).expect("option"));
        assert_eq!(
            sockopt::tcp_keepidle(stream).expect("option"),
            Duration::from_secs(11)
        );
        assert_eq!(
            sockopt::tcp_keepintvl(stream).expect("option"),
            Duration::from_secs(12)
        );
        assert_eq!(sockopt::tcp_keepcnt(stream).expect("option"), 4);
        assert_eq!(sockopt::tcp_user_timeout(stream).expect("option"), 5500);
    }

    #[test]
    fn traffic_class_of_ipv6() {
        let Some(options) = v6() else { return };
        let options = StreamOptions {
            tos: 0x28,
            ..options
        };
        let (_listener, client, _server) = round("tcp://[::1]:*", &options);
        assert_eq!(sockopt::ipv6_tclass(&client).expect("option"), 0x28);
    }

    #[test]
    fn an_unknown_device_fails_the_bind() {
        let device = Some("nosuchdevice".to_owned());
        let options = StreamOptions {
            bind_to_device: device,
            ..Default::default()
        };
        assert!(matches!(
            bind("tcp://127.0.0.1:*", &options),
            Err(ListenError::Tcp(_))
        ));
    }

    #[test]
    fn an_attempt_without_an_answer_stays_in_progress() {
        // A listener whose queue is full drops the first packet of any more connections.
        let options = StreamOptions {
            backlog: 0,
            ..Default::default()
        };
        let listener = bind("tcp://127.0.0.1:*", &options).expect("bind");
        let endpoint = listener.local_endpoint().to_owned();
        let address = endpoint
            .trim_start_matches("tcp://")
            .parse()
            .expect("an address");
        let _queued = TcpStream::connect(address).expect("the only place");
        let mut waiting = start_connect(address, None, &options).expect("start");
        assert!(waiting.finish().expect("no error").is_none());
        accept(&listener);
        // The kernel sends the packet again after a second.
        finish(waiting).expect("connected at last");
        accept(&listener);
    }
}
