//! Paths that the kernel refused.

use std::path::Path;

use crate::bind::{BindError, Bound, BoundFs};
use crate::check::reserved_beneath;
use crate::paths::{at_or_beneath, beneath};
use crate::schema::Access;
use crate::suggest::Setting;
use crate::suggest::denied::FileRights;
use crate::suggest::patch::Section;
use crate::template::{PathTemplate, Variables};

/// What a policy and the base say of paths.
pub(crate) struct Files<'a> {
    policy: Bound,
    base: Bound,
    base_name: &'a str,
    variables: &'a Variables,
}

impl<'a> Files<'a> {
    pub(crate) fn new(setting: &Setting<'a>) -> Result<Self, BindError> {
        Ok(Self {
            policy: setting.policy.bind(setting.variables)?,
            base: setting.base.bind(setting.variables)?,
            base_name: &setting.base.name,
            variables: setting.variables,
        })
    }

    /// The lines that would have allowed it, or why there are none.
    pub(crate) fn suggest(&self, rights: FileRights, text: &str) -> Result<Vec<(Section, String)>, String> {
        let path = Path::new(text);
        if let Some(owner) = reserved_beneath(text) {
            return Err(format!("no rule can name it: {owner}"));
        }
        if rights.write && at_or_beneath(path, Path::new("/sys")) {
            return Err("no policy lets an agent write in /sys".to_owned());
        }
        self.forbidden_by_base(rights, path)?;
        let rule = self.policy.rule_for(path);
        let wanted = if rights.write { Access::Write } else { Access::Read };
        self.refused_on_purpose(rule, wanted)?;
        let template: PathTemplate = template(text, self.variables).parse().map_err(|error| format!("{error}"))?;
        let shown = yaml(&template);
        let mut lines = Vec::new();
        if rule.is_none_or(|rule| rule.access < wanted) {
            lines.push((Section::Filesystem, format!("{{path: {shown}, access: {}}}", wanted.word())));
        }
        let executes = self.policy.exec.iter().any(|top| at_or_beneath(path, top));
        if rights.execute && !executes {
            lines.push((Section::Exec, shown));
        }
        if lines.is_empty() {
            return Err("the policy grants it as it is now".to_owned());
        }
        Ok(lines)
    }

    fn forbidden_by_base(&self, rights: FileRights, path: &Path) -> Result<(), String> {
        let name = self.base_name;
        let forbidden = self.base.filesystem.iter().filter(|rule| rule.access == Access::None);
        for rule in forbidden {
            let (shown, origin) = (rule.path.display(), &rule.origin);
            if at_or_beneath(path, &rule.path) {
                return Err(format!("`{name}` forbids it ({shown}, {origin})"));
            }
            if beneath(&rule.path, path) {
                return Err(format!(
                    "it contains {shown}, and `{name}` forbids it ({origin}): name what is needed in it"
                ));
            }
        }
        match self.base.rule_for(path) {
            Some(rule) if rights.write && rule.access == Access::Read => {
                Err(format!("`{name}` lets {} be read and not written ({})", rule.path.display(), rule.origin))
            }
            Some(rule) if rights.execute && !rule.exec => {
                Err(format!("`{name}` lets nothing in {} be executed ({})", rule.path.display(), rule.origin))
            }
            _ => Ok(()),
        }
    }

    /// A rule that takes away something that a wider one grants was written to do so.
    fn refused_on_purpose(&self, rule: Option<&BoundFs>, wanted: Access) -> Result<(), String> {
        match rule {
            Some(rule) if rule.access == Access::None => {
                Err(format!("the policy refuses {} by name ({})", rule.path.display(), rule.origin))
            }
            Some(rule) if rule.access < wanted && rule.inherited >= wanted => {
                let shown = rule.path.display();
                Err(format!("a rule of the policy narrows {shown} to `{}` ({})", rule.access.word(), rule.origin))
            }
            _ => Ok(()),
        }
    }
}

/// The path with the agent's variables in place of their values.
pub(crate) fn template(path: &str, variables: &Variables) -> String {
    let workspace = variables.workspace.as_deref().map(|directory| ("${workspace}", directory));
    for (word, directory) in workspace.into_iter().chain([("${home}", variables.home.as_path())]) {
        if at_or_beneath(Path::new(path), directory)
            && let Some(rest) = directory.to_str().and_then(|top| path.strip_prefix(top))
        {
            return format!("{word}{rest}");
        }
    }
    path.to_owned()
}

fn yaml(path: &PathTemplate) -> String {
    crate::render::quoted(&path.to_string())
}
