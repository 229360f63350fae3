//! Lazy Pirate server: echoes requests, and now and then is slow or crashes.
//!
//! `lpserver [tcp://*:5555]`

mod common;

use std::thread::sleep;
use std::time::Duration;

use common::{Arguments, Fate};
use xebec::{Context, Rep};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read();
    let context = Context::new();
    let server = Rep::new(&context)?;
    server.bind(&arguments.endpoint(0, "tcp://*:5555"))?;
    let mut faults = arguments.faults(3);
    loop {
        let request = server.recv()?;
        match faults.next() {
            Fate::Normal => {}
            Fate::Overload => {
                println!("I: simulating CPU overload");
                sleep(arguments.time(Duration::from_secs(2)));
            }
            Fate::Crash => {
                println!("I: simulating a crash");
                std::process::exit(0);
            }
        }
        println!("I: normal request ({})", request.to_string_lossy());
        sleep(arguments.time(Duration::from_secs(1)));
        server.send(request)?;
    }
}
