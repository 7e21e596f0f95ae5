//! The table as it is read.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::cases::entry::{Entry, PathWord, TextWord};
use crate::check::MOST_ENTRIES;
use crate::names::ProfileName;
use crate::origin::Origin;
use crate::parse::{MAX_POLICY_BYTES, at, options};
use crate::parse_error::{ParseError, Place, printable};
use crate::schema::{Flag, present};
use crate::template::Variables;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    #[serde(default)]
    variables: VariableEntries,
    #[serde(default)]
    cases: Vec<Spanned<Entry>>,
    #[serde(default)]
    views: Vec<Spanned<ViewEntry>>,
}

/// `variables`: the agent that is asked about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableEntries {
    #[serde(default, deserialize_with = "present")]
    workspace: Option<TextWord>,
    #[serde(default, deserialize_with = "present")]
    home: Option<TextWord>,
    #[serde(default, deserialize_with = "present")]
    name: Option<TextWord>,
}

/// One entry of `views`: a path, and what the agent sees there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewEntry {
    pub(crate) path: PathWord,
    pub(crate) access: Seen,
    #[serde(default, deserialize_with = "present")]
    pub(crate) exec: Option<Flag>,
}

/// What an agent sees at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    /// There is no such path.
    Absent,
    None,
    Read,
    Write,
}

impl Seen {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A table of cases that is well-formed in itself.
#[derive(Clone, Debug)]
pub struct CaseTable {
    origin: Arc<str>,
    file: CaseFile,
}

impl CaseTable {
    /// Reads a table. `origin` is the name that errors and failures show.
    ///
    /// # Errors
    /// It is no such table; the error shows the place.
    pub fn read(origin: &str, text: &str) -> Result<Self, ParseError> {
        let place = Place { origin, text };
        if text.len() > MAX_POLICY_BYTES {
            let message = format!("the table has {} bytes; it may have at most {MAX_POLICY_BYTES}", text.len());
            return Err(Place { origin, text: "" }.error((1, 1), message));
        }
        let read = serde_saphyr::from_str_with_options(text, options());
        let file: CaseFile = read.map_err(|error| place.yaml_error(&error))?;
        if file.cases.is_empty() && file.views.is_empty() {
            return Err(
                place.error((1, 1), "the table has no `cases` and no `views`, so it would pass whatever happens")
            );
        }
        for entry in &file.cases {
            if entry.value.expect.is_none() {
                let mut error = place.error(at(entry), "the key `expect` is missing");
                error.expected = Some("one of: allow, require_approval, deny".to_owned());
                return Err(error);
            }
        }
        let over = file.cases.get(MOST_ENTRIES).map(at).or_else(|| file.views.get(MOST_ENTRIES).map(at));
        match over {
            Some(at) => Err(place.error(at, format!("the list has more than {MOST_ENTRIES} entries"))),
            None => Ok(Self { origin: printable(origin).into(), file }),
        }
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = (Origin, &Entry)> {
        self.file.cases.iter().map(|entry| (self.origin_of(entry), &entry.value))
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = (Origin, &ViewEntry)> {
        self.file.views.iter().map(|entry| (self.origin_of(entry), &entry.value))
    }

    /// The agent that the table is about.
    #[must_use]
    pub fn variables(&self) -> Variables {
        let text = |word: &Option<TextWord>, otherwise: &str| {
            word.as_ref().map_or_else(|| otherwise.to_owned(), |word| word.0.clone())
        };
        let given = &self.file.variables;
        Variables {
            workspace: given.workspace.as_ref().map(|path| PathBuf::from(&path.0)),
            home: text(&given.home, "/home/agent").into(),
            name: text(&given.name, "agent"),
        }
    }

    fn origin_of<T>(&self, entry: &Spanned<T>) -> Origin {
        Origin { file: Arc::clone(&self.origin), line: entry.referenced.line() }
    }
}

/// The table of cases of a shipped profile: its name for errors, and its text.
#[must_use]
pub fn shipped_cases(profile: &ProfileName) -> Option<(String, &'static str)> {
    let text = crate::profiles::cases_of(profile.as_str())?;
    Some((format!("{profile}.cases (shipped)"), text))
}
