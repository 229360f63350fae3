//! The simulated network: sockets, their connections, and what is on its way.
//!
//! What of ZeroMQ's sockets matters to the patterns is here: a connecting pipe queues before its
//! connection and outlives it; a connection delivers in order, and what is on its way is lost with it;
//! ROUTER addresses by routing id and drops what has no taker, or returns it with ROUTER_MANDATORY;
//! DEALER and PUSH take turns among those that have room; REQ and REP keep their lockstep and envelope;
//! PUB drops for whoever is full; each direction holds as many messages as both high-water marks
//! allow. Of the options, those marks, ROUTING_ID, ROUTER_MANDATORY, ROUTER_HANDOVER, IMMEDIATE,
//! RECONNECT_IVL, DISCONNECT_MSG, HEARTBEAT_IVL and HEARTBEAT_TIMEOUT count; the others change nothing.
//!
//! What does not live here: nodes, faults, the order of events (the parent module).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use xebec::{Bytes, Frame, Message, SendErrorKind, SocketType};

use crate::machine::{Connect, Link, Port, Spec, Time};

pub(super) type SocketId = usize;
pub(super) type PipeId = usize;
pub(super) type SessionId = usize;

/// What the network is like.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// How long a message, or a handshake, is on its way: from, to.
    pub delay: (Duration, Duration),
    /// How likely a message is lost though its connection holds. ZeroMQ's transports lose none; this
    /// stands for what queues drop at a high-water mark.
    pub loss: f64,
    /// How likely a message arrives twice.
    pub duplication: f64,
}

impl Default for Conditions {
    /// 0.1 to 2 ms, without loss and duplication.
    fn default() -> Self {
        Conditions {
            delay: (Duration::from_micros(100), Duration::from_millis(2)),
            loss: 0.0,
            duplication: 0.0,
        }
    }
}

impl Conditions {
    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let (from, to) = self.delay;
        let span = to.saturating_sub(from).as_nanos() as u64;
        from + Duration::from_nanos(rng.u64(0..=span))
    }
}

/// Which end of a connection: the one that connected, or the one that had bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Dialer = 0,
    Binder = 1,
}

impl End {
    pub(super) fn other(self) -> End {
        match self {
            End::Dialer => End::Binder,
            End::Binder => End::Dialer,
        }
    }
}

/// What travels over a connection.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Data(Message),
    /// The other end has closed.
    Fin,
}

/// What is to happen later in the network.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Dial(PipeId),
    /// At an end of a session, unless what was on its way was lost since: then the epoch is another.
    Arrive(SessionId, u32, End, Packet),
    /// The end would have noticed by now that nothing answers its pings.
    Silence(SessionId, End),
}

/// What the network tells a node.
#[derive(Debug)]
pub(super) enum News {
    /// There may be something to take.
    Ready(SocketId),
    Link(SocketId, String, Link),
}

/// One peer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Pipe(PipeId),
    Session(SessionId),
}

struct Socket {
    node: usize,
    port: Port,
    spec: Spec,
    open: bool,
    listening: bool,
    peers: Vec<Peer>,
    turn: usize,
    inbox: VecDeque<(SessionId, Message)>,
    /// REQ: the peer that owes a reply. REP: the peer that is owed one, and the envelope.
    owing: Option<(Peer, Vec<Frame>)>,
}

/// A connecting pipe.
struct Pipe {
    socket: SocketId,
    to: Connect,
    queue: VecDeque<Message>,
    session: Option<SessionId>,
    closed: bool,
}

/// One connection, from its handshake to its end.
struct Session {
    pipe: PipeId,
    /// Grows when what is on its way is lost.
    epoch: u32,
    sockets: [SocketId; 2],
    endpoint: String,
    /// Whether the end believes in it.
    up: [bool; 2],
    /// The name of the end's peer at the end.
    names: [Bytes; 2],
    /// When the latest packet to the end arrives; none overtakes another.
    latest: [Time; 2],
    /// What has come to the end and cannot pass the cut.
    held: [VecDeque<Packet>; 2],
    /// Messages to the end that were not taken yet.
    waiting: [usize; 2],
}

/// Everything between the nodes.
pub(super) struct Net {
    pub(super) conditions: Conditions,
    sockets: Vec<Socket>,
    pipes: Vec<Pipe>,
    sessions: Vec<Session>,
    ports: HashMap<(usize, Port), SocketId>,
    bound: HashMap<String, SocketId>,
    /// Pairs of nodes between which nothing passes, the lower first.
    cuts: BTreeSet<(usize, usize)>,
    paused: BTreeSet<usize>,
    names: u32,
    pub(super) pending: Vec<(Time, Pending)>,
    pub(super) news: VecDeque<News>,
    /// Messages that were dropped on the way, for whatever reason.
    pub(super) dropped: u64,
}

impl Net {
    pub(super) fn new() -> Self {
        Net {
            conditions: Conditions::default(),
            sockets: Vec::new(),
            pipes: Vec::new(),
            sessions: Vec::new(),
            ports: HashMap::new(),
            bound: HashMap::new(),
            cuts: BTreeSet::new(),
            paused: BTreeSet::new(),
            names: 0,
            pending: Vec::new(),
            news: VecDeque::new(),
            dropped: 0,
        }
    }

    // ---- what nodes do ----

    pub(super) fn open(&mut self, node: usize, port: Port, spec: Spec, now: Time, rng: &mut Rng) {
        self.close(node, port, now, rng);
        let id = self.sockets.len();
        for endpoint in &spec.bind {
            let before = self.bound.insert(endpoint.clone(), id);
            assert!(before.is_none(), "two sockets bind to {endpoint}");
        }
        let connect = spec.connect.clone();
        self.sockets.push(Socket {
            node,
            port,
            listening: !matches!(spec.kind, SocketType::Pub | SocketType::Push),
            spec,
            open: true,
            peers: Vec::new(),
            turn: 0,
            inbox: VecDeque::new(),
            owing: None,
        });
        self.ports.insert((node, port), id);
        for to in connect {
            self.dial(id, to, now, rng);
        }
    }

    pub(super) fn connect(
        &mut self,
        node: usize,
        port: Port,
        to: Connect,
        now: Time,
        rng: &mut Rng,
    ) {
        if let Some(&id) = self.ports.get(&(node, port)) {
            self.dial(id, to, now, rng);
        }
    }

    fn dial(&mut self, socket: SocketId, to: Connect, now: Time, rng: &mut Rng) {
        let id = self.pipes.len();
        self.pipes.push(Pipe {
            socket,
            to,
            queue: VecDeque::new(),
            session: None,
            closed: false,
        });
        if !self.sockets[socket].spec.options.immediate {
            self.sockets[socket].peers.push(Peer::Pipe(id));
        }
        let at = now + self.conditions.delay(rng);
        self.pending.push((at, Pending::Dial(id)));
    }

    pub(super) fn disconnect(
        &mut self,
        node: usize,
        port: Port,
        endpoint: &str,
        now: Time,
        rng: &mut Rng,
    ) {
        let Some(&socket) = self.ports.get(&(node, port)) else {
            return;
        };
        for id in 0..self.pipes.len() {
            let pipe = &self.pipes[id];
            if pipe.socket == socket && !pipe.closed && pipe.to.endpoint == endpoint {
                self.close_pipe(id, now, rng);
            }
        }
    }

    /// Closes a socket: its peers learn of it in their own time.
    pub(super) fn close(&mut self, node: usize, port: Port, now: Time, rng: &mut Rng) {
        let Some(id) = self.ports.remove(&(node, port)) else {
            return;
        };
        self.sockets[id].open = false;
        self.sockets[id].inbox.clear();
        self.bound.retain(|_, bound| *bound != id);
        for pipe in 0..self.pipes.len() {
            if self.pipes[pipe].socket == id && !self.pipes[pipe].closed {
                self.close_pipe(pipe, now, rng);
            }
        }
        for peer in std::mem::take(&mut self.sockets[id].peers) {
            if let Peer::Session(session) = peer {
                self.sessions[session].up[End::Binder as usize] = false;
                self.transmit(session, End::Dialer, Packet::Fin, now, rng);
            }
        }
    }

    fn close_pipe(&mut self, id: PipeId, now: Time, rng: &mut Rng) {
        let pipe = &mut self.pipes[id];
        pipe.closed = true;
        pipe.queue.clear();
        let (socket, session) = (pipe.socket, pipe.session.take());
        self.sockets[socket].peers.retain(|p| *p != Peer::Pipe(id));
        if let Some(session) = session {
            self.sessions[session].up[End::Dialer as usize] = false;
            self.transmit(session, End::Binder, Packet::Fin, now, rng);
        }
    }

    pub(super) fn close_all(&mut self, node: usize, now: Time, rng: &mut Rng) {
        let ports = self.ports.keys().filter(|(owner, _)| *owner == node);
        let mut ports: Vec<Port> = ports.map(|(_, port)| *port).collect();
        ports.sort_unstable();
        for port in ports {
            self.close(node, port, now, rng);
        }
    }

    pub(super) fn listen(&mut self, node: usize, port: Port, on: bool) {
        if let Some(&id) = self.ports.get(&(node, port)) {
            self.sockets[id].listening = on;
        }
    }

    /// Sends, or returns the message with the reason.
    pub(super) fn send(
        &mut self,
        node: usize,
        port: Port,
        mut message: Message,
        now: Time,
        rng: &mut Rng,
    ) -> Result<(), (Message, SendErrorKind)> {
        let Some(&id) = self.ports.get(&(node, port)) else {
            return Ok(());
        };
        match self.sockets[id].spec.kind {
            SocketType::Router => {
                let mandatory = self.sockets[id].spec.options.router_mandatory;
                let peers = self.sockets[id].peers.iter().copied();
                let mut named = peers.filter(|peer| {
                    self.name(*peer)
                        .is_some_and(|name| *message.first() == name)
                });
                let (peer, whole) = (named.next(), message.clone());
                let why = match (peer, message.pop_front()) {
                    (_, None) => SendErrorKind::Invalid("a ROUTER's message has two frames"),
                    (None, _) => SendErrorKind::Unroutable,
                    (Some(peer), _) if self.has_room(peer) => {
                        self.pass(peer, message, now, rng);
                        return Ok(());
                    }
                    _ => SendErrorKind::WouldBlock,
                };
                self.dropped += u64::from(!mandatory);
                if mandatory { Err((whole, why)) } else { Ok(()) }
            }
            SocketType::Pub => {
                for peer in self.sockets[id].peers.clone() {
                    if self.wants(peer, message.first()) {
                        if self.has_room(peer) {
                            self.pass(peer, message.clone(), now, rng);
                        } else {
                            self.dropped += 1;
                        }
                    }
                }
                Ok(())
            }
            SocketType::Rep => {
                let Some((peer, envelope)) = self.sockets[id].owing.take() else {
                    return Err((message, SendErrorKind::State));
                };
                message.push_front("");
                envelope
                    .into_iter()
                    .rev()
                    .for_each(|frame| message.push_front(frame));
                if self.sockets[id].peers.contains(&peer) && self.has_room(peer) {
                    self.pass(peer, message, now, rng);
                } else {
                    self.dropped += 1;
                }
                self.offer(id);
                Ok(())
            }
            kind => {
                let req = kind == SocketType::Req;
                if req && self.sockets[id].owing.is_some() {
                    return Err((message, SendErrorKind::State));
                }
                let Some(peer) = self.next_in_turn(id) else {
                    return Err((message, SendErrorKind::WouldBlock));
                };
                if req {
                    message.push_front("");
                    self.sockets[id].owing = Some((peer, Vec::new()));
                }
                self.pass(peer, message, now, rng);
                Ok(())
            }
        }
    }

    fn next_in_turn(&mut self, id: SocketId) -> Option<Peer> {
        let socket = &self.sockets[id];
        let count = socket.peers.len();
        let order = (0..count).map(|step| (socket.turn + step) % count);
        let index = order
            .into_iter()
            .find(|index| self.has_room(socket.peers[*index]))?;
        self.sockets[id].turn = (index + 1) % count;
        Some(self.sockets[id].peers[index])
    }

    /// The end of a session where a peer's socket is, and the session, if it is connected.
    fn session(&self, peer: Peer) -> Option<(SessionId, End)> {
        match peer {
            Peer::Pipe(pipe) => Some((self.pipes[pipe].session?, End::Binder)),
            Peer::Session(session) => Some((session, End::Dialer)),
        }
    }

    fn name(&self, peer: Peer) -> Option<Bytes> {
        match (self.session(peer), peer) {
            (Some((session, far)), _) => {
                Some(self.sessions[session].names[far.other() as usize].clone())
            }
            (None, Peer::Pipe(pipe)) => self.pipes[pipe].to.routing_id.clone(),
            (None, Peer::Session(_)) => None,
        }
    }

    fn wants(&self, peer: Peer, topic: &[u8]) -> bool {
        self.session(peer).is_some_and(|(session, far)| {
            let socket = self.sessions[session].sockets[far as usize];
            let prefixes = &self.sockets[socket].spec.subscribe;
            prefixes.iter().any(|prefix| topic.starts_with(prefix))
        })
    }

    fn has_room(&self, peer: Peer) -> bool {
        let bound = |mark: usize| if mark == 0 { usize::MAX } else { mark };
        match (self.session(peer), peer) {
            (Some((session, far)), _) => {
                let session = &self.sessions[session];
                let near = &self.sockets[session.sockets[far.other() as usize]]
                    .spec
                    .options;
                let far_options = &self.sockets[session.sockets[far as usize]].spec.options;
                let room = bound(near.sndhwm).saturating_add(bound(far_options.rcvhwm));
                session.waiting[far as usize] < room
            }
            (None, Peer::Pipe(pipe)) => {
                let options = &self.sockets[self.pipes[pipe].socket].spec.options;
                self.pipes[pipe].queue.len() < bound(options.sndhwm)
            }
            (None, Peer::Session(_)) => false,
        }
    }

    fn pass(&mut self, peer: Peer, message: Message, now: Time, rng: &mut Rng) {
        match (self.session(peer), peer) {
            (Some((session, far)), _) => {
                if rng.f64() < self.conditions.loss {
                    self.dropped += 1;
                    return;
                }
                if rng.f64() < self.conditions.duplication {
                    self.transmit(session, far, Packet::Data(message.clone()), now, rng);
                }
                self.transmit(session, far, Packet::Data(message), now, rng);
            }
            (None, Peer::Pipe(pipe)) => self.pipes[pipe].queue.push_back(message),
            (None, Peer::Session(_)) => self.dropped += 1,
        }
    }

    /// Puts a packet on its way to an end of a session.
    fn transmit(&mut self, id: SessionId, to: End, packet: Packet, now: Time, rng: &mut Rng) {
        let session = &mut self.sessions[id];
        let at = (now + self.conditions.delay(rng)).max(session.latest[to as usize]);
        session.latest[to as usize] = at;
        session.waiting[to as usize] += usize::from(matches!(packet, Packet::Data(_)));
        let epoch = session.epoch;
        self.pending
            .push((at, Pending::Arrive(id, epoch, to, packet)));
    }

    // ---- what happens in its time ----

    pub(super) fn happen(&mut self, pending: Pending, now: Time, rng: &mut Rng) {
        match pending {
            Pending::Dial(pipe) => self.try_dial(pipe, now, rng),
            Pending::Arrive(session, epoch, _, _) if self.sessions[session].epoch != epoch => {
                self.dropped += 1;
            }
            Pending::Arrive(session, _, end, packet) => {
                let [a, b] = self.nodes(session);
                if self.is_cut(a, b) {
                    self.sessions[session].held[end as usize].push_back(packet);
                } else {
                    self.arrive(session, end, packet, now, rng);
                }
            }
            Pending::Silence(session, end) => {
                let [a, b] = self.nodes(session);
                let peer = [a, b][end.other() as usize];
                if self.is_cut(a, b) || self.paused.contains(&peer) {
                    self.lose(session, end, now, rng);
                }
            }
        }
    }

    fn try_dial(&mut self, id: PipeId, now: Time, rng: &mut Rng) {
        let pipe = &self.pipes[id];
        if pipe.closed || pipe.session.is_some() {
            return;
        }
        let near = pipe.socket;
        let node = self.sockets[near].node;
        let there = self.bound.get(&pipe.to.endpoint).copied();
        let far_node = there.map(|far| self.sockets[far].node);
        // Who is cut off or stands still gives no answer at all, and who stands still does not ask.
        let silent = self.paused.contains(&node)
            || far_node.is_some_and(|far| self.is_cut(node, far) || self.paused.contains(&far));
        let far = there.filter(|_| !silent);
        let refusal = match far {
            Some(far) => match self.shake(id, near, far, now, rng) {
                Ok(()) => return,
                Err(why) => Some(why),
            },
            None if silent => None,
            None => Some("connection refused"),
        };
        if let Some(why) = refusal {
            self.tell(
                near,
                self.pipes[id].to.endpoint.clone(),
                Link::Refused(why.to_owned()),
            );
        }
        self.dial_later(id, now, rng);
    }

    fn dial_later(&mut self, id: PipeId, now: Time, rng: &mut Rng) {
        let options = &self.sockets[self.pipes[id].socket].spec.options;
        if let Some(pause) = options.reconnect_ivl {
            let pause = pause.max(Duration::from_millis(1)) + self.conditions.delay(rng);
            self.pending.push((now + pause, Pending::Dial(id)));
        }
    }

    fn shake(
        &mut self,
        pipe: PipeId,
        near: SocketId,
        far: SocketId,
        now: Time,
        rng: &mut Rng,
    ) -> Result<(), &'static str> {
        let chosen = self.sockets[near].spec.options.routing_id.clone();
        let far_name = self.sockets[far].spec.options.routing_id.clone();
        let of_near = match chosen.is_empty() {
            true => self.generate(),
            false => chosen,
        };
        if self.sockets[far].spec.kind == SocketType::Router {
            let peers = self.sockets[far].peers.iter().copied();
            let mut same = peers.filter(|peer| self.name(*peer).as_ref() == Some(&of_near));
            if let Some(Peer::Session(other)) = same.next() {
                if !self.sockets[far].spec.options.router_handover {
                    return Err("another peer has its routing id");
                }
                // Its name has not gone: no DISCONNECT_MSG.
                let inbox = self.sockets[far].inbox.len();
                self.lose(other, End::Binder, now, rng);
                self.sockets[far].inbox.truncate(inbox);
            }
        }
        let of_far = match (&self.pipes[pipe].to.routing_id, far_name.is_empty()) {
            (Some(id), _) => id.clone(),
            (None, false) => far_name,
            (None, true) => self.generate(),
        };
        let id = self.sessions.len();
        let endpoint = self.pipes[pipe].to.endpoint.clone();
        self.sessions.push(Session {
            pipe,
            epoch: 0,
            sockets: [near, far],
            endpoint: endpoint.clone(),
            up: [true; 2],
            names: [of_far, of_near],
            latest: [now; 2],
            held: Default::default(),
            waiting: [0; 2],
        });
        self.pipes[pipe].session = Some(id);
        if !self.sockets[near].peers.contains(&Peer::Pipe(pipe)) {
            self.sockets[near].peers.push(Peer::Pipe(pipe));
        }
        self.sockets[far].peers.push(Peer::Session(id));
        self.tell(near, endpoint.clone(), Link::Up);
        self.tell(far, endpoint, Link::Up);
        for message in std::mem::take(&mut self.pipes[pipe].queue) {
            self.transmit(id, End::Binder, Packet::Data(message), now, rng);
        }
        Ok(())
    }

    fn generate(&mut self) -> Bytes {
        self.names += 1;
        let n = self.names.to_be_bytes();
        Bytes::copy_from_slice(&[0, n[0], n[1], n[2], n[3]])
    }

    fn arrive(&mut self, id: SessionId, end: End, packet: Packet, now: Time, rng: &mut Rng) {
        let session = &mut self.sessions[id];
        match packet {
            Packet::Fin => {
                // The machine that stands still learns of it later, but so it does of all else.
                self.lose(id, end, now, rng);
            }
            Packet::Data(_) if !session.up[end as usize] => self.dropped += 1,
            Packet::Data(message) => {
                let socket = session.sockets[end as usize];
                self.sockets[socket].inbox.push_back((id, message));
                self.offer(socket);
            }
        }
    }

    /// An end gives a session up.
    fn lose(&mut self, id: SessionId, end: End, now: Time, rng: &mut Rng) {
        let session = &mut self.sessions[id];
        if !std::mem::replace(&mut session.up[end as usize], false) {
            return;
        }
        let (socket, pipe, endpoint) = (
            session.sockets[end as usize],
            session.pipe,
            session.endpoint.clone(),
        );
        self.transmit(id, end.other(), Packet::Fin, now, rng);
        if end == End::Dialer {
            self.pipes[pipe].session = None;
            // The queue of what was not yet sent outlives the connection; a REQ's turn does not.
            let socket = &mut self.sockets[socket];
            if socket.spec.options.immediate {
                socket.peers.retain(|peer| *peer != Peer::Pipe(pipe));
            }
            self.dial_later(pipe, now, rng);
        } else {
            let index = socket;
            let socket = &mut self.sockets[socket];
            socket.peers.retain(|peer| *peer != Peer::Session(id));
            let farewell = &socket.spec.options.disconnect_msg;
            if socket.spec.kind == SocketType::Router && !farewell.is_empty() {
                socket.inbox.push_back((id, farewell.clone().into()));
                self.news.push_back(News::Ready(index));
            }
        }
        self.tell(socket, endpoint, Link::Down);
    }

    fn tell(&mut self, socket: SocketId, endpoint: String, link: Link) {
        if self.sockets[socket].spec.watch && self.sockets[socket].open {
            self.news.push_back(News::Link(socket, endpoint, link));
        }
    }

    /// There may be something to take from a socket.
    pub(super) fn offer(&mut self, id: SocketId) {
        if !self.sockets[id].inbox.is_empty() {
            self.news.push_back(News::Ready(id));
        }
    }

    /// The next message of a socket, if its node receives from it.
    pub(super) fn take(&mut self, id: SocketId) -> Option<Message> {
        loop {
            let socket = &mut self.sockets[id];
            let owed = socket.spec.kind == SocketType::Rep && socket.owing.is_some();
            let deaf = !socket.open || !socket.listening || self.paused.contains(&socket.node);
            if owed || deaf {
                return None;
            }
            let (from, message) = socket.inbox.pop_front()?;
            let session = &mut self.sessions[from];
            let end = match session.sockets[0] == id {
                true => End::Dialer,
                false => End::Binder,
            };
            session.waiting[end as usize] = session.waiting[end as usize].saturating_sub(1);
            let name = session.names[end as usize].clone();
            let peer = match end {
                End::Dialer => Peer::Pipe(session.pipe),
                End::Binder => Peer::Session(from),
            };
            match self.received(id, peer, name, message) {
                Some(message) => return Some(message),
                None => self.dropped += 1,
            }
        }
    }

    /// The message as the socket's type delivers it; `None` if it is not wanted.
    fn received(
        &mut self,
        id: SocketId,
        peer: Peer,
        name: Bytes,
        mut message: Message,
    ) -> Option<Message> {
        let socket = &mut self.sockets[id];
        match socket.spec.kind {
            SocketType::Router => message.push_front(name),
            SocketType::Req => {
                socket.owing.as_ref().filter(|(from, _)| *from == peer)?;
                message.pop_front().filter(|frame| frame.is_empty())?;
                socket.owing = None;
            }
            SocketType::Rep => socket.owing = Some((peer, message.pop_envelope()?)),
            SocketType::Sub => {
                let topic = message.first();
                let prefixes = &mut socket.spec.subscribe.iter();
                prefixes
                    .any(|prefix| topic.starts_with(prefix))
                    .then_some(())?;
            }
            _ => {}
        }
        Some(message)
    }

    // ---- faults ----

    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cuts.contains(&(a.min(b), a.max(b)))
    }

    fn nodes(&self, session: SessionId) -> [usize; 2] {
        self.sessions[session].sockets.map(|s| self.sockets[s].node)
    }

    fn between(&self, a: usize, b: usize) -> Vec<SessionId> {
        let sessions = 0..self.sessions.len();
        let joins = |id: &SessionId| {
            let nodes = self.nodes(*id);
            nodes == [a, b] || nodes == [b, a]
        };
        sessions.filter(joins).collect()
    }

    pub(super) fn cut(&mut self, a: usize, b: usize, now: Time) {
        self.cuts.insert((a.min(b), a.max(b)));
        for session in self.between(a, b) {
            self.expect_silence(session, End::Dialer, now);
            self.expect_silence(session, End::Binder, now);
        }
    }

    pub(super) fn heal(&mut self, a: usize, b: usize, now: Time, rng: &mut Rng) {
        self.cuts.remove(&(a.min(b), a.max(b)));
        for id in self.between(a, b) {
            for end in [End::Dialer, End::Binder] {
                for packet in std::mem::take(&mut self.sessions[id].held[end as usize]) {
                    let session = &mut self.sessions[id];
                    let at = (now + self.conditions.delay(rng)).max(session.latest[end as usize]);
                    session.latest[end as usize] = at;
                    let epoch = session.epoch;
                    self.pending
                        .push((at, Pending::Arrive(id, epoch, end, packet)));
                }
            }
        }
    }

    pub(super) fn heal_all(&mut self, now: Time, rng: &mut Rng) {
        for (a, b) in self.cuts.clone() {
            self.heal(a, b, now, rng);
        }
    }

    /// Breaks every connection between two nodes: what is on its way is lost, and each end learns of
    /// it in its own time.
    pub(super) fn reset(&mut self, a: usize, b: usize, now: Time, rng: &mut Rng) {
        for id in self.between(a, b) {
            let session = &mut self.sessions[id];
            session.epoch += 1;
            session.held = Default::default();
            session.latest = [now; 2];
            self.transmit(id, End::Dialer, Packet::Fin, now, rng);
            self.transmit(id, End::Binder, Packet::Fin, now, rng);
        }
    }

    pub(super) fn pause(&mut self, node: usize, now: Time) {
        self.paused.insert(node);
        for id in 0..self.sessions.len() {
            let [a, b] = self.nodes(id);
            if a == node {
                self.expect_silence(id, End::Binder, now);
            }
            if b == node {
                self.expect_silence(id, End::Dialer, now);
            }
        }
    }

    pub(super) fn resume(&mut self, node: usize) {
        self.paused.remove(&node);
    }

    pub(super) fn is_paused(&self, node: usize) -> bool {
        self.paused.contains(&node)
    }

    /// An end with heartbeats of ZMTP notices after some time that nothing answers.
    fn expect_silence(&mut self, id: SessionId, end: End, now: Time) {
        let session = &self.sessions[id];
        let options = &self.sockets[session.sockets[end as usize]].spec.options;
        if let Some(interval) = options.heartbeat_ivl
            && session.up[end as usize]
        {
            let timeout = options.heartbeat_timeout.unwrap_or(interval);
            self.pending
                .push((now + interval + timeout, Pending::Silence(id, end)));
        }
    }

    // ---- what the parent asks ----

    pub(super) fn sockets_of(&self, node: usize) -> Vec<SocketId> {
        let sockets = self.ports.iter().filter(|((owner, _), _)| *owner == node);
        let mut sockets: Vec<_> = sockets.map(|(_, id)| *id).collect();
        sockets.sort_unstable();
        sockets
    }

    /// The node and port of a socket that is still open.
    pub(super) fn whose(&self, id: SocketId) -> Option<(usize, Port)> {
        let socket = &self.sockets[id];
        socket.open.then_some((socket.node, socket.port))
    }

    pub(super) fn socket(&self, node: usize, port: Port) -> Option<SocketId> {
        self.ports.get(&(node, port)).copied()
    }
}
