//! What the kernel's limits on our own process leave room for.

use crate::journal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::cgroup::{ControllerSource, Hierarchies};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Descriptors that the daemon has open for an agent: three processes, two sockets, two directories, and one to spare for
/// whoever is attached.
const DESCRIPTORS: u64 = 8;
/// Those that it has open anyway, its spares among them.
const DESCRIPTORS_ANYWAY: u64 = 200;
/// Tasks in our own group for an agent: the outer half of its stage, and a thread that serves its files.
const TASKS: u64 = 2;
const TASKS_ANYWAY: u64 = 100;

/// Each agent takes some descriptors, so that the usual limits would end at some hundreds of them. What the kernel allows
/// at all is had with CAP_SYS_RESOURCE; otherwise the hard limit.
pub(super) fn raise_descriptor_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let both = |value| setrlimit(Resource::Nofile, Rlimit { current: value, maximum: value });
    let allowed =
        number(Path::new("/proc/sys/fs/nr_open")).filter(|allowed| maximum.is_some_and(|hard| hard < *allowed));
    match allowed {
        Some(allowed) if both(Some(allowed)).is_ok() => Ok(()),
        _ => Ok(both(maximum)?),
    }
}

/// Says so when there is room for fewer agents than `wanted`.
pub(super) fn name_limits(hierarchies: &Hierarchies, wanted: usize) {
    let descriptors = getrlimit(Resource::Nofile).current.map(|limit| {
        let remedy = "raise it: LimitNOFILE= of the unit, or `ulimit -n` where agentosd is started";
        (limit.saturating_sub(DESCRIPTORS_ANYWAY) / DESCRIPTORS, format!("the limit of {limit} open files"), remedy)
    });
    let tasks = own_groups(hierarchies).into_iter().filter_map(|group| {
        let limit = number(&group.join("pids.max"))?;
        let what = format!("the limit of {limit} tasks of {}", group.display());
        Some((limit.saturating_sub(TASKS_ANYWAY) / TASKS, what, "raise it: TasksMax= of the unit"))
    });
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    for (room, what, remedy) in descriptors.into_iter().chain(tasks).filter(|(room, ..)| *room < wanted) {
        journal::warning(format_args!("{what} has room for about {room} agents, and max_agents is {wanted}; {remedy}"));
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Our own group that counts tasks, and those above it.
fn own_groups(hierarchies: &Hierarchies) -> Vec<PathBuf> {
    let ours = match &hierarchies.pids {
        ControllerSource::Version1(directory) => directory,
        ControllerSource::Version2 => &hierarchies.unified,
        ControllerSource::Absent => return Vec::new(),
    };
    let (Some(root), Ok(table)) = (ours.parent(), fs::read_to_string("/proc/self/cgroup")) else { return Vec::new() };
    groups(root, &table)
}

/// From `/proc/self/cgroup` (cgroups(7)): version 1 names the controllers, version 2 none.
fn groups(root: &Path, table: &str) -> Vec<PathBuf> {
    let line = |controller: &str| {
        table.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            fields.next()?.split(',').any(|name| name == controller).then(|| fields.next()).flatten()
        })
    };
    let own = line("pids").or_else(|| line("")).unwrap_or("/").trim_start_matches('/');
    Path::new(own).ancestors().map(|group| root.join(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_group_is_found_in_either_version_with_those_above_it() {
        let root = Path::new("/sys/fs/cgroup");
        let found = groups(root, "0::/system.slice/agentosd.service\n");
        let expected =
            ["/sys/fs/cgroup/system.slice/agentosd.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/"];
        assert_eq!(found, expected.map(PathBuf::from));
        let found = groups(Path::new("/x"), "8:pids:/a\n4:memory:/b\n0::/c\n");
        assert_eq!(found, ["/x/a", "/x/"].map(PathBuf::from));
    }

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        raise_descriptor_limit().unwrap();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.current, after.maximum);
        assert!(after.maximum.is_none_or(|after| before.maximum.is_some_and(|before| after >= before)));
    }
}
