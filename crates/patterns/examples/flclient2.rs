//! Freelance client, model two: asks all servers at once, ten thousand times.
//!
//! `flclient2 [--requests N] [--timeout MS] <endpoint> ...`

mod flags;

use std::error::Error;
use std::time::Instant;

use flags::Flags;
use xebec::Context;
use xebec_patterns::freelance::{CallError, Caller, Shotgun, ShotgunConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let requests = flags.value("--requests").unwrap_or(10_000);
    let timeout = flags.ms("--timeout");
    let endpoints = flags.rest();
    if endpoints.is_empty() {
        println!("I: syntax: flclient2 <endpoint> ...");
        return Ok(());
    }
    let mut config = ShotgunConfig::new(endpoints);
    config.timeout = timeout.unwrap_or(config.timeout);
    let mut client = Caller::new(&Context::new(), Shotgun::new(config))?;
    let start = Instant::now();
    for _ in 0..requests {
        match client.call("random name") {
            Ok(_) => {}
            Err(CallError::Failed(_)) => {
                println!("E: name service not available, aborting");
                break;
            }
            Err(CallError::Driver(error)) => return Err(error.into()),
        }
    }
    let average = start.elapsed().as_micros() / u128::max(requests, 1);
    println!("Average round trip cost: {average} usec");
    Ok(())
}
