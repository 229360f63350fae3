//! Majordomo with other people's implementations, each as client, worker and broker: PyPI's majortomo
//! (MDP 0.2) and pyzmq-mdp (MDP 0.1).

use std::sync::Arc;
use std::time::Duration;

use xebec::{Context, Message};
use xebec_patterns::majordomo::broker::FRONT;
use xebec_patterns::majordomo::{
    Broker, BrokerConfig, Client, ClientConfig, Dialect, HEARTBEAT, Worker, WorkerConfig,
};
use xebec_patterns::titanic::{
    self, ClientOptions, MemoryLimits, MemoryStore, Server, ServerConfig, ServerNote,
};
use xebec_patterns::{Driver, Handle};
use xebec_peers::python::{Python, PythonPeer};

const LIMIT: Duration = Duration::from_secs(30);

/// pyzmq-mdp needs a class that pyzmq no longer has.
const MDP: &str = r#"
import warnings
warnings.simplefilter("ignore")
import zmq.eventloop.ioloop as ioloop

class DelayedCallback:
    def __init__(self, callback, ms, io_loop=None):
        self.callback, self.ms, self.timer = callback, ms, None

    def start(self):
        self.timer = ioloop.IOLoop.current().call_later(self.ms / 1000, self.callback)

    def stop(self):
        if self.timer is not None:
            ioloop.IOLoop.current().remove_timeout(self.timer)

ioloop.DelayedCallback = DelayedCallback
import mdp, mdp.client

def until_hung_up():
    loop = ioloop.IOLoop.current()
    loop.add_handler(sys.stdin, lambda *_: loop.stop(), loop.READ)
    loop.start()
    os._exit(0)
"#;

const MDP_WORKER: &str = r#"
class Echo(mdp.MDPWorker):
    def on_request(self, msg):
        self.reply([b"mdp"] + msg)

worker = Echo(context, args[0], b"echo")
say("ready")
until_hung_up()
"#;

const MDP_CLIENT: &str = r#"
socket = context.socket(zmq.REQ)
socket.connect(args[0])
for n in range(20):
    reply = mdp.client.mdp_request(socket, args[1].encode(), [b"one", b"%d" % n], 20)
    say(b" ".join(reply).decode())
"#;

const MDP_BROKER: &str = r#"
import mdp.broker
socket = context.socket(zmq.ROUTER)
port = socket.bind_to_random_port("tcp://127.0.0.1")
socket.close()
broker = mdp.broker.MDPBroker(context, "tcp://127.0.0.77:%d" % port)
say("tcp://127.0.0.77:%d" % port)
until_hung_up()
"#;

const MAJORTOMO_WORKER: &str = r#"
from majortomo.worker import Worker
worker = Worker(args[0], "echo", heartbeat_interval=0.5, zmq_context=context)
worker.connect()
say("ready")
while True:
    client, request = worker.wait_for_request()
    worker.send_reply_partial(client, [b"majortomo"])
    worker.send_reply_final(client, request)
"#;

const MAJORTOMO_CLIENT: &str = r#"
from majortomo.client import Client
client = Client(args[0], zmq_context=context)
client.connect()
for n in range(20):
    client.send(args[1], b"one", b"%d" % n)
    say(b" ".join(client.recv_all_as_list(timeout=20)).decode())
client.close()
"#;

const MAJORTOMO_BROKER: &str = r#"
from majortomo.broker import Broker
socket = context.socket(zmq.ROUTER)
port = socket.bind_to_random_port("tcp://127.0.0.1")
socket.close()
broker = Broker("tcp://127.0.0.77:%d" % port, zmq_context=context)
threading.Thread(target=lambda: (hear(), os._exit(0)), daemon=True).start()
say("tcp://127.0.0.77:%d" % port)
broker.run()
"#;

fn python(prelude: &str, script: &str, args: &[&str]) -> PythonPeer {
    let python = Python::load().unwrap_or_else(|why| panic!("{why}"));
    python.spawn(&format!("{prelude}\n{script}"), args)
}

fn broker(context: &Context) -> (Handle<Broker>, String) {
    let broker = Broker::new(BrokerConfig::new("tcp://127.0.0.1:*"));
    let driver = Driver::new(context, broker).unwrap();
    let at = driver.bound(FRONT)[0].clone();
    (driver.spawn(), at)
}

fn client(context: &Context, at: &str, dialect: Dialect) -> Client {
    let mut config = ClientConfig::new(at);
    config.dialect = dialect;
    config.timeout = LIMIT;
    Client::new(context, config).unwrap()
}

fn asks(client: &Client, n: u32) -> String {
    let body: Message = ["one".to_owned(), n.to_string()].into_iter().collect();
    let reply = client.call("echo", body).unwrap();
    let frames: Vec<_> = reply
        .frames()
        .map(|f| f.to_string_lossy().into_owned())
        .collect();
    frames.join(" ")
}

/// A worker of theirs at our broker, asked by clients of theirs and ours.
fn worker_of_theirs(prelude: &str, worker: &str, word: &str) {
    let context = Context::new();
    let (broker, at) = broker(&context);
    let mut worker = python(prelude, worker, &[&at]);
    assert_eq!(worker.expect_line(LIMIT), "ready");
    for dialect in [Dialect::Mdp01, Dialect::Mdp02, Dialect::Majortomo] {
        let client = client(&context, &at, dialect);
        for n in 0..20 {
            assert_eq!(asks(&client, n), format!("{word} one {n}"));
        }
    }
    let mut majortomo = python("", MAJORTOMO_CLIENT, &[&at, "echo"]);
    let mut mdp = python(MDP, MDP_CLIENT, &[&at, "echo"]);
    for n in 0..20 {
        assert_eq!(majortomo.expect_line(LIMIT), format!("{word} one {n}"));
        // Its `mdp_request` takes one frame off, of the two in front of the reply.
        assert_eq!(mdp.expect_line(LIMIT), format!("echo {word} one {n}"));
    }
    majortomo.finish(LIMIT);
    mdp.finish(LIMIT);
    let counters = *broker.join().counters();
    assert_eq!((counters.requests, counters.replies), (100, 100));
    assert_eq!((counters.invalid, counters.retries), (0, 0));
}

#[test]
fn a_worker_of_majortomo() {
    worker_of_theirs("", MAJORTOMO_WORKER, "majortomo");
}

#[test]
fn a_worker_of_pyzmq_mdp() {
    worker_of_theirs(MDP, MDP_WORKER, "mdp");
}

#[test]
fn their_clients_are_told_what_the_broker_knows() {
    let context = Context::new();
    let (_broker, at) = broker(&context);
    let mut majortomo = python("", MAJORTOMO_CLIENT, &[&at, "mmi.service"]);
    assert_eq!(majortomo.expect_line(LIMIT), "404");
    let mut mdp = python(MDP, MDP_CLIENT, &[&at, "mmi.nothing"]);
    assert_eq!(mdp.expect_line(LIMIT), "mmi.nothing 501");
}

/// How often their brokers send heartbeats. A worker that expects them more often gives its broker up.
fn heartbeat(dialect: Dialect) -> Duration {
    match dialect {
        Dialect::Mdp01 => Duration::from_secs(1),
        _ => HEARTBEAT,
    }
}

/// A worker and a client of ours at a broker of theirs.
fn broker_of_theirs(prelude: &str, script: &str, dialect: Dialect) {
    let mut broker = python(prelude, script, &[]);
    let at = broker.expect_line(LIMIT);
    let context = Context::new();
    let mut config = WorkerConfig::new(&at, "echo");
    config.dialect = dialect;
    config.heartbeat = heartbeat(dialect);
    let worker = Worker::new(&context, config).unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| worker.serve(|request| request.clone()));
        let client = client(&context, &at, dialect);
        for n in 0..20 {
            assert_eq!(asks(&client, n), format!("one {n}"));
        }
        titanic(&context, &at, dialect);
        worker.stop();
        serving.join().unwrap().unwrap_err();
    });
}

/// Titanic there finds that the broker knows no stamps, and calls plainly.
fn titanic(context: &Context, at: &str, dialect: Dialect) {
    let mut config = ServerConfig::new(at);
    config.dialect = dialect;
    config.heartbeat = heartbeat(dialect);
    config.workers = 2;
    // The call to a service that is not there is never answered.
    config.drain_time = Duration::from_secs(1);
    let store = Arc::new(MemoryStore::new(MemoryLimits::default()));
    let titanic = Server::new(context, store, config).unwrap();
    while titanic.recv().unwrap() != ServerNote::Stamps(false) {}
    let mut config = ClientConfig::new(at);
    config.dialect = dialect;
    let client = titanic::Client::new(context, config, ClientOptions::default()).unwrap();
    let nobody = client.submit("nobody", "x").id().unwrap();
    let mut request = client.submit("echo", "by way of Titanic");
    assert_eq!(request.reply().unwrap().body(), "by way of Titanic");
    request.close().unwrap();
    client.follow(nobody).close().unwrap();
    titanic.close();
}

#[test]
fn a_broker_of_majortomo() {
    broker_of_theirs("", MAJORTOMO_BROKER, Dialect::Majortomo);
}

#[test]
fn a_broker_of_pyzmq_mdp() {
    broker_of_theirs(MDP, MDP_BROKER, Dialect::Mdp01);
}
