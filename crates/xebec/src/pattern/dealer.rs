//! DEALER (RFC 28): round-robin out, fair-queue in, no order imposed.

use super::policy::{FairQueue, LoadBalance};
use super::{Pattern, word};
use crate::error::{RecvError, SendErrorKind};
use crate::message::Message;
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// The asynchronous counterpart of REQ; adds no delimiter.
#[derive(Default)]
pub(crate) struct Dealer {
    pub(super) inn: FairQueue,
    pub(super) out: LoadBalance,
    probe: bool,
    /// HELLO_MSG and HICCUP_MSG.
    hello: Option<Message>,
    hiccup: Option<Message>,
}

impl Pattern for Dealer {
    fn attach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.insert(id);
        self.out.0.insert(id);
    }

    fn detach(&mut self, _: &mut Pipes, id: PipeId) {
        self.inn.0.remove(id);
        self.out.0.remove(id);
    }

    fn connected(&mut self, pipes: &mut Pipes, id: PipeId) {
        if let Some(hello) = &self.hello {
            pipes.greet(id, hello);
        }
        if self.probe {
            pipes.greet(id, &Message::new());
        }
    }

    fn disconnected(&mut self, pipes: &mut Pipes, id: PipeId) {
        if pipes.pipe(id).dialer.is_some()
            && let Some(hiccup) = &self.hiccup
        {
            pipes.tell(id, hiccup.clone());
            self.inn.0.activate(id);
        }
    }

    fn readable(&mut self, id: PipeId) {
        self.inn.0.activate(id);
    }

    fn writable(&mut self, id: PipeId) {
        self.out.0.activate(id);
    }

    #[inline]
    fn send(&mut self, pipes: &mut Pipes, message: &mut Message) -> Result<(), SendErrorKind> {
        self.out.send(pipes, message).map(drop)
    }

    #[inline]
    fn recv(&mut self, pipes: &mut Pipes, slot: &mut Message) -> Result<bool, RecvError> {
        Ok(self.inn.recv(pipes, slot).is_some())
    }

    fn can_send(&mut self, pipes: &mut Pipes) -> bool {
        self.out.next(pipes).is_some()
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.inn.can_recv(pipes)
    }

    fn configure(&mut self, options: &Options) {
        self.probe = options.probe_router;
        self.hello = word(&options.hello_msg);
        self.hiccup = word(&options.hiccup_msg);
    }
}
