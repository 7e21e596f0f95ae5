//! A whole machine under systemd, in emulation: an image from `tests/vm/image`, booted by `tests/vm/boot`.

use crate::{binary, repository_root, stderr, stdout, succeeded};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The exit code of `tests/vm/image` where this host cannot build one.
const CANNOT: i32 = 77;
/// Seconds from the start of the machine until it must have switched itself off; it takes some minutes alone, and a host
/// that works on other things as well lengthens that.
const LIMIT: &str = "1500";

/// How often a machine is booted whose kernel crashes.
const ATTEMPTS: u32 = 3;

/// Which kernel a machine boots: a name that `tests/vm/image` gives.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// Debian 12's own, Linux 6.1.
    Stable,
    /// The newest in its backports.
    Backports,
}

/// What a machine's tests said, a line each.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// What holds.
    pub ok: Vec<String>,
    /// What does not, and why.
    pub broken: Vec<(String, String)>,
    /// What could not be tried, and why.
    pub skipped: Vec<(String, String)>,
    /// It came to its end and switched itself off.
    pub done: bool,
    /// Everything, for whoever looks for the reason of a failure.
    pub text: String,
}

impl Said {
    /// What the guest's lines mean.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut said = Self { text: text.to_owned(), ..Self::default() };
        let reason = |rest: &str| {
            let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
            (name.to_owned(), why.to_owned())
        };
        for line in text.lines().map(str::trim_end) {
            if let Some(name) = line.strip_prefix("ok ") {
                said.ok.push(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("not ok ") {
                said.broken.push(reason(rest));
            } else if let Some(rest) = line.strip_prefix("skip ") {
                said.skipped.push(reason(rest));
            }
            said.done |= line == "# done";
        }
        said
    }
}

/// Boots a machine with the package and the tests of `tests/vm/guest`; why not, where this host cannot have one.
///
/// # Errors
/// What this host lacks.
///
/// # Panics
/// When there is no package, or the machine does not switch itself off in time, with what it said.
pub fn boot(kernel: Kernel) -> Result<Said, String> {
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        return Err("qemu-system-x86_64 is not installed: scripts/setup".to_owned());
    }
    let scripts = repository_root().join("tests/vm");
    let built = Command::new(scripts.join("image")).arg(target().join("vm")).output().expect("tests/vm/image");
    if built.status.code() == Some(CANNOT) {
        return Err(stderr(&built).trim().to_owned());
    }
    let image = PathBuf::from(stdout(&succeeded(built)).trim());
    let place = tempfile::tempdir().expect("a directory");
    let files = place.path().join("files");
    fs::create_dir(&files).expect("our own directory");
    packages(&files, &place);
    drop(succeeded(Command::new("cp").arg("-r").arg(scripts.join("guest")).arg(&files).output().expect("cp(1)")));
    let work = repository_root().join("tests/chaos/work.py");
    fs::copy(work, files.join("guest/work.py")).expect("the worker of the chaos test");
    for attempt in 1.. {
        let (said, console) = once((&scripts, &image, kernel), &files, &place.path().join(format!("result-{attempt}")));
        if said.done || attempt == ATTEMPTS || !crashed(&console) {
            return Ok(said);
        }
        println!("the machine's kernel crashed in emulation, and is booted again:\n{}", tail(&console));
    }
    unreachable!("the last attempt returns");
}

/// One boot: what its tests said, and its console.
fn once((scripts, image, kernel): (&Path, &Path, Kernel), files: &Path, result: &Path) -> (Said, String) {
    let word = match kernel {
        Kernel::Stable => "stable",
        Kernel::Backports => "backports",
    };
    let booted = Command::new(scripts.join("boot")).arg(image).arg(word).args([files, result]).arg(LIMIT).output();
    let booted = booted.expect("tests/vm/boot");
    let read = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let (text, console) = (read(result.to_owned()), read(result.with_extension("console")));
    assert!(
        booted.status.success(),
        "{}{}\n{text}\nthe machine's console:\n{}",
        booted.status,
        stderr(&booted),
        tail(&console)
    );
    (Said::read(&text), console)
}

/// Whether the machine's kernel came to its end: QEMU 7.2 emulates some instructions wrongly now and then, which newer
/// kernels do not survive.
fn crashed(console: &str) -> bool {
    ["Kernel panic", "Oops:", "BUG: ", "general protection fault"].iter().any(|sign| console.contains(sign))
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// The package as `agentos.deb`, and the same files under the next version as `agentos-next.deb`. Both are not compressed
/// there: an emulated processor takes minutes to unpack them.
fn packages(files: &Path, place: &TempDir) {
    let package = std::env::var_os("AGENTOS_DEB").map_or_else(
        || target().join(format!("debian/agentos_{}_amd64.deb", env!("CARGO_PKG_VERSION"))),
        PathBuf::from,
    );
    assert!(package.exists(), "there is no {}; build it: make deb (or name it in AGENTOS_DEB)", package.display());
    let root = place.path().join("root");
    let dpkg = |arguments: &[&Path]| {
        let output = Command::new("dpkg-deb").args(["--root-owner-group", "-Znone"]).args(arguments).output();
        drop(succeeded(output.expect("dpkg-deb(1)")));
    };
    dpkg(&[Path::new("--raw-extract"), &package, &root]);
    dpkg(&[Path::new("--build"), &root, &files.join("agentos.deb")]);
    let control = root.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("our own package");
    let version = text.lines().find(|line| line.starts_with("Version: ")).expect("a version").to_owned();
    fs::write(&control, text.replace(&version, &format!("{version}+1"))).expect("our own directory");
    dpkg(&[Path::new("--build"), &root, &files.join("agentos-next.deb")]);
}

/// Cargo's target directory: programs lie in `TARGET/TRIPLE/PROFILE`.
fn target() -> PathBuf {
    let program = binary("agentctl");
    program.ancestors().nth(3).expect("a program of cargo's lies deeper").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_guest_are_read_as_they_are_meant() {
        let said =
            Said::read("# 6.1\r\nok a.b\r\nnot ok c.d: why: because\r\nskip e.f: no time\r\nnoise\r\n# done\r\n");
        assert_eq!(said.ok, ["a.b"]);
        assert_eq!(said.broken, [("c.d".to_owned(), "why: because".to_owned())]);
        assert_eq!(said.skipped, [("e.f".to_owned(), "no time".to_owned())]);
        assert!(said.done && !Said::read("ok a.b\n").done);
    }
}
