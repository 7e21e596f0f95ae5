//! Text in, [`Document`] out: the strict YAML reader and the checks that need only this one file.

use std::sync::Arc;

use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Options, Spanned};

use crate::check::check;
use crate::origin::Origin;
use crate::parse_error::{ParseError, Place, printable};
use crate::schema::File;

/// The largest policy file that is read, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;

/// A policy file that is well-formed in itself. What it extends is not looked up yet: see [`crate::resolve()`].
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) origin: Arc<str>,
    pub(crate) text: Arc<str>,
    pub(crate) file: File,
}

impl Document {
    /// The name of the file or profile, as the caller of [`parse`] gave it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The text that was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { origin: &self.origin, text: &self.text }
    }

    pub(crate) fn origin_of<T>(&self, spanned: &Spanned<T>) -> Origin {
        Origin { file: Arc::clone(&self.origin), line: spanned.referenced.line() }
    }
}

/// Reads one policy file. `origin` is the name that errors and rules' origins show.
///
/// ```
/// let error = policies::parse("coder.yaml", "extends: [base]\nfilesytem: []\n").unwrap_err();
/// assert_eq!((error.line, error.message.as_str()), (2, "unknown key `filesytem`; did you mean `filesystem`?"));
/// ```
///
/// # Errors
/// The file is no YAML of the policy language, or a value in it means nothing; the error shows the place.
pub fn parse(origin: &str, text: &str) -> Result<Document, ParseError> {
    let place = Place { origin, text };
    if text.len() > MAX_POLICY_BYTES {
        return Err(Place { origin, text: "" }.error(
            (1, 1),
            format!("the file has {} bytes; a policy may have at most {MAX_POLICY_BYTES}", text.len()),
        ));
    }
    let file: File = serde_saphyr::from_str_with_options(text, options()).map_err(|error| place.yaml_error(&error))?;
    check(&file, place)?;
    Ok(Document { origin: printable(origin).into(), text: text.into(), file })
}

/// The line and column of a value.
pub(crate) fn at<T>(spanned: &Spanned<T>) -> (u64, u64) {
    (spanned.referenced.line(), spanned.referenced.column())
}

/// YAML without its surprises. The budget is far above any policy a person writes and far below what could be felt.
pub(crate) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 2,
            max_anchors: 64,
            max_aliases: 256,
            max_nodes: 100_000,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: MAX_POLICY_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 256,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        // What stands in the file is what is meant, not what base64 would make of it.
        ignore_binary_tag_for_string: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}
