//! Commands about what agents remember.

use super::{ASKING, MEMORIES, Page, SOCKET};

const FILES: &[&str] = &[SOCKET, MEMORIES];

pub(super) const MEMORY: Page = Page {
    more: &[
        "Memory belongs to an agent's name, and to the user who first started an agent of that name. No agent has to run \
         for any of this; what would change a memory is refused while one does.",
    ],
    codes: &["0", "1", "2", "3", "4", "7", "69"],
    files: &[SOCKET, MEMORIES],
    examples: &[("All names that remember something:", "agentctl memory ls")],
    also: &[
        "agentctl-memory-ls(1)",
        "agentctl-memory-cat(1)",
        "agentctl-memory-export(1)",
        "agentctl-memory-import(1)",
        "agentctl-memory-rm(1)",
        "agentos-memory(7)",
    ],
    ..ASKING
};

pub(super) const MEMORY_LS: Page = Page {
    more: &[
        "Without a name: all names, their owners, and how many bytes each part holds as its quota counts them. With a \
         name: its parts. With a path: files, as ls -l has them.",
    ],
    variables: &["AGENTOS_SOCKET", "NO_COLOR"],
    files: FILES,
    examples: &[
        ("What one name remembers:", "agentctl memory ls scout"),
        ("Files of a part:", "agentctl memory ls scout /mem/semantic"),
    ],
    also: &["agentctl-memory-cat(1)", "agentos-memory(7)"],
    ..ASKING
};

pub(super) const MEMORY_CAT: Page = Page {
    more: &[
        "No symbolic link is followed. To a terminal, control characters are shown and not obeyed, unless --raw is given.",
    ],
    files: FILES,
    examples: &[("A file, also while no agent runs:", "agentctl memory cat scout /mem/episodic/log")],
    also: &["agentctl-memory-ls(1)", "agentos-memory(7)"],
    ..ASKING
};

pub(super) const MEMORY_EXPORT: Page = Page {
    more: &[
        "The archive is of tar's pax format and uncompressed. Modes, times, extended attributes, hard and symbolic links \
         are in it, owners and sockets are not; the same memory gives the same bytes. A file has its name when it is \
         whole, and only its owner can read it.",
    ],
    files: FILES,
    examples: &[
        ("Into a file:", "agentctl memory export -o scout.tar scout"),
        ("Compressed:", "agentctl memory export scout | zstd > scout.tar.zst"),
    ],
    also: &["agentctl-memory-import(1)", "agentos-memory(7)", "tar(1)"],
    ..ASKING
};

pub(super) const MEMORY_IMPORT: Page = Page {
    more: &[
        "It happens at once and as a whole: an archive that is refused, cut off or too large changes nothing. Refused are \
         absolute paths, paths that lead upwards, lie in no part, come twice or go through a symbolic link, hard links to \
         anything but a file that came before, and device nodes. One line says what was restored.",
    ],
    codes: &["0", "1", "2", "4", "7", "69"],
    files: FILES,
    examples: &[
        ("Restore what was saved:", "zstd -dc scout.tar.zst | agentctl memory import --replace scout"),
        ("For another user, as root:", "sudo agentctl memory import --owner root -i scout.tar twin"),
    ],
    also: &["agentctl-memory-export(1)", "agentos-memory(7)", "tar(1)"],
    ..ASKING
};

pub(super) const MEMORY_RM: Page = Page {
    more: &["It asks on a terminal; elsewhere it needs --yes."],
    codes: &["0", "1", "2", "3", "4", "69"],
    files: FILES,
    examples: &[("Without being asked:", "agentctl memory rm --yes scout")],
    also: &["agentctl-memory-export(1)", "agentctl-rm(1)", "agentos-memory(7)"],
    ..ASKING
};
