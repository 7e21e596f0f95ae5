//! Promise: what the daemon puts into an agent's tree is read as it is now, runs where it is a tool, and is nobody else's.

use mounted::{AGENT, Mount, Server, Store, Wanted, as_user};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use tests::{binary, stderr, stdout};

struct Served {
    server: Server,
    mount: Mount,
    _store: Store,
}

impl Served {
    fn new() -> Self {
        let server = Server::start(&binary("agentos-vfs")).expect("the server starts");
        let store = Store::new().expect("a store");
        let mount = server.mount(&store, &Wanted::default()).expect("the store is served");
        Self { server, mount, _store: store }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.mount.path().join(path)
    }

    fn run(&self, path: &str) -> Output {
        as_user(AGENT, "sh").arg("-c").arg("\"$0\"").arg(self.path(path)).output().expect("sh(1)")
    }
}

#[test]
fn a_tool_runs_as_it_is_now() {
    if !tests::is_root() {
        return;
    }
    let served = Served::new();
    let publish = |path: &str, mode, content: &[u8]| {
        served.server.publish(&served.mount, (path, mode), content).expect("published");
    };
    publish("tools/greet", 0o555, b"#!/bin/sh\necho one\n");
    assert_eq!(stdout(&served.run("tools/greet")), "one\n");
    publish("tools/greet", 0o555, b"#!/bin/sh\necho another\n");
    assert_eq!(stdout(&served.run("tools/greet")), "another\n");
    publish("tools/true", 0o555, &fs::read("/bin/true").expect("a program"));
    assert!(served.run("tools/true").status.success(), "a program that is mapped");
    publish("policy/greet", 0o444, b"#!/bin/sh\necho one\n");
    let refused = served.run("policy/greet");
    assert_eq!(refused.status.code(), Some(126), "{}", stderr(&refused));
}

#[test]
fn what_is_published_is_not_the_agents_to_change() {
    if !tests::is_root() {
        return;
    }
    let served = Served::new();
    served.server.publish(&served.mount, ("policy/digest", 0o666), b"abc\n").expect("published");
    let script =
        "cd \"$0\"; echo x > digest; echo x >> digest; rm digest; mv digest other; ln digest other; chmod 666 digest;
        true > new; mkdir new; touch digest; truncate -s 0 digest; cat digest";
    let output = as_user(AGENT, "sh").arg("-c").arg(script).arg(served.path("policy")).output().expect("sh(1)");
    assert_eq!(stdout(&output), "abc\n");
    assert_eq!(stderr(&output).lines().count(), 10, "{}", stderr(&output));
    // Root on the host neither: only the daemon's orders change it.
    assert!(
        fs::write(served.path("policy/digest"), "x").is_err() && fs::remove_file(served.path("policy/digest")).is_err()
    );
    for path in ["mem/working/x", "policy/../state/x", "x", "/policy/x", "policy//x", "policy"] {
        assert!(served.server.publish(&served.mount, (path, 0o444), b"").is_err(), "{path}");
    }
}

#[test]
fn a_reader_at_the_end_sees_what_comes() {
    if !tests::is_root() {
        return;
    }
    use std::io::Read as _;
    let served = Served::new();
    let publish = |content: &[u8]| {
        served.server.publish(&served.mount, ("policy/denials", 0o444), content).expect("published");
    };
    publish(b"one\n");
    let mut file = fs::File::open(served.path("policy/denials")).expect("opened");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    publish(b"one\ntwo\n");
    file.read_to_string(&mut text).expect("read on");
    assert_eq!(text, "one\ntwo\n");
    assert_eq!(fs::metadata(served.path("policy/denials")).expect("known").len(), 8);
}
