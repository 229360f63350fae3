//! One server of a Binary Star: echoes what clients ask while it is active.
//!
//! `bstarsrv { -p | -b } [--frontend ENDPOINT] [--own ENDPOINT] [--peer ENDPOINT] [--heartbeat MS]
//! [--fail-back MS]`: the primary is asked at port 5001 and the backup at 5002, and they tell each other
//! their state at 5003 and 5004.

mod flags;

use std::error::Error;

use flags::Flags;
use xebec::Context;
use xebec_patterns::binary_star::{Command, Config, Node, Output, Role, Wiring};
use xebec_patterns::freelance::{Model, Server, ServerCommand};
use xebec_patterns::{Driver, DriverError};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let role = match (flags.switch("-p"), flags.switch("-b")) {
        (true, false) => Role::Primary,
        (false, true) => Role::Backup,
        _ => {
            println!("Usage: bstarsrv {{ -p | -b }}");
            return Ok(());
        }
    };
    let (hello, frontend) = match role {
        Role::Primary => (
            "I: Primary active, waiting for backup (passive)",
            "tcp://*:5001",
        ),
        Role::Backup => (
            "I: Backup passive, waiting for primary (active)",
            "tcp://*:5002",
        ),
    };
    let frontend: String = flags.value("--frontend").unwrap_or(frontend.to_owned());
    let mut wiring = Wiring::local(role);
    wiring.own = flags.value("--own").unwrap_or(wiring.own);
    wiring.peer = flags.value("--peer").unwrap_or(wiring.peer);
    let mut config = Config::new(role);
    config.heartbeat = flags.ms("--heartbeat").unwrap_or(config.heartbeat);
    config.fail_back = flags.ms("--fail-back");
    let node = Node::new(config, wiring, Server::new(Model::One, frontend));
    let context = Context::new();
    let mut driver = Driver::new(&context, node)?;
    println!("{hello}");
    let mut faulty = false;
    loop {
        let output = match driver.recv() {
            Err(DriverError::Ended) if faulty => break,
            output => output?,
        };
        match output {
            Output::Inner(request) => {
                let echo = ServerCommand::Reply(request.route, request.body);
                driver.command(Command::Inner(echo))?;
            }
            Output::Turn(turn) => println!("{}", turn.line()),
            Output::Fault(fault) => {
                println!("{fault}");
                faulty = true;
            }
            Output::May(..) | Output::Stays => {}
        }
    }
    drop(driver);
    // What was published last is on its way.
    context.term();
    std::process::exit(1);
}
