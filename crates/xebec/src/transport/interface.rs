//! Network interfaces by name: `eth0` to its addresses, and to the number that IPv6 zones use.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use if_addrs::{IfAddr, Interface};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// The addresses of the interface of this name, with `port` put in; none if there is no such
/// interface. With `ipv6`, those of IPv6 come first, and among them the ones that are valid
/// beyond the link.
pub(crate) fn addresses(name: &str, port: u16, ipv6: bool) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| interface.name == name)
        .map(|interface| socket_address(&interface, port))
        .filter(|address| ipv6 || address.is_ipv4())
        .collect();
    // A stable sort: within a rank, the system's order.
    found.sort_by_key(|address| match address {
        SocketAddr::V6(v6) if !v6.ip().is_unicast_link_local() => 0,
        SocketAddr::V6(_) => 1,
        SocketAddr::V4(_) => 2,
    });
    Ok(found)
}

/// The number of the interface of this name.
pub(crate) fn index(name: &str) -> Option<u32> {
    // Any socket will do to ask the kernel.
    let flags = SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()?;
    netdevice::name_to_index(&fd, name).ok()
}

fn socket_address(interface: &Interface, port: u16) -> SocketAddr {
    match &interface.addr {
        IfAddr::V4(v4) => SocketAddrV4::new(v4.ip, port).into(),
        IfAddr::V6(v6) => {
            let zone = if v6.ip.is_unicast_link_local() {
                interface.index
            } else {
                None
            };
            SocketAddrV6::new(v6.ip, port, 0, zone.unwrap_or(0)).into()
        }
    }
}
