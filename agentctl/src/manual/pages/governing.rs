//! Commands about actions, and those who decide about them.

use super::{ASKING, POLICIES, Page, SOCKET};

pub(super) const APPROVALS: Page = Page {
    more: &[
        "A rule of a policy may have a person asked before an action is done. Root, and the user who asked for the agent, \
         may decide; an agent never can. What is approved may be done once, exactly as it was shown, and soon.",
    ],
    codes: &["0", "1", "2", "69"],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    examples: &[
        ("What waits:", "agentctl approvals"),
        (
            "Names of all that were denied:",
            "agentctl approvals --all --json | jq -r '.approvals[] | select(.state == \"denied\").id'",
        ),
    ],
    also: &[
        "agentctl-approvals-watch(1)",
        "agentctl-approvals-show(1)",
        "agentctl-approvals-approve(1)",
        "agentctl-approvals-deny(1)",
        "agentctl-execute(1)",
        "agentos-policy(5)",
    ],
    ..ASKING
};

pub(super) const WATCH: Page = Page {
    codes: &["0", "1", "2", "69"],
    examples: &[("In a terminal of its own:", "agentctl approvals watch")],
    also: &["agentctl-approvals(1)"],
    ..ASKING
};

pub(super) const SHOW: Page = Page {
    more: &[
        "Summary and details are the agent's words: each of their lines begins with a bar, and what could move the cursor \
         or reorder text is shown and not obeyed.",
    ],
    examples: &[("All of one:", "agentctl approvals show ap-7")],
    also: &["agentctl-approvals-approve(1)"],
    ..ASKING
};

pub(super) const APPROVE: Page = Page {
    more: &[
        "What would be approved is shown first, and its digest goes with the answer: agentosd refuses it for anything \
         else. Without a terminal it needs --yes; a program that has looked at it before also gives --digest.",
    ],
    codes: &["0", "1", "2", "3", "4", "7", "69"],
    examples: &[("After reading what it is:", "agentctl approvals approve ap-7 --note looked-at")],
    also: &["agentctl-approvals-show(1)", "agentctl-approvals-deny(1)"],
    ..ASKING
};

pub(super) const DENY: Page = Page {
    codes: &["0", "1", "2", "3", "4", "7", "69"],
    examples: &[("With a reason for the record:", "agentctl approvals deny ap-7 --note not-on-friday")],
    also: &["agentctl-approvals-approve(1)"],
    ..ASKING
};

pub(super) const EXECUTE: Page = Page {
    more: &[
        "The policy of the agent decides, as if the agent had asked; for a name without a living agent, that of --policy or \
         the daemon's default. What was decided is recorded, with who asked.",
        "Content of a file is written as it is, other data as JSON. On a terminal, control characters of content are \
         shown and not obeyed, unless --raw is given.",
    ],
    codes: &["0", "1", "2", "3", "4", "5", "7", "9", "10", "69"],
    files: &[SOCKET, POLICIES],
    examples: &[
        ("A file as an agent may read it:", "agentctl execute --agent scout file_read path=/data/x"),
        (
            "Narrowed, under a profile:",
            "agentctl execute --policy data-analyst --narrow read_only database_query database=sales query=x",
        ),
        ("The whole request from a file:", "agentctl execute --request request.json --json"),
    ],
    also: &["agentctl-policy-explain(1)", "agentctl-approvals(1)", "agentctl-audit-show(1)", "agentos-policy(5)"],
    ..ASKING
};
