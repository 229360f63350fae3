//! Who may connect to `xebec broker`: keys, passwords, addresses, and what a mistake in the settings does.

mod common;

use std::fs;

use common::{Ended, Scratch, Xebec, run, start};
use rustix::process::Signal;

/// A broker with these settings in the folder.
fn broker(folder: &Scratch, settings: &str) -> (Xebec, String) {
    let file = folder.file("broker.toml");
    let settings = format!("bind = ['tcp://127.0.0.1:*']\n{settings}");
    fs::write(&file, settings).unwrap();
    let mut broker = start(&["broker", &file]);
    let at = broker.bound();
    (broker, at)
}

/// `--set` for each of the options.
fn with<'a>(args: &[&'a str], at: &'a str, set: &'a [String]) -> Vec<&'a str> {
    let mut all = args.to_vec();
    all.extend(["--broker", at]);
    for one in set {
        all.extend(["--set", one]);
    }
    all
}

fn call(at: &str, set: &[String]) -> Ended {
    let limits = ["--timeout", "300ms", "--attempts", "2"];
    let args = [&["call", "echo", "hello"][..], &limits].concat();
    run(&with(&args, at, set), "")
}

/// One that is given longer, because it is to succeed.
fn served(at: &str, set: &[String]) {
    let args = ["call", "echo", "hello", "--timeout", "30s"];
    assert_eq!(run(&with(&args, at, set), "").ok(), ["hello"]);
}

/// One that is not let in, and is patient enough for the broker to say so: a handshake of CURVE takes its time
/// on a busy machine, and a call that is over ends it.
fn denied(broker: &mut Xebec, at: &str, set: &[String]) -> String {
    let args = ["call", "echo", "hello", "--timeout", "1m"];
    let call = start(&with(&args, at, set));
    let denied = broker.says("event=denied");
    assert!(call.interrupted().stdout.is_empty());
    denied
}

fn curve(folder: &Scratch, server: &str, client: &str) -> Vec<String> {
    vec![
        format!("curve_serverkey=@{}", folder.file(&format!("{server}.pub"))),
        format!("curve_publickey=@{}", folder.file(&format!("{client}.pub"))),
        format!("curve_secretkey=@{}", folder.file(client)),
    ]
}

#[test]
fn with_curve_only_keys_on_the_list_are_served() {
    let folder = Scratch::folder("curve");
    for name in ["broker.key", "client.key", "stranger.key"] {
        run(&["keygen", &folder.file(name)], "").ok();
    }
    let list = folder.file("clients");
    fs::create_dir(&list).unwrap();
    let admit = |name: &str| {
        fs::copy(folder.file(name), format!("{list}/{name}")).unwrap();
    };
    admit("client.key.pub");
    let (mut broker, at) = broker(
        &folder,
        "[security]\nmechanism = 'curve'\nsecret-key = 'broker.key'\nclient-keys = 'clients'\n",
    );
    let client = curve(&folder, "broker.key", "client.key");
    let _worker = start(&with(&["worker", "echo"], &at, &client));
    broker.says("event=worker-ready");
    served(&at, &client);
    let status = run(&with(&["broker", "status"], &at, &client), "").ok();
    assert!(status[0].starts_with("broker uptime="), "{status:?}");

    // A key that is not on the list, a server that is not this one, and no key at all.
    let stranger = curve(&folder, "broker.key", "stranger.key");
    let denied = denied(&mut broker, &at, &stranger);
    let said = call(&at, &stranger).failed(124);
    assert!(said.contains("no reply in time"), "{said}");
    assert!(denied.contains("does not know its public key"), "{denied}");
    call(&at, &curve(&folder, "stranger.key", "client.key")).failed(124);
    call(&at, &[]).failed(124);

    admit("stranger.key.pub");
    broker.signal(Signal::HUP);
    broker.says("event=reloaded");
    served(&at, &stranger);
    // A list that cannot be read leaves the one before in force.
    fs::write(format!("{list}/broken.pub"), "no key").unwrap();
    broker.signal(Signal::HUP);
    let said = broker.says("event=reload-failed");
    assert!(said.contains("broken.pub"), "{said}");
    served(&at, &stranger);
    broker.signal(Signal::USR1);
    let counted = broker.says("security allowed=");
    assert!(!counted.contains("denied=0"), "{counted}");
    assert_eq!(broker.interrupted().status, Some(130));
}

#[test]
fn with_plain_only_users_with_their_passwords_are_served() {
    let folder = Scratch::folder("plain");
    fs::write(folder.file("users"), "ann=sesame\n").unwrap();
    let (mut broker, at) = broker(
        &folder,
        "[security]\nmechanism = 'plain'\npasswords = 'users'\n",
    );
    let user = |name: &str, password: &str| {
        vec![
            format!("plain_username={name}"),
            format!("plain_password={password}"),
        ]
    };
    let ann = user("ann", "sesame");
    let _worker = start(&with(&["worker", "echo"], &at, &ann));
    broker.says("event=worker-ready");
    served(&at, &ann);
    denied(&mut broker, &at, &user("ann", "other"));
    for wrong in [user("ann", "other"), user("bob", "sesame"), Vec::new()] {
        call(&at, &wrong).failed(124);
    }
    let denied = with(&["worker", "echo", "--quiet"], &at, &[]);
    let worker = start(&denied);
    served(&at, &ann);
    worker.interrupted();
    let mut titanic = start(&with(&["titanic", "--memory"], &at, &ann));
    titanic.says("event=titanic-stamps known=true");
    let id = run(
        &with(&["titanic", "submit", "echo", "hello"], &at, &ann),
        "",
    );
    let fetch = ["titanic", "fetch", &id.ok()[0], "--wait"];
    assert_eq!(run(&with(&fetch, &at, &ann), "").ok(), ["hello"]);
}

#[test]
fn addresses_are_let_in_or_not() {
    let folder = Scratch::folder("addresses");
    let (_broker, at) = broker(&folder, "[security]\nallow = ['127.0.0.0/8']\n");
    served_mmi(&at);
    let (_broker, at) = broker(&folder, "[security]\ndeny = ['127.0.0.0/8']\n");
    call(&at, &[]).failed(124);
}

fn served_mmi(at: &str) {
    let args = [
        "call",
        "mmi.service",
        "echo",
        "--broker",
        at,
        "--timeout",
        "30s",
    ];
    assert_eq!(run(&args, "").ok(), ["404"]);
}

#[test]
fn what_is_not_whole_does_not_start() {
    let folder = Scratch::folder("mistakes");
    let file = folder.file("broker.toml");
    for (settings, why) in [
        ("[security]\nmechanism = 'curve'", "needs secret-key"),
        (
            "[security]\nmechanism = 'plain'\npasswords = 'none'",
            "none",
        ),
        (
            "[security]\nclient-keys = 'clients'",
            "mechanism = \"curve\"",
        ),
        (
            "[security]\nallow = ['127.0.0.1']\n[ha]\nrole = 'primary'",
            "open-link = true",
        ),
    ] {
        fs::write(&file, settings).unwrap();
        let said = run(&["broker", &file, "--bind", "tcp://127.0.0.1:*"], "").failed(1);
        assert!(said.contains(why) && !said.contains("bound to"), "{said}");
    }
}

#[test]
fn the_link_of_a_pair_asks_for_keys_too() {
    let folder = Scratch::folder("link");
    for name in ["a.key", "b.key", "c.key"] {
        run(&["keygen", &folder.file(name)], "").ok();
    }
    let start_one = |role: &str, own: &str, peer: &str| {
        let text = format!(
            "bind = ['tcp://127.0.0.1:*']\n\
             [security]\nmechanism = 'curve'\nsecret-key = '{own}.key'\nany-client-key = true\n\
             [ha]\nheartbeat = '300ms'\nrole = '{role}'\npeer-key = '{peer}.key.pub'\n\
             own = 'ipc://{dir}/{role}'\npeer = 'ipc://{dir}/{other}'\n",
            dir = folder.path(),
            other = if role == "primary" {
                "backup"
            } else {
                "primary"
            },
        );
        let file = folder.file(&format!("{own}.toml"));
        fs::write(&file, text).unwrap();
        start(&["broker", &file])
    };
    let mut primary = start_one("primary", "a", "b");
    // One with another key is not heard.
    let mut stranger = start_one("backup", "c", "a");
    let denied = primary.says("event=denied");
    assert!(denied.contains("does not know its public key"), "{denied}");
    stranger.kill();
    let mut backup = start_one("backup", "b", "a");
    primary.says("event=serves");
    backup.says("to=Passive");
}
