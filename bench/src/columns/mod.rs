//! The libraries that are measured, each as its own documents advise.

mod libzmq;
#[cfg(feature = "peers")]
mod monocoque;
mod native;
#[cfg(feature = "peers")]
mod omq;
mod raw;
mod ring;
#[cfg(feature = "peers")]
mod rzmq;
mod tokio;
#[cfg(feature = "peers")]
mod zmqrs;

use crate::library::Library;

/// What was built, and with which dependencies.
#[cfg(feature = "peers")]
const LOCK: &str = include_str!("../../Cargo.lock");

/// In the order of the tables' columns.
pub(super) const ALL: &[&dyn Library] = &[
    &libzmq::Libzmq::DEBIAN,
    &native::Native,
    &libzmq::Libzmq::OURS,
    &tokio::Tokio,
    #[cfg(feature = "peers")]
    &omq::Blocking,
    #[cfg(feature = "peers")]
    &omq::Tokio,
    #[cfg(feature = "peers")]
    &rzmq::Rzmq,
    #[cfg(feature = "peers")]
    &zmqrs::ZmqRs,
    #[cfg(feature = "peers")]
    &monocoque::Monocoque,
    &raw::Raw,
];

/// The version of a crate that this program is built with.
#[cfg(feature = "peers")]
fn version(name: &str) -> &'static str {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let rest = LOCK.split_once(&entry).map_or("unknown", |(_, rest)| rest);
    rest.split('"').next().unwrap_or(rest)
}

/// A key as bytes.
#[cfg(feature = "peers")]
fn key(z85: &str) -> [u8; 32] {
    let bytes = xebec::z85::decode(z85).expect("a key");
    bytes.try_into().expect("of 32 bytes")
}

/// An ipc endpoint that only this process has.
#[cfg(feature = "peers")]
fn free_ipc() -> String {
    let file = std::env::temp_dir().join(format!("xebec-bench-{}.ipc", std::process::id()));
    format!("ipc://{}", file.display())
}

/// Runs the ends of an async library as tasks of a multi-threaded runtime, where a program's tasks
/// live. A macro, because only of a library's own futures can it be known that they are `Send`.
macro_rules! in_tasks {
    ($runtime:expr, $peer:expr, $task:expr) => {{
        use crate::child::{End, Task};
        use crate::work::{bind, connect};
        let (runtime, peer, task): (&tokio::runtime::Runtime, _, Task) = (&$runtime, $peer, $task);
        match task.end {
            End::Bind => runtime.block_on(runtime.spawn(bind(peer, task))),
            End::Connect(_) => runtime.block_on(runtime.spawn(connect(peer, task))),
            End::Both => {
                let (here, there) = task.both();
                let there = runtime.spawn(connect(peer.clone(), there));
                let here = runtime.spawn(bind(peer, here));
                runtime.block_on(async {
                    let figures = here.await?;
                    Ok(figures.and_here(there.await?))
                })
            }
        }
        .expect("the task ended well")
    }};
}

/// [`Peer::start`](crate::library::Peer::start) and `meanwhile` of such a library.
macro_rules! starts_tasks {
    () => {
        fn start(socket: Self::Socket, job: crate::library::Job) {
            tokio::spawn(crate::work::job(socket, job));
        }

        fn meanwhile<T>(wait: impl FnOnce() -> T) -> T {
            tokio::task::block_in_place(wait)
        }
    };
}

use {in_tasks, starts_tasks};
