//! The commands for the socket types that are drafts in libzmq.

mod common;

use common::{Scratch, run, start};

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn a_server_shows_and_takes_numbers() {
    let mut server = start(&["server", ANY]);
    let endpoint = server.bound();
    let mut client = start(&["client", &endpoint]);
    client.type_in("Hello\tyou\n");
    let request = server.line();
    let (number, body) = request.split_once('\t').expect("a number");
    assert!(number.parse::<u32>().is_ok_and(|n| n > 0), "{request:?}");
    assert_eq!(body, "Hello\tyou", "what follows the number is one frame");
    server.type_in(&format!("{number}\tWorld\n"));
    assert_eq!(client.line(), "World");
    server.type_in("\tto the last\n");
    assert_eq!(client.line(), "to the last");
    let other = number.parse::<u32>().unwrap().wrapping_add(7).max(1);
    server.type_in(&format!("{other}\tlost\n"));
    server.says(&format!("no peer {other} is connected"));
    server.interrupted().failed(130);
    client.interrupted().failed(130);
}

#[test]
fn a_server_must_be_told_whom_to_send_to() {
    let ended = run(&["server", ANY, "--text", "no number"], "");
    let said = ended.failed(1);
    assert!(said.contains("begins with the peer's number"), "{said}");
    let mut server = start(&["server", ANY, "--text", "\tnobody yet"]);
    server.says("no peer to answer is connected");
}

#[test]
fn a_radio_sends_to_groups() {
    let mut radio = start(&["radio", ANY]);
    let endpoint = radio.bound();
    radio.type_in("weather\trome 31\nnews\tnothing\nweather\toslo\t12\n");
    radio.end_input();
    let dish = start(&["dish", &endpoint, "--join", "weather", "--count", "2"]);
    radio.wait().ok();
    assert_eq!(dish.wait().ok(), ["weather\trome 31", "weather\toslo\t12"]);
}

#[test]
fn a_radio_with_one_group() {
    let whole = Scratch::new("radio", b"c\nd\n");
    let mut radio = start(&[
        "radio",
        ANY,
        "--group",
        "news",
        "--text",
        "a\tb",
        "--each-file",
        whole.path(),
    ]);
    let endpoint = radio.bound();
    let dish = start(&[
        "dish", &endpoint, "--join", "no", "--join", "news", "--count", "2", "--json",
    ]);
    radio.wait().ok();
    assert_eq!(
        dish.wait().ok(),
        [r#"["news","a\tb"]"#, r#"["news","c\nd\n"]"#]
    );
}

#[test]
fn a_radio_waits_for_so_many_groups() {
    let mut radio = start(&[
        "radio",
        ANY,
        "--group",
        "b",
        "--wait-for",
        "2",
        "--text",
        "x",
    ]);
    let endpoint = radio.bound();
    let mut first = start(&["dish", &endpoint, "--join", "a", "--verbose"]);
    first.says("handshake");
    let second = start(&["dish", &endpoint, "--join", "b", "--count", "1"]);
    radio.wait().ok();
    assert_eq!(second.wait().ok(), ["b\tx"]);
    let late = run(&["radio", ANY, "--timeout", "50ms", "--text", "a\tx"], "");
    let said = late.failed(124);
    assert!(said.contains("0 of 1 groups were joined"), "{said}");
}

#[test]
fn a_dish_needs_a_group() {
    let said = run(&["dish", ANY], "").failed(2);
    assert!(said.contains("--join"), "{said}");
    let long = "x".repeat(256);
    let said = run(&["dish", ANY, "--join", &long], "").failed(2);
    assert!(said.contains("up to 255 bytes"), "{said}");
}

#[test]
fn lines_from_scatter_to_gather() {
    let mut gather = start(&["gather", ANY, "--count", "3"]);
    let endpoint = gather.bound();
    run(&["scatter", &endpoint], "one\n\nthree").ok();
    assert_eq!(gather.wait().ok(), ["one", "", "three"]);
}

#[test]
fn messages_of_several_frames_are_refused() {
    for kind in ["scatter", "client", "channel"] {
        let ended = run(&[kind, ANY, "--delimiter", ",", "--text", "a,b"], "");
        let said = ended.failed(1);
        assert!(said.contains("one frame only"), "{kind}: {said}");
    }
}

#[test]
fn peers_talk_by_numbers() {
    let mut one = start(&["peer", ANY]);
    let endpoint = one.bound();
    let mut two = start(&["peer", &endpoint]);
    let said = two.says(" is at ");
    let number = said.split(' ').find_map(|word| word.parse::<u32>().ok());
    let number = number.expect("the peer's number");
    two.type_in("\tping\n");
    let ping = one.line();
    assert!(ping.ends_with("\tping"), "{ping}");
    one.type_in("\tpong\n");
    assert_eq!(two.line(), format!("{number}\tpong"));
    two.type_in(&format!("{number}\tagain\n"));
    assert_eq!(one.line(), ping.replace("ping", "again"));
}

#[test]
fn a_channel_talks_both_ways() {
    let mut one = start(&["channel", ANY]);
    let endpoint = one.bound();
    let mut two = start(&["channel", &endpoint]);
    two.type_in("ping\n");
    assert_eq!(one.line(), "ping");
    one.type_in("pong\n");
    assert_eq!(two.line(), "pong");
}
