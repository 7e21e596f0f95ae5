//! How much is kept of agents that have ended, and which of them is removed when there is more. Pure.
//!
//! What goes is the oldest of the owner who has the most: whoever floods loses records of their own, and an owner who
//! stays within an equal share loses none to others. What is not in here, as every agent that lives, cannot go.

use protocol::agent::Agent;
use protocol::ids::{AgentId, AgentName, TimeUs};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The most that is kept of ended agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How many.
    pub(crate) agents: usize,
    /// Bytes on disk, of all together.
    pub(crate) bytes: u64,
}

/// An agent that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its name.
    pub(crate) name: AgentName,
    /// Its run.
    pub(crate) id: AgentId,
    /// Who asked for it.
    pub(crate) owner: u32,
    /// When it ended.
    pub(crate) ended_us: TimeUs,
    /// What it takes on disk.
    pub(crate) bytes: u64,
}

impl Ended {
    /// An agent with its size; `None` when it has not ended.
    pub(crate) fn of(agent: &Agent, bytes: u64) -> Option<Self> {
        let Agent { name, id, owner, ended_us, .. } = agent;
        Some(Self { name: name.clone(), id: *id, owner: *owner, ended_us: (*ended_us)?, bytes })
    }
}

/// Which bound was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// The number of agents.
    Agents,
    /// Their bytes.
    Bytes,
}

impl Bounds {
    /// Why something is removed, for people.
    pub(crate) fn why(&self, passed: Passed) -> String {
        match passed {
            Passed::Agents => format!("more agents have ended than are kept (max_ended_agents: {})", self.agents),
            Passed::Bytes => format!("ended agents take more space than is kept (max_ended_size: {}B)", self.bytes),
        }
    }
}

/// The ended agents of one owner.
#[derive(Debug, Default)]
struct Own {
    oldest_first: BTreeMap<(TimeUs, AgentId), Ended>,
    bytes: u64,
}

/// The ended agents of everyone.
#[derive(Debug, Default)]
struct Kept {
    owners: BTreeMap<u32, Own>,
    agents: usize,
    bytes: u64,
}

impl Kept {
    fn add(&mut self, ended: Ended) {
        self.take(ended.owner, (ended.ended_us, ended.id));
        let own = self.owners.entry(ended.owner).or_default();
        (self.agents, self.bytes) = (self.agents + 1, self.bytes.saturating_add(ended.bytes));
        own.bytes = own.bytes.saturating_add(ended.bytes);
        own.oldest_first.insert((ended.ended_us, ended.id), ended);
    }

    fn take(&mut self, owner: u32, key: (TimeUs, AgentId)) -> Option<Ended> {
        let own = self.owners.get_mut(&owner)?;
        let ended = own.oldest_first.remove(&key)?;
        own.bytes = own.bytes.saturating_sub(ended.bytes);
        if own.oldest_first.is_empty() {
            self.owners.remove(&owner);
        }
        (self.agents, self.bytes) = (self.agents - 1, self.bytes.saturating_sub(ended.bytes));
        Some(ended)
    }

    /// Takes out what is too much, in the order in which it should go.
    fn surplus(&mut self, bounds: Bounds) -> Vec<(Ended, Passed)> {
        let mut surplus = Vec::new();
        while let Some(passed) = self.passed(bounds) {
            let oldest = |own: &Own| own.oldest_first.keys().next().copied();
            let rank = |own: &Own| match passed {
                Passed::Agents => u64::try_from(own.oldest_first.len()).unwrap_or(u64::MAX),
                Passed::Bytes => own.bytes,
            };
            let most = self.owners.iter().max_by_key(|(_, own)| (rank(own), Reverse(oldest(own))));
            let found = most.and_then(|(owner, own)| Some((*owner, oldest(own)?)));
            let Some(ended) = found.and_then(|(owner, key)| self.take(owner, key)) else { break };
            surplus.push((ended, passed));
        }
        surplus
    }

    fn passed(&self, bounds: Bounds) -> Option<Passed> {
        match (self.agents > bounds.agents, self.bytes > bounds.bytes) {
            (true, _) => Some(Passed::Agents),
            (false, true) => Some(Passed::Bytes),
            (false, false) => None,
        }
    }
}

/// What is kept, shared by the tasks of agents.
#[derive(Debug)]
pub(crate) struct Retention {
    bounds: Bounds,
    kept: Mutex<Kept>,
}

impl Retention {
    /// Nothing is kept yet.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    /// Adds agents that have ended; answers what must go now, and why. That is no longer counted.
    pub(crate) fn add(&self, ended: impl IntoIterator<Item = Ended>) -> Vec<(Ended, String)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        ended.into_iter().for_each(|ended| kept.add(ended));
        let surplus = kept.surplus(self.bounds).into_iter();
        surplus.map(|(ended, passed)| (ended, self.bounds.why(passed))).collect()
    }

    /// Takes out one that is removed for another reason.
    pub(crate) fn forget(&self, owner: u32, ended_us: TimeUs, id: AgentId) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take(owner, (ended_us, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const AMPLE: u64 = 1 << 40;

    fn ended(id: u64, owner: u32, ended_us: u64, bytes: u64) -> Ended {
        let name = AgentName::parse(&format!("a{id}")).unwrap();
        Ended { name, id: AgentId(id), owner, ended_us: TimeUs(ended_us), bytes }
    }

    fn kept(all: &[Ended]) -> Kept {
        let mut kept = Kept::default();
        all.iter().for_each(|ended| kept.add(ended.clone()));
        kept
    }

    /// The ids that go.
    fn gone(all: &[Ended], bounds: Bounds) -> Vec<u64> {
        kept(all).surplus(bounds).into_iter().map(|(ended, _)| ended.id.0).collect()
    }

    #[test]
    fn the_oldest_end_goes_first_whatever_the_order_of_starts() {
        let all = [ended(1, 0, 30, 1), ended(2, 0, 10, 1), ended(3, 0, 20, 1)];
        assert_eq!(gone(&all, Bounds { agents: 1, bytes: AMPLE }), [2, 3]);
        assert_eq!(gone(&all, Bounds { agents: 3, bytes: 3 }), [0u64; 0], "the bounds themselves are kept");
        assert_eq!(gone(&all, Bounds { agents: 3, bytes: 2 }), [2]);
        assert_eq!(gone(&all, Bounds { agents: 0, bytes: AMPLE }), [2, 3, 1]);
    }

    #[test]
    fn a_flood_pushes_out_its_own_owners_records() {
        let mut all = vec![ended(1, 7, 1, 1), ended(2, 7, 2, 1)];
        all.extend((10..200).map(|id| ended(id, 8, id, 1)));
        let gone = gone(&all, Bounds { agents: 10, bytes: AMPLE });
        assert_eq!(gone, (10..192).collect::<Vec<_>>());
    }

    #[test]
    fn many_small_records_are_safe_from_a_large_one() {
        let mut all = vec![ended(1, 8, 1000, 90)];
        all.extend((10..20).map(|id| ended(id, 7, id, 2)));
        assert_eq!(gone(&all, Bounds { agents: 100, bytes: 100 }), [1]);
    }

    #[test]
    fn what_was_removed_otherwise_is_not_counted() {
        let retention = Retention::new(Bounds { agents: 2, bytes: AMPLE });
        assert!(retention.add([ended(1, 0, 1, 1), ended(2, 0, 2, 1)]).is_empty());
        retention.forget(0, TimeUs(1), AgentId(1));
        retention.forget(0, TimeUs(1), AgentId(1));
        assert!(retention.add([ended(3, 0, 3, 1)]).is_empty());
        let surplus = retention.add([ended(4, 0, 4, 1)]);
        assert_eq!(surplus[0].0.id, AgentId(2));
        assert!(surplus[0].1.contains("max_ended_agents: 2"), "{}", surplus[0].1);
    }

    fn any_ended() -> impl Strategy<Value = Vec<Ended>> {
        proptest::collection::vec((0..4u32, 0..50u64, 0..100u64), 0..60).prop_map(|all| {
            (1..).zip(all).map(|(id, (owner, ended_us, bytes))| ended(id, owner, ended_us, bytes)).collect()
        })
    }

    proptest! {
        #[test]
        fn what_stays_is_within_the_bounds_and_nothing_goes_without_need(
            all in any_ended(), agents in 0..60usize, bytes in 0..2000u64,
        ) {
            let bounds = Bounds { agents, bytes };
            let mut kept = kept(&all);
            let surplus = kept.surplus(bounds);
            prop_assert_eq!(kept.passed(bounds), None);
            prop_assert_eq!(kept.agents + surplus.len(), all.len());
            let left: Vec<&Ended> = kept.owners.values().flat_map(|own| own.oldest_first.values()).collect();
            prop_assert_eq!(left.len(), kept.agents);
            prop_assert_eq!(left.iter().map(|ended| ended.bytes).sum::<u64>(), kept.bytes);
            if let Some((last, _)) = surplus.last() {
                kept.add(last.clone());
                prop_assert!(kept.passed(bounds).is_some(), "{:?} could have stayed", last);
            }
        }

        #[test]
        fn an_owner_loses_the_oldest_only(all in any_ended(), agents in 0..60usize, bytes in 0..2000u64) {
            let gone: BTreeSet<u64> = gone(&all, Bounds { agents, bytes }).into_iter().collect();
            for went in all.iter().filter(|ended| gone.contains(&ended.id.0)) {
                let older = |other: &&Ended| (other.ended_us, other.id) < (went.ended_us, went.id);
                let own = all.iter().filter(|other| other.owner == went.owner);
                prop_assert!(own.filter(older).all(|other| gone.contains(&other.id.0)));
            }
        }

        #[test]
        fn who_stays_within_an_equal_share_loses_nothing(all in any_ended(), agents in 0..60usize, bytes in 0..2000u64) {
            let gone: BTreeSet<u64> = gone(&all, Bounds { agents, bytes }).into_iter().collect();
            let owners: BTreeSet<u32> = all.iter().map(|ended| ended.owner).collect();
            let of = |owner: u32| all.iter().filter(move |ended| ended.owner == owner);
            for owner in &owners {
                let few = of(*owner).count() * owners.len() <= agents;
                let small = of(*owner).map(|ended| ended.bytes).sum::<u64>() * owners.len() as u64 <= bytes;
                if few && small {
                    prop_assert!(of(*owner).all(|ended| !gone.contains(&ended.id.0)));
                }
            }
        }
    }
}
