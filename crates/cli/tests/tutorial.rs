//! Runs docs/tutorial.md: each block of `sh` by one shell, in order, and what it prints is the block of
//! `text` below it, if there is one. Its blocks of Rust are documentation tests of `xebec-patterns`.

mod common;

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use common::{LIMIT, Scratch, lines};
use rustix::process::{Pid, Signal, kill_process_group};

/// What a step does, and what it must print.
struct Step {
    line: usize,
    script: String,
    printed: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<_> = lines
            .by_ref()
            .map(|(_, line)| line.to_owned())
            .take_while(|line| line != "```")
            .collect();
        match kind {
            "sh" => steps.push(Step {
                line: number + 2,
                script: body.join("\n"),
                printed: Vec::new(),
            }),
            "text" => steps.last_mut().expect("below a step").printed = body,
            _ => {}
        }
    }
    steps
}

/// A shell with all that it has started, which end with the test.
struct Shell {
    child: Child,
    printed: Receiver<String>,
}

impl Shell {
    fn start(folder: &Path) -> Self {
        let bin = Path::new(env!("CARGO_BIN_EXE_xebec")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let errors = File::create(folder.join("stderr")).unwrap();
        let mut shell = Command::new("bash");
        shell.current_dir(folder).env("PATH", path).process_group(0);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = shell.spawn().expect("bash is there");
        let printed = lines(child.stdout.take().unwrap());
        Shell { child, printed }
    }

    fn run(&mut self, script: &str) -> Vec<String> {
        const END: &str = "--- the end of this step";
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{script}\necho '{END}'").unwrap();
        let mut printed = Vec::new();
        loop {
            match self.printed.recv_timeout(LIMIT) {
                Ok(line) if line == END => return printed,
                Ok(line) => printed.push(line),
                Err(why) => panic!("{why} after {printed:?} of\n{script}"),
            }
        }
    }
}

/// Tells what all that was started has logged, if the test fails.
struct Logs<'a>(&'a Path);

impl Drop for Logs<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for folder in [self.0, &self.0.join("tutorial")] {
            for file in folder.read_dir().into_iter().flatten().flatten() {
                let is_text = file.path().extension().is_none_or(|end| end == "log")
                    && file.metadata().is_ok_and(|about| about.len() < 1 << 20);
                if is_text && let Ok(text) = std::fs::read_to_string(file.path()) {
                    println!("{}:\n{text}", file.file_name().display());
                }
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

#[test]
fn the_tutorial_runs_as_it_is_printed() {
    let page = include_str!("../../../docs/tutorial.md");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let folder = Scratch::folder("tutorial");
    let mut shell = Shell::start(&folder.0);
    let _logs = Logs(&folder.0);
    let steps = steps(page);
    assert!(steps.len() > 8, "the page has its steps");
    for step in steps {
        // The page's port may be somebody else's.
        let printed = shell.run(&step.script.replace("5555", &port));
        let printed: Vec<_> = printed
            .iter()
            .map(|line| line.replace(&port, "5555"))
            .collect();
        let line = step.line;
        assert_eq!(printed, step.printed, "docs/tutorial.md:{line}");
    }
}
