//! The published table, `docs/confinement.md`.

use crate::Exam;
use std::fmt::Write as _;
use std::fs;
use tests::exam::Primitive;

/// Where it is published, from the repository's root.
pub(crate) const PATH: &str = "docs/confinement.md";
/// What writes it.
pub(crate) const COMMAND: &str = "UPDATE_DOCS=1 cargo test -p tests --test confinement";

/// The heading of what bare root did not reach.
const UNCONTROLLED: &str = "## Refusals without a control here";

/// The whole page.
pub(crate) fn render(exam: &Exam) -> String {
    let attacks: Vec<&Primitive> = exam.attacks().collect();
    let mut page = format!(
        "# What a hostile program reaches\n\n\
         Written by the test of the first promise (`{COMMAND}`, as root); the test fails when an agent's columns differ.\n\
         A hostile program, [`tests/probe`](../tests/probe), tries {} ways out of four places, with the same real\n\
         targets on the host each time: a process with a secret in its memory, listeners on the loopback, unix sockets,\n\
         System V objects, canary files, set-uid programs. All four are started by a careless parent that leaves an open\n\
         descriptor, a variable, a group, capabilities, an ignored signal and a terminal behind.\n\n\
         - **base**, **coding-agent**: an agent under that profile, which is granted the probe and nothing else besides.\n\
         - **bubblewrap**: `bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --ro-bind / / --dev /dev\n  \
           --proc /proc --tmpfs /tmp --bind WORKSPACE WORKSPACE`, started by root, as Agent OS is.\n\
         - **bare**: root on the host. It is the control: a refusal means something where this column says *reached*.\n\n\
         Linux {}, {}.\n\n",
        attacks.len(),
        kernel(),
        exam.bubblewrap_version,
    );
    page.push_str("| | base | coding-agent | bubblewrap | bare |\n|---|---|---|---|---|\n");
    for verdict in ["reached", "denied", "killed", "absent", "error"] {
        let counts = exam.columns().map(|column| column.values().filter(|o| o.verdict == verdict).count().to_string());
        writeln!(page, "| {verdict} | {} |", counts.join(" | ")).expect("a string takes everything");
    }
    page.push_str(
        "\n*denied*: the errno that the kernel gave, or a look around that found nothing. *killed*: SIGSYS. *absent*: the\n\
         target does not exist there. *error*: the attempt failed for a reason of its own.\n",
    );
    exceptions(&mut page);
    let mut family = "";
    for primitive in &attacks {
        if primitive.family != family {
            family = &primitive.family;
            write!(page, "\n## {family}\n\n| primitive | tries | base | coding-agent | bubblewrap | bare |\n|---|---|---|---|---|---|\n")
                .expect("a string takes everything");
        }
        let name = primitive.id.split_once('.').map_or("", |(_, name)| name);
        let cells = exam.columns().map(|column| cell(column, primitive));
        writeln!(page, "| {name} | {} | {} |", primitive.tries.replace('|', "\\|"), cells.join(" | "))
            .expect("a string takes everything");
    }
    without_control(&mut page, exam);
    page
}

/// What of a page is a promise: every line, without the two columns that tell of this host as much as of the sandbox
/// (whether a file system is mounted, how control groups are laid out), and without the list that follows from them.
pub(crate) fn ours(page: &str) -> Vec<&str> {
    let lines = page.lines().take_while(|line| *line != UNCONTROLLED);
    lines
        .map(|line| if line.starts_with("| ") { line.rsplitn(3, " | ").last().unwrap_or(line) } else { line })
        .collect()
}

fn cell(column: &crate::columns::Column, primitive: &Primitive) -> String {
    match column.get(&primitive.id) {
        Some(outcome) if outcome.is_reached() => "**reached**".to_owned(),
        Some(outcome) => outcome.short(),
        None => "not tried".to_owned(),
    }
}

fn exceptions(page: &mut String) {
    page.push_str("\n## Reached, and why\n\n");
    if crate::EXCEPTIONS.is_empty() {
        page.push_str("Nothing is reached by an agent.\n");
    }
    for (id, reason) in crate::EXCEPTIONS {
        writeln!(page, "- `{id}`: {reason}").expect("a string takes everything");
    }
}

fn without_control(page: &mut String, exam: &Exam) {
    write!(page, "\n{UNCONTROLLED}\n\n").expect("a string takes everything");
    page.push_str("Bare root did not reach these on this host. Each is reached by what follows its name, which is missing here.\n\n");
    for primitive in exam.attacks().filter(|primitive| !exam.controlled(primitive)) {
        writeln!(page, "- `{}`: {}", primitive.id, primitive.control).expect("a string takes everything");
    }
}

/// The running kernel, without the build's own suffixes.
pub(crate) fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let numbers: Vec<&str> = release.split(['.', '-']).take(2).collect();
    numbers.join(".")
}
