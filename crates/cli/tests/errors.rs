//! What goes wrong is told in one sentence, with the exit status that `--help` promises.

mod common;

use common::{run, start};

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn an_address_in_use() {
    let mut pull = start(&["pull", ANY]);
    let endpoint = pull.bound();
    let said = run(&["pull", "--bind", &endpoint], "").failed(1);
    assert!(said.starts_with("xebec: "), "{said}");
    assert!(
        said.contains(&endpoint) && said.contains("in use"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

macro_rules! bad_endpoints {
    ($($name:ident: $endpoint:expr, $expected:expr;)*) => {
        mod endpoints {
            $(#[test] fn $name() {
                let said = super::run(&["pull", $endpoint], "").failed(1);
                assert!(said.starts_with("xebec: ") && said.contains($expected), "{said}");
                assert_eq!(said.lines().count(), 1, "{said}");
            })*
        }
    };
}

bad_endpoints! {
    no_transport: "localhost:5555", "localhost:5555";
    unknown_transport: "tpc://localhost:5555", "tpc";
    no_port: "tcp://localhost", "tcp://localhost";
    bad_port: "tcp://localhost:99999", "99999";
    empty: "", "endpoint";
}

#[test]
fn an_address_of_somebody_else() {
    let said = run(&["pull", "--bind", "tcp://192.0.2.1:5555"], "").failed(1);
    assert!(said.contains("not an address of this machine"), "{said}");
}

#[test]
fn types_that_cannot_talk() {
    let mut pull = start(&["pull", ANY]);
    let endpoint = pull.bound();
    let mut other = start(&["pull", &endpoint, "--verbose"]);
    let said = other.says("handshake failed");
    assert!(said.contains("PULL"), "{said}");
}

macro_rules! usage_errors {
    ($($name:ident: $args:expr, $expected:expr;)*) => {
        mod usage {
            $(#[test] fn $name() {
                let said = super::run(&$args, "").failed(2);
                assert!(said.contains($expected), "{said}");
            })*
        }
    };
}

usage_errors! {
    no_command: [], "Usage";
    unknown_command: ["pul", "tcp://*:1"], "pull";
    unknown_flag: ["pull", "tcp://*:1", "--cuont", "1"], "--count";
    no_endpoint: ["pull"], "ENDPOINT";
    no_endpoint_but_options: ["pull", "--set", "rcvhwm=1"], "needs an endpoint";
    a_count_that_is_none: ["pull", "tcp://*:1", "--count", "few"], "few";
    a_duration_without_unit: ["pull", "tcp://*:1", "--timeout", "500"], "500ms or 500s";
    a_rate_that_is_none: ["push", "tcp://*:1", "--rate", "fast"], "fast";
    an_unknown_option: ["pull", "tcp://*:1", "--set", "rcvhmw=1"], "did you mean rcvhwm?";
    an_option_without_value: ["pull", "tcp://*:1", "--set", "rcvhwm"], "NAME=VALUE";
    a_wrong_value: ["pull", "tcp://*:1", "--set", "rcvhwm=many"], "many";
    an_option_of_another_type: ["pull", "tcp://*:1", "--set", "router_mandatory=1"], "ROUTER";
    a_timeout_by_option: ["sub", "tcp://*:1", "--set", "rcvtimeo=1"], "--timeout";
    subscribing_by_option: ["sub", "tcp://*:1", "--set", "subscribe=a"], "--subscribe";
    an_identity_in_wrong_digits: ["dealer", "tcp://*:1", "--identity", "0x123"], "hexadecimal";
    an_empty_delimiter: ["push", "tcp://*:1", "--delimiter", ""], "--delimiter";
    a_wrong_escape: ["push", "tcp://*:1", "--delimiter", r"\q"], "backslash";
    a_terminator_of_lines: ["push", "tcp://*:1", "--terminator", ";"], "--raw";
    repeating_stdin: ["push", "tcp://*:1", "--repeat"], "--repeat";
    two_formats: ["push", "tcp://*:1", "--hex", "--json"], "--json";
    an_unknown_device: ["proxy", "queu", "tcp://*:1", "tcp://*:2"], "queue";
    an_unknown_type: ["watch", "poll", "tcp://*:1"], "pull";
    an_unknown_shell: ["completions", "bsh"], "bash";
    no_workers: ["demo", "--workers", "0"], "0";
    an_unknown_transport: ["bench", "thr", "--transport", "tpc"], "tcp";
    two_ends: ["bench", "thr", "--server", "tcp://*:1", "--client", "tcp://*:1"], "--client";
    two_answers: ["rep", "tcp://*:1", "--exec", "cat", "--reply", "x"], "--reply";
}

#[test]
fn input_that_cannot_be_read() {
    let said = run(&["push", ANY, "--file", "/nowhere/at/all"], "").failed(1);
    assert!(said.contains("/nowhere/at/all"), "{said}");
    let said = run(&["push", ANY, "--json"], "[1]\n").failed(1);
    assert!(
        said.contains("standard input, message 1") && said.contains("a frame is a string"),
        "{said}"
    );
    let said = run(&["demo", "/nowhere/at/all"], "").failed(1);
    assert!(said.contains("/nowhere/at/all"), "{said}");
}

#[test]
fn timeouts_have_their_own_status() {
    let said = run(&["pull", ANY, "--timeout", "50ms"], "").failed(124);
    assert!(said.contains("nothing arrived within 50ms"), "{said}");
    let said = run(&["push", ANY, "--timeout", "50ms", "--text", "x"], "").failed(124);
    assert!(said.contains("no peer took the message"), "{said}");
    let said = run(
        &[
            "req",
            "tcp://127.0.0.1:1",
            "--timeout",
            "50ms",
            "--linger",
            "0",
            "--text",
            "x",
        ],
        "",
    )
    .failed(124);
    assert!(said.contains("no reply to request 1"), "{said}");
    let said = run(&["rep", ANY, "--timeout", "50ms"], "").failed(124);
    assert!(said.contains("no request"), "{said}");
    let said = run(&["pub", ANY, "--timeout", "50ms", "--text", "x"], "").failed(124);
    assert!(said.contains("0 of 1 subscribers"), "{said}");
}

#[test]
fn linger_is_honoured_at_the_end() {
    let ended = run(
        &[
            "push",
            "tcp://127.0.0.1:1",
            "--linger",
            "50ms",
            "--text",
            "x",
        ],
        "",
    );
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

mod interrupted {
    //! Ctrl-C ends every stage with status 130.
    use super::*;

    #[test]
    fn push_without_peers() {
        let mut push = start(&["push", ANY, "--text", "x"]);
        push.bound();
        push.interrupted().failed(130);
    }

    #[test]
    fn push_that_reads_its_input() {
        let mut push = start(&["push", ANY]);
        push.bound();
        push.interrupted().failed(130);
    }

    #[test]
    fn push_that_keeps_a_rate() {
        let mut pull = start(&["pull", ANY]);
        let endpoint = pull.bound();
        let push = start(&[
            "push",
            &endpoint,
            "--text",
            "x",
            "--repeat",
            "--interval",
            "1h",
        ]);
        assert_eq!(pull.line(), "x");
        push.interrupted().failed(130);
    }

    #[test]
    fn push_that_lingers() {
        let mut push = start(&["push", "tcp://127.0.0.1:1", "--text", "x"]);
        push.says("waiting for peers");
        push.interrupted().failed(130);
    }

    #[test]
    fn sigterm_has_its_own_status() {
        let mut pull = start(&["pull", ANY]);
        pull.bound();
        pull.signal(rustix::process::Signal::TERM);
        pull.wait().failed(143);
    }

    macro_rules! while_bound {
        ($($name:ident: $($arg:expr),+;)*) => {
            $(#[test] fn $name() {
                let mut xebec = start(&[$($arg),+]);
                xebec.bound();
                xebec.interrupted().failed(130);
            })*
        };
    }

    while_bound! {
        pull: "pull", ANY;
        publisher: "pub", ANY;
        sub: "sub", ANY;
        req: "req", ANY, "--text", "x";
        req_that_reads: "req", ANY;
        rep: "rep", ANY;
        dealer: "dealer", ANY;
        router: "router", ANY;
        pair: "pair", ANY;
        xpub: "xpub", ANY;
        xsub: "xsub", ANY;
        stream: "stream", ANY;
        watch: "watch", "pull", ANY;
    }

    #[test]
    fn req_without_reply() {
        let mut router = start(&["router", ANY]);
        let endpoint = router.bound();
        let req = start(&["req", &endpoint, "--text", "x"]);
        router.line();
        req.interrupted().failed(130);
    }

    #[test]
    fn rep_while_its_command_runs() {
        let mut rep = start(&["rep", ANY, "--exec", "echo started >&2; sleep 1000"]);
        let endpoint = rep.bound();
        let _req = start(&["req", &endpoint, "--text", "x"]);
        rep.says("started");
        rep.interrupted().failed(130);
    }

    #[test]
    fn bench_server() {
        let mut bench = start(&["bench", "thr", "--server", ANY]);
        bench.says("waiting for messages");
        bench.interrupted().failed(130);
        let mut bench = start(&["bench", "lat", "--server", ANY]);
        bench.says("answering");
        bench.interrupted().failed(130);
    }
}
