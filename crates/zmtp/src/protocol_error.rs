//! The numbers by which libzmq's monitor tells why a handshake failed (`zmq_socket_monitor`,
//! ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL): one table.

/// Why a handshake failed, in libzmq's classes (`ZMQ_PROTOCOL_ERROR_*` in `zmq.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ProtocolError {
    /// The peer does not speak ZMTP.
    ZmtpUnspecified = 0x1000_0000,
    /// A command arrived that was not due.
    ZmtpUnexpectedCommand = 0x1000_0001,
    /// A nonce does not exceed the one before it.
    ZmtpInvalidSequence = 0x1000_0002,
    /// A vouch is for other keys than those in use.
    ZmtpKeyExchange = 0x1000_0003,
    /// A command does not even have a name.
    ZmtpMalformedCommandUnspecified = 0x1000_0011,
    /// MESSAGE is malformed.
    ZmtpMalformedCommandMessage = 0x1000_0012,
    /// HELLO is malformed.
    ZmtpMalformedCommandHello = 0x1000_0013,
    /// INITIATE is malformed.
    ZmtpMalformedCommandInitiate = 0x1000_0014,
    /// ERROR is malformed.
    ZmtpMalformedCommandError = 0x1000_0015,
    /// READY is malformed.
    ZmtpMalformedCommandReady = 0x1000_0016,
    /// WELCOME is malformed.
    ZmtpMalformedCommandWelcome = 0x1000_0017,
    /// The peer's properties are malformed, or not acceptable.
    ZmtpInvalidMetadata = 0x1000_0018,
    /// A box cannot be opened: wrong keys, mostly.
    ZmtpCryptographic = 0x1100_0001,
    /// The peer uses another security mechanism.
    ZmtpMechanismMismatch = 0x1100_0002,
    /// The ZAP handler's reply lacks its delimiter.
    ZapUnspecified = 0x2000_0000,
    /// The ZAP handler's reply has too many or too few frames.
    ZapMalformedReply = 0x2000_0001,
    /// The ZAP handler's reply is for another request.
    ZapBadRequestId = 0x2000_0002,
    /// The ZAP handler's reply is of another version.
    ZapBadVersion = 0x2000_0003,
    /// The ZAP handler's reply has an unknown status code.
    ZapInvalidStatusCode = 0x2000_0004,
    /// The ZAP handler's reply has malformed metadata.
    ZapInvalidMetadata = 0x2000_0005,
}

impl ProtocolError {
    /// The number in the C interface.
    pub const fn number(self) -> u32 {
        self as u32
    }
}
