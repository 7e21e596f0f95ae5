//! What a primitive is, and the list of all of them.

use serde::{Serialize, Serializer};

use crate::{
    allowed, credentials, host_files, inheritance, ipc, kernel, kernel_memory, launcher, memory_surface, modes,
    mount_api, mounts, namespaces, netlink, network, outcome::Attempt, params::Params, priorities, processes, signals,
    surface, terminal, workspace,
};

/// One thing that an attacker tries.
pub(crate) struct Primitive {
    /// `family.name`, unique.
    pub(crate) id: &'static str,
    /// What it tries, for a person.
    pub(crate) tries: &'static str,
    /// The errnos that count as a denial; any other is an `error`.
    pub(crate) denials: &'static [i32],
    /// What shows that the attempt works where nothing forbids it.
    pub(crate) control: Control,
    /// The attempt. Runs in a child that is thrown away.
    pub(crate) run: fn(&Params) -> Attempt,
}

/// The positive control of a primitive.
#[derive(Clone, Copy)]
pub(crate) enum Control {
    /// Root outside any sandbox reaches it, given the parameters of `probe targets`.
    Root,
    /// Reached outside under the condition named here.
    When(&'static str),
}

impl Serialize for Control {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Root => "root",
            Self::When(condition) => condition,
        })
    }
}

/// Primitives that one argument of `probe run` selects.
pub(crate) struct Family {
    /// The first half of their ids.
    pub(crate) name: &'static str,
    /// The tables, one for each source file.
    pub(crate) tables: &'static [&'static [Primitive]],
}

/// The family of things that must work inside; `all` leaves it out.
pub(crate) const ALLOWED: &str = "allowed";

/// Everything that the program can try.
pub(crate) const FAMILIES: &[Family] = &[
    Family { name: "processes", tables: &[processes::PRIMITIVES, signals::PRIMITIVES, priorities::PRIMITIVES] },
    Family { name: "namespaces", tables: &[namespaces::PRIMITIVES] },
    Family { name: "mounts", tables: &[mounts::PRIMITIVES, mount_api::PRIMITIVES] },
    Family {
        name: "kernel",
        tables: &[
            kernel::PRIMITIVES,
            surface::PRIMITIVES,
            memory_surface::PRIMITIVES,
            kernel_memory::PRIMITIVES,
            terminal::PRIMITIVES,
            modes::PRIMITIVES,
        ],
    },
    Family { name: "ipc_net", tables: &[ipc::PRIMITIVES, network::PRIMITIVES, netlink::PRIMITIVES] },
    Family { name: "host_files", tables: &[host_files::PRIMITIVES] },
    Family { name: "inheritance", tables: &[inheritance::PRIMITIVES, credentials::PRIMITIVES] },
    Family { name: "launcher", tables: &[workspace::PRIMITIVES, launcher::PRIMITIVES] },
    Family { name: ALLOWED, tables: &[allowed::PRIMITIVES] },
];

impl Family {
    /// The family's primitives in the order of the tables.
    pub(crate) fn primitives(&self) -> impl Iterator<Item = &'static Primitive> {
        self.tables.iter().flat_map(|table| table.iter())
    }
}

/// The primitives that `selector` names: an id, a family, or `all`. Empty when it names none.
pub(crate) fn select(selector: &str) -> Vec<(&'static str, &'static Primitive)> {
    FAMILIES
        .iter()
        .flat_map(|family| family.primitives().map(move |primitive| (family.name, primitive)))
        .filter(|(family, primitive)| {
            primitive.id == selector || *family == selector || (selector == "all" && *family != ALLOWED)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALLOWED, FAMILIES, select};

    #[test]
    fn every_id_is_unique_and_begins_with_its_family() {
        let mut seen = HashSet::new();
        for family in FAMILIES {
            for primitive in family.primitives() {
                assert!(primitive.id.starts_with(&format!("{}.", family.name)), "{} in {}", primitive.id, family.name);
                assert!(seen.insert(primitive.id), "{} twice", primitive.id);
            }
        }
    }

    #[test]
    fn all_means_every_attack_and_nothing_that_must_work() {
        let selected = select("all");
        assert!(selected.len() >= 140, "only {} primitives", selected.len());
        assert!(selected.iter().all(|(family, _)| *family != ALLOWED));
        assert!(select("no.such").is_empty());
    }
}
