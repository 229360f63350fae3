//! What a user asks of a Titanic that runs.

use anyhow::Context as _;
use xebec::{Context, Message, SocketType};
use xebec_patterns::titanic::{
    Client, ClientError, ClientOptions, Failure, Id, LIST, STATUS, Service,
};

use super::super::{call, exchange};
use crate::args::{Ask, Majordomo, TitanicCommand};
use crate::failure::Stop;

/// Asks, and prints what comes back.
pub(super) fn run(command: TitanicCommand) -> anyhow::Result<()> {
    match command {
        TitanicCommand::Submit {
            service,
            body,
            wait,
            format,
            ask,
        } => {
            let mut printer = exchange::printer(&format, SocketType::Req)?;
            let body = call::body(&body)?;
            let client = client(&ask)?;
            let mut request = client.submit(service, body);
            let id = request.id().map_err(|error| failure(error, &ask.at))?;
            if !wait {
                println!("{id}");
                return Ok(());
            }
            // Whoever gives up waiting can ask again.
            eprintln!("{id}");
            let reply = request.reply().map_err(|error| failure(error, &ask.at))?;
            printer.print(&reply)?;
            printer.flush()?;
            request.close().map_err(|error| failure(error, &ask.at))
        }
        TitanicCommand::Fetch {
            id,
            wait,
            format,
            ask,
        } => {
            let mut printer = exchange::printer(&format, SocketType::Req)?;
            let reply = if wait {
                let client = client(&ask)?;
                let reply = client.follow(id).reply();
                reply.map_err(|error| failure(error, &ask.at))?
            } else {
                once(Service::Reply.name(), id.to_string(), &ask)?
            };
            printer.print(&reply)?;
            printer.flush()?;
            Ok(())
        }
        TitanicCommand::Close { id, ask } => {
            once(Service::Close.name(), id.to_string(), &ask).map(drop)
        }
        TitanicCommand::List { ask } => {
            for row in once(LIST, String::new(), &ask)? {
                println!("{}", row.to_string_lossy());
            }
            Ok(())
        }
        TitanicCommand::Status { ask } => {
            for text in once(STATUS, String::new(), &ask)? {
                print!("{}", text.to_string_lossy());
            }
            Ok(())
        }
    }
}

/// A client that asks as often as it is told to, and no more.
fn client(ask: &Ask) -> anyhow::Result<Client> {
    let config = call::config(ask)?;
    let options = ClientOptions {
        attempts: 1,
        ..ClientOptions::default()
    };
    Ok(Client::new(&Context::new(), config, options)?)
}

fn failure(error: ClientError, at: &Majordomo) -> anyhow::Error {
    match error {
        ClientError::Failed(Failure::Silent) => silent(at),
        error => error.into(),
    }
}

fn silent(at: &Majordomo) -> anyhow::Error {
    let brokers = at.brokers.join(", ");
    Stop::Timeout(format!("no answer in time from Titanic at {brokers}")).into()
}

/// One question; what stands behind a status of 200.
fn once(service: &str, body: String, ask: &Ask) -> anyhow::Result<Message> {
    let answer = call::client(ask)?.call(service, body);
    let answer = answer.map_err(|error| call::failure(error, service, &ask.at))?;
    let (status, rest) = answer.split_first();
    match status.get(..3) {
        Some(b"200") => Ok(rest.into_iter().collect()),
        Some(b"300") => Err(Stop::Timeout("there is no reply yet".to_owned()).into()),
        Some(b"400") => Err(ClientError::Failed(Failure::Unknown).into()),
        _ => Err(anyhow::anyhow!("{}", status.to_string_lossy())).context(service.to_owned()),
    }
}

/// Reads a UUID of an argument.
pub(crate) fn uuid(text: &str) -> Result<Id, String> {
    text.parse()
        .map_err(|_| "not a UUID as Titanic gives them: 32 hexadecimal digits".to_owned())
}
