//! The options of contexts at work: names, processors, policies and priorities of the I/O threads,
//! and what new sockets get.

mod support;

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use support::*;
use xebec::{
    CONTEXT_OPTIONS, Context, ContextOptions, OptionError, Options, Role, Socket, SocketError,
    SocketType::{Pair, Pull, Push, Sub},
};

/// What the tests below show, by the name of the option; `a_context_honours_its_options` in
/// `options_table` shows the others.
const SHOWN: [&str; 10] = [
    "THREAD_NAME_PREFIX",
    "THREAD_AFFINITY_CPU_ADD",
    "THREAD_AFFINITY_CPU_REMOVE",
    "THREAD_SCHED_POLICY",
    "THREAD_PRIORITY",
    "BLOCKY",
    "ZERO_COPY_RECV",
    "MAX_SOCKETS",
    "MAX_MSGSZ",
    "IPV6",
];

#[test]
fn every_option_is_shown_at_work() {
    for row in CONTEXT_OPTIONS {
        let constant = matches!(row.rules.role, Role::Constant(_));
        let shown = SHOWN.contains(&row.name()) || row.name() == "IO_THREADS";
        assert!(constant || shown, "{}", row.name());
    }
}

/// A file that the system has about each of the context's I/O threads, once they run.
fn of_threads(options: ContextOptions, file: &str) -> Vec<String> {
    let (tell, told) = mpsc::channel();
    let hook = move |_: &ContextOptions| {
        tell.send(rustix::thread::gettid())
            .map_err(io::Error::other)
    };
    let threads = options.io_threads;
    let context = Context::builder()
        .options(options)
        .on_thread_start(hook)
        .build();
    let _socket = context.socket(Pair).unwrap();
    let threads = (0..threads).map(|_| told.recv_timeout(PATIENCE).unwrap());
    let path = |tid: rustix::thread::Pid| format!("/proc/self/task/{}/{file}", tid.as_raw_pid());
    threads
        .map(|tid| std::fs::read_to_string(path(tid)).unwrap())
        .collect()
}

fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect(name).trim()
}

/// The number at this place of a thread's `stat`, counted from 1 as in proc(5).
fn stat(text: &str, place: usize) -> i32 {
    let (_, rest) = text.rsplit_once(") ").unwrap();
    let mut numbers = rest.split_ascii_whitespace();
    numbers.nth(place - 3).unwrap().parse().unwrap()
}

const NICE: usize = 19;
const POLICY: usize = 41;

#[test]
fn threads_are_named() {
    let options = || ContextOptions::new().io_threads(2);
    let names = of_threads(options(), "comm");
    assert_eq!(names, ["xebec-io/0\n", "xebec-io/1\n"]);
    let names = of_threads(options().thread_name_prefix("feed"), "comm");
    assert_eq!(names, ["feed/io/0\n", "feed/io/1\n"]);
    let mut numbered = options();
    numbered.set_c(9, &1234i32.to_ne_bytes()).unwrap();
    assert_eq!(of_threads(numbered, "comm")[1], "1234/io/1\n");
    // The system keeps 15 bytes. What no name can have is left out.
    let long = options().thread_name_prefix("sixteen letters!");
    assert_eq!(of_threads(long, "comm")[0], "sixteen letters\n");
    let zero = options().thread_name_prefix("feed\0");
    assert_eq!(of_threads(zero, "comm")[0], "feed/io/0\n");
}

#[test]
fn threads_stay_on_their_processors() {
    let own = rustix::thread::sched_getaffinity(None).unwrap();
    let cpu = (0..1024).find(|&cpu| own.is_set(cpu)).unwrap() as u32;
    let mut options = ContextOptions::new().io_threads(2);
    for (number, cpu) in [(7, cpu), (7, 1000), (8, 1000)] {
        options.set_c(number, &cpu.to_ne_bytes()).unwrap();
    }
    for status in of_threads(options, "status") {
        assert_eq!(line(&status, "Cpus_allowed_list:"), cpu.to_string());
    }
    let after = rustix::thread::sched_getaffinity(None).unwrap();
    assert_eq!(own.count(), after.count(), "the caller stays where it was");
}

/// A processor that is not there: no thread runs elsewhere in secret.
#[test]
fn a_thread_that_cannot_be_set_up_makes_no_socket() {
    let with = ContextOptions::new().thread_affinity([1023]);
    let context = Context::with_options(with).unwrap();
    let error = context.socket(Pair).unwrap_err();
    assert!(matches!(error, SocketError::System(_)), "{error}");
    assert_eq!(context.sockets(), 0);
    // What did not start can be set again.
    context
        .configure(|options| {
            options.thread_affinity.clear();
            Ok::<_, OptionError>(())
        })
        .unwrap();
    context.socket(Pair).unwrap();
}

#[test]
fn a_priority_is_the_nice_value() {
    if !rustix::process::geteuid().is_root() {
        let with = ContextOptions::new().thread_priority(1);
        let made = Context::with_options(with).unwrap().socket(Pair);
        return println!("this needs a privilege: {made:?}");
    }
    let stats = of_threads(ContextOptions::new().thread_priority(1), "stat");
    assert_eq!(stat(&stats[0], NICE), -20);
    let stats = of_threads(ContextOptions::new().thread_priority(0), "stat");
    let own = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    assert_eq!(stat(&stats[0], NICE), stat(&own, NICE), "0 leaves it");
}

/// The system call is unsafe: the application brings it.
#[test]
fn a_policy_is_for_the_hook() {
    const SCHED_BATCH: u32 = 3;
    let with = ContextOptions::new().thread_sched_policy(SCHED_BATCH);
    let error = Context::with_options(with.clone()).unwrap_err();
    assert!(error.to_string().contains("on_thread_start"), "{error}");
    let context = Context::builder().options(with.clone()).build();
    assert!(matches!(context.socket(Pair), Err(SocketError::Option(_))));
    let context = Context::new();
    let error = context.set("thread_sched_policy", "3").unwrap_err();
    assert!(matches!(error, OptionError::Unsupported { .. }), "{error}");

    let (tell, told) = mpsc::channel();
    let hook = move |options: &ContextOptions| {
        let policy = options.thread_sched_policy.expect("it is set") as i32;
        let param = libc::sched_param { sched_priority: 0 };
        // SAFETY: 0 is the calling thread, and `param` is one.
        if unsafe { libc::sched_setscheduler(0, policy, &param) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let own = std::fs::read_to_string("/proc/thread-self/stat")?;
        tell.send(stat(&own, POLICY)).map_err(io::Error::other)
    };
    let context = Context::builder()
        .options(with)
        .on_thread_start(hook)
        .build();
    context.socket(Pair).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(SCHED_BATCH as i32));
}

#[test]
fn a_hook_that_fails_makes_no_socket() {
    let context = Context::builder()
        .on_thread_start(|_| Err(io::Error::other("not today")))
        .build();
    for _ in 0..2 {
        let error = context.socket(Pair).unwrap_err();
        assert!(error.to_string().contains("not today"), "{error}");
    }
    let context = Context::builder()
        .on_thread_start(|_| panic!("on purpose"))
        .build();
    let error = context.socket(Pair).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[test]
fn threads_are_as_they_started() {
    let context = Context::new();
    context.set("io_threads", "2").unwrap();
    context.set("thread_name_prefix", "early").unwrap();
    let before = context.options();
    let _socket = context.socket(Pair).unwrap();
    for (name, value) in [
        ("io_threads", "3"),
        ("thread_name_prefix", "late"),
        ("thread_affinity_cpu_add", "0"),
        ("thread_priority", "1"),
    ] {
        let error = context.set(name, value).unwrap_err();
        assert!(matches!(error, OptionError::Late { .. }), "{error}");
        let text = "set it before the context's first socket";
        assert!(error.to_string().ends_with(text), "{error}");
    }
    assert_eq!(context.options(), before);
    // What it is already may be said again.
    context.set("io_threads", "2").unwrap();
    let _on_the_second = socket_with(&context, Pair, options().affinity(0b10));
}

#[test]
fn what_concerns_sockets_to_come_can_be_changed() {
    let context = Context::new();
    let plain = Options::new;
    let first = socket_with(&context, Pull, plain());
    context.set_c(2, &1i32.to_ne_bytes()).unwrap();
    let error = context.socket(Pair).unwrap_err();
    assert!(matches!(error, SocketError::TooMany(1)), "{error}");
    context.set("max_sockets", "10").unwrap();
    context.set("ipv6", "true").unwrap();
    let second = context.socket(Pair).unwrap();
    assert!(second.options().ipv6 && !first.options().ipv6);
    let lingers = |options: Options| {
        let options = Socket::with_options(&context, Sub, options)
            .unwrap()
            .options();
        options.linger
    };
    assert_eq!(lingers(plain()), None);
    context.set_c(70, &0i32.to_ne_bytes()).unwrap();
    assert_eq!(context.tell_c(70, 4).unwrap(), 0i32.to_ne_bytes());
    assert_eq!(lingers(plain()), Some(Duration::ZERO));
    let second = Duration::from_secs(1);
    assert_eq!(lingers(plain().linger(second)), Some(second));
    let last = socket_with(&context, Push, plain());
    last.set("linger", "infinite").unwrap();
    assert_eq!(last.options().linger, None, "it can still be asked for");
    last.set("linger", "0").unwrap();
    assert_eq!(first.options().linger, None);
}

/// Without BLOCKY a context ends although nobody takes its messages.
#[test]
fn a_context_that_does_not_block_ends_at_once() {
    let done = Working::start(|| {
        let context = Context::with_options(ContextOptions::new().blocky(false)).unwrap();
        let push = context.socket(Push).unwrap();
        push.connect("ipc://@xebec-nobody-is-there").unwrap();
        send(&push, "for nobody");
        drop(push);
        context.term();
    });
    done.join();
}

#[test]
fn the_largest_frame_changes_for_connections_to_come() {
    let context = Context::new();
    let (pull, push) = (socket(&context, Pull), socket(&context, Push));
    let endpoint = pull.bind(&fresh("tcp")).unwrap();
    push.connect(&endpoint).unwrap();
    send(&push, vec![b'x'; 2000]);
    assert_eq!(recv(&pull).body().len(), 2000);
    context.set("max_msgsz", "1000").unwrap();
    let monitor = pull.monitor();
    let other = socket(&context, Push);
    other.connect(&endpoint).unwrap();
    send(&other, vec![b'y'; 1001]);
    let event = await_event(&monitor, xebec::EventKind::Disconnected);
    assert!(event.cause.unwrap().contains("1001 bytes"));
    send(&push, vec![b'z'; 2000]);
    assert_eq!(recv(&pull).body()[0], b'z');
}

/// Both settings: every size arrives, and is its own.
#[test]
fn messages_share_nothing_with_buffers_whatever_zero_copy_says() {
    for on in [true, false] {
        let context = Context::new();
        context.set("zero_copy_recv", &on.to_string()).unwrap();
        assert_eq!(context.options().zero_copy_recv, on);
        let (pull, push) = (socket(&context, Pull), socket(&context, Push));
        push.connect(&pull.bind(&fresh("tcp")).unwrap()).unwrap();
        let lengths = [0, 64, 65, 8191, 8192, 100_000];
        for length in lengths {
            send(&push, vec![length as u8; length]);
        }
        let got: Vec<_> = lengths.iter().map(|_| recv(&pull)).collect();
        for (message, length) in got.iter().zip(lengths) {
            assert_eq!(**message.body(), vec![length as u8; length]);
        }
    }
}
