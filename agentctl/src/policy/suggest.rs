//! `policy suggest`: what an agent was refused, as lines for its policy.

use super::explain::HOME;
use super::{bad, resolve};
use crate::client::Client;
use crate::failure::Failure;
use crate::values::PolicyArgument;
use policies::{Denied, Setting, Variables};
use protocol::agent::Agent;
use protocol::control::{Denials, Inspect};
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
    let given = policy.is_some();
    let policy = policy.unwrap_or_else(|| PolicyArgument::Profile(agent.policy.clone()));
    let patch = patch(&agent, &denials, (policy, given), directories)?;
    Ok(match completeness {
        Some(Completeness::Complete { .. }) | None => patch,
        Some(state) => format!("# {}\n{patch}", crate::show::denial::completeness(&state)),
    })
}

fn patch(
    agent: &Agent,
    denials: &[Denial],
    (policy, given): (PolicyArgument, bool),
    directories: &[PathBuf],
) -> Result<String, Failure> {
    let policy = resolve(policy, directories)?;
    let base = resolve(PolicyArgument::Profile("base".to_owned()), directories)?;
    let workspace = agent.workspace.as_ref().map(PathBuf::from);
    let variables = Variables { workspace, home: HOME.into(), name: agent.name.as_str().to_owned() };
    let denied: Vec<Denied> = denials.iter().map(|denial| denied(denial, &agent.policy)).collect();
    let setting = Setting { policy: &policy, base: &base, variables: &variables };
    let patch = policies::suggest(&setting, &denied).map_err(bad)?;
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

    #[test]
    fn only_what_the_policy_refused_is_suggested_and_a_changed_policy_is_told() {
        let agent: Agent = serde_json::from_value(serde_json::json!({
            "name": "a", "id": 1, "state": "exited", "uid": 1, "owner": 0, "policy": "base", "policy_digest": "0",
            "command": ["true"], "workspace": "/srv/w", "created_us": 1, "not_enforced": [],
        }))
        .expect("an agent");
        let denials = [
            denial(1, "landlock", "read", "/opt/x", "not granted by policy base"),
            denial(2, "landlock", "read", "/opt/y", "refused by a Landlock domain that was made inside the agent"),
            denial(3, "seccomp", "read", "/opt/z", "system call refused by seccomp (all policies)"),
            denial(4, "landlock", "read", "/etc/shadow", "not granted by policy base"),
        ];
        let base = || PolicyArgument::Profile("base".to_owned());
        let shown = patch(&agent, &denials, (base(), false), &[]).expect("a patch");
        assert!(shown.starts_with("# The policy has changed since"), "{shown}");
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("  - ")).collect();
        assert_eq!(lines, ["  - {path: /opt/x, access: read}"], "{shown}");
        assert!(!patch(&agent, &denials, (base(), true), &[]).expect("a patch").contains("has changed"));
    }
}
