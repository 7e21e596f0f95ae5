//! The house is as it is drawn: arrows between crates, what never reaches the root process, where `unsafe` may be.
//!
//! The table is DESIGN section 2's. What it says of rooms that do not stand yet holds from their first day.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::repository_root;

/// A room: which of ours it may use, and which crates it never links, however far away.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

/// What speaks a network protocol: hundreds of crates that do not belong in a root process.
const NETWORK: &[&str] =
    &["rmcp", "hyper", "async-nats", "opentelemetry", "opentelemetry-otlp", "tonic", "rustls", "reqwest"];
/// Pure rooms touch no file, no socket and no system call.
const OUTSIDE_WORLD: &[&str] = &["tokio", "libc", "nix", "rustix", "mio", "socket2"];
/// Members that test or show the house from outside: they link nothing of it, and nothing of it links them.
const VISITORS: &[&str] = &["tests", "probe", "scripted-model", "mounted", "exerciser", "demo", "bench"];

const ROOMS: &[Room] = &[
    Room { name: "protocol", may_use: &[], never: OUTSIDE_WORLD },
    Room { name: "policies", may_use: &["protocol"], never: OUTSIDE_WORLD },
    // Its log is on files; what is on files is in one folder of it, see below.
    Room { name: "trust", may_use: &["protocol"], never: &["tokio", "nix", "mio", "socket2"] },
    Room { name: "sandbox", may_use: &[], never: &["tokio"] },
    Room { name: "fuse-vfs", may_use: &["protocol"], never: &["tokio", "policies"] },
    // Every file, program and database that an agent names; nothing in it starts a thread.
    Room {
        name: "executors",
        may_use: &["protocol"],
        never: &["tokio", "nix", "mio", "socket2", "rmcp", "hyper", "rustls"],
    },
    Room { name: "agentosd", may_use: &["protocol", "policies", "trust", "sandbox", "fuse-vfs"], never: NETWORK },
    Room { name: "gateway", may_use: &["protocol", "policies"], never: &[] },
    Room { name: "agentctl", may_use: &["protocol", "policies", "trust"], never: NETWORK },
    // A visitor that must link what it drives: the audit log without a daemon.
    Room { name: "sealer", may_use: &["trust"], never: &["tokio"] },
];

/// Folders whose files may hold `unsafe`: the one address in the house, and the attacker.
const UNSAFE_ADDRESSES: &[&str] = &["sandbox/src/sys", "sandbox/src/sys.rs", "tests/probe/"];
/// Lines of a file above which it must be divided.
const LONGEST: usize = 400;
/// Lines of a file above which it is worth a look.
const LONG: usize = 200;

/// The packages that cargo resolves, by id, and the edges that are linked into a program.
struct Graph {
    metadata: Value,
    links: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Graph {
    fn read() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", &host()])
            .current_dir(repository_root())
            .output()
            .expect("cargo can be started");
        let output = tests::succeeded(output);
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
        let names = list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"])));
        let names = names.collect();
        let nodes = list(&metadata["resolve"]["nodes"]);
        let links = nodes.iter().map(|node| (text(&node["id"]), linked(node))).collect();
        Self { metadata, links, names }
    }

    fn members(&self) -> Vec<&Value> {
        let ids: BTreeSet<String> = list(&self.metadata["workspace_members"]).iter().map(text).collect();
        list(&self.metadata["packages"]).iter().filter(|package| ids.contains(&text(&package["id"]))).collect()
    }

    fn id(&self, name: &str) -> Option<String> {
        self.members().into_iter().find(|package| package["name"] == name).map(|package| text(&package["id"]))
    }

    /// Names of the packages that `name` links directly.
    fn uses(&self, name: &str) -> BTreeSet<&str> {
        let edges = self.id(name).and_then(|id| self.links.get(&id)).map(Vec::as_slice).unwrap_or_default();
        edges.iter().filter_map(|id| self.names.get(id).map(String::as_str)).collect()
    }

    /// Names of everything that ends up in a program of `name`.
    fn reaches(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<String> = self.id(name).into_iter().collect();
        while let Some(id) = open.pop() {
            for next in self.links.get(&id).map(Vec::as_slice).unwrap_or_default() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen.iter().filter_map(|id| self.names.get(id).map(String::as_str)).collect()
    }
}

/// The platform that is built for: other platforms' crates are in the lock file but in no program.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc can be started");
    let text = tests::stdout(&tests::succeeded(output));
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc -vV names the host").to_owned()
}

/// Edges of a node that are neither for tests nor for build scripts.
fn linked(node: &Value) -> Vec<String> {
    let normal = |edge: &&Value| list(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
    list(&node["deps"]).iter().filter(normal).map(|edge| text(&edge["pkg"])).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Our own Rust files with their paths from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![repository_root().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("the sources can be listed").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.')
                || ["target", "node_modules", "vendor"].iter().any(|skipped| name == *skipped);
            if path.is_dir() && !hidden {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let shown = path.strip_prefix(repository_root()).unwrap_or(&path).display().to_string();
                found.push((shown, fs::read_to_string(&path).expect("a source file is UTF-8")));
            }
        }
    }
    found.sort();
    found
}

/// True when the code, comments aside, opens an unsafe block or declares something unsafe.
fn holds_unsafe(code: &str) -> bool {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    code.match_indices("unsafe").any(|(at, word)| {
        let joined = |character: char| character.is_alphanumeric() || character == '_' || character == '"';
        let after = &code[at + word.len()..];
        let alone = !code[..at].ends_with(joined) && !after.starts_with(joined);
        let follows = ["{", "(", "fn ", "impl ", "impl<", "extern ", "trait "];
        alone && follows.iter().any(|next| after.trim_start().starts_with(next))
    })
}

#[test]
fn rooms_use_only_what_the_table_allows() {
    let graph = Graph::read();
    let ours: BTreeSet<String> = graph.members().iter().map(|package| text(&package["name"])).collect();
    for name in &ours {
        let uses: BTreeSet<&str> = graph.uses(name).into_iter().filter(|used| ours.contains(*used)).collect();
        match ROOMS.iter().find(|room| room.name == name) {
            Some(room) => {
                let stray: Vec<_> = uses.iter().filter(|used| !room.may_use.contains(used)).collect();
                assert!(stray.is_empty(), "{name} uses {stray:?}; the table allows {:?}", room.may_use);
            }
            None => {
                assert!(VISITORS.contains(&name.as_str()), "{name} is in no row of the table; add the row first");
                let inside: Vec<_> = uses.iter().filter(|used| !VISITORS.contains(used)).collect();
                assert!(inside.is_empty(), "{name} looks at the house from outside, but links {inside:?}");
            }
        }
    }
    // The table is compared with something: these arrows are what the house stands on.
    assert!(graph.uses("agentosd").is_superset(&BTreeSet::from(["protocol", "policies", "sandbox"])));
}

#[test]
fn what_never_belongs_in_a_room_is_not_linked_by_a_detour() {
    let graph = Graph::read();
    for room in ROOMS.iter().filter(|room| graph.id(room.name).is_some()) {
        let reached = graph.reaches(room.name);
        let stray: Vec<_> = room.never.iter().filter(|never| reached.contains(*never)).collect();
        assert!(stray.is_empty(), "{} links {stray:?}; find the way: cargo tree -p {} -i CRATE", room.name, room.name);
    }
    assert!(graph.reaches("agentosd").contains("tokio"), "the search finds what is there");
}

#[test]
fn pure_rooms_do_no_input_or_output() {
    let doors = ["std::fs", "std::net", "std::os", "std::process", "std::env", "std::thread"];
    let pure = ["protocol/src/", "policies/src/", "trust/src/"];
    // Where the audit log is written and read.
    let files = "trust/src/log/";
    let is_pure = |path: &str| pure.iter().any(|room| path.starts_with(room)) && !path.starts_with(files);
    let mut seen = 0;
    for (path, code) in sources().iter().filter(|(path, _)| is_pure(path)) {
        seen += 1;
        // Tests may read the files that they compare with.
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let stray: Vec<_> = doors.iter().filter(|door| code.contains(*door)).collect();
        assert!(stray.is_empty(), "{path} uses {stray:?}; protocol, policies and trust are pure");
    }
    assert!(seen > 10, "only {seen} files were looked at");
}

#[test]
fn json_stays_at_the_sandboxs_border() {
    let files = sources();
    let stray = files.iter().filter(|(path, _)| path.starts_with("sandbox/src/")).filter(|(path, code)| {
        let border = ["sandbox/src/plan.rs", "sandbox/src/message/wire.rs"].contains(&path.as_str());
        !border && code.split("#[cfg(test)]").next().is_some_and(|code| code.contains("serde_json"))
    });
    let stray: Vec<_> = stray.map(|(path, _)| path).collect();
    assert!(stray.is_empty(), "{stray:?} parse JSON; only the plan and the messages that carry it do");
}

#[test]
fn unsafe_has_one_address() {
    let files = sources();
    let allowed = |path: &str| UNSAFE_ADDRESSES.iter().any(|address| path.starts_with(address));
    let stray: Vec<_> =
        files.iter().filter(|(path, code)| !allowed(path) && holds_unsafe(code)).map(|(path, _)| path).collect();
    assert!(stray.is_empty(), "unsafe code in {stray:?}; it belongs in sandbox/src/sys");
    let found = files.iter().any(|(path, code)| path.starts_with("sandbox/src/sys/") && holds_unsafe(code));
    assert!(found, "the search finds the unsafe code that is there");
}

#[test]
fn the_search_for_unsafe_sees_code_and_not_words_about_it() {
    // Written with a placeholder, or the search would find this file.
    let code = |text: &str| text.replace("U!", "unsafe");
    for text in ["U! { f() }", "pub U! fn f()", "U!\n{ f() }", "U! impl Send for X {}", "#[U!(no_mangle)]"] {
        assert!(holds_unsafe(&code(text)), "{text}");
    }
    for text in ["// U! { f() }", "#![forbid(U!_code)]", "let U!_fn = 1;", "    /// U! fn f()"] {
        assert!(!holds_unsafe(&code(text)), "{text}");
    }
}

#[test]
fn the_daemon_forbids_unsafe_and_every_room_keeps_the_lints() {
    let graph = Graph::read();
    for package in graph.members() {
        let manifest = fs::read_to_string(text(&package["manifest_path"])).expect("a member has a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} drops the workspace's lints", package["name"]);
    }
    for root in ["agentosd/src/lib.rs", "agentosd/src/main.rs"] {
        let code = fs::read_to_string(repository_root().join(root)).expect("the daemon's sources");
        assert!(code.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
    }
}

#[test]
fn every_crate_root_says_what_it_is() {
    let graph = Graph::read();
    let mut seen = 0;
    for package in graph.members() {
        for target in list(&package["targets"]) {
            let path = text(&target["src_path"]);
            let code = fs::read_to_string(Path::new(&path)).expect("a target's root file");
            assert!(code.starts_with("//!"), "{path} does not begin with a `//!` that says what it is for");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} crate roots were looked at");
}

#[test]
fn files_stay_small() {
    let lengths = sources().into_iter().map(|(path, code)| (code.lines().count(), path));
    let (long, short): (Vec<_>, Vec<_>) = lengths.partition(|(lines, _)| *lines > LONG);
    for (lines, path) in &long {
        println!("{lines:4} lines: {path}");
    }
    println!("{} files of at most {LONG} lines, {} longer", short.len(), long.len());
    let worst: Vec<_> = long.iter().filter(|(lines, _)| *lines > LONGEST).collect();
    assert!(worst.is_empty(), "longer than {LONGEST} lines, divide: {worst:?}");
}
