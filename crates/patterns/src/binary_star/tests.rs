//! The pair in the simulator, and the state machine step by step.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::freelance::ledger::{End, Ledger, answer, client as asker, ms};
use crate::freelance::{Model, Server, ServerCommand};
use crate::machine::Time;
use crate::simulator::{AnyNode, Chaos, Desk, NodeId, Simulator, seeds};

const FRONTENDS: [&str; 2] = ["tcp://primary:1", "tcp://backup:1"];
const STATES: [&str; 2] = ["tcp://primary:2", "tcp://backup:2"];

type Pair = [NodeId<Node<Server>>; 2];
type Turns = Rc<RefCell<Vec<(usize, Output<()>)>>>;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(millis: u64) -> Time {
    Time::ZERO + ms(millis)
}

fn pair(sim: &mut Simulator, change: impl Fn(&mut Config) + Clone + 'static) -> (Pair, Turns) {
    let turns = Turns::default();
    let nodes = [Role::Primary, Role::Backup].map(|role| {
        let own = role as usize;
        let (turns, change) = (turns.clone(), change.clone());
        sim.node(STATES[own], move |_| {
            let turns = turns.clone();
            let app = move |desk: &mut Desk<'_, _>, output| match output {
                Output::Inner(request) => {
                    let time = ms(desk.rng().u64(0..200));
                    let reply: ServerCommand = answer(request, FRONTENDS[own]);
                    desk.command_after(time, Command::Inner(reply));
                }
                Output::Turn(turn) => turns.borrow_mut().push((own, Output::Turn(turn))),
                Output::Fault(fault) => turns.borrow_mut().push((own, Output::Fault(fault))),
                Output::Stays => turns.borrow_mut().push((own, Output::Stays)),
                Output::May(..) => {}
            };
            let mut config = Config::new(role);
            change(&mut config);
            let wiring = Wiring::new(STATES[own], STATES[1 - own]);
            let server = Server::new(Model::One, FRONTENDS[own]);
            (Node::new(config, wiring, server), app)
        })
    });
    (nodes, turns)
}

fn serves(sim: &Simulator, node: NodeId<Node<Server>>) -> bool {
    let now = sim.now();
    sim.machine(node).is_some_and(|node| node.serves(now)) && sim.is_running(node)
}

fn state(sim: &Simulator, node: NodeId<Node<Server>>) -> Option<State> {
    sim.machine(node)?.state()
}

fn faults(turns: &Turns) -> Vec<(usize, Fault)> {
    let turns = turns.borrow();
    let faults = turns.iter().filter_map(|(own, output)| match output {
        Output::Fault(fault) => Some((*own, *fault)),
        _ => None,
    });
    faults.collect()
}

fn clients(sim: &mut Simulator, count: usize) -> (Ledger, Vec<AnyNode>) {
    let ledger = Ledger::default();
    let names = ["x", "y", "z"].into_iter().take(count);
    let make = || client(FRONTENDS[0], FRONTENDS[1]);
    let nodes = names.map(|name| asker(sim, name, &ledger, 1, make).any());
    let nodes = nodes.collect();
    (ledger, nodes)
}

fn answered_since(ledger: &Ledger, then: Time) -> usize {
    let ends = ledger.ends_since(then);
    let answered = ends.iter().filter(|(_, end)| matches!(end, End::Reply(_)));
    answered.count()
}

/// Whatever crashes, restarts or stands still, and whatever befalls the clients' network: while the two
/// reach each other, they never serve at the same moment, and neither faults.
#[test]
fn never_two_serve_while_they_reach_each_other() {
    seeds(3000, |sim| {
        let fail_back = sim.rng().bool().then(|| secs(5));
        let (nodes, turns) = pair(sim, move |config| config.fail_back = fail_back);
        let [primary, backup] = nodes.map(NodeId::any);
        let (ledger, asking) = clients(sim, 3);
        let links = asking.iter().flat_map(|c| [(primary, *c), (backup, *c)]);
        let chaos = Chaos {
            every: (ms(500), secs(6)),
            crash: vec![primary, backup],
            pause: [vec![primary, backup], asking.clone()].concat(),
            links: links.collect(),
            ..Chaos::default()
        };
        sim.chaos(&chaos, at(60_000));
        let (checked, seen) = (ledger.clone(), turns.clone());
        sim.invariant(move |sim| {
            if nodes.iter().all(|node| serves(sim, *node)) {
                return Err("both serve".to_owned());
            }
            if let Some(fault) = faults(&seen).first() {
                return Err(format!("{fault:?}"));
            }
            checked.check(sim.now(), secs(1000))
        });
        sim.run_for(secs(60));
        sim.calm();
        sim.run_for(secs(20));
        let calm = sim.now();
        sim.run_for(secs(20));
        assert!(answered_since(&ledger, calm) > 20, "the service is back");
        let active = nodes.iter().filter(|node| serves(sim, **node));
        assert_eq!(active.count(), 1);
    });
}

/// What the Guide warns of: the two are cut off from each other and clients reach both. From a
/// heartbeat after they hear each other again no two serve, and if both had served both refuse.
#[test]
fn a_split_brain_is_refused_as_soon_as_they_hear_each_other() {
    let splits = Rc::new(RefCell::new(0));
    let counted = splits.clone();
    seeds(2000, move |sim| {
        let (nodes, turns) = pair(sim, |config| config.split = Split::Refuse);
        let (ledger, asking) = clients(sim, 3);
        sim.run_for(secs(5));
        // This one asks the backup.
        let stray = asking[sim.rng().usize(..3)];
        sim.cut(nodes[0], nodes[1]);
        sim.cut(nodes[0].any(), stray);
        let length = ms(sim.rng().u64(100..15_000));
        sim.run_for(length);
        let both = nodes.iter().all(|node| serves(sim, *node));
        *counted.borrow_mut() += usize::from(both);
        sim.heal(nodes[0], nodes[1]);
        sim.heal(nodes[0].any(), stray);
        sim.run_for(ms(1100));
        // A request may have made the other active as well before they heard each other again.
        let both = both || !faults(&turns).is_empty();
        sim.invariant(
            move |sim| match nodes.iter().all(|node| serves(sim, *node)) {
                true => Err("both serve".to_owned()),
                false => Ok(()),
            },
        );
        sim.run_for(secs(10));
        if both {
            let mut faults = faults(&turns);
            faults.sort_by_key(|(own, _)| *own);
            let dual = Fault::DualActives;
            assert_eq!(faults, [(0, dual), (1, dual)], "both refuse");
            assert!(!nodes.iter().any(|node| serves(sim, *node)));
            // The operator decides.
            sim.command(nodes[0], Command::Restart);
            sim.command(nodes[1], Command::Restart);
        }
        sim.run_for(secs(10));
        assert_eq!(faults(&turns).len(), if both { 2 } else { 0 });
        let calm = sim.now();
        sim.run_for(secs(10));
        assert!(answered_since(&ledger, calm) > 10);
    });
    // One seed alone may have none.
    let alone = std::env::var_os("XEBEC_SEED").is_some();
    assert!(*splits.borrow() > 0 || alone);
}

/// The primary dies: clients move to the backup in a bounded time. It returns as passive and stays so,
/// until the operator hands over.
#[test]
fn the_backup_takes_over_and_the_operator_gives_back() {
    seeds(1000, |sim| {
        let (nodes, _) = pair(sim, |_| {});
        let (ledger, _) = clients(sim, 2);
        sim.run_for(secs(5));
        assert_eq!(state(sim, nodes[0]), Some(State::Active));
        assert_eq!(state(sim, nodes[1]), Some(State::Passive));
        sim.crash(nodes[0]);
        let crash = sim.now();
        let back = sim.run_until(crash + secs(10), |sim| serves(sim, nodes[1]));
        assert!(back, "the backup serves");
        sim.run_for(secs(5));
        assert!(answered_since(&ledger, crash) > 5);
        sim.restart(nodes[0]);
        sim.run_for(secs(30));
        assert_eq!(state(sim, nodes[0]), Some(State::Passive));
        assert_eq!(state(sim, nodes[1]), Some(State::Active));
        sim.command(nodes[1], Command::HandOver);
        sim.run_for(secs(1));
        assert_eq!(state(sim, nodes[0]), Some(State::Active));
        assert_eq!(state(sim, nodes[1]), Some(State::Passive));
        let given_back = sim.now();
        sim.run_for(secs(15));
        assert!(answered_since(&ledger, given_back) > 10);
    });
}

/// The operator hands over before the peer has been heard of, or without a peer at all.
#[test]
fn a_hand_over_waits_a_little_for_the_peer() {
    seeds(1000, |sim| {
        let (nodes, turns) = pair(sim, |_| {});
        clients(sim, 2);
        sim.run_for(secs(5));
        sim.crash(nodes[0]);
        sim.run_for(secs(10));
        assert!(serves(sim, nodes[1]));
        sim.command(nodes[1], Command::HandOver);
        sim.run_for(secs(3));
        assert!(serves(sim, nodes[1]));
        let stays = |&(own, ref output): &(usize, _)| own == 1 && *output == Output::Stays;
        assert_eq!(turns.borrow().iter().filter(|turn| stays(turn)).count(), 1);
        sim.restart(nodes[0]);
        sim.command(nodes[1], Command::HandOver);
        sim.run_for(secs(5));
        assert_eq!(state(sim, nodes[0]), Some(State::Active));
        assert_eq!(state(sim, nodes[1]), Some(State::Passive));
        assert_eq!(turns.borrow().iter().filter(|turn| stays(turn)).count(), 1);
    });
}

#[test]
fn fail_back_is_opt_in() {
    seeds(1000, |sim| {
        let (nodes, _) = pair(sim, |config| config.fail_back = Some(secs(7)));
        let (ledger, _) = clients(sim, 2);
        sim.run_for(secs(5));
        sim.crash(nodes[0]);
        sim.run_for(secs(15));
        assert!(serves(sim, nodes[1]));
        sim.restart(nodes[0]);
        sim.run_for(secs(6));
        assert!(serves(sim, nodes[1]));
        sim.run_for(secs(4));
        assert!(serves(sim, nodes[0]) && !serves(sim, nodes[1]));
        let given_back = sim.now();
        sim.run_for(secs(15));
        assert!(answered_since(&ledger, given_back) > 10);
    });
}

/// Both cut off and both asked: each that hears the other ends.
#[test]
fn two_actives_end_by_default() {
    let mut sim = Simulator::new(1);
    let (nodes, turns) = pair(&mut sim, |_| {});
    let (_, asking) = clients(&mut sim, 2);
    sim.run_for(secs(5));
    let stray = asking[0];
    sim.cut(nodes[0], nodes[1]);
    sim.cut(nodes[0].any(), stray);
    sim.run_for(secs(10));
    assert!(nodes.iter().all(|node| serves(&sim, *node)));
    sim.heal(nodes[0], nodes[1]);
    sim.run_for(secs(2));
    assert!(nodes.iter().all(|node| sim.has_ended(*node)));
    assert_eq!(faults(&turns).len(), 2);
}

fn star(role: Role) -> Star {
    let mut star = Star::new(Config::new(role), Time::ZERO);
    assert_eq!(star.publish(Time::ZERO), Some(star.state()));
    star
}

/// Runs the timers up to a moment.
fn pass(star: &mut Star, until: Time) {
    while let Some(due) = star.due().filter(|due| *due <= until) {
        star.tick(due);
        star.publish(due);
    }
}

#[test]
fn a_primary_without_a_peer_serves_when_it_is_sure() {
    let mut primary = star(Role::Primary);
    pass(&mut primary, at(2050));
    assert!(!primary.request(at(2050)), "the backup may be active");
    pass(&mut primary, at(2150));
    assert!(primary.request(at(2150)));
    assert_eq!(primary.turn().map(|turn| turn.cause), Some(Cause::Request));
}

#[test]
fn a_backup_that_never_heard_of_a_primary_does_not_serve() {
    let mut backup = star(Role::Backup);
    pass(&mut backup, at(60_000));
    assert!(!backup.request(at(60_000)));
    assert_eq!(backup.state(), State::Backup);
}

#[test]
fn an_active_that_stood_still_finds_out_before_it_answers() {
    let mut primary = star(Role::Primary);
    primary.peer(State::Backup, at(100));
    pass(&mut primary, at(200));
    assert!(primary.request(at(2199)) && primary.serves(at(2199)));
    assert!(!primary.serves(at(2200)));
    assert!(!primary.request(at(2200)), "it published nothing since");
    assert_eq!(primary.state(), State::Primary);
    assert_eq!(primary.publish(at(2200)), Some(State::Primary));
    // A backup that had served before may serve again without its peer.
    let mut backup = star(Role::Backup);
    backup.peer(State::Active, at(100));
    pass(&mut backup, at(2300));
    assert!(backup.request(at(2300)));
    backup.publish(at(2300));
    assert!(!backup.request(at(10_000)));
    assert_eq!(backup.state(), State::Backup);
    backup.publish(at(10_000));
    pass(&mut backup, at(12_200));
    assert!(backup.request(at(12_200)));
}

/// The other restarted and took over while this one stood still; what it reads first is out of date.
#[test]
fn a_passive_that_stood_still_reads_on_before_it_takes_over() {
    let mut backup = star(Role::Backup);
    backup.peer(State::Active, at(100));
    pass(&mut backup, at(150));
    for says in [State::Primary, State::Primary] {
        backup.peer(says, at(9000));
        assert!(!backup.request(at(9000)));
    }
    pass(&mut backup, at(9500));
    assert_eq!(backup.state(), State::Passive);
    // This one is news.
    backup.peer(State::Primary, at(9900));
    backup.peer(State::Active, at(9950));
    pass(&mut backup, at(10_500));
    assert_eq!(backup.state(), State::Passive);
    // It knew the other to be dead before it stood still: that is out of date, too.
    pass(&mut backup, at(12_000));
    assert!(!backup.request(at(20_000)));
    backup.tick(at(20_000));
    backup.publish(at(20_000));
    pass(&mut backup, at(22_050));
    assert!(!backup.request(at(22_050)));
    pass(&mut backup, at(22_150));
    assert!(backup.request(at(22_150)));
}

#[test]
fn the_table_of_the_guide() {
    use State::{Active, Backup, Passive, Primary};
    // Own state, what the peer says, what becomes of it.
    let rows = [
        (Role::Primary, Primary, Backup, Ok(Active)),
        (Role::Primary, Primary, Active, Ok(Passive)),
        (Role::Primary, Primary, Passive, Ok(Primary)),
        (
            Role::Primary,
            Primary,
            Primary,
            Err(Fault::SameRole(Role::Primary)),
        ),
        (Role::Backup, Backup, Active, Ok(Passive)),
        (Role::Backup, Backup, Primary, Ok(Backup)),
        (Role::Backup, Backup, Passive, Ok(Backup)),
        (
            Role::Backup,
            Backup,
            Backup,
            Err(Fault::SameRole(Role::Backup)),
        ),
        (Role::Primary, Active, Active, Err(Fault::DualActives)),
        (Role::Primary, Active, Passive, Ok(Active)),
        (Role::Primary, Active, Backup, Ok(Active)),
        (Role::Backup, Active, Primary, Ok(Active)),
        (Role::Primary, Passive, Backup, Ok(Active)),
        (Role::Backup, Passive, Primary, Ok(Active)),
        (Role::Backup, Passive, Active, Ok(Passive)),
        (Role::Backup, Passive, Passive, Err(Fault::DualPassives)),
    ];
    for (role, from, says, becomes) in rows {
        let mut node = star(role);
        match (role, from) {
            (Role::Primary, Active) => node.peer(Backup, at(1)),
            (_, Active) => {
                node.peer(Active, at(1));
                node.peer(Primary, at(1));
            }
            (_, Passive) => node.peer(Active, at(1)),
            _ => {}
        }
        pass(&mut node, at(101));
        assert_eq!(node.state(), from);
        node.peer(says, at(102));
        pass(&mut node, at(202));
        let found = node.fault().map_or(Ok(node.state()), Err);
        assert_eq!(found, becomes, "{role:?} {from:?} hears {says:?}");
        assert!(!node.serves(at(203)) || becomes == Ok(Active));
    }
}

#[test]
fn a_state_on_the_wire_is_one_digit() {
    for state in [State::Primary, State::Backup, State::Active, State::Passive] {
        assert_eq!(state.to_wire(), (state as u8).to_string());
        assert_eq!(State::from_wire(state.to_wire().as_bytes()), Some(state));
    }
    for junk in ["", "0", "5", "33", "3\0"] {
        assert_eq!(State::from_wire(junk.as_bytes()), None);
    }
}
