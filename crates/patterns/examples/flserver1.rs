//! Freelance server, model one: an echo service.
//!
//! `flserver1 <endpoint>`

mod flags;

use std::error::Error;

use flags::Flags;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::freelance::{Model, Server, ServerCommand};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(endpoint) = Flags::new().rest().pop() else {
        println!("I: syntax: flserver1 <endpoint>");
        return Ok(());
    };
    let server = Server::new(Model::One, &endpoint);
    let mut driver = Driver::new(&Context::new(), server)?;
    println!("I: echo service is ready at {endpoint}");
    loop {
        let request = driver.recv()?;
        driver.command(ServerCommand::Reply(request.route, request.body))?;
    }
}
