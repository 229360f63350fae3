//! Freelance server, model two: says OK, with the number of the request.
//!
//! `flserver2 <endpoint>`

mod flags;

use std::error::Error;

use flags::Flags;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::freelance::{Model, Server, ServerCommand};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(endpoint) = Flags::new().rest().pop() else {
        println!("I: syntax: flserver2 <endpoint>");
        return Ok(());
    };
    let server = Server::new(Model::Two, &endpoint);
    let mut driver = Driver::new(&Context::new(), server)?;
    println!("I: service is ready at {endpoint}");
    loop {
        let request = driver.recv()?;
        driver.command(ServerCommand::Reply(request.route, "OK".into()))?;
    }
}
