//! Options of sockets and contexts.
//!
//! [`Options`] is a plain struct with a field for each option; `Options::new().rcvhwm(10)` builds
//! one. Everything else about an option - its number, its name, which values are valid, what it
//! means - stands in one row of the table in `table.rs`. The dynamic form ([`Options::set`]), the
//! text form ([`Options::set_text`]), the form of the C interface ([`OptionSpec::from_c`]), the flags
//! of the command and the [reference page](reference()) all read that row.
//!
//! The builder takes any value of the right type; a socket calls [`Options::check_for`] when it gets
//! its options, so that a wrong one is refused there. An option that is not honoured is refused, never
//! ignored.
//!
//! What the options do does not belong here.

mod descriptor;
mod filter;
mod reference;
mod security;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::time::Duration;

use zmtp::{KEY_LEN, SocketType};

pub use descriptor::ListeningFd;
pub use filter::{
    AddressFilter, BadAddressFilter, BadProperty, Property, ProxyAddress, ReconnectStop,
    RouterNotify,
};
pub use reference::reference;
pub use security::Security;
pub use table::{
    CONTEXT_OPTIONS, ContextOptions, Effect, OPTIONS, OptionSpec, Options, Role, Rules, Told, Unit,
    Valid,
};
pub use value::{Form, Value};

use value::Fault;

/// An option, by its number in the C interface or by its name: `"rcvhwm"`, `"RCVHWM"` or
/// `"ZMQ_RCVHWM"`, in any case, with `-` as good as `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKey<'a> {
    /// Its number.
    Number(i32),
    /// Its name.
    Name(&'a str),
}

/// Why an option was not set or told: nearly always the caller's fault (EINVAL).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no option of this name or number.
    Unknown(String),
    /// libzmq has this option and Xebec has not.
    Unsupported {
        /// The option.
        name: &'static str,
        /// What it waits for, or why it does not apply.
        reason: &'static str,
    },
    /// The option tells something and cannot be set; ask the socket for it.
    ReadOnly(&'static str),
    /// The C interface tells nothing of the option, which can only be set.
    Untold(&'static str),
    /// The option does something and has no value: use the socket's method.
    Action(&'static str),
    /// Sockets of this type do not have the option.
    WrongSocket {
        /// The option.
        name: &'static str,
        /// The type of the socket.
        socket: SocketType,
        /// The types that have it.
        sockets: &'static [SocketType],
    },
    /// The value is of a kind that the option does not have.
    WrongType {
        /// The option.
        name: &'static str,
        /// The kind that it has.
        expected: &'static str,
    },
    /// The context of the socket is terminated (ETERM); only the calls for C say so.
    Terminated,
    /// The option is fixed by now.
    Late {
        /// The option.
        name: &'static str,
        /// What it had to come before.
        before: &'static str,
    },
    /// The system refuses what it takes to honour the option.
    System {
        /// The option.
        name: &'static str,
        /// What the system says.
        cause: String,
    },
    /// The value is not one that the option may have.
    Invalid {
        /// The option.
        name: &'static str,
        /// The value, as text.
        given: String,
        /// What would be right.
        valid: String,
    },
}

/// Names that libzmq had before the present ones, for the same numbers.
const FORMER_NAMES: [(&str, &str); 5] = [
    ("IDENTITY", "ROUTING_ID"),
    ("CONNECT_RID", "CONNECT_ROUTING_ID"),
    ("FAIL_UNROUTABLE", "ROUTER_MANDATORY"),
    ("ROUTER_BEHAVIOR", "ROUTER_MANDATORY"),
    ("DELAY_ATTACH_ON_CONNECT", "IMMEDIATE"),
];

impl<O: 'static> OptionSpec<O> {
    /// The name without its prefix, such as `"RCVHWM"`.
    pub fn name(&self) -> &'static str {
        let (_, name) = self.c_name.split_once('_').unwrap_or(("", self.c_name));
        name
    }

    /// The name as a flag of the command, such as `"routing-id"`.
    pub fn flag(&self) -> String {
        self.name().to_ascii_lowercase().replace('_', "-")
    }

    /// Whether sockets of this type have the option.
    pub fn concerns(&self, socket: SocketType) -> bool {
        self.rules.sockets.is_empty() || self.rules.sockets.contains(&socket)
    }

    /// What the C interface does with the option on a socket of this type, if it takes it at all:
    /// true if the socket has it, false if it is kept there without effect.
    pub fn in_c(&self, socket: SocketType) -> Option<bool> {
        let kept = self.rules.kept.contains(&socket);
        (self.concerns(socket) || kept).then(|| self.concerns(socket))
    }

    /// An error if sockets of this type do not have the option.
    pub fn permit(&self, socket: SocketType) -> Result<(), OptionError> {
        if self.concerns(socket) {
            return Ok(());
        }
        Err(OptionError::WrongSocket {
            name: self.c_name,
            socket,
            sockets: self.rules.sockets,
        })
    }

    /// An error if the option has no value that can be set.
    pub fn settable(&self) -> Result<(), OptionError> {
        let name = self.c_name;
        match self.rules.role {
            Role::Value => Ok(()),
            Role::ReadOnly | Role::Constant(_) => Err(OptionError::ReadOnly(name)),
            Role::Action => Err(OptionError::Action(name)),
            Role::Refused(reason) => Err(OptionError::Unsupported { name, reason }),
        }
    }

    /// The value that `options` have, or a number that is always the same. Fails as
    /// [`OptionSpec::settable`] does.
    pub fn value(&self, options: &O) -> Result<Value, OptionError> {
        if !matches!(self.rules.role, Role::Constant(_)) {
            self.settable()?;
        }
        Ok((self.read)(options))
    }

    /// Sets the value in `options`.
    pub fn set(&self, options: &mut O, value: &Value) -> Result<(), OptionError> {
        self.settable()?;
        let rules = match (self.is_c)(options) {
            true => self.rules.in_c(),
            false => self.rules,
        };
        (self.write)(options, value, &rules).map_err(|fault| match fault {
            Fault::WrongType => OptionError::WrongType {
                name: self.c_name,
                expected: self.rust_type,
            },
            Fault::Invalid if self.rules.secret => self.invalid("(not shown)".to_owned()),
            Fault::Invalid => self.invalid(self.text(value)),
        })
    }

    fn invalid(&self, given: String) -> OptionError {
        OptionError::Invalid {
            name: self.c_name,
            given,
            valid: self.valid_text(),
        }
    }

    /// The value from the bytes of the C interface (`zmq_setsockopt`). It is not yet set, and may
    /// still be out of range.
    pub fn from_c(&self, bytes: &[u8]) -> Result<Value, OptionError> {
        let wrong_length = |_| self.invalid(format!("a value of {} bytes", bytes.len()));
        let int32 = || bytes.try_into().map(i32::from_ne_bytes);
        let int64 = || bytes.try_into().map(i64::from_ne_bytes);
        Ok(match self.form {
            Form::Int32 => Value::Int(int32().map_err(wrong_length)?.into()),
            Form::Int64 | Form::UInt64 => Value::Int(int64().map_err(wrong_length)?),
            Form::Ids if bytes.is_empty() => Value::Bytes(Default::default()),
            Form::Ids => Value::Int(int32().map_err(wrong_length)?.cast_unsigned().into()),
            Form::Label if bytes.len() == size_of::<i32>() => {
                Value::Int(int32().map_err(wrong_length)?.into())
            }
            Form::Bytes | Form::Key | Form::Text | Form::Label | Form::Texts => Value::from(bytes),
        })
    }

    /// What `zmq_getsockopt` puts into a buffer of `room` bytes: the value's bytes, which may be
    /// fewer; fill the rest with zeros.
    ///
    /// # Errors
    /// When the C interface tells nothing of the option, or the buffer has another size than it must
    /// have (EINVAL in either case).
    pub fn tell_c(&self, value: &Value, room: usize) -> Result<Vec<u8>, OptionError> {
        let untold = || OptionError::Untold(self.c_name);
        let bytes = match (self.form, value) {
            // As an `int`: what its digits say, if it begins with any.
            (Form::Label, Value::Text(text)) if room == size_of::<i32>() => {
                let end = text.find(|c: char| !c.is_ascii_digit() && c != '-');
                let number: i32 = text[..end.unwrap_or(text.len())].parse().unwrap_or(0);
                number.to_ne_bytes().to_vec()
            }
            (Form::Key, Value::Text(text)) if room == KEY_LEN => {
                zmtp::z85::decode(text).map_err(|_| untold())?
            }
            _ => self.to_c(value).ok_or_else(untold)?,
        };
        match self.rules.told {
            Told::Exactly if bytes.len() == room => Ok(bytes),
            Told::Padded if bytes.len() <= room => Ok(bytes),
            Told::Never => Err(untold()),
            _ => Err(OptionError::Invalid {
                name: self.c_name,
                given: format!("a buffer of {room} bytes"),
                valid: format!("{} bytes", bytes.len()),
            }),
        }
    }

    /// The bytes that the C interface tells for a value (`zmq_getsockopt`); `None` for an option
    /// that collects, whose members libzmq does not tell.
    pub fn to_c(&self, value: &Value) -> Option<Vec<u8>> {
        let number = |code: i64| match self.form {
            // An infinite count of messages or bytes is the largest number.
            Form::Int32 => i32::try_from(code)
                .unwrap_or(i32::MAX)
                .to_ne_bytes()
                .to_vec(),
            _ => code.to_ne_bytes().to_vec(),
        };
        match value {
            Value::Bool(value) => Some(number((*value).into())),
            Value::Int(code) => Some(number(*code)),
            Value::Duration(Some(time)) => Some(number(self.rules.unit.count(*time))),
            Value::Duration(None) => Some(number(self.rules.none?.1)),
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            Value::Text(text) => Some([text.as_bytes(), b"\0"].concat()),
            Value::List(_) => None,
        }
    }
}

/// The row of a table that `key` means.
fn find<'a, O: 'static>(
    table: &'static [OptionSpec<O>],
    key: impl Into<OptionKey<'a>>,
) -> Result<&'static OptionSpec<O>, OptionError> {
    let key = key.into();
    let found = match key {
        OptionKey::Number(number) => table.iter().find(|row| row.number == number),
        OptionKey::Name(name) => {
            let name = name.to_ascii_uppercase().replace('-', "_");
            let bare = ["ZMQ_", "XEBEC_"]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix));
            let name = bare.unwrap_or(&name);
            let former = FORMER_NAMES.iter().find(|(former, _)| *former == name);
            let name = former.map_or(name, |(_, present)| present);
            table.iter().find(|row| row.name() == name)
        }
    };
    found.ok_or_else(|| OptionError::Unknown(key.to_string()))
}

/// Every option that is not at its default must be honoured and valid.
fn check<O: Default + Clone + 'static>(
    table: &'static [OptionSpec<O>],
    options: &O,
    also: impl Fn(&OptionSpec<O>) -> Result<(), OptionError>,
) -> Result<(), OptionError> {
    let default = O::default();
    // Any key is valid, and copies of secret ones are not to lie about.
    for row in table.iter().filter(|row| row.form != Form::Key) {
        let value = (row.read)(options);
        if value == (row.read)(&default) {
            continue;
        }
        also(row)?;
        row.set(&mut options.clone(), &value)?;
    }
    Ok(())
}

/// Of what has its effect early, nothing may have changed.
fn check_late<O: 'static>(
    table: &'static [OptionSpec<O>],
    now: &O,
    then: &O,
    before: &'static str,
) -> Result<(), OptionError> {
    let early = table.iter().filter(|row| row.rules.effect == Effect::Early);
    let mut changed = early.filter(|row| (row.read)(now) != (row.read)(then));
    changed.next().map_or(Ok(()), |row| {
        let name = row.c_name;
        Err(OptionError::Late { name, before })
    })
}

impl Options {
    /// The row of the option with this number or name.
    pub fn spec<'a>(
        key: impl Into<OptionKey<'a>>,
    ) -> Result<&'static OptionSpec<Options>, OptionError> {
        find(OPTIONS, key)
    }

    /// Sets an option by number or name. An option that collects adds the value to what it has; an
    /// empty text or no bytes empty it, and a [`Value::List`] replaces it.
    pub fn set<'a>(
        &mut self,
        key: impl Into<OptionKey<'a>>,
        value: impl Into<Value>,
    ) -> Result<(), OptionError> {
        Self::spec(key)?.set(self, &value.into())
    }

    /// Sets an option from text: numbers and names as in the reference page, times with or without a
    /// unit (`250`, `250ms`, `2s`), and the word for none (`infinite`, `unlimited`, …).
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<(), OptionError> {
        self.set(name, text)
    }

    /// The value of an option in its natural form.
    pub fn value<'a>(&self, key: impl Into<OptionKey<'a>>) -> Result<Value, OptionError> {
        Self::spec(key)?.value(self)
    }

    /// An error if an option that is fixed at the first bind or connect is not what it was then.
    pub(crate) fn check_late(&self, then: &Options) -> Result<(), OptionError> {
        check_late(OPTIONS, self, then, "the socket's first bind or connect")
    }

    /// An error unless a socket of this type can honour every option that is not at its default.
    pub fn check_for(&self, socket: SocketType) -> Result<(), OptionError> {
        check(OPTIONS, self, |row| {
            match self.is_c && row.in_c(socket).is_some() {
                true => Ok(()),
                false => row.permit(socket),
            }
        })
    }

    /// The options of a socket that is made for a program in C, where some things are as libzmq has
    /// them and nowhere documented: routing ids may begin with a zero byte, what a type does not
    /// have may be kept without effect (see [`OptionSpec::in_c`]), and subscribers do not linger.
    pub fn for_c(socket: SocketType) -> Self {
        let options = Options {
            is_c: true,
            ..Options::new()
        };
        match socket {
            SocketType::Sub | SocketType::Xsub | SocketType::Dish => options.linger(Duration::ZERO),
            _ => options,
        }
    }

    /// Whether they are those of a socket that is made for a program in C.
    pub(crate) fn are_for_c(&self) -> bool {
        self.is_c
    }

    /// Takes away what sockets of this type do not have, if the C interface left any of it there.
    pub(crate) fn take_kept(&mut self, socket: SocketType) -> Option<Box<Options>> {
        if !self.is_c {
            return None;
        }
        let given = self.clone();
        self.put_kept(socket, &Options::new());
        (*self != given).then(|| Box::new(given))
    }

    /// Puts back what was [taken away](Self::take_kept).
    pub(crate) fn put_kept(&mut self, socket: SocketType, kept: &Options) {
        let rows = OPTIONS.iter().filter(|row| !row.concerns(socket));
        rows.for_each(|row| (row.copy)(self, kept));
    }
}

impl ContextOptions {
    /// The row of the option with this number or name.
    pub fn spec<'a>(
        key: impl Into<OptionKey<'a>>,
    ) -> Result<&'static OptionSpec<ContextOptions>, OptionError> {
        find(CONTEXT_OPTIONS, key)
    }

    /// Sets an option by number or name.
    pub fn set<'a>(
        &mut self,
        key: impl Into<OptionKey<'a>>,
        value: impl Into<Value>,
    ) -> Result<(), OptionError> {
        Self::spec(key)?.set(self, &value.into())
    }

    /// The value of an option in its natural form.
    pub fn value<'a>(&self, key: impl Into<OptionKey<'a>>) -> Result<Value, OptionError> {
        Self::spec(key)?.value(self)
    }

    /// Sets an option from what `zmq_ctx_set_ext` gets; `zmq_ctx_set` passes the bytes of an `int`.
    pub fn set_c(&mut self, number: i32, bytes: &[u8]) -> Result<(), OptionError> {
        let row = Self::spec(number)?;
        row.settable()?;
        row.set(self, &row.from_c(bytes)?)
    }

    /// What `zmq_ctx_get_ext` tells of an option in a buffer of `room` bytes (see
    /// [`OptionSpec::tell_c`]); `zmq_ctx_get` has one for an `int`. The number 3 is THREAD_PRIORITY
    /// when it is set and SOCKET_LIMIT when it is asked for, as in libzmq.
    pub fn tell_c(&self, number: i32, room: usize) -> Result<Vec<u8>, OptionError> {
        let mut rows = CONTEXT_OPTIONS.iter().filter(|row| row.number == number);
        let told = rows.find(|row| row.rules.told != Told::Never);
        let row = told.map_or_else(|| Self::spec(number), Ok)?;
        row.tell_c(&row.value(self)?, room)
    }

    /// An error if an option that is fixed when the first socket is made is not what it was then.
    pub(crate) fn check_late(&self, then: &ContextOptions) -> Result<(), OptionError> {
        check_late(CONTEXT_OPTIONS, self, then, "the context's first socket")
    }

    /// An error unless every option that is not at its default is valid.
    pub fn check(&self) -> Result<(), OptionError> {
        check(CONTEXT_OPTIONS, self, |_| Ok(()))
    }
}

impl From<i32> for OptionKey<'_> {
    fn from(number: i32) -> Self {
        OptionKey::Number(number)
    }
}

impl<'a> From<&'a str> for OptionKey<'a> {
    fn from(name: &'a str) -> Self {
        OptionKey::Name(name)
    }
}

impl fmt::Display for OptionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionKey::Number(number) => write!(f, "{number}"),
            OptionKey::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionError::Unknown(key) => write!(f, "there is no option {}", key.escape_debug()),
            OptionError::Unsupported { name, reason } => {
                write!(f, "{name} is not supported: {reason}")
            }
            OptionError::ReadOnly(name) => {
                write!(f, "{name} cannot be set; ask the socket for it")
            }
            OptionError::Untold(name) => {
                write!(f, "{name} can be set and not be asked for")
            }
            OptionError::Action(name) => {
                write!(
                    f,
                    "{name} has no value; call the socket's method of that name"
                )
            }
            OptionError::WrongSocket {
                name,
                socket,
                sockets,
            } => {
                write!(f, "{socket} sockets do not have {name}; it is for ")?;
                f.write_str(&names(sockets))
            }
            OptionError::WrongType { name, expected } => {
                write!(f, "{name} takes a value of type {expected}")
            }
            OptionError::Terminated => f.write_str("the context is terminated"),
            OptionError::System { name, cause } => write!(f, "{name} cannot be honoured: {cause}"),
            OptionError::Late { name, before } => {
                write!(f, "{name} can be changed no more: set it before {before}")
            }
            OptionError::Invalid { name, given, valid } => {
                write!(f, "{given:?} is not valid for {name}: {valid}")
            }
        }
    }
}

impl std::error::Error for OptionError {}

fn names(sockets: &[SocketType]) -> String {
    let names: Vec<_> = sockets.iter().map(|socket| socket.name()).collect();
    names.join(", ")
}
