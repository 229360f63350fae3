//! The small types that some options are made of: sets of flags, address filters, properties, and the
//! place of a proxy.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::table::Rules;
use super::value::{Code, Fault, Field, Form, Value, text_of};
use crate::endpoint::{Endpoint, TcpEndpoint};

macro_rules! flags {
    ($(#[$doc:meta])* $Name:ident { $($(#[$flag_doc:meta])* $FLAG:ident = $bit:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $Name(u8);

        impl $Name {
            /// No flag.
            pub const NONE: Self = $Name(0);
            $($(#[$flag_doc])* pub const $FLAG: Self = $Name($bit);)*
            /// All flags.
            pub(crate) const ALL: Self = $Name(0 $(| $bit)*);

            /// Whether all flags of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $Name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                $Name(self.0 | other.0)
            }
        }

        impl Code for $Name {
            fn from_code(code: i64) -> Option<Self> {
                let bits = u8::try_from(code).ok()?;
                Self::ALL.contains($Name(bits)).then_some($Name(bits))
            }

            fn code(self) -> Option<i64> {
                Some(self.0.into())
            }

            /// A number, or words with commas between them.
            fn parse(text: &str) -> Option<i64> {
                let bit = |word: &str| match word.trim() {
                    $($word => Some($bit),)*
                    _ => None,
                };
                let words = || text.split(',').try_fold(0, |bits, word| Some(bits | bit(word)?));
                text.parse().ok().or_else(words)
            }
        }
    };
}

flags! {
    /// When to stop reconnecting (`ZMQ_RECONNECT_STOP`).
    ReconnectStop {
        /// The peer's machine refuses the connection.
        CONN_REFUSED = 1, "conn_refused";
        /// The peer does not speak the protocol, or refuses us.
        HANDSHAKE_FAILED = 2, "handshake_failed";
        /// The application has disconnected the endpoint.
        AFTER_DISCONNECT = 4, "after_disconnect";
    }
}

flags! {
    /// What a ROUTER tells about its peers (`ZMQ_ROUTER_NOTIFY`).
    RouterNotify {
        /// An empty message from a peer that has connected.
        CONNECT = 1, "connect";
        /// An empty message from a peer that has gone.
        DISCONNECT = 2, "disconnect";
    }
}

/// A range of IP addresses, such as `10.0.0.0/8` or `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressFilter {
    address: IpAddr,
    /// How many leading bits count.
    bits: u8,
}

/// A text that is not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddressFilter;

impl AddressFilter {
    /// Whether the address is in the range. An IPv4 address that comes mapped into IPv6, as on a
    /// socket that serves both, counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width): (u128, u128, u8) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let ignored = u32::from(width - self.bits);
        (ours ^ theirs).checked_shr(ignored).unwrap_or(0) == 0
    }
}

impl FromStr for AddressFilter {
    type Err = BadAddressFilter;

    fn from_str(text: &str) -> Result<Self, BadAddressFilter> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadAddressFilter)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse);
        match bits {
            Ok(bits) if bits <= width => Ok(AddressFilter { address, bits }),
            _ => Err(BadAddressFilter),
        }
    }
}

impl fmt::Display for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Display for BadAddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an IP address or a range of them such as 10.0.0.0/8")
    }
}

impl std::error::Error for BadAddressFilter {}

/// Where a proxy is (`ZMQ_SOCKS_PROXY`): host and port, such as `proxy.example:1080`, or nowhere.
///
/// Any text makes one; what is not host and port is refused when the option is set, or by the socket
/// that gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyAddress(String);

impl ProxyAddress {
    /// No proxy.
    pub const NONE: Self = ProxyAddress(String::new());

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        !self.0.is_empty()
    }

    /// The text, empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where to connect to, if there is a proxy and its text is right.
    pub(crate) fn endpoint(&self) -> Option<TcpEndpoint> {
        // Without a port it is that of SOCKS (RFC 1928).
        let parse = |text: &str| Endpoint::parse(&format!("tcp://{text}")).ok();
        let endpoint = parse(&self.0).or_else(|| parse(&format!("{}:1080", self.0)))?;
        endpoint.check_connect().ok()?;
        match endpoint {
            Endpoint::Tcp(tcp) => Some(tcp),
            _ => None,
        }
    }
}

impl From<&str> for ProxyAddress {
    fn from(text: &str) -> Self {
        ProxyAddress(text.to_owned())
    }
}

impl From<String> for ProxyAddress {
    fn from(text: String) -> Self {
        ProxyAddress(text)
    }
}

impl Field for ProxyAddress {
    const FORM: Form = Form::Text;

    fn accept(&mut self, value: &Value, _: &Rules) -> Result<(), Fault> {
        let proxy = ProxyAddress::from(text_of(value)?);
        if proxy.is_some() && proxy.endpoint().is_none() {
            return Err(Fault::Invalid);
        }
        *self = proxy;
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

/// A property that a socket tells its peers when it connects, such as `X-Region:eu`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Property {
    name: String,
    value: String,
}

/// A text that is not a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadProperty;

impl Property {
    /// A property. Its name begins with `X-`, as RFC 23 asks of application metadata, is at most 255
    /// bytes long and has no colon; the value is not empty.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, BadProperty> {
        let (name, value) = (name.into(), value.into());
        let good = name.starts_with("X-") && name.len() <= 255 && !name.contains(':');
        match good && !value.is_empty() {
            true => Ok(Property { name, value }),
            false => Err(BadProperty),
        }
    }

    /// Its name, with the `X-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Property {
    type Err = BadProperty;

    fn from_str(text: &str) -> Result<Self, BadProperty> {
        let (name, value) = text.split_once(':').ok_or(BadProperty)?;
        Property::new(name, value)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.value)
    }
}

impl fmt::Display for BadProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a property such as X-Name:value")
    }
}

impl std::error::Error for BadProperty {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_contain_their_range() {
        for (filter, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("10.1.2.3/12", "10.15.0.0", "10.16.0.0"),
            ("192.168.0.7", "192.168.0.7", "192.168.0.6"),
            ("192.168.0.7", "::ffff:192.168.0.7", "::1"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::1", "::1", "::2"),
            ("fe80::/10", "febf::1", "fec0::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
        ] {
            let filter: AddressFilter = filter.parse().unwrap();
            assert!(
                filter.contains(inside.parse().unwrap()),
                "{filter} {inside}"
            );
            assert!(
                !filter.contains(outside.parse().unwrap()),
                "{filter} {outside}"
            );
            assert_eq!(filter.to_string().parse(), Ok(filter));
        }
        for bad in [
            "",
            "host",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "1.2.3",
            "/8",
            "1.2.3.4/-1",
        ] {
            assert_eq!(bad.parse::<AddressFilter>(), Err(BadAddressFilter), "{bad}");
        }
    }

    #[test]
    fn properties_begin_with_x() {
        let property: Property = "X-Region:eu:west".parse().unwrap();
        assert_eq!((property.name(), property.value()), ("X-Region", "eu:west"));
        let long = format!("X-{}:v", "n".repeat(254));
        for bad in ["", "X-a", "X-a:", ":v", "Region:eu", "x-a:b", &long] {
            assert_eq!(bad.parse::<Property>(), Err(BadProperty), "{bad}");
        }
    }

    #[test]
    fn flags_are_numbers_or_words() {
        for (text, code) in [
            ("0", Some(0)),
            ("3", Some(3)),
            ("conn_refused", Some(1)),
            ("conn_refused,after_disconnect", Some(5)),
            ("after", None),
            ("", None),
        ] {
            assert_eq!(ReconnectStop::parse(text), code, "{text}");
        }
        assert_eq!(ReconnectStop::from_code(8), None);
        assert_eq!(ReconnectStop::from_code(-1), None);
        let both = RouterNotify::CONNECT | RouterNotify::DISCONNECT;
        assert_eq!((both, both.code()), (RouterNotify::ALL, Some(3)));
        assert!(both.contains(RouterNotify::CONNECT) && !RouterNotify::NONE.contains(both));
    }
}
