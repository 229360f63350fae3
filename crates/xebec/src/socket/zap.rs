//! Asking the ZAP handler (RFC 27) whether a peer is let in.
//!
//! The handler is a REP or ROUTER socket of the same context, bound to [`zap::ENDPOINT`]. Each
//! question has an inproc pipe of its own: the handler's end is an ordinary pipe of the handler's
//! socket, ours is kept with the connection that is being shaken hands with, away from the pattern.
//!
//! A handshake runs under its socket's lock, and the registry of inproc endpoints comes before
//! sockets in the lock order. So the question is only noted there; the background thread brings it
//! to the handler without any socket's lock, and takes the answer in as well, for the application
//! may be away. No two sockets are locked at a time.
//!
//! Who is asked about what, and what it means that there is no handler, is libzmq's:
//!
//! | mechanism | asked | without a handler |
//! |---|---|---|
//! | NULL, either side | if ZAP_DOMAIN is set | allowed, unless ZAP_ENFORCE_DOMAIN |
//! | PLAIN server | always | refused |
//! | CURVE server | unless ZAP_ENFORCE_DOMAIN is set and ZAP_DOMAIN is not | allowed, unless ZAP_ENFORCE_DOMAIN |
//!
//! In a context that has, or had, an [`Authenticator`](crate::Authenticator), nobody is allowed
//! for want of a handler.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use zmtp::{Credentials, Mechanism, SocketType, Verdict, zap};

use super::core::{Core, Registered, State, Token};
use super::timers::Alarm;
use crate::admission::{Grant, Stage};
use crate::channel::{self, End, Far, Inbox};
use crate::conn::{Broken, Shaken};
use crate::message::{Frame, Message};
use crate::monitor::{Event, EventKind};
use crate::options::Options;
use crate::pipe::{Pipe, PipeId};

/// The id of each request. A pipe carries one request, so nothing has to be told apart (libzmq's
/// is the same).
const REQUEST_ID: &[u8] = b"1";

/// How long a peer that cannot be judged for the time being (300) is kept waiting. It is told
/// nothing and would come back at once, again and again, to a handler that is in trouble already.
const LATER: Duration = Duration::from_secs(2);

/// Questions that a handler may have before it. One that answers none, or not fast enough for the
/// strangers who come and go meanwhile, is not there: its pipes would grow without bound.
const MOST_QUESTIONS: usize = 10_000;

/// Whether a peer is to be judged before it is let in.
pub(super) fn concerns(mechanism: &Mechanism, options: &Options) -> bool {
    let domain = !options.zap_domain.is_empty();
    match mechanism {
        Mechanism::Null => domain,
        _ => mechanism.is_server() && (domain || !options.zap_enforce_domain),
    }
}

/// Where the handler's answer is told: the background thread is to take it in.
struct Desk {
    core: Weak<Core>,
    /// Fixed by now: a socket that has connections keeps its thread.
    io: Registered,
}

impl Inbox for Desk {
    fn tell(&self, token: u64) {
        if let Some(core) = self.core.upgrade() {
            Inbox::tell(&*core, token);
            self.io.wake();
        }
    }

    /// A question is the only thing that is sent from here, and the first message is not held back.
    fn hand_over(&self, _: u64, _: bool) {}
}

/// A question on its way to the handler.
struct Question {
    token: u64,
    request: Message,
    /// Nobody is let in for want of a handler.
    strict: bool,
    /// The thread that takes the answer in.
    io: Registered,
}

impl Core {
    /// The handshake of a connection has come this far.
    pub(super) fn shaken(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        result: Result<Shaken, Broken>,
    ) {
        match result {
            Ok(Shaken::Done(peer)) => self.established(st, id, Some(peer)),
            Ok(Shaken::Waits) => {}
            Ok(Shaken::Asks(credentials)) => {
                st.pipes.pipe_mut(id).admission().stage = Stage::Noted(credentials);
                let token = Token::Inquiry(id, st.pipes.pipe(id).generation);
                st.inquiries.push(token.encode());
                if let Some(io) = &st.io {
                    io.wake();
                }
            }
            Err(why) => st.pipes.fail(id, why),
        }
    }

    /// Brings the questions that were noted to the handler. For the background thread, which
    /// holds no lock.
    pub(super) fn bring_inquiries(self: &Arc<Self>) {
        let questions: Vec<Question> = {
            let mut st = self.lock();
            let tokens = std::mem::take(&mut st.inquiries);
            tokens
                .into_iter()
                .filter_map(|token| self.question(&mut st, token))
                .collect()
        };
        for question in questions {
            let asked = self.ask(&question);
            let mut st = self.lock();
            let st = &mut *st;
            // Unless the peer has gone meanwhile.
            if let Some(id) = st.inquirer(question.token) {
                match asked {
                    Ok(end) => {
                        st.pipes.pipe_mut(id).admission().stage = Stage::Asked(Box::new(end));
                        self.answered(st, id);
                    }
                    Err(verdict) => self.judge(st, id, verdict),
                }
            }
            self.settle(st);
        }
    }

    /// What is to be asked about the connection that this token means, if it is still there.
    fn question(&self, st: &mut State, token: u64) -> Option<Question> {
        let id = st.inquirer(token)?;
        let pipe = st.pipes.pipe_mut(id);
        let stage = std::mem::replace(&mut pipe.admission().stage, Stage::OnTheWay);
        let Stage::Noted(credentials) = stage else {
            return None;
        };
        let options = pipe.options.clone();
        let strict = options.zap_enforce_domain
            || self.ctx.is_guarded()
            || matches!(credentials, Credentials::Plain { .. });
        let host = pipe.conn()?.stream().peer_host();
        let request = zap::Request {
            request_id: REQUEST_ID,
            domain: options.zap_domain.as_bytes(),
            address: host.as_bytes(),
            routing_id: &options.routing_id,
            credentials,
        };
        let io = st.io.clone()?;
        Some(Question {
            token,
            io,
            request: request.encode().into_iter().map(Frame::from).collect(),
            strict,
        })
    }

    /// Hands a question to the handler: our end of the pipe to it, or what follows from there
    /// being none.
    fn ask(self: &Arc<Self>, question: &Question) -> Result<End, Verdict> {
        let registry = self.ctx.inproc.lock();
        let name = zap::ENDPOINT.trim_start_matches("inproc://");
        let Some(handler) = registry.bound.get(name).and_then(Weak::upgrade) else {
            return Err(match question.strict {
                true => Verdict::Unavailable,
                false => Verdict::Allow,
            });
        };
        if !matches!(handler.kind, SocketType::Rep | SocketType::Router) {
            // Somebody meant to guard the door.
            return Err(Verdict::Unavailable);
        }
        let mut guard = handler.lock_for_link();
        let st = &mut *guard;
        let mut pipe = Pipe::new(st.snapshot());
        pipe.listener = Some(usize::MAX);
        if st.pipes.len() >= MOST_QUESTIONS {
            return Err(Verdict::Unavailable);
        }
        let id = st.pipes.insert(pipe);
        let here = Far {
            inbox: Arc::new(Desk {
                core: Arc::downgrade(self),
                io: question.io.clone(),
            }),
            token: question.token,
        };
        let there = Far {
            inbox: handler.clone(),
            token: Token::Pipe(id, st.pipes.pipe(id).generation).encode(),
        };
        let (mut ours, theirs) = channel::pair(here, there, 0, 0, false);
        st.pipes.pipe_mut(id).join(theirs);
        handler.introduce(st, id, SocketType::Req, Bytes::new(), zap::ENDPOINT);
        ours.push(&mut question.request.clone());
        Ok(ours)
    }

    /// There may be an answer to the question about a connection.
    pub(super) fn answered(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let admission = st.pipes.pipe_mut(id).admission();
        let Stage::Asked(end) = &mut admission.stage else {
            return;
        };
        let open = end.is_open();
        let Some(reply) = end.pop() else {
            if !open {
                admission.stage = Stage::Orphaned;
            }
            return;
        };
        let reply = zap::Reply::parse(&reply.into_frames(), REQUEST_ID);
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return self.judge(st, id, Verdict::Invalid(error)),
        };
        match reply.status {
            zap::Status::Success => {
                admission.grant = Some(Grant {
                    user_id: reply.user_id,
                    metadata: reply.metadata,
                });
                self.judge(st, id, Verdict::Allow);
            }
            status => {
                let text = reply.text.escape_ascii().to_string();
                admission.reason = (!text.is_empty()).then_some(text);
                match status {
                    zap::Status::TemporaryError => self.keep_waiting(st, id),
                    _ => self.judge(st, id, status.verdict()),
                }
            }
        }
    }

    /// Takes the handshake on with the verdict.
    fn judge(self: &Arc<Self>, st: &mut State, id: PipeId, verdict: Verdict) {
        st.pipes.pipe_mut(id).admission().stage = Stage::Shaking;
        if let Some((conn, pool)) = st.pipes.conn_and_pool(id) {
            let result = conn.verdict(verdict, pool);
            self.shaken(st, id, result);
        }
    }

    /// The handler has no verdict for the time being.
    fn keep_waiting(self: &Arc<Self>, st: &mut State, id: PipeId) {
        let pipe = st.pipes.pipe_mut(id);
        pipe.admission().stage = Stage::Later;
        let (info, generation) = (pipe.info.clone(), pipe.generation);
        let cause = pipe.reason_given(&Broken::Later);
        st.monitors.tell(|| {
            Event::new(EventKind::HandshakeFailedAuth, &info.endpoint)
                .peer(&info.address)
                .cause(cause)
                .value(zap::Status::TemporaryError.code().into())
        });
        self.set_timer(st, Instant::now() + LATER, Alarm::Handshake(id, generation));
    }

    /// A connection that waits for a verdict has news from its peer. There is nothing to read that
    /// could be of use yet, but the peer may have gone.
    pub(super) fn waits_for_verdict(&self, st: &mut State, id: PipeId) -> bool {
        let pipe = st.pipes.pipe(id);
        let Some(why) = pipe.admission.as_ref().and_then(|admission| {
            Some(match admission.stage {
                Stage::Shaking => return None,
                Stage::Later => Broken::Later,
                _ => Broken::Closed,
            })
        }) else {
            return false;
        };
        if pipe.conn().is_some_and(|conn| conn.hung) {
            st.pipes.fail(id, why);
        }
        true
    }

    /// HANDSHAKE_IVL has passed, or the patience with a peer that cannot be judged.
    pub(super) fn handshake_overdue(&self, st: &mut State, id: PipeId) {
        let stage = st.pipes.pipe(id).admission.as_ref().map(|a| &a.stage);
        let why = match stage {
            Some(Stage::Later) => Broken::Later,
            Some(Stage::Orphaned) => {
                Broken::Silent("the ZAP handler went away without a verdict on the peer")
            }
            Some(Stage::Noted(_) | Stage::OnTheWay | Stage::Asked(_)) => {
                Broken::Silent("the ZAP handler gave no verdict on the peer within HANDSHAKE_IVL")
            }
            _ => Broken::Silent("the peer did not finish the handshake within HANDSHAKE_IVL"),
        };
        st.pipes.fail(id, why);
    }
}

impl State {
    /// The pipe that a token of an inquiry means, if its connection is still the same.
    pub(super) fn inquirer(&self, token: u64) -> Option<PipeId> {
        match Token::decode(token) {
            Token::Inquiry(id, generation)
                if self.pipes.contains(id)
                    && self.pipes.pipe(id).generation == generation
                    && !self.pipes.has_failed(id) =>
            {
                Some(id)
            }
            _ => None,
        }
    }
}
