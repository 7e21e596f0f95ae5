//! `.agents/security.md`: what an agent's own directory says about it. It can only take away.
//!
//! The file is YAML as a whole, Markdown with YAML front matter, or Markdown with one fenced `yaml` block. Everything
//! else in it is for people. It comes from where agents write, so its size and the work that it can cause are bounded.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Error as YamlError, Spanned};

use crate::check::check;
use crate::mediation::{AnswerSignal, Kernel, Mediation, RegisteredAction, RuleEntry, check_names_of, registered};
use crate::narrowing::Narrowing;
use crate::parse::{Document, MAX_POLICY_BYTES, options};
use crate::parse_error::{ParseError, Place, innermost, printable};
use crate::schema::{File, present};

/// The most bytes of patterns in one file. A decision compares a path with all of them at worst.
const MOST_PATTERN_BYTES: usize = 16 << 10;

/// The keys of the language that only an operator's policy may have.
const OPERATORS_KEYS: [&str; 8] =
    ["extends", "process", "filesystem", "optional_layers", "actions", "network", "memory", "on_violation"];

/// The keys of an agent's own file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentFile {
    #[serde(default, deserialize_with = "present")]
    kernel: Option<Spanned<Kernel>>,
    #[serde(default, deserialize_with = "present")]
    signals: Option<Spanned<Vec<AnswerSignal>>>,
    #[serde(default, deserialize_with = "present")]
    policies: Option<Spanned<Vec<Spanned<RuleEntry>>>>,
}

impl Narrowing {
    /// Reads an agent's own file. `origin` is the name that errors and rules' origins show, `actions` what the operator
    /// has registered ([`Mediation::actions`]).
    ///
    /// ```
    /// let file = b"# Rules\n\n```yaml\npolicies: [{action: file_write, requires_approval: true}]\n```\n";
    /// let narrowing = policies::Narrowing::read(".agents/security.md", file, &[])?;
    /// assert_eq!(narrowing.mediation().rules[0].origin.to_string(), ".agents/security.md:4");
    /// # Ok::<(), policies::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// It is no such file, or says what only an operator may; the error shows the line of the file as it is.
    pub fn read(origin: &str, bytes: &[u8], actions: &[RegisteredAction]) -> Result<Self, ParseError> {
        let nothing = Place { origin, text: "" };
        if bytes.len() > MAX_POLICY_BYTES {
            let message = format!("the file has {} bytes; it may have at most {MAX_POLICY_BYTES}", bytes.len());
            return Err(nothing.error((1, 1), message));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let lines = before.iter().filter(|byte| **byte == b'\n').count();
            nothing.error((u64::try_from(lines).unwrap_or(0) + 1, 1), "the file is not UTF-8 text")
        })?;
        let place = Place { origin, text };
        let yaml = yaml_of(place)?;
        let read: Result<AgentFile, _> = serde_saphyr::from_str_with_options(&yaml, options());
        let AgentFile { kernel, signals, policies } = read.map_err(|error| refusal(place, &error))?;
        let file = File { kernel, signals, policies, ..File::default() };
        check(&file, place)?;
        check_names_of(&file, place, &registered(actions))?;
        let document = Document { origin: printable(origin).into(), text: Arc::from(text), file };
        let mut mediation = Mediation::default();
        mediation.add(&document);
        bounded(&mediation, place)?;
        Ok(Self { name: printable(origin), mediation })
    }
}

/// The reader's error, or that the key is the operator's.
fn refusal(place: Place<'_>, error: &YamlError) -> ParseError {
    let mut refusal = place.yaml_error(error);
    if let YamlError::SerdeUnknownField { field, .. } = innermost(error)
        && OPERATORS_KEYS.contains(&field.as_str())
    {
        refusal.message = format!("`{field}` can only stand in an operator's policy: an agent's own file narrows it");
    }
    refusal
}

fn bounded(mediation: &Mediation, place: Place<'_>) -> Result<(), ParseError> {
    let mut bytes = 0;
    for rule in &mediation.rules {
        let conditions = &rule.conditions;
        let paths = [&conditions.paths, &conditions.exec].into_iter().flatten().flatten();
        let names = conditions.databases.iter().flatten().chain(conditions.argv.iter().flat_map(|argv| &argv.words));
        bytes += paths.map(|pattern| pattern.to_string().len()).sum::<usize>();
        bytes += names.map(|pattern| pattern.as_str().len()).sum::<usize>();
        if bytes > MOST_PATTERN_BYTES {
            let message = format!("the patterns up to here have more than {MOST_PATTERN_BYTES} bytes together");
            return Err(place.error((rule.origin.line, 1), message));
        }
    }
    Ok(())
}

/// The YAML of the file on its own lines, all other lines empty.
fn yaml_of(place: Place<'_>) -> Result<Cow<'_, str>, ParseError> {
    let lines: Vec<&str> = place.text.split('\n').collect();
    let line = |index: usize| (u64::try_from(index).unwrap_or(0) + 1, 1);
    let front = front_matter(&lines);
    let mut blocks = fenced(&lines, front.as_ref().map_or(0, |(_, end)| end + 1));
    match (front, blocks.next(), blocks.next()) {
        (None, None, _) => Ok(Cow::Borrowed(place.text)),
        (_, Some((start, None)), _) | (_, _, Some((start, None))) => {
            Err(place.error(line(start), "the ```yaml block that begins here has no end"))
        }
        (None, Some(_), Some((start, _))) => {
            Err(place.error(line(start), "a second ```yaml block begins here; put the policy into one"))
        }
        (Some(_), Some((start, _)), _) => {
            Err(place.error(line(start), "there is front matter and a ```yaml block; put the policy into one"))
        }
        (Some((start, end)), None, _) | (None, Some((start, Some(end))), None) => {
            let kept = |(index, text): (usize, &&str)| {
                if index > start && index < end { (*text).to_owned() } else { String::new() }
            };
            Ok(Cow::Owned(lines.iter().enumerate().map(kept).collect::<Vec<_>>().join("\n")))
        }
    }
}

/// The lines of `---` around front matter: the first of the file, and the next.
fn front_matter(lines: &[&str]) -> Option<(usize, usize)> {
    let rule = |line: &&&str| line.trim_end() == "---";
    lines.first().filter(rule)?;
    lines.iter().skip(1).position(|line| rule(&line)).map(|end| (0, end + 1))
}

/// The first and last lines of the fenced blocks of YAML from line `from` on (CommonMark 0.31, section 4.5); no last
/// line if a block does not end.
fn fenced(lines: &[&str], from: usize) -> impl Iterator<Item = (usize, Option<usize>)> {
    let mut at = from;
    std::iter::from_fn(move || {
        while let Some(line) = lines.get(at) {
            let start = at;
            at += 1;
            let Some((length, language)) = fence(line) else { continue };
            let closes = |line: &&str| fence(line).is_some_and(|(closing, rest)| closing >= length && rest.is_empty());
            let end = lines[at..].iter().position(closes).map(|end| at + end);
            at = end.map_or(lines.len(), |end| end + 1);
            if ["yaml", "yml"].contains(&language) {
                return Some((start, end));
            }
        }
        None
    })
}

/// The length of a fence of backticks, and the word after it.
fn fence(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches(' ');
    let length = text.len() - text.trim_start_matches('`').len();
    (length >= 3 && line.len() - text.len() <= 3).then(|| (length, text[length..].trim()))
}
