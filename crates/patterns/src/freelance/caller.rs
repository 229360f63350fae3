//! Calls: a client of any model with its driver, for those who want a reply and not events.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use xebec::{Context, Message};

use super::{Command, Failure, Output};
use crate::driver::{Driver, DriverError};
use crate::machine::Machine;

/// A reply and who gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The server.
    pub server: String,
    /// The reply without any envelope.
    pub body: Message,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum CallError {
    /// The request was given up.
    Failed(Failure),
    /// The client cannot go on; after [`DriverError::Interrupted`] it can.
    Driver(DriverError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Failed(why) => why.fmt(f),
            CallError::Driver(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

impl From<DriverError> for CallError {
    fn from(error: DriverError) -> Self {
        CallError::Driver(error)
    }
}

/// How a request ended, and its number.
type Outcome = (u64, Result<Reply, Failure>);

/// A client in the caller's thread or task. Pings and timeouts of the client happen while a call waits;
/// a client that is to know its servers between calls runs by [`Driver::spawn`] instead.
pub struct Caller<M: Machine> {
    driver: Driver<M>,
    next: u64,
    /// What ended while another request was waited for.
    ended: VecDeque<Outcome>,
}

impl<M: Machine<Command = Command, Output = Output>> Caller<M> {
    /// Starts a client.
    ///
    /// # Errors
    /// When a socket cannot be made or connected.
    pub fn new(context: &Context, client: M) -> Result<Self, DriverError> {
        Ok(Caller {
            driver: Driver::new(context, client)?,
            next: 0,
            ended: VecDeque::new(),
        })
    }

    /// The client and its sockets.
    pub fn driver(&self) -> &Driver<M> {
        &self.driver
    }

    /// Asks without waiting; returns the number under which [`wait`](Self::wait) tells the end of it.
    ///
    /// # Errors
    /// When the client has ended.
    pub fn submit(&mut self, body: impl Into<Message>) -> Result<u64, DriverError> {
        self.next += 1;
        let command = Command::Request(self.next, body.into());
        self.driver.command(command)?;
        Ok(self.next)
    }

    /// Waits until one of the submitted requests has come to its end, whichever it is.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn wait(&mut self) -> Result<(u64, Result<Reply, Failure>), DriverError> {
        loop {
            if let Some(outcome) = self.ended.pop_front() {
                return Ok(outcome);
            }
            let output = self.driver.recv()?;
            self.ended.extend(outcome(output));
        }
    }

    /// Asks and waits for the reply.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(&mut self, body: impl Into<Message>) -> Result<Reply, CallError> {
        let request = self.submit(body)?;
        loop {
            let output = self.driver.recv()?;
            if let Some(result) = self.take(request, output) {
                return result.map_err(CallError::Failed);
            }
        }
    }

    /// Asks and waits for the reply in an async task; `sleep` is the executor's timer, such as
    /// `tokio::time::sleep`. If the future is dropped, [`wait`](Self::wait) tells the end of the
    /// request.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_async<S: Future<Output = ()>>(
        &mut self,
        body: impl Into<Message>,
        mut sleep: impl FnMut(Duration) -> S,
    ) -> Result<Reply, CallError> {
        let request = self.submit(body)?;
        loop {
            let output = self.driver.recv_async(&mut sleep).await?;
            if let Some(result) = self.take(request, output) {
                return result.map_err(CallError::Failed);
            }
        }
    }

    fn take(&mut self, request: u64, output: Output) -> Option<Result<Reply, Failure>> {
        let (number, result) = outcome(output)?;
        if number == request {
            return Some(result);
        }
        self.ended.push_back((number, result));
        None
    }
}

impl<M: Machine> fmt::Debug for Caller<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({:?}, {} requests)", self.driver, self.next)
    }
}

fn outcome(output: Output) -> Option<Outcome> {
    match output {
        Output::Reply {
            request,
            server,
            body,
        } => Some((request, Ok(Reply { server, body }))),
        Output::Failed { request, why } => Some((request, Err(why))),
        _ => None,
    }
}
