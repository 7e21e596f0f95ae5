//! The places that every root has: their rights, and what is mounted there while the agent runs. Needs root.

mod stage;

use sandbox::message::{Order, Report};
use sandbox::plan::{Part, Place, Plan};
use stage::{Stage, shell, tempdir, text};
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PLACES: [(&str, Place); 5] = [
    ("mem", Place::Memory),
    ("state", Place::State),
    ("ipc", Place::Ipc),
    ("policy", Place::Policy),
    ("tools", Place::Tools),
];

/// A directory on the host with one directory a place, which everybody may write, and a file in each that says which
/// host directory it is.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let base = tempdir(name);
        for (part, _) in PLACES {
            let path = base.join(part);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
            fs::write(path.join("which"), format!("#!/bin/sh\necho {name} {part}\n")).unwrap();
            fs::set_permissions(path.join("which"), Permissions::from_mode(0o755)).unwrap();
        }
        Self(base)
    }

    fn parts(&self) -> Vec<Part> {
        PLACES.into_iter().map(|(part, place)| Part { source: self.0.join(part), place }).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn with(tree: &Tree, script: &str) -> Plan {
    Plan { parts: tree.parts(), ..shell(script) }
}

#[test]
fn each_place_gives_what_it_is_for_and_no_more() {
    let tree = Tree::new("places");
    let mut stage = Stage::start("places");
    let script = "exec 2>&1; for part in mem state ipc policy tools; do
        cat /$part/which > /dev/null && r=read; w=; x=
        { echo new > /$part/new; } 2> /dev/null && w=' write'
        /$part/which > /dev/null 2>&1 && x=' execute'
        echo $part: $r$w$x
      done
      rm /policy/which /tools/which; rm /mem; ls /.agentos/write";
    let (out, _) = stage.run(with(&tree, script)).unwrap();
    let lines: Vec<&str> = out.lines().take(5).collect();
    assert_eq!(
        lines,
        ["mem: read write", "state: read write", "ipc: read write", "policy: read", "tools: read execute"],
        "{out}"
    );
    assert_eq!(out.matches("Read-only file system").count(), 3, "{out}");
    assert!(out.ends_with("ipc\nmem\nstate\n"), "{out}");
}

#[test]
fn what_is_mounted_anew_has_the_same_rights_and_takes_the_place_of_the_old() {
    let (before, after) = (Tree::new("before"), Tree::new("after"));
    let mut stage = Stage::start("remount");
    let script = "exec 3< /mem/which; echo opened > /state/opened
      for part in mem state ipc policy tools; do until grep -qs after /$part/which; do sleep 0.01; done; done
      cat <&3; for part in mem state ipc policy tools; do tail -n 1 /$part/which; done
      echo kept > /mem/kept; /tools/which; { echo x > /policy/x; } 2>&1";
    let log = before.0.join("log");
    let file = OwnedFd::from(File::create(&log).unwrap());
    stage.order(&Order::Launch { plan: Box::new(with(&before, script)) }, &[&file]);
    stage.order(&Order::Served, &[]);
    assert!(matches!(stage.report().0, Report::Started { process: 0 }));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !before.0.join("state/opened").exists() {
        assert!(Instant::now() < deadline, "the script does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }

    stage.order(&Order::Remount { parts: vec![Part { source: "/no/such".into(), place: Place::Memory }] }, &[]);
    let Report::Remounted { failure: Some(failure) } = stage.report().0 else { panic!("it was mounted") };
    assert_eq!(failure.to_string(), "cannot open /no/such: No such file or directory (os error 2)");

    stage.order(&Order::Remount { parts: after.parts() }, &[]);
    assert!(matches!(stage.report().0, Report::Remounted { failure: None }));
    assert!(matches!(stage.report().0, Report::Ended { .. }));
    let out = text(&fs::read(&log).unwrap());
    let expected = "#!/bin/sh\necho before mem\necho after mem\necho after state\necho after ipc\necho after policy\necho after tools\nafter tools\n";
    assert!(out.starts_with(expected), "{out}");
    assert!(out.contains("Read-only file system"), "{out}");
    assert_eq!(fs::read_to_string(after.0.join("mem/kept")).unwrap(), "kept\n");
    assert!(!Path::new(&before.0.join("mem/kept")).exists());
}
