//! Who depends on whom: in which order agents are started, and which of them never could be. Pure.

use protocol::ids::AgentName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the files say of it: who must run before.
pub(super) type Needs<'a> = BTreeMap<&'a AgentName, &'a [AgentName]>;

/// What follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Those that can be started, each after what it depends on as far as that is here.
    pub(super) order: Vec<AgentName>,
    /// Those that cannot, and why.
    pub(super) refused: BTreeMap<AgentName, String>,
}

/// Judges. `broken` are names whose file is refused for another reason: who depends on one waits until it is mended.
pub(super) fn judge(needs: &Needs<'_>, broken: &BTreeSet<AgentName>) -> Judged {
    let mut judged = Judged::default();
    for (name, wanted) in needs {
        let unknown = wanted.iter().find(|wanted| !needs.contains_key(wanted) && !broken.contains(wanted));
        if let Some(unknown) = unknown {
            let why = format!(
                "depends_on: {name}.yaml names {unknown}, and there is no {unknown}.yaml beside it; write that file, or take the name out"
            );
            judged.refused.insert((*name).clone(), why);
        } else if let Some(circle) = circle_through(name, needs) {
            let files: Vec<String> = circle.iter().map(|name| format!("{name}.yaml")).collect();
            let why = format!("depends_on goes round in a circle: {}; take one of the names out", files.join(" -> "));
            judged.refused.insert((*name).clone(), why);
        }
    }
    judged.order = ordered(needs, &judged.refused);
    judged
}

/// The shortest way from a name back to itself, with it at both ends.
fn circle_through(start: &AgentName, needs: &Needs<'_>) -> Option<Vec<AgentName>> {
    let mut from: BTreeMap<&AgentName, &AgentName> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(name) = open.pop_front() {
        for next in needs.get(name).copied().unwrap_or_default() {
            if next == start {
                let mut way = vec![start.clone(), name.clone()];
                let mut at = name;
                while at != start {
                    at = from.get(at)?;
                    way.push(at.clone());
                }
                way.reverse();
                return Some(way);
            }
            if from.insert(next, name).is_none() {
                open.push_back(next);
            }
        }
    }
    None
}

fn ordered(needs: &Needs<'_>, refused: &BTreeMap<AgentName, String>) -> Vec<AgentName> {
    let startable = |name: &AgentName| needs.contains_key(name) && !refused.contains_key(name);
    let mut waits: BTreeMap<&AgentName, usize> = BTreeMap::new();
    let mut before: BTreeMap<&AgentName, Vec<&AgentName>> = BTreeMap::new();
    for (name, wanted) in needs.iter().filter(|(name, _)| startable(name)) {
        // Named twice is needed once.
        let wanted: BTreeSet<&AgentName> = wanted.iter().filter(|wanted| startable(wanted)).collect();
        waits.insert(name, wanted.len());
        wanted.into_iter().for_each(|wanted| before.entry(wanted).or_default().push(name));
    }
    let mut ready: VecDeque<&AgentName> = waits.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
    let mut order = Vec::new();
    while let Some(name) = ready.pop_front() {
        order.push(name.clone());
        for next in before.get(name).into_iter().flatten() {
            if let Some(left) = waits.get_mut(next) {
                *left -= 1;
                if *left == 0 {
                    ready.push_back(next);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AgentName {
        AgentName::parse(text).unwrap()
    }

    fn judged(files: &[(&str, &[&str])], broken: &[&str]) -> (Vec<String>, BTreeMap<String, String>) {
        let owned: Vec<(AgentName, Vec<AgentName>)> =
            files.iter().map(|(one, all)| (name(one), all.iter().map(|one| name(one)).collect())).collect();
        let needs: Needs<'_> = owned.iter().map(|(name, needs)| (name, &needs[..])).collect();
        let judged = judge(&needs, &broken.iter().map(|one| name(one)).collect());
        let refused = judged.refused.into_iter().map(|(name, why)| (name.to_string(), why)).collect();
        (judged.order.iter().map(ToString::to_string).collect(), refused)
    }

    #[test]
    fn each_comes_after_what_it_depends_on() {
        let files: &[(&str, &[&str])] =
            &[("a", &["b", "c"]), ("b", &["d", "d"]), ("c", &["d"]), ("d", &[]), ("e", &["gone-wrong"])];
        let (order, refused) = judged(files, &["gone-wrong"]);
        assert_eq!(order, ["d", "e", "b", "c", "a"]);
        assert!(refused.is_empty(), "{refused:?}");
    }

    #[test]
    fn a_circle_is_named_with_its_files_and_who_only_leads_there_waits() {
        let files: &[(&str, &[&str])] =
            &[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("leads", &["a"]), ("apart", &[]), ("self", &["self"])];
        let (order, refused) = judged(files, &[]);
        assert_eq!(order, ["apart", "leads"]);
        assert_eq!(refused.keys().collect::<Vec<_>>(), ["a", "b", "c", "self"]);
        assert!(refused["b"].contains("b.yaml -> c.yaml -> a.yaml -> b.yaml"), "{}", refused["b"]);
        assert!(refused["self"].contains("self.yaml -> self.yaml;"), "{}", refused["self"]);
    }

    #[test]
    fn an_unknown_name_is_named_with_the_file_that_has_it() {
        let (order, refused) = judged(&[("a", &["bd"]), ("b", &["a"])], &[]);
        assert_eq!(order, ["b"]);
        assert!(refused["a"].contains("a.yaml names bd") && refused["a"].contains("bd.yaml"), "{}", refused["a"]);
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let names: Vec<String> = (0..1000).map(|number| format!("n{number:04}")).collect();
        let owned: Vec<(AgentName, Vec<AgentName>)> = (0..names.len())
            .map(|at| (name(&names[at]), names.get(at + 1).map(|next| name(next)).into_iter().collect()))
            .collect();
        let needs: Needs<'_> = owned.iter().map(|(name, needs)| (name, &needs[..])).collect();
        let judged = judge(&needs, &BTreeSet::new());
        assert_eq!(judged.order.first(), Some(&name("n0999")));
        assert_eq!((judged.order.len(), judged.refused.len()), (1000, 0));
    }
}
