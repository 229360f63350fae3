//! The Guide's client of Titanic, one question after the other: `ticlient [ENDPOINT] [--again MS]`.

#[path = "flags/mod.rs"]
mod flags;

use std::time::Duration;

use xebec::{Context, Frame, Message};
use xebec_patterns::majordomo::{CallError, Client, ClientConfig, Dialect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut flags = flags::Flags::new();
    let again = flags.ms("--again").unwrap_or(Duration::from_secs(5));
    let endpoint = flags.rest().into_iter().next();
    let mut config = ClientConfig::new(endpoint.unwrap_or("tcp://localhost:5555".to_owned()));
    config.dialect = Dialect::Mdp01;
    let session = Client::new(&Context::new(), config)?;

    let request = ["echo", "Hello world"].into_iter().map(Frame::from);
    let answer = call(&session, "titanic.request", request.collect())?;
    let uuid = answer.expect("titanic.request answers 200 or an error");
    let uuid = uuid.first().clone();
    println!("I: request UUID {}", uuid.to_string_lossy());
    std::thread::sleep(Duration::from_millis(100));
    loop {
        match call(&session, "titanic.reply", uuid.clone().into())? {
            Some(reply) => {
                println!("Reply: {}", reply.body().to_string_lossy());
                call(&session, "titanic.close", uuid.into())?;
                return Ok(());
            }
            None => println!("I: no reply yet, trying again..."),
        }
        std::thread::sleep(again);
    }
}

/// Asks one of Titanic's services: what stands behind 200, or nothing if it is not there yet.
fn call(session: &Client, service: &str, body: Message) -> Result<Option<Message>, CallError> {
    let (status, rest) = session.call(service, body)?.split_first();
    match status.get(..3) {
        Some(b"200") => return Ok(Some(rest.into_iter().collect())),
        Some(b"300") => return Ok(None),
        Some(b"400") => println!("E: client fatal error, aborting"),
        _ => println!("E: server fatal error, aborting"),
    }
    std::process::exit(1)
}
