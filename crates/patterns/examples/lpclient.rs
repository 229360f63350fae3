//! Lazy Pirate client: numbers its requests, and gives up when three attempts had no reply.
//!
//! `lpclient [tcp://localhost:5555…]`; with several servers it asks the next after each timeout.

mod common;

use common::Arguments;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::lazy::{Client, Command, Config, Output};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read();
    let mut config = Config::new(arguments.endpoints("tcp://localhost:5555"));
    config.timeout = arguments.time(config.timeout);
    config.accept = |request, reply| request == reply;
    let context = Context::new();
    let mut client = Driver::new(&context, Client::new(config, arguments.seed()))?;
    for sequence in 1u64.. {
        client.command(Command::Request(sequence, sequence.to_string().into()))?;
        loop {
            let output = client.recv()?;
            if let Some(line) = output.line() {
                println!("{line}");
            }
            match output {
                Output::Reply(..) => break,
                Output::Failed(..) => return Ok(()),
                _ => {}
            }
        }
    }
    Ok(())
}
