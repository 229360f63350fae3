//! The broker as one of a pair: `[ha]`, `--primary` and `--backup`.
//!
//! What a pair is and does is the library's (`xebec_patterns::binary_star`); here are its settings and
//! what an operator may do with it: SIGUSR2 hands over to the other, or lets a broker serve again that
//! refuses to since a fault.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use signal_hook::consts::SIGUSR2;
use xebec::{Context, Endpoint};
use xebec_patterns::binary_star::{self, Config, Fault, Node, Output, Role, Split, Turn, Wiring};
use xebec_patterns::majordomo::broker::{BACK, Command, FRONT};
use xebec_patterns::majordomo::{Broker, Note};
use xebec_patterns::{Driver, DriverError, Handle, Machine};

use super::config::{Span, set};
use super::security::{Security, read_public, read_secret};
use crate::console::Talk;

#[derive(Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    role: Option<Part>,
    own: Option<String>,
    peer: Option<String>,
    heartbeat: Option<Span>,
    liveness: Option<u32>,
    fail_back: Option<FailBack>,
    split: Option<Reaction>,
    secret_key: Option<PathBuf>,
    peer_key: Option<PathBuf>,
    open_link: bool,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Part {
    None,
    Primary,
    Backup,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Reaction {
    End,
    Refuse,
}

#[derive(Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct FailBack(Option<Duration>);

impl TryFrom<String> for FailBack {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "never" => Ok(FailBack(None)),
            text => crate::quantity::duration(text).map(|time| FailBack(Some(time))),
        }
    }
}

/// What the command line says of the pair.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    pub(super) role: Option<Role>,
    pub(super) own: Option<String>,
    pub(super) peer: Option<String>,
}

/// What the section and the flags come to.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    config: Config,
    wiring: Wiring,
}

impl Section {
    /// Checks it; none if the broker is alone. Names of files begin at `base`.
    pub(super) fn read(
        self,
        flags: Flags,
        security: &mut Security,
        base: &Path,
    ) -> anyhow::Result<Option<Pair>> {
        let role = flags.role.or(match self.role {
            Some(Part::Primary) => Some(Role::Primary),
            Some(Part::Backup) => Some(Role::Backup),
            Some(Part::None) | None => None,
        });
        let Some(role) = role else {
            let silent = self == Section::default() || self.role == Some(Part::None);
            ensure!(
                silent && flags.own.is_none() && flags.peer.is_none(),
                "a broker of a pair needs to know which it is: role = \"primary\" or \"backup\" in [ha], \
                 --primary or --backup"
            );
            return Ok(None);
        };
        let mut config = Config::new(role);
        set(&mut config.heartbeat, self.heartbeat.map(|span| span.0));
        set(&mut config.liveness, self.liveness);
        set(&mut config.fail_back, self.fail_back.map(|time| time.0));
        if self.split == Some(Reaction::Refuse) {
            config.split = Split::Refuse;
        }
        ensure!(
            config.heartbeat >= Duration::from_millis(10) && config.liveness > 0,
            "a heartbeat of less than 10ms, or a liveness of 0, makes every pause a fail-over"
        );
        let mut wiring = Wiring::local(role);
        set(&mut wiring.own, flags.own.or(self.own));
        set(&mut wiring.peer, flags.peer.or(self.peer));
        for (name, endpoint) in [("own", &wiring.own), ("peer", &wiring.peer)] {
            let parsed = endpoint.parse::<Endpoint>();
            parsed.with_context(|| format!("{name} = {endpoint:?}"))?;
        }
        let secret = self.secret_key.map(|file| read_secret(&base.join(file)));
        match (self.peer_key, self.open_link) {
            (Some(file), false) => {
                let peer = read_public(&base.join(file))?;
                let [own, peer] = security.link(secret.transpose()?, peer)?;
                (wiring.own_options, wiring.peer_options) = (own, peer);
            }
            (Some(_), true) => bail!("peer-key and open-link contradict each other"),
            (None, open) => {
                ensure!(secret.is_none(), "secret-key needs peer-key as well");
                ensure!(
                    open || security.is_open(),
                    "[security] asks who connects, and the link of the pair would not: give peer-key, \
                     the file of the other broker's public key, or say open-link = true if nobody else \
                     reaches the link"
                );
            }
        }
        Ok(Some(Pair { config, wiring }))
    }
}

/// A broker that runs, alone or as one of a pair.
#[derive(Clone)]
pub(super) enum Running {
    Alone(Arc<Handle<Broker>>),
    Paired(Arc<Handle<Node<Broker>>>),
}

/// The same for who is not to keep it running.
#[derive(Clone)]
pub(super) enum Hearing {
    Alone(Weak<Handle<Broker>>),
    Paired(Weak<Handle<Node<Broker>>>),
}

impl Hearing {
    pub(super) fn upgrade(&self) -> Option<Running> {
        Some(match self {
            Hearing::Alone(handle) => Running::Alone(handle.upgrade()?),
            Hearing::Paired(handle) => Running::Paired(handle.upgrade()?),
        })
    }
}

/// What it tells.
pub(super) enum Told {
    Note(Note),
    Turn(Turn),
    Stays,
    Fault(Fault),
}

impl Running {
    /// Starts it.
    pub(super) fn start(
        context: &Context,
        broker: Broker,
        pair: Option<Pair>,
        talk: Talk,
    ) -> anyhow::Result<Running> {
        let Some(Pair { config, wiring }) = pair else {
            let driver = Driver::new(context, broker)?;
            tell_bound(&driver, talk);
            return Ok(Running::Alone(Arc::new(driver.spawn())));
        };
        let (role, own, peer) = (config.role, wiring.own.clone(), wiring.peer.clone());
        let driver = Driver::new(context, Node::new(config, wiring, broker))?;
        tell_bound(&driver, talk);
        talk.note(format_args!(
            "event=pair role={} own={own} peer={peer}",
            if role == Role::Primary {
                "primary"
            } else {
                "backup"
            }
        ));
        let handle = Arc::new(driver.spawn());
        let asked = Arc::downgrade(&handle);
        super::on_signal(SIGUSR2, move || {
            let Some(asked) = asked.upgrade() else { return };
            // Each does nothing where the other is meant.
            asked.command(binary_star::Command::HandOver);
            asked.command(binary_star::Command::Restart);
        })?;
        Ok(Running::Paired(handle))
    }

    pub(super) fn downgrade(&self) -> Hearing {
        match self {
            Running::Alone(handle) => Hearing::Alone(Arc::downgrade(handle)),
            Running::Paired(handle) => Hearing::Paired(Arc::downgrade(handle)),
        }
    }

    pub(super) fn command(&self, command: Command) {
        match self {
            Running::Alone(handle) => handle.command(command),
            Running::Paired(handle) => handle.command(binary_star::Command::Inner(command)),
        }
    }

    pub(super) fn stop(&self) {
        match self {
            Running::Alone(handle) => handle.stop(),
            Running::Paired(handle) => handle.stop(),
        }
    }

    pub(super) fn recv(&self) -> Result<Told, DriverError> {
        let handle = match self {
            Running::Alone(handle) => return handle.recv().map(Told::Note),
            Running::Paired(handle) => handle,
        };
        loop {
            return Ok(match handle.recv()? {
                Output::Inner(note) => Told::Note(note),
                Output::Turn(turn) => Told::Turn(turn),
                Output::Stays => Told::Stays,
                Output::Fault(fault) => Told::Fault(fault),
                Output::May(..) => continue,
            });
        }
    }
}

fn tell_bound<M: Machine>(driver: &Driver<M>, talk: Talk) {
    for port in [FRONT, BACK] {
        for at in driver.bound(port) {
            talk.note(format_args!("broker bound to {at}"));
        }
    }
}

/// A change of the pair as a line of the log.
pub(super) struct Line<'a>(pub(super) &'a Turn);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Turn { from, to, .. } = self.0;
        let text = self.0.line();
        write!(f, "event=turn from={from:?} to={to:?} text={text:?}")
    }
}

/// Why the broker ends after a fault.
pub(super) fn failed(fault: Fault) -> anyhow::Error {
    let remedy = match fault {
        Fault::DualActives => {
            "both brokers served while they could not reach each other; see that their link is up and \
             start them again"
        }
        Fault::DualPassives => "neither broker serves; start the primary again",
        Fault::SameRole(_) => "start one with --primary and the other with --backup",
    };
    anyhow::anyhow!("{fault}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, flags: Flags) -> anyhow::Result<Option<Pair>> {
        let section = toml::from_str::<Section>(text)?;
        section.read(flags, &mut Security::default(), Path::new("/nowhere"))
    }

    #[test]
    fn the_command_line_comes_first() {
        let text = "role = 'primary'\nown = 'tcp://*:1'\nfail-back = '5s'\nsplit = 'refuse'";
        let flags = Flags {
            role: Some(Role::Backup),
            own: None,
            peer: Some("tcp://other:2".into()),
        };
        let pair = read(text, flags).unwrap().unwrap();
        assert_eq!(pair.config.role, Role::Backup);
        assert_eq!(pair.config.fail_back, Some(Duration::from_secs(5)));
        assert_eq!(pair.config.split, Split::Refuse);
        assert_eq!(
            (&*pair.wiring.own, &*pair.wiring.peer),
            ("tcp://*:1", "tcp://other:2")
        );
        assert!(read("", Flags::default()).unwrap().is_none());
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for (text, why) in [
            ("own = 'tcp://*:1'", "--primary or --backup"),
            ("role = 'both'", "both"),
            ("role = 'primary'\nheartbeat = '1ms'", "less than 10ms"),
            ("role = 'primary'\npeer = 'nowhere'", "nowhere"),
            ("role = 'primary'\nfail-back = 'soon'", "soon"),
            ("role = 'primary'\nsecret-key = 'k'", "needs peer-key"),
            ("role = 'primary'\npeer-key = 'k'", "ends in .pub"),
            ("role = 'primary'\npeer-key = 'k.pub'", "/nowhere/k.pub"),
            (
                "role = 'primary'\npeer-key = 'k.pub'\nopen-link = true",
                "contradict",
            ),
            ("role = 'primary'\nrol = 1", "rol"),
        ] {
            let error = read(text, Flags::default()).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
