//! Every row of the tables is tried; the defaults are compared with those of the C interface.

use super::*;
use std::collections::BTreeSet;
use std::time::Duration;

const ZERO_KEY: &str = "0000000000000000000000000000000000000000\0";

/// Numbers in C, and the default there: an `int`, or `""` for no bytes, no text or no members. Only
/// the two batch sizes differ from libzmq's 8192.
const C_DEFAULTS: &[(i32, &str)] = &[
    (4, "0"),
    (5, ""),
    (8, "100"),
    (9, "10000"),
    (11, "-1"),
    (12, "-1"),
    (17, "-1"),
    (18, "100"),
    (19, "100"),
    (21, "0"),
    (22, "-1"),
    (23, "1000"),
    (24, "1000"),
    (25, "1"),
    (27, "-1"),
    (28, "-1"),
    (31, "1"),
    (33, "0"),
    (34, "-1"),
    (35, "-1"),
    (36, "-1"),
    (37, "-1"),
    (38, ""),
    (39, "0"),
    (40, "0"),
    (41, "0"),
    (42, "0"),
    (51, "0"),
    (44, "0"),
    (45, "\0"),
    (46, "\0"),
    (47, "0"),
    (48, ZERO_KEY),
    (49, ZERO_KEY),
    (50, ZERO_KEY),
    (52, "0"),
    (53, "0"),
    (54, "0"),
    (55, "\0"),
    (56, "0"),
    (57, "0"),
    (58, ""),
    (59, ""),
    (60, ""),
    (61, ""),
    (66, "30000"),
    (68, "\0"),
    (69, "0"),
    (71, "0"),
    (72, ""),
    (73, "1"),
    (74, "0"),
    (75, "0"),
    (76, "0"),
    (77, "-1"),
    (78, "0"),
    (79, "0"),
    (80, "0"),
    (84, "1500"),
    (89, "-1"),
    (92, "\0"),
    (93, "0"),
    (94, "0"),
    (95, ""),
    (96, "1"),
    (97, "0"),
    (98, "0"),
    (99, "\0"),
    (100, "\0"),
    (101, "65536"),
    (102, "131072"),
    (108, "0"),
    (109, "0"),
    (110, ""),
    (111, ""),
    (112, "0"),
    (113, "0"),
    (114, ""),
    (115, "0"),
    (0x5845_0001, "50"),
    (0x5845_0002, "0"),
];

fn with_field() -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(|row| row.has_field)
}

fn is_number(row: &OptionSpec) -> bool {
    matches!(row.form, Form::Int32 | Form::Int64 | Form::UInt64)
}

#[test]
fn defaults_are_those_of_the_c_interface() {
    let numbers: BTreeSet<_> = C_DEFAULTS.iter().map(|(number, _)| *number).collect();
    let ours: BTreeSet<_> = with_field().map(|row| row.number).collect();
    assert_eq!(ours, numbers);
    for &(number, expected) in C_DEFAULTS {
        let row = Options::spec(number).unwrap();
        let bytes = row.to_c(&(row.read)(&Options::new())).unwrap_or_default();
        let told = match bytes.len() {
            4 => i32::from_ne_bytes(bytes.try_into().unwrap()).to_string(),
            8 => i64::from_ne_bytes(bytes.try_into().unwrap()).to_string(),
            _ => String::from_utf8(bytes).unwrap(),
        };
        assert_eq!(told, expected, "{}", row.c_name);
    }
}

/// 112 numbers of libzmq and two of ours, each once.
#[test]
fn the_table_is_complete() {
    let numbers: BTreeSet<_> = OPTIONS.iter().map(|row| row.number).collect();
    let names: BTreeSet<_> = OPTIONS.iter().map(|row| row.name()).collect();
    assert_eq!((OPTIONS.len(), numbers.len(), names.len()), (114, 114, 114));
    for row in with_field() {
        assert!(row.doc.ends_with('.'), "{}: {}", row.c_name, row.doc);
    }
}

/// Texts that are valid for this row, and some that are not.
fn examples(row: &OptionSpec) -> (Vec<String>, Vec<String>) {
    let (min, max) = (row.rules.valid.min, row.rules.valid.max);
    if !row.rules.example.is_empty() {
        // No host, no property, no key, no word of any list.
        return (vec![row.rules.example.to_owned()], vec!["z z".to_owned()]);
    }
    if row.form == Form::Ids {
        let (good, bad) = (["0", "1000", "4294967295"], ["-1", "x", "4294967296"]);
        return (
            good.map(str::to_owned).into(),
            bad.map(str::to_owned).into(),
        );
    }
    if !is_number(row) {
        let length = |n: i64| "x".repeat(n.try_into().unwrap());
        let bad = if max < 1000 {
            vec![length(max + 1)]
        } else {
            vec![]
        };
        return (vec![length(min.max(1)), length(max.min(1000))], bad);
    }
    let none = row.rules.none.map(|(word, _)| word.to_owned());
    if row.rules.valid
        == (Valid {
            zero_first: true,
            min: i64::MIN,
            max: i64::MAX,
        })
    {
        let good = ["0", "1", "0x10", "18446744073709551615"].map(str::to_owned);
        return (
            good.into_iter().chain(none).collect(),
            vec!["-1".to_owned()],
        );
    }
    let negative = i64::from(row.rust_type.contains("Duration"));
    let good = [min.max(negative - 1), 1, max / 2, max].map(|n| n.clamp(min, max));
    let mut bad = vec!["what".to_owned(), String::new()];
    bad.extend(min.checked_sub(1).map(|n| n.to_string()));
    bad.extend(max.checked_add(1).map(|n| n.to_string()));
    // A negative time is written as its word.
    let good = good.iter().filter(|&&n| negative == 0 || n >= 0);
    (good.map(i64::to_string).chain(none).collect(), bad)
}

#[test]
fn every_option_round_trips_and_refuses_what_is_out_of_range() {
    for row in with_field() {
        let (good, bad) = examples(row);
        for text in good {
            let context = format!("{} = {text}", row.c_name);
            let mut options = Options::new();
            row.set(&mut options, &Value::Text(text.clone()))
                .expect(&context);
            let value = (row.read)(&options);
            let again = |value: &Value| {
                let mut other = Options::new();
                row.set(&mut other, value).expect(&context);
                assert_eq!(other, options, "{context}: {value:?}");
            };
            again(&value);
            again(&Value::Text(row.text(&value)));
            // The default of HEARTBEAT_TIMEOUT is told as -1, which C cannot set.
            let only_told = row
                .rules
                .none
                .is_some_and(|(word, code)| word == text && row.rules.within(code).is_err());
            if let Some(bytes) = row.to_c(&value).filter(|_| !only_told) {
                again(&row.from_c(&bytes).expect(&context));
            }
            let socket = row.rules.sockets.first();
            let socket = socket.copied().unwrap_or(SocketType::Pair);
            assert_eq!(options.check_for(socket), Ok(()), "{context}");
        }
        for text in bad {
            let mut options = Options::new();
            let result = row.set(&mut options, &Value::Text(text.clone()));
            assert!(
                matches!(result, Err(OptionError::Invalid { .. })),
                "{} = {text:?}: {result:?}",
                row.c_name
            );
            assert_eq!(options, Options::new());
        }
    }
}

#[test]
fn every_number_has_its_range_in_c() {
    for row in with_field().filter(|row| is_number(row)) {
        let (min, max) = (row.rules.valid.min, row.rules.valid.max);
        let mut options = Options::new();
        for code in [min, max] {
            assert_eq!(
                row.set(&mut options, &Value::Int(code)),
                Ok(()),
                "{}",
                row.c_name
            );
        }
        for code in [min.checked_sub(1), max.checked_add(1)]
            .into_iter()
            .flatten()
        {
            let result = row.set(&mut options, &Value::Int(code));
            assert!(
                matches!(result, Err(OptionError::Invalid { .. })),
                "{}",
                row.c_name
            );
        }
        for bytes in [&[0; 3][..], &[0; 5], &[0; 16], &[]] {
            assert!(row.from_c(bytes).is_err(), "{}", row.c_name);
        }
    }
}

#[test]
fn what_has_no_value_is_refused() {
    for row in OPTIONS.iter().filter(|row| row.rules.role != Role::Value) {
        let error = Options::new().set(row.number, 1).unwrap_err();
        let expected = match row.rules.role {
            Role::ReadOnly => matches!(error, OptionError::ReadOnly(_)),
            Role::Action => matches!(error, OptionError::Action(_)),
            _ => matches!(error, OptionError::Unsupported { .. }),
        };
        assert!(
            expected && error.to_string().contains(row.c_name),
            "{error}"
        );
        assert_eq!(Options::new().value(row.number), Err(error));
    }
    for number in [0, 1, 10, 20, 26, 67, 70, 82, 125, -1] {
        assert!(
            matches!(Options::spec(number), Err(OptionError::Unknown(_))),
            "{number}"
        );
    }
    for name in ["", "ZMQ_", "hwm", "rcvhwm ", "ZMQ_ZMQ_RCVHWM"] {
        assert!(
            matches!(Options::spec(name), Err(OptionError::Unknown(_))),
            "{name}"
        );
    }
}

#[test]
fn names_are_read_in_any_spelling() {
    for (name, number) in [
        ("rcvhwm", 24),
        ("RCVHWM", 24),
        ("ZMQ_RCVHWM", 24),
        ("zmq-rcvhwm", 24),
        ("routing-id", 5),
        ("identity", 5),
        ("ZMQ_CONNECT_RID", 61),
        ("spin", 0x5845_0001),
        ("XEBEC_SPIN", 0x5845_0001),
    ] {
        assert_eq!(Options::spec(name).unwrap().number, number, "{name}");
    }
    assert_eq!(Options::spec("ROUTING_ID").unwrap().flag(), "routing-id");
}

#[test]
fn the_builder_the_fields_and_the_dynamic_form_agree() {
    let built = Options::new()
        .rcvhwm(10)
        .linger(Duration::ZERO)
        .rcvtimeo(None)
        .routing_id("PEER2")
        .maxmsgsize(1 << 40)
        .tcp_keepalive(true)
        .reconnect_stop(ReconnectStop::CONN_REFUSED | ReconnectStop::AFTER_DISCONNECT)
        .metadata([Property::new("X-a", "b").unwrap()]);
    let mut set = Options::new();
    set.set("rcvhwm", 10).unwrap();
    set.set(17, 0).unwrap();
    set.set(27, Duration::from_secs(1)).unwrap();
    set.set(27, -1).unwrap();
    set.set(5, &b"PEER2"[..]).unwrap();
    set.set("maxmsgsize", 1i64 << 40).unwrap();
    set.set("tcp-keepalive", true).unwrap();
    set.set_text("reconnect_stop", "conn_refused,after_disconnect")
        .unwrap();
    set.set_text("metadata", "X-a:b").unwrap();
    assert_eq!(built, set);
    assert_eq!((built.rcvhwm, built.linger), (10, Some(Duration::ZERO)));
    assert_eq!(
        set.value("linger"),
        Ok(Value::Duration(Some(Duration::ZERO)))
    );
}

#[test]
fn times_are_read_with_and_without_unit() {
    for (text, micros) in [
        ("250", 250_000),
        ("250ms", 250_000),
        ("250 us", 250),
        ("2s", 2_000_000),
        ("3m", 180_000_000),
        ("1h", 3_600_000_000),
    ] {
        let mut options = Options::new();
        options.set_text("linger", text).unwrap();
        assert_eq!(
            options.linger,
            Some(Duration::from_micros(micros)),
            "{text}"
        );
    }
    for text in [
        "",
        "ms",
        "1.5s",
        "-2",
        "1d",
        "2000000000000ms",
        "99999999999999999999",
        "off",
    ] {
        assert!(Options::new().set_text("linger", text).is_err(), "{text}");
    }
    let mut options = Options::new();
    options.set_text("tcp_keepalive_idle", "2").unwrap();
    options.set_text("spin", "20").unwrap();
    assert_eq!(options.tcp_keepalive_idle, Some(Duration::from_secs(2)));
    assert_eq!(options.spin, Duration::from_micros(20));
    options.set_text("spin", "off").unwrap();
    assert_eq!(options.spin, Duration::ZERO);
}

/// A time shorter than the unit of C is not told as none.
#[test]
fn times_are_exact_in_rust_and_rounded_up_in_c() {
    let options = Options::new().linger(Duration::from_micros(1));
    let row = Options::spec("linger").unwrap();
    let value = row.value(&options).unwrap();
    assert_eq!(value, Value::Duration(Some(Duration::from_micros(1))));
    assert_eq!(row.to_c(&value), Some(1i32.to_ne_bytes().to_vec()));
    assert_eq!(row.text(&value), "1us");
}

#[test]
fn a_zero_time_is_none_only_where_zero_says_so() {
    let mut options = Options::new();
    options.set("heartbeat_ivl", Duration::ZERO).unwrap();
    options.set("heartbeat_timeout", 0).unwrap();
    assert_eq!(options.heartbeat_ivl, None);
    assert_eq!(options.heartbeat_timeout, Some(Duration::ZERO));
    assert!(options.set("heartbeat_timeout", -1).is_err());
    options.set("heartbeat_timeout", None::<Duration>).unwrap();
    assert_eq!(options.heartbeat_timeout, None);
}

#[test]
fn heartbeat_ttl_is_in_tenths() {
    for (given, kept) in [(0, None), (99, None), (100, Some(100)), (299, Some(200))] {
        let mut options = Options::new();
        options.set("heartbeat_ttl", given).unwrap();
        assert_eq!(options.heartbeat_ttl, kept.map(Duration::from_millis));
        let given = Duration::from_millis(given.try_into().unwrap());
        assert_eq!(options, Options::new().heartbeat_ttl(given));
    }
}

#[test]
fn some_options_change_others() {
    let mut options = Options::new();
    options.set("xpub_verboser", true).unwrap();
    assert!(options.xpub_verbose && options.xpub_verboser);
    options.set("xpub_verbose", true).unwrap();
    assert!(options.xpub_verbose && !options.xpub_verboser);
    options.set("ipv4only", 0).unwrap();
    assert!(options.ipv6);
    assert_eq!(options.value(31), Ok(Value::Bool(false)));
    assert!(Options::new().xpub_verboser(true).xpub_verbose);
}

#[test]
fn lists_collect_and_are_emptied() {
    let mut options = Options::new();
    let row = Options::spec("metadata").unwrap();
    for text in ["X-a:1", "X-b:2", "X-a:3"] {
        options.set_text("metadata", text).unwrap();
    }
    let all = Value::List(vec!["X-b:2".to_owned(), "X-a:3".to_owned()]);
    assert_eq!(options.value("metadata"), Ok(all.clone()));
    assert_eq!(row.to_c(&all), None);
    options.set("metadata", vec!["X-c:4".to_owned()]).unwrap();
    assert_eq!(options.metadata, [Property::new("X-c", "4").unwrap()]);
    options.set("metadata", &b""[..]).unwrap();
    assert!(options.metadata.is_empty());
    let row = Options::spec("ipc_filter_uid").unwrap();
    for bytes in [&1000u32.to_ne_bytes()[..], &u32::MAX.to_ne_bytes()] {
        row.set(&mut options, &row.from_c(bytes).unwrap()).unwrap();
    }
    assert_eq!(options.ipc_filter_uid, [1000, u32::MAX]);
    row.set(&mut options, &row.from_c(b"").unwrap()).unwrap();
    assert!(options.ipc_filter_uid.is_empty());
}

#[test]
fn a_listening_socket_comes_from_code_alone() {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::new().use_fd(listener());
    let row = Options::spec("use_fd").unwrap();
    let told = row.value(&options).unwrap();
    assert!(matches!(told, Value::Int(fd) if fd >= 0));
    assert_eq!(options.check_for(SocketType::Pull), Ok(()));
    assert_eq!(
        (options.clone(), options.set("use_fd", told.clone())),
        (options.clone(), Ok(()))
    );
    assert_ne!(options, Options::new().use_fd(listener()));
    options.set_text("use_fd", "none").unwrap();
    assert_eq!(options, Options::new());
    let error = options.set("use_fd", told.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "\"{}\" is not valid for ZMQ_USE_FD: a listening socket, from code, or `none`",
            row.text(&told)
        )
    );
}

#[test]
fn routing_ids_do_not_begin_with_zero() {
    let mut options = Options::new();
    for bad in [&b""[..], b"\0", b"\0abc", &[1; 256]] {
        assert!(options.set("routing_id", bad).is_err(), "{bad:?}");
        assert_eq!(options, Options::new());
    }
    for good in [&b"a\0"[..], &[255; 255]] {
        options.set("routing_id", good).unwrap();
        assert_eq!(options.routing_id, good);
    }
}

#[test]
fn values_of_another_type_are_refused() {
    for (name, value) in [
        ("rcvhwm", Value::Bool(true)),
        ("rcvhwm", Value::Bytes(Default::default())),
        ("rcvhwm", Duration::ZERO.into()),
        ("linger", Value::Bool(false)),
        ("immediate", Duration::ZERO.into()),
        ("routing_id", Value::Int(1)),
        ("bindtodevice", Value::Int(1)),
        ("metadata", Value::Bool(true)),
    ] {
        let error = Options::new().set(name, value).unwrap_err();
        assert!(
            matches!(error, OptionError::WrongType { .. }),
            "{name}: {error}"
        );
    }
    assert!(Options::new().set("bindtodevice", "a\0b").is_err());
    assert!(Options::new().set("bindtodevice", &b"\xff"[..]).is_err());
}

#[test]
fn a_socket_checks_what_the_builder_took() {
    let check = |options: Options| options.check_for(SocketType::Req);
    assert_eq!(check(Options::new().req_relaxed(true)), Ok(()));
    for options in [
        Options::new().routing_id("\0a"),
        Options::new().rcvhwm(usize::MAX),
        Options::new().linger(Duration::MAX),
        Options::new().bindtodevice("an interface name too long"),
    ] {
        assert!(matches!(check(options), Err(OptionError::Invalid { .. })));
    }
    let error = check(Options::new().router_mandatory(true)).unwrap_err();
    assert!(matches!(error, OptionError::WrongSocket { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "REQ sockets do not have ZMQ_ROUTER_MANDATORY; it is for ROUTER"
    );
}

#[test]
fn errors_say_what_would_be_right() {
    for (name, text, expected) in [
        (
            "linger",
            "soon",
            "\"soon\" is not valid for ZMQ_LINGER: 0 or more ms, or `infinite`",
        ),
        ("tos", "256", "\"256\" is not valid for ZMQ_TOS: 0 to 255"),
        (
            "rcvhwm",
            "-1",
            "\"-1\" is not valid for ZMQ_RCVHWM: 1 or more messages, or `unlimited`",
        ),
        (
            "ipv6",
            "2",
            "\"2\" is not valid for ZMQ_IPV6: `true` or `false`",
        ),
        (
            "tcp-keepalive",
            "2",
            "\"2\" is not valid for ZMQ_TCP_KEEPALIVE: `true` or `false`, or `system`",
        ),
        (
            "metadata",
            "a:b",
            "\"a:b\" is not valid for ZMQ_METADATA: such as `X-Region:eu`",
        ),
        ("nonesuch", "1", "there is no option nonesuch"),
        (
            "gssapi-server",
            "1",
            "ZMQ_GSSAPI_SERVER is not supported: there is no GSSAPI mechanism",
        ),
        (
            "subscribe",
            "",
            "ZMQ_SUBSCRIBE has no value; call the socket's method of that name",
        ),
    ] {
        let error = Options::new().set_text(name, text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn contexts_have_options_of_the_same_kind() {
    let defaults = ContextOptions::new();
    assert_eq!((defaults.io_threads, defaults.max_sockets), (1, 1023));
    assert_eq!(
        (defaults.max_message_size, defaults.ipv6),
        (i32::MAX as usize, false)
    );
    let mut options = ContextOptions::new().max_sockets(5);
    options.set("io-threads", 2).unwrap();
    assert_eq!(
        (options.io_threads, options.value(2)),
        (2, Ok(Value::Int(5)))
    );
    assert_eq!(options.check(), Ok(()));
    for row in CONTEXT_OPTIONS {
        assert!(row.doc.len() > 20, "{}", row.c_name);
        assert_eq!(ContextOptions::spec(row.name()).unwrap().number, row.number);
    }
    assert!(options.set(2, 0).is_err() && options.set("linger", 0).is_err());
    assert!(ContextOptions::new().max_sockets(0).check().is_err());
}

/// By number, what is told, and whether 0 and 1 can be set; libzmq's `ctx.cpp` in a table.
#[test]
fn contexts_have_the_options_of_the_c_interface() {
    let defaults = ContextOptions::new();
    for (number, told, zero, one) in [
        (1, Some(1), true, true),
        (2, Some(1023), false, true),
        (3, Some(65_535), true, true),
        (4, Some(-1), true, true),
        (5, Some(i32::MAX), true, true),
        (6, Some(64), false, false),
        (7, None, true, true),
        (8, None, false, false),
        (9, Some(0), true, true),
        (10, Some(1), true, true),
        (42, Some(0), true, true),
        (70, Some(1), true, true),
        (11, None, false, false),
        (-1, None, false, false),
    ] {
        let bytes = defaults.tell_c(number, 4).ok();
        let value = bytes.map(|bytes| i32::from_ne_bytes(bytes.try_into().unwrap()));
        assert_eq!(value, told, "{number}");
        assert!(
            number == 9 || defaults.tell_c(number, 8).is_err(),
            "{number}"
        );
        for (value, taken) in [(0, zero), (1, one), (-1, number == 9)] {
            let mut options = ContextOptions::new();
            let result = options.set_c(number, &i32::to_ne_bytes(value));
            assert_eq!(result.is_ok(), taken, "{number} = {value}: {result:?}");
            assert!(taken || options == defaults);
        }
        assert!(ContextOptions::new().set_c(number, &[]).is_err() || number == 7 || number == 9);
    }
}

#[test]
fn thread_names_are_text_or_a_number() {
    let mut options = ContextOptions::new();
    options.set_c(9, &1234i32.to_ne_bytes()).unwrap();
    assert_eq!(options.thread_name_prefix, "1234");
    assert_eq!(options.tell_c(9, 4).unwrap(), 1234i32.to_ne_bytes());
    options.set_c(9, b"MyPrefix9012345\0").unwrap();
    assert_eq!(options.tell_c(9, 16).unwrap(), b"MyPrefix9012345\0");
    assert_eq!(options.tell_c(9, 4).unwrap(), 0i32.to_ne_bytes());
    assert!(options.tell_c(9, 15).is_err());
    for bad in [&b"seventeen letters"[..], b"a\0b23", b"\xff\xff\xff"] {
        assert!(options.set_c(9, bad).is_err(), "{bad:?}");
    }
    assert_eq!(options.thread_name_prefix, "MyPrefix9012345");
}

#[test]
fn processors_are_added_and_removed() {
    let mut options = ContextOptions::new();
    for cpu in [0, 3, 1023, 3] {
        options.set_c(7, &i32::to_ne_bytes(cpu)).unwrap();
    }
    for bad in [-1, 1024, i32::MAX] {
        assert!(options.set_c(7, &bad.to_ne_bytes()).is_err());
    }
    assert_eq!(options.thread_affinity, [0, 1023, 3]);
    options.set_c(8, &0i32.to_ne_bytes()).unwrap();
    assert!(
        options.set_c(8, &0i32.to_ne_bytes()).is_err(),
        "it is not there"
    );
    assert_eq!(options.thread_affinity, [1023, 3]);
    options.set("thread-affinity-cpu-add", "").unwrap();
    assert!(options.thread_affinity.is_empty());
    let options = ContextOptions::new().thread_affinity([4096]);
    assert!(matches!(options.check(), Err(OptionError::Invalid { .. })));
}

#[test]
fn the_reference_names_every_option() {
    let page = reference();
    let names = OPTIONS.iter().map(|row| row.c_name);
    for name in names.chain(CONTEXT_OPTIONS.iter().map(|row| row.c_name)) {
        assert!(page.contains(name), "{name}");
    }
    assert!(
        page.lines().all(|line| line.len() < 400),
        "sentences, not essays"
    );
}
