//! Files of the daemon's making in an agent's tree.

use super::MemoryError;
use crate::sealed;
use policies::Effective;
use protocol::vfs::{MountId, Order};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// One of them, which is only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Beneath the tree's root.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) contents: Arc<[u8]>,
}

impl Published {
    pub(crate) fn new(path: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), contents: contents.into().into() }
    }

    /// As an order with its descriptor.
    pub(super) fn order(&self, mount: &MountId) -> Result<(Order, Vec<OwnedFd>), MemoryError> {
        let fail = |source| MemoryError::Io { attempt: "make a file for", path: self.path.clone().into(), source };
        let file = sealed::write("published", &self.contents).map_err(fail)?;
        Ok((Order::Publish { mount: mount.clone(), path: self.path.clone(), mode: 0o444 }, vec![file]))
    }
}

/// `/policy` of an agent under this policy: what was decided, what it was made of with the agent's own file, and its digest.
pub(crate) fn of_policy(policy: &Effective, own_file: Option<&str>) -> Vec<Published> {
    let mut names = BTreeSet::new();
    let sources = policy.sources.iter().map(|source| {
        let path = format!("policy/sources/{}", file_name(&source.origin, &mut names));
        Published::new(path, &*source.text)
    });
    let mut files: Vec<Published> = sources.collect();
    files.extend(own_file.map(|text| Published::new("policy/sources/security.md", text)));
    files.push(Published::new("policy/rules.yaml", policies::render(policy)));
    files.push(Published::new("policy/digest", format!("sha256:{}\n", policy.digest)));
    files
}

/// A source's name as a file: the last part of its path, or of `base (shipped)` the word before the blank.
fn file_name(origin: &str, taken: &mut BTreeSet<String>) -> String {
    let last = origin.rsplit('/').next().unwrap_or(origin);
    let word = last.strip_suffix(" (shipped)").unwrap_or(last);
    let legal = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let stem: String = word.chars().map(legal).take(200).collect();
    let stem = stem.strip_suffix(".yaml").unwrap_or(&stem).trim_start_matches('.');
    let numbers = std::iter::once(String::new()).chain((2..).map(|number: u32| format!("-{number}")));
    let mut names = numbers.map(|number| format!("{stem}{number}.yaml"));
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_file_name_of_its_own() {
        let mut taken = BTreeSet::new();
        let mut name = |origin: &str| file_name(origin, &mut taken);
        assert_eq!(name("base (shipped)"), "base.yaml");
        assert_eq!(name("/etc/agentos/policies/base.yaml"), "base-2.yaml");
        assert_eq!(name("/srv/../x y\u{1b}.yaml"), "x_y_.yaml");
        assert_eq!(name("..yaml"), ".yaml");
    }

    #[test]
    fn a_policy_is_shown_as_decided() {
        let policy = policies::resolve_profile(&"python".parse().unwrap(), &policies::Shipped).unwrap();
        let files = of_policy(&policy, None);
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(
            paths,
            ["policy/sources/base.yaml", "policy/sources/python.yaml", "policy/rules.yaml", "policy/digest"]
        );
        assert_eq!(*files[3].contents, *format!("sha256:{}\n", policy.digest).as_bytes());
        assert_eq!(*files[2].contents, *policies::render(&policy).as_bytes());
    }
}
