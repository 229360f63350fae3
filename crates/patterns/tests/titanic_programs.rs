//! The Guide's programs for Titanic as processes: their console lines to the letter.

mod programs;

use programs::{Program, endpoint};

fn is_uuid(text: &str) -> bool {
    text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit())
}

#[test]
fn a_client_waits_for_a_worker_that_comes_later() {
    let (at, folder) = (endpoint(), tempfile::tempdir().unwrap());
    let file = folder.path().join("titanic.log");
    let _broker = Program::start("mdbroker", [&at]);
    let _titanic = Program::start("titanic", [&*at, file.to_str().unwrap()]);
    let client = Program::start("ticlient", [&*at, "--again", "100"]);
    let line = client.line();
    let id = line.strip_prefix("I: request UUID ");
    assert!(id.is_some_and(is_uuid), "{line}");
    client.expect(["I: no reply yet, trying again..."]);
    let _worker = Program::start("mdworker", [&at]);
    client.until("Reply: Hello world");
    assert_eq!(client.rest(), (Vec::new(), true));
}

#[test]
fn an_asynchronous_client_has_many_requests_under_way() {
    let (at, folder) = (endpoint(), tempfile::tempdir().unwrap());
    let file = folder.path().join("titanic.log");
    let _broker = Program::start("mdbroker", [&at]);
    let _worker = Program::start("mdworker", [&at]);
    let _titanic = Program::start("titanic", [&*at, file.to_str().unwrap()]);
    let client = Program::start("ticlient2", [&*at, "3"]);
    for _ in 0..3 {
        let line = client.line();
        let id = line.strip_prefix("I: request UUID ");
        assert!(id.is_some_and(is_uuid), "{line}");
    }
    client.expect((0..3).map(|n| format!("Reply: Hello world {n}")));
    assert_eq!(client.rest(), (Vec::new(), true));
}
