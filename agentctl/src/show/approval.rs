//! Actions that wait for a person. Nearly every word of them is the agent's, and the person is about to believe them.

use super::table::{self, Tone, cell, plain};
use super::{Look, time};
use protocol::approval::{Approval, ApprovalState};
use protocol::ids::TimeUs;
use protocol::text::escape;

const HEADER: [&str; 7] = ["ID", "STATE", "AGE", "EXPIRES IN", "AGENT", "RULE", "SUMMARY"];
/// Columns of a label.
const LABEL: usize = 12;
/// Stands before each line that an agent may have written. No line of ours begins so, and none of theirs otherwise.
const QUOTED: &str = "  | ";

/// The list, and how many requests were refused because too many waited.
pub(crate) fn list(approvals: &[Approval], refused: u64, (now, look): (TimeUs, Look)) -> String {
    let rows = approvals.iter().map(|approval| {
        let (word, tone) = state(approval.state);
        vec![
            plain(approval.id.to_string()),
            cell(word, tone),
            plain(time::age(approval.created_us, now)),
            plain(left(approval, now)),
            plain(approval.agent.as_str()),
            plain(escape(&approval.rule)),
            plain(escape(&approval.summary)),
        ]
    });
    let mut text = table::render_cut(&HEADER, rows.collect(), look);
    if refused > 0 {
        text.push_str(&format!("{refused} requests were refused since agentosd started, because too many waited.\n"));
    }
    text
}

/// A state as a word.
pub(crate) fn state_word(of: ApprovalState) -> &'static str {
    state(of).0
}

fn state(state: ApprovalState) -> (&'static str, Tone) {
    match state {
        ApprovalState::Pending => ("pending", Tone::Warning),
        ApprovalState::Approved => ("approved", Tone::Good),
        ApprovalState::Used => ("used", Tone::Faint),
        ApprovalState::Denied => ("denied", Tone::Bad),
        ApprovalState::Expired => ("expired", Tone::Faint),
    }
}

/// How long the present state lasts, if it runs out.
fn left(approval: &Approval, now: TimeUs) -> String {
    match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if approval.expires_us > now => {
            time::age(now, approval.expires_us)
        }
        _ => "-".to_owned(),
    }
}

/// Everything of one.
pub(crate) fn page(approval: &Approval, (now, look): (TimeUs, Look)) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<LABEL$}{value}\n"));
    line("approval", &approval.id.to_string());
    let expires = match left(approval, now).as_str() {
        "-" => String::new(),
        left => format!(", for {left} more"),
    };
    line("state", &format!("{}{expires}", state_word(approval.state)));
    line("agent", &format!("{}, run {}, asked for by uid {}", approval.agent, approval.run, approval.owner));
    line("action", &escape(&approval.action));
    line("rule", &escape(&approval.rule));
    line("asked", &time::utc(approval.created_us));
    line("expires", &time::utc(approval.expires_us));
    line("digest", &escape(&approval.digest));
    if let Some(by) = approval.by {
        line("decided by", &format!("uid {}, pid {}", by.uid, by.pid));
    }
    if let Some(note) = &approval.note {
        line("note", &escape(note));
    }
    if let Some(subject) = &approval.subject_state {
        line("there now", &escape(subject));
    }
    let bold = |heading: &str| if look.colour { format!("\x1b[1m{heading}\x1b[0m\n") } else { format!("{heading}\n") };
    text.push_str(&bold("summary, in the agent's words"));
    quote(&mut text, &approval.summary);
    text.push_str(&bold("what would be done"));
    quote(&mut text, &approval.details);
    text
}

/// Line by line, each marked and escaped, so that none passes for one of ours.
fn quote(text: &mut String, words: &str) {
    for line in words.split('\n') {
        text.push_str(QUOTED);
        text.push_str(&escape(line));
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::action::ApprovalId;
    use protocol::ids::{AgentId, AgentName};

    const PLAIN: Look = Look { colour: false, width: None };

    fn approval(summary: &str, details: &str) -> Approval {
        Approval {
            id: ApprovalId::new(7),
            agent: AgentName::parse("scout").expect("a name"),
            run: AgentId(3),
            owner: 1000,
            state: ApprovalState::Pending,
            action: "file_write".to_owned(),
            summary: summary.to_owned(),
            details: details.to_owned(),
            rule: "ask file_write (mine:4)".to_owned(),
            digest: "ab12".to_owned(),
            subject_state: None,
            created_us: TimeUs(0),
            expires_us: TimeUs(300_000_000),
            by: None,
            note: None,
        }
    }

    const NOW: TimeUs = TimeUs(60_000_000);

    #[test]
    fn the_list_is_a_row_each_and_says_what_was_refused() {
        let shown = list(&[approval("file_write /w/x (4 bytes)\x1b[2J", "")], 3, (NOW, PLAIN));
        let expected = "\
ID    STATE    AGE  EXPIRES IN  AGENT  RULE                     SUMMARY
ap-7  pending  60s  4m          scout  ask file_write (mine:4)  file_write /w/x (4 bytes)\\u{1b}[2J
3 requests were refused since agentosd started, because too many waited.
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_page_has_everything_and_an_agents_lines_pass_for_none_of_ours() {
        let forged = "-old\n+new\tx\r\nstate       approved\n\x1b[1A\x1b[2Kdigest      00\u{202e}";
        let expected = "\
approval    ap-7
state       pending, for 4m more
agent       scout, run 3, asked for by uid 1000
action      file_write
rule        ask file_write (mine:4)
asked       1970-01-01T00:00:00.000Z
expires     1970-01-01T00:05:00.000Z
digest      ab12
summary, in the agent's words
  | file_write /w/x
  | agent       other
what would be done
  | -old
  | +new\\u{9}x\\u{d}
  | state       approved
  | \\u{1b}[1A\\u{1b}[2Kdigest      00\\u{202e}
";
        assert_eq!(page(&approval("file_write /w/x\nagent       other", forged), (NOW, PLAIN)), expected);
    }

    #[test]
    fn what_is_decided_does_not_count_down() {
        let denied = Approval { state: ApprovalState::Denied, ..approval("x", "y") };
        assert_eq!(left(&denied, NOW), "-");
        assert!(page(&denied, (NOW, PLAIN)).contains("state       denied\n"));
        assert_eq!(left(&approval("x", "y"), TimeUs(400_000_000)), "-", "it has run out");
    }

    proptest::proptest! {
        #[test]
        fn whatever_an_agent_writes_each_line_of_it_is_marked(words in "(.|\\n|\\r|\\x1b|\\u{2028}|\\u{85}){0,60}") {
            let mut text = String::new();
            quote(&mut text, &words);
            proptest::prop_assert!(text.lines().all(|line| line.starts_with(QUOTED)));
            proptest::prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
            proptest::prop_assert_eq!(text.lines().count(), words.split('\n').count());
        }
    }
}
