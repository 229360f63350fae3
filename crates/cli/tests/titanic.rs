//! Titanic as `xebec titanic` and inside `xebec broker`: requests that outlive clients, services, brokers
//! and Titanic itself.

mod common;

use common::{Ended, Scratch, Xebec, run, start};
use rustix::process::Signal;

const ANY: &str = "tcp://127.0.0.1:*";

fn broker() -> (Xebec, String) {
    let mut broker = start(&["broker", "--bind", ANY]);
    let at = broker.bound();
    (broker, at)
}

/// A Titanic that knows its broker.
fn titanic(at: &str, args: &[&str]) -> Xebec {
    let mut titanic = start(&[&["titanic", "--broker", at, "--size", "1M"], args].concat());
    titanic.says("event=titanic-stamps known=true");
    titanic
}

fn worker(broker: &mut Xebec, at: &str, service: &str, exec: &str) -> Xebec {
    let worker = start(&["worker", service, "--broker", at, "--exec", exec]);
    broker.says(&format!("event=worker-ready service={service:?}"));
    worker
}

fn ask(at: &str, args: &[&str]) -> Ended {
    run(
        &[&["titanic"], args, &["--broker", at, "--timeout", "20s"]].concat(),
        "",
    )
}

fn submit(at: &str, args: &[&str]) -> String {
    let [id] = &ask(at, &[&["submit"], args].concat()).ok()[..] else {
        panic!("not one line");
    };
    id.clone()
}

#[test]
fn a_request_outlives_titanic_and_the_broker() {
    let store = Scratch::nothing("outlives.log");
    let (broker, at) = broker();
    let first = titanic(&at, &[store.path()]);
    // Nobody offers the service yet.
    let id = submit(&at, &["upper", "hello"]);
    assert_eq!(id.len(), 32);
    let pending = ask(&at, &["fetch", &id]).failed(124);
    assert!(pending.contains("no reply yet"), "{pending}");
    first.signal(Signal::KILL);
    first.wait();
    drop(broker);

    let mut broker = start(&["broker", "--bind", &at]);
    assert_eq!(broker.bound(), at);
    let mut second = start(&["titanic", "--broker", &at, "--size", "1M", store.path()]);
    assert!(second.says("event=titanic-open").contains("pending=1 "));
    let _worker = worker(&mut broker, &at, "upper", "tr a-z A-Z");
    assert_eq!(ask(&at, &["fetch", &id, "--wait"]).ok(), ["HELLO"]);
    assert_eq!(ask(&at, &["fetch", &id]).ok(), ["HELLO"]);
    assert!(ask(&at, &["close", &id]).ok().is_empty());
    let gone = ask(&at, &["fetch", &id]).failed(1);
    assert!(gone.contains("does not know this UUID"), "{gone}");
    let reply = ask(&at, &["submit", "upper", "again", "--wait"]);
    assert_eq!(reply.stdout, ["AGAIN"]);
    let status = ask(&at, &["status"]).ok();
    assert!(status[0].contains("stamps=yes") && status[0].contains("pending=0 replied=0"));
    assert!(status[1].contains(" closed=2 "), "{status:?}");

    second.signal(Signal::TERM);
    second.says("event=titanic-draining");
    assert_eq!(second.wait().status, Some(143));
    let mut third = start(&["titanic", "--broker", &at, "--size", "1M", store.path()]);
    // It was ended in order: nothing behind the last record is looked at.
    let open = third.says("event=titanic-open");
    assert!(open.contains("pending=0 replied=0 answers=0"), "{open}");
}

/// It gets no requests any more once it has missed three heartbeats, comes back, and answers who still asks.
#[test]
fn titanic_stands_still_and_goes_on() {
    let store = Scratch::nothing("still.log");
    let (mut broker, at) = broker();
    let titanic = titanic(&at, &[store.path()]);
    let before = submit(&at, &["upper", "before"]);
    titanic.signal(Signal::STOP);
    let patient = ["--timeout", "1s", "--attempts", "60", "--broker", &at];
    let submission = ["titanic", "submit", "upper", "meanwhile", "--once"];
    let waits = start(&[&submission[..], &patient].concat());
    broker.says("event=worker-gone service=\"titanic.request\"");
    titanic.signal(Signal::CONT);
    let [meanwhile] = &waits.wait().ok()[..] else {
        panic!("not one line");
    };
    let _worker = worker(&mut broker, &at, "upper", "tr a-z A-Z");
    for (id, reply) in [(&before, "BEFORE"), (meanwhile, "MEANWHILE")] {
        let fetch = ["titanic", "fetch", id, "--wait"];
        assert_eq!(run(&[&fetch[..], &patient].concat(), "").ok(), [reply]);
    }
}

#[test]
fn a_broker_has_titanic_aboard() {
    let store = Scratch::nothing("aboard.log");
    let config = Scratch::new(
        "aboard.toml",
        b"bind = ['tcp://127.0.0.1:*']\n[titanic]\nsize = '1M'\nsync = '1ms'\nlist = true\n",
    );
    let path = store.path();
    let args = ["broker", config.path(), "--titanic", path];
    let mut first = start(&args);
    first.says("event=titanic-open");
    let at = first.bound();
    // Nobody else takes its place.
    let stranger = start(&[
        "worker",
        "titanic.request",
        "--broker",
        &at,
        "--exec",
        "cat",
    ]);
    let status = || {
        run(&["broker", "status", "--broker", &at], "")
            .ok()
            .concat()
    };
    assert!((0..1000).any(|_| status().contains(" workers_refused=")));
    drop(stranger);
    let ids = [0, 1].map(|n| submit(&at, &["upper", &format!("hello {n}")]));
    let listed = ask(&at, &["list"]).ok();
    for (row, id) in listed.iter().zip(&ids) {
        assert!(row.starts_with(&format!("{id} pending ")), "{row}");
    }
    first.signal(Signal::KILL);
    first.wait();

    let mut second = start(&["broker", config.path(), "--titanic", path, "--bind", &at]);
    assert!(second.says("event=titanic-open").contains("pending=2 "));
    second.bound();
    let _worker = worker(&mut second, &at, "upper", "tr a-z A-Z");
    for (n, id) in ids.iter().enumerate() {
        let reply = ask(&at, &["fetch", id, "--wait"]).ok();
        assert_eq!(reply, [format!("HELLO {n}")]);
    }
    second.signal(Signal::USR1);
    second.says("titanic uptime=");
    second.signal(Signal::TERM);
    second.says("event=draining");
    assert_eq!(second.wait().status, Some(143));
    // Both are there again, with what they had.
    let mut third = start(&args);
    assert!(
        third
            .says("event=titanic-open")
            .contains("pending=0 replied=2 ")
    );
}

#[test]
fn what_cannot_be_is_told() {
    let nowhere = run(&["titanic"], "").failed(2);
    assert!(nowhere.contains("a FILE, or --memory"), "{nowhere}");
    let no_uuid = run(&["titanic", "fetch", "1234"], "").failed(2);
    assert!(no_uuid.contains("32 hexadecimal digits"), "{no_uuid}");
    let config = Scratch::new("foreign.log", b"something else");
    let foreign = run(&["titanic", config.path()], "").failed(1);
    assert!(foreign.contains("not a log of Titanic"), "{foreign}");

    let (_broker, at) = broker();
    let _titanic = titanic(&at, &["--memory"]);
    let list = ask(&at, &["list"]).failed(1);
    assert!(list.contains("403"), "{list}");
    let circle = ask(&at, &["submit", "titanic.close", "x"]).failed(1);
    assert!(circle.contains("called directly"), "{circle}");
}

#[test]
fn a_full_store_refuses_and_recovers() {
    let (mut broker, at) = broker();
    let mut titanic = titanic(&at, &["--memory"]);
    let big = "x".repeat(90_000);
    let mut ids = Vec::new();
    let refused = loop {
        let asked = ask(&at, &["submit", "nobody", &big]);
        if asked.status != Some(0) {
            break asked.failed(1);
        }
        ids.extend(asked.ok());
    };
    assert!(refused.contains("the store is full"), "{refused}");
    assert!((8..=12).contains(&ids.len()), "{}", ids.len());
    titanic.says("event=titanic-refused");
    ask(&at, &["close", &ids[0]]).ok();
    submit(&at, &["nobody", &big]);
    broker.signal(Signal::USR1);
    broker.says("service titanic.request workers=32");
}

#[test]
fn a_slow_service_delays_no_other() {
    let (mut broker, at) = broker();
    let _titanic = titanic(&at, &["--memory", "--calls", "4"]);
    // It never answers: what it waits for is the end of the worker that started it.
    let _stuck = worker(&mut broker, &at, "stuck", "tail --pid=$PPID -f /dev/null");
    let stuck: Vec<_> = (0..20).map(|_| submit(&at, &["stuck", "x"])).collect();
    let _upper = worker(&mut broker, &at, "upper", "tr a-z A-Z");
    let reply = ask(&at, &["submit", "upper", "fast", "--wait"]);
    assert_eq!(reply.stdout, ["FAST"]);
    let pending = ask(&at, &["fetch", &stuck[0]]).failed(124);
    assert!(pending.contains("no reply yet"), "{pending}");
}

/// A broker that keeps replies in its log, and an `xebec call` whose broker is killed before it has the
/// reply; each execution leaves a line in a file.
#[test]
fn what_was_answered_is_not_executed_again_by_the_next_broker() {
    let store = Scratch::nothing("once.log");
    let config = Scratch::new(
        "once.toml",
        b"bind = ['tcp://127.0.0.1:*']\n[once]\ndurable = true\n[titanic]\nsize = '1M'\n",
    );
    let path = store.path();
    let mut first = start(&["broker", config.path(), "--titanic", path]);
    let at = first.bound();
    let one = worker(&mut first, &at, "job", "sed s/^/did-/");
    let context = xebec::Context::new();
    // The same stamp, as a client that did not get its reply would send it.
    let key = xebec_patterns::majordomo::stamp::Key {
        client: [7; 16],
        number: 1,
    };
    let ask = |at: &str, text: &str| {
        let dealer = xebec::Dealer::new(&context).unwrap();
        dealer.connect(at).unwrap();
        let request = xebec_patterns::majordomo::codec::ToBroker::Request {
            service: "job".into(),
            body: vec![key.stamp(), text.into()],
        };
        dealer.send(request.frames(Default::default())).unwrap();
        let reply = dealer.recv().unwrap();
        reply.body().to_string_lossy().into_owned()
    };
    assert_eq!(ask(&at, "first"), "did-first");
    assert_eq!(ask(&at, "second"), "did-first", "it is the same request");
    first.signal(Signal::KILL);
    first.wait();
    one.signal(Signal::KILL);
    one.wait();
    let mut second = start(&["broker", config.path(), "--titanic", path, "--bind", &at]);
    assert!(second.says("event=titanic-open").contains("answers=1 "));
    second.bound();
    // There is no worker any more: it can only come from the log.
    assert_eq!(ask(&at, "third"), "did-first");
}
