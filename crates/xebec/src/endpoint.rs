//! Endpoints: where a socket binds and what it connects to, as text and as a value.
//!
//! | text | meaning |
//! |---|---|
//! | `tcp://127.0.0.1:5555`, `tcp://[fe80::1%eth0]:5555` | an address (IPv6 in brackets, with its zone) |
//! | `tcp://server1:5555`, `tcp://eth0:5555` | a host name; to bind, also the name of an interface |
//! | `tcp://*:5555`, `tcp://*:*` | to bind: all interfaces; any free port (also `0` and `!`) |
//! | `tcp://eth1:0;server1:5555` | to connect: a source address, then the destination |
//! | `ipc:///tmp/feed`, `ipc://@feed`, `ipc://*` | a socket file; a Linux abstract name; a fresh file |
//! | `inproc://feed` | a name inside one context |
//! | `tipc://{5555,0,100}`, `tipc://{5555,50}`, `tipc://<*>` | a service of a TIPC network; see [`TipcEndpoint`] |
//!
//! Parsing looks at the text alone: whether a host, an interface or a path exists is for
//! `transport` to find out. `Display` prints the canonical form, which parses to an equal value,
//! so that `unbind` and `disconnect` can compare endpoints however they were written.
//! The forms follow the manual pages zmq_tcp(7), zmq_ipc(7), zmq_inproc(7) and zmq_tipc(7); ports with trailing
//! garbage and numeric host names that are no address are refused here.

mod tipc;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

pub use tipc::{TipcEndpoint, TipcNode};

/// The most bytes a path or an abstract name may have: `sun_path` less one for its zero byte.
pub(crate) const MAX_PATH: usize = 107;
/// The most bytes an inproc name may have.
const MAX_INPROC: usize = 256;
/// The most bytes a host name may have in the DNS.
const MAX_HOST: usize = 255;

/// Where a socket binds or connects, by transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `tcp://host:port`.
    Tcp(TcpEndpoint),
    /// `ipc://path`.
    Ipc(IpcEndpoint),
    /// `inproc://name`; the name.
    Inproc(String),
    /// `tipc://{type,instance}` and other forms.
    Tipc(TipcEndpoint),
}

/// A TCP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    /// The interface to bind or the peer to connect to.
    pub host: Host,
    /// The port to bind or to connect to.
    pub port: Port,
    /// The local interface and port that a connection leaves from, if the endpoint names them.
    pub source: Option<(Host, Port)>,
}

/// The host part of a TCP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `*`: all interfaces.
    Any,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address and the zone it is valid in, if that is given.
    V6(Ipv6Addr, Option<Zone>),
    /// A host name, or the name of a network interface.
    Name(String),
}

/// The zone of an IPv6 address (RFC 4007): which interface it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// The number of the interface.
    Index(NonZeroU32),
    /// The name of the interface.
    Name(String),
}

/// The port of a TCP endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// `*`, `0` or `!`: the system chooses a free port.
    Any,
    /// This port; never 0 when parsed.
    Number(u16),
}

/// An endpoint for processes of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IpcEndpoint {
    /// A socket file.
    Path(PathBuf),
    /// `@name`: a name in Linux's abstract namespace, without its leading zero byte.
    Abstract(Vec<u8>),
    /// `*`: a fresh socket file in a fresh directory below `$TMPDIR`, gone after the unbind.
    Wildcard,
}

/// A text that is no endpoint, or an endpoint that cannot be used this way.
///
/// The message is one sentence that says what is wrong and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    /// The endpoint as it was given.
    pub endpoint: String,
    /// What is wrong with it.
    pub kind: EndpointErrorKind,
}

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointErrorKind {
    /// There is no `transport://` in front.
    NoTransport,
    /// The transport is none of tcp, ipc, inproc and tipc (EPROTONOSUPPORT in the C API).
    UnknownTransport,
    /// Nothing follows the transport.
    NoAddress,
    /// A TCP endpoint without a host.
    NoHost,
    /// A TCP endpoint without a port.
    NoPort,
    /// The port is not a number from 0 to 65535, nor `*` or `!`.
    Port,
    /// A character that no host name has, or too many of them.
    HostName,
    /// Numbers and dots that make no IPv4 address.
    Ipv4,
    /// Something with colons or brackets that is no IPv6 address.
    Ipv6,
    /// An IPv6 zone that is neither a number above 0 nor an interface name.
    Zone,
    /// The path or abstract name is longer than the system allows (ENAMETOOLONG in the C API).
    PathTooLong,
    /// The inproc name is longer than 256 bytes.
    NameTooLong,
    /// A zero byte in a path or a name.
    ZeroByte,
    /// No TIPC address: braces around two or three numbers, or a port identity.
    Tipc,
    /// A type of service below 64, which is TIPC's own.
    TipcService,
    /// A wildcard in an endpoint to connect to.
    ConnectToAny,
    /// A source address in an endpoint to bind.
    BindWithSource,
    /// A range of TIPC instances in an endpoint to connect to.
    ConnectToRange,
    /// The port identity of a TIPC socket in an endpoint to bind.
    BindToPort,
    /// A part of the TIPC network in an endpoint to bind.
    BindToDomain,
}

impl Endpoint {
    /// Reads an endpoint from its text.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        parse_endpoint(text).map_err(|kind| EndpointError {
            endpoint: text.to_owned(),
            kind,
        })
    }

    /// Says whether a socket can be connected to this endpoint: not if it has a wildcard or a range.
    pub(crate) fn check_connect(&self) -> Result<(), EndpointError> {
        let any = match self {
            Endpoint::Tcp(tcp) => tcp.host == Host::Any || tcp.port == Port::Any,
            Endpoint::Ipc(ipc) => *ipc == IpcEndpoint::Wildcard,
            Endpoint::Inproc(_) => false,
            Endpoint::Tipc(tipc) => return tipc.check_connect().map_err(|kind| self.error(kind)),
        };
        if any {
            Err(self.error(EndpointErrorKind::ConnectToAny))
        } else {
            Ok(())
        }
    }

    /// Says whether a socket can be bound to this endpoint: not if it says where the peer is.
    pub(crate) fn check_bind(&self) -> Result<(), EndpointError> {
        match self {
            Endpoint::Tcp(TcpEndpoint {
                source: Some(_), ..
            }) => Err(self.error(EndpointErrorKind::BindWithSource)),
            Endpoint::Tipc(tipc) => tipc.check_bind().map_err(|kind| self.error(kind)),
            _ => Ok(()),
        }
    }

    fn error(&self, kind: EndpointErrorKind) -> EndpointError {
        EndpointError {
            endpoint: self.to_string(),
            kind,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Endpoint::parse(text)
    }
}

fn parse_endpoint(text: &str) -> Result<Endpoint, EndpointErrorKind> {
    let (transport, address) = text
        .split_once("://")
        .ok_or(EndpointErrorKind::NoTransport)?;
    if !matches!(transport, "tcp" | "ipc" | "inproc" | "tipc") {
        return Err(EndpointErrorKind::UnknownTransport);
    }
    if address.is_empty() {
        return Err(EndpointErrorKind::NoAddress);
    }
    match transport {
        "tcp" => parse_tcp(address).map(Endpoint::Tcp),
        "ipc" => parse_ipc(address).map(Endpoint::Ipc),
        "tipc" => TipcEndpoint::parse(address).map(Endpoint::Tipc),
        _ => parse_inproc(address).map(Endpoint::Inproc),
    }
}

fn parse_inproc(name: &str) -> Result<String, EndpointErrorKind> {
    match name.len() {
        0..=MAX_INPROC => Ok(name.to_owned()),
        _ => Err(EndpointErrorKind::NameTooLong),
    }
}

fn parse_ipc(address: &str) -> Result<IpcEndpoint, EndpointErrorKind> {
    if address.contains('\0') {
        return Err(EndpointErrorKind::ZeroByte);
    }
    let name = address.strip_prefix('@');
    match name.unwrap_or(address).len() {
        0 => return Err(EndpointErrorKind::NoAddress),
        1..=MAX_PATH => {}
        _ => return Err(EndpointErrorKind::PathTooLong),
    }
    Ok(match name {
        Some(name) => IpcEndpoint::Abstract(name.as_bytes().to_vec()),
        None if address == "*" => IpcEndpoint::Wildcard,
        None => IpcEndpoint::Path(PathBuf::from(address)),
    })
}

fn parse_tcp(address: &str) -> Result<TcpEndpoint, EndpointErrorKind> {
    let (source, destination) = match address.rsplit_once(';') {
        Some((source, destination)) => (Some(parse_host_port(source)?), destination),
        None => (None, address),
    };
    let (host, port) = parse_host_port(destination)?;
    Ok(TcpEndpoint { host, port, source })
}

fn parse_host_port(text: &str) -> Result<(Host, Port), EndpointErrorKind> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(EndpointErrorKind::Ipv6)?;
        let port = after.strip_prefix(':').ok_or(match after {
            "" => EndpointErrorKind::NoPort,
            _ => EndpointErrorKind::Ipv6,
        })?;
        (host, port)
    } else {
        // The last colon, as in libzmq: an IPv6 address without its brackets is understood.
        text.rsplit_once(':').ok_or(EndpointErrorKind::NoPort)?
    };
    Ok((parse_host(host)?, parse_port(port)?))
}

fn parse_port(text: &str) -> Result<Port, EndpointErrorKind> {
    match text {
        "" => Err(EndpointErrorKind::NoPort),
        "*" | "!" => Ok(Port::Any),
        // The standard library takes a sign, a port has none.
        _ if !text.bytes().all(|b| b.is_ascii_digit()) => Err(EndpointErrorKind::Port),
        _ => match text.parse() {
            Ok(0) => Ok(Port::Any),
            Ok(number) => Ok(Port::Number(number)),
            Err(_) => Err(EndpointErrorKind::Port),
        },
    }
}

fn parse_host(text: &str) -> Result<Host, EndpointErrorKind> {
    if text.is_empty() {
        return Err(EndpointErrorKind::NoHost);
    }
    if text == "*" {
        return Ok(Host::Any);
    }
    let known = |byte| is_name_byte(byte) || matches!(byte, b':' | b'%');
    if text.len() > MAX_HOST || !text.bytes().all(known) {
        return Err(EndpointErrorKind::HostName);
    }
    if text.contains([':', '%']) {
        return parse_ipv6(text);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::V4(address));
    }
    // No host name ends in a label of digits, so this is an address with a typing mistake; it must
    // not be looked up as a name.
    let last = text
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EndpointErrorKind::Ipv4);
    }
    Ok(Host::Name(text.to_owned()))
}

fn parse_ipv6(text: &str) -> Result<Host, EndpointErrorKind> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address = address.parse().map_err(|_| EndpointErrorKind::Ipv6)?;
    Ok(Host::V6(address, zone.map(parse_zone).transpose()?))
}

fn parse_zone(text: &str) -> Result<Zone, EndpointErrorKind> {
    if text.is_empty() || !text.bytes().all(is_name_byte) {
        return Err(EndpointErrorKind::Zone);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .map(Zone::Index)
            .map_err(|_| EndpointErrorKind::Zone);
    }
    Ok(Zone::Name(text.to_owned()))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(tcp) => tcp.fmt(f),
            Endpoint::Ipc(ipc) => ipc.fmt(f),
            Endpoint::Inproc(name) => write!(f, "inproc://{name}"),
            Endpoint::Tipc(tipc) => tipc.fmt(f),
        }
    }
}

impl fmt::Display for TcpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tcp://")?;
        if let Some((host, port)) = &self.source {
            write!(f, "{host}:{port};")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for IpcEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpcEndpoint::Path(path) => write!(f, "ipc://{}", path.display()),
            IpcEndpoint::Abstract(name) => write!(f, "ipc://@{}", String::from_utf8_lossy(name)),
            IpcEndpoint::Wildcard => f.write_str("ipc://*"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::V4(address) => address.fmt(f),
            Host::V6(address, None) => write!(f, "[{address}]"),
            Host::V6(address, Some(Zone::Index(index))) => write!(f, "[{address}%{index}]"),
            Host::V6(address, Some(Zone::Name(name))) => write!(f, "[{address}%{name}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl Port {
    /// The number to give to the system, where 0 means any free port.
    pub(crate) fn number(self) -> u16 {
        match self {
            Port::Any => 0,
            Port::Number(number) => number,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Any => f.write_str("*"),
            Port::Number(number) => number.fmt(f),
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text that is no endpoint can be anything: keep it to one readable line.
        const SHOWN: usize = 120;
        let shown = self
            .endpoint
            .chars()
            .take(SHOWN)
            .flat_map(char::escape_debug);
        let more = if self.endpoint.chars().nth(SHOWN).is_some() {
            "…"
        } else {
            ""
        };
        write!(
            f,
            "endpoint `{}{more}` {}",
            shown.collect::<String>(),
            self.kind
        )
    }
}

impl fmt::Display for EndpointErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTransport => {
                "names no transport: write transport://address, with tcp, ipc, inproc or tipc"
            }
            Self::UnknownTransport => "names an unknown transport: use tcp, ipc, inproc or tipc",
            Self::NoAddress => "has no address: give host:port for tcp, a path for ipc, a name for inproc, {type,instance} for tipc",
            Self::NoHost => "has no host: give a host name or an address, or * to bind all interfaces",
            Self::NoPort => "has no port: add one, as in tcp://host:5555",
            Self::Port => "has a bad port: give a number up to 65535, or * to bind any free port",
            Self::HostName => "has a bad host name: use letters, digits, `-`, `.` and `_` only",
            Self::Ipv4 => "has a bad IPv4 address: write four numbers up to 255, as in 192.168.0.1",
            Self::Ipv6 => "has a bad IPv6 address: write it in brackets, as in tcp://[::1]:5555",
            Self::Zone => "has a bad zone: write the interface's name or number, as in [fe80::1%eth0]",
            Self::PathTooLong => "has a path of more than 107 bytes, the system's limit: choose a shorter one",
            Self::NameTooLong => "has a name of more than 256 bytes: choose a shorter one",
            Self::ZeroByte => "has a zero byte in its path: leave it out",
            Self::Tipc => {
                "has a bad TIPC address: write {type,instance}, {type,lower,upper} or <zone.cluster.node:number>"
            }
            Self::TipcService => "has a type of service that is TIPC's own: take one from 64 on",
            Self::ConnectToAny => {
                "cannot be connected to, for * stands for something only when binding: name the peer"
            }
            Self::BindWithSource => {
                "cannot be bound, for only a connection has a source: leave out what is before the `;`"
            }
            Self::ConnectToRange => {
                "cannot be connected to, for it is a range: choose an instance, as in tipc://{5555,50}"
            }
            Self::BindToPort => {
                "cannot be bound, for the system gives the port identities: bind tipc://<*> or a service"
            }
            Self::BindToDomain => {
                "cannot be bound, for a service is where its listener is: leave out what is from the `@` on"
            }
        })
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::EndpointErrorKind as Bad;
    use super::*;
    use proptest::prelude::*;

    /// One line a case: the text and its canonical form.
    macro_rules! valid {
        ($($name:ident: $text:expr => $canonical:expr;)*) => {$(
            #[test]
            fn $name() {
                let text: &str = &$text;
                let endpoint = Endpoint::parse(text).unwrap_or_else(|error| panic!("{error}"));
                let canonical: &str = &$canonical;
                assert_eq!(endpoint.to_string(), canonical);
                assert_eq!(Endpoint::parse(canonical), Ok(endpoint));
            }
        )*};
    }

    valid! {
        tcp_ipv4: "tcp://127.0.0.1:5555" => "tcp://127.0.0.1:5555";
        tcp_zero_address: "tcp://0.0.0.0:1" => "tcp://0.0.0.0:1";
        tcp_highest: "tcp://255.255.255.255:65535" => "tcp://255.255.255.255:65535";
        tcp_leading_zeros: "tcp://127.0.0.1:00080" => "tcp://127.0.0.1:80";
        tcp_ipv4_in_brackets: "tcp://[192.168.1.1]:5555" => "tcp://192.168.1.1:5555";
        tcp_any: "tcp://*:5555" => "tcp://*:5555";
        tcp_any_port: "tcp://*:*" => "tcp://*:*";
        tcp_port_zero: "tcp://127.0.0.1:0" => "tcp://127.0.0.1:*";
        tcp_port_bang: "tcp://127.0.0.1:!" => "tcp://127.0.0.1:*";
        tcp_name: "tcp://server1:5555" => "tcp://server1:5555";
        tcp_long_name: "tcp://a-b_c.example.org:5555" => "tcp://a-b_c.example.org:5555";
        tcp_rooted_name: "tcp://example.org.:5555" => "tcp://example.org.:5555";
        tcp_name_in_brackets: "tcp://[example.org]:22" => "tcp://example.org:22";
        tcp_name_with_digits: "tcp://1.2.3.four:22" => "tcp://1.2.3.four:22";
        tcp_interface: "tcp://eth0:5555" => "tcp://eth0:5555";
        tcp_ipv6: "tcp://[::1]:5555" => "tcp://[::1]:5555";
        tcp_ipv6_any: "tcp://[::]:*" => "tcp://[::]:*";
        tcp_ipv6_long: "tcp://[ABCD:1234:0:0:0:1:0:234]:80" => "tcp://[abcd:1234::1:0:234]:80";
        tcp_ipv6_mapped: "tcp://[::ffff:1.2.3.4]:80" => "tcp://[::ffff:1.2.3.4]:80";
        tcp_ipv6_bare: "tcp://abcd:1234::1:0:234:123" => "tcp://[abcd:1234::1:0:234]:123";
        tcp_zone: "tcp://[fe80::1%eth0]:80" => "tcp://[fe80::1%eth0]:80";
        tcp_zone_number: "tcp://[fe80::1%02]:80" => "tcp://[fe80::1%2]:80";
        tcp_zone_bare: "tcp://fe80::1%eth0:8080" => "tcp://[fe80::1%eth0]:8080";
        tcp_source: "tcp://eth1:0;server1:5555" => "tcp://eth1:*;server1:5555";
        tcp_source_ipv4: "tcp://192.168.1.17:5555;192.168.1.1:5555" => "tcp://192.168.1.17:5555;192.168.1.1:5555";
        tcp_source_ipv6: "tcp://[::1]:*;[::1]:5555" => "tcp://[::1]:*;[::1]:5555";
        ipc_path: "ipc:///tmp/feeds/0" => "ipc:///tmp/feeds/0";
        ipc_relative: "ipc://feed" => "ipc://feed";
        ipc_spaces: "ipc:///tmp/a b:c;d" => "ipc:///tmp/a b:c;d";
        ipc_abstract: "ipc://@feed" => "ipc://@feed";
        ipc_abstract_slash: "ipc://@/tmp/@feed" => "ipc://@/tmp/@feed";
        ipc_wildcard: "ipc://*" => "ipc://*";
        ipc_not_wildcard: "ipc://*x" => "ipc://*x";
        ipc_longest: format!("ipc://{}", "x".repeat(107)) => format!("ipc://{}", "x".repeat(107));
        ipc_abstract_longest: format!("ipc://@{}", "x".repeat(107)) => format!("ipc://@{}", "x".repeat(107));
        inproc: "inproc://#1" => "inproc://#1";
        inproc_anything: "inproc://tcp://*:1 \0é" => "inproc://tcp://*:1 \0é";
        tipc_service: "tipc://{5555,50}" => "tipc://{5555, 50}";
        tipc_spaces: "tipc://{ 5555,  050}" => "tipc://{5555, 50}";
        tipc_everywhere: "tipc://{5555,50}@0.0.0" => "tipc://{5555, 50}";
        tipc_domain: "tipc://{64,4294967295}@1.2.3" => "tipc://{64, 4294967295}@1.2.3";
        tipc_range: "tipc://{5555,0,100}" => "tipc://{5555, 0, 100}";
        tipc_range_of_one: "tipc://{5555,7,7}" => "tipc://{5555, 7, 7}";
        tipc_port: "tipc://<255.4095.4095:123123>" => "tipc://<255.4095.4095:123123>";
        tipc_any: "tipc://<*>" => "tipc://<*>";
        inproc_longest: format!("inproc://{}", "x".repeat(256)) => format!("inproc://{}", "x".repeat(256));
    }

    #[test]
    fn invalid() {
        let cases: &[(&str, Bad)] = &[
            ("", Bad::NoTransport),
            ("tcp", Bad::NoTransport),
            ("tcp:", Bad::NoTransport),
            ("tcp:/127.0.0.1:5555", Bad::NoTransport),
            ("127.0.0.1:5555", Bad::NoTransport),
            ("://127.0.0.1:5555", Bad::UnknownTransport),
            ("TCP://127.0.0.1:5555", Bad::UnknownTransport),
            (" tcp://127.0.0.1:5555", Bad::UnknownTransport),
            ("http://127.0.0.1:5555", Bad::UnknownTransport),
            ("tcp://", Bad::NoAddress),
            ("ipc://", Bad::NoAddress),
            ("ipc://@", Bad::NoAddress),
            ("inproc://", Bad::NoAddress),
            ("tcp://:5555", Bad::NoHost),
            ("tcp://[]:5555", Bad::NoHost),
            ("tcp://;127.0.0.1:5555", Bad::NoPort),
            ("tcp://127.0.0.1", Bad::NoPort),
            ("tcp://127.0.0.1:", Bad::NoPort),
            ("tcp://[::1]", Bad::NoPort),
            ("tcp://[::1]:", Bad::NoPort),
            ("tcp://eth0;127.0.0.1:5555", Bad::NoPort),
            ("tcp://eth0:5555;", Bad::NoPort),
            ("tcp://127.0.0.1:65536", Bad::Port),
            ("tcp://127.0.0.1:-1", Bad::Port),
            ("tcp://127.0.0.1:+80", Bad::Port),
            ("tcp://127.0.0.1:http", Bad::Port),
            ("tcp://127.0.0.1:567bad", Bad::Port),
            ("tcp://127.0.0.1:5555/", Bad::Port),
            ("tcp://127.0.0.1:5555 ", Bad::Port),
            ("tcp://127.0.0.1:**", Bad::Port),
            ("tcp://127.0.0.1:99999999999999999999", Bad::Port),
            ("tcp://local host:5555", Bad::HostName),
            ("tcp://**:5555", Bad::HostName),
            ("tcp://a/b:5555", Bad::HostName),
            ("tcp://m\u{fc}nchen:5555", Bad::HostName),
            ("tcp://host]:5555", Bad::HostName),
            ("tcp://a:1;b:2;c:3", Bad::HostName),
            ("tcp://256.0.0.1:5555", Bad::Ipv4),
            ("tcp://1.2.3:5555", Bad::Ipv4),
            ("tcp://1.2.3.4.5:5555", Bad::Ipv4),
            ("tcp://127.0.0.01:5555", Bad::Ipv4),
            ("tcp://5555:5555", Bad::Ipv4),
            ("tcp://...:5555", Bad::Ipv4),
            ("tcp://[::1:5555", Bad::Ipv6),
            ("tcp://[::1]5555", Bad::Ipv6),
            ("tcp://[::1].2:5555", Bad::Ipv6),
            ("tcp://[1.2.3.4:5555]:1", Bad::Ipv6),
            ("tcp://[1:2:3]:5555", Bad::Ipv6),
            ("tcp://::1", Bad::Ipv6),
            ("tcp://127.0.0.1:5555:5556", Bad::Ipv6),
            ("tcp://1.2.3.4%eth0:5555", Bad::Ipv6),
            ("tcp://[fe80::1%]:5555", Bad::Zone),
            ("tcp://[fe80::1%0]:5555", Bad::Zone),
            ("tcp://[fe80::1%4294967296]:5555", Bad::Zone),
            ("tcp://[fe80::1%a%b]:5555", Bad::Zone),
            ("ipc:///tmp/a\0b", Bad::ZeroByte),
            ("ipc://@a\0b", Bad::ZeroByte),
            ("tipc://", Bad::NoAddress),
            ("tipc://5555,50", Bad::Tipc),
            ("tipc://{}", Bad::Tipc),
            ("tipc://{5555}", Bad::Tipc),
            ("tipc://{5555,}", Bad::Tipc),
            ("tipc://{5555,0", Bad::Tipc),
            ("tipc://{5555,0}x", Bad::Tipc),
            ("tipc://{5555,-1}", Bad::Tipc),
            ("tipc://{5555,+1}", Bad::Tipc),
            ("tipc://{5555,0 }", Bad::Tipc),
            ("tipc://{5555,4294967296}", Bad::Tipc),
            ("tipc://{5555,2,1}", Bad::Tipc),
            ("tipc://{5555,1,2,3}", Bad::Tipc),
            ("tipc://{5555,1,2}@1.1.1", Bad::Tipc),
            ("tipc://{5555,1}@", Bad::Tipc),
            ("tipc://{5555,1}@1.1", Bad::Tipc),
            ("tipc://{5555,1}@1.1.1.1", Bad::Tipc),
            ("tipc://{5555,1}@256.1.1", Bad::Tipc),
            ("tipc://{5555,1}@1.4096.1", Bad::Tipc),
            ("tipc://{5555,1}@1.1.4096", Bad::Tipc),
            ("tipc://{63,1}", Bad::TipcService),
            ("tipc://{0,1,2}", Bad::TipcService),
            ("tipc://<1.1.1>", Bad::Tipc),
            ("tipc://<1.1.1:>", Bad::Tipc),
            ("tipc://<1.1:1>", Bad::Tipc),
            ("tipc://<*", Bad::Tipc),
            ("tipc://*", Bad::Tipc),
            ("tipc://<*>x", Bad::Tipc),
        ];
        for (text, kind) in cases {
            let error = Endpoint::parse(text).expect_err(text);
            assert_eq!((&*error.endpoint, error.kind), (*text, *kind), "{text}");
        }
    }

    #[test]
    fn too_long() {
        let kind = |text: String| Endpoint::parse(&text).expect_err("too long").kind;
        assert_eq!(kind(format!("ipc://{}", "x".repeat(108))), Bad::PathTooLong);
        assert_eq!(
            kind(format!("ipc://@{}", "x".repeat(108))),
            Bad::PathTooLong
        );
        assert_eq!(
            kind(format!("inproc://{}", "x".repeat(257))),
            Bad::NameTooLong
        );
        assert_eq!(kind(format!("tcp://{}:1", "x".repeat(256))), Bad::HostName);
    }

    #[test]
    fn uses() {
        let check = |text: &str| {
            let endpoint = Endpoint::parse(text).expect(text);
            let kind = |result: Result<(), EndpointError>| result.err().map(|error| error.kind);
            (kind(endpoint.check_bind()), kind(endpoint.check_connect()))
        };
        assert_eq!(check("tcp://127.0.0.1:1"), (None, None));
        assert_eq!(check("tcp://*:1"), (None, Some(Bad::ConnectToAny)));
        assert_eq!(check("tcp://127.0.0.1:0"), (None, Some(Bad::ConnectToAny)));
        assert_eq!(
            check("tcp://*:*;127.0.0.1:1"),
            (Some(Bad::BindWithSource), None)
        );
        assert_eq!(check("ipc://*"), (None, Some(Bad::ConnectToAny)));
        assert_eq!(check("ipc://@x"), (None, None));
        assert_eq!(check("inproc://*"), (None, None));
        assert_eq!(check("tipc://{5555,1}"), (None, None));
        assert_eq!(check("tipc://{5555,1,1}"), (None, None));
        assert_eq!(
            check("tipc://{5555,1,2}"),
            (None, Some(Bad::ConnectToRange))
        );
        assert_eq!(
            check("tipc://{5555,1}@1.1.1"),
            (Some(Bad::BindToDomain), None)
        );
        assert_eq!(check("tipc://<1.1.1:1>"), (Some(Bad::BindToPort), None));
        assert_eq!(check("tipc://<*>"), (None, Some(Bad::ConnectToAny)));
    }

    #[test]
    fn errors_are_one_readable_line() {
        let message = |text: &str| Endpoint::parse(text).expect_err(text).to_string();
        assert_eq!(
            message("udp://x:1"),
            "endpoint `udp://x:1` names an unknown transport: use tcp, ipc, inproc or tipc"
        );
        assert_eq!(
            message("tcp://localhost"),
            "endpoint `tcp://localhost` has no port: add one, as in tcp://host:5555"
        );
        assert!(!message("a\nb\u{1b}[2J").contains(['\n', '\u{1b}']));
        assert!(message(&"é".repeat(1_000_000)).chars().count() < 300);
    }

    /// Text that comes near to an endpoint.
    fn near() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("tcp://".to_owned()),
            Just("ipc://".to_owned()),
            Just("inproc://".to_owned()),
            Just("tipc://".to_owned()),
            Just("{5555,".to_owned()),
            Just("@1.1.1".to_owned()),
            Just("127.0.0.1".to_owned()),
            Just("[fe80::1".to_owned()),
            Just("%eth0]".to_owned()),
            Just("65535".to_owned()),
            "[]{}<>,@*!:;%./\\[0-9a-fx-]{1,4}",
            ".{0,8}",
        ];
        (
            prop_oneof![
                Just("tcp://"),
                Just("ipc://"),
                Just("inproc://"),
                Just("tipc://"),
                Just("")
            ],
            prop::collection::vec(part, 0..8),
        )
            .prop_map(|(transport, parts)| transport.to_owned() + &parts.concat())
    }

    /// Text that mostly is a TCP endpoint.
    fn tcp() -> impl Strategy<Value = String> {
        let host = prop_oneof![
            Just("*".to_owned()),
            any::<Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<Ipv6Addr>().prop_map(|address| format!("[{address}]")),
            (any::<Ipv6Addr>(), "[a-z0-9]{1,5}")
                .prop_map(|(address, zone)| format!("[{address}%{zone}]")),
            any::<Ipv6Addr>().prop_map(|address| address.to_string()),
            "[a-zA-Z0-9._-]{1,12}",
        ];
        let port = prop_oneof![
            Just("*".to_owned()),
            any::<u16>().prop_map(|port| port.to_string())
        ];
        let end = (host, port).prop_map(|(host, port)| format!("{host}:{port}"));
        prop::collection::vec(end, 1..3).prop_map(|ends| format!("tcp://{}", ends.join(";")))
    }

    fn comes_back(text: &str) {
        match Endpoint::parse(text) {
            Ok(endpoint) => assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint)),
            Err(error) => assert!(!error.to_string().contains('\n')),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..Default::default() })]

        #[test]
        fn any_text_is_parsed_without_a_panic(text in any::<String>()) {
            comes_back(&text);
        }

        #[test]
        fn what_parses_prints_and_parses_again(text in prop_oneof![near(), tcp()]) {
            comes_back(&text);
        }
    }
}
