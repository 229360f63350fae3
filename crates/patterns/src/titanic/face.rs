//! Titanic and its client over sockets, for threads and tasks.

use std::collections::HashMap;
use std::fmt;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use fastrand::Rng;
use xebec::{Context, Frame, Message};

use super::{
    Answered, Ask, ClientOptions, Failure, Id, Mark, ServerCommand, ServerConfig, ServerMachine,
    ServerNote, Service, Store, TitanicClient, Wanted,
};
use crate::driver::{Driver, DriverError, Handle};
use crate::machine::{Action, Actions, Event, Machine, Time};
use crate::majordomo::client::{ClientCommand, ClientOutput};
use crate::majordomo::stamp::Key;
use crate::majordomo::{CallError, ClientConfig, ClientMachine};
use crate::slots::{Slot, Slots};

/// A Titanic at a broker, with two threads: one for its sockets, and one that waits for the disk.
/// Whoever has it must go on taking its notes.
#[derive(Debug)]
pub struct Server {
    handle: Arc<Handle<Serving>>,
    syncs: JoinHandle<()>,
}

/// The machine, whose wishes for a sync go straight to the thread for it.
#[derive(Debug)]
struct Serving {
    machine: ServerMachine,
    notes: Actions<ServerNote>,
    marks: Option<Sender<Mark>>,
}

impl Server {
    /// Starts a Titanic on a store. Requests that are in it already are executed.
    ///
    /// # Errors
    /// When a socket cannot be made or connected.
    ///
    /// # Panics
    /// If there are no endpoints, or the system has no threads or random numbers left.
    pub fn new(
        context: &Context,
        store: Arc<dyn Store>,
        config: ServerConfig,
    ) -> Result<Self, DriverError> {
        let ids = || Id::random().expect("the system has random numbers");
        let (marks, asked) = mpsc::channel();
        let serving = Serving {
            machine: ServerMachine::new(store.clone(), config, ids, Rng::new()),
            notes: Actions::new(),
            marks: Some(marks),
        };
        let handle = Arc::new(Driver::new(context, serving)?.spawn());
        // Only whoever has the server keeps it running.
        let tells: Weak<Handle<Serving>> = Arc::downgrade(&handle);
        let syncs = thread::Builder::new()
            .name("xebec-titanic-sync".to_owned())
            .spawn(move || {
                for mark in asked {
                    let result = store.sync(mark);
                    let Some(handle) = tells.upgrade() else {
                        return;
                    };
                    handle.command(ServerCommand::Synced(result));
                }
            })
            .expect("a thread for the disk");
        Ok(Server { handle, syncs })
    }

    /// Waits for what it tells next; all but [`ServerNote::Sync`], which it sees to itself.
    ///
    /// # Errors
    /// See [`DriverError`].
    pub fn recv(&self) -> Result<ServerNote, DriverError> {
        self.handle.recv()
    }

    /// Asks it for something.
    pub fn command(&self, command: ServerCommand) {
        self.handle.command(command);
    }

    /// Has it take no more requests and end when those that are with their services are done.
    /// [`recv`](Self::recv) tells [`DriverError::Ended`] when it has; a second time it ends at once.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Ends it, and lets go of the store.
    pub fn close(self) {
        self.handle.stop();
        while self.handle.recv().is_ok() {}
        // The thread for the disk ends with the machine.
        let _ = self.syncs.join();
        drop(self.handle);
    }
}

impl Machine for Serving {
    type Command = ServerCommand;
    type Output = ServerNote;

    fn handle(
        &mut self,
        event: Event<ServerCommand>,
        now: Time,
        actions: &mut Actions<ServerNote>,
    ) {
        self.machine.handle(event, now, &mut self.notes);
        for action in self.notes.drain() {
            match action {
                Action::Deliver(ServerNote::Sync(mark)) => {
                    if let Some(marks) = &self.marks {
                        // Without the thread the machine is about to end.
                        let _ = marks.send(mark);
                    }
                }
                action => {
                    if action == Action::End {
                        self.marks = None;
                    }
                    actions.push(action);
                }
            }
        }
    }

    fn due(&self) -> Option<Time> {
        self.machine.due()
    }
}

/// A client of Titanic over sockets, with a thread of its own. It may be used from many threads and tasks
/// at the same time.
///
/// ```no_run
/// use xebec::Context;
/// use xebec_patterns::majordomo::ClientConfig;
/// use xebec_patterns::titanic::{Client, ClientOptions};
///
/// let broker = ClientConfig::new("tcp://localhost:5555");
/// let client = Client::new(&Context::new(), broker, ClientOptions::default())?;
/// let mut request = client.submit("echo", "Hello world");
/// println!("stored as {}", request.id()?);
/// println!("{}", request.reply()?.to_string_lossy());
/// request.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    slots: Slots<Ask>,
    handle: Arc<Handle<Calling>>,
    next: AtomicU64,
}

/// A request that Titanic has, or is being given. Dropping it leaves it with Titanic.
#[derive(Debug)]
pub struct Submitted {
    tag: u64,
    slot: Arc<Slot<Ask>>,
    slots: Slots<Ask>,
    handle: Arc<Handle<Calling>>,
    id: Option<Id>,
    reply: Option<Message>,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientError {
    /// What [`Failure`] says.
    Failed(Failure),
    /// The client has ended.
    Ended,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Failed(failure) => failure.fmt(f),
            ClientError::Ended => f.write_str("the client has ended"),
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// Starts a client. It connects when it is first asked.
    ///
    /// # Errors
    /// When a socket cannot be made.
    ///
    /// # Panics
    /// If there are no endpoints.
    pub fn new(
        context: &Context,
        broker: ClientConfig,
        options: ClientOptions,
    ) -> Result<Self, DriverError> {
        assert!(!broker.endpoints.is_empty(), "a client needs an endpoint");
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has random numbers");
        let slots = Slots::default();
        let calling = Calling {
            titanic: TitanicClient::new(options, fastrand::u64(..)),
            broker: ClientMachine::new(broker, id, Rng::new()),
            asked: HashMap::new(),
            next: 0,
            id,
            stamps: HashMap::new(),
            asks: Actions::new(),
            replies: Actions::new(),
            slots: slots.clone(),
        };
        let handle = Arc::new(Driver::new(context, calling)?.spawn());
        Ok(Client {
            slots,
            handle,
            next: AtomicU64::new(1),
        })
    }

    /// Gives Titanic a request. It is under way when this returns.
    pub fn submit(&self, service: impl Into<Frame>, body: impl Into<Message>) -> Submitted {
        let (service, body) = (service.into(), body.into().into_frames());
        self.begin(None, |tag| Wanted::Submit { tag, service, body })
    }

    /// Goes on with a request that was submitted before, perhaps by another process.
    pub fn follow(&self, id: Id) -> Submitted {
        self.begin(Some(id), |tag| Wanted::Follow { tag, id })
    }

    fn begin(&self, id: Option<Id>, wanted: impl FnOnce(u64) -> Wanted) -> Submitted {
        let tag = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.open(tag);
        self.handle.command(wanted(tag));
        Submitted {
            tag,
            slot,
            slots: self.slots.clone(),
            handle: self.handle.clone(),
            id,
            reply: None,
        }
    }
}

impl Submitted {
    /// Waits until it is stored, and returns its UUID, which is all that is needed to
    /// [follow](Client::follow) it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn id(&mut self) -> Result<Id, ClientError> {
        loop {
            if let Some(id) = self.id {
                return Ok(id);
            }
            self.step()?;
        }
    }

    /// The same in an async task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn id_async(&mut self) -> Result<Id, ClientError> {
        loop {
            if let Some(id) = self.id {
                return Ok(id);
            }
            self.step_async().await?;
        }
    }

    /// Waits for the reply, which Titanic keeps until the request is closed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn reply(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(reply) = &self.reply {
                return Ok(reply.clone());
            }
            self.step()?;
        }
    }

    /// The same in an async task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reply_async(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(reply) = &self.reply {
                return Ok(reply.clone());
            }
            self.step_async().await?;
        }
    }

    /// Has Titanic forget the request, and its reply if there is one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn close(mut self) -> Result<(), ClientError> {
        self.handle.command(Wanted::Close { tag: self.tag });
        while !self.step()? {}
        Ok(())
    }

    /// The same in an async task.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn close_async(mut self) -> Result<(), ClientError> {
        self.handle.command(Wanted::Close { tag: self.tag });
        while !self.step_async().await? {}
        Ok(())
    }

    fn step(&mut self) -> Result<bool, ClientError> {
        let ask = self.slot.wait(|| self.handle.try_recv().is_err());
        self.take(ask.ok_or(ClientError::Ended)?)
    }

    async fn step_async(&mut self) -> Result<bool, ClientError> {
        let ask = self.slot.wait_async().await;
        self.take(ask)
    }

    /// Takes in what the machine told. True if the request is closed.
    fn take(&mut self, ask: Ask) -> Result<bool, ClientError> {
        match ask {
            Ask::Submitted { id, .. } => self.id = Some(id),
            Ask::Reply { body, .. } => self.reply = Some(body.into_iter().collect()),
            Ask::Closed { .. } => return Ok(true),
            Ask::Failed { why, .. } => return Err(ClientError::Failed(why)),
            Ask::Service { .. } => {}
        }
        Ok(false)
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        self.slots.close(self.tag);
        self.handle.command(Wanted::Drop { tag: self.tag });
    }
}

/// The client's machine on that of Majordomo's, whose outputs go straight to those who wait for them.
#[derive(Debug)]
struct Calling {
    titanic: TitanicClient,
    broker: ClientMachine,
    /// Whose question a call to the broker is, and what has come of its answer.
    asked: HashMap<u64, (u64, Vec<Frame>)>,
    next: u64,
    id: [u8; 16],
    /// The stamps of submissions that were not answered yet: when they come again they are the same.
    stamps: HashMap<u64, Key>,
    asks: Actions<Ask>,
    replies: Actions<ClientOutput>,
    slots: Slots<Ask>,
}

impl Calling {
    fn titanic(&mut self, event: Event<Wanted>, now: Time, actions: &mut Actions<()>) {
        let mut asks = take(&mut self.asks);
        self.titanic.handle(event, now, &mut asks);
        for action in asks.drain() {
            match action {
                Action::Deliver(Ask::Service {
                    tag,
                    service,
                    frames,
                }) => {
                    self.next += 1;
                    self.asked.insert(self.next, (tag, Vec::new()));
                    let fresh = Key {
                        client: self.id,
                        number: u64::MAX - self.next,
                    };
                    let key = (service == Service::Request)
                        .then(|| *self.stamps.entry(tag).or_insert(fresh));
                    let call = ClientCommand::Call {
                        ticket: self.next,
                        key,
                        service: service.name().into(),
                        body: frames,
                    };
                    self.broker(Event::Command(call), now, actions);
                }
                Action::Deliver(
                    ask @ (Ask::Submitted { tag, .. }
                    | Ask::Reply { tag, .. }
                    | Ask::Closed { tag }
                    | Ask::Failed { tag, .. }),
                ) => {
                    self.stamps.remove(&tag);
                    self.slots.put(tag, ask);
                }
                _ => {}
            }
        }
        self.asks = asks;
    }

    fn broker(&mut self, event: Event<ClientCommand>, now: Time, actions: &mut Actions<()>) {
        let mut replies = take(&mut self.replies);
        self.broker.handle(event, now, &mut replies);
        for action in replies.drain() {
            let (ticket, answer) = match action.nested(0) {
                Ok(action) => {
                    actions.push(action);
                    continue;
                }
                Err(ClientOutput::Part { ticket, last, body }) => {
                    let Some((_, frames)) = self.asked.get_mut(&ticket) else {
                        continue;
                    };
                    frames.extend(body);
                    if !last {
                        continue;
                    }
                    (ticket, Answered::Frames(take(frames)))
                }
                Err(ClientOutput::Failed { ticket, error }) => match error {
                    // An attempt before may have reached Titanic: its stamp is kept.
                    CallError::NoReply | CallError::Unconnected(_) | CallError::Ended => {
                        (ticket, Answered::Nothing)
                    }
                    // It may get through later, as after an answer of 500.
                    error => (
                        ticket,
                        Answered::Frames(vec![format!("500 {error}").into()]),
                    ),
                },
            };
            if let Some((tag, _)) = self.asked.remove(&ticket) {
                if matches!(answer, Answered::Frames(_)) {
                    self.stamps.remove(&tag);
                }
                let answered = Wanted::Answered { tag, answer };
                self.titanic(Event::Command(answered), now, actions);
            }
        }
        self.replies = replies;
    }
}

impl Machine for Calling {
    type Command = Wanted;
    type Output = ();

    fn handle(&mut self, event: Event<Wanted>, now: Time, actions: &mut Actions<()>) {
        let inner = match event {
            Event::Command(wanted) => return self.titanic(Event::Command(wanted), now, actions),
            Event::Due => {
                if self.titanic.due().is_some_and(|at| at <= now) {
                    self.titanic(Event::Due, now, actions);
                }
                if self.broker.due().is_none_or(|at| at > now) {
                    return;
                }
                Event::Due
            }
            Event::Start => Event::Start,
            Event::Stop => Event::Stop,
            Event::Message { port, message } => Event::Message { port, message },
            Event::Unsent { port, message, why } => Event::Unsent { port, message, why },
            Event::Link {
                port,
                endpoint,
                link,
            } => Event::Link {
                port,
                endpoint,
                link,
            },
        };
        self.broker(inner, now, actions);
    }

    fn due(&self) -> Option<Time> {
        let due = [self.titanic.due(), self.broker.due()];
        due.into_iter().flatten().min()
    }
}
