//! Promise 6 for what agents share: those whose policies name the same store have one `/mem/semantic`, at once and with
//! the kernel's locks, each as its own user; nobody else has it, and nothing of it is left when the last has ended.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::{Agent, Daemon, GROUP_LINE, Launch, as_user, judge, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);
const TEAM: &str = "extends: [base]\nmemory: {semantic_shared: team}\n";

fn agent<'d>(daemon: &'d Daemon, name: &str, policy: &Path) -> Agent<'d> {
    daemon.spawn(&Launch::new(policy).name(name), &["/bin/sleep", "600"])
}

fn sh(agent: &Agent<'_>, script: &str) -> String {
    stdout(&succeeded(agent.exec(&["/bin/sh", "-c", script])))
}

fn lines_about(path: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let path = path.display().to_string();
    mounts.lines().filter(|line| line.contains(&path)).count()
}

fn shared(daemon: &Daemon) -> PathBuf {
    daemon.place().join("run/shared/team")
}

#[test]
fn agents_of_one_store_have_the_same_files_at_once_and_nobody_else_has_them() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy(TEAM);
    let (one, two) = (agent(&daemon, "one", &policy), agent(&daemon, "two", &policy));
    let other = agent(&daemon, "other", Path::new("base"));
    // The second knows that the name is not there before the first makes it.
    assert_eq!(sh(&two, "ls /mem/semantic; cat /mem/semantic/fact 2> /dev/null || echo none"), "none\n");
    sh(&one, "echo first > /mem/semantic/fact; mkdir /mem/semantic/d; chmod 600 /mem/semantic/fact");
    assert_eq!(sh(&two, "cat /mem/semantic/fact; ls /mem/semantic"), "first\nd\nfact\n");
    sh(&two, "echo second >> /mem/semantic/fact; mv /mem/semantic/fact /mem/semantic/d/moved");
    assert_eq!(sh(&one, "cat /mem/semantic/d/moved; ls /mem/semantic"), "first\nsecond\nd\n");
    for agent in [&one, &two] {
        let uid = agent.uid();
        assert_eq!(
            sh(agent, "stat -c '%u %g' /mem/semantic/d/moved /mem/semantic"),
            format!("{uid} {uid}\n").repeat(2)
        );
    }
    let refused = one.exec(&["/bin/chown", &two.uid().to_string(), "/mem/semantic/d"]);
    assert!(!refused.status.success() && stderr(&refused).contains("changing ownership"), "{}", stderr(&refused));
    assert_eq!(sh(&one, "stat -c %u /mem/semantic/d"), format!("{}\n", one.uid()));
    assert!(!one.exec(&["/bin/sh", "-c", "cp /bin/true /mem/semantic/x && /mem/semantic/x"]).status.success());

    assert_eq!(sh(&other, "ls -A /mem/semantic; echo own > /mem/semantic/own; ls /mem/semantic"), "own\n");
    assert_eq!(sh(&one, "ls /mem/semantic"), "d\nx\n");

    let host = daemon.place().join("run/agents/two/mem/semantic");
    assert_eq!(fs::read_to_string(host.join("d/moved")).expect("the host's view"), "first\nsecond\n");
    fs::write(host.join("new"), "x").expect_err("a view to read");
    fs::write(shared(&daemon).join("mem/semantic/root"), "root\n").expect("root writes");
    assert_eq!(sh(&two, "cat /mem/semantic/root && rm /mem/semantic/root"), "root\n");
    let closed = fs::metadata(daemon.place().join("run/shared")).expect("the shared mounts' directory");
    assert_eq!((closed.mode() & 0o7777, closed.uid()), (0o700, 0));
}

#[test]
fn a_lock_of_one_agent_keeps_the_others_out_and_a_database_serves_both() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy(TEAM);
    let (one, two) = (agent(&daemon, "one", &policy), agent(&daemon, "two", &policy));
    sh(&one, "touch /mem/semantic/lock");
    let python = |call: &str| format!("import fcntl,time\nf=open('/mem/semantic/lock','r+')\nfcntl.{call}\n");
    for kind in ["lockf", "flock"] {
        let hold = python(&format!("{kind}(f, fcntl.LOCK_EX)"))
            + "open('/mem/semantic/held','w').close()\nwhile True: time.sleep(1)\n";
        let take = python(&format!("{kind}(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"));
        let background = "python3 -c \"$0\" > /dev/null 2>&1 & echo $! > /mem/working/holder";
        succeeded(one.exec(&["/bin/sh", "-c", background, &hold]));
        wait_until("the lock", SOON, || two.exec(&["/bin/ls", "/mem/semantic/held"]).status.success());
        let refused = two.exec(&["/bin/sh", "-c", "exec python3 -c \"$0\"", &take]);
        assert!(stderr(&refused).contains("BlockingIOError"), "{kind}: {}", stderr(&refused));
        sh(&one, "kill $(cat /mem/working/holder); rm /mem/semantic/held");
        wait_until("the lock's end", SOON, || {
            two.exec(&["/bin/sh", "-c", "exec python3 -c \"$0\"", &take]).status.success()
        });
    }
    if !Path::new("/usr/bin/sqlite3").exists() {
        return tests::skip("a database of two agents", "this host has no sqlite3");
    }
    sh(&one, "sqlite3 /mem/semantic/db 'pragma journal_mode=wal; create table t(who)'");
    let insert = |who: &str| {
        format!(
            "for i in $(seq 50); do sqlite3 -cmd '.timeout 20000' /mem/semantic/db \"insert into t values('{who}')\" || exit 1; done"
        )
    };
    std::thread::scope(|scope| {
        scope.spawn(|| sh(&one, &insert("one")));
        scope.spawn(|| sh(&two, &insert("two")));
    });
    let counted = "sqlite3 /mem/semantic/db 'select who, count(*) from t group by who; pragma integrity_check'";
    for agent in [&one, &two] {
        assert_eq!(sh(agent, counted), "one|50\ntwo|50\nok\n");
    }
}

#[test]
fn a_store_has_one_bound_for_all_its_agents() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let small = daemon.policy("extends: [base]\nmemory: {semantic: 1MiB, semantic_shared: team}\n");
    let (one, two) = (agent(&daemon, "one", &small), agent(&daemon, "two", &small));
    sh(&one, "head -c 700000 /dev/zero > /mem/semantic/one");
    let full = two.exec(&["/bin/sh", "-c", "head -c 700000 /dev/zero > /mem/semantic/two"]);
    assert!(stderr(&full).contains("No space left"), "{}", stderr(&full));
    let larger = Launch::new(daemon.policy(TEAM)).name("three");
    let refused = daemon.run_inside(&larger, &["/bin/true"]);
    assert!(!refused.status.success() && stderr(&refused).contains("memory.semantic"), "{}", stderr(&refused));
    drop((one, two));
    wait_until("the store to be put away", SOON, || lines_about(&shared(&daemon)) == 0);
    succeeded(daemon.run_inside(&larger, &["/bin/cat", "/mem/semantic/one"]));
}

#[test]
fn a_store_is_refused_to_another_caller_with_the_remedy() {
    if !tests::is_root() {
        return;
    }
    // Who is not root may only use policies that root has installed.
    let policies = tempfile::tempdir().expect("a directory for policies");
    fs::write(policies.path().join("team.yaml"), TEAM).expect("a policy");
    let theirs = "extends: [base]\nmemory: {semantic_shared: theirs}\n";
    fs::write(policies.path().join("theirs.yaml"), theirs).expect("a policy");
    let daemon = Daemon::configured(&format!("{GROUP_LINE}policy_dirs: [{}]\n", policies.path().display()));
    let run = |policy: &str, name: &str| {
        let words = Launch::new(policy).name(name).option("--rm").words(&["/bin/cat", "/mem/semantic/secret"]);
        as_user(&daemon, "agentctl").arg("--socket").arg(daemon.socket()).args(words).output().expect("setpriv(1)")
    };
    let root = agent(&daemon, "one", Path::new("team"));
    sh(&root, "echo secret > /mem/semantic/secret");
    let refused = run("team", "mine");
    let said = stderr(&refused);
    assert!(!refused.status.success() && stdout(&refused).is_empty(), "{said}");
    for part in ["shared store team", "another user", "memory.semantic_shared", "memory-shared/team"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let allowed = run("theirs", "yours");
    assert!(stderr(&allowed).contains("No such file"), "the control: it ran: {}", stderr(&allowed));
}

#[test]
fn what_is_shared_ends_with_its_last_agent_and_is_there_for_the_next() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy(TEAM);
    let (one, two) = (agent(&daemon, "one", &policy), agent(&daemon, "two", &policy));
    sh(&one, "echo kept > /mem/semantic/kept");
    drop(one);
    wait_until("the first agent's mounts to go", SOON, || lines_about(&daemon.place().join("run/agents/one")) == 0);
    assert_eq!(sh(&two, "cat /mem/semantic/kept; echo more >> /mem/semantic/kept"), "kept\n");
    drop(two);
    let run = daemon.place().join("run");
    wait_until("all mounts to go", SOON, || lines_about(&run) == 0);
    for directory in ["agents", "shared"] {
        let left = || fs::read_dir(run.join(directory)).expect("a directory of mounts").count();
        wait_until("the mounts' places to go", SOON, || left() == 0);
    }
    let next = agent(&daemon, "three", &policy);
    assert_eq!(sh(&next, "cat /mem/semantic/kept"), "kept\nmore\n");
    daemon.crash_and_restart();
    assert_eq!(sh(&next, "cat /mem/semantic/kept; echo crashed >> /mem/semantic/kept"), "kept\nmore\n");
    drop(next);
    wait_until("what they shared to be taken away", SOON, || lines_about(&run) == 0);
    let again = daemon.run_inside(&Launch::new(&policy).name("four"), &["/bin/cat", "/mem/semantic/kept"]);
    assert_eq!(stdout(&succeeded(again)), "kept\nmore\ncrashed\n");
}

#[test]
fn agents_have_what_they_share_again_when_their_server_dies() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let policy = daemon.policy(TEAM);
    let (one, two) = (agent(&daemon, "one", &policy), agent(&daemon, "two", &policy));
    sh(&one, "echo kept > /mem/semantic/kept");
    let socket = daemon.place().join("run/vfs.sock").display().to_string();
    for round in 1..=3 {
        let server = judge::all_processes().into_iter().find(|pid| judge::command_line(*pid).contains(&socket));
        let server = rustix::process::Pid::from_raw(server.expect("agentos-vfs runs")).expect("a pid");
        rustix::process::kill_process(server, rustix::process::Signal::KILL).expect("SIGKILL of our own server");
        for name in ["one", "two"] {
            let events = || stdout(&succeeded(daemon.agentctl(&["events", name])));
            wait_until("new mounts", SOON, || events().matches("mounted anew").count() == round);
        }
        sh(&two, &format!("cat /mem/semantic/kept && echo {round} > /mem/semantic/{round}"));
        let seen = format!("kept\n{round}\n{0} {0}\n", one.uid());
        assert_eq!(sh(&one, &format!("cd /mem/semantic && cat kept {round} && stat -c '%u %g' {round}")), seen);
        let host = daemon.place().join(format!("run/agents/one/mem/semantic/{round}"));
        assert_eq!(fs::read_to_string(host).expect("the host's view"), format!("{round}\n"));
    }
    assert_eq!(lines_about(&shared(&daemon)), 1, "the dead mounts are gone");
    assert_eq!(lines_about(&daemon.place().join("run/agents")), 4);
}
