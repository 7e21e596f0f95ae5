//! One agent's paths in a policy.

use std::path::{Path, PathBuf};

use policies::{Access, BindError, Bound, BoundFs, Content, Shipped, Variables, parse, resolve, resolve_profile};

const LIMITS: &str = "process: {limits: {memory: 1GiB, pids: 10, files: 20}";

fn variables(workspace: Option<&str>) -> Variables {
    Variables { workspace: workspace.map(PathBuf::from), home: "/home/agent".into(), name: "a1".to_owned() }
}

/// Binds a policy of these exec paths and filesystem rules.
fn bind(exec: &str, filesystem: &str, workspace: Option<&str>) -> Result<Bound, BindError> {
    let text = format!("{LIMITS}, exec: [{exec}]}}\nfilesystem: [{filesystem}]\n");
    let document = parse("p", &text).unwrap_or_else(|error| panic!("{error}"));
    resolve(&document, &Shipped).expect("valid").bind(&variables(workspace))
}

fn shipped(name: &str, workspace: Option<&str>) -> Bound {
    let policy = resolve_profile(&name.parse().expect("legal"), &Shipped).unwrap_or_else(|error| panic!("{error}"));
    policy.bind(&variables(workspace)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn at<'a>(bound: &'a Bound, path: &str) -> &'a BoundFs {
    bound.filesystem.iter().find(|rule| rule.path == Path::new(path)).unwrap_or_else(|| panic!("no rule at {path}"))
}

#[test]
fn every_shipped_profile_binds_with_and_without_a_workspace() {
    for name in policies::shipped_names() {
        for workspace in [None, Some("/srv/work"), Some("/tmp/work"), Some("/root/project")] {
            let bound = shipped(name, workspace);
            assert_eq!(bound.not_enforced.first(), None, "{name} promises what nothing enforces, so no agent starts");
            for (position, rule) in bound.filesystem.iter().enumerate() {
                let hidden = bound.filesystem[position + 1..].iter().find(|later| rule.path.starts_with(&later.path));
                assert_eq!(hidden, None, "{name}: {} would be hidden", rule.path.display());
            }
        }
    }
}

#[test]
fn no_shipped_profile_grants_what_no_program_needs() {
    for name in policies::shipped_names() {
        let bound = shipped(name, Some("/srv/work"));
        for path in [
            "/etc/shadow",
            "/etc/passwd",
            "/etc/ssl/private/key.pem",
            "/etc/ssh/ssh_config",
            "/root",
            "/root/.ssh/id_rsa",
            "/root/.ssh/other",
            "/home/user/.aws/credentials",
            "/var/lib/agentos/audit.log",
            "/run/dbus/system_bus_socket",
            "/var/run/docker.sock",
            "/boot",
            "/sys/kernel",
            "/srv",
            "/srv/other",
            "/home/agent/.ssh/id_ed25519",
        ] {
            let granted = bound.rule_for(Path::new(path)).filter(|rule| rule.access != Access::None);
            assert_eq!(granted, None, "{name} grants {path}");
        }
        // The control: what they do need is granted.
        for path in
            ["/usr/bin/env", "/lib64/ld-linux-x86-64.so.2", "/etc/ssl/certs/ca-certificates.crt", "/etc/localtime"]
        {
            assert_eq!(bound.rule_for(Path::new(path)).map(|rule| rule.access), Some(Access::Read), "{name}: {path}");
        }
        let writable =
            bound.filesystem.iter().filter(|rule| rule.access == Access::Write && rule.content == Content::Host);
        for rule in writable {
            assert!(rule.path.starts_with("/srv/work"), "{name} writes {}", rule.path.display());
        }
    }
}

#[test]
fn every_rule_of_a_shipped_profile_has_a_comment_that_says_why() {
    for name in policies::shipped_names() {
        let text = policies::shipped(&name.parse().expect("legal")).expect("shipped").text;
        let mut explained = false;
        for (line, words) in text.lines().map(str::trim).enumerate() {
            let rule = words.starts_with("- ") || (words.contains(": ") && !words.starts_with("extends"));
            assert!(words.starts_with('#') || !rule || explained, "{name}:{}: {words}", line + 1);
            // A comment covers the rules up to the next empty line or key.
            explained = words.starts_with('#') || (explained && rule);
        }
    }
}

#[test]
fn the_longest_path_decides() {
    let bound = bind("", "{path: /a, access: write}, {path: /a/b, access: read}, {path: /a/b/c, access: none}", None);
    let bound = bound.expect("valid");
    for (path, access) in
        [("/a", Access::Write), ("/a/bb", Access::Write), ("/a/b/x", Access::Read), ("/a/b/c/d", Access::None)]
    {
        assert_eq!(bound.rule_for(Path::new(path)).map(|rule| rule.access), Some(access), "{path}");
    }
    assert_eq!(bound.rule_for(Path::new("/ab")), None);
    assert_eq!(at(&bound, "/a/b").inherited, Access::Write, "Landlock alone would still let it write");
    assert_eq!(at(&bound, "/a/b").anchor.as_deref(), Some(Path::new("/a")), "an agent may have put a link at /a/b");
    assert_eq!(at(&bound, "/a").anchor, None);
}

#[test]
fn without_a_workspace_its_rules_fall_away_and_are_listed() {
    let with = shipped("coding-agent", Some("/srv/work"));
    assert_eq!(at(&with, "/srv/work/.git/hooks").access, Access::Read);
    assert_eq!(at(&with, "/srv/work/.git").access, Access::Write);
    assert!(with.exec.contains(&PathBuf::from("/srv/work")));
    assert!(with.dropped.is_empty());
    let without = shipped("coding-agent", None);
    assert!(without.filesystem.iter().all(|rule| rule.content != Content::Host || rule.access != Access::Write));
    assert!(
        without.dropped.iter().any(|rule| rule.starts_with("`${workspace}` (coding-agent")),
        "{:?}",
        without.dropped
    );
}

#[test]
fn a_workspace_that_is_lent_for_reading_is_written_nowhere() {
    let bound = shipped("coding-agent", Some("/srv/work")).read_only_beneath(Path::new("/srv/work"));
    assert!(bound.filesystem.iter().all(|rule| rule.content != Content::Host || rule.access <= Access::Read));
    assert_eq!(at(&bound, "/tmp").access, Access::Write, "its own scratch space stays");
}

#[test]
fn a_workspace_that_swallows_or_reopens_what_a_rule_names_is_refused() {
    let policy = resolve_profile(&"coding-agent".parse().expect("legal"), &Shipped).expect("valid");
    for wide in ["/usr", "/etc", "/etc/ssl", "/root", "/tmp", "/home", "/home/agent", "/run"] {
        let refused = policy.bind(&variables(Some(wide)));
        assert!(matches!(refused, Err(BindError::WorkspaceTooWide { .. })), "{wide}: {refused:?}");
    }
    let refused = policy.bind(&variables(Some("/root/.ssh/keys")));
    assert!(matches!(refused, Err(BindError::WorkspaceNotGranted { .. })), "{refused:?}");
    for impossible in ["/", "work", "/srv/../etc", "/proc/1/root", "/dev/shm/x"] {
        let refused = policy.bind(&variables(Some(impossible)));
        assert!(matches!(refused, Err(BindError::Variable { .. })), "{impossible}: {refused:?}");
    }
    assert!(policy.bind(&variables(Some("/srv/work/"))).is_ok(), "a trailing slash changes nothing");
}

#[test]
fn placeholders_are_directories_only_where_others_lie_in_them() {
    let bound = shipped("base", None);
    assert_eq!(at(&bound, "/root/.ssh").content, Content::PlaceholderDirectory);
    assert_eq!(at(&bound, "/root/.ssh/id_rsa").content, Content::PlaceholderFile);
    assert_eq!(at(&bound, "/etc/shadow").content, Content::PlaceholderFile);
    assert_eq!(at(&bound, "/root/.ssh").inherited, Access::None);
    assert_eq!(at(&bound, "/home/agent/.ssh").inherited, Access::Write, "it lies in the agent's own home");
}

#[test]
fn a_mount_is_noexec_unless_something_in_it_may_run() {
    let base = shipped("base", None);
    for (path, exec) in
        [("/usr", true), ("/lib64", true), ("/tmp", false), ("/etc/ssl/certs", false), ("/home/agent", false)]
    {
        assert_eq!(at(&base, path).exec, exec, "{path}");
    }
    let coding = shipped("coding-agent", Some("/srv/work"));
    for path in ["/srv/work", "/srv/work/.git/hooks", "/tmp", "/home/agent"] {
        assert!(at(&coding, path).exec, "{path}");
    }
    assert!(!at(&coding, "/var/tmp").exec);

    let inside = bind("/a/bin", "{path: /a, access: read}", None).expect("valid");
    assert!(at(&inside, "/a").exec, "the mount must let /a/bin run; Landlock keeps the rest from it");
    let narrowed =
        bind("/a", "{path: /a, access: read}, {path: /a/data, access: write, exec: false}", None).expect("valid");
    assert_eq!((at(&narrowed, "/a").exec, at(&narrowed, "/a/data").exec), (true, false));
    let child_wins = bind("/a", "{path: /a, access: read, exec: false}", None).expect("valid");
    assert_eq!((at(&child_wins, "/a").exec, child_wins.exec), (false, Vec::new()));
}

#[test]
fn execution_that_no_layer_could_express_is_refused() {
    let refused = bind("/nowhere", "{path: /a, access: read}", None);
    assert!(matches!(refused, Err(BindError::ExecNotGranted { .. })), "{refused:?}");
    let rules = "{path: /a, access: read}, {path: /a/b, access: read, exec: false}";
    let refused = bind("/a, /a/b/c", rules, None);
    assert!(matches!(refused, Err(BindError::ExecWithinNoExec { .. })), "{refused:?}");
    let allowed = bind("/a, /a/b/c", &format!("{rules}, {{path: /a/b/c, access: read}}"), None).expect("its own mount");
    assert_eq!((at(&allowed, "/a/b").exec, at(&allowed, "/a/b/c").exec), (false, true));
}

#[test]
fn the_environment_takes_values_and_leaves_the_callers_to_the_caller() {
    let bound = shipped("coding-agent", Some("/srv/work"));
    let value = |name: &str| bound.env.iter().find(|env| env.name.as_str() == name).map(|env| env.value.clone());
    assert_eq!(value("HOME"), Some(Some("/home/agent".to_owned())));
    assert_eq!(value("LANG"), Some(None));
    assert_eq!(value("LD_PRELOAD"), None);
    assert!(value("PATH").flatten().is_some_and(|path| path.starts_with("/home/agent/.local/bin:/usr/local/sbin:")));
}
