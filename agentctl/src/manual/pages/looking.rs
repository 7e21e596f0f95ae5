//! Commands that show agents and what they did.

use super::{ASKING, LIVE, Page, RECORDS, SOCKET};

const COLOURED: &[&str] = &["AGENTOS_SOCKET", "NO_COLOR"];

pub(super) const PS: Page = Page {
    more: &[
        "On a terminal the command is cut to its width. Below the table stand layers that are not enforced on this \
         kernel, and why agentosd has stopped an agent by itself.",
    ],
    codes: &["0", "1", "2", "69"],
    variables: COLOURED,
    examples: &[
        ("Those that live, every second:", "agentctl ps --watch"),
        (
            "Names of those that have ended:",
            "agentctl ps --all --json | jq -r '.[] | select(.state == \"exited\").name'",
        ),
    ],
    also: &["agentctl-inspect(1)", "agentctl-events(1)"],
    ..ASKING
};

pub(super) const INSPECT: Page = Page {
    variables: COLOURED,
    files: &[SOCKET, LIVE],
    examples: &[
        ("Everything about an agent:", "agentctl inspect coder"),
        ("Only its state:", "agentctl inspect --json coder | jq -r .agent.state"),
    ],
    also: &["agentctl-ps(1)", "agentctl-policy-show(1)"],
    ..ASKING
};

pub(super) const LOGS: Page = Page {
    more: &["To a terminal, control characters are shown and not obeyed, unless --raw is given."],
    files: &[SOCKET, RECORDS],
    examples: &[
        ("Follow it:", "agentctl logs -f coder"),
        ("What it complained about, with times:", "agentctl logs --timestamps --stderr-only coder"),
    ],
    also: &["agentctl-attach(1)", "agentctl-events(1)"],
    ..ASKING
};

pub(super) const EVENTS: Page = Page {
    more: &[
        "Starts, signals and what came of them, further commands, violations, ends, removals: who asked, and when.",
    ],
    codes: &["0", "1", "2", "69"],
    examples: &[
        ("Of one agent, as they come:", "agentctl events -f coder"),
        (
            "Commands that could not be started:",
            "agentctl events --json | jq '.[] | select(.event == \"exec_failed\")'",
        ),
        ("Forbidden acts and spent budgets:", "agentctl events --json | jq '.[] | select(.event == \"violation\")'"),
    ],
    also: &["agentctl-denials(1)", "agentctl-logs(1)"],
    ..ASKING
};

pub(super) const DENIALS: Page = Page {
    more: &[
        "What Landlock and seccomp refused, from the kernel's own log. The last sentence tells whether the list is \
         whole. It needs Linux 6.15; agentctl-doctor(1) says what this host has.",
    ],
    files: &[SOCKET, RECORDS],
    examples: &[
        ("What an agent tried:", "agentctl denials coder"),
        ("Paths only:", "agentctl denials --json coder | jq -r '.denials[].object'"),
    ],
    also: &["agentctl-doctor(1)", "agentctl-events(1)", "agentos-policy(5)"],
    ..ASKING
};
