//! Freelance client, model one: asks one server after the other.
//!
//! `flclient1 [--timeout MS] <endpoint> ...`

mod flags;

use std::error::Error;

use flags::Flags;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::freelance::{Command, Output, Sequential, SequentialConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let timeout = flags.ms("--timeout");
    let endpoints = flags.rest();
    if endpoints.is_empty() {
        println!("I: syntax: flclient1 <endpoint> ...");
        return Ok(());
    }
    let retrying = if endpoints.len() == 1 {
        ", retrying..."
    } else {
        ""
    };
    let mut config = SequentialConfig::new(endpoints);
    config.stay = false;
    config.timeout = timeout.unwrap_or(config.timeout);
    let mut driver = Driver::new(&Context::new(), Sequential::new(config))?;
    driver.command(Command::Request(1, "Hello world".into()))?;
    loop {
        match driver.recv()? {
            Output::Connecting(server) => println!("I: trying echo service at {server}..."),
            Output::Silent { server, .. } => println!("W: no response from {server}{retrying}"),
            Output::Reply { .. } => {
                println!("Service is running OK");
                return Ok(());
            }
            Output::Failed { .. } => return Ok(()),
            Output::Up(_) | Output::Down(_) => {}
        }
    }
}
