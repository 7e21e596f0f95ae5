//! Removing a regular file or a link.

use super::beneath::Named;
use super::{preview, state};
use crate::descriptors::shown;
use crate::refusal::{Outcome, Refusal};
use protocol::action::RefusalReason;
use protocol::executor::{Bounds, Prepared};
use rustix::fs::{AtFlags, fsync, unlinkat};
use serde_json::{Value, json};

/// A name that is to go.
#[derive(Debug)]
pub(crate) struct Deletion {
    named: Named,
    path: String,
}

impl Deletion {
    pub(crate) fn prepare(root: &str, path: &str) -> Outcome<(Prepared, Self)> {
        let named = Named::open(root, path)?;
        let missing = || Refusal::new(RefusalReason::NotFound, format!("there is no {path:?}"));
        let present = state::look(&named)?.ok_or_else(missing)?;
        let path = shown(named.path())?;
        let prepared = Prepared {
            paths: vec![path.clone()],
            size: u64::try_from(present.status.st_size).ok(),
            state: Some(state::of(Some(&present)).to_owned()),
            preview: Some(preview::removal(&path, &present)),
            ..Prepared::default()
        };
        Ok((prepared, Self { named, path }))
    }

    pub(crate) fn perform(self, bounds: &Bounds) -> Outcome<Value> {
        let failed = |errno| Refusal::errno(errno, &format!("remove {:?}", self.path));
        self.named.confirm()?;
        state::confirm(&self.named, bounds.state.as_deref())?;
        unlinkat(&self.named.directory, &self.named.name, AtFlags::empty()).map_err(failed)?;
        // It is gone whether or not the disk says so; that it stays gone after a crash is what cannot be promised then.
        let durable = fsync(&self.named.directory).is_ok();
        Ok(json!({"path": self.path, "durable": durable}))
    }
}
