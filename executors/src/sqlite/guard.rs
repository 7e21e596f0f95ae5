//! SQLite's authorizer: what a statement may do, asked while SQLite compiles it.

use super::failed;
use super::open::Access;
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::sync::{Arc, Mutex, PoisonError};

/// Functions that reach beyond the database. Most are in SQLite's shell only; if one ever is here, it is refused.
const REACHING: &[&str] = &["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"];
/// What the full-text modules ask for themselves, and changes nothing.
const HARMLESS: &[&str] = &["data_version", "page_size"];

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reads,
    Changes,
}

/// One thing of those that a statement does.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Reads rows.
    Reads,
    /// Changes rows.
    Changes,
    /// By itself nothing.
    Other,
    /// What no statement may do.
    Refused(String),
}

#[derive(Debug, Default)]
struct Seen {
    kind: Option<Kind>,
    refused: Option<Refusal>,
}

/// What the authorizer has seen since it was set.
#[derive(Debug)]
pub(super) struct Guard {
    seen: Arc<Mutex<Seen>>,
}

impl Guard {
    /// Watches the connection; only with `Access::Write` rows may be changed.
    pub(super) fn watch(connection: &mut Connection, access: Access) -> Outcome<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        let judge = move |context: AuthContext<'_>| {
            let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
            seen.judge(part(context.action), access)
        };
        connection.authorizer(Some(judge)).map_err(|error| failed(&error))?;
        Ok(Self { seen })
    }

    /// Before statements of our own.
    pub(super) fn dismiss(connection: &mut Connection) -> Outcome<()> {
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(|error| failed(&error))
    }

    /// What the statement does; one that neither reads nor changes rows is none that is allowed.
    pub(super) fn kind(&self) -> Outcome<Kind> {
        let message = "only statements that read or change rows are allowed";
        self.seen().kind.ok_or_else(|| Refusal::new(RefusalReason::StatementRefused, message))
    }

    /// Why it was refused, when it was here.
    pub(super) fn explain(&self) -> Option<Refusal> {
        self.seen().refused.take()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn judge(&mut self, part: Part, access: Access) -> Authorization {
        let refusal = match part {
            Part::Other => return Authorization::Allow,
            Part::Reads => {
                self.kind = self.kind.or(Some(Kind::Reads));
                return Authorization::Allow;
            }
            Part::Changes if access == Access::Write => {
                self.kind = Some(Kind::Changes);
                return Authorization::Allow;
            }
            Part::Changes => {
                Refusal::new(RefusalReason::ReadOnly, "the statement would change rows, and only reading is allowed")
            }
            Part::Refused(what) => Refusal::new(
                RefusalReason::StatementRefused,
                format!("the statement would {what}, which is not allowed"),
            ),
        };
        self.refused.get_or_insert(refusal);
        Authorization::Deny
    }
}

fn part(action: AuthAction<'_>) -> Part {
    match action {
        AuthAction::Select => Part::Reads,
        AuthAction::Read { table_name: "sqlite_dbpage", .. } => Part::Refused("read the file's raw pages".to_owned()),
        AuthAction::Read { .. } | AuthAction::Recursive => Part::Other,
        AuthAction::Function { function_name }
            if REACHING.iter().any(|name| function_name.eq_ignore_ascii_case(name)) =>
        {
            Part::Refused(format!("call {function_name}"))
        }
        AuthAction::Function { .. } => Part::Other,
        AuthAction::Pragma { pragma_name, pragma_value: None } if HARMLESS.contains(&pragma_name) => Part::Other,
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
            if !table_name.starts_with("sqlite_") =>
        {
            Part::Changes
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => Part::Refused(format!("change {table_name}, or the schema")),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Part::Refused("attach or detach a file".to_owned()),
        AuthAction::Pragma { pragma_name, .. } => Part::Refused(format!("use PRAGMA {pragma_name}")),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            Part::Refused("begin or end a transaction".to_owned())
        }
        // The schema, and whatever later versions of SQLite ask about.
        _ => Part::Refused("change the schema".to_owned()),
    }
}
