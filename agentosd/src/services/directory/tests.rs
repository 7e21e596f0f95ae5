use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use tempfile::TempDir;

const GOOD: &str = "command: [/bin/true]\n";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn taken(found: &Found) -> Vec<&str> {
    found.taken.iter().map(|(name, _)| name.as_str()).collect()
}

/// Owners are root's to give away.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_bad_file_is_named_and_keeps_no_other_away() {
    if !is_root() {
        return;
    }
    let directory = directory(&[
        ("a.yaml", "command: [x]\ndepends_on: [b]\n"),
        ("b.yaml", GOOD),
        ("bad.yaml", "command: [x]\nrestrat: no\n"),
        ("Upper.yaml", GOOD),
        ("waits.yaml", "command: [x]\ndepends_on: [bad]\n"),
        ("lost.yaml", "command: [x]\ndepends_on: [nobody]\n"),
        ("who.yaml", "command: [x]\nuser: no-such-account\n"),
        ("README", "notes"),
        (".b.yaml.swp", "\0"),
        (".hidden.yaml", "nothing"),
    ]);
    let found = read(directory.path()).unwrap();
    assert_eq!(taken(&found), ["b", "waits", "a"]);
    assert_eq!(found.refused.keys().collect::<Vec<_>>(), ["Upper", "bad", "lost", "who"]);
    for (name, said) in [("bad", "line 2"), ("Upper", "no agent name"), ("lost", "nobody"), ("who", "/etc/passwd")] {
        assert!(found.refused[name].1.contains(said), "{name}: {}", found.refused[name].1);
    }
}

#[test]
fn what_others_may_have_written_is_refused_with_owner_and_mode() {
    if !is_root() {
        return;
    }
    let directory =
        directory(&[("good.yaml", GOOD), ("group.yaml", GOOD), ("other.yaml", GOOD), ("theirs.yaml", GOOD)]);
    let path = |name: &str| directory.path().join(name);
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&path("group.yaml"), 0o664);
    mode(&path("other.yaml"), 0o646);
    chown(path("theirs.yaml"), Some(65_533), None).unwrap();
    symlink(path("good.yaml"), path("link.yaml")).unwrap();
    fs::create_dir(path("folder.yaml")).unwrap();
    let fifo = path("fifo.yaml");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let found = read(directory.path()).unwrap();
    assert_eq!(taken(&found), ["good"]);
    for (name, said) in [
        ("group", "uid 0 and has mode 0664"),
        ("other", "uid 0 and has mode 0646"),
        ("theirs", "uid 65533"),
        ("link", "symbolic link"),
        ("folder", "no regular file"),
        ("fifo", "no regular file"),
    ] {
        assert!(found.refused[name].1.contains(said), "{name}: {}", found.refused[name].1);
    }
    mode(directory.path(), 0o775);
    let whole = read(directory.path()).unwrap_err();
    assert!(whole.contains("mode 0775") && whole.contains("chmod go-w"), "{whole}");
    mode(directory.path(), 0o755);
    chown(directory.path(), Some(65_533), None).unwrap();
    assert!(read(directory.path()).unwrap_err().contains("uid 65533"));
}

#[test]
fn no_directory_is_no_agents() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(read(&place.path().join("none")).unwrap(), Found::default());
    fs::write(place.path().join("file"), "x").unwrap();
    assert!(read(&place.path().join("file")).is_err());
}
