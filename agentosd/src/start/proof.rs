//! Whether a process is confined, as the kernel sees it: what a daemon asks of an agent that another one has started.

use crate::stage::{Claimed, pid_of};
use sandbox::cgroup::Cgroup;
use std::fs;
use std::path::{Path, PathBuf};

/// Namespaces that an agent has of its own.
const NAMESPACES: [&str; 5] = ["mnt", "pid", "net", "ipc", "uts"];

/// The host's namespaces.
#[derive(Debug)]
pub(super) struct Host([PathBuf; NAMESPACES.len()]);

impl Host {
    /// Ours are.
    pub(super) fn look() -> std::io::Result<Self> {
        let mut own = [const { PathBuf::new() }; NAMESPACES.len()];
        for (own, namespace) in own.iter_mut().zip(NAMESPACES) {
            *own = fs::read_link(Path::new("/proc/self/ns").join(namespace))?;
        }
        Ok(Self(own))
    }
}

/// Says what is missing. An agent that has ended needs no confinement.
pub(super) fn confined(claimed: &Claimed, host: &Host) -> Result<(), String> {
    let Claimed { stage, main, holding, memo, .. } = claimed;
    if holding.ended {
        return Ok(());
    }
    // PID 1 can become the agent, and does so for each process that it starts.
    let (init, agent) = (memo.plan.init.uid, memo.plan.agent.uid);
    process(stage.init_pid, &[init, agent], (&memo.cgroup, host)).map_err(|why| format!("its PID 1 {why}"))?;
    // It may be ending just now.
    match pid_of(main) {
        Ok(pid) => match process(pid, &[agent], (&memo.cgroup, host)) {
            Err(why) if pid_of(main).is_ok() => Err(format!("its main process {why}")),
            _ => Ok(()),
        },
        Err(_) => Ok(()),
    }
}

/// The directory and the status of a thread that lives: that of the main one has no namespaces any more when it ends before the others. A
/// process of which nothing lives confines nothing.
fn living(pid: i32) -> Result<Option<(PathBuf, String)>, String> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let entries = fs::read_dir(tasks).map_err(|error| format!("cannot be looked at: {error}"))?;
    let living = |entry: fs::DirEntry| {
        let task = entry.path();
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        let lives = status.lines().any(|line| line.starts_with("State:") && !line.contains(['Z', 'X']));
        lives.then_some((task, status))
    };
    Ok(entries.flatten().find_map(living))
}

fn process(pid: i32, uids: &[u32], (cgroup, host): (&Cgroup, &Host)) -> Result<(), String> {
    let Some((proc, status)) = living(pid)? else { return Ok(()) };
    confinement(&status, uids)?;
    let groups = fs::read_to_string(proc.join("cgroup")).map_err(|error| format!("has no groups: {error}"))?;
    if !is_in(&groups, cgroup.unified()) {
        return Err(format!("is not in {}", cgroup.unified().display()));
    }
    for (namespace, hosts) in NAMESPACES.iter().zip(&host.0) {
        if fs::read_link(proc.join("ns").join(namespace)).map_or(true, |its| its == *hosts) {
            return Err(format!("is not in a {namespace} namespace of its own"));
        }
    }
    Ok(())
}

/// From `/proc/PID/status` (proc_pid_status(5)).
fn confinement(status: &str, allowed: &[u32]) -> Result<(), String> {
    let line =
        |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t")).unwrap_or_default();
    let uids = line("Uid");
    let foreign = |number: &str| number.parse().map_or(true, |uid: u32| !allowed.contains(&uid));
    if uids.split_whitespace().any(foreign) || uids.is_empty() {
        return Err(format!("has the uids {uids:?}, and not {allowed:?} alone"));
    }
    for (key, expected, what) in [
        ("NoNewPrivs", "1", "may gain privileges"),
        ("Seccomp", "2", "has no system call filter"),
        ("CapEff", "0000000000000000", "has capabilities"),
        ("CapPrm", "0000000000000000", "has capabilities"),
        ("CapBnd", "0000000000000000", "may have capabilities"),
    ] {
        if line(key) != expected {
            return Err(what.to_owned());
        }
    }
    Ok(())
}

/// Whether the version 2 group, as `/proc/PID/cgroup` has it, is the directory or beneath it.
fn is_in(groups: &str, directory: &Path) -> bool {
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    unified.is_some_and(|path| {
        // The mount point stands before it, and the agent may have made groups beneath it.
        Path::new(path).ancestors().any(|ancestor| !ancestor.as_os_str().is_empty() && directory.ends_with(ancestor))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsh\nUid:\t70\t70\t70\t70\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                          CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn every_layer_is_asked_for() {
        assert_eq!(confinement(STATUS, &[70]), Ok(()));
        assert!(confinement(STATUS, &[71]).is_err());
        for (whole, broken) in [
            ("\t70\n", "\t0\n"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("CapEff:\t0000000000000000", "CapEff:\t0000000000000001"),
            ("CapBnd:\t0", "CapBnd:\tf"),
        ] {
            assert!(STATUS.contains(whole));
            assert!(confinement(&STATUS.replace(whole, broken), &[70]).is_err(), "{broken}");
        }
        assert!(confinement("", &[70]).is_err());
    }

    #[test]
    fn a_group_is_told_by_its_end() {
        let directory = Path::new("/sys/fs/cgroup/unified/agentos/agent-1");
        assert!(is_in("1:memory:/x\n0::/agentos/agent-1\n", directory));
        assert!(is_in("0::/agentos/agent-1/own\n", directory));
        assert!(!is_in("0::/agentos/agent-2\n", directory));
        assert!(!is_in("0::/\n", directory) && !is_in("", directory));
    }
}
