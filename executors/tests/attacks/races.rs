//! Somebody who renames all the time, between the steps and during them.

use crate::executor::{bounds, carry_out, directory, outcome, prepare, reading};
use protocol::action::RefusalReason;
use protocol::bytes::Bytes;
use protocol::executor::{Task, WriteMode};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

/// `root/place/file` inside, and `outside/file`; `swap` is a link to the latter.
fn scene() -> (tempfile::TempDir, String, String) {
    let (directory, base) = directory();
    let root = format!("{base}/root");
    fs::create_dir_all(format!("{root}/place")).unwrap();
    fs::create_dir(format!("{base}/outside")).unwrap();
    fs::write(format!("{root}/place/file"), "inside").unwrap();
    fs::write(format!("{base}/outside/file"), "outside").unwrap();
    symlink("../outside", format!("{root}/swap")).unwrap();
    (directory, base, root)
}

fn exchange(one: &str, other: &str) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_directory_that_becomes_a_link_between_the_steps_changes_nothing() {
    let (_directory, base, root) = scene();
    let path = format!("{root}/place/file");
    let write = Task::FileWrite {
        root: root.clone(),
        path: path.clone(),
        content: Bytes(b"new".to_vec()),
        mode: WriteMode::Replace,
    };
    let read = Task::FileRead { root: root.clone(), path, offset: 0, length: None };
    let (mut writer, _) = prepare(&write).unwrap();
    let (mut reader, _) = prepare(&read).unwrap();
    exchange(&format!("{root}/place"), &format!("{root}/swap"));
    assert_eq!(outcome(reader.perform(reading())).unwrap()["content"], "inside");
    // The directory is not where it was when this was decided on.
    assert_eq!(outcome(writer.perform(bounds())), Err(RefusalReason::PathEscapes));
    assert_eq!(fs::read(format!("{base}/outside/file")).unwrap(), b"outside");
    assert_eq!(carry_out(&write, bounds()), Err(RefusalReason::PathEscapes));
    exchange(&format!("{root}/place"), &format!("{root}/swap"));
    carry_out(&write, bounds()).unwrap();
    assert_eq!(fs::read(format!("{root}/place/file")).unwrap(), b"new");
}

#[test]
fn a_directory_that_is_moved_out_between_the_steps_is_not_written_to() {
    let (_directory, base, root) = scene();
    let path = format!("{root}/place/file");
    let write = Task::FileWrite {
        root: root.clone(),
        path: path.clone(),
        content: Bytes(b"new".to_vec()),
        mode: WriteMode::Append,
    };
    let delete = Task::FileDelete { root: root.clone(), path };
    let (mut writer, _) = prepare(&write).unwrap();
    let (mut remover, _) = prepare(&delete).unwrap();
    fs::rename(format!("{root}/place"), format!("{base}/moved")).unwrap();
    assert_eq!(outcome(writer.perform(bounds())), Err(RefusalReason::PathEscapes));
    assert_eq!(outcome(remover.perform(bounds())), Err(RefusalReason::PathEscapes));
    assert_eq!(fs::read(format!("{base}/moved/file")).unwrap(), b"inside");
}

/// Ends the exchanges however the test ends.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_and_a_link_exchanged_all_the_time_never_lead_out() {
    let (_directory, base, root) = scene();
    let stop = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let _stopped = StopAtEnd(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                exchange(&format!("{root}/place"), &format!("{root}/swap"));
            }
        });
        for round in 0..300 {
            let path = format!("{root}/place/file");
            let task = if round % 2 == 0 {
                Task::FileRead { root: root.clone(), path, offset: 0, length: None }
            } else {
                let content = Bytes(format!("inside {round}").into_bytes());
                Task::FileWrite { root: root.clone(), path, content, mode: WriteMode::Replace }
            };
            match carry_out(&task, bounds()) {
                Ok(data) => {
                    assert!(data["content"].as_str().is_none_or(|text| text.starts_with("inside")), "{data}");
                    inside += 1;
                }
                // Renames that the kernel cannot see through end in a refusal as well.
                Err(RefusalReason::PathEscapes | RefusalReason::HostRefused) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    println!("{inside} inside, {refused} refused");
    assert!(inside > 0 && refused > 0, "both ways were met: {inside}, {refused}");
    assert_eq!(fs::read(format!("{base}/outside/file")).unwrap(), b"outside");
    assert_eq!(fs::read_dir(format!("{base}/outside")).unwrap().count(), 1, "nothing was left there");
}

#[test]
fn of_two_that_create_one_file_at_once_one_does() {
    let (_directory, root) = directory();
    let barrier = std::sync::Barrier::new(2);
    for round in 0..100 {
        let path = format!("{root}/{round}");
        let create = |content: &str| {
            let content = Bytes(content.repeat(1000).into_bytes());
            let task = Task::FileWrite { root: root.clone(), path: path.clone(), content, mode: WriteMode::Create };
            let (mut executor, _) = prepare(&task).unwrap();
            barrier.wait();
            outcome(executor.perform(bounds())).is_ok()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| create("b"));
            (create("a"), other.join().unwrap())
        });
        assert!(one != other, "round {round}: {one}, {other}");
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content, if one { "a" } else { "b" }.repeat(1000));
    }
}
