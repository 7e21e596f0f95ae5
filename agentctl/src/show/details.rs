//! `inspect`: everything, under headings.

use super::amount::bytes;
use super::{Look, command_line, denial, how_it_ended, time};
use protocol::agent::{Details, Limits, Usage};
use protocol::text::escape;

/// The page for one agent.
pub(crate) fn page(details: &Details, look: Look) -> String {
    let mut page = Page { text: String::new(), look };
    overview(&mut page, details);
    page.line("denials", &denial::completeness(&details.denial_log));
    if !details.agent.not_enforced.is_empty() {
        page.list("not enforced", &details.agent.not_enforced);
    }
    if let Some(why) = &details.agent.review {
        page.line("stopped for", &escape(why));
    }
    if let Some(usage) = &details.usage {
        page.line("use", &used(usage, &details.limits));
    }
    page.line("limits", &limits(&details.limits));
    page.list("policy from", &details.policy_sources);
    page.list("cgroups", &details.cgroups);
    page.list("environment", &details.environment);
    if !details.execs.is_empty() {
        page.list("execs", &details.execs.iter().map(|exec| exec.0.to_string()).collect::<Vec<_>>());
    }
    page.list("sees", &details.view);
    page.text
}

fn overview(page: &mut Page, details: &Details) {
    let agent = &details.agent;
    page.line("name", agent.name.as_str());
    page.line("id", &agent.id.to_string());
    page.line("state", super::agent::state(agent.state).0);
    if let Some(pid) = agent.pid {
        page.line("pid", &pid.to_string());
    }
    page.line("command", &command_line(&agent.command));
    if let Some(workspace) = &agent.workspace {
        page.line("workspace", &escape(workspace));
    }
    page.line("policy", &format!("{} (sha256 {})", escape(&agent.policy), escape(&agent.policy_digest)));
    page.line("uid", &format!("{} (asked for by uid {})", agent.uid, agent.owner));
    page.line("created", &time::utc(agent.created_us));
    if let Some(ended) = agent.ended_us {
        page.line("ended", &time::utc(ended));
    }
    if let Some(exit) = &agent.exit {
        page.line("exit", &how_it_ended(exit));
    }
}

struct Page {
    text: String,
    look: Look,
}

impl Page {
    fn line(&mut self, label: &str, value: &str) {
        let label = format!("{:<14}", format!("{label}:"));
        let label = if self.look.colour { format!("\x1b[1m{label}\x1b[0m") } else { label };
        self.text.push_str(&format!("{label}{value}\n"));
    }

    fn list(&mut self, label: &str, values: &[String]) {
        match values.split_first() {
            None => self.line(label, "none"),
            Some((first, rest)) => {
                self.line(label, &escape(first));
                for value in rest {
                    self.text.push_str(&format!("{:14}{}\n", "", escape(value)));
                }
            }
        }
    }
}

fn used(usage: &Usage, limits: &Limits) -> String {
    format!(
        "memory {} of {}, {} of {} processes, {} ms of CPU, {} of output",
        bytes(usage.memory_bytes),
        bytes(limits.memory_bytes),
        usage.pids,
        limits.pids,
        usage.cpu_us / 1_000,
        bytes(usage.output_bytes)
    )
}

fn limits(limits: &Limits) -> String {
    let none = || "none".to_owned();
    format!(
        "memory {}, processes {}, cpu {}, wall {}, output {}, open files {}",
        bytes(limits.memory_bytes),
        limits.pids,
        limits.cpu_milli.map_or_else(none, |milli| format!("{}.{:03}", milli / 1_000, milli % 1_000)),
        limits.wall_ms.map_or_else(none, |ms| format!("{}.{:03} s", ms / 1_000, ms % 1_000)),
        limits.output_bytes.map_or_else(none, bytes),
        limits.files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_not_set_say_so() {
        let given = Limits {
            memory_bytes: 1 << 30,
            pids: 64,
            cpu_milli: Some(2_000),
            wall_ms: None,
            output_bytes: None,
            files: 1024,
        };
        assert_eq!(limits(&given), "memory 1.0 GiB, processes 64, cpu 2.000, wall none, output none, open files 1024");
    }
}
