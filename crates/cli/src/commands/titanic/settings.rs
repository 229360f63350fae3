//! Titanic's settings: as arguments, and as a section of the broker's.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use xebec_patterns::titanic::{Bounds, Durability, LogOptions, MemoryLimits, ServerConfig};

use super::super::broker::config::{Size, Span};
use crate::args::TitanicSettings;
use crate::failure::Stop;
use crate::quantity;

/// Where requests are kept, and how services are called.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Settings {
    pub(super) place: Place,
    pub(in crate::commands) server: ServerConfig,
    /// Whether the broker keeps its replies in the log as well.
    pub(in crate::commands) answers: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Log(PathBuf, LogOptions),
    Memory(MemoryLimits),
}

/// `[titanic]` of the broker's settings.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::commands) struct Section {
    pub(in crate::commands) path: Option<PathBuf>,
    memory: bool,
    size: Option<Size>,
    sync: Option<When>,
    workers: Option<u8>,
    calls: Option<usize>,
    timeout: Option<Span>,
    attempts: Option<u16>,
    list: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct When(Durability);

impl TryFrom<String> for When {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        when(&text)
    }
}

/// Reads `each`, `off` or a duration.
pub(crate) fn when(text: &str) -> Result<When, String> {
    Ok(When(match text {
        "each" => Durability::Each,
        "off" => Durability::Off,
        _ => Durability::Every(
            quantity::duration(text).map_err(|why| format!("neither each nor off, and {why}"))?,
        ),
    }))
}

impl Section {
    /// What it says, if it says where requests are kept.
    pub(in crate::commands) fn read(self) -> anyhow::Result<Option<Settings>> {
        let size = self.size.map(Size::read).transpose()?;
        let size = size.unwrap_or(256 << 20) as u64;
        let place = match (self.path, self.memory) {
            (None, false) => return Ok(None),
            (Some(_), true) => anyhow::bail!("both a path and memory: requests are kept in one"),
            (None, true) => Place::Memory(MemoryLimits {
                bytes: size,
                ..MemoryLimits::default()
            }),
            (Some(path), false) => Place::Log(
                path,
                LogOptions {
                    size,
                    durability: self.sync.map_or(Durability::Each, |sync| sync.0),
                    ..LogOptions::default()
                },
            ),
        };
        let mut server = ServerConfig::new("");
        let titanic = &mut server.titanic;
        titanic.calls = self.calls.unwrap_or(titanic.calls);
        titanic.timeout = self.timeout.map_or(titanic.timeout, |span| span.0);
        titanic.attempts = self.attempts.unwrap_or(titanic.attempts);
        server.workers = self.workers.unwrap_or(server.workers);
        server.list = self.list;
        anyhow::ensure!(
            (1..=64).contains(&server.workers),
            "workers is {} and must be 1 to 64",
            server.workers
        );
        anyhow::ensure!(
            server.titanic.calls > 0 && server.titanic.timeout > Duration::ZERO,
            "calls and timeout must be more than 0"
        );
        let answers = false;
        Ok(Some(Settings {
            place,
            server,
            answers,
        }))
    }
}

impl Settings {
    /// Has the log keep the broker's replies, too; false if there is no log.
    pub(in crate::commands) fn keep_answers(&mut self, bounds: Bounds) -> bool {
        if let Place::Log(_, options) = &mut self.place {
            options.answers = bounds;
            self.answers = true;
        }
        self.answers
    }
}

impl TitanicSettings {
    /// The same from arguments.
    pub(super) fn read(&self) -> anyhow::Result<Settings> {
        let section = Section {
            path: self.path.clone(),
            memory: self.memory,
            size: Some(Size::Number(self.size)),
            sync: Some(self.sync),
            workers: Some(self.workers),
            calls: Some(self.calls),
            timeout: Some(Span(self.timeout)),
            attempts: Some(self.attempts),
            list: self.list,
        };
        let settings = section.read()?;
        let nowhere = "say where to keep requests: a FILE, or --memory";
        Ok(settings.ok_or_else(|| Stop::Usage(nowhere.to_owned()))?)
    }
}
