//! Completion scripts and man pages, from the definition in [`args`](crate::args).

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;

/// Prints the completion script for `shell`.
pub(super) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "xebec", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

/// Prints the man page of `xebec`, or writes one for each command into `dir`.
pub(super) fn man(dir: Option<&Path>) -> anyhow::Result<()> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return Ok(io::stdout().write_all(&page)?);
    };
    let named = || format!("cannot write man pages into {}", dir.display());
    fs::create_dir_all(dir).with_context(named)?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(named)
}
