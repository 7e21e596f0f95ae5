//! The audit log: a row a record, a page for one, and what a verifier says.

use super::{Look, how_it_ended, time};
use crate::audit::{Entry, Finding, Verdict};
use protocol::audit::{Answer, Record};
use protocol::text::escape;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Columns of a label.
const LABEL: usize = 15;

/// The names of the columns. Rows come without end, so that each column has its width before the first.
pub(crate) fn header(look: Look) -> String {
    let text = columns(["SEQ", "TIME", "AGENT", "KIND", "DECISION", "STOPPED BY"], "WHAT, WHY, AND WHAT CAME OF IT");
    if look.colour { format!("\x1b[1m{}\x1b[0m\n", text.trim_end()) } else { text }
}

/// A record on one line.
pub(crate) fn row(entry: &Entry, look: Look) -> String {
    let (seq, time) = (entry.sealed.seq.to_string(), time::utc(entry.time()));
    let Some(said) = &entry.said else {
        return columns([&seq, &time, "-", "-", "-", "-"], &escape(entry.sealed.body()));
    };
    let agent = said.agent.as_ref().map_or("-", |agent| agent.name.as_str());
    let word = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let (decision, stopped_by) = (word(said.decision.map(word_of)), word(said.stopped_by.map(word_of)));
    let text = columns([&seq, &time, agent, &word_of(said.kind), &decision, &stopped_by], &what(said));
    match (look.colour, said.decision) {
        (true, Some(Answer::Deny)) => format!("\x1b[31m{}\x1b[0m\n", text.trim_end()),
        (true, Some(Answer::Hold | Answer::WouldDeny)) => format!("\x1b[33m{}\x1b[0m\n", text.trim_end()),
        _ => text,
    }
}

fn columns([seq, time, agent, kind, decision, stopped_by]: [&str; 6], rest: &str) -> String {
    format!("{seq:>7}  {time:<24}  {agent:<16}  {kind:<9}  {decision:<10}  {stopped_by:<10}  {rest}\n")
}

/// `file_read /etc/x: denied_by_rule, base (shipped):12 -> nothing was done`.
fn what(said: &Record) -> String {
    let why = [&said.reason, &said.rule].into_iter().flatten().map(|text| escape(text)).collect::<Vec<_>>().join(", ");
    let outcome = said.outcome.as_deref().map(escape).or_else(|| said.exit.as_ref().map(how_it_ended));
    let why = if why.is_empty() { why } else { format!(": {why}") };
    format!("{}{why}{}", escape(&said.attempted), outcome.map_or_else(String::new, |text| format!(" -> {text}")))
}

/// The word that stands for it in JSON.
fn word_of<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

/// Everything that a record says.
pub(crate) fn page(entry: &Entry, look: Look) -> String {
    let mut page = Page::default();
    let sealed = &entry.sealed;
    page.line("record", &sealed.seq.to_string());
    page.line("time", &time::utc(entry.time()));
    match &entry.said {
        Some(said) => fields(&mut page, said),
        None => page.line("body", &escape(sealed.body())),
    }
    page.line("leaf", &sealed.leaf().to_string());
    page.line("record before", &sealed.prev.to_string());
    if look.colour { page.0.replacen("record ", "\x1b[1mrecord\x1b[0m ", 1) } else { page.0 }
}

fn fields(page: &mut Page, said: &Record) {
    page.line("kind", &word_of(said.kind));
    if let Some(agent) = &said.agent {
        let run = agent.id.map_or_else(String::new, |id| format!(", run {id}"));
        let uid = agent.uid.map_or_else(String::new, |uid| format!(", uid {uid}"));
        page.line("agent", &format!("{}{run}{uid}, asked for by uid {}", agent.name, agent.owner));
    }
    page.optional("asked by", said.by.map(|by| format!("uid {}, pid {}", by.uid, by.pid)));
    page.optional("pid", said.pid.map(|pid| pid.to_string()));
    page.text("program", said.exe.as_deref());
    page.line("attempted", &escape(&said.attempted));
    page.text("action", said.action.as_deref());
    said.request.iter().enumerate().for_each(|(at, word)| page.text(if at == 0 { "request" } else { "" }, Some(word)));
    page.optional("decision", said.decision.map(word_of));
    page.text("reason", said.reason.as_deref());
    page.text("rule", said.rule.as_deref());
    page.optional("stopped by", said.stopped_by.map(word_of));
    page.text("outcome", said.outcome.as_deref());
    page.optional("end", said.exit.as_ref().map(how_it_ended));
    page.text("policy sha256", said.policy_digest.as_deref());
    page.text("approval", said.approval.as_deref());
    page.text("request id", said.request_id.as_deref());
    page.text("action sha256", said.action_digest.as_deref());
    page.optional("about record", said.of.map(|of| of.to_string()));
    let claims = said.without_effect.iter().map(|claim| escape(claim)).collect::<Vec<_>>().join(", ");
    page.optional("without effect", (!claims.is_empty()).then_some(claims));
    page.optional("happened", said.happened_us.map(time::utc));
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, label: &str, value: &str) {
        // Writing into a String cannot fail.
        let written = writeln!(self.0, "{label:<LABEL$} {value}");
        debug_assert!(written.is_ok());
    }

    fn optional(&mut self, label: &str, value: Option<String>) {
        value.into_iter().for_each(|value| self.line(label, &value));
    }

    /// What may be an agent's own words.
    fn text(&mut self, label: &str, value: Option<&str>) {
        self.optional(label, value.map(escape));
    }
}

/// The same for programs.
pub(crate) fn value(entry: &Entry) -> Value {
    let body: Value = serde_json::from_str(entry.sealed.body()).unwrap_or_default();
    let sealed = &entry.sealed;
    json!({
        "seq": sealed.seq, "time": sealed.time.0, "prev": sealed.prev, "leaf": sealed.leaf(), "body": body,
        "line": sealed.line(),
    })
}

/// What a verifier found, for people.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    let mut page = Page::default();
    let whole = verdict.problem.is_none();
    let heading = match (&verdict.problem, verdict.part) {
        (Some(_), _) => "NOT WHOLE",
        (None, true) => "whole, as a part of a log",
        (None, false) => "whole",
    };
    page.0 = format!("{heading}: {}\n", verdict.directory);
    page.optional("file", verdict.finding.as_ref().and_then(|Finding { file, .. }| file.clone()));
    page.optional("line", verdict.finding.as_ref().and_then(|Finding { line, .. }| line.map(|line| line.to_string())));
    page.optional(
        "record",
        verdict.finding.as_ref().and_then(|Finding { record, .. }| record.map(|seq| seq.to_string())),
    );
    page.text("problem", verdict.problem.as_deref());
    if whole && let Some(last) = verdict.size.checked_sub(1).filter(|_| verdict.size > verdict.oldest) {
        page.line("records", &format!("{}: {} to {last}", verdict.size - verdict.oldest, verdict.oldest));
        let between = verdict.times.map(|(first, last)| format!("{} to {}", time::utc(first), time::utc(last)));
        page.optional("from", between);
    }
    if let Some(signed) = verdict.signed {
        page.line("checkpoint", &format!("of {signed} records; {} were compared", verdict.checkpoints));
    }
    if whole {
        page.line("root", &verdict.root);
    }
    page.line("key", &format!("{} ({}), from {}", verdict.key_id, verdict.key_name, verdict.key_from));
    verdict.notes.iter().for_each(|note| page.line("note", note));
    page.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::TimeUs;

    const PLAIN: Look = Look { colour: false, width: None };

    fn entry(body: &str) -> Entry {
        let prev = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let time = "1795413442000000000";
        Entry::parse(&format!("{{\"seq\":7,\"time\":{time},\"prev\":\"{prev}\",\"body\":{body}}}")).expect("a record")
    }

    const DENIED: &str = "{\"kind\":\"decision\",\"agent\":{\"name\":\"scout\",\"id\":3,\"uid\":700001,\"owner\":1000},\
        \"attempted\":\"file_read /etc/\\u001b[2Jx\",\"decision\":\"deny\",\"reason\":\"denied_by_rule\",\
        \"rule\":\"deny * (base:3)\",\"stopped_by\":\"policy\",\"request\":[\"path=/etc/x\"],\
        \"without_effect\":[\"approved\",\"agent\u{202e}id\"]}";

    #[test]
    fn a_record_is_one_line_and_moves_no_cursor() {
        let expected = "      7  2026-11-23T05:57:22.000Z  scout             decision   deny        policy      \
                        file_read /etc/\\u{1b}[2Jx: denied_by_rule, deny * (base:3)\n";
        assert_eq!(row(&entry(DENIED), PLAIN), expected);
        let coloured = row(&entry(DENIED), Look { colour: true, width: None });
        assert!(coloured.starts_with("\x1b[31m") && coloured.ends_with("\x1b[0m\n"), "{coloured:?}");
        let column = |text: &str, word: &str| text.find(word).expect("it is there");
        assert_eq!(column(&header(PLAIN), "WHAT"), column(expected, "file_read"));
    }

    #[test]
    fn an_end_and_a_foreign_record_are_shown_too() {
        let exit = r#"{"kind":"exit","attempted":"exit","exit":{"code":3,"signal":null,"reason":"finished"}}"#;
        assert!(row(&entry(exit), PLAIN).ends_with("-           -           exit -> exit status 3\n"));
        assert!(row(&entry(r#"{"event":"x\u202e"}"#), PLAIN).ends_with("{\"event\":\"x\\\\u202e\"}\n"));
    }

    #[test]
    fn a_page_says_everything_in_words() {
        let expected = "\
record          7
time            2026-11-23T05:57:22.000Z
kind            decision
agent           scout, run 3, uid 700001, asked for by uid 1000
attempted       file_read /etc/\\u{1b}[2Jx
request         path=/etc/x
decision        deny
reason          denied_by_rule
rule            deny * (base:3)
stopped by      policy
without effect  approved, agent\\u{202e}id
";
        let shown = page(&entry(DENIED), PLAIN);
        let (fields, hashes) = shown.split_at(shown.find("leaf").expect("it is there"));
        assert_eq!(fields, expected);
        let leaf = entry(DENIED).sealed.leaf();
        let expected =
            format!("leaf            {leaf}\nrecord before   47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
        assert_eq!(hashes, expected);
    }

    fn found(problem: Option<&str>) -> Verdict {
        Verdict {
            whole: problem.is_none(),
            directory: "/x".to_owned(),
            part: false,
            oldest: 5,
            size: 12,
            root: "R".to_owned(),
            signed: Some(12),
            unsigned: 0,
            torn: 0,
            checkpoints: 2,
            times: Some((TimeUs(0), TimeUs(1_000_000))),
            key_name: "h/audit".to_owned(),
            key_id: "0a0b0c0d".to_owned(),
            key_from: "/key".to_owned(),
            key_beside_the_log: false,
            finding: problem.map(|_| Finding { file: Some("f.jsonl".to_owned()), line: Some(4), record: Some(2) }),
            problem: problem.map(str::to_owned),
            notes: vec!["beware".to_owned()],
        }
    }

    #[test]
    fn a_verdict_says_what_is_covered_and_by_which_key() {
        let expected = "\
whole: /x
records         7: 5 to 11
from            1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z
checkpoint      of 12 records; 2 were compared
root            R
key             0a0b0c0d (h/audit), from /key
note            beware
";
        assert_eq!(verdict(&found(None)), expected);
        let bad = verdict(&found(Some("it was changed")));
        assert!(
            bad.starts_with("NOT WHOLE: /x\nfile            f.jsonl\nline            4\nrecord          2\n"),
            "{bad}"
        );
        assert!(bad.contains("problem         it was changed\n") && !bad.contains("root"), "{bad}");
    }
}
