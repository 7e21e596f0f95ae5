//! How policies extend each other.

use std::collections::BTreeMap;
use std::error::Error;

use policies::{
    Access, Effective, Loader, OnVfsLoss, ProfileName, ResolveError, SourceText, parse, render, resolve,
    resolve_profile,
};

/// Profiles in memory.
struct Profiles(BTreeMap<&'static str, &'static str>);

impl Profiles {
    fn of(profiles: &[(&'static str, &'static str)]) -> Self {
        Self(profiles.iter().copied().collect())
    }

    fn resolve(&self, name: &str) -> Result<Effective, ResolveError> {
        resolve_profile(&name.parse().expect("a legal name"), self)
    }
}

impl Loader for Profiles {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        let found = self.0.get(name.as_str());
        Ok(found.map(|text| SourceText { origin: format!("{name}.yaml"), text: (*text).to_owned() }))
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
}

const ROOT: &str = "process: {exec: [/usr], env: [LANG, A=1], limits: {memory: 1GiB, pids: 10, files: 20}}
filesystem: [{path: /usr, access: read}, {path: /srv, access: write}]";

#[test]
fn lists_append_and_the_child_decides_about_the_same_path_variable_and_limit() {
    let profiles = Profiles::of(&[
        ("root", ROOT),
        (
            "child",
            "extends: [root]
process: {exec: [/opt], env: [A=2], limits: {pids: 5}}
filesystem: [{path: /opt, access: read}, {path: /srv, access: read}]",
        ),
    ]);
    let policy = profiles.resolve("child").expect("valid");
    let exec: Vec<String> = policy.exec.iter().map(|rule| rule.value.to_string()).collect();
    assert_eq!(exec, ["/usr", "/opt"]);
    let env: Vec<String> = policy.env.iter().map(|rule| format!("{} {}", rule.name, rule.origin)).collect();
    assert_eq!(env, ["LANG root.yaml:1", "A child.yaml:2"]);
    let srv = policy.filesystem.iter().find(|rule| rule.path.to_string() == "/srv").expect("kept once");
    assert_eq!((srv.access, srv.origin.to_string()), (Access::Read, "child.yaml:3".to_owned()));
    assert_eq!((policy.limits.pids.value, policy.limits.files.value), (5, 20));
    assert_eq!(policy.filesystem.len(), 3);
}

#[test]
fn a_profile_that_is_reached_twice_counts_once_where_it_was_first_reached() {
    let profiles = Profiles::of(&[
        ("root", ROOT),
        ("left", "extends: [root]\nprocess: {limits: {pids: 7}}"),
        ("right", "extends: [root]"),
        ("both", "extends: [left, right]"),
    ]);
    let policy = profiles.resolve("both").expect("valid");
    let sources: Vec<&str> = policy.sources.iter().map(|source| &*source.origin).collect();
    assert_eq!(sources, ["root.yaml", "left.yaml", "right.yaml", "both.yaml"]);
    assert_eq!(policy.limits.pids.value, 7, "`right` must not bring back what `left` overrode");
}

#[test]
fn circles_are_refused_with_their_way() {
    let profiles =
        Profiles::of(&[("a", "extends: [b]"), ("b", "extends: [c]"), ("c", "extends: [a]"), ("d", "extends: [d]")]);
    let message = profiles.resolve("a").expect_err("a circle").to_string();
    assert!(message.starts_with("c.yaml:1:11: `extends` goes in a circle: a → b → c → a"), "{message}");
    let message = profiles.resolve("d").expect_err("a circle").to_string();
    assert!(message.contains("d → d"), "{message}");
}

#[test]
fn a_loader_that_fails_stops_the_resolution() {
    struct Broken;
    impl Loader for Broken {
        fn load(&self, _: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
            Err("permission denied".into())
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let document = parse("p", "extends: [base]").expect("well-formed");
    let error = resolve(&document, &Broken).expect_err("nothing can be loaded");
    assert_eq!(error.to_string(), "cannot read the profile `base`");
    assert_eq!(error.source().map(ToString::to_string), Some("permission denied".to_owned()));
}

#[test]
fn the_digest_follows_the_texts_and_nothing_else() {
    let digest =
        |root, child| Profiles::of(&[("root", root), ("child", child)]).resolve("child").expect("valid").digest;
    let child = "extends: [root]";
    assert_eq!(digest(ROOT, child), digest(ROOT, child));
    assert_ne!(digest(ROOT, child), digest(ROOT, "extends: [root] "));
    let longer = "process: {limits: {memory: 1GiB, pids: 10, files: 20}} # x";
    let shorter = "process: {limits: {memory: 1GiB, pids: 10, files: 20}} # ";
    assert_ne!(digest(longer, child), digest(shorter, "extends: [root]"), "a comment is part of the text");
    let (with_line, next_line) = (format!("{ROOT}\n"), format!("\n{child}"));
    let profiles = |root: &str, child: &str| {
        let document = parse("child", child).expect("well-formed");
        resolve(&document, &One(root.to_owned())).expect("valid").digest
    };
    assert_ne!(profiles(&with_line, child), profiles(ROOT, &next_line), "where one file ends is part of the digest");
    assert_eq!(digest(ROOT, child).to_string().len(), 64);
}

#[test]
fn what_nothing_enforces_yet_is_listed_with_its_place() {
    let text = include_str!("data/security.yaml");
    let document = parse("security.yaml", text).expect("the agent-side file is valid as it stands");
    let error = resolve(&document, &Profiles::of(&[])).expect_err("alone it has no limits");
    assert!(matches!(error, ResolveError::MissingLimit { limit: "memory", .. }));

    let with_limits = format!(
        "{text}\nextends: [root]\nnetwork: [{{host: \"*.example.org\", ports: [443], methods: [GET]}}]
on_violation: {{default: deny, tripwires: SIGKILL}}\n"
    );
    let document = parse("security.yaml", &with_limits).expect("valid");
    let policy = resolve(&document, &Profiles::of(&[("root", ROOT)])).expect("valid");
    let keys: Vec<&str> =
        policy.not_enforced.iter().map(|key| key.split_once(' ').map_or(&**key, |(key, _)| key)).collect();
    assert_eq!(keys, ["`policies`", "`network`"]);
    assert_eq!(policy.not_enforced[0], "`policies` (security.yaml:10)");
    assert!(render(&policy).contains("# NOT ENFORCED by this version: `network`"));
}

#[test]
fn of_each_key_of_memory_the_later_one_stands_and_what_nobody_sets_is_not_there() {
    let profiles = Profiles::of(&[
        ("root", ROOT),
        ("memory", "extends: [root]\nmemory: {working: 64MiB, semantic: 1GiB, inodes: 100, on_vfs_loss: stop}"),
        ("child", "extends: [memory]\nmemory: {semantic: 2GiB, semantic_shared: notes, on_vfs_loss: remount}"),
    ]);
    let none = profiles.resolve("root").expect("valid").memory;
    assert_eq!((none.to_string(), none.parts().count()), ("none".to_owned(), 0));
    assert_eq!((none.inodes_of("working"), none.inodes_of("state")), (16_384, 65_536));
    assert_eq!(none.on_vfs_loss(), OnVfsLoss::Remount);
    assert_eq!(profiles.resolve("memory").expect("valid").memory.on_vfs_loss(), OnVfsLoss::Stop);
    let policy = profiles.resolve("child").expect("valid");
    assert_eq!(policy.memory.to_string(), "working 64MiB, semantic 2GiB, semantic shared as notes");
    assert_eq!(policy.memory.inodes_of("working"), 100);
    let shown = render(&policy);
    let lines: Vec<String> = shown.lines().skip_while(|line| *line != "memory:").take(6).map(words).collect();
    let expected = [
        "memory:",
        "working: 64MiB # memory.yaml:2",
        "semantic: 2GiB # child.yaml:2",
        "inodes: 100 # memory.yaml:2",
        "semantic_shared: notes # child.yaml:2",
        "on_vfs_loss: remount # child.yaml:2",
    ];
    assert_eq!(lines, expected);
}

/// A line with one space between its words.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_shared_store_needs_a_size() {
    let profiles = Profiles::of(&[("root", ROOT), ("child", "extends: [root]\nmemory: {semantic_shared: notes}")]);
    let error = profiles.resolve("child").expect_err("no bound").to_string();
    let expected = "`memory.semantic_shared` (child.yaml:2) needs a size: set `memory.semantic`, or extend `base`";
    assert_eq!(error, expected);
}

#[test]
fn the_rendered_policy_is_a_policy_that_means_the_same() {
    let names = policies::shipped_names();
    for name in names {
        let policy = resolve_profile(&name.parse().expect("legal"), &policies::Shipped).expect(name);
        let document = parse("rendered", &render(&policy)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = resolve(&document, &policies::Shipped).expect(name);
        let rules = |policy: &Effective| {
            let filesystem = policy.filesystem.iter();
            let env = policy.env.iter().map(|rule| (rule.name.clone(), rule.value.clone()));
            (
                filesystem
                    .map(|rule| (rule.path.clone(), rule.access, rule.optional, rule.tmpfs, rule.exec))
                    .collect::<Vec<_>>(),
                policy.exec.iter().map(|rule| rule.value.clone()).collect::<Vec<_>>(),
                env.collect::<Vec<_>>(),
                (policy.limits.to_string(), policy.memory.to_string()),
            )
        };
        assert_eq!(rules(&policy), rules(&again), "{name}");
    }
}

/// The same text under every name.
struct One(String);

impl Loader for One {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        Ok(Some(SourceText { origin: name.to_string(), text: self.0.clone() }))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Profiles `p0`, `p1`, …, each of which extends the next.
struct Endless;

impl Loader for Endless {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        let number: u64 = name.as_str()[1..].parse()?;
        Ok(Some(SourceText { origin: name.to_string(), text: format!("extends: [p{}]", number + 1) }))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn a_chain_without_end_is_refused() {
    let error = resolve_profile(&"p0".parse().expect("legal"), &Endless).expect_err("no end").to_string();
    assert!(error.contains("more than 64 files"), "{error}");
}

#[test]
fn what_is_shown_of_requests_means_the_same() {
    let text = "process: {limits: {memory: 1GiB, pids: 10, files: 20, cpu_time: 1h30m, actions: 7, action_rate: 60/min, repeats: 3}}
kernel: {version: \"1.0\", mode: strict}
signals: [SIGSTOP, SIGKILL]
on_violation: {default: deny, tripwires: SIGKILL, budgets: SIGSTOP, loops: deny}
policies:
  - {action: file_read, paths: [\"/data/**\", \"${workspace}/a b/*: x\", /plain], max_bytes: 1MiB, rate: 60/min, count: 3}
  - {action: \"*\", effect: deny, hosts: [\"*.example.org\", 127.0.0.1]}
  - {action: process_exec, exec: [/usr/bin/git], argv: [\"true\", \"~\", \"-1\", \"null\", \"a\\\"b\", \"...\"], requires_approval: true}
  - {action: process_exec, exec: [/usr/bin/env], argv: []}
  - {action: http_request, ports: [443], methods: [GET, POST]}
  - {action: database_query, databases: [\"yes\", \"1.0\", \"sales_*\"], mode: read_only, filters: [pii], statements: [read]}
  - {action: deploy}
actions:
  - {name: deploy, command: [/bin/d, \"\", \"a b\", \"#x\"], params: {v: {type: string, required: true, max_length: 9}, n: {type: integer}}, profile: base}
  - {name: lint, command: [/bin/l], read_only: true}
network: [{host: \"*.a.example\", ports: [443, 80], methods: [GET]}, {host: b.example, ports: [22]}]";
    let profiles = Profiles::of(&[("base", text)]);
    let policy = profiles.resolve("base").expect("valid");
    let page = render(&policy);
    let again = parse("shown.yaml", &page).unwrap_or_else(|error| panic!("{error}\nin\n{page}"));
    let again = resolve(&again, &profiles).unwrap_or_else(|error| panic!("{error}\nin\n{page}"));
    let meaning = |policy: &Effective| {
        let mediation = &policy.mediation;
        let rules = mediation.rules.iter().map(ToString::to_string);
        let network = mediation.network.iter().map(ToString::to_string);
        let actions = mediation.actions.iter().map(|action| format!("{action} {:?}", action.command));
        let mode = mediation.mode.as_ref().map(|rule| rule.value);
        let signals = mediation.signals.as_ref().map(|rule| rule.value.clone());
        let answers = [&mediation.on_violation, &mediation.on_tripwire, &mediation.on_budget, &mediation.on_loop]
            .map(|rule| rule.as_ref().map(|rule| rule.value));
        let limits = policy.limits.to_string();
        (limits, rules.chain(network).chain(actions).collect::<Vec<_>>(), mode, signals, answers)
    };
    assert_eq!(meaning(&again), meaning(&policy), "{page}");
    assert!(meaning(&policy).0.ends_with(", cpu_time 1h30m, actions 7, action_rate 60/min, repeats 3"), "{page}");
    let conditions =
        |policy: &Effective| policy.mediation.rules.iter().map(|rule| rule.conditions.argv.clone()).collect::<Vec<_>>();
    assert_eq!(conditions(&again), conditions(&policy), "{page}");
    assert!(policies::diff(&policy, &again).expect("binds").changes.is_empty());
}
