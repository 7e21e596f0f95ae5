//! What an agent remembers: how much, and where it is mounted inside.

use super::Own;
use crate::memory::{Sharing, path_of, shared_path_of};
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

/// The parts of the tree that stands on the host beneath the agent's name, and over them what it shares.
pub(super) fn parts(name: &AgentName, memory: &Memory, own: &Own) -> Vec<Part> {
    let tree = path_of(&own.run, name);
    let parts = PARTS.into_iter().map(|(part, place)| Part { source: tree.join(part), place });
    let shared = memory.semantic_shared.as_ref();
    let shared = shared.map(|rule| Part { source: shared_path_of(&own.run, &rule.value), place: Place::Semantic });
    parts.chain(shared).collect()
}

/// What the agent has of its own, and what together with others.
pub(super) fn divided(memory: &Memory) -> (Quotas, Option<Sharing>) {
    let mut quotas = quotas(memory);
    let Some(store) = &memory.semantic_shared else { return (quotas, None) };
    // A policy that shares sets a size.
    let sharing = quotas.semantic.take().map(|quota| Sharing { store: store.value.clone(), quota });
    (quotas, sharing)
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
