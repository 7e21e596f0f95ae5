//! A daemon whose agents remember, and `agentctl memory` as root and as a user.

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tests::{Daemon, GROUP_LINE, Launch, as_user, stderr, stdout, succeeded};

/// What an agent does to remember something of every kind; a name of any bytes, and rights that it took from itself.
pub(crate) const REMEMBER: &str = r#"
set -e
echo "what happened" >> /mem/episodic/log
mkdir -p /mem/semantic/notes/deep /state/checkpoint
printf 'one\ntwo\n' > /mem/semantic/notes/list
ln /mem/semantic/notes/list /mem/semantic/notes/deep/again
ln -s ../../../etc/passwd /mem/semantic/notes/link
printf '\033[2J' > "$(printf '/mem/semantic/\033[2Jname')"
mkfifo /state/checkpoint/fifo
head -c 300000 /dev/zero > /state/checkpoint/data
chmod 0 /state/checkpoint/data
chmod 0 /mem/semantic/notes/deep
echo "and again" >> /mem/episodic/log
echo task > /mem/working/task
"#;

pub(crate) struct Host {
    pub(crate) daemon: Daemon,
}

impl Host {
    pub(crate) fn start() -> Self {
        Self { daemon: Daemon::configured(GROUP_LINE) }
    }

    /// An agent that remembers, and has ended.
    pub(crate) fn remember(&self, name: &str) {
        let output = self.daemon.run_inside(&Launch::new("base").name(name), &["/bin/sh", "-c", REMEMBER]);
        drop(succeeded(output));
    }

    pub(crate) fn memory(&self, words: &[&str]) -> Output {
        self.daemon.agentctl(&[&["memory"], words].concat())
    }

    /// The same as a user without an account.
    pub(crate) fn memory_of_user(&self, words: &[&str]) -> Output {
        let mut command = as_user(&self.daemon, "agentctl");
        command.arg("--socket").arg(self.daemon.socket()).arg("memory").args(words);
        command.output().expect("setpriv(1) of util-linux is installed")
    }

    pub(crate) fn export(&self, name: &str) -> Vec<u8> {
        succeeded(self.memory(&["export", name])).stdout
    }

    pub(crate) fn import(&self, name: &str, archive: &[u8], options: &[&str]) -> Output {
        let mut words = vec!["memory", "import"];
        words.extend(options);
        words.push(name);
        fed(self.daemon.command(&words), archive)
    }

    pub(crate) fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.daemon.place().join(self.daemon.unique("archive"));
        fs::write(&path, content).expect("a file");
        path
    }

    /// The names as `memory ls --json` tells.
    pub(crate) fn list(&self) -> Vec<Value> {
        let output = succeeded(self.memory(&["ls", "--json"]));
        let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        list.as_array().expect("a list").clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.list().iter().map(|memory| memory["name"].as_str().expect("a name").to_owned()).collect()
    }
}

/// A command to which `input` is given.
pub(crate) fn fed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("agentctl can be started");
    let mut stdin = child.stdin.take().expect("its input");
    std::thread::scope(|scope| {
        // A refusal comes before all is read.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().expect("our own child")
    })
}

#[track_caller]
pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}{}", stdout(output));
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}
