//! Promise 1: no primitive of the exam reaches anything outside.
//!
//! The probe tries everything as an agent, under bubblewrap and as bare root, once in this program; each test below asks
//! one question of the results.

#[path = "confinement/columns.rs"]
mod columns;
#[path = "confinement/ground.rs"]
mod ground;
#[path = "confinement/table.rs"]
mod table;

use columns::Column;
use ground::Ground;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use tests::exam::{Primitive, primitives};
use tests::{Daemon, repository_root};

/// What an agent reaches, with the reason why that harms nobody.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("kernel.mbind", "places pages of its own memory on the node that they are on; allocators and runtimes ask for it"),
    (
        "host_files.root_home",
        "a directory of the sandbox's own that holds only the decoys of `base`; see the test of decoys",
    ),
    (
        "host_files.docker_socket",
        "a decoy of `base`: an empty file that nobody can open, not a socket; see the test of decoys",
    ),
];

/// All results.
pub(crate) struct Exam {
    primitives: Vec<Primitive>,
    base: Column,
    coding_agent: Column,
    bubblewrap: Column,
    bare: Column,
    bubblewrap_version: String,
    /// What the host looked like afterwards, for each column.
    damage: Vec<String>,
    /// What must work inside, under coding-agent and under base.
    allowed: Column,
    allowed_base: Column,
}

impl Exam {
    fn attacks(&self) -> impl Iterator<Item = &Primitive> {
        self.primitives.iter().filter(|primitive| primitive.family != "allowed")
    }

    fn columns(&self) -> [&Column; 4] {
        [&self.base, &self.coding_agent, &self.bubblewrap, &self.bare]
    }

    /// True when bare root reached it.
    fn controlled(&self, primitive: &Primitive) -> bool {
        self.bare.get(&primitive.id).is_some_and(tests::exam::Outcome::is_reached)
    }

    /// The two columns that must hold, by name.
    fn inside(&self) -> [(&str, &Column); 2] {
        [("base", &self.base), ("coding-agent", &self.coding_agent)]
    }
}

/// Runs everything, once.
fn exam() -> Option<&'static Exam> {
    static EXAM: OnceLock<Option<Exam>> = OnceLock::new();
    // Held once, also when it fails: the first test to ask shows why.
    let held = || EXAM.get_or_init(|| std::panic::catch_unwind(hold).ok()).as_ref();
    tests::is_root().then(|| held().expect("the exam could not be held; the reason stands above"))
}

fn hold() -> Exam {
    let daemon = Daemon::start();
    let mut ground = Ground::prepare();
    let primitives = primitives();
    let mut damage = Vec::new();
    let mut after = |ground: &mut Ground, who: &str| {
        damage.extend(ground.damage().into_iter().map(|what| format!("after {who}: {what}")));
    };
    let base = columns::agent(&ground, &daemon, "base", "all");
    after(&mut ground, "an agent under base");
    let coding_agent = columns::agent(&ground, &daemon, "coding-agent", "all");
    after(&mut ground, "an agent under coding-agent");
    let allowed_base = columns::agent(&ground, &daemon, "base", "allowed");
    let allowed = columns::agent(&ground, &daemon, "coding-agent", "allowed");
    let bubblewrap = columns::bubblewrap(&ground, &daemon);
    // What bubblewrap lets happen to the host is repaired here, and is not ours to answer for.
    for what in ground.damage() {
        println!("under bubblewrap: {what}");
    }
    let bare = columns::bare(&ground, &daemon, &primitives);
    after(&mut ground, "the controls");
    let version = Command::new("bwrap").arg("--version").output().map(|output| tests::stdout(&output));
    let bubblewrap_version = version.unwrap_or_default().trim().to_owned();
    Exam { primitives, base, coding_agent, bubblewrap, bare, bubblewrap_version, damage, allowed, allowed_base }
}

#[test]
fn an_agent_reaches_nothing_outside() {
    let Some(exam) = exam() else { return };
    for (profile, column) in exam.inside() {
        let reached: Vec<String> = exam
            .attacks()
            .filter(|primitive| !EXCEPTIONS.iter().any(|(id, _)| *id == primitive.id))
            .filter_map(|primitive| column.get(&primitive.id))
            .filter(|outcome| outcome.is_reached())
            .map(|outcome| format!("{}: {}", outcome.id, outcome.detail))
            .collect();
        assert!(reached.is_empty(), "under {profile}:\n{}", reached.join("\n"));
    }
    let stale = |id: &&(&str, &str)| !exam.inside().iter().any(|(_, column)| column[id.0].is_reached());
    let stale: Vec<_> = EXCEPTIONS.iter().filter(stale).collect();
    assert!(stale.is_empty(), "no longer reached, remove from the exceptions: {stale:?}");
    assert!(exam.damage.is_empty(), "the host is not as it was:\n{}", exam.damage.join("\n"));
}

#[test]
fn every_primitive_is_tried_and_refused_with_an_errno_of_its_table() {
    let Some(exam) = exam() else { return };
    assert!(exam.attacks().count() >= 200, "the exam has shrunk");
    for (profile, column) in exam.inside() {
        for primitive in exam.attacks() {
            let outcome = column.get(&primitive.id);
            let outcome = outcome.unwrap_or_else(|| panic!("{} was not tried under {profile}", primitive.id));
            let said = format!("{} under {profile}: {} {}", outcome.id, outcome.short(), outcome.detail);
            assert_ne!(outcome.verdict, "error", "{said}");
            assert!(!outcome.detail.contains("was not given"), "the exam forgot the target: {said}");
        }
    }
}

#[test]
fn every_refusal_has_a_positive_control() {
    let Some(exam) = exam() else { return };
    let missing: Vec<String> = exam
        .attacks()
        .filter(|primitive| primitive.control == "root" && !exam.controlled(primitive))
        .map(|primitive| format!("{}: {:?}", primitive.id, exam.bare.get(&primitive.id)))
        .collect();
    assert!(missing.is_empty(), "bare root should reach:\n{}", missing.join("\n"));
    let uncontrolled = exam.attacks().filter(|primitive| !exam.controlled(primitive));
    for primitive in uncontrolled {
        println!("no control here: {} ({})", primitive.id, primitive.control);
    }
}

#[test]
fn decoys_are_empty_and_cannot_be_opened() {
    if !tests::is_root() {
        return;
    }
    let daemon = Daemon::start();
    let inside = |script: &str| {
        tests::stdout(&daemon.run_inside(&tests::Launch::new("base"), &["/bin/sh", "-c", &format!("{script} 2>&1")]))
    };
    assert_eq!(inside("find /root -type f | wc -l; find /root -type f -size +0"), "3\n");
    assert_eq!(inside("ls -A /root"), ".ssh\n");
    assert_eq!(inside("test -f /var/run/docker.sock && test ! -s /var/run/docker.sock && echo empty"), "empty\n");
    for decoy in ["/var/run/docker.sock", "/root/.ssh/id_rsa", "/etc/shadow", "/etc/sudoers"] {
        let said = inside(&format!("cat {decoy}"));
        assert!(said.contains("Permission denied"), "{decoy}: {said}");
    }
}

#[test]
fn what_a_program_needs_still_works() {
    let Some(exam) = exam() else { return };
    for (profile, column) in [("base", &exam.allowed_base), ("coding-agent", &exam.allowed)] {
        assert!(column.len() >= 8, "{profile}: {column:?}");
        for outcome in column.values() {
            assert!(outcome.is_reached(), "{profile}: {outcome:?}");
        }
    }
}

#[test]
fn an_agent_reaches_less_than_under_bubblewrap() {
    let Some(exam) = exam() else { return };
    let reached = |column: &Column| column.values().filter(|outcome| outcome.is_reached()).count();
    let [base, coding_agent, bubblewrap, bare] = exam.columns().map(reached);
    println!("reached: base {base}, coding-agent {coding_agent}, bubblewrap {bubblewrap}, bare {bare}");
    assert!(base <= bubblewrap && coding_agent <= bubblewrap && bubblewrap < bare);
}

#[test]
fn the_published_table_is_what_runs() {
    let Some(exam) = exam() else { return };
    let path = repository_root().join(table::PATH);
    let page = table::render(exam);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).expect("the documentation can be written");
        return;
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    // Another kernel, or another bubblewrap, gives other errnos; what is published is one host's run.
    let host = |page: &str| page.lines().find(|line| line.starts_with("Linux ")).map(str::to_owned);
    if published.is_empty() || host(&published) == host(&page) {
        let (old, new) = (table::ours(&published), table::ours(&page));
        let differs = old.iter().zip(&new).find(|(old, new)| old != new);
        assert!(old == new, "{} is not this run: {differs:?}; write it: {}", path.display(), table::COMMAND);
    } else {
        tests::skip("published-table", "docs/confinement.md was written on another kernel");
    }
}
