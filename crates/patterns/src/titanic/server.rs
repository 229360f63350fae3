//! Titanic over Majordomo: a worker of its own services, a client of all others.
//!
//! | service | body | reply |
//! |---|---|---|
//! | `titanic.request` | service, body… | `200`, UUID |
//! | `titanic.reply` | UUID | `200`, body… or `300` |
//! | `titanic.close` | UUID | `200` |
//! | `titanic.list` | anything | `200`, then a frame for each request that is not closed, oldest first: UUID, state, attempts, bytes, milliseconds since 1970; `403` unless [`ServerConfig::list`] |
//! | `titanic.status` | anything | `200`, then the [`ServerDigest`] as text |
//!
//! The last two are ours. A list ends after [`ROWS`] rows.
//!
//! A broker gives a worker one request at a time. So there are several workers of each of the first three, whose
//! clients wait for the same sync of the store. Calls to services carry [stamps](crate::majordomo::stamp) if
//! the broker knows them: the UUID is the client's id, so that what is sent again, even after a
//! restart, is executed once. That is asked at the start by a stamped question for `mmi.service`. To other
//! brokers calls go plain, and the broker is asked first whether the service is there, since it
//! may keep for ever what nobody takes.

use std::collections::{BTreeSet, HashMap};
use std::mem::take;
use std::time::Duration;

use fastrand::Rng;
use xebec::{Frame, Options};

use super::{
    Id, Mark, Outcome, ServerCounters, ServerDigest, Service, State, Store, StoreError, Tell,
    Ticket, Titanic, TitanicOptions, Told,
};
use crate::machine::{Action, Actions, Event, Machine, Port, Time};
use crate::majordomo::client::{ClientCommand, ClientOutput};
use crate::majordomo::stamp::{Key, RefusalCode};
use crate::majordomo::worker::{Request, WorkerCommand, WorkerOutput};
use crate::majordomo::{
    CallError, ClientConfig, ClientMachine, Dialect, HEARTBEAT, LIVENESS, WorkerConfig,
    WorkerMachine,
};

/// The service that lists what is stored.
pub const LIST: &str = "titanic.list";
/// The service that tells the state.
pub const STATUS: &str = "titanic.status";
/// Whether the name is one of these services'.
pub fn is_titanics(service: &[u8]) -> bool {
    service.starts_with(b"titanic.")
}

/// The rows of a list, at most.
pub const ROWS: usize = 10_000;

/// How a Titanic is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The brokers, one at a time.
    pub endpoints: Vec<String>,
    /// The version of the protocol; by default 0.2.
    pub dialect: Dialect,
    /// How many workers of each of the three services of RFC 9, and so how many clients share a sync: 1
    /// to 64, by default 32.
    pub workers: u8,
    /// How often heartbeats are sent, and expected. By default 2.5 s.
    pub heartbeat: Duration,
    /// A broker that is silent for so many heartbeats is given up. By default 3.
    pub liveness: u32,
    /// Options of the sockets.
    pub options: Options,
    /// Whether `titanic.list` lists. A UUID is all that it takes to get a reply or to close a request,
    /// so by default it does not.
    pub list: bool,
    /// How long services may take to reply when Titanic is to end. By default 30 s. What has no reply by
    /// then is sent again by the next Titanic on the store.
    pub drain_time: Duration,
    /// The largest reply that is collected out of its parts. By default 64 MiB.
    pub reply_bytes: usize,
    /// How services are called.
    pub titanic: TitanicOptions,
}

impl ServerConfig {
    /// The defaults, at a broker.
    pub fn new(endpoint: impl Into<String>) -> Self {
        ServerConfig {
            endpoints: vec![endpoint.into()],
            dialect: Dialect::default(),
            workers: 32,
            heartbeat: HEARTBEAT,
            liveness: LIVENESS,
            options: Options::new(),
            list: false,
            drain_time: Duration::from_secs(30),
            reply_bytes: 64 << 20,
            titanic: TitanicOptions {
                epoch: std::time::SystemTime::now(),
                ..TitanicOptions::default()
            },
        }
    }
}

/// What a Titanic can be asked by whoever runs it.
#[derive(Clone, Debug)]
pub enum ServerCommand {
    /// What came of a [`ServerNote::Sync`].
    Synced(Result<(), StoreError>),
    /// Its state, as [`ServerNote::Digest`].
    Digest,
    /// To end at once.
    End,
}

/// What a Titanic tells whoever runs it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerNote {
    /// Call [`Store::sync`] with this mark, in another thread, and tell what came of it.
    Sync(Mark),
    /// There is a connection to a broker.
    Up,
    /// There is none any more.
    Down,
    /// Whether the broker knows stamps.
    Stamps(bool),
    /// A client was answered with 500; one a second is told.
    Refused(String),
    /// It takes no more requests and ends when these calls are done.
    Draining {
        /// Requests that are with their services.
        calls: usize,
    },
    /// The store takes no changes any more: nothing but opening it again helps.
    Broken(String),
    /// What was asked for.
    Digest(Box<ServerDigest>),
}

/// What the broker is known to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It was asked, so often in vain though there was a connection.
    Asking(u32),
    Stamped,
    Plain {
        /// Whether it answers `mmi.service`.
        mmi: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Rfc(Service),
    List,
    Status,
}

/// One worker at its port, whose number is its place.
struct Seat {
    role: Role,
    machine: WorkerMachine,
    up: bool,
    /// Requests that it owes a reply to.
    owes: usize,
    left: bool,
    /// When it is due, as in [`ServerMachine::timers`].
    due: Option<Time>,
}

/// A call under way.
struct Call {
    id: Id,
    /// What is asked if the service is there.
    then: Option<(Frame, Vec<Frame>)>,
    parts: Vec<Frame>,
    bytes: usize,
}

/// Names the question what the broker understands.
const PROBE: u64 = 0;
/// How long an answer to that may take, and how often there is none from a broker that understands nothing: one
/// that only stood still for a while would be taken for it until it is lost.
const PROBE_TIME: Duration = Duration::from_millis(2500);
const PROBES: u32 = 3;

/// The state machine of a Titanic at a broker.
pub struct ServerMachine {
    config: ServerConfig,
    titanic: Titanic<dyn Store>,
    rng: Rng,
    seats: Vec<Seat>,
    /// When which seat is due: nobody looks at all of them at each event.
    timers: BTreeSet<(Time, usize)>,
    client: ClientMachine,
    manner: Manner,
    next: u64,
    /// Which worker owes an answer, and by which number.
    owed: HashMap<Ticket, (usize, u64)>,
    calls: HashMap<u64, Call>,
    by_id: HashMap<Id, u64>,
    counters: ServerCounters,
    up: bool,
    draining: Option<Time>,
    refused: Option<Time>,
    from_seat: Actions<WorkerOutput>,
    from_client: Actions<ClientOutput>,
    from_titanic: Actions<Tell>,
}

type Notes = Actions<ServerNote>;

impl ServerMachine {
    /// A Titanic on a store. `ids` makes the UUIDs, which nobody should be able to guess.
    ///
    /// # Panics
    /// If there are no endpoints.
    pub fn new(
        store: std::sync::Arc<dyn Store>,
        mut config: ServerConfig,
        ids: impl FnMut() -> Id + Send + 'static,
        mut rng: Rng,
    ) -> Self {
        assert!(!config.endpoints.is_empty(), "Titanic needs a broker");
        config.workers = config.workers.clamp(1, 64);
        let mut options = config.titanic.clone();
        // Only what the client machine forgot, which is nothing.
        options.timeout = options.timeout.saturating_mul(2) + Duration::from_secs(5);
        let each = Service::ALL.into_iter();
        let roles = each.flat_map(|s| (0..config.workers).map(move |_| Role::Rfc(s)));
        let seat = |role: Role| {
            let service = match role {
                Role::Rfc(service) => service.name(),
                Role::List => LIST,
                Role::Status => STATUS,
            };
            let mut worker = WorkerConfig::new("", service);
            worker.endpoints = config.endpoints.clone();
            worker.dialect = config.dialect;
            worker.heartbeat = config.heartbeat;
            worker.liveness = config.liveness;
            worker.options = config.options.clone();
            Seat {
                role,
                machine: WorkerMachine::new(worker, rng.fork()),
                up: false,
                owes: 0,
                left: false,
                due: None,
            }
        };
        let seats = roles.chain([Role::List, Role::Status]).map(seat).collect();
        let titanic = Titanic::new(store, options, ids, rng.u64(..));
        let mut machine = ServerMachine {
            client: ClientMachine::new(ClientConfig::new(""), [0; 16], rng.fork()),
            config,
            titanic,
            rng,
            seats,
            timers: BTreeSet::new(),
            manner: Manner::Asking(0),
            next: PROBE,
            owed: HashMap::new(),
            calls: HashMap::new(),
            by_id: HashMap::new(),
            counters: ServerCounters::default(),
            up: false,
            draining: None,
            refused: None,
            from_seat: Actions::new(),
            from_client: Actions::new(),
            from_titanic: Actions::new(),
        };
        machine.client = machine.client_of(Manner::Asking(0));
        machine
    }

    /// What was counted so far.
    pub fn counters(&self) -> &ServerCounters {
        &self.counters
    }

    /// Its state.
    pub fn digest(&self, now: Time) -> ServerDigest {
        let (queued, calls) = self.titanic.load();
        ServerDigest {
            uptime: now.elapsed(),
            draining: self.draining.is_some(),
            stamps: match self.manner {
                Manner::Asking(_) => None,
                Manner::Stamped => Some(true),
                Manner::Plain { .. } => Some(false),
            },
            queued,
            calls,
            usage: self.titanic.store().usage(),
            counters: self.counters,
        }
    }

    /// The ports that are left for the client.
    fn lanes(&self) -> u8 {
        (256 - self.seats.len()).min(128) as u8 - 1
    }

    /// A client machine for a broker of this kind. Its timeout is the one that counts; it does not try
    /// again, because Titanic does.
    fn client_of(&mut self, manner: Manner) -> ClientMachine {
        let mut client = ClientConfig::new("");
        client.endpoints = self.config.endpoints.clone();
        client.dialect = self.config.dialect;
        client.options = self.config.options.clone();
        client.attempts = 1;
        client.timeout = self.config.titanic.timeout;
        client.in_flight = self.config.titanic.calls_in_all;
        client.once = !matches!(manner, Manner::Plain { .. });
        client.lanes = self.lanes();
        if let Manner::Asking(_) = manner {
            client.timeout = PROBE_TIME;
        }
        self.titanic.limit_calls(match manner {
            Manner::Plain { .. } => client.in_flight.min(client.lanes.into()),
            _ => client.in_flight,
        });
        ClientMachine::new(client, self.rng.u128(..).to_be_bytes(), self.rng.fork())
    }

    // ---- the machines inside ----

    fn seat(&mut self, index: usize, event: Event<WorkerCommand>, now: Time, notes: &mut Notes) {
        if self.seats[index].left {
            return;
        }
        let mut inner = take(&mut self.from_seat);
        self.seats[index].machine.handle(event, now, &mut inner);
        for action in inner.drain() {
            match action.nested(index as u8) {
                // Its port stays open, for what it said last to leave.
                Ok(Action::End) => self.seats[index].left = true,
                Ok(action) => notes.push(action),
                Err(WorkerOutput::Request(request)) => self.asked(index, request, now, notes),
                Err(WorkerOutput::Up { .. }) => self.link(index, true, now, notes),
                Err(WorkerOutput::Down { .. }) => self.link(index, false, now, notes),
            }
        }
        self.from_seat = inner;
        self.set_timer(index);
    }

    /// Keeps when a seat is due, after whatever may have changed it.
    fn set_timer(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        let due = seat.machine.due().filter(|_| !seat.left);
        let before = std::mem::replace(&mut seat.due, due);
        if before != due {
            before.map(|at| self.timers.remove(&(at, index)));
            due.map(|at| self.timers.insert((at, index)));
        }
    }

    fn client(&mut self, event: Event<ClientCommand>, now: Time, notes: &mut Notes) {
        let mut inner = take(&mut self.from_client);
        self.client.handle(event, now, &mut inner);
        for action in inner.drain() {
            match action.nested(self.seats.len() as u8) {
                Ok(action) => notes.push(action),
                Err(ClientOutput::Part { ticket, last, body }) => {
                    self.replied(ticket, last, body, now, notes);
                }
                Err(ClientOutput::Failed { ticket, error }) => {
                    self.failed(ticket, &error, now, notes);
                }
            }
        }
        self.from_client = inner;
    }

    fn titanic(&mut self, event: Event<Told>, now: Time, notes: &mut Notes) {
        let mut inner = take(&mut self.from_titanic);
        self.titanic.handle(event, now, &mut inner);
        for action in inner.drain() {
            let Action::Deliver(tell) = action else {
                continue;
            };
            match tell {
                Tell::Answer { ticket, frames } => self.answer(ticket, frames, now, notes),
                Tell::Call { id, service, body } => self.call(id, service, body, now, notes),
                Tell::Sync(mark) => {
                    self.counters.syncs += 1;
                    notes.deliver(ServerNote::Sync(mark));
                }
                Tell::Broken(why) => notes.deliver(ServerNote::Broken(why)),
            }
        }
        self.from_titanic = inner;
    }

    fn told(&mut self, told: Told, now: Time, notes: &mut Notes) {
        self.titanic(Event::Command(told), now, notes);
    }

    /// Whose port it is: a worker's, with its place, or else the client's.
    fn inside(&self, port: Port) -> Result<(usize, Port), Port> {
        match usize::from(port.0).checked_sub(self.seats.len()) {
            None => Ok((port.0.into(), Port(0))),
            Some(lane) => Err(Port(lane as u8)),
        }
    }

    fn link(&mut self, index: usize, up: bool, now: Time, notes: &mut Notes) {
        self.seats[index].up = up;
        if !up {
            // What the session owed the broker gives to another.
            self.seats[index].owes = 0;
            self.owed.retain(|_, (of, _)| *of != index);
        }
        let any = self.seats.iter().any(|seat| seat.up);
        if std::mem::replace(&mut self.up, any) != any {
            notes.deliver(if any {
                ServerNote::Up
            } else {
                ServerNote::Down
            });
            match self.manner {
                Manner::Plain { .. } if any => self.meet(now, notes),
                Manner::Stamped if any => self.told(Told::Reachable, now, notes),
                _ => {}
            }
        }
    }

    // ---- as a worker ----

    fn asked(&mut self, index: usize, request: Request, now: Time, notes: &mut Notes) {
        self.next += 1;
        let ticket = self.next;
        self.seats[index].owes += 1;
        self.owed.insert(ticket, (index, request.number()));
        let answer = match self.seats[index].role {
            Role::Rfc(service) => {
                self.counters.requests += u64::from(service == Service::Request);
                let frames = request.body.into_frames();
                let asked = Told::Asked {
                    ticket,
                    service,
                    frames,
                };
                return self.told(asked, now, notes);
            }
            Role::List if !self.config.list => {
                vec!["403 Titanic does not list UUIDs unless it is told to".into()]
            }
            Role::List => {
                let listed = self.titanic.store().list();
                let rows = listed.iter().take(ROWS).map(row);
                [Frame::from("200")].into_iter().chain(rows).collect()
            }
            Role::Status => vec!["200".into(), self.digest(now).to_string().into()],
        };
        self.answer(ticket, answer, now, notes);
    }

    fn answer(&mut self, ticket: Ticket, frames: Vec<Frame>, now: Time, notes: &mut Notes) {
        let Some((index, number)) = self.owed.remove(&ticket) else {
            return;
        };
        let seat = &mut self.seats[index];
        seat.owes = seat.owes.saturating_sub(1);
        let code = frames[0].get(..3).unwrap_or_default();
        let counters = &mut self.counters;
        match (seat.role, code) {
            (Role::Rfc(Service::Request), b"200") => counters.accepted += 1,
            (Role::Rfc(Service::Reply), b"200") => counters.fetched += 1,
            (Role::Rfc(Service::Close), b"200") => counters.closed += 1,
            (_, b"300") => counters.pending += 1,
            (_, b"400") => counters.unknown += 1,
            (_, b"500") => {
                counters.refused += 1;
                let second = Duration::from_secs(1);
                if self.refused.is_none_or(|at| now.since(at) >= second) {
                    self.refused = Some(now);
                    let why = frames[0].to_string_lossy().into_owned();
                    notes.deliver(ServerNote::Refused(why));
                }
            }
            _ => {}
        }
        let reply = WorkerCommand::Reply {
            number,
            last: true,
            body: frames.into_iter().collect(),
        };
        self.seat(index, Event::Command(reply), now, notes);
        self.leave(index, now, notes);
    }

    /// Has a worker leave that owes nothing, if Titanic is to end.
    fn leave(&mut self, index: usize, now: Time, notes: &mut Notes) {
        if self.draining.is_some() && self.seats[index].owes == 0 {
            self.seat(index, Event::Stop, now, notes);
        }
    }

    // ---- as a client ----

    /// Asks what the broker understands.
    fn probe(&mut self, now: Time, notes: &mut Notes) {
        let body = vec![Frame::from(Service::Request.name())];
        self.ask(PROBE, None, "mmi.service".into(), body, now, notes);
    }

    fn ask(
        &mut self,
        ticket: u64,
        key: Option<Key>,
        service: Frame,
        body: Vec<Frame>,
        now: Time,
        notes: &mut Notes,
    ) {
        let call = ClientCommand::Call {
            ticket,
            key,
            service,
            body,
        };
        self.client(Event::Command(call), now, notes);
    }

    /// Another broker may have taken the place of the one that it knew.
    fn meet(&mut self, now: Time, notes: &mut Notes) {
        self.settle_manner(Manner::Asking(0), now, notes);
        for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
            self.ended(ticket, Outcome::Unavailable, now, notes);
        }
    }

    fn settle_manner(&mut self, manner: Manner, now: Time, notes: &mut Notes) {
        let first = self.seats.len() as u8;
        (0..self.lanes()).for_each(|lane| notes.close(Port(first + lane)));
        self.manner = manner;
        self.client = self.client_of(manner);
        if let Manner::Asking(_) = manner {
            return self.probe(now, notes);
        }
        notes.deliver(ServerNote::Stamps(manner == Manner::Stamped));
        self.told(Told::Reachable, now, notes);
    }

    fn call(&mut self, id: Id, service: Frame, body: Vec<Frame>, now: Time, notes: &mut Notes) {
        // The next Titanic on the store does what this one leaves; and the reply to an earlier call that
        // is still under way counts for this one.
        if self.draining.is_some() || self.by_id.contains_key(&id) {
            return;
        }
        let plain = match self.manner {
            Manner::Asking(_) => {
                self.counters.unavailable += 1;
                let outcome = Outcome::Unavailable;
                return self.told(Told::Called { id, outcome }, now, notes);
            }
            Manner::Stamped => false,
            Manner::Plain { mmi } => mmi,
        };
        self.next += 1;
        let ticket = self.next;
        let mut call = Call {
            id,
            then: None,
            parts: Vec::new(),
            bytes: 0,
        };
        self.by_id.insert(id, ticket);
        self.counters.calls += 1;
        if plain {
            call.then = Some((service.clone(), body));
            self.calls.insert(ticket, call);
            self.ask(
                ticket,
                None,
                "mmi.service".into(),
                vec![service],
                now,
                notes,
            );
        } else {
            self.calls.insert(ticket, call);
            let key = Key {
                client: id.0,
                number: 0,
            };
            self.ask(ticket, Some(key), service, body, now, notes);
        }
    }

    fn replied(&mut self, ticket: u64, last: bool, body: Vec<Frame>, now: Time, notes: &mut Notes) {
        if ticket == PROBE {
            return self.settle_manner(Manner::Stamped, now, notes);
        }
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        if let Some((service, request)) = call.then.take() {
            if body.first().is_some_and(|answer| *answer == "404") {
                return self.ended(ticket, Outcome::Unavailable, now, notes);
            }
            // Tickets are never the same twice.
            let call = self.calls.remove(&ticket).expect("it was there");
            self.next += 1;
            self.by_id.insert(call.id, self.next);
            self.calls.insert(self.next, call);
            return self.ask(self.next, None, service, request, now, notes);
        }
        call.bytes += body
            .iter()
            .map(|f| f.len() + size_of::<Frame>())
            .sum::<usize>();
        call.parts.extend(body);
        if call.bytes > self.config.reply_bytes {
            self.ended(ticket, Outcome::TooLarge, now, notes);
            self.client(Event::Command(ClientCommand::Cancel(ticket)), now, notes);
        } else if last {
            let reply = take(&mut call.parts);
            self.ended(ticket, Outcome::Reply(reply), now, notes);
        }
    }

    fn failed(&mut self, ticket: u64, error: &CallError, now: Time, notes: &mut Notes) {
        if ticket == PROBE {
            let Manner::Asking(silences) = self.manner else {
                return;
            };
            return match error {
                CallError::NoStamps => {
                    self.settle_manner(Manner::Plain { mmi: true }, now, notes);
                }
                CallError::NoReply if self.up && silences + 1 == PROBES => {
                    self.settle_manner(Manner::Plain { mmi: false }, now, notes);
                }
                CallError::NoReply if self.up => {
                    self.settle_manner(Manner::Asking(silences + 1), now, notes);
                }
                _ => self.settle_manner(Manner::Asking(silences), now, notes),
            };
        }
        let outcome = match error {
            // Without a broker it is nobody's fault.
            CallError::NoReply if self.up => Outcome::NoReply,
            CallError::Refused(refusal) if refusal.code == RefusalCode::Failed => Outcome::NoReply,
            _ => Outcome::Unavailable,
        };
        self.ended(ticket, outcome, now, notes);
        if *error == CallError::NoStamps && self.manner == Manner::Stamped {
            self.meet(now, notes);
        }
    }

    fn ended(&mut self, ticket: u64, outcome: Outcome, now: Time, notes: &mut Notes) {
        let Some(call) = self.calls.remove(&ticket) else {
            return;
        };
        let id = call.id;
        self.by_id.remove(&id);
        let counters = &mut self.counters;
        *match outcome {
            Outcome::Reply(_) => &mut counters.replies,
            Outcome::NoReply => &mut counters.no_reply,
            Outcome::Unavailable => &mut counters.unavailable,
            Outcome::TooLarge => &mut counters.too_large,
        } += 1;
        self.told(Told::Called { id, outcome }, now, notes);
    }

    fn drain(&mut self, now: Time, notes: &mut Notes) {
        if self.draining.is_some() {
            return notes.end();
        }
        self.draining = Some(now + self.config.drain_time);
        let calls = self.calls.len();
        notes.deliver(ServerNote::Draining { calls });
        for index in 0..self.seats.len() {
            self.leave(index, now, notes);
        }
    }

    fn elapsed(&mut self, now: Time, notes: &mut Notes) {
        while let Some(&(at, index)) = self.timers.first()
            && at <= now
        {
            self.seat(index, Event::Due, now, notes);
        }
        if is_due(self.client.due(), now) {
            self.client(Event::Due, now, notes);
        }
        if is_due(self.titanic.due(), now) {
            self.titanic(Event::Due, now, notes);
        }
        if is_due(self.draining, now) {
            notes.end();
        }
    }
}

fn is_due(at: Option<Time>, now: Time) -> bool {
    at.is_some_and(|at| at <= now)
}

/// A row of the list.
fn row(listed: &super::Listed) -> Frame {
    let (state, attempts) = match listed.state {
        State::Pending { attempts } => ("pending", attempts),
        State::Replied => ("replied", 0),
        State::Damaged => ("damaged", 0),
        State::Abandoned => ("abandoned", 0),
    };
    let at = listed.at.duration_since(std::time::UNIX_EPOCH);
    let at = at.unwrap_or_default().as_millis();
    let (id, bytes) = (listed.id, listed.bytes);
    format!("{id} {state} {attempts} {bytes} {at}").into()
}

impl Machine for ServerMachine {
    type Command = ServerCommand;
    type Output = ServerNote;

    fn handle(&mut self, event: Event<ServerCommand>, now: Time, notes: &mut Notes) {
        match event {
            Event::Start => {
                for index in 0..self.seats.len() {
                    self.seat(index, Event::Start, now, notes);
                }
                self.probe(now, notes);
                self.titanic(Event::Start, now, notes);
            }
            Event::Message { port, message } => match self.inside(port) {
                Ok((seat, port)) => self.seat(seat, Event::Message { port, message }, now, notes),
                Err(port) => self.client(Event::Message { port, message }, now, notes),
            },
            Event::Link {
                port,
                endpoint,
                link,
            } => match self.inside(port) {
                Ok((seat, port)) => {
                    let event = Event::Link {
                        port,
                        endpoint,
                        link,
                    };
                    self.seat(seat, event, now, notes);
                }
                Err(port) => {
                    let event = Event::Link {
                        port,
                        endpoint,
                        link,
                    };
                    self.client(event, now, notes);
                }
            },
            Event::Due => self.elapsed(now, notes),
            Event::Command(ServerCommand::Synced(result)) => {
                self.told(Told::Synced(result), now, notes);
            }
            Event::Command(ServerCommand::Digest) => {
                notes.deliver(ServerNote::Digest(Box::new(self.digest(now))));
            }
            Event::Command(ServerCommand::End) => return notes.end(),
            Event::Stop => self.drain(now, notes),
            // Neither worker nor client makes anything of it.
            Event::Unsent { .. } => {}
        }
        if self.draining.is_some()
            && self.calls.is_empty()
            && self.seats.iter().all(|seat| seat.owes == 0)
        {
            notes.end();
        }
    }

    fn due(&self) -> Option<Time> {
        let seats = self.timers.first().map(|(at, _)| *at);
        let inside = [seats, self.client.due(), self.titanic.due(), self.draining];
        inside.into_iter().flatten().min()
    }
}

impl std::fmt::Debug for ServerMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerMachine({:?})", self.counters)
    }
}
