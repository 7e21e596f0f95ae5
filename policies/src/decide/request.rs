//! What an agent asks for, as the door that it came through saw it.

use std::path::Path;

use crate::mediation::{ActionName, Condition, Kind, Method, Statement};
use crate::size::Size;

/// The name under which connections of an agent's own are decided; rules about actions cannot name it.
pub(crate) const NETWORK_ACTION: &str = "network_connect";

/// A request: plain data, and all that a decision looks at besides the policy.
///
/// The door resolves what is in it: a path is the one that would be opened, a program the one that would be executed. A
/// request that lacks what its action must have is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// Which action.
    pub action: ActionName,
    /// Who asks. No rule looks at it; it is for whoever records the decision.
    pub agent: String,
    /// The paths that would be touched: at least one for an action on files or memory. Each is decided for itself.
    pub paths: Vec<RequestPath>,
    /// The program that would be executed.
    pub program: Option<RequestPath>,
    /// Its arguments, without the program's name.
    pub argv: Vec<String>,
    /// The host that would be talked to.
    pub host: Option<RequestHost>,
    /// Its port.
    pub port: Option<u16>,
    /// The HTTP method.
    pub method: Option<Method>,
    /// The database that would be asked.
    pub database: Option<String>,
    /// What the statement does.
    pub statement: Option<Statement>,
    /// How much would be read, written, sent or received, when it is known beforehand.
    pub size: Option<Size>,
}

impl AccessRequest {
    /// A request for `action` by `agent` that says nothing further yet.
    #[must_use]
    pub fn new(action: ActionName, agent: impl Into<String>) -> Self {
        Self {
            action,
            agent: agent.into(),
            paths: Vec::new(),
            program: None,
            argv: Vec::new(),
            host: None,
            port: None,
            method: None,
            database: None,
            statement: None,
            size: None,
        }
    }

    /// A connection of the agent's own, which the policy's `network` decides about. Without a method it is not HTTP, or
    /// nobody has looked.
    ///
    /// # Errors
    /// Never; the name of the action is legal.
    pub fn connection(
        agent: impl Into<String>,
        to: (RequestHost, u16),
        method: Option<Method>,
    ) -> Result<Self, crate::ScalarError> {
        let (host, port) = to;
        let request = Self::new(NETWORK_ACTION.parse()?, agent);
        Ok(Self { host: Some(host), port: Some(port), method, ..request })
    }

    /// What an action of this sort must say and this request does not.
    #[must_use]
    pub fn lacks(&self, kind: Kind) -> Option<Condition> {
        let said = [
            (Condition::Paths, !self.paths.is_empty()),
            (Condition::Exec, self.program.is_some()),
            (Condition::Hosts, self.host.is_some()),
            (Condition::Ports, self.port.is_some()),
            // A connection need not be HTTP; a rule that names methods does not match it then.
            (Condition::Methods, self.method.is_some() || kind == Kind::Network),
            (Condition::Databases, self.database.is_some()),
            (Condition::Statements, self.statement.is_some()),
        ];
        said.into_iter().find(|(condition, said)| kind.has(*condition) && !said).map(|(condition, _)| condition)
    }

    /// Whether it changes anything, as far as can be told; what cannot be told does.
    #[must_use]
    pub fn changes(&self, kind: Kind) -> bool {
        match kind {
            Kind::HttpRequest => !self.method.is_some_and(Method::reads),
            Kind::DatabaseQuery => self.statement != Some(Statement::Read),
            kind => kind.always_changes(),
        }
    }
}

/// Why something cannot be part of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The path is not the one that would be opened.
    #[error("take `{0}` as a path: it must be absolute, without `.`, `..`, doubled slashes or NUL")]
    Path(String),
    /// The host is no name and no address.
    #[error("take `{0}` as a host: write a name or an address without brackets, port or spaces")]
    Host(String),
    /// The path names a workspace, and there is none.
    #[error("take `{0}` as a path: there is no workspace")]
    NoWorkspace(String),
}

/// An absolute path without `.`, `..`, doubled or trailing slashes: the one that would be opened. Need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestPath(Box<[u8]>);

impl RequestPath {
    /// Takes a path that has been resolved.
    ///
    /// # Errors
    /// It is relative or could lead elsewhere than it says.
    pub fn new(path: &Path) -> Result<Self, RequestError> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let clean = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        match bytes.strip_prefix(b"/") {
            Some(rest) if rest.is_empty() || rest.split(|byte| *byte == b'/').all(clean) => Ok(Self(bytes.into())),
            _ => Err(RequestError::Path(path.display().to_string())),
        }
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A host's name or address, in lower case and without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestHost(String);

impl RequestHost {
    /// Takes a name as it was asked for.
    ///
    /// # Errors
    /// It is neither a name nor an address.
    pub fn new(host: &str) -> Result<Self, RequestError> {
        let name = host.strip_suffix('.').unwrap_or(host);
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        let label = |label: &str| !label.is_empty();
        if name.len() > 253 || !name.bytes().all(legal) || !name.split('.').all(label) {
            return Err(RequestError::Host(host.to_owned()));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_lead_elsewhere_is_no_part_of_a_request() {
        for path in ["/", "/a", "/a/b.c", "/a/...", "/ä"] {
            assert!(RequestPath::new(Path::new(path)).is_ok(), "{path}");
        }
        for path in ["", "a", "./a", "/a/", "//a", "/a//b", "/a/./b", "/a/..", "/..", "/a\0b"] {
            assert!(RequestPath::new(Path::new(path)).is_err(), "{path:?} was taken");
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        let host = |text: &str| RequestHost::new(text).map(|host| host.as_str().to_owned());
        assert_eq!(host("API.Example.com."), Ok("api.example.com".to_owned()));
        assert_eq!(host("::1"), Ok("::1".to_owned()));
        for text in ["", ".", "a..b", ".a", "a.com..", "a b", "a/b", "[::1]", "a@b", "ä.example", "a\0"] {
            assert!(RequestHost::new(text).is_err(), "{text:?} was taken");
        }
    }
}
