//! For tests in the simulator: clients that ask and ask, and a record of how each request ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Command, Failure, Model, Output, Request, Server, ServerCommand};
use crate::machine::{Machine, Time};
use crate::simulator::{Desk, NodeId, Simulator};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    Reply(String),
    Failed(Failure),
    /// The client crashed.
    Void,
}

#[derive(Debug, Default)]
struct Entries {
    asked: BTreeMap<u64, (String, Time, Option<(Time, End)>)>,
    /// Those without an end.
    open: BTreeMap<u64, Time>,
    faults: Vec<String>,
}

/// How each request ended.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Entries>>);

impl Ledger {
    fn ask(&self, client: &str, now: Time) -> Command {
        let mut entries = self.0.borrow_mut();
        let number = entries.asked.len() as u64 + 1;
        let asked = (client.to_owned(), now, None);
        entries.asked.insert(number, asked);
        entries.open.insert(number, now);
        Command::Request(number, number.to_string().into())
    }

    fn end(&self, number: u64, end: End, now: Time) {
        let mut entries = self.0.borrow_mut();
        entries.open.remove(&number);
        let fault = match entries.asked.get_mut(&number) {
            Some((_, _, slot @ None)) => {
                *slot = Some((now, end));
                return;
            }
            Some((_, at, Some(before))) => {
                format!("request {number} of {at} ended twice: {before:?}, then {end:?} at {now}")
            }
            None => format!("request {number} was never asked and ended: {end:?}"),
        };
        entries.faults.push(fault);
    }

    fn void(&self, client: &str) {
        let entries = &mut *self.0.borrow_mut();
        for (number, (name, at, end)) in &mut entries.asked {
            if name == client && end.is_none() {
                *end = Some((*at, End::Void));
                entries.open.remove(number);
            }
        }
    }

    /// No request ended twice or with another's reply, and none is open for longer than that.
    pub(crate) fn check(&self, now: Time, longest: Duration) -> Result<(), String> {
        let entries = self.0.borrow();
        if let Some(fault) = entries.faults.first() {
            return Err(fault.clone());
        }
        let mut open = entries.open.iter();
        match open.find(|(_, at)| now.since(**at) > longest) {
            Some((number, at)) => Err(format!("request {number} of {at} has no end")),
            None => Ok(()),
        }
    }

    /// How the requests ended that were asked since then, with the moment.
    pub(crate) fn ends_since(&self, then: Time) -> Vec<(Time, End)> {
        let entries = self.0.borrow();
        let asked = entries.asked.values().filter(|(_, at, _)| *at >= then);
        asked.filter_map(|(_, _, end)| end.clone()).collect()
    }
}

/// Adds a client that has so many requests under way, and pauses after each.
pub(crate) fn client<M>(
    sim: &mut Simulator,
    name: &str,
    ledger: &Ledger,
    at_once: usize,
    make: impl Fn() -> M + 'static,
) -> NodeId<M>
where
    M: Machine<Command = Command, Output = Output> + 'static,
{
    let (ledger, label) = (ledger.clone(), name.to_owned());
    sim.node(name, move |_| {
        ledger.void(&label);
        let (ledger, label, mut started) = (ledger.clone(), label.clone(), false);
        let app = move |desk: &mut Desk<'_, Command>, output: Output| {
            let (number, end) = match output {
                Output::Reply {
                    request,
                    server,
                    body,
                } => {
                    let mut end = End::Reply(server.clone());
                    if body.to_string_lossy() != format!("{request}/{server}") {
                        end = End::Reply(format!("{server} said {body:?}"));
                        ledger.end(0, end.clone(), desk.now());
                    }
                    (request, end)
                }
                Output::Failed { request, why } => (request, End::Failed(why)),
                Output::Connecting(_) if !std::mem::replace(&mut started, true) => {
                    for _ in 0..at_once {
                        let command = ledger.ask(&label, desk.now());
                        desk.command(command);
                    }
                    return;
                }
                _ => return,
            };
            ledger.end(number, end, desk.now());
            let pause = ms(desk.rng().u64(0..1000));
            // Asked when it is given, so that its time counts from there.
            let command = ledger.ask(&label, desk.now() + pause);
            desk.command_after(pause, command);
        };
        (make(), app)
    })
}

/// What a server answers: the request and its own name.
pub(crate) fn answer(request: Request, at: &str) -> ServerCommand {
    let text = format!("{}/{at}", request.body.to_string_lossy());
    ServerCommand::Reply(request.route, text.into())
}

/// Adds a server that works on each request for up to so many milliseconds.
pub(crate) fn server(
    sim: &mut Simulator,
    at: &'static str,
    model: Model,
    work: u64,
) -> NodeId<Server> {
    sim.node(at, move |_| {
        let app = move |desk: &mut Desk<'_, ServerCommand>, request| {
            let time = ms(desk.rng().u64(0..=work));
            desk.command_after(time, answer(request, at));
        };
        (Server::new(model.clone(), at), app)
    })
}
