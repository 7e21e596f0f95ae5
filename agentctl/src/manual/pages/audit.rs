//! Commands about the audit log.

use super::{ASKING, AUDIT, Page, SOCKET};

const FILES: &[&str] = &[SOCKET, AUDIT];
/// Neither a daemon is needed nor an agent named.
const READING: Page = Page { codes: &["0", "1", "2", "69"], files: FILES, ..ASKING };
const OFFLINE: Page = Page { codes: &["0", "1", "2"], files: FILES, ..ASKING };

pub(super) const AUDIT_PAGE: Page = Page {
    more: &[
        "agentosd records each decision, denial, signal, launch, end, approval and change of a policy before it takes \
         effect. Records are linked by hashes and sealed by signed checkpoints, so that whoever has the public key can tell \
         whether any was changed, removed or added.",
    ],
    codes: &["0", "1", "2", "69"],
    files: FILES,
    examples: &[
        ("What was refused today:", "agentctl audit log --decision deny --since 24h"),
        ("Whether the log is as it was written:", "agentctl audit verify --key /media/key/signing.vkey"),
    ],
    also: &[
        "agentctl-audit-log(1)",
        "agentctl-audit-follow(1)",
        "agentctl-audit-show(1)",
        "agentctl-audit-verify(1)",
        "agentctl-audit-prove(1)",
        "agentctl-audit-check-proof(1)",
        "agentctl-audit-export(1)",
    ],
    ..ASKING
};

pub(super) const LOG: Page = Page {
    more: &[
        "agentosd gives a user the records of the user's own agents, and root all. With --dir the files are read, and no \
         daemon is needed. With --follow, --last counts before --agent, --kind and --decision leave anything out.",
        "With --json each line is the record as it is in the log, but that characters which could move a cursor are \
         escaped; agentctl-audit-export(1) gives the bytes that were hashed.",
    ],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    examples: &[
        ("The newest:", "agentctl audit log --last 20"),
        (
            "What one agent was refused, since a time:",
            "agentctl audit log --agent scout --decision deny --since 2026-11-23",
        ),
        ("Without a daemon:", "agentctl audit log --dir /var/lib/agentos/audit --json"),
    ],
    also: &["agentctl-audit-show(1)", "agentctl-audit-verify(1)", "agentctl-events(1)"],
    ..READING
};

pub(super) const FOLLOW: Page = Page {
    more: &["The same as agentctl audit log --follow."],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    examples: &[("Decisions of one agent, as they are made:", "agentctl audit follow --agent scout --kind decision")],
    also: &["agentctl-audit-log(1)"],
    ..READING
};

pub(super) const SHOW: Page = Page {
    more: &["The leaf is the hash of the record's line in the tree that checkpoints sign."],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    examples: &[
        ("One record:", "agentctl audit show 4711"),
        ("Its policy's digest:", "agentctl audit show --json 4711 | jq -r .body.policy_digest"),
    ],
    also: &["agentctl-audit-log(1)", "agentctl-audit-prove(1)"],
    ..READING
};

pub(super) const VERIFY: Page = Page {
    more: &[
        "Only the files are read, and the daemon is asked for nothing but where they are. Found are records that were \
         changed, removed, added, repeated or reordered, files that were removed, replaced or replayed, and checkpoints \
         that are not the key's. The first thing that is wrong is told with its file, line and record, and the exit \
         status is 1.",
        "A log that was cut off together with its checkpoints looks as if it had never been longer: keep a checkpoint \
         elsewhere now and then, and give it with --checkpoint. Without --key the key in the log's own directory is \
         used, which whoever changed the log could have replaced, too.",
    ],
    examples: &[
        (
            "With what was kept elsewhere:",
            "agentctl audit verify --key signing.vkey --checkpoint checkpoint-2026-11-23",
        ),
        ("Of a copy, on another host:", "agentctl audit verify --dir ./audit --key signing.vkey --json"),
    ],
    also: &["agentctl-audit-prove(1)", "agentctl-audit-export(1)"],
    ..OFFLINE
};

pub(super) const PROVE: Page = Page {
    more: &[
        "A proof of inclusion is the record's line, and after it the C2SP tlog-proof. It convinces whoever has the public \
         key that the record is in the log, and shows nothing of other records. A proof of consistency is that of a C2SP \
         tlog-witness: the older checkpoint's log is the beginning of the newer one's.",
    ],
    examples: &[
        ("One record:", "agentctl audit prove 4711 --out record-4711.proof"),
        ("Nothing was rewritten since:", "agentctl audit prove --consistency 1024 --out grown.proof"),
    ],
    also: &["agentctl-audit-check-proof(1)", "agentctl-audit-verify(1)"],
    ..OFFLINE
};

pub(super) const CHECK_PROOF: Page = Page {
    more: &["It needs neither the log nor a daemon. A proof of consistency is checked against the older checkpoint."],
    variables: &[],
    files: &[],
    examples: &[
        ("Of a record:", "agentctl audit check-proof record-4711.proof --key signing.vkey"),
        ("Of growth:", "agentctl audit check-proof grown.proof --key signing.vkey --checkpoint checkpoint-1024"),
    ],
    also: &["agentctl-audit-prove(1)"],
    ..OFFLINE
};

pub(super) const EXPORT: Page = Page {
    more: &[
        "As jsonl each line is byte for byte as it is in the log, unless it goes to a terminal. As csv, text is escaped, \
         and what a spreadsheet would take for a formula has an apostrophe before it. A file has its name when it is \
         whole, and only its owner can read it.",
        "A bundle is a directory with whole segments, checkpoints, the public key and a README; it begins with the segment \
         of the first record and ends with the checkpoint after the last.",
    ],
    examples: &[
        ("Everything of one agent:", "agentctl audit export --agent scout --out scout.jsonl"),
        ("For a spreadsheet:", "agentctl audit export --format csv --from 1000 --to 1999 --out records.csv"),
        ("For somebody who does not trust this host:", "agentctl audit export --from 1000 --bundle ./evidence"),
    ],
    also: &["agentctl-audit-verify(1)", "agentctl-audit-log(1)"],
    ..READING
};
