//! `denials`: a line a refusal, and at the end whether the list is whole.

use super::time;
use protocol::denial::{Completeness, Denial, Layer};
use protocol::text::escape;

/// `TIME  pid PID  PROGRAM  SENTENCE  [LAYER]`.
pub(crate) fn line(denial: &Denial) -> String {
    let pid = denial.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let program = denial.exe.as_deref().or(denial.comm.as_deref()).unwrap_or("?");
    let layer = match denial.layer {
        Layer::Landlock => "landlock",
        Layer::Seccomp => "seccomp",
    };
    format!("{}  pid {pid}  {}  {}  [{layer}]", time::utc(denial.time_us), escape(program), escape(&denial.sentence))
}

/// Whether the list is whole, as a sentence.
pub(crate) fn completeness(completeness: &Completeness) -> String {
    match completeness {
        Completeness::Open { listed } => {
            format!("{listed} listed so far; the agent still runs, and the kernel gives its final count when it ends.")
        }
        Completeness::Complete { counted } => {
            format!("The list is complete: the kernel counted {counted} Landlock denials and all are here.")
        }
        Completeness::Incomplete { listed, counted: Some(counted) } => {
            format!("The list is INCOMPLETE: {listed} Landlock denials are listed, the kernel counted {counted}.")
        }
        Completeness::Incomplete { listed, counted: None } => {
            format!(
                "The list may be INCOMPLETE: {listed} Landlock denials are listed, the kernel's count did not come."
            )
        }
        Completeness::NotListed { why } => format!("Denials are not listed: {}", escape(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::TimeUs;

    #[test]
    fn a_denial_is_one_line_whatever_the_agent_calls_itself() {
        let denial = Denial {
            seq: 1,
            time_us: TimeUs(1_795_413_442_000_000),
            pid: Some(77),
            exe: None,
            comm: Some("x\n[seccomp]".into()),
            layer: Layer::Landlock,
            action: "read".into(),
            object: Some("/etc/shadow".into()),
            syscall: None,
            args: vec![],
            sentence: "read /etc/shadow: not granted by policy base".into(),
        };
        let expected = "2026-11-23T05:57:22.000Z  pid 77  x\\u{a}[seccomp]  read /etc/shadow: not granted by policy base  [landlock]";
        assert_eq!(line(&denial), expected);
    }
}
