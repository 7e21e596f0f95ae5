//! Golden plans: a change in what an agent is given shows here.

use super::*;
use crate::caller::Caller;
use protocol::control::Workspace;

const POLICY: &str = r#"
process:
  exec: [/usr, "${workspace}"]
  env: [LANG, SECRET_THAT_IS_NOT_SET, "HOME=${home}"]
  limits: {memory: 1GiB, pids: 64, files: 128, cpu: 1.5, wall: 1m, output: 1MiB}
filesystem:
  - {path: /usr, access: read}
  - {path: /etc/ld.so.cache, access: read, optional: true}
  - {path: /tmp, access: write, tmpfs: 16MiB, exec: false}
  - {path: "${home}", access: write, tmpfs: 16MiB, exec: false}
  - {path: /etc/shadow, access: none}
  - {path: "${workspace}", access: write}
  - {path: "${workspace}/.git", access: write, optional: true, directory: true}
  - {path: "${workspace}/.git/hooks", access: read, optional: true}
"#;

fn decide(policy: &str, uid: u32, change: impl FnOnce(&mut Run)) -> Result<Launch, ControlError> {
    let document = policies::parse("test.yaml", policy).unwrap();
    let policy = policies::resolve(&document, &policies::Shipped).unwrap();
    let mut request: Run = serde_json::from_value(serde_json::json!({
        "command": ["sh", "-c", "true"],
        "workspace": {"path": "/home/ann/project"},
        "env": [["GIVEN", "a b"]],
        "caller_env": [["LANG", "C.UTF-8"], ["AWS_SECRET", "x"], ["TERM", "vt100"]],
    }))
    .unwrap();
    change(&mut request);
    let caller = Caller { uid, gid: uid, groups: vec![27], pid: 7 };
    let own = Own { state: "/var/lib/agentos".into(), run: "/run/agentos".into(), lacking: Vec::new() };
    let who = Identities { agent: 1_900_000_001, init: 1_900_000_000 };
    launch(&request, &AgentName::parse("coder").unwrap(), &policy, (&caller, who, &own))
}

fn owner_of(launch: &Launch) -> Option<Identity> {
    let workspace = launch.plan.view.iter().find_map(|mount| match mount {
        sandbox::plan::Mount::Workspace { owner, .. } => Some(*owner),
        _ => None,
    });
    workspace.expect("a workspace")
}

#[test]
fn a_plan_is_exactly_this() {
    let launch = decide(POLICY, 1000, |_| {}).unwrap();
    insta::assert_debug_snapshot!(launch);
}

#[test]
fn only_roots_agents_take_the_directorys_owner() {
    assert_eq!(owner_of(&decide(POLICY, 0, |_| {}).unwrap()), None);
    assert_eq!(owner_of(&decide(POLICY, 1000, |_| {}).unwrap()), Some(Identity { uid: 1000, gid: 1000 }));
}

#[test]
fn the_callers_environment_stays_outside_unless_the_policy_names_it() {
    let launch = decide(POLICY, 0, |run| run.stdio.terminal = Some(protocol::control::Window { rows: 24, cols: 80 }));
    let env = launch.unwrap().plan.process.env;
    assert_eq!(
        env,
        [
            "AGENTOS_NAME=coder",
            "GIVEN=a b",
            "HOME=/home/agent",
            "LANG=C.UTF-8",
            "LOGNAME=agent",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "TERM=vt100",
            "USER=agent"
        ]
    );
}

#[test]
fn a_read_only_workspace_is_mounted_so_and_granted_so() {
    let launch = decide(POLICY, 0, |run| {
        run.workspace = Some(Workspace { path: "/home/ann/project".into(), read_only: true });
    })
    .unwrap();
    let mounted = launch.plan.view.iter().any(|mount| {
        matches!(mount, sandbox::plan::Mount::Workspace { read_only: true, path, .. } if path.ends_with("project"))
    });
    let granted = launch.plan.rules.iter().any(|rule| rule.path.starts_with("/home/ann/project") && rule.write);
    assert!(mounted && !granted, "{launch:#?}");
}

#[test]
fn the_shorter_of_two_time_limits_holds() {
    let wall = |timeout| decide(POLICY, 0, |run| run.timeout_ms = timeout).unwrap().limits.wall_ms;
    assert_eq!((wall(None), wall(Some(500)), wall(Some(999_999))), (Some(60_000), Some(500), Some(60_000)));
}

#[test]
fn what_cannot_be_enforced_stops_the_start() {
    let network = format!("{POLICY}network: [{{host: api.example.com, ports: [443]}}]\n");
    let error = decide(&network, 0, |_| {}).unwrap_err();
    assert!(matches!(&error, ControlError::BadPolicy { message } if message.contains("network")), "{error}");
    let without = POLICY
        .replace("  - {path: \"${workspace}\", access: write}\n", "")
        .replace("  - {path: \"${workspace}/.git\", access: write, optional: true, directory: true}\n", "")
        .replace("  - {path: \"${workspace}/.git/hooks\", access: read, optional: true}\n", "")
        .replace(", \"${workspace}\"]", "]");
    assert!(
        matches!(decide(&without, 0, |_| {}), Err(ControlError::BadParameter { parameter, .. }) if parameter == "workspace")
    );
}

#[test]
fn what_execve_cannot_carry_is_refused() {
    for command in [vec![], vec![String::new()], vec!["a\0b".to_owned()]] {
        assert!(decide(POLICY, 0, |run| run.command = command).is_err());
    }
    for variable in [("", "x"), ("A=B", "x"), ("A", "x\0y")] {
        let pair = (variable.0.to_owned(), variable.1.to_owned());
        assert!(decide(POLICY, 0, |run| run.env.push(pair)).is_err(), "{variable:?}");
    }
}

#[test]
fn every_shipped_profile_builds_on_the_template_of_the_default_one() {
    let resolved = |name: &str| policies::resolve_profile(&name.parse().unwrap(), &policies::Shipped).unwrap();
    let template = template(&resolved("base"));
    assert!(template.view.len() > 20 && template.rules.len() > 10, "{template:?}");
    for name in ["base", "python", "node", "coding-agent"] {
        let mut request: Run = serde_json::from_value(serde_json::json!({"command": ["true"]})).unwrap();
        if name == "coding-agent" {
            request.workspace = Some(Workspace { path: "/home/ann/project".into(), read_only: false });
        }
        let caller = Caller { uid: 1000, gid: 1000, groups: vec![], pid: 7 };
        let own = Own { state: "/var/lib/agentos".into(), run: "/run/agentos".into(), lacking: Vec::new() };
        let who = Identities { agent: 1_900_000_001, init: 1_900_000_000 };
        let agent = AgentName::parse("coder").unwrap();
        let plan = launch(&request, &agent, &resolved(name), (&caller, who, &own)).unwrap().plan;
        for mount in &template.view {
            // Size, mode and what may be executed of a tmpfs are set at the launch.
            let same = |other: &Mount| match (mount, other) {
                (Mount::Tmpfs { path, .. }, Mount::Tmpfs { path: other, .. }) => path == other,
                (mount, other) => mount == other,
            };
            assert!(plan.view.iter().any(same), "{name} does not show {mount:?}");
        }
        let gives = |rule: &Rule, wanted: &Rule| {
            rule.path == wanted.path
                && rule.read >= wanted.read
                && rule.write >= wanted.write
                && rule.execute >= wanted.execute
        };
        for wanted in &template.rules {
            assert!(plan.rules.iter().any(|rule| gives(rule, wanted)), "{name} does not grant {wanted:?}");
        }
    }
}
