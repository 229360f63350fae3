//! PLAIN and CURVE with somebody who judges: a ZAP handler that gives every kind of answer, no
//! handler, and the authenticator with its files.

mod support;

use std::fs;
use std::path::PathBuf;

use support::security::*;
use support::*;
use xebec::EventKind::{self, *};
use xebec::SocketType::{Dealer, Rep, Router};
use xebec::{
    Authenticator, Context, KeyPair, Message, Monitor, Options, Policy, PublicKey, Socket,
};

/// The options of a server and of a client that it might let in.
type Pair = fn() -> (Options, Options);

fn plain() -> (Options, Options) {
    let client = options().plain_username("ann").plain_password("secret");
    (options().plain_server(true), client)
}

fn curve() -> (Options, Options) {
    let (server, client) = (KeyPair::generate(), KeyPair::generate());
    curve_of(&server, &client)
}

struct Served {
    context: Context,
    router: Socket,
    endpoint: String,
    monitor: Monitor,
}

/// A server in a domain.
fn serve(options: Options) -> Served {
    let context = Context::new();
    let (router, endpoint, monitor) = bound(&context, Router, options.zap_domain("cars"));
    Served {
        context,
        router,
        endpoint,
        monitor,
    }
}

fn connect(endpoint: &str, options: Options) -> (Socket, Monitor) {
    comer(endpoint, Dealer, options)
}

/// What the client said has come, and it can be answered. The user id that goes with it.
#[track_caller]
fn assert_talks(router: &Socket, dealer: &Socket) -> String {
    let got = recv(router);
    assert_eq!(got.body(), "let me in");
    let peer = router
        .peer(got.connection().expect("received"))
        .expect("here");
    send(
        router,
        [got.first(), &"welcome".into()]
            .into_iter()
            .cloned()
            .collect::<Message>(),
    );
    assert_eq!(recv_text(dealer), ["welcome"]);
    String::from_utf8(peer.user_id.as_ref().expect("it was judged").to_vec()).expect("text")
}

// ---- a handler ----

fn asks_its_handler(pair: Pair, credentials: impl Fn(&Options) -> Vec<Vec<u8>>) {
    let (server, client) = pair();
    let served = serve(server.routing_id("server"));
    let handler = socket(&served.context, Rep);
    handler.bind(ZAP).unwrap();
    let credentials = credentials(&client);
    let (dealer, _) = connect(&served.endpoint, client);
    let request = recv(&handler);
    let frames: Vec<&[u8]> = request.frames().map(|frame| &frame[..]).collect();
    assert_eq!(
        frames[..5],
        [&b"1.0"[..], b"1", b"cars", b"127.0.0.1", b"server"]
    );
    assert_eq!(frames[5..], credentials);
    send(
        &handler,
        message([
            b"1.0",
            b"1",
            b"200",
            b"OK",
            b"joe",
            b"\x05Hello\0\0\0\x05World",
        ]),
    );
    assert_eq!(assert_talks(&served.router, &dealer), "joe");
}

#[test]
fn a_plain_server_tells_the_name_and_the_password() {
    asks_its_handler(plain, |_| {
        [&b"PLAIN"[..], b"ann", b"secret"].map(Vec::from).to_vec()
    });
}

#[test]
fn a_curve_server_tells_the_clients_key() {
    asks_its_handler(curve, |client| {
        vec![b"CURVE".to_vec(), client.curve_publickey.0.to_vec()]
    });
}

/// The answer to a request and what becomes of it.
fn refuses(pair: Pair, reply: &[&[u8]], kind: EventKind, value: u64, told: bool) {
    let (server, client) = pair();
    let served = serve(server);
    let handler = socket(&served.context, Rep);
    handler.bind(ZAP).unwrap();
    let (dealer, monitor) = connect(&served.endpoint, client);
    recv(&handler);
    send(&handler, reply.iter().copied().collect::<Message>());
    expect(&served.monitor, kind, value);
    if told {
        expect(&monitor, HandshakeFailedAuth, value);
        await_event(&monitor, Closed);
        assert_eq!(dealer.stats().dropped.peer_gone, 1, "it does not try again");
    } else {
        // It is told nothing, and is asked about again when it comes back.
        assert_eq!(outcome(&monitor).kind, HandshakeFailedNoDetail);
        recv(&handler);
    }
    assert_eq!(served.router.stats().messages_in, 0);
}

macro_rules! refusals {
    ($($name:ident: [$($frame:expr),*] => $kind:ident $value:literal, $told:literal;)*) => {
        mod refusal {
            use super::*;
            $(mod $name {
                use super::*;
                #[test]
                fn with_plain() {
                    refuses(plain, &[$($frame),*], $kind, $value, $told);
                }
                #[test]
                fn with_curve() {
                    refuses(curve, &[$($frame),*], $kind, $value, $told);
                }
            })*
        }
    };
}

refusals! {
    denied: [b"1.0", b"1", b"400", b"no", b"", b""] => HandshakeFailedAuth 400, true;
    failed: [b"1.0", b"1", b"500", b"no", b"", b""] => HandshakeFailedAuth 500, true;
    postponed: [b"1.0", b"1", b"300", b"no", b"", b""] => HandshakeFailedAuth 300, false;
    version: [b"2.0", b"1", b"200", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0003, false;
    request_id: [b"1.0", b"", b"200", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0002, false;
    status_code: [b"1.0", b"1", b"invalid", b"OK", b"", b""] => HandshakeFailedProtocol 0x2000_0004, false;
    metadata: [b"1.0", b"1", b"200", b"OK", b"", b"x"] => HandshakeFailedProtocol 0x2000_0005, false;
    too_many_frames: [b"1.0", b"1", b"200", b"OK", b"", b"", b""] => HandshakeFailedProtocol 0x2000_0001, false;
    too_few_frames: [b"1.0", b"1", b"200"] => HandshakeFailedProtocol 0x2000_0001, false;
}

// ---- no handler ----

#[test]
fn a_plain_server_without_a_handler_lets_nobody_in() {
    let (server, client) = plain();
    let served = serve(server);
    let _client = connect(&served.endpoint, client);
    expect(&served.monitor, HandshakeFailedNoDetail, EFAULT);
}

#[test]
fn a_curve_server_without_a_handler_encrypts_unless_the_domain_is_enforced() {
    let (server, client) = curve();
    let served = serve(server.clone());
    let (dealer, _) = connect(&served.endpoint, client.clone());
    expect(&served.monitor, HandshakeSucceeded, 0);
    assert_eq!(recv_text(&served.router)[1], "let me in");
    drop(dealer);

    let served = serve(server.clone().zap_enforce_domain(true));
    let _client = connect(&served.endpoint, client.clone());
    expect(&served.monitor, HandshakeFailedNoDetail, EFAULT);
    drop(served);

    // Without a domain an enforcing server asks nobody, handler or not.
    let context = Context::new();
    let handler = socket(&context, Rep);
    handler.bind(ZAP).unwrap();
    let router = socket_with(&context, Router, server.zap_enforce_domain(true));
    let endpoint = router.bind("tcp://127.0.0.1:*").unwrap();
    let _client = connect(&endpoint, client);
    assert_eq!(recv_text(&router)[1], "let me in");
    recv_nothing(&handler);
}

#[test]
fn a_curve_server_in_a_guarded_context_lets_nobody_in_when_its_authenticator_is_gone() {
    let (server, client) = curve();
    let served = serve(server);
    Authenticator::start(&served.context, Policy::new())
        .unwrap()
        .close();
    let _client = connect(&served.endpoint, client);
    expect(&served.monitor, HandshakeFailedNoDetail, EFAULT);
}

// ---- the authenticator ----

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("xebec-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn passwords_are_read_from_a_file_and_read_again() {
    let directory = Directory::new("passwords");
    let path = directory.write("passwords", "# users\nann=old\n");
    let (server, client) = plain();
    let served = serve(server);
    let policy = Policy::new().password_file("cars", &path);
    let authenticator = Authenticator::start(&served.context, policy).unwrap();
    let attempt = || connect(&served.endpoint, client.clone());

    let _denied = attempt();
    expect(&served.monitor, HandshakeFailedAuth, 400);
    directory.write("passwords", "ann=secret\n");
    let _denied = attempt();
    expect(&served.monitor, HandshakeFailedAuth, 400);
    authenticator.reload().unwrap();
    let (dealer, _) = attempt();
    assert_eq!(assert_talks(&served.router, &dealer), "ann");
    expect(&served.monitor, HandshakeSucceeded, 0);

    // A file that is no good changes nothing.
    directory.write("passwords", "ann\n");
    let error = authenticator.reload().unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
    let (dealer, _) = attempt();
    assert_eq!(assert_talks(&served.router, &dealer), "ann");
    let stats = authenticator.stats();
    assert_eq!((stats.allowed, stats.denied), (2, 2));
}

#[test]
fn keys_are_read_from_a_directory_and_read_again() {
    let directory = Directory::new("keys");
    let keys = KeyPair::generate();
    let certificate = |key: PublicKey| format!("curve\n    public-key = \"{key}\"\n");
    directory.write("other.key", &certificate(KeyPair::generate().public));
    let (server, client) = curve_of(&KeyPair::generate(), &keys);
    let served = serve(server);
    let policy = Policy::new().client_keys_in("cars", &directory.0);
    let authenticator = Authenticator::start(&served.context, policy).unwrap();

    let _denied = connect(&served.endpoint, client.clone());
    expect(&served.monitor, HandshakeFailedAuth, 400);
    directory.write("mine.key", &certificate(keys.public));
    authenticator.reload().unwrap();
    let (dealer, _) = connect(&served.endpoint, client.clone());
    assert_eq!(
        assert_talks(&served.router, &dealer),
        keys.public.to_string()
    );
    expect(&served.monitor, HandshakeSucceeded, 0);

    fs::remove_file(directory.0.join("mine.key")).unwrap();
    authenticator.reload().unwrap();
    let _denied = connect(&served.endpoint, client);
    expect(&served.monitor, HandshakeFailedAuth, 400);
}

#[test]
fn each_domain_has_its_own_users_and_keys() {
    let context = Context::new();
    let keys = KeyPair::generate();
    let policy = Policy::new()
        .password("cars", "ann", "secret")
        .client_key("boats", keys.public);
    let _authenticator = Authenticator::start(&context, policy).unwrap();
    for (domain, pair, let_in) in [
        ("cars", plain(), true),
        ("boats", plain(), false),
        ("", plain(), false),
        ("cars", curve_of(&KeyPair::generate(), &keys), false),
        ("boats", curve_of(&KeyPair::generate(), &keys), true),
        ("", curve_of(&KeyPair::generate(), &keys), false),
    ] {
        let (server, client) = pair;
        let router = socket_with(&context, Router, server.zap_domain(domain));
        let monitor = router.monitor();
        let endpoint = router.bind("tcp://127.0.0.1:*").unwrap();
        let _client = connect(&endpoint, client);
        if let_in {
            expect(&monitor, HandshakeSucceeded, 0);
        } else {
            expect(&monitor, HandshakeFailedAuth, 400);
        }
    }
}

#[test]
fn any_key_pair_will_do_where_the_policy_says_so_but_a_key_is_needed() {
    let (server, client) = curve();
    let served = serve(server);
    let policy = Policy::new().any_client_key("cars");
    let _authenticator = Authenticator::start(&served.context, policy).unwrap();
    let key = client.curve_publickey.to_string();
    let (dealer, _) = connect(&served.endpoint, client);
    assert_eq!(assert_talks(&served.router, &dealer), key);
    expect(&served.monitor, HandshakeSucceeded, 0);
    let _without = connect(&served.endpoint, plain().1);
    assert_eq!(outcome(&served.monitor).kind, HandshakeFailedProtocol);
    let _without = connect(&served.endpoint, options());
    assert_eq!(outcome(&served.monitor).kind, HandshakeFailedProtocol);
    assert_eq!(served.router.stats().connections, 1);
}

#[test]
fn what_a_policy_cannot_read_keeps_it_from_starting() {
    let context = Context::new();
    let nowhere = PathBuf::from("/nonexistent/xebec");
    for policy in [
        Policy::new().password_file("*", &nowhere),
        Policy::new().client_keys_in("*", &nowhere),
    ] {
        let error = Authenticator::start(&context, policy)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/xebec"), "{error}");
    }
}
