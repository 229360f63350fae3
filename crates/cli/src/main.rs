//! `xebec`: ZeroMQ from a shell.
//!
//! This file parses the command line ([`args`]), hands over to the command ([`commands`]) and turns
//! the outcome into an exit status ([`failure`]). Everything that speaks to peers is the library's
//! (crate `xebec`); what lives in this crate is text in, text out, processes and progress.
#![forbid(unsafe_code)]

mod args;
mod codec;
mod commands;
mod console;
mod failure;
mod input;
mod interrupt;
mod output;
mod quantity;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match interrupt::install().and_then(|()| commands::run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error).into(),
    }
}
