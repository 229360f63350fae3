//! Who may connect to the broker: `[security]`.
//!
//! What is missing or does not fit together stops the broker before it binds anything. Whatever the
//! section says, [`Authenticator`] judges by it, and lets nobody in by accident.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use signal_hook::consts::SIGHUP;
use xebec::{
    Authenticator, Context, Credentials, Decision, KeyPair, Options, Policy, PublicKey, SecretKey,
};

use crate::console::{Talk, say};
use crate::interrupt;

/// The ZAP domain of clients and workers.
const DOMAIN: &str = "broker";
/// The ZAP domain of the other broker of the pair.
const PAIR: &str = "pair";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    mechanism: Option<Mechanism>,
    passwords: Option<PathBuf>,
    secret_key: Option<PathBuf>,
    client_keys: Option<PathBuf>,
    any_client_key: bool,
    allow: Vec<String>,
    deny: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mechanism {
    Null,
    Plain,
    Curve,
}

/// What the section comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Security {
    /// Of the sockets for clients and workers.
    pub(super) options: Options,
    /// None lets everybody in.
    policy: Option<Policy>,
    secret_key: Option<SecretKey>,
}

impl Section {
    /// Checks it, and adds to the options of the broker's sockets. Names of files begin at `base`.
    pub(super) fn read(self, base: &Path, options: Options) -> anyhow::Result<Security> {
        let mechanism = self.mechanism.unwrap_or(Mechanism::Null);
        let misplaced = [
            ("passwords", self.passwords.is_some(), Mechanism::Plain),
            ("secret-key", self.secret_key.is_some(), Mechanism::Curve),
            ("client-keys", self.client_keys.is_some(), Mechanism::Curve),
            ("any-client-key", self.any_client_key, Mechanism::Curve),
        ];
        for (name, given, of) in misplaced {
            let needed = if of == Mechanism::Plain {
                "plain"
            } else {
                "curve"
            };
            ensure!(
                !given || of == mechanism,
                "{name} is for mechanism = \"{needed}\", which is not what it says"
            );
        }
        let mut policy = Policy::new();
        for filter in &self.allow {
            let filter = filter.parse();
            policy = policy.allow_address(filter.context("in allow")?);
        }
        for filter in &self.deny {
            let filter = filter.parse();
            policy = policy.deny_address(filter.context("in deny")?);
        }
        let open = mechanism == Mechanism::Null && self.allow.is_empty() && self.deny.is_empty();
        if open {
            return Ok(Security {
                options,
                ..Security::default()
            });
        }
        let options = options.zap_domain(DOMAIN);
        let mut secret_key = None;
        let options = match mechanism {
            Mechanism::Null => {
                if self.allow.is_empty() {
                    policy = policy.open(DOMAIN);
                }
                options
            }
            Mechanism::Plain => {
                let users = self.passwords.context(
                    "mechanism = \"plain\" needs passwords, a file with a line user=password for each",
                )?;
                policy = policy.password_file(DOMAIN, base.join(users));
                options.plain_server(true)
            }
            Mechanism::Curve => {
                let file = self.secret_key.context(
                    "mechanism = \"curve\" needs secret-key, a file that `xebec keygen` makes",
                )?;
                policy = match (self.client_keys, self.any_client_key) {
                    (Some(keys), false) => policy.client_keys_in(DOMAIN, base.join(keys)),
                    (None, true) => policy.any_client_key(DOMAIN),
                    (Some(_), true) => {
                        bail!("client-keys and any-client-key contradict each other")
                    }
                    (None, false) => bail!(
                        "mechanism = \"curve\" needs client-keys, the directory of the public keys that \
                         are let in; any-client-key = true lets every key in"
                    ),
                };
                let key = read_secret(&base.join(file))?;
                secret_key = Some(key.clone());
                options.curve_server(true).curve_secretkey(key)
            }
        };
        Ok(Security {
            options,
            policy: Some(policy),
            secret_key,
        })
    }
}

/// The secret key in a file as `xebec keygen` writes it.
pub(super) fn read_secret(file: &Path) -> anyhow::Result<SecretKey> {
    ensure!(
        file.extension().is_none_or(|extension| extension != "pub"),
        "{} is a public key; the secret one is in the file without .pub",
        file.display()
    );
    read_key(file)
}

/// The public key in a file as `xebec keygen` writes it.
pub(super) fn read_public(file: &Path) -> anyhow::Result<PublicKey> {
    ensure!(
        file.extension().is_some_and(|extension| extension == "pub"),
        "{} is not the name of a public key's file, which ends in .pub",
        file.display()
    );
    read_key(file)
}

fn read_key<K: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    file: &Path,
) -> anyhow::Result<K> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read the key in {}", file.display()))?;
    let key = text.trim().parse();
    key.with_context(|| format!("there is no key in {}", file.display()))
}

impl Security {
    /// Whether everybody may connect, unseen.
    pub(super) fn is_open(&self) -> bool {
        self.policy.is_none()
    }

    /// The options of the two ends of a pair's link, own and peer: this broker with its key, or with that
    /// of [`Section`], and the other, whose key nobody else has.
    pub(super) fn link(
        &mut self,
        secret_key: Option<SecretKey>,
        peer_key: PublicKey,
    ) -> anyhow::Result<[Options; 2]> {
        let secret = secret_key.or_else(|| self.secret_key.clone());
        let secret = secret.context("peer-key needs this broker's secret-key as well")?;
        let policy = self.policy.take().unwrap_or_default();
        self.policy = Some(policy.client_key(PAIR, peer_key));
        let keys = KeyPair::from(secret);
        let own = Options::new()
            .zap_domain(PAIR)
            .curve_server(true)
            .curve_secretkey(keys.secret.clone());
        let peer = Options::new()
            .curve_serverkey(peer_key)
            .curve_publickey(keys.public)
            .curve_secretkey(keys.secret);
        Ok([own, peer])
    }

    /// Judges from now on, and reads the files again at SIGHUP. What is returned is to be kept.
    pub(super) fn enforce(
        &self,
        context: &Context,
        talk: Talk,
    ) -> anyhow::Result<Option<Arc<Authenticator>>> {
        let Some(policy) = &self.policy else {
            return Ok(None);
        };
        let told = AtomicU64::new(0);
        let start = Instant::now();
        let policy = policy.clone().report(move |request, decision| {
            let Decision::Deny { reason } = decision else {
                return;
            };
            // Of a flood, one is told per second; all are counted.
            let second = start.elapsed().as_secs() + 1;
            if told.swap(second, Ordering::Relaxed) != second {
                let who = match &request.credentials {
                    Credentials::Plain { username, .. } => {
                        format!(" user={:?}", String::from_utf8_lossy(username))
                    }
                    Credentials::Curve { public_key } => format!(" key={public_key}"),
                    _ => String::new(),
                };
                let address = String::from_utf8_lossy(request.address);
                talk.note(format_args!(
                    "event=denied address={address}{who} why={reason:?}"
                ));
            }
        });
        let authenticator = Arc::new(Authenticator::start(context, policy)?);
        let reloads = authenticator.clone();
        interrupt::release(SIGHUP);
        super::on_signal(SIGHUP, move || match reloads.reload() {
            Ok(()) => talk.note("event=reloaded"),
            Err(error) => say(format_args!(
                "event=reload-failed error={:?}: what was read before holds",
                error.to_string()
            )),
        })?;
        Ok(Some(authenticator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Security> {
        toml::from_str::<Section>(text)?.read(Path::new("/nowhere"), Options::new())
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for (text, why) in [
            ("mechanism = 'plain'", "needs passwords"),
            ("mechanism = 'curve'", "needs secret-key"),
            ("mechanism = 'curve'\nsecret-key = 'k'", "needs client-keys"),
            (
                "mechanism = 'curve'\nsecret-key = 'k'\nclient-keys = 'd'\nany-client-key = true",
                "contradict",
            ),
            (
                "mechanism = 'curve'\nsecret-key = 'k.pub'\nany-client-key = true",
                "is a public key",
            ),
            (
                "mechanism = 'curve'\nsecret-key = 'k'\nany-client-key = true",
                "/nowhere/k",
            ),
            ("passwords = 'p'", "mechanism = \"plain\""),
            (
                "mechanism = 'plain'\nclient-keys = 'd'",
                "mechanism = \"curve\"",
            ),
            ("mechanism = 'gssapi'", "gssapi"),
            ("allow = ['somewhere']", "in allow"),
            ("alow = []", "alow"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(read("").unwrap().is_open());
        assert!(!read("deny = ['10.0.0.0/8']").unwrap().is_open());
    }
}
