//! From the host of a TCP endpoint to socket addresses.
//!
//! Addresses, `*` and interface names are looked up on the spot (`resolve_now`). Host names go
//! through the system's resolver (`resolve`), which may block for as long as a name server takes;
//! the [`Resolver`] runs it on threads of its own so that no I/O thread ever waits for it.
//!
//! With `ipv6` off, only IPv4 addresses are given; with it on, both kinds, in the order to try.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::interface;
use crate::endpoint::{Host, Port, TcpEndpoint, Zone};

/// The most threads that resolve at a time.
const MAX_THREADS: usize = 8;
/// The most jobs that wait for a thread.
const MAX_QUEUED: usize = 4096;

/// Why a host has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// An IPv6 address, but the IPV6 option is off.
    Ipv6Off(Ipv6Addr),
    /// There is no network interface of this name.
    NoInterface(String),
    /// The host or interface exists, but has no address of a kind that may be used.
    NoAddress(String),
    /// The system could not find the host.
    NotFound {
        /// The host as it was given.
        host: String,
        /// The reason that the system gives.
        cause: String,
    },
    /// Too many names are being resolved, or there is no thread to do it.
    Busy,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv6Off(address) => {
                write!(
                    f,
                    "{address} is an IPv6 address: turn the ipv6 option on to use it"
                )
            }
            Self::NoInterface(name) => {
                write!(
                    f,
                    "there is no network interface `{name}`: `ip address` lists those there are"
                )
            }
            Self::NoAddress(host) => {
                write!(
                    f,
                    "`{host}` has no usable address: turn the ipv6 option on if it has IPv6 only"
                )
            }
            Self::NotFound { host, cause } => {
                write!(
                    f,
                    "host `{host}` was not found ({cause}): check its spelling and the network"
                )
            }
            Self::Busy => f.write_str("too many host names are being resolved: try again later"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// The addresses of `endpoint`, if they can be told without asking a name server; `None` if not.
///
/// `passive` is for binding: interface names count, and come before host names.
pub(crate) fn resolve_now(
    endpoint: &TcpEndpoint,
    passive: bool,
    ipv6: bool,
) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
    match &endpoint.host {
        Host::Name(name) if passive => resolve_interface(name, endpoint.port, ipv6),
        Host::Name(_) => None,
        host => resolve_literal(host, endpoint.port, ipv6),
    }
}

/// The addresses of `endpoint`, all of them, without repetition, in the order to try. May block.
pub(crate) fn resolve(
    endpoint: &TcpEndpoint,
    passive: bool,
    ipv6: bool,
) -> Result<Vec<SocketAddr>, ResolveError> {
    if let Some(known) = resolve_now(endpoint, passive, ipv6) {
        return known;
    }
    match &endpoint.host {
        Host::Name(name) => resolve_name(name, endpoint.port, ipv6),
        host => Err(ResolveError::NoAddress(host.to_string())),
    }
}

/// The addresses that a connection may leave from. Never blocks: a source is an address, `*` or
/// an interface.
pub(crate) fn resolve_source(
    (host, port): &(Host, Port),
    ipv6: bool,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = match host {
        Host::Name(name) => resolve_interface(name, *port, ipv6),
        host => resolve_literal(host, *port, ipv6),
    };
    found.unwrap_or_else(|| Err(ResolveError::NoInterface(host.to_string())))
}

fn resolve_literal(
    host: &Host,
    port: Port,
    ipv6: bool,
) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
    let port = port.number();
    let any4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Some(match host {
        Host::Any if ipv6 => Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), any4]),
        Host::Any => Ok(vec![any4]),
        Host::V4(address) => Ok(vec![SocketAddr::from((*address, port))]),
        Host::V6(address, _) if !ipv6 => Err(ResolveError::Ipv6Off(*address)),
        Host::V6(address, zone) => zone_index(zone.as_ref())
            .map(|zone| vec![SocketAddrV6::new(*address, port, 0, zone).into()]),
        Host::Name(_) => return None,
    })
}

fn zone_index(zone: Option<&Zone>) -> Result<u32, ResolveError> {
    match zone {
        None => Ok(0),
        Some(Zone::Index(index)) => Ok(index.get()),
        Some(Zone::Name(name)) => {
            interface::index(name).ok_or_else(|| ResolveError::NoInterface(name.clone()))
        }
    }
}

/// `None` if no interface has this name.
fn resolve_interface(
    name: &str,
    port: Port,
    ipv6: bool,
) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
    // A system that cannot list its interfaces may still know the name as a host.
    let found = interface::addresses(name, port.number(), ipv6).unwrap_or_default();
    if !found.is_empty() {
        return Some(Ok(found));
    }
    interface::index(name).map(|_| Err(ResolveError::NoAddress(name.to_owned())))
}

fn resolve_name(name: &str, port: Port, ipv6: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = (name, port.number()).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        // The standard library puts a phrase in front of the system's reason.
        let cause = text
            .rsplit_once(": ")
            .map_or(text.as_str(), |(_, cause)| cause);
        ResolveError::NotFound {
            host: name.to_owned(),
            cause: cause.to_owned(),
        }
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if (ipv6 || address.is_ipv4()) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(ResolveError::NoAddress(name.to_owned()));
    }
    Ok(addresses)
}

/// What is to be resolved off the calling thread; the arguments of [`resolve`].
#[derive(Clone, Debug)]
pub(crate) struct ResolveJob {
    pub(crate) endpoint: TcpEndpoint,
    pub(crate) passive: bool,
    pub(crate) ipv6: bool,
}

/// Takes the outcome of a job, on a thread of the resolver.
pub(crate) type Resolved = Box<dyn FnOnce(Result<Vec<SocketAddr>, ResolveError>) + Send>;

/// Resolves host names on threads that exist only while there is work.
///
/// Dropping it waits for nothing: the system's resolver cannot be interrupted. Jobs already
/// submitted still run, and their callbacks are called.
#[derive(Clone, Default)]
pub(crate) struct Resolver {
    work: Arc<Mutex<Work>>,
}

#[derive(Default)]
struct Work {
    /// Invariant: not empty only while `threads` is above 0.
    queue: VecDeque<Task>,
    threads: usize,
}

type Task = Box<dyn FnOnce() + Send>;

impl Resolver {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Resolves `job` and then calls `done`, on another thread. On an error, `done` is dropped
    /// without a call.
    pub(crate) fn submit(&self, job: ResolveJob, done: Resolved) -> Result<(), ResolveError> {
        self.run(Box::new(move || {
            done(resolve(&job.endpoint, job.passive, job.ipv6))
        }))
    }

    fn run(&self, task: Task) -> Result<(), ResolveError> {
        let mut work = self.work.lock();
        if work.queue.len() >= MAX_QUEUED {
            return Err(ResolveError::Busy);
        }
        work.queue.push_back(task);
        if work.threads == MAX_THREADS {
            return Ok(());
        }
        let shared = Arc::clone(&self.work);
        let name = "xebec-resolver".to_owned();
        match thread::Builder::new()
            .name(name)
            .spawn(move || drain(&shared))
        {
            Ok(_) => work.threads += 1,
            // No more threads to be had: those that run take the job, if there are any.
            Err(_) if work.threads > 0 => {}
            Err(_) => {
                work.queue.pop_back();
                return Err(ResolveError::Busy);
            }
        }
        Ok(())
    }
}

/// The life of a thread: works until nothing is queued.
fn drain(work: &Mutex<Work>) {
    loop {
        let task = {
            let mut work = work.lock();
            match work.queue.pop_front() {
                Some(task) => task,
                None => {
                    work.threads -= 1;
                    return;
                }
            }
        };
        // A callback that panics has been reported by the panic hook; the jobs behind it go on.
        let _ = catch_unwind(AssertUnwindSafe(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use std::sync::mpsc;

    fn tcp(text: &str) -> TcpEndpoint {
        match Endpoint::parse(text) {
            Ok(Endpoint::Tcp(tcp)) => tcp,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Asserts what is known of an endpoint without asking anybody; addresses are in order.
    fn known(text: &str, passive: bool, ipv6: bool, expected: &[&str]) {
        let found = resolve_now(&tcp(text), passive, ipv6)
            .expect(text)
            .expect(text);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn literals() {
        known("tcp://127.0.0.1:80", false, false, &["127.0.0.1:80"]);
        known("tcp://127.0.0.1:80", true, true, &["127.0.0.1:80"]);
        known("tcp://[::1]:80", false, true, &["[::1]:80"]);
        known("tcp://[fe80::1%7]:80", false, true, &["[fe80::1%7]:80"]);
        known("tcp://[fe80::1%lo]:80", false, true, &["[fe80::1%1]:80"]);
        known("tcp://*:80", true, false, &["0.0.0.0:80"]);
        known("tcp://*:*", true, true, &["[::]:0", "0.0.0.0:0"]);
    }

    #[test]
    fn interfaces() {
        known("tcp://lo:80", true, false, &["127.0.0.1:80"]);
        assert!(
            resolve_now(&tcp("tcp://lo:80"), false, false).is_none(),
            "a host, to connect to"
        );
        assert!(
            resolve_now(&tcp("tcp://nosuch:80"), true, false).is_none(),
            "maybe a host"
        );
        let source = resolve_source(&(Host::Name("lo".into()), Port::Any), false);
        assert_eq!(source, Ok(vec!["127.0.0.1:0".parse().expect("an address")]));
        let error = resolve_source(&(Host::Name("localhost".into()), Port::Any), false);
        assert_eq!(error, Err(ResolveError::NoInterface("localhost".into())));
    }

    #[test]
    fn what_cannot_be_resolved() {
        let address = "fe80::1".parse().expect("an address");
        let error = resolve(&tcp("tcp://[fe80::1]:80"), false, false);
        assert_eq!(error, Err(ResolveError::Ipv6Off(address)));
        let error = resolve(&tcp("tcp://[fe80::1%nosuch]:80"), false, true);
        assert_eq!(error, Err(ResolveError::NoInterface("nosuch".into())));
        // `.invalid` never exists (RFC 2606).
        let error = resolve(&tcp("tcp://xebec.invalid:80"), false, true).expect_err("no such host");
        assert!(matches!(&error, ResolveError::NotFound { host, .. } if host == "xebec.invalid"));
        assert!(error.to_string().contains("`xebec.invalid`"), "{error}");
    }

    #[test]
    fn localhost_by_either_kind() {
        let four = resolve(&tcp("tcp://localhost:80"), false, false).expect("localhost");
        assert_eq!(four, ["127.0.0.1:80".parse().expect("an address")]);
        let both = resolve(&tcp("tcp://localhost:80"), false, true).expect("localhost");
        assert!(
            both.iter().all(|address| address.ip().is_loopback()),
            "{both:?}"
        );
        for (i, address) in both.iter().enumerate() {
            assert!(!both[..i].contains(address), "{both:?}");
        }
    }

    #[test]
    fn off_the_calling_thread() {
        let (sender, receiver) = mpsc::channel();
        let done: Resolved = Box::new(move |found| {
            let thread = thread::current().name().map(str::to_owned);
            sender.send((thread, found)).expect("the test waits");
        });
        let job = ResolveJob {
            endpoint: tcp("tcp://localhost:80"),
            passive: false,
            ipv6: false,
        };
        Resolver::new().submit(job, done).expect("submit");
        let (thread, found) = receiver.recv().expect("a result");
        assert_eq!(thread.as_deref(), Some("xebec-resolver"));
        assert_eq!(found, Ok(vec!["127.0.0.1:80".parse().expect("an address")]));
    }

    #[test]
    fn threads_and_queue_are_bounded_and_end() {
        let resolver = Resolver::new();
        let (started, starts) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let mut gates = Vec::new();
        for _ in 0..MAX_THREADS {
            let (gate, opened) = mpsc::channel::<()>();
            gates.push(gate);
            let (started, ended) = (started.clone(), ended.clone());
            let task = move || {
                started.send(()).expect("the test waits");
                let _ = opened.recv();
                ended.send(()).expect("the test waits");
            };
            resolver.run(Box::new(task)).expect("a thread");
        }
        starts.iter().take(MAX_THREADS).for_each(drop);
        for _ in 0..MAX_QUEUED {
            let ended = ended.clone();
            let task = move || ended.send(()).expect("the test waits");
            resolver.run(Box::new(task)).expect("room");
        }
        assert_eq!(resolver.run(Box::new(|| ())), Err(ResolveError::Busy));
        assert_eq!(resolver.work.lock().threads, MAX_THREADS);
        drop(gates);
        ends.iter().take(MAX_THREADS + MAX_QUEUED).for_each(drop);
        while resolver.work.lock().threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_callback_that_panics_harms_no_other() {
        let resolver = Resolver::new();
        let (sender, receiver) = mpsc::channel();
        for i in 0..3 * MAX_THREADS {
            let sender = sender.clone();
            let task = move || {
                assert!(i % 3 != 0, "this panic is part of the test");
                sender.send(i).expect("the test waits");
            };
            resolver.run(Box::new(task)).expect("room");
        }
        drop(sender);
        assert_eq!(receiver.iter().count(), 2 * MAX_THREADS);
    }
}
