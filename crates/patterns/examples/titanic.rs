//! The Guide's Titanic, beside any Majordomo broker: `titanic [ENDPOINT [FILE]]`. `xebec titanic` is the
//! one to use.

use std::path::Path;
use std::sync::Arc;

use xebec::Context;
use xebec_patterns::titanic::{Log, LogOptions, Server, ServerConfig, ServerNote};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or("tcp://localhost:5555".to_owned());
    let file = args.next().unwrap_or("titanic.log".to_owned());
    let (log, _) = Log::open(Path::new(&file), LogOptions::default())?;
    let server = Server::new(&Context::new(), Arc::new(log), ServerConfig::new(endpoint))?;
    loop {
        if let ServerNote::Broken(why) = server.recv()? {
            return Err(why.into());
        }
    }
}
