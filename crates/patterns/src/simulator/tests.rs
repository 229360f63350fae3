//! That the network behaves as ZeroMQ's sockets do, and that a seed repeats itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use xebec::{Message, Options, SendErrorKind, SocketType};

use super::*;
use crate::machine::{Actions, Event, Link, Port, Spec};

const PORT: Port = Port(0);
const AT: &str = "tcp://there:1";

/// A machine that is nothing but its socket.
struct Wire(Spec);

#[derive(Debug)]
enum Ask {
    Send(Message),
    Listen(bool),
    Reopen,
}

#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Message(Message),
    Unsent(SendErrorKind),
    Link(Link),
}

impl Machine for Wire {
    type Command = Ask;
    type Output = Heard;

    fn handle(&mut self, event: Event<Ask>, _: Time, actions: &mut Actions<Heard>) {
        match event {
            Event::Start | Event::Command(Ask::Reopen) => actions.open(PORT, self.0.clone()),
            Event::Message { message, .. } => actions.deliver(Heard::Message(message)),
            Event::Unsent { why, .. } => actions.deliver(Heard::Unsent(why)),
            Event::Link { link, .. } => actions.deliver(Heard::Link(link)),
            Event::Command(Ask::Send(message)) => actions.send(PORT, message),
            Event::Command(Ask::Listen(on)) => actions.listen(PORT, on),
            Event::Stop => actions.end(),
            Event::Due => unreachable!("it is never due"),
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

type Log = Rc<RefCell<Vec<Heard>>>;

fn wire(sim: &mut Simulator, name: &str, spec: Spec) -> (NodeId<Wire>, Log) {
    let log = Log::default();
    let theirs = log.clone();
    let node = sim.node(name, move |_| {
        let log = theirs.clone();
        let app = move |_: &mut Desk<'_, Ask>, heard| log.borrow_mut().push(heard);
        (Wire(spec.clone()), app)
    });
    (node, log)
}

fn frames(frames: &[&str]) -> Message {
    frames.iter().copied().collect()
}

fn send(sim: &mut Simulator, node: NodeId<Wire>, parts: &[&str]) {
    sim.command(node, Ask::Send(frames(parts)));
}

fn second(sim: &mut Simulator) {
    sim.run_for(Duration::from_secs(1));
}

fn bound(kind: SocketType) -> Spec {
    Spec::new(kind).bind(AT)
}

fn dialing(kind: SocketType) -> Spec {
    Spec::new(kind).connect(AT)
}

fn named(spec: Spec, id: &'static str) -> Spec {
    let options = spec.options.clone().routing_id(id);
    spec.options(options)
}

fn messages(log: &Log) -> Vec<Message> {
    let log = std::mem::take(&mut *log.borrow_mut());
    let only = log.into_iter().filter_map(|heard| match heard {
        Heard::Message(message) => Some(message),
        _ => None,
    });
    only.collect()
}

#[test]
fn a_router_addresses_by_identity_and_a_dealer_takes_turns() {
    seeds(20, |sim| {
        let (router, at_router) = wire(sim, "router", bound(SocketType::Router));
        let (a, at_a) = wire(sim, "a", named(dialing(SocketType::Dealer), "A"));
        let (_, at_b) = wire(sim, "b", named(dialing(SocketType::Dealer), "B"));
        send(sim, a, &["early"]);
        second(sim);
        assert_eq!(messages(&at_router), [frames(&["A", "early"])]);
        send(sim, router, &["B", "x"]);
        send(sim, router, &["C", "nobody"]);
        send(sim, router, &["A", "y", "z"]);
        second(sim);
        assert_eq!(messages(&at_b), [frames(&["x"])]);
        assert_eq!(messages(&at_a), [frames(&["y", "z"])]);
        assert_eq!(sim.dropped(), 1);
        let two = dialing(SocketType::Dealer).connect("tcp://there:2");
        let (both, _) = wire(sim, "both", two);
        let (_, at_two) = wire(
            sim,
            "two",
            Spec::new(SocketType::Pull).bind("tcp://there:2"),
        );
        second(sim);
        for n in ["1", "2", "3", "4"] {
            send(sim, both, &[n]);
        }
        second(sim);
        assert_eq!(messages(&at_two), [frames(&["2"]), frames(&["4"])]);
    });
}

#[test]
fn a_connection_keeps_its_order_whatever_the_delays() {
    seeds(20, |sim| {
        sim.conditions().delay = (Duration::ZERO, Duration::from_secs(1));
        let (_, log) = wire(sim, "pull", bound(SocketType::Pull));
        let (push, _) = wire(sim, "push", dialing(SocketType::Push));
        let texts: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        for text in &texts {
            send(sim, push, &[text]);
            sim.run_for(Duration::from_millis(10));
        }
        sim.run_for(Duration::from_secs(9));
        let got: Vec<_> = messages(&log);
        let got: Vec<_> = got.iter().map(|m| m.to_string_lossy()).collect();
        assert_eq!(got, texts);
    });
}

#[test]
fn requests_are_in_lockstep_and_carry_their_envelope() {
    seeds(20, |sim| {
        let (rep, at_rep) = wire(sim, "rep", bound(SocketType::Rep));
        let (req, at_req) = wire(sim, "req", dialing(SocketType::Req));
        let (dealer, at_dealer) = wire(sim, "dealer", dialing(SocketType::Dealer));
        second(sim);
        send(sim, req, &["one"]);
        second(sim);
        send(sim, dealer, &["address", "", "two"]);
        send(sim, req, &["too soon"]);
        assert_eq!(
            at_req.borrow_mut().pop(),
            Some(Heard::Unsent(SendErrorKind::State))
        );
        second(sim);
        assert_eq!(
            messages(&at_rep),
            [frames(&["one"])],
            "the other waits its turn"
        );
        send(sim, rep, &["ONE"]);
        second(sim);
        assert_eq!(messages(&at_rep), [frames(&["two"])]);
        send(sim, rep, &["TWO"]);
        second(sim);
        assert_eq!(messages(&at_req), [frames(&["ONE"])]);
        assert_eq!(messages(&at_dealer), [frames(&["address", "", "TWO"])]);
    });
}

#[test]
fn what_is_on_its_way_is_lost_with_the_connection_and_what_is_queued_is_not() {
    seeds(20, |sim| {
        sim.conditions().delay = (Duration::from_millis(50), Duration::from_millis(60));
        let (router, at_router) = wire(sim, "router", bound(SocketType::Router));
        let spec = named(dialing(SocketType::Dealer), "A").watch();
        let (dealer, at_dealer) = wire(sim, "dealer", spec);
        second(sim);
        send(sim, dealer, &["lost"]);
        sim.crash(router);
        sim.run_for(Duration::from_millis(70));
        send(sim, dealer, &["queued"]);
        sim.restart(router);
        second(sim);
        assert_eq!(messages(&at_router), [frames(&["A", "queued"])]);
        let links = std::mem::take(&mut *at_dealer.borrow_mut());
        assert!(
            matches!(
                &links[..],
                [
                    Heard::Link(Link::Up),
                    Heard::Link(Link::Down),
                    ..,
                    Heard::Link(Link::Up)
                ]
            ),
            "{links:?}"
        );
        send(sim, dealer, &["lost"]);
        sim.reset(dealer, router);
        second(sim);
        send(sim, dealer, &["arrives"]);
        second(sim);
        assert_eq!(messages(&at_router), [frames(&["A", "arrives"])]);
    });
}

#[test]
fn a_full_peer_is_dropped_for_by_a_router_and_refused_by_a_dealer() {
    seeds(5, |sim| {
        let marks = Options::new().sndhwm(2).rcvhwm(3);
        let router = bound(SocketType::Router).options(marks.clone());
        let (router, _) = wire(sim, "router", router);
        let dealer = named(dialing(SocketType::Dealer).options(marks.clone()), "A");
        let (dealer, at_dealer) = wire(sim, "dealer", dealer);
        second(sim);
        sim.pause(dealer);
        for _ in 0..7 {
            send(sim, router, &["A", "x"]);
        }
        assert_eq!(sim.dropped(), 2);
        second(sim);
        sim.resume(dealer);
        second(sim);
        assert_eq!(messages(&at_dealer).len(), 5);
        sim.command(router, Ask::Listen(false));
        for _ in 0..6 {
            send(sim, dealer, &["y"]);
        }
        let refused = Heard::Unsent(SendErrorKind::WouldBlock);
        assert_eq!(*at_dealer.borrow(), [refused]);
        let mandatory = Spec::new(SocketType::Router)
            .bind("tcp://there:2")
            .options(marks.router_mandatory(true));
        let (mandatory, heard) = wire(sim, "mandatory", mandatory);
        send(sim, mandatory, &["Z", "x"]);
        assert_eq!(*heard.borrow(), [Heard::Unsent(SendErrorKind::Unroutable)]);
    });
}

#[test]
fn a_cut_holds_messages_until_it_heals_and_heartbeats_notice() {
    seeds(5, |sim| {
        let (_, at_router) = wire(sim, "router", bound(SocketType::Router));
        let plain = named(dialing(SocketType::Dealer), "A").watch();
        let beating = named(dialing(SocketType::Dealer), "B").watch();
        let options = beating
            .options
            .clone()
            .heartbeat_ivl(Duration::from_secs(1));
        let (a, at_a) = wire(sim, "a", plain);
        let (b, at_b) = wire(sim, "b", beating.options(options));
        second(sim);
        sim.cut(a, AnyNode(0));
        sim.cut(b, AnyNode(0));
        send(sim, a, &["late"]);
        sim.run_for(Duration::from_secs(5));
        assert_eq!(*at_a.borrow(), [Heard::Link(Link::Up)]);
        assert_eq!(
            *at_b.borrow(),
            [Heard::Link(Link::Up), Heard::Link(Link::Down)]
        );
        assert!(messages(&at_router).is_empty());
        sim.calm();
        second(sim);
        assert_eq!(messages(&at_router), [frames(&["A", "late"])]);
        assert_eq!(at_b.borrow().last(), Some(&Heard::Link(Link::Up)));
    });
}

#[test]
fn subscribers_get_what_they_ask_for_and_a_reopened_port_loses_the_rest() {
    seeds(5, |sim| {
        let (publisher, _) = wire(sim, "pub", bound(SocketType::Pub));
        let (sub, log) = wire(sim, "sub", dialing(SocketType::Sub).subscribe("a"));
        second(sim);
        send(sim, publisher, &["ab"]);
        send(sim, publisher, &["b"]);
        second(sim);
        assert_eq!(messages(&log), [frames(&["ab"])]);
        send(sim, publisher, &["ac"]);
        sim.command(sub, Ask::Reopen);
        second(sim);
        send(sim, publisher, &["ad"]);
        second(sim);
        assert_eq!(messages(&log), [frames(&["ad"])]);
    });
}

#[test]
fn a_seed_repeats_itself_and_another_differs() {
    let run = |seed| {
        let mut sim = Simulator::new(seed);
        sim.conditions().loss = 0.3;
        sim.conditions().duplication = 0.3;
        let (router, log) = wire(&mut sim, "router", bound(SocketType::Router));
        let (dealer, _) = wire(&mut sim, "dealer", named(dialing(SocketType::Dealer), "A"));
        let chaos = Chaos {
            crash: vec![router.any()],
            links: vec![(router.any(), dealer.any())],
            ..Chaos::default()
        };
        sim.chaos(&chaos, Time::ZERO + Duration::from_secs(50));
        for n in 0..100 {
            send(&mut sim, dealer, &[&n.to_string()]);
            sim.run_for(Duration::from_millis(500));
        }
        sim.calm();
        second(&mut sim);
        (messages(&log), sim.dropped(), sim.steps())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let (got, ..) = run(7);
    assert!(!got.is_empty() && got.len() != 100);
}

#[test]
#[should_panic(expected = "seed 3, at 1.000 s: broken")]
fn a_broken_invariant_names_the_seed() {
    let mut sim = Simulator::new(3);
    sim.at(Time::ZERO + Duration::from_secs(1), |_| {});
    sim.invariant(|_| Err("broken".to_owned()));
    sim.run_for(Duration::from_secs(2));
}
