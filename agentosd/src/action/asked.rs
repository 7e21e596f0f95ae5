//! What a request asks for, out of its JSON. Pure.

use crate::gate::Refusal;
use policies::{AccessRequest, ActionName, Kind, Mediation, Method, RequestHost, RequestPath, Size, Statement};
use protocol::action::{Execute, RefusalReason};
use protocol::audit::AgentRef;
use protocol::bytes::Bytes;
use protocol::executor::WriteMode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Words by which callers claim to be allowed what they ask for. They mean nothing, and that they were said is recorded.
const CLAIMS: [&str; 14] = [
    "approved",
    "approval",
    "approved_by",
    "approval_id",
    "agent_id",
    "policies",
    "policy",
    "admin",
    "is_admin",
    "bypass",
    "force",
    "override",
    "role",
    "trusted",
];
/// Characters of an action in words.
const WORDS: usize = 300;
/// The database that a request means which names none.
pub(super) const DEFAULT_DATABASE: &str = "default";

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The action.
    pub(crate) action: ActionName,
    /// What is decided about, as far as the request tells.
    pub(crate) request: AccessRequest,
    /// What is to be done.
    pub(crate) work: Work,
    /// In words, not escaped.
    pub(crate) attempted: String,
    /// Parameters without claims; what is digested.
    pub(crate) params: Map<String, Value>,
    /// The policies that narrow it, sorted.
    pub(crate) policies: BTreeSet<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// With a file, a directory or something remembered.
    File(PathBuf, FileAct),
    /// Run a program.
    Exec(Exec),
    /// Ask a database.
    Query(Query),
    /// Run a command of the operator's.
    Registered,
    /// Nothing here can do it.
    Unavailable(&'static str),
}

/// What is done with a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FileAct {
    /// Read it.
    Read { offset: u64, length: Option<u64> },
    /// Write it.
    Write { content: Vec<u8>, mode: WriteMode },
    /// Remove it.
    Delete,
    /// List what is in it.
    List,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exec {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// What it reads.
    #[serde(default)]
    pub(crate) stdin: String,
    /// Where it runs.
    #[serde(default)]
    pub(crate) cwd: Option<String>,
    /// When it is ended.
    #[serde(default)]
    pub(crate) timeout_ms: Option<u64>,
}

/// A statement for a database.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The statement.
    pub(crate) query: String,
    /// Its parameters.
    #[serde(default)]
    pub(crate) parameters: Vec<Value>,
    /// Which database.
    #[serde(default)]
    pub(crate) database: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadParams {
    path: Option<String>,
    key: Option<String>,
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteParams {
    path: Option<String>,
    key: Option<String>,
    content: Option<String>,
    content_base64: Option<Bytes>,
    #[serde(default)]
    mode: WriteMode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathParams {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpParams {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default, rename = "headers")]
    _headers: Map<String, Value>,
    #[serde(default)]
    body: String,
}

/// What the agent is, as far as requests depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What relative paths are relative to.
    pub(crate) workspace: Option<&'a Path>,
    /// What its policy says of actions.
    pub(crate) mediation: &'a Mediation,
}

impl Asked {
    /// Understands a request, or says what is wrong with it.
    pub(crate) fn read(execute: &Execute, asker: Asker<'_>) -> Result<Self, Refusal> {
        let action: ActionName = execute.action.parse().map_err(|_| unknown(&execute.action, asker))?;
        let registered = asker.mediation.actions.iter().find(|known| known.name == action);
        let built_in = Kind::built_in(action.as_str());
        let mut params = execute.params.clone();
        params.retain(|name, _| registered.is_some() || !is_claim(name));
        let mut request = AccessRequest::new(action.clone(), asker.name);
        let work = match (built_in, registered) {
            (Some(kind), _) => work(kind, params.clone(), (asker, &mut request))?,
            (None, Some(known)) => {
                known.check(&params).map_err(|error| bad(error.to_string()))?;
                Work::Registered
            }
            (None, None) => return Err(unknown(&execute.action, asker)),
        };
        let attempted = in_words(&action, &request, &work);
        let policies = execute.context.policies.iter().cloned().collect();
        Ok(Self { action, request, work, attempted, params, policies })
    }

    /// SHA-256 over the whole action: who, what, with which parameters, narrowed by what, and what it turned out to be
    /// `about`; in hexadecimal.
    pub(crate) fn digest(&self, (agent, policy): (&AgentRef, &str), about: &Value) -> String {
        // serde_json's maps are sorted, so that equal actions are equal texts.
        let whole = serde_json::json!({
            "agent": agent.name, "owner": agent.owner, "policy": policy, "action": self.action.as_str(), "params": self.params, "policies": self.policies,
            "about": about,
        });
        hex(&Sha256::digest(whole.to_string()))
    }
}

/// What tells one request from another, as it was asked.
pub(crate) fn raw_digest(execute: &Execute) -> [u8; 32] {
    let Execute { action, params, context } = execute;
    let mut params = params.clone();
    params.retain(|name, _| !is_claim(name));
    let whole = serde_json::json!({"action": action, "params": params, "policies": context.policies});
    Sha256::digest(whole.to_string()).into()
}

/// What a request says that means nothing.
pub(crate) fn without_effect(execute: &Execute, from_agent: bool) -> Vec<String> {
    let claimed = execute.params.keys().filter(|name| is_claim(name)).map(|name| format!("params.{name}"));
    let others = execute.context.others.keys().map(|name| format!("context.{name}"));
    let agent = execute.context.agent_id.as_ref().filter(|_| from_agent);
    let agent = agent.map(|id| format!("context.agent_id={}", cut(id, 80)));
    claimed.chain(others).chain(agent).map(|word| cut(&word, 120)).take(32).collect()
}

fn is_claim(name: &str) -> bool {
    CLAIMS.contains(&name)
}

fn work(
    kind: Kind,
    params: Map<String, Value>,
    (asker, request): (Asker<'_>, &mut AccessRequest),
) -> Result<Work, Refusal> {
    let file = |path: PathBuf, act: FileAct, request: &mut AccessRequest| {
        request.paths = vec![RequestPath::new(&path).map_err(|error| bad(error.to_string()))?];
        Ok(Work::File(path, act))
    };
    match kind {
        Kind::FileRead | Kind::MemoryRead => {
            let ReadParams { path, key, offset, length } = params_of(params)?;
            request.size = length.map(Size::of_bytes);
            file(place(kind, path, key, asker)?, FileAct::Read { offset, length }, request)
        }
        Kind::FileWrite | Kind::MemoryWrite => {
            let WriteParams { path, key, content, content_base64, mode } = params_of(params)?;
            let content = match (content, content_base64) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(Bytes(bytes))) => bytes,
                _ => return Err(incomplete("expected either content or content_base64")),
            };
            request.size = Some(Size::of_bytes(u64::try_from(content.len()).unwrap_or(u64::MAX)));
            file(place(kind, path, key, asker)?, FileAct::Write { content, mode }, request)
        }
        Kind::FileDelete | Kind::ListDirectory => {
            let PathParams { path } = params_of(params)?;
            let act = if kind == Kind::FileDelete { FileAct::Delete } else { FileAct::List };
            file(place(kind, Some(path), None, asker)?, act, request)
        }
        Kind::ProcessExec => exec(params_of(params)?, request),
        Kind::DatabaseQuery => {
            let query: Query = params_of(params)?;
            request.database = Some(query.database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned()));
            // The mildest that it can be; what it is, the database itself says before it is run.
            request.statement = Some(Statement::Read);
            Ok(Work::Query(query))
        }
        Kind::HttpRequest => http(params_of(params)?, request),
        Kind::SendMessage => Ok(Work::Unavailable("agents cannot send messages to each other in this version")),
        Kind::Registered { .. } | Kind::Network => Err(bad("it is no action")),
    }
}

fn exec(exec: Exec, request: &mut AccessRequest) -> Result<Work, Refusal> {
    match exec.argv.first() {
        None => return Err(incomplete("argv: expected a program and its arguments, at least the program")),
        Some(program) if program.is_empty() => return Err(bad("argv: the program's name is empty")),
        Some(program) if program.starts_with('/') => {
            request.program = RequestPath::new(Path::new(program)).ok();
        }
        // What a name means is found out where it would be started.
        Some(_) => {}
    }
    if exec.timeout_ms == Some(0) {
        return Err(bad("timeout_ms: expected at least 1"));
    }
    if exec.argv.iter().any(|word| word.contains('\0')) {
        return Err(bad("argv: an argument contains a NUL byte, which no program can be given"));
    }
    request.argv = exec.argv.iter().skip(1).cloned().collect();
    Ok(Work::Exec(exec))
}

/// Scheme, host and port of a URL (RFC 3986, 3.2); nothing is sent, so nothing more of it is looked at.
fn http(http: HttpParams, request: &mut AccessRequest) -> Result<Work, Refusal> {
    let wrong = |what: &str| bad(format!("url: {what}; expected such as https://api.example.com/path"));
    let (scheme, rest) = http.url.split_once("://").ok_or_else(|| wrong("there is no scheme"))?;
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(wrong("the scheme is neither https nor http")),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong("a user before the host is not taken"));
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    request.host = Some(RequestHost::new(host).map_err(|error| wrong(&error.to_string()))?);
    request.port = Some(port.map_or(Ok(usual), str::parse).map_err(|_| wrong("the port is no number"))?);
    let method = http.method.as_deref().unwrap_or("GET");
    request.method = Some(method_of(method)?);
    request.size = Some(Size::of_bytes(u64::try_from(http.body.len()).unwrap_or(u64::MAX)));
    Ok(Work::Unavailable("agents reach no network in this version, with actions neither"))
}

fn method_of(word: &str) -> Result<Method, Refusal> {
    serde_json::from_value(Value::from(word)).map_err(|error| bad(format!("method: {error}")))
}

/// The path that a request means: absolute, or beneath the workspace; a key is a file of what the agent knows.
fn place(kind: Kind, path: Option<String>, key: Option<String>, asker: Asker<'_>) -> Result<PathBuf, Refusal> {
    let memory = matches!(kind, Kind::MemoryRead | Kind::MemoryWrite);
    let path = match (path, key) {
        (Some(path), None) => PathBuf::from(path),
        (None, Some(key)) if memory => Path::new("/mem/semantic").join(key.trim_start_matches('/')),
        (None, None) => return Err(incomplete(if memory { "expected path or key" } else { "expected path" })),
        _ => return Err(bad("expected a path alone")),
    };
    let path = match (path.is_absolute(), asker.workspace) {
        (true, _) => path,
        (false, Some(workspace)) => workspace.join(path),
        (false, None) => return Err(bad("path: it is relative, and the agent has no workspace")),
    };
    if path.to_string_lossy().chars().any(char::is_control) {
        return Err(bad("path: it has control characters, which nobody could be shown"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        let shown = cut(&path.display().to_string(), WORDS);
        let message = format!("{shown}: `..` is not followed; name the path itself");
        return Err(Refusal::new(RefusalReason::PathEscapes, message));
    }
    // A trailing slash and `.` name the same thing.
    let path: PathBuf = path.components().collect();
    let remembered = ["/mem", "/state"].iter().any(|above| path.starts_with(above));
    if memory && !remembered {
        return Err(bad(format!("{}: what is remembered is beneath /mem and /state", path.display())));
    }
    if !memory && remembered {
        return Err(bad(format!("{}: ask for memory_read or memory_write", path.display())));
    }
    Ok(path)
}

fn params_of<T: DeserializeOwned>(params: Map<String, Value>) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(params)).map_err(|error| {
        let message = error.to_string();
        if message.starts_with("missing field") { incomplete(message) } else { bad(message) }
    })
}

fn in_words(action: &ActionName, request: &AccessRequest, work: &Work) -> String {
    let object = match work {
        Work::File(path, FileAct::Write { content, .. }) => format!("{} ({} bytes)", path.display(), content.len()),
        Work::File(path, _) => path.display().to_string(),
        Work::Exec(exec) => exec.argv.join(" "),
        Work::Query(query) => {
            format!("{}: {}", request.database.as_deref().unwrap_or(DEFAULT_DATABASE), query.query)
        }
        Work::Registered => String::new(),
        Work::Unavailable(_) => request.host.as_ref().map_or_else(String::new, |host| host.as_str().to_owned()),
    };
    cut(format!("{action} {object}").trim_end(), WORDS)
}

pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unknown(action: &str, asker: Asker<'_>) -> Refusal {
    let registered = asker.mediation.actions.iter().map(|action| action.name.as_str());
    let known: Vec<&str> = Kind::BUILT_IN.iter().map(|(name, _)| *name).chain(registered).collect();
    let message = format!("there is no action {:?}; there is {}", cut(action, 80), known.join(", "));
    Refusal::new(RefusalReason::UnknownAction, message)
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalReason::BadParameter, message)
}

fn incomplete(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalReason::IncompleteRequest, message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
