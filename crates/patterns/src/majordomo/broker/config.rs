//! What a broker may be told: endpoints, limits, policies.

use std::collections::HashMap;
use std::time::Duration;

use xebec::Options;

use super::super::{HEARTBEAT, LIVENESS};

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many requests.
    pub messages: usize,
    /// So many bytes of their bodies.
    pub bytes: usize,
}

impl Limit {
    /// So many requests of so many bytes together.
    pub const fn new(messages: usize, bytes: usize) -> Self {
        Limit { messages, bytes }
    }
}

/// How the requests of a service and its workers are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a request is given to another worker after one had it and died; 0 reports the first
    /// failure to the client. By default 2.
    pub retries: u32,
    /// How much the broker holds for the service, waiting or at work. By default 100,000 requests of
    /// 256 MiB.
    pub limit: Limit,
    /// How long a request waits for a worker before it is refused. By default a minute.
    pub queue_time: Duration,
    /// How long a worker may take for a request before it is given up, though it sends heartbeats.
    /// By default as long as it likes.
    pub reply_time: Option<Duration>,
    /// How often the workers are expected to send heartbeats. One that is found to send them at a pace
    /// of its own, slower but still before it expires, or faster, is met at that pace. By default
    /// 2.5 s.
    pub heartbeat: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            retries: 2,
            limit: Limit::new(100_000, 256 << 20),
            queue_time: Duration::from_secs(60),
            reply_time: None,
            heartbeat: HEARTBEAT,
        }
    }
}

/// How a [`Broker`](super::Broker) is set up.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where clients and workers come to.
    pub bind: Vec<String>,
    /// Where workers may come to as well: a second ROUTER, if there are any.
    pub bind_workers: Vec<String>,
    /// Where a Titanic inside this process comes to, and nobody else does: a ROUTER of its own, if there are
    /// any. Then no other worker may offer a service whose name begins with `titanic.`.
    pub bind_titanic: Vec<String>,
    /// Options of all sockets; ROUTER_MANDATORY, DISCONNECT_MSG and LINGER (a second) are the broker's own. By default
    /// MAXMSGSIZE is 256 MiB: the connection of a peer that sends a larger frame ends before there is
    /// memory for it. SNDHWM and SNDHWM_BYTES, 1000 replies of 64 MiB, bound what a client does not read.
    pub options: Options,
    /// A worker that is silent for so many heartbeats is given up. By default 3.
    pub liveness: u32,
    /// How much the broker holds for one client. By default 10,000 requests of 64 MiB.
    pub client_limit: Limit,
    /// How much it holds in all. By default 1,000,000 requests of 1 GiB.
    pub limit: Limit,
    /// How many workers it takes. By default 100,000.
    pub workers: usize,
    /// How many services it knows, with workers or only requests. By default 100,000.
    pub services: usize,
    /// A service that has had no worker for so long is forgotten. By default a minute.
    pub service_time: Duration,
    /// How long workers may take to end their requests when the broker is to end. By default 30 s.
    pub drain_time: Duration,
    /// Whether a client whose request carries no stamp is told of a refusal by a reply of three
    /// frames, see [`Refusal`](super::super::stamp::Refusal); otherwise it gets none. By default so.
    pub refusals: bool,
    /// How many bytes of the parts of one reply it collects, where it must: for a client of MDP 0.1 or
    /// with stamps. By default 64 MiB.
    pub reply_bytes: usize,
    /// The policy of services that are not in `policies`.
    pub policy: Policy,
    /// Policies by the names of their services.
    pub policies: HashMap<String, Policy>,
}

impl BrokerConfig {
    /// The defaults, bound to an endpoint.
    pub fn new(bind: impl Into<String>) -> Self {
        BrokerConfig {
            bind: vec![bind.into()],
            ..BrokerConfig::default()
        }
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            bind: Vec::new(),
            bind_workers: Vec::new(),
            bind_titanic: Vec::new(),
            options: Options::new().maxmsgsize(256 << 20).sndhwm_bytes(64 << 20),
            liveness: LIVENESS,
            client_limit: Limit::new(10_000, 64 << 20),
            limit: Limit::new(1_000_000, 1 << 30),
            workers: 100_000,
            services: 100_000,
            service_time: Duration::from_secs(60),
            drain_time: Duration::from_secs(30),
            refusals: true,
            reply_bytes: 64 << 20,
            policy: Policy::default(),
            policies: HashMap::new(),
        }
    }
}
