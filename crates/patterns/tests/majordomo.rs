//! Majordomo over real sockets, and the Guide's programs as processes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use xebec::{Context, Frame, Message};
use xebec_patterns::majordomo::broker::FRONT;
use xebec_patterns::majordomo::codec::{FromWorker, ToBroker, ToWorker};
use xebec_patterns::majordomo::worker::WorkerOutput;
use xebec_patterns::majordomo::{
    Broker, BrokerConfig, CallError, Client, ClientConfig, Dialect, Worker, WorkerConfig,
};
use xebec_patterns::{Driver, Handle};

const ANY: &str = "tcp://127.0.0.1:*";

fn broker(context: &Context, at: &str) -> (Handle<Broker>, String) {
    let driver = Driver::new(context, Broker::new(BrokerConfig::new(at))).unwrap();
    let at = driver.bound(FRONT)[0].clone();
    (driver.spawn(), at)
}

/// A worker that is registered.
fn worker(context: &Context, at: &str, service: &str, dialect: Dialect) -> Arc<Worker> {
    let mut config = WorkerConfig::new(at, service);
    config.dialect = dialect;
    let worker = Arc::new(Worker::new(context, config).unwrap());
    while !matches!(worker.next().unwrap(), WorkerOutput::Up { .. }) {}
    worker
}

fn echo(worker: &Arc<Worker>) {
    let worker = worker.clone();
    std::thread::spawn(move || worker.serve(|request| request.clone()));
}

#[test]
fn many_threads_share_a_client_of_either_kind() {
    let context = Context::new();
    let (broker, at) = broker(&context, ANY);
    for dialect in [Dialect::Mdp01, Dialect::Mdp02] {
        echo(&worker(&context, &at, "echo", dialect));
    }
    for once in [false, true] {
        for dialect in [Dialect::Mdp01, Dialect::Mdp02] {
            let mut config = ClientConfig::new(&at);
            config.once = once;
            config.dialect = dialect;
            config.timeout = Duration::from_secs(30);
            let client = Client::new(&context, config).unwrap();
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let client = &client;
                    scope.spawn(move || {
                        for n in 0..50 {
                            let body: Message =
                                [format!("{thread}"), format!("{n}")].into_iter().collect();
                            assert_eq!(client.call("echo", body.clone()), Ok(body));
                        }
                    });
                }
            });
        }
    }
    let broker = broker.join();
    let counters = broker.counters();
    assert_eq!((counters.requests, counters.replies), (1600, 1600));
    assert_eq!(
        (counters.retries, counters.invalid, counters.joined),
        (0, 0, 0)
    );
}

/// While a worker was busy it got another request, and lost it: it is somebody else's, who may have answered it.
#[test]
fn a_worker_does_not_execute_what_it_lost_while_it_was_busy() {
    let context = Context::new();
    let router = xebec::Router::new(&context).unwrap();
    let at = router.bind(ANY).unwrap().to_string();
    let worker = Worker::new(&context, WorkerConfig::new(&at, "job")).unwrap();
    let registered = || {
        let (worker, frames) = router.recv().unwrap().split_first();
        let ready = ToBroker::parse(frames).unwrap().1;
        assert!(
            matches!(&ready, ToBroker::Worker(FromWorker::Ready { .. })),
            "{ready:?}"
        );
        worker
    };
    let tell = |id: &Frame, command: ToWorker| {
        router
            .send(command.frames(id.clone(), Dialect::default()))
            .unwrap();
    };
    let request = |body: &'static str| ToWorker::Request {
        address: body.into(),
        body: vec![body.into()],
    };
    let first = registered();
    tell(&first, request("first"));
    // It came twice, by whatever fault: it is one request.
    tell(&first, request("first"));
    let busy = worker.recv().unwrap();
    assert_eq!(busy.body.body(), "first");
    tell(&first, ToWorker::Disconnect);
    let second = registered();
    tell(&second, request("second"));
    tell(&second, ToWorker::Disconnect);
    let third = registered();
    tell(&third, request("third"));
    worker.reply(busy, "late");
    assert_eq!(worker.recv().unwrap().body.body(), "third");
    assert_eq!(worker.skipped(), 1);
}

#[test]
fn parts_come_as_they_are_sent() {
    let context = Context::new();
    let (_broker, at) = broker(&context, ANY);
    let worker = worker(&context, &at, "count", Dialect::Mdp02);
    let client = Client::new(&context, ClientConfig::new(&at)).unwrap();
    let mut stream = client.stream("count", "3");
    let request = worker.recv().unwrap();
    for part in ["1", "2"] {
        worker.partial(&request, part);
        // The next is sent only when this one is there.
        assert_eq!(stream.next().unwrap().unwrap().body(), part);
    }
    worker.reply(request, "3");
    assert_eq!(stream.next().unwrap().unwrap().body(), "3");
    assert!(stream.next().is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn tasks_call_at_the_same_time() {
    let context = Context::new();
    let (_broker, at) = broker(&context, ANY);
    let one = worker(&context, &at, "echo", Dialect::Mdp02);
    let client = Arc::new(Client::new(&context, ClientConfig::new(&at).once()).unwrap());
    let set = tokio::task::LocalSet::new();
    set.run_until(async {
        let calls: Vec<_> = (0..20)
            .map(|n| {
                let client = client.clone();
                tokio::task::spawn_local(
                    async move { client.call_async("echo", n.to_string()).await },
                )
            })
            .collect();
        for _ in 0..20 {
            let request = one.recv_async().await.unwrap();
            let body = request.body.clone();
            one.reply(request, body);
        }
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap().body(), &*n.to_string());
        }
    })
    .await;
}

#[test]
fn a_broker_that_comes_back_gets_its_workers_and_clients_back() {
    let context = Context::new();
    let (first, at) = broker(&context, ANY);
    echo(&worker(&context, &at, "echo", Dialect::Mdp02));
    let mut config = ClientConfig::new(&at);
    config.timeout = Duration::from_secs(20);
    let client = Client::new(&context, config.once()).unwrap();
    assert!(client.call("echo", "1").is_ok());
    drop(first);
    let pending = client.stream("echo", "2");
    let (_second, _) = loop {
        match Driver::new(&context, Broker::new(BrokerConfig::new(&at))) {
            Ok(driver) => break (driver.spawn(), ()),
            // The first one's port is still closing.
            Err(_) => std::thread::yield_now(),
        }
    };
    let parts: Result<Vec<_>, _> = pending.collect();
    assert_eq!(parts.unwrap()[0].body(), "2");
}

#[test]
fn nobody_waits_for_ever() {
    let context = Context::new();
    let (broker, at) = broker(&context, ANY);
    let mut config = ClientConfig::new(&at);
    config.timeout = Duration::from_millis(50);
    let client = Client::new(&context, config).unwrap();
    assert_eq!(client.call("nobody", "x"), Err(CallError::NoReply));
    assert_eq!(client.call("", "x"), Err(CallError::Name));
    drop(broker);
    let pending = client.stream("echo", "x");
    drop(client);
    // By then it may be known that there is nobody.
    let outcome = pending.last().unwrap();
    assert!(
        matches!(outcome, Err(CallError::NoReply | CallError::Unconnected(_))),
        "{outcome:?}"
    );
}

/// The examples, which cargo builds only when all tests are run.
fn build_examples() {
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "-p",
        env!("CARGO_PKG_NAME"),
        "--examples",
    ]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
}

/// One of the examples. Killed on drop.
struct Example(Child, BufReader<ChildStdout>);

impl Example {
    fn start(name: &str, args: &[&str]) -> Self {
        let here = std::env::current_exe().unwrap();
        let program = here.ancestors().nth(2).unwrap().join("examples").join(name);
        let mut child = Command::new(&program)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Example(child, stdout)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_guides_programs_say_what_they_say() {
    build_examples();
    let mut broker = Example::start("mdbroker", &["-v", ANY]);
    let active = broker.line();
    let at = active.strip_prefix("I: MDP broker/0.2.0 is active at ");
    let at = at.unwrap_or_else(|| panic!("{active}")).to_owned();
    let mut asks = Example::start("mmiecho", &[&at]);
    assert_eq!(asks.line(), "Lookup echo service: 404");
    let _worker = Example::start("mdworker", &[&at]);
    assert_eq!(broker.line(), "I: added service: echo");
    let registered = broker.line();
    assert!(
        registered.starts_with("I: registering new worker: 00"),
        "{registered}"
    );
    let mut asks = Example::start("mmiecho", &[&at]);
    assert_eq!(asks.line(), "Lookup echo service: 200");
    let mut client = Example::start("mdclient", &[&at, "500"]);
    assert_eq!(client.line(), "500 requests/replies processed");
}
