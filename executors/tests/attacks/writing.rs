//! Writing: whole or not at all, to the file that was looked at, and to no other name of it.

use crate::executor::{NOBODY, bounds, carry_out, carry_out_unprivileged, directory, outcome, prepare, reading};
use protocol::action::RefusalReason;
use protocol::bytes::Bytes;
use protocol::executor::{Bounds, Task, WriteMode};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

fn write(root: &str, path: &str, content: &[u8], mode: WriteMode) -> Task {
    Task::FileWrite { root: root.to_owned(), path: path.to_owned(), content: Bytes(content.to_vec()), mode }
}

fn names(directory: &str) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_written_through_a_link_or_out_of_the_root() {
    let (_directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir_all(format!("{root}/inner")).unwrap();
    fs::write(format!("{base}/secret"), "secret").unwrap();
    for (name, target) in
        [("out", "../secret"), ("up", ".."), ("in", "inner"), ("dangling", "../made"), ("file", "inner/x")]
    {
        symlink(target, format!("{root}/{name}")).unwrap();
    }
    for mode in [WriteMode::Replace, WriteMode::Append, WriteMode::Create] {
        for path in ["out", "up/secret", "up/made", "dangling", "../made", "file", "inner/../../made"] {
            let reason = carry_out(&write(&root, &format!("{root}/{path}"), b"x", mode), bounds());
            assert_eq!(reason, Err(RefusalReason::PathEscapes), "{path} {mode:?}");
        }
    }
    assert_eq!(fs::read(format!("{base}/secret")).unwrap(), b"secret");
    assert_eq!(names(&base), ["root", "secret"]);
    assert_eq!(names(&format!("{root}/inner")), [""; 0]);
    // A link to a directory inside is followed, and the real path is what is decided on.
    let (mut executor, prepared) = prepare(&write(&root, &format!("{root}/in/new"), b"x", WriteMode::Replace)).unwrap();
    assert_eq!(prepared.paths, [format!("{root}/inner/new")]);
    outcome(executor.perform(bounds())).unwrap();
    assert_eq!(fs::read(format!("{root}/inner/new")).unwrap(), b"x");
    assert_eq!(names(&format!("{root}/inner")), ["new"], "no temporary file stays");
}

#[test]
fn another_name_of_the_file_keeps_the_old_content() {
    let (_directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir(&root).unwrap();
    let (outside, inside) = (format!("{base}/outside"), format!("{root}/inside"));
    fs::write(&outside, "old").unwrap();
    fs::hard_link(&outside, &inside).unwrap();
    let append = write(&root, &inside, b"new", WriteMode::Append);
    assert_eq!(carry_out(&append, bounds()), Err(RefusalReason::PathEscapes));
    carry_out(&write(&root, &inside, b"new", WriteMode::Replace), bounds()).unwrap();
    assert_eq!((fs::read(&outside).unwrap(), fs::read(&inside).unwrap()), (b"old".to_vec(), b"new".to_vec()));
    carry_out(&append, bounds()).unwrap();
    assert_eq!((fs::read(&outside).unwrap(), fs::read(&inside).unwrap()), (b"old".to_vec(), b"newnew".to_vec()));
}

#[test]
fn each_mode_does_what_it_says() {
    let (_directory, root) = directory();
    let path = format!("{root}/file");
    let run = |content: &[u8], mode, bounds| carry_out(&write(&root, &path, content, mode), bounds);
    run(b"a", WriteMode::Create, bounds()).unwrap();
    assert_eq!(run(b"b", WriteMode::Create, bounds()), Err(RefusalReason::HostRefused));
    run(b"b", WriteMode::Append, bounds()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ab");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4750)).unwrap();
    run(b"c", WriteMode::Replace, bounds()).unwrap();
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o7777), (b"c".to_vec(), 0o750));
    assert_eq!(run(b"d", WriteMode::Replace, reading()), Err(RefusalReason::ReadOnly));
    assert_eq!(run(b"dd", WriteMode::Replace, Bounds { max_bytes: Some(1), ..bounds() }), Err(RefusalReason::TooLarge));
    fs::create_dir(format!("{root}/directory")).unwrap();
    let directory = write(&root, &format!("{root}/directory"), b"x", WriteMode::Replace);
    assert_eq!(carry_out(&directory, bounds()), Err(RefusalReason::WrongType));
    let fifo = format!("{root}/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for mode in [WriteMode::Replace, WriteMode::Append] {
        assert_eq!(carry_out(&write(&root, &fifo, b"x", mode), bounds()), Err(RefusalReason::WrongType));
    }
    assert_eq!(fs::read(&path).unwrap(), b"c");
    fs::remove_file(&path).unwrap();
    run(b"e", WriteMode::Append, bounds()).unwrap();
    // The root itself may be the file, and need not exist.
    let alone = format!("{root}/alone");
    carry_out(&write(&alone, &alone, b"f", WriteMode::Replace), bounds()).unwrap();
    assert_eq!(fs::read(&alone).unwrap(), b"f");
}

#[test]
fn an_approval_holds_for_the_content_that_was_shown() {
    let (_directory, root) = directory();
    let path = format!("{root}/file");
    for mode in [WriteMode::Replace, WriteMode::Append] {
        fs::write(&path, "one\ntwo\n").unwrap();
        let task = write(&root, &path, b"one\n2\n", mode);
        let (mut executor, prepared) = prepare(&task).unwrap();
        let preview = prepared.preview.unwrap();
        assert!(preview.contains("+2"), "{preview}");
        assert_eq!(preview.contains("-two"), mode == WriteMode::Replace, "{preview}");
        let approved = Bounds { state: prepared.state, ..bounds() };
        fs::write(&path, "three\n").unwrap();
        assert_eq!(outcome(executor.perform(approved.clone())), Err(RefusalReason::ApprovalActionMismatch));
        assert_eq!((fs::read(&path).unwrap(), names(&root)), (b"three\n".to_vec(), vec!["file".to_owned()]));
        // The same content again is the same state.
        fs::write(&path, "one\ntwo\n").unwrap();
        carry_out(&task, approved).unwrap();
    }
    let path = format!("{root}/new");
    let (mut executor, prepared) = prepare(&write(&root, &path, b"x", WriteMode::Create)).unwrap();
    assert_eq!(prepared.state.as_deref(), Some("absent"));
    fs::write(&path, "taken").unwrap();
    let approved = Bounds { state: prepared.state, ..bounds() };
    assert_eq!(outcome(executor.perform(approved)), Err(RefusalReason::ApprovalActionMismatch));
    assert_eq!(fs::read(&path).unwrap(), b"taken");
}

#[test]
fn a_preview_of_what_is_no_short_text_is_a_sentence() {
    let (_directory, root) = directory();
    let path = format!("{root}/file");
    fs::write(&path, b"\0old").unwrap();
    let (_, prepared) = prepare(&write(&root, &path, &vec![b'x'; 100_000], WriteMode::Replace)).unwrap();
    let preview = prepared.preview.unwrap();
    assert!(preview.contains("4 bytes (sha256") && preview.contains("100000 bytes (sha256"), "{preview}");
    assert_eq!(prepared.size, Some(100_000));
}

/// A small disk, which goes with the test.
struct Disk(String);

impl Disk {
    fn mount(at: &str) -> Self {
        let size = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at];
        assert!(Command::new("mount").args(size).status().unwrap().success());
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_leaves_the_old_content() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounting a small disk needs root");
        return;
    }
    let (_directory, root) = directory();
    let _disk = Disk::mount(&root);
    let path = format!("{root}/file");
    fs::write(&path, "old").unwrap();
    for mode in [WriteMode::Replace, WriteMode::Append] {
        assert_eq!(carry_out(&write(&root, &path, &[b'x'; 100_000], mode), bounds()), Err(RefusalReason::HostRefused));
        assert_eq!((fs::read(&path).unwrap(), names(&root)), (b"old".to_vec(), vec!["file".to_owned()]), "{mode:?}");
    }
    let new = format!("{root}/new");
    let create = write(&root, &new, &[b'x'; 100_000], WriteMode::Create);
    assert_eq!(carry_out(&create, bounds()), Err(RefusalReason::HostRefused));
    assert_eq!(names(&root), ["file"]);
    carry_out(&write(&root, &path, &[b'x'; 10_000], WriteMode::Replace), bounds()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
}

#[test]
fn the_hosts_permissions_hold() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: becoming nobody needs root");
        return;
    }
    let (_directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir_all(format!("{root}/closed")).unwrap();
    let mode = |path: &str, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&base, 0o755);
    mode(&root, 0o777);
    mode(&format!("{root}/closed"), 0o755);
    for (name, permissions) in [("secret", 0o600), ("fixed", 0o644), ("open", 0o666)] {
        fs::write(format!("{root}/{name}"), name).unwrap();
        mode(&format!("{root}/{name}"), permissions);
    }
    let run = |task: Task| carry_out_unprivileged(&base, &task);
    let at = |name: &str| format!("{root}/{name}");
    let read = |name| run(Task::FileRead { root: root.clone(), path: at(name), offset: 0, length: None });
    assert_eq!(read("secret"), Err(RefusalReason::HostRefused));
    assert_eq!(read("fixed").unwrap()["content"], "fixed");
    for mode in [WriteMode::Replace, WriteMode::Append] {
        // The directory would let it be replaced; whoever made the file read-only meant it.
        assert_eq!(run(write(&root, &at("fixed"), b"x", mode)), Err(RefusalReason::HostRefused));
        assert_eq!(run(write(&root, &at("closed/new"), b"x", mode)), Err(RefusalReason::HostRefused));
        run(write(&root, &at("open"), b"x", mode)).unwrap();
    }
    assert_eq!((fs::read(at("fixed")).unwrap(), fs::read(at("open")).unwrap()), (b"fixed".to_vec(), b"xx".to_vec()));
    let replaced = fs::metadata(at("open")).unwrap();
    assert_eq!((replaced.uid(), replaced.mode() & 0o7777), (NOBODY, 0o666));
}
