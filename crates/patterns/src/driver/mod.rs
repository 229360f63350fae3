//! Runs a machine over sockets.
//!
//! A [`Driver`] has a machine and the sockets that it opened. It does nothing by itself: whoever
//! holds it feeds it, by asking for the machine's next output with [`recv`](Driver::recv) in a thread
//! of its own choice, with [`recv_async`](Driver::recv_async) in a task, or by giving it a thread with
//! [`spawn`](Driver::spawn). While nobody does, the machine's timers stand still and its messages wait.
//!
//! What lives here: sockets, monitors, the clock. What does not: anything that a pattern decides.

mod handle;

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use xebec::{
    AddressError, Context, EventKind, Interest, Message, Monitor, PollError, PollItem, RecvError,
    SendErrorKind, Socket, SocketError, SocketType,
};

use self::handle::Bell;
pub use self::handle::Handle;
use crate::machine::{Action, Actions, Connect, Event, Link, Machine, Port, Spec, Time};

/// Messages taken from one port before the others get their turn.
const TURN: usize = 64;

/// Why a driver has nothing more to tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum DriverError {
    /// The machine has ended, or was told to stop by whoever holds the driver.
    Ended,
    /// The context was terminated.
    Terminated,
    /// A signal interrupted the wait. The driver goes on when it is asked again.
    Interrupted,
    /// A socket could not be bound or connected. The machine is ended.
    Address(AddressError),
    /// A socket could not be made. The machine is ended.
    Socket(SocketError),
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriverError::Ended => f.write_str("the machine has ended"),
            DriverError::Terminated => f.write_str("the context was terminated"),
            DriverError::Interrupted => f.write_str("a signal interrupted the wait"),
            DriverError::Address(error) => error.fmt(f),
            DriverError::Socket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DriverError {}

impl From<AddressError> for DriverError {
    fn from(error: AddressError) -> Self {
        DriverError::Address(error)
    }
}

impl From<SocketError> for DriverError {
    fn from(error: SocketError) -> Self {
        DriverError::Socket(error)
    }
}

/// An open port.
struct Open {
    socket: Socket,
    monitor: Option<Monitor>,
    listening: bool,
    bound: Vec<String>,
}

/// A machine on sockets of a context.
pub struct Driver<M: Machine> {
    machine: M,
    context: Context,
    start: Instant,
    /// By number.
    ports: Vec<Option<Open>>,
    /// The port that is read first in the next round.
    first: usize,
    actions: Actions<M::Output>,
    outputs: VecDeque<M::Output>,
    unsent: VecDeque<Event<M::Command>>,
    /// What wakes the blocking wait from outside; made when it is first needed.
    bell: Option<Arc<Bell>>,
    ended: bool,
}

impl<M: Machine> Driver<M> {
    /// Starts a machine: when this returns it has opened its first ports.
    ///
    /// # Errors
    /// When a socket cannot be made, bound or connected.
    pub fn new(context: &Context, machine: M) -> Result<Self, DriverError> {
        let mut driver = Driver {
            machine,
            context: context.clone(),
            start: Instant::now(),
            ports: Vec::new(),
            first: 0,
            actions: Actions::new(),
            outputs: VecDeque::new(),
            unsent: VecDeque::new(),
            bell: None,
            ended: false,
        };
        driver.feed(Event::Start)?;
        Ok(driver)
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Takes the driver apart: the ports close.
    pub fn into_machine(self) -> M {
        self.machine
    }

    /// The present moment.
    pub fn now(&self) -> Time {
        Time::after_start(self.start.elapsed())
    }

    /// The socket of an open port, for its counters and the like.
    pub fn socket(&self, port: Port) -> Option<&Socket> {
        Some(&self.ports.get(usize::from(port.0))?.as_ref()?.socket)
    }

    /// The endpoints that an open port is bound to, with their real ports and paths.
    pub fn bound(&self, port: Port) -> &[String] {
        let open = self.ports.get(usize::from(port.0)).and_then(Option::as_ref);
        open.map_or(&[], |open| &open.bound)
    }

    /// Whether the machine has ended.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Asks the machine for something.
    ///
    /// # Errors
    /// [`DriverError::Ended`], and those of [`new`](Self::new) if the machine opens ports for it.
    pub fn command(&mut self, command: M::Command) -> Result<(), DriverError> {
        if self.ended {
            return Err(DriverError::Ended);
        }
        self.feed(Event::Command(command))
    }

    /// Tells the machine to end. It may have something to do before: go on receiving until
    /// [`DriverError::Ended`], or drop the driver to end it at once.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn stop(&mut self) -> Result<(), DriverError> {
        self.feed(Event::Stop)
    }

    /// Waits for the next output.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv(&mut self) -> Result<M::Output, DriverError> {
        loop {
            if let Some(output) = self.recv_until(None)? {
                return Ok(output);
            }
        }
    }

    /// Waits for the next output for at most `timeout`.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<M::Output>, DriverError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next output, if there is one or what has happened leads to one.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn try_recv(&mut self) -> Result<Option<M::Output>, DriverError> {
        if self.outputs.is_empty() && !self.ended {
            self.sweep()?;
        }
        match self.outputs.pop_front() {
            None if self.ended => Err(DriverError::Ended),
            output => Ok(output),
        }
    }

    /// Waits for the next output in an async task. `sleep` is the executor's timer, such as
    /// `tokio::time::sleep`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub async fn recv_async<S: Future<Output = ()>>(
        &mut self,
        mut sleep: impl FnMut(Duration) -> S,
    ) -> Result<M::Output, DriverError> {
        loop {
            if let Some(output) = self.try_recv()? {
                return Ok(output);
            }
            let now = self.now();
            let mut timer = pin!(self.machine.due().map(|at| sleep(at.since(now))));
            poll_fn(|cx| {
                if self.sweep_links(cx)? || self.sweep_ports(Some(cx))? {
                    return Poll::Ready(Ok::<_, DriverError>(()));
                }
                match timer.as_mut().as_pin_mut() {
                    Some(timer) => timer.poll(cx).map(Ok),
                    None => Poll::Pending,
                }
            })
            .await?;
        }
    }

    fn recv_until(&mut self, until: Option<Instant>) -> Result<Option<M::Output>, DriverError> {
        loop {
            if let Some(output) = self.try_recv()? {
                return Ok(Some(output));
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(None);
            }
            self.wait(until, true)?;
        }
    }

    // ---- events in ----

    fn feed(&mut self, event: Event<M::Command>) -> Result<(), DriverError> {
        let mut event = Some(event);
        while let Some(next) = event.filter(|_| !self.ended) {
            let now = self.now();
            self.machine.handle(next, now, &mut self.actions);
            let mut actions = std::mem::take(&mut self.actions);
            let done = actions.drain().try_for_each(|action| self.perform(action));
            self.actions = actions;
            if done.is_err() {
                self.end();
                done?;
            }
            event = self.unsent.pop_front();
        }
        Ok(())
    }

    /// Takes in what has happened, without waiting. True if something had.
    fn sweep(&mut self) -> Result<bool, DriverError> {
        let mut any = false;
        if self.ports.iter().flatten().any(|p| p.monitor.is_some()) {
            let waker = Waker::from(self.bell());
            any |= self.sweep_links(&mut task::Context::from_waker(&waker))?;
        }
        any |= self.sweep_ports(None)?;
        // Last: whoever stood still for a while first hears what had come in time.
        any |= self.sweep_due()?;
        Ok(any)
    }

    /// Tells the machine that its moment has come, if it has.
    fn sweep_due(&mut self) -> Result<bool, DriverError> {
        let due = self.machine.due().is_some_and(|at| at <= self.now());
        if due {
            self.feed(Event::Due)?;
        }
        Ok(due)
    }

    /// Takes in what became of connections, and leaves the waker for what is to come.
    fn sweep_links(&mut self, cx: &mut task::Context<'_>) -> Result<bool, DriverError> {
        let mut any = false;
        for index in 0..self.ports.len() {
            while let Some(Open {
                monitor: Some(monitor),
                ..
            }) = &self.ports[index]
            {
                let Poll::Ready(Some(event)) = pin!(monitor.recv_async()).poll(cx) else {
                    break;
                };
                if let Some(link) = link(&event) {
                    any = true;
                    let (port, endpoint) = (Port(index as u8), event.endpoint);
                    self.feed(Event::Link {
                        port,
                        endpoint,
                        link,
                    })?;
                    if self.ports.len() <= index {
                        break;
                    }
                }
            }
            if self.ended {
                break;
            }
        }
        Ok(any)
    }

    /// Takes in messages, a turn's worth of each port; with a context it leaves the waker where there
    /// are none.
    fn sweep_ports(&mut self, mut cx: Option<&mut task::Context<'_>>) -> Result<bool, DriverError> {
        let mut any = false;
        let ports = self.ports.len();
        self.first = (self.first + 1) % ports.max(1);
        for index in (self.first..ports).chain(0..self.first) {
            for _ in 0..TURN {
                let open = self.ports.get(index).and_then(Option::as_ref);
                let Some(open) = open.filter(|open| open.listening) else {
                    break;
                };
                let received = match &mut cx {
                    None => open.socket.try_recv(),
                    Some(cx) => match Pin::new(&mut open.socket.recv_async()).poll(cx) {
                        Poll::Ready(received) => received,
                        Poll::Pending => break,
                    },
                };
                let message = match received {
                    Ok(message) => message,
                    Err(RecvError::Terminated) => {
                        self.end();
                        return Err(DriverError::Terminated);
                    }
                    // Nothing there, or it is not a REQ's turn.
                    Err(_) => break,
                };
                any = true;
                let port = Port(index as u8);
                self.feed(Event::Message { port, message })?;
            }
        }
        Ok(any)
    }

    /// Waits until something may have happened, to the ports only if they are wanted.
    fn wait(&mut self, until: Option<Instant>, ports: bool) -> Result<(), DriverError> {
        let mut items = Vec::with_capacity(self.ports.len() + 3);
        let listening = self
            .ports
            .iter()
            .flatten()
            .filter(|open| ports && open.listening);
        items.extend(listening.map(|open| PollItem::socket(&open.socket, Interest::READ)));
        let due = self.machine.due();
        let due = due.and_then(|at| self.start.checked_add(at.elapsed()));
        items.extend(due.into_iter().chain(until).map(PollItem::timer));
        if let Some(bell) = &self.bell {
            items.push(PollItem::fd(bell.as_ref(), Interest::READ));
        }
        let waited = xebec::poll(&mut items, None);
        if let Some(bell) = &self.bell {
            bell.still();
        }
        match waited {
            Ok(_) => Ok(()),
            Err(PollError::Interrupted) => Err(DriverError::Interrupted),
            Err(_) => {
                self.end();
                Err(DriverError::Terminated)
            }
        }
    }

    fn bell(&mut self) -> Arc<Bell> {
        self.bell.get_or_insert_with(Bell::new).clone()
    }

    // ---- actions out ----

    fn perform(&mut self, action: Action<M::Output>) -> Result<(), DriverError> {
        if self.ended {
            return Ok(());
        }
        match action {
            Action::Open(port, spec) => {
                self.close(port);
                let open = self.open(&spec)?;
                let index = usize::from(port.0);
                if self.ports.len() <= index {
                    self.ports.resize_with(index + 1, || None);
                }
                self.ports[index] = Some(open);
            }
            Action::Close(port) => self.close(port),
            Action::Connect(port, to) => {
                if let Some(socket) = self.socket(port) {
                    connect(socket, &to)?;
                }
            }
            Action::Disconnect(port, endpoint) => {
                if let Some(socket) = self.socket(port) {
                    socket.disconnect(&endpoint)?;
                }
            }
            Action::Listen(port, on) => {
                if let Some(Some(open)) = self.ports.get_mut(usize::from(port.0)) {
                    open.listening = on;
                }
            }
            Action::Send(port, message) => self.send(port, message),
            Action::Deliver(output) => self.outputs.push_back(output),
            Action::End => self.end(),
        }
        Ok(())
    }

    fn open(&self, spec: &Spec) -> Result<Open, DriverError> {
        let socket = Socket::with_options(&self.context, spec.kind, spec.options.clone())?;
        let monitor = spec.watch.then(|| socket.monitor());
        for prefix in &spec.subscribe {
            let subscribed = socket.subscribe(prefix);
            subscribed.map_err(|error| DriverError::Socket(SocketError::Option(error)))?;
        }
        let bound: Result<Vec<_>, _> = spec.bind.iter().map(|at| socket.bind(at)).collect();
        let bound = bound?;
        spec.connect
            .iter()
            .try_for_each(|to| connect(&socket, to))?;
        Ok(Open {
            socket,
            monitor,
            listening: receives(spec.kind),
            bound,
        })
    }

    fn close(&mut self, port: Port) {
        let open = self.ports.get_mut(usize::from(port.0));
        if let Some(open) = open.and_then(Option::take) {
            let unsent: Result<_, xebec::OptionError> = open.socket.configure(|options| {
                options.linger = Some(Duration::ZERO);
                Ok(())
            });
            debug_assert!(unsent.is_ok(), "LINGER is an option of every socket");
        }
    }

    fn send(&mut self, port: Port, message: Message) {
        let refused = match self.socket(port) {
            Some(socket) => socket.try_send(message).err(),
            None => None,
        };
        if let Some(refused) = refused.filter(|r| r.kind != SendErrorKind::Terminated) {
            let (message, why) = (refused.message, refused.kind);
            self.unsent.push_back(Event::Unsent { port, message, why });
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.ports.clear();
        self.unsent.clear();
    }
}

impl<M: Machine> fmt::Debug for Driver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.ports.iter().flatten().map(|open| &open.socket);
        f.debug_list().entries(ports).finish()
    }
}

fn connect(socket: &Socket, to: &Connect) -> Result<(), DriverError> {
    if let Some(id) = &to.routing_id {
        let named: Result<_, xebec::OptionError> = socket.configure(|options| {
            options.connect_routing_id = id.clone();
            Ok(())
        });
        named.map_err(|error| DriverError::Socket(SocketError::Option(error)))?;
    }
    Ok(socket.connect(&to.endpoint)?)
}

fn receives(kind: SocketType) -> bool {
    !matches!(kind, SocketType::Pub | SocketType::Push)
}

/// What an event of a monitor says of a connection, if anything.
fn link(event: &xebec::Event) -> Option<Link> {
    let refused = || {
        let why = event.cause.clone();
        Link::Refused(why.unwrap_or_else(|| format!("{:?}", event.kind)))
    };
    match event.kind {
        EventKind::HandshakeSucceeded => Some(Link::Up),
        EventKind::Disconnected => Some(Link::Down),
        EventKind::ConnectRetried
        | EventKind::HandshakeFailedNoDetail
        | EventKind::HandshakeFailedProtocol
        | EventKind::HandshakeFailedAuth => Some(refused()),
        EventKind::Closed if event.cause.is_some() => Some(refused()),
        _ => None,
    }
}
