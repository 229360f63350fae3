//! A ZAP handler (RFC 27) in a thread of its own: who may connect to the sockets of a context.
//!
//! [`Policy`] says who may, [`Authenticator`] binds the handler's endpoint and goes by it. Nobody is
//! let in by accident: what no rule allows is denied, a callback that panics has denied, and after
//! an authenticator is gone its context's sockets let nobody in until there is another.

mod files;
mod policy;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::Mutex;
use zmtp::{Metadata, zap};

use self::policy::Rules;
pub use self::policy::{Decision, Policy, PolicyError};
use crate::context::Context;
use crate::error::{AddressError, RecvError, SocketError};
use crate::message::Message;
use crate::options::Options;
use crate::socket::Core;
use crate::socket::typed::Rep;

/// Judges the peers of a context's sockets by a [`Policy`], which can be replaced while it runs.
///
/// Asked about are the peers of sockets with a ZAP_DOMAIN, and the clients of PLAIN and CURVE
/// servers. Start it before those sockets are bound.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use xebec::{Authenticator, Context, Options, Policy, Pull, Push};
/// let context = Context::new();
/// let policy = Policy::new().allow_address("127.0.0.0/8".parse()?);
/// let authenticator = Authenticator::start(&context, policy)?;
///
/// let inside = Pull::with_options(&context, Options::new().zap_domain("inside"))?;
/// let push = Push::new(&context)?;
/// push.connect(&inside.bind("tcp://127.0.0.1:*")?)?;
/// push.send("let in")?;
/// assert_eq!(inside.recv()?.to_string_lossy(), "let in");
/// assert_eq!(authenticator.stats().allowed, 1);
/// # Ok(()) }
/// ```
///
/// When it is dropped, which waits for a callback that is at work, its endpoint is free, and nobody is let in for want of it: where libzmq would
/// let a peer in unasked because there is no handler, a context that has had an authenticator does
/// not.
pub struct Authenticator {
    desk: Arc<Desk>,
    core: Arc<Core>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its owner share.
struct Desk {
    state: Mutex<State>,
}

struct State {
    policy: Policy,
    /// What the policy says, with its files read. The thread takes it for each request, so that
    /// the lock is not held while a callback thinks.
    rules: Arc<Rules>,
    stats: AuthStats,
}

/// What an [`Authenticator`] has decided so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthStats {
    /// Peers let in (200).
    pub allowed: u64,
    /// Peers denied (400).
    pub denied: u64,
    /// Peers that may try again (300).
    pub postponed: u64,
    /// Peers not let in because a callback panicked or the request made no sense (500).
    pub failed: u64,
}

/// Why an [`Authenticator`] does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// A file of the policy cannot be used.
    Policy(PolicyError),
    /// Its socket cannot be made.
    Socket(SocketError),
    /// Its endpoint cannot be bound; in use, perhaps, by another ZAP handler of the context.
    Address(AddressError),
    /// Its thread cannot be started.
    Thread(io::Error),
}

impl Authenticator {
    /// Binds the handler's endpoint in this context and judges by `policy` from now on.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn start(context: &Context, policy: Policy) -> Result<Self, AuthError> {
        let rules = Arc::new(policy.load().map_err(AuthError::Policy)?);
        // A flood of requests waits with the handshakes that it comes from, not here; a high-water
        // mark has no part in it.
        let rep = Rep::with_options(context, Options::new()).map_err(AuthError::Socket)?;
        let core = rep.as_socket().core().clone();
        let desk = Arc::new(Desk {
            state: Mutex::new(State {
                policy,
                rules,
                stats: AuthStats::default(),
            }),
        });
        // Before there is a handler: from now on there is to be one.
        context.guard();
        rep.bind(zap::ENDPOINT).map_err(AuthError::Address)?;
        let served = desk.clone();
        let thread = thread::Builder::new()
            .name("xebec-zap".into())
            .spawn(move || served.serve(&rep))
            .map_err(AuthError::Thread)?;
        Ok(Authenticator {
            desk,
            core,
            thread: Some(thread),
        })
    }

    /// Judges by another policy from now on. Peers that were let in stay.
    ///
    /// # Errors
    /// A file of the new policy cannot be used; the old one stays.
    pub fn replace(&self, policy: Policy) -> Result<(), PolicyError> {
        let rules = Arc::new(policy.load()?);
        let mut state = self.desk.state.lock();
        state.policy = policy;
        state.rules = rules;
        Ok(())
    }

    /// Reads the policy's files again. Peers that were let in stay.
    ///
    /// # Errors
    /// A file cannot be used; what was read before stays.
    pub fn reload(&self) -> Result<(), PolicyError> {
        let policy = self.desk.state.lock().policy.clone();
        self.replace(policy)
    }

    /// What was decided so far.
    pub fn stats(&self) -> AuthStats {
        self.desk.state.lock().stats
    }

    /// Ends it, as dropping it does.
    pub fn close(self) {}
}

impl Drop for Authenticator {
    fn drop(&mut self) {
        // Its thread's receive ends; nothing else uses that socket.
        self.core.terminate();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic there has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator({:?})", self.stats())
    }
}

impl Desk {
    fn serve(&self, rep: &Rep) {
        loop {
            match rep.recv() {
                Ok(request) => {
                    // A peer that has gone meanwhile needs no answer.
                    let _ = rep.send(self.answer(request));
                }
                Err(RecvError::Interrupted) => {}
                // Closed, or the context is terminated.
                Err(_) => return,
            }
        }
    }

    fn answer(&self, request: Message) -> Message {
        let frames = request.into_frames();
        let (reply, request_id) = match zap::Request::parse(&frames) {
            Ok(request) => (self.decide(&request), request.request_id),
            Err(error) => {
                self.state.lock().stats.failed += 1;
                let request_id = frames.get(1).map_or(&b""[..], |id| id);
                (failure(&error.to_string()), request_id)
            }
        };
        reply.encode(request_id).into_iter().collect()
    }

    fn decide(&self, request: &zap::Request<'_>) -> zap::Reply {
        let rules = self.state.lock().rules.clone();
        // A callback that panics has not said yes.
        let decision = catch_unwind(AssertUnwindSafe(|| {
            let decision = rules.judge(request);
            rules.report(request, &decision);
            decision
        }));
        let stats = &mut self.state.lock().stats;
        let Ok(decision) = decision else {
            stats.failed += 1;
            return failure("a callback of the authenticator panicked");
        };
        let (count, status) = match &decision {
            Decision::Allow { .. } => (&mut stats.allowed, zap::Status::Success),
            Decision::Deny { .. } => (&mut stats.denied, zap::Status::AuthenticationFailure),
            Decision::Later { .. } => (&mut stats.postponed, zap::Status::TemporaryError),
        };
        *count += 1;
        match decision {
            Decision::Allow { user_id, metadata } => zap::Reply {
                status,
                text: Bytes::from_static(b"OK"),
                user_id: user_id.into(),
                metadata,
            },
            Decision::Deny { reason } | Decision::Later { reason } => refusal(status, &reason),
        }
    }
}

fn failure(text: &str) -> zap::Reply {
    refusal(zap::Status::InternalError, text)
}

fn refusal(status: zap::Status, text: &str) -> zap::Reply {
    zap::Reply {
        status,
        text: Bytes::copy_from_slice(text.as_bytes()),
        user_id: Bytes::new(),
        metadata: Metadata::new(),
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Policy(error) => write!(f, "{error}"),
            AuthError::Socket(error) => write!(f, "the authenticator has no socket: {error}"),
            AuthError::Address(error) => write!(f, "the authenticator cannot be reached: {error}"),
            AuthError::Thread(error) => write!(f, "the authenticator has no thread: {error}"),
        }
    }
}

impl std::error::Error for AuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            AuthError::Policy(error) => error,
            AuthError::Socket(error) => error,
            AuthError::Address(error) => error,
            AuthError::Thread(error) => error,
        })
    }
}
