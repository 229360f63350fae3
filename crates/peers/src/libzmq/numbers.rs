//! The numbers of the C interface: socket types, options, flags, events and errors.
//!
//! They are facts of the ABI (`zmq.h`), named without its `ZMQ_` prefix. Only the stable ones are
//! here, since that is what Debian's library is built with; any other option can be given to
//! [`Socket`](super::Socket) as a plain number. The error numbers are Linux's.

/// Declares constants whose doc is their name in the C header.
macro_rules! numbers {
    ($type:ty: $($name:ident = $value:expr),* $(,)?) => {
        $(
            #[doc = concat!("`ZMQ_", stringify!($name), "` of `zmq.h`.")]
            pub const $name: $type = $value;
        )*
    };
}

// Socket types.
numbers! { i32:
    PAIR = 0, PUB = 1, SUB = 2, REQ = 3, REP = 4, DEALER = 5, ROUTER = 6, PULL = 7, PUSH = 8,
    XPUB = 9, XSUB = 10, STREAM = 11,
}

// Flags of send and recv.
numbers! { i32: DONTWAIT = 1, SNDMORE = 2 }

// Bits of the option EVENTS.
numbers! { i32: POLLIN = 1, POLLOUT = 2 }

// Socket options.
numbers! { i32:
    AFFINITY = 4,
    ROUTING_ID = 5,
    SUBSCRIBE = 6,
    UNSUBSCRIBE = 7,
    SNDBUF = 11,
    RCVBUF = 12,
    RCVMORE = 13,
    FD = 14,
    EVENTS = 15,
    TYPE = 16,
    LINGER = 17,
    RECONNECT_IVL = 18,
    BACKLOG = 19,
    RECONNECT_IVL_MAX = 21,
    MAXMSGSIZE = 22,
    SNDHWM = 23,
    RCVHWM = 24,
    RCVTIMEO = 27,
    SNDTIMEO = 28,
    LAST_ENDPOINT = 32,
    ROUTER_MANDATORY = 33,
    TCP_KEEPALIVE = 34,
    TCP_KEEPALIVE_CNT = 35,
    TCP_KEEPALIVE_IDLE = 36,
    TCP_KEEPALIVE_INTVL = 37,
    IMMEDIATE = 39,
    XPUB_VERBOSE = 40,
    ROUTER_RAW = 41,
    IPV6 = 42,
    MECHANISM = 43,
    PLAIN_SERVER = 44,
    PLAIN_USERNAME = 45,
    PLAIN_PASSWORD = 46,
    CURVE_SERVER = 47,
    CURVE_PUBLICKEY = 48,
    CURVE_SECRETKEY = 49,
    CURVE_SERVERKEY = 50,
    PROBE_ROUTER = 51,
    REQ_CORRELATE = 52,
    REQ_RELAXED = 53,
    CONFLATE = 54,
    ZAP_DOMAIN = 55,
    ROUTER_HANDOVER = 56,
    TOS = 57,
    CONNECT_ROUTING_ID = 61,
    HANDSHAKE_IVL = 66,
    SOCKS_PROXY = 68,
    XPUB_NODROP = 69,
    XPUB_MANUAL = 71,
    XPUB_WELCOME_MSG = 72,
    STREAM_NOTIFY = 73,
    INVERT_MATCHING = 74,
    HEARTBEAT_IVL = 75,
    HEARTBEAT_TTL = 76,
    HEARTBEAT_TIMEOUT = 77,
    XPUB_VERBOSER = 78,
    CONNECT_TIMEOUT = 79,
    TCP_MAXRT = 80,
}

// Events of a monitor.
numbers! { u16:
    EVENT_CONNECTED = 0x0001,
    EVENT_CONNECT_DELAYED = 0x0002,
    EVENT_CONNECT_RETRIED = 0x0004,
    EVENT_LISTENING = 0x0008,
    EVENT_BIND_FAILED = 0x0010,
    EVENT_ACCEPTED = 0x0020,
    EVENT_ACCEPT_FAILED = 0x0040,
    EVENT_CLOSED = 0x0080,
    EVENT_CLOSE_FAILED = 0x0100,
    EVENT_DISCONNECTED = 0x0200,
    EVENT_MONITOR_STOPPED = 0x0400,
    EVENT_HANDSHAKE_FAILED_NO_DETAIL = 0x0800,
    EVENT_HANDSHAKE_SUCCEEDED = 0x1000,
    EVENT_HANDSHAKE_FAILED_PROTOCOL = 0x2000,
    EVENT_HANDSHAKE_FAILED_AUTH = 0x4000,
    EVENT_ALL = 0xFFFF,
}

/// Interrupted by a signal.
pub const EINTR: i32 = 4;
/// Nothing to receive, no room to send, or the time is up.
pub const EAGAIN: i32 = 11;
/// An option or an argument that does not exist or may not have this value.
pub const EINVAL: i32 = 22;
/// The operation does not belong to this socket type.
pub const ENOTSUP: i32 = 95;
/// Another socket has this address.
pub const EADDRINUSE: i32 = 98;
/// No peer goes by this routing id.
pub const EHOSTUNREACH: i32 = 113;
/// Not now: the socket is in the wrong state, as a REQ that sends twice.
pub const EFSM: i32 = 156_384_763;
/// The context has been terminated.
pub const ETERM: i32 = 156_384_765;
