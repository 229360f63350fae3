//! The Guide's Majordomo broker: `mdbroker [-v] [ENDPOINT]`. `xebec broker` is the one to use.

use xebec::{Context, Frame};
use xebec_patterns::Driver;
use xebec_patterns::majordomo::broker::{FRONT, Gone};
use xebec_patterns::majordomo::{Broker, BrokerConfig, Note};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, args): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|arg| arg == "-v");
    let verbose = !flags.is_empty();
    let endpoint = args.first().map_or("tcp://*:5555", String::as_str);
    let broker = Broker::new(BrokerConfig::new(endpoint));
    let mut driver = Driver::new(&Context::new(), broker)?;
    let chosen = endpoint.ends_with(":*").then(|| &*driver.bound(FRONT)[0]);
    println!(
        "I: MDP broker/0.2.0 is active at {}",
        chosen.unwrap_or(endpoint)
    );
    loop {
        match driver.recv()? {
            Note::Invalid { why, .. } => println!("E: invalid message: {why}"),
            Note::ServiceAdded(service) if verbose => println!("I: added service: {service}"),
            Note::WorkerReady { worker, .. } if verbose => {
                println!("I: registering new worker: {}", hex(&worker));
            }
            Note::WorkerGone {
                worker,
                why: Gone::Expired,
                ..
            } if verbose => println!("I: deleting expired worker: {}", hex(&worker)),
            _ => {}
        }
    }
}

fn hex(id: &Frame) -> String {
    id.iter().map(|byte| format!("{byte:02X}")).collect()
}
