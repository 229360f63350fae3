//! The command line: one definition from which parsing, help, completions and man pages come.
//!
//! What a flag means is said here, in its doc comment, and nowhere else. What it does lives in
//! [`commands`](crate::commands). Groups of flags that several commands share ([`Endpoints`],
//! [`Input`], [`FormatFlags`], [`SocketFlags`]) are structs, flattened into each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use xebec::SocketType;
use xebec_patterns::titanic::Id;

use crate::codec::Format;
use crate::commands::titanic::ask::uuid;
use crate::commands::titanic::settings::{When, when};
use crate::quantity::{self, Patience};

const ABOUT_ENDS: &str = "\
Endpoints:
  An ENDPOINT is bound if it says so or can only mean that, and connected otherwise:
    @tcp://127.0.0.1:5555         bound: it begins with @ (as does one given to --bind)
    '>tcp://*:5555'               connected: it begins with > (as does one given to --connect)
    tcp://*:5555, tcp://0.0.0.0:5555, tcp://[::]:5555, ipc://*, tipc://<*>
                                  bound: a wildcard stands for this machine's own addresses
    tcp://127.0.0.1:*, tcp://127.0.0.1:0
                                  bound: the port is to be chosen; the choice is told
    anything else                 connected
  Who binds and who connects does not matter to the messages, nor does the order.

Exit status:
  0 done; 1 failed (one sentence on standard error says why and what helps); 2 wrong usage;
  124 --timeout ran out; 130 Ctrl-C (143 SIGTERM). A second Ctrl-C ends at once.";

const EXAMPLES: &str = "\
Examples:
  xebec rep tcp://*:5555 --exec 'tr a-z A-Z'
  echo hello | xebec req tcp://localhost:5555
  xebec sub tcp://localhost:5556 --subscribe weather.
  ls | xebec push tcp://localhost:5557 --rate 10/s
  xebec proxy queue tcp://*:5559 tcp://*:5560
  xebec demo";

/// ZeroMQ from a shell: send and receive, run devices, watch, measure
#[derive(Parser)]
#[command(name = "xebec", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{ABOUT_ENDS}"))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `xebec` can be asked to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send each line to one of the pullers in turn
    #[command(after_long_help = ABOUT_ENDS)]
    Push(Sender),
    /// Print what pushers send, fairly from each
    #[command(after_long_help = ABOUT_ENDS)]
    Pull(Receiver),
    /// Publish each line to the subscribers; the line's beginning is its topic
    #[command(after_long_help = ABOUT_ENDS)]
    Pub(Publisher),
    /// Print what publishers send under the subscribed prefixes
    #[command(after_long_help = ABOUT_ENDS)]
    Sub(Subscriber),
    /// Send each line as a request and print its reply
    #[command(after_long_help = ABOUT_ENDS)]
    Req(Duplex),
    /// Answer requests: echo, a fixed text, or what a command makes of them
    #[command(after_long_help = ABOUT_ENDS)]
    Rep(Replier),
    /// Send lines to the peers in turn and print what comes back, whenever it comes
    #[command(after_long_help = ABOUT_ENDS)]
    Dealer(TwoWay),
    /// Talk to each peer by its address, the first frame in and out
    #[command(
        after_long_help = ABOUT_ENDS,
        long_about = "Talk to each peer by its address, the first frame in and out\n\n\
            Each message printed begins with its sender's routing id, and each line sent begins with \
            the routing id of who shall have it, as text or as 0x and hexadecimal digits. The default \
            --delimiter is a tab. A line with an empty address goes to whoever was heard from last. A \
            line to an unknown peer is told on standard error; --set router_mandatory=0 drops it silently."
    )]
    Router(TwoWay),
    /// Talk with exactly one peer, both ways
    #[command(after_long_help = ABOUT_ENDS)]
    Pair(TwoWay),
    /// Publish, and print the subscriptions that arrive (+TOPIC and -TOPIC in text format)
    #[command(after_long_help = ABOUT_ENDS)]
    Xpub(TwoWay),
    /// Subscribe, and send lines up to the publishers
    #[command(after_long_help = ABOUT_ENDS)]
    Xsub(UpstreamSubscriber),
    /// Talk to plain TCP peers: the first frame is the connection, the second its bytes
    #[command(
        after_long_help = ABOUT_ENDS,
        long_about = "Talk to plain TCP peers: the first frame is the connection, the second its bytes\n\n\
            A message with an empty second frame tells that a connection came or went; sending one \
            closes the connection. The default --delimiter is a tab. A line with an empty address goes \
            to whoever was heard from last. With --escape, \\r and \\n can be typed and are shown."
    )]
    Stream(TwoWay),
    /// Talk to servers in turn, whenever either likes (a libzmq draft; messages of one frame)
    #[command(after_long_help = ABOUT_ENDS)]
    Client(TwoWay),
    /// Talk to each client by its number (a libzmq draft; messages of one frame)
    #[command(
        after_long_help = ABOUT_ENDS,
        long_about = "Talk to each client by its number (a libzmq draft; messages of one frame)\n\n\
            Each message printed begins with the number of the client that sent it and the --delimiter (a \
            tab by default), and so does each line sent. A line with an empty number goes to whoever was \
            heard from last. A line to an unknown client is told on standard error."
    )]
    Server(TwoWay),
    /// Send each line to those who joined its group (a libzmq draft; messages of one frame)
    #[command(after_long_help = ABOUT_ENDS)]
    Radio(Radio),
    /// Print what radios send to the groups joined (a libzmq draft; messages of one frame)
    #[command(
        after_long_help = ABOUT_ENDS,
        long_about = "Print what radios send to the groups joined (a libzmq draft; messages of one frame)\n\n\
            Each message printed begins with its group and the --delimiter (a tab by default)."
    )]
    Dish(Dish),
    /// Send each line to one of the gatherers in turn (a libzmq draft; messages of one frame)
    #[command(after_long_help = ABOUT_ENDS)]
    Scatter(Sender),
    /// Print what scatterers send, fairly from each (a libzmq draft; messages of one frame)
    #[command(after_long_help = ABOUT_ENDS)]
    Gather(Receiver),
    /// Talk with equals, each by its number (a libzmq draft; messages of one frame)
    #[command(
        after_long_help = ABOUT_ENDS,
        long_about = "Talk with equals, each by its number (a libzmq draft; messages of one frame)\n\n\
            Each message printed begins with the number of the peer that sent it and the --delimiter (a tab \
            by default), and so does each line sent; the number of a peer that is connected to is told. A \
            line with an empty number goes to whoever was heard from last, and before that to the last of \
            those connected to."
    )]
    Peer(TwoWay),
    /// Talk with exactly one peer, both ways (a libzmq draft; messages of one frame)
    #[command(after_long_help = ABOUT_ENDS)]
    Channel(TwoWay),
    /// Run a device between two sockets
    #[command(after_long_help = ABOUT_ENDS)]
    Proxy(Proxy),
    /// Join clients and workers by the names of services: a Majordomo broker
    #[command(after_help = "\
Examples:
  xebec broker
  xebec broker --print-config > broker.toml
  xebec broker broker.toml
  xebec broker status
  xebec broker --primary --bind tcp://*:5555
  xebec broker --backup --bind tcp://*:5556
  xebec call upper hello -b tcp://localhost:5555 -b tcp://localhost:5556
  xebec worker upper --exec 'tr a-z A-Z'
  xebec call upper hello")]
    Broker(Broker),
    /// Ask a service of a Majordomo broker, and print its reply
    Call(Call),
    /// Make a shell command a service of a Majordomo broker
    Worker(Worker),
    /// Keep requests and replies on disk beside a Majordomo broker: Titanic
    #[command(after_help = "\
Examples:
  xebec broker & xebec worker upper --exec 'tr a-z A-Z' &
  xebec titanic requests.log &
  ID=$(xebec titanic submit upper hello)
  xebec titanic fetch $ID --wait
  xebec titanic close $ID
  xebec titanic status")]
    Titanic(Titanic),
    /// Open a socket and show what happens to it: events and counters, live
    #[command(after_long_help = ABOUT_ENDS)]
    Watch(Watch),
    /// Count the words of a text in parallel: ventilator, worker processes, sink, kill signal
    #[command(long_about = "\
Count the words of a text in parallel: ventilator, worker processes, sink, kill signal

The Guide's pipeline on real input. This process PUSHes the lines of FILE over tcp, one a message, to worker \
processes; each counts words and PUSHes its counts to the sink, which is this process again; everybody stops \
by a kill signal that the sink publishes. The result is compared with a single-threaded count: exit status 0 \
if they are equal, 1 if not or if a worker dies.")]
    Demo(Demo),
    /// Measure throughput, latency and the cost of idle connections
    Bench(Bench),
    /// Make a key pair for CURVE, the mechanism that encrypts
    #[command(after_help = "\
Examples:
  xebec keygen server.key
  xebec keygen client.key
  xebec rep tcp://*:5555 --set curve_server=1 --set curve_secretkey=@server.key
  xebec req tcp://localhost:5555 --set curve_serverkey=@server.key.pub \\
    --set curve_publickey=@client.key.pub --set curve_secretkey=@client.key")]
    Keygen(Keygen),
    /// Print the completion script for a shell
    #[command(after_help = "\
Examples:
  xebec completions bash > ~/.local/share/bash-completion/completions/xebec
  xebec completions zsh > \"${fpath[1]}/_xebec\"
  xebec completions fish > ~/.config/fish/completions/xebec.fish")]
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write one page for each command into DIR
    Man {
        /// Where to write xebec.1, xebec-push.1 and so on; made if missing
        #[arg(value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// A worker of `xebec demo`
    #[command(hide = true, name = "demo-worker")]
    DemoWorker(DemoWorker),
    /// The child of `xebec bench connections`
    #[command(hide = true, name = "bench-connector")]
    BenchConnector(BenchConnector),
}

/// Where a key pair goes.
#[derive(Args)]
pub(crate) struct Keygen {
    /// Write the secret key here, for its owner alone to read, and the public key to FILE.pub;
    /// without it both are printed, in Z85
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Replace files that are there already
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
}

/// Where to bind and connect.
#[derive(Args, Debug, Clone)]
pub(crate) struct Endpoints {
    /// Where to bind or connect: tcp://HOST:PORT, ipc://PATH, inproc://NAME or tipc://{TYPE,INSTANCE};
    /// wildcards are bound, the rest connected; @ before one binds, > connects
    #[arg(value_name = "ENDPOINT", value_hint = ValueHint::Url, required_unless_present_any = ["bind", "connect", "set"])]
    pub(crate) any: Vec<String>,
    /// Bind here (repeatable)
    #[arg(short, long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) bind: Vec<String>,
    /// Connect to this (repeatable)
    #[arg(short, long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) connect: Vec<String>,
}

/// Settings of the socket and of what is said about it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Socket")]
pub(crate) struct SocketFlags {
    /// Set a socket option by its name, such as sndhwm=10 (repeatable); `help` lists them. A key may
    /// be in a file: curve_secretkey=@FILE (and one that begins with @ itself is written with @@)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// The routing id that a ROUTER knows this socket by, as text or 0x and hexadecimal digits
    #[arg(long, value_name = "ID")]
    pub(crate) identity: Option<String>,
    /// How long to wait at the end until all is sent: 500ms, 2s, 0 or forever (the default; a
    /// device that was stopped waits 1s)
    #[arg(long, value_name = "DURATION", value_parser = quantity::patience)]
    pub(crate) linger: Option<Patience>,
    /// Tell what happens to the connections, on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Tell nothing but failures
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// When to stop.
#[derive(Args, Debug, Clone)]
pub(crate) struct Limits {
    /// Stop after N messages: those received, or those sent if nothing is received
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count)]
    pub(crate) count: Option<u64>,
    /// Give up (status 124) when no message could be sent or received for so long: 500ms, 2s, 1m
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// How messages look as text.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Format")]
pub(crate) struct FormatFlags {
    /// How messages are read and printed
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Short for --format hex
    #[arg(long, group = "short-format", conflicts_with = "format")]
    pub(crate) hex: bool,
    /// Short for --format base64
    #[arg(long, group = "short-format", conflicts_with = "format")]
    pub(crate) base64: bool,
    /// Short for --format json
    #[arg(long, group = "short-format", conflicts_with = "format")]
    pub(crate) json: bool,
    /// Short for --format raw
    #[arg(long, group = "short-format", conflicts_with = "format")]
    pub(crate) raw: bool,
    /// What stands between the frames of a message in text and raw format, such as '\t', ',' or '\0';
    /// without it a line that is read is one frame, and frames are printed with a tab between
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) delimiter: Option<String>,
    /// What ends a message in raw format instead of '\0'; '' makes the whole input one message
    #[arg(long, value_name = "TEXT")]
    pub(crate) terminator: Option<String>,
    /// Read and print \n, \r, \t, \0, \\ and \xHH in text format
    #[arg(short, long)]
    pub(crate) escape: bool,
}

impl FormatFlags {
    /// The format that was asked for, by whichever flag.
    pub(crate) fn chosen(&self) -> Format {
        match (self.hex, self.base64, self.json, self.raw) {
            (true, ..) => Format::Hex,
            (_, true, ..) => Format::Base64,
            (_, _, true, _) => Format::Json,
            (.., true) => Format::Raw,
            _ => self.format,
        }
    }
}

/// Where messages come from and how fast.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// Send this message instead of standard input's lines (repeatable); in --format, like a line
    #[arg(short, long, value_name = "MESSAGE")]
    pub(crate) text: Vec<String>,
    /// Send the lines of this file instead of standard input's (repeatable; - is standard input)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Vec<PathBuf>,
    /// Send each of these files as one message of one frame (write the ENDPOINT before it)
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub(crate) each_file: Vec<PathBuf>,
    /// How --format is overridden for what is read
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) input_format: Option<Format>,
    /// Start over when --text, --file and --each-file are sent
    #[arg(long)]
    pub(crate) repeat: bool,
    /// Send at most so many messages a second: 100, 100/s, 30/m
    #[arg(long, value_name = "N/s", value_parser = quantity::rate)]
    pub(crate) rate: Option<Duration>,
    /// Wait so long between messages: 500ms, 2s
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, conflicts_with = "rate")]
    pub(crate) interval: Option<Duration>,
}

/// A command that only sends.
#[derive(Args, Debug, Clone)]
pub(crate) struct Sender {
    #[command(flatten)]
    pub(crate) endpoints: Endpoints,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// A command that only receives.
#[derive(Args, Debug, Clone)]
pub(crate) struct Receiver {
    #[command(flatten)]
    pub(crate) endpoints: Endpoints,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// A command that sends and receives.
#[derive(Args, Debug, Clone)]
pub(crate) struct Duplex {
    #[command(flatten)]
    pub(crate) endpoints: Endpoints,
    #[command(flatten)]
    pub(crate) limits: Limits,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// A command that sends and receives independently.
#[derive(Args, Debug, Clone)]
pub(crate) struct TwoWay {
    #[command(flatten)]
    pub(crate) duplex: Duplex,
    /// Only send, and stop when that is done (or after --count sent)
    #[arg(long)]
    pub(crate) send_only: bool,
    /// Only receive; standard input is left alone
    #[arg(long, conflicts_with = "send_only")]
    pub(crate) recv_only: bool,
}

/// `xebec pub`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Publish each line to the subscribers; the line's beginning is its topic

A publisher drops what nobody has subscribed to, so the first message waits until --wait-for peers have \
subscribed to something (one, unless told otherwise). After that, messages that match no subscription, and \
messages for a subscriber that is slower than its high-water mark allows, are dropped, as publishers do; a \
note at the end says how many. --set xpub_nodrop=1 waits for slow subscribers instead.")]
pub(crate) struct Publisher {
    #[command(flatten)]
    pub(crate) sender: Sender,
    #[command(flatten)]
    pub(crate) audience: Audience,
}

/// Whom a publisher waits for.
#[derive(Args, Debug, Clone)]
pub(crate) struct Audience {
    /// Wait for so many subscribers (for a radio: groups that are joined) before the first message; 0
    /// sends at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) wait_for: usize,
    /// After that, give others so long to subscribe too: 200ms
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "0")]
    pub(crate) settle: Duration,
}

/// `xebec radio`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Send each line to those who joined its group (a libzmq draft; messages of one frame)

All lines go to --group; without it a line begins with its group and the --delimiter (a tab by default). A radio \
drops what nobody has joined the group of, so the first message waits until --wait-for groups are joined (one, \
unless told otherwise). After that it drops like a publisher, and --set xpub_nodrop=1 waits for slow peers.")]
pub(crate) struct Radio {
    #[command(flatten)]
    pub(crate) sender: Sender,
    #[command(flatten)]
    pub(crate) audience: Audience,
    /// Send all messages to this group
    #[arg(short, long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
}

/// `xebec dish`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Dish {
    #[command(flatten)]
    pub(crate) receiver: Receiver,
    /// Receive what is sent to this group (repeatable); its name is compared whole
    #[arg(short, long, value_name = "GROUP", required_unless_present = "set")]
    pub(crate) join: Vec<String>,
}

/// The prefixes that a subscriber wants.
#[derive(Args, Debug, Clone)]
pub(crate) struct Subscriptions {
    /// Receive what begins with this (repeatable); everything, if none is given
    #[arg(short, long, value_name = "PREFIX")]
    pub(crate) subscribe: Vec<String>,
}

/// `xebec sub`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Subscriber {
    #[command(flatten)]
    pub(crate) receiver: Receiver,
    #[command(flatten)]
    pub(crate) subscriptions: Subscriptions,
}

/// `xebec xsub`.
#[derive(Args, Debug, Clone)]
pub(crate) struct UpstreamSubscriber {
    #[command(flatten)]
    pub(crate) two_way: TwoWay,
    #[command(flatten)]
    pub(crate) subscriptions: Subscriptions,
}

/// `xebec rep`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Answer requests: echo, a fixed text, or what a command makes of them

Requests are printed unless --quiet. With neither --exec nor --reply each request is its own reply.")]
pub(crate) struct Replier {
    #[command(flatten)]
    pub(crate) receiver: Receiver,
    /// Run this shell command for each request: the request is its standard input (frames with
    /// --delimiter between), its standard output the reply (one newline at the end is taken off,
    /// unless the format is raw). If it fails, that is told here and the reply is empty
    #[arg(short = 'x', long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub(crate) exec: Option<String>,
    /// Answer each request with this message; in --format, like a line
    #[arg(long, value_name = "MESSAGE", conflicts_with = "exec")]
    pub(crate) reply: Option<String>,
}

/// The kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// Requests and replies: ROUTER in front, DEALER behind
    Queue,
    /// Publications and subscriptions: XSUB in front, XPUB behind
    Forwarder,
    /// Work: PULL in front, PUSH behind
    Streamer,
}

/// `xebec proxy`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Run a device between two sockets

Both sides are bound, since a device is the stable node of a network; > before an endpoint (in quotes, or with \
--connect-front and --connect-back) connects it instead. In front of a queue stand the requesters, of a forwarder \
the publishers, of a streamer the pushers. Ctrl-C stops it and tells what it carried.")]
pub(crate) struct Proxy {
    /// What passes through
    pub(crate) device: Device,
    /// Where messages (or requests) come in
    #[arg(value_hint = ValueHint::Url)]
    pub(crate) front: String,
    /// Where they go out
    #[arg(value_hint = ValueHint::Url)]
    pub(crate) back: String,
    /// Publish a copy of every message here (bound, unless > stands before it)
    #[arg(long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) capture: Option<String>,
    /// Connect FRONT instead of binding it
    #[arg(long)]
    pub(crate) connect_front: bool,
    /// Connect BACK instead of binding it
    #[arg(long)]
    pub(crate) connect_back: bool,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// `xebec broker`.
#[derive(Args, Debug, Clone)]
#[command(
    args_conflicts_with_subcommands = true,
    long_about = "\
Join clients and workers by the names of services: a Majordomo broker

Speaks both versions of the protocol (MDP 0.1 of RFC 7 and 0.2 of RFC 18) on the same port. A request goes to the \
worker of its service that has waited longest; if that dies, to another. SIGTERM lets workers end what they are at; \
Ctrl-C, or a second signal, ends at once; SIGUSR1 prints the state."
)]
pub(crate) struct Broker {
    #[command(subcommand)]
    pub(crate) about: Option<BrokerCommand>,
    /// The settings; without it all have their defaults
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Bind here instead of where the settings say, which is tcp://*:5555 by default (repeatable)
    #[arg(short, long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) bind: Vec<String>,
    /// Offer Titanic's services and keep requests in this file, as `path` in [titanic] of the settings does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) titanic: Option<PathBuf>,
    /// Print the settings, with what they mean and their defaults, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Be the one of a pair of brokers that serves first; the other is to have --backup
    #[arg(long, conflicts_with = "backup")]
    pub(crate) primary: bool,
    /// Be the one of a pair of brokers that stands by first, and takes over when clients miss the primary
    #[arg(long)]
    pub(crate) backup: bool,
    /// Where this broker of a pair tells its state to the other: tcp://*:5003 for a primary by default,
    /// tcp://*:5004 for a backup
    #[arg(long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) ha_own: Option<String>,
    /// Where the other broker of the pair tells its state: tcp://localhost:5004 for a primary by default,
    /// tcp://localhost:5003 for a backup
    #[arg(long, value_name = "ENDPOINT", value_hint = ValueHint::Url)]
    pub(crate) ha_peer: Option<String>,
    /// Tell nothing but failures
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What can be asked of a broker that runs.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum BrokerCommand {
    /// Print the state of a broker that runs: its services, queues and counters
    Status {
        #[command(flatten)]
        at: Majordomo,
        /// Give up (status 124) after so long
        #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "2500ms")]
        timeout: Duration,
    },
}

/// Where the broker is, and how to speak to it.
#[derive(Args, Debug, Clone)]
pub(crate) struct Majordomo {
    /// The broker; if there are several, such as a pair, the next is tried when one is gone or stands by
    /// (repeatable)
    #[arg(short, long = "broker", value_name = "ENDPOINT", value_hint = ValueHint::Url, default_value = "tcp://localhost:5555")]
    pub(crate) brokers: Vec<String>,
    /// The version of the protocol
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mdp: Mdp,
    /// Set a socket option by its name, such as plain_username=ann (repeatable); `help` lists them. A key
    /// may be in a file: curve_secretkey=@FILE (and one that begins with @ itself is written with @@)
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

/// The versions of Majordomo's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mdp {
    /// RFC 7
    #[value(name = "0.1")]
    V1,
    /// RFC 18, with replies in several parts
    #[default]
    #[value(name = "0.2")]
    V2,
    /// 0.2 as the Python package of this name has it
    Majortomo,
}

/// `xebec call`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Ask a service of a Majordomo broker, and print its reply

Each BODY is a frame of the request; without any, standard input is the only one, less one newline at its end. A \
reply that comes in parts is printed as it comes, a part a line, or with --once when all of it is there. Exit status 1 \
if the broker refuses or the worker fails, 124 if no reply comes in time.")]
pub(crate) struct Call {
    /// The name of the service
    pub(crate) service: String,
    /// The frames of the request
    pub(crate) body: Vec<String>,
    #[command(flatten)]
    pub(crate) ask: Ask,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
}

/// How a service is asked.
#[derive(Args, Debug, Clone)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) at: Majordomo,
    /// Number the request, so that it counts once though it is sent again; for `xebec broker`
    #[arg(long)]
    pub(crate) once: bool,
    /// How long to wait for a reply before the request is sent again
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "2500ms")]
    pub(crate) timeout: Duration,
    /// How often the request is sent, at most
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempts: u32,
}

/// `xebec worker`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Make a shell command a service of a Majordomo broker

The request is the command's standard input (frames with --delimiter between), its standard output the reply (one \
newline at the end is taken off, unless the format is raw). If it fails, that is told here and the reply is empty. \
Without --exec each request is its own reply.")]
pub(crate) struct Worker {
    /// The name of the service
    pub(crate) service: String,
    #[command(flatten)]
    pub(crate) at: Majordomo,
    /// The shell command
    #[arg(short = 'x', long, value_name = "COMMAND", value_hint = ValueHint::CommandString)]
    pub(crate) exec: Option<String>,
    /// How many requests to work on at the same time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) jobs: u16,
    /// How often to send heartbeats, and expect them
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "2500ms")]
    pub(crate) heartbeat: Duration,
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    /// Tell nothing but failures
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// `xebec titanic`.
#[derive(Args, Debug, Clone)]
#[command(
    args_conflicts_with_subcommands = true,
    long_about = "\
Keep requests and replies on disk beside a Majordomo broker: Titanic

A worker of the services titanic.request, titanic.reply and titanic.close of RFC 9 and a client of all others. A \
request is answered with 200 once it is on disk, and sent to its service until that has replied; the reply is kept \
until the request is closed. What is in FILE is resumed at the start. `xebec broker --titanic FILE` is both in \
one process. SIGTERM and Ctrl-C take no more requests and end what services are at; a second signal ends at once; SIGUSR1 \
prints the state."
)]
pub(crate) struct Titanic {
    #[command(subcommand)]
    pub(crate) about: Option<TitanicCommand>,
    #[command(flatten)]
    pub(crate) settings: TitanicSettings,
}

/// How a Titanic runs.
#[derive(Args, Debug, Clone)]
pub(crate) struct TitanicSettings {
    /// The file, which is made if there is none
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) at: Majordomo,
    /// Keep requests in memory instead: they are lost with this process
    #[arg(long, conflicts_with = "path")]
    pub(crate) memory: bool,
    /// The size of the file, or of what is kept in memory
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, default_value = "256M")]
    pub(crate) size: usize,
    /// When requests are made durable: each at once, so long after the first (and clients wait for it), or off
    #[arg(long, value_name = "each|DURATION|off", value_parser = when, default_value = "each")]
    pub(crate) sync: When,
    /// Workers of each service, and so clients that share a sync of the disk
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) workers: u8,
    /// Requests that are sent to one service at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) calls: usize,
    /// How long a service may take to reply before the request is sent again
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "1m")]
    pub(crate) timeout: Duration,
    /// After how many calls without a reply a request is given up; 0 is never
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) attempts: u16,
    /// Let clients list the UUIDs of all requests, which is all it takes to get a reply
    #[arg(long)]
    pub(crate) list: bool,
    /// Tell nothing but failures
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What can be asked of a Titanic that runs.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum TitanicCommand {
    /// Give it a request, and print the UUID once it is stored
    Submit {
        /// The name of the service
        service: String,
        /// The frames of the request; without any, standard input is the only one
        body: Vec<String>,
        /// Wait for the reply, print it, and close the request; the UUID goes to standard error
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        format: FormatFlags,
        #[command(flatten)]
        ask: Ask,
    },
    /// Print the reply to a request; status 124 if there is none yet
    Fetch {
        /// What `submit` printed
        #[arg(value_parser = uuid)]
        id: Id,
        /// Wait for the reply
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        format: FormatFlags,
        #[command(flatten)]
        ask: Ask,
    },
    /// Have it forget a request and its reply
    Close {
        /// What `submit` printed
        #[arg(value_parser = uuid)]
        id: Id,
        #[command(flatten)]
        ask: Ask,
    },
    /// Print what it has: UUID, state, attempts, bytes, milliseconds since 1970; if it runs with --list
    List {
        #[command(flatten)]
        ask: Ask,
    },
    /// Print its state and counters
    Status {
        #[command(flatten)]
        ask: Ask,
    },
}

/// `xebec watch`.
#[derive(Args, Debug, Clone)]
#[command(long_about = "\
Open a socket and show what happens to it: events and counters, live

What arrives is counted and thrown away (a REP leaves requests in its queue, since to take one is to owe a reply); \
subscribers subscribe to everything. Nothing is sent.")]
pub(crate) struct Watch {
    /// The socket's type: pull, sub, router, …
    #[arg(value_name = "TYPE", value_parser = socket_type)]
    pub(crate) kind: SocketType,
    #[command(flatten)]
    pub(crate) endpoints: Endpoints,
    /// How often to look at the counters
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "1s")]
    pub(crate) every: Duration,
    /// Stop after so long
    #[arg(long = "for", value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) socket: SocketFlags,
}

/// `xebec demo`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Demo {
    /// The text; if none is given, one of some MB is put together from what this machine has
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// How many worker processes; as many as there are processors, if not given, but at least two
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
}

/// A worker of `xebec demo`: where everybody is.
#[derive(Args, Debug, Clone)]
pub(crate) struct DemoWorker {
    pub(crate) number: u16,
    pub(crate) ventilator: String,
    pub(crate) sink: String,
    pub(crate) control: String,
}

/// `xebec bench`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) what: BenchKind,
}

/// What `xebec bench` can measure.
#[derive(Subcommand, Debug, Clone)]
pub(crate) enum BenchKind {
    /// Messages per second, one way, from PUSH to PULL
    #[command(visible_alias = "throughput")]
    Thr(Throughput),
    /// Round trips between REQ and REP, one at a time
    #[command(visible_alias = "latency")]
    Lat(Latency),
    /// Round trips between DEALER and ROUTER, many under way at a time
    Rpc(Rpc),
    /// Calls per second: a new socket or connection for each, or kept; many clients; a proxy
    Calls(Calls),
    /// Memory and processor time of idle connections that one process holds
    Connections {
        /// How many connections
        #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, default_value = "10000")]
        count: u64,
        /// How long to watch them do nothing
        #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "5s")]
        idle: Duration,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
}

/// The transports that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Two processes over loopback
    Tcp,
    /// Two processes over a Unix domain socket
    Ipc,
    /// Two threads of one process
    Inproc,
}

/// `xebec bench thr`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Throughput {
    /// How many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, default_value = "5M")]
    pub(crate) count: u64,
    #[command(flatten)]
    pub(crate) bench: BenchEnds,
}

/// `xebec bench lat`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Latency {
    /// How many round trips
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, default_value = "100k")]
    pub(crate) count: u64,
    #[command(flatten)]
    pub(crate) bench: BenchEnds,
}

/// `xebec bench rpc`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Rpc {
    /// How many requests
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, default_value = "500k")]
    pub(crate) count: u64,
    /// How many requests are under way at a time
    #[arg(short, long, value_name = "N", value_parser = quantity::count, default_value = "16")]
    pub(crate) window: u64,
    #[command(flatten)]
    pub(crate) bench: BenchEnds,
}

/// `xebec bench calls`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Calls {
    /// How long each way of calling is measured
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "2s")]
    pub(crate) time: Duration,
    /// How many clients call at once where there are many
    #[arg(short, long, value_name = "N", value_parser = quantity::count, default_value = "8")]
    pub(crate) clients: u64,
    /// How many bytes in a request and its reply
    #[arg(short, long, value_name = "BYTES", value_parser = quantity::bytes, default_value = "64")]
    pub(crate) size: usize,
    /// Be only the REP that answers, at this endpoint, until a signal comes
    #[arg(long, value_name = "ENDPOINT", group = "end", value_hint = ValueHint::Url)]
    pub(crate) server: Option<String>,
    /// Be only the end that calls, at this endpoint
    #[arg(long, value_name = "ENDPOINT", group = "end", value_hint = ValueHint::Url)]
    pub(crate) client: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What all benchmarks between two ends share.
#[derive(Args, Debug, Clone)]
pub(crate) struct BenchEnds {
    /// How many bytes in a message: 64, 8k, 1M
    #[arg(short, long, value_name = "BYTES", value_parser = quantity::bytes, default_value = "64")]
    pub(crate) size: usize,
    /// What to measure over, when both ends are run here
    #[arg(short, long, value_enum, default_value = "tcp")]
    pub(crate) transport: Transport,
    /// Be only the end that binds (PULL, REP, ROUTER), at this endpoint
    #[arg(long, value_name = "ENDPOINT", group = "end", value_hint = ValueHint::Url)]
    pub(crate) server: Option<String>,
    /// Be only the end that connects (PUSH, REQ, DEALER), to this endpoint; --size and --count must agree
    #[arg(long, value_name = "ENDPOINT", group = "end", value_hint = ValueHint::Url)]
    pub(crate) client: Option<String>,
    /// Set an option of both sockets (repeatable), such as sndhwm=0
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print one line of JSON
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) json: bool,
}

/// The child of `xebec bench connections`.
#[derive(Args, Debug, Clone)]
pub(crate) struct BenchConnector {
    pub(crate) endpoint: String,
    pub(crate) count: u64,
}

/// A socket type by its name, such as `pull`.
fn socket_type(name: &str) -> Result<SocketType, String> {
    // A DISH has to be told its groups; datagrams are to come.
    let watched = |kind: &SocketType| !matches!(kind, SocketType::Dish | SocketType::Dgram);
    SocketType::parse(name).filter(watched).ok_or_else(|| {
        let names: Vec<String> = SocketType::ALL
            .iter()
            .filter(|kind| watched(kind))
            .map(|kind| kind.name().to_lowercase())
            .collect();
        format!("the types are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn formats_have_short_flags() {
        for (flag, format) in [
            ("--hex", Format::Hex),
            ("--base64", Format::Base64),
            ("--json", Format::Json),
            ("--raw", Format::Raw),
        ] {
            let cli = Cli::try_parse_from(["xebec", "pull", "tcp://*:1", flag]).unwrap();
            let Command::Pull(receiver) = cli.command else {
                panic!()
            };
            assert_eq!(receiver.format.chosen(), format);
        }
        assert!(Cli::try_parse_from(["xebec", "pull", "tcp://*:1", "--hex", "--json"]).is_err());
    }

    #[test]
    fn an_endpoint_is_required() {
        assert!(Cli::try_parse_from(["xebec", "pull"]).is_err());
        assert!(Cli::try_parse_from(["xebec", "pull", "-b", "tcp://*:1"]).is_ok());
    }

    #[test]
    fn socket_types_by_name() {
        assert_eq!(socket_type("pull"), Ok(SocketType::Pull));
        assert_eq!(socket_type("XREP"), Ok(SocketType::Router));
        assert!(socket_type("poll").unwrap_err().contains("pull"));
        assert_eq!(socket_type("server"), Ok(SocketType::Server));
        assert!(socket_type("dish").is_err(), "it has to be told its groups");
    }
}
