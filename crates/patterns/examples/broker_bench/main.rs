//! What a Majordomo broker costs, beside a plain ROUTER-DEALER proxy of libzmq in the same run.
//!
//! ```text
//! cargo build --release -p xebec-cli
//! cargo run --release -p xebec-patterns --example broker_bench -- [rates] [idle] [held] [seconds=2] [runs=3]
//! ```
//!
//! * `rates`: requests per second and round trips with 1, 16 and 256 clients and 4 workers, through `xebec
//!   broker` and through libzmq's `zmq_proxy`, in turn.
//! * `idle`: a broker with 1,000 services and 10,000 workers that have nothing to do: its processor time, and
//!   its rates beside a broker with one service and 4 workers.
//! * `held`: 2,500 clients that ask for 1,000 bytes ten times a second, each at its own time.
//!
//! Every part is a process of its own: this program, started again, or the `xebec` command. In the middle is
//! what is measured; at the ends are the same sockets for both, REQ for clients, DEALER or REP for workers,
//! that add only the frames of the protocol.

#[path = "../common/child.rs"]
mod child;
mod ends;
mod process;

use std::time::Duration;

use child::Child;
use process::{broker, processor_time};

const SIZE: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(end) = arguments.first().filter(|word| ends::is_one(word)) {
        return ends::run(end, &arguments[1..]);
    }
    let number = |name: &str, default: f64| {
        let given = arguments.iter().find_map(|word| word.strip_prefix(name));
        given.map_or(default, |text| text.parse().expect("a number"))
    };
    let seconds = number("seconds=", 2.0);
    let runs = number("runs=", 3.0) as usize;
    let all = !["rates", "idle", "held"]
        .iter()
        .any(|part| arguments.iter().any(|word| word == part));
    let wanted = |part: &str| all || arguments.iter().any(|word| word == part);
    if wanted("rates") {
        rates(seconds, runs);
    }
    if wanted("idle") {
        idle(seconds, runs);
    }
    if wanted("held") {
        held();
    }
}

/// What clients saw.
#[derive(Clone, Copy, Default)]
struct Seen {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn ask(kind: &str, at: &str, clients: usize, seconds: f64) -> Seen {
    let seconds = seconds.to_string();
    let child = Child::start(&["clients", kind, at, &clients.to_string(), &seconds]);
    let [rate, p50, p99] = child.numbers();
    Seen { rate, p50, p99 }
}

fn median(mut seen: Vec<Seen>) -> Seen {
    seen.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    seen[seen.len() / 2]
}

fn cells(seen: Seen) -> String {
    format!(
        "{:.1} k/s | {:.0} µs | {:.0} µs",
        seen.rate / 1e3,
        seen.p50,
        seen.p99
    )
}

fn rates(seconds: f64, runs: usize) {
    let proxy = Child::start(&["proxy"]);
    let [front, back] = proxy.words();
    let (broker, at) = broker("2500ms");
    let _workers = [
        Child::start(&["workers", "rep", &back]),
        Child::start(&["workers", "mdp", &at]),
    ];
    println!("| clients | `zmq_proxy` of libzmq | p50 | p99 | `xebec broker` | p50 | p99 |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let mut cost = [0.0; 2];
    for clients in [1, 16, 256] {
        let mut seen = [vec![], vec![]];
        for _ in 0..runs {
            for (index, (kind, at, middle)) in [("rep", &front, &proxy), ("mdp", &at, &broker)]
                .into_iter()
                .enumerate()
            {
                let before = processor_time(middle);
                let found = ask(kind, at, clients, seconds);
                let spent = processor_time(middle) - before;
                cost[index] = spent.as_secs_f64() / (found.rate * seconds) * 1e6;
                seen[index].push(found);
            }
        }
        let [plain, ours] = seen.map(|seen| cells(median(seen)));
        println!("| {clients} | {plain} | {ours} |");
    }
    println!(
        "\nProcessor time for a request in the middle, with 256 clients: {:.1} µs and {:.1} µs",
        cost[0], cost[1]
    );
}

fn idle(seconds: f64, runs: usize) {
    let idle = Duration::from_secs(10);
    let (small, small_at) = broker("2500ms");
    let mut brokers = vec![("1 service, 4 workers", small, small_at)];
    let mut swarms = vec![];
    let mut workers = vec![];
    for (name, heartbeat) in [
        ("1,000 services, 10,000 workers", "2500ms"),
        ("the same, heartbeats every 30 s", "30s"),
    ] {
        let (large, at) = broker(heartbeat);
        let interval = if heartbeat == "30s" { "30000" } else { "2500" };
        let swarm = Child::start(&["swarm", &at, "10000", "1000", interval]);
        let [known] = swarm.words();
        assert_eq!(known, "10000", "so many workers are registered");
        swarms.push(swarm);
        brokers.push((name, large, at));
    }
    println!("| broker | processor time in 10 idle seconds | 16 clients | p50 | p99 |");
    println!("|---|--:|--:|--:|--:|");
    let before: Vec<_> = brokers
        .iter()
        .map(|(_, child, _)| processor_time(child))
        .collect();
    std::thread::sleep(idle);
    let spent: Vec<_> = brokers
        .iter()
        .zip(before)
        .map(|((_, child, _), before)| processor_time(child) - before)
        .collect();
    for (_, _, at) in &brokers {
        workers.push(Child::start(&["workers", "mdp", at]));
    }
    let mut seen = vec![vec![]; brokers.len()];
    for _ in 0..runs {
        for ((_, _, at), seen) in brokers.iter().zip(&mut seen) {
            seen.push(ask("mdp", at, 16, seconds));
        }
    }
    for (((name, ..), seen), spent) in brokers.iter().zip(seen).zip(spent) {
        println!(
            "| {name} | {:.2} s | {} |",
            spent.as_secs_f64(),
            cells(median(seen))
        );
    }
}

fn held() {
    let (broker, at) = broker("2500ms");
    let _workers = Child::start(&["workers", "mdp", &at, "calm"]);
    let load = Child::start(&["load", &at, "2500", "10", "1000", "10"]);
    let before = processor_time(&broker);
    let [sent, replied, refused, p50, p99, longest] = load.numbers();
    let spent = (processor_time(&broker) - before).as_secs_f64();
    println!(
        "2,500 clients, 10 requests of 1,000 B a second each, for 10 s: {sent} sent, {replied} replied, {refused} refused; p50 {p50:.0} µs, p99 {p99:.0} µs, longest {longest:.0} µs; processor time of the broker {spent:.1} s"
    );
}
