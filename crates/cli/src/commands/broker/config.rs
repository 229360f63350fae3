//! The broker's settings as TOML.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use xebec_patterns::majordomo::{BrokerConfig, Limit, MemoryReplies, Policy};
use xebec_patterns::titanic::Bounds;

use super::super::titanic;
use super::ha::{self, Pair};
use super::security::{self, Security};
use crate::quantity;

/// Every setting with its default. Parsed, commented as it is, it says nothing; a test keeps it true.
pub(super) const DEFAULT: &str = r#"# Settings of `xebec broker`. All are optional; here are the defaults.
# Durations: "500ms", "2.5s", "1m". Sizes: 1000, "64k", "256M", "1G".

# Where clients and workers connect.
#bind = ["tcp://*:5555"]

# Where workers may connect as well: a second port, for firewalls to tell them apart.
#bind-workers = []

# A worker that is silent for so many heartbeats is given up.
#liveness = 3

# A service that has had no worker for so long is forgotten.
#service-time = "1m"

# How long workers may take to end their requests after SIGTERM.
#drain-time = "30s"

# Whether a client is told of a refusal, by a reply of three frames: mmi.error, a code (502 the worker
# failed, 503 too much waits, 504 no worker in time) and a sentence.
#refusals = true

# How much is taken in, in all and for one client: requests, and bytes of their bodies.
[limits]
#messages = 1000000
#bytes = "1G"
#client-messages = 10000
#client-bytes = "64M"
#workers = 100000
#services = 100000
# A frame; the connection of a peer that sends a larger one ends.
#frame-bytes = "256M"
# Replies that wait for one client that does not read them; what is beyond is dropped, and counted.
#unread-replies = 1000
# And their bytes, of which one reply may be more.
#unread-bytes = "64M"
# Parts of one reply that are collected, for clients that know no parts or number their requests.
#reply-bytes = "64M"

# Replies that are kept for clients that number their requests, to be executed once.
[once]
#replies = 100000
#bytes = "64M"
#age = "10m"
# Whether they are kept in Titanic's file, see there, and so outlive the broker; a reply is then durable
# before it is sent.
#durable = false

# Titanic (RFC 9): requests that are kept until they are closed, and their replies. Off unless there is a path
# or memory is true.
[titanic]
# The file, which is made if there is none: path = "/var/lib/xebec/titanic.log"
# Or keep them in memory: they are lost with the broker.
#memory = false
# The size of the file, or of what is kept in memory.
#size = "256M"
# When a request is made durable, before which it is not answered with 200: "each" at once, so long after
# the first ("10ms"), or "off", whenever the system likes.
#sync = "each"
# Workers of each of its services, and so clients that share a sync of the disk; 1 to 64.
#workers = 32
# Requests that are sent to one service at a time.
#calls = 16
# How long a service may take to reply before the request is sent again.
#timeout = "1m"
# After how many calls without a reply a request is given up; 0 is never.
#attempts = 0
# Whether titanic.list tells the UUIDs of all requests, which is all that it takes to get a reply.
#list = false

# How services are treated.
[default]
# How often a request is given to another worker after one died with it.
#retries = 2
# How much waits or is at work, for one service.
#messages = 100000
#bytes = "256M"
# How long a request waits for a worker.
#queue-time = "1m"
# How long a worker may take for a request though it sends heartbeats; "forever" is the default.
#reply-time = "forever"
# How often workers send heartbeats.
#heartbeat = "2500ms"

# Who may connect. Files are found from the directory of this file; they are read again at SIGHUP.
[security]
# "null": nobody has to show anything. "plain": a user and a password, in the clear. "curve": a key, and
# all is encrypted.
#mechanism = "null"
# Addresses that are let in, or are not: "10.1.0.0/16". Without any in allow, all that are not in deny.
#allow = []
#deny = []
# For "curve": whether every client is let in that knows the broker's public key.
#any-client-key = false
# For "plain": a file with a line user=password for each.
# passwords = "users"
# For "curve": the broker's secret key, a file that `xebec keygen` makes.
# secret-key = "broker.key"
# For "curve": a directory with the public keys, FILE.pub each, of those who are let in.
# client-keys = "clients"

# A pair of brokers, of which one serves and the other stands by. Clients and workers are given both. The
# other takes over when this one has been silent for liveness heartbeats and a client asks.
[ha]
# "primary" serves first, "backup" stands by first; --primary and --backup say it as well.
#role = "none"
# How often each tells its state to the other, and how many may be missed; the same for both.
#heartbeat = "1s"
#liveness = 2
# A backup that serves hands over to a primary that has stood by for so long; "never" leaves it to
# the operator: SIGUSR2.
#fail-back = "never"
# What to do when both have served: "end", or "refuse" all clients until SIGUSR2.
#split = "end"
# The link without CURVE, though [security] asks who connects.
#open-link = false
# Where this broker tells its state, and where the other does. By default tcp://*:5003 and
# tcp://localhost:5004 for a primary, the other way round for a backup.
# own = "tcp://*:5003"
# peer = "tcp://other:5003"
# The link by CURVE: the other broker's public key, and this one's secret key if it is not that of
# [security].
# peer-key = "other.key.pub"
# secret-key = "broker.key"

# And single services, where they differ from the default.
#[service."reports"]
#retries = 0
#reply-time = "5m"
"#;

#[derive(Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub(in crate::commands) struct Span(pub(in crate::commands) Duration);

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        quantity::duration(&text).map(Span)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Patience(Option<Duration>);

impl TryFrom<String> for Patience {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        quantity::patience(&text).map(|patience| Patience(patience.0))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a size such as 1000 or \"64M\"")]
pub(in crate::commands) enum Size {
    Number(usize),
    Text(String),
}

impl Size {
    pub(in crate::commands) fn read(self) -> anyhow::Result<usize> {
        match self {
            Size::Number(number) => Ok(number),
            Size::Text(text) => quantity::bytes(&text).map_err(anyhow::Error::msg),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    bind: Option<Vec<String>>,
    bind_workers: Option<Vec<String>>,
    liveness: Option<u32>,
    service_time: Option<Span>,
    drain_time: Option<Span>,
    refusals: Option<bool>,
    limits: Limits,
    once: Once,
    titanic: titanic::Section,
    default: Treatment,
    service: HashMap<String, Treatment>,
    security: security::Section,
    ha: ha::Section,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Limits {
    messages: Option<usize>,
    bytes: Option<Size>,
    client_messages: Option<usize>,
    client_bytes: Option<Size>,
    workers: Option<usize>,
    services: Option<usize>,
    frame_bytes: Option<Size>,
    unread_replies: Option<usize>,
    unread_bytes: Option<Size>,
    reply_bytes: Option<Size>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Once {
    replies: Option<usize>,
    bytes: Option<Size>,
    age: Option<Span>,
    durable: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Treatment {
    retries: Option<u32>,
    messages: Option<usize>,
    bytes: Option<Size>,
    queue_time: Option<Span>,
    reply_time: Option<Patience>,
    heartbeat: Option<Span>,
}

pub(super) fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

fn limit(to: &mut Limit, messages: Option<usize>, bytes: Option<Size>) -> anyhow::Result<()> {
    set(&mut to.messages, messages);
    set(&mut to.bytes, bytes.map(Size::read).transpose()?);
    Ok(())
}

impl Treatment {
    fn apply(self, mut policy: Policy) -> anyhow::Result<Policy> {
        set(&mut policy.retries, self.retries);
        limit(&mut policy.limit, self.messages, self.bytes)?;
        set(&mut policy.queue_time, self.queue_time.map(|span| span.0));
        set(&mut policy.reply_time, self.reply_time.map(|time| time.0));
        set(&mut policy.heartbeat, self.heartbeat.map(|span| span.0));
        anyhow::ensure!(
            policy.heartbeat >= Duration::from_millis(10),
            "a heartbeat of less than 10ms"
        );
        Ok(policy)
    }
}

/// All that a file says.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) broker: BrokerConfig,
    pub(super) replies: MemoryReplies,
    pub(super) security: Security,
    /// None for a broker that is alone.
    pub(super) pair: Option<Pair>,
    /// None for a broker without Titanic.
    pub(super) titanic: Option<titanic::Settings>,
}

/// The settings of a file and of the command line, or the defaults, with Titanic's requests in another
/// file if one is named.
pub(super) fn load(
    path: Option<&Path>,
    flags: ha::Flags,
    log: Option<PathBuf>,
) -> anyhow::Result<Settings> {
    let Some(path) = path else {
        return read("", flags, log, Path::new(""));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings in {}", path.display()))?;
    let base = path.parent().unwrap_or(Path::new(""));
    read(&text, flags, log, base).with_context(|| format!("in the settings of {}", path.display()))
}

fn read(
    text: &str,
    flags: ha::Flags,
    log: Option<PathBuf>,
    base: &Path,
) -> anyhow::Result<Settings> {
    let mut file: File = toml::from_str(text)?;
    file.titanic.path = log.or(file.titanic.path.map(|path| base.join(path)));
    let mut titanic = file.titanic.read().context("in [titanic]")?;
    let mut config = BrokerConfig::new("tcp://*:5555");
    set(&mut config.bind, file.bind);
    set(&mut config.bind_workers, file.bind_workers);
    set(&mut config.liveness, file.liveness);
    set(
        &mut config.service_time,
        file.service_time.map(|span| span.0),
    );
    set(&mut config.drain_time, file.drain_time.map(|span| span.0));
    set(&mut config.refusals, file.refusals);
    let limits = file.limits;
    limit(&mut config.limit, limits.messages, limits.bytes)?;
    let client = &mut config.client_limit;
    limit(client, limits.client_messages, limits.client_bytes)?;
    set(&mut config.workers, limits.workers);
    set(&mut config.services, limits.services);
    if let Some(bytes) = limits.frame_bytes {
        config.options.maxmsgsize = Some(bytes.read()?);
    }
    set(&mut config.options.sndhwm, limits.unread_replies);
    let unread_bytes = limits.unread_bytes.map(Size::read).transpose()?;
    set(&mut config.options.sndhwm_bytes, unread_bytes);
    let reply_bytes = limits.reply_bytes.map(Size::read).transpose()?;
    set(&mut config.reply_bytes, reply_bytes);
    config.policy = file.default.apply(config.policy).context("in [default]")?;
    for (name, treatment) in file.service {
        let policy = treatment.apply(config.policy);
        let policy = policy.with_context(|| format!("in [service.{name:?}]"))?;
        config.policies.insert(name, policy);
    }
    anyhow::ensure!(
        config.liveness > 0,
        "a liveness of 0 gives every worker up at once"
    );
    anyhow::ensure!(!config.bind.is_empty(), "there is nothing in bind");
    // To a ROUTER 0 means no limit.
    anyhow::ensure!(
        config.options.sndhwm > 0 && config.options.sndhwm_bytes > 0,
        "unread-replies or unread-bytes of 0 would be no limit at all"
    );
    let count = file.once.replies.unwrap_or(100_000);
    let bytes = file.once.bytes.map_or(Ok(64 << 20), Size::read)?;
    let age = file.once.age.map_or(Duration::from_secs(600), |age| age.0);
    if file.once.durable {
        let bounds = Bounds {
            count,
            bytes: bytes as u64,
            age,
        };
        let durable = titanic.as_mut().is_some_and(|t| t.keep_answers(bounds));
        anyhow::ensure!(
            durable,
            "durable in [once] needs Titanic's file: a path in [titanic], or --titanic"
        );
    }
    let replies = MemoryReplies::new(count, bytes, age);
    let security = file.security.read(base, config.options);
    let mut security = security.context("in [security]")?;
    let pair = file.ha.read(flags, &mut security, base);
    let pair = pair.context("in [ha]")?;
    config.options = security.options.clone();
    Ok(Settings {
        broker: config,
        replies,
        security,
        pair,
        titanic,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Settings> {
        super::read(text, ha::Flags::default(), None, Path::new(""))
    }

    #[test]
    fn what_is_printed_is_what_holds() {
        let text = |text| format!("{:?}", read(text).unwrap());
        assert_eq!(text(DEFAULT), text(""));
        let settings = DEFAULT.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '[']) => setting,
            _ => line,
        });
        let mut settings: Vec<_> = settings.collect();
        // The example of a single service is none of the defaults.
        settings.truncate(settings.len() - 3);
        assert!(settings.contains(&r#"reply-time = "forever""#));
        assert_eq!(text(&settings.join("\n")), text(""));
    }

    #[test]
    fn a_service_differs_where_it_says_so() {
        let config = read(
            "bind = ['tcp://127.0.0.1:*']\n[default]\nretries = 5\nbytes = '1k'\n\
             [service.'a.b']\nqueue-time = '5s'\nreply-time = '1m'",
        )
        .unwrap()
        .broker;
        let policy = config.policies["a.b"];
        assert_eq!((policy.retries, policy.limit.bytes), (5, 1024));
        assert_eq!(policy.queue_time, Duration::from_secs(5));
        assert_eq!(policy.reply_time, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_one_peer_may_hold_is_limited() {
        let text = "[limits]\nframe-bytes = '1M'\nunread-replies = 10\nunread-bytes = '2M'";
        let options = read(text).unwrap().broker.options;
        assert_eq!((options.maxmsgsize, options.sndhwm), (Some(1 << 20), 10));
        assert_eq!(options.sndhwm_bytes, 2 << 20);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("bnd = []", "bnd"),
            ("bind = []", "nothing in bind"),
            ("liveness = 0", "liveness"),
            ("service-time = '5'", "no unit"),
            ("[limits]\nbytes = 'many'", "not a size"),
            ("[limits]\nmessages = -1", "messages"),
            (
                "[titanic]\nmemory = true\npath = 'x'",
                "both a path and memory",
            ),
            ("[titanic]\nmemory = true\nworkers = 65", "1 to 64"),
            ("[once]\ndurable = true", "needs Titanic's file"),
            ("[titanic]\nsync = 'often'", "neither each nor off"),
            ("[limits]\nunread-replies = 0", "unread-replies"),
            ("[service.x]\nheartbeat = '1ms'", "less than 10ms"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
