//! From a name or a document to an [`Effective`] policy: `extends` followed, everything merged.
//!
//! ```text
//!   document ── extends ──► profiles ── extends ──► …     parents before children, each once
//!                              │
//!                              ▼ merge in that order
//!      lists append · the same path or variable: the later rule replaces · scalars: the later wins
//! ```

use std::error::Error;

use crate::effective::Effective;
use crate::mediation::check_names;
use crate::merge::Merged;
use crate::names::ProfileName;
use crate::nearest::nearest;
use crate::origin::Origin;
use crate::parse::{Document, at, parse};
use crate::parse_error::{ParseError, Place};
use crate::profiles::Loader;

/// How many profiles one policy may be made of: far more than anyone can oversee.
const MOST_SOURCES: usize = 64;

/// Why a policy has no effective form.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A file is wrong in itself, or extends what it cannot; the error shows the place.
    #[error(transparent)]
    Document(#[from] ParseError),
    /// The profile asked for by name does not exist.
    #[error("there is no profile `{name}` (there are {known}){hint}")]
    UnknownProfile {
        /// The name asked for.
        name: ProfileName,
        /// What was probably meant, or nothing.
        hint: String,
        /// All names that exist.
        known: String,
    },
    /// The profile exists and could not be read.
    #[error("cannot read the profile `{name}`")]
    Load {
        /// The profile.
        name: ProfileName,
        /// What the loader met.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The policy leaves an agent without a limit that every agent has.
    #[error("the policy `{policy}` sets no `process.limits.{limit}`; every agent has one: set it, or extend `base`")]
    MissingLimit {
        /// The policy.
        policy: String,
        /// The limit's key.
        limit: &'static str,
    },
    /// A store is shared that has no bound.
    #[error("`memory.semantic_shared` ({origin}) needs a size: set `memory.semantic`, or extend `base`")]
    SharedWithoutSize {
        /// Where it stands.
        origin: Origin,
    },
}

/// Resolves the profile of this name.
///
/// # Errors
/// The profile or one that it extends is missing, unreadable or wrong, or no limits result.
pub fn resolve_profile(name: &ProfileName, loader: &dyn Loader) -> Result<Effective, ResolveError> {
    let Some(document) = load(name, loader)? else {
        let (hint, known) = alternatives(name, loader);
        return Err(ResolveError::UnknownProfile { name: name.clone(), hint, known });
    };
    let mut walk = Walk { loader, done: Vec::new(), open: vec![name.clone()] };
    walk.visit(document, Some(name))?;
    merged(walk)?.finish(name.to_string())
}

/// Resolves a document that is no profile, such as an operator's file. It goes by its file's name; its
/// whole path stands among the sources.
///
/// # Errors
/// A profile that it extends is missing, unreadable or wrong, or no limits result.
///
/// ```
/// let text = "extends: [base]\nprocess: {limits: {memory: 1GiB}}\n";
/// let document = policies::parse("small.yaml", text)?;
/// let effective = policies::resolve(&document, &policies::Shipped)?;
/// assert_eq!(effective.limits.memory.value.to_string(), "1GiB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resolve(document: &Document, loader: &dyn Loader) -> Result<Effective, ResolveError> {
    let mut walk = Walk { loader, done: Vec::new(), open: Vec::new() };
    walk.visit(document.clone(), None)?;
    let origin = document.origin();
    merged(walk)?.finish(origin.rsplit('/').next().unwrap_or(origin).to_owned())
}

/// What the walk found, merged, once every rule is known to be about an action that exists.
fn merged(walk: Walk<'_>) -> Result<Merged, ResolveError> {
    let documents = walk.into_documents();
    check_names(&documents)?;
    Ok(Merged::of(documents))
}

fn load(name: &ProfileName, loader: &dyn Loader) -> Result<Option<Document>, ResolveError> {
    let found = loader.load(name).map_err(|source| ResolveError::Load { name: name.clone(), source })?;
    Ok(found.map(|source| parse(&source.origin, &source.text)).transpose()?)
}

/// What was probably meant, and all names.
fn alternatives(name: &ProfileName, loader: &dyn Loader) -> (String, String) {
    let known = loader.names();
    let near = nearest(name.as_str(), known.iter().map(String::as_str));
    (near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(), known.join(", "))
}

/// The walk along `extends`, depth first.
struct Walk<'a> {
    loader: &'a dyn Loader,
    /// Finished documents, parents before children.
    done: Vec<(Option<ProfileName>, Document)>,
    /// The profiles between the start and here: meeting one again is a cycle.
    open: Vec<ProfileName>,
}

impl Walk<'_> {
    fn visit(&mut self, document: Document, name: Option<&ProfileName>) -> Result<(), ResolveError> {
        for parent in &document.file.extends {
            self.extend(document.place(), at(parent), &parent.value)?;
        }
        self.done.push((name.cloned(), document));
        Ok(())
    }

    fn extend(&mut self, place: Place<'_>, at: (u64, u64), name: &ProfileName) -> Result<(), ResolveError> {
        if self.open.contains(name) {
            let chain: Vec<&str> = self.open.iter().chain([name]).map(ProfileName::as_str).collect();
            return Err(place.error(at, format!("`extends` goes in a circle: {}", chain.join(" → "))).into());
        }
        if self.done.iter().any(|(done, _)| done.as_ref() == Some(name)) {
            return Ok(());
        }
        if self.done.len() + self.open.len() >= MOST_SOURCES {
            return Err(place.error(at, format!("the policy is made of more than {MOST_SOURCES} files")).into());
        }
        let Some(parent) = load(name, self.loader)? else {
            let (hint, known) = alternatives(name, self.loader);
            let mut error = place.error(at, format!("there is no profile `{name}`{hint}"));
            error.expected = (!known.is_empty()).then(|| format!("one of: {known}"));
            return Err(error.into());
        };
        self.open.push(name.clone());
        self.visit(parent, Some(name))?;
        self.open.pop();
        Ok(())
    }

    fn into_documents(self) -> Vec<Document> {
        self.done.into_iter().map(|(_, document)| document).collect()
    }
}
