//! A statement's first word.
//!
//! In PostgreSQL's grammar (`gram.y`, `stmt:`) it tells which kind of statement this is. Comments and parentheses may stand before
//! it, nothing else. This is no parser: what is behind the word is for the server to judge.

use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;

/// They may change something, or the server finds out that they do not.
const QUERIES: &[&str] = &["select", "with", "values", "table", "explain", "show"];
const CHANGES: &[&str] = &["insert", "update", "delete", "merge"];

/// Whether it certainly is a change; refuses kinds of statements that are not allowed.
pub(super) fn changes(query: &str) -> Outcome<bool> {
    let word = first_word(query).unwrap_or_default().to_ascii_lowercase();
    if CHANGES.contains(&word.as_str()) {
        return Ok(true);
    }
    if QUERIES.contains(&word.as_str()) {
        return Ok(false);
    }
    let allowed = [QUERIES, CHANGES].concat().join(", ").to_uppercase();
    Err(Refusal::new(RefusalReason::StatementRefused, format!("the statement begins with none of {allowed}")))
}

fn first_word(query: &str) -> Option<&str> {
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c', '(']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = &comment[comment.find(['\n', '\r'])?..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = behind(comment)?;
        } else {
            let end = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (word, behind) = rest.split_at_checked(end)?;
            // `select_all` is a name, and no statement begins with one.
            let continues = |next: char| next.is_alphanumeric() || next == '_' || next == '$';
            return (!behind.starts_with(continues)).then_some(word);
        }
    }
}

/// What is behind a comment that has begun; they nest.
fn behind(comment: &str) -> Option<&str> {
    let (mut rest, mut depth) = (comment, 1_u32);
    while depth > 0 {
        let (at, opens) = match (rest.find("/*"), rest.find("*/")) {
            (Some(open), Some(close)) if open < close => (open, true),
            (_, close) => (close?, false),
        };
        depth = if opens { depth.checked_add(1)? } else { depth - 1 };
        rest = rest.get(at + 2..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_behind_comments_and_parentheses() {
        for query in [
            "select 1",
            "\n(( SELECT 1))",
            "--copy\nselect 1",
            "/* a /* b */ copy */ Select(1)",
            "table\tx",
            "with\u{b}a",
        ] {
            assert_eq!(changes(query), Ok(false), "{query}");
        }
        for query in ["insert into x values (1)", "/**/UPDATE x SET a=1", "delete from x", "merge into x"] {
            assert_eq!(changes(query), Ok(true), "{query}");
        }
    }

    #[test]
    fn other_statements_are_refused() {
        let others = [
            "copy x to program 'id'",
            ";copy x to stdout",
            "listen a",
            "do $$ $$",
            "set x = 1",
            "commit",
            "begin",
            "drop table x",
            "/* select",
            "--select",
            "/* a /* b */ select 1",
            "",
            "(",
            "select_all()",
            "selecté",
            "\u{a0}select 1",
            "call p()",
        ];
        for query in others {
            assert_eq!(changes(query).map_err(|e| e.reason), Err(RefusalReason::StatementRefused), "{query}");
        }
    }
}
