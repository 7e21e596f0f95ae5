//! `inspect`: everything, under headings.

use super::amount::bytes;
use super::{Look, command_line, denial, how_it_ended, time};
use protocol::agent::{Details, Limits, Usage};
use protocol::text::escape;

/// Columns of a label.
const LABEL: usize = 14;

/// The page for one agent: what it is, what binds it, what it uses, what it can see.
pub(crate) fn page(details: &Details, look: Look) -> String {
    let mut page = Page { text: String::new(), look };
    agent(&mut page, details);
    policy(&mut page, details);
    page.heading("use and limits");
    for (label, value) in amounts(details.usage.as_ref(), &details.limits) {
        page.line(label, &value);
    }
    page.heading("denials");
    page.indented(&denial::completeness(&details.denial_log));
    page.heading("on the host");
    let agent = &details.agent;
    page.line("uid", &format!("{} (asked for by uid {})", agent.uid, agent.owner));
    page.list("cgroups", &details.cgroups);
    if !details.execs.is_empty() {
        page.list("execs", &details.execs.iter().map(|exec| exec.0.to_string()).collect::<Vec<_>>());
    }
    page.heading("environment");
    page.words(&details.environment);
    page.heading("sees");
    let mut accesses: Vec<_> = details.view.iter().map(|seen| access(seen).0).collect();
    // What may be written first: it is what one looks for.
    accesses.sort_unstable_by(|a, b| b.cmp(a));
    accesses.dedup();
    for word in accesses {
        let paths = details.view.iter().map(|seen| access(seen)).filter(|(own, _)| *own == word);
        page.list(&escape(word), &paths.map(|(_, path)| path.to_owned()).collect::<Vec<_>>());
    }
    page.text
}

/// `read /usr`: the access, and the path.
fn access(seen: &str) -> (&str, &str) {
    seen.split_once(' ').unwrap_or(("", seen))
}

fn agent(page: &mut Page, details: &Details) {
    let agent = &details.agent;
    page.heading("agent");
    page.line("name", agent.name.as_str());
    page.line("id", &agent.id.to_string());
    page.line("state", super::agent::state(agent.state).0);
    if let Some(why) = &agent.review {
        page.line("stopped for", &escape(why));
    }
    if let Some(pid) = agent.pid {
        page.line("pid", &pid.to_string());
    }
    page.line("command", &command_line(&agent.command));
    if let Some(workspace) = &agent.workspace {
        page.line("workspace", &escape(workspace));
    }
    page.line("created", &time::utc(agent.created_us));
    if let Some(ended) = agent.ended_us {
        page.line("ended", &time::utc(ended));
    }
    if let Some(exit) = &agent.exit {
        page.line("exit", &how_it_ended(exit));
    }
}

fn policy(page: &mut Page, details: &Details) {
    page.heading("policy");
    page.line("name", &escape(&details.agent.policy));
    page.line("sha256", &escape(&details.agent.policy_digest));
    page.list("from", &details.policy_sources);
    if !details.agent.not_enforced.is_empty() {
        page.list("NOT ENFORCED", &details.agent.not_enforced);
    }
}

struct Page {
    text: String,
    look: Look,
}

impl Page {
    fn heading(&mut self, text: &str) {
        let heading = text.to_uppercase();
        let heading = if self.look.colour { format!("\x1b[1m{heading}\x1b[0m") } else { heading };
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text.push_str(&format!("{gap}{heading}\n"));
    }

    fn line(&mut self, label: &str, value: &str) {
        self.text.push_str(&format!("  {label:<LABEL$}{value}\n"));
    }

    fn indented(&mut self, value: &str) {
        self.text.push_str(&format!("  {value}\n"));
    }

    fn list(&mut self, label: &str, values: &[String]) {
        for (index, value) in values.iter().enumerate() {
            self.line(if index == 0 { label } else { "" }, &escape(value));
        }
    }

    /// Short words, as many on a line as the terminal has room for; elsewhere one a line.
    fn words(&mut self, words: &[String]) {
        let room = self.look.width.map_or(0, |width| usize::from(width.saturating_sub(2)));
        let mut line = String::new();
        for word in words {
            let word = escape(word);
            if !line.is_empty() && line.len() + 1 + word.len() > room {
                self.indented(&std::mem::take(&mut line));
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(&word);
        }
        if !line.is_empty() {
            self.indented(&line);
        }
    }
}

/// A row an amount: what is used, as long as it lives, and the bound.
fn amounts(usage: Option<&Usage>, limits: &Limits) -> [(&'static str, String); 6] {
    let unbound = || "no limit".to_owned();
    let of = |used: Option<String>, limit: Option<String>| match (used, limit) {
        (Some(used), Some(limit)) => format!("{used} of {limit}"),
        (Some(used), None) => format!("{used}, no limit"),
        (None, limit) => limit.unwrap_or_else(unbound),
    };
    let cpu =
        limits.cpu_milli.map_or_else(unbound, |milli| format!("{}.{:03} processors", milli / 1_000, milli % 1_000));
    let seconds = |ms: u64| format!("{}.{:03} s", ms / 1_000, ms % 1_000);
    let cpu = match (usage.map(|usage| seconds(usage.cpu_us / 1_000)), limits.cpu_time_ms.map(seconds)) {
        (Some(used), Some(most)) => format!("{cpu}, {used} of {most} used"),
        (Some(used), None) => format!("{cpu}, {used} used"),
        (None, Some(most)) => format!("{cpu}, for {most}"),
        (None, None) => cpu,
    };
    [
        ("memory", of(usage.map(|usage| bytes(usage.memory_bytes)), Some(bytes(limits.memory_bytes)))),
        ("processes", of(usage.map(|usage| usage.pids.to_string()), Some(limits.pids.to_string()))),
        ("cpu", cpu),
        ("wall time", limits.wall_ms.map_or_else(unbound, seconds)),
        ("output", of(usage.map(|usage| bytes(usage.output_bytes)), limits.output_bytes.map(bytes))),
        ("open files", format!("{} in each process", limits.files)),
    ]
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
            cpu_time_ms: None,
        };
        let of = |usage: Option<&Usage>| amounts(usage, &given).map(|(label, value)| format!("{label}: {value}"));
        let none = "wall time: no limit";
        let files = "open files: 1024 in each process";
        assert_eq!(
            of(None),
            ["memory: 1.0 GiB", "processes: 64", "cpu: 2.000 processors", none, "output: no limit", files]
        );
        let used = Usage { memory_bytes: 1 << 20, pids: 3, cpu_us: 1_234_567, output_bytes: 5 };
        assert_eq!(
            of(Some(&used)),
            [
                "memory: 1.0 MiB of 1.0 GiB",
                "processes: 3 of 64",
                "cpu: 2.000 processors, 1.234 s used",
                none,
                "output: 5 B, no limit",
                files
            ]
        );
    }

    #[test]
    fn names_of_variables_fill_the_lines_of_a_terminal_and_of_nothing_else() {
        let words: Vec<String> = ["PATH", "HOME", "TERM\n"].map(str::to_owned).into();
        let shown = |width| {
            let mut page = Page { text: String::new(), look: Look { colour: false, width } };
            page.words(&words);
            page.text
        };
        assert_eq!(shown(Some(12)), "  PATH HOME\n  TERM\\u{a}\n");
        assert_eq!(shown(None), "  PATH\n  HOME\n  TERM\\u{a}\n");
    }
}
