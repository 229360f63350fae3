//! Devices, watching, the demo, benchmarks, completions and man pages.

mod common;

use common::{Scratch, run, start, wait_until_gone};
use rustix::process::{Signal, kill_process, test_kill_process};

const ANY: &str = "tcp://127.0.0.1:*";

/// The endpoints in a proxy's first line.
fn endpoints(line: &str) -> Vec<String> {
    line.split([' ', ';', ','])
        .filter(|word| word.contains("://"))
        .map(Into::into)
        .collect()
}

#[test]
fn a_queue_carries_requests_and_replies() {
    let mut proxy = start(&["proxy", "queue", ANY, ANY]);
    let at = endpoints(&proxy.says("queue: ROUTER"));
    let rep = start(&["rep", &at[1], "--exec", "rev", "--count", "3"]);
    assert_eq!(
        run(&["req", &at[0]], "abc\ndef\nghi\n").ok(),
        ["cba", "fed", "ihg"]
    );
    rep.wait().ok();
    let said = proxy.interrupted().failed(130);
    assert!(
        said.contains("front: 3 messages") && said.contains("back: 3 messages"),
        "{said}"
    );
}

#[test]
fn a_streamer_with_a_capture() {
    let mut proxy = start(&["proxy", "streamer", ANY, ANY, "--capture", ANY]);
    let at = endpoints(&proxy.says("streamer: PULL"));
    let mut capture = start(&["sub", &at[2], "--count", "2", "--verbose"]);
    capture.says("handshake succeeded");
    let pull = start(&["pull", &at[1], "--count", "2"]);
    run(&["push", &at[0]], "a\nb\n").ok();
    assert_eq!(pull.wait().ok(), ["a", "b"]);
    let said = proxy.interrupted().failed(130);
    assert!(said.contains("front: 2 messages"), "{said}");
}

#[test]
fn a_forwarder_carries_subscriptions_upstream() {
    let mut proxy = start(&["proxy", "forwarder", ANY, ANY]);
    let at = endpoints(&proxy.says("forwarder: XSUB"));
    let publisher = start(&[
        "pub", &at[0], "--text", "a1", "--text", "b1", "--text", "a2",
    ]);
    let subscriber = start(&["sub", &at[1], "--subscribe", "a", "--count", "2"]);
    assert_eq!(subscriber.wait().ok(), ["a1", "a2"]);
    publisher.wait().ok();
    proxy.interrupted().failed(130);
}

#[test]
fn a_device_may_connect() {
    let mut pull = start(&["pull", ANY, "--count", "1"]);
    let target = pull.bound();
    let mut proxy = start(&["proxy", "streamer", ANY, &format!(">{target}")]);
    let at = endpoints(&proxy.says("streamer: PULL"));
    run(&["push", &at[0], "--text", "through"], "").ok();
    assert_eq!(pull.wait().ok(), ["through"]);
}

#[test]
fn watching_shows_events_and_counters() {
    let mut watch = start(&["watch", "pull", ANY, "--every", "50ms"]);
    let endpoint = watch.bound();
    run(&["push", &endpoint, "--text", "x"], "").ok();
    let mut seen = String::new();
    for expected in [
        "listening",
        "accepted",
        "handshake succeeded",
        "disconnected",
        "peers 0  in 1 ",
    ] {
        while !seen.contains(expected) {
            seen += &watch.line();
        }
    }
    let ended = watch.interrupted();
    assert_eq!(ended.status, Some(130), "{ended:?}");
    assert!(
        ended
            .stdout
            .last()
            .unwrap()
            .starts_with("1 messages (1 bytes) in"),
        "{ended:?}"
    );
}

#[test]
fn watching_ends_when_told() {
    run(&["watch", "sub", ANY, "--for", "50ms"], "").ok();
}

/// A text of `lines` lines.
fn text(name: &str, lines: usize) -> Scratch {
    let body: String = (0..lines)
        .map(|n| {
            format!(
                "The quick brown fox number {} jumps over the lazy dog\n",
                n % 97
            )
        })
        .collect();
    Scratch::new(name, body.as_bytes())
}

#[test]
fn the_demo_agrees_with_a_single_thread() {
    let file = text("demo", 5000);
    let out = run(&["demo", file.path(), "--workers", "3"], "")
        .ok()
        .join("\n");
    assert!(
        out.contains("5,000 lines") && out.contains("result    equal"),
        "{out}"
    );
    assert!(out.contains("10,000  the"), "{out}");
    assert!(out.contains("3: "), "{out}");
}

#[test]
fn the_demo_does_nothing_well() {
    let file = Scratch::new("empty", b"");
    let out = run(&["demo", file.path()], "").ok().join("\n");
    assert!(
        out.contains("0 lines") && out.contains("result    equal"),
        "{out}"
    );
}

#[test]
fn the_demo_reports_a_worker_that_dies() {
    let file = text("demo-death", 2_000_000);
    let mut demo = start(&["demo", file.path(), "--workers", "2"]);
    demo.line();
    kill_process(demo.children(2)[1], Signal::KILL).unwrap();
    demo.end_input();
    let said = demo.wait().failed(1);
    assert!(
        said.contains("died") && said.contains("signal: 9"),
        "{said}"
    );
}

#[test]
fn ctrl_c_ends_the_demo_and_its_workers() {
    let file = text("demo-ctrl-c", 2_000_000);
    let demo = start(&["demo", file.path(), "--workers", "2"]);
    demo.line();
    let workers = demo.children(2);
    demo.interrupted().failed(130);
    for worker in workers {
        assert!(
            test_kill_process(worker).is_err(),
            "worker {worker:?} is left behind"
        );
    }
}

#[test]
fn workers_end_when_the_demo_is_killed() {
    let file = text("demo-kill", 2_000_000);
    let demo = start(&["demo", file.path(), "--workers", "2"]);
    demo.line();
    let workers = demo.children(2);
    demo.signal(Signal::KILL);
    demo.wait();
    workers.into_iter().for_each(wait_until_gone);
}

macro_rules! benches {
    ($($name:ident: $($arg:expr),+;)*) => {
        $(#[test] fn $name() {
            let report = run(&["bench", $($arg),+, "--json"], "").ok().join("\n");
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert!(report["cpu_seconds"].as_f64().unwrap() > 0.0, "{report}");
            run(&["bench", $($arg),+], "").ok();
        })*
    };
}

benches! {
    throughput_over_tcp: "thr", "--count", "10k", "--size", "8k";
    throughput_over_ipc: "thr", "--count", "10k", "--transport", "ipc";
    throughput_over_inproc: "thr", "--count", "10k", "--transport", "inproc", "--size", "0";
    latency_over_tcp: "lat", "--count", "500";
    latency_over_ipc: "lat", "--count", "500", "--transport", "ipc";
    latency_over_inproc: "lat", "--count", "500", "--transport", "inproc";
    requests_over_tcp: "rpc", "--count", "500";
    requests_over_ipc: "rpc", "--count", "500", "--transport", "ipc", "--window", "3";
    requests_over_inproc: "rpc", "--count", "500", "--transport", "inproc", "--window", "1000";
}

#[test]
fn the_ends_of_a_benchmark_may_be_run_apart() {
    let mut server = start(&["bench", "thr", "--server", ANY, "--count", "1000"]);
    let line = server.says("waiting for messages at ");
    let endpoint = line.rsplit(' ').next().unwrap();
    run(
        &["bench", "thr", "--client", endpoint, "--count", "1000"],
        "",
    )
    .ok();
    assert!(server.wait().ok().join("\n").contains("throughput"));
}

#[test]
fn the_ends_of_a_benchmark_of_requests_may_be_run_apart() {
    let mut server = start(&["bench", "rpc", "--server", ANY, "--count", "1000"]);
    let line = server.says("answering 1,000 requests at ");
    let endpoint = line.rsplit(' ').next().unwrap();
    let told = run(
        &["bench", "rpc", "--client", endpoint, "--count", "1000"],
        "",
    );
    let told = told.ok().join("\n");
    assert!(
        told.contains("DEALER to ROUTER") && told.contains("% within"),
        "{told}"
    );
    server.wait().ok();
}

#[test]
fn ways_of_calling_are_compared() {
    let report = run(
        &[
            "bench",
            "calls",
            "--time",
            "20ms",
            "--clients",
            "2",
            "--json",
        ],
        "",
    );
    let report: serde_json::Value = serde_json::from_str(&report.ok().join("\n")).unwrap();
    let ways = report["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 6, "{report}");
    for way in ways {
        assert!(way["calls_per_second"].as_f64().unwrap() > 0.0, "{report}");
        assert!(way["p50_us"].as_f64() <= way["p99_us"].as_f64(), "{report}");
    }
}

#[test]
fn the_ends_of_a_comparison_of_calls_may_be_run_apart() {
    let mut server = start(&["bench", "calls", "--server", ANY]);
    let line = server.says("answering calls at ");
    let endpoint = line.rsplit(' ').next().unwrap();
    let calls = ["bench", "calls", "--time", "20ms", "--clients", "3"];
    let table = run(&[&calls[..], &["--client", endpoint]].concat(), "");
    let table = table.ok().join("\n");
    assert!(
        table.contains("a new socket") && table.contains("3 clients"),
        "{table}"
    );
    server.interrupted().failed(130);
}

#[test]
fn nothing_cannot_be_measured() {
    for (arguments, remedy) in [
        (["rpc", "--window", "0"], "--window"),
        (["calls", "--clients", "0"], "--clients"),
        (["calls", "--time", "0s"], "--time"),
    ] {
        let said = run(&[&["bench"], &arguments[..]].concat(), "").failed(1);
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn sizes_that_differ_are_told() {
    let mut server = start(&[
        "bench", "thr", "--server", ANY, "--count", "1000", "--size", "65",
    ]);
    let line = server.says("waiting for messages at ");
    let endpoint = line.rsplit(' ').next().unwrap();
    let client = start(&["bench", "thr", "--client", endpoint, "--count", "1000"]);
    assert!(server.wait().failed(1).contains("--size must agree"));
    client.interrupt();
}

#[test]
fn connections_are_held_and_weighed() {
    let report = run(
        &[
            "bench",
            "connections",
            "--count",
            "100",
            "--idle",
            "100ms",
            "--json",
        ],
        "",
    )
    .ok()
    .join("\n");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["connections"], 100);
    assert!(report["bytes_per_connection"].is_number());
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell], "").ok().join("\n");
        assert!(
            script.contains("xebec") && script.contains("proxy"),
            "{shell}"
        );
    }
}

#[test]
fn man_pages_on_paper_and_as_files() {
    let page = run(&["man"], "").ok().join("\n");
    assert!(
        page.contains(".TH xebec") && page.contains("Exit status"),
        "{page}"
    );
    let dir = Scratch::nothing("man");
    run(&["man", dir.path()], "").ok();
    for name in [
        "xebec.1",
        "xebec-push.1",
        "xebec-proxy.1",
        "xebec-bench-thr.1",
    ] {
        assert!(dir.0.join(name).exists(), "{name}");
    }
}

#[test]
fn help_and_version() {
    assert_eq!(
        run(&["--version"], "").ok(),
        [concat!("xebec ", env!("CARGO_PKG_VERSION"))]
    );
    let help = run(&["--help"], "").ok().join("\n");
    assert!(
        help.contains("Exit status") && help.contains("xebec rep"),
        "{help}"
    );
    assert!(!help.contains("demo-worker"), "{help}");
    let help = run(&["push", "--set", "help"], "").ok().join("\n");
    assert!(help.contains("sndhwm"), "{help}");
}
