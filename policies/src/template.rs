//! Texts with variables: `${workspace}/src`, `HOME=${home}`.
//!
//! A variable is known when the policy is read and gets its value when the policy is bound to one agent. A `$` that is
//! not followed by `{` is an ordinary character; there is no way to write a literal `${`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::nearest::nearest;
use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};

/// What a policy may leave open until an agent is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `${workspace}`: the directory that the operator handed to the agent; there may be none.
    Workspace,
    /// `${home}`: the agent's home directory.
    Home,
    /// `${name}`: the agent's name.
    Name,
}

const VARIABLES: [(&str, Variable); 3] =
    [("workspace", Variable::Workspace), ("home", Variable::Home), ("name", Variable::Name)];

impl Variable {
    fn word(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Home => "home",
            Self::Name => "name",
        }
    }
}

/// The values of the variables for one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    /// The directory handed to the agent, if there is one: absolute and without symbolic links.
    pub workspace: Option<PathBuf>,
    /// The agent's home directory, absolute.
    pub home: PathBuf,
    /// The agent's name: one component of a path.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Whether the text contains `variable`.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        self.0.contains(&Piece::Variable(variable))
    }

    /// What is written out, apart from the variables.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Variable(_) => None,
        })
    }

    /// Why the text does not begin as an absolute path does, if so.
    pub(crate) fn not_a_path(&self) -> Option<&'static str> {
        let absolute = |piece: &Piece| matches!(piece, Piece::Variable(Variable::Workspace | Variable::Home));
        match self.0.as_slice() {
            [_, rest @ ..] if rest.iter().any(absolute) => {
                Some("uses \"${workspace}\" or \"${home}\" elsewhere than as its beginning")
            }
            [Piece::Text(text), ..] if text.starts_with('/') => None,
            [first] if absolute(first) => None,
            [first, Piece::Text(text), ..] if absolute(first) && text.starts_with('/') => None,
            _ => Some("is not absolute: start it with `/`, \"${workspace}/\" or \"${home}/\""),
        }
    }

    /// The text with `value` asked for each variable.
    pub(crate) fn expand<E>(&self, mut value: impl FnMut(Variable) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(variable) => text.push_str(&value(*variable)?),
            }
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let Some((word, tail)) = after.split_once('}') else {
                return Err(ScalarError::new(format!("`{text}` has a `${{` without its `}}`")));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(variable(word)?));
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

fn variable(word: &str) -> Result<Variable, ScalarError> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == word) {
        return Ok(*variable);
    }
    let hint = match nearest(word, VARIABLES.iter().map(|(known, _)| *known)) {
        Some(known) => format!("; did you mean `${{{known}}}`?"),
        None => String::new(),
    };
    Err(ScalarError::new(format!("unknown variable `${{{word}}}`{hint} (known: ${{workspace}}, ${{home}}, ${{name}})")))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Variable(variable) => write!(f, "${{{}}}", variable.word())?,
            }
        }
        Ok(())
    }
}

/// An absolute path with variables, without `.`, `..`, doubled or trailing slashes: `/usr`, `${workspace}/.git/hooks`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate(Template);

impl PathTemplate {
    /// Whether the path contains `variable`.
    #[must_use]
    pub fn uses(&self, variable: Variable) -> bool {
        self.0.uses(variable)
    }

    pub(crate) fn template(&self) -> &Template {
        &self.0
    }
}

impl Word for PathTemplate {
    const EXPECTED: &'static str = "an absolute path, such as /usr or \"${workspace}/src\"";
}

impl FromStr for PathTemplate {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refuse = |why: &str| Err(ScalarError::new(format!("the path `{text}` {why}")));
        let text = &plain_text("the path", text)?;
        if text.contains('*') {
            return refuse(
                "contains `*`, but a filesystem rule covers everything beneath its path: name the directory",
            );
        }
        if text.starts_with('~') || text.starts_with("$HOME") {
            return refuse("is not absolute: write \"${home}/…\" for the agent's home directory");
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return refuse("contains `.` or `..`: write the path that it leads to");
        }
        let root = if text.starts_with('/') { "/" } else { "" };
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let template: Template = format!("{root}{}", parts.join("/")).parse()?;
        if template.0 == [Piece::Text("/".to_owned())] {
            return refuse("is the whole file system: name what the agent needs");
        }
        if let Some(why) = template.not_a_path() {
            return refuse(why);
        }
        Ok(Self(template))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

deserialize_as_word!(PathTemplate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_canonical() {
        for (text, canonical) in [
            ("/usr", "/usr"),
            ("/usr/", "/usr"),
            ("//usr///lib", "/usr/lib"),
            ("${workspace}", "${workspace}"),
            ("${home}/.cache/", "${home}/.cache"),
            ("/srv/${name}/x-${name}", "/srv/${name}/x-${name}"),
            ("/a$b", "/a$b"),
        ] {
            assert_eq!(text.parse::<PathTemplate>().map(|path| path.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_than_they_say_are_refused() {
        for text in [
            "",
            "/",
            "//",
            "usr",
            "./usr",
            "/usr/../etc",
            "/usr/./lib",
            "..",
            "~/x",
            "$HOME/x",
            "/data/**",
            "/a\0b",
            "/a\u{202e}b",
            "/a\nb",
            "${workspace}x",
            "/x/${workspace}",
            "x${workspace}",
            "${home}/${workspace}",
            "${home",
            "/x/${nme}",
            "${name}/x",
            "/x/y${home}",
        ] {
            assert!(text.parse::<PathTemplate>().is_err(), "{text:?} was taken");
        }
    }
}
