//! What a Titanic counts, and what it can tell of its state.

use std::fmt;
use std::time::Duration;

use super::Usage;
use crate::counters::counters;

counters! {
    /// How often things happened since Titanic started.
    ServerCounters:
    /// Requests to `titanic.request`.
    requests,
    /// Those that were stored and answered with 200.
    accepted,
    /// Questions for a reply that were answered with it.
    fetched,
    /// Questions for a reply that was not there yet (300).
    pending,
    /// UUIDs that are not known, or are none (400).
    unknown,
    /// Requests that were closed.
    closed,
    /// Answers of 500: the store is full, or the request cannot be.
    refused,
    /// Requests sent to services, again ones too.
    calls,
    /// Replies of services.
    replies,
    /// Calls that brought no reply in time, or whose worker failed.
    no_reply,
    /// Calls that no worker took.
    unavailable,
    /// Replies that were too large to be kept.
    too_large,
    /// How often the store was made durable.
    syncs,
}

/// The state of a Titanic; as text, one thing a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerDigest {
    /// How long it has run.
    pub uptime: Duration,
    /// Whether it is about to end.
    pub draining: bool,
    /// Whether the broker knows stamps, so that what is sent again is not executed again; `None` until
    /// it has said so.
    pub stamps: Option<bool>,
    /// How many requests wait for their turn.
    pub queued: usize,
    /// How many are with their services.
    pub calls: usize,
    /// What is stored.
    pub usage: Usage,
    /// What was counted.
    pub counters: ServerCounters,
}

impl fmt::Display for ServerDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamps = match self.stamps {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        writeln!(
            f,
            "titanic uptime={}s draining={} stamps={stamps} queued={} calls={} pending={} replied={} damaged={} bytes={} capacity={} full={}",
            self.uptime.as_secs(),
            self.draining,
            self.queued,
            self.calls,
            self.usage.pending,
            self.usage.replied,
            self.usage.damaged,
            self.usage.bytes,
            self.usage.capacity,
            self.usage.refused,
        )?;
        writeln!(f, "{}", self.counters)
    }
}
