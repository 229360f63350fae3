//! How messages look as text: the formats of `--format`, read and written by the same code.
//!
//! Each format turns a record (a line, or whatever lies between two terminators) into the frames
//! of a message and back. Nothing here knows sockets, files or the command line.
//!
//! | format | a record | frames are separated by |
//! |---|---|---|
//! | text | the bytes as they are; with `escape`, `\n \t \r \0 \\ \xHH` | the delimiter |
//! | hex | digits in pairs | a space; `-` is an empty frame |
//! | base64 | the standard alphabet, padding optional on input | a space; `-` is an empty frame |
//! | json | an array of strings and `{"base64": "…"}` | – |
//! | raw | the bytes as they are; records end with NUL or what `--terminator` says | the delimiter |
//!
//! What a message bears beside its frames (a [`Label`]) is shown, and read, as if it were the first of them.
//!
//! With `addressed` (ROUTER and STREAM) the first frame is a routing id, which is seldom text: in
//! text format it is written as `0x` and hexadecimal digits unless it is printable, and read back
//! the same way.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use clap::ValueEnum;
use serde_json::{Value, json};
use xebec::{Frame, Message};

/// The formats of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Lines of text, the bytes as they are
    #[default]
    Text,
    /// Lines of hexadecimal digits, frames separated by spaces
    Hex,
    /// Lines of base64, frames separated by spaces
    Base64,
    /// JSON lines: an array of strings, or {"base64": "…"} for what is not UTF-8
    Json,
    /// Bytes as they are, messages ended by NUL or --terminator
    Raw,
}

/// What messages bear beside their frames.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Label {
    /// Nothing.
    #[default]
    None,
    /// The number of a peer, in decimal digits (SERVER, PEER). An empty one is left to whoever sends.
    Number,
    /// A group (RADIO, DISH).
    Group,
    /// This group, which goes without saying.
    Always(Frame),
}

/// A format with its settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codec {
    pub(crate) format: Format,
    /// Splits frames when a text or raw record is read; `None` reads one frame.
    pub(crate) split: Option<Vec<u8>>,
    /// Joins frames when a text or raw record is written.
    pub(crate) join: Vec<u8>,
    /// Whether text is read and written with escapes.
    pub(crate) escape: bool,
    /// Whether the first frame is a routing id.
    pub(crate) addressed: bool,
    /// Whether messages of one frame that begin with 1 or 0 are subscriptions, shown in text as
    /// `+TOPIC` and `-TOPIC`.
    pub(crate) subscriptions: bool,
    /// What messages bear beside their frames.
    pub(crate) label: Label,
}

/// Accepts base64 with and without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

impl Codec {
    /// Reads one record, without its terminator.
    pub(crate) fn decode(&self, record: &[u8]) -> Result<Message, String> {
        self.labelled(self.decode_frames(record)?)
    }

    /// A message of one frame, which is not text.
    pub(crate) fn whole(&self, body: Vec<u8>) -> Result<Message, String> {
        match &self.label {
            Label::Group => Err("what group is it for? say --group".into()),
            Label::Always(group) => Ok(Message::from(body).with_group(group.clone())),
            Label::None | Label::Number => Ok(body.into()),
        }
    }

    /// Takes the label off the frames and puts it where it belongs.
    fn labelled(&self, mut message: Message) -> Result<Message, String> {
        match &self.label {
            Label::None => return Ok(message),
            Label::Always(group) => return Ok(message.with_group(group.clone())),
            Label::Number | Label::Group => {}
        }
        let Some(label) = message.pop_front() else {
            let what = match self.label {
                Label::Number => "the peer's number",
                _ => "the group (or say --group)",
            };
            return Err(format!("a message begins with {what} and a delimiter"));
        };
        if self.label == Label::Group {
            return Ok(message.with_group(label));
        }
        let digits = label.to_string_lossy();
        match digits.parse() {
            Ok(number) => Ok(message.with_routing_id(number)),
            Err(_) if digits.is_empty() => Ok(message),
            Err(_) => Err(format!("`{digits}` is not the number of a peer")),
        }
    }

    fn decode_frames(&self, record: &[u8]) -> Result<Message, String> {
        match self.format {
            Format::Text | Format::Raw => self.decode_text(record),
            Format::Hex => words(record, unhex),
            Format::Base64 => words(record, |word| {
                LENIENT
                    .decode(word)
                    .map_err(|e| format!("not base64: {}", e.to_string().to_lowercase()))
            }),
            Format::Json => decode_json(record),
        }
    }

    fn decode_text(&self, record: &[u8]) -> Result<Message, String> {
        let Some(split) = &self.split else {
            return Ok(self.decode_frame(record, self.addressed)?.into());
        };
        let mut frames = Vec::new();
        let mut rest = record;
        loop {
            // What follows a label is one frame.
            let last = self.label != Label::None && !frames.is_empty();
            let found = memchr::memmem::find(rest, split).filter(|_| !last);
            let end = found.unwrap_or(rest.len());
            let is_address = self.addressed && frames.is_empty();
            frames.push(self.decode_frame(&rest[..end], is_address)?);
            if found.is_none() {
                return Ok(frames.into_iter().collect());
            }
            rest = &rest[end + split.len()..];
        }
    }

    fn decode_frame(&self, frame: &[u8], is_address: bool) -> Result<Frame, String> {
        if self.format == Format::Text {
            if is_address && let Some(digits) = frame.strip_prefix(b"0x") {
                return unhex(digits).map(Frame::from);
            }
            if self.escape {
                return unescape(frame).map(Frame::from);
            }
        }
        Ok(Frame::copy_from_slice(frame))
    }

    /// Writes one record, without its terminator.
    pub(crate) fn encode(&self, message: &Message, out: &mut Vec<u8>) {
        let label = match self.label {
            Label::None | Label::Always(_) => None,
            Label::Number => message.routing_id().map(|number| number.to_string().into()),
            Label::Group => Some(message.group().cloned().unwrap_or_default()),
        };
        let frames = || label.iter().chain(message.frames());
        match self.format {
            Format::Json => {
                let frames: Vec<Value> = frames().map(frame_to_json).collect();
                out.extend_from_slice(Value::from(frames).to_string().as_bytes());
            }
            Format::Hex | Format::Base64 => {
                for (i, frame) in frames().enumerate() {
                    if i > 0 {
                        out.push(b' ');
                    }
                    match (frame.is_empty(), self.format) {
                        (true, _) => out.push(b'-'),
                        (_, Format::Hex) => hex(frame, out),
                        _ => out.extend_from_slice(STANDARD.encode(frame).as_bytes()),
                    }
                }
            }
            Format::Text | Format::Raw => {
                for (i, frame) in frames().enumerate() {
                    if i > 0 {
                        out.extend_from_slice(&self.join);
                    }
                    self.encode_frame(frame, self.addressed && i == 0, out);
                }
            }
        }
    }

    fn encode_frame(&self, mut frame: &[u8], is_address: bool, out: &mut Vec<u8>) {
        if self.format == Format::Text {
            if self.subscriptions
                && let [sign @ (0 | 1), topic @ ..] = frame
            {
                out.push(if *sign == 1 { b'+' } else { b'-' });
                frame = topic;
            }
            if is_address && !is_readable_address(frame) {
                out.extend_from_slice(b"0x");
                return hex(frame, out);
            }
            if self.escape {
                return escape(frame, out);
            }
        }
        out.extend_from_slice(frame);
    }
}

/// Whether an address is shown as it is: printable, without blanks, and not to be confused with
/// one in hexadecimal digits.
fn is_readable_address(address: &[u8]) -> bool {
    address.iter().all(u8::is_ascii_graphic)
        && !address.starts_with(b"0x")
        && !address.contains(&b'\\')
}

/// A message of the frames that stand between blanks.
fn words<E>(record: &[u8], decode: impl Fn(&[u8]) -> Result<Vec<u8>, E>) -> Result<Message, E> {
    record
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            b"-" => Ok(Frame::new()),
            word => decode(word).map(Frame::from),
        })
        .collect()
}

fn decode_json(record: &[u8]) -> Result<Message, String> {
    let value: Value = serde_json::from_slice(record).map_err(|e| format!("not JSON: {e}"))?;
    match value {
        Value::Array(frames) if frames.is_empty() => {
            Err("a message has at least one frame: write [\"\"] for an empty one".into())
        }
        Value::Array(frames) => frames.iter().map(frame_from_json).collect(),
        single => Ok(frame_from_json(&single)?.into()),
    }
}

fn frame_from_json(value: &Value) -> Result<Frame, String> {
    if let Value::String(text) = value {
        return Ok(text.as_str().into());
    }
    match value.as_object().filter(|fields| fields.len() == 1) {
        Some(fields) if fields.contains_key("base64") => {
            let text = fields["base64"].as_str().unwrap_or("?");
            let body = LENIENT
                .decode(text)
                .map_err(|e| format!("not base64: {}", e.to_string().to_lowercase()))?;
            Ok(body.into())
        }
        _ => Err(format!(
            "a frame is a string or {{\"base64\": \"…\"}}, not {value}"
        )),
    }
}

fn frame_to_json(frame: &Frame) -> Value {
    match std::str::from_utf8(frame) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(frame) }),
    }
}

/// Appends two digits a byte.
fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Two hexadecimal digits as a byte.
fn byte(pair: &[u8]) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16);
    match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    }
}

/// Reads pairs of hexadecimal digits.
pub(crate) fn unhex(digits: &[u8]) -> Result<Vec<u8>, String> {
    digits
        .chunks(2)
        .map(|pair| {
            byte(pair).ok_or_else(|| {
                format!(
                    "`{}` is not an even number of hexadecimal digits",
                    String::from_utf8_lossy(digits)
                )
            })
        })
        .collect()
}

/// Appends `bytes` so that they fit on a line: control characters and what is not UTF-8 as escapes.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let mut text = String::new();
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                c if c.is_ascii_control() => _ = write!(text, "\\x{:02x}", c as u32),
                c => text.push(c),
            }
        }
        out.extend_from_slice(text.as_bytes());
        for byte in chunk.invalid() {
            out.extend_from_slice(b"\\x");
            hex(&[*byte], out);
        }
    }
}

/// Reads what [`escape`] writes.
pub(crate) fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(c) = bytes.next() {
        if c != b'\\' {
            out.push(c);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let pair: Vec<u8> = bytes.by_ref().take(2).collect();
                byte(&pair).ok_or("\\x wants two hexadecimal digits")?
            }
            _ => return Err("a backslash is followed by n, r, t, 0, \\ or xHH".into()),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codec(format: Format) -> Codec {
        Codec {
            format,
            split: Some(b"\t".to_vec()),
            join: b"\t".to_vec(),
            ..Codec::default()
        }
    }

    fn encoded(codec: &Codec, message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        codec.encode(message, &mut out);
        out
    }

    fn message(frames: &[&[u8]]) -> Message {
        frames.iter().copied().collect()
    }

    #[test]
    fn each_format_shows_frames_in_its_way() {
        let sample = message(&[b"id", b"", b"Hi\xff"]);
        for (format, expected) in [
            (Format::Text, &b"id\t\tHi\xff"[..]),
            (Format::Raw, b"id\t\tHi\xff"),
            (Format::Hex, b"6964 - 4869ff"),
            (Format::Base64, b"aWQ= - SGn/"),
            (Format::Json, br#"["id","",{"base64":"SGn/"}]"#),
        ] {
            let codec = codec(format);
            assert_eq!(encoded(&codec, &sample), expected, "{format:?}");
            assert_eq!(codec.decode(expected).unwrap(), sample, "{format:?}");
        }
    }

    #[test]
    fn without_a_delimiter_a_line_is_one_frame() {
        let codec = Codec::default();
        assert_eq!(codec.decode(b"a\tb").unwrap(), Message::from("a\tb"));
        assert_eq!(codec.decode(b"").unwrap(), Message::new());
        assert_eq!(codec.decode(b"0x41").unwrap(), Message::from("0x41"));
    }

    #[test]
    fn routing_ids_are_shown_in_digits_unless_they_are_readable() {
        let codec = Codec {
            addressed: true,
            ..codec(Format::Text)
        };
        for (frames, line) in [
            (message(&[&[0, 0x6b, 0x8b], b"x"]), &b"0x006b8b\tx"[..]),
            (message(&[b"PEER2", b"x"]), b"PEER2\tx"),
            (message(&[b"0x41", b"x"]), b"0x30783431\tx"),
            (message(&[b"a b", b"x"]), b"0x612062\tx"),
            (message(&[b"", b"x"]), b"\tx"),
        ] {
            assert_eq!(encoded(&codec, &frames), line);
            assert_eq!(codec.decode(line).unwrap(), frames);
        }
    }

    #[test]
    fn labels_are_shown_as_first_frames() {
        let labelled = |label, format| Codec {
            label,
            ..codec(format)
        };
        let numbered = Message::from("a\tb").with_routing_id(4_000_000_000);
        let grouped = Message::from("a\tb").with_group("news");
        for (label, message, text, json) in [
            (
                Label::Number,
                numbered,
                "4000000000\ta\tb",
                r#"["4000000000","a\tb"]"#,
            ),
            (Label::Group, grouped, "news\ta\tb", r#"["news","a\tb"]"#),
        ] {
            for (format, line) in [(Format::Text, text), (Format::Json, json)] {
                let codec = labelled(label.clone(), format);
                assert_eq!(encoded(&codec, &message), line.as_bytes());
                let read = codec.decode(line.as_bytes()).unwrap();
                assert_eq!(read, message);
                assert_eq!(
                    (read.routing_id(), read.group()),
                    (message.routing_id(), message.group())
                );
            }
        }
        let last = labelled(Label::Number, Format::Text).decode(b"\tto the last");
        assert_eq!(last.map(|message| message.routing_id()), Ok(None));
        for (label, line, why) in [
            (Label::Number, "7", "begins with the peer's number"),
            (Label::Number, "x\ty", "not the number of a peer"),
            (Label::Number, "4294967296\ty", "not the number of a peer"),
            (Label::Group, "news", "begins with the group"),
        ] {
            let error = labelled(label, Format::Text).decode(line.as_bytes());
            let error = error.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let always = labelled(Label::Always("news".into()), Format::Text);
        let all = [always.decode(b"x"), always.whole(b"x".to_vec())];
        for message in all {
            assert_eq!(message.unwrap().group().unwrap(), "news");
        }
        assert!(labelled(Label::Group, Format::Text).whole(vec![]).is_err());
    }

    #[test]
    fn subscriptions_have_signs() {
        let mut codec = codec(Format::Text);
        codec.subscriptions = true;
        assert_eq!(encoded(&codec, &message(&[b"\x01a"])), b"+a");
        assert_eq!(encoded(&codec, &message(&[b"\0"])), b"-");
        assert_eq!(encoded(&codec, &message(&[b"a"])), b"a");
    }

    #[test]
    fn lenient_input() {
        assert_eq!(
            codec(Format::Base64).decode(b"SGk").unwrap(),
            Message::from("Hi")
        );
        assert_eq!(
            codec(Format::Hex).decode(b" 4869  FF ").unwrap(),
            message(&[b"Hi", b"\xff"])
        );
        assert_eq!(
            codec(Format::Json).decode(b"\"Hi\"").unwrap(),
            Message::from("Hi")
        );
    }

    #[test]
    fn wrong_input_says_what_is_wrong() {
        for (format, line, expected) in [
            (Format::Hex, &b"486"[..], "even number"),
            (Format::Hex, b"zz", "hexadecimal"),
            (Format::Base64, b"?", "not base64"),
            (Format::Json, b"[1]", "a frame is a string"),
            (Format::Json, b"[]", "at least one frame"),
            (Format::Json, b"{", "not JSON"),
            (Format::Json, br#"[{"base64":3}]"#, "not base64"),
        ] {
            let error = codec(format).decode(line).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(unescape(b"\\x4").is_err());
        assert!(unescape(b"\\q").is_err());
        assert_eq!(unescape(b"\\0\\t\\x41\\\\").unwrap(), b"\0\tA\\");
    }

    proptest! {
        #[test]
        fn lines_come_back(frames in proptest::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let message: Message = frames.iter().cloned().collect();
            for format in [Format::Hex, Format::Base64, Format::Json] {
                let line = encoded(&codec(format), &message);
                prop_assert!(!line.contains(&b'\n'));
                prop_assert_eq!(&codec(format).decode(&line).unwrap(), &message);
            }
        }

        #[test]
        fn escaped_text_comes_back(frames in proptest::collection::vec(any::<Vec<u8>>(), 1..5), addressed: bool) {
            let codec = Codec { escape: true, addressed, ..codec(Format::Text) };
            let message: Message = frames.iter().cloned().collect();
            let line = encoded(&codec, &message);
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(codec.decode(&line).unwrap(), message);
        }

        #[test]
        fn plain_text_comes_back(frames in proptest::collection::vec("[^\t\n]*", 1..5)) {
            let codec = codec(Format::Text);
            let message: Message = frames.iter().collect();
            prop_assert_eq!(codec.decode(&encoded(&codec, &message)).unwrap(), message);
        }

        #[test]
        fn garbage_never_panics(line: Vec<u8>) {
            for format in [Format::Text, Format::Hex, Format::Base64, Format::Json, Format::Raw] {
                let _ = codec(format).decode(&line);
            }
            let _ = unescape(&line);
        }
    }
}
