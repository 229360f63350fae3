//! What a library must offer to be measured.
//!
//! A [`Library`] is a column. Its sockets implement [`Peer`] and [`Socket`], and [`crate::work`]
//! uses them through generics: the loop over messages is compiled for each library, as its users
//! would write it, and no call per message is dynamic. The methods are async because most of the
//! libraries are; those of a blocking library are ready at once. Whatever goes wrong panics: it
//! ends the child, and the cell says why.
//!
//! A message of up to [`COPIED`] bytes is sent from a slice, as most programs do; a larger one
//! from a shared buffer where the library has such a thing. Every receiver checks every size.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::Bytes;

use crate::child::{End, Task};
use crate::columns;
use crate::measurement::Figures;
use crate::rows::Row;
use crate::work;

/// The longest body that is copied from the caller's slice.
pub(crate) const COPIED: usize = 8 << 10;

/// Everything that is measured; the first is what the others are compared with.
pub(crate) static ALL: &[&dyn Library] = columns::ALL;

/// A library with its recommended settings.
pub(crate) trait Library: Sync {
    /// The name: on the command line, and at the head of a column.
    fn name(&self) -> &'static str;

    /// Its version, and how it is used.
    fn about(&self) -> String;

    /// Whether it is Xebec, somebody else, or no library at all.
    fn role(&self) -> Role;

    /// Why it cannot be measured here.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Why it is left out of a row.
    fn unable(&self, _: &Row) -> Option<&'static str> {
        None
    }

    /// Whether it is measured as connections and subscriptions grow in number.
    fn grows(&self) -> bool {
        false
    }

    /// Does one end of a row, or both.
    fn run(&self, task: Task) -> Figures;
}

/// What a column stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// What all are compared with.
    Reference,
    /// Xebec by one of its interfaces.
    Xebec,
    /// Another implementation.
    #[cfg_attr(
        not(feature = "peers"),
        allow(dead_code, reason = "they were left out")
    )]
    Peer,
    /// Sockets of the kernel and memory, by hand: what no library can be faster than.
    Limit,
}

/// The library of this name.
pub(crate) fn named(name: &str) -> Option<&'static dyn Library> {
    ALL.iter().copied().find(|library| library.name() == name)
}

/// What the sockets of a process share. Dropping it waits until everything that was sent is gone.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    type Socket: Socket;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> Self::Socket;

    /// Does a job in a thread or task of its own.
    fn start(socket: Self::Socket, job: Job);

    /// Passes messages between two sockets, in a thread or task of its own, until the process
    /// ends.
    fn proxy(&self, front: Self::Socket, back: Self::Socket);

    /// Blocks this thread, without holding up what else must run on it.
    fn meanwhile<T>(wait: impl FnOnce() -> T) -> T {
        wait()
    }
}

/// What a thread or task of its own does with a socket.
pub(crate) enum Job {
    /// REP: answers for ever.
    Answer { size: usize },
    /// REQ: `warm_up` requests that are not timed, then `count` of which the nanoseconds are told.
    Ask {
        body: Bytes,
        warm_up: usize,
        count: usize,
        times: Sender<Vec<u64>>,
    },
}

/// The socket types that the workloads use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Push,
    Pull,
    Req,
    Rep,
    Xpub,
    Sub,
    Dealer,
    Router,
}

/// Options that a workload sets; everything else is left as the library has it. What a library
/// has no such option for it does not heed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setting {
    /// BACKLOG: so many connections may wait to be accepted.
    Backlog(u32),
    /// XPUB_NODROP: wait for subscribers that are at their high-water mark.
    NoDrop,
    /// XPUB_VERBOSE: tell of every subscription, also where another subscriber has the same.
    Verbose,
    /// SNDHWM and RCVHWM of none: for subscriptions by the million.
    Unbounded,
    /// A spin budget of none.
    NoSpin,
    /// CURVE, at the end that has [`keys::SERVER`].
    CurveServer,
    /// CURVE, at the end that has [`keys::CLIENT`].
    CurveClient,
}

/// A socket.
pub(crate) trait Socket {
    /// Binds, and returns the real endpoint.
    async fn bind(&mut self, endpoint: &str) -> String;

    async fn connect(&mut self, endpoint: &str);

    /// Takes back a connect.
    async fn disconnect(&mut self, endpoint: &str);

    /// SUB: takes what begins with `prefix`.
    async fn subscribe(&mut self, prefix: &[u8]);

    /// XPUB: waits for so many subscriptions of `size` bytes.
    async fn subscribed(&mut self, count: usize, size: usize) {
        self.recv_many(1 + size, count).await;
    }

    /// Sends a message of one frame.
    async fn send(&mut self, body: &Bytes);

    /// Receives a message of one frame of `size` bytes.
    async fn recv(&mut self, size: usize);

    /// REP and ROUTER: sends a message back to where it came from.
    async fn echo(&mut self, size: usize);

    /// Hands over what the socket keeps until it is told to.
    async fn flush(&mut self) {}

    async fn send_many(&mut self, body: &Bytes, count: usize) {
        for _ in 0..count {
            self.send(body).await;
        }
        self.flush().await;
    }

    async fn recv_many(&mut self, size: usize, count: usize) {
        for _ in 0..count {
            self.recv(size).await;
        }
    }

    async fn echo_many(&mut self, size: usize, count: usize) {
        for _ in 0..count {
            self.echo(size).await;
        }
    }

    /// Closes it; what was sent still leaves.
    async fn close(self);
}

/// Runs the ends of a blocking library: each in a thread.
pub(crate) fn in_threads<P: Peer>(peer: P, task: Task) -> Figures {
    let (bind, connect) = match &task.end {
        End::Bind => return now(work::bind(peer, task)),
        End::Connect(_) => return now(work::connect(peer, task)),
        End::Both => task.both(),
    };
    thread::scope(|scope| {
        let other = peer.clone();
        let other = scope.spawn(|| now(work::connect(other, connect)));
        let figures = now(work::bind(peer, bind));
        figures.and_here(other.join().expect("the other end ended well"))
    })
}

/// [`Peer::start`] of a blocking library.
pub(crate) fn start_thread<S: Socket + Send + 'static>(socket: S, job: Job) {
    thread::spawn(|| now(work::job(socket, job)));
}

/// The outcome of a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("blocking calls block"),
    }
}

/// The key pairs of the two ends under CURVE: those that libzmq's manual uses in its examples.
pub(crate) mod keys {
    /// A key pair: the public key and the secret one, in Z85.
    pub(crate) struct Pair {
        pub(crate) public: &'static str,
        pub(crate) secret: &'static str,
    }

    pub(crate) const CLIENT: Pair = Pair {
        public: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
        secret: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
    };
    pub(crate) const SERVER: Pair = Pair {
        public: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
        secret: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
    };
}
