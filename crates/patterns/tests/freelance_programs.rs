//! The examples of Freelance and Binary Star as processes: what they print, and what is lost, and for how
//! long nobody serves, when they are killed or stand still.

mod programs;

use std::time::{Duration, Instant};

use programs::{LIMIT, Program, endpoint};
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::binary_star::client_config;
use xebec_patterns::freelance::{
    Command, Direct, DirectConfig, Output, Sequential, SequentialConfig, Shotgun, ShotgunConfig,
};

const RUNNING: &str = "Service is running OK";

fn is_average(line: &str) -> bool {
    let number = line.strip_prefix("Average round trip cost: ");
    let number = number.and_then(|rest| rest.strip_suffix(" usec"));
    number.is_some_and(|digits| digits.parse::<u64>().is_ok())
}

#[test]
fn model_one_prints_its_transcripts() {
    let (good, dead) = (endpoint(), endpoint());
    let server = Program::start("flserver1", [&good]);
    server.expect([format!("I: echo service is ready at {good}")]);
    let ask = |servers: &[&str]| {
        let arguments = ["--timeout", "1000"].iter().chain(servers);
        Program::start("flclient1", arguments).rest().0
    };
    let trying = |server| format!("I: trying echo service at {server}...");
    assert_eq!(ask(&[&good]), [trying(&good), RUNNING.to_owned()]);
    let silent = format!("W: no response from {dead}");
    assert_eq!(
        ask(&[&dead, &good]),
        [trying(&dead), silent, trying(&good), RUNNING.to_owned()]
    );
    let client = Program::start("flclient1", ["--timeout", "50", &dead]);
    let again = format!("W: no response from {dead}, retrying...");
    let once = [trying(&dead), again];
    assert_eq!(client.rest().0, [once.clone(), once.clone(), once].concat());
    let (syntax, _) = Program::start("flclient1", [""; 0]).rest();
    assert_eq!(syntax, ["I: syntax: flclient1 <endpoint> ..."]);
}

#[test]
fn model_two_prints_its_transcripts() {
    let servers = [endpoint(), endpoint()];
    let running = servers.clone().map(|at| server(2, &at));
    let arguments = ["--requests", "500", &servers[0], &servers[1]];
    let (lines, good) = Program::start("flclient2", arguments).rest();
    assert!(
        good && lines.len() == 1 && is_average(&lines[0]),
        "{lines:?}"
    );
    drop(running);
    let arguments = ["--timeout", "100", &servers[0], &servers[1]];
    let (lines, _) = Program::start("flclient2", arguments).rest();
    assert_eq!(lines[0], "E: name service not available, aborting");
    assert!(is_average(&lines[1]), "{lines:?}");
}

fn server(model: u8, at: &str) -> Program {
    let name = format!("flserver{model}");
    let server = match model {
        3 => Program::start(&name, ["--bind", at, "--public", at]),
        _ => Program::start(&name, [at]),
    };
    let service = if model == 1 {
        "echo service"
    } else {
        "service"
    };
    server.expect([format!("I: {service} is ready at {at}")]);
    server
}

#[test]
fn model_three_prints_its_transcripts() {
    let servers = [endpoint(), endpoint(), endpoint()];
    let running = [0, 2].map(|index: usize| server(3, &servers[index]));
    let connecting = servers
        .clone()
        .map(|at| format!("I: connecting to {at}..."));
    let ask = |first: [&str; 2]| {
        let arguments = first.into_iter().chain(servers.iter().map(String::as_str));
        let (mut lines, _) = Program::start("flclient3", arguments).rest();
        let rest = lines.split_off(3);
        assert_eq!(lines, connecting);
        rest
    };
    let rest = ask(["--requests", "500"]);
    assert!(rest.len() == 1 && is_average(&rest[0]), "{rest:?}");
    drop(running);
    let rest = ask(["--timeout", "100"]);
    assert_eq!(rest[0], "E: name service not available, aborting");
    assert!(is_average(&rest[1]), "{rest:?}");
}

const HEARTBEAT: &str = "300";

/// The endpoints of a pair: two to ask, two for the states.
struct Pair {
    frontends: [String; 2],
    states: [String; 2],
}

impl Pair {
    fn new() -> Self {
        Pair {
            frontends: [endpoint(), endpoint()],
            states: [endpoint(), endpoint()],
        }
    }

    fn start(&self, own: usize) -> Program {
        let role = ["-p", "-b"][own];
        let arguments = [
            role,
            "--frontend",
            &self.frontends[own],
            "--own",
            &self.states[own],
            "--peer",
            &self.states[1 - own],
            "--heartbeat",
            HEARTBEAT,
        ];
        let server = Program::start("bstarsrv", arguments);
        server.expect([[
            "I: Primary active, waiting for backup (passive)",
            "I: Backup passive, waiting for primary (active)",
        ][own]]);
        server
    }

    /// Both, each in its place.
    fn both(&self) -> [Program; 2] {
        let pair = [self.start(0), self.start(1)];
        pair[0].expect(["I: connected to backup (passive), ready active"]);
        pair[1].expect(["I: connected to primary (active), ready passive"]);
        pair
    }

    fn client(&self) -> Program {
        let [primary, backup] = &self.frontends;
        let arguments = [
            "--timeout",
            "500",
            "--settle",
            "700",
            "--pause",
            "20",
            primary,
            backup,
        ];
        let client = Program::start("bstarcli", arguments);
        client.expect([format!("I: connecting to server at {primary}...")]);
        client.expect((1..5).map(|n| format!("I: server replied OK ({n})")));
        client
    }

    /// The client goes from one server to the other and is answered there.
    fn fails_over(&self, client: &Program, to: usize) {
        let before = client.until("W: no response from server, failing over");
        assert!(
            before
                .iter()
                .all(|line| line.starts_with("I: server replied OK ("))
        );
        client.expect([format!(
            "I: connecting to server at {}...",
            self.frontends[to]
        )]);
        assert!(client.line().starts_with("I: server replied OK ("));
    }
}

#[test]
fn the_backup_takes_over_and_recovery_is_by_hand() {
    let pair = Pair::new();
    let [primary, backup] = pair.both();
    let client = pair.client();
    drop(primary);
    pair.fails_over(&client, 1);
    backup.expect(["I: failover successful, ready active"]);
    let primary = pair.start(0);
    primary.expect(["I: connected to backup (active), ready passive"]);
    // By hand: the backup is ended, and later started.
    drop(backup);
    pair.fails_over(&client, 0);
    primary.expect(["I: failover successful, ready active"]);
    let backup = pair.start(1);
    backup.expect(["I: connected to primary (active), ready passive"]);
}

#[test]
fn a_primary_that_stood_still_learns_that_it_was_replaced() {
    let pair = Pair::new();
    let [primary, backup] = pair.both();
    let client = pair.client();
    primary.signal("-STOP");
    pair.fails_over(&client, 1);
    backup.expect(["I: failover successful, ready active"]);
    primary.signal("-CONT");
    primary.expect([
        "W: stood still for too long, waiting for peer",
        "I: connected to backup (active), ready passive",
    ]);
}

#[test]
fn a_second_primary_is_refused() {
    let pair = Pair::new();
    let first = pair.start(0);
    let arguments = [
        "-p",
        "--frontend",
        &pair.frontends[1],
        "--own",
        &pair.states[1],
        "--peer",
        &pair.states[0],
        "--heartbeat",
        HEARTBEAT,
    ];
    let second = Program::start("bstarsrv", arguments);
    let fault = "E: fatal error - both are primary, aborting";
    for server in [first, second] {
        let (lines, good) = server.rest();
        assert_eq!(lines.last().map(String::as_str), Some(fault));
        assert!(!good);
    }
}

// ---- under load ----

/// It is served if the last reply is no older than that.
const GAP: Duration = Duration::from_millis(200);

/// What a client that never pauses has seen.
#[derive(Default)]
struct Seen {
    replies: u64,
    failed: u64,
    down: u64,
    last: Option<Instant>,
    longest: Duration,
}

/// Asks without a pause for so long, and until so many servers are told to be down and it is answered
/// again; `then` does something after a third of the time.
fn load<M>(
    what: &str,
    client: M,
    at_once: u64,
    span: Duration,
    down: u64,
    then: impl FnOnce(),
) -> Seen
where
    M: xebec_patterns::Machine<Command = Command, Output = Output>,
{
    let mut driver = Driver::new(&Context::new(), client).expect("a client");
    let mut next = 0;
    let mut ask = |driver: &mut Driver<M>| {
        next += 1;
        driver
            .command(Command::Request(next, "x".into()))
            .expect("it runs");
    };
    for _ in 0..at_once {
        ask(&mut driver);
    }
    let mut seen = Seen::default();
    let start = Instant::now();
    let mut strike = Some(then);
    while start.elapsed() < span
        || seen.down < down
        || seen.last.is_none_or(|at| at.elapsed() > GAP)
    {
        let found = seen.down;
        assert!(
            start.elapsed() < LIMIT,
            "{what}: not served again; {found} servers told to be down, not {down}"
        );
        if start.elapsed() > span / 3
            && let Some(strike) = strike.take()
        {
            strike();
        }
        match driver
            .recv_timeout(Duration::from_millis(50))
            .expect("it runs")
        {
            Some(Output::Reply { .. }) => {
                seen.replies += 1;
                if let Some(before) = seen.last.replace(Instant::now()) {
                    seen.longest = seen.longest.max(before.elapsed());
                }
            }
            Some(Output::Failed { .. }) => seen.failed += 1,
            Some(Output::Down(_)) => {
                seen.down += 1;
                continue;
            }
            _ => continue,
        }
        ask(&mut driver);
    }
    println!(
        "{what}: {} replies, {} failed, nobody served for {:?} at most",
        seen.replies, seen.failed, seen.longest
    );
    seen
}

/// Two of three die or stand still, of a model of which so many are told to be down.
fn two_of_three<M>(model: u8, client: impl Fn(&[String]) -> M, at_once: u64, downs: [u64; 2])
where
    M: xebec_patterns::Machine<Command = Command, Output = Output>,
{
    for (signal, down) in ["-KILL", "-STOP"].into_iter().zip(downs) {
        let servers = [endpoint(), endpoint(), endpoint()];
        let running = servers.each_ref().map(|at| server(model, at));
        let seen = load(
            &format!("model {model}, kill {signal} of two of three servers"),
            client(&servers),
            at_once,
            Duration::from_secs(3),
            down,
            || running[..2].iter().for_each(|server| server.signal(signal)),
        );
        assert_eq!(seen.failed, 0, "one server was up");
        assert!(seen.longest < LIMIT / 2);
    }
}

#[test]
fn servers_of_model_one_die_and_stand_still_under_load() {
    let client = |servers: &[String]| {
        let mut config = SequentialConfig::new(servers);
        config.timeout = Duration::from_millis(500);
        Sequential::new(config)
    };
    two_of_three(1, client, 1, [0, 0]);
}

#[test]
fn servers_of_model_two_die_and_stand_still_under_load() {
    let client = |servers: &[String]| Shotgun::new(ShotgunConfig::new(servers));
    two_of_three(2, client, 16, [2, 0]);
}

#[test]
fn servers_of_model_three_die_and_stand_still_under_load() {
    let client = |servers: &[String]| {
        let mut config = DirectConfig::new(servers);
        config.ping_interval = Duration::from_millis(500);
        config.ttl = Duration::from_millis(1500);
        Direct::new(config)
    };
    two_of_three(3, client, 16, [2, 2]);
}

#[test]
fn the_primary_dies_and_stands_still_under_load() {
    for (own, signal) in [(0, "-KILL"), (0, "-STOP"), (1, "-KILL"), (1, "-STOP")] {
        let pair = Pair::new();
        let running = pair.both();
        let mut config = client_config(&pair.frontends[0], &pair.frontends[1]);
        config.timeout = Duration::from_millis(500);
        config.settle = Duration::from_millis(700);
        let seen = load(
            &format!("kill {signal} of the {}", ["primary", "backup"][own]),
            Sequential::new(config),
            1,
            Duration::from_secs(5),
            0,
            || running[own].signal(signal),
        );
        assert_eq!(seen.failed, 0, "it asks until it is answered");
        assert!(seen.longest < LIMIT / 2);
    }
}
