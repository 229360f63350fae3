//! Fuzz targets for the texts that sockets are set up with: endpoints and options. Beyond "does not
//! panic" each checks what must hold for any input: what was read prints as text that reads the same
//! again, and what was refused changed nothing.

use xebec::{ContextOptions, Endpoint, OptionError, OptionKey, Options, SocketType, Value};

/// The longest error message in characters: 120 of the endpoint, each perhaps escaped as ten, and
/// what is wrong with it.
const LONGEST_MESSAGE: usize = 1400;

/// An endpoint.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Endpoint::parse(text) {
        Ok(endpoint) => {
            let canonical = endpoint.to_string();
            let again = Endpoint::parse(&canonical);
            assert_eq!(again.as_ref(), Ok(&endpoint), "{canonical:?}");
            assert_eq!(again.map(|endpoint| endpoint.to_string()), Ok(canonical));
        }
        Err(error) => {
            assert_eq!(error.endpoint, text);
            readable(&error.to_string(), LONGEST_MESSAGE);
        }
    }
}

/// The name of an option, `=`, and a value: as text, and as the bytes of the C interface.
pub fn options(data: &[u8]) {
    let Some(at) = data.iter().position(|&octet| octet == b'=') else {
        return;
    };
    let (name, value) = (&data[..at], &data[at + 1..]);
    let Ok(name) = str::from_utf8(name) else {
        return;
    };
    if let Ok(text) = str::from_utf8(value) {
        set(name, text.into());
        let mut options = Options::new();
        assert_eq!(
            options.set_text(name, text),
            options.clone().set(name, text)
        );
    }
    set(name, value.into());
    let Ok(row) = Options::spec(name) else {
        return;
    };
    assert_eq!(
        Options::spec(row.number).map(|row| row.c_name),
        Ok(row.c_name)
    );
    if let Ok(value) = row.from_c(value) {
        set(name, value.clone());
        // With the rules of C, and into buffers of any size.
        let mut options = Options::for_c(SocketType::Router);
        if row.set(&mut options, &value).is_ok() {
            let value = row.value(&options).unwrap();
            for room in [0, 4, 8, 255] {
                let told = row.tell_c(&value, room);
                assert!(told.map_or(0, |bytes| bytes.len()) <= room);
            }
        }
    }
}

/// The number of an option of contexts, and what C passes for it; one after the other.
pub fn contexts(data: &[u8]) {
    let mut options = ContextOptions::new();
    for chunk in data.split(|&octet| octet == b';') {
        let Some((number, bytes)) = chunk.split_first() else {
            continue;
        };
        let before = options.clone();
        match options.set_c(i32::from(*number), bytes) {
            Ok(()) => assert_eq!(options.check(), Ok(())),
            Err(error) => {
                assert!(options == before, "a refused value was set");
                readable(&error.to_string(), usize::MAX);
            }
        }
        for room in [0, 4, 8, 17] {
            let told = options.tell_c(i32::from(*number), room);
            assert!(told.map_or(0, |bytes| bytes.len()) <= room);
        }
    }
}

fn set(name: &str, value: Value) {
    let mut options = Options::new();
    match options.set(name, value) {
        Ok(()) => {
            let row = Options::spec(name).unwrap();
            let value = row.value(&options).unwrap();
            row.to_c(&value);
            // A setting that was accepted is accepted again in each of its forms. A list is
            // collected item by item, and bytes print escaped.
            again(name, value.clone(), &value);
            if !matches!(value, Value::List(_) | Value::Bytes(_)) {
                again(name, row.text(&value).into(), &value);
            }
        }
        Err(error) => {
            assert!(options == Options::new(), "a refused value was set");
            readable(&error.to_string(), usize::MAX);
            let unknown = matches!(error, OptionError::Unknown(_));
            assert_eq!(unknown, Options::spec(OptionKey::Name(name)).is_err());
        }
    }
}

/// Setting `value` makes it `expected`.
fn again(name: &str, value: Value, expected: &Value) {
    let mut options = Options::new();
    assert_eq!(options.set(name, value), Ok(()));
    assert_eq!(options.value(name).as_ref(), Ok(expected));
}

/// One line without control characters.
fn readable(message: &str, longest: usize) {
    assert!(!message.is_empty() && message.chars().count() <= longest);
    assert!(!message.contains(char::is_control), "{message:?}");
}
