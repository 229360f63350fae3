//! The state machine of one node, with its timers.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::machine::Time;

/// Which of the two a node is. It decides who serves first, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves when both are there.
    Primary,
    /// It stands by when both are there.
    Backup,
}

/// What a node is, as it publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A primary that waits to learn of its peer.
    Primary = 1,
    /// A backup that waits to learn of its peer.
    Backup = 2,
    /// It serves.
    Active = 3,
    /// It stands by.
    Passive = 4,
}

impl State {
    /// The frame that tells it to the peer.
    pub fn to_wire(self) -> &'static str {
        match self {
            State::Primary => "1",
            State::Backup => "2",
            State::Active => "3",
            State::Passive => "4",
        }
    }

    /// The state that a frame tells, if it is one.
    pub fn from_wire(frame: &[u8]) -> Option<State> {
        match frame {
            b"1" => Some(State::Primary),
            b"2" => Some(State::Backup),
            b"3" => Some(State::Active),
            b"4" => Some(State::Passive),
            _ => None,
        }
    }
}

/// Why a node refuses to serve until it is told to start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both were active: the brain was split.
    DualActives,
    /// Both were passive: nobody would ever serve.
    DualPassives,
    /// Both are configured as the same role.
    SameRole(Role),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::DualActives => "E: fatal error - dual actives, aborting",
            Fault::DualPassives => "E: fatal error - dual passives, aborting",
            Fault::SameRole(Role::Primary) => "E: fatal error - both are primary, aborting",
            Fault::SameRole(Role::Backup) => "E: fatal error - both are backup, aborting",
        })
    }
}

impl std::error::Error for Fault {}

/// What a [`Node`](super::Node) does after a [`Fault`], when it has told its peer and its application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// It ends, as the Guide's does; after one heartbeat, so that its peer hears of it.
    #[default]
    End,
    /// It runs on without serving, until it is told [`Command::Restart`](super::Command::Restart).
    Refuse,
}

/// How a node behaves. The defaults are the Guide's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Which of the two it is.
    pub role: Role,
    /// How often it publishes its state; the same on both nodes. 1 s.
    pub heartbeat: Duration,
    /// After how many heartbeats of silence the peer is dead; a tenth of a heartbeat is added, in which
    /// what has come already is read. The same on both nodes. 2.
    pub liveness: u32,
    /// Opt-in: a backup that is active hands back to a primary that has stood by for so long. Both
    /// refuse clients for the moment in between. `None`: the operator hands back.
    pub fail_back: Option<Duration>,
    /// What to do when both are active, both are passive, or both have the same role.
    pub split: Split,
}

impl Config {
    /// A node as the Guide's.
    pub fn new(role: Role) -> Self {
        Config {
            role,
            heartbeat: Duration::from_secs(1),
            liveness: 2,
            fail_back: None,
            split: Split::End,
        }
    }
}

/// What brings a node to another state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer published this.
    Peer(State),
    /// A client asked, which is a vote.
    Request,
    /// It stood still for so long that the peer may have taken over.
    Lapse,
    /// It hands over to its passive peer.
    HandOver,
    /// The operator restarted it after a fault.
    Restart,
}

/// A change of a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

impl Turn {
    /// The line that tells it, where the Guide's server prints one the same.
    pub fn line(&self) -> &'static str {
        match (self.from, self.cause) {
            (State::Primary, Cause::Peer(State::Backup)) => {
                "I: connected to backup (passive), ready active"
            }
            (State::Primary, Cause::Peer(_)) => "I: connected to backup (active), ready passive",
            (State::Backup, Cause::Peer(_)) => "I: connected to primary (active), ready passive",
            (State::Passive, Cause::Peer(State::Primary)) => {
                "I: primary (passive) is restarting, ready active"
            }
            (_, Cause::Peer(_)) => "I: backup (passive) is restarting, ready active",
            (State::Passive, Cause::Request) => "I: failover successful, ready active",
            (_, Cause::Request) => "I: request from client, ready active",
            (_, Cause::Lapse) => "W: stood still for too long, waiting for peer",
            (_, Cause::HandOver) => "I: handing over to peer (passive)",
            (_, Cause::Restart) => "I: restarted, waiting for peer",
        }
    }
}

/// How long the peer has been silent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    /// Not for too long before this moment.
    Until(Time),
    /// For too long, unless what is to be read by this moment says otherwise.
    Confirming(Time),
    /// For too long.
    Dead,
}

/// One node of the two: what it is, when it says so, and whether it serves.
///
/// Whoever holds it tells it everything that happens and after each of these publishes what
/// [`publish`](Self::publish) returns and takes notice of [`turn`](Self::turn) and [`fault`](Self::fault).
#[derive(Debug)]
pub struct Star {
    config: Config,
    state: State,
    silence: Silence,
    /// What the peer said last, and since when.
    peer: Option<(State, Time)>,
    /// When it becomes active, because the peer waits to learn of it; if nothing is read by then that says
    /// otherwise.
    promotion: Option<Time>,
    /// What is read up to this moment may be from before it stood still.
    stale: Time,
    /// When its state was published last.
    published: Time,
    unpublished: bool,
    /// It was active before it began to wait: it may serve again if the peer is dead, as a backup,
    /// too.
    served: bool,
    fault: Option<Fault>,
    turns: VecDeque<Turn>,
}

impl Star {
    /// A node that starts now.
    ///
    /// # Panics
    /// If the heartbeat is zero, or no silence is allowed.
    pub fn new(config: Config, now: Time) -> Self {
        assert!(!config.heartbeat.is_zero(), "a heartbeat takes some time");
        assert!(config.liveness > 0, "a peer may be silent for a heartbeat");
        let mut star = Star {
            state: State::Primary,
            config,
            silence: Silence::Dead,
            peer: None,
            promotion: None,
            stale: Time::ZERO,
            published: now,
            unpublished: true,
            served: false,
            fault: None,
            turns: VecDeque::new(),
        };
        star.begin(now);
        star
    }

    /// It waits to learn of the peer.
    fn begin(&mut self, now: Time) {
        self.state = self.waiting();
        self.silence = Silence::Until(now + self.lease());
        self.peer = None;
        self.promotion = None;
        self.unpublished = true;
    }

    fn waiting(&self) -> State {
        match self.config.role {
            Role::Primary => State::Primary,
            Role::Backup => State::Backup,
        }
    }

    /// For how long a published state counts.
    fn lease(&self) -> Duration {
        self.config.heartbeat * self.config.liveness
    }

    /// For how long what has come already may wait to be read.
    fn pause(&self) -> Duration {
        self.config.heartbeat / 10
    }

    // ---- what it says ----

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// How it is configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Why it refuses to serve, if it does.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether it may answer clients at this moment.
    pub fn serves(&self, now: Time) -> bool {
        self.state == State::Active && self.fault.is_none() && now < self.published + self.lease()
    }

    /// The state to publish now, if there is one to.
    pub fn publish(&mut self, now: Time) -> Option<State> {
        if !std::mem::take(&mut self.unpublished) {
            return None;
        }
        self.published = now;
        Some(self.state)
    }

    /// The next change that was not yet told.
    pub fn turn(&mut self) -> Option<Turn> {
        self.turns.pop_front()
    }

    /// When to call [`tick`](Self::tick).
    pub fn due(&self) -> Option<Time> {
        if self.fault.is_some() {
            return None;
        }
        let beat = self.published + self.config.heartbeat;
        let silence = match self.silence {
            Silence::Until(at) | Silence::Confirming(at) => Some(at),
            Silence::Dead => None,
        };
        [Some(beat), silence, self.promotion, self.hand_back_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn hand_back_at(&self) -> Option<Time> {
        let stood_by = self.config.fail_back?;
        match self.peer {
            Some((State::Passive, since))
                if self.config.role == Role::Backup && self.state == State::Active =>
            {
                Some(since + stood_by)
            }
            _ => None,
        }
    }

    // ---- what it is told ----

    /// The peer published its state.
    pub fn peer(&mut self, peer: State, now: Time) {
        if self.fault.is_some() {
            return;
        }
        self.wake(now);
        self.silence = Silence::Until(now + self.lease());
        self.promotion = None;
        if self.peer.is_none_or(|(before, _)| before != peer) {
            self.peer = Some((peer, now));
        }
        let own = self.waiting();
        match (self.state, peer) {
            (_, peer) if peer == own => self.fail(Fault::SameRole(self.config.role)),
            (State::Primary, State::Backup) | (State::Passive, State::Primary | State::Backup) => {
                // Not yet: it may serve since. What is out of date does not count; it will say it again.
                self.promotion = (now > self.stale).then(|| now + self.pause());
            }
            (State::Primary | State::Backup, State::Active) => {
                self.turn_to(State::Passive, Cause::Peer(peer));
            }
            (State::Active, State::Active) => self.fail(Fault::DualActives),
            (State::Passive, State::Passive) => self.fail(Fault::DualPassives),
            _ => {}
        }
    }

    /// A client asks: may it be served? If not, what it asked is to be dropped.
    pub fn request(&mut self, now: Time) -> bool {
        self.wake(now);
        let votes = match self.state {
            State::Primary | State::Passive => true,
            State::Backup => self.served,
            State::Active => false,
        };
        if votes && self.silence == Silence::Dead && self.fault.is_none() {
            self.turn_to(State::Active, Cause::Request);
            // Serving begins with the publication, which whoever holds this does next.
            self.published = now;
        }
        self.serves(now)
    }

    /// The moment that [`due`](Self::due) named has come, or has passed.
    pub fn tick(&mut self, now: Time) {
        if self.fault.is_some() {
            return;
        }
        self.wake(now);
        let pause = self.pause();
        self.silence = match self.silence {
            Silence::Until(at) if at <= now => Silence::Confirming(now + pause),
            Silence::Confirming(at) if at <= now => {
                self.peer = None;
                Silence::Dead
            }
            silence => silence,
        };
        if self.promotion.is_some_and(|at| at <= now)
            && let Some((peer, _)) = self.peer
        {
            self.turn_to(State::Active, Cause::Peer(peer));
            self.published = now;
        }
        if self.hand_back_at().is_some_and(|at| at <= now) {
            self.hand_over(now);
        }
        self.unpublished |= self.published + self.config.heartbeat <= now;
    }

    /// The operator wants the peer to serve. Nothing happens unless this node is active and the peer
    /// stands by. True if it was handed over.
    pub fn hand_over(&mut self, now: Time) -> bool {
        self.wake(now);
        let stands_by = self.peer.is_some_and(|(peer, _)| peer == State::Passive);
        if self.state != State::Active || self.fault.is_some() || !stands_by {
            return false;
        }
        // To the peer it looks like a restart, at which it becomes active.
        self.wait_again(Cause::HandOver, now);
        true
    }

    /// The operator lets a node serve again that has refused to since a fault. Nothing happens to
    /// another. True if it was restarted.
    pub fn restart(&mut self, now: Time) -> bool {
        if self.fault.take().is_none() {
            return false;
        }
        self.served = false;
        let from = self.state;
        self.begin(now);
        self.told(from, Cause::Restart);
        true
    }

    /// Finds out whether it stood still. Then what it knows is out of date, and so is what it reads first;
    /// its connection to the peer may be another one, too. An active node that has not published for
    /// too long may have been replaced.
    pub(super) fn wake(&mut self, now: Time) {
        let pause = self.pause();
        if self.fault.is_some() {
            return;
        }
        let late = |at: Time| at + pause < now;
        let lapsed = self.state == State::Active && !self.serves(now);
        if !lapsed
            && !late(self.published + self.config.heartbeat)
            && !matches!(self.silence, Silence::Confirming(at) if late(at))
            && !self.promotion.is_some_and(late)
        {
            return;
        }
        if lapsed {
            self.wait_again(Cause::Lapse, now);
        }
        self.stale = now + pause;
        self.promotion = None;
        self.silence = Silence::Until(now + self.lease());
    }

    fn wait_again(&mut self, cause: Cause, now: Time) {
        let from = self.state;
        self.served = true;
        self.begin(now);
        self.told(from, cause);
    }

    fn turn_to(&mut self, state: State, cause: Cause) {
        let from = std::mem::replace(&mut self.state, state);
        self.promotion = None;
        self.served = false;
        self.unpublished = true;
        self.told(from, cause);
    }

    fn told(&mut self, from: State, cause: Cause) {
        let to = self.state;
        self.turns.push_back(Turn { from, to, cause });
    }

    fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
        // Once more, so that the peer finds the same.
        self.unpublished = true;
    }
}
