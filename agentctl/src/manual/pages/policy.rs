//! Commands about policies.

use super::{ASKING, POLICIES, Page, SOCKET};

const READING: Page = Page { codes: &["0", "2", "5"], variables: &[], files: &[POLICIES], ..ASKING };

pub(super) const POLICY: Page = Page {
    more: &["No daemon is asked but by suggest: policies are read and resolved here, as it does it."],
    codes: &["0", "2", "5"],
    variables: &[],
    files: &[POLICIES],
    examples: &[("What a shipped profile grants:", "agentctl policy show coding-agent")],
    also: &[
        "agentctl-policy-check(1)",
        "agentctl-policy-show(1)",
        "agentctl-policy-explain(1)",
        "agentctl-policy-test(1)",
        "agentctl-policy-diff(1)",
        "agentctl-policy-suggest(1)",
        "agentctl-policy-schema(1)",
        "agentos-policy(5)",
    ],
    ..ASKING
};

pub(super) const CHECK: Page = Page {
    examples: &[("Before it is installed:", "agentctl policy check ./mine.yaml")],
    also: &["agentctl-policy-show(1)", "agentos-policy(5)"],
    ..READING
};

pub(super) const SHOW: Page = Page {
    examples: &[
        ("With the file and line of each rule:", "agentctl policy show coding-agent"),
        ("Of a file:", "agentctl policy show ./mine.yaml"),
        ("Where programs may be executed:", "agentctl policy show --json base | jq '.policy.process.exec'"),
    ],
    also: &["agentctl-policy-check(1)", "agentos-policy(5)"],
    ..READING
};

pub(super) const EXPLAIN: Page = Page {
    examples: &[(
        "May it change a database, and which rule says so?",
        "agentctl policy explain data-analyst database_query database=sales statement=write",
    )],
    also: &["agentctl-policy-test(1)", "agentos-policy(5)"],
    ..READING
};

pub(super) const TEST: Page = Page {
    codes: &["0", "1", "2", "5"],
    examples: &[("Whether a policy still answers as its table says:", "agentctl policy test ./mine.yaml")],
    also: &["agentctl-policy-explain(1)", "agentos-policy(5)"],
    ..READING
};

pub(super) const DIFF: Page = Page {
    examples: &[("Before a change is installed:", "agentctl policy diff coding-agent ./mine.yaml")],
    also: &["agentctl-policy-show(1)", "agentos-policy(5)"],
    ..READING
};

pub(super) const SUGGEST: Page = Page {
    more: &["Refusals of the kernel, and actions that the audit log says were denied to this run of the agent."],
    codes: &["0", "1", "2", "3", "5", "69"],
    files: &[SOCKET, POLICIES],
    examples: &[("What would have let the agent work:", "agentctl policy suggest coder")],
    also: &["agentctl-denials(1)", "agentctl-audit-log(1)", "agentctl-policy-diff(1)", "agentos-policy(5)"],
    ..ASKING
};

pub(super) const SCHEMA: Page = Page {
    codes: &["0", "2"],
    files: &[],
    examples: &[("For an editor:", "agentctl policy schema > policy.schema.json")],
    also: &["agentos-policy(5)"],
    ..READING
};
