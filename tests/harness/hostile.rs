//! The probe as an agent: its own policy, with the limits that a test chooses.

use crate::{Daemon, Launch, binary};

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
