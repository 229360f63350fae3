//! A socket that has one connection and nothing else, as most clients have.
//!
//! Whoever waits for a message there need not ask the set of descriptors: it reads from the connection, and
//! sleeps on that connection's descriptor, beside the set. So it is woken without the set, which is in another set,
//! and need not ask it what happened: a round trip on one core took 18.7 µs and takes 17.5 (row `req-tcp-core` of
//! the benchmark, medians of seven interleaved runs). What else may come up meanwhile is told to
//! the sleeper by the socket's signal: another descriptor in the set, the end of the connection, or that the
//! kernel takes no more, so that it matters when it does again. Then the set is slept on as ever.
//!
//! The set goes on reporting what was read without it; it is asked before the background thread is to
//! look after it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::core::{Core, State};
use crate::conn::Conn;
use crate::pipe::PipeId;

impl Core {
    /// The set has another descriptor, or the connection that was its only one ends.
    pub(super) fn rouse(&self, st: &State) {
        if st.pipes.beside > 0 {
            self.signal.raise();
        }
    }
}

impl State {
    /// The socket's only pipe, if it has a connection that brings messages for a receiver.
    fn only(&self) -> Option<(PipeId, &Conn)> {
        if self.pipes.len() != 1 || self.consumes {
            return None;
        }
        let id = self.pipes.only()?;
        let pipe = self.pipes.pipe(id);
        let conn = pipe.conn().filter(|conn| !conn.in_handshake())?;
        (pipe.attached && !pipe.ending).then_some((id, conn))
    }

    pub(super) fn has_only(&self) -> bool {
        self.only().is_some()
    }

    /// Has the next look read from a socket's only connection directly, which costs one system call
    /// where asking the set first would cost two. False if it has another number of them.
    pub(super) fn probe(&mut self) -> bool {
        let Some((id, _)) = self.only() else {
            return false;
        };
        if let Some((conn, _)) = self.pipes.conn_and_pool(id) {
            conn.readable = true;
        }
        self.probed = true;
        // More may come with the message that is waited for than this caller takes.
        self.pipes.mark_unread(id);
        self.harvested |= self.alone().is_some();
        self.pattern.readable(id);
        true
    }

    /// The descriptor of the only connection, if the set has no other and nothing to tell of it but what
    /// can be read.
    pub(super) fn alone(&self) -> Option<&Arc<OwnedFd>> {
        let (_, conn) = self.only()?;
        let alone = conn.writable && self.listeners.is_empty() && self.watch.is_none();
        alone.then(|| conn.stream().fd())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use zmtp::SocketType;

    use crate::context::Context;
    use crate::message::Message;
    use crate::socket::Socket;

    const LONG: Duration = Duration::from_secs(20);

    /// Waits until it is so of the number that sleep beside the set, and whether there is a tick.
    fn until(socket: &Socket, is_so: impl Fn(usize, bool) -> bool) {
        let begun = Instant::now();
        loop {
            let st = socket.core().lock_for_link();
            if is_so(st.pipes.beside, st.lease.is_ticking()) {
                return;
            }
            drop(st);
            assert!(begun.elapsed() < LONG, "not within {LONG:?}");
            thread::yield_now();
        }
    }

    /// Has `main` run while another thread sleeps in a `recv` of a DEALER that is connected to another; what
    /// it received.
    fn beside(main: impl FnOnce(&Context, &Socket, &Socket, &str)) -> Option<Message> {
        let context = Context::new();
        let dealer = || context.socket(SocketType::Dealer).unwrap();
        let (server, client) = (dealer(), dealer());
        client.set("spin", "off").unwrap();
        // Little is on its way between them but in the kernel.
        client.set("sndhwm", "10").unwrap();
        server.set("rcvhwm", "1").unwrap();
        let endpoint = server.bind("tcp://127.0.0.1:*").unwrap();
        client.connect(&endpoint).unwrap();
        client.send("first").unwrap();
        server.recv().unwrap();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| client.recv_timeout(LONG).ok());
            until(&client, |beside, ticking| beside == 1 && !ticking);
            main(&context, &server, &client, &endpoint);
            sleeper.join().unwrap()
        })
    }

    #[test]
    fn a_peer_of_a_new_endpoint_wakes_it() {
        let received = beside(|context, _, client, _| {
            let endpoint = client.bind("tcp://127.0.0.1:*").unwrap();
            let other = context.socket(SocketType::Dealer).unwrap();
            other.connect(&endpoint).unwrap();
            other.send("hello").unwrap();
            until(client, |beside, _| beside == 0);
        });
        assert_eq!(received, Some("hello".into()));
    }

    /// Neither a client that asks without a pause nor a wait that spins keeps others out.
    #[test]
    fn a_peer_is_let_in_while_the_only_connection_is_watched() {
        for busy in [true, false] {
            let context = Context::new();
            let socket = |kind| context.socket(kind).unwrap();
            let server = socket(SocketType::Rep);
            server.set("spin", "60000000").unwrap();
            let (first, second) = (socket(SocketType::Req), socket(SocketType::Req));
            let endpoint = server.bind("tcp://127.0.0.1:*").unwrap();
            let answered = |client: &Socket| {
                client.send("hello").unwrap();
                client.recv_timeout(LONG).is_ok()
            };
            let let_in = thread::scope(|scope| {
                scope
                    .spawn(|| while server.recv().is_ok_and(|asked| server.send(asked).is_ok()) {});
                first.connect(&endpoint).unwrap();
                let asks = AtomicBool::new(answered(&first) && busy);
                let let_in = thread::scope(|scope| {
                    scope.spawn(|| {
                        while asks.load(Ordering::Relaxed) {
                            assert!(answered(&first));
                        }
                    });
                    second.connect(&endpoint).unwrap();
                    let let_in = answered(&second);
                    asks.store(false, Ordering::Relaxed);
                    let_in
                });
                context.shutdown();
                let_in
            });
            assert!(let_in, "beside one that is busy: {busy}");
        }
    }

    #[test]
    fn it_writes_what_others_could_not_when_there_is_room() {
        let received = beside(|_, server, client, _| {
            let mut sent = 0;
            while client.try_send(vec![0; 100_000]).is_ok() {
                sent += 1;
            }
            // Nobody else looks.
            until(client, |_, ticking| !ticking);
            for _ in 0..sent {
                server.recv_timeout(LONG).unwrap();
            }
            server.send("all").unwrap();
        });
        assert_eq!(received, Some("all".into()));
    }

    #[test]
    fn the_end_of_its_connection_is_told_to_it() {
        beside(|context, _, client, endpoint| {
            // Else the end is a conversation, which it hears.
            client.set("linger", "0").unwrap();
            client.disconnect(endpoint).unwrap();
            until(client, |beside, _| beside == 0);
            context.shutdown();
        });
    }
}
