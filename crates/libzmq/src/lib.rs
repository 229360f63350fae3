//! The C interface of ZeroMQ (`zmq.h`, 4.3.6) on Xebec's sockets: built as `libzmq.so.5`, it takes
//! libzmq's place under programs that were linked to that.
//!
//! It is thin. A function here checks its arguments, calls the Rust library, and turns the answer
//! into a return value and `errno`; messages, sockets, patterns, options and transports are all
//! `xebec`'s. What is C's own: handles behind `void *` (`handle`), `zmq_msg_t` (`message`), sending
//! and receiving frame by frame (`socket`), monitors that are sockets (`monitor`), and one table of
//! error numbers (`errno`).
//!
//! # The contract of every function
//! * A pointer to a context, socket, poller, timers or message is one that this library gave or set
//!   up, or null, or one to an object of another of these kinds or to a closed one: the last three are
//!   answered with an error. Any other pointer is undefined behaviour, as it is with libzmq.
//! * A context may be used from any thread at once; a socket from one thread at a time, handed on with
//!   a fence; a message by one thread at a time.
//! * A panic never leaves a function: it is reported by the panic hook and becomes EFAULT.
//!
//! The `# Safety` sections of the functions name only what goes beyond that.

mod call;
mod context;
mod errno;
mod handle;
mod message;
mod monitor;
mod options;
mod poll;
mod proxy;
mod security;
mod socket;
mod timers;
mod utilities;

pub use context::*;
pub use message::*;
pub use monitor::*;
pub use options::*;
pub use poll::*;
pub use proxy::*;
pub use security::*;
pub use socket::*;
pub use timers::*;
pub use utilities::*;
