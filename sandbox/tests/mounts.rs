//! Promise: what the host mounts, unmounts or moves beneath what is shown is noticed, and nothing else. Needs root.

use sandbox::mounts::Watch;
use sandbox::plan::{Mount, Template};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mount points of the test, taken away at the end.
struct Place(PathBuf);

impl Place {
    fn make(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("agentos-mounts-{name}-{}", std::process::id()));
        for directory in ["shown/a", "shown/b", "beside/a"] {
            std::fs::create_dir_all(place.join(directory)).unwrap();
        }
        Self(place)
    }

    fn mount(&self, arguments: &[&str]) {
        let paths = arguments.iter().map(|word| match word.strip_prefix('@') {
            Some(relative) => self.0.join(relative).into_os_string(),
            None => word.into(),
        });
        assert!(Command::new("mount").args(paths).status().unwrap().success(), "{arguments:?}");
    }

    fn unmount(&self, path: &str) {
        assert!(Command::new("umount").arg(self.0.join(path)).status().unwrap().success(), "{path}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for directory in ["shown/a", "shown/b", "beside/a"] {
            // Those of a test that failed.
            Command::new("umount").args(["-q", "-l"]).arg(self.0.join(directory)).output().ok();
        }
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn shows(path: &Path) -> Template {
    Template {
        view: vec![Mount::Bind { path: path.to_owned(), executable: false, optional: false }],
        rules: Vec::new(),
    }
}

#[test]
fn mounts_beneath_what_is_shown_count_and_others_do_not() {
    let place = Place::make("beneath");
    let mut watch = Watch::open(&shows(&place.0.join("shown"))).unwrap();
    let first = watch.look().unwrap();
    place.mount(&["-t", "tmpfs", "test", "@beside/a"]);
    assert_eq!(watch.look().unwrap(), first, "a mount beside it");
    place.mount(&["-t", "tmpfs", "test", "@shown/b"]);
    let mounted = watch.look().unwrap();
    assert_ne!(mounted, first, "a mount beneath it");
    assert_eq!(watch.look().unwrap(), mounted, "nothing since");
    place.mount(&["--move", "@beside/a", "@shown/a"]);
    let moved = watch.look_closely().unwrap();
    assert_ne!(moved, mounted, "a mount that was moved to beneath it");
    place.mount(&["-o", "remount,bind,noexec", "@shown/a"]);
    let changed = watch.look_closely().unwrap();
    assert_ne!(changed, moved, "other attributes");
    place.unmount("shown/a");
    assert_ne!(watch.look().unwrap(), changed, "unmounted");
    place.unmount("shown/b");
}

/// Goes down forty directories of 200 characters, each from within the one before, and mounts or unmounts there: a path of
/// 8000 characters, which mount(8) could not name.
const DEEP: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[2])
name = "x" * 200
for step in range(39):
    os.makedirs(name, exist_ok=True)
    os.chdir(name)
os.makedirs(name, exist_ok=True)
if sys.argv[1] == "mount":
    result = libc.mount(b"test", name.encode(), b"tmpfs", 0, None)
else:
    result = libc.umount2(name.encode(), 0)
sys.exit(ctypes.get_errno() if result else 0)
"#;

#[test]
fn a_mount_with_a_path_longer_than_can_be_named_is_no_error_and_counts() {
    let place = Place::make("deep");
    let mut watch = Watch::open(&shows(&place.0.join("shown"))).unwrap();
    let first = watch.look().unwrap();
    let deep = |what: &str| {
        let below = place.0.join("beside/a");
        assert!(
            Command::new("/usr/bin/python3").args(["-c", DEEP, what]).arg(below).status().unwrap().success(),
            "{what}"
        );
    };
    deep("mount");
    let (looked, opened) = (watch.look(), Watch::open(&shows(&place.0.join("shown"))));
    deep("umount");
    assert_ne!(looked.unwrap(), first, "it might be beneath");
    opened.unwrap();
}

#[test]
fn what_is_named_is_watched_where_it_is_now() {
    let place = Place::make("moving");
    let link = place.0.join("link");
    std::os::unix::fs::symlink("shown", &link).unwrap();
    let (mut linked, mut absent) =
        (Watch::open(&shows(&link)).unwrap(), Watch::open(&shows(&place.0.join("new"))).unwrap());
    let first = (linked.look().unwrap(), absent.look().unwrap());
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("beside", &link).unwrap();
    std::fs::create_dir_all(place.0.join("new/in")).unwrap();
    place.mount(&["-t", "tmpfs", "test", "@beside/a"]);
    place.mount(&["-t", "tmpfs", "test", "@new/in"]);
    let mounted = (linked.look().unwrap(), absent.look().unwrap());
    place.unmount("new/in");
    place.unmount("beside/a");
    assert!(mounted.0 != first.0, "where the link leads now");
    assert!(mounted.1 != first.1, "what was absent at first");
    let above = Watch::open(&shows(&place.0.join("shown/a"))).and_then(|mut watch| {
        let before = watch.look()?;
        place.mount(&["-t", "tmpfs", "test", "@shown"]);
        let after = watch.look();
        place.unmount("shown");
        Ok((before, after?))
    });
    let (before, after) = above.unwrap();
    assert_ne!(before, after, "a mount above it");
}
