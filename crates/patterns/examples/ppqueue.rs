//! Paranoid Pirate queue: gives each request to the worker that has been idle for the longest time.
//!
//! `ppqueue [tcp://*:5555 [tcp://*:5556]]`: for clients and for workers.

mod common;

use common::Arguments;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::pirate::{Config, Output, Queue};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read();
    let mut config = Config::default();
    config.frontend = arguments.endpoint(0, &config.frontend);
    config.backend = arguments.endpoint(1, &config.backend);
    config.interval = arguments.time(config.interval);
    let mut queue = Driver::new(&Context::new(), Queue::new(config))?;
    loop {
        if let output @ Output::Invalid(_) = queue.recv()? {
            println!("{output}");
        }
    }
}
