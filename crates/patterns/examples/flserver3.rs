//! Freelance server, model three (RFC 10): says OK and answers pings.
//!
//! `flserver3 [-v] [--bind tcp://*:5555] [--public tcp://localhost:5555]`: where it binds, and the
//! endpoint under which its clients know it. With `-v` it prints each request.

mod flags;

use std::error::Error;

use flags::Flags;
use xebec::Context;
use xebec_patterns::Driver;
use xebec_patterns::freelance::{Model, Server, ServerCommand};

fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = Flags::new();
    let verbose = flags.switch("-v");
    let bind = flags.value("--bind");
    let bind: String = bind.unwrap_or_else(|| "tcp://*:5555".to_owned());
    let public = flags.value("--public");
    let public: String = public.unwrap_or_else(|| "tcp://localhost:5555".to_owned());
    let server = Server::new(Model::Three(public.into()), &bind);
    let mut driver = Driver::new(&Context::new(), server)?;
    println!("I: service is ready at {bind}");
    loop {
        let request = driver.recv()?;
        if verbose {
            for frame in request.body.frames() {
                println!("[{:03}] {}", frame.len(), frame.to_string_lossy());
            }
        }
        driver.command(ServerCommand::Reply(request.route, "OK".into()))?;
    }
}
