//! The program itself, and commands about host and policies.

use super::{ASKING, AUDIT, LIVE, MEMORIES, POLICIES, Page, RECORDS, SOCKET};

pub(super) const AGENTCTL: Page = Page {
    own_status: Some("run, exec, attach and wait exit as the agent did. Otherwise:"),
    codes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "69", "124", "125", "126", "127", "128+N"],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    files: &[SOCKET, POLICIES, LIVE, RECORDS, AUDIT, MEMORIES],
    examples: &[
        ("Run a coding agent in a workspace:", "agentctl run --policy coding-agent --workspace . -t -- codex"),
        ("What it tried and was refused:", "agentctl denials coder"),
        ("End all agents:", "agentctl kill -9 --all"),
    ],
    also: &["agentosd.yaml(5)", "agentos-agent(5)", "agentos-policy(5)", "agentos-memory(7)", "agentos-vfs(8)"],
    ..ASKING
};

pub(super) const DOCTOR: Page = Page {
    more: &["Where no daemon answers, the program agentosd is asked (agentosd --check-host), which needs root."],
    codes: &["0", "1", "2", "8", "69"],
    variables: &["AGENTOS_SOCKET", "NO_COLOR", "PATH"],
    examples: &[
        ("Can agents run here?", "agentctl doctor"),
        ("What is not whole:", "agentctl doctor --json | jq '.[] | select(.status != \"ok\")'"),
    ],
    ..ASKING
};

pub(super) const VERSION: Page =
    Page { codes: &["0", "1", "2", "69"], examples: &[("Of both programs:", "agentctl version --json")], ..ASKING };

pub(super) const COMPLETION: Page = Page {
    more: &["The script asks agentctl for what may follow, also for names of agents, memories and profiles."],
    codes: &["0", "2"],
    variables: &[],
    files: &[],
    examples: &[
        ("In this bash:", "source <(agentctl completion bash)"),
        ("For fish, from now on:", "agentctl completion fish > ~/.config/fish/completions/agentctl.fish"),
    ],
    ..ASKING
};
