//! TIPC addresses, as text and as a value.
//!
//! TIPC finds a peer by what it offers: a *service* (`type`, from 64 on) and an *instance* of it. A
//! listener publishes a range of instances; where ranges overlap, the network shares connections
//! out among those who publish them. Every socket also has an address of its own, the *port
//! identity*: its node and a number there.
//!
//! | text | meaning |
//! |---|---|
//! | `{5555,0,100}` | to bind: instances 0 to 100 of service 5555 |
//! | `{5555,50}` | to connect: instance 50, wherever it is; to bind: the range of it alone |
//! | `{5555,50}@1.1.10` | to connect: on that node, or with zeros at the end in that part of the network |
//! | `<1.1.10:2735>` | to connect: one socket |
//! | `<*>` | to bind: nothing published, the listener's port identity is its endpoint |
//!
//! A range of one instance can be connected to as well. Printed, there is a space after each comma,
//! as in libzmq, and no domain if it is 0.0.0. The manual page is zmq_tipc(7); trailing characters
//! and parts of a node that do not fit are refused here.

use std::fmt;
use std::str::FromStr;

use super::EndpointErrorKind;

/// The lowest type of service that applications may use; those below are TIPC's own.
const FIRST_SERVICE: u32 = 64;

/// A TIPC endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TipcEndpoint {
    /// `{type,instance}@domain`: one instance of a service.
    Service {
        /// The type of the service, 64 or above.
        service: u32,
        /// Which of its instances.
        instance: u32,
        /// The node or part of the network to look for it in; by default 0.0.0, which is all of it.
        domain: TipcNode,
    },
    /// `{type,lower,upper}`: a range of instances of a service.
    Range {
        /// The type of the service, 64 or above.
        service: u32,
        /// The first instance.
        lower: u32,
        /// The last instance; not below the first.
        upper: u32,
    },
    /// `<node:number>`: the port identity of one socket.
    Port {
        /// The node that it is on.
        node: TipcNode,
        /// Its number there.
        number: u32,
    },
    /// `<*>`: a port identity that the system gives.
    Any,
}

/// The number of a TIPC node, written as zone, cluster and node: `1.1.10`. The parts have 8, 12 and
/// 12 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TipcNode(pub u32);

impl TipcEndpoint {
    pub(super) fn parse(address: &str) -> Result<Self, EndpointErrorKind> {
        if address == "<*>" {
            return Ok(TipcEndpoint::Any);
        }
        let bad = EndpointErrorKind::Tipc;
        if let Some(port) = enclosed(address, '<', '>') {
            let (node, number) = port.split_once(':').ok_or(bad)?;
            let (node, number) = (node.parse()?, decimal(number)?);
            return Ok(TipcEndpoint::Port { node, number });
        }
        let (service, domain) = match address.split_once('@') {
            Some((service, domain)) => (service, Some(domain.parse()?)),
            None => (address, None),
        };
        let service = enclosed(service, '{', '}').ok_or(bad)?;
        let numbers: Vec<u32> = service.split(',').map(decimal).collect::<Result<_, _>>()?;
        let endpoint = match (&numbers[..], domain) {
            (&[service, instance], domain) => TipcEndpoint::Service {
                service,
                instance,
                domain: domain.unwrap_or_default(),
            },
            (&[service, lower, upper], None) if lower <= upper => TipcEndpoint::Range {
                service,
                lower,
                upper,
            },
            _ => return Err(bad),
        };
        match numbers[0] {
            FIRST_SERVICE.. => Ok(endpoint),
            _ => Err(EndpointErrorKind::TipcService),
        }
    }

    pub(super) fn check_connect(&self) -> Result<(), EndpointErrorKind> {
        match self {
            TipcEndpoint::Any => Err(EndpointErrorKind::ConnectToAny),
            TipcEndpoint::Range { lower, upper, .. } if lower < upper => {
                Err(EndpointErrorKind::ConnectToRange)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_bind(&self) -> Result<(), EndpointErrorKind> {
        match self {
            TipcEndpoint::Port { .. } => Err(EndpointErrorKind::BindToPort),
            TipcEndpoint::Service { domain, .. } if *domain != TipcNode::default() => {
                Err(EndpointErrorKind::BindToDomain)
            }
            _ => Ok(()),
        }
    }
}

/// What stands between the two.
fn enclosed(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// A number, perhaps with spaces before it.
fn decimal(text: &str) -> Result<u32, EndpointErrorKind> {
    let digits = text.trim_start_matches(' ');
    // The standard library takes a sign.
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().map_err(|_| EndpointErrorKind::Tipc),
        false => Err(EndpointErrorKind::Tipc),
    }
}

impl FromStr for TipcNode {
    type Err = EndpointErrorKind;

    fn from_str(text: &str) -> Result<Self, EndpointErrorKind> {
        let parts: Vec<u32> = text.split('.').map(decimal).collect::<Result<_, _>>()?;
        match parts[..] {
            [zone @ ..=0xff, cluster @ ..=0xfff, node @ ..=0xfff] => {
                Ok(TipcNode(zone << 24 | cluster << 12 | node))
            }
            _ => Err(EndpointErrorKind::Tipc),
        }
    }
}

impl fmt::Display for TipcNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TipcNode(all) = self;
        write!(f, "{}.{}.{}", all >> 24, all >> 12 & 0xfff, all & 0xfff)
    }
}

impl fmt::Display for TipcEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tipc://")?;
        match self {
            TipcEndpoint::Service {
                service,
                instance,
                domain,
            } => {
                write!(f, "{{{service}, {instance}}}")?;
                match domain {
                    TipcNode(0) => Ok(()),
                    domain => write!(f, "@{domain}"),
                }
            }
            TipcEndpoint::Range {
                service,
                lower,
                upper,
            } => write!(f, "{{{service}, {lower}, {upper}}}"),
            TipcEndpoint::Port { node, number } => write!(f, "<{node}:{number}>"),
            TipcEndpoint::Any => f.write_str("<*>"),
        }
    }
}
