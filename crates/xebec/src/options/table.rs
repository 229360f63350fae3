//! One row for each option: the only place where its number, name, type, default, valid values, unit,
//! time of effect, socket types and meaning are written down.
//!
//! A row of the first part makes a field and a builder method, and its entry in the table:
//!
//! ```text
//! /// What it means.
//! "NAME IN C" number => field(argument of the builder): type = default, { rules };
//! ```
//!
//! The rules are the fields of [`Rules`] that differ from the usual. `then` changes other fields
//! after the option was set. The second part are other views of a field, the third the numbers that
//! have no value here, with the reason. Ranges are those of libzmq's `options.cpp`, except that what
//! could not be honoured is refused: a TOS of more than a byte, negative busy polling, unknown flags,
//! batches of more than 16 MiB, descriptors by number, proxies without a port, and routing ids that
//! begin with a zero byte, which RFC 37 reserves.
//!
//! What the C interface does otherwise is in the rows too: what `zmq_getsockopt` tells ([`Told`]),
//! and on which socket types libzmq takes an option that does nothing there (`kept`).

use std::time::Duration;

use bytes::Bytes;
use zmtp::SocketType::{self, *};
use zmtp::{PublicKey, Secret, SecretKey};

use super::descriptor::ListeningFd;
use super::filter::{AddressFilter, Property, ProxyAddress, ReconnectStop, RouterNotify};
use super::security::Security;
use super::value::{Fault, Field, Form, Value};
use crate::buffer::{BATCH, WRITE_BATCH};

/// One option: everything there is to know about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct OptionSpec<O: 'static = Options> {
    /// The name of its constant in C, such as `"ZMQ_RCVHWM"`.
    pub c_name: &'static str,
    /// Its number in the C interface.
    pub number: i32,
    /// The type of its field, such as `"usize"`; empty if it has none.
    pub rust_type: &'static str,
    /// How the C interface passes it.
    pub form: Form,
    /// Which values are valid, and where.
    pub rules: Rules,
    /// What it means.
    pub doc: &'static str,
    /// Whether the options hold a value for it.
    pub(super) has_field: bool,
    pub(super) read: fn(&O) -> Value,
    pub(super) write: fn(&mut O, &Value, &Rules) -> Result<(), Fault>,
    /// Takes the value of the second over into the first.
    pub(super) copy: fn(&mut O, &O),
    /// Whether the options are those of a program in C.
    pub(super) is_c: fn(&O) -> bool,
}

/// Which values of an option are valid, and where.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Rules {
    /// What can be done with it.
    pub role: Role,
    /// The valid numbers, or lengths.
    pub valid: Valid,
    /// What its numbers count.
    pub unit: Unit,
    /// The word and the number for no limit, no time or no choice of ours.
    pub none: Option<(&'static str, i64)>,
    /// An example, where a range would not say enough.
    pub example: &'static str,
    /// When a change takes effect.
    pub effect: Effect,
    /// The socket types that have it; empty if all do.
    pub sockets: &'static [SocketType],
    /// Other types on which the C interface takes it, though it does nothing there: programs in C
    /// count on that.
    pub kept: &'static [SocketType],
    /// What the C interface tells of it.
    pub told: Told,
    /// Whether a number stands for its digits, in an option that is text.
    pub digits: bool,
    /// Whether the value is not for everybody's eyes.
    pub secret: bool,
}

/// What can be done with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It has a value that can be set and told.
    Value,
    /// It tells something about the socket.
    ReadOnly,
    /// It tells this number, always.
    Constant(i64),
    /// It makes the socket do something.
    Action,
    /// It is refused, for this reason.
    Refused(&'static str),
}

/// What the C interface tells of an option (`zmq_getsockopt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// Its value, into a buffer of exactly that size.
    Exactly,
    /// Its value, into a buffer of that size or more, of which the rest is filled with zeros.
    Padded,
    /// Nothing: it can be set and not be asked for (EINVAL).
    Never,
}

/// The valid numbers of an option, or the valid lengths of its text or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Valid {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
    /// Whether bytes may begin with a zero.
    pub zero_first: bool,
}

/// What the numbers of an option count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Nothing in particular.
    None,
    /// Messages in one queue.
    Messages,
    /// Bytes.
    Bytes,
    /// Connections.
    Connections,
    /// Millionths of a second.
    Micros,
    /// Thousandths of a second.
    Millis,
    /// Seconds.
    Seconds,
}

/// When a change of an option takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// At once.
    Now,
    /// For what is bound or connected afterwards.
    Next,
    /// Until the socket is first bound or connected over tcp, ipc or tipc, or the context's first socket is
    /// made: then it is fixed.
    Early,
}

impl Rules {
    /// What a row says when it says nothing: any int from 0, from the next bind or connect on.
    const USUAL: Rules = Rules {
        role: Role::Value,
        valid: from(0),
        unit: Unit::None,
        none: None,
        example: "",
        effect: Effect::Next,
        sockets: &[],
        kept: &[],
        told: Told::Exactly,
        digits: false,
        secret: false,
    };

    /// The rules of a row whose field has this form. Texts fit into larger buffers, and the members
    /// of a list are told by none.
    const fn of(form: Form, rules: Rules) -> Rules {
        let told = match (form, rules.told) {
            (Form::Ids | Form::Texts, _) => Told::Never,
            (Form::Bytes | Form::Text, Told::Exactly) => Told::Padded,
            (_, told) => told,
        };
        Rules { told, ..rules }
    }

    /// The rules for programs in C, which may begin their routing ids with a zero byte: those that
    /// use random ones do, one in 256.
    pub(super) const fn in_c(mut self) -> Rules {
        self.valid.zero_first = true;
        self
    }

    /// The number, if it is valid.
    pub(super) fn within(&self, code: i64) -> Result<i64, Fault> {
        match (self.valid.min..=self.valid.max).contains(&code) {
            true => Ok(code),
            false => Err(Fault::Invalid),
        }
    }

    /// Fails unless the length and the first byte are valid.
    pub(super) fn within_length(&self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.first() == Some(&0) && !self.valid.zero_first {
            return Err(Fault::Invalid);
        }
        self.within(bytes.len() as i64).map(drop)
    }

    /// The number for none, if the text is the word for it.
    pub(super) fn none_of(&self, text: &str) -> Option<i64> {
        let (_, code) = self
            .none
            .filter(|(word, _)| text.eq_ignore_ascii_case(word))?;
        Some(code)
    }
}

impl Unit {
    /// Its name, such as `"ms"`; empty for [`Unit::None`].
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Messages => "messages",
            Unit::Bytes => "bytes",
            Unit::Connections => "connections",
            Unit::Micros => "µs",
            Unit::Millis => "ms",
            Unit::Seconds => "s",
        }
    }

    fn micros(self) -> u64 {
        match self {
            Unit::Micros => 1,
            Unit::Seconds => 1_000_000,
            _ => 1000,
        }
    }

    /// The time that a number stands for.
    pub(super) fn time(self, count: i64) -> Option<Duration> {
        let micros = u64::try_from(count).ok()?.checked_mul(self.micros())?;
        Some(Duration::from_micros(micros))
    }

    /// The number that stands for a time, rounded up: a short time is not none.
    pub(super) fn count(self, time: Duration) -> i64 {
        let units = time.as_nanos().div_ceil(u128::from(self.micros()) * 1000);
        units.try_into().unwrap_or(i64::MAX)
    }
}

const INT: i64 = i32::MAX as i64;
const BOOL: Valid = range(0, 1);
/// 1 to 255 bytes; a zero byte first is for routing ids that a ROUTER makes.
const ROUTING_ID: Valid = Valid {
    min: 1,
    max: 255,
    zero_first: false,
};
/// A key that is known to everybody (libzmq's manual has it).
const A_KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
const ANY: Valid = range(i64::MIN, i64::MAX);
/// A switch for which any number but 0 is on.
const ANY_INT: Valid = range(i32::MIN as i64, INT);
/// A batch is allocated as a whole; the kernel's own buffers are smaller than the largest.
const BATCH_SIZE: Valid = range(1, 16 << 20);

const fn range(min: i64, max: i64) -> Valid {
    Valid {
        min,
        max,
        zero_first: true,
    }
}

const fn from(min: i64) -> Valid {
    range(min, INT)
}

macro_rules! option_table {
    (
        $(#[$table_doc:meta])* $TABLE:ident,
        $(#[$name_doc:meta])* $Name:ident;
        state {$(
            $(#[doc = $state_doc:literal])+
            $state:ident: $State:ty;
        )*}
        fields {$(
            $(#[doc = $doc:literal])+
            $c_name:literal $number:literal => $field:ident($($arg:tt)+): $Type:ty = $default:expr,
            { $($rule:tt)* } $(then $then:expr)?;
        )*}
        views {$(
            $(#[doc = $view_doc:literal])+
            $view_name:literal $view_number:literal: $View:ty,
            { $($view_rule:tt)* } read $read:expr, write $write:expr;
        )*}
        others {$(
            $other_name:literal $other_number:literal $role:expr, $other_doc:literal
                $(, $form:ident $told:ident)?;
        )*}
    ) => {
        $(#[$name_doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $Name {
            $(
                $(#[doc = $doc])+
                pub $field: $Type,
            )*
            $(
                $(#[doc = $state_doc])+
                pub(super) $state: $State,
            )*
            /// Whether they are those of a program in C.
            pub(super) is_c: bool,
        }

        impl Default for $Name {
            fn default() -> Self {
                $Name { $($field: $default,)* $($state: Default::default(),)* is_c: false }
            }
        }

        impl $Name {
            /// Every option at its default.
            pub fn new() -> Self {
                Self::default()
            }

            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $field(mut self, value: $($arg)+) -> Self {
                    self.$field = value.into();
                    $(
                        let then: fn(&mut Self) = $then;
                        then(&mut self);
                    )?
                    self
                }
            )*
        }

        $(#[$table_doc])*
        pub static $TABLE: &[OptionSpec<$Name>] = &[
            $(OptionSpec {
                c_name: $c_name,
                number: $number,
                rust_type: stringify!($Type),
                form: form(<$Type as Field>::FORM, &Rules { $($rule)* ..Rules::USUAL }),
                rules: Rules::of(<$Type as Field>::FORM, Rules { $($rule)* ..Rules::USUAL }),
                doc: concat!($($doc),+).trim_ascii_start(),
                has_field: true,
                read: |options| Field::value(&options.$field),
                write: |options, value, rules| {
                    Field::accept(&mut options.$field, value, rules)?;
                    $(
                        let then: fn(&mut $Name) = $then;
                        then(options);
                    )?
                    Ok(())
                },
                copy: |to, from| to.$field = from.$field.clone(),
                is_c: |options| options.is_c,
            },)*
            $(OptionSpec {
                c_name: $view_name,
                number: $view_number,
                rust_type: stringify!($View),
                form: <$View as Field>::FORM,
                rules: Rules::of(<$View as Field>::FORM, Rules { $($view_rule)* ..Rules::USUAL }),
                doc: concat!($($view_doc),+).trim_ascii_start(),
                has_field: true,
                read: |options| {
                    let read: fn(&$Name) -> $View = $read;
                    Field::value(&read(options))
                },
                write: |options, value, rules| {
                    let mut view = <$View>::default();
                    Field::accept(&mut view, value, rules)?;
                    let write: fn(&mut $Name, $View) -> _ = $write;
                    write(options, view).outcome()
                },
                // The field that it shows has a row of its own.
                copy: |_, _| {},
                is_c: |options| options.is_c,
            },)*
            $(OptionSpec {
                c_name: $other_name,
                number: $other_number,
                rust_type: "",
                form: *[Form::Int32 $(, Form::$form)?].last().expect("one is there"),
                rules: Rules {
                    role: $role,
                    told: *[Told::Never $(, Told::$told)?].last().expect("one is there"),
                    ..Rules::USUAL
                },
                doc: $other_doc,
                has_field: false,
                read: |_| match $role {
                    Role::Constant(number) => Value::Int(number),
                    _ => Value::Bool(false),
                },
                write: |_, _, _| Err(Fault::WrongType),
                copy: |_, _| {},
                is_c: |options| options.is_c,
            },)*
        ];
    };
}

/// Numbers that do not fit into an `int` are passed as `int64_t`.
const fn form(of_type: Form, rules: &Rules) -> Form {
    match of_type {
        Form::Int32 if rules.valid.max > INT => Form::Int64,
        Form::Text if rules.digits => Form::Label,
        of_type => of_type,
    }
}

/// What setting a view comes to: most cannot fail.
trait Outcome {
    fn outcome(self) -> Result<(), Fault>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Outcome for Result<(), Fault> {
    fn outcome(self) -> Result<(), Fault> {
        self
    }
}

use Effect::{Early, Now};
use Role::{Action, Constant, ReadOnly, Refused};
use Unit::{Bytes as InBytes, Connections, Messages, Micros, Millis, Seconds};

const GSSAPI: Role = Refused("there is no GSSAPI mechanism");
const NORM: Role = Refused("there is no NORM transport");
const VMCI: Role = Refused("there is no VMCI transport");
const WEBSOCKET: Role = Refused("it comes with the WebSocket transport");

option_table! {
    /// Every option of sockets.
    OPTIONS,
    /// The options of a socket. Every field can be read; set them with the builder methods of the same
    /// names, from the dynamic form with [`Options::set`] or from text with [`Options::set_text`].
    ///
    /// ```
    /// # use xebec::Options;
    /// # use std::time::Duration;
    /// let options = Options::new().rcvhwm(10).linger(Duration::ZERO).routing_id("PEER2");
    /// assert_eq!(options.rcvhwm, 10);
    /// ```
    Options;
    state {
        /// The mechanism that the options of security come to.
        security: Security;
    }
    fields {
        /// How many messages may wait in the outbound queue of each peer.
        "ZMQ_SNDHWM" 23 => sndhwm(usize): usize = 1000,
            { unit: Messages, none: Some(("unlimited", 0)), effect: Now, };
        /// How many messages may wait in the inbound queue of each peer.
        "ZMQ_RCVHWM" 24 => rcvhwm(usize): usize = 1000,
            { unit: Messages, none: Some(("unlimited", 0)), effect: Now, };
        /// How long a send may wait; infinite by default, and zero never waits.
        "ZMQ_SNDTIMEO" 28 => sndtimeo(impl Into<Option<Duration>>): Option<Duration> = None,
            { valid: from(-1), unit: Millis, none: Some(("infinite", -1)), effect: Now, };
        /// How long a receive may wait; infinite by default, and zero never waits.
        "ZMQ_RCVTIMEO" 27 => rcvtimeo(impl Into<Option<Duration>>): Option<Duration> = None,
            { valid: from(-1), unit: Millis, none: Some(("infinite", -1)), effect: Now, };
        /// How long messages that are not yet sent outlive their socket: they are dropped at once
        /// when this is zero, and the context waits for them without end when it is infinite.
        "ZMQ_LINGER" 17 => linger(impl Into<Option<Duration>>): Option<Duration> = None,
            { valid: from(-1), unit: Millis, none: Some(("infinite", -1)), effect: Now, };
        /// The largest message that is accepted; a peer that sends a larger one is disconnected.
        "ZMQ_MAXMSGSIZE" 22 => maxmsgsize(impl Into<Option<usize>>): Option<usize> = None,
            { valid: range(-1, i64::MAX), unit: InBytes, none: Some(("unlimited", -1)), };
        /// Keep only the newest message of each queue, whatever the high-water marks; only for
        /// messages of one frame.
        "ZMQ_CONFLATE" 54 => conflate(bool): bool = false,
            {
                valid: BOOL, sockets: &[Pub, Sub, Dealer, Pull, Push],
                kept: &[
                    Pair, Req, Rep, Router, Xpub, Xsub, Stream, Server, Client, Radio, Dish, Gather,
                    Scatter, Peer, Channel,
                ],
            };
        /// Queue messages only for peers that are connected, not for those still being connected
        /// to.
        "ZMQ_IMMEDIATE" 39 => immediate(bool): bool = false,
            { valid: BOOL, };
        /// The id under which a ROUTER knows this socket.
        "ZMQ_ROUTING_ID" 5 => routing_id(impl Into<Bytes>): Bytes = Bytes::new(),
            { valid: ROUTING_ID, unit: InBytes, };
        /// The id under which this socket knows the peer of its next connect, which then can be sent
        /// to at once. It is used up by that connect.
        "ZMQ_CONNECT_ROUTING_ID" 61 => connect_routing_id(impl Into<Bytes>): Bytes = Bytes::new(),
            {
                valid: ROUTING_ID, unit: InBytes, told: Told::Never, sockets: &[Router, Stream],
                kept: &[Rep],
            };

        /// Allow a request before the reply to the one before; that reply is then dropped.
        "ZMQ_REQ_RELAXED" 53 => req_relaxed(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Req], };
        /// Number the requests, in a frame of their own, and drop replies with another number.
        "ZMQ_REQ_CORRELATE" 52 => req_correlate(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Req], };
        /// Fail when a message has no such receiver or when its queue is full, instead of dropping
        /// the message.
        "ZMQ_ROUTER_MANDATORY" 33 => router_mandatory(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Router], kept: &[Rep], };
        /// Let a new peer take the routing id of an older one, which is disconnected, instead of
        /// refusing the new one.
        "ZMQ_ROUTER_HANDOVER" 56 => router_handover(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Router], kept: &[Rep], };
        /// Exchange raw bytes with peers that do not speak the protocol, as STREAM does but without
        /// its notices; an empty message to a peer closes its connection.
        "ZMQ_ROUTER_RAW" 41 => router_raw(bool): bool = false,
            { told: Told::Never, sockets: &[Router], kept: &[Rep], };
        /// Deliver an empty message from each peer that connects, from each that goes, or both; not
        /// over inproc.
        "ZMQ_ROUTER_NOTIFY" 97 => router_notify(RouterNotify): RouterNotify = RouterNotify::NONE,
            {
                valid: range(0, 3), example: "connect,disconnect", effect: Now,
                sockets: &[Router],
            };
        /// Send an empty message to each new peer, so that a ROUTER learns of this socket.
        "ZMQ_PROBE_ROUTER" 51 => probe_router(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Router, Dealer, Req], kept: &[Rep], };
        /// Deliver an empty message from each peer that connects or goes.
        "ZMQ_STREAM_NOTIFY" 73 => stream_notify(bool): bool = true,
            { valid: BOOL, told: Told::Never, effect: Now, sockets: &[Stream], };

        /// Send what does not match the subscriptions, and receive what does not. PUB and SUB must
        /// agree.
        "ZMQ_INVERT_MATCHING" 74 => invert_matching(bool): bool = false,
            {
                valid: ANY_INT, effect: Now, sockets: &[Pub, Xpub, Sub],
                kept: &[
                    Pair, Req, Rep, Dealer, Router, Pull, Push, Xsub, Stream, Server, Client, Radio, Dish,
                    Gather, Scatter, Peer, Channel,
                ],
            };
        /// Deliver every subscription, also to a topic that was subscribed to before.
        "ZMQ_XPUB_VERBOSE" 40 => xpub_verbose(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub], kept: &[Pub], } then |o| o.xpub_verboser = false;
        /// Deliver every subscription and every cancellation.
        "ZMQ_XPUB_VERBOSER" 78 => xpub_verboser(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub], kept: &[Pub], } then |o| o.xpub_verbose = o.xpub_verboser;
        /// Deliver subscriptions without following them: the application subscribes the peer.
        "ZMQ_XPUB_MANUAL" 71 => xpub_manual(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub], kept: &[Pub], };
        /// As with XPUB_MANUAL; moreover the first message after a subscription goes to that
        /// subscriber alone.
        "ZMQ_XPUB_MANUAL_LAST_VALUE" 98 => xpub_manual_last_value(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub], kept: &[Pub], }
            then |o| o.xpub_manual = o.xpub_manual_last_value;
        /// Wait or fail when a subscriber's, or DISH's, queue is full, instead of dropping the message for it.
        "ZMQ_XPUB_NODROP" 69 => xpub_nodrop(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub, Pub, Radio], };
        /// A message that each new subscriber gets first, if it has subscribed to it; none if empty.
        "ZMQ_XPUB_WELCOME_MSG" 72 => xpub_welcome_msg(impl Into<Bytes>): Bytes = Bytes::new(),
            { unit: InBytes, told: Told::Never, effect: Now, sockets: &[Xpub, Pub], };
        /// Take only the first frame of a message as a subscription or cancellation, and the others
        /// as data.
        "ZMQ_ONLY_FIRST_SUBSCRIBE" 108 => only_first_subscribe(bool): bool = false,
            { told: Told::Never, effect: Now, sockets: &[Xpub, Xsub], kept: &[Pub], };
        /// Send every cancellation to the publishers, not only the last of a topic.
        "ZMQ_XSUB_VERBOSE_UNSUBSCRIBE" 115 => xsub_verbose_unsubscribe(bool): bool = false,
            { valid: ANY_INT, told: Told::Never, effect: Now, sockets: &[Xsub], };

        /// How long to wait before connecting again; off never does.
        "ZMQ_RECONNECT_IVL" 18 => reconnect_ivl(impl Into<Option<Duration>>):
            Option<Duration> = Some(Duration::from_millis(100)),
            { valid: from(-1), unit: Millis, none: Some(("off", -1)), };
        /// Double the wait at each attempt up to this; off keeps it constant.
        "ZMQ_RECONNECT_IVL_MAX" 21 => reconnect_ivl_max(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { unit: Millis, none: Some(("off", 0)), };
        /// When to stop connecting again: any of `conn_refused`, `handshake_failed` and
        /// `after_disconnect`, with commas between.
        "ZMQ_RECONNECT_STOP" 109 => reconnect_stop(ReconnectStop):
            ReconnectStop = ReconnectStop::NONE,
            { valid: range(0, 7), example: "conn_refused,handshake_failed", };
        /// How long a connection may take to be made; off leaves it to the system.
        "ZMQ_CONNECT_TIMEOUT" 79 => connect_timeout(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { unit: Millis, none: Some(("off", 0)), };
        /// How long the handshake may take before the connection is closed.
        "ZMQ_HANDSHAKE_IVL" 66 => handshake_ivl(impl Into<Option<Duration>>):
            Option<Duration> = Some(Duration::from_secs(30)),
            { unit: Millis, none: Some(("off", 0)), };
        /// How often to send a PING.
        "ZMQ_HEARTBEAT_IVL" 75 => heartbeat_ivl(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { unit: Millis, none: Some(("off", 0)), };
        /// How long after a PING to wait for anything from the peer before the connection is closed;
        /// zero waits without end, auto as long as HEARTBEAT_IVL.
        "ZMQ_HEARTBEAT_TIMEOUT" 77 => heartbeat_timeout(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { unit: Millis, none: Some(("auto", -1)), };
        /// How long the peer is asked to wait for anything from us before it closes the connection;
        /// counted in tenths of a second, rounded down.
        "ZMQ_HEARTBEAT_TTL" 76 => heartbeat_ttl(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { valid: range(0, 6_553_599), unit: Millis, none: Some(("off", 0)), }
            then |o| o.heartbeat_ttl = o.heartbeat_ttl.and_then(whole_tenths);
        /// Properties to tell each peer while connecting; their names begin with `X-`.
        "ZMQ_METADATA" 95 => metadata(impl Into<Vec<Property>>): Vec<Property> = Vec::new(),
            { example: "X-Region:eu", };
        /// A message that goes first on each new connection, before what was queued for the peer;
        /// none if empty.
        "ZMQ_HELLO_MSG" 110 => hello_msg(impl Into<Bytes>): Bytes = Bytes::new(),
            { unit: InBytes, told: Told::Never, effect: Now, sockets: &[Router, Dealer, Client, Server, Peer], };
        /// A message to deliver from each peer that had connected to this socket and has gone; none
        /// if empty.
        "ZMQ_DISCONNECT_MSG" 111 => disconnect_msg(impl Into<Bytes>): Bytes = Bytes::new(),
            { unit: InBytes, told: Told::Never, effect: Now, sockets: &[Router, Server, Peer], };
        /// A message to deliver whenever a connection that this socket had made is lost; none if
        /// empty. Not over inproc.
        "ZMQ_HICCUP_MSG" 114 => hiccup_msg(impl Into<Bytes>): Bytes = Bytes::new(),
            { unit: InBytes, told: Told::Never, effect: Now, sockets: &[Dealer, Client, Peer], };

        /// Use IPv6 as well as IPv4.
        "ZMQ_IPV6" 42 => ipv6(bool): bool = false,
            { valid: BOOL, };
        /// The SOCKS 5 proxy through which tcp connections are made, at port 1080 unless told; none if
        /// empty. It looks host names up itself. CONNECT_TIMEOUT, or else HANDSHAKE_IVL, is its time to answer.
        "ZMQ_SOCKS_PROXY" 68 => socks_proxy(impl Into<ProxyAddress>): ProxyAddress = ProxyAddress::NONE,
            { example: "proxy.example:1080", };
        /// The user name for the proxy, which then must ask for one; none if empty.
        "ZMQ_SOCKS_USERNAME" 99 => socks_username(impl Into<String>): String = String::new(),
            { valid: range(0, 255), unit: InBytes, };
        /// The password that goes with SOCKS_USERNAME. The proxy gets it as it is.
        "ZMQ_SOCKS_PASSWORD" 100 => socks_password(impl Into<String>): String = String::new(),
            { valid: range(0, 255), unit: InBytes, };
        /// How many connections may wait to be accepted.
        "ZMQ_BACKLOG" 19 => backlog(u32): u32 = 100,
            { unit: Connections, };
        /// The network interface to bind and connect through; any if empty.
        "ZMQ_BINDTODEVICE" 92 => bindtodevice(impl Into<String>): String = String::new(),
            { valid: range(0, 15), unit: InBytes, };
        /// The size of the kernel's send buffer (SO_SNDBUF).
        "ZMQ_SNDBUF" 11 => sndbuf(impl Into<Option<usize>>): Option<usize> = None,
            { valid: from(-1), unit: InBytes, none: Some(("system", -1)), };
        /// The size of the kernel's receive buffer (SO_RCVBUF).
        "ZMQ_RCVBUF" 12 => rcvbuf(impl Into<Option<usize>>): Option<usize> = None,
            { valid: from(-1), unit: InBytes, none: Some(("system", -1)), };
        /// The type of service, or traffic class, of IP packets (IP_TOS).
        "ZMQ_TOS" 57 => tos(u8): u8 = 0,
            { valid: range(0, 255), };
        /// The priority of outgoing packets (SO_PRIORITY); more than 6 needs a privilege.
        "ZMQ_PRIORITY" 112 => priority(u32): u32 = 0,
            {};
        /// Whether the system probes idle connections (SO_KEEPALIVE).
        "ZMQ_TCP_KEEPALIVE" 34 => tcp_keepalive(impl Into<Option<bool>>): Option<bool> = None,
            { valid: range(-1, 1), none: Some(("system", -1)), };
        /// After how many unanswered probes a connection is dead (TCP_KEEPCNT); 0 leaves it to the
        /// system too.
        "ZMQ_TCP_KEEPALIVE_CNT" 35 => tcp_keepalive_cnt(impl Into<Option<u32>>):
            Option<u32> = None,
            { valid: from(-1), none: Some(("system", -1)), };
        /// After how long without traffic the probes begin (TCP_KEEPIDLE); 0 leaves it to the system
        /// too.
        "ZMQ_TCP_KEEPALIVE_IDLE" 36 => tcp_keepalive_idle(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { valid: from(-1), unit: Seconds, none: Some(("system", -1)), };
        /// How long to wait between probes (TCP_KEEPINTVL); 0 leaves it to the system too.
        "ZMQ_TCP_KEEPALIVE_INTVL" 37 => tcp_keepalive_intvl(impl Into<Option<Duration>>):
            Option<Duration> = None,
            { valid: from(-1), unit: Seconds, none: Some(("system", -1)), };
        /// How long sent data may remain unacknowledged before the connection is dead
        /// (TCP_USER_TIMEOUT).
        "ZMQ_TCP_MAXRT" 80 => tcp_maxrt(impl Into<Option<Duration>>): Option<Duration> = None,
            { unit: Millis, none: Some(("system", 0)), };
        /// How long the kernel may poll the network device for a waiting receive (SO_BUSY_POLL); needs
        /// a privilege.
        "ZMQ_BUSY_POLL" 113 => busy_poll(impl Into<Option<Duration>>): Option<Duration> = None,
            { unit: Micros, none: Some(("off", 0)), };
        /// The most bytes that one read takes in, but for bodies of 8 KiB or more, which are read at
        /// their own size. The default, eight times libzmq's, is the size from which small messages
        /// got no faster; buffers are lent while there is something in them, not held.
        "ZMQ_IN_BATCH_SIZE" 101 => in_batch_size(usize): usize = BATCH,
            { valid: BATCH_SIZE, unit: InBytes, effect: Now, };
        /// How many bytes to collect, at most, before they are written. The default, sixteen times
        /// libzmq's, is two segments over loopback; while more is sent, only whole segments are written.
        "ZMQ_OUT_BATCH_SIZE" 102 => out_batch_size(usize): usize = WRITE_BATCH,
            { valid: BATCH_SIZE, unit: InBytes, effect: Now, };
        /// A socket that is already bound and listens, for the next bind to tcp, ipc or
        /// tipc, which uses it up.
        "ZMQ_USE_FD" 89 => use_fd(impl Into<ListeningFd>): ListeningFd = ListeningFd::NONE,
            { valid: range(-1, -1), none: Some(("none", -1)), };
        /// Accept tcp connections only from these addresses, if there are any.
        "ZMQ_TCP_ACCEPT_FILTER" 38 => tcp_accept_filter(impl Into<Vec<AddressFilter>>):
            Vec<AddressFilter> = Vec::new(),
            { example: "10.0.0.0/8", };
        /// Accept ipc connections only from processes of these users, groups or process ids, if there
        /// are any of the three: this lists users.
        "ZMQ_IPC_FILTER_UID" 59 => ipc_filter_uid(impl Into<Vec<u32>>): Vec<u32> = Vec::new(),
            { valid: range(0, u32::MAX as i64), };
        /// As IPC_FILTER_UID: this lists groups, of which the process may be a member in any way.
        "ZMQ_IPC_FILTER_GID" 60 => ipc_filter_gid(impl Into<Vec<u32>>): Vec<u32> = Vec::new(),
            { valid: range(0, u32::MAX as i64), };
        /// As IPC_FILTER_UID: this lists process ids.
        "ZMQ_IPC_FILTER_PID" 58 => ipc_filter_pid(impl Into<Vec<u32>>): Vec<u32> = Vec::new(),
            { valid: range(0, u32::MAX as i64), };

        /// The rate of multicast data in kilobits per second. Kept and told, as the other options of
        /// multicast are; no transport has it yet.
        "ZMQ_RATE" 8 => rate(u32): u32 = 100,
            { valid: from(1), };
        /// How long a multicast receiver may be away without losing data. Kept; no transport has it
        /// yet.
        "ZMQ_RECOVERY_IVL" 9 => recovery_ivl(Duration): Duration = Duration::from_secs(10),
            { unit: Millis, none: Some(("none", 0)), };
        /// How many networks multicast packets may cross (their time to live). Kept; no transport has
        /// it yet.
        "ZMQ_MULTICAST_HOPS" 25 => multicast_hops(u32): u32 = 1,
            { valid: from(1), };
        /// The largest multicast packet. Kept; no transport has it yet.
        "ZMQ_MULTICAST_MAXTPDU" 84 => multicast_maxtpdu(u32): u32 = 1500,
            { valid: from(1), unit: InBytes, };
        /// Whether multicast packets come back to the machine that sent them. Kept; no transport has
        /// it yet.
        "ZMQ_MULTICAST_LOOP" 96 => multicast_loop(bool): bool = true,
            { valid: ANY_INT, };
        /// A shortcut for tcp inside a machine, on Windows alone. Kept, as libzmq does on other systems.
        "ZMQ_LOOPBACK_FASTPATH" 94 => loopback_fastpath(bool): bool = false,
            { valid: ANY_INT, };

        /// Which of the context's I/O threads may serve the socket: bit 0 for the first thread, and so
        /// on; any if no bit is set.
        "ZMQ_AFFINITY" 4 => affinity(u64): u64 = 0,
            { valid: ANY, none: Some(("any", 0)), effect: Early, };
        /// The domain in which the ZAP handler (RFC 27) of the context judges the socket's peers. A socket
        /// with the NULL mechanism has its peers judged, by their addresses, only if it has one.
        "ZMQ_ZAP_DOMAIN" 55 => zap_domain(impl Into<String>): String = String::new(),
            { valid: range(0, 255), };
        /// Whether peers are turned away if they are to be judged and the context has no ZAP handler; a
        /// CURVE server without ZAP_DOMAIN then judges nobody.
        "ZMQ_ZAP_ENFORCE_DOMAIN" 93 => zap_enforce_domain(bool): bool = false,
            { valid: ANY_INT, };
        /// Be the server of the PLAIN mechanism (RFC 24): clients show a name and a password, which the
        /// ZAP handler judges. The options of the mechanisms exclude each other: the last one set counts.
        "ZMQ_PLAIN_SERVER" 44 => plain_server(bool): bool = false,
            { valid: BOOL, } then |o| o.serve(Security::Plain, o.plain_server);
        /// Be a client of the PLAIN mechanism, with this name; an empty one takes that back. The name and
        /// the password travel in the clear.
        "ZMQ_PLAIN_USERNAME" 45 => plain_username(impl Into<String>): String = String::new(),
            { valid: range(0, 255), unit: InBytes, }
            then |o| o.show_plain(!o.plain_username.is_empty());
        /// The password that belongs to PLAIN_USERNAME; it makes the socket a PLAIN client as well.
        "ZMQ_PLAIN_PASSWORD" 46 => plain_password(impl Into<Secret>): Secret = Secret::default(),
            { valid: range(0, 255), unit: InBytes, secret: true, }
            then |o| o.show_plain(!o.plain_password.expose().is_empty());
        /// Be the server of the CURVE mechanism (RFC 25), which encrypts: it needs CURVE_SECRETKEY. The
        /// ZAP handler, if there is one, judges the clients' keys.
        "ZMQ_CURVE_SERVER" 47 => curve_server(bool): bool = false,
            { valid: BOOL, } then |o| o.serve(Security::Curve, o.curve_server);
        /// The public key of a CURVE client: 32 bytes, or 40 characters of Z85 (RFC 32).
        "ZMQ_CURVE_PUBLICKEY" 48 => curve_publickey(PublicKey): PublicKey = PublicKey::default(),
            { example: A_KEY, } then |o| o.show_key();
        /// The secret key of a CURVE client or server: 32 bytes, or 40 characters of Z85. `xebec keygen`
        /// makes a pair.
        "ZMQ_CURVE_SECRETKEY" 49 => curve_secretkey(SecretKey): SecretKey = SecretKey::default(),
            { example: A_KEY, secret: true, } then |o| o.show_key();
        /// Be a CURVE client, of servers with this public key: 32 bytes, or 40 characters of Z85.
        "ZMQ_CURVE_SERVERKEY" 50 => curve_serverkey(PublicKey): PublicKey = PublicKey::default(),
            { example: A_KEY, } then |o| o.expect_server();
        /// For how long a call that must wait tries again before it sleeps, at most. An option of
        /// Xebec, not of libzmq.
        "XEBEC_SPIN" 0x5845_0001 => spin(Duration): Duration = Duration::from_micros(50),
            { unit: Micros, none: Some(("off", 0)), effect: Now, };
        /// How many bytes may wait in the outbound queue of each peer, as SNDHWM counts messages: a queue that
        /// has as many, or more, is full. A single message always fits. Not over inproc, where messages are
        /// handed over and not copied. An option of Xebec, not of libzmq.
        "XEBEC_SNDHWM_BYTES" 0x5845_0002 => sndhwm_bytes(usize): usize = 0,
            { unit: InBytes, none: Some(("unlimited", 0)), effect: Now, };
    }
    views {
        /// The opposite of IPV6, which is preferred.
        "ZMQ_IPV4ONLY" 31: bool,
            { valid: BOOL, } read |o| !o.ipv6, write |o, v4| o.ipv6 = !v4;
    }
    others {
        "ZMQ_RCVMORE" 13 ReadOnly, "whether more frames of the message follow", Int32 Padded;
        "ZMQ_FD" 14 ReadOnly, "a descriptor that polls readable when the socket's state may have changed", Int32 Padded;
        "ZMQ_EVENTS" 15 ReadOnly, "whether the socket can send or receive now", Int32 Padded;
        "ZMQ_TYPE" 16 ReadOnly, "the socket type", Int32 Exactly;
        "ZMQ_LAST_ENDPOINT" 32 ReadOnly, "the endpoint that was bound or connected last", Text Padded;
        "ZMQ_MECHANISM" 43 ReadOnly, "the security mechanism", Int32 Exactly;
        "ZMQ_THREAD_SAFE" 81 ReadOnly, "whether the socket type is thread-safe in C", Int32 Padded;
        "ZMQ_TOPICS_COUNT" 116 ReadOnly, "how many topics are subscribed to", Int32 Padded;
        "ZMQ_SUBSCRIBE" 6 Action, "receive messages that begin with these bytes", Bytes Never;
        "ZMQ_UNSUBSCRIBE" 7 Action, "undo one subscription", Bytes Never;
        "ZMQ_GSSAPI_SERVER" 62 GSSAPI, "";
        "ZMQ_GSSAPI_PRINCIPAL" 63 GSSAPI, "";
        "ZMQ_GSSAPI_SERVICE_PRINCIPAL" 64 GSSAPI, "";
        "ZMQ_GSSAPI_PLAINTEXT" 65 GSSAPI, "";
        "ZMQ_GSSAPI_PRINCIPAL_NAMETYPE" 90 GSSAPI, "";
        "ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE" 91 GSSAPI, "";
        "ZMQ_NORM_MODE" 117 NORM, "";
        "ZMQ_NORM_UNICAST_NACK" 118 NORM, "";
        "ZMQ_NORM_BUFFER_SIZE" 119 NORM, "";
        "ZMQ_NORM_SEGMENT_SIZE" 120 NORM, "";
        "ZMQ_NORM_BLOCK_SIZE" 121 NORM, "";
        "ZMQ_NORM_NUM_PARITY" 122 NORM, "";
        "ZMQ_NORM_NUM_AUTOPARITY" 123 NORM, "";
        "ZMQ_NORM_PUSH" 124 NORM, "";
        "ZMQ_VMCI_BUFFER_SIZE" 85 VMCI, "";
        "ZMQ_VMCI_BUFFER_MIN_SIZE" 86 VMCI, "";
        "ZMQ_VMCI_BUFFER_MAX_SIZE" 87 VMCI, "";
        "ZMQ_VMCI_CONNECT_TIMEOUT" 88 VMCI, "";
        "ZMQ_WSS_KEY_PEM" 103 WEBSOCKET, "";
        "ZMQ_WSS_CERT_PEM" 104 WEBSOCKET, "";
        "ZMQ_WSS_TRUST_PEM" 105 WEBSOCKET, "";
        "ZMQ_WSS_HOSTNAME" 106 WEBSOCKET, "";
        "ZMQ_WSS_TRUST_SYSTEM" 107 WEBSOCKET, "";
    }
}

option_table! {
    /// Every option of contexts.
    CONTEXT_OPTIONS,
    /// The options of a context.
    ContextOptions;
    state {}
    fields {
        /// How many background I/O threads the context has; 0 counts as 1.
        "ZMQ_IO_THREADS" 1 => io_threads(usize): usize = 1,
            { effect: Early, };
        /// How many sockets the context may have at a time.
        "ZMQ_MAX_SOCKETS" 2 => max_sockets(usize): usize = 1023,
            { valid: from(1), effect: Now, };
        /// The largest frame that its sockets accept, even where their MAXMSGSIZE allows more; the default,
        /// the largest number, stands for no limit.
        "ZMQ_MAX_MSGSZ" 5 => max_message_size(usize): usize = INT as usize,
            { unit: InBytes, };
        /// Whether its sockets have IPV6 from the start.
        "ZMQ_IPV6" 42 => ipv6(bool): bool = false,
            {};
        /// Whether the context waits without end, when it ends, for messages of sockets that set no
        /// LINGER. Without it a LINGER that is infinite when a socket is made becomes zero.
        "ZMQ_BLOCKY" 70 => blocky(bool): bool = true,
            {};
        /// Whether received messages may stay in the buffer they were read into. Small bodies are
        /// always copied out of it, and large ones are read into memory of their own, so that
        /// nothing is held for longer than its message: both settings are met by the same engine.
        "ZMQ_ZERO_COPY_RECV" 10 => zero_copy_recv(bool): bool = true,
            {};
        /// What the names of the I/O threads begin with, instead of `xebec-io`; a number in C.
        "ZMQ_THREAD_NAME_PREFIX" 9 => thread_name_prefix(impl Into<String>): String = String::new(),
            { valid: range(0, 16), unit: InBytes, digits: true, effect: Early, };
        /// The processors that the I/O threads run on; any if there are none. Setting adds one.
        "ZMQ_THREAD_AFFINITY_CPU_ADD" 7 => thread_affinity(impl Into<Vec<u32>>):
            Vec<u32> = Vec::new(),
            { valid: range(0, 1023), effect: Early, };
        /// The scheduling policy of the I/O threads, as a number of sched(7). It takes the hook
        /// `ContextBuilder::on_thread_start`, and is refused without.
        "ZMQ_THREAD_SCHED_POLICY" 4 => thread_sched_policy(impl Into<Option<u32>>):
            Option<u32> = None,
            { none: Some(("system", -1)), effect: Early, };
        /// The priority of the I/O threads: for the hook if the policy is SCHED_FIFO or SCHED_RR;
        /// otherwise any but 0 gives them the highest (nice -20), which takes a privilege.
        "ZMQ_THREAD_PRIORITY" 3 => thread_priority(impl Into<Option<u32>>): Option<u32> = None,
            { none: Some(("system", -1)), told: Told::Never, effect: Early, };
    }
    views {
        /// Takes one processor out of THREAD_AFFINITY_CPU_ADD, which must have it.
        "ZMQ_THREAD_AFFINITY_CPU_REMOVE" 8: Option<u32>,
            { valid: range(0, 1023), told: Told::Never, effect: Early, }
            read |_| None,
            write |o, cpu| {
                let at = o.thread_affinity.iter().position(|&known| Some(known) == cpu);
                o.thread_affinity.remove(at.ok_or(Fault::Invalid)?);
                Ok(())
            };
    }
    others {
        "ZMQ_SOCKET_LIMIT" 3 Constant(65_535), "the most sockets that libzmq lets MAX_SOCKETS ask for",
            Int32 Exactly;
        "ZMQ_MSG_T_SIZE" 6 Constant(64), "the size of `zmq_msg_t` in C", Int32 Exactly;
    }
}

/// What the wire can carry of a time to live (RFC 37): tenths of a second.
fn whole_tenths(time: Duration) -> Option<Duration> {
    let tenths = time.as_millis() / 100;
    let tenths = u64::try_from(tenths).unwrap_or(u64::MAX / 100);
    (tenths > 0).then(|| Duration::from_millis(tenths * 100))
}
