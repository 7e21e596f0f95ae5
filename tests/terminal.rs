//! Promise: `-t` gives a real terminal of the agent's own; one can leave it, come back, and look from beside.

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tests::{Agent, Daemon, Launch, judge, own_processes, stderr, stdout, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// The caller's terminal: our own pty, with a program in it that has it as its controlling terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    /// The other end, to look at its modes.
    line: OwnedFd,
}

fn size(rows: u16, cols: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// `setsid` makes the terminal the controlling one, as a login does; without that there is no SIGWINCH.
    fn start(agentctl: &Command) -> Self {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&pty).expect("a pty");
        unlockpt(&pty).expect("a pty");
        let path = ptsname(&pty, Vec::new()).expect("a pty has a name");
        let open = || rustix::fs::open(&*path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let line = open().expect("a pty");
        tcsetwinsize(&pty, size(24, 80)).expect("a size");
        let end = || Stdio::from(open().expect("a pty"));
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(agentctl.get_program())
            .args(agentctl.get_args())
            .env("TERM", "vt100")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("setsid of util-linux can be started");
        let mut pty = File::from(pty);
        let keyboard = pty.try_clone().expect("a second handle");
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is how a pty says that its other end is closed.
            while let Ok(length @ 1..) = pty.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: String::new(), line }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the pty takes keys");
    }

    /// Waits until `text` is on the screen, and forgets what came before its end.
    fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} did not come; the screen says {:?}", self.seen)
                }
            }
        }
    }

    fn resize(&self, rows: u16, cols: u16) {
        tcsetwinsize(&self.keyboard, size(rows, cols)).expect("a size");
    }

    /// Whether keys are handed over at once and unechoed.
    fn raw(&self) -> bool {
        !tcgetattr(&self.line).expect("modes").local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    fn ended(&mut self) -> Option<i32> {
        wait_until("agentctl's end", SOON, || self.child.try_wait().expect("our own child").is_some());
        self.child.wait().expect("our own child").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().expect("our own child");
            self.child.wait().expect("our own child");
        }
    }
}

fn run(daemon: &Daemon, name: &str, script: &str) -> Terminal {
    let words = Launch::new("base").name(name).option("-t").words(&["sh", "-c", script]);
    Terminal::start(&daemon.command(&words))
}

#[test]
fn a_terminal_is_real_and_follows_the_callers_size() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "tty; stty size; trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut terminal = run(&daemon, &daemon.unique("tty"), script);
    terminal.expect("/dev/pts/0");
    terminal.expect("24 80");
    terminal.expect("ready");
    terminal.resize(33, 101);
    terminal.expect("33 101");
    assert_eq!(terminal.ended(), Some(3));
}

#[test]
fn a_program_that_closes_its_terminal_and_opens_it_again_is_still_seen() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "echo one; exec 0<&- 1>&- 2>&-; sleep 0.5; exec 0<>/dev/tty 1>&0; echo two; read line; echo \"heard $line\"; exit 3";
    let mut terminal = run(&daemon, &daemon.unique("reopen"), script);
    terminal.expect("one");
    terminal.expect("two");
    terminal.press("yes\r");
    terminal.expect("heard yes");
    assert_eq!(terminal.ended(), Some(3));
}

#[test]
fn ctrl_c_is_the_agents_and_the_callers_modes_come_back() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    // Not one long sleep: a signal that comes just before the shell forks it would be heard when it ends.
    let script = "trap 'echo interrupted; exit 5' INT; echo ready; read answer; echo \"heard $answer\"; while :; do sleep 0.05; done";
    let mut terminal = run(&daemon, &daemon.unique("keys"), script);
    terminal.expect("ready");
    assert!(terminal.raw(), "every key is a byte for the agent");
    terminal.press("yes\r");
    terminal.expect("heard yes");
    terminal.press("\x03");
    terminal.expect("interrupted");
    assert_eq!(terminal.ended(), Some(5));
    assert!(!terminal.raw(), "the caller's terminal is as it was");
}

#[test]
fn an_agent_is_left_and_found_again() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let name = daemon.unique("leave");
    let mut terminal = run(&daemon, &name, "echo ready; while read line; do echo \"heard $line\"; done; exit 4");
    terminal.expect("ready");
    terminal.press("one\r");
    terminal.expect("heard one");
    terminal.press("\x10\x11");
    assert_eq!(terminal.ended(), Some(0), "leaving is no failure: {:?}", terminal.seen);
    assert!(!terminal.raw());
    let state = |name: &str| daemon.inspect(name)["agent"]["state"].as_str().map(str::to_owned);
    assert_eq!(state(&name).as_deref(), Some("running"));

    let mut again = Terminal::start(&daemon.command(&["attach", &name]));
    again.press("two\r");
    again.expect("heard two");
    again.press("\x04");
    assert_eq!(again.ended(), Some(4), "{:?}", again.seen);
    assert_eq!(state(&name).as_deref(), Some("exited"));
}

#[test]
fn logs_follow_until_the_end() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "for i in 1 2 3 4 5; do echo $i; echo e$i >&2; sleep 0.1; done";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    let output = agent.tell(&["logs", "-f", "--stdout-only"]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("1\n2\n3\n4\n5\n", Some(0)), "{}", stderr(&output));
    let all = agent.tell(&["logs"]);
    assert_eq!((stdout(&all).as_str(), stderr(&all).as_str()), ("1\n2\n3\n4\n5\n", "e1\ne2\ne3\ne4\ne5\n"));
    assert_eq!(agent.tell(&["logs", "--stderr-only"]).stdout, b"", "nothing of standard output");
}

/// The number of the agent's main process inside its PID namespace.
fn inner_pid(agent: &Agent<'_>) -> String {
    let line = judge::status_line(agent.pid(), "NSpid").expect("it runs");
    line.split_whitespace().next_back().expect("a number").to_owned()
}

#[test]
fn exec_is_inside_the_same_confinement() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let script = "trap 'sleep 0.5; echo signalled; exit 6' USR1; echo ready; while :; do sleep 0.05; done";
    let agent = daemon.spawn(&Launch::new("base"), &["sh", "-c", script]);
    wait_until("the trap", SOON, || agent.output().contains("ready"));
    let main = agent.pid();

    let mut command = daemon.command(&["exec", agent.name(), "--", "sh", "-c", "echo ready; exec sleep 77"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("agentctl can be started");
    let mut ready = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("its line");
    let cmdline = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let further = || own_processes(agent.uid()).into_iter().find(|pid| cmdline(*pid).contains("77"));
    wait_until("the further process", SOON, || further().is_some());
    let further = further().expect("it was there");
    for namespace in ["mnt", "pid", "ipc", "uts", "net", "cgroup", "user"] {
        let link = |pid| std::fs::read_link(format!("/proc/{pid}/ns/{namespace}")).expect("a namespace");
        assert_eq!(link(further), link(main), "{namespace}");
    }
    for key in ["Uid", "Gid", "Groups", "CapBnd", "CapPrm", "NoNewPrivs", "Seccomp", "Seccomp_filters"] {
        assert_eq!(judge::status_line(further, key), judge::status_line(main, key), "{key}");
    }
    for group in agent.cgroups() {
        assert!(
            judge::cgroup_processes(std::slice::from_ref(&group)).contains(&further),
            "it is not in {}",
            group.display()
        );
    }

    // Landlock's signal scope lets a process signal only its own domain: reaching the main process shows it is the same.
    let output = agent.exec(&["kill", "-USR1", &inner_pid(&agent)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let status = agent.tell(&["wait"]).status.code();
    assert_eq!(status, Some(6), "the signal was heard: {}", agent.output());
    // The agent's end is the further process's end.
    wait_until("the end of exec", SOON, || child.try_wait().expect("our own child").is_some());
    assert!(!judge::process_exists(further));
}

#[test]
fn exec_has_its_own_streams_and_status() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    let agent = daemon.spawn(&Launch::new("base").env("COLOUR", "red"), &["sleep", "100"]);
    let output = agent.exec(&["sh", "-c", "echo out $COLOUR; echo err >&2; exit 7"]);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("out red\n", "err\n"));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(agent.exec(&["no-such-command"]).status.code(), Some(127));
    let events = agent.tell(&["events"]);
    assert!(stdout(&events).contains("  exec no-such-command failed: "), "{}", stdout(&events));
    assert_eq!(agent.exec(&["sh", "-c", "kill -TERM $$"]).status.code(), Some(143));
    assert!(agent.output().contains("out red"), "what exec writes is kept with the agent's own output");
    assert_eq!(agent.state(), "running");
}
