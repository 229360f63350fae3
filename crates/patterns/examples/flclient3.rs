//! Freelance client, model three (RFC 10): asks the best server that is up, ten thousand times.
//!
//! `flclient3 [--requests N] [--timeout MS] [endpoint ...]`; without endpoints those at ports 5555, 5556
//! and 5557 of this machine.

mod flags;

use std::error::Error;
use std::time::Instant;

use flags::Flags;
use xebec::Context;
use xebec_patterns::freelance::{CallError, Caller, Direct, DirectConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let requests = flags.value("--requests").unwrap_or(10_000);
    let timeout = flags.ms("--timeout");
    let mut endpoints = flags.rest();
    if endpoints.is_empty() {
        endpoints.extend((5555..5558).map(|port| format!("tcp://localhost:{port}")));
    }
    for endpoint in &endpoints {
        println!("I: connecting to {endpoint}...");
    }
    let mut config = DirectConfig::new(endpoints);
    config.timeout = timeout.unwrap_or(config.timeout);
    let mut client = Caller::new(&Context::new(), Direct::new(config))?;
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
