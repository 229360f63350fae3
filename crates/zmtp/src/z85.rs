//! Z85 (RFC 32): binary data as printable text, four octets in five characters.

use core::fmt;

/// The digits, by value.
const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The values, by digit; `NONE` for other characters.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const NONE: u8 = u8::MAX;

/// Data that Z85 has no text for, or text that is no Z85.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Z85Error {
    /// The length is not a multiple: of four octets to encode, of five characters to decode.
    Length(usize),
    /// The character at this place (counted from zero, in octets) is not one of the 85.
    Character(usize),
    /// The five characters that start at this place stand for more than 32 bits.
    Overflow(usize),
}

/// The text for `data`.
///
/// # Errors
/// The length is not a multiple of four.
pub fn encode(data: &[u8]) -> Result<String, Z85Error> {
    let (words, []) = data.as_chunks::<4>() else {
        return Err(Z85Error::Length(data.len()));
    };
    let mut text = String::with_capacity(words.len() * 5);
    for word in words {
        let word = u32::from_be_bytes(*word);
        for power in [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1] {
            text.push(DIGITS[(word / power % 85) as usize].into());
        }
    }
    Ok(text)
}

/// The data that `text` stands for.
///
/// # Errors
/// The length is not a multiple of five, a character is not a digit of Z85, or five of them exceed
/// 32 bits.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Z85Error> {
    let text = text.as_ref();
    let mut data = vec![0; text.len() / 5 * 4];
    decode_to(text, &mut data)?;
    Ok(data)
}

/// Decodes into `data`, which has four octets for five characters.
pub(crate) fn decode_to(text: &[u8], data: &mut [u8]) -> Result<(), Z85Error> {
    let (groups, []) = text.as_chunks::<5>() else {
        return Err(Z85Error::Length(text.len()));
    };
    for (i, (group, word)) in groups.iter().zip(data.chunks_exact_mut(4)).enumerate() {
        let mut sum = 0u32;
        for (j, &character) in group.iter().enumerate() {
            let value = VALUES[usize::from(character)];
            if value == NONE {
                return Err(Z85Error::Character(5 * i + j));
            }
            sum = sum
                .checked_mul(85)
                .and_then(|sum| sum.checked_add(value.into()))
                .ok_or(Z85Error::Overflow(5 * i))?;
        }
        word.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}

impl fmt::Display for Z85Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(
                f,
                "Z85 has five characters for four octets, which {len} does not divide into"
            ),
            Self::Character(at) => write!(f, "character {at} is not a digit of Z85"),
            Self::Overflow(at) => write!(f, "the five digits at {at} exceed 32 bits"),
        }
    }
}

impl std::error::Error for Z85Error {}
