//! `pub` and `radio`, which drop what nobody wants: they wait for somebody before the first message.

use std::time::{Duration, Instant};

use xebec::SocketType;

use super::exchange::{Exchange, input, labelled_input, pause};
use super::open::{self, Opened};
use crate::args::{Audience, Publisher, Radio};
use crate::codec::Label;
use crate::failure::Stop;
use crate::quantity::grouped;

/// `pub`: an XPUB underneath, since that is a PUB which sees its subscribers arrive.
pub(super) fn publish(args: Publisher) -> anyhow::Result<()> {
    let Publisher { sender, audience } = args;
    let input = input(&sender.input, &sender.format, SocketType::Pub)?;
    let presets = [("xpub_verbose", "1")];
    let opened = Opened::new(
        SocketType::Xpub,
        &sender.endpoints,
        &sender.socket,
        &presets,
    )?;
    let outcome = wait_for_subscribers(&opened, &audience, sender.limits.timeout).and_then(|()| {
        Exchange::new(&opened, &sender.limits)
            .sending(input, pause(&sender.input))
            .discarding()
            .run()
    });
    tell_dropped(&opened, "subscription");
    opened.close(outcome)
}

/// `radio`.
pub(super) fn broadcast(args: Radio) -> anyhow::Result<()> {
    let Radio {
        sender,
        audience,
        group,
    } = args;
    let label = match group {
        Some(group) => Label::Always(group.into()),
        None => Label::Group,
    };
    let input = labelled_input(&sender.input, &sender.format, SocketType::Radio, label)?;
    let opened = Opened::new(SocketType::Radio, &sender.endpoints, &sender.socket, &[])?;
    let outcome = wait_for_groups(&opened, &audience, sender.limits.timeout).and_then(|()| {
        Exchange::new(&opened, &sender.limits)
            .sending(input, pause(&sender.input))
            .run()
    });
    tell_dropped(&opened, "group that was joined");
    opened.close(outcome)
}

/// Says how many messages found nobody, or nobody who was fast enough.
fn tell_dropped(opened: &Opened, what: &str) {
    let dropped = opened.socket.stats().dropped;
    if dropped.high_water_mark > 0 {
        opened.talk.note(format_args!(
            "{} messages were dropped for subscribers that were too slow (--set xpub_nodrop=1 waits for them)",
            grouped(dropped.high_water_mark)
        ));
    }
    if dropped.no_subscriber > 0 {
        opened.talk.hint(format_args!(
            "{} messages matched no {what}",
            grouped(dropped.no_subscriber)
        ));
    }
}

/// Waits until as many peers as are wanted have subscribed to something, and then for the others.
fn wait_for_subscribers(
    opened: &Opened,
    audience: &Audience,
    timeout: Option<Duration>,
) -> anyhow::Result<()> {
    let wanted = audience.wait_for;
    let mut seen = Vec::new();
    if wanted > 0 {
        opened.talk.hint(format_args!(
            "waiting for {wanted} subscriber(s) (--wait-for 0 does not wait)"
        ));
    }
    while seen.len() < wanted {
        let Some(message) = opened.recv(timeout)? else {
            let late = format!(
                "{} of {wanted} subscribers came within {:?}",
                seen.len(),
                timeout.unwrap_or_default()
            );
            return Err(Stop::Timeout(late).into());
        };
        let is_subscription = message.first().first() == Some(&1);
        // A subscription that does not tell its connection counts as one more subscriber.
        let known = message.connection().is_some() && seen.contains(&message.connection());
        if is_subscription && !known {
            seen.push(message.connection());
        }
    }
    rest(audience.settle)
}

/// Waits until as many groups as are wanted have been joined, and then for others.
fn wait_for_groups(
    opened: &Opened,
    audience: &Audience,
    timeout: Option<Duration>,
) -> anyhow::Result<()> {
    // Nothing tells a RADIO's application that a group was joined: it has to look.
    const LOOK: Duration = Duration::from_millis(10);
    let wanted = audience.wait_for;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let joined = || opened.socket.topics().unwrap_or_default();
    if wanted > 0 {
        opened.talk.hint(format_args!(
            "waiting for {wanted} group(s) to be joined (--wait-for 0 does not wait)"
        ));
    }
    while joined() < wanted {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let late = format!(
                "{} of {wanted} groups were joined within {:?}",
                joined(),
                timeout.unwrap_or_default()
            );
            return Err(Stop::Timeout(late).into());
        }
        rest(LOOK)?;
    }
    rest(audience.settle)
}

/// Waits for so long, or for a signal.
fn rest(time: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        open::wait(None, None, Some(until))?;
    }
    Ok(())
}
