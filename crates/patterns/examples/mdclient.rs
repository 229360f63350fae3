//! The Guide's Majordomo client, one request after the other: `mdclient [ENDPOINT [COUNT]]`.

use xebec::Context;
use xebec_patterns::majordomo::{Client, ClientConfig, Dialect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or("tcp://localhost:5555".to_owned());
    let count: u32 = args.next().map_or(Ok(100_000), |count| count.parse())?;
    let mut config = ClientConfig::new(endpoint);
    config.dialect = Dialect::Mdp01;
    let session = Client::new(&Context::new(), config)?;
    let answered = (0..count).take_while(|_| session.call("echo", "Hello world").is_ok());
    println!("{} requests/replies processed", answered.count());
    Ok(())
}
