//! The broker's own services (RFC 8): everything below `mmi.`.
//!
//! | service | body | reply |
//! |---|---|---|
//! | `mmi.service` | a name | `200` if the service has a worker, otherwise `404` |
//! | `mmi.services` | anything | `200`, then a frame for each service that has workers: its name |
//! | `mmi.workers` | anything, or a name | `200`, then a frame for each worker: service, routing id in hexadecimal, version, `idle` or `busy` |
//! | `mmi.queues` | anything | `200`, then a frame for each service: name, workers, idle, queued, bytes |
//! | `mmi.status` | anything | `200`, then the [`Digest`](super::Digest) as text |
//! | any other | anything | `501` |
//!
//! Only `mmi.service` is in the RFC. Lists end after [`ROWS`] rows.

use xebec::Frame;

use super::Broker;
use crate::machine::Time;

/// The rows of a list, at most.
pub const ROWS: usize = 10_000;

pub(super) const PREFIX: &[u8] = b"mmi.";

/// Whether the name is one of these services'.
pub fn is_reserved(service: &[u8]) -> bool {
    service.starts_with(PREFIX)
}

pub(super) fn is_status(service: &[u8]) -> bool {
    service.strip_prefix(PREFIX) == Some(b"status")
}

impl Broker {
    pub(super) fn mmi(&self, service: &[u8], body: &[Frame], now: Time) -> Vec<Frame> {
        let rows: Vec<Frame> = match &service[PREFIX.len()..] {
            b"service" => {
                let known = body.first().and_then(|name| self.by_name.get(name));
                let found = known.is_some_and(|index| self.services[*index].workers > 0);
                return vec![if found { "200" } else { "404" }.into()];
            }
            b"services" => {
                let with_workers = self.services.iter().filter(|(_, s)| s.workers > 0);
                let names = with_workers.map(|(_, service)| service.name.clone());
                names.take(ROWS).collect()
            }
            b"workers" => {
                let of = body.first().filter(|name| !name.is_empty());
                let of = of.and_then(|name| self.by_name.get(name));
                let workers = self.workers.iter().map(|(_, worker)| worker);
                let workers = workers.filter(|w| of.is_none_or(|of| w.service == *of));
                let row = |worker: &super::Worker| {
                    let service = self.services[worker.service].name.to_string_lossy();
                    let id: String = worker.peer.1.iter().map(|b| format!("{b:02X}")).collect();
                    let state = if worker.busy.is_some() {
                        "busy"
                    } else {
                        "idle"
                    };
                    Frame::from(format!("{service} {id} {} {state}", worker.dialect))
                };
                workers.map(row).take(ROWS).collect()
            }
            b"queues" => {
                let services = self.services.iter().map(|(_, service)| service.digest());
                let rows = services.map(|row| Frame::from(row.to_string()));
                rows.take(ROWS).collect()
            }
            b"status" => vec![self.digest(now).to_string().into()],
            _ => return vec!["501".into()],
        };
        [Frame::from("200")].into_iter().chain(rows).collect()
    }
}
