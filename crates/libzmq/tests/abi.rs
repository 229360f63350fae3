//! The interface that programs see without running: exported symbols, the numbers and types in the
//! header, and prototypes, compared with what Debian's package of libzmq has. Ours may have more.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{BOTH, Libzmq, c_tools_or_skip, cc, feed, include, run, text};

/// What differs by right.
const OF_THE_VERSION: &[&str] = &["ZMQ_VERSION", "ZMQ_VERSION_PATCH"];

const DRAFT: &str = "#define ZMQ_BUILD_DRAFT_API\n";

#[test]
fn every_symbol_of_debians_is_exported() {
    let Some(()) = c_tools_or_skip() else { return };
    let theirs = exported(&Libzmq::Debian.file());
    let ours = exported(&Libzmq::Ours.file());
    assert!(
        theirs.contains("zmq_ctx_new") && theirs.len() > 60,
        "{theirs:?}"
    );
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

#[test]
fn what_the_header_declares_is_exported_and_nothing_else() {
    let Some(()) = c_tools_or_skip() else { return };
    let declared: BTreeSet<String> = prototypes(&Libzmq::Ours.header()).into_keys().collect();
    let exported = exported(&Libzmq::Ours.file());
    let missing: Vec<_> = declared.difference(&exported).collect();
    assert!(missing.is_empty(), "declared and not exported: {missing:?}");
    let more: Vec<_> = exported.difference(&declared).collect();
    assert!(more.is_empty(), "exported and not declared: {more:?}");
}

#[test]
fn programs_find_it_under_libzmqs_name() {
    let Some(()) = c_tools_or_skip() else { return };
    for library in BOTH {
        let dynamic = run(Command::new("readelf").arg("-d").arg(library.file()));
        let dynamic = text(&dynamic.stdout);
        assert!(
            dynamic.contains("soname: [libzmq.so.5]"),
            "{library:?}:\n{dynamic}"
        );
    }
}

#[test]
fn every_constant_has_debians_value() {
    let Some(()) = c_tools_or_skip() else { return };
    let theirs = constants(Libzmq::Debian);
    let ours = constants(Libzmq::Ours);
    assert!(
        theirs.len() > 150,
        "only {} constants: {theirs:?}",
        theirs.len()
    );
    let mut wrong = String::new();
    for (name, value) in &theirs {
        let found = ours.get(name);
        if found != Some(value) && !OF_THE_VERSION.contains(&name.as_str()) {
            let _ = writeln!(wrong, "{name} is {value}, ours {found:?}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_type_is_laid_out_as_debians() {
    let Some(()) = c_tools_or_skip() else { return };
    let [theirs, ours] = BOTH.map(|header| printed(header, LAYOUT));
    assert!(theirs.lines().count() > 15, "{theirs}");
    assert_eq!(theirs, ours);
}

/// Prints sizes, alignments, places and, by their size and sign, the types of members.
const LAYOUT: &str = r#"
#define TYPE(type) \
    printf (#type ": %zu bytes, aligned to %zu\n", sizeof (type), _Alignof (type))
#define MEMBER(type, member) \
    printf (#type "." #member " at %zu: %zu bytes, kind %d\n", offsetof (type, member), \
            sizeof (((type *) 0)->member), _Generic (((type *) 0)->member, \
            void *: 1, int: 2, short: 3, unsigned char *: 4, default: 0))
    TYPE (zmq_msg_t);
    MEMBER (zmq_msg_t, _);
    TYPE (zmq_fd_t);
    TYPE (zmq_pollitem_t);
    MEMBER (zmq_pollitem_t, socket);
    MEMBER (zmq_pollitem_t, fd);
    MEMBER (zmq_pollitem_t, events);
    MEMBER (zmq_pollitem_t, revents);
    TYPE (zmq_poller_event_t);
    MEMBER (zmq_poller_event_t, socket);
    MEMBER (zmq_poller_event_t, fd);
    MEMBER (zmq_poller_event_t, user_data);
    MEMBER (zmq_poller_event_t, events);
#define KIND(type, wanted) \
    printf (#type " is " #wanted ": %d\n", \
            __builtin_types_compatible_p (type, wanted))
    KIND (zmq_fd_t, int);
    KIND (zmq_free_fn, void (void *, void *));
    KIND (zmq_timer_fn, void (int, void *));
    KIND (zmq_thread_fn, void (void *));
"#;

#[test]
fn every_function_has_debians_prototype() {
    let Some(()) = c_tools_or_skip() else { return };
    let theirs = prototypes(&Libzmq::Debian.header());
    let ours = prototypes(&Libzmq::Ours.header());
    assert!(theirs.len() > 60, "{theirs:?}");
    let missing: Vec<_> = theirs
        .keys()
        .filter(|name| !ours.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "not declared: {missing:?}");
    let all: Vec<&str> = ours.values().map(String::as_str).collect();
    if let Err(complaint) = agree_with_debians(&all) {
        panic!("{complaint}");
    }
}

/// The check itself can fail.
#[test]
fn a_wrong_prototype_is_found() {
    let Some(()) = c_tools_or_skip() else { return };
    let wrong = "int zmq_send (void *socket, const void *from, int length, int flags);";
    let complaint = agree_with_debians(&[wrong]).unwrap_err();
    assert!(complaint.contains("conflicting types"), "{complaint}");
}

#[test]
fn the_header_is_plain_c_and_cpp() {
    let Some(()) = c_tools_or_skip() else { return };
    for (language, standards) in [
        ("c", ["c99", "c11", "gnu17"].as_slice()),
        ("c++", &["c++11", "c++17"]),
    ] {
        for standard in standards {
            // As with libzmq's header, sigset_t takes more than the bare standard of C.
            let draft = if standard.starts_with('c') && language == "c" {
                ""
            } else {
                DRAFT
            };
            for header in ["zmq.h", "zmq_utils.h"] {
                let mut cc = Libzmq::Ours.cc();
                cc.args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
                cc.arg(format!("-std={standard}"))
                    .args(["-x", language, "-"]);
                let twice = format!("#include <{header}>\n").repeat(2);
                let output = feed(
                    &mut cc,
                    &format!("{draft}{twice}int main() {{ return 0; }}"),
                );
                let complaint = text(&output.stderr);
                assert!(output.status.success(), "{header}, {standard}: {complaint}");
            }
        }
    }
}

/// The static library links into a program that knows nothing of Rust.
#[test]
fn the_static_library_stands_alone() {
    let Some(()) = c_tools_or_skip() else { return };
    let archive = std::env::current_exe().expect("a test knows its executable");
    let archive = archive.with_file_name("libzmq.a");
    let program = scratch("static");
    let mut cc = cc();
    cc.arg("-I")
        .arg(include())
        .args(["-x", "c", "-", "-x", "none"]);
    cc.arg(archive).arg("-o").arg(&program);
    cc.args(["-lgcc_s", "-lpthread", "-lm", "-ldl"]);
    let source = r#"
        #include <zmq.h>
        int main (void)
        {
            void *context = zmq_ctx_new ();
            void *socket = zmq_socket (context, ZMQ_PAIR);
            return zmq_close (socket) || zmq_ctx_term (context);
        }
    "#;
    let output = feed(&mut cc, source);
    assert!(output.status.success(), "{}", text(&output.stderr));
    run(&mut Command::new(&program));
    let needed = run(Command::new("readelf").arg("-d").arg(&program));
    assert!(!text(&needed.stdout).contains("libzmq"));
}

/// The numbers of the header are those of the table of options.
#[test]
fn every_option_of_the_table_is_in_the_header() {
    let Some(()) = c_tools_or_skip() else { return };
    let constants = constants(Libzmq::Ours);
    for spec in xebec::OPTIONS {
        let value = constants.get(spec.c_name).map(String::as_str);
        assert_eq!(value, Some(&*spec.number.to_string()), "{}", spec.c_name);
    }
}

fn exported(library: &Path) -> BTreeSet<String> {
    let listed = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library));
    let listed = text(&listed.stdout);
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    // Debian's has marks of its symbol versions, and C++ names besides.
    let names = names.filter_map(|name| name.split('@').next());
    names
        .filter(|name| name.starts_with("zmq_"))
        .map(String::from)
        .collect()
}

/// The macros of a header that have a value, and their values.
fn constants(header: Libzmq) -> BTreeMap<String, String> {
    let mut preprocess = header.cc();
    preprocess.args(["-E", "-dM", "-x", "c", "-"]);
    let macros = feed(&mut preprocess, &format!("{DRAFT}#include <zmq.h>\n"));
    let mut body = String::new();
    let mut empty = Vec::new();
    for line in text(&macros.stdout).lines() {
        let mut words = line.splitn(3, ' ').skip(1);
        let (Some(name), value) = (words.next(), words.next().unwrap_or_default()) else {
            continue;
        };
        let ours = name.starts_with("ZMQ_")
            || ["EFSM", "ENOCOMPATPROTO", "ETERM", "EMTHREAD"].contains(&name);
        if !ours || name.contains('(') || name == "ZMQ_BUILD_DRAFT_API" {
            continue;
        }
        if value.is_empty() {
            empty.push(name.to_owned());
        } else if value.starts_with('"') {
            let _ = writeln!(body, "printf (\"{name} %s\\n\", {name});");
        } else {
            let _ = writeln!(body, "printf (\"{name} %lld\\n\", (long long) ({name}));");
        }
    }
    let printed = printed(header, &body);
    let pairs = printed.lines().filter_map(|line| line.split_once(' '));
    let mut constants: BTreeMap<_, _> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    constants.extend(empty.into_iter().map(|name| (name, String::new())));
    constants
}

/// What a program with this body prints.
fn printed(header: Libzmq, body: &str) -> String {
    let program = scratch(&format!("printed-{header:?}"));
    let mut cc = header.cc();
    cc.args(["-std=gnu11", "-x", "c", "-", "-o"]).arg(&program);
    let source = format!("{DRAFT}#include <zmq.h>\nint main (void) {{\n{body}\nreturn 0;\n}}\n");
    let output = feed(&mut cc, &source);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&run(&mut Command::new(program)).stdout)
}

/// A file for this thread, which is this test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    folder.join(format!("{name}-{:?}", std::thread::current().id()))
}

/// The functions that a header declares, by name.
fn prototypes(header: &str) -> BTreeMap<String, String> {
    let bare = without_comments(header);
    let mut found = BTreeMap::new();
    for statement in bare.split("ZMQ_EXPORT").skip(1) {
        let Some((prototype, _)) = statement.split_once(';') else {
            continue;
        };
        let Some((head, _)) = prototype.split_once('(') else {
            continue;
        };
        let name = head
            .trim()
            .rsplit([' ', '*', '\n'])
            .next()
            .unwrap_or_default();
        if name.starts_with("zmq_") && !prototype.contains('#') {
            // Debian's header has a second zmq_ppoll, for another system.
            found
                .entry(name.to_owned())
                .or_insert_with(|| format!("{};", prototype.trim()));
        }
    }
    found
}

fn without_comments(source: &str) -> String {
    let mut bare = String::new();
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        bare += before;
        bare.push(' ');
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    bare += rest;
    let lines = bare
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Declares these again after Debian's header: the compiler objects to what is not the same.
fn agree_with_debians(prototypes: &[&str]) -> Result<(), String> {
    let mut cc = Libzmq::Debian.cc();
    cc.args(["-std=gnu11", "-fsyntax-only", "-Werror", "-x", "c", "-"]);
    let again = prototypes.join("\n");
    let output = feed(&mut cc, &format!("{DRAFT}#include <zmq.h>\n{again}\n"));
    if output.status.success() {
        Ok(())
    } else {
        Err(text(&output.stderr))
    }
}
