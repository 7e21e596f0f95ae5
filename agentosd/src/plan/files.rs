//! The small files that every program expects in /etc, made for the agent: nothing of the host's accounts, hosts or
//! resolvers is shown.

use super::{HOME, Identities};
use policies::{Access, Bound};
use protocol::ids::AgentName;
use sandbox::plan::{Mount, Rule};
use std::path::Path;

const NAMES: [&str; 6] =
    ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/nsswitch.conf"];

/// The files, unless the policy shows the host's at that place.
pub(super) fn of(name: &AgentName, bound: &Bound, who: Identities) -> Vec<Mount> {
    let host = bound.hostname.as_ref().map_or_else(|| name.to_string(), ToString::to_string);
    let id = who.agent;
    let contents = [
        // The agent, and the user that files of everybody else appear to belong to.
        format!("agent:x:{id}:{id}:agent {name}:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"),
        format!("agent:x:{id}:\nnogroup:x:65534:\n"),
        format!("127.0.0.1 localhost {host}\n::1 localhost {host}\n"),
        format!("{host}\n"),
        "# Name resolution is not granted.\n".to_owned(),
        "passwd: files\ngroup: files\nhosts: files dns\n".to_owned(),
    ];
    let ours = |path: &str| match bound.rule_for(path.as_ref()) {
        None => true,
        Some(rule) => rule.access == Access::None && rule.path != Path::new(path),
    };
    let made = NAMES.into_iter().zip(contents).filter(|(path, _)| ours(path));
    made.map(|(path, contents)| Mount::File { path: path.into(), contents }).collect()
}

/// Where Agent OS keeps what it shows an agent, and in it a decoy in the place at which the host has every agent's tree.
pub(super) fn others() -> [Mount; 2] {
    [
        Mount::Passage { path: "/run/agentos".into() },
        Mount::Decoy { path: "/run/agentos/agents/root/status".into(), directory: false },
    ]
}

/// What may be done with them.
pub(super) fn rules() -> Vec<Rule> {
    let readable = |path: &str| Rule { path: path.into(), read: true, write: false, execute: false };
    NAMES.into_iter().map(readable).collect()
}
