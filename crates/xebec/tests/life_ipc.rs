//! The ipc transport, as sockets see it: paths, abstract names, wildcards, the care of the socket
//! files, any start order, unbind and disconnect.

#[path = "support/life.rs"]
mod life;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use life::*;
use rustix::fs::Mode;
use xebec::{
    AddressErrorKind, Context, EndpointErrorKind, EventKind, Options, Pair, Pull, Push,
    SendErrorKind,
};

/// Held while a process is started, and by the test that takes an abstract name again: until it has become
/// another program, the new process has a copy of every descriptor, and the name is in use.
static FORKS: Mutex<()> = Mutex::new(());

/// A directory of its own for one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("xebec-life-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a directory");
        Scratch(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.path().display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name that no other test uses.
fn fresh_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "ipc://@xebec life {} {}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn round(bound: &str) -> String {
    let context = Context::new();
    let (server, client) = (
        Pair::with_options(&context, quick()).unwrap(),
        Pair::with_options(&context, quick()).unwrap(),
    );
    let actual = server.bind(bound).unwrap();
    assert_eq!(server.last_endpoint().as_ref(), Some(&actual));
    client.connect(&actual).unwrap();
    assert_eq!(client.last_endpoint().as_ref(), Some(&actual));
    client.send("ping").unwrap();
    assert_eq!(text(&server), "ping");
    server.send("pong").unwrap();
    assert_eq!(text(&client), "pong");
    actual
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[test]
fn a_path() {
    let scratch = Scratch::new();
    assert_eq!(round(&scratch.endpoint()), scratch.endpoint());
    assert!(!scratch.path().exists(), "the file goes with the listener");
}

#[test]
fn an_abstract_name() {
    let _forks = FORKS.lock().unwrap();
    let endpoint = fresh_name();
    assert_eq!(round(&endpoint), endpoint);
    let context = Context::new();
    let (first, second) = (Pull::new(&context).unwrap(), Pull::new(&context).unwrap());
    first.bind(&endpoint).unwrap();
    let error = second.bind(&endpoint).unwrap_err();
    assert!(matches!(error.kind, AddressErrorKind::InUse), "{error:?}");
    first.unbind(&endpoint).unwrap();
    second.bind(&endpoint).unwrap();
}

#[test]
fn a_wildcard_is_a_fresh_path_each_time() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let endpoints = [pull.bind("ipc://*").unwrap(), pull.bind("ipc://*").unwrap()];
    assert_ne!(endpoints[0], endpoints[1]);
    let paths = endpoints
        .each_ref()
        .map(|endpoint| PathBuf::from(endpoint.strip_prefix("ipc://").unwrap()));
    for (endpoint, path) in endpoints.iter().zip(&paths) {
        assert!(is_socket(path));
        let directory = fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(
            directory.permissions().mode() & 0o777,
            0o700,
            "others are kept out"
        );
        let push = Push::with_options(&context, quick()).unwrap();
        push.connect(endpoint).unwrap();
        push.send("in").unwrap();
        assert_eq!(text(&pull), "in");
    }
    pull.unbind(&endpoints[0]).unwrap();
    assert!(!paths[0].parent().unwrap().exists());
    drop((pull, context));
    assert!(!paths[1].parent().unwrap().exists());
}

#[test]
fn connecting_to_a_wildcard_is_refused() {
    let context = Context::new();
    let error = Push::with_options(&context, quick())
        .unwrap()
        .connect("ipc://*")
        .unwrap_err();
    assert!(
        matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::ConnectToAny)
    );
    let error = Pull::new(&context)
        .unwrap()
        .bind(&format!("ipc:///{}", "x".repeat(200)))
        .unwrap_err();
    assert!(
        matches!(&error.kind, AddressErrorKind::Malformed(error) if error.kind == EndpointErrorKind::PathTooLong)
    );
}

/// The umask belongs to the whole process.
#[test]
fn permissions_follow_the_umask() {
    in_child("permissions_follow_the_umask", || {
        let scratch = Scratch::new();
        for (mask, expected) in [(0o077, 0o700), (0o027, 0o750), (0o000, 0o777)] {
            rustix::process::umask(Mode::from_raw_mode(mask));
            let context = Context::new();
            let pull = Pull::new(&context).unwrap();
            pull.bind(&scratch.endpoint()).unwrap();
            let mode = fs::metadata(scratch.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected, "{mask:o}");
        }
    });
}

#[test]
fn errors_tell_what_to_do() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let error = pull
        .bind("ipc:///no/such/directory/socket")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/no/such/directory/socket") && error.contains("make it first"),
        "{error}"
    );
    let scratch = Scratch::new();
    fs::write(scratch.path(), "precious").unwrap();
    let error = pull.bind(&scratch.endpoint()).unwrap_err().to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(scratch.path()).unwrap(), "precious");
    if !rustix::process::geteuid().is_root() {
        fs::remove_file(scratch.path()).unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o500)).unwrap();
        let error = pull.bind(&scratch.endpoint()).unwrap_err().to_string();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(error.contains("may not be written"), "{error}");
    }
}

#[test]
fn a_path_in_use_is_not_taken_over() {
    let scratch = Scratch::new();
    let context = Context::new();
    let (first, second) = (Pull::new(&context).unwrap(), Pull::new(&context).unwrap());
    first.bind(&scratch.endpoint()).unwrap();
    let error = second.bind(&scratch.endpoint()).unwrap_err();
    assert!(matches!(error.kind, AddressErrorKind::InUse), "{error:?}");
    let push = Push::with_options(&context, quick()).unwrap();
    push.connect(&scratch.endpoint()).unwrap();
    push.send("still the first").unwrap();
    assert_eq!(text(&first), "still the first");
}

#[test]
fn a_stale_file_is_replaced() {
    let scratch = Scratch::new();
    drop(UnixListener::bind(scratch.path()).unwrap());
    assert!(is_socket(&scratch.path()));
    round(&scratch.endpoint());
}

/// A server that is killed leaves its file; its successor takes the place, and the client that
/// was connected comes back.
#[test]
fn the_successor_of_a_killed_process_takes_its_file() {
    const SERVE: &str = "XEBEC_LIFE_SERVE";
    let context = Context::new();
    if let Ok(endpoint) = std::env::var(SERVE) {
        let pull = Pull::new(&context).unwrap();
        pull.bind(&endpoint).unwrap();
        println!("got: {}", text(&pull));
        // Killed from here on.
        let _ = pull.recv();
        return;
    }
    let scratch = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "the_successor_of_a_killed_process_takes_its_file",
            "--nocapture",
        ])
        .env(SERVE, scratch.endpoint());
    let mut child = {
        let _forks = FORKS.lock().unwrap();
        child.stdout(Stdio::piped()).spawn().unwrap()
    };
    let push = Push::with_options(&context, quick()).unwrap();
    let monitor = push.monitor();
    push.connect(&scratch.endpoint()).unwrap();
    push.send("to the first").unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()))
        .map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("got: to the first")));
    child.kill().unwrap();
    child.wait().unwrap();
    event(&monitor, EventKind::Disconnected);
    assert!(
        is_socket(&scratch.path()),
        "a killed process cannot remove it"
    );
    let pull = Pull::new(&context).unwrap();
    pull.bind(&scratch.endpoint()).unwrap();
    push.send("to the second").unwrap();
    assert_eq!(text(&pull), "to the second");
}

/// Somebody has removed our file and put another in its place: it is not ours to remove.
#[test]
fn the_file_of_another_is_left_alone() {
    let scratch = Scratch::new();
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind(&scratch.endpoint()).unwrap();
    fs::remove_file(scratch.path()).unwrap();
    let _other = UnixListener::bind(scratch.path()).unwrap();
    drop(pull);
    drop(context);
    assert!(is_socket(&scratch.path()));
}

#[test]
fn the_side_that_connects_may_start_first() {
    let unmade = Scratch::new().endpoint();
    for endpoint in [fresh_name(), unmade] {
        let directory = endpoint.strip_prefix("ipc:///").map(|path| {
            PathBuf::from(format!("/{path}"))
                .parent()
                .unwrap()
                .to_owned()
        });
        let context = Context::new();
        let push = Push::with_options(&context, quick()).unwrap();
        let monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        (0..5).for_each(|i| push.send(i.to_string()).unwrap());
        event(&monitor, EventKind::ConnectRetried);
        directory
            .iter()
            .for_each(|directory| fs::create_dir(directory).unwrap());
        let pull = Pull::new(&context).unwrap();
        pull.bind(&endpoint).unwrap();
        (0..5).for_each(|i| assert_eq!(text(&pull), i.to_string()));
        drop(pull);
        directory
            .iter()
            .for_each(|directory| fs::remove_dir(directory).unwrap());
    }
}

#[test]
fn unbind_and_disconnect() {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    let endpoint = fresh_name();
    pull.bind(&endpoint).unwrap();
    let push = Push::with_options(&context, quick()).unwrap();
    let monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    event(&monitor, EventKind::HandshakeSucceeded);
    pull.unbind(&endpoint).unwrap();
    event(&monitor, EventKind::Disconnected);
    event(&monitor, EventKind::ConnectRetried);
    (0..5).for_each(|i| push.send(i.to_string()).unwrap());
    push.disconnect(&endpoint).unwrap();
    assert_eq!(
        push.try_send("too late").unwrap_err().kind,
        SendErrorKind::WouldBlock
    );
    // What was accepted before the disconnect lingers.
    pull.bind(&endpoint).unwrap();
    (0..5).for_each(|i| assert_eq!(text(&pull), i.to_string()));
    for error in [
        pull.unbind("ipc://@nobody").unwrap_err(),
        push.disconnect(&endpoint).unwrap_err(),
    ] {
        assert!(
            matches!(error.kind, AddressErrorKind::NotFound),
            "{error:?}"
        );
    }
}

#[test]
fn peers_are_told_by_their_process() {
    let context = Context::new();
    let (pull, push) = (
        Pull::new(&context).unwrap(),
        Push::with_options(&context, quick()).unwrap(),
    );
    let (accepting, connecting) = (pull.monitor(), push.monitor());
    let endpoint = pull.bind("ipc://*").unwrap();
    push.connect(&endpoint).unwrap();
    assert_eq!(
        event(&accepting, EventKind::Accepted).peer,
        Some(format!("ipc://[pid {}]", std::process::id()))
    );
    assert_eq!(
        event(&connecting, EventKind::Connected).peer,
        Some(endpoint)
    );
}

/// Raw bytes over ipc: BACKLOG connections wait while nobody accepts them. Descriptors are used
/// up to keep the listener from accepting; the limit belongs to the whole process.
#[test]
fn backlog_connections_may_wait() {
    in_child("backlog_connections_may_wait", || {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let scratch = Scratch::new();
        let context = Context::new();
        let pull = Pull::with_options(&context, Options::new().backlog(5)).unwrap();
        let monitor = pull.monitor();
        pull.bind(&scratch.endpoint()).unwrap();
        let clients: Vec<_> = (0..10)
            .map(|_| {
                rustix::net::socket_with(
                    AddressFamily::UNIX,
                    SocketType::STREAM,
                    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
                    None,
                )
                .unwrap()
            })
            .collect();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(3),
                ..limit
            },
        )
        .unwrap();
        let address = SocketAddrUnix::new(scratch.path()).unwrap();
        let outcomes: Vec<_> = clients
            .iter()
            .map(|client| rustix::net::connect(client, &address))
            .collect();
        let waiting = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(
            waiting,
            5 + 1,
            "Linux lets one more wait than it is told: {outcomes:?}"
        );
        assert_eq!(outcomes[6], Err(rustix::io::Errno::AGAIN));
        event(&monitor, EventKind::AcceptFailed);
        setrlimit(Resource::Nofile, limit).unwrap();
        (0..6).for_each(|_| drop(event(&monitor, EventKind::Accepted)));
    });
}
