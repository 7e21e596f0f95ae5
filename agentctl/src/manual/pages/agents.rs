//! Commands that start, hold and end agents.

use super::{ASKING, LIVE, POLICIES, Page, RECORDS, SOCKET};

const OWN: Option<&str> =
    Some("That of the command. Otherwise, with a sentence on standard error that begins with \"agentctl:\":");
const STATE: &[&str] = &["0", "1", "2", "3", "4", "69"];
const OTHERS: &[&str] = &["agentctl-kill(1)", "agentctl-stop(1)", "agentctl-cont(1)", "signal(7)"];

pub(super) const RUN: Page = Page {
    more: &[
        "In the foreground it behaves like the command itself: its three streams, its exit status, signals and job \
         control are passed on. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 go to the main process; Ctrl-Z \
         stops every process of the agent. When agentctl goes away without detaching, the agent is hung up.",
        "The agent sees what its policy names and the workspace, at its own path. Of the caller's environment it gets \
         the variables that the policy names; --env adds to them.",
    ],
    own_status: OWN,
    codes: &["1", "2", "5", "6", "7", "69", "124", "125", "126", "127", "128+N"],
    variables: &["AGENTOS_SOCKET", "TERM"],
    files: &[SOCKET, POLICIES, LIVE],
    examples: &[
        ("A shell in a workspace, with a terminal:", "agentctl run --policy coding-agent --workspace . -t -- bash"),
        (
            "In the background, under a name:",
            "agentctl run --name tests --detach --workspace . --policy coding-agent -- make check",
        ),
        (
            "For ten minutes at most, with a policy of one's own, and no records afterwards:",
            "sudo agentctl run --rm --timeout 10m --policy ./mine.yaml -- ./agent",
        ),
    ],
    also: &["agentctl-attach(1)", "agentctl-exec(1)", "agentctl-wait(1)", "agentos-policy(5)", "agentos-memory(7)"],
};

pub(super) const EXEC: Page = Page {
    more: &["The command has the agent's user, root, namespaces, limits and rules, and ends with it at the latest."],
    own_status: OWN,
    codes: &["1", "2", "3", "4", "69", "125", "126", "127", "128+N"],
    variables: &["AGENTOS_SOCKET", "TERM"],
    examples: &[
        ("A shell beside a running agent:", "agentctl exec -t coder -- bash"),
        ("Its processes, as it sees them:", "agentctl exec coder -- ps ax"),
    ],
    also: &["agentctl-run(1)", "agentctl-attach(1)"],
    ..ASKING
};

pub(super) const ATTACH: Page = Page {
    more: &[
        "One client at a time is attached. SIGINT, SIGQUIT, SIGUSR1 and SIGUSR2 go to the agent; SIGTERM and SIGHUP end \
         the client alone. With a terminal, Ctrl-P Ctrl-Q leaves the agent running.",
    ],
    own_status: Some("That of the agent, when it ends; 0 when it was left. Otherwise:"),
    codes: &["1", "2", "3", "4", "69", "128+N"],
    examples: &[
        ("Come back to an agent that was left with Ctrl-P Ctrl-Q:", "agentctl attach coder"),
        ("Watch it, without any signal of ours:", "agentctl attach --no-signals coder"),
    ],
    also: &["agentctl-run(1)", "agentctl-logs(1)"],
    ..ASKING
};

pub(super) const KILL: Page = Page {
    more: &[
        "KILL returns when no process of the agent is left, STOP when every one is stopped; the others are delivered to \
         the main process. The five real-time signals that Agent OS keeps for itself are refused.",
    ],
    codes: &["0", "1", "2", "3", "4", "7", "69"],
    examples: &[
        ("Ask it to end, and kill it ten seconds later:", "agentctl kill --grace 10s coder"),
        ("End everything at once:", "agentctl kill -9 --all"),
    ],
    also: &["agentctl-stop(1)", "agentctl-wait(1)", "signal(7)"],
    ..ASKING
};

pub(super) const STOP: Page = Page {
    more: &[
        "It is a real SIGSTOP for every process, beneath a frozen control group: none escapes, none goes on by itself.",
    ],
    codes: STATE,
    examples: &[("Hold an agent to look at what it has done:", "agentctl stop coder")],
    also: OTHERS,
    ..ASKING
};

pub(super) const CONT: Page =
    Page { codes: STATE, examples: &[("Let it go on:", "agentctl cont coder")], also: OTHERS, ..ASKING };

pub(super) const WAIT: Page = Page {
    own_status: Some("That of the first agent whose status is not 0. Otherwise:"),
    codes: &["0", "1", "2", "3", "69", "124", "128+N"],
    examples: &[
        ("Until two agents have ended:", "agentctl wait tests docs"),
        ("For a minute at most:", "agentctl wait --timeout 1m tests"),
    ],
    also: &["agentctl-run(1)", "agentctl-logs(1)"],
    ..ASKING
};

pub(super) const RM: Page = Page {
    more: &["What the name remembers stays; agentctl-memory-rm(1) removes that."],
    codes: STATE,
    files: &[SOCKET, RECORDS],
    examples: &[
        ("The records of an agent that has ended:", "agentctl rm tests"),
        ("Of one that may still live:", "agentctl rm -f tests"),
    ],
    also: &["agentctl-kill(1)", "agentctl-memory-rm(1)"],
    ..ASKING
};
