//! The group that may use the control socket, and who is in it.
//!
//! Read from /etc/group alone: the daemon is a static program and loads no name service modules (they would run in the
//! root process). A group from a directory service is given by its number in the configuration.

use std::path::Path;

/// A group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) u32);

/// The group by name, or by number.
pub(crate) fn find(name: &str) -> Option<GroupId> {
    find_in(&std::fs::read_to_string(Path::new("/etc/group")).unwrap_or_default(), name)
}

fn find_in(text: &str, name: &str) -> Option<GroupId> {
    if let Ok(number) = name.parse() {
        return Some(GroupId(number));
    }
    // `name:password:gid:members` (group(5)).
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok().map(GroupId))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_number() {
        let text = "root:x:0:\nagentos:x:970:ann,bob\nbroken\nx:y\n";
        assert_eq!(find_in(text, "agentos"), Some(GroupId(970)));
        assert_eq!(find_in(text, "1234"), Some(GroupId(1234)));
        for absent in ["agent", "ann", "broken", "x", ""] {
            assert_eq!(find_in(text, absent), None, "{absent}");
        }
    }
}
