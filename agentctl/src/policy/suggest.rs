//! `policy suggest`: what an agent was refused, as lines for its policy.

use super::explain::HOME;
use super::{bad, resolve};
use crate::audit::Entry;
use crate::client::Client;
use crate::failure::{Failure, with_causes};
use crate::values::PolicyArgument;
use policies::{Denied, RequestWords, Setting, Variables};
use protocol::agent::Agent;
use protocol::audit::{Answer, Kind};
use protocol::control::{AuditLog, Denials, Inspect};
use protocol::denial::{Completeness, Denial, Layer};
use protocol::ids::AgentName;
use std::path::{Path, PathBuf};

/// What is printed: a patch, and what it does not say.
pub(super) fn suggest(
    socket: &Path,
    (name, policy): (&AgentName, Option<PolicyArgument>),
    directories: &[PathBuf],
) -> Result<String, Failure> {
    let agent = Client::connect(socket)?.call(&Inspect { name: name.clone() })?.details.agent;
    let (mut denials, mut completeness) = (Vec::new(), None);
    Client::connect(socket)?.stream(&Denials { name: name.clone(), follow: false }, |page| {
        denials.extend(page.denials);
        completeness = page.completeness.or(completeness.take());
        Ok(())
    })?;
    let (refused, unread) = match refused(socket, &agent) {
        Ok(refused) => (refused, String::new()),
        // What the kernel refused is worth something without it.
        Err(failure @ (Failure::Refused(_) | Failure::Varlink { .. })) => {
            let why = protocol::text::escape(&failure.sentence());
            (Vec::new(), format!("# Without actions, because the audit log cannot be read: {why}\n"))
        }
        Err(failure) => return Err(failure),
    };
    let given = policy.is_some();
    let policy = policy.unwrap_or_else(|| PolicyArgument::Profile(agent.policy.clone()));
    let patch = patch(&agent, (&denials, &refused), (policy, given), directories)?;
    Ok(match completeness {
        Some(Completeness::Complete { .. }) | None => format!("{unread}{patch}"),
        Some(state) => format!("# {}\n{unread}{patch}", crate::show::denial::completeness(&state)),
    })
}

/// The records of the agent's actions that were refused, or would have been.
fn refused(socket: &Path, agent: &Agent) -> Result<Vec<Entry>, Failure> {
    let mut refused = Vec::new();
    let request = AuditLog { name: Some(agent.name.clone()), ..AuditLog::default() };
    Client::connect(socket)?.stream(&request, |page| {
        for line in &page.records {
            let entry = Entry::parse(line)?;
            if is_refused(&entry, agent) {
                refused.push(entry);
            }
        }
        Ok(())
    })?;
    Ok(refused)
}

/// Reasons that another policy would not have given; what else was refused no line of a policy would have allowed.
const BY_POLICY: [&str; 5] = ["nothing_granted", "denied_by_rule", "not_in_layer", "read_only", "too_large"];

fn is_refused(entry: &Entry, agent: &Agent) -> bool {
    entry.said.as_ref().is_some_and(|said| {
        said.kind == Kind::Decision
            && said.action.is_some()
            && said.reason.as_deref().is_some_and(|reason| BY_POLICY.contains(&reason))
            && matches!(said.decision, Some(Answer::Deny | Answer::WouldDeny))
            && said.agent.as_ref().is_some_and(|of| of.id == Some(agent.id))
    })
}

fn patch(
    agent: &Agent,
    (denials, refused): (&[Denial], &[Entry]),
    (policy, given): (PolicyArgument, bool),
    directories: &[PathBuf],
) -> Result<String, Failure> {
    let policy = resolve(policy, directories)?;
    let base = resolve(PolicyArgument::Profile("base".to_owned()), directories)?;
    let workspace = agent.workspace.as_ref().map(PathBuf::from);
    let variables = Variables { workspace, home: HOME.into(), name: agent.name.as_str().to_owned() };
    let mut all: Vec<Denied> = denials.iter().map(|denial| denied(denial, &agent.policy)).collect();
    all.extend(refused.iter().filter_map(|entry| action(entry, &variables)));
    let setting = Setting { policy: &policy, base: &base, variables: &variables };
    let patch = policies::suggest(&setting, &all).map_err(bad)?;
    let changed = !given && policy.digest.to_string() != agent.policy_digest;
    let note = if changed { "# The policy has changed since the agent was started.\n" } else { "" };
    Ok(format!("{note}{patch}"))
}

/// The daemon's record in the words of the policy language.
fn denied(denial: &Denial, policy: &str) -> Denied {
    let (number, sentence) = (denial.seq, &denial.sentence);
    // What an agent's own stricter layer refused, no policy can grant.
    let by_policy = sentence.ends_with(&format!(": not granted by policy {policy}"));
    match denial.layer {
        Layer::Landlock if by_policy => Denied::kernel(number, sentence, &denial.action, denial.object.as_deref()),
        Layer::Landlock | Layer::Seccomp => Denied::ungrantable(number, sentence),
    }
}

/// The decision's record in the words of the policy language.
fn action(entry: &Entry, variables: &Variables) -> Option<Denied> {
    let said = entry.said.as_ref()?;
    let (action, number) = (said.action.as_deref()?, entry.sealed.seq);
    let reason = said.reason.as_deref().unwrap_or("denied");
    let sentence = format!("{}: {reason} (audit record)", said.attempted);
    let read = RequestWords::read(action, &said.request).and_then(|words| words.request(variables));
    Some(match read {
        Ok(request) if !said.request.is_empty() => Denied::request(number, &sentence, request),
        Ok(_) => {
            Denied::ungrantable(number, &format!("{sentence}; the record does not say exactly what was asked for"))
        }
        Err(error) => Denied::ungrantable(number, &format!("{sentence}; {}", with_causes(&error))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(seq: u64, layer: &str, action: &str, object: &str, by: &str) -> Denial {
        let sentence = format!("{action} {object}: {by}");
        serde_json::from_value(serde_json::json!({
            "seq": seq, "time_us": 1, "layer": layer, "action": action, "object": object, "sentence": sentence,
        }))
        .expect("a denial")
    }

    fn agent() -> Agent {
        serde_json::from_value(serde_json::json!({
            "name": "a", "id": 1, "state": "exited", "uid": 1, "owner": 0, "policy": "base", "policy_digest": "0",
            "command": ["true"], "workspace": "/srv/w", "created_us": 1, "not_enforced": [],
        }))
        .expect("an agent")
    }

    fn record(seq: u64, run: u64, more: &str) -> Entry {
        let prev = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let agent = format!(r#"{{"name":"a","id":{run},"uid":1,"owner":0}}"#);
        let body = format!(r#"{{"kind":"decision","agent":{agent},{more}}}"#);
        Entry::parse(&format!(r#"{{"seq":{seq},"time":1,"prev":"{prev}","body":{body}}}"#)).expect("a record")
    }

    #[test]
    fn actions_that_were_refused_in_this_run_are_suggested_from_their_records() {
        let read = r#""attempted":"file_read /data/x","action":"file_read","reason":"nothing_granted""#;
        let denied = |words: &str| format!(r#"{read},"decision":"deny","request":[{words}]"#);
        let entries = [
            record(7, 1, &denied(r#""path=/data/x""#)),
            record(8, 1, &format!(r#"{read},"decision":"allow","request":["path=/data/a"]"#)),
            record(9, 2, &denied(r#""path=/data/b""#)),
            record(10, 1, &denied("")),
            record(11, 1, &format!(r#"{read},"decision":"would_deny","request":["path=/srv/w/y"]"#)),
        ];
        let refused: Vec<Entry> = entries.into_iter().filter(|entry| is_refused(entry, &agent())).collect();
        let policy = (PolicyArgument::Profile("base".to_owned()), true);
        let shown = patch(&agent(), (&[], &refused), policy, &[]).expect("a patch");
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("  - ")).collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(lines[0].contains("file_read") && lines[0].contains("/data/x"), "{shown}");
        assert!(lines[1].contains("${workspace}/y"), "{shown}");
        assert!(shown.contains("# 7: file_read /data/x: nothing_granted (audit record)"), "{shown}");
        assert!(shown.contains("#   10: ") && shown.contains("does not say exactly"), "{shown}");
    }

    #[test]
    fn only_what_the_policy_refused_is_suggested_and_a_changed_policy_is_told() {
        let agent = agent();
        let denials = [
            denial(1, "landlock", "read", "/opt/x", "not granted by policy base"),
            denial(2, "landlock", "read", "/opt/y", "refused by a Landlock domain that was made inside the agent"),
            denial(3, "seccomp", "read", "/opt/z", "system call refused by seccomp (all policies)"),
            denial(4, "landlock", "read", "/etc/shadow", "not granted by policy base"),
        ];
        let base = || PolicyArgument::Profile("base".to_owned());
        let shown = patch(&agent, (&denials, &[]), (base(), false), &[]).expect("a patch");
        assert!(shown.starts_with("# The policy has changed since"), "{shown}");
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("  - ")).collect();
        assert_eq!(lines, ["  - {path: /opt/x, access: read}"], "{shown}");
        assert!(!patch(&agent, (&denials, &[]), (base(), true), &[]).expect("a patch").contains("has changed"));
    }
}
