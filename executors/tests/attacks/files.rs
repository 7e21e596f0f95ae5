//! Reading, listing and removing: nothing is followed out of the root.

use crate::executor::{bounds, carry_out, directory, outcome, prepare, reading};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Task};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

fn read(root: &str, path: &str) -> Task {
    Task::FileRead { root: root.to_owned(), path: path.to_owned(), offset: 0, length: None }
}

fn content(root: &str, path: &str) -> Result<String, RefusalReason> {
    let data = carry_out(&read(root, path), reading())?;
    assert_eq!(data["encoding"], "utf-8");
    Ok(data["content"].as_str().unwrap().to_owned())
}

#[test]
fn no_path_leads_out_of_its_root() {
    let (_directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir_all(format!("{root}/inner")).unwrap();
    fs::write(format!("{base}/secret"), "secret").unwrap();
    fs::write(format!("{root}/inner/file"), "inside").unwrap();
    let links = [
        ("out", "../secret"),
        ("absolute", "/etc/passwd"),
        ("directory", ".."),
        ("in", "inner/file"),
        ("round", "round"),
        ("magic", "/proc/self/root"),
        ("back", "inner/../inner/file"),
        ("self", "/proc/self/fd/0"),
    ];
    for (name, target) in links {
        symlink(target, format!("{root}/{name}")).unwrap();
    }
    for path in
        ["out", "absolute", "directory/secret", "../secret", "inner/../../secret", "round", "magic/etc/passwd", "self"]
    {
        assert_eq!(content(&root, &format!("{root}/{path}")), Err(RefusalReason::PathEscapes), "{path}");
    }
    for path in ["in", "inner/file", "back", "inner/../in", "./inner//file"] {
        assert_eq!(content(&root, &format!("{root}/{path}")).unwrap(), "inside", "{path}");
    }
    let (_, prepared) = prepare(&read(&root, &format!("{root}/in"))).unwrap();
    assert_eq!(prepared.paths, [format!("{root}/inner/file")], "links are resolved in what is decided on");
    assert_eq!(content(&root, &format!("{base}/secret")), Err(RefusalReason::PathEscapes));
    assert_eq!(content(&root, &format!("{root}/none")), Err(RefusalReason::NotFound));
    // The file itself may be the root; a link may not.
    assert_eq!(content(&format!("{base}/secret"), &format!("{base}/secret")).unwrap(), "secret");
    assert_eq!(content(&format!("{root}/out"), &format!("{root}/out")), Err(RefusalReason::PathEscapes));
    symlink(&root, format!("{base}/alias")).unwrap();
    assert_eq!(content(&format!("{base}/alias"), &format!("{base}/alias/in")), Err(RefusalReason::PathEscapes));
}

#[test]
fn magic_links_are_no_way_to_a_file() {
    // The links of the kernel's own file system, which lead to what is open and not to a path.
    for path in ["/proc/self/root/etc/passwd", "/proc/self/cwd", "/proc/self/exe", "/proc/self/fd/0"] {
        assert_eq!(content("/proc", path), Err(RefusalReason::PathEscapes), "{path}");
        assert_eq!(content("/", path), Err(RefusalReason::PathEscapes), "{path}");
    }
    assert!(content("/etc", "/etc/passwd").unwrap().contains("root:"));
}

#[test]
fn only_regular_files_are_opened() {
    let (_directory, root) = directory();
    let fifo = format!("{root}/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(format!("{root}/directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(format!("{root}/socket")).unwrap();
    for name in ["fifo", "directory", "socket"] {
        assert_eq!(content(&root, &format!("{root}/{name}")), Err(RefusalReason::WrongType), "{name}");
    }
    for path in ["/dev/zero", "/dev/tty"] {
        assert_eq!(content("/dev", path), Err(RefusalReason::WrongType), "{path}");
    }
    // A writer that opened the FIFO would still wait: nobody has opened it for reading.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let opened = rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty());
    assert_eq!(opened.unwrap_err(), rustix::io::Errno::NXIO);
}

#[test]
fn a_file_is_read_in_parts_and_within_the_bound() {
    let (_directory, root) = directory();
    let path = format!("{root}/file");
    fs::write(&path, "0123456789").unwrap();
    let part = |offset, length| Task::FileRead { root: root.clone(), path: path.clone(), offset, length };
    let most = |bytes| Bounds { max_bytes: Some(bytes), ..reading() };
    let text = |task, bounds| carry_out(&task, bounds).map(|data| data["content"].as_str().unwrap().to_owned());
    assert_eq!(text(part(3, Some(4)), most(4)).unwrap(), "3456");
    assert_eq!(text(part(8, None), most(4)).unwrap(), "89");
    assert_eq!(text(part(99, None), most(4)).unwrap(), "");
    assert_eq!(text(part(0, None), most(10)).unwrap(), "0123456789");
    assert_eq!(text(part(0, None), most(9)), Err(RefusalReason::TooLarge));
    fs::write(&path, b"\xff\0").unwrap();
    let data = carry_out(&part(0, None), reading()).unwrap();
    assert_eq!((data["content"].as_str(), data["encoding"].as_str()), (Some("/wA="), Some("base64")));
    // A file without end of a size that nobody has written.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(text(part(0, None), reading()), Err(RefusalReason::TooLarge));
}

#[test]
fn a_directory_is_listed_by_name_and_not_followed_out() {
    let (_directory, root) = directory();
    fs::write(format!("{root}/b"), "12").unwrap();
    fs::create_dir(format!("{root}/a")).unwrap();
    symlink("/etc", format!("{root}/etc")).unwrap();
    fs::write(
        std::path::Path::new(&root).join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"z\xff")),
        "",
    )
    .unwrap();
    let list = |path: &str| carry_out(&Task::ListDirectory { root: root.clone(), path: path.to_owned() }, reading());
    let data = list(&root).unwrap();
    let entries: Vec<_> = data["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["name"].as_str().unwrap(), e["type"].as_str().unwrap()))
        .collect();
    assert_eq!(entries, [("a", "directory"), ("b", "file"), ("etc", "symlink"), ("z\\xff", "file")]);
    assert_eq!((data["entries"][1]["size"].as_u64(), data["truncated"].as_bool()), (Some(2), Some(false)));
    assert_eq!(list(&format!("{root}/etc")), Err(RefusalReason::PathEscapes));
    assert_eq!(list(&format!("{root}/b")), Err(RefusalReason::WrongType));
    for number in 0..10_001 {
        fs::write(format!("{root}/a/{number:05}"), "").unwrap();
    }
    let data = list(&format!("{root}/a")).unwrap();
    assert_eq!((data["entries"].as_array().unwrap().len(), data["truncated"].as_bool()), (10_000, Some(true)));
    assert_eq!(data["entries"][9_999]["name"], "09999");
}

#[test]
fn what_is_removed_is_the_name_that_was_approved() {
    let (_directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir_all(format!("{root}/directory")).unwrap();
    fs::write(format!("{base}/secret"), "secret").unwrap();
    symlink("../secret", format!("{root}/link")).unwrap();
    symlink("..", format!("{root}/up")).unwrap();
    fs::write(format!("{root}/file"), "old").unwrap();
    let delete = |path: &str| Task::FileDelete { root: root.clone(), path: format!("{root}/{path}") };
    assert_eq!(carry_out(&delete("directory"), bounds()), Err(RefusalReason::WrongType));
    assert_eq!(carry_out(&delete("up/secret"), bounds()), Err(RefusalReason::PathEscapes));
    assert_eq!(carry_out(&delete("none"), bounds()), Err(RefusalReason::NotFound));
    assert_eq!(carry_out(&delete("file"), reading()), Err(RefusalReason::ReadOnly));
    carry_out(&delete("link"), bounds()).unwrap();
    assert!(fs::symlink_metadata(format!("{root}/link")).is_err());
    assert_eq!(fs::read(format!("{base}/secret")).unwrap(), b"secret", "the link itself went");

    let (mut executor, prepared) = prepare(&delete("file")).unwrap();
    assert!(prepared.preview.unwrap().contains("3 bytes"));
    fs::write(format!("{root}/file"), "new").unwrap();
    let approved = Bounds { state: prepared.state, ..bounds() };
    assert_eq!(outcome(executor.perform(approved)), Err(RefusalReason::ApprovalActionMismatch));
    let (mut executor, prepared) = prepare(&delete("file")).unwrap();
    outcome(executor.perform(Bounds { state: prepared.state, ..bounds() })).unwrap();
    assert!(fs::metadata(format!("{root}/file")).is_err());
}
