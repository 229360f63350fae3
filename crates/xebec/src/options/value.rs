//! The values of options in their three forms, and how a field takes one.
//!
//! * The field: the natural Rust type, such as `Option<Duration>`.
//! * [`Value`]: the dynamic form, which the command, the C interface and the tests use. A number or a
//!   text stands for the same value as its natural form, in the unit of the option.
//! * Bytes: what the C interface passes, see [`Form`].
//!
//! [`Field`] says for each Rust type how these correspond; the rules of one option ([`Rules`]) say
//! which of its values are valid. Names and numbers of options do not belong here.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::filter::{AddressFilter, Property};
use super::table::Rules;

/// The value of any option.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A switch.
    Bool(bool),
    /// A number, or the number that stands for a value in the C interface, such as -1 for an infinite
    /// time; a time is in the unit of the option.
    Int(i64),
    /// A time; `None` is what the option says it is, such as infinite.
    Duration(Option<Duration>),
    /// Binary data.
    Bytes(Bytes),
    /// Text, and the text form of every other kind.
    Text(String),
    /// All members of an option that collects; anything else that is set is added to it.
    List(Vec<String>),
}

/// How the C interface passes an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// `int`
    Int32,
    /// `int64_t`
    Int64,
    /// `uint64_t`
    UInt64,
    /// Bytes of any value.
    Bytes,
    /// A string; a terminating zero byte does not belong to it.
    Text,
    /// A key of CURVE: 32 bytes or 40 characters of Z85, with or without a terminating zero byte. It is
    /// told in 32 bytes or, with the zero byte, in 41.
    Key,
    /// A string, or an `int` that stands for its digits: four bytes are always that.
    Label,
    /// A number of four bytes, which is added; nothing empties the list.
    Ids,
    /// A string, which is added; an empty one empties the list.
    Texts,
}

/// Why a field does not take a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The value is of a kind that the option does not have.
    WrongType,
    /// The value breaks the option's rules.
    Invalid,
}

/// A Rust type that options are made of.
pub(super) trait Field: Clone + PartialEq {
    /// How the C interface passes it.
    const FORM: Form = Form::Int32;

    /// Takes the value, or leaves everything as it is.
    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault>;

    /// The value in its natural form.
    fn value(&self) -> Value;
}

/// A type whose values are numbers in the C interface.
pub(super) trait Code: Copy + PartialEq {
    const FORM: Form = Form::Int32;

    fn from_code(code: i64) -> Option<Self>;

    /// `None` when there is no such number.
    fn code(self) -> Option<i64>;

    fn parse(text: &str) -> Option<i64> {
        text.parse().ok()
    }

    fn from_bool(_: bool) -> Option<i64> {
        None
    }

    fn natural(self) -> Value {
        Value::Int(self.code().unwrap_or(i64::MAX))
    }
}

macro_rules! plain_numbers {
    ($($number:ty)*) => {$(
        impl Code for $number {
            fn from_code(code: i64) -> Option<Self> {
                code.try_into().ok()
            }

            fn code(self) -> Option<i64> {
                self.try_into().ok()
            }
        }
    )*};
}

plain_numbers! { u8 u32 i32 usize }

/// A set of 64 bits: the number is the one with the same bits.
impl Code for u64 {
    const FORM: Form = Form::UInt64;

    fn from_code(code: i64) -> Option<Self> {
        Some(code.cast_unsigned())
    }

    fn code(self) -> Option<i64> {
        Some(self.cast_signed())
    }

    fn parse(text: &str) -> Option<i64> {
        let bits = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        bits.ok().map(u64::cast_signed)
    }
}

impl Code for bool {
    fn from_code(code: i64) -> Option<Self> {
        Some(code != 0)
    }

    fn code(self) -> Option<i64> {
        Some(self.into())
    }

    fn parse(text: &str) -> Option<i64> {
        let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        match text {
            _ if is(["true", "on", "yes"]) => Some(1),
            _ if is(["false", "off", "no"]) => Some(0),
            _ => text.parse().ok(),
        }
    }

    fn from_bool(value: bool) -> Option<i64> {
        value.code()
    }

    fn natural(self) -> Value {
        Value::Bool(self)
    }
}

/// The number that `value` stands for, within the rules.
fn code<T: Code>(value: &Value, rules: &Rules) -> Result<i64, Fault> {
    let code = match value {
        Value::Int(code) => *code,
        Value::Bool(value) => T::from_bool(*value).ok_or(Fault::WrongType)?,
        Value::Text(text) => match rules.none_of(text) {
            Some(code) => return Ok(code),
            None => T::parse(text).ok_or(Fault::Invalid)?,
        },
        _ => return Err(Fault::WrongType),
    };
    rules.within(code)
}

impl<T: Code> Field for T {
    const FORM: Form = T::FORM;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        *self = T::from_code(code::<T>(value, rules)?).ok_or(Fault::Invalid)?;
        Ok(())
    }

    fn value(&self) -> Value {
        self.natural()
    }
}

/// A number or nothing; the rules say which number stands for nothing.
impl<T: Code> Field for Option<T> {
    const FORM: Form = T::FORM;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let code = code::<T>(value, rules)?;
        *self = match rules.none {
            Some((_, none)) if none == code => None,
            _ => Some(T::from_code(code).ok_or(Fault::Invalid)?),
        };
        Ok(())
    }

    fn value(&self) -> Value {
        self.map_or(Value::Int(-1), Code::natural)
    }
}

impl Field for Option<Duration> {
    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let none = rules.none.map(|(_, code)| code);
        let time = match value {
            Value::Duration(time) => *time,
            Value::Int(code) => match rules.within(*code)? {
                code if none == Some(code) => None,
                code => Some(rules.unit.time(code).ok_or(Fault::Invalid)?),
            },
            Value::Text(text) if rules.none_of(text).is_some() => None,
            Value::Text(text) => Some(parse_time(text, rules).ok_or(Fault::Invalid)?),
            _ => return Err(Fault::WrongType),
        };
        // Where 0 stands for nothing, no time at all does too.
        let time = time.filter(|time| none != Some(0) || !time.is_zero());
        if let Some(time) = time {
            rules.within(rules.unit.count(time))?;
        }
        *self = time;
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Duration(*self)
    }
}

impl Field for Duration {
    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let mut time = None;
        Option::<Duration>::accept(&mut time, value, rules)?;
        *self = time.unwrap_or_default();
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Duration(Some(*self).filter(|time| !time.is_zero()))
    }
}

/// A number in the option's unit, or with its own: `us`, `ms`, `s`, `m` or `h`.
fn parse_time(text: &str, rules: &Rules) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(digits.unwrap_or(text.len()));
    let count: u64 = digits.parse().ok()?;
    match unit.trim_start() {
        "" => rules.unit.time(count.try_into().ok()?),
        "us" | "µs" => Some(Duration::from_micros(count)),
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_secs(count.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(count.checked_mul(3600)?)),
        _ => None,
    }
}

impl Field for Bytes {
    const FORM: Form = Form::Bytes;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let bytes = match value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            _ => return Err(Fault::WrongType),
        };
        rules.within_length(&bytes)?;
        *self = bytes;
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Bytes(self.clone())
    }
}

impl Field for String {
    const FORM: Form = Form::Text;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let text = match value {
            Value::Int(number) if rules.digits => number.to_string(),
            value => text_of(value)?.to_owned(),
        };
        rules.within_length(text.as_bytes())?;
        *self = text;
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Text(self.clone())
    }
}

pub(super) fn text_of(value: &Value) -> Result<&str, Fault> {
    let text = match value {
        Value::Text(text) => text,
        Value::Bytes(bytes) => str::from_utf8(bytes).map_err(|_| Fault::Invalid)?,
        _ => return Err(Fault::WrongType),
    };
    let text = text.strip_suffix('\0').unwrap_or(text);
    if text.contains('\0') {
        return Err(Fault::Invalid);
    }
    Ok(text)
}

/// What an option may collect.
pub(super) trait Item: Clone + PartialEq + fmt::Display {
    const FORM: Form = Form::Texts;

    fn parse(text: &str, rules: &Rules) -> Option<Self>;

    /// Whether the two cannot both be in one list: the later replaces the earlier.
    fn replaces(&self, other: &Self) -> bool {
        self == other
    }
}

impl Item for u32 {
    const FORM: Form = Form::Ids;

    fn parse(text: &str, rules: &Rules) -> Option<Self> {
        let id = text.parse().ok()?;
        rules.within(i64::from(id)).is_ok().then_some(id)
    }
}

impl Item for AddressFilter {
    fn parse(text: &str, _: &Rules) -> Option<Self> {
        text.parse().ok()
    }
}

impl Item for Property {
    fn parse(text: &str, _: &Rules) -> Option<Self> {
        text.parse().ok()
    }

    fn replaces(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl<T: Item> Field for Vec<T> {
    const FORM: Form = T::FORM;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let item = |text: &str| T::parse(text, rules).ok_or(Fault::Invalid);
        let mut add = |item: T| {
            self.retain(|other| !item.replaces(other));
            self.push(item);
        };
        match value {
            Value::List(texts) => {
                let items = texts.iter().map(|text| item(text));
                *self = items.collect::<Result<_, _>>()?;
            }
            Value::Int(id) => add(item(&id.to_string())?),
            _ => match text_of(value)? {
                "" => self.clear(),
                text => add(item(text)?),
            },
        }
        Ok(())
    }

    fn value(&self) -> Value {
        Value::List(self.iter().map(T::to_string).collect())
    }
}

macro_rules! value_from {
    ($($from:ty: $name:ident => $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    bool: value => Value::Bool(value);
    i32: number => Value::Int(number.into());
    i64: number => Value::Int(number);
    Duration: time => Value::Duration(Some(time));
    Option<Duration>: time => Value::Duration(time);
    Bytes: bytes => Value::Bytes(bytes);
    &[u8]: bytes => Value::Bytes(Bytes::copy_from_slice(bytes));
    &str: text => Value::Text(text.to_owned());
    String: text => Value::Text(text);
    Vec<String>: items => Value::List(items);
}
