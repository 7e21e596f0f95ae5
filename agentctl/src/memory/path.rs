//! Paths beneath the root of a tree.

use protocol::memory::Part;
use protocol::text::escape_bytes;
use std::fmt;

/// Longest component, as Linux has it.
const NAME_MAX: usize = 255;

/// A path that stays beneath the root: components other than `.` and `..`, with a slash between them. None is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TreePath(Vec<u8>);

/// Bytes that are no such path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("an absolute path")]
    Absolute,
    #[error("a path that leads upwards (..)")]
    Upwards,
    #[error("a path with a NUL in it")]
    Nul,
    #[error("a path with a name longer than {NAME_MAX} bytes")]
    Long,
}

impl TreePath {
    /// Parses a path of an archive: `mem/semantic/x`, `./mem/semantic/x`, `.`.
    pub(crate) fn relative(bytes: &[u8]) -> Result<Self, BadPath> {
        if bytes.starts_with(b"/") {
            return Err(BadPath::Absolute);
        }
        let mut path = Vec::with_capacity(bytes.len());
        for name in bytes.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
            match name {
                b".." => return Err(BadPath::Upwards),
                _ if name.contains(&0) => return Err(BadPath::Nul),
                _ if name.len() > NAME_MAX => return Err(BadPath::Long),
                _ if path.is_empty() => path.extend_from_slice(name),
                _ => {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
            }
        }
        Ok(Self(path))
    }

    /// Parses a path as the agent has it, too: `/mem/semantic/x`.
    pub(crate) fn of_agent(bytes: &[u8]) -> Result<Self, BadPath> {
        let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
        Self::relative(&bytes[slashes..])
    }

    /// Where a part lies.
    pub(crate) fn of_part(part: Part) -> Self {
        Self(part.path().as_bytes().to_vec())
    }

    /// The path of a name in this directory. The name is one that the kernel gave.
    pub(crate) fn join(&self, name: &[u8]) -> Self {
        let slash: &[u8] = if self.0.is_empty() { b"" } else { b"/" };
        Self([&self.0, slash, name].concat())
    }

    /// The directory and the name in it; `None` for the root.
    pub(crate) fn split(&self) -> Option<(Self, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Self(self.0[..slash].to_vec()), &self.0[slash + 1..]),
            None => (Self::default(), &self.0),
        })
    }

    /// The part in which it lies, or which it is.
    pub(crate) fn part(&self) -> Option<Part> {
        Part::ALL.into_iter().find(|part| {
            let rest = self.0.strip_prefix(part.path().as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        })
    }

    /// Whether it is a part itself.
    pub(crate) fn is_part(&self) -> bool {
        self.part().is_some_and(|part| part.path().as_bytes() == self.0)
    }

    /// Whether a part lies beneath it.
    pub(crate) fn is_above_parts(&self) -> bool {
        self.0.is_empty() || self.0 == b"mem"
    }

    /// For people, as the agent has it: `/mem/semantic/x`.
    pub(crate) fn in_agent(&self) -> String {
        format!("/{}", escape_bytes(&self.0))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For people; `.` for the root.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.0.is_empty() { ".".to_owned() } else { escape_bytes(&self.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_stays_beneath_is_a_path() {
        let of = |text: &str| TreePath::relative(text.as_bytes()).map(|path| path.to_string());
        assert_eq!(of("./mem//semantic/./x/"), Ok("mem/semantic/x".to_owned()));
        assert_eq!((of("."), of("")), (Ok(".".to_owned()), Ok(".".to_owned())));
        assert_eq!(of("/etc/passwd"), Err(BadPath::Absolute));
        assert_eq!(of("mem/semantic/../../x"), Err(BadPath::Upwards));
        assert_eq!(of("a\0b"), Err(BadPath::Nul));
        assert_eq!(of(&"x".repeat(256)), Err(BadPath::Long));
        assert!(of(&"x".repeat(255)).is_ok());
        assert_eq!(TreePath::of_agent(b"/mem/semantic"), Ok(TreePath::of_part(Part::Semantic)));
        assert_eq!(TreePath::of_part(Part::State).in_agent(), "/state");
        assert_eq!(TreePath::default().in_agent(), "/");
    }

    #[test]
    fn a_part_is_known_by_its_path_and_not_by_how_it_begins() {
        let part = |text: &str| TreePath::relative(text.as_bytes()).expect("a path").part();
        assert_eq!(part("mem/semantic"), Some(Part::Semantic));
        assert_eq!(part("state/a/b"), Some(Part::State));
        assert_eq!((part("states"), part("mem"), part("mem/semantics/x")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_bytes_lead_out(bytes in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40)) {
            if let Ok(path) = TreePath::relative(&bytes) {
                let names: Vec<_> = path.as_bytes().split(|byte| *byte == b'/').collect();
                let root = path.as_bytes().is_empty();
                prop_assert!(root || names.iter().all(|name| !matches!(*name, b"" | b"." | b"..") && !name.contains(&0)));
                prop_assert_eq!(TreePath::relative(path.as_bytes()), Ok(path.clone()));
                if let Some((parent, name)) = path.split() {
                    prop_assert_eq!(parent.join(name), path);
                }
            }
        }
    }
}
