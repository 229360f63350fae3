//! The fuzz target for what a SOCKS proxy says. Beyond "does not panic": how it is split does not
//! matter, and no byte behind the reply is taken.

#[allow(dead_code)]
#[path = "../../crates/xebec/src/transport/socks.rs"]
mod protocol;

use std::net::{Ipv4Addr, Ipv6Addr};

use protocol::{Destination, LONGEST, Socks, SocksError, Step};

/// A whole conversation. The first octet chooses the destination (low two bits) and whether there is
/// a user name; what follows is what the proxy says.
pub fn socks(data: &[u8]) {
    let [kind, stream @ ..] = data else { return };
    let at_once = talk(*kind, stream, LONGEST);
    assert_eq!(at_once, talk(*kind, stream, 1), "octet by octet");
    assert_eq!(at_once, talk(*kind, stream, 3), "in pieces");
    let (said, taken, ended) = at_once;
    assert!(said.starts_with(&[5, 1]) && taken <= 4 + LONGEST);
    match ended {
        Ok(Step::Done) => assert!((9..=4 + LONGEST).contains(&taken)),
        Ok(_) => assert_eq!(taken, stream.len(), "it wants more than there is"),
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
}

/// What was said, how much was taken in, and how it ended. An error is told at the byte that it is
/// about, or with bytes behind it that came along.
fn talk(kind: u8, stream: &[u8], piece: usize) -> (Vec<u8>, usize, Result<Step, SocksError>) {
    let destination = match kind & 3 {
        0 => Destination::V4(Ipv4Addr::LOCALHOST),
        1 => Destination::V6(Ipv6Addr::LOCALHOST),
        _ => Destination::Name("name.example".into()),
    };
    let login = (kind & 4 != 0).then_some(("user", "password"));
    let (mut socks, mut said) = Socks::new(&destination, 5555, login);
    let mut taken = 0;
    loop {
        let wants = socks.wants();
        assert!((1..=LONGEST).contains(&wants));
        let end = (taken + wants.min(piece)).min(stream.len());
        let bytes = &stream[taken..end];
        taken = end;
        match socks.take(bytes) {
            Ok(Step::Say(more)) => said.extend(more),
            Ok(Step::More) if !bytes.is_empty() => {}
            Ok(step) => {
                assert_eq!(socks.wants() == 0, step == Step::Done);
                return (said, taken, Ok(step));
            }
            Err(error) => return (said, 0, Err(error)),
        }
    }
}
