//! What stands between a stream connection and its pattern: the ZAP handler's word (RFC 27), and a
//! bound on how many strangers may be at the door.
//!
//! An [`Admission`] belongs to a pipe for the time of its connection's handshake. Who asks the
//! handler, and when, is in `socket::zap`; what the messages look like is in `zmtp::zap`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use zmtp::{Credentials, Metadata};

use crate::channel::End;

/// Connections of one network that may be in their handshake with a listener that authenticates.
/// A peer that has proved nothing makes this side hold up to 64 KiB and, with CURVE, compute: this
/// is 16 MiB, and many more than clients behind one address need at a time, since a handshake
/// takes milliseconds. The surplus comes back after its reconnect interval.
pub(crate) const HALF_OPEN: usize = 256;

/// A connection on its way in.
#[derive(Default)]
pub(crate) struct Admission {
    pub(crate) stage: Stage,
    /// What the handler said of the peer when it let it in.
    pub(crate) grant: Option<Grant>,
    /// What it said when it did not.
    pub(crate) reason: Option<String>,
    /// Given back when the handshake ends, however it does.
    pub(crate) slot: Option<Slot>,
}

/// How far the question whether to let the peer in has come.
#[derive(Default)]
pub(crate) enum Stage {
    /// It is not being asked.
    #[default]
    Shaking,
    /// It is to be asked by the background thread.
    Noted(Credentials),
    /// The background thread has the question in hand.
    OnTheWay,
    /// The handler has it; the answer comes by this end.
    Asked(Box<End>),
    /// The handler went away and will not answer. The peer waits until HANDSHAKE_IVL has passed: to
    /// send it away, only to meet no handler when it comes back, might let it in.
    Orphaned,
    /// The handler cannot tell for the time being (300). The peer is kept waiting for a while.
    Later,
}

/// What a ZAP handler said of a peer that it let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) user_id: bytes::Bytes,
    pub(crate) metadata: Metadata,
}

/// How many connections of each network are in their handshake.
///
/// A lock of its own, though everything happens under the socket's: a [`Slot`] is given back
/// wherever a pipe is dropped, and cannot be forgotten. Nobody ever waits for it.
#[derive(Clone, Default)]
pub(crate) struct HalfOpen(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection in its handshake.
pub(crate) struct Slot {
    table: HalfOpen,
    network: IpAddr,
}

impl HalfOpen {
    /// A place for one more connection from this address, if there is one.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Slot> {
        let network = network(address);
        let mut table = self.0.lock();
        let count = table.entry(network).or_default();
        (*count < HALF_OPEN).then(|| {
            *count += 1;
            Slot {
                table: self.clone(),
                network,
            }
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.table.0.lock();
        if let Some(count) = table.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.network);
            }
        }
    }
}

/// Whose address it is: one host of IPv6 has as many addresses as it likes in a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(all(test, not(xebec_model)))]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_network_and_given_back() {
        let table = HalfOpen::default();
        let enter = |address: &str| table.enter(address.parse().unwrap());
        let mut held: Vec<Slot> = (0..HALF_OPEN).filter_map(|_| enter("192.0.2.1")).collect();
        assert_eq!(held.len(), HALF_OPEN);
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("::ffff:192.0.2.1").is_none(), "the same host");
        assert!(enter("192.0.2.2").is_some(), "another host");
        held.pop();
        held.extend(enter("192.0.2.1"));
        assert_eq!(held.len(), HALF_OPEN);

        let six = |n: usize| enter(&format!("2001:db8::{n:x}"));
        held.extend((0..HALF_OPEN).filter_map(six));
        assert_eq!(held.len(), 2 * HALF_OPEN);
        assert!(six(HALF_OPEN).is_none(), "one /64 is one network");
        assert!(enter("2001:db8:0:1::1").is_some());

        drop(held);
        assert!(table.0.lock().is_empty(), "nothing is left of it");
    }
}
