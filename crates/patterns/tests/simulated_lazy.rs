//! Lazy Pirate in the simulator: clients and servers, with every fault.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use support::{Ledger, client, ms, secs};
use xebec::{Message, SocketType};
use xebec_patterns::lazy::{Client, Command, Config, Failure, Form, Output};
use xebec_patterns::simulator::{self, AnyNode, Chaos, Desk, NodeId, Simulator};
use xebec_patterns::{Actions, Backoff, Event, Machine, Port, Spec, Time};

const SERVERS: [&str; 3] = ["tcp://a:5555", "tcp://b:5555", "tcp://c:5555"];

/// A REP that hands its requests to the application.
struct Server(&'static str);

impl Machine for Server {
    type Command = Message;
    type Output = Message;

    fn handle(&mut self, event: Event<Message>, _: Time, actions: &mut Actions<Message>) {
        match event {
            Event::Start => actions.open(Port(0), Spec::new(SocketType::Rep).bind(self.0)),
            Event::Message { message, .. } => actions.deliver(message),
            Event::Command(reply) => actions.send(Port(0), reply),
            _ => {}
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

/// A server that works for some time and then sends its request back with a number of its own.
fn server(sim: &mut Simulator, at: &'static str, work: std::ops::Range<u64>) -> NodeId<Server> {
    sim.node(at, move |_| {
        let (mut served, work) = (0, work.clone());
        let app = move |desk: &mut Desk<'_, Message>, request: Message| {
            served += 1;
            let reply = format!("{}/{served}", request.to_string_lossy());
            let time = ms(desk.rng().u64(work.clone()));
            desk.command_after(time, reply.into());
        };
        (Server(at), app)
    })
}

fn under_chaos(seeds: u64, form: Form) {
    simulator::seeds(seeds, |sim| {
        let ledger = Ledger::default();
        let mut config = Config::new(SERVERS);
        config.form = form;
        config.backoff = Backoff {
            first: ms(100),
            longest: secs(2),
            jitter: 0.5,
        };
        if sim.rng().bool() {
            config.patience = Some(secs(5));
        }
        if sim.rng().bool() {
            config.backoff = Backoff::NONE;
        }
        let servers: Vec<AnyNode> = SERVERS.map(|at| server(sim, at, 0..800).any()).into();
        let at_once = if form == Form::Req { 1 } else { 4 };
        let clients = ["x", "y"].map(|name| client(sim, name, config.clone(), &ledger, at_once));
        let clients: Vec<AnyNode> = clients.iter().map(|node| node.any()).collect();
        if sim.rng().bool() {
            sim.conditions().loss = 0.02;
            // A REQ cannot tell a reply that comes twice from the next one; its transports do not do that.
            if form == Form::Dealer {
                sim.conditions().duplication = 0.02;
            }
        }
        let until = Time::ZERO + secs(120);
        let links = servers
            .iter()
            .flat_map(|s| clients.iter().map(|c| (*s, *c)));
        let chaos = Chaos {
            crash: [servers.clone(), clients.clone()].concat(),
            pause: [servers.clone(), clients.clone()].concat(),
            links: links.collect(),
            ..Chaos::default()
        };
        sim.chaos(&chaos, until);
        let checked = ledger.clone();
        sim.invariant(move |_| checked.check());
        sim.run_for(secs(120));
        sim.calm();
        // The longest that a request can take: three attempts, with patience and pauses.
        sim.run_for(secs(40));
        assert_eq!(ledger.open_before(until), [""; 0], "answered or failed");
        sim.run_for(secs(20));
        let late = ledger.unanswered_since(until + secs(30));
        let late: Vec<_> = late
            .iter()
            .filter(|(_, fate)| matches!(fate, support::Fate::Failed(_)))
            .collect();
        assert!(late.is_empty(), "in calm weather all is answered: {late:?}");
        let (answered, failed) = ledger.score();
        assert!(answered > 50, "{answered} answered, {failed} failed");
    });
}

#[test]
fn every_request_is_answered_or_reported_over_req() {
    under_chaos(2000, Form::Req);
}

#[test]
fn every_request_is_answered_or_reported_over_dealer() {
    under_chaos(2000, Form::Dealer);
}

type Seen = Rc<RefCell<Vec<(Duration, Output)>>>;

/// A client that asks once at the start, and what it is told, and when.
fn ask_once(sim: &mut Simulator, config: Config) -> (NodeId<Client>, Seen) {
    let seen = Seen::default();
    let theirs = seen.clone();
    let node = sim.node("client", move |_| {
        let seen = theirs.clone();
        let app = move |desk: &mut Desk<'_, Command>, output| {
            seen.borrow_mut().push((desk.now().elapsed(), output));
        };
        (Client::new(config.clone(), 0), app)
    });
    sim.command(node, Command::Request(1, "one".into()));
    (node, seen)
}

fn outcomes(seen: &Seen) -> Vec<Output> {
    let seen = seen.borrow();
    let outputs = seen.iter().map(|(_, output)| output.clone());
    let outputs = outputs.filter(|output| !matches!(output, Output::Connecting { .. }));
    outputs.collect()
}

fn forms(test: impl Fn(&mut Simulator, Form)) {
    simulator::seeds(200, |sim| test(sim, Form::Req));
    simulator::seeds(200, |sim| test(sim, Form::Dealer));
}

#[test]
fn it_tells_that_it_cannot_connect() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        config.form = form;
        let (_, seen) = ask_once(sim, config);
        sim.run_for(secs(10));
        let why = Failure::Unconnected("connection refused".to_owned());
        assert_eq!(
            outcomes(&seen),
            [
                Output::Retrying(1, why.clone()),
                Output::Retrying(1, why.clone()),
                Output::Failed(1, why)
            ]
        );
        let times: Vec<_> = seen
            .borrow()
            .iter()
            .map(|(at, _)| at.as_secs_f64())
            .collect();
        let end = *times.last().unwrap();
        assert!(
            (7.5..7.6).contains(&end),
            "three attempts of 2.5 s: {times:?}"
        );
    });
}

#[test]
fn it_tells_that_no_reply_came_in_time() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        (config.form, config.attempts) = (form, 1);
        server(sim, SERVERS[0], 60_000..60_001);
        let (_, seen) = ask_once(sim, config);
        sim.run_for(secs(10));
        assert_eq!(outcomes(&seen), [Output::Failed(1, Failure::Silent)]);
    });
}

#[test]
fn it_tells_that_the_connection_was_lost() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        (config.form, config.attempts) = (form, 1);
        let node = server(sim, SERVERS[0], 60_000..60_001);
        let (_, seen) = ask_once(sim, config);
        sim.run_for(secs(1));
        sim.crash(node);
        sim.run_for(secs(10));
        assert_eq!(outcomes(&seen), [Output::Failed(1, Failure::Lost)]);
    });
}

#[test]
fn it_waits_for_a_server_that_is_still_working_and_not_for_one_that_stands_still() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        (config.form, config.patience) = (form, Some(secs(60)));
        let node = server(sim, SERVERS[0], 9000..9001);
        let (_, seen) = ask_once(sim, config.clone());
        sim.run_for(secs(20));
        let told = outcomes(&seen);
        let working = |output: &Output| matches!(output, Output::Working(1, _));
        assert!(told[..3].iter().all(working), "{told:?}");
        assert_eq!(told[3..], [Output::Reply(1, "one/1".into())]);

        seen.borrow_mut().clear();
        let (_, seen) = ask_once(sim, config);
        sim.run_for(secs(3));
        sim.pause(node);
        sim.run_for(secs(60));
        let told = outcomes(&seen);
        assert!(
            told.contains(&Output::Retrying(1, Failure::Lost)),
            "{told:?}"
        );
        assert!(matches!(told.last(), Some(Output::Failed(..))), "{told:?}");
    });
}

#[test]
fn a_server_that_is_silent_is_left_for_the_next() {
    forms(|sim, form| {
        let mut config = Config::new(SERVERS);
        config.form = form;
        server(sim, SERVERS[0], 60_000..60_001);
        server(sim, SERVERS[2], 0..10);
        let (node, seen) = ask_once(sim, config);
        sim.run_for(secs(6));
        sim.command(node, Command::Request(2, "two".into()));
        sim.run_for(secs(1));
        assert_eq!(
            outcomes(&seen),
            [
                Output::Retrying(1, Failure::Silent),
                Output::Retrying(1, Failure::Unconnected("connection refused".to_owned())),
                Output::Reply(1, "one/1".into()),
                Output::Reply(2, "two/2".into()),
            ],
            "the second stays with the server that answered"
        );
    });
}

#[test]
fn what_does_not_answer_the_request_is_told_and_waited_over() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        config.form = form;
        config.accept = |request, reply| request == reply;
        server(sim, SERVERS[0], 0..1);
        let (_, seen) = ask_once(sim, config);
        sim.run_for(secs(10));
        let told = outcomes(&seen);
        assert_eq!(told[0], Output::Malformed(1, "one/1".into()));
        assert_eq!(told.last(), Some(&Output::Failed(1, Failure::Silent)));
    });
}

#[test]
fn a_full_backlog_refuses_and_a_stop_waits_for_what_is_under_way() {
    forms(|sim, form| {
        let mut config = Config::new([SERVERS[0]]);
        (config.form, config.window, config.backlog) = (form, 1, 2);
        server(sim, SERVERS[0], 500..501);
        let (node, seen) = ask_once(sim, config);
        for id in 2..=4 {
            sim.command(node, Command::Request(id, "more".into()));
        }
        assert_eq!(outcomes(&seen), [Output::Failed(4, Failure::Refused)]);
        sim.stop(node);
        sim.command(node, Command::Request(5, "too late".into()));
        sim.run_for(secs(5));
        assert!(sim.has_ended(node));
        let told = outcomes(&seen);
        let replies = told.iter().filter(|o| matches!(o, Output::Reply(..)));
        assert_eq!(replies.count(), 3, "{told:?}");
    });
}
