//! Promise: what the host mounts, unmounts or moves beneath what is shown is noticed, and nothing else. Needs root.

use sandbox::mounts::Watch;
use sandbox::plan::{Mount, Template};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mount points of the test, taken away at the end.
struct Place(PathBuf);

impl Place {
    fn make() -> Self {
        let place = std::env::temp_dir().join(format!("agentos-mounts-{}", std::process::id()));
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
            Command::new("umount").args(["-q", "-l"]).arg(self.0.join(directory)).status().ok();
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
    let place = Place::make();
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

#[test]
fn a_mount_with_a_path_longer_than_can_be_named_is_no_error_and_counts() {
    let place = Place::make();
    let mut watch = Watch::open(&shows(&place.0.join("shown"))).unwrap();
    let first = watch.look().unwrap();
    // Made and mounted step by step, each from within the one before.
    let script = r#"cd "$1/beside/a" || exit 1
        name=$(printf 'x%.0s' $(seq 200))
        for i in $(seq 40); do mkdir "$name" && cd "./$name" || exit 1; done
        mount -t tmpfs test . && echo "mounted""#;
    let made = Command::new("bash").args(["-c", script, "bash"]).arg(&place.0).output().unwrap();
    let mounted = String::from_utf8_lossy(&made.stdout).contains("mounted");
    let looked = watch.look();
    if mounted {
        let undo = r#"cd "$1/beside/a"; name=$(printf 'x%.0s' $(seq 200))
            for i in $(seq 39); do cd "./$name" || exit 1; done; umount "./$name""#;
        assert!(Command::new("bash").args(["-c", undo, "bash"]).arg(&place.0).status().unwrap().success());
    }
    assert!(mounted, "control: {made:?}");
    assert_ne!(looked.unwrap(), first, "it might be beneath");
}
