//! What the simulated networks of the tests have in common: clients that keep asking, a ledger of what
//! came of each request, and machines that are looked at.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use xebec::Message;
use xebec_patterns::lazy::{Client, Command, Config, Failure, Output};
use xebec_patterns::simulator::{Desk, NodeId, Simulator};
use xebec_patterns::{Actions, Event, Machine, Time};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Asked,
    Answered,
    Failed(Failure),
    /// Its client crashed.
    Void,
}

/// Every request by its text, with when it was asked and what came of it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    requests: BTreeMap<String, (Time, Fate)>,
    broken: Option<String>,
}

impl Ledger {
    fn ask(&self, text: &str, now: Time) {
        let mut inner = self.0.borrow_mut();
        inner.requests.insert(text.to_owned(), (now, Fate::Asked));
    }

    fn settle(&self, text: &str, fate: Fate) {
        let mut inner = self.0.borrow_mut();
        let entry = inner.requests.get_mut(text).expect("it was asked");
        let before = std::mem::replace(&mut entry.1, fate);
        if before != Fate::Asked {
            inner.broken = Some(format!("{text} has come to two ends, the first {before:?}"));
        }
    }

    fn void(&self, client: &str) {
        for (text, (_, fate)) in &mut self.0.borrow_mut().requests {
            if text.starts_with(client) && *fate == Fate::Asked {
                *fate = Fate::Void;
            }
        }
    }

    /// An invariant: no request has come to two ends.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.borrow().broken.clone().map_or(Ok(()), Err)
    }

    /// Requests asked since then that have not been answered, and what came of them.
    pub(crate) fn unanswered_since(&self, since: Time) -> Vec<(String, Fate)> {
        let inner = self.0.borrow();
        let late = inner.requests.iter().filter(|(_, (at, fate))| {
            *at >= since && *fate != Fate::Answered && *fate != Fate::Void
        });
        late.map(|(text, (_, fate))| (text.clone(), fate.clone()))
            .collect()
    }

    /// Requests asked before then that have not come to an end.
    pub(crate) fn open_before(&self, then: Time) -> Vec<String> {
        let inner = self.0.borrow();
        let open = inner.requests.iter();
        let open = open.filter(|(_, (at, fate))| *at <= then && *fate == Fate::Asked);
        open.map(|(text, _)| text.clone()).collect()
    }

    /// How many requests were answered, and how many failed.
    pub(crate) fn score(&self) -> (usize, usize) {
        let inner = self.0.borrow();
        let count = |what: fn(&Fate) -> bool| {
            let fates = inner.requests.values().map(|(_, fate)| fate);
            fates.filter(|fate| what(fate)).count()
        };
        (
            count(|fate| *fate == Fate::Answered),
            count(|fate| matches!(fate, Fate::Failed(_))),
        )
    }
}

/// Adds a Lazy Pirate client that asks, waits for the end, pauses, and asks again. `at_once` requests
/// are under way at a time. It expects the text of its request, and whatever, as the reply.
pub(crate) fn client(
    sim: &mut Simulator,
    name: &str,
    config: Config,
    ledger: &Ledger,
    at_once: u64,
) -> NodeId<Client> {
    let (ledger, label) = (ledger.clone(), name.to_owned());
    let mut life = 0;
    sim.node(name, move |rng| {
        life += 1;
        ledger.void(&label);
        let (ledger, label) = (ledger.clone(), label.clone());
        let mut asked = 0;
        let mut start = true;
        let app = move |desk: &mut Desk<'_, Command>, output| {
            let text = |id| format!("{label} {life} {id}");
            let ask = |desk: &mut Desk<'_, Command>, after, id: u64| {
                ledger.ask(&text(id), desk.now() + after);
                desk.command_after(after, Command::Request(id, text(id).into()));
            };
            if std::mem::take(&mut start) {
                for _ in 0..at_once {
                    asked += 1;
                    ask(desk, Duration::ZERO, asked);
                }
            }
            let fate = match output {
                Output::Reply(id, reply) => {
                    let reply = reply.to_string_lossy().into_owned();
                    assert_eq!(
                        reply.split('/').next(),
                        Some(&*text(id)),
                        "the reply to another request"
                    );
                    (id, Fate::Answered)
                }
                Output::Failed(id, why) => (id, Fate::Failed(why)),
                _ => return,
            };
            ledger.settle(&text(fate.0), fate.1);
            asked += 1;
            let pause = ms(desk.rng().u64(0..2000));
            ask(desk, pause, asked);
        };
        (Client::new(config.clone(), rng.u64(..)), app)
    })
}

/// What came to a machine, and when.
pub(crate) type Log = Rc<RefCell<Vec<(Time, Message)>>>;

/// A machine whose messages are noted.
pub(crate) struct Tapped<M> {
    pub(crate) inner: M,
    pub(crate) log: Log,
}

impl<M: Machine> Machine for Tapped<M> {
    type Command = M::Command;
    type Output = M::Output;

    fn handle(&mut self, event: Event<M::Command>, now: Time, actions: &mut Actions<M::Output>) {
        if let Event::Message { message, .. } = &event {
            self.log.borrow_mut().push((now, message.clone()));
        }
        self.inner.handle(event, now, actions);
    }

    fn due(&self) -> Option<Time> {
        self.inner.due()
    }
}
