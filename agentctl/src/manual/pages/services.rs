//! Commands about agents that have files of their own.

use super::{AGENTS, ASKING, Page, SOCKET};

const RELATED: &[&str] =
    &["agentctl-services(1)", "agentctl-services-reload(1)", "agentctl-services-start(1)", "agentos-agent(5)"];

pub(super) const SERVICES: Page = Page {
    more: &[
        "An agent with a file in /etc/agentos/agents.d starts with agentosd, and what the file says follows its end. Root \
         sees all of them, others those that run in their name. Below the table stands what is wrong with files.",
        "Such an agent is watched, stopped and killed as any other is. One that an operator has ended (kill with KILL, TERM, \
         INT or QUIT, or rm -f) is not started again by itself.",
    ],
    codes: &["0", "1", "2", "69"],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    files: &[SOCKET, AGENTS],
    examples: &[
        ("How they are:", "agentctl services"),
        (
            "Those that stay ended, and why:",
            "agentctl services --json | jq '.services[] | select(.state == \"ended\") | .name, .why'",
        ),
    ],
    also: RELATED,
    ..ASKING
};

pub(super) const RELOAD: Page = Page {
    more: &[
        "New files are started. What a changed one says holds from the agent's next start, which is at once when it stays \
         ended. An agent whose file is gone goes on, and nobody starts it again. Files that are refused are named, and the \
         exit code is 1. Only root may do it.",
    ],
    codes: &["0", "1", "2", "7", "69"],
    files: &[SOCKET, AGENTS],
    examples: &[("After a file was written:", "sudo agentctl services reload")],
    also: RELATED,
    ..ASKING
};

pub(super) const START: Page = Page {
    more: &["What came before does not count for its bounds any more."],
    codes: &["0", "1", "2", "3", "4", "69", "125"],
    files: &[SOCKET, AGENTS],
    examples: &[("One that was killed, or that failed too often:", "agentctl services start web")],
    also: RELATED,
    ..ASKING
};
