//! Titanic at a broker over sockets: blocking and async clients, its end, and a store that fails.

use std::sync::Arc;
use std::time::SystemTime;

use xebec::{Context, Frame, Message};
use xebec_patterns::majordomo::broker::FRONT;
use xebec_patterns::majordomo::{Broker, BrokerConfig, ClientConfig, Worker, WorkerConfig};
use xebec_patterns::titanic::{
    Client, ClientError, ClientOptions, Failure, Id, Listed, Mark, MemoryLimits, MemoryStore,
    Server, ServerConfig, ServerNote, State, Store, StoreError, Usage,
};
use xebec_patterns::{Driver, DriverError, Handle};

/// A broker, a Titanic that knows it, and an echo that runs until the context ends.
fn stage(context: &Context, store: Arc<dyn Store>) -> (Handle<Broker>, String, Server) {
    let broker = Broker::new(BrokerConfig::new("tcp://127.0.0.1:*"));
    let broker = Driver::new(context, broker).unwrap();
    let at = broker.bound(FRONT)[0].clone();
    let broker = broker.spawn();
    let mut config = ServerConfig::new(&at);
    config.workers = 4;
    let titanic = Server::new(context, store, config).unwrap();
    while titanic.recv().unwrap() != ServerNote::Stamps(true) {}
    let worker = Worker::new(context, WorkerConfig::new(&at, "echo")).unwrap();
    std::thread::spawn(move || worker.serve(|request| request.clone()));
    (broker, at, titanic)
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(MemoryLimits::default()))
}

fn client(context: &Context, at: &str) -> Client {
    let config = ClientConfig::new(at).once();
    Client::new(context, config, ClientOptions::default()).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn tasks_have_requests_under_way_at_the_same_time() {
    let context = Context::new();
    let store = memory();
    let (_broker, at, titanic) = stage(&context, store.clone());
    let client = Arc::new(client(&context, &at));
    let set = tokio::task::LocalSet::new();
    set.run_until(async {
        let calls: Vec<_> = (0..20)
            .map(|n| {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    let mut request = client.submit("echo", n.to_string());
                    let id = request.id_async().await?;
                    let reply = request.reply_async().await?;
                    assert_eq!(client.follow(id).reply_async().await?, reply);
                    request.close_async().await?;
                    Ok::<Message, ClientError>(reply)
                })
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap().body(), &*n.to_string());
        }
    })
    .await;
    let unknown = client.follow(Id([1; 16])).reply();
    assert_eq!(unknown, Err(ClientError::Failed(Failure::Unknown)));
    let usage = store.usage();
    assert_eq!((usage.pending, usage.replied), (0, 0));
    titanic.stop();
    let error = loop {
        if let Err(error) = titanic.recv() {
            break error;
        }
    };
    assert!(matches!(error, DriverError::Ended), "{error}");
}

/// Where there is no broker, nobody has answered: a question that may have got through is asked again as
/// the same, and is not taken for refused.
#[test]
fn nobody_is_there_to_answer() {
    let context = Context::new();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp://{}", nowhere.local_addr().unwrap());
    drop(nowhere);
    let mut config = ClientConfig::new(at).once();
    (config.attempts, config.timeout) = (1, std::time::Duration::from_millis(300));
    let options = ClientOptions {
        attempts: 1,
        ..ClientOptions::default()
    };
    let client = Client::new(&context, config, options).unwrap();
    let outcome = client.submit("echo", "x").id();
    assert_eq!(outcome, Err(ClientError::Failed(Failure::Silent)));
}

/// A store whose disk fails at the first sync.
struct Failing(MemoryStore);

impl Store for Failing {
    fn submit(&self, id: Id, request: &[Frame], at: SystemTime) -> Result<Mark, StoreError> {
        self.0.submit(id, request, at).map(|_| Mark(1))
    }
    fn dispatched(&self, id: Id) -> Result<Mark, StoreError> {
        self.0.dispatched(id)
    }
    fn reply(&self, id: Id, reply: &[Frame]) -> Result<Mark, StoreError> {
        self.0.reply(id, reply)
    }
    fn abandon(&self, id: Id) -> Result<Mark, StoreError> {
        self.0.abandon(id)
    }
    fn close(&self, id: Id) -> Result<Mark, StoreError> {
        self.0.close(id)
    }
    fn state(&self, id: Id) -> Option<State> {
        self.0.state(id)
    }
    fn request(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.0.request(id)
    }
    fn fetch(&self, id: Id) -> Result<Vec<Frame>, StoreError> {
        self.0.fetch(id)
    }
    fn list(&self) -> Vec<Listed> {
        self.0.list()
    }
    fn usage(&self) -> Usage {
        self.0.usage()
    }
    fn sync(&self, _: Mark) -> Result<(), StoreError> {
        Err(StoreError::Failed(Arc::new(std::io::Error::other(
            "the disk is gone",
        ))))
    }
    fn durable(&self) -> Mark {
        Mark(0)
    }
}

#[test]
fn nobody_is_told_200_when_the_disk_fails() {
    let context = Context::new();
    let store = Failing(MemoryStore::new(MemoryLimits::default()));
    let (_broker, at, titanic) = stage(&context, Arc::new(store));
    let options = ClientOptions {
        attempts: 1,
        ..ClientOptions::default()
    };
    let client = Client::new(&context, ClientConfig::new(&at), options).unwrap();
    let error = client.submit("echo", "x").id().unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    let broken = loop {
        if let ServerNote::Broken(why) = titanic.recv().unwrap() {
            break why;
        }
    };
    assert!(broken.contains("the disk is gone"), "{broken}");
    titanic.close();
}
