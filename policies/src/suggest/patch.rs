//! What is suggested, as the author of a policy reads it.

use std::fmt;

use crate::parse_error::printable;
use crate::suggest::denied::Denied;

/// Lines to add to a policy, and the denials that cause none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The policy's name.
    pub policy: String,
    /// The lines, in the order of the first denial of each.
    pub additions: Vec<Addition>,
    /// The denials for which nothing is suggested.
    pub withheld: Vec<Withheld>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The list that it belongs to.
    pub section: Section,
    /// The entry, as YAML of one line.
    pub line: String,
    /// The denials that it would have allowed: number and sentence, the latter without control characters.
    pub because: Vec<(u64, String)>,
}

/// A list of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the keys of the language")]
pub enum Section {
    Exec,
    Filesystem,
    Policies,
    Network,
}

/// A denial that causes no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Its number.
    pub number: u64,
    /// Its sentence, without control characters.
    pub sentence: String,
    /// Why nothing is suggested.
    pub why: String,
}

impl Suggestion {
    pub(crate) fn new(policy: &str) -> Self {
        Self { policy: policy.to_owned(), additions: Vec::new(), withheld: Vec::new() }
    }

    pub(crate) fn add(&mut self, section: Section, line: String, denied: &Denied) {
        let because = (denied.number, printable(&denied.sentence));
        match self.additions.iter_mut().find(|known| known.section == section && known.line == line) {
            Some(known) if known.because.contains(&because) => {}
            Some(known) => known.because.push(because),
            None => self.additions.push(Addition { section, line, because: vec![because] }),
        }
    }

    pub(crate) fn withhold(&mut self, denied: &Denied, why: String) {
        let sentence = printable(&denied.sentence);
        self.withheld.push(Withheld { number: denied.number, sentence, why: printable(&why) });
    }

    /// Of a path that is to be read and written, the line for writing is enough.
    pub(crate) fn drop_covered(&mut self) {
        let written = |line: &str| line.strip_suffix(", access: read}").map(|path| format!("{path}, access: write}}"));
        let mut kept = std::mem::take(&mut self.additions);
        for at in (0..kept.len()).rev() {
            let Some(wider) = written(&kept[at].line).filter(|_| kept[at].section == Section::Filesystem) else {
                continue;
            };
            if let Some(other) = kept.iter().position(|known| known.line == wider) {
                let because = kept[at].because.clone();
                kept[other].because.extend(because);
                kept[other].because.sort();
                kept.remove(at);
            }
        }
        self.additions = kept;
    }

    fn section(&self, f: &mut fmt::Formatter<'_>, section: Section) -> fmt::Result {
        let mut lines = self.additions.iter().filter(|addition| addition.section == section).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        let (head, indent) = match section {
            Section::Exec => ("process:\n  exec:", "    "),
            Section::Filesystem => ("filesystem:", "  "),
            Section::Policies => ("policies:", "  "),
            Section::Network => ("network:", "  "),
        };
        writeln!(f, "{head}")?;
        for Addition { line, because, .. } in lines {
            for (number, sentence) in because {
                writeln!(f, "{indent}# {number}: {sentence}")?;
            }
            writeln!(f, "{indent}- {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.additions.is_empty() {
            writeln!(f, "# Nothing is suggested for {}.", self.policy)?;
        } else {
            writeln!(
                f,
                "# Suggested for {}. Each line grants what was refused; read it before you add it.",
                self.policy
            )?;
        }
        for section in [Section::Exec, Section::Filesystem, Section::Policies, Section::Network] {
            self.section(f, section)?;
        }
        if !self.withheld.is_empty() {
            writeln!(f, "# Not suggested:")?;
        }
        self.withheld.iter().try_for_each(|one| writeln!(f, "#   {}: {}\n#     {}", one.number, one.sentence, one.why))
    }
}
