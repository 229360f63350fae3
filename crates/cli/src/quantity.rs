//! Durations, sizes and rates as people write them: `500ms`, `8k`, `100/s`.
//!
//! Every parser here refuses a number whose unit has to be guessed: 500 is half a second to those
//! who know the C library's options and eight minutes to those who know `sleep`. The messages say
//! what to write instead, because clap shows them as they are.

use std::time::Duration;

const DURATION_UNITS: &[(&str, f64)] = &[
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Splits `text` into its leading number and what follows.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

/// A duration such as `250us`, `500ms`, `1.5s`, `2m` or `1h`; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write one like 500ms, 2s or 1m");
    let (number, unit) = number_and_unit(text.trim()).ok_or_else(wrong)?;
    if unit.is_empty() {
        return if number == 0.0 {
            Ok(Duration::ZERO)
        } else {
            Err(format!("`{text}` has no unit: write {text}ms or {text}s"))
        };
    }
    let (_, scale) = DURATION_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

/// A wait that may have no end: a [`duration`], or `forever` (also `-1`, as the C library has it).
pub(crate) fn patience(text: &str) -> Result<Patience, String> {
    match text.trim() {
        "forever" | "-1" => Ok(Patience(None)),
        other => duration(other).map(|d| Patience(Some(d))),
    }
}

/// How long to wait: `None` is for ever. A type of its own, since clap reads an `Option` as "may
/// be left out".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Duration>);

/// The pause between two messages of a rate such as `100`, `100/s`, `30/m` or `0.5/s`.
pub(crate) fn rate(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a rate: write one like 100 or 100/s, or 30/m");
    let (number, unit) = number_and_unit(text.trim()).ok_or_else(wrong)?;
    let period = match unit {
        "" | "/s" => 1.0,
        "/m" => 60.0,
        "/h" => 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(period / number).map_err(|_| wrong())
}

/// A number of bytes: `64`, `8k` (1024 each), `1M`, `1G`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a size: write one like 64, 8k or 1M");
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A count: `1000`, `1_000`, `10k`, `5M` (powers of ten here).
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a count: write one like 1000, 10k or 5M");
    let plain = text.trim().replace('_', "");
    let digits = plain.trim_end_matches(|c: char| !c.is_ascii_digit());
    let scale = match plain[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(scale).ok_or_else(wrong)
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A duration in three significant digits: `12.3 µs`, `1.50 s`.
pub(crate) fn humane(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("500ms", Duration::from_millis(500)),
            ("2s", Duration::from_secs(2)),
            ("1.5s", Duration::from_millis(1500)),
            (" 2 m ", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("250us", Duration::from_micros(250)),
            ("0", Duration::ZERO),
        ] {
            assert_eq!(duration(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "s", "-1s", "1 week", "1.2.3s", "1e400s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("500").unwrap_err().contains("500ms or 500s"));
        assert_eq!(patience("forever"), Ok(Patience(None)));
    }

    #[test]
    fn rates() {
        assert_eq!(rate("100").unwrap(), Duration::from_millis(10));
        assert_eq!(rate("100/s").unwrap(), Duration::from_millis(10));
        assert_eq!(rate("30/m").unwrap(), Duration::from_secs(2));
        for wrong in ["0", "/s", "10/day", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_counts() {
        assert_eq!(bytes("64"), Ok(64));
        assert_eq!(bytes("8k"), Ok(8192));
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1_000"), Ok(1000));
        for wrong in ["", "k", "-1", "8q", "99999999999999999999", "99999999999g"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_printed_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(humane(Duration::from_nanos(12_340)), "12.3 µs");
        assert_eq!(humane(Duration::from_millis(1500)), "1.50 s");
    }
}
