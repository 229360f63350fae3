//! Asks a broker whether there is an echo service, as the Guide's program does: `mmiecho [ENDPOINT]`.

use xebec::Context;
use xebec_patterns::majordomo::{CallError, Client, ClientConfig, Dialect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1);
    let endpoint = endpoint.unwrap_or("tcp://localhost:5555".to_owned());
    let mut config = ClientConfig::new(endpoint);
    config.dialect = Dialect::Mdp01;
    let session = Client::new(&Context::new(), config)?;
    match session.call("mmi.service", "echo") {
        Ok(reply) => println!("Lookup echo service: {}", reply.to_string_lossy()),
        Err(CallError::NoReply) => {
            println!("E: no response from broker, make sure it's running");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
