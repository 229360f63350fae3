//! A client of Titanic that waits for nothing: the machine behind `ticlient2`.
//!
//! It submits requests, asks for their replies less and less often until they are there, and closes
//! them when the application is done with them. Like [`Titanic`](super::Titanic) it does not know how
//! frames travel: whoever runs it carries out [`Ask::Service`] and tells what came of it.
//!
//! A request whose submission was not answered may be stored or not, and is submitted again: RFC 9 has
//! nothing that would let Titanic see that it is the same. With stamps
//! ([`ClientConfig::once`](crate::majordomo::ClientConfig::once)) a broker of ours sees it.
//!
//! A UUID is all that is needed to go on after a restart: keep it when [`Ask::Submitted`] tells it, and give it
//! to [`Wanted::Follow`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use xebec::Frame;

use super::{Id, Service};
use crate::{Actions, Backoff, Event, Machine, Time};

/// What the application wants, and what the network says.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Submit a request and get its reply. The tag is the application's name for it.
    Submit {
        /// The application's name for it; one at a time.
        tag: u64,
        /// The service that is to execute it.
        service: Frame,
        /// Its body: one frame at least.
        body: Vec<Frame>,
    },
    /// Get the reply to a request that was submitted earlier, perhaps by another process.
    Follow {
        /// The application's name for it; one at a time.
        tag: u64,
        /// What `titanic.request` answered.
        id: Id,
    },
    /// The application is done with the reply, or wants none: close the request.
    Close {
        /// Which.
        tag: u64,
    },
    /// The application has no more interest in it: nothing more is asked or told, and Titanic keeps it.
    Drop {
        /// Which.
        tag: u64,
    },
    /// What came of an [`Ask::Service`].
    Answered {
        /// As it was asked.
        tag: u64,
        /// What came.
        answer: Answered,
    },
}

/// What came of an [`Ask::Service`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// An answer: status, and what belongs to it.
    Frames(Vec<Frame>),
    /// None came in time.
    Nothing,
}

/// What the machine tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Ask one of Titanic's services. There is one such question at a time for each tag.
    Service {
        /// To be told with the answer.
        tag: u64,
        /// Which of the services.
        service: Service,
        /// What to ask it.
        frames: Vec<Frame>,
    },
    /// A request is stored, under this UUID.
    Submitted {
        /// Which.
        tag: u64,
        /// Its name from now on.
        id: Id,
    },
    /// The reply is there. The request stays stored until it is [closed](Wanted::Close).
    Reply {
        /// Which.
        tag: u64,
        /// Its body.
        body: Vec<Frame>,
    },
    /// A request is closed.
    Closed {
        /// Which. The tag is free.
        tag: u64,
    },
    /// It came to nothing.
    Failed {
        /// Which. The tag is free.
        tag: u64,
        /// Why.
        why: Failure,
    },
}

/// Why something came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The tag is in use, or is not known.
    Tag,
    /// Titanic does not know the UUID (400): the request was closed, or never was.
    Unknown,
    /// Titanic cannot do it (500), with its words, after as many attempts as are allowed.
    Refused(String),
    /// Titanic did not answer, after as many attempts as are allowed.
    Silent,
    /// What Titanic answered is nothing that RFC 9 knows.
    Malformed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Tag => f.write_str("the tag is in use, or is not known"),
            Failure::Unknown => {
                f.write_str("Titanic does not know this UUID: the request was closed, or never was")
            }
            Failure::Refused(why) => write!(f, "Titanic refused: {why}"),
            Failure::Silent => f.write_str("Titanic did not answer in time"),
            Failure::Malformed => f.write_str("Titanic answered what is none of RFC 9"),
        }
    }
}

/// How a [`TitanicClient`] goes about it.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The pauses between questions for a reply.
    pub poll: Backoff,
    /// The pauses after a question that was not answered, or was answered with 500.
    pub retry: Backoff,
    /// How many such failures in a row are too many.
    pub attempts: u32,
}

impl Default for ClientOptions {
    /// Replies are asked for after 100 ms, then less often, down to every 5 s, which is the interval of the
    /// Guide's client. Ten failures in a row are too many.
    fn default() -> Self {
        ClientOptions {
            poll: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(5),
                jitter: 0.2,
            },
            retry: Backoff {
                first: Duration::from_millis(500),
                longest: Duration::from_secs(10),
                jitter: 0.2,
            },
            attempts: 10,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct TitanicClient {
    options: ClientOptions,
    rng: Rng,
    requests: HashMap<u64, Request>,
    timers: BTreeSet<(Time, u64)>,
}

#[derive(Debug)]
struct Request {
    step: Step,
    /// A question is under way.
    asking: bool,
    /// The application wants it closed as soon as it can be.
    close: bool,
    polls: u32,
    failures: u32,
    wake: Option<Time>,
}

#[derive(Debug)]
enum Step {
    Submit(Vec<Frame>),
    Poll(Id),
    /// The reply is with the application.
    Done(Id),
    Close(Id),
}

type Asks = Actions<Ask>;

impl TitanicClient {
    /// A client with nothing to do yet. The seed decides the jitter.
    pub fn new(options: ClientOptions, seed: u64) -> Self {
        TitanicClient {
            options,
            rng: Rng::with_seed(seed),
            requests: HashMap::new(),
            timers: BTreeSet::new(),
        }
    }

    /// How many requests it has in hand.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn begin(&mut self, tag: u64, step: Step, asks: &mut Asks) {
        if self.requests.contains_key(&tag) {
            let why = Failure::Tag;
            return asks.deliver(Ask::Failed { tag, why });
        }
        let request = Request {
            step,
            asking: false,
            close: false,
            polls: 0,
            failures: 0,
            wake: None,
        };
        self.requests.insert(tag, request);
        self.ask(tag, asks);
    }

    fn ask(&mut self, tag: u64, asks: &mut Asks) {
        let Some(request) = self.requests.get_mut(&tag) else {
            return;
        };
        let (service, frames) = match &request.step {
            Step::Submit(frames) => (Service::Request, frames.clone()),
            Step::Poll(id) => (Service::Reply, vec![Frame::from(id.to_string())]),
            Step::Close(id) => (Service::Close, vec![Frame::from(id.to_string())]),
            Step::Done(_) => return,
        };
        if let Some(wake) = request.wake.take() {
            self.timers.remove(&(wake, tag));
        }
        request.asking = true;
        asks.deliver(Ask::Service {
            tag,
            service,
            frames,
        });
    }

    fn close(&mut self, tag: u64, asks: &mut Asks) {
        let Some(request) = self.requests.get_mut(&tag) else {
            let why = Failure::Tag;
            return asks.deliver(Ask::Failed { tag, why });
        };
        request.close = true;
        if matches!(request.step, Step::Submit(_)) && !request.asking {
            // The last attempt failed, and there will be no other.
            return self.fail(tag, Failure::Silent, asks);
        }
        // Otherwise the answer that is on its way decides how.
        if !request.asking {
            self.go_on(tag, asks);
        }
    }

    /// Closes a request if the application wants that, and asks the next question otherwise.
    fn go_on(&mut self, tag: u64, asks: &mut Asks) {
        let Some(request) = self.requests.get_mut(&tag) else {
            return;
        };
        if request.close
            && let Step::Poll(id) | Step::Done(id) = request.step
        {
            request.step = Step::Close(id);
            request.failures = 0;
        }
        self.ask(tag, asks);
    }

    fn answered(&mut self, tag: u64, answer: Answered, now: Time, asks: &mut Asks) {
        let Some(request) = self.requests.get_mut(&tag).filter(|request| request.asking) else {
            return;
        };
        request.asking = false;
        let (status, mut rest) = match answer {
            Answered::Nothing => return self.again(tag, Failure::Silent, now, asks),
            Answered::Frames(frames) => {
                let mut frames = frames.into_iter();
                (frames.next().unwrap_or_default(), frames)
            }
        };
        let text = status.to_string_lossy();
        let (code, words) = text.split_once(' ').unwrap_or((&text, ""));
        match (code, &request.step) {
            ("200", Step::Submit(_)) => {
                let id = rest
                    .next()
                    .and_then(|frame| Id::parse(frame.as_bytes()).ok());
                let Some(id) = id else {
                    return self.fail(tag, Failure::Malformed, asks);
                };
                request.step = Step::Poll(id);
                request.failures = 0;
                asks.deliver(Ask::Submitted { tag, id });
                if request.close {
                    return self.go_on(tag, asks);
                }
                self.pause(tag, now);
            }
            ("200", Step::Poll(id)) => {
                request.step = Step::Done(*id);
                let body = rest.collect();
                asks.deliver(Ask::Reply { tag, body });
                self.go_on(tag, asks);
            }
            ("200" | "400", Step::Close(_)) => {
                self.requests.remove(&tag);
                asks.deliver(Ask::Closed { tag });
            }
            ("300", Step::Poll(_)) => {
                request.failures = 0;
                if request.close {
                    return self.go_on(tag, asks);
                }
                self.pause(tag, now);
            }
            ("400", Step::Poll(_)) => self.fail(tag, Failure::Unknown, asks),
            ("500", _) => {
                let why = Failure::Refused(words.to_owned());
                self.again(tag, why, now, asks);
            }
            _ => self.fail(tag, Failure::Malformed, asks),
        }
    }

    /// The next question for the reply comes after a pause.
    fn pause(&mut self, tag: u64, now: Time) {
        if let Some(request) = self.requests.get_mut(&tag) {
            let pause = self.options.poll.pause(request.polls, &mut self.rng);
            request.polls = request.polls.saturating_add(1);
            Self::wake(&mut self.timers, request, tag, now, pause);
        }
    }

    /// The same question comes again after a pause, unless it came often enough.
    fn again(&mut self, tag: u64, why: Failure, now: Time, asks: &mut Asks) {
        let Some(request) = self.requests.get_mut(&tag) else {
            return;
        };
        let pause = self.options.retry.pause(request.failures, &mut self.rng);
        request.failures += 1;
        // Closing is not worth more of them than the rest, and what was wanted closed is not submitted again.
        let in_vain = request.close && matches!(request.step, Step::Submit(_));
        if request.failures >= self.options.attempts || in_vain {
            return self.fail(tag, why, asks);
        }
        Self::wake(&mut self.timers, request, tag, now, pause);
    }

    fn wake(
        timers: &mut BTreeSet<(Time, u64)>,
        request: &mut Request,
        tag: u64,
        now: Time,
        pause: Duration,
    ) {
        let at = now + pause.max(Duration::from_millis(1));
        request.wake = Some(at);
        timers.insert((at, tag));
    }

    fn forget(&mut self, tag: u64) {
        if let Some(wake) = self.requests.remove(&tag).and_then(|request| request.wake) {
            self.timers.remove(&(wake, tag));
        }
    }

    fn fail(&mut self, tag: u64, why: Failure, asks: &mut Asks) {
        self.forget(tag);
        asks.deliver(Ask::Failed { tag, why });
    }
}

impl Machine for TitanicClient {
    type Command = Wanted;
    type Output = Ask;

    fn handle(&mut self, event: Event<Wanted>, now: Time, asks: &mut Asks) {
        match event {
            Event::Command(Wanted::Submit { tag, service, body }) => {
                self.begin(tag, Step::Submit([vec![service], body].concat()), asks);
            }
            Event::Command(Wanted::Follow { tag, id }) => self.begin(tag, Step::Poll(id), asks),
            Event::Command(Wanted::Close { tag }) => self.close(tag, asks),
            Event::Command(Wanted::Drop { tag }) => self.forget(tag),
            Event::Command(Wanted::Answered { tag, answer }) => {
                self.answered(tag, answer, now, asks);
            }
            Event::Due => {
                while let Some((at, tag)) = self.timers.first().copied()
                    && at <= now
                {
                    self.timers.pop_first();
                    self.go_on(tag, asks);
                }
            }
            Event::Stop => asks.end(),
            Event::Start | Event::Message { .. } | Event::Unsent { .. } | Event::Link { .. } => {}
        }
    }

    fn due(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}
