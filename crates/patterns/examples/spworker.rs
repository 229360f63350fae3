//! Simple Pirate worker: echoes requests, and now and then is slow or crashes.
//!
//! `spworker [tcp://localhost:5556]`

mod common;

use std::thread::sleep;
use std::time::Duration;

use common::{Arguments, Fate};
use fastrand::Rng;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::pirate::Answer;
use xebec_patterns::pirate::simple::{Config, Output, Worker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read();
    let mut rng = Rng::with_seed(arguments.seed());
    let identity = format!("{:04X}-{:04X}", rng.u16(..), rng.u16(..));
    let mut config = Config::new(identity.clone());
    config.queue = arguments.endpoint(0, &config.queue);
    let mut worker = Driver::new(&Context::new(), Worker::new(config))?;
    let mut faults = arguments.faults(5);
    loop {
        let request = match worker.recv()? {
            Output::Request(request) => request,
            Output::Ready => {
                println!("I: ({identity}) worker ready");
                continue;
            }
            Output::Invalid(message) => {
                println!("E: ({identity}) invalid message {message:?}");
                continue;
            }
        };
        match faults.next() {
            Fate::Normal => {}
            Fate::Overload => {
                println!("I: ({identity}) simulating CPU overload");
                sleep(arguments.time(Duration::from_secs(3)));
            }
            Fate::Crash => {
                println!("I: ({identity}) simulating a crash");
                std::process::exit(0);
            }
        }
        println!("I: ({identity}) normal reply");
        sleep(arguments.time(Duration::from_secs(1)));
        worker.command(Answer::Reply(request))?;
    }
}
