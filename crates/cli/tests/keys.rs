//! Key pairs, and a conversation that they encrypt.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{Scratch, command, run, spawn, start};

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn a_pair_is_printed() {
    let [a, b] = [(); 2].map(|()| run(&["keygen"], "").ok());
    for lines in [&a, &b] {
        let keys: Vec<&str> = lines.iter().map(|line| &line[7..]).collect();
        assert!(lines[0].starts_with("public ") && lines[1].starts_with("secret "));
        assert_eq!(
            keys.iter().map(|key| key.len()).collect::<Vec<_>>(),
            [40, 40]
        );
    }
    assert_ne!(a, b);
}

#[test]
fn a_pair_is_written_and_not_overwritten() {
    let folder = Scratch::folder("pair");
    let file = folder.file("some.key");
    let public = run(&["keygen", &file], "").ok();
    let read = |name: &str| fs::read_to_string(name).unwrap();
    let public_file = format!("{file}.pub");
    assert_eq!(read(&public_file).trim(), public[0]);
    assert_eq!(read(&file).trim().len(), 40);
    let mode = |name: &str| fs::metadata(name).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);

    let before = read(&file);
    let said = run(&["keygen", &file], "").failed(1);
    assert!(said.contains("--force"), "{said}");
    assert_eq!(read(&file), before);

    // A public key's file in the way leaves no secret key behind.
    fs::remove_file(&file).unwrap();
    run(&["keygen", &file], "").failed(1);
    assert!(fs::metadata(&file).is_err());

    fs::write(&file, "open to all").unwrap();
    run(&["keygen", &file, "--force"], "").ok();
    assert_ne!(read(&file), before);
    assert_eq!((mode(&file), read(&file).trim().len()), (0o600, 40));
}

#[test]
fn keys_from_files_encrypt_a_conversation() {
    let folder = Scratch::folder("conversation");
    let [server, client, other] = ["server", "client", "other"].map(|name| {
        let file = folder.file(name);
        run(&["keygen", &file], "").ok();
        file
    });
    let secret = format!("curve_secretkey=@{server}");
    let serve = ["--set", "curve_server=1", "--set", &secret];
    let mut rep = start(&[&["rep", ANY, "--verbose"][..], &serve].concat());
    let endpoint = rep.bound();
    let public = format!("curve_publickey=@{client}.pub");
    let secret = format!("curve_secretkey=@{client}");
    let ask = |server: &str| {
        let server = format!("curve_serverkey=@{server}.pub");
        let keys = ["--set", &server, "--set", &public, "--set", &secret];
        let args = [
            &["req", &endpoint, "--timeout", "2s", "--linger", "0"][..],
            &keys,
        ]
        .concat();
        run(&args, "hello\n")
    };
    assert_eq!(ask(&server).ok(), ["hello"]);
    ask(&other).failed(124);
    rep.says("cannot be decrypted");
}

#[test]
fn a_wrong_key_is_not_shown() {
    let said = run(&["req", ANY, "--set", "curve_secretkey=tell-nobody"], "").failed(2);
    assert!(
        said.contains("curve_secretkey") && !said.contains("tell-nobody"),
        "{said}"
    );
    let said = run(&["req", ANY, "--set", "curve_secretkey=@/no/such/file"], "").failed(2);
    assert!(said.contains("/no/such/file"), "{said}");
    // A key that begins with `@` looks like the name of a file, which is not there.
    let key = format!("@{}", "k".repeat(39));
    let said = run(
        &["req", ANY, "--set", &format!("curve_secretkey={key}")],
        "",
    )
    .failed(2);
    assert!(said.contains("@@") && !said.contains("kkk"), "{said}");
}

/// With the `@`, names of files that are 39 letters long have the form of a key. One was used as a key then,
/// without a word.
#[test]
fn a_file_is_a_file_however_long_its_name() {
    let folder = Scratch::folder("lengths");
    let name = "k".repeat(39);
    fs::write(folder.file(&name), "no key").unwrap();
    let req = |set: &str| {
        let mut req = command(&["req", ANY, "--set", set]);
        req.current_dir(folder.path());
        let mut req = spawn(req);
        req.end_input();
        req.wait()
    };
    let said = req(&format!("curve_secretkey=@{name}")).failed(2);
    assert!(said.contains("curve_secretkey"), "{said}");
    // What begins with two is a key that begins with one.
    req(&format!("curve_serverkey=@@{name}")).ok();
}
