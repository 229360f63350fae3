//! The state machine of a client.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use xebec::{Frame, Message, SocketType};

use super::super::LINGER;
use super::super::codec::{ToBroker, ToClient, is_service_name};
use super::super::stamp::{Key, Refusal, RefusalCode};
use super::{CallError, ClientCommand, ClientConfig, ClientOutput};
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

#[derive(Debug)]
struct Call {
    key: Key,
    service: Frame,
    body: Vec<Frame>,
    /// Where it is at work.
    lane: Option<usize>,
    tries: u32,
    sent: Time,
    /// Until when an attempt is prolonged that goes to another broker: as long as all attempts take.
    limit: Time,
    /// When it is sent again or has failed, once it is at work.
    deadline: Option<Time>,
    /// How many parts of its reply have come.
    parts: u32,
    cancelled: bool,
}

/// A socket.
#[derive(Debug)]
struct Lane {
    state: LaneState,
    /// What is at work there.
    flight: BTreeSet<u64>,
    heard: Time,
    failures: u32,
    endpoint: usize,
    /// Whether its connection is established.
    up: bool,
    /// When another broker is tried, unless it is by then.
    patience: Time,
    /// Why there was no broker to ask when it was last tried.
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    Closed,
    /// It opens then.
    Pausing(Time),
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Lane(usize),
    Call(u64),
}

/// The state machine of a client.
#[derive(Debug)]
pub struct ClientMachine {
    config: ClientConfig,
    rng: Rng,
    id: [u8; 16],
    lanes: Vec<Lane>,
    /// Lanes with nothing at work; without stamps.
    free: Vec<usize>,
    calls: HashMap<u64, Call>,
    by_key: HashMap<Key, u64>,
    waiting: VecDeque<u64>,
    timers: BTreeSet<(Time, Timer)>,
    invalid: u64,
}

impl ClientMachine {
    /// A client with this id, which nobody should be able to guess, whose pauses are drawn from `rng`.
    pub fn new(config: ClientConfig, id: [u8; 16], rng: Rng) -> Self {
        let lanes = if config.once {
            1
        } else {
            usize::from(config.lanes.max(1))
        };
        ClientMachine {
            config,
            rng,
            id,
            lanes: (0..lanes)
                .map(|_| Lane {
                    state: LaneState::Closed,
                    flight: BTreeSet::new(),
                    heard: Time::ZERO,
                    failures: 0,
                    endpoint: 0,
                    up: false,
                    patience: Time::ZERO,
                    why: None,
                })
                .collect(),
            free: (0..lanes).rev().collect(),
            calls: HashMap::new(),
            by_key: HashMap::new(),
            waiting: VecDeque::new(),
            timers: BTreeSet::new(),
            invalid: 0,
        }
    }

    /// How many requests it has, waiting or at work.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// How many messages came that are none of the protocol, or answer nothing that was asked.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    fn call(
        &mut self,
        ticket: u64,
        key: Option<Key>,
        service: Frame,
        body: Vec<Frame>,
        now: Time,
        actions: &mut Actions<ClientOutput>,
    ) {
        let error = if !is_service_name(&service) {
            Some(CallError::Name)
        } else if self.waiting.len() >= self.config.waiting {
            Some(CallError::Full)
        } else {
            None
        };
        if let Some(error) = error {
            return actions.deliver(ClientOutput::Failed { ticket, error });
        }
        let key = key.unwrap_or(Key {
            client: self.id,
            number: ticket,
        });
        self.by_key.insert(key, ticket);
        let call = Call {
            key,
            service,
            body,
            lane: None,
            tries: 0,
            sent: now,
            limit: now,
            deadline: None,
            parts: 0,
            cancelled: false,
        };
        self.calls.insert(ticket, call);
        self.waiting.push_back(ticket);
        self.start_waiting(now, actions);
    }

    fn start_waiting(&mut self, now: Time, actions: &mut Actions<ClientOutput>) {
        while !self.waiting.is_empty() {
            let lane = if self.config.once {
                (self.lanes[0].flight.len() < self.config.in_flight.max(1)).then_some(0)
            } else {
                self.free.pop()
            };
            let Some(lane) = lane else { return };
            let ticket = self.waiting.pop_front().expect("it is not empty");
            self.calls.get_mut(&ticket).expect("it waits").lane = Some(lane);
            self.lanes[lane].flight.insert(ticket);
            match self.lanes[lane].state {
                LaneState::Open => {}
                LaneState::Closed => self.open(lane, now, actions),
                LaneState::Pausing(_) => {
                    self.attempt(ticket, now);
                    continue;
                }
            }
            self.attempt(ticket, now);
            self.send(ticket, actions);
        }
    }

    fn open(&mut self, lane: usize, now: Time, actions: &mut Actions<ClientOutput>) {
        let brokers = self.config.endpoints.len();
        let at = &mut self.lanes[lane];
        at.state = LaneState::Open;
        at.up = false;
        if brokers > 1 {
            let factor = 1 << (at.failures / brokers as u32).min(16);
            let patience = self.config.connect.saturating_mul(factor);
            at.patience = now + patience.min(self.config.timeout);
            self.timers.insert((at.patience, Timer::Lane(lane)));
        }
        let endpoint = &self.config.endpoints[at.endpoint % brokers];
        let options = self.config.options.clone().linger(LINGER);
        let spec = Spec::new(SocketType::Dealer).options(options);
        actions.open(port(lane), spec.connect(endpoint.as_str()).watch());
    }

    /// Begins another attempt.
    fn attempt(&mut self, ticket: u64, now: Time) {
        let call = self.calls.get_mut(&ticket).expect("it is at work");
        call.tries += 1;
        call.sent = now;
        if call.tries == 1 {
            call.limit = now + self.config.timeout.saturating_mul(self.config.attempts);
        }
        self.prolong(ticket, now + self.config.timeout);
    }

    fn prolong(&mut self, ticket: u64, at: Time) {
        let call = self.calls.get_mut(&ticket).expect("it is at work");
        if let Some(before) = call.deadline.replace(at) {
            self.timers.remove(&(before, Timer::Call(ticket)));
        }
        self.timers.insert((at, Timer::Call(ticket)));
    }

    fn send(&mut self, ticket: u64, actions: &mut Actions<ClientOutput>) {
        let call = &self.calls[&ticket];
        let lane = call.lane.expect("it is at work");
        let mut body = call.body.clone();
        if self.config.once {
            body.insert(0, call.key.stamp());
        }
        let service = call.service.clone();
        let request = ToBroker::Request { service, body };
        actions.send(port(lane), request.frames(self.config.dialect));
    }

    /// Gives a socket up, to open another if anything is at work there; what has failed is told.
    fn restart(&mut self, lane: usize, now: Time, actions: &mut Actions<ClientOutput>) {
        actions.close(port(lane));
        self.lanes[lane].state = LaneState::Closed;
        self.lanes[lane].endpoint = self.lanes[lane].endpoint.wrapping_add(1);
        if !self.config.once {
            // The rest of another reply does not fit to a part of this one.
            let broken = self.lanes[lane].flight.first().copied();
            let broken = broken
                .filter(|ticket| self.calls[ticket].parts > 0 || self.calls[ticket].cancelled);
            if let Some(ticket) = broken {
                self.fail(ticket, CallError::NoReply, actions);
            }
        }
        if self.lanes[lane].flight.is_empty() {
            return;
        }
        let failures = self.lanes[lane].failures;
        self.lanes[lane].failures = failures.saturating_add(1);
        // They are tried one after the other; what grows is the pause between two rounds.
        let failures = failures / self.config.endpoints.len() as u32;
        let pause = self.config.reconnect.pause(failures, &mut self.rng);
        let at = now + pause.max(Duration::from_millis(1));
        self.lanes[lane].state = LaneState::Pausing(at);
        self.timers.insert((at, Timer::Lane(lane)));
    }

    /// The lane's timer: its pause is over, or its connection takes too long.
    fn due_lane(&mut self, lane: usize, now: Time, actions: &mut Actions<ClientOutput>) {
        let at = &mut self.lanes[lane];
        match at.state {
            LaneState::Pausing(until) if until <= now => self.reopen(lane, now, actions),
            LaneState::Open if !at.up && at.patience <= now => {
                at.why = Some("the broker does not answer".to_owned());
                self.restart(lane, now, actions);
            }
            // Of a socket that was given up since.
            _ => {}
        }
    }

    fn reopen(&mut self, lane: usize, now: Time, actions: &mut Actions<ClientOutput>) {
        if self.lanes[lane].flight.is_empty() {
            self.lanes[lane].state = LaneState::Closed;
            return;
        }
        self.open(lane, now, actions);
        for ticket in self.lanes[lane].flight.clone() {
            let at = now + self.config.timeout;
            let call = &self.calls[&ticket];
            if call.deadline.is_some_and(|deadline| deadline < at) && at <= call.limit {
                self.prolong(ticket, at);
            }
            self.send(ticket, actions);
        }
    }

    fn fail(&mut self, ticket: u64, error: CallError, actions: &mut Actions<ClientOutput>) {
        if !self.finish(ticket) {
            actions.deliver(ClientOutput::Failed { ticket, error });
        }
    }

    /// Forgets a call. True if nobody waits for it.
    fn finish(&mut self, ticket: u64) -> bool {
        let Some(call) = self.calls.remove(&ticket) else {
            return true;
        };
        self.by_key.remove(&call.key);
        if let Some(at) = call.deadline {
            self.timers.remove(&(at, Timer::Call(ticket)));
        }
        if let Some(lane) = call.lane {
            self.lanes[lane].flight.remove(&ticket);
            if !self.config.once {
                self.free.push(lane);
            }
        }
        call.cancelled
    }

    fn overdue(&mut self, ticket: u64, now: Time, actions: &mut Actions<ClientOutput>) {
        let call = self
            .calls
            .get_mut(&ticket)
            .expect("its timer is gone with it");
        call.deadline = None;
        let lane = call.lane.expect("it is at work");
        let (last, sent) = (call.tries >= self.config.attempts, call.sent);
        let open = self.lanes[lane].state == LaneState::Open;
        let silent = self.lanes[lane].heard <= sent;
        if last {
            let why = self.lanes[lane].why.clone();
            let error = why.map_or(CallError::NoReply, CallError::Unconnected);
            self.fail(ticket, error, actions);
        } else {
            self.attempt(ticket, now);
        }
        if !open {
            // It is sent when the pause is over.
        } else if !self.config.once || silent {
            self.restart(lane, now, actions);
        } else if !last {
            self.send(ticket, actions);
        }
    }

    fn message(
        &mut self,
        lane: usize,
        message: Message,
        now: Time,
        actions: &mut Actions<ClientOutput>,
    ) {
        let Ok((
            _,
            ToClient {
                last,
                service,
                mut body,
            },
        )) = ToClient::parse(message)
        else {
            self.invalid += 1;
            return;
        };
        let Some(at) = self.lanes.get_mut(lane) else {
            return;
        };
        at.heard = now;
        at.up = true;
        let ticket = if self.config.once {
            let Some((key, part)) = Key::take_part(&mut body) else {
                return self.unstamped(&service, actions);
            };
            let ticket = self.by_key.get(&key).copied();
            // One that came already, or one before which others were lost: those come again.
            ticket.filter(|ticket| self.calls[ticket].parts == part)
        } else {
            let ticket = at.flight.first().copied();
            ticket.filter(|ticket| service.is_empty() || self.calls[ticket].service == service)
        };
        let Some(ticket) = ticket else {
            self.invalid += 1;
            return;
        };
        let refusal = Refusal::read(&body).filter(|_| last);
        if self.config.endpoints.len() > 1
            && let Some(refusal) = &refusal
            && refusal.code == RefusalCode::StandBy
        {
            self.lanes[lane].why = Some(refusal.to_string());
            return self.restart(lane, now, actions);
        }
        self.lanes[lane].failures = 0;
        self.lanes[lane].why = None;
        if let Some(refusal) = refusal {
            self.fail(ticket, CallError::Refused(refusal), actions);
        } else if last {
            if !self.finish(ticket) {
                actions.deliver(ClientOutput::Part { ticket, last, body });
            }
        } else {
            let call = self.calls.get_mut(&ticket).expect("it is at work");
            call.parts += 1;
            if !call.cancelled {
                actions.deliver(ClientOutput::Part { ticket, last, body });
            }
            self.prolong(ticket, now + self.config.timeout);
        }
    }

    fn link(&mut self, lane: usize, link: Link, now: Time, actions: &mut Actions<ClientOutput>) {
        let at = &mut self.lanes[lane];
        match link {
            Link::Up => {
                at.up = true;
                at.why = None;
            }
            Link::Down => self.restart(lane, now, actions),
            Link::Refused(why) => {
                at.why = Some(why);
                if self.config.endpoints.len() > 1 {
                    self.restart(lane, now, actions);
                }
            }
        }
    }

    /// The broker does not know what a stamp is.
    fn unstamped(&mut self, service: &Frame, actions: &mut Actions<ClientOutput>) {
        self.invalid += 1;
        let flight = self.lanes[0].flight.iter();
        let first = flight
            .copied()
            .find(|ticket| service.is_empty() || self.calls[ticket].service == *service);
        if let Some(ticket) = first {
            self.fail(ticket, CallError::NoStamps, actions);
        }
    }

    fn cancel(&mut self, ticket: u64) {
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        call.cancelled = true;
        let waits = call.lane.is_none();
        if waits {
            self.waiting.retain(|other| *other != ticket);
        } else {
            // Without stamps its reply must not be taken for another's: the lane stays with it.
            call.tries = self.config.attempts;
        }
        if waits || self.config.once {
            self.finish(ticket);
        }
    }
}

fn port(lane: usize) -> Port {
    Port(lane as u8)
}

impl Machine for ClientMachine {
    type Command = ClientCommand;
    type Output = ClientOutput;

    fn handle(
        &mut self,
        event: Event<ClientCommand>,
        now: Time,
        actions: &mut Actions<ClientOutput>,
    ) {
        match event {
            Event::Command(ClientCommand::Call {
                ticket,
                key,
                service,
                body,
            }) => self.call(ticket, key, service, body, now, actions),
            Event::Command(ClientCommand::Cancel(ticket)) => self.cancel(ticket),
            Event::Message { port, message } => {
                self.message(usize::from(port.0), message, now, actions);
            }
            Event::Link { port, link, .. } => {
                let lane = usize::from(port.0);
                if self.lanes[lane].state == LaneState::Open {
                    self.link(lane, link, now, actions);
                }
            }
            Event::Due => {
                while let Some((at, timer)) = self.timers.first().copied() {
                    if at > now {
                        break;
                    }
                    self.timers.pop_first();
                    match timer {
                        Timer::Lane(lane) => self.due_lane(lane, now, actions),
                        Timer::Call(ticket) => self.overdue(ticket, now, actions),
                    }
                }
            }
            Event::Stop => {
                for ticket in self.calls.keys().copied().collect::<Vec<_>>() {
                    self.fail(ticket, CallError::Ended, actions);
                }
                return actions.end();
            }
            Event::Start | Event::Unsent { .. } => {}
        }
        self.start_waiting(now, actions);
    }

    fn due(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}
