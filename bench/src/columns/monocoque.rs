//! monocoque, on its runtime for one thread (tokio underneath, which its documents call the faster
//! one over loopback). What streams coalesces its writes; what goes there and back does not.
//!
//! One of its sockets has one connection, made before the socket is.

use bytes::Bytes;
use monocoque::SocketOptions;
use monocoque::rt::{self, LocalRuntime, TcpListener, TcpStream, UnixListener, UnixStream};
use monocoque::zmq::{DealerSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket};

use crate::child::{End, Task};
use crate::library::{COPIED, Job, Kind, Library, Peer, Role, Setting, Socket, keys};
use crate::measurement::Figures;
use crate::rows::{Row, Transport, Work};
use crate::work;

/// Its coalesced writes are left to a flush below so many messages under way.
const BUFFER: usize = 64 << 10;

pub(crate) struct Monocoque;

impl Library for Monocoque {
    fn name(&self) -> &'static str {
        "monocoque"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn about(&self) -> String {
        format!(
            "monocoque-rs {}: its runtime of one thread on tokio; PUSH, DEALER and ROUTER coalesce writes",
            super::version("monocoque-rs")
        )
    }

    fn unable(&self, row: &Row) -> Option<&'static str> {
        match (row.work, row.transport) {
            (_, Transport::Inproc) => Some("has no inproc for these socket types"),
            (Work::Stream { connections: 1 } | Work::RoundTrip, _)
            | (Work::Window { dealers: 1, .. }, _) => None,
            (Work::Calls { .. }, _) => Some("its REP has one connection, once"),
            _ => Some("one of its sockets has one connection"),
        }
    }

    fn run(&self, task: Task) -> Figures {
        let runtime = LocalRuntime::new().expect("a runtime");
        match task.end {
            End::Bind => runtime.block_on(work::bind(Shared, task)),
            _ => runtime.block_on(work::connect(Shared, task)),
        }
    }
}

#[derive(Clone)]
struct Shared;

impl Peer for Shared {
    type Socket = One;

    fn socket(&self, kind: Kind, settings: &[Setting]) -> One {
        let streams = matches!(kind, Kind::Push | Kind::Pull | Kind::Dealer | Kind::Router);
        let mut options = SocketOptions::default();
        if streams {
            options = options
                .with_write_coalescing(true)
                .with_buffer_sizes(BUFFER, BUFFER);
        }
        for setting in settings {
            options = match setting {
                Setting::CurveServer => {
                    let (public, secret) = (keys::SERVER.public, keys::SERVER.secret);
                    let options = options.with_curve_server(true);
                    options.with_curve_keypair(super::key(public), super::key(secret))
                }
                Setting::CurveClient => {
                    let (public, secret) = (keys::CLIENT.public, keys::CLIENT.secret);
                    let options = options.with_curve_serverkey(super::key(keys::SERVER.public));
                    options.with_curve_keypair(super::key(public), super::key(secret))
                }
                _ => options,
            };
        }
        One {
            kind,
            options,
            listener: None,
            socket: None,
        }
    }

    fn start(_: One, _: Job) {
        unreachable!("left out")
    }

    fn proxy(&self, _: One, _: One) {
        unreachable!("left out")
    }
}

enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

struct One {
    kind: Kind,
    options: SocketOptions,
    listener: Option<Listener>,
    socket: Option<Any>,
}

/// One enum over the socket types and the transports, each of which is a type of its own there.
macro_rules! kinds {
    ($($kind:ident $tcp:ident $ipc:ident $type:ident $give:tt $flush:tt;)*) => {
        enum Any {
            $($tcp($type<TcpStream>), $ipc($type<UnixStream>),)*
        }

        impl Any {
            async fn over_tcp(kind: Kind, stream: TcpStream, options: SocketOptions) -> Any {
                match kind {
                    $(Kind::$kind => {
                        let socket = $type::from_tcp_with_options(stream, options).await;
                        Any::$tcp(socket.expect("a handshake"))
                    })*
                    _ => unreachable!("left out"),
                }
            }

            async fn over_ipc(kind: Kind, stream: UnixStream, options: SocketOptions) -> Any {
                match kind {
                    $(Kind::$kind => {
                        let socket = $type::from_unix_stream_with_options(stream, options).await;
                        Any::$ipc(socket.expect("a handshake"))
                    })*
                    _ => unreachable!("left out"),
                }
            }

            #[inline]
            async fn give(&mut self, message: Vec<Bytes>) {
                let sent = match self {
                    $(
                        Any::$tcp(socket) => kinds!(@$give socket, message),
                        Any::$ipc(socket) => kinds!(@$give socket, message),
                    )*
                };
                sent.expect("sent");
            }

            #[inline]
            async fn take(&mut self) -> Vec<Bytes> {
                let received = match self {
                    $(
                        Any::$tcp(socket) => kinds!(@recv $give socket),
                        Any::$ipc(socket) => kinds!(@recv $give socket),
                    )*
                };
                received.expect("received").expect("a message")
            }

            async fn flush(&mut self) {
                let flushed = match self {
                    $(
                        Any::$tcp(socket) => kinds!(@$flush socket),
                        Any::$ipc(socket) => kinds!(@$flush socket),
                    )*
                };
                flushed.expect("flushed");
            }
        }
    };
    (@send $socket:ident, $message:ident) => { $socket.send($message).await };
    (@push $socket:ident, $message:ident) => { $socket.send($message).await };
    (@buffered $socket:ident, $message:ident) => { $socket.send_buffered($message) };
    (@pull $socket:ident, $message:ident) => {{
        let (_, _) = ($socket, $message);
        unreachable!("a PULL sends nothing")
    }};
    (@recv push $socket:ident) => {{
        let _ = $socket;
        unreachable!("a PUSH receives nothing")
    }};
    (@recv $give:tt $socket:ident) => { $socket.recv().await };
    (@flush $socket:ident) => { $socket.flush().await };
    (@none $socket:ident) => {{
        let _ = $socket;
        std::io::Result::Ok(())
    }};
}

kinds! {
    Push PushTcp PushIpc PushSocket push flush;
    Pull PullTcp PullIpc PullSocket pull none;
    Req ReqTcp ReqIpc ReqSocket send none;
    Rep RepTcp RepIpc RepSocket send none;
    Dealer DealerTcp DealerIpc DealerSocket buffered flush;
    Router RouterTcp RouterIpc RouterSocket buffered flush;
}

impl One {
    /// The socket, once somebody has connected.
    #[inline]
    async fn ready(&mut self) -> &mut Any {
        if self.socket.is_none() {
            self.accept().await;
        }
        self.socket.as_mut().expect("accepted")
    }

    async fn accept(&mut self) {
        let options = self.options.clone();
        let socket = match self.listener.as_ref().expect("bound or connected") {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await.expect("accepted");
                Any::over_tcp(self.kind, stream, options).await
            }
            Listener::Ipc(listener) => {
                let (stream, _) = listener.accept().await.expect("accepted");
                Any::over_ipc(self.kind, stream, options).await
            }
        };
        self.socket = Some(socket);
    }
}

#[inline]
fn check(message: &[Bytes], size: usize) {
    let last = message.last().map(Bytes::len);
    assert_eq!(last, Some(size), "a message of another size");
}

impl Socket for One {
    async fn bind(&mut self, endpoint: &str) -> String {
        let (listener, bound) = if endpoint.starts_with("tcp") {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = listener.local_addr().expect("an address");
            (Listener::Tcp(listener), format!("tcp://{address}"))
        } else {
            let bound = super::free_ipc();
            let file = bound.trim_start_matches("ipc://");
            let listener = rt::UnixListener::bind(file).await.expect("bound");
            (Listener::Ipc(listener), bound)
        };
        self.listener = Some(listener);
        bound
    }

    async fn connect(&mut self, endpoint: &str) {
        let options = self.options.clone();
        let socket = match endpoint.split_once("://") {
            Some(("tcp", address)) => {
                let stream = TcpStream::connect(address).await.expect("connected");
                Any::over_tcp(self.kind, stream, options).await
            }
            Some((_, file)) => {
                let stream = UnixStream::connect(file).await.expect("connected");
                Any::over_ipc(self.kind, stream, options).await
            }
            None => unreachable!("an endpoint has a scheme"),
        };
        self.socket = Some(socket);
    }

    async fn disconnect(&mut self, _: &str) {
        unreachable!("left out")
    }

    async fn subscribe(&mut self, _: &[u8]) {
        unreachable!("left out")
    }

    #[inline]
    async fn send(&mut self, body: &Bytes) {
        let body = if body.len() <= COPIED {
            Bytes::copy_from_slice(body)
        } else {
            body.clone()
        };
        self.ready().await.give(vec![body]).await;
    }

    #[inline]
    async fn recv(&mut self, size: usize) {
        check(&self.ready().await.take().await, size);
    }

    #[inline]
    async fn echo(&mut self, size: usize) {
        let socket = self.ready().await;
        let message = socket.take().await;
        check(&message, size);
        socket.give(message).await;
        socket.flush().await;
    }

    async fn flush(&mut self) {
        self.ready().await.flush().await;
    }

    async fn close(self) {}
}
