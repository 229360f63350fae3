//! One file per command, or per family of commands that share a loop.
//!
//! | file | commands |
//! |---|---|
//! | [`exchange`] | all but req and rep, from push to channel: lines in, lines out |
//! | [`publish`](mod@publish) | pub and radio, which use that loop |
//! | [`requests`] | req and rep, which alternate |
//! | [`mod@proxy`], [`mod@watch`], [`mod@demo`], [`mod@bench`] | as they say |
//! | [`broker`], [`call`], [`worker`] | Majordomo: a broker, a request to a service, a service |
//! | [`titanic`] | Titanic beside a broker, and questions to one |
//! | [`keygen`] | a key pair for CURVE |
//! | [`pages`] | completions and man pages |
//!
//! [`open`] holds what they share: binding and connecting by the endpoint rule, options by name,
//! waiting so that Ctrl-C is heard, and closing.

mod bench;
mod broker;
mod call;
mod demo;
mod exchange;
mod keygen;
mod open;
mod options;
mod pages;
mod proxy;
mod publish;
mod requests;
pub(crate) mod titanic;
mod watch;
mod worker;

use xebec::SocketType;

use crate::args::{BenchKind, Command};

/// Runs one command to its end.
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Push(args) => exchange::send_only(SocketType::Push, args),
        Command::Pull(args) => exchange::receive_only(SocketType::Pull, args, &[]),
        Command::Pub(args) => publish::publish(args),
        Command::Sub(args) => exchange::receive_only(
            SocketType::Sub,
            args.receiver,
            &args.subscriptions.subscribe,
        ),
        Command::Req(args) => requests::req(args),
        Command::Rep(args) => requests::rep(args),
        Command::Dealer(args) => exchange::two_way(SocketType::Dealer, args, &[]),
        Command::Router(args) => exchange::two_way(SocketType::Router, args, &[]),
        Command::Pair(args) => exchange::two_way(SocketType::Pair, args, &[]),
        Command::Xpub(args) => exchange::two_way(SocketType::Xpub, args, &[]),
        Command::Xsub(args) => exchange::two_way(
            SocketType::Xsub,
            args.two_way,
            &args.subscriptions.subscribe,
        ),
        Command::Stream(args) => exchange::two_way(SocketType::Stream, args, &[]),
        Command::Client(args) => exchange::two_way(SocketType::Client, args, &[]),
        Command::Server(args) => exchange::two_way(SocketType::Server, args, &[]),
        Command::Radio(args) => publish::broadcast(args),
        Command::Dish(args) => exchange::listen(args),
        Command::Scatter(args) => exchange::send_only(SocketType::Scatter, args),
        Command::Gather(args) => exchange::receive_only(SocketType::Gather, args, &[]),
        Command::Peer(args) => exchange::two_way(SocketType::Peer, args, &[]),
        Command::Channel(args) => exchange::two_way(SocketType::Channel, args, &[]),
        Command::Proxy(args) => proxy::run(args),
        Command::Broker(args) => broker::run(args),
        Command::Call(args) => call::run(args),
        Command::Worker(args) => worker::run(args),
        Command::Titanic(args) => titanic::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Demo(args) => demo::run(args),
        Command::DemoWorker(args) => demo::worker::run(args),
        Command::Bench(args) => match args.what {
            BenchKind::Thr(args) => bench::throughput::run(args),
            BenchKind::Lat(args) => bench::latency::run(args),
            BenchKind::Rpc(args) => bench::latency::run_many(args),
            BenchKind::Calls(args) => bench::calls::run(args),
            BenchKind::Connections { count, idle, json } => {
                bench::connections::run(count, idle, json)
            }
        },
        Command::BenchConnector(args) => bench::connections::connector(&args),
        Command::Keygen(args) => keygen::run(args),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { dir } => pages::man(dir.as_deref()),
    }
}
