//! The worker: offers one service to a broker, and does one request at a time.
//!
//! It comes back by itself: when its connection is lost, when the broker is silent for too long or
//! sends it away, it waits a while, longer each time, and begins anew on a new socket, at the next
//! endpoint if it has several. A request that it had then is the broker's to give to another: the
//! reply to it is dropped. A broker that it gives up is told so, because one that is only slow would go on
//! giving it requests: majortomo's does not see that a connection is lost.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use xebec::{Context, Frame, Message, Options, SocketType};

use super::broker::Gone;
use super::codec::{Dialect, FromWorker, ToBroker, ToWorker};
use super::{HEARTBEAT, LINGER, LIVENESS};
use crate::backoff::Backoff;
use crate::driver::{Driver, DriverError, Handle};
use crate::machine::{Actions, Event, Link, Machine, Port, Spec, Time};

const PORT: Port = Port(0);

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The brokers, one at a time: such as the two of a pair. One that cannot be reached, or stands by,
    /// is left for the next, after a pause that grows with each round of all of them.
    pub endpoints: Vec<String>,
    /// The service that it offers.
    pub service: String,
    /// The version of the protocol; by default 0.2.
    pub dialect: Dialect,
    /// How often it sends heartbeats, and expects them: no more often than the broker sends them. By
    /// default 2.5 s.
    pub heartbeat: Duration,
    /// A broker that is silent for so many heartbeats is given up. By default 3.
    pub liveness: u32,
    /// How long a connection may take where there is another broker to try; twice as long in each round
    /// of all of them, and never longer than a broker may be silent. By default 500 ms.
    pub connect: Duration,
    /// The pauses before it comes back: by default 100 ms to 32 s, half of it left to chance.
    pub reconnect: Backoff,
    /// Options of its socket. LINGER is a second, whatever they say.
    pub options: Options,
}

impl WorkerConfig {
    /// The defaults for a service at a broker.
    pub fn new(endpoint: impl Into<String>, service: impl Into<String>) -> Self {
        WorkerConfig {
            endpoints: vec![endpoint.into()],
            service: service.into(),
            dialect: Dialect::default(),
            heartbeat: HEARTBEAT,
            liveness: LIVENESS,
            connect: Duration::from_millis(500),
            reconnect: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(32),
                jitter: 0.5,
            },
            options: Options::new(),
        }
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    number: u64,
    /// What the client asked.
    pub body: Message,
}

impl Request {
    /// What names it in a [`WorkerCommand`].
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// What a worker machine is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerCommand {
    /// A part of a reply, or all of it.
    Reply {
        /// The request's number.
        number: u64,
        /// Whether it is the last part. In MDP 0.1, where there is only one, parts before it are held
        /// back and sent with it.
        last: bool,
        /// One frame or more.
        body: Message,
    },
}

/// What a worker machine tells.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerOutput {
    /// Something to do.
    Request(Request),
    /// There is a connection to a broker.
    Up {
        /// Where that is.
        endpoint: String,
    },
    /// It begins anew, with the next broker if there are several.
    Down {
        /// Where the broker was.
        endpoint: String,
        /// How it and the worker have parted. A worker has expired if the broker was silent for too long, and is
        /// lost if there is no connection.
        why: Gone,
    },
}

#[derive(Clone, Copy, Debug)]
enum Session {
    /// Until then it waits.
    Closed(Time),
    Open {
        /// When the broker is given up.
        expires: Time,
        /// When a heartbeat is due.
        beat: Time,
        up: bool,
    },
}

/// The state machine of a worker.
#[derive(Debug)]
pub struct WorkerMachine {
    config: WorkerConfig,
    rng: Rng,
    session: Session,
    endpoint: usize,
    failures: u32,
    number: u64,
    /// Where the replies to the requests of this session go, with what is held back.
    owed: HashMap<u64, (Frame, Vec<Frame>)>,
    /// Replies that came too late for their session.
    stale: u64,
    lost: Arc<AtomicU64>,
}

impl WorkerMachine {
    /// A worker whose pauses are drawn from `rng`.
    pub fn new(config: WorkerConfig, rng: Rng) -> Self {
        WorkerMachine {
            config,
            rng,
            session: Session::Closed(Time::ZERO),
            endpoint: 0,
            failures: 0,
            number: 0,
            owed: HashMap::new(),
            stale: 0,
            lost: Arc::default(),
        }
    }

    /// How many replies were dropped because the worker had begun anew since their request.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    /// The number of the last request that was lost with its session: the machine writes it when it begins anew.
    /// Whoever is about to execute a request reads it, and does not execute one of this number or less:
    /// the broker has given it to another, who may have answered it already.
    pub fn lost(&self) -> Arc<AtomicU64> {
        self.lost.clone()
    }

    fn open(&mut self, now: Time, actions: &mut Actions<WorkerOutput>) {
        let endpoint = self.endpoint();
        let mut patience = self.patience();
        if self.config.endpoints.len() > 1 {
            let connect = self.config.connect;
            patience = patience.min(connect.saturating_mul(1 << self.rounds().min(16)));
        }
        let options = self.config.options.clone().linger(LINGER);
        let spec = Spec::new(SocketType::Dealer).options(options);
        actions.open(PORT, spec.connect(endpoint.as_str()).watch());
        self.session = Session::Open {
            expires: now + patience,
            beat: now + self.config.heartbeat,
            up: false,
        };
        let service = self.config.service.as_str().into();
        self.send(FromWorker::Ready { service }, now, actions);
    }

    /// How long a broker may be silent.
    fn patience(&self) -> Duration {
        self.config.heartbeat * self.config.liveness
    }

    /// Whether silence tells nothing of the broker: majortomo's sends no heartbeats to a worker at work.
    fn is_left_alone(&self) -> bool {
        self.config.dialect == Dialect::Majortomo && !self.owed.is_empty()
    }

    /// How often all brokers were tried in vain. They are tried one after the other; what grows is the
    /// pause between two rounds.
    fn rounds(&self) -> u32 {
        self.failures / self.config.endpoints.len() as u32
    }

    fn endpoint(&self) -> String {
        self.config.endpoints[self.endpoint % self.config.endpoints.len()].clone()
    }

    fn restart(&mut self, why: Gone, now: Time, actions: &mut Actions<WorkerOutput>) {
        actions.close(PORT);
        let endpoint = self.endpoint();
        actions.deliver(WorkerOutput::Down { endpoint, why });
        self.owed.clear();
        // It says nothing about other memory.
        self.lost.store(self.number, Ordering::Relaxed);
        let pause = self.config.reconnect.pause(self.rounds(), &mut self.rng);
        self.failures = self.failures.saturating_add(1);
        self.endpoint = self.endpoint.wrapping_add(1);
        // Not at once, even without a pause: after Due it must not be due again.
        self.session = Session::Closed(now + pause.max(Duration::from_millis(1)));
    }

    fn send(&mut self, command: FromWorker, now: Time, actions: &mut Actions<WorkerOutput>) {
        if let Session::Open { beat, .. } = &mut self.session {
            *beat = now + self.config.heartbeat;
            let command = ToBroker::Worker(command);
            actions.send(PORT, command.frames(self.config.dialect));
        }
    }

    fn message(&mut self, message: Message, now: Time, actions: &mut Actions<WorkerOutput>) {
        let patience = self.patience();
        let Session::Open { expires, .. } = &mut self.session else {
            return;
        };
        // What is not for it is dropped.
        let Ok((_, command)) = ToWorker::parse(message) else {
            return;
        };
        *expires = now + patience;
        match command {
            ToWorker::Heartbeat => self.failures = 0,
            ToWorker::Disconnect => self.restart(Gone::SentAway, now, actions),
            ToWorker::Request { address, body } => {
                self.failures = 0;
                // One that came twice: no broker asks for another reply before it has this one.
                if self.owed.values().any(|(owed, _)| *owed == address) {
                    return;
                }
                self.number += 1;
                let (number, body) = (self.number, body.into_iter().collect());
                self.owed.insert(number, (address, Vec::new()));
                actions.deliver(WorkerOutput::Request(Request { number, body }));
            }
        }
    }

    fn reply(
        &mut self,
        number: u64,
        last: bool,
        body: Message,
        now: Time,
        actions: &mut Actions<WorkerOutput>,
    ) {
        let left_alone = self.is_left_alone();
        let Some((address, held)) = self.owed.get_mut(&number) else {
            self.stale += 1;
            return;
        };
        if !last {
            if self.config.dialect.has_partials() {
                let address = address.clone();
                let body = body.into_frames();
                self.send(FromWorker::Partial { address, body }, now, actions);
            } else {
                held.extend(body);
            }
            return;
        }
        let (address, mut frames) = self.owed.remove(&number).expect("it is there");
        frames.extend(body);
        let body = frames;
        let patience = self.patience();
        if let Session::Open { expires, .. } = &mut self.session
            && left_alone
        {
            *expires = now + patience;
        }
        self.send(FromWorker::Final { address, body }, now, actions);
    }
}

impl Machine for WorkerMachine {
    type Command = WorkerCommand;
    type Output = WorkerOutput;

    fn handle(
        &mut self,
        event: Event<WorkerCommand>,
        now: Time,
        actions: &mut Actions<WorkerOutput>,
    ) {
        match event {
            Event::Start => self.open(now, actions),
            Event::Message { message, .. } => self.message(message, now, actions),
            Event::Link { link, .. } => match (link, &mut self.session) {
                (Link::Up, Session::Open { up, expires, .. }) => {
                    *up = true;
                    *expires = now + self.config.heartbeat * self.config.liveness;
                    let endpoint = self.endpoint();
                    actions.deliver(WorkerOutput::Up { endpoint });
                }
                (Link::Down, Session::Open { .. }) => self.restart(Gone::Lost, now, actions),
                (Link::Refused(_), Session::Open { .. }) if self.config.endpoints.len() > 1 => {
                    self.restart(Gone::Lost, now, actions);
                }
                _ => {}
            },
            Event::Due => match self.session {
                Session::Closed(until) if until <= now => self.open(now, actions),
                Session::Open { expires, .. } if expires <= now && !self.is_left_alone() => {
                    self.send(FromWorker::Disconnect, now, actions);
                    self.restart(Gone::Expired, now, actions);
                }
                Session::Open { beat, up, .. } if beat <= now => {
                    if up {
                        self.send(FromWorker::Heartbeat, now, actions);
                    } else if let Session::Open { beat, .. } = &mut self.session {
                        // None is left in a queue, to be delivered when it says nothing any more.
                        *beat = now + self.config.heartbeat;
                    }
                }
                _ => {}
            },
            Event::Command(WorkerCommand::Reply { number, last, body }) => {
                self.reply(number, last, body, now, actions);
            }
            Event::Unsent { .. } => {}
            Event::Stop => {
                self.send(FromWorker::Disconnect, now, actions);
                actions.end();
            }
        }
    }

    fn due(&self) -> Option<Time> {
        Some(match self.session {
            Session::Closed(until) => until,
            Session::Open { beat, .. } if self.is_left_alone() => beat,
            Session::Open { expires, beat, .. } => expires.min(beat),
        })
    }
}

/// A worker over sockets, in a thread that keeps its heartbeats while the application works.
///
/// ```no_run
/// use xebec::{Context, Message};
/// use xebec_patterns::majordomo::{Worker, WorkerConfig};
///
/// let worker = Worker::new(&Context::new(), WorkerConfig::new("tcp://localhost:5555", "echo"))?;
/// worker.serve(|request| request.clone())?;
/// # Ok::<(), xebec_patterns::DriverError>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    handle: Handle<WorkerMachine>,
    lost: Arc<AtomicU64>,
    skipped: AtomicU64,
}

impl Worker {
    /// Starts a worker. It registers as soon as there is a connection.
    ///
    /// # Errors
    /// When the socket cannot be made or connected.
    ///
    /// # Panics
    /// If there are no endpoints, or `service` is not [a name](super::codec::is_service_name).
    pub fn new(context: &Context, config: WorkerConfig) -> Result<Self, DriverError> {
        assert!(!config.endpoints.is_empty(), "a worker needs an endpoint");
        assert!(
            super::codec::is_service_name(config.service.as_bytes()),
            "{:?} is not the name of a service",
            config.service
        );
        let machine = WorkerMachine::new(config, Rng::new());
        let lost = machine.lost();
        let handle = Driver::new(context, machine)?.spawn();
        Ok(Worker {
            handle,
            lost,
            skipped: AtomicU64::new(0),
        })
    }

    /// How many requests were not handed out because the worker had begun anew since they came: the
    /// broker has given them to others.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// What the machine told, unless it is a request that the worker has lost: while the application was at
    /// work its next request may have come and gone.
    fn current(&self, output: WorkerOutput) -> Option<WorkerOutput> {
        let lost = self.lost.load(Ordering::Relaxed);
        if matches!(&output, WorkerOutput::Request(request) if request.number <= lost) {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(output)
    }

    /// Waits for a request.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv(&self) -> Result<Request, DriverError> {
        loop {
            if let WorkerOutput::Request(request) = self.next()? {
                return Ok(request);
            }
        }
    }

    /// Waits for a request for at most `timeout`.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Request>, DriverError> {
        let until = std::time::Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let Some(output) = self.handle.recv_timeout(left)? else {
                return Ok(None);
            };
            if let Some(WorkerOutput::Request(request)) = self.current(output) {
                return Ok(Some(request));
            }
        }
    }

    /// Waits for a request in an async task.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub async fn recv_async(&self) -> Result<Request, DriverError> {
        loop {
            let output = self.handle.recv_async().await?;
            if let Some(WorkerOutput::Request(request)) = self.current(output) {
                return Ok(request);
            }
        }
    }

    /// Waits for whatever the machine tells next: requests, and what becomes of the connection.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn next(&self) -> Result<WorkerOutput, DriverError> {
        loop {
            if let Some(output) = self.current(self.handle.recv()?) {
                return Ok(output);
            }
        }
    }

    /// Sends a part of the reply, with more to come. To a broker of MDP 0.1 it goes with the last.
    pub fn partial(&self, request: &Request, body: impl Into<Message>) {
        self.answer(request.number, false, body.into());
    }

    /// Sends the reply, or its last part. If the worker has begun anew since the request came, nothing
    /// is sent: the broker has given it to another.
    pub fn reply(&self, request: Request, body: impl Into<Message>) {
        self.answer(request.number, true, body.into());
    }

    fn answer(&self, number: u64, last: bool, body: Message) {
        let reply = WorkerCommand::Reply { number, last, body };
        self.handle.command(reply);
    }

    /// Answers requests until the context ends.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn serve<R: Into<Message>>(
        &self,
        mut answer: impl FnMut(&Message) -> R,
    ) -> Result<(), DriverError> {
        self.serve_while(|body| ControlFlow::<R, R>::Continue(answer(body)))
    }

    /// Answers requests until an answer is a `Break`, which is sent as well.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn serve_while<R: Into<Message>>(
        &self,
        mut answer: impl FnMut(&Message) -> ControlFlow<R, R>,
    ) -> Result<(), DriverError> {
        loop {
            let request = self.recv()?;
            match answer(&request.body) {
                ControlFlow::Continue(reply) => self.reply(request, reply),
                ControlFlow::Break(reply) => {
                    self.reply(request, reply);
                    return Ok(());
                }
            }
        }
    }

    /// Tells the broker that it leaves; whoever receives is told [`DriverError::Ended`].
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Tells the broker that it leaves, and ends.
    pub fn close(self) {
        self.handle.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Action;

    /// What the machine does at an event: its sends as text, its outputs, and `close` and `open`.
    fn acts(worker: &mut WorkerMachine, event: Event<WorkerCommand>, now: Time) -> Vec<String> {
        let mut actions = Actions::new();
        worker.handle(event, now, &mut actions);
        let text = |action| match action {
            Action::Open(_, spec) => format!("open {}", spec.connect[0].endpoint),
            Action::Close(_) => "close".to_owned(),
            Action::Send(_, message) => format!("{message:?}"),
            Action::Deliver(WorkerOutput::Up { endpoint }) => format!("up {endpoint}"),
            Action::Deliver(WorkerOutput::Down { endpoint, why }) => format!("{why} {endpoint}"),
            Action::Deliver(output) => format!("{output:?}"),
            other => format!("{other:?}"),
        };
        actions.drain().map(text).collect()
    }

    fn told(worker: &mut WorkerMachine, command: ToWorker, now: Time) -> Vec<String> {
        let mut message = command.frames("id".into(), Dialect::Mdp02);
        message.pop_front();
        acts(
            worker,
            Event::Message {
                port: PORT,
                message,
            },
            now,
        )
    }

    #[test]
    fn a_reply_to_what_it_had_before_it_began_anew_is_dropped() {
        let mut config = WorkerConfig::new("tcp://a:1", "echo");
        config.endpoints.push("tcp://b:1".to_owned());
        let mut worker = WorkerMachine::new(config, Rng::with_seed(1));
        let start = acts(&mut worker, Event::Start, Time::ZERO);
        assert_eq!(start[0], "open tcp://a:1");
        assert_eq!(start[1], "[[006] MDPW02, [001] 01, [004] echo]");
        // It does not wait for long where there is another broker.
        assert!(worker.due() < Some(Time::ZERO + HEARTBEAT));
        let port = PORT;
        let endpoint = "tcp://a:1".to_owned();
        let link = Link::Up;
        let up = Event::Link {
            port,
            endpoint,
            link,
        };
        assert_eq!(acts(&mut worker, up, Time::ZERO), ["up tcp://a:1"]);
        let beat = Time::ZERO + HEARTBEAT;
        assert_eq!(worker.due(), Some(beat));
        let (address, body) = ("address".into(), vec!["x".into()]);
        told(&mut worker, ToWorker::Request { address, body }, beat);
        let again = told(&mut worker, ToWorker::Disconnect, beat);
        assert_eq!(again, ["close", "sent away tcp://a:1"]);
        let then = worker.due().unwrap();
        assert!(then > beat);
        assert_eq!(acts(&mut worker, Event::Due, then)[0], "open tcp://b:1");
        let (number, last, body) = (1, true, "y".into());
        let reply = Event::Command(WorkerCommand::Reply { number, last, body });
        assert!(acts(&mut worker, reply, then).is_empty());
        assert_eq!(worker.stale(), 1);
        assert_eq!(worker.lost().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_silent_broker_is_given_up() {
        let config = WorkerConfig::new("tcp://a:1", "echo");
        let mut worker = WorkerMachine::new(config, Rng::with_seed(1));
        acts(&mut worker, Event::Start, Time::ZERO);
        // No heartbeat is left in the queue of a socket that is not connected.
        let beat = Time::ZERO + HEARTBEAT;
        assert_eq!(worker.due(), Some(beat));
        assert!(acts(&mut worker, Event::Due, beat).is_empty());
        let silent = Time::ZERO + HEARTBEAT * LIVENESS;
        // One that is only slow must not go on giving it requests.
        let told = "[[006] MDPW02, [001] 06]";
        assert_eq!(
            acts(&mut worker, Event::Due, silent),
            [told, "close", "expired tcp://a:1"]
        );
    }

    #[test]
    fn majortomo_may_be_silent_while_the_worker_is_at_work() {
        let mut config = WorkerConfig::new("tcp://a:1", "echo");
        config.dialect = Dialect::Majortomo;
        let mut worker = WorkerMachine::new(config, Rng::with_seed(1));
        acts(&mut worker, Event::Start, Time::ZERO);
        let (address, body) = ("address".into(), vec!["x".into()]);
        let request = ToWorker::Request { address, body };
        told(&mut worker, request, Time::ZERO);
        let silent = Time::ZERO + HEARTBEAT * LIVENESS;
        assert!(acts(&mut worker, Event::Due, silent).is_empty());
        assert!(worker.due() > Some(silent));
        let (number, last, body) = (1, true, "y".into());
        let reply = Event::Command(WorkerCommand::Reply { number, last, body });
        assert_eq!(acts(&mut worker, reply, silent).len(), 1);
        assert_eq!(worker.stale(), 0);
        // Its time begins anew.
        let again = silent + HEARTBEAT * LIVENESS;
        assert!(acts(&mut worker, Event::Due, silent + HEARTBEAT).is_empty());
        assert_eq!(acts(&mut worker, Event::Due, again)[1], "close");
    }
}
