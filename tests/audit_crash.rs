//! Promise 9 for the daemon: it is killed at random moments under load, and no record that somebody was told of is missing,
//! the chain verifies, and nothing happened that is not on record.

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tests::{Chance, Daemon, Launch, stderr, stdout, succeeded, times};

/// Writes files, each once, until the daemon is gone; tells of each that was acknowledged.
const LOAD: &str = r"
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect('/run/agentos/kernel.sock')
def call(action, params):
    s.sendall(json.dumps({'method': 'io.agentos.Kernel.Execute', 'parameters': {'action': action, 'params': params}}).encode() + b'\0')
    reply = b''
    while not reply.endswith(b'\0'):
        piece = s.recv(65536)
        if not piece: sys.exit(0)
        reply += piece
    return json.loads(reply[:-1])['parameters']
n = 0
while True:
    n += 1
    path = sys.argv[1] + '/' + sys.argv[2] + '-' + str(n)
    for action, params in (('file_write', {'path': path, 'content': 'x', 'mode': 'create'}), ('file_read', {'path': '/etc/shadow', 'offset': n})):
        reply = call(action, params)
        print(json.dumps({'seq': reply['audit_seq'], 'id': reply['request_id'], 'done': reply['success'], 'path': path}), flush=True)
";

/// What the client inside was told, and where it wrote.
struct Told {
    acknowledged: Vec<Value>,
}

fn round(daemon: &Daemon, (policy, out): (&Path, &Path), number: u32, chance: &mut Chance) -> Told {
    let launch = Launch::new(policy).workspace(out).name(&format!("load-{number}")).option("--detach");
    let _started = succeeded(daemon.command(&launch.words(&["/bin/sleep", "60"])).output().expect("agentctl"));
    let name = format!("load-{number}");
    let exec =
        ["exec", &name, "--", "/usr/bin/python3", "-c", LOAD, out.to_str().expect("a path"), &number.to_string()];
    let child = daemon.command(&exec).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("agentctl");
    std::thread::sleep(Duration::from_millis(60) + chance.moment());
    daemon.crash_and_restart();
    let output = child.wait_with_output().expect("our own child");
    // It has outlived the daemon.
    let _ended = succeeded(daemon.agentctl(&["kill", "-9", &name]));
    let text = stdout(&output);
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    Told { acknowledged: whole.filter_map(|line| serde_json::from_str(line).ok()).collect() }
}

#[test]
fn a_daemon_that_is_killed_has_told_of_nothing_that_is_not_on_record() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let out = daemon.workspace();
    let policy = daemon.policy(
        "extends: [python]\nfilesystem: [{path: \"${workspace}\", access: read}]\npolicies: [{action: file_write, paths: [\"${workspace}/**\"]}]\n",
    );
    let mut chance = Chance::new();
    let mut told = Vec::new();
    let rounds = times("DAEMON_KILLS", 12);
    for number in 0..rounds {
        told.extend(round(&daemon, (&policy, &out), number, &mut chance).acknowledged);
    }
    assert!(told.len() >= usize::try_from(rounds).expect("few"), "only {} were acknowledged", told.len());
    let directory = daemon.place().join("state/audit");
    let directory = directory.to_str().expect("a path");
    let _whole = succeeded(daemon.agentctl(&["audit", "verify", "--dir", directory]));
    let log = daemon.agentctl(&["audit", "log", "--json", "--dir", directory]);
    assert!(log.status.success(), "{}", stderr(&log));
    let mut records: HashMap<u64, Value> = HashMap::new();
    for line in stdout(&log).lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        records.insert(record["seq"].as_u64().expect("a number"), record["body"].clone());
    }
    for one in &told {
        let record =
            &records.get(&one["seq"].as_u64().expect("a number")).unwrap_or_else(|| panic!("{one} is not on record"));
        assert_eq!(record["request_id"], one["id"], "{record}");
        assert_eq!(record["decision"], if one["done"] == true { "allow" } else { "deny" }, "{record}");
    }
    let allowed: Vec<String> = records
        .values()
        .filter(|record| record["kind"] == "decision" && record["decision"] == "allow")
        .map(|record| record["attempted"].as_str().expect("words").to_owned())
        .collect();
    let mut happened = 0;
    for file in fs::read_dir(&out).expect("a directory") {
        let path = file.expect("a file").path().display().to_string();
        assert!(
            allowed.iter().any(|attempted| attempted.contains(&format!("{path} "))),
            "{path} was written, and is not on record"
        );
        happened += 1;
    }
    println!("{rounds} kills, {} acknowledged, {happened} files, {} records", told.len(), records.len());
}
