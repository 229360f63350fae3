//! A client over sockets, for threads and tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use xebec::{Context, Frame, Message};

use super::{CallError, ClientCommand, ClientConfig, ClientMachine, ClientOutput};
use crate::driver::{Driver, DriverError, Handle};
use crate::machine::{Actions, Event, Machine, Time};
use crate::slots::{Slot, Slots};

/// A client over sockets, with a thread of its own. It may be used from many threads and tasks at the
/// same time.
///
/// ```no_run
/// use xebec::Context;
/// use xebec_patterns::majordomo::{Client, ClientConfig};
///
/// let client = Client::new(&Context::new(), ClientConfig::new("tcp://localhost:5555").once())?;
/// let reply = client.call("echo", "Hello world")?;
/// assert_eq!(reply.body(), "Hello world");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    slots: Slots<ClientOutput>,
    handle: Arc<Handle<Faced>>,
    next: AtomicU64,
}

/// The reply to one request as it comes, part by part. Dropping it takes the request back, as far as
/// that can be done.
#[derive(Debug)]
pub struct Stream {
    ticket: u64,
    slot: Arc<Slot<ClientOutput>>,
    slots: Slots<ClientOutput>,
    handle: Arc<Handle<Faced>>,
    over: bool,
}

impl Client {
    /// Starts a client. It connects when it is first asked.
    ///
    /// # Errors
    /// When a socket cannot be made.
    ///
    /// # Panics
    /// If there are no endpoints.
    pub fn new(context: &Context, config: ClientConfig) -> Result<Self, DriverError> {
        assert!(!config.endpoints.is_empty(), "a client needs an endpoint");
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has random numbers");
        let slots = Slots::default();
        let faced = Faced {
            machine: ClientMachine::new(config, id, Rng::new()),
            actions: Actions::new(),
            slots: slots.clone(),
        };
        let handle = Arc::new(Driver::new(context, faced)?.spawn());
        Ok(Client {
            slots,
            handle,
            next: AtomicU64::new(1),
        })
    }

    /// Asks a service and waits for the whole reply; the frames of all its parts are one message.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(
        &self,
        service: impl Into<Frame>,
        body: impl Into<Message>,
    ) -> Result<Message, CallError> {
        let parts: Result<Vec<Message>, CallError> = self.stream(service, body).collect();
        Ok(parts?.into_iter().flatten().collect())
    }

    /// Does the same in an async task. Dropping the future takes the request back. It does not notice
    /// the end of the context.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_async(
        &self,
        service: impl Into<Frame>,
        body: impl Into<Message>,
    ) -> Result<Message, CallError> {
        let mut stream = self.stream(service, body);
        let mut frames = Vec::new();
        while let Some(part) = stream.next_async().await {
            frames.extend(part?);
        }
        Ok(frames.into_iter().collect())
    }

    /// Asks a service. The request is under way when this returns; the reply is in the stream.
    pub fn stream(&self, service: impl Into<Frame>, body: impl Into<Message>) -> Stream {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.open(ticket);
        self.handle.command(ClientCommand::Call {
            ticket,
            key: None,
            service: service.into(),
            body: body.into().into_frames(),
        });
        Stream {
            ticket,
            slot,
            slots: self.slots.clone(),
            handle: self.handle.clone(),
            over: false,
        }
    }
}

/// Waits for the parts of the reply; after the last one, or a failure, there are no more.
impl Iterator for Stream {
    type Item = Result<Message, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let output = self.slot.wait(|| self.handle.try_recv().is_err());
        let output = output.unwrap_or(ClientOutput::Failed {
            ticket: self.ticket,
            error: CallError::Ended,
        });
        Some(self.take(output))
    }
}

impl Stream {
    /// Waits for the next part in an async task, as [`next`](Iterator::next) does, but for the end of
    /// the context, which it does not notice.
    pub async fn next_async(&mut self) -> Option<Result<Message, CallError>> {
        if self.over {
            return None;
        }
        let output = self.slot.wait_async().await;
        Some(self.take(output))
    }

    fn take(&mut self, output: ClientOutput) -> Result<Message, CallError> {
        match output {
            ClientOutput::Part { last, body, .. } => {
                self.over = last;
                Ok(body.into_iter().collect())
            }
            ClientOutput::Failed { error, .. } => {
                self.over = true;
                Err(error)
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.slots.close(self.ticket);
        if !self.over {
            self.handle.command(ClientCommand::Cancel(self.ticket));
        }
    }
}

/// The machine, whose outputs go straight to those who wait for them.
#[derive(Debug)]
struct Faced {
    machine: ClientMachine,
    actions: Actions<ClientOutput>,
    slots: Slots<ClientOutput>,
}

impl Machine for Faced {
    type Command = ClientCommand;
    type Output = ();

    fn handle(&mut self, event: Event<ClientCommand>, now: Time, actions: &mut Actions<()>) {
        self.machine.handle(event, now, &mut self.actions);
        for action in self.actions.drain() {
            match action.nested(0) {
                Ok(action) => actions.push(action),
                Err(output) => {
                    let (ClientOutput::Part { ticket, .. } | ClientOutput::Failed { ticket, .. }) =
                        &output;
                    let ticket = *ticket;
                    self.slots.put(ticket, output);
                }
            }
        }
    }

    fn due(&self) -> Option<Time> {
        self.machine.due()
    }
}
