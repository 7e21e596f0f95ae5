//! Finding the host's control group hierarchies, and making an agent's group in them.

use super::{Cgroup, CgroupError, read, remove_directory, write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a controller lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerSource {
    /// In the version 2 hierarchy.
    Version2,
    /// In a version 1 hierarchy: the directory that holds our groups.
    Version1(PathBuf),
    /// Nowhere.
    Absent,
}

/// The directories in which agents' groups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    /// Our directory in the version 2 hierarchy.
    pub unified: PathBuf,
    /// The memory controller.
    pub memory: ControllerSource,
    /// The pids controller.
    pub pids: ControllerSource,
    /// The cpu controller.
    pub cpu: ControllerSource,
    /// CPU time accounting, where version 1 has it on its own.
    pub cpuacct: ControllerSource,
}

/// A mounted hierarchy, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
struct Mounted {
    version2: bool,
    point: PathBuf,
    options: String,
}

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

impl Hierarchies {
    /// Finds the hierarchies and makes our directory in each: `instance` directly under the root. Not beneath the group that
    /// a service manager has made for the daemon: a version 2 group with groups that have controllers takes no process
    /// (cgroup-v2.rst, "No Internal Process Constraint"), so that no other daemon could be started in it while agents run.
    ///
    /// # Errors
    /// [`CgroupError::NoVersion2`]; [`CgroupError::File`]. A controller that is absent is no error here.
    pub fn open(instance: &str) -> Result<Self, CgroupError> {
        let mounted = mounted()?;
        let unified_root = mounted.iter().find(|m| m.version2).ok_or(CgroupError::NoVersion2)?.point.clone();
        enable_controllers(&unified_root)?;
        let base = unified_root.join(instance);
        create(&base)?;
        enable_controllers(&base)?;
        let available = read(&base.join("cgroup.controllers"))?;
        let locate = |name: &str| -> Result<ControllerSource, CgroupError> {
            if available.split_whitespace().any(|found| found == name) {
                return Ok(ControllerSource::Version2);
            }
            let has = |m: &&Mounted| !m.version2 && m.options.split(',').any(|option| option == name);
            let Some(hierarchy) = mounted.iter().find(has) else { return Ok(ControllerSource::Absent) };
            let directory = hierarchy.point.join(instance);
            create(&directory)?;
            Ok(ControllerSource::Version1(directory))
        };
        let hierarchies = Self {
            memory: locate("memory")?,
            pids: locate("pids")?,
            cpu: locate("cpu")?,
            cpuacct: locate("cpuacct")?,
            unified: base,
        };
        if hierarchies.kill_supported()? { Ok(hierarchies) } else { Err(CgroupError::NoVersion2) }
    }

    /// `cgroup.kill` exists only in groups that are not the root.
    fn kill_supported(&self) -> Result<bool, CgroupError> {
        Ok(self.unified.join("cgroup.kill").exists() && self.unified.join("cgroup.freeze").exists())
    }

    /// Makes a group for one agent.
    ///
    /// # Errors
    /// [`CgroupError::File`], also when a group of that name exists.
    pub fn create(&self, slot: &str) -> Result<Cgroup, CgroupError> {
        let cgroup = self.group(slot);
        for directory in cgroup.directories() {
            fs::create_dir(directory).map_err(|source| CgroupError::File {
                attempt: "create".into(),
                path: directory.to_owned(),
                source,
            })?;
        }
        Ok(cgroup)
    }

    /// The group of that name, whether it exists or not.
    #[must_use]
    pub fn group(&self, slot: &str) -> Cgroup {
        let in_v1 = |source: &ControllerSource| match source {
            ControllerSource::Version1(directory) => Some(directory.join(slot)),
            ControllerSource::Version2 | ControllerSource::Absent => None,
        };
        Cgroup {
            unified: self.unified.join(slot),
            memory_v1: in_v1(&self.memory),
            pids_v1: in_v1(&self.pids),
            cpu_v1: in_v1(&self.cpu),
            cpuacct_v1: in_v1(&self.cpuacct),
        }
    }

    /// Names of groups of which any directory is there now, for example left by a daemon that was killed while it made or
    /// removed one.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn existing(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = BTreeSet::new();
        for directory in self.directories() {
            let fail = |source| CgroupError::File { attempt: "list".into(), path: directory.to_owned(), source };
            for entry in fs::read_dir(directory).map_err(fail)? {
                let entry = entry.map_err(fail)?;
                if entry.file_type().map_err(fail)?.is_dir() {
                    names.extend(entry.file_name().into_string());
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Our own in each hierarchy.
    fn directories(&self) -> impl Iterator<Item = &Path> {
        let sources = [&self.memory, &self.pids, &self.cpu, &self.cpuacct];
        let version1 = sources.into_iter().filter_map(|source| match source {
            ControllerSource::Version1(directory) => Some(directory.as_path()),
            ControllerSource::Version2 | ControllerSource::Absent => None,
        });
        [self.unified.as_path()].into_iter().chain(version1)
    }

    /// Removes our own directories, when no agent's group is left in them.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn close(&self) -> Result<(), CgroupError> {
        self.directories().try_for_each(remove_directory)
    }
}

fn mounted() -> Result<Vec<Mounted>, CgroupError> {
    let text = read(Path::new("/proc/self/mountinfo"))?;
    Ok(text.lines().filter_map(parse_mount).collect())
}

/// A line such as `36 35 98:0 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids`.
fn parse_mount(line: &str) -> Option<Mounted> {
    let (left, right) = line.split_once(" - ")?;
    let point = PathBuf::from(left.split(' ').nth(4)?);
    let mut right = right.split(' ');
    let version2 = match right.next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    Some(Mounted { version2, point, options: right.nth(1)?.to_owned() })
}

/// Hands the controllers that exist down to the children of `group`; asking again is no error.
fn enable_controllers(group: &Path) -> Result<(), CgroupError> {
    let available = read(&group.join("cgroup.controllers"))?;
    let enabled = read(&group.join("cgroup.subtree_control"))?;
    let has = |text: &str, name: &str| text.split_whitespace().any(|found| found == name);
    let missing = CONTROLLERS.into_iter().filter(|name| has(&available, name) && !has(&enabled, name));
    let wanted: Vec<String> = missing.map(|name| format!("+{name}")).collect();
    if wanted.is_empty() { Ok(()) } else { write(&group.join("cgroup.subtree_control"), &wanted.join(" ")) }
}

fn create(directory: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(CgroupError::File { attempt: "create".into(), path: directory.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_told_apart() {
        let v1 = parse_mount("36 35 98:0 / /sys/fs/cgroup/pids rw,relatime shared:1 - cgroup cgroup rw,pids").unwrap();
        assert!(!v1.version2);
        assert_eq!((v1.point, v1.options), (PathBuf::from("/sys/fs/cgroup/pids"), "rw,pids".to_owned()));
        assert!(parse_mount("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw").unwrap().version2);
        assert!(parse_mount("30 23 0:26 / / rw - ext4 /dev/vda rw").is_none());
    }
}
