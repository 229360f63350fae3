//! Fuzz targets for the protocol crate. Beyond "does not panic" each checks what must hold for any
//! input: what was decoded encodes to the same again, and how the input is split does not matter.

use bytes::Bytes;
use zmtp::{
    Command, FrameError, Framing, Handshake, HandshakeError, Header, Local, MAX_HANDSHAKE_COMMAND,
    MAX_ROUTING_ID, Mechanism, Metadata, Peer, SocketType, Subscription, Version,
};

/// A whole handshake. The first octet chooses our socket type, the second our highest version (low
/// two bits) and the length of our routing id (the rest); what follows is what the peer sends.
pub fn greeting(data: &[u8]) {
    let [kind, version, stream @ ..] = data else {
        return;
    };
    let local = Local {
        socket_type: SocketType::ALL[usize::from(*kind) % SocketType::ALL.len()],
        routing_id: Bytes::from(vec![b'i'; usize::from(version >> 2)]),
        properties: vec![("X-Seed".into(), Bytes::from_static(b"1"))],
        mechanism: Mechanism::Null,
        authenticate: false,
        max_version: Version::ALL[usize::from(version & 3)],
    };
    let at_once = handshake(&local, stream, stream.len().max(1));
    assert_eq!(at_once, handshake(&local, stream, 1), "octet by octet");
    assert_eq!(at_once, handshake(&local, stream, 7), "in pieces");
    if let Ok(Some((peer, _))) = at_once.0 {
        assert!(peer.version <= local.max_version);
        assert!(peer.routing_id.len() <= MAX_ROUTING_ID);
        assert!(
            peer.socket_type
                .is_none_or(|kind| local.socket_type.accepts(kind))
        );
        assert!(peer.version >= Version::V3_0 || peer.metadata.is_empty());
    }
}

/// The peer and how many octets were consumed until it was known, or the error; and what was sent.
type Outcome = (Result<Option<(Peer, usize)>, HandshakeError>, Vec<u8>);

fn handshake(local: &Local, stream: &[u8], piece: usize) -> Outcome {
    let mut handshake = Handshake::new(local.clone());
    let mut consumed = 0;
    let mut result = Ok(None);
    for input in stream.chunks(piece) {
        match handshake.input(input) {
            Ok(progress) => {
                consumed += progress.consumed;
                if let Some(peer) = progress.peer {
                    assert!(progress.consumed <= input.len());
                    result = Ok(Some((peer, consumed)));
                    break;
                }
                assert_eq!(progress.consumed, input.len());
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                result = Err(error);
                break;
            }
        }
    }
    if !matches!(result, Ok(None)) {
        assert!(handshake.input(b"\0").is_err(), "input after the end");
    }
    let sent = std::mem::take(handshake.output());
    assert!(sent.len() < MAX_HANDSHAKE_COMMAND);
    (result, sent)
}

/// Frame headers in both layouts, one after another.
pub fn framing(data: &[u8]) {
    for framing in [Framing::V1, Framing::V2] {
        let mut rest = data;
        while let Ok(Some(header)) = checked_header(framing, rest) {
            let Ok(body_len) = usize::try_from(header.body_len) else {
                break;
            };
            let Some(next) = rest
                .get(header.header_len..)
                .and_then(|body| body.get(body_len..))
            else {
                break;
            };
            rest = next;
        }
    }
}

fn checked_header(framing: Framing, input: &[u8]) -> Result<Option<Header>, FrameError> {
    let result = framing.decode(input);
    let first = (0..=input.len().min(10)).find_map(|end| framing.decode(&input[..end]).transpose());
    assert_eq!(first, result.transpose(), "a prefix decides differently");
    if let Ok(Some(header)) = result {
        assert!(header.header_len <= input.len());
        let mut encoded = Vec::new();
        framing.encode(
            header.more,
            header.command,
            header.body_len as usize,
            &mut encoded,
        );
        assert!(
            encoded.len() <= header.header_len,
            "the shortest form is not used"
        );
        let canonical = Header {
            header_len: encoded.len(),
            ..header
        };
        assert_eq!(framing.decode(&encoded), Ok(Some(canonical)));
    }
    result
}

/// The body of a command, and the same octets as a subscription message.
pub fn commands(data: &[u8]) {
    match Command::parse(data) {
        Ok(command) => {
            let mut body = Vec::new();
            command.encode(&mut body);
            assert_eq!(body.len(), command.encoded_len());
            assert_eq!(Command::parse(&body).as_ref(), Ok(&command));
            match command {
                // What follows the reason is ignored, and a long context is cut.
                Command::Error { .. } | Command::Ping { .. } => assert!(data.starts_with(&body)),
                _ => assert_eq!(body, data),
            }
            let mut framed = Vec::new();
            command.encode_framed(&mut framed);
            let header = Framing::V2.decode(&framed).unwrap().unwrap();
            assert!(header.command && !header.more);
            assert_eq!(header.body_len, body.len() as u64);
            assert_eq!(framed[header.header_len..], body);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(subscription) = Subscription::parse_message(data) {
        for version in Version::ALL {
            subscribe(subscription, version);
        }
    }
}

fn subscribe(subscription: Subscription<'_>, version: Version) {
    let mut frame = Vec::new();
    subscription.encode(version, &mut frame);
    let header = version.framing().decode(&frame).unwrap().unwrap();
    let body = &frame[header.header_len..];
    assert_eq!(header.body_len, body.len() as u64);
    assert!(!header.more);
    assert_eq!(header.command, version.has_subscribe_command());
    if header.command {
        assert_eq!(Command::parse(body), Ok(subscription.into()));
    } else {
        assert_eq!(Subscription::parse_message(body), Some(subscription));
    }
}

/// The properties of READY.
pub fn metadata(data: &[u8]) {
    let metadata = match Metadata::parse(data) {
        Ok(metadata) => metadata,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut encoded = Vec::new();
    metadata.encode(&mut encoded);
    assert_eq!(encoded, data);
    assert_eq!(metadata.encoded_len(), data.len());
    assert_eq!(metadata.iter().count(), metadata.len());
    let mut copy = Metadata::new();
    for (name, value) in metadata.iter() {
        assert!(metadata.get(&name.to_ascii_uppercase()).is_some());
        if copy.insert(name, value.clone()).is_ok() {
            assert_eq!(copy.get(name), Some(value));
        }
    }
    assert!(copy.len() <= metadata.len());
    assert!(copy.encoded_len() <= data.len());
}
