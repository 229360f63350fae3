//! The messages of ZAP (RFC 27), by which a socket asks a handler whether to let a peer in.
//!
//! ```text
//! request  "" "1.0" request-id domain address routing-id mechanism *credentials
//! reply    "" "1.0" request-id status-code status-text user-id metadata
//! ```
//!
//! The asking side writes and reads the empty delimiter, as a DEALER socket does: these are
//! [`Request::encode`] and [`Reply::parse`]. A handler with a REP socket sees no delimiter, and
//! neither do [`Request::parse`] and [`Reply::encode`].

use core::fmt;

use bytes::Bytes;

use crate::key::PublicKey;
use crate::protocol_error::ProtocolError;
use crate::secret::Secret;
use crate::{Credentials, Metadata, MetadataError, Verdict};

/// Where a process's handler is to be found.
pub const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// The only version.
const VERSION: &[u8] = b"1.0";

/// A question to the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whatever the asking side likes; the reply repeats it.
    pub request_id: &'a [u8],
    /// ZAP_DOMAIN of the asking socket; libzmq allows an empty one.
    pub domain: &'a [u8],
    /// The peer's IP address, as text; empty if it has none.
    pub address: &'a [u8],
    /// The routing id. The RFC wants the peer's, libzmq tells that of the asking socket.
    pub routing_id: &'a [u8],
    /// The mechanism and what the peer showed.
    pub credentials: Credentials,
}

/// A request that a handler cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// There are fewer than the six frames that every request has.
    TooShort,
    /// The version is not "1.0".
    BadVersion,
    /// The mechanism is not NULL, PLAIN or CURVE.
    UnknownMechanism,
    /// The mechanism does not have so many credentials, or not of this length.
    BadCredentials,
}

impl<'a> Request<'a> {
    /// The frames, with the delimiter in front.
    pub fn encode(&self) -> Vec<Bytes> {
        let mut frames = vec![
            Bytes::new(),
            Bytes::from_static(VERSION),
            Bytes::copy_from_slice(self.request_id),
            Bytes::copy_from_slice(self.domain),
            Bytes::copy_from_slice(self.address),
            Bytes::copy_from_slice(self.routing_id),
            Bytes::from_static(self.credentials.mechanism().as_bytes()),
        ];
        match &self.credentials {
            Credentials::Null => {}
            Credentials::Plain { username, password } => frames.extend([
                Bytes::copy_from_slice(username),
                Bytes::copy_from_slice(password.expose()),
            ]),
            Credentials::Curve { public_key } => {
                frames.push(Bytes::copy_from_slice(&public_key.0));
            }
        }
        frames
    }

    /// Reads a request without its delimiter.
    ///
    /// # Errors
    /// The frames are not a request of version 1.0 with a mechanism that ZAP knows.
    pub fn parse<F: AsRef<[u8]>>(frames: &'a [F]) -> Result<Self, RequestError> {
        let [
            version,
            request_id,
            domain,
            address,
            routing_id,
            mechanism,
            credentials @ ..,
        ] = frames
        else {
            return Err(RequestError::TooShort);
        };
        if version.as_ref() != VERSION {
            return Err(RequestError::BadVersion);
        }
        let credentials = match (mechanism.as_ref(), credentials) {
            (b"NULL", []) => Credentials::Null,
            (b"PLAIN", [username, password]) => Credentials::Plain {
                username: username.as_ref().to_vec(),
                password: Secret::from(password.as_ref()),
            },
            (b"CURVE", [key]) => Credentials::Curve {
                public_key: PublicKey(
                    key.as_ref()
                        .try_into()
                        .map_err(|_| RequestError::BadCredentials)?,
                ),
            },
            (b"NULL" | b"PLAIN" | b"CURVE", _) => return Err(RequestError::BadCredentials),
            _ => return Err(RequestError::UnknownMechanism),
        };
        Ok(Self {
            request_id: request_id.as_ref(),
            domain: domain.as_ref(),
            address: address.as_ref(),
            routing_id: routing_id.as_ref(),
            credentials,
        })
    }
}

/// What the handler found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 200: the peer is let in.
    Success,
    /// 300: not now, but perhaps later.
    TemporaryError,
    /// 400: the peer is not let in.
    AuthenticationFailure,
    /// 500: the handler failed.
    InternalError,
}

impl Status {
    /// The status code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Success => 200,
            Self::TemporaryError => 300,
            Self::AuthenticationFailure => 400,
            Self::InternalError => 500,
        }
    }

    /// Reads a status code: three digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"200" => Self::Success,
            b"300" => Self::TemporaryError,
            b"400" => Self::AuthenticationFailure,
            b"500" => Self::InternalError,
            _ => return None,
        })
    }

    /// What it means for the handshake.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Success => Verdict::Allow,
            other => Verdict::Deny {
                status: other.code(),
            },
        }
    }
}

/// The handler's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it found.
    pub status: Status,
    /// Why, for a log.
    pub text: Bytes,
    /// Who the peer is, for the application; empty unless it is let in.
    pub user_id: Bytes,
    /// More about the peer, for the application.
    pub metadata: Metadata,
}

/// A reply that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// There are not seven frames.
    FrameCount(usize),
    /// The delimiter is not empty.
    BadDelimiter,
    /// The version is not "1.0".
    BadVersion,
    /// The request id is not that of the request.
    BadRequestId,
    /// The status code is not 200, 300, 400 or 500.
    BadStatusCode,
    /// The metadata are malformed.
    BadMetadata(MetadataError),
}

impl Reply {
    /// Reads the reply, with its delimiter, to the request with this id.
    ///
    /// # Errors
    /// The frames are not a reply to that request; the first error in their order counts.
    pub fn parse<F: AsRef<[u8]>>(frames: &[F], request_id: &[u8]) -> Result<Self, ReplyError> {
        let [delimiter, version, id, status, text, user_id, metadata] = frames else {
            return Err(ReplyError::FrameCount(frames.len()));
        };
        if !delimiter.as_ref().is_empty() {
            return Err(ReplyError::BadDelimiter);
        }
        if version.as_ref() != VERSION {
            return Err(ReplyError::BadVersion);
        }
        if id.as_ref() != request_id {
            return Err(ReplyError::BadRequestId);
        }
        Ok(Self {
            status: Status::parse(status.as_ref()).ok_or(ReplyError::BadStatusCode)?,
            text: Bytes::copy_from_slice(text.as_ref()),
            user_id: Bytes::copy_from_slice(user_id.as_ref()),
            metadata: Metadata::parse(metadata.as_ref()).map_err(ReplyError::BadMetadata)?,
        })
    }

    /// The frames of the reply to the request with this id, without a delimiter.
    pub fn encode(&self, request_id: &[u8]) -> Vec<Bytes> {
        let mut metadata = Vec::with_capacity(self.metadata.encoded_len());
        self.metadata.encode(&mut metadata);
        vec![
            Bytes::from_static(VERSION),
            Bytes::copy_from_slice(request_id),
            self.status.code().to_string().into(),
            self.text.clone(),
            self.user_id.clone(),
            metadata.into(),
        ]
    }
}

impl ReplyError {
    /// What libzmq's monitor calls it.
    pub const fn protocol_error(self) -> ProtocolError {
        match self {
            Self::FrameCount(_) => ProtocolError::ZapMalformedReply,
            Self::BadDelimiter => ProtocolError::ZapUnspecified,
            Self::BadVersion => ProtocolError::ZapBadVersion,
            Self::BadRequestId => ProtocolError::ZapBadRequestId,
            Self::BadStatusCode => ProtocolError::ZapInvalidStatusCode,
            Self::BadMetadata(_) => ProtocolError::ZapInvalidMetadata,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "a ZAP request has six frames at least",
            Self::BadVersion => "the ZAP request is not of version 1.0",
            Self::UnknownMechanism => "the ZAP request names an unknown mechanism",
            Self::BadCredentials => "the ZAP request's credentials are not those of its mechanism",
        })
    }
}

impl std::error::Error for RequestError {}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameCount(count) => {
                write!(f, "the ZAP reply has {count} frames instead of seven")
            }
            Self::BadDelimiter => f.write_str("the ZAP reply has no empty delimiter in front"),
            Self::BadVersion => f.write_str("the ZAP reply is not of version 1.0"),
            Self::BadRequestId => f.write_str("the ZAP reply answers another request"),
            Self::BadStatusCode => {
                f.write_str("the ZAP reply's status code is not 200, 300, 400 or 500")
            }
            Self::BadMetadata(error) => write!(f, "in the ZAP reply {error}"),
        }
    }
}

impl std::error::Error for ReplyError {}
