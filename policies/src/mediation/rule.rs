//! Rules about actions: one entry of `policies` as it is written, and as it stands in an effective policy.

use std::str::FromStr;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::mediation::{
    ActionPattern, Condition, Effect, Filter, HostPattern, Method, NamePattern, PathPattern, Port, Rate, Statement,
};
use crate::origin::Origin;
use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};
use crate::schema::{Count, Flag, present};
use crate::size::Size;

/// One entry of `policies`: which action, under which conditions, and what comes with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleEntry {
    pub(crate) action: Spanned<ActionPattern>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) effect: Option<WrittenEffect>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) mode: Option<ActionMode>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) paths: Option<Vec<PathPattern>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) exec: Option<Vec<PathPattern>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) argv: Option<Vec<ArgvWord>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) hosts: Option<Vec<HostPattern>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) ports: Option<Vec<Port>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) methods: Option<Vec<Method>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) databases: Option<Vec<NamePattern>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) statements: Option<Vec<Statement>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) max_bytes: Option<Size>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) rate: Option<Rate>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) count: Option<Count>,
    #[serde(default)]
    pub(crate) requires_approval: Flag,
    #[serde(default, deserialize_with = "present")]
    pub(crate) filters: Option<Vec<Filter>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WrittenEffect {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActionMode {
    ReadOnly,
}

/// The conditions of a rule: all must hold, and of each list one entry. None: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Beneath or at which paths; a request with several paths is decided for each.
    pub paths: Option<Vec<PathPattern>>,
    /// Which programs, by their resolved path.
    pub exec: Option<Vec<PathPattern>>,
    /// With which arguments.
    pub argv: Option<Argv>,
    /// Which hosts.
    pub hosts: Option<Vec<HostPattern>>,
    /// Which of their ports.
    pub ports: Option<Vec<Port>>,
    /// Which HTTP methods.
    pub methods: Option<Vec<Method>>,
    /// Which databases.
    pub databases: Option<Vec<NamePattern>>,
    /// Which sorts of statement.
    pub statements: Option<Vec<Statement>>,
}

impl Conditions {
    /// Which conditions there are, and how many entries each has.
    pub fn stated(&self) -> impl Iterator<Item = (Condition, usize)> {
        let argv = self.argv.as_ref().map(|argv| argv.words.len() + usize::from(argv.more));
        let counts = [
            (Condition::Paths, self.paths.as_ref().map(Vec::len)),
            (Condition::Exec, self.exec.as_ref().map(Vec::len)),
            // No words at all is a condition too: the program alone.
            (Condition::Argv, argv.map(|words| words.max(1))),
            (Condition::Hosts, self.hosts.as_ref().map(Vec::len)),
            (Condition::Ports, self.ports.as_ref().map(Vec::len)),
            (Condition::Methods, self.methods.as_ref().map(Vec::len)),
            (Condition::Databases, self.databases.as_ref().map(Vec::len)),
            (Condition::Statements, self.statements.as_ref().map(Vec::len)),
        ];
        counts.into_iter().filter_map(|(condition, count)| Some((condition, count?)))
    }
}

/// The arguments after the program's name, each a word or a pattern; `more` when any further ones may follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Argv {
    /// The first arguments.
    pub words: Vec<NamePattern>,
    /// Whether others may follow.
    pub more: bool,
}

/// One word of `argv`.
#[derive(Clone, Debug)]
pub(crate) enum ArgvWord {
    Word(NamePattern),
    More,
}

impl Word for ArgvWord {
    const EXPECTED: &'static str = "an argument, a pattern of arguments, or `...` as the last";
}

impl FromStr for ArgvWord {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        plain_text("the argument", text)?;
        if text == "..." { Ok(Self::More) } else { text.parse().map(Self::Word) }
    }
}

/// One rule about actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRule {
    /// Which action.
    pub action: ActionPattern,
    /// What it says when it matches.
    pub effect: Effect,
    /// When it matches.
    pub conditions: Conditions,
    /// Whether what it allows may change nothing.
    pub read_only: bool,
    /// The most bytes that are read, written, sent or received at once.
    pub max_bytes: Option<Size>,
    /// How often in how long.
    pub rate: Option<Rate>,
    /// How often in an agent's life.
    pub count: Option<u32>,
    /// What is taken out of the data, sorted.
    pub filters: Vec<Filter>,
    /// Where the rule stands.
    pub origin: Origin,
}

impl RuleEntry {
    /// The rule; that it contradicts itself has been ruled out.
    pub(crate) fn rule(&self, origin: Origin) -> ActionRule {
        let effect = match (self.effect, self.requires_approval.0) {
            (Some(WrittenEffect::Deny), _) => Effect::Deny,
            (_, true) => Effect::RequireApproval,
            (_, false) => Effect::Allow,
        };
        let mut filters = self.filters.clone().unwrap_or_default();
        filters.sort_unstable();
        ActionRule {
            action: self.action.value.clone(),
            effect,
            conditions: self.conditions(),
            read_only: self.mode.is_some(),
            max_bytes: self.max_bytes,
            rate: self.rate,
            count: self.count.map(|count| count.0),
            filters,
            origin,
        }
    }

    pub(crate) fn conditions(&self) -> Conditions {
        let word = |word: &ArgvWord| match word {
            ArgvWord::Word(word) => Some(word.clone()),
            ArgvWord::More => None,
        };
        let argv = self.argv.as_ref().map(|words| Argv {
            words: words.iter().filter_map(word).collect(),
            more: matches!(words.last(), Some(ArgvWord::More)),
        });
        Conditions {
            paths: self.paths.clone(),
            exec: self.exec.clone(),
            argv,
            hosts: self.hosts.clone(),
            ports: self.ports.clone(),
            methods: self.methods.clone(),
            databases: self.databases.clone(),
            statements: self.statements.clone(),
        }
    }
}

deserialize_as_word!(ArgvWord);
