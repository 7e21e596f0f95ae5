//! The probe as an agent: its own policy, with the limits that a test chooses.

use crate::{Daemon, Launch, binary, judge};

/// The probe's path, outside and inside.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn probe() -> String {
    binary("probe").to_str().expect("the tests' paths are UTF-8").to_owned()
}

/// An agent that may execute the probe and write in a workspace of its own (returned beside it), under `limits` as a
/// policy's YAML has them, for example `memory: 64MiB, pids: 32`; all others are those of `base`.
#[must_use]
pub fn hostile(daemon: &Daemon, limits: &str) -> (Launch, std::path::PathBuf) {
    let probe = probe();
    let text = format!(
        "extends: [base]\n\
         process: {{exec: [\"{probe}\"], limits: {{{limits}}}}}\n\
         filesystem:\n\
         - {{path: \"{probe}\", access: read}}\n\
         - {{path: \"${{workspace}}\", access: write}}\n"
    );
    let workspace = daemon.workspace();
    (Launch::new(daemon.policy(&text)).workspace(&workspace), workspace)
}

/// The processes that the agent itself has under `uid`, zombies too: those whose real uid it is. PID 1 inside is ours and
/// has it as its saved uid only, so that its children can become the agent without any capability.
#[must_use]
pub fn own_processes(uid: u32) -> Vec<i32> {
    let real = |pid: &i32| {
        let uids = judge::status_line(*pid, "Uid").unwrap_or_default();
        uids.split_whitespace().next().and_then(|word| word.parse().ok()) == Some(uid)
    };
    judge::all_processes().into_iter().filter(real).collect()
}
