//! The parts of the tree that hold an agent's files, and what may be done in each.

use rustix::io::Errno;

/// One part of the tree: the daemon's and the command line's word is "part", a part of the tree here is an area of files.
pub use protocol::memory::Part as Area;

/// On whose behalf the kernel asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process of the agent, or for a view the person it was made for.
    Agent,
    /// Root on the host.
    Root,
    /// Anybody else on the host.
    Other,
}

/// What a mount is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A running agent's files.
    Agent,
    /// Reading what a name remembers.
    Inspect,
    /// Writing back what was exported, the append-only part too.
    Restore,
    /// What several agents share, each through an idmapped mount.
    Shared,
}

/// A change that somebody wants to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new file, directory or symbolic link.
    Create,
    /// A new FIFO or socket.
    Special,
    /// Bytes behind the present end.
    Append,
    /// Any other change of content or size.
    Rewrite,
    /// Taking a name away, or giving it another.
    Rename,
    /// A further name.
    Link,
    /// Mode, times, extended attributes.
    Attributes,
    /// Both times set to now, as touch(1) does.
    Touch,
}

/// Whether `change` may be made in `area`.
///
/// # Errors
/// EROFS where nothing may be changed, EPERM where only this change may not be made (as for a file with chattr(1)'s `+a`),
/// EACCES for somebody who is neither the agent nor root.
pub fn may(purpose: Purpose, area: Area, caller: Caller, change: Change) -> Result<(), Errno> {
    match (purpose, area, caller) {
        (Purpose::Inspect, ..) => Err(Errno::ROFS),
        (_, _, Caller::Other) => Err(Errno::ACCESS),
        (Purpose::Restore, ..) => Ok(()),
        (_, Area::Working | Area::Semantic | Area::State, _) => Ok(()),
        (_, Area::Procedural, Caller::Root) => Ok(()),
        (_, Area::Procedural, Caller::Agent) => Err(Errno::ROFS),
        // For root too: what was remembered is evidence.
        (_, Area::Episodic, _) => match change {
            Change::Create | Change::Append | Change::Touch => Ok(()),
            Change::Special | Change::Rewrite | Change::Rename | Change::Link | Change::Attributes => Err(Errno::PERM),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_appending_changes_what_was_remembered() {
        for caller in [Caller::Agent, Caller::Root] {
            for change in [Change::Create, Change::Append, Change::Touch] {
                assert_eq!(may(Purpose::Agent, Area::Episodic, caller, change), Ok(()));
            }
            for change in [Change::Special, Change::Rewrite, Change::Rename, Change::Link, Change::Attributes] {
                assert_eq!(may(Purpose::Agent, Area::Episodic, caller, change), Err(Errno::PERM), "{change:?}");
                assert_eq!(may(Purpose::Agent, Area::Semantic, caller, change), Ok(()), "control: {change:?}");
            }
        }
    }

    #[test]
    fn others_on_the_host_change_nothing() {
        for area in Area::ALL {
            assert_eq!(may(Purpose::Agent, area, Caller::Other, Change::Create), Err(Errno::ACCESS));
            assert_eq!(may(Purpose::Inspect, area, Caller::Root, Change::Create), Err(Errno::ROFS));
        }
        assert_eq!(may(Purpose::Agent, Area::Procedural, Caller::Agent, Change::Create), Err(Errno::ROFS));
        assert_eq!(may(Purpose::Agent, Area::Procedural, Caller::Root, Change::Create), Ok(()));
    }
}
