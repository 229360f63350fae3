//! Paranoid Pirate worker: echoes requests, and now and then is slow or crashes.
//!
//! `ppworker [tcp://localhost:5556]`

mod common;

use std::thread::sleep;
use std::time::Duration;

use common::{Arguments, Fate};
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::pirate::Answer;
use xebec_patterns::pirate::paranoid::{Config, Output, Worker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read();
    let mut config = Config::default();
    config.queue = arguments.endpoint(0, &config.queue);
    config.interval = arguments.time(config.interval);
    config.backoff.first = arguments.time(config.backoff.first);
    config.backoff.longest = arguments.time(config.backoff.longest);
    let worker = Worker::new(config, arguments.seed());
    let mut worker = Driver::new(&Context::new(), worker)?;
    let mut faults = arguments.faults(5);
    loop {
        let output = worker.recv()?;
        if let Some(line) = output.line() {
            println!("{line}");
        }
        let Output::Request(request) = output else {
            continue;
        };
        match faults.next() {
            Fate::Normal => {}
            Fate::Overload => {
                println!("I: simulating CPU overload");
                sleep(arguments.time(Duration::from_secs(3)));
            }
            Fate::Crash => {
                println!("I: simulating a crash");
                std::process::exit(0);
            }
        }
        println!("I: normal reply");
        worker.command(Answer::Reply(request))?;
        // As the Guide's: it does not look at its socket while it works.
        sleep(arguments.time(Duration::from_secs(1)));
    }
}
