//! `worker`: a shell command as a service of a Majordomo broker.

use std::sync::Arc;
use std::thread;

use xebec::{Context, Message};
use xebec_patterns::majordomo::codec::is_service_name;
use xebec_patterns::majordomo::worker::WorkerOutput;
use xebec_patterns::majordomo::{Worker, WorkerConfig};

use super::call::{dialect, socket_options};
use super::requests::Filter;
use super::{broker, exchange, open};
use crate::args;
use crate::console::{Talk, word};
use crate::failure::Stop;

/// Serves until a signal comes.
pub(super) fn run(args: args::Worker) -> anyhow::Result<()> {
    if !is_service_name(args.service.as_bytes()) {
        return Err(Stop::Usage(format!("{:?} is not the name of a service", args.service)).into());
    }
    let talk = Talk::from_flags(args.quiet, false);
    let mut config = WorkerConfig::new("", &args.service);
    config.endpoints = args.at.brokers.clone();
    config.dialect = dialect(args.at.mdp);
    config.heartbeat = args.heartbeat;
    config.options = socket_options(&args.at)?;
    let filter = match &args.exec {
        Some(command) => Some(Filter {
            command: command.clone(),
            codec: exchange::reply_codec(&args.format)?,
        }),
        None => None,
    };
    let context = Context::new();
    let workers: Result<Vec<_>, _> = (0..args.jobs)
        .map(|_| Worker::new(&context, config.clone()).map(Arc::new))
        .collect();
    let workers = workers?;
    let all = workers.clone();
    thread::spawn(move || {
        while open::wait(None, None, None).is_ok() {}
        all.iter().for_each(|worker| worker.stop());
    });
    let outcome = thread::scope(|scope| {
        let serve = |worker: Arc<Worker>| {
            let (filter, service, workers) = (filter.as_ref(), &args.service, &workers);
            scope.spawn(move || {
                let outcome = serve(&worker, filter, service, talk);
                // Where one cannot go on, none shall.
                workers.iter().for_each(|worker| worker.stop());
                outcome
            })
        };
        let threads: Vec<_> = workers.iter().cloned().map(serve).collect();
        threads.into_iter().try_for_each(|thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    drop(workers);
    context.term();
    outcome
}

fn serve(
    worker: &Worker,
    filter: Option<&Filter>,
    service: &str,
    talk: Talk,
) -> anyhow::Result<()> {
    loop {
        match worker.next().map_err(broker::ended)? {
            WorkerOutput::Up { endpoint } => {
                talk.note(format_args!(
                    "event=up service={service:?} broker={endpoint}"
                ));
            }
            WorkerOutput::Down { endpoint, why } => {
                let why = word(why);
                talk.note(format_args!(
                    "event=down service={service:?} broker={endpoint} why={why}"
                ));
            }
            WorkerOutput::Request(request) => {
                let reply: Message = match filter {
                    Some(filter) => filter.answer(&request.body)?,
                    None => request.body.clone(),
                };
                worker.reply(request, reply);
            }
        }
    }
}
