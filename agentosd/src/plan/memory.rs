//! What an agent remembers: how much, and where it is mounted inside.

use super::Own;
use crate::memory::path_of;
use policies::Memory;
use protocol::ids::AgentName;
use protocol::vfs::{Quota, Quotas};
use sandbox::plan::{Part, Place};

const PARTS: [(&str, Place); 5] = [
    ("mem", Place::Memory),
    ("state", Place::State),
    ("ipc", Place::Ipc),
    ("policy", Place::Policy),
    ("tools", Place::Tools),
];

/// The parts of the tree that stands on the host beneath the agent's name.
pub(super) fn parts(name: &AgentName, own: &Own) -> Vec<Part> {
    let tree = path_of(&own.run, name);
    PARTS.into_iter().map(|(part, place)| Part { source: tree.join(part), place }).collect()
}

/// The bounds that a policy sets.
pub(crate) fn quotas(memory: &Memory) -> Quotas {
    let mut quotas = Quotas::default();
    for (part, rule) in memory.parts() {
        let quota = Some(Quota { bytes: rule.value.bytes(), inodes: memory.inodes_of(part) });
        match part {
            "working" => quotas.working = quota,
            "episodic" => quotas.episodic = quota,
            "semantic" => quotas.semantic = quota,
            "procedural" => quotas.procedural = quota,
            "state" => quotas.state = quota,
            _ => {}
        }
    }
    quotas
}
