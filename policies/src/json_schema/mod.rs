//! JSON Schemas (draft 2020-12) of what people write, for editors that complete and check while they type.
//!
//! They are generated from the very types that the reader fills: a test drives each type's `Deserialize` with a
//! deserializer that answers every question with an example and notes what was asked (`traced.rs`). So a key that is added
//! to the language and not to the schema fails that test, and no program links the generator. What needs more than one
//! value to judge (`effect: deny` with `rate`) is the reader's to refuse, not the schema's.

#[cfg(test)]
mod traced;
#[cfg(test)]
mod words;

/// Something that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Written {
    /// An operator's policy or profile.
    Policy,
    /// An agent's own `.agents/security.md`, as far as it is YAML.
    AgentFile,
    /// A table of cases.
    Cases,
}

impl Written {
    /// All of them, with the word for each.
    pub const ALL: [(&'static str, Self); 3] =
        [("policy", Self::Policy), ("agent-file", Self::AgentFile), ("cases", Self::Cases)];

    /// The JSON Schema.
    ///
    /// ```
    /// assert!(policies::Written::Policy.json_schema().contains("\"filesystem\""));
    /// ```
    #[must_use]
    pub fn json_schema(self) -> &'static str {
        match self {
            Self::Policy => include_str!("../../schema/policy.schema.json"),
            Self::AgentFile => include_str!("../../schema/agent-file.schema.json"),
            Self::Cases => include_str!("../../schema/cases.schema.json"),
        }
    }
}
