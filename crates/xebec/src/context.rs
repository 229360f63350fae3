//! Contexts: what sockets share.
//!
//! A [`Context`] owns the background threads, the names of inproc endpoints and the account of
//! its sockets. Clones are the same context. Nothing is global: two contexts in one process are
//! two instances that cannot see each other's inproc endpoints, and a child process after
//! `fork` simply makes its own. What it inherited it may drop or terminate, which does nothing;
//! it must not use it otherwise.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::process::Pid;
use rustix::thread::CpuSet;
use zmtp::SocketType;

use crate::error::SocketError;
use crate::io::IoThread;
use crate::options::{ContextOptions, OptionError, Options};
use crate::socket::{Core, Socket};
use crate::transport::resolve::Resolver;

/// What a background thread runs first.
type Hook = dyn Fn(&ContextOptions) -> io::Result<()> + Send + Sync;

/// What a frame may have where no limit is set, in bytes: more than any machine can hold, and less than
/// what a liar would say.
const NO_LIMIT: usize = 1 << 40;

/// What the sockets of a context share.
pub(crate) struct Shared {
    /// Written with `threads` held, so that the threads start with what was set before them.
    options: Mutex<ContextOptions>,
    hook: Option<Arc<Hook>>,
    threads: Mutex<Vec<Running>>,
    sockets: Mutex<Account>,
    /// Told whenever a socket is gone for good.
    gone: Condvar,
    pub(crate) inproc: Mutex<Inproc>,
    pub(crate) resolver: Resolver,
    next_id: AtomicU64,
    cpus: usize,
    /// An [`Authenticator`](crate::Authenticator) guards the context's sockets, or did: nobody is
    /// let in for want of a ZAP handler. Never cleared.
    guarded: AtomicBool,
    /// The process that made it. A forked child has a copy without the threads, with locks as
    /// they were, and with descriptors that are still its parent's: it must not touch them.
    process: Pid,
}

type Running = (Arc<IoThread>, JoinHandle<()>);

#[derive(Default)]
struct Account {
    live: HashMap<u64, Weak<Core>>,
    terminated: bool,
}

/// The nice value of what is served first.
const HIGHEST: i32 = -20;

/// The inproc endpoints of a context.
#[derive(Default)]
pub(crate) struct Inproc {
    pub(crate) bound: HashMap<String, Weak<Core>>,
    /// Pipes that connected before anybody was bound.
    pub(crate) waiting: HashMap<String, Vec<(Weak<Core>, u64)>>,
}

impl Inproc {
    /// Forgets those who wait and are not to wait any more.
    pub(crate) fn forget_waiting(&mut self, forget: impl Fn(&Weak<Core>, u64) -> bool) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(core, token)| !forget(core, *token));
            !waiting.is_empty()
        });
    }
}

impl Shared {
    pub(crate) fn cpus(&self) -> usize {
        self.cpus
    }

    /// Whether nobody is to be let in for want of a ZAP handler.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded.load(Ordering::Relaxed)
    }

    /// Whether the calling process made this context, rather than inherited it by a fork.
    pub(crate) fn is_own(&self) -> bool {
        self.process == rustix::process::getpid()
    }

    /// The process that made this context, and so uses it.
    pub(crate) fn process(&self) -> Pid {
        self.process
    }

    pub(crate) fn max_message_size(&self) -> usize {
        // The largest number that C has for it stands for no limit, which libzmq has none of either.
        let limit = self.options.lock().max_message_size;
        match limit == i32::MAX as usize {
            true => NO_LIMIT,
            false => limit,
        }
    }

    /// The background thread for a socket with this AFFINITY: the first of the mask that has the
    /// fewest sockets. Threads start with the first socket that needs them.
    ///
    /// # Errors
    /// When a thread cannot be started, or the mask has none of them.
    pub(crate) fn io_thread(&self, affinity: u64) -> Result<Arc<IoThread>, SocketError> {
        let mut threads = self.threads.lock();
        if threads.is_empty() {
            *threads = self.start_threads().map_err(SocketError::System)?;
        }
        let allowed = |n: usize| affinity == 0 || (n < 64 && affinity & (1 << n) != 0);
        let chosen = threads
            .iter()
            .enumerate()
            .filter(|(n, _)| allowed(*n))
            .min_by_key(|(_, (thread, _))| Arc::strong_count(thread));
        let none = || OptionError::Invalid {
            name: "ZMQ_AFFINITY",
            given: format!("{affinity:#b}"),
            valid: format!("a bit for one of {} I/O threads", threads.len()),
        };
        let (_, (thread, _)) = chosen.ok_or_else(|| SocketError::Option(none()))?;
        Ok(thread.clone())
    }

    /// All of them, or none.
    fn start_threads(&self) -> io::Result<Vec<Running>> {
        let options = Arc::new(self.options.lock().clone());
        let mut threads = Vec::new();
        for n in 0..options.io_threads.max(1) {
            let name = match options.thread_name_prefix.as_str() {
                "" => format!("xebec-io/{n}"),
                // The builder may have taken a zero byte, with which no thread can be named.
                prefix => format!("{}/io/{n}", prefix.replace('\0', "")),
            };
            let (options, hook) = (options.clone(), self.hook.clone());
            match IoThread::start(name, move || set_up(&options, hook.as_deref())) {
                Ok(running) => threads.push(running),
                Err(error) => {
                    stop(threads);
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    fn check(&self, options: &ContextOptions) -> Result<(), OptionError> {
        options.check()?;
        if options.thread_sched_policy.is_some() && self.hook.is_none() {
            return Err(OptionError::Unsupported {
                name: "ZMQ_THREAD_SCHED_POLICY",
                reason: "without a hook that makes the system call (ContextBuilder::on_thread_start)",
            });
        }
        Ok(())
    }

    fn configure<E: From<OptionError>>(
        &self,
        change: impl FnOnce(&mut ContextOptions) -> Result<(), E>,
    ) -> Result<(), E> {
        let threads = self.threads.lock();
        let before = self.options.lock().clone();
        let mut options = before.clone();
        change(&mut options)?;
        self.check(&options)?;
        if !threads.is_empty() {
            options.check_late(&before)?;
        }
        *self.options.lock() = options;
        Ok(())
    }

    fn socket(
        self: &Arc<Self>,
        kind: SocketType,
        mut options: Options,
    ) -> Result<Arc<Core>, SocketError> {
        let ours = self.options.lock().clone();
        self.check(&ours).map_err(SocketError::Option)?;
        if ours.ipv6 {
            options.ipv6 = true;
        }
        if !ours.blocky && options.linger.is_none() {
            options.linger = Some(Duration::ZERO);
        }
        let mut account = self.sockets.lock();
        if account.terminated {
            return Err(SocketError::Terminated);
        }
        if account.live.len() >= ours.max_sockets {
            return Err(SocketError::TooMany(ours.max_sockets));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let core = Core::new(self, id, kind, options)?;
        account.live.insert(id, Arc::downgrade(&core));
        Ok(core)
    }

    /// A socket has closed and nothing of it is left.
    pub(crate) fn forget(&self, id: u64) {
        self.sockets.lock().live.remove(&id);
        self.gone.notify_all();
    }

    fn terminate(&self) {
        if !self.is_own() {
            return;
        }
        let live: Vec<Arc<Core>> = {
            let mut account = self.sockets.lock();
            account.terminated = true;
            account.live.values().filter_map(Weak::upgrade).collect()
        };
        live.iter().for_each(Core::terminate);
    }

    fn wait_gone(&self) {
        if !self.is_own() {
            return;
        }
        let mut account = self.sockets.lock();
        while !account.live.is_empty() {
            self.gone.wait(&mut account);
        }
        drop(account);
        // Here and not with the last reference, which one of them may hold for a moment longer: when
        // the context has ended, none of its threads runs.
        let threads = std::mem::take(&mut *self.threads.lock());
        stop(threads);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let threads = std::mem::take(self.threads.get_mut());
        if !self.is_own() {
            // They are the parent's; here there is nobody to join.
            return std::mem::forget(threads);
        }
        stop(threads);
    }
}

fn stop(threads: Vec<Running>) {
    threads.iter().for_each(|(thread, _)| thread.stop());
    for (_, handle) in threads {
        // The last socket may end on a background thread, which cannot wait for itself.
        if handle.thread().id() != std::thread::current().id() {
            // A panic there has been reported by the panic hook already.
            let _ = handle.join();
        }
    }
}

/// What a background thread does before it serves: the THREAD options.
fn set_up(options: &ContextOptions, hook: Option<&Hook>) -> io::Result<()> {
    if !options.thread_affinity.is_empty() {
        let mut cpus = CpuSet::new();
        for &cpu in &options.thread_affinity {
            cpus.set(cpu as usize);
        }
        rustix::thread::sched_setaffinity(None, &cpus)?;
    }
    // SCHED_FIFO and SCHED_RR have priorities of their own, which are for the hook to set.
    let realtime = matches!(options.thread_sched_policy, Some(1 | 2));
    if options.thread_priority.is_some_and(|priority| priority > 0) && !realtime {
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), HIGHEST)?;
    }
    hook.map_or(Ok(()), |hook| hook(options))
}

/// Held by every [`Context`] and [`Socket`] of the application; the last to go waits for what
/// closed sockets still have to send.
pub(crate) struct Handle(pub(crate) Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.wait_gone();
    }
}

/// A container for sockets, their background threads and their inproc endpoints
/// (`zmq_ctx_new`). Clones are handles to the same context.
///
/// When the last handle to a context is dropped (sockets count), the drop waits until closed
/// sockets have sent what they have, as long as their LINGER allows. LINGER is without limit
/// unless set: with an unreachable peer and messages for it, set it.
#[derive(Clone)]
pub struct Context(Arc<Handle>);

impl Context {
    /// A context with default settings.
    pub fn new() -> Self {
        Context::builder().build()
    }

    /// Settings for a context.
    pub fn builder() -> ContextBuilder {
        ContextBuilder {
            options: ContextOptions::default(),
            hook: None,
        }
    }

    /// A context with the given options, such as those of a configuration file.
    ///
    /// # Errors
    /// When one of them is not valid.
    pub fn with_options(options: ContextOptions) -> Result<Self, OptionError> {
        let context = Context::builder().options(options).build();
        let shared = &context.0.0;
        shared.check(&shared.options.lock())?;
        Ok(context)
    }

    /// Makes an untyped socket with default options. The types in this crate's root, such as
    /// [`Req`](crate::Req), are usually better.
    ///
    /// # Errors
    /// When the context is terminated, has MAX_SOCKETS sockets or was built with an option that is
    /// not valid, when the system is out of descriptors, or when one of the options is not valid
    /// or not for sockets of this type.
    pub fn socket(&self, kind: SocketType) -> Result<Socket, SocketError> {
        self.socket_with(kind, Options::new())
    }

    /// Makes an untyped socket with the given options.
    ///
    /// # Errors
    /// As [`socket`](Self::socket).
    pub fn socket_with(&self, kind: SocketType, options: Options) -> Result<Socket, SocketError> {
        Ok(Socket::from_core(
            self.0.0.socket(kind, options)?,
            self.0.clone(),
        ))
    }

    /// A copy of the context's options.
    pub fn options(&self) -> ContextOptions {
        self.0.0.options.lock().clone()
    }

    /// Changes options, for sockets to come; see [`Effect`](crate::Effect) for what is fixed once
    /// there was a socket. `change` must not use the context.
    ///
    /// # Errors
    /// Whatever `change` returns, or that an option is not valid or comes too late; then nothing is
    /// changed.
    pub fn configure<E: From<OptionError>>(
        &self,
        change: impl FnOnce(&mut ContextOptions) -> Result<(), E>,
    ) -> Result<(), E> {
        self.0.0.configure(change)
    }

    /// Sets an option by its name, such as `"max_sockets"` or `"ZMQ_MAX_SOCKETS"`, from text.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    pub fn set(&self, name: &str, value: &str) -> Result<(), OptionError> {
        self.configure(|options| options.set(name, value))
    }

    /// Sets an option from what `zmq_ctx_set_ext` gets; `zmq_ctx_set` passes the bytes of an `int`.
    ///
    /// # Errors
    /// As [`configure`](Self::configure) (EINVAL).
    pub fn set_c(&self, number: i32, bytes: &[u8]) -> Result<(), OptionError> {
        self.configure(|options| options.set_c(number, bytes))
    }

    /// What `zmq_ctx_get_ext` tells of an option; see [`ContextOptions::tell_c`].
    ///
    /// # Errors
    /// EINVAL, with the reason.
    pub fn tell_c(&self, number: i32, room: usize) -> Result<Vec<u8>, OptionError> {
        self.0.0.options.lock().tell_c(number, room)
    }

    /// Makes every call on the context's sockets end with an error, those that block now
    /// included, and refuses new sockets (`zmq_ctx_shutdown`). Does not wait.
    pub fn shutdown(&self) {
        self.0.0.terminate();
    }

    /// [Shuts down](Self::shutdown), then waits until the application has closed every socket, their
    /// LINGER is over and the I/O threads have ended (`zmq_ctx_term`).
    pub fn term(&self) {
        self.0.0.terminate();
        self.0.0.wait_gone();
    }

    /// Has nobody let in for want of a ZAP handler, from now on.
    pub(crate) fn guard(&self) {
        self.0.0.guarded.store(true, Ordering::Relaxed);
    }

    /// Sockets that are open or still have something to send.
    pub fn sockets(&self) -> usize {
        self.0.0.sockets.lock().live.len()
    }
}

impl Default for Context {
    fn default() -> Self {
        Context::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} sockets)", self.sockets())
    }
}

/// Settings for a [`Context`] (`zmq_ctx_set`).
#[derive(Clone)]
pub struct ContextBuilder {
    options: ContextOptions,
    hook: Option<Arc<Hook>>,
}

impl fmt::Debug for ContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = self.hook.is_some();
        write!(f, "ContextBuilder({:?}, hook: {hook})", self.options)
    }
}

impl ContextBuilder {
    /// All options at once, instead of those set so far.
    pub fn options(mut self, options: ContextOptions) -> Self {
        self.options = options;
        self
    }

    /// What each background thread runs before it serves, once the other THREAD options are
    /// applied: what only unsafe code can ask of the system, such as THREAD_SCHED_POLICY or the
    /// signals that the thread is not to take. It must not use the context. If it fails, the
    /// context's first socket is not made.
    pub fn on_thread_start(
        mut self,
        hook: impl Fn(&ContextOptions) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// The number of background threads, 1 unless set. They do I/O only for sockets whose
    /// application is away; more than one pays from some gigabytes per second on.
    pub fn io_threads(mut self, threads: usize) -> Self {
        self.options.io_threads = threads;
        self
    }

    /// The most sockets at a time, 1023 unless set.
    pub fn max_sockets(mut self, sockets: usize) -> Self {
        self.options.max_sockets = sockets;
        self
    }

    /// The largest frame in bytes that any socket accepts; no limit unless set.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.options.max_message_size = bytes;
        self
    }

    /// Whether sockets have the option IPV6 from the start; no unless set.
    pub fn ipv6(mut self, on: bool) -> Self {
        self.options.ipv6 = on;
        self
    }

    /// The context. If a setting is out of its range (see
    /// [`CONTEXT_OPTIONS`](crate::CONTEXT_OPTIONS)), no socket can be made in it, and the error of
    /// that says why; [`Context::with_options`] says so at once.
    pub fn build(self) -> Context {
        let shared = Arc::new(Shared {
            options: Mutex::new(self.options),
            hook: self.hook,
            threads: Mutex::new(Vec::new()),
            sockets: Mutex::new(Account::default()),
            gone: Condvar::new(),
            inproc: Mutex::new(Inproc::default()),
            resolver: Resolver::new(),
            next_id: AtomicU64::new(0),
            guarded: AtomicBool::new(false),
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get()),
            process: rustix::process::getpid(),
        });
        Context(Arc::new(Handle(shared)))
    }
}
