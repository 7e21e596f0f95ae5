//! The positive controls: what a sandbox is praised for denying is reached where nothing denies it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

const PROBE: &str = env!("CARGO_BIN_EXE_probe");

/// One of everything to attack, gone when dropped.
struct Targets {
    process: Child,
    stand_in: Child,
    directory: PathBuf,
    words: Vec<String>,
}

impl Targets {
    fn hold() -> Self {
        let directory = std::env::temp_dir().join(format!("probe-controls-{}", std::process::id()));
        fs::create_dir(&directory).expect("the directory for the targets is new");
        fs::create_dir(directory.join("workspace")).expect("the workspace is new");
        let mut process = Command::new(PROBE)
            .arg("targets")
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the probe starts");
        // Not a child of the probe, as a sandbox's first process is not: a sleeping process with an environment.
        let stand_in = Command::new(PROBE).arg("sleep").env("PROBE", "1").spawn().expect("the stand-in starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the targets print one line");
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert!(words.len() > 10, "the targets were not made: {line}");
        words.push(format!("init_pid={}", stand_in.id()));
        words.push(format!("workspace={}", directory.join("workspace").display()));
        Self { process, stand_in, directory, words }
    }

    fn run(&self, selector: &str) -> Vec<Value> {
        let output = Command::new(PROBE).args(["run", selector, "--json"]).args(&self.words).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&output.stdout)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        // The end of stdin is the sign to remove what outlives a process.
        drop(self.process.stdin.take());
        self.process.wait().expect("the targets end");
        // It is dead already when the attempts on the first process were among those that ran.
        self.stand_in.kill().expect("the stand-in can be killed, or is dead");
        self.stand_in.wait().expect("the stand-in ends");
        fs::remove_dir_all(&self.directory).expect("the directory can be removed");
    }
}

fn lines(output: &[u8]) -> Vec<Value> {
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("every line is one JSON object"))
        .collect()
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

/// True for a root that may do what root may do; a container's may not.
fn may_do_everything() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("there is a CapEff line").trim();
    let held = u64::from_str_radix(held, 16).expect("CapEff is hexadecimal");
    // CAP_SYS_MODULE, CAP_SYS_ADMIN, CAP_SYS_BOOT and CAP_SYS_TIME
    [16, 21, 22, 25].iter().all(|capability| held & (1 << capability) != 0)
}

#[test]
fn root_outside_a_sandbox_reaches_what_root_can_reach() {
    if !may_do_everything() {
        println!("SKIP root: the positive controls need a root with every capability");
        return;
    }
    let listed = Command::new(PROBE).args(["list", "--json"]).output().expect("the list is printed");
    let controls: BTreeMap<String, bool> = lines(&listed.stdout)
        .iter()
        .map(|line| (text(line, "id").to_owned(), text(line, "control") == "root"))
        .collect();
    let targets = Targets::hold();
    let mut tried = 0;
    let mut failures = Vec::new();
    for line in targets.run("all").iter().chain(&targets.run("allowed")) {
        tried += 1;
        if controls[text(line, "id")] && text(line, "outcome") != "reached" {
            failures.push(line.to_string());
        }
    }
    assert_eq!(tried, controls.len(), "every primitive answers with one line");
    assert!(failures.is_empty(), "not reached outside:\n{}", failures.join("\n"));
}

#[test]
fn a_primitive_without_its_target_is_absent_and_never_reached() {
    let output = Command::new(PROBE).args(["run", "processes.vm_readv", "--json"]).output().expect("it runs");
    assert_eq!(text(&lines(&output.stdout)[0], "outcome"), "absent");
}

#[test]
fn what_would_hurt_a_host_refuses_to_run_on_one() {
    // On the host itself even inside=1 does not help; in a container's process namespace this would not hold.
    let namespace = fs::read_link("/proc/self/ns/pid").expect("proc is mounted");
    if namespace.as_os_str() != "pid:[4026531836]" {
        println!("SKIP host: this is not the first process namespace");
        return;
    }
    // Only attempts that would do no harm if the refusal were broken; the dangerous ones ask the same question.
    let words = ["run", "processes.kill_everyone", "launcher.init_cwd", "--json", "inside=1", "host_pid=1"];
    let output = Command::new(PROBE).args(words).output().expect("it runs");
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(text(&line, "outcome"), "error", "{line}");
        assert!(text(&line, "detail").starts_with("refused"), "{line}");
    }
}

#[test]
fn a_misspelt_parameter_is_refused() {
    let output = Command::new(PROBE).args(["run", "all", "host_pdi=1"]).output().expect("it runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("host_pdi= is no parameter"));
}
