//! The commands that carry messages, between processes, in all formats.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use common::{Scratch, command, run, start};

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn lines_from_push_to_pull() {
    let mut pull = start(&["pull", ANY, "--count", "3"]);
    let endpoint = pull.bound();
    run(&["push", &endpoint], "one\n\nthree").ok();
    assert_eq!(pull.wait().ok(), ["one", "", "three"]);
}

#[test]
fn any_number_of_endpoints_and_the_connector_may_come_first() {
    let socket = std::env::temp_dir().join(format!("xebec-test-{}.sock", std::process::id()));
    let ipc = format!("ipc://{}", socket.display());
    let push = start(&["push", &ipc, "--text", "early"]);
    let mut pull = start(&["pull", ANY, "--bind", &ipc, "--count", "2"]);
    let bound = [pull.bound(), pull.bound()];
    let tcp = bound
        .iter()
        .find(|endpoint| endpoint.starts_with("tcp://"))
        .unwrap();
    push.wait().ok();
    assert_eq!(pull.line(), "early");
    run(&["push", "--connect", tcp, "--text", "late"], "").ok();
    assert_eq!(pull.wait().ok(), ["late"]);
    assert!(!socket.exists(), "the socket file goes with its owner");
}

#[test]
fn files_by_line_and_whole() {
    let lines = Scratch::new("lines", b"a\nb\n");
    let whole = Scratch::new("whole", b"c\nd\n");
    let mut pull = start(&["pull", ANY, "--count", "3", "--json"]);
    let endpoint = pull.bound();
    run(
        &[
            "push",
            &endpoint,
            "--file",
            lines.path(),
            "--each-file",
            whole.path(),
        ],
        "",
    )
    .ok();
    assert_eq!(pull.wait().ok(), [r#"["a"]"#, r#"["b"]"#, r#"["c\nd\n"]"#]);
}

/// Sends `input` with some flags and prints what arrives with others.
fn translated(send: &[&str], input: &str, receive: &[&str], count: &str) -> String {
    let mut pull = start(&[&["pull", ANY, "--count", count], receive].concat());
    let endpoint = pull.bound();
    run(&[&["push", &endpoint], send].concat(), input).ok();
    pull.wait().ok().join("\n")
}

macro_rules! translations {
    ($($name:ident: $send:expr, $input:expr => $receive:expr, $output:expr;)*) => {
        mod formats {
            $(#[test] fn $name() { assert_eq!(super::translated(&$send, $input, &$receive, "1"), $output); })*
        }
    };
}

translations! {
    text_to_hex: [], "Hi" => ["--hex"], "4869";
    hex_to_text: ["--hex"], "48 - 69" => [], "H\t\ti";
    base64_to_json: ["--base64"], "SGk=\n" => ["--json"], r#"["Hi"]"#;
    json_to_base64: ["--json"], r#"["Hi", {"base64": "/w=="}]"# => ["--base64"], "SGk= /w==";
    delimiter: ["--delimiter", ","], "a,b" => ["--json"], r#"["a","b"]"#;
    delimiter_out: ["--json"], r#"["a","b"]"# => ["--delimiter", " | "], "a | b";
    raw: ["--raw"], "a\nb\0" => ["--json"], r#"["a\nb"]"#;
    raw_whole: ["--raw", "--terminator", ""], "a\nb\0" => ["--json"], "[\"a\\nb\\u0000\"]";
    raw_out: ["--text", "a"], "" => ["--raw"], "a\0";
    escapes: ["--escape"], r"a\tb\x00" => ["--json"], "[\"a\\tb\\u0000\"]";
    input_format: ["--hex", "--input-format", "text"], "Hi" => [], "Hi";
}

#[test]
fn a_million_bytes_in_one_line() {
    let line = "x".repeat(1_000_000);
    assert_eq!(translated(&[], &line, &[], "1"), line);
}

#[test]
fn many_lines_stay_in_order() {
    let lines: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let lines = lines.join("\n");
    assert_eq!(translated(&[], &lines, &[], "20k"), lines);
}

#[test]
fn repeat_and_rate() {
    let mut pull = start(&["pull", ANY, "--count", "5"]);
    let endpoint = pull.bound();
    let started = std::time::Instant::now();
    run(
        &[
            "push", &endpoint, "-t", "a", "-t", "b", "--repeat", "--count", "5", "--rate", "20/s",
        ],
        "",
    )
    .ok();
    assert!(started.elapsed().as_millis() >= 190, "four pauses of 50 ms");
    assert_eq!(pull.wait().ok(), ["a", "b", "a", "b", "a"]);
}

#[test]
fn a_publisher_waits_for_its_first_subscriber() {
    let mut publisher = start(&["pub", ANY]);
    let endpoint = publisher.bound();
    publisher.type_in("weather.rome 31\nnews nothing\nweather.oslo 12\n");
    publisher.end_input();
    let subscriber = start(&["sub", &endpoint, "--subscribe", "weather.", "--count", "2"]);
    publisher.wait().ok();
    assert_eq!(
        subscriber.wait().ok(),
        ["weather.rome 31", "weather.oslo 12"]
    );
}

#[test]
fn a_publisher_waits_for_as_many_subscribers_as_it_is_told() {
    let mut publisher = start(&["pub", ANY, "--wait-for", "2", "--text", "hi"]);
    let endpoint = publisher.bound();
    let first = start(&["sub", &endpoint, "--count", "1"]);
    let second = start(&["sub", &endpoint, "--count", "1"]);
    publisher.wait().ok();
    assert_eq!(first.wait().ok(), ["hi"]);
    assert_eq!(second.wait().ok(), ["hi"]);
}

#[test]
fn a_publisher_need_not_wait() {
    let ended = run(&["pub", ANY, "--wait-for", "0"], "lost\n");
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[test]
fn a_slow_subscriber_can_be_waited_for() {
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let mut publisher = start(&["pub", ANY, "--set", "xpub_nodrop=1", "--set", "sndhwm=10"]);
    let endpoint = publisher.bound();
    let subscriber = start(&["sub", &endpoint, "--count", "20000"]);
    publisher.type_in(&lines);
    publisher.end_input();
    assert_eq!(subscriber.wait().ok().len(), 20_000);
    publisher.wait().ok();
}

#[test]
fn a_request_goes_through_a_command() {
    let mut rep = start(&["rep", ANY, "--exec", "tr a-z A-Z", "--count", "2"]);
    let endpoint = rep.bound();
    assert_eq!(
        run(&["req", &endpoint], "hello\nworld\n").ok(),
        ["HELLO", "WORLD"]
    );
    assert_eq!(rep.wait().ok(), ["hello", "world"], "requests are printed");
}

#[test]
fn a_large_request_goes_through_a_command() {
    let mut rep = start(&[
        "rep",
        ANY,
        "--exec",
        "cat",
        "--count",
        "1",
        "--quiet",
        "--verbose",
    ]);
    // Conflicting flags end it before anything else.
    rep.end_input();
    rep.wait().failed(2);

    let mut rep = start(&["rep", ANY, "--exec", "cat", "--count", "1"]);
    let endpoint = rep.bound();
    let body = "y".repeat(3_000_000);
    assert_eq!(run(&["req", &endpoint], &body).ok(), [body.as_str()]);
}

#[test]
fn a_command_that_fails_gives_an_empty_reply() {
    let mut rep = start(&["rep", ANY, "--exec", "echo junk; exit 3", "--count", "1"]);
    let endpoint = rep.bound();
    assert_eq!(run(&["req", &endpoint, "--text", "x"], "").ok(), [""]);
    let said = rep.wait().failed(0);
    assert!(
        said.contains("failed (exit status: 3); the reply is empty"),
        "{said}"
    );
}

#[test]
fn the_newline_of_a_command_is_not_part_of_the_reply() {
    let mut rep = start(&["rep", ANY, "--exec", "echo done", "--count", "1"]);
    let endpoint = rep.bound();
    assert_eq!(
        run(&["req", &endpoint, "--json"], "\"x\"").ok(),
        [r#"["done"]"#]
    );
}

#[test]
fn replies_are_echoes_or_fixed() {
    let mut rep = start(&["rep", ANY, "--count", "1"]);
    let endpoint = rep.bound();
    let multipart = r#"["a","b"]"#;
    assert_eq!(
        run(&["req", &endpoint, "--json"], multipart).ok(),
        [multipart]
    );
    let mut rep = start(&["rep", ANY, "--reply", "World", "--count", "1"]);
    let endpoint = rep.bound();
    assert_eq!(
        run(&["req", &endpoint, "--text", "Hello"], "").ok(),
        ["World"]
    );
}

#[test]
fn a_router_shows_and_takes_addresses() {
    let mut router = start(&["router", ANY]);
    let endpoint = router.bound();
    let mut dealer = start(&["dealer", &endpoint, "--identity", "PEER2"]);
    dealer.type_in("Hello\n");
    assert_eq!(router.line(), "PEER2\tHello");
    router.type_in("PEER2\tWorld\n");
    assert_eq!(dealer.line(), "World");
    router.type_in("\tto the last\n");
    assert_eq!(dealer.line(), "to the last");
    router.type_in("nobody\tlost\n");
    router.says("no peer");
    router.interrupted().failed(130);
    dealer.interrupted().failed(130);
}

#[test]
fn generated_addresses_are_shown_in_digits() {
    let mut router = start(&["router", ANY]);
    let endpoint = router.bound();
    let mut req = start(&["req", &endpoint, "--text", "Hello"]);
    req.end_input();
    let request = router.line();
    let [id, empty, body] = request.split('\t').collect::<Vec<_>>().try_into().unwrap();
    assert!(id.starts_with("0x00") && id.len() == 12, "{request:?}");
    assert_eq!((empty, body), ("", "Hello"));
    router.type_in(&format!("{id}\t\tWorld\n"));
    assert_eq!(req.wait().ok(), ["World"]);
}

#[test]
fn a_pair_talks_both_ways() {
    let mut one = start(&["pair", ANY]);
    let endpoint = one.bound();
    let mut two = start(&["pair", &endpoint]);
    two.type_in("ping\n");
    assert_eq!(one.line(), "ping");
    one.type_in("pong\n");
    assert_eq!(two.line(), "pong");
}

#[test]
fn a_dealer_can_leave_after_sending() {
    let mut dealer = start(&["dealer", ANY, "--recv-only", "--count", "2"]);
    let endpoint = dealer.bound();
    run(&["dealer", &endpoint, "--send-only"], "a\nb\n").ok();
    assert_eq!(dealer.wait().ok(), ["a", "b"]);
}

#[test]
fn xpub_shows_subscriptions_and_xsub_sends_upstream() {
    let mut xpub = start(&["xpub", ANY]);
    let endpoint = xpub.bound();
    let mut xsub = start(&["xsub", &endpoint, "--subscribe", "a"]);
    assert_eq!(xpub.line(), "+a");
    xpub.type_in("b no\na yes\n");
    assert_eq!(xsub.line(), "a yes");
    xsub.type_in("upstream\n");
    assert_eq!(xpub.line(), "upstream");
    xsub.interrupted().failed(130);
    assert_eq!(xpub.line(), "-a");
}

#[test]
fn stream_talks_to_plain_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let mut stream = start(&["stream", &endpoint, "--escape"]);
    let (mut peer, _) = listener.accept().unwrap();
    let connected = stream.line();
    let id = connected.strip_suffix('\t').expect("a notice").to_owned();
    stream.type_in(&format!("{id}\tGET /\\r\\n\n"));
    let mut request = [0; 7];
    peer.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"GET /\r\n");
    peer.write_all(b"200\n").unwrap();
    assert_eq!(stream.line(), format!("{id}\t200\\n"));
    drop(peer);
    assert_eq!(
        stream.line(),
        connected,
        "the same notice tells that it went"
    );
}

#[test]
fn an_output_that_is_closed_is_no_failure() {
    let file = Scratch::new("closed", b"a text\n");
    for args in [
        &["demo", file.path()][..],
        &["--help"],
        &["completions", "bash"],
        &["man"],
    ] {
        let mut xebec = command(args).spawn().unwrap();
        drop(xebec.stdout.take());
        let ended = xebec.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{args:?} {ended:?}");
        assert_eq!(ended.stderr, b"", "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut pull = command(&["pull", "tcp://127.0.0.1:*"]).spawn().unwrap();
    drop(pull.stdout.take());
    let mut stderr = std::io::BufReader::new(pull.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    let endpoint = line.trim().rsplit(' ').next().unwrap().to_owned();
    run(&["push", &endpoint, "--text", "x"], "").ok();
    assert_eq!(pull.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}
