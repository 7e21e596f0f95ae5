//! Where the log is.

use crate::client::Client;
use crate::failure::Failure;
use protocol::control::AuditStatus;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where agentosd keeps it unless it was told otherwise.
const DEFAULT: &str = "/var/lib/agentos/audit";
/// Who verifies a log may have no daemon, or one that hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The directory that is given, or agentosd's, or where it would be.
pub(super) fn directory(socket: &Path, given: Option<PathBuf>) -> PathBuf {
    let ask = || -> Result<PathBuf, Failure> {
        let status = Client::connect(socket)?.call_within(&AuditStatus::default(), PATIENCE)?;
        Ok(status.directory.into())
    };
    given.unwrap_or_else(|| ask().unwrap_or_else(|_| DEFAULT.into()))
}
