//! Metadata: the properties that peers tell each other at the end of the handshake.
//!
//! The layout is a sequence of (name length: 1 octet, name, value length: 4 octets, value), RFC 23
//! "The NULL Security Mechanism"; all mechanisms share it. The order is kept. Names compare without
//! regard to case.
//!
//! What is sent follows the RFC's grammar for names strictly; what is received may use any
//! printable ASCII, because libzmq never checked the names of an application's own properties.

use core::fmt;

use bytes::Bytes;

/// The largest encoded metadata, in octets: as large as a handshake command may be.
pub const MAX_METADATA: usize = 64 * 1024;

/// The largest number of properties.
pub const MAX_PROPERTIES: usize = 128;

/// An ordered list of named properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Invariant: at most [`MAX_PROPERTIES`], whose encoded sizes add up to at most
    /// [`MAX_METADATA`].
    properties: Vec<(Box<str>, Bytes)>,
}

/// Properties that cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// The octets end in the middle of a property.
    Truncated,
    /// A property has an empty name, one of over 255 octets, or one with illegal characters.
    InvalidName,
    /// There are more than [`MAX_PROPERTIES`].
    TooMany,
    /// They take more than [`MAX_METADATA`] octets.
    TooLarge,
}

impl Metadata {
    /// No properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads encoded properties, all of `input`.
    ///
    /// # Errors
    /// `input` is malformed or beyond the limits; nothing was allocated for the part that is.
    pub fn parse(mut input: &[u8]) -> Result<Self, MetadataError> {
        if input.len() > MAX_METADATA {
            return Err(MetadataError::TooLarge);
        }
        let mut properties = Vec::new();
        while !input.is_empty() {
            if properties.len() == MAX_PROPERTIES {
                return Err(MetadataError::TooMany);
            }
            let (name, value, rest) = split_property(input).ok_or(MetadataError::Truncated)?;
            if name.is_empty() || !name.iter().all(|octet| matches!(octet, b' '..=b'~')) {
                return Err(MetadataError::InvalidName);
            }
            let name = str::from_utf8(name).map_err(|_| MetadataError::InvalidName)?;
            properties.push((name.into(), Bytes::copy_from_slice(value)));
            input = rest;
        }
        // They are kept for as long as the connection, mostly one or two.
        properties.shrink_to_fit();
        Ok(Self { properties })
    }

    /// Appends the encoded properties to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.properties {
            // Neither cast can cut anything off: see the invariant.
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    /// How many octets [`Metadata::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        self.properties
            .iter()
            .map(|(name, value)| property_len(name, value))
            .sum()
    }

    /// The value of the first property called `name`, in whatever case.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Sets a property: replaces the first one of that name, or appends.
    ///
    /// # Errors
    /// The name does not follow the RFC (1 to 255 letters, digits, `-`, `_`, `.`, `+`), or a limit
    /// would be exceeded; the properties are then as before.
    pub fn insert(&mut self, name: &str, value: impl Into<Bytes>) -> Result<(), MetadataError> {
        let legal = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.+".contains(&octet);
        if name.is_empty() || name.len() > 255 || !name.bytes().all(legal) {
            return Err(MetadataError::InvalidName);
        }
        let value = value.into();
        let place = self
            .properties
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name));
        let replaced = place.map_or(0, |i| {
            property_len(&self.properties[i].0, &self.properties[i].1)
        });
        if self.encoded_len() - replaced + property_len(name, &value) > MAX_METADATA {
            return Err(MetadataError::TooLarge);
        }
        match place {
            Some(i) => self.properties[i].1 = value,
            None if self.properties.len() == MAX_PROPERTIES => return Err(MetadataError::TooMany),
            None => self.properties.push((name.into(), value)),
        }
        Ok(())
    }

    /// The properties, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.properties.iter().map(|(name, value)| (&**name, value))
    }

    /// How many properties there are.
    pub fn len(&self) -> usize {
        self.properties.len()
    }

    /// Whether there is no property.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }
}

/// The first property's name and value, and what follows it; `None` if `input` ends too early.
fn split_property(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&name_len, rest) = input.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (value_len, rest) = rest.split_first_chunk()?;
    let value_len = usize::try_from(u32::from_be_bytes(*value_len)).ok()?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((name, value, rest))
}

fn property_len(name: &str, value: &Bytes) -> usize {
    1 + name.len() + 4 + value.len()
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the metadata end in the middle of a property"),
            Self::InvalidName => {
                f.write_str("the name of a metadata property is not 1 to 255 legal characters")
            }
            Self::TooMany => write!(
                f,
                "there are more than {MAX_PROPERTIES} metadata properties"
            ),
            Self::TooLarge => write!(f, "the metadata take more than {MAX_METADATA} octets"),
        }
    }
}

impl std::error::Error for MetadataError {}
