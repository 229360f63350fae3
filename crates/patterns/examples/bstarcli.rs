//! A client of a Binary Star: asks once a second and fails over between the two.
//!
//! `bstarcli [--timeout MS] [--settle MS] [--pause MS] [--requests N] [PRIMARY BACKUP]`; without endpoints
//! those at ports 5001 and 5002 of this machine.

mod flags;

use std::error::Error;
use std::time::Duration;

use flags::Flags;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::binary_star::client_config;
use xebec_patterns::freelance::{Command, Output, Sequential};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let timeout = flags.ms("--timeout");
    let settle = flags.ms("--settle");
    let pause = flags.ms("--pause").unwrap_or(Duration::from_secs(1));
    let requests: u64 = flags.value("--requests").unwrap_or(u64::MAX);
    let servers = flags.rest();
    let mut config = match &servers[..] {
        [primary, backup] => client_config(primary, backup),
        _ => client_config("tcp://localhost:5001", "tcp://localhost:5002"),
    };
    config.timeout = timeout.unwrap_or(config.timeout);
    config.settle = settle.unwrap_or(config.settle);
    let mut driver = Driver::new(&Context::new(), Sequential::new(config))?;
    let mut sequence = 1;
    driver.command(Command::Request(sequence, sequence.to_string().into()))?;
    loop {
        match driver.recv()? {
            Output::Connecting(server) => println!("I: connecting to server at {server}..."),
            Output::Silent { .. } => println!("W: no response from server, failing over"),
            Output::Reply { body, .. } => {
                let reply = body.to_string_lossy();
                if reply == sequence.to_string() {
                    println!("I: server replied OK ({reply})");
                } else {
                    println!("E: bad reply from server: {reply}");
                }
                if sequence >= requests {
                    return Ok(());
                }
                std::thread::sleep(pause);
                sequence += 1;
                driver.command(Command::Request(sequence, sequence.to_string().into()))?;
            }
            Output::Failed { .. } | Output::Up(_) | Output::Down(_) => {}
        }
    }
}
