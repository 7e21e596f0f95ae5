//! The profiles that come with the program, and where profiles are looked for.

use std::error::Error;

use crate::names::ProfileName;

/// A policy's text and the name that errors show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The path of the file, or how else the operator knows it.
    pub origin: String,
    /// The text.
    pub text: String,
}

/// Where the profiles that `extends` names come from. The daemon reads directories; this crate reads nothing.
pub trait Loader {
    /// The profile of this name, or `None` if there is none.
    ///
    /// # Errors
    /// The profile exists and cannot be read.
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>>;

    /// The names of all profiles, for an error that says which exist.
    fn names(&self) -> Vec<String>;
}

/// The loader of the shipped profiles alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shipped;

impl Loader for Shipped {
    fn load(&self, name: &ProfileName) -> Result<Option<SourceText>, Box<dyn Error + Send + Sync>> {
        Ok(shipped(name))
    }

    fn names(&self) -> Vec<String> {
        shipped_names().map(str::to_owned).collect()
    }
}

/// Name, text, and the table of its cases.
const PROFILES: [(&str, &str, &str); 8] = [
    ("base", include_str!("../profiles/base.yaml"), include_str!("../profiles/base.cases.yaml")),
    ("python", include_str!("../profiles/python.yaml"), include_str!("../profiles/python.cases.yaml")),
    ("node", include_str!("../profiles/node.yaml"), include_str!("../profiles/node.cases.yaml")),
    (
        "coding-agent",
        include_str!("../profiles/coding-agent.yaml"),
        include_str!("../profiles/coding-agent.cases.yaml"),
    ),
    (
        "data-analyst",
        include_str!("../profiles/data-analyst.yaml"),
        include_str!("../profiles/data-analyst.cases.yaml"),
    ),
    (
        "web-researcher",
        include_str!("../profiles/web-researcher.yaml"),
        include_str!("../profiles/web-researcher.cases.yaml"),
    ),
    ("mcp-server", include_str!("../profiles/mcp-server.yaml"), include_str!("../profiles/mcp-server.cases.yaml")),
    ("batch-job", include_str!("../profiles/batch-job.yaml"), include_str!("../profiles/batch-job.cases.yaml")),
];

/// The shipped profile of this name.
#[must_use]
pub fn shipped(name: &ProfileName) -> Option<SourceText> {
    let (name, text, _) = PROFILES.iter().find(|(known, ..)| *known == name.as_str())?;
    Some(SourceText { origin: format!("{name} (shipped)"), text: (*text).to_owned() })
}

/// The names of the shipped profiles.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, ..)| *name)
}

pub(crate) fn cases_of(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, ..)| *known == name).map(|(.., cases)| *cases)
}
