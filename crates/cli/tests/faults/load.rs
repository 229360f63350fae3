//! Clients that ask without a pause, and an account of every request: each comes to exactly one end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xebec::Context;
use xebec_patterns::majordomo::ClientMachine;
use xebec_patterns::majordomo::client::{ClientCommand, ClientOutput};
use xebec_patterns::{Driver, Machine, freelance, lazy};

/// Longer than anything takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A client's machine: how it is asked, and how its requests end.
pub(crate) trait Asks: Machine + Send + Sized + 'static {
    fn ask(number: u64) -> Self::Command;
    /// The number of the request that has come to its end, if one has, and why there is no reply.
    fn end(output: Self::Output) -> Option<(u64, Result<(), String>)>;
}

impl Asks for ClientMachine {
    fn ask(ticket: u64) -> ClientCommand {
        ClientCommand::Call {
            ticket,
            service: "echo".into(),
            body: vec![ticket.to_string().into()],
            key: None,
        }
    }

    fn end(output: ClientOutput) -> Option<(u64, Result<(), String>)> {
        match output {
            ClientOutput::Part {
                ticket,
                last: true,
                body,
            } => {
                assert_eq!(body, [&*ticket.to_string()], "another's reply");
                Some((ticket, Ok(())))
            }
            ClientOutput::Part { .. } => None,
            ClientOutput::Failed { ticket, error } => Some((ticket, Err(error.to_string()))),
        }
    }
}

impl Asks for lazy::Client {
    fn ask(number: u64) -> lazy::Command {
        lazy::Command::Request(number, number.to_string().into())
    }

    fn end(output: lazy::Output) -> Option<(u64, Result<(), String>)> {
        match output {
            lazy::Output::Reply(number, body) => {
                assert_eq!(body.body(), &*number.to_string(), "another's reply");
                Some((number, Ok(())))
            }
            lazy::Output::Failed(number, why) => Some((number, Err(why.to_string()))),
            _ => None,
        }
    }
}

impl Asks for freelance::Direct {
    fn ask(number: u64) -> freelance::Command {
        freelance::Command::Request(number, "x".into())
    }

    fn end(output: freelance::Output) -> Option<(u64, Result<(), String>)> {
        match output {
            freelance::Output::Reply { request, .. } => Some((request, Ok(()))),
            freelance::Output::Failed { request, why } => Some((request, Err(why.to_string()))),
            _ => None,
        }
    }
}

/// What became of the requests.
#[derive(Clone, Default)]
pub(crate) struct Account {
    pub(crate) asked: u64,
    pub(crate) replied: u64,
    /// Failures by their reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// The longest time between two replies.
    gap: Duration,
    /// The longest time that a request took to its end.
    longest: Duration,
    last: Option<Instant>,
    ends: bool,
}

impl Account {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (asked, replied) = (self.asked, self.replied);
        write!(f, "{asked} asked, {replied} replied, ")?;
        match self.failures() {
            0 => f.write_str("none lost")?,
            _ => write!(f, "failed: {:?}", self.failed)?,
        }
        let (gap, longest) = (self.gap.as_millis(), self.longest.as_millis());
        write!(
            f,
            "; nobody was served for {gap} ms, and a request took up to {longest} ms"
        )
    }
}

/// A client that asks, in a thread.
pub(crate) struct Load {
    shared: Arc<(Mutex<Account>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Load {
    /// So many requests are under way at any time. Returns when some are answered.
    pub(crate) fn start(client: impl Asks, at_once: u64) -> Self {
        let shared = Arc::<(Mutex<Account>, Condvar)>::default();
        let theirs = shared.clone();
        let thread = thread::spawn(move || run(client, at_once, &theirs));
        let load = Load { shared, thread };
        load.answered(5);
        // The times until now were the start's.
        let mut account = load.shared.0.lock().unwrap();
        (account.gap, account.longest) = Default::default();
        drop(account);
        load
    }

    /// What becomes of a single request.
    pub(crate) fn ask_once(client: impl Asks) -> Result<(), String> {
        let account = (
            Mutex::new(Account {
                ends: true,
                ..Account::default()
            }),
            Condvar::new(),
        );
        run(client, 1, &account);
        let account = account.0.into_inner().unwrap();
        account.failed.into_keys().next().map_or(Ok(()), Err)
    }

    /// Waits for so many more replies.
    pub(crate) fn answered(&self, more: u64) {
        let (account, news) = &*self.shared;
        let account = account.lock().unwrap();
        let wanted = account.replied + more;
        let too_few = |account: &mut Account| account.replied < wanted;
        let (account, waited) = news.wait_timeout_while(account, LIMIT, too_few).unwrap();
        assert!(!waited.timed_out(), "not served again: {account}");
    }

    /// Lets a fault last for so long, and waits for one more reply.
    pub(crate) fn goes_on(&self, time: Duration) {
        thread::sleep(time);
        self.answered(1);
    }

    /// Asks no more, waits for the end of every request, and prints the account.
    pub(crate) fn end(self, row: &str) -> Account {
        self.shared.0.lock().unwrap().ends = true;
        self.thread.join().expect("the client runs to its end");
        let account = self.shared.0.lock().unwrap().clone();
        println!("{row}: {account}");
        assert_eq!(account.replied + account.failures(), account.asked);
        account
    }

    /// Does the same where every request must have had a reply.
    pub(crate) fn end_without_loss(self, row: &str) {
        let account = self.end(row);
        assert_eq!(account.failures(), 0, "{row}: {account}");
    }
}

fn run<M: Asks>(client: M, at_once: u64, (account, news): &(Mutex<Account>, Condvar)) {
    let mut driver = Driver::new(&Context::new(), client).expect("a client");
    let mut under_way = HashMap::new();
    let mut next = 0;
    let deadline = Instant::now() + LIMIT * 2;
    loop {
        // At least one is asked.
        let ends = account.lock().unwrap().ends && next > 0;
        while !ends && (under_way.len() as u64) < at_once {
            next += 1;
            account.lock().unwrap().asked += 1;
            under_way.insert(next, Instant::now());
            driver.command(M::ask(next)).expect("it runs");
        }
        if under_way.is_empty() {
            // Nothing may come that was not asked for.
            let more = driver.try_recv().expect("it runs").and_then(M::end);
            return assert_eq!(more, None);
        }
        assert!(Instant::now() < deadline, "requests without an end");
        let output = driver.recv_timeout(Duration::from_millis(50));
        let Some((number, outcome)) = output.expect("it runs").and_then(M::end) else {
            continue;
        };
        let Some(since) = under_way.remove(&number) else {
            panic!("a second end of {number}")
        };
        let mut account = account.lock().unwrap();
        account.longest = account.longest.max(since.elapsed());
        match outcome {
            Ok(()) => {
                account.replied += 1;
                let gap = account.last.replace(Instant::now()).map(|at| at.elapsed());
                account.gap = account.gap.max(gap.unwrap_or_default());
            }
            Err(why) => *account.failed.entry(why).or_default() += 1,
        }
        news.notify_all();
    }
}
