//! TIPC: streams between the nodes of a cluster, found by service instead of by place.
//!
//! The system has no type for these addresses here; [`encode`] and [`decode`] know the layout of
//! `sockaddr_tipc` (Linux, `linux/tipc.h`): 16 bytes, all in the machine's order.
//!
//! | bytes | field |
//! |---|---|
//! | 2 | family, 30 |
//! | 1 | which kind of address: 1 range, 2 service, 3 socket |
//! | 1 | scope: how far a range is published; 2 is the cluster |
//! | 12 | three numbers: type, lower, upper; or type, instance, domain; or number, node, 0 |
//!
//! A connection stands when its listener has taken it, not before: there is no backlog of those that
//! do. The kernel's TIPC is a module (`modprobe tipc`). A node that is in no cluster has it all to itself,
//! and needs no address for that. Closing a connection whose peer does not read may take up to eight
//! seconds in the system, as it waits for room to say so.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny};

use super::{Connecting, Kind, StreamOptions, listen_at, open, tune};
use crate::endpoint::{TipcEndpoint, TipcNode};
use crate::sys::{address_bytes, foreign_address};

/// The kinds of address.
const RANGE: u8 = 1;
const SERVICE: u8 = 2;
const PORT: u8 = 3;

/// What is published can be found from the whole cluster.
const CLUSTER_SCOPE: u8 = 2;

/// What to say where the kernel knows no TIPC.
pub(crate) const MISSING: &str =
    "the kernel has no TIPC: load its module (modprobe tipc) or choose another transport";

/// Whether an error means that.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

/// Whether the kernel has TIPC; where it may, it loads the module for the asking.
pub(crate) fn check() -> io::Result<()> {
    open(AddressFamily::TIPC)?;
    Ok(())
}

/// Listens at `endpoint`; gives the endpoint that came of it, with the real port identity.
pub(super) fn listen(
    endpoint: &TipcEndpoint,
    options: &StreamOptions,
) -> io::Result<(OwnedFd, String)> {
    let fd = open(AddressFamily::TIPC)?;
    tune(&fd, options)?;
    let text = match *endpoint {
        TipcEndpoint::Any => {
            let named = rustix::net::getsockname(&fd)?;
            address_text(&named).ok_or(Errno::ADDRNOTAVAIL)?
        }
        _ => {
            let range = match *endpoint {
                TipcEndpoint::Service {
                    service, instance, ..
                } => TipcEndpoint::Range {
                    service,
                    lower: instance,
                    upper: instance,
                },
                other => other,
            };
            let address = encode(&range).ok_or(Errno::INVAL)?;
            rustix::net::bind(&fd, &foreign_address(&address))?;
            endpoint.to_string()
        }
    };
    listen_at(&fd, options)?;
    Ok((fd, text))
}

/// Starts to connect.
pub(crate) fn start_connect(
    endpoint: &TipcEndpoint,
    options: &StreamOptions,
) -> io::Result<Connecting> {
    let one = match *endpoint {
        TipcEndpoint::Range { service, lower, .. } => TipcEndpoint::Service {
            service,
            instance: lower,
            domain: TipcNode::default(),
        },
        other => other,
    };
    let address = encode(&one).ok_or(Errno::INVAL)?;
    let fd = open(AddressFamily::TIPC)?;
    tune(&fd, options)?;
    match rustix::net::connect(&fd, &foreign_address(&address)) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connecting::new(fd, Kind::Tipc)),
        Err(error) => Err(error.into()),
    }
}

/// The canonical text of the address that a socket has or is connected to, a port identity.
pub(super) fn address_text(address: &SocketAddrAny) -> Option<String> {
    decode(address_bytes(address)).map(|endpoint| endpoint.to_string())
}

/// The C structure; none for an address that the system is to choose.
fn encode(endpoint: &TipcEndpoint) -> Option<[u8; 16]> {
    let (kind, scope, numbers) = match *endpoint {
        TipcEndpoint::Range {
            service,
            lower,
            upper,
        } => (RANGE, CLUSTER_SCOPE, [service, lower, upper]),
        TipcEndpoint::Service {
            service,
            instance,
            domain,
        } => (SERVICE, 0, [service, instance, domain.0]),
        TipcEndpoint::Port { node, number } => (PORT, 0, [number, node.0, 0]),
        TipcEndpoint::Any => return None,
    };
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&AddressFamily::TIPC.as_raw().to_ne_bytes());
    bytes[2..4].copy_from_slice(&[kind, scope]);
    for (place, number) in bytes[4..].chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    Some(bytes)
}

/// The port identity in a C structure; the system tells no other kind of address.
fn decode(bytes: &[u8]) -> Option<TipcEndpoint> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let (number, node) = (word(4)?, TipcNode(word(8)?));
    (bytes[2] == PORT).then_some(TipcEndpoint::Port { node, number })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accept, bind, exchange, finish};
    use super::super::{ListenError, Listener};
    use super::*;
    use crate::endpoint::Endpoint;

    fn parse(text: &str) -> TipcEndpoint {
        match Endpoint::parse(text).expect(text) {
            Endpoint::Tipc(tipc) => tipc,
            other => panic!("{other}"),
        }
    }

    /// `numbers` as a C compiler lays them out on this machine.
    fn structure(kind: u8, scope: u8, numbers: [u32; 3]) -> [u8; 16] {
        let mut bytes = Vec::from(30u16.to_ne_bytes());
        bytes.extend([kind, scope]);
        bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        bytes.try_into().expect("sixteen")
    }

    #[test]
    fn structures() {
        let cases = [
            ("tipc://{5555,3,9}", 1, 2, [5555, 3, 9]),
            ("tipc://{5555,50}", 2, 0, [5555, 50, 0]),
            ("tipc://{5555,50}@1.2.3", 2, 0, [5555, 50, 0x0100_2003]),
            ("tipc://<255.4095.1:77>", 3, 0, [77, 0xffff_f001, 0]),
        ];
        for (text, kind, scope, numbers) in cases {
            let bytes = encode(&parse(text)).expect(text);
            assert_eq!(bytes, structure(kind, scope, numbers), "{text}");
            let address = foreign_address(&bytes);
            assert_eq!(address.address_family(), AddressFamily::TIPC);
            assert_eq!(address_bytes(&address), bytes);
        }
        assert_eq!(encode(&TipcEndpoint::Any), None);
    }

    #[test]
    fn the_address_of_a_socket() {
        let text = |bytes| super::super::address_text(&foreign_address(&bytes));
        let found = text(structure(3, 0, [2735, 0x0100_100a, 0]));
        assert_eq!(found.as_deref(), Some("tipc://<1.1.10:2735>"));
        assert_eq!(text(structure(2, 0, [1, 2, 3])), None);
        assert_eq!(decode(&structure(3, 0, [1, 2, 3])[..10]), None);
    }

    #[test]
    fn a_kernel_without_tipc() {
        let error = ListenError::Tipc(Errno::AFNOSUPPORT.into());
        assert_eq!(error.to_string(), MISSING);
        assert!(MISSING.contains("modprobe tipc"));
        assert_eq!(error.errno(), 97);
        assert!(!is_missing(&Errno::INVAL.into()));
    }

    /// With TIPC in the kernel, a round of it; without, the error that says so.
    #[test]
    fn what_this_kernel_has() {
        let options = StreamOptions::default();
        if let Err(error) = check() {
            assert!(is_missing(&error), "{error}");
            let refused = bind("tipc://{5555,0,1}", &options).expect_err("no TIPC");
            assert_eq!(refused.to_string(), MISSING);
            return eprintln!("skipped: {MISSING}");
        }
        let joined = |listener: &Listener, to: &str| {
            let connecting = start_connect(&parse(to), &options).expect(to);
            let server = accept(listener);
            let client = finish(connecting).expect(to);
            assert_eq!(client.peer_address(), server.local_address());
            assert_eq!(client.local_address(), server.peer_address());
            assert!(client.peer_address().starts_with("tipc://<"));
            assert_eq!(server.peer_host(), "");
            (client, server)
        };
        let listener = bind("tipc://<*>", &options).expect("a port identity");
        assert!(listener.accept().expect("accept").is_none());
        let port = listener.local_endpoint();
        assert!(port.starts_with("tipc://<") && port != "tipc://<*>");
        assert_eq!(listener.last_endpoint(), port);
        let (client, server) = joined(&listener, port);
        exchange(&client, &server);
        let listener = bind("tipc://{7777,3,9}", &options).expect("a range");
        assert_eq!(listener.local_endpoint(), "tipc://{7777, 3, 9}");
        joined(&listener, &listener.last_endpoint());
        let (client, server) = joined(&listener, "tipc://{7777,9}@0.0.0");
        assert_eq!(server.write(b"not read").expect("room"), 8);
        assert_eq!(client.write(b"the last").expect("room"), 8);
        drop(client);
        let mut rest = [0; 16];
        assert_eq!(server.read(&mut rest).expect("all of it"), 8);
        let end = server.read(&mut rest).map_err(|error| error.kind());
        assert!(
            matches!(end, Ok(0) | Err(io::ErrorKind::ConnectionReset)),
            "{end:?}"
        );
        let listener = bind("tipc://{7778,5}", &options).expect("an instance");
        joined(&listener, "tipc://{7778,5}");
        joined(&listener, "tipc://{7778,5,5}");
        drop(listener);
        let gone = start_connect(&parse("tipc://{7778,5}"), &options).and_then(finish);
        let gone = gone.expect_err("nobody");
        assert_ne!(gone.kind(), io::ErrorKind::WouldBlock);
    }
}
