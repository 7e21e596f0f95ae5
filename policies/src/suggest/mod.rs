//! From recorded denials to the smallest patch that would have allowed them.
//!
//! ```text
//!   Denied ──┬─ a path that the kernel refused ──► files    ──┐
//!            ├─ a request that was decided     ──► requests ──┼─► Suggestion: lines, each with its denials;
//!            └─ anything else                  ───────────────┘               what is withheld, and why
//! ```
//!
//! A suggestion grants exactly what was refused and never a directory around it. What `base` forbids outright is never
//! suggested, nor what a rule of the policy itself refuses on purpose: that is for a person to write.

mod denied;
mod files;
mod patch;
mod requests;

pub use denied::{Attempt, Denied, FileRights};
pub use patch::{Addition, Section, Suggestion, Withheld};

use crate::bind::BindError;
use crate::decide::Table;
use crate::effective::Effective;
use crate::suggest::files::Files;
use crate::suggest::requests::Requests;
use crate::template::Variables;

/// The policy under which something was denied.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The policy, to which lines would be added.
    pub policy: &'a Effective,
    /// What every agent is to be kept within, whatever its policy: the shipped `base`, or the operator's.
    pub base: &'a Effective,
    /// The agent's values of variables; a path beneath its workspace is suggested with `${workspace}`.
    pub variables: &'a Variables,
}

/// Most lines of one suggestion; nobody reviews more.
const MOST_ADDITIONS: usize = 256;

/// The lines that would have allowed what was denied.
///
/// ```
/// # use policies::{Denied, Setting, Shipped, Variables, resolve_profile, suggest};
/// let base = resolve_profile(&"base".parse()?, &Shipped)?;
/// let variables = Variables { workspace: None, home: "/home/agent".into(), name: "a".into() };
/// let denied = [
///     Denied::kernel(1, "read /opt/data: not granted by policy base", "read", Some("/opt/data")),
///     Denied::kernel(2, "read /etc/shadow: not granted by policy base", "read", Some("/etc/shadow")),
/// ];
/// let suggestion = suggest(&Setting { policy: &base, base: &base, variables: &variables }, &denied)?;
/// assert_eq!(suggestion.additions.len(), 1);
/// assert_eq!(suggestion.additions[0].line, "{path: /opt/data, access: read}");
/// assert!(suggestion.withheld[0].why.contains("`base` forbids it"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The variables' values do not fit the policy or the base.
pub fn suggest(setting: &Setting<'_>, denied: &[Denied]) -> Result<Suggestion, BindError> {
    let mut suggestion = Suggestion::new(&setting.policy.name);
    let files = Files::new(setting)?;
    let requests = Requests {
        policy: Table::compile(setting.policy, setting.variables, &[])?,
        base: Table::compile(setting.base, setting.variables, &[])?,
        variables: setting.variables,
    };
    for denied in denied {
        let found = match &denied.attempt {
            Attempt::File { rights, path } => files.suggest(*rights, path),
            Attempt::Request(request) => requests.suggest(request),
            Attempt::Connect => {
                Err("the kernel saw an address and no name: add a `network` entry with the host's name if \
                 the agent should reach it"
                    .to_owned())
            }
            Attempt::Ungrantable => Err("no policy grants it".to_owned()),
        };
        match found {
            Ok(_) if suggestion.additions.len() >= MOST_ADDITIONS => {
                suggestion.withhold(denied, format!("the suggestion has {MOST_ADDITIONS} lines already"));
            }
            Ok(lines) => lines.into_iter().for_each(|(section, line)| suggestion.add(section, line, denied)),
            Err(why) => suggestion.withhold(denied, why),
        }
    }
    suggestion.drop_covered();
    Ok(suggestion)
}
