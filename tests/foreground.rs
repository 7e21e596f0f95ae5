//! Promise 10, for who waits at a terminal: a foreground command is told its agent's end by the next daemon, and once that
//! there was none.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;
use tests::{Daemon, Launch, stderr, stdout};

/// One daemon ends, and another is there.
type Turnover<'a> = &'a dyn Fn(&Daemon);

/// agentctl with pipes for its streams.
fn piped(daemon: &Daemon, words: &[&str]) -> Child {
    let mut command = daemon.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("agentctl can be started")
}

#[test]
fn foreground_commands_wait_for_the_next_daemon_and_end_as_if_nothing_had_been() {
    if !tests::is_root() {
        return;
    }
    let again = |daemon: &Daemon| {
        std::thread::sleep(Duration::from_millis(300));
        daemon.start_again();
    };
    let turnovers: [(&str, Turnover<'_>); 3] = [
        ("killed", &|daemon| {
            daemon.crash();
            again(daemon);
        }),
        ("left", &|daemon| {
            daemon.leave();
            again(daemon);
        }),
        ("replaced", &Daemon::replace),
    ];
    let daemon = Daemon::start();
    for (how, turnover) in turnovers {
        let script = ["sh", "-c", "echo ready; read x; echo got $x; exit 7"];
        let words = Launch::new("base").name(how).words(&script);
        let mut run = piped(&daemon, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut first = [0; 6];
        run.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("its first line");
        assert_eq!(&first, b"ready\n");
        let waiting = piped(&daemon, &["wait", how]);
        let mut exec = piped(&daemon, &["exec", how, "--", "sh", "-c", "echo ready; sleep 2; exit 5"]);
        exec.stdout.as_mut().expect("a pipe").read_exact(&mut first).expect("its first line");
        turnover(&daemon);
        let exec = exec.wait_with_output().expect("our own child");
        assert_eq!(exec.status.code(), Some(5), "exec, {how}: {}", stderr(&exec));
        // It is the agent's own input, as before.
        run.stdin.take().expect("a pipe").write_all(b"it\n").expect("agentctl reads");
        let run = run.wait_with_output().expect("our own child");
        assert_eq!(run.status.code(), Some(7), "run, {how}: {}", stderr(&run));
        assert_eq!(stdout(&run), "got it\n", "{how}");
        let told = stderr(&run).matches(&format!("what runs of {how} is confined as before")).count();
        assert_eq!(told, 1, "{how}: {}", stderr(&run));
        let waiting = waiting.wait_with_output().expect("our own child");
        assert_eq!(waiting.status.code(), Some(7), "wait, {how}: {}", stderr(&waiting));
    }
}
