//! What the grammar does not say, a page a command.

mod agents;
mod audit;
mod governing;
mod host;
mod looking;
mod memory;
mod policy;
mod services;

/// Of one command.
pub(super) struct Page {
    /// Paragraphs after the first sentence.
    pub(super) more: &'static [&'static str],
    /// What stands before the codes, where the status is not agentctl's alone.
    pub(super) own_status: Option<&'static str>,
    /// Of the table of exit codes.
    pub(super) codes: &'static [&'static str],
    /// Of the table of variables.
    pub(super) variables: &'static [&'static str],
    /// Beginnings of paths in the table of files.
    pub(super) files: &'static [&'static str],
    /// What for, and the command line.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Other pages; agentctl(1) and agentosd(8) are named everywhere.
    pub(super) also: &'static [&'static str],
}

const SOCKET: &str = "/run/agentos/io.agentos.sock";
const POLICIES: &str = "/etc/agentos/policies";
const AGENTS: &str = "/etc/agentos/agents.d";
const LIVE: &str = "/run/agentos/agents";
const RECORDS: &str = "/var/lib/agentos/agents";
const AUDIT: &str = "/var/lib/agentos/audit";
const MEMORIES: &str = "/var/lib/agentos/memory";

/// What a command has that asks the daemon and says nothing special.
const ASKING: Page = Page {
    more: &[],
    own_status: None,
    codes: &["0", "1", "2", "3", "69"],
    variables: &["AGENTOS_SOCKET"],
    files: &[SOCKET],
    examples: &[],
    also: &[],
};

/// Every page, by what is typed after `agentctl`; empty for the program itself.
pub(super) const PAGES: [(&str, Page); 48] = [
    ("run", agents::RUN),
    ("exec", agents::EXEC),
    ("attach", agents::ATTACH),
    ("kill", agents::KILL),
    ("stop", agents::STOP),
    ("cont", agents::CONT),
    ("wait", agents::WAIT),
    ("rm", agents::RM),
    ("ps", looking::PS),
    ("inspect", looking::INSPECT),
    ("logs", looking::LOGS),
    ("events", looking::EVENTS),
    ("denials", looking::DENIALS),
    ("approvals", governing::APPROVALS),
    ("approvals watch", governing::WATCH),
    ("approvals show", governing::SHOW),
    ("approvals approve", governing::APPROVE),
    ("approvals deny", governing::DENY),
    ("execute", governing::EXECUTE),
    ("audit", audit::AUDIT_PAGE),
    ("audit log", audit::LOG),
    ("audit follow", audit::FOLLOW),
    ("audit show", audit::SHOW),
    ("audit verify", audit::VERIFY),
    ("audit prove", audit::PROVE),
    ("audit check-proof", audit::CHECK_PROOF),
    ("audit export", audit::EXPORT),
    ("memory", memory::MEMORY),
    ("memory ls", memory::MEMORY_LS),
    ("memory cat", memory::MEMORY_CAT),
    ("memory export", memory::MEMORY_EXPORT),
    ("memory import", memory::MEMORY_IMPORT),
    ("memory rm", memory::MEMORY_RM),
    ("services", services::SERVICES),
    ("services reload", services::RELOAD),
    ("services start", services::START),
    ("", host::AGENTCTL),
    ("policy", policy::POLICY),
    ("policy check", policy::CHECK),
    ("policy show", policy::SHOW),
    ("policy explain", policy::EXPLAIN),
    ("policy test", policy::TEST),
    ("policy diff", policy::DIFF),
    ("policy suggest", policy::SUGGEST),
    ("policy schema", policy::SCHEMA),
    ("doctor", host::DOCTOR),
    ("version", host::VERSION),
    ("completion", host::COMPLETION),
];

/// The page of a command, by what is typed after `agentctl`, with hyphens for spaces.
pub(super) fn page(command: &str) -> Option<Page> {
    PAGES.into_iter().find(|(name, _)| name.replace(' ', "-") == command).map(|(_, page)| page)
}
