//! One agent's values for the variables of a policy.

use std::path::{Component, Path, PathBuf};

use crate::bind::BindError;
use crate::check::reserved_beneath;
use crate::template::{Template, Variable, Variables};

/// The variables' values as text.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) workspace: Option<String>,
    home: String,
    name: String,
}

impl Values {
    /// The values, if rules can be made with them.
    pub(crate) fn of(variables: &Variables) -> Result<Self, BindError> {
        let name = &variables.name;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            let reason = "is not one component of a path";
            return Err(BindError::Variable { variable: "name", value: name.clone(), reason });
        }
        Ok(Self {
            workspace: variables.workspace.as_deref().map(|path| checked("workspace", path)).transpose()?,
            home: checked("home directory", &variables.home)?,
            name: name.clone(),
        })
    }

    /// The text with the variables' values, or `None` if it names a workspace and there is none.
    pub(crate) fn expand(&self, template: &Template) -> Option<String> {
        template
            .expand(|variable| match variable {
                Variable::Workspace => self.workspace.clone().ok_or(()),
                Variable::Home => Ok(self.home.clone()),
                Variable::Name => Ok(self.name.clone()),
            })
            .ok()
    }

    /// The pattern with the variables' values, in which what a pattern would give a meaning is preceded by `\`; or `None`
    /// as above.
    pub(crate) fn pattern(&self, template: &Template) -> Option<String> {
        let literal = |value: &str| {
            value.chars().fold(String::new(), |mut text, c| {
                text.extend("*?\\".contains(c).then_some('\\').into_iter().chain([c]));
                text
            })
        };
        template
            .expand(|variable| match variable {
                Variable::Workspace => self.workspace.as_deref().map(literal).ok_or(()),
                Variable::Home => Ok(literal(&self.home)),
                Variable::Name => Ok(literal(&self.name)),
            })
            .ok()
    }

    /// The path with the variables' values, or `None` as above.
    pub(crate) fn path(&self, template: &Template) -> Option<PathBuf> {
        self.expand(template).map(PathBuf::from)
    }
}

/// An agent's directory as canonical text.
fn checked(variable: &'static str, path: &Path) -> Result<String, BindError> {
    let refuse = |reason| Err(BindError::Variable { variable, value: path.display().to_string(), reason });
    let mut components = path.components();
    if components.next() != Some(Component::RootDir) {
        return refuse("is not an absolute path");
    }
    let mut text = String::new();
    for component in components {
        let Component::Normal(part) = component else {
            return refuse("contains `..`; write the path that it leads to");
        };
        let Some(part) = part.to_str().filter(|part| !part.contains('\0')) else {
            return refuse("is not UTF-8 text, which a policy needs to name paths in it");
        };
        text.push('/');
        text.push_str(part);
    }
    if text.is_empty() {
        return refuse("is the whole file system; choose a directory");
    }
    if reserved_beneath(&text).is_some() {
        return refuse("is a directory that the sandbox builds itself; choose another");
    }
    Ok(text)
}
