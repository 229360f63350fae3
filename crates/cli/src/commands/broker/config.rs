//! The broker's settings as TOML.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use xebec_patterns::majordomo::{BrokerConfig, Limit, MemoryReplies, Policy};

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
# Parts of one reply that are collected, for clients that know no parts or number their requests.
#reply-bytes = "64M"

# Replies that are kept for clients that number their requests, to be executed once.
[once]
#replies = 100000
#bytes = "64M"
#age = "10m"

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

# And single services, where they differ from the default.
#[service."reports"]
#retries = 0
#reply-time = "5m"
"#;

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Span(Duration);

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
enum Size {
    Number(usize),
    Text(String),
}

impl Size {
    fn read(self) -> anyhow::Result<usize> {
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
    default: Treatment,
    service: HashMap<String, Treatment>,
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
    reply_bytes: Option<Size>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Once {
    replies: Option<usize>,
    bytes: Option<Size>,
    age: Option<Span>,
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

fn set<T>(to: &mut T, value: Option<T>) {
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

/// The settings of a file, or the defaults.
pub(super) fn load(path: Option<&Path>) -> anyhow::Result<(BrokerConfig, MemoryReplies)> {
    let Some(path) = path else {
        return read("");
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the settings in {}", path.display()))?;
    read(&text).with_context(|| format!("in the settings of {}", path.display()))
}

fn read(text: &str) -> anyhow::Result<(BrokerConfig, MemoryReplies)> {
    let file: File = toml::from_str(text)?;
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
        config.options.sndhwm > 0,
        "unread-replies of 0 would be no limit at all"
    );
    let replies = MemoryReplies::new(
        file.once.replies.unwrap_or(100_000),
        file.once.bytes.map_or(Ok(64 << 20), Size::read)?,
        file.once
            .age
            .map_or(Duration::from_secs(600), |span| span.0),
    );
    Ok((config, replies))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (config, _) = read(
            "bind = ['tcp://127.0.0.1:*']\n[default]\nretries = 5\nbytes = '1k'\n\
             [service.'a.b']\nqueue-time = '5s'\nreply-time = '1m'",
        )
        .unwrap();
        let policy = config.policies["a.b"];
        assert_eq!((policy.retries, policy.limit.bytes), (5, 1024));
        assert_eq!(policy.queue_time, Duration::from_secs(5));
        assert_eq!(policy.reply_time, Some(Duration::from_secs(60)));
    }

    #[test]
    fn what_one_peer_may_hold_is_limited() {
        let text = "[limits]\nframe-bytes = '1M'\nunread-replies = 10";
        let (config, _) = read(text).unwrap();
        let options = config.options;
        assert_eq!((options.maxmsgsize, options.sndhwm), (Some(1 << 20), 10));
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
            ("[limits]\nunread-replies = 0", "unread-replies"),
            ("[service.x]\nheartbeat = '1ms'", "less than 10ms"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
