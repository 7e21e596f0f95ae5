//! The host's mounts, watched for what prepared sandboxes show of them.
//!
//! A recursive bind is a copy: what is mounted beneath its source later is not in it, and what is unmounted there stays busy.
//! A launch is preceded by [`Watch::look`], which costs one system call while nothing has changed, and otherwise little for
//! each mount that has come: with a thousand agents there are a thousand mounts of theirs.

use crate::plan::{Mount as Shown, Template};
use crate::sys::mounts::{self, Mount};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// As many mounts are looked at one by one; with more, only those that have come.
const FEW: usize = 128;

/// How often what is shown has changed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u64);

/// What is known of the mounts.
#[derive(Debug)]
pub struct Watch {
    /// Polled, and read where the kernel has no better way.
    table: File,
    /// What the template names, and where that is.
    named: Vec<PathBuf>,
    shown: Vec<PathBuf>,
    known: Known,
    generation: Generation,
}

/// The mounts at the last look.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// The numbers of all, and those at or beneath what is shown.
    Looked { numbers: BTreeSet<u64>, relevant: Vec<Mount> },
    /// Lines of the table about the latter, where the kernel does not say it otherwise.
    Read(Vec<String>),
}

impl Watch {
    /// Changes count from now.
    ///
    /// # Errors
    /// When `/proc/self/mountinfo` cannot be opened.
    pub fn open(template: &Template) -> io::Result<Self> {
        let table = File::open("/proc/self/mountinfo")?;
        let named = template.view.iter().filter_map(Shown::source).map(Path::to_owned).collect();
        let (known, generation) = (Known::Read(Vec::new()), Generation::default());
        let mut watch = Self { table, named, shown: Vec::new(), known, generation };
        watch.resolve();
        watch.known = watch.all()?;
        Ok(watch)
    }

    /// Whether mounts have come or gone beneath what is shown.
    ///
    /// # Errors
    /// As `listmount(2)`, `statmount(2)`, or reading the table.
    pub fn look(&mut self) -> io::Result<Generation> {
        if self.is_signalled()? {
            let elsewhere = self.resolve();
            match &self.known {
                Known::Looked { numbers, .. } if numbers.len() > FEW && !elsewhere => self.compare_numbers()?,
                _ => self.compare_all()?,
            }
        }
        Ok(self.generation)
    }

    /// The same, and whether a mount has been moved there or has other attributes, which takes the longer the more mounts
    /// there are.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn look_closely(&mut self) -> io::Result<Generation> {
        self.is_signalled()?;
        self.compare_all()?;
        Ok(self.generation)
    }

    /// Finds out where the host has what is named, whatever links lead there; what is absent is not shown. Whether that is
    /// other than before.
    fn resolve(&mut self) -> bool {
        let shown: Vec<_> = self.named.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let changed = shown != self.shown;
        self.shown = shown;
        changed
    }

    /// The kernel says it once (`mounts_poll()`).
    fn is_signalled(&self) -> io::Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(self.table.as_fd(), PollFlags::PRI)];
        poll(&mut fds, Some(&Timespec::default()))?;
        Ok(!fds[0].revents().is_empty())
    }

    fn compare_numbers(&mut self) -> io::Result<()> {
        let Known::Looked { numbers, relevant } = &mut self.known else { return Ok(()) };
        let now: BTreeSet<u64> = mounts::numbers()?.into_iter().collect();
        if now == *numbers {
            // None has come or gone: one was moved, or changed.
            return self.compare_all();
        }
        let before = relevant.clone();
        relevant.retain(|mount| now.contains(&mount.number));
        for number in now.difference(numbers) {
            relevant.extend(mounts::look(*number)?.filter(|mount| matters(mount, &self.shown)));
        }
        if *relevant != before {
            self.generation.0 += 1;
        }
        *numbers = now;
        Ok(())
    }

    fn compare_all(&mut self) -> io::Result<()> {
        self.resolve();
        let now = self.all()?;
        let changed = match (&self.known, &now) {
            (Known::Looked { relevant: before, .. }, Known::Looked { relevant, .. }) => before != relevant,
            (before, now) => before != now,
        };
        if changed {
            self.generation.0 += 1;
        }
        self.known = now;
        Ok(())
    }

    fn all(&mut self) -> io::Result<Known> {
        let numbers = match mounts::numbers() {
            // Before Linux 6.8, and under a system call filter that is older than the call, as a service manager's may be.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => return self.read_table(),
            numbers => numbers?,
        };
        let mut relevant = Vec::new();
        for number in &numbers {
            relevant.extend(mounts::look(*number)?.filter(|mount| matters(mount, &self.shown)));
        }
        Ok(Known::Looked { numbers: numbers.into_iter().collect(), relevant })
    }

    fn read_table(&mut self) -> io::Result<Known> {
        let mut text = String::new();
        self.table.rewind()?;
        self.table.read_to_string(&mut text)?;
        let relevant = text.lines().filter(|line| {
            // The fifth field (proc_pid_mountinfo(5)); one with an escaped character is taken for one of ours.
            let point = line.split(' ').nth(4).unwrap_or("\\");
            point.contains('\\') || is_beneath(Path::new(point), &self.shown)
        });
        Ok(Known::Read(relevant.map(str::to_owned).collect()))
    }
}

/// One whose place cannot be told might.
fn matters(mount: &Mount, shown: &[PathBuf]) -> bool {
    mount.point.as_ref().is_none_or(|point| is_beneath(point, shown))
}

/// At or beneath what is shown, or above it: what is shown lies in that mount.
fn is_beneath(point: &Path, shown: &[PathBuf]) -> bool {
    shown.iter().any(|path| point.starts_with(path) || path.starts_with(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_an_old_kernel_tells_the_same_mounts() {
        let template = Template {
            view: vec![Shown::Bind { path: "/proc".into(), executable: false, optional: false }],
            rules: Vec::new(),
        };
        let mut watch = Watch::open(&template).unwrap();
        let Known::Read(lines) = watch.read_table().unwrap() else { panic!("it was read") };
        let points: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').nth(4)).collect();
        assert!(points.contains("/proc"), "{points:?}");
        if let Known::Looked { relevant, .. } = &watch.known {
            assert_eq!(
                relevant.iter().filter_map(|mount| mount.point.as_ref()?.to_str()).collect::<BTreeSet<_>>(),
                points
            );
        }
    }
}
