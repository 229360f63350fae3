//! What a broker counts, and what it can tell of its state.

use std::fmt;
use std::time::Duration;

use crate::counters::counters;

counters! {
    /// How often things happened since the broker started.
    Counters:
    /// Requests that clients made, those to `mmi.` services too.
    requests,
    /// Requests given to workers, again ones too.
    dispatched,
    /// Last parts of replies sent to clients.
    replies,
    /// Parts of replies sent to clients before the last one.
    partials,
    /// Requests given to another worker after theirs was gone.
    retries,
    /// Requests reported as failed because their worker was gone.
    failed,
    /// Requests refused because a queue was full.
    refused_full,
    /// Requests refused because the broker is about to end.
    refused_draining,
    /// Requests refused because the broker is one of a pair and stood by.
    refused_standby,
    /// Requests that no worker took in time.
    expired_requests,
    /// Waiting requests dropped because their client had gone.
    abandoned,
    /// Refusals that were not told, as configured.
    silent_refusals,
    /// Requests that came again and were answered from the store.
    answered_again,
    /// Requests that came again while the first was at hand.
    joined,
    /// Replies to stamped requests that could not be kept.
    not_kept,
    /// Replies and refusals that could not be sent: the client has gone.
    undeliverable,
    /// Replies and refusals dropped because too much waits for a client that does not read.
    unread,
    /// Replies from workers that were not asked, or no more.
    late_replies,
    /// Messages that are none of the protocol.
    invalid,
    /// Workers that registered.
    workers_ready,
    /// Workers that left.
    workers_left,
    /// Workers whose connection was lost.
    workers_lost,
    /// Workers that were silent for too long.
    workers_expired,
    /// Workers that took too long for a request.
    workers_overdue,
    /// Workers sent away: more than allowed, not known, or against the protocol, or because the broker stands
    /// by.
    workers_refused,
    /// Services that went away.
    expired_services,
    /// Heartbeats sent to workers.
    heartbeats,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDigest {
    /// Its name.
    pub name: String,
    /// How many workers it has.
    pub workers: usize,
    /// How many of them wait for a request, without those that were found to have missed a heartbeat.
    pub idle: usize,
    /// How many requests wait for a worker.
    pub queued: usize,
    /// How many bytes it holds.
    pub bytes: usize,
}

impl fmt::Display for ServiceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} workers={} idle={} queued={} bytes={}",
            self.name, self.workers, self.idle, self.queued, self.bytes
        )
    }
}

/// The state of a broker; as text, one thing a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How long it has run.
    pub uptime: Duration,
    /// Whether it is about to end.
    pub draining: bool,
    /// Whether it is one of a pair and stands by.
    pub standing_by: bool,
    /// How many services it knows.
    pub services: usize,
    /// How many workers.
    pub workers: usize,
    /// For how many clients it holds requests.
    pub clients: usize,
    /// How many requests it holds, waiting or at work.
    pub held: usize,
    /// And their bytes.
    pub held_bytes: usize,
    /// How many replies are kept for requests that may come again.
    pub kept: usize,
    /// And their bytes.
    pub kept_bytes: usize,
    /// What was counted.
    pub counters: Counters,
    /// The services, by name; the first thousand.
    pub each: Vec<ServiceDigest>,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "broker uptime={}s draining={} standing_by={} services={} workers={} clients={} held={} held_bytes={} kept={} kept_bytes={}",
            self.uptime.as_secs(),
            self.draining,
            self.standing_by,
            self.services,
            self.workers,
            self.clients,
            self.held,
            self.held_bytes,
            self.kept,
            self.kept_bytes,
        )?;
        writeln!(f, "{}", self.counters)?;
        self.each
            .iter()
            .try_for_each(|service| writeln!(f, "service {service}"))
    }
}
