//! The inproc endpoints of a socket: who meets whom, whichever side comes first.
//!
//! Two sockets are linked with both locked, under the lock of the context's registry; nobody takes
//! the registry while holding a socket.

use super::core::{Core, State, Token};
use crate::channel::{self, Far};
use crate::error::{AddressError, AddressErrorKind};
use crate::monitor::{Event, EventKind};
use crate::pipe::{PeerInfo, Pipe, PipeId};
use bytes::Bytes;
use std::sync::{Arc, Weak};
use std::time::Duration;
use zmtp::{HandshakeError, SocketType};

/// Joins the waiting pipe `token` of `a` to a new pipe of `b`. The caller holds the registry.
pub(super) fn link(a: &Arc<Core>, token: u64, b: &Arc<Core>, endpoint: &str) {
    let Token::Pipe(a_id, generation) = Token::decode(token) else {
        return;
    };
    let mut a_guard = a.lock_for_link();
    let mut b_guard = (!Arc::ptr_eq(a, b)).then(|| b.lock_for_link());
    if !a_guard.pipes.contains(a_id) || a_guard.pipes.pipe(a_id).generation != generation {
        return;
    }
    let lax = a_guard.options.are_for_c();
    if !a.kind.accepts(b.kind) && !lax {
        let refuse = |st: &State, local, peer| {
            let why = HandshakeError::IncompatibleSocketType { local, peer };
            let event = || Event::new(EventKind::HandshakeFailedProtocol, endpoint).peer(endpoint);
            st.monitors.tell(|| event().cause(why));
        };
        refuse(&a_guard, a.kind, b.kind);
        b_guard.iter().for_each(|st| refuse(st, b.kind, a.kind));
        return a.remove(&mut a_guard, a_id);
    }
    // A socket may be connected to itself: then there is one state for both ends.
    macro_rules! b_state {
        () => {
            match &mut b_guard {
                Some(guard) => &mut **guard,
                None => &mut *a_guard,
            }
        };
    }
    let bo = b_state!().snapshot();
    let mut pipe = Pipe::new(bo.clone());
    pipe.listener = Some(usize::MAX);
    let b_id = b_state!().pipes.insert(pipe);
    let b_token = Token::Pipe(b_id, b_state!().pipes.pipe(b_id).generation).encode();
    let far = |core: &Arc<Core>, token| Far {
        inbox: core.clone(),
        token,
    };
    let ao = a_guard.pipes.pipe(a_id).options.clone();
    let conflate = ao.conflate || bo.conflate;
    let (mut a_end, mut b_end) = channel::pair(far(a, token), far(b, b_token), 0, 0, conflate);
    if lax {
        a_end.give_room_by_halves();
        b_end.give_room_by_halves();
    }
    a_guard.pipes.pipe_mut(a_id).join(a_end);
    b_state!().pipes.pipe_mut(b_id).join(b_end);
    b.introduce(b_state!(), b_id, a.kind, ao.routing_id.clone(), endpoint);
    if a_guard.pipes.pipe(a_id).ending {
        // The application has let go of it meanwhile; this is what it lingered for.
        a_guard.pipes.send_queued(a_id);
        a.remove(&mut a_guard, a_id);
        drop(b_guard);
        return a.settle(&mut a_guard);
    }
    a.introduce(&mut a_guard, a_id, b.kind, bo.routing_id.clone(), endpoint);
}

impl Core {
    pub(super) fn bind_inproc(
        self: &Arc<Self>,
        name: &str,
        text: &str,
    ) -> Result<String, AddressError> {
        let fail = |kind| Err(AddressError::new(text, kind));
        if self.kind == SocketType::Stream {
            return fail(AddressErrorKind::Incompatible(
                "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
            ));
        }
        let mut registry = self.ctx.inproc.lock();
        if registry
            .bound
            .get(name)
            .is_some_and(|bound| bound.strong_count() > 0)
        {
            return fail(AddressErrorKind::InUse);
        }
        registry.bound.insert(name.to_owned(), Arc::downgrade(self));
        {
            let mut st = self.lock_for_link();
            st.inproc_names.push(name.to_owned());
            st.last_endpoint = Some(text.to_owned());
            st.monitors.tell(|| Event::new(EventKind::Listening, text));
        }
        for (waiting, token) in registry.waiting.remove(name).unwrap_or_default() {
            if let Some(waiting) = waiting.upgrade() {
                link(&waiting, token, self, text);
            }
        }
        Ok(text.to_owned())
    }

    pub(super) fn connect_inproc(
        self: &Arc<Self>,
        name: &str,
        text: &str,
    ) -> Result<Option<u32>, AddressError> {
        if self.kind == SocketType::Stream {
            return Err(AddressError::new(
                text,
                AddressErrorKind::Incompatible(
                    "a STREAM socket speaks raw TCP: give a tcp:// endpoint",
                ),
            ));
        }
        let mut registry = self.ctx.inproc.lock();
        let bound = registry.bound.get(name).and_then(Weak::upgrade);
        // libzmq does not look at types over inproc, and some of its programs rely on that.
        let lax = self.lock_for_link().options.are_for_c();
        if let Some(bound) = &bound
            && !self.kind.accepts(bound.kind)
            && !lax
        {
            let why = AddressErrorKind::Incompatible(
                "the socket bound there is of a type that this one does not talk to",
            );
            return Err(AddressError::new(text, why));
        }
        let (token, refused, number) = {
            let mut guard = self.lock_for_link();
            let st = &mut *guard;
            st.last_endpoint = Some(text.to_owned());
            let mut pipe = st.new_pipe();
            pipe.info = Arc::new(PeerInfo {
                endpoint: text.to_owned(),
                address: text.to_owned(),
                ..PeerInfo::default()
            });
            let id = st.pipes.insert(pipe);
            // The pattern may refuse the pipe (a second peer of a PAIR).
            st.pipes.pipe_mut(id).attached = true;
            st.pattern.attach(&mut st.pipes, id);
            let token = Token::Pipe(id, st.pipes.pipe(id).generation);
            let refused = st.pipes.has_failed(id);
            st.pipes.pipe_mut(id).awaits = bound.is_none() && !refused;
            (token.encode(), refused, st.pattern.number(id))
        };
        match bound {
            _ if refused => {}
            Some(bound) => link(self, token, &bound, text),
            None => registry
                .waiting
                .entry(name.to_owned())
                .or_default()
                .push((Arc::downgrade(self), token)),
        }
        drop(registry);
        let mut st = self.lock();
        self.settle(&mut st);
        Ok(number)
    }

    pub(super) fn unbind_inproc(
        self: &Arc<Self>,
        name: &str,
        text: &str,
    ) -> Result<(), AddressError> {
        let mut registry = self.ctx.inproc.lock();
        let mut guard = self.lock_for_link();
        let st = &mut *guard;
        let Some(at) = st.inproc_names.iter().position(|bound| bound == name) else {
            return Err(AddressError::new(text, AddressErrorKind::NotFound));
        };
        st.inproc_names.swap_remove(at);
        registry.bound.remove(name);
        Ok(())
    }

    /// A pipe's inproc peer is there.
    pub(super) fn introduce(
        self: &Arc<Self>,
        st: &mut State,
        id: PipeId,
        kind: SocketType,
        routing_id: Bytes,
        endpoint: &str,
    ) {
        st.pipes.pipe_mut(id).info = Arc::new(PeerInfo {
            endpoint: endpoint.to_owned(),
            address: endpoint.to_owned(),
            socket_type: Some(kind),
            routing_id,
            ..PeerInfo::default()
        });
        let info = st.pipes.pipe(id).info.clone();
        st.monitors.tell(|| Event {
            routing_id: Some(info.routing_id.clone()),
            ..Event::new(EventKind::HandshakeSucceeded, endpoint).peer(endpoint)
        });
        if !st.pipes.pipe(id).attached {
            self.attach(st, id);
        }
        if st.pipes.has_failed(id) {
            // The pattern refuses it; settled when the news is taken in.
            return self.signal.raise();
        }
        st.pattern.connected(&mut st.pipes, id);
        st.pipes.send_queued(id);
        st.pattern.readable(id);
        st.pattern.writable(id);
        self.signal.raise();
    }

    /// The context is terminated: nobody will be bound where the socket waits for it, and what it has
    /// queued for them must not hold the context up.
    pub(super) fn forsake_inproc(self: &Arc<Self>) {
        let mut registry = self.ctx.inproc.lock();
        let mut guard = self.lock_for_link();
        let st = &mut *guard;
        registry.forget_waiting(|waiting, _| waiting.ptr_eq(&Arc::downgrade(self)));
        for id in st.pipes.ids() {
            if std::mem::take(&mut st.pipes.pipe_mut(id).awaits) && st.pipes.pipe(id).ending {
                self.remove(st, id);
            }
        }
        self.settle(st);
    }

    /// Takes the socket's names out of the inproc registry, but for those where something lingers.
    pub(super) fn leave_inproc(self: &Arc<Self>) {
        let mut registry = self.ctx.inproc.lock();
        let mut st = self.lock_for_link();
        for name in std::mem::take(&mut st.inproc_names) {
            registry.bound.remove(&name);
        }
        let me = Arc::downgrade(self);
        let lingers = st.options.linger != Some(Duration::ZERO);
        let speaks = |token| match Token::decode(token) {
            Token::Pipe(id, _) if lingers && st.pipes.contains(id) => {
                st.pipes.pipe(id).awaits && st.pipes.pipe(id).has_output()
            }
            _ => false,
        };
        registry.forget_waiting(|waiting, token| {
            waiting.strong_count() == 0 || waiting.ptr_eq(&me) && !speaks(token)
        });
    }
}
