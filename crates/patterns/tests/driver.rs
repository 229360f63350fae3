//! The driver over real sockets: blocking in the caller's thread, in a thread of its own, and async.

use std::time::{Duration, Instant};

use xebec::{Context, Options, SocketType};
use xebec_patterns::{Actions, Driver, DriverError, Event, Link, Machine, Port, Spec, Time};

/// More than any of this takes.
const LIMIT: Duration = Duration::from_secs(20);
const PORT: Port = Port(0);

/// Asks its server for each command and tells the answer; ticks in between.
struct Asker {
    spec: Spec,
    tick: Option<Duration>,
    due: Option<Time>,
    farewell: bool,
}

#[derive(Debug, PartialEq)]
enum Told {
    Answer(String),
    Tick,
    Link(Link),
    Unsent,
}

impl Asker {
    fn new(spec: Spec) -> Self {
        Asker {
            spec,
            tick: None,
            due: None,
            farewell: false,
        }
    }
}

impl Machine for Asker {
    type Command = String;
    type Output = Told;

    fn handle(&mut self, event: Event<String>, now: Time, actions: &mut Actions<Told>) {
        match event {
            Event::Start => {
                actions.open(PORT, self.spec.clone());
                self.due = self.tick.map(|tick| now + tick);
            }
            Event::Message { message, .. } => {
                actions.deliver(Told::Answer(message.to_string_lossy().into_owned()));
                if self.farewell {
                    actions.end();
                }
            }
            Event::Command(text) => actions.send(PORT, text),
            Event::Due => {
                assert!(self.due.take().is_some_and(|due| due <= now));
                self.due = self.tick.map(|tick| now + tick);
                actions.deliver(Told::Tick);
            }
            Event::Link { link, .. } => actions.deliver(Told::Link(link)),
            Event::Unsent { .. } => actions.deliver(Told::Unsent),
            Event::Stop => {
                // Not without a last answer.
                actions.send(PORT, "farewell");
                self.farewell = true;
            }
        }
    }

    fn due(&self) -> Option<Time> {
        self.due
    }
}

/// Answers whatever it gets.
struct Echo(Spec);

impl Machine for Echo {
    type Command = ();
    type Output = ();

    fn handle(&mut self, event: Event<()>, _: Time, actions: &mut Actions<()>) {
        match event {
            Event::Start => actions.open(PORT, self.0.clone()),
            Event::Message { port, message } => actions.send(port, message),
            Event::Stop => actions.end(),
            _ => {}
        }
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

fn echo(context: &Context) -> (xebec_patterns::Handle<Echo>, String) {
    let spec = Spec::new(SocketType::Router).bind("tcp://127.0.0.1:*");
    let driver = Driver::new(context, Echo(spec)).unwrap();
    let at = driver.bound(PORT)[0].clone();
    (driver.spawn(), at)
}

fn answer(text: &str) -> Told {
    Told::Answer(text.to_owned())
}

#[test]
fn in_the_callers_thread() {
    let context = Context::new();
    let (_echo, at) = echo(&context);
    let mut asker = Asker::new(Spec::new(SocketType::Dealer).connect(&at).watch());
    asker.tick = Some(Duration::from_millis(5));
    let mut driver = Driver::new(&context, asker).unwrap();
    driver.command("one".to_owned()).unwrap();
    let mut ticks = 0;
    let mut links = Vec::new();
    loop {
        match driver.recv_timeout(LIMIT).unwrap().expect("in time") {
            Told::Tick => ticks += 1,
            Told::Link(link) => links.push(link),
            other => {
                assert_eq!(other, answer("one"));
                break;
            }
        }
    }
    while ticks < 3 {
        ticks += usize::from(driver.recv().unwrap() == Told::Tick);
    }
    assert!(links.contains(&Link::Up), "{links:?}");
    driver.stop().unwrap();
    while driver.recv().unwrap() != answer("farewell") {}
    assert!(matches!(driver.recv(), Err(DriverError::Ended)));
    assert!(matches!(
        driver.command("more".to_owned()),
        Err(DriverError::Ended)
    ));
    assert!(driver.has_ended());
}

#[test]
fn in_a_thread_of_its_own() {
    let context = Context::new();
    let (echo, at) = echo(&context);
    // All of them may be asked before there is a connection.
    let spec = Spec::new(SocketType::Dealer).options(Options::new().sndhwm(2000));
    let asker = Asker::new(spec.connect(&at));
    let handle = Driver::new(&context, asker).unwrap().spawn();
    assert!(handle.try_recv().unwrap().is_none());
    for n in 0..2000 {
        handle.command(n.to_string());
    }
    for n in 0..2000 {
        assert_eq!(handle.recv().unwrap(), answer(&n.to_string()));
    }
    let patience = Duration::from_millis(1);
    assert!(handle.recv_timeout(patience).unwrap().is_none());
    handle.stop();
    assert_eq!(
        handle.recv_timeout(LIMIT).unwrap(),
        Some(answer("farewell"))
    );
    assert!(matches!(handle.recv(), Err(DriverError::Ended)));
    handle.join();
    echo.join();
}

#[test]
fn dropping_the_handle_ends_the_thread_and_closes_its_ports() {
    let context = Context::new();
    let (echo, at) = echo(&context);
    drop(echo);
    let spec = Spec::new(SocketType::Router).bind(&at);
    let before = Instant::now();
    // The address is free as soon as the socket is gone.
    while Driver::new(&context, Echo(spec.clone())).is_err() {
        assert!(before.elapsed() < LIMIT);
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn in_a_task() {
    let context = Context::new();
    let (_echo, at) = echo(&context);
    let mut asker = Asker::new(Spec::new(SocketType::Dealer).connect(&at).watch());
    asker.tick = Some(Duration::from_millis(5));
    let mut driver = Driver::new(&context, asker).unwrap();
    driver.command("one".to_owned()).unwrap();
    let mut seen = Vec::new();
    let all = async {
        while !(seen.contains(&answer("one"))
            && seen.contains(&Told::Tick)
            && seen.contains(&Told::Link(Link::Up)))
        {
            seen.push(driver.recv_async(tokio::time::sleep).await.unwrap());
        }
        let handle = driver.spawn();
        handle.command("two".to_owned());
        while handle.recv_async().await.unwrap() != answer("two") {}
    };
    tokio::time::timeout(LIMIT, all).await.expect("in time");
}

#[test]
fn what_cannot_be_sent_comes_back_and_what_cannot_be_bound_is_an_error() {
    let context = Context::new();
    let options = Options::new().router_mandatory(true);
    let spec = Spec::new(SocketType::Router)
        .bind("inproc://a")
        .options(options);
    let mut driver = Driver::new(&context, Asker::new(spec.clone())).unwrap();
    driver.command("nobody".to_owned()).unwrap();
    assert_eq!(driver.recv().unwrap(), Told::Unsent);
    let second = Driver::new(&context, Asker::new(spec));
    assert!(matches!(second, Err(DriverError::Address(_))));
}

#[test]
fn the_end_of_the_context_ends_it() {
    let context = Context::new();
    let (echo, at) = echo(&context);
    let asker = Asker::new(Spec::new(SocketType::Dealer).connect(&at));
    let handle = Driver::new(&context, asker).unwrap().spawn();
    handle.command("one".to_owned());
    assert_eq!(handle.recv().unwrap(), answer("one"));
    std::thread::scope(|scope| {
        scope.spawn(|| context.term());
        assert!(matches!(handle.recv(), Err(DriverError::Terminated)));
        assert!(matches!(handle.recv(), Err(DriverError::Ended)));
        assert!(matches!(echo.recv(), Err(DriverError::Terminated)));
    });
}

/// Panics when it is asked to.
struct Brittle;

impl Machine for Brittle {
    type Command = ();
    type Output = ();

    fn handle(&mut self, event: Event<()>, _: Time, _: &mut Actions<()>) {
        assert!(event == Event::Start, "it breaks");
    }

    fn due(&self) -> Option<Time> {
        None
    }
}

#[test]
fn a_machine_that_panics_leaves_nobody_waiting() {
    let handle = Driver::new(&Context::new(), Brittle).unwrap().spawn();
    handle.command(());
    assert!(matches!(handle.recv(), Err(DriverError::Ended)));
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.join()));
    assert!(joined.is_err());
}
