//! A client of Titanic that has many requests under way at the same time: `ticlient2 [ENDPOINT [COUNT]]`.

use xebec::Context;
use xebec_patterns::majordomo::{ClientConfig, Dialect};
use xebec_patterns::titanic::{Client, ClientOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or("tcp://localhost:5555".to_owned());
    let count: u32 = args.next().map_or(Ok(10), |count| count.parse())?;
    let mut config = ClientConfig::new(endpoint);
    config.dialect = Dialect::Mdp01;
    let client = Client::new(&Context::new(), config, ClientOptions::default())?;
    let submit = |n| client.submit("echo", format!("Hello world {n}"));
    let mut requests: Vec<_> = (0..count).map(submit).collect();
    for request in &mut requests {
        println!("I: request UUID {}", request.id()?);
    }
    for mut request in requests {
        println!("Reply: {}", request.reply()?.to_string_lossy());
        request.close()?;
    }
    Ok(())
}
