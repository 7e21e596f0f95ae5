//! A recorded denial, as far as a suggestion needs it.

use crate::decide::AccessRequest;

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Its number where it is recorded.
    pub number: u64,
    /// In words, as it is listed; shown beside the line that it causes.
    pub sentence: String,
    /// What was attempted.
    pub attempt: Attempt,
}

/// What was attempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The kernel refused a path.
    File {
        /// For what.
        rights: FileRights,
        /// The path; for an entry that was to be made or removed, its directory.
        path: String,
    },
    /// A request was decided and denied.
    Request(Box<AccessRequest>),
    /// The kernel refused a connection to an address.
    Connect,
    /// No policy can grant it: a system call, another's process, a device.
    Ungrantable,
}

/// What a path was wanted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRights {
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Denied {
    /// A refusal of the policy's Landlock domain, by the words of `agentctl denials`: the action (`read`,
    /// `create file and link or rename across directories`) and its object.
    #[must_use]
    pub fn kernel(number: u64, sentence: &str, action: &str, object: Option<&str>) -> Self {
        let mut rights = FileRights::default();
        let known = action.split(" and ").all(|word| match word {
            "read" | "list" => true,
            "write"
            | "truncate"
            | "create file"
            | "create directory"
            | "create fifo"
            | "create socket"
            | "create symbolic link"
            | "remove file"
            | "remove directory"
            | "link or rename across directories" => {
                rights.write = true;
                true
            }
            "execute" => {
                rights.execute = true;
                true
            }
            _ => false,
        });
        let attempt = match object {
            Some(path) if known && path.starts_with('/') => Attempt::File { rights, path: path.to_owned() },
            _ if action == "connect tcp" => Attempt::Connect,
            _ => Attempt::Ungrantable,
        };
        Self { number, sentence: sentence.to_owned(), attempt }
    }

    /// A refusal that no policy's words could undo, such as a system call's.
    #[must_use]
    pub fn ungrantable(number: u64, sentence: &str) -> Self {
        Self { number, sentence: sentence.to_owned(), attempt: Attempt::Ungrantable }
    }

    /// A request that was decided and denied.
    #[must_use]
    pub fn request(number: u64, sentence: &str, request: AccessRequest) -> Self {
        Self { number, sentence: sentence.to_owned(), attempt: Attempt::Request(Box::new(request)) }
    }
}
