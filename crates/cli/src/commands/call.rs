//! `call`: one request to a service of a Majordomo broker.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use xebec::{Context, Frame, Message, Options, SocketType};
use xebec_patterns::majordomo::{CallError, Client, ClientConfig, Dialect};

use super::{exchange, options};
use crate::args::{self, Ask, Majordomo, Mdp};
use crate::failure::Stop;
use crate::interrupt;

pub(super) fn dialect(mdp: Mdp) -> Dialect {
    match mdp {
        Mdp::V1 => Dialect::Mdp01,
        Mdp::V2 => Dialect::Mdp02,
        Mdp::Majortomo => Dialect::Majortomo,
    }
}

/// The options of a client's or worker's sockets, as `--set` says.
pub(super) fn socket_options(at: &Majordomo) -> anyhow::Result<Options> {
    if at.set.iter().any(|name| name == "help") {
        return Err(Stop::Answer(options::help(SocketType::Dealer)).into());
    }
    let mut set = Options::new();
    for assignment in &at.set {
        options::assign(&mut set, SocketType::Dealer, assignment)?;
    }
    Ok(set)
}

/// The brokers, which are checked: what connects later cannot tell.
pub(super) fn endpoints(at: &Majordomo) -> anyhow::Result<Vec<String>> {
    for endpoint in &at.brokers {
        let wrong = |why| Stop::Usage(format!("--broker {endpoint}: {why}"));
        endpoint.parse::<xebec::Endpoint>().map_err(wrong)?;
    }
    Ok(at.brokers.clone())
}

/// How a client is set up for one command.
pub(super) fn config(ask: &Ask) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new("");
    config.endpoints = endpoints(&ask.at)?;
    config.dialect = dialect(ask.at.mdp);
    config.timeout = ask.timeout;
    config.attempts = ask.attempts;
    config.once = ask.once;
    config.options = socket_options(&ask.at)?;
    // Nothing waits here that a signal could not end at once.
    interrupt::end_at_once(true);
    Ok(config)
}

pub(super) fn client(ask: &Ask) -> anyhow::Result<Client> {
    Ok(Client::new(&Context::new(), config(ask)?)?)
}

pub(super) fn failure(error: CallError, service: &str, at: &Majordomo) -> anyhow::Error {
    match error {
        CallError::NoReply | CallError::Unconnected(_) => {
            let brokers = at.brokers.join(", ");
            let why = match error {
                CallError::Unconnected(why) => format!(": {why}"),
                _ => String::new(),
            };
            Stop::Timeout(format!("no reply in time from {service} at {brokers}{why}")).into()
        }
        error => anyhow::Error::new(error).context(service.to_owned()),
    }
}

/// The frames of a request: arguments, or else standard input.
pub(super) fn body(frames: &[String]) -> anyhow::Result<Message> {
    if !frames.is_empty() {
        return Ok(frames.iter().map(Frame::from).collect());
    }
    let mut input = Vec::new();
    let read = std::io::stdin().read_to_end(&mut input);
    read.context("cannot read standard input")?;
    if input.last() == Some(&b'\n') {
        input.pop();
    }
    Ok(input.into())
}

/// Asks, and prints what comes back.
pub(super) fn run(args: args::Call) -> anyhow::Result<()> {
    let mut printer = exchange::printer(&args.format, SocketType::Req)?;
    let body = body(&args.body)?;
    let client = client(&args.ask)?;
    for part in client.stream(&args.service, body) {
        printer.print(&part.map_err(|error| failure(error, &args.service, &args.ask.at))?)?;
        printer.flush()?;
    }
    Ok(())
}

/// Prints the state of a broker.
pub(super) fn status(at: Majordomo, timeout: Duration) -> anyhow::Result<()> {
    const SERVICE: &str = "mmi.status";
    let ask = Ask {
        at,
        once: false,
        timeout,
        attempts: 1,
    };
    let reply = client(&ask)?.call(SERVICE, "");
    let reply = reply.map_err(|error| failure(error, SERVICE, &ask.at))?;
    if reply.first() != "200" {
        anyhow::bail!("this broker does not tell its state: it answers {reply:?} to {SERVICE}");
    }
    print!("{}", reply.body().to_string_lossy());
    Ok(())
}
