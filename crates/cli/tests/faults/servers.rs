//! Clients and many servers: Freelance, and Binary Star. The third topology of the pirates.
//!
//! Kill and stop under load are in crates/patterns/tests/freelance_programs.rs; here are the network and
//! the return.

use std::time::Duration;

use xebec_patterns::freelance::{Direct, DirectConfig};

use crate::load::Load;
use crate::programs::{Program, endpoint};
use crate::relay::Relay;

/// A server that clients know under another endpoint than its own.
fn server(bind: &str, public: &str) -> Program {
    let server = Program::start("flserver3", ["--bind", bind, "--public", public]);
    server.expect([format!("I: service is ready at {bind}")]);
    server
}

#[test]
fn a_server_of_two_is_killed_and_comes_back() {
    let servers = [endpoint(), endpoint()];
    let mut running = servers.clone().map(|at| server(&at, &at));
    let load = Load::start(Direct::new(DirectConfig::new(&servers[..])), 4);
    // One after the other: each is once the only one.
    for index in [0, 1] {
        let [one, other] = running;
        let (dead, alive) = if index == 0 {
            (one, other)
        } else {
            (other, one)
        };
        drop(dead);
        load.answered(100);
        let again = server(&servers[index], &servers[index]);
        load.answered(100);
        running = if index == 0 {
            [again, alive]
        } else {
            [alive, again]
        };
    }
    load.end_without_loss("two servers, each KILL and restart");
}

#[test]
fn the_network_of_a_server_of_two_is_cut() {
    let at = [endpoint(), endpoint()];
    let relays = [Relay::to(&at[0]), Relay::to(&at[1])];
    let public = [relays[0].endpoint(), relays[1].endpoint()];
    let _running = [server(&at[0], &public[0]), server(&at[1], &public[1])];
    let load = Load::start(Direct::new(DirectConfig::new(&public[..])), 4);
    for relay in &relays {
        relay.cut();
        load.answered(100);
        relay.mend();
        load.answered(100);
        relay.reset();
        load.answered(100);
    }
    relays[0].slow(Duration::from_millis(5));
    load.answered(20);
    load.end_without_loss("two servers, network of each cut, connections lost, slow link");
}

/// A pair that cannot hear each other, while clients reach both.
#[test]
fn a_pair_that_was_parted_refuses_to_go_on() {
    let (fronts, own) = ([endpoint(), endpoint()], [endpoint(), endpoint()]);
    let links = [Relay::to(&own[0]), Relay::to(&own[1])];
    let peer = [links[1].endpoint(), links[0].endpoint()];
    let start = |index: usize| {
        let role = ["-p", "-b"][index];
        let common = [role, "--heartbeat", "600", "--frontend", &fronts[index]];
        let states = ["--own", &own[index], "--peer", &peer[index]];
        Program::start("bstarsrv", common.into_iter().chain(states))
    };
    let [primary, backup] = [start(0), start(1)];
    primary.until("I: connected to backup (passive), ready active");
    backup.until("I: connected to primary (active), ready passive");
    let client = |at: &str| {
        // The second server is nobody.
        let times = ["--timeout", "500", "--settle", "200", "--pause", "20"];
        Program::start("bstarcli", times.into_iter().chain([at, &endpoint()]))
    };
    let first = client(&fronts[0]);
    first.until("I: server replied OK (1)");
    // While the backup hears the primary, it turns away whoever asks it.
    let second = client(&fronts[1]);
    let before = second.until("W: no response from server, failing over");
    assert_eq!(
        before,
        [format!("I: connecting to server at {}...", fronts[1])]
    );
    links.iter().for_each(Relay::cut);
    backup.until("I: failover successful, ready active");
    links.iter().for_each(Relay::mend);
    let fault = "E: fatal error - dual actives, aborting";
    for server in [primary, backup] {
        let (lines, good) = server.rest();
        assert_eq!(lines.last().map(String::as_str), Some(fault));
        assert!(!good);
    }
    drop((first, second));
    println!(
        "binary star, parted: both served from the loss of the second heartbeat on, then both ended"
    );
}
