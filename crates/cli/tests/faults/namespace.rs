//! A real network between two machines, as the kernel has it: two namespaces and a veth pair. When it is
//! cut, packets are lost and nobody is told.

use std::process::Command;

use crate::broker::client;
use crate::common::{Scratch, Xebec, command, spawn};
use crate::load::Load;

/// Two namespaces with a cable between them.
struct Cable {
    names: [String; 2],
}

impl Cable {
    /// None, and the reason is printed, where the machine does not allow it.
    fn lay() -> Option<Self> {
        let id = std::process::id();
        let names = ["a", "b"].map(|end| format!("xebec-{id}-{end}"));
        let cable = Cable { names };
        let [a, b] = &cable.names;
        let script = format!(
            "ip netns add {a} && ip netns add {b} && \
             ip -n {a} link add xebec0 type veth peer name xebec0 netns {b} && \
             ip -n {a} addr add 10.111.0.1/24 dev xebec0 && ip -n {a} link set xebec0 up && \
             ip -n {b} addr add 10.111.0.2/24 dev xebec0 && ip -n {b} link set xebec0 up"
        );
        let done = Command::new("sh").args(["-c", &script]).output().ok()?;
        if done.status.success() {
            return Some(cable);
        }
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        println!("skipped: no network namespaces here ({})", why.trim());
        None
    }

    /// Starts `xebec` at one end.
    fn start(&self, end: usize, args: &[&str]) -> Xebec {
        let plain = command(args);
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.names[end]]);
        inside.arg(plain.get_program()).args(plain.get_args());
        let pipe = std::process::Stdio::piped;
        inside.stdin(pipe()).stdout(pipe()).stderr(pipe());
        spawn(inside)
    }

    fn set(&self, state: &str) {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.names[1], "link", "set", "xebec0", state]);
        assert!(ip.status().expect("ip runs").success());
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

#[test]
fn a_cable_is_pulled_out_and_put_back() {
    let Some(cable) = Cable::lay() else { return };
    let settings = Scratch::new(
        "cable.toml",
        b"[default]\nheartbeat = '250ms'\nretries = 10\n",
    );
    // Paths cross the border of a namespace: that is how the client of this process gets there.
    let path = Scratch::nothing("cable.ipc");
    let near = format!("ipc://{}", path.path());
    let far = "tcp://10.111.0.1:5555";
    let mut broker = cable.start(
        0,
        &["broker", settings.path(), "--bind", far, "--bind", &near],
    );
    broker.bound();
    broker.bound();
    let worker = |end, at| {
        let args = ["worker", "echo", "--heartbeat", "250ms", "--broker", at];
        cable.start(end, &args)
    };
    let mut remote = worker(1, far);
    broker.says("event=worker-ready");
    remote.says("event=up");
    let load = Load::start(client(&near), 4);
    cable.set("down");
    assert!(broker.says("event=worker-gone").contains("why=expired"));
    remote.says("event=down");
    // A worker at this end takes the requests over.
    let _local = worker(0, &near);
    load.answered(100);
    cable.set("up");
    broker.says("event=worker-ready");
    broker.says("event=worker-ready");
    load.answered(100);
    load.end_without_loss("broker, cable to a worker pulled out (network namespaces)");
}
