//! A request as a person writes it: one entry of a table of cases, or the words of a command line.

use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use crate::bind::BindError;
use crate::decide::{AccessRequest, Reason, RequestError, RequestHost, RequestPath};
use crate::mediation::{ActionName, CommandWord, Effect, Method, Port, Statement};
use crate::narrowing::Narrowing;
use crate::nearest::nearest;
use crate::parse::options;
use crate::parse_error::{Place, printable};
use crate::scalar::{ScalarError, Word, deserialize_as_word, plain_text};
use crate::schema::present;
use crate::size::Size;
use crate::template::{Template, Variables};
use crate::values::Values;

/// A request in words, and, in a table of cases, the answer that is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) action: ActionName,
    #[serde(default, deserialize_with = "present")]
    pub(crate) path: Option<PathWord>,
    #[serde(default)]
    pub(crate) paths: Vec<PathWord>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) program: Option<PathWord>,
    #[serde(default)]
    pub(crate) argv: Vec<CommandWord>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) host: Option<HostWord>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) port: Option<Port>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) method: Option<Method>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) database: Option<TextWord>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) statement: Option<Statement>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) size: Option<Size>,
    #[serde(default)]
    pub(crate) narrow: Vec<LayerName>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) expect: Option<Effect>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) reason: Option<Reason>,
}

/// A path of a request, in which variables may stand.
#[derive(Clone, Debug)]
pub(crate) struct PathWord(pub(crate) Template);

impl Word for PathWord {
    const EXPECTED: &'static str = "an absolute path, such as /data/x or \"${workspace}/x\"";
}

impl FromStr for PathWord {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let template: Template = plain_text("the path", text)?.parse()?;
        match template.not_a_path() {
            Some(why) => Err(ScalarError::new(format!("the path `{text}` {why}"))),
            None => Ok(Self(template)),
        }
    }
}

/// A host of a request.
#[derive(Clone, Debug)]
pub(crate) struct HostWord(pub(crate) RequestHost);

impl Word for HostWord {
    const EXPECTED: &'static str = "a host's name or address, such as api.example.com";
}

impl FromStr for HostWord {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let host = RequestHost::new(text).map(Self);
        host.map_err(|_| ScalarError::new(format!("`{text}` is neither the name of a host nor an address")))
    }
}

/// Text that is compared as it stands.
#[derive(Clone, Debug)]
pub(crate) struct TextWord(pub(crate) String);

impl Word for TextWord {
    const EXPECTED: &'static str = "a name";
}

impl FromStr for TextWord {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        plain_text("the name", text).map(Self)
    }
}

/// The name of a built-in narrowing.
#[derive(Clone, Debug)]
pub(crate) struct LayerName(pub(crate) Narrowing);

impl Word for LayerName {
    const EXPECTED: &'static str = "the name of a built-in narrowing, such as read_only";
}

impl FromStr for LayerName {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        Narrowing::built_in(text).map(Self).ok_or_else(|| {
            let near = nearest(text, Narrowing::built_in_names()).map(|near| format!("; did you mean `{near}`?"));
            let known: Vec<&str> = Narrowing::built_in_names().collect();
            let hint = near.unwrap_or_default();
            ScalarError::new(format!("there is no built-in narrowing `{text}`{hint} (known: {})", known.join(", ")))
        })
    }
}

impl Entry {
    /// The request, with the variables' values in its paths. None of them is looked at on any host.
    pub(crate) fn request(&self, values: &Values) -> Result<AccessRequest, RequestError> {
        let path = |word: &PathWord| {
            let text = values.expand(&word.0).ok_or_else(|| RequestError::NoWorkspace(word.0.to_string()))?;
            RequestPath::new(Path::new(&text))
        };
        Ok(AccessRequest {
            paths: self.path.iter().chain(&self.paths).map(path).collect::<Result<_, _>>()?,
            program: self.program.as_ref().map(path).transpose()?,
            argv: self.argv.iter().map(|word| word.0.clone()).collect(),
            host: self.host.as_ref().map(|host| host.0.clone()),
            port: self.port.map(Port::number),
            method: self.method,
            database: self.database.as_ref().map(|name| name.0.clone()),
            statement: self.statement,
            size: self.size,
            ..AccessRequest::new(self.action.clone(), "")
        })
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Narrowing> {
        self.narrow.iter().map(|layer| &layer.0)
    }
}

/// Why words are no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// A word has no `=`, or a name before it that no part of a request can have.
    #[error("understand `{0}`: write NAME=VALUE, such as path=/data/x")]
    NoPair(String),
    /// The words are understood one by one and make no request.
    #[error("make a request of `{word}`: {reason}")]
    Word {
        /// The word.
        word: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A value of a variable fits no path.
    #[error(transparent)]
    Variable(#[from] BindError),
    /// A path or host cannot be asked about.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A request as the words of a command line: `file_read path=/data/x`, `http_request host=a.example port=443 method=GET`.
///
/// `path` and `arg` may stand more than once; `narrow=read_only` adds a built-in narrowing.
#[derive(Clone, Debug)]
pub struct RequestWords(Entry);

impl RequestWords {
    /// Reads them.
    ///
    /// ```
    /// let words = policies::RequestWords::read("file_read", &["path=/data/x".to_owned()])?;
    /// let wrong = policies::RequestWords::read("file_read", &["pth=/data/x".to_owned()]).expect_err("misspelt");
    /// assert!(wrong.to_string().contains("did you mean `path`?"), "{wrong}");
    /// # Ok::<(), policies::WordsError>(())
    /// ```
    ///
    /// # Errors
    /// A word is no `NAME=VALUE`, or its name or value means nothing.
    pub fn read(action: &str, words: &[String]) -> Result<Self, WordsError> {
        let mut lines = vec![("action", vec![action])];
        for word in words {
            let no_pair = || WordsError::NoPair(printable(word));
            let (name, value) = word.split_once('=').ok_or_else(no_pair)?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return Err(no_pair());
            }
            let name = match name {
                "path" => "paths",
                "arg" => "argv",
                name => name,
            };
            match lines.iter_mut().find(|(known, _)| *known == name && LISTS.contains(&name)) {
                Some((_, values)) => values.push(value),
                None => lines.push((name, vec![value])),
            }
        }
        // The words go through the reader of policies, so that they are read, and refused, as in a file.
        let text: String = lines.iter().map(|(name, values)| line(name, values)).collect();
        let read = serde_saphyr::from_str_with_options(&text, options());
        let entry: Entry = read.map_err(|error| {
            let error = Place { origin: "", text: "" }.yaml_error(&error);
            let at = usize::try_from(error.line).unwrap_or(0).saturating_sub(1);
            let word = lines.get(at).map(|(name, values)| format!("{name}={}", values.join(" "))).unwrap_or_default();
            let expected = error.expected.map(|expected| format!(" (expected {expected})")).unwrap_or_default();
            WordsError::Word { word: printable(&word), reason: format!("{}{expected}", error.message) }
        })?;
        if entry.expect.is_some() || entry.reason.is_some() {
            return Err(WordsError::NoPair("expect".to_owned()));
        }
        Ok(Self(entry))
    }

    /// The words that say `request`, for whoever records it; read again they give the same request, whatever the variables.
    /// `None` when words cannot say it: a path that is not UTF-8, unprintable characters, or `${` in a path.
    ///
    /// ```
    /// # use policies::{RequestWords, Variables};
    /// let variables = Variables { workspace: Some("/srv/w".into()), home: "/home/agent".into(), name: "a".into() };
    /// let request = RequestWords::read("file_read", &["path=${workspace}/x".to_owned()])?.request(&variables)?;
    /// assert_eq!(RequestWords::spell(&request), Some(vec!["path=/srv/w/x".to_owned()]));
    /// # Ok::<(), policies::WordsError>(())
    /// ```
    #[must_use]
    pub fn spell(request: &AccessRequest) -> Option<Vec<String>> {
        let mut words = Vec::new();
        for path in &request.paths {
            words.push(format!("path={}", std::str::from_utf8(path.as_bytes()).ok()?));
        }
        if let Some(program) = &request.program {
            words.push(format!("program={}", std::str::from_utf8(program.as_bytes()).ok()?));
        }
        words.extend(request.argv.iter().map(|word| format!("arg={word}")));
        words.extend(request.host.iter().map(|host| format!("host={}", host.as_str())));
        words.extend(request.port.iter().map(|port| format!("port={port}")));
        words.extend(request.method.iter().map(|method| format!("method={method}")));
        words.extend(request.database.iter().map(|name| format!("database={name}")));
        words.extend(request.statement.iter().map(|statement| format!("statement={statement}")));
        words.extend(request.size.iter().map(|size| format!("size={size}")));
        // Said is only what is understood again as the same.
        let variables = Variables { workspace: None, home: "/home/agent".into(), name: "agent".to_owned() };
        let again = Self::read(request.action.as_str(), &words).ok()?.request(&variables).ok()?;
        let same = AccessRequest { agent: request.agent.clone(), ..again } == *request;
        same.then_some(words)
    }

    /// The request for an agent with these values of variables.
    ///
    /// # Errors
    /// A value fits no path, or a path could lead elsewhere than it says.
    pub fn request(&self, variables: &Variables) -> Result<AccessRequest, WordsError> {
        let values = Values::of(variables)?;
        Ok(self.0.request(&values)?)
    }

    /// The built-in narrowings that the words name.
    pub fn layers(&self) -> impl Iterator<Item = &Narrowing> {
        self.0.layers()
    }
}

/// What may stand more than once.
const LISTS: [&str; 3] = ["paths", "argv", "narrow"];

/// One line of YAML.
fn line(name: &str, values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| crate::render::quoted(value)).collect();
    if LISTS.contains(&name) {
        format!("{name}: [{}]\n", quoted.join(", "))
    } else {
        format!("{name}: {}\n", quoted.join(", "))
    }
}

deserialize_as_word!(PathWord, HostWord, TextWord, LayerName);

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn a_request_is_spelt_as_it_is_read() {
        let written = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (action, words) in [
            ("file_read", written(&["path=/data/x y"])),
            ("file_write", written(&["path=/data/a", "path=/data/b=c", "size=412B"])),
            ("process_exec", written(&["program=/usr/bin/git", "arg=status", "arg=", "arg=--x=1"])),
            ("http_request", written(&["host=a.example", "port=443", "method=GET"])),
            ("database_query", written(&["database=sales", "statement=write"])),
        ] {
            let variables = Variables { workspace: None, home: "/home/agent".into(), name: "a".to_owned() };
            let read = RequestWords::read(action, &words).unwrap().request(&variables).unwrap();
            assert_eq!(RequestWords::spell(&read), Some(words), "{action}");
        }
    }

    #[test]
    fn what_words_cannot_say_is_not_spelt_as_something_else() {
        for path in [&b"/data/\xff"[..], b"/data/${name}", b"/data/\n"] {
            let action = "file_read".parse().unwrap();
            let path = RequestPath::new(Path::new(OsStr::from_bytes(path))).unwrap();
            let request = AccessRequest { paths: vec![path], ..AccessRequest::new(action, "a") };
            assert_eq!(RequestWords::spell(&request), None, "{request:?}");
        }
    }
}
