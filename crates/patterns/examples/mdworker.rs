//! The Guide's Majordomo worker, which echoes: `mdworker [ENDPOINT]`.

use xebec::Context;
use xebec_patterns::majordomo::{Dialect, Worker, WorkerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1);
    let endpoint = endpoint.unwrap_or("tcp://localhost:5555".to_owned());
    let mut config = WorkerConfig::new(endpoint, "echo");
    config.dialect = Dialect::Mdp01;
    let session = Worker::new(&Context::new(), config)?;
    Ok(session.serve(|request| request.clone())?)
}
