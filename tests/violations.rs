//! Promise: a forbidden act has the answer that the policy names, for the whole agent and within moments, and it is said
//! what it was, who did it and which rule it broke. What honest programs do is none.

use serde_json::Value;
use std::time::Duration;
use tests::{Agent, Daemon, Launch, own_processes, probe, stderr, stdout, succeeded, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// What the probe tries, and the tripwire that it touches.
const ACTS: [(&str, &str); 29] = [
    ("kernel.init_module", "kernel-module"),
    ("kernel.finit_module", "kernel-module"),
    ("kernel.delete_module", "kernel-module"),
    ("kernel.kexec_load", "kexec"),
    ("kernel.kexec_file_load", "kexec"),
    ("mounts.mount_tmpfs", "mount"),
    ("mounts.umount_proc", "mount"),
    ("mounts.pivot_root", "mount"),
    ("mounts.fsopen", "mount"),
    ("mounts.fsconfig", "mount"),
    ("mounts.fsmount", "mount"),
    ("mounts.fspick", "mount"),
    ("mounts.move_mount", "mount"),
    ("mounts.open_tree_clone", "mount"),
    ("mounts.open_tree_attr", "mount"),
    ("mounts.mount_setattr", "mount"),
    ("kernel.bpf_map", "bpf"),
    ("kernel.userfaultfd", "userfaultfd"),
    ("launcher.init_getfd", "foreign-descriptor"),
    ("mounts.open_by_handle", "file-handle"),
    ("mounts.swapon", "swap"),
    ("mounts.swapoff", "swap"),
    ("kernel.reboot", "reboot"),
    ("kernel.clock_settime", "clock"),
    ("kernel.settimeofday", "clock"),
    ("kernel.iopl", "io-port"),
    ("kernel.ioperm", "io-port"),
    ("kernel.x32", "foreign-abi"),
    ("kernel.int80", "foreign-abi"),
];

/// Where a host keeps the trees of all agents; inside a decoy stands there.
const OTHERS: &str = "/run/agentos/agents/root/status";
/// The same with the tools of the host: entering its own namespace, and looking for other agents.
const COMMANDS: [(&str, &str); 2] =
    [("nsenter --uts --target $$ true", "namespace"), ("cat /run/agentos/agents/root/status", "other-agents")];

/// An agent in which the probe can be executed, under what `more` says of violations.
fn launch(daemon: &Daemon, more: &str) -> Launch {
    let probe = probe();
    let text = format!(
        "extends: [coding-agent]\n{more}\n\
         process: {{exec: [\"{probe}\"]}}\n\
         filesystem:\n- {{path: \"{probe}\", access: read}}\n"
    );
    Launch::new(daemon.policy(&text)).workspace(daemon.workspace())
}

fn mode(mode: &str) -> String {
    format!("kernel: {{version: \"1.0\", mode: {mode}}}")
}

/// The shell as the main process, and beside it one that has left its session.
fn shell<'d>(daemon: &'d Daemon, launch: &Launch, script: &str) -> Agent<'d> {
    let script = format!("setsid sleep 1000 & sleep 0.1; {script}").replace("PROBE", &probe());
    daemon.spawn(launch, &["sh", "-c", &script])
}

fn violations(agent: &Agent<'_>) -> Vec<Value> {
    let output = agent.tell(&["events", "--json"]);
    let events: Value = serde_json::from_slice(&succeeded(output).stdout).expect("JSON");
    let events = events.as_array().or_else(|| events["events"].as_array()).expect("a list").clone();
    events.into_iter().filter(|event| event["event"] == "violation").collect()
}

/// True where this host lists denials; else the test says that it is skipped.
fn told(daemon: &Daemon) -> bool {
    let listed = !daemon.spawn(&Launch::new("base"), &["sleep", "100"]).inspect()["agent"]["denials"].is_null();
    if !listed {
        tests::skip("denial-log", "this host has no denial log");
    }
    listed
}

/// Everything of it is dead, and it is said why.
fn dies_for(agent: &Agent<'_>, tripwire: &str) {
    let uid = agent.uid();
    let ended = agent.tell(&["wait", "--timeout", "10s"]);
    assert_eq!(ended.status.code(), Some(137), "{tripwire}: {}{}", stderr(&ended), agent.output());
    assert!(own_processes(uid).is_empty(), "{tripwire}: something survived");
    let exit = agent.inspect()["agent"]["exit"].clone();
    assert_eq!((&exit["reason"], &exit["signal"]), (&"policy".into(), &"SIGKILL".into()), "{exit}");
    let detail = exit["detail"].as_str().expect("a detail");
    assert!(detail.contains(&format!("tripwire {tripwire}")) && detail.contains("process "), "{detail}");
    let list = violations(agent);
    let first = list.first().unwrap_or_else(|| panic!("{tripwire}: no event"));
    assert_eq!(first["signal"], "SIGPOLICY", "{first}");
    assert_eq!(first["rule"], format!("tripwire {tripwire}"), "{first}");
    assert_eq!((first["answer"].as_str(), first["outcome"].as_str()), (Some("SIGKILL"), Some("killed")), "{first}");
    assert!(first["pid"].as_i64().is_some_and(|pid| pid > 1) && first["exe"].is_string(), "{first}");
}

#[test]
fn strict_kills_the_whole_agent_for_each() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let launch = launch(&daemon, &mode("strict"));
    for (act, tripwire) in ACTS {
        let agent = shell(&daemon, &launch, &format!("PROBE run {act} inside=1; sleep 1000"));
        dies_for(&agent, tripwire);
    }
    for (command, tripwire) in COMMANDS {
        dies_for(&shell(&daemon, &launch, &format!("{command}; sleep 1000")), tripwire);
    }
    let agent = shell(&daemon, &launch, &format!("cat {OTHERS}; sleep 1000"));
    dies_for(&agent, "other-agents");
    let what = violations(&agent)[0].clone();
    assert!(what["what"].as_str().is_some_and(|text| text.starts_with(&format!("read {OTHERS}"))), "{what}");
    assert_eq!((&what["stopped_by"], &what["exe"]), (&"landlock".into(), &"/usr/bin/cat".into()));
}

#[test]
fn permissive_refuses_each_and_the_agent_goes_on() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let acts = ACTS.map(|(act, _)| act).join(" ");
    let commands = COMMANDS.map(|(command, _)| command).join("; ");
    let script = format!("PROBE run --json {acts} inside=1; {commands}; sleep 1000");
    for (mode_word, answer) in [("permissive", "deny"), ("audit", "record")] {
        let agent = shell(&daemon, &launch(&daemon, &mode(mode_word)), &script);
        let all = || violations(&agent).last().is_some_and(|last| last["rule"] == "tripwire other-agents");
        wait_until("the last violation", SOON, all);
        let said = agent.output();
        for (act, _) in ACTS {
            let line =
                said.lines().find(|line| line.contains(&format!("\"{act}\""))).unwrap_or_else(|| panic!("{act}"));
            let outcome: Value = serde_json::from_str(line).expect("JSON");
            let killed = act == "kernel.x32" || act == "kernel.int80";
            assert_eq!(outcome["outcome"], if killed { "killed" } else { "denied" }, "{line}");
            assert_eq!(outcome["errno"].as_str(), if killed { None } else { Some("EPERM") }, "{line}");
        }
        let list = violations(&agent);
        let rules: Vec<_> = list.iter().filter_map(|event| event["rule"].as_str()).collect();
        for (act, tripwire) in ACTS.into_iter().chain(COMMANDS) {
            assert!(rules.contains(&format!("tripwire {tripwire}").as_str()), "{act} is not told: {rules:?}");
        }
        assert!(list.iter().all(|event| event["answer"] == answer), "{list:?}");
        assert_eq!(agent.state(), "running", "{mode_word}");
        assert!(own_processes(agent.uid()).len() >= 2, "control: its processes live");
    }
}

#[test]
fn the_policy_can_have_it_stopped_for_somebody_to_look() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let launch = launch(&daemon, "on_violation: {tripwires: SIGSTOP}");
    let agent = shell(&daemon, &launch, "PROBE run mounts.mount_tmpfs inside=1; echo went on; sleep 1000");
    wait_until("the stop", SOON, || agent.state() == "stopped");
    let review = agent.inspect()["agent"]["review"].as_str().expect("a reason").to_owned();
    assert!(review.starts_with("SIGPOLICY: mount: ") && review.contains("tripwire mount"), "{review}");
    assert!(stdout(&daemon.agentctl(&["ps"])).contains("SIGPOLICY: mount: "), "ps shows why");
    assert_eq!(violations(&agent)[0]["outcome"], "stopped for review");
    succeeded(agent.tell(&["cont"]));
    wait_until("it to go on", SOON, || agent.output().contains("went on"));
    assert_eq!(agent.state(), "running");
    assert!(agent.inspect()["agent"]["review"].is_null(), "somebody has looked");
}

#[test]
fn a_flood_of_denials_does_not_hide_a_tripwire() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let script = "i=0; while [ $i -lt 11000 ]; do true < /etc/shadow; i=$((i+1)); done 2> /dev/null; \
        echo full; sleep 1; PROBE run mounts.mount_tmpfs inside=1; sleep 1000";
    let agent = shell(&daemon, &launch(&daemon, &mode("strict")), script);
    wait_until("the list to be full", Duration::from_secs(60), || agent.output().contains("full"));
    dies_for(&agent, "mount");
}

#[test]
fn the_first_kills_and_many_are_told_in_few_words() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let script =
        "i=0; while [ $i -lt 200 ]; do PROBE run mounts.mount_tmpfs inside=1 > /dev/null; i=$((i+1)); done; exit 0";
    let agent = shell(&daemon, &launch(&daemon, &mode("audit")), script);
    assert_eq!(agent.tell(&["wait", "--timeout", "60s"]).status.code(), Some(0));
    wait_until("the last word", SOON, || violations(&agent).len() == 65);
    let last = violations(&agent).pop().expect("an event");
    assert!(last["what"].as_str().is_some_and(|what| what.starts_with("at least ")), "{last}");

    let many = "for n in 1 2 3 4 5 6 7 8; do PROBE run mounts.mount_tmpfs inside=1 & done; sleep 1000";
    let agent = shell(&daemon, &launch(&daemon, &mode("strict")), many);
    dies_for(&agent, "mount");
    let outcomes: Vec<_> = violations(&agent).iter().map(|event| event["outcome"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "killed").count(), 1, "{outcomes:?}");
}

#[test]
fn the_main_process_is_told_and_cannot_put_it_off() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    // bash has no name for it; 35 is SIGRTMIN+1.
    let script =
        "trap 'echo notice' 35; PROBE run mounts.mount_tmpfs inside=1; for n in 1 2 3 4 5; do sleep 0.1; done; exit 3";
    let script = script.replace("PROBE", &probe());
    let told = daemon.spawn(&launch(&daemon, &mode("permissive")), &["bash", "-c", &script]);
    assert_eq!(told.tell(&["wait", "--timeout", "10s"]).status.code(), Some(3));
    assert_eq!(told.output().matches("notice").count(), 1, "{}", told.output());
    // Who has no handler is not ended by the notice.
    let script = "PROBE run mounts.mount_tmpfs inside=1; sleep 0.5; exit 3".replace("PROBE", &probe());
    let deaf = daemon.spawn(&launch(&daemon, &mode("permissive")), &["bash", "-c", &script]);
    assert_eq!(deaf.tell(&["wait", "--timeout", "10s"]).status.code(), Some(3));
    // Blocking everything changes nothing.
    let script = "trap '' 1 2 3 15 35; PROBE run mounts.mount_tmpfs inside=1; while :; do sleep 1; done"
        .replace("PROBE", &probe());
    let stubborn = daemon.spawn(&launch(&daemon, &mode("strict")), &["bash", "-c", &script]);
    dies_for(&stubborn, "mount");
}

/// A call of another ABI ends the process that makes it, so the main process may be dead before anybody heard why.
#[test]
fn a_main_process_that_the_filter_kills_ends_for_that_reason() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    // The program's only instruction that matters is `int 0x80`.
    let script = r"import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()";
    let output = daemon.run_inside(&launch(&daemon, &mode("strict")), &["/usr/bin/python3", "-c", script]);
    // SIGSYS, or SIGKILL where the answer was quicker than the end.
    assert!(matches!(output.status.code(), Some(159 | 137)), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("SIGPOLICY") && stderr(&output).contains("i386 system call 20"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn honest_work_under_strict_is_not_ended() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::shared();
    if !told(&daemon) {
        return;
    }
    let script = r#"cd "$HOME"
/usr/bin/python3 -c 'import multiprocessing, ssl, asyncio
print(sum(multiprocessing.Pool(2).map(abs, range(10))))' || exit 11
node -e 'const {Worker} = require("worker_threads"); new Worker("0", {eval: true}); require("child_process").execSync("ls /")' || exit 12
git init -q r && cd r && git config user.name a && git config user.email a@localhost || exit 13
echo 'int main(void) { return 0; }' > a.c && git add a.c && git commit -qm start && git gc -q || exit 14
cc -g -fsanitize=address a.c -o a && ./a
find / -name nothing-of-that-name > /dev/null 2>&1
grep -r nothing-of-that-text /etc /run > /dev/null 2>&1
ps aux > /dev/null 2>&1; mount > /dev/null; df > /dev/null 2>&1; ip addr > /dev/null 2>&1; dmesg > /dev/null 2>&1
unshare -U true; strace true > /dev/null 2>&1; gdb -batch -ex run /bin/true > /dev/null 2>&1; perf stat true > /dev/null 2>&1
sleep 0.3
exit 5"#;
    let agent = daemon.spawn(&launch(&daemon, &mode("strict")), &["sh", "-c", script]);
    let ended = agent.tell(&["wait", "--timeout", "60s"]);
    let denials = stdout(&agent.tell(&["denials"]));
    assert_eq!(ended.status.code(), Some(5), "{}\n{denials}\n{:?}", agent.output(), violations(&agent));
    assert_eq!(violations(&agent), Vec::<Value>::new(), "{denials}");
    assert!(denials.contains("unshare: system call refused"), "control: some of it was refused: {denials}");
}
