//! A link that can be cut, made slow and broken: a relay of TCP connections.
//!
//! A cut keeps the connections and forwards nothing, so neither end is told, as when a cable is pulled
//! out: what was sent meanwhile arrives when the link is whole again, as TCP would send it again. What a
//! relay cannot do is refuse packets of the handshake of TCP: a connection is made, and stays silent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What is forwarded at a time: with a delay, so many bytes for each.
const PIECE: usize = 4096;

pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    link: Mutex<Link>,
    changed: Condvar,
}

#[derive(Default)]
struct Link {
    is_cut: bool,
    has_ended: bool,
    delay: Duration,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A link to an endpoint such as `tcp://127.0.0.1:5555`, where nobody need be as yet.
    pub(crate) fn to(endpoint: &str) -> Self {
        let target = endpoint.strip_prefix("tcp://").expect("tcp").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            link: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepts = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepts.link.lock().unwrap().has_ended {
                    return;
                }
                // Where nobody is, the connection ends at once.
                if let Ok(onward) = TcpStream::connect(&target) {
                    accepts.join(stream, onward);
                }
            }
        });
        Relay { address, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Nothing gets through, and nobody is told.
    pub(crate) fn cut(&self) {
        self.change(|link| link.is_cut = true);
    }

    pub(crate) fn mend(&self) {
        self.change(|link| link.is_cut = false);
    }

    /// Each piece takes so long.
    pub(crate) fn slow(&self, delay: Duration) {
        self.change(|link| link.delay = delay);
    }

    /// Ends all connections, as a firewall does that forgets them.
    pub(crate) fn reset(&self) {
        self.change(|link| {
            for stream in link.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    fn change(&self, what: impl FnOnce(&mut Link)) {
        what(&mut self.shared.link.lock().unwrap());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn join(self: &Arc<Self>, one: TcpStream, other: TcpStream) {
        for (from, to) in [(&one, &other), (&other, &one)] {
            let _ = from.set_nodelay(true);
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = self.clone();
            thread::spawn(move || shared.forward(from, to));
        }
        self.link.lock().unwrap().streams.extend([one, other]);
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = [0; PIECE];
        while let Ok(length) = from.read(&mut piece)
            && length > 0
        {
            let open = |link: &mut Link| link.is_cut && !link.has_ended;
            let link = self.link.lock().unwrap();
            let link = self.changed.wait_while(link, open).unwrap();
            let (delay, has_ended) = (link.delay, link.has_ended);
            drop(link);
            if has_ended {
                break;
            }
            thread::sleep(delay);
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        // The end goes the same way, but not through a cut.
        let link = self.link.lock().unwrap();
        let open = |link: &mut Link| link.is_cut && !link.has_ended;
        drop(self.changed.wait_while(link, open));
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.change(|link| link.has_ended = true);
        self.reset();
        // The thread that accepts takes note.
        let _ = TcpStream::connect(self.address);
    }
}
